//! L12: orientation and direction selectivity of single neurons, whatever direction each prefers.
//!
//! The selectivity term ([`super::selectivity`]) looks at tuning about the *assigned* preferred directions, in crowds. Recurrent and LGN weights
//! that are learned can also tune a neuron to another direction, which the crowd does not see: a type then has the right crowd and neurons
//! that are far more selective than those recorded. This term compares what recordings have, the distribution of each neuron's own indices:
//!
//! ```text
//! M_kj  = sum_t r_jt (e_t - mean e) / (n V_k),   e_t = e^{k i theta_t},  V_k = mean |e_t - mean e|^2,   k = 1, 2
//! OSI_j = |<M_2j>| / max(<r_j>, min_rate)        DSI_j = |<M_1j>| / max(<r_j>, min_rate)
//! L     = sum over k of the quantile Huber loss (super::rates) between the indices of a type and the recorded ones
//! ```
//!
//! over the n evoked trials t of a batch; < > are running means over training steps ([`super::running`]): a batch shows a few directions, many
//! batches show all. They should span about as much time as the recordings of a unit (15 trials of 2 s in 8 directions), since the index of a
//! neuron is raised by the noise of its spikes in both.
//!
//! A batch tells nothing of an index where V_k is 0: one direction of both, two opposite ones of OSI. Each index then stands apart, with the
//! running means of the batches that tell something of it.
//!
//! *No pull on the rates.* <r_j> is held constant, and the derivatives of M by the r_jt of a neuron add up to 0.

use serde::{Deserialize, Serialize};

use super::rates::quantile_huber;
use super::running::{RunningMean, check_decay};
use super::seen::{Responses, Seeds, Seen};
use super::shares::SharesScene;
use super::targets::Recorded;
use super::term::{Context, Needs, SceneFacts, Term, TermScene, covered};
use crate::error::{Check, Result};

/// Numbers of a neuron that are averaged over steps for an index: its rate, then real and imaginary part of M_k.
const N_MEANS: usize = 3;
/// Least V_k from which a batch tells anything: of a single direction it is 0.
const LEAST_SPREAD: f64 = 1e-3;
/// Names of what is remembered for DSI and OSI.
const MEMORY: [&str; 2] = ["direction_hz", "orientation_hz"];

/// Quantile Huber loss between the OSI and DSI of a cell type's neurons and the recorded ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeuronSelectivityLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, by which a neuron's response is divided: a neuron that hardly fires has no index.
    #[serde(default = "fifth")]
    pub min_rate_hz: f64,
    /// Error of an index below which the loss is quadratic, in (0, 1].
    #[serde(default = "twentieth")]
    pub huber: f64,
    /// What the running means of each neuron's responses keep per training step, in [0, 1).
    #[serde(default = "default_response_decay")]
    pub mean_decay: f64,
    /// Share of each cell type in the term.
    #[serde(default = "SharesScene::per_neuron")]
    pub shares: SharesScene,
    /// Weight of the neurons outside the core, relative to those within, in [0, 1]: they are compared with the same recordings, apart.
    #[serde(default)]
    pub outside_core: f64,
}

fn fifth() -> f64 {
    0.2
}

fn twentieth() -> f64 {
    0.05
}

fn default_response_decay() -> f64 {
    0.95
}

impl TermScene for NeuronSelectivityLossScene {
    fn field(&self) -> &'static str {
        "neuron_selectivity"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        check.above("losses.neuron_selectivity.min_rate_hz", self.min_rate_hz, 0.0, 1e3, "Hz")?;
        check.above("losses.neuron_selectivity.huber", self.huber, 0.0, 1.0, "")?;
        check_decay(check, "losses.neuron_selectivity.mean_decay", self.mean_decay)?;
        check.within("losses.neuron_selectivity.outside_core", self.outside_core, 0.0, 1.0, "")?;
        // Recorded inputs of several contrasts come in any order.
        let n_contrasts = if scene.has_inputs { 1 } else { scene.n_contrasts.max(1) };
        let limit = || match n_contrasts {
            1 => "the selectivity of neurons needs at least two evoked trials".to_owned(),
            n => format!(
                "the selectivity of neurons needs at least two evoked trials of each of the {n} contrasts"
            ),
        };
        let enough = scene.n_evoked as usize >= 2 * n_contrasts;
        check.hold(enough, "trials.n_evoked", scene.n_evoked, limit)?;
        let n_directions = scene.n_directions.unwrap_or(usize::MAX);
        let limit = || {
            format!("the selectivity of neurons needs at least two directions at contrast {}", scene.contrast)
        };
        let field = if scene.has_inputs { "network.inputs" } else { "trials.grating.directions" };
        check.hold(n_directions > 1, field, format!("{n_directions} different directions"), limit)
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let groups_of = |by_type: &[Vec<usize>], whole: f64| -> Vec<Group> {
            let both = [&of.targets.dsi, &of.targets.osi];
            let of_index = |(k, recorded): (usize, &Vec<Recorded>)| self.groups(k, recorded, by_type, whole);
            both.into_iter().enumerate().flat_map(of_index).collect()
        };
        let mut groups = groups_of(of.core, 1.0);
        if groups.is_empty() {
            return Err(of.no_target(self, "selectivity indices"));
        }
        if self.outside_core > 0.0 {
            groups.extend(groups_of(of.outside, self.outside_core));
        }
        let means = [0, 1].map(|_| RunningMean::new(self.mean_decay, N_MEANS * of.network.neurons.len()));
        Ok(vec![Box::new(NeuronSelectivity { scene: *self, groups, means })])
    }
}

impl NeuronSelectivityLossScene {
    /// The groups of one index that have neurons among these, by cell type; their shares add up to `whole`.
    fn groups(&self, k: usize, recorded: &[Recorded], by_type: &[Vec<usize>], whole: f64) -> Vec<Group> {
        let pairs = recorded.iter().map(|r| (r, covered(&r.cell_types, by_type)));
        let (recorded, neurons): (Vec<_>, Vec<_>) = pairs.filter(|(_, n)| !n.is_empty()).unzip();
        let shares = self.shares.of(&neurons);
        let group = |((recorded, neurons), share): ((&Recorded, Vec<usize>), f64)| Group {
            target: recorded.quantiles.at_mid_levels(neurons.len()),
            neurons,
            harmonic: k,
            share: whole * share,
        };
        recorded.into_iter().zip(neurons).zip(shares).map(group).collect()
    }
}

/// The neurons that are compared with one recorded distribution of an index.
struct Group {
    /// Their indices.
    neurons: Vec<usize>,
    /// Which index: 0 DSI (k = 1), 1 OSI (k = 2).
    harmonic: usize,
    /// Recorded quantiles at the mid-levels, ascending, `[neurons]`.
    target: Vec<f64>,
    /// Their share in the term.
    share: f64,
}

/// The term of a network.
struct NeuronSelectivity {
    scene: NeuronSelectivityLossScene,
    groups: Vec<Group>,
    /// Of each neuron's rate and response M_k, Hz, `[n_neurons][N_MEANS]`, for k = 1, 2: over the batches that tell something of it.
    means: [RunningMean; 2],
}

impl NeuronSelectivity {
    /// Whether a batch tells nothing of any index that is compared.
    fn is_told_nothing(&self, told: &[Option<Harmonic>; 2]) -> bool {
        self.groups.iter().all(|group| told[group.harmonic].is_none())
    }
}

impl Term for NeuronSelectivity {
    fn name(&self) -> &'static str {
        "neuron_selectivity"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let responses = &seen.responses;
        let told = Harmonic::both(responses);
        if self.is_told_nothing(&told) {
            return None;
        }
        let n_trials = responses.trials.len();
        let rate_per_count = 1.0 / (1e-3 * responses.window_ms);
        let means = [0, 1].map(|k| told[k].as_ref().map(|h| self.means[k].with(&h.responses(responses))));
        seeds.counts = vec![0.0; responses.counts.len()];
        let mut total = 0.0;
        for Group { neurons, harmonic, target, share } in &self.groups {
            let (Some(told), Some(means)) = (&told[*harmonic], &means[*harmonic]) else { continue };
            let tuning = |neuron_ix: usize| -> (f64, [f64; 2], f64) {
                let own = &means[neuron_ix * N_MEANS..][..N_MEANS];
                (own[0].max(self.scene.min_rate_hz), [own[1], own[2]], own[1].hypot(own[2]))
            };
            let index = |neuron_ix: &usize| {
                let (norm_hz, _, size_hz) = tuning(*neuron_ix);
                size_hz / norm_hz
            };
            let indices: Vec<f64> = neurons.iter().map(index).collect();
            let (value, derivative) = quantile_huber(&indices, target, self.scene.huber);
            let scale = self.scene.weight * share;
            total += scale * value;
            for (&neuron_ix, derivative) in neurons.iter().zip(derivative) {
                let (norm_hz, [re, im], size_hz) = tuning(neuron_ix);
                if size_hz == 0.0 {
                    continue;
                }
                let by_count = scale * derivative / norm_hz * rate_per_count;
                for (trial_ix, [x, y]) in told.trials.iter().zip(&told.centred) {
                    seeds.counts[neuron_ix * n_trials + trial_ix] += by_count * (re * x + im * y) / size_hz;
                }
            }
        }
        Some(total)
    }

    fn blind_to(&self, responses: &Responses<'_, f64>) -> Option<&'static str> {
        let is_shown = !responses.trials_of_kind(true).is_empty();
        let is_blind = self.is_told_nothing(&Harmonic::both(responses));
        (is_shown && is_blind).then_some("its evoked trials show no two directions")
    }

    fn remember(&mut self, seen: &Seen<'_>) {
        for (mean, told) in self.means.iter_mut().zip(Harmonic::both(&seen.responses)) {
            if let Some(told) = told {
                mean.take(&told.responses(&seen.responses));
            }
        }
    }

    fn memory(&self) -> Vec<(&'static str, &[f64])> {
        let named = MEMORY.into_iter().zip(&self.means);
        named.filter_map(|(name, mean)| Some((name, mean.memory()?))).collect()
    }

    fn memory_mut(&mut self) -> Vec<(&'static str, &mut [f64])> {
        let named = MEMORY.into_iter().zip(&mut self.means);
        named.filter_map(|(name, mean)| Some((name, mean.memory_mut()?))).collect()
    }
}

/// What the directions of a batch tell of one index.
struct Harmonic {
    /// Its evoked trials.
    trials: Vec<usize>,
    /// (e_t - mean e) / (n V_k) of each of them, as [real, imaginary].
    centred: Vec<[f64; 2]>,
}

impl Harmonic {
    /// For k = 1, 2; None where V_k is 0: without evoked trials, of a single direction, and for k = 2 of two opposite ones.
    fn both(responses: &Responses<'_, f64>) -> [Option<Self>; 2] {
        let trials = responses.trials_of_kind(true);
        let n = trials.len() as f64;
        let degrees = trials.iter().map(|&t| responses.trials[t].direction_deg().unwrap_or(0.0));
        let angles: Vec<f64> = degrees.map(f64::to_radians).collect();
        [1.0, 2.0].map(|k| {
            let of_angle = |angle: &f64| (k * angle).sin_cos();
            let unit: Vec<[f64; 2]> = angles.iter().map(of_angle).map(|(sin, cos)| [cos, sin]).collect();
            let mean = [0, 1].map(|part| unit.iter().map(|e| e[part]).sum::<f64>() / n);
            let spread = 1.0 - mean[0] * mean[0] - mean[1] * mean[1];
            let of_trial = |e: &[f64; 2]| [0, 1].map(|part| (e[part] - mean[part]) / (n * spread));
            // Not a number without trials.
            (spread >= LEAST_SPREAD)
                .then(|| Self { trials: trials.clone(), centred: unit.iter().map(of_trial).collect() })
        })
    }

    /// Rate and M_k of each neuron in this batch, Hz, `[n_neurons][N_MEANS]`.
    fn responses(&self, responses: &Responses<'_, f64>) -> Vec<f64> {
        let n_neurons = responses.counts.len() / responses.trials.len().max(1);
        let mut all = vec![0.0; N_MEANS * n_neurons];
        for (neuron_ix, own) in all.chunks_exact_mut(N_MEANS).enumerate() {
            for (&trial_ix, vector) in self.trials.iter().zip(&self.centred) {
                let hz = responses.rate_hz(neuron_ix, trial_ix);
                own[0] += hz / self.trials.len() as f64;
                own[1] += hz * vector[0];
                own[2] += hz * vector[1];
            }
        }
        all
    }
}

//! Orientation and direction selectivity of a cell type as a crowd.
//!
//! A neuron with preferred direction phi that fires at r(theta) under a grating of direction theta has, over evenly spaced
//! directions, the indices OSI = |sum r e^{2i(theta - phi)}| / sum r and DSI = |sum r e^{i(theta - phi)}| / sum r. A batch
//! shows only a few directions, too few for any one neuron; but the preferred directions of a cell type's neurons go round
//! the circle, so the type's sum over neurons takes the place of the sum over directions:
//!
//! ```text
//! w_jt = rate_jt / max(m_j, min_rate)       e_jt = e^{k i (theta_t - phi_j)},  k = 1, 2
//! W    = max(sum_jt m_j / max(m_j, min_rate), 0.05 N)
//! z_k  = sum_jt w_jt (e_jt - mean e) / (W V_k),     V_k = mean |e_jt - mean e|^2
//! L    = |z_2 - mean OSI|^2 + |z_1 - mean DSI|^2
//! ```
//!
//! over the N pairs of a neuron of the crowd and an evoked trial, with m_j the running mean of the neuron's evoked rate, this batch
//! included. Dividing by m_j makes z_2 the plain mean of the neurons' OSI: without it the fast neurons alone would be the crowd.
//!
//! *No pull on the rates.* m_j, and W with it, is held constant: z_k is a covariance of responses and directions, and its derivatives by
//! the w_jt of a crowd add up to 0 in every batch. The term moves spikes from one direction to another and leaves their number to the other
//! terms. The ratio sum w e / sum w, differentiated through its denominator too, would ask for less firing off the preferred direction
//! wherever 0 < z < target, from every neuron.
//!
//! V_k is 1 where the directions from the neurons' own go round the circle evenly; where a batch shows few directions to few neurons, it
//! says how much of the circle they saw. The imaginary parts, which are 0 when the tuning of the crowd is centred on the assigned
//! directions, are held at 0. The floor of W gives a silent type a finite derivative: towards firing at the preferred direction.
//!
//! *Groups.* A crowd says how tuned its neurons are in the mean; recorded types have weakly and strongly tuned neurons side by side. With
//! `groups: G` each type's neurons are put in G groups for OSI and in G others for DSI, and the g-th is compared with the mean of the g-th
//! G-tile of the recorded distribution, so that the distribution's width is trained too. Which neuron is in which group is fixed: the n-th
//! of the type in n mod G for OSI, in (n / G) mod G for DSI.
//!
//! *Running means.* The numerators and V_k may be running means over training steps ([`super::running`]): a batch's z_k is noisy, and the
//! square of its distance would mostly ask for less noise.
//!
//! The crowd is that of the published training of this network, which has a ratio per trial. Unlike an index of a single neuron, z_k is
//! not pushed up by noise.

use serde::{Deserialize, Serialize};

use super::running::{RunningMean, check_decay};
use super::seen::{Responses, Seeds, Seen};
use super::shares::SharesScene;
use super::statistics::Quantiles;
use super::term::{Context, Needs, SceneFacts, Term, TermScene, covered, least_rate_hz};
use crate::error::{Check, Result};

/// Least mean of m / max(m, min_rate) in a crowd, dimensionless: the crowd then fires at a twentieth of its usual rate.
const CROWD_FLOOR: f64 = 0.05;
/// Least V_k from which a batch tells anything: of one neuron in one trial it is 0.
const LEAST_SPREAD: f64 = 1e-3;
/// Numbers of a crowd that are averaged over steps: real and imaginary part of the numerator, and V_k.
const N_SUMS: usize = 3;
/// Most groups of a type.
const MAX_GROUPS: u32 = 20;

/// Loss on orientation and direction selectivity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectivityLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, by which a neuron's response is divided: it bounds the say of neurons that hardly fire.
    #[serde(default = "least_rate_hz")]
    pub min_rate_hz: f64,
    /// What the running mean of each neuron's rate, by which its response is divided, keeps per training step, in [0, 1).
    #[serde(default = "default_rate_mean_decay")]
    pub rate_mean_decay: f64,
    /// What the running mean of each type's selectivity, which is compared, keeps per training step, in [0, 1). 0 compares that of the
    /// step alone.
    #[serde(default)]
    pub mean_decay: f64,
    /// Share of each cell type in the term.
    #[serde(default = "SharesScene::per_neuron")]
    pub shares: SharesScene,
    /// Groups of each type's neurons, 1..=20, each held at the mean of its part of the recorded distribution; 1 holds the type's mean alone.
    #[serde(default = "one")]
    pub groups: u32,
    /// Weight of the neurons outside the core, relative to those within, in [0, 1]: they are compared with the same recordings, apart.
    #[serde(default)]
    pub outside_core: f64,
}

fn default_rate_mean_decay() -> f64 {
    0.95
}

fn one() -> u32 {
    1
}

impl TermScene for SelectivityLossScene {
    fn field(&self) -> &'static str {
        "selectivity"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        check.above("losses.selectivity.min_rate_hz", self.min_rate_hz, 0.0, 1e3, "Hz")?;
        check_decay(check, "losses.selectivity.rate_mean_decay", self.rate_mean_decay)?;
        check_decay(check, "losses.selectivity.mean_decay", self.mean_decay)?;
        let limit = || format!("must be within 1..={MAX_GROUPS}");
        let groups = self.groups;
        check.hold((1..=MAX_GROUPS).contains(&groups), "losses.selectivity.groups", groups, limit)?;
        check.within("losses.selectivity.outside_core", self.outside_core, 0.0, 1.0, "")?;
        let limit = || "the selectivity loss needs at least one evoked trial".to_owned();
        check.hold(scene.n_evoked > 0, "trials.n_evoked", scene.n_evoked, limit)
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let mut crowds = self.crowds(of, of.core, 1.0);
        if crowds.is_empty() {
            return Err(of.no_target(self, "selectivity indices"));
        }
        if self.outside_core > 0.0 {
            crowds.extend(self.crowds(of, of.outside, self.outside_core));
        }
        let neurons = &of.network.neurons;
        Ok(vec![Box::new(Selectivity {
            scene: *self,
            preferred: neurons.tuning_angle_deg.iter().map(|deg| harmonics(-f64::from(*deg))).collect(),
            rate_mean: RunningMean::new(self.rate_mean_decay, neurons.len()),
            crowd_mean: RunningMean::new(self.mean_decay, N_SUMS * crowds.len()),
            crowds,
        })])
    }
}

impl SelectivityLossScene {
    /// The crowds that have neurons among these, by cell type; their shares add up to `whole` for each harmonic.
    fn crowds(&self, of: &Context<'_>, by_type: &[Vec<usize>], whole: f64) -> Vec<Crowd> {
        let mut recorded = Vec::new();
        let mut types = Vec::new();
        for osi in &of.targets.osi {
            let neurons = covered(&osi.cell_types, by_type);
            let dsi = of.targets.dsi.iter().find(|dsi| dsi.cell_types == osi.cell_types);
            if let (Some(dsi), false) = (dsi, neurons.is_empty()) {
                recorded.push([&dsi.quantiles, &osi.quantiles]);
                types.push(neurons);
            }
        }
        let shares = self.shares.of(&types);
        let each = types.iter().zip(&recorded).zip(shares);
        each.flat_map(|((neurons, of_type), share)| self.groups_of(neurons, *of_type, whole * share))
            .collect()
    }

    /// The crowds of one type, both harmonics of a group one after the other; their shares add up to `share` for each harmonic.
    fn groups_of(&self, neurons: &[usize], recorded: [&Quantiles; 2], share: f64) -> Vec<Crowd> {
        // A type of few neurons has no more groups than neurons.
        let n_groups = (self.groups as usize).min(neurons.len());
        let crowd = |(group, k): (usize, usize)| {
            let stride = [n_groups, 1][k];
            let own = neurons.iter().enumerate().filter(|(nth, _)| nth / stride % n_groups == group);
            let neurons_of: Vec<usize> = own.map(|(_, neuron_ix)| *neuron_ix).collect();
            let part = [group, group + 1].map(|edge| edge as f64 / n_groups as f64);
            let share = share * neurons_of.len() as f64 / neurons.len() as f64;
            Crowd { neurons: neurons_of, harmonic: k, target: recorded[k].mean_between(part), share }
        };
        let all = (0..n_groups).flat_map(|group| [(group, 0), (group, 1)]);
        all.map(crowd).filter(|crowd| !crowd.neurons.is_empty()).collect()
    }
}

/// A crowd: neurons that are compared with a recorded distribution, or with a part of it.
struct Crowd {
    /// Their indices.
    neurons: Vec<usize>,
    /// Which harmonic: 0 direction (k = 1), 1 orientation (k = 2).
    harmonic: usize,
    /// Recorded mean of DSI or OSI: the target of z_k.
    target: f64,
    /// Their share in the term.
    share: f64,
}

/// The term of a network.
struct Selectivity {
    scene: SelectivityLossScene,
    crowds: Vec<Crowd>,
    /// e^{-i k phi} of each neuron, `[n_neurons]`.
    preferred: Vec<[[f64; 2]; 2]>,
    /// Of each neuron's evoked rate, Hz, `[n_neurons]`.
    rate_mean: RunningMean,
    /// Of what is averaged of each crowd, `[n_crowds][N_SUMS]`.
    crowd_mean: RunningMean,
}

impl Term for Selectivity {
    fn name(&self) -> &'static str {
        "selectivity"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let batch = Batch::of(self, &seen.responses)?;
        let own: Vec<CrowdSums> = self.crowds.iter().map(|crowd| batch.sums(crowd)).collect();
        let flat: Vec<f64> = own.iter().flat_map(CrowdSums::flat).collect();
        let means = self.crowd_mean.with(&flat);
        seeds.counts = vec![0.0; seen.responses.counts.len()];
        let mut total = 0.0;
        for ((crowd, own), mean) in self.crowds.iter().zip(&own).zip(means.chunks_exact(N_SUMS)) {
            let scale = self.scene.weight * crowd.share;
            let spread = mean[2];
            if spread < LEAST_SPREAD {
                continue;
            }
            let off = [mean[0] / spread - crowd.target, mean[1] / spread];
            total += scale * (off[0] * off[0] + off[1] * off[1]);
            batch.add_seeds(crowd, own, off.map(|part| 2.0 * scale * part / spread), &mut seeds.counts);
        }
        Some(total)
    }

    fn remember(&mut self, seen: &Seen<'_>) {
        let Some(batch) = Batch::of(self, &seen.responses) else { return };
        let flat: Vec<f64> = self.crowds.iter().flat_map(|crowd| batch.sums(crowd).flat()).collect();
        let rates_hz = seen.responses.mean_rates_hz(&batch.trials);
        self.crowd_mean.take(&flat);
        self.rate_mean.take(&rates_hz);
    }

    fn memory(&self) -> Vec<(&'static str, &[f64])> {
        let of_rates = self.rate_mean.memory().map(|sums| ("rate_mean_hz", sums));
        of_rates.into_iter().chain(self.crowd_mean.memory().map(|sums| ("crowds", sums))).collect()
    }

    fn memory_mut(&mut self) -> Vec<(&'static str, &mut [f64])> {
        let of_rates = self.rate_mean.memory_mut().map(|sums| ("rate_mean_hz", sums));
        of_rates.into_iter().chain(self.crowd_mean.memory_mut().map(|sums| ("crowds", sums))).collect()
    }
}

/// The evoked trials of a batch, as the term looks at them.
struct Batch<'a> {
    responses: &'a Responses<'a, f64>,
    trials: Vec<usize>,
    /// e^{i k theta} of each of them.
    directions: Vec<[[f64; 2]; 2]>,
    /// e^{-i k phi} of each neuron.
    preferred: &'a [[[f64; 2]; 2]],
    /// Running mean of each neuron's rate, this batch included, Hz.
    mean_hz: Vec<f64>,
    min_rate_hz: f64,
}

/// What a batch says of a crowd; complex numbers as [real, imaginary].
struct CrowdSums {
    /// Sum of w (e - mean e), over W.
    numerator: [f64; 2],
    /// V_k.
    spread: f64,
    /// Mean of e.
    centre: [f64; 2],
    /// W.
    whole: f64,
}

impl CrowdSums {
    fn flat(&self) -> [f64; N_SUMS] {
        [self.numerator[0], self.numerator[1], self.spread]
    }
}

/// e^{i k angle} for k = 1, 2, each as [real, imaginary].
fn harmonics(angle_deg: f64) -> [[f64; 2]; 2] {
    [1.0, 2.0].map(|k| [(k * angle_deg).to_radians().cos(), (k * angle_deg).to_radians().sin()])
}

impl<'a> Batch<'a> {
    /// None without evoked trials.
    fn of(term: &'a Selectivity, responses: &'a Responses<'a, f64>) -> Option<Self> {
        let trials = responses.trials_of_kind(true);
        if trials.is_empty() {
            return None;
        }
        let mean_hz = term.rate_mean.with(&responses.mean_rates_hz(&trials));
        let direction_deg = |trial_ix: &usize| responses.trials[*trial_ix].direction_deg().unwrap_or(0.0);
        let directions = trials.iter().map(|trial_ix| harmonics(direction_deg(trial_ix))).collect();
        let (preferred, min_rate_hz) = (term.preferred.as_slice(), term.scene.min_rate_hz);
        Some(Self { responses, trials, directions, preferred, mean_hz, min_rate_hz })
    }

    fn norm_hz(&self, neuron_ix: usize) -> f64 {
        self.mean_hz[neuron_ix].max(self.min_rate_hz)
    }

    /// All (neuron, trial) of a crowd with e^{i k delta} of its harmonic.
    fn each(&self, crowd: &'a Crowd) -> impl Iterator<Item = (usize, usize, [f64; 2])> + '_ {
        let product = |[a, b]: [f64; 2], [c, d]: [f64; 2]| [a * c - b * d, a * d + b * c];
        crowd.neurons.iter().flat_map(move |&neuron_ix| {
            let own = self.preferred[neuron_ix][crowd.harmonic];
            let trials = self.trials.iter().zip(&self.directions);
            trials.map(move |(&trial_ix, shown)| (neuron_ix, trial_ix, product(own, shown[crowd.harmonic])))
        })
    }

    fn sums(&self, crowd: &'a Crowd) -> CrowdSums {
        let n = (crowd.neurons.len() * self.trials.len()) as f64;
        let (mut sum_w, mut sum_e, mut sum_we) = (0.0, [0.0; 2], [0.0; 2]);
        for (neuron_ix, trial_ix, vector) in self.each(crowd) {
            let w = self.responses.rate_hz(neuron_ix, trial_ix) / self.norm_hz(neuron_ix);
            sum_w += w;
            for part in 0..2 {
                sum_e[part] += vector[part];
                sum_we[part] += w * vector[part];
            }
        }
        let centre = sum_e.map(|part| part / n);
        let usual = crowd.neurons.iter().map(|&i| self.mean_hz[i] / self.norm_hz(i)).sum::<f64>();
        let whole = (usual * self.trials.len() as f64).max(CROWD_FLOOR * n);
        let numerator = [0, 1].map(|part| (sum_we[part] - sum_w * centre[part]) / whole);
        // |e| is 1.
        let spread = 1.0 - centre[0] * centre[0] - centre[1] * centre[1];
        CrowdSums { numerator, spread, centre, whole }
    }

    /// Adds the derivatives by the counts of a loss with these derivatives by the numerator.
    fn add_seeds(&self, crowd: &'a Crowd, own: &CrowdSums, by_numerator: [f64; 2], seeds: &mut [f64]) {
        let rate_per_count = 1.0 / (1e-3 * self.responses.window_ms);
        let n_trials = self.responses.trials.len();
        for (neuron_ix, trial_ix, vector) in self.each(crowd) {
            let by_w: f64 = (0..2).map(|part| by_numerator[part] * (vector[part] - own.centre[part])).sum();
            seeds[neuron_ix * n_trials + trial_ix] +=
                by_w / own.whole * rate_per_count / self.norm_hz(neuron_ix);
        }
    }
}

//! Orientation and direction selectivity of a cell type as a crowd.
//!
//! A neuron with preferred direction phi that fires at r(theta) under a grating of direction theta has, over evenly spaced
//! directions, the indices OSI = |sum r e^{2i(theta - phi)}| / sum r and DSI = |sum r e^{i(theta - phi)}| / sum r. A batch
//! shows only a few directions, too few for any one neuron; but the preferred directions of a cell type's neurons go round
//! the circle, so the type's sum over neurons takes the place of the sum over directions:
//!
//! ```text
//! w_jt = rate_jt / max(m_j, min_rate)       delta_jt = theta_t - phi_j
//! W    = max(sum_jt w_jt, 0.05 n)           z_k = (1/W) sum_jt w_jt e^{k i delta_jt},   k = 1, 2
//! L    = |z_2 - mean OSI|^2 + |z_1 - mean DSI|^2
//! ```
//!
//! with n the number of terms in the sum, m_j the running mean of the neuron's evoked rate over past training steps, a
//! constant here: without it the fast neurons alone would be the crowd. With it z_2 is the plain mean of the neurons' OSI.
//! The imaginary parts, which are 0 when the tuning of the crowd is centred on the assigned directions, are held at 0. The
//! floor of W gives a silent type a finite derivative: towards firing at the preferred direction.
//!
//! This is the crowd form of the published training of this network, there with a ratio per trial. The ratio of sums
//! taken here has less bias in types of few neurons. Unlike an index of a single neuron, z_k is not pushed up by noise.

use serde::{Deserialize, Serialize};

use super::seen::{Responses, Seeds, Seen};
use super::shares::SharesScene;
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use crate::error::{Check, Result};

/// Least mean of w in a crowd, dimensionless: the crowd then fires at a twentieth of its usual rate.
const CROWD_FLOOR: f64 = 0.05;

/// Loss on orientation and direction selectivity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectivityLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, by which a neuron's response is divided: it bounds the say of neurons that hardly fire.
    #[serde(default = "half")]
    pub min_rate_hz: f64,
    /// What the running mean of each neuron's rate keeps per training step, in [0, 1).
    #[serde(default = "default_rate_mean_decay")]
    pub rate_mean_decay: f64,
    /// Share of each cell type in the term.
    #[serde(default = "per_neuron")]
    pub shares: SharesScene,
}

fn half() -> f64 {
    0.5
}

fn default_rate_mean_decay() -> f64 {
    0.95
}

fn per_neuron() -> SharesScene {
    SharesScene::PerNeuron
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
        let decay = self.rate_mean_decay;
        let limit = || "must be from 0 to less than 1".to_owned();
        check.hold((0.0..1.0).contains(&decay), "losses.selectivity.rate_mean_decay", decay, limit)?;
        let limit = || "the selectivity loss needs at least one evoked trial".to_owned();
        check.hold(scene.n_evoked > 0, "trials.n_evoked", scene.n_evoked, limit)
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let mut means = Vec::new();
        let mut groups = Vec::new();
        for osi in &of.targets.osi {
            let neurons = of.covered(&osi.cell_types);
            let dsi = of.targets.dsi.iter().find(|dsi| dsi.cell_types == osi.cell_types);
            if let (Some(dsi), false) = (dsi, neurons.is_empty()) {
                means.push([dsi.quantiles.mean(), osi.quantiles.mean()]);
                groups.push(neurons);
            }
        }
        if groups.is_empty() {
            return Err(of.no_target(self, "selectivity indices"));
        }
        let shares = self.shares.of(&groups);
        let crowd = |((neurons, target), share)| Crowd { neurons, target, share };
        Ok(vec![Box::new(Selectivity {
            scene: *self,
            crowds: groups.into_iter().zip(means).zip(shares).map(crowd).collect(),
            tuning_angle_deg: of.network.neurons.tuning_angle_deg.clone(),
            rate_mean_hz: vec![0.0; of.network.neurons.len()],
        })])
    }
}

/// A crowd: the neurons that one pair of recorded distributions covers.
struct Crowd {
    /// Their indices.
    neurons: Vec<usize>,
    /// Recorded means of DSI and OSI: the targets of z_1 and z_2.
    target: [f64; 2],
    /// Their share in the term.
    share: f64,
}

/// The term of a network.
struct Selectivity {
    scene: SelectivityLossScene,
    crowds: Vec<Crowd>,
    /// Preferred direction of each neuron, degrees, `[n_neurons]`.
    tuning_angle_deg: Vec<f32>,
    /// Running mean of each neuron's evoked rate over the training steps before, Hz, `[n_neurons]`. It starts at 0, where the floor
    /// weighs all neurons alike.
    rate_mean_hz: Vec<f64>,
}

impl Term for Selectivity {
    fn name(&self) -> &'static str {
        "selectivity"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let trials = seen.responses.trials_of_kind(true);
        if trials.is_empty() {
            return None;
        }
        seeds.counts = vec![0.0; seen.responses.counts.len()];
        let each = self.crowds.iter();
        Some(each.map(|crowd| self.of_crowd(crowd, &seen.responses, &trials, &mut seeds.counts)).sum())
    }

    fn remember(&mut self, seen: &Seen<'_>) {
        let trials = seen.responses.trials_of_kind(true);
        if trials.is_empty() {
            return;
        }
        let decay = self.scene.rate_mean_decay;
        for (neuron_ix, mean_hz) in self.rate_mean_hz.iter_mut().enumerate() {
            *mean_hz = decay * *mean_hz + (1.0 - decay) * seen.responses.mean_rate_hz(neuron_ix, &trials);
        }
    }

    fn memory(&self) -> Vec<(&'static str, &[f64])> {
        vec![("rate_mean_hz", &self.rate_mean_hz)]
    }

    fn memory_mut(&mut self) -> Vec<(&'static str, &mut [f64])> {
        vec![("rate_mean_hz", &mut self.rate_mean_hz)]
    }
}

impl Selectivity {
    /// Value of a crowd; its derivatives are added to `seeds`, `[n_neurons][n_trials]`.
    fn of_crowd(
        &self,
        crowd: &Crowd,
        responses: &Responses<'_, f64>,
        trials: &[usize],
        seeds: &mut [f64],
    ) -> f64 {
        let rate_per_count = 1.0 / (1e-3 * responses.window_ms);
        let norm_hz = |neuron_ix: usize| self.rate_mean_hz[neuron_ix].max(self.scene.min_rate_hz);
        let each = || crowd.neurons.iter().flat_map(|&neuron_ix| trials.iter().map(move |&t| (neuron_ix, t)));
        // Unit vectors e^{i delta} and e^{2i delta} of a neuron in a trial, each as [cos, sin].
        let vectors = |neuron_ix: usize, trial_ix: usize| {
            let theta = responses.trials[trial_ix].direction_deg().unwrap_or(0.0);
            let delta = (theta - f64::from(self.tuning_angle_deg[neuron_ix])).to_radians();
            [1.0, 2.0].map(|k| [(k * delta).cos(), (k * delta).sin()])
        };
        let mut sum_w = 0.0;
        let mut sums = [[0.0; 2]; 2];
        for (neuron_ix, trial_ix) in each() {
            let w = responses.rate_hz(neuron_ix, trial_ix) / norm_hz(neuron_ix);
            sum_w += w;
            for (sum, vector) in sums.iter_mut().flatten().zip(vectors(neuron_ix, trial_ix).iter().flatten())
            {
                *sum += w * vector;
            }
        }
        let floor = CROWD_FLOOR * (crowd.neurons.len() * trials.len()) as f64;
        let whole = sum_w.max(floor);
        let z = sums.map(|sum| sum.map(|part| part / whole));
        let off: [[f64; 2]; 2] = [[z[0][0] - crowd.target[0], z[0][1]], [z[1][0] - crowd.target[1], z[1][1]]];
        let scale = self.scene.weight * crowd.share;
        let value = scale * off.iter().flatten().map(|part| part * part).sum::<f64>();
        // dz/dw = (vector - z) / W, and vector / W where the floor holds W fixed.
        let through_whole: f64 = match sum_w > floor {
            true => off.iter().flatten().zip(z.iter().flatten()).map(|(o, z)| o * z).sum(),
            false => 0.0,
        };
        for (neuron_ix, trial_ix) in each() {
            let vectors = vectors(neuron_ix, trial_ix);
            let along: f64 = off.iter().flatten().zip(vectors.iter().flatten()).map(|(o, v)| o * v).sum();
            let by_w = 2.0 * scale * (along - through_whole) / whole;
            seeds[neuron_ix * responses.trials.len() + trial_ix] +=
                by_w * rate_per_count / norm_hz(neuron_ix);
        }
        value
    }
}

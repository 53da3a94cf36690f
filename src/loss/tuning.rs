//! Direction tuning: the mean curve of a cell type, in Hz, about each neuron's own preferred direction.
//!
//! The recordings give rate, DSI and OSI of each unit, which are the mean and the first two harmonics of its curve; with both
//! harmonics peaking at the preferred direction, the mean over units is
//!
//! ```text
//! T(d) = max(0, R [1 + 2 D cos d + 2 O cos 2d])      R = mean r_u,  D = sum r_u DSI_u / sum r_u,  O = sum r_u OSI_u / sum r_u
//! ```
//!
//! A batch shows few directions, but the preferred directions of a type go round the circle. Each response (neuron j, trial t) is put in the
//! one of eight bins of 45 deg about d = 0, 45, .. that holds d_jt = theta_t - phi_j, and
//!
//! ```text
//! L = sum over types of share sum over bins b of (n_b / n) [(mean_b rate - mean_b T(d_jt)) / max(R, min_rate)]^2
//! ```
//!
//! with n_b of the n responses in bin b. Comparing with the mean of T over the same responses takes the width of the bins out. The
//! selectivity term ([`super::selectivity`]) asks for the unweighted mean of the indices whatever the rates; this one asks for the curve in
//! Hz, to which fast neurons contribute more, in the recordings as in the model.

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::shares::SharesScene;
use super::targets::TuningTarget;
use super::term::{Context, Needs, SceneFacts, Term, TermScene, least_rate_hz};
use crate::error::{Check, Result};

/// Bins of direction about the preferred one.
pub const N_BINS: usize = 8;

/// Loss on the mean direction tuning curve of each cell type, in units of its recorded rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuningLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, that the difference between curves is divided by: it bounds the say of types that hardly fire.
    #[serde(default = "least_rate_hz")]
    pub min_rate_hz: f64,
    /// Share of each cell type in the term.
    #[serde(default = "SharesScene::per_type")]
    pub shares: SharesScene,
}

impl TermScene for TuningLossScene {
    fn field(&self) -> &'static str {
        "tuning"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        check.above("losses.tuning.min_rate_hz", self.min_rate_hz, 0.0, 1e3, "Hz")?;
        let limit = || "the tuning loss needs at least one evoked trial".to_owned();
        check.hold(scene.n_evoked > 0, "trials.n_evoked", scene.n_evoked, limit)
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let found = of.targets.tuning.iter().map(|t| (t, of.covered(&t.cell_types)));
        let (targets, groups): (Vec<_>, Vec<_>) = found.filter(|(_, n)| !n.is_empty()).unzip();
        if groups.is_empty() {
            return Err(of.no_target(self, "a tuning curve"));
        }
        let shares = self.shares.of(&groups);
        let group = |((target, neurons), share): ((&TuningTarget, _), _)| Group {
            neurons,
            target: target.clone(),
            share,
        };
        Ok(vec![Box::new(Tuning {
            scene: *self,
            groups: targets.into_iter().zip(groups).zip(shares).map(group).collect(),
            tuning_angle_deg: of.network.neurons.tuning_angle_deg.clone(),
        })])
    }
}

/// The neurons that are compared with one recorded curve.
struct Group {
    neurons: Vec<usize>,
    target: TuningTarget,
    share: f64,
}

/// Bin of an angle from the preferred direction, deg: 0 is within 22.5 deg of it, 1 about +45 deg, and so on.
pub fn bin_of(delta_deg: f64) -> usize {
    let width_deg = 360.0 / N_BINS as f64;
    (delta_deg / width_deg).round().rem_euclid(N_BINS as f64) as usize % N_BINS
}

/// The term of a network.
struct Tuning {
    scene: TuningLossScene,
    groups: Vec<Group>,
    /// Preferred direction of each neuron, degrees, `[n_neurons]`.
    tuning_angle_deg: Vec<f32>,
}

impl Term for Tuning {
    fn name(&self) -> &'static str {
        "tuning"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let responses = &seen.responses;
        let trials = responses.trials_of_kind(true);
        if trials.is_empty() {
            return None;
        }
        seeds.counts = vec![0.0; responses.counts.len()];
        let rate_per_count = 1.0 / (1e-3 * responses.window_ms);
        let mut total = 0.0;
        for Group { neurons, target, share } in &self.groups {
            let each = || neurons.iter().flat_map(|&neuron_ix| trials.iter().map(move |&t| (neuron_ix, t)));
            let delta_deg = |neuron_ix: usize, trial_ix: usize| {
                let theta_deg = responses.trials[trial_ix].direction_deg().unwrap_or(0.0);
                theta_deg - f64::from(self.tuning_angle_deg[neuron_ix])
            };
            // Sum over each bin of rate - target, Hz, and its number of responses.
            let mut bins = [(0.0, 0usize); N_BINS];
            for (neuron_ix, trial_ix) in each() {
                let delta_deg = delta_deg(neuron_ix, trial_ix);
                let bin = &mut bins[bin_of(delta_deg)];
                bin.0 += responses.rate_hz(neuron_ix, trial_ix) - target.rate_at_hz(delta_deg);
                bin.1 += 1;
            }
            let n = (neurons.len() * trials.len()) as f64;
            let scale = self.scene.weight * share / (n * target.rate_hz.max(self.scene.min_rate_hz).powi(2));
            let off_hz = bins.map(|(sum, n_b)| sum / n_b.max(1) as f64);
            total +=
                scale * bins.iter().zip(off_hz).map(|((_, n_b), off)| *n_b as f64 * off * off).sum::<f64>();
            for (neuron_ix, trial_ix) in each() {
                let off_hz = off_hz[bin_of(delta_deg(neuron_ix, trial_ix))];
                seeds.counts[neuron_ix * responses.trials.len() + trial_ix] +=
                    2.0 * scale * off_hz * rate_per_count;
            }
        }
        Some(total)
    }
}

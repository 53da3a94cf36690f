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

use super::targets::TuningTarget;
use super::{Responses, covered, shares};
use crate::scene::{CurveLossScene, SharesScene};

/// Bins of direction about the preferred one.
pub const N_BINS: usize = 8;

/// The neurons that are compared with one recorded curve.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningGroup {
    neurons: Vec<usize>,
    target: TuningTarget,
    share: f64,
}

/// The groups that have neurons.
pub(super) fn pair(by: SharesScene, targets: &[TuningTarget], core: &[Vec<usize>]) -> Vec<TuningGroup> {
    let found = targets.iter().map(|t| (t, covered(&t.cell_types, core))).filter(|(_, n)| !n.is_empty());
    let (targets, groups): (Vec<_>, Vec<_>) = found.unzip();
    let shares = shares(by, &groups);
    let group = |((target, neurons), share): ((&TuningTarget, _), _)| TuningGroup {
        neurons,
        target: target.clone(),
        share,
    };
    targets.into_iter().zip(groups).zip(shares).map(group).collect()
}

/// Bin of an angle from the preferred direction, deg: 0 is within 22.5 deg of it, 1 about +45 deg, and so on.
pub fn bin_of(delta_deg: f64) -> usize {
    let width_deg = 360.0 / N_BINS as f64;
    (delta_deg / width_deg).round().rem_euclid(N_BINS as f64) as usize % N_BINS
}

/// Value of the term; its derivatives are added to `seeds`, `[n_neurons][n_trials]`.
pub(super) fn add_term<C: Copy + Into<f64>>(
    term: &CurveLossScene,
    groups: &[TuningGroup],
    tuning_angle_deg: &[f32],
    responses: &Responses<'_, C>,
    trials: &[usize],
    seeds: &mut [f64],
) -> f64 {
    let rate_per_count = 1.0 / (1e-3 * responses.window_ms);
    let mut total = 0.0;
    for TuningGroup { neurons, target, share } in groups {
        let each = || neurons.iter().flat_map(|&neuron_ix| trials.iter().map(move |&t| (neuron_ix, t)));
        let delta_deg = |neuron_ix: usize, trial_ix: usize| {
            let theta_deg = responses.trials[trial_ix].direction_deg().unwrap_or(0.0);
            theta_deg - f64::from(tuning_angle_deg[neuron_ix])
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
        let scale = term.weight * share / (n * target.rate_hz.max(term.min_rate_hz).powi(2));
        let off_hz = bins.map(|(sum, n_b)| sum / n_b.max(1) as f64);
        total += scale * bins.iter().zip(off_hz).map(|((_, n_b), off)| *n_b as f64 * off * off).sum::<f64>();
        for (neuron_ix, trial_ix) in each() {
            let off_hz = off_hz[bin_of(delta_deg(neuron_ix, trial_ix))];
            seeds[neuron_ix * responses.trials.len() + trial_ix] += 2.0 * scale * off_hz * rate_per_count;
        }
    }
    total
}

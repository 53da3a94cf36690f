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

use super::targets::FunctionTargets;
use super::{Responses, covered, shares};
use crate::scene::{SelectivityLossScene, SharesScene};

/// Least mean of w in a crowd, dimensionless: the crowd then fires at a twentieth of its usual rate.
const CROWD_FLOOR: f64 = 0.05;

/// A crowd: the neurons that one pair of recorded distributions covers.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectivityGroup {
    /// Their indices.
    neurons: Vec<usize>,
    /// Recorded means of DSI and OSI: the targets of z_1 and z_2.
    target: [f64; 2],
    /// Their share in the term.
    share: f64,
}

/// Who makes up the crowds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd<'a> {
    /// The crowds.
    pub(super) groups: &'a [SelectivityGroup],
    /// Preferred direction of each neuron, degrees, `[n_neurons]`.
    pub(super) tuning_angle_deg: &'a [f32],
    /// Running mean of each neuron's evoked rate, Hz, `[n_neurons]`.
    pub(super) rate_mean_hz: &'a [f32],
}

/// The groups that have neurons and both indices.
pub(super) fn pair(by: SharesScene, targets: &FunctionTargets, core: &[Vec<usize>]) -> Vec<SelectivityGroup> {
    let mut means = Vec::new();
    let mut groups = Vec::new();
    for osi in &targets.osi {
        let neurons = covered(&osi.cell_types, core);
        let dsi = targets.dsi.iter().find(|dsi| dsi.cell_types == osi.cell_types);
        if let (Some(dsi), false) = (dsi, neurons.is_empty()) {
            means.push([dsi.quantiles.mean(), osi.quantiles.mean()]);
            groups.push(neurons);
        }
    }
    let shares = shares(by, &groups);
    let group = |((neurons, target), share)| SelectivityGroup { neurons, target, share };
    groups.into_iter().zip(means).zip(shares).map(group).collect()
}

/// Moves the running mean of every neuron's evoked rate, Hz, by one batch: call it after the losses of that batch. It
/// starts at 0, where the floor of the term weighs all neurons alike. A batch without evoked trials leaves it. It is part of
/// what a checkpoint keeps, in the 32 bits that a checkpoint has, so that a resumed run repeats the run it continues.
pub fn update_rate_mean<C: Copy + Into<f64>>(
    rate_mean_hz: &mut [f32],
    term: &SelectivityLossScene,
    responses: &Responses<'_, C>,
) {
    let trials = responses.trials_of_kind(true);
    if trials.is_empty() {
        return;
    }
    let decay = term.rate_mean_decay;
    for (neuron_ix, mean_hz) in rate_mean_hz.iter_mut().enumerate() {
        let moved = decay * f64::from(*mean_hz) + (1.0 - decay) * responses.mean_rate_hz(neuron_ix, &trials);
        *mean_hz = moved as f32;
    }
}

/// Value of the term; its derivatives are added to `seeds`, `[n_neurons][n_trials]`.
pub(super) fn add_term<C: Copy + Into<f64>>(
    term: &SelectivityLossScene,
    crowd: &Crowd<'_>,
    responses: &Responses<'_, C>,
    trials: &[usize],
    seeds: &mut [f64],
) -> f64 {
    let rate_per_count = 1.0 / (1e-3 * responses.window_ms);
    let norm_hz = |neuron_ix: usize| f64::from(crowd.rate_mean_hz[neuron_ix]).max(term.min_rate_hz);
    let mut total = 0.0;
    for group in crowd.groups {
        let each = || group.neurons.iter().flat_map(|&neuron_ix| trials.iter().map(move |&t| (neuron_ix, t)));
        // Unit vectors e^{i delta} and e^{2i delta} of a neuron in a trial, each as [cos, sin].
        let vectors = |neuron_ix: usize, trial_ix: usize| {
            let theta = responses.trials[trial_ix].direction_deg().unwrap_or(0.0);
            let delta = (theta - f64::from(crowd.tuning_angle_deg[neuron_ix])).to_radians();
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
        let floor = CROWD_FLOOR * (group.neurons.len() * trials.len()) as f64;
        let whole = sum_w.max(floor);
        let z = sums.map(|sum| sum.map(|part| part / whole));
        let off: [[f64; 2]; 2] = [[z[0][0] - group.target[0], z[0][1]], [z[1][0] - group.target[1], z[1][1]]];
        let scale = term.weight * group.share;
        total += scale * off.iter().flatten().map(|part| part * part).sum::<f64>();
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
    }
    total
}

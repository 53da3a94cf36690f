//! Contrast response: the mean rate of a cell type against the contrast of the grating.
//!
//! The recordings give each type two points of its curve, the rate S under grey (contrast 0) and the rate R under gratings of contrast 0.8
//! ([`RECORDED_CONTRAST`]). For the contrasts in between they say which of three models fits each unit best, and high-pass is the most
//! frequent in every type: `b + h / (1 + e^{-10 (c - c50)})`, with c50 fitted in [0, 1] but not published. The target goes through both points
//! along that model's mean over c50 in [0, 1]:
//!
//! ```text
//! T(c) = S + (R - S) (m(c) - m(0)) / (m(0.8) - m(0)),     m(c) = [ln(1 + e^{10 c}) - ln(1 + e^{10 (c - 1)})] / 10
//! L = sum over types of share mean over the contrasts shown of [(mean rate - T(c)) / max(R, min_rate)]^2
//! ```
//!
//! Grey trials are contrast 0. The shares of band-pass and low-pass units are not trained; the evaluation compares them.

use super::targets::Recorded;
use super::{Responses, covered, shares};
use crate::scene::{CurveLossScene, RECORDED_CONTRAST, SharesScene};

/// The neurons that are compared with one pair of recorded rates.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastGroup {
    neurons: Vec<usize>,
    target: ContrastTarget,
    share: f64,
}

/// Target of a contrast-response curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastTarget {
    /// Mean recorded rate under gratings of [`RECORDED_CONTRAST`], Hz.
    pub rate_evoked_hz: f64,
    /// Mean recorded rate under grey, Hz.
    pub rate_spontaneous_hz: f64,
}

impl ContrastTarget {
    /// Of the cell types of `evoked`, where their rate under grey was recorded too.
    pub fn new(evoked: &Recorded, spontaneous: &[Recorded]) -> Option<Self> {
        let grey = spontaneous.iter().find(|r| r.cell_types == evoked.cell_types)?;
        Some(Self { rate_evoked_hz: evoked.quantiles.mean(), rate_spontaneous_hz: grey.quantiles.mean() })
    }

    /// Rate at a contrast in [0, 1], Hz.
    pub fn rate_at_hz(&self, contrast: f64) -> f64 {
        let rise = |c: f64| ((10.0 * c).exp().ln_1p() - (10.0 * (c - 1.0)).exp().ln_1p()) / 10.0;
        let share = (rise(contrast) - rise(0.0)) / (rise(RECORDED_CONTRAST) - rise(0.0));
        (self.rate_spontaneous_hz + (self.rate_evoked_hz - self.rate_spontaneous_hz) * share).max(0.0)
    }
}

/// The groups that have neurons and both rates.
pub(super) fn pair(
    by: SharesScene,
    evoked: &[Recorded],
    spontaneous: &[Recorded],
    core: &[Vec<usize>],
) -> Vec<ContrastGroup> {
    let found = evoked
        .iter()
        .filter_map(|r| Some((ContrastTarget::new(r, spontaneous)?, covered(&r.cell_types, core))))
        .filter(|(_, neurons)| !neurons.is_empty());
    let (targets, groups): (Vec<_>, Vec<_>) = found.unzip();
    let shares = shares(by, &groups);
    let group = |((target, neurons), share)| ContrastGroup { neurons, target, share };
    targets.into_iter().zip(groups).zip(shares).map(group).collect()
}

/// Value of the term; its derivatives are added to `seeds`, `[n_neurons][n_trials]`.
pub(super) fn add_term<C: Copy + Into<f64>>(
    term: &CurveLossScene,
    groups: &[ContrastGroup],
    responses: &Responses<'_, C>,
    seeds: &mut [f64],
) -> f64 {
    let n_trials = responses.trials.len();
    let rate_per_count = 1.0 / (1e-3 * responses.window_ms);
    let mut by_contrast: Vec<(f64, Vec<usize>)> = Vec::new();
    for (trial_ix, trial) in responses.trials.iter().enumerate() {
        let contrast = trial.contrast();
        match by_contrast.iter_mut().find(|(c, _)| *c == contrast) {
            Some((_, trials)) => trials.push(trial_ix),
            None => by_contrast.push((contrast, vec![trial_ix])),
        }
    }
    let mut total = 0.0;
    for ContrastGroup { neurons, target, share } in groups {
        let norm_hz = target.rate_evoked_hz.max(term.min_rate_hz);
        let scale = term.weight * share / (by_contrast.len() as f64 * norm_hz * norm_hz);
        for (contrast, trials) in &by_contrast {
            let n = neurons.len() as f64;
            let mean_hz = neurons.iter().map(|&i| responses.mean_rate_hz(i, trials)).sum::<f64>() / n;
            let off_hz = mean_hz - target.rate_at_hz(*contrast);
            total += scale * off_hz * off_hz;
            let seed = 2.0 * scale * off_hz * rate_per_count / (n * trials.len() as f64);
            for &neuron_ix in neurons {
                trials.iter().for_each(|&t| seeds[neuron_ix * n_trials + t] += seed);
            }
        }
    }
    total
}

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

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::shares::SharesScene;
use super::targets::{RECORDED_CONTRAST, Recorded};
use super::term::{Context, Needs, SceneFacts, Term, TermScene, least_rate_hz};
use crate::error::{Check, Result};

/// Loss on the mean contrast-response curve of each cell type, in units of its recorded rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, that the difference between curves is divided by: it bounds the say of types that hardly fire.
    #[serde(default = "least_rate_hz")]
    pub min_rate_hz: f64,
    /// Share of each cell type in the term.
    #[serde(default = "SharesScene::per_type")]
    pub shares: SharesScene,
}

impl TermScene for ContrastLossScene {
    fn field(&self) -> &'static str {
        "contrast"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        check.above("losses.contrast.min_rate_hz", self.min_rate_hz, 0.0, 1e3, "Hz")?;
        let limit = || "the contrast loss needs at least one evoked trial".to_owned();
        check.hold(scene.n_evoked > 0, "trials.n_evoked", scene.n_evoked, limit)?;
        let limit = || "the contrast loss needs gratings of several contrasts".to_owned();
        let field = if scene.has_inputs { "network.inputs" } else { "trials.grating.contrasts" };
        check.hold(scene.n_contrasts > 1, field, format!("{} contrasts", scene.n_contrasts), limit)?;
        check_contrast(check, scene.contrast)
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let grey = &of.targets.rate_spontaneous_hz;
        let evoked = of.targets.rate_evoked_hz.iter();
        let found = evoked.filter_map(|r| Some((ContrastTarget::new(r, grey)?, of.covered(&r.cell_types))));
        let (targets, groups): (Vec<_>, Vec<_>) = found.filter(|(_, neurons)| !neurons.is_empty()).unzip();
        if groups.is_empty() {
            return Err(of.no_target(self, "evoked and spontaneous rates"));
        }
        let shares = self.shares.of(&groups);
        let group = |((target, neurons), share)| Group { neurons, target, share };
        let groups = targets.into_iter().zip(groups).zip(shares).map(group).collect();
        Ok(vec![Box::new(Contrast { scene: *self, groups })])
    }
}

/// Contrast-response curves need gratings of the recordings' contrast.
///
/// # Errors
/// [`crate::Error::Field`] for another.
pub fn check_contrast(check: &Check<'_>, contrast: f64) -> Result<()> {
    let limit = || format!("contrast-response curves need that of the recordings, {RECORDED_CONTRAST}");
    check.hold(contrast == RECORDED_CONTRAST, "trials.grating.contrast", contrast, limit)
}

/// The neurons that are compared with one pair of recorded rates.
struct Group {
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

/// The term of a network.
struct Contrast {
    scene: ContrastLossScene,
    groups: Vec<Group>,
}

impl Term for Contrast {
    fn name(&self) -> &'static str {
        "contrast"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let responses = &seen.responses;
        if responses.trials.is_empty() {
            return None;
        }
        seeds.counts = vec![0.0; responses.counts.len()];
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
        for Group { neurons, target, share } in &self.groups {
            let norm_hz = target.rate_evoked_hz.max(self.scene.min_rate_hz);
            let scale = self.scene.weight * share / (by_contrast.len() as f64 * norm_hz * norm_hz);
            for (contrast, trials) in &by_contrast {
                let n = neurons.len() as f64;
                let mean_hz = neurons.iter().map(|&i| responses.mean_rate_hz(i, trials)).sum::<f64>() / n;
                let off_hz = mean_hz - target.rate_at_hz(*contrast);
                total += scale * off_hz * off_hz;
                let seed = 2.0 * scale * off_hz * rate_per_count / (n * trials.len() as f64);
                for &neuron_ix in neurons {
                    trials.iter().for_each(|&t| seeds.counts[neuron_ix * n_trials + t] += seed);
                }
            }
        }
        Some(total)
    }
}

//! What the terms of the weights share: moments and quantiles of weights counted by size (`model::weight_bins`).

use serde::{Deserialize, Serialize};

use super::term::SceneFacts;
use crate::error::{Check, Result};
use crate::model::weight_bins::log_edge;

/// Terms of the weights need a network with synapses.
///
/// # Errors
/// [`crate::Error::Field`] for another.
pub(super) fn check_synapses(check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
    let limit = || "the structure loss needs a network with synapses".to_owned();
    check.hold(scene.has_synapses, "losses.structure", "on", limit)
}

/// Moments of the logarithms of counted weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogMoments {
    /// Number of weights that are not 0.
    pub n: u64,
    /// Mean of their logarithms (nS; pA in point mode).
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
}

/// Mean and standard deviation of the logarithms of counted weights, `[N_WEIGHT_BINS]`; weights lie in the middles of their bins.
pub fn log_moments(counts: &[u32]) -> LogMoments {
    let n: u64 = counts.iter().map(|c| u64::from(*c)).sum();
    if n == 0 {
        return LogMoments::default();
    }
    let over = |f: &dyn Fn(f64) -> f64| {
        let sum: f64 = counts.iter().enumerate().map(|(bin, c)| f64::from(*c) * f(middle(bin))).sum();
        sum / n as f64
    };
    let mean = over(&|x| x);
    LogMoments { n, mean, sd: over(&|x| (x - mean).powi(2)).sqrt() }
}

pub(super) fn middle(bin: usize) -> f64 {
    0.5 * (log_edge(bin) + log_edge(bin + 1))
}

/// Logarithm of a place within a bin, 0 at its lower and 1 at its upper edge.
pub(super) fn place(bin: usize, share: f64) -> f64 {
    log_edge(bin) + share * (log_edge(bin + 1) - log_edge(bin))
}

/// Quantiles of the logarithms of counted weights, `[N_WEIGHT_BINS]`, to be asked for in ascending order; None without weights.
pub fn counted_quantiles(counts: &[u32]) -> Option<Box<dyn FnMut(f64) -> f64 + '_>> {
    let n: u64 = counts.iter().map(|c| u64::from(*c)).sum();
    let last = counts.iter().rposition(|c| *c > 0)?;
    let (mut bin, mut below) = (0, 0.0);
    Some(Box::new(move |p| {
        loop {
            let share = f64::from(counts[bin]) / n as f64;
            if share > 0.0 && (below + share >= p || bin == last) {
                return place(bin, ((p - below) / share).clamp(0.0, 1.0));
            }
            below += share;
            bin += 1;
        }
    }))
}

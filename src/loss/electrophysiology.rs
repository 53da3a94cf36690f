//! L3: amplitudes of paired recordings, against the log-normal law of each measured pair of cell groups.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use crate::error::{Check, Result};
use crate::network::Network;
use crate::network::tables::Tables;

/// Loss on the peaks of simulated paired recordings: mean and standard deviation of their logarithms per measured pair of cell
/// groups, each pair counting by its recorded pairs. A fifth of the measured pairs is held out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElectrophysiologyLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Edges recorded of each measured pair in a training step, in 2..=1000.
    #[serde(default = "default_pairs_per_type")]
    pub pairs_per_type: u32,
    /// Which amplitude of a recorded pair is meant.
    #[serde(default = "percentile_90")]
    pub amplitude: AmplitudeScene,
}

impl Default for ElectrophysiologyLossScene {
    fn default() -> Self {
        Self { weight: 1.0, pairs_per_type: default_pairs_per_type(), amplitude: percentile_90() }
    }
}

/// Amplitude of a recorded pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AmplitudeScene {
    /// After a long rest.
    Resting,
    /// 90th percentile over the trials of the pair, from which the network's weights are drawn.
    Percentile90,
}

fn default_pairs_per_type() -> u32 {
    32
}

fn percentile_90() -> AmplitudeScene {
    AmplitudeScene::Percentile90
}

impl TermScene for ElectrophysiologyLossScene {
    fn field(&self) -> &'static str {
        "electrophysiology"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        let n = self.pairs_per_type;
        let limit = || "must be from 2 to 1000".to_owned();
        check.hold((2..=1000).contains(&n), "losses.electrophysiology.pairs_per_type", n, limit)?;
        // The rig stands for the project's own cells and synapses, which a circuit that was read need not have.
        let limit = || {
            "the electrophysiology loss needs a network with synapses that simrun builds (network: V1)"
                .to_owned()
        };
        check.hold(scene.is_built, "losses.electrophysiology.weight", self.weight, limit)
    }

    fn needs(&self) -> Needs {
        Needs { pairs: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        if of.pairs.is_empty() {
            return Err(of.nothing(self, "no measured pair of cell groups has a synapse in the network"));
        }
        let trained = of.pairs.iter().filter(|pair| !pair.held_out);
        let pairs = trained.map(|pair| (pair.law, pair.places.clone())).collect();
        Ok(vec![Box::new(PairedRecordings { weight: self.weight, pairs })])
    }
}

/// The term of a network: the laws of the pairs trained on, and their places among the recorded edges.
struct PairedRecordings {
    weight: f64,
    pairs: Vec<(PairTarget, Range<usize>)>,
}

impl Term for PairedRecordings {
    fn name(&self) -> &'static str {
        "electrophysiology"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let mut by_peak = vec![0.0; seen.peaks_mv.len()];
        let of_pair = |(law, places): &(PairTarget, Range<usize>)| {
            pair_term(law, &seen.peaks_mv[places.clone()], &mut by_peak[places.clone()])
        };
        let value: f64 = self.pairs.iter().map(of_pair).sum();
        seeds.peaks = by_peak.into_iter().map(|seed| self.weight * seed).collect();
        Some(self.weight * value)
    }
}

/// A measured pair of cell groups and the edges of the network that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredPair {
    /// Presynaptic group of `scenes/v1/psp_measured.csv`.
    pub source: String,
    /// Postsynaptic group.
    pub target: String,
    /// Pairs recorded in tissue.
    pub n_recorded: usize,
    /// Whether the losses leave it out.
    pub held_out: bool,
    /// What was measured.
    pub law: PairTarget,
    /// Edges of the network.
    pub edges: Vec<u32>,
    /// Its places among the recorded edges.
    pub places: Range<usize>,
}

/// The measured pairs that have edges, with their laws and their places in the rig.
pub fn measured_pairs(
    scene: &ElectrophysiologyLossScene,
    tables: &Tables,
    network: &Network,
) -> Vec<MeasuredPair> {
    let held_out = tables.held_out_psps();
    let mut edges = vec![Vec::new(); tables.psp_measured.len()];
    let n_neurons = network.neurons.len();
    for source in 0..n_neurons {
        let of_source = &tables.psp_pair_ix[usize::from(network.neurons.cell_type_ix[source])];
        let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
        for edge in row {
            edges[of_source[network.neurons.target_cell_type(network.rows.targets[edge])]].push(edge as u32);
        }
    }
    let mut pairs = Vec::new();
    let mut first = 0;
    for ((measured, edges), held_out) in tables.psp_measured.iter().zip(edges).zip(held_out) {
        if edges.is_empty() {
            continue;
        }
        let psp = match scene.amplitude {
            AmplitudeScene::Resting => measured.rest,
            AmplitudeScene::Percentile90 => measured.p90,
        };
        let last = first + edges.len().min(scene.pairs_per_type as usize);
        pairs.push(MeasuredPair {
            source: measured.source.clone(),
            target: measured.target.clone(),
            n_recorded: psp.n_pairs,
            held_out,
            law: PairTarget {
                log_mean: psp.lognormal_scale_mv.ln(),
                log_sd: psp.lognormal_shape,
                share: 0.0,
            },
            edges,
            places: first..last,
        });
        first = last;
    }
    let in_term = |pair: &&mut MeasuredPair| !pair.held_out;
    let total: usize = pairs.iter_mut().filter(in_term).map(|pair| pair.n_recorded).sum();
    for pair in pairs.iter_mut().filter(in_term) {
        pair.law.share = pair.n_recorded as f64 / total as f64;
    }
    pairs
}

/// What was measured of a pair of cell groups, and how much it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairTarget {
    /// Mean of the logarithm of the peak (mV).
    pub log_mean: f64,
    /// Standard deviation of the logarithm of the peak.
    pub log_sd: f64,
    /// Share in the term; those of all pairs add up to 1.
    pub share: f64,
}

/// Mean and standard deviation of the logarithms of some peaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogStatistics {
    /// Number of peaks that are not 0.
    pub n: usize,
    /// Mean of the logarithms; 0 without peaks.
    pub log_mean: f64,
    /// Standard deviation of the logarithms (n - 1 in the denominator); 0 for fewer than two peaks.
    pub log_sd: f64,
}

/// Deflections smaller than this are none: what f32 leaves of the difference of two potentials, mV.
pub const MIN_PEAK_MV: f64 = 1e-4;

fn log_of(peak_mv: f64) -> Option<f64> {
    (peak_mv.abs() >= MIN_PEAK_MV).then(|| peak_mv.abs().ln())
}

/// Logarithms of the sizes of peaks in mV; peaks below [`MIN_PEAK_MV`] are left out.
pub fn log_peaks(peaks_mv: &[f64]) -> Vec<f64> {
    peaks_mv.iter().filter_map(|p| log_of(*p)).collect()
}

/// Statistics of the logarithms of the sizes of peaks in mV; peaks below [`MIN_PEAK_MV`] are left out.
pub fn log_statistics(peaks_mv: &[f64]) -> LogStatistics {
    let logs = log_peaks(peaks_mv);
    let n = logs.len();
    if n == 0 {
        return LogStatistics::default();
    }
    let log_mean = logs.iter().sum::<f64>() / n as f64;
    let squares: f64 = logs.iter().map(|x| (x - log_mean).powi(2)).sum();
    let log_sd = if n > 1 { (squares / (n - 1) as f64).sqrt() } else { 0.0 };
    LogStatistics { n, log_mean, log_sd }
}

/// Value of the term for one measured pair, `share [(m - m*)^2 + (s - s*)^2]` with m and s the mean and standard deviation of
/// ln |peak| over the recorded edges, and its derivative by each (signed) peak, 1/mV, in `seeds`. Fewer than two peaks
/// have no spread; a peak of 0 has no logarithm and no seed.
pub fn pair_term(target: &PairTarget, peaks_mv: &[f64], seeds: &mut [f64]) -> f64 {
    let LogStatistics { n, log_mean, log_sd } = log_statistics(peaks_mv);
    if n == 0 {
        return 0.0;
    }
    let mean_error = log_mean - target.log_mean;
    let sd_error = if n > 1 { log_sd - target.log_sd } else { 0.0 };
    for (seed, peak_mv) in seeds.iter_mut().zip(peaks_mv) {
        let Some(log) = log_of(*peak_mv) else { continue };
        let by_mean = 2.0 * mean_error / n as f64;
        // Equal peaks: the standard deviation has no derivative there.
        let by_sd = if n > 1 && log_sd > 0.0 {
            2.0 * sd_error * (log - log_mean) / ((n - 1) as f64 * log_sd)
        } else {
            0.0
        };
        *seed = target.share * (by_mean + by_sd) / peak_mv;
    }
    target.share * (mean_error * mean_error + sd_error * sd_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_derivative_by_the_peaks() {
        let target = PairTarget { log_mean: -1.0, log_sd: 0.6, share: 0.3 };
        let peaks = [0.4, 0.9, 0.0, -0.2, 1.7];
        let mut seeds = vec![0.0; peaks.len()];
        pair_term(&target, &peaks, &mut seeds);
        let value = |peaks: &[f64]| pair_term(&target, peaks, &mut vec![0.0; peaks.len()]);
        for i in 0..peaks.len() {
            let h = 1e-6 * peaks[i];
            let (mut up, mut down) = (peaks, peaks);
            up[i] += h;
            down[i] -= h;
            let slope = if h == 0.0 { 0.0 } else { (value(&up) - value(&down)) / (2.0 * h) };
            assert!((seeds[i] - slope).abs() < 1e-8 * (1.0 + slope.abs()), "{i}: {} {slope}", seeds[i]);
        }
    }

    #[test]
    fn the_term_vanishes_at_the_measured_law_and_without_peaks() {
        let logs = [-1.5_f64, -1.0, -0.5];
        let peaks = logs.map(f64::exp);
        let target = PairTarget { log_mean: -1.0, log_sd: 0.5, share: 1.0 };
        let mut seeds = [1.0; 3];
        assert!(pair_term(&target, &peaks, &mut seeds) < 1e-30);
        assert!(seeds.iter().all(|s| s.abs() < 1e-12));
        assert_eq!(pair_term(&target, &[0.0, 1e-7], &mut [0.0; 2]), 0.0);
        assert_eq!(log_statistics(&[0.5]), LogStatistics { n: 1, log_mean: 0.5_f64.ln(), log_sd: 0.0 });
    }
}

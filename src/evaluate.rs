//! Evaluation: rates and selectivity per cell type beside the recordings.
//!
//! The measures are the recordings' own (Allen Brain Observatory, Visual Coding Neuropixels): a neuron's evoked rate is its
//! mean over the directions of a drifting grating; with r(theta) its mean rate at a direction,
//!
//! ```text
//! OSI = |sum r e^{2i theta}| / sum r        DSI = |sum r e^{i theta}| / sum r
//! ```
//!
//! A neuron that did not fire has no index. Noise pushes both indices up, the more the fewer spikes there are, so they are
//! to be compared at like numbers of trials. The similarity of a cell type to the recordings is 1 - KS, with KS the
//! Kolmogorov-Smirnov statistic between the neurons of the core and the recorded quantiles.

use crate::loss::statistics::{Quantiles, ks_against_table, mean};
use crate::loss::targets::{FunctionTargets, RECORDED_CONTRAST, Recorded};
use crate::loss::{Responses, TrialKind};
use crate::model::rng::{self, Stream};
use crate::network::tables::PROBABILITIES;
use crate::results::{CellTypeSummary, Comparison};

mod contrast;
mod curves;
mod fano;
mod stimuli;
mod table;
mod weights;

pub use contrast::{ContrastClass, ContrastResponses};
pub use curves::{contrast_class_error, contrast_classes, contrast_curves, tuning_curves};
pub use fano::{FanoFactors, fano_error};
pub use stimuli::{BIN_MS, NeuronTrials, stimulus_table, summarise_stimulus};
pub use table::table;
pub use weights::{DirectionSlopes, weights_beside_em};

/// Bootstrap samples of an interval.
const N_BOOTSTRAP: u32 = 200;
/// Seed of their draws.
const BOOTSTRAP_SEED: u64 = 1;

/// Rates by direction, gathered over any number of batches of trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    n_neurons: usize,
    directions: Vec<Condition>,
    grey: Condition,
}

/// The trials of one condition.
#[derive(Clone, Debug, Default, PartialEq)]
struct Condition {
    /// Direction of the grating, degrees in [0, 360); not used for grey.
    direction_deg: f64,
    n_trials: usize,
    /// Sum of each neuron's rate over the trials, Hz, `[n_neurons]`.
    sum_hz: Vec<f64>,
}

impl Condition {
    fn new(direction_deg: f64, n_neurons: usize) -> Self {
        Self { direction_deg, n_trials: 0, sum_hz: vec![0.0; n_neurons] }
    }

    fn mean_hz(&self, neuron_ix: usize) -> f64 {
        self.sum_hz[neuron_ix] / self.n_trials as f64
    }
}

impl Tuning {
    /// No trial yet.
    pub fn new(n_neurons: usize) -> Self {
        Self { n_neurons, directions: Vec::new(), grey: Condition::new(0.0, n_neurons) }
    }

    /// Adds a batch of trials with counts of `n_neurons` neurons.
    pub fn add<C: Copy + Into<f64>>(&mut self, responses: &Responses<'_, C>) {
        for (trial_ix, trial) in responses.trials.iter().enumerate() {
            let condition = match *trial {
                TrialKind::Spontaneous => &mut self.grey,
                TrialKind::Evoked { direction_deg } => {
                    condition_of(&mut self.directions, direction_deg, self.n_neurons)
                }
                TrialKind::OtherContrast { .. } => continue,
            };
            condition.n_trials += 1;
            for (neuron_ix, sum_hz) in condition.sum_hz.iter_mut().enumerate() {
                *sum_hz += responses.rate_hz(neuron_ix, trial_ix);
            }
        }
    }

    /// Mean rate over the directions shown, Hz; None before any grating.
    pub fn evoked_hz(&self, neuron_ix: usize) -> Option<f64> {
        mean(&self.rates_hz(neuron_ix))
    }

    /// Mean rate under the grey screen, Hz; None before any grey trial.
    pub fn spontaneous_hz(&self, neuron_ix: usize) -> Option<f64> {
        (self.grey.n_trials > 0).then(|| self.grey.mean_hz(neuron_ix))
    }

    /// Orientation selectivity index; None for a silent neuron, and where the directions shown cannot give one.
    pub fn osi(&self, neuron_ix: usize) -> Option<f64> {
        selectivity_index(&self.directions_deg(), &self.rates_hz(neuron_ix), 2.0)
    }

    /// Direction selectivity index; None as for [`Self::osi`].
    pub fn dsi(&self, neuron_ix: usize) -> Option<f64> {
        selectivity_index(&self.directions_deg(), &self.rates_hz(neuron_ix), 1.0)
    }

    fn directions_deg(&self) -> Vec<f64> {
        self.directions.iter().map(|d| d.direction_deg).collect()
    }

    fn rates_hz(&self, neuron_ix: usize) -> Vec<f64> {
        self.directions.iter().map(|d| d.mean_hz(neuron_ix)).collect()
    }
}

/// The condition of a direction, made where it is new.
fn condition_of(directions: &mut Vec<Condition>, direction_deg: f64, n_neurons: usize) -> &mut Condition {
    let direction_deg = direction_deg.rem_euclid(360.0);
    let ix = directions.iter().position(|d| d.direction_deg == direction_deg).unwrap_or_else(|| {
        directions.push(Condition::new(direction_deg, n_neurons));
        directions.len() - 1
    });
    &mut directions[ix]
}

/// |sum r e^{k i theta}| / sum r, in [0, 1]: DSI for k = 1, OSI for k = 2. None without a spike, and where the directions
/// are no even sample of the circle, so that even constant rates would seem selective.
pub fn selectivity_index(directions_deg: &[f64], rates_hz: &[f64], k: f64) -> Option<f64> {
    let length = |rate: &dyn Fn(usize) -> f64| {
        let part = |f: fn(f64) -> f64| {
            directions_deg.iter().enumerate().map(|(i, d)| rate(i) * f((k * d).to_radians())).sum::<f64>()
        };
        part(f64::cos).hypot(part(f64::sin))
    };
    let even = length(&|_| 1.0) < 1e-9 * directions_deg.len() as f64;
    let total: f64 = rates_hz.iter().sum();
    (even && total > 0.0).then(|| length(&|i| rates_hz[i]) / total)
}

/// Compares every cell type that has neurons in the core ([`crate::loss::core_neurons`]) with the recordings, in the order of
/// [`FunctionTargets::cell_types`]; behind them come the types that were recorded as one.
pub fn summarise(tuning: &Tuning, core: &[Vec<usize>], targets: &FunctionTargets) -> Vec<CellTypeSummary> {
    let all = [&targets.rate_evoked_hz, &targets.rate_spontaneous_hz, &targets.osi, &targets.dsi];
    let groups =
        groups(&targets.cell_types, core, all.into_iter().flatten().map(|r| (&r.name, &r.cell_types)));
    let rows = groups.into_iter().map(|(cell_type, cell_types, neurons)| {
        let compare = |recorded: &[Recorded], measure: &dyn Fn(usize) -> Option<f64>| {
            let sample: Vec<f64> = neurons.iter().filter_map(|&neuron_ix| measure(neuron_ix)).collect();
            compare(&sample, recorded.iter().find(|r| r.cell_types == cell_types))
        };
        CellTypeSummary {
            n_neurons: neurons.len(),
            rate_evoked_hz: compare(&targets.rate_evoked_hz, &|i| tuning.evoked_hz(i)),
            rate_spontaneous_hz: compare(&targets.rate_spontaneous_hz, &|i| tuning.spontaneous_hz(i)),
            osi: compare(&targets.osi, &|i| tuning.osi(i)),
            dsi: compare(&targets.dsi, &|i| tuning.dsi(i)),
            cell_type,
        }
    });
    rows.collect()
}

/// Every cell type, then those of the recorded ones (name, cell types) that cover several, as far as they have neurons in the core: name,
/// cell types, neurons.
fn groups<'a>(
    names: &[String],
    core: &[Vec<usize>],
    recorded: impl Iterator<Item = (&'a String, &'a Vec<usize>)>,
) -> Vec<(String, Vec<usize>, Vec<usize>)> {
    let single = names.iter().enumerate().map(|(ix, name)| (name.clone(), vec![ix]));
    let mut groups: Vec<(String, Vec<usize>)> = single.collect();
    for (name, cell_types) in recorded.filter(|(_, cell_types)| cell_types.len() > 1) {
        if !groups.iter().any(|(earlier, _)| earlier == name) {
            groups.push((name.clone(), cell_types.clone()));
        }
    }
    let with_neurons = groups.into_iter().map(|(name, cell_types)| {
        let neurons: Vec<usize> = cell_types.iter().flat_map(|&ix| core[ix].iter().copied()).collect();
        (name, cell_types, neurons)
    });
    with_neurons.filter(|(_, _, neurons)| !neurons.is_empty()).collect()
}

/// One sample beside its recording; None for an empty sample.
fn compare(sample: &[f64], recorded: Option<&Recorded>) -> Option<Comparison> {
    let own = Quantiles::of_sample(sample)?;
    let at_all = |quantiles: &Quantiles| PROBABILITIES.map(|p| quantiles.value_at(p)).to_vec();
    Some(Comparison {
        n_neurons: sample.len(),
        mean: mean(sample)?,
        q25: own.value_at(0.25),
        median: own.median(),
        q75: own.value_at(0.75),
        quantiles: at_all(&own),
        target_n_units: recorded.map(|r| r.n_units),
        target_mean: recorded.map(|r| r.quantiles.mean()),
        target_q25: recorded.map(|r| r.quantiles.value_at(0.25)),
        target_median: recorded.map(|r| r.quantiles.median()),
        target_q75: recorded.map(|r| r.quantiles.value_at(0.75)),
        target_quantiles: recorded.map(|r| at_all(&r.quantiles)),
        similarity: recorded.and_then(|r| ks_against_table(sample, &r.quantiles)).map(|ks| 1.0 - ks),
        similarity_interval: recorded.and_then(|r| bootstrap_interval(sample, &r.quantiles)),
        ceiling: recorded.and_then(|r| r.ceiling),
    })
}

/// Basic bootstrap interval, 95 %, of the similarity, from samples drawn from `sample` with replacement. The Kolmogorov-Smirnov distance
/// of a small sample is too large, and that of a sample of it larger again by as much: so the quantiles are mirrored at the
/// sample's own similarity (Davison and Hinkley 1997, 5.2), which takes the bias off twice. The same draws every time.
fn bootstrap_interval(sample: &[f64], recorded: &Quantiles) -> Option<[f64; 2]> {
    let n = sample.len();
    let mut drawn = vec![0.0; n];
    let mut similarities = Vec::with_capacity(N_BOOTSTRAP as usize);
    for draw in 0..N_BOOTSTRAP {
        for (i, value) in drawn.iter_mut().enumerate() {
            let word = rng::word(BOOTSTRAP_SEED, Stream::Loss, i as u32, draw, 0);
            *value = sample[((u64::from(word) * n as u64) >> 32) as usize];
        }
        similarities.push(1.0 - ks_against_table(&drawn, recorded)?);
    }
    let quantiles = Quantiles::of_sample(&similarities)?;
    let own = 1.0 - ks_against_table(sample, recorded)?;
    Some([0.975, 0.025].map(|p| (2.0 * own - quantiles.value_at(p)).clamp(0.0, 1.0)))
}

/// What is to be said of rows whose gratings were of `other_contrast` than the recordings' main one, where some stand beside recordings.
pub fn contrast_notice(rows: &[CellTypeSummary], other_contrast: Option<f64>) -> Option<String> {
    let is_recorded =
        |row: &CellTypeSummary| row.rate_evoked_hz.as_ref().is_some_and(|c| c.target_n_units.is_some());
    let contrast = other_contrast.filter(|_| rows.iter().any(is_recorded))?;
    Some(format!("gratings of contrast {contrast} beside recordings at {RECORDED_CONTRAST}"))
}

/// Median rates of the pyramidal, PV and SST types of each layer that lie outside the recorded interquartile range, one line each,
/// and how many were looked at (evoked and spontaneous apart).
pub fn rate_misses(rows: &[CellTypeSummary]) -> (usize, Vec<String>) {
    let mut n_rates = 0;
    let mut misses = Vec::new();
    for row in
        rows.iter().filter(|row| ["_Exc", "_PV", "_SST"].iter().any(|kind| row.cell_type.ends_with(kind)))
    {
        for (trials, comparison) in
            [("evoked", &row.rate_evoked_hz), ("spontaneous", &row.rate_spontaneous_hz)]
        {
            let Some(c) = comparison else { continue };
            let (Some(low), Some(high)) = (c.target_q25, c.target_q75) else { continue };
            n_rates += 1;
            if !(low..=high).contains(&c.median) {
                misses.push(format!("{} {trials} {:.2} ({low:.2} to {high:.2})", row.cell_type, c.median));
            }
        }
    }
    (n_rates, misses)
}

/// The same as lines for the terminal.
pub fn rate_misses_text(rows: &[CellTypeSummary]) -> String {
    let (n_rates, misses) = rate_misses(rows);
    if n_rates == 0 {
        return String::new();
    }
    let within = n_rates - misses.len();
    let mut text = format!(
        "median rates (pyramidal, PV, SST) within the recorded interquartile range: {within} of {n_rates}\n"
    );
    for line in misses.chunks(4) {
        text += &format!("  outside, Hz: {}\n", line.join("; "));
    }
    text
}

/// Mean similarity over the cell types that have one, per measure: evoked rate, spontaneous rate, OSI, DSI.
pub fn mean_similarities(rows: &[CellTypeSummary]) -> [Option<f64>; 4] {
    let of = |measure: fn(&CellTypeSummary) -> &Option<Comparison>| {
        mean(&rows.iter().filter_map(|row| measure(row).as_ref()?.similarity).collect::<Vec<f64>>())
    };
    [of(|r| &r.rate_evoked_hz), of(|r| &r.rate_spontaneous_hz), of(|r| &r.osi), of(|r| &r.dsi)]
}

#[cfg(test)]
mod tests;

//! L8: the Fano factor of the spike count of groups of neurons over bins of the recorded widths.
//!
//! ```text
//! F = sum_b (n_b - M)^2 / ((B - 1) M),     M the mean over the B bins
//! L = mean over widths of (mean over groups and trials F - F*)^2
//! ```
//!
//! *No pull on the rates.* M in the denominator is held constant: the derivatives by the bins' counts then add up to 0 in each group and
//! trial, so that the term moves spikes from bin to bin. Differentiated through M, a population that is not variable enough would be
//! asked to fire less.

use serde::{Deserialize, Serialize};

use super::groups::PopulationCounts;
use super::seen::{Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use crate::error::{Check, Result};
use crate::network::tables::{FanoPoint, Split};

/// Fewest bins of a window, as in the table of recordings.
const LEAST_BINS: usize = 3;

/// Loss on the Fano factor of the spike count of groups of about 70 excitatory neurons of the core, which stand for recorded
/// populations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FanoLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Number of groups, 1..=32, drawn once a run: the first of those that another term asks more of.
    #[serde(default = "default_n_groups")]
    pub n_groups: u32,
}

fn default_n_groups() -> u32 {
    16
}

impl TermScene for FanoLossScene {
    fn field(&self) -> &'static str {
        "fano"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, _: &SceneFacts) -> Result<()> {
        check.within("losses.fano.n_groups", f64::from(self.n_groups), 1.0, 32.0, "groups")
    }

    fn needs(&self) -> Needs {
        Needs { n_groups: self.n_groups, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        if of.tables.fano.is_empty() {
            return Err(of.nothing(self, "the recordings have no population_fano.csv"));
        }
        let window_ms = of.window.len() as f64 * of.dt_ms;
        let term = |(name, evoked)| {
            let recorded = of.tables.fano_points(evoked, Split::Train, window_ms);
            let widths = widths(recorded, of.dt_ms, of.window.len());
            let n_groups = self.n_groups as usize;
            Box::new(Fano { name, evoked, weight: self.weight, n_groups, widths }) as Box<dyn Term>
        };
        Ok([("fano_evoked", true), ("fano_spontaneous", false)].into_iter().map(term).collect())
    }
}

/// The term under gratings, or under grey.
struct Fano {
    name: &'static str,
    evoked: bool,
    weight: f64,
    n_groups: usize,
    widths: Vec<FanoWidth>,
}

impl Term for Fano {
    fn name(&self) -> &'static str {
        self.name
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let trials = seen.responses.trials_of_kind(self.evoked);
        if trials.is_empty() {
            return None;
        }
        seeds.population = vec![0.0; seen.population.counts.len()];
        let Self { weight, n_groups, widths, .. } = self;
        Some(fano_term(*weight, &seen.population, *n_groups, &trials, widths, &mut seeds.population))
    }
}

/// A bin width with what was recorded at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FanoWidth {
    /// Steps of a bin.
    pub steps: usize,
    /// Bins of the window.
    pub n_bins: usize,
    /// Recorded.
    pub recorded: FanoPoint,
}

/// The recorded widths that fit a window of `n_steps` steps of `dt_ms` with at least three bins, each in whole steps and once.
pub fn widths(recorded: &[FanoPoint], dt_ms: f64, n_steps: usize) -> Vec<FanoWidth> {
    let mut widths: Vec<FanoWidth> = Vec::new();
    for point in recorded {
        let steps = ((point.width_ms / dt_ms).round() as usize).max(1);
        let n_bins = n_steps / steps;
        if n_bins >= LEAST_BINS && widths.last().is_none_or(|last| last.steps < steps) {
            widths.push(FanoWidth { steps, n_bins, recorded: *point });
        }
    }
    widths
}

/// Fano factors of the population: per width, each (group, trial) that spiked: the counts of its bins, their mean and F.
struct Binned {
    place: (usize, usize),
    bins: Vec<f64>,
    mean: f64,
    fano: f64,
}

fn binned(
    population: &PopulationCounts<'_>,
    n_groups: usize,
    trials: &[usize],
    width: &FanoWidth,
) -> Vec<Binned> {
    let mut all = Vec::new();
    for group in 0..n_groups {
        for &trial in trials {
            let count = |step| f64::from(population.counts[population.index(step, group, trial)]);
            let bins: Vec<f64> = (0..width.n_bins)
                .map(|b| population.window.start + b * width.steps)
                .map(|first| (first..first + width.steps).map(count).sum())
                .collect();
            let mean = bins.iter().sum::<f64>() / width.n_bins as f64;
            if mean > 0.0 {
                let squares: f64 = bins.iter().map(|n| (n - mean).powi(2)).sum();
                let fano = squares / (width.n_bins - 1) as f64 / mean;
                all.push(Binned { place: (group, trial), bins, mean, fano });
            }
        }
    }
    all
}

/// Mean Fano factor over groups and trials at each width; None where no group spiked.
pub fn fano_curve(
    population: &PopulationCounts<'_>,
    trials: &[usize],
    widths: &[FanoWidth],
) -> Vec<Option<f64>> {
    let mean = |binned: Vec<Binned>| {
        (!binned.is_empty()).then(|| binned.iter().map(|b| b.fano).sum::<f64>() / binned.len() as f64)
    };
    widths.iter().map(|width| mean(binned(population, population.n_groups, trials, width))).collect()
}

/// L8 of the first `n_groups` groups: `weight mean over widths (F - F*)^2`; adds its derivative by each population count to `seeds`, shaped as the
/// counts.
/// Groups that are silent in a trial have no Fano factor there; without any spike the term is 0 and has no seed.
pub fn fano_term(
    weight: f64,
    population: &PopulationCounts<'_>,
    n_groups: usize,
    trials: &[usize],
    widths: &[FanoWidth],
    seeds: &mut [f64],
) -> f64 {
    let mut value = 0.0;
    for width in widths {
        let binned = binned(population, n_groups, trials, width);
        if binned.is_empty() {
            continue;
        }
        let n = binned.len() as f64;
        let error = binned.iter().map(|b| b.fano).sum::<f64>() / n - width.recorded.fano;
        let share = weight / widths.len() as f64;
        value += share * error * error;
        let n_bins = width.n_bins as f64;
        for Binned { place: (group, trial), bins, mean, .. } in &binned {
            for (b, count) in bins.iter().enumerate() {
                let slope = 2.0 * (count - mean) / ((n_bins - 1.0) * mean);
                let first = population.window.start + b * width.steps;
                for step in first..first + width.steps {
                    seeds[population.index(step, *group, *trial)] += share * 2.0 * error * slope / n;
                }
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Stream, uniform};

    const N_TRIALS: usize = 4;

    fn recorded() -> Vec<FanoPoint> {
        [1.0, 1.4, 5.0, 13.0, 40.0].map(|width_ms| FanoPoint { width_ms, fano: 1.3, sd: 0.1 }).to_vec()
    }

    fn random_counts(n: usize, shared: f32) -> Vec<u32> {
        (0..n)
            .map(|i| {
                let (step, own) = (i / (2 * N_TRIALS), uniform(3, Stream::Loss, i as u32, 0, 0));
                let burst = uniform(4, Stream::Loss, (step / 10) as u32, 0, 0) < 0.3;
                u32::from(own < 0.2) * 2 + if burst { (shared * 5.0) as u32 } else { 0 }
            })
            .collect()
    }

    fn population(counts: &[u32]) -> PopulationCounts<'_> {
        PopulationCounts { counts, n_groups: 2, n_trials: N_TRIALS, window: 7..107 }
    }

    #[test]
    fn widths_fit_the_window_and_appear_once() {
        let found = widths(&recorded(), 1.0, 100);
        let steps: Vec<(usize, usize)> = found.iter().map(|w| (w.steps, w.n_bins)).collect();
        assert_eq!(steps, [(1, 100), (5, 20), (13, 7)]);
        assert!(widths(&recorded(), 1.0, 2).is_empty());
    }

    #[test]
    fn poisson_counts_have_a_fano_factor_near_one_and_bursts_more() {
        let trials = [0, 2];
        let all = widths(&recorded(), 1.0, 100);
        // Counts of 0 and 2: variance 4 p (1 - p), mean 2 p: F = 2 (1 - p).
        let independent = random_counts(110 * 2 * N_TRIALS, 0.0);
        for fano in fano_curve(&population(&independent), &trials, &all) {
            assert!((fano.unwrap() - 1.6).abs() < 0.4, "{fano:?}");
        }
        let bursts = random_counts(110 * 2 * N_TRIALS, 1.0);
        let curve = fano_curve(&population(&bursts), &trials, &all);
        assert!(curve[2].unwrap() > 2.0 * curve[0].unwrap(), "{curve:?}");
        let silent = vec![0; bursts.len()];
        assert_eq!(fano_curve(&population(&silent), &trials, &all), [None; 3]);
        let mut seeds = vec![0.0; silent.len()];
        assert_eq!(fano_term(1.0, &population(&silent), 2, &trials, &all, &mut seeds), 0.0);
        assert!(seeds.iter().all(|s| *s == 0.0));
    }

    #[test]
    fn seeds_of_the_fano_term_are_its_derivative_at_constant_counts() {
        // The counts are whole numbers: a scaled copy makes one spike small. With all counts times k, F is k times as large.
        let k = 10_000;
        let counts: Vec<u32> = random_counts(110 * 2 * N_TRIALS, 1.0).iter().map(|c| c * k).collect();
        let mut all = widths(&recorded(), 1.0, 100);
        all.iter_mut().for_each(|w| w.recorded.fano *= f64::from(k));
        let trials = [0, 1, 3];
        let mut seeds = vec![0.0; counts.len()];
        let value = |counts: &[u32]| {
            fano_term(2.0, &population(counts), 2, &trials, &all, &mut vec![0.0; counts.len()])
        };
        fano_term(2.0, &population(&counts), 2, &trials, &all, &mut seeds);
        let largest = seeds.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
        let of = population(&counts);
        let mut n_compared = 0;
        for group in 0..2 {
            for trial in trials {
                // What one step has more another has less; widths whose bins end before the last steps would lose it there.
                for (from, to) in (8..90).map(|step| (step, 7 + (step * 31) % 90)) {
                    let [from, to] = [from, to].map(|step| of.index(step, group, trial));
                    if from == to || counts[from] == 0 {
                        continue;
                    }
                    let moved = |by: i64| {
                        let mut counts = counts.clone();
                        counts[from] = (i64::from(counts[from]) - by) as u32;
                        counts[to] = (i64::from(counts[to]) + by) as u32;
                        value(&counts)
                    };
                    let h = if counts[to] > 0 { 10 } else { 0 };
                    let slope = (moved(10) - moved(-h)) / (10 + h) as f64;
                    let own = seeds[to] - seeds[from];
                    let tolerance = if h == 0 { 3e-2 } else { 1e-3 };
                    assert!((own - slope).abs() < tolerance * largest, "{from} {to}: {own} {slope}");
                    n_compared += 1;
                }
                let sum: f64 = (7..107).map(|step| seeds[of.index(step, group, trial)]).sum();
                assert!(sum.abs() < 1e-12 * largest, "group {group}, trial {trial}: {sum:e}");
            }
        }
        assert!(n_compared > 100, "{n_compared}");
    }
}

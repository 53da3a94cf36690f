//! L8, L9: correlations of populations. The Fano factor of the spike count of groups of neurons over bins of the recorded
//! widths, and the mean pairwise correlation within the groups.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Responses;
use crate::model::rng::{Stream, normal_pair, uniform_f64, words};
use crate::network::tables::FanoPoint;

/// Mean and standard deviation of the number of neurons of a group.
const GROUP_SIZE: [f64; 2] = [70.0, 30.0];
/// Fewest neurons of a group, where the network has as many.
const LEAST_SIZE: usize = 10;
/// Fewest bins of a window, as in the table of recordings.
const LEAST_BINS: usize = 3;

/// Draws `n_groups` groups of about 70 of the given neurons, each without replacement, as masks of all `n_neurons`: bit g for
/// group g. A function of the seed.
pub fn draw_groups(candidates: &[usize], n_neurons: usize, n_groups: u32, seed: u64) -> Vec<u32> {
    let mut masks = vec![0; n_neurons];
    let n = candidates.len();
    for group in 0..n_groups {
        let z = normal_pair(words(seed, Stream::Loss, u32::MAX, group, 0))[0];
        let size = (GROUP_SIZE[0] + GROUP_SIZE[1] * z).round().max(LEAST_SIZE as f64) as usize;
        let mut chosen = BTreeSet::new();
        // Floyd's algorithm.
        for last in n - size.min(n)..n {
            let [a, b, ..] = words(seed, Stream::Loss, last as u32, group, 1);
            let drawn = ((uniform_f64(a, b) * (last + 1) as f64) as usize).min(last);
            if !chosen.insert(drawn) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().for_each(|i| masks[candidates[i]] |= 1 << group);
    }
    masks
}

/// Spikes of groups in each step of a batch.
#[derive(Clone, Debug)]
pub struct PopulationCounts<'a> {
    /// `[n_steps][n_groups][n_trials]`.
    pub counts: &'a [u32],
    /// Number of groups.
    pub n_groups: usize,
    /// Number of trials.
    pub n_trials: usize,
    /// The steps of the analysis window.
    pub window: Range<usize>,
}

impl PopulationCounts<'_> {
    fn index(&self, step: usize, group: usize, trial: usize) -> usize {
        (step * self.n_groups + group) * self.n_trials + trial
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

fn binned(population: &PopulationCounts<'_>, trials: &[usize], width: &FanoWidth) -> Vec<Binned> {
    let mut all = Vec::new();
    for group in 0..population.n_groups {
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
    widths.iter().map(|width| mean(binned(population, trials, width))).collect()
}

/// L8: `weight mean over widths (F - F*)^2`; adds its derivative by each population count to `seeds`, shaped as the counts.
/// Groups that are silent in a trial have no Fano factor there; without any spike the term is 0 and has no seed.
pub fn fano_term(
    weight: f64,
    population: &PopulationCounts<'_>,
    trials: &[usize],
    widths: &[FanoWidth],
    seeds: &mut [f64],
) -> f64 {
    let mut value = 0.0;
    for width in widths {
        let binned = binned(population, trials, width);
        if binned.is_empty() {
            continue;
        }
        let n = binned.len() as f64;
        let error = binned.iter().map(|b| b.fano).sum::<f64>() / n - width.recorded.fano;
        let share = weight / widths.len() as f64;
        value += share * error * error;
        let n_bins = width.n_bins as f64;
        for Binned { place: (group, trial), bins, mean, fano } in &binned {
            for (b, count) in bins.iter().enumerate() {
                let slope = (2.0 * (count - mean) / (n_bins - 1.0) - fano / n_bins) / mean;
                let first = population.window.start + b * width.steps;
                for step in first..first + width.steps {
                    seeds[population.index(step, *group, *trial)] += share * 2.0 * error * slope / n;
                }
            }
        }
    }
    value
}

/// L9: `weight mean over groups (r - target)^2` with r the mean correlation of the spike counts of two neurons of a group over
/// trials, each pair weighted by its two standard deviations:
/// `r = (Var(sum) - sum var_i)/((sum sd_i)^2 - sum var_i)`. Adds the derivative by each count to `seeds`, `[n_neurons][n_trials]`.
pub fn pairwise_term<C: Copy + Into<f64>>(
    weight: f64,
    target: f64,
    masks: &[u32],
    responses: &Responses<'_, C>,
    trials: &[usize],
    seeds: &mut [f64],
) -> f64 {
    let n_groups = 32 - masks.iter().fold(0, |all: u32, mask| all | mask).leading_zeros();
    let n_trials = responses.trials.len();
    let t = trials.len() as f64;
    let count = |neuron: usize, trial: usize| -> f64 { responses.counts[neuron * n_trials + trial].into() };
    let mut value = 0.0;
    for group in 0..n_groups {
        let of_group: Vec<usize> = (0..masks.len()).filter(|i| masks[*i] >> group & 1 == 1).collect();
        let mean_of = |i: usize| trials.iter().map(|k| count(i, *k)).sum::<f64>() / t;
        let moments: Vec<(usize, f64, f64)> = of_group
            .iter()
            .map(|&i| {
                let mean = mean_of(i);
                let var = trials.iter().map(|k| (count(i, *k) - mean).powi(2)).sum::<f64>() / (t - 1.0);
                (i, mean, var)
            })
            // A neuron that does not vary has no correlation.
            .filter(|(_, _, var)| *var > 0.0)
            .collect();
        let sum_mean: f64 = moments.iter().map(|m| m.1).sum();
        let sums: Vec<f64> =
            trials.iter().map(|k| moments.iter().map(|m| count(m.0, *k)).sum::<f64>() - sum_mean).collect();
        let var_sum = sums.iter().map(|s| s * s).sum::<f64>() / (t - 1.0);
        let [vars, sds] = [|v: f64| v, f64::sqrt].map(|f| moments.iter().map(|m| f(m.2)).sum::<f64>());
        let (top, bottom) = (var_sum - vars, sds * sds - vars);
        if moments.len() < 2 {
            continue;
        }
        let error = top / bottom - target;
        let share = weight / f64::from(n_groups);
        value += share * error * error;
        for (i, mean, var) in &moments {
            for (k, sum) in trials.iter().zip(&sums) {
                let d_var = 2.0 * (count(*i, *k) - mean) / (t - 1.0);
                let d_top = 2.0 * sum / (t - 1.0) - d_var;
                let d_bottom = sds * d_var / var.sqrt() - d_var;
                let slope = (d_top - top / bottom * d_bottom) / bottom;
                seeds[i * n_trials + k] += share * 2.0 * error * slope;
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::TrialKind;
    use crate::model::rng::uniform;

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
        assert_eq!(fano_term(1.0, &population(&silent), &trials, &all, &mut seeds), 0.0);
        assert!(seeds.iter().all(|s| *s == 0.0));
    }

    #[test]
    fn seeds_of_the_fano_term_are_its_derivative() {
        // The counts are whole numbers: the term is a ratio of polynomials in each, so central differences of +-1 do not meet the
        // slope. A scaled copy makes one spike small: with all counts times k, F is k times as large.
        let k = 10_000;
        let counts: Vec<u32> = random_counts(110 * 2 * N_TRIALS, 1.0).iter().map(|c| c * k).collect();
        let mut all = widths(&recorded(), 1.0, 100);
        all.iter_mut().for_each(|w| w.recorded.fano *= f64::from(k));
        let trials = [0, 1, 3];
        let mut seeds = vec![0.0; counts.len()];
        let value =
            |counts: &[u32]| fano_term(2.0, &population(counts), &trials, &all, &mut vec![0.0; counts.len()]);
        fano_term(2.0, &population(&counts), &trials, &all, &mut seeds);
        let largest = seeds.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
        for at in (0..counts.len()).step_by(37) {
            let moved = |by: i64| {
                let mut counts = counts.clone();
                counts[at] = (i64::from(counts[at]) + by) as u32;
                value(&counts)
            };
            // One-sided where there is no spike to take away.
            let h: i64 = if counts[at] > 0 { 10 } else { 0 };
            let slope = (moved(10) - moved(-h)) / (10 + h) as f64;
            let tolerance = if h == 0 { 3e-2 } else { 1e-3 };
            assert!((seeds[at] - slope).abs() < tolerance * largest, "{at}: {} {slope}", seeds[at]);
        }
    }

    #[test]
    fn pairwise_correlation_has_its_value_and_derivative() {
        let trials = [TrialKind::Spontaneous; 6];
        let n = 5;
        let counts: Vec<f64> = (0..n * 6)
            .map(|i| {
                let shared = f64::from(uniform(1, Stream::Loss, (i % 6) as u32, 0, 0));
                3.0 * shared + f64::from(uniform(2, Stream::Loss, i as u32, 0, 0))
            })
            .collect();
        let masks = [0b11, 0b01, 0b11, 0b10, 0b01];
        let all: Vec<usize> = (0..6).collect();
        let value = |counts: &[f64], seeds: &mut [f64]| {
            let responses = Responses { counts, trials: &trials, window_ms: 100.0 };
            pairwise_term(1.5, 0.2, &masks, &responses, &all, seeds)
        };
        let mut seeds = vec![0.0; counts.len()];
        value(&counts, &mut seeds);
        for i in 0..counts.len() {
            let moved = |by: f64| {
                let mut counts = counts.clone();
                counts[i] += by;
                value(&counts, &mut vec![0.0; counts.len()])
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((seeds[i] - slope).abs() < 1e-7, "{i}: {} {slope}", seeds[i]);
        }
        // Two neurons with the same counts: a correlation of 1.
        let twins: Vec<f64> = [1.0, 4.0, 2.0, 0.0, 3.0, 2.0].repeat(2);
        let responses = Responses { counts: &twins, trials: &trials, window_ms: 100.0 };
        assert!(pairwise_term(1.0, 1.0, &[1, 1], &responses, &all, &mut [0.0; 12]) < 1e-20);
    }

    #[test]
    fn groups_are_of_the_candidates_and_of_the_seed() {
        let candidates: Vec<usize> = (0..300).map(|i| 2 * i).collect();
        let masks = draw_groups(&candidates, 700, 16, 5);
        assert!(masks.iter().enumerate().all(|(i, m)| *m == 0 || (i % 2 == 0 && i < 600)));
        for group in 0..16 {
            let size = masks.iter().filter(|m| *m >> group & 1 == 1).count();
            assert!((10..=200).contains(&size), "{size}");
        }
        assert_eq!(masks, draw_groups(&candidates, 700, 16, 5));
        assert_ne!(masks, draw_groups(&candidates, 700, 16, 6));
        assert_eq!(draw_groups(&candidates[..4], 700, 1, 5).iter().filter(|m| **m == 1).count(), 4);
    }
}

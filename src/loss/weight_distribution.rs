//! L4: the distribution of the weights between neurons beside what electron microscopy shows of their synapses: value, and slopes by the
//! logarithm of a weight for every bin of weights (`model::weight_bins`).

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use super::weights::{LogMoments, check_synapses, counted_quantiles, log_moments, place};
use crate::error::{Check, Result};
use crate::model::weight_bins::{N_WEIGHT_BINS, weight_bin};
use crate::network::{Network, normal_quantile};

/// Parts into which a bin's weights are divided where they are put beside the target's quantiles.
const PARTS: usize = 4;

/// Wasserstein-1 distance between the logarithms of the weights of a pair type and their target; each edge counts the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightDistributionScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// What the weights are compared with.
    #[serde(default)]
    pub target: WeightTargetScene,
}

/// Target of the distribution of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightTargetScene {
    /// A normal law of the logarithms with the spread of the sizes of EM connections, about the pair type's own mean: EM says
    /// nothing of nS or pA. Between excitatory types only, since no sizes of inhibitory synapses are published.
    #[default]
    EmSpread,
    /// The weights that the builder drew, for every pair type.
    BuilderWeights,
}

impl TermScene for WeightDistributionScene {
    fn field(&self) -> &'static str {
        "structure.weight_distribution"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        check_synapses(check, scene)
    }

    fn needs(&self) -> Needs {
        Needs { weights: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let targets = match self.target {
            WeightTargetScene::EmSpread => {
                let mut targets = vec![None; of.network.vocabulary.n_pair_types()];
                let sds = of.tables.em_log_sds.iter().flatten();
                targets.iter_mut().zip(sds).for_each(|(t, sd)| *t = sd.map(WeightTarget::Spread));
                targets
            }
            WeightTargetScene::BuilderWeights => {
                let counts = count_weights(of.network);
                let of_type = counts.chunks_exact(N_WEIGHT_BINS);
                of_type.map(|counts| Some(WeightTarget::Counts(counts.to_vec()))).collect()
            }
        };
        Ok(vec![Box::new(WeightDistribution { weight: self.weight, targets })])
    }
}

/// The weights between neurons by size, `[n_pair_types][N_WEIGHT_BINS]`.
fn count_weights(network: &Network) -> Vec<u32> {
    let (vocabulary, rows) = (&network.vocabulary, &network.rows);
    let mut counts = vec![0; vocabulary.n_pair_types() * N_WEIGHT_BINS];
    for source in 0..network.neurons.len() {
        let row = rows.offsets[source] as usize..rows.offsets[source + 1] as usize;
        for (word, weight) in rows.targets[row.clone()].iter().zip(&rows.weights[row]) {
            let target = network.neurons.target_cell_type(*word);
            let pair = network.source_type(source) * vocabulary.n_cell_types() + target;
            if let Some(bin) = weight_bin(*weight) {
                counts[pair * N_WEIGHT_BINS + bin] += 1;
            }
        }
    }
    counts
}

/// What the logarithms of the weights of a pair type are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightTarget {
    /// A normal law of this standard deviation about their own mean.
    Spread(f64),
    /// Weights counted by size, `[N_WEIGHT_BINS]`.
    Counts(Vec<u32>),
}

/// The distribution of the weights of a pair type beside its target.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightDistance {
    /// Wasserstein-1 distance of the logarithms.
    pub distance: f64,
    /// Derivative of the distance by the logarithm of one of the n weights, times n, for each bin.
    pub slopes: Vec<f64>,
}

/// W1 between the logarithms of counted weights, `[N_WEIGHT_BINS]`, and a target: the mean distance between quantiles of the same
/// probability (Vallender 1974). None without weights, or with a target that has none.
///
/// Its derivative by one weight is the sign of that weight's distance, over n. Where the target follows the weights' own mean,
/// the mean sign is taken off.
pub fn weight_distance(counts: &[u32], target: &WeightTarget) -> Option<WeightDistance> {
    let LogMoments { n, mean, .. } = log_moments(counts);
    let quantiles: Box<dyn FnMut(f64) -> f64> = match target {
        WeightTarget::Spread(sd) => Box::new(move |p| mean + sd * normal_quantile(p)),
        WeightTarget::Counts(counts) => counted_quantiles(counts)?,
    };
    if n == 0 {
        return None;
    }
    let (distance, mut slopes, mean_slope) = compare(counts, n, quantiles);
    if matches!(target, WeightTarget::Spread(_)) {
        slopes.iter_mut().zip(counts).filter(|(_, c)| **c > 0).for_each(|(slope, _)| *slope -= mean_slope);
    }
    Some(WeightDistance { distance, slopes })
}

/// Mean distance, slope of each bin, mean slope.
fn compare(counts: &[u32], n: u64, mut quantile: impl FnMut(f64) -> f64) -> (f64, Vec<f64>, f64) {
    let mut slopes = vec![0.0; N_WEIGHT_BINS];
    let (mut distance, mut mean_slope, mut below) = (0.0, 0.0, 0.0);
    for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let share = f64::from(*count) / n as f64;
        for part in 0..PARTS {
            let within = (part as f64 + 0.5) / PARTS as f64;
            let apart = place(bin, within) - quantile(below + within * share);
            distance += share / PARTS as f64 * apart.abs();
            slopes[bin] += apart.signum() / PARTS as f64;
        }
        mean_slope += share * slopes[bin];
        below += share;
    }
    (distance, slopes, mean_slope)
}

/// The term of all pair types together: `sum share W1`, a pair type's share being that of its weights.
#[derive(Clone, Debug)]
pub struct WeightDistribution {
    /// Weight of the term.
    pub weight: f64,
    /// Targets, `[n_pair_types]`; None leaves a pair type out.
    pub targets: Vec<Option<WeightTarget>>,
}

impl WeightDistribution {
    /// Value, and derivative by the logarithm of one weight of each bin, `[n_pair_types][N_WEIGHT_BINS]`.
    pub fn value_and_slopes(&self, counts: &[u32]) -> (f64, Vec<f64>) {
        let of_type = || counts.chunks_exact(N_WEIGHT_BINS).zip(&self.targets);
        let counted = |counts: &[u32]| counts.iter().map(|c| u64::from(*c)).sum::<u64>();
        let total: u64 = of_type().filter(|(_, target)| target.is_some()).map(|(c, _)| counted(c)).sum();
        let mut slopes = Vec::with_capacity(counts.len());
        let mut value = 0.0;
        for (counts, target) in of_type() {
            let Some(distance) = target.as_ref().and_then(|target| weight_distance(counts, target)) else {
                slopes.resize(slopes.len() + N_WEIGHT_BINS, 0.0);
                continue;
            };
            // Each weight has 1/n of its pair type and the pair type n/total of the term.
            let per_weight = self.weight / total as f64;
            value += per_weight * counted(counts) as f64 * distance.distance;
            slopes.extend(distance.slopes.iter().map(|slope| per_weight * slope));
        }
        (value, slopes)
    }
}

impl Term for WeightDistribution {
    fn name(&self) -> &'static str {
        "weight_distribution"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let value;
        (value, seeds.log_weights) = self.value_and_slopes(seen.weight_counts);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Stream, normal_pair, words};
    use crate::model::weight_bins::weight_bin;

    fn log_normal(n: u32, mean: f64, sd: f64) -> Vec<f64> {
        (0..n).map(|i| mean + sd * normal_pair(words(5, Stream::Loss, i, 0, 0))[0]).collect()
    }

    fn counted(logs: &[f64]) -> Vec<u32> {
        let mut counts = vec![0; N_WEIGHT_BINS];
        for log in logs {
            counts[weight_bin(log.exp() as f32).unwrap()] += 1;
        }
        counts
    }

    /// The same distance from the sorted logarithms themselves.
    fn exact(logs: &[f64], quantile: impl Fn(f64) -> f64) -> f64 {
        let mut sorted = logs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        sorted.iter().enumerate().map(|(i, x)| (x - quantile((i as f64 + 0.5) / n)).abs() / n).sum()
    }

    #[test]
    fn the_distance_is_that_of_the_sorted_weights() {
        for (own_sd, sd) in [(0.6, 1.2), (1.5, 1.0), (1.1, 1.1)] {
            let logs = log_normal(4000, -0.7, own_sd);
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            let found = weight_distance(&counted(&logs), &WeightTarget::Spread(sd)).unwrap();
            let wanted = exact(&logs, |p| mean + sd * normal_quantile(p));
            // A bin is up to 0.12 wide, and distances within it cancel.
            assert!((found.distance - wanted).abs() < 0.01, "{own_sd} {sd}: {} {wanted}", found.distance);
        }
        let (logs, shifted) = (log_normal(4000, 0.0, 1.0), log_normal(4000, 0.3, 1.0));
        let target = WeightTarget::Counts(counted(&shifted));
        let found = weight_distance(&counted(&logs), &target).unwrap();
        assert!((found.distance - 0.3).abs() < 0.01, "{}", found.distance);
        assert!(
            found.slopes.iter().zip(counted(&logs)).all(|(s, c)| c == 0 || *s == -1.0),
            "all have to grow"
        );
    }

    #[test]
    fn slopes_are_the_derivative_of_the_distance() {
        // All weights of one bin are moved a little, in the sorted weights, whose distance has no bins.
        let (sd, n) = (1.0, 20_000);
        let logs = log_normal(n, 0.0, 0.5);
        let counts = counted(&logs);
        let found = weight_distance(&counts, &WeightTarget::Spread(sd)).unwrap();
        let value = |logs: &[f64]| {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            exact(logs, |p| mean + sd * normal_quantile(p))
        };
        let mut n_compared = 0;
        // Where the sign changes, the places of the weights within the bin decide.
        let even =
            |bin: usize| (bin - 1..=bin + 1).all(|b| (found.slopes[b] - found.slopes[bin]).abs() < 1e-9);
        for bin in (1..N_WEIGHT_BINS - 1).filter(|bin| counts[*bin] > 400 && even(*bin)) {
            let moved = |by: f64| -> Vec<f64> {
                let own = |x: f64| weight_bin(x.exp() as f32) == Some(bin);
                logs.iter().map(|x| if own(*x) { x + by } else { *x }).collect()
            };
            let h = 1e-4;
            let slope =
                (value(&moved(h)) - value(&moved(-h))) / (2.0 * h) * f64::from(n) / f64::from(counts[bin]);
            assert!((found.slopes[bin] - slope).abs() < 0.02, "bin {bin}: {} {slope}", found.slopes[bin]);
            n_compared += 1;
        }
        assert!(n_compared > 10);
    }

    #[test]
    fn steps_along_the_slopes_bring_the_spread_to_the_target_and_leave_the_mean() {
        for target_sd in [0.4, 1.3] {
            let mut logs = log_normal(3000, -1.0, 0.8);
            let mean_before = logs.iter().sum::<f64>() / logs.len() as f64;
            let target = WeightTarget::Spread(target_sd);
            for _ in 0..200 {
                let slopes = weight_distance(&counted(&logs), &target).unwrap().slopes;
                logs.iter_mut().for_each(|x| *x -= 0.01 * slopes[weight_bin(x.exp() as f32).unwrap()]);
            }
            let LogMoments { mean, sd, .. } = log_moments(&counted(&logs));
            assert!(
                (sd - target_sd).abs() < 0.03 && (mean - mean_before).abs() < 0.02,
                "{target_sd}: {sd} {mean}"
            );
        }
    }

    #[test]
    fn an_empty_pair_type_has_no_distance() {
        let none = vec![0; N_WEIGHT_BINS];
        assert_eq!(weight_distance(&none, &WeightTarget::Spread(1.0)), None);
        let one = counted(&[0.0]);
        assert_eq!(weight_distance(&one, &WeightTarget::Counts(none)), None);
    }
}

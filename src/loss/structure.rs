//! L4, L5: the weights between neurons beside what electron microscopy shows of their synapses: value, and slopes by the
//! logarithm of a weight for every bin of weights (`model::weight_bins`).

use serde::{Deserialize, Serialize};

use crate::model::direction_bins::{N_DIRECTION_BINS, direction_middle_deg};
use crate::model::weight_bins::{N_WEIGHT_BINS, log_edge};
use crate::network::normal_quantile;

/// Parts into which a bin's weights are divided where they are put beside the target's quantiles.
const PARTS: usize = 4;

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

fn middle(bin: usize) -> f64 {
    0.5 * (log_edge(bin) + log_edge(bin + 1))
}

/// Logarithm of a place within a bin, 0 at its lower and 1 at its upper edge.
fn place(bin: usize, share: f64) -> f64 {
    log_edge(bin) + share * (log_edge(bin + 1) - log_edge(bin))
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

/// The term of all pair types together: `sum share W1`, a pair type's share being that of its weights.
#[derive(Clone, Debug)]
pub struct WeightDistribution {
    /// Weight of the term.
    pub weight: f64,
    /// Targets, `[n_pair_types]`; None leaves a pair type out.
    pub targets: Vec<Option<WeightTarget>>,
}

impl WeightDistribution {
    /// Value, and derivative by the logarithm of one weight of each bin, `[n_pair_types][N_WEIGHT_BINS]`, times `factor` both.
    pub fn value_and_slopes(&self, counts: &[u32], factor: f64) -> (f64, Vec<f32>) {
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
            let per_weight = factor * self.weight / total as f64;
            value += per_weight * counted(counts) as f64 * distance.distance;
            slopes.extend(distance.slopes.iter().map(|slope| (per_weight * slope) as f32));
        }
        (value, slopes)
    }
}

/// A slope that EM tells of a pair type, with its standard error, 1/deg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlopeTarget {
    /// Slope of the logarithm of the size against the difference of directions.
    pub slope_per_deg: f64,
    /// Standard error.
    pub se_per_deg: f64,
}

/// L10: like-to-like slopes, `mean over pair types of ((slope - slope*)/se*)^2`.
#[derive(Clone, Debug)]
pub struct LikeToLike {
    /// Weight of the term.
    pub weight: f64,
    /// One a pair type.
    pub targets: Vec<SlopeTarget>,
}

impl LikeToLike {
    /// Value, and derivative by the logarithm of one weight of each direction, `[targets][N_DIRECTION_BINS]`, times `factor` both.
    /// `counts`: `[targets][N_DIRECTION_BINS][N_WEIGHT_BINS]`; weights and directions lie in the middles of their bins.
    pub fn value_and_slopes(&self, counts: &[u32], factor: f64) -> (f64, Vec<f32>) {
        let mut slopes = Vec::with_capacity(self.targets.len() * N_DIRECTION_BINS);
        let mut value = 0.0;
        let share = factor * self.weight / self.targets.len().max(1) as f64;
        for (target, counts) in self.targets.iter().zip(counts.chunks_exact(N_DIRECTION_BINS * N_WEIGHT_BINS))
        {
            let by_direction: Vec<(f64, LogMoments)> = counts
                .chunks_exact(N_WEIGHT_BINS)
                .enumerate()
                .map(|(bin, counts)| (direction_middle_deg(bin), log_moments(counts)))
                .collect();
            let over = |f: &dyn Fn(f64, &LogMoments) -> f64| -> f64 {
                by_direction.iter().map(|(deg, m)| m.n as f64 * f(*deg, m)).sum()
            };
            let n = over(&|_, _| 1.0);
            let mean_deg = over(&|deg, _| deg) / n;
            let spread = over(&|deg, _| (deg - mean_deg).powi(2));
            // Too few edges, or all of one direction: no slope.
            if n < 3.0 || spread <= 0.0 {
                slopes.resize(slopes.len() + N_DIRECTION_BINS, 0.0);
                continue;
            }
            let slope = over(&|deg, m| (deg - mean_deg) * m.mean) / spread;
            let error = (slope - target.slope_per_deg) / target.se_per_deg;
            value += share * error * error;
            let by_log = |deg: f64| share * 2.0 * error / target.se_per_deg * (deg - mean_deg) / spread;
            slopes.extend(by_direction.iter().map(|(deg, _)| by_log(*deg) as f32));
        }
        (value, slopes)
    }
}

/// L5: the prior on the logarithms of the pair factors, `mean of (log s)^2/(2 sd^2)` over the pair types.
#[derive(Clone, Debug)]
pub struct ScalePrior {
    /// Weight of the term.
    pub weight: f64,
    /// Standard deviations, `[n_pair_types]`; infinite leaves a pair type out.
    pub sd: Vec<f64>,
}

impl ScalePrior {
    /// Value, and derivative by each logarithm, times `factor` both.
    pub fn value_and_gradient(&self, log_scales: &[f64], factor: f64) -> (f64, Vec<f64>) {
        let n = self.sd.iter().filter(|sd| sd.is_finite()).count().max(1) as f64;
        let scale = factor * self.weight / n;
        let value: f64 = log_scales.iter().zip(&self.sd).map(|(s, sd)| (s / sd).powi(2)).sum();
        let gradient = log_scales.iter().zip(&self.sd).map(|(s, sd)| scale * s / (sd * sd)).collect();
        (0.5 * scale * value, gradient)
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
    fn like_to_like_finds_a_slope_and_its_derivative() {
        let term = LikeToLike {
            weight: 1.5,
            targets: vec![SlopeTarget { slope_per_deg: -0.003, se_per_deg: 0.0016 }; 2],
        };
        // 400 edges a direction bin with a slope of 0.002 a degree in the first pair type; none in the second.
        let logs: Vec<(usize, f64)> = (0..16 * 400)
            .map(|i| (i / 400, 0.002 * direction_middle_deg(i / 400) + log_normal(1, 0.0, 0.0)[0]))
            .map(|(bin, log)| (bin, log - 1.0))
            .collect();
        let counts_of = |logs: &[(usize, f64)]| {
            let mut counts = vec![0; 2 * N_DIRECTION_BINS * N_WEIGHT_BINS];
            for (i, (bin, log)) in logs.iter().enumerate() {
                // Spread over some bins, so that their width averages out.
                let log = log + 0.5 * ((i % 400) as f64 / 400.0 - 0.5);
                counts[bin * N_WEIGHT_BINS + weight_bin(log.exp() as f32).unwrap()] += 1;
            }
            counts
        };
        let (value, slopes) = term.value_and_slopes(&counts_of(&logs), 2.0);
        let expected = 2.0 * 1.5 / 2.0 * ((0.002_f64 + 0.003) / 0.0016).powi(2);
        assert!((value / expected - 1.0).abs() < 0.03, "{value} {expected}");
        // All weights of the last direction bin grow by a factor: the value moves by their number times their slope.
        let h = 0.05;
        let moved = |h: f64| {
            let own = |(bin, log): &(usize, f64)| (*bin, if *bin == 15 { log + h } else { *log });
            term.value_and_slopes(&counts_of(&logs.iter().map(own).collect::<Vec<_>>()), 2.0).0
        };
        let by_value = (moved(h) - moved(-h)) / (2.0 * h);
        assert!((400.0 * f64::from(slopes[15]) / by_value - 1.0).abs() < 0.1, "{} {by_value}", slopes[15]);
        assert!(slopes[16..].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn an_empty_pair_type_has_no_distance_and_the_prior_is_a_parabola() {
        let none = vec![0; N_WEIGHT_BINS];
        assert_eq!(weight_distance(&none, &WeightTarget::Spread(1.0)), None);
        let one = counted(&[0.0]);
        assert_eq!(weight_distance(&one, &WeightTarget::Counts(none)), None);
        let prior = ScalePrior { weight: 2.0, sd: vec![0.5, f64::INFINITY] };
        let (value, gradient) = prior.value_and_gradient(&[0.3, 0.7], 1.5);
        assert!((value - 0.5 * 3.0 * 0.36).abs() < 1e-12);
        assert!((gradient[0] - 3.0 * 0.3 / 0.25).abs() < 1e-12 && gradient[1] == 0.0);
    }
}

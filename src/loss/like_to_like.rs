//! L10: like-to-like slopes of the weights, against those of EM connection sizes.

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use super::weights::{LogMoments, check_synapses, log_moments};
use crate::error::{Check, Result};
use crate::model::direction_bins::{MAX_LIKE_GROUPS, N_DIRECTION_BINS, direction_middle_deg};
use crate::model::weight_bins::N_WEIGHT_BINS;
use crate::network::N_CELL_TYPES;
use crate::network::tables::{Covariate, EmConnections, Tables};

/// Squared distance of the like-to-like slopes from those of EM connection sizes, in standard errors of EM, mean over the pair types
/// for which EM tells a slope against the difference of directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LikeToLikeScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
}

impl TermScene for LikeToLikeScene {
    fn field(&self) -> &'static str {
        "structure.like_to_like"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        check_synapses(check, scene)
    }

    fn needs(&self) -> Needs {
        Needs { weights: true, directions: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let slope = |row: &EmConnections| SlopeTarget { slope_per_deg: row.slope, se_per_deg: row.slope_se };
        let targets = slopes_by_direction(of.tables).take(MAX_LIKE_GROUPS).map(slope).collect();
        Ok(vec![Box::new(LikeToLike { weight: self.weight, targets })])
    }
}

/// What EM tells of the sizes of synapses against the difference of directions.
pub fn slopes_by_direction(tables: &Tables) -> impl Iterator<Item = &EmConnections> {
    tables.em_connections.iter().filter(|row| row.covariate == Covariate::DirectionDifference)
}

/// The pair types whose weights the device counts by direction, in the order of the term's targets.
pub fn like_to_like_pairs(tables: &Tables) -> Vec<usize> {
    let pair = |row: &EmConnections| row.source_cell_type * N_CELL_TYPES + row.target_cell_type;
    slopes_by_direction(tables).map(pair).take(MAX_LIKE_GROUPS).collect()
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
    /// Value, and derivative by the logarithm of one weight of each direction, `[targets][N_DIRECTION_BINS]`.
    /// `counts`: `[targets][N_DIRECTION_BINS][N_WEIGHT_BINS]`; weights and directions lie in the middles of their bins.
    pub fn value_and_slopes(&self, counts: &[u32]) -> (f64, Vec<f64>) {
        let mut slopes = Vec::with_capacity(self.targets.len() * N_DIRECTION_BINS);
        let mut value = 0.0;
        let share = self.weight / self.targets.len().max(1) as f64;
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
            slopes.extend(by_direction.iter().map(|(deg, _)| by_log(*deg)));
        }
        (value, slopes)
    }
}

impl Term for LikeToLike {
    fn name(&self) -> &'static str {
        "like_to_like"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let value;
        (value, seeds.log_weights_by_direction) = self.value_and_slopes(seen.direction_counts);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weight_bins::weight_bin;

    #[test]
    fn like_to_like_finds_a_slope_and_its_derivative() {
        let term = LikeToLike {
            weight: 3.0,
            targets: vec![SlopeTarget { slope_per_deg: -0.003, se_per_deg: 0.0016 }; 2],
        };
        // 400 edges a direction bin with a slope of 0.002 a degree in the first pair type; none in the second.
        let logs: Vec<(usize, f64)> = (0..16 * 400)
            .map(|i| (i / 400, 0.002 * direction_middle_deg(i / 400)))
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
        let (value, slopes) = term.value_and_slopes(&counts_of(&logs));
        let expected = 2.0 * 1.5 / 2.0 * ((0.002_f64 + 0.003) / 0.0016).powi(2);
        assert!((value / expected - 1.0).abs() < 0.03, "{value} {expected}");
        // All weights of the last direction bin grow by a factor: the value moves by their number times their slope.
        let h = 0.05;
        let moved = |h: f64| {
            let own = |(bin, log): &(usize, f64)| (*bin, if *bin == 15 { log + h } else { *log });
            term.value_and_slopes(&counts_of(&logs.iter().map(own).collect::<Vec<_>>())).0
        };
        let by_value = (moved(h) - moved(-h)) / (2.0 * h);
        assert!((400.0 * slopes[15] / by_value - 1.0).abs() < 0.1, "{} {by_value}", slopes[15]);
        assert!(slopes[16..].iter().all(|s| *s == 0.0));
    }
}

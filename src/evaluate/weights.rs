//! The weights between excitatory types beside what electron microscopy shows of their synapses.

use crate::loss::like_to_like::slopes_by_direction;
use crate::loss::weight_distribution::{WeightTarget, weight_distance};
use crate::loss::weights::{counted_quantiles, log_moments};
use crate::model::weight_bins::N_WEIGHT_BINS;
use crate::network::tables::{EmConnections, PROBABILITIES, Tables};
use crate::network::{CELL_TYPES, N_CELL_TYPES};
use crate::results::{LikeToLikeSlope, PairTypeWeights};

/// The weights of every pair of excitatory types beside the spread of EM connections, `counts`: by pair type and size,
/// `[n_pair_types][N_WEIGHT_BINS]`. Pair types without weights are left out.
pub fn weights_beside_em(counts: &[u32], tables: &Tables) -> Vec<PairTypeWeights> {
    let mut pairs = Vec::new();
    let measured = |source, target| {
        tables
            .em_connections
            .iter()
            .any(|row| (row.source_cell_type, row.target_cell_type) == (source, target))
    };
    for (pair_ix, counts) in counts.chunks_exact(N_WEIGHT_BINS).take(N_CELL_TYPES * N_CELL_TYPES).enumerate()
    {
        let (source, target) = (pair_ix / N_CELL_TYPES, pair_ix % N_CELL_TYPES);
        let Some(em_log_sd) = tables.em_log_sds[source][target] else { continue };
        let Some(compared) = weight_distance(counts, &WeightTarget::Spread(em_log_sd)) else { continue };
        pairs.push(PairTypeWeights {
            source: CELL_TYPES[source].to_owned(),
            target: CELL_TYPES[target].to_owned(),
            model: log_moments(counts),
            log_quantiles: counted_quantiles(counts)
                .map_or_else(Vec::new, |at| PROBABILITIES.into_iter().map(at).collect()),
            em_log_sd,
            is_measured: measured(source, target),
            distance: compared.distance,
        });
    }
    pairs
}

/// Weights against the difference of preferred directions, of the pair types for which EM tells a slope.
#[derive(Clone, Debug)]
pub struct DirectionSlopes<'a> {
    rows: Vec<&'a EmConnections>,
    /// Difference of directions, deg, and logarithm of the weight, of each row's edges.
    points: Vec<Vec<(f64, f64)>>,
}

impl<'a> DirectionSlopes<'a> {
    /// No edge yet.
    pub fn new(tables: &'a Tables) -> Self {
        let rows: Vec<_> = slopes_by_direction(tables).collect();
        Self { points: vec![Vec::new(); rows.len()], rows }
    }

    /// Adds an edge between neurons of a (source, target) pair of cell types, with their preferred directions.
    pub fn add(&mut self, pair: (usize, usize), directions_deg: [f32; 2], weight: f32) {
        for (row, points) in self.rows.iter().zip(&mut self.points) {
            if weight > 0.0 && (row.source_cell_type, row.target_cell_type) == pair {
                let [a, b] = directions_deg.map(f64::from);
                let apart = (a - b).rem_euclid(360.0);
                points.push((apart.min(360.0 - apart), f64::from(weight).ln()));
            }
        }
    }

    /// The slopes beside EM.
    pub fn slopes(&self) -> Vec<LikeToLikeSlope> {
        let with_edges = self.rows.iter().zip(&self.points).filter(|(_, points)| points.len() > 2);
        let slope = |(row, points): (&&EmConnections, &Vec<(f64, f64)>)| {
            let (slope_per_deg, slope_se) = regression_slope(points);
            LikeToLikeSlope {
                source: CELL_TYPES[row.source_cell_type].to_owned(),
                target: CELL_TYPES[row.target_cell_type].to_owned(),
                n_edges: points.len(),
                slope_per_deg,
                slope_se,
                study: row.study.clone(),
                em_slope_per_deg: row.slope,
                em_slope_se: row.slope_se,
            }
        };
        with_edges.map(slope).collect()
    }
}

/// Least-squares slope of y against x and its standard error.
fn regression_slope(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|p| of(p.0 - mean_x, p.1 - mean_y)).sum::<f64>();
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    let slope = xy / xx;
    (slope, ((yy - slope * xy) / (n - 2.0) / xx).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_and_its_error_are_those_of_the_textbook() {
        // scipy.stats.linregress([0, 1, 2, 3, 4], [1, 3, 2, 5, 4]): slope 0.8, stderr 0.34641.
        let (slope, se) = regression_slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 2.0), (3.0, 5.0), (4.0, 4.0)]);
        assert!((slope - 0.8).abs() < 1e-12 && (se - 0.346_410_161_5).abs() < 1e-9, "{slope} {se}");
    }
}

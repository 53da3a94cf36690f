//! The structure terms of a session (L4, L5): what they compare, and their part of the gradient.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::loss::structure::{
    LikeToLike, LogMoments, ScalePrior, SlopeTarget, WeightDistribution, WeightTarget, counted_quantiles,
    log_moments, weight_distance,
};
use crate::model::weight_bins::N_WEIGHT_BINS;
use crate::network::tables::{Covariate, EmConnections, PROBABILITIES, Tables};
use crate::network::{CELL_TYPES, N_CELL_TYPES, target_neuron};
use crate::scene::{StructureLossScene, WeightTargetScene};
use crate::sim::Simulation;
use crate::sim::layout::MAX_LIKE_GROUPS;
use crate::sim::optimiser::Optimiser;

/// Names of the terms in the metrics.
pub(super) const WEIGHT_DISTRIBUTION: &str = "weight_distribution";
/// See [`WEIGHT_DISTRIBUTION`].
pub(super) const SCALE_PRIOR: &str = "scale_prior";
/// See [`WEIGHT_DISTRIBUTION`].
pub(super) const LIKE_TO_LIKE: &str = "like_to_like";

/// The structure terms that are on.
pub(super) struct Structure {
    distribution: Option<WeightDistribution>,
    like_to_like: Option<LikeToLike>,
    prior: Option<ScalePrior>,
}

/// The pair types for which EM tells a slope against the difference of directions, where the term is on.
pub(super) fn like_pairs(scene: Option<&StructureLossScene>, tables: &Tables) -> Vec<usize> {
    let is_on = scene.is_some_and(|terms| terms.like_to_like.is_some());
    let rows = slopes_by_direction(tables).filter(|_| is_on);
    rows.map(|row| row.source_cell_type * N_CELL_TYPES + row.target_cell_type).take(MAX_LIKE_GROUPS).collect()
}

fn slopes_by_direction(tables: &Tables) -> impl Iterator<Item = &EmConnections> {
    tables.em_connections.iter().filter(|row| row.covariate == Covariate::DirectionDifference)
}

/// The weights of a pair type beside EM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairTypeWeights {
    /// Presynaptic cell type.
    pub source: String,
    /// Postsynaptic cell type.
    pub target: String,
    /// The logarithms of the network's weights.
    pub model: LogMoments,
    /// Quantiles of these logarithms at the probabilities of [`PROBABILITIES`]; empty in a file of an earlier version.
    #[serde(default)]
    pub log_quantiles: Vec<f64>,
    /// Standard deviation of the logarithms of the sizes of EM connections.
    pub em_log_sd: f64,
    /// Whether it was measured between these cell types, not pooled over all excitatory ones.
    pub is_measured: bool,
    /// W1 between the centred logarithms and the normal law of that spread.
    pub distance: f64,
}

impl Structure {
    /// The terms of a scene. `builder_counts` are the counts of the weights as they were built.
    pub(super) fn new(scene: &StructureLossScene, tables: &Tables, builder_counts: &[u32]) -> Self {
        let n_pair_types = builder_counts.len() / N_WEIGHT_BINS;
        let distribution = scene.weight_distribution.map(|term| WeightDistribution {
            weight: term.weight,
            targets: match term.target {
                WeightTargetScene::EmSpread => {
                    let mut targets = vec![None; n_pair_types];
                    let sds = tables.em_log_sds.iter().flatten();
                    targets.iter_mut().zip(sds).for_each(|(t, sd)| *t = sd.map(WeightTarget::Spread));
                    targets
                }
                WeightTargetScene::BuilderWeights => {
                    let of_type = builder_counts.chunks_exact(N_WEIGHT_BINS);
                    of_type.map(|counts| Some(WeightTarget::Counts(counts.to_vec()))).collect()
                }
            },
        });
        let prior = scene.scale_prior.map(|term| {
            let mut sd = vec![f64::INFINITY; n_pair_types];
            for (sd, p) in sd.iter_mut().zip(tables.connection.p_max.iter().flatten()) {
                if *p > 0.0 {
                    *sd = ((1.0 - p) / (p * term.n_pairs_probed)).sqrt();
                }
            }
            ScalePrior { weight: term.weight, sd }
        });
        let like_to_like = scene.like_to_like.map(|term| LikeToLike {
            weight: term.weight,
            targets: slopes_by_direction(tables)
                .take(MAX_LIKE_GROUPS)
                .map(|row| SlopeTarget { slope_per_deg: row.slope, se_per_deg: row.slope_se })
                .collect(),
        });
        Self { distribution, like_to_like, prior }
    }

    /// Tells the optimiser the slopes of the terms times their factors; the terms' values by name.
    pub(super) fn apply(
        &self,
        optimiser: &mut Optimiser,
        factor: impl Fn(&str) -> f64,
    ) -> Result<Vec<(&'static str, f64)>> {
        let mut values = Vec::new();
        let mut slopes = vec![0.0; optimiser.weight_counts().len()];
        let mut by_log_scale = vec![0.0; optimiser.log_scales().len()];
        if let Some(term) = &self.distribution {
            let value;
            (value, slopes) = term.value_and_slopes(optimiser.weight_counts(), factor(WEIGHT_DISTRIBUTION));
            values.push((WEIGHT_DISTRIBUTION, value));
        }
        let mut like_slopes = Vec::new();
        if let Some(term) = &self.like_to_like {
            let value;
            (value, like_slopes) = term.value_and_slopes(optimiser.like_counts(), factor(LIKE_TO_LIKE));
            values.push((LIKE_TO_LIKE, value));
        }
        if let Some(term) = &self.prior {
            let value;
            (value, by_log_scale) = term.value_and_gradient(optimiser.log_scales(), factor(SCALE_PRIOR));
            values.push((SCALE_PRIOR, value));
        }
        optimiser.set_structure_gradient(&slopes, &like_slopes, &by_log_scale)?;
        Ok(values)
    }
}

/// The weights of every pair of excitatory types beside the spread of EM connections, `counts` as of
/// [`Optimiser::weight_counts`]. Pair types without weights are left out.
pub(super) fn weights_beside_em(counts: &[u32], tables: &Tables) -> Vec<PairTypeWeights> {
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

/// Like-to-like: the slope of the logarithm of the weight against the difference of assigned preferred directions, beside EM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikeToLikeSlope {
    /// Presynaptic cell type.
    pub source: String,
    /// Postsynaptic cell type.
    pub target: String,
    /// Edges of the network that are not 0.
    pub n_edges: usize,
    /// Slope in the network, 1/deg.
    pub slope_per_deg: f64,
    /// Its standard error.
    pub slope_se: f64,
    /// Study with calcium imaging of the EM volume.
    pub study: String,
    /// Slope of the logarithm of the size of EM connections, 1/deg.
    pub em_slope_per_deg: f64,
    /// Its standard error.
    pub em_slope_se: f64,
}

/// The slopes of the pair types for which EM tells one against the difference of directions.
pub(super) fn like_to_like(
    simulation: &Simulation,
    tuning_angle_deg: &[f32],
    tables: &Tables,
) -> Result<Vec<LikeToLikeSlope>> {
    let rows: Vec<_> = slopes_by_direction(tables).collect();
    let mut points: Vec<Vec<(f64, f64)>> = vec![Vec::new(); rows.len()];
    simulation.visit_recurrent_edges(|source, word, weight| {
        let pair = (simulation.source_type(source), simulation.source_type(target_neuron(word) as usize));
        for (row, points) in rows.iter().zip(&mut points) {
            if weight > 0.0 && (row.source_cell_type, row.target_cell_type) == pair {
                let [a, b] = [source, target_neuron(word) as usize].map(|i| f64::from(tuning_angle_deg[i]));
                let apart = (a - b).rem_euclid(360.0);
                points.push((apart.min(360.0 - apart), f64::from(weight).ln()));
            }
        }
    })?;
    let slopes = rows.iter().zip(&points).filter(|(_, points)| points.len() > 2).map(|(row, points)| {
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
    });
    Ok(slopes.collect())
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

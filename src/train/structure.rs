//! The structure terms of a session (L4, L5): what they compare, and their part of the gradient.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::loss::structure::{
    LogMoments, ScalePrior, WeightDistribution, WeightTarget, log_moments, weight_distance,
};
use crate::model::weight_bins::N_WEIGHT_BINS;
use crate::network::tables::Tables;
use crate::network::{CELL_TYPES, N_CELL_TYPES};
use crate::scene::{StructureLossScene, WeightTargetScene};
use crate::sim::layout::N_PAIR_TYPES;
use crate::sim::optimiser::Optimiser;

/// Names of the terms in the metrics.
pub(super) const WEIGHT_DISTRIBUTION: &str = "weight_distribution";
/// See [`WEIGHT_DISTRIBUTION`].
pub(super) const SCALE_PRIOR: &str = "scale_prior";

/// The structure terms that are on.
pub(super) struct Structure {
    distribution: Option<WeightDistribution>,
    prior: Option<ScalePrior>,
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
        let distribution = scene.weight_distribution.map(|term| WeightDistribution {
            weight: term.weight,
            targets: match term.target {
                WeightTargetScene::EmSpread => {
                    let mut targets = vec![None; N_PAIR_TYPES];
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
            let mut sd = vec![f64::INFINITY; N_PAIR_TYPES];
            for (sd, p) in sd.iter_mut().zip(tables.connection.p_max.iter().flatten()) {
                if *p > 0.0 {
                    *sd = ((1.0 - p) / (p * term.n_pairs_probed)).sqrt();
                }
            }
            ScalePrior { weight: term.weight, sd }
        });
        Self { distribution, prior }
    }

    /// Tells the optimiser the slopes of the terms times their factors; the terms' values by name.
    pub(super) fn apply(
        &self,
        optimiser: &mut Optimiser,
        factor: impl Fn(&str) -> f64,
    ) -> Result<Vec<(&'static str, f64)>> {
        let mut values = Vec::new();
        let mut slopes = vec![0.0; N_PAIR_TYPES * N_WEIGHT_BINS];
        let mut by_log_scale = vec![0.0; N_PAIR_TYPES];
        if let Some(term) = &self.distribution {
            let value;
            (value, slopes) = term.value_and_slopes(optimiser.weight_counts(), factor(WEIGHT_DISTRIBUTION));
            values.push((WEIGHT_DISTRIBUTION, value));
        }
        if let Some(term) = &self.prior {
            let value;
            (value, by_log_scale) = term.value_and_gradient(optimiser.log_scales(), factor(SCALE_PRIOR));
            values.push((SCALE_PRIOR, value));
        }
        optimiser.set_structure_gradient(&slopes, &by_log_scale)?;
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
            em_log_sd,
            is_measured: measured(source, target),
            distance: compared.distance,
        });
    }
    pairs
}

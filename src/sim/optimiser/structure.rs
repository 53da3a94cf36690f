//! What the structure terms of the loss need of the optimiser (L4, L5): counts of the weights by size, and their slopes.

use super::Optimiser;
use crate::error::{Error, Result};
use crate::model::direction_bins::{N_DIRECTION_BINS, direction_bin};
use crate::model::weight_bins::{N_WEIGHT_BINS, weight_bin};
use crate::network::target_neuron;
use crate::sim::Simulation;
use crate::sim::layout::MAX_LIKE_GROUPS;

/// Words before the offsets of a shard's rows.
const OFFSETS_HEADER: usize = 3;

impl Optimiser {
    /// Logarithms of the pair factors learned so far, `[n_pair_types]`.
    pub fn log_scales(&self) -> &[f64] {
        &self.learned.log_scales
    }

    /// The weights between neurons by size, `[n_pair_types][N_WEIGHT_BINS]`; empty without structure terms.
    pub fn weight_counts(&self) -> &[u32] {
        &self.weight_counts
    }

    /// The weights of the like-to-like pair types by direction and size, `[like_pairs][N_DIRECTION_BINS][N_WEIGHT_BINS]`.
    pub fn like_counts(&self) -> &[u32] {
        &self.like_counts
    }

    /// Tells the device which pair types are like-to-like groups, and counts the weights as they are.
    pub(super) fn start_structure(&mut self, simulation: &Simulation) -> Result<()> {
        let like = &self.settings.like_pairs;
        if like.len() > MAX_LIKE_GROUPS {
            return Err(Error::Failed(format!(
                "{} like-to-like pair types, at most {MAX_LIKE_GROUPS}",
                like.len()
            )));
        }
        let layout = &simulation.layout;
        let mut group_of = vec![0_u32; layout.n_pair_types()];
        like.iter().zip(1..).for_each(|(pair, group)| group_of[*pair] = group);
        self.pairs.write(layout.pairs_like(), &group_of);
        self.weight_counts = Self::count_weights(simulation)?;
        let mut counts = vec![0; like.len() * N_DIRECTION_BINS * N_WEIGHT_BINS];
        if !like.is_empty() {
            let first = layout.table_angles();
            let angles: Vec<f32> = simulation.device.tables.read(first, layout.n_neurons)?;
            simulation.visit_recurrent_edges(|source, word, weight| {
                let pair = simulation.pair_type(source, word);
                if let (group @ 1.., Some(bin)) = (group_of[pair] as usize, weight_bin(weight)) {
                    let direction = direction_bin(angles[source], angles[target_neuron(word) as usize]);
                    counts[((group - 1) * N_DIRECTION_BINS + direction) * N_WEIGHT_BINS + bin] += 1;
                }
            })?;
        }
        self.like_counts = counts;
        Ok(())
    }

    /// Sets what the structure terms add to the gradient until they are set anew: the derivative of the loss by the logarithm of a
    /// weight, `[n_pair_types][N_WEIGHT_BINS]`, for the like-to-like pair types also by direction, `[like_pairs][N_DIRECTION_BINS]`, and by the
    /// logarithms of the pair factors, `[n_pair_types]`.
    ///
    /// # Errors
    /// [`Error::Failed`] for other shapes, or an optimiser without structure terms.
    pub fn set_structure_gradient(
        &mut self,
        slopes: &[f32],
        like_slopes: &[f32],
        by_log_scale: &[f64],
    ) -> Result<()> {
        let fits = slopes.len() == self.weight_counts.len()
            && like_slopes.len() * N_WEIGHT_BINS == self.like_counts.len()
            && by_log_scale.len() == self.layout.n_pair_types();
        if !fits || !self.settings.structure {
            return Err(Error::Failed("the optimiser takes no structure terms of that shape".to_owned()));
        }
        self.pairs.write(self.layout.pairs_slopes(), slopes);
        self.pairs.write(self.layout.pairs_like_slopes(), like_slopes);
        self.scale_gradient = by_log_scale.to_vec();
        Ok(())
    }

    /// Counts the weights between neurons by size, `[n_pair_types][N_WEIGHT_BINS]`, as `update_weights.wgsl` counts them when it
    /// writes them.
    ///
    /// # Errors
    /// [`Error::Device`] what the driver refused.
    pub fn count_weights(simulation: &Simulation) -> Result<Vec<u32>> {
        let mut counts = vec![0; simulation.layout.n_pair_types() * N_WEIGHT_BINS];
        simulation.visit_recurrent_edges(|source, word, weight| {
            let pair = simulation.pair_type(source, word);
            if let Some(bin) = weight_bin(weight) {
                counts[pair * N_WEIGHT_BINS + bin] += 1;
            }
        })?;
        Ok(counts)
    }
}

impl Simulation {
    /// Pair type of an edge: (source type, target cell type).
    fn pair_type(&self, source: usize, word: u32) -> usize {
        self.source_type(source) * self.layout.n_cell_types + self.source_type(target_neuron(word) as usize)
    }

    /// Reads all edges between neurons back and visits each: source, target word ([`crate::network::Rows::targets`]), weight.
    ///
    /// # Errors
    /// [`Error::Device`] what the driver refused.
    pub fn visit_recurrent_edges(&self, mut visit: impl FnMut(usize, u32, f32)) -> Result<()> {
        for shard in self.device.shards.iter().filter(|shard| shard.kind == 0) {
            let weights: Vec<f32> = shard.weights.read(0, shard.n_edges)?;
            let targets: Vec<u32> = shard.targets.read(0, shard.n_edges)?;
            let offsets: Vec<u32> = shard.offsets.read(OFFSETS_HEADER, shard.n_rows + 1)?;
            for (row, edges) in offsets.windows(2).enumerate() {
                for edge in edges[0] as usize..edges[1] as usize {
                    visit(shard.first_source + row, targets[edge], weights[edge]);
                }
            }
        }
        Ok(())
    }
}

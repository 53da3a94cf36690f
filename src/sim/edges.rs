//! Synapses on the device: shards of edges, the rows of each kind of source in them, and the scale of what arrives.
//!
//! A *shard* is as many whole rows as fit one binding; most networks have one. The rows of one kind of source in a shard are a
//! *row set*: what is learned is learned by kind, so gradients and moments belong to it.

use std::ops::Range;
use std::sync::Arc;

use super::layout::{Layout, RowKind, rows_header};
use super::rows::{GatherRows, Grid, RowWalk, chunk_workgroups};
use super::{Settings, Simulation};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu};
use crate::network::{Network, target_neuron};

/// Whole rows of synapses, small enough for one binding.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) first_edge: usize,
    pub(super) n_edges: usize,
    /// `shaders/shared/rows.wgsl`, over all rows of the shard.
    pub(super) rows: Buffer,
    pub(super) targets: Buffer,
    pub(super) weights: Buffer,
    /// Workgroups that walk the chunks of its rows.
    pub(super) chunk_workgroups: u32,
}

/// The rows of one kind of source in a shard.
#[derive(Debug)]
pub(super) struct RowSet {
    pub(super) kind: RowKind,
    pub(super) shard_ix: usize,
    pub(super) first_source: usize,
    pub(super) n_rows: usize,
    /// First edge, numbered over the whole network.
    pub(super) first_edge: usize,
    pub(super) n_edges: usize,
    /// `shaders/shared/rows.wgsl`, over these rows.
    pub(super) rows: Buffer,
    /// Gradient of the weights, where they are learned, `[n_edges]`.
    pub(super) grad: Option<Buffer>,
    /// Workgroups that take a row each.
    pub(super) row_workgroups: u32,
    /// Workgroups whose threads share rows in the gather.
    pub(super) gather_workgroups: u32,
    /// How the gather walks the rows of neurons, by block of targets ([`GatherRows`]); none for other rows.
    pub(super) gather_blocks: Vec<Buffer>,
}

/// All synapses.
#[derive(Debug)]
pub(super) struct Edges {
    pub(super) shards: Vec<Shard>,
    pub(super) row_sets: Vec<RowSet>,
}

impl Edges {
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        network: &Network,
        layout: &Layout,
        settings: &Settings,
    ) -> Result<Self> {
        let max_edges = (gpu.adapter().max_binding_bytes.min(gpu.adapter().max_buffer_bytes) / 4) as usize;
        let offsets = &network.rows.offsets;
        let mut edges = Self { shards: Vec::new(), row_sets: Vec::new() };
        let (mut first, end) = (0, network.n_sources());
        while first < end {
            // The last row that still fits; a single row always does (its length is below the number of neurons).
            let limit = offsets[first] + max_edges as u64;
            let fits = offsets[first..=end].partition_point(|o| *o <= limit) - 1;
            let sources = first..first + fits.max(1);
            first = sources.end;
            edges.add_shard(gpu, network, layout, sources, settings)?;
        }
        Ok(edges)
    }

    fn add_shard(
        &mut self,
        gpu: &Arc<Gpu>,
        network: &Network,
        layout: &Layout,
        sources: Range<usize>,
        settings: &Settings,
    ) -> Result<()> {
        let rows = &network.rows;
        let grid = Grid::new(gpu, settings.threads);
        let range =
            |sources: &Range<usize>| rows.offsets[sources.start] as usize..rows.offsets[sources.end] as usize;
        let edges = range(&sources);
        for (kind, of_kind) in RowKind::sources(network) {
            let own = sources.start.max(of_kind.start)..sources.end.min(of_kind.end);
            if own.is_empty() {
                continue;
            }
            let n_edges = range(&own).len();
            let label = format!("{} weight gradients", kind.name());
            let grad = kind
                .learned(settings.learn_weights)
                .then(|| Buffer::storage(gpu, &label, n_edges))
                .transpose()?;
            let offsets = &rows.offsets[own.start..=own.end];
            let walk = RowWalk::new(grid, offsets);
            let gather_blocks = match kind {
                RowKind::Neurons => gather_blocks(gpu, network, layout, settings, &own, edges.start)?,
                RowKind::Lgn | RowKind::Background => Vec::new(),
            };
            self.row_sets.push(RowSet {
                kind,
                shard_ix: self.shards.len(),
                first_source: own.start,
                n_rows: own.len(),
                first_edge: range(&own).start,
                n_edges,
                rows: row_table(gpu, network, layout, kind, &own, edges.start)?,
                grad,
                row_workgroups: walk.row_workgroups(layout),
                gather_workgroups: walk.gather_workgroups(grid, layout),
                gather_blocks,
            });
        }
        self.shards.push(Shard {
            first_edge: edges.start,
            n_edges: edges.len(),
            rows: row_table(gpu, network, layout, RowKind::Neurons, &sources, edges.start)?,
            targets: Buffer::storage_of(gpu, "edge targets", &rows.targets[edges.clone()])?,
            weights: Buffer::storage(gpu, "edge weights", edges.len())?,
            chunk_workgroups: chunk_workgroups(grid, &rows.offsets[sources.start..=sources.end], layout),
        });
        Ok(())
    }

    /// Shard of a row set.
    pub(super) fn shard(&self, rows: &RowSet) -> &Shard {
        &self.shards[rows.shard_ix]
    }

    /// The row sets whose weights have a gradient, with it.
    pub(super) fn learned(&self) -> impl Iterator<Item = (&RowSet, &Buffer)> {
        self.row_sets.iter().filter_map(|rows| Some((rows, rows.grad.as_ref()?)))
    }

    /// The row set of a kind of source in a shard, if it has one.
    pub(super) fn row_set(&self, shard_ix: usize, kind: RowKind) -> Option<&RowSet> {
        self.row_sets.iter().find(|rows| rows.shard_ix == shard_ix && rows.kind == kind)
    }

    /// Words of a buffer of the shard that belong to a row set: the first, and how many.
    pub(super) fn words_of(&self, rows: &RowSet) -> (usize, usize) {
        (rows.first_edge - self.shard(rows).first_edge, rows.n_edges)
    }
}

/// `rows` of `shaders/shared/rows.wgsl`: a header, the rows' offsets in the edges of the shard that starts at `first_edge`, the source
/// of each chunk.
fn row_table(
    gpu: &Arc<Gpu>,
    network: &Network,
    layout: &Layout,
    kind: RowKind,
    sources: &Range<usize>,
    first_edge: usize,
) -> Result<Buffer> {
    let offsets = &network.rows.offsets[sources.start..=sources.end];
    let in_shard = |offset: &u64| (*offset as usize - first_edge) as u32;
    let chunks = layout.first_chunks(network);
    let of_rows = &chunks[sources.start..=sources.end];
    let (first_chunk, end_chunk) = (of_rows[0], of_rows[of_rows.len() - 1]);
    let mut words = rows_header(sources, kind, in_shard(&offsets[0]), first_chunk..end_chunk).to_vec();
    words.extend(offsets.iter().map(in_shard));
    for (source, chunks) in sources.clone().zip(of_rows.windows(2)) {
        words.extend(std::iter::repeat_n(source as u32, (chunks[1] - chunks[0]) as usize));
    }
    Buffer::storage_of(gpu, "rows", &words)
}

/// The walks of the gather over the rows of some neurons, in the edges of the shard that starts at `first_edge`.
fn gather_blocks(
    gpu: &Arc<Gpu>,
    network: &Network,
    layout: &Layout,
    settings: &Settings,
    sources: &Range<usize>,
    first_edge: usize,
) -> Result<Vec<Buffer>> {
    let offsets: Vec<u32> = network.rows.offsets[sources.start..=sources.end]
        .iter()
        .map(|offset| (*offset as usize - first_edge) as u32)
        .collect();
    let class_of = |source| network.vocabulary.class_of_source_type[network.source_type(source)];
    let classes: Vec<usize> = sources.clone().map(class_of).collect();
    let rows = GatherRows {
        first_source: sources.start,
        offsets: &offsets,
        targets: &network.rows.targets[first_edge..],
        classes: &classes,
    };
    let block = Grid::new(gpu, settings.threads).gather_block(layout, settings.gather_block_bytes);
    let blocks = rows.blocks(layout.n_neurons, block);
    blocks.iter().map(|walk| Buffer::storage_of(gpu, "walk of rows", walk)).collect()
}

/// Scale of the fixed-point arrivals: a power of two that resolves the largest weight to 22 bits, or to as many as leave room in 31
/// bits for `sum`, what arrives at one neuron at most if all its sources of a class spike at once.
fn arrival_scale(largest_weight: f32, sum: f64) -> f64 {
    if largest_weight <= 0.0 {
        return 1.0;
    }
    let resolution = 22.0 - f64::from(largest_weight).log2().ceil();
    // Rounding adds half a unit an edge at most, a millionth of what the largest of them weighs.
    let room = 31.0 - (sum * (1.0 + 1e-6)).log2().ceil();
    resolution.min(room).exp2()
}

impl Simulation {
    /// Fixed-point units per unit of weight (E9).
    pub fn arrival_scale(&self) -> f64 {
        self.arrival_scale
    }

    /// Sets the scale of the arrivals anew, for weights of which the largest learned one is given.
    pub(super) fn set_arrival_scale(&mut self, largest_learned: f32) {
        let largest = largest_learned.max(self.largest_fixed_weight);
        self.scale_arrivals(arrival_scale(largest, self.largest_sum));
    }

    /// Sets the scale of the arrivals in all shares.
    pub(super) fn scale_arrivals(&mut self, scale: f64) {
        self.each_mut(|share| share.arrival_scale = scale);
    }

    /// Weights of all edges, `[n_edges]`.
    pub fn weights(&self) -> Result<Vec<f32>> {
        let mut weights = Vec::new();
        for shard in &self.device.edges.shards {
            weights.extend(shard.weights.read::<f32>(0, shard.n_edges)?);
        }
        Ok(weights)
    }

    /// The largest sum of the weights of one class onto one neuron when the weights were set, for which the scale of the arrivals leaves
    /// room; updates leave it as it is.
    pub(super) fn largest_sum(&self) -> f64 {
        self.largest_sum
    }

    /// Replaces the weights of all edges, `[n_edges]`, all finite and >= 0.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is another number of edges.
    pub fn set_weights(&mut self, weights: &[f32]) -> Result<()> {
        self.set_weights_within(weights, None)
    }

    /// The same, with the largest sum of the weights of one class onto one neuron that the scale of the arrivals is to leave room for, where
    /// it is not that of these weights.
    pub(super) fn set_weights_within(&mut self, weights: &[f32], largest_sum: Option<f64>) -> Result<()> {
        let edges = &self.device.edges;
        let n_edges: usize = edges.shards.iter().map(|shard| shard.n_edges).sum();
        if weights.len() != n_edges {
            return Err(Error::Failed(format!("{} weights for {n_edges} edges", weights.len())));
        }
        for shard in &edges.shards {
            shard.weights.write(0, &weights[shard.first_edge..shard.first_edge + shard.n_edges]);
        }
        let (mut learned, mut fixed) = (0.0_f32, 0.0_f32);
        for rows in &edges.row_sets {
            let own =
                weights[rows.first_edge..rows.first_edge + rows.n_edges].iter().copied().fold(0.0, f32::max);
            let largest = if rows.grad.is_some() { &mut learned } else { &mut fixed };
            *largest = largest.max(own);
        }
        self.largest_sum = largest_sum.map_or_else(|| self.largest_sum_of(weights), Ok)?;
        self.largest_fixed_weight = fixed;
        self.set_arrival_scale(learned);
        Ok(())
    }

    /// Largest sum of the weights of one class onto one neuron.
    fn largest_sum_of(&self, weights: &[f32]) -> Result<f64> {
        let (edges, n_classes) = (&self.device.edges, self.layout.n_classes);
        let mut sums = vec![0.0_f64; self.layout.n_neurons * n_classes];
        for rows in &edges.row_sets {
            let (first, n) = edges.words_of(rows);
            let targets: Vec<u32> = edges.shard(rows).targets.read(first, n)?;
            let own = &weights[rows.first_edge..];
            for (row, ends) in self.row_offsets(rows)?.windows(2).enumerate() {
                let class_ix = self.class_of_source_type[self.source_type(rows.first_source + row)];
                let of_row = ends[0] as usize - first..ends[1] as usize - first;
                for (word, weight) in targets[of_row.clone()].iter().zip(&own[of_row]) {
                    sums[target_neuron(*word) as usize * n_classes + class_ix] += f64::from(*weight);
                }
            }
        }
        Ok(sums.into_iter().fold(0.0, f64::max))
    }

    /// Gradient of every edge's weight, `[n_edges]`; zeros where weights are not learned.
    pub fn weight_gradient(&self) -> Result<Vec<f32>> {
        let mut gradient = Vec::new();
        for rows in &self.device.edges.row_sets {
            match &rows.grad {
                Some(grad) => gradient.extend(grad.read::<f32>(0, rows.n_edges)?),
                None => gradient.resize(gradient.len() + rows.n_edges, 0.0),
            }
        }
        Ok(gradient)
    }

    /// Sets the gradient of every weight to zero.
    pub fn clear_weight_gradient(&self) {
        self.device.edges.learned().for_each(|(_, grad)| grad.clear());
    }

    /// Reads all edges between neurons back and visits each: source, target word ([`crate::network::Rows::targets`]), weight.
    ///
    /// # Errors
    /// [`Error::Device`] what the driver refused.
    pub fn visit_recurrent_edges(&self, mut visit: impl FnMut(usize, u32, f32)) -> Result<()> {
        let edges = &self.device.edges;
        for rows in edges.row_sets.iter().filter(|rows| rows.kind == RowKind::Neurons) {
            let ((first, n), shard) = (edges.words_of(rows), edges.shard(rows));
            let weights: Vec<f32> = shard.weights.read(first, n)?;
            let targets: Vec<u32> = shard.targets.read(first, n)?;
            let offsets = self.row_offsets(rows)?;
            for (row, ends) in offsets.windows(2).enumerate() {
                for edge in ends[0] as usize - first..ends[1] as usize - first {
                    visit(rows.first_source + row, targets[edge], weights[edge]);
                }
            }
        }
        Ok(())
    }

    /// First edge of each row of a set and the end of the last, in the edges of its shard.
    pub(super) fn row_offsets(&self, rows: &RowSet) -> Result<Vec<u32>> {
        rows.rows.read(super::layout::ROWS_HEADER, rows.n_rows + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_can_arrive_at_once_has_room() {
        let two_to = |power: i32| 2_f64.powi(power);
        assert_eq!(arrival_scale(1.0, 511.0), two_to(22));
        assert_eq!(arrival_scale(1.0, 512.0), two_to(21));
        assert_eq!(arrival_scale(0.3, 100.0), two_to(23));
        assert_eq!(arrival_scale(1.0, 1.0), two_to(22));
        assert_eq!(arrival_scale(0.0, 0.0), 1.0);
        for n in [1, 3, 511, 5000, 100_000] {
            let weight = 0.3_f32;
            let fixed = (f64::from(weight) * arrival_scale(weight, f64::from(weight) * f64::from(n))).round();
            assert!(fixed * f64::from(n) < two_to(31), "{n}");
        }
    }
}

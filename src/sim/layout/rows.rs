//! Rows of synapses: the kinds of source that they belong to, their tables, and the chunks that they are walked in.

use std::ops::Range;

use super::super::LearnWeights;
use crate::network::Network;

/// Edges of a chunk, the piece of a row that a workgroup takes where few rows are walked. About a usual row of a neuron, so that the
/// list of chunks is hardly longer than one of rows.
pub const CHUNK_EDGES: usize = 512;

/// Chunks of a row of so many edges.
pub fn n_chunks(n_edges: u64) -> usize {
    (n_edges as usize).div_ceil(CHUNK_EDGES)
}

/// Which sources rows of synapses belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Neurons.
    Neurons,
    /// LGN units.
    Lgn,
    /// Background units.
    Background,
}

impl RowKind {
    /// Each kind with its sources.
    pub(in crate::sim) fn sources(network: &Network) -> [(Self, Range<usize>); 3] {
        let (n, units) = (network.neurons.len(), network.neurons.len() + network.n_lgn);
        [(Self::Neurons, 0..n), (Self::Lgn, n..units), (Self::Background, units..network.n_sources())]
    }

    /// Whether the weights of these rows are among those that are learned.
    pub(in crate::sim) fn learned(self, learn: LearnWeights) -> bool {
        match self {
            Self::Neurons => learn.recurrent,
            Self::Lgn => learn.lgn,
            Self::Background => learn.background,
        }
    }

    /// For labels.
    pub(in crate::sim) fn name(self) -> &'static str {
        match self {
            Self::Neurons => "recurrent",
            Self::Lgn => "LGN",
            Self::Background => "background",
        }
    }
}

/// Fields of the header of a table of rows (`shaders/shared/rows.wgsl`), in order.
pub(super) const ROW_FIELDS: [&str; 6] =
    ["FIRST_SOURCE", "N", "KIND", "FIRST_EDGE", "FIRST_CHUNK", "N_CHUNKS"];

/// Words before the offsets of a table of rows.
pub(in crate::sim) const ROWS_HEADER: usize = ROW_FIELDS.len();

/// Words before the walk of a block of targets (`gather_adjoint.wgsl`): whether sums go on.
pub(super) const WALK_HEADER: usize = 1;

/// The header of the rows of some sources, whose first edge in their shard and whose chunks are given.
pub(in crate::sim) fn rows_header(
    sources: &Range<usize>,
    kind: RowKind,
    first_edge: u32,
    chunks: Range<u32>,
) -> [u32; ROWS_HEADER] {
    [
        sources.start as u32,
        sources.len() as u32,
        kind as u32,
        first_edge,
        chunks.start,
        chunks.end - chunks.start,
    ]
}

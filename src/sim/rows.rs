//! How rows and chunks of edges are shared out among workgroups.

use super::Threads;
use super::layout::{CHUNK_EDGES, Layout, n_chunks};
use super::shaders::{EDGE_WORKGROUPS, GATHER_LANES, SUM_LANES};
use crate::gpu::{Gpu, MAX_LOOP_ITERATIONS};
use crate::network::{TARGET_NEURON_BITS, target_neuron};

/// Workgroups of a kernel that walks edges, unless its loops would be too long: enough to fill the adapter.
const USUAL_WORKGROUPS: [usize; 2] = [256, 4096];

/// Most workgroups along x, the only dimension that these kernels look at.
const MAX_WORKGROUPS: usize = 65_535;

/// Networks with fewer neurons have more threads share a row in the gather on hardware, to fill it.
const FEW_ROWS: usize = 10_000;

/// How many threads there are to share work out among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    /// Few, as on software Vulkan.
    Few,
    /// Many, as on hardware.
    Many,
}

impl Grid {
    pub(super) fn new(gpu: &Gpu, threads: Threads) -> Self {
        match threads {
            Threads::Few => Self::Few,
            Threads::Many => Self::Many,
            Threads::ByAdapter if gpu.is_software() => Self::Few,
            Threads::ByAdapter => Self::Many,
        }
    }

    /// Threads that share a neuron in its kernels. Many of them read side by side; a single one reads a cell's constants once for all trials.
    pub(super) fn trial_threads(self, n_trials: usize) -> usize {
        if self == Self::Few { 1 } else { n_trials }
    }

    /// Threads of a workgroup that walks edges.
    pub(super) fn edge_workgroup_size(self) -> u32 {
        EDGE_WORKGROUPS[self as usize]
    }

    /// Threads that share a row in the gather.
    pub(super) fn gather_lanes(self, n_neurons: usize) -> u32 {
        let [few, many_rows, few_rows] = GATHER_LANES;
        match self {
            Self::Few => few,
            Self::Many if n_neurons < FEW_ROWS => few_rows,
            Self::Many => many_rows,
        }
    }

    /// Neurons of a block of targets in the gather, whose records take at most `bytes` a slot and class. Many threads take all at once: they
    /// share one large cache, and several to a row could not go on from a sum.
    pub(super) fn gather_block(self, layout: &Layout, bytes: usize) -> usize {
        let n_blocks = match self {
            Self::Few => (4 * layout.records_words()).div_ceil(bytes).max(1),
            Self::Many => 1,
        };
        layout.n_neurons.div_ceil(n_blocks).max(1)
    }

    /// Threads that share a row where it is added up by type.
    pub(super) fn sum_lanes(self) -> u32 {
        SUM_LANES[self as usize]
    }

    fn usual_workgroups(self) -> usize {
        USUAL_WORKGROUPS[self as usize]
    }
}

/// Rows of neurons, to be walked by the gather in blocks of targets.
pub(super) struct GatherRows<'a> {
    /// Source of the first row.
    pub(super) first_source: usize,
    /// First edge of each row and the end of the last, in the shard.
    pub(super) offsets: &'a [u32],
    /// Target words of the shard's edges, sorted by neuron within a row.
    pub(super) targets: &'a [u32],
    /// Class of each row.
    pub(super) classes: &'a [usize],
}

impl GatherRows<'_> {
    /// `walk` of `gather_adjoint.wgsl` for each block of `block` targets of the `n_neurons`. In each, rows go by class and then the longest
    /// first: threads that walk rows together then end together.
    pub(super) fn blocks(&self, n_neurons: usize, block: usize) -> Vec<Vec<u32>> {
        let mut firsts = self.offsets[..self.classes.len()].to_vec();
        (block..n_neurons + block)
            .step_by(block)
            .enumerate()
            .map(|(block_ix, end_neuron)| {
                let ends = self.ends(&firsts, end_neuron);
                let walk = self.walk(&firsts, &ends);
                let words = [&[u32::from(block_ix > 0)][..], &walk, &firsts, &ends].concat();
                firsts = ends;
                words
            })
            .collect()
    }

    /// Where each row's edges to neurons before `end_neuron` end, from its edges `firsts` on.
    fn ends(&self, firsts: &[u32], end_neuron: usize) -> Vec<u32> {
        let rows = firsts.iter().zip(&self.offsets[1..]);
        rows.map(|(first, last)| {
            let rest = &self.targets[*first as usize..*last as usize];
            first + rest.partition_point(|word| (target_neuron(*word) as usize) < end_neuron) as u32
        })
        .collect()
    }

    /// Source and, above it, class of each row, in the order of the walk.
    fn walk(&self, firsts: &[u32], ends: &[u32]) -> Vec<u32> {
        let mut rows: Vec<(usize, u32, usize)> = (0..self.classes.len())
            .map(|row| (self.classes[row], u32::MAX - (ends[row] - firsts[row]), self.first_source + row))
            .collect();
        rows.sort_unstable();
        let word = |(class_ix, _, source)| (class_ix as u32) << TARGET_NEURON_BITS | source as u32;
        rows.into_iter().map(word).collect()
    }
}

/// Rows of edges, for kernels that walk rows.
pub(super) struct RowWalk {
    /// Edges of each row, the longest first.
    lengths: Vec<u64>,
    /// Threads of a workgroup.
    size: u64,
    usual: usize,
}

impl RowWalk {
    /// Rows whose first edges and last end are `offsets`.
    pub(super) fn new(grid: Grid, offsets: &[u64]) -> Self {
        Self::of(offsets, u64::from(grid.edge_workgroup_size()), grid.usual_workgroups())
    }

    fn of(offsets: &[u64], size: u64, usual: usize) -> Self {
        let mut lengths: Vec<u64> = offsets.windows(2).map(|row| row[1] - row[0]).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        Self { lengths, size, usual }
    }

    /// Workgroups that take a row each (`gradient_sums.wgsl`, `update_weights.wgsl`).
    pub(super) fn row_workgroups(&self, layout: &Layout) -> u32 {
        self.workgroups(1, |length| row_iterations(length, layout.n_cell_types as u64, self.size))
    }

    /// Workgroups whose threads share rows, `lanes` to a row (`gather_adjoint.wgsl`). Where threads are scarce none walks two rows.
    pub(super) fn gather_workgroups(&self, grid: Grid, layout: &Layout) -> u32 {
        let lanes = grid.gather_lanes(layout.n_neurons);
        let rows_at_once = (self.size / u64::from(lanes)) as usize;
        let iterations = |length| gather_iterations(length, u64::from(lanes), layout.n_trials as u64);
        let at_least = self.workgroups(rows_at_once, iterations);
        if grid == Grid::Few {
            return at_least;
        }
        at_least.max(self.lengths.len().div_ceil(rows_at_once).min(MAX_WORKGROUPS) as u32)
    }

    /// The usual number of workgroups, but no more than there are rows to take, and so many that no thread goes round its loops more
    /// often than every driver allows, even where the longest rows all fall to one workgroup.
    fn workgroups(&self, rows_at_once: usize, iterations: impl Fn(u64) -> u64) -> u32 {
        let most = self.lengths.len().div_ceil(rows_at_once).clamp(1, MAX_WORKGROUPS);
        let worst = |n: usize| {
            let n_walked = self.lengths.len().div_ceil(n * rows_at_once);
            1 + self.lengths[..n_walked].iter().map(|length| iterations(*length)).sum::<u64>()
        };
        at_most(self.usual, most, worst)
    }
}

/// Workgroups that walk the chunks of some rows, whose first edges and last end are `offsets`, in a list of all chunks of the
/// network.
pub(super) fn chunk_workgroups(grid: Grid, offsets: &[u64], layout: &Layout) -> u32 {
    let own = offsets.windows(2).map(|row| n_chunks(row[1] - row[0])).sum();
    let size = u64::from(grid.edge_workgroup_size());
    chunk_walk([own, layout.n_chunks], layout.n_trials as u64, size, grid.usual_workgroups())
}

fn chunk_walk([own, all]: [usize; 2], n_trials: u64, size: u64, usual: usize) -> u32 {
    let of_chunk = (CHUNK_EDGES as u64).div_ceil(size) * (1 + n_trials + 1) + 1;
    let worst = |n: usize| 1 + all.div_ceil(n) as u64 + own.div_ceil(n) as u64 * of_chunk;
    at_most(usual, all.clamp(1, MAX_WORKGROUPS), worst)
}

/// `usual` or `most`, the smaller; twice as many, and again, while a thread of one has too many iterations.
fn at_most(usual: usize, most: usize, worst_iterations: impl Fn(usize) -> u64) -> u32 {
    let mut n = usual.min(most);
    while n < most && worst_iterations(n) > u64::from(MAX_LOOP_ITERATIONS) {
        n = (2 * n).min(most);
    }
    n as u32
}

/// Iterations of all loops, nested ones together, that one thread of a workgroup of `size` spends on a row of `n_edges` edges: its
/// edges, and adding up the partial sums (`gradient_sums.wgsl`). Every loop is counted once more for the test that ends it.
fn row_iterations(n_edges: u64, n_cell_types: u64, size: u64) -> u64 {
    let n_sums = n_cell_types + 1;
    let edges = n_edges.div_ceil(size) + 1;
    let sums = n_sums + 1 + n_sums.div_ceil(size) * (1 + size + 1) + 1;
    1 + edges + sums
}

/// The same of `gather_adjoint.wgsl`, with `lanes` threads to a row.
fn gather_iterations(n_edges: u64, lanes: u64, n_trials: u64) -> u64 {
    let sums = if lanes == 1 { 0 } else { n_trials.div_ceil(lanes) * (1 + lanes + 1) + 1 };
    1 + n_edges.div_ceil(lanes) + 1 + sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = MAX_LOOP_ITERATIONS as u64;

    /// Offsets of rows of the given lengths.
    fn offsets(lengths: impl Iterator<Item = u64>) -> Vec<u64> {
        let ends = lengths.scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect()
    }

    /// The longest rows that a workgroup may have to walk.
    fn longest(rows: &RowWalk, n_workgroups: u32, rows_at_once: usize) -> impl Iterator<Item = u64> {
        rows.lengths[..rows.lengths.len().div_ceil(n_workgroups as usize * rows_at_once)].iter().copied()
    }

    #[test]
    fn loops_of_the_largest_networks_stay_within_what_every_driver_carries_out() {
        // Rows of v1_67k and v1_204k: neurons (mean 360 edges, some thrice that) and LGN units (mean 1,800 and 5,500).
        let neurons = |n: u64| offsets((0..n).map(|i| 120 * (1 + i % 9)));
        let lgn = |mean: u64| offsets((0..17_400).map(move |i| mean / 2 * (1 + i % 3)));
        for offsets in [neurons(66_634), neurons(204_000), lgn(1_800), lgn(5_500)] {
            for (size, lanes, usual) in [(8, 1, USUAL_WORKGROUPS[0]), (128, 8, USUAL_WORKGROUPS[1])] {
                let rows = RowWalk::of(&offsets, size, usual);
                let n = rows.workgroups(1, |length| row_iterations(length, 19, size));
                assert!((usual..=MAX_WORKGROUPS).contains(&(n as usize)));
                let worst: u64 = longest(&rows, n, 1).map(|length| row_iterations(length, 19, size)).sum();
                assert!(worst < LIMIT);
                let at_once = (size / lanes) as usize;
                let n = rows.workgroups(at_once, |length| gather_iterations(length, lanes, 32));
                let worst: u64 =
                    longest(&rows, n, at_once).map(|length| gather_iterations(length, lanes, 32)).sum();
                assert!(worst < LIMIT);
                let chunks: usize = offsets.windows(2).map(|row| n_chunks(row[1] - row[0])).sum();
                for n_trials in [1, 10, 32] {
                    let n = chunk_walk([chunks, 2 * chunks], n_trials, size, usual) as usize;
                    let of_chunk = (CHUNK_EDGES as u64).div_ceil(size) * (2 + n_trials) + 2;
                    assert!((usual..=MAX_WORKGROUPS).contains(&n));
                    assert!(chunks.div_ceil(n) as u64 * of_chunk < LIMIT);
                }
            }
        }
        // With the usual number alone they would not.
        let chunks = 2 * 204_000;
        assert!(chunk_walk([chunks, chunks], 32, 8, USUAL_WORKGROUPS[0]) as usize > USUAL_WORKGROUPS[0]);
    }

    #[test]
    fn rows_are_gathered_in_blocks_of_targets_by_class_and_the_longest_first() {
        // Three rows of the shard's edges, to neurons of 0 to 5 with delays above; the first row lies behind two edges of another.
        let delayed = |neuron: u32| 3 << TARGET_NEURON_BITS | neuron;
        let targets: Vec<u32> = [9, 9, 0, 2, 5, 1, 3, 3, 4, 0, 5].map(delayed).to_vec();
        let offsets = [2, 5, 9, 11];
        let rows = GatherRows { first_source: 10, offsets: &offsets, targets: &targets, classes: &[1, 1, 0] };
        let at = |class_ix: u32, source: u32| class_ix << 22 | source;
        let whole = [&[0, at(0, 12), at(1, 11), at(1, 10)][..], &[2, 5, 9], &[5, 9, 11]].concat();
        assert_eq!(rows.blocks(6, 6), [whole]);
        // Neurons 0 to 3, then 4 and 5: each block begins where the one before ends.
        let first = [&[0, at(0, 12), at(1, 11), at(1, 10)][..], &[2, 5, 9], &[4, 8, 10]].concat();
        let second = [&[1, at(0, 12), at(1, 10), at(1, 11)][..], &[4, 8, 10], &[5, 9, 11]].concat();
        assert_eq!(rows.blocks(6, 4), [first, second]);
    }

    #[test]
    fn few_rows_get_a_workgroup_each_and_none_gets_one() {
        let rows = |lengths: &[u64]| RowWalk::of(&offsets(lengths.iter().copied()), 8, 256);
        let each = |rows: RowWalk| rows.workgroups(1, |length| row_iterations(length, 19, 8));
        assert_eq!(each(rows(&[3, 0, 5])), 3);
        assert_eq!(each(rows(&[])), 1);
        assert_eq!(each(rows(&[9; 1000])), 256);
        assert_eq!(rows(&[9; 1000]).workgroups(8, |length| gather_iterations(length, 1, 10)), 125);
        assert_eq!(chunk_walk([0, 0], 10, 8, 256), 1);
    }
}

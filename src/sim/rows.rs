//! How the rows of a shard are shared out among workgroups.

use super::layout::Layout;
use super::shaders::ROW_WORKGROUPS;
use crate::gpu::{Gpu, MAX_LOOP_ITERATIONS};

/// Workgroups of a kernel that walks rows, unless its loops would be too long: enough to fill the adapter.
const USUAL_WORKGROUPS: [usize; 2] = [256, 4096];

/// Most workgroups along x, the only dimension that these kernels look at.
const MAX_WORKGROUPS: usize = 65_535;

/// Threads of a workgroup that walks rows.
pub(super) fn row_workgroup_size(gpu: &Gpu) -> u32 {
    ROW_WORKGROUPS[usize::from(!gpu.is_software())]
}

/// Workgroups that walk the rows of a shard, whose first edges and last end are `offsets`.
pub(super) fn row_workgroups(gpu: &Gpu, offsets: &[u64], layout: &Layout) -> u32 {
    let usual = USUAL_WORKGROUPS[usize::from(!gpu.is_software())];
    workgroups(offsets, [layout.n_trials, layout.n_cell_types], u64::from(row_workgroup_size(gpu)), usual)
}

/// At least `usual` workgroups, but no more than rows, and so many that no thread goes round its loops more often than every
/// driver allows, even where the longest rows all fall to one workgroup.
fn workgroups(offsets: &[u64], n_trials_and_cell_types: [usize; 2], size: u64, usual: usize) -> u32 {
    let n_trials_and_cell_types = n_trials_and_cell_types.map(|n| n as u64);
    let mut iterations: Vec<u64> = offsets
        .windows(2)
        .map(|row| row_iterations(row[1] - row[0], n_trials_and_cell_types, size))
        .collect();
    iterations.sort_unstable_by(|a, b| b.cmp(a));
    let n_rows = iterations.len();
    let most = n_rows.clamp(1, MAX_WORKGROUPS);
    let mut n = usual.min(most);
    while n < most && worst_iterations(&iterations, n) > u64::from(MAX_LOOP_ITERATIONS) {
        n = (2 * n).min(most);
    }
    n as u32
}

/// Iterations of the workgroup that walks the longest of the rows, given in descending order.
fn worst_iterations(iterations: &[u64], n_workgroups: usize) -> u64 {
    let n_walked = iterations.len().div_ceil(n_workgroups);
    1 + iterations[..n_walked].iter().sum::<u64>()
}

/// Iterations of all loops, nested ones together, that one thread of any of the kernels spends on a row of `n_edges` edges:
/// its edges with their trials, and adding up the partial sums (`gather_adjoint.wgsl`, `gradient_sums.wgsl`). Every loop is
/// counted once more for the test that ends it.
fn row_iterations(n_edges: u64, [n_trials, n_cell_types]: [u64; 2], workgroup_size: u64) -> u64 {
    let n_sums = n_trials.max(n_cell_types + 1);
    let edges = n_edges.div_ceil(workgroup_size) * (1 + n_trials + 1) + 1;
    let sums = n_sums + 1 + n_sums.div_ceil(workgroup_size) * (1 + workgroup_size + 1) + 1;
    1 + edges + sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets of rows of the given lengths.
    fn offsets(lengths: impl Iterator<Item = u64>) -> Vec<u64> {
        let ends = lengths.scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect()
    }

    fn worst(offsets: &[u64], n_trials: u64, size: u64, n_workgroups: usize) -> u64 {
        let mut rows: Vec<u64> =
            offsets.windows(2).map(|row| row_iterations(row[1] - row[0], [n_trials, 19], size)).collect();
        rows.sort_unstable_by(|a, b| b.cmp(a));
        worst_iterations(&rows, n_workgroups)
    }

    #[test]
    fn loops_of_the_largest_networks_stay_within_what_every_driver_carries_out() {
        // Rows of v1_67k and v1_204k: neurons (mean 360 edges, some thrice that) and LGN units (mean 1,800 and 5,500).
        let neurons = |n: u64| offsets((0..n).map(|i| 120 * (1 + i % 9)));
        let lgn = |mean: u64| offsets((0..17_400).map(move |i| mean / 2 * (1 + i % 3)));
        for rows in [neurons(66_634), neurons(204_000), lgn(1_800), lgn(5_500)] {
            for (size, usual) in [(8, USUAL_WORKGROUPS[0]), (64, USUAL_WORKGROUPS[1])] {
                for n_trials in [1, 10, 32] {
                    let n = workgroups(&rows, [n_trials as usize, 19], size, usual) as usize;
                    assert!((usual..=MAX_WORKGROUPS).contains(&n));
                    assert!(worst(&rows, n_trials, size, n) <= u64::from(MAX_LOOP_ITERATIONS));
                }
            }
        }
        // With the usual number alone they would not.
        assert!(worst(&neurons(66_634), 10, 8, USUAL_WORKGROUPS[0]) > u64::from(MAX_LOOP_ITERATIONS));
    }

    #[test]
    fn a_small_shard_gets_a_workgroup_a_row_and_an_empty_one_gets_one() {
        assert_eq!(workgroups(&offsets([3, 0, 5].into_iter()), [10, 19], 8, 256), 3);
        assert_eq!(workgroups(&[0], [10, 19], 8, 256), 1);
        assert_eq!(workgroups(&offsets([9; 1000].into_iter()), [10, 19], 8, 256), 256);
    }
}

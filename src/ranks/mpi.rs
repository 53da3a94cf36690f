//! The ranks of an MPI program.

use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{Universe, processor_name};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives;
use mpi::{Count, Threading};

use crate::error::{Error, Result};

/// Most bytes that one call moves in all; MPI counts in 32-bit integers.
const MOST_BYTES: usize = 1 << 30;
/// Words that are summed at once: little memory, and few calls.
const SUM_WORDS: usize = 1 << 22;

/// All ranks of this program.
pub(super) struct World {
    rank: usize,
    n: usize,
    local_rank: usize,
    host: String,
    /// MPI ends when it goes.
    universe: Universe,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {} on {}", self.rank, self.n, self.host)
    }
}

impl World {
    /// Starts MPI, once in a process. All calls come from the thread that started it.
    pub(super) fn start() -> Result<Option<Self>> {
        let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
            return Err(Error::Failed("MPI was started twice".to_owned()));
        };
        let world = universe.world();
        let host = processor_name().unwrap_or_else(|_| "an unnamed host".to_owned());
        let (rank, n) = (world.rank() as usize, world.size() as usize);
        let local_rank = world.split_shared(world.rank()).rank() as usize;
        Ok(Some(Self { rank, n, local_rank, host, universe }))
    }

    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Number among the ranks of this host.
    pub(super) fn local_rank(&self) -> usize {
        self.local_rank
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    fn all(&self) -> SimpleCommunicator {
        self.universe.world()
    }

    /// What each rank has, in the order of the ranks.
    pub(super) fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths = vec![0_u64; self.n];
        self.all().all_gather_into(&(own.len() as u64), &mut lengths[..]);
        let mut gathered: Vec<Vec<u8>> = lengths.iter().map(|n| Vec::with_capacity(*n as usize)).collect();
        let block = MOST_BYTES / self.n;
        let part = |length: usize, first: usize| first.min(length)..(first + block).min(length);
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        for first in (0..longest).step_by(block) {
            let counts: Vec<usize> = lengths.iter().map(|n| part(*n as usize, first).len()).collect();
            let mut received = vec![0_u8; counts.iter().sum()];
            let mut partition = partition_mut(&mut received, &counts);
            self.all().all_gather_varcount_into(&own[part(own.len(), first)], &mut partition);
            let mut rest = &received[..];
            for (all, n) in gathered.iter_mut().zip(counts) {
                let (own, others) = rest.split_at(n);
                all.extend_from_slice(own);
                rest = others;
            }
        }
        gathered
    }

    /// Adds up what all ranks have, in the order of the ranks, in f64, rounded once. Each rank adds up a part and hands it to the
    /// others, so that 2 (n - 1) / n of the values pass each rank's wire each way.
    pub(super) fn sum(&self, values: &mut [f32]) {
        values.chunks_mut(SUM_WORDS).for_each(|block| self.sum_block(block));
    }

    fn sum_block(&self, values: &mut [f32]) {
        // The part of each rank.
        let bounds: Vec<usize> = (0..=self.n).map(|rank| rank * values.len() / self.n).collect();
        let counts: Vec<usize> = bounds.windows(2).map(|part| part[1] - part[0]).collect();
        let n_own = counts[self.rank];
        let mut terms = vec![0.0_f32; self.n * n_own];
        let sent = Partition::new(&*values, mpi_counts(&counts), mpi_counts(&bounds[..self.n]));
        self.all().all_to_all_varcount_into(&sent, &mut partition_mut(&mut terms, &vec![n_own; self.n]));
        let sum = |i: usize| (0..self.n).map(|rank| f64::from(terms[rank * n_own + i])).sum::<f64>() as f32;
        let own: Vec<f32> = (0..n_own).map(sum).collect();
        self.all().all_gather_varcount_into(&own[..], &mut partition_mut(values, &counts));
    }

    /// Ends all ranks at once.
    pub(super) fn abort(&self, exit_code: u8) -> ! {
        self.all().abort(i32::from(exit_code))
    }
}

/// At most [`MOST_BYTES`], so that no count is too large.
fn mpi_counts(counts: &[usize]) -> Vec<Count> {
    counts.iter().map(|n| *n as Count).collect()
}

/// One part after the other.
fn partition_mut<'a, T: mpi::traits::Equivalence>(
    values: &'a mut [T],
    counts: &[usize],
) -> PartitionMut<'a, [T], Vec<Count>, Vec<Count>> {
    let starts = counts.iter().scan(0, |next, n| {
        let start = *next;
        *next += n;
        Some(start)
    });
    let starts: Vec<usize> = starts.collect();
    PartitionMut::new(values, mpi_counts(counts), mpi_counts(&starts))
}

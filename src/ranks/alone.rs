//! A program that was built without MPI: there is no other rank, so nothing here but the start is ever called.

use crate::error::{Error, Result};

/// What Open MPI, MPICH and Intel MPI, and Slurm's `srun` call the number of processes that they started.
const STARTED: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// The other ranks, of which there are none.
#[derive(Debug)]
pub(super) enum World {}

impl World {
    /// A process alone needs no world. Several would each do the whole work, and not know of each other.
    pub(super) fn start() -> Result<Option<Self>> {
        let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
        match STARTED.iter().find_map(|name| Some((*name, number(name).filter(|n| *n > 1)?))) {
            Some((name, n)) => {
                let limit = "this program is built without MPI and runs as one process: build it with --features mpi \
                             (docs/cluster.md); for runs that have nothing to do with each other unset the variable";
                Err(Error::field("environment", name, n, limit))
            }
            None => Ok(None),
        }
    }

    pub(super) fn rank(&self) -> usize {
        match *self {}
    }

    pub(super) fn n(&self) -> usize {
        match *self {}
    }

    pub(super) fn local_rank(&self) -> usize {
        match *self {}
    }

    pub(super) fn host(&self) -> &str {
        match *self {}
    }

    pub(super) fn gather(&self, _: &[u8]) -> Vec<Vec<u8>> {
        match *self {}
    }

    pub(super) fn sum(&self, _: &mut [f32]) {
        match *self {}
    }

    pub(super) fn abort(&self, _: u8) -> ! {
        match *self {}
    }
}

//! Ranks: the processes that share the trials of a run, started by `mpirun` or `srun` (docs/cluster.md). Every rank holds the whole
//! network and a contiguous part of the trials; what the losses look at is gathered, gradients are summed in the order of the ranks,
//! and all ranks update alike. A process alone is one rank, for which everything here does nothing.
//!
//! Ranks that wait for each other must come to the same calls in the same order: what can fail on one of them alone is brought to
//! [`Ranks::agree`], after which it has failed on all.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

#[cfg(not(feature = "mpi"))]
mod alone;
#[cfg(feature = "mpi")]
mod mpi;

#[cfg(not(feature = "mpi"))]
use alone::World;
#[cfg(feature = "mpi")]
use mpi::World;

/// The ranks of a program as one of them sees them. The default is a process alone.
#[derive(Clone, Debug, Default)]
pub struct Ranks {
    /// None where there is but one.
    world: Option<Arc<World>>,
    /// The one trial that is looked at; None: all.
    trial: Option<usize>,
}

impl Ranks {
    /// Starts MPI where the program was built with it, once in a process.
    ///
    /// # Errors
    /// [`Error::Field`] where several processes were started together of a program without MPI.
    pub fn start() -> Result<Self> {
        Ok(Self { world: World::start()?.map(Arc::new), trial: None })
    }

    /// A process alone that simulates one trial of each batch and leaves the others out, however many there are.
    pub fn of_trial(trial: usize) -> Self {
        Self { world: None, trial: Some(trial) }
    }

    /// Refuses ranks that run other programs or arguments.
    ///
    /// # Errors
    /// [`Error::OfRanks`] names the first rank that differs from rank 0.
    pub fn hold_programs_alike(&self) -> Result<()> {
        if self.others().is_none() {
            return Ok(());
        }
        self.hold_alike("the program", &program(), 2)?;
        self.hold_arguments_alike(&std::env::args().skip(1).collect::<Vec<_>>())
    }

    /// Number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.world.as_ref().map_or(0, |world| world.rank())
    }

    /// How many there are.
    pub fn n(&self) -> usize {
        self.world.as_ref().map_or(1, |world| world.n())
    }

    /// Whether this is the one that writes and speaks.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Number of this rank among those of its host, from 0.
    pub fn local_rank(&self) -> usize {
        self.world.as_ref().map_or(0, |world| world.local_rank())
    }

    /// Name of this rank's host; empty for a process alone.
    pub fn host(&self) -> &str {
        self.world.as_ref().map_or("", |world| world.host())
    }

    /// The others, where there are any.
    fn others(&self) -> Option<&World> {
        self.world.as_deref().filter(|world| world.n() > 1)
    }

    /// The trials of a batch that a rank has: parts of equal length, the first ones longer by one where they do not divide.
    pub fn share_of(&self, rank: usize, n_trials: usize) -> Range<usize> {
        self.trial.map_or_else(|| share(rank, self.n(), n_trials), |trial| trial..trial + 1)
    }

    /// The trials of a batch that are this rank's.
    pub fn share(&self, n_trials: usize) -> Range<usize> {
        self.share_of(self.rank(), n_trials)
    }

    /// What every rank has, in the order of the ranks.
    pub fn gather<T: Pod>(&self, own: &[T]) -> Vec<Vec<T>> {
        match self.others() {
            Some(world) => {
                let gathered = world.gather(bytemuck::cast_slice(own));
                gathered.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect()
            }
            None => vec![own.to_vec()],
        }
    }

    /// The same as texts.
    pub fn gather_texts(&self, own: &str) -> Vec<String> {
        self.gather(own.as_bytes()).iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// Values of all trials from those of each rank's, `[rows][trials]` both.
    pub fn gather_trials<T: Pod>(&self, own: Vec<T>, n_trials: usize) -> Vec<T> {
        match self.others() {
            Some(_) => join_trials(&self.gather(&own), n_trials),
            None => own,
        }
    }

    /// This rank's trials of values `[rows][trials]`.
    pub fn own_trials<T: Copy>(&self, all: Vec<T>, n_trials: usize) -> Vec<T> {
        match self.others() {
            Some(_) => {
                all.chunks_exact(n_trials).flat_map(|row| row[self.share(n_trials)].to_vec()).collect()
            }
            None => all,
        }
    }

    /// Adds up what all ranks have, in the order of the ranks and rounded once, so that the same ranks find the same sum.
    pub fn sum(&self, values: &mut [f32]) {
        if let Some(world) = self.others() {
            world.sum(values);
        }
    }

    /// The same of a few numbers in f64.
    pub fn sum_f64(&self, values: &mut [f64]) {
        if self.others().is_none() {
            return;
        }
        let of_ranks = self.gather(values);
        for (i, value) in values.iter_mut().enumerate() {
            *value = of_ranks.iter().map(|of_rank| of_rank[i]).sum();
        }
    }

    /// Whether anything is so on any rank.
    pub fn any(&self, own: bool) -> bool {
        match self.others() {
            Some(_) => self.gather(&[u8::from(own)]).concat().contains(&1),
            None => own,
        }
    }

    /// Goes on where no rank has failed; waits for all.
    ///
    /// # Errors
    /// On every rank the error of the first that failed, by rank and host, or without where all failed alike.
    pub fn agree<T>(&self, own: Result<T>) -> Result<T> {
        if self.others().is_none() {
            return own;
        }
        let said = own
            .as_ref()
            .err()
            .map_or(String::new(), |error| format!("{}\n{}\n{error}", error.exit_code(), self.host()));
        match first_failure(&self.gather_texts(&said)) {
            Some((words, exit_code)) => Err(Error::OfRanks { words, exit_code }),
            None => own,
        }
    }

    /// Refuses ranks that have not the same as rank 0.
    ///
    /// # Errors
    /// [`Error::OfRanks`] with `exit_code` on every rank, which names the first that differs.
    pub fn hold_alike(&self, what: &str, own: &str, exit_code: u8) -> Result<()> {
        if self.others().is_none() {
            return Ok(());
        }
        let (of_ranks, hosts) = (self.gather_texts(own), self.gather_texts(self.host()));
        match (1..self.n()).find(|rank| of_ranks[*rank] != of_ranks[0]) {
            None => Ok(()),
            Some(rank) => {
                let [theirs, first] = [rank, 0].map(|rank| {
                    let has = crate::error::clipped(&of_ranks[rank]);
                    format!("rank {rank} on {} has {what} {has}", hosts[rank])
                });
                let words = format!("{theirs}, {first}: all ranks must have the same");
                Err(Error::OfRanks { words, exit_code })
            }
        }
    }

    /// The same of the command line, by the first argument that differs on any of them.
    fn hold_arguments_alike(&self, own: &[String]) -> Result<()> {
        let of_ranks: Vec<Vec<String>> = self
            .gather_texts(&own.join("\n"))
            .iter()
            .map(|text| text.lines().map(str::to_owned).collect())
            .collect();
        let most = of_ranks.iter().map(Vec::len).max().unwrap_or(0);
        match (0..most).find(|i| of_ranks.iter().any(|other| other.get(*i) != of_ranks[0].get(*i))) {
            None => Ok(()),
            Some(i) => {
                let argument = own.get(i).map_or("(none)", String::as_str);
                self.hold_alike(&format!("argument {}", i + 1), argument, 2)
            }
        }
    }

    /// What a command on these ranks has come to. Where this rank alone has failed the others wait for it for ever: it says so with `say`
    /// and ends them all. What all know of the first one says, before any of them ends: `mpirun` ends the others as soon as a rank has
    /// ended with an exit code, and the message or the report that the first one is at would be lost.
    ///
    /// # Errors
    /// [`Error::OfRanks`], of which the user has been told; that of a process alone as it is.
    pub fn conclude(&self, outcome: Result<()>, say: impl FnOnce(String)) -> Result<()> {
        let (Err(error), Some(world)) = (&outcome, self.others()) else { return outcome };
        // All ranks come to a stop after the same step.
        if !matches!(error, Error::OfRanks { .. } | Error::Interrupted { .. }) {
            say(format!("rank {} on {}: {error}", world.rank(), world.host()));
            world.abort(error.exit_code());
        }
        if self.is_first() {
            say(error.to_string());
        }
        self.any(true);
        Err(Error::OfRanks { words: error.to_string(), exit_code: error.exit_code() })
    }
}

fn share(rank: usize, n_ranks: usize, n_trials: usize) -> Range<usize> {
    let first = |rank: usize| rank * (n_trials / n_ranks) + rank.min(n_trials % n_ranks);
    first(rank)..first(rank + 1)
}

/// Rows of all trials from the rows of each rank's.
fn join_trials<T: Copy>(of_ranks: &[Vec<T>], n_trials: usize) -> Vec<T> {
    let shares: Vec<usize> = (0..of_ranks.len()).map(|r| share(r, of_ranks.len(), n_trials).len()).collect();
    let n_rows = of_ranks.iter().map(Vec::len).sum::<usize>() / n_trials.max(1);
    let mut all = Vec::with_capacity(n_rows * n_trials);
    for row in 0..n_rows {
        for (own, n) in of_ranks.iter().zip(&shares) {
            all.extend_from_slice(&own[row * n..(row + 1) * n]);
        }
    }
    all
}

/// What the first rank that failed says, and its exit code, from what each says: nothing, or exit code, host and words, a line each.
fn first_failure(said: &[String]) -> Option<(String, u8)> {
    let parts = |text: &str| -> (u8, String, String) {
        let mut lines = text.splitn(3, '\n').map(str::to_owned);
        let exit_code = lines.next().and_then(|code| code.parse().ok()).unwrap_or(1);
        (exit_code, lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    };
    let rank = said.iter().position(|text| !text.is_empty())?;
    let (exit_code, host, words) = parts(&said[rank]);
    let all_alike = said.iter().all(|text| !text.is_empty() && parts(text).2 == words);
    Some((if all_alike { words } else { format!("rank {rank} on {host}: {words}") }, exit_code))
}

/// Version and hash of the program that runs.
fn program() -> String {
    let read = std::env::current_exe().and_then(std::fs::read);
    let hash = read.map_or_else(|_| "unreadable".to_owned(), |bytes| digest(&bytes));
    format!("{} {hash}", env!("CARGO_PKG_VERSION"))
}

/// The first digits of a SHA-256, hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_contiguous_and_nearly_equal() {
        for (n_ranks, n_trials) in [(1, 10), (2, 10), (3, 10), (4, 4), (7, 64)] {
            let shares: Vec<_> = (0..n_ranks).map(|rank| share(rank, n_ranks, n_trials)).collect();
            assert_eq!((shares[0].start, shares[n_ranks - 1].end), (0, n_trials));
            assert!(
                shares.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() >= pair[1].len())
            );
            assert!(shares.iter().all(|own| own.len() - n_trials / n_ranks <= 1));
        }
        assert_eq!(share(1, 3, 10), 4..7);
        assert_eq!(Ranks::of_trial(37).share(40), 37..38);
    }

    #[test]
    fn trials_of_the_ranks_are_joined_row_by_row() {
        // Two rows of five trials, three of them the first rank's.
        assert_eq!(
            join_trials(&[vec![0, 1, 2, 10, 11, 12], vec![3, 4, 13, 14]], 5),
            [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
        );
    }

    #[test]
    fn the_first_failure_is_named_by_rank_and_host_unless_all_failed_alike() {
        let said = |texts: &[&str]| first_failure(&texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(said(&["", ""]), None);
        assert_eq!(said(&["", "2\nb\nno adapter"]), Some(("rank 1 on b: no adapter".to_owned(), 2)));
        assert_eq!(said(&["1\na\nx", "1\nb\ny"]), Some(("rank 0 on a: x".to_owned(), 1)));
        assert_eq!(said(&["2\na\nx", "2\nb\nx"]), Some(("x".to_owned(), 2)));
    }

    /// Nothing is changed by what a process alone does with its values.
    #[test]
    fn a_process_alone_keeps_what_it_has() {
        let ranks = Ranks::default();
        assert_eq!((ranks.rank(), ranks.n(), ranks.share(7)), (0, 1, 0..7));
        let mut values = [0.1_f32, f32::MIN_POSITIVE];
        ranks.sum(&mut values);
        assert_eq!(values, [0.1, f32::MIN_POSITIVE]);
        assert_eq!(ranks.gather_trials(vec![1, 2, 3, 4], 2), [1, 2, 3, 4]);
        assert!(ranks.any(true) && !ranks.any(false));
        let error = ranks.agree::<()>(Err(Error::Failed("x".to_owned()))).unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
    }
}

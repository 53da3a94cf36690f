//! What is disturbed, how, and what was found.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A command that is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `simrun SCENE`, cells without synapses.
    Training,
    /// `simrun SCENE` that names an experiment of two models.
    Experiment,
    /// `simrun evaluate RUN`.
    Evaluation,
    /// `simrun report RUN`.
    Report,
    /// `simrun import neuropixels`.
    Import,
    /// `simrun SCENE`, a column of V1, disturbed where it keeps the network for the next run.
    Cache,
    /// `simrun export RUN --sonata`.
    Sonata,
    /// `simrun export RUN --nwb`.
    Nwb,
}

impl Subject {
    pub(crate) const ALL: [Self; 8] = [
        Self::Training,
        Self::Experiment,
        Self::Evaluation,
        Self::Report,
        Self::Import,
        Self::Cache,
        Self::Sonata,
        Self::Nwb,
    ];

    /// Name in its folder of what it makes.
    pub(super) fn product(self) -> &'static str {
        match self {
            Self::Training | Self::Evaluation | Self::Report | Self::Cache => "run",
            Self::Experiment => "experiment",
            Self::Import => "recordings",
            Self::Sonata => "sonata",
            Self::Nwb => "run.nwb",
        }
    }

    /// Name of the finished run that it starts from.
    pub(super) fn source(self) -> Option<&'static str> {
        match self {
            Self::Evaluation | Self::Report => Some("cells"),
            Self::Sonata | Self::Nwb => Some("column"),
            _ => None,
        }
    }
}

/// What happens to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL before the n-th call that changes a file.
    Kill(usize),
    /// A signal before the n-th call.
    Signal(usize, i32),
    /// The n-th call fails with an errno; where it stays, so do the later ones that need room.
    Fails { at: usize, errno: i32, stays: bool },
    /// There is room for so many bytes.
    Room(u64),
}

pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGTERM: i32 = 15;
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

/// What was done, and what was found wrong.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(super) n_kills: AtomicUsize,
    pub(super) n_signals: AtomicUsize,
    pub(super) n_errors: AtomicUsize,
    pub(super) n_full: AtomicUsize,
    pub(super) n_other: AtomicUsize,
    pub(super) n_repeats: AtomicUsize,
    found: Mutex<Vec<String>>,
}

impl Ledger {
    pub(super) fn count(&self, fault: Fault) {
        let counter = match fault {
            Fault::Kill(_) => &self.n_kills,
            Fault::Signal(..) => &self.n_signals,
            Fault::Fails { .. } => &self.n_errors,
            Fault::Room(_) => &self.n_full,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_other(&self) {
        self.n_other.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn report(&self, what: &str, outcome: Result<(), String>) {
        if let Err(fault) = outcome {
            self.found.lock().unwrap().push(format!("{what}: {fault}"));
        }
    }

    pub(crate) fn found(&self) -> Vec<String> {
        self.found.lock().unwrap().clone()
    }

    /// One line of figures.
    pub(crate) fn line(&self) -> String {
        let [kills, signals, errors, full, other, repeats] =
            [&self.n_kills, &self.n_signals, &self.n_errors, &self.n_full, &self.n_other, &self.n_repeats]
                .map(|n| n.load(Ordering::Relaxed));
        format!(
            "{kills} kills, {errors} failed calls, {full} full disks, {signals} signals, {other} others; \
             {repeats} went on to the same bytes; {} faults found",
            self.found.lock().unwrap().len()
        )
    }
}

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// Whether a disturbed program ended as it should: never by a signal of its own making, and where it failed with one line that says why.
pub(super) fn judge(ended: &Ended, fault: Fault, subject: Subject) -> Result<(), String> {
    let Ended { status, stderr } = ended;
    let told = || format!("ends with {status}: {}", stderr.trim_end());
    if stderr.contains("at fault") || stderr.contains("panicked") {
        return Err(told());
    }
    let may_end = match (fault, status.code(), status.signal()) {
        (Fault::Kill(_), None, Some(9)) | (_, Some(0), _) => return Ok(()),
        // Commands that write only at their end do not listen for signals.
        (Fault::Signal(_, signal), None, Some(by)) => {
            let listens = matches!(subject, Subject::Training | Subject::Experiment | Subject::Cache);
            return (!listens && by == signal).then_some(()).ok_or_else(told);
        }
        (Fault::Kill(_), ..) => false,
        (_, code, _) => code == Some(1),
    };
    let n_errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    (may_end && n_errors == 1).then_some(()).ok_or_else(told)
}

//! The short campaign of faults on the real program: kills and failing calls at some of the places where files change, signals, second
//! writers, words that nobody hears. The long one is `tools/campaign`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tools/campaign/campaign.rs"]
#[allow(dead_code)]
mod campaign;

use std::path::Path;
use std::time::Duration;

use campaign::kinds::{EIO, ENOSPC, Fault, SIGHUP, SIGTERM, Subject};
use campaign::{Baseline, Bench, in_parallel};

const N_THREADS: usize = 2;

/// About `n` of a subject's calls, evenly, from the `first`.
fn calls(baseline: &Baseline, first: usize, n: usize) -> impl Iterator<Item = usize> {
    (first..=baseline.n_calls).step_by((baseline.n_calls / n).max(1))
}

/// What takes too long for `cargo test`.
mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: tools/test runs it"]
    fn nothing_is_lost_whatever_happens() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bench = Bench::new(Path::new(env!("CARGO_BIN_EXE_simrun")), root, scratch.path(), false).unwrap();
        let training = bench.baseline(Subject::Training).unwrap();
        assert!(training.n_calls > 40, "only {} calls were counted: the shim is not heard", training.n_calls);
        let mut trials: Vec<(&Baseline, Fault)> = Vec::new();
        trials.extend(calls(&training, 3, 16).map(|at| (&training, Fault::Kill(at))));
        trials.extend(
            calls(&training, 5, 6).map(|at| (&training, Fault::Fails { at, errno: EIO, stays: false })),
        );
        trials.extend(
            calls(&training, 17, 5).map(|at| (&training, Fault::Fails { at, errno: ENOSPC, stays: true })),
        );
        trials.push((&training, Fault::Room(training.n_bytes / 2)));
        for signal in [SIGTERM, SIGHUP] {
            trials.push((&training, Fault::Signal(training.n_calls / 2, signal)));
        }
        let others = [Subject::Experiment, Subject::Evaluation, Subject::Report, Subject::Import];
        let others: Vec<Baseline> = others.iter().map(|subject| bench.baseline(*subject).unwrap()).collect();
        for other in &others {
            trials.extend(calls(other, 2, 3).map(|at| (other, Fault::Kill(at))));
        }
        in_parallel(&trials, N_THREADS, |(baseline, fault)| bench.trial(baseline, *fault));
        bench.ledger.report("writers", bench.writers(&training, 2));
        bench.ledger.report("nobody hears", bench.unheard(&training));
        bench.ledger.report("clock", bench.odd_clock(-1));
        let twice = bench.double_interrupt(Duration::from_millis(30), Duration::from_millis(10));
        bench.ledger.report("Ctrl-C twice", twice);
        let found = bench.ledger.found();
        println!("{}", bench.ledger.line());
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }
}

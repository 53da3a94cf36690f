//! Every kind of fault at every place where it can happen.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::campaign::kinds::{EIO, ENOSPC, Fault, SIGHUP, SIGINT, SIGTERM, Subject};
use crate::campaign::{Baseline, Bench, in_parallel};

const N_THREADS: usize = 2;
/// Kills and failed calls of a subject at most; of one with more calls every second or third is taken.
const MOST_KILLS: usize = 64;
const MOST_ERRORS: usize = 20;
/// Sizes of a disk that fills.
const N_ROOMS: u64 = 8;
const N_TMPFS: u64 = 12;
const N_DOUBLE: u64 = 50;
const N_WRITERS: usize = 20;

/// Runs the campaign; what was found wrong goes to stderr, figures to stdout.
pub(crate) fn run() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let simrun = std::env::args_os().nth(1).map_or_else(|| root.join("target/release/simrun"), PathBuf::from);
    let scratch = tempfile::tempdir().expect("a folder for the trials");
    let bench = Bench::new(&simrun, root, scratch.path(), true).expect("the bench is made");
    let started = Instant::now();
    let wanted: Vec<String> = std::env::args().skip(2).collect();
    let is_wanted =
        |subject: &Subject| wanted.is_empty() || wanted.iter().any(|name| *name == format!("{subject:?}"));
    for subject in Subject::ALL.into_iter().filter(is_wanted) {
        let baseline = bench.baseline(subject).expect("an undisturbed run");
        let trials = trials(&baseline);
        eprintln!("{subject:?}: {} calls, {} trials", baseline.n_calls, trials.len());
        in_parallel(&trials, N_THREADS, |fault| bench.trial(&baseline, *fault));
        if subject == Subject::Training {
            others(&bench, &baseline, scratch.path());
        }
        eprintln!("  so far {}", bench.ledger.line());
    }
    for fault in bench.ledger.found() {
        eprintln!("{fault}");
    }
    println!("{} in {:.0} s", bench.ledger.line(), started.elapsed().as_secs_f64());
    if bench.ledger.found().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// About `most` of the calls of a subject, evenly.
fn calls(n_calls: usize, most: usize) -> impl Iterator<Item = usize> {
    (1..=n_calls).step_by(n_calls.div_ceil(most).max(1))
}

fn trials(baseline: &Baseline) -> Vec<Fault> {
    let n = baseline.n_calls;
    let mut trials: Vec<Fault> = calls(n, MOST_KILLS).map(Fault::Kill).collect();
    for (errno, stays) in [(ENOSPC, true), (EIO, false)] {
        trials.extend(calls(n, MOST_ERRORS).map(|at| Fault::Fails { at, errno, stays }));
    }
    trials.extend((0..N_ROOMS).map(|k| Fault::Room(k * baseline.n_bytes / N_ROOMS)));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        trials.extend(calls(n, 4).map(|at| Fault::Signal(at, signal)));
    }
    trials
}

/// What is no fault of a call.
fn others(bench: &Bench, training: &Baseline, scratch: &Path) {
    bench.ledger.report("nobody hears", bench.unheard(training));
    for seconds in [-1, -62_167_219_201, 253_402_300_800, 1 << 40] {
        bench.ledger.report("clock", bench.odd_clock(seconds));
    }
    for n_writers in [2, 4] {
        for _ in 0..N_WRITERS / 2 {
            bench.ledger.report("writers", bench.writers(training, n_writers));
        }
    }
    let moments: Vec<u64> = (0..N_DOUBLE).collect();
    in_parallel(&moments, N_THREADS, |k| {
        let (after, apart) = (Duration::from_millis(7 * k), Duration::from_millis(1 + k % 25));
        bench.ledger.report("Ctrl-C twice", bench.double_interrupt(after, apart));
    });
    let disk = scratch.join("disk");
    std::fs::create_dir(&disk).expect("a folder to mount at");
    for k in 1..=N_TMPFS {
        let kib = 4 + k * training.n_bytes / 1024 / N_TMPFS;
        let option = format!("size={kib}k");
        let mount = ["-t", "tmpfs", "-o", &option, "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(&disk).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("  tmpfs cannot be mounted here: full disks are those of the shim alone");
            return;
        }
        let outcome = bench.on_disk(training, &disk);
        let _ = Command::new("umount").arg(&disk).status();
        bench.ledger.report(&format!("a disk of {kib} KiB"), outcome);
    }
}

//! Kills, failing calls, full disks, signals and second writers, on the real program with runs that take a fraction of a second.
//!
//! Each trial disturbs one command (a [`Subject`]) once, through the preloaded `shim.c`. Afterwards the report of every run folder that is
//! there must be made, the command must go on to its end, and what it leaves must be what an undisturbed one leaves: the same files, modes
//! and bytes (without times of day and durations), and nothing half written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[path = "kinds.rs"]
pub(crate) mod kinds;
#[path = "others.rs"]
mod others;
#[path = "shim.rs"]
mod shim;
#[path = "tree.rs"]
mod tree;

use kinds::{Ended, Fault, Ledger, Subject, judge};
use tree::{Tree, compare, copy_folder, runs, tree};

/// A program that runs for longer hangs.
const LONGEST: Duration = Duration::from_secs(300);
/// Settings of every run: trials of 20 ms.
const TINY: [&str; 9] = [
    "time.duration_ms=20",
    "time.analysis_start_ms=0",
    "optimiser.training_steps=3",
    "optimiser.warmup_steps=0",
    "optimiser.save_every_steps=2",
    "evaluate.every_steps=2",
    "evaluate.n_trials=1",
    "evaluate.directions_deg=[0]",
    "evaluate.reports=[(name: \"soma\", neurons: Listed([1, 2]), interval_ms: 1)]",
];
/// A column of V1 of a few neurons.
const SMALL: [&str; 8] = [
    "network.calibration=None",
    "trials.start=Rest",
    "network.radius_um=20",
    "network.core_radius_um=20",
    "trials.n_evoked=2",
    "trials.n_spontaneous=1",
    "trials.grating.onset_ms=0",
    // In 20 ms of these few neurons it has no gradient.
    "losses.neuron_selectivity=None",
];

/// Where and with what the trials are made.
pub(crate) struct Bench {
    simrun: PathBuf,
    shim: PathBuf,
    scenes: PathBuf,
    scratch: PathBuf,
    n_folders: AtomicUsize,
    pub(crate) ledger: Ledger,
}

impl Bench {
    /// Compiles the shim into `scratch` and makes the finished runs that subjects start from.
    pub(crate) fn new(simrun: &Path, root: &Path, scratch: &Path, with_column: bool) -> Result<Self, String> {
        let shim = shim::compiled(root, scratch)?;
        let bench = Self {
            simrun: simrun.to_path_buf(),
            shim,
            scenes: root.join("scenes"),
            scratch: scratch.to_path_buf(),
            n_folders: AtomicUsize::new(0),
            ledger: Ledger::default(),
        };
        bench.write_inputs()?;
        bench.succeeds(&bench.training("smoke.ron", &[], "--out", &scratch.join("cells")))?;
        if with_column {
            bench.succeeds(&bench.training("v1_4k.ron", &SMALL, "--out", &scratch.join("column")))?;
        }
        Ok(bench)
    }

    fn write_inputs(&self) -> Result<(), String> {
        let smoke = self.scenes.join("smoke.ron");
        let settings: Vec<String> = TINY.iter().map(|s| format!("{s:?}")).collect();
        let experiment = format!(
            "(base: {smoke:?}, seeds: [1], settings: [{}],\nmodels: [(name: \"a\"), (name: \"b\", settings: \
             [\"optimiser.learning_rate=0.02\"])])\n",
            settings.join(", ")
        );
        let mut units =
            "session_id,cell_type,Ave_Rate(Hz),max_mean_rate(Hz),Spont_Rate(Hz),OSI,DSI\n".to_owned();
        for k in 0..60 {
            units += &format!("{},L4 Exc,{}.5,{},{}.25,0.{k},0.5\n", k / 10, k % 7, k % 9 + 10, k % 5);
        }
        let write =
            |name: &str, text: &str| fs::write(self.scratch.join(name), text).map_err(|e| e.to_string());
        write("experiment.ron", &experiment)?;
        write("units.csv", &units)
    }

    /// Arguments of a run.
    fn training(&self, scene: &str, more: &[&str], option: &str, dir: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![self.scenes.join(scene).into(), "--quiet".into()];
        arguments.extend(TINY.iter().chain(more).flat_map(|s| ["--set".into(), (*s).into()]));
        arguments.extend([option.into(), dir.into()]);
        arguments
    }

    /// An empty folder for a trial.
    fn folder(&self) -> Result<PathBuf, String> {
        let number = self.n_folders.fetch_add(1, Ordering::Relaxed);
        let folder = self.scratch.join(format!("trials/{number}"));
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        Ok(folder)
    }

    /// A folder in which `subject` can begin.
    fn begun(&self, subject: Subject) -> Result<PathBuf, String> {
        let folder = self.folder()?;
        if let (Some(source), "run") = (subject.source(), subject.product()) {
            copy_folder(&self.scratch.join(source), &folder.join("run")).map_err(|e| e.to_string())?;
        }
        Ok(folder)
    }

    /// What `subject` is told, at first or to go on; None where it has nothing left to do.
    fn arguments(&self, subject: Subject, folder: &Path) -> Option<Vec<OsString>> {
        let product = folder.join(subject.product());
        let partial = folder.join(format!(".{}.partial", subject.product()));
        let is_there = product.exists();
        let option = if is_there || partial.exists() { "--resume" } else { "--out" };
        let words = |words: &[&str], paths: &[&Path]| -> Vec<OsString> {
            words.iter().map(OsString::from).chain(paths.iter().map(OsString::from)).collect()
        };
        Some(match subject {
            Subject::Training => self.training("smoke.ron", &[], option, &product),
            Subject::Cache => self.training("v1_4k.ron", &SMALL, option, &product),
            Subject::Experiment => {
                let scene = self.scratch.join("experiment.ron");
                [words(&["--quiet"], &[&scene]), words(&[option], &[&product])].concat()
            }
            Subject::Evaluation => words(&["evaluate", "--quiet", "--trials", "1"], &[&product]),
            Subject::Report => words(&["report"], &[&product]),
            _ if is_there => return None,
            Subject::Import => {
                let units = self.scratch.join("units.csv");
                [words(&["import", "neuropixels"], &[&units]), words(&["--out"], &[&product])].concat()
            }
            Subject::Sonata | Subject::Nwb => {
                let run = self.scratch.join("column");
                let option = if subject == Subject::Nwb { "--nwb" } else { "--sonata" };
                [words(&["export", "--quiet"], &[&run]), words(&[option], &[&product])].concat()
            }
        })
    }

    /// The program with `arguments`, whose calls below `folder` are counted.
    fn command(&self, arguments: &[OsString], folder: &Path) -> Command {
        let mut command = Command::new(&self.simrun);
        command.args(arguments).current_dir(&self.scratch).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("NODEVICE_SELECT", "1").env("SIMRUN_CACHE", folder.join("cache"));
        command.env("LD_PRELOAD", &self.shim).env("FAULT_HEARS", "1").env("FAULT_BELOW", folder);
        command
    }

    /// Waits for a program to end; one that does not is killed, and a fault.
    fn ended(&self, mut command: Command) -> Result<Ended, String> {
        let number = self.n_folders.fetch_add(1, Ordering::Relaxed);
        let said = self.scratch.join(format!("stderr_{number}"));
        command.stderr(File::create(&said).map_err(|e| e.to_string())?);
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                break status;
            }
            if started.elapsed() > LONGEST {
                let _ = child.kill();
                let _ = child.wait();
                return Err("hangs".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        };
        let bytes = fs::read(&said).map_err(|e| e.to_string())?;
        let _ = fs::remove_file(said);
        Ok(Ended { status, stderr: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn succeeds(&self, arguments: &[OsString]) -> Result<(), String> {
        let ended = self.ended(self.command(arguments, &self.scratch))?;
        let failed = || format!("{arguments:?} ends with {}: {}", ended.status, ended.stderr.trim_end());
        ended.status.success().then_some(()).ok_or_else(failed)
    }

    /// An undisturbed run of `subject`: what it leaves, and how many calls and bytes that takes.
    pub(crate) fn baseline(&self, subject: Subject) -> Result<Baseline, String> {
        let folder = self.begun(subject)?;
        let arguments = self.arguments(subject, &folder).ok_or("nothing to do")?;
        let log = self.scratch.join(format!("{subject:?}.calls"));
        let mut command = self.command(&arguments, &self.below(subject, &folder));
        command.env("FAULT_LOG", &log);
        if subject == Subject::Cache {
            command.env("SIMRUN_CACHE", folder.join("cache"));
        }
        let ended = self.ended(command)?;
        if !ended.status.success() {
            return Err(format!("{subject:?} undisturbed ends with {}: {}", ended.status, ended.stderr));
        }
        let calls = fs::read_to_string(&log).map_err(|e| e.to_string())?;
        let tree = tree(&folder)?;
        let n_bytes = tree.values().map(|(_, bytes)| bytes.len() as u64).sum();
        Ok(Baseline { subject, n_calls: calls.lines().count(), n_bytes, tree })
    }

    /// Where the calls of a subject are counted.
    fn below(&self, subject: Subject, folder: &Path) -> PathBuf {
        if subject == Subject::Cache { folder.join("cache") } else { folder.to_path_buf() }
    }

    /// Disturbs a subject once and lets it go on; what is wrong goes into the ledger.
    pub(crate) fn trial(&self, baseline: &Baseline, fault: Fault) {
        let outcome = self.disturbed(baseline, fault);
        self.ledger.report(&format!("{:?}, {fault:?}", baseline.subject), outcome);
    }

    fn disturbed(&self, baseline: &Baseline, fault: Fault) -> Result<(), String> {
        let subject = baseline.subject;
        let folder = self.begun(subject)?;
        let arguments = self.arguments(subject, &folder).ok_or("nothing to do")?;
        let mut command = self.command(&arguments, &self.below(subject, &folder));
        command.env("SIMRUN_CACHE", folder.join("cache"));
        match fault {
            Fault::Kill(at) => command.env("FAULT_AT", at.to_string()).env("FAULT_DO", "kill"),
            Fault::Signal(at, signal) => {
                command.env("FAULT_AT", at.to_string()).env("FAULT_DO", format!("signal:{signal}"))
            }
            Fault::Fails { at, errno, stays } => {
                if stays {
                    command.env("FAULT_ON", "1");
                }
                command.env("FAULT_AT", at.to_string()).env("FAULT_DO", format!("errno:{errno}"))
            }
            Fault::Room(bytes) => command.env("FAULT_ROOM", bytes.to_string()),
        };
        let ended = self.ended(command)?;
        self.ledger.count(fault);
        judge(&ended, fault, subject)?;
        self.goes_on(baseline, &folder)
    }

    /// Reports of what is there, the command to its end, and a comparison of what it left.
    pub(crate) fn goes_on(&self, baseline: &Baseline, folder: &Path) -> Result<(), String> {
        for run in runs(folder) {
            self.succeeds(&["report".into(), run.into()])?;
        }
        let rest = self.arguments(baseline.subject, folder);
        if let Some(arguments) = &rest {
            let mut command = self.command(arguments, folder);
            command.env("SIMRUN_CACHE", folder.join("cache"));
            let ended = self.ended(command)?;
            if !ended.status.success() {
                return Err(format!("does not go on: {}: {}", ended.status, ended.stderr.trim_end()));
            }
        }
        let (mut own, mut undisturbed) = (tree(folder)?, baseline.tree.clone());
        if rest.is_none() {
            // Nothing more is done there: the lock of a process that was killed when all was in its place stays for the next writer to
            // take over, and a network that could not be kept is built again by whoever needs it.
            own.remove(&format!("{}/.lock", baseline.subject.product()));
            for tree in [&mut own, &mut undisturbed] {
                tree.retain(|name, _| !name.starts_with("cache/"));
            }
        }
        compare(&own, &undisturbed)?;
        self.ledger.n_repeats.fetch_add(1, Ordering::Relaxed);
        let _ = fs::remove_dir_all(folder);
        Ok(())
    }
}

/// An undisturbed run of a subject.
pub(crate) struct Baseline {
    pub(crate) subject: Subject,
    /// Calls that change files.
    pub(crate) n_calls: usize,
    /// Of all files at the end.
    pub(crate) n_bytes: u64,
    tree: Tree,
}

/// Runs `work` on every item, `n_threads` at a time.
pub(crate) fn in_parallel<T: Sync>(items: &[T], n_threads: usize, work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

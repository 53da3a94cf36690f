//! Disturbances that are no fault of one call: second writers, Ctrl-C twice, stdout and stderr that nobody reads, small disks, odd clocks.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::kinds::{Ended, Fault, judge};
use super::tree::{compare, copy_folder, tree};
use super::{Baseline, Bench, LONGEST};

impl Bench {
    /// Several processes resume one run at once: one goes on, the others are told by whom it is in use.
    pub(crate) fn writers(&self, baseline: &Baseline, n_writers: usize) -> Result<(), String> {
        let folder = self.folder()?;
        let run = folder.join("run");
        self.succeeds(
            &[self.training("smoke.ron", &[], "--out", &run), vec!["--steps".into(), "1".into()]].concat(),
        )?;
        let resume = self.training("smoke.ron", &[], "--resume", &run);
        let ended: Vec<Result<Ended, String>> = thread::scope(|scope| {
            let writers: Vec<_> =
                (0..n_writers).map(|_| scope.spawn(|| self.ended(self.command(&resume, &folder)))).collect();
            writers
                .into_iter()
                .map(|w| w.join().unwrap_or_else(|_| Err("a thread ended".to_owned())))
                .collect()
        });
        let ended = ended.into_iter().collect::<Result<Vec<_>, _>>()?;
        let told = |e: &Ended| e.status.code() == Some(2) && e.stderr.contains("in use by process");
        if !ended.iter().any(|e| e.status.success()) {
            return Err("no writer went on".to_owned());
        }
        if let Some(other) = ended.iter().find(|e| !e.status.success() && !told(e)) {
            return Err(format!("a writer ends with {}: {}", other.status, other.stderr.trim_end()));
        }
        self.ledger.count_other();
        self.goes_on(baseline, &folder)
    }

    /// Ctrl-C twice within some milliseconds, at some moment of a long training: exit code 1 each time, and the run goes on.
    pub(crate) fn double_interrupt(&self, after: Duration, apart: Duration) -> Result<(), String> {
        let folder = self.folder()?;
        let run = folder.join("run");
        let long = ["--set", "optimiser.training_steps=100000"].map(OsString::from);
        let arguments = [self.training("smoke.ron", &[], "--out", &run), long.to_vec()].concat();
        let mut command = self.command(&arguments, &folder);
        command.env_remove("LD_PRELOAD").stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let started = Instant::now();
        while !run.join("checkpoint.safetensors").exists() && started.elapsed() < LONGEST {
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(after);
        let interrupt =
            || Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status();
        interrupt().map_err(|e| e.to_string())?;
        thread::sleep(apart);
        interrupt().map_err(|e| e.to_string())?;
        let status = child.wait().map_err(|e| e.to_string())?;
        self.ledger.count_other();
        if status.code() != Some(1) {
            return Err(format!("Ctrl-C twice: {status}"));
        }
        let more = ["--set", "optimiser.training_steps=100000", "--steps", "1"].map(OsString::from);
        self.succeeds(&[self.training("smoke.ron", &[], "--resume", &run), more.to_vec()].concat())?;
        let _ = fs::remove_dir_all(folder);
        Ok(())
    }

    /// A training whose words nobody can hear: stderr or stdout is a full device, or a pipe whose reader is gone.
    pub(crate) fn unheard(&self, baseline: &Baseline) -> Result<(), String> {
        for (stdout, stderr) in
            [("full", "full"), ("full", "closed"), ("closed", "full"), ("closed", "closed")]
        {
            let folder = self.folder()?;
            let mut arguments = self.training("smoke.ron", &[], "--out", &folder.join("run"));
            arguments.retain(|word| word != "--quiet");
            let mut command = self.command(&arguments, &folder);
            let end = |kind: &str| -> Result<Stdio, String> {
                if kind == "full" {
                    return Ok(File::options()
                        .write(true)
                        .open("/dev/full")
                        .map_err(|e| e.to_string())?
                        .into());
                }
                let (reader, writer) = std::io::pipe().map_err(|e| e.to_string())?;
                drop(reader);
                Ok(writer.into())
            };
            command.stdout(end(stdout)?).stderr(end(stderr)?);
            let status = command.status().map_err(|e| e.to_string())?;
            self.ledger.count_other();
            if status.code() != Some(0) {
                return Err(format!("stdout {stdout}, stderr {stderr}: {status}"));
            }
            compare(&tree(&folder)?, &baseline.tree)?;
            let _ = fs::remove_dir_all(folder);
        }
        Ok(())
    }

    /// A training on a disk that may be too small, and its end elsewhere.
    pub(crate) fn on_disk(&self, baseline: &Baseline, disk: &Path) -> Result<(), String> {
        let folder = disk.join("trial");
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let arguments = self.arguments(baseline.subject, &folder).ok_or("nothing to do")?;
        let mut command = self.command(&arguments, &folder);
        command.env("SIMRUN_CACHE", "");
        let ended = self.ended(command)?;
        let fault = Fault::Room(0);
        self.ledger.count(fault);
        judge(&ended, fault, baseline.subject)?;
        let elsewhere = self.folder()?;
        copy_folder(&folder, &elsewhere).map_err(|e| e.to_string())?;
        self.goes_on(baseline, &elsewhere)
    }

    /// A clock that shows years that no date can be written in.
    pub(crate) fn odd_clock(&self, seconds: i64) -> Result<(), String> {
        let folder = self.folder()?;
        let arguments =
            self.training("smoke.ron", &["optimiser.training_steps=1"], "--out", &folder.join("run"));
        let mut command = self.command(&arguments, &folder);
        command.env("FAULT_NOW", seconds.to_string());
        let ended = self.ended(command)?;
        self.ledger.count_other();
        if !ended.status.success() {
            return Err(format!("a clock at {seconds} s: {}: {}", ended.status, ended.stderr.trim_end()));
        }
        self.succeeds(&["report".into(), folder.join("run").into()])
    }
}

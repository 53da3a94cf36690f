//! The built program and short runs of it.

// Each test binary uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

/// The program in the project's folder.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    // Keeps a layer of Mesa from saying on stderr that there is no display server.
    command.env("NODEVICE_SELECT", "1");
    command
}

/// Runs the program to its end.
pub(crate) fn simrun(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Arguments of a run of the smoke scene whose steps take a few milliseconds.
pub(crate) fn short_run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let short =
        ["scenes/smoke.ron", "--quiet", "--set", "time.duration_ms=20", "--set", "time.analysis_start_ms=0"];
    [&short[..], more].concat()
}

/// A folder for runs, and in it the path of one, which is not there yet.
pub(crate) fn run_dir() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run").to_str().unwrap().to_owned();
    (dir, run)
}

/// The training steps that the metrics of a run name.
pub(crate) fn steps(run: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(format!("{run}/metrics.jsonl")).unwrap();
    let step =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap();
    text.lines().map(step).collect()
}

/// What the program does in a folder of the caller's.
pub(crate) fn simrun_in(folder: &Path, arguments: &[&str]) -> Output {
    command(arguments).current_dir(folder).output().unwrap()
}

/// What it says on stdout at the project's root, where it must succeed.
#[track_caller]
pub(crate) fn succeeded(arguments: &[&str]) -> String {
    stdout_of(&simrun(arguments))
}

/// What a program that must have succeeded said on stderr.
#[track_caller]
pub(crate) fn stderr_of(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// What a program that must have succeeded said on stdout.
#[track_caller]
pub(crate) fn stdout_of(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Fails unless the program ended with `code`, after one line on stderr that holds every one of `words`.
#[track_caller]
pub(crate) fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "more than one line:\n{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "'{word}' is not in: {stderr}");
    }
}

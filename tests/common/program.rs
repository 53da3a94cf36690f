//! The program as a user starts it.

use std::path::Path;
use std::process::{Command, Output};

/// The program with arguments, in a folder. A layer of Mesa does not say on stderr that there is no display server.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(arguments).current_dir(folder).env("NODEVICE_SELECT", "1");
    command
}

/// What the program does at the project's root.
pub(crate) fn simrun(arguments: &[&str]) -> Output {
    simrun_in(super::root(), arguments)
}

/// What the program does in a folder.
pub(crate) fn simrun_in(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the program starts")
}

/// What it says on stdout at the project's root, where it must succeed.
#[track_caller]
pub(crate) fn succeeded(arguments: &[&str]) -> String {
    stdout_of(&simrun(arguments))
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

//! The `simrun` program: reads the command line, runs one command, turns its error into one line and an exit code.

#![warn(clippy::print_stderr, clippy::print_stdout)]

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use simrun::error::{catches_panics, one_line};
use simrun::output::say;
use simrun::{Error, Result};

mod cli;

fn main() -> ExitCode {
    report_panics_in_one_line();
    match refuse_names_that_are_no_text().and_then(|()| cli::run(parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_told() {
                say(format_args!("error: {error}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Scenes, reports and tables name files in UTF-8, so a name that is none is refused before any work.
fn refuse_names_that_are_no_text() -> Result<()> {
    let limit = "is not UTF-8, in which scenes and reports name files: rename it";
    for (ix, argument) in std::env::args_os().enumerate().skip(1) {
        if argument.to_str().is_none() {
            return Err(Error::field("command line", format!("argument {ix}"), argument.display(), limit));
        }
    }
    match std::env::current_dir() {
        Ok(folder) if folder.to_str().is_none() => {
            Err(Error::field("command line", "current folder", folder.display(), limit))
        }
        _ => Ok(()),
    }
}

/// The command line; help and mistakes end the program here. clap repeats a mistake word for word.
fn parse() -> cli::Cli {
    let acts = |argument: OsString| argument.to_string_lossy().contains(char::is_control);
    cli::Cli::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() && std::env::args_os().any(acts) {
            say(error.to_string().trim_end());
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// A panic is a fault of the program, but it is no reason for a backtrace or an exit code of its own. One on a damaged file becomes
/// an error where the file is read.
fn report_panics_in_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        if catches_panics() {
            return;
        }
        let place = panic.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let reason = one_line(panic.payload_as_str().unwrap_or("no reason given"));
        say(format_args!("error: simrun is at fault: {reason}{place}; please report it"));
        // Not `process::exit`: another thread may be inside the driver, whose own end then crashes.
        signal_hook::low_level::exit(1);
    }));
}

//! The `simrun` program: reads the command line, runs one command, turns its error into one line and an exit code.

#![warn(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use simrun::output::say;

mod cli;

fn main() -> ExitCode {
    report_panics_in_one_line();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// A panic is a fault of the program, but it is no reason for a backtrace or an exit code of its own.
fn report_panics_in_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        if simrun::error::catches_panics() {
            return;
        }
        let place = panic.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let reason = panic.payload_as_str().unwrap_or("no reason given");
        say(format_args!("error: simrun is at fault: {reason}{place}; please report it"));
        // Not `process::exit`: another thread may be inside the driver, whose own end then crashes.
        signal_hook::low_level::exit(1);
    }));
}

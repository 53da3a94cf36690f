//! The long campaign of faults, by hand: `cargo run --release --example campaign [SIMRUN [SUBJECT ..]]` (Linux, with a C
//! compiler; half an hour of two cores; SUBJECT: Training, Experiment, .. for those alone). The short one is
//! `tests/campaign.rs`. Full disks are also real ones, of tmpfs, where the user may mount.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(target_os = "linux")]
mod campaign;
#[cfg(target_os = "linux")]
mod long;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    long::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("error: the campaign preloads a library as Linux does; it is for Linux");
    ExitCode::from(2)
}

//! The programs of `examples/` run, and find what they should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use simrun::hdf5::Hdf5;

/// What an example prints. `cargo test` builds them, beside this test's own program.
fn printed(name: &str, arguments: &[&Path]) -> String {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().with_file_name("examples").join(name);
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.exists(), "{} is not built: cargo build --release --examples", program.display());
    let output = Command::new(program).args(arguments).env("NODEVICE_SELECT", "1").output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_small_network_is_trained_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let said = printed("train", &[&run]);
    assert!(said.contains("L2/3_Exc") && said.contains("report.html"), "{said}");
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count(), 3);
    assert!(run.join("report.html").exists());
}

#[test]
fn a_spike_goes_round_the_ring() {
    let said = printed("own_network", &[]);
    let cells: Vec<usize> =
        said.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    // Each cell after the one before it, beginning with the first.
    assert!(cells.len() > 25, "{said}");
    let first: Vec<usize> = (0..25).collect();
    assert_eq!(cells[..25], first, "{said}");
}

#[test]
fn the_gradient_of_the_device_is_that_of_the_specification() {
    let said = printed("gradient", &[]);
    let words: Vec<&str> = said.split_whitespace().collect();
    let n_spikes: f64 = words[0].parse().unwrap();
    let relative: f64 = words.last().unwrap().parse().unwrap();
    assert!(n_spikes > 20.0 && relative < 2e-5, "{said}");
}

#[test]
fn spikes_are_a_file_of_sonata() {
    let folder = tempfile::tempdir().unwrap();
    let said = printed("spikes", &[folder.path()]);
    let n_spikes: usize = said.split(' ').next().unwrap().parse().unwrap();
    let file = Hdf5::open(&folder.path().join("example_spikes.h5")).unwrap();
    let nodes = file.column("spikes/v1/node_ids").unwrap().all_ids().unwrap();
    let times = file.column("spikes/v1/timestamps").unwrap().all_numbers().unwrap();
    assert!(n_spikes > 1000 && nodes.len() == n_spikes && times.len() == n_spikes, "{said}");
    let trials = fs::read_to_string(folder.path().join("example_trials.csv")).unwrap();
    assert_eq!(trials.lines().count(), 3, "{trials}");
}

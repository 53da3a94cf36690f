//! `simrun measure` and `tools/measure_gpu`: a report of this machine's adapter, from tiny settings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::process::Command;

/// Cells of a table's row.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// A column of 40 um, in trials of four steps.
const TINY: &str = "scenes/v1_4k.ron@network.radius_um=40@network.core_radius_um=20@time.duration_ms=4@time.analysis_start_ms=0";

#[test]
fn every_kernel_stands_beside_its_own_bound() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("measured.md");
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    let output =
        command.arg("measure").arg(TINY).arg("--out").arg(&out).current_dir(common::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&out).unwrap();
    assert_eq!(text, String::from_utf8(output.stdout).unwrap(), "the file holds what was printed");
    let rows =
        |start: &str| text.lines().filter(|line| line.starts_with(start)).map(cells).collect::<Vec<_>>();
    assert!(rows("| triad")[0][2].parse::<f64>().unwrap() > 0.0, "{text}");
    assert_eq!(rows("| scattered records").len(), 3, "{text}");
    assert_eq!(rows("| scattered atomicAdd").len(), 2, "{text}");
    assert_eq!(rows("| f24").len(), 5, "{text}");
    let of_scene = rows(&format!("| {TINY}"));
    let steps: Vec<_> = of_scene.iter().filter(|row| row.len() == 15).collect();
    assert_eq!(steps.len(), 3, "{text}");
    assert_eq!((steps[0][3], steps[0][4]), ("10 x 4", "4"), "{text}");
    let kernels: Vec<_> = of_scene.iter().filter(|row| row.len() == 9).collect();
    for name in ["draw sources", "sources", "neuron", "spread", "gather", "neuron adjoint", "update weights"]
    {
        let row = kernels.iter().find(|row| row[1] == name).unwrap_or_else(|| panic!("no {name}: {text}"));
        let [ms, bound_ms, times] = [3, 6, 8].map(|column| row[column].parse::<f64>().unwrap());
        assert!(ms > 0.0 && bound_ms >= 0.0 && times > 0.0, "{row:?}");
    }
}

/// A bundle as `tools/measure_gpu --bundle` makes it, with a stand-in for each test.
#[cfg(unix)]
#[test]
fn a_bundle_reports_its_checks_and_keeps_results_as_they_come() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path();
    fs::create_dir_all(bundle.join("bin/tests")).unwrap();
    symlink(env!("CARGO_BIN_EXE_simrun"), bundle.join("bin/simrun")).unwrap();
    symlink(common::root().join("scenes"), bundle.join("scenes")).unwrap();
    fs::copy(common::root().join("tools/measure_gpu"), bundle.join("measure_gpu")).unwrap();
    for (name, script) in [
        ("device", "#!/bin/sh\ntest -d \"$SIMRUN_ROOT/scenes\" && echo 'test result: ok. 4 passed'\n"),
        ("patch", "#!/bin/sh\necho 'test result: FAILED. 1 failed'\nexit 1\n"),
    ] {
        let file = bundle.join("bin/tests").join(name);
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let scene = TINY.trim_start_matches("scenes/").replace(".ron", "");
    let mut command = Command::new(bundle.join("measure_gpu"));
    let output = command.args(["--seconds", "1", &scene]).current_dir(bundle).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "a failed check fails: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(bundle.join("measured.md")).unwrap();
    let row = |start: &str| {
        cells(text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}")))
    };
    assert_eq!(row("| self-test")[1], "passed");
    assert_eq!((row("| device")[1], row("| device")[3]), ("passed", "test result: ok. 4 passed"));
    assert_eq!((row("| patch")[1], row("| patch")[3]), ("FAILED", "test result: FAILED. 1 failed"));
    assert!(text.contains("| triad"), "{text}");
    // The second is over before the scene's turn comes.
    assert!(text.contains("no time left"), "{text}");
}

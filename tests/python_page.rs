//! The Python of docs/python.md, block after block, on a run folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::process::Command;

use common::program::{simrun_in, stdout_of};

/// What the page tells to install, and at which versions it was tried.
const PACKAGES: [&str; 8] = [
    "h5py==3.16.0",
    "pandas==3.1.1",
    "matplotlib==3.11.2",
    "safetensors==0.8.0",
    "libsonata==0.2.2",
    "bluepysnap==3.0.8",
    "pynwb==4.2.0",
    "elephant==1.2.1",
];

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn every_block_of_the_page_runs_on_a_run_folder() {
    let page = fs::read_to_string(common::root().join("docs/python.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() > 5, "only {} blocks: the reader of the page is broken", blocks.len());
    let venv = Command::new(common::root().join("tools/venv")).arg("page").args(PACKAGES).output().unwrap();
    assert!(venv.status.success(), "tools/venv: {}", String::from_utf8_lossy(&venv.stderr));
    let python = String::from_utf8(venv.stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        "network.radius_um=60",
        "network.core_radius_um=60",
        "time.duration_ms=150",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
        "evaluate.directions_deg=[0, 45, 90, 135, 180, 225, 270, 315]",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    stdout_of(&simrun_in(folder.path(), &["new", "mine"]));
    stdout_of(&simrun_in(folder.path(), &[&["mine.ron", "--quiet", "--steps", "1"], &settings[..]].concat()));
    let export = ["export", "runs/mine", "--sonata", "mine_sonata", "--nwb", "mine.nwb", "--quiet"];
    stdout_of(&simrun_in(folder.path(), &export));
    let output = Command::new(python.trim())
        .args(["-c", &blocks.concat()])
        .current_dir(folder.path())
        .env("MPLBACKEND", "Agg")
        .output()
        .unwrap();
    let [said, failed] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "docs/python.md:\n{said}\n{failed}");
    assert!(said.contains("mean rate") && said.contains("neurons receive"), "{said}");
    for picture in ["losses.png", "raster.png", "tuning.png", "weights.png"] {
        let bytes = fs::read(folder.path().join(picture)).unwrap();
        assert!(bytes.len() > 5_000 && bytes.starts_with(b"\x89PNG"), "{picture}: {} bytes", bytes.len());
    }
}

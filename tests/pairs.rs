//! The electrophysiology term in the real program: it trains on its own, and a resumed run is the same run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::program::{command, stdout_of};
use simrun::gpu::Gpu;
use simrun::network::tables::Tables;
use simrun::plan::Plan;
use simrun::setup;
use simrun::train::Session;

/// V1 within 40 um and nothing but this term, or nothing at all.
const SMALL: [&str; 15] = [
    "network.radius_um=40",
    "network.core_radius_um=40",
    "time.duration_ms=20",
    "trials.start=Rest",
    "time.analysis_start_ms=5",
    "trials.n_evoked=1",
    "trials.n_spontaneous=1",
    "losses.rates=None",
    "losses.selectivity=None",
    "losses.voltage=None",
    "learn.leak_conductance=true",
    "learn.pair_scale=true",
    "evaluate.every_steps=0",
    "evaluate.n_trials=1",
    "evaluate.directions_deg=[0]",
];
const TERM: &str = "losses.electrophysiology=(weight: 2.0, pairs_per_type: 8, amplitude: Resting)";

fn run(cache: &Path, arguments: &[&str]) {
    let settings = SMALL.iter().chain([&TERM]).flat_map(|setting| ["--set", *setting]).collect::<Vec<_>>();
    let all = [&["tests/scenes/v1_4k.ron", "--quiet"], &settings[..], arguments].concat();
    stdout_of(&command(&all).env("XDG_CACHE_HOME", cache).output().unwrap());
}

/// The loss terms of every step.
fn losses(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["losses"].clone();
    text.lines().map(line).collect()
}

#[test]
fn a_resumed_run_records_the_same_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| dir.path().join(name));
    let [whole_dir, parts_dir] = [&whole, &parts].map(|path| path.to_str().unwrap());
    run(dir.path(), &["--out", whole_dir, "--steps", "3"]);
    run(dir.path(), &["--out", parts_dir, "--steps", "2"]);
    run(dir.path(), &["--resume", parts_dir, "--steps", "1"]);
    let steps = losses(&whole);
    assert_eq!(steps, losses(&parts));
    let values: Vec<f64> = steps.iter().map(|terms| terms["electrophysiology"].as_f64().unwrap()).collect();
    assert_eq!(steps[0].as_object().unwrap().len(), 1, "another term is on: {}", steps[0]);
    assert!(values.iter().all(|value| *value > 0.0) && values[0] != values[1], "{values:?}");
}

#[test]
fn pairs_of_a_network_without_the_term_are_recorded_all_the_same() {
    let file = common::root().join("tests/scenes/v1_4k.ron");
    let plan = Plan::read(&file, &SMALL.map(str::to_owned)).unwrap();
    let tables = Tables::read(&plan.tables_dir).unwrap();
    let dynamics = setup::dynamics(&plan, &tables);
    let network = setup::network(&plan, &tables, &dynamics).unwrap();
    let built = setup::Built { network, dynamics, given: None };
    let gpu = Gpu::open_tested(None).unwrap();
    let mut session =
        Session::new_with_pairs(&plan, &simrun::ranks::Ranks::default(), &gpu, &tables, built).unwrap();
    assert!(session.step(1).unwrap().losses.is_empty());
    let pairs = session.record_pairs(2).unwrap();
    assert_eq!(pairs, session.record_pairs(2).unwrap());
    let n_held_out = pairs.iter().filter(|pair| pair.held_out).count();
    assert!(n_held_out > 4 && n_held_out < pairs.len() / 3, "{n_held_out} of {}", pairs.len());
    let mut squares = 0.0;
    for pair in &pairs {
        assert!(pair.n_sampled >= 2 && pair.model.n <= pair.n_sampled, "{pair:?}");
        squares += (pair.model.log_mean - pair.recorded_log_mean).powi(2) / pairs.len() as f64;
        let late_ms = pair.time_to_peak_ms - pair.measured_time_to_peak_ms;
        assert!(late_ms.abs() < 3.0, "{pair:?}");
    }
    // The builder draws the weights from the 90th percentiles, and the samples are small.
    let rms = f64::sqrt(squares);
    println!("{} measured pairs: log-means off by {rms:.2} (root mean square)", pairs.len());
    assert!(rms < 0.5, "{rms}");
}

//! How the terms of the loss are weighed: the gradient norms of the first step, normalised weighting, terms without gradient.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::program::{assert_refused, simrun, stderr_of, stdout_of};
use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, serialize};
use serde_json::Value;

const SMALL: [&str; 8] = [
    "scenes/smoke.ron",
    "--quiet",
    "--set",
    "time.duration_ms=150",
    "--set",
    "losses.voltage.x_low=0.5",
    "--set",
    "optimiser.training_steps=2",
];

fn small(more: &[&str]) -> Output {
    simrun(&[&SMALL, more].concat())
}

fn succeeded(more: &[&str]) {
    stdout_of(&small(more));
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn normalised_terms_pull_by_their_weights_and_a_resumed_run_keeps_their_factors() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, halves, given] = ["whole", "halves", "given"].map(|name| dir.path().join(name));
    let [whole_arg, halves_arg, given_arg] = [&whole, &halves, &given].map(|p| p.to_str().unwrap());
    let normalised = [
        "--set",
        "losses.weighting=Normalised",
        "--set",
        "losses.rates.weight=2.5",
        "--set",
        "losses.voltage.weight=0.5",
    ];
    succeeded(&[&normalised[..], &["--out", whole_arg]].concat());
    let gradients = json(&whole.join("gradients.json"));
    let terms = gradients["terms"].as_array().unwrap();
    let names: Vec<&str> = terms.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["rate_evoked", "rate_spontaneous", "voltage"]);
    for (term, weight) in terms.iter().zip([2.5, 2.5, 0.5]) {
        let [norm, factor] = ["norm", "factor"].map(|key| term[key].as_f64().unwrap());
        assert!(norm > 0.0 && (norm * factor / weight - 1.0).abs() < 1e-12, "{term}");
    }
    // Whole trials are gone back over where the factors depend on it; else the last steps, half a pass for the three together.
    let steps = |terms: &[Value]| terms.iter().map(|t| t["n_steps"].as_u64().unwrap()).collect::<Vec<u64>>();
    assert_eq!(steps(terms), [150; 3]);
    succeeded(&[&normalised[2..], &["--out", given_arg]].concat());
    let as_given = json(&given.join("gradients.json"));
    let as_given = as_given["terms"].as_array().unwrap();
    assert_eq!(steps(as_given), [25; 3]);
    for (given, normalised) in as_given.iter().zip(terms) {
        let [part, whole] = [given, normalised].map(|term| term["norm"].as_f64().unwrap());
        assert!(part > 0.0 && part < whole && given["factor"] == 1.0, "{given} {normalised}");
    }

    succeeded(&[&normalised[..], &["--out", halves_arg, "--steps", "1"]].concat());
    succeeded(&[&normalised[..], &["--resume", halves_arg]].concat());
    let checkpoint = |run: &Path| fs::read(run.join("checkpoint.safetensors")).unwrap();
    assert!(checkpoint(&whole) == checkpoint(&halves), "a resumed run differs from one that was not stopped");
    assert!(checkpoint(&whole) != checkpoint(&given));
}

/// Settings with which no run folder comes to be, for a reason in one line with these words.
#[track_caller]
fn refused(settings: &[&str], words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let settings: Vec<&str> = settings.iter().flat_map(|s| ["--set", s]).collect();
    assert_refused(&small(&[&settings[..], &["--out", run.to_str().unwrap()]].concat()), 2, words);
    assert!(!run.exists());
}

#[test]
fn a_term_without_gradient_is_refused_by_its_field() {
    // There are no edges whose pair factors could be learned.
    let learn = ["learn.leak_conductance=false", "learn.threshold=false", "learn.pair_scale=true"];
    refused(&learn, &["scenes/smoke.ron", "losses.rates.weight", "rate_evoked", "gradient", "zero"]);
}

#[test]
fn a_term_that_the_first_trials_tell_nothing_is_refused_by_its_field() {
    let settings = [
        "losses.neuron_selectivity=(weight: 1.0)",
        "trials.n_evoked=2",
        "trials.grating.directions=Degrees([0, 0, 90, 90])",
    ];
    refused(&settings, &["scenes/smoke.ron", "losses.neuron_selectivity.weight", "no two directions"]);
}

#[test]
fn electrophysiology_alone_trains_without_running_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let settings = [
        "network.radius_um=40",
        "network.core_radius_um=40",
        "losses.rates=None",
        "losses.selectivity=None",
        "losses.voltage=None",
        "losses.electrophysiology=(weight: 1.0)",
        "learn.pair_scale=true",
        "optimiser.training_steps=3",
        "optimiser.warmup_steps=0",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
        "evaluate.directions_deg=[0]",
        "time.duration_ms=100",
        "trials.start=Rest",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|s| ["--set", s]).collect();
    let out = ["tests/scenes/v1_4k.ron", "--quiet", "--out", run.to_str().unwrap()];
    stdout_of(&simrun(&[&out, &settings[..]].concat()));
    let terms = json(&run.join("gradients.json"));
    assert_eq!(terms["terms"][0]["name"], "electrophysiology");
    assert!(terms["terms"][0]["scales"].as_f64().unwrap() > 0.0);
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let steps: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(steps.len(), 3);
    for step in &steps {
        assert!(step["losses"]["electrophysiology"].as_f64().unwrap() > 0.0, "{step}");
        assert_eq!((&step["ms"]["forward"], &step["ms"]["adjoint"]), (&Value::from(0.0), &Value::from(0.0)));
    }
}

/// A checkpoint as earlier versions wrote it: without what the terms remember, but for the running rates of the selectivity term.
fn make_earlier(checkpoint: &Path) {
    let bytes = fs::read(checkpoint).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let rates: Vec<u8> = (0..201).flat_map(|_| 4.0_f32.to_le_bytes()).collect();
    let rates = TensorView::new(Dtype::F32, vec![201], &rates).unwrap();
    let mut kept: Vec<(String, TensorView)> = tensors
        .iter()
        .filter(|(name, _)| !name.starts_with("term_memory."))
        .map(|(name, view)| (name.to_owned(), view))
        .collect();
    assert_eq!(tensors.len() - kept.len(), 4, "rates under gratings and grey, rates to divide by, crowds");
    kept.push(("rate_mean_hz".to_owned(), rates));
    let written = serialize(kept, metadata.metadata().clone()).unwrap();
    fs::write(checkpoint, written).unwrap();
}

#[test]
fn running_means_are_resumed_bit_for_bit_and_begin_anew_from_an_earlier_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, halves] = ["whole", "halves"].map(|name| dir.path().join(name));
    let [whole_arg, halves_arg] = [&whole, &halves].map(|p| p.to_str().unwrap());
    let settings =
        ["--set", "losses.rates.mean_decay=0.7", "--set", "losses.selectivity=(weight: 1, mean_decay: 0.5)"];
    succeeded(&[&settings[..], &["--out", whole_arg]].concat());
    succeeded(&[&settings[..], &["--out", halves_arg, "--steps", "1"]].concat());
    let checkpoint = |run: &Path| run.join("checkpoint.safetensors");
    let after_one = fs::read(checkpoint(&halves)).unwrap();
    succeeded(&[&settings[..], &["--resume", halves_arg]].concat());
    let read = |run: &Path| fs::read(checkpoint(run)).unwrap();
    assert!(read(&whole) == read(&halves), "a resumed run differs from one that was not stopped");

    fs::write(checkpoint(&halves), after_one).unwrap();
    make_earlier(&checkpoint(&halves));
    let loud: Vec<&str> = SMALL.into_iter().filter(|argument| *argument != "--quiet").collect();
    let message = stderr_of(&simrun(&[&loud[..], &settings, &["--resume", halves_arg]].concat()));
    for term in ["rate_evoked", "rate_spontaneous", "selectivity"] {
        let said = format!("earlier version: the running means of the term '{term}' begin anew");
        assert!(message.contains(&said), "'{said}' is not in:\n{message}");
    }
    assert!(read(&whole) != read(&halves));
}

//! `simrun evaluate` on the real program: what it writes, what it prints, what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn simrun(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simrun")).args(arguments).current_dir(common::root()).output().unwrap()
}

fn succeeded(arguments: &[&str]) -> String {
    let output = simrun(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn small_run(run: &Path, scene: &str) {
    let settings = [
        "network.radius_um=40",
        "network.core_radius_um=40",
        "time.duration_ms=150",
        "optimiser.training_steps=2",
        "optimiser.warmup_steps=0",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|s| ["--set", s]).collect();
    succeeded(&[&[scene, "--quiet", "--out", run.to_str().unwrap()], &settings[..]].concat());
}

#[test]
fn a_run_is_evaluated_with_table_json_and_figures() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    small_run(&run, "scenes/v1_4k.ron");
    let path = run.to_str().unwrap();
    let text =
        succeeded(&["evaluate", path, "--trials", "2", "--contrasts", "0.2", "--sessions", "all", "--quiet"]);
    for words in [
        "after training step 2",
        "beside the sessions trained on",
        "beside held-out sessions",
        "within the recorded interquartile range",
        "measured pairs held out",
        "sd of ln w",
        "like to like, L2/3_Exc to L2/3_Exc",
    ] {
        assert!(text.contains(words), "'{words}' is not in:\n{text}");
    }
    let json: Value =
        serde_json::from_str(&fs::read_to_string(run.join("evaluation.json")).unwrap()).unwrap();
    assert_eq!((&json["training_step"], &json["n_trials"]), (&Value::from(2), &Value::from(2)));
    let types = json["held_out"]["cell_types"].as_array().unwrap();
    let l4 = types.iter().find(|t| t["cell_type"] == "L4_Exc").unwrap();
    let rate = &l4["rate_evoked_hz"];
    let number = |key: &str| rate[key].as_f64().unwrap();
    let [low, high] = [0, 1].map(|i| rate["similarity_interval"][i].as_f64().unwrap());
    assert!(low <= high && (0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&number("similarity")));
    // noise_ceiling.csv, L4_Exc, evoked_rate_hz.
    assert_eq!(number("ceiling"), 0.902_459);
    assert!(number("target_q25") < number("target_median") && number("target_median") < number("target_q75"));
    assert!(json["pairs"].as_array().unwrap().iter().any(|pair| pair["held_out"] == true));
    assert!(json["weights"].as_array().unwrap().len() > 20);
    let fano = json["held_out"]["fano"].as_array().unwrap();
    assert!(fano.len() == 2 && fano[0]["recorded"][0].as_f64().unwrap() > 0.9, "{fano:?}");
    assert_eq!(json["held_out"]["curves"]["contrast"][0]["contrasts"].as_array().unwrap().len(), 3);
    for (figure, shape, at_least) in [
        ("rates", "<rect", 40),
        ("selectivity", "<rect", 10),
        ("similarity", "<rect", 30),
        ("tuning", "<polyline", 19),
        ("contrast", "<polyline", 19),
        ("fano", "<polyline", 2),
        ("pairs", "<circle", 60),
        ("weights", "<circle", 20),
    ] {
        let svg = fs::read_to_string(run.join(format!("figures/{figure}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{figure} is no SVG");
        assert!(
            svg.matches(shape).count() >= at_least,
            "{figure} has {} {shape}",
            svg.matches(shape).count()
        );
        assert!(!svg.contains("NaN"), "{figure} has a place that is no number");
    }
    // The same network, the same draws: the same numbers.
    let first = fs::read(run.join("evaluation.json")).unwrap();
    let printed = succeeded(&["evaluate", path, "--trials", "2", "--contrasts", "0.2", "--json", "--quiet"]);
    assert!(fs::read(run.join("evaluation.json")).unwrap() == first, "a second evaluation differs");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["evaluation"], json);
}

#[test]
fn a_network_of_cells_alone_is_evaluated_as_far_as_it_goes() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    let settings =
        ["--set", "time.duration_ms=100", "--steps", "0", "--quiet", "--out", run.to_str().unwrap()];
    succeeded(&[&["scenes/smoke.ron"], &settings[..]].concat());
    let text = succeeded(&["evaluate", run.to_str().unwrap(), "--trials", "1", "--quiet"]);
    assert!(text.contains("after training step 0") && !text.contains("measured pairs"), "{text}");
    assert!(run.join("figures/rates.svg").exists() && !run.join("figures/pairs.svg").exists());
}

#[test]
fn what_is_no_run_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = simrun(&[&["evaluate"], arguments].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        for word in words {
            assert!(message.contains(word), "'{word}' is not in:\n{message}");
        }
    };
    let folder = temporary.path().to_str().unwrap();
    refused(&[folder], &["not a run folder", "scene.ron"]);
    refused(&[folder, "--trials", "0"], &["--trials"]);
    refused(&[folder, "--sessions", "some"], &["--sessions", "heldout"]);
    fs::copy(common::root().join("scenes/smoke.ron"), temporary.path().join("scene.ron")).unwrap();
    fs::write(temporary.path().join("checkpoint.safetensors"), "no tensors").unwrap();
    let tables = common::root().join("scenes/v1");
    let scene = fs::read_to_string(temporary.path().join("scene.ron")).unwrap();
    let scene = scene.replacen("seed: 1,", &format!("seed: 1, tables: {:?},", tables.to_str().unwrap()), 1);
    fs::write(temporary.path().join("scene.ron"), scene).unwrap();
    refused(&[folder], &["checkpoint.safetensors", "not a whole checkpoint"]);
    refused(&[folder, "--contrasts", "1.5"], &["evaluate.contrasts"]);
}

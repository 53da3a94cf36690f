//! An experiment through the real program: its runs, its table and figure, going on after a part is lost, and what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::program::{assert_refused, simrun, stdout_of};
use serde_json::Value;

const TINY: [&str; 16] = [
    "--quiet",
    "--set",
    "network.radius_um=40",
    "--set",
    "network.core_radius_um=40",
    "--set",
    "experiment.seeds=[1]",
    "--set",
    "optimiser.training_steps=2",
    "--set",
    "optimiser.warmup_steps=0",
    "--set",
    // Counted over 300 ms, the shortest window of the recorded Fano factors.
    "time.duration_ms=350",
    "--set",
    "trials.start=Rest",
    // Classes of contrast-response curves need two trials of each grating.
    "--set=evaluate.n_trials=2",
];

fn results(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("results.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["runs"].as_array().unwrap().clone()
}

#[test]
fn an_experiment_says_what_does_not_fit() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("experiment.ron");
    let base = common::root().join("tests/scenes/v1_4k.ron");
    let refused = |text: &str, words: &[&str]| {
        fs::write(&file, text.replace("BASE", base.to_str().unwrap())).unwrap();
        let output = simrun(&[file.to_str().unwrap(), "--dry-run"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        for word in words {
            assert!(message.contains(word), "'{word}' is not in:\n{message}");
        }
    };
    let model = |name: &str, setting: &str| {
        format!("(base: \"BASE\", seeds: [1],\nmodels: [(name: \"{name}\", settings: [\"{setting}\"])])")
    };
    refused(&model("joint", "losses.rate.weight=1"), &["experiment.ron", "'joint'", "losses.rate"]);
    refused(&model("joint", "evaluate.n_trials=0"), &["'joint'", "evaluate.n_trials"]);
    refused(&model("../joint", "time.dt_ms=1"), &["models.name", "../joint"]);
    refused(&model("untrained", "time.dt_ms=1"), &["models.name", "untrained"]);
    refused("(base: \"BASE\", seeds: [],\nmodels: [(name: \"a\")])", &["seeds", "at least one"]);
    refused("(base: \"BASE\", seeds: [1],\nmodels: [])", &["models", "at least one"]);
    refused("(base: \"BASE\", seeds: [1], steps: 3,\nmodels: [])", &["experiment.ron", "steps"]);
    refused("(base: \"nowhere.ron\", seeds: [1],\nmodels: [(name: \"a\")])", &["nowhere.ron"]);
    let output = simrun(&["scenes/joint_vs_single.ron", "--steps", "3"]);
    assert_eq!(output.status.code(), Some(2));
    let output = simrun(&["scenes/joint_vs_single.ron", "--set", "experiment.models=[]"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && message.contains("experiment.seeds"), "{message}");
}

/// Runs that are finished are of the experiment's settings, or there is no table.
#[test]
fn a_finished_run_of_other_settings_is_refused_by_run_and_field() {
    let temporary = tempfile::tempdir().unwrap();
    let [file, dir] = ["experiment.ron", "out"].map(|name| temporary.path().join(name));
    let experiment = |models: &[(&str, &str)]| {
        let base = common::root().join("scenes/smoke.ron");
        let models: Vec<String> =
            models.iter().map(|(name, set)| format!("(name: {name:?}, settings: [{set:?}])")).collect();
        let models = models.join(", ");
        let settings = r#"["time.duration_ms=20", "time.analysis_start_ms=0", "optimiser.training_steps=1"]"#;
        fs::write(&file, format!("(base: {base:?}, settings: {settings}, seeds: [1],\nmodels: [{models}])"))
            .unwrap();
    };
    let run = |more: &[&str]| simrun(&[&[file.to_str().unwrap(), "--quiet"], more].concat());
    let out = dir.to_str().unwrap();
    let slow = ("slow", "optimiser.cell_learning_rate=0.001");
    experiment(&[slow]);
    stdout_of(&run(&["--out", out]));
    let copy = || fs::read_to_string(dir.join("experiment.ron")).unwrap();
    let before = (copy(), fs::read_to_string(dir.join("results.md")).unwrap());

    experiment(&[("slow", "optimiser.cell_learning_rate=0.002")]);
    let words = ["seed_1/slow/scene.ron", "optimiser.cell_learning_rate = 0.001", "0.002"];
    assert_refused(&run(&["--resume", out]), 2, &words);
    experiment(&[slow]);
    let twice = ["--resume", out, "--set", "evaluate.n_trials=7"];
    assert_refused(&run(&twice), 2, &["seed_1/untrained/scene.ron", "evaluate.n_trials", "now it is 7"]);
    assert_eq!((copy(), fs::read_to_string(dir.join("results.md")).unwrap()), before);

    experiment(&[slow, ("fast", "optimiser.cell_learning_rate=0.1")]);
    let table = stdout_of(&run(&["--resume", out]));
    assert!(
        ["untrained", "slow", "fast"].iter().all(|model| table.contains(&format!("| {model} | 1 |"))),
        "{table}"
    );
    assert!(copy().contains("fast"), "{}", copy());
}

/// What takes too long for `cargo test`.
mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: tools/test runs it"]
    fn four_models_are_trained_from_one_start_and_a_lost_run_is_taken_again() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("out");
        let out = dir.to_str().unwrap();
        let run = |more: &[&str]| {
            let output = simrun(&[&["scenes/joint_vs_single.ron"], &TINY[..], more].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let table = run(&["--out", out]);
        let first = results(&dir);
        let models: Vec<&str> = first.iter().map(|r| r["model"].as_str().unwrap()).collect();
        assert_eq!(models, ["untrained", "joint", "function", "electrophysiology", "structure"]);
        for (result, model) in first.iter().zip(&models) {
            let error = |key: &str| result[key].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&error("function")) && error("electrophysiology") > 0.0, "{result}");
            assert!(
                (0.0..=1.0).contains(&error("contrast_classes")) && error("fano").is_finite(),
                "{result}"
            );
            assert!(table.lines().any(|line| line.starts_with(&format!("| {model} | 1 |"))), "{table}");
        }
        assert_eq!(first[0]["relative"], 1.0);
        // What looks at weights alone leaves the network alone: the start of every model is the same.
        let step_0 =
            |model: &str| fs::read_to_string(dir.join("seed_1").join(model).join("gradients.json")).unwrap();
        let term = |model: &str, name: &str| -> f64 {
            let json: Value = serde_json::from_str(&step_0(model)).unwrap();
            let terms = json["terms"].as_array().unwrap().clone();
            terms.iter().find(|t| t["name"] == name).unwrap()["value"].as_f64().unwrap()
        };
        assert_eq!(term("joint", "electrophysiology"), term("electrophysiology", "electrophysiology"));
        assert_eq!(term("joint", "rate_evoked"), term("function", "rate_evoked"));
        let figure = fs::read_to_string(dir.join("figure.svg")).unwrap();
        assert!(figure.contains("</svg>") && figure.matches("<rect").count() > 20, "the figure has no bars");

        // A run that was killed before its first checkpoint leaves a folder without one.
        let lost = dir.join("seed_1/structure");
        fs::remove_file(lost.join("checkpoint.safetensors")).unwrap();
        fs::remove_file(lost.join("summary.json")).unwrap();
        let joint = dir.join("seed_1/joint/summary.json");
        let before = fs::metadata(&joint).unwrap().modified().unwrap();
        run(&["--resume", out]);
        assert_eq!(results(&dir), first, "the run that was taken again differs");
        assert_eq!(
            fs::metadata(&joint).unwrap().modified().unwrap(),
            before,
            "a finished run was taken again"
        );
    }
}

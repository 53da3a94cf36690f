//! `simrun import dpointnet` on the real program: a training configuration in the layout that BMTK 1.2 reads becomes a scene that runs, and
//! everything that it does not say is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use simrun::loss::SharesScene;
use simrun::scene::{NetworkScene, OptimiserKind, Scene};
use sonata_circuit::SonataCircuit;

/// The circuit's own configuration with what dpointnet adds to it.
const TRAINING: &str = r#", "run": {"dt": 0.5, "seq_len": 40, "batch_size": 3, "default_seed": 7, "dtype": "float16"},
 "rnn_cell_params": {"cell_model": "GLIF3Cell", "dampening_factor": 0.2, "recurrent_dampening_factor": 0.4, "train_recurrent": true},
 "inputs": {"lgn": {"input": "spikes", "module": "spikes_files", "node_set": "lgn", "spikes_paths": "$SPIKES/spikes.h5", "trainable": true},
   "unused": {"input": "spikes", "module": "poisson_spikes", "node_set": "bkg", "enabled": false}},
 "training": {"n_epochs": 2, "steps_per_epoch": 3, "training_approach": "series", "optimizer": {"name": "exp_adam", "epsilon": 1e-9},
   "learning_rate": {"schedule": "warmup_cosine", "warmup_target_lr": 0.01, "warmup_steps": 2, "cosine_steps": 4, "min_lr": 0.001, "warmup_start_lr": 0.1},
   "callbacks": {"class": "training", "save_best": true},
   "parameters": [
     {"name": "grey", "inputs": {"lgn": "lgn"}, "loss_functions": {
       "rates": {"module": "SpikeRateDistributionTarget", "stimulus_type": "spontaneous", "rate_cost": 100.0, "pre_delay": 4, "post_delay": 2},
       "voltage": {"module": "VoltageRegularization", "voltage_cost": 0.25},
       "off": {"module": "SynchronizationLoss", "enabled": false}}},
     {"name": "gratings", "inputs": {"lgn": {"input": "spikes", "module": "lgn_generator", "node_set": "lgn", "stimulus_type": "drifting_gratings",
         "stimulus_options": {"row_size": 80, "col_size": 120}}}, "loss_functions": {
       "osi": {"module": "OrientationSelectivityLoss", "osi_cost": 20.0},
       "weights": {"module": "EMDWeightRegularization", "cost": 10.0},
       "voltage": {"module": "VoltageRegularization", "voltage_cost": 0.25}}}]}}"#;

fn simrun(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(arguments).current_dir(common::root()).env("NODEVICE_SELECT", "1").output().unwrap()
}

fn succeeded(arguments: &[&str]) -> String {
    let output = simrun(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Writes circuit and configuration; the configuration's path.
fn written(folder: &Path, change: impl Fn(String) -> String) -> String {
    let mut circuit = SonataCircuit::good();
    circuit.replace(
        "config.json",
        r#""$NET": "./network""#,
        r#""$NET": "./network", "$SPIKES": "${configdir}""#,
    );
    let own = circuit.texts["config.json"].clone();
    // The circuit's own inputs give way to dpointnet's.
    let end = own.find("\n \"inputs\"").unwrap();
    let config = own[..end].trim_end().trim_end_matches(',').to_owned() + TRAINING;
    circuit.texts.insert("training.json".to_owned(), change(config));
    circuit.write(folder);
    folder.join("training.json").to_str().unwrap().to_owned()
}

#[test]
fn a_training_configuration_becomes_a_scene_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), |text| text);
    let out = folder.path().join("imported.ron");
    let out_text = out.to_str().unwrap();
    let text = succeeded(&["import", "dpointnet", &config, "--out", out_text]);
    let (carried, left) = text.split_once("not carried over").unwrap();
    for words in [
        "40 steps of 0.5 ms, 3 trials, seed 7",
        "triangle of height 0.2",
        "recorded spikes of lgn",
        "parameters.0.loss_functions.rates: losses.rates (weight: 0.05, huber_hz: 4, shares: PerNeuron)",
        "parameters.0.loss_functions.voltage: losses.voltage (weight: 0.25",
        "6 training steps of ExponentiatedAdam, learning rate 0.01",
        "recurrent true, LGN true, background false",
    ] {
        assert!(carried.contains(words), "'{words}' is not in:\n{carried}");
    }
    for words in [
        "training.parameters.1.inputs.lgn (lgn_generator)",
        "osi (OrientationSelectivityLoss): asks for gratings",
        "weights (EMDWeightRegularization)",
        "run.dtype = \"float16\"",
        "rnn_cell_params.recurrent_dampening_factor = 0.4",
        "training.callbacks.save_best = true",
        "training.learning_rate.warmup_start_lr = 0.1",
        "training.training_approach = \"series\"",
        "training.parameters.0.loss_functions.rates.post_delay = 2",
        "training.parameters.1.inputs.lgn.stimulus_options.col_size = 120",
    ] {
        assert!(left.contains(words), "'{words}' is not in:\n{left}");
    }
    for words in ["dampening_factor = 0.2", "seq_len", "networks", "osi_cost", "rates.pre_delay"] {
        assert!(!left.contains(words), "'{words}' was carried over:\n{left}");
    }
    let scene = Scene::read(&out).unwrap();
    assert_eq!(
        (scene.seed, scene.time.dt_ms, scene.time.duration_ms, scene.time.analysis_start_ms),
        (7, 0.5, 20.0, 2.0)
    );
    assert_eq!((scene.trials.n_evoked, scene.trials.n_spontaneous), (0, 3));
    assert_eq!((scene.surrogate.half_width, scene.surrogate.height), (1.0, 0.2));
    let rates = scene.losses.rates.unwrap();
    assert_eq!((rates.weight, rates.huber_hz, rates.shares), (0.05, Some(4.0), SharesScene::PerNeuron));
    let voltage = scene.losses.voltage.unwrap();
    assert_eq!((voltage.weight, voltage.x_low, voltage.x_high), (0.25, 0.0, 1.0));
    let optimiser = &scene.optimiser;
    assert_eq!(
        (optimiser.kind, optimiser.epsilon, optimiser.warmup_steps),
        (OptimiserKind::ExponentiatedAdam, 1e-9, 2)
    );
    assert_eq!((optimiser.training_steps, optimiser.final_fraction), (6, 0.1));
    let NetworkScene::Sonata(sonata) = &scene.network else { panic!("{:?}", scene.network) };
    assert_eq!(sonata.inputs.len(), 1);
    assert!(sonata.inputs[0].spikes["lgn"].ends_with("spikes.h5"));
    assert!(succeeded(&["check", out_text]).contains("ok (40 steps of 0.5 ms, 3 trials)"));
    // The four neurons of the circuit are no types of V1, so there are no recorded rates to compare with.
    let run = folder.path().join("run");
    let settings =
        ["--set", "losses.rates=None", "--set", "losses.voltage=(weight: 0.25, x_low: 0.1)", "--quiet"];
    succeeded(&[&[out_text, "--out", run.to_str().unwrap()], &settings[..]].concat());
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count(), 6);
}

#[test]
fn what_is_no_training_configuration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("imported.ron").to_str().unwrap().to_owned();
    let refused = |config: &str, words: &[&str]| {
        let output = simrun(&["import", "dpointnet", config, "--out", &out]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} are not all in:\n{message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    };
    refused("none.json", &["none.json", "no such file"]);
    let config = written(folder.path(), |text| text.replace("\"rnn_cell_params\"", "\"cell_params\""));
    refused(&config, &["training.json", "no training configuration of dpointnet", "'rnn_cell_params'"]);
    let config = written(folder.path(), |text| text.replace("\"seq_len\": 40", "\"seq_len\": \"long\""));
    refused(&config, &["run.seq_len", "must be a number"]);
    let config = written(folder.path(), |text| text.replace("\"dt\": 0.5", "\"dt\": 5"));
    refused(&config, &["imported.ron", "time.dt_ms"]);
    fs::write(&out, "a scene").unwrap();
    refused(&config, &["--out", "exists"]);
}

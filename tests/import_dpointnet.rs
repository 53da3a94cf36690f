//! `simrun import dpointnet` on the real program: a training configuration in the layout that BMTK 1.2 reads becomes a scene that runs, and
//! everything that it does not say is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use std::fs;
use std::path::Path;

use common::program::{simrun, succeeded};
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
        "rnn_cell_params.recurrent_dampening_factor = 0.4: the gradient through recurrent spikes is whole here",
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

/// The scene that a changed configuration becomes, and what was not carried over.
fn imported(folder: &Path, change: impl Fn(String) -> String) -> (Scene, String) {
    let config = written(folder, change);
    let out = folder.join("imported.ron");
    let _ = fs::remove_file(&out);
    let text = succeeded(&["import", "dpointnet", &config, "--out", out.to_str().unwrap()]);
    (Scene::read(&out).unwrap(), text.split_once("not carried over").unwrap().1.to_owned())
}

#[test]
fn every_switch_of_what_is_learned_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let learned = |change: &dyn Fn(String) -> String| {
        let (scene, left) = imported(folder.path(), change);
        let learn = &scene.learn;
        ([learn.recurrent_weights, learn.lgn_weights, learn.background_weights], left)
    };
    let of_run = |value: &str| {
        let value = value.to_owned();
        move |text: String| {
            text.replace("\"dt\": 0.5", &format!("\"train_recurrent_weights\": {value}, \"dt\": 0.5"))
        }
    };
    assert_eq!(learned(&|text| text).0, [true, true, false]);
    assert_eq!(learned(&of_run("true")).0, [true, true, false]);
    let (found, left) = learned(&of_run("false"));
    assert_eq!(found, [false, true, false]);
    assert!(left.contains("run.train_recurrent_weights = false") && left.contains("the no holds"), "{left}");
    let (found, left) =
        learned(&|text| of_run("false")(text.replace("\"train_recurrent\": true", "\"noise_seed\": 1")));
    assert_eq!(found, [false, true, false]);
    assert!(!left.contains("train_recurrent"), "{left}");
    assert_eq!(
        learned(&|text| text.replace("\"train_recurrent\": true", "\"train_recurrent\": false")).0,
        [false, true, false]
    );
    assert_eq!(
        learned(&|text| text.replace("\"trainable\": true", "\"trainable\": false")).0,
        [true, false, false]
    );
    // Inputs as lists, by name or whole, as BMTK takes them too; a name may have a dot in it.
    let listed = |text: String| text.replace(r#""inputs": {"lgn": "lgn"}"#, r#""inputs": ["lgn"]"#);
    assert_eq!(learned(&listed).0, [true, true, false]);
    let noise = r#", "rest.of": {"input": "spikes", "module": "poisson_spikes", "node_set": "bkg", "trainable": true}"#;
    let with_noise =
        |text: String| text.replace("\"trainable\": true}", &format!("\"trainable\": true}}{noise}"));
    assert_eq!(learned(&with_noise).0, [true, true, true]);
    let whole = r#""inputs": [{"name": "own", "input": "spikes", "module": "spikes_files", "node_set": "lgn", "spikes_paths": "$SPIKES/spikes.h5"}]"#;
    let (scene, _) = imported(folder.path(), |text| text.replace(r#""inputs": {"lgn": "lgn"}"#, whole));
    let NetworkScene::Sonata(sonata) = &scene.network else { panic!() };
    assert!(sonata.inputs[0].spikes["lgn"].ends_with("spikes.h5"));
}

#[test]
fn what_no_scene_can_obey_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("refused.ron").to_str().unwrap().to_owned();
    let refused = |from: &str, to: &str, words: &[&str]| {
        let config = written(folder.path(), |text| {
            assert!(text.contains(from), "no '{from}'");
            text.replace(from, to)
        });
        let output = simrun(&["import", "dpointnet", &config, "--out", &out]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{to}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} are not all in:\n{message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{message}");
        assert!(!Path::new(&out).exists());
    };
    let cell = "\"cell_model\": \"GLIF3Cell\"";
    let with = |more: &str| format!("{cell}, {more}");
    refused(
        cell,
        &with("\"recurrent_weight_scale\": 2.0"),
        &["recurrent_weight_scale = 2", "must be 1", "syn_weight"],
    );
    refused(
        cell,
        &with("\"train_recurent\": false"),
        &["rnn_cell_params.train_recurent", "no parameter", "train_recurrent"],
    );
    refused("\"train_recurrent\": true", "\"train_recurrent\": 0", &["train_recurrent = 0", "true or false"]);
    refused("\"trainable\": true", "\"trainable\": \"false\"", &["inputs.lgn.trainable", "true or false"]);
    refused(
        "\"trainable\": true",
        "\"trainable\": true, \"weight_scale\": 0.5",
        &["inputs.lgn.weight_scale = 0.5"],
    );
    refused(
        "{\"lgn\": \"lgn\"}",
        "{\"lgn\": \"lgm\"}",
        &["training.parameters.0.inputs.lgn = lgm", "not the name"],
    );
    let no = r#""stimulus_type": "drifting_gratings", "trainable": false,"#;
    refused(
        "\"stimulus_type\": \"drifting_gratings\",",
        no,
        &["parameters.1.inputs.lgn.trainable", "is true at inputs.lgn.trainable"],
    );
    let other = r#""trainable": true}, "more": {"input": "spikes", "module": "lgn_generator", "node_set": "lgn2", "trainable": false}"#;
    refused("\"trainable\": true}", other, &["inputs.more.trainable = false", "all populations of one kind"]);
    refused(
        "\"name\": \"exp_adam\"",
        "\"name\": \"lion\"",
        &["training.optimizer.name = lion", "exp_adam or sgd"],
    );
    refused("\"warmup_cosine\"", "\"cosine\"", &["learning_rate.schedule = cosine", "warmup_cosine"]);
    refused("\"n_epochs\": 2,", "", &["training.n_epochs", "must be a whole number"]);
    for (key, to, value) in [
        ("\"n_epochs\": 2", "\"n_epochs\": 2.5", "training.n_epochs = 2.5"),
        ("\"steps_per_epoch\": 3", "\"steps_per_epoch\": -3", "training.steps_per_epoch = -3"),
        ("\"batch_size\": 3", "\"batch_size\": 0", "run.batch_size = 0"),
        ("\"seq_len\": 40", "\"seq_len\": 40.5", "run.seq_len = 40.5"),
        ("\"default_seed\": 7", "\"default_seed\": -7", "run.default_seed = -7"),
        ("\"warmup_steps\": 2", "\"warmup_steps\": 0.5", "training.learning_rate.warmup_steps = 0.5"),
    ] {
        refused(key, to, &["training.json", value, "must be a whole number from"]);
    }
    refused(cell, "\"cell_model\": \"GLIF1Cell\"", &["cell_model = GLIF1Cell", "must be GLIF3Cell"]);
    refused("\"enabled\": false}}}", "\"enabled\": \"no\"}}}", &["off.enabled", "true or false"]);
}

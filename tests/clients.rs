//! What `simrun export` writes, opened by the programs it is written for: libsonata, SNAP, BMTK with NEST, pynwb, Elephant.

// Clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::program::{simrun, succeeded};
use serde_json::Value;
use simrun::network::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, Network, class_is_inhibitory, lgn_units, target_neuron,
};
use simrun::output::spikes::RecordedTrials;
use simrun::output::{Checkpoint, read_run};
use simrun::plan::Plan;
use simrun::setup;

/// The programs and their versions.
const CLIENTS: [&str; 7] = [
    "h5py==3.16.0",
    "libsonata==0.2.2",
    "bluepysnap==3.0.8",
    "bmtk==1.2.0",
    "nest-simulator==3.10.0",
    "pynwb==4.2.0",
    "elephant==1.2.1",
];

/// Trial that goes with the circuit: the second one, a grating.
const TRIAL: u32 = 1;

/// Trained runs, their exports, and the Python that has the clients.
struct Fixture {
    folder: tempfile::TempDir,
    python: PathBuf,
}

impl Fixture {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a client finds.
    fn check(&self, what: &str, path: &Path) -> Value {
        let output = Command::new(&self.python)
            .arg(common::root().join("tools/check_export.py"))
            .arg(what)
            .arg(path)
            .current_dir(self.folder.path())
            .output()
            .expect("python runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "check_export.py {what} {}:\n{said}", path.display());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{what}: {e}\n{said}"))
    }
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let point = [
            "cells.mode=Point",
            "cells.ports=Exact",
            // NEST begins at rest; and the weights of the published point model, under which few potentials tie with the threshold.
            "trials.start=Rest",
            "network.calibration=None",
            "network.lgn.weight_factor=1.8",
            "network.background.weight_factor=2",
            "time.dt_ms=0.5",
            "learn.leak_conductance=true",
            "learn.threshold=true",
            "learn.after_spike_amplitudes=true",
            "learn.pair_scale=true",
            r#"evaluate.reports=[(name: "soma", neurons: Share(share: 0.1), trial: 1, interval_ms: 1)]"#,
        ];
        train(&folder.path().join("point"), 2, &point);
        // Of the network as it was built: no training step, no checkpoint.
        let dendrites = r#"evaluate.reports=[
            (name: "dendrites", variable: DendritePotential, neurons: Listed([7, 3]), interval_ms: 2)]"#;
        train(&folder.path().join("conductance"), 0, &["time.duration_ms=60", dendrites]);
        Fixture { python: clients(), folder }
    })
}

/// Makes the environment of the clients. Without them nothing can be said about the files, so this never skips.
fn clients() -> PathBuf {
    let made = Command::new(common::root().join("tools/venv"))
        .arg("clients")
        .args(CLIENTS)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(
        made.status.success(),
        "the clients of the exported files cannot be installed (tools/venv clients {}):\n{said}",
        CLIENTS.join(" ")
    );
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

/// Some training steps of V1 within 40 um, driven so that it spikes.
fn train(run: &Path, n_steps: u32, settings: &[&str]) {
    let all = [
        "network.radius_um=40",
        "network.core_radius_um=30",
        "network.calibration=None",
        "network.lgn.weight_factor=1.5",
        "network.background.weight_factor=1.5",
        "time.duration_ms=150",
        "trials.n_evoked=2",
        "trials.n_spontaneous=1",
        "trials.grating.onset_ms=20",
        "optimiser.training_steps=2",
        "optimiser.warmup_steps=0",
        "optimiser.learning_rate=0.1",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
        "evaluate.directions_deg=[0, 135]",
    ];
    let settings: Vec<&str> = all.iter().chain(settings).flat_map(|s| ["--set", s]).collect();
    let n_steps = n_steps.to_string();
    let run = ["tests/scenes/v1_4k.ron", "--quiet", "--out", run.to_str().unwrap(), "--steps", &n_steps];
    succeeded(&[&run[..], &settings[..]].concat());
}

/// The network of a run with the weights of its checkpoint, by other means than the export's.
fn trained_network(run: &Path) -> Network {
    let (plan, _) = read_run(run, &[]).unwrap();
    let tables = common::tables();
    let dynamics = setup::dynamics(&plan, &tables);
    let mut network = setup::network(&plan, &tables, &dynamics).unwrap();
    if run.join("checkpoint.safetensors").exists() {
        let checkpoint = Checkpoint::of_run(run, &plan).unwrap();
        network.rows.weights = checkpoint.f32s("weights").unwrap().to_vec();
    }
    network
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect()
}

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect()
}

/// Holds what libsonata and SNAP find of a circuit against the network of the run; `sign` is that of inhibitory weights.
fn hold_circuit(found: &Value, network: &Network, sign: f32) {
    let n = network.neurons.len();
    let ends = [0, n, n + network.n_lgn, network.n_sources()];
    assert_eq!(texts(&found["node_populations"]), ["background", "lgn", "v1"]);
    assert_eq!(texts(&found["edge_populations"]), ["background_to_v1", "lgn_to_v1", "v1_to_v1"]);
    let x: Vec<f32> = numbers(&found["x"]).into_iter().map(|x| x as f32).collect();
    assert_eq!(x, network.neurons.x_um);
    let types: Vec<&str> = network.neurons.cell_type_ix.iter().map(|t| CELL_TYPES[usize::from(*t)]).collect();
    assert_eq!(texts(&found["cell_type"]), types);
    for (i, name) in ["v1", "lgn", "background"].into_iter().enumerate() {
        let sources = ends[i]..ends[i + 1];
        assert_eq!(found["n_nodes"][name], sources.len());
        let edges = &found["edges"][format!("{name}_to_v1")];
        assert_eq!((&edges["source"], &edges["target"]), (&Value::from(name), &Value::from("v1")));
        let (mut source_ids, mut target_ids, mut weights) = (vec![], vec![], vec![]);
        for source in sources.clone() {
            let class_ix = CLASS_OF_SOURCE_TYPE[network.source_type(source)];
            let sign = if class_is_inhibitory(class_ix) { sign } else { 1.0 };
            for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
                source_ids.push(source - sources.start);
                target_ids.push(target_neuron(network.rows.targets[edge]) as usize);
                weights.push(sign * network.rows.weights[edge]);
            }
        }
        assert!(weights.len() > 500, "{name}: {} edges", weights.len());
        for count in ["n", "by_target", "by_source"] {
            assert_eq!(edges[count], weights.len(), "{name} {count}");
        }
        // Bit for bit, edge for edge.
        let found_weights: Vec<f32> = numbers(&edges["weights"]).into_iter().map(|w| w as f32).collect();
        assert_eq!(found_weights, weights, "{name}");
        assert_eq!(indices(&edges["source_ids"]), source_ids, "{name}");
        assert_eq!(indices(&edges["target_ids"]), target_ids, "{name}");
        let onto_last = source_ids.iter().zip(&target_ids).filter(|(_, t)| **t == n - 1).map(|(s, _)| *s);
        assert_eq!(indices(&edges["onto_last"]), onto_last.collect::<Vec<_>>(), "{name}");
    }
    let snap = &found["snap"];
    let n_l4 = types.iter().filter(|t| **t == "L4_Exc").count();
    assert!(n_l4 > 50);
    assert_eq!((&snap["n_l4_exc"], &snap["n_node_set"]), (&Value::from(n_l4), &Value::from(n_l4)));
    assert_eq!(texts(&snap["l4_classes"]), ["EXC"]);
    assert_eq!(snap["types"]["lgn"], "virtual");
    let onto_l4 = |word: &&u32| types[target_neuron(**word) as usize] == "L4_Exc";
    let recurrent = &network.rows.targets[..network.rows.offsets[n] as usize];
    assert_eq!(snap["n_l4_afferent"], recurrent.iter().filter(onto_l4).count());
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn libsonata_and_snap_open_the_circuit_and_its_simulation() {
    let fixture = fixture();
    let dir = fixture.path("point_libsonata");
    let run = fixture.path("point");
    let trial = TRIAL.to_string();
    let arguments = ["--sonata", dir.to_str().unwrap(), "--trial", &trial, "--quiet"];
    let said = succeeded(&[&["export", run.to_str().unwrap()], &arguments[..]].concat());
    assert!(said.contains("README.md"), "{said}");
    let found = fixture.check("circuit", &dir);
    let network = trained_network(&run);
    hold_circuit(&found, &network, -1.0);
    // The weights of the run differ from those that its scene builds: training went into the files.
    let (plan, _) = read_run(&run, &[]).unwrap();
    let tables = common::tables();
    let built = setup::network(&plan, &tables, &setup::dynamics(&plan, &tables)).unwrap();
    assert!(built.rows.targets == network.rows.targets && built.rows.weights != network.rows.weights);
    // The spikes of the simulation are those of the trial in the run's own file.
    let recorded = RecordedTrials::read(&run).unwrap();
    let shown = &recorded.trials[TRIAL as usize];
    assert_eq!(shown.direction_deg, Some(135.0));
    let inside = recorded
        .neurons
        .iter()
        .zip(&recorded.times_ms)
        .filter(|(_, t)| **t > shown.start_ms && **t <= shown.stop_ms);
    let (nodes, times): (Vec<usize>, Vec<f64>) =
        inside.map(|(node, t)| (*node as usize, t - shown.start_ms)).unzip();
    assert!(nodes.len() > 200, "{} spikes", nodes.len());
    let simulation = &found["simulation"];
    assert_eq!(indices(&simulation["nodes"]), nodes);
    let apart = |(a, b): (&f64, &f64)| (a - b).abs();
    assert!(numbers(&simulation["times"]).iter().zip(&times).map(apart).fold(0.0, f64::max) < 1e-9);
    assert_eq!((&simulation["t_stop"], &simulation["dt"]), (&Value::from(150.0), &Value::from(0.5)));
    assert_eq!(texts(&simulation["inputs"]), ["background", "lgn"]);
    let spikes = fixture.check("spikes", &run.join("spikes.h5"));
    assert_eq!(
        (indices(&spikes["nodes"]).len(), &spikes["sorting"]),
        (recorded.neurons.len(), &Value::from("by_time"))
    );
    assert_eq!(numbers(&spikes["times"]), recorded.times_ms);
    hold_potentials(&simulation["reports"]["soma"], &network, &nodes, &times);
    let units = lgn_units::place(&tables.lgn_units, plan.scene.seed);
    assert_eq!(found["n_nodes"]["lgn"], units.len());
}

/// Samples of a tenth of each cell type, every ms: a neuron that spikes in the step of a sample is at its reset there.
fn hold_potentials(report: &Value, network: &Network, spiked: &[usize], times_ms: &[f64]) {
    let nodes = indices(&report["nodes"]);
    let n_types = (0..CELL_TYPES.len() as u8).filter(|t| network.neurons.cell_type_ix.contains(t)).count();
    assert!(nodes.len() >= n_types && (60..100).contains(&nodes.len()), "{} neurons", nodes.len());
    let times = numbers(&report["times"]);
    assert!(times.len() == 150 && times.iter().zip(1..).all(|(t, ms)| (t - f64::from(ms)).abs() < 1e-9));
    let values: Vec<Vec<f64>> = report["values"].as_array().unwrap().iter().map(numbers).collect();
    let cell = |node: usize| &network.cell_models[usize::from(network.neurons.model_ix[node])];
    let mut n_resets = 0;
    for (sample, row) in values.iter().enumerate() {
        for (node, v_mv) in nodes.iter().zip(row) {
            assert!((-150.0..0.0).contains(v_mv), "{v_mv} mV at {sample} ms");
            let time_ms = sample as f64 + 1.0;
            let spikes = spiked.iter().zip(times_ms).any(|(n, t)| n == node && (t - time_ms).abs() < 1e-9);
            if spikes {
                assert!((v_mv - cell(*node).v_reset_mv).abs() < 1e-4, "{v_mv} mV after a spike");
                n_resets += 1;
            }
        }
    }
    // Half of the spikes of a tenth of the neurons.
    assert!(n_resets > 5, "{n_resets} resets");
    let moved = values
        .iter()
        .flatten()
        .zip(nodes.iter().cycle())
        .filter(|(v, n)| (**v - cell(**n).e_l_mv).abs() > 1.0);
    assert!(moved.count() > values.len() * nodes.len() / 4, "the potentials hardly move");
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn bmtk_runs_the_point_network_in_nest_with_the_same_spikes() {
    let fixture = fixture();
    let dir = fixture.path("point_bmtk");
    let run = fixture.path("point");
    let trial = TRIAL.to_string();
    let arguments = ["--sonata", dir.to_str().unwrap(), "--trial", &trial, "--gzip", "--quiet"];
    succeeded(&[&["export", run.to_str().unwrap()], &arguments[..]].concat());
    let found = fixture.check("bmtk", &dir);
    let n = indices(&found["n"]);
    let common = found["n_common"].as_u64().unwrap() as usize;
    println!(
        "simrun {} spikes, NEST {}, {common} the same; first difference at {} ms",
        n[0], n[1], found["first_difference_ms"]
    );
    assert!(n[0] > 200, "{found:#}");
    // Spikes differ first where a potential meets the threshold within the rounding of f32, and then by what such a spike does.
    let early = indices(&found["early"]);
    assert!(early[0] > 100 && early[2] as f64 > 0.98 * early[0].max(early[1]) as f64, "{found:#}");
    assert!(common as f64 > 0.9 * n[0].max(n[1]) as f64, "{found:#}");
    assert!((n[0] as f64 - n[1] as f64).abs() < 0.02 * n[0] as f64, "{found:#}");
    for (population, counts) in found["by_population"].as_object().unwrap() {
        let [ours, nest] = [0, 1].map(|i| counts[i].as_f64().unwrap());
        // Spikes of one trial are few: rates agree to a twentieth, or to two spikes.
        assert!((ours - nest).abs() <= (0.05 * ours).max(2.0), "{population}: {ours} and {nest} spikes");
    }
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn the_exported_circuit_read_again_is_the_same_network() {
    let fixture = fixture();
    let dir = fixture.path("point_again");
    let run = fixture.path("point");
    succeeded(&["export", run.to_str().unwrap(), "--sonata", dir.to_str().unwrap(), "--quiet"]);
    let settings = [
        format!("network.config={:?}", dir.join("bmtk_config.json")),
        r#"network.background=["background"]"#.to_owned(),
        "time.dt_ms=0.5".to_owned(),
        "time.duration_ms=150".to_owned(),
    ];
    let tables = common::tables();
    let plan = Plan::read(&common::root().join("scenes/sonata.ron"), &settings).unwrap();
    let built = setup::build(&plan, &tables, &mut |_| ()).unwrap();
    let (network, again) = (trained_network(&run), built.network);
    assert_eq!((again.neurons.len(), again.n_lgn), (network.neurons.len(), network.n_lgn));
    assert_eq!(again.n_background, network.n_background);
    // Bit for bit, row for row.
    assert!(again.rows.offsets == network.rows.offsets, "the rows have other lengths");
    assert!(again.rows.targets == network.rows.targets, "the rows have other targets or delays");
    let bits = |n: &Network| -> Vec<u32> { n.rows.weights.iter().map(|w| w.to_bits()).collect() };
    assert!(bits(&again) == bits(&network), "the rows have other weights");
    // The cells are the trained ones, the input spikes those of the trial.
    let moved = again.cell_models.iter().filter(|cell| {
        let measured = &tables.cells[tables.cell_ix(cell.id).unwrap()].model;
        (cell.v_th_mv - measured.v_th_mv).abs() > 1e-6
    });
    assert!(moved.count() > 20, "training moved hardly any threshold");
    let inputs = built.given.unwrap().inputs;
    assert!(inputs.len() == 1 && inputs[0].spikes.len() > 1000, "{} inputs", inputs.len());
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn conductances_are_exported_for_reading() {
    let fixture = fixture();
    let dir = fixture.path("conductance_libsonata");
    let run = fixture.path("conductance");
    succeeded(&["export", run.to_str().unwrap(), "--sonata", dir.to_str().unwrap(), "--quiet"]);
    let found = fixture.check("circuit", &dir);
    hold_circuit(&found, &trained_network(&run), 1.0);
    let dendrites = &found["simulation"]["reports"]["dendrites"];
    assert_eq!(
        (indices(&dendrites["nodes"]), dendrites["times"].as_array().unwrap().len()),
        (vec![3, 7], 30)
    );
    let values = dendrites["values"].as_array().unwrap().iter().flat_map(numbers);
    assert!(values.clone().all(|v| (-120.0..0.0).contains(&v)) && values.clone().any(|v| v != -75.0));
    let readme = fs::read_to_string(dir.join("README.md")).unwrap();
    assert!(readme.contains("in nS") && readme.contains("no `bmtk_config.json`"), "{readme}");
    assert!(!dir.join("bmtk_config.json").exists());
    let synapse = fs::read_to_string(dir.join("components/synaptic_models/pv_to_e4.json")).unwrap();
    let synapse: Value = serde_json::from_str(&synapse).unwrap();
    assert_eq!(
        (&synapse["ports"][0]["compartment"], &synapse["ports"][0]["reversal_mv"]),
        (&Value::from("soma"), &Value::from(-75.0))
    );
    assert!(synapse["note"].as_str().unwrap().contains("NEST"));
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn pynwb_validates_the_spikes_and_elephant_computes_rates() {
    let fixture = fixture();
    let run = fixture.path("point");
    let file = fixture.path("point.nwb");
    succeeded(&["export", run.to_str().unwrap(), "--nwb", file.to_str().unwrap(), "--quiet"]);
    let found = fixture.check("nwb", &file);
    assert_eq!(found["errors"], Value::Array(vec![]), "{:#}", found["errors"]);
    let network = trained_network(&run);
    let neurons = &network.neurons;
    assert_eq!(found["n_units"], neurons.len());
    let types: Vec<&str> = neurons.cell_type_ix.iter().map(|t| CELL_TYPES[usize::from(*t)]).collect();
    assert_eq!(texts(&found["cell_type"]), types);
    let x: Vec<f32> = numbers(&found["x"]).into_iter().map(|x| x as f32).collect();
    assert_eq!(x, neurons.x_um);
    assert!(texts(&found["location"]).contains(&"VisL4"));
    let recorded = RecordedTrials::read(&run).unwrap();
    let mut counts = vec![0; neurons.len()];
    recorded.neurons.iter().for_each(|node| counts[*node as usize] += 1);
    assert_eq!(indices(&found["n_spikes"]), counts);
    // Three trials of 0.15 s; Elephant counts what lies in them, which is everything.
    let n_trials = recorded.trials.len();
    assert_eq!((found["n_trials"].as_u64().unwrap() as usize, n_trials), (3, 3));
    for (rate_hz, count) in numbers(&found["rates_hz"]).into_iter().zip(&counts) {
        assert!(
            (rate_hz - *count as f64 / (0.15 * n_trials as f64)).abs() < 1e-3,
            "{rate_hz} Hz, {count} spikes"
        );
    }
    let onsets: Vec<f64> = recorded.trials.iter().filter_map(|t| Some(t.start_ms + t.onset_ms?)).collect();
    let found_onsets = numbers(&found["start_time"]);
    assert_eq!(found_onsets.len(), 2);
    assert!(found_onsets.iter().zip(&onsets).all(|(s, ms)| (1e3 * s - ms).abs() < 1e-9));
    assert_eq!(numbers(&found["orientation"]), [0.0, 135.0]);
    assert_eq!(numbers(&found["contrast"]), [0.8, 0.8]);
    assert_eq!(
        (texts(&found["stimulus_name"]), &found["n_spontaneous"]),
        (vec!["drifting_gratings"], &Value::from(1))
    );
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn what_cannot_be_exported_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("cells");
    let run = run.to_str().unwrap();
    let settings = ["--set", "time.duration_ms=60", "--steps", "0", "--quiet", "--out", run];
    succeeded(&[&["scenes/smoke.ron"], &settings[..]].concat());
    let new = temporary.path().join("new");
    let new = new.to_str().unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = simrun(&[&["export"], arguments].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        for word in words {
            assert!(message.contains(word), "'{word}' is not in:\n{message}");
        }
        assert!(!Path::new(new).exists(), "{arguments:?} left something behind");
    };
    refused(&[run], &["--sonata", "--nwb"]);
    refused(&[run, "--sonata", new], &["no network of V1"]);
    refused(&[run, "--nwb", new], &["no network of V1"]);
    refused(&[run, "--nwb", new, "--trial", "1"], &["--sonata"]);
    refused(&[temporary.path().to_str().unwrap(), "--sonata", new], &["not a run folder"]);
    refused(&[temporary.path().to_str().unwrap(), "--nwb", new], &["trials.csv"]);
    refused(&[run, "--sonata", run], &["--sonata", "exists"]);
    refused(&[run, "--nwb", run], &["--nwb", "exists"]);
    let point = fixture().path("point");
    let report = r#"evaluate.reports=[(name: "a", neurons: Listed([99999]), interval_ms: 1)]"#;
    let output = simrun(&["scenes/smoke.ron", "--quiet", "--out", new, "--set", report]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), message.contains("neurons 0 to 200")), (Some(2), true), "{message}");
    refused(&[point.to_str().unwrap(), "--sonata", new, "--trial", "3"], &["--trial", "trials 0 to 2"]);
}

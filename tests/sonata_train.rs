//! SONATA circuits on the device: gradient under a circuit's own types, and runs as a user starts them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use common::program::{assert_refused, simrun_in, stdout_of};
use serde_json::Value;
use simrun::gpu::Gpu;
use simrun::model::rng::{Stream, uniform};
use simrun::network::target_neuron;
use simrun::output::Checkpoint;
use simrun::output::spikes::RecordedTrials;
use simrun::plan::Plan;
use simrun::reference::{self, Parameters, Problem};
use simrun::setup;
use simrun::sim::{LearnWeights, Settings, Simulation, SourceSpikes, VoltagePenalty};
use sonata_circuit::{Data, SonataCircuit};

const N_NEURONS: u64 = 24;
const N_UNITS: u64 = 12;

/// The small circuit with more nodes, edges between half of all pairs, and weights that make spikes.
fn dense() -> SonataCircuit {
    let mut circuit = SonataCircuit::good();
    circuit.data.retain(|(file, _), _| !file.starts_with("network"));
    let set = |circuit: &mut SonataCircuit, file: &str, dataset: &str, data: Data| {
        circuit.set(&format!("network/{file}.h5"), dataset, data);
    };
    let types = (0..N_NEURONS).map(|i| 10 + u64::from(i >= 2 * N_NEURONS / 3)).collect();
    set(&mut circuit, "v1_nodes", "nodes/v1/node_type_id", Data::Ids(types));
    set(&mut circuit, "lgn_nodes", "nodes/lgn/node_type_id", Data::Ids(vec![7; N_UNITS as usize]));
    let draw = |source: u64, target: u64, k: u32| {
        f64::from(uniform(5, Stream::Connections, source as u32, target as u32, k))
    };
    for (file, edges, n_sources) in [("v1_edges", "v1_to_v1", N_NEURONS), ("lgn_edges", "lgn_to_v1", N_UNITS)]
    {
        let of_lgn = n_sources == N_UNITS;
        let pairs: Vec<(u64, u64)> = (0..n_sources)
            .flat_map(|s| (0..N_NEURONS).map(move |t| (s, t)))
            .filter(|(s, t)| draw(s + 100 * u64::from(of_lgn), *t, 0) < 0.5)
            .collect();
        let inhibits = |s: u64| !of_lgn && s >= 2 * N_NEURONS / 3;
        let edge_type = |s: u64| if of_lgn { 5 } else { 1 + u64::from(inhibits(s)) };
        let weight = |(s, t): &(u64, u64)| {
            let size = if of_lgn { 250.0 } else { 60.0 } * (0.3 + draw(*s, *t, 1));
            if inhibits(*s) { -size } else { size }
        };
        let at = |name: &str| format!("edges/{edges}/{name}");
        set(&mut circuit, file, &at("source_node_id"), Data::Ids(pairs.iter().map(|p| p.0).collect()));
        set(&mut circuit, file, &at("target_node_id"), Data::Ids(pairs.iter().map(|p| p.1).collect()));
        set(
            &mut circuit,
            file,
            &at("edge_type_id"),
            Data::Ids(pairs.iter().map(|p| edge_type(p.0)).collect()),
        );
        set(&mut circuit, file, &at("0/syn_weight"), Data::Numbers(pairs.iter().map(weight).collect()));
    }
    let spikes: Vec<(u64, f64)> = (0..N_UNITS)
        .flat_map(|unit| (0..8).map(move |k| (unit, k)))
        .map(|(unit, k)| (unit, 0.1 + 19.8 * draw(unit, 1000 + k, 2)))
        .collect();
    circuit.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(spikes.iter().map(|s| s.0).collect()));
    circuit.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(spikes.iter().map(|s| s.1).collect()));
    circuit
}

#[test]
fn the_gradient_under_a_circuits_own_types_is_that_of_the_specification() {
    const N_STEPS: usize = 40;
    let (built, _) = dense().build(&[]).unwrap();
    let (network, dynamics) = (&built.network, &built.dynamics);
    assert_eq!((network.vocabulary.n_cell_types(), network.vocabulary.class_is_inhibitory.len()), (2, 2));
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let settings = Settings {
        steps_between_checkpoints: 11,
        voltage: VoltagePenalty { weight: 30.0, x_low: 0.3, x_high: 0.9 },
        learn_weights: LearnWeights::ALL,
        learn_cells: true,
        ..Settings::new(N_STEPS, 2)
    };
    // The second trial shows the spikes of every other unit.
    let mut masks = vec![0_u32; N_STEPS * N_UNITS as usize];
    for (step, unit) in &built.given.as_ref().unwrap().inputs[0].spikes {
        masks[*step as usize * N_UNITS as usize + *unit as usize] = if unit % 2 == 0 { 0b11 } else { 0b01 };
    }
    let sources = SourceSpikes::Replay(&masks);
    let mut simulation = Simulation::new(&gpu, network, dynamics, sources, settings).unwrap();
    let counts = simulation.forward(1, 0).unwrap().spike_counts;
    let seeds: Vec<f32> = (0..counts.len()).map(|i| ((i * 53) % 19) as f32 / 9.0 - 1.0).collect();
    let report = simulation.adjoint(&seeds).unwrap();
    let weight_gradient = simulation.weight_gradient().unwrap();
    let seeds: Vec<f64> = seeds.into_iter().map(f64::from).collect();
    let problem = Problem {
        network,
        dynamics,
        n_steps: N_STEPS,
        n_trials: 2,
        source_spikes: &masks,
        current: None,
        arrival_scale: Some(simulation.arrival_scale()),
        seeds: &seeds,
        count_steps: 0..N_STEPS,
        voltage: Some(reference::VoltagePenalty { weight: 30.0, x_low: 0.3, x_high: 0.9 }),
        hold_u_mv: None,
        potential_seeds: None,
        population: None,
    };
    let parameters = Parameters::<f64>::of_network(network);
    let forward = reference::forward(&problem, &parameters, reference::Mode::Hard);
    let expected: Vec<f32> = forward.counts.iter().map(|c| *c as f32).collect();
    assert_eq!(counts, expected);
    assert!(counts.iter().sum::<f32>() > 20.0, "{} spikes", counts.iter().sum::<f32>());
    let gradient = reference::adjoint(&problem, &parameters, reference::Mode::Hard);
    let apart = |own: &mut dyn Iterator<Item = f64>, expected: &[f64]| {
        let squares: f64 = own.zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
        (squares / expected.iter().map(|x| x * x).sum::<f64>()).sqrt()
    };
    let weights = apart(&mut weight_gradient.iter().map(|g| f64::from(*g)), &gradient.weights);
    let theta = gradient.theta.as_flattened();
    let cells = apart(&mut report.cell_gradient.as_flattened().iter().copied(), theta);
    println!("relative distance: weights {weights:.1e}, cells {cells:.1e}");
    assert!(weights < 2e-5 && cells < 2e-5, "relative distance: weights {weights}, cells {cells}");
}

#[test]
fn a_circuit_trains_resumes_and_is_evaluated() {
    let temporary = tempfile::tempdir().unwrap();
    let [folder, moved] = ["circuit", "moved"].map(|name| temporary.path().join(name));
    std::fs::create_dir(&folder).unwrap();
    dense().write(&folder);
    let scene = ["scene.ron", "--quiet", "--set", "trials.n_spontaneous=3", "--set", "evaluate.n_trials=7"];
    stdout_of(&simrun_in(&folder, &[&scene[..], &["--steps", "1", "--out", "run"]].concat()));
    let kept = |folder: &Path| {
        let checkpoint = Checkpoint::read(&folder.join("run/checkpoint.safetensors")).unwrap();
        (checkpoint.f64s("largest_input_sum").unwrap().to_vec(), checkpoint.f32s("weights").unwrap().to_vec())
    };
    let (first_sum, first_weights) = kept(&folder);
    // The same files in another place are the same circuit; other contents in their place are not.
    std::fs::rename(&folder, &moved).unwrap();
    let types = moved.join("network/v1_edge_types.csv");
    let whole = std::fs::read_to_string(&types).unwrap();
    std::fs::write(&types, format!("{whole}\n")).unwrap();
    let resume = [&scene[..], &["--resume", "run"]].concat();
    assert_refused(
        &simrun_in(&moved, &resume),
        2,
        &["v1_edge_types.csv", "is not the file that the run was made from"],
    );
    std::fs::write(&types, whole).unwrap();
    let table = stdout_of(&simrun_in(&moved, &resume));
    std::fs::rename(&moved, &folder).unwrap();
    let (sum, weights) = kept(&folder);
    assert!(weights != first_weights && sum == first_sum && sum[0] > 0.0, "{sum:?}");
    assert!(table.contains("exc") && table.contains("inh"), "{table}");
    let metrics = std::fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2, "{metrics}");
    assert!(metrics.contains(r#""voltage""#) && metrics.contains(r#""exc""#), "{metrics}");
    let recorded = RecordedTrials::read(&folder.join("run")).unwrap();
    assert!(recorded.neurons.len() > 10, "{} spikes", recorded.neurons.len());
    assert!(recorded.trials.iter().all(|trial| trial.condition == "recorded_spikes"));
    let provenance = std::fs::read_to_string(folder.join("run/provenance.json")).unwrap();
    assert!(provenance.contains("v1_edges.h5") && provenance.contains("cell.json"), "{provenance}");
    // The run's own copy of the scene names the circuit in full.
    let elsewhere = tempfile::tempdir().unwrap();
    let run = folder.join("run");
    let evaluate = ["evaluate", run.to_str().unwrap(), "--quiet"];
    let table = stdout_of(&simrun_in(elsewhere.path(), &evaluate));
    assert!(table.contains("recorded inputs: 1, trials of each: 3"), "{table}");
    assert_eq!(shown(&run, "evaluation.json"), (Value::from(3), Value::from(1)));
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("recorded inputs: 1, trials of each: 3"));
    for option in [["--trials", "4"], ["--contrasts", "0.2"]] {
        let refused = simrun_in(elsewhere.path(), &[&evaluate[..], &option].concat());
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains(option[0]) && message.contains("network.inputs"), "{message}");
    }
}

#[test]
fn rates_are_trained_where_the_cell_types_are_those_of_v1() {
    let folder = tempfile::tempdir().unwrap();
    dense().write(folder.path());
    let rates = "losses.rates=(weight: 1, huber_hz: 2)";
    let refused = simrun_in(folder.path(), &["scene.ron", "--quiet", "--set", rates]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(
        message.contains("losses.rates")
            && message.contains("exc, inh")
            && message.contains("network.cell_types"),
        "{message}"
    );
    let arguments = [
        "scene.ron",
        "--quiet",
        "--out",
        "run",
        "--set",
        rates,
        "--set",
        r#"network.cell_types={"exc": "L4_Exc", "inh": "L4_PV"}"#,
        "--set",
        "network.inputs=[(direction_deg: 45), (start_ms: 5)]",
        "--set",
        "trials.n_evoked=1",
        "--set",
        "trials.n_spontaneous=2",
        "--set",
        "evaluate.n_trials=7",
    ];
    let table = stdout_of(&simrun_in(folder.path(), &arguments));
    assert!(table.contains("L4_Exc") && table.contains("L4_PV"), "{table}");
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    assert!(metrics.contains("rate_evoked") && metrics.contains("rate_spontaneous"), "{metrics}");
    // Two inputs fill batches of three trials when each is shown three times, whatever the scene asks for.
    let summary = shown(&folder.path().join("run"), "summary.json");
    assert_eq!(summary, (Value::from(3), Value::from(2)));
    assert_eq!(RecordedTrials::read(&folder.path().join("run")).unwrap().trials.len(), 6);
}

/// Trials of each recorded input and number of these in a file of an evaluation.
fn shown(run: &Path, file: &str) -> (Value, Value) {
    let found: Value = serde_json::from_str(&std::fs::read_to_string(run.join(file)).unwrap()).unwrap();
    (found["n_trials"].clone(), found["n_recorded_inputs"].clone())
}

#[test]
fn terms_ask_the_inputs_for_their_contrasts_and_directions() {
    let folder = tempfile::tempdir().unwrap();
    dense().write(folder.path());
    let check = |inputs: &str, term: &str| {
        let inputs = format!("network.inputs=[(start_ms: 5), {inputs}]");
        let settings = ["--set", &inputs, "--set", term, "--set", "trials.n_evoked=2"];
        let output = simrun_in(folder.path(), &[&["check", "scene.ron"], &settings[..]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (contrast, neurons) = ("losses.contrast=(weight: 1.0)", "losses.neuron_selectivity=(weight: 1.0)");
    let two_contrasts = "(direction_deg: 45), (direction_deg: 45, contrast: 0.2)";
    let two_directions = "(direction_deg: 45), (direction_deg: 90)";
    assert_eq!(check(two_contrasts, contrast).0, Some(0));
    assert_eq!(check(two_directions, neurons).0, Some(0));
    for (inputs, term, words) in [
        (two_directions, contrast, "network.inputs = 1 contrasts"),
        (two_contrasts, neurons, "network.inputs = 1 different directions"),
    ] {
        let (code, message) = check(inputs, term);
        assert!(code == Some(2) && message.contains(words), "{message}");
    }
}

/// Leaves out the edges of a population for which `keeps` of their ends is false, and says how many those were.
fn leave_out(
    circuit: &mut SonataCircuit,
    file: &str,
    edges: &str,
    keeps: impl Fn(u64, u64) -> bool,
) -> usize {
    let key = |name: &str| (format!("network/{file}.h5"), format!("edges/{edges}/{name}"));
    let ids = |name: &str| match &circuit.data[&key(name)] {
        Data::Ids(ids) => ids.clone(),
        _ => panic!("no ids"),
    };
    let ends = (ids("source_node_id"), ids("target_node_id"));
    let kept: Vec<bool> =
        ends.0.iter().zip(&ends.1).map(|(source, target)| keeps(*source, *target)).collect();
    for name in ["source_node_id", "target_node_id", "edge_type_id", "0/syn_weight"] {
        let mut place = kept.iter();
        match circuit.data.get_mut(&key(name)).unwrap() {
            Data::Ids(ids) => ids.retain(|_| *place.next().unwrap()),
            Data::Numbers(numbers) => numbers.retain(|_| *place.next().unwrap()),
            _ => panic!("{name} is neither ids nor numbers"),
        }
    }
    kept.iter().filter(|kept| !**kept).count()
}

/// Trained weights by the ends of their edges (population of sources and id, id of the target).
fn trained_weights(run: &Path) -> HashMap<(String, u64, u64), f32> {
    let plan = Plan::read(&run.join("scene.ron"), &[]).unwrap();
    let network = setup::build(&plan, &setup::tables(&plan).unwrap(), &mut |_| ()).unwrap().network;
    let checkpoint = Checkpoint::read(&run.join("checkpoint.safetensors")).unwrap();
    let weights = checkpoint.f32s("weights").unwrap();
    let n_neurons = network.neurons.len();
    let mut by_ends = HashMap::new();
    for source in 0..network.n_sources() {
        let named = if source < n_neurons {
            ("v1".to_owned(), source as u64)
        } else {
            ("lgn".to_owned(), (source - n_neurons) as u64)
        };
        let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
        for (word, weight) in network.rows.targets[row.clone()].iter().zip(&weights[row]) {
            by_ends.insert((named.0.clone(), named.1, u64::from(target_neuron(*word))), *weight);
        }
    }
    by_ends
}

#[test]
fn a_trained_circuit_begins_an_edited_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let circuit = dense();
    circuit.write(&first);
    stdout_of(&simrun_in(&first, &["scene.ron", "--quiet", "--out", "run"]));

    // The last node is gone, and so is every edge from node 3 to an even one.
    let mut edited = circuit;
    let lost = N_NEURONS - 1;
    let types = (0..lost).map(|i| 10 + u64::from(i >= 2 * N_NEURONS / 3)).collect();
    edited.set("network/v1_nodes.h5", "nodes/v1/node_type_id", Data::Ids(types));
    let survives = |source: u64, target: u64| {
        source != lost && target != lost && !(source == 3 && target.is_multiple_of(2))
    };
    let between = leave_out(&mut edited, "v1_edges", "v1_to_v1", survives);
    let of_lgn = leave_out(&mut edited, "lgn_edges", "lgn_to_v1", |_, target| target != lost);
    edited.write(&second);
    // A learning rate of all but nothing shows what it starts from.
    let start = first.join("run");
    let arguments = ["scene.ron", "--start", start.to_str().unwrap(), "--out", "run", "--steps", "1"];
    let output = simrun_in(&second, &[&arguments[..], &["--set", "optimiser.learning_rate=1e-12"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let (before, after) = (trained_weights(&start), trained_weights(&second.join("run")));
    let from_lgn =
        |weights: &HashMap<(String, u64, u64), f32>| weights.keys().filter(|ends| ends.0 == "lgn").count();
    for line in [
        format!("cells: {} matched, 0 new, 1 dropped", N_NEURONS - 1),
        format!(
            "edges between neurons: {} matched, 0 new, {between} dropped",
            after.len() - from_lgn(&after)
        ),
        format!("edges of LGN units: {} matched, 0 new, {of_lgn} dropped", from_lgn(&after)),
    ] {
        assert!(said.contains(&line), "'{line}' is not in: {said}");
    }
    assert!(between > 10 && of_lgn > 2 && before.len() == after.len() + between + of_lgn);
    for (ends, weight) in &after {
        let trained = before[ends];
        assert!((weight - trained).abs() <= 1e-6 * trained.abs(), "{ends:?}: {weight}, trained to {trained}");
    }
}

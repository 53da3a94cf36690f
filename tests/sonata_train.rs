//! SONATA circuits on the device: gradient under a circuit's own types, and runs as a user starts them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use common::program::{assert_refused, simrun_in, stderr_of, stdout_of};
use serde_json::Value;
use simrun::adapt::Ancestor;
use simrun::gpu::Gpu;
use simrun::hdf5::Hdf5;
use simrun::model::rng::{Stream, uniform};
use simrun::network::{Network, target_neuron};
use simrun::output::Checkpoint;
use simrun::output::spikes::RecordedTrials;
use simrun::plan::Plan;
use simrun::reference::{self, Parameters, Problem};
use simrun::setup::{self, Built};
use simrun::sim::{LearnWeights, Settings, Simulation, SourceSpikes, VoltagePenalty};
use simrun::sonata::read_spikes;
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

/// Population and id of a node.
type Name = (String, u64);

/// Places of all edges by the names of their ends.
fn edges_by_name(network: &Network) -> HashMap<[Name; 2], usize> {
    let units = network.unit_names.clone().unwrap();
    let names: Vec<Name> = [network.node_names(), units]
        .iter()
        .flat_map(|names| names.populations().map(|(_, named)| named.clone()).collect::<Vec<_>>())
        .flat_map(|named| named.ids.into_iter().map(move |id| (named.population.clone(), id)))
        .collect();
    let mut places = HashMap::new();
    for source in 0..network.n_sources() {
        for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let target = target_neuron(network.rows.targets[edge]) as usize;
            places.insert([names[source].clone(), names[target].clone()], edge);
        }
    }
    assert_eq!(places.len(), network.rows.n_edges());
    places
}

fn network_of(plan: &Plan) -> Built {
    setup::build(plan, &setup::tables(plan).unwrap(), &mut |_| ()).unwrap()
}

/// Trained weights by the names of the ends of their edges.
fn trained_weights(run: &Path) -> HashMap<[Name; 2], f32> {
    let network = network_of(&Plan::read(&run.join("scene.ron"), &[]).unwrap()).network;
    let checkpoint = Checkpoint::read(&run.join("checkpoint.safetensors")).unwrap();
    let weights = checkpoint.f32s("weights").unwrap();
    edges_by_name(&network).into_iter().map(|(ends, edge)| (ends, weights[edge])).collect()
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
        |weights: &HashMap<[Name; 2], f32>| weights.keys().filter(|[source, _]| source.0 == "lgn").count();
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

/// The dense circuit with a second population, `lm`, one cell of a type 10 of its own, and a threshold of its own for
/// every second node of `v1`.
fn two_populations() -> SonataCircuit {
    let mut circuit = dense();
    let thresholds = (0..N_NEURONS).map(|i| if i % 2 == 0 { -48.0 } else { -46.0 }).collect();
    circuit.set("network/v1_nodes.h5", "nodes/v1/0/dynamics_params/V_th", Data::Numbers(thresholds));
    circuit.set("network/lm_nodes.h5", "nodes/lm/node_type_id", Data::Ids(vec![10]));
    let types = circuit.texts["network/v1_node_types.csv"].replace("cell.json", "lm_cell.json");
    circuit.texts.insert("network/lm_node_types.csv".into(), types);
    let cell = circuit.texts["cells/cell.json"].replace(r#""g": 8"#, r#""g": 5"#);
    circuit.texts.insert("cells/lm_cell.json".into(), cell);
    let n = N_UNITS as usize;
    for (dataset, data) in [
        ("source_node_id", Data::Ids((0..N_UNITS).collect())),
        ("target_node_id", Data::Ids(vec![0; n])),
        ("edge_type_id", Data::Ids(vec![5; n])),
        ("0/syn_weight", Data::Numbers(vec![180.0; n])),
    ] {
        circuit.set("network/lm_edges.h5", &format!("edges/lgn_to_lm/{dataset}"), data);
    }
    for (end, population) in [("source_node_id", "lgn"), ("target_node_id", "lm")] {
        let at = format!("edges/lgn_to_lm/{end}");
        circuit.attribute("network/lm_edges.h5", &at, "node_population", population);
    }
    let edges =
        r#""edges": [{"edges_file": "$NET/lm_edges.h5", "edge_types_file": "$NET/lgn_edge_types.csv"}, "#;
    circuit.replace("config.json", r#""edges": ["#, edges);
    circuit
}

#[test]
fn units_and_cell_models_are_known_by_population_and_id() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let lm = r#"{"nodes_file": "$NET/lm_nodes.h5", "node_types_file": "$NET/lm_node_types.csv"}"#;
    let mut circuit = two_populations();
    // Behind v1 in the first circuit, before it in the second.
    let mut behind = circuit.clone();
    let lgn = r#"{"nodes_file": "$NET/lgn_nodes.h5""#;
    behind.replace("config.json", lgn, &format!("{lm}, {lgn}"));
    behind.write(&first);
    let learn = ["--set", "learn.leak_conductance=true", "--set", "learn.threshold=true"];
    let run = [&["scene.ron", "--quiet", "--out", "run"], &learn[..]].concat();
    stdout_of(&simrun_in(&first, &run));

    // LGN units in another order, and unit 20 in the place of 11.
    circuit.replace("config.json", r#""nodes": ["#, &format!(r#""nodes": [{lm}, "#));
    let renamed = |id: u64| if id == N_UNITS - 1 { 20 } else { id };
    let ids = (0..N_UNITS).rev().map(renamed).collect();
    circuit.set("network/lgn_nodes.h5", "nodes/lgn/node_id", Data::Ids(ids));
    for (file, dataset) in [
        ("network/lgn_edges.h5", "edges/lgn_to_v1/source_node_id"),
        ("network/lm_edges.h5", "edges/lgn_to_lm/source_node_id"),
        ("spikes.h5", "spikes/lgn/node_ids"),
    ] {
        match circuit.data.get_mut(&(file.to_owned(), dataset.to_owned())).unwrap() {
            Data::Ids(ids) => ids.iter_mut().for_each(|id| *id = renamed(*id)),
            _ => panic!("{dataset} holds no ids"),
        }
    }
    let start = first.join("run");
    let settings = [&format!("start=Run({:?})", start.to_str().unwrap()), learn[1], learn[3]];
    let plan = Plan::read(&circuit.write(&second), &settings.map(ToString::to_string)).unwrap();
    let built = network_of(&plan);
    let started = Ancestor::open(&plan).unwrap().unwrap().begin(&plan, &built).unwrap();
    let (network, trained) = (&built.network, trained_weights(&start));

    // Every unit has its own weights, wherever it stands in the file.
    let mut n_new = 0;
    for (ends, edge) in edges_by_name(network) {
        if ends[0] == ("lgn".to_owned(), 20) {
            assert_eq!(started.kept[edge], 0.0, "{ends:?}");
            n_new += 1;
        } else {
            assert_eq!(started.weights[edge], trained[&ends], "{ends:?}");
        }
    }
    let of_lgn = started.carried.edges_of_lgn;
    assert_eq!((of_lgn.fresh, of_lgn.dropped), (n_new, n_new), "{of_lgn:?}");
    assert!(n_new > 5 && of_lgn.matched > 100, "{of_lgn:?}");

    // And every neuron its own parameters, whatever else is of a type 10.
    let before = network_of(&Plan::read(&start.join("scene.ron"), &[]).unwrap()).network;
    let learned = Checkpoint::read(&start.join("checkpoint.safetensors")).unwrap();
    let learned = learned.f64s("cell_parameters").unwrap();
    let learned: Vec<&[f64]> = learned.chunks_exact(learned.len() / before.cell_models.len()).collect();
    let twins = network.node_names().twins_in(&before.node_names());
    let mut of_type_10 = BTreeSet::new();
    for (neuron, twin) in twins.into_iter().map(Option::unwrap).enumerate() {
        let model = usize::from(before.neurons.model_ix[twin as usize]);
        let own = &started.cell_parameters[usize::from(network.neurons.model_ix[neuron])];
        assert_eq!(own, learned[model], "neuron {neuron}");
        if before.cell_models[model].id == 10 {
            of_type_10.insert(own.iter().map(|x| x.to_bits()).collect::<Vec<u64>>());
        }
    }
    assert_eq!(
        of_type_10.len(),
        3,
        "two models of v1's type 10 and one of lm's learned the same: {learned:?}"
    );
}

/// (time, node) of the neurons' spikes in a SONATA file up to a time, in tenths of a ms.
fn spikes_until(file: &Path, end_ms: f64) -> BTreeSet<(u64, u64)> {
    let spikes = &read_spikes(file, None, None).unwrap()["v1"];
    let times = spikes.time_ms.iter().zip(&spikes.node_id).filter(|(time_ms, _)| **time_ms <= end_ms);
    times.map(|(time_ms, node)| ((10.0 * time_ms).round() as u64, *node)).collect()
}

#[test]
fn an_exported_run_that_starts_settled_is_read_again_with_the_spikes_of_its_files() {
    const DURATION_MS: f64 = 120.0;
    let folder = tempfile::tempdir().unwrap();
    let scenes = ["tests/scenes/v1_4k.ron", "scenes/sonata.ron"].map(|scene| common::root().join(scene));
    let [v1, sonata] = scenes.each_ref().map(|scene| scene.to_str().unwrap());
    let duration = format!("time.duration_ms={DURATION_MS}");
    let report = |trial: u32| {
        format!(r#"evaluate.reports=[(name: "v", neurons: Listed([3, 5]), trial: {trial}, interval_ms: 1)]"#)
    };
    let run = |scene: &str, out: &str, steps: &str, settings: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
        let arguments = [scene, "--quiet", "--out", out, "--steps", steps].into_iter().chain(settings);
        stdout_of(&simrun_in(folder.path(), &arguments.collect::<Vec<_>>()));
    };
    let settings = [
        "cells.mode=Point",
        "cells.ports=Exact",
        "trials.start=Settled(grey_ms: 60)",
        "network.radius_um=40",
        "network.core_radius_um=40",
        "network.calibration=None",
        "network.lgn.weight_factor=1.8",
        "network.background.weight_factor=2",
        "trials.n_evoked=1",
        "trials.n_spontaneous=1",
        "optimiser.warmup_steps=0",
        "optimiser.learning_rate=0.1",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
        "evaluate.directions_deg=[0]",
        "time.analysis_start_ms=0",
        &duration,
        &report(0),
    ];
    run(v1, "run", "1", &settings);
    let said = stderr_of(&simrun_in(folder.path(), &["export", "run", "--sonata", "circuit"]));
    assert!(said.contains("the exported trial starts at rest") && said.contains("trials.start"), "{said}");
    let readme = std::fs::read_to_string(folder.path().join("circuit/README.md")).unwrap();
    assert!(readme.contains("The trial starts at rest") && readme.contains("start settled"), "{readme}");

    let circuit = [
        r#"network.config="circuit/bmtk_config.json""#,
        r#"network.background=["background"]"#,
        "time.dt_ms=1",
        &duration,
        &report(0),
    ];
    std::fs::copy(sonata, folder.path().join("sonata.ron")).unwrap();
    run("sonata.ron", "again", "0", &circuit);
    let [settled, exported, again] = ["run/spikes.h5", "circuit/output/spikes.h5", "again/spikes.h5"]
        .map(|file| spikes_until(&folder.path().join(file), DURATION_MS));
    assert!(exported.len() > 100, "{} spikes", exported.len());
    let common = exported.intersection(&again).count();
    assert!(exported == again, "{} exported, {} again, {common} in common", exported.len(), again.len());
    assert!(settled != exported, "a settled start makes no difference here");
    // The potentials are those of the same trial.
    let potentials = |file: &str| {
        let h5 = Hdf5::open(&folder.path().join(file)).unwrap();
        assert_eq!(h5.column("report/v1/mapping/node_ids").unwrap().all_ids().unwrap(), [3, 5]);
        h5.matrix("report/v1/data").unwrap()
    };
    let (exported, again) = (potentials("circuit/output/v.h5"), potentials("again/reports/v.h5"));
    assert_eq!((exported.0, again.0), ([120, 2], [120, 2]));
    let apart = exported.1.iter().zip(&again.1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart < 1e-3, "potentials are {apart} mV apart");
}

//! Outputs name neurons as the user's own files do: runs of a circuit whose node ids have gaps, of a part of it, of two populations, and of EM
//! tables, through spikes, reports, summary, report page and exports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[allow(dead_code)]
#[path = "common/em_table.rs"]
mod em_table;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::program::{simrun_in, stdout_of};
use simrun::hdf5::Hdf5;
use simrun::model::rng::{Stream, uniform};
use sonata_circuit::{Data, SonataCircuit};

const N: usize = 12;
/// Ids in the order of the file, with gaps and not ascending.
const IDS: [u64; N] = [90, 8, 55, 7, 1_000_003, 41, 40, 39, 5, 77, 12, 13];

/// Twelve neurons without edges between them that many LGN spikes drive; `id` is the node id of the neuron at a place.
fn driven(id: impl Fn(usize) -> u64) -> SonataCircuit {
    let mut circuit = SonataCircuit::good();
    circuit.data.retain(|(file, _), _| !file.starts_with("network"));
    let types = (0..N).map(|i| 10 + u64::from(i >= 8)).collect();
    circuit.set("network/v1_nodes.h5", "nodes/v1/node_type_id", Data::Ids(types));
    circuit.set("network/v1_nodes.h5", "nodes/v1/node_id", Data::Ids((0..N).map(&id).collect()));
    circuit.set("network/lgn_nodes.h5", "nodes/lgn/node_type_id", Data::Ids(vec![7; N]));
    circuit.set(
        "network/lgn_nodes.h5",
        "nodes/lgn/node_id",
        Data::Ids((0..N as u64).map(|i| 100 + i).collect()),
    );
    let ids = |range: std::ops::Range<usize>| Data::Ids(range.map(&id).collect());
    for (file, edges, source, weight) in [
        ("v1_edges", "v1_to_v1", ids(0..N), 0.1),
        ("lgn_edges", "lgn_to_v1", Data::Ids((100..100 + N as u64).collect()), 3000.0),
    ] {
        let at = |name: &str| format!("edges/{edges}/{name}");
        let file = format!("network/{file}.h5");
        circuit.set(&file, &at("source_node_id"), source);
        circuit.set(&file, &at("target_node_id"), ids(0..N));
        let own = if edges == "v1_to_v1" { 1 } else { 5 };
        circuit.set(&file, &at("edge_type_id"), Data::Ids(vec![own; N]));
        circuit.set(&file, &at("0/syn_weight"), Data::Numbers(vec![weight; N]));
    }
    let draw =
        |unit: u64, k: u64| 0.1 + 19.8 * f64::from(uniform(5, Stream::Connections, unit as u32, k as u32, 0));
    let spikes: Vec<(u64, f64)> =
        (0..N as u64).flat_map(|unit| (0..3).map(move |k| (100 + unit, draw(unit, k)))).collect();
    circuit.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(spikes.iter().map(|s| s.0).collect()));
    circuit.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(spikes.iter().map(|s| s.1).collect()));
    circuit
}

fn succeeded_in(folder: &Path, arguments: &[&str]) {
    stdout_of(&simrun_in(folder, arguments));
}

/// Runs a circuit as it is; its folder.
fn run(circuit: &SonataCircuit, settings: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    circuit.write(folder.path());
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    succeeded_in(
        folder.path(),
        &[&["scene.ron", "--quiet", "--steps", "0", "--out", "run"], &settings[..]].concat(),
    );
    folder
}

/// (node id, time) of the spikes of a population.
fn spikes(folder: &Path, population: &str) -> Vec<(u64, f64)> {
    let h5 = Hdf5::open(&folder.join("run/spikes.h5")).unwrap();
    let at = |column: &str| h5.column(&format!("spikes/{population}/{column}")).unwrap();
    at("node_ids").all_ids().unwrap().into_iter().zip(at("timestamps").all_numbers().unwrap()).collect()
}

fn populations(folder: &Path) -> Vec<String> {
    Hdf5::open(&folder.join("run/spikes.h5")).unwrap().groups("spikes").unwrap()
}

fn sorted(mut spikes: Vec<(u64, f64)>) -> Vec<(u64, f64)> {
    spikes.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    spikes
}

#[test]
fn spikes_reports_and_summary_carry_the_circuits_ids() {
    let plain = run(&driven(|place| place as u64), &[]);
    let report = r#"evaluate.reports=[(name: "v", variable: SomaPotential, neurons: Nodes({"v1": [8, 1000003]}), trial: 0, interval_ms: 1)]"#;
    let named = run(&driven(|place| IDS[place]), &[report]);
    let expected =
        spikes(plain.path(), "v1").into_iter().map(|(place, time)| (IDS[place as usize], time)).collect();
    let found = spikes(named.path(), "v1");
    assert!(found.len() > 15, "{} spikes", found.len());
    assert_eq!(sorted(found), sorted(expected));
    let h5 = Hdf5::open(&named.path().join("run/reports/v.h5")).unwrap();
    assert_eq!(h5.column("report/v1/mapping/node_ids").unwrap().all_ids().unwrap(), [8, 1_000_003]);
    assert_eq!(h5.matrix("report/v1/data").unwrap().0, [20, 2]);
    let summary = fs::read_to_string(named.path().join("run/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let expected = serde_json::json!([{"population": "v1", "n_neurons": 12, "node_ids": [5, 1_000_003]}]);
    assert_eq!(summary["populations"], expected);
    let page = fs::read_to_string(named.path().join("run/report.html")).unwrap();
    assert!(page.contains("v1 (12, node ids 5 to 1000003)"), "the page names the population");
    // The page counts the same spikes as that of the circuit with running ids.
    let raster = |folder: &Path| {
        let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
        let from = page.find("id=\"figure-raster\"").unwrap();
        page[from..].split("</figure>").next().unwrap().to_owned()
    };
    assert_eq!(raster(named.path()), raster(plain.path()));
    // A node that there is not is refused by its own name.
    let unknown = report.replace("1000003", "6");
    let folder = tempfile::tempdir().unwrap();
    driven(|place| IDS[place]).write(folder.path());
    let arguments = ["scene.ron", "--quiet", "--steps", "0", "--out", "run", "--set", &unknown];
    let output = Command::new(env!("CARGO_BIN_EXE_simrun"))
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("evaluate.reports[0].neurons[\"v1\"] = 6"), "{message}");
}

#[test]
fn a_part_of_a_circuit_keeps_its_ids() {
    let mut circuit = driven(|place| place as u64);
    circuit.replace(
        "config.json",
        r#""node_sets_file""#,
        r#""node_set": {"population": "v1", "node_id": [5, 6, 7, 8, 9]}, "node_sets_file""#,
    );
    let whole = run(&driven(|place| place as u64), &[]);
    let part = run(&circuit, &[]);
    // Neurons hardly reach each other here, so those of the part do what they do in the whole.
    let expected = spikes(whole.path(), "v1").into_iter().filter(|(id, _)| (5..10).contains(id)).collect();
    let found = spikes(part.path(), "v1");
    assert_eq!(found.iter().map(|s| s.0).collect::<BTreeSet<_>>(), (5..10).collect());
    assert_eq!(sorted(found), sorted(expected));
}

#[test]
fn each_simulated_population_has_spikes_of_its_own() {
    let mut circuit = driven(|place| IDS[place]);
    // A second population of neurons, of which some have ids of the first.
    circuit.texts.insert("network/tw_types.csv".into(), circuit.texts["network/v1_node_types.csv"].clone());
    circuit.set("network/tw_nodes.h5", "nodes/tw/node_type_id", Data::Ids(vec![10, 11]));
    circuit.set("network/tw_nodes.h5", "nodes/tw/node_id", Data::Ids(vec![8, 3]));
    let lgn = "network/lgn_tw_edges.h5";
    circuit.set(lgn, "edges/lgn_to_tw/source_node_id", Data::Ids(vec![100, 101]));
    circuit.set(lgn, "edges/lgn_to_tw/target_node_id", Data::Ids(vec![8, 3]));
    circuit.set(lgn, "edges/lgn_to_tw/edge_type_id", Data::Ids(vec![5, 5]));
    circuit.set(lgn, "edges/lgn_to_tw/0/syn_weight", Data::Numbers(vec![3000.0; 2]));
    circuit.attribute(lgn, "edges/lgn_to_tw/source_node_id", "node_population", "lgn");
    circuit.attribute(lgn, "edges/lgn_to_tw/target_node_id", "node_population", "tw");
    circuit.replace(
        "config.json",
        r#"{"nodes": ["#,
        r#"{"nodes": [{"nodes_file": "$NET/tw_nodes.h5", "node_types_file": "$NET/tw_types.csv"}, "#,
    );
    circuit.replace(
        "config.json",
        r#""edges": ["#,
        r#""edges": [{"edges_file": "$NET/lgn_tw_edges.h5", "edge_types_file": "$NET/lgn_edge_types.csv"}, "#,
    );
    let folder = run(&circuit, &[]);
    assert_eq!(populations(folder.path()), ["tw", "v1"]);
    let of = |population: &str| -> BTreeSet<u64> {
        spikes(folder.path(), population).into_iter().map(|s| s.0).collect()
    };
    assert_eq!(of("tw"), [3, 8].into());
    let alone = run(&driven(|place| IDS[place]), &[]);
    assert_eq!(sorted(spikes(folder.path(), "v1")), sorted(spikes(alone.path(), "v1")));
    let first = |folder: &Path, population: &str, id: u64| -> Vec<f64> {
        spikes(folder, population).into_iter().filter(|s| s.0 == id).map(|s| s.1).collect()
    };
    // Node 8 of tw has the input and the cell of node 90 of v1.
    assert_eq!(first(folder.path(), "tw", 8), first(folder.path(), "v1", 90));
}

#[test]
fn a_circuit_named_by_a_relative_path_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("a/b");
    let mut circuit = driven(|place| IDS[place]);
    circuit.replace(
        "config.json",
        r#""$NET": "./network""#,
        r#""$HERE": ".", "$NET": "${HERE}/network", "$CELLS": "${configdir}/cells""#,
    );
    circuit.replace(
        "config.json",
        r#""point_neuron_models_dir": "cells""#,
        r#""point_neuron_models_dir": "$CELLS""#,
    );
    circuit.write(&below);
    let spikes_of = |scene: &str, from: &Path, out: &str| {
        succeeded_in(from, &[scene, "--quiet", "--steps", "0", "--out", out]);
        fs::read(from.join(out).join("spikes.h5")).unwrap()
    };
    let absolute = spikes_of(below.join("scene.ron").to_str().unwrap(), folder.path(), "run");
    for (scene, from) in [
        ("a/b/scene.ron", folder.path()),
        ("b/scene.ron", &folder.path().join("a")),
        ("scene.ron", &below),
        ("./scene.ron", &below),
    ] {
        assert_eq!(spikes_of(scene, from, &format!("run_{}", scene.len())), absolute, "{scene}");
    }
    // A variable that the scene sets is relative to the scene, too.
    let setting = r#"network.manifest={"$CELLS": "cells"}"#;
    succeeded_in(
        folder.path(),
        &["a/b/scene.ron", "--quiet", "--steps", "0", "--out", "run_set", "--set", setting],
    );
    assert_eq!(fs::read(folder.path().join("run_set/spikes.h5")).unwrap(), absolute);
}

#[test]
fn a_network_of_em_tables_goes_by_its_cells_ids() {
    let dir = tempfile::tempdir().unwrap();
    let (cells, synapses) = em_table::make(&common::tables(), 200, 3_000, 40.0);
    em_table::write_csv(dir.path(), &cells, &synapses).unwrap();
    let ids: BTreeSet<u64> = cells.iter().map(|cell| cell.id).collect();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let em = format!("network.em=(cells: {:?}, synapses: {:?})", path("cells.csv"), path("synapses.csv"));
    let report = r#"evaluate.reports=[(name: "v", variable: SomaPotential, neurons: Listed([3, 5]), trial: 0, interval_ms: 1)]"#;
    let settings = [
        &em,
        report,
        "network.radius_um=50",
        "network.core_radius_um=50",
        "time.duration_ms=100",
        "trials.start=Rest",
        "evaluate.n_trials=1",
        "evaluate.directions_deg=[0]",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    let scene = common::root().join("tests/scenes/v1_4k.ron");
    let scene = scene.to_str().unwrap();
    succeeded_in(dir.path(), &[&[scene, "--quiet", "--steps", "0", "--out", "run"], &settings[..]].concat());
    let found = spikes(dir.path(), "v1");
    assert!(found.len() > 50 && found.iter().all(|(id, _)| ids.contains(id)), "{} spikes", found.len());
    let h5 = Hdf5::open(&dir.path().join("run/spikes.h5")).unwrap();
    let in_order = h5.column("neurons/v1/node_ids").unwrap().all_ids().unwrap();
    assert_eq!(in_order.iter().copied().collect::<BTreeSet<_>>(), ids);
    let h5 = Hdf5::open(&dir.path().join("run/reports/v.h5")).unwrap();
    let reported = h5.column("report/v1/mapping/node_ids").unwrap().all_ids().unwrap();
    assert_eq!(reported, [in_order[3], in_order[5]]);
    let potentials = h5.matrix("report/v1/data").unwrap();
    // NWB: the ids of the units, each with its spikes.
    succeeded_in(dir.path(), &["export", "run", "--nwb", "out.nwb", "--quiet"]);
    let nwb = Hdf5::open(&dir.path().join("out.nwb")).unwrap();
    assert_eq!(nwb.column("units/id").unwrap().all_ids().unwrap(), in_order);
    let ends = nwb.column("units/spike_times_index").unwrap().all_ids().unwrap();
    for (unit, id) in in_order.iter().enumerate() {
        let first = if unit == 0 { 0 } else { ends[unit - 1] };
        let own = found.iter().filter(|spike| spike.0 == *id).count() as u64;
        assert_eq!(ends[unit] - first, own, "cell {id}");
    }
    // SONATA: libsonata knows nodes by their places, so that the cells' ids are an attribute, and the files agree with one another.
    succeeded_in(dir.path(), &["export", "run", "--sonata", "circuit", "--quiet"]);
    let nodes = Hdf5::open(&dir.path().join("circuit/network/v1_nodes.h5")).unwrap();
    assert_eq!(nodes.column("nodes/v1/0/cell_id").unwrap().all_ids().unwrap(), in_order);
    let places: Vec<u64> = (0..in_order.len() as u64).collect();
    assert_eq!(nodes.column("nodes/v1/node_id").unwrap().all_ids().unwrap(), places);
    let report = Hdf5::open(&dir.path().join("circuit/output/v.h5")).unwrap();
    assert_eq!(report.column("report/v1/mapping/node_ids").unwrap().all_ids().unwrap(), [3, 5]);
    assert_eq!(report.matrix("report/v1/data").unwrap(), potentials);
}

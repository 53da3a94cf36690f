//! SONATA circuits: a small one of our own with every kind of fault, and the public test files of libsonata.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use std::fs;
use std::path::Path;

use simrun::network::{target_delay_steps, target_neuron};
use simrun::sonata::{
    Attribute, Config, EdgePopulation, NodePopulation, NodeSets, PopulationFile, read_spikes,
};
use sonata_circuit::{Data, SonataCircuit};

#[test]
fn a_circuit_becomes_the_network_that_it_describes() {
    let (built, said) = SonataCircuit::good().build(&[]).unwrap();
    let (network, dynamics) = (&built.network, &built.dynamics);
    assert_eq!((network.neurons.len(), network.n_lgn, network.n_background), (4, 3, 0));
    assert_eq!(network.vocabulary.cell_types, ["exc", "inh"]);
    assert_eq!(network.vocabulary.unit_types, ["lgn"]);
    // Groups of attributes: nodes 0 and 1 are at places 1 and 0 of theirs; 2 and 3 have no tuning angle.
    assert_eq!(network.neurons.x_um, [10.0, 20.0, 30.0, 40.0]);
    assert_eq!(network.neurons.tuning_angle_deg, [45.0, 90.0, 0.0, 0.0]);
    // Delays in steps of 0.5 ms.
    let edges: Vec<Vec<(u32, u32, f32)>> = (0..network.n_sources())
        .map(|source| {
            let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
            row.map(|e| {
                let word = network.rows.targets[e];
                (target_neuron(word), target_delay_steps(word), network.rows.weights[e])
            })
            .collect()
        })
        .collect();
    let expected: [&[(u32, u32, f32)]; 7] = [
        &[(1, 3, 4.0), (3, 3, 1.0)],
        &[(0, 3, 3.0), (2, 3, 4.0)],
        &[(0, 5, 6.0), (1, 5, 5.0)],
        &[(0, 5, 7.0)],
        &[(2, 3, 7.0)],
        &[(0, 3, 3.5)],
        &[(1, 3, 3.5)],
    ];
    assert_eq!(edges, expected);
    assert!(said.iter().any(|s| s.contains("11 edges of the circuit are 10 pairs")), "{said:?}");
    assert_eq!(dynamics.max_delay_steps, 5);
    let vocabulary = &network.vocabulary;
    assert_eq!(
        vocabulary.class_of_source_type,
        [0, 1, 0],
        "excitatory cells and LGN have a receptor in common"
    );
    assert_eq!(vocabulary.class_is_inhibitory, [false, true]);
    let ports = &dynamics.ports;
    let course = |cell_type: usize, class_ix: usize| -> Vec<(f64, f64)> {
        let coef = |p: usize| ports.coef(cell_type, class_ix, p);
        (0..ports.n_ports)
            .filter(|p| coef(*p) != 0.0)
            .map(|p| (ports.tau_ms(cell_type, p), coef(p)))
            .collect()
    };
    assert_eq!(course(0, 0), [(2.0, 1.0), (5.0, 0.25)]);
    assert_eq!(course(0, 1), [(1.5, -1.0), (6.0, -0.5)]);
    assert_eq!(course(1, 0), [(2.0, 1.0), (5.0, 0.25)]);
    assert_eq!(ports.n_ports, 4);
    let given = built.given.unwrap();
    // 0.5 ms is the end of step 0, 1.3 ms lies in step 2, 2 ms is the end of step 3.
    assert_eq!(given.inputs[0].spikes, [(0, 0), (2, 2), (3, 1), (39, 0)]);
}

/// One change of the good circuit, and what the message must name.
type Fault = (&'static str, fn(&mut SonataCircuit), &'static [&'static str]);

const FAULTS: &[Fault] = &[
    (
        "a missing file",
        |c| c.data.retain(|(file, _), _| file != "network/v1_nodes.h5"),
        &["v1_nodes.h5", "no such file"],
    ),
    (
        "a missing table",
        |c| drop(c.texts.remove("network/v1_node_types.csv")),
        &["v1_node_types.csv", "no such file"],
    ),
    (
        "a missing dataset",
        |c| c.remove("network/v1_nodes.h5", "nodes/v1/node_type_id"),
        &["v1_nodes.h5", "nodes/v1/node_type_id", "no such dataset"],
    ),
    (
        "an edge dataset that is missing",
        |c| c.remove("network/v1_edges.h5", "edges/v1_to_v1/target_node_id"),
        &["v1_edges.h5", "edges/v1_to_v1/target_node_id", "no such dataset"],
    ),
    (
        "a dataset of another length",
        |c| c.set("network/v1_edges.h5", "edges/v1_to_v1/target_node_id", Data::Ids(vec![0, 1])),
        &["v1_edges.h5", "edges/v1_to_v1/target_node_id", "has 2 entries where 7 are needed"],
    ),
    (
        "an attribute that is too short",
        |c| c.set("network/v1_edges.h5", "edges/v1_to_v1/0/syn_weight", Data::Numbers(vec![1.0])),
        &["v1_edges.h5", "edges/v1_to_v1/0/syn_weight", "has 1 entries"],
    ),
    (
        "a missing group",
        |c| c.remove("network/v1_edges.h5", "edges/v1_to_v1/1/syn_weight"),
        &["v1_edges.h5", "edges/v1_to_v1/1", "no such group"],
    ),
    (
        "an edge without a weight",
        |c| c.remove("network/v1_edges.h5", "edges/v1_to_v1/0/syn_weight"),
        &["v1_edges.h5", "edge 0", "no syn_weight"],
    ),
    (
        "a weight that is NaN",
        |c| {
            c.set(
                "network/v1_edges.h5",
                "edges/v1_to_v1/0/syn_weight",
                Data::Numbers(vec![1.0, f64::NAN, 3.0, 4.0]),
            )
        },
        &["v1_edges.h5", "edges/v1_to_v1/0/syn_weight", "entry 1 is NaN"],
    ),
    (
        "ids that are no integers",
        |c| c.set("network/v1_nodes.h5", "nodes/v1/node_type_id", Data::Numbers(vec![10.0; 4])),
        &["v1_nodes.h5", "node_type_id", "integers"],
    ),
    (
        "a node type without a row",
        |c| c.set("network/v1_nodes.h5", "nodes/v1/node_type_id", Data::Ids(vec![10, 10, 11, 12])),
        &["v1_node_types.csv", "type id 12", "v1_nodes.h5"],
    ),
    (
        "an edge type without a row",
        |c| c.set("network/lgn_edges.h5", "edges/lgn_to_v1/edge_type_id", Data::Ids(vec![5, 5, 6, 5])),
        &["lgn_edge_types.csv", "type id 6", "lgn_edges.h5"],
    ),
    (
        "a type twice",
        |c| c.replace("network/lgn_node_types.csv", "7 virtual\n", "7 virtual\n7 virtual\n"),
        &["lgn_node_types.csv", "line 3", "twice"],
    ),
    (
        "a table without ids",
        |c| c.replace("network/lgn_node_types.csv", "node_type_id", "id"),
        &["lgn_node_types.csv", "no column 'node_type_id'"],
    ),
    (
        "a ragged table",
        |c| c.replace("network/lgn_node_types.csv", "7 virtual", "7 virtual x"),
        &["lgn_node_types.csv", "line"],
    ),
    (
        "a delay that is no number",
        |c| c.replace("network/lgn_edge_types.csv", "1.7", "soon"),
        &["lgn_edge_types.csv", "delay of type 5", "soon"],
    ),
    (
        "a delay below a step",
        |c| c.replace("network/lgn_edge_types.csv", "1.7", "0.2"),
        &["lgn_edges.h5", "edge 0", "0.2 ms"],
    ),
    (
        "an unknown cell template",
        |c| {
            c.replace(
                "network/v1_node_types.csv",
                "11 point_neuron nest:glif_psc_double_alpha",
                "11 point_neuron nest:iaf_psc_delta",
            )
        },
        &["'v1'", "node type 11", "nest:iaf_psc_delta", "nest:glif_psc"],
    ),
    (
        "an unknown synapse template",
        |c| c.replace("network/v1_edge_types.csv", "2 static_synapse", "2 stdp_synapse"),
        &["v1_edge_types.csv", "edge type 2", "stdp_synapse"],
    ),
    (
        "a biophysical node",
        |c| c.replace("network/v1_node_types.csv", "11 point_neuron", "11 biophysical"),
        &["v1_node_types.csv", "'v1'", "biophysical"],
    ),
    (
        "a node type without a model",
        |c| c.replace("network/v1_node_types.csv", "11 point_neuron", "11 NULL"),
        &["v1_node_types.csv", "node type 11", "model_type"],
    ),
    (
        "virtual nodes among others",
        |c| c.replace("network/v1_node_types.csv", "11 point_neuron", "11 virtual"),
        &["'v1'", "2 virtual"],
    ),
    (
        "a component that is missing",
        |c| drop(c.texts.remove("synapses/inh.json")),
        &["synapses/inh.json", "no such file"],
    ),
    (
        "a parameter that is missing",
        |c| c.replace("cells/cell.json", r#""C_m": 80, "#, ""),
        &["cells/cell.json", "C_m"],
    ),
    (
        "a parameter out of range",
        |c| c.replace("cells/cell.json", r#""g": 8"#, r#""g": -8"#),
        &["cells/cell.json", "g = -8"],
    ),
    (
        "GLIF4",
        |c| {
            c.replace(
                "cells/cell.json",
                r#""spike_dependent_threshold": false"#,
                r#""spike_dependent_threshold": true"#,
            )
        },
        &["cells/cell.json", "spike_dependent_threshold"],
    ),
    (
        "receptors of unequal numbers",
        |c| c.replace("cells/cell.json", "[0.5, 0.25]", "[0.5]"),
        &["cells/cell.json", "amp_slow"],
    ),
    (
        "a receptor that the cell does not have",
        |c| c.replace("synapses/inh.json", "1", "3"),
        &["receptor_type 3", "node type 11", "1 to 2"],
    ),
    (
        "no receptor",
        |c| c.replace("synapses/inh.json", r#""receptor_type": 1"#, ""),
        &["receptor_type 0", "1 to 2"],
    ),
    (
        "a plastic synapse",
        |c| c.replace("synapses/inh.json", "}", r#", "tau_plus": 20}"#),
        &["synapses/inh.json", "tau_plus"],
    ),
    (
        "a weight function",
        |c| c.replace("network/v1_edge_types.csv", "NULL wmax", "NULL gaussianLL"),
        &["v1_edge_types.csv", "edge type 1", "gaussianLL", "network.weight_functions"],
    ),
    (
        "two signs",
        |c| {
            c.set(
                "network/v1_edges.h5",
                "edges/v1_to_v1/0/syn_weight",
                Data::Numbers(vec![1.0, 2.0, -3.0, 4.0]),
            )
        },
        &["v1_edges.h5", "edge 2", "sign"],
    ),
    (
        "an edge to nowhere",
        |c| c.set("network/lgn_edges.h5", "edges/lgn_to_v1/target_node_id", Data::Ids(vec![2, 2, 0, 4])),
        &["lgn_edges.h5", "edge 3", "target_node_id 4", "'v1'"],
    ),
    (
        "an unknown population",
        |c| {
            c.attribute("network/lgn_edges.h5", "edges/lgn_to_v1/source_node_id", "node_population", "tectum")
        },
        &["lgn_edges.h5", "'tectum'", "v1, lgn"],
    ),
    (
        "edges onto virtual nodes",
        |c| c.attribute("network/lgn_edges.h5", "edges/lgn_to_v1/target_node_id", "node_population", "lgn"),
        &["lgn_edges.h5", "virtual population 'lgn'"],
    ),
    (
        "a manifest variable",
        |c| c.replace("config.json", r#""$NET": "./network""#, r#""$OTHER": "x""#),
        &["config.json", "networks.nodes[0].nodes_file", "$NET", "network.manifest"],
    ),
    (
        "a folder of components",
        |c| c.replace("config.json", "synaptic_models_dir", "x"),
        &["config.json", "components.synaptic_models_dir", "exc.json"],
    ),
    (
        "no nodes",
        |c| c.replace("config.json", r#""nodes""#, r#""knots""#),
        &["config.json", "networks.nodes"],
    ),
    (
        "an input of another kind",
        |c| c.replace("config.json", r#""input_type": "spikes""#, r#""input_type": "current_clamp""#),
        &["config.json", "inputs.lgn", "current_clamp"],
    ),
    (
        "an unknown node set",
        |c| c.replace("config.json", r#""node_set": "lgn""#, r#""node_set": "tectum""#),
        &["node_sets.json", "'tectum'", "first"],
    ),
    (
        "spikes of an unknown population",
        |c| {
            c.data = std::mem::take(&mut c.data)
                .into_iter()
                .map(|((f, d), x)| ((f, d.replace("spikes/lgn", "spikes/tectum")), x))
                .collect()
        },
        &["config.json", "inputs.lgn", "spikes.h5", "tectum"],
    ),
    (
        "spikes of an unknown node",
        |c| c.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(vec![0, 3, 1, 0])),
        &["spikes.h5", "node 3", "'lgn'"],
    ),
    (
        "a spike at 0",
        |c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![0.0, 1.0, 2.0, 3.0])),
        &["spikes.h5", "node 0", "0 ms"],
    ),
    (
        "a unit of time",
        |c| c.attribute("spikes.h5", "spikes/lgn/timestamps", "units", "fortnights"),
        &["spikes.h5", "spikes/lgn/timestamps", "fortnights"],
    ),
    (
        "spikes of unequal lengths",
        |c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![1.0])),
        &["spikes.h5", "spikes/lgn/timestamps", "has 1 entries"],
    ),
    (
        "a node set of no attribute",
        |c| {
            c.replace("node_sets.json", r#""ei": "i""#, r#""layer": "4""#);
            c.replace("scene.ron", r#""config.json""#, r#""config.json", node_set: "inhibitory""#)
        },
        &["node_sets.json", "'layer'", "'v1'"],
    ),
    (
        "a node set of none",
        |c| {
            c.replace("node_sets.json", r#""ei": "i""#, r#""ei": "x""#);
            c.replace("scene.ron", r#""config.json""#, r#""config.json", node_set: "inhibitory""#)
        },
        &["config.json", "'inhibitory'", "no simulated node"],
    ),
    (
        "a cell type attribute",
        |c| c.replace("scene.ron", r#""config.json""#, r#""config.json", cell_type: "layer""#),
        &["v1_node_types.csv", "'layer'", "network.cell_type"],
    ),
    (
        "a two-compartment cell",
        |c| {
            c.replace(
                "scene.ron",
                "mode: Point",
                "mode: TwoCompartment(dendrite_fraction: 0.5, coupling_ratio: 2, e_exc_mv: 0, e_inh_mv: -75)",
            )
        },
        &["scene.ron", "cells.mode"],
    ),
    (
        "no configuration",
        |c| c.replace("scene.ron", "config.json", "other.json"),
        &["scene.ron", "network.config", "other.json"],
    ),
    (
        "evoked trials without an input",
        |c| c.replace("scene.ron", "n_evoked: 0", "n_evoked: 1"),
        &["scene.ron", "trials.n_evoked", "direction_deg"],
    ),
];

#[test]
fn every_fault_is_named_by_file_and_place() {
    for (what, change, named) in FAULTS {
        let mut circuit = SonataCircuit::good();
        change(&mut circuit);
        let error = circuit.build(&[]).map(|_| ()).expect_err(what);
        let message = error.to_string();
        assert_eq!(error.exit_code(), 2, "{what}: {message}");
        for word in *named {
            assert!(message.contains(word), "{what}: '{word}' is not in: {message}");
        }
    }
}

#[test]
fn a_truncated_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let scene = SonataCircuit::good().write(folder.path());
    for name in ["network/v1_edges.h5", "network/v1_nodes.h5", "spikes.h5"] {
        let file = folder.path().join(name);
        let whole = fs::read(&file).unwrap();
        for n in [0, 7, 40, whole.len() / 2] {
            fs::write(&file, &whole[..n]).unwrap();
            let error = sonata_circuit::build_scene(&scene, &[]).map(|_| ()).expect_err(name);
            assert!(error.exit_code() == 2 && error.to_string().contains(name), "{n} bytes: {error}");
        }
        fs::write(&file, whole).unwrap();
    }
    sonata_circuit::build_scene(&scene, &[]).unwrap();
}

#[test]
fn types_fall_apart_where_edges_tell_their_kinds_apart() {
    // One name for all nodes, but two receptors and two signs among them.
    let (built, said) = SonataCircuit::good().build(&[r#"network.cell_type="model_type""#]).unwrap();
    assert_eq!(built.network.vocabulary.cell_types, ["point_neuron/10", "point_neuron/11"]);
    assert!(said.iter().any(|s| s.contains("point_neuron")), "{said:?}");
    let (alike, _) = SonataCircuit::good().build(&[]).unwrap();
    assert_eq!(built.network.rows, alike.network.rows);
    assert_eq!(built.dynamics, alike.dynamics);
    // Names that stand for cell types of V1 bring its vocabulary.
    let (v1, _) =
        SonataCircuit::good().build(&[r#"network.cell_types={"exc": "L4_Exc", "inh": "e23Cux2"}"#]).unwrap();
    assert!(v1.network.vocabulary.has_v1_cell_types());
    assert_eq!(v1.network.neurons.cell_type_ix, [5, 5, 1, 1]);
}

#[test]
fn cell_types_may_be_named_in_the_file_of_nodes() {
    let mut circuit = SonataCircuit::good();
    circuit.set("network/v1_nodes.h5", "nodes/v1/0/layer", Data::Texts(vec!["L4", "L6"]));
    // Group 1 has numbers and a library of names.
    circuit.set("network/v1_nodes.h5", "nodes/v1/1/layer", Data::Ids(vec![1, 0]));
    circuit.set("network/v1_nodes.h5", "nodes/v1/1/@library/layer", Data::Texts(vec!["L5", "L6b"]));
    let (built, _) = circuit.build(&[r#"network.cell_type="layer""#]).unwrap();
    assert_eq!(built.network.vocabulary.cell_types, ["L6", "L4", "L6b", "L5"]);
    assert_eq!(built.network.neurons.cell_type_ix, [0, 1, 2, 3]);
    assert_eq!(built.network.cell_models.len(), 4, "a cell model may be of one type only");
}

#[test]
fn node_sets_choose_neurons() {
    let core = |set: &str| {
        let (built, _) = SonataCircuit::good().build(&[&format!("network.node_set={set:?}")]).unwrap();
        built.network.core.unwrap()
    };
    assert_eq!(core("first"), [true, true, false, false]);
    assert_eq!(core("inhibitory"), [false, false, true, true]);
    assert_eq!(core("both"), [true; 4]);
    assert_eq!(core("v1"), [true; 4]);
    // A set to simulate leaves the other nodes out, with their edges.
    let mut circuit = SonataCircuit::good();
    circuit.replace(
        "config.json",
        r#""node_sets_file""#,
        r#""node_set": {"population": "v1", "node_id": [1, 2]}, "node_sets_file""#,
    );
    let (built, _) = circuit.build(&[]).unwrap();
    let rows = &built.network.rows;
    assert_eq!(built.network.neurons.x_um, [20.0, 30.0]);
    // 1 to 2, 2 to 1, LGN unit 0 to 2 (twice) and 2 to 1.
    assert_eq!(rows.offsets, [0, 1, 2, 3, 3, 4]);
    assert_eq!(rows.weights, [4.0, 5.0, 7.0, 3.5]);
}

#[test]
fn spikes_are_the_same_from_every_format() {
    let h5 = SonataCircuit::good();
    let expected = h5.build(&[]).unwrap().0.given.unwrap().inputs;
    let mut legacy = h5.clone();
    legacy.data.retain(|(file, _), _| file != "spikes.h5");
    legacy.attributes.retain(|(file, _, _), _| file != "spikes.h5");
    let bare = legacy.clone();
    let ids = Data::Ids(vec![0, 2, 1, 0]);
    legacy.set("spikes.h5", "spikes/gids", ids.clone());
    legacy.set("spikes.h5", "spikes/timestamps", Data::Numbers(vec![0.5, 1.3, 2.0, 19.9]));
    let mut seconds = bare.clone();
    seconds.set("spikes.h5", "spikes/lgn/node_ids", ids);
    seconds.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![0.0005, 0.0013, 0.002, 0.0199]));
    seconds.attribute("spikes.h5", "spikes/lgn/timestamps", "units", "s");
    let mut nwb2 = bare.clone();
    nwb2.set("spikes.h5", "units/id", Data::Ids(vec![0, 1, 2]));
    nwb2.set("spikes.h5", "units/spike_times", Data::Numbers(vec![0.0005, 0.0199, 0.002, 0.0013]));
    nwb2.set("spikes.h5", "units/spike_times_index", Data::Ids(vec![2, 3, 4]));
    let mut nwb1 = bare.clone();
    for (node, times) in [("0", vec![0.5, 19.9]), ("1", vec![2.0]), ("2", vec![1.3])] {
        nwb1.set("spikes.h5", &format!("processing/trial_0/spike_train/{node}/data"), Data::Numbers(times));
    }
    let csv = |text: &str| {
        let mut circuit = bare.clone();
        circuit.texts.insert("spikes.csv".to_owned(), text.to_owned());
        circuit.replace("config.json", "spikes.h5", "spikes.csv");
        circuit
    };
    let columns = csv("timestamps population node_ids\n0.5 lgn 0\n1.3 lgn 2\n2.0 lgn 1\n19.9 lgn 0\n");
    let lists = csv("gid spike-times\n0 0.5,19.9\n1 2.0\n2 1.3\n");
    let commas = csv("node_ids,timestamps\n0,0.5\n2,1.3\n1,2.0\n0,19.9\n");
    for (ix, circuit) in [legacy, seconds, nwb2, nwb1, columns, lists, commas].iter().enumerate() {
        let found = circuit.build(&[]).unwrap_or_else(|e| panic!("format {ix}: {e}")).0.given.unwrap().inputs;
        assert_eq!(found, expected, "format {ix}");
    }
}

#[test]
fn a_scene_chooses_pieces_of_recorded_spikes() {
    let circuit = SonataCircuit::good();
    let inputs =
        r#"network.inputs=[(start_ms: 1, direction_deg: 45), (spikes: {"lgn": "spikes.h5"}, start_ms: 0.5)]"#;
    let (built, _) = circuit.build(&[inputs, "trials.n_evoked=1"]).unwrap();
    let given = built.given.unwrap().inputs;
    assert_eq!(given[0].spikes, [(0, 2), (1, 1), (37, 0)]);
    assert_eq!((given[0].direction_deg, given[1].direction_deg), (Some(45.0), None));
    assert_eq!(given[1].spikes, [(1, 2), (2, 1), (38, 0)]);
    let unknown = r#"network.inputs=[(spikes: {"tectum": "spikes.h5"})]"#;
    let message = circuit.build(&[unknown]).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("'tectum'") && message.contains("(lgn)"), "{message}");
}

/// The public examples of BMTK and SONATA: point neurons run, other models are refused by their template.
#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn public_circuits_load_or_are_refused_by_template() {
    let data = common::published_file("sonata");
    let data = fs::canonicalize(data).unwrap();
    let components = data.join("bmtk_point_components");
    let build = |config: &str, variable: &str| {
        let settings = [
            format!("network.config={:?}", data.join(config)),
            format!("network.manifest={{{variable:?}: {components:?}}}"),
            "time.dt_ms=0.1".to_owned(),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        sonata_circuit::build_scene(&common::root().join("scenes/sonata.ron"), &settings)
    };
    let (glifs, _) = build("bmtk_point_450glifs/config.simulation.json", "$MODELS_DIR").unwrap();
    assert_eq!((glifs.network.neurons.len(), glifs.network.n_lgn), (450, 100));
    assert_eq!(
        glifs.network.vocabulary.cell_types,
        ["Scnn1a", "Rorb", "Nr5a1", "PV1", "PV2", "LIF_exc", "LIF_inh"]
    );
    // iaf_psc_alpha starts at NEST's -70 mV, above its own E_L of -75 and -77.
    let given = glifs.given.unwrap();
    assert_eq!((given.start_u_mv[0], given.start_u_mv[300], given.start_u_mv[449]), (0.0, 5.0, 7.0));
    assert!(!given.inputs[0].spikes.is_empty());
    let (point, _) = build("sonata_300_pointneurons/config.json", "$COMPONENT_DIR").unwrap();
    assert_eq!((point.network.neurons.len(), point.network.n_lgn), (300, 100));
    let ports = &point.dynamics.ports;
    assert_eq!(
        (ports.n_ports, ports.n_classes, ports.tau_ms(0, 0)),
        (1, 2, 2.0),
        "one alpha, of either sign"
    );
    // Its external edges give no delay: NEST's 1 ms.
    let rows = &point.network.rows;
    let first_external = rows.offsets[point.network.neurons.len()] as usize;
    assert_eq!(target_delay_steps(rows.targets[0]), 20);
    assert!(rows.targets[first_external..].iter().all(|word| target_delay_steps(*word) == 10));
    let error = build("sonata_300_intfire/config.json", "$COMPONENT_DIR").map(|_| ()).unwrap_err();
    let message = error.to_string();
    for named in
        ["'nrn:IntFire1'", "population 'v1'", "node type 100", "IntFire1_exc_1.json", "nest:iaf_psc_alpha"]
    {
        assert!(message.contains(named), "{named}: {message}");
    }
}

/// A file of libsonata's own tests.
fn libsonata(name: &str) -> std::path::PathBuf {
    common::published_file("sonata/libsonata_testdata").join(name)
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn libsonatas_nodes_are_read_and_its_bad_ones_named() {
    let file = libsonata("nodes1.h5");
    let nodes = NodePopulation::read_one(&file, "nodes-A").unwrap();
    assert_eq!(nodes.node_id, [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        nodes.attribute("attr-X").unwrap(),
        Some(&Attribute::Numbers(vec![11.0, 12.0, 13.0, 14.0, 15.0, 16.0]))
    );
    assert_eq!(
        nodes.attribute("attr-Y").unwrap(),
        Some(&Attribute::Numbers(vec![21.0, 22.0, 23.0, 24.0, 25.0, 26.0]))
    );
    let texts = |name: &str| match nodes.attribute(name).unwrap() {
        Some(Attribute::Texts(texts)) => texts.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(texts("attr-Z"), ["aa", "bb", "cc", "dd", "ee", "ff"]);
    assert_eq!(texts("E-mapping-good"), ["C", "B", "C", "A", "C", "C"]);
    let bad = nodes.attribute("E-mapping-bad").unwrap_err().to_string();
    assert!(bad.contains("nodes1.h5") && bad.contains("E-mapping-bad"), "{bad}");
    // Two groups in a population; every one that is named is there.
    let all =
        NodePopulation::read_file(&PopulationFile { h5: file.clone(), ..PopulationFile::default() }, &[]);
    let message = all.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("nodes1.h5") && message.contains("nodes/nodes-B/node_type_id"), "{message}");
    let none = NodePopulation::read_one(&file, "nodes-C").unwrap_err().to_string();
    assert!(none.contains("nodes/nodes-C/node_type_id"), "{none}");
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn libsonatas_edges_are_read_with_and_without_an_index() {
    for name in ["edges1.h5", "edges-no-index.h5"] {
        let file = libsonata(name);
        let mut edges = EdgePopulation::open_one(&file, "edges-AB").unwrap();
        assert_eq!(
            (edges.source_population.as_str(), edges.target_population.as_str()),
            ("nodes-A", "nodes-B")
        );
        assert_eq!(edges.pairs().unwrap(), [(1, 1), (1, 2), (2, 1), (2, 1), (3, 0), (3, 2)], "{name}");
    }
    let file = libsonata("edges1.h5");
    let message = EdgePopulation::open_one(&file, "edges-AC").map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("edges1.h5") && message.contains("edges/edges-AC/source_node_id"), "{message}");
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn libsonatas_spikes_sets_and_configurations_are_read() {
    let folder = libsonata("");
    let spikes = read_spikes(&folder.join("spikes.h5"), None, None).unwrap();
    assert_eq!(spikes.keys().collect::<Vec<_>>(), ["All", "empty", "spikes1", "spikes2"]);
    assert_eq!(spikes["All"].node_id, [5, 2, 3, 2, 3]);
    assert_eq!(spikes["All"].time_ms, [0.1, 0.2, 0.3, 0.7, 1.3]);
    assert!(spikes["empty"].time_ms.is_empty());
    // Reports of compartments are no spikes.
    for name in ["elements.h5", "somas.h5", "nodes1.h5"] {
        let message = read_spikes(&folder.join(name), None, None).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("no spikes"), "{message}");
    }
    let config = Config::read(&folder.join("config/circuit_config.json"), &[].into()).unwrap();
    assert!(config.nodes[0].h5.is_file() && config.nodes[0].types.is_none() && config.edges[0].h5.is_file());
    // A simulation without its circuit.
    let message =
        Config::read(&folder.join("config/simulation_config.json"), &[].into()).map(|_| ()).unwrap_err();
    assert!(message.to_string().contains("names no nodes"), "{message}");
    let sets = NodeSets::read(Some(&folder.join("node_sets.json")), Path::new(""), &[].into_iter().collect())
        .unwrap();
    let nodes = [NodePopulation::read_one(&folder.join("nodes1.h5"), "nodes-A").unwrap()];
    let select = |set: serde_json::Value| sets.select(&set, &nodes).map(|all| all.concat());
    // Its sets are of other populations or of attributes that these nodes do not have.
    for set in ["V1_point_prime", "bio_layer45"] {
        assert!(select(set.into()).unwrap_err().to_string().contains("node_sets.json"));
    }
    // Its operators, on attributes that they have.
    let of = |json: &str| select(serde_json::from_str(json).unwrap()).unwrap();
    assert_eq!(of(r#"{"attr-X": {"$gt": 12, "$lte": 14}}"#), [false, false, true, true, false, false]);
    assert_eq!(
        of(r#"{"attr-Z": {"$regex": "^[a-c]"}, "attr-Y": [21, 23, 26]}"#),
        [true, false, true, false, false, false]
    );
    assert_eq!(of(r#"{"node_id": [0, 5]}"#), [true, false, false, false, false, true]);
}

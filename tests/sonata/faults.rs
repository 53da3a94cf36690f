//! Every kind of fault of a circuit, named by file and place.

use std::fs;

use super::sonata_circuit;
use super::sonata_circuit::{Data, SonataCircuit};

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
        |c| c.set("network/v1_nodes.h5", "nodes/v1/node_type_id", Data::Numbers(vec![10.5; 4])),
        &["v1_nodes.h5", "node_type_id", "entry 0 is 10.5", "integer from 0"],
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

//! SONATA circuits: a small one of our own with every kind of fault, and the public test files of libsonata.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "sonata/faults.rs"]
mod faults;
#[path = "sonata/public.rs"]
mod public;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use simrun::network::{target_delay_steps, target_neuron};
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

#[test]
fn json_with_the_mark_of_windows_editors_reads_as_without() {
    let (plain, _) = SonataCircuit::good().build(&[]).unwrap();
    let mut circuit = SonataCircuit::good();
    for file in ["config.json", "node_sets.json", "cells/cell.json", "synapses/exc.json"] {
        let text = circuit.texts.get_mut(file).unwrap();
        text.insert(0, '\u{feff}');
    }
    assert_eq!(circuit.build(&[]).unwrap().0.network, plain.network);
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

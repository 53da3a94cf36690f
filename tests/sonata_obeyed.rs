//! What a circuit's files say is obeyed, or refused by name: keys, columns and attributes that a BMTK, NEST or libsonata user has in them, one test
//! for each kind, and the names under which outputs give the neurons back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use simrun::network::{CellModel, NamedNodes, Network, NodeNames, target_delay_steps, target_neuron};
use sonata_circuit::{Data, SonataCircuit};

/// The good circuit after a change.
fn changed(change: impl FnOnce(&mut SonataCircuit)) -> SonataCircuit {
    let mut circuit = SonataCircuit::good();
    change(&mut circuit);
    circuit
}

/// The network of a circuit, the spikes of its first trial, and what was said.
fn built(circuit: &SonataCircuit, settings: &[&str]) -> (Network, Vec<(u32, u32)>, Vec<String>) {
    let (built, said) = circuit.build(settings).unwrap_or_else(|e| panic!("{e}"));
    (built.network, built.given.unwrap().inputs[0].spikes.clone(), said)
}

fn refused(circuit: &SonataCircuit, settings: &[&str], named: &[&str]) {
    let error = circuit.build(settings).map(|_| ()).expect_err(&format!("{named:?}"));
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2, "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for word in named {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

fn hears(said: &[String], words: &[&str]) {
    let has = |line: &String| words.iter().all(|word| line.contains(word));
    assert!(said.iter().any(has), "{words:?} is not said: {said:?}");
}

/// (source, target, delay in steps, weight) of every edge.
fn edges(network: &Network) -> Vec<(usize, u32, u32, f32)> {
    let mut edges = Vec::new();
    for source in 0..network.n_sources() {
        for e in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let word = network.rows.targets[e];
            edges.push((source, target_neuron(word), target_delay_steps(word), network.rows.weights[e]));
        }
    }
    edges
}

fn model(network: &Network, neuron: usize) -> &CellModel {
    &network.cell_models[usize::from(network.neurons.model_ix[neuron])]
}

#[test]
fn an_entry_that_is_switched_off_is_not_there() {
    let second = r#""inputs": {"strong": {"input_type": "spikes", "input_file": "spikes.h5", "node_set": "lgn", "enabled": ENABLED}, "#;
    let with = |enabled: &str| {
        changed(|c| c.replace("config.json", r#""inputs": {"#, &second.replace("ENABLED", enabled)))
    };
    let alone = SonataCircuit::good().build(&[]).unwrap().0.given.unwrap().inputs;
    let (_, off, _) = built(&with("false"), &[]);
    let (_, on, _) = built(&with("true"), &[]);
    assert_eq!(off, alone[0].spikes);
    // Each spike again in the unit's next free step; that of the last step lies beyond the trial.
    assert_eq!(on.len(), 2 * off.len() - 1);
    refused(&with(r#""no""#), &[], &["config.json", "inputs.strong.enabled", "true or false"]);
    // An input of another kind that is off is no fault, and neither are edges or nodes that are off.
    let current = r#""inputs": {"clamp": {"input_type": "current_clamp", "module": "IClamp", "amp": 0.1, "enabled": false}, "#;
    built(&changed(|c| c.replace("config.json", r#""inputs": {"#, current)), &[]);
    let off = changed(|c| {
        c.replace(
            "config.json",
            r#""edges_file": "$NET/lgn_edges.h5""#,
            r#""edges_file": "gone.h5", "enabled": false"#,
        );
        c.replace(
            "config.json",
            r#"{"nodes_file": "$NET/lgn_nodes.h5""#,
            r#"{"enabled": false, "nodes_file": "gone.h5""#,
        );
        c.replace("config.json", r#""input_type": "spikes""#, r#""enabled": false, "input_type": "spikes""#);
    });
    let (network, spikes, _) = built(&off, &[]);
    assert_eq!((network.neurons.len(), network.n_lgn, spikes.len()), (4, 0, 0));
}

#[test]
fn a_list_of_files_is_its_files() {
    let alone = built(&SonataCircuit::good(), &[]);
    let one = changed(|c| {
        c.replace("config.json", r#""input_file": "spikes.h5""#, r#""input_file": ["spikes.h5"]"#);
        c.replace(
            "config.json",
            r#""nodes_file": "$NET/v1_nodes.h5""#,
            r#""nodes_file": ["$NET/v1_nodes.h5"]"#,
        );
    });
    assert_eq!(built(&one, &[]), alone);
    let two = changed(|c| {
        c.set("more.h5", "spikes/lgn/node_ids", Data::Ids(vec![1]));
        c.set("more.h5", "spikes/lgn/timestamps", Data::Numbers(vec![5.0]));
        c.replace("config.json", r#""input_file": "spikes.h5""#, r#""input_file": ["spikes.h5", "more.h5"]"#);
    });
    let (_, spikes, _) = built(&two, &[]);
    assert_eq!(spikes.len(), alone.1.len() + 1);
    assert!(spikes.contains(&(9, 1)), "{spikes:?}");
}

#[test]
fn inputs_that_are_played_otherwise_are_refused_by_name() {
    let input = |with: &str| {
        changed(|c| {
            c.replace("config.json", r#""module": "sonata""#, &format!(r#""module": "sonata"{with}"#))
        })
    };
    for (with, named) in [
        (r#", "interval": [10000, 10100]"#, "interval"),
        (r#", "time_scale": "s""#, "time_scale"),
        (r#", "offset": 3.0"#, "offset"),
        (r#", "delay": 1"#, "delay"),
        (r#", "units": "fortnights""#, "fortnights"),
        (r#", "population": 3"#, "population"),
    ] {
        refused(&input(with), &[], &[named]);
    }
    let module = |name: &str| {
        changed(|c| c.replace("config.json", r#""module": "sonata""#, &format!(r#""module": {name}"#)))
    };
    for name in [r#""ecephys_probe""#, r#""synapse_replay""#, r#""poisson""#, "7"] {
        refused(&module(name), &[], &["config.json", "inputs.lgn", name, "sonata, h5", "network.inputs"]);
    }
    built(&module(r#""h5""#), &[]);
    // A population is chosen, and a node set, which may be a part of it.
    let (_, none, _) = built(&input(r#", "population": ["lgn"]"#), &[]);
    assert_eq!(none.len(), 4);
    refused(&input(r#", "population": "lgn2""#), &[], &["inputs.lgn", "spikes.h5"]);
    let part = changed(|c| {
        c.replace(
            "node_sets.json",
            r#""both""#,
            r#""off": {"population": "lgn", "node_id": [1, 2]}, "both""#,
        );
        c.replace("config.json", r#""node_set": "lgn""#, r#""node_set": "off""#);
    });
    let (_, spikes, said) = built(&part, &[]);
    assert_eq!(spikes, [(2, 2), (3, 1)]);
    hears(&said, &["spikes.h5", "2 spikes", "'lgn'", "node_set"]);
}

#[test]
fn spikes_have_the_layout_and_the_unit_that_their_file_says() {
    let ids = || Data::Ids(vec![0, 2, 1, 0]);
    let flat = changed(|c| {
        c.data.retain(|(file, _), _| file != "spikes.h5");
        c.set("spikes.h5", "spikes/node_ids", ids());
        c.set("spikes.h5", "spikes/timestamps", Data::Numbers(vec![0.5, 1.3, 2.0, 19.9]));
    });
    refused(&flat, &[], &["spikes.h5", "spikes/node_ids", "no population", "/spikes/POPULATION"]);
    let alone = built(&SonataCircuit::good(), &[]).1;
    // Seconds under another name of the attribute, and where the configuration says so.
    let seconds = |c: &mut SonataCircuit| {
        c.data.retain(|(file, _), _| file != "spikes.h5");
        c.attributes.retain(|(file, _, _), _| file != "spikes.h5");
        c.set("spikes.h5", "spikes/lgn/node_ids", ids());
        c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![0.0005, 0.0013, 0.002, 0.0199]));
    };
    let unit = changed(|c| {
        seconds(c);
        c.attribute("spikes.h5", "spikes/lgn/timestamps", "unit", "s");
    });
    assert_eq!(built(&unit, &[]).1, alone);
    let configured = changed(|c| {
        seconds(c);
        c.replace("config.json", r#""module": "sonata""#, r#""units": "s""#);
    });
    assert_eq!(built(&configured, &[]).1, alone);
    // A word where nothing says so and all lie at the start; none where the file names the unit.
    let many = |c: &mut SonataCircuit| {
        c.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(vec![0; 30]));
        let times = (1..=30).map(|i| 0.02 * f64::from(i)).collect();
        c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(times));
        c.attributes.retain(|(file, _, _), _| file != "spikes.h5");
    };
    let (_, _, said) = built(&changed(many), &[]);
    hears(&said, &["spikes.h5", "all 30 spikes", "0.6 of 20 ms", "taken as ms"]);
    let named = changed(|c| {
        many(c);
        c.attribute("spikes.h5", "spikes/lgn/timestamps", "units", "ms");
    });
    let (_, _, said) = built(&named, &[]);
    assert!(!said.iter().any(|line| line.contains("taken as ms")), "{said:?}");
    let late = changed(|c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![1e4; 4])));
    let (_, spikes, said) = built(&late, &[]);
    assert!(spikes.is_empty());
    hears(&said, &["spikes.h5", "no spike"]);
    let table = changed(|c| {
        c.texts.insert("spikes.csv".into(), "timestamps node_ids trial\n1.0 0 1\n2.0 0 2\n".into());
        c.replace("config.json", "spikes.h5", "spikes.csv");
    });
    refused(&table, &[], &["spikes.csv", "'trial'"]);
}

#[test]
fn spikes_before_the_first_step_are_a_choice() {
    let circuit =
        changed(|c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![0.0, 1.3, 2.0, 19.9])));
    refused(&circuit, &[], &["spikes.h5", "node 0 at 0 ms", "network.early_spikes"]);
    let (_, dropped, said) = built(&circuit, &["network.early_spikes=Drop"]);
    assert_eq!(dropped, [(2, 2), (3, 1), (39, 0)]);
    hears(&said, &["1 spikes", "left out"]);
    let (_, shifted, said) = built(&circuit, &["network.early_spikes=FirstStep"]);
    assert_eq!(shifted, [(0, 0), (2, 2), (3, 1), (39, 0)]);
    hears(&said, &["1 spikes", "first step"]);
    let negative =
        changed(|c| c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![-0.4, 1.3, 2.0, 19.9])));
    refused(&negative, &["network.early_spikes=FirstStep"], &["-0.4 ms"]);
}

#[test]
fn many_spikes_at_one_time_are_read_in_a_moment() {
    let n = 200_000;
    let circuit = changed(|c| {
        c.set("spikes.h5", "spikes/lgn/node_ids", Data::Ids(vec![1; n]));
        c.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![3.0; n]));
    });
    let (_, spikes, said) = built(&circuit, &[]);
    assert_eq!(spikes, (5..40).map(|step| (step, 1)).collect::<Vec<_>>());
    hears(&said, &["199999 spikes", "199965 of them beyond"]);
}

#[test]
fn a_parameter_that_nest_does_not_know_is_refused_by_name() {
    let cell = |from: &str, to: &str| changed(|c| c.replace("cells/cell.json", from, to));
    for (to, named) in [
        (r#""I_e": 400, "V_m""#, &["cell.json", "I_e", "nest:glif_psc_double_alpha"][..]),
        (r#""tau_syn": [2], "V_m""#, &["cell.json", "tau_syn", "no parameter"]),
        (r#""V_thr": -48, "V_m""#, &["cell.json", "V_thr", "is V_th meant"]),
        (r#""threshold_spike": 1, "V_m""#, &["cell.json", "threshold_spike"]),
        (r#""frozen": true, "V_m""#, &["cell.json", "frozen"]),
        (r#""comment": "a cell", "V_m""#, &["cell.json", "comment"]),
        (r#""k": [1, 2], "V_m""#, &["cell.json", "k = "]),
    ] {
        refused(&cell(r#""V_m""#, to), &[], named);
    }
    refused(
        &cell(r#""after_spike_currents": true"#, r#""after_spike_currents": 1"#),
        &[],
        &["after_spike_currents = 1", "true or false"],
    );
    // Parameters of mechanisms that are off change nothing.
    let idle = cell(
        r#""V_m""#,
        r#""th_spike_add": 0.4, "voltage_reset_fraction": 0.2, "tau_minus": 20, "frozen": false, "V_m""#,
    );
    assert_eq!(built(&idle, &[]), built(&SonataCircuit::good(), &[]));
    let iaf = |parameters: &str| {
        changed(|c| {
            c.texts.insert("cells/iaf.json".into(), parameters.into());
            c.replace(
                "network/v1_node_types.csv",
                "11 point_neuron nest:glif_psc_double_alpha cell.json",
                "11 point_neuron nest:iaf_psc_alpha iaf.json",
            );
            c.texts.insert("synapses/none.json".into(), "{}".into());
            c.replace("network/lgn_edge_types.csv", "exc.json", "none.json");
            c.set("network/lgn_edges.h5", "edges/lgn_to_v1/target_node_id", Data::Ids(vec![2, 2, 3, 3]));
            c.set(
                "network/v1_edges.h5",
                "edges/v1_to_v1/target_node_id",
                Data::Ids(vec![1, 1, 0, 0, 1, 0, 0]),
            );
        })
    };
    let (network, ..) = built(&iaf(r#"{"tau_syn_ex": 0.5, "C_m": 100, "tau_m": 20}"#), &[]);
    assert_eq!((model(&network, 2).c_m_pf, model(&network, 2).g_ns), (100.0, 5.0));
    for (parameters, named) in [
        (r#"{"tau_syn_exc": 0.5}"#, &["iaf.json", "tau_syn_exc", "is tau_syn_ex meant"][..]),
        (r#"{"V_min": -80}"#, &["iaf.json", "V_min = -80", "lower bound"]),
        (r#"{"I_e": 376.0}"#, &["iaf.json", "I_e = 376"]),
        (r#"{"g": 5}"#, &["iaf.json", "g = 5", "nest:iaf_psc_alpha"]),
        (r#"{"asc_amps": []}"#, &["iaf.json", "asc_amps"]),
    ] {
        refused(&iaf(parameters), &[], named);
    }
}

#[test]
fn a_glif_cell_without_a_start_has_that_of_nest() {
    let circuit = changed(|c| c.replace("cells/cell.json", r#""V_m": -75, "#, ""));
    let given = circuit.build(&[]).unwrap().0.given.unwrap();
    // NEST's -78.85 mV, which does not follow E_L = -75 mV.
    assert!(given.start_u_mv.iter().all(|u| (u + 3.85).abs() < 1e-5), "{:?}", given.start_u_mv);
}

#[test]
fn the_old_names_of_glif_models_are_those_of_today() {
    let with = |template: &str, cell: &str| {
        changed(|c| {
            c.texts.insert("cells/other.json".into(), cell.into());
            c.replace(
                "network/v1_node_types.csv",
                "11 point_neuron nest:glif_psc_double_alpha cell.json",
                &format!("11 point_neuron {template} other.json"),
            );
        })
    };
    let new = SonataCircuit::OLD_CELL
        .replace(r#""k""#, r#""after_spike_currents": true, "asc_decay""#)
        .replace(r#""r""#, r#""asc_r""#)
        .replace(r#""V_dynamics_method": "linear_exact", "#, "");
    let (old, ..) = built(&with("nest:glif_lif_asc_psc", SonataCircuit::OLD_CELL), &[]);
    assert_eq!(old, built(&with("nest:glif_psc", &new), &[]).0);
    let cell = model(&old, 2);
    assert_eq!((cell.asc_amp_pa, cell.asc_decay_per_ms), ([-5.0, -20.0], [0.003, 0.03]));
    let (without, ..) = built(&with("nest:glif_lif_psc", SonataCircuit::OLD_CELL), &[]);
    assert_eq!(model(&without, 2).asc_amp_pa, [0.0, 0.0]);
    let euler = SonataCircuit::OLD_CELL.replace("linear_exact", "linear_forward_euler");
    refused(
        &with("nest:glif_lif_asc_psc", &euler),
        &[],
        &["other.json", "V_dynamics_method", "linear_exact"],
    );
    for template in ["nest:glif_lif_r_asc_psc", "nest:glif_lif_asc", "nest:glif_cond"] {
        refused(&with(template, SonataCircuit::OLD_CELL), &[], &["other.json", template, "nest:glif_psc"]);
    }
    // A model as the Allen Cell Types Database has it, in SI units.
    let database = r#"{"type": "GLIF", "El_reference": -0.07, "El": 0.001, "th_inf": 0.02, "R_input": 2e8, "C": 1e-10, "dt": 5e-5, "spike_cut_length": 40,
        "init_AScurrents": [0, 0], "asc_tau_array": [0.01, 0.1], "asc_amp_array": [-1e-11, 2e-11], "init_voltage": 0.0,
        "AScurrent_reset_method": {"params": {"r": [1.0, 1.0]}, "name": "sum"},
        "coeffs": {"th_inf": 1.5, "G": 2, "C": 0.8, "asc_amp_array": [1, 0.5], "a": 1, "b": 1}}"#;
    let circuit = with("nest:glif_lif_asc_psc", database);
    let (network, ..) = built(&circuit, &[]);
    let cell = model(&network, 2);
    let found = [
        cell.v_th_mv,
        cell.e_l_mv,
        cell.v_reset_mv,
        cell.g_ns,
        cell.c_m_pf,
        cell.t_ref_ms,
        cell.asc_amp_pa[0],
        cell.asc_amp_pa[1],
        cell.asc_decay_per_ms[0],
        cell.asc_decay_per_ms[1],
    ];
    let expected = [-40.0, -69.0, -70.0, 10.0, 80.0, 2.0, -10.0, 10.0, 0.1, 0.01];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9 * expected.abs(), "{found} for {expected}");
    }
    // Receptor 1, which inhibitory edges reach, is BMTK's first of four.
    let ports = circuit.build(&[]).unwrap().0.dynamics.ports;
    let taus: Vec<f64> = (0..ports.n_ports).map(|p| ports.tau_ms(1, p)).collect();
    assert!(taus.contains(&8.5), "excitatory edges reach receptor 2: {taus:?}");
    refused(
        &with("nest:glif_lif_asc_psc", &database.replace("[1.0, 1.0]", "[0.5, 1.0]")),
        &[],
        &["other.json", "AScurrent_reset_method"],
    );
    refused(
        &with("nest:glif_lif_asc_psc", &database.replace(r#""R_input": 2e8, "#, "")),
        &[],
        &["other.json", "R_input"],
    );
}

#[test]
fn edges_have_delays_and_receptors_of_their_own() {
    let circuit = changed(|c| {
        c.set("network/v1_edges.h5", "edges/v1_to_v1/0/delay", Data::Numbers(vec![1.5, 0.74, 2.5, 9.99]));
        // Two edges of a pair with delays of their own stay two.
        c.set("network/lgn_edges.h5", "edges/lgn_to_v1/0/delay", Data::Numbers(vec![1.0, 2.0, 1.7, 511.5]));
    });
    let (built_circuit, _) = circuit.build(&[]).unwrap();
    let found = edges(&built_circuit.network);
    // Rounded to steps of 0.5 ms; the inhibitory edges keep their type's 2.25 ms.
    let expected = [
        (0, 1, 1, 4.0),
        (0, 3, 3, 1.0),
        (1, 0, 5, 3.0),
        (1, 2, 20, 4.0),
        (2, 0, 5, 6.0),
        (2, 1, 5, 5.0),
        (3, 0, 5, 7.0),
        (4, 2, 2, 3.5),
        (4, 2, 4, 3.5),
        (5, 0, 3, 3.5),
        (6, 1, 1023, 3.5),
    ];
    assert_eq!(found, expected);
    assert_eq!(built_circuit.dynamics.max_delay_steps, 1023);
    let long = changed(|c| {
        c.set("network/lgn_edges.h5", "edges/lgn_to_v1/0/delay", Data::Numbers(vec![1.0, 2.0, 1.7, 512.0]))
    });
    refused(&long, &[], &["lgn_edges.h5", "edge 3", "512 ms", "1023"]);
    let seconds = changed(|c| {
        c.set("network/v1_edges.h5", "edges/v1_to_v1/0/delay", Data::Numbers(vec![0.0015; 4]));
        c.attribute("network/v1_edges.h5", "edges/v1_to_v1/0/delay", "units", "s");
    });
    refused(&seconds, &[], &["v1_edges.h5", "0/delay", "units = 's'", "ms"]);
    // Receptors of edges come before that of their type, whose may be a column.
    let own = "edges/lgn_to_v1/0/dynamics_params/receptor_type";
    let first = changed(|c| c.set("network/lgn_edges.h5", own, Data::Ids(vec![1; 4])));
    let column = changed(|c| {
        c.texts.insert(
            "network/lgn_edge_types.csv".into(),
            "edge_type_id delay syn_weight receptor_type\n5 1.7 3.5 1\n".into(),
        );
    });
    let of = |circuit: &SonataCircuit| circuit.build(&[]).unwrap().0.dynamics.ports;
    assert_eq!(of(&first), of(&column));
    assert_ne!(of(&first), of(&SonataCircuit::good()));
    let apart = changed(|c| c.set("network/lgn_edges.h5", own, Data::Ids(vec![1, 2, 1, 1])));
    refused(&apart, &[], &["lgn_edges.h5", "edge 1", "receptor_type 2"]);
}

#[test]
fn nodes_have_parameters_of_their_own() {
    let at = "nodes/v1/0/dynamics_params";
    let circuit = changed(|c| {
        // Nodes 0 and 1 are at places 1 and 0 of their group; NaN: as its type says.
        c.set("network/v1_nodes.h5", &format!("{at}/V_th"), Data::Numbers(vec![f64::NAN, -47.0]));
        c.set(
            "network/v1_nodes.h5",
            &format!("{at}/asc_amps"),
            Data::Rows(vec![vec![1.0, 2.0], vec![f64::NAN; 2]]),
        );
        c.set("network/v1_nodes.h5", &format!("{at}/V_m"), Data::Numbers(vec![-70.0, f64::NAN]));
    });
    let (built_circuit, _) = circuit.build(&[]).unwrap();
    let network = &built_circuit.network;
    assert_eq!([0, 1, 2, 3].map(|neuron| model(network, neuron).v_th_mv), [-47.0, -48.0, -48.0, -48.0]);
    assert_eq!(
        [0, 1, 2].map(|neuron| model(network, neuron).asc_amp_pa),
        [[-10.0, 20.0], [1.0, 2.0], [-10.0, 20.0]]
    );
    assert_eq!(built_circuit.given.unwrap().start_u_mv, [0.0, 5.0, 0.0, 0.0]);
    assert_eq!(network.cell_models.len(), 3, "nodes 2 and 3 share one");
    let (good, _) = SonataCircuit::good().build(&[]).unwrap();
    assert_eq!(network.vocabulary, good.network.vocabulary, "all have the same synapses");
    assert_eq!((&network.rows, &built_circuit.dynamics), (&good.network.rows, &good.dynamics));
    // Time constants of their own make kinds of nodes, which edges tell apart.
    let kinetics = changed(|c| {
        c.set(
            "network/v1_nodes.h5",
            &format!("{at}/tau_syn_fast"),
            Data::Rows(vec![vec![1.5, 3.0], vec![1.5, 2.0]]),
        );
    });
    let (network, _, said) = built(&kinetics, &[]);
    assert_eq!(network.cell_models.len(), 3);
    hears(&said, &["edges tell node types apart"]);
    // All of a node's parameters may be its own.
    let all = changed(|c| {
        c.replace(
            "network/v1_node_types.csv",
            "11 point_neuron nest:glif_psc_double_alpha cell.json",
            "11 point_neuron nest:glif_psc_double_alpha NULL",
        );
        let own = [
            ("V_th", -48.0),
            ("g", 8.0),
            ("E_L", -75.0),
            ("C_m", 80.0),
            ("t_ref", 2.0),
            ("V_reset", -75.0),
            ("V_m", -75.0),
        ];
        for (name, value) in own {
            c.set(
                "network/v1_nodes.h5",
                &format!("nodes/v1/1/dynamics_params/{name}"),
                Data::Numbers(vec![value; 2]),
            );
        }
        for (name, row) in
            [("tau_syn_fast", [1.5, 2.0]), ("tau_syn_slow", [6.0, 5.0]), ("amp_slow", [0.5, 0.25])]
        {
            c.set(
                "network/v1_nodes.h5",
                &format!("nodes/v1/1/dynamics_params/{name}"),
                Data::Rows(vec![row.to_vec(); 2]),
            );
        }
    });
    let (network, ..) = built(&all, &[]);
    assert_eq!((model(&network, 3).c_m_pf, model(&network, 3).asc_amp_pa), (80.0, [0.0; 2]));
    let bad =
        |name: &str, data: Data| changed(|c| c.set("network/v1_nodes.h5", &format!("{at}/{name}"), data));
    refused(
        &bad("V_thr", Data::Numbers(vec![1.0; 2])),
        &[],
        &["v1_nodes.h5", "dynamics_params/V_thr of node 0", "is V_th meant"],
    );
    refused(
        &bad("C_m", Data::Numbers(vec![-1.0, 80.0])),
        &[],
        &["v1_nodes.h5", "dynamics_params/C_m of node 1", "above 0"],
    );
    refused(&bad("g", Data::Texts(vec!["a", "b"])), &[], &["v1_nodes.h5", "dynamics_params/g", "numbers"]);
    refused(&bad("g", Data::Numbers(vec![8.0])), &[], &["v1_nodes.h5", "dynamics_params/g", "1 entries"]);
}

#[test]
fn an_attribute_that_is_no_number_is_none() {
    let circuit = changed(|c| {
        c.set("network/v1_nodes.h5", "nodes/v1/0/tuning_angle", Data::Numbers(vec![f64::NAN, 45.0]));
        c.replace("network/v1_edge_types.csv", "NULL NULL", "nan NaN");
    });
    let (network, ..) = built(&circuit, &[]);
    assert_eq!(network.neurons.tuning_angle_deg, [45.0, 0.0, 0.0, 0.0]);
    let infinite = changed(|c| {
        c.set("network/v1_nodes.h5", "nodes/v1/0/tuning_angle", Data::Numbers(vec![f64::INFINITY, 45.0]))
    });
    refused(&infinite, &[], &["v1_nodes.h5", "tuning_angle", "inf"]);
}

#[test]
fn populations_may_share_a_table_of_types() {
    let shared = |table: &str| {
        changed(|c| {
            c.texts.insert("network/types.csv".into(), table.to_owned());
            c.replace("config.json", "v1_node_types.csv", "types.csv");
            c.replace("config.json", "lgn_node_types.csv", "types.csv");
            c.set("network/lgn_nodes.h5", "nodes/lgn/node_type_id", Data::Ids(vec![10; 3]));
        })
    };
    let header = "population node_type_id model_type model_template dynamics_params model_name ei\n";
    let cells = "v1 10 point_neuron nest:glif_psc_double_alpha cell.json exc e\n\
                 v1 11 point_neuron nest:glif_psc_double_alpha cell.json inh i\n";
    let (network, ..) = built(&shared(&format!("{header}lgn 10 virtual NULL NULL lgn NULL\n{cells}")), &[]);
    let (good, ..) = built(&SonataCircuit::good(), &[]);
    assert_eq!((&network.vocabulary, &network.rows), (&good.vocabulary, &good.rows));
    refused(
        &shared(&format!("{header}{cells}")),
        &[],
        &["types.csv", "no row of the type id 10", "lgn_nodes.h5"],
    );
    refused(
        &shared(&format!("{header}lgn 10 virtual NULL NULL a b\nlgn 10 virtual NULL NULL a b\n{cells}")),
        &[],
        &["types.csv", "line 3", "twice", "'lgn'"],
    );
    refused(
        &shared(&format!("{header}tw 10 virtual NULL NULL a b\n{cells}")),
        &[],
        &["types.csv", "no row of the type id 10", "lgn_nodes.h5"],
    );
    // A table that was made under one other name is for all.
    let renamed = changed(|c| {
        let table = c.texts.get_mut("network/lgn_node_types.csv").unwrap();
        *table = "population node_type_id model_type\nLGN 7 virtual\n".to_owned();
    });
    built(&renamed, &[]);
}

#[test]
fn node_sets_ask_only_populations_that_have_the_attribute() {
    let simulate = |set: &str| {
        changed(|c| {
            c.replace(
                "config.json",
                r#""node_sets_file""#,
                &format!(r#""node_set": {set}, "node_sets_file""#),
            )
        })
    };
    let n = |set: &str| built(&simulate(set), &[]).0.neurons.len();
    assert_eq!(n(r#"{"ei": "i"}"#), 2, "LGN has no attribute ei");
    assert_eq!(n(r#"{"ei": {"$regex": "^e"}, "populations": ["v1", "lgn"]}"#), 2);
    assert_eq!(n(r#""all""#), 4);
    assert_eq!(n(r#"["first", "inhibitory"]"#), 4);
    assert_eq!(n("[1, 3]"), 2);
    refused(&simulate(r#"{"layer": 4}"#), &[], &["node_sets.json", "'layer'", "'v1', 'lgn'"]);
    refused(&simulate(r#"{"population": "v2"}"#), &[], &["node_sets.json", "v2", "v1, lgn"]);
    refused(&simulate(r#"{"ei": {"$regex": "("}}"#), &[], &["node_sets.json", "no regular expression"]);
    refused(&simulate(r#"{"x": {"$ge": 3}}"#), &[], &["node_sets.json", "$gte"]);
    // Sets of the configuration itself.
    let own = changed(|c| {
        c.replace(
            "config.json",
            r#""node_sets_file""#,
            r#""node_set": "mine", "node_sets": {"mine": {"x": {"$gt": 15}}}, "node_sets_file""#,
        );
    });
    assert_eq!(built(&own, &[]).0.neurons.x_um, [20.0, 30.0, 40.0]);
}

#[test]
fn sets_and_variables_that_multiply_are_bounded() {
    // 2^60 paths through sets that each name the one before twice.
    let mut sets = String::from(r#"{"s0": {"ei": "e"}"#);
    (1..60).for_each(|k| sets += &format!(r#", "s{k}": ["s{}", "s{}", "inhibitory"]"#, k - 1, k - 1));
    sets += r#", "inhibitory": {"ei": "i"}}"#;
    let doubled = changed(|c| {
        c.texts.insert("node_sets.json".into(), sets);
        c.replace("config.json", r#""node_sets_file""#, r#""node_set": "s59", "node_sets_file""#);
    });
    assert_eq!(built(&doubled, &[]).0.neurons.len(), 4);
    let circle = changed(|c| {
        c.replace("node_sets.json", r#""both": ["first""#, r#""both": ["both", "first""#);
        c.replace("config.json", r#""node_sets_file""#, r#""node_set": "both", "node_sets_file""#);
    });
    refused(&circle, &[], &["node_sets.json", "'both' names itself"]);
    let mut chain = String::from(r#"{"s0": {"ei": "e"}"#);
    (1..100_000).for_each(|k| chain += &format!(r#", "s{k}": ["s{}"]"#, k - 1));
    let deep = changed(|c| {
        c.texts.insert("node_sets.json".into(), chain + "}");
        c.replace("config.json", r#""node_sets_file""#, r#""node_set": "s99999", "node_sets_file""#);
    });
    refused(&deep, &[], &["node_sets.json", "100 deep"]);
    let mut manifest = String::from(r#""manifest": {"$A00": "xxxxxxxxxxxxxxxx""#);
    (1..40).for_each(|k| manifest += &format!(r#", "$A{k:02}": "$A{:02}/$A{:02}""#, k - 1, k - 1));
    let laughs = changed(|c| c.replace("config.json", r#""manifest": {"#, &(manifest + ", ")));
    refused(&laughs, &[], &["config.json", "manifest.$A", "too long"]);
}

#[test]
fn keys_that_would_change_a_circuit_are_refused_by_name() {
    let key =
        |with: &str| changed(|c| c.replace("config.json", r#""inputs""#, &format!(r#"{with}, "inputs""#)));
    for (with, named) in [
        (r#""connection_overrides": [{"source": "v1", "weight": 2}]"#, &["connection_overrides"][..]),
        (r#""gid_mapping_file": "g.h5""#, &["gid_mapping_file"]),
        (r#""conditions": {"modifications": [{"type": "TTX"}]}"#, &["conditions.modifications"]),
        (r#""run": {"tstart": 100}"#, &["run.tstart", "100"]),
        (r#""run": {"connect_internal": false}"#, &["run.connect_internal"]),
        (r#""run": {"dt": "0.1"}"#, &["run.dt", "number"]),
        (r#""node_set_file": "x.json""#, &["node_set_file", "is node_sets_file meant"]),
        (r#""input": {}, "inputz": {"a": 1}"#, &["inputz", "is inputs meant"]),
    ] {
        refused(&key(with), &[], &[&["config.json"], named].concat());
    }
    let (_, _, said) = built(
        &key(r#""conditions": {"v_init": -80}, "reports": {"v": {}}, "lab": "ours", "run": {"tstop": 3000}"#),
        &[],
    );
    hears(&said, &["not obeyed", "v_init", "reports"]);
    hears(&said, &["warning: ", "config.json", "lab"]);
    hears(&said, &["run.tstop is 3000 ms", "time.duration_ms, 20 ms"]);
    let network = |from: &str, to: &str| changed(|c| c.replace("config.json", from, to));
    let nodes = r#"{"nodes_file": "$NET/v1_nodes.h5""#;
    let populations =
        |what: &str| network(nodes, &format!(r#"{{"populations": {what}, "nodes_file": "$NET/v1_nodes.h5""#));
    built(&populations(r#"{"v1": {"type": "point_neuron"}}"#), &[]);
    built(&populations(r#"{"v1": {}}"#), &[]);
    refused(&populations(r#"{"v1": {"type": "virtual"}}"#), &[], &["'v1'", "virtual"]);
    refused(&populations(r#"{"v2": {}}"#), &[], &["v1_nodes.h5", "'v2'"]);
    refused(
        &populations(r#"{"v1": {"point_neuron_models_dir": "x"}}"#),
        &[],
        &["populations.v1.point_neuron_models_dir"],
    );
    refused(
        &network(nodes, r#"{"nodes_fil": "a", "nodes_file": "$NET/v1_nodes.h5""#),
        &[],
        &["networks.nodes[0].nodes_fil", "is nodes_file meant"],
    );
    let edges = r#"{"edges_file": "$NET/v1_edges.h5""#;
    refused(
        &network(
            edges,
            r#"{"populations": {"v1_to_v1": {"type": "electrical"}}, "edges_file": "$NET/v1_edges.h5""#,
        ),
        &[],
        &["populations.v1_to_v1.type", "electrical"],
    );
    let (alone, ..) = built(
        &network(
            edges,
            r#"{"populations": {"v1_to_v1": {"type": "chemical"}}, "edges_file": "$NET/v1_edges.h5""#,
        ),
        &[],
    );
    assert_eq!(alone.rows.n_edges(), 10);
}

#[test]
fn columns_and_attributes_that_would_change_a_circuit_are_refused_by_name() {
    let types = |from: &str, to: &str| changed(|c| c.replace("network/v1_edge_types.csv", from, to));
    refused(
        &types("syn_weight", "syn_weigth"),
        &[],
        &["v1_edge_types.csv", "'syn_weigth'", "is syn_weight meant"],
    );
    let gaps = changed(|c| {
        *c.texts.get_mut("network/lgn_edge_types.csv").unwrap() =
            "edge_type_id dynamics_params delay syn_weight is_gap_junction\n5 exc.json 1.7 3.5 True\n".into();
    });
    refused(&gaps, &[], &["lgn_edge_types.csv", "edge type 5", "gap junctions"]);
    let twice = changed(|c| {
        *c.texts.get_mut("network/lgn_edge_types.csv").unwrap() =
            "edge_type_id dynamics_params delay syn_weight delay\n5 exc.json 1.7 3.5 1\n".into();
    });
    refused(&twice, &[], &["lgn_edge_types.csv", "two columns 'delay'"]);
    let edge = |name: &str, data: Data| {
        changed(|c| c.set("network/v1_edges.h5", &format!("edges/v1_to_v1/0/{name}"), data))
    };
    refused(&edge("nsyn", Data::Ids(vec![1; 4])), &[], &["v1_edges.h5", "0/nsyn", "is nsyns meant"]);
    refused(&edge("weight_function", Data::Texts(vec!["a"; 4])), &[], &["v1_edges.h5", "0/weight_function"]);
    refused(
        &edge("dynamics_params/tau", Data::Numbers(vec![1.0; 4])),
        &[],
        &["v1_edges.h5", "dynamics_params/tau"],
    );
    let siemens =
        changed(|c| c.attribute("network/v1_edges.h5", "edges/v1_to_v1/0/syn_weight", "units", "nS"));
    refused(&siemens, &[], &["v1_edges.h5", "0/syn_weight", "units = 'nS'", "pA"]);
    built(&edge("afferent_section_pos", Data::Numbers(vec![1.0; 4])), &[]);
    let node = |from: &str, to: &str| changed(|c| c.replace("network/v1_node_types.csv", from, to));
    refused(
        &node("model_name", "model_processing"),
        &[],
        &["v1_node_types.csv", "'v1'", "model_processing 'exc'"],
    );
    refused(
        &node("model_name", "dynamic_params"),
        &[],
        &["v1_node_types.csv", "'dynamic_params'", "is dynamics_params meant"],
    );
    let ids = changed(|c| c.set("network/v1_nodes.h5", "nodes/v1/node_id", Data::Ids(vec![0, 1, 1, 3])));
    refused(&ids, &[], &["v1_nodes.h5", "nodes/v1/node_id", "two nodes have the id 1"]);
    let unreadable =
        changed(|c| c.set("network/v1_nodes.h5", "nodes/v1/node_id", Data::Rows(vec![vec![0.0; 2]; 4])));
    refused(&unreadable, &[], &["v1_nodes.h5", "nodes/v1/node_id", "one dimension"]);
}

#[test]
fn neurons_keep_the_names_that_the_circuit_gives_them() {
    let names = |circuit: &SonataCircuit| built(circuit, &[]).0.node_names();
    let named = |population: &str, ids: &[u64]| NamedNodes { population: population.into(), ids: ids.into() };
    assert!(names(&SonataCircuit::good()).are_built());
    let gaps = changed(|c| {
        c.set("network/v1_nodes.h5", "nodes/v1/node_id", Data::Ids(vec![90, 8, 55, 7]));
        let map = |ids: [u64; 7]| Data::Ids(ids.map(|id| [90, 8, 55, 7][id as usize]).to_vec());
        c.set("network/v1_edges.h5", "edges/v1_to_v1/source_node_id", map([0, 0, 1, 1, 2, 2, 3]));
        c.set("network/v1_edges.h5", "edges/v1_to_v1/target_node_id", map([3, 1, 0, 2, 1, 0, 0]));
        c.set("network/lgn_edges.h5", "edges/lgn_to_v1/target_node_id", Data::Ids(vec![55, 55, 90, 8]));
    });
    let (network, ..) = built(&gaps, &[]);
    assert_eq!(network.node_names(), NodeNames::new(vec![named("v1", &[90, 8, 55, 7])]));
    assert_eq!(network.rows, built(&SonataCircuit::good(), &[]).0.rows);
    let part = changed(|c| {
        c.replace(
            "config.json",
            r#""node_sets_file""#,
            r#""node_set": {"population": "v1", "node_id": [1, 2]}, "node_sets_file""#,
        );
    });
    assert_eq!(names(&part), NodeNames::new(vec![named("v1", &[1, 2])]));
    // Two simulated populations, whose ids overlap.
    let two = changed(|c| {
        c.replace("network/lgn_node_types.csv", "node_type_id model_type\n7 virtual", "node_type_id model_type model_template dynamics_params\n7 point_neuron nest:glif_psc_double_alpha cell.json");
        c.replace("config.json", r#""inputs": {"#, r#""inputs": {}, "comment": {"#);
    });
    assert_eq!(names(&two), NodeNames::new(vec![named("v1", &[0, 1, 2, 3]), named("lgn", &[0, 1, 2])]));
}

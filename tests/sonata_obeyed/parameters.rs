//! Parameters of models, and what single edges and nodes have of their own.

use super::sonata_circuit::{Data, SonataCircuit};
use super::{built, changed, edges, hears, model, refused};

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

//! Keys, entries, tables, sets and names.

use simrun::network::{NamedNodes, NodeNames};

use super::sonata_circuit::{Data, SonataCircuit};
use super::{built, changed, hears, refused};

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
fn node_sets_tell_integers_apart_and_know_truth_values() {
    let selected = |set: &str, change: &dyn Fn(&mut SonataCircuit)| {
        let circuit = changed(|c| {
            change(c);
            let set = format!(r#""node_set": {set}, "node_sets_file""#);
            c.replace("config.json", r#""node_sets_file""#, &set);
        });
        built(&circuit, &[]).0.neurons.x_um
    };
    // Ids as MICrONS has them: four of them are one float. Nodes 0 and 1 are at places 1 and 0 of their group.
    let first = 864_691_135_000_000_001;
    let roots = |c: &mut SonataCircuit| {
        c.set("network/v1_nodes.h5", "nodes/v1/0/root", Data::Ids(vec![first, first + 16]));
        c.set("network/v1_nodes.h5", "nodes/v1/1/root", Data::Ids(vec![first + 32, first + 48]));
    };
    for (wanted, x_um) in [
        (format!("{}", first + 16), &[10.0][..]),
        (format!("[{}, {}]", first, first + 48), &[20.0, 40.0][..]),
        (format!(r#"{{"$gt": {}}}"#, first + 16), &[30.0, 40.0][..]),
        (format!(r#"{{"$gte": {}, "$lt": {}}}"#, first + 16, first + 48), &[10.0, 30.0][..]),
    ] {
        assert_eq!(
            selected(&format!(r#"{{"population": "v1", "root": {wanted}}}"#), &roots),
            x_um,
            "{wanted}"
        );
    }
    // Of floats and integers in two groups floats are made.
    let mixed = |c: &mut SonataCircuit| {
        c.set("network/v1_nodes.h5", "nodes/v1/0/depth", Data::Ids(vec![3, 4]));
        c.set("network/v1_nodes.h5", "nodes/v1/1/depth", Data::Numbers(vec![4.0, 4.5]));
    };
    assert_eq!(selected(r#"{"population": "v1", "depth": 4}"#, &mixed), [10.0, 30.0]);
    // Truth values of h5py, and of pandas in a table of types.
    let flags = |c: &mut SonataCircuit| {
        c.set("network/v1_nodes.h5", "nodes/v1/0/tagged", Data::Flags(vec![true, false]));
        c.set("network/v1_nodes.h5", "nodes/v1/1/tagged", Data::Flags(vec![false, true]));
    };
    let table = |values: [&'static str; 3]| {
        move |c: &mut SonataCircuit| {
            let text = c.texts.get_mut("network/v1_node_types.csv").unwrap();
            let lines = text.lines().zip(values).map(|(line, value)| format!("{line} {value}\n"));
            *text = lines.collect();
        }
    };
    let of_table = table(["tagged", "True", "False"]);
    for (wanted, of_file, of_types) in [
        ("true", &[20.0, 40.0], &[10.0, 20.0]),
        ("false", &[10.0, 30.0], &[30.0, 40.0]),
        ("[false]", &[10.0, 30.0], &[30.0, 40.0]),
        ("1", &[20.0, 40.0], &[10.0, 20.0]),
    ] {
        let set = format!(r#"{{"population": "v1", "tagged": {wanted}}}"#);
        assert_eq!(selected(&set, &flags), of_file, "{set}");
        assert_eq!(selected(&set, &of_table), of_types, "{set}");
    }
    let neither = changed(|c| {
        table(["tagged", "True", "maybe"])(c);
        let set = r#""node_set": {"population": "v1", "tagged": true}, "node_sets_file""#;
        c.replace("config.json", r#""node_sets_file""#, set);
    });
    refused(&neither, &[], &["v1_node_types.csv", "tagged of type 11 = maybe", "must be a number"]);
}

#[test]
fn edges_that_are_named_twice_are_refused() {
    let again = |file: &str| {
        let entry =
            format!(r#""edges": [{{"edges_file": "{file}", "edge_types_file": "$NET/v1_edge_types.csv"}}, "#);
        changed(|c| c.replace("config.json", r#""edges": ["#, &entry))
    };
    for file in ["$NET/v1_edges.h5", "$NET/../network/v1_edges.h5"] {
        refused(&again(file), &[], &["config.json", "names the edges of", "v1_edges.h5 twice"]);
    }
    // Two populations of one file, each with its own table of types.
    let apart = changed(|c| {
        for ((file, at), data) in SonataCircuit::good().data {
            if file == "network/lgn_edges.h5" {
                c.set("network/v1_edges.h5", &at, data);
            }
        }
        for (end, population) in [("source_node_id", "lgn"), ("target_node_id", "v1")] {
            let at = format!("edges/lgn_to_v1/{end}");
            c.attribute("network/v1_edges.h5", &at, "node_population", population);
        }
        let of = |population: &str| {
            format!(r#""populations": {{"{population}": {{}}}}, "edges_file": "$NET/v1_edges.h5""#)
        };
        c.replace("config.json", r#""edges_file": "$NET/v1_edges.h5""#, &of("v1_to_v1"));
        c.replace("config.json", r#""edges_file": "$NET/lgn_edges.h5""#, &of("lgn_to_v1"));
    });
    assert_eq!(built(&apart, &[]).0, built(&SonataCircuit::good(), &[]).0);
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
    for name in ["units", "unit"] {
        let siemens =
            changed(|c| c.attribute("network/v1_edges.h5", "edges/v1_to_v1/0/syn_weight", name, "nS"));
        refused(&siemens, &[], &["v1_edges.h5", "0/syn_weight", "units = 'nS'", "pA"]);
    }
    let (.., said) = built(&edge("weight", Data::Numbers(vec![1.0; 4])), &[]);
    hears(&said, &["not read of edges/v1_to_v1: weight"]);
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

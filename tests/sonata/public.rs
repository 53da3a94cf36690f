//! The public examples of BMTK and SONATA, and the test files of libsonata.

use std::fs;
use std::path::Path;

use simrun::network::target_delay_steps;
use simrun::sonata::{
    Attribute, Config, EdgePopulation, NodePopulation, NodeSets, PopulationFile, read_spikes,
};

use super::common;
use super::sonata_circuit;

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
    assert_eq!(nodes.attribute("attr-Y").unwrap(), Some(&Attribute::Integers((21..27).map(Some).collect())));
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

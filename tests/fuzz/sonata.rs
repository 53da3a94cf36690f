//! Readers of SONATA circuits: HDF5 files plain and packed, tables, configurations, node sets, components, spikes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rust_hdf5::{H5File, H5FileOptions, LibverBound};
use simrun::scene::EarlySpikesScene;
use simrun::sonata::{Circuit, CircuitOptions, Config, InputSource, read_spikes};

use super::driver::Target;
use super::sonata_circuit::{Data, SonataCircuit};

/// All targets.
pub(crate) fn targets() -> Vec<Target> {
    vec![
        circuit("sonata_hdf5", false, |circuit| circuit.data.keys().map(|(file, _)| file.clone()).collect()),
        circuit("sonata_hdf5_classic", true, |c| c.data.keys().map(|(file, _)| file.clone()).collect()),
        circuit("sonata_tables", false, |circuit| named(circuit, ".csv")),
        circuit("sonata_json", false, |circuit| named(circuit, ".json")),
        packed_spikes("sonata_packed_spikes", H5File::options),
        packed_spikes("sonata_packed_spikes_classic", || H5File::options().libver(LibverBound::Earliest)),
        spike_table(),
    ]
}

fn named(circuit: &SonataCircuit, end: &str) -> Vec<String> {
    circuit.texts.keys().filter(|name| name.ends_with(end)).cloned().collect()
}

/// A circuit with something of everything that is read: parameters of single nodes and edges, groups, libraries, node sets.
fn rich() -> SonataCircuit {
    let mut circuit = SonataCircuit::good();
    let nodes = "network/v1_nodes.h5";
    circuit.set(nodes, "nodes/v1/0/dynamics_params/V_th", Data::Numbers(vec![-47.0, f64::NAN]));
    circuit.set(nodes, "nodes/v1/0/layer", Data::Texts(vec!["L4", "L6"]));
    circuit.set(nodes, "nodes/v1/1/layer", Data::Ids(vec![1, 0]));
    circuit.set(nodes, "nodes/v1/1/@library/layer", Data::Texts(vec!["L5", "L6b"]));
    circuit.replace(
        "node_sets.json",
        r#""both""#,
        r#""deep": {"layer": {"$regex": "^L[56]"}, "x": {"$gt": 5, "$lte": 40}}, "both""#,
    );
    circuit.replace(
        "config.json",
        r#""node_sets_file""#,
        r#""node_set": ["both", "v1"], "node_sets": {"also": ["deep", "first"]}, "node_sets_file""#,
    );
    circuit.texts.insert("cells/old.json".to_owned(), SonataCircuit::OLD_CELL.to_owned());
    circuit.replace(
        "network/v1_node_types.csv",
        "11 point_neuron nest:glif_psc_double_alpha cell.json",
        "11 point_neuron nest:glif_lif_asc_psc old.json",
    );
    circuit
}

/// A circuit of which some files are damaged.
fn circuit(name: &'static str, classic: bool, files: fn(&SonataCircuit) -> Vec<String>) -> Target {
    let write = move |folder: &Path| -> Vec<PathBuf> {
        let circuit = SonataCircuit { classic, ..rich() };
        circuit.write(folder);
        let mut files: Vec<PathBuf> = files(&circuit).iter().map(|name| folder.join(name)).collect();
        files.dedup();
        files
    };
    Target { name, write: Box::new(write), read: Box::new(read_circuit) }
}

/// Reads all that a scene reads.
fn read_circuit(folder: &Path) -> simrun::Result<()> {
    let config = Config::read(&folder.join("config.json"), &BTreeMap::new())?;
    let options = CircuitOptions {
        dt_ms: 0.5,
        cell_type: None,
        cell_types: &BTreeMap::new(),
        v1_type: &|_| None,
        node_set: Some("deep"),
        background: &[],
        weight_functions: &[],
    };
    let mut circuit = Circuit::read(&config, &options)?;
    circuit.read_inputs(&[InputSource::default()], &config, 0.5, 40, EarlySpikesScene::Refuse)?;
    Ok(())
}

/// Spikes in chunks, shuffled and deflated.
fn packed_spikes(name: &'static str, options: fn() -> H5FileOptions) -> Target {
    let write = move |folder: &Path| -> Vec<PathBuf> {
        let path = folder.join("spikes.h5");
        let file = options().create(&path).unwrap();
        let spikes = file.create_group("spikes").unwrap().create_group("lgn").unwrap();
        let ids: Vec<u64> = (0..3000).map(|i| i % 17).collect();
        let times: Vec<f64> = (0..3000).map(|i| 0.25 * f64::from(i)).collect();
        let packed = spikes.new_dataset::<u64>().shape([3000]).chunk(&[256]).shuffle_deflate(4);
        packed.create("node_ids").unwrap().write_raw(&ids).unwrap();
        let packed = spikes.new_dataset::<f64>().shape([3000]).chunk(&[256]).shuffle_deflate(4);
        packed.create("timestamps").unwrap().write_raw(&times).unwrap();
        drop(spikes);
        file.close().unwrap();
        vec![path]
    };
    let read = |folder: &Path| read_spikes(&folder.join("spikes.h5"), None, None).map(|_| ());
    Target { name, write: Box::new(write), read: Box::new(read) }
}

/// Spikes as text.
fn spike_table() -> Target {
    let write = |folder: &Path| -> Vec<PathBuf> {
        let path = folder.join("spikes.csv");
        let rows: String = (1..60).map(|i| format!("{}.5 lgn {}\n", i, i % 7)).collect();
        std::fs::write(&path, format!("timestamps population node_ids\n{rows}")).unwrap();
        vec![path]
    };
    let read = |folder: &Path| read_spikes(&folder.join("spikes.csv"), None, None).map(|_| ());
    Target { name: "sonata_spike_table", write: Box::new(write), read: Box::new(read) }
}

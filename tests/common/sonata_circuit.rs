//! A small SONATA circuit on disk, every file and dataset of which a test can change or leave out. Each test binary uses a part of it.

#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rust_hdf5::types::{HBool, VarLenUnicode};
use rust_hdf5::{H5File, H5Group, LibverBound};
use simrun::network::tables::Tables;
use simrun::plan::Plan;
use simrun::scene::Scene;
use simrun::setup::{self, Built};

/// Content of a dataset.
#[derive(Clone)]
pub(crate) enum Data {
    Ids(Vec<u64>),
    Numbers(Vec<f64>),
    Texts(Vec<&'static str>),
    /// Truth values as h5py writes them.
    Flags(Vec<bool>),
    /// Two dimensions, row after row.
    Rows(Vec<Vec<f64>>),
}

/// Texts by file, datasets by file and path, text attributes by file, path and name.
#[derive(Clone, Default)]
pub(crate) struct SonataCircuit {
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) data: BTreeMap<(String, String), Data>,
    pub(crate) attributes: BTreeMap<(String, String, String), String>,
    /// Whether HDF5 files are those of libhdf5 1.6, without checksums: damage then reaches their readers.
    pub(crate) classic: bool,
}

/// A GLIF cell with two receptors of two alphas each.
const CELL: &str = r#"{"V_m": -75, "V_th": -48, "g": 8, "E_L": -75, "C_m": 80, "t_ref": 2, "V_reset": -75, "asc_init": [0, 0],
 "asc_decay": [0.1, 0.3], "asc_amps": [-10, 20], "spike_dependent_threshold": false, "after_spike_currents": true, "adapting_threshold": false,
 "tau_syn_fast": [1.5, 2], "tau_syn_slow": [6, 5], "amp_slow": [0.5, 0.25]}"#;

const CONFIG: &str = r#"{"manifest": {"$NET": "./network"},
 "components": {"point_neuron_models_dir": "cells", "synaptic_models_dir": "synapses"},
 "networks": {"nodes": [{"nodes_file": "$NET/v1_nodes.h5", "node_types_file": "$NET/v1_node_types.csv"},
   {"nodes_file": "$NET/lgn_nodes.h5", "node_types_file": "$NET/lgn_node_types.csv"}],
  "edges": [{"edges_file": "$NET/v1_edges.h5", "edge_types_file": "$NET/v1_edge_types.csv"},
   {"edges_file": "$NET/lgn_edges.h5", "edge_types_file": "$NET/lgn_edge_types.csv"}]},
 "node_sets_file": "node_sets.json",
 "inputs": {"lgn": {"input_type": "spikes", "module": "sonata", "input_file": "spikes.h5", "node_set": "lgn"}}}"#;

const SCENE: &str = r#"(seed: 1, tables: "TABLES", network: Sonata(config: "config.json"), cells: (mode: Point, ports: Exact),
 time: (dt_ms: 0.5, duration_ms: 20), trials: (n_evoked: 0, n_spontaneous: 1, grating: (directions: Random, spatial_frequency_cpd: 0.04,
 temporal_frequency_hz: 2, contrast: 0.8)), surrogate: (half_width: 0.5, height: 0.1), losses: (voltage: (weight: 0.1, x_low: 0.5, x_high: 1)),
 learn: (recurrent_weights: true, background_weights: false), optimiser: (kind: Adam, learning_rate: 0.1, warmup_steps: 0, training_steps: 2, final_fraction: 1),
 evaluate: (directions_deg: [0], n_trials: 1))"#;

impl SonataCircuit {
    /// A cell in the words of NEST's GLIF models before they were part of NEST.
    pub(crate) const OLD_CELL: &str = r#"{"V_th": -50, "E_L": -70, "V_reset": -71, "g": 10, "C_m": 100, "t_ref": 2, "V_m": -70,
 "tau_syn": [5, 3], "V_dynamics_method": "linear_exact", "asc_amps": [-5, -20], "asc_init": [0, 0], "k": [0.003, 0.03], "r": [1, 1]}"#;

    /// Four neurons (two of each sign), three LGN units, seven edges between neurons and four from LGN, of which two are of a pair.
    pub(crate) fn good() -> Self {
        let mut circuit = Self::default();
        let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1");
        let texts = [
            ("scene.ron", SCENE.replace("TABLES", tables.to_str().unwrap()).as_str().to_owned()),
            ("config.json", CONFIG.to_owned()),
            ("node_sets.json", r#"{"first": {"population": "v1", "node_id": [0, 1]}, "inhibitory": {"ei": "i"}, "both": ["first", "inhibitory"]}"#.to_owned()),
            ("cells/cell.json", CELL.to_owned()),
            ("synapses/exc.json", r#"{"receptor_type": 2}"#.to_owned()),
            ("synapses/inh.json", r#"{"receptor_type": 1}"#.to_owned()),
            (
                "network/v1_node_types.csv",
                "node_type_id model_type model_template dynamics_params model_name ei\n\
                 10 point_neuron nest:glif_psc_double_alpha cell.json exc e\n\
                 11 point_neuron nest:glif_psc_double_alpha cell.json inh i\n"
                    .to_owned(),
            ),
            ("network/lgn_node_types.csv", "node_type_id model_type\n7 virtual\n".to_owned()),
            (
                "network/v1_edge_types.csv",
                "edge_type_id model_template dynamics_params delay syn_weight weight_function\n\
                 1 static_synapse exc.json 1.5 NULL wmax\n\
                 2 static_synapse inh.json 2.25 NULL NULL\n"
                    .to_owned(),
            ),
            (
                "network/lgn_edge_types.csv",
                "edge_type_id model_template dynamics_params delay syn_weight\n5 static_synapse exc.json 1.7 3.5\n".to_owned(),
            ),
        ];
        circuit.texts.extend(texts.map(|(name, text)| (name.to_owned(), text)));
        let ids = |ids: &[u64]| Data::Ids(ids.to_vec());
        for (dataset, data) in [
            ("node_id", ids(&[0, 1, 2, 3])),
            ("node_type_id", ids(&[10, 10, 11, 11])),
            ("node_group_id", ids(&[0, 0, 1, 1])),
            ("node_group_index", ids(&[1, 0, 0, 1])),
            ("0/x", Data::Numbers(vec![20.0, 10.0])),
            ("0/tuning_angle", Data::Numbers(vec![90.0, 45.0])),
            ("1/x", Data::Numbers(vec![30.0, 40.0])),
        ] {
            circuit.set("network/v1_nodes.h5", &format!("nodes/v1/{dataset}"), data);
        }
        circuit.set("network/lgn_nodes.h5", "nodes/lgn/node_type_id", ids(&[7, 7, 7]));
        for (dataset, data) in [
            ("source_node_id", ids(&[0, 0, 1, 1, 2, 2, 3])),
            ("target_node_id", ids(&[3, 1, 0, 2, 1, 0, 0])),
            ("edge_type_id", ids(&[1, 1, 1, 1, 2, 2, 2])),
            ("edge_group_id", ids(&[0, 0, 0, 0, 1, 1, 1])),
            ("edge_group_index", ids(&[0, 1, 2, 3, 2, 1, 0])),
            ("0/syn_weight", Data::Numbers(vec![1.0, 2.0, 3.0, 4.0])),
            ("0/nsyns", ids(&[1, 2, 1, 1])),
            ("1/syn_weight", Data::Numbers(vec![-7.0, -6.0, -5.0])),
        ] {
            circuit.set("network/v1_edges.h5", &format!("edges/v1_to_v1/{dataset}"), data);
        }
        for (dataset, data) in [
            ("source_node_id", ids(&[0, 0, 1, 2])),
            ("target_node_id", ids(&[2, 2, 0, 1])),
            ("edge_type_id", ids(&[5, 5, 5, 5])),
        ] {
            circuit.set("network/lgn_edges.h5", &format!("edges/lgn_to_v1/{dataset}"), data);
        }
        for (file, edges, source) in [("v1_edges", "v1_to_v1", "v1"), ("lgn_edges", "lgn_to_v1", "lgn")] {
            for (end, population) in [("source_node_id", source), ("target_node_id", "v1")] {
                let at = format!("edges/{edges}/{end}");
                circuit.attribute(&format!("network/{file}.h5"), &at, "node_population", population);
            }
        }
        circuit.set("spikes.h5", "spikes/lgn/node_ids", ids(&[0, 2, 1, 0]));
        circuit.set("spikes.h5", "spikes/lgn/timestamps", Data::Numbers(vec![0.5, 1.3, 2.0, 19.9]));
        circuit.attribute("spikes.h5", "spikes/lgn/timestamps", "units", "ms");
        circuit
    }

    pub(crate) fn set(&mut self, file: &str, dataset: &str, data: Data) {
        self.data.insert((file.to_owned(), dataset.to_owned()), data);
    }

    pub(crate) fn remove(&mut self, file: &str, dataset: &str) {
        self.data.remove(&(file.to_owned(), dataset.to_owned())).expect("a dataset");
        self.attributes.retain(|(f, d, _), _| (f.as_str(), d.as_str()) != (file, dataset));
    }

    pub(crate) fn attribute(&mut self, file: &str, dataset: &str, name: &str, value: &str) {
        self.attributes.insert((file.to_owned(), dataset.to_owned(), name.to_owned()), value.to_owned());
    }

    /// Replaces text in a file.
    pub(crate) fn replace(&mut self, file: &str, from: &str, to: &str) {
        let text = self.texts.get_mut(file).expect("a file");
        assert!(text.contains(from), "{file} has no {from}");
        *text = text.replace(from, to);
    }

    /// Writes the circuit; the scene's file.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        for (name, text) in &self.texts {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let mut files: BTreeMap<&str, Vec<(&str, &Data)>> = BTreeMap::new();
        for ((file, dataset), data) in &self.data {
            files.entry(file).or_default().push((dataset, data));
        }
        for (name, datasets) in files {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            self.write_h5(&folder.join(name), name, &datasets);
        }
        folder.join("scene.ron")
    }

    fn write_h5(&self, path: &Path, name: &str, datasets: &[(&str, &Data)]) {
        let options = match self.classic {
            true => H5File::options().libver(LibverBound::Earliest),
            false => H5File::options(),
        };
        let file = options.create(path).unwrap();
        let mut groups: HashMap<String, H5Group> = HashMap::new();
        for (dataset, data) in datasets {
            let (folder, own) = dataset.rsplit_once('/').unwrap();
            let mut at = String::new();
            for part in folder.split('/') {
                let parent = at.clone();
                at = format!("{at}/{part}");
                if !groups.contains_key(&at) {
                    let group = match groups.get(&parent) {
                        None => file.create_group(part).unwrap(),
                        Some(parent) => parent.create_group(part).unwrap(),
                    };
                    groups.insert(at.clone(), group);
                }
            }
            let group = &groups[&at];
            let written = match data {
                Data::Ids(ids) => {
                    let written = group.new_dataset::<u64>().shape([ids.len()]).create(own).unwrap();
                    written.write_raw(ids).unwrap();
                    written
                }
                Data::Numbers(numbers) => {
                    let written = group.new_dataset::<f64>().shape([numbers.len()]).create(own).unwrap();
                    written.write_raw(numbers).unwrap();
                    written
                }
                Data::Flags(flags) => {
                    let written = group.new_dataset::<HBool>().shape([flags.len()]).create(own).unwrap();
                    let flags: Vec<HBool> = flags.iter().map(|flag| HBool::from(*flag)).collect();
                    written.write_raw(&flags).unwrap();
                    written
                }
                Data::Texts(texts) => group.write_vlen_strings(own, texts).unwrap(),
                Data::Rows(rows) => {
                    let shape = [rows.len(), rows[0].len()];
                    let written = group.new_dataset::<f64>().shape(shape).create(own).unwrap();
                    written.write_raw(&rows.concat()).unwrap();
                    written
                }
            };
            for ((f, d, attribute), value) in &self.attributes {
                if f == name && d == dataset {
                    let attribute = written.new_attr::<VarLenUnicode>().shape(()).create(attribute).unwrap();
                    attribute.write_string(value).unwrap();
                }
            }
        }
        drop(groups);
        file.close().unwrap();
    }

    /// Writes the circuit into a scratch folder and builds it under the settings of a scene.
    pub(crate) fn build(&self, settings: &[&str]) -> simrun::Result<(Built, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        build_scene(&self.write(folder.path()), settings)
    }
}

/// Builds a scene's network: what is simulated, and what was said about it.
pub(crate) fn build_scene(scene_file: &Path, settings: &[&str]) -> simrun::Result<(Built, Vec<String>)> {
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    let plan = Plan::new(Scene::read(scene_file)?.with_overrides(&settings)?, scene_file)?;
    let tables = Tables::read(&plan.tables_dir)?;
    let mut said = Vec::new();
    let built = setup::build(&plan, &tables, &mut |text| said.push(text.to_owned()))?;
    Ok((built, said))
}

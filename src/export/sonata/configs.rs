//! The three configurations, node sets, and a README for whoever opens the folder.

use serde_json::{Map, Value, json};

use super::nodes::layer_and_kind;
use super::{Export, SOURCE_POPULATIONS};
use crate::error::Result;
use crate::network::BUILT_POPULATION as POPULATION;
use crate::network::CELL_TYPES;
use crate::scene::{ReportScene, ReportVariable};

impl Export<'_> {
    pub(super) fn write_configs(&self) -> Result<()> {
        self.write_json("node_sets.json", &self.node_sets())?;
        self.write_json("circuit_config.json", &circuit_config())?;
        self.write_json("simulation_config.json", &self.simulation_config())?;
        if self.receptors.is_some() {
            self.write_json("bmtk_config.json", &self.bmtk_config())?;
        }
        self.write_text("README.md", &self.readme())
    }

    fn duration_ms(&self) -> f64 {
        f64::from(self.n_steps()) * self.dt_ms()
    }

    /// The populations, the layers and the cell types that the network has.
    fn node_sets(&self) -> Value {
        let mut sets = Map::new();
        for name in SOURCE_POPULATIONS {
            sets.insert(name.to_owned(), json!({ "population": name }));
        }
        for (cell_type_ix, cell_type) in CELL_TYPES.iter().enumerate() {
            if self.trained.network.neurons.cell_type_ix.contains(&(cell_type_ix as u8)) {
                let layer = layer_and_kind(cell_type).0;
                sets.insert(layer.to_owned(), json!({ "population": POPULATION, "layer": layer }));
                let of_type = json!({ "population": POPULATION, "cell_type": cell_type });
                sets.insert((*cell_type).to_owned(), of_type);
            }
        }
        Value::Object(sets)
    }

    /// What libsonata and SNAP open: the trial as simrun ran it.
    fn simulation_config(&self) -> Value {
        let input = |name: &str| {
            json!({
                "input_type": "spikes",
                "module": "synapse_replay",
                "delay": 0.0,
                "duration": self.duration_ms(),
                "spike_file": format!("$BASE_DIR/inputs/{name}_spikes.h5"),
                "source": name,
                "node_set": POPULATION,
            })
        };
        json!({
            "version": 2,
            "manifest": { "$BASE_DIR": "." },
            "network": "$BASE_DIR/circuit_config.json",
            "node_sets_file": "$BASE_DIR/node_sets.json",
            "node_set": POPULATION,
            "run": {
                "tstop": self.duration_ms(),
                "dt": self.dt_ms(),
                // libsonata reads 32 bits.
                "random_seed": self.trained.plan.scene.seed as u32,
            },
            "output": {
                "output_dir": "$BASE_DIR/output",
                "spikes_file": "spikes.h5",
                "spikes_sort_order": "by_time",
            },
            "inputs": { "lgn": input("lgn"), "background": input("background") },
            "reports": self.reports().map(|report| (report.name.clone(), self.report(report))).collect::<Map<_, _>>(),
        })
    }

    fn report(&self, report: &ReportScene) -> Value {
        json!({
            "type": "compartment",
            "variable_name": "v",
            "unit": "mV",
            // Dendrites are elements beside the soma.
            "sections": if report.variable == ReportVariable::DendritePotential { "all" } else { "soma" },
            "cells": POPULATION,
            "dt": report.interval_ms,
            "start_time": 0.0,
            "end_time": self.duration_ms(),
            "file_name": format!("{}.h5", report.name),
        })
    }

    /// What BMTK runs in NEST: the network with the inputs of the trial.
    fn bmtk_config(&self) -> Value {
        let input = |name: &str| {
            json!({
                "input_type": "spikes",
                "module": "sonata",
                "input_file": format!("$BASE_DIR/inputs/{name}_spikes.h5"),
                "node_set": { "population": name },
            })
        };
        let nodes = SOURCE_POPULATIONS.map(|name| {
            json!({
                "nodes_file": format!("$BASE_DIR/network/{name}_nodes.h5"),
                "node_types_file": format!("$BASE_DIR/network/{name}_node_types.csv"),
            })
        });
        let edges = SOURCE_POPULATIONS.map(|name| {
            json!({
                "edges_file": format!("$BASE_DIR/network/{name}_{POPULATION}_edges.h5"),
                "edge_types_file": format!("$BASE_DIR/network/{name}_{POPULATION}_edge_types.csv"),
            })
        });
        json!({
            "manifest": { "$BASE_DIR": "${configdir}" },
            "target_simulator": "NEST",
            "run": { "tstart": 0.0, "tstop": self.duration_ms(), "dt": self.dt_ms() },
            "inputs": { "lgn": input("lgn"), "background": input("background") },
            "output": {
                "output_dir": "$BASE_DIR/output_bmtk",
                "log_file": "log.txt",
                "spikes_file": "spikes.h5",
                "spikes_sort_order": "by_time",
                "overwrite_output_dir": true,
            },
            "components": {
                "point_neuron_models_dir": "$BASE_DIR/components/cell_models",
                "synaptic_models_dir": "$BASE_DIR/components/synaptic_models",
            },
            "networks": { "nodes": nodes, "edges": edges },
        })
    }

    fn readme(&self) -> String {
        let trained = &self.trained;
        let network = &trained.network;
        let shown = &self.trial.condition;
        let start = match trained.plan.n_settling_steps {
            0 => "The trial starts at rest.",
            _ => {
                "The trial starts at rest, as NEST and BMTK start the circuit. The trials of the run itself start \
                 settled (`trials.start` of its scene), so their spikes in the run folder are others."
            }
        };
        let run_it = if self.receptors.is_some() {
            "Run it in NEST (BMTK 1.2, NEST 3.10) on the same input spikes:\n\n    \
             python -c \"from bmtk.simulator import pointnet as p; c = p.Config.from_json('bmtk_config.json'); c.build_env(); \
             n = p.PointNetwork.from_config(c); p.PointSimulator.from_config(c, n).run()\"\n"
        } else {
            "There is no `bmtk_config.json`: NEST has no cell model of this kind (conductances on soma and dendrite, or currents of \
             more than two alphas a synapse). The components say what the parameters are.\n"
        };
        format!(
            "# A network trained by simrun {version}\n\n\
             {n} neurons after {steps} training steps, seed {seed}. Trial {trial} of the run's evaluation, {duration} ms, showed {shown}.\n\n\
             | path | what |\n|---|---|\n\
             | `circuit_config.json`, `simulation_config.json` | for libsonata and SNAP |\n\
             {bmtk}\
             | `network/` | nodes (`{POPULATION}`, `lgn`, `background`) and edges; the tables of types are for BMTK |\n\
             | `components/` | cell models with what training changed, synaptic models |\n\
             | `inputs/` | LGN and background spikes of the trial |\n\
             | `output/` | spikes of the neurons in the trial, as simrun computed them, and the scene's reports on it \
             |\n\n\
             {start}\n\n\
             Weights (`syn_weight`) are in {unit}: {meaning}. Delays are in the tables of edge types, in ms, as they were simulated: whole \
             steps of {dt} ms. Times of spikes are the ends of their time steps. Positions of neurons are in um (y: depth below the pia, \
             negative), those of LGN units in deg.\n\n{run_it}",
            version = env!("CARGO_PKG_VERSION"),
            n = network.neurons.len(),
            steps = trained.training_step,
            seed = trained.plan.scene.seed,
            trial = self.trial_ix,
            duration = self.duration_ms(),
            bmtk = if self.receptors.is_some() { "| `bmtk_config.json` | for BMTK and NEST |\n" } else { "" },
            unit = self.weight_unit(),
            meaning = self.weight_meaning(),
            dt = self.dt_ms(),
        )
    }
}

/// What libsonata and SNAP open: without tables of types, which libsonata refuses.
fn circuit_config() -> Value {
    let kind = |name: &str| if name == POPULATION { "point_neuron" } else { "virtual" };
    let nodes = SOURCE_POPULATIONS.map(|name| {
        json!({
            "nodes_file": format!("$BASE_DIR/network/{name}_nodes.h5"),
            "node_types_file": null,
            "populations": { name: { "type": kind(name) } },
        })
    });
    let edges = SOURCE_POPULATIONS.map(|name| {
        json!({
            "edges_file": format!("$BASE_DIR/network/{name}_{POPULATION}_edges.h5"),
            "edge_types_file": null,
            "populations": { format!("{name}_to_{POPULATION}"): { "type": "point_process" } },
        })
    });
    json!({
        "version": 2,
        "manifest": { "$BASE_DIR": "." },
        "node_sets_file": "$BASE_DIR/node_sets.json",
        "networks": { "nodes": nodes, "edges": edges },
    })
}

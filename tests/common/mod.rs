//! What several integration tests share: the shipped tables, the golden files of other programs.

// Each test binary uses a part of it; clippy's exemption for tests does not reach helpers of an integration test.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub(crate) mod circuit;
pub(crate) mod network;
pub(crate) mod program;
pub(crate) mod small_network;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use simrun::model::kinetics::Ports;
use simrun::model::membrane::CellMode;
use simrun::model::recording::{Synapse, record_pair};
use simrun::network::tables::Tables;
use simrun::network::{CellModel, Network, pack_target, target_neuron};

/// The project's root; `SIMRUN_ROOT` where the tests were carried to another machine.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("SIMRUN_ROOT").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    &ROOT
}

/// The shipped tables.
pub(crate) fn tables() -> Tables {
    Tables::read(root().join("scenes/v1")).expect("the shipped tables are good")
}

/// Gives each edge the delay, in time steps, of its source type and its target's cell type.
pub(crate) fn set_delays(network: &mut Network, delay_steps: impl Fn(usize, usize) -> u32) {
    for source in 0..network.n_sources() {
        let source_type = network.source_type(source);
        for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let word = network.rows.targets[edge];
            let delay = delay_steps(source_type, network.neurons.target_cell_type(word));
            network.rows.targets[edge] = pack_target(target_neuron(word), delay);
        }
    }
}

/// A file of the published data. Tests that need one are ignored, with the reason, where the build found no such data
/// (`published_data` of build.rs); what is asked for must then be there.
pub(crate) fn published_file(path: &str) -> PathBuf {
    let folder =
        std::env::var_os("SIMRUN_SHARED_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let file = folder.join(path);
    assert!(
        file.exists(),
        "{} is missing (SIMRUN_SHARED_DATA names the folder of published data)",
        file.display()
    );
    file
}

/// A golden file of NEST: all of it where the published data are at hand, else the part that the project ships.
pub(crate) fn golden_file(published: &str, shipped: &str) -> PathBuf {
    if cfg!(published_data) { published_file(published) } else { root().join("tests/golden").join(shipped) }
}

/// One run of NEST 3.10 (`glif_psc_double_alpha`, dt 0.25 ms, 1000 ms): a cell with a current step from
/// [`STEP_START_MS`] to [`STEP_STOP_MS`].
pub(crate) struct CurrentStep {
    /// The cell.
    pub(crate) cell: CellModel,
    /// Current of the step, pA.
    pub(crate) current_pa: f64,
    /// Spike times, ms.
    pub(crate) spikes_ms: Vec<f64>,
    /// Potentials at times: (ms, mV).
    pub(crate) potentials: Vec<(f64, f64)>,
}

/// Time step of the golden current steps, ms.
pub(crate) const STEP_DT_MS: f64 = 0.25;
/// Start and end of the current as they act on the membrane, ms: NEST applies a current one step after it is set.
pub(crate) const STEP_START_MS: f64 = 100.25;
/// See [`STEP_START_MS`].
pub(crate) const STEP_STOP_MS: f64 = 900.25;
/// Length of the golden runs, ms.
pub(crate) const STEP_DURATION_MS: f64 = 1000.0;

/// The golden current steps, three currents a cell: 100 cells, or the 8 that the project ships.
pub(crate) fn golden_current_steps(tables: &Tables) -> Vec<CurrentStep> {
    let file = golden_file("golden/nest310_glif3_current_steps_dt0.25.json", "nest_current_steps.json");
    let text = std::fs::read_to_string(file).expect("readable");
    let cells: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut runs = Vec::new();
    for (id, entry) in cells.as_object().expect("an object by model id") {
        let cell = cell_model(tables, id.parse().expect("a model id"));
        for step in entry["steps"].as_object().expect("an object by current").values() {
            let number = |v: &serde_json::Value| v.as_f64().expect("a number");
            runs.push(CurrentStep {
                cell: cell.clone(),
                current_pa: number(&step["I"]),
                spikes_ms: step["spikes"].as_array().expect("a list").iter().map(number).collect(),
                potentials: step["V_at"]
                    .as_object()
                    .expect("an object by time")
                    .iter()
                    .map(|(t, v)| (t.parse().expect("a time"), number(v)))
                    .collect(),
            });
        }
    }
    let n_cells = if cfg!(published_data) { 100 } else { 8 };
    assert_eq!(runs.len(), 3 * n_cells, "three currents a cell");
    runs
}

/// The cell model of a published id.
pub(crate) fn cell_model(tables: &Tables, id: u64) -> CellModel {
    let ix = tables.cell_ix(id).unwrap_or_else(|| panic!("no cell model {id} in the tables"));
    tables.cells[ix].model.clone()
}

/// Somatic potential above E_L, mV, of a cell at rest that receives one arrival of `weight` of a class at the start, with
/// spikes off, `[n_steps + 1]`.
pub(crate) fn run_psp(
    cell: &CellModel,
    mode: CellMode,
    ports: &Ports,
    class_ix: usize,
    weight: f64,
    dt_ms: f64,
    n_steps: usize,
) -> Vec<f64> {
    let synapse = Synapse { class_ix, weight, hold_mv: None };
    record_pair(cell, mode, ports, synapse, dt_ms, n_steps).soma_mv
}

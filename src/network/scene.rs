//! The parts of a scene that the builder reads itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What recurrent weights are drawn from. The wiring is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecurrentWeightsScene {
    /// The PSPs measured for each pair of cell types, the stronger the more alike the preferred directions (published).
    #[default]
    Measured,
    /// One log-normal law for all excitatory and one for all inhibitory edges, pooled over the measured pairs, whatever the cell
    /// types and directions: a start that knows nothing of pair types.
    Pooled,
}

/// Cells and synapses of an EM volume, one row each, CSV with a header or `.parquet`. Synapses of a pair become one edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmScene {
    /// Table of cells (id, cell type, position in nm), relative to the scene's own file. Cells beyond `radius_um` are left out.
    pub cells: PathBuf,
    /// Table of synapses (presynaptic id, postsynaptic id, size), relative to the scene's own file.
    pub synapses: PathBuf,
    /// This project's cell type for each name of the table; names that are this project's need no entry.
    #[serde(default)]
    pub cell_types: BTreeMap<String, String>,
    /// Share of faulty rows of either table above which the run stops, in [0, 1].
    #[serde(default = "default_max_faulty")]
    pub max_faulty: f64,
    /// Names of the columns of EM tables; by default those of these fields.
    #[serde(default)]
    pub columns: EmColumnsScene,
}

/// Names of the columns of EM tables; by default those of these fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmColumnsScene {
    /// Id of a cell.
    pub id: String,
    /// Type of a cell.
    pub cell_type: String,
    /// Position in the sheet, nm.
    pub x: String,
    /// Position along the depth, nm, growing downwards.
    pub y: String,
    /// Position in the sheet, nm.
    pub z: String,
    /// Presynaptic id of a synapse.
    pub pre_id: String,
    /// Postsynaptic id of a synapse.
    pub post_id: String,
    /// Size of a synapse.
    pub size: String,
}

impl Default for EmColumnsScene {
    fn default() -> Self {
        let [id, cell_type, x, y, z, pre_id, post_id, size] =
            ["id", "cell_type", "x", "y", "z", "pre_id", "post_id", "size"].map(str::to_owned);
        Self { id, cell_type, x, y, z, pre_id, post_id, size }
    }
}

fn default_max_faulty() -> f64 {
    0.01
}

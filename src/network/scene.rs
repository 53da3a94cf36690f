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

/// Cells that are taken out of a network, with all their edges. The others keep their names, places and edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LesionScene {
    /// A share of the cells of a cell type or of a class over all layers, each in (0, 1), e.g. `{"L4_PV": 0.1}` or `{"PV": 0.1}`; drawn by the
    /// scene's seed, rounded to whole cells.
    Share(BTreeMap<String, f64>),
    /// These, by id: the running ids of a built network, or the ids of the EM table's cells.
    Cells(Vec<u64>),
}

/// Cells and synapses of an EM volume, one row each: CSV with a header (also `.gz` or `.zst`), Parquet, Feather, or a folder of such parts.
/// Synapses of a pair become one edge. The id 0 is no cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmScene {
    /// Table of cells (id, cell type, position), relative to the scene's own file. Cells beyond `radius_um` are left out.
    pub cells: PathBuf,
    /// Table of synapses (presynaptic id, postsynaptic id, size), relative to the scene's own file.
    pub synapses: PathBuf,
    /// This project's cell type for each name of the table; names that are this project's need no entry.
    #[serde(default)]
    pub cell_types: BTreeMap<String, String>,
    /// Names of types that are no neurons: left out and counted, no fault. Case does not matter.
    #[serde(default = "default_leave_out")]
    pub leave_out: Vec<String>,
    /// Size of a unit of the positions along x, y and z, nm, each in (0, 1e6], or one number for all: `[4, 4, 40]` for voxels of MICrONS, `[1000]`
    /// for um, `[1]` for nm. Empty: what the file says (CAVE's attribute `dataframe_resolution`), else nm, which is refused where the cells would
    /// lie as in no cortex.
    #[serde(default)]
    pub nm_per_unit: Vec<f64>,
    /// Share of faulty rows of either table above which the run stops, in [0, 1].
    #[serde(default = "default_max_faulty")]
    pub max_faulty: f64,
    /// Names of the columns of EM tables; by default those of these fields.
    #[serde(default)]
    pub columns: EmColumnsScene,
}

/// Names of the columns of EM tables; by default those of these fields, or where a table has none of that name those of CAVE's queries
/// (`pt_root_id`, `pt_position`, `pre_pt_root_id`, `post_pt_root_id`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmColumnsScene {
    /// Id of a cell.
    pub id: String,
    /// Type of a cell.
    pub cell_type: String,
    /// Position in the sheet, in units of `nm_per_unit`.
    pub x: String,
    /// Position along the depth, growing downwards.
    pub y: String,
    /// Position in the sheet.
    pub z: String,
    /// Position as a list of three numbers, or a text `[x y z]`, in place of `x`, `y` and `z`.
    pub position: Option<String>,
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
        Self { id, cell_type, x, y, z, position: None, pre_id, post_id, size }
    }
}

fn default_leave_out() -> Vec<String> {
    [
        "astrocyte",
        "oligo",
        "oligodendrocyte",
        "OPC",
        "microglia",
        "glia",
        "pericyte",
        "endothelial",
        "fibroblast",
        "nonneuron",
        "non-neuronal",
    ]
    .map(str::to_owned)
    .into()
}

fn default_max_faulty() -> f64 {
    0.01
}

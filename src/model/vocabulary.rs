//! The words that network and dynamics share: cell types, source types, synaptic classes, and a fitted cell model.

/// Number of cell types (a layer and a class, e.g. `L2/3_Exc`), the unit of connectivity tables and targets.
pub const N_CELL_TYPES: usize = 19;
/// Source types: the cell types, then LGN, then background. Together with the target's cell type they make a *pair type*.
pub const N_SOURCE_TYPES: usize = N_CELL_TYPES + 2;
/// Source type of every LGN unit.
pub const SOURCE_TYPE_LGN: usize = N_CELL_TYPES;
/// Source type of every background unit.
pub const SOURCE_TYPE_BACKGROUND: usize = N_CELL_TYPES + 1;
/// Synaptic classes of a source: e23 e4 e5et e5it e5np e6 pv sst vip, and exc for LGN and background.
pub const N_CLASSES: usize = 10;

/// Cell types in table order; index = `cell_type_ix`.
pub const CELL_TYPES: [&str; N_CELL_TYPES] = [
    "L1_Inh", "L2/3_Exc", "L2/3_PV", "L2/3_SST", "L2/3_VIP", "L4_Exc", "L4_PV", "L4_SST", "L4_VIP", "L5_ET",
    "L5_IT", "L5_NP", "L5_PV", "L5_SST", "L5_VIP", "L6_Exc", "L6_PV", "L6_SST", "L6_VIP",
];

/// Synaptic classes in table order; index = `class_ix`.
pub const CLASSES: [&str; N_CLASSES] = ["e23", "e4", "e5et", "e5it", "e5np", "e6", "pv", "sst", "vip", "exc"];

/// Synaptic class of each source type (cell types in the order of [`CELL_TYPES`], then LGN, then background).
/// Layer 1 interneurons use the kinetics of `vip`.
pub const CLASS_OF_SOURCE_TYPE: [usize; N_SOURCE_TYPES] =
    [8, 0, 6, 7, 8, 1, 6, 7, 8, 2, 3, 4, 6, 7, 8, 5, 6, 7, 8, 9, 9];

/// Whether a synaptic class is inhibitory (pv, sst, vip).
pub const fn class_is_inhibitory(class_ix: usize) -> bool {
    matches!(class_ix, 6..=8)
}

/// Most cell types of a network: an edge's word has five bits for its target's.
pub const MAX_CELL_TYPES: usize = 32;

/// The types of a network: its cell types, what its sources are, and which share a synaptic class. The default is that of mouse V1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Names of the cell types, at most [`MAX_CELL_TYPES`]; index = `cell_type_ix`.
    pub cell_types: Vec<String>,
    /// Names of the types of the other sources, which follow the cell types as source types.
    pub unit_types: Vec<String>,
    /// Synaptic class of each source type, `[n_source_types]`.
    pub class_of_source_type: Vec<usize>,
    /// Whether each class is inhibitory, `[n_classes]`.
    pub class_is_inhibitory: Vec<bool>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self {
            cell_types: CELL_TYPES.map(str::to_owned).to_vec(),
            unit_types: ["LGN", "background"].map(str::to_owned).to_vec(),
            class_of_source_type: CLASS_OF_SOURCE_TYPE.to_vec(),
            class_is_inhibitory: (0..N_CLASSES).map(class_is_inhibitory).collect(),
        }
    }
}

impl Vocabulary {
    /// Number of cell types.
    pub fn n_cell_types(&self) -> usize {
        self.cell_types.len()
    }

    /// Number of source types.
    pub fn n_source_types(&self) -> usize {
        self.class_of_source_type.len()
    }

    /// Number of pair types: (source type, target cell type).
    pub fn n_pair_types(&self) -> usize {
        self.n_source_types() * self.n_cell_types()
    }

    /// Whether the cell types are those of mouse V1 ([`CELL_TYPES`]), with which the recordings are compared.
    pub fn has_v1_cell_types(&self) -> bool {
        self.cell_types == CELL_TYPES
    }

    /// Whether a source type is inhibitory.
    pub fn is_inhibitory(&self, source_type_ix: usize) -> bool {
        self.class_is_inhibitory[self.class_of_source_type[source_type_ix]]
    }
}

/// One fitted GLIF3 cell model (Teeter et al. 2018; Allen Cell Types Database).
#[derive(Clone, Debug, PartialEq)]
pub struct CellModel {
    /// Published cell id (`node_type_id`).
    pub id: u64,
    /// Index of its population in the table of populations.
    pub population_ix: usize,
    /// Index of its cell type in [`CELL_TYPES`].
    pub cell_type_ix: usize,
    /// Spike threshold, mV.
    pub v_th_mv: f64,
    /// Leak reversal potential, mV.
    pub e_l_mv: f64,
    /// Potential after a spike, mV.
    pub v_reset_mv: f64,
    /// Leak conductance, nS.
    pub g_ns: f64,
    /// Membrane capacitance, pF.
    pub c_m_pf: f64,
    /// Absolute refractory period, ms.
    pub t_ref_ms: f64,
    /// Amplitudes added to the two after-spike currents at a spike, pA.
    pub asc_amp_pa: [f64; 2],
    /// Decay rates of the two after-spike currents, 1/ms.
    pub asc_decay_per_ms: [f64; 2],
}

#[cfg(test)]
impl CellModel {
    /// A cell of usual size without after-spike currents.
    pub(crate) fn sample() -> Self {
        Self {
            id: 1,
            population_ix: 0,
            cell_type_ix: 0,
            v_th_mv: -45.0,
            e_l_mv: -75.0,
            v_reset_mv: -75.0,
            g_ns: 4.0,
            c_m_pf: 80.0,
            t_ref_ms: 3.0,
            asc_amp_pa: [0.0; 2],
            asc_decay_per_ms: [0.1, 0.3],
        }
    }
}

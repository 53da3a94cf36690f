//! The network as data: neurons, sources and sparse rows of synapses; generators fill these tables.
//!
//! *Source*: anything that spikes into the network. Sources are numbered neurons first, then LGN units, then
//! background units. *Row*: all edges that leave one source. Neurons are ordered by population, so the edges of a
//! row, sorted by target, come in runs of one target cell type.

pub mod lgn_units;
mod random;
pub mod tables;

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

/// Bits of an edge's target word that hold the neuron index; the upper five hold the target's cell type.
pub const TARGET_NEURON_BITS: u32 = 27;

/// Packs a target neuron and its cell type into the word that an edge stores.
pub const fn pack_target(neuron_ix: u32, cell_type_ix: u8) -> u32 {
    ((cell_type_ix as u32) << TARGET_NEURON_BITS) | neuron_ix
}

/// Target neuron of an edge word.
pub const fn target_neuron(word: u32) -> u32 {
    word & ((1 << TARGET_NEURON_BITS) - 1)
}

/// Target cell type of an edge word.
pub const fn target_cell_type(word: u32) -> usize {
    (word >> TARGET_NEURON_BITS) as usize
}

/// One fitted GLIF3 cell model (Teeter et al. 2018; Allen Cell Types Database).
#[derive(Clone, Debug, PartialEq)]
pub struct CellModel {
    /// Published cell id (`node_type_id`).
    pub id: u64,
    /// Index of its population in [`Network::populations`].
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

/// A population of the table `scenes/v1/populations.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// Name, e.g. `e23Cux2`.
    pub name: String,
    /// Index of its cell type in [`CELL_TYPES`].
    pub cell_type_ix: usize,
}

/// Neurons, one entry each, ordered by population and then by cell model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neurons {
    /// Index into [`Network::cell_models`].
    pub model_ix: Vec<u16>,
    /// Index into [`Network::populations`].
    pub population_ix: Vec<u8>,
    /// Index into [`CELL_TYPES`].
    pub cell_type_ix: Vec<u8>,
    /// Position in the cortical sheet, um.
    pub x_um: Vec<f32>,
    /// Depth below the pia as a negative number, um.
    pub y_um: Vec<f32>,
    /// Position in the cortical sheet, um.
    pub z_um: Vec<f32>,
    /// Preferred direction assigned by the builder, degrees in [0, 360).
    pub tuning_angle_deg: Vec<f32>,
    /// Number of synapses the neuron receives (drawn from its population's log-normal).
    pub target_n_synapses: Vec<f32>,
}

impl Neurons {
    /// Number of neurons.
    pub fn len(&self) -> usize {
        self.model_ix.len()
    }

    /// Whether there is no neuron.
    pub fn is_empty(&self) -> bool {
        self.model_ix.is_empty()
    }
}

/// Sparse rows of synapses by source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// First edge of each row, `[n_sources + 1]`.
    pub offsets: Vec<u64>,
    /// Target neuron and its cell type ([`pack_target`]), ascending within a row, `[n_edges]`.
    pub targets: Vec<u32>,
    /// Weight >= 0, `[n_edges]`: peak synaptic conductance in nS (two-compartment mode) or peak current in pA (point
    /// mode). The sign, or the reversal potential, belongs to the class of the source.
    pub weights: Vec<f32>,
}

impl Rows {
    /// Number of edges.
    pub fn n_edges(&self) -> usize {
        self.targets.len()
    }
}

/// A built network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Populations.
    pub populations: Vec<Population>,
    /// Cell models.
    pub cell_models: Vec<CellModel>,
    /// Neurons.
    pub neurons: Neurons,
    /// Number of LGN units.
    pub n_lgn: usize,
    /// Number of background units.
    pub n_background: usize,
    /// Rows of all sources, `[neurons, LGN units, background units]`.
    pub rows: Rows,
}

impl Network {
    /// Number of sources: neurons, LGN units and background units.
    pub fn n_sources(&self) -> usize {
        self.neurons.len() + self.n_lgn + self.n_background
    }

    /// Source type of a source (cell type, or LGN, or background).
    pub fn source_type(&self, source_ix: usize) -> usize {
        let n = self.neurons.len();
        if source_ix < n {
            self.neurons.cell_type_ix[source_ix] as usize
        } else if source_ix < n + self.n_lgn {
            SOURCE_TYPE_LGN
        } else {
            SOURCE_TYPE_BACKGROUND
        }
    }
}

//! The network as data: neurons, sources and sparse rows of synapses; generators fill these tables.
//!
//! *Source*: anything that spikes into the network. Sources are numbered neurons first, then LGN units, then
//! background units. *Row*: all edges that leave one source. Neurons are ordered by population, so the edges of a
//! row, sorted by target, come in runs of one target cell type.

mod arrays;
mod build;
mod cache;
mod connection;
pub mod em;
mod lesion;
mod lgn_edges;
pub mod lgn_units;
mod names;
mod positions;
mod random;
mod recurrent;
pub mod scene;
pub mod tables;
mod weights;

use sha2::{Digest, Sha256};

pub use arrays::Edge;
pub use build::{NetworkSpec, build, build_em, cells_only, connect};
pub use cache::{build_or_load, cache_folder};
pub use connection::{EdgeCount, ExpectedEdges, expected_edges};
pub use lesion::{LesionFault, lesioned, without};
pub use names::{BUILT_POPULATION, NamedNodes, NodeNames};
pub use positions::place_neurons;
pub use weights::{PspLaw, UnitPsps, normal_quantile, psp_laws};

pub use crate::model::vocabulary::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, CLASSES, CellModel, MAX_CELL_TYPES, N_CELL_TYPES, N_CLASSES,
    N_SOURCE_TYPES, SOURCE_TYPE_BACKGROUND, SOURCE_TYPE_LGN, Vocabulary, class_is_inhibitory,
};

/// Bits of an edge's target word that hold the neuron; the upper ten hold the edge's delay.
pub const TARGET_NEURON_BITS: u32 = 22;

/// Most neurons that an edge's target word can tell apart.
pub const MAX_NEURONS: usize = 1 << TARGET_NEURON_BITS;

/// Longest delay that an edge's target word can hold, time steps.
pub const MAX_DELAY_STEPS: u32 = u32::MAX >> TARGET_NEURON_BITS;

/// Packs a target neuron, below [`MAX_NEURONS`], and a delay, 1 to [`MAX_DELAY_STEPS`] time steps, into the word that an edge stores.
pub const fn pack_target(neuron_ix: u32, delay_steps: u32) -> u32 {
    (delay_steps << TARGET_NEURON_BITS) | neuron_ix
}

/// Target neuron of an edge word.
pub const fn target_neuron(word: u32) -> u32 {
    word & (MAX_NEURONS as u32 - 1)
}

/// Delay of an edge word, time steps.
pub const fn target_delay_steps(word: u32) -> u32 {
    word >> TARGET_NEURON_BITS
}

/// A population of the table `scenes/v1/populations.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// Name, e.g. `e23Cux2`.
    pub name: String,
    /// Index of its cell type in [`Vocabulary::cell_types`].
    pub cell_type_ix: usize,
}

/// Neurons, one entry each, ordered by population and then by cell model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neurons {
    /// Index into [`Network::cell_models`].
    pub model_ix: Vec<u16>,
    /// Index into [`Network::populations`].
    pub population_ix: Vec<u8>,
    /// Index into [`Vocabulary::cell_types`].
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

    /// Cell type of the target of an edge word ([`Rows::targets`]).
    pub fn target_cell_type(&self, word: u32) -> usize {
        usize::from(self.cell_type_ix[target_neuron(word) as usize])
    }
}

/// Sparse rows of synapses by source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// First edge of each row, `[n_sources + 1]`.
    pub offsets: Vec<u64>,
    /// Target neuron and delay of each edge ([`pack_target`]); targets ascend within a row, `[n_edges]`.
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

    /// Hexadecimal SHA-256 of the edges and their weights.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(bytemuck::cast_slice::<u64, u8>(&self.offsets));
        hasher.update(bytemuck::cast_slice::<u32, u8>(&self.targets));
        hasher.update(bytemuck::cast_slice::<f32, u8>(&self.weights));
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Source types of so many LGN and background units of mouse V1.
pub fn v1_unit_types(n_lgn: usize, n_background: usize) -> Vec<u8> {
    let of = |source_type: usize, n: usize| std::iter::repeat_n(source_type as u8, n);
    of(SOURCE_TYPE_LGN, n_lgn).chain(of(SOURCE_TYPE_BACKGROUND, n_background)).collect()
}

/// A built network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Cell types, source types and synaptic classes.
    pub vocabulary: Vocabulary,
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
    /// Source type of each LGN unit, then of each background unit, `[n_lgn + n_background]`.
    pub unit_type_ix: Vec<u8>,
    /// Rows of all sources, `[neurons, LGN units, background units]`.
    pub rows: Rows,
    /// The neurons that losses and evaluation read, `[n_neurons]`, where the network says so itself; none: those within the
    /// scene's core radius.
    pub core: Option<Vec<bool>>,
    /// Summed size of the synapses of each edge between neurons, in the unit of the EM tables that it is from, `[n_edges between
    /// neurons]`; empty in other networks.
    pub em_sizes: Vec<f32>,
    /// What the neurons are called, where the network is from files of the user's; none: as in a built network
    /// of which no cell was taken out.
    pub names: Option<NodeNames>,
    /// What the LGN units and then the background units are called in the files of a circuit; none where they were
    /// drawn.
    pub unit_names: Option<NodeNames>,
}

impl Network {
    /// Number of sources: neurons, LGN units and background units.
    pub fn n_sources(&self) -> usize {
        self.neurons.len() + self.n_lgn + self.n_background
    }

    /// What the neurons are called.
    pub fn node_names(&self) -> NodeNames {
        self.names.clone().unwrap_or_else(|| NodeNames::built(self.neurons.len()))
    }

    /// Source type of a source: its cell type, or that of the unit.
    pub fn source_type(&self, source_ix: usize) -> usize {
        let n = self.neurons.len();
        usize::from(if source_ix < n {
            self.neurons.cell_type_ix[source_ix]
        } else {
            self.unit_type_ix[source_ix - n]
        })
    }
}

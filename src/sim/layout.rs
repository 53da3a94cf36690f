//! What host and device agree on: sizes, planes, offsets into the tables, and the uniform of a step.
//!
//! This is the only file that defines structs and numbers that WGSL sees. [`Layout::prelude`] writes them as constants in
//! front of every kernel; `tests/layout.rs` holds the structs against the offsets that naga reflects.

use std::fmt::Write as _;
use std::ops::Range;

use super::LearnWeights;
use crate::model::Dynamics;
use crate::model::cell::{CellConstants, cell_constants};
use crate::model::direction_bins::{DIRECTION_BINS_PER_DEG, MAX_LIKE_GROUPS, N_DIRECTION_BINS};
use crate::model::kinetics::Ports;
use crate::model::membrane::{LEARNABLE, Membrane, N_CELL_PARAMETERS};
use crate::model::rng::Stream;
use crate::model::weight_bins::{FIRST_WEIGHT_BIN, N_WEIGHT_BINS};
use crate::network::{CellModel, Network, Neurons, TARGET_NEURON_BITS};

/// Uniform of one dispatch. Twin: `Step` in `shaders/shared/step.wgsl`, which documents the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct StepUniform {
    pub step: u32,
    pub slot: u32,
    pub first_arrival_step: u32,
    pub spike_step: u32,
    pub seed_low: u32,
    pub seed_high: u32,
    pub in_window: f32,
    pub current_gate: f32,
    pub arrival_scale: f32,
    pub arrival_unit: f32,
    pub voltage_weight: f32,
    pub x_low: f32,
    pub x_high: f32,
    pub time_ms: f32,
    pub recurrent_damping: f32,
    pub membrane_damping: f32,
}

/// Uniform of an optimiser step. Twin: `Update` in `shaders/update_weights.wgsl`, which documents the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct UpdateUniform {
    pub learning_rate: f32,
    pub beta_1: f32,
    pub beta_2: f32,
    pub bias_1: f32,
    pub bias_2: f32,
    pub epsilon: f32,
    pub clip: f32,
    pub exponentiated: u32,
}

/// Distance between two uniforms, bytes: the alignment that every adapter accepts.
pub const UNIFORM_STRIDE: usize = 256;

/// Status code that a kernel raises where the state is not finite.
pub const STATUS_NOT_FINITE: u32 = 1;

/// Status code that a kernel raises where more arrived in a step than there is room for.
pub const STATUS_OVERFLOW: u32 = 2;

/// Kernels by the number that the status word names them with.
pub const STATUS_KERNELS: [&str; 3] = ["", "neuron_forward", "neuron_adjoint"];

/// Edges of a chunk, the piece of a row that a workgroup takes where few rows are walked. About a usual row of a neuron, so that the
/// list of chunks is hardly longer than one of rows.
pub const CHUNK_EDGES: usize = 512;

/// Chunks of a row of so many edges.
pub fn n_chunks(n_edges: u64) -> usize {
    (n_edges as usize).div_ceil(CHUNK_EDGES)
}

/// Which sources rows of synapses belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Neurons.
    Neurons,
    /// LGN units.
    Lgn,
    /// Background units.
    Background,
}

impl RowKind {
    /// Each kind with its sources.
    pub(super) fn sources(network: &Network) -> [(Self, Range<usize>); 3] {
        let (n, units) = (network.neurons.len(), network.neurons.len() + network.n_lgn);
        [(Self::Neurons, 0..n), (Self::Lgn, n..units), (Self::Background, units..network.n_sources())]
    }

    /// Whether the weights of these rows are among those that are learned.
    pub(super) fn learned(self, learn: LearnWeights) -> bool {
        match self {
            Self::Neurons => learn.recurrent,
            Self::Lgn => learn.lgn,
            Self::Background => learn.background,
        }
    }

    /// For labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Neurons => "recurrent",
            Self::Lgn => "LGN",
            Self::Background => "background",
        }
    }
}

/// Fields of the header of a table of rows (`shaders/shared/rows.wgsl`), in order.
const ROW_FIELDS: [&str; 6] = ["FIRST_SOURCE", "N", "KIND", "FIRST_EDGE", "FIRST_CHUNK", "N_CHUNKS"];

/// Words before the offsets of a table of rows.
pub(super) const ROWS_HEADER: usize = ROW_FIELDS.len();

/// The header of the rows of some sources, whose first edge in their shard and whose chunks are given.
pub(super) fn rows_header(
    sources: &Range<usize>,
    kind: RowKind,
    first_edge: u32,
    chunks: Range<u32>,
) -> [u32; ROWS_HEADER] {
    [
        sources.start as u32,
        sources.len() as u32,
        kind as u32,
        first_edge,
        chunks.start,
        chunks.end - chunks.start,
    ]
}

/// Constants of a cell model in the tables that every membrane has, in order; those of the membrane follow.
const CELL_FIELDS: [&str; 12] = [
    "THRESHOLD",
    "SCALE",
    "RESET",
    "REFRACTORY_STEPS",
    "ASC_MEAN_1",
    "ASC_MEAN_2",
    "ASC_DECAY_1",
    "ASC_DECAY_2",
    "ASC_KEEP_1",
    "ASC_KEEP_2",
    "ASC_AMP_1",
    "ASC_AMP_2",
];

/// Constants of a port of a cell model that every membrane has; those of the membrane follow.
const PORT_FIELDS: [&str; 1] = ["DECAY"];

/// Lists in a spikes buffer: chunks of the rows of sources that spiked; neurons with psi not 0.
const LISTS: [&str; 2] = ["CHUNKS", "ACTIVE"];

/// Planes of the seeds, the derivatives of the loss by what it looks at itself: by the spike counts; where it looks at potentials (A11),
/// the step after which it does, and the derivative by the potential. Behind them lie those by the groups' spikes in each step.
const SEEDS_PLANES: [&str; 3] = ["COUNT", "POTENTIAL_STEP", "POTENTIAL"];

/// All sizes of a network on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Number of neurons.
    pub n_neurons: usize,
    /// Number of LGN units.
    pub n_lgn: usize,
    /// Number of background units.
    pub n_background: usize,
    /// Number of trials of a batch, 1 to 32.
    pub n_trials: usize,
    /// Slots of the arrivals ring: longest delay + 1.
    pub n_slots: usize,
    /// Number of cell models.
    pub n_models: usize,
    /// Number of ports of a neuron.
    pub n_ports: usize,
    /// Whether neurons get an injected current.
    pub has_current: bool,
    /// What the membrane has.
    pub membrane: &'static Membrane,
    /// Whether neurons start held at a potential and the loss looks at potentials (A11).
    pub has_potential_seeds: bool,
    /// Groups of neurons whose spikes are counted in every step, 0 to 32.
    pub n_groups: usize,
    /// Number of chunks of all rows.
    pub n_chunks: usize,
    /// Number of cell types.
    pub n_cell_types: usize,
    /// Number of source types.
    pub n_source_types: usize,
    /// Number of synaptic classes.
    pub n_classes: usize,
    /// Number of synaptic target types.
    pub n_target_types: usize,
    /// Whether a port sits on the soma, `[n_ports]`.
    on_soma: Vec<bool>,
    /// Ports that each class has a gain on, for some target type, `[n_classes]`.
    ports_of_class: Vec<Vec<usize>>,
    dt_ms: f64,
    half_width: f64,
    height: f64,
}

impl Layout {
    /// Sizes for a network, its dynamics and a batch.
    pub fn new(network: &Network, dynamics: &Dynamics, n_trials: usize, has_current: bool) -> Self {
        Self {
            n_neurons: network.neurons.len(),
            n_lgn: network.n_lgn,
            n_background: network.n_background,
            n_trials,
            n_slots: dynamics.max_delay_steps as usize + 1,
            n_models: network.cell_models.len(),
            n_ports: dynamics.ports.n_ports,
            has_current,
            membrane: dynamics.mode.membrane(),
            has_potential_seeds: false,
            n_groups: 0,
            n_chunks: network.rows.offsets.windows(2).map(|row| n_chunks(row[1] - row[0])).sum(),
            n_cell_types: network.vocabulary.n_cell_types(),
            n_source_types: network.vocabulary.n_source_types(),
            n_classes: dynamics.ports.n_classes,
            n_target_types: dynamics.ports.n_target_types(),
            on_soma: dynamics.ports.on_soma.clone(),
            ports_of_class: ports_of_class(&dynamics.ports),
            dt_ms: dynamics.dt_ms,
            half_width: dynamics.surrogate.half_width,
            height: dynamics.surrogate.height,
        }
    }

    /// The same for neurons that start held at a potential, with a loss that looks at potentials.
    #[must_use]
    pub fn with_potential_seeds(self) -> Self {
        Self { has_potential_seeds: true, ..self }
    }

    /// The same with groups of neurons whose spikes are counted in every step.
    #[must_use]
    pub fn with_groups(self, n_groups: usize) -> Self {
        Self { n_groups, ..self }
    }

    /// Pair types: (source type, target cell type).
    pub fn n_pair_types(&self) -> usize {
        self.n_source_types * self.n_cell_types
    }

    /// The pairs buffer starts with the factors before and after an update, `[n_pair_types]` each; then comes the largest weight, then
    /// for the structure terms slopes and counts of weights, `[n_pair_types][N_WEIGHT_BINS]` each; then for the like-to-like term which
    /// group a pair type is (0: none, else group + 1), the groups' slopes by direction, and their counts by direction and weight.
    pub fn pairs_largest(&self) -> usize {
        2 * self.n_pair_types()
    }

    /// First of the slopes.
    pub fn pairs_slopes(&self) -> usize {
        self.pairs_largest() + 1
    }

    /// First of the counts.
    pub fn pairs_counts(&self) -> usize {
        self.pairs_slopes() + self.n_pair_types() * N_WEIGHT_BINS
    }

    /// First of the groups of the pair types.
    pub fn pairs_like(&self) -> usize {
        self.pairs_counts() + self.n_pair_types() * N_WEIGHT_BINS
    }

    /// First of the like-to-like slopes, `[MAX_LIKE_GROUPS][N_DIRECTION_BINS]`.
    pub fn pairs_like_slopes(&self) -> usize {
        self.pairs_like() + self.n_pair_types()
    }

    /// First of the like-to-like counts, `[MAX_LIKE_GROUPS][N_DIRECTION_BINS][N_WEIGHT_BINS]`.
    pub fn pairs_like_counts(&self) -> usize {
        self.pairs_like_slopes() + MAX_LIKE_GROUPS * N_DIRECTION_BINS
    }

    /// Words of the whole buffer with structure terms.
    pub fn pairs_words(&self) -> usize {
        self.pairs_like_counts() + MAX_LIKE_GROUPS * N_DIRECTION_BINS * N_WEIGHT_BINS
    }

    /// Number of sources.
    pub fn n_sources(&self) -> usize {
        self.n_neurons + self.n_lgn + self.n_background
    }

    /// Words of one plane: one number for each neuron and trial.
    pub fn plane_words(&self) -> usize {
        self.n_neurons * self.n_trials
    }

    /// Names of the state's planes before the ports.
    fn state_planes(&self) -> Vec<&'static str> {
        let mut planes = vec!["COUNT", "U_S", "ASC_1", "ASC_2", "REFRACTORY"];
        planes.extend(self.membrane.state_planes);
        if self.has_current {
            planes.push("CURRENT");
        }
        planes
    }

    /// Words of the state.
    pub fn state_words(&self) -> usize {
        (self.state_planes().len() + 2 * self.n_ports) * self.plane_words()
    }

    /// First word of a plane of the state (`COUNT`, `U_S`, ...), if the state has it.
    pub fn state_plane(&self, name: &str) -> Option<usize> {
        self.state_planes().iter().position(|p| *p == name).map(|plane| plane * self.plane_words())
    }

    fn tape_planes(&self) -> Vec<&'static str> {
        ["U_S"].iter().chain(self.membrane.tape_planes).copied().collect()
    }

    /// First word of a plane of the tape, if it has it.
    pub(super) fn tape_plane(&self, name: &str) -> Option<usize> {
        self.tape_planes().iter().position(|p| *p == name).map(|plane| plane * self.plane_words())
    }

    /// Words of the tape of one step.
    pub fn tape_words(&self) -> usize {
        self.tape_planes().len() * self.plane_words()
    }

    /// Planes of the adjoint before the ports: the state's, then the penalty's value, then the gradients.
    fn adjoint_planes(&self) -> Vec<&'static str> {
        let mut planes = vec!["U_S", "ASC_1", "ASC_2", "VOLTAGE_LOSS"];
        planes.extend(self.membrane.state_planes);
        if self.has_potential_seeds {
            planes.push("CURRENT");
        }
        planes.extend(LEARNABLE.iter().map(|parameter| parameter.plane));
        planes
    }

    /// First word of a plane of the adjoint, if it has it.
    pub(super) fn adjoint_plane(&self, name: &str) -> Option<usize> {
        self.adjoint_planes().iter().position(|p| *p == name).map(|plane| plane * self.plane_words())
    }

    /// Pieces of four trials that hold all trials of a neuron: a *record* of the adjoint of arrivals or of spikes. Trials after the
    /// last are there for the sake of wide loads alone.
    pub fn record_vec4s(&self) -> usize {
        self.n_trials.div_ceil(4)
    }

    /// Words of the adjoint of the spikes, a record a neuron.
    pub fn adj_spike_words(&self) -> usize {
        4 * self.record_vec4s() * self.n_neurons
    }

    fn seeds_planes(&self) -> &'static [&'static str] {
        if self.has_potential_seeds { &SEEDS_PLANES } else { &SEEDS_PLANES[..1] }
    }

    /// First word of a plane of the seeds (`COUNT`, ...), if they have it.
    pub(super) fn seeds_plane(&self, name: &str) -> Option<usize> {
        self.seeds_planes().iter().position(|p| *p == name).map(|plane| plane * self.plane_words())
    }

    /// First word of the seeds of the population counts, behind the planes.
    pub(super) fn seeds_population(&self) -> usize {
        self.seeds_planes().len() * self.plane_words()
    }

    /// Words of the seeds for `n_steps` steps.
    pub fn seeds_words(&self, n_steps: usize) -> usize {
        self.seeds_population() + self.population_words(n_steps)
    }

    /// Words of the population counts of `n_steps` steps, `[n_steps][n_groups][n_trials]`.
    pub fn population_words(&self, n_steps: usize) -> usize {
        n_steps * self.n_groups * self.n_trials
    }

    /// Words of the adjoint of the state.
    pub fn adjoint_words(&self) -> usize {
        (self.adjoint_planes().len() + 2 * self.n_ports) * self.plane_words()
    }

    /// First word of the plane that adds up the voltage penalty.
    pub fn voltage_loss_plane(&self) -> usize {
        self.adjoint_plane("VOLTAGE_LOSS").unwrap_or(0)
    }

    /// First word of the gradient planes, which lie one after the other in the order of [`LEARNABLE`].
    pub fn gradient_planes(&self) -> usize {
        (self.adjoint_planes().len() - LEARNABLE.len()) * self.plane_words()
    }

    /// Words of the ring of arrivals.
    pub fn ring_words(&self) -> usize {
        self.n_slots * self.n_classes * self.plane_words()
    }

    /// Words of the ring of their adjoints, in records.
    pub fn adj_ring_words(&self) -> usize {
        self.n_slots * self.n_classes * self.adj_spike_words()
    }

    /// Words of the spikes of one step: list lengths, masks, held masks, masks with psi not 0, list of chunks, active list.
    pub fn spikes_words(&self) -> usize {
        self.spikes_active() + self.n_neurons
    }

    /// First word of the masks of spiked trials, `[n_sources]`.
    pub fn spikes_mask(&self) -> usize {
        LISTS.len()
    }

    /// First word of the list of neurons with psi not 0.
    pub(super) fn spikes_active(&self) -> usize {
        self.spikes_chunks() + self.n_chunks
    }

    /// First word of the list of chunks.
    pub fn spikes_chunks(&self) -> usize {
        self.spikes_mask() + self.n_sources() + 2 * self.n_neurons
    }

    /// First word of the masks of the trials in which psi is not 0, `[n_neurons]`.
    pub(super) fn spikes_near(&self) -> usize {
        self.spikes_mask() + self.n_sources() + self.n_neurons
    }

    fn cell_fields(&self) -> Vec<&'static str> {
        CELL_FIELDS.iter().chain(self.membrane.cell_fields).copied().collect()
    }
    fn port_fields(&self) -> Vec<&'static str> {
        PORT_FIELDS.iter().chain(self.membrane.port_fields).copied().collect()
    }
    fn table_neurons(&self) -> usize {
        0
    }
    fn table_units(&self) -> usize {
        self.table_neurons() + self.n_neurons
    }
    fn table_chunks(&self) -> usize {
        self.table_units() + self.n_lgn + self.n_background
    }
    fn table_classes(&self) -> usize {
        self.table_chunks() + self.n_sources() + 1
    }
    fn table_gains(&self) -> usize {
        self.table_classes() + self.n_source_types
    }
    /// First word of the constants of the cells, which learning changes.
    pub fn table_cells(&self) -> usize {
        self.table_gains() + self.n_target_types * self.n_classes * self.n_ports
    }
    fn table_ports(&self) -> usize {
        self.table_cells() + self.n_models * self.cell_fields().len()
    }
    /// First word of the preferred direction of each neuron, deg.
    pub(super) fn table_angles(&self) -> usize {
        self.table_ports() + self.n_models * self.n_ports * self.port_fields().len()
    }
    /// First word of the masks of the groups of each neuron, behind everything else.
    pub fn table_groups(&self) -> usize {
        self.table_angles() + self.n_neurons
    }

    /// The constants that stand in front of every kernel.
    pub fn prelude(&self) -> String {
        let mut text = String::from("// Constants of this network, from src/sim/layout.rs.\n");
        let mut number = |name: &str, value: usize| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "const {name}: u32 = {value}u;");
        };
        number("N_NEURONS", self.n_neurons);
        number("N_LGN", self.n_lgn);
        number("N_BACKGROUND", self.n_background);
        number("N_SOURCES", self.n_sources());
        number("N_TRIALS", self.n_trials);
        number("N_SLOTS", self.n_slots);
        number("N_PORTS", self.n_ports);
        number("N_CLASSES", self.n_classes);
        number("N_CELL_TYPES", self.n_cell_types);
        number("N_PAIR_TYPES", self.n_pair_types());
        number("N_WEIGHT_BINS", N_WEIGHT_BINS);
        number("FIRST_WEIGHT_BIN", FIRST_WEIGHT_BIN);
        number("PAIRS_LARGEST", self.pairs_largest());
        number("PAIRS_SLOPES", self.pairs_slopes());
        number("PAIRS_COUNTS", self.pairs_counts());
        number("PAIRS_LIKE", self.pairs_like());
        number("PAIRS_LIKE_SLOPES", self.pairs_like_slopes());
        number("PAIRS_LIKE_COUNTS", self.pairs_like_counts());
        number("N_DIRECTION_BINS", N_DIRECTION_BINS);
        number("TABLE_ANGLES", self.table_angles());
        number("TARGET_NEURON_BITS", TARGET_NEURON_BITS as usize);
        number("TARGET_NEURON_MASK", (1 << TARGET_NEURON_BITS) - 1);
        number("TABLE_NEURONS", self.table_neurons());
        number("TABLE_UNITS", self.table_units());
        number("TABLE_CHUNKS", self.table_chunks());
        number("TABLE_CLASSES", self.table_classes());
        number("TABLE_GAINS", self.table_gains());
        number("TABLE_CELLS", self.table_cells());
        number("TABLE_PORTS", self.table_ports());
        number("TABLE_GROUPS", self.table_groups());
        number("N_GROUPS", self.n_groups);
        number("SEEDS_POPULATION", self.seeds_population());
        number("RECORD", self.record_vec4s());
        number("CHUNK_EDGES", CHUNK_EDGES);
        number("ROWS_HEADER", ROWS_HEADER);
        number("ROWS_OF_NEURONS", RowKind::Neurons as usize);
        number("CELL_STRIDE", self.cell_fields().len());
        number("PORT_STRIDE", self.port_fields().len());
        number("SPIKES_COUNTS", 0);
        number("SPIKES_MASK", self.spikes_mask());
        number("SPIKES_HELD", self.spikes_mask() + self.n_sources());
        number("SPIKES_NEAR", self.spikes_near());
        number("SPIKES_CHUNKS", self.spikes_chunks());
        number("SPIKES_ACTIVE", self.spikes_active());
        number("STATUS_NOT_FINITE", STATUS_NOT_FINITE as usize);
        number("STATUS_OVERFLOW", STATUS_OVERFLOW as usize);
        number("STREAM_SOURCE_SPIKES", Stream::SourceSpikes as usize);
        number("KERNEL_NEURON_FORWARD", 1);
        number("KERNEL_NEURON_ADJOINT", 2);
        let mut enumerate = |prefix: &str, names: &[&str]| {
            for (i, name) in names.iter().enumerate() {
                number(&format!("{prefix}_{name}"), i);
            }
            number(&format!("{prefix}_PORTS"), names.len());
        };
        enumerate("STATE", &self.state_planes());
        enumerate("TAPE", &self.tape_planes());
        enumerate("ADJ", &self.adjoint_planes());
        enumerate("CELL", &self.cell_fields());
        enumerate("PORT", &self.port_fields());
        enumerate("LIST", &LISTS);
        enumerate("ROWS", &ROW_FIELDS);
        enumerate("SEEDS", self.seeds_planes());
        if !self.has_current {
            // Named in a branch that is never taken.
            number("STATE_CURRENT", 0);
        }
        if !self.has_potential_seeds {
            number("ADJ_CURRENT", 0);
            number("SEEDS_POTENTIAL_STEP", 0);
            number("SEEDS_POTENTIAL", 0);
        }
        let _ = writeln!(text, "const HAS_CURRENT: bool = {};", self.has_current);
        let _ = writeln!(text, "const HAS_POTENTIAL_SEEDS: bool = {};", self.has_potential_seeds);
        let _ = writeln!(text, "const DIRECTION_BINS_PER_DEG: f32 = {DIRECTION_BINS_PER_DEG:?};");
        let _ = writeln!(text, "const DT_MS: f32 = {:?};", self.dt_ms as f32);
        let _ = writeln!(text, "const SURROGATE_HALF_WIDTH: f32 = {:?};", self.half_width as f32);
        let _ = writeln!(text, "const SURROGATE_HEIGHT: f32 = {:?};", self.height as f32);
        text
    }

    /// The numbers for which `//!for` repeats a block of a kernel ([`super::shaders`]); `of` is the number of the outer block.
    pub(super) fn list(&self, name: &str, of: Option<usize>) -> Option<Vec<usize>> {
        match (name, of) {
            ("RECORD", None) => Some((0..self.record_vec4s()).collect()),
            ("CLASSES", None) => Some((0..self.n_classes).collect()),
            ("PORTS", None) => Some((0..self.n_ports).collect()),
            ("PORTS", Some(class_ix)) => self.ports_of_class.get(class_ix).cloned(),
            ("SOMA_PORTS", None) => Some((0..self.n_ports).filter(|p| self.on_soma[*p]).collect()),
            ("DENDRITE_PORTS", None) => Some((0..self.n_ports).filter(|p| !self.on_soma[*p]).collect()),
            _ => None,
        }
    }

    /// The neurons' words, with which the tables start: cell model, target type, cell type.
    pub fn neuron_words(&self, neurons: &Neurons, ports: &Ports) -> Vec<u32> {
        (0..self.n_neurons)
            .map(|i| {
                let cell_type = u32::from(neurons.cell_type_ix[i]);
                let target_type = ports.target_type_of[cell_type as usize] as u32;
                u32::from(neurons.model_ix[i]) | target_type << 16 | cell_type << 24
            })
            .collect()
    }

    /// First chunk of each source's row, and the end of the last; a network made by hand may leave the rows out.
    pub(super) fn first_chunks(&self, network: &Network) -> Vec<u32> {
        let mut first = vec![0; self.n_sources() + 1];
        for (source, row) in network.rows.offsets.windows(2).enumerate() {
            first[source + 1] = first[source] + n_chunks(row[1] - row[0]) as u32;
        }
        first
    }

    /// The tables for the device: neurons, units, chunks, classes, gains, then cells and ports ([`Layout::cell_tables`]).
    pub fn tables(
        &self,
        network: &Network,
        dynamics: &Dynamics,
        theta: &[[f64; N_CELL_PARAMETERS]],
    ) -> Vec<u32> {
        let mut words = self.neuron_words(&network.neurons, &dynamics.ports);
        words.extend(network.unit_type_ix.iter().map(|source_type| u32::from(*source_type)));
        words.extend(self.first_chunks(network));
        words.extend(network.vocabulary.class_of_source_type.iter().map(|c| *c as u32));
        for target_type in 0..self.n_target_types {
            for class_ix in 0..self.n_classes {
                words.extend(
                    (0..self.n_ports).map(|p| bits(dynamics.ports.gain_per_ms(target_type, class_ix, p))),
                );
            }
        }
        words.extend(self.cell_tables(&network.cell_models, dynamics, theta));
        // A network made by hand may leave the directions out.
        words.extend((0..self.n_neurons).map(|i| neurons_angle(&network.neurons, i).to_bits()));
        words
    }

    /// The constants of cells and ports with learned offsets: the part of the tables that changes from training step to
    /// training step. Starts at [`Layout::table_cells`].
    pub fn cell_tables(
        &self,
        cell_models: &[CellModel],
        dynamics: &Dynamics,
        theta: &[[f64; N_CELL_PARAMETERS]],
    ) -> Vec<u32> {
        let (mut cells, mut ports) = (Vec::new(), Vec::new());
        for (model, theta) in cell_models.iter().zip(theta) {
            let of_cell = dynamics.ports.of_cell(model.cell_type_ix);
            let constants = cell_constants(model, dynamics.mode, &of_cell, dynamics.dt_ms, theta);
            cells.extend(cell_words(&constants));
            for (p, decay) in constants.port_decay.iter().enumerate() {
                ports.push(bits(*decay));
                ports.extend(constants.membrane.port_words(p).into_iter().map(bits));
            }
        }
        cells.extend(ports);
        cells
    }
}

/// Ports on which a class has a gain for some target type; those of all others are zero whatever the network.
fn ports_of_class(ports: &Ports) -> Vec<Vec<usize>> {
    let has_gain = |class_ix: usize, p: usize| {
        (0..ports.n_target_types()).any(|type_ix| ports.coef(type_ix, class_ix, p) != 0.0)
    };
    (0..ports.n_classes).map(|c| (0..ports.n_ports).filter(|p| has_gain(c, *p)).collect()).collect()
}

fn neurons_angle(neurons: &Neurons, neuron_ix: usize) -> f32 {
    neurons.tuning_angle_deg.get(neuron_ix).copied().unwrap_or(0.0)
}

fn bits(x: f64) -> u32 {
    (x as f32).to_bits()
}

fn cell_words(c: &CellConstants<f64>) -> impl Iterator<Item = u32> {
    let own: [f64; CELL_FIELDS.len()] = [
        c.threshold_mv,
        c.threshold_scale_mv,
        c.reset_mv,
        f64::from(c.refractory_steps),
        c.asc_mean[0],
        c.asc_mean[1],
        c.asc_decay[0],
        c.asc_decay[1],
        c.asc_keep[0],
        c.asc_keep[1],
        c.asc_amp_pa[0],
        c.asc_amp_pa[1],
    ];
    own.into_iter().chain(c.membrane.cell_words()).map(bits)
}

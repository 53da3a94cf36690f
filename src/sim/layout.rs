//! What host and device agree on: sizes, planes, offsets into the tables, and the uniform of a step.
//!
//! Only this file and those in `layout/` define structs and numbers that WGSL sees. [`Layout::prelude`] writes them as constants in
//! front of every kernel; `tests/layout.rs` holds the structs against the offsets that naga reflects.

mod prelude;
mod rows;
mod tables;
mod uniforms;

use std::ops::Range;

use super::shaders::MAX_NEURON_WORKGROUP;
use crate::model::Dynamics;
use crate::model::direction_bins::{MAX_LIKE_GROUPS, N_DIRECTION_BINS};
use crate::model::kinetics::Ports;
use crate::model::membrane::{LEARNABLE, Membrane};
use crate::model::weight_bins::N_WEIGHT_BINS;
use crate::network::Network;

pub use rows::{CHUNK_EDGES, RowKind, n_chunks};
pub(super) use rows::{ROWS_HEADER, rows_header};
pub use uniforms::{
    KeepUniform, STATUS_KERNELS, STATUS_NOT_FINITE, STATUS_OVERFLOW, StepUniform, UNIFORM_STRIDE,
    UpdateUniform,
};

/// Trials that share the words of the random number generator, and a thread of the draw.
pub const DRAW_TRIALS: usize = 4;

/// Trials of a piece of a record (`shaders/shared/records.wgsl`): bit for bit, and rounded.
const WHOLE_PIECE_TRIALS: usize = 4;
const PACKED_PIECE_TRIALS: usize = 5;

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
    /// Number of trials that run side by side, 1 to 32.
    pub n_trials: usize,
    /// The first of them in its batch.
    pub first_trial: usize,
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
    /// Whether neurons start clamped to a potential and the loss looks at potentials (A11).
    pub has_potential_seeds: bool,
    /// Whether the adjoints of arrivals are rounded to 24 bits, five trials in the room of four.
    pub packed_records: bool,
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
            first_trial: 0,
            n_slots: dynamics.max_delay_steps as usize + 1,
            n_models: network.cell_models.len(),
            n_ports: dynamics.ports.n_ports,
            has_current,
            membrane: dynamics.mode.membrane(),
            has_potential_seeds: false,
            packed_records: false,
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

    /// The same for trials of a batch from `first_trial` on, a multiple of [`DRAW_TRIALS`].
    #[must_use]
    pub fn with_first_trial(self, first_trial: usize) -> Self {
        Self { first_trial, ..self }
    }

    /// The same for neurons that start clamped to a potential, with a loss that looks at potentials.
    #[must_use]
    pub fn with_potential_seeds(self) -> Self {
        Self { has_potential_seeds: true, ..self }
    }

    /// The same with groups of neurons whose spikes are counted in every step.
    #[must_use]
    pub fn with_groups(self, n_groups: usize) -> Self {
        Self { n_groups, ..self }
    }

    /// The same with packed records, where those of a whole batch of `n_all` trials take fewer of the 32-byte sectors in which hardware reads
    /// memory, and where a workgroup has room to pack them. All shares of a batch round alike.
    #[must_use]
    pub fn with_packed_records(self, n_all: usize) -> Self {
        const ROOM_BYTES: usize = 16 << 10;
        let sectors = |piece_trials: usize| n_all.div_ceil(piece_trials).div_ceil(2);
        let saves = sectors(PACKED_PIECE_TRIALS) < sectors(WHOLE_PIECE_TRIALS);
        let words = MAX_NEURON_WORKGROUP as usize * (Self::adjoint_sums().len() + self.n_classes);
        Self { packed_records: saves && 4 * words <= ROOM_BYTES, ..self }
    }

    /// Its trials, numbered in their batch.
    pub fn trials(&self) -> Range<usize> {
        self.first_trial..self.first_trial + self.n_trials
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

    /// Planes of the adjoint before the ports.
    fn adjoint_planes(&self) -> Vec<&'static str> {
        let mut planes = vec!["U_S", "ASC_1", "ASC_2"];
        planes.extend(self.membrane.state_planes);
        if self.has_potential_seeds {
            planes.push("CURRENT");
        }
        planes
    }

    /// What the adjoint adds up for each neuron over steps and trials: the value of the voltage penalty, then the gradients of its cell
    /// parameters in the order of [`LEARNABLE`].
    fn adjoint_sums() -> Vec<&'static str> {
        let gradients = LEARNABLE.iter().map(|parameter| parameter.sum);
        std::iter::once("VOLTAGE_LOSS").chain(gradients).collect()
    }

    /// First word of a plane of the adjoint, if it has it.
    pub(super) fn adjoint_plane(&self, name: &str) -> Option<usize> {
        self.adjoint_planes().iter().position(|p| *p == name).map(|plane| plane * self.plane_words())
    }

    /// Trials of a piece of a record.
    fn piece_trials(&self) -> usize {
        if self.packed_records { PACKED_PIECE_TRIALS } else { WHOLE_PIECE_TRIALS }
    }

    /// Pieces, of four words each, that hold all trials of a neuron: a *record* of the adjoint of arrivals. Trials after the last are
    /// there for the sake of wide loads alone.
    pub fn record_vec4s(&self) -> usize {
        self.n_trials.div_ceil(self.piece_trials())
    }

    /// Words of the records of all neurons.
    pub fn records_words(&self) -> usize {
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

    /// Words of the adjoint of the state, with the sums behind the planes.
    pub fn adjoint_words(&self) -> usize {
        self.adjoint_sums_start() + Self::adjoint_sums().len() * self.n_neurons
    }

    /// First word of the adjoint's sums, `[sum][n_neurons]`: the voltage penalty, then the gradients of the cell parameters.
    pub fn adjoint_sums_start(&self) -> usize {
        (self.adjoint_planes().len() + 2 * self.n_ports) * self.plane_words()
    }

    /// Words of the ring of arrivals.
    pub fn ring_words(&self) -> usize {
        self.n_slots * self.n_classes * self.plane_words()
    }

    /// Words of the ring of their adjoints, in records.
    pub fn adj_ring_words(&self) -> usize {
        self.n_slots * self.n_classes * self.records_words()
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
}

/// Ports on which a class has a gain for some target type; those of all others are zero whatever the network.
fn ports_of_class(ports: &Ports) -> Vec<Vec<usize>> {
    let has_gain = |class_ix: usize, p: usize| {
        (0..ports.n_target_types()).any(|type_ix| ports.coef(type_ix, class_ix, p) != 0.0)
    };
    (0..ports.n_classes).map(|c| (0..ports.n_ports).filter(|p| has_gain(c, *p)).collect()).collect()
}

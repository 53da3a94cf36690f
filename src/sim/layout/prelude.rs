//! The layout as WGSL: the constants in front of every kernel, and the lists that its blocks are repeated for.

use std::fmt::Write as _;

use super::rows::{ROW_FIELDS, WALK_HEADER};
use super::{CHUNK_EDGES, LISTS, Layout, ROWS_HEADER, RowKind, STATUS_NOT_FINITE, STATUS_OVERFLOW};
use crate::model::direction_bins::{DIRECTION_BINS_PER_DEG, N_DIRECTION_BINS};
use crate::model::rng::Stream;
use crate::model::weight_bins::{FIRST_WEIGHT_BIN, N_WEIGHT_BINS};
use crate::network::TARGET_NEURON_BITS;

impl Layout {
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
        number("PIECE_TRIALS", self.piece_trials());
        number("N_PACKED_CLASSES", if self.packed_records { self.n_classes } else { 1 });
        number("CHUNK_EDGES", CHUNK_EDGES);
        number("ROWS_HEADER", ROWS_HEADER);
        number("WALK_HEADER", WALK_HEADER);
        number("ROWS_OF_NEURONS", RowKind::Neurons as usize);
        number("ROWS_OF_LGN", RowKind::Lgn as usize);
        number("ROWS_OF_BACKGROUND", RowKind::Background as usize);
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
        };
        enumerate("STATE", &self.state_planes());
        enumerate("TAPE", &self.tape_planes());
        enumerate("ADJ", &self.adjoint_planes());
        enumerate("SUM", &Self::adjoint_sums());
        enumerate("CELL", &self.cell_fields());
        enumerate("PORT", &self.port_fields());
        enumerate("LIST", &LISTS);
        enumerate("ROWS", &ROW_FIELDS);
        enumerate("SEEDS", self.seeds_planes());
        number("STATE_PORTS", self.state_planes().len());
        number("ADJ_PORTS", self.adjoint_planes().len());
        number("ADJ_SUMS", self.adjoint_sums_start());
        number("N_ADJ_SUMS", Self::adjoint_sums().len());
        if !self.has_current {
            // Named in a branch that is never taken.
            number("STATE_CURRENT", 0);
        }
        if !self.has_potential_seeds {
            number("ADJ_CURRENT", 0);
            number("SEEDS_POTENTIAL_STEP", 0);
            number("SEEDS_POTENTIAL", 0);
        }
        let _ = writeln!(text, "const PACKED: bool = {};", self.packed_records);
        let _ = writeln!(text, "const HAS_CURRENT: bool = {};", self.has_current);
        let _ = writeln!(text, "const HAS_POTENTIAL_SEEDS: bool = {};", self.has_potential_seeds);
        let _ = writeln!(text, "const DIRECTION_BINS_PER_DEG: f32 = {DIRECTION_BINS_PER_DEG:?};");
        let _ = writeln!(text, "const DT_MS: f32 = {:?};", self.dt_ms as f32);
        let _ = writeln!(text, "const SURROGATE_HALF_WIDTH: f32 = {:?};", self.half_width as f32);
        let _ = writeln!(text, "const SURROGATE_HEIGHT: f32 = {:?};", self.height as f32);
        text
    }

    /// The numbers for which `//!for` repeats a block of a kernel ([`super::shaders`]); `of` is the number of the outer block.
    pub(in crate::sim) fn list(&self, name: &str, of: Option<usize>) -> Option<Vec<usize>> {
        match (name, of) {
            ("RECORD", None) => Some((0..self.record_vec4s()).collect()),
            ("PACKS", None) => {
                Some(if self.packed_records { (0..self.record_vec4s()).collect() } else { Vec::new() })
            }
            ("VEC4", None) => Some((0..4).collect()),
            ("PHILOX_ROUNDS", None) => Some((0..10).collect()),
            ("CLASSES", None) => Some((0..self.n_classes).collect()),
            ("PORTS", None) => Some((0..self.n_ports).collect()),
            ("PORTS", Some(class_ix)) => self.ports_of_class.get(class_ix).cloned(),
            ("SOMA_PORTS", None) => Some((0..self.n_ports).filter(|p| self.on_soma[*p]).collect()),
            ("DENDRITE_PORTS", None) => Some((0..self.n_ports).filter(|p| !self.on_soma[*p]).collect()),
            _ => None,
        }
    }
}

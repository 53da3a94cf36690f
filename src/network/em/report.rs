//! What was found in EM tables.

/// What was found in the tables, and what was wrong with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmReport {
    /// Rows of the cell table.
    pub n_cells: usize,
    /// Cells with the id 0, CAVE's mark for no segment: no neurons, no fault.
    pub cells_of_no_segment: usize,
    /// Cells without an id: left out, a fault.
    pub cells_without_id: usize,
    /// Cells that the table's column `valid` withdraws: left out, no fault.
    pub withdrawn_cells: usize,
    /// Cells of the types that the scene leaves out, glia and the like: no fault.
    pub types_left_out: usize,
    /// Cells whose type has no name of this project's and none in the scene: left out, a fault.
    pub unknown_cell_types: usize,
    /// Rows whose id an earlier row has: left out, a fault.
    pub duplicate_ids: usize,
    /// Cells without a finite position: left out, a fault.
    pub bad_positions: usize,
    /// Cells beyond the scene's radius: left out, no fault.
    pub outside: usize,
    /// Cells that became neurons.
    pub n_neurons: usize,
    /// What the cells with a known type and position span along x, depth and z, um.
    pub extent_um: [f64; 3],
    /// Rows of the synapse table.
    pub n_synapses: usize,
    /// Synapses of which one side has the id 0: no fault.
    pub synapses_of_no_segment: usize,
    /// Synapses of which one side has no id: left out, a fault.
    pub synapses_without_id: usize,
    /// Synapses that the table's column `valid` withdraws: left out, no fault.
    pub withdrawn_synapses: usize,
    /// Synapses of axons whose cell is not in the table, as most of a volume's are: no fault.
    pub axons_without_cell: usize,
    /// Synapses of a cell of the table onto something that is not in it: no fault.
    pub targets_without_cell: usize,
    /// Rows whose size is not a positive number: left out, a fault.
    pub bad_sizes: usize,
    /// Rows between neurons whose synapse's id, the column `id`, an earlier row has: left out, a fault.
    pub duplicate_synapse_ids: usize,
    /// Rows from a cell to itself: left out, no fault.
    pub to_itself: usize,
    /// Rows of cells that were left out: no fault of their own.
    pub of_left_out: usize,
    /// Edges: pairs of neurons with at least one synapse.
    pub n_edges: usize,
    /// Some of the unknown types.
    pub unknown_names: Vec<String>,
    /// That layers lie along another direction than y, which is taken for depth; none where they do not.
    pub odd_axis: Option<String>,
}

impl EmReport {
    /// Rows of the cell table that are faulty.
    pub(super) fn n_faulty_cells(&self) -> usize {
        self.unknown_cell_types + self.duplicate_ids + self.bad_positions + self.cells_without_id
    }

    /// Rows of the synapse table that are faulty.
    pub(super) fn n_faulty_synapses(&self) -> usize {
        self.synapses_without_id + self.bad_sizes + self.duplicate_synapse_ids
    }

    /// Synapses that do not join two cells of the table.
    pub(super) fn n_without_cells(&self) -> usize {
        self.synapses_of_no_segment
            + self.synapses_without_id
            + self.axons_without_cell
            + self.targets_without_cell
    }

    /// One line for the user; of what there is none it does not speak.
    pub fn line(&self) -> String {
        let unknown = match self.unknown_names.is_empty() {
            true => "of unknown type".to_owned(),
            false => format!("of unknown type ({})", self.unknown_names.join(", ")),
        };
        let cells = counts(&[
            (self.cells_of_no_segment, "with id 0, no segment"),
            (self.types_left_out, "of types left out"),
            (self.unknown_cell_types, &unknown),
            (self.duplicate_ids, "duplicate ids"),
            (self.cells_without_id, "without id"),
            (self.bad_positions, "without position"),
            (self.withdrawn_cells, "not valid"),
            (self.outside, "beyond the radius"),
        ]);
        let synapses = counts(&[
            (self.synapses_of_no_segment, "with id 0, no segment"),
            (self.axons_without_cell, "of axons without a cell in the table"),
            (self.targets_without_cell, "onto targets without a cell in the table"),
            (self.synapses_without_id, "without id"),
            (self.bad_sizes, "of no size"),
            (self.duplicate_synapse_ids, "duplicate ids"),
            (self.withdrawn_synapses, "not valid"),
            (self.to_itself, "to the cell itself"),
            (self.of_left_out, "of cells left out"),
        ]);
        let [x, depth, z] = self.extent_um;
        format!(
            "EM tables: {} neurons of {} cells{cells}, which span {x:.0} x {depth:.0} x {z:.0} um (x, depth, z); {} edges from {} synapses{synapses}",
            self.n_neurons, self.n_cells, self.n_edges, self.n_synapses
        )
    }
}

/// The counts that are not 0, in brackets.
fn counts(all: &[(usize, &str)]) -> String {
    let said: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

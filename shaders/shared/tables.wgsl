// Named access to the tables of constants. Offsets (TABLE_*), strides and field numbers (CELL_*, PORT_*) come from
// src/sim/layout.rs. Words are u32; real fields are bit casts of f32.
@group(0) @binding(1) var<storage, read> tables: array<u32>;

fn neuron_model(neuron: u32) -> u32 { return tables[TABLE_NEURONS + neuron] & 0xffffu; }
fn neuron_target_type(neuron: u32) -> u32 { return (tables[TABLE_NEURONS + neuron] >> 16u) & 0xffu; }
// Source type of any source: a neuron's cell type, or that of an LGN or background unit.
fn source_type(source: u32) -> u32 {
    if (source < N_NEURONS) { return tables[TABLE_NEURONS + source] >> 24u; }
    return tables[TABLE_UNITS + source - N_NEURONS];
}
// Kind of a source (ROWS_OF_*), and the first source of a kind.
fn kind_of_source(source: u32) -> u32 {
    return select(select(ROWS_OF_BACKGROUND, ROWS_OF_LGN, source < N_NEURONS + N_LGN), ROWS_OF_NEURONS, source < N_NEURONS);
}
fn first_of_kind(kind: u32) -> u32 {
    return select(select(N_NEURONS + N_LGN, N_NEURONS, kind == ROWS_OF_LGN), 0u, kind == ROWS_OF_NEURONS);
}
fn class_of_source_type(source_type_ix: u32) -> u32 { return tables[TABLE_CLASSES + source_type_ix]; }
fn cell(model: u32, field: u32) -> f32 {
    return bitcast<f32>(tables[TABLE_CELLS + model * CELL_STRIDE + field]);
}
fn port(model: u32, port_ix: u32, field: u32) -> f32 {
    return bitcast<f32>(tables[TABLE_PORTS + (model * N_PORTS + port_ix) * PORT_STRIDE + field]);
}
// What one unit of a class's arrivals adds to a port's rise variable (E8), 1/ms.
fn gain(target_type: u32, class_ix: u32, port_ix: u32) -> f32 {
    return bitcast<f32>(tables[TABLE_GAINS + (target_type * N_CLASSES + class_ix) * N_PORTS + port_ix]);
}

// An edge's target word: delay in steps above, neuron below.
fn target_neuron(word: u32) -> u32 { return word & TARGET_NEURON_MASK; }
fn target_delay(word: u32) -> u32 { return word >> TARGET_NEURON_BITS; }
fn target_cell_type(word: u32) -> u32 { return source_type(target_neuron(word)); }
// Slot of the ring that lies `delay` steps after another, at most once round it.
fn slot_after(slot: u32, delay: u32) -> u32 {
    let later = slot + delay;
    return select(later, later - N_SLOTS, later >= N_SLOTS);
}

// Index of a plane of the state, its adjoint or the tape: [plane][neuron][trial].
fn plane_index(plane: u32, neuron: u32, trial: u32) -> u32 {
    return (plane * N_NEURONS + neuron) * N_TRIALS + trial;
}
// First of the chunks of a source's row; they are numbered over all sources.
fn first_chunk(source: u32) -> u32 { return tables[TABLE_CHUNKS + source]; }

// Index into the ring of arrivals: [slot][class][neuron][trial].
fn arrival_index(slot: u32, class_ix: u32, neuron: u32, trial: u32) -> u32 {
    return ((slot * N_CLASSES + class_ix) * N_NEURONS + neuron) * N_TRIALS + trial;
}
// Index into the ring of their adjoints: [slot][class][neuron], a record of RECORD vec4 with all trials of a neuron.
fn record_index(slot: u32, class_ix: u32, neuron: u32) -> u32 {
    return ((slot * N_CLASSES + class_ix) * N_NEURONS + neuron) * RECORD;
}

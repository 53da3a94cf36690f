// L4, L5: the structure terms of the loss as slopes by the logarithm of a weight, by pair type and bin of the weight, and
// the counts of the weights in those bins. Twin of the bins: src/model/weight_bins.rs.

// Whether the structure terms see a weight of these rows: one between neurons, and not 0.
fn in_structure(weight: f32) -> bool { return STRUCTURE && rows_kind() == ROWS_OF_NEURONS && weight > 0.0; }

// Place of a weight in a table [pair type][bin].
fn weight_cell(pair: u32, weight: f32) -> u32 {
    let top = max(bitcast<u32>(weight) >> 20u, FIRST_WEIGHT_BIN) - FIRST_WEIGHT_BIN;
    return pair * N_WEIGHT_BINS + min(top, N_WEIGHT_BINS - 1u);
}

// Preferred direction of a neuron, deg in [0, 360).
fn direction_deg(neuron: u32) -> f32 { return bitcast<f32>(tables[TABLE_ANGLES + neuron]); }

// Bin of the difference of two preferred directions. Twin: src/model/direction_bins.rs.
fn direction_bin(source: u32, neuron: u32) -> u32 {
    let apart = abs(direction_deg(source) - direction_deg(neuron));
    return min(u32(min(apart, 360.0 - apart) * DIRECTION_BINS_PER_DEG), N_DIRECTION_BINS - 1u);
}

// Writes the records of this step's adjoints of arrivals (records.wgsl): whole ones at once; packed ones at once where a thread has all
// trials of a neuron in their order, else when all its threads, one a trial, have left what they know in workgroup memory.
var<workgroup> arrivals_of_threads: array<u32, WORKGROUP_SIZE * N_PACKED_CLASSES>; // [class][thread] upper bits, to be packed

// Packs the upper bits of the k-th trial of a piece after those before it.
fn pack_next(piece: u32, k: u32, bits: u32) {
    if (k < 4u) {
        adj_arrivals[piece + k] = packed_word(k, bits, 0u);
    } else {
        for (var i = 0u; i < 3u; i++) { adj_arrivals[piece + i] |= packed_word(i, 0u, bits); }
    }
}

// Hands on the adjoint of what arrived of a class.
fn hand_on_arrivals(class_ix: u32, record: u32, trial: u32, lane: u32, adj_arrived: f32) {
    if (PACKED && TRIAL_THREADS == 1u) {
        pack_next(record + 4u * (trial / PIECE_TRIALS), trial % PIECE_TRIALS, upper_bits(adj_arrived));
    } else if (PACKED) {
        arrivals_of_threads[class_ix * WORKGROUP_SIZE + lane] = upper_bits(adj_arrived);
    } else {
        adj_arrivals[record + trial] = bitcast<u32>(adj_arrived);
    }
}

// Writes the word of a trial in the packed record of each class.
fn pack(neuron: u32, lane: u32) {
    let trial = lane % TRIAL_THREADS;
    let k = trial % PIECE_TRIALS;
    if (k == 4u) { return; }
    let has_fifth = trial - k + 4u < N_TRIALS;
    for (var class_ix = 0u; class_ix < N_CLASSES; class_ix++) {
        let at = class_ix * WORKGROUP_SIZE + lane;
        var of_fifth = 0u;
        if (has_fifth) { of_fifth = arrivals_of_threads[at - k + 4u]; }
        let record = 4u * (record_index(step.slot, class_ix, neuron) + trial / PIECE_TRIALS);
        adj_arrivals[record + k] = packed_word(k, arrivals_of_threads[at], of_fifth);
    }
}

// Gradient of the weights (A9): grad[edge] += adj_arrivals[n + delay][class][target][trial] for the trials in which the source spiked.
// A workgroup takes chunks of the list that belong to learned rows; its threads share the edges of a chunk. Pair: spread_forward.wgsl.
// Hazards: none, each edge has one owner and a source is listed once a step. It writes nothing that the gather of the step reads.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/rows.wgsl
//!include shared/chunks.wgsl
//!include shared/records.wgsl
@group(0) @binding(2) var<storage, read> adj_arrivals: array<u32>; // [slot][class][neuron], a record (shared/records.wgsl)
@group(0) @binding(5) var<storage, read> spikes: array<u32>;       // counts, masks and lists of the step
// Of the rows of each kind of source in the shard: [edge] loss per nS (pA in point mode); one word where they are not learned.
@group(0) @binding(6) var<storage, read_write> grad_neurons: array<f32>;    // [edge of the rows]
@group(0) @binding(7) var<storage, read_write> grad_lgn: array<f32>;        // [edge of the rows]
@group(0) @binding(8) var<storage, read_write> grad_background: array<f32>; // [edge of the rows]
override WORKGROUP_SIZE: u32 = 64u;
override LEARNED: u32 = 0u; // bit of each kind of source whose weights are learned

// The adjoint of what arrives in a trial, from the first word of the record.
fn adj_arrival(record: u32, trial: u32) -> f32 {
    if (!PACKED) { return bitcast<f32>(adj_arrivals[record + trial]); }
    let piece = record + 4u * (trial / PIECE_TRIALS);
    let k = trial % PIECE_TRIALS;
    if (k < 4u) { return bitcast<f32>(adj_arrivals[piece + k] & 0xffffff00u); }
    return fifth_trial(vec4<u32>(adj_arrivals[piece], adj_arrivals[piece + 1u], adj_arrivals[piece + 2u], 0u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let n_listed = spikes[SPIKES_COUNTS + LIST_CHUNKS];
    for (var i = group.x; i < n_listed; i += groups.x) {
        let chunk = spikes[SPIKES_CHUNKS + i];
        if (!holds_chunk(chunk)) { continue; }
        let source = chunk_source(chunk);
        let kind = kind_of_source(source);
        if (((LEARNED >> kind) & 1u) == 0u) { continue; }
        let trials = spikes[SPIKES_MASK + source];
        let class_ix = class_of_source_type(source_type(source));
        // Gradients are numbered from the first row of the kind in the shard.
        let first_edge = row_first(max(first_source(), first_of_kind(kind)));
        let edges = chunk_edges(chunk, source);
        for (var edge = edges.x + lane; edge < edges.y; edge += WORKGROUP_SIZE) {
            let word = targets[edge];
            let record = 4u * record_index(slot_after(step.slot, target_delay(word)), class_ix, target_neuron(word));
            var sum = 0.0;
            for (var left = trials; left != 0u; left &= left - 1u) { sum += adj_arrival(record, firstTrailingBit(left)); }
            let own = edge - first_edge;
            if (kind == ROWS_OF_NEURONS) {
                grad_neurons[own] += sum;
            } else if (kind == ROWS_OF_LGN) {
                grad_lgn[own] += sum;
            } else {
                grad_background[own] += sum;
            }
        }
    }
}

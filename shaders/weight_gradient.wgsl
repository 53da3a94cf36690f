// Gradient of the weights (A9): grad[edge] += adj_arrivals[n + delay][class][target][trial] for the trials in which the source spiked.
// A workgroup takes chunks of the list that belong to its rows; its threads share the edges of a chunk. Pair: spread_forward.wgsl.
// Hazards: none, each edge has one owner and a source is listed once a step. It writes nothing that the gather of the step reads.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/rows.wgsl
//!include shared/chunks.wgsl
@group(0) @binding(2) var<storage, read> adj_arrivals: array<f32>; // [slot][class][neuron][trial, padded to a record]
@group(0) @binding(5) var<storage, read_write> grad: array<f32>;   // [edge of the rows] loss per nS (pA in point mode)
@group(0) @binding(6) var<storage, read> spikes: array<u32>;       // counts, masks and lists of the step
override WORKGROUP_SIZE: u32 = 64u;

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
        let trials = spikes[SPIKES_MASK + source];
        let class_ix = class_of_source_type(source_type(source));
        let edges = chunk_edges(chunk, source);
        for (var edge = edges.x + lane; edge < edges.y; edge += WORKGROUP_SIZE) {
            let word = targets[edge];
            let at = 4u * record_index(slot_after(step.slot, target_delay(word)), class_ix, target_neuron(word));
            var sum = 0.0;
            for (var left = trials; left != 0u; left &= left - 1u) { sum += adj_arrivals[at + firstTrailingBit(left)]; }
            grad[own_edge(edge)] += sum;
        }
    }
}

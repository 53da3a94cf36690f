// Hands the spikes of a step to their targets (E9): arrivals[slot][class][target][trial] += round(w * arrival_scale).
// A workgroup takes chunks of the list, of all kinds of source; its threads share the edges of a chunk. Integer sums commute, so the
// result does not depend on the order. Pair: gather_adjoint.wgsl (and weight_gradient.wgsl).
// Hazards: weights are >= 0, and the scale leaves room for all that can arrive at once with the weights that a run starts from
// (arrival_scale in src/sim/edges.rs); where they have grown beyond it the neuron kernel finds the uppermost bit set.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/rows.wgsl
//!include shared/chunks.wgsl
@group(0) @binding(5) var<storage, read> weights: array<f32>; // [edge of the shard] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> spikes: array<u32>;  // counts, masks and lists of the step
@group(0) @binding(7) var<storage, read_write> arrivals: array<atomic<u32>>; // [slot][class][neuron][trial]
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
            let delay = target_delay(word);
            if (step.step + delay < step.first_arrival_step) { continue; }
            let at = arrival_index(slot_after(step.slot, delay), class_ix, target_neuron(word), 0u);
            let fixed = u32(round(weights[edge] * step.arrival_scale));
            // Nobody asks what was there before: hardware then adds without an answer.
            for (var left = trials; left != 0u; left &= left - 1u) { atomicAdd(&arrivals[at + firstTrailingBit(left)], fixed); }
        }
    }
}

// Hands the spikes of a step to their targets (E9): arrivals[slot][class][target][trial] += round(w * arrival_scale).
// A workgroup walks rows of the list, one after the other; its threads share the edges of a row. Integer sums commute, so
// the result does not depend on the order. Pair: gather_adjoint.wgsl (and weight_gradient.wgsl).
// Hazards: a sum beyond i32 raises the status word.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/status.wgsl
//!include shared/rows.wgsl
@group(0) @binding(5) var<storage, read> weights: array<f32>; // [edge] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> spikes: array<u32>;  // counts, masks and lists of the step
@group(0) @binding(7) var<storage, read_write> arrivals: array<atomic<i32>>; // [slot][class][neuron][trial]
override WORKGROUP_SIZE: u32 = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let kind = shard_list();
    let n_listed = spikes[SPIKES_COUNTS + kind];
    for (var i = group.x; i < n_listed; i += groups.x) {
        let source = spikes[SPIKES_LIST + list_start(kind) + i];
        if (!shard_holds(source)) { continue; }
        let trials = spikes[SPIKES_MASK + source];
        let class_ix = class_of_source_type(source_type(source));
        let last = row_last(source);
        for (var edge = row_first(source) + lane; edge < last; edge += WORKGROUP_SIZE) {
            let word = targets[edge];
            let delay = target_delay(word);
            if (step.step + delay < step.first_arrival_step) { continue; }
            let at = arrival_index(slot_after(step.slot, delay), class_ix, target_neuron(word), 0u);
            let fixed = i32(round(weights[edge] * step.arrival_scale));
            for (var left = trials; left != 0u; left &= left - 1u) {
                let before = atomicAdd(&arrivals[at + firstTrailingBit(left)], fixed);
                if (before > 0x7fffffff - fixed) { raise(STATUS_OVERFLOW, KERNEL_SPREAD, target_neuron(word), step.step); }
            }
        }
    }
}

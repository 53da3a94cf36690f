// Gradient of the weights (A9): grad_w += sum over the trials that spiked of adj_arrivals[n + delay][class][target].
// A workgroup walks the rows that spiked in this step; each edge has one owner, so no atomics. Pair: spread_forward.wgsl.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/rows.wgsl
@group(0) @binding(2) var<storage, read> adj_arrivals: array<f32>; // [slot][class][neuron][trial]
@group(0) @binding(5) var<storage, read_write> grad: array<f32>;   // [edge] loss per nS (pA in point mode)
@group(0) @binding(6) var<storage, read> spikes: array<u32>;       // counts, masks and lists of the step
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
            let slot = slot_after(step.slot, target_delay(word));
            let at = arrival_index(slot, class_ix, target_neuron(word), 0u);
            var sum = 0.0;
            for (var left = trials; left != 0u; left &= left - 1u) { sum += adj_arrivals[at + firstTrailingBit(left)]; }
            grad[edge] += sum;
        }
    }
}

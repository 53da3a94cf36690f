// Adjoint of the transmission (A9): adj_spike[source][trial] = sum over the row of w * adj_arrivals[n + delay][class][target].
// A workgroup walks the rows whose psi is not 0 in some trial; its threads share the edges of a row and add up their sums in
// a fixed order. Pair: spread_forward.wgsl.
// Hazards: slots of steps after the last must be zero.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/rows.wgsl
@group(0) @binding(2) var<storage, read> adj_arrivals: array<f32>; // [slot][class][neuron][trial]
@group(0) @binding(5) var<storage, read> weights: array<f32>;      // [edge] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> spikes: array<u32>;       // counts, masks and lists of the step
@group(0) @binding(7) var<storage, read_write> adj_spike: array<f32>; // [neuron][trial], then the loss's seeds
override WORKGROUP_SIZE: u32 = 64u;
var<workgroup> partial: array<f32, WORKGROUP_SIZE * N_TRIALS>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let n_listed = spikes[SPIKES_COUNTS + LIST_ACTIVE];
    for (var i = group.x; i < n_listed; i += groups.x) {
        let source = spikes[SPIKES_ACTIVE + i];
        if (!shard_holds(source)) { continue; }
        let class_ix = class_of_source_type(source_type(source));
        let last = row_last(source);
        var sum = array<f32, N_TRIALS>();
        for (var edge = row_first(source) + lane; edge < last; edge += WORKGROUP_SIZE) {
            let word = targets[edge];
            let weight = weights[edge];
            let slot = slot_after(step.slot, target_delay(word));
            let at = arrival_index(slot, class_ix, target_neuron(word), 0u);
            for (var trial = 0u; trial < N_TRIALS; trial++) {
                sum[trial] += weight * adj_arrivals[at + trial];
            }
        }
        for (var trial = 0u; trial < N_TRIALS; trial++) { partial[trial * WORKGROUP_SIZE + lane] = sum[trial]; }
        workgroupBarrier();
        for (var trial = lane; trial < N_TRIALS; trial += WORKGROUP_SIZE) {
            var total = 0.0;
            for (var k = 0u; k < WORKGROUP_SIZE; k++) { total += partial[trial * WORKGROUP_SIZE + k]; }
            adj_spike[source * N_TRIALS + trial] = total;
        }
        workgroupBarrier();
    }
}

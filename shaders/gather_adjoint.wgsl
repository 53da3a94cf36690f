// Adjoint of the transmission (A9): adj_spike[source] = sum over the row of w * adj_arrivals[n + delay][class][target], all trials of
// an edge at once: they are a record of RECORD vec4. Rows whose psi is 0 in every trial are left out. LANES threads share a row and
// join their sums in a tree of fixed order; they hold them in registers. Pair: spread_forward.wgsl.
// Hazards: slots of steps after the last must be zero; adj_spike of a row that was left out is stale.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/rows.wgsl
@group(0) @binding(2) var<storage, read> adj_arrivals: array<vec4<f32>>; // [slot][class][neuron][RECORD] loss per nS (pA)
@group(0) @binding(5) var<storage, read> weights: array<f32>;  // [edge of the shard] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> spikes: array<u32>;   // counts, masks and lists of the step
@group(0) @binding(7) var<storage, read_write> adj_spike: array<vec4<f32>>; // [neuron][RECORD] loss per spike
override WORKGROUP_SIZE: u32 = 64u;
override LANES: u32 = 1u;
var<workgroup> partial: array<vec4<f32>, WORKGROUP_SIZE * RECORD>;

// Whether nearly all rows are listed. They are then walked in their order, neighbours together, and the others passed over.
fn is_dense(n_listed: u32) -> bool { return 4u * n_listed > 3u * N_NEURONS; }

// The row at a place of the walk, if it has a psi that is not 0 and lies in the shard; else N_SOURCES.
fn row_at(i: u32, n_listed: u32) -> u32 {
    if (is_dense(n_listed)) {
        let source = first_source() + i;
        if (i < n_rows() && spikes[SPIKES_NEAR + source] != 0u) { return source; }
        return N_SOURCES;
    }
    if (i >= n_listed) { return N_SOURCES; }
    let source = spikes[SPIKES_ACTIVE + i];
    return select(N_SOURCES, source, holds_source(source));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let n_listed = spikes[SPIKES_COUNTS + LIST_ACTIVE];
    let n_walked = select(n_listed, n_rows(), is_dense(n_listed));
    let rows_at_once = WORKGROUP_SIZE / LANES;
    for (var first = group.x * rows_at_once; first < n_walked; first += groups.x * rows_at_once) {
        let source = row_at(first + lane / LANES, n_listed);
        var edge = 0u;
        var last = 0u;
        var class_ix = 0u;
        if (source < N_SOURCES) {
            edge = row_first(source) + lane % LANES;
            last = row_last(source);
            class_ix = class_of_source_type(source_type(source));
        }
//!for r in RECORD
        var sum_#r = vec4<f32>();
//!end
        for (; edge < last; edge += LANES) {
            let word = targets[edge];
            let weight = weights[edge];
            let at = record_index(slot_after(step.slot, target_delay(word)), class_ix, target_neuron(word));
//!for r in RECORD
            sum_#r += weight * adj_arrivals[at + #ru];
//!end
        }
        for (var half = LANES / 2u; half > 0u; half /= 2u) {
//!for r in RECORD
            partial[#ru * WORKGROUP_SIZE + lane] = sum_#r;
//!end
            workgroupBarrier();
            // The upper half of the threads of a row adds what is of no further use.
            let other = (lane + half) % WORKGROUP_SIZE;
//!for r in RECORD
            sum_#r += partial[#ru * WORKGROUP_SIZE + other];
//!end
            workgroupBarrier();
        }
        if (source < N_SOURCES && lane % LANES == 0u) {
//!for r in RECORD
            adj_spike[source * RECORD + #ru] = sum_#r;
//!end
        }
    }
}

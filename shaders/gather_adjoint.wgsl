// Adjoint of the transmission (A9): adj_spike[source] = sum over the row of w * adj_arrivals[n + delay][class][target], all trials of
// an edge at once: they are a record of RECORD vec4. Rows whose psi is 0 in every trial are left out. LANES threads share a row; each
// holds its sums in registers, and they are joined in the order of the threads. Pair: spread_forward.wgsl.
// A dispatch walks the edges to one block of targets; those of later blocks go on from the sums so far (there LANES is 1).
// Hazards: slots of steps after the last must be zero; adj_spike of a row that was left out is stale; blocks in their order.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/rows.wgsl
//!include shared/records.wgsl
@group(0) @binding(2) var<storage, read> adj_arrivals: array<vec4<u32>>; // [slot][class][neuron][RECORD] loss per nS (pA)
@group(0) @binding(5) var<storage, read> weights: array<f32>;  // [edge of the shard] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> spikes: array<u32>;   // counts, masks and lists of the step
@group(0) @binding(7) var<storage, read_write> adj_spike: array<f32>; // [neuron][trial] loss per spike
// Of a block: whether sums go on; then [row] the walk, source and, above, class, in which rows of a length are neighbours; then [row of
// the set] the first of its edges and their end, in the shard.
@group(0) @binding(8) var<storage, read> walk: array<u32>;
override WORKGROUP_SIZE: u32 = 64u;
override LANES: u32 = 1u;
var<workgroup> partial: array<f32, WORKGROUP_SIZE * N_TRIALS>; // [trial][thread]

const NO_ROW: u32 = 0xffffffffu;

// Whether nearly all rows are listed. They are then walked by class and length, and the others passed over: threads that walk rows
// together end together, and read records of one class.
fn is_dense(n_listed: u32) -> bool { return 4u * n_listed > 3u * N_NEURONS; }

// Source and class of the row at a place of the walk, if it has a psi that is not 0 and lies in the shard; else NO_ROW.
fn row_at(i: u32, n_listed: u32) -> u32 {
    if (is_dense(n_listed)) {
        if (i >= n_rows()) { return NO_ROW; }
        let row = walk[WALK_HEADER + i];
        return select(NO_ROW, row, spikes[SPIKES_NEAR + target_neuron(row)] != 0u);
    }
    if (i >= n_listed) { return NO_ROW; }
    let source = spikes[SPIKES_ACTIVE + i];
    if (!holds_source(source)) { return NO_ROW; }
    return source | (class_of_source_type(source_type(source)) << TARGET_NEURON_BITS);
}

fn first_edge(source: u32) -> u32 { return walk[WALK_HEADER + n_rows() + source - first_source()]; }
fn end_edge(source: u32) -> u32 { return walk[WALK_HEADER + 2u * n_rows() + source - first_source()]; }

// What the blocks before have added up for a trial of a row.
fn sum_so_far(source: u32, trial: u32) -> f32 {
    if (LANES > 1u || trial >= N_TRIALS || walk[0] == 0u) { return 0.0; }
    return adj_spike[source * N_TRIALS + trial];
}

// Place of a thread's sum; neighbours that read the same thread's sums of different trials find them in different banks.
fn place(trial: u32, lane: u32) -> u32 { return trial * WORKGROUP_SIZE + (lane + trial) % WORKGROUP_SIZE; }

// Hands on what a thread has added up for a trial of a row.
fn hand_on(source: u32, trial: u32, lane: u32, sum: f32) {
    if (trial >= N_TRIALS) { return; }
    if (LANES == 1u) {
        adj_spike[source * N_TRIALS + trial] = sum;
    } else {
        partial[place(trial, lane)] = sum;
    }
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
        let row = row_at(first + lane / LANES, n_listed);
        let source = target_neuron(row);
        let class_ix = row >> TARGET_NEURON_BITS;
        if (row != NO_ROW) {
            let end = end_edge(source);
//!for r in RECORD
            var sum_#r = vec4<f32>();
//!for k in VEC4
            sum_#r[#k] = sum_so_far(source, #ru * PIECE_TRIALS + #ku);
//!end
//!end
//!for r in PACKS
            var rest_#r = sum_so_far(source, #ru * PIECE_TRIALS + 4u);
//!end
            for (var edge = first_edge(source) + lane % LANES; edge < end; edge += LANES) {
                let word = targets[edge];
                let weight = weights[edge];
                let at = record_index(slot_after(step.slot, target_delay(word)), class_ix, target_neuron(word));
//!for r in RECORD
                let piece_#r = adj_arrivals[at + #ru];
                sum_#r += weight * upper_trials(piece_#r);
//!end
//!for r in PACKS
                rest_#r += weight * fifth_trial(piece_#r);
//!end
            }
//!for r in RECORD
//!for k in VEC4
            hand_on(source, #ru * PIECE_TRIALS + #ku, lane, sum_#r[#k]);
//!end
//!end
//!for r in PACKS
            hand_on(source, #ru * PIECE_TRIALS + 4u, lane, rest_#r);
//!end
        }
        if (LANES > 1u) {
            workgroupBarrier();
            for (var trial = lane % LANES; trial < N_TRIALS && row != NO_ROW; trial += LANES) {
                let of_row = lane - lane % LANES;
                var sum = 0.0;
                for (var i = 0u; i < LANES; i++) { sum += partial[place(trial, of_row + i)]; }
                adj_spike[source * N_TRIALS + trial] = sum;
            }
            workgroupBarrier();
        }
    }
}

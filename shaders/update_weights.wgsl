// One optimiser step of the weights of some rows: Adam with projection on w >= 0, or exponentiated Adam, on the base weight
// w_0 = w / s with s the factor of its pair type (A10); then the new factor is put in. Kingma and Ba 2015; exponentiated
// gradient: Kivinen and Warmuth 1997. A workgroup walks rows; its threads share the edges of a row. No adjoint: it is the
// end of the chain. With STRUCTURE it adds the structure terms' slope/w to the gradient and counts the new weights. Hazards: none, each edge has one owner; the largest weight is an integer maximum of its bits.
struct Update {
    learning_rate: f32,  // this step's, schedule included
    beta_1: f32,         // decay of the first moment
    beta_2: f32,         // decay of the second moment
    bias_1: f32,         // 1/(1 - beta_1^t)
    bias_2: f32,         // 1/(1 - beta_2^t)
    epsilon: f32,        // added to the root of the second moment
    clip: f32,           // factor on the gradient, <= 1
    exponentiated: u32,  // 1: w_0 exp(-step), 0: max(0, w_0 - step)
}
@group(0) @binding(0) var<uniform> update: Update;
//!include shared/tables.wgsl
//!include shared/rows.wgsl
// [pair type] factor before, [pair type] factor after (f32 bits), the largest weight (f32 bits), then [pair type][bin] slopes
// (f32 bits) and counts; [pair type] like-to-like group, [group][direction] slopes (f32 bits), [group][direction][bin] counts.
@group(0) @binding(2) var<storage, read_write> pairs: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> weights: array<f32>;  // [edge of the shard] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> grad: array<f32>;           // [edge of the rows] loss per nS
@group(0) @binding(7) var<storage, read_write> moment_1: array<f32>; // [edge of the rows]
@group(0) @binding(8) var<storage, read_write> moment_2: array<f32>; // [edge of the rows]
override WORKGROUP_SIZE: u32 = 64u;
override STRUCTURE: bool = false;
//!include shared/structure.wgsl

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    var largest = 0.0;
    for (var row = group.x; row < n_rows(); row += groups.x) {
        let source = first_source() + row;
        let pair_first = source_type(source) * N_CELL_TYPES;
        let last = row_last(source);
        for (var edge = row_first(source) + lane; edge < last; edge += WORKGROUP_SIZE) {
            let word = targets[edge];
            let pair = pair_first + target_cell_type(word);
            let factor_before = bitcast<f32>(atomicLoad(&pairs[pair]));
            let factor_after = bitcast<f32>(atomicLoad(&pairs[N_PAIR_TYPES + pair]));
            let weight_before = weights[edge];
            let own = own_edge(edge);
            var loss_gradient = grad[own];
            var like = 0u;
            var directions = 0u;
            if (STRUCTURE && rows_kind() == ROWS_OF_NEURONS) {
                like = atomicLoad(&pairs[PAIRS_LIKE + pair]);
                if (like != 0u) { directions = (like - 1u) * N_DIRECTION_BINS + direction_bin(source, target_neuron(word)); }
            }
            if (in_structure(weight_before)) {
                var slope = bitcast<f32>(atomicLoad(&pairs[PAIRS_SLOPES + weight_cell(pair, weight_before)]));
                if (like != 0u) { slope += bitcast<f32>(atomicLoad(&pairs[PAIRS_LIKE_SLOPES + directions])); }
                loss_gradient += slope / weight_before;
            }
            let gradient = update.clip * factor_before * loss_gradient;
            let first = update.beta_1 * moment_1[own] + (1.0 - update.beta_1) * gradient;
            let second = update.beta_2 * moment_2[own] + (1.0 - update.beta_2) * gradient * gradient;
            moment_1[own] = first;
            moment_2[own] = second;
            let move_by = update.learning_rate * first * update.bias_1 / (sqrt(second * update.bias_2) + update.epsilon);
            let base = weight_before / factor_before;
            var moved = max(0.0, base - move_by);
            if (update.exponentiated == 1u) { moved = base * exp(-move_by); }
            let weight = moved * factor_after;
            weights[edge] = weight;
            if (in_structure(weight)) {
                atomicAdd(&pairs[PAIRS_COUNTS + weight_cell(pair, weight)], 1u);
                if (like != 0u) { atomicAdd(&pairs[PAIRS_LIKE_COUNTS + weight_cell(directions, weight)], 1u); }
            }
            largest = max(largest, weight);
        }
    }
    atomicMax(&pairs[PAIRS_LARGEST], bitcast<u32>(largest));
}

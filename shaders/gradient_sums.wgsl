// Sums over each row: the squared gradient of the base weights (for the norm), and per target cell type
// w grad_w (A10: the gradient of the logarithm of the pair type's factor). With STRUCTURE it adds the structure terms' slope/w. A workgroup walks rows; its threads share the
// edges of a row and add up their sums in a fixed order. The host adds the rows up in f64.
//!include shared/tables.wgsl
//!include shared/rows.wgsl
@group(0) @binding(2) var<storage, read> pairs: array<u32>;       // [pair type] factor (f32 bits), ..., [pair type][bin] slopes (f32 bits)
@group(0) @binding(5) var<storage, read> weights: array<f32>;     // [edge of the shard] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> grad: array<f32>;        // [edge of the rows] loss per nS
@group(0) @binding(7) var<storage, read_write> sums: array<f32>;  // [row][N_CELL_TYPES + 1]
override WORKGROUP_SIZE: u32 = 64u;
override STRUCTURE: bool = false;
//!include shared/structure.wgsl
const N_SUMS: u32 = N_CELL_TYPES + 1u;
var<workgroup> partial: array<f32, WORKGROUP_SIZE * N_SUMS>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    for (var row = group.x; row < n_rows(); row += groups.x) {
        let source = first_source() + row;
        let pair_first = source_type(source) * N_CELL_TYPES;
        let last = row_last(source);
        var sum = array<f32, N_SUMS>();
        for (var edge = row_first(source) + lane; edge < last; edge += WORKGROUP_SIZE) {
            let cell_type = target_cell_type(targets[edge]);
            let pair = pair_first + cell_type;
            let weight = weights[edge];
            var gradient = grad[own_edge(edge)];
            if (in_structure(weight)) {
                var slope = bitcast<f32>(pairs[PAIRS_SLOPES + weight_cell(pair, weight)]);
                let like = pairs[PAIRS_LIKE + pair];
                if (like != 0u) {
                    let bin = direction_bin(source, target_neuron(targets[edge]));
                    slope += bitcast<f32>(pairs[PAIRS_LIKE_SLOPES + (like - 1u) * N_DIRECTION_BINS + bin]);
                }
                gradient += slope / weight;
            }
            let base_gradient = bitcast<f32>(pairs[pair]) * gradient;
            sum[cell_type] += weight * gradient;
            sum[N_CELL_TYPES] += base_gradient * base_gradient;
        }
        for (var k = 0u; k < N_SUMS; k++) { partial[k * WORKGROUP_SIZE + lane] = sum[k]; }
        workgroupBarrier();
        for (var k = lane; k < N_SUMS; k += WORKGROUP_SIZE) {
            var total = 0.0;
            for (var i = 0u; i < WORKGROUP_SIZE; i++) { total += partial[k * WORKGROUP_SIZE + i]; }
            sums[row * N_SUMS + k] = total;
        }
        workgroupBarrier();
    }
}

// Sums over each row: the squared gradient of the base weights (for the norm), and per target cell type w grad_w (A10: the gradient of
// the logarithm of the pair type's factor). With STRUCTURE it adds the structure terms' slope/w. LANES threads share a row. The edges of
// a row come in runs of one target type: a thread adds a run up in a register. The sums of the threads are joined in their order.
// The host adds the rows up in f64.
//!include shared/tables.wgsl
//!include shared/rows.wgsl
@group(0) @binding(2) var<storage, read> pairs: array<u32>;       // [pair type] factor (f32 bits), ..., [pair type][bin] slopes (f32 bits)
@group(0) @binding(5) var<storage, read> weights: array<f32>;     // [edge of the shard] nS (pA in point mode)
@group(0) @binding(6) var<storage, read> grad: array<f32>;        // [edge of the rows] loss per nS
@group(0) @binding(7) var<storage, read_write> sums: array<f32>;  // [row][N_CELL_TYPES + 1]
override WORKGROUP_SIZE: u32 = 64u;
override LANES: u32 = 64u;
override STRUCTURE: bool = false;
//!include shared/structure.wgsl
const N_SUMS: u32 = N_CELL_TYPES + 1u;
var<workgroup> partial: array<f32, WORKGROUP_SIZE * N_SUMS>; // [sum][thread]

// Place of a thread's sum; neighbours that read the same thread's different sums find them in different banks.
fn place(sum_ix: u32, lane: u32) -> u32 { return sum_ix * WORKGROUP_SIZE + (lane + sum_ix) % WORKGROUP_SIZE; }

// Gradient of the effective weight of an edge, with the structure terms.
fn whole_gradient(source: u32, edge: u32, pair: u32, weight: f32) -> f32 {
    let gradient = grad[own_edge(edge)];
    if (!in_structure(weight)) { return gradient; }
    var slope = bitcast<f32>(pairs[PAIRS_SLOPES + weight_cell(pair, weight)]);
    let like = pairs[PAIRS_LIKE + pair];
    if (like != 0u) {
        let bin = direction_bin(source, target_neuron(targets[edge]));
        slope += bitcast<f32>(pairs[PAIRS_LIKE_SLOPES + (like - 1u) * N_DIRECTION_BINS + bin]);
    }
    return gradient + slope / weight;
}

// Adds up every LANES-th edge of a row.
fn add_edges(row: u32, lane: u32) {
    let source = first_source() + row;
    let pair_first = source_type(source) * N_CELL_TYPES;
    let last = row_last(source);
    var of_type = 0u;
    var run = 0.0;
    var squared = 0.0;
    for (var edge = row_first(source) + lane % LANES; edge < last; edge += LANES) {
        let cell_type = target_cell_type(targets[edge]);
        if (cell_type != of_type) {
            partial[place(of_type, lane)] += run;
            of_type = cell_type;
            run = 0.0;
        }
        let weight = weights[edge];
        let gradient = whole_gradient(source, edge, pair_first + cell_type, weight);
        let base_gradient = bitcast<f32>(pairs[pair_first + cell_type]) * gradient;
        run += weight * gradient;
        squared += base_gradient * base_gradient;
    }
    partial[place(of_type, lane)] += run;
    partial[place(N_CELL_TYPES, lane)] = squared;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows_at_once = WORKGROUP_SIZE / LANES;
    for (var first = group.x * rows_at_once; first < n_rows(); first += groups.x * rows_at_once) {
        let row = first + lane / LANES;
        for (var k = 0u; k < N_SUMS; k++) { partial[place(k, lane)] = 0.0; }
        if (row < n_rows()) { add_edges(row, lane); }
        workgroupBarrier();
        for (var k = lane % LANES; k < N_SUMS && row < n_rows(); k += LANES) {
            var total = 0.0;
            for (var i = 0u; i < LANES; i++) { total += partial[place(k, lane - lane % LANES + i)]; }
            sums[row * N_SUMS + k] = total;
        }
        workgroupBarrier();
    }
}

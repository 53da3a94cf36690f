// The keep term of the loss (L13): weights near those of the run that training started from. Adds factor (w - a)/a^2
// to the gradient of each weight of some rows whose a is not 0, and sums ((w - a)/a)^2 over each row. A workgroup
// walks rows; its threads share the edges of a row and add up their sums in a fixed order. The host adds the rows up
// in f64. No adjoint: it is the end of the chain. Hazards: none, each edge has one owner.
struct Keep {
    factor: f32,  // weight of the term over the number of edges
}
@group(0) @binding(0) var<uniform> keep: Keep;
//!include shared/rows.wgsl
@group(0) @binding(5) var<storage, read> weights: array<f32>;     // [edge of the shard] nS (pA in point mode)
@group(0) @binding(6) var<storage, read_write> grad: array<f32>;  // [edge of the rows] loss per nS
@group(0) @binding(7) var<storage, read_write> sums: array<f32>;  // [row]
@group(0) @binding(8) var<storage, read> kept: array<f32>;        // [edge of the rows] nS; 0: an edge that is free
override WORKGROUP_SIZE: u32 = 64u;
var<workgroup> partial: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    for (var row = group.x; row < n_rows(); row += groups.x) {
        let source = first_source() + row;
        let last = row_last(source);
        var sum = 0.0;
        for (var edge = row_first(source) + lane; edge < last; edge += WORKGROUP_SIZE) {
            let own = own_edge(edge);
            let before = kept[own];
            if (before > 0.0) {
                let change = (weights[edge] - before) / before;
                grad[own] += keep.factor * change / before;
                sum += change * change;
            }
        }
        partial[lane] = sum;
        workgroupBarrier();
        if (lane == 0u) {
            var total = 0.0;
            for (var i = 0u; i < WORKGROUP_SIZE; i++) { total += partial[i]; }
            sums[row] = total;
        }
        workgroupBarrier();
    }
}

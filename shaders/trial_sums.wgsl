// Sums over the trials of each neuron, in their order, of what the adjoint pass added up for every trial: the voltage penalty, then
// the gradients of the cell parameters (A8) where `sums` has room for them. One thread is a neuron and a sum. The host adds the
// neurons up in f64.
//!include shared/tables.wgsl
@group(0) @binding(2) var<storage, read> adj_state: array<f32>;   // [adjoint plane][neuron][trial] loss per unit
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;  // [sum][neuron]
override WORKGROUP_SIZE: u32 = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * WORKGROUP_SIZE;
    if (at >= arrayLength(&sums)) { return; }
    let of_plane = at / N_NEURONS;
    let plane = select(ADJ_LOG_LEAK + of_plane - 1u, ADJ_VOLTAGE_LOSS, of_plane == 0u);
    let first = plane_index(plane, at % N_NEURONS, 0u);
    var sum = 0.0;
    for (var trial = 0u; trial < N_TRIALS; trial++) { sum += adj_state[first + trial]; }
    sums[at] = sum;
}

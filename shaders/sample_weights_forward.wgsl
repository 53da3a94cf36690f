// Weights of some sampled edges of a network, handed to the rig of paired recordings: rig weight i = weight of sampled edge i.
// One thread is one sampled edge; one dispatch a shard, which holds a part of them. Pair: sample_weights_adjoint.wgsl.
// Hazards: none, each sampled edge lies in one shard.
@group(0) @binding(0) var<storage, read> sample: array<u32>;           // [first edge of the shard, then the edges]
@group(0) @binding(1) var<storage, read> weights: array<f32>;          // [edge of the shard] nS (pA in point mode)
@group(0) @binding(2) var<storage, read_write> rig_weights: array<f32>; // [sampled edge] nS (pA in point mode)
override WORKGROUP_SIZE: u32 = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * WORKGROUP_SIZE;
    if (i >= arrayLength(&rig_weights)) { return; }
    // An edge before the shard wraps round to a number that is beyond its end.
    let edge = sample[i + 1u] - sample[0];
    if (edge < arrayLength(&weights)) { rig_weights[i] = weights[edge]; }
}

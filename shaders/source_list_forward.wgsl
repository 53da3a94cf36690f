// Hands the drawn spikes of LGN and background units in a step on to the spikes of the step. One thread is one unit. Hazards: the
// spikes of the step are zero before. No adjoint: the spikes are data.
//!include shared/step.wgsl
@group(0) @binding(1) var<storage, read> masks: array<u32>; // [step of a draw][unit] spiked trials
@group(0) @binding(2) var<storage, read_write> spikes: array<atomic<u32>>; // counts, masks and lists of this step
override WORKGROUP_SIZE: u32 = 64u;
override STEPS: u32 = 1u; // of a draw

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let unit = id.x + id.y * groups.x * WORKGROUP_SIZE;
    if (unit >= N_LGN + N_BACKGROUND) { return; }
    let mask = masks[(step.step % STEPS) * (N_LGN + N_BACKGROUND) + unit];
    if (mask != 0u) { list_source(N_NEURONS + unit, mask); }
}
//!include shared/list_source.wgsl

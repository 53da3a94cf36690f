// Plays given spikes of LGN and background units: copies this step's masks into the spikes of the step and lists the
// sources that spiked. One thread is one source. No adjoint: the spikes are data.
//!include shared/step.wgsl
@group(0) @binding(1) var<storage, read> replay: array<u32>; // [step][LGN and background unit] spiked trials
@group(0) @binding(2) var<storage, read_write> spikes: array<atomic<u32>>; // counts, masks and lists of this step
override WORKGROUP_SIZE: u32 = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let unit = id.x + id.y * groups.x * WORKGROUP_SIZE;
    if (unit >= N_LGN + N_BACKGROUND) { return; }
    list_source(N_NEURONS + unit, replay[step.step * (N_LGN + N_BACKGROUND) + unit]);
}
//!include shared/list_source.wgsl

// Plays given spikes of LGN and background units: hands this step's entries on to the spikes of the step. One thread is one
// entry; a step has at most one entry a unit. No adjoint: the spikes are data.
//!include shared/step.wgsl
//!include shared/tables.wgsl
@group(0) @binding(3) var<storage, read> replay: array<u32>; // [step] first entry, end; [entry] unit, spiked trials
@group(0) @binding(2) var<storage, read_write> spikes: array<atomic<u32>>; // counts, masks and lists of this step
override WORKGROUP_SIZE: u32 = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = replay[step.step] + 2u * (id.x + id.y * groups.x * WORKGROUP_SIZE);
    if (at >= replay[step.step + 1u]) { return; }
    list_source(N_NEURONS + replay[at], replay[at + 1u]);
}
//!include shared/list_source.wgsl

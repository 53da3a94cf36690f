// Advances every neuron over one step (E1 E3 E6 E7 E8). The membrane's part (E2) is put in from membrane/*.wgsl: `constants` of a
// neuron, and `advance`, which makes of a trial's state the potential u_next before the reset.
// TRIAL_THREADS threads share a neuron; each takes every TRIAL_THREADS-th trial, which lie side by side in memory.
// Pair: neuron_adjoint.wgsl. With WRITE_TAPE it saves u_s' before reset, what the membrane wants back, and which trials were held
// and have psi not 0.
// Hazards: reads and clears slot n of the arrivals ring, which only later steps fill again.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/status.wgsl
//!include shared/psi.wgsl
@group(0) @binding(3) var<storage, read_write> state: array<f32>;    // [plane][neuron][trial] mV, pA, nS, nS/ms, steps
@group(0) @binding(4) var<storage, read_write> arrivals: array<u32>; // [slot][class][neuron][trial] fixed-point nS (pA)
@group(0) @binding(5) var<storage, read_write> tape: array<f32>;     // [tape plane][neuron][trial] of this step
@group(0) @binding(6) var<storage, read_write> spikes: array<atomic<u32>>; // counts, masks and lists of this step
@group(0) @binding(7) var<storage, read_write> population: array<atomic<u32>>; // [step][group][trial] spikes
override WORKGROUP_SIZE: u32 = 64u;
override TRIAL_THREADS: u32 = 1u;
override WRITE_TAPE: bool = false;
var<workgroup> masks_of_threads: array<vec3<u32>, WORKGROUP_SIZE>;
var<workgroup> n_active: atomic<u32>;
var<workgroup> first_active: u32;
//!include shared/list_source.wgsl

fn injected_current(neuron: u32, trial: u32) -> f32 {
    if (HAS_CURRENT) { return step.current_gate * state[plane_index(STATE_CURRENT, neuron, trial)]; }
    return 0.0;
}

// Advances every TRIAL_THREADS-th trial of a neuron from the first on: masks of those that spiked, were held, have psi not 0.
fn advance_trials(neuron: u32, first_trial: u32) -> vec3<u32> {
//!include shared/neuron_constants.wgsl
    let reset_mv = cell(model, CELL_RESET);
    let refractory_steps = cell(model, CELL_REFRACTORY_STEPS);
    let asc_amp_1 = cell(model, CELL_ASC_AMP_1);
    let asc_amp_2 = cell(model, CELL_ASC_AMP_2);
//!membrane constants
    var spiked = 0u;
    var held_trials = 0u;
    var near = 0u;
    for (var trial = first_trial; trial < N_TRIALS; trial += TRIAL_THREADS) {
        // All that is read stands before all that is written: a load after a store would wait for it.
        let u_s = state[plane_index(STATE_U_S, neuron, trial)];
        let refractory = state[plane_index(STATE_REFRACTORY, neuron, trial)];
        var asc_1 = state[plane_index(STATE_ASC_1, neuron, trial)];
        var asc_2 = state[plane_index(STATE_ASC_2, neuron, trial)];
//!for p in PORTS
        let rise_#p = state[plane_index(STATE_PORTS + 2u * #pu, neuron, trial)];
        let g_#p = state[plane_index(STATE_PORTS + 2u * #pu + 1u, neuron, trial)];
//!end
//!for c in CLASSES
        let fixed_#c = arrivals[arrival_index(step.slot, #cu, neuron, trial)];
//!end
//!membrane state
        let held = refractory > 0.0;

        // E1: after-spike currents, frozen while held.
        var drive_pa = injected_current(neuron, trial);
        if (!held) {
            drive_pa += asc_mean_1 * asc_1 + asc_mean_2 * asc_2;
            asc_1 *= asc_decay_1;
            asc_2 *= asc_decay_2;
        }

        // E7, E8: ports. What has arrived is taken away, so that its place is free for later steps. A sum that has reached the
        // uppermost bit is beyond the room that the scale leaves.
        var all_fixed = 0u;
//!for p in PORTS
        let g_next_#p = decay_#p * (g_#p + DT_MS * rise_#p);
        var input_#p = 0.0;
//!end
//!for c in CLASSES
        if (fixed_#c != 0u) { arrivals[arrival_index(step.slot, #cu, neuron, trial)] = 0u; }
        all_fixed |= fixed_#c;
        let arrived_#c = f32(fixed_#c) * step.arrival_unit;
//!for p in PORTS of c
        input_#p += gain_#c_#p * arrived_#c;
//!end
//!end
        if (all_fixed >= 0x80000000u) { raise(STATUS_OVERFLOW, KERNEL_NEURON_FORWARD, neuron, step.step); }
//!for p in PORTS
        state[plane_index(STATE_PORTS + 2u * #pu, neuron, trial)] = decay_#p * rise_#p + input_#p;
        state[plane_index(STATE_PORTS + 2u * #pu + 1u, neuron, trial)] = g_next_#p;
//!end

//!membrane advance
        if (is_not_finite(changed)) { raise(STATUS_NOT_FINITE, KERNEL_NEURON_FORWARD, neuron, step.step); }

        // E3, E6: spike and reset.
        let spike = !held && u_next > threshold_mv;
        state[plane_index(STATE_U_S, neuron, trial)] = select(u_next, reset_mv, spike);
        if (spike) {
            asc_1 = asc_amp_1 + asc_keep_1 * asc_1;
            asc_2 = asc_amp_2 + asc_keep_2 * asc_2;
            state[plane_index(STATE_COUNT, neuron, trial)] += step.in_window;
            spiked |= 1u << trial;
        }
        held_trials |= select(0u, 1u << trial, held);
        state[plane_index(STATE_ASC_1, neuron, trial)] = asc_1;
        state[plane_index(STATE_ASC_2, neuron, trial)] = asc_2;
        state[plane_index(STATE_REFRACTORY, neuron, trial)] = select(max(refractory - 1.0, 0.0), refractory_steps, spike);
        if (WRITE_TAPE) {
            near |= select(0u, 1u << trial, !held && surrogate_psi(u_next, threshold_mv, scale_mv) > 0.0);
            tape[plane_index(TAPE_U_S, neuron, trial)] = u_next;
        }
    }
    return vec3<u32>(spiked, held_trials, near);
}

// Adds a neuron's spikes to the counts of its groups (L8).
fn count_groups(neuron: u32, spiked: u32) {
    if (N_GROUPS == 0u || spiked == 0u) { return; }
    for (var groups = tables[TABLE_GROUPS + neuron]; groups != 0u; groups &= groups - 1u) {
        let at = (step.step * N_GROUPS + firstTrailingBit(groups)) * N_TRIALS;
        for (var left = spiked; left != 0u; left &= left - 1u) { atomicAdd(&population[at + firstTrailingBit(left)], 1u); }
    }
}

// Hands on the masks of all trials of a neuron.
fn hand_on(neuron: u32, masks: vec3<u32>) {
    count_groups(neuron, masks.x);
    list_source(neuron, masks.x);
    if (WRITE_TAPE) {
        atomicStore(&spikes[SPIKES_HELD + neuron], masks.y);
        atomicStore(&spikes[SPIKES_NEAR + neuron], masks.z);
    }
}

// Puts a neuron at a place of the list of those with psi not 0.
fn list_active(at: u32, neuron: u32) { atomicStore(&spikes[SPIKES_ACTIVE + at], neuron); }

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    // A workgroup has all threads of its neurons.
    let first_neuron = (group.x + group.y * groups.x) * (WORKGROUP_SIZE / TRIAL_THREADS);
    let neuron = first_neuron + lane / TRIAL_THREADS;
    var masks = vec3<u32>();
    if (neuron < N_NEURONS) { masks = advance_trials(neuron, lane % TRIAL_THREADS); }
    if (TRIAL_THREADS == 1u) {
        if (neuron < N_NEURONS) { hand_on(neuron, masks); }
        if (masks.z != 0u) { list_active(atomicAdd(&spikes[SPIKES_COUNTS + LIST_ACTIVE], 1u), neuron); }
    } else {
        masks_of_threads[lane] = masks;
        if (lane == 0u) { atomicStore(&n_active, 0u); }
        workgroupBarrier();
        // The first thread of a neuron joins the masks of all, and the first of a workgroup takes places in the list for all:
        // nearly all neurons may be listed, and additions to one word wait for each other.
        var place = 0u;
        let is_first = lane % TRIAL_THREADS == 0u && neuron < N_NEURONS;
        if (is_first) {
            for (var i = 1u; i < TRIAL_THREADS; i++) { masks |= masks_of_threads[lane + i]; }
            hand_on(neuron, masks);
            if (masks.z != 0u) { place = atomicAdd(&n_active, 1u); }
        }
        if (WRITE_TAPE) {
            workgroupBarrier();
            if (lane == 0u) { first_active = atomicAdd(&spikes[SPIKES_COUNTS + LIST_ACTIVE], atomicLoad(&n_active)); }
            workgroupBarrier();
            if (is_first && masks.z != 0u) { list_active(first_active + place, neuron); }
        }
    }
}

// Advances every neuron over one step: soma and dendrite with conductance ports, spike, reset, ports (E1 E2c E3 E6 E7 E8).
// TRIAL_THREADS threads share a neuron; each takes every TRIAL_THREADS-th trial, which lie side by side in memory.
// Pair: neuron_two_compartment_adjoint.wgsl. With WRITE_TAPE it saves what the adjoint needs: u_s' before reset, the two
// midpoint potentials, the two diagonal terms of the membrane system, the held trials, the rows with psi not 0.
// Hazards: reads and clears slot n of the arrivals ring, which only later steps fill again.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/status.wgsl
//!include shared/psi.wgsl
@group(0) @binding(3) var<storage, read_write> state: array<f32>;    // [plane][neuron][trial] mV, pA, nS, nS/ms, steps
@group(0) @binding(4) var<storage, read_write> arrivals: array<u32>; // [slot][class][neuron][trial] fixed-point nS
@group(0) @binding(5) var<storage, read_write> tape: array<f32>;     // [tape plane][neuron][trial] of this step
@group(0) @binding(6) var<storage, read_write> spikes: array<atomic<u32>>; // counts, masks and lists of this step
@group(0) @binding(7) var<storage, read_write> population: array<atomic<u32>>; // [step][group][trial] spikes
override WORKGROUP_SIZE: u32 = 64u;
override TRIAL_THREADS: u32 = 1u;
override WRITE_TAPE: bool = false;
//!include shared/list_source.wgsl
//!include shared/neuron_forward.wgsl

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let thread = id.x + id.y * groups.x * WORKGROUP_SIZE;
    let neuron = thread / TRIAL_THREADS;
    let first_trial = thread % TRIAL_THREADS;
    if (neuron >= N_NEURONS) { return; }
    let model = neuron_model(neuron);
    let target_type = neuron_target_type(neuron);
    let threshold_mv = cell(model, CELL_THRESHOLD);
    let scale_mv = cell(model, CELL_SCALE);
    let reset_mv = cell(model, CELL_RESET);
    let coupling_ns = cell(model, CELL_COUPLING);
    let cap_s = cell(model, CELL_CAPACITY_S);
    let cap_d = cell(model, CELL_CAPACITY_D);
    let own_s = cap_s + cell(model, CELL_LEAK_S) + coupling_ns;
    let own_d = cap_d + cell(model, CELL_LEAK_D) + coupling_ns;
    let asc_mean_1 = cell(model, CELL_ASC_MEAN_1);
    let asc_mean_2 = cell(model, CELL_ASC_MEAN_2);
    let asc_decay_1 = cell(model, CELL_ASC_DECAY_1);
    let asc_decay_2 = cell(model, CELL_ASC_DECAY_2);
    let leak_s_ns = cell(model, CELL_LEAK_S);
    let leak_d_ns = cell(model, CELL_LEAK_D);
    let refractory_steps = cell(model, CELL_REFRACTORY_STEPS);
    let asc_keep_1 = cell(model, CELL_ASC_KEEP_1);
    let asc_keep_2 = cell(model, CELL_ASC_KEEP_2);
    var spiked = 0u;
    var held_trials = 0u;
    var near_trials = 0u;
    for (var trial = first_trial; trial < N_TRIALS; trial += TRIAL_THREADS) {
        let u_s = state[plane_index(STATE_U_S, neuron, trial)];
        let u_d = state[plane_index(STATE_U_D, neuron, trial)];
        let refractory = state[plane_index(STATE_REFRACTORY, neuron, trial)];
        var asc_1 = state[plane_index(STATE_ASC_1, neuron, trial)];
        var asc_2 = state[plane_index(STATE_ASC_2, neuron, trial)];
        let held = refractory > 0.0;

        // E1: after-spike currents, frozen while held.
        var drive_pa = injected_current(neuron, trial);
        if (!held) {
            drive_pa += asc_mean_1 * asc_1 + asc_mean_2 * asc_2;
            asc_1 *= asc_decay_1;
            asc_2 *= asc_decay_2;
        }

        // E7, E8: ports; their mean conductance over the step enters E2c.
        var a_s = own_s;
        var a_d = own_d;
        var rest_s = drive_pa - leak_s_ns * u_s + coupling_ns * (u_d - u_s);
        var rest_d = coupling_ns * (u_s - u_d) - leak_d_ns * u_d;
        var input = arrived(target_type, neuron, trial);
        for (var p = 0u; p < N_PORTS; p++) {
            let decay = port(model, p, PORT_DECAY);
            let drive_mv = port(model, p, PORT_DRIVE);
            let on_soma = port(model, p, PORT_ON_SOMA) > 0.0;
            let rise_at = plane_index(STATE_PORTS + 2u * p, neuron, trial);
            let g_at = plane_index(STATE_PORTS + 2u * p + 1u, neuron, trial);
            let rise = state[rise_at];
            let g = state[g_at];
            let g_next = decay * (g + DT_MS * rise);
            let mean_ns = 0.5 * (g + g_next);
            if (on_soma) {
                a_s += mean_ns;
                rest_s += mean_ns * (drive_mv - u_s);
            } else {
                a_d += mean_ns;
                rest_d += mean_ns * (drive_mv - u_d);
            }
            state[g_at] = g_next;
            state[rise_at] = decay * rise + input[p];
        }

        // E2c: implicit midpoint, solved for its distance from the start of the step: f32 would lose cap u in b.
        var mid_s = reset_mv;
        var mid_d = u_d + rest_d / a_d;
        if (!held) {
            let inverse_det = 1.0 / (a_s * a_d - coupling_ns * coupling_ns);
            mid_s = u_s + (a_d * rest_s + coupling_ns * rest_d) * inverse_det;
            mid_d = u_d + (a_s * rest_d + coupling_ns * rest_s) * inverse_det;
        }
        let u_s_next = select(2.0 * mid_s - u_s, reset_mv, held);
        let u_d_next = 2.0 * mid_d - u_d;
        if (is_not_finite(u_s_next + u_d_next)) {
            raise(STATUS_NOT_FINITE, KERNEL_NEURON_FORWARD, neuron, step.step);
        }

        // E3, E6: spike and reset.
        let spike = !held && u_s_next > threshold_mv;
        state[plane_index(STATE_U_S, neuron, trial)] = select(u_s_next, reset_mv, spike);
        state[plane_index(STATE_U_D, neuron, trial)] = u_d_next;
        if (spike) {
            asc_1 = cell(model, CELL_ASC_AMP_1) + asc_keep_1 * asc_1;
            asc_2 = cell(model, CELL_ASC_AMP_2) + asc_keep_2 * asc_2;
            state[plane_index(STATE_COUNT, neuron, trial)] += step.in_window;
            spiked |= 1u << trial;
        }
        held_trials |= select(0u, 1u << trial, held);
        state[plane_index(STATE_ASC_1, neuron, trial)] = asc_1;
        state[plane_index(STATE_ASC_2, neuron, trial)] = asc_2;
        state[plane_index(STATE_REFRACTORY, neuron, trial)] =
            select(max(refractory - 1.0, 0.0), refractory_steps, spike);
        if (WRITE_TAPE) {
            near_trials |= select(0u, 1u << trial, !held && surrogate_psi(u_s_next, threshold_mv, scale_mv) > 0.0);
            tape[plane_index(TAPE_U_S, neuron, trial)] = u_s_next;
            tape[plane_index(TAPE_MID_S, neuron, trial)] = mid_s;
            tape[plane_index(TAPE_MID_D, neuron, trial)] = mid_d;
            tape[plane_index(TAPE_A_S, neuron, trial)] = a_s;
            tape[plane_index(TAPE_A_D, neuron, trial)] = a_d;
        }
    }
    mark_spikes(neuron, spiked, held_trials, near_trials);
}

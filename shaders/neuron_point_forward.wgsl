// Advances every neuron over one step: the published point model, current ports, exact propagators (E1 E2p E3 E6 E7 E8).
// TRIAL_THREADS threads share a neuron; each takes every TRIAL_THREADS-th trial, which lie side by side in memory.
// Pair: neuron_point_adjoint.wgsl. With WRITE_TAPE it saves u_s' before reset and its derivative by log g, the held trials
// and the rows with psi not 0.
// Hazards: reads and clears slot n of the arrivals ring, which only later steps fill again.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/status.wgsl
//!include shared/psi.wgsl
@group(0) @binding(3) var<storage, read_write> state: array<f32>;    // [plane][neuron][trial] mV, pA, pA/ms, steps
@group(0) @binding(4) var<storage, read_write> arrivals: array<u32>; // [slot][class][neuron][trial] fixed-point pA
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
    let asc_mean_1 = cell(model, CELL_ASC_MEAN_1);
    let asc_mean_2 = cell(model, CELL_ASC_MEAN_2);
    let asc_decay_1 = cell(model, CELL_ASC_DECAY_1);
    let asc_decay_2 = cell(model, CELL_ASC_DECAY_2);
    let p_uu = cell(model, CELL_P_UU);
    let p_ui = cell(model, CELL_P_UI);
    let dp_uu = cell(model, CELL_DP_UU);
    let dp_ui = cell(model, CELL_DP_UI);
    let refractory_steps = cell(model, CELL_REFRACTORY_STEPS);
    let asc_keep_1 = cell(model, CELL_ASC_KEEP_1);
    let asc_keep_2 = cell(model, CELL_ASC_KEEP_2);
    var spiked = 0u;
    var held_trials = 0u;
    var near_trials = 0u;
    for (var trial = first_trial; trial < N_TRIALS; trial += TRIAL_THREADS) {
        let u = state[plane_index(STATE_U_S, neuron, trial)];
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

        // E2p, E7, E8.
        var u_next = p_uu * u + p_ui * drive_pa;
        var du_dlog_g = dp_uu * u + dp_ui * drive_pa;
        var input = arrived(target_type, neuron, trial);
        for (var p = 0u; p < N_PORTS; p++) {
            let decay = port(model, p, PORT_DECAY);
            let p_ur = port(model, p, PORT_P_UR);
            let p_ug = port(model, p, PORT_P_UG);
            let rise_at = plane_index(STATE_PORTS + 2u * p, neuron, trial);
            let g_at = plane_index(STATE_PORTS + 2u * p + 1u, neuron, trial);
            let rise = state[rise_at];
            let g = state[g_at];
            u_next += p_ur * rise + p_ug * g;
            if (WRITE_TAPE) { du_dlog_g += port(model, p, PORT_DP_UR) * rise + port(model, p, PORT_DP_UG) * g; }
            state[g_at] = decay * (g + DT_MS * rise);
            state[rise_at] = decay * rise + input[p];
        }
        u_next = select(u_next, reset_mv, held);
        if (is_not_finite(u_next)) { raise(STATUS_NOT_FINITE, KERNEL_NEURON_FORWARD, neuron, step.step); }

        // E3, E6: spike and reset.
        let spike = !held && u_next > threshold_mv;
        state[plane_index(STATE_U_S, neuron, trial)] = select(u_next, reset_mv, spike);
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
            near_trials |= select(0u, 1u << trial, !held && surrogate_psi(u_next, threshold_mv, scale_mv) > 0.0);
            tape[plane_index(TAPE_U_S, neuron, trial)] = u_next;
            tape[plane_index(TAPE_DU_DLOG_G, neuron, trial)] = du_dlog_g;
        }
    }
    mark_spikes(neuron, spiked, held_trials, near_trials);
}

// Undoes one step of every neuron of the point model: potential, after-spike currents and ports (A3 A6 A2p A7 A8).
// TRIAL_THREADS threads share a neuron; each takes every TRIAL_THREADS-th trial. Pair: neuron_point_forward.wgsl, whose tape it reads.
// Writes adj_arrivals of this step's slot, which the gather of earlier steps reads. With CELL_GRADIENT it also adds up the
// gradients of the cell parameters: per thread, in the place of its first trial.
// Hazards: adj_spike of a row outside the active list is stale; it is never read where psi is 0.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/status.wgsl
//!include shared/psi.wgsl
@group(0) @binding(3) var<storage, read_write> adj_state: array<f32>;    // [adjoint plane][neuron][trial] loss per unit
@group(0) @binding(4) var<storage, read_write> adj_arrivals: array<f32>; // [slot][class][neuron][trial, padded to a record] loss per pA
@group(0) @binding(5) var<storage, read> tape: array<f32>;               // [tape plane][neuron][trial] of this step
@group(0) @binding(6) var<storage, read> spikes: array<u32>;             // counts, masks and lists of the step
@group(0) @binding(7) var<storage, read> adj_spike: array<f32>;          // [neuron][trial, padded to a record] gathered (A9)
@group(0) @binding(8) var<storage, read> seeds: array<f32>;              // [seeds plane][neuron][trial], [step][group][trial] (A9, A11)
override WORKGROUP_SIZE: u32 = 64u;
override TRIAL_THREADS: u32 = 1u;
override CELL_GRADIENT: bool = false;
//!include shared/neuron_adjoint.wgsl

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
    let asc_mean_1 = cell(model, CELL_ASC_MEAN_1);
    let asc_mean_2 = cell(model, CELL_ASC_MEAN_2);
    let asc_decay_1 = cell(model, CELL_ASC_DECAY_1);
    let asc_decay_2 = cell(model, CELL_ASC_DECAY_2);
    let p_uu = cell(model, CELL_P_UU);
    let p_ui = cell(model, CELL_P_UI);
    let asc_keep_1 = cell(model, CELL_ASC_KEEP_1);
    let asc_keep_2 = cell(model, CELL_ASC_KEEP_2);
    let spiked = spikes[SPIKES_MASK + neuron];
    let held_trials = spikes[SPIKES_HELD + neuron];
    var sum_loss = 0.0;
    var sum_log_leak = 0.0;
    var sum_threshold = 0.0;
    var sum_amp_1 = 0.0;
    var sum_amp_2 = 0.0;
    for (var trial = first_trial; trial < N_TRIALS; trial += TRIAL_THREADS) {
        let held = ((held_trials >> trial) & 1u) == 1u;
        let spike = ((spiked >> trial) & 1u) == 1u;
        var adj_rise = load_adj_rise(neuron, trial);
        write_adj_arrivals(target_type, &adj_rise, neuron, trial);

        // A4, A3: adjoint of u_s' before the reset. A spike cuts the path through the potential.
        let u_s_at = plane_index(ADJ_U_S, neuron, trial);
        var out_s = 0.0;
        var adj_threshold = 0.0;
        if (!held) {
            let u_s = tape[plane_index(TAPE_U_S, neuron, trial)];
            let psi = surrogate_psi(u_s, threshold_mv, scale_mv);
            let penalty = voltage_penalty(u_s, scale_mv);
            if (psi > 0.0) { adj_threshold = -psi * adj_spike_of(neuron, trial); }
            out_s = select(adj_state[u_s_at], 0.0, spike) - adj_threshold + penalty.x
                + potential_seed(neuron, trial);
            sum_loss += penalty.y;
        }
        if (is_not_finite(out_s)) { raise(STATUS_NOT_FINITE, KERNEL_NEURON_ADJOINT, neuron, step.step); }

        // A2p, A6: potential and after-spike currents, frozen while held.
        adj_state[u_s_at] = p_uu * out_s;
        let adj_drive = p_ui * out_s;
        add_adj_current(neuron, trial, adj_drive);
        let asc_1_at = plane_index(ADJ_ASC_1, neuron, trial);
        let asc_2_at = plane_index(ADJ_ASC_2, neuron, trial);
        let adj_asc_1 = adj_state[asc_1_at];
        let adj_asc_2 = adj_state[asc_2_at];
        if (!held) {
            adj_state[asc_1_at] = asc_decay_1 * select(1.0, asc_keep_1, spike) * adj_asc_1
                + asc_mean_1 * adj_drive;
            adj_state[asc_2_at] = asc_decay_2 * select(1.0, asc_keep_2, spike) * adj_asc_2
                + asc_mean_2 * adj_drive;
        }

        // A7: ports.
        for (var p = 0u; p < N_PORTS; p++) {
            let decay = port(model, p, PORT_DECAY);
            let p_ur = port(model, p, PORT_P_UR);
            let p_ug = port(model, p, PORT_P_UG);
            let rise_at = plane_index(ADJ_PORTS + 2u * p, neuron, trial);
            let g_at = plane_index(ADJ_PORTS + 2u * p + 1u, neuron, trial);
            let adj_g = adj_state[g_at];
            adj_state[g_at] = decay * adj_g + p_ug * out_s;
            adj_state[rise_at] = decay * (adj_rise[p] + DT_MS * adj_g) + p_ur * out_s;
        }

        if (CELL_GRADIENT) {
            sum_log_leak += out_s * tape[plane_index(TAPE_DU_DLOG_G, neuron, trial)];
            sum_threshold += adj_threshold;
            sum_amp_1 += select(0.0, adj_asc_1, spike);
            sum_amp_2 += select(0.0, adj_asc_2, spike);
        }
    }
    adj_state[plane_index(ADJ_VOLTAGE_LOSS, neuron, first_trial)] += sum_loss;
    if (CELL_GRADIENT) {
        adj_state[plane_index(ADJ_LOG_LEAK, neuron, first_trial)] += sum_log_leak;
        adj_state[plane_index(ADJ_THRESHOLD, neuron, first_trial)] += sum_threshold;
        adj_state[plane_index(ADJ_AMP_1, neuron, first_trial)] += sum_amp_1;
        adj_state[plane_index(ADJ_AMP_2, neuron, first_trial)] += sum_amp_2;
    }
}

// Undoes one step of every neuron: adjoint of soma and dendrite, after-spike currents and ports (A3 A6 A2c A7 A8).
// TRIAL_THREADS threads share a neuron; each takes every TRIAL_THREADS-th trial. Pair: neuron_two_compartment_forward.wgsl, whose tape it reads.
// Writes adj_arrivals of this step's slot, which the gather of earlier steps reads. With CELL_GRADIENT it also adds up the
// gradients of the cell parameters: per thread, in the place of its first trial.
// Hazards: adj_spike of a row outside the active list is stale; it is multiplied by psi = 0 (never NaN: see raise).
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/status.wgsl
//!include shared/psi.wgsl
@group(0) @binding(3) var<storage, read_write> adj_state: array<f32>;    // [adjoint plane][neuron][trial] loss per unit
@group(0) @binding(4) var<storage, read_write> adj_arrivals: array<f32>; // [slot][class][neuron][trial, padded to a record] loss per nS
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
    let coupling_ns = cell(model, CELL_COUPLING);
    let leak_s_ns = cell(model, CELL_LEAK_S);
    let leak_d_ns = cell(model, CELL_LEAK_D);
    let asc_mean_1 = cell(model, CELL_ASC_MEAN_1);
    let asc_mean_2 = cell(model, CELL_ASC_MEAN_2);
    let asc_decay_1 = cell(model, CELL_ASC_DECAY_1);
    let asc_decay_2 = cell(model, CELL_ASC_DECAY_2);
    let cap_s = cell(model, CELL_CAPACITY_S);
    let cap_d = cell(model, CELL_CAPACITY_D);
    let asc_keep_1 = cell(model, CELL_ASC_KEEP_1);
    let asc_keep_2 = cell(model, CELL_ASC_KEEP_2);
    let spiked = spikes[SPIKES_MASK + neuron];
    let held_trials = spikes[SPIKES_HELD + neuron];
    var sum_loss = 0.0;
    var sum_log_leak = 0.0;
    var sum_threshold = 0.0;
    var sum_amp_1 = 0.0;
    var sum_amp_2 = 0.0;
    var sum_log_coupling = 0.0;
    for (var trial = first_trial; trial < N_TRIALS; trial += TRIAL_THREADS) {
        let held = ((held_trials >> trial) & 1u) == 1u;
        let spike = ((spiked >> trial) & 1u) == 1u;
        let mid_s = tape[plane_index(TAPE_MID_S, neuron, trial)];
        let mid_d = tape[plane_index(TAPE_MID_D, neuron, trial)];
        let a_s = tape[plane_index(TAPE_A_S, neuron, trial)];
        let a_d = tape[plane_index(TAPE_A_D, neuron, trial)];
        var adj_rise = load_adj_rise(neuron, trial);
        write_adj_arrivals(target_type, &adj_rise, neuron, trial);

        // A4, A3: adjoint of u_s' before the reset. A spike cuts the path through the potential.
        let u_s_at = plane_index(ADJ_U_S, neuron, trial);
        let u_d_at = plane_index(ADJ_U_D, neuron, trial);
        let out_d = adj_state[u_d_at];
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

        // A2c: the membrane system is symmetric, so its transpose is itself.
        var lam_s = 0.0;
        var lam_d = 2.0 * out_d / a_d;
        if (!held) {
            let scale = 2.0 / (a_s * a_d - coupling_ns * coupling_ns);
            lam_s = (a_d * out_s + coupling_ns * out_d) * scale;
            lam_d = (a_s * out_d + coupling_ns * out_s) * scale;
        }
        if (is_not_finite(lam_s + lam_d)) { raise(STATUS_NOT_FINITE, KERNEL_NEURON_ADJOINT, neuron, step.step); }
        adj_state[u_s_at] = cap_s * lam_s - out_s;
        add_adj_current(neuron, trial, lam_s);
        adj_state[u_d_at] = cap_d * lam_d - out_d;

        // A6: after-spike currents, frozen while held.
        let asc_1_at = plane_index(ADJ_ASC_1, neuron, trial);
        let asc_2_at = plane_index(ADJ_ASC_2, neuron, trial);
        let adj_asc_1 = adj_state[asc_1_at];
        let adj_asc_2 = adj_state[asc_2_at];
        if (!held) {
            adj_state[asc_1_at] = asc_decay_1 * select(1.0, asc_keep_1, spike) * adj_asc_1
                + asc_mean_1 * lam_s;
            adj_state[asc_2_at] = asc_decay_2 * select(1.0, asc_keep_2, spike) * adj_asc_2
                + asc_mean_2 * lam_s;
        }

        // A7: ports.
        for (var p = 0u; p < N_PORTS; p++) {
            let decay = port(model, p, PORT_DECAY);
            let drive_mv = port(model, p, PORT_DRIVE);
            let on_soma = port(model, p, PORT_ON_SOMA) > 0.0;
            let rise_at = plane_index(ADJ_PORTS + 2u * p, neuron, trial);
            let g_at = plane_index(ADJ_PORTS + 2u * p + 1u, neuron, trial);
            let half_adj_mean = 0.5 * select(lam_d * (drive_mv - mid_d), lam_s * (drive_mv - mid_s), on_soma);
            let adj_next = adj_state[g_at] + half_adj_mean;
            adj_state[g_at] = decay * adj_next + half_adj_mean;
            adj_state[rise_at] = decay * (adj_rise[p] + DT_MS * adj_next);
        }

        if (CELL_GRADIENT) {
            sum_log_leak -= lam_s * leak_s_ns * mid_s + lam_d * leak_d_ns * mid_d;
            sum_threshold += adj_threshold;
            sum_amp_1 += select(0.0, adj_asc_1, spike);
            sum_amp_2 += select(0.0, adj_asc_2, spike);
            sum_log_coupling += coupling_ns * (lam_s - lam_d) * (mid_d - mid_s);
        }
    }
    adj_state[plane_index(ADJ_VOLTAGE_LOSS, neuron, first_trial)] += sum_loss;
    if (CELL_GRADIENT) {
        adj_state[plane_index(ADJ_LOG_LEAK, neuron, first_trial)] += sum_log_leak;
        adj_state[plane_index(ADJ_THRESHOLD, neuron, first_trial)] += sum_threshold;
        adj_state[plane_index(ADJ_AMP_1, neuron, first_trial)] += sum_amp_1;
        adj_state[plane_index(ADJ_AMP_2, neuron, first_trial)] += sum_amp_2;
        adj_state[plane_index(ADJ_LOG_COUPLING, neuron, first_trial)] += sum_log_coupling;
    }
}

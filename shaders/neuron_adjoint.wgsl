// Undoes one step of every neuron: spike, after-spike currents and ports (A3 A4 A6 A7 A8). The membrane's part (A2) is put in from
// membrane/*.wgsl: `constants` of a neuron, `undo`, which makes of the adjoint of u_s' that of what the step started from, and its
// gradients. TRIAL_THREADS threads share a neuron; each takes every TRIAL_THREADS-th trial. Pair: neuron_forward.wgsl, whose tape it reads.
// Writes adj_arrivals of this step's slot, which the gather of earlier steps reads. The voltage penalty and, with CELL_GRADIENT, the
// gradients of the cell parameters are added up over the trials in their order, then over the steps, in [sum][neuron] behind the planes.
// Hazards: adj_spike of a row outside the active list is stale; it is never read where psi is 0.
//!include shared/step.wgsl
//!include shared/tables.wgsl
//!include shared/status.wgsl
//!include shared/psi.wgsl
//!include shared/records.wgsl
@group(0) @binding(3) var<storage, read_write> adj_state: array<f32>;    // [adjoint plane][neuron][trial] loss per unit, [sum][neuron]
@group(0) @binding(4) var<storage, read_write> adj_arrivals: array<u32>; // [slot][class][neuron], a record (shared/records.wgsl), loss per nS (pA)
@group(0) @binding(5) var<storage, read> tape: array<f32>;               // [tape plane][neuron][trial] of this step
@group(0) @binding(6) var<storage, read> spikes: array<u32>;             // counts, masks and lists of the step
@group(0) @binding(7) var<storage, read> adj_spike: array<f32>;          // [neuron][trial] gathered (A9)
@group(0) @binding(8) var<storage, read> seeds: array<f32>;              // [seeds plane][neuron][trial], [step][group][trial] (A9, A11)
override WORKGROUP_SIZE: u32 = 64u;
override TRIAL_THREADS: u32 = 1u;
override CELL_GRADIENT: bool = false;
var<workgroup> sums_of_threads: array<f32, WORKGROUP_SIZE * N_ADJ_SUMS>; // [sum][thread]
//!include shared/packing.wgsl

// L8: the loss's derivative by the counts of the neuron's groups in this step.
fn population_seed(neuron: u32, trial: u32) -> f32 {
    if (N_GROUPS == 0u) { return 0.0; }
    var sum = 0.0;
    for (var groups = tables[TABLE_GROUPS + neuron]; groups != 0u; groups &= groups - 1u) {
        let group = firstTrailingBit(groups);
        sum += seeds[SEEDS_POPULATION + (step.step * N_GROUPS + group) * N_TRIALS + trial];
    }
    return sum;
}

// A11: the loss's derivative by u_s' where it looks at the potential of this step.
fn potential_seed(neuron: u32, trial: u32) -> f32 {
    if (HAS_POTENTIAL_SEEDS && seeds[plane_index(SEEDS_POTENTIAL_STEP, neuron, trial)] == f32(step.step)) {
        return seeds[plane_index(SEEDS_POTENTIAL, neuron, trial)];
    }
    return 0.0;
}

// A11: adjoint of the injected current, which is the same in every step.
fn add_adj_current(neuron: u32, trial: u32, adj_drive: f32) {
    if (HAS_POTENTIAL_SEEDS) { adj_state[plane_index(ADJ_CURRENT, neuron, trial)] += step.current_gate * adj_drive; }
}

// E5: derivative of the voltage penalty by u_s', and its value for the loss.
fn voltage_penalty(u_mv: f32, scale_mv: f32) -> vec2<f32> {
    let x = u_mv / scale_mv;
    let above = max(0.0, x - step.x_high);
    let below = max(0.0, step.x_low - x);
    return step.voltage_weight * vec2<f32>(2.0 * (above - below) / scale_mv, above * above + below * below);
}

// Hands on what a thread has added up over its trials.
fn hand_on(sum_ix: u32, neuron: u32, lane: u32, sum: f32) {
    if (TRIAL_THREADS == 1u) {
        adj_state[ADJ_SUMS + sum_ix * N_NEURONS + neuron] += sum;
    } else {
        sums_of_threads[sum_ix * WORKGROUP_SIZE + lane] = sum;
    }
}

// Undoes every TRIAL_THREADS-th trial of a neuron.
fn undo_trials(neuron: u32, lane: u32) {
    let first_trial = lane % TRIAL_THREADS;
//!include shared/neuron_constants.wgsl
//!for c in CLASSES
    let record_#c = 4u * record_index(step.slot, #cu, neuron);
//!end
//!membrane constants
    let spiked = spikes[SPIKES_MASK + neuron];
    let held_trials = spikes[SPIKES_HELD + neuron];
    var sum_loss = 0.0;
    var sum_threshold = 0.0;
    var sum_amp_1 = 0.0;
    var sum_amp_2 = 0.0;
//!membrane sums
    for (var trial = first_trial; trial < N_TRIALS; trial += TRIAL_THREADS) {
        let held = ((held_trials >> trial) & 1u) == 1u;
        let spike = ((spiked >> trial) & 1u) == 1u;

        // All that is read stands before all that is written: a load after a store would wait for it.
//!for p in PORTS
        let adj_rise_#p = adj_state[plane_index(ADJ_PORTS + 2u * #pu, neuron, trial)];
        let adj_g_#p = adj_state[plane_index(ADJ_PORTS + 2u * #pu + 1u, neuron, trial)];
//!end
        let u_s_at = plane_index(ADJ_U_S, neuron, trial);
        let asc_1_at = plane_index(ADJ_ASC_1, neuron, trial);
        let asc_2_at = plane_index(ADJ_ASC_2, neuron, trial);
        let adj_u_s = adj_state[u_s_at];
        let adj_asc_1 = adj_state[asc_1_at];
        let adj_asc_2 = adj_state[asc_2_at];
        let u_s = tape[plane_index(TAPE_U_S, neuron, trial)];
        let gathered = adj_spike[neuron * N_TRIALS + trial];
        let count_seed = seeds[plane_index(SEEDS_COUNT, neuron, trial)];
//!membrane adjoint

        // A8: adjoint of this step's arrivals, from the adjoint of the rise variables after the step.
//!for c in CLASSES
        hand_on_arrivals(#cu, record_#c, trial, lane, 0.0
//!for p in PORTS of c
            + gain_#c_#p * adj_rise_#p
//!end
        );
//!end

        // A4, A3: adjoint of u_s' before the reset. A spike cuts the path through the potential.
        var out_s = 0.0;
        var adj_threshold = 0.0;
        if (!held) {
            let psi = surrogate_psi(u_s, threshold_mv, scale_mv);
            let penalty = voltage_penalty(u_s, scale_mv);
            if (psi > 0.0) {
                // A9: adjoint of the spike: what the row gathered, damped, plus the loss's seed inside the analysis window.
                let adj_spiked = step.recurrent_damping * gathered + step.in_window * count_seed + population_seed(neuron, trial);
                adj_threshold = -psi * adj_spiked;
            }
            out_s = select(adj_u_s, 0.0, spike) - adj_threshold + penalty.x + potential_seed(neuron, trial);
            sum_loss += penalty.y;
        }

//!membrane undo
        if (is_not_finite(changed)) { raise(STATUS_NOT_FINITE, KERNEL_NEURON_ADJOINT, neuron, step.step); }
        add_adj_current(neuron, trial, adj_drive);

        // A6: after-spike currents, frozen while held.
        if (!held) {
            adj_state[asc_1_at] = asc_decay_1 * select(1.0, asc_keep_1, spike) * adj_asc_1 + asc_mean_1 * adj_drive;
            adj_state[asc_2_at] = asc_decay_2 * select(1.0, asc_keep_2, spike) * adj_asc_2 + asc_mean_2 * adj_drive;
        }
        if (CELL_GRADIENT) {
            sum_threshold += adj_threshold;
            sum_amp_1 += select(0.0, adj_asc_1, spike);
            sum_amp_2 += select(0.0, adj_asc_2, spike);
        }
    }
    hand_on(SUM_VOLTAGE_LOSS, neuron, lane, sum_loss);
    if (CELL_GRADIENT) {
        hand_on(SUM_THRESHOLD, neuron, lane, sum_threshold);
        hand_on(SUM_AMP_1, neuron, lane, sum_amp_1);
        hand_on(SUM_AMP_2, neuron, lane, sum_amp_2);
//!membrane gradients
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    // A workgroup has all threads of its neurons.
    let neuron = (group.x + group.y * groups.x) * (WORKGROUP_SIZE / TRIAL_THREADS) + lane / TRIAL_THREADS;
    if (TRIAL_THREADS == 1u) {
        if (neuron < N_NEURONS) { undo_trials(neuron, lane); }
    } else {
        // A membrane may leave sums out.
        for (var sum_ix = 0u; sum_ix < N_ADJ_SUMS; sum_ix++) { sums_of_threads[sum_ix * WORKGROUP_SIZE + lane] = 0.0; }
        if (neuron < N_NEURONS) { undo_trials(neuron, lane); }
        workgroupBarrier();
        if (PACKED && neuron < N_NEURONS) { pack(neuron, lane); }
        // The threads of a neuron share its sums.
        let n_sums = select(1u, N_ADJ_SUMS, CELL_GRADIENT && neuron < N_NEURONS);
        for (var sum_ix = lane % TRIAL_THREADS; sum_ix < n_sums; sum_ix += TRIAL_THREADS) {
            let first = sum_ix * WORKGROUP_SIZE + lane - lane % TRIAL_THREADS;
            var sum = 0.0;
            for (var trial = 0u; trial < TRIAL_THREADS; trial++) { sum += sums_of_threads[first + trial]; }
            if (neuron < N_NEURONS) { adj_state[ADJ_SUMS + sum_ix * N_NEURONS + neuron] += sum; }
        }
    }
}

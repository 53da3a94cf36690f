// What the two neuron adjoints share: adjoint of the spike, of the voltage penalty, of the arrivals.

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

// A9: adjoint of the spike: what the row gathered, plus the loss's seed inside the analysis window.
fn adj_spike_of(neuron: u32, trial: u32) -> f32 {
    return adj_spike[neuron * 4u * RECORD + trial]
        + step.in_window * seeds[plane_index(SEEDS_COUNT, neuron, trial)]
        + population_seed(neuron, trial);
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

// A8: adjoint of this step's arrivals, from the adjoint of the rise variables after the step.
fn write_adj_arrivals(
    target_type: u32,
    adj_rise: ptr<function, array<f32, N_PORTS>>,
    neuron: u32,
    trial: u32,
) {
    for (var class_ix = 0u; class_ix < N_CLASSES; class_ix++) {
        var sum = 0.0;
        for (var p = 0u; p < N_PORTS; p++) { sum += gain(target_type, class_ix, p) * (*adj_rise)[p]; }
        adj_arrivals[4u * record_index(step.slot, class_ix, neuron) + trial] = sum;
    }
}

fn load_adj_rise(neuron: u32, trial: u32) -> array<f32, N_PORTS> {
    var adj_rise = array<f32, N_PORTS>();
    for (var p = 0u; p < N_PORTS; p++) { adj_rise[p] = adj_state[plane_index(ADJ_PORTS + 2u * p, neuron, trial)]; }
    return adj_rise;
}

// What the two neuron kernels share: injected current, arrivals, and how spikes are handed on.

fn injected_current(neuron: u32, trial: u32) -> f32 {
    if (HAS_CURRENT) { return step.current_gate * state[plane_index(STATE_CURRENT, neuron, trial)]; }
    return 0.0;
}

// E8: what the arrivals of this step add to the rise variables. Clears the slot for its next use. A sum that has reached the uppermost
// bit is beyond the room that the scale leaves.
fn arrived(target_type: u32, neuron: u32, trial: u32) -> array<f32, N_PORTS> {
    var input = array<f32, N_PORTS>();
    for (var class_ix = 0u; class_ix < N_CLASSES; class_ix++) {
        let at = arrival_index(step.slot, class_ix, neuron, trial);
        let fixed = arrivals[at];
        if (fixed != 0u) {
            arrivals[at] = 0u;
            if (fixed >= 0x80000000u) { raise(STATUS_OVERFLOW, KERNEL_NEURON_FORWARD, neuron, step.step); }
            let weight = f32(fixed) * step.arrival_unit;
            for (var p = 0u; p < N_PORTS; p++) {
                input[p] += gain(target_type, class_ix, p) * weight;
            }
        }
    }
    return input;
}

// Adds a neuron's spikes to the counts of its groups (L8).
fn count_groups(neuron: u32, spiked: u32) {
    if (N_GROUPS == 0u || spiked == 0u) { return; }
    for (var groups = tables[TABLE_GROUPS + neuron]; groups != 0u; groups &= groups - 1u) {
        let at = (step.step * N_GROUPS + firstTrailingBit(groups)) * N_TRIALS;
        for (var left = spiked; left != 0u; left &= left - 1u) { atomicAdd(&population[at + firstTrailingBit(left)], 1u); }
    }
}

// Which trials spiked, were held and have psi not 0, and the lists of rows that the edge kernels walk. The masks are zero before
// the step; of the threads that share a neuron the first to find its mask zero puts it on the list.
fn mark_spikes(neuron: u32, spiked: u32, held: u32, near: u32) {
    count_groups(neuron, spiked);
    if (spiked != 0u && atomicOr(&spikes[SPIKES_MASK + neuron], spiked) == 0u) {
        list_chunks(neuron);
    }
    if (WRITE_TAPE) {
        if (held != 0u) { atomicOr(&spikes[SPIKES_HELD + neuron], held); }
        if (near != 0u && atomicOr(&spikes[SPIKES_NEAR + neuron], near) == 0u) {
            let at = atomicAdd(&spikes[SPIKES_COUNTS + LIST_ACTIVE], 1u);
            atomicStore(&spikes[SPIKES_ACTIVE + at], neuron);
        }
    }
}

// Hands on the spikes of an LGN or background unit: its mask of trials, and its place in the list of its kind.
fn list_source(source: u32, trials: u32) {
    atomicStore(&spikes[SPIKES_MASK + source], trials);
    if (trials == 0u) { return; }
    let is_lgn = source < N_NEURONS + N_LGN;
    let kind = select(LIST_BACKGROUND, LIST_LGN, is_lgn);
    let start = select(N_NEURONS + N_LGN, N_NEURONS, is_lgn);
    let at = atomicAdd(&spikes[SPIKES_COUNTS + kind], 1u);
    atomicStore(&spikes[SPIKES_LIST + start + at], source);
}

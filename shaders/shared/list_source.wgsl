// Appends the chunks of a row to those that spread and weight gradient walk.
fn list_chunks(source: u32) {
    let first = first_chunk(source);
    let n = first_chunk(source + 1u) - first;
    let at = atomicAdd(&spikes[SPIKES_COUNTS + LIST_CHUNKS], n);
    for (var i = 0u; i < n; i++) { atomicStore(&spikes[SPIKES_CHUNKS + at + i], first + i); }
}

// Hands on the spikes of a source: its mask of trials, and its chunks in the list of the step.
fn list_source(source: u32, trials: u32) {
    atomicStore(&spikes[SPIKES_MASK + source], trials);
    if (trials != 0u) { list_chunks(source); }
}

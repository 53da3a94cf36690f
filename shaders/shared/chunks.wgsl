// The chunks of rows that spiked in a step: kernels that walk few rows take chunks of CHUNK_EDGES edges, so that all workgroups have
// about as much to do, however long a row is.
fn holds_chunk(chunk: u32) -> bool {
    return chunk >= rows[ROWS_FIRST_CHUNK] && chunk - rows[ROWS_FIRST_CHUNK] < rows[ROWS_N_CHUNKS];
}
fn chunk_source(chunk: u32) -> u32 { return rows[ROWS_HEADER + n_rows() + 1u + chunk - rows[ROWS_FIRST_CHUNK]]; }
// First edge and end of a chunk.
fn chunk_edges(chunk: u32, source: u32) -> vec2<u32> {
    let first = row_first(source) + CHUNK_EDGES * (chunk - first_chunk(source));
    return vec2<u32>(first, min(first + CHUNK_EDGES, row_last(source)));
}

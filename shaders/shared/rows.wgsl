// Some whole rows of synapses, and where they lie in the edges of their shard. `rows` is a header (ROWS_*), the first edge of each
// row and the end of the last, the source of each chunk: a chunk is up to CHUNK_EDGES edges of a row, the last of a row may be shorter.
@group(0) @binding(3) var<storage, read> rows: array<u32>; // [header, row offsets, chunk sources]
@group(0) @binding(4) var<storage, read> targets: array<u32>; // [edge of the shard] delay and target neuron

fn rows_kind() -> u32 { return rows[ROWS_KIND]; }
fn n_rows() -> u32 { return rows[ROWS_N]; }
fn first_source() -> u32 { return rows[ROWS_FIRST_SOURCE]; }
fn holds_source(source: u32) -> bool { return source >= first_source() && source - first_source() < n_rows(); }
fn row_first(source: u32) -> u32 { return rows[ROWS_HEADER + source - first_source()]; }
fn row_last(source: u32) -> u32 { return rows[ROWS_HEADER + 1u + source - first_source()]; }
// Place of an edge of the shard in what only these rows have: gradients and moments.
fn own_edge(edge: u32) -> u32 { return edge - rows[ROWS_FIRST_EDGE]; }

// A shard: some whole rows of synapses. offsets = [first source, number of rows, list of the rows' kind, then the first
// edge of each row and the end of the last].
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>; // [edge] delay and target neuron

fn shard_first() -> u32 { return offsets[0]; }
fn shard_n_rows() -> u32 { return offsets[1]; }
fn shard_list() -> u32 { return offsets[2]; }
fn shard_holds(source: u32) -> bool { return source >= offsets[0] && source - offsets[0] < offsets[1]; }
fn row_first(source: u32) -> u32 { return offsets[3u + source - offsets[0]]; }
fn row_last(source: u32) -> u32 { return offsets[4u + source - offsets[0]]; }
// Where the list of a kind of source starts: lists lie one after the other, as the sources do.
fn list_start(kind: u32) -> u32 {
    return select(select(N_NEURONS + N_LGN, N_NEURONS, kind == LIST_LGN), 0u, kind == LIST_NEURONS);
}

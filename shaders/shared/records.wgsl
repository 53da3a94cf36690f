// Records of the adjoint of arrivals: the trials of a neuron in RECORD vec4, PIECE_TRIALS in each. A whole record has four trials in a
// vec4, bit for bit. A packed one has five: word k holds the upper 24 bits of trial k, and below them byte k of those of trial 4.

fn upper_trials(piece: vec4<u32>) -> vec4<f32> {
    if (PACKED) { return bitcast<vec4<f32>>(piece & vec4<u32>(0xffffff00u)); }
    return bitcast<vec4<f32>>(piece);
}

fn fifth_trial(piece: vec4<u32>) -> f32 {
    return bitcast<f32>(((piece.x & 0xffu) << 8u) | ((piece.y & 0xffu) << 16u) | ((piece.z & 0xffu) << 24u));
}

// The upper 24 bits of a number, rounded to even.
fn upper_bits(x: f32) -> u32 {
    let word = bitcast<u32>(x);
    return (word + 0x7fu + ((word >> 8u) & 1u)) >> 8u;
}

// Word `k` of a packed piece, from the upper bits of trials k and 4.
fn packed_word(k: u32, of_trial: u32, of_fifth: u32) -> u32 {
    return (of_trial << 8u) | ((of_fifth >> (8u * k)) & select(0u, 0xffu, k < 3u));
}

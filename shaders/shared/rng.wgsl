// Counter-based random numbers, Philox 4x32-10 (Salmon et al. 2011). Twin of src/model/rng.rs, bit for bit.

// High word of a 32 x 32 bit product, by 16-bit halves.
fn multiply_high(a: u32, b: u32) -> u32 {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let mid = a_high * b_low + ((a_low * b_low) >> 16u);
    let mid_low = a_low * b_high + (mid & 0xffffu);
    return a_high * b_high + (mid >> 16u) + (mid_low >> 16u);
}

fn philox4x32(counter_in: vec4<u32>, key_in: vec2<u32>) -> vec4<u32> {
    var counter = counter_in;
    var key = key_in;
//!for round in PHILOX_ROUNDS
    counter = vec4<u32>(
        multiply_high(0xCD9E8D57u, counter.z) ^ counter.y ^ key.x,
        0xCD9E8D57u * counter.z,
        multiply_high(0xD2511F53u, counter.x) ^ counter.w ^ key.y,
        0xD2511F53u * counter.x,
    );
    key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
//!end
    return counter;
}

// Four words for (seed, stream, source, step, block of four trials).
fn random_words(seed_low: u32, seed_high: u32, stream: u32, source: u32, step_ix: u32, block: u32) -> vec4<u32> {
    return philox4x32(vec4<u32>(source, step_ix, block, seed_high), vec2<u32>(seed_low, stream));
}

// Uniform in [0, 1) with 24 bits, of each word.
fn uniform_of_words(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(words >> vec4<u32>(8u)) * (1.0 / 16777216.0); }

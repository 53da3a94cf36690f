//! Counter-based random numbers: a function of (seed, stream, source, step, trial), bit-exact in Rust and WGSL.
//!
//! Philox 4x32 with 10 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The WGSL twin is
//! `shaders/shared/rng.wgsl`. One call yields four words: on the device trials 4k..4k+3 share one call.

/// What a random number is for; streams never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Positions of neurons and LGN units.
    Positions = 1,
    /// Parameters of cells: synapse counts, LGN filter parameters.
    CellParameters = 2,
    /// Which pairs are connected.
    Connections = 3,
    /// Synaptic weights.
    Weights = 4,
    /// LGN connections.
    LgnConnections = 5,
    /// Background connections.
    BackgroundConnections = 6,
    /// Spikes of LGN and background units.
    SourceSpikes = 7,
    /// Conditions of the trials of a training step.
    Trials = 8,
    /// Everything the losses draw.
    Loss = 9,
    /// Pairs that are recorded.
    Pairs = 10,
    /// Cells that a lesion removes.
    Lesion = 11,
}

/// The four random words of a counter and key.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const M0: u64 = 0xD251_1F53;
    const M1: u64 = 0xCD9E_8D57;
    for round in 0..10 {
        if round > 0 {
            key[0] = key[0].wrapping_add(0x9E37_79B9);
            key[1] = key[1].wrapping_add(0xBB67_AE85);
        }
        let p0 = M0 * u64::from(counter[0]);
        let p1 = M1 * u64::from(counter[2]);
        counter = [
            (p1 >> 32) as u32 ^ counter[1] ^ key[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ counter[3] ^ key[1],
            p0 as u32,
        ];
    }
    counter
}

/// Four random words for (seed, stream, source, step, block). The key is the seed's low word and the stream mixed with
/// its high word; the counter is (source, step, block, high word of the seed).
pub fn words(seed: u64, stream: Stream, source: u32, step: u32, block: u32) -> [u32; 4] {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    philox4x32([source, step, block, high], [low, stream as u32])
}

/// The word of one trial: word `trial % 4` of block `trial / 4`.
pub fn word(seed: u64, stream: Stream, source: u32, step: u32, trial: u32) -> u32 {
    words(seed, stream, source, step, trial / 4)[(trial % 4) as usize]
}

/// Uniform in [0, 1) with 24 bits, so that f32 and f64 agree on it exactly: the form that WGSL computes.
pub fn uniform_of_word(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Uniform in [0, 1) with 24 bits for (seed, stream, source, step, trial).
pub fn uniform(seed: u64, stream: Stream, source: u32, step: u32, trial: u32) -> f32 {
    uniform_of_word(word(seed, stream, source, step, trial))
}

/// Uniform in (0, 1) with 53 bits from two words, for host-side draws.
pub fn uniform_f64(low: u32, high: u32) -> f64 {
    (((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0)
}

/// Two independent standard normal numbers from four words (Box-Muller).
pub fn normal_pair(words: [u32; 4]) -> [f64; 2] {
    let r = (-2.0 * uniform_f64(words[0], words[1]).ln()).sqrt();
    let phi = std::f64::consts::TAU * uniform_f64(words[2], words[3]);
    [r * phi.cos(), r * phi.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers published with Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let n = 20_000_u32;
        let (mut m1, mut m2, mut z1, mut z2) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..n {
            let u = f64::from(uniform(7, Stream::Trials, i, 3, 1));
            m1 += u;
            m2 += u * u;
            let z = normal_pair(words(7, Stream::Weights, i, 0, 0));
            z1 += z[0] + z[1];
            z2 += z[0] * z[0] + z[1] * z[1];
        }
        let n = f64::from(n);
        assert!((m1 / n - 0.5).abs() < 5.0 * (1.0 / 12.0 / n).sqrt());
        assert!((m2 / n - 1.0 / 3.0).abs() < 5.0 * (4.0 / 45.0 / n).sqrt());
        assert!((z1 / (2.0 * n)).abs() < 5.0 / (2.0 * n).sqrt());
        assert!((z2 / (2.0 * n) - 1.0).abs() < 5.0 * (2.0 / (2.0 * n)).sqrt());
    }
}

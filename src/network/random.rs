//! Random numbers of the builder: a sequence for every (seed, stream, owner), so that what is drawn for one neuron or
//! unit depends on nothing else, least of all on which thread draws it.

/// What a sequence of draws is for. Different streams of one seed are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Stream {
    /// Place, size and tuning of an LGN unit; the owner is the unit.
    LgnUnit = 1,
}

/// The sequence of draws of one owner.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    key: u64,
    counter: u64,
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014), a bijection of 64 bits.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    /// The sequence of `owner` (a neuron or unit index) in `stream` under `seed`.
    pub(crate) const fn new(seed: u64, stream: Stream, owner: u64) -> Self {
        let key =
            mix(mix(mix(seed.wrapping_add(GOLDEN)) ^ (stream as u64).wrapping_mul(GOLDEN))
                .wrapping_add(owner));
        Self { key, counter: 0 }
    }

    /// Next 64 random bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Uniform in [0, 1).
    pub(crate) const fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub(crate) const fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }
}

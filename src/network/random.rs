//! Random numbers of the builder: a sequence for every (seed, stream, owner), so that what is drawn for one neuron or
//! unit depends on nothing else, least of all on which thread draws it.

use crate::model::rng::{self, Stream};

/// What owns a sequence; neurons and LGN units of one index must not share their draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Owner {
    /// A neuron: its place and synapse count, and all edges it receives.
    Neuron = 0,
    /// An LGN unit.
    LgnUnit = 1,
}

/// The sequence of draws of one owner.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    seed: u64,
    stream: Stream,
    owner_id: u64,
    owner: Owner,
    n_blocks: u32,
    spare: Option<f64>,
}

impl Draws {
    /// The sequence of a neuron or unit, by its number or the id of its cell, below 2^63, in `stream` under `seed`.
    pub(crate) fn new(seed: u64, stream: Stream, owner: Owner, owner_id: u64) -> Self {
        Self { seed, stream, owner_id, owner, n_blocks: 0, spare: None }
    }

    /// The next four random words.
    fn words(&mut self) -> [u32; 4] {
        let (low, high) = (self.owner_id as u32, (self.owner_id >> 32) as u32);
        let words = rng::words(self.seed, self.stream, low, self.n_blocks, self.owner as u32 | (high << 1));
        self.n_blocks += 1;
        words
    }

    /// Uniform in (0, 1), 53 bits.
    pub(crate) fn uniform(&mut self) -> f64 {
        if let Some(u) = self.spare.take() {
            return u;
        }
        let [a, b, c, d] = self.words();
        self.spare = Some(rng::uniform_f64(c, d));
        rng::uniform_f64(a, b)
    }

    /// Uniform in (low, high).
    pub(crate) fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Exponential of mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        let words = self.words();
        rng::normal_pair(words)[0]
    }

    /// Poisson of the given mean (small: the search is linear), 0 drawn again.
    pub(crate) fn positive_poisson(&mut self, mean: f64) -> u32 {
        loop {
            // Count the events of a unit-rate process within `mean`.
            let mut time = self.exponential();
            let mut n = 0;
            while time < mean {
                n += 1;
                time += self.exponential();
            }
            if n > 0 {
                return n;
            }
        }
    }

    /// Yule-Simon of parameter `alpha`: 1, 2, ..; the mean is alpha / (alpha - 1). Geometric whose success probability
    /// is itself random (Devroye 1986, X.6.3).
    pub(crate) fn yule_simon(&mut self, alpha: f64) -> u32 {
        let (a, b) = (self.exponential(), self.exponential());
        let p_fail_ln = (-(-b / alpha).exp()).ln_1p();
        (-a / p_fail_ln).ceil().clamp(1.0, 1e6) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws() -> Draws {
        Draws::new(1, Stream::Positions, Owner::Neuron, 7)
    }

    #[test]
    fn sequences_of_different_owners_differ() {
        let first = |owner, ix| Draws::new(1, Stream::Positions, owner, ix).uniform();
        assert_ne!(first(Owner::Neuron, 0), first(Owner::LgnUnit, 0));
        assert_ne!(first(Owner::Neuron, 0), first(Owner::Neuron, 1));
        assert_eq!(draws().uniform(), draws().uniform());
    }

    #[test]
    fn distributions_have_their_means() {
        let n = 40_000;
        let mut d = draws();
        let mut mean =
            |draw: &mut dyn FnMut(&mut Draws) -> f64| (0..n).map(|_| draw(&mut d)).sum::<f64>() / n as f64;
        let sd = |var: f64| (var / n as f64).sqrt();
        assert!((mean(&mut |d| d.exponential()) - 1.0).abs() < 4.0 * sd(1.0));
        assert!(mean(&mut |d| d.normal()).abs() < 4.0 * sd(1.0));
        // Poisson of mean m without 0: m / (1 - exp(-m)).
        let expected = 2.0 / (1.0 - (-2.0f64).exp());
        assert!((mean(&mut |d| f64::from(d.positive_poisson(2.0))) - expected).abs() < 4.0 * sd(2.0));
        // Yule-Simon at 4.3: mean 4.3 / 3.3; P(1) = 4.3 / 5.3. Its variance is alpha^2 / ((alpha-1)^2 (alpha-2)).
        let var = 4.3f64.powi(2) / (3.3f64.powi(2) * 2.3);
        assert!((mean(&mut |d| f64::from(d.yule_simon(4.3))) - 4.3 / 3.3).abs() < 4.0 * sd(var));
        let p1 = mean(&mut |d| f64::from(u8::from(d.yule_simon(4.3) == 1)));
        assert!((p1 - 4.3 / 5.3).abs() < 4.0 * sd(0.16));
    }
}

//! Running means over training steps.

use crate::error::{Check, Result};

/// Exponential running means, unbiased from the first step on: a step of age k counts `decay^k`. With a decay of 0 it is the step in
/// hand alone, and nothing is remembered.
///
/// A squared distance of a noisy statistic also asks for less noise, `E (z - t)^2 = (E z - t)^2 + Var z`; that of a running mean does so less.
/// The derivative by what the step in hand showed is taken as if it were the whole mean: over many steps its average is then the
/// derivative at the mean, and the weight of a term keeps its meaning whatever the decay.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningMean {
    decay: f64,
    /// Sums of what was seen, then that of 1, `[n + 1]`: each step times `(1 - decay) decay^age`.
    sums: Vec<f64>,
}

impl RunningMean {
    /// Of `n` numbers, before the first step; `decay` in [0, 1).
    pub fn new(decay: f64, n: usize) -> Self {
        Self { decay, sums: vec![0.0; n + 1] }
    }

    /// The means with the step in hand among what was seen.
    pub fn with(&self, values: &[f64]) -> Vec<f64> {
        let sum = |sum: f64, value: f64| self.decay * sum + (1.0 - self.decay) * value;
        let whole = sum(self.sums[values.len()], 1.0);
        self.sums.iter().zip(values).map(|(own, value)| sum(*own, *value) / whole).collect()
    }

    /// Takes the step in hand into what was seen.
    pub fn take(&mut self, values: &[f64]) {
        for (own, value) in self.sums.iter_mut().zip(values.iter().chain([&1.0])) {
            *own = self.decay * *own + (1.0 - self.decay) * value;
        }
    }

    /// What has to be kept for the next step: nothing where the decay is 0.
    pub fn memory(&self) -> Option<&[f64]> {
        (self.decay > 0.0).then_some(&self.sums)
    }

    /// The same to be restored.
    pub fn memory_mut(&mut self) -> Option<&mut [f64]> {
        (self.decay > 0.0).then_some(&mut self.sums)
    }
}

/// Refuses a decay that is not in [0, 1).
///
/// # Errors
/// [`crate::Error::Field`].
pub fn check_decay(check: &Check<'_>, field: &str, decay: f64) -> Result<()> {
    let limit = || "must be from 0 to less than 1".to_owned();
    check.hold((0.0..1.0).contains(&decay), field, decay, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_that_of_the_steps_weighed_by_their_age() {
        let mut mean = RunningMean::new(0.5, 2);
        assert_eq!(mean.with(&[3.0, -1.0]), [3.0, -1.0]);
        mean.take(&[3.0, -1.0]);
        assert_eq!(mean.with(&[6.0, 2.0]), [5.0, 1.0]);
        mean.take(&[6.0, 2.0]);
        let third = mean.with(&[1.0, 1.0])[0];
        assert!((third - (4.0 * 1.0 + 2.0 * 6.0 + 3.0) / 7.0).abs() < 1e-12, "{third}");
        let mut restored = RunningMean::new(0.5, 2);
        restored.memory_mut().unwrap().copy_from_slice(mean.memory().unwrap());
        assert_eq!(restored, mean);
        let mut none = RunningMean::new(0.0, 1);
        none.take(&[7.0]);
        assert_eq!((none.with(&[2.0]), none.memory()), (vec![2.0], None));
    }
}

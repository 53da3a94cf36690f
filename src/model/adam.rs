//! Adam on the host, for the few parameters that are not weights. Its twin for weights is `shaders/update_weights.wgsl`.

/// What an Adam step depends on beside gradient and moments (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamRule {
    /// Decay of the first moment, in [0, 1).
    pub beta_1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta_2: f64,
    /// Added to the root of the second moment, > 0.
    pub epsilon: f64,
}

impl AdamRule {
    /// Factors that undo the moments' start from zero at step `t` (from 1).
    pub fn bias(&self, t: u32) -> [f64; 2] {
        let t = t.min(i32::MAX as u32) as i32;
        [1.0 / (1.0 - self.beta_1.powi(t)), 1.0 / (1.0 - self.beta_2.powi(t))]
    }

    /// Advances the two moments by a gradient and returns the step to subtract, for learning rate 1.
    pub fn advance(&self, t: u32, gradient: f64, moments: &mut [f64; 2]) -> f64 {
        let [bias_1, bias_2] = self.bias(t);
        moments[0] = self.beta_1 * moments[0] + (1.0 - self.beta_1) * gradient;
        moments[1] = self.beta_2 * moments[1] + (1.0 - self.beta_2) * gradient * gradient;
        moments[0] * bias_1 / ((moments[1] * bias_2).sqrt() + self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_has_size_one_and_a_quadratic_is_minimised() {
        let rule = AdamRule { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-12 };
        let mut moments = [0.0; 2];
        assert!((rule.advance(1, -0.003, &mut moments) + 1.0).abs() < 1e-8);
        let (mut x, mut moments) = (3.0, [0.0; 2]);
        for t in 1..2000 {
            x -= 0.02 * rule.advance(t, 2.0 * (x - 1.0), &mut moments);
        }
        assert!((x - 1.0).abs() < 1e-3, "{x}");
    }
}

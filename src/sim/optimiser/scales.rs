//! Factors on the weights of pair types (A10).

use super::Optimiser;

impl Optimiser {
    /// The factors as the device takes them, `[n_pair_types]`.
    pub(super) fn scale_words(&self) -> Vec<f32> {
        self.learned.log_scales.iter().map(|s| s.exp() as f32).collect()
    }

    /// Norm of the gradient by the logarithms of the factors, 0 where none is learned.
    pub(super) fn scale_gradient_norm(&self, gradient: &[f64]) -> f64 {
        if self.settings.learn_scales { gradient.iter().map(|x| x * x).sum::<f64>().sqrt() } else { 0.0 }
    }

    /// Takes a step of the factors, if they are learned, along a gradient by their logarithms, `[n_pair_types]`.
    pub(super) fn step_scales(&mut self, gradient: &[f64], t: u32, rate_factor: f64) {
        if !self.settings.learn_scales {
            return;
        }
        let rate = self.settings.scale_learning_rate * rate_factor;
        let (adam, bound) = (&self.settings.adam, self.settings.log_scale_bound);
        let learned = &mut self.learned;
        for ((scale, g), moments) in
            learned.log_scales.iter_mut().zip(gradient).zip(&mut learned.scale_moments)
        {
            *scale = (*scale - rate * adam.advance(t, *g, moments)).clamp(-bound, bound);
        }
    }
}

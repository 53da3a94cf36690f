//! Factors on the weights of pair types, and of all pair types of one source type or one target type (A10).
//!
//! The logarithm of a pair type's whole factor is `own + of its source type + of its target type`. Only the sum is kept: a step
//! adds the Adam steps of all three. What the types have in common is thereby learned once, and reaches pair types that no
//! term of the loss looks at.

use super::Optimiser;
use crate::sim::layout::Layout;

/// Which factors are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnScales {
    /// One for each pair type.
    pub pairs: bool,
    /// One for each source type and each target type.
    pub types: bool,
}

/// Sums of a gradient by pair type over the pair types of each source type, then of each target type, `[n_type_scales]`.
fn sums_by_type(by_pair: &[f64], layout: &Layout) -> Vec<f64> {
    let mut sums = vec![0.0; layout.n_type_scales()];
    for (source, row) in by_pair.chunks_exact(layout.n_cell_types).enumerate() {
        for (target, g) in row.iter().enumerate() {
            sums[source] += g;
            sums[layout.n_source_types + target] += g;
        }
    }
    sums
}

fn squared(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum()
}

impl Optimiser {
    /// The factors as the device takes them, `[n_pair_types]`.
    pub(super) fn scale_words(&self) -> Vec<f32> {
        self.learned.log_scales.iter().map(|s| s.exp() as f32).collect()
    }

    /// Norm of the gradient by the logarithms of all learned factors; `gradient` is that by those of the pair types.
    pub(super) fn scale_gradient_norm(&self, gradient: &[f64]) -> f64 {
        let LearnScales { pairs, types } = self.settings.learn_scales;
        let own = if pairs { squared(gradient) } else { 0.0 };
        let of_types = if types { squared(&sums_by_type(gradient, &self.layout)) } else { 0.0 };
        (own + of_types).sqrt()
    }

    /// Takes a step of all learned factors along a gradient by the logarithms of those of the pair types, `[n_pair_types]`.
    pub(super) fn step_scales(&mut self, gradient: &[f64], t: u32, rate_factor: f64) {
        let LearnScales { pairs, types } = self.settings.learn_scales;
        let rate = self.settings.scale_learning_rate * rate_factor;
        let (adam, bound) = (&self.settings.adam, self.settings.log_scale_bound);
        let learned = &mut self.learned;
        let (layout, n_cell_types) = (&self.layout, self.layout.n_cell_types);
        let mut of_type = vec![0.0; layout.n_type_scales()];
        if types {
            let sums = sums_by_type(gradient, layout);
            for ((step, g), moments) in of_type.iter_mut().zip(&sums).zip(&mut learned.type_scale_moments) {
                *step = rate * adam.advance(t, *g, moments);
            }
        }
        for (pair, scale) in learned.log_scales.iter_mut().enumerate() {
            let (source, target) = (pair / n_cell_types, pair % n_cell_types);
            let mut step = of_type[source] + of_type[layout.n_source_types + target];
            if pairs {
                step += rate * adam.advance(t, gradient[pair], &mut learned.scale_moments[pair]);
            }
            *scale = (*scale - step).clamp(-bound, bound);
        }
    }
}

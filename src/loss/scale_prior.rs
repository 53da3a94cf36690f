//! L5: a Gaussian prior on the logarithms of the pair factors.

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use super::weights::check_synapses;
use crate::error::{Check, Result};

/// Gaussian prior on the logarithms of the pair factors: the sampling error of EM connection probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalePriorScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Pairs of cells of each pair type in which connections were looked for, in 1..=1e9. The publication gives probabilities p and
    /// not counts; with n pairs the relative sampling error of p is sqrt((1 - p)/(p n)), the standard deviation of the prior.
    #[serde(default = "default_pairs_probed")]
    pub n_pairs_probed: f64,
}

fn default_pairs_probed() -> f64 {
    1000.0
}

impl TermScene for ScalePriorScene {
    fn field(&self) -> &'static str {
        "structure.scale_prior"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        let field = "losses.structure.scale_prior.n_pairs_probed";
        check.within(field, self.n_pairs_probed, 1.0, 1e9, "pairs")?;
        let limit = || "the prior on the pair factors needs learn.pair_scale".to_owned();
        check.hold(scene.learns_factors, "losses.structure.scale_prior.weight", self.weight, limit)?;
        check_synapses(check, scene)
    }

    fn needs(&self) -> Needs {
        Needs { weights: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let mut sd = vec![f64::INFINITY; of.network.vocabulary.n_pair_types()];
        for (sd, p) in sd.iter_mut().zip(of.tables.connection.p_max.iter().flatten()) {
            if *p > 0.0 {
                *sd = ((1.0 - p) / (p * self.n_pairs_probed)).sqrt();
            }
        }
        Ok(vec![Box::new(ScalePrior { weight: self.weight, sd })])
    }
}

/// L5: the prior on the logarithms of the pair factors, `mean of (log s)^2/(2 sd^2)` over the pair types.
#[derive(Clone, Debug)]
pub struct ScalePrior {
    /// Weight of the term.
    pub weight: f64,
    /// Standard deviations, `[n_pair_types]`; infinite leaves a pair type out.
    pub sd: Vec<f64>,
}

impl ScalePrior {
    /// Value, and derivative by each logarithm.
    pub fn value_and_gradient(&self, log_scales: &[f64]) -> (f64, Vec<f64>) {
        let n = self.sd.iter().filter(|sd| sd.is_finite()).count().max(1) as f64;
        let scale = self.weight / n;
        let value: f64 = log_scales.iter().zip(&self.sd).map(|(s, sd)| (s / sd).powi(2)).sum();
        let gradient = log_scales.iter().zip(&self.sd).map(|(s, sd)| scale * s / (sd * sd)).collect();
        (0.5 * scale * value, gradient)
    }
}

impl Term for ScalePrior {
    fn name(&self) -> &'static str {
        "scale_prior"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let value;
        (value, seeds.log_factors) = self.value_and_gradient(seen.log_factors);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_is_a_parabola() {
        let prior = ScalePrior { weight: 3.0, sd: vec![0.5, f64::INFINITY] };
        let (value, gradient) = prior.value_and_gradient(&[0.3, 0.7]);
        assert!((value - 0.5 * 3.0 * 0.36).abs() < 1e-12);
        assert!((gradient[0] - 3.0 * 0.3 / 0.25).abs() < 1e-12 && gradient[1] == 0.0);
    }
}

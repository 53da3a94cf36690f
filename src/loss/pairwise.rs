//! L9: the mean pairwise correlation of spike counts within groups of neurons, under grey screens.

use serde::{Deserialize, Serialize};

use super::seen::{Responses, Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use crate::error::{Check, Result};

/// Loss on the mean correlation of the spike counts of two neurons over grey trials, within groups as those of the Fano factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairwiseLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Correlation that is asked for, in [-1, 1].
    pub target: f64,
    /// Number of groups, 1..=32, drawn once a run: the first of those that another term asks more of.
    #[serde(default = "default_n_groups")]
    pub n_groups: u32,
}

fn default_n_groups() -> u32 {
    16
}

impl TermScene for PairwiseLossScene {
    fn field(&self) -> &'static str {
        "pairwise_correlation"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        check.within("losses.pairwise_correlation.target", self.target, -1.0, 1.0, "")?;
        let field = "losses.pairwise_correlation.n_groups";
        check.within(field, f64::from(self.n_groups), 1.0, 32.0, "groups")?;
        let limit = || "the pairwise correlation needs at least 3 grey trials".to_owned();
        check.hold(scene.n_spontaneous >= 3, "trials.n_spontaneous", scene.n_spontaneous, limit)
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, n_groups: self.n_groups, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let own = u32::MAX >> (32 - self.n_groups);
        let masks = of.groups.masks.iter().map(|mask| mask & own).collect();
        Ok(vec![Box::new(Pairwise { scene: *self, masks })])
    }
}

/// The term of a network.
struct Pairwise {
    scene: PairwiseLossScene,
    /// Bit g of a neuron's mask for group g.
    masks: Vec<u32>,
}

impl Term for Pairwise {
    fn name(&self) -> &'static str {
        "pairwise_correlation"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let trials = seen.responses.trials_of_kind(false);
        if trials.is_empty() {
            return None;
        }
        seeds.counts = vec![0.0; seen.responses.counts.len()];
        let PairwiseLossScene { weight, target, .. } = self.scene;
        Some(pairwise_term(weight, target, &self.masks, &seen.responses, &trials, &mut seeds.counts))
    }
}

/// L9: `weight mean over groups (r - target)^2`, groups with two neurons that vary at least, with r the mean correlation of the spike
/// counts of two neurons of a group over trials, each pair weighted by its two standard deviations:
/// `r = (Var(sum) - sum var_i)/((sum sd_i)^2 - sum var_i)`. Adds the derivative by each count to `seeds`, `[n_neurons][n_trials]`.
pub fn pairwise_term(
    weight: f64,
    target: f64,
    masks: &[u32],
    responses: &Responses<'_, f64>,
    trials: &[usize],
    seeds: &mut [f64],
) -> f64 {
    let n_groups = 32 - masks.iter().fold(0, |all: u32, mask| all | mask).leading_zeros();
    let n_trials = responses.trials.len();
    let t = trials.len() as f64;
    let count = |neuron: usize, trial: usize| responses.counts[neuron * n_trials + trial];
    let mean_of = |i: usize| trials.iter().map(|k| count(i, *k)).sum::<f64>() / t;
    // Neuron, mean and variance of those of a group that vary: the others have no correlation.
    let moments_of = |group: u32| -> Vec<(usize, f64, f64)> {
        let of_group = (0..masks.len()).filter(|i| masks[*i] >> group & 1 == 1);
        let moments = of_group.map(|i| {
            let mean = mean_of(i);
            let var = trials.iter().map(|k| (count(i, *k) - mean).powi(2)).sum::<f64>() / (t - 1.0);
            (i, mean, var)
        });
        moments.filter(|(_, _, var)| *var > 0.0).collect()
    };
    let groups: Vec<_> = (0..n_groups).map(moments_of).filter(|moments| moments.len() > 1).collect();
    let share = weight / groups.len() as f64;
    let mut value = 0.0;
    for moments in &groups {
        let sum_mean: f64 = moments.iter().map(|m| m.1).sum();
        let sums: Vec<f64> =
            trials.iter().map(|k| moments.iter().map(|m| count(m.0, *k)).sum::<f64>() - sum_mean).collect();
        let var_sum = sums.iter().map(|s| s * s).sum::<f64>() / (t - 1.0);
        let [vars, sds] = [|v: f64| v, f64::sqrt].map(|f| moments.iter().map(|m| f(m.2)).sum::<f64>());
        let (top, bottom) = (var_sum - vars, sds * sds - vars);
        let error = top / bottom - target;
        value += share * error * error;
        for (i, mean, var) in moments {
            for (k, sum) in trials.iter().zip(&sums) {
                let d_var = 2.0 * (count(*i, *k) - mean) / (t - 1.0);
                let d_top = 2.0 * sum / (t - 1.0) - d_var;
                let d_bottom = sds * d_var / var.sqrt() - d_var;
                let slope = (d_top - top / bottom * d_bottom) / bottom;
                seeds[i * n_trials + k] += share * 2.0 * error * slope;
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::TrialKind;
    use crate::model::rng::{Stream, uniform};

    #[test]
    fn pairwise_correlation_has_its_value_and_derivative() {
        let trials = [TrialKind::Spontaneous; 6];
        let n = 5;
        let counts: Vec<f64> = (0..n * 6)
            .map(|i| {
                let shared = f64::from(uniform(1, Stream::Loss, (i % 6) as u32, 0, 0));
                3.0 * shared + f64::from(uniform(2, Stream::Loss, i as u32, 0, 0))
            })
            .collect();
        let masks = [0b11, 0b01, 0b11, 0b10, 0b01];
        let all: Vec<usize> = (0..6).collect();
        let value = |counts: &[f64], seeds: &mut [f64]| {
            let responses = Responses { counts, trials: &trials, window_ms: 100.0 };
            pairwise_term(1.5, 0.2, &masks, &responses, &all, seeds)
        };
        let mut seeds = vec![0.0; counts.len()];
        value(&counts, &mut seeds);
        for i in 0..counts.len() {
            let moved = |by: f64| {
                let mut counts = counts.clone();
                counts[i] += by;
                value(&counts, &mut vec![0.0; counts.len()])
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((seeds[i] - slope).abs() < 1e-7, "{i}: {} {slope}", seeds[i]);
        }
        // Two neurons with the same counts: a correlation of 1.
        let twins: Vec<f64> = [1.0, 4.0, 2.0, 0.0, 3.0, 2.0].repeat(2);
        let responses = Responses { counts: &twins, trials: &trials, window_ms: 100.0 };
        assert!(pairwise_term(1.0, 1.0, &[1, 1], &responses, &all, &mut [0.0; 12]) < 1e-20);
    }

    /// A group of silent neurons has no correlation, and no part in the mean.
    #[test]
    fn groups_that_do_not_vary_are_left_out() {
        let trials = [TrialKind::Spontaneous; 3];
        let counts = [1.0, 3.0, 2.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let value = |masks: &[u32]| {
            let mut seeds = vec![0.0; counts.len()];
            let responses = Responses { counts: &counts, trials: &trials, window_ms: 100.0 };
            (pairwise_term(2.0, 0.1, masks, &responses, &[0, 1, 2], &mut seeds), seeds)
        };
        // Counts 1, 3, 2 and 2, 3, 1: variances 1, covariance 1/2.
        let alone = value(&[1, 1, 0, 0]);
        assert!((alone.0 - 2.0 * 0.4 * 0.4).abs() < 1e-12, "{}", alone.0);
        assert_eq!(value(&[1, 1, 2, 2]), alone);
        assert_eq!(value(&[0, 0, 1, 1]).0, 0.0);
    }
}

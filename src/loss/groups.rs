//! Groups of neurons that stand for recorded populations: the spikes of each are counted in every step.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::model::rng::{Stream, normal_pair, uniform_f64, words};
use crate::network::Vocabulary;

/// Mean and standard deviation of the number of neurons of a group.
const GROUP_SIZE: [f64; 2] = [70.0, 30.0];
/// Fewest neurons of a group, where the network has as many.
const LEAST_SIZE: usize = 10;

/// Groups of neurons; a neuron may be in several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Bit g of a neuron's mask for group g, `[n_neurons]`; empty without groups.
    pub masks: Vec<u32>,
    /// Number of groups, at most 32.
    pub n_groups: usize,
}

impl Groups {
    /// Draws `n_groups` groups of about 70 excitatory neurons of the core, once a run: a function of the seed.
    pub fn draw(
        n_groups: u32,
        core: &[Vec<usize>],
        vocabulary: &Vocabulary,
        n_neurons: usize,
        seed: u64,
    ) -> Self {
        if n_groups == 0 {
            return Self::default();
        }
        let excitatory = core.iter().enumerate().filter(|(t, _)| !vocabulary.is_inhibitory(*t));
        let mut candidates: Vec<usize> =
            excitatory.flat_map(|(_, neurons)| neurons.iter().copied()).collect();
        candidates.sort_unstable();
        Self { masks: draw_masks(&candidates, n_neurons, n_groups, seed), n_groups: n_groups as usize }
    }
}

/// Draws groups of the given neurons, each without replacement, as masks of all `n_neurons`.
fn draw_masks(candidates: &[usize], n_neurons: usize, n_groups: u32, seed: u64) -> Vec<u32> {
    let mut masks = vec![0; n_neurons];
    let n = candidates.len();
    for group in 0..n_groups {
        let z = normal_pair(words(seed, Stream::Loss, u32::MAX, group, 0))[0];
        let size = (GROUP_SIZE[0] + GROUP_SIZE[1] * z).round().max(LEAST_SIZE as f64) as usize;
        let mut chosen = BTreeSet::new();
        // Floyd's algorithm.
        for last in n - size.min(n)..n {
            let [a, b, ..] = words(seed, Stream::Loss, last as u32, group, 1);
            let drawn = ((uniform_f64(a, b) * (last + 1) as f64) as usize).min(last);
            if !chosen.insert(drawn) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().for_each(|i| masks[candidates[i]] |= 1 << group);
    }
    masks
}

/// Spikes of groups in each step of a batch.
#[derive(Clone, Debug, Default)]
pub struct PopulationCounts<'a> {
    /// `[n_steps][n_groups][n_trials]`.
    pub counts: &'a [u32],
    /// Number of groups.
    pub n_groups: usize,
    /// Number of trials.
    pub n_trials: usize,
    /// The steps of the analysis window.
    pub window: Range<usize>,
}

impl PopulationCounts<'_> {
    /// Place of a count.
    pub fn index(&self, step: usize, group: usize, trial: usize) -> usize {
        (step * self.n_groups + group) * self.n_trials + trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_of_the_candidates_and_of_the_seed() {
        let candidates: Vec<usize> = (0..300).map(|i| 2 * i).collect();
        let masks = draw_masks(&candidates, 700, 16, 5);
        assert!(masks.iter().enumerate().all(|(i, m)| *m == 0 || (i % 2 == 0 && i < 600)));
        for group in 0..16 {
            let size = masks.iter().filter(|m| *m >> group & 1 == 1).count();
            assert!((10..=200).contains(&size), "{size}");
        }
        assert_eq!(masks, draw_masks(&candidates, 700, 16, 5));
        assert_ne!(masks, draw_masks(&candidates, 700, 16, 6));
        assert_eq!(draw_masks(&candidates[..4], 700, 1, 5).iter().filter(|m| **m == 1).count(), 4);
    }
}

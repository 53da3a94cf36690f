//! Terms that look at groups of neurons: each at its own number of them.

use super::*;
use crate::loss::groups::PopulationCounts;
use crate::model::rng::{Stream, uniform};

const N: usize = 40;
const N_TRIALS: usize = 4;
const N_STEPS: usize = 300;

/// Value and seeds of a scene where the first `n_groups` of two groups are counted.
fn loss(scene: &LossesScene, n_groups: usize) -> Loss {
    let draw = |what: u32, a: usize, b: usize| uniform(what.into(), Stream::Loss, a as u32, b as u32, 0);
    let masks = (0..N).map(|neuron| 1 << (neuron % 2) & ((1 << n_groups) - 1)).collect();
    let groups = Groups { masks, n_groups };
    let terms = prepare_with(scene, &targets(&[1]), &neurons(&[1], N), 1e9, &groups).unwrap();
    let counts: Vec<f64> = (0..N * N_TRIALS).map(|i| f64::from(draw(1, i, 0) * 9.0).floor()).collect();
    let spikes = |step, group, trial| u32::from(draw(2 + group as u32, step, trial) < 0.2) * 3;
    let in_step = |step| (0..n_groups).flat_map(move |g| (0..N_TRIALS).map(move |trial| (step, g, trial)));
    let of_groups: Vec<u32> = (0..N_STEPS).flat_map(in_step).map(|(s, g, t)| spikes(s, g, t)).collect();
    let trials = [TrialKind::Spontaneous; N_TRIALS];
    let responses = Responses { counts: &counts, trials: &trials, window_ms: 300.0 };
    let population =
        PopulationCounts { counts: &of_groups, n_groups, n_trials: N_TRIALS, window: 0..N_STEPS };
    terms.evaluate(&Seen { population, ..Seen::of_responses(responses) })
}

#[test]
fn each_term_looks_at_its_own_number_of_groups() {
    let fano = |n_groups| Some(FanoLossScene { weight: 1.0, n_groups });
    let pairwise = |n_groups| Some(PairwiseLossScene { weight: 1.0, target: 0.4, n_groups });
    let of =
        |fano, pairwise_correlation| LossesScene { fano, pairwise_correlation, ..LossesScene::default() };
    let one_of_two = [of(fano(1), pairwise(2)), of(fano(2), pairwise(1))].map(|scene| loss(&scene, 2));
    let alone = [of(fano(1), None), of(None, pairwise(1))].map(|scene| loss(&scene, 1));
    let both = [of(fano(2), None), of(None, pairwise(2))].map(|scene| loss(&scene, 2));
    let value = |loss: &Loss, name: &str| loss.values.iter().find(|value| value.0 == name).unwrap().1;
    for (ix, name) in ["fano_spontaneous", "pairwise_correlation"].into_iter().enumerate() {
        assert_eq!(value(&one_of_two[ix], name), value(&alone[ix], name));
        assert_ne!(value(&one_of_two[ix], name), value(&both[ix], name));
    }
    // In each step the trials of the first group, then those of the second.
    let [of_first, of_second]: [Vec<f64>; 2] = [0, 1].map(|group| {
        one_of_two[0]
            .seeds
            .population
            .chunks_exact(N_TRIALS)
            .skip(group)
            .step_by(2)
            .flatten()
            .copied()
            .collect()
    });
    assert_eq!(of_first, alone[0].seeds.population);
    assert!(of_second.iter().all(|seed| *seed == 0.0));
    assert_eq!(one_of_two[1].seeds.counts, alone[1].seeds.counts);
}

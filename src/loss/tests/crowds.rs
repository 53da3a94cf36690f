//! The crowds of the selectivity term, and the selectivity of single neurons.

use super::*;
use crate::loss::neuron_selectivity::NeuronSelectivityLossScene;

pub(super) const OF_NEURONS: NeuronSelectivityLossScene = NeuronSelectivityLossScene {
    weight: 1.0,
    min_rate_hz: 0.2,
    huber: 0.05,
    mean_decay: 0.9,
    shares: SharesScene::PerNeuron,
    outside_core: 0.0,
};

#[test]
fn a_silent_crowd_is_asked_to_fire_at_its_preferred_direction() {
    let losses = prepared(&only_selectivity(), &[1], 4);
    let trials = [evoked(90.0)];
    // Preferred directions 0, 90, 180 and 270.
    let s = evaluate(&losses, &[0.0; 4], &trials, 500.0).seeds.counts;
    assert!(
        s.iter().all(|s| s.is_finite()) && s[1] < 0.0 && s[0] > 0.0 && s[2] > 0.0 && s[1] < s[3],
        "{s:?}"
    );
}

#[test]
fn the_running_mean_follows_evoked_trials_alone() {
    let term = SelectivityLossScene { rate_mean_decay: 0.75, ..SELECTIVITY };
    let scene = LossesScene { selectivity: Some(term), ..LossesScene::default() };
    let mut terms = prepared(&scene, &[1], 2);
    set_rate_mean(&mut terms, &[0.0, 8.0]);
    let counts = [1.0, 50.0, 3.0, 0.0, 50.0, 0.0];
    let mut remember = |trials: &[TrialKind]| {
        terms.remember(&Seen::of_responses(Responses { counts: &counts, trials, window_ms: 500.0 }));
        terms.memory()[0].2.to_vec()
    };
    assert_eq!(remember(&[evoked(0.0), TrialKind::Spontaneous, evoked(0.0)]), [1.0, 6.0, 1.0]);
    assert_eq!(remember(&[TrialKind::Spontaneous; 3]), [1.0, 6.0, 1.0]);
}

/// A recorded type with OSI spread evenly over 0 to 0.4 and DSI over 0 to 0.2.
fn evenly_spread() -> FunctionTargets {
    let recorded = |most: f64| {
        vec![Recorded {
            name: "L2/3_Exc".into(),
            cell_types: vec![1],
            n_units: 50,
            ceiling: None,
            quantiles: Quantiles::new(vec![0.0, 1.0], vec![0.0, most]).unwrap(),
        }]
    };
    FunctionTargets { osi: recorded(0.4), dsi: recorded(0.2), ..FunctionTargets::default() }
}

#[test]
fn each_group_is_held_at_its_part_of_the_recorded_distribution() {
    let n = 8;
    let crowd = neurons(&[1], n);
    let trials: Vec<TrialKind> = (0..8).map(|i| evoked(45.0 * f64::from(i))).collect();
    // Curves whose indices are those of each neuron's groups: 0.1 and 0.3 for OSI, 0.05 and 0.15 for DSI.
    let counts = |osi: [f64; 2], dsi: [f64; 2]| -> Vec<f64> {
        let rate = |neuron: usize, trial: usize| {
            let delta = (45.0 * trial as f64 - f64::from(crowd.tuning_angle_deg[neuron])).to_radians();
            let (osi, dsi) = (osi[neuron % 2], dsi[neuron / 2 % 2]);
            4.0 * (1.0 + 2.0 * osi * (2.0 * delta).cos() + 2.0 * dsi * delta.cos())
        };
        (0..n).flat_map(|neuron| (0..8).map(move |trial| rate(neuron, trial))).collect()
    };
    let losses = |groups: u32| {
        let term = SelectivityLossScene { groups, ..SELECTIVITY };
        let scene = LossesScene { selectivity: Some(term), ..LossesScene::default() };
        prepare(&scene, &evenly_spread(), &crowd, 1e9).unwrap()
    };
    let value = |groups: u32, osi: [f64; 2], dsi: [f64; 2]| {
        evaluate(&losses(groups), &counts(osi, dsi), &trials, 1000.0).values[0].1
    };
    let right = value(2, [0.1, 0.3], [0.05, 0.15]);
    assert!(right < 1e-12, "{right}");
    // Half of the neurons are in each group: (0.2^2 + 0.2^2) / 2 for OSI, (0.1^2 + 0.1^2) / 2 for DSI.
    let swapped = [value(2, [0.3, 0.1], [0.05, 0.15]), value(2, [0.1, 0.3], [0.15, 0.05])];
    assert!((swapped[0] - 0.04).abs() < 1e-9 && (swapped[1] - 0.01).abs() < 1e-9, "{swapped:?}");
    // One group sees the mean alone.
    assert!(value(1, [0.3, 0.1], [0.15, 0.05]) < 1e-12 && value(1, [0.2; 2], [0.1; 2]) < 1e-12);
    assert!((value(2, [0.2; 2], [0.1; 2]) - 0.0125).abs() < 1e-9);
}

/// Counts of neurons with these indices about preferred directions of their own, in eight directions, 1 s.
fn tuned(indices: &[[f64; 2]], preferred_deg: impl Fn(usize) -> f64) -> Vec<f64> {
    let rate = |(neuron, [dsi, osi]): (usize, &[f64; 2]), trial: usize| {
        let delta = (45.0 * trial as f64 - preferred_deg(neuron)).to_radians();
        (3.0 + neuron as f64) * (1.0 + 2.0 * osi * (2.0 * delta).cos() + 2.0 * dsi * delta.cos())
    };
    indices.iter().enumerate().flat_map(|neuron| (0..8).map(move |trial| rate(neuron, trial))).collect()
}

#[test]
fn the_indices_of_neurons_are_compared_whatever_direction_they_prefer() {
    let n = 8;
    let trials: Vec<TrialKind> = (0..8).map(|i| evoked(45.0 * f64::from(i))).collect();
    let term = NeuronSelectivityLossScene { mean_decay: 0.0, ..OF_NEURONS };
    let scene = LossesScene { neuron_selectivity: Some(term), ..LossesScene::default() };
    let losses = prepare(&scene, &evenly_spread(), &neurons(&[1], n), 1e9).unwrap();
    // The recorded distributions at the mid-levels, in an order of their own for each index.
    let level = |i: usize| (i as f64 + 0.5) / n as f64;
    let right: Vec<[f64; 2]> = (0..n).map(|i| [0.2 * level(i * 3 % n), 0.4 * level(i * 5 % n)]).collect();
    let anywhere = |i: usize| 77.0 * i as f64;
    let value = |counts: &[f64]| evaluate(&losses, counts, &trials, 1000.0).values[0].1;
    assert!(value(&tuned(&right, anywhere)) < 1e-12 && value(&tuned(&right, |_| 10.0)) < 1e-12);
    // One type, one of eight neurons off by far more than the bound at the level 15/16: the quantile Huber loss by hand.
    let mut sharper = right.clone();
    let top = (0..n).find(|i| i * 5 % n == n - 1).unwrap();
    sharper[top][1] += 0.2;
    let by_hand = (1.0 - level(n - 1)) * (0.2 - 0.025) / n as f64;
    let found = value(&tuned(&sharper, anywhere));
    assert!((found - by_hand).abs() < 1e-9, "{found} {by_hand}");
}

#[test]
fn seeds_of_the_neurons_selectivity_meet_central_differences_at_held_rates() {
    let (n, h) = (6, 1e-5);
    // Unevenly spread directions, so that their mean is not 0.
    let trials: Vec<TrialKind> =
        [0.0, 20.0, 85.0, 170.0, 250.0, 260.0, 300.0, 330.0].into_iter().map(evoked).collect();
    // Rates far below the least are divided by that, which does not change: no derivative through the rate.
    let term = NeuronSelectivityLossScene { mean_decay: 0.0, min_rate_hz: 500.0, ..OF_NEURONS };
    let scene = LossesScene { neuron_selectivity: Some(term), ..LossesScene::default() };
    let losses = prepare(&scene, &evenly_spread(), &neurons(&[1], n), 1e9).unwrap();
    let indices: Vec<[f64; 2]> = (0..n).map(|i| [0.03 * i as f64 + 0.02, 0.31 - 0.05 * i as f64]).collect();
    let counts = tuned(&indices, |i| 50.0 * i as f64);
    let seeds = evaluate(&losses, &counts, &trials, 1000.0).seeds.counts;
    assert!(seeds.iter().any(|s| *s > 0.0) && seeds.iter().any(|s| *s < 0.0));
    for i in 0..counts.len() {
        let value = |by: f64| {
            let mut counts = counts.clone();
            counts[i] += by;
            evaluate(&losses, &counts, &trials, 1000.0).values[0].1
        };
        let slope = (value(h) - value(-h)) / (2.0 * h);
        assert!((seeds[i] - slope).abs() < 1e-7 * (1.0 + slope.abs()), "{i}: {} {slope}", seeds[i]);
    }
    for own in seeds.chunks_exact(trials.len()) {
        assert!(own.iter().sum::<f64>().abs() < 1e-12, "{own:?}");
    }
}

#[test]
fn an_index_of_which_a_batch_tells_nothing_leaves_the_other_alone() {
    let n = 6;
    let term = NeuronSelectivityLossScene { mean_decay: 0.5, ..OF_NEURONS };
    let scene = LossesScene { neuron_selectivity: Some(term), ..LossesScene::default() };
    let recorded = evenly_spread();
    let of = |targets: &FunctionTargets| prepare(&scene, targets, &neurons(&[1], n), 1e9).unwrap();
    let without_osi = FunctionTargets { osi: vec![], ..recorded.clone() };
    let without_dsi = FunctionTargets { dsi: vec![], ..recorded.clone() };
    let [mut both, dsi, mut osi] = [&recorded, &without_osi, &without_dsi].map(of);
    // Two opposite directions tell of the direction alone.
    let opposite = [evoked(70.0), evoked(250.0)];
    let counts: Vec<f64> = (0..2 * n).map(|i| (i * 5 % 7) as f64).collect();
    let found = evaluate(&both, &counts, &opposite, 500.0);
    assert!(found.values[0].1 > 0.0 && found.seeds.counts.iter().any(|s| *s != 0.0), "{found:?}");
    assert_eq!(found, evaluate(&dsi, &counts, &opposite, 500.0));
    assert_eq!(evaluate(&osi, &counts, &opposite, 500.0), Loss::default());
    // So the running means of the orientation are those of other steps.
    let round: Vec<TrialKind> = (0..8).map(|i| evoked(45.0 * f64::from(i))).collect();
    let of_round: Vec<f64> = (0..8 * n).map(|i| (i * 11 % 13) as f64).collect();
    let before = [&both, &osi].map(|terms| evaluate(terms, &of_round, &round, 500.0));
    let shown = Responses { counts: &counts, trials: &opposite, window_ms: 500.0 };
    both.remember(&Seen::of_responses(shown));
    osi.remember(&Seen::of_responses(shown));
    assert_eq!(evaluate(&osi, &of_round, &round, 500.0), before[1]);
    assert_ne!(evaluate(&both, &of_round, &round, 500.0), before[0]);
}

#[test]
fn a_term_that_its_trials_tell_nothing_is_refused() {
    let scene = LossesScene { neuron_selectivity: Some(OF_NEURONS), ..only_rates() };
    let terms = prepared(&scene, &[1], 4);
    let counts = vec![1.0; 4 * 3];
    let refused = |trials: &[TrialKind]| {
        let responses = Responses { counts: &counts, trials, window_ms: 500.0 };
        terms.refuse_blind(&responses).err().map(|e| e.to_string())
    };
    let grey = TrialKind::Spontaneous;
    assert_eq!(
        refused(&[evoked(30.0), evoked(30.0), grey]).unwrap(),
        "a.ron: losses.neuron_selectivity.weight = 1: the term is on, but at the first training step its evoked trials \
         show no two directions: nothing is compared"
    );
    assert_eq!(refused(&[evoked(30.0), evoked(210.0), grey]), None);
    assert_eq!(refused(&[grey; 3]), None, "nothing is shown that it looks at");
}

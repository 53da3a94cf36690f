//! The crowds of the selectivity term.

use super::*;

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

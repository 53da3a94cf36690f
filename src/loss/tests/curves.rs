//! The terms of the tuning and contrast-response curves: descents that must reach their targets from known perturbations.

use super::*;
use crate::loss::contrast::ContrastTarget;
use crate::loss::tuning::bin_of;

pub(super) const TUNING: TuningLossScene =
    TuningLossScene { weight: 1.0, min_rate_hz: 0.5, shares: SharesScene::PerType };
pub(super) const CONTRAST: ContrastLossScene =
    ContrastLossScene { weight: 1.0, min_rate_hz: 0.5, shares: SharesScene::PerType };

const N: usize = 48;
const DIRECTIONS_DEG: [f64; 4] = [0.0, 90.0, 135.0, 225.0];

/// Descends on free rates of type 2 with one term alone; first and last value.
fn descend(terms: &LossesScene, trials: &[TrialKind], counts: &mut [f64], rate: f64) -> (f64, f64) {
    let losses = prepared(terms, &[2], N);
    let mut ends = (f64::NAN, f64::NAN);
    for step in 0..300 {
        let loss = evaluate(&losses, counts, trials, 500.0);
        let [(_, value)] = loss.values.as_slice() else { panic!("one term") };
        ends = (if step == 0 { *value } else { ends.0 }, *value);
        for (count, seed) in counts.iter_mut().zip(&loss.seeds.counts) {
            *count -= rate * seed;
        }
    }
    ends
}

#[test]
fn the_tuning_term_finds_and_undoes_curves_turned_and_scaled() {
    let terms = LossesScene { tuning: Some(TUNING), ..LossesScene::default() };
    let mut trials = DIRECTIONS_DEG.map(evoked).to_vec();
    trials.push(TrialKind::Spontaneous);
    trials.push(TrialKind::OtherContrast { direction_deg: 45.0, contrast: 0.2 });
    let target = tuning_target(2);
    let delta_deg = |neuron: usize, t: usize| DIRECTIONS_DEG[t] - 360.0 * neuron as f64 / N as f64;
    // Counts in half a second: first of the target itself, then of one 1.5 times as fast and turned by 60 deg.
    let counts = |gain: f64, turn_deg: f64| {
        let one = |neuron: usize, t: usize| match t {
            0..4 => 0.5 * gain * target.rate_at_hz(delta_deg(neuron, t) - turn_deg),
            _ => 77.0,
        };
        (0..N).flat_map(|n| (0..6).map(move |t| one(n, t))).collect::<Vec<f64>>()
    };
    let losses = prepared(&terms, &[2], N);
    let perfect = counts(1.0, 0.0);
    let loss = evaluate(&losses, &perfect, &trials, 500.0);
    assert!(loss.values[0].1 < 1e-24 && loss.seeds.counts.iter().all(|s| s.abs() < 1e-12));

    let mut free = counts(1.5, 60.0);
    let (first, last) = descend(&terms, &trials, &mut free, 300.0);
    assert!(first > 0.2 && last < 1e-6 * first, "{first} {last}");
    for bin in 0..8 {
        let each = (0..N).flat_map(|n| (0..4).map(move |t| (n, t)));
        let own: Vec<_> = each.filter(|&(n, t)| bin_of(delta_deg(n, t)) == bin).collect();
        let off: f64 =
            own.iter().map(|&(n, t)| free[6 * n + t] / 0.5 - target.rate_at_hz(delta_deg(n, t))).sum();
        assert!((off / own.len() as f64).abs() < 0.01, "bin {bin}");
    }
    // Grey trials and other contrasts are not looked at.
    assert!(free.chunks(6).all(|c| c[4..] == [77.0, 77.0]));
}

#[test]
fn the_contrast_term_finds_and_undoes_a_flattened_curve() {
    let terms = LossesScene { contrast: Some(CONTRAST), ..LossesScene::default() };
    let contrasts = [0.0, 0.1, 0.3, 0.8, 1.0, 0.3];
    let trials = contrasts.map(|contrast| match contrast {
        0.0 => TrialKind::Spontaneous,
        0.8 => evoked(10.0),
        _ => TrialKind::OtherContrast { direction_deg: 45.0, contrast },
    });
    let recorded = targets(&[2]);
    let target = ContrastTarget::new(&recorded.rate_evoked_hz[0], &recorded.rate_spontaneous_hz).unwrap();
    let mut free: Vec<f64> = (0..N * contrasts.len()).map(|i| 3.0 + (i % 5) as f64).collect();
    let (first, last) = descend(&terms, &trials, &mut free, 50.0);
    assert!(first > 0.2 && last < 1e-6 * first, "{first} {last}");
    for (t, contrast) in contrasts.into_iter().enumerate().take(5) {
        let mut own: Vec<f64> = free.iter().skip(t).step_by(6).copied().collect();
        if contrast == 0.3 {
            own.extend(free.iter().skip(5).step_by(6));
        }
        let mean_hz = own.iter().sum::<f64>() / own.len() as f64 / 0.5;
        assert!((mean_hz - target.rate_at_hz(contrast)).abs() < 0.01, "{contrast}: {mean_hz}");
    }
}

#[test]
fn the_contrast_target_goes_through_both_recorded_rates_and_never_falls() {
    let target = ContrastTarget { rate_evoked_hz: 6.0, rate_spontaneous_hz: 2.0 };
    assert!((target.rate_at_hz(0.0) - 2.0).abs() < 1e-12 && (target.rate_at_hz(0.8) - 6.0).abs() < 1e-12);
    let curve: Vec<f64> = (0..=20).map(|i| target.rate_at_hz(f64::from(i) / 20.0)).collect();
    assert!(curve.windows(2).all(|w| w[0] < w[1]), "{curve:?}");
}

#[test]
fn bins_go_round_the_circle() {
    let bins = [0.0, 22.0, -22.0, 23.0, 180.0, -180.0, 338.0, 360.0, -45.0, 720.0].map(bin_of);
    assert_eq!(bins, [0, 0, 0, 1, 4, 4, 0, 0, 7, 0]);
}

#[test]
fn curve_terms_without_recordings_are_refused() {
    let refused = |terms: LossesScene, targets: FunctionTargets| {
        prepare(&terms, &targets, &neurons(&[2], 4), 1e9).err().unwrap().to_string()
    };
    let tuning = LossesScene { tuning: Some(TUNING), ..LossesScene::default() };
    assert!(refused(tuning, FunctionTargets::default()).contains("losses.tuning.weight = 1"));
    let contrast = LossesScene { contrast: Some(CONTRAST), ..LossesScene::default() };
    let only_evoked = FunctionTargets { rate_spontaneous_hz: vec![], ..targets(&[2]) };
    assert!(refused(contrast, only_evoked).contains("losses.contrast.weight = 1"));
}

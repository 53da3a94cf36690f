//! No function term pulls on the rates of a type whose rates are right: over many draws of spikes, the sum of its seeds over the type's
//! neurons and trials is 0 within sampling error, however wrong the quantity is that the term asks for.

use super::*;
use crate::loss::groups::PopulationCounts;
use crate::loss::rate_correlation::RateCorrelationLossScene;
use crate::loss::term::Needs;
use crate::model::rng::{Stream, uniform};

/// Neurons of the type, excitatory and recorded by a name that the rate correlation knows.
const N: usize = 60;
const CELL_TYPE: usize = 1;
/// Grating and grey trials of a batch.
const N_EVOKED: usize = 5;
const N_TRIALS: usize = 10;
const N_STEPS: usize = 300;
/// Steps of the window, 1 ms each, in seconds.
const WINDOW_S: f64 = 0.3;
/// Batches before the first that counts, so that running means are where they stay.
const N_BEFORE: usize = 60;
const N_DRAWS: usize = 500;

/// A batch of independent Poisson neurons with the recorded rates times `gain`, not tuned at all, and its directions.
fn batch(draw: usize, gain: f64, targets: &FunctionTargets) -> (Vec<f64>, Vec<u32>, Vec<TrialKind>) {
    let u = |what: u32, a: usize, b: usize| {
        f64::from(uniform(what.into(), Stream::Loss, a as u32, draw as u32, b as u32))
    };
    let turn_deg = 360.0 * u(1, 0, 0);
    let trials: Vec<TrialKind> = (0..N_TRIALS)
        .map(|t| match t < N_EVOKED {
            true => evoked((turn_deg + 360.0 * t as f64 / N_EVOKED as f64) % 360.0),
            false => TrialKind::Spontaneous,
        })
        .collect();
    let mut counts = vec![0.0; N * N_TRIALS];
    let mut population = vec![0; N_STEPS * 2 * N_TRIALS];
    for neuron in 0..N {
        for trial in 0..N_TRIALS {
            let recorded = match trial < N_EVOKED {
                true => &targets.rate_evoked_hz[0],
                false => &targets.rate_spontaneous_hz[0],
            };
            let rate_hz = gain * recorded.quantiles.value_at((neuron as f64 + 0.5) / N as f64);
            // Intervals between spikes are exponential.
            let (mut at_s, mut k) = (0.0, 0);
            loop {
                at_s -= (1.0 - u(2, neuron * N_TRIALS + trial, k)).max(1e-12).ln() / rate_hz.max(1e-9);
                k += 1;
                if at_s >= WINDOW_S {
                    break;
                }
                counts[neuron * N_TRIALS + trial] += 1.0;
                let step = (at_s / WINDOW_S * N_STEPS as f64) as usize;
                population[(step * 2 + neuron % 2) * N_TRIALS + trial] += 1;
            }
        }
    }
    (counts, population, trials)
}

/// Mean over draws of the sum of a term's seeds, its standard error, and the mean sum of their sizes.
fn pull(scene: &LossesScene, gain: f64) -> (f64, f64, f64) {
    let mut targets = targets(&[CELL_TYPE]);
    for recorded in [&mut targets.rate_evoked_hz, &mut targets.rate_spontaneous_hz] {
        recorded[0].name = "L2/3_Exc".to_owned();
    }
    // The curve of the recorded mean rate.
    targets.tuning[0].rate_hz = targets.rate_evoked_hz[0].quantiles.mean();
    let groups = Groups { masks: (0..N).map(|i| 1 << (i % 2)).collect(), n_groups: 2 };
    let mut terms = prepare_with(scene, &targets, &neurons(&[CELL_TYPE], N), 1e9, &groups).unwrap();
    let (mut sums, mut sizes) = (Vec::new(), 0.0);
    for draw in 0..N_BEFORE + N_DRAWS {
        let (counts, population, trials) = batch(draw, gain, &targets);
        let responses = Responses { counts: &counts, trials: &trials, window_ms: 1e3 * WINDOW_S };
        let population =
            PopulationCounts { counts: &population, n_groups: 2, n_trials: N_TRIALS, window: 0..N_STEPS };
        let seen = Seen { population, ..Seen::of_responses(responses) };
        let Seeds { counts: by_count, population: by_group, .. } = terms.evaluate(&seen).seeds;
        terms.remember(&seen);
        if draw >= N_BEFORE {
            sums.push(by_count.iter().chain(&by_group).sum::<f64>());
            sizes += by_count.iter().chain(&by_group).map(|s| s.abs()).sum::<f64>() / N_DRAWS as f64;
        }
    }
    let n = sums.len() as f64;
    let mean = sums.iter().sum::<f64>() / n;
    let variance = sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // Running means make neighbouring draws alike: the error of a mean over stretches of 50.
    let stretches: Vec<f64> = sums.chunks(50).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
    let m = stretches.len() as f64;
    let of_stretches = stretches.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (m - 1.0);
    (mean, (variance / n).max(of_stretches / m).sqrt(), sizes)
}

/// The terms of a scene, each alone.
fn each() -> Vec<(&'static str, LossesScene)> {
    let none = LossesScene::default;
    let rates = RatesLossScene { huber_hz: None, huber_of_iqr: Some(0.5), mean_decay: 0.9, ..RATES };
    let selectivity = SelectivityLossScene { mean_decay: 0.9, ..SELECTIVITY };
    let correlation = RateCorrelationLossScene {
        weight: 1.0,
        targets: [("L2/3_Exc".to_owned(), -0.5)].into(),
        mean_decay: 0.9,
        shares: SharesScene::PerType,
    };
    vec![
        ("rates", LossesScene { rates: Some(rates), ..none() }),
        ("tuning", LossesScene { tuning: Some(curves::TUNING), ..none() }),
        ("contrast", LossesScene { contrast: Some(curves::CONTRAST), ..none() }),
        ("selectivity", LossesScene { selectivity: Some(selectivity), ..none() }),
        ("neuron_selectivity", LossesScene { neuron_selectivity: Some(crowds::OF_NEURONS), ..none() }),
        ("fano", LossesScene { fano: Some(FanoLossScene { weight: 1.0, n_groups: 2 }), ..none() }),
        (
            "pairwise",
            LossesScene {
                pairwise_correlation: Some(PairwiseLossScene { weight: 1.0, target: 0.4, n_groups: 2 }),
                ..none()
            },
        ),
        ("rate_correlation", LossesScene { rate_correlation: Some(correlation), ..none() }),
    ]
}

#[test]
fn every_function_term_is_looked_at() {
    // A new term that looks at spikes has to appear above.
    let looks_at_spikes = |n: &Needs| n.spikes || n.n_groups > 0;
    let listed: Vec<String> = each()
        .iter()
        .flat_map(|(_, scene)| scene.terms().iter().map(|t| t.field().to_owned()).collect::<Vec<_>>())
        .collect();
    let all = all_terms();
    let missing: Vec<_> =
        all.terms().into_iter().filter(|t| looks_at_spikes(&t.needs())).map(|t| t.field()).collect();
    assert_eq!(
        missing.iter().filter(|field| !listed.contains(&(**field).to_owned())).count(),
        0,
        "{missing:?} {listed:?}"
    );
}

#[test]
fn right_rates_are_left_alone() {
    for (name, scene) in each() {
        let (mean, error, sizes) = pull(&scene, 1.0);
        let (low, ..) = pull(&scene, 0.8);
        println!("{name:<18} {mean:>10.2e} +- {error:.1e}, of {sizes:.1e}; at 0.8 of the rates {low:.2e}");
        assert!(sizes > 0.0 && error < 0.05 * sizes, "{name}: the draws are too few: {error:e} of {sizes:e}");
        // The rates term compares measured rates, and counting noise makes their distribution a little wider than the neurons' own.
        let of_noise = if name == "rates" { 0.05 * low.abs() } else { 0.0 };
        assert!(mean.abs() < 4.0 * error + of_noise, "{name}: {mean:e} +- {error:e}");
        if ["rates", "tuning", "contrast"].contains(&name) {
            assert!(
                low < -10.0 * error,
                "{name}: rates that are too low are not pulled up: {low:e} +- {error:e}"
            );
        }
    }
}

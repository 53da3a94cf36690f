//! The function terms together: gradients against finite differences, descents that must reach their targets, messages.

use std::path::Path;
use std::sync::LazyLock;

use super::groups::Groups;
use super::rates::RatesLossScene;
use super::selectivity::SelectivityLossScene;
use super::statistics::{Quantiles, ks_against_table};
use super::targets::{FunctionTargets, Recorded, TuningTarget};
use super::*;
use crate::network::Neurons;
use crate::network::tables::Tables;

mod crowds;
mod curves;
mod groups;
mod pull;

const RATES: RatesLossScene = RatesLossScene {
    weight: 1.0,
    huber_hz: Some(2.0),
    huber_of_iqr: None,
    shares: SharesScene::PerType,
    mean_decay: 0.0,
    outside_core: 0.0,
};
const SELECTIVITY: SelectivityLossScene = SelectivityLossScene {
    weight: 1.0,
    min_rate_hz: 0.5,
    rate_mean_decay: 0.95,
    mean_decay: 0.0,
    shares: SharesScene::PerNeuron,
    groups: 1,
    outside_core: 0.0,
};
/// With rates to divide by that a step does not change.
const AT_FIXED_RATES: SelectivityLossScene =
    SelectivityLossScene { rate_mean_decay: 1.0 - 1e-9, ..SELECTIVITY };

/// Reproducible numbers in (0, 1).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// `n` neurons of each of the given types, types in blocks, preferred directions evenly spaced within each.
fn neurons(types: &[usize], n: usize) -> Neurons {
    let total = types.len() * n;
    Neurons {
        model_ix: vec![0; total],
        cell_type_ix: types.iter().flat_map(|&t| vec![t as u8; n]).collect(),
        x_um: (0..total).map(|i| (i % n) as f32).collect(),
        z_um: vec![0.0; total],
        tuning_angle_deg: (0..total).map(|i| (i % n) as f32 * 360.0 / n as f32).collect(),
        ..Neurons::default()
    }
}

/// Recorded rates with a fifth of silent units and a long tail, and selectivity of means 0.4 and 0.25.
fn targets(types: &[usize]) -> FunctionTargets {
    let recorded = |f: fn(f64) -> f64| {
        let levels: Vec<f64> = (0..=50).map(|i| f64::from(i) / 50.0).collect();
        let values = levels.iter().map(|&p| f(p)).collect();
        let quantiles = Quantiles::new(levels, values).unwrap();
        let of_type = |&t| Recorded {
            name: format!("{t}"),
            cell_types: vec![t],
            n_units: 51,
            ceiling: None,
            quantiles: quantiles.clone(),
        };
        types.iter().map(of_type).collect()
    };
    FunctionTargets {
        rate_evoked_hz: recorded(|p| 12.0 * (p - 0.2).max(0.0).powi(2)),
        rate_spontaneous_hz: recorded(|p| 5.0 * p * p),
        osi: recorded(|p| 0.8 * p),
        dsi: recorded(|p| 0.5 * p),
        tuning: types.iter().map(|&t| tuning_target(t)).collect(),
        ..FunctionTargets::default()
    }
}

/// 4 Hz with a first harmonic of 0.2 and a second of 0.35.
fn tuning_target(cell_type_ix: usize) -> TuningTarget {
    TuningTarget {
        name: format!("{cell_type_ix}"),
        cell_types: vec![cell_type_ix],
        n_units: 51,
        rate_hz: 4.0,
        harmonics: [0.2, 0.35],
    }
}

fn evoked(direction_deg: f64) -> TrialKind {
    TrialKind::Evoked { direction_deg }
}

static TABLES: LazyLock<Tables> =
    LazyLock::new(|| Tables::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1")).unwrap());

/// Terms of a network of these neurons alone.
fn prepare(
    scene: &LossesScene,
    targets: &FunctionTargets,
    neurons: &Neurons,
    core_radius_um: f64,
) -> Result<Terms> {
    prepare_with(scene, targets, neurons, core_radius_um, &Groups::default())
}

fn prepare_with(
    scene: &LossesScene,
    targets: &FunctionTargets,
    neurons: &Neurons,
    core_radius_um: f64,
    groups: &Groups,
) -> Result<Terms> {
    let network = Network { neurons: neurons.clone(), ..Network::default() };
    let core = core_neurons(&network, core_radius_um);
    let context = Context {
        scene_file: Path::new("a.ron"),
        network: &network,
        core: &core,
        outside: &neurons_outside(&network, &core),
        targets,
        tables: &TABLES,
        groups,
        pairs: &[],
        window: 0..300,
        dt_ms: 1.0,
    };
    Terms::prepare(scene, &context)
}

fn prepared(scene: &LossesScene, types: &[usize], n: usize) -> Terms {
    prepare(scene, &targets(types), &neurons(types, n), 1e9).unwrap()
}

fn evaluate(terms: &Terms, counts: &[f64], trials: &[TrialKind], window_ms: f64) -> Loss {
    terms.evaluate(&Seen::of_responses(Responses { counts, trials, window_ms }))
}

/// Sets the running mean of each neuron's rate.
fn set_rate_mean(terms: &mut Terms, rate_mean_hz: &[f64]) {
    for (_, what, values) in terms.memory_mut() {
        assert_eq!(what, "rate_mean_hz");
        let (sums, weight) = values.split_at_mut(rate_mean_hz.len());
        sums.copy_from_slice(rate_mean_hz);
        weight.fill(1.0);
    }
}

fn only_rates() -> LossesScene {
    LossesScene { rates: Some(RATES), ..LossesScene::default() }
}

fn only_selectivity() -> LossesScene {
    LossesScene { selectivity: Some(SELECTIVITY), ..LossesScene::default() }
}

fn selectivity_at_fixed_rates() -> LossesScene {
    LossesScene { selectivity: Some(AT_FIXED_RATES), ..LossesScene::default() }
}

#[test]
fn seeds_meet_central_differences_of_the_total() {
    let types = [1, 2, 9];
    let n = 12;
    let other = TrialKind::OtherContrast { direction_deg: 80.0, contrast: 0.2 };
    let trials =
        [evoked(45.0), TrialKind::Spontaneous, evoked(200.0), other, evoked(310.0), TrialKind::Spontaneous];
    let terms = LossesScene {
        rates: Some(RatesLossScene { weight: 1.5, huber_hz: Some(3.0), ..RATES }),
        selectivity: Some(SelectivityLossScene {
            weight: 2.0,
            shares: SharesScene::PerType,
            groups: 3,
            ..AT_FIXED_RATES
        }),
        tuning: Some(curves::TUNING),
        contrast: Some(ContrastLossScene { weight: 0.7, shares: SharesScene::PerNeuron, ..curves::CONTRAST }),
        ..LossesScene::default()
    };
    let mut losses = prepared(&terms, &types, n);
    let mut draws = Draws(7);
    // The last type is nearly silent, so that its crowd stands on the floor.
    let counts: Vec<f64> = (0..types.len() * n * trials.len())
        .map(|i| 6.0 * draws.next() * if i / (n * trials.len()) == 2 { 1e-3 } else { 1.0 })
        .collect();
    let rate_mean_hz: Vec<f64> = (0..types.len() * n).map(|_| 4.0 * draws.next()).collect();
    set_rate_mean(&mut losses, &rate_mean_hz);
    let at = |counts: &[f64]| evaluate(&losses, counts, &trials, 400.0);
    let Loss { values, seeds: Seeds { counts: seeds, .. } } = at(&counts);
    assert_eq!(
        values.iter().map(|t| t.0).collect::<Vec<_>>(),
        ["rate_evoked", "rate_spontaneous", "selectivity", "tuning", "contrast"]
    );
    assert!(values.iter().all(|t| t.1 > 0.0));
    let total = |counts: &[f64]| at(counts).values.iter().map(|t| t.1).sum::<f64>();
    for i in 0..counts.len() {
        let shifted = |h: f64| {
            let mut c = counts.clone();
            c[i] += h;
            total(&c)
        };
        let difference = (shifted(1e-7) - shifted(-1e-7)) / 2e-7;
        let error = (seeds[i] - difference).abs();
        assert!(error < 1e-6 * (1.0 + difference.abs()), "{i}: {} {difference}", seeds[i]);
    }
    // Every trial has a seed somewhere: none of the checks above compared 0 with 0 throughout.
    for t in 0..trials.len() {
        assert!(seeds.iter().skip(t).step_by(trials.len()).any(|s| s.abs() > 1e-6), "trial {t}");
    }
}

#[test]
fn factors_multiply_values_and_seeds_and_terms_alone_add_up_to_all() {
    let scene = LossesScene { selectivity: Some(SELECTIVITY), ..only_rates() };
    let mut terms = prepared(&scene, &[1, 5], 8);
    let trials = [evoked(0.0), TrialKind::Spontaneous];
    let counts: Vec<f64> = (0..32).map(|i| f64::from(i * 7 % 5)).collect();
    let seen = Seen::of_responses(Responses { counts: &counts, trials: &trials, window_ms: 500.0 });
    let alone = terms.each_alone(&seen);
    assert_eq!(terms.names(), ["rate_evoked", "rate_spontaneous", "selectivity"]);
    let factors = [2.0, 1.0, 0.25];
    for (name, factor) in terms.names().into_iter().zip(factors) {
        terms.set_factor(name, factor);
    }
    let all = terms.evaluate(&seen);
    let mut sum = Seeds::default();
    for ((alone, factor), value) in alone.iter().zip(factors).zip(&all.values) {
        assert_eq!((alone.values[0].0, factor * alone.values[0].1), *value);
        sum.add(factor, &alone.seeds);
    }
    assert_eq!(sum, all.seeds);
    assert!(sum.touch_network() && !Seeds::default().touch_network());
}

#[test]
fn seeds_carry_the_share_of_a_type_and_spare_the_rim() {
    // Every neuron fires at 16 Hz, above the targets; the last one stands outside the core.
    let mut network = neurons(&[1, 3], 2);
    network.x_um = vec![0.0, 10.0, 0.0, 500.0];
    let (grating, grey) = ([evoked(0.0)], [TrialKind::Spontaneous]);
    let seeds = |shares: SharesScene, trials: &[TrialKind]| {
        let terms = LossesScene { rates: Some(RatesLossScene { shares, ..RATES }), ..only_rates() };
        let terms = prepare(&terms, &targets(&[1, 3]), &network, 100.0).unwrap();
        let loss = evaluate(&terms, &[8.0; 4], trials, 500.0);
        (loss.values[0].0, loss.seeds.counts)
    };
    assert_eq!(seeds(SharesScene::PerType, &grey).0, "rate_spontaneous");
    let (name, per_type) = seeds(SharesScene::PerType, &grating);
    let per_neuron = seeds(SharesScene::PerNeuron, &grating).1;
    assert_eq!(name, "rate_evoked");
    for seeds in [&per_type, &per_neuron] {
        assert!(seeds[..3].iter().all(|&s| s > 0.0) && seeds[3] == 0.0, "{seeds:?}");
    }
    // Type 3 has one neuron of the core's three.
    assert!((per_neuron[2] / per_type[2] - (1.0 / 3.0) / 0.5).abs() < 1e-12);
    assert!((per_neuron[0] / per_type[0] - (2.0 / 3.0) / 0.5).abs() < 1e-12);
}

#[test]
fn descent_on_free_rates_reaches_the_recorded_distribution() {
    let n = 300;
    let losses = prepared(&only_rates(), &[5], n);
    let target = targets(&[5]).rate_evoked_hz[0].quantiles.clone();
    let trials = [evoked(0.0), evoked(90.0)];
    let mut draws = Draws(3);
    // Rates between 3 and 4 Hz, above most of the target and below its fast end (7.7 Hz).
    let mut counts: Vec<f64> = (0..n * trials.len()).map(|_| 1.5 + 0.5 * draws.next()).collect();
    let rates_hz = |counts: &[f64]| counts.chunks(2).map(|c| (c[0] + c[1]) / 2.0 / 0.5).collect::<Vec<f64>>();
    let distance = |counts: &[f64]| ks_against_table(&rates_hz(counts), &target).unwrap();
    let start = distance(&counts);
    let mut last = f64::INFINITY;
    for _ in 0..4000 {
        let loss = evaluate(&losses, &counts, &trials, 500.0);
        last = loss.values[0].1;
        for (count, seed) in counts.iter_mut().zip(&loss.seeds.counts) {
            *count -= 0.05 * n as f64 * seed;
        }
    }
    let end = distance(&counts);
    // The fifth of silent cells is reached from above, so the atom at 0 is met in the limit only.
    let near = rates_hz(&counts).iter().filter(|&&r| r.abs() < 0.02).count() as f64 / n as f64;
    assert!(start > 0.6 && last < 1e-4, "{start} {last}");
    assert!((near - 0.2).abs() < 0.05, "{near} {end}");
    let mut sorted_hz = rates_hz(&counts);
    sorted_hz.sort_unstable_by(f64::total_cmp);
    for (rank, rate) in sorted_hz.iter().enumerate() {
        let expected = target.value_at((rank as f64 + 0.5) / n as f64);
        assert!((rate - expected).abs() < 0.05, "rank {rank}: {rate} {expected}");
    }
}

#[test]
fn a_crowd_of_known_tuning_has_its_known_selectivity() {
    // r = 5 (1 + 0.6 cos delta + 0.8 cos 2 delta) has DSI 0.3 and OSI 0.4, so its loss is the distance to 0.25 and 0.4.
    let n = 72;
    let mut losses = prepared(&selectivity_at_fixed_rates(), &[2], n);
    let trials = [evoked(10.0), TrialKind::Spontaneous, evoked(75.0)];
    let mut counts = Vec::new();
    for neuron in 0..n {
        // The gain of each neuron, which the running mean takes out again.
        let gain = 1.0 + (neuron % 5) as f64;
        counts.extend(trials.iter().map(|trial| {
            let delta = (trial.direction_deg().unwrap_or(123.0) - neuron as f64 * 5.0).to_radians();
            gain * (1.0 + 0.6 * delta.cos() + 0.8 * (2.0 * delta).cos())
        }));
    }
    set_rate_mean(&mut losses, &(0..n).map(|i| 2.0 * (1.0 + (i % 5) as f64)).collect::<Vec<f64>>());
    let Loss { values, seeds } = evaluate(&losses, &counts, &trials, 500.0);
    assert_eq!(values[0].0, "selectivity");
    // The rates that responses are divided by follow the batch by a billionth.
    assert!((values[0].1 - 0.05f64.powi(2)).abs() < 1e-9, "{}", values[0].1);
    assert!(seeds.counts.iter().skip(1).step_by(3).all(|&s| s == 0.0));
}

#[test]
fn descent_on_free_rates_reaches_the_recorded_selectivity() {
    let n = 60;
    let mut losses = prepared(&only_selectivity(), &[1, 2], n);
    let mut draws = Draws(11);
    let directions: Vec<f64> = (0..8).map(|i| 45.0 * i as f64).collect();
    let trials: Vec<TrialKind> = directions.iter().map(|&d| evoked(d)).collect();
    let mut counts: Vec<f64> = (0..2 * n * trials.len()).map(|_| 2.0 + draws.next()).collect();
    let (mut first, mut last) = (None, 0.0);
    for _ in 0..400 {
        let seen = Seen::of_responses(Responses { counts: &counts, trials: &trials, window_ms: 1000.0 });
        let loss = losses.evaluate(&seen);
        losses.remember(&seen);
        last = loss.values[0].1;
        first.get_or_insert(last);
        for (count, seed) in counts.iter_mut().zip(&loss.seeds.counts) {
            *count = (*count - 300.0 * seed).max(0.0);
        }
    }
    assert!(first.unwrap() > 0.15 && last < 1e-6, "{first:?} {last}");
    // Measured neuron by neuron as the recordings measure it, both types now have the targets' mean (0.4 and 0.25).
    for kind in [0, 1] {
        for (k, target) in [(2.0, 0.4), (1.0, 0.25)] {
            let mut sum = 0.0;
            for neuron in kind * n..(kind + 1) * n {
                let rates = &counts[neuron * 8..(neuron + 1) * 8];
                let part = |f: fn(f64) -> f64| {
                    rates.iter().zip(&directions).map(|(r, d)| r * f((k * d).to_radians())).sum::<f64>()
                };
                sum += part(f64::cos).hypot(part(f64::sin)) / rates.iter().sum::<f64>();
            }
            assert!((sum / n as f64 - target).abs() < 0.03, "type {kind}, k = {k}: {}", sum / n as f64);
        }
    }
}

#[test]
fn cell_types_recorded_as_one_are_compared_as_one() {
    // Two types at 2 and 6 Hz, recorded as one type whose quantiles at 1/8, 3/8, 5/8 and 7/8 are 2, 2, 6 and 6 Hz.
    let quantiles = Quantiles::new(vec![0.0, 0.5, 0.6, 1.0], vec![2.0, 2.0, 6.0, 6.0]).unwrap();
    let both = vec![Recorded {
        name: "L5_Exc".into(),
        cell_types: vec![9, 10],
        n_units: 4,
        ceiling: None,
        quantiles,
    }];
    let together = FunctionTargets {
        rate_evoked_hz: both.clone(),
        rate_spontaneous_hz: both,
        ..FunctionTargets::default()
    };
    let losses = prepare(&only_rates(), &together, &neurons(&[9, 10], 2), 1e9).unwrap();
    let trials = [evoked(0.0)];
    let at = |counts: [f64; 4]| evaluate(&losses, &counts, &trials, 1000.0);
    let loss = at([2.0, 6.0, 6.0, 2.0]);
    assert_eq!((loss.values, loss.seeds.counts), (vec![("rate_evoked", 0.0)], vec![0.0; 4]));
    assert!(at([2.0, 6.0, 6.0, 6.0]).values[0].1 > 0.0);
}

#[test]
fn terms_that_cannot_be_computed_say_so() {
    let network = neurons(&[1], 4);
    let terms = LossesScene { selectivity: Some(SELECTIVITY), ..only_rates() };
    let error = |targets: &FunctionTargets| {
        prepare(&terms, targets, &network, 1e9).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(
        error(&targets(&[3])),
        "a.ron: losses.rates.weight = 1: the term is on, but no cell type of the network's core has evoked rates in \
         the targets table"
    );
    let recorded = targets(&[1]);
    let without_grey = FunctionTargets { rate_spontaneous_hz: vec![], ..recorded.clone() };
    assert!(error(&without_grey).contains("spontaneous rates"));
    let without_dsi = FunctionTargets { dsi: vec![], ..recorded };
    assert!(error(&without_dsi).contains("losses.selectivity.weight = 1"));
    // Switched off, nothing is asked for, and nothing is computed.
    let off = prepare(&LossesScene::default(), &FunctionTargets::default(), &network, 1e9).unwrap();
    let grey = [TrialKind::Spontaneous];
    assert_eq!(evaluate(&off, &[1.0; 4], &grey, 500.0), Loss::default());
    // On, but without a trial to read.
    let on = prepared(&only_selectivity(), &[1], 4);
    assert_eq!(evaluate(&on, &[1.0; 4], &grey, 500.0), Loss::default());
}

/// Every term that there is.
fn all_terms() -> LossesScene {
    ron::Options::default()
        .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
        .from_str(
            "(rates: (weight: 1, huber_hz: 2), rate_correlation: (weight: 1), selectivity: (weight: 1), \
             neuron_selectivity: (weight: 1), tuning: (weight: 1), contrast: (weight: 1), voltage: (weight: 1), \
             electrophysiology: (weight: 1), fano: (weight: 1), pairwise_correlation: (weight: 1, target: 0), structure: (weight_distribution: (weight: 1), \
             like_to_like: (weight: 1), scale_prior: (weight: 1), keep: (weight: 1)))",
        )
        .unwrap()
}

#[test]
fn every_term_that_is_on_is_listed_by_its_field() {
    let all = all_terms();
    let serde_json::Value::Object(scene) = serde_json::to_value(&all).unwrap() else { panic!("a map") };
    for term in all.terms() {
        let named = term
            .field()
            .split('.')
            .fold(&serde_json::Value::Object(scene.clone()), |at, name| &at[name])["weight"]
            .clone();
        assert_eq!(named.as_f64(), Some(term.weight()), "{}", term.field());
    }
    // All fields but the weighting; the four of the structure in place of one.
    assert_eq!(all.terms().len(), scene.len() - 1 + 3);
}

#[test]
fn a_bound_by_type_follows_the_recorded_spread() {
    let counts = |hz: f64| vec![0.5 * hz; 4];
    let value = |scene: RatesLossScene, hz: f64| {
        let terms = prepared(&LossesScene { rates: Some(scene), ..LossesScene::default() }, &[1], 4);
        evaluate(&terms, &counts(hz), &[evoked(0.0)], 500.0).values[0].1
    };
    // Recorded quantiles 12 max(p - 0.2, 0)^2: the quartiles are 0.03 and 3.63 Hz.
    let iqr_hz = 12.0 * (0.55_f64.powi(2) - 0.05_f64.powi(2));
    let of_iqr = RatesLossScene { huber_hz: None, huber_of_iqr: Some(0.25), ..RATES };
    let in_hz = RatesLossScene { huber_hz: Some(0.25 * iqr_hz), ..RATES };
    assert!((value(of_iqr, 9.0) / value(in_hz, 9.0) - 1.0).abs() < 1e-12);
    assert!(value(of_iqr, 9.0) > 1.05 * value(RATES, 9.0));
}

#[test]
fn neurons_outside_the_core_are_held_with_a_smaller_weight() {
    // The last two of the four neurons stand outside; all fire at 16 Hz.
    let mut network = neurons(&[1], 4);
    network.x_um = vec![0.0, 1.0, 500.0, 500.0];
    let loss = |outside_core: f64| {
        let scene = LossesScene {
            rates: Some(RatesLossScene { outside_core, ..RATES }),
            selectivity: Some(SelectivityLossScene { outside_core, ..SELECTIVITY }),
            ..LossesScene::default()
        };
        let terms = prepare(&scene, &targets(&[1]), &network, 100.0).unwrap();
        let seen = [evoked(10.0), evoked(100.0)];
        terms.each_alone(&Seen::of_responses(Responses {
            counts: &[8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0],
            trials: &seen,
            window_ms: 500.0,
        }))
    };
    let (without, with) = (loss(0.0), loss(0.1));
    for (without, with) in without.iter().zip(&with).filter(|(w, _)| !w.values.is_empty()) {
        let (inner, outer) = (&with.seeds.counts[..4], &with.seeds.counts[4..]);
        assert_eq!(inner, &without.seeds.counts[..4]);
        assert!(without.seeds.counts[4..].iter().all(|s| *s == 0.0) && outer.iter().any(|s| *s != 0.0));
        assert!(with.values[0].1 > without.values[0].1);
    }
    // The rates are the same within and without, and so are the targets of two neurons.
    let [inner, outer] = [0, 4].map(|at| with[0].seeds.counts[at]);
    assert!((outer / inner - 0.1).abs() < 1e-12, "{inner} {outer}");
}

#[test]
fn running_means_carry_over_steps_and_a_restored_term_goes_on_the_same() {
    let scene = LossesScene {
        rates: Some(RatesLossScene { mean_decay: 0.8, ..RATES }),
        selectivity: Some(SelectivityLossScene { mean_decay: 0.7, ..SELECTIVITY }),
        ..LossesScene::default()
    };
    let trials = [evoked(20.0), evoked(110.0), TrialKind::Spontaneous];
    let mut draws = Draws(5);
    let batches: Vec<Vec<f64>> =
        (0..6).map(|_| (0..2 * 6 * 3).map(|_| (4.0 * draws.next()).floor()).collect()).collect();
    let mut whole = prepared(&scene, &[1, 5], 6);
    let mut losses = Vec::new();
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for (step, counts) in batches.iter().enumerate() {
        if step == 3 {
            kept = whole.memory().into_iter().map(|(.., values)| values.to_vec()).collect();
        }
        let seen = Seen::of_responses(Responses { counts, trials: &trials, window_ms: 500.0 });
        losses.push(whole.evaluate(&seen));
        whole.remember(&seen);
    }
    let mut resumed = prepared(&scene, &[1, 5], 6);
    assert_eq!(kept.len(), 4, "rates under gratings and grey, rates to divide by, crowds");
    resumed.memory_mut().into_iter().zip(&kept).for_each(|((.., own), kept)| own.copy_from_slice(kept));
    for (counts, expected) in batches.iter().zip(&losses).skip(3) {
        let seen = Seen::of_responses(Responses { counts, trials: &trials, window_ms: 500.0 });
        assert_eq!(resumed.evaluate(&seen), *expected);
        resumed.remember(&seen);
    }
    // The rates that are compared: those of step 1 count 0.8 times as much as those of step 2.
    let mut two = prepared(&scene, &[1, 5], 6);
    let seen = |counts| Seen::of_responses(Responses { counts, trials: &trials, window_ms: 500.0 });
    two.remember(&seen(&batches[0]));
    let mixed: Vec<f64> = batches[0].iter().zip(&batches[1]).map(|(a, b)| (0.8 * a + b) / 1.8).collect();
    let alone = prepared(&LossesScene { rates: Some(RATES), ..LossesScene::default() }, &[1, 5], 6);
    let (running, expected) = (two.evaluate(&seen(&batches[1])), alone.evaluate(&seen(&mixed)));
    for (running, expected) in running.values.iter().zip(&expected.values).take(2) {
        assert!((running.1 - expected.1).abs() < 1e-12, "{running:?} {expected:?}");
    }
}

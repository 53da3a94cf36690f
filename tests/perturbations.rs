//! Every term of the loss that looks at the network's spikes or potentials, and the prior on the pair factors: a known change of the
//! weights is found and undone by that term alone, on fixed trials. The targets are what the network showed before the change.
//!
//! | term | change | what comes back |
//! |---|---|---|
//! | rates (evoked; grey) | LGN to L4 excitatory x 1.6 | that pair's factor, and the distribution of rates |
//! | contrast | the same | that pair's factor, and the rate at every contrast |
//! | tuning | LGN to L4 excitatory x 1.4, and untuned | the tuning curve |
//! | selectivity | LGN to L4 excitatory untuned, its sum kept | the tuning of the weights and of the rates |
//! | rate correlation | background of each neuron reversed against its other input | the correlation of evoked and grey rates |
//! | voltage | LGN to L4 excitatory x 3 | the potentials into their band, and no further: inside it the term is flat |
//! | pairwise correlation | common input x 2.5 | that pair's factor, and the correlation |
//! | fano | common input x 1.5 | the same |
//! | scale prior | a factor of 1.6 | the factor, and with it every weight of the pair |
//!
//! Where a term looks at one number a cell type, all that drives the type could make up for the change; so only the factors of the
//! changed kind of source are learned, of every target type, and nobody tells which was changed. The other terms have such a test beside
//! them: electrophysiology in `src/train/assay/tests.rs`, weight distribution and like-to-like in `tests/structure.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/layer_4.rs"]
mod layer_4;

use std::cell::RefCell;
use std::path::Path;

use layer_4::{
    Bench, LGN_ONLY, Learn, N_EXCITATORY, N_INHIBITORY, N_LGN, WINDOW, cell_type, direction_deg, gratings,
    lgn_weight, pair_ix, train,
};
use simrun::loss::contrast::ContrastLossScene;
use simrun::loss::fano::{fano_curve, fano_term, widths};
use simrun::loss::groups::{Groups, PopulationCounts};
use simrun::loss::pairwise::pairwise_term;
use simrun::loss::rate_correlation::RateCorrelationLossScene;
use simrun::loss::rates::RatesLossScene;
use simrun::loss::scale_prior::ScalePrior;
use simrun::loss::selectivity::SelectivityLossScene;
use simrun::loss::statistics::Quantiles;
use simrun::loss::targets::{FunctionTargets, Recorded, TuningTarget};
use simrun::loss::tuning::TuningLossScene;
use simrun::loss::{
    Context, Loss, LossesScene, Responses, Seen, SharesScene, Terms, TrialKind, core_neurons,
};
use simrun::model::adam::AdamRule;
use simrun::network::tables::FanoPoint;
use simrun::network::{N_CELL_TYPES, N_SOURCE_TYPES, SOURCE_TYPE_BACKGROUND, SOURCE_TYPE_LGN, target_neuron};
use simrun::sim::optimiser::{Learned, Optimiser, OptimiserSettings, WeightRule};
use simrun::sim::{AdjointReport, ForwardReport, LearnWeights, Simulation, VoltagePenalty};

fn recorded(values: &[f64]) -> Recorded {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // At the levels at which the term asks for them, so that the network's own rates have no loss.
    let levels = (0..sorted.len()).map(|i| (i as f64 + 0.5) / sorted.len() as f64).collect();
    Recorded {
        name: "L4_Exc".to_owned(),
        cell_types: vec![cell_type("L4_Exc")],
        n_units: values.len(),
        ceiling: None,
        quantiles: Quantiles::new(levels, sorted).unwrap(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Value and seeds of function terms, which remember what they saw.
fn function_term<'a>(
    bench: &'a Bench,
    losses: &LossesScene,
    targets: &FunctionTargets,
) -> impl Fn(&ForwardReport) -> (f64, Vec<f64>, Vec<f64>) + use<'a> {
    let context = Context {
        scene_file: Path::new("scene"),
        network: &bench.network,
        core: &core_neurons(&bench.network, f64::INFINITY),
        outside: &[],
        targets,
        tables: &common::tables(),
        groups: &Groups::default(),
        pairs: &[],
        window: WINDOW,
        dt_ms: 1.0,
    };
    let terms = RefCell::new(Terms::prepare(losses, &context).unwrap());
    move |forward| {
        let counts = counts(forward);
        let responses = Responses { counts: &counts, trials: &bench.trials, window_ms: WINDOW.len() as f64 };
        let seen = Seen::of_responses(responses);
        let Loss { values, seeds } = terms.borrow().evaluate(&seen);
        terms.borrow_mut().remember(&seen);
        (values.iter().map(|(_, value)| value).sum(), seeds.counts, Vec::new())
    }
}

fn counts(forward: &ForwardReport) -> Vec<f64> {
    forward.spike_counts.iter().map(|count| f64::from(*count)).collect()
}

/// The factor of LGN to L4 excitatory is multiplied by 1.6 and has to come back under a term of the rates.
fn factor_comes_back(bench: &Bench, terms: &LossesScene, targets: &FunctionTargets, name: &str) {
    let idle = VoltagePenalty::default();
    let mut simulation = bench.simulation(bench.settings(LGN_ONLY, idle, Vec::new()));
    let all: Vec<usize> = (0..bench.trials.len()).collect();
    let before = mean(&bench.rates_hz(&simulation.forward(1, 0).unwrap(), &all));
    let term = function_term(bench, terms, targets);
    let own = term(&simulation.forward(1, 0).unwrap()).0;
    let factor = 1.6;
    let edges = bench.lgn_edges();
    simulation.set_weights(&bench.multiplied(edges.iter().map(|e| e.0), factor as f32)).unwrap();
    let changed = mean(&bench.rates_hz(&simulation.forward(1, 0).unwrap(), &all));
    let (values, factors, forward) = train(bench, &mut simulation, Learn::Factors, 40, term);
    let after = mean(&bench.rates_hz(&forward, &all));
    let [found, other] = ["L4_Exc", "L4_PV"].map(|target| factors[pair_ix(SOURCE_TYPE_LGN, target)]);
    let (first, last) = (values[0], values[values.len() - 1]);
    println!(
        "{name}: {own:.4} -> {first:.4} -> {last:.4}; rate {before:.2} -> {changed:.2} -> {after:.2} Hz; factors {:.2} (L4_Exc) and {other:.2} (L4_PV)",
        found * factor
    );
    assert!(changed > 1.3 * before, "{name}: the change is not felt: {before} {changed}");
    assert!(own < 0.1 * first && last < 0.1 * first, "{name}: {own} {first} {last}");
    assert!((after / before - 1.0).abs() < 0.1, "{name}: {before} {after}");
    assert!((found * factor - 1.0).abs() < 0.12, "{name}: the factor is {found}, not 1/{factor}");
}

#[test]
fn rates_undo_a_stronger_drive() {
    for (name, trials) in [("evoked", gratings(2)), ("grey", vec![TrialKind::Spontaneous; 16])] {
        let bench = Bench::new(&trials);
        let mut simulation =
            bench.simulation(bench.settings(LGN_ONLY, VoltagePenalty::default(), Vec::new()));
        let all: Vec<usize> = (0..trials.len()).collect();
        let own = recorded(&bench.rates_hz(&simulation.forward(1, 0).unwrap(), &all));
        let targets = FunctionTargets {
            rate_evoked_hz: vec![own.clone()],
            rate_spontaneous_hz: vec![own],
            ..FunctionTargets::default()
        };
        let terms = LossesScene {
            rates: Some(RatesLossScene {
                weight: 1.0,
                huber_hz: Some(2.0),
                huber_of_iqr: None,
                shares: SharesScene::PerType,
                mean_decay: 0.0,
                outside_core: 0.0,
            }),
            ..LossesScene::default()
        };
        factor_comes_back(&bench, &terms, &targets, name);
    }
}

#[test]
fn contrast_undoes_a_stronger_drive() {
    let contrast = |(t, kind): (usize, TrialKind)| match kind {
        TrialKind::Evoked { direction_deg } if t >= 8 => {
            TrialKind::OtherContrast { direction_deg, contrast: 0.4 }
        }
        kind => kind,
    };
    let trials: Vec<TrialKind> =
        (gratings(2).into_iter().enumerate().map(contrast)).chain([TrialKind::Spontaneous; 8]).collect();
    let bench = Bench::new(&trials);
    let mut simulation = bench.simulation(bench.settings(LGN_ONLY, VoltagePenalty::default(), Vec::new()));
    let forward = simulation.forward(1, 0).unwrap();
    let rates = |from: usize| bench.rates_hz(&forward, &(from..from + 8).collect::<Vec<_>>());
    let targets = FunctionTargets {
        rate_evoked_hz: vec![recorded(&rates(0))],
        rate_spontaneous_hz: vec![recorded(&rates(16))],
        ..FunctionTargets::default()
    };
    let curve = ContrastLossScene { weight: 1.0, shares: SharesScene::PerType, min_rate_hz: 0.5 };
    let terms = LossesScene { contrast: Some(curve), ..LossesScene::default() };
    factor_comes_back(&bench, &terms, &targets, "contrast");
}

/// First two harmonics of the responses about each neuron's own direction, over their mean.
fn harmonics(bench: &Bench, forward: &ForwardReport, weigh: impl Fn(usize) -> f64) -> [f64; 2] {
    let responses = bench.responses(forward);
    let (mut total, mut sums) = (0.0, [0.0; 2]);
    for neuron in 0..N_EXCITATORY {
        for (t, trial) in bench.trials.iter().enumerate() {
            let angle =
                trial.direction_deg().unwrap() - f64::from(bench.network.neurons.tuning_angle_deg[neuron]);
            let rate = responses.rate_hz(neuron, t) * weigh(neuron);
            total += rate;
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum += rate * ((k + 1) as f64 * angle.to_radians()).cos();
            }
        }
    }
    sums.map(|sum| sum / total)
}

/// First harmonic of the weights from LGN units: half the modulation.
fn weight_harmonic(bench: &Bench, weights: &[f32]) -> f64 {
    let (mut total, mut sum) = (0.0, 0.0);
    for (edge, unit, neuron) in bench.lgn_edges() {
        let difference = direction_deg(unit) - f64::from(bench.network.neurons.tuning_angle_deg[neuron]);
        total += f64::from(weights[edge]);
        sum += f64::from(weights[edge]) * difference.to_radians().cos();
    }
    sum / total
}

fn untuned(bench: &Bench, factor: f32) -> Vec<f32> {
    let mut weights = bench.network.rows.weights.clone();
    for (edge, unit, neuron) in bench.lgn_edges() {
        weights[edge] = factor * lgn_weight(0.1, unit, neuron);
    }
    weights
}

#[test]
fn selectivity_undoes_a_loss_of_tuning() {
    let bench = Bench::new(&gratings(2));
    let mut simulation = bench.simulation(bench.settings(LGN_ONLY, VoltagePenalty::default(), Vec::new()));
    let own = simulation.forward(1, 0).unwrap();
    let all: Vec<usize> = (0..bench.trials.len()).collect();
    // z_1 and z_2 of the crowd: each neuron's harmonics over its rate.
    let crowd = |forward: &ForwardReport| {
        let rates_hz = bench.rates_hz(forward, &all);
        harmonics(&bench, forward, |neuron| 1.0 / rates_hz[neuron].max(0.5))
    };
    let [dsi, osi] = crowd(&own);
    let index = |value: f64| Recorded {
        quantiles: Quantiles::new(vec![0.0, 1.0], vec![value; 2]).unwrap(),
        ..recorded(&[0.0])
    };
    let targets =
        FunctionTargets { dsi: vec![index(dsi)], osi: vec![index(osi)], ..FunctionTargets::default() };
    let term = SelectivityLossScene {
        weight: 1.0,
        shares: SharesScene::PerType,
        min_rate_hz: 0.5,
        rate_mean_decay: 0.5,
        mean_decay: 0.0,
        groups: 1,
        outside_core: 0.0,
    };
    let terms = LossesScene { selectivity: Some(term), ..LossesScene::default() };
    simulation.set_weights(&untuned(&bench, 1.0)).unwrap();
    let untuned = simulation.forward(1, 0).unwrap();
    let (changed, rate_hz) = (crowd(&untuned), mean(&bench.rates_hz(&untuned, &all)));
    let term = function_term(&bench, &terms, &targets);
    let (values, _, forward) = train(&bench, &mut simulation, Learn::Weights, 60, term);
    let (after, rate_after_hz) = (crowd(&forward), mean(&bench.rates_hz(&forward, &all)));
    let harmonic = weight_harmonic(&bench, &simulation.weights().unwrap());
    let (first, last) = (values[0], values[values.len() - 1]);
    println!(
        "selectivity: {first:.4} -> {last:.5}; DSI {dsi:.3} -> {:.3} -> {:.3}, OSI {osi:.3} -> {:.3} -> {:.3}; weights 0.4 -> 0.05 -> {harmonic:.3}; rate {rate_hz:.2} -> {rate_after_hz:.2} Hz",
        changed[0], after[0], changed[1], after[1]
    );
    assert!(changed[0] < 0.7 * dsi, "the change is not felt: {dsi} {changed:?}");
    assert!(last < 0.05 * first, "{first} {last}");
    assert!((after[0] - dsi).abs() < 0.2 * (dsi - changed[0]), "{dsi} {after:?}");
    // The spikes of few trials ask for more than the cosine alone; most of it comes back.
    assert!(harmonic > 0.15, "the weights are not tuned again: {harmonic}");
}

#[test]
fn tuning_undoes_a_loss_of_tuning_and_a_stronger_drive() {
    let bench = Bench::new(&gratings(2));
    let mut simulation = bench.simulation(bench.settings(LGN_ONLY, VoltagePenalty::default(), Vec::new()));
    let own = simulation.forward(1, 0).unwrap();
    let all: Vec<usize> = (0..bench.trials.len()).collect();
    let curve = |forward: &ForwardReport| {
        let [first, second] = harmonics(&bench, forward, |_| 1.0);
        (mean(&bench.rates_hz(forward, &all)), first, second)
    };
    let (rate_hz, first, second) = curve(&own);
    let target = TuningTarget {
        name: "L4_Exc".to_owned(),
        cell_types: vec![cell_type("L4_Exc")],
        n_units: 1,
        rate_hz,
        harmonics: [first, second],
    };
    let targets = FunctionTargets { tuning: vec![target], ..FunctionTargets::default() };
    let curve_term = TuningLossScene { weight: 1.0, shares: SharesScene::PerType, min_rate_hz: 0.5 };
    let terms = LossesScene { tuning: Some(curve_term), ..LossesScene::default() };
    let term = function_term(&bench, &terms, &targets);
    let of_own = term(&own).0;
    simulation.set_weights(&untuned(&bench, 1.4)).unwrap();
    let changed = curve(&simulation.forward(1, 0).unwrap());
    let (values, _, forward) = train(&bench, &mut simulation, Learn::Weights, 60, term);
    let after = curve(&forward);
    let (begin, end) = (values[0], values[values.len() - 1]);
    println!(
        "tuning: {of_own:.4} -> {begin:.4} -> {end:.4}; rate {rate_hz:.2} -> {:.2} -> {:.2} Hz, first harmonic {first:.3} -> {:.3} -> {:.3}",
        changed.0, after.0, changed.1, after.1
    );
    assert!(changed.0 > 1.15 * rate_hz && changed.1 < 0.7 * first, "the change is not felt: {changed:?}");
    assert!(end < 0.1 * begin, "{begin} {end}");
    let way_back = (after.1 - changed.1) / (first - changed.1);
    assert!((after.0 / rate_hz - 1.0).abs() < 0.1 && way_back > 0.7, "{after:?}");
}

/// Correlation over the excitatory neurons.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let centred = |x: &[f64]| x.iter().map(|v| v - mean(x)).collect::<Vec<f64>>();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (a, b) = (centred(a), centred(b));
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn rate_correlation_undoes_a_reversed_background() {
    let bench = Bench::new(&[gratings(2), vec![TrialKind::Spontaneous; 16]].concat());
    let background = LearnWeights { recurrent: false, lgn: false, background: true };
    let mut simulation = bench.simulation(bench.settings(background, VoltagePenalty::default(), Vec::new()));
    let n = bench.network.neurons.len();
    let first = bench.network.rows.offsets[n + N_LGN] as usize;
    let edges: Vec<(usize, usize)> = (first..bench.network.rows.n_edges())
        .map(|edge| (edge, (edge - first) % n))
        .filter(|(_, neuron)| *neuron < N_EXCITATORY)
        .collect();
    // All input of a neuron is strong or weak; then its background is weak where the rest is strong.
    let gain = |neuron: usize| 0.2 + 1.6 * (neuron * 29 % N_EXCITATORY) as f32 / N_EXCITATORY as f32;
    let weights = |background: &dyn Fn(usize) -> f32| {
        let mut weights = bench.network.rows.weights.clone();
        bench.lgn_edges().into_iter().for_each(|(edge, _, neuron)| weights[edge] *= gain(neuron));
        edges.iter().for_each(|(edge, neuron)| weights[*edge] *= 4.0 * background(*neuron));
        weights
    };
    let of_rates = |forward: &ForwardReport| {
        let logs = |trials: std::ops::Range<usize>| {
            let rates_hz = bench.rates_hz(forward, &trials.collect::<Vec<usize>>());
            rates_hz.iter().map(|hz| (hz + 0.5).ln()).collect::<Vec<f64>>()
        };
        correlation(&logs(0..16), &logs(16..32))
    };
    simulation.set_weights(&weights(&gain)).unwrap();
    let own = of_rates(&simulation.forward(1, 0).unwrap());
    let reversed = weights(&|neuron| 2.0 - gain(neuron));
    simulation.set_weights(&reversed).unwrap();
    let shown = simulation.forward(1, 0).unwrap();
    let mean_hz = |forward: &ForwardReport| mean(&bench.rates_hz(forward, &(0..32).collect::<Vec<usize>>()));
    let (changed, rate_hz) = (of_rates(&shown), mean_hz(&shown));
    let scene = RateCorrelationLossScene {
        weight: 1.0,
        targets: [("L4_Exc".to_owned(), own)].into(),
        mean_decay: 0.0,
        shares: SharesScene::PerType,
    };
    let losses = LossesScene { rate_correlation: Some(scene), ..LossesScene::default() };
    let targets = FunctionTargets { rate_evoked_hz: vec![recorded(&[1.0])], ..FunctionTargets::default() };
    let term = function_term(&bench, &losses, &targets);
    let (values, _, forward) = train(&bench, &mut simulation, Learn::Weights, 60, term);
    let after = of_rates(&forward);
    let (begin, end) = (values[0], values[values.len() - 1]);
    println!(
        "rate correlation: {own:.3} -> {changed:.3} -> {after:.3}, value {begin:.4} -> {end:.5}; rate {rate_hz:.2} -> \
         {:.2} Hz",
        mean_hz(&forward)
    );
    assert!(changed < own - 0.15, "the change is not felt: {own} {changed}");
    assert!(end < 0.05 * begin && (after - own).abs() < 0.1, "{own} {after}");
}

/// The voltage term has no target but a band: it takes back what drives the potentials out of it and stops there, so that the factor comes
/// back as far as the band asks for, and not to where it was.
#[test]
fn voltage_undoes_a_drive_beyond_its_band() {
    let bench = Bench::new(&gratings(1));
    let voltage = VoltagePenalty { weight: 10.0, x_low: -1.0, x_high: 0.75 };
    let mut simulation = bench.simulation(bench.settings(LGN_ONLY, voltage, Vec::new()));
    // Below threshold at first: a third of the drive of the other tests.
    let edges = bench.lgn_edges();
    let quiet = bench.multiplied(edges.iter().map(|e| e.0), 0.3);
    let penalty = |simulation: &mut Simulation| {
        simulation.forward(1, 0).unwrap();
        simulation.adjoint(&vec![0.0; simulation.layout().plane_words()]).unwrap().voltage_loss
    };
    simulation.set_weights(&quiet).unwrap();
    let own = penalty(&mut simulation);
    simulation.set_weights(&bench.multiplied(edges.iter().map(|e| e.0), 0.9)).unwrap();
    let changed = penalty(&mut simulation);
    let n_seeds = simulation.layout().plane_words();
    let (_, factors, _) =
        train(&bench, &mut simulation, Learn::Factors, 40, |_| (0.0, vec![0.0; n_seeds], Vec::new()));
    let after = penalty(&mut simulation);
    let found = factors[pair_ix(SOURCE_TYPE_LGN, "L4_Exc")];
    println!("voltage: {own:.2e} -> {changed:.2e} -> {after:.2e}; factor {:.2}", 3.0 * found);
    assert!(own < 0.1 * changed && after < 0.1 * changed, "{own} {changed} {after}");
    assert!(found < 0.7 && found > 0.2, "{found}");
}

/// Common input makes groups of neurons fire together.
fn common_input_comes_back(
    bench: &Bench,
    name: &str,
    change: f32,
    masks: &[u32],
    term: impl Fn(&ForwardReport) -> (f64, Vec<f64>, Vec<f64>),
) {
    let learn = LearnWeights { recurrent: false, lgn: false, background: true };
    let settings = bench.settings(learn, VoltagePenalty::default(), masks.to_vec());
    let mut simulation = bench.simulation(settings);
    let own = term(&simulation.forward(1, 0).unwrap()).0;
    let n = bench.network.neurons.len();
    let first = bench.network.rows.offsets[n + N_LGN] as usize;
    let edges = (first..bench.network.rows.n_edges()).filter(|edge| (edge - first) % n < N_EXCITATORY);
    simulation.set_weights(&bench.multiplied(edges, change)).unwrap();
    let (values, factors, _) = train(bench, &mut simulation, Learn::Factors, 50, term);
    let (changed, after) = (values[0], values[values.len() - 1]);
    let [found, other] = ["L4_Exc", "L4_PV"].map(|target| factors[pair_ix(SOURCE_TYPE_BACKGROUND, target)]);
    let whole = found * f64::from(change);
    println!(
        "{name}: {own:.5} -> {changed:.5} -> {after:.5}; factors {whole:.2} (L4_Exc) and {other:.2} (L4_PV)"
    );
    assert!(own < 0.02 * changed && after < 0.1 * changed, "{name}: {own} {changed} {after}");
    assert!((whole - 1.0).abs() < 0.25, "{name}: the factor is {found}, not 1/{change}");
}

fn groups() -> Vec<u32> {
    (0..N_EXCITATORY + N_INHIBITORY).map(|n| if n < N_EXCITATORY { 1 << (n % 2) } else { 0 }).collect()
}

/// The mean in the denominator of F is held constant. Differentiated through it, the term worked against itself: a wide surrogate sees most neurons
/// between the bursts of the common input, where further spikes make F smaller, and the factor of a stronger common input grew without bound.
#[test]
fn fano_undoes_a_stronger_common_input() {
    let bench = Bench::new(&gratings(2));
    let all: Vec<usize> = (0..16).collect();
    let settings = bench.settings(LGN_ONLY, VoltagePenalty::default(), groups());
    let own = bench.simulation(settings).forward(1, 0).unwrap();
    fn population(counts: &[u32]) -> PopulationCounts<'_> {
        PopulationCounts { counts, n_groups: 2, n_trials: 16, window: WINDOW }
    }
    let points = [5.0, 10.0, 20.0].map(|width_ms| FanoPoint { width_ms, fano: 0.0, sd: 0.0 });
    let mut all_widths = widths(&points, 1.0, WINDOW.len());
    let curve = fano_curve(&population(&own.population_counts), &all, &all_widths);
    all_widths.iter_mut().zip(&curve).for_each(|(width, fano)| width.recorded.fano = fano.unwrap());
    println!("fano of the network as it was: {curve:?}");
    let n_seeds = own.spike_counts.len();
    common_input_comes_back(&bench, "fano", 1.5, &groups(), |forward| {
        let mut seeds = vec![0.0; forward.population_counts.len()];
        let counts = population(&forward.population_counts);
        let value = fano_term(1.0, &counts, 2, &all, &all_widths, &mut seeds);
        (value, vec![0.0; n_seeds], seeds)
    });
}

#[test]
fn pairwise_correlation_undoes_a_stronger_common_input() {
    let bench = Bench::new(&[TrialKind::Spontaneous; 32]);
    let all: Vec<usize> = (0..32).collect();
    let settings = bench.settings(LGN_ONLY, VoltagePenalty::default(), groups());
    let own = bench.simulation(settings).forward(1, 0).unwrap();
    let value = |forward: &ForwardReport, target: f64, seeds: &mut [f64]| {
        let counts = counts(forward);
        let responses = Responses { counts: &counts, trials: &bench.trials, window_ms: WINDOW.len() as f64 };
        pairwise_term(1.0, target, &groups(), &responses, &all, seeds)
    };
    // The mean over two groups of (r - target)^2 is a parabola in the target; its middle is the mean r.
    let at = |target: f64| value(&own, target, &mut vec![0.0; own.spike_counts.len()]);
    let target = (at(0.0) - at(1.0) + 1.0) / 2.0;
    println!("mean correlation of the network as it was: {target:.3}");
    common_input_comes_back(&bench, "pairwise correlation", 2.5, &groups(), |forward| {
        let mut seeds = vec![0.0; forward.spike_counts.len()];
        let value = value(forward, target, &mut seeds);
        (value, seeds, Vec::new())
    });
}

#[test]
fn the_prior_undoes_a_factor() {
    let bench = Bench::new(&[TrialKind::Spontaneous]);
    let learn = LearnWeights { recurrent: true, ..LearnWeights::default() };
    let mut simulation = bench.simulation(bench.settings(learn, VoltagePenalty::default(), Vec::new()));
    let settings = OptimiserSettings {
        weight_rule: WeightRule::ExponentiatedAdam,
        adam: AdamRule { beta_1: 0.8, beta_2: 0.95, epsilon: 1e-12 },
        learning_rate: 0.0,
        cell_learning_rate: 0.0,
        scale_learning_rate: 0.02,
        learn_weights: LearnWeights::default(),
        clip_norm: None,
        learn_cells: [false; 5],
        cell_bounds: vec![[0.0; 5]; bench.network.cell_models.len()],
        learn_scales: true,
        log_scale_bound: 10_f64.ln(),
        structure: true,
        like_pairs: Vec::new(),
    };
    let mut optimiser = Optimiser::new(&simulation, settings).unwrap();
    let changed = pair_ix(cell_type("L4_PV"), "L4_Exc");
    let prior = ScalePrior { weight: 1.0, sd: vec![0.1; N_SOURCE_TYPES * N_CELL_TYPES] };
    let weights = &bench.network.rows.weights;
    let mut log_scales = vec![0.0; N_SOURCE_TYPES * N_CELL_TYPES];
    log_scales[changed] = 1.6_f64.ln();
    let n = bench.network.neurons.len();
    let edges = (bench.network.rows.offsets[N_EXCITATORY] as usize..bench.network.rows.offsets[n] as usize)
        .filter(|edge| target_neuron(bench.network.rows.targets[*edge]) < N_EXCITATORY as u32);
    let learned = Learned {
        weights: bench.multiplied(edges, 1.6),
        log_scales,
        ..optimiser.learned(&simulation).unwrap()
    };
    optimiser.restore(&mut simulation, learned).unwrap();
    let no_gradient = AdjointReport {
        voltage_loss: 0.0,
        cell_gradient: vec![[0.0; 5]; bench.network.cell_models.len()],
        wall_ms: 0.0,
    };
    let mut values = Vec::new();
    for step in 0..80 {
        let (value, gradient) = prior.value_and_gradient(optimiser.log_scales());
        values.push(value);
        optimiser.set_structure_gradient(&[], &[], &gradient).unwrap();
        optimiser.step(&mut simulation, &no_gradient, if step < 60 { 1.0 } else { 0.1 }).unwrap();
    }
    let (first, last) = (values[0], values[79]);
    println!("prior: {first:.3} -> {last:.2e}; factor {:.3}", optimiser.log_scales()[changed].exp());
    assert!(last < 1e-3 * first, "{first} {last}");
    let worst = simulation
        .weights()
        .unwrap()
        .iter()
        .zip(weights)
        .map(|(a, b)| f64::from((a / b - 1.0).abs()))
        .fold(0.0, f64::max);
    assert!(worst < 0.02, "weights are off by {worst}");
}

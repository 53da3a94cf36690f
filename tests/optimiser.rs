//! One optimiser step on the device against the same rule in f64, and a run that goes on from what was learned.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::circuit::{Circuit, Mode};
use simrun::gpu::Gpu;
use simrun::model::adam::AdamRule;
use simrun::network::{N_CELL_TYPES, N_SOURCE_TYPES, pack_target, v1_unit_types};
use simrun::sim::optimiser::{Learned, Optimiser, OptimiserSettings, WeightRule};
use simrun::sim::{AdjointReport, LearnWeights, Settings, Simulation, SourceSpikes, VoltagePenalty};

const ADAM: AdamRule = AdamRule { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-8 };

fn simulation(gpu: &Arc<Gpu>, circuit: &Circuit) -> Simulation {
    let settings = Settings {
        steps_between_checkpoints: 10,
        voltage: VoltagePenalty { weight: 1.0, x_low: 0.2, x_high: 1.0 },
        learn_weights: LearnWeights { recurrent: true, lgn: false, background: true },
        learn_cells: true,
        ..Settings::new(circuit.n_steps, circuit.n_trials)
    };
    let sources = SourceSpikes::Replay(&circuit.source_masks);
    Simulation::new(gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap()
}

fn settings(weight_rule: WeightRule, n_models: usize) -> OptimiserSettings {
    OptimiserSettings {
        weight_rule,
        adam: ADAM,
        learning_rate: 0.05,
        cell_learning_rate: 0.01,
        scale_learning_rate: 0.02,
        learn_weights: LearnWeights { recurrent: true, lgn: false, background: true },
        clip_norm: Some(1e-3),
        learn_cells: [true; 5],
        cell_bounds: vec![[0.7, 5.0, 30.0, 30.0, 1.0]; n_models],
        learn_scales: true,
        log_scale_bound: 1.0,
        structure: false,
        like_pairs: Vec::new(),
    }
}

fn pass(simulation: &mut Simulation) -> AdjointReport {
    let counts = simulation.forward(1, 0).unwrap().spike_counts;
    let seeds: Vec<f32> = counts.iter().map(|c| c - 2.0).collect();
    simulation.adjoint(&seeds).unwrap()
}

/// The factors of pair types in f64 (A10).
struct Scales {
    log: Vec<f64>,
    moments: Vec<[f64; 2]>,
}

impl Default for Scales {
    fn default() -> Self {
        let n_pairs = N_SOURCE_TYPES * N_CELL_TYPES;
        Self { log: vec![0.0; n_pairs], moments: vec![[0.0; 2]; n_pairs] }
    }
}

impl Scales {
    fn factors(&self) -> Vec<f64> {
        self.log.iter().map(|s| s.exp()).collect()
    }

    fn step(&mut self, t: u32, by_log_scale: &[f64]) {
        for ((log, g), moments) in self.log.iter_mut().zip(by_log_scale).zip(&mut self.moments) {
            *log -= 0.02 * ADAM.advance(t, *g, moments);
        }
    }
}

#[test]
fn a_step_follows_the_rule() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::random(Mode::TwoCompartment, 3);
    for rule in [WeightRule::Adam, WeightRule::ExponentiatedAdam] {
        let mut simulation = simulation(&gpu, &circuit);
        let mut optimiser =
            Optimiser::new(&simulation, settings(rule, circuit.network.cell_models.len())).unwrap();
        let network = &circuit.network;
        let n_edges = network.rows.n_edges();
        let pair_of: Vec<usize> = (0..network.n_sources())
            .flat_map(|s| {
                let edges = network.rows.offsets[s] as usize..network.rows.offsets[s + 1] as usize;
                edges.map(move |e| {
                    network.source_type(s) * N_CELL_TYPES
                        + network.neurons.target_cell_type(network.rows.targets[e])
                })
            })
            .collect();
        let mut moments = vec![[0.0_f64; 2]; n_edges];
        let mut scales = Scales::default();
        let mut scale_before = scales.factors();
        for t in 1..=3 {
            let before = simulation.weights().unwrap();
            let report = pass(&mut simulation);
            let gradient = simulation.weight_gradient().unwrap();
            let update = optimiser.step(&mut simulation, &report, 1.0).unwrap();
            let after = simulation.weights().unwrap();
            let learned = optimiser.learned(&simulation).unwrap();
            let mut by_log_scale = vec![0.0; N_SOURCE_TYPES * N_CELL_TYPES];
            (0..n_edges)
                .for_each(|e| by_log_scale[pair_of[e]] += f64::from(gradient[e]) * f64::from(before[e]));
            // LGN weights have no gradient, so their sums are of nothing.
            scales.step(t, &by_log_scale);
            for (pair, (own, expected)) in learned.log_scales.iter().zip(&scales.log).enumerate() {
                assert!(
                    (own - expected).abs() < 1e-4,
                    "{rule:?}, update {t}, pair type {pair}: {own} {expected}"
                );
            }
            let base_gradient = |e: usize| f64::from(gradient[e]) * scale_before[pair_of[e]];
            let norm = (0..n_edges).map(|e| base_gradient(e).powi(2)).sum::<f64>().sqrt();
            assert!((update.weight_gradient_norm / norm - 1.0).abs() < 1e-5, "norm");
            assert!(norm > 1e-3, "the clipping must be at work: {norm}");
            let mut worst = 0.0_f64;
            for e in 0..n_edges {
                if (circuit.first_lgn_edge()..circuit.first_background_edge()).contains(&e) {
                    assert_eq!(before[e], after[e], "LGN weights are not learned");
                    continue;
                }
                let move_by = 0.05 * ADAM.advance(t, base_gradient(e) * 1e-3 / norm, &mut moments[e]);
                let base = f64::from(before[e]) / scale_before[pair_of[e]];
                let moved = match rule {
                    WeightRule::Adam => (base - move_by).max(0.0),
                    WeightRule::ExponentiatedAdam => base * (-move_by).exp(),
                };
                let expected = moved * learned.log_scales[pair_of[e]].exp();
                worst = worst.max((f64::from(after[e]) - expected).abs() / expected.max(1e-3));
            }
            assert!(worst < 2e-5, "{rule:?}, update {t}: relative error {worst:.1e}");
            scale_before = learned.log_scales.iter().map(|s| s.exp()).collect();
            let without_edge = |pair: &usize| by_log_scale[*pair] == 0.0 && scales.log[*pair] == 0.0;
            assert!((0..scales.log.len()).any(|pair| without_edge(&pair)), "every pair type has an edge");
            assert!(scale_before.iter().any(|s| (s - 1.0).abs() > 1e-3), "pair factors must move");
            assert!(learned.cell_parameters.iter().flatten().filter(|x| x.abs() > 1e-4).count() > 50);
        }
    }
}

/// The pull towards weights that are kept, and its value, against the formula in f64 (L13); edges without such a weight are left alone.
#[test]
fn weights_are_pulled_towards_those_that_are_kept() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::random(Mode::Point, 5);
    let mut simulation = simulation(&gpu, &circuit);
    let settings = settings(WeightRule::ExponentiatedAdam, circuit.network.cell_models.len());
    let mut optimiser = Optimiser::new(&simulation, settings).unwrap();
    pass(&mut simulation);
    let (weights, before) = (simulation.weights().unwrap(), simulation.weight_gradient().unwrap());
    assert_eq!(optimiser.add_keep(&simulation, 3.0).unwrap(), 0.0);
    optimiser.reserve_kept(&simulation).unwrap();
    assert_eq!(optimiser.add_keep(&simulation, 3.0).unwrap(), 0.0);
    // Every third edge is free, the others were between 0.6 and 1.4 times as strong.
    let kept: Vec<f32> = weights
        .iter()
        .enumerate()
        .map(|(e, w)| if e % 3 == 0 { 0.0 } else { w * (0.6 + 0.1 * (e % 9) as f32) })
        .collect();
    let of_learned = simulation.of_learned(&kept);
    optimiser.set_kept(&of_learned).unwrap();
    assert_eq!(optimiser.kept().unwrap(), Some(of_learned));
    let value = optimiser.add_keep(&simulation, 3.0).unwrap();
    let after = simulation.weight_gradient().unwrap();
    let is_learned = |e: &usize| !(circuit.first_lgn_edge()..circuit.first_background_edge()).contains(e);
    let own: Vec<usize> = (0..weights.len()).filter(is_learned).filter(|e| kept[*e] > 0.0).collect();
    let change = |e: usize| f64::from(weights[e]) / f64::from(kept[e]) - 1.0;
    let n = own.len() as f64;
    let expected = 3.0 * own.iter().map(|e| change(*e).powi(2)).sum::<f64>() / (2.0 * n);
    assert!(expected > 0.01 && (value / expected - 1.0).abs() < 1e-5, "{value} for {expected}");
    let mut n_pulled = 0;
    for e in 0..weights.len() {
        let pull = if own.contains(&e) { 3.0 * change(e) / (n * f64::from(kept[e])) } else { 0.0 };
        let added = f64::from(after[e]) - f64::from(before[e]);
        let rounding = 2e-7 * f64::from(before[e].abs().max(after[e].abs())) + 1e-5 * pull.abs();
        assert!((added - pull).abs() <= rounding, "edge {e}: {added} for {pull}");
        n_pulled += usize::from(pull != 0.0);
    }
    assert!(n_pulled > weights.len() / 4, "{n_pulled} of {}", weights.len());
    assert!(optimiser.set_kept(&kept[1..]).is_err());
}

/// Three updates in one go, and one update, then two from its checkpoint in a new simulation: the same bits.
#[test]
fn learning_goes_on_from_a_checkpoint_bit_for_bit() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::random(Mode::TwoCompartment, 4);
    let run = |n_updates: u32, from: Option<Learned>| {
        let mut simulation = simulation(&gpu, &circuit);
        let settings = settings(WeightRule::ExponentiatedAdam, circuit.network.cell_models.len());
        let mut optimiser = Optimiser::new(&simulation, settings).unwrap();
        if let Some(learned) = from {
            optimiser.restore(&mut simulation, learned).unwrap();
        }
        for _ in 0..n_updates {
            let report = pass(&mut simulation);
            optimiser.step(&mut simulation, &report, 1.0).unwrap();
        }
        optimiser.learned(&simulation).unwrap()
    };
    let whole = run(3, None);
    let in_parts = run(2, Some(run(1, None)));
    assert_eq!(whole.n_updates, 3);
    assert!(whole == in_parts, "a resumed run differs");
}

/// 1000 units with equal weights onto one neuron.
fn many_onto_one() -> Circuit {
    const N_UNITS: usize = 1000;
    let mut circuit = Circuit::random(Mode::TwoCompartment, 3);
    let n = circuit.network.neurons.len();
    let network = &mut circuit.network;
    (network.n_lgn, network.n_background) = (0, N_UNITS);
    network.unit_type_ix = v1_unit_types(0, N_UNITS);
    network.rows.offsets = (0..=n + N_UNITS).map(|source| source.saturating_sub(n) as u64).collect();
    network.rows.targets = vec![pack_target(0, 1); N_UNITS];
    network.rows.weights = vec![0.01; N_UNITS];
    circuit.source_masks = vec![0b111; circuit.n_steps * N_UNITS];
    circuit
}

/// An optimiser whose first update multiplies weights by a factor or its inverse.
fn multiplier(simulation: &Simulation, circuit: &Circuit, factor: f64) -> Optimiser {
    let settings = OptimiserSettings {
        learning_rate: factor.ln(),
        learn_cells: [false; 5],
        learn_scales: false,
        ..settings(WeightRule::ExponentiatedAdam, circuit.network.cell_models.len())
    };
    Optimiser::new(simulation, settings).unwrap()
}

/// An update by which the first neuron is to spike more.
fn strengthen(simulation: &mut Simulation, optimiser: &mut Optimiser, circuit: &Circuit) {
    simulation.forward(1, 0).unwrap();
    let mut seeds = vec![0.0; circuit.network.neurons.len() * circuit.n_trials];
    seeds[..circuit.n_trials].fill(-1.0);
    let adjoint = simulation.adjoint(&seeds).unwrap();
    optimiser.step(simulation, &adjoint, 1.0).unwrap();
}

/// What arrives at once of 1000 equal weights sets the scale, by the weights that learning began with: so it does in a run that goes on
/// from its checkpoint.
#[test]
fn the_scale_of_the_arrivals_goes_on_from_a_checkpoint() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = many_onto_one();
    let mut whole = simulation(&gpu, &circuit);
    let mut optimiser = multiplier(&whole, &circuit, 2.0);
    strengthen(&mut whole, &mut optimiser, &circuit);
    let learned = optimiser.learned(&whole).unwrap();
    let resumed = |learned: Learned| {
        let mut simulation = simulation(&gpu, &circuit);
        multiplier(&simulation, &circuit, 2.0).restore(&mut simulation, learned).unwrap();
        simulation.arrival_scale()
    };
    // 10 at once leave room for 2^27 units a weight, 20 for half of that.
    assert_eq!((whole.arrival_scale(), resumed(learned.clone())), (27_f64.exp2(), 27_f64.exp2()));
    assert_eq!(resumed(Learned { largest_input_sum: None, ..learned }), 26_f64.exp2());
}

/// Weights that outgrow the room which the scale of the arrivals left at the start stop the run by name; they do not wrap round.
#[test]
fn arrivals_beyond_their_room_are_caught() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let mut circuit = many_onto_one();
    // One strong edge onto another neuron sets the scale of the start.
    circuit.network.rows.targets[0] = pack_target(1, 1);
    circuit.network.rows.weights[0] = 4.0;
    let mut simulation = simulation(&gpu, &circuit);
    let mut optimiser = multiplier(&simulation, &circuit, 500.0);
    strengthen(&mut simulation, &mut optimiser, &circuit);
    let weights = simulation.weights().unwrap();
    assert!(weights[1..].iter().all(|weight| (4.9..5.1).contains(weight)), "{:?}", &weights[..3]);
    let error = simulation.forward(1, 0).unwrap_err().to_string();
    assert!(error.contains("'neuron_forward'") && error.contains("overflowed"), "{error}");
    assert!(error.contains("neuron 0, step 1"), "{error}");
}

//! Proof of the gradient, level 3: the device's f32 forward pass and gradient against the f64 specification, from
//! identical inputs (the same integer arrivals, the same source spikes), for both cell modes and every learnable.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::circuit::{Circuit, Mode};
use simrun::gpu::Gpu;
use simrun::model::Damping;
use simrun::model::adam::AdamRule;
use simrun::model::membrane::{LEARNABLE, N_CELL_PARAMETERS};
use simrun::model::rng::{Stream, uniform};
use simrun::network::{pack_target, v1_unit_types};
use simrun::reference::{self, Parameters, Problem};
use simrun::sim::optimiser::{Optimiser, OptimiserSettings, WeightRule};
use simrun::sim::{
    AdjointReport, LearnWeights, PotentialAdjoint, PotentialSeeds, Settings, Simulation, SourceSpikes,
    Threads, VoltagePenalty,
};

/// How far two vectors are apart.
#[derive(Debug)]
struct Distance {
    relative_l2: f64,
    cosine: f64,
    /// Largest difference over the largest element.
    worst: f64,
}

fn distance(device: &[f64], reference: &[f64]) -> Distance {
    assert_eq!(device.len(), reference.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let size = norm(&mut reference.iter().copied());
    assert!(size > 0.0, "the reference gradient vanishes");
    let dot: f64 = device.iter().zip(reference).map(|(a, b)| a * b).sum();
    let largest = reference.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let worst = device.iter().zip(reference).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    Distance {
        relative_l2: norm(&mut device.iter().zip(reference).map(|(a, b)| a - b)) / size,
        cosine: dot / size / norm(&mut device.iter().copied()),
        worst: worst / largest,
    }
}

/// Random offsets of the cell parameters, small against their measured values.
fn theta(n_models: usize, seed: u64) -> Vec<[f64; N_CELL_PARAMETERS]> {
    let size = [0.2, 1.0, 5.0, 5.0, 0.3];
    (0..n_models)
        .map(|m| {
            std::array::from_fn(|k| {
                let u = f64::from(uniform(seed, Stream::Loss, m as u32, k as u32, 0));
                // What the device holds is f32.
                size[k] * (2.0 * u - 1.0)
            })
        })
        .collect()
}

/// Compares one forward and adjoint pass of `n_steps`; returns the largest relative L2 distance of the gradients, and the device's
/// gradient of the weights.
fn compare(
    mode: Mode,
    (seed, n_trials): (u64, u32),
    n_steps: usize,
    threads: Threads,
    damping: Damping,
) -> (f64, Vec<f64>) {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let mut circuit = Circuit::of_trials(mode, seed, n_trials);
    circuit.dynamics.damping = damping;
    // Three groups; some neurons are in none, some in several.
    let masks: Vec<u32> = (0..circuit.network.neurons.len() as u32).map(|i| (i * 5) % 8).collect();
    let settings = Settings {
        window: n_steps / 5..n_steps,
        steps_between_checkpoints: 9.min(n_steps),
        voltage: VoltagePenalty { weight: 30.0, x_low: 0.3, x_high: 0.9 },
        learn_weights: LearnWeights::ALL,
        learn_cells: true,
        current: Some(5..n_steps),
        groups: masks.clone(),
        threads,
        ..Settings::new(n_steps, circuit.n_trials)
    };
    let n_cells = circuit.network.neurons.len() * circuit.n_trials;
    let current_pa: Vec<f32> = (0..n_cells).map(|i| ((i * 37) % 101) as f32).collect();
    let theta = theta(circuit.network.cell_models.len(), seed);

    let sources = SourceSpikes::Replay(&circuit.source_masks);
    let mut simulation =
        Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings.clone()).unwrap();
    simulation.set_cell_parameters(&theta);
    simulation.set_current(&current_pa).unwrap();
    let report = simulation.forward(1, 0).unwrap();
    let (counts, population_counts) = (report.spike_counts, report.population_counts);
    let seeds: Vec<f32> = (0..n_cells).map(|i| ((i * 53) % 19) as f32 / 9.0 - 1.0).collect();
    let population_seeds: Vec<f32> =
        (0..n_steps * 3 * circuit.n_trials).map(|i| ((i * 29) % 23) as f32 / 11.0 - 1.0).collect();
    let report = simulation.adjoint_of_groups(&seeds, &population_seeds).unwrap();
    let weight_gradient: Vec<f64> =
        simulation.weight_gradient().unwrap().into_iter().map(f64::from).collect();

    let seeds: Vec<f64> = seeds.into_iter().map(f64::from).collect();
    let current_pa: Vec<f64> = current_pa.into_iter().map(f64::from).collect();
    let population_seeds: Vec<f64> = population_seeds.into_iter().map(f64::from).collect();
    let problem = Problem {
        network: &circuit.network,
        dynamics: &circuit.dynamics,
        n_steps,
        n_trials: circuit.n_trials,
        source_spikes: &circuit.source_masks,
        current: Some(reference::Current { pa: &current_pa, steps: 5..n_steps }),
        arrival_scale: Some(simulation.arrival_scale()),
        seeds: &seeds,
        count_steps: settings.window.clone(),
        voltage: Some(reference::VoltagePenalty { weight: 30.0, x_low: 0.3, x_high: 0.9 }),
        hold_u_mv: None,
        potential_seeds: None,
        population: Some(reference::PopulationSeeds { masks: &masks, n_groups: 3, seeds: &population_seeds }),
    };
    let mut parameters = Parameters::<f64>::of_network(&circuit.network);
    parameters.theta = theta;
    let forward = reference::forward(&problem, &parameters, reference::Mode::Hard);
    let expected: Vec<f32> = forward.counts.iter().map(|c| *c as f32).collect();
    assert_eq!(counts, expected, "{mode:?}, seed {seed}, {n_steps} steps: spike counts differ");
    for (at, count) in population_counts.iter().enumerate() {
        let (step, group, trial) =
            (at / 3 / circuit.n_trials, at / circuit.n_trials % 3, at % circuit.n_trials);
        let spikes = &forward.spikes[step * masks.len()..(step + 1) * masks.len()];
        let of_group =
            spikes.iter().zip(&masks).filter(|(s, m)| *m >> group & 1 == 1 && *s >> trial & 1 == 1);
        assert_eq!(*count as usize, of_group.count(), "step {step}, group {group}, trial {trial}");
    }
    assert!(population_counts.iter().any(|count| *count > 1));
    let gradient = reference::adjoint(&problem, &parameters, reference::Mode::Hard);

    let mut largest: f64 = 0.0;
    let mut check = |name: &str, device: &[f64], reference: &[f64], limit: f64| {
        let d = distance(device, reference);
        println!(
            "{mode:?} {n_steps} steps, {name}: L2 {:.1e}, 1 - cos {:.1e}, worst {:.1e}",
            d.relative_l2,
            1.0 - d.cosine,
            d.worst
        );
        assert!(
            d.relative_l2 < limit && 1.0 - d.cosine < limit && d.worst < limit,
            "{mode:?}, {name}: {d:?}"
        );
        largest = largest.max(d.relative_l2);
    };
    check("weights", &weight_gradient, &gradient.weights, 2e-5);
    let n_parameters = if mode == Mode::Point { 4 } else { 5 };
    for k in 0..n_parameters {
        let column = |rows: &[[f64; N_CELL_PARAMETERS]]| rows.iter().map(|r| r[k]).collect::<Vec<f64>>();
        check(LEARNABLE[k].name, &column(&report.cell_gradient), &column(&gradient.theta), 2e-5);
    }
    let optimiser =
        Optimiser::new(&simulation, optimiser_settings(circuit.network.cell_models.len())).unwrap();
    let (_, log_scale) = optimiser.gradient_sums(&simulation).unwrap();
    check("log_pair_scale", &log_scale, &gradient.log_scale, 2e-5);
    (largest, weight_gradient)
}

/// 4,000 background units fire at once onto every neuron, in every step: sums of arrivals beyond 22 bits of the largest weight have
/// to be given room by the scale.
#[test]
fn thousands_of_arrivals_at_once_are_added_exactly() {
    const N_UNITS: usize = 4000;
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let mut circuit = Circuit::random(Mode::TwoCompartment, 11);
    let n = circuit.network.neurons.len();
    let n_steps = 60;
    let network = &mut circuit.network;
    (network.n_lgn, network.n_background) = (0, N_UNITS);
    network.unit_type_ix = v1_unit_types(0, N_UNITS);
    let targets: Vec<u32> = (0..n as u32).map(|target| pack_target(target, 1)).collect();
    network.rows.offsets = (0..=n + N_UNITS).map(|source| (source.saturating_sub(n) * n) as u64).collect();
    network.rows.targets = targets.repeat(N_UNITS);
    // No other weight is as large.
    network.rows.weights = vec![1.1e-3; N_UNITS * n];
    let source_masks = vec![0b101; n_steps * N_UNITS];
    let settings = Settings { ..Settings::new(n_steps, 3) };
    let sources = SourceSpikes::Replay(&source_masks);
    let mut simulation =
        Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
    // A weight is below 2^-9, their sum below 2^3: 31 bits hold it with a resolution of 19 bits of a weight, not 22.
    assert_eq!(simulation.arrival_scale(), 2_f64.powi(31 - 3));
    let counts = simulation.forward(1, 0).unwrap().spike_counts;
    let problem = Problem {
        network: &circuit.network,
        dynamics: &circuit.dynamics,
        n_steps,
        n_trials: 3,
        source_spikes: &source_masks,
        current: None,
        arrival_scale: Some(simulation.arrival_scale()),
        seeds: &vec![0.0; n * 3],
        count_steps: 0..n_steps,
        voltage: None,
        hold_u_mv: None,
        potential_seeds: None,
        population: None,
    };
    let parameters = Parameters::<f64>::of_network(&circuit.network);
    let expected = reference::forward(&problem, &parameters, reference::Mode::Hard).counts;
    assert_eq!(counts, expected.iter().map(|count| *count as f32).collect::<Vec<f32>>());
    assert!(counts.iter().sum::<f32>() > n as f32, "the units hardly make a cell spike");
    assert!(counts.chunks(3).all(|trials| trials[1] == 0.0), "a spike in the trial without any");
}

/// Any settings: only the gradient's sums are asked for.
fn optimiser_settings(n_models: usize) -> OptimiserSettings {
    OptimiserSettings {
        weight_rule: WeightRule::Adam,
        adam: AdamRule { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 },
        learning_rate: 0.0,
        cell_learning_rate: 0.0,
        scale_learning_rate: 0.0,
        learn_weights: LearnWeights::ALL,
        clip_norm: None,
        learn_cells: [true; N_CELL_PARAMETERS],
        cell_bounds: vec![[1.0; N_CELL_PARAMETERS]; n_models],
        learn_scales: false,
        log_scale_bound: 1.0,
        structure: false,
        like_pairs: Vec::new(),
    }
}

/// Seeds, trials and forms of the kernels. Records of ten trials are packed where threads are many.
const FORMS: [(u64, u32, Threads); 4] =
    [(11, 3, Threads::Few), (12, 3, Threads::Many), (13, 10, Threads::Few), (13, 10, Threads::Many)];

#[test]
fn whole_gradient_point() {
    for (seed, n_trials, threads) in FORMS {
        compare(Mode::Point, (seed, n_trials), 100, threads, Damping::default());
    }
}

#[test]
fn whole_gradient_two_compartment() {
    for (seed, n_trials, threads) in FORMS {
        compare(Mode::TwoCompartment, (seed, n_trials), 100, threads, Damping::default());
    }
}

/// A damped adjoint is the specification's too, and another gradient than the exact one.
#[test]
fn damped_gradients() {
    for mode in [Mode::Point, Mode::TwoCompartment] {
        let of = |recurrent, membrane| {
            compare(mode, (11, 3), 60, Threads::default(), Damping { recurrent, membrane }).1
        };
        let exact = of(1.0, 1.0);
        for damped in [of(0.1, 1.0), of(1.0, 0.5), of(0.3, 0.6)] {
            let d = distance(&damped, &exact);
            println!("{mode:?}, damped and exact: {d:?}");
            assert!(d.relative_l2 > 0.01 && d.cosine > 0.3, "{mode:?}: {d:?}");
        }
    }
}

/// A11: cells that start clamped to some potential, and a loss that looks at one potential of each cell and trial.
fn compare_clamped(mode: Mode, seed: u64) {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::random(mode, seed);
    let n_steps = 60;
    let settings = Settings {
        steps_between_checkpoints: 20,
        learn_weights: LearnWeights::ALL,
        learn_cells: true,
        current: Some(0..n_steps),
        potential_seeds: true,
        ..Settings::new(n_steps, circuit.n_trials)
    };
    let n_cells = circuit.network.neurons.len() * circuit.n_trials;
    let draw = |i: usize, k: u32| f64::from(uniform(seed, Stream::Loss, i as u32, 77, k));
    let hold_u_mv: Vec<f64> = (0..n_cells).map(|i| 24.0 * draw(i, 0) - 8.0).collect();
    let extra_pa: Vec<f32> = vec![0.0; n_cells];
    let theta = theta(circuit.network.cell_models.len(), seed);
    let steps: Vec<u32> = (0..n_cells).map(|i| (draw(i, 1) * n_steps as f64) as u32).collect();
    let values: Vec<f32> = (0..n_cells).map(|i| 2.0 * draw(i, 2) as f32 - 1.0).collect();

    let sources = SourceSpikes::Replay(&circuit.source_masks);
    let mut simulation =
        Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
    simulation.set_cell_parameters(&theta);
    simulation.set_clamped(&theta, &hold_u_mv, &extra_pa).unwrap();
    simulation.forward(1, 0).unwrap();
    let seeds = PotentialSeeds { steps: steps.clone(), values: values.clone() };
    let adjoint = simulation.adjoint_of_potentials(&seeds).unwrap();
    assert_eq!(adjoint, simulation.adjoint_of_potentials(&seeds).map(|a| same_time(a, &adjoint)).unwrap());
    let mut cells = simulation.clamped_gradient(&theta, &hold_u_mv, &adjoint);
    for (sum, own) in cells.iter_mut().flatten().zip(adjoint.report.cell_gradient.iter().flatten()) {
        *sum += own;
    }

    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
    let problem = Problem {
        network: &circuit.network,
        dynamics: &circuit.dynamics,
        n_steps,
        n_trials: circuit.n_trials,
        source_spikes: &circuit.source_masks,
        current: None,
        arrival_scale: Some(simulation.arrival_scale()),
        seeds: &vec![0.0; n_cells],
        count_steps: 0..n_steps,
        voltage: None,
        hold_u_mv: Some(&hold_u_mv),
        potential_seeds: Some(reference::PotentialSeeds { steps: &steps, values: &values }),
        population: None,
    };
    let mut parameters = Parameters::<f64>::of_network(&circuit.network);
    parameters.theta = theta;
    let gradient = reference::adjoint(&problem, &parameters, reference::Mode::Hard);
    let check = |name: &str, device: &[f64], reference: &[f64]| {
        let d = distance(device, reference);
        println!("{mode:?} clamped, {name}: {d:?}");
        assert!(d.relative_l2 < 2e-5 && d.worst < 2e-5, "{mode:?} clamped, {name}: {d:?}");
    };
    let weights: Vec<f64> = simulation.weight_gradient().unwrap().into_iter().map(f64::from).collect();
    check("weights", &weights, &gradient.weights);
    for k in 0..if mode == Mode::Point { 4 } else { 5 } {
        let column = |rows: &[[f64; N_CELL_PARAMETERS]]| rows.iter().map(|r| r[k]).collect::<Vec<f64>>();
        check(LEARNABLE[k].name, &column(&cells), &column(&gradient.theta));
    }
    let optimiser =
        Optimiser::new(&simulation, optimiser_settings(circuit.network.cell_models.len())).unwrap();
    let (_, log_scale) = optimiser.gradient_sums(&simulation).unwrap();
    check("log_pair_scale", &log_scale, &gradient.log_scale);
}

/// A second adjoint pass repeats the first but for its wall time.
fn same_time(second: PotentialAdjoint, first: &PotentialAdjoint) -> PotentialAdjoint {
    let report = AdjointReport { wall_ms: first.report.wall_ms, ..second.report };
    PotentialAdjoint { report, ..second }
}

#[test]
fn seeded_potentials_of_clamped_cells() {
    for mode in [Mode::Point, Mode::TwoCompartment] {
        compare_clamped(mode, 21);
    }
}

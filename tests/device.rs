//! The simulation on the device: repeats bit for bit, with any distance between checkpoints, in both cell modes.

mod common;

use std::sync::Arc;

use common::circuit::{Circuit, Mode};
use simrun::gpu::Gpu;
use simrun::sim::{LearnWeights, Settings, Simulation, SourceSpikes, VoltagePenalty};

fn settings(circuit: &Circuit, steps_between_checkpoints: usize) -> Settings {
    Settings {
        n_trials: circuit.n_trials,
        n_steps: circuit.n_steps,
        window: 10..circuit.n_steps,
        steps_between_checkpoints,
        voltage: VoltagePenalty { weight: 3.0, x_low: 0.2, x_high: 1.0 },
        learn_weights: LearnWeights { recurrent: true, lgn: true, background: true },
        learn_cells: true,
        current: None,
    }
}

/// Counts, weight gradient and cell gradient of one training step, as bits.
fn run(
    gpu: &Arc<Gpu>,
    circuit: &Circuit,
    steps_between_checkpoints: usize,
) -> (Vec<f32>, Vec<u32>, Vec<u64>) {
    let settings = settings(circuit, steps_between_checkpoints);
    let sources = SourceSpikes::Replay(&circuit.source_masks);
    let mut simulation =
        Simulation::new(gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
    let counts = simulation.forward(1, 0).unwrap().spike_counts;
    let seeds: Vec<f32> =
        counts.iter().enumerate().map(|(i, c)| (c - 3.0) * (1.0 + (i % 7) as f32)).collect();
    let report = simulation.adjoint(&seeds).unwrap();
    let weights = simulation.weight_gradient().unwrap().iter().map(|g| g.to_bits()).collect();
    let cells =
        report.cell_gradient.iter().flatten().chain([&report.voltage_loss]).map(|g| g.to_bits()).collect();
    (counts, weights, cells)
}

#[test]
fn checkpoints_and_repetition_change_no_bit() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    for mode in [Mode::Point, Mode::TwoCompartment] {
        let circuit = Circuit::random(mode, 11);
        let whole = run(&gpu, &circuit, circuit.n_steps);
        assert!(whole.0.iter().sum::<f32>() > 50.0, "{mode:?}: the circuit is silent");
        assert!(whole.1.iter().filter(|g| **g != 0).count() > 100, "{mode:?}: hardly any gradient");
        assert!(whole.2.iter().filter(|g| **g != 0).count() > 20, "{mode:?}: hardly any cell gradient");
        for k in [circuit.n_steps, 23, 8] {
            assert!(
                run(&gpu, &circuit, k) == whole,
                "{mode:?}: {k} steps between checkpoints change the result"
            );
        }
    }
}

/// Rows of 2,000 edges onto 32 trials: more iterations of nested loops than Mesa 22.3 carries out, if 256 workgroups shared the
/// rows. All trials are equal, so their gradients add up to 32 times that of one, exactly.
#[test]
fn long_rows_with_many_trials_lose_no_edge() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let gradient = |n_trials: usize| {
        let circuit = Circuit::dense(2000, n_trials);
        let settings = Settings {
            voltage: VoltagePenalty::default(),
            learn_weights: LearnWeights::default(),
            window: 0..circuit.n_steps,
            ..settings(&circuit, circuit.n_steps)
        };
        let sources = SourceSpikes::Replay(&circuit.source_masks);
        let mut simulation =
            Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
        simulation.forward(1, 0).unwrap();
        let seeds = vec![1e-3; 2000 * n_trials];
        simulation.adjoint(&seeds).unwrap().cell_gradient
    };
    let (one, many) = (gradient(1), gradient(32));
    assert!(one.iter().flatten().filter(|g| **g != 0.0).count() > 20, "hardly any gradient");
    for (one, many) in one.iter().flatten().zip(many.iter().flatten()) {
        assert_eq!(*many, 32.0 * one);
    }
}

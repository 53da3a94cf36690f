//! Batches whose trials do not all run side by side: the same spikes, and the same gradient but for the rounding of sums over trials.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ops::Range;
use std::sync::Arc;

use common::circuit::{Circuit, Mode};
use simrun::gpu::Gpu;
use simrun::model::membrane::N_CELL_PARAMETERS;
use simrun::network::{Network, Neurons};
use simrun::sim::{
    LearnWeights, PotentialAdjoint, PotentialSeeds, Probe, Recording, Settings, Simulation, SourceDrive,
    SourceFilters, SourceSpikes, SpikeList, VoltagePenalty, check_room,
};

const N_TRIALS: usize = 10;

fn settings(circuit: &Circuit, trials_at_once: usize) -> Settings {
    let n_neurons = circuit.network.neurons.len() as u32;
    Settings {
        trials_at_once,
        window: 10..circuit.n_steps,
        steps_between_checkpoints: 30,
        voltage: VoltagePenalty { weight: 3.0, x_low: 0.2, x_high: 1.0 },
        learn_weights: LearnWeights::ALL,
        learn_cells: true,
        current: Some(0..circuit.n_steps),
        groups: (0..n_neurons).map(|neuron| 1 << (neuron % 3)).collect(),
        ..Settings::new(circuit.n_steps, circuit.n_trials)
    }
}

/// What a training step leaves.
#[derive(Debug, PartialEq)]
struct Step {
    counts: Vec<f32>,
    population: Vec<u32>,
    recording: Recording,
    weights: Vec<f32>,
    cells: Vec<f64>,
    voltage_loss: f64,
}

fn step(simulation: &mut Simulation, circuit: &Circuit) -> Step {
    let n = circuit.network.neurons.len();
    let current_pa: Vec<f32> = (0..n * N_TRIALS).map(|i| (i % 7) as f32 * 20.0).collect();
    simulation.set_current(&current_pa).unwrap();
    simulation.reserve_settled().unwrap();
    simulation.settle(1, 3, 20).unwrap();
    let probe = Probe::potentials(5..9);
    let (forward, recording) = simulation.forward_recorded(1, 0, &probe).unwrap();
    let counts = simulation.forward(1, 0).unwrap().spike_counts;
    assert_eq!(counts, forward.spike_counts, "a recording changes nothing");
    let seeds: Vec<f32> =
        counts.iter().enumerate().map(|(i, c)| (c - 3.0) * (1.0 + (i % 7) as f32)).collect();
    let by_group: Vec<f32> = (0..forward.population_counts.len()).map(|i| (i % 11) as f32 * 0.1).collect();
    let report = simulation.adjoint_of_groups(&seeds, &by_group).unwrap();
    Step {
        counts,
        population: forward.population_counts,
        recording,
        weights: simulation.weight_gradient().unwrap(),
        cells: report.cell_gradient.into_flattened(),
        voltage_loss: report.voltage_loss,
    }
}

/// Relative distance of two vectors.
fn distance(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> f64 {
    let (differences, lengths) =
        a.zip(b).fold((0.0, 0.0), |(d, l), (a, b)| (d + (a - b) * (a - b), l + b * b));
    assert!(lengths > 0.0, "nothing to compare");
    f64::sqrt(differences / lengths)
}

/// Shares of 4, 4 and 2 trials, or of 8 and 2, beside all 10 at once.
#[test]
fn shares_of_trials_are_the_batch() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    for (mode, trials_at_once) in [(Mode::Point, 8), (Mode::TwoCompartment, 3)] {
        let circuit = Circuit::of_trials(mode, 11, N_TRIALS as u32);
        let of_shares = |trials_at_once: usize| {
            let sources = SourceSpikes::Replay(&circuit.source_masks);
            let settings = settings(&circuit, trials_at_once);
            let mut simulation =
                Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
            let first = step(&mut simulation, &circuit);
            assert!(
                step(&mut simulation, &circuit) == first,
                "{mode:?}: {trials_at_once} trials do not repeat"
            );
            simulation.fit_tape(u64::MAX).unwrap();
            assert!(step(&mut simulation, &circuit) == first, "{mode:?}: the tape changes the result");
            first
        };
        let whole = of_shares(N_TRIALS);
        let n_spikes: f32 = whole.counts.iter().sum();
        assert!(n_spikes > 200.0, "{mode:?}: {n_spikes} spikes");
        // Three is rounded up to four.
        let shared = of_shares(trials_at_once);
        assert!(shared.counts == whole.counts, "{mode:?}: counts");
        assert!(shared.population == whole.population, "{mode:?}: counts of groups");
        assert!(shared.recording == whole.recording, "{mode:?}: spikes and potentials");
        let [a, b] = [&shared, &whole].map(|s| s.weights.iter().map(|g| f64::from(*g)));
        let off = distance(a, b);
        assert!(off < 1e-6, "{mode:?}: weights {off}");
        let off = distance(shared.cells.into_iter(), whole.cells.iter().copied());
        assert!(off < 1e-6, "{mode:?}: cells {off}");
        let off = (shared.voltage_loss - whole.voltage_loss).abs() / whole.voltage_loss;
        assert!(off < 1e-6, "{mode:?}: voltage penalty {off}");
    }
}

/// Spikes that are set before a batch, and starts at a potential.
#[test]
fn shares_take_their_own_of_given_spikes_and_starts() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::of_trials(Mode::TwoCompartment, 11, N_TRIALS as u32);
    let n_units = circuit.network.n_lgn + circuit.network.n_background;
    let entries: Vec<(u32, u32, u32)> = circuit
        .source_masks
        .iter()
        .enumerate()
        .filter(|(_, mask)| **mask != 0)
        .map(|(i, mask)| ((i / n_units) as u32, (i % n_units) as u32, *mask))
        .collect();
    let start_mv: Vec<f32> = (0..circuit.network.neurons.len()).map(|i| (i % 5) as f32).collect();
    let recording = |trials_at_once: usize, sources: SourceSpikes<'_>| {
        let settings = Settings { current: None, ..settings(&circuit, trials_at_once) };
        let mut simulation =
            Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
        if let SourceSpikes::Listed(_) = sources {
            simulation.set_spikes(&SpikeList::new(circuit.n_steps, entries.clone().into_iter())).unwrap();
        }
        simulation.set_start(&start_mv).unwrap();
        let probe = Probe { sources: true, ..Probe::default() };
        simulation.forward_recorded(1, 0, &probe).unwrap().1.spikes
    };
    let whole = recording(N_TRIALS, SourceSpikes::Replay(&circuit.source_masks));
    assert!(whole.len() > 1000, "{} spikes", whole.len());
    for trials_at_once in [4, N_TRIALS] {
        assert!(recording(trials_at_once, SourceSpikes::Listed(entries.len())) == whole, "{trials_at_once}");
    }
}

/// Spikes that the device draws, from groups of trials that lie across the shares.
#[test]
fn shares_draw_the_spikes_of_the_batch() {
    const N_TAPS: usize = 6;
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::of_trials(Mode::TwoCompartment, 11, N_TRIALS as u32);
    let n_units = circuit.network.n_lgn + circuit.network.n_background;
    let wave = |i: usize| (i as f32 * 0.7).sin();
    let taps_hz: Vec<f32> =
        (0..N_TAPS * n_units).map(|i| if i / n_units == N_TAPS - 1 { 0.0 } else { wave(i) }).collect();
    let amplitude: Vec<[f32; 2]> =
        (0..N_TRIALS * n_units).map(|i| [8.0 * wave(i), 9.0 * wave(i + 3)]).collect();
    // Trials 1, 5 and 9, then 0, 2 and 4, then the rest.
    let mut group_trials = vec![0; N_TRIALS];
    group_trials[..3].copy_from_slice(&[0b10_0010_0010, 0b1_0101, 0b1_1100_1000]);
    let frames: Vec<[f32; 4]> = (0..circuit.n_steps * N_TRIALS)
        .map(|i| {
            let (step, group) = (i / N_TRIALS, i % N_TRIALS);
            let phase = step as f32 * 0.1 * (1 + group) as f32;
            let adds = step > 0 && step < N_TAPS;
            [phase.cos(), phase.sin(), step.min(N_TAPS - 2) as f32, f32::from(u8::from(adds))]
        })
        .collect();
    let recording = |trials_at_once: usize| {
        let sources = SourceSpikes::Drawn(SourceFilters {
            taps_hz: &taps_hz,
            baseline_hz: &vec![120.0; n_units],
            second_ix: &vec![u32::MAX; n_units],
        });
        let settings = Settings { current: None, ..settings(&circuit, trials_at_once) };
        let mut simulation =
            Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
        let nothing = SourceDrive { amplitude: &[], group_trials: &[], frames: &[] };
        assert!(simulation.set_stimulus(&nothing).is_err(), "a stimulus of another shape");
        let drive = SourceDrive { amplitude: &amplitude, group_trials: &group_trials, frames: &frames };
        simulation.set_stimulus(&drive).unwrap();
        let probe = Probe { sources: true, ..Probe::default() };
        simulation.forward_recorded(7, 2, &probe).unwrap().1.spikes
    };
    let whole = recording(N_TRIALS);
    let n = circuit.network.neurons.len() as u32;
    let of_units = |trials: Range<u32>| {
        whole
            .iter()
            .filter(|s| s.neuron >= n && trials.contains(&s.trial))
            .map(|s| (s.step, s.neuron))
            .collect()
    };
    let [first, second]: [Vec<(u32, u32)>; 2] = [0..4, 4..8].map(of_units);
    assert!(first.len() > 500 && first != second, "{} spikes of units", first.len());
    for trials_at_once in [4, 8] {
        assert!(recording(trials_at_once) == whole, "{trials_at_once}");
    }
}

/// Neurons clamped to a potential, and a loss that looks at potentials.
#[test]
fn shares_hold_their_own_neurons() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::of_trials(Mode::TwoCompartment, 11, N_TRIALS as u32);
    let n_values = circuit.network.neurons.len() * N_TRIALS;
    let theta = vec![[0.01; N_CELL_PARAMETERS]; circuit.network.cell_models.len()];
    let hold_u_mv: Vec<f64> = (0..n_values).map(|i| (i % 9) as f64 * 0.5).collect();
    let extra_pa: Vec<f32> = (0..n_values).map(|i| (i % 4) as f32 * 10.0).collect();
    let seeds = PotentialSeeds {
        steps: (0..n_values).map(|i| 20 + (i % 60) as u32).collect(),
        values: (0..n_values).map(|i| (i % 13) as f32 - 6.0).collect(),
    };
    let adjoint = |trials_at_once: usize| {
        let settings = Settings { potential_seeds: true, ..settings(&circuit, trials_at_once) };
        let sources = SourceSpikes::Replay(&circuit.source_masks);
        let mut simulation =
            Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
        simulation.set_cell_parameters(&theta);
        simulation.set_clamped(&theta, &hold_u_mv, &extra_pa).unwrap();
        let counts = simulation.forward(1, 0).unwrap().spike_counts;
        let adjoint = simulation.adjoint_of_potentials(&seeds).unwrap();
        let clamped = simulation.clamped_gradient(&theta, &hold_u_mv, &adjoint);
        (counts, adjoint, clamped.into_flattened())
    };
    let (counts, whole, clamped) = adjoint(N_TRIALS);
    let (shared_counts, shared, shared_clamped) = adjoint(4);
    assert_eq!(shared_counts, counts);
    // Potentials of a trial know nothing of other trials.
    let values = |adjoint: &PotentialAdjoint| {
        [&adjoint.current_per_pa, &adjoint.start_u_d_per_mv]
            .map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    assert!(values(&shared) == values(&whole));
    assert!(whole.start_u_d_per_mv.iter().filter(|x| **x != 0.0).count() > n_values / 2);
    assert_eq!(shared_clamped, clamped);
}

/// How many trials fit follows from the adapter's limit alone.
#[test]
fn as_many_trials_run_at_once_as_the_adapter_can_bind() {
    let gpu = Gpu::open(None).unwrap();
    let circuit = Circuit::random(Mode::TwoCompartment, 11);
    let limit = gpu.adapter().max_binding_bytes.min(gpu.adapter().max_buffer_bytes);
    // The ring of arrivals: a word for each slot, class, neuron and trial, in shares of 4 of the 10 trials, not of 8.
    let slots = u64::from(circuit.dynamics.max_delay_steps) + 1;
    let classes = circuit.dynamics.ports.n_classes as u64;
    let n = (limit / (4 * 5 * slots * classes)) as usize;
    let of_neurons = |n: usize| Network {
        neurons: Neurons { model_ix: vec![0; n], cell_type_ix: vec![0; n], ..Neurons::default() },
        ..circuit.network.clone()
    };
    assert_eq!(check_room(&gpu, &of_neurons(1000), &circuit.dynamics, N_TRIALS).unwrap(), N_TRIALS);
    assert_eq!(check_room(&gpu, &of_neurons(n), &circuit.dynamics, N_TRIALS).unwrap(), 4);
    assert_eq!(check_room(&gpu, &of_neurons(n), &circuit.dynamics, 3).unwrap(), 3);
    check_room(&gpu, &of_neurons(3 * n), &circuit.dynamics, N_TRIALS).unwrap_err();
}

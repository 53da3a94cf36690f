//! The simulation on the device: repeats bit for bit, with any distance between checkpoints, in both cell modes.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::circuit::{Circuit, Mode};
use sha2::{Digest, Sha256};
use simrun::gpu::{self, Gpu};
use simrun::network::{Network, Neurons};
use simrun::plan::Plan;
use simrun::setup;
use simrun::sim::{
    LearnWeights, Probe, Settings, Simulation, SourceSpikes, Threads, VoltagePenalty, check_room,
};
use simrun::train::Session;

fn settings(circuit: &Circuit, steps_between_checkpoints: usize, threads: Threads) -> Settings {
    Settings {
        window: 10..circuit.n_steps,
        steps_between_checkpoints,
        voltage: VoltagePenalty { weight: 3.0, x_low: 0.2, x_high: 1.0 },
        learn_weights: LearnWeights::ALL,
        learn_cells: true,
        threads,
        ..Settings::new(circuit.n_steps, circuit.n_trials)
    }
}

/// Counts, weight gradient and cell gradient of one training step, as bits.
fn run(gpu: &Arc<Gpu>, circuit: &Circuit, settings: Settings) -> (Vec<f32>, Vec<u32>, Vec<u64>) {
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
fn checkpoints_blocks_and_repetition_change_no_bit() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    for (mode, n_trials) in [(Mode::Point, 3), (Mode::TwoCompartment, 3), (Mode::TwoCompartment, 10)] {
        let circuit = Circuit::of_trials(mode, 11, n_trials);
        let with = |k, threads| run(&gpu, &circuit, settings(&circuit, k, threads));
        let whole = with(circuit.n_steps, Threads::Few);
        assert!(whole.0.iter().sum::<f32>() > 50.0, "{mode:?}: the circuit is silent");
        assert!(whole.1.iter().filter(|g| **g != 0).count() > 100, "{mode:?}: hardly any gradient");
        assert!(whole.2.iter().filter(|g| **g != 0).count() > 20, "{mode:?}: hardly any cell gradient");
        // With 33 the first segment has one step, fewer than the longest delay.
        for k in [circuit.n_steps, 33, 23, 8] {
            assert!(
                with(k, Threads::Few) == whole,
                "{mode:?}: {k} steps between checkpoints change the result"
            );
        }
        // A record of three trials takes 16 bytes, a packed one of ten 32: blocks of a neuron, and of a few, the last of them smaller.
        for gather_block_bytes in [16, 7 * 32] {
            let blocks = Settings { gather_block_bytes, ..settings(&circuit, 23, Threads::Few) };
            assert!(
                run(&gpu, &circuit, blocks) == whole,
                "{mode:?}: blocks of {gather_block_bytes} bytes change the result"
            );
        }
        // Threads that share a neuron hand on the same spikes and adjoints; only sums over trials are rounded in another order.
        let shared = with(23, Threads::Many);
        assert!(shared == with(8, Threads::Many), "{mode:?}: a thread a trial does not repeat");
        assert_eq!(shared.0, whole.0, "{mode:?}: a thread a trial spikes otherwise");
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-4 * (a.abs() + b.abs()) + 1e-9;
        let weight = |bits: &u32| f64::from(f32::from_bits(*bits));
        assert!(shared.1.iter().zip(&whole.1).all(|(a, b)| near(weight(a), weight(b))), "{mode:?}: weights");
        assert!(
            shared.2.iter().zip(&whole.2).all(|(a, b)| near(f64::from_bits(*a), f64::from_bits(*b))),
            "{mode:?}: cells"
        );
    }
}

/// Number of spikes, and the first words of the SHA-256 of (step, source, trial) of all of them in their order.
fn spike_digest(spikes: impl Iterator<Item = [u32; 3]>) -> (usize, String) {
    let mut hasher = Sha256::new();
    let n = spikes.map(|spike| spike.iter().for_each(|word| hasher.update(word.to_le_bytes()))).count();
    (n, hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// No change of a kernel may change a spike: the digests below were made before the kernels were first rewritten. On software
/// Vulkan alone, which does not fuse a product and a sum; hardware may round otherwise.
#[test]
fn every_spike_is_the_same_as_ever() {
    // Point and two-compartment circuit, with a thread a neuron and a thread a trial; then V1.
    const EXPECTED: [(usize, &str); 5] = [
        (1842, "0ac886f80ee47137"),
        (1842, "0ac886f80ee47137"),
        (1475, "fdaae0359c516cc3"),
        (1475, "fdaae0359c516cc3"),
        (14188, "96f15400199a4359"),
    ];
    let adapters = gpu::list_adapters().unwrap();
    let Some(software) = adapters.iter().find(|adapter| adapter.kind == "software") else {
        assert!(std::env::var_os("CI").is_none(), "no software Vulkan");
        eprintln!("no software Vulkan: NOT CHECKED that every spike is the same as ever");
        return;
    };
    let gpu = Arc::new(Gpu::open(Some(&software.name)).unwrap());
    let of_circuit = |mode, threads| {
        let circuit = Circuit::random(mode, 11);
        let sources = SourceSpikes::Replay(&circuit.source_masks);
        let settings = settings(&circuit, 23, threads);
        let mut simulation =
            Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
        let probe = Probe { sources: true, ..Probe::default() };
        let spikes = simulation.forward_recorded(1, 0, &probe).unwrap().1.spikes;
        spike_digest(spikes.into_iter().map(|s| [s.step, s.neuron, s.trial]))
    };
    let mut digests: Vec<(usize, String)> = [Mode::Point, Mode::TwoCompartment]
        .into_iter()
        .flat_map(|mode| [Threads::Few, Threads::Many].map(|threads| (mode, threads)))
        .map(|(mode, threads)| of_circuit(mode, threads))
        .collect();
    // A piece of mouse V1, whose LGN and background units draw their spikes.
    let file = common::root().join("scenes/v1_4k.ron");
    let set = [
        "network.radius_um=50",
        "network.core_radius_um=25",
        "network.calibration=None",
        "network.lgn.weight_factor=1.8",
        "network.background.weight_factor=2",
        "trials.start=Rest",
        "time.duration_ms=200",
        "evaluate.n_trials=1",
    ];
    let plan = Plan::read(&file, &set.map(str::to_owned)).unwrap();
    let tables = common::tables();
    let built = setup::build(&plan, &tables, &mut |_| ()).unwrap();
    let mut session = Session::new(&plan, &gpu, &tables, built).unwrap();
    let spikes = session.record_trial(3).unwrap().spikes;
    digests.push(spike_digest(spikes.into_iter().map(|(step, source)| [step, source, 3])));
    assert_eq!(digests, EXPECTED.map(|(n, digest)| (n, digest.to_owned())));
}

/// The tape takes what the budget allows, or else what the adapter has room for; neither changes a bit of the gradient.
#[test]
fn the_tape_is_as_long_as_memory_allows() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::random(Mode::TwoCompartment, 11);
    let n_steps = circuit.n_steps;
    let sources = SourceSpikes::Replay(&circuit.source_masks);
    let settings = settings(&circuit, 3, Threads::ByAdapter);
    let mut simulation =
        Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
    let gradient = |simulation: &mut Simulation| {
        let counts = simulation.forward(1, 0).unwrap().spike_counts;
        simulation.adjoint(&counts).unwrap();
        let gradient = simulation.weight_gradient().unwrap();
        gradient.iter().map(|g| g.to_bits()).collect::<Vec<u32>>()
    };
    let first = gradient(&mut simulation);
    let n_spiked = first.iter().filter(|g| **g != 0).count();
    assert!(n_spiked > 100, "hardly any gradient");

    let whole = simulation.fit_tape(1 << 40).unwrap();
    assert_eq!((whole.n_taped, whole.n_steps, whole.refused_bytes), (n_steps, n_steps, None));
    assert!(gradient(&mut simulation) == first, "all on the tape");
    let whole_bytes = gpu.allocated_bytes();

    let short = simulation.fit_tape(whole_bytes - 1).unwrap();
    assert!(short.n_taped < n_steps && short.n_taped > n_steps / 2, "{short:?}");
    assert!(gpu.allocated_bytes() < whole_bytes, "the budget is kept");
    assert!(gradient(&mut simulation) == first, "a byte less than for all");

    gpu.limit_memory(whole_bytes * 3 / 4);
    let refused = simulation.fit_tape(1 << 40).unwrap();
    assert!(refused.n_taped < short.n_taped && refused.n_taped > 3, "{refused:?}");
    assert!(refused.refused_bytes.is_some_and(|bytes| bytes < whole_bytes), "{refused:?}");
    assert!(gradient(&mut simulation) == first, "after the adapter had no room");

    gpu.limit_memory(0);
    let message = simulation.fit_tape(1 << 40).unwrap_err().to_string();
    assert!(message.contains("has no room for") && message.contains("bytes beside the"), "{message}");
}

/// A pass that starts settled goes on where the settling pass stopped: with input that no synapse carries, spike for spike. Segments are
/// recomputed from the same start.
#[test]
fn a_settled_start_is_the_state_that_was_left() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    for mode in [Mode::Point, Mode::TwoCompartment] {
        let mut circuit = Circuit::random(mode, 11);
        let pass = |circuit: &Circuit, k: usize, n_settling: usize| {
            let settings =
                Settings { current: Some(0..circuit.n_steps), ..settings(circuit, k, Threads::Few) };
            let sources = SourceSpikes::Replay(&circuit.source_masks);
            let mut simulation =
                Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
            simulation.set_current(&vec![400.0; circuit.network.neurons.len() * circuit.n_trials]).unwrap();
            if n_settling > 0 {
                simulation.reserve_settled().unwrap();
                simulation.settle(1, 0, n_settling).unwrap();
            }
            let (forward, recording) = simulation.forward_recorded(1, 0, &Probe::default()).unwrap();
            let seeds: Vec<f32> = forward.spike_counts.iter().map(|c| c - 3.0).collect();
            let report = simulation.adjoint(&seeds).unwrap();
            let cells: Vec<u64> = report.cell_gradient.iter().flatten().map(|g| g.to_bits()).collect();
            (forward.spike_counts, recording.spikes, cells)
        };
        let n = 25;
        let whole = pass(&circuit, circuit.n_steps, n);
        assert!(pass(&circuit, 8, n) == whole, "{mode:?}: 8 steps between checkpoints change the result");
        assert!(pass(&circuit, 8, 0).1 != whole.1, "{mode:?}: the start makes no difference");
        // Without synapses nothing is on its way, so nothing is lost.
        circuit.network.rows.weights.fill(0.0);
        let rest = pass(&circuit, 8, 0).1;
        let later =
            rest.iter().filter(|s| s.step as usize >= n).map(|s| (s.step - n as u32, s.neuron, s.trial));
        let settled = pass(&circuit, 8, n).1;
        let first = settled.iter().filter(|s| (s.step as usize) < circuit.n_steps - n);
        let (later, first): (Vec<_>, Vec<_>) =
            (later.collect(), first.map(|s| (s.step, s.neuron, s.trial)).collect());
        assert!(later.len() > 50, "{mode:?}: {} spikes", later.len());
        assert_eq!(later, first, "{mode:?}");
        // Longer than a batch.
        let longer = pass(&circuit, 8, circuit.n_steps + n).1;
        let again = pass(&circuit, 8, circuit.n_steps).1;
        let later =
            again.iter().filter(|s| s.step as usize >= n).map(|s| (s.step - n as u32, s.neuron, s.trial));
        let first = longer.iter().filter(|s| (s.step as usize) < circuit.n_steps - n);
        assert_eq!(later.collect::<Vec<_>>(), first.map(|s| (s.step, s.neuron, s.trial)).collect::<Vec<_>>());
    }
}

/// All of 2,000 neurons spike at once in all of 32 trials onto all others: more iterations of nested loops than Mesa 22.3 carries
/// out, if the usual 256 workgroups shared the rows. All trials are equal, so their gradients add up to 32 times that of one.
#[test]
fn long_rows_with_many_trials_lose_no_edge() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let gradient = |n_trials: usize| {
        let circuit = Circuit::dense(2000, n_trials);
        let settings = Settings {
            window: 0..circuit.n_steps,
            // Pulls on every neuron that is not held, in every trial alike.
            voltage: VoltagePenalty { weight: 1e3 * n_trials as f64, x_low: 0.5, x_high: 1.0 },
            learn_weights: LearnWeights { recurrent: true, ..LearnWeights::default() },
            current: Some(0..1),
            ..settings(&circuit, circuit.n_steps, Threads::ByAdapter)
        };
        let sources = SourceSpikes::Replay(&circuit.source_masks);
        let mut simulation =
            Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
        simulation.set_current(&vec![1e4; 2000 * n_trials]).unwrap();
        let counts = simulation.forward(1, 0).unwrap().spike_counts;
        assert!(counts.iter().all(|count| *count >= 1.0), "not every neuron spikes in every trial");
        simulation.adjoint(&vec![0.0; 2000 * n_trials]).unwrap();
        simulation.weight_gradient().unwrap()
    };
    let (one, many) = (gradient(1), gradient(32));
    assert!(one.iter().filter(|g| **g != 0.0).count() > one.len() / 2, "hardly any gradient");
    for (edge, (one, many)) in one.iter().zip(&many).enumerate() {
        assert!((many - 32.0 * one).abs() <= 1e-5 * many.abs(), "edge {edge}: {many} and 32 x {one}");
    }
}

/// What no adapter can bind is refused by its neurons alone, before a synapse is drawn.
#[test]
fn a_network_without_room_is_refused_before_it_is_built() {
    let gpu = Gpu::open(None).unwrap();
    let circuit = Circuit::random(Mode::TwoCompartment, 11);
    let of_neurons = |n: usize| Network {
        neurons: Neurons { model_ix: vec![0; n], cell_type_ix: vec![0; n], ..Neurons::default() },
        ..circuit.network.clone()
    };
    check_room(&gpu, &of_neurons(1000), &circuit.dynamics, 10).unwrap();
    let error = check_room(&gpu, &of_neurons(20_000_000), &circuit.dynamics, 10).unwrap_err().to_string();
    // 4 of the frame, the dendrite and 12 of the ports, and the counts, of the fewest trials that may run at once.
    let need = 20_000_000_u64 * 4 * 18 * 4;
    assert!(error.contains("state") && error.contains(&need.to_string()), "{error}");
}

#[test]
fn a_profile_counts_the_dispatches_and_edges_of_the_last_segment() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::random(Mode::TwoCompartment, 11);
    let segment = 20;
    let settings = settings(&circuit, segment, Threads::ByAdapter);
    let sources = SourceSpikes::Replay(&circuit.source_masks);
    let mut simulation =
        Simulation::new(&gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
    let forward = simulation.forward(1, 0).unwrap();
    let times = simulation.profile(&vec![1.0; forward.spike_counts.len()]).unwrap();
    let of = |name: &str| times.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no {name}"));
    for name in ["sources", "neuron", "spread", "gather", "weight gradient", "neuron adjoint"] {
        assert_eq!(of(name).n_dispatches, segment, "{name}");
        assert!(of(name).ms > 0.0, "{name}");
    }
    // The rows that spiked, by the recording of the whole run.
    let offsets = &circuit.network.rows.offsets;
    let row = |source: usize| offsets[source + 1] - offsets[source];
    let n = circuit.network.neurons.len();
    let first_step = circuit.n_steps - segment;
    let spikes = simulation.forward_recorded(1, 0, &Probe::default()).unwrap().1.spikes;
    let of_neurons = spikes.iter().filter(|s| s.step as usize >= first_step).map(|s| row(s.neuron as usize));
    let n_units = circuit.source_masks.len() / circuit.n_steps;
    let masks = circuit.source_masks.iter().enumerate().skip(first_step * n_units);
    let of_units = masks.map(|(at, mask)| row(n + at % n_units) * u64::from(mask.count_ones()));
    assert_eq!(of("spread").n_events, of_neurons.sum::<u64>() + of_units.sum::<u64>());
    assert_eq!(of("spread").n_events, of("weight gradient").n_events);
    assert!(of("spread").n_edges < of("spread").n_events && of("gather").n_edges > 0);
    // Profiling leaves no trace in what is computed.
    assert_eq!(simulation.forward(1, 0).unwrap().spike_counts, forward.spike_counts);
}

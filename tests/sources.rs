//! LGN and background spikes on the device against the host's f64 rates and draws, and their state across checkpoints.
// Clippy's exemption for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use common::circuit::{Circuit, Mode, dynamics};
use common::tables;
use simrun::gpu::{BindGroup, Buffer, Gpu, Kernel};
use simrun::model::rng::{self, Stream};
use simrun::network::{Network, Rows, lgn_units, v1_unit_types};
use simrun::sim::layout::{Layout, StepUniform, UNIFORM_STRIDE};
use simrun::sim::shaders::assemble;
use simrun::sim::{
    BatchPlace, LearnWeights, Probe, Settings, Simulation, SourceDrive, SourceFilters, SourceSpikes, Spike,
};
use simrun::stimulus::drive::{Drive, Filters, drive, filters};
use simrun::stimulus::lgn::{LgnUnit, SCREEN_DEG, rates_hz, units};
use simrun::stimulus::{Grating, TrialCondition};

const BACKGROUND_HZ: f64 = 250.0;
const N_BACKGROUND: usize = 100;
const SEED: u64 = 0x1234_5678_9abc_def0;

/// Every 97th of the 17,400 units: all classes, ordered by class.
fn sample_units() -> Vec<LgnUnit> {
    let classes = tables().lgn_units;
    units(&classes, &lgn_units::place(&classes, 3), 3).unwrap().into_iter().step_by(97).collect()
}

/// Grey, and gratings that differ in every field.
fn conditions() -> Vec<TrialCondition> {
    let grating = |k: f64| {
        TrialCondition::Grating(Grating {
            direction_deg: 47.0 * k,
            spatial_frequency_cpd: 0.02 + 0.02 * k,
            temporal_frequency_hz: 1.0 + 4.0 * k,
            contrast: 1.0 - 0.15 * k,
            phase_deg: 70.0 * k,
            onset_ms: 25.0 * k,
        })
    };
    // The last one shares its temporal frequency and onset with the first.
    let TrialCondition::Grating(first) = grating(0.0) else { unreachable!() };
    let turned = TrialCondition::Grating(Grating { direction_deg: 200.0, contrast: 0.5, ..first });
    vec![grating(0.0), TrialCondition::Grey, grating(1.0), grating(2.0), grating(3.0), turned]
}

/// The kernels alone, with their buffers in reach: the draw of one step, and the list of its spikes.
struct Bench {
    gpu: Arc<Gpu>,
    layout: Layout,
    draw: (Kernel, BindGroup),
    list: (Kernel, BindGroup),
    masks: Buffer,
    spikes: Buffer,
    filter_sum: Buffer,
}

fn bench(
    filters: &Filters,
    drive: &Drive,
    n_lgn: usize,
    n_trials: usize,
    dt_ms: f64,
    n_steps: usize,
) -> Bench {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let mut dynamics = dynamics(Mode::Point);
    dynamics.dt_ms = dt_ms;
    // No synapse is asked for, but how many chunks each row has: none to three.
    let ends = (0..=n_lgn + N_BACKGROUND).map(|unit| (0..unit).map(|unit| 400 * (unit as u64 % 4)).sum());
    let network = Network {
        n_lgn,
        n_background: N_BACKGROUND,
        unit_type_ix: v1_unit_types(n_lgn, N_BACKGROUND),
        rows: Rows { offsets: ends.collect(), ..Rows::default() },
        ..Network::default()
    };
    let layout = Layout::new(&network, &dynamics, n_trials, false);
    let kernel = |name: &str| {
        let constants = [("WORKGROUP_SIZE", 64.0), ("STEPS", 1.0)];
        Kernel::new(&gpu, name, &assemble(name, &layout).unwrap(), &constants).unwrap()
    };
    let (draw, list) = (kernel("source_forward"), kernel("source_list_forward"));
    let second = |subfield: usize| filters.second_ix.get(subfield).copied().unwrap_or(u32::MAX);
    let table: Vec<[u32; 2]> =
        filters.baseline_hz.iter().enumerate().map(|(i, hz)| [hz.to_bits(), second(i)]).collect();
    let uniforms: Vec<u8> = (0..n_steps as u32)
        .flat_map(|step| {
            let uniform = StepUniform {
                step,
                spike_step: 1000 + step,
                n_drawn: n_steps as u32,
                seed_low: SEED as u32,
                seed_high: (SEED >> 32) as u32,
                ..StepUniform::default()
            };
            let mut bytes = bytemuck::bytes_of(&uniform).to_vec();
            bytes.resize(UNIFORM_STRIDE, 0);
            bytes
        })
        .collect();
    let uniform = Buffer::uniform(&gpu, "uniform", uniforms.len()).unwrap();
    uniform.write(0, &uniforms);
    let spikes = Buffer::storage(&gpu, "spikes", layout.spikes_words()).unwrap();
    let filter_sum = Buffer::storage(&gpu, "sums", 2 * filters.n_subfields * n_trials).unwrap();
    let masks = Buffer::storage(&gpu, "masks", layout.n_lgn + layout.n_background).unwrap();
    let draw_group = draw
        .bind(&[
            ("step", &uniform),
            ("taps_hz", &Buffer::storage_of(&gpu, "taps", &filters.taps_hz).unwrap()),
            ("subfields", &Buffer::storage_of(&gpu, "subfields", &table).unwrap()),
            ("amplitude", &Buffer::storage_of(&gpu, "amplitude", &drive.amplitude).unwrap()),
            ("group_trials", &Buffer::storage_of(&gpu, "groups", &drive.group_trials).unwrap()),
            ("frames", &Buffer::storage_of(&gpu, "frames", &drive.frames).unwrap()),
            ("filter_sum", &filter_sum),
            ("masks", &masks),
        ])
        .unwrap();
    let tables = Buffer::storage_of(&gpu, "tables", &layout.tables(&network, &dynamics, &[])).unwrap();
    let list_group = list
        .bind(&[("step", &uniform), ("tables", &tables), ("masks", &masks), ("spikes", &spikes)])
        .unwrap();
    Bench { gpu, layout, draw: (draw, draw_group), list: (list, list_group), masks, spikes, filter_sum }
}

impl Bench {
    /// Spikes buffer and K after one step.
    fn step(&self, step: usize) -> (Vec<u32>, Vec<[f32; 2]>) {
        self.spikes.clear();
        self.masks.clear();
        let offset = (step * UNIFORM_STRIDE) as u32;
        let n_blocks = self.layout.n_trials.div_ceil(4);
        self.gpu
            .submit("sources", |pass| {
                for ((kernel, group), n_threads) in [(&self.draw, n_blocks), (&self.list, 1)] {
                    let n_threads = n_threads * self.layout.n_sources();
                    kernel.dispatch(pass, group, offset, kernel.workgroups_for(n_threads));
                }
            })
            .unwrap();
        let n_sums = self.filter_sum.bytes() as usize / 8;
        (self.spikes.read(0, self.layout.spikes_words()).unwrap(), self.filter_sum.read(0, n_sums).unwrap())
    }
}

/// S4 from the sums K that the device holds, Hz.
fn rate_from_sums(
    filters: &Filters,
    drive: &Drive,
    sums: &[[f32; 2]],
    unit: usize,
    step: usize,
    trial: usize,
) -> f64 {
    let n_trials = drive.group_trials.len();
    let group = drive.group_trials.iter().position(|mask| mask >> trial & 1 == 1).unwrap();
    // Each block of four trials has its own K of a group, in the place of the group's first trial in the block.
    let first = (trial / 4 * 4..).find(|t| drive.group_trials[group] >> t & 1 == 1).unwrap();
    let second = filters.second_ix[unit];
    let subfields = std::iter::once(unit).chain((second != u32::MAX).then_some(second as usize));
    subfields
        .map(|subfield| {
            let [cos, sin, ..] = drive.frames[step * n_trials + group].map(f64::from);
            let d = drive.amplitude[trial * filters.n_subfields + subfield].map(f64::from);
            let k = sums[first * filters.n_subfields + subfield].map(f64::from);
            let modulation = (d[0] * cos + d[1] * sin) * k[1] + (d[1] * cos - d[0] * sin) * k[0];
            (f64::from(filters.baseline_hz[subfield]) + modulation).max(0.0)
        })
        .sum()
}

/// Rates from the device's K within 1e-4 of the peak; every drawn bit is the host's unless its random number lies within
/// 1e-4 of the peak probability; the lists hold the sources that spiked; counts have their mean.
#[test]
fn device_meets_host() {
    let (sample, conditions) = (sample_units(), conditions());
    let filters = filters(&sample, N_BACKGROUND, BACKGROUND_HZ);
    let (n_lgn, n_trials) = (sample.len(), conditions.len());
    for (dt_ms, n_steps) in [(1.0, 400), (0.25, 480)] {
        let drive = drive(&sample, N_BACKGROUND, &conditions, filters.n_taps, dt_ms, n_steps, SCREEN_DEG);
        let host: Vec<Vec<f64>> = sample
            .iter()
            .flat_map(|unit| conditions.iter().map(|c| rates_hz(unit, c, dt_ms, n_steps, SCREEN_DEG)))
            .collect();
        let peaks: Vec<f64> = host.iter().map(|rates| rates.iter().copied().fold(0.0, f64::max)).collect();
        let bench = bench(&filters, &drive, n_lgn, n_trials, dt_ms, n_steps);
        let (mut worst, mut near, mut drawn, mut expected, mut variance) = (0.0_f64, 0, 0.0, 0.0, 0.0);
        let mut background_counts = vec![0.0_f64; N_BACKGROUND * n_trials];
        for step in 0..n_steps {
            let (spikes, sums) = bench.step(step);
            let masks = &spikes[bench.layout.spikes_mask()..][..bench.layout.n_sources()];
            for (at, rates) in host.iter().enumerate() {
                let (unit, trial) = (at / n_trials, at % n_trials);
                let rate_hz = rate_from_sums(&filters, &drive, &sums, unit, step, trial);
                worst = worst.max((rate_hz - rates[step]).abs() / peaks[at]);
                let p = rates[step] * 1e-3 * dt_ms;
                let u =
                    rng::uniform(SEED, Stream::SourceSpikes, unit as u32, 1000 + step as u32, trial as u32);
                let bit = masks[unit] >> trial & 1 == 1;
                if bit != (f64::from(u) < p) {
                    near += 1;
                    assert!((f64::from(u) - p).abs() < 1e-7 * dt_ms * peaks[at], "unit {unit} step {step}");
                }
                drawn += f64::from(u8::from(bit));
                expected += p;
                variance += p * (1.0 - p);
            }
            for (at, count) in background_counts.iter_mut().enumerate() {
                *count += f64::from(masks[n_lgn + at / n_trials] >> (at % n_trials) & 1);
            }
            check_list(&bench.layout, &spikes);
        }
        println!("dt {dt_ms} ms: rates within {worst:.1e} of the peak; {near} draws decided by rounding");
        assert!(worst < 1e-4, "rates differ by {worst:.1e} of the peak");
        let z = (drawn - expected) / f64::sqrt(variance);
        assert!(z.abs() < 4.0, "LGN: {drawn} spikes, {expected} expected, z = {z}");
        check_background(&background_counts, BACKGROUND_HZ * 1e-3 * dt_ms, n_steps as f64);
    }
}

/// The list of chunks: exactly those of the sources whose mask is not zero.
fn check_list(layout: &Layout, spikes: &[u32]) {
    let masks = &spikes[layout.spikes_mask()..][..layout.n_sources()];
    let mut listed = spikes[layout.spikes_chunks()..][..spikes[0] as usize].to_vec();
    listed.sort_unstable();
    // Rows of 0, 400, 800 and 1,200 edges in chunks of 512.
    let n_chunks = [0, 1, 2, 3].into_iter().cycle();
    let mut first = 0;
    let mut expected = Vec::new();
    for (mask, n) in masks.iter().zip(n_chunks) {
        if *mask != 0 {
            expected.extend(first..first + n);
        }
        first += n;
    }
    assert_eq!(listed, expected);
}

/// Counts of independent draws of probability `p`: mean, and Fano factor 1 - p.
fn check_background(counts: &[f64], p: f64, n_steps: f64) {
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<f64>() / n;
    let z = (mean - n_steps * p) / (n_steps * p * (1.0 - p) / n).sqrt();
    assert!(z.abs() < 4.0, "background: mean {mean}, z = {z}");
    let fano = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n / mean;
    assert!((fano / (1.0 - p) - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "background: Fano factor {fano}");
}

/// A simulation whose LGN and background spikes are drawn on the device, under these conditions.
fn drawing(
    gpu: &Arc<Gpu>,
    circuit: &Circuit,
    sample: &[LgnUnit],
    conditions: &[TrialCondition],
    steps_between_checkpoints: usize,
) -> Simulation {
    let whole = BatchPlace { first: 0, n_all: conditions.len() };
    drawing_part(gpu, circuit, sample, conditions, steps_between_checkpoints, whole, conditions.len())
}

/// The same of a part of a batch, of which so many trials run at once; the conditions are the part's.
fn drawing_part(
    gpu: &Arc<Gpu>,
    circuit: &Circuit,
    sample: &[LgnUnit],
    conditions: &[TrialCondition],
    steps_between_checkpoints: usize,
    of_batch: BatchPlace,
    trials_at_once: usize,
) -> Simulation {
    let n_background = circuit.network.n_background;
    let filters = filters(sample, n_background, BACKGROUND_HZ);
    let sources = SourceSpikes::Drawn(SourceFilters {
        taps_hz: &filters.taps_hz,
        baseline_hz: &filters.baseline_hz,
        second_ix: &filters.second_ix,
    });
    let settings = Settings {
        steps_between_checkpoints,
        learn_weights: LearnWeights::ALL,
        of_batch,
        trials_at_once,
        ..Settings::new(circuit.n_steps, conditions.len())
    };
    let mut simulation =
        Simulation::new(gpu, &circuit.network, &circuit.dynamics, sources, settings).unwrap();
    let nothing = SourceDrive { amplitude: &[], group_trials: &[], frames: &[] };
    assert!(simulation.set_stimulus(&nothing).is_err(), "a stimulus of another shape");
    let drive = drive(sample, n_background, conditions, filters.n_taps, 1.0, circuit.n_steps, SCREEN_DEG);
    let Drive { amplitude, group_trials, frames } = &drive;
    simulation.set_stimulus(&SourceDrive { amplitude, group_trials, frames }).unwrap();
    simulation
}

/// Counts and bits of the weight gradient of one training step of such a simulation.
fn train(
    gpu: &Arc<Gpu>,
    circuit: &Circuit,
    sample: &[LgnUnit],
    conditions: &[TrialCondition],
    steps_between_checkpoints: usize,
    presentation: u32,
) -> (Vec<f32>, Vec<u32>) {
    let mut simulation = drawing(gpu, circuit, sample, conditions, steps_between_checkpoints);
    let counts = simulation.forward(SEED, presentation).unwrap().spike_counts;
    let seeds: Vec<f32> = counts.iter().map(|c| c - 2.0).collect();
    simulation.adjoint(&seeds).unwrap();
    (counts, simulation.weight_gradient().unwrap().iter().map(|g| g.to_bits()).collect())
}

/// More steps than one dispatch draws, and more trials than one thread: every spike is the host's, unless its random number lies close to
/// the probability.
#[test]
fn long_trials_are_drawn_in_parts() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let mut circuit = Circuit::random(Mode::TwoCompartment, 5);
    let conditions = conditions();
    (circuit.n_steps, circuit.n_trials) = (2200, conditions.len());
    let n_lgn = circuit.network.n_lgn;
    let sample: Vec<LgnUnit> = sample_units().into_iter().step_by(11).take(n_lgn).collect();
    assert_eq!(sample.len(), n_lgn);
    let mut simulation = drawing(&gpu, &circuit, &sample, &conditions, 200);
    let probe = Probe { sources: true, ..Probe::default() };
    let (_, recording) = simulation.forward_recorded(SEED, 2, &probe).unwrap();
    let n = circuit.network.neurons.len() as u32;
    let drawn: HashSet<(u32, u32, u32)> =
        recording.spikes.iter().filter(|s| s.neuron >= n).map(|s| (s.neuron - n, s.step, s.trial)).collect();
    assert!(drawn.iter().any(|(_, step, _)| *step >= 2100), "no spikes in the last part");
    let mut n_near = 0;
    for (unit_ix, unit) in sample.iter().enumerate() {
        for (trial, condition) in conditions.iter().enumerate() {
            let rates = rates_hz(unit, condition, 1.0, circuit.n_steps, SCREEN_DEG);
            let peak = rates.iter().copied().fold(0.0, f64::max);
            for (step, rate_hz) in rates.iter().enumerate() {
                let at = (unit_ix as u32, step as u32, trial as u32);
                let draw_step = (2 * circuit.n_steps + step) as u32;
                let u = rng::uniform(SEED, Stream::SourceSpikes, n + at.0, draw_step, at.2);
                if drawn.contains(&at) != (f64::from(u) < rate_hz * 1e-3) {
                    assert!((f64::from(u) - rate_hz * 1e-3).abs() < 1e-7 * peak, "{at:?}");
                    n_near += 1;
                }
            }
        }
    }
    assert!(n_near < 10, "{n_near} draws decided by rounding");
}

/// Trials draw by their number in the batch, whoever simulates which of them: cuts within and between the blocks of four that share
/// random words, with and without trials that run one share after another.
#[test]
fn parts_of_a_batch_draw_its_spikes() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let mut circuit = Circuit::random(Mode::TwoCompartment, 5);
    let conditions = conditions().repeat(2);
    circuit.n_trials = conditions.len();
    let sample: Vec<LgnUnit> = sample_units().into_iter().step_by(11).take(circuit.network.n_lgn).collect();
    let spikes = |part: Range<usize>, at_once: usize| -> Vec<(u32, u32, u32)> {
        let place = BatchPlace { first: part.start, n_all: conditions.len() };
        let mut simulation =
            drawing_part(&gpu, &circuit, &sample, &conditions[part.clone()], 20, place, at_once);
        let probe = Probe { sources: true, ..Probe::default() };
        let (_, recording) = simulation.forward_recorded(SEED, 1, &probe).unwrap();
        let of_batch = |s: &Spike| (part.start as u32 + s.trial, s.step, s.neuron);
        recording.spikes.iter().map(of_batch).collect()
    };
    let sorted = |mut spikes: Vec<(u32, u32, u32)>| {
        spikes.sort_unstable();
        spikes
    };
    let whole = sorted(spikes(0..12, 12));
    assert!((0..12).all(|trial| whole.iter().filter(|s| s.0 == trial).count() > 20), "hardly a spike");
    for cuts in [vec![0, 6, 12], vec![0, 4, 8, 12], vec![0, 3, 7, 9, 12], vec![0, 1, 12]] {
        for at_once in [4, 12] {
            let parts = cuts.windows(2).flat_map(|cut| spikes(cut[0]..cut[1], at_once)).collect();
            assert!(sorted(parts) == whole, "{cuts:?}, {at_once} trials at once");
        }
    }
}

/// The weight gradient sees every LGN spike of the recomputed segments: equal bits mean equal spikes.
#[test]
fn recomputed_segments_draw_the_same_spikes() {
    let gpu = Arc::new(Gpu::open(None).unwrap());
    let circuit = Circuit::random(Mode::TwoCompartment, 5);
    // One unit of each class would be the circuit's 14; these are spread over the classes in the same way.
    let all = sample_units();
    let sample: Vec<LgnUnit> = (0..circuit.network.n_lgn)
        .map(|i| all[i * (all.len() - 1) / (circuit.network.n_lgn - 1)].clone())
        .collect();
    assert!(sample.iter().any(|u| u.second.is_some()));
    let conditions = conditions()[..circuit.n_trials].to_vec();
    let whole = train(&gpu, &circuit, &sample, &conditions, circuit.n_steps, 0);
    assert!(whole.0.iter().sum::<f32>() > 50.0, "the circuit is silent");
    assert!(whole.1.iter().filter(|g| **g != 0).count() > 100, "hardly any gradient");
    // With 33 the first segment has one step, fewer than the longest delay.
    for k in [circuit.n_steps, 33, 23, 8] {
        assert!(train(&gpu, &circuit, &sample, &conditions, k, 0) == whole, "{k} steps between checkpoints");
    }
    assert!(
        train(&gpu, &circuit, &sample, &conditions, 23, 1).0 != whole.0,
        "presentations share their spikes"
    );
    let grey = vec![TrialCondition::Grey; circuit.n_trials];
    assert!(train(&gpu, &circuit, &sample, &grey, 23, 0).0 != whole.0, "the stimulus has no effect");
}

//! The electrophysiology term (L3): paired recordings from edges of the network, with the kernels that the network runs on.
//!
//! The rig is a small simulation. Each recorded edge has a stimulator, which spikes once and has the cell type of the edge's
//! source, and a copy of the edge's target, isolated, held at the holding potential of the recordings and unable to spike.
//! Trial 1 has the spike, trial 0 has not; the deflection is their difference. Which edges are recorded is drawn anew in every
//! training step; held-out pairs are recorded too, and enter evaluation only.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::gpu::Gpu;
use crate::loss::electrophysiology::{LogStatistics, PairTarget, log_peaks, log_statistics, pair_term};
use crate::loss::statistics::Quantiles;
use crate::model::Dynamics;
use crate::model::cell::N_CELL_PARAMETERS;
use crate::model::kinetics::Ports;
use crate::model::psp::{holding_potential_mv, unit_psp};
use crate::model::rng::{Stream, uniform_f64, words};
use crate::network::tables::{PROBABILITIES, Tables};
use crate::network::{
    CLASS_OF_SOURCE_TYPE, CellModel, N_CELL_TYPES, Network, Neurons, Rows, pack_target, target_delay_steps,
    target_neuron,
};
use crate::plan::Plan;
use crate::scene::{AmplitudeScene, CellsScene, ElectrophysiologyLossScene, PortsScene};
use crate::setup;
use crate::sim::{
    EdgeSample, LearnWeights, NeuronThreads, PotentialSeeds, Probe, Settings, Simulation, SourceSpikes,
    VoltagePenalty,
};

/// Length of a recording after the spike, ms.
const RECORDING_MS: f64 = 50.0;
/// Current that makes the stimulator spike in the first step, pA.
const STIMULUS_PA: f32 = 1e6;
/// What puts the threshold of the recorded cells out of reach, mV.
const OUT_OF_REACH_MV: f64 = 1e3;
/// Index of the threshold in `model::cell::CELL_PARAMETERS`.
const THRESHOLD: usize = 1;
/// Trials: without and with the spike.
const N_TRIALS: usize = 2;
/// Most steps that are kept on the device at once.
const SEGMENT_STEPS: usize = 512;

/// A measured pair of cell groups and the edges of the network that it stands for.
struct MeasuredPair {
    source: String,
    target: String,
    n_recorded: usize,
    held_out: bool,
    law: PairTarget,
    /// Edges of the network.
    edges: Vec<u32>,
    /// Its places among the recorded edges.
    places: Range<usize>,
}

/// A recorded edge.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    edge_ix: usize,
    source_type: usize,
    target: usize,
}

/// Peaks of all recorded edges.
struct Peaks {
    /// Largest deflection, signed, mV.
    mv: Vec<f64>,
    /// The step that it follows.
    steps: Vec<u32>,
}

/// The rig with its pairs.
pub(super) struct Assay {
    weight: f64,
    seed: u64,
    dynamics: Dynamics,
    cell_models: Vec<CellModel>,
    neuron_model_ix: Vec<u16>,
    neuron_cell_type_ix: Vec<u8>,
    /// First edge of each neuron's row, and the end of the last.
    offsets: Vec<u64>,
    targets: Vec<u32>,
    pairs: Vec<MeasuredPair>,
    exact_ports: Ports,
    delays_ms: Vec<[f64; N_CELL_TYPES]>,
    rig: Simulation,
    sample: EdgeSample,
}

/// What a training step's recordings gave.
pub(super) struct AssayStep {
    /// Value of the term, its weight included.
    pub value: f64,
    /// Gradient of the learned offsets of each cell model.
    pub cell_gradient: Vec<[f64; N_CELL_PARAMETERS]>,
}

/// A measured pair of cell groups beside the network's recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairErrors {
    /// Presynaptic group of `scenes/v1/psp_measured.csv`.
    pub source: String,
    /// Postsynaptic group.
    pub target: String,
    /// Whether training never saw it.
    pub held_out: bool,
    /// Pairs recorded in tissue.
    pub n_recorded: usize,
    /// Mean and standard deviation of ln(peak/mV) there.
    pub recorded_log_mean: f64,
    /// See `recorded_log_mean`.
    pub recorded_log_sd: f64,
    /// Edges of the network that were recorded; those without a deflection are not in `model`.
    pub n_sampled: usize,
    /// The same of the network's edges.
    pub model: LogStatistics,
    /// Quantiles of the logarithms of its peaks (mV) at the probabilities of [`PROBABILITIES`]; empty without peaks, and in a file
    /// of an earlier version.
    #[serde(default)]
    pub log_quantiles: Vec<f64>,
    /// Median time from the presynaptic spike to the peak, ms.
    pub time_to_peak_ms: f64,
    /// What the measured latencies and kinetics make of it on the same cells, ms: median.
    pub measured_time_to_peak_ms: f64,
}

impl Assay {
    /// Sets the rig up for a network that lies on the device as `simulation`. None if no measured pair has an edge.
    ///
    /// # Errors
    /// [`crate::Error::AdapterTooSmall`] and [`crate::Error::Device`], as of any simulation.
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        plan: &Plan,
        scene: &ElectrophysiologyLossScene,
        tables: &Tables,
        network: &Network,
        dynamics: &Dynamics,
        simulation: &Simulation,
    ) -> Result<Option<Self>> {
        let pairs = measured_pairs(scene, tables, network);
        let n_pairs = pairs.last().map_or(0, |pair| pair.places.end);
        if n_pairs == 0 {
            return Ok(None);
        }
        let n_neurons = network.neurons.len();
        let n_edges = network.rows.offsets[n_neurons] as usize;
        let settings = rig_settings(simulation.settings(), dynamics);
        let rig =
            Simulation::new(gpu, &rig_network(network, n_pairs), dynamics, SourceSpikes::None, settings)?;
        let sample = EdgeSample::new(gpu, simulation, &rig)?;
        let exact = CellsScene { ports: PortsScene::Exact, ..plan.scene.cells.clone() };
        Ok(Some(Self {
            weight: scene.weight,
            seed: plan.scene.seed,
            dynamics: dynamics.clone(),
            cell_models: network.cell_models.clone(),
            neuron_model_ix: network.neurons.model_ix.clone(),
            neuron_cell_type_ix: network.neurons.cell_type_ix.clone(),
            offsets: network.rows.offsets[..=n_neurons].to_vec(),
            targets: network.rows.targets[..n_edges].to_vec(),
            pairs,
            exact_ports: setup::ports(&exact, tables),
            delays_ms: (0..N_CELL_TYPES)
                .map(|source| std::array::from_fn(|target| tables.delay_ms(source, target)))
                .collect(),
            rig,
            sample,
        }))
    }

    /// Records a new sample of edges and adds `factor` times the term's gradient to the weights' gradients of `simulation`.
    ///
    /// # Errors
    /// Those of the rig's forward and adjoint passes.
    pub(super) fn step(
        &mut self,
        simulation: &Simulation,
        theta: &[[f64; N_CELL_PARAMETERS]],
        training_step: u32,
        factor: f64,
    ) -> Result<AssayStep> {
        let recorded = self.choose(self.seed, training_step);
        let (rig_theta, hold_u_mv, peaks) = self.record(simulation, theta, &recorded)?;
        let n_pairs = recorded.len();
        let mut by_peak = vec![0.0; n_pairs];
        let mut value = 0.0;
        for pair in self.pairs.iter().filter(|pair| !pair.held_out) {
            let places = pair.places.clone();
            value += pair_term(&pair.law, &peaks.mv[places.clone()], &mut by_peak[places]);
        }
        let scale = self.weight * factor;
        let mut seeds = PotentialSeeds {
            steps: vec![0; 2 * N_TRIALS * n_pairs],
            values: vec![0.0; 2 * N_TRIALS * n_pairs],
        };
        for (i, (by_peak, step)) in by_peak.iter().zip(&peaks.steps).enumerate() {
            let at = N_TRIALS * (n_pairs + i);
            seeds.steps[at..at + N_TRIALS].fill(*step);
            seeds.values[at] = -(scale * by_peak) as f32;
            seeds.values[at + 1] = (scale * by_peak) as f32;
        }
        let adjoint = self.rig.adjoint_of_potentials(&seeds)?;
        self.sample.add_gradients(simulation)?;
        let n_models = self.cell_models.len();
        let mut cell_gradient = vec![[0.0; N_CELL_PARAMETERS]; n_models];
        if self.rig.settings().learn_cells {
            let held = self.rig.held_gradient(&rig_theta, &hold_u_mv, &adjoint);
            let parts = adjoint.report.cell_gradient.iter().zip(&held);
            for (sum, (own, held)) in cell_gradient.iter_mut().zip(parts) {
                for k in 0..N_CELL_PARAMETERS {
                    sum[k] = own[k] + held[k];
                }
            }
        }
        Ok(AssayStep { value: scale * value, cell_gradient })
    }

    /// Records `n_samples` samples of the network as it is and puts them beside what was measured.
    ///
    /// # Errors
    /// Those of the rig's forward pass.
    pub(super) fn evaluate(
        &mut self,
        simulation: &Simulation,
        theta: &[[f64; N_CELL_PARAMETERS]],
        seed: u64,
        n_samples: u32,
    ) -> Result<Vec<PairErrors>> {
        let mut peaks_mv = vec![Vec::new(); self.pairs.len()];
        let mut times_ms = vec![Vec::new(); self.pairs.len()];
        let mut measured_ms = vec![Vec::new(); self.pairs.len()];
        for sample in 0..n_samples {
            let recorded = self.choose(seed, sample);
            let (_, _, peaks) = self.record(simulation, theta, &recorded)?;
            for (k, pair) in self.pairs.iter().enumerate() {
                for i in pair.places.clone() {
                    peaks_mv[k].push(peaks.mv[i]);
                    // The spike is at the end of step 0.
                    times_ms[k].push(f64::from(peaks.steps[i]) * self.dynamics.dt_ms);
                    measured_ms[k].push(self.measured_time_to_peak_ms(&recorded[i]));
                }
            }
        }
        let errors = self.pairs.iter().enumerate().map(|(k, pair)| PairErrors {
            source: pair.source.clone(),
            target: pair.target.clone(),
            held_out: pair.held_out,
            n_recorded: pair.n_recorded,
            recorded_log_mean: pair.law.log_mean,
            recorded_log_sd: pair.law.log_sd,
            n_sampled: peaks_mv[k].len(),
            model: log_statistics(&peaks_mv[k]),
            log_quantiles: Quantiles::of_sample(&log_peaks(&peaks_mv[k]))
                .map_or_else(Vec::new, |own| PROBABILITIES.map(|p| own.value_at(p)).to_vec()),
            time_to_peak_ms: median(&mut times_ms[k]),
            measured_time_to_peak_ms: median(&mut measured_ms[k]),
        });
        Ok(errors.collect())
    }

    /// Latency plus the time to peak of the unit PSP of the measured kinetics on the edge's target.
    fn measured_time_to_peak_ms(&self, recorded: &Recorded) -> f64 {
        let cell = &self.cell_models[usize::from(self.neuron_model_ix[recorded.target])];
        let class_ix = CLASS_OF_SOURCE_TYPE[recorded.source_type];
        let hold_mv = holding_potential_mv(class_ix);
        let psp = unit_psp(cell, self.dynamics.mode, &self.exact_ports, class_ix, hold_mv);
        self.delays_ms[recorded.source_type][cell.cell_type_ix] + psp.time_to_peak_ms
    }

    /// Draws the edges to record, without replacement within a measured pair (Floyd's algorithm), `[places]`.
    fn choose(&self, seed: u64, draw: u32) -> Vec<Recorded> {
        let mut recorded = Vec::new();
        for (pair_ix, pair) in self.pairs.iter().enumerate() {
            let (n, k) = (pair.edges.len(), pair.places.len());
            let mut chosen = BTreeSet::new();
            for (place, last) in (n - k..n).enumerate() {
                let [a, b, ..] = words(seed, Stream::Pairs, pair_ix as u32, draw, place as u32);
                let drawn = ((uniform_f64(a, b) * (last + 1) as f64) as usize).min(last);
                if !chosen.insert(drawn) {
                    chosen.insert(last);
                }
            }
            recorded.extend(chosen.into_iter().map(|i| {
                let edge_ix = pair.edges[i] as usize;
                let source = self.offsets.partition_point(|first| *first <= edge_ix as u64) - 1;
                Recorded {
                    edge_ix,
                    source_type: usize::from(self.neuron_cell_type_ix[source]),
                    target: target_neuron(self.targets[edge_ix]) as usize,
                }
            }));
        }
        recorded
    }

    /// Records the given edges: the rig's learned offsets, its holding potentials, the peaks.
    fn record(
        &mut self,
        simulation: &Simulation,
        theta: &[[f64; N_CELL_PARAMETERS]],
        recorded: &[Recorded],
    ) -> Result<(Vec<[f64; N_CELL_PARAMETERS]>, Vec<f64>, Peaks)> {
        let n_pairs = recorded.len();
        let neurons = self.rig_neurons(recorded);
        let targets: Vec<u32> = recorded
            .iter()
            .enumerate()
            .map(|(i, r)| pack_target((n_pairs + i) as u32, target_delay_steps(self.targets[r.edge_ix])))
            .collect();
        self.rig.exchange_neurons(&neurons, &targets)?;
        let mut rig_theta = theta.to_vec();
        rig_theta.iter_mut().for_each(|theta| theta[THRESHOLD] += OUT_OF_REACH_MV);
        rig_theta.push([0.0; N_CELL_PARAMETERS]);
        self.rig.set_cell_parameters(&rig_theta);
        let mut hold_u_mv = vec![0.0; 2 * n_pairs * N_TRIALS];
        let mut extra_pa = vec![0.0; 2 * n_pairs * N_TRIALS];
        for (i, recorded) in recorded.iter().enumerate() {
            extra_pa[N_TRIALS * i + 1] = STIMULUS_PA;
            let cell = &self.cell_models[usize::from(self.neuron_model_ix[recorded.target])];
            let hold_mv = holding_potential_mv(CLASS_OF_SOURCE_TYPE[recorded.source_type]);
            let at = N_TRIALS * (n_pairs + i);
            hold_u_mv[at..at + N_TRIALS].fill(hold_mv.map_or(0.0, |v| v - cell.e_l_mv));
        }
        self.rig.set_held(&rig_theta, &hold_u_mv, &extra_pa)?;
        let edges: Vec<u32> = recorded.iter().map(|r| r.edge_ix as u32).collect();
        self.sample.fetch_weights(simulation, &mut self.rig, &edges)?;
        let (_, recording) = self.rig.forward_recorded(0, 0, &Probe::potentials(n_pairs..2 * n_pairs))?;
        Ok((rig_theta, hold_u_mv, peaks(&recording.u_s_mv, n_pairs)))
    }

    /// Stimulators with the sources' cell types, then copies of the targets.
    fn rig_neurons(&self, recorded: &[Recorded]) -> Neurons {
        let stimulator = self.cell_models.len() as u16;
        let mut neurons = Neurons::default();
        for recorded in recorded {
            neurons.model_ix.push(stimulator);
            neurons.cell_type_ix.push(recorded.source_type as u8);
        }
        for recorded in recorded {
            neurons.model_ix.push(self.neuron_model_ix[recorded.target]);
            neurons.cell_type_ix.push(self.neuron_cell_type_ix[recorded.target]);
        }
        neurons
    }
}

/// The measured pairs that have edges, with their laws and their places in the rig.
fn measured_pairs(
    scene: &ElectrophysiologyLossScene,
    tables: &Tables,
    network: &Network,
) -> Vec<MeasuredPair> {
    let held_out = tables.held_out_psps();
    let mut edges = vec![Vec::new(); tables.psp_measured.len()];
    let n_neurons = network.neurons.len();
    for source in 0..n_neurons {
        let of_source = &tables.psp_pair_ix[usize::from(network.neurons.cell_type_ix[source])];
        let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
        for edge in row {
            edges[of_source[network.neurons.target_cell_type(network.rows.targets[edge])]].push(edge as u32);
        }
    }
    let mut pairs = Vec::new();
    let mut first = 0;
    for ((measured, edges), held_out) in tables.psp_measured.iter().zip(edges).zip(held_out) {
        if edges.is_empty() {
            continue;
        }
        let psp = match scene.amplitude {
            AmplitudeScene::Resting => measured.rest,
            AmplitudeScene::Percentile90 => measured.p90,
        };
        let last = first + edges.len().min(scene.pairs_per_type as usize);
        pairs.push(MeasuredPair {
            source: measured.source.clone(),
            target: measured.target.clone(),
            n_recorded: psp.n_pairs,
            held_out,
            law: PairTarget {
                log_mean: psp.lognormal_scale_mv.ln(),
                log_sd: psp.lognormal_shape,
                share: 0.0,
            },
            edges,
            places: first..last,
        });
        first = last;
    }
    let in_term = |pair: &&mut MeasuredPair| !pair.held_out;
    let total: usize = pairs.iter_mut().filter(in_term).map(|pair| pair.n_recorded).sum();
    for pair in pairs.iter_mut().filter(in_term) {
        pair.law.share = pair.n_recorded as f64 / total as f64;
    }
    pairs
}

/// The rig always has gradients of its weights; they are added where the network has some.
fn rig_settings(of_network: &Settings, dynamics: &Dynamics) -> Settings {
    let n_steps = 1 + (RECORDING_MS / dynamics.dt_ms).round() as usize;
    Settings {
        n_trials: N_TRIALS,
        n_steps,
        window: 0..n_steps,
        steps_between_checkpoints: SEGMENT_STEPS.max(dynamics.max_delay_steps as usize).min(n_steps),
        voltage: VoltagePenalty::default(),
        learn_weights: LearnWeights { recurrent: true, ..LearnWeights::default() },
        learn_cells: of_network.learn_cells,
        current: Some(0..n_steps),
        potential_seeds: true,
        groups: Vec::new(),
        neuron_threads: NeuronThreads::default(),
    }
}

/// A network of the rig's shape: which cells and edges is told before every recording.
fn rig_network(network: &Network, n_pairs: usize) -> Network {
    let stimulator = CellModel {
        id: 0,
        population_ix: 0,
        cell_type_ix: 0,
        v_th_mv: -50.0,
        e_l_mv: -70.0,
        v_reset_mv: -70.0,
        g_ns: 10.0,
        c_m_pf: 100.0,
        // Longer than any recording: one spike.
        t_ref_ms: 1e4,
        asc_amp_pa: [0.0; 2],
        asc_decay_per_ms: [0.1, 0.1],
    };
    let mut cell_models = network.cell_models.clone();
    cell_models.push(stimulator);
    let n = 2 * n_pairs;
    Network {
        populations: network.populations.clone(),
        cell_models,
        neurons: Neurons { model_ix: vec![0; n], cell_type_ix: vec![0; n], ..Neurons::default() },
        vocabulary: network.vocabulary.clone(),
        rows: Rows {
            offsets: (0..=n).map(|source| source.min(n_pairs) as u64).collect(),
            targets: (n_pairs..n).map(|target| pack_target(target as u32, 1)).collect(),
            weights: vec![0.0; n_pairs],
        },
        ..Network::default()
    }
}

/// Largest deflection of each recorded cell: trial 1 less trial 0, `[n_steps][n_pairs][N_TRIALS]` mV.
fn peaks(u_s_mv: &[f32], n_pairs: usize) -> Peaks {
    let mut peaks = Peaks { mv: vec![0.0; n_pairs], steps: vec![0; n_pairs] };
    for (step, cells) in u_s_mv.chunks_exact(N_TRIALS * n_pairs).enumerate() {
        for (i, trials) in cells.chunks_exact(N_TRIALS).enumerate() {
            let deflection_mv = f64::from(trials[1]) - f64::from(trials[0]);
            if deflection_mv.abs() > peaks.mv[i].abs() {
                peaks.mv[i] = deflection_mv;
                peaks.steps[i] = step as u32;
            }
        }
    }
    peaks
}

/// The middle of some values; NaN for none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

#[cfg(test)]
mod tests;

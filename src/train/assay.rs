//! The electrophysiology term (L3): paired recordings from edges of the network, with the kernels that the network runs on.
//!
//! The rig is a small simulation. Each recorded edge has a stimulator, which spikes once and has the cell type of the edge's
//! source, and a copy of the edge's target, isolated, clamped to the holding potential of the recordings and unable to spike.
//! Trial 1 has the spike, trial 0 has not; the deflection is their difference. Which edges are recorded is drawn anew in every
//! training step; held-out pairs are recorded too, and enter evaluation only.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::loss::electrophysiology::{MeasuredPair, log_peaks, log_statistics};
use crate::loss::statistics::Quantiles;
use crate::model::kinetics::Ports;
use crate::model::membrane::{N_CELL_PARAMETERS, THRESHOLD};
use crate::model::psp::{holding_potential_mv, unit_psp};
use crate::model::rng::{Stream, uniform_f64, words};
use crate::model::{Damping, Dynamics};
use crate::network::tables::{PROBABILITIES, Tables};
use crate::network::{
    CLASS_OF_SOURCE_TYPE, CellModel, N_CELL_TYPES, Network, Neurons, Rows, pack_target, target_delay_steps,
    target_neuron,
};
use crate::patch::{N_TRIALS, OUT_OF_REACH_MV, SEGMENT_STEPS, deflections_mv};
use crate::plan::Plan;
use crate::results::PairErrors;
use crate::scene::{CellsScene, PortsScene};
use crate::setup;
use crate::sim::{EdgeSample, LearnWeights, PotentialSeeds, Probe, Settings, Simulation, SourceSpikes};

/// Length of a recording after the spike, ms.
const RECORDING_MS: f64 = 50.0;
/// Current that makes the stimulator spike in the first step, pA.
const STIMULUS_PA: f32 = 1e6;

/// A recorded edge.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    edge_ix: usize,
    source_type: usize,
    target: usize,
}

/// Edges that the rig is set up to record.
struct Prepared {
    recorded: Vec<Recorded>,
    /// Learned offsets of the rig's cell models.
    theta: Vec<[f64; N_CELL_PARAMETERS]>,
    /// Potential above E_L to which each cell of the rig is clamped in each trial, mV.
    hold_u_mv: Vec<f64>,
}

/// What a recording of all chosen edges found, and what its adjoint pass needs.
struct Recording {
    /// Largest deflection of each, signed, mV.
    peaks_mv: Vec<f64>,
    /// The step that it follows.
    steps: Vec<u32>,
    /// Learned offsets of the rig's cell models.
    theta: Vec<[f64; N_CELL_PARAMETERS]>,
    /// Potential above E_L to which each cell of the rig is clamped in each trial, mV.
    hold_u_mv: Vec<f64>,
}

/// The rig with its pairs.
pub(super) struct Assay {
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
    /// The edges of the training step in hand, until they are recorded.
    prepared: Option<Prepared>,
    /// The recordings of the training step in hand.
    recording: Option<Recording>,
}

impl Assay {
    /// Sets the rig up for a network that lies on the device as `simulation`, and pairs that have edges in it. None without pairs.
    ///
    /// # Errors
    /// [`crate::Error::AdapterTooSmall`] and [`crate::Error::Device`], as of any simulation.
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        plan: &Plan,
        pairs: Vec<MeasuredPair>,
        tables: &Tables,
        network: &Network,
        dynamics: &Dynamics,
        simulation: &Simulation,
    ) -> Result<Option<Self>> {
        let Some(last) = pairs.last() else { return Ok(None) };
        let n_recordings = last.places.end;
        let n_neurons = network.neurons.len();
        let n_edges = network.rows.offsets[n_neurons] as usize;
        // In the rig no spike is sent on and nothing grows: its adjoint is exact.
        let dynamics = &Dynamics { damping: Damping::default(), ..dynamics.clone() };
        let settings = rig_settings(simulation.settings(), dynamics);
        let rig = Simulation::new(
            gpu,
            &rig_network(network, n_recordings),
            dynamics,
            SourceSpikes::None,
            settings,
        )?;
        let sample = EdgeSample::new(gpu, simulation, &rig)?;
        let exact = CellsScene { ports: PortsScene::Exact, ..plan.scene.cells.clone() };
        Ok(Some(Self {
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
            prepared: None,
            recording: None,
        }))
    }

    /// Sets the rig up for the sample of edges of a training step. Host work alone: the device may be busy with the network.
    ///
    /// # Errors
    /// A rig of another shape.
    pub(super) fn prepare_step(
        &mut self,
        theta: &[[f64; N_CELL_PARAMETERS]],
        training_step: u32,
    ) -> Result<()> {
        let edges = self.choose(self.seed, training_step);
        self.prepared = Some(self.prepare(theta, edges)?);
        Ok(())
    }

    /// Records the edges of the last [`Self::prepare_step`] from the network as it is: the largest deflection of each, signed, mV.
    ///
    /// # Errors
    /// Those of the rig's forward pass; [`Error::Failed`] if nothing was prepared.
    pub(super) fn record_step(&mut self, simulation: &Simulation) -> Result<Vec<f64>> {
        let Some(prepared) = self.prepared.take() else {
            return Err(Error::Failed("no paired recordings were prepared".to_owned()));
        };
        let recording = self.record(simulation, prepared)?;
        let peaks_mv = recording.peaks_mv.clone();
        self.recording = Some(recording);
        Ok(peaks_mv)
    }

    /// Adds the gradient of a loss with these derivatives by the peaks of the last [`Self::record_step`], 1/mV, to the gradients of the
    /// weights of `simulation`; the gradient of the learned offsets of each cell model.
    ///
    /// # Errors
    /// Those of the rig's adjoint pass; [`Error::Failed`] without a recording.
    pub(super) fn adjoint(
        &mut self,
        simulation: &Simulation,
        by_peak: &[f64],
    ) -> Result<Vec<[f64; N_CELL_PARAMETERS]>> {
        let Some(Recording { steps, theta, hold_u_mv, .. }) = &self.recording else {
            return Err(Error::Failed("no paired recordings to go back from".to_owned()));
        };
        let n_recordings = by_peak.len();
        let mut seeds = PotentialSeeds {
            steps: vec![0; 2 * N_TRIALS * n_recordings],
            values: vec![0.0; 2 * N_TRIALS * n_recordings],
        };
        for (i, (by_peak, step)) in by_peak.iter().zip(steps).enumerate() {
            let at = N_TRIALS * (n_recordings + i);
            seeds.steps[at..at + N_TRIALS].fill(*step);
            seeds.values[at] = -by_peak as f32;
            seeds.values[at + 1] = *by_peak as f32;
        }
        let adjoint = self.rig.adjoint_of_potentials(&seeds)?;
        self.sample.add_gradients(simulation)?;
        let mut cell_gradient = vec![[0.0; N_CELL_PARAMETERS]; self.cell_models.len()];
        if self.rig.settings().learn_cells {
            let clamped = self.rig.clamped_gradient(theta, hold_u_mv, &adjoint);
            let parts = adjoint.report.cell_gradient.iter().zip(&clamped);
            for (sum, (own, clamped)) in cell_gradient.iter_mut().zip(parts) {
                for k in 0..N_CELL_PARAMETERS {
                    sum[k] = own[k] + clamped[k];
                }
            }
        }
        Ok(cell_gradient)
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
            let prepared = self.prepare(theta, recorded.clone())?;
            let Recording { peaks_mv: peaks, steps, .. } = self.record(simulation, prepared)?;
            for (k, pair) in self.pairs.iter().enumerate() {
                for i in pair.places.clone() {
                    peaks_mv[k].push(peaks[i]);
                    // The spike is at the end of step 0.
                    times_ms[k].push(f64::from(steps[i]) * self.dynamics.dt_ms);
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

    /// Sets the rig up for the given edges, but for their weights.
    fn prepare(&mut self, theta: &[[f64; N_CELL_PARAMETERS]], recorded: Vec<Recorded>) -> Result<Prepared> {
        let n_recordings = recorded.len();
        let neurons = self.rig_neurons(&recorded);
        let targets: Vec<u32> = recorded
            .iter()
            .enumerate()
            .map(|(i, r)| pack_target((n_recordings + i) as u32, target_delay_steps(self.targets[r.edge_ix])))
            .collect();
        self.rig.exchange_neurons(&neurons, &targets)?;
        let mut rig_theta = theta.to_vec();
        rig_theta.iter_mut().for_each(|theta| theta[THRESHOLD] += OUT_OF_REACH_MV);
        rig_theta.push([0.0; N_CELL_PARAMETERS]);
        self.rig.set_cell_parameters(&rig_theta);
        let mut hold_u_mv = vec![0.0; 2 * n_recordings * N_TRIALS];
        let mut extra_pa = vec![0.0; 2 * n_recordings * N_TRIALS];
        for (i, recorded) in recorded.iter().enumerate() {
            extra_pa[N_TRIALS * i + 1] = STIMULUS_PA;
            let cell = &self.cell_models[usize::from(self.neuron_model_ix[recorded.target])];
            let hold_mv = holding_potential_mv(CLASS_OF_SOURCE_TYPE[recorded.source_type]);
            let at = N_TRIALS * (n_recordings + i);
            hold_u_mv[at..at + N_TRIALS].fill(hold_mv.map_or(0.0, |v| v - cell.e_l_mv));
        }
        self.rig.set_clamped(&rig_theta, &hold_u_mv, &extra_pa)?;
        Ok(Prepared { recorded, theta: rig_theta, hold_u_mv })
    }

    /// Records the edges that the rig is set up for.
    fn record(&mut self, simulation: &Simulation, prepared: Prepared) -> Result<Recording> {
        let Prepared { recorded, theta, hold_u_mv } = prepared;
        let n_recordings = recorded.len();
        let edges: Vec<u32> = recorded.iter().map(|r| r.edge_ix as u32).collect();
        self.sample.fetch_weights(simulation, &mut self.rig, &edges)?;
        let (_, recording) =
            self.rig.forward_recorded(0, 0, &Probe::potentials(n_recordings..2 * n_recordings))?;
        let (peaks_mv, steps) = peaks(&recording.u_s_mv, n_recordings);
        Ok(Recording { peaks_mv, steps, theta, hold_u_mv })
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

/// The rig always has gradients of its weights; they are added where the network has some.
fn rig_settings(of_network: &Settings, dynamics: &Dynamics) -> Settings {
    let n_steps = 1 + (RECORDING_MS / dynamics.dt_ms).round() as usize;
    Settings {
        steps_between_checkpoints: SEGMENT_STEPS.max(dynamics.max_delay_steps as usize).min(n_steps),
        learn_weights: LearnWeights { recurrent: true, ..LearnWeights::default() },
        learn_cells: of_network.learn_cells,
        current: Some(0..n_steps),
        potential_seeds: true,
        ..Settings::new(n_steps, N_TRIALS)
    }
}

/// A network of the rig's shape: which cells and edges is told before every recording.
fn rig_network(network: &Network, n_recordings: usize) -> Network {
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
    let n = 2 * n_recordings;
    Network {
        populations: network.populations.clone(),
        cell_models,
        neurons: Neurons { model_ix: vec![0; n], cell_type_ix: vec![0; n], ..Neurons::default() },
        vocabulary: network.vocabulary.clone(),
        rows: Rows {
            offsets: (0..=n).map(|source| source.min(n_recordings) as u64).collect(),
            targets: (n_recordings..n).map(|target| pack_target(target as u32, 1)).collect(),
            weights: vec![0.0; n_recordings],
        },
        ..Network::default()
    }
}

/// Largest deflection of each recorded cell, mV, and the step that it follows: trial 1 less trial 0, `[n_steps][n_recordings][N_TRIALS]` mV.
fn peaks(u_s_mv: &[f32], n_recordings: usize) -> (Vec<f64>, Vec<u32>) {
    let (mut peaks_mv, mut steps) = (vec![0.0_f64; n_recordings], vec![0; n_recordings]);
    for (step, deflections_mv) in deflections_mv(u_s_mv, n_recordings).enumerate() {
        for (i, deflection_mv) in deflections_mv.into_iter().enumerate() {
            if deflection_mv.abs() > peaks_mv[i].abs() {
                (peaks_mv[i], steps[i]) = (deflection_mv, step as u32);
            }
        }
    }
    (peaks_mv, steps)
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

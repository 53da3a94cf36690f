//! Looks at the network as it is: responses to gratings and grey, paired recordings, weights.

use serde::{Deserialize, Serialize};

use super::super::assay::PairErrors;
use super::super::populations::{FanoCurve, FanoSums};
use super::super::schedule;
use super::super::structure::{LikeToLikeSlope, PairTypeWeights, like_to_like, weights_beside_em};
use super::{Session, Shown};
use crate::error::Result;
use crate::evaluate::{
    CellTypeSummary, ContrastResponses, Curves, Tuning, contrast_classes, contrast_curves, summarise,
    tuning_curves,
};
use crate::loss::Responses;
use crate::loss::targets::FunctionTargets;
use crate::model::cell::N_CELL_PARAMETERS;
use crate::network::tables::{Split, Tables};
use crate::sim::optimiser::Optimiser;
use crate::stimulus::lgn::LgnUnit;

/// Result of an evaluation.
pub struct Evaluation {
    /// Beside the sessions that the losses are taken from.
    pub train: Vec<CellTypeSummary>,
    /// Beside the sessions that were held out.
    pub held_out: Vec<CellTypeSummary>,
    /// Tuning and contrast-response curves beside the sessions that the losses are taken from.
    pub train_curves: Curves,
    /// The same beside the sessions that were held out.
    pub held_out_curves: Curves,
    /// Population Fano factors beside the sessions that the losses are taken from; empty where they are not measured.
    pub train_fano: Vec<FanoCurve>,
    /// The same beside the sessions that were held out.
    pub held_out_fano: Vec<FanoCurve>,
    /// Spikes of the first trial, which shows the first direction: trial, neuron, time (ms).
    pub spikes: Vec<(u32, u32, f64)>,
}

/// What a session learned, to be simulated elsewhere.
pub(in crate::train) struct LearnedNetwork {
    /// Weights of all edges.
    pub(in crate::train) weights: Vec<f32>,
    /// Learned offsets of all cell models.
    pub(in crate::train) cell_parameters: Vec<[f64; N_CELL_PARAMETERS]>,
    /// Neurons of the core by cell type.
    pub(in crate::train) core: Vec<Vec<usize>>,
    /// The LGN units with synapses and their indices among the sources that are not neurons.
    pub(in crate::train) lgn_units: Vec<(usize, LgnUnit)>,
}

/// Neighbouring neurons of one cell type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NeuronRange {
    /// Cell type.
    pub cell_type: String,
    /// First neuron.
    pub first: u32,
    /// How many there are.
    pub n: u32,
}

impl Session {
    /// The neurons' cell types, in the order of the neurons.
    pub fn neurons_by_type(&self) -> Vec<NeuronRange> {
        let types: Vec<usize> =
            (0..self.rate_mean_hz.len()).map(|neuron_ix| self.simulation.source_type(neuron_ix)).collect();
        let mut first = 0;
        let ranges = types.chunk_by(|a, b| a == b).map(|range| {
            let n = range.len() as u32;
            first += n;
            NeuronRange { cell_type: self.vocabulary.cell_types[range[0]].to_string(), first: first - n, n }
        });
        ranges.collect()
    }

    /// Records `n_samples` samples of pairs from the network as it is, beside what was measured; held-out pairs are marked. Empty
    /// without a rig ([`Session::new_with_pairs`]). The same samples in every evaluation of a run.
    ///
    /// # Errors
    /// Those of a forward pass.
    pub fn record_pairs(&mut self, n_samples: u32) -> Result<Vec<PairErrors>> {
        let Some(assay) = &mut self.assay else { return Ok(Vec::new()) };
        let seed = schedule::evaluation_seed(self.plan.scene.seed);
        assay.evaluate(&self.simulation, self.optimiser.cell_parameters(), seed, n_samples)
    }

    /// The weights between excitatory types beside the spread of EM connections.
    ///
    /// # Errors
    /// Those of reading the weights back.
    pub fn weights_beside_em(&self, tables: &Tables) -> Result<Vec<PairTypeWeights>> {
        if !self.vocabulary.has_v1_cell_types() {
            return Ok(Vec::new());
        }
        Ok(weights_beside_em(&Optimiser::count_weights(&self.simulation)?, tables))
    }

    /// Like-to-like slopes of the weights beside EM.
    ///
    /// # Errors
    /// Those of reading the weights back.
    pub fn like_to_like(&self, tables: &Tables) -> Result<Vec<LikeToLikeSlope>> {
        if !self.vocabulary.has_v1_cell_types() {
            return Ok(Vec::new());
        }
        like_to_like(&self.simulation, &self.tuning_angle_deg, tables)
    }

    /// The LGN units with synapses and their indices among the sources that are not neurons; none in a network without them.
    pub(in crate::train) fn lgn_units_with_synapses(&self) -> impl Iterator<Item = (usize, &LgnUnit)> {
        let all = self.stimulus.iter().flat_map(|s| s.lgn_units.iter().zip(&s.has_synapses).enumerate());
        all.filter(|(_, (_, has_synapses))| **has_synapses).map(|(ix, (unit, _))| (ix, unit))
    }

    /// LGN and background units.
    pub(in crate::train) fn n_sources(&self) -> usize {
        let layout = self.simulation.layout();
        layout.n_lgn + layout.n_background
    }

    /// What another simulation of the network as it is now needs.
    ///
    /// # Errors
    /// Those of reading the weights back.
    pub(in crate::train) fn learned(&self) -> Result<LearnedNetwork> {
        Ok(LearnedNetwork {
            weights: self.simulation.weights()?,
            cell_parameters: self.optimiser.cell_parameters().to_vec(),
            core: self.core.clone(),
            lgn_units: self.lgn_units_with_synapses().map(|(ix, unit)| (ix, unit.clone())).collect(),
        })
    }

    /// Shows every direction and the grey screen to the network as it is.
    pub fn evaluate(&mut self) -> Result<Evaluation> {
        let batches: Vec<Shown> = match &self.recorded {
            Some(recorded) => recorded.batches().into_iter().map(Shown::Recorded).collect(),
            None => schedule::evaluation_batches(&self.plan.scene).into_iter().map(Shown::Screen).collect(),
        };
        let seed = schedule::evaluation_seed(self.plan.scene.seed);
        let mut tuning = Tuning::new(self.rate_mean_hz.len());
        let mut contrasts = ContrastResponses::default();
        let mut spikes = Vec::new();
        let mut fano = FanoSums::default();
        for (presentation, shown) in batches.iter().enumerate() {
            let trials = self.show(shown)?;
            let presentation = presentation as u32;
            let forward = if presentation == 0 {
                let (forward, recording) = self.simulation.forward_recorded(seed, presentation, 0..0)?;
                spikes = recording.spikes;
                forward
            } else {
                self.simulation.forward(seed, presentation)?
            };
            let responses =
                Responses { counts: &forward.spike_counts, trials: &trials, window_ms: self.window_ms() };
            tuning.add(&responses);
            contrasts.add(&responses);
            if let Some(populations) = &self.populations {
                populations.add(&mut fano, &forward, &responses);
            }
        }
        let dt_ms = self.plan.scene.time.dt_ms;
        spikes.retain(|spike| spike.trial == 0);
        let classes = contrast_classes(&contrasts, &self.core, self.rate_mean_hz.len());
        let curves = |targets: &FunctionTargets| Curves {
            tuning: tuning_curves(&tuning, &self.tuning_angle_deg, &self.core, targets),
            contrast: contrast_curves(&tuning, &contrasts, &classes, &self.core, targets),
        };
        let fano_curves = |split| self.populations.as_ref().map_or(Vec::new(), |p| p.curves(&fano, split));
        Ok(Evaluation {
            train_fano: fano_curves(Split::Train),
            held_out_fano: fano_curves(Split::HeldOut),
            train_curves: curves(&self.train_targets),
            held_out_curves: curves(&self.held_out_targets),
            train: summarise(&tuning, &self.core, &self.train_targets),
            held_out: summarise(&tuning, &self.core, &self.held_out_targets),
            // A spike's time is the end of its step.
            spikes: spikes.iter().map(|s| (s.trial, s.neuron, f64::from(s.step + 1) * dt_ms)).collect(),
        })
    }
}

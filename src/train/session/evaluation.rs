//! Looks at the network as it is: responses to gratings and grey, paired recordings, weights.

use super::super::recorded::Recorded;
use super::super::schedule;
use super::Session;
use super::stimulus::Shown;
use crate::error::Result;
use crate::evaluate::{
    ContrastResponses, DirectionSlopes, Tuning, contrast_classes, contrast_curves, rate_misses, summarise,
    tuning_curves, weights_beside_em,
};
use crate::loss::groups::PopulationCounts;
use crate::loss::targets::{FunctionTargets, RECORDED_CONTRAST};
use crate::loss::{Responses, TrialKind};
use crate::model::membrane::N_CELL_PARAMETERS;
use crate::network::tables::{Split, Tables};
use crate::network::{NodeNames, target_neuron};
use crate::output::reports::PotentialReport;
use crate::output::spikes::{TrialSpikes, TrialStimulus};
use crate::results::{
    BesideSessions, Curves, LikeToLikeSlope, NeuronRange, PairErrors, PairTypeWeights, TrialsShown,
};
use crate::sim::Probe;
use crate::sim::optimiser::Optimiser;
use crate::stimulus::TrialCondition;
use crate::stimulus::lgn::LgnUnit;

/// What a session finds when it shows every direction and the grey screen.
pub struct SessionEvaluation {
    /// What was shown, and how often.
    pub shown: TrialsShown,
    /// Beside the sessions that the losses are taken from.
    pub train: BesideSessions,
    /// Beside the sessions that were held out.
    pub held_out: BesideSessions,
    /// Spikes of all trials.
    pub spikes: TrialSpikes,
    /// Potentials that the scene asks for.
    pub reports: Vec<PotentialReport>,
}

/// One trial with all that spiked in it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRecording {
    /// What it showed.
    pub condition: TrialCondition,
    /// Time step and source of every spike, ordered. Sources are neurons, then LGN units, then background units.
    pub spikes: Vec<(u32, u32)>,
    /// Potentials that the scene asks for in this trial.
    pub reports: Vec<PotentialReport>,
}

/// What a rank saw of a batch of an evaluation.
struct RecordedBatch {
    /// What all trials of the batch are.
    trials: Vec<TrialKind>,
    /// Of this rank's trials, as [`crate::sim::ForwardReport`] has them.
    spike_counts: Vec<f32>,
    population_counts: Vec<u32>,
    /// Trial of the batch, step and neuron of each spike in this rank's trials.
    spikes: Vec<[u32; 3]>,
    reports: Vec<PotentialReport>,
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

impl Session {
    /// What the neurons are called.
    pub fn names(&self) -> &NodeNames {
        &self.names
    }

    /// The neurons' cell types, in the order of the neurons.
    pub fn neurons_by_type(&self) -> Vec<NeuronRange> {
        let types: Vec<usize> =
            (0..self.layout().n_neurons).map(|neuron_ix| self.simulation.source_type(neuron_ix)).collect();
        let mut first = 0;
        let ranges = types.chunk_by(|a, b| a == b).map(|range| {
            let n = range.len() as u32;
            first += n;
            NeuronRange { cell_type: self.vocabulary.cell_types[range[0]].to_string(), first: first - n, n }
        });
        ranges.collect()
    }

    /// Shows one trial of the evaluation to the network as it is, numbered over all batches; `trial` is below their number and among the
    /// session's own.
    ///
    /// # Errors
    /// Those of a forward pass.
    pub fn record_trial(&mut self, trial: usize) -> Result<TrialRecording> {
        let batches = schedule::evaluation_batches(&self.plan.scene);
        let n_trials = self.plan.n_trials as usize;
        let (presentation, of_batch) = (trial / n_trials, trial % n_trials);
        let seed = schedule::evaluation_seed(self.plan.scene.seed);
        self.settle(seed, presentation as u32)?;
        let shown = self.own_trials();
        self.set_stimulus(&batches[presentation][shown.clone()])?;
        let first = presentation * n_trials + shown.start;
        let probe = Probe { neurons: self.reports.neurons(first, shown.len()), sources: true };
        let (_, recording) = self.simulation.forward_recorded(seed, presentation as u32, &probe)?;
        let own = recording.spikes.iter().filter(|spike| shown.start + spike.trial as usize == of_batch);
        let spikes = own.map(|spike| (spike.step, spike.neuron)).collect();
        let mut reports = self.reports.read(first, shown.len(), &probe.neurons, &recording);
        let asked = &self.plan.scene.evaluate.reports;
        reports.retain(|read| asked.iter().any(|r| r.name == read.name && r.trial as usize == trial));
        Ok(TrialRecording { condition: batches[presentation][of_batch], spikes, reports })
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
        let mut slopes = DirectionSlopes::new(tables);
        self.simulation.visit_recurrent_edges(|source, word, weight| {
            let ends = [source, target_neuron(word) as usize];
            let [source_type, target_type] = ends.map(|neuron_ix| self.simulation.source_type(neuron_ix));
            let pair = (source_type, target_type);
            let directions_deg = ends.map(|neuron_ix| self.tuning_angle_deg[neuron_ix]);
            slopes.add(pair, directions_deg, weight);
        })?;
        Ok(slopes.slopes())
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

    /// What a batch shows, one entry a trial.
    fn stimuli_of(&self, shown: &Shown) -> Vec<TrialStimulus> {
        match (shown, &self.recorded) {
            (Shown::Screen(conditions), _) => conditions.iter().copied().map(TrialStimulus::Screen).collect(),
            (Shown::Recorded(inputs), Some(recorded)) => recorded.stimuli(inputs),
            (Shown::Recorded(_), None) => Vec::new(),
        }
    }

    /// Shows this rank's trials of a batch of the evaluation, whose first trial is `first_trial`.
    fn record_batch(
        &mut self,
        shown: &Shown,
        seed: u64,
        presentation: u32,
        first_trial: usize,
    ) -> Result<RecordedBatch> {
        self.settle(seed, presentation)?;
        let trials = self.show(shown)?;
        let own = self.own_trials();
        let (first, n_own) = (first_trial + own.start, own.len());
        let probe = Probe { neurons: self.reports.neurons(first, n_own), sources: false };
        let (forward, recording) = self.simulation.forward_recorded(seed, presentation, &probe)?;
        Ok(RecordedBatch {
            trials,
            spike_counts: forward.spike_counts,
            population_counts: forward.population_counts,
            spikes: recording.spikes.iter().map(|s| [own.start as u32 + s.trial, s.step, s.neuron]).collect(),
            reports: self.reports.read(first, n_own, &probe.neurons, &recording),
        })
    }

    /// Shows every direction and the grey screen to the network as it is; the ranks share the trials of each batch.
    pub fn evaluate(&mut self) -> Result<SessionEvaluation> {
        let scene = &self.plan.scene;
        let of_scene = || TrialsShown {
            n_trials: scene.evaluate.n_trials,
            n_directions: Some(scene.evaluate.directions_deg.len() as u32),
            n_recorded_inputs: None,
        };
        let all_shown = self.recorded.as_ref().map_or_else(of_scene, Recorded::shown);
        let batches: Vec<Shown> = match &self.recorded {
            Some(recorded) => recorded.batches().into_iter().map(Shown::Recorded).collect(),
            None => schedule::evaluation_batches(scene).into_iter().map(Shown::Screen).collect(),
        };
        let seed = schedule::evaluation_seed(self.plan.scene.seed);
        let n_neurons = self.layout().n_neurons;
        let mut tuning = Tuning::new(n_neurons);
        let mut contrasts = ContrastResponses::default();
        let mut spikes = TrialSpikes::new(self.plan.scene.time.dt_ms, self.plan.n_steps, self.names.clone());
        let mut reports = Vec::new();
        let mut fano = self.fano.clone();
        for (presentation, shown) in batches.iter().enumerate() {
            let first_trial = spikes.trials.len();
            let own = self.record_batch(shown, seed, presentation as u32, first_trial);
            let own = self.ranks.agree(own)?;
            let (trials, n_trials) = (&own.trials, own.trials.len());
            reports.extend(self.reports.of_all_ranks(
                first_trial..first_trial + n_trials,
                own.reports,
                &self.ranks,
            ));
            let of_ranks = self.ranks.gather(&own.spikes).concat();
            let all = of_ranks.into_iter().map(|[trial, step, neuron]| (trial, step, neuron)).collect();
            spikes.add(&self.stimuli_of(shown), all);
            let spike_counts = self.ranks.gather_trials(own.spike_counts, n_trials);
            let population_counts = self.ranks.gather_trials(own.population_counts, n_trials);
            let responses = Responses { counts: &spike_counts, trials, window_ms: self.window_ms() };
            tuning.add(&responses);
            // Contrast-response curves need gratings of the recordings' contrast among them.
            if self.plan.scene.trials.grating.contrast == RECORDED_CONTRAST {
                contrasts.add(&responses);
            }
            if let Some(fano) = &mut fano {
                let population = PopulationCounts {
                    counts: &population_counts,
                    n_groups: self.n_groups,
                    n_trials,
                    window: self.window(),
                };
                let [evoked, grey] = [true, false].map(|evoked| responses.trials_of_kind(evoked));
                fano.add(&population, [&evoked, &grey]);
            }
        }
        let classes = contrast_classes(&contrasts, &self.core, n_neurons);
        let beside = |targets: &FunctionTargets, split: Split| {
            let cell_types = summarise(&tuning, &self.core, targets);
            let (n_rates, rates_outside) = rate_misses(&cell_types);
            let curves = Curves {
                tuning: tuning_curves(&tuning, &self.tuning_angle_deg, &self.core, targets),
                contrast: contrast_curves(&tuning, &contrasts, &classes, &self.core, targets),
            };
            let fano = fano.as_ref().map_or(Vec::new(), |fano| fano.curves(split));
            BesideSessions { cell_types, curves, fano, n_rates, rates_outside }
        };
        Ok(SessionEvaluation {
            shown: all_shown,
            train: beside(&self.train_targets, Split::Train),
            held_out: beside(&self.held_out_targets, Split::HeldOut),
            spikes,
            reports,
        })
    }
}

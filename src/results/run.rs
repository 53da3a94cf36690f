//! What a run finds: its metrics, the gradients at its first step, and its last evaluation.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{CellTypeSummary, Curves, FanoCurve, PairErrors, PairTypeWeights};
use crate::loss::WeightingScene;
use crate::network::{NamedNodes, Network, NodeNames};

/// Wall-clock time of the phases of a training step, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseMs {
    /// What the LGN units see, as far as it is not worked out beside the adjoint pass before.
    pub stimulus: f64,
    /// Grey before the trials, where they start settled: a forward pass of its own.
    pub settling: f64,
    /// Forward pass.
    pub forward: f64,
    /// Losses and adjoint pass, with recomputation.
    pub adjoint: f64,
    /// Paired recordings, forward and back; 0 without their term.
    pub pairs: f64,
    /// Exchange of counts and gradients with other ranks; missing without any.
    #[serde(skip_serializing_if = "is_zero")]
    pub ranks: f64,
    /// Update of the parameters.
    pub update: f64,
}

fn is_zero(ms: &f64) -> bool {
    *ms == 0.0
}

impl PhaseMs {
    /// Of the whole step.
    pub fn total(&self) -> f64 {
        self.stimulus + self.settling + self.forward + self.adjoint + self.pairs + self.ranks + self.update
    }
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepMetrics {
    /// Training step, from 1.
    pub step: u32,
    /// Each loss term by name, weight included.
    pub losses: BTreeMap<String, f64>,
    /// Sum of the terms.
    pub total_loss: f64,
    /// Mean rate per cell type over all trials of the step, gratings of every contrast and grey, Hz.
    pub mean_rate_hz: BTreeMap<String, f64>,
    /// Mean rate of all neurons in evoked trials, Hz.
    pub mean_rate_evoked_hz: f64,
    /// Mean rate of all neurons in spontaneous trials, Hz.
    pub mean_rate_spontaneous_hz: f64,
    /// Norm of the weights' gradient, before clipping.
    pub gradient_norm: f64,
    /// Time of each phase, ms.
    pub ms: PhaseMs,
    /// Device memory in use, bytes.
    pub device_bytes: u64,
}

/// One term at the first training step, its weight included and its factor not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TermGradient {
    /// Name in the metrics.
    pub name: String,
    /// Value; of the voltage term over `n_steps` alone.
    pub value: f64,
    /// Norm of the whole gradient.
    pub norm: f64,
    /// Norm by the base weights, per nS (pA in point mode).
    pub weights: f64,
    /// Norm by the cell parameters, in the units of their steps.
    pub cells: f64,
    /// Norm by the logarithms of the factors of pair types and of types.
    pub scales: f64,
    /// Last time steps of the trials that the adjoint pass went back over; 0 for a term that does not look at the network's trials, and
    /// missing in a file of an earlier version.
    #[serde(default)]
    pub n_steps: u32,
    /// What the term is multiplied by in training.
    pub factor: f64,
}

/// `gradients.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gradients {
    /// How the terms are weighed.
    pub weighting: WeightingScene,
    /// In the order of the metrics.
    pub terms: Vec<TermGradient>,
}

impl Gradients {
    /// A table for the terminal.
    pub fn table(&self) -> String {
        let n_steps = self.terms.iter().map(|term| term.n_steps).max().unwrap_or(0);
        let mut text = format!(
            "gradient of each term alone at the first training step, back over the last {n_steps} time steps at most\n\
             {:<22} {:>11} {:>11} {:>11} {:>11} {:>11} {:>7} {:>11}\n",
            "term", "value", "norm", "weights", "cells", "pair factors", "steps", "factor"
        );
        for term in &self.terms {
            let TermGradient { name, value, norm, weights, cells, scales, n_steps, factor } = term;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{name:<22} {value:>11.3e} {norm:>11.3e} {weights:>11.3e} {cells:>11.3e} {scales:>11.3e} {n_steps:>7} \
                 {factor:>11.3e}"
            );
        }
        text
    }
}

/// Counts of a network, which are still wanted when its edges lie on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSize {
    /// Neurons.
    pub n_neurons: usize,
    /// LGN units.
    pub n_lgn: usize,
    /// Background units.
    pub n_background: usize,
    /// Edges from neurons, LGN units and background units.
    pub n_edges: [u64; 3],
}

impl NetworkSize {
    /// Of a network.
    pub fn of(network: &Network) -> Self {
        let (n, offsets) = (network.neurons.len(), &network.rows.offsets);
        let ends = [n, n + network.n_lgn, network.n_sources()].map(|source| offsets[source]);
        Self {
            n_neurons: n,
            n_lgn: network.n_lgn,
            n_background: network.n_background,
            n_edges: [ends[0], ends[1] - ends[0], ends[2] - ends[1]],
        }
    }
}

/// A population of neurons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PopulationSize {
    /// Its name.
    pub population: String,
    /// How many of its nodes are neurons of the network.
    pub n_neurons: usize,
    /// Smallest and largest of their ids.
    pub node_ids: Option<[u64; 2]>,
}

impl PopulationSize {
    /// Of all populations of a network.
    pub fn of(names: &NodeNames) -> Vec<Self> {
        let size = |named: &NamedNodes| Self {
            population: named.population.clone(),
            n_neurons: named.ids.len(),
            node_ids: named.ids.iter().min().zip(named.ids.iter().max()).map(|(min, max)| [*min, *max]),
        };
        names.populations().map(|(_, named)| size(named)).collect()
    }
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

/// What an evaluation shows, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrialsShown {
    /// Trials of each direction and of the grey screen, or of each recorded input; 0 in a file of an earlier version.
    pub n_trials: u32,
    /// Directions of the gratings that are compared with recordings; None in a file of an earlier version, and of recorded inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_directions: Option<u32>,
    /// Recorded inputs that are shown in place of gratings and grey, where the network came with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_recorded_inputs: Option<u32>,
}

impl TrialsShown {
    /// In words.
    pub fn text(&self) -> String {
        let Self { n_trials, n_directions, n_recorded_inputs } = self;
        match (n_recorded_inputs, n_directions) {
            (Some(n), _) => format!("recorded inputs: {n}, trials of each: {n_trials}"),
            (None, Some(n)) => format!("directions: {n}, trials of each and of the grey screen: {n_trials}"),
            (None, None) => format!("trials of each direction and of the grey screen: {n_trials}"),
        }
    }
}

/// `summary.json`: the last evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Training steps taken before.
    pub training_step: u32,
    /// What was shown.
    #[serde(flatten)]
    pub shown: TrialsShown,
    /// The network; it and what else has a default is missing in a file of an earlier version.
    #[serde(default)]
    pub network: NetworkSize,
    /// The populations of the neurons, in the order of the neurons, as they are called in the user's own files.
    #[serde(default)]
    pub populations: Vec<PopulationSize>,
    /// The cell types of the neurons, in the order of the neurons.
    #[serde(default)]
    pub neurons: Vec<NeuronRange>,
    /// Beside the sessions that the losses are taken from.
    pub train: Vec<CellTypeSummary>,
    /// Beside the sessions that were held out.
    pub held_out: Vec<CellTypeSummary>,
    /// Tuning and contrast-response curves beside the held-out sessions.
    #[serde(default)]
    pub held_out_curves: Curves,
    /// Population Fano factors beside the held-out sessions; empty unless `evaluate.fano` asks for them.
    #[serde(default)]
    pub held_out_fano: Vec<FanoCurve>,
    /// Paired recordings of the network's edges beside the measured ones; held-out pairs are marked.
    pub pairs: Vec<PairErrors>,
    /// Weights between excitatory types beside EM.
    pub weights: Vec<PairTypeWeights>,
}

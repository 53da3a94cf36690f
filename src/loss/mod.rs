//! The function terms of the loss, on the host in f64: value, and seeds for the adjoint pass.
//!
//! The forward pass leaves one number per neuron and trial, its spikes in the analysis window. Each term is a function
//! of these counts; its *seed* is its derivative with respect to each count, which the adjoint pass multiplies into the
//! adjoint of every spike in the window.
//!
//! | module | term | compares |
//! |---|---|---|
//! | [`rate`] | `rate_evoked`, `rate_spontaneous` | distribution of rates per cell type with the recorded quantiles |
//! | [`selectivity`] | `selectivity` | orientation and direction selectivity per cell type with the recorded means |
//! | [`correlation`] | `fano_evoked`, `fano_spontaneous`, `pairwise_correlation` | correlations of populations; seeds by the spikes of groups in each step |
//! | [`structure`] | `weight_distribution`, `like_to_like`, `scale_prior` | weights and pair factors with EM; slopes by weight, none by counts |
//! | [`tuning`] | `tuning` | mean direction tuning curve per cell type, Hz, with the recorded one |
//! | [`contrast`] | `contrast` | mean rate per cell type against contrast |
//! | [`electrophysiology`] | `electrophysiology` | peaks of simulated paired recordings with the measured PSPs; its seeds are of potentials |
//!
//! The voltage term (E5 of MODEL.md) is not here: it is a sum over all steps, so it stays where the potentials are, on the
//! device (`src/sim`), with its f64 definition in `src/reference`.

pub mod contrast;
pub mod correlation;
pub mod electrophysiology;
pub mod rate;
pub mod selectivity;
pub mod statistics;
pub mod structure;
pub mod targets;
pub mod tuning;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::network::{Network, Neurons};
use crate::scene::{LossesScene, RECORDED_CONTRAST, SharesScene};
use contrast::ContrastGroup;
use rate::RateGroup;
use selectivity::SelectivityGroup;
use targets::{FunctionTargets, Recorded};
use tuning::TuningGroup;

/// What a trial shows, as far as the losses go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrialKind {
    /// A drifting grating of the contrast of the recordings ([`RECORDED_CONTRAST`]); direction of drift in degrees, in the convention of `tuning_angle_deg`.
    Evoked {
        /// Direction of drift, degrees.
        direction_deg: f64,
    },
    /// A grey screen.
    Spontaneous,
    /// A drifting grating of another contrast than that of the recordings: only contrast-response curves take it.
    OtherContrast {
        /// Direction of drift, degrees, as above.
        direction_deg: f64,
        /// Michelson contrast, in [0, 1].
        contrast: f64,
    },
}

impl TrialKind {
    /// Direction of an evoked trial, degrees; gratings of another contrast are not meant.
    pub fn direction_deg(self) -> Option<f64> {
        match self {
            Self::Evoked { direction_deg } => Some(direction_deg),
            Self::Spontaneous | Self::OtherContrast { .. } => None,
        }
    }

    /// Michelson contrast of the grating, 0 under grey.
    pub fn contrast(self) -> f64 {
        match self {
            Self::Evoked { .. } => RECORDED_CONTRAST,
            Self::Spontaneous => 0.0,
            Self::OtherContrast { contrast, .. } => contrast,
        }
    }
}

/// Spike counts of one batch of trials.
#[derive(Clone, Copy, Debug)]
pub struct Responses<'a, C> {
    /// Spikes in the analysis window, `[n_neurons][n_trials]`.
    pub counts: &'a [C],
    /// What each trial shows, `[n_trials]`.
    pub trials: &'a [TrialKind],
    /// Length of the analysis window, ms.
    pub window_ms: f64,
}

impl<C: Copy + Into<f64>> Responses<'_, C> {
    /// Indices of the evoked, or else of the spontaneous trials; gratings of another contrast are neither.
    pub fn trials_of_kind(&self, evoked: bool) -> Vec<usize> {
        let is = |trial: TrialKind| match trial {
            TrialKind::Evoked { .. } => evoked,
            TrialKind::Spontaneous => !evoked,
            TrialKind::OtherContrast { .. } => false,
        };
        (0..self.trials.len()).filter(|&t| is(self.trials[t])).collect()
    }

    /// Rate of one neuron in one trial, Hz.
    pub fn rate_hz(&self, neuron_ix: usize, trial_ix: usize) -> f64 {
        self.counts[neuron_ix * self.trials.len() + trial_ix].into() / (1e-3 * self.window_ms)
    }

    /// Mean rate of one neuron over some trials, Hz.
    pub fn mean_rate_hz(&self, neuron_ix: usize, trials: &[usize]) -> f64 {
        trials.iter().map(|&t| self.rate_hz(neuron_ix, t)).sum::<f64>() / trials.len() as f64
    }
}

/// The function terms made ready for one network: who is compared with what.
#[derive(Clone, Debug)]
pub struct FunctionLosses {
    scene_file: PathBuf,
    terms: LossesScene,
    n_neurons: usize,
    tuning_angle_deg: Vec<f32>,
    rate_evoked: Vec<RateGroup>,
    rate_spontaneous: Vec<RateGroup>,
    selectivity: Vec<SelectivityGroup>,
    tuning: Vec<TuningGroup>,
    contrast: Vec<ContrastGroup>,
}

/// One term in one batch, its weight included.
#[derive(Clone, Debug, PartialEq)]
pub struct TermValue {
    /// Name in the metrics.
    pub name: &'static str,
    /// Value.
    pub value: f64,
    /// Derivative of the value with respect to each spike count, `[n_neurons][n_trials]`.
    pub seeds: Vec<f64>,
    /// Derivative of the value with respect to each group's spikes in each step, `[n_steps][n_groups][n_trials]`; empty for a term
    /// that does not look at them.
    pub population_seeds: Vec<f64>,
}

impl TermValue {
    /// Multiplies the term.
    pub fn scale(&mut self, factor: f64) {
        self.value *= factor;
        self.population_seeds.iter_mut().for_each(|seed| *seed *= factor);
        self.seeds.iter_mut().for_each(|seed| *seed *= factor);
    }
}

/// The switched-on terms in one batch; their values add up to the total.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossValues {
    /// In the order of the scene.
    pub terms: Vec<TermValue>,
}

impl LossValues {
    /// Derivative of the total with respect to each spike count, `[n_neurons][n_trials]`; empty without terms.
    pub fn seeds(&self) -> Vec<f64> {
        let mut total: Vec<f64> = vec![0.0; self.terms.first().map_or(0, |term| term.seeds.len())];
        for term in &self.terms {
            total.iter_mut().zip(&term.seeds).for_each(|(sum, seed)| *sum += seed);
        }
        total
    }

    /// Derivative of the total with respect to each group's spikes, as [`TermValue::population_seeds`].
    pub fn population_seeds(&self) -> Vec<f64> {
        let longest = self.terms.iter().map(|term| term.population_seeds.len()).max().unwrap_or(0);
        let mut total = vec![0.0; longest];
        for term in &self.terms {
            total.iter_mut().zip(&term.population_seeds).for_each(|(sum, seed)| *sum += seed);
        }
        total
    }
}

/// Indices of the neurons of each cell type that the network says are its core, or else those within `core_radius_um` of the
/// column's axis. Those nearer to its edge lack the input of cells that were not built, so neither the losses nor the evaluation
/// count them.
pub fn core_neurons(network: &Network, core_radius_um: f64) -> Vec<Vec<usize>> {
    let neurons = &network.neurons;
    let mut by_type = vec![Vec::new(); network.vocabulary.n_cell_types()];
    for neuron_ix in 0..neurons.len() {
        let (x, z) = (f64::from(neurons.x_um[neuron_ix]), f64::from(neurons.z_um[neuron_ix]));
        let is_core = network.core.as_ref().map_or(x.hypot(z) <= core_radius_um, |core| core[neuron_ix]);
        if is_core {
            by_type[neurons.cell_type_ix[neuron_ix] as usize].push(neuron_ix);
        }
    }
    by_type
}

/// The neurons of the core that are of some cell types.
fn covered(cell_types: &[usize], core: &[Vec<usize>]) -> Vec<usize> {
    cell_types.iter().flat_map(|&cell_type_ix| core[cell_type_ix].iter().copied()).collect()
}

/// Pairs the neurons of the network's core ([`core_neurons`]) with their targets. Cell types without recordings stay out of a term; a term
/// that is on and finds nothing at all to compare is an error.
pub fn prepare(
    terms: &LossesScene,
    targets: &FunctionTargets,
    neurons: &Neurons,
    core: &[Vec<usize>],
    scene_file: &Path,
) -> Result<FunctionLosses> {
    let rate_groups =
        |recorded: &[Recorded]| terms.rates.map_or(Vec::new(), |t| rate::pair(t.shares, recorded, core));
    let losses = FunctionLosses {
        scene_file: scene_file.to_path_buf(),
        terms: terms.clone(),
        n_neurons: neurons.len(),
        tuning_angle_deg: neurons.tuning_angle_deg.clone(),
        rate_evoked: rate_groups(&targets.rate_evoked_hz),
        rate_spontaneous: rate_groups(&targets.rate_spontaneous_hz),
        selectivity: terms.selectivity.map_or(Vec::new(), |t| selectivity::pair(t.shares, targets, core)),
        tuning: terms.tuning.map_or(Vec::new(), |t| tuning::pair(t.shares, &targets.tuning, core)),
        contrast: terms.contrast.map_or(Vec::new(), |t| {
            contrast::pair(t.shares, &targets.rate_evoked_hz, &targets.rate_spontaneous_hz, core)
        }),
    };
    let nothing = |term: &str, weight: f64, what: &str| {
        let limit =
            format!("the term is on, but no cell type of the network's core has {what} in the targets table");
        Err(Error::field(scene_file, format!("losses.{term}.weight"), weight, limit))
    };
    if let (Some(t), true) = (terms.tuning, losses.tuning.is_empty()) {
        return nothing("tuning", t.weight, "a tuning curve");
    }
    if let (Some(t), true) = (terms.contrast, losses.contrast.is_empty()) {
        return nothing("contrast", t.weight, "evoked and spontaneous rates");
    }
    match (terms.rates, terms.selectivity) {
        (Some(t), _) if losses.rate_evoked.is_empty() => nothing("rates", t.weight, "evoked rates"),
        (Some(t), _) if losses.rate_spontaneous.is_empty() => nothing("rates", t.weight, "spontaneous rates"),
        (_, Some(t)) if losses.selectivity.is_empty() => {
            nothing("selectivity", t.weight, "selectivity indices")
        }
        _ => Ok(losses),
    }
}

/// Value and seeds of the terms of the counts. `rate_mean_hz` is the running mean of each neuron's evoked rate
/// from the training steps before this one ([`selectivity::update_rate_mean`]), `[n_neurons]`.
pub fn function_losses<C: Copy + Into<f64>>(
    losses: &FunctionLosses,
    responses: &Responses<'_, C>,
    rate_mean_hz: &[f32],
) -> Result<LossValues> {
    let n_trials = responses.trials.len();
    if responses.counts.len() != losses.n_neurons * n_trials || rate_mean_hz.len() != losses.n_neurons {
        return Err(Error::Failed(format!(
            "losses: {} spike counts and {} running rates do not fit {} neurons and {n_trials} trials",
            responses.counts.len(),
            rate_mean_hz.len(),
            losses.n_neurons,
        )));
    }
    let (evoked, spontaneous) = (responses.trials_of_kind(true), responses.trials_of_kind(false));
    let mut values = LossValues::default();
    let mut add = |name, term: &dyn Fn(&mut [f64]) -> f64| {
        let mut seeds = vec![0.0; responses.counts.len()];
        let value = term(&mut seeds);
        values.terms.push(TermValue { name, value, seeds, population_seeds: Vec::new() });
    };
    if let Some(term) = &losses.terms.rates {
        for (name, groups, trials) in [
            ("rate_evoked", &losses.rate_evoked, &evoked),
            ("rate_spontaneous", &losses.rate_spontaneous, &spontaneous),
        ] {
            if !trials.is_empty() {
                add(name, &|seeds| rate::add_term(term, groups, responses, trials, seeds));
            }
        }
    }
    if let Some(term) = &losses.terms.selectivity {
        if evoked.is_empty() {
            let limit = "the term is on, but the batch has no evoked trial";
            return Err(Error::field(&losses.scene_file, "losses.selectivity.weight", term.weight, limit));
        }
        let crowd = selectivity::Crowd {
            groups: &losses.selectivity,
            tuning_angle_deg: &losses.tuning_angle_deg,
            rate_mean_hz,
        };
        add("selectivity", &|seeds| selectivity::add_term(term, &crowd, responses, &evoked, seeds));
    }
    if let (Some(term), false) = (&losses.terms.tuning, evoked.is_empty()) {
        let (groups, angles) = (&losses.tuning, &losses.tuning_angle_deg);
        add("tuning", &|seeds| tuning::add_term(term, groups, angles, responses, &evoked, seeds));
    }
    if let Some(term) = &losses.terms.contrast {
        add("contrast", &|seeds| contrast::add_term(term, &losses.contrast, responses, seeds));
    }
    Ok(values)
}

/// Shares of groups of neurons in a term from their sizes; they add up to 1.
fn shares(shares: SharesScene, groups: &[Vec<usize>]) -> Vec<f64> {
    let sizes: Vec<f64> = match shares {
        SharesScene::PerType => vec![1.0; groups.len()],
        SharesScene::PerNeuron => groups.iter().map(|neurons| neurons.len() as f64).collect(),
    };
    let total: f64 = sizes.iter().sum();
    sizes.into_iter().map(|size| size / total).collect()
}

#[cfg(test)]
mod tests;

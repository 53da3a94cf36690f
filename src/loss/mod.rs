//! The loss: every term a file, on the host in f64.
//!
//! A training step shows the network its trials and gathers what the terms look at ([`Seen`]); each term is a function of it, and its
//! *seeds* ([`Seeds`]) are the derivatives of that function, from which the adjoint passes and the optimiser go on. This file has the only
//! list of the terms ([`LossesScene::terms`]).
//!
//! | module | term | compares |
//! |---|---|---|
//! | [`rates`] | `rate_evoked`, `rate_spontaneous` | distribution of rates per cell type with the recorded quantiles |
//! | [`rate_correlation`] | `rate_correlation` | correlation of evoked and grey rates over a type's neurons |
//! | [`selectivity`] | `selectivity` | orientation and direction selectivity per cell type with the recorded means |
//! | [`tuning`] | `tuning` | mean direction tuning curve per cell type, Hz, with the recorded one |
//! | [`contrast`] | `contrast` | mean rate per cell type against contrast |
//! | [`fano`] | `fano_evoked`, `fano_spontaneous` | Fano factor of populations; seeds by the spikes of groups in each step |
//! | [`pairwise`] | `pairwise_correlation` | mean correlation of spike counts within the same groups |
//! | [`voltage`] | `voltage` | potentials with a range; value and seeds stay on the device |
//! | [`electrophysiology`] | `electrophysiology` | peaks of simulated paired recordings with the measured PSPs |
//! | [`weight_distribution`] | `weight_distribution` | logarithms of the weights with EM or with the builder's; slopes by weight |
//! | [`like_to_like`] | `like_to_like` | slope of the weights against the difference of directions with EM |
//! | [`keep`] | `keep` | weights with those of the run that training started from; value and seeds stay on the device |
//! | [`scale_prior`] | `scale_prior` | pair factors with the sampling error of EM |

pub mod contrast;
pub mod electrophysiology;
pub mod fano;
pub mod groups;
pub mod keep;
pub mod like_to_like;
pub mod neuron_selectivity;
pub mod pairwise;
pub mod rate_correlation;
pub mod rates;
pub mod running;
pub mod scale_prior;
pub mod seen;
pub mod selectivity;
pub mod shares;
pub mod statistics;
pub mod targets;
pub mod term;
pub mod tuning;
pub mod voltage;
pub mod weight_distribution;
pub mod weights;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Check, Error, Result};
use crate::network::Network;
use contrast::ContrastLossScene;
use electrophysiology::ElectrophysiologyLossScene;
use fano::FanoLossScene;
use keep::KeepScene;
use like_to_like::LikeToLikeScene;
use neuron_selectivity::NeuronSelectivityLossScene;
use pairwise::PairwiseLossScene;
use rate_correlation::RateCorrelationLossScene;
pub use rate_correlation::recorded_pyramidal;
use rates::RatesLossScene;
use scale_prior::ScalePriorScene;
use selectivity::SelectivityLossScene;
use tuning::TuningLossScene;
use voltage::VoltageLossScene;
use weight_distribution::WeightDistributionScene;

pub use seen::{Responses, Seeds, Seen, TrialKind};
pub use shares::SharesScene;
pub use term::{Context, Needs, SceneFacts, Term, TermScene};

/// A term whose value is below this is at its optimum: a zero gradient is then no fault.
const NEGLIGIBLE: f64 = 1e-12;
/// Largest weight of a term.
const MAX_WEIGHT: f64 = 1e9;

/// Terms of the loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossesScene {
    /// How the terms are weighed against each other.
    #[serde(default)]
    pub weighting: WeightingScene,
    /// Distribution of firing rates per cell type, under gratings and under grey screens, as far as the batch has them.
    pub rates: Option<RatesLossScene>,
    /// Correlation of evoked and grey rates over the neurons of each cell type; needs both kinds of trial.
    pub rate_correlation: Option<RateCorrelationLossScene>,
    /// Orientation and direction selectivity per cell type; needs evoked trials.
    pub selectivity: Option<SelectivityLossScene>,
    /// Distribution of the orientation and direction selectivity of each cell type's neurons; needs evoked trials in two directions, which for
    /// orientation are not opposite.
    pub neuron_selectivity: Option<NeuronSelectivityLossScene>,
    /// Mean direction tuning curve per cell type, Hz; needs evoked trials.
    pub tuning: Option<TuningLossScene>,
    /// Mean rate per cell type against contrast; needs gratings of several (`trials.grating.contrasts`, or of `network.inputs`).
    pub contrast: Option<ContrastLossScene>,
    /// Membrane potentials far from their working range; keeps silent cells trainable.
    pub voltage: Option<VoltageLossScene>,
    /// Amplitudes of paired recordings between cell groups.
    pub electrophysiology: Option<ElectrophysiologyLossScene>,
    /// Population Fano factor over the recorded bin widths, under gratings and under grey screens.
    pub fano: Option<FanoLossScene>,
    /// Mean pairwise correlation of spike counts under grey screens.
    pub pairwise_correlation: Option<PairwiseLossScene>,
    /// Sizes of the synapses as the connectome implies them.
    pub structure: Option<StructureLossScene>,
}

/// Loss on the weights between neurons, against what electron microscopy shows of their synapses. `None` switches a part off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StructureLossScene {
    /// Distribution of the logarithms of the weights of each pair type.
    pub weight_distribution: Option<WeightDistributionScene>,
    /// Slope of the logarithm of the weight against the difference of preferred directions.
    pub like_to_like: Option<LikeToLikeScene>,
    /// Prior on the pair factors.
    pub scale_prior: Option<ScalePriorScene>,
    /// Distance of the weights from those of the run that training starts from.
    pub keep: Option<KeepScene>,
}

/// How the terms of the loss are weighed against each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightingScene {
    /// Each term's value is multiplied by its weight.
    #[default]
    AsGiven,
    /// Each term is scaled so that the norm of its gradient at the first training step is its weight: terms whose values have
    /// different units then pull in the ratio of their weights.
    Normalised,
}

/// A term that may be on.
fn on<T: TermScene>(term: &Option<T>) -> Option<&dyn TermScene> {
    term.as_ref().map(|term| term as &dyn TermScene)
}

impl LossesScene {
    /// The terms that are on, in the order of the metrics: the only list. It takes the scene apart by field, so that the compiler misses
    /// a term that is left out.
    pub fn terms(&self) -> Vec<&dyn TermScene> {
        let Self {
            weighting: _,
            rates,
            rate_correlation,
            selectivity,
            neuron_selectivity,
            tuning,
            contrast,
            voltage,
            electrophysiology,
            fano,
            pairwise_correlation,
            structure,
        } = self;
        let of_weights = structure.as_ref().map(|structure| {
            let StructureLossScene { weight_distribution, like_to_like, scale_prior, keep } = structure;
            [on(weight_distribution), on(like_to_like), on(scale_prior), on(keep)]
        });
        let of_network = [
            on(rates),
            on(rate_correlation),
            on(selectivity),
            on(neuron_selectivity),
            on(tuning),
            on(contrast),
            on(fano),
            on(pairwise_correlation),
            on(voltage),
            on(electrophysiology),
        ];
        of_network.into_iter().chain(of_weights.into_iter().flatten()).flatten().collect()
    }

    /// Checks every term that is on.
    ///
    /// # Errors
    /// [`Error::Field`] names the first value out of its range.
    pub fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        self.terms().into_iter().try_for_each(|term| {
            check.within(&format!("losses.{}.weight", term.field()), term.weight(), 0.0, MAX_WEIGHT, "")?;
            term.check(check, scene)
        })
    }

    /// What has to be there for all terms to look at.
    pub fn needs(&self) -> Needs {
        self.terms().into_iter().map(TermScene::needs).fold(Needs::default(), Needs::and)
    }
}

/// The terms of a scene made ready for a network, with what each is multiplied by in training.
pub struct Terms {
    entries: Vec<Entry>,
    weighting: WeightingScene,
    scene_file: PathBuf,
}

/// One of them.
struct Entry {
    /// Field of the scene below `losses`, and its weight.
    field: &'static str,
    weight: f64,
    factor: f64,
    term: Box<dyn Term>,
}

/// What terms say of a training step, weights and factors included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// Value of each term that found something to look at, by its name in the metrics. The voltage penalty is not among them: the device
    /// tells it.
    pub values: Vec<(&'static str, f64)>,
    /// Derivatives of their sum.
    pub seeds: Seeds,
}

impl Terms {
    /// Pairs the neurons of the network's core with their targets. Cell types without recordings stay out of a term.
    ///
    /// # Errors
    /// [`Error::Field`] for a term that is on and finds nothing at all to compare, or compares with recordings by cell type of mouse V1
    /// where the network's cell types are others.
    pub fn prepare(scene: &LossesScene, of: &Context<'_>) -> Result<Self> {
        let mut entries = Vec::new();
        for term in scene.terms() {
            let vocabulary = &of.network.vocabulary;
            if term.needs().v1_cell_types && !vocabulary.has_v1_cell_types() {
                let limit = format!(
                    "the term compares with recordings by cell type of mouse V1 (L2/3_Exc, L4_PV, ..), but the circuit's \
                     are {}; network.cell_types can say which stands for which",
                    vocabulary.cell_types.join(", ")
                );
                return Err(Error::field(of.scene_file, format!("losses.{}", term.field()), "on", limit));
            }
            let (field, weight) = (term.field(), term.weight());
            let ready = term.prepare(of)?;
            entries.extend(ready.into_iter().map(|term| Entry { field, weight, factor: 1.0, term }));
        }
        Ok(Self { entries, weighting: scene.weighting, scene_file: of.scene_file.to_path_buf() })
    }

    /// Names in the metrics.
    pub fn names(&self) -> Vec<&'static str> {
        self.entries.iter().map(|entry| entry.term.name()).collect()
    }

    /// All terms together, times their factors.
    pub fn evaluate(&self, seen: &Seen<'_>) -> Loss {
        let mut loss = Loss::default();
        for Entry { term, factor, .. } in &self.entries {
            let mut seeds = Seeds::default();
            if let Some(value) = term.value(seen, &mut seeds) {
                loss.values.push((term.name(), factor * value));
            }
            loss.seeds.add(*factor, &seeds);
        }
        loss
    }

    /// Refuses a term that says nothing of a batch although it has trials of its kind.
    ///
    /// # Errors
    /// Names its field and what is wrong with the trials.
    pub fn refuse_blind(&self, responses: &Responses<'_, f64>) -> Result<()> {
        for Entry { field, weight, term, .. } in self.entries.iter().filter(|entry| entry.weight > 0.0) {
            if let Some(why) = term.blind_to(responses) {
                let limit =
                    format!("the term is on, but at the first training step {why}: nothing is compared");
                return Err(Error::field(&self.scene_file, format!("losses.{field}.weight"), *weight, limit));
            }
        }
        Ok(())
    }

    /// Each term alone, its factor not included; one that found nothing to look at has no value and empty seeds.
    pub fn each_alone(&self, seen: &Seen<'_>) -> Vec<Loss> {
        let alone = |Entry { term, .. }: &Entry| {
            let mut seeds = Seeds::default();
            let value = term.value(seen, &mut seeds);
            Loss { values: value.map(|value| (term.name(), value)).into_iter().collect(), seeds }
        };
        self.entries.iter().map(alone).collect()
    }

    /// Lets the terms take what was seen into what they remember: once a training step, after [`Self::evaluate`].
    pub fn remember(&mut self, seen: &Seen<'_>) {
        self.entries.iter_mut().for_each(|entry| entry.term.remember(seen));
    }

    /// Sets the factor of a term as the scene weighs it, from its value and the norm of its gradient at the first training step; the
    /// factor.
    ///
    /// # Errors
    /// Names the field of a term that is on, not at its optimum, and has no gradient: it would be silently absent.
    pub fn weigh(&mut self, term_ix: usize, value: f64, norm: f64) -> Result<f64> {
        let Entry { field, weight, factor, term } = &mut self.entries[term_ix];
        if *weight > 0.0 && norm == 0.0 && value.abs() > NEGLIGIBLE {
            let limit = format!(
                "the term '{}' is on and its value is {value:.3e}, but its gradient by everything that is learned is zero at \
                 the first training step: no training would change it (are its neurons silent, or is what it depends on \
                 not learned?)",
                term.name()
            );
            return Err(Error::field(&self.scene_file, format!("losses.{field}.weight"), *weight, limit));
        }
        if self.weighting == WeightingScene::Normalised && norm > 0.0 {
            *factor = *weight / norm;
        }
        Ok(*factor)
    }

    /// How the terms are weighed.
    pub fn weighting(&self) -> WeightingScene {
        self.weighting
    }

    /// What each term is multiplied by, by its name in the metrics.
    pub fn factors(&self) -> BTreeMap<&'static str, f64> {
        self.entries.iter().map(|entry| (entry.term.name(), entry.factor)).collect()
    }

    /// Sets what a term is multiplied by; terms that are not on are left alone.
    pub fn set_factor(&mut self, name: &str, factor: f64) {
        let named = self.entries.iter_mut().filter(|entry| entry.term.name() == name);
        named.for_each(|entry| entry.factor = factor);
    }

    /// What the terms remember: term, name, values.
    pub fn memory(&self) -> Vec<(&'static str, &'static str, &[f64])> {
        let mut all = Vec::new();
        for Entry { term, .. } in &self.entries {
            all.extend(term.memory().into_iter().map(|(what, values)| (term.name(), what, values)));
        }
        all
    }

    /// The same to be restored.
    pub fn memory_mut(&mut self) -> Vec<(&'static str, &'static str, &mut [f64])> {
        let mut all = Vec::new();
        for Entry { term, .. } in &mut self.entries {
            let name = term.name();
            all.extend(term.memory_mut().into_iter().map(|(what, values)| (name, what, values)));
        }
        all
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

/// All other neurons by cell type.
pub fn neurons_outside(network: &Network, core: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut by_type = vec![Vec::new(); core.len()];
    let cell_types = network.neurons.cell_type_ix.iter().map(|cell_type_ix| usize::from(*cell_type_ix));
    for (neuron_ix, cell_type_ix) in cell_types.enumerate() {
        // Ascending, as `core_neurons` lists them.
        if core[cell_type_ix].binary_search(&neuron_ix).is_err() {
            by_type[cell_type_ix].push(neuron_ix);
        }
    }
    by_type
}

#[cfg(test)]
mod tests;

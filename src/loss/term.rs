//! What a term of the loss is: as a scene asks for it ([`TermScene`]), and made ready for a network ([`Term`]).

use std::ops::Range;
use std::path::Path;

use super::electrophysiology::MeasuredPair;
use super::groups::Groups;
use super::seen::{Responses, Seeds, Seen};
use super::targets::FunctionTargets;
use crate::error::{Check, Error, Result};
use crate::network::Network;
use crate::network::tables::Tables;

/// The least rate, Hz, by which terms on selectivity and curves divide what a neuron or type does, where a scene gives none.
pub(super) fn least_rate_hz() -> f64 {
    0.5
}

/// A term as a scene asks for it. Its fields are those that a user writes.
pub trait TermScene {
    /// Its field below `losses`.
    fn field(&self) -> &'static str;

    /// Weight of the term.
    fn weight(&self) -> f64;

    /// Checks every field but the weight, whose range is the same for all terms.
    ///
    /// # Errors
    /// [`Error::Field`] names the first value out of its range.
    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()>;

    /// What has to be there for the term to look at.
    fn needs(&self) -> Needs;

    /// The terms of the metrics that it stands for, each weighed on its own.
    ///
    /// # Errors
    /// [`Error::Field`] where the network has nothing that could be compared.
    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>>;
}

/// A term made ready for a network: what it compares with what, and what it remembers.
pub trait Term {
    /// Name in the metrics.
    fn name(&self) -> &'static str;

    /// Its value, weight included; None where the batch has nothing that it looks at. Its derivatives are added to `seeds`, which come
    /// empty.
    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64>;

    /// Why it says nothing of a batch that has trials of its kind; None where it does, or there are none. Such a term is refused at the first
    /// training step.
    fn blind_to(&self, _responses: &Responses<'_, f64>) -> Option<&'static str> {
        None
    }

    /// Takes what was seen into what it remembers, once a training step and after [`Self::value`].
    fn remember(&mut self, _seen: &Seen<'_>) {}

    /// What it remembers from step to step, by name: a checkpoint keeps it.
    fn memory(&self) -> Vec<(&'static str, &[f64])> {
        Vec::new()
    }

    /// The same to be restored.
    fn memory_mut(&mut self) -> Vec<(&'static str, &mut [f64])> {
        Vec::new()
    }
}

/// What the ranges of a term depend on beside its own fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SceneFacts {
    /// Evoked trials of a training step.
    pub n_evoked: u32,
    /// Grey trials of a training step.
    pub n_spontaneous: u32,
    /// Contrast of the gratings that the recordings are compared with.
    pub contrast: f64,
    /// Whether trials show recorded inputs that the network came with (`network.inputs`), and not the scene's grating.
    pub has_inputs: bool,
    /// Contrasts that the gratings take in turn; 0 where they have one.
    pub n_contrasts: usize,
    /// Different directions that the gratings of `contrast` take in turn; None where they are drawn.
    pub n_directions: Option<usize>,
    /// Whether simrun builds the network itself, with synapses between neurons.
    pub is_built: bool,
    /// Whether the network has synapses at all.
    pub has_synapses: bool,
    /// Whether factors of pair types or types are learned.
    pub learns_factors: bool,
    /// Whether weights or their factors are learned.
    pub learns_weights: bool,
    /// Whether training starts from what another run has learned.
    pub has_ancestor: bool,
}

/// What has to be there for the terms to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Spike counts of the network.
    pub spikes: bool,
    /// Potentials of the network, at which the device looks.
    pub potentials: bool,
    /// Groups of neurons whose spikes are counted in every step.
    pub n_groups: u32,
    /// Paired recordings.
    pub pairs: bool,
    /// Counts of the weights by size, and the pair factors.
    pub weights: bool,
    /// Counts of the weights by size and difference of directions.
    pub directions: bool,
    /// Weights that training started from, at which the device looks.
    pub kept: bool,
    /// Cell types of mouse V1, whose recordings the term compares with.
    pub v1_cell_types: bool,
}

impl Needs {
    /// What two terms need together.
    pub fn and(self, other: Self) -> Self {
        Self {
            spikes: self.spikes || other.spikes,
            potentials: self.potentials || other.potentials,
            n_groups: self.n_groups.max(other.n_groups),
            pairs: self.pairs || other.pairs,
            weights: self.weights || other.weights,
            directions: self.directions || other.directions,
            kept: self.kept || other.kept,
            v1_cell_types: self.v1_cell_types || other.v1_cell_types,
        }
    }

    /// Whether the network has to be run.
    pub fn network(&self) -> bool {
        self.spikes || self.potentials || self.n_groups > 0
    }
}

/// The network that terms are made ready for, and what the recordings ask of it.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// File of the scene, for messages.
    pub scene_file: &'a Path,
    /// The network as it was built.
    pub network: &'a Network,
    /// Neurons of the core by cell type ([`super::core_neurons`]).
    pub core: &'a [Vec<usize>],
    /// All others by cell type.
    pub outside: &'a [Vec<usize>],
    /// What the recordings trained on ask of rates and selectivity.
    pub targets: &'a FunctionTargets,
    /// All other recordings.
    pub tables: &'a Tables,
    /// Groups that stand for recorded populations.
    pub groups: &'a Groups,
    /// The measured pairs of cell groups that have edges.
    pub pairs: &'a [MeasuredPair],
    /// Steps whose spikes are counted.
    pub window: Range<usize>,
    /// Time step, ms.
    pub dt_ms: f64,
}

impl Context<'_> {
    /// The neurons of the core that are of some cell types.
    pub fn covered(&self, cell_types: &[usize]) -> Vec<usize> {
        covered(cell_types, self.core)
    }

    /// The error of a term that is on and finds nothing to compare.
    pub fn nothing(&self, term: &dyn TermScene, why: &str) -> Error {
        let field = format!("losses.{}.weight", term.field());
        Error::field(self.scene_file, field, term.weight(), format!("the term is on, but {why}"))
    }

    /// The same where it is the table of targets that has nothing for the network's cell types.
    pub fn no_target(&self, term: &dyn TermScene, what: &str) -> Error {
        self.nothing(term, &format!("no cell type of the network's core has {what} in the targets table"))
    }
}

/// The neurons that are of some cell types among those of each type.
pub fn covered(cell_types: &[usize], by_type: &[Vec<usize>]) -> Vec<usize> {
    cell_types.iter().flat_map(|&cell_type_ix| by_type[cell_type_ix].iter().copied()).collect()
}

//! The scene: what a user writes, as RON, before anything is derived from it. [`crate::plan`] validates it.
//!
//! Unknown fields are refused everywhere. A field has a default only where leaving it out cannot change a result in
//! a way that would surprise. `Option` fields take a bare value or `None`.

use std::path::{Path, PathBuf};

use ron::extensions::Extensions;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod overrides;

/// A run: network, cells, stimulus, losses and training. Ranges are checked by [`crate::plan::Plan::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Seed of every random number of the run (network, trials, spikes of LGN and background units).
    pub seed: u64,
    /// Folder of the tables, relative to the scene's own file.
    #[serde(default = "default_tables")]
    pub tables: PathBuf,
    /// Which network is built.
    pub network: NetworkScene,
    /// Cell and synapse model.
    pub cells: CellsScene,
    /// Time step and length of a trial.
    pub time: TimeScene,
    /// Trials of a training step and what they show.
    pub trials: TrialsScene,
    /// Surrogate derivative of the spike in the adjoint pass.
    pub surrogate: SurrogateScene,
    /// Terms of the loss; `None` switches a term off.
    pub losses: LossesScene,
    /// Which parameters training changes.
    pub learn: LearnScene,
    /// How training changes them.
    pub optimiser: OptimiserScene,
    /// Memory of the adjoint pass.
    #[serde(default)]
    pub checkpoint: CheckpointScene,
    /// Evaluation of the network between and after training steps.
    pub evaluate: EvaluateScene,
}

/// The network to build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum NetworkScene {
    /// A cylinder of mouse primary visual cortex with its LGN and background input.
    V1(V1Scene),
    /// One neuron of each of the 201 cell models and no edge: for tests of cells and a first look.
    CellsOnly(CellsOnlyScene),
}

/// A cylinder of mouse V1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V1Scene {
    /// Radius of the cylinder, um, in (0, 850].
    pub radius_um: f64,
    /// Radius of the core, um, in (0, radius_um]: targets within 1.5 core radii have the displaced, stretched
    /// connection kernel; losses and evaluation read only neurons of the core.
    pub core_radius_um: f64,
    /// Factor on every recurrent weight that the tables imply, >= 0.
    #[serde(default = "one")]
    pub recurrent_weight_factor: f64,
    /// Input from the thalamus.
    pub lgn: LgnScene,
    /// Input from the rest of the brain.
    pub background: BackgroundScene,
}

/// Input from the lateral geniculate nucleus. The 17,400 units are those of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LgnScene {
    /// Factor on every LGN weight that the tables imply, >= 0.
    #[serde(default = "one")]
    pub weight_factor: f64,
}

/// Input from independent Poisson units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackgroundScene {
    /// Number of units, 1..=10000 (published: 100).
    pub n_units: u32,
    /// Rate of each unit, Hz, >= 0 with rate_hz * dt <= 1 spike a step (published: 250).
    pub rate_hz: f64,
    /// Units that project to each neuron, 0..=n_units (published: 4).
    pub edges_per_neuron: u32,
    /// Factor on every background weight that the tables imply, >= 0.
    #[serde(default = "one")]
    pub weight_factor: f64,
}

/// One neuron of each cell model, without edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellsOnlyScene {
    /// Constant current injected into every soma, pA, in [-10000, 10000].
    pub current_pa: f64,
}

/// Cell and synapse model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellsScene {
    /// Membrane model.
    pub mode: ModeScene,
    /// How the measured synaptic kinetics are put on a neuron's ports.
    pub ports: PortsScene,
}

/// Membrane model (MODEL.md).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ModeScene {
    /// The published point model: one compartment, synapses are currents, exact propagators.
    Point,
    /// Soma and dendrite, synapses are conductances.
    TwoCompartment {
        /// Share of the measured capacitance and leak conductance that lies on the dendrite, in (0, 1).
        dendrite_fraction: f64,
        /// Coupling conductance as a multiple of the cell's leak conductance, in (0, 1000].
        coupling_ratio: f64,
        /// Reversal potential of excitatory ports, mV, in [-40, 100].
        e_exc_mv: f64,
        /// Reversal potential of inhibitory ports, mV, in [-120, -60].
        e_inh_mv: f64,
    },
}

/// How the measured double-alpha kinetics are put on a neuron's ports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PortsScene {
    /// Every synaptic class has its own two alphas (up to 20 ports): the published kinetics.
    Exact,
    /// Few ports whose time constants are chosen per target type and shared by the classes.
    Fitted {
        /// Excitatory ports, 1..=8.
        n_exc: u32,
        /// Ports of inhibition onto the soma (PV), 1..=4.
        n_inh_soma: u32,
        /// Ports of inhibition onto the dendrite (SST, VIP), 1..=4.
        n_inh_dendrite: u32,
    },
}

/// Time of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeScene {
    /// Time step, ms, in [0.01, 1].
    pub dt_ms: f64,
    /// Length of a trial, ms, a whole number of steps, 1 to 100000 steps.
    pub duration_ms: f64,
    /// Rates count spikes from here to the end of the trial, ms, in [0, duration_ms).
    #[serde(default)]
    pub analysis_start_ms: f64,
}

/// Trials of a training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialsScene {
    /// Trials that show the grating.
    pub n_evoked: u32,
    /// Trials that show a grey screen. With n_evoked 1..=32 in all.
    pub n_spontaneous: u32,
    /// The drifting grating of the evoked trials.
    pub grating: GratingScene,
}

/// A drifting grating.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GratingScene {
    /// Direction of each evoked trial.
    pub directions: DirectionsScene,
    /// Spatial frequency, cycles per degree, in (0, 1].
    pub spatial_frequency_cpd: f64,
    /// Temporal frequency, Hz, in [0, 60].
    pub temporal_frequency_hz: f64,
    /// Michelson contrast, in [0, 1].
    pub contrast: f64,
    /// The screen is grey before this time of the trial, ms, in [0, duration_ms]. The filters of the LGN have seen
    /// grey for ever before the trial begins.
    #[serde(default)]
    pub onset_ms: f64,
}

/// Directions of the evoked trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum DirectionsScene {
    /// Uniform in [0, 360) deg, drawn for each trial of each training step; so is the grating's phase.
    Random,
    /// These, deg, in [0, 360), taken in turn by the trials of one step after another.
    Degrees(Vec<f64>),
}

/// Triangular surrogate of the spike's derivative, psi(v) = height * max(0, 1 - |v| / half_width) with
/// v = (V - V_th) / (V_th - E_L).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurrogateScene {
    /// Half width of the support in units of V_th - E_L, in (0, 10]. The cost of the adjoint pass follows it.
    pub half_width: f64,
    /// Height at threshold, in (0, 100].
    pub height: f64,
}

/// Terms of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossesScene {
    /// Distribution of firing rates per cell type, under gratings and under grey screens, as far as the batch has them.
    pub rates: Option<RatesLossScene>,
    /// Orientation and direction selectivity per cell type; needs evoked trials.
    pub selectivity: Option<SelectivityLossScene>,
    /// Membrane potentials far from their working range; keeps silent cells trainable.
    pub voltage: Option<VoltageLossScene>,
}

/// Quantile Huber loss between a cell type's rates and the recorded quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Rate error below which the loss is quadratic, Hz, > 0.
    pub huber_hz: f64,
    /// Share of each cell type in the term.
    #[serde(default = "per_type")]
    pub shares: SharesScene,
}

/// How much each cell type counts in a term of the loss. Either way the shares add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SharesScene {
    /// Every cell type the same: a rare type is held as firmly as a common one.
    PerType,
    /// Every neuron the same: a type counts by its number of neurons.
    PerNeuron,
}

/// Loss on orientation and direction selectivity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectivityLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, by which a neuron's response is divided: it bounds the say of neurons that hardly fire.
    #[serde(default = "half")]
    pub min_rate_hz: f64,
    /// What the running mean of each neuron's rate keeps per training step, in [0, 1).
    #[serde(default = "default_rate_mean_decay")]
    pub rate_mean_decay: f64,
    /// Share of each cell type in the term.
    #[serde(default = "per_neuron")]
    pub shares: SharesScene,
}

/// Loss on membrane potentials outside a range, in units of (V - E_L) / (V_th - E_L): 0 at rest, 1 at threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoltageLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Lower end of the free range, in [-100, 100].
    #[serde(default)]
    pub x_low: f64,
    /// Upper end of the free range, above x_low, at most 100.
    #[serde(default = "one")]
    pub x_high: f64,
}

/// Which parameters training changes, and how far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnScene {
    /// Weight of every recurrent edge.
    pub recurrent_weights: bool,
    /// Weight of every background edge.
    pub background_weights: bool,
    /// Weight of every LGN edge.
    #[serde(default)]
    pub lgn_weights: bool,
    /// Leak conductance of each cell model.
    #[serde(default)]
    pub leak_conductance: bool,
    /// Spike threshold of each cell model.
    #[serde(default)]
    pub threshold: bool,
    /// Amplitudes of the after-spike currents of each cell model.
    #[serde(default)]
    pub after_spike_amplitudes: bool,
    /// Coupling conductance of each cell model; two-compartment mode only.
    #[serde(default)]
    pub coupling_conductance: bool,
    /// Factor on all weights of each pair type.
    #[serde(default)]
    pub pair_scale: bool,
    /// How far cell parameters and pair factors may go from their measured values.
    #[serde(default)]
    pub bounds: BoundsScene,
}

/// How far learned cell parameters and pair factors may go from their measured values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundsScene {
    /// Leak conductance within [measured / f, measured * f], f in (1, 10].
    pub leak_conductance_factor: f64,
    /// Threshold within measured -+ this, mV, in (0, 20].
    pub threshold_mv: f64,
    /// After-spike amplitudes within measured -+ this fraction of their size, in (0, 10].
    pub after_spike_fraction: f64,
    /// Coupling conductance within [start / f, start * f], f in (1, 10].
    pub coupling_factor: f64,
    /// Pair factors within [1 / f, f], f in (1, 100].
    pub pair_scale_factor: f64,
}

/// The optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimiserScene {
    /// Update rule of the weights; cell parameters and pair factors use Adam in their log or offset form.
    pub kind: OptimiserKind,
    /// Learning rate of the weights, > 0: relative change a step for ExponentiatedAdam, nS (pA in point mode) a step
    /// for Adam.
    pub learning_rate: f64,
    /// Learning rate of the cell parameters in their log or offset form, > 0.
    #[serde(default = "default_parameter_rate")]
    pub cell_learning_rate: f64,
    /// Learning rate of the logarithm of the pair factors, > 0.
    #[serde(default = "default_parameter_rate")]
    pub scale_learning_rate: f64,
    /// Decay of the first moment, in [0, 1).
    #[serde(default = "default_beta1")]
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    #[serde(default = "default_beta2")]
    pub beta2: f64,
    /// Added to the root of the second moment, > 0.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
    /// Training steps over which the learning rate rises from 0, 0..=training_steps.
    #[serde(default)]
    pub warmup_steps: u32,
    /// Training steps of the whole schedule, 0..=1000000; 0 only evaluates.
    pub training_steps: u32,
    /// The cosine schedule ends at this fraction of the learning rate, in [0, 1]; 1 keeps it constant.
    #[serde(default = "one")]
    pub final_fraction: f64,
    /// Limit on the norm of the weights' gradient, > 0; `None` does not clip.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// The run folder's checkpoint is written every so many training steps (and at the end), >= 1.
    #[serde(default = "default_save_every")]
    pub save_every_steps: u32,
}

/// Update rule of the weights. Both keep every weight on its own side of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimiserKind {
    /// w <- max(0, w - lr m / (sqrt v + eps)).
    Adam,
    /// w <- w exp(-lr m / (sqrt v + eps)); keeps log-normal weights log-normal.
    ExponentiatedAdam,
}

/// Memory of the adjoint pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointScene {
    /// Time steps between two kept states.
    #[serde(default)]
    pub steps_between: StepsBetween,
    /// Device memory the run may use, MiB, >= 1.
    #[serde(default = "default_budget")]
    pub memory_budget_mib: u32,
}

/// Time steps between two kept states of the adjoint pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepsBetween {
    /// All steps on the tape, without recomputation, where that takes at most half of the memory budget; else about the
    /// square root of the number of steps.
    #[default]
    Auto,
    /// So many, from 1 to the number of steps of a trial.
    Steps(u32),
}

/// Evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateScene {
    /// Evaluates before training and every so many training steps; 0 only at the end.
    #[serde(default)]
    pub every_steps: u32,
    /// Directions of the gratings, deg, in [0, 360), at least one; eight or more for selectivity.
    pub directions_deg: Vec<f64>,
    /// Trials of each direction, and of the grey screen, 1..=1000.
    pub n_trials: u32,
}

fn default_tables() -> PathBuf {
    PathBuf::from("v1")
}
fn one() -> f64 {
    1.0
}
fn half() -> f64 {
    0.5
}
fn default_rate_mean_decay() -> f64 {
    0.95
}
fn per_type() -> SharesScene {
    SharesScene::PerType
}
fn per_neuron() -> SharesScene {
    SharesScene::PerNeuron
}
fn default_parameter_rate() -> f64 {
    0.001
}
fn default_beta1() -> f64 {
    0.9
}
fn default_beta2() -> f64 {
    0.999
}
fn default_epsilon() -> f64 {
    1e-8
}
fn default_save_every() -> u32 {
    50
}
fn default_budget() -> u32 {
    4096
}

impl Default for BoundsScene {
    fn default() -> Self {
        Self {
            leak_conductance_factor: 2.0,
            threshold_mv: 5.0,
            after_spike_fraction: 1.0,
            coupling_factor: 4.0,
            pair_scale_factor: 4.0,
        }
    }
}

impl Default for CheckpointScene {
    fn default() -> Self {
        Self { steps_between: StepsBetween::Auto, memory_budget_mib: default_budget() }
    }
}

impl Scene {
    /// Reads a scene file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::file(file, "there is no such scene file"),
            std::io::ErrorKind::InvalidData => Error::file(file, "is not a scene: it is not UTF-8 text"),
            _ => Error::file(file, source.to_string()),
        })?;
        Self::parse(file, &text)
    }

    /// Reads a scene from its text; `file` is only named in messages.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        dialect().from_str(text).map_err(|e| {
            let at = e.span.start;
            Error::file(file, format!("line {}, column {}: {}", at.line, at.col, e.code))
        })
    }

    /// The scene with `--set path=value` applied in order, e.g. `time.dt_ms=0.5` or `cells.mode=Point`: a dotted path
    /// of field names (variant names are left out) and a value in RON.
    pub fn with_overrides(&self, settings: &[String]) -> Result<Self> {
        settings.iter().try_fold(self.clone(), |scene, setting| overrides::apply(&scene, setting))
    }

    /// The whole scene as RON, defaults written out.
    pub fn to_ron(&self) -> Result<String> {
        let pretty = ron::ser::PrettyConfig::new().compact_arrays(true);
        dialect()
            .to_string_pretty(self, pretty)
            .map_err(|e| Error::Failed(format!("the scene cannot be written as RON: {e}")))
    }
}

/// The innermost field in which two scenes differ, as (path, value in `a`, value in `b`); fields at or under a path of
/// `but` are left out.
pub fn first_difference(a: &Scene, b: &Scene, but: &[&str]) -> Result<Option<(String, String, String)>> {
    overrides::first_difference(a, b, but)
}

/// RON as scenes use it: an `Option` takes a bare value, a variant with one struct takes its fields directly.
fn dialect() -> ron::Options {
    ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES)
}

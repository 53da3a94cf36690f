//! The scene: what a user writes, as RON, before anything is derived from it. [`crate::plan`] validates it.
//!
//! Unknown fields are refused everywhere. A field has a default only where leaving it out cannot change a result in
//! a way that would surprise. `Option` fields take a bare value or `None`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ron::extensions::Extensions;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::loss::LossesScene;
use crate::loss::targets::RECORDED_CONTRAST;
use crate::shipped;

mod cells;
mod learning;
mod network;
mod overrides;
mod trials;

pub use crate::network::scene::LesionScene;
pub use cells::{CellsScene, ModeScene, PortsScene};
pub use learning::{AdjointScene, BoundsScene, LearnScene, OptimiserKind, OptimiserScene};
pub use network::{
    BackgroundScene, CellsOnlyScene, EarlySpikesScene, LgnScene, NetworkScene, SonataInputScene, SonataScene,
    V1Scene,
};
pub(crate) use overrides::edit_distance;
pub use trials::{DirectionsScene, GratingScene, StartScene, TimeScene, TrialsScene};

/// A run: network, cells, stimulus, losses and training. Ranges are checked by [`crate::plan::Plan::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Seed of every random number of the run (network, trials, spikes of LGN and background units).
    pub seed: u64,
    /// Folder of the tables, relative to the scene's own file.
    #[serde(default = "default_tables")]
    pub tables: PathBuf,
    /// Folder of recorded rates and selectivity in place of the tables' own, relative to the scene's own file, as `simrun import neuropixels`
    /// writes it; the tables' own where it is not named.
    #[serde(default)]
    pub recordings: Option<PathBuf>,
    /// What training starts from: the network as it is built, or what another run has learned.
    #[serde(default)]
    pub start: OriginScene,
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
    /// What the adjoint pass is damped by.
    #[serde(default)]
    pub adjoint: AdjointScene,
    /// Memory of the adjoint pass.
    #[serde(default)]
    pub checkpoint: CheckpointScene,
    /// Evaluation of the network between and after training steps.
    pub evaluate: EvaluateScene,
}

/// What training starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OriginScene {
    /// The network as it is built.
    #[default]
    Built,
    /// What the run in this folder has learned, relative to the scene's own file: weights of the cells and edges that both networks have,
    /// cell parameters, pair factors, and its calibration where the scene names none. Edges that are new start from the law of their pair
    /// type in the trained network.
    Run(PathBuf),
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

/// Memory of the adjoint pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointScene {
    /// Time steps between two kept states, and on the tape at once.
    #[serde(default)]
    pub steps_between: StepsBetween,
    /// Device memory the run may use, MiB, >= 1.
    #[serde(default = "default_budget")]
    pub memory_budget_mib: u32,
}

/// Time steps between two kept states of the adjoint pass, counted from the end of the trials: the last of them are taped in the
/// forward pass, each earlier one runs once more in the adjoint pass. Results do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepsBetween {
    /// As many as the memory budget allows, or else as the adapter has room for; all of them, where it can be.
    #[default]
    Auto,
    /// So many, from 1 to the number of steps of a trial.
    Steps(u32),
}

/// Evaluation. A network that came with its inputs (`network: Sonata`) shows each of them equally often instead: `directions_deg`, `contrasts`
/// and `n_trials` do nothing there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateScene {
    /// Evaluates before training and every so many training steps; 0 only at the end.
    #[serde(default)]
    pub every_steps: u32,
    /// Directions of the gratings, deg, in [0, 360), at least one; eight or more for selectivity.
    pub directions_deg: Vec<f64>,
    /// Contrasts, in [0, 1], of further gratings for contrast-response curves, in four directions 45 deg apart as in the
    /// recordings, where they were 0.04, 0.08, 0.13, 0.2, 0.35, 0.6 and 1. The gratings of 0.8 are those of `directions_deg` and are classed with
    /// them if the four directions are among these. Classes need three contrasts in all and two trials of each. Empty: no such curves.
    #[serde(default)]
    pub contrasts: Vec<f64>,
    /// Trials of each direction (and contrast), and of the grey screen, 1..=1000.
    pub n_trials: u32,
    /// Also measures the population Fano factors, for the report and `summary.json`.
    #[serde(default)]
    pub fano: bool,
    /// Potentials that are recorded and written to the run folder, `reports/NAME.h5`.
    #[serde(default)]
    pub reports: Vec<ReportScene>,
}

/// Potentials of some neurons in one trial of the evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportScene {
    /// Name of the file: letters, digits, `_` and `-`; each once.
    pub name: String,
    /// What is recorded.
    #[serde(default)]
    pub variable: ReportVariable,
    /// Of which neurons.
    pub neurons: ReportNeuronsScene,
    /// Trial of the evaluation, from 0, as in `trials.csv`.
    #[serde(default)]
    pub trial: u32,
    /// Time between two samples, ms, a whole number of time steps, at most the length of a trial.
    pub interval_ms: f64,
}

/// A quantity that a report records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportVariable {
    /// Potential of the soma after the time step (and its reset), mV.
    #[default]
    SomaPotential,
    /// Potential of the dendrite after the time step, mV; two-compartment mode only.
    DendritePotential,
}

/// The neurons of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ReportNeuronsScene {
    /// These, by number in the order of the network, from 0, at least one.
    Listed(Vec<u32>),
    /// These, by population and node id, as the outputs name them, at least one, e.g. `{"v1": [8, 55]}`.
    Nodes(BTreeMap<String, Vec<u64>>),
    /// A share of the neurons of each cell type, evenly spaced among them, at least one.
    Share {
        /// The share, in (0, 1].
        share: f64,
        /// Cell types, e.g. `L4_Exc`. Empty: all.
        #[serde(default)]
        cell_types: Vec<String>,
    },
}

fn default_tables() -> PathBuf {
    PathBuf::from("v1")
}

fn default_budget() -> u32 {
    3800
}

fn one() -> f64 {
    1.0
}

impl Default for CheckpointScene {
    fn default() -> Self {
        Self { steps_between: StepsBetween::Auto, memory_budget_mib: default_budget() }
    }
}

impl Scene {
    /// Reads a scene file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = shipped::read_text(file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::file(file, not_there(file)),
            std::io::ErrorKind::InvalidData => Error::file(file, "is not a scene: it is not UTF-8 text"),
            _ => Error::file(file, source.to_string()),
        })?;
        Self::parse(file, &text)
    }

    /// Reads a scene from its text; `file` is only named in messages.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        from_ron(file, text)
    }

    /// The scene with `--set path=value` applied in order, e.g. `time.dt_ms=0.5` or `cells.mode=Point`: a dotted path
    /// of field names (variant names are left out) and a value in RON.
    pub fn with_overrides(&self, settings: &[String]) -> Result<Self> {
        settings.iter().try_fold(self.clone(), |scene, setting| overrides::apply(&scene, setting))
    }

    /// Contrast of the gratings that are compared with recordings, where it is another than that of the recordings. Recordings of the user's
    /// own are of a contrast that only the user knows.
    pub fn other_contrast(&self) -> Option<f64> {
        let contrast = self.trials.grating.contrast;
        (contrast != RECORDED_CONTRAST && self.recordings.is_none()).then_some(contrast)
    }

    /// Every field as (dotted path, value in RON), defaults written out, outer fields before inner ones.
    pub fn fields(&self) -> Result<Vec<(String, String)>> {
        overrides::fields(self)
    }

    /// The whole scene as RON, defaults written out.
    pub fn to_ron(&self) -> Result<String> {
        to_ron(self)
    }
}

fn not_there(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    let own = shipped::scenes().into_iter().find(|(name, _)| stem == *name);
    let hint = own.map(|(name, _)| format!("; simrun new {name} --template {name} writes {name}.ron"));
    format!("there is no such scene file{}", hint.unwrap_or_default())
}

/// Reads RON in the dialect of scenes; `file` is only named in messages.
pub fn from_ron<T: serde::de::DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    dialect().from_str(text).map_err(|e| {
        let at = e.span.start;
        Error::file(file, format!("line {}, column {}: {}", at.line, at.col, e.code))
    })
}

/// Writes RON in the dialect of scenes.
pub fn to_ron(value: &impl Serialize) -> Result<String> {
    let pretty = ron::ser::PrettyConfig::new().compact_arrays(true);
    dialect()
        .to_string_pretty(value, pretty)
        .map_err(|e| Error::Failed(format!("it cannot be written as RON: {e}")))
}

/// Writes RON in the dialect of scenes on one line.
pub fn to_ron_line(value: &impl Serialize) -> Result<String> {
    dialect().to_string(value).map_err(|e| Error::Failed(format!("it cannot be written as RON: {e}")))
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

//! Which network is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{LesionScene, one};
use crate::network::scene::{EmScene, RecurrentWeightsScene};

/// The network to build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum NetworkScene {
    /// A cylinder of mouse primary visual cortex with its LGN and background input.
    V1(V1Scene),
    /// One neuron of each of the 201 cell models and no edge: for tests of cells and a first look.
    CellsOnly(CellsOnlyScene),
    /// A circuit in SONATA files, as BMTK and libsonata write them.
    Sonata(SonataScene),
}

/// A cylinder of mouse V1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V1Scene {
    /// Radius of the cylinder, um, in (0, 850].
    pub radius_um: f64,
    /// Radius of the core, um, in (0, radius_um]: targets within 1.5 core radii have the displaced
    /// connection kernel; losses and evaluation read only neurons of the core.
    pub core_radius_um: f64,
    /// Factor on every recurrent weight that the tables imply, >= 0.
    #[serde(default = "one")]
    pub recurrent_weight_factor: f64,
    /// What recurrent weights are drawn from.
    #[serde(default)]
    pub recurrent_weights: RecurrentWeightsScene,
    /// Tables of electron microscopy in place of the builder's neurons and recurrent edges.
    #[serde(default)]
    pub em: Option<Box<EmScene>>,
    /// Cells that are taken out of the network, with all their edges. None: none.
    #[serde(default)]
    pub lesion: Option<LesionScene>,
    /// Table of factors on the LGN and background weights of each cell model, relative to the scene's own file, as `simrun calibrate` writes
    /// it. None: the weights that the tables imply.
    #[serde(default)]
    pub calibration: Option<PathBuf>,
    /// Input from the thalamus.
    pub lgn: LgnScene,
    /// Input from the rest of the brain.
    pub background: BackgroundScene,
}

impl NetworkScene {
    /// The calibration table, if the network has one.
    pub fn calibration(&self) -> Option<&Path> {
        match self {
            Self::V1(v1) => v1.calibration.as_deref(),
            Self::Sonata(sonata) => sonata.calibration.as_deref(),
            Self::CellsOnly(_) => None,
        }
    }

    /// Names another calibration table, or none; cells without synapses have none to name.
    pub fn set_calibration(&mut self, table: Option<PathBuf>) {
        match self {
            Self::V1(v1) => v1.calibration = table,
            Self::Sonata(sonata) => sonata.calibration = table,
            Self::CellsOnly(_) => {}
        }
    }
}

/// A circuit in SONATA files. `cells` must be the point model with exact ports, whose weights are the circuit's, in pA; time step and
/// length of a trial are the scene's, not the configuration's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SonataScene {
    /// Configuration, relative to the scene's own file: a circuit, a simulation that names its circuit, or a file that names both.
    pub config: PathBuf,
    /// Values for variables of the configuration's manifests, in place of its own, e.g. `{"$COMPONENT_DIR": "/data/components"}`; relative
    /// paths start at the scene's own file.
    #[serde(default)]
    pub manifest: BTreeMap<String, String>,
    /// Attribute of the nodes that names their cell type. None: the first of cell_type, pop_name, model_name, ei that all nodes of a
    /// population have, else the population's name.
    #[serde(default)]
    pub cell_type: Option<String>,
    /// Cell type for names of that attribute. Where all names stand for cell types of mouse V1 (their own names, those of this
    /// project's populations, or through this map), the network can be compared with the recordings.
    #[serde(default)]
    pub cell_types: BTreeMap<String, String>,
    /// Node set (or population) of the neurons that losses and evaluation read. None: all.
    #[serde(default)]
    pub node_set: Option<String>,
    /// Virtual populations whose units count as background (`learn.background_weights`); all others count as LGN.
    #[serde(default = "default_background")]
    pub background: Vec<String>,
    /// Functions under `weight_function` of the edge types that mean syn_weight times nsyns, beside BMTK's defaults.
    #[serde(default)]
    pub weight_functions: Vec<String>,
    /// Table of factors on the weights of virtual populations onto each cell model, relative to the scene's own file, as `simrun calibrate`
    /// writes it. None: the circuit's own weights.
    #[serde(default)]
    pub calibration: Option<PathBuf>,
    /// What becomes of spikes at or before time 0, which have no time step.
    #[serde(default)]
    pub early_spikes: EarlySpikesScene,
    /// What trials show, each a piece of recorded spikes. Those with a direction are taken in turn by the evoked trials, the others by the
    /// spontaneous ones; an evaluation shows all equally often. Empty: the inputs of the configuration from time 0 on, in spontaneous trials.
    #[serde(default)]
    pub inputs: Vec<SonataInputScene>,
}

/// What becomes of spikes of the inputs at or before time 0, in a trial that begins there: a spike of the first step has the time dt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EarlySpikesScene {
    /// They are refused, as BMTK and NEST do.
    #[default]
    Refuse,
    /// They are left out.
    Drop,
    /// Those at 0, as other simulators write them, are taken in the first step; earlier ones are refused.
    FirstStep,
}

/// Spikes of the virtual populations in a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SonataInputScene {
    /// Files of spikes (SONATA, CSV or NWB), relative to the scene's own file, by virtual population. Empty: the inputs of the configuration.
    #[serde(default)]
    pub spikes: BTreeMap<String, PathBuf>,
    /// Time in the files at which the trial begins, ms, >= 0.
    #[serde(default)]
    pub start_ms: f64,
    /// Direction of the grating that the spikes are of, deg, in [0, 360). None: no grating.
    #[serde(default)]
    pub direction_deg: Option<f64>,
    /// Contrast of that grating, in [0, 1]. None: `trials.grating.contrast`.
    #[serde(default)]
    pub contrast: Option<f64>,
}

fn default_background() -> Vec<String> {
    vec!["bkg".to_owned()]
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

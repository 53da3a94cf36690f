//! Time, trials and what they show.

use serde::{Deserialize, Serialize};

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
    /// Trials that show a grey screen. With n_evoked 1..=32 in all; on several ranks so many a rank.
    pub n_spontaneous: u32,
    /// State in which the trials of training and evaluation start.
    #[serde(default)]
    pub start: StartScene,
    /// The drifting grating of the evoked trials.
    pub grating: GratingScene,
}

/// State in which trials start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum StartScene {
    /// At rest: the leak reversal potential, without synaptic input or after-spike currents.
    #[default]
    Rest,
    /// As a grey screen leaves each trial's cells, run before every batch with the weights of the moment; spikes on their way are dropped
    /// (docs/model.md, E11). Only networks with a screen, `network: V1`.
    Settled {
        /// How long the grey screen is shown before, ms, a whole number of steps, at most 5000.
        grey_ms: f64,
    },
}

/// A drifting grating. Where trials show recorded inputs (`network: Sonata`) only `contrast` says something: that of inputs that give none,
/// and of the trials that are compared with recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GratingScene {
    /// Direction of each evoked trial.
    pub directions: DirectionsScene,
    /// Spatial frequency, cycles per degree, in (0, 1].
    pub spatial_frequency_cpd: f64,
    /// Temporal frequency, Hz, in [0, 60].
    pub temporal_frequency_hz: f64,
    /// Michelson contrast, in [0, 1]: that of the trials that the recordings are compared with (recorded at 0.8).
    pub contrast: f64,
    /// Contrasts, in [0, 1], `contrast` among them, that the evoked trials of one step after another take in turn; listed directions
    /// move on when all contrasts have been shown. A training step has at least so many evoked trials. Only the contrast loss takes the trials of another
    /// contrast than `contrast`. Empty: `contrast` throughout.
    #[serde(default)]
    pub contrasts: Vec<f64>,
    /// The screen is grey before this time of the trial, ms, in [0, time.analysis_start_ms], so that rates are those under the grating. The
    /// filters of the LGN have seen grey for ever before the trial begins.
    #[serde(default)]
    pub onset_ms: f64,
}

/// Directions of the evoked trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum DirectionsScene {
    /// Uniform in [0, 360) deg, drawn for each trial of each training step; so is the grating's phase.
    Random,
    /// Spaced evenly round the circle, the whole turned by a uniform angle that is drawn for each training step; phases as above. Where
    /// several contrasts are shown, the trials of each are spaced evenly. Every batch then covers the circle, which takes most of the
    /// noise out of what a batch says of tuning.
    Stratified,
    /// These, deg, in [0, 360), taken in turn by the trials of one step after another.
    Degrees(Vec<f64>),
}

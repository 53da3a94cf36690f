//! What one trial shows: a drifting grating after grey, or grey throughout.
//!
//! The luminance of the screen is a contrast signal `s` in -1..1 around grey (`s = 0`). A grating shows, at the place
//! (x, y) in degrees of visual angle (x to the right, y upward) and at the time t >= onset,
//!
//! `s = contrast * sin(2 pi (sf * (x cos(dir) + y sin(dir)) - tf * (t - onset)) + phase)`
//!
//! so it drifts towards `direction_deg`, counted anticlockwise from rightward.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::spatial::{Complex, grating_amplitude};

/// A sinusoidal drifting grating that replaces grey at its onset and stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grating {
    /// Direction of drift, degrees anticlockwise from rightward; any finite value.
    pub direction_deg: f64,
    /// Spatial frequency, cycles per degree of visual angle, in 0 < sf <= 1.
    pub spatial_frequency_cpd: f64,
    /// Temporal frequency, Hz, in 0..=60; 0 is a standing grating.
    pub temporal_frequency_hz: f64,
    /// Michelson contrast, 0..=1.
    pub contrast: f64,
    /// Phase at the origin of the visual field at onset, degrees; any finite value.
    pub phase_deg: f64,
    /// Time of the first grating frame from the start of the trial, ms, >= 0; grey before.
    pub onset_ms: f64,
}

/// What one trial shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum TrialCondition {
    /// A uniform screen of mean luminance: every LGN unit fires at its spontaneous rate.
    Grey,
    /// A drifting grating.
    Grating(Grating),
}

impl TrialCondition {
    /// Its name in tables of trials.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Grey => "grey",
            Self::Grating(_) => "drifting_grating",
        }
    }

    /// Its numbers; none of grey.
    pub fn grating(&self) -> Option<&Grating> {
        match self {
            Self::Grey => None,
            Self::Grating(grating) => Some(grating),
        }
    }

    /// What a Gaussian of `sigma_deg` at `centre_deg` sees of it on a screen of `screen_deg`: the complex amplitude `D` of
    /// [`grating_amplitude`].
    pub fn amplitude(&self, centre_deg: [f64; 2], sigma_deg: f64, screen_deg: [f64; 2]) -> Complex {
        match self {
            Self::Grey => [0.0; 2],
            Self::Grating(grating) => grating_amplitude(grating, centre_deg, sigma_deg, screen_deg),
        }
    }
}

/// What is shown, for readers.
impl fmt::Display for TrialCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grey => write!(f, "a grey screen"),
            Self::Grating(g) => write!(
                f,
                "grey, then from {} ms on a grating that drifts towards {} deg (contrast {}, {} cycles/deg, {} Hz)",
                g.onset_ms, g.direction_deg, g.contrast, g.spatial_frequency_cpd, g.temporal_frequency_hz
            ),
        }
    }
}

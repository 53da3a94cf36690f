//! What one trial shows: a drifting grating after grey, or grey throughout.
//!
//! The luminance of the screen is a contrast signal `s` in -1..1 around grey (`s = 0`). A grating shows, at the place
//! (x, y) in degrees of visual angle (x to the right, y upward) and at the time t >= onset,
//!
//! `s = contrast * sin(2 pi (sf * (x cos(dir) + y sin(dir)) - tf * (t - onset)) + phase)`
//!
//! so it drifts towards `direction_deg`, counted anticlockwise from rightward.

use serde::{Deserialize, Serialize};

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

//! What one trial shows: a drifting grating after grey, or grey throughout.
//!
//! The luminance of the screen is a contrast signal `s` in -1..1 around grey (`s = 0`). A grating shows, at the place
//! (x, y) in degrees of visual angle (x to the right, y upward) and at the time t >= onset,
//!
//! `s = contrast * sin(2 pi (sf * (x cos(dir) + y sin(dir)) - tf * (t - onset)) + phase)`
//!
//! so it drifts towards `direction_deg`, counted anticlockwise from rightward.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A sinusoidal drifting grating that replaces grey at its onset and stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grating {
    /// Direction of drift, degrees anticlockwise from rightward; any finite value.
    pub direction_deg: f64,
    /// Spatial frequency, cycles per degree of visual angle, in 0 < sf <= 1.
    pub spatial_frequency_cpd: f64,
    /// Temporal frequency, Hz, in 0..=50; 0 is a standing grating.
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
    /// Refuses fields outside their range, naming `file` and the field below `path`.
    pub fn check(&self, file: &Path, path: &str) -> Result<()> {
        let Self::Grating(g) = self else { return Ok(()) };
        let range = |field: &str, value: f64, ok: bool, limit: &str| {
            if ok && value.is_finite() {
                Ok(())
            } else {
                Err(Error::field(file, format!("{path}.{field}"), value, limit))
            }
        };
        range("direction_deg", g.direction_deg, true, "must be finite (degrees)")?;
        let sf = g.spatial_frequency_cpd;
        range(
            "spatial_frequency_cpd",
            sf,
            sf > 0.0 && sf <= 1.0,
            "must be above 0, at most 1 cycle per degree",
        )?;
        let tf = g.temporal_frequency_hz;
        range("temporal_frequency_hz", tf, (0.0..=50.0).contains(&tf), "must be in 0 to 50 Hz")?;
        range("contrast", g.contrast, (0.0..=1.0).contains(&g.contrast), "must be in 0 to 1")?;
        range("phase_deg", g.phase_deg, true, "must be finite (degrees)")?;
        range("onset_ms", g.onset_ms, g.onset_ms >= 0.0, "must be at least 0 ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRATING: Grating = Grating {
        direction_deg: 45.0,
        spatial_frequency_cpd: 0.04,
        temporal_frequency_hz: 2.0,
        contrast: 0.8,
        phase_deg: 0.0,
        onset_ms: 500.0,
    };

    #[test]
    fn ranges_are_held_and_named() {
        let check = |g| TrialCondition::Grating(g).check(Path::new("s.ron"), "trials[0]");
        assert!(check(GRATING).is_ok());
        assert!(TrialCondition::Grey.check(Path::new("s.ron"), "trials[0]").is_ok());
        let bad = [
            ("direction_deg", Grating { direction_deg: f64::NAN, ..GRATING }),
            ("spatial_frequency_cpd", Grating { spatial_frequency_cpd: 0.0, ..GRATING }),
            ("temporal_frequency_hz", Grating { temporal_frequency_hz: 50.1, ..GRATING }),
            ("contrast", Grating { contrast: 1.01, ..GRATING }),
            ("phase_deg", Grating { phase_deg: f64::INFINITY, ..GRATING }),
            ("onset_ms", Grating { onset_ms: -1.0, ..GRATING }),
        ];
        for (field, grating) in bad {
            let message = check(grating).unwrap_err().to_string();
            assert!(message.contains(&format!("s.ron: trials[0].{field} = ")), "{message}");
        }
    }
}

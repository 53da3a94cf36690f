//! The spikes that the raster shows.

use std::path::Path;

use super::data::text;
use crate::error::{Error, Result};
use crate::scene::{NetworkScene, Scene};

/// The spikes of one trial.
pub(super) struct Trial {
    /// Direction of the grating, deg, and when it began, ms; None where the network sees none, or the scene does not say.
    pub(super) grating: Option<(f64, f64)>,
    /// Length of the trial, ms.
    pub(super) duration_ms: f64,
    /// Neuron and time (ms).
    pub(super) spikes: Vec<(u32, f64)>,
}

/// The first trial of the last evaluation, in which mouse V1 sees the first direction; None where no spikes were written.
pub(super) fn first_trial(dir: &Path, scene: &Scene) -> Result<Option<Trial>> {
    let file = dir.join("spikes.csv");
    let Some(text) = text(&file)? else { return Ok(None) };
    let mut spikes = Vec::new();
    for (ix, line) in text.lines().enumerate().skip(1) {
        let mut fields = line.split(',').skip(1);
        let neuron = fields.next().and_then(|f| f.parse().ok());
        let time_ms = fields.next().and_then(|f| f.parse().ok());
        let (Some(neuron), Some(time_ms)) = (neuron, time_ms) else {
            return Err(Error::file(&file, format!("line {}: is no trial, neuron and time", ix + 1)));
        };
        spikes.push((neuron, time_ms));
    }
    Ok(Some(Trial {
        grating: match &scene.network {
            NetworkScene::V1(_) => {
                let direction_deg = scene.evaluate.directions_deg.first().copied();
                direction_deg.map(|deg| (deg, scene.trials.grating.onset_ms))
            }
            NetworkScene::CellsOnly(_) | NetworkScene::Sonata(_) => None,
        },
        duration_ms: scene.time.duration_ms,
        spikes,
    }))
}

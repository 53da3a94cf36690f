//! The spikes that the raster shows.

use std::path::Path;

use crate::error::Result;
use crate::output::spikes::RecordedTrials;

/// The spikes of one trial.
pub(super) struct Trial {
    /// Direction of the grating, deg, and when it began, ms; None for another stimulus, or where the scene does not say.
    pub(super) grating: Option<(f64, f64)>,
    /// Length of the trial, ms.
    pub(super) duration_ms: f64,
    /// Neuron and time from the start of the trial (ms).
    pub(super) spikes: Vec<(u32, f64)>,
    /// Training steps behind the network, where the files say.
    pub(super) training_step: Option<u32>,
}

/// The first trial of the last evaluation, in which mouse V1 sees the first direction; None where the files were not written, or
/// not both by one evaluation.
pub(super) fn first_trial(dir: &Path) -> Result<Option<Trial>> {
    if !["trials.csv", "spikes.h5"].iter().all(|name| dir.join(name).exists()) {
        return Ok(None);
    }
    let recorded = RecordedTrials::read(dir)?;
    if !recorded.is_whole {
        return Ok(None);
    }
    let Some(trial) = recorded.trials.first() else { return Ok(None) };
    let all = recorded.neurons.iter().zip(&recorded.times_ms);
    let own = all.take_while(|(_, time_ms)| **time_ms <= trial.stop_ms);
    Ok(Some(Trial {
        grating: trial.direction_deg.zip(trial.onset_ms),
        duration_ms: trial.stop_ms - trial.start_ms,
        spikes: own.map(|(neuron, time_ms)| (*neuron, time_ms - trial.start_ms)).collect(),
        training_step: recorded.training_step,
    }))
}

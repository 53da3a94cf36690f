//! `reports/NAME.h5`: potentials of some neurons in one trial, as a SONATA report.

use std::path::Path;

use super::files::make_folder;
use super::h5::{self, Storage};
use super::spikes::POPULATION;
use crate::error::Result;

/// Potentials of some neurons in one trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PotentialReport {
    /// Name of the file, without `.h5`.
    pub name: String,
    /// Neurons, ascending.
    pub neurons: Vec<u32>,
    /// Whether they are the dendrites' potentials, not the somata's.
    pub of_dendrites: bool,
    /// Time between two samples, ms. The first is taken so long after the start of the trial.
    pub interval_ms: f64,
    /// `[n_samples][n_neurons]` mV.
    pub potential_mv: Vec<f32>,
}

impl PotentialReport {
    /// Replaces `reports/NAME.h5` in a run folder; `training_step` is that of the network.
    pub fn write(&self, dir: &Path, training_step: u32) -> Result<()> {
        let folder = dir.join("reports");
        make_folder(&folder)?;
        let n = self.neurons.len();
        let n_samples = self.potential_mv.len() / n.max(1);
        h5::write(&folder.join(format!("{}.h5", self.name)), Storage::Plain, |root| {
            root.number("training_step", training_step)?;
            let population = root.group("report")?.group(POPULATION)?;
            let mut data = population.dataset::<f32>("data", &[n_samples, n])?;
            data.append(&self.potential_mv)?;
            data.text("units", "mV")?;
            let mapping = population.group("mapping")?;
            let ids: Vec<u64> = self.neurons.iter().map(|n| u64::from(*n)).collect();
            mapping.column("node_ids", &ids)?.number("sorted", 1_u8)?;
            mapping.column("index_pointers", &(0..=n as u64).collect::<Vec<u64>>())?;
            // A neuron has one element: its soma, 0, or its dendrite, 1.
            mapping.column("element_ids", &vec![u32::from(self.of_dendrites); n])?;
            let stop_ms = (n_samples + 1) as f64 * self.interval_ms;
            mapping.column("time", &[self.interval_ms, stop_ms, self.interval_ms])?.text("units", "ms")
        })
    }
}

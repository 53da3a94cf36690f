//! The neurons and the spikes of a run's last evaluation as an NWB file, laid out as Allen's Visual Coding sessions are.
//!
//! NWB 2.8 with the tables of hdmf-common: `units` with the spike times of every neuron and where and what it is, `intervals` with the
//! presentations. Times are in seconds, trials follow one another as in `spikes.h5` (`src/output/spikes.rs`). The schema is not
//! cached in the file; pynwb reads and validates it with its own.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rust_hdf5::types::HBool;
use sha2::{Digest, Sha256};

use super::Trained;
use crate::error::{Error, Result};
use crate::hdf5::{Dataset, Group, Storage};
use crate::loss;
use crate::network::CELL_TYPES;
use crate::output::replace_hdf5;
use crate::output::spikes::{RecordedTrials, Trial};
use crate::output::{Progress, timestamp};
use crate::scene::NetworkScene;

const NWB_VERSION: &str = "2.8.0";

/// Writes the neurons of a run folder with their spikes in the trials of its last evaluation.
///
/// # Errors
/// Bad input for a folder that is no run or was never evaluated, or a file that exists; a failed run otherwise.
pub fn write_nwb(run: &Path, file: &Path, quiet: bool) -> Result<()> {
    if file.exists() {
        return Err(Error::field("command line", "--nwb", file.display(), "exists; name another file"));
    }
    let recorded = RecordedTrials::read(run)?;
    if !recorded.is_whole {
        let reason = "is of another evaluation than trials.csv: let the run go on, which evaluates it again";
        return Err(Error::file(run.join("spikes.h5"), reason));
    }
    let progress = Progress::new(quiet);
    let trained = Trained::read(run, &mut |text| progress.say(text))?;
    let n_neurons = trained.network.neurons.len() as u32;
    if let Some(neuron) = recorded.neurons.iter().find(|neuron| **neuron >= n_neurons) {
        let spikes = run.join("spikes.h5");
        return Err(Error::file(
            spikes,
            format!("has a spike of neuron {neuron}; the run has {n_neurons} neurons"),
        ));
    }
    let spikes = run.join("spikes.h5");
    let simulated = fs::metadata(&spikes).and_then(|m| m.modified()).map_err(Error::io(&spikes))?;
    let scene = trained.plan.scene.to_ron()?;
    let session =
        Session { identity: format!("{scene}{}", trained.training_step), trained, recorded, simulated };
    replace_hdf5(file, Storage::Plain, |root| session.write(root))
}

struct Session {
    trained: Trained,
    recorded: RecordedTrials,
    /// When the trials were simulated.
    simulated: SystemTime,
    /// What the ids of the objects are derived from.
    identity: String,
}

impl Session {
    fn write(&self, root: &Group) -> Result<()> {
        self.identify(root, "core", "NWBFile", "/")?;
        root.text("nwb_version", NWB_VERSION)?;
        let network = &self.trained.network;
        root.scalar_text("identifier", &self.object_id("session"))?;
        let description = format!(
            "simrun {}: {} simulated neurons of mouse V1 after {} training steps, seed {}, in {} trials",
            env!("CARGO_PKG_VERSION"),
            network.neurons.len(),
            self.trained.training_step,
            self.trained.plan.scene.seed,
            self.recorded.trials.len()
        );
        root.scalar_text("session_description", &description)?;
        let start = iso_8601(self.simulated);
        root.scalar_text("session_start_time", &start)?;
        root.scalar_text("timestamps_reference_time", &start)?;
        root.text_column("file_create_date", &[&iso_8601(SystemTime::now())])?;
        for group in ["acquisition", "analysis", "general", "processing"] {
            root.group(group)?;
        }
        let stimulus = root.group("stimulus")?;
        stimulus.group("presentation")?;
        stimulus.group("templates")?;
        self.write_intervals(&root.group("intervals")?)?;
        self.write_units(root)
    }

    fn write_units(&self, root: &Group) -> Result<()> {
        let (neurons, tables) = (&self.trained.network.neurons, &self.trained.tables);
        let population = |i: usize| &tables.populations[usize::from(neurons.population_ix[i])];
        let all = 0..neurons.len();
        let texts = |of: &dyn Fn(usize) -> String| -> Vec<String> { all.clone().map(of).collect() };
        let names = self.trained.network.node_names();
        let ids: Vec<i64> =
            names.populations().flat_map(|(_, named)| named.ids.iter().map(|id| *id as i64)).collect();
        let mut table = Table::new(self, root, "units", "Units", "the neurons of the network", &ids)?;
        table.texts(
            "cell_type",
            "layer and class",
            &texts(&|i| CELL_TYPES[usize::from(neurons.cell_type_ix[i])].to_owned()),
        )?;
        table.texts(
            "population",
            "population of the published model",
            &texts(&|i| population(i).name.clone()),
        )?;
        table.texts("location", "area and layer", &texts(&|i| population(i).location.clone()))?;
        let models = &self.trained.network.cell_models;
        let ids: Vec<i64> = all.clone().map(|i| models[usize::from(neurons.model_ix[i])].id as i64).collect();
        table.numbers("cell_model", "id of the cell's GLIF model in the Allen Cell Types Database", &ids)?;
        table.numbers("x", "position in the cortical sheet, um", &neurons.x_um)?;
        table.numbers("y", "depth below the pia as a negative number, um", &neurons.y_um)?;
        table.numbers("z", "position in the cortical sheet, um", &neurons.z_um)?;
        let assigned =
            "preferred direction that the network was built with, deg anticlockwise from rightward";
        table.numbers("assigned_direction", assigned, &neurons.tuning_angle_deg)?;
        let radius_um = match &self.trained.plan.scene.network {
            NetworkScene::V1(v1) => v1.core_radius_um,
            _ => f64::INFINITY,
        };
        let mut in_core = vec![HBool(0); neurons.len()];
        loss::core_neurons(&self.trained.network, radius_um)
            .into_iter()
            .flatten()
            .for_each(|i| in_core[i] = HBool(1));
        table.numbers("in_core", "whether losses and evaluations look at the neuron", &in_core)?;
        let (ends, times_s) = self.spikes_by_neuron();
        let resolution_s = 1e-3 * self.trained.dynamics.dt_ms;
        let times = table.numbers("spike_times", "the spike times for each unit in seconds", &times_s)?;
        times.number("resolution", resolution_s)?;
        table.index("spike_times", &ends)?;
        table.finish()
    }

    /// End of each neuron's spikes, and all spike times (s), neuron after neuron.
    fn spikes_by_neuron(&self) -> (Vec<u64>, Vec<f64>) {
        let n = self.trained.network.neurons.len();
        let mut next = vec![0_usize; n + 1];
        for neuron in &self.recorded.neurons {
            next[*neuron as usize + 1] += 1;
        }
        for i in 0..n {
            next[i + 1] += next[i];
        }
        let ends = next[1..].iter().map(|end| *end as u64).collect();
        let mut times_s = vec![0.0; self.recorded.times_ms.len()];
        for (neuron, time_ms) in self.recorded.neurons.iter().zip(&self.recorded.times_ms) {
            times_s[next[*neuron as usize]] = 1e-3 * time_ms;
            next[*neuron as usize] += 1;
        }
        (ends, times_s)
    }

    /// Allen's tables of presentations, and all trials in NWB's own.
    fn write_intervals(&self, intervals: &Group) -> Result<()> {
        let all: Vec<&Trial> = self.recorded.trials.iter().collect();
        let (gratings, grey): (Vec<&Trial>, Vec<&Trial>) =
            all.iter().partition(|t| t.direction_deg.is_some());
        let mut trials = self.interval_table(
            intervals,
            "trials",
            "all trials, grey before a grating included",
            &all,
            |_| 0.0,
        )?;
        let numbers: Vec<i64> = all.iter().map(|t| i64::from(t.trial)).collect();
        trials.numbers("trial", "number of the trial in trials.csv", &numbers)?;
        let conditions: Vec<String> = all.iter().map(|t| t.condition.clone()).collect();
        trials.texts("condition", "what the trial showed", &conditions)?;
        trials.finish()?;
        if !gratings.is_empty() {
            let name = "drifting_gratings_presentations";
            let onset = |t: &Trial| t.onset_ms.unwrap_or(0.0);
            let mut table =
                self.interval_table(intervals, name, "gratings from their onset on", &gratings, onset)?;
            table.texts(
                "stimulus_name",
                "name of the stimulus",
                &vec!["drifting_gratings".to_owned(); gratings.len()],
            )?;
            let column = |of: &dyn Fn(&Trial) -> Option<f64>| -> Vec<f64> {
                gratings.iter().map(|t| of(t).unwrap_or(f64::NAN)).collect()
            };
            let orientation = "direction of drift, deg anticlockwise from rightward";
            table.numbers("orientation", orientation, &column(&|t| t.direction_deg))?;
            table.numbers("contrast", "Michelson contrast", &column(&|t| t.contrast))?;
            let spatial = "cycles per degree of visual angle";
            table.numbers("spatial_frequency", spatial, &column(&|t| t.spatial_frequency_cpd))?;
            table.numbers("temporal_frequency", "Hz", &column(&|t| t.temporal_frequency_hz))?;
            table.numbers("phase", "phase at onset, deg", &column(&|t| t.phase_deg))?;
            table.finish()?;
        }
        if !grey.is_empty() {
            let mut table =
                self.interval_table(intervals, "spontaneous_presentations", "grey trials", &grey, |_| 0.0)?;
            table.texts(
                "stimulus_name",
                "name of the stimulus",
                &vec!["spontaneous".to_owned(); grey.len()],
            )?;
            table.finish()?;
        }
        Ok(())
    }

    /// A table of intervals with its first columns; an interval starts `onset_ms` after its trial.
    fn interval_table<'a>(
        &'a self,
        parent: &Group,
        name: &'a str,
        description: &str,
        trials: &[&Trial],
        onset_ms: impl Fn(&Trial) -> f64,
    ) -> Result<Table<'a>> {
        let ids: Vec<i64> = (0..trials.len() as i64).collect();
        let mut table = Table::new(self, parent, name, "TimeIntervals", description, &ids)?;
        let starts: Vec<f64> = trials.iter().map(|t| 1e-3 * (t.start_ms + onset_ms(t))).collect();
        let stops: Vec<f64> = trials.iter().map(|t| 1e-3 * t.stop_ms).collect();
        table.numbers("start_time", "start of the interval, in seconds", &starts)?;
        table.numbers("stop_time", "end of the interval, in seconds", &stops)?;
        Ok(table)
    }

    /// An id for an object of the file, in the form of a UUID: a function of the run and the object's path.
    fn object_id(&self, path: &str) -> String {
        let hash = Sha256::digest(format!("{}{path}", self.identity));
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        // Version 8, "custom", and the variant of RFC 9562.
        format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    fn identify(&self, group: &Group, namespace: &str, kind: &str, path: &str) -> Result<()> {
        group.text("namespace", namespace)?;
        group.text("neurodata_type", kind)?;
        group.text("object_id", &self.object_id(path))
    }
}

/// A table of hdmf (`DynamicTable`) being written.
struct Table<'a> {
    session: &'a Session,
    group: Group,
    name: &'a str,
    colnames: Vec<String>,
}

impl<'a> Table<'a> {
    fn new(
        session: &'a Session,
        parent: &Group,
        name: &'a str,
        kind: &str,
        description: &str,
        ids: &[i64],
    ) -> Result<Self> {
        let group = parent.group(name)?;
        session.identify(&group, "core", kind, name)?;
        group.text("description", description)?;
        let table = Self { session, group, name, colnames: Vec::new() };
        let id = table.group.column("id", ids)?;
        table.identify(&id, "ElementIdentifiers", "id")?;
        Ok(table)
    }

    fn identify(&self, column: &Dataset, kind: &str, name: &str) -> Result<()> {
        column.text("namespace", "hdmf-common")?;
        column.text("neurodata_type", kind)?;
        column.text("object_id", &self.session.object_id(&format!("{}/{name}", self.name)))
    }

    fn column(&mut self, name: &str, description: &str, column: Dataset) -> Result<Dataset> {
        column.text("description", description)?;
        self.identify(&column, "VectorData", name)?;
        self.colnames.push(name.to_owned());
        Ok(column)
    }

    fn numbers<T: rust_hdf5::H5Type>(
        &mut self,
        name: &str,
        description: &str,
        values: &[T],
    ) -> Result<Dataset> {
        let column = self.group.column(name, values)?;
        self.column(name, description, column)
    }

    fn texts(&mut self, name: &str, description: &str, values: &[String]) -> Result<Dataset> {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let column = self.group.text_column(name, &values)?;
        self.column(name, description, column)
    }

    /// Makes a column one of lists: `ends` are where each row's list ends.
    fn index(&self, name: &str, ends: &[u64]) -> Result<()> {
        let index = format!("{name}_index");
        let column = self.group.column(&index, ends)?;
        column.text("description", &format!("end of each row's list in {name}"))?;
        column.reference("target", &format!("/{}/{name}", self.name))?;
        self.identify(&column, "VectorIndex", &index)
    }

    fn finish(self) -> Result<()> {
        let colnames: Vec<&str> = self.colnames.iter().map(String::as_str).collect();
        self.group.texts("colnames", &colnames)
    }
}

/// A time with its zone as NWB's own files write it.
fn iso_8601(time: SystemTime) -> String {
    timestamp(time).replace('Z', "+00:00")
}

//! `spikes.h5` and `trials.csv`: the spikes of all trials of an evaluation, and what each trial showed.
//!
//! SONATA's spikes have no trials, so these follow one another on one time axis, as the stimulus presentations of a recording
//! do (Allen's NWB files). A spike's time is the end of its time step, so the spikes of a trial lie in (`start_ms`, `stop_ms`].
//! Two trials lie one time step apart: no time belongs to both.
//!
//! Spikes carry the populations and node ids of the circuit that the network was read from, or the ids of an EM table's cells. Such files
//! also hold the names in the order of the neurons, `/neurons/POPULATION/node_ids`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::replace;
use super::replace_hdf5;
use crate::error::{Error, Result};
use crate::hdf5::{Group, Hdf5, Storage};
use crate::network::{NamedNodes, NodeNames};
use crate::stimulus::TrialCondition;

/// Group of what the spikes are of.
const EVALUATION: &str = "evaluation";
/// Values of SONATA's attribute `sorting`.
pub(super) const SORTING: [&str; 3] = ["none", "by_id", "by_time"];

/// What a trial showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrialStimulus {
    /// A grating or a grey screen.
    Screen(TrialCondition),
    /// Recorded spikes of the units that are not neurons.
    Recorded {
        /// Direction of the grating that they are of, deg.
        direction_deg: Option<f64>,
        /// Its contrast.
        contrast: Option<f64>,
    },
}

/// A row of `trials.csv`. What a trial does not have is empty: of a grey one all fields of the grating.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Number of the trial, from 0.
    pub trial: u32,
    /// `drifting_grating`, `grey` or `recorded_spikes`.
    pub condition: String,
    /// Start on the time axis of the spikes, ms.
    pub start_ms: f64,
    /// End on the time axis of the spikes, ms.
    pub stop_ms: f64,
    /// The grating appears so long after the start of the trial, ms.
    pub onset_ms: Option<f64>,
    /// Direction of drift, deg.
    pub direction_deg: Option<f64>,
    /// Michelson contrast.
    pub contrast: Option<f64>,
    /// Spatial frequency, cycles per degree.
    pub spatial_frequency_cpd: Option<f64>,
    /// Temporal frequency, Hz.
    pub temporal_frequency_hz: Option<f64>,
    /// Phase at onset, deg.
    pub phase_deg: Option<f64>,
    /// Training steps behind the network, as in `spikes.h5`; empty in a file of an earlier version.
    #[serde(default)]
    pub training_step: Option<u32>,
}

/// Spikes of trials of one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialSpikes {
    dt_ms: f64,
    n_steps: u32,
    /// What each trial showed.
    pub trials: Vec<Trial>,
    /// Time step on the common axis and neuron of every spike, ordered.
    spikes: Vec<(u32, u32)>,
    names: NodeNames,
}

impl TrialSpikes {
    /// No trials yet, of `n_steps` time steps each, of neurons with these names.
    pub fn new(dt_ms: f64, n_steps: u32, names: NodeNames) -> Self {
        Self { dt_ms, n_steps, names, ..Self::default() }
    }

    /// Adds trials with their spikes, given as (trial of `stimuli`, time step, neuron).
    pub fn add(&mut self, stimuli: &[TrialStimulus], mut spikes: Vec<(u32, u32, u32)>) {
        let first = self.trials.len() as u32;
        for (stimulus, trial) in stimuli.iter().zip(first..) {
            self.trials.push(self.trial(trial, stimulus));
        }
        spikes.sort_unstable();
        self.spikes.reserve(spikes.len());
        for (trial, step, neuron) in spikes {
            self.spikes.push((self.first_step(first + trial) + step, neuron));
        }
    }

    /// Number of spikes.
    pub fn len(&self) -> usize {
        self.spikes.len()
    }

    /// Whether there is no spike.
    pub fn is_empty(&self) -> bool {
        self.spikes.is_empty()
    }

    fn first_step(&self, trial: u32) -> u32 {
        trial * (self.n_steps + 1)
    }

    fn trial(&self, trial: u32, stimulus: &TrialStimulus) -> Trial {
        let (condition, grating, direction_deg, contrast) = match stimulus {
            TrialStimulus::Screen(shown) => {
                let grating = shown.grating();
                (shown.name(), grating, grating.map(|g| g.direction_deg), grating.map(|g| g.contrast))
            }
            TrialStimulus::Recorded { direction_deg, contrast } => {
                ("recorded_spikes", None, *direction_deg, *contrast)
            }
        };
        Trial {
            trial,
            condition: condition.to_owned(),
            start_ms: f64::from(self.first_step(trial)) * self.dt_ms,
            stop_ms: f64::from(self.first_step(trial) + self.n_steps) * self.dt_ms,
            onset_ms: grating.map(|g| g.onset_ms),
            direction_deg,
            contrast,
            spatial_frequency_cpd: grating.map(|g| g.spatial_frequency_cpd),
            temporal_frequency_hz: grating.map(|g| g.temporal_frequency_hz),
            phase_deg: grating.map(|g| g.phase_deg),
            training_step: None,
        }
    }

    /// Replaces `PREFIXspikes.h5` and `PREFIXtrials.csv` in a folder; `training_step` is that of the network.
    pub fn write(&self, dir: &Path, prefix: &str, training_step: u32) -> Result<()> {
        let table = dir.join(format!("{prefix}trials.csv"));
        replace(&table, |file| {
            let mut out = csv::Writer::from_writer(file);
            let of_step = |trial: &Trial| Trial { training_step: Some(training_step), ..trial.clone() };
            self.trials.iter().try_for_each(|trial| out.serialize(of_step(trial)))?;
            out.flush()
        })?;
        replace_hdf5(&dir.join(format!("{prefix}spikes.h5")), Storage::Plain, |root| {
            root.number("training_step", training_step)?;
            root.number("dt_ms", self.dt_ms)?;
            // Read back as these columns: of attributes only datasets' can be read.
            let evaluation = root.group(EVALUATION)?;
            evaluation.column("training_step", &[training_step])?;
            evaluation.column("n_trials", &[self.trials.len() as u32])?;
            if !self.names.are_built() {
                let neurons = root.group("neurons")?;
                for (first, named) in self.names.populations() {
                    let population = neurons.group(&named.population)?;
                    population.column("first_neuron", &[first])?;
                    population.column("node_ids", &named.ids)?;
                }
            }
            let spikes = root.group("spikes")?;
            for (first, named) in self.names.populations() {
                let (nodes, times): (Vec<u64>, Vec<f64>) = self
                    .spikes
                    .iter()
                    .filter_map(|(step, neuron)| {
                        let place = neuron.checked_sub(first)?;
                        // A spike's time is the end of its step.
                        Some((*named.ids.get(place as usize)?, f64::from(step + 1) * self.dt_ms))
                    })
                    .unzip();
                write_population(&spikes, &named.population, &nodes, &times)?;
            }
            Ok(())
        })
    }
}

/// Writes a population's spikes, ordered by time (ms), in SONATA's layout.
pub fn write_population(spikes: &Group, name: &str, nodes: &[u64], times_ms: &[f64]) -> Result<()> {
    let population = spikes.group(name)?;
    population.choice("sorting", &SORTING, 2)?;
    population.column("node_ids", nodes)?;
    population.column("timestamps", times_ms)?.text("units", "ms")
}

/// What `spikes.h5` and `trials.csv` of a run folder hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedTrials {
    /// The trials.
    pub trials: Vec<Trial>,
    /// Neuron of each spike.
    pub neurons: Vec<u32>,
    /// Time of each spike on the common axis, ms, ascending.
    pub times_ms: Vec<f64>,
    /// Training steps behind the network of the spikes; None in a file of an earlier version.
    pub training_step: Option<u32>,
    /// Whether both files are of one evaluation: a process may have been killed between the two.
    pub is_whole: bool,
}

impl RecordedTrials {
    /// Reads the last evaluation of a run folder.
    ///
    /// # Errors
    /// [`Error::File`] that names the file that is missing or broken.
    pub fn read(dir: &Path) -> Result<Self> {
        let table = dir.join("trials.csv");
        let text = fs::read_to_string(&table)
            .map_err(|e| Error::file(&table, format!("the run has no evaluated trials: {e}")))?;
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let trials: csv::Result<Vec<Trial>> = rows.deserialize().collect();
        let trials = trials.map_err(|e| Error::file(&table, e.to_string()))?;
        let h5 = Hdf5::open(&dir.join("spikes.h5"))?;
        let names = read_names(&h5)?;
        let mut spikes: Vec<(f64, u32)> = Vec::new();
        for population in h5.groups("spikes")? {
            let at = |column: &str| format!("spikes/{population}/{column}");
            let ids = h5.column(&at("node_ids"))?.all_ids()?;
            let times_ms = h5.column_of(&at("timestamps"), ids.len())?.all_numbers()?;
            let unknown = |id: &u64| h5.error(&at("node_ids"), format!("the run has no node {id}"));
            match &names {
                None => {
                    for (id, time_ms) in ids.iter().zip(times_ms) {
                        spikes.push((time_ms, u32::try_from(*id).map_err(|_| unknown(id))?));
                    }
                }
                Some(names) => {
                    let neurons = names.neurons_of(&population).unwrap_or_default();
                    for (id, time_ms) in ids.iter().zip(times_ms) {
                        spikes.push((time_ms, *neurons.get(id).ok_or_else(|| unknown(id))?));
                    }
                }
            }
        }
        // Stable: spikes of one time stay in the order of the neurons.
        spikes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (times_ms, neurons) = spikes.into_iter().unzip();
        let number = |name: &str| -> Result<Option<u64>> {
            let dataset = format!("{EVALUATION}/{name}");
            // A file of an earlier version has none.
            let known = h5.has_group(EVALUATION)?.then(|| h5.column_of(&dataset, 1)?.all_ids());
            Ok(known.transpose()?.map(|values| values[0]))
        };
        let (of_spikes, n_trials) = (number("training_step")?, number("n_trials")?);
        let of_trials = trials.first().and_then(|trial| trial.training_step).map(u64::from);
        let is_whole = of_spikes.is_none()
            || (of_spikes, n_trials) == (of_trials.or(of_spikes), Some(trials.len() as u64));
        let training_step = of_spikes.and_then(|step| u32::try_from(step).ok());
        Ok(Self { trials, neurons, times_ms, training_step, is_whole })
    }
}

/// The names of the neurons in a file of spikes; none where they are those of a built network.
fn read_names(h5: &Hdf5) -> Result<Option<NodeNames>> {
    if !h5.has_group("neurons")? {
        return Ok(None);
    }
    let mut populations = Vec::new();
    for population in h5.groups("neurons")? {
        let at = format!("neurons/{population}");
        let first = h5.column_of(&format!("{at}/first_neuron"), 1)?.all_ids()?[0];
        let ids = h5.column(&format!("{at}/node_ids"))?.all_ids()?;
        populations.push((first, NamedNodes { population, ids }));
    }
    populations.sort_by_key(|(first, _)| *first);
    Ok(Some(NodeNames::new(populations.into_iter().map(|(_, named)| named).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stimulus::Grating;

    fn grating(direction_deg: f64) -> TrialStimulus {
        TrialStimulus::Screen(TrialCondition::Grating(Grating {
            direction_deg,
            spatial_frequency_cpd: 0.04,
            temporal_frequency_hz: 2.0,
            contrast: 0.8,
            phase_deg: 10.5,
            onset_ms: 1.0,
        }))
    }

    #[test]
    fn trials_follow_one_another_and_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut spikes = TrialSpikes::new(0.5, 10, NodeNames::built(8));
        let grey = TrialStimulus::Screen(TrialCondition::Grey);
        spikes.add(&[grating(90.0), grey], vec![(1, 9, 4), (0, 9, 2), (1, 0, 7), (0, 0, 3)]);
        spikes.add(&[grating(180.0)], vec![(0, 3, 1)]);
        spikes.write(dir.path(), "", 5).unwrap();
        let read = RecordedTrials::read(dir.path()).unwrap();
        let written: Vec<Trial> =
            spikes.trials.iter().map(|t| Trial { training_step: Some(5), ..t.clone() }).collect();
        assert_eq!((&read.trials, read.training_step), (&written, Some(5)));
        assert_eq!(read.neurons, [3, 2, 7, 4, 1]);
        // Trials of 5 ms begin at 0, 5.5 and 11 ms.
        assert_eq!(read.times_ms, [0.5, 5.0, 6.0, 10.5, 13.0]);
        let times: Vec<_> = read.trials.iter().map(|t| (t.start_ms, t.stop_ms)).collect();
        assert_eq!(times, [(0.0, 5.0), (5.5, 10.5), (11.0, 16.0)]);
        let [first, grey, last] = &read.trials[..] else { panic!("three trials") };
        assert_eq!((first.condition.as_str(), first.onset_ms), ("drifting_grating", Some(1.0)));
        assert_eq!((grey.condition.as_str(), grey.contrast), ("grey", None));
        assert_eq!((last.trial, last.direction_deg), (2, Some(180.0)));
    }

    #[test]
    fn spikes_carry_the_names_of_the_circuits_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let named =
            |population: &str, ids: &[u64]| NamedNodes { population: population.into(), ids: ids.into() };
        // In the order of the neurons, which is not that of the names.
        let names =
            NodeNames::new(vec![named("l5", &[90, 8, 55]), named("l23", &[8, 864_691_135_000_000_007])]);
        let mut spikes = TrialSpikes::new(0.5, 10, names);
        let grey = TrialStimulus::Screen(TrialCondition::Grey);
        let all = vec![(0, 3, 4), (0, 0, 1), (0, 3, 0), (0, 9, 3), (0, 3, 1)];
        spikes.add(&[grey], all);
        spikes.write(dir.path(), "", 0).unwrap();
        let h5 = Hdf5::open(&dir.path().join("spikes.h5")).unwrap();
        let column = |name: &str| h5.column(&format!("spikes/{name}")).unwrap();
        assert_eq!(column("l5/node_ids").all_ids().unwrap(), [8, 90, 8]);
        assert_eq!(column("l5/timestamps").all_numbers().unwrap(), [0.5, 2.0, 2.0]);
        assert_eq!(column("l23/node_ids").all_ids().unwrap(), [864_691_135_000_000_007, 8]);
        assert_eq!(column("l23/timestamps").all_numbers().unwrap(), [2.0, 5.0]);
        assert_eq!(h5.groups("spikes").unwrap(), ["l23", "l5"], "and no v1");
        // Read back they are the neurons again.
        let mut read: Vec<(f64, u32)> = RecordedTrials::read(dir.path())
            .map(|read| read.times_ms.into_iter().zip(read.neurons).collect())
            .unwrap();
        read.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        assert_eq!(read, [(0.5, 1), (2.0, 0), (2.0, 1), (2.0, 4), (5.0, 3)]);
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = RecordedTrials::read(dir.path()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("trials.csv"), "{error}");
        TrialSpikes::new(1.0, 10, NodeNames::built(3)).write(dir.path(), "", 0).unwrap();
        assert!(RecordedTrials::read(dir.path()).unwrap().neurons.is_empty());
        // Of two evaluations.
        let mut later = TrialSpikes::new(1.0, 10, NodeNames::built(3));
        later.add(&[grating(0.0)], vec![]);
        later.write(dir.path(), "later_", 7).unwrap();
        fs::rename(dir.path().join("later_trials.csv"), dir.path().join("trials.csv")).unwrap();
        assert!(!RecordedTrials::read(dir.path()).unwrap().is_whole);
        later.write(dir.path(), "", 7).unwrap();
        assert!(RecordedTrials::read(dir.path()).unwrap().is_whole);
        fs::write(dir.path().join("spikes.h5"), "no HDF5").unwrap();
        let error = RecordedTrials::read(dir.path()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("spikes.h5"), "{error}");
    }
}

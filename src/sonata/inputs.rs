//! What the virtual populations of a circuit send in a trial: spikes from files, in time steps.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::cells::Members;
use super::config::{Config, InputEntry};
use super::node_sets::NodeSets;
use super::nodes::NodePopulation;
use super::spikes::{Spikes, read_spikes, step_of_spike};
use crate::error::{Error, Result};

/// Spikes of all units in a trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialInput {
    /// (time step, unit) of every spike, ascending, each at most once; units count from the first LGN unit.
    pub spikes: Vec<(u32, u32)>,
    /// Direction of the grating that they are of, deg; none for another stimulus.
    pub direction_deg: Option<f64>,
    /// Its contrast.
    pub contrast: Option<f64>,
}

/// Where the spikes of one trial come from.
#[derive(Clone, Debug, Default)]
pub struct InputSource {
    /// Files by virtual population; empty for the inputs of the configuration.
    pub files: BTreeMap<String, PathBuf>,
    /// Time in the files at which the trial begins, ms.
    pub start_ms: f64,
    /// Direction of the grating, deg.
    pub direction_deg: Option<f64>,
    /// Its contrast.
    pub contrast: Option<f64>,
}

/// A circuit's populations and sets, as far as inputs look at them.
pub(super) struct Receivers<'a> {
    /// Populations in the order of the sources.
    pub(super) members: &'a [Members],
    /// Populations as read, for node sets.
    pub(super) populations: &'a [NodePopulation],
    pub(super) node_sets: &'a NodeSets,
}

/// Files that have been read: (file, trial) to spikes by population.
type Files = HashMap<(PathBuf, Option<String>), BTreeMap<String, Spikes>>;

/// Reads the spikes of trials of `n_steps` steps. The second value is how many spikes moved to a later step because their unit
/// spiked in theirs already.
///
/// # Errors
/// Names the file or input that is missing, malformed, or of nodes that the circuit does not have.
pub(super) fn read_inputs(
    sources: &[InputSource],
    config: &Config,
    receivers: &Receivers<'_>,
    dt_ms: f64,
    n_steps: u32,
) -> Result<(Vec<TrialInput>, usize)> {
    let mut files = Files::new();
    let mut inputs = Vec::new();
    let mut n_moved = 0;
    for source in sources {
        let mut spikes = Vec::new();
        let mut add = |members: &Members, found: &Spikes, file: &Path| {
            spikes_of(members, receivers, found, file, [source.start_ms, dt_ms], &mut spikes)
        };
        if source.files.is_empty() {
            for entry in &config.inputs {
                for (members, found, file) in entry_spikes(entry, config, receivers, &mut files)? {
                    add(members, &found, &file)?;
                }
            }
        } else {
            for (population, file) in &source.files {
                let members = receivers.virtual_population(population, file)?;
                let found = read_once(&mut files, file, None)?;
                let only = (found.len() == 1).then(|| found.values().next()).flatten();
                let found = found.get(population).or(only).ok_or_else(|| {
                    let names: Vec<&str> = found.keys().map(String::as_str).collect();
                    Error::file(
                        file,
                        format!("holds no spikes of population '{population}' ({})", names.join(", ")),
                    )
                })?;
                add(members, found, file)?;
            }
        }
        let (spikes, moved) = one_a_step(spikes, n_steps);
        n_moved += moved;
        inputs.push(TrialInput { spikes, direction_deg: source.direction_deg, contrast: source.contrast });
    }
    Ok((inputs, n_moved))
}

fn read_once<'a>(
    files: &'a mut Files,
    file: &Path,
    trial: Option<&str>,
) -> Result<&'a BTreeMap<String, Spikes>> {
    let key = (file.to_path_buf(), trial.map(str::to_owned));
    if !files.contains_key(&key) {
        files.insert(key.clone(), read_spikes(file, trial)?);
    }
    Ok(&files[&key])
}

impl Receivers<'_> {
    fn virtual_population(&self, name: &str, file: &Path) -> Result<&Members> {
        let virtual_ones = || self.members.iter().filter(|m| m.is_virtual);
        virtual_ones().find(|m| m.population == name).ok_or_else(|| {
            let known: Vec<&str> = virtual_ones().map(|m| m.population.as_str()).collect();
            let reason = format!(
                "spikes of population '{name}', which is no virtual population of the circuit ({})",
                known.join(", ")
            );
            Error::file(file, reason)
        })
    }

    /// Virtual populations that a node set has nodes of.
    fn selected(&self, set: &serde_json::Value) -> Result<Vec<&Members>> {
        let names: Vec<&str> = self.populations.iter().map(|p| p.name.as_str()).collect();
        let mut selected = Vec::new();
        for members in self.members.iter().filter(|m| m.is_virtual) {
            let Some(population) = self.populations.iter().find(|p| p.name == members.population) else {
                continue;
            };
            if self.node_sets.select(set, population, &names)?.contains(&true) {
                selected.push(members);
            }
        }
        Ok(selected)
    }
}

/// The spikes of an entry of the configuration's inputs.
fn entry_spikes<'a>(
    entry: &InputEntry,
    config: &Config,
    receivers: &'a Receivers<'a>,
    files: &mut Files,
) -> Result<Vec<(&'a Members, Spikes, PathBuf)>> {
    let refuse = |reason: String| Err(Error::file(&config.file, format!("inputs.{}: {reason}", entry.name)));
    if entry.input_type != "spikes" {
        let kind = &entry.input_type;
        return refuse(format!(
            "the input_type '{kind}' is not simulated (spikes); the scene's network.inputs can name other inputs"
        ));
    }
    let Some(file) = &entry.file else { return refuse("names no input_file".to_owned()) };
    let wanted = match &entry.node_set {
        Some(set) => Some(receivers.selected(set)?),
        None => None,
    };
    let found = read_once(files, file, entry.trial.as_deref())?;
    let mut of_members = Vec::new();
    for (name, spikes) in found {
        let members = if name.is_empty() {
            match wanted.as_deref() {
                Some([one]) => *one,
                _ => {
                    return refuse(format!(
                        "{} names no population: node_set must be of one virtual population",
                        file.display()
                    ));
                }
            }
        } else {
            let known = receivers.members.iter().find(|m| m.is_virtual && m.population == *name);
            match (known, &wanted) {
                (Some(m), Some(wanted)) if !wanted.iter().any(|w| w.population == m.population) => continue,
                (Some(m), _) => m,
                // A recording of a whole circuit may hold simulated nodes, too.
                (None, _) => continue,
            }
        };
        of_members.push((members, spikes.clone(), file.clone()));
    }
    if of_members.is_empty() && !found.is_empty() {
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        let known: Vec<&str> =
            receivers.members.iter().filter(|m| m.is_virtual).map(|m| m.population.as_str()).collect();
        return refuse(format!(
            "{} holds spikes of {}, of which none is a virtual population that the input is for ({})",
            file.display(),
            names.join(", "),
            known.join(", ")
        ));
    }
    Ok(of_members)
}

/// Adds spikes as (step, unit) to a trial that begins at a time of the file.
fn spikes_of(
    members: &Members,
    receivers: &Receivers<'_>,
    found: &Spikes,
    file: &Path,
    [start_ms, dt_ms]: [f64; 2],
    spikes: &mut Vec<(u32, u32)>,
) -> Result<()> {
    let n_neurons: usize = receivers.members.iter().filter(|m| !m.is_virtual).map(|m| m.node_id.len()).sum();
    let first_unit = members.first_source - n_neurons;
    for (id, time_ms) in found.node_id.iter().zip(&found.time_ms) {
        let Some(place) = members.place_of(*id) else {
            let reason =
                format!("a spike of node {id}, which population '{}' does not have", members.population);
            return Err(Error::file(file, reason));
        };
        match step_of_spike(time_ms - start_ms, dt_ms) {
            Some(step) => spikes.push((step, (first_unit + place) as u32)),
            None if start_ms > 0.0 => (),
            None => {
                let reason = format!(
                    "a spike of node {id} at {time_ms} ms; times must be above 0, where the first step begins"
                );
                return Err(Error::file(file, reason));
            }
        }
    }
    Ok(())
}

/// Leaves each unit at most one spike a step: further ones move to its next free step. Those beyond the trial are dropped. Also how
/// many moved.
fn one_a_step(mut spikes: Vec<(u32, u32)>, n_steps: u32) -> (Vec<(u32, u32)>, usize) {
    spikes.retain(|(step, _)| *step < n_steps);
    spikes.sort_unstable();
    let mut taken = HashSet::with_capacity(spikes.len());
    let mut n_moved = 0;
    for spike in &mut spikes {
        let asked = spike.0;
        while !taken.insert(*spike) {
            spike.0 += 1;
        }
        n_moved += usize::from(spike.0 != asked);
    }
    spikes.retain(|(step, _)| *step < n_steps);
    spikes.sort_unstable();
    (spikes, n_moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_spikes_once_a_step_and_none_is_lost() {
        let (spikes, n_moved) = one_a_step(vec![(3, 1), (0, 0), (3, 1), (4, 1), (3, 2), (9, 0), (10, 0)], 10);
        assert_eq!(spikes, [(0, 0), (3, 1), (3, 2), (4, 1), (5, 1), (9, 0)]);
        assert_eq!(n_moved, 2);
    }
}

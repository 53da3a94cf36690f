//! What the virtual populations of a circuit send in a trial: spikes from files, in time steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use super::cells::Members;
use super::config::{Config, InputEntry};
use super::node_sets::NodeSets;
use super::nodes::NodePopulation;
use super::spikes::{SpikeFile, Spikes, computed_ms, ms_of, read_spikes, step_of_spike};
use crate::error::{Error, Result, warning};
use crate::scene::EarlySpikesScene;

/// Modules of BMTK's that play the spikes of a file as they are.
const MODULES: [&str; 6] = ["sonata", "h5", "hdf5", "csv", "nwb", "spikes"];
/// Keys of an input of spikes that are obeyed, or say nothing of the spikes.
const KEYS: [&str; 15] = [
    "input_type",
    "module",
    "input_file",
    "spike_file",
    "node_set",
    "source",
    "trial",
    "enabled",
    "population",
    "populations",
    "units",
    "random_seed",
    "name",
    "description",
    "comment",
];
/// Times that all lie in this share of a trial are probably of another unit.
const SUSPICIOUS_SHARE: f64 = 0.05;
/// Fewest spikes that say so.
const FEWEST_SUSPICIOUS: usize = 10;

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

/// A circuit's populations and sets, as far as inputs look at them, and the time steps of a trial.
pub(super) struct Receivers<'a> {
    /// Populations in the order of the sources.
    pub(super) members: &'a [Members],
    /// Populations as read, for node sets.
    pub(super) populations: &'a [NodePopulation],
    pub(super) node_sets: &'a NodeSets,
    pub(super) config: &'a Config,
    pub(super) dt_ms: f64,
    pub(super) n_steps: u32,
    /// What becomes of spikes before the first step.
    pub(super) early: EarlySpikesScene,
}

/// Files that have been read: (file, trial, unit) to spikes by population.
type Files = HashMap<(PathBuf, Option<String>, Option<String>), Rc<SpikeFile>>;

/// The spikes of a trial as they are gathered.
#[derive(Default)]
struct Trial {
    /// (step, unit).
    spikes: Vec<(u32, u32)>,
    /// Spikes before the first step that were dropped or moved into it.
    n_early: usize,
}

/// Reads the spikes of trials; the second value is what a user should know.
///
/// # Errors
/// Names the file or input that is missing, malformed, not obeyed, or of nodes that the circuit does not have.
pub(super) fn read_inputs(
    sources: &[InputSource],
    receivers: &Receivers<'_>,
) -> Result<(Vec<TrialInput>, Vec<String>)> {
    let mut files = Files::new();
    let mut inputs = Vec::new();
    let (mut n_moved, mut n_lost, mut n_early) = (0, 0, 0);
    let mut said = BTreeSet::new();
    let mut played: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for source in sources {
        let mut trial = Trial::default();
        for piece in receivers.pieces(source, &mut files, &mut said)? {
            let n_before = trial.spikes.len();
            receivers.add(&piece, source.start_ms, &mut trial, &mut said)?;
            *played.entry(piece.file).or_default() += trial.spikes.len() - n_before;
        }
        n_early += trial.n_early;
        let (spikes, moved, lost) = one_a_step(trial.spikes, receivers.n_steps);
        n_moved += moved;
        n_lost += lost;
        inputs.push(TrialInput { spikes, direction_deg: source.direction_deg, contrast: source.contrast });
    }
    let mut notices: Vec<String> = said.into_iter().collect();
    for (file, _) in played.iter().filter(|(_, n)| **n == 0) {
        notices.push(silent(file));
    }
    if n_early > 0 {
        let what = match receivers.early {
            EarlySpikesScene::FirstStep => "moved into the first step",
            _ => "left out",
        };
        notices.push(format!("{n_early} spikes at or before 0 ms {what} (network.early_spikes)"));
    }
    if n_moved > 0 {
        let beyond =
            if n_lost > 0 { format!(", {n_lost} of them beyond the trial's end") } else { String::new() };
        let dt_ms = receivers.dt_ms;
        notices.push(format!(
            "{n_moved} spikes of the inputs moved to a later step{beyond}: a unit spikes at most once in {dt_ms} ms"
        ));
    }
    Ok((inputs, notices))
}

/// A word on a file of which nothing is played.
fn silent(file: &Path) -> String {
    warning(format_args!("{}: no spike of the inputs lies in a trial", file.display()))
}

/// Spikes of one file for one population.
struct Piece<'a> {
    members: &'a Members,
    found: Rc<SpikeFile>,
    /// Name of the spikes' population in the file.
    name: String,
    file: PathBuf,
    /// Which nodes of the population they may be of; none: all.
    nodes: Option<Vec<bool>>,
}

impl Piece<'_> {
    fn spikes(&self) -> &Spikes {
        &self.found[&self.name]
    }
}

fn read_once(
    files: &mut Files,
    file: &Path,
    trial: Option<&str>,
    unit: Option<&str>,
) -> Result<Rc<SpikeFile>> {
    let key = (file.to_path_buf(), trial.map(str::to_owned), unit.map(str::to_owned));
    if let Some(known) = files.get(&key) {
        return Ok(Rc::clone(known));
    }
    let found = Rc::new(read_spikes(file, trial, unit)?);
    files.insert(key, Rc::clone(&found));
    Ok(found)
}

impl<'a> Receivers<'a> {
    fn virtual_ones(&self) -> impl Iterator<Item = &'a Members> + use<'a> {
        self.members.iter().filter(|m| m.is_virtual)
    }

    fn names_of_virtual_ones(&self) -> String {
        self.virtual_ones().map(|m| m.population.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// All that a trial is shown.
    fn pieces(
        &self,
        source: &InputSource,
        files: &mut Files,
        said: &mut BTreeSet<String>,
    ) -> Result<Vec<Piece<'a>>> {
        let mut pieces = Vec::new();
        if source.files.is_empty() {
            for entry in &self.config.inputs {
                self.add_entry(entry, files, &mut pieces, said)?;
            }
        }
        for (population, file) in &source.files {
            let members = self.virtual_ones().find(|m| m.population == *population).ok_or_else(|| {
                let reason = format!(
                    "spikes of population '{population}', which is no virtual population of the circuit ({})",
                    self.names_of_virtual_ones()
                );
                Error::file(file, reason)
            })?;
            let found = read_once(files, file, None, None)?;
            let names: Vec<&String> = found.keys().collect();
            let name = match names[..] {
                [] => {
                    said.insert(silent(file));
                    continue;
                }
                _ if found.contains_key(population) => population.clone(),
                [only] => only.clone(),
                _ => {
                    let names = names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let reason = format!("holds no spikes of population '{population}' ({names})");
                    return Err(Error::file(file, reason));
                }
            };
            pieces.push(Piece { members, found, name, file: file.clone(), nodes: None });
        }
        Ok(pieces)
    }

    /// Adds the spikes of an entry of the configuration's inputs.
    fn add_entry(
        &self,
        entry: &InputEntry,
        files: &mut Files,
        pieces: &mut Vec<Piece<'a>>,
        said: &mut BTreeSet<String>,
    ) -> Result<()> {
        let refuse =
            |reason: String| Error::file(&self.config.file, format!("inputs.{}: {reason}", entry.name));
        let (wanted, unit, trial) = check_entry(entry).map_err(refuse)?;
        let selected = match &entry.node_set {
            Some(set) => Some(self.node_sets.select(set, self.populations)?),
            None => None,
        };
        let nodes_of = |members: &Members| -> Option<Vec<bool>> {
            let ix = self.populations.iter().position(|p| p.name == members.population)?;
            let nodes = &selected.as_ref()?[ix];
            Some(members.node_ix.iter().map(|i| nodes[*i]).collect())
        };
        let receives =
            |members: &Members| selected.is_none() || nodes_of(members).is_some_and(|n| n.contains(&true));
        for file in &entry.files {
            let found = read_once(files, file, trial, unit)?;
            let n_before = pieces.len();
            for name in found.keys() {
                if wanted.as_ref().is_some_and(|wanted| !wanted.contains(name)) {
                    continue;
                }
                let members = match self.virtual_ones().find(|m| m.population == *name) {
                    Some(members) if receives(members) => members,
                    // The input is for others of the file's populations.
                    Some(_) => continue,
                    None if name.is_empty() => {
                        let mut receivers = self.virtual_ones().filter(|m| selected.is_some() && receives(m));
                        match (receivers.next(), receivers.next()) {
                            (Some(one), None) => one,
                            _ => {
                                let file = file.display();
                                return Err(refuse(format!(
                                    "{file} names no population: node_set must be of one virtual population"
                                )));
                            }
                        }
                    }
                    // A recording of a whole circuit may hold simulated nodes, too.
                    None => {
                        said.insert(warning(format_args!(
                            "{}: spikes of '{name}' are not played: it is no virtual population",
                            file.display()
                        )));
                        continue;
                    }
                };
                let nodes = nodes_of(members).filter(|nodes| nodes.contains(&false));
                pieces.push(Piece {
                    members,
                    found: Rc::clone(&found),
                    name: name.clone(),
                    file: file.clone(),
                    nodes,
                });
            }
            if found.is_empty() {
                said.insert(silent(file));
            } else if pieces.len() == n_before {
                let names: Vec<&str> = found.keys().map(String::as_str).collect();
                return Err(refuse(format!(
                    "{} holds spikes of {}, of which none is a virtual population that the input is for ({})",
                    file.display(),
                    names.join(", "),
                    self.names_of_virtual_ones()
                )));
            }
        }
        Ok(())
    }

    /// Adds spikes as (step, unit) to a trial that begins at a time of the file.
    fn add(
        &self,
        piece: &Piece<'_>,
        start_ms: f64,
        trial: &mut Trial,
        said: &mut BTreeSet<String>,
    ) -> Result<()> {
        let Piece { members, file, nodes, .. } = piece;
        let found = piece.spikes();
        let n_neurons: usize = self.members.iter().filter(|m| !m.is_virtual).map(|m| m.node_id.len()).sum();
        let first_unit = members.first_source - n_neurons;
        let mut n_outside = 0;
        for (id, time_ms) in found.node_id.iter().zip(&found.time_ms) {
            let Some(place) = members.place_of(*id) else {
                let reason =
                    format!("a spike of node {id}, which population '{}' does not have", members.population);
                return Err(Error::file(file, reason));
            };
            if nodes.as_ref().is_some_and(|nodes| !nodes[place]) {
                n_outside += 1;
                continue;
            }
            let unit = (first_unit + place) as u32;
            // A file's own times are as NEST would take them.
            let in_trial_ms = if start_ms == 0.0 { *time_ms } else { computed_ms(time_ms - start_ms) };
            match step_of_spike(in_trial_ms, self.dt_ms) {
                Some(step) if step < self.n_steps => trial.spikes.push((step, unit)),
                Some(_) => (),
                None if start_ms > 0.0 => (),
                None => {
                    let at_zero = *time_ms == 0.0;
                    match self.early {
                        EarlySpikesScene::Drop => (),
                        EarlySpikesScene::FirstStep if at_zero => trial.spikes.push((0, unit)),
                        _ => {
                            let reason = format!(
                                "a spike of node {id} at {time_ms} ms; times must be above 0, where the first step begins \
                                 (network.early_spikes can say otherwise)"
                            );
                            return Err(Error::file(file, reason));
                        }
                    }
                    trial.n_early += 1;
                }
            }
        }
        if n_outside > 0 {
            said.insert(warning(format_args!(
                "{}: {n_outside} spikes of nodes of '{}' outside the input's node_set are not played",
                file.display(),
                members.population
            )));
        }
        said.extend(self.doubt(piece));
        Ok(())
    }

    /// What is odd about the times of a file that does not say their unit.
    fn doubt(&self, piece: &Piece<'_>) -> Option<String> {
        let (spikes, file) = (piece.spikes(), &piece.file);
        let last_ms = spikes.time_ms.iter().copied().fold(0.0, f64::max);
        let duration_ms = f64::from(self.n_steps) * self.dt_ms;
        let (n, name) = (spikes.time_ms.len(), &piece.members.population);
        let odd = !spikes.names_unit && n >= FEWEST_SUSPICIOUS && last_ms < SUSPICIOUS_SHARE * duration_ms;
        odd.then(|| {
            warning(format_args!(
                "{}: all {n} spikes of '{name}' lie in the first {last_ms} of {duration_ms} ms; it names no unit \
                 (attribute 'units' of the timestamps), so its times are taken as ms",
                file.display()
            ))
        })
    }
}

/// The populations, the unit of time and the trial that an entry asks for.
type Asked<'a> = (Option<Vec<String>>, Option<&'a str>, Option<&'a str>);

/// Looks at every key of an entry.
fn check_entry(entry: &InputEntry) -> std::result::Result<Asked<'_>, String> {
    let other = "the scene's network.inputs can name other inputs, \"enabled\": false switches this one off";
    if entry.input_type != "spikes" {
        return Err(format!("the input_type '{}' is not simulated (spikes); {other}", entry.input_type));
    }
    match entry.entry.get("module") {
        None | Some(Value::Null) => (),
        Some(Value::String(module)) if MODULES.contains(&module.as_str()) => (),
        Some(module) => {
            return Err(format!("the module {module} is not simulated ({}); {other}", MODULES.join(", ")));
        }
    }
    if let Some(key) = entry.entry.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("{key} is not obeyed ({}); take it out. {other}", KEYS.join(", ")));
    }
    match entry.files.len() {
        0 => return Err("names no input_file".to_owned()),
        1 => (),
        n => {
            return Err(format!(
                "names {n} files, of which BMTK plays one a run; name one, or merge them. {other}"
            ));
        }
    }
    let text = |key: &str| match entry.entry.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(format!("{key} = {other}: must be a text")),
    };
    let mut populations = None;
    for key in ["population", "populations"] {
        let names = match entry.entry.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::String(name)) => vec![name.clone()],
            Some(value) => serde_json::from_value::<Vec<String>>(value.clone())
                .map_err(|_| format!("{key} = {value}: must be a name or a list of names"))?,
        };
        populations = Some(names);
    }
    let unit = text("units")?;
    if let Some(unit) = unit.filter(|unit| ms_of(unit).is_none()) {
        return Err(format!("units = '{unit}': must be ms or s"));
    }
    Ok((populations, unit, text("trial")?))
}

/// Leaves each unit at most one spike a step: further ones move to its next free step. Also how many moved, and how many of them beyond the
/// trial, where they are dropped.
fn one_a_step(mut spikes: Vec<(u32, u32)>, n_steps: u32) -> (Vec<(u32, u32)>, usize, usize) {
    spikes.sort_unstable_by_key(|(step, unit)| (*unit, *step));
    let (mut n_moved, mut last) = (0, None);
    for (step, unit) in &mut spikes {
        let free = match last {
            Some((taken, of)) if of == *unit => taken + 1,
            _ => 0,
        };
        n_moved += usize::from(free > *step);
        *step = free.max(*step);
        last = Some((*step, *unit));
    }
    let n_all = spikes.len();
    spikes.retain(|(step, _)| *step < n_steps);
    let n_lost = n_all - spikes.len();
    spikes.sort_unstable();
    (spikes, n_moved, n_lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_spikes_once_a_step_and_none_is_lost() {
        let (spikes, n_moved, n_lost) =
            one_a_step(vec![(3, 1), (0, 0), (3, 1), (4, 1), (3, 2), (9, 0), (9, 0)], 10);
        assert_eq!(spikes, [(0, 0), (3, 1), (3, 2), (4, 1), (5, 1), (9, 0)]);
        assert_eq!((n_moved, n_lost), (3, 1));
    }

    #[test]
    fn many_spikes_of_one_step_take_no_longer_than_many_of_many() {
        let n = 3_000_000;
        let (spikes, n_moved, n_lost) = one_a_step(vec![(7, 4); n], u32::MAX);
        assert_eq!((n_moved, n_lost), (n - 1, 0));
        assert!(spikes.iter().zip(7..).all(|((step, unit), free)| (*step, *unit) == (free, 4)));
    }
}

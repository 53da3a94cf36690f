//! SONATA configurations: circuit and simulation, in one file or several.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::keys::{self, near};
use super::manifest::File;
use crate::error::{Error, Result};
use crate::hdf5::Hdf5;

/// A file of nodes or edges with its table of types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PopulationFile {
    /// The HDF5 file.
    pub h5: PathBuf,
    /// The table of types; none where the circuit gives none.
    pub types: Option<PathBuf>,
    /// The populations of the file that the circuit has, with the types that the configuration gives them; none where it does not
    /// say: all of them.
    pub populations: Option<BTreeMap<String, Option<String>>>,
}

/// An entry of `inputs` that is enabled.
#[derive(Clone, Debug, PartialEq)]
pub struct InputEntry {
    /// Its name.
    pub name: String,
    /// `input_type`, e.g. `spikes`.
    pub input_type: String,
    /// The files with the spikes; none where none is named.
    pub files: Vec<PathBuf>,
    /// The population or node set that the spikes are of, if one is named.
    pub node_set: Option<Value>,
    /// All that it says.
    pub entry: Map<String, Value>,
}

/// What the files of a configuration say together.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The file that was named.
    pub file: PathBuf,
    /// Files of nodes that are enabled.
    pub nodes: Vec<PopulationFile>,
    /// Files of edges that are enabled.
    pub edges: Vec<PopulationFile>,
    /// Folders of the components.
    pub components: BTreeMap<String, PathBuf>,
    /// Inputs that are enabled, by name.
    pub inputs: Vec<InputEntry>,
    /// The file of node sets, if there is one.
    pub node_sets_file: Option<PathBuf>,
    /// Node sets in the configuration itself.
    pub node_sets: Map<String, Value>,
    /// The nodes to simulate; all where it is none.
    pub node_set: Option<Value>,
    /// `run.dt`, ms, if it is given.
    pub dt_ms: Option<f64>,
    /// `run.tstop` or `run.duration`, ms, if it is given.
    pub duration_ms: Option<f64>,
    /// Keys that are not known.
    pub unknown: Vec<String>,
    /// What it says that is not obeyed and cannot change the circuit, in words.
    pub left_out: Vec<String>,
}

impl Config {
    /// Reads a configuration: a circuit, a simulation that names its circuit under `network`, both in one file, or a file that
    /// names both. `manifest` takes the place of the files' own variables (`$NAME` to text; relative paths start at the
    /// folder of the file that uses them).
    ///
    /// # Errors
    /// A file that is missing or malformed, a variable without a value, a key that would change the circuit and is not
    /// obeyed: named with file and field.
    pub fn read(file: &Path, manifest: &BTreeMap<String, String>) -> Result<Self> {
        let mut config = Self { file: file.to_path_buf(), ..Self::default() };
        // Files that were read, and whether all that they name was, too.
        let first = File::read(file, None, manifest)?;
        let mut refused = None;
        config.add(first, manifest, &mut Vec::new(), &mut refused)?;
        if config.nodes.is_empty() {
            return Err(Error::file(
                file,
                "names no nodes (networks.nodes), itself or in the circuit under 'network'",
            ));
        }
        config.refuse_edges_twice()?;
        refused.map_or(Ok(config), Err)
    }

    /// Refuses edges that are named twice: their weights would be added to themselves.
    fn refuse_edges_twice(&self) -> Result<()> {
        let place =
            |file: &PopulationFile| std::fs::canonicalize(&file.h5).unwrap_or_else(|_| file.h5.clone());
        let places: Vec<PathBuf> = self.edges.iter().map(place).collect();
        for (ix, file) in self.edges.iter().enumerate() {
            let shares = |earlier: &PopulationFile| match (&earlier.populations, &file.populations) {
                (Some(earlier), Some(own)) => own.keys().any(|name| earlier.contains_key(name)),
                _ => true,
            };
            if (0..ix).any(|earlier| places[earlier] == places[ix] && shares(&self.edges[earlier])) {
                let reason = format!("names the edges of {} twice (networks.edges)", file.h5.display());
                return Err(Error::file(&self.file, reason));
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        file: File,
        given: &BTreeMap<String, String>,
        read: &mut Vec<(PathBuf, bool)>,
        refused: &mut Option<Error>,
    ) -> Result<()> {
        let path = file.path();
        let place = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        match read.iter().find(|(earlier, _)| *earlier == place) {
            // Named twice: by a file that names everything, and by the simulation that it names.
            Some((_, true)) => return Ok(()),
            Some((_, false)) => return Err(Error::file(path, "configurations name each other in a circle")),
            None => read.push((place.clone(), false)),
        }
        if let Err(error) = keys::check_configuration(&file, &mut self.left_out, &mut self.unknown) {
            refused.get_or_insert(error);
        }
        for key in ["network", "circuit", "simulation"] {
            if let Some(other) = file.root().get(key).filter(|other| !other.is_null()) {
                let other = File::read(&file.path_at(other, key)?, Some(&file), given)?;
                self.add(other, given, read, refused)?;
            }
        }
        self.add_networks(&file)?;
        for (name, folder) in file.object("components")?.into_iter().flatten() {
            // Other components than folders (lists, names) are not ours to read.
            if let Value::String(folder) = folder {
                let field = format!("components.{name}");
                self.components.insert(name.clone(), file.path_of(folder, &field)?);
            }
        }
        for (name, entry) in file.object("inputs")?.into_iter().flatten() {
            self.inputs.extend(input(&file, name, entry)?);
        }
        if let Some(sets) = file.root().get("node_sets_file").filter(|sets| !sets.is_null()) {
            self.node_sets_file = Some(file.path_at(sets, "node_sets_file")?);
        }
        self.node_sets.extend(file.object("node_sets")?.cloned().into_iter().flatten());
        if let Some(node_set) = file.root().get("node_set").filter(|set| !set.is_null()) {
            self.node_set = Some(node_set.clone());
        }
        self.dt_ms = file.number("run", "dt")?.or(self.dt_ms);
        for key in ["tstop", "duration"] {
            self.duration_ms = file.number("run", key)?.or(self.duration_ms);
        }
        read.iter_mut().filter(|(file, _)| *file == place).for_each(|(_, done)| *done = true);
        Ok(())
    }

    fn add_networks(&mut self, file: &File) -> Result<()> {
        let Some(networks) = file.object("networks")? else { return Ok(()) };
        if let Some(other) = networks.keys().find(|key| !["nodes", "edges"].contains(&key.as_str())) {
            return Err(
                file.error(&format!("networks.{other}"), "is not read (networks.nodes, networks.edges)")
            );
        }
        for (kind, all) in [("nodes", &mut self.nodes), ("edges", &mut self.edges)] {
            let field = format!("networks.{kind}");
            let entries = match networks.get(kind) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(entries)) => entries,
                Some(_) => return Err(file.error(&field, "must be a list")),
            };
            for (ix, entry) in entries.iter().enumerate() {
                all.extend(population_file(file, kind, &format!("{field}[{ix}]"), entry)?);
            }
        }
        Ok(())
    }

    /// Names of all populations of nodes (or edges) in its files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn populations(files: &[PopulationFile], kind: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for file in files {
            names.extend(Hdf5::open(&file.h5)?.groups(kind)?);
        }
        Ok(names)
    }

    /// A file in the folder of a component, e.g. `synaptic_models_dir`.
    pub(super) fn component(&self, folder: &str, name: &str) -> Result<PathBuf> {
        match self.components.get(folder) {
            Some(dir) => Ok(dir.join(name)),
            None => Err(Error::file(
                &self.file,
                format!("components.{folder} is missing; '{name}' is looked for there"),
            )),
        }
    }
}

/// An entry of `networks.nodes` or `networks.edges`; none where it is disabled.
fn population_file(file: &File, kind: &str, field: &str, entry: &Value) -> Result<Option<PopulationFile>> {
    let (h5_key, types_key) = (format!("{kind}_file"), format!("{}_types_file", &kind[..4]));
    let Some(entry) = entry.as_object() else { return Err(file.error(field, "must be an object")) };
    let known = [h5_key.as_str(), types_key.as_str(), "enabled", "populations"];
    if let Some(other) = entry.keys().find(|key| !known.contains(&key.as_str())) {
        let meant = near(other, &known).map_or(String::new(), |known| format!(" (is {known} meant?)"));
        return Err(file.error(&format!("{field}.{other}"), format!("is no key that is read here{meant}")));
    }
    let Some(h5) = entry.get(&h5_key) else {
        return Err(file.error(&format!("{field}.{h5_key}"), "must name a file"));
    };
    let h5 = file.path_at(h5, &format!("{field}.{h5_key}"))?;
    let types = match entry.get(&types_key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() || text == "NULL" => None,
        Some(types) => Some(file.path_at(types, &format!("{field}.{types_key}"))?),
    };
    let populations = match entry.get("populations") {
        None | Some(Value::Null) => None,
        Some(Value::Object(populations)) => {
            let of = |(name, about): (&String, &Value)| {
                let field = format!("{field}.populations.{name}");
                keys::check_population(file, kind, &field, about).map(|kind| (name.clone(), kind))
            };
            Some(populations.iter().map(of).collect::<Result<_>>()?)
        }
        Some(_) => return Err(file.error(&format!("{field}.populations"), "must be an object")),
    };
    let enabled = is_enabled(file, field, entry)?;
    Ok(enabled.then_some(PopulationFile { h5, types, populations }))
}

/// Whether an entry is not switched off.
fn is_enabled(file: &File, field: &str, entry: &Map<String, Value>) -> Result<bool> {
    match entry.get("enabled") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Bool(enabled)) => Ok(*enabled),
        Some(_) => Err(file.error(&format!("{field}.enabled"), "must be true or false")),
    }
}

/// An entry of `inputs`; none where it is disabled.
fn input(file: &File, name: &str, entry: &Value) -> Result<Option<InputEntry>> {
    let field = format!("inputs.{name}");
    let Some(entry) = entry.as_object() else { return Err(file.error(&field, "must be an object")) };
    if !is_enabled(file, &field, entry)? {
        return Ok(None);
    }
    let input_type = entry.get("input_type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut files = Vec::new();
    // Files of other inputs than spikes are not ours to look for.
    if input_type == "spikes" {
        for key in ["input_file", "spike_file"] {
            let field = format!("{field}.{key}");
            match entry.get(key) {
                None | Some(Value::Null) => (),
                Some(Value::Array(several)) => {
                    let several = several.iter().map(|one| file.path_at(one, &field));
                    files.extend(several.collect::<Result<Vec<_>>>()?);
                }
                Some(one) => files.push(file.path_at(one, &field)?),
            }
        }
    }
    Ok(Some(InputEntry {
        name: name.to_owned(),
        input_type,
        files,
        node_set: entry.get("source").or_else(|| entry.get("node_set")).cloned(),
        entry: entry.clone(),
    }))
}

/// The JSON of a configuration, and its paths made whole: for what other programs keep in it.
///
/// # Errors
/// A file that is missing or malformed.
pub fn read_raw(file: &Path) -> Result<(Value, impl Fn(&str, &str) -> Result<PathBuf>)> {
    let file = File::read(file, None, &BTreeMap::new())?;
    let root = file.root().clone();
    Ok((root, move |text: &str, field: &str| file.path_of(text, field)))
}

/// Reads a JSON file.
pub(super) fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(Error::unreadable(path))?;
    // The mark that editors of Windows put before a text.
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).map_err(|e| Error::file(path, format!("is no JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn a_simulation_finds_its_circuit_through_both_manifests() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("net")).unwrap();
        written(
            folder.path(),
            "net/circuit.json",
            r#"{"manifest": {"$HERE": ".", "$DATA": "${HERE}/data"}, "components": {"point_neuron_models_dir": "$MODELS/cells"},
            "networks": {"nodes": [{"nodes_file": "$DATA/n.h5", "node_types_file": null}],
            "edges": [{"edges_file": "$DATA/e.h5", "edge_types_file": "$DATA/t.csv"}, {"edges_file": "x.h5", "enabled": false}]}}"#,
        );
        let simulation = written(
            folder.path(),
            "simulation.json",
            r#"{"manifest": {"$BASE": ".", "$MODELS": "$BASE/models"}, "network": "$BASE/net/circuit.json", "run": {"dt": 0.25},
            "inputs": {"a": {"input_type": "spikes", "input_file": "$BASE/s.h5", "node_set": "lgn"}}}"#,
        );
        let config = Config::read(&simulation, &BTreeMap::new()).unwrap();
        let in_folder = |path: &Path, end: &str| {
            assert!(path.starts_with(folder.path()) && path.ends_with(end), "{}", path.display());
        };
        assert_eq!((config.nodes.len(), config.edges.len(), config.dt_ms), (1, 1, Some(0.25)));
        in_folder(&config.nodes[0].h5, "net/data/n.h5");
        assert_eq!(config.nodes[0].types, None);
        in_folder(config.edges[0].types.as_deref().unwrap(), "data/t.csv");
        in_folder(&config.component("point_neuron_models_dir", "c.json").unwrap(), "models/cells/c.json");
        in_folder(&config.inputs[0].files[0], "s.h5");
        let moved = [("$MODELS".to_owned(), "/elsewhere".to_owned())].into();
        let config = Config::read(&simulation, &moved).unwrap();
        assert_eq!(
            config.component("point_neuron_models_dir", "c").unwrap(),
            Path::new("/elsewhere/cells/c")
        );
        let error = config.component("synaptic_models_dir", "s.json").unwrap_err().to_string();
        assert!(error.contains("components.synaptic_models_dir") && error.contains("s.json"), "{error}");
    }

    #[test]
    fn faults_are_named_by_file_and_field() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            (
                r#"{"networks": {"nodes": [{"nodes_file": "$WHERE/n.h5"}]}}"#,
                "networks.nodes[0].nodes_file uses $WHERE",
            ),
            (r#"{"manifest": {"$A": "$B", "$B": "$A"}, "network": "$A"}"#, "in a circle"),
            (r#"{"network": "self.json"}"#, "in a circle"),
            (r#"{"networks": {"nodes": [{}]}}"#, "networks.nodes[0].nodes_file must name a file"),
            (r#"{"networks": {"nodes": 3}}"#, "networks.nodes must be a list"),
            (r#"{"manifest": {"$A": 3}}"#, "manifest.$A must be a text"),
            ("{}", "names no nodes"),
            ("[]", "not a JSON object"),
            ("{", "is no JSON"),
        ];
        for (text, message) in cases {
            let file = written(folder.path(), "self.json", text);
            let error = Config::read(&file, &BTreeMap::new()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(
                error.to_string().contains(message) && error.to_string().contains("self.json"),
                "{error}"
            );
        }
    }
}

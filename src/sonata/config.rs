//! SONATA configurations: circuit and simulation, in one file or several, with the variables of their manifests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};

/// How often variables of a manifest may name each other.
const MAX_NESTING: usize = 20;

/// A file of nodes or edges with its table of types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopulationFile {
    /// The HDF5 file.
    pub h5: PathBuf,
    /// The table of types; none where the circuit gives none.
    pub types: Option<PathBuf>,
}

/// An entry of `inputs`.
#[derive(Clone, Debug, PartialEq)]
pub struct InputEntry {
    /// Its name.
    pub name: String,
    /// `input_type`, e.g. `spikes`.
    pub input_type: String,
    /// The file with the spikes, if one is named.
    pub file: Option<PathBuf>,
    /// The population or node set that the spikes are of, if one is named.
    pub node_set: Option<Value>,
    /// Name of the trial of an NWB 1 file, if one is named.
    pub trial: Option<String>,
}

/// What the files of a configuration say together.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The file that was named.
    pub file: PathBuf,
    /// Files of nodes.
    pub nodes: Vec<PopulationFile>,
    /// Files of edges that are enabled.
    pub edges: Vec<PopulationFile>,
    /// Folders of the components.
    pub components: BTreeMap<String, PathBuf>,
    /// Inputs, by name.
    pub inputs: Vec<InputEntry>,
    /// The file of node sets, if there is one.
    pub node_sets_file: Option<PathBuf>,
    /// The nodes to simulate; all where it is none.
    pub node_set: Option<Value>,
    /// `run.dt`, ms, if it is given.
    pub dt_ms: Option<f64>,
}

/// A JSON file with its variables.
struct File {
    path: PathBuf,
    root: Value,
    variables: BTreeMap<String, String>,
}

impl Config {
    /// Reads a configuration: a circuit, a simulation that names its circuit under `network`, both in one file, or a file that
    /// names both. `manifest` takes the place of the files' own variables (`$NAME` to text; relative paths start at the
    /// folder of the file that uses them).
    ///
    /// # Errors
    /// A file that is missing or malformed, a variable without a value: named with file and field.
    pub fn read(file: &Path, manifest: &BTreeMap<String, String>) -> Result<Self> {
        let mut config = Self { file: file.to_path_buf(), ..Self::default() };
        let given: BTreeMap<String, String> =
            manifest.iter().map(|(name, value)| (bare(name).to_owned(), value.clone())).collect();
        // Files that were read, and whether all that they name was, too.
        config.add(file, &BTreeMap::new(), &given, &mut Vec::new())?;
        if config.nodes.is_empty() {
            return Err(Error::file(
                file,
                "names no nodes (networks.nodes), itself or in the circuit under 'network'",
            ));
        }
        Ok(config)
    }

    fn add(
        &mut self,
        path: &Path,
        inherited: &BTreeMap<String, String>,
        given: &BTreeMap<String, String>,
        read: &mut Vec<(PathBuf, bool)>,
    ) -> Result<()> {
        let place = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        match read.iter().find(|(earlier, _)| *earlier == place) {
            // Named twice: by a file that names everything, and by the simulation that it names.
            Some((_, true)) => return Ok(()),
            Some((_, false)) => return Err(Error::file(path, "configurations name each other in a circle")),
            None => read.push((place.clone(), false)),
        }
        let file = File::read(path, inherited, given)?;
        for key in ["network", "circuit", "simulation"] {
            if let Some(Value::String(other)) = file.root.get(key) {
                let other = file.path_of(other, key)?;
                self.add(&other, &file.variables, given, read)?;
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
            self.inputs.push(file.input(name, entry)?);
        }
        if let Some(Value::String(sets)) = file.root.get("node_sets_file") {
            self.node_sets_file = Some(file.path_of(sets, "node_sets_file")?);
        }
        if let Some(node_set) = file.root.get("node_set") {
            self.node_set = Some(node_set.clone());
        }
        if let Some(dt) = file.root.pointer("/run/dt").and_then(Value::as_f64) {
            self.dt_ms = Some(dt);
        }
        read.iter_mut().filter(|(file, _)| *file == place).for_each(|(_, done)| *done = true);
        Ok(())
    }

    fn add_networks(&mut self, file: &File) -> Result<()> {
        for (kind, is_nodes) in [("nodes", true), ("edges", false)] {
            let field = format!("networks.{kind}");
            let entries = match file.root.pointer(&format!("/networks/{kind}")) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(entries)) => entries,
                Some(_) => return Err(file.error(&field, "must be a list")),
            };
            for (ix, entry) in entries.iter().enumerate() {
                let (h5_key, types_key) = (format!("{kind}_file"), format!("{}_types_file", &kind[..4]));
                let Some(Value::String(h5)) = entry.get(&h5_key) else {
                    return Err(file.error(&format!("{field}[{ix}].{h5_key}"), "must name a file"));
                };
                let h5 = file.path_of(h5, &format!("{field}[{ix}].{h5_key}"))?;
                let types = match entry.get(&types_key) {
                    Some(Value::String(types)) if types != "NULL" && !types.is_empty() => {
                        Some(file.path_of(types, &format!("{field}[{ix}].{types_key}"))?)
                    }
                    _ => None,
                };
                let enabled = entry.get("enabled").and_then(Value::as_bool).unwrap_or(true);
                match (is_nodes, enabled) {
                    (true, _) => self.nodes.push(PopulationFile { h5, types }),
                    (false, true) => self.edges.push(PopulationFile { h5, types }),
                    (false, false) => (),
                }
            }
        }
        Ok(())
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

impl File {
    fn read(
        path: &Path,
        inherited: &BTreeMap<String, String>,
        given: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let root = read_json(path)?;
        if !root.is_object() {
            return Err(Error::file(path, "is no SONATA configuration: it is not a JSON object"));
        }
        let mut file = Self { path: path.to_path_buf(), root, variables: inherited.clone() };
        let folder = file.folder().display().to_string();
        file.variables.insert("configdir".to_owned(), folder);
        file.variables.insert("workingdir".to_owned(), ".".to_owned());
        let own: Vec<(String, String)> = file
            .object("manifest")?
            .into_iter()
            .flatten()
            .map(|(name, value)| match value.as_str() {
                Some(text) => Ok((bare(name).to_owned(), text.to_owned())),
                None => Err(file.error(&format!("manifest.{name}"), "must be a text")),
            })
            .collect::<Result<_>>()?;
        file.variables.extend(own);
        file.variables.extend(given.clone());
        // From here on values are whole: another file may use them, whose folder is another.
        let names: Vec<String> = file.variables.keys().cloned().collect();
        for name in names {
            if !inherited.contains_key(&name) || given.contains_key(&name) {
                let value = file.expand(&format!("${name}"), &format!("manifest.${name}"))?;
                let whole = if value.starts_with('.') {
                    file.folder().join(value).display().to_string()
                } else {
                    value
                };
                file.variables.insert(name, whole);
            }
        }
        Ok(file)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn error(&self, field: &str, reason: impl std::fmt::Display) -> Error {
        Error::file(&self.path, format!("{field} {reason}"))
    }

    fn object(&self, key: &str) -> Result<Option<&serde_json::Map<String, Value>>> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.error(key, "must be an object")),
        }
    }

    /// Text with its variables, `$NAME` or `${NAME}`, replaced.
    fn expand(&self, text: &str, field: &str) -> Result<String> {
        let mut text = text.to_owned();
        for _ in 0..=MAX_NESTING {
            let Some(at) = text.find('$') else { return Ok(text) };
            let rest = &text[at + 1..];
            let (name, end) = match rest.strip_prefix('{').and_then(|r| r.find('}').map(|n| (&r[..n], n + 2)))
            {
                Some(braced) => braced,
                None => {
                    let n = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    (&rest[..n], n)
                }
            };
            let value = self.variables.get(name).ok_or_else(|| {
                let reason =
                    format!("uses ${name}, which no manifest sets (the scene's network.manifest can)");
                self.error(field, reason)
            })?;
            text = format!("{}{value}{}", &text[..at], &rest[end..]);
        }
        Err(self.error(field, "names variables that name each other in a circle"))
    }

    /// A path with its variables replaced; relative ones start at this file's folder.
    fn path_of(&self, text: &str, field: &str) -> Result<PathBuf> {
        Ok(self.folder().join(self.expand(text, field)?))
    }

    fn input(&self, name: &str, entry: &Value) -> Result<InputEntry> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let input_type = text("input_type").unwrap_or_default().to_owned();
        let mut file = None;
        for key in ["input_file", "spike_file"] {
            // Files of other inputs than spikes are not ours to look for.
            if let (true, Some(path)) = (input_type == "spikes", text(key)) {
                file = Some(self.path_of(path, &format!("inputs.{name}.{key}"))?);
            }
        }
        Ok(InputEntry {
            name: name.to_owned(),
            input_type,
            file,
            node_set: entry.get("source").or_else(|| entry.get("node_set")).cloned(),
            trial: text("trial").map(str::to_owned),
        })
    }
}

/// The JSON of a configuration, and its paths made whole: for what other programs keep in it.
///
/// # Errors
/// A file that is missing or malformed.
pub fn read_raw(file: &Path) -> Result<(Value, impl Fn(&str, &str) -> Result<PathBuf>)> {
    let file = File::read(file, &BTreeMap::new(), &BTreeMap::new())?;
    let root = file.root.clone();
    Ok((root, move |text: &str, field: &str| file.path_of(text, field)))
}

/// Reads a JSON file.
pub(super) fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::file(path, "there is no such file"),
        _ => Error::file(path, e.to_string()),
    })?;
    serde_json::from_str(&text).map_err(|e| Error::file(path, format!("is no JSON: {e}")))
}

/// A variable's name without its `$` and braces.
fn bare(name: &str) -> &str {
    name.trim_start_matches('$').trim_start_matches('{').trim_end_matches('}')
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
        in_folder(config.inputs[0].file.as_deref().unwrap(), "s.h5");
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

//! From a scene's `network: Sonata(..)` to configuration, circuit and trial inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::circuit::{Circuit, CircuitOptions};
use super::config::Config;
use super::inputs::{InputSource, TrialInput};
use crate::error::{Result, warning};
use crate::network::CELL_TYPES;
use crate::network::tables::Tables;
use crate::scene::SonataScene;

/// The configuration that a scene names. `scene_file` is where its relative paths start.
///
/// # Errors
/// Those of [`Config::read`].
pub fn config_of_scene(sonata: &SonataScene, scene_file: &Path) -> Result<Config> {
    let folder = scene_folder(scene_file);
    let whole = |value: &String| match value.starts_with('$') || Path::new(value).is_absolute() {
        true => value.clone(),
        false => folder.join(value).display().to_string(),
    };
    let manifest: BTreeMap<String, String> =
        sonata.manifest.iter().map(|(name, value)| (name.clone(), whole(value))).collect();
    Config::read(&folder.join(&sonata.config), &manifest)
}

/// The circuit of a scene, and what its trials are shown.
///
/// # Errors
/// Those of [`Circuit::read`] and of the spikes' files.
pub fn circuit_of_scene(
    sonata: &SonataScene,
    scene_file: &Path,
    tables: &Tables,
    dt_ms: f64,
    n_steps: u32,
) -> Result<(Circuit, Vec<TrialInput>)> {
    let config = config_of_scene(sonata, scene_file)?;
    let v1_type = |name: &str| {
        let of_population =
            || tables.populations().into_iter().find(|p| p.name == name).map(|p| p.cell_type_ix);
        CELL_TYPES.iter().position(|cell_type| *cell_type == name).or_else(of_population)
    };
    let options = CircuitOptions {
        dt_ms,
        cell_type: sonata.cell_type.as_deref(),
        cell_types: &sonata.cell_types,
        v1_type: &v1_type,
        node_set: sonata.node_set.as_deref(),
        background: &sonata.background,
        weight_functions: &sonata.weight_functions,
    };
    let mut circuit = Circuit::read(&config, &options)?;
    if !config.unknown.is_empty() {
        let keys = config.unknown.join(", ");
        let file = config.file.display();
        circuit
            .notices
            .push(warning(format_args!("{file}: keys that are not known, and not obeyed: {keys}")));
    }
    if !config.left_out.is_empty() {
        circuit.notices.push(format!("not obeyed of the configuration: {}", config.left_out.join("; ")));
    }
    let duration_ms = f64::from(n_steps) * dt_ms;
    let times = [
        ("run.dt", config.dt_ms, "time.dt_ms", dt_ms),
        ("run.tstop", config.duration_ms, "time.duration_ms", duration_ms),
    ];
    for (key, configured, field, own) in times {
        if let Some(other) = configured.filter(|other| (other - own).abs() > 1e-9 * own) {
            circuit.notices.push(format!(
                "the configuration's {key} is {other} ms; the scene's {field}, {own} ms, holds"
            ));
        }
    }
    let folder = scene_folder(scene_file);
    let own = |input: &crate::scene::SonataInputScene| InputSource {
        files: input.spikes.iter().map(|(name, file)| (name.clone(), folder.join(file))).collect(),
        start_ms: input.start_ms,
        direction_deg: input.direction_deg,
        contrast: input.contrast,
    };
    let mut sources: Vec<InputSource> = sonata.inputs.iter().map(own).collect();
    if sources.is_empty() {
        sources.push(InputSource::default());
    }
    let inputs = circuit.read_inputs(&sources, &config, dt_ms, n_steps, sonata.early_spikes)?;
    Ok((circuit, inputs))
}

/// Every file that a circuit is read from, components and spikes of the scene included, where it exists.
///
/// # Errors
/// Those of [`Config::read`].
pub fn files_of_scene(sonata: &SonataScene, scene_file: &Path) -> Result<Vec<PathBuf>> {
    let config = config_of_scene(sonata, scene_file)?;
    let folder = scene_folder(scene_file);
    let mut files = vec![config.file.clone()];
    for file in config.nodes.iter().chain(&config.edges) {
        files.push(file.h5.clone());
        files.extend(file.types.clone());
    }
    files.extend(config.inputs.iter().flat_map(|input| input.files.clone()));
    files.extend(sonata.inputs.iter().flat_map(|input| input.spikes.values()).map(|file| folder.join(file)));
    files.extend(config.node_sets_file.clone());
    for folder in config.components.values() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.extend(
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json")),
        );
    }
    files.retain(|file| file.is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

fn scene_folder(scene_file: &Path) -> PathBuf {
    match scene_file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

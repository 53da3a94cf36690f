//! Which keys of a configuration, and which names of attributes, are obeyed, and what becomes of the others: what could change the
//! circuit is refused by name, what cannot is said.

use serde_json::Value;

use super::manifest::File;
use crate::error::Result;
use crate::scene::edit_distance;

/// Keys of a configuration that are obeyed.
const OBEYED: [&str; 11] = [
    "manifest",
    "network",
    "circuit",
    "simulation",
    "networks",
    "components",
    "inputs",
    "node_sets_file",
    "node_sets",
    "node_set",
    "run",
];
/// Keys that say nothing of the circuit: what it is, what was to be written, for which program.
const APART: [&str; 13] = [
    "target_simulator",
    "target_simulator_version",
    "version",
    "config_version",
    "output",
    "reports",
    "conditions",
    "name",
    "description",
    "comment",
    "metadata",
    "config_path",
    "config_dir",
];
/// Keys of `run` that change what is simulated, with the value under which they do not.
const RUN_NEUTRAL: [(&str, f64); 4] =
    [("tstart", 0.0), ("forward_skip", 0.0), ("connect_internal", 1.0), ("connect_external", 1.0)];
/// Types of edges, in a configuration of libsonata's, whose synapses are those of the model.
const CHEMICAL: [&str; 3] = ["chemical", "chemical_virtual", "point_process"];
/// Keys of a population that say nothing of point neurons.
const OF_SHAPE: [&str; 12] = [
    "type",
    "morphologies_dir",
    "alternate_morphologies",
    "biophysical_neuron_models_dir",
    "spatial_segment_index_dir",
    "spatial_synapse_index_dir",
    "spine_morphologies_dir",
    "endfeet_meshes_file",
    "vasculature_file",
    "vasculature_mesh",
    "microdomains_file",
    "provenance",
];

/// Looks at every key of a file; those that are not obeyed and cannot matter are added to `left_out`,
/// those that are not known to `unknown`.
///
/// # Errors
/// Names a key that could change the circuit.
pub(super) fn check_configuration(
    file: &File,
    left_out: &mut Vec<String>,
    unknown: &mut Vec<String>,
) -> Result<()> {
    for (key, value) in file.root().as_object().into_iter().flatten() {
        if OBEYED.contains(&key.as_str()) || APART.contains(&key.as_str()) || is_nothing(value) {
            continue;
        }
        if let Some(known) = near(key, &OBEYED) {
            return Err(file.error(key, format!("is no key of a configuration; is {known} meant?")));
        }
        match key.as_str() {
            "connection_overrides" => {
                return Err(file
                    .error(key, "is not obeyed: it changes connections; take it out, or change the edges"));
            }
            "gid_mapping_file" => {
                return Err(
                    file.error(key, "is not obeyed: spikes must name nodes by population and node id")
                );
            }
            _ => unknown.push(key.clone()),
        }
    }
    if file.object("conditions")?.and_then(|c| c.get("modifications")).is_some_and(|m| !is_nothing(m)) {
        return Err(file.error("conditions.modifications", "is not obeyed: it changes cells; take it out"));
    }
    if file.object("conditions")?.is_some_and(|conditions| conditions.contains_key("v_init")) {
        left_out.push("conditions.v_init: point neurons start at their V_m, as in BMTK".to_owned());
    }
    if file.root().get("reports").is_some_and(|reports| !is_nothing(reports)) {
        left_out.push("reports: the scene's evaluate.reports says what is written".to_owned());
    }
    for (key, neutral) in RUN_NEUTRAL {
        let Some(value) = file.object("run")?.and_then(|run| run.get(key)) else { continue };
        let number = value.as_f64().or(value.as_bool().map(|flag| f64::from(u8::from(flag))));
        if number != Some(neutral) && !value.is_null() {
            return Err(file.error(&format!("run.{key}"), format!("= {value} is not obeyed; take it out")));
        }
    }
    Ok(())
}

/// Looks at what a configuration says of a population of `kind` (nodes or edges): the type that it gives, if any.
///
/// # Errors
/// Names a key or type that could change the circuit.
pub(super) fn check_population(
    file: &File,
    kind: &str,
    field: &str,
    about: &Value,
) -> Result<Option<String>> {
    let about = match about {
        Value::Null => return Ok(None),
        Value::Object(about) => about,
        _ => return Err(file.error(field, "must be an object")),
    };
    if let Some(other) = about.keys().find(|key| !OF_SHAPE.contains(&key.as_str())) {
        return Err(
            file.error(&format!("{field}.{other}"), "is not obeyed: components are those of all populations")
        );
    }
    let given = match about.get("type") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(given)) => given.clone(),
        Some(_) => return Err(file.error(&format!("{field}.type"), "must be a text")),
    };
    if kind == "edges" && !CHEMICAL.contains(&given.as_str()) {
        let reason = format!("= '{given}' is not simulated ({})", CHEMICAL.join(", "));
        return Err(file.error(&format!("{field}.type"), reason));
    }
    Ok(Some(given))
}

/// Whether a value says nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(several) => several.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// The name among `known` that a name was probably meant to be: one that differs by one letter, or by two in a long name.
pub(super) fn near<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let most = |known: &str| if known.len() > 5 { 2 } else { 1 };
    let is_near = |known: &&str| name.len() < 2 * known.len() && edit_distance(name, known) <= most(known);
    known.iter().copied().find(|known| *known != name && is_near(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_meant_is_found() {
        let known = ["syn_weight", "nsyns", "delay"];
        for (name, meant) in [
            ("syn_weigth", Some("syn_weight")),
            ("synweight", Some("syn_weight")),
            ("nsyn", Some("nsyns")),
            ("delays", Some("delay")),
            ("delay", None),
            ("decay_time", None),
            ("weight", None),
        ] {
            assert_eq!(near(name, &known), meant, "{name}");
        }
    }
}

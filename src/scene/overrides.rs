//! `--set path=value`: replaces one value in the text of a resolved scene and reads it again.
//!
//! RON's generic value type forgets the names of variants, so the edit is made in the text. The text is the scene as
//! [`Scene::to_ron`] writes it: no comments, every field present, which keeps the scanner this short.

use std::path::Path;

use super::Scene;
use crate::error::{Error, Result, clipped};

/// A field of the text: its dotted path, items of lists by their index in brackets, and the byte range of its value.
struct Entry {
    path: String,
    start: usize,
    end: usize,
}

/// An open bracket.
struct Open {
    bracket: u8,
    /// The field whose value it belongs to.
    field: Option<usize>,
    /// Commas so far.
    item: usize,
}

/// The scene with one setting applied.
pub(super) fn apply(scene: &Scene, setting: &str) -> Result<Scene> {
    let command_line = Path::new("command line");
    let Some((path, value)) = setting.split_once('=') else {
        return Err(Error::field(command_line, "--set", setting, "must be path=value, e.g. time.dt_ms=0.5"));
    };
    let (path, value) = (path.trim(), value.trim());
    let text = scene.to_ron()?;
    let entries = entries(&text);
    let Some(entry) = entries.iter().find(|e| e.path == path) else {
        let nearest = entries.iter().min_by_key(|e| remoteness(&e.path, path)).map_or("", |e| &e.path);
        let limit = format!("the scene has no field '{path}'; the nearest is '{nearest}'");
        return Err(Error::field(command_line, "--set", setting, limit));
    };
    let edited = format!("{}{}{}", &text[..entry.start], value, &text[entry.end..]);
    Scene::parse(command_line, &edited).map_err(|e| {
        let reason = match e {
            // The position is one in the edited text, which the user never sees.
            Error::File { reason, .. } => {
                reason.split_once(": ").map_or(reason.clone(), |(_, r)| r.to_owned())
            }
            other => other.to_string(),
        };
        let was = clipped(&text[entry.start..entry.end]);
        Error::field(command_line, format!("--set {path}"), value, format!("{reason} (it was {was})"))
    })
}

/// The innermost field in which two scenes differ, and its value in each; fields under a path of `but` are left out.
pub(super) fn first_difference(
    a: &Scene,
    b: &Scene,
    but: &[&str],
) -> Result<Option<(String, String, String)>> {
    let (text_a, text_b) = (a.to_ron()?, b.to_ron()?);
    let (all_a, all_b) = (entries(&text_a), entries(&text_b));
    let is_within = |path: &str, outer: &str| {
        path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let left_out = |path: &str| but.iter().any(|b| is_within(path, b));
    // Outer fields differ where an inner one does, so the last of a chain of differing fields is the cause. A variant
    // with other fields has no inner field in common.
    let mut differing: Option<(String, String, String)> = None;
    for entry in all_a.iter().filter(|e| !left_out(&e.path)) {
        let value_a = &text_a[entry.start..entry.end];
        let Some(twin) = all_b.iter().find(|e| e.path == entry.path) else { continue };
        let value_b = &text_b[twin.start..twin.end];
        match &differing {
            Some((outer, ..)) if !is_within(&entry.path, outer) => break,
            _ if value_a == value_b || but.iter().any(|b| b.starts_with(&format!("{}.", entry.path))) => {}
            _ => differing = Some((entry.path.clone(), value_a.to_owned(), value_b.to_owned())),
        }
    }
    Ok(differing.map(|(path, here, there)| (path, clipped(&here), clipped(&there))))
}

/// All fields of a scene with their values.
pub(super) fn fields(scene: &Scene) -> Result<Vec<(String, String)>> {
    let text = scene.to_ron()?;
    Ok(entries(&text).into_iter().map(|e| (e.path, text[e.start..e.end].to_owned())).collect())
}

/// All fields of a scene's text, outer before inner. A map is the value of its field: its keys are none.
fn entries(text: &str) -> Vec<Entry> {
    let bytes = text.as_bytes();
    let mut found: Vec<Entry> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    // The field whose value is being read.
    let mut current: Option<usize> = None;
    let mut word_start = 0;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'"' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
            }
            bracket @ (b'(' | b'[' | b'{') => {
                open.push(Open { bracket, field: current.take(), item: 0 });
                word_start = i + 1;
            }
            b':' if open.iter().all(|o| o.bracket != b'{') => {
                let name = text[word_start..i].trim();
                let parent = open.iter().rev().find_map(|o| o.field.map(|field| (o, &found[field].path)));
                let path = match parent {
                    None => name.to_owned(),
                    Some((Open { bracket: b'[', item, .. }, path)) => format!("{path}[{item}].{name}"),
                    Some((_, path)) => format!("{path}.{name}"),
                };
                let start = i + 1 + text[i + 1..].len() - text[i + 1..].trim_start().len();
                found.push(Entry { path, start, end: start });
                current = Some(found.len() - 1);
            }
            close @ (b',' | b')' | b']' | b'}') => {
                if let Some(field) = current.take() {
                    found[field].end = found[field].start + text[found[field].start..i].trim_end().len();
                }
                if close != b',' {
                    current = open.pop().and_then(|o| o.field);
                } else if let Some(around) = open.last_mut() {
                    around.item += 1;
                }
                word_start = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// How far a field is from the path that was written: the whole paths or only the last names, whichever is nearer.
fn remoteness(field: &str, written: &str) -> usize {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let levels = |path: &str| path.matches('.').count();
    let whole = edit_distance(field, written) + levels(field).abs_diff(levels(written));
    whole.min(edit_distance(&last(field), &last(written)) + 2)
}

/// Levenshtein distance in bytes.
pub(crate) fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{DirectionsScene, ModeScene, NetworkScene};

    fn scene() -> Scene {
        Scene::parse(Path::new("v1_4k.ron"), include_str!("../../tests/scenes/v1_4k.ron")).unwrap()
    }

    #[test]
    fn every_field_is_found_with_its_own_value() {
        let text = scene().to_ron().unwrap();
        let value = |path: &str| {
            let entry =
                entries(&text).into_iter().find(|e| e.path == path).unwrap_or_else(|| panic!("{path}"));
            text[entry.start..entry.end].to_owned()
        };
        assert_eq!(value("time.dt_ms"), "1.0");
        assert_eq!(value("network.radius_um"), "100.0");
        assert_eq!(value("network.background.n_units"), "100");
        assert_eq!(value("tables"), "\"../../scenes/v1\"");
        assert!(value("cells.mode").starts_with("TwoCompartment("));
        assert!(value("evaluate.directions_deg").ends_with(']'));
    }

    #[test]
    fn settings_change_what_they_name_and_nothing_else() {
        let before = scene();
        let set = |s: &str| before.with_overrides(&[s.to_owned()]).unwrap();
        let mut expected = before.clone();
        expected.time.dt_ms = 0.5;
        assert_eq!(set("time.dt_ms=0.5"), expected);
        assert_eq!(set("cells.mode=Point").cells.mode, ModeScene::Point);
        let degrees = set("trials.grating.directions=Degrees([0, 90])").trials.grating.directions;
        assert_eq!(degrees, DirectionsScene::Degrees(vec![0.0, 90.0]));
        assert_eq!(set("losses.rates=None").losses.rates, None);
        assert!(matches!(set("network=CellsOnly(current_pa: 100)").network, NetworkScene::CellsOnly(_)));
        assert_eq!(set("tables=\"a=b, (c)\"").tables.to_str(), Some("a=b, (c)"));
        assert_eq!(set("tables=\"a=b, (c)\"").with_overrides(&["seed=3".into()]).unwrap().seed, 3);
    }

    #[test]
    fn maps_are_set_whole_whatever_they_hold() {
        let set = |scene: &Scene, settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            scene.with_overrides(&settings).unwrap()
        };
        let targets = |scene: &Scene| scene.losses.rate_correlation.clone().unwrap().targets;
        let first = r#"losses.rate_correlation=(weight: 1, targets: {"L4_Exc": 0.2, "a}: b": 0.1})"#;
        let twice = set(&scene(), &[first, r#"losses.rate_correlation.targets={"L4_Exc": 0.5}"#]);
        assert_eq!(targets(&twice), [("L4_Exc".to_owned(), 0.5)].into());
        // What follows a map is found as before it.
        let mut expected = set(&scene(), &[first]);
        expected.losses.rate_correlation.as_mut().unwrap().mean_decay = 0.25;
        expected.evaluate.n_trials = 7;
        let after = [first, "losses.rate_correlation.mean_decay=0.25", "evaluate.n_trials=7"];
        assert_eq!(set(&scene(), &after), expected);
        assert!(fields(&expected).unwrap().iter().all(|(path, _)| !path.contains("L4_Exc")));
        let differing = first_difference(&twice, &expected, &[]).unwrap().unwrap();
        assert_eq!(differing.0, "losses.rate_correlation.targets");
    }

    #[test]
    fn a_list_of_inputs_is_set_and_compared_as_it_is() {
        let inputs = |deg: &str| {
            format!(
                r#"network=Sonata(config: "c.json", manifest: {{"$A": "b"}}, inputs: [
                    (spikes: {{"lgn": "0.h5"}}, direction_deg: Some(0)), (spikes: {{"lgn": "90.h5"}}, direction_deg: Some({deg}))])"#
            )
        };
        let circuit =
            |deg: &str, more: &str| scene().with_overrides(&[inputs(deg), more.to_owned()]).unwrap();
        let [one, other] = ["90", "45"].map(|deg| circuit(deg, r#"network.manifest={"$A": "c"}"#));
        let NetworkScene::Sonata(sonata) = &one.network else { panic!() };
        assert_eq!((sonata.manifest["$A"].as_str(), sonata.inputs.len()), ("c", 2));
        assert_eq!(first_difference(&one, &one, &[]).unwrap(), None);
        let differing = first_difference(&one, &other, &[]).unwrap().unwrap();
        let field = "network.inputs[1].direction_deg";
        assert_eq!(differing, (field.into(), "90.0".into(), "45.0".into()));
        assert_eq!(one.with_overrides(&[format!("{field}=Some(45)")]).unwrap(), other);
    }

    #[test]
    fn an_unknown_path_names_the_nearest() {
        let message = scene().with_overrides(&["time.dt=0.5".into()]).unwrap_err().to_string();
        assert!(message.contains("'time.dt_ms'"), "{message}");
        let message = scene().with_overrides(&["n_steps_between=5".into()]).unwrap_err().to_string();
        assert!(message.contains("'checkpoint.steps_between'"), "{message}");
        let message = scene().with_overrides(&["time.dt_ms=fast".into()]).unwrap_err().to_string();
        assert!(message.contains("time.dt_ms = fast") && message.contains("it was 1.0"), "{message}");
        let message = scene().with_overrides(&["time.dt_ms".into()]).unwrap_err().to_string();
        assert!(message.contains("path=value"), "{message}");
    }

    #[test]
    fn a_scene_survives_being_written() {
        let scene = scene();
        assert_eq!(Scene::parse(Path::new("x"), &scene.to_ron().unwrap()).unwrap(), scene);
    }
}

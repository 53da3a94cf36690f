//! Folders of trials: what lies in them, and how it differs from what an undisturbed command leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The files of a folder: mode and bytes by path.
pub(crate) type Tree = BTreeMap<String, (u32, Vec<u8>)>;

/// The run folders in a folder of trials.
pub(crate) fn runs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.filter(|path| path.is_dir()) {
            // A folder that begins with a dot is not there yet.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            if path.join("scene.ron").exists() {
                found.push(path);
            } else {
                open.push(path);
            }
        }
    }
    found
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What lies in a folder.
pub(crate) fn tree(folder: &Path) -> Result<Tree, String> {
    let mut tree = Tree::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(|e| e.to_string())? {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).map_err(|e| e.to_string())?.display().to_string();
            let mode = fs::metadata(&path).map_err(|e| e.to_string())?.permissions().mode();
            let bytes = fs::read(&path).map_err(|e| e.to_string())?;
            tree.insert(name, (mode, comparable(&path, bytes, folder)?));
        }
    }
    Ok(tree)
}

/// The bytes of a file without the folder's name and without what differs from run to run: times of day and durations.
fn comparable(path: &Path, bytes: Vec<u8>, folder: &Path) -> Result<Vec<u8>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let json =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(|e| format!("{name}: {e}"));
    if name.ends_with(".html") || name.ends_with(".nwb") {
        // Made anew, with times; that they are whole is all that is looked at.
        let whole = if name.ends_with(".html") {
            bytes.ends_with(b"</html>\n") || bytes.ends_with(b"</html>")
        } else {
            true
        };
        return if whole { Ok(Vec::new()) } else { Err(format!("{name} is not whole")) };
    }
    let Ok(text) = String::from_utf8(bytes.clone()) else { return Ok(bytes) };
    let text = text.replace(&*folder.to_string_lossy(), "FOLDER");
    let without = |mut value: serde_json::Value, keys: &[&str]| {
        if let Some(object) = value.as_object_mut() {
            keys.iter().for_each(|key| drop(object.remove(*key)));
        }
        value.to_string()
    };
    Ok(match name.as_str() {
        "metrics.jsonl" => {
            let lines = text.lines().map(|line| json(line).map(|value| without(value, &["ms"])));
            lines.collect::<Result<Vec<_>, _>>()?.join("\n")
        }
        "provenance.json" => without(json(&text)?, &["started"]),
        _ => text,
    }
    .into_bytes())
}

/// Where two trees differ, the first few places.
pub(crate) fn compare(own: &Tree, undisturbed: &Tree) -> Result<(), String> {
    let mut faults = Vec::new();
    for name in own.keys().chain(undisturbed.keys().filter(|name| !own.contains_key(*name))) {
        match (own.get(name), undisturbed.get(name)) {
            (Some(_), None) => faults.push(format!("{name} is left")),
            (None, _) => faults.push(format!("{name} is missing")),
            (Some((mode, _)), Some((usual, _))) if mode != usual => {
                faults.push(format!("{name} has mode {mode:o}, not {usual:o}"));
            }
            (Some((_, bytes)), Some((_, usual))) if bytes != usual => faults.push(format!("{name} differs")),
            _ => {}
        }
    }
    faults.truncate(5);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

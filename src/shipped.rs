//! The files of `scenes/` within the program, so that it works without its source tree: scenes, tables, calibrations.
//!
//! What a scene names and is not there beside it is looked for among them: `v1`, `calibration/v1_4k.csv`. Such a path
//! begins with [`ROOT`] from then on, in messages too.

use std::borrow::Cow;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenes");

/// Where the program's own files seem to be.
pub const ROOT: &str = "(simrun)";

/// A path below `scenes/`, if it is one within the program.
fn within(path: &Path) -> Option<&Path> {
    path.strip_prefix(ROOT).ok()
}

/// What a file names, `named` being relative to it: what is there beside it, else what is within the program by that
/// name, else the place beside it, for the message that nothing is there.
pub fn resolve(file: &Path, named: &Path) -> PathBuf {
    let beside = file.parent().unwrap_or(Path::new("")).join(named);
    let own = Path::new(ROOT).join(named);
    if !beside.exists() && (is_file(&own) || is_dir(&own)) { own } else { beside }
}

/// The folder of the tables of mouse V1.
pub fn tables() -> PathBuf {
    Path::new(ROOT).join("v1")
}

/// A scene within the program.
pub fn scene(name: &str) -> PathBuf {
    Path::new(ROOT).join(format!("{name}.ron"))
}

/// Whether a folder is there, or within the program.
pub fn is_dir(path: &Path) -> bool {
    within(path).map_or_else(|| path.is_dir(), |own| FILES.get_dir(own).is_some())
}

/// Whether a file is there, or within the program.
pub fn is_file(path: &Path) -> bool {
    within(path).map_or_else(|| path.is_file(), |own| FILES.get_file(own).is_some())
}

/// The bytes of a file.
///
/// # Errors
/// Those of the file system; `NotFound` within the program.
pub fn read(path: &Path) -> Result<Cow<'static, [u8]>> {
    match within(path) {
        None => std::fs::read(path).map(Cow::Owned),
        Some(own) => FILES.get_file(own).map(|file| Cow::Borrowed(file.contents())).ok_or_else(not_found),
    }
}

/// The text of a file.
///
/// # Errors
/// Those of [`read`]; `InvalidData` if it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?.into_owned()).map_err(|e| Error::new(ErrorKind::InvalidData, e))
}

/// The files of a folder.
///
/// # Errors
/// Those of the file system; `NotFound` within the program.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    match within(folder) {
        None => std::fs::read_dir(folder)?.map(|entry| entry.map(|found| found.path())).collect(),
        Some(own) => {
            let dir = FILES.get_dir(own).ok_or_else(not_found)?;
            Ok(dir.files().map(|file| Path::new(ROOT).join(file.path())).collect())
        }
    }
}

/// The path as a scene in any folder can name it: absolute, or below `scenes/` if it is within the program.
///
/// # Errors
/// Those of the file system.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    within(path).map_or_else(|| std::fs::canonicalize(path), |own| Ok(own.to_path_buf()))
}

/// The scenes within the program: name and text, in order of name.
pub fn scenes() -> Vec<(&'static str, &'static str)> {
    let scene = |file: &'static include_dir::File<'static>| {
        let name = file.path().to_str()?.strip_suffix(".ron")?;
        Some((name, file.contents_utf8()?))
    };
    let mut scenes: Vec<_> = FILES.files().filter_map(scene).collect();
    scenes.sort_unstable();
    scenes
}

fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such file within simrun")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_scenes_is_within_the_program_as_it_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes");
        let mut n_files = 0;
        for folder in ["", "v1", "calibration"] {
            for file in files(&root.join(folder)).unwrap().iter().filter(|path| path.is_file()) {
                let own = Path::new(ROOT).join(file.strip_prefix(&root).unwrap());
                assert_eq!(read(&own).unwrap(), read(file).unwrap(), "{}", own.display());
                n_files += 1;
            }
        }
        assert!(n_files > 20, "{n_files}");
        assert!(scenes().iter().any(|(name, text)| *name == "v1_67k" && text.contains("radius_um: 400")));
    }

    #[test]
    fn what_lies_beside_a_scene_goes_before_what_is_within_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let scene = folder.path().join("scene.ron");
        assert_eq!(resolve(&scene, Path::new("v1")), tables());
        assert_eq!(resolve(&scene, Path::new("v2")), folder.path().join("v2"));
        assert_eq!(absolute(&tables()).unwrap(), Path::new("v1"));
        std::fs::create_dir(folder.path().join("v1")).unwrap();
        assert_eq!(resolve(&scene, Path::new("v1")), folder.path().join("v1"));
        assert_eq!(read(&tables().join("none.csv")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

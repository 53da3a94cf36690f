//! Files that appear whole or not at all.
//!
//! A file is written beside its place as `NAME.PID.partial`, synced and renamed over what was there. Its writer holds a lock on it
//! meanwhile, so that what a dead process left is told from what a living one is writing. Symbolic links are not followed: a link in the
//! place of a file is replaced by the file.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::hdf5::{self, Group, Storage};

/// Ends the name of a file or folder that is not whole yet.
pub(super) const PARTIAL: &str = "partial";

/// Replaces a file: writes beside it, syncs, renames.
///
/// # Errors
/// [`Error::Io`]; the earlier file is then as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(bytes))
}

/// Writes a file beside `path`, syncs it and renames it over `path`. On an error `path` is as it was.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    replace_open(path, write).map(drop).map_err(Error::io(path))
}

/// As [`replace`]; the file, open at its end.
pub(super) fn replace_open(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> std::io::Result<File> {
    let partial = Partial::begin(path)?;
    let mut file = partial.open.try_clone()?;
    write(&mut file)?;
    file.sync_all()?;
    partial.finish()?;
    Ok(file)
}

/// Replaces a file by a value as indented JSON.
pub(super) fn replace_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))?;
    text.push('\n');
    replace_file(path, text.as_bytes())
}

/// Replaces a file by an HDF5 file that `fill` fills. On an error it is as it was.
///
/// # Errors
/// Those of `fill` and of [`hdf5::write()`].
pub fn replace_hdf5(path: &Path, storage: Storage, fill: impl FnOnce(&Group) -> Result<()>) -> Result<()> {
    let partial = Partial::begin(path).map_err(Error::io(path))?;
    // HDF5 locks a file itself.
    partial.unlock();
    hdf5::write(partial.path(), path, storage, fill)?;
    partial.finish().map_err(Error::io(path))
}

/// A file that is being written beside its place; removed unless it is finished.
pub(super) struct Partial {
    path: PathBuf,
    place: PathBuf,
    open: File,
    is_finished: bool,
}

impl Partial {
    /// Makes an empty file beside `place`; nothing that lies there is written through.
    pub(super) fn begin(place: &Path) -> std::io::Result<Self> {
        let mut name = place.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.{PARTIAL}", std::process::id()));
        let path = place.with_file_name(name);
        remove_earlier(place);
        let create = || OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let open = match create() {
            // Of an earlier process with this number.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&path).and_then(|()| create())?
            }
            other => other?,
        };
        // Where there are no locks, a living writer's file is taken for a dead one's at worst, and its write fails by name.
        let _ = open.try_lock();
        Ok(Self { path, place: place.to_path_buf(), open, is_finished: false })
    }

    /// Where it is written.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives up the lock, for a writer that takes one of its own.
    pub(super) fn unlock(&self) {
        let _ = self.open.unlock();
    }

    /// Puts it in its place. What was written must have been synced.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        fs::rename(&self.path, &self.place)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_finished {
            // It is worth nothing; on a full disk its space is worth something.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what dead processes left when they wrote a file: `NAME.PID.partial` beside it.
fn remove_earlier(place: &Path) {
    let dir = place.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let stem = path.file_stem().map(Path::new);
        let of_process = stem.and_then(Path::extension).and_then(|pid| pid.to_str()?.parse::<u32>().ok());
        let of_place = stem.and_then(Path::file_stem) == place.file_name();
        if of_place && of_process.is_some() && is_leftover(&path) && !is_being_written(&path) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a folder inside a run folder, if it is not there; refuses a symbolic link in its place.
pub fn make_folder(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let is_folder = fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir());
            is_folder.then_some(()).ok_or_else(|| Error::file(dir, "is in the way: it is no folder"))
        }
        other => other.map_err(Error::io(dir)),
    }
}

/// Removes what dead processes left in a folder and the folders in it. What cannot be looked at or removed stays.
pub(super) fn remove_leftovers(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            remove_leftovers(&path);
        } else if is_leftover(&path) && !is_being_written(&path) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Whether a file's name is that of one that never became whole.
fn is_leftover(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PARTIAL)
}

fn is_being_written(path: &Path) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let open = OpenOptions::new().read(true).write(true).open(path);
    open.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_keeps_what_was_there() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("summary.json");
        replace_file(&path, b"before").unwrap();
        let full = replace(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::from(ErrorKind::StorageFull))
        });
        assert_eq!(full.unwrap_err().exit_code(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(names(temporary.path()), ["summary.json"]);
    }

    #[test]
    fn what_the_dead_left_is_removed_and_what_the_living_write_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        make_folder(&dir.join("reports")).unwrap();
        for name in ["summary.json.partial", "a.h5.1.partial", "reports/soma.h5.77.partial"] {
            fs::write(dir.join(name), "half").unwrap();
        }
        for name in ["summary.json", ".tmp", ".tmp-notes", "partial"] {
            fs::write(dir.join(name), "whole").unwrap();
        }
        let living = Partial::begin(&dir.join("report.html")).unwrap();
        remove_leftovers(dir);
        let being_written = living.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(names(dir), [".tmp", ".tmp-notes", "partial", &being_written, "reports", "summary.json"]);
        assert!(names(&dir.join("reports")).is_empty());
        living.finish().unwrap();
        assert!(dir.join("report.html").exists());
        // Where nothing else is looked at, a file's own remains are.
        for name in ["report.html.1.partial", "report.html.partial", "other.html.1.partial"] {
            fs::write(dir.join(name), "half").unwrap();
        }
        replace_file(&dir.join("report.html"), b"whole").unwrap();
        let kept = ["other.html.1.partial", "partial", "report.html", "report.html.partial", "reports"];
        assert_eq!(names(dir)[2..7], kept);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_written_through() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let victim = dir.join("victim");
        fs::write(&victim, "precious").unwrap();
        let file = dir.join("summary.json");
        let partial = dir.join(format!("summary.json.{}.partial", std::process::id()));
        for link in [&file, &partial] {
            std::os::unix::fs::symlink(&victim, link).unwrap();
        }
        replace_file(&file, b"{}").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        std::os::unix::fs::symlink(dir, dir.join("reports")).unwrap();
        let error = make_folder(&dir.join("reports")).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("reports"), "{error}");
    }
}

//! Folders that appear whole or not at all: made beside their place as `.NAME.partial`, and renamed.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::PARTIAL;
use super::lock::{FolderLock, LOCK};
use crate::error::{Error, Result};

/// A folder that is being made beside its place, which nobody else can make meanwhile; removed unless it is finished.
#[derive(Debug)]
pub struct NewFolder {
    place: PathBuf,
    partial: PathBuf,
    lock: Option<FolderLock>,
}

impl NewFolder {
    /// Claims a place that is free. What a dead process began there is removed.
    ///
    /// # Errors
    /// Bad input where there is something, or another process makes a folder there.
    pub fn begin(place: &Path) -> Result<Self> {
        let partial = partial_of(place)?;
        refuse_existing(place)?;
        let lock = loop {
            fs::create_dir_all(&partial).map_err(Error::io(place))?;
            if !fs::symlink_metadata(&partial).is_ok_and(|found| found.is_dir()) {
                return Err(Error::file(&partial, "is in the way: it is no folder"));
            }
            match FolderLock::take(&partial) {
                // Another process gave its own up, and removed it.
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                other => break other?,
            }
        };
        // From here on what is in it is removed with it.
        let folder = Self { place: place.to_path_buf(), partial, lock: Some(lock) };
        // Another process may have finished before the lock was free.
        refuse_existing(place)?;
        folder.clear()?;
        Ok(folder)
    }

    /// Whether a process was killed while it made a folder in that place, which is not there.
    pub fn was_begun(place: &Path) -> bool {
        !place.exists() && partial_of(place).is_ok_and(|partial| partial.is_dir())
    }

    /// Where it will be.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Where it is until it is finished.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Puts it in its place, with what is in it on the disk; its lock.
    ///
    /// # Errors
    /// [`Error::Io`], after which there is no folder.
    pub fn finish(mut self) -> Result<FolderLock> {
        sync_files(&self.partial)?;
        refuse_existing(&self.place)?;
        if cfg!(windows) {
            // A folder with an open file in it has no other name there.
            self.lock = None;
        }
        fs::rename(&self.partial, &self.place).map_err(Error::io(&self.place))?;
        match self.lock.take() {
            Some(mut lock) => {
                lock.moved_to(&self.place);
                Ok(lock)
            }
            None => FolderLock::take(&self.place),
        }
    }

    /// Removes everything in it but the lock.
    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.partial).map_err(Error::io(&self.partial))? {
            let entry = entry.map_err(Error::io(&self.partial))?;
            let path = entry.path();
            let removed = match entry.file_type() {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
                _ if entry.file_name() == LOCK => Ok(()),
                _ => fs::remove_file(&path),
            };
            removed.map_err(Error::io(&path))?;
        }
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // Finished, it has no lock and is not there.
        if let Some(lock) = self.lock.take() {
            let _ = self.clear();
            drop(lock);
            // Fails where another process has begun its own by now.
            let _ = fs::remove_dir(&self.partial);
        }
    }
}

/// Waits until the files in a folder and in the folders in it are on the disk.
fn sync_files(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => sync_files(&path)?,
            _ if entry.file_name() == LOCK => {}
            // Windows asks for the right to write.
            _ => OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|f| f.sync_all())
                .map_err(Error::io(&path))?,
        }
    }
    Ok(())
}

fn refuse_existing(place: &Path) -> Result<()> {
    match fs::symlink_metadata(place) {
        Ok(_) => Err(Error::file(place, "exists; name another folder")),
        Err(_) => Ok(()),
    }
}

fn partial_of(place: &Path) -> Result<PathBuf> {
    let Some(name) = place.file_name() else {
        return Err(Error::file(place, "names no folder that could be made"));
    };
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{PARTIAL}"));
    Ok(place.with_file_name(partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_when_it_is_whole() {
        let temporary = tempfile::tempdir().unwrap();
        let place = temporary.path().join("deep/run");
        let folder = NewFolder::begin(&place).unwrap();
        fs::write(folder.path().join("scene.ron"), "()").unwrap();
        assert!(!place.exists() && NewFolder::was_begun(&place));
        let lock = folder.finish().unwrap();
        assert_eq!(fs::read(place.join("scene.ron")).unwrap(), b"()");
        assert_eq!(FolderLock::take(&place).unwrap_err().exit_code(), 2);
        drop(lock);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
        assert_eq!(fs::read_dir(place.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(NewFolder::begin(&place).unwrap_err().exit_code(), 2);
        assert!(!NewFolder::was_begun(&place));
    }

    #[test]
    fn one_that_is_given_up_leaves_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = NewFolder::begin(&temporary.path().join("run")).unwrap();
        fs::create_dir(folder.path().join("inputs")).unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_place_is_made_by_one_at_a_time_and_the_remains_of_the_dead_are_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let place = temporary.path().join("run");
        let dead = temporary.path().join(".run.partial/inputs");
        fs::create_dir_all(&dead).unwrap();
        fs::write(dead.join("spikes.h5"), "half").unwrap();
        let folder = NewFolder::begin(&place).unwrap();
        assert!(!dead.exists());
        let error = NewFolder::begin(&place).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("in use by process"), "{error}");
        // What the second did has not touched the first.
        assert!(folder.path().join(LOCK).exists());
        folder.finish().unwrap();
        assert!(place.exists());
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for place in ["/", "..", "runs/.."] {
            assert_eq!(NewFolder::begin(Path::new(place)).unwrap_err().exit_code(), 2, "{place}");
        }
    }
}

//! One writer a folder: a lock on the file `.lock` in it, which says who holds it.
//!
//! The system gives the lock up with the process that holds it, so that of a killed one is free. The file is there only while the
//! folder is in use.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::clock::timestamp;
use crate::error::{Error, Result};

/// Name of the locked file.
pub(super) const LOCK: &str = ".lock";
/// Longest text of a holder that is shown, bytes.
const MOST_SHOWN: u64 = 300;
/// How often and in which intervals a holder's name is looked for.
const N_LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The right to write into a folder.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// The lock goes with it.
    _open: File,
    /// Why the file system has no locks.
    without: Option<String>,
}

impl FolderLock {
    /// Takes the lock of a folder that exists.
    ///
    /// # Errors
    /// Bad input, which names the holder, where another process has it; [`Error::Io`] where the folder cannot be written.
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK);
        loop {
            if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
                return Err(Error::file(path, "is in the way of the folder's lock: it is no file"));
            }
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut open = opened.map_err(Error::io(&path))?;
            let without = match open.try_lock() {
                Ok(()) => None,
                Err(TryLockError::WouldBlock) => return Err(in_use(dir, &mut open)),
                Err(TryLockError::Error(e)) => Some(e.to_string()),
            };
            // Its holder may have removed the file, or the folder, since it was opened.
            if is_at(&open, &path) {
                // On a full disk the lock holds without a name.
                let _ = write_holder(&mut open);
                return Ok(Self { path, _open: open, without });
            }
        }
    }

    /// A word to the user where the file system has no locks.
    pub fn notice(&self) -> Option<String> {
        let reason = self.without.as_ref()?;
        let path = self.path.display();
        Some(format!("{path}: no lock ({reason}): nothing keeps a second process from writing here"))
    }

    /// The folder has moved.
    pub(super) fn moved_to(&mut self, dir: &Path) {
        self.path = dir.join(LOCK);
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Before the lock is given up, so that nobody else's file is removed.
        let _ = fs::remove_file(&self.path);
    }
}

fn in_use(dir: &Path, open: &mut File) -> Error {
    let mut holder = String::new();
    // Its holder may be about to write its name. On Windows a locked file cannot be read.
    for _ in 0..N_LOOKS {
        let mut bytes = Vec::new();
        let _ = open.rewind().and_then(|()| open.take(MOST_SHOWN).read_to_end(&mut bytes));
        holder = String::from_utf8_lossy(&bytes).trim().to_owned();
        if !holder.is_empty() {
            break;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    let holder = if holder.is_empty() { "another process" } else { &holder };
    Error::file(dir, format!("is in use by {holder}; one process at a time writes into a folder"))
}

fn write_holder(open: &mut File) -> std::io::Result<()> {
    let (process, host) = (std::process::id(), host_name());
    open.set_len(0)?;
    open.rewind()?;
    let holder = format!("process {process} on {host} since {}\n", timestamp(SystemTime::now()));
    open.write_all(holder.as_bytes())
}

/// Whether an open file is the one of that path.
#[cfg(unix)]
fn is_at(open: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (open.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => id(open) == id(there),
        _ => false,
    }
}

/// Elsewhere a file that is open stays where it is.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

fn host_name() -> String {
    let of_linux = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let variable = |name: &str| std::env::var(name).ok();
    let name = of_linux.or_else(|| variable("HOSTNAME")).or_else(|| variable("COMPUTERNAME"));
    name.map_or_else(|| "this host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        assert_eq!(lock.notice(), None);
        let error = FolderLock::take(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let message = error.to_string();
        let words = [format!("process {} on ", std::process::id()), " since 20".to_owned()];
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn the_lock_of_the_dead_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK);
        fs::write(&path, "process 1 on elsewhere since 2001-01-01T00:00:00Z\n").unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        let holder = fs::read_to_string(&path).unwrap();
        assert!(holder.starts_with(&format!("process {} on ", std::process::id())), "{holder}");
        assert_eq!(holder.lines().count(), 1);
        drop(lock);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_its_place_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(LOCK)).unwrap();
        assert_eq!(FolderLock::take(dir.path()).unwrap_err().exit_code(), 2);
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}

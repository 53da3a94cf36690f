//! One error type for the whole program: every variant carries the data a user needs to mend the cause.
//!
//! Exit codes: 2 when the input is at fault (scene, table, flag, missing adapter), 1 when the run failed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Result of anything in simrun that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, with the file, field, value and limit where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of a scene, table or flag holds a value outside its range.
    #[error("{file}: {field} = {value}: {limit}", file = file.display())]
    Field {
        /// The file (or `command line`) that holds the field.
        file: PathBuf,
        /// Path of the field inside the file, or column and line.
        field: String,
        /// The offending value as the user wrote it.
        value: String,
        /// What is allowed, in words and with its unit.
        limit: String,
    },
    /// A file that cannot be used as a whole: missing, malformed, of another scene.
    #[error("{file}: {reason}", file = file.display())]
    File {
        /// The file at fault.
        file: PathBuf,
        /// Why it cannot be used and what would mend it.
        reason: String,
    },
    /// An input or output operation failed (missing permission, full disk).
    #[error("{file}: {source}", file = file.display())]
    Io {
        /// The file being read or written.
        file: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// No adapter, or none of the name asked for.
    #[error("no usable graphics adapter: {reason}")]
    NoAdapter {
        /// What was looked for, what was found, and what to install.
        reason: String,
    },
    /// A buffer or binding does not fit the adapter.
    #[error(
        "adapter '{adapter}' is too small: {buffer} needs {need_bytes} bytes, its {limit_name} is {limit_bytes} bytes"
    )]
    AdapterTooSmall {
        /// Adapter name.
        adapter: String,
        /// Name of the buffer that does not fit.
        buffer: String,
        /// Bytes the buffer needs.
        need_bytes: u64,
        /// Name of the adapter limit.
        limit_name: String,
        /// The adapter's limit in bytes.
        limit_bytes: u64,
    },
    /// The adapter's memory is used up.
    #[error(
        "adapter '{adapter}' has no room for {buffer}: {need_bytes} bytes beside the {allocated_bytes} bytes that the run has there"
    )]
    NoMemory {
        /// Adapter name.
        adapter: String,
        /// Name of the buffer that found no room.
        buffer: String,
        /// Bytes the buffer needs.
        need_bytes: u64,
        /// Bytes of the run's other buffers.
        allocated_bytes: u64,
    },
    /// The driver computes a kernel with a known answer wrongly.
    #[error("adapter '{adapter}' (driver {driver}) computes wrongly: self-test '{test}': {detail}")]
    DriverWrong {
        /// Adapter name.
        adapter: String,
        /// Driver name and version.
        driver: String,
        /// Name of the self-test that failed.
        test: String,
        /// Expected and computed value.
        detail: String,
    },
    /// wgpu or the driver reported an error.
    #[error("device error in {context}: {reason}")]
    Device {
        /// What was being done.
        context: String,
        /// The driver's or wgpu's words.
        reason: String,
    },
    /// A kernel raised the status word: the state is not finite, or an integer sum overflowed.
    #[error("kernel '{kernel}': {what} at neuron {neuron}, step {step}")]
    Kernel {
        /// Name of the first kernel that raised it.
        kernel: String,
        /// What happened.
        what: String,
        /// Neuron (or source) index.
        neuron: u32,
        /// Time step index.
        step: u32,
    },
    /// The host has not enough memory.
    #[error(
        "out of memory: {what} needs {need} MiB, {left} MiB are left of {limit}",
        need = need_bytes.div_ceil(1 << 20), left = left_bytes >> 20
    )]
    OutOfMemory {
        /// What needs most.
        what: String,
        /// How much it needs, bytes.
        need_bytes: u64,
        /// How much there is, bytes.
        left_bytes: u64,
        /// What limits it.
        limit: String,
    },
    /// The run was told to stop (Ctrl-C, SIGTERM, SIGHUP) before it was complete; a checkpoint was left.
    #[error("stopped after training step {step}; continue with --resume {run}", run = run.display())]
    Interrupted {
        /// Last finished training step.
        step: usize,
        /// Run folder that holds the checkpoint.
        run: PathBuf,
    },
    /// A failed run for a reason that is none of the above.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// Shorthand for [`Error::Field`].
    pub fn field(
        file: impl AsRef<Path>,
        field: impl Into<String>,
        value: impl ToString,
        limit: impl Into<String>,
    ) -> Self {
        Self::Field {
            file: file.as_ref().to_path_buf(),
            field: field.into(),
            value: shown(&value.to_string()),
            limit: limit.into(),
        }
    }

    /// Shorthand for [`Error::File`].
    pub fn file(file: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::File { file: file.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// Shorthand for [`Error::Io`], made for `map_err(Error::io(path))`.
    pub fn io(file: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.as_ref().to_path_buf();
        move |source| Self::Io { file, source }
    }

    /// [`Error::File`] for a file that the system does not let be read, made for `map_err(Error::unreadable(path))`.
    pub fn unreadable(file: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.as_ref().to_path_buf();
        move |e| match e.kind() {
            std::io::ErrorKind::NotFound => Self::file(file, "there is no such file"),
            _ => Self::file(file, format!("cannot be read: {e}")),
        }
    }

    /// Exit code of the process: 2 for bad input, 1 for a failed run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Field { .. }
            | Self::File { .. }
            | Self::NoAdapter { .. }
            | Self::AdapterTooSmall { .. }
            | Self::NoMemory { .. } => 2,
            _ => 1,
        }
    }
}

/// Range checks whose messages name the file.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The file.
    pub file: &'a Path,
}

impl Check<'_> {
    /// `low <= value <= high`; a value that is not a number fails.
    ///
    /// # Errors
    /// [`Error::Field`].
    pub fn within(&self, field: &str, value: f64, low: f64, high: f64, unit: &str) -> Result<()> {
        let inside = value >= low && value <= high;
        self.hold(inside, field, value, || {
            format!("must be from {low} to {high} {unit}").trim_end().to_owned()
        })
    }

    /// `low < value <= high`; a value that is not a number fails.
    ///
    /// # Errors
    /// [`Error::Field`].
    pub fn above(&self, field: &str, value: f64, low: f64, high: f64, unit: &str) -> Result<()> {
        let inside = value > low && value <= high;
        let limit = || format!("must be above {low} and at most {high} {unit}").trim_end().to_owned();
        self.hold(inside, field, value, limit)
    }

    /// Refuses a value unless `holds`; `limit` says what is allowed.
    ///
    /// # Errors
    /// [`Error::Field`].
    pub fn hold(
        &self,
        holds: bool,
        field: &str,
        value: impl ToString,
        limit: impl FnOnce() -> String,
    ) -> Result<()> {
        if holds { Ok(()) } else { Err(Error::field(self.file, field, value, limit())) }
    }
}

/// A value of a file, as far as a message has room for it.
pub fn shown(value: &str) -> String {
    const MOST: usize = 100;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}..", &value[..end]),
        None => value.to_owned(),
    }
}

thread_local! {
    static CATCHES: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is caught: the program's hook then leaves it alone.
pub fn catches_panics() -> bool {
    CATCHES.get()
}

/// Runs a reader of another crate on a file. If it panics the file is damaged: what it declares is not so.
///
/// # Errors
/// Those of the reader.
pub fn catch_panics<T>(file: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = CATCHES.replace(true);
    let done = catch_unwind(AssertUnwindSafe(read));
    CATCHES.set(before);
    done.unwrap_or_else(|_| Err(Error::file(file, "is damaged: what it says of itself does not hold")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_panics_has_a_damaged_file() {
        let file = Path::new("a.h5");
        assert_eq!(catch_panics(file, || Ok(3)).unwrap(), 3);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| assert!(catches_panics())));
        let inner = || {
            catch_panics(file, || -> Result<u8> {
                Err(Error::file(file, vec![1, 2].split_off(3).len().to_string()))
            })
        };
        let error = catch_panics(file, inner).unwrap_err();
        std::panic::set_hook(hook);
        assert!(error.exit_code() == 2 && error.to_string().contains("a.h5: is damaged"), "{error}");
        assert!(!catches_panics());
    }

    #[test]
    fn a_long_value_is_shown_as_far_as_there_is_room() {
        assert_eq!(shown("short"), "short");
        assert_eq!(shown(&"\u{1f9e0}".repeat(500)), "\u{1f9e0}".repeat(100) + "..");
    }
}

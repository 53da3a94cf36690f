//! One error type for the whole program: every variant carries the data a user needs to mend the cause. A message is one line
//! without control characters, whatever names and values hold.
//!
//! Exit codes: 2 when the input is at fault (scene, table, flag, missing adapter), 1 when the run failed.

use std::fmt;
use std::path::{Path, PathBuf};

mod panics;
mod text;

pub use panics::{catch_panics, catches_panics};
pub use text::{clipped, for_terminal, json_for_terminal, one_line, shortened};

/// Result of anything in simrun that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, with the file, field, value and limit where there is one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A field of a scene, table or flag holds a value outside its range.
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
    File {
        /// The file at fault.
        file: PathBuf,
        /// Why it cannot be used and what would mend it.
        reason: String,
    },
    /// An input or output operation failed (missing permission, full disk).
    Io {
        /// The file being read or written.
        file: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// No adapter, or none of the name asked for.
    NoAdapter {
        /// What was looked for, what was found, and what to install.
        reason: String,
    },
    /// A buffer or binding does not fit the adapter.
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
    Device {
        /// What was being done.
        context: String,
        /// The driver's or wgpu's words.
        reason: String,
    },
    /// A kernel raised the status word: the state is not finite, or an integer sum overflowed.
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
    Interrupted {
        /// Last finished training step.
        step: usize,
        /// Run folder that holds the checkpoint.
        run: PathBuf,
    },
    /// What all ranks of a run know of. The first one tells the user ([`crate::ranks::Ranks::conclude`]).
    OfRanks {
        /// What it is.
        words: String,
        /// Exit code of all of them.
        exit_code: u8,
    },
    /// A failed run for a reason that is none of the above.
    Failed(String),
}

impl fmt::Display for Error {
    /// One line of a bounded length, whatever names and values hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(one_line(&self.words())))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Error {
    fn words(&self) -> String {
        match self {
            Self::Field { file, field, value, limit } => {
                format!("{}: {field} = {}: {limit}", file.display(), clipped(value))
            }
            Self::File { file, reason } => format!("{}: {reason}", file.display()),
            Self::Io { file, source } => format!("{}: {source}", file.display()),
            Self::NoAdapter { reason } => format!("no usable graphics adapter: {reason}"),
            Self::AdapterTooSmall { adapter, buffer, need_bytes, limit_name, limit_bytes } => format!(
                "adapter '{adapter}' is too small: {buffer} needs {need_bytes} bytes, its {limit_name} is {limit_bytes} bytes"
            ),
            Self::NoMemory { adapter, buffer, need_bytes, allocated_bytes } => format!(
                "adapter '{adapter}' has no room for {buffer}: {need_bytes} bytes beside the {allocated_bytes} bytes that the run has there"
            ),
            Self::DriverWrong { adapter, driver, test, detail } => {
                format!(
                    "adapter '{adapter}' (driver {driver}) computes wrongly: self-test '{test}': {detail}"
                )
            }
            Self::Device { context, reason } => format!("device error in {context}: {reason}"),
            Self::Kernel { kernel, what, neuron, step } => {
                format!("kernel '{kernel}': {what} at neuron {neuron}, step {step}")
            }
            Self::OutOfMemory { what, need_bytes, left_bytes, limit } => format!(
                "out of memory: {what} needs {} MiB, {} MiB are left of {limit}",
                need_bytes.div_ceil(1 << 20),
                left_bytes >> 20
            ),
            Self::Interrupted { step, run } => {
                format!("stopped after training step {step}; continue with --resume {}", run.display())
            }
            Self::OfRanks { words, .. } => words.clone(),
            Self::Failed(reason) => reason.clone(),
        }
    }

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
            value: value.to_string(),
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

    /// Whether the user has been told by the time a command has ended.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::OfRanks { .. })
    }

    /// Exit code of the process: 2 for bad input, 1 for a failed run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Field { .. }
            | Self::File { .. }
            | Self::NoAdapter { .. }
            | Self::AdapterTooSmall { .. }
            | Self::NoMemory { .. } => 2,
            Self::OfRanks { exit_code, .. } => *exit_code,
            _ => 1,
        }
    }
}

/// How a line begins that a user is told whatever else is not shown.
const WARNING: &str = "warning: ";

/// A line that a user is told even where progress is not shown: a result may not be what the files seem to ask for.
pub fn warning(text: impl std::fmt::Display) -> String {
    format!("{WARNING}{text}")
}

/// Whether a line is a [`warning`].
pub fn is_warning(line: &str) -> bool {
    line.starts_with(WARNING)
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

    /// The whole name of a folder that exists is UTF-8: the copy of the scene in a run folder names it in full.
    ///
    /// # Errors
    /// [`Error::Field`]; [`Error::Io`] where the folder cannot be looked up.
    pub fn named_in_utf_8(&self, folder: &Path, field: &str) -> Result<()> {
        let whole = crate::shipped::absolute(folder).map_err(Error::io(folder))?;
        let limit = || "is not UTF-8, in which scenes name files: rename the folder".to_owned();
        self.hold(whole.to_str().is_some(), field, whole.display(), limit)
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

//! How fast every kernel is beside what bounds it on the same adapter, and how long training steps take.
//!
//! Measures the ceilings of the adapter, forms of the gather on made-up rows, then training steps of each scene and the kernels in
//! them. Tables are Markdown; each goes to the standard output and to the end of a file as soon as it is known, so that a run that
//! is killed leaves what it had. Times are the least of several turns, which a busy machine disturbs least.

mod ceilings;
mod gather;
mod scenes;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::gpu::{Gpu, PassRecord};

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct MeasureOptions {
    /// Scene files, each with settings behind it: `scenes/v1_67k.ron@time.duration_ms=100`.
    pub scenes: Vec<String>,
    /// Part of the adapter's name.
    pub adapter: Option<String>,
    /// File at whose end the tables are written too.
    pub out: Option<PathBuf>,
    /// After so many seconds nothing new is started.
    pub seconds: Option<u64>,
}

/// Where the tables go, and until when.
struct Report {
    out: Option<PathBuf>,
    deadline: Option<Instant>,
}

impl Report {
    /// Prints and keeps a piece of the report.
    fn say(&self, text: &str) -> Result<()> {
        writeln!(std::io::stdout(), "{text}").map_err(Error::io("standard output"))?;
        let Some(out) = &self.out else { return Ok(()) };
        let file = OpenOptions::new().create(true).append(true).open(out);
        file.and_then(|mut file| writeln!(file, "{text}")).map_err(Error::io(out))
    }

    fn seconds_left(&self) -> f64 {
        self.deadline.map_or(f64::INFINITY, |at| at.saturating_duration_since(Instant::now()).as_secs_f64())
    }
}

/// Measures an adapter and prints the tables.
///
/// # Errors
/// Bad input; [`Error::Device`] for an adapter without timestamps; a failed training step.
pub fn measure(options: &MeasureOptions) -> Result<()> {
    let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let report = Report { out: options.out.clone(), deadline };
    let gpu = Gpu::open_tested(options.adapter.as_deref())?;
    let adapter = gpu.adapter();
    report.say(&format!(
        "## {} ({}, {})\n\nsimrun {} {}; bindings up to {} MiB\n",
        adapter.name,
        adapter.driver,
        adapter.backend,
        env!("CARGO_PKG_VERSION"),
        option_env!("SIMRUN_GIT_REVISION").unwrap_or_default(),
        adapter.max_binding_bytes >> 20,
    ))?;
    let ceilings = ceilings::measure(&gpu)?;
    report.say(&ceilings.table())?;
    report.say(&gather::table(&gpu)?)?;
    let mut measured = Vec::new();
    for (i, scene) in options.scenes.iter().enumerate() {
        if i == 0 {
            report.say(scenes::STEPS_HEAD)?;
        }
        measured.extend(scenes::measure(&gpu, &report, scene)?);
    }
    if measured.is_empty() { Ok(()) } else { report.say(&scenes::kernel_table(&measured, &ceilings)) }
}

/// Least time of `n` passes of the same work, ms.
fn least_ms<'a>(gpu: &Arc<Gpu>, n: usize, record: impl Fn() -> PassRecord<'a>) -> Result<f64> {
    let ms = gpu.time_passes((0..n).map(|_| record()).collect())?;
    Ok(ms.into_iter().fold(f64::INFINITY, f64::min))
}

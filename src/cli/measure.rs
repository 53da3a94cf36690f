//! `simrun measure`: kernels and training steps of this machine's adapter.

use std::path::PathBuf;

use simrun::Result;
use simrun::measure::MeasureOptions;

#[derive(clap::Args)]
#[command(after_help = "Example:
  simrun measure scenes/v1_4k.ron scenes/v1_67k.ron@time.duration_ms=100 --out measured.md")]
pub(super) struct MeasureArguments {
    /// Scene files to take training steps of; `@PATH=VALUE` behind one replaces a value (RON)
    #[arg(value_name = "SCENE[@PATH=VALUE..]")]
    scenes: Vec<String>,
    /// Adds the tables to the end of this file too, each as soon as it is known
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Starts nothing new after so many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Part of the name of the adapter to use
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
}

pub(super) fn measure(arguments: MeasureArguments) -> Result<()> {
    let MeasureArguments { scenes, out, seconds, adapter } = arguments;
    simrun::measure::measure(&MeasureOptions { scenes, adapter, out, seconds })
}

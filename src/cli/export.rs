//! `simrun export RUN`: the network and the spikes of a run as files of other programs.

use std::path::PathBuf;

use simrun::export::{SonataOptions, write_nwb, write_sonata};
use simrun::output::has_checkpoint;
use simrun::{Error, Result};

use super::{print, without_checkpoint};

#[derive(clap::Args)]
pub(super) struct ExportArguments {
    /// Run folder
    run: PathBuf,
    /// Writes the trained network as a SONATA circuit into this new folder, with the input and output spikes of one trial:
    /// for BMTK and NEST (point mode), libsonata and SNAP
    #[arg(long, value_name = "DIR")]
    sonata: Option<PathBuf>,
    /// Trial of the run's evaluation (trials.csv) that is recorded, from rest, and goes with the circuit
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sonata")]
    trial: u32,
    /// Compresses the circuit's columns; libsonata's wheels cannot read them then
    #[arg(long, requires = "sonata")]
    gzip: bool,
    /// Writes the spikes of the run's last evaluation, with cell types, places and stimulus presentations, as this new NWB file
    #[arg(long, value_name = "FILE")]
    nwb: Option<PathBuf>,
    /// Part of the name of the adapter to use
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
}

pub(super) fn export(arguments: &ExportArguments) -> Result<()> {
    if arguments.sonata.is_none() && arguments.nwb.is_none() {
        let limit = "say what to write: --sonata DIR, --nwb FILE or both";
        return Err(Error::field("command line", "export", arguments.run.display(), limit));
    }
    let mut text = String::new();
    if !has_checkpoint(&arguments.run) {
        text += &without_checkpoint(&arguments.run);
    }
    if let Some(dir) = &arguments.sonata {
        let options = SonataOptions {
            trial: arguments.trial,
            gzip: arguments.gzip,
            adapter: arguments.adapter.clone(),
            quiet: arguments.quiet,
        };
        let written = write_sonata(&arguments.run, dir, &options)?;
        text += &format!("{}: {} files; README.md there says what they are\n", dir.display(), written.len());
    }
    if let Some(file) = &arguments.nwb {
        write_nwb(&arguments.run, file, arguments.quiet)?;
        text += &format!("{}: written\n", file.display());
    }
    print(&text)
}

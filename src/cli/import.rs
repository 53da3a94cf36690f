//! `simrun import`: from other people's files to what a scene names.

use std::path::PathBuf;

use simrun::Result;
use simrun::import::{dpointnet, neuropixels};

use super::print;

#[derive(clap::Subcommand)]
pub(super) enum ImportCommand {
    /// Targets from your own recordings: a folder for the scene's `recordings`
    Neuropixels(NeuropixelsArguments),
    /// A scene from a training configuration of BMTK's dpointnet
    Dpointnet(DpointnetArguments),
}

#[derive(clap::Args)]
pub(super) struct DpointnetArguments {
    /// Training configuration (.json)
    config: PathBuf,
    /// Scene file to write
    #[arg(long, value_name = "SCENE", default_value = "dpointnet.ron")]
    out: PathBuf,
    /// Folder of the tables that the scene names
    #[arg(long, value_name = "DIR", default_value_os_t = simrun::shipped::tables())]
    tables: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct NeuropixelsArguments {
    /// NWB files of sessions (units; drifting gratings and grey as intervals), or tables of units (.csv)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder to make
    #[arg(long, value_name = "DIR", default_value = "recordings")]
    out: PathBuf,
    /// Area whose units are used, with or without a layer behind its name [default: VISp; all units of a .csv]
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
    /// Table that adds layers to units of NWB files: unit_id, layer or cell_type, session_id if ids are not unique (.csv)
    #[arg(long, value_name = "TABLE")]
    layers: Option<PathBuf>,
    /// Part of the training sessions to use, e.g. 1/2 and 2/2 for halves; the held-out sessions are the same for all parts [default: all]
    #[arg(long, value_name = "K/N")]
    part: Option<neuropixels::Part>,
}

pub(super) fn import(command: &ImportCommand) -> Result<()> {
    match command {
        ImportCommand::Neuropixels(arguments) => import_neuropixels(arguments),
        ImportCommand::Dpointnet(arguments) => {
            let report = dpointnet::import(&arguments.config, &arguments.tables, &arguments.out)?;
            let mut text = format!("{}: carried over\n", arguments.out.display());
            text.extend(report.carried.iter().map(|line| format!("  {line}\n")));
            text += "not carried over\n";
            text.extend(report.not_carried.iter().map(|line| format!("  {line}\n")));
            print(&text)
        }
    }
}

fn import_neuropixels(arguments: &NeuropixelsArguments) -> Result<()> {
    let (location, layers) = (arguments.location.as_deref(), arguments.layers.as_deref());
    let report = neuropixels::import(&arguments.files, location, layers, arguments.part, &arguments.out)?;
    let mut text = format!(
        "{} units of {} sessions, {} of them held out\n",
        report.n_units, report.n_sessions, report.n_held_out
    );
    for (reason, n) in &report.left_out {
        text += &format!("  left out: {n} {reason}\n");
    }
    for note in &report.notes {
        text += &format!("  note: {note}\n");
    }
    if !report.without_target.is_empty() {
        text += &format!("  no target, too few units: {}\n", report.without_target.join(", "));
    }
    let out = arguments.out.display();
    text += &format!("{out}: {}\n", report.files.join(", "));
    text += &format!(
        "  for a scene: recordings: {:?} (or --set 'recordings={:?}')\n",
        arguments.out, arguments.out
    );
    text += "  contrast classes and population Fano factors stay those of the tables\n";
    print(&text)
}

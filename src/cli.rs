//! The command line: arguments and their dispatch.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde_json::json;
use simrun::gpu::{self, AdapterDescription};
use simrun::network::tables::Tables;
use simrun::plan::Plan;
use simrun::{Error, Result};

use recordings::{CellArguments, PairArguments};
use run::RunArguments;

mod recordings;
mod run;

/// Differentiable simulator of biologically constrained cortical circuits.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<RunArguments>,
}

#[derive(Subcommand)]
enum Command {
    /// Reads scenes and their tables and says whether they can be run
    Check(CheckArguments),
    /// Lists the graphics adapters that can be used
    Adapters(AdaptersArguments),
    /// Injects a current step into one cell and prints its spike times
    Cell(CellArguments),
    /// Lets one synapse act on one cell and prints the postsynaptic potential
    Pair(PairArguments),
}

#[derive(clap::Args)]
struct CheckArguments {
    /// Scene files
    #[arg(required = true, value_name = "SCENE")]
    scenes: Vec<PathBuf>,
    /// Replaces a value of every scene, e.g. time.dt_ms=0.5 (RON)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct AdaptersArguments {
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs one command.
pub(crate) fn run(cli: Cli) -> Result<()> {
    match (cli.command, cli.run) {
        (Some(Command::Check(arguments)), _) => check(&arguments),
        (Some(Command::Adapters(arguments)), _) => adapters(&arguments),
        (Some(Command::Cell(arguments)), _) => recordings::cell(&arguments),
        (Some(Command::Pair(arguments)), _) => recordings::pair(&arguments),
        (None, Some(arguments)) => run::run(arguments),
        (None, None) => {
            Err(Error::field("command line", "SCENE", "", "name a scene or a command; see --help"))
        }
    }
}

/// Prints to standard output. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::io("standard output")),
    }
}

/// Checks every scene, saying of each what is wrong; fails like the last that failed.
fn check(arguments: &CheckArguments) -> Result<()> {
    let mut last_error = None;
    let mut found = Vec::new();
    for file in &arguments.scenes {
        let checked = Plan::read(file, &arguments.settings)
            .and_then(|plan| Tables::read(&plan.tables_dir).map(|_| plan));
        match checked {
            Ok(plan) => {
                if !arguments.json {
                    print(&format!(
                        "{}: ok ({} steps of {} ms, {} trials)\n",
                        file.display(),
                        plan.n_steps,
                        plan.scene.time.dt_ms,
                        plan.n_trials
                    ))?;
                }
                found.push(json!({
                    "scene": file, "ok": true, "n_steps": plan.n_steps, "n_trials": plan.n_trials,
                    "steps_between_checkpoints": plan.steps_between_checkpoints,
                }));
            }
            Err(error) => {
                found.push(json!({ "scene": file, "ok": false, "error": error.to_string() }));
                // The last error is the command's own, and main prints it.
                if let Some(earlier) = last_error.replace(error) {
                    eprintln!("error: {earlier}");
                }
            }
        }
    }
    if arguments.json {
        print(&format!("{}\n", json!({ "scenes": found })))?;
    }
    last_error.map_or(Ok(()), Err)
}

/// Lists the adapters; none at all is an error, as it would be for a run.
fn adapters(arguments: &AdaptersArguments) -> Result<()> {
    let found = gpu::list_adapters()?;
    if arguments.json {
        let found: Vec<_> = found.iter().map(describe).collect();
        return print(&format!("{}\n", json!({ "adapters": found })));
    }
    let mib = |bytes: u64| bytes >> 20;
    let lines = found.iter().map(|a| {
        format!(
            "{} ({}, {}), driver {}: buffers up to {} MiB, bindings up to {} MiB\n",
            a.name,
            a.kind,
            a.backend,
            a.driver,
            mib(a.max_buffer_bytes),
            mib(a.max_binding_bytes)
        )
    });
    print(&lines.collect::<String>())
}

fn describe(adapter: &AdapterDescription) -> serde_json::Value {
    json!({
        "name": adapter.name, "kind": adapter.kind, "backend": adapter.backend, "driver": adapter.driver,
        "max_buffer_bytes": adapter.max_buffer_bytes, "max_binding_bytes": adapter.max_binding_bytes,
    })
}

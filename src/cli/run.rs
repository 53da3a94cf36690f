//! `simrun SCENE`: trains a scene's network.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use simrun::experiment::Experiment;
use simrun::output::RunFolder;
use simrun::plan::Plan;
use simrun::train::{self, Destination, Options};
use simrun::{Error, Result, report};

use super::print;

#[derive(clap::Args)]
pub(super) struct RunArguments {
    /// Scene file
    scene: PathBuf,
    /// Takes at most so many training steps now
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Run folder to make [default: runs/SCENE, with a number if that exists]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Run folder to continue from its checkpoint
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Replaces a value of the scene, e.g. time.dt_ms=0.5 (RON)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<String>,
    /// Part of the name of the adapter to use
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Prints the network's size and the device memory of the run, and stops
    #[arg(long)]
    dry_run: bool,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: RunArguments) -> Result<()> {
    if Experiment::is_one(&arguments.scene)? {
        return run_experiment(arguments);
    }
    let plan = Plan::read(&arguments.scene, &arguments.settings)?;
    if arguments.dry_run {
        return print(&train::dry_run(&plan, arguments.adapter.as_deref(), arguments.quiet)?);
    }
    let destination = destination(&arguments);
    let options =
        Options { destination, n_steps: arguments.steps, adapter: arguments.adapter, quiet: arguments.quiet };
    let stop = stop_on_interrupt()?;
    let outcome = train::run(&plan, &options, &stop);
    // A run that was stopped has a report as far as it got.
    if matches!(outcome, Ok(_) | Err(Error::Interrupted { .. })) {
        let (Destination::New(dir) | Destination::Resume(dir)) = &options.destination;
        let file = report::write(dir)?;
        if !options.quiet {
            eprintln!("report {}", file.display());
        }
    }
    print(&outcome?)
}

fn destination(arguments: &RunArguments) -> Destination {
    match (&arguments.resume, &arguments.out) {
        (Some(dir), _) => Destination::Resume(dir.clone()),
        (None, Some(dir)) => Destination::New(dir.clone()),
        (None, None) => Destination::New(RunFolder::default_dir(&arguments.scene)),
    }
}

/// Trains and evaluates the models of an experiment.
fn run_experiment(arguments: RunArguments) -> Result<()> {
    if let Some(n) = arguments.steps {
        let limit = "an experiment trains every model to its end; set optimiser.training_steps instead";
        return Err(Error::field("command line", "--steps", n, limit));
    }
    let experiment = Experiment::read(&arguments.scene, &arguments.settings)?;
    if arguments.dry_run {
        let mut text = format!("experiment {}: {}\n\n", arguments.scene.display(), experiment.size());
        // The start and the models have networks of one size; the first model has the terms that take memory.
        if let Some(plan) = experiment.plans().nth(1) {
            text += &train::dry_run(plan, arguments.adapter.as_deref(), arguments.quiet)?;
        }
        return print(&text);
    }
    let stop = stop_on_interrupt()?;
    let (destination, adapter) = (destination(&arguments), arguments.adapter.as_deref());
    print(&experiment.run(&destination, adapter, arguments.quiet, &stop)?)
}

/// Ctrl-C asks the run to end after the step in hand; a second one ends it at once.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("stopping after the step in hand; Ctrl-C again stops at once");
    })
    .map_err(|e| Error::Failed(format!("Ctrl-C cannot be handled: {e}")))?;
    Ok(stop)
}

//! `simrun SCENE`: trains a scene's network.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use simrun::experiment::Experiment;
use simrun::output::{NewFolder, RunFolder, say};
use simrun::plan::Plan;
use simrun::ranks::Ranks;
use simrun::train::{self, Destination, Options};
use simrun::{Error, Result, report};

use super::{print, refuse_ranks, stop, tables_setting};

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
    /// Run folder to continue from its checkpoint, or from its beginning where it has none yet
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Starts from what this run has learned, as the scene's `start`
    #[arg(long, value_name = "RUN")]
    start: Option<PathBuf>,
    /// Replaces a value of the scene, e.g. time.dt_ms=0.5 (RON)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<String>,
    /// Folder of tables in place of the one that the scene names
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
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

pub(super) fn run(mut arguments: RunArguments, ranks: &Ranks) -> Result<()> {
    let plan = ranks.agree(plan(&mut arguments))?;
    let Some(plan) = plan else {
        refuse_ranks(ranks, "an experiment")?;
        return run_experiment(arguments);
    };
    let adapter = arguments.adapter.clone();
    if arguments.dry_run {
        let text = train::dry_run(&plan, ranks, adapter.as_deref(), arguments.quiet)?;
        return if ranks.is_first() { print(&text) } else { Ok(()) };
    }
    let stop = stop::on_signals(ranks)?;
    let destination = on_first_rank(ranks, arguments.resume.as_deref(), || destination(&arguments))?;
    let options =
        Options { training_steps: arguments.steps, adapter, quiet: arguments.quiet, ranks: ranks.clone() };
    train_and_report(&plan, destination, &options, &stop)
}

/// The scene as the arguments change it; none of an experiment.
fn plan(arguments: &mut RunArguments) -> Result<Option<Plan>> {
    arguments.settings.extend(tables_setting(arguments.tables.as_deref())?);
    if let Some(run) = &arguments.start {
        arguments.settings.insert(0, start_setting(run)?);
    }
    if Experiment::is_one(&arguments.scene) {
        return Ok(None);
    }
    Plan::read(&arguments.scene, &arguments.settings).map(Some)
}

/// The destination of a run, which the first rank alone opens; `resume` is the folder of a run that is continued.
pub(super) fn on_first_rank(
    ranks: &Ranks,
    resume: Option<&Path>,
    open: impl FnOnce() -> Result<Destination>,
) -> Result<Destination> {
    let own = ranks.agree(if ranks.is_first() { open().map(Some) } else { Ok(None) })?;
    let is_resumed = ranks.any(matches!(own, Some(Destination::Resume(_))));
    let elsewhere = resume.filter(|_| is_resumed).map(Path::to_path_buf);
    Ok(own.unwrap_or(Destination::OfFirstRank(elsewhere)))
}

/// The setting that names a run to start from, relative to where the user is.
pub(super) fn start_setting(run: &Path) -> Result<String> {
    let run = std::path::absolute(run).map_err(Error::io(run))?;
    Ok(format!("start=Run({:?})", run.display().to_string()))
}

/// Trains, writes the report and prints the table of the last evaluation.
pub(super) fn train_and_report(
    plan: &Plan,
    destination: Destination,
    options: &Options,
    stop: &AtomicBool,
) -> Result<()> {
    let dir = destination.dir().to_path_buf();
    let outcome = train::run(plan, destination, options, stop);
    if !options.ranks.is_first() {
        return outcome.map(drop);
    }
    // A run that was stopped has a report as far as it got.
    let reported = match &outcome {
        Ok(_) | Err(Error::Interrupted { .. }) => report::write(&dir).map(Some),
        Err(_) => Ok(None),
    };
    if let (Ok(Some(file)), false) = (&reported, options.quiet) {
        say(format_args!("report {}", file.display()));
    }
    show(&outcome?);
    reported.map(drop)
}

fn destination(arguments: &RunArguments) -> Result<Destination> {
    Ok(match (&arguments.resume, &arguments.out) {
        (Some(dir), _) if NewFolder::was_begun(dir) => {
            say(format_args!("{}: was never finished; it is made again", dir.display()));
            Destination::New(RunFolder::claim(dir)?)
        }
        (Some(dir), _) => Destination::Resume(dir.clone()),
        (None, Some(dir)) => Destination::New(RunFolder::claim(dir)?),
        (None, None) => Destination::New(RunFolder::claim_default(&arguments.scene)?),
    })
}

/// Prints what is in the run folder too: where it cannot be printed, nothing is lost.
fn show(text: &str) {
    if let Err(error) = print(text) {
        say(format_args!("the table is not shown: {error}"));
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
            text += &train::dry_run(plan, &Ranks::default(), arguments.adapter.as_deref(), arguments.quiet)?;
        }
        return print(&text);
    }
    let stop = stop::on_signals(&Ranks::default())?;
    let destination = destination(&arguments)?;
    show(&experiment.run(destination, arguments.adapter.as_deref(), arguments.quiet, &stop)?);
    Ok(())
}

//! The command line: arguments and their dispatch.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;
use simrun::adapt::Ancestor;
use simrun::error::{for_terminal, json_for_terminal};
use simrun::experiment::Experiment;
use simrun::gpu::{self, AdapterDescription, Gpu, SelfTests};
use simrun::output::say;
use simrun::plan::Plan;
use simrun::ranks::Ranks;
use simrun::scene::NetworkScene;
use simrun::{Error, Result, setup};

use adapt::AdaptArguments;
use calibrate::CalibrateArguments;
use evaluate::EvaluateArguments;
use export::ExportArguments;
use import::ImportCommand;
use measure::MeasureArguments;
use new::NewArguments;
use recordings::{CellArguments, PairArguments};
use report::ReportArguments;
use run::RunArguments;

mod adapt;
mod calibrate;
mod evaluate;
mod export;
mod import;
mod measure;
mod new;
mod recordings;
mod report;
mod run;
mod stop;

/// Differentiable simulator of biologically constrained cortical circuits.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  simrun scenes/v1_4k.ron                        trains a small column of mouse V1; runs/v1_4k gets a report.html
  simrun scenes/v1_4k.ron --steps 10 --set time.duration_ms=200 --out runs/short
  simrun scenes/v1_4k.ron --resume runs/short    goes on from the checkpoint
  simrun new my_scene                            writes a commented scene to start from
  simrun evaluate runs/short                     beside recordings, with figures
  simrun report runs/short runs/v1_4k            compares runs on one page")]
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
    /// Finds LGN and background weights with which a scene's network fires as recorded under a grey screen
    Calibrate(CalibrateArguments),
    /// Trains the network of a run folder on where its data have changed: new recordings, a lesion
    Adapt(AdaptArguments),
    /// Evaluates the network of a run folder beside recordings and writes figures
    Evaluate(EvaluateArguments),
    /// Makes what a scene names from other people's files
    #[command(subcommand)]
    Import(ImportCommand),
    /// Writes the report of a run again, or compares several runs on one page
    Report(ReportArguments),
    /// Writes a commented scene to start from
    New(NewArguments),
    /// Writes the network and the spikes of a run folder for other programs: SONATA, NWB
    Export(ExportArguments),
    /// Lists the graphics adapters that can be used
    Adapters(AdaptersArguments),
    /// Measures the adapter, every kernel beside what bounds it, and training steps
    Measure(MeasureArguments),
    /// Injects a current step into one cell and prints its spike times
    Cell(CellArguments),
    /// Lets one synapse act on one cell and prints the postsynaptic potential
    Pair(PairArguments),
    /// Prints completions for a shell
    Completions(CompletionsArguments),
    /// Writes the manual pages, one a command, into a folder
    Man(ManArguments),
}

#[derive(clap::Args)]
#[command(after_help = "Example, for bash:
  simrun completions bash > ~/.local/share/bash-completion/completions/simrun")]
struct CompletionsArguments {
    /// Shell
    shell: clap_complete::Shell,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  mkdir -p ~/.local/share/man/man1 && simrun man ~/.local/share/man/man1 && man simrun-evaluate")]
struct ManArguments {
    /// Folder, which exists
    dir: PathBuf,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  simrun check scenes/*.ron --set time.dt_ms=0.5")]
struct CheckArguments {
    /// Scene files
    #[arg(required = true, value_name = "SCENE")]
    scenes: Vec<PathBuf>,
    /// Replaces a value of every scene, e.g. time.dt_ms=0.5 (RON)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<String>,
    /// Folder of tables in place of those that the scenes name
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct AdaptersArguments {
    /// Runs kernels with known answers on each
    #[arg(long)]
    test: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs one command.
pub(crate) fn run(cli: Cli) -> Result<()> {
    match (cli.command, cli.run) {
        (Some(Command::Check(arguments)), _) => check(&arguments),
        (Some(Command::Calibrate(arguments)), _) => on_ranks(|ranks| calibrate::calibrate(&arguments, ranks)),
        (Some(Command::Adapt(arguments)), _) => on_ranks(|ranks| adapt::adapt(arguments, ranks)),
        (Some(Command::Evaluate(arguments)), _) => on_ranks(|ranks| evaluate::evaluate(&arguments, ranks)),
        (Some(Command::Import(command)), _) => import::import(&command),
        (Some(Command::Report(arguments)), _) => report::report(&arguments),
        (Some(Command::New(arguments)), _) => new::new(&arguments),
        (Some(Command::Completions(arguments)), _) => completions(&arguments),
        (Some(Command::Man(arguments)), _) => man(&arguments),
        (Some(Command::Export(arguments)), _) => export::export(&arguments),
        (Some(Command::Adapters(arguments)), _) => adapters(&arguments),
        (Some(Command::Measure(arguments)), _) => measure::measure(arguments),
        (Some(Command::Cell(arguments)), _) => recordings::cell(&arguments),
        (Some(Command::Pair(arguments)), _) => recordings::pair(&arguments),
        (None, Some(arguments)) => on_ranks(|ranks| run::run(arguments, ranks)),
        (None, None) => {
            Err(Error::field("command line", "SCENE", "", "name a scene or a command; see --help"))
        }
    }
}

/// Prints to standard output, with colours only where it is a terminal and `NO_COLOR` is not set, and control characters of names
/// escaped. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    write_out(&for_terminal(text))
}

/// Prints one JSON value to standard output as [`print`] prints texts.
fn print_json(value: &serde_json::Value) -> Result<()> {
    write_out(&json_for_terminal(&format!("{value}\n")))
}

fn write_out(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::io("standard output")),
    }
}

/// Does work that ranks share, and ends all of them where one fails alone.
fn on_ranks(work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    let ranks = Ranks::start()?;
    let outcome = ranks.hold_programs_alike().and_then(|()| work(&ranks));
    ranks.conclude(outcome, |words| say(format_args!("error: {words}")))
}

/// Refuses several ranks for work that they cannot share.
fn refuse_ranks(ranks: &Ranks, what: &str) -> Result<()> {
    if ranks.n() == 1 {
        return Ok(());
    }
    let limit = format!("{what} runs on one rank: start it without mpirun or srun");
    ranks.agree(Err(Error::field("command line", "number of ranks", ranks.n(), limit)))
}

/// What is said of a run that ended before its first checkpoint, or that was not to train.
fn without_checkpoint(run: &Path) -> String {
    format!("{}: has no checkpoint, so this is the network before training\n", run.display())
}

/// Prints a script that completes commands and options.
fn completions(arguments: &CompletionsArguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "simrun", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes `simrun.1` and a page for every command.
fn man(arguments: &ManArguments) -> Result<()> {
    let dir = &arguments.dir;
    if !dir.is_dir() {
        return Err(Error::field("command line", "DIR", dir.display(), "is no folder"));
    }
    clap_mangen::generate_to(Cli::command(), dir).map_err(Error::io(dir))
}

/// Checks every scene, saying of each what is wrong; fails like the last that failed.
fn check(arguments: &CheckArguments) -> Result<()> {
    let mut last_error = None;
    let mut found = Vec::new();
    let own = tables_setting(arguments.tables.as_deref())?;
    let settings: Vec<String> = arguments.settings.iter().cloned().chain(own).collect();
    for file in &arguments.scenes {
        if file.is_file() && Experiment::is_one(file) {
            let experiment = Experiment::read(file, &settings)?;
            if !arguments.json {
                print(&format!("{}: ok ({})\n", file.display(), experiment.size()))?;
            }
            found.push(json!({ "scene": file, "ok": true, "experiment": experiment.size() }));
            continue;
        }
        let checked =
            Plan::read(file, &settings).and_then(|plan| check_tables(&plan).map(|said| (plan, said)));
        match checked {
            Ok((plan, said)) => {
                plan.warnings().iter().chain(&said).for_each(say);
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
                }));
            }
            Err(error) => {
                found.push(json!({ "scene": file, "ok": false, "error": error.to_string() }));
                // The last error is the command's own, and main prints it.
                if let Some(earlier) = last_error.replace(error) {
                    say(format_args!("error: {earlier}"));
                }
            }
        }
    }
    if arguments.json {
        print_json(&json!({ "scenes": found }))?;
    }
    last_error.map_or(Ok(()), Err)
}

/// `--tables DIR` as a setting of a scene: the folder in full, since a scene names it from its own.
fn tables_setting(dir: Option<&Path>) -> Result<Option<String>> {
    let Some(dir) = dir else { return Ok(None) };
    let whole = std::fs::canonicalize(dir).map_err(Error::io(dir))?;
    let Some(name) = whole.to_str() else {
        return Err(Error::field("command line", "--tables", whole.display(), "must be UTF-8 text"));
    };
    Ok(Some(format!("tables={name:?}")))
}

/// Reads the tables of a plan, and its calibration where the cell models are those of the tables; what there is to say of it.
fn check_tables(plan: &Plan) -> Result<Vec<String>> {
    let tables = setup::tables(plan)?;
    let calibration = match plan.scene.network {
        NetworkScene::V1(_) => setup::Calibration::of_plan(plan, &tables, &tables.cell_models())?,
        _ => None,
    };
    Ancestor::open(plan)?;
    Ok(calibration.map_or(Vec::new(), |(_, said)| said))
}

/// Lists the adapters; none at all is an error, as it would be for a run, and so is one that computes wrongly.
fn adapters(arguments: &AdaptersArguments) -> Result<()> {
    let found = gpu::list_adapters()?;
    let mut last_error = None;
    let mut described = Vec::new();
    for adapter in &found {
        let mut entry = describe(adapter);
        if arguments.test {
            // The last error is the command's own, and main prints it.
            match test(adapter) {
                Ok(passed) => entry["tests_passed"] = json!(passed),
                Err(error) => {
                    entry["error"] = json!(error.to_string());
                    if let Some(earlier) = last_error.replace(error) {
                        say(format_args!("error: {earlier}"));
                    }
                }
            }
        }
        described.push(entry);
    }
    if arguments.json {
        print_json(&json!({ "adapters": described }))?;
    } else {
        print(&found.iter().zip(&described).map(|(a, entry)| adapter_lines(a, entry)).collect::<String>())?;
    }
    last_error.map_or(Ok(()), Err)
}

/// The full self-test; names of the tests passed.
fn test(adapter: &AdapterDescription) -> Result<Vec<&'static str>> {
    let gpu = Arc::new(Gpu::open(Some(&adapter.name))?);
    gpu::self_test(&gpu, SelfTests::Full)
}

/// What the list says of an adapter, and of its self-test where there was one.
fn adapter_lines(adapter: &AdapterDescription, entry: &serde_json::Value) -> String {
    let mib = |bytes: u64| bytes >> 20;
    let mut lines = format!(
        "{} ({}, {}), driver {}: buffers up to {} MiB, bindings up to {} MiB\n",
        adapter.name,
        adapter.kind,
        adapter.backend,
        adapter.driver,
        mib(adapter.max_buffer_bytes),
        mib(adapter.max_binding_bytes)
    );
    if let Some(passed) = entry["tests_passed"].as_array() {
        let names: Vec<&str> = passed.iter().filter_map(|name| name.as_str()).collect();
        lines.push_str(&format!("  computes rightly: {}\n", names.join(", ")));
    }
    lines
}

fn describe(adapter: &AdapterDescription) -> serde_json::Value {
    json!({
        "name": adapter.name, "kind": adapter.kind, "backend": adapter.backend, "driver": adapter.driver,
        "max_buffer_bytes": adapter.max_buffer_bytes, "max_binding_bytes": adapter.max_binding_bytes,
    })
}

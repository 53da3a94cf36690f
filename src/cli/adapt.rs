//! `simrun adapt RUN`: a trained model goes on learning where its data have changed.

use std::path::PathBuf;

use simrun::output::RunFolder;
use simrun::plan::Plan;
use simrun::ranks::Ranks;
use simrun::scene::Scene;
use simrun::train::{Destination, Options};
use simrun::{Error, Result};

use super::run::{on_first_rank, start_setting, train_and_report};
use super::stop;

/// Share of the training steps of the run that adapting takes.
const SHARE_OF_STEPS: f64 = 0.1;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  simrun adapt runs/v1_4k --recordings recordings/week_2
  simrun adapt runs/v1_4k --set 'network.lesion=Share({\"PV\": 0.1})' --keep 0 --out runs/lesioned

The scene is that of the run, with what is named here in place of its own. For any other change, write a scene with
start: Run(\"RUN\").")]
pub(super) struct AdaptArguments {
    /// Run folder whose model is adapted
    run: PathBuf,
    /// Folder of new recordings, as simrun import neuropixels writes it [default: those of the run]
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
    /// Training steps; 0 only evaluates [default: a tenth of the run's]
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Weight of losses.structure.keep, which holds weights near those of the run
    #[arg(long, value_name = "WEIGHT", default_value_t = 1000.0)]
    keep: f64,
    /// Run folder to make [default: runs/RUN_adapted, with a number if that exists]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replaces a value of the scene, e.g. seed=2 (RON)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<String>,
    /// Part of the name of the adapter to use
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
}

pub(super) fn adapt(arguments: AdaptArguments, ranks: &Ranks) -> Result<()> {
    let plan = ranks.agree(plan(&arguments))?;
    let stop = stop::on_signals(ranks)?;
    let destination = on_first_rank(ranks, None, || {
        Ok(Destination::New(match &arguments.out {
            Some(dir) => RunFolder::claim(dir)?,
            None => RunFolder::claim_default(&default_name(&arguments.run))?,
        }))
    })?;
    let AdaptArguments { adapter, quiet, .. } = arguments;
    let options = Options { training_steps: None, adapter, quiet, ranks: ranks.clone() };
    train_and_report(&plan, destination, &options, &stop)
}

/// The scene of the run as the arguments change it.
fn plan(arguments: &AdaptArguments) -> Result<Plan> {
    let scene_file = arguments.run.join("scene.ron");
    if !scene_file.is_file() {
        return Err(Error::file(&arguments.run, "is not a run folder: it has no scene.ron"));
    }
    let before = Scene::read(&scene_file)?.optimiser;
    let training_steps =
        arguments.steps.unwrap_or((SHARE_OF_STEPS * f64::from(before.training_steps)).ceil() as u32);
    // The warm-up keeps its share of the schedule.
    let warmup =
        f64::from(before.warmup_steps) * f64::from(training_steps) / f64::from(before.training_steps.max(1));
    let mut settings = vec![
        start_setting(&arguments.run)?,
        format!("optimiser.warmup_steps={}", warmup.ceil().min(f64::from(training_steps)) as u32),
        format!("optimiser.training_steps={training_steps}"),
    ];
    if let Some(recordings) = &arguments.recordings {
        let recordings = std::path::absolute(recordings).map_err(Error::io(recordings))?;
        settings.push(format!("recordings={:?}", recordings.display().to_string()));
    }
    settings.extend(keep_setting(&scene_file, arguments.keep)?);
    settings.extend(arguments.settings.iter().cloned());
    Plan::read(&scene_file, &settings)
}

/// The setting of the keep term, with the other terms of the structure as they are; none where it is off anyway.
fn keep_setting(scene_file: &std::path::Path, weight: f64) -> Result<Option<String>> {
    let scene = Scene::read(scene_file)?;
    let on = scene.losses.structure.is_some();
    let term = if weight == 0.0 { "None".to_owned() } else { format!("(weight: {weight:?})") };
    Ok(match (on, weight == 0.0) {
        (true, _) => Some(format!("losses.structure.keep={term}")),
        (false, true) => None,
        (false, false) => Some(format!("losses.structure=(keep: {term})")),
    })
}

/// `RUN_adapted`.
fn default_name(run: &std::path::Path) -> PathBuf {
    let whole = std::path::absolute(run).unwrap_or_else(|_| run.to_path_buf());
    let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A run's folder is named after the stem of a file.
    PathBuf::from(format!("{name}_adapted.ron"))
}

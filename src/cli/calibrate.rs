//! `simrun calibrate SCENE`: a table of factors with which the scene's network fires as recorded.

use std::path::PathBuf;

use simrun::Result;
use simrun::calibrate::{CalibrationOptions, calibrate as find};
use simrun::plan::{MAX_TRIALS, Plan};
use simrun::ranks::Ranks;
use simrun::scene::Scene;

use super::print;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  simrun calibrate scenes/v1_4k.ron --out my_calibration.csv
  simrun scenes/v1_4k.ron --set 'network.calibration=\"../my_calibration.csv\"'
  simrun calibrate scenes/v1_67k.ron --from scenes/calibration/v1_17k.csv --rounds 2 --trials 2")]
pub(super) struct CalibrateArguments {
    /// Scene file; a calibration that it names is not applied
    scene: PathBuf,
    /// Table to write [default: SCENE_calibration.csv beside the scene]
    #[arg(long, value_name = "TABLE")]
    out: Option<PathBuf>,
    /// Goes on from the factors of an earlier table
    #[arg(long, value_name = "TABLE")]
    from: Option<PathBuf>,
    /// Part of the background weights that alone would give 27 % of the recorded rates; LGN gives the rest
    #[arg(long, value_name = "X", default_value_t = 0.6, value_parser = part)]
    background_part: f64,
    /// Rounds of each of the two phases: background alone, then with LGN
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Grey trials of 700 ms in a round
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TRIALS)))]
    trials: u32,
    /// Replaces a value of the scene, e.g. network.radius_um=60 (RON)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<String>,
    /// Part of the name of the adapter to use
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
}

fn part(text: &str) -> std::result::Result<f64, String> {
    text.parse().ok().filter(|x| (0.01..=1.0).contains(x)).ok_or_else(|| "a number from 0.01 to 1".to_owned())
}

pub(super) fn calibrate(arguments: &CalibrateArguments, ranks: &Ranks) -> Result<()> {
    let plan = ranks.agree(plan(arguments))?;
    let stem = arguments.scene.file_stem().unwrap_or_default().to_string_lossy();
    let beside = arguments.scene.with_file_name(format!("{stem}_calibration.csv"));
    let options = CalibrationOptions {
        out: arguments.out.clone().unwrap_or(beside),
        from: arguments.from.clone(),
        background_part: arguments.background_part,
        n_rounds: arguments.rounds,
        n_trials: arguments.trials,
        adapter: arguments.adapter.clone(),
        quiet: arguments.quiet,
        ranks: ranks.clone(),
    };
    let found = find(&plan, &options)?;
    if ranks.is_first() { print(&found) } else { Ok(()) }
}

/// The scene without a calibration: the table that it names need not be there yet.
fn plan(arguments: &CalibrateArguments) -> Result<Plan> {
    let scene = Scene::read(&arguments.scene)?;
    let mut settings = arguments.settings.clone();
    if scene.network.calibration().is_some() {
        settings.push("network.calibration=None".to_owned());
    }
    Plan::read(&arguments.scene, &settings)
}

//! `simrun evaluate RUN`: the network of a run beside everything that was recorded.

use std::path::PathBuf;

use serde_json::json;
use simrun::evaluate::{rate_misses_text, table};
use simrun::output::{lock_run, replace_file, say};
use simrun::ranks::Ranks;
use simrun::results::{BesideSessions, Evaluation};
use simrun::train::{StimulusOptions, ValidationOptions, stimulus_text, validate};
use simrun::{Error, Result, figures, report};

use super::{print, print_json, without_checkpoint};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  simrun evaluate runs/v1_4k
  simrun evaluate runs/v1_4k --trials 20 --contrasts 0.1,0.2,0.4 --sessions all")]
pub(super) struct EvaluateArguments {
    /// Run folder
    run: PathBuf,
    /// Recorded sessions to compare with
    #[arg(long, value_enum, default_value = "heldout")]
    sessions: Sessions,
    /// Trials of each of the eight directions and of the grey screen [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    trials: Option<u32>,
    /// Contrasts of further gratings, for contrast-response curves, e.g. 0.1,0.2,0.4 [default: the scene's]
    #[arg(long, value_name = "C,..", value_delimiter = ',')]
    contrasts: Vec<f64>,
    #[command(flatten)]
    stimuli: StimulusArguments,
    /// Part of the name of the adapter to use
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Prints the JSON that is also written to the run folder
    #[arg(long)]
    json: bool,
    /// Shows no progress
    #[arg(long)]
    quiet: bool,
}

/// Images and movies that the network was not trained with.
#[derive(clap::Args)]
#[command(next_help_heading = "Images and movies")]
struct StimulusArguments {
    /// Image (.png, .npy), movie (.npy) or folder of frames (.png) to show too; may be given several times
    #[arg(long, value_name = "PATH")]
    stimulus: Vec<PathBuf>,
    /// Width on the screen of 120 x 80 deg; the height follows from the pixels. Grey around it
    #[arg(long, value_name = "DEG", requires = "stimulus", default_value_t = StimulusOptions::default().size_deg)]
    size_deg: f64,
    /// Centre from the lower left corner of the screen
    #[arg(long, value_name = "X,Y", requires = "stimulus", value_parser = centre, default_value = "60,40")]
    centre_deg: [f64; 2],
    /// Frames a second of a movie
    #[arg(long, value_name = "HZ", requires = "stimulus", default_value_t = StimulusOptions::default().frame_rate_hz)]
    frame_rate_hz: f64,
    /// How long an image is shown
    #[arg(long, value_name = "MS", requires = "stimulus", default_value_t = StimulusOptions::default().flash_ms)]
    flash_ms: f64,
    /// Grey before the first frame, from which on spikes are counted
    #[arg(long, value_name = "MS", requires = "stimulus", default_value_t = StimulusOptions::default().grey_before_ms)]
    grey_before_ms: f64,
    /// Grey after the last frame, to the end of the trial
    #[arg(long, value_name = "MS", requires = "stimulus", default_value_t = StimulusOptions::default().grey_after_ms)]
    grey_after_ms: f64,
}

/// Two numbers with a comma between.
fn centre(text: &str) -> std::result::Result<[f64; 2], String> {
    let numbers: Vec<f64> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    <[f64; 2]>::try_from(numbers).map_err(|_| "two numbers, e.g. 60,40".to_owned())
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Sessions {
    /// Those that the losses are taken from
    Train,
    /// Those that were held out
    Heldout,
    /// Both
    All,
}

/// Evaluates a run; writes `evaluation.json`, the spikes behind it, `figures/` and the report into its folder.
pub(super) fn evaluate(arguments: &EvaluateArguments, ranks: &Ranks) -> Result<()> {
    let stimuli = &arguments.stimuli;
    let options = ValidationOptions {
        n_trials: arguments.trials,
        contrasts: arguments.contrasts.clone(),
        stimuli: StimulusOptions {
            files: stimuli.stimulus.clone(),
            size_deg: stimuli.size_deg,
            centre_deg: stimuli.centre_deg,
            frame_rate_hz: stimuli.frame_rate_hz,
            flash_ms: stimuli.flash_ms,
            grey_before_ms: stimuli.grey_before_ms,
            grey_after_ms: stimuli.grey_after_ms,
        },
        adapter: arguments.adapter.clone(),
        quiet: arguments.quiet,
        ranks: ranks.clone(),
    };
    // The first rank alone writes.
    let lock = ranks.agree(ranks.is_first().then(|| lock_run(&arguments.run)).transpose())?;
    lock.iter().flat_map(|lock| lock.notice()).for_each(say);
    let validation = validate(&arguments.run, &options)?;
    if !ranks.is_first() {
        return Ok(());
    }
    let json = serde_json::to_string_pretty(&validation)
        .map_err(|e| Error::Failed(format!("evaluation.json: {e}")))?;
    replace_file(&arguments.run.join("evaluation.json"), json.as_bytes())?;
    // The figures are beside one split: the held-out one unless training sessions alone were asked for.
    let shown = if arguments.sessions == Sessions::Train { &validation.train } else { &validation.held_out };
    let folder = arguments.run.join("figures");
    let names = figures::write(&folder, &validation, shown)?;
    report::write(&arguments.run)?;
    if arguments.json {
        return print_json(&json!({ "evaluation": validation, "figures": names }));
    }
    let mut text = String::new();
    if validation.without_checkpoint {
        text += &without_checkpoint(&arguments.run);
    }
    let splits = [
        (Sessions::Train, "the sessions trained on", &validation.train),
        (Sessions::Heldout, "held-out sessions", &validation.held_out),
    ];
    for (split, name, beside) in splits {
        if arguments.sessions == split || arguments.sessions == Sessions::All {
            text += &sessions_text(&validation, name, beside);
        }
    }
    text += &pairs_text(&validation);
    text.extend(validation.stimuli.iter().map(stimulus_text));
    text += &format!(
        "{}: report.html, evaluation.json, evaluation_spikes.h5, evaluation_trials.csv, figures/{}\n",
        arguments.run.display(),
        names.join(", figures/")
    );
    print(&text)
}

fn sessions_text(validation: &Evaluation, name: &str, beside: &BesideSessions) -> String {
    format!(
        "after training step {}, beside {name} ({}):\n{}{}\n",
        validation.training_step,
        validation.shown.text(),
        table(&beside.cell_types),
        rate_misses_text(&beside.cell_types)
    )
}

/// PSPs, weights and slopes beside what was measured, a line each.
fn pairs_text(validation: &Evaluation) -> String {
    let mut text = String::new();
    for held_out in [false, true] {
        let pairs: Vec<_> =
            validation.pairs.iter().filter(|p| p.held_out == held_out && p.model.n > 1).collect();
        if pairs.is_empty() {
            continue;
        }
        let rms = |of: &dyn Fn(usize) -> f64| {
            ((0..pairs.len()).map(|i| of(i).powi(2)).sum::<f64>() / pairs.len() as f64).sqrt()
        };
        text += &format!(
            "paired recordings, {} measured pairs {}: rms error {:.3} of mean ln PSP, {:.3} of its sd, {:.2} ms of time to peak\n",
            pairs.len(),
            if held_out { "held out" } else { "trained on" },
            rms(&|i| pairs[i].model.log_mean - pairs[i].recorded_log_mean),
            rms(&|i| pairs[i].model.log_sd - pairs[i].recorded_log_sd),
            rms(&|i| pairs[i].time_to_peak_ms - pairs[i].measured_time_to_peak_ms),
        );
    }
    if !validation.weights.is_empty() {
        let n: u64 = validation.weights.iter().map(|w| w.model.n).sum();
        let mean = |of: &dyn Fn(usize) -> f64| {
            let sum: f64 =
                (0..validation.weights.len()).map(|i| validation.weights[i].model.n as f64 * of(i)).sum();
            sum / n as f64
        };
        text += &format!(
            "weights between excitatory types: sd of ln w {:.2} (EM sizes {:.2}), W1 {:.3}\n",
            mean(&|i| validation.weights[i].model.sd),
            mean(&|i| validation.weights[i].em_log_sd),
            mean(&|i| validation.weights[i].distance),
        );
    }
    for slope in &validation.like_to_like {
        text += &format!(
            "like to like, {} to {}: {:.5} +- {:.5} a deg (EM, {}: {:.5} +- {:.5})\n",
            slope.source,
            slope.target,
            slope.slope_per_deg,
            slope.slope_se,
            slope.study,
            slope.em_slope_per_deg,
            slope.em_slope_se
        );
    }
    text
}

//! The full evaluation of a run that is over: what `simrun evaluate` shows.

use std::path::Path;

use super::session::TrialRecording;
use super::stimuli::{Stage, StimulusOptions};
use super::{Prepared, prepare, schedule};
use crate::error::{Error, Result, warning};
use crate::evaluate::contrast_notice;
use crate::output::{Checkpoint, Progress, Provenance, read_run};
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::results::Evaluation;
use crate::scene::NetworkScene;
use crate::stimulus::frames::Footage;

/// Directions of the gratings, deg.
const DIRECTIONS_DEG: &str = "[0, 45, 90, 135, 180, 225, 270, 315]";
/// Trials of each direction and of the grey screen where nobody says.
const N_TRIALS: u32 = 10;
/// Samples of paired recordings.
const N_PAIR_SAMPLES: u32 = 10;

/// What an evaluation is told beside the run.
#[derive(Clone, Debug)]
pub struct ValidationOptions {
    /// Trials of each direction and of the grey screen; None: 10.
    pub n_trials: Option<u32>,
    /// Contrasts of further gratings; empty: those of the run's scene.
    pub contrasts: Vec<f64>,
    /// Images and movies; none where no file is named.
    pub stimuli: StimulusOptions,
    /// Part of the adapter's name.
    pub adapter: Option<String>,
    /// Whether progress is not shown.
    pub quiet: bool,
    /// The processes that share the trials.
    pub ranks: Ranks,
}

impl ValidationOptions {
    /// Refuses what would do nothing.
    fn refuse_idle(&self, plan: &Plan) -> Result<()> {
        let NetworkScene::Sonata(_) = plan.scene.network else { return Ok(()) };
        let trials = self.n_trials.map(|n| ("--trials", n.to_string()));
        let contrasts =
            (!self.contrasts.is_empty()).then(|| ("--contrasts", format!("{:?}", self.contrasts)));
        trials.or(contrasts).map_or(Ok(()), |(option, value)| {
            let limit = "does nothing here: the network came with its inputs (network.inputs), and each is shown equally often";
            Err(Error::field("command line", option, value, limit))
        })
    }
}

/// Evaluates the network of a run folder as its checkpoint holds it, or as it was built where no step was taken; writes the
/// spikes of the trials into the folder (`evaluation_spikes.h5`, `evaluation_trials.csv`). Ranks share the trials of gratings and grey;
/// images and movies each shows alike, in simulations of their own.
///
/// # Errors
/// Bad input for a folder that is no run; a failed run otherwise.
pub fn validate(dir: &Path, options: &ValidationOptions) -> Result<Evaluation> {
    let n_trials = options.n_trials.unwrap_or(N_TRIALS);
    let mut settings = vec![
        format!("evaluate.directions_deg={DIRECTIONS_DEG}"),
        format!("evaluate.n_trials={n_trials}"),
        "evaluate.fano=true".to_owned(),
        // The reports of a run are of its own trials.
        "evaluate.reports=[]".to_owned(),
    ];
    if !options.contrasts.is_empty() {
        settings.push(format!("evaluate.contrasts={:?}", options.contrasts));
    }
    let ranks = &options.ranks;
    let (plan, checkpoint) = ranks.agree(read(dir, &settings))?;
    let footage = ranks.agree(options.refuse_idle(&plan).and_then(|()| options.stimuli.open(&plan)))?;
    let progress = Progress::of_rank(ranks.is_first(), options.quiet);
    footage.iter().filter_map(Footage::notice).for_each(|notice| progress.say(&notice));
    let Prepared { gpu, mut session, tables, .. } =
        prepare(&plan, ranks, options.adapter.as_deref(), &progress)?;
    let restored = checkpoint.as_ref().map_or(Ok(Vec::new()), |checkpoint| session.restore(checkpoint));
    ranks.agree(restored)?;
    let shown = ranks.agree(options.stimuli.show(footage, &session, &gpu, &plan))?;
    let evaluated = session.evaluate()?;
    if let Some(text) = contrast_notice(&evaluated.held_out.cell_types, plan.scene.other_contrast()) {
        progress.say(&warning(format_args!("{}: {text}", dir.display())));
    }
    let without_checkpoint = checkpoint.is_none();
    let training_step = checkpoint.map_or(0, |c| c.training_step);
    if ranks.is_first() {
        evaluated.spikes.write(dir, "evaluation_", training_step)?;
    }
    let mut evaluation = Evaluation {
        run: dir.to_path_buf(),
        training_step,
        without_checkpoint,
        shown: evaluated.shown,
        train: evaluated.train,
        held_out: evaluated.held_out,
        pairs: session.record_pairs(N_PAIR_SAMPLES)?,
        weights: session.weights_beside_em(&tables)?,
        like_to_like: session.like_to_like(&tables)?,
        stimuli: Vec::new(),
    };
    if !shown.is_empty() {
        let stage = Stage::new(&plan, &gpu, &tables, session)?;
        let gratings = &evaluation.train.cell_types;
        evaluation.stimuli = stage.run(&shown, &options.stimuli, n_trials, gratings)?;
    }
    Ok(evaluation)
}

/// The plan and checkpoint of a run folder, whose recordings are still those of the run.
fn read(dir: &Path, settings: &[String]) -> Result<(Plan, Option<Checkpoint>)> {
    let (plan, checkpoint) = read_run(dir, settings)?;
    Provenance::read(dir)?.refuse_other_recordings(&plan)?;
    Ok((plan, checkpoint))
}

/// Shows the network of a run folder one trial of its own evaluation again, with the spikes of LGN and background
/// units. `settings` replace fields of its scene.
///
/// # Errors
/// Bad input for a folder that is no run, or has no such trial; a failed run otherwise.
pub fn record_trial(
    dir: &Path,
    trial: u32,
    settings: &[String],
    adapter: Option<&str>,
    quiet: bool,
) -> Result<TrialRecording> {
    let (own, checkpoint) = read_run(dir, &[])?;
    // Behind the checkpoint, which is of no other scene than its own.
    let plan = Plan::read(&own.scene_file, settings)?;
    let n_trials = schedule::evaluation_batches(&plan.scene).iter().map(Vec::len).sum::<usize>();
    if trial as usize >= n_trials {
        let limit = format!("the run's evaluation has trials 0 to {}", n_trials - 1);
        return Err(Error::field("command line", "--trial", trial, limit));
    }
    // The trial alone: a batch of several ranks has more trials than one process takes.
    let ranks = Ranks::of_trial(trial as usize % plan.n_trials as usize);
    let Prepared { mut session, .. } = prepare(&plan, &ranks, adapter, &Progress::new(quiet))?;
    if let Some(checkpoint) = &checkpoint {
        session.restore(checkpoint)?;
    }
    session.record_trial(trial as usize)
}

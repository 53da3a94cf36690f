//! Training: a run from its scene to its run folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluate::{self, CellTypeSummary, Curves};
use crate::gpu::Gpu;
use crate::network::tables::Tables;
use crate::output::{Adapter, Checkpoint, Progress, Provenance, RunFolder};
use crate::plan::Plan;
use crate::setup;

mod assay;
mod dry_run;
mod populations;
mod recorded;
mod reports;
pub mod schedule;
mod session;
mod settings;
mod stimuli;
mod structure;
mod validation;
pub mod weighting;

pub use dry_run::{NetworkSize, PopulationSize, dry_run};
use weighting::Gradients;

pub use assay::PairErrors;
pub use populations::FanoCurve;
pub use session::{NeuronRange, Session, TrialRecording};
pub use stimuli::{StimulusEvaluation, StimulusOptions, stimulus_text};
pub use structure::{LikeToLikeSlope, PairTypeWeights};
pub use validation::{BesideSessions, Validation, ValidationOptions, record_trial, validate};

/// Where a run writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A new folder.
    New(PathBuf),
    /// The folder of a run that is continued.
    Resume(PathBuf),
}

/// What a run is told beside its plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it writes.
    pub destination: Destination,
    /// Most training steps to take now; `None` takes all that the schedule has left.
    pub n_steps: Option<u32>,
    /// Part of the adapter's name.
    pub adapter: Option<String>,
    /// Whether progress is not shown.
    pub quiet: bool,
}

/// `summary.json`: the last evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Training steps taken before.
    pub training_step: u32,
    /// Trials of each direction and of the grey screen.
    #[serde(default)]
    pub n_trials: u32,
    /// The network; it and what else has a default is missing in a file of an earlier version.
    #[serde(default)]
    pub network: NetworkSize,
    /// The populations of the neurons, in the order of the neurons, as they are called in the user's own files.
    #[serde(default)]
    pub populations: Vec<PopulationSize>,
    /// The cell types of the neurons, in the order of the neurons.
    #[serde(default)]
    pub neurons: Vec<NeuronRange>,
    /// Beside the sessions that the losses are taken from.
    pub train: Vec<CellTypeSummary>,
    /// Beside the sessions that were held out.
    pub held_out: Vec<CellTypeSummary>,
    /// Tuning and contrast-response curves beside the held-out sessions.
    #[serde(default)]
    pub held_out_curves: Curves,
    /// Paired recordings of the network's edges beside the measured ones; held-out pairs are marked.
    pub pairs: Vec<PairErrors>,
    /// Weights between excitatory types beside EM.
    pub weights: Vec<PairTypeWeights>,
}

/// Samples of paired recordings in an evaluation.
const N_PAIR_SAMPLES: u32 = 4;

/// Runs a plan and returns the table of its last evaluation. `stop` ends it after the step in hand.
///
/// # Errors
/// Bad input before anything is written; [`Error::Interrupted`] when stopped; a failed run otherwise. The checkpoint of the
/// run folder is whole in every case.
pub fn run(plan: &Plan, options: &Options, stop: &AtomicBool) -> Result<String> {
    // Everything that can be wrong is looked at before the network is built, which takes long.
    let earlier = match &options.destination {
        Destination::New(dir) => {
            RunFolder::refuse_existing(dir)?;
            None
        }
        Destination::Resume(dir) => {
            let checkpoint = Checkpoint::of_run(dir, plan)?;
            checkpoint.refuse_beyond(plan)?;
            Some(checkpoint)
        }
    };
    let progress = Progress::new(options.quiet);
    let Prepared { gpu, mut session, size, tables } = prepare(plan, options.adapter.as_deref(), &progress)?;
    check_budget(plan, &gpu)?;
    let first_step = match &earlier {
        None => 1,
        Some(checkpoint) => {
            session.restore(checkpoint)?;
            checkpoint.training_step + 1
        }
    };
    drop(earlier);
    let left = (plan.scene.optimiser.training_steps + 1).saturating_sub(first_step);
    let n_steps = options.n_steps.map_or(left, |n| n.min(left));
    // A term that no training would change is refused before anything is written.
    let gradients = (first_step == 1 && n_steps > 0)
        .then(|| Gradients::weigh(plan, session.term_gradients()?))
        .transpose()?;
    let folder = match &options.destination {
        Destination::New(dir) => RunFolder::create(dir, plan, &provenance(plan, &gpu)?)?,
        Destination::Resume(dir) => RunFolder::reopen(dir, first_step - 1)?,
    };
    if let Some(gradients) = gradients {
        progress.say(gradients.table().trim_end());
        folder.write_gradients(&gradients)?;
        session.set_factors(gradients.factors());
    }
    let mut run = Run { plan, session, size, tables, folder, progress };
    run.progress.say(&format!("run folder {}", run.folder.dir().display()));
    run.train(first_step, n_steps, stop)
}

/// Everything that a run needs, on the device.
struct Prepared {
    gpu: Arc<Gpu>,
    session: Session,
    size: NetworkSize,
    tables: Tables,
}

/// Builds the network of a plan and puts it on the device.
fn prepare(plan: &Plan, adapter: Option<&str>, progress: &Progress) -> Result<Prepared> {
    let gpu = Gpu::open_tested(adapter)?;
    let tables = Tables::of_plan(plan)?;
    let built = setup::build(plan, &tables, &mut |text| progress.say(text))?;
    let size = NetworkSize::of(&built.network);
    let session = Session::new_with_pairs(plan, &gpu, &tables, built)?;
    if let Some(notice) = session.tape_notice() {
        progress.say(&notice);
    }
    Ok(Prepared { gpu, session, size, tables })
}

/// Refuses a run that takes more device memory than its scene allows.
fn check_budget(plan: &Plan, gpu: &Gpu) -> Result<()> {
    let (needed, budget) = (gpu.allocated_bytes(), u64::from(plan.scene.checkpoint.memory_budget_mib) << 20);
    if needed > budget {
        let mib = needed.div_ceil(1 << 20);
        let limit = format!("the run needs at least {mib} MiB on the device; --dry-run shows for what");
        let budget_mib = plan.scene.checkpoint.memory_budget_mib;
        return Err(Error::field(&plan.scene_file, "checkpoint.memory_budget_mib", budget_mib, limit));
    }
    Ok(())
}

fn provenance(plan: &Plan, gpu: &Gpu) -> Result<Provenance> {
    let adapter = gpu.adapter();
    let adapter = Adapter {
        name: adapter.name.clone(),
        driver: adapter.driver.clone(),
        backend: adapter.backend.clone(),
    };
    Provenance::new(plan, Some(adapter))
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    session: Session,
    size: NetworkSize,
    tables: Tables,
    folder: RunFolder,
    progress: Progress,
}

impl Run<'_> {
    fn train(&mut self, first_step: u32, n_steps: u32, stop: &AtomicBool) -> Result<String> {
        let every = self.plan.scene.evaluate.every_steps;
        let last_step = first_step - 1 + n_steps;
        self.progress.start(n_steps);
        if every > 0 && first_step == 1 && n_steps > 0 {
            self.evaluate_between(0)?;
        }
        for step in first_step..=last_step {
            let metrics = self.session.step(step)?;
            self.folder.append_metrics(&metrics)?;
            self.progress.show(&metrics);
            let stopped = stop.load(Ordering::Relaxed);
            if stopped || step == last_step || step.is_multiple_of(self.plan.scene.optimiser.save_every_steps)
            {
                self.folder.save_checkpoint(&self.session.checkpoint(step)?)?;
            }
            if stopped {
                self.progress.finish();
                let run = self.folder.dir().to_path_buf();
                return Err(Error::Interrupted { step: step as usize, run });
            }
            if every > 0 && step.is_multiple_of(every) && step != last_step {
                self.evaluate_between(step)?;
            }
        }
        let table = self.evaluate(last_step)?;
        self.progress.finish();
        Ok(table)
    }

    fn evaluate_between(&mut self, training_step: u32) -> Result<()> {
        let table = self.evaluate(training_step)?;
        self.progress.say(&table);
        Ok(())
    }

    /// Evaluates, writes summary and spikes, and returns the table beside the held-out sessions.
    fn evaluate(&mut self, training_step: u32) -> Result<String> {
        let evaluation = self.session.evaluate()?;
        let table = format!(
            "after training step {training_step}, beside held-out sessions:\n{}",
            evaluate::table(&evaluation.held_out)
        ) + &evaluate::rate_misses_text(&evaluation.held_out);
        evaluation.spikes.write(self.folder.dir(), "", training_step)?;
        let names = self.session.names();
        evaluation.reports.iter().try_for_each(|report| report.write(self.folder.dir(), names))?;
        let summary = Summary {
            training_step,
            n_trials: self.plan.scene.evaluate.n_trials,
            network: self.size,
            populations: PopulationSize::of(self.session.names()),
            neurons: self.session.neurons_by_type(),
            train: evaluation.train,
            held_out: evaluation.held_out,
            held_out_curves: evaluation.held_out_curves,
            pairs: self.session.record_pairs(N_PAIR_SAMPLES)?,
            weights: self.session.weights_beside_em(&self.tables)?,
        };
        self.folder.write_summary(&summary)?;
        Ok(table)
    }
}

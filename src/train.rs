//! Training: a run from its scene to its run folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::adapt::Ancestor;
use crate::error::{Error, Result};
use crate::evaluate;
use crate::gpu::Gpu;
use crate::network::tables::Tables;
use crate::network::{self, Network};
use crate::output::{Adapter, EarlierRun, NewFolder, Progress, Provenance, RunFolder, say};
use crate::plan::Plan;
use crate::results::{Carried, NetworkSize, PopulationSize, Summary};
use crate::scene::{NetworkScene, V1Scene};
use crate::{setup, sim};

mod assay;
mod dry_run;
mod recorded;
mod reports;
pub mod schedule;
mod session;
mod settings;
mod stimuli;
mod validation;

pub use dry_run::dry_run;
pub use session::{Session, TrialRecording};
pub use stimuli::{StimulusOptions, stimulus_text};
pub use validation::{ValidationOptions, record_trial, validate};

/// Where a run writes.
#[derive(Debug)]
pub enum Destination {
    /// A new folder, whose place is claimed.
    New(NewFolder),
    /// The folder of a run that is continued.
    Resume(PathBuf),
}

impl Destination {
    /// The run folder.
    pub fn dir(&self) -> &Path {
        match self {
            Self::New(folder) => folder.place(),
            Self::Resume(dir) => dir,
        }
    }
}

/// What a run is told beside its plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Most training steps to take now; `None` takes all that the schedule has left.
    pub n_steps: Option<u32>,
    /// Part of the adapter's name.
    pub adapter: Option<String>,
    /// Whether progress is not shown.
    pub quiet: bool,
}

/// Samples of paired recordings in an evaluation.
const N_PAIR_SAMPLES: u32 = 4;

/// Runs a plan and returns the table of its last evaluation. `stop` ends it after the step in hand.
///
/// # Errors
/// Bad input before anything is written; [`Error::Interrupted`] when stopped; a failed run otherwise. The checkpoint of the
/// run folder is whole in every case.
pub fn run(plan: &Plan, destination: Destination, options: &Options, stop: &AtomicBool) -> Result<String> {
    let progress = Progress::new(options.quiet);
    let mut plan = plan.clone();
    // Everything that can be wrong is looked at before the network is built, which takes long.
    let opened = match destination {
        Destination::New(folder) => Opened::New(folder),
        Destination::Resume(dir) => Opened::Earlier(Box::new(EarlierRun::open(&dir, &plan)?)),
    };
    let ancestor = opened.ancestor(&mut plan)?;
    let plan = &plan;
    let Prepared { gpu, mut session, size, tables, carried } =
        prepare_from(plan, ancestor.as_ref(), options.adapter.as_deref(), &progress)?;
    check_budget(plan, &gpu)?;
    let mut last_step = 0;
    if let Opened::Earlier(earlier) = &opened {
        // Neither is shown by a progress that is quiet, and both must be known.
        earlier.notices().iter().for_each(say);
        if let Some(checkpoint) = &earlier.checkpoint {
            checkpoint.refuse_beyond(plan)?;
            for term in session.restore(checkpoint)? {
                say(format!(
                    "the checkpoint is of an earlier version: the running means of the term '{term}' begin anew"
                ));
            }
            last_step = checkpoint.training_step;
        }
    }
    let left = plan.scene.optimiser.training_steps.saturating_sub(last_step);
    let n_steps = options.n_steps.map_or(left, |n| n.min(left));
    let is_new = matches!(opened, Opened::New(_));
    let folder = match opened {
        Opened::New(folder) => RunFolder::create(folder, plan, &provenance(plan, &gpu, ancestor.as_ref())?)?,
        Opened::Earlier(earlier) => {
            let (folder, said) = earlier.go_on(last_step)?;
            said.iter().for_each(say);
            folder
        }
    };
    progress.say(&format!("run folder {}", folder.dir().display()));
    if let Some(carried) = &carried {
        folder.write_start(carried)?;
    }
    if last_step == 0
        && n_steps > 0
        && !stop.load(Ordering::Relaxed)
        && let Err(error) = weigh(&mut session, &folder, &progress)
    {
        // Nothing was learned, so there is nothing to go on from.
        if is_new {
            folder.discard();
        }
        return Err(error);
    }
    let saved = Saved { step: last_step, at: Instant::now() };
    let mut run = Run { plan, session, size, tables, folder, progress, saved };
    run.train(last_step, n_steps, stop)
}

/// The folder of a run before the run is ready.
enum Opened {
    New(NewFolder),
    Earlier(Box<EarlierRun>),
}

impl Opened {
    /// The run that this one starts from, unless it goes on from a checkpoint of its own; the plan gets that run's calibration where it
    /// names none.
    fn ancestor(&self, plan: &mut Plan) -> Result<Option<Ancestor>> {
        match self {
            Self::Earlier(earlier) if earlier.checkpoint.is_some() => return Ok(None),
            Self::Earlier(earlier) => plan.scene.start.clone_from(&earlier.start),
            Self::New(_) => {}
        }
        let ancestor = Ancestor::open(plan)?;
        if let Some(ancestor) = &ancestor {
            *plan = ancestor.with_calibration(plan)?;
        }
        Ok(ancestor)
    }
}

/// Takes the gradient of each term of the loss alone, and weighs the terms by it.
fn weigh(session: &mut Session, folder: &RunFolder, progress: &Progress) -> Result<()> {
    let phase = progress.phase("gradient of each term of the loss alone, on the first batch");
    let gradients = session.weigh()?;
    phase.done("");
    progress.say(gradients.table().trim_end());
    folder.write_gradients(&gradients)
}

/// Everything that a run needs, on the device.
struct Prepared {
    gpu: Arc<Gpu>,
    session: Session,
    size: NetworkSize,
    tables: Tables,
    /// What was taken over from the run that it starts from.
    carried: Option<Carried>,
}

/// Builds the network of a plan and puts it on the device.
fn prepare(plan: &Plan, adapter: Option<&str>, progress: &Progress) -> Result<Prepared> {
    prepare_from(plan, None, adapter, progress)
}

/// The same, with what another run has learned.
fn prepare_from(
    plan: &Plan,
    ancestor: Option<&Ancestor>,
    adapter: Option<&str>,
    progress: &Progress,
) -> Result<Prepared> {
    let gpu = Gpu::open_tested(adapter)?;
    let tables = setup::tables(plan)?;
    check_room(plan, &gpu, &tables, progress)?;
    let phase = progress.phase("network");
    let built = setup::build(plan, &tables, &mut |text| progress.say(text))?;
    let size = NetworkSize::of(&built.network);
    let (n_edges, adapter) = (size.n_edges.iter().sum::<u64>(), &gpu.adapter().name);
    phase.done(&format!("{} neurons, {n_edges} edges", size.n_neurons));
    let start = ancestor.map(|ancestor| ancestor.begin(plan, &built)).transpose()?;
    let phase = progress.phase(&format!("{adapter}: buffers and kernels"));
    let mut session = Session::new_with_pairs(plan, &gpu, &tables, built)?;
    phase.done(&format!("{} MiB", gpu.allocated_bytes() >> 20));
    if let Some(notice) = session.tape_notice() {
        progress.say(&notice);
    }
    let carried = start.as_ref().map(|start| start.carried.clone());
    if let Some(start) = start {
        progress.say(start.carried.text().trim_end());
        session.begin_from(start)?;
    }
    Ok(Prepared { gpu, session, size, tables, carried })
}

/// Refuses a network that the adapter cannot hold before it is built, where its neurons are known by then.
fn check_room(plan: &Plan, gpu: &Gpu, tables: &Tables, progress: &Progress) -> Result<()> {
    let NetworkScene::V1(V1Scene { radius_um, em: None, .. }) = plan.scene.network else { return Ok(()) };
    let neurons = network::place_neurons(tables, radius_um, plan.scene.seed);
    let network = Network { cell_models: tables.cell_models(), neurons, ..Network::default() };
    let n_trials = plan.n_trials as usize;
    let at_once = sim::check_room(gpu, &network, &setup::dynamics(plan, tables), n_trials)?;
    if at_once < n_trials {
        progress.say(&format!(
            "the adapter can bind the state of {at_once} trials at once: the {n_trials} of a batch run one share after another"
        ));
    }
    Ok(())
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

fn provenance(plan: &Plan, gpu: &Gpu, ancestor: Option<&Ancestor>) -> Result<Provenance> {
    let adapter = gpu.adapter();
    let adapter = Adapter {
        name: adapter.name.clone(),
        driver: adapter.driver.clone(),
        backend: adapter.backend.clone(),
    };
    let ancestors = ancestor.map_or(Vec::new(), Ancestor::records);
    Ok(Provenance { ancestors, ..Provenance::new(plan, Some(adapter))? })
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    session: Session,
    size: NetworkSize,
    tables: Tables,
    folder: RunFolder,
    progress: Progress,
    saved: Saved,
}

/// The last checkpoint.
struct Saved {
    /// Training step that it was taken after; 0 before the first.
    step: u32,
    at: Instant,
}

impl Run<'_> {
    /// Takes `n_steps` training steps after `step`, and evaluates.
    fn train(&mut self, mut step: u32, n_steps: u32, stop: &AtomicBool) -> Result<String> {
        let every = self.plan.scene.evaluate.every_steps;
        let last_step = step + n_steps;
        self.progress.start(n_steps);
        self.stop_where_told(step, stop)?;
        if every > 0 && step == 0 && n_steps > 0 {
            self.evaluate_between(0)?;
        }
        while step < last_step {
            self.stop_where_told(step, stop)?;
            step += 1;
            let metrics = self.session.step(step)?;
            let written = self.folder.append_metrics(&metrics);
            self.progress.show(&metrics);
            let is_evaluated = every > 0 && step.is_multiple_of(every) && step != last_step;
            // An evaluation takes long, and may fail.
            if step == last_step || is_evaluated || written.is_err() || self.is_save_due(step) {
                self.save(step)?;
            }
            written?;
            if is_evaluated {
                self.evaluate_between(step)?;
            }
        }
        self.stop_where_told(step, stop)?;
        let table = self.evaluate(last_step)?;
        self.progress.finish();
        Ok(table)
    }

    /// Ends the run, with a checkpoint, if it was told to.
    fn stop_where_told(&mut self, step: u32, stop: &AtomicBool) -> Result<()> {
        if !stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.save(step)?;
        self.progress.finish();
        Err(Error::Interrupted { step: step as usize, run: self.folder.dir().to_path_buf() })
    }

    fn is_save_due(&self, step: u32) -> bool {
        let optimiser = &self.plan.scene.optimiser;
        let longest = Duration::from_secs_f64(60.0 * optimiser.save_every_minutes);
        step.is_multiple_of(optimiser.save_every_steps) || self.saved.at.elapsed() >= longest
    }

    /// Writes the checkpoint after a training step, where that is not the last one's.
    fn save(&mut self, step: u32) -> Result<()> {
        if step != self.saved.step {
            self.folder.save_checkpoint(&self.session.checkpoint(step)?)?;
            self.saved = Saved { step, at: Instant::now() };
        }
        Ok(())
    }

    fn evaluate_between(&mut self, training_step: u32) -> Result<()> {
        let table = self.evaluate(training_step)?;
        self.progress.say(&table);
        Ok(())
    }

    /// Evaluates, writes summary and spikes, and returns the table beside the held-out sessions.
    fn evaluate(&mut self, training_step: u32) -> Result<String> {
        let phase = self.progress.phase(&format!("evaluation after training step {training_step}"));
        let evaluation = self.session.evaluate()?;
        let table = format!(
            "after training step {training_step}, beside held-out sessions:\n{}",
            evaluate::table(&evaluation.held_out.cell_types)
        ) + &evaluate::rate_misses_text(&evaluation.held_out.cell_types);
        evaluation.spikes.write(self.folder.dir(), "", training_step)?;
        let (dir, names) = (self.folder.dir(), self.session.names());
        evaluation.reports.iter().try_for_each(|report| report.write(dir, names, training_step))?;
        let summary = Summary {
            training_step,
            n_trials: self.plan.scene.evaluate.n_trials,
            network: self.size,
            populations: PopulationSize::of(self.session.names()),
            neurons: self.session.neurons_by_type(),
            train: evaluation.train.cell_types,
            held_out: evaluation.held_out.cell_types,
            held_out_curves: evaluation.held_out.curves,
            pairs: self.session.record_pairs(N_PAIR_SAMPLES)?,
            weights: self.session.weights_beside_em(&self.tables)?,
        };
        phase.done(&format!("{} trials", evaluation.spikes.trials.len()));
        self.folder.write_summary(&summary)?;
        Ok(table)
    }
}

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
use crate::output::{
    Adapter, EarlierRun, EarlierState, NewFolder, Progress, Provenance, RankRecord, RunFolder, say,
};
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::results::{Carried, NetworkSize, PopulationSize, Summary};
use crate::scene::{NetworkScene, V1Scene};
use crate::{setup, sim};

mod assay;
mod dry_run;
mod places;
mod recorded;
mod reports;
pub mod schedule;
mod session;
mod settings;
mod stimuli;
mod validation;

pub use dry_run::dry_run;
pub(crate) use places::open_adapters;
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
    /// That of the first rank, which alone writes; its path where a run is continued.
    OfFirstRank(Option<PathBuf>),
}

impl Destination {
    /// The run folder; empty where only another rank knows.
    pub fn dir(&self) -> &Path {
        match self {
            Self::New(folder) => folder.place(),
            Self::Resume(dir) => dir,
            Self::OfFirstRank(dir) => dir.as_deref().unwrap_or(Path::new("")),
        }
    }
}

/// What a run is told beside its plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Most training steps to take now; `None` takes all that the schedule has left.
    pub training_steps: Option<u32>,
    /// Part of the adapter's name.
    pub adapter: Option<String>,
    /// Whether progress is not shown.
    pub quiet: bool,
    /// The processes that share the trials; all of them run the same plan with the same options.
    pub ranks: Ranks,
}

/// Samples of paired recordings in an evaluation.
const N_PAIR_SAMPLES: u32 = 4;

/// Runs a plan and returns the table of its last evaluation. `stop` ends it after the step in hand.
///
/// # Errors
/// Bad input before anything is written; [`Error::Interrupted`] when stopped; a failed run otherwise. The checkpoint of the
/// run folder is whole in every case.
pub fn run(plan: &Plan, destination: Destination, options: &Options, stop: &AtomicBool) -> Result<String> {
    let ranks = &options.ranks;
    let progress = Progress::of_rank(ranks.is_first(), options.quiet);
    let mut plan = plan.clone();
    // Everything that can be wrong is looked at before the network is built, which takes long.
    let opened = ranks.agree(Opened::new(destination, &plan))?;
    let ancestor = ranks.agree(opened.ancestor(&mut plan))?;
    let plan = &plan;
    plan.warnings().iter().for_each(|warning| progress.say(warning));
    let Prepared { gpu, mut session, size, tables, carried, places } =
        prepare_from(plan, ancestor.as_ref(), ranks, options.adapter.as_deref(), &progress)?;
    let last_step =
        ranks.agree(check_budget(plan, &gpu).and_then(|()| opened.restore(plan, &mut session)))?;
    let left = plan.scene.optimiser.training_steps.saturating_sub(last_step);
    let training_steps = options.training_steps.map_or(left, |n| n.min(left));
    let is_new = matches!(opened, Opened::New(_));
    let folder = match opened {
        Opened::New(folder) => {
            let provenance = Provenance { ranks: places, ..provenance(plan, &gpu, ancestor.as_ref())? };
            Some(RunFolder::create(folder, plan, &provenance)?)
        }
        Opened::Earlier(earlier) => {
            let (folder, said) = earlier.go_on(last_step)?;
            said.iter().for_each(say);
            Some(folder)
        }
        Opened::Elsewhere(_) => None,
    };
    if let Some(folder) = &folder {
        progress.say(&format!("run folder {}", folder.dir().display()));
        carried.iter().try_for_each(|carried| folder.write_start(carried))?;
    }
    if last_step == 0
        && training_steps > 0
        && !ranks.any(stop.load(Ordering::Relaxed))
        && let Err(error) = weigh(ranks, &mut session, folder.as_ref(), &progress)
    {
        // Nothing was learned, so there is nothing to go on from.
        if let Some(folder) = folder.filter(|_| is_new) {
            folder.discard();
        }
        return Err(error);
    }
    let saved = Saved { step: last_step, at: Instant::now() };
    let mut run = Run { plan, ranks, session, size, tables, folder, progress, saved };
    run.train(last_step, training_steps, stop)
}

/// The folder of a run before the run is ready.
enum Opened {
    New(NewFolder),
    Earlier(Box<EarlierRun>),
    /// Another rank has it; how far the run got where it is continued.
    Elsewhere(Option<Box<EarlierState>>),
}

impl Opened {
    fn new(destination: Destination, plan: &Plan) -> Result<Self> {
        Ok(match destination {
            Destination::New(folder) => Self::New(folder),
            Destination::Resume(dir) => Self::Earlier(Box::new(EarlierRun::open(&dir, plan)?)),
            Destination::OfFirstRank(None) => Self::Elsewhere(None),
            Destination::OfFirstRank(Some(dir)) => {
                Self::Elsewhere(Some(Box::new(EarlierState::read(&dir, plan)?)))
            }
        })
    }

    /// How far the run got, where it is continued.
    fn state(&self) -> Option<&EarlierState> {
        match self {
            Self::New(_) => None,
            Self::Earlier(earlier) => Some(&earlier.state),
            Self::Elsewhere(state) => state.as_deref(),
        }
    }

    /// Goes on from the checkpoint, where there is one; its training step, or 0.
    fn restore(&self, plan: &Plan, session: &mut Session) -> Result<u32> {
        // Neither this nor what follows is shown by a progress that is quiet, and both must be known.
        if let Self::Earlier(earlier) = self {
            earlier.notices().iter().for_each(say);
        }
        let Some(checkpoint) = self.state().and_then(|state| state.checkpoint.as_ref()) else { return Ok(0) };
        checkpoint.refuse_beyond(plan)?;
        let forgotten = session.restore(checkpoint)?;
        if let Self::Earlier(_) = self {
            forgotten.iter().for_each(|term| {
                say(format!(
                    "the checkpoint is of an earlier version: the running means of the term '{term}' begin anew"
                ));
            });
        }
        Ok(checkpoint.training_step)
    }

    /// The run that this one starts from, unless it goes on from a checkpoint of its own; the plan gets that run's calibration where it
    /// names none.
    fn ancestor(&self, plan: &mut Plan) -> Result<Option<Ancestor>> {
        match self.state() {
            Some(state) if state.checkpoint.is_some() => return Ok(None),
            Some(state) => plan.scene.start.clone_from(&state.start),
            None => {}
        }
        let ancestor = Ancestor::open(plan)?;
        if let Some(ancestor) = &ancestor {
            *plan = ancestor.with_calibration(plan)?;
        }
        Ok(ancestor)
    }
}

/// Takes the gradient of each term of the loss alone, and weighs the terms by it.
fn weigh(
    ranks: &Ranks,
    session: &mut Session,
    folder: Option<&RunFolder>,
    progress: &Progress,
) -> Result<()> {
    let phase = progress.phase("gradient of each term of the loss alone, on the first batch");
    let gradients = ranks.agree(session.weigh())?;
    phase.done("");
    progress.say(gradients.table().trim_end());
    folder.map_or(Ok(()), |folder| folder.write_gradients(&gradients))
}

/// Everything that a run needs, on the device.
struct Prepared {
    gpu: Arc<Gpu>,
    session: Session,
    size: NetworkSize,
    tables: Tables,
    /// What was taken over from the run that it starts from.
    carried: Option<Carried>,
    /// What each rank has, where there are several.
    places: Vec<RankRecord>,
}

/// Builds the network of a plan and puts it on the device, with this rank's trials.
fn prepare(plan: &Plan, ranks: &Ranks, adapter: Option<&str>, progress: &Progress) -> Result<Prepared> {
    prepare_from(plan, None, ranks, adapter, progress)
}

/// The same, with what another run has learned.
fn prepare_from(
    plan: &Plan,
    ancestor: Option<&Ancestor>,
    ranks: &Ranks,
    adapter: Option<&str>,
    progress: &Progress,
) -> Result<Prepared> {
    let (gpu, places) = open_adapters(plan, plan.n_trials as usize, ranks, adapter, progress)?;
    let (mut prepared, network) = ranks.agree(prepare_own(plan, ancestor, ranks, gpu, progress))?;
    let recordings = prepared.tables.digest();
    ranks.hold_alike("the network and tables", &format!("{network:.12} and {recordings:.12}"), 2)?;
    prepared.places = places;
    Ok(prepared)
}

/// What this rank does of it alone; also the digest of the network, where it is compared with that of other ranks.
fn prepare_own(
    plan: &Plan,
    ancestor: Option<&Ancestor>,
    ranks: &Ranks,
    gpu: Arc<Gpu>,
    progress: &Progress,
) -> Result<(Prepared, String)> {
    let tables = setup::tables(plan)?;
    check_room(plan, ranks, &gpu, &tables, progress)?;
    let phase = progress.phase("network");
    let built = setup::build(plan, &tables, &mut |text| progress.say(text))?;
    let size = NetworkSize::of(&built.network);
    let (n_edges, adapter) = (size.n_edges.iter().sum::<u64>(), &gpu.adapter().name);
    phase.done(&format!("{} neurons, {n_edges} edges", size.n_neurons));
    let digest = if ranks.n() > 1 { built.network.rows.digest() } else { String::new() };
    let start = ancestor.map(|ancestor| ancestor.begin(plan, &built)).transpose()?;
    let phase = progress.phase(&format!("{adapter}: buffers and kernels"));
    let mut session = Session::new_with_pairs(plan, ranks, &gpu, &tables, built)?;
    phase.done(&format!("{} MiB", gpu.allocated_bytes() >> 20));
    if let Some(notice) = session.tape_notice() {
        progress.say(&notice);
    }
    let carried = start.as_ref().map(|start| start.carried.clone());
    if let Some(start) = start {
        progress.say(start.carried.text().trim_end());
        session.begin_from(start)?;
    }
    Ok((Prepared { gpu, session, size, tables, carried, places: Vec::new() }, digest))
}

/// Refuses a network that the adapter cannot hold before it is built, where its neurons are known by then.
fn check_room(plan: &Plan, ranks: &Ranks, gpu: &Gpu, tables: &Tables, progress: &Progress) -> Result<()> {
    let NetworkScene::V1(V1Scene { radius_um, em: None, .. }) = plan.scene.network else { return Ok(()) };
    let neurons = network::place_neurons(tables, radius_um, plan.scene.seed);
    let network = Network { cell_models: tables.cell_models(), neurons, ..Network::default() };
    let n_trials = ranks.share(plan.n_trials as usize).len();
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
    ranks: &'a Ranks,
    session: Session,
    size: NetworkSize,
    tables: Tables,
    /// None on all ranks but the first.
    folder: Option<RunFolder>,
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
    /// Takes `training_steps` training steps after `step`, and evaluates.
    fn train(&mut self, mut step: u32, training_steps: u32, stop: &AtomicBool) -> Result<String> {
        let every = self.plan.scene.evaluate.every_steps;
        let last_step = step + training_steps;
        self.progress.start(training_steps);
        self.stop_where_told(step, stop)?;
        if every > 0 && step == 0 && training_steps > 0 {
            self.evaluate_between(0)?;
        }
        while step < last_step {
            self.stop_where_told(step, stop)?;
            step += 1;
            let metrics = self.session.step(step)?;
            let written = self.folder.as_mut().map_or(Ok(()), |folder| folder.append_metrics(&metrics));
            let written = self.ranks.agree(written);
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
        if !self.ranks.any(stop.load(Ordering::Relaxed)) {
            return Ok(());
        }
        self.save(step)?;
        self.progress.finish();
        let run = self.folder.as_ref().map_or(PathBuf::new(), |folder| folder.dir().to_path_buf());
        Err(Error::Interrupted { step: step as usize, run })
    }

    fn is_save_due(&self, step: u32) -> bool {
        let optimiser = &self.plan.scene.optimiser;
        let longest = Duration::from_secs_f64(60.0 * optimiser.save_every_minutes);
        self.ranks.any(step.is_multiple_of(optimiser.save_every_steps) || self.saved.at.elapsed() >= longest)
    }

    /// Writes the checkpoint after a training step, where that is not the last one's.
    fn save(&mut self, step: u32) -> Result<()> {
        if step != self.saved.step {
            let checkpoint = self.ranks.agree(self.session.checkpoint(step))?;
            if self.ranks.n() > 1 {
                let what = format!("after training step {step} weights and moments");
                self.ranks.hold_alike(&what, &checkpoint.digest(), 1)?;
            }
            let written = self.folder.as_ref().map_or(Ok(()), |folder| folder.save_checkpoint(&checkpoint));
            self.ranks.agree(written)?;
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
        if let Some(folder) = &self.folder {
            let (dir, names) = (folder.dir(), self.session.names());
            evaluation.spikes.write(dir, "", training_step)?;
            evaluation.reports.iter().try_for_each(|report| report.write(dir, names, training_step))?;
        }
        let summary = Summary {
            training_step,
            shown: evaluation.shown,
            network: self.size,
            populations: PopulationSize::of(self.session.names()),
            neurons: self.session.neurons_by_type(),
            train: evaluation.train.cell_types,
            held_out: evaluation.held_out.cell_types,
            held_out_curves: evaluation.held_out.curves,
            held_out_fano: evaluation.held_out.fano,
            pairs: self.session.record_pairs(N_PAIR_SAMPLES)?,
            weights: self.session.weights_beside_em(&self.tables)?,
        };
        phase.done(&format!("{} trials", evaluation.spikes.trials.len()));
        let written = self.folder.as_ref().map_or(Ok(()), |folder| folder.write_summary(&summary));
        self.ranks.agree(written)?;
        Ok(table)
    }
}

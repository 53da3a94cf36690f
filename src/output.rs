//! The run folder: everything a run writes.
//!
//! | file | what |
//! |---|---|
//! | `scene.ron` | the scene as it ran, overrides applied and defaults written out |
//! | `provenance.json` | program version and revision, adapter and driver, seed, sha256 of every table, the runs that it started from |
//! | `start.json` | what the network has in common with that of the run that it started from ([`crate::results::Carried`]) |
//! | `gradients.json` | norm of each loss term's gradient at the first training step, and its factor |
//! | `metrics.jsonl` | one object a training step ([`StepMetrics`]) |
//! | `checkpoint.safetensors` | what was learned so far ([`Checkpoint`]) |
//! | `summary.json` | the last evaluation |
//! | `reports/NAME.h5` | potentials in one trial, where the scene asks for them (SONATA) |
//! | `spikes.h5`, `trials.csv` | spikes of all trials of the last evaluation (SONATA), and what each trial showed ([`TrialSpikes`]) |
//! | `.lock` | who writes into the folder now ([`FolderLock`]) |
//!
//! The folder and every file in it appear whole or not at all: they are made beside their place and renamed (`output/files.rs`,
//! `output/new_folder.rs`), so a full disk or a crash leaves what was there. Each file of an evaluation carries its training step.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::results::StepMetrics;
use crate::scene::{NetworkScene, OriginScene, Scene, SonataScene, V1Scene, first_difference};
use crate::shipped;

mod checkpoint;
mod clock;
mod files;
mod lock;
mod metrics;
mod new_folder;
mod progress;
mod provenance;
pub mod reports;
pub mod spikes;
#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, Tensor, TensorData};
pub(crate) use clock::timestamp;
pub use files::{make_folder, replace_file, replace_hdf5};
pub use lock::FolderLock;
pub use metrics::Metrics;
pub use new_folder::NewFolder;
pub use progress::{Phase, Progress, say};
pub use provenance::{Adapter, AncestorRecord, Provenance, RankRecord};
pub use spikes::TrialSpikes;

use checkpoint::refuse_other_scene;
use files::{remove_leftovers, replace_json};
use metrics::MetricsFile;

/// Name of the counts of what a run took over from the run that it started from.
const START: &str = "start.json";
/// Name of the checkpoint in a run folder.
const CHECKPOINT: &str = "checkpoint.safetensors";

/// A run folder open for writing, by this process alone.
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    metrics: MetricsFile,
    _lock: FolderLock,
}

impl RunFolder {
    /// Claims the folder of a run of `scene_file` that the user names no folder for: `runs/STEM`, or with a number where that exists or
    /// is being made.
    ///
    /// # Errors
    /// Those of [`NewFolder::begin`], but for a place that is taken.
    pub fn claim_default(scene_file: &Path) -> Result<NewFolder> {
        let stem = scene_file.file_stem().map_or_else(|| "run".into(), |s| s.to_os_string());
        let mut number = 1;
        loop {
            let mut name = stem.clone();
            if number > 1 {
                name.push(format!("_{number}"));
            }
            match NewFolder::begin(&Path::new("runs").join(name)) {
                Err(Error::File { .. }) if number < u32::MAX => number += 1,
                other => return other,
            }
        }
    }

    /// Claims the folder that the user named for a run. A run overwrites nothing. Called before any long work.
    ///
    /// # Errors
    /// Those of [`NewFolder::begin`].
    pub fn claim(dir: &Path) -> Result<NewFolder> {
        if dir.exists() {
            let shown = dir.display();
            let limit = format!("exists; continue it with --resume {shown}, or name another folder");
            return Err(Error::field("command line", "--out", shown, limit));
        }
        NewFolder::begin(dir)
    }

    /// Makes the folder of a new run with its scene and provenance.
    pub fn create(folder: NewFolder, plan: &Plan, provenance: &Provenance) -> Result<Self> {
        let mut scene = plan.scene.clone();
        // The copy lies in another folder than the scene, so its tables are named in full.
        scene.tables = shipped::absolute(&plan.tables_dir).map_err(Error::io(&plan.tables_dir))?;
        if let Some(recordings) = &plan.recordings_dir {
            scene.recordings = Some(fs::canonicalize(recordings).map_err(Error::io(recordings))?);
        }
        if let Some(table) = plan.scene.network.calibration() {
            let file = shipped::resolve(&plan.scene_file, table);
            scene.network.set_calibration(Some(shipped::absolute(&file).map_err(Error::io(&file))?));
        }
        if let OriginScene::Run(run) = &mut scene.start {
            let dir = plan.scene_file.parent().unwrap_or(Path::new("")).join(&run);
            *run = fs::canonicalize(&dir).map_err(Error::io(&dir))?;
        }
        if let NetworkScene::V1(V1Scene { em: Some(em), .. }) = &mut scene.network {
            for path in [&mut em.cells, &mut em.synapses] {
                let file = plan.scene_file.parent().unwrap_or(Path::new("")).join(&path);
                *path = fs::canonicalize(&file).map_err(Error::io(&file))?;
            }
        }
        if let NetworkScene::Sonata(sonata) = &mut scene.network {
            whole_paths(sonata, plan.scene_file.parent().unwrap_or(Path::new("")))?;
        }
        replace_file(&folder.path().join("scene.ron"), scene.to_ron()?.as_bytes())?;
        replace_json(&folder.path().join(provenance::FILE), provenance)?;
        let dir = folder.place().to_path_buf();
        let lock = folder.finish()?;
        Ok(Self { metrics: MetricsFile::create(&dir)?, dir, _lock: lock })
    }

    /// Removes the folder of a run that ended before its first training step, with what [`Self::create`] put there and nothing else.
    pub fn discard(self) {
        let Self { dir, metrics, _lock: lock } = self;
        drop(metrics);
        for file in ["scene.ron", provenance::FILE, "metrics.jsonl", START] {
            // What cannot be removed stays: the run has failed for a reason that matters more.
            let _ = fs::remove_file(dir.join(file));
        }
        drop(lock);
        let _ = fs::remove_dir(&dir);
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adds a line to `metrics.jsonl`.
    pub fn append_metrics(&mut self, metrics: &StepMetrics) -> Result<()> {
        self.metrics.append(metrics)
    }

    /// Replaces `checkpoint.safetensors`, after the metrics of its steps are on the disk.
    pub fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        // What a run has learned is worth more than its metrics.
        let synced = self.metrics.sync();
        checkpoint.write(&self.dir.join(CHECKPOINT))?;
        synced
    }

    /// Writes `start.json`.
    pub fn write_start(&self, carried: &impl Serialize) -> Result<()> {
        replace_json(&self.dir.join(START), carried)
    }

    /// Writes `gradients.json`.
    pub fn write_gradients(&self, gradients: &impl Serialize) -> Result<()> {
        replace_json(&self.dir.join("gradients.json"), gradients)
    }

    /// Replaces `summary.json`.
    pub fn write_summary(&self, summary: &impl Serialize) -> Result<()> {
        replace_json(&self.dir.join("summary.json"), summary)
    }
}

/// How far a run got that is to go on.
#[derive(Debug)]
pub struct EarlierState {
    /// Where it got to; None for a run that ended before its first checkpoint, which begins again.
    pub checkpoint: Option<Checkpoint>,
    /// What it started from.
    pub start: OriginScene,
}

impl EarlierState {
    /// Reads it from a run folder that `plan` continues.
    ///
    /// # Errors
    /// Bad input for a folder that is no run, is of another scene, or has a checkpoint that is broken.
    pub fn read(dir: &Path, plan: &Plan) -> Result<Self> {
        let [checkpoint, scene] = [CHECKPOINT, "scene.ron"].map(|name| dir.join(name));
        if !checkpoint.exists() && !scene.exists() {
            return Err(no_run(dir));
        }
        let checkpoint = if checkpoint.exists() {
            Some(Checkpoint::of_run(dir, plan)?)
        } else {
            refuse_other_scene(&Scene::read(&scene)?, &scene, plan)?;
            None
        };
        let start = if scene.exists() { Scene::read(&scene)?.start } else { plan.scene.start.clone() };
        refuse_other_start(&start, &scene, plan)?;
        Ok(Self { checkpoint, start })
    }
}

/// The folder of a run that is to go on, which nobody else writes into meanwhile.
#[derive(Debug)]
pub struct EarlierRun {
    dir: PathBuf,
    lock: FolderLock,
    /// How far it got.
    pub state: EarlierState,
}

impl EarlierRun {
    /// Opens a run folder that `plan` continues, and removes what a dead process left half written there.
    ///
    /// # Errors
    /// Those of [`EarlierState::read`] and [`Provenance::refuse_other_files`]; a folder that is in use.
    pub fn open(dir: &Path, plan: &Plan) -> Result<Self> {
        if !has_checkpoint(dir) && !dir.join("scene.ron").exists() {
            return Err(no_run(dir));
        }
        let lock = FolderLock::take(dir)?;
        remove_leftovers(dir);
        let state = EarlierState::read(dir, plan)?;
        Provenance::read(dir)?.refuse_other_files(plan)?;
        Ok(Self { dir: dir.to_path_buf(), lock, state })
    }

    /// What the user should know of the folder before it goes on.
    pub fn notices(&self) -> Vec<String> {
        let again = self.state.checkpoint.is_none();
        let dir = self.dir.display();
        let again =
            again.then(|| format!("{dir}: has no checkpoint yet; the run begins again at training step 1"));
        again.into_iter().chain(self.lock.notice()).collect()
    }

    /// Opens the folder for the training step after `training_step`. Metrics of later steps are dropped: those steps are taken again.
    /// Also a word to the user where metrics of earlier ones are lost.
    pub fn go_on(self, training_step: u32) -> Result<(RunFolder, Option<String>)> {
        let (metrics, said) = MetricsFile::go_on(&self.dir, training_step)?;
        Ok((RunFolder { dir: self.dir, metrics, _lock: self.lock }, said))
    }
}

/// Refuses a plan that would not have made the run in `dir`, as it was trained and evaluated.
///
/// # Errors
/// The first setting of the run's own scene that differs, or the first file.
pub fn refuse_other_run(dir: &Path, plan: &Plan) -> Result<()> {
    let file = dir.join("scene.ron");
    let scene = Scene::read(&file)?;
    refuse_other_scene(&scene, &file, plan)?;
    let evaluated_alike = Scene { evaluate: plan.scene.evaluate.clone(), ..scene.clone() };
    if let Some((field, here, there)) = first_difference(&scene, &evaluated_alike, &[])? {
        return Err(Error::field(&file, field, here, format!("the run was evaluated so, now it is {there}")));
    }
    refuse_other_start(&scene.start, &file, plan)?;
    Provenance::read(dir)?.refuse_other_files(plan)
}

/// Refuses a plan that names another run to start from than the one that goes on had started from, where both are still there.
fn refuse_other_start(start: &OriginScene, file: &Path, plan: &Plan) -> Result<()> {
    let OriginScene::Run(asked) = &plan.scene.start else { return Ok(()) };
    let whole = |dir: &Path| fs::canonicalize(dir).ok();
    let asked = whole(&plan.scene_file.parent().unwrap_or(Path::new("")).join(asked));
    let own = match start {
        OriginScene::Run(dir) => whole(dir),
        OriginScene::Built => Some(PathBuf::new()),
    };
    match (own, asked) {
        (Some(own), Some(asked)) if own != asked => {
            let scene_file = plan.scene_file.display();
            let limit = format!("the run started from there: {scene_file} has {}", asked.display());
            Err(Error::field(file, "start", own.display(), limit))
        }
        _ => Ok(()),
    }
}

/// The right to write an evaluation into a run folder; what a dead process left half written there is removed.
///
/// # Errors
/// Bad input for a folder that is no run or is in use.
pub fn lock_run(dir: &Path) -> Result<FolderLock> {
    if !dir.join("scene.ron").exists() {
        return Err(no_run(dir));
    }
    let lock = FolderLock::take(dir)?;
    remove_leftovers(dir);
    Ok(lock)
}

/// Whether a run folder has a checkpoint; without one its network is that before training.
pub fn has_checkpoint(dir: &Path) -> bool {
    dir.join(CHECKPOINT).exists()
}

fn no_run(dir: &Path) -> Error {
    Error::file(dir, "is not a run folder: it has no scene.ron")
}

/// The plan of a run folder, with settings of its own, and the checkpoint, if a training step was taken. What the network is compared with
/// may have changed since ([`Provenance::refuse_other_recordings`]), the network may not.
///
/// # Errors
/// Bad input for a folder that is no run, a checkpoint that is broken, or a file of the network with other contents.
pub fn read_run(dir: &Path, settings: &[String]) -> Result<(Plan, Option<Checkpoint>)> {
    let scene_file = dir.join("scene.ron");
    if !scene_file.exists() {
        return Err(no_run(dir));
    }
    let plan = Plan::read(&scene_file, settings)?;
    let checkpoint = match has_checkpoint(dir) {
        true => Some(Checkpoint::of_run(dir, &plan)?),
        false => None,
    };
    Provenance::read(dir)?.refuse_other_network(&plan)?;
    Ok((plan, checkpoint))
}

/// Names the files of a circuit in full. Values of its manifest stay as they are where they use variables.
fn whole_paths(sonata: &mut SonataScene, folder: &Path) -> Result<()> {
    let inputs = sonata.inputs.iter_mut().flat_map(|input| input.spikes.values_mut());
    for path in std::iter::once(&mut sonata.config).chain(inputs) {
        let file = folder.join(&path);
        *path = fs::canonicalize(&file).map_err(Error::io(&file))?;
    }
    for value in sonata.manifest.values_mut().filter(|value| !value.starts_with('$')) {
        let path = std::path::absolute(folder.join(&value)).map_err(Error::io(folder))?;
        *value = path.display().to_string();
    }
    Ok(())
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::results::PhaseMs;

    fn plan(settings: &[&str]) -> Plan {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/smoke.ron");
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Plan::read(&file, &settings).unwrap()
    }

    fn metrics(step: u32) -> StepMetrics {
        StepMetrics {
            step,
            losses: BTreeMap::from([("rates".to_owned(), 0.5)]),
            total_loss: 0.5,
            mean_rate_hz: BTreeMap::from([("L4_Exc".to_owned(), 3.0)]),
            mean_rate_evoked_hz: 4.0,
            mean_rate_spontaneous_hz: 2.0,
            gradient_norm: 1.0,
            ms: PhaseMs { stimulus: 1.0, forward: 2.0, adjoint: 3.0, update: 4.0, ..PhaseMs::default() },
            device_bytes: 5,
        }
    }

    fn created(dir: &Path, plan: &Plan) -> RunFolder {
        let folder = RunFolder::claim(dir).unwrap();
        RunFolder::create(folder, plan, &Provenance::new(plan, None).unwrap()).unwrap()
    }

    fn checkpoint(plan: &Plan, training_step: u32) -> Checkpoint {
        let weights = TensorData::F32(vec![1.0, -2.5, f32::MIN_POSITIVE, 3.0]);
        let scales = TensorData::F64(vec![0.1, f64::MIN_POSITIVE]);
        let tensors = BTreeMap::from([
            ("weights".to_owned(), Tensor { shape: vec![2, 2], data: weights }),
            ("log_scales".to_owned(), Tensor { shape: vec![2], data: scales }),
        ]);
        Checkpoint::new(plan, training_step, tensors)
    }

    #[test]
    fn a_run_is_resumed_from_its_checkpoint() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("run");
        let plan = plan(&[]);
        let mut run = created(&dir, &plan);
        for step in 1..=3 {
            run.append_metrics(&metrics(step)).unwrap();
        }
        let earlier = |dir: &Path| EarlierRun::open(dir, &plan);
        assert!(earlier(&dir).unwrap_err().to_string().contains("in use by process"));
        run.save_checkpoint(&checkpoint(&plan, 1)).unwrap();
        run.save_checkpoint(&checkpoint(&plan, 2)).unwrap();
        drop(run);
        let half = [fs::read(dir.join("metrics.jsonl")).unwrap(), b"{\"step\": 4, \"los".to_vec()].concat();
        fs::write(dir.join("metrics.jsonl"), half).unwrap();
        fs::write(dir.join("checkpoint.safetensors.77.partial"), "half").unwrap();
        let run = earlier(&dir).unwrap();
        let found = run.state.checkpoint.as_ref().unwrap();
        assert_eq!((found.training_step, &found.tensors), (2, &checkpoint(&plan, 2).tensors));
        let message =
            found.refuse_beyond(&self::plan(&["optimiser.training_steps=1"])).unwrap_err().to_string();
        assert!(message.contains("training_step = 2") && message.contains("beyond the 1"), "{message}");
        found.refuse_beyond(&self::plan(&["optimiser.training_steps=2"])).unwrap();
        assert!(run.notices().is_empty());
        let (mut run, said) = run.go_on(2).unwrap();
        assert_eq!(said, None);
        run.append_metrics(&metrics(3)).unwrap();
        let lines = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        let steps: Vec<_> = lines
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["step"].clone())
            .collect();
        assert_eq!(steps, [1, 2, 3]);
        drop(run);
        let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|f| f.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["checkpoint.safetensors", "metrics.jsonl", "provenance.json", "scene.ron"]);
    }

    #[test]
    fn a_run_without_a_checkpoint_begins_again_if_it_is_of_the_same_scene() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("run");
        let plan = |more: &[&str]| plan(more);
        let mut run = created(&dir, &plan(&[]));
        run.append_metrics(&metrics(1)).unwrap();
        drop(run);
        let error = EarlierRun::open(&dir, &plan(&["time.dt_ms=0.5"])).unwrap_err();
        assert!(
            error.exit_code() == 2 && error.to_string().contains("scene.ron: time.dt_ms = 1.0"),
            "{error}"
        );
        let run = EarlierRun::open(&dir, &plan(&["optimiser.training_steps=9"])).unwrap();
        assert!(
            run.state.checkpoint.is_none() && run.notices()[0].contains("begins again"),
            "{:?}",
            run.notices()
        );
        let (_, said) = run.go_on(0).unwrap();
        assert_eq!((said, Metrics::read(&dir).unwrap()), (None, Metrics::default()));
    }

    #[test]
    fn a_run_is_read_with_the_network_that_it_was_made_from() {
        let temporary = tempfile::tempdir().unwrap();
        let [dir, tables] = ["run", "tables"].map(|name| temporary.path().join(name));
        fs::create_dir(&tables).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1");
        for file in fs::read_dir(shipped).unwrap().map(|entry| entry.unwrap()) {
            fs::copy(file.path(), tables.join(file.file_name())).unwrap();
        }
        let plan = plan(&[&format!("tables={tables:?}")]);
        drop(created(&dir, &plan));
        assert!(read_run(&dir, &[]).unwrap().1.is_none());
        let append = |name: &str| {
            let whole = fs::read(tables.join(name)).unwrap();
            fs::write(tables.join(name), [&whole[..], b"\n"].concat()).unwrap();
        };
        // The network is still the run's.
        ["neuropixels_targets.csv", "contrast_classes.csv"].iter().for_each(|name| append(name));
        let (own, _) = read_run(&dir, &[]).unwrap();
        let refused = Provenance::read(&dir).unwrap().refuse_other_recordings(&own).unwrap_err();
        assert!(refused.to_string().contains("contrast_classes.csv: is not the file"), "{refused}");
        append("cells.csv");
        let refused = read_run(&dir, &[]).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(
            refused.to_string().contains("cells.csv: is not the file that the run was made from"),
            "{refused}"
        );
    }

    /// All files of a run have the mode that the system gives to new ones.
    #[cfg(unix)]
    #[test]
    fn a_checkpoint_has_the_mode_of_the_other_files() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("run");
        let plan = plan(&[]);
        created(&dir, &plan).save_checkpoint(&checkpoint(&plan, 1)).unwrap();
        fs::write(temporary.path().join("new"), "").unwrap();
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode();
        let usual = mode(&temporary.path().join("new"));
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), usual, "{}", path.display());
        }
    }

    #[test]
    fn a_folder_that_exists_is_refused_and_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let error = RunFolder::claim(temporary.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--resume"), "{error}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_scene_of_a_run_can_be_run_again() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("run");
        let plan = plan(&["time.dt_ms=0.5"]);
        created(&dir, &plan);
        let again = Plan::read(&dir.join("scene.ron"), &[]).unwrap();
        assert_eq!(again.n_steps, plan.n_steps);
        assert_eq!(fs::canonicalize(again.tables_dir).unwrap(), fs::canonicalize(plan.tables_dir).unwrap());
    }

    #[test]
    fn a_checkpoint_of_another_scene_is_refused_by_the_field_that_differs() {
        let written = checkpoint(&plan(&[]), 2);
        let error = written.refuse_other_scene(Path::new("c"), &plan(&["time.dt_ms=0.5"])).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let message = error.to_string();
        assert!(
            message.contains("time.dt_ms") && message.contains("1.0") && message.contains("0.5"),
            "{message}"
        );
        let error = written.refuse_other_scene(Path::new("c"), &plan(&["cells.mode=Point"])).unwrap_err();
        assert!(error.to_string().contains("cells.mode"), "{error}");
        // What neither changes the network nor a training step may differ.
        let longer =
            plan(&["optimiser.training_steps=9", "evaluate.n_trials=2", "checkpoint.steps_between=Steps(7)"]);
        written.refuse_other_scene(Path::new("c"), &longer).unwrap();
    }

    #[test]
    fn a_broken_checkpoint_is_refused_by_name() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("checkpoint.safetensors");
        let plan = plan(&[]);
        checkpoint(&plan, 1).write(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in [0, 7, 40, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            let error = Checkpoint::read(&path).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{length} bytes: {error}");
            assert!(error.to_string().contains("checkpoint.safetensors"), "{error}");
        }
        let damaged = |tensors: &mut BTreeMap<String, Tensor>| {
            let Some(TensorData::F64(scales)) = tensors.get_mut("log_scales").map(|tensor| &mut tensor.data)
            else {
                panic!()
            };
            scales[1] = f64::NAN;
        };
        let mut broken = checkpoint(&plan, 1);
        damaged(&mut broken.tensors);
        broken.write(&path).unwrap();
        let error = Checkpoint::read(&path).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("log_scales[1] = NaN: is not a number"), "{error}");
        let error = checkpoint(&plan, 1).require_shape("weights", &[2, 3], "edges").unwrap_err();
        assert!(error.to_string().ends_with("has 2 x 2 weights, the network has 2 x 3 edges"), "{error}");
        let error = checkpoint(&plan, 1).f64s("absent").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("checkpoint.safetensors: has no tensor 'absent'"), "{error}");
    }
}

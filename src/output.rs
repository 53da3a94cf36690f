//! The run folder: everything a run writes.
//!
//! | file | what |
//! |---|---|
//! | `scene.ron` | the scene as it ran, overrides applied and defaults written out |
//! | `provenance.json` | program version and revision, adapter and driver, seed, sha256 of every table |
//! | `gradients.json` | norm of each loss term's gradient at the first training step, and its factor |
//! | `metrics.jsonl` | one object a training step ([`StepMetrics`]) |
//! | `checkpoint.safetensors` | what was learned so far ([`Checkpoint`]) |
//! | `summary.json` | the last evaluation |
//! | `reports/NAME.h5` | potentials in one trial, where the scene asks for them (SONATA) |
//! | `spikes.h5`, `trials.csv` | spikes of all trials of the last evaluation (SONATA), and what each trial showed ([`TrialSpikes`]) |
//!
//! Files that replace an earlier one are written beside it and renamed, so a full disk or a crash leaves the earlier.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::scene::{NetworkScene, SonataScene, V1Scene};

mod checkpoint;
pub mod h5;
mod progress;
mod provenance;
pub mod reports;
pub mod spikes;

pub use checkpoint::{Checkpoint, Tensor, TensorData};
pub use progress::{PhaseMs, Progress, StepMetrics};
pub use provenance::{Adapter, Provenance};
pub use spikes::TrialSpikes;

/// A run folder open for writing.
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    metrics: File,
}

impl RunFolder {
    /// Where a run of `scene_file` goes when the user names no folder: `runs/STEM`, or with a number when that exists.
    pub fn default_dir(scene_file: &Path) -> PathBuf {
        let stem = scene_file.file_stem().map_or_else(|| "run".into(), |s| s.to_string_lossy());
        let numbered = (2..).map(|n| PathBuf::from(format!("runs/{stem}_{n}")));
        let first = PathBuf::from(format!("runs/{stem}"));
        std::iter::once(first.clone()).chain(numbered).find(|dir| !dir.exists()).unwrap_or(first)
    }

    /// Refuses a folder that exists: a run overwrites nothing. Called before any long work.
    pub fn refuse_existing(dir: &Path) -> Result<()> {
        if dir.exists() {
            let shown = dir.display();
            let limit = format!("exists; continue it with --resume {shown}, or name another folder");
            return Err(Error::field("command line", "--out", shown, limit));
        }
        Ok(())
    }

    /// Makes the folder of a new run with its scene and provenance.
    pub fn create(dir: &Path, plan: &Plan, provenance: &Provenance) -> Result<Self> {
        Self::refuse_existing(dir)?;
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let mut scene = plan.scene.clone();
        // The copy lies in another folder than the scene, so its tables are named in full.
        scene.tables = fs::canonicalize(&plan.tables_dir).map_err(Error::io(&plan.tables_dir))?;
        if let Some(recordings) = &plan.recordings_dir {
            scene.recordings = Some(fs::canonicalize(recordings).map_err(Error::io(recordings))?);
        }
        if let Some(table) = plan.scene.network.calibration() {
            let file = plan.scene_file.parent().unwrap_or(Path::new("")).join(table);
            scene.network.set_calibration(Some(fs::canonicalize(&file).map_err(Error::io(&file))?));
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
        replace_file(&dir.join("scene.ron"), scene.to_ron()?.as_bytes())?;
        write_json(&dir.join("provenance.json"), provenance)?;
        let path = dir.join("metrics.jsonl");
        let metrics = File::create_new(&path).map_err(Error::io(&path))?;
        Ok(Self { dir: dir.to_path_buf(), metrics })
    }

    /// Opens the folder of an earlier run whose checkpoint was taken after `training_step`. Metrics of later steps are
    /// dropped: those steps are taken again.
    pub fn reopen(dir: &Path, training_step: u32) -> Result<Self> {
        let path = dir.join("metrics.jsonl");
        let kept = metrics_until(&path, training_step)?;
        replace_file(&path, kept.as_bytes())?;
        let metrics = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { dir: dir.to_path_buf(), metrics })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adds a line to `metrics.jsonl`.
    pub fn append_metrics(&mut self, metrics: &StepMetrics) -> Result<()> {
        let path = self.dir.join("metrics.jsonl");
        let mut line = to_json(metrics, &path)?;
        line.push('\n');
        self.metrics.write_all(line.as_bytes()).map_err(Error::io(&path))
    }

    /// Replaces `checkpoint.safetensors`.
    pub fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.write(&self.dir.join("checkpoint.safetensors"))
    }

    /// Writes `gradients.json`.
    pub fn write_gradients(&self, gradients: &impl Serialize) -> Result<()> {
        write_json(&self.dir.join("gradients.json"), gradients)
    }

    /// Replaces `summary.json`.
    pub fn write_summary(&self, summary: &impl Serialize) -> Result<()> {
        write_json(&self.dir.join("summary.json"), summary)
    }
}

/// The plan of a run folder, with settings of its own, and the checkpoint, if a training step was taken.
///
/// # Errors
/// Bad input for a folder that is no run, or a checkpoint that is broken.
pub fn read_run(dir: &Path, settings: &[String]) -> Result<(Plan, Option<Checkpoint>)> {
    let scene_file = dir.join("scene.ron");
    if !scene_file.exists() {
        return Err(Error::file(dir, "is not a run folder: it has no scene.ron"));
    }
    let plan = Plan::read(&scene_file, settings)?;
    let checkpoint = match dir.join("checkpoint.safetensors").exists() {
        true => Some(Checkpoint::of_run(dir, &plan)?),
        false => None,
    };
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

/// The lines of a metrics file up to a training step; a last line cut off by a crash is dropped.
fn metrics_until(path: &Path, training_step: u32) -> Result<String> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut kept = String::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(Error::io(path))?;
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&line) else { break };
        if value["step"].as_u64().is_none_or(|step| step > u64::from(training_step)) {
            break;
        }
        kept.push_str(&line);
        kept.push('\n');
    }
    Ok(kept)
}

fn to_json(value: &impl Serialize, path: &Path) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))?;
    text.push('\n');
    replace_file(path, text.as_bytes())
}

/// Replaces a file: writes beside it, syncs, renames.
///
/// # Errors
/// [`Error::Io`]; the earlier file is then as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(bytes))
}

/// Writes a file beside `path`, syncs it and renames it over `path`. On an error `path` is as it was.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let partial = partial_path(path);
    let done = File::create(&partial)
        .and_then(|mut file| write(&mut file).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    done.map_err(|source| {
        // The partial file is worth nothing; on a full disk its space is worth something.
        let _ = fs::remove_file(&partial);
        Error::io(path)(source)
    })
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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
            ms: PhaseMs { stimulus: 1.0, forward: 2.0, adjoint: 3.0, pairs: 0.0, update: 4.0 },
            device_bytes: 5,
        }
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
        let mut run = RunFolder::create(&dir, &plan, &Provenance::new(&plan, None).unwrap()).unwrap();
        for step in 1..=3 {
            run.append_metrics(&metrics(step)).unwrap();
        }
        run.metrics.write_all(b"{\"step\": 3, \"los").unwrap();
        run.save_checkpoint(&checkpoint(&plan, 1)).unwrap();
        run.save_checkpoint(&checkpoint(&plan, 2)).unwrap();
        drop(run);
        let found = Checkpoint::of_run(&dir, &plan).unwrap();
        assert_eq!((found.training_step, &found.tensors), (2, &checkpoint(&plan, 2).tensors));
        let message =
            found.refuse_beyond(&self::plan(&["optimiser.training_steps=1"])).unwrap_err().to_string();
        assert!(message.contains("training_step = 2") && message.contains("beyond the 1"), "{message}");
        found.refuse_beyond(&self::plan(&["optimiser.training_steps=2"])).unwrap();
        let mut run = RunFolder::reopen(&dir, 2).unwrap();
        run.append_metrics(&metrics(3)).unwrap();
        let lines = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        let steps: Vec<_> = lines
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["step"].clone())
            .collect();
        assert_eq!(steps, [1, 2, 3]);
        assert!(!dir.join("checkpoint.safetensors.partial").exists());
    }

    #[test]
    fn a_folder_that_exists_is_refused_and_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let plan = plan(&[]);
        let provenance = Provenance::new(&plan, None).unwrap();
        let error = RunFolder::create(temporary.path(), &plan, &provenance).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--resume"), "{error}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_scene_of_a_run_can_be_run_again() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("run");
        let plan = plan(&["time.dt_ms=0.5"]);
        RunFolder::create(&dir, &plan, &Provenance::new(&plan, None).unwrap()).unwrap();
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

    #[test]
    fn a_failed_write_keeps_what_was_there() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("summary.json");
        replace_file(&path, b"before").unwrap();
        let full = replace(&path, |_| Err(std::io::Error::from(std::io::ErrorKind::StorageFull)));
        assert_eq!(full.unwrap_err().exit_code(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
    }
}

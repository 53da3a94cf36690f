//! What a run folder holds, read back.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::spikes::{self, Trial};
use crate::error::{Error, Result};
use crate::output::{Metrics, Provenance};
use crate::results::{
    Carried, CellTypeSummary, Curves, Evaluation, FanoCurve, Gradients, LikeToLikeSlope, PairErrors,
    PairTypeWeights, StepMetrics, StimulusEvaluation, Summary, TrialsShown,
};
use crate::scene::Scene;

/// A run folder. What a run has not written yet is None or empty.
pub(super) struct Run {
    pub(super) dir: PathBuf,
    /// Name of the folder; in a comparison as many of its parents' names as tell the runs apart.
    pub(super) name: String,
    pub(super) scene: Scene,
    /// `scene.ron` as it stands.
    pub(super) scene_text: String,
    pub(super) provenance: Option<Provenance>,
    /// What it took over from the run that it started from.
    pub(super) carried: Option<Carried>,
    pub(super) gradients: Option<Gradients>,
    pub(super) metrics: Vec<StepMetrics>,
    /// What is said of metrics that are lost; None where none are.
    pub(super) lost_metrics: Option<String>,
    pub(super) summary: Option<Summary>,
    pub(super) evaluation: Option<Evaluation>,
    pub(super) trial: Option<Trial>,
}

/// The last evaluation: of `simrun evaluate`, unless the run has gone on since.
#[derive(Clone, Copy)]
pub(super) struct Evaluated<'a> {
    pub(super) file: &'static str,
    pub(super) training_step: u32,
    pub(super) shown: TrialsShown,
    pub(super) train: &'a [CellTypeSummary],
    pub(super) held_out: &'a [CellTypeSummary],
    pub(super) curves: &'a Curves,
    pub(super) fano: &'a [FanoCurve],
    pub(super) pairs: &'a [PairErrors],
    pub(super) weights: &'a [PairTypeWeights],
    pub(super) like_to_like: &'a [LikeToLikeSlope],
    pub(super) stimuli: &'a [StimulusEvaluation],
}

impl Run {
    /// Reads a run folder.
    ///
    /// # Errors
    /// A folder without a scene is no run; a file that does not read is named.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let scene_file = dir.join("scene.ron");
        if !scene_file.exists() {
            return Err(Error::file(dir, "is not a run folder: it has no scene.ron"));
        }
        let summary: Option<Summary> = json(&dir.join("summary.json"))?;
        let metrics = Metrics::read(dir)?;
        let absolute = fs::canonicalize(dir).map_err(Error::io(dir))?;
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let scene = Scene::read(&scene_file)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            name,
            trial: spikes::first_trial(dir)?,
            scene,
            scene_text: fs::read_to_string(&scene_file).map_err(Error::io(&scene_file))?,
            provenance: json(&dir.join("provenance.json"))?,
            carried: json(&dir.join("start.json"))?,
            gradients: json(&dir.join("gradients.json"))?,
            lost_metrics: lost(&metrics),
            metrics: metrics.steps,
            summary,
            evaluation: json(&dir.join("evaluation.json"))?,
        })
    }

    /// The evaluation to show.
    pub(super) fn evaluated(&self) -> Option<Evaluated<'_>> {
        let of_run = self.summary.as_ref().map(|s| s.training_step);
        if let Some(e) = &self.evaluation
            && of_run.is_none_or(|step| step <= e.training_step)
        {
            return Some(Evaluated {
                file: "evaluation.json",
                training_step: e.training_step,
                shown: e.shown,
                train: &e.train.cell_types,
                held_out: &e.held_out.cell_types,
                curves: &e.held_out.curves,
                fano: &e.held_out.fano,
                pairs: &e.pairs,
                weights: &e.weights,
                like_to_like: &e.like_to_like,
                stimuli: &e.stimuli,
            });
        }
        self.summary.as_ref().map(|s| Evaluated {
            file: "summary.json",
            training_step: s.training_step,
            shown: s.shown,
            train: &s.train,
            held_out: &s.held_out,
            curves: &s.held_out_curves,
            fano: &s.held_out_fano,
            pairs: &s.pairs,
            weights: &s.weights,
            like_to_like: &[],
            stimuli: &[],
        })
    }

    /// Wall-clock time of all training steps, s.
    pub(super) fn seconds(&self) -> f64 {
        self.metrics.iter().map(|m| m.ms.total()).sum::<f64>() / 1e3
    }

    /// Most device memory, bytes.
    pub(super) fn device_bytes(&self) -> Option<u64> {
        self.metrics.iter().map(|m| m.device_bytes).max().filter(|bytes| *bytes > 0)
    }

    /// Names of the terms of the loss, in the order of the alphabet.
    pub(super) fn terms(&self) -> Vec<&str> {
        let mut terms: Vec<&str> =
            self.metrics.iter().flat_map(|m| m.losses.keys().map(String::as_str)).collect();
        terms.sort_unstable();
        terms.dedup();
        terms
    }
}

/// The text of a file; None where there is none.
pub(super) fn text(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file(file, e.to_string())),
    }
}

fn json<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    let Some(text) = text(file)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| Error::file(file, e.to_string()))
}

/// What is said of metrics that are lost.
fn lost(metrics: &Metrics) -> Option<String> {
    let lines: Vec<String> = metrics.broken_lines.iter().map(usize::to_string).collect();
    let broken =
        (!lines.is_empty()).then(|| format!("lines {} of metrics.jsonl do not read", lines.join(", ")));
    let missing = metrics.missing_steps.as_ref().map(|steps| format!("steps {steps} have no metrics"));
    let both: Vec<String> = broken.into_iter().chain(missing).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// The folders in a folder, by name.
pub(super) fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

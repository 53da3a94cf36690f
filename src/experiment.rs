//! An experiment: several models trained from the same starting networks, each with settings of its own, and evaluated alike.
//!
//! The file names a base scene, settings for all, seeds and models. Every (seed, model) is an ordinary run folder
//! `OUT/seed_S/MODEL`; `OUT/seed_S/untrained` is the start. Runs that are finished are kept and an interrupted one goes on, so a
//! killed experiment continues with `--resume OUT`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::output::{FolderLock, NewFolder, refuse_other_run, replace_file, say};
use crate::plan::Plan;
use crate::report;
use crate::results::Summary;
use crate::scene::{from_ron, to_ron};
use crate::shipped;
use crate::train::{self, Destination, Options};

mod figure;
mod results;

pub use results::{ModelErrors, Results};

/// Name of the experiment's copy in its folder.
const FILE: &str = "experiment.ron";
/// Name of the starting network among the models.
pub const UNTRAINED: &str = "untrained";
/// Settings of the command line that begin like this are the experiment's own.
const OWN_PREFIX: &str = "experiment.";

/// An experiment file, as RON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentScene {
    /// Scene that every run starts from, relative to the experiment's own file.
    pub base: PathBuf,
    /// Settings of every run, as `--set` takes them.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Seeds: one starting network each.
    pub seeds: Vec<u64>,
    /// Models to train.
    pub models: Vec<ModelScene>,
}

/// One model of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelScene {
    /// Name; letters, digits, `-` and `_`.
    pub name: String,
    /// Settings of its runs, after those of the experiment.
    #[serde(default)]
    pub settings: Vec<String>,
}

/// A checked experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    scene: ExperimentScene,
    file: PathBuf,
    runs: Vec<PlannedRun>,
}

/// One run of an experiment.
#[derive(Clone, Debug)]
struct PlannedRun {
    seed: u64,
    model: String,
    plan: Plan,
    /// Training steps; none for the start.
    training_steps: u32,
}

impl Experiment {
    /// Whether a file is an experiment and no scene: it has a field `models`. What cannot be read is no experiment; the
    /// reader of scenes says why.
    pub fn is_one(file: &Path) -> bool {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        code.any(|line| line.trim_start().starts_with("models:"))
    }

    /// Reads and checks an experiment with every scene in it. `settings` replace values of the base scene, or with the prefix
    /// `experiment.` (`experiment.seeds=[1]`) the experiment's own.
    ///
    /// # Errors
    /// Bad input names the file and the field, with the model whose settings do not fit.
    pub fn read(file: &Path, settings: &[String]) -> Result<Self> {
        let text = fs::read_to_string(file).map_err(Error::io(file))?;
        let mut scene: ExperimentScene = from_ron(file, &text)?;
        let (own, of_runs): (Vec<_>, Vec<_>) = settings.iter().partition(|s| s.starts_with(OWN_PREFIX));
        for setting in own {
            scene.seeds = seeds_of(file, &setting[OWN_PREFIX.len()..])?;
        }
        scene.settings.extend(of_runs.into_iter().cloned());
        let mut experiment = Self { file: file.to_path_buf(), runs: Vec::new(), scene };
        experiment.check_names()?;
        for seed in experiment.scene.seeds.clone() {
            experiment.runs.push(experiment.planned(seed, &ModelScene::untrained())?);
            for model in &experiment.scene.models.clone() {
                experiment.runs.push(experiment.planned(seed, model)?);
            }
        }
        Ok(experiment)
    }

    fn check_names(&self) -> Result<()> {
        let refuse =
            |field: &str, value: &str, limit: &str| Err(Error::field(&self.file, field, value, limit));
        if self.scene.seeds.is_empty() {
            return refuse("seeds", "[]", "needs at least one seed");
        }
        if self.scene.models.is_empty() {
            return refuse("models", "[]", "needs at least one model");
        }
        for (ix, model) in self.scene.models.iter().enumerate() {
            let name = model.name.as_str();
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            if name.is_empty() || !plain || name == UNTRAINED {
                return refuse(
                    "models.name",
                    name,
                    "must be of letters, digits, '-' and '_', and not 'untrained'",
                );
            }
            if self.scene.models[..ix].iter().any(|other| other.name == model.name) {
                return refuse("models.name", name, "names two models");
            }
        }
        Ok(())
    }

    fn planned(&self, seed: u64, model: &ModelScene) -> Result<PlannedRun> {
        let base = shipped::resolve(&self.file, &self.scene.base);
        let seed_setting = format!("seed={seed}");
        let settings: Vec<String> =
            self.scene.settings.iter().chain(&model.settings).chain([&seed_setting]).cloned().collect();
        let plan = Plan::read(&base, &settings).map_err(|e| {
            let field = format!("models, '{}'", model.name);
            Error::field(&self.file, field, "its scene", format!("does not pass: {e}"))
        })?;
        let training_steps = if model.name == UNTRAINED { 0 } else { plan.scene.optimiser.training_steps };
        Ok(PlannedRun { seed, model: model.name.clone(), plan, training_steps })
    }

    /// Every scene of the experiment, once a model.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.runs.iter().filter(|run| run.seed == self.scene.seeds[0]).map(|run| &run.plan)
    }

    /// One line about its size.
    pub fn size(&self) -> String {
        let steps = self.runs.iter().map(|run| run.training_steps).max().unwrap_or(0);
        format!(
            "{} models, {} seeds, up to {steps} training steps",
            self.scene.models.len(),
            self.scene.seeds.len()
        )
    }

    /// Trains and evaluates what is left to do; returns the table of results. After every run `results.json`, `results.md`
    /// and `figure.svg` in the folder hold what is there so far.
    ///
    /// # Errors
    /// Those of a run; [`Error::Interrupted`] names the experiment's folder, from which it goes on.
    pub fn run(
        &self,
        destination: Destination,
        adapter: Option<&str>,
        quiet: bool,
        stop: &AtomicBool,
    ) -> Result<String> {
        let dir = destination.dir().to_path_buf();
        let _lock = self.open(destination)?;
        let mut results = Results::default();
        for run in &self.runs {
            let folder = run.folder(&dir);
            if let Some(summary) = finished(&folder, run.training_steps)? {
                results.add(run.seed, &run.model, &summary);
                continue;
            }
            if !quiet {
                say(format_args!("seed {}, model {}: {}", run.seed, run.model, folder.display()));
            }
            let options = Options {
                training_steps: (run.training_steps == 0).then_some(0),
                adapter: adapter.map(str::to_owned),
                quiet,
                ..Options::default()
            };
            train::run(&run.plan, begin_or_continue(&folder)?, &options, stop).map_err(|e| match e {
                Error::Interrupted { step, .. } => Error::Interrupted { step, run: dir.clone() },
                other => other,
            })?;
            report::write(&folder)?;
            if let Some(summary) = finished(&folder, run.training_steps)? {
                results.add(run.seed, &run.model, &summary);
            }
            results.write(&dir)?;
        }
        results.write(&dir)?;
        Ok(results.markdown())
    }

    /// Makes the folder, or opens that of the same experiment; the right to write into it.
    fn open(&self, destination: Destination) -> Result<FolderLock> {
        match destination {
            Destination::New(folder) => {
                replace_file(&folder.path().join(FILE), to_ron(&self.scene)?.as_bytes())?;
                folder.finish()
            }
            Destination::OfFirstRank(_) => {
                Err(Error::Failed("an experiment has a folder of its own".to_owned()))
            }
            Destination::Resume(dir) => {
                let copy = dir.join(FILE);
                if !copy.exists() {
                    return Err(Error::file(
                        dir,
                        format!("is not the folder of an experiment: it has no {FILE}"),
                    ));
                }
                let earlier = fs::read_to_string(&copy).map_err(Error::io(&copy))?;
                let earlier: ExperimentScene = from_ron(&copy, &earlier)?;
                if earlier.base != self.scene.base {
                    let limit = format!(
                        "is of another experiment: {} has {}",
                        self.file.display(),
                        self.scene.base.display()
                    );
                    return Err(Error::field(&copy, "base", earlier.base.display(), limit));
                }
                let lock = FolderLock::take(&dir)?;
                // More seeds or models may be asked of the same experiment, but not other settings of the runs that are there: one table
                // would hold both.
                for run in &self.runs {
                    let folder = run.folder(&dir);
                    if folder.join("scene.ron").exists() {
                        refuse_other_run(&folder, &run.plan)?;
                    }
                }
                replace_file(&copy, to_ron(&self.scene)?.as_bytes())?;
                Ok(lock)
            }
        }
    }
}

impl PlannedRun {
    /// Its folder in that of the experiment.
    fn folder(&self, dir: &Path) -> PathBuf {
        dir.join(format!("seed_{}", self.seed)).join(&self.model)
    }
}

impl ModelScene {
    fn untrained() -> Self {
        Self { name: UNTRAINED.to_owned(), settings: Vec::new() }
    }
}

fn seeds_of(file: &Path, setting: &str) -> Result<Vec<u64>> {
    let seeds = setting.strip_prefix("seeds=").and_then(|value| ron::from_str(value).ok());
    seeds.ok_or_else(|| {
        let field = format!("{OWN_PREFIX}{setting}");
        Error::field(file, field, "", "only the seeds of an experiment can be set: experiment.seeds=[1, 2]")
    })
}

/// The summary of a run that has taken all its steps.
fn finished(folder: &Path, training_steps: u32) -> Result<Option<Summary>> {
    let file = folder.join("summary.json");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(None) };
    let summary: Summary = serde_json::from_str(&text).map_err(|e| Error::file(&file, e.to_string()))?;
    Ok((summary.training_step == training_steps).then_some(summary))
}

/// A run whose folder is there goes on, from its checkpoint or from its beginning.
fn begin_or_continue(folder: &Path) -> Result<Destination> {
    if folder.exists() && !is_remains(folder) {
        return Ok(Destination::Resume(folder.to_path_buf()));
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::io(folder))?;
    }
    Ok(Destination::New(NewFolder::begin(folder)?))
}

/// Whether a folder holds nothing that is whole: earlier versions made run folders in their place.
fn is_remains(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else { return false };
    entries.all(|entry| entry.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "partial")))
}

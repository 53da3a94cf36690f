//! The plan: a scene whose every value has been checked, with the sizes that follow from it. After it nothing is
//! validated again.

use std::path::{Path, PathBuf};

use crate::error::{Check, Error, Result, warning};
use crate::loss::targets::RECORDED_CONTRAST;
use crate::loss::{SceneFacts, TermScene, recorded_pyramidal};
use crate::scene::{
    DirectionsScene, NetworkScene, OriginScene, Scene, SonataInputScene, StartScene, StepsBetween,
};
use crate::shipped;

mod learning;
mod network;
mod sonata;
mod trials;

/// Most trials of a batch on one device: a spike carries the trials it happened in as the bits of one 32-bit word.
pub const MAX_TRIALS: u32 = 32;

/// Most trials of a batch on all ranks together: one rank has no more than [`MAX_TRIALS`].
pub const MAX_BATCH: u32 = if cfg!(feature = "mpi") { 1024 * MAX_TRIALS } else { MAX_TRIALS };

/// A checked scene and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The scene as written; every value is in its range.
    pub scene: Scene,
    /// File the scene was read from.
    pub scene_file: PathBuf,
    /// Folder of the tables; it exists.
    pub tables_dir: PathBuf,
    /// Folder of recorded rates and selectivity in place of the tables' own; it exists.
    pub recordings_dir: Option<PathBuf>,
    /// Time steps of a trial.
    pub n_steps: u32,
    /// First time step whose spikes count.
    pub analysis_start_step: u32,
    /// Time steps of grey before a batch whose state the trials start in; 0: they start at rest.
    pub n_settling_steps: u32,
    /// Trials of a batch on all ranks, evoked first, 1..=[`MAX_BATCH`].
    pub n_trials: u32,
}

impl Plan {
    /// Checks a scene that was read from `scene_file`.
    pub fn new(scene: Scene, scene_file: &Path) -> Result<Self> {
        let check = Check { file: scene_file };
        check.network(&scene)?;
        check.cells(&scene)?;
        let n_steps = check.time(&scene)?;
        check.trials(&scene)?;
        check.surrogate(&scene)?;
        scene.losses.check(&check, &facts(&scene))?;
        check.learning(&scene)?;
        check.evaluation(&scene)?;
        if let StepsBetween::Steps(k) = scene.checkpoint.steps_between {
            let (field, n_steps) = ("checkpoint.steps_between", f64::from(n_steps));
            check.within(field, f64::from(k), 1.0, n_steps, "time steps")?;
        }
        check.within(
            "checkpoint.memory_budget_mib",
            f64::from(scene.checkpoint.memory_budget_mib),
            1.0,
            1e7,
            "MiB",
        )?;
        let recordings_dir =
            scene.recordings.as_ref().map(|dir| scene_file.parent().unwrap_or(Path::new("")).join(dir));
        if let Some(missing) = recordings_dir.as_ref().filter(|dir| !dir.is_dir()) {
            let limit = format!("there is no such folder of recordings ({})", missing.display());
            return Err(Error::field(scene_file, "recordings", missing.display(), limit));
        }
        let tables_dir = shipped::resolve(scene_file, &scene.tables);
        if !shipped::is_dir(&tables_dir) {
            let limit = format!("there is no such folder of tables ({})", tables_dir.display());
            return Err(Error::field(scene_file, "tables", scene.tables.display(), limit));
        }
        check.named_in_utf_8(&tables_dir, "tables")?;
        Ok(Self {
            n_steps,
            analysis_start_step: (scene.time.analysis_start_ms / scene.time.dt_ms).round() as u32,
            n_settling_steps: match scene.trials.start {
                StartScene::Rest => 0,
                StartScene::Settled { grey_ms } => (grey_ms / scene.time.dt_ms).round() as u32,
            },
            n_trials: scene.trials.n_evoked + scene.trials.n_spontaneous,
            scene,
            scene_file: scene_file.to_path_buf(),
            tables_dir,
            recordings_dir,
        })
    }

    /// What may be other than its user thinks in a scene that can be run, a [`warning`] each.
    pub fn warnings(&self) -> Vec<String> {
        [self.shipped_targets(), self.other_contrast()].into_iter().flatten().collect()
    }

    /// That a term's targets are those of the shipped recordings, beside others.
    fn shipped_targets(&self) -> Option<String> {
        self.scene.recordings.as_ref()?;
        let term = self.scene.losses.rate_correlation.as_ref()?;
        (term.targets == recorded_pyramidal()).then(|| {
            warning(format_args!(
                "{}: losses.rate_correlation.targets are those of the shipped recordings; give those of `recordings`",
                self.scene_file.display()
            ))
        })
    }

    /// That gratings of another contrast are compared with the shipped recordings.
    fn other_contrast(&self) -> Option<String> {
        let Scene { trials, losses, .. } = &self.scene;
        let contrast = self.scene.other_contrast().filter(|_| trials.n_evoked > 0)?;
        let compares = |term: &&dyn TermScene| term.needs().network() && term.needs().v1_cell_types;
        let fields =
            losses.terms().into_iter().filter(compares).map(|term| format!("losses.{}", term.field()));
        let fields: Vec<String> = fields.collect();
        let text = format_args!(
            "{}: trials.grating.contrast is {contrast}, but {} compare with recordings at {RECORDED_CONTRAST}",
            self.scene_file.display(),
            fields.join(", ")
        );
        (!fields.is_empty()).then(|| warning(text))
    }

    /// Reads, overrides (`path=value`) and checks a scene.
    pub fn read(scene_file: &Path, settings: &[String]) -> Result<Self> {
        Self::new(Scene::read(scene_file)?.with_overrides(settings)?, scene_file)
    }
}

/// What the ranges of the loss's terms depend on.
fn facts(scene: &Scene) -> SceneFacts {
    let learn = &scene.learn;
    let learns_factors = learn.pair_scale;
    let (n_contrasts, n_directions) = turns(scene);
    SceneFacts {
        n_evoked: scene.trials.n_evoked,
        n_spontaneous: scene.trials.n_spontaneous,
        contrast: scene.trials.grating.contrast,
        has_inputs: matches!(scene.network, NetworkScene::Sonata(_)),
        n_contrasts,
        n_directions,
        is_built: matches!(scene.network, NetworkScene::V1(_)),
        has_synapses: !matches!(scene.network, NetworkScene::CellsOnly(_)),
        learns_factors,
        learns_weights: learns_factors
            || learn.recurrent_weights
            || learn.lgn_weights
            || learn.background_weights,
        has_ancestor: scene.start != OriginScene::Built,
    }
}

/// Contrasts that the gratings take in turn and, where they are not drawn, the different directions of those of the scene's contrast.
fn turns(scene: &Scene) -> (usize, Option<usize>) {
    let grating = &scene.trials.grating;
    if let NetworkScene::Sonata(sonata) = &scene.network {
        let contrast = |input: &SonataInputScene| input.contrast.unwrap_or(grating.contrast);
        let shown: Vec<(f64, f64)> =
            sonata.inputs.iter().filter_map(|input| Some((input.direction_deg?, contrast(input)))).collect();
        let own = shown.iter().filter(|(_, contrast)| *contrast == grating.contrast);
        return (n_different(shown.iter().map(|s| s.1)), Some(n_different(own.map(|s| s.0))));
    }
    let n_directions = match &grating.directions {
        DirectionsScene::Random | DirectionsScene::Stratified => None,
        DirectionsScene::Degrees(degrees) => Some(n_different(degrees.iter().copied())),
    };
    (grating.contrasts.len(), n_directions)
}

fn n_different(values: impl Iterator<Item = f64>) -> usize {
    let mut all: Vec<f64> = values.collect();
    all.sort_unstable_by(f64::total_cmp);
    all.dedup();
    all.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(settings: &[&str]) -> Result<Plan> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenes/v1_4k.ron");
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Plan::read(&file, &settings)
    }

    #[test]
    fn sizes_follow_from_the_scene() {
        let plan = plan(&["time.dt_ms=0.25", "time.duration_ms=500.5", "time.analysis_start_ms=50"]).unwrap();
        assert_eq!(plan.n_steps, 2002);
        assert_eq!(plan.analysis_start_step, 200);
        assert_eq!(plan.n_trials, 10);
    }

    #[test]
    fn every_value_out_of_range_is_refused_by_its_field() {
        let cases = [
            ("network.radius_um=-1", "network.radius_um"),
            ("network.radius_um=NaN", "network.radius_um"),
            ("network.core_radius_um=200", "network.core_radius_um"),
            ("network.background.rate_hz=2000", "network.background.rate_hz"),
            ("network.background.edges_per_neuron=101", "network.background.edges_per_neuron"),
            ("network.lgn.weight_factor=-1", "network.lgn.weight_factor"),
            ("cells.mode.dendrite_fraction=1", "cells.mode.dendrite_fraction"),
            ("cells.ports.n_exc=0", "cells.ports.n_exc"),
            ("time.dt_ms=0", "time.dt_ms"),
            ("time.dt_ms=1.5", "time.dt_ms"),
            ("time.duration_ms=500.5", "time.duration_ms"),
            ("time.analysis_start_ms=500", "time.analysis_start_ms"),
            ("trials.n_evoked=32764", "trials.n_evoked"),
            ("trials.n_evoked=4294967295", "trials.n_evoked"),
            ("trials.grating.contrast=1.1", "trials.grating.contrast"),
            ("trials.grating.contrasts=[0.8, 1.5]", "trials.grating.contrasts[1]"),
            ("trials.grating.contrasts=[0.1, 0.3]", "trials.grating.contrasts"),
            ("trials.grating.contrasts=[0.1, 0.2, 0.3, 0.4, 0.5, 0.8]", "trials.n_evoked"),
            ("losses.contrast=(weight: 1)", "trials.grating.contrasts"),
            ("losses.contrast=(weight: -1)", "losses.contrast.weight"),
            ("losses.neuron_selectivity=(weight: 1)|trials.n_evoked=1", "trials.n_evoked"),
            (
                "losses.neuron_selectivity=(weight: 1)|trials.grating.contrasts=[0.1, 0.3, 0.8]",
                "trials.n_evoked",
            ),
            (
                "losses.neuron_selectivity=(weight: 1)|trials.grating.directions=Degrees([45, 45])",
                "trials.grating.directions",
            ),
            ("losses.tuning=(weight: 1, min_rate_hz: 0)", "losses.tuning.min_rate_hz"),
            ("losses.tuning=(weight: NaN)", "losses.tuning.weight"),
            ("evaluate.contrasts=[-0.1]", "evaluate.contrasts[0]"),
            ("trials.grating.onset_ms=-1", "trials.grating.onset_ms"),
            (
                "trials.grating.onset_ms=51",
                "trials.grating.onset_ms = 51: must be from 0 to 50 ms (time.analysis_start_ms)",
            ),
            ("trials.start=Settled(grey_ms: 5001)", "trials.start.grey_ms"),
            ("trials.start=Settled(grey_ms: 0)", "trials.start.grey_ms"),
            ("trials.start=Settled(grey_ms: 0.5)", "trials.start.grey_ms"),
            ("network.calibration=\"v1/none.csv\"", "network.calibration"),
            ("trials.grating.directions=Degrees([0, 360])", "trials.grating.directions[1]"),
            ("surrogate.half_width=0", "surrogate.half_width"),
            ("losses.rates.huber_hz=0", "losses.rates.huber_hz"),
            ("losses.rates.huber_hz=None", "losses.rates.huber_hz"),
            ("losses.rates.huber_of_iqr=0.5", "losses.rates.huber_hz"),
            ("losses.rates=(weight: 1, huber_of_iqr: 0)", "losses.rates.huber_of_iqr"),
            ("losses.rates.mean_decay=1", "losses.rates.mean_decay"),
            ("losses.rates.outside_core=2", "losses.rates.outside_core"),
            ("losses.selectivity.mean_decay=-0.1", "losses.selectivity.mean_decay"),
            ("losses.selectivity.outside_core=NaN", "losses.selectivity.outside_core"),
            ("losses.rate_correlation=(weight: 1, mean_decay: 1)", "losses.rate_correlation.mean_decay"),
            (
                r#"losses.rate_correlation=(weight: 1, targets: {"L4_Exc": 2})"#,
                r#"losses.rate_correlation.targets["L4_Exc"]"#,
            ),
            ("losses.selectivity.min_rate_hz=0", "losses.selectivity.min_rate_hz"),
            ("losses.selectivity.rate_mean_decay=1", "losses.selectivity.rate_mean_decay"),
            ("losses.voltage.x_low=NaN", "losses.voltage.x_low"),
            ("losses.fano=(weight: -1)", "losses.fano.weight"),
            ("losses.fano=(weight: 1, n_groups: 33)", "losses.fano.n_groups"),
            ("losses.pairwise_correlation=(weight: 1, target: 2)", "losses.pairwise_correlation.target"),
            ("losses.electrophysiology=(weight: -1)", "losses.electrophysiology.weight"),
            ("losses.electrophysiology=(weight: NaN)", "losses.electrophysiology.weight"),
            (
                "losses.electrophysiology=(weight: 1, pairs_per_type: 1)",
                "losses.electrophysiology.pairs_per_type",
            ),
            ("losses.voltage.x_high=0", "losses.voltage.x_high"),
            ("trials.n_evoked=0", "trials.n_evoked"),
            ("optimiser.learning_rate=0", "optimiser.learning_rate"),
            ("optimiser.beta2=1", "optimiser.beta2"),
            ("optimiser.warmup_steps=501", "optimiser.warmup_steps"),
            ("optimiser.save_every_steps=0", "optimiser.save_every_steps"),
            ("optimiser.save_every_minutes=-1", "optimiser.save_every_minutes"),
            ("optimiser.save_every_minutes=NaN", "optimiser.save_every_minutes"),
            ("learn.bounds.threshold_mv=0", "learn.bounds.threshold_mv"),
            ("adjoint.recurrent_damping=1.1", "adjoint.recurrent_damping"),
            ("adjoint.membrane_damping=-0.1", "adjoint.membrane_damping"),
            ("checkpoint.steps_between=Steps(0)", "checkpoint.steps_between"),
            ("checkpoint.steps_between=Steps(501)", "checkpoint.steps_between"),
            ("evaluate.directions_deg=[]", "evaluate.directions_deg"),
            ("evaluate.n_trials=0", "evaluate.n_trials"),
            (r#"evaluate.reports=[(name: "a/b", neurons: Listed([1]), interval_ms: 1)]"#, "reports[0].name"),
            (r#"evaluate.reports=[(name: "a", neurons: Listed([]), interval_ms: 1)]"#, "reports[0].neurons"),
            (
                r#"evaluate.reports=[(name: "a", neurons: Listed([1]), interval_ms: 1.5)]"#,
                "reports[0].interval_ms",
            ),
            (r#"evaluate.reports=[(name: "a", neurons: Share(share: 2), interval_ms: 1)]"#, "neurons.share"),
        ];
        assert!(plan(&[]).is_ok());
        assert!(plan(&["trials.grating.onset_ms=50"]).is_ok());
        let contrasts = "trials.grating.contrasts=[0.8, 0.2]";
        assert!(plan(&[contrasts, "losses.contrast=(weight: 1)", "evaluate.contrasts=[0.1]"]).is_ok());
        let weaker = ["trials.grating.contrast=0.2", contrasts, "losses.contrast=(weight: 1)"];
        assert!(plan(&weaker).unwrap_err().to_string().contains("trials.grating.contrast = 0.2"));
        for (setting, field) in cases {
            let error = plan(&setting.split('|').collect::<Vec<_>>()).expect_err(setting);
            let message = error.to_string();
            assert!(message.contains(field), "{setting}: {message}");
            assert_eq!(error.exit_code(), 2, "{setting}");
        }
    }

    #[test]
    fn another_contrast_than_that_of_the_recordings_and_their_targets_are_warned_of() {
        const RECORDINGS: &str = r#"recordings="../../scenes/v1""#;
        let warnings = |settings: &[&str]| plan(settings).unwrap().warnings();
        let weaker = "trials.grating.contrast=0.2";
        let said = warnings(&[weaker]);
        assert!(
            said.len() == 1
                && said[0].starts_with("warning: ")
                && said[0].contains("contrast is 0.2, but losses.rates, losses.selectivity compare")
                && said[0].ends_with("at 0.8"),
            "{said:?}"
        );
        for settings in [
            &[][..],
            &[weaker, "trials.n_evoked=0", "losses.selectivity=None"],
            &[weaker, RECORDINGS],
            &[RECORDINGS, r#"losses.rate_correlation=(weight: 1, targets: {"L4_Exc": 0.5})"#],
        ] {
            assert_eq!(warnings(settings), Vec::<String>::new(), "{settings:?}");
        }
        let said = warnings(&[RECORDINGS, "losses.rate_correlation=(weight: 1)"]);
        assert!(
            said.len() == 1 && said[0].contains("rate_correlation.targets are those of the shipped"),
            "{said:?}"
        );
    }

    #[test]
    fn the_point_model_has_no_coupling_to_learn() {
        assert!(plan(&["cells.mode=Point", "learn.coupling_conductance=false"]).is_ok());
        let error = plan(&["cells.mode=Point", "learn.coupling_conductance=true"]).unwrap_err();
        assert!(error.to_string().contains("learn.coupling_conductance"), "{error}");
    }
}

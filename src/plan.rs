//! The plan: a scene whose every value has been checked, with the sizes that follow from it. After it nothing is
//! validated again.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::scene::{DirectionsScene, ModeScene, NetworkScene, PortsScene, Scene, StepsBetween};

/// Most trials of a batch: a spike carries the trials it happened in as the bits of one 32-bit word.
pub const MAX_TRIALS: u32 = 32;

/// A checked scene and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The scene as written; every value is in its range.
    pub scene: Scene,
    /// File the scene was read from.
    pub scene_file: PathBuf,
    /// Folder of the tables; it exists.
    pub tables_dir: PathBuf,
    /// Time steps of a trial.
    pub n_steps: u32,
    /// First time step whose spikes count.
    pub analysis_start_step: u32,
    /// Trials of a batch, evoked first, 1..=32.
    pub n_trials: u32,
    /// Time steps between two kept states, 1..=n_steps.
    pub steps_between_checkpoints: u32,
    /// Kept states of a trial.
    pub n_checkpoints: u32,
}

impl Plan {
    /// Checks a scene that was read from `scene_file`.
    pub fn new(scene: Scene, scene_file: &Path) -> Result<Self> {
        let check = Check { file: scene_file };
        check.network(&scene)?;
        check.cells(&scene)?;
        let n_steps = check.time(&scene)?;
        check.trials(&scene)?;
        check.losses(&scene)?;
        check.learning(&scene)?;
        check.evaluation(&scene)?;
        let steps_between = match scene.checkpoint.steps_between {
            StepsBetween::Auto => f64::from(n_steps).sqrt().ceil() as u32,
            StepsBetween::Steps(k) => k,
        };
        check.within(
            "checkpoint.steps_between",
            f64::from(steps_between),
            1.0,
            f64::from(n_steps),
            "time steps",
        )?;
        check.within(
            "checkpoint.memory_budget_mib",
            f64::from(scene.checkpoint.memory_budget_mib),
            1.0,
            1e7,
            "MiB",
        )?;
        let tables_dir = scene_file.parent().unwrap_or(Path::new("")).join(&scene.tables);
        if !tables_dir.is_dir() {
            let limit = format!("there is no such folder of tables ({})", tables_dir.display());
            return Err(Error::field(scene_file, "tables", scene.tables.display(), limit));
        }
        Ok(Self {
            n_steps,
            analysis_start_step: (scene.time.analysis_start_ms / scene.time.dt_ms).round() as u32,
            n_trials: scene.trials.n_evoked + scene.trials.n_spontaneous,
            steps_between_checkpoints: steps_between,
            n_checkpoints: n_steps.div_ceil(steps_between),
            scene,
            scene_file: scene_file.to_path_buf(),
            tables_dir,
        })
    }

    /// Reads, overrides (`path=value`) and checks a scene.
    pub fn read(scene_file: &Path, settings: &[String]) -> Result<Self> {
        Self::new(Scene::read(scene_file)?.with_overrides(settings)?, scene_file)
    }
}

/// Range checks whose messages name the file.
struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    /// `low <= value <= high`; a value that is not a number fails.
    fn within(&self, field: &str, value: f64, low: f64, high: f64, unit: &str) -> Result<()> {
        let inside = value >= low && value <= high;
        self.hold(inside, field, value, || {
            format!("must be from {low} to {high} {unit}").trim_end().to_owned()
        })
    }

    /// `low < value <= high`; a value that is not a number fails.
    fn above(&self, field: &str, value: f64, low: f64, high: f64, unit: &str) -> Result<()> {
        let inside = value > low && value <= high;
        let limit = || format!("must be above {low} and at most {high} {unit}").trim_end().to_owned();
        self.hold(inside, field, value, limit)
    }

    fn hold(
        &self,
        holds: bool,
        field: &str,
        value: impl ToString,
        limit: impl FnOnce() -> String,
    ) -> Result<()> {
        if holds { Ok(()) } else { Err(Error::field(self.file, field, value, limit())) }
    }

    fn network(&self, scene: &Scene) -> Result<()> {
        let v1 = match &scene.network {
            NetworkScene::CellsOnly(cells) => {
                return self.within("network.current_pa", cells.current_pa, -1e4, 1e4, "pA");
            }
            NetworkScene::V1(v1) => v1,
        };
        self.above("network.radius_um", v1.radius_um, 0.0, 850.0, "um")?;
        self.above("network.core_radius_um", v1.core_radius_um, 0.0, v1.radius_um, "um (the radius)")?;
        self.within("network.recurrent_weight_factor", v1.recurrent_weight_factor, 0.0, 1e3, "")?;
        self.within("network.lgn.weight_factor", v1.lgn.weight_factor, 0.0, 1e3, "")?;
        let background = &v1.background;
        self.within("network.background.n_units", f64::from(background.n_units), 1.0, 1e4, "units")?;
        let most_hz = 1000.0 / scene.time.dt_ms;
        let unit = "Hz (one spike a time step)";
        self.within("network.background.rate_hz", background.rate_hz, 0.0, most_hz, unit)?;
        let (edges, units) = (f64::from(background.edges_per_neuron), f64::from(background.n_units));
        self.within("network.background.edges_per_neuron", edges, 0.0, units, "(the background units)")?;
        self.within("network.background.weight_factor", background.weight_factor, 0.0, 1e3, "")
    }

    fn cells(&self, scene: &Scene) -> Result<()> {
        if let ModeScene::TwoCompartment { dendrite_fraction, coupling_ratio, e_exc_mv, e_inh_mv } =
            scene.cells.mode
        {
            let inside = dendrite_fraction > 0.0 && dendrite_fraction < 1.0;
            let limit = || "must be above 0 and below 1".to_owned();
            self.hold(inside, "cells.mode.dendrite_fraction", dendrite_fraction, limit)?;
            self.above("cells.mode.coupling_ratio", coupling_ratio, 0.0, 1e3, "leak conductances")?;
            self.within("cells.mode.e_exc_mv", e_exc_mv, -40.0, 100.0, "mV")?;
            // Unit IPSPs are defined at -55 mV: above -60 mV their driving force is lost.
            self.within("cells.mode.e_inh_mv", e_inh_mv, -120.0, -60.0, "mV")?;
        }
        if let PortsScene::Fitted { n_exc, n_inh_soma, n_inh_dendrite } = scene.cells.ports {
            self.within("cells.ports.n_exc", f64::from(n_exc), 1.0, 8.0, "ports")?;
            self.within("cells.ports.n_inh_soma", f64::from(n_inh_soma), 1.0, 4.0, "ports")?;
            self.within("cells.ports.n_inh_dendrite", f64::from(n_inh_dendrite), 1.0, 4.0, "ports")?;
        }
        Ok(())
    }

    /// Returns the number of time steps.
    fn time(&self, scene: &Scene) -> Result<u32> {
        let time = &scene.time;
        self.within("time.dt_ms", time.dt_ms, 0.01, 1.0, "ms")?;
        let longest_ms = 1e5 * time.dt_ms;
        self.within("time.duration_ms", time.duration_ms, time.dt_ms, longest_ms, "ms (1 to 100000 steps)")?;
        let n_steps = (time.duration_ms / time.dt_ms).round();
        // A length in decimal notation is a whole number of steps only up to rounding.
        let whole = (n_steps * time.dt_ms - time.duration_ms).abs() <= 1e-6 * time.dt_ms * n_steps;
        let limit = || format!("must be a whole number of time steps of {} ms", time.dt_ms);
        self.hold(whole, "time.duration_ms", time.duration_ms, limit)?;
        let counts = time.analysis_start_ms >= 0.0 && (time.analysis_start_ms / time.dt_ms).round() < n_steps;
        let limit = || format!("must be from 0 to less than the duration, {} ms", time.duration_ms);
        self.hold(counts, "time.analysis_start_ms", time.analysis_start_ms, limit)?;
        Ok(n_steps as u32)
    }

    fn trials(&self, scene: &Scene) -> Result<()> {
        let trials = &scene.trials;
        let n_trials = u64::from(trials.n_evoked) + u64::from(trials.n_spontaneous);
        let batch = format!("{} + {}", trials.n_evoked, trials.n_spontaneous);
        let limit = || format!("their sum must be from 1 to {MAX_TRIALS} trials");
        let inside = (1..=u64::from(MAX_TRIALS)).contains(&n_trials);
        self.hold(inside, "trials.n_evoked + trials.n_spontaneous", batch, limit)?;
        let grating = &trials.grating;
        if let DirectionsScene::Degrees(degrees) = &grating.directions {
            self.directions("trials.grating.directions", degrees)?;
        }
        let (frequency, most) = (grating.spatial_frequency_cpd, 1.0);
        self.above("trials.grating.spatial_frequency_cpd", frequency, 0.0, most, "cycles per degree")?;
        self.within("trials.grating.temporal_frequency_hz", grating.temporal_frequency_hz, 0.0, 60.0, "Hz")?;
        self.within("trials.grating.contrast", grating.contrast, 0.0, 1.0, "")?;
        let duration_ms = scene.time.duration_ms;
        self.within("trials.grating.onset_ms", grating.onset_ms, 0.0, duration_ms, "ms (the duration)")
    }

    fn directions(&self, field: &str, degrees: &[f64]) -> Result<()> {
        let limit = || "must name at least one direction".to_owned();
        self.hold(!degrees.is_empty(), field, "[]", limit)?;
        for (ix, direction) in degrees.iter().enumerate() {
            let inside = (0.0..360.0).contains(direction);
            let limit = || "must be from 0 to less than 360 deg".to_owned();
            self.hold(inside, &format!("{field}[{ix}]"), direction, limit)?;
        }
        Ok(())
    }

    fn losses(&self, scene: &Scene) -> Result<()> {
        self.above("surrogate.half_width", scene.surrogate.half_width, 0.0, 10.0, "times V_th - E_L")?;
        self.above("surrogate.height", scene.surrogate.height, 0.0, 100.0, "")?;
        if let Some(rates) = &scene.losses.rates {
            self.within("losses.rates.weight", rates.weight, 0.0, 1e9, "")?;
            self.above("losses.rates.huber_hz", rates.huber_hz, 0.0, 1e3, "Hz")?;
        }
        if let Some(selectivity) = &scene.losses.selectivity {
            self.within("losses.selectivity.weight", selectivity.weight, 0.0, 1e9, "")?;
            self.above("losses.selectivity.min_rate_hz", selectivity.min_rate_hz, 0.0, 1e3, "Hz")?;
            let decay = selectivity.rate_mean_decay;
            let limit = || "must be from 0 to less than 1".to_owned();
            self.hold((0.0..1.0).contains(&decay), "losses.selectivity.rate_mean_decay", decay, limit)?;
            let limit = || "the selectivity loss needs at least one evoked trial".to_owned();
            self.hold(scene.trials.n_evoked > 0, "trials.n_evoked", scene.trials.n_evoked, limit)?;
        }
        if let Some(voltage) = &scene.losses.voltage {
            self.within("losses.voltage.weight", voltage.weight, 0.0, 1e9, "")?;
            self.within("losses.voltage.x_low", voltage.x_low, -100.0, 100.0, "")?;
            self.above(
                "losses.voltage.x_high",
                voltage.x_high,
                voltage.x_low,
                100.0,
                "(x_low is the lower)",
            )?;
        }
        Ok(())
    }

    fn learning(&self, scene: &Scene) -> Result<()> {
        let (learn, optimiser) = (&scene.learn, &scene.optimiser);
        let coupled = !learn.coupling_conductance || scene.cells.mode != ModeScene::Point;
        let limit = || "the point model has no coupling conductance to learn".to_owned();
        self.hold(coupled, "learn.coupling_conductance", true, limit)?;
        let bounds = &learn.bounds;
        self.above("learn.bounds.leak_conductance_factor", bounds.leak_conductance_factor, 1.0, 10.0, "")?;
        self.above("learn.bounds.threshold_mv", bounds.threshold_mv, 0.0, 20.0, "mV")?;
        self.above("learn.bounds.after_spike_fraction", bounds.after_spike_fraction, 0.0, 10.0, "")?;
        self.above("learn.bounds.coupling_factor", bounds.coupling_factor, 1.0, 10.0, "")?;
        self.above("learn.bounds.pair_scale_factor", bounds.pair_scale_factor, 1.0, 100.0, "")?;
        self.above("optimiser.learning_rate", optimiser.learning_rate, 0.0, 1e3, "")?;
        self.above("optimiser.cell_learning_rate", optimiser.cell_learning_rate, 0.0, 1e3, "")?;
        self.above("optimiser.scale_learning_rate", optimiser.scale_learning_rate, 0.0, 1e3, "")?;
        for (field, beta) in [("optimiser.beta1", optimiser.beta1), ("optimiser.beta2", optimiser.beta2)] {
            let limit = || "must be from 0 to less than 1".to_owned();
            self.hold((0.0..1.0).contains(&beta), field, beta, limit)?;
        }
        self.above("optimiser.epsilon", optimiser.epsilon, 0.0, 1.0, "")?;
        let training = f64::from(optimiser.training_steps);
        self.within("optimiser.training_steps", training, 0.0, 1e6, "training steps")?;
        let warmup = f64::from(optimiser.warmup_steps);
        self.within("optimiser.warmup_steps", warmup, 0.0, training, "training steps")?;
        self.within("optimiser.final_fraction", optimiser.final_fraction, 0.0, 1.0, "")?;
        if let Some(clip_norm) = optimiser.clip_norm {
            self.above("optimiser.clip_norm", clip_norm, 0.0, 1e12, "")?;
        }
        let save_every = f64::from(optimiser.save_every_steps);
        self.within("optimiser.save_every_steps", save_every, 1.0, 1e6, "training steps")
    }

    fn evaluation(&self, scene: &Scene) -> Result<()> {
        self.directions("evaluate.directions_deg", &scene.evaluate.directions_deg)?;
        self.within("evaluate.n_trials", f64::from(scene.evaluate.n_trials), 1.0, 1e3, "trials a direction")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(settings: &[&str]) -> Result<Plan> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1_4k.ron");
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Plan::read(&file, &settings)
    }

    #[test]
    fn sizes_follow_from_the_scene() {
        let plan = plan(&["time.dt_ms=0.25", "time.duration_ms=500.5", "time.analysis_start_ms=50"]).unwrap();
        assert_eq!(plan.n_steps, 2002);
        assert_eq!(plan.analysis_start_step, 200);
        assert_eq!(plan.n_trials, 10);
        assert_eq!(plan.steps_between_checkpoints, 45);
        assert_eq!(plan.n_checkpoints, 45);
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
            ("trials.n_evoked=28", "trials.n_evoked"),
            ("trials.n_evoked=4294967295", "trials.n_evoked"),
            ("trials.grating.contrast=1.1", "trials.grating.contrast"),
            ("trials.grating.onset_ms=501", "trials.grating.onset_ms"),
            ("trials.grating.directions=Degrees([0, 360])", "trials.grating.directions[1]"),
            ("surrogate.half_width=0", "surrogate.half_width"),
            ("losses.rates.huber_hz=0", "losses.rates.huber_hz"),
            ("losses.selectivity.min_rate_hz=0", "losses.selectivity.min_rate_hz"),
            ("losses.selectivity.rate_mean_decay=1", "losses.selectivity.rate_mean_decay"),
            ("losses.voltage.x_low=NaN", "losses.voltage.x_low"),
            ("losses.voltage.x_high=0", "losses.voltage.x_high"),
            ("trials.n_evoked=0", "trials.n_evoked"),
            ("optimiser.learning_rate=0", "optimiser.learning_rate"),
            ("optimiser.beta2=1", "optimiser.beta2"),
            ("optimiser.warmup_steps=501", "optimiser.warmup_steps"),
            ("optimiser.save_every_steps=0", "optimiser.save_every_steps"),
            ("learn.bounds.threshold_mv=0", "learn.bounds.threshold_mv"),
            ("checkpoint.steps_between=Steps(0)", "checkpoint.steps_between"),
            ("checkpoint.steps_between=Steps(501)", "checkpoint.steps_between"),
            ("evaluate.directions_deg=[]", "evaluate.directions_deg"),
            ("evaluate.n_trials=0", "evaluate.n_trials"),
        ];
        assert!(plan(&[]).is_ok());
        for (setting, field) in cases {
            let error = plan(&[setting]).expect_err(setting);
            let message = error.to_string();
            assert!(message.contains(field), "{setting}: {message}");
            assert_eq!(error.exit_code(), 2, "{setting}");
        }
    }

    #[test]
    fn the_point_model_has_no_coupling_to_learn() {
        assert!(plan(&["cells.mode=Point", "learn.coupling_conductance=false"]).is_ok());
        let error = plan(&["cells.mode=Point", "learn.coupling_conductance=true"]).unwrap_err();
        assert!(error.to_string().contains("learn.coupling_conductance"), "{error}");
    }
}

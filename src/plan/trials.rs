//! Checks of time, trials and evaluation.

use super::{Check, MAX_BATCH};
use crate::error::Result;
use crate::loss::contrast::check_contrast;
use crate::scene::{DirectionsScene, NetworkScene, ReportNeuronsScene, ReportVariable, Scene, StartScene};

/// Longest grey before a batch, ms: many times the slowest decay of a cell.
const LONGEST_GREY_MS: f64 = 5000.0;

impl Check<'_> {
    /// Returns the number of time steps.
    pub(super) fn time(&self, scene: &Scene) -> Result<u32> {
        let time = &scene.time;
        self.within("time.dt_ms", time.dt_ms, 0.01, 1.0, "ms")?;
        let longest_ms = 1e5 * time.dt_ms;
        self.within("time.duration_ms", time.duration_ms, time.dt_ms, longest_ms, "ms (1 to 100000 steps)")?;
        self.whole_steps("time.duration_ms", time.duration_ms, time.dt_ms)?;
        let n_steps = (time.duration_ms / time.dt_ms).round();
        let counts = time.analysis_start_ms >= 0.0 && (time.analysis_start_ms / time.dt_ms).round() < n_steps;
        let limit = || format!("must be from 0 to less than the duration, {} ms", time.duration_ms);
        self.hold(counts, "time.analysis_start_ms", time.analysis_start_ms, limit)?;
        Ok(n_steps as u32)
    }

    pub(super) fn trials(&self, scene: &Scene) -> Result<()> {
        let trials = &scene.trials;
        let n_trials = u64::from(trials.n_evoked) + u64::from(trials.n_spontaneous);
        let batch = format!("{} + {}", trials.n_evoked, trials.n_spontaneous);
        let limit = || format!("their sum must be from 1 to {MAX_BATCH} trials");
        let inside = (1..=u64::from(MAX_BATCH)).contains(&n_trials);
        self.hold(inside, "trials.n_evoked + trials.n_spontaneous", batch, limit)?;
        self.start(scene)?;
        let grating = &trials.grating;
        if let DirectionsScene::Degrees(degrees) = &grating.directions {
            self.directions("trials.grating.directions", degrees)?;
        }
        let (frequency, most) = (grating.spatial_frequency_cpd, 1.0);
        self.above("trials.grating.spatial_frequency_cpd", frequency, 0.0, most, "cycles per degree")?;
        self.within("trials.grating.temporal_frequency_hz", grating.temporal_frequency_hz, 0.0, 60.0, "Hz")?;
        self.within("trials.grating.contrast", grating.contrast, 0.0, 1.0, "")?;
        self.contrasts("trials.grating.contrasts", &grating.contrasts)?;
        if !grating.contrasts.is_empty() {
            let limit = || format!("must have trials.grating.contrast, {}, among them", grating.contrast);
            let shown = format!("{:?}", grating.contrasts);
            let has = grating.contrasts.contains(&grating.contrast);
            self.hold(has, "trials.grating.contrasts", shown, limit)?;
            let limit = || "must be at least the number of contrasts, so that each step shows all".to_owned();
            let enough = trials.n_evoked as usize >= grating.contrasts.len();
            self.hold(enough, "trials.n_evoked", trials.n_evoked, limit)?;
        }
        let (field, start_ms) = ("trials.grating.onset_ms", scene.time.analysis_start_ms);
        self.within(field, grating.onset_ms, 0.0, start_ms, "ms (time.analysis_start_ms)")
    }

    fn start(&self, scene: &Scene) -> Result<()> {
        let StartScene::Settled { grey_ms } = scene.trials.start else { return Ok(()) };
        let has_screen = matches!(scene.network, NetworkScene::V1(_));
        let limit = || "needs a network that sees a screen (network: V1); start: Rest is for all".to_owned();
        self.hold(has_screen, "trials.start", "Settled", limit)?;
        let (field, dt_ms) = ("trials.start.grey_ms", scene.time.dt_ms);
        self.within(field, grey_ms, dt_ms, LONGEST_GREY_MS, "ms (from one time step on)")?;
        self.whole_steps(field, grey_ms, dt_ms)
    }

    /// Holds a time to a whole number of steps.
    fn whole_steps(&self, field: &str, time_ms: f64, dt_ms: f64) -> Result<()> {
        let n_steps = (time_ms / dt_ms).round();
        // A time in decimal notation is a whole number of steps only up to rounding.
        let whole = (n_steps * dt_ms - time_ms).abs() <= 1e-6 * dt_ms * n_steps;
        self.hold(whole, field, time_ms, || format!("must be a whole number of time steps of {dt_ms} ms"))
    }

    fn contrasts(&self, field: &str, contrasts: &[f64]) -> Result<()> {
        for (ix, contrast) in contrasts.iter().enumerate() {
            self.within(&format!("{field}[{ix}]"), *contrast, 0.0, 1.0, "")?;
        }
        Ok(())
    }

    pub(super) fn directions(&self, field: &str, degrees: &[f64]) -> Result<()> {
        let limit = || "must name at least one direction".to_owned();
        self.hold(!degrees.is_empty(), field, "[]", limit)?;
        for (ix, direction) in degrees.iter().enumerate() {
            let inside = (0.0..360.0).contains(direction);
            let limit = || "must be from 0 to less than 360 deg".to_owned();
            self.hold(inside, &format!("{field}[{ix}]"), direction, limit)?;
        }
        Ok(())
    }

    pub(super) fn evaluation(&self, scene: &Scene) -> Result<()> {
        self.directions("evaluate.directions_deg", &scene.evaluate.directions_deg)?;
        self.contrasts("evaluate.contrasts", &scene.evaluate.contrasts)?;
        if !scene.evaluate.contrasts.is_empty() {
            check_contrast(self, scene.trials.grating.contrast)?;
        }
        self.within("evaluate.n_trials", f64::from(scene.evaluate.n_trials), 1.0, 1e3, "trials a direction")?;
        (0..scene.evaluate.reports.len()).try_for_each(|ix| self.report(scene, ix))
    }

    fn report(&self, scene: &Scene, ix: usize) -> Result<()> {
        let reports = &scene.evaluate.reports;
        let (report, field) = (&reports[ix], |name: &str| format!("evaluate.reports[{ix}].{name}"));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let is_name = !report.name.is_empty() && report.name.chars().all(plain);
        let limit = || "must be letters, digits, _ and -".to_owned();
        self.hold(is_name, &field("name"), &report.name, limit)?;
        let is_new = reports[..ix].iter().all(|other| other.name != report.name);
        self.hold(is_new, &field("name"), &report.name, || "each report needs a name of its own".to_owned())?;
        let (dt_ms, duration_ms) = (scene.time.dt_ms, scene.time.duration_ms);
        self.within(&field("interval_ms"), report.interval_ms, dt_ms, duration_ms, "ms (step, duration)")?;
        self.whole_steps(&field("interval_ms"), report.interval_ms, dt_ms)?;
        let has_dendrite = scene.cells.mode.membrane().membrane().state_planes.contains(&"U_D");
        let there = report.variable == ReportVariable::SomaPotential || has_dendrite;
        let limit = || "point cells have no dendrite".to_owned();
        self.hold(there, &field("variable"), "DendritePotential", limit)?;
        match &report.neurons {
            ReportNeuronsScene::Listed(listed) => {
                let limit = || "must name at least one neuron".to_owned();
                self.hold(!listed.is_empty(), &field("neurons"), "[]", limit)
            }
            ReportNeuronsScene::Nodes(nodes) => {
                let limit = || "must name at least one node".to_owned();
                self.hold(nodes.values().any(|ids| !ids.is_empty()), &field("neurons"), "{}", limit)
            }
            ReportNeuronsScene::Share { share, .. } => {
                self.above(&field("neurons.share"), *share, 0.0, 1.0, "of the neurons")
            }
        }
    }
}

//! Images and movies shown to the network of a run: an evaluation on what it was never trained with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::schedule;
use super::session::{LearnedNetwork, Session};
use crate::error::{Error, Result};
use crate::evaluate::{BIN_MS, NeuronTrials, summarise_stimulus};
use crate::gpu::Gpu;
use crate::model::Dynamics;
use crate::network::Network;
use crate::network::lgn_units::FIELD_CENTRE_DEG;
use crate::network::tables::Tables;
use crate::plan::{MAX_TRIALS, Plan};
use crate::results::{CellTypeSummary, StimulusEvaluation};
use crate::scene::NetworkScene;
use crate::setup::{self, Built};
use crate::sim::{Probe, Recording, Settings, Simulation, SourceSpikes};
use crate::stimulus::frames::Footage;
use crate::stimulus::lgn::{LgnUnit, SCREEN_DEG};
use crate::stimulus::movie::{self, Placement, SourceRates, Timing, View};

/// Most time steps of a trial.
const MAX_STEPS: f64 = 1e5;

/// Images and movies and how they are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct StimulusOptions {
    /// Images (.png, .npy), movies (.npy) and folders of frames (.png).
    pub files: Vec<PathBuf>,
    /// Width on the screen, deg, in (0, 360]; the height follows from the pixels.
    pub size_deg: f64,
    /// Centre from the lower left corner of the screen (120 x 80 deg), deg.
    pub centre_deg: [f64; 2],
    /// Frames a second of a movie, from 0.1 to one a time step.
    pub frame_rate_hz: f64,
    /// How long an image is shown, ms, at least a time step.
    pub flash_ms: f64,
    /// Grey before the first frame, ms, >= 0.
    pub grey_before_ms: f64,
    /// Grey after the last frame, ms, >= 0.
    pub grey_after_ms: f64,
}

impl Default for StimulusOptions {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            size_deg: SCREEN_DEG[0],
            centre_deg: FIELD_CENTRE_DEG,
            frame_rate_hz: 30.0,
            flash_ms: 250.0,
            grey_before_ms: 200.0,
            grey_after_ms: 0.0,
        }
    }
}

/// One image or movie, its place in time, and what the LGN units with synapses see of it.
pub(super) struct Shown {
    footage: Footage,
    timing: Timing,
    n_steps: usize,
    /// Of the LGN units with synapses.
    views: Vec<View>,
}

impl StimulusOptions {
    /// Opens every file, before anything long is done.
    ///
    /// # Errors
    /// A network without LGN units, a value out of range, a file that cannot be shown.
    pub(super) fn open(&self, plan: &Plan) -> Result<Vec<Footage>> {
        let dt_ms = plan.scene.time.dt_ms;
        let refuse =
            |flag: &str, value: f64, limit: String| Err(Error::field("command line", flag, value, limit));
        let within =
            |flag: &str, value: f64, low: f64, high: f64, unit: &str| match value >= low && value <= high {
                true => Ok(()),
                false => refuse(flag, value, format!("must be from {low} to {high} {unit}")),
            };
        if !self.files.is_empty() && !matches!(plan.scene.network, NetworkScene::V1(_)) {
            let limit = "the network of this run has no LGN units that could see it";
            return Err(Error::field("command line", "--stimulus", self.files[0].display(), limit));
        }
        if !(self.size_deg > 0.0 && self.size_deg <= 360.0) {
            refuse("--size-deg", self.size_deg, "must be above 0 and at most 360 deg".to_owned())?;
        }
        for (k, axis) in ["x", "y"].into_iter().enumerate() {
            within(
                &format!("--centre-deg {axis}"),
                self.centre_deg[k],
                0.0,
                SCREEN_DEG[k],
                "deg (the screen)",
            )?;
        }
        within("--frame-rate-hz", self.frame_rate_hz, 0.1, 1e3 / dt_ms, "Hz (one frame a time step)")?;
        within("--flash-ms", self.flash_ms, dt_ms, MAX_STEPS * dt_ms, "ms")?;
        within("--grey-before-ms", self.grey_before_ms, 0.0, MAX_STEPS * dt_ms, "ms")?;
        within("--grey-after-ms", self.grey_after_ms, 0.0, MAX_STEPS * dt_ms, "ms")?;
        self.files.iter().map(|file| Footage::open(file)).collect()
    }

    fn timing(&self, footage: &Footage, dt_ms: f64) -> Timing {
        let frame_ms = if footage.is_movie() { 1e3 / self.frame_rate_hz } else { self.flash_ms };
        Timing { onset_ms: self.grey_before_ms, frame_ms, dt_ms }
    }

    /// Reads every frame and shows it to the LGN units of the session.
    ///
    /// # Errors
    /// A trial that is too long, a frame that cannot be shown.
    pub(super) fn show(
        &self,
        footage: Vec<Footage>,
        session: &Session,
        gpu: &Gpu,
        plan: &Plan,
    ) -> Result<Vec<Shown>> {
        let placement = Placement { width_deg: self.size_deg, centre_deg: self.centre_deg };
        let units: Vec<&LgnUnit> = session.lgn_units_with_synapses().map(|(_, unit)| unit).collect();
        let show = |footage: Footage| {
            let timing = self.timing(&footage, plan.scene.time.dt_ms);
            let n_steps = n_steps(&footage, &timing, self.grey_after_ms);
            let step_bytes = 4.0 * session.n_sources() as f64;
            let most_steps = MAX_STEPS.min((gpu.adapter().max_binding_bytes as f64 / step_bytes).floor());
            if n_steps > most_steps {
                let limit = format!(
                    "{} frames of {} ms make a trial of {n_steps} time steps; at most {most_steps} are possible on this adapter",
                    footage.n_frames, timing.frame_ms
                );
                return Err(Error::field("command line", "--stimulus", footage.path().display(), limit));
            }
            let views = movie::views(&footage, &units, &placement, SCREEN_DEG)?;
            Ok(Shown { footage, timing, n_steps: n_steps as usize, views })
        };
        footage.into_iter().map(show).collect()
    }
}

/// Time steps of a trial.
fn n_steps(footage: &Footage, timing: &Timing, grey_after_ms: f64) -> f64 {
    let shown_ms = footage.n_frames as f64 * timing.frame_ms;
    ((timing.onset_ms + shown_ms + grey_after_ms) / timing.dt_ms - 1e-6).ceil()
}

/// The network as a session learned it, to be shown images and movies. Trials are as long as the footage, so each is a simulation
/// of its own.
pub(super) struct Stage<'a> {
    plan: &'a Plan,
    gpu: &'a Arc<Gpu>,
    dynamics: Dynamics,
    /// Its weights are the learned ones.
    network: Network,
    learned: LearnedNetwork,
}

impl<'a> Stage<'a> {
    /// Takes what the session learned and gives its device memory back.
    pub(super) fn new(plan: &'a Plan, gpu: &'a Arc<Gpu>, tables: &Tables, session: Session) -> Result<Self> {
        let mut learned = session.learned()?;
        drop(session);
        let Built { mut network, dynamics, .. } = setup::build(plan, tables, &mut |_| ())?;
        network.rows.weights = std::mem::take(&mut learned.weights);
        Ok(Self { plan, gpu, dynamics, network, learned })
    }

    /// Shows each of `shown` in `n_trials` trials, beside as many grey ones. `gratings` is the evaluation with gratings.
    pub(super) fn run(
        &self,
        shown: &[Shown],
        options: &StimulusOptions,
        n_trials: u32,
        gratings: &[CellTypeSummary],
    ) -> Result<Vec<StimulusEvaluation>> {
        let gratings_hz = |name: &str| {
            let row = gratings.iter().find(|row| row.cell_type == name)?;
            row.rate_evoked_hz.as_ref().map(|c| c.mean)
        };
        let evaluate = |shown: &Shown| {
            let Shown { footage, timing, n_steps, .. } = shown;
            let dt_ms = timing.dt_ms;
            let first_counted = (timing.onset_ms / dt_ms).round() as usize;
            let window_ms = (n_steps - first_counted) as f64 * dt_ms;
            let neurons = self.trials(shown, first_counted, n_trials)?;
            let [rows, columns] = footage.size;
            Ok(StimulusEvaluation {
                file: footage.path().to_path_buf(),
                n_frames: footage.n_frames,
                frame_ms: timing.frame_ms,
                size_deg: [options.size_deg, options.size_deg * rows as f64 / columns as f64],
                onset_ms: timing.onset_ms,
                duration_ms: *n_steps as f64 * dt_ms,
                n_trials,
                bin_ms: BIN_MS,
                cell_types: summarise_stimulus(&neurons, &self.learned.core, window_ms, gratings_hz),
            })
        };
        shown.iter().map(evaluate).collect()
    }

    /// Spikes of every neuron in every trial.
    fn trials(&self, shown: &Shown, first_counted: usize, n_trials: u32) -> Result<Vec<NeuronTrials>> {
        let (seed, n_steps) = (schedule::stimulus_seed(self.plan.scene.seed), shown.n_steps);
        let rates = self.source_rates(shown);
        let mut neurons = vec![NeuronTrials::default(); self.network.neurons.len()];
        let per_batch = n_trials.min(MAX_TRIALS / 2);
        for (batch, first_trial) in (0..n_trials).step_by(per_batch as usize).enumerate() {
            let n = per_batch.min(n_trials - first_trial) as usize;
            let draws = (seed, batch as u32);
            let first_source_ix = self.network.neurons.len() as u32;
            let masks = rates.draw([n, n], n_steps, shown.timing.dt_ms, draws, first_source_ix);
            let settings = self.settings(2 * n, n_steps, first_counted);
            let sources = SourceSpikes::Replay(&masks);
            let mut simulation = Simulation::new(self.gpu, &self.network, &self.dynamics, sources, settings)?;
            simulation.set_cell_parameters(&self.learned.cell_parameters);
            let (forward, recording) = simulation.forward_recorded(seed, batch as u32, &Probe::default())?;
            for (counts, neuron) in forward.spike_counts.chunks_exact(2 * n).zip(&mut neurons) {
                neuron.shown.extend(counts[..n].iter().map(|c| f64::from(*c)));
                neuron.grey.extend(counts[n..].iter().map(|c| f64::from(*c)));
            }
            add_bins(&mut neurons, &recording, n, first_counted..n_steps, shown.timing.dt_ms);
        }
        Ok(neurons)
    }

    /// Rates of all sources that are not neurons.
    fn source_rates(&self, shown: &Shown) -> SourceRates {
        let n_sources = self.network.n_lgn + self.network.n_background;
        let mut shown_hz = vec![Vec::new(); n_sources];
        let mut grey_hz = vec![0.0; n_sources];
        if let NetworkScene::V1(v1) = &self.plan.scene.network {
            grey_hz[self.network.n_lgn..].fill(v1.background.rate_hz);
        }
        let units = &self.learned.lgn_units;
        let rates: Vec<Vec<f64>> = (units.par_iter().zip(&shown.views))
            .map(|((_, unit), view)| movie::rates_hz(unit, view, &shown.timing, shown.n_steps))
            .collect();
        for ((source_ix, unit), rates_hz) in units.iter().zip(rates) {
            grey_hz[*source_ix] = unit.grey_hz();
            shown_hz[*source_ix] = rates_hz;
        }
        SourceRates { shown_hz, grey_hz }
    }

    fn settings(&self, n_trials: usize, n_steps: usize, first_counted: usize) -> Settings {
        let of_trials = Settings::new(n_steps, n_trials).with_short_segments(&self.dynamics);
        Settings { window: first_counted..n_steps, ..of_trials }
    }
}

/// Adds the spikes of the first `n` trials of a batch in bins of [`BIN_MS`]; steps after the last whole bin are left out.
fn add_bins(
    neurons: &mut [NeuronTrials],
    recording: &Recording,
    n: usize,
    counted: std::ops::Range<usize>,
    dt_ms: f64,
) {
    let steps_per_bin = ((BIN_MS / dt_ms).round() as usize).max(1);
    let n_bins = counted.len() / steps_per_bin;
    let first_of_batch = neurons.first().map_or(0, |neuron| neuron.binned.len());
    for neuron in neurons.iter_mut() {
        neuron.binned.resize(first_of_batch + n, vec![0; n_bins]);
    }
    for spike in recording.spikes.iter().filter(|spike| (spike.trial as usize) < n) {
        let Some(step) = (spike.step as usize).checked_sub(counted.start) else { continue };
        let trial = &mut neurons[spike.neuron as usize].binned[first_of_batch + spike.trial as usize];
        if let Some(count) = trial.get_mut(step / steps_per_bin) {
            *count += 1;
        }
    }
}

/// One image or movie as text.
pub fn stimulus_text(evaluation: &StimulusEvaluation) -> String {
    let what = match evaluation.n_frames {
        1 => format!("an image for {} ms", evaluation.frame_ms),
        n => format!("{n} frames of {:.1} ms", evaluation.frame_ms),
    };
    let [width, height] = evaluation.size_deg;
    format!(
        "{} ({what}, {width:.0} x {height:.0} deg, {} trials):\n{}",
        file_name(&evaluation.file),
        evaluation.n_trials,
        crate::evaluate::stimulus_table(&evaluation.cell_types)
    )
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

//! The forward pass: segments of steps between checkpoints, in submissions of [`SLICE_STEPS`] steps.

use std::ops::Range;
use std::time::Instant;

use super::Simulation;
use super::layout::{StepUniform, UNIFORM_STRIDE};
use super::record::Recorder;
use crate::error::Result;

/// Steps of one submission: few, so that the device starts at once; many, since each submission costs the host and leaves a gap.
pub(super) const SLICE_STEPS: usize = 32;

/// What a pass draws of the sources' spikes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws {
    pub(super) seed: u64,
    pub(super) presentation: u32,
    /// Steps from the first on.
    pub(super) n_steps: usize,
}

/// What a forward pass returns.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardReport {
    /// Spikes in the analysis window, `[n_neurons][n_trials]`.
    pub spike_counts: Vec<f32>,
    /// Spikes of each group in each step, `[n_steps][n_groups][n_trials]`; empty without groups.
    pub population_counts: Vec<u32>,
    /// Wall time, ms.
    pub wall_ms: f64,
}

impl Simulation {
    /// Runs the batch from rest (or from [`Simulation::set_clamped`], or [`Simulation::settle`]) and counts the spikes of each neuron in each trial. `seed` and `presentation` choose the
    /// random numbers of LGN and background spikes: step n of presentation k draws as step `k * n_steps + n`.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the state is not finite or an integer sum overflowed.
    pub fn forward(&mut self, seed: u64, presentation: u32) -> Result<ForwardReport> {
        let reports = self.each(|share| share.run_forward(seed, presentation, None))?;
        Ok(self.join_forward(reports))
    }

    /// What the shares report, as a batch.
    pub(super) fn join_forward(&self, reports: Vec<ForwardReport>) -> ForwardReport {
        let wall_ms = reports.iter().map(|report| report.wall_ms).sum();
        let (spike_counts, population_counts) =
            reports.into_iter().map(|report| (report.spike_counts, report.population_counts)).unzip();
        ForwardReport {
            spike_counts: self.join(spike_counts),
            population_counts: self.join(population_counts),
            wall_ms,
        }
    }

    /// The same for the share's own trials.
    pub(super) fn run_forward(
        &mut self,
        seed: u64,
        presentation: u32,
        mut recorder: Option<&mut Recorder>,
    ) -> Result<ForwardReport> {
        let start = Instant::now();
        self.begin(Draws { seed, presentation, n_steps: self.settings.n_steps })?;
        self.start_state()?;
        let n_segments = self.n_segments();
        for segment in 0..n_segments {
            // The adjoint starts with the last segment: taping it here saves running it again. After a recording there is rarely one.
            let taped = recorder.as_ref().map_or(segment + 1 == n_segments, |r| r.needs_tape());
            self.run_segment(segment, taped)?;
            self.segment_on_tape = taped.then_some(segment);
            if let Some(recorder) = &mut recorder {
                recorder.read(self, self.segment_steps(segment))?;
            }
            if segment + 1 < n_segments {
                self.save_checkpoint(segment + 1)?;
            }
        }
        self.has_run = true;
        self.check_status()?;
        let spike_counts = self.device.state.read(0, self.layout.plane_words())?;
        // Read now: segments that the adjoint runs again count again.
        let n_population = self.layout.population_words(self.settings.n_steps);
        let population_counts = self.device.population.read(0, n_population)?;
        Ok(ForwardReport { spike_counts, population_counts, wall_ms: start.elapsed().as_secs_f64() * 1e3 })
    }

    /// Draws the spikes of the sources in the steps of a pass.
    pub(super) fn begin(&mut self, draws: Draws) -> Result<()> {
        self.draws = draws;
        self.write_uniforms();
        let mut commands = self.gpu.commands("start of the trials");
        commands.clear(&self.device.population);
        if let Some(sources) = &self.device.sources {
            sources.draw(&mut commands, draws.n_steps);
        }
        commands.submit()
    }

    /// Index of the uniform with which history step `j` of a segment (not the first) is spread again.
    fn history_uniform(&self, segment: usize, j: usize) -> usize {
        self.settings.n_steps + (segment - 1) * (self.layout.n_slots - 1) + j
    }

    /// The steps whose spikes may still be on their way at the start of a segment, each with its number among them.
    fn history_steps(&self, segment: usize) -> impl Iterator<Item = (usize, usize)> {
        let (start, n) = (self.segment_steps(segment).start, self.layout.n_slots - 1);
        (0..n).filter_map(move |j| Some((j, (start + j).checked_sub(n)?)))
    }

    pub(super) fn write_uniforms(&self) {
        let s = &self.settings;
        let Draws { seed, presentation, n_steps: n_drawn } = self.draws;
        let mean = (self.layout.n_neurons * s.n_steps * s.of_batch.n_all) as f64;
        let uniform = |step: usize, first_arrival_step: usize| StepUniform {
            step: step as u32,
            slot: (step % self.layout.n_slots) as u32,
            first_arrival_step: first_arrival_step as u32,
            spike_step: presentation.wrapping_mul(s.n_steps as u32).wrapping_add(step as u32),
            seed_low: seed as u32,
            seed_high: (seed >> 32) as u32,
            in_window: f32::from(u8::from(s.window.contains(&step))),
            current_gate: f32::from(u8::from(s.current.as_ref().is_some_and(|c| c.contains(&step)))),
            arrival_scale: self.arrival_scale as f32,
            arrival_unit: (1.0 / self.arrival_scale) as f32,
            voltage_weight: (self.voltage_factor * s.voltage.weight / mean) as f32,
            x_low: s.voltage.x_low as f32,
            x_high: s.voltage.x_high as f32,
            n_drawn: n_drawn as u32,
            recurrent_damping: self.dynamics.damping.recurrent as f32,
            membrane_damping: self.dynamics.damping.membrane as f32,
        };
        let mut uniforms: Vec<StepUniform> = (0..s.n_steps).map(|step| uniform(step, 0)).collect();
        for segment in 1..self.n_segments() {
            let start = self.segment_steps(segment).start;
            // Steps before the first are never spread.
            let n_missing = (self.layout.n_slots - 1).saturating_sub(start);
            uniforms.resize(uniforms.len() + n_missing, StepUniform::default());
            uniforms.extend(self.history_steps(segment).map(|(_, step)| uniform(step, start)));
        }
        let mut bytes = vec![0_u8; uniforms.len() * UNIFORM_STRIDE];
        for (slot, uniform) in bytes.chunks_exact_mut(UNIFORM_STRIDE).zip(&uniforms) {
            slot[..size_of::<StepUniform>()].copy_from_slice(bytemuck::bytes_of(uniform));
        }
        self.device.uniform.write(0, &bytes);
    }

    /// Brings state and arrivals to the start of the trials: to the state that was settled, where one was.
    pub(super) fn start_state(&self) -> Result<()> {
        self.rest_state();
        let Some(settled) = &self.device.settled else { return Ok(()) };
        let mut commands = self.gpu.commands("settled start");
        commands.copy(&self.device.state, 0, settled, 0, self.layout.state_words());
        commands.submit()
    }

    /// Brings the neurons to rest, or to [`Simulation::set_clamped`], with nothing on its way.
    pub(super) fn rest_state(&self) {
        let device = &self.device;
        device.state.clear();
        device.arrivals.clear();
        if let Some(plane) = self.layout.state_plane("CURRENT") {
            device.state.write(plane, &device.current_pa);
        }
        for (name, start_mv) in ["U_S", "U_D"].into_iter().zip(&device.start_mv) {
            if let Some(plane) = self.layout.state_plane(name) {
                device.state.write(plane, start_mv);
            }
        }
    }

    /// Keeps the state at the start of a segment (not the first) and the spikes that are still on their way.
    fn save_checkpoint(&self, segment: usize) -> Result<()> {
        let (device, words) = (&self.device, self.layout.spikes_words());
        let checkpoint = &device.checkpoints[segment - 1];
        let mut commands = self.gpu.commands("checkpoint");
        commands.copy(&checkpoint.state, 0, &device.state, 0, self.layout.state_words());
        let before = self.segment_steps(segment - 1);
        for (j, step) in self.history_steps(segment) {
            let slot = &device.slots[step - before.start];
            commands.copy(&checkpoint.spikes, j * words, &slot.spikes, 0, words);
        }
        commands.submit()
    }

    /// Brings state and arrivals ring back to the start of a segment.
    pub(super) fn restore_checkpoint(&self, segment: usize) -> Result<()> {
        if segment == 0 {
            return self.start_state();
        }
        let (device, words) = (&self.device, self.layout.spikes_words());
        let checkpoint = &device.checkpoints[segment - 1];
        let mut commands = self.gpu.commands("rebuild the arrivals ring");
        commands.copy(&device.state, 0, &checkpoint.state, 0, self.layout.state_words());
        commands.clear(&device.arrivals);
        for (j, _) in self.history_steps(segment) {
            commands.copy(&device.history[j].0, 0, &checkpoint.spikes, j * words, words);
        }
        commands.pass(|pass| {
            for (j, _) in self.history_steps(segment) {
                let offset = (self.history_uniform(segment, j) * UNIFORM_STRIDE) as u32;
                for (group, shard) in device.history[j].1.iter().zip(&device.edges.shards) {
                    device.kernels.spread.dispatch(pass, group, offset, shard.chunk_workgroups);
                }
            }
        });
        commands.submit()
    }

    /// Runs the steps of a segment; with `taped` each step leaves its tape in its slot.
    pub(super) fn run_segment(&self, segment: usize, taped: bool) -> Result<()> {
        self.run_steps(self.segment_steps(segment), taped)
    }

    /// Runs the first steps of a segment, or all.
    pub(super) fn run_steps(&self, steps: Range<usize>, taped: bool) -> Result<()> {
        let device = &self.device;
        let neuron = if taped { &device.kernels.neuron_taped } else { &device.kernels.neuron };
        let steps: Vec<usize> = steps.collect();
        for (steps, slots) in steps.chunks(SLICE_STEPS).zip(device.slots.chunks(SLICE_STEPS)) {
            let mut commands = self.gpu.commands("forward");
            slots[..steps.len()].iter().for_each(|slot| commands.clear(&slot.spikes));
            commands.pass(|pass| {
                // First of all steps: these dispatches write different buffers and need not wait for each other.
                if let Some(sources) = &device.sources {
                    steps.iter().for_each(|step| sources.record(pass, *step, (step * UNIFORM_STRIDE) as u32));
                }
                for (step, slot) in steps.iter().zip(slots) {
                    let offset = (step * UNIFORM_STRIDE) as u32;
                    neuron.dispatch(pass, &slot.neuron, offset, device.neuron_workgroups);
                    for (group, shard) in slot.spread.iter().zip(&device.edges.shards) {
                        device.kernels.spread.dispatch(pass, group, offset, shard.chunk_workgroups);
                    }
                }
            });
            commands.submit()?;
        }
        Ok(())
    }
}

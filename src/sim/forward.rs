//! The forward pass: segments of steps between checkpoints, one submission each.

use std::time::Instant;

use super::Simulation;
use super::layout::{StepUniform, UNIFORM_STRIDE};
use super::record::Recorder;
use crate::error::Result;

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
    /// Runs the batch from rest (or from [`Simulation::set_held`]) and counts the spikes of each neuron in each trial. `seed` and `presentation` choose the
    /// random numbers of LGN and background spikes: step n of presentation k draws as step `k * n_steps + n`.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the state is not finite or an integer sum overflowed.
    pub fn forward(&mut self, seed: u64, presentation: u32) -> Result<ForwardReport> {
        self.run_forward(seed, presentation, None)
    }

    pub(super) fn run_forward(
        &mut self,
        seed: u64,
        presentation: u32,
        mut recorder: Option<&mut Recorder>,
    ) -> Result<ForwardReport> {
        let start = Instant::now();
        self.draws = (seed, presentation);
        self.write_uniforms();
        self.device.state.clear();
        self.device.arrivals.clear();
        self.device.population.clear();
        if let Some(sources) = &self.device.sources {
            sources.start();
        }
        if let Some(plane) = self.layout.state_plane("CURRENT") {
            self.device.state.write(plane, &self.device.current_pa);
        }
        for (name, start_mv) in ["U_S", "U_D"].into_iter().zip(&self.device.start_mv) {
            if let Some(plane) = self.layout.state_plane(name) {
                self.device.state.write(plane, start_mv);
            }
        }
        let n_segments = self.device.checkpoints.len();
        for segment in 0..n_segments {
            self.save_checkpoint(segment);
            // The adjoint starts with the last segment: taping it here saves its recomputation.
            let recorded_tape = recorder.as_ref().is_some_and(|r| r.needs_tape());
            self.run_segment(segment, recorded_tape || segment + 1 == n_segments)?;
            if let Some(recorder) = &mut recorder {
                recorder.read(self, self.segment_steps(segment))?;
            }
        }
        self.segment_on_tape = Some(n_segments - 1);
        self.check_status()?;
        let spike_counts = self.device.state.read(0, self.layout.plane_words())?;
        // Read now: segments that the adjoint runs again count again.
        let n_population = self.layout.population_words(self.settings.n_steps);
        let population_counts = self.device.population.read(0, n_population)?;
        Ok(ForwardReport { spike_counts, population_counts, wall_ms: start.elapsed().as_secs_f64() * 1e3 })
    }

    /// Steps of a segment.
    pub(super) fn segment_steps(&self, segment: usize) -> std::ops::Range<usize> {
        let k = self.settings.steps_between_checkpoints;
        segment * k..((segment + 1) * k).min(self.settings.n_steps)
    }

    /// Byte offset of the uniform with which history step `j` of a segment is spread again.
    fn history_uniform(&self, segment: usize, j: usize) -> usize {
        self.settings.n_steps + segment * (self.layout.n_slots - 1) + j
    }

    pub(super) fn write_uniforms(&self) {
        let s = &self.settings;
        let (seed, presentation) = self.draws;
        let mean = (self.layout.n_neurons * s.n_steps * s.n_trials) as f64;
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
            time_ms: (step as f64 * self.dynamics.dt_ms) as f32,
            ..StepUniform::default()
        };
        let mut uniforms: Vec<StepUniform> = (0..s.n_steps).map(|step| uniform(step, 0)).collect();
        let n_history = self.layout.n_slots - 1;
        for segment in 0..self.device.checkpoints.len() {
            let start = self.segment_steps(segment).start;
            // The first segment has no history; its entries are never used.
            uniforms.extend((0..n_history).map(|j| uniform((start + j).saturating_sub(n_history), start)));
        }
        let mut bytes = vec![0_u8; uniforms.len() * UNIFORM_STRIDE];
        for (slot, uniform) in bytes.chunks_exact_mut(UNIFORM_STRIDE).zip(&uniforms) {
            slot[..size_of::<StepUniform>()].copy_from_slice(bytemuck::bytes_of(uniform));
        }
        self.device.uniform.write(0, &bytes);
    }

    /// Keeps the state at the start of a segment and the spikes that are still on their way.
    fn save_checkpoint(&self, segment: usize) {
        let checkpoint = &self.device.checkpoints[segment];
        checkpoint.state.copy_from(0, &self.device.state, 0, self.layout.state_words());
        if let Some(sources) = &self.device.sources {
            sources.save_checkpoint(segment);
        }
        if let Some(spikes) = &checkpoint.spikes {
            // The segment before was a full one: its last steps lie in the last slots.
            let n_history = self.device.history.len();
            let first = self.device.slots.len() - n_history;
            let words = self.layout.spikes_words();
            for j in 0..n_history {
                spikes.copy_from(j * words, &self.device.slots[first + j].spikes, 0, words);
            }
        }
    }

    /// Brings state and arrivals ring back to the start of a segment.
    pub(super) fn restore_checkpoint(&self, segment: usize) -> Result<()> {
        let device = &self.device;
        let checkpoint = &device.checkpoints[segment];
        device.state.copy_from(0, &checkpoint.state, 0, self.layout.state_words());
        if let Some(sources) = &device.sources {
            sources.restore_checkpoint(segment);
        }
        device.arrivals.clear();
        let Some(spikes) = &checkpoint.spikes else { return Ok(()) };
        let words = self.layout.spikes_words();
        for (j, (history, _)) in device.history.iter().enumerate() {
            history.copy_from(0, spikes, j * words, words);
        }
        self.gpu.submit("rebuild the arrivals ring", |pass| {
            for (j, (_, groups)) in device.history.iter().enumerate() {
                let offset = (self.history_uniform(segment, j) * UNIFORM_STRIDE) as u32;
                for (group, shard) in groups.iter().zip(&device.edges.shards) {
                    device.kernels.spread.dispatch(pass, group, offset, shard.chunk_workgroups);
                }
            }
        })
    }

    /// Runs the steps of a segment; with `taped` each step leaves its tape in its slot.
    pub(super) fn run_segment(&self, segment: usize, taped: bool) -> Result<()> {
        let device = &self.device;
        let steps = self.segment_steps(segment);
        for slot in &device.slots[..steps.len()] {
            slot.spikes.clear();
        }
        let neuron = if taped { &device.kernels.neuron_taped } else { &device.kernels.neuron };
        self.gpu.submit("forward", |pass| {
            for (slot_ix, step) in steps.enumerate() {
                let slot = &device.slots[slot_ix];
                let offset = (step * UNIFORM_STRIDE) as u32;
                if let Some(sources) = &device.sources {
                    sources.record(pass, slot_ix, offset);
                }
                neuron.dispatch(pass, &slot.neuron, offset, device.neuron_workgroups);
                for (group, shard) in slot.spread.iter().zip(&device.edges.shards) {
                    device.kernels.spread.dispatch(pass, group, offset, shard.chunk_workgroups);
                }
            }
        })
    }
}

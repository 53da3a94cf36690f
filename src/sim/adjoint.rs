//! The adjoint pass: segments from the last to the first, each run again onto the tape and walked backwards.

use std::time::Instant;

use super::Simulation;
use super::layout::UNIFORM_STRIDE;
use crate::error::{Error, Result};
use crate::model::cell::N_CELL_PARAMETERS;

/// What an adjoint pass returns; the gradients of the weights stay on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct AdjointReport {
    /// Voltage penalty, times its weight.
    pub voltage_loss: f64,
    /// Gradient of the learned offsets of each cell model (zeros where they are not learned).
    pub cell_gradient: Vec<[f64; N_CELL_PARAMETERS]>,
    /// Wall time, ms.
    pub wall_ms: f64,
}

impl Simulation {
    /// Walks the last forward pass backwards. `seeds` is the derivative of the loss by each spike count,
    /// `[n_neurons][n_trials]`.
    ///
    /// # Errors
    /// [`Error::Failed`] without a forward pass before it, [`Error::Kernel`] if an adjoint is not finite.
    pub fn adjoint(&mut self, seeds: &[f32]) -> Result<AdjointReport> {
        if !std::mem::take(&mut self.last_segment_on_tape) {
            return Err(Error::Failed("an adjoint pass needs a forward pass before it".to_owned()));
        }
        let start = Instant::now();
        self.clear_adjoint(seeds);
        let n_segments = self.device.checkpoints.len();
        for segment in (0..n_segments).rev() {
            if segment + 1 < n_segments {
                self.restore_checkpoint(segment)?;
                self.run_segment(segment, true)?;
            }
            self.walk_back(segment)?;
        }
        self.check_status()?;
        self.report(start)
    }

    /// The adjoint after the last step: nothing but the seeds.
    pub(super) fn clear_adjoint(&self, seeds: &[f32]) {
        let device = &self.device;
        device.adj_state.clear();
        device.adj_arrivals.clear();
        device.adj_spike.clear();
        device.adj_spike.write(self.layout.plane_words(), seeds);
        for shard in &device.shards {
            if let Some(grad) = &shard.grad {
                grad.clear();
            }
        }
    }

    /// Walks a taped segment backwards.
    fn walk_back(&self, segment: usize) -> Result<()> {
        let device = &self.device;
        let kernels = &device.kernels;
        let neuron_workgroups = kernels.neuron_adjoint.workgroups_for(self.layout.n_neurons);
        let steps = self.segment_steps(segment);
        self.gpu.submit("adjoint", |pass| {
            for (slot_ix, step) in steps.enumerate().rev() {
                let slot = &device.slots[slot_ix];
                let offset = (step * UNIFORM_STRIDE) as u32;
                for (group, shard) in slot.gather.iter().zip(&device.shards) {
                    if let Some(group) = group {
                        kernels.gather.dispatch(pass, group, offset, shard.n_workgroups);
                    }
                }
                for (group, shard) in slot.weight_gradient.iter().zip(&device.shards) {
                    if let Some(group) = group {
                        kernels.weight_gradient.dispatch(pass, group, offset, shard.n_workgroups);
                    }
                }
                kernels.neuron_adjoint.dispatch(pass, &slot.neuron_adjoint, offset, neuron_workgroups);
            }
        })
    }

    /// Adds up, in f64 and in a fixed order, what each neuron and trial has of the penalty and the cell gradients.
    fn report(&self, start: Instant) -> Result<AdjointReport> {
        let plane = self.layout.plane_words();
        let losses: Vec<f32> = self.device.adj_state.read(self.layout.voltage_loss_plane(), plane)?;
        let mut cell_gradient = vec![[0.0; N_CELL_PARAMETERS]; self.cell_models.len()];
        if self.settings.learn_cells {
            let planes: Vec<f32> =
                self.device.adj_state.read(self.layout.gradient_planes(), N_CELL_PARAMETERS * plane)?;
            for (parameter, values) in planes.chunks_exact(plane).enumerate() {
                for (model, trials) in
                    self.neuron_model_ix.iter().zip(values.chunks_exact(self.layout.n_trials))
                {
                    cell_gradient[usize::from(*model)][parameter] +=
                        trials.iter().map(|x| f64::from(*x)).sum::<f64>();
                }
            }
        }
        Ok(AdjointReport {
            voltage_loss: losses.iter().map(|x| f64::from(*x)).sum(),
            cell_gradient,
            wall_ms: start.elapsed().as_secs_f64() * 1e3,
        })
    }

    /// Gradient of every edge's weight, `[n_edges]`; zeros where weights are not learned.
    pub fn weight_gradient(&self) -> Result<Vec<f32>> {
        let mut gradient = Vec::new();
        for shard in &self.device.shards {
            match &shard.grad {
                Some(grad) => gradient.extend(grad.read::<f32>(0, shard.n_edges)?),
                None => gradient.resize(gradient.len() + shard.n_edges, 0.0),
            }
        }
        Ok(gradient)
    }
}

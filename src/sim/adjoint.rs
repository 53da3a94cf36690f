//! The adjoint pass: segments from the last to the first, each run again onto the tape and walked backwards.

use std::time::Instant;

use super::Simulation;
use super::forward::SLICE_STEPS;
use super::layout::UNIFORM_STRIDE;
use crate::error::{Error, Result};
use crate::model::membrane::N_CELL_PARAMETERS;

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

/// A loss that is linear in one somatic potential of each neuron and trial.
#[derive(Clone, Debug, PartialEq)]
pub struct PotentialSeeds {
    /// The step after which the loss looks at the potential, `[n_neurons][n_trials]`.
    pub steps: Vec<u32>,
    /// The derivative of the loss by that potential, `[n_neurons][n_trials]` 1/mV.
    pub values: Vec<f32>,
}

/// What an adjoint pass from potentials returns.
#[derive(Clone, Debug, PartialEq)]
pub struct PotentialAdjoint {
    /// As of any adjoint pass.
    pub report: AdjointReport,
    /// Derivative of the loss by the injected current, `[n_neurons][n_trials]` 1/pA.
    pub current_per_pa: Vec<f32>,
    /// Derivative of the loss by the dendritic potential at the start, `[n_neurons][n_trials]` 1/mV; zeros in point mode.
    pub start_u_d_per_mv: Vec<f32>,
}

/// What the shares report, as a batch.
fn sum_of(reports: Vec<AdjointReport>) -> AdjointReport {
    let add = |mut sum: AdjointReport, other: AdjointReport| {
        sum.voltage_loss += other.voltage_loss;
        let gradients = sum.cell_gradient.iter_mut().flatten();
        gradients.zip(other.cell_gradient.iter().flatten()).for_each(|(sum, own)| *sum += own);
        AdjointReport { wall_ms: sum.wall_ms + other.wall_ms, ..sum }
    };
    let nothing = AdjointReport { voltage_loss: 0.0, cell_gradient: Vec::new(), wall_ms: 0.0 };
    reports.into_iter().reduce(add).unwrap_or(nothing)
}

impl Simulation {
    /// Walks the last forward pass backwards. `seeds` is the derivative of the loss by each spike count,
    /// `[n_neurons][n_trials]`. It may be called several times after one forward pass, with different seeds.
    ///
    /// # Errors
    /// [`Error::Failed`] without a forward pass before it, [`Error::Kernel`] if an adjoint is not finite.
    pub fn adjoint(&mut self, seeds: &[f32]) -> Result<AdjointReport> {
        self.adjoint_of_groups(seeds, &[])
    }

    /// The same with the derivative of the loss by each group's spikes in each step, `[n_steps][n_groups][n_trials]` (empty for none).
    ///
    /// # Errors
    /// Those of [`Simulation::adjoint`]; [`Error::Failed`] for another shape.
    pub fn adjoint_of_groups(&mut self, seeds: &[f32], population: &[f32]) -> Result<AdjointReport> {
        self.adjoint_of_last(self.settings.n_steps, seeds, population)
    }

    /// The same over the last `n_steps` steps alone: what happened before them is taken as given, and so is the loss by it.
    ///
    /// # Errors
    /// Those of [`Simulation::adjoint_of_groups`].
    pub fn adjoint_of_last(
        &mut self,
        n_steps: usize,
        seeds: &[f32],
        population: &[f32],
    ) -> Result<AdjointReport> {
        let expected = self.settings.n_steps * self.layout.n_groups * self.settings.n_trials;
        if !population.is_empty() && population.len() != expected {
            let reason = format!("{} seeds of groups, the simulation has {expected}", population.len());
            return Err(Error::Failed(reason));
        }
        self.clear_weight_gradient();
        let reports = self.each(|share| {
            let start = Instant::now();
            share.clear_adjoint(&share.own(seeds))?;
            share.device.seeds.write(share.layout.seeds_population(), &share.own(population));
            share.walk_back_to(share.settings.n_steps.saturating_sub(n_steps))?;
            share.report(start)
        })?;
        Ok(sum_of(reports))
    }

    /// Walks the last forward pass backwards from a loss that looks at one potential of each neuron and trial (A11).
    ///
    /// # Errors
    /// Those of [`Simulation::adjoint`], and [`Error::Failed`] for a simulation made without potential seeds or other shapes.
    pub fn adjoint_of_potentials(&mut self, seeds: &PotentialSeeds) -> Result<PotentialAdjoint> {
        let shapes_fit = [seeds.steps.len(), seeds.values.len()] == [self.batch_words(); 2];
        if !shapes_fit {
            return Err(Error::Failed("this simulation takes no potential seeds of that shape".to_owned()));
        }
        self.clear_weight_gradient();
        let adjoints = self.each(|share| {
            let (steps, values) = (share.own(&seeds.steps), share.own(&seeds.values));
            share.adjoint_of_own_potentials(&PotentialSeeds { steps, values })
        })?;
        let (mut reports, mut currents, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for adjoint in adjoints {
            reports.push(adjoint.report);
            currents.push(adjoint.current_per_pa);
            starts.push(adjoint.start_u_d_per_mv);
        }
        Ok(PotentialAdjoint {
            report: sum_of(reports),
            current_per_pa: self.join(currents),
            start_u_d_per_mv: self.join(starts),
        })
    }

    /// The same for the share's own trials.
    fn adjoint_of_own_potentials(&mut self, seeds: &PotentialSeeds) -> Result<PotentialAdjoint> {
        let layout = &self.layout;
        let plane = layout.plane_words();
        let planes = (
            layout.adjoint_plane("CURRENT"),
            layout.seeds_plane("POTENTIAL_STEP"),
            layout.seeds_plane("POTENTIAL"),
        );
        let (Some(current), Some(at_step), Some(by_potential)) = planes else {
            return Err(Error::Failed("this simulation takes no potential seeds".to_owned()));
        };
        let start = Instant::now();
        self.clear_adjoint(&[])?;
        let steps: Vec<f32> = seeds.steps.iter().map(|step| *step as f32).collect();
        self.device.seeds.write(at_step, &steps);
        self.device.seeds.write(by_potential, &seeds.values);
        self.walk_back_to(0)?;
        let u_d = match self.layout.adjoint_plane("U_D") {
            Some(at) => self.device.adj_state.read(at, plane)?,
            None => vec![0.0; plane],
        };
        let current_per_pa = self.device.adj_state.read(current, plane)?;
        Ok(PotentialAdjoint { report: self.report(start)?, current_per_pa, start_u_d_per_mv: u_d })
    }

    /// Walks the segments back, the last one first, down to a step.
    fn walk_back_to(&mut self, first_step: usize) -> Result<()> {
        if !self.has_run {
            return Err(Error::Failed("an adjoint pass needs a forward pass before it".to_owned()));
        }
        for segment in (0..self.n_segments()).rev() {
            if self.segment_steps(segment).end <= first_step {
                break;
            }
            if self.segment_on_tape != Some(segment) {
                self.restore_checkpoint(segment)?;
                self.run_segment(segment, true)?;
                self.segment_on_tape = Some(segment);
            }
            self.walk_back(segment, first_step)?;
        }
        self.check_status()
    }

    /// The adjoint after the last step: nothing but the seeds. The gradients of the weights, which all shares add to, stay.
    pub(super) fn clear_adjoint(&self, seeds: &[f32]) -> Result<()> {
        let device = &self.device;
        let mut commands = self.gpu.commands("start of the adjoint");
        for buffer in [&device.adj_state, &device.adj_arrivals, &device.adj_spike, &device.seeds] {
            commands.clear(buffer);
        }
        commands.submit()?;
        device.seeds.write(0, seeds);
        Ok(())
    }

    /// Walks a taped segment backwards, down to a step.
    fn walk_back(&self, segment: usize, first_step: usize) -> Result<()> {
        let device = &self.device;
        let kernels = &device.kernels;
        let steps: Vec<usize> = self.segment_steps(segment).collect();
        for (steps, slots) in steps.chunks(SLICE_STEPS).zip(device.slots.chunks(SLICE_STEPS)).rev() {
            self.gpu.submit("adjoint", |pass| {
                for (step, slot) in steps.iter().zip(slots).rev().take_while(|(step, _)| **step >= first_step)
                {
                    let offset = (step * UNIFORM_STRIDE) as u32;
                    for (group, n_workgroups) in &slot.gather {
                        kernels.gather.dispatch(pass, group, offset, *n_workgroups);
                    }
                    for (group, n_workgroups) in &slot.weight_gradient {
                        kernels.weight_gradient.dispatch(pass, group, offset, *n_workgroups);
                    }
                    kernels.neuron_adjoint.dispatch(
                        pass,
                        &slot.neuron_adjoint,
                        offset,
                        device.neuron_workgroups,
                    );
                }
            })?;
        }
        Ok(())
    }

    /// Adds up, in f64 and in a fixed order, what each neuron has of the penalty and the cell gradients.
    fn report(&self, start: Instant) -> Result<AdjointReport> {
        let n_neurons = self.layout.n_neurons;
        let n_sums = if self.settings.learn_cells { 1 + N_CELL_PARAMETERS } else { 1 };
        let sums: Vec<f32> =
            self.device.adj_state.read(self.layout.adjoint_sums_start(), n_sums * n_neurons)?;
        let (losses, gradients) = sums.split_at(n_neurons);
        let mut cell_gradient = vec![[0.0; N_CELL_PARAMETERS]; self.cell_models.len()];
        for (parameter, of_neurons) in gradients.chunks_exact(n_neurons).enumerate() {
            for (model, gradient) in self.neuron_model_ix.iter().zip(of_neurons) {
                cell_gradient[usize::from(*model)][parameter] += f64::from(*gradient);
            }
        }
        Ok(AdjointReport {
            voltage_loss: losses.iter().map(|x| f64::from(*x)).sum(),
            cell_gradient,
            wall_ms: start.elapsed().as_secs_f64() * 1e3,
        })
    }
}

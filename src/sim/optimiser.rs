//! The optimiser: Adam on the device for the weights, on the host for cell parameters and pair factors.

mod keep;
mod scales;
mod structure;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::edges::RowSet;
use super::layout::{Layout, UNIFORM_STRIDE, UpdateUniform};
use super::profile::{KernelTime, Timed};
use super::rows::Grid;
use super::shaders::assemble;
use super::{AdjointReport, LearnWeights, Simulation};
use crate::error::{Error, Result};
use crate::gpu::{BindGroup, Buffer, Kernel, PassRecord};
use crate::model::adam::AdamRule;
use crate::model::membrane::{LEARNABLE, N_CELL_PARAMETERS};

/// Update rule of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightRule {
    /// `w <- max(0, w - step)`.
    Adam,
    /// `w <- w exp(-step)`.
    ExponentiatedAdam,
}

/// What the optimiser is told.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimiserSettings {
    /// Update rule of the weights.
    pub weight_rule: WeightRule,
    /// Decays and epsilon.
    pub adam: AdamRule,
    /// Learning rate of the weights.
    pub learning_rate: f64,
    /// Learning rate of the cell parameters, in their log or offset form.
    pub cell_learning_rate: f64,
    /// Learning rate of the logarithms of the factors of pair types and of source and target types.
    pub scale_learning_rate: f64,
    /// Which weights move; others that have a gradient only follow their pair factor.
    pub learn_weights: LearnWeights,
    /// Limit on the norm of the weights' gradient.
    pub clip_norm: Option<f64>,
    /// Which cell parameters are learned, in the order of `model::membrane::LEARNABLE`.
    pub learn_cells: [bool; N_CELL_PARAMETERS],
    /// How far each cell parameter may go from its measured value, `[n_models]`, >= 0.
    pub cell_bounds: Vec<[f64; N_CELL_PARAMETERS]>,
    /// Which factors are learned.
    pub learn_scales: bool,
    /// How far the logarithm of a pair type's whole factor may go from 0.
    pub log_scale_bound: f64,
    /// Whether the weights are counted by size, and the loss has slopes by their logarithms.
    pub structure: bool,
    /// Pair types whose weights are also counted by the difference of directions, at most `layout::MAX_LIKE_GROUPS`.
    pub like_pairs: Vec<usize>,
}

/// Everything that training has changed, on the host: a checkpoint's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// Optimiser steps taken.
    pub n_updates: u32,
    /// Weights, `[n_edges]`.
    pub weights: Vec<f32>,
    /// First and second moments of the learned weights, `[n_edges]` of the learned rows in order.
    pub weight_moments: [Vec<f32>; 2],
    /// Offsets of the cell models, `[n_models]`.
    pub cell_parameters: Vec<[f64; N_CELL_PARAMETERS]>,
    /// Their moments.
    pub cell_moments: Vec<[[f64; 2]; N_CELL_PARAMETERS]>,
    /// Logarithms of the pair types' factors, `[n_pair_types]`.
    pub log_scales: Vec<f64>,
    /// Their moments, `[n_pair_types]`.
    pub scale_moments: Vec<[f64; 2]>,
    /// Largest sum of the weights of one class onto one neuron when learning began: the scale of the arrivals leaves room for it. None:
    /// that of `weights`.
    pub largest_input_sum: Option<f64>,
}

/// How many there are of what training can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedSizes {
    /// Edges.
    pub n_edges: usize,
    /// Edges whose weights are learned.
    pub n_learned: usize,
    /// Cell models.
    pub n_models: usize,
    /// Pair types of source and target.
    pub n_pair_types: usize,
}

/// What an update returns.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateReport {
    /// Norm of the gradient of the base weights, before clipping.
    pub weight_gradient_norm: f64,
    /// Norm of the gradient of the learned cell parameters.
    pub cell_gradient_norm: f64,
    /// Norm of the gradient of the logarithms of the factors of pair types.
    pub scale_gradient_norm: f64,
    /// Wall time, ms.
    pub wall_ms: f64,
}

/// Norms of a gradient by group of what is learned, 0 where a group is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GradientNorms {
    /// By the base weights, per nS (pA in point mode).
    pub weights: f64,
    /// By the cell parameters, in the units of their steps.
    pub cells: f64,
    /// By the logarithms of the factors of pair types.
    pub scales: f64,
}

impl GradientNorms {
    /// Norm of the whole gradient.
    pub fn total(&self) -> f64 {
        [self.weights, self.cells, self.scales].iter().map(|x| x * x).sum::<f64>().sqrt()
    }
}

/// Moments and bind groups of one set of learned rows.
#[derive(Debug)]
struct RowUpdate {
    first_source: usize,
    n_rows: usize,
    n_edges: usize,
    n_workgroups: u32,
    /// Where its uniform lies: weights that do not move have a learning rate of 0.
    uniform_offset: u32,
    moments: [Buffer; 2],
    sums: Buffer,
    sums_group: BindGroup,
    update_group: BindGroup,
}

/// The optimiser of a simulation.
#[derive(Debug)]
pub struct Optimiser {
    settings: OptimiserSettings,
    layout: Layout,
    rows: Vec<RowUpdate>,
    update: Kernel,
    sums: Kernel,
    uniform: Buffer,
    pairs: Buffer,
    learned: Learned,
    /// Weights between neurons by size, `[n_pair_types][N_WEIGHT_BINS]`; empty without structure terms.
    weight_counts: Vec<u32>,
    /// Weights of the like-to-like pair types, `[like_pairs][N_DIRECTION_BINS][N_WEIGHT_BINS]`.
    like_counts: Vec<u32>,
    /// Gradient of the loss by the logarithms of the pair factors that does not pass the weights, `[n_pair_types]`.
    scale_gradient: Vec<f64>,
    /// Weights that the loss holds others near; none without its keep term.
    kept: Option<keep::Kept>,
}

impl Optimiser {
    /// Makes the optimiser of the weights that `simulation` has gradients of.
    pub fn new(simulation: &Simulation, settings: OptimiserSettings) -> Result<Self> {
        let gpu = &simulation.gpu;
        let structure = f64::from(u8::from(settings.structure));
        let grid = Grid::new(gpu, simulation.settings.threads);
        let per_row = [("WORKGROUP_SIZE", f64::from(grid.edge_workgroup_size())), ("STRUCTURE", structure)];
        let layout = &simulation.layout;
        let n_words = if settings.structure { layout.pairs_words() } else { layout.pairs_slopes() };
        let n_pair_types = layout.n_pair_types();
        let kernel = |name: &str, constants: &[(&str, f64)]| {
            Kernel::new(gpu, name, &assemble(name, &simulation.layout)?, constants)
        };
        let shared_rows = [&per_row[..], &[("LANES", f64::from(grid.sum_lanes()))]].concat();
        let mut optimiser = Self {
            rows: Vec::new(),
            update: kernel("update_weights", &per_row)?,
            sums: kernel("gradient_sums", &shared_rows)?,
            uniform: Buffer::uniform(gpu, "update uniforms", 2 * UNIFORM_STRIDE)?,
            pairs: Buffer::storage(gpu, "pair factors", n_words)?,
            learned: Learned {
                cell_parameters: vec![[0.0; N_CELL_PARAMETERS]; simulation.cell_models.len()],
                cell_moments: vec![[[0.0; 2]; N_CELL_PARAMETERS]; simulation.cell_models.len()],
                log_scales: vec![0.0; n_pair_types],
                scale_moments: vec![[0.0; 2]; n_pair_types],
                ..Learned::default()
            },
            settings,
            layout: layout.clone(),
            weight_counts: Vec::new(),
            like_counts: Vec::new(),
            scale_gradient: vec![0.0; n_pair_types],
            kept: None,
        };
        if optimiser.settings.structure {
            optimiser.start_structure(simulation)?;
        }
        for (rows, grad) in simulation.device.edges.learned() {
            let update = optimiser.bind_rows(simulation, rows, grad)?;
            optimiser.rows.push(update);
        }
        Ok(optimiser)
    }

    fn bind_rows(&self, simulation: &Simulation, rows: &RowSet, grad: &Buffer) -> Result<RowUpdate> {
        let (gpu, shard) = (&simulation.gpu, simulation.device.edges.shard(rows));
        let moments = [
            Buffer::storage(gpu, "first moments", rows.n_edges)?,
            Buffer::storage(gpu, "second moments", rows.n_edges)?,
        ];
        let sums = Buffer::storage(gpu, "gradient sums", rows.n_rows * (self.layout.n_cell_types + 1))?;
        let common = [
            ("tables", &simulation.device.tables),
            ("rows", &rows.rows),
            ("targets", &shard.targets),
            ("pairs", &self.pairs),
            ("weights", &shard.weights),
            ("grad", grad),
        ];
        let sums_group = self.sums.bind(&[&common[..], &[("sums", &sums)]].concat())?;
        let own = [("update", &self.uniform), ("moment_1", &moments[0]), ("moment_2", &moments[1])];
        let update_group = self.update.bind(&[&common[..], &own].concat())?;
        let moves = rows.kind.learned(self.settings.learn_weights);
        let uniform_offset = if moves { 0 } else { UNIFORM_STRIDE as u32 };
        Ok(RowUpdate {
            first_source: rows.first_source,
            n_rows: rows.n_rows,
            n_edges: rows.n_edges,
            n_workgroups: rows.row_workgroups,
            uniform_offset,
            moments,
            sums,
            sums_group,
            update_group,
        })
    }

    /// Takes one step along the gradient that the last adjoint pass left. `rate_factor` is the schedule's factor on every
    /// learning rate.
    ///
    /// # Errors
    /// [`Error::Failed`] if a gradient or a new weight is not finite; what was learned is then unusable.
    pub fn step(
        &mut self,
        simulation: &mut Simulation,
        adjoint: &AdjointReport,
        rate_factor: f64,
    ) -> Result<UpdateReport> {
        let start = Instant::now();
        let t = self.learned.n_updates + 1;
        let (norm, mut scale_gradient) = self.gradient_sums(simulation)?;
        scale_gradient.iter_mut().zip(&self.scale_gradient).for_each(|(sum, g)| *sum += g);
        let scale_gradient_norm = self.scale_gradient_norm(&scale_gradient);
        self.step_scales(&scale_gradient, t, rate_factor);
        let cell_gradient_norm = self.step_cells(&adjoint.cell_gradient, t, rate_factor);
        if !(norm.is_finite() && scale_gradient_norm.is_finite() && cell_gradient_norm.is_finite()) {
            return Err(Error::Failed(format!("the gradient is not finite at update {t}")));
        }
        self.step_weights(simulation, norm, t, rate_factor)?;
        if self.settings.learn_cells.contains(&true) {
            simulation.set_cell_parameters(&self.learned.cell_parameters);
        }
        self.learned.n_updates = t;
        Ok(UpdateReport {
            weight_gradient_norm: norm,
            cell_gradient_norm,
            scale_gradient_norm,
            wall_ms: start.elapsed().as_secs_f64() * 1e3,
        })
    }

    /// Offsets of the cell models learned so far, `[n_models]`, in the order of `model::membrane::LEARNABLE`.
    pub fn cell_parameters(&self) -> &[[f64; N_CELL_PARAMETERS]] {
        &self.learned.cell_parameters
    }

    /// Norm of the gradient of the base weights that move, and the gradient of the logarithms of the pair factors, `[n_pair_types]`, of
    /// the last adjoint pass.
    pub fn gradient_sums(&self, simulation: &Simulation) -> Result<(f64, Vec<f64>)> {
        self.pairs.write(0, &self.scale_words());
        simulation.gpu.submit("gradient sums", |pass| {
            for rows in &self.rows {
                self.sums.dispatch(pass, &rows.sums_group, 0, rows.n_workgroups);
            }
        })?;
        let mut squared = 0.0;
        let mut scale_gradient = vec![0.0; self.layout.n_pair_types()];
        // Of a row: one for each target cell type, then the squared norm.
        let n_cell_types = self.layout.n_cell_types;
        let n_sums = n_cell_types + 1;
        for rows in &self.rows {
            let sums: Vec<f32> = rows.sums.read(0, rows.n_rows * n_sums)?;
            for (row, sums) in sums.chunks_exact(n_sums).enumerate() {
                let pair_first = simulation.source_type(rows.first_source + row) * n_cell_types;
                for (cell_type, sum) in sums[..n_cell_types].iter().enumerate() {
                    scale_gradient[pair_first + cell_type] += f64::from(*sum);
                }
                if rows.uniform_offset == 0 {
                    squared += f64::from(sums[n_cell_types]);
                }
            }
        }
        Ok((squared.sqrt(), scale_gradient))
    }

    /// Norms of the gradient that the last adjoint pass left, of what is learned.
    pub fn gradient_norms(
        &self,
        simulation: &Simulation,
        cell_gradient: &[[f64; N_CELL_PARAMETERS]],
    ) -> Result<GradientNorms> {
        let (weights, mut scale_gradient) = self.gradient_sums(simulation)?;
        scale_gradient.iter_mut().zip(&self.scale_gradient).for_each(|(sum, g)| *sum += g);
        let mut squared = 0.0;
        for (model, gradient) in cell_gradient.iter().enumerate() {
            for k in (0..N_CELL_PARAMETERS).filter(|k| self.settings.learn_cells[*k]) {
                squared += (gradient[k] * self.cell_unit(model, k)).powi(2);
            }
        }
        let scales = self.scale_gradient_norm(&scale_gradient);
        Ok(GradientNorms { weights, cells: squared.sqrt(), scales })
    }

    /// Unit of the step of a cell parameter: the offset forms are in mV and pA, so it is a share of how far they may go.
    fn cell_unit(&self, model: usize, k: usize) -> f64 {
        if LEARNABLE[k].is_log() { 1.0 } else { self.settings.cell_bounds[model][k] }
    }

    fn step_cells(&mut self, gradient: &[[f64; N_CELL_PARAMETERS]], t: u32, rate_factor: f64) -> f64 {
        let rate = self.settings.cell_learning_rate * rate_factor;
        let mut squared = 0.0;
        for (model, gradient) in gradient.iter().enumerate() {
            for k in (0..N_CELL_PARAMETERS).filter(|k| self.settings.learn_cells[*k]) {
                let bound = self.settings.cell_bounds[model][k];
                let move_by =
                    self.settings.adam.advance(t, gradient[k], &mut self.learned.cell_moments[model][k]);
                let unit = self.cell_unit(model, k);
                let theta = &mut self.learned.cell_parameters[model][k];
                *theta = (*theta - rate * unit * move_by).clamp(-bound, bound);
                squared += gradient[k] * gradient[k];
            }
        }
        squared.sqrt()
    }

    fn step_weights(
        &mut self,
        simulation: &mut Simulation,
        norm: f64,
        t: u32,
        rate_factor: f64,
    ) -> Result<()> {
        let s = &self.settings;
        let [bias_1, bias_2] = s.adam.bias(t);
        let clip = s.clip_norm.filter(|limit| norm > *limit).map_or(1.0, |limit| limit / norm);
        let uniform = UpdateUniform {
            learning_rate: (s.learning_rate * rate_factor) as f32,
            beta_1: s.adam.beta_1 as f32,
            beta_2: s.adam.beta_2 as f32,
            bias_1: bias_1 as f32,
            bias_2: bias_2 as f32,
            epsilon: s.adam.epsilon as f32,
            clip: clip as f32,
            exponentiated: u32::from(s.weight_rule == WeightRule::ExponentiatedAdam),
        };
        self.uniform.write(0, &[uniform]);
        self.uniform.write(UNIFORM_STRIDE / 4, &[UpdateUniform { learning_rate: 0.0, ..uniform }]);
        let layout = &self.layout;
        let (largest, counts, like_counts) =
            (layout.pairs_largest(), layout.pairs_counts(), layout.pairs_like_counts());
        self.pairs.write(layout.n_pair_types(), &self.scale_words());
        self.pairs.write(largest, &[0_u32]);
        self.pairs.write(counts, &vec![0_u32; self.weight_counts.len()]);
        self.pairs.write(like_counts, &vec![0_u32; self.like_counts.len()]);
        simulation.gpu.submit("update weights", |pass| {
            for rows in &self.rows {
                self.update.dispatch(pass, &rows.update_group, rows.uniform_offset, rows.n_workgroups);
            }
        })?;
        let largest: Vec<f32> = self.pairs.read(largest, 1)?;
        if !largest[0].is_finite() {
            return Err(Error::Failed(format!("a weight is not finite after update {t}")));
        }
        simulation.set_arrival_scale(largest[0]);
        if self.settings.structure {
            self.weight_counts = self.pairs.read(counts, self.weight_counts.len())?;
            self.like_counts = self.pairs.read(like_counts, self.like_counts.len())?;
        }
        Ok(())
    }

    /// Device time of the kernels of a step, at a learning rate of zero: weights stay, moments decay. For `simrun measure`, after a
    /// step.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter has no timestamps.
    pub fn profile(&self, simulation: &Simulation) -> Result<Vec<KernelTime>> {
        let mut dispatches = Vec::new();
        for rows in &self.rows {
            let record: PassRecord<'_> =
                Box::new(move |pass| self.sums.dispatch(pass, &rows.sums_group, 0, rows.n_workgroups));
            dispatches.push(Timed { name: "gradient sums", record });
            let offset = UNIFORM_STRIDE as u32;
            let record: PassRecord<'_> = Box::new(move |pass| {
                self.update.dispatch(pass, &rows.update_group, offset, rows.n_workgroups)
            });
            dispatches.push(Timed { name: "update weights", record });
        }
        let mut times = Vec::new();
        simulation.time(dispatches, &mut times)?;
        let n_edges = self.rows.iter().map(|rows| rows.n_edges as u64).sum();
        times.iter_mut().for_each(|time| time.n_edges = n_edges);
        Ok(times)
    }

    /// What was learned so far, read back from the device.
    pub fn learned(&self, simulation: &Simulation) -> Result<Learned> {
        let mut learned = self.learned.clone();
        learned.weights = simulation.weights()?;
        learned.largest_input_sum = Some(simulation.largest_sum());
        for rows in &self.rows {
            for (all, moments) in learned.weight_moments.iter_mut().zip(&rows.moments) {
                all.extend(moments.read::<f32>(0, rows.n_edges)?);
            }
        }
        Ok(learned)
    }

    /// Goes on from what was learned before.
    ///
    /// # Errors
    /// [`Error::Failed`] if the shapes are not those of this simulation.
    pub fn restore(&mut self, simulation: &mut Simulation, learned: Learned) -> Result<()> {
        let sizes = self.sizes(simulation);
        let shapes_fit = learned.weight_moments.iter().all(|m| m.len() == sizes.n_learned)
            && learned.cell_parameters.len() == sizes.n_models
            && learned.cell_moments.len() == sizes.n_models
            && learned.log_scales.len() == sizes.n_pair_types
            && learned.scale_moments.len() == sizes.n_pair_types;
        if !shapes_fit {
            return Err(Error::Failed(
                "the checkpoint is of another network or other learned parameters".to_owned(),
            ));
        }
        simulation.set_weights_within(&learned.weights, learned.largest_input_sum)?;
        let mut first = 0;
        for rows in &self.rows {
            for (buffer, moments) in rows.moments.iter().zip(&learned.weight_moments) {
                buffer.write(0, &moments[first..first + rows.n_edges]);
            }
            first += rows.n_edges;
        }
        simulation.set_cell_parameters(&learned.cell_parameters);
        // Weights and moments live on the device from here on.
        self.learned = Learned { weights: Vec::new(), weight_moments: [Vec::new(), Vec::new()], ..learned };
        if self.settings.structure {
            self.start_structure(simulation)?;
        }
        Ok(())
    }

    /// What it was told.
    pub fn settings(&self) -> &OptimiserSettings {
        &self.settings
    }

    /// How much of each there is to learn.
    pub fn sizes(&self, simulation: &Simulation) -> LearnedSizes {
        LearnedSizes {
            n_edges: simulation.device.edges.shards.iter().map(|shard| shard.n_edges).sum(),
            n_learned: self.rows.iter().map(|rows| rows.n_edges).sum(),
            n_models: simulation.cell_models.len(),
            n_pair_types: self.layout.n_pair_types(),
        }
    }
}

//! What the keep term of the loss needs on the device (L13): the weights that training started from, and the pull
//! towards them.

use super::Optimiser;
use crate::error::{Error, Result};
use crate::gpu::{BindGroup, Buffer, Kernel};
use crate::sim::Simulation;
use crate::sim::layout::{KeepUniform, UNIFORM_STRIDE};
use crate::sim::rows::Grid;
use crate::sim::shaders::assemble;

/// Weights near which others are held, of all rows that are learned.
#[derive(Debug)]
pub(super) struct Kept {
    kernel: Kernel,
    uniform: Buffer,
    rows: Vec<KeptRows>,
    /// Edges that have such a weight.
    n_edges: usize,
}

#[derive(Debug)]
struct KeptRows {
    n_edges: usize,
    n_rows: usize,
    n_workgroups: u32,
    weights: Buffer,
    sums: Buffer,
    group: BindGroup,
}

impl Optimiser {
    /// Makes room for the weights that the keep term holds others near; until [`Self::set_kept`] all edges are free.
    ///
    /// # Errors
    /// A device that is too small.
    pub fn reserve_kept(&mut self, simulation: &Simulation) -> Result<()> {
        let gpu = &simulation.gpu;
        let grid = Grid::new(gpu, simulation.settings.threads);
        let size = [("WORKGROUP_SIZE", f64::from(grid.edge_workgroup_size()))];
        let kernel = Kernel::new(gpu, "keep_weights", &assemble("keep_weights", &simulation.layout)?, &size)?;
        let uniform = Buffer::uniform(gpu, "keep uniform", UNIFORM_STRIDE)?;
        let mut rows = Vec::new();
        for (own, grad) in simulation.device.edges.learned() {
            let shard = simulation.device.edges.shard(own);
            let weights = Buffer::storage(gpu, "weights that are kept", own.n_edges)?;
            let sums = Buffer::storage(gpu, "keep sums", own.n_rows)?;
            let group = kernel.bind(&[
                ("keep", &uniform),
                ("rows", &own.rows),
                ("targets", &shard.targets),
                ("weights", &shard.weights),
                ("grad", grad),
                ("sums", &sums),
                ("kept", &weights),
            ])?;
            let (n_edges, n_rows, n_workgroups) = (own.n_edges, own.n_rows, own.row_workgroups);
            rows.push(KeptRows { n_edges, n_rows, n_workgroups, weights, sums, group });
        }
        self.kept = Some(Kept { kernel, uniform, rows, n_edges: 0 });
        Ok(())
    }

    /// Sets the weights that are kept, those of the learned rows in order; 0 leaves an edge free.
    ///
    /// # Errors
    /// [`Error::Failed`] for another number of weights, or without [`Self::reserve_kept`].
    pub fn set_kept(&mut self, weights: &[f32]) -> Result<()> {
        let Some(kept) = &mut self.kept else {
            return Err(Error::Failed("the optimiser has no room for weights that are kept".to_owned()));
        };
        let n: usize = kept.rows.iter().map(|rows| rows.n_edges).sum();
        if weights.len() != n {
            return Err(Error::Failed(format!("{} weights to keep for {n} learned edges", weights.len())));
        }
        let mut first = 0;
        for rows in &kept.rows {
            rows.weights.write(0, &weights[first..first + rows.n_edges]);
            first += rows.n_edges;
        }
        kept.n_edges = weights.iter().filter(|weight| **weight > 0.0).count();
        Ok(())
    }

    /// The weights that are kept, those of the learned rows in order; none without [`Self::reserve_kept`].
    ///
    /// # Errors
    /// [`Error::Device`] what the driver refused.
    pub fn kept(&self) -> Result<Option<Vec<f32>>> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let mut weights = Vec::new();
        for rows in &kept.rows {
            weights.extend(rows.weights.read::<f32>(0, rows.n_edges)?);
        }
        Ok(Some(weights))
    }

    /// Adds the gradient of `weight` times the mean of `((w - a)/a)^2/2` over the kept edges to that of the last
    /// adjoint pass; that value.
    ///
    /// # Errors
    /// [`Error::Device`] what the driver refused.
    pub fn add_keep(&self, simulation: &Simulation, weight: f64) -> Result<f64> {
        let Some(kept) = self.kept.as_ref().filter(|kept| kept.n_edges > 0) else { return Ok(0.0) };
        let factor = weight / kept.n_edges as f64;
        kept.uniform.write(0, &[KeepUniform { factor: factor as f32 }]);
        simulation.gpu.submit("keep weights", |pass| {
            for rows in &kept.rows {
                kept.kernel.dispatch(pass, &rows.group, 0, rows.n_workgroups);
            }
        })?;
        let mut squares = 0.0;
        for rows in &kept.rows {
            squares += rows.sums.read::<f32>(0, rows.n_rows)?.iter().map(|x| f64::from(*x)).sum::<f64>();
        }
        Ok(0.5 * factor * squares)
    }
}

impl Simulation {
    /// Of a value of each edge, `[n_edges]`, those of the edges that are learned, in order.
    pub fn of_learned(&self, of_edges: &[f32]) -> Vec<f32> {
        let learned = self.device.edges.learned();
        learned
            .flat_map(|(rows, _)| of_edges[rows.first_edge..rows.first_edge + rows.n_edges].to_vec())
            .collect()
    }
}

//! Some sampled edges of a network, simulated again one by one in a rig: their weights go there and their gradients come back, on
//! the device.

use std::sync::Arc;

use super::Simulation;
use super::layout::RowKind;
use super::shaders::{NEURON_WORKGROUP, assemble};
use crate::error::{Error, Result};
use crate::gpu::{BindGroup, Buffer, Gpu, Kernel};
use crate::network::Neurons;

/// Ties the edges of a rig to sampled edges between the neurons of a network: rig edge i is sampled edge i.
#[derive(Debug)]
pub struct EdgeSample {
    fetch: Kernel,
    add: Kernel,
    shards: Vec<SampledShard>,
    n_edges: usize,
}

/// A shard of the network.
#[derive(Debug)]
struct SampledShard {
    first_edge: u32,
    /// First edge of the shard, then the sampled edges.
    sample: Buffer,
    fetch: BindGroup,
    /// Where the network has gradients.
    add: Option<BindGroup>,
}

impl EdgeSample {
    /// For a rig all of whose edges leave neurons, in one shard, with gradients.
    ///
    /// # Errors
    /// [`Error::Failed`] for another rig; [`Error::Device`] what the driver refused.
    pub fn new(gpu: &Arc<Gpu>, network: &Simulation, rig: &Simulation) -> Result<Self> {
        let rig_edges = &rig.device.edges;
        let ([rig_shard], [rig_rows]) = (rig_edges.shards.as_slice(), rig_edges.row_sets.as_slice()) else {
            return Err(Error::Failed("the edges of a rig lie in one shard and leave neurons".to_owned()));
        };
        let Some(rig_grad) = &rig_rows.grad else {
            return Err(Error::Failed("the edges of a rig have gradients".to_owned()));
        };
        let size = [("WORKGROUP_SIZE", f64::from(NEURON_WORKGROUP))];
        let kernel = |name: &str| Kernel::new(gpu, name, &assemble(name, &rig.layout)?, &size);
        let (fetch, add) = (kernel("sample_weights_forward")?, kernel("sample_weights_adjoint")?);
        let n_edges = rig_shard.n_edges;
        let mut shards = Vec::new();
        let edges = &network.device.edges;
        // Neurons come before all other sources, so that their rows start a shard wherever it has some.
        for rows in edges.row_sets.iter().filter(|rows| rows.kind == RowKind::Neurons && rows.n_edges > 0) {
            let shard = edges.shard(rows);
            let sample = Buffer::storage(gpu, "sampled edges", n_edges + 1)?;
            let weights =
                [("sample", &sample), ("weights", &shard.weights), ("rig_weights", &rig_shard.weights)];
            let bind_add = |grad| add.bind(&[("sample", &sample), ("grad", grad), ("rig_grad", rig_grad)]);
            shards.push(SampledShard {
                first_edge: shard.first_edge as u32,
                fetch: fetch.bind(&weights)?,
                add: rows.grad.as_ref().map(bind_add).transpose()?,
                sample,
            });
        }
        Ok(Self { fetch, add, shards, n_edges })
    }

    /// Chooses the sampled edges, `[rig edges]`, none twice, and brings their weights to the rig.
    ///
    /// # Errors
    /// [`Error::Failed`] for another number of edges.
    pub fn fetch_weights(&self, network: &Simulation, rig: &mut Simulation, edges: &[u32]) -> Result<()> {
        if edges.len() != self.n_edges {
            return Err(Error::Failed(format!("{} edges for a rig of {}", edges.len(), self.n_edges)));
        }
        for shard in &self.shards {
            shard.sample.write(0, &[shard.first_edge]);
            shard.sample.write(1, edges);
        }
        network.gpu.submit("sample weights", |pass| {
            for shard in &self.shards {
                self.fetch.dispatch(pass, &shard.fetch, 0, self.fetch.workgroups_for(self.n_edges));
            }
        })?;
        // The network's scale leaves room for 512 arrivals in one slot; in a rig one arrives at most.
        rig.scale_arrivals(network.arrival_scale * 256.0);
        Ok(())
    }

    /// Adds the rig's gradients to those of the network's edges, where it has any.
    ///
    /// # Errors
    /// [`Error::Device`] what the driver refused.
    pub fn add_gradients(&self, network: &Simulation) -> Result<()> {
        network.gpu.submit("sample gradients", |pass| {
            for group in self.shards.iter().filter_map(|shard| shard.add.as_ref()) {
                self.add.dispatch(pass, group, 0, self.add.workgroups_for(self.n_edges));
            }
        })
    }
}

impl Simulation {
    /// Puts other neurons, as many as before, in the place of the simulation's: their cell models and cell types, and the targets of
    /// the edges that leave them.
    ///
    /// # Errors
    /// [`Error::Failed`] for other shapes, or edges in more than one shard.
    pub fn exchange_neurons(&mut self, neurons: &Neurons, targets: &[u32]) -> Result<()> {
        let n = self.layout.n_neurons;
        let shapes_fit = neurons.model_ix.len() == n && neurons.cell_type_ix.len() == n;
        match self.device.edges.shards.as_slice() {
            [shard] if shapes_fit && shard.n_edges == targets.len() => shard.targets.write(0, targets),
            _ => return Err(Error::Failed("other neurons do not have the simulation's shape".to_owned())),
        }
        let words = self.layout.neuron_words(neurons, &self.dynamics.ports);
        self.each_mut(|share| {
            share.device.tables.write(0, &words);
            share.neuron_model_ix.copy_from_slice(&neurons.model_ix);
            share.source_type_ix[..neurons.len()].copy_from_slice(&neurons.cell_type_ix);
        });
        Ok(())
    }
}

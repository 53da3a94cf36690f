//! Buffers, kernels and bind groups of a simulation: everything is made here, nothing inside the time loop.

use std::sync::Arc;

use super::edges::{Edges, RowSet, Shard};
use super::layout::{Layout, RowKind, UNIFORM_STRIDE};
use super::rows::Grid;
use super::shaders::{assemble, neuron_workgroup};
use super::sources::{SourceKernel, SourceSpikes};
use super::tape::Checkpoint;
use super::{LearnWeights, Settings};
use crate::error::Result;
use crate::gpu::{BindGroup, Buffer, Gpu, Kernel};
use crate::network::Network;

/// What one step of a segment leaves for the adjoint, with the bind groups that use it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) spikes: Buffer,
    pub(super) neuron: BindGroup,
    pub(super) spread: Vec<BindGroup>,
    /// The gathers, block after block, and the weight gradients, with the workgroups of each.
    pub(super) gather: Vec<(BindGroup, u32)>,
    pub(super) weight_gradient: Vec<(BindGroup, u32)>,
    pub(super) neuron_adjoint: BindGroup,
    pub(super) tape: Buffer,
}

#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) neuron: Kernel,
    pub(super) neuron_taped: Kernel,
    pub(super) neuron_adjoint: Kernel,
    pub(super) spread: Kernel,
    pub(super) gather: Kernel,
    pub(super) weight_gradient: Kernel,
}

/// Everything that lives on the device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) kernels: Kernels,
    /// Workgroups of the kernels of neurons.
    pub(super) neuron_workgroups: u32,
    pub(super) sources: Option<SourceKernel>,
    pub(super) uniform: Buffer,
    pub(super) tables: Buffer,
    pub(super) status: Buffer,
    pub(super) state: Buffer,
    pub(super) arrivals: Buffer,
    pub(super) adj_state: Buffer,
    pub(super) adj_arrivals: Buffer,
    pub(super) adj_spike: Buffer,
    /// Derivatives of the loss by what it looks at itself.
    pub(super) seeds: Buffer,
    /// Spikes of each group, `[n_steps][n_groups][n_trials]`; one word where there is none.
    pub(super) population: Buffer,
    /// The synapses, which all shares of a batch have in common.
    pub(super) edges: Arc<Edges>,
    /// In place of the gradients of kinds of source that a shard has none of.
    no_gradients: [Buffer; 3],
    pub(super) slots: Vec<Slot>,
    /// Of each segment but the first.
    pub(super) checkpoints: Vec<Checkpoint>,
    /// Spikes of the longest delay's steps before a segment, spread again when its ring is rebuilt.
    pub(super) history: Vec<(Buffer, Vec<BindGroup>)>,
    pub(super) current_pa: Vec<f32>,
    /// Somatic, then dendritic potentials at the start; empty where all start at rest.
    pub(super) start_mv: [Vec<f32>; 2],
    /// State at the start that an earlier pass has left, in place of rest; none until it is asked for.
    pub(super) settled: Option<Buffer>,
}

impl Device {
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        settings: &Settings,
        network: &Network,
        edges: Arc<Edges>,
        tables: &[u32],
        sources: SourceSpikes<'_>,
    ) -> Result<Self> {
        let kernels = compile(gpu, layout, settings)?;
        let neuron_workgroups = kernels.neuron.workgroups_for(
            layout.n_neurons * Grid::new(gpu, settings.threads).trial_threads(layout.n_trials),
        );
        let tables = Buffer::storage_of(gpu, "tables", tables)?;
        let status = Buffer::storage(gpu, "status", 5)?;
        let state = Buffer::storage(gpu, "state", layout.state_words())?;
        let arrivals = Buffer::storage(gpu, "arrivals ring", layout.ring_words())?;
        let adj_state = Buffer::storage(gpu, "adjoint state", layout.adjoint_words())?;
        let adj_arrivals = Buffer::storage(gpu, "adjoint arrivals ring", layout.adj_ring_words())?;
        let adj_spike = Buffer::storage(gpu, "adjoint spikes", layout.plane_words())?;
        let seeds = Buffer::storage(gpu, "seeds", layout.seeds_words(settings.n_steps))?;
        let n_population = layout.population_words(settings.n_steps).max(1);
        let population = Buffer::storage(gpu, "population counts", n_population)?;
        let no_gradient = || Buffer::storage(gpu, "no weight gradients", 1);
        let no_gradients = [no_gradient()?, no_gradient()?, no_gradient()?];

        let sources = SourceKernel::new(gpu, layout, network, settings, &sources)?;
        let mut device = Self {
            kernels,
            neuron_workgroups,
            sources,
            // Made with the tape.
            uniform: Buffer::uniform(gpu, "step uniforms", UNIFORM_STRIDE)?,
            tables,
            status,
            state,
            arrivals,
            adj_state,
            adj_arrivals,
            adj_spike,
            seeds,
            population,
            edges,
            no_gradients,
            slots: Vec::new(),
            checkpoints: Vec::new(),
            history: Vec::new(),
            current_pa: vec![0.0; layout.plane_words()],
            start_mv: [Vec::new(), Vec::new()],
            settled: None,
        };
        device.set_tape(gpu, layout, settings, settings.steps_between_checkpoints)?;
        Ok(device)
    }

    /// The spread of a step's spikes, bound for each shard.
    pub(super) fn bind_spreads(&self, spikes: &Buffer) -> Result<Vec<BindGroup>> {
        self.edges.shards.iter().map(|shard| self.bind_spread(shard, spikes)).collect()
    }

    fn bind_spread(&self, shard: &Shard, spikes: &Buffer) -> Result<BindGroup> {
        self.kernels.spread.bind(&[
            ("step", &self.uniform),
            ("tables", &self.tables),
            ("rows", &shard.rows),
            ("targets", &shard.targets),
            ("weights", &shard.weights),
            ("spikes", spikes),
            ("arrivals", &self.arrivals),
        ])
    }

    fn bind_gather(&self, rows: &RowSet, walk: &Buffer, spikes: &Buffer) -> Result<BindGroup> {
        let shard = self.edges.shard(rows);
        self.kernels.gather.bind(&[
            ("step", &self.uniform),
            ("tables", &self.tables),
            ("adj_arrivals", &self.adj_arrivals),
            ("rows", &rows.rows),
            ("targets", &shard.targets),
            ("weights", &shard.weights),
            ("spikes", spikes),
            ("adj_spike", &self.adj_spike),
            ("walk", walk),
        ])
    }

    /// The weight gradient of all learned rows of a shard; none where it has none.
    fn bind_weight_gradient(&self, shard_ix: usize, spikes: &Buffer) -> Result<Option<BindGroup>> {
        let shard = &self.edges.shards[shard_ix];
        let grad_of = |kind| self.edges.row_set(shard_ix, kind).and_then(|rows| rows.grad.as_ref());
        let grads = [RowKind::Neurons, RowKind::Lgn, RowKind::Background].map(grad_of);
        if grads.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [neurons, lgn, background] =
            std::array::from_fn(|kind| grads[kind].unwrap_or(&self.no_gradients[kind]));
        let group = self.kernels.weight_gradient.bind(&[
            ("step", &self.uniform),
            ("tables", &self.tables),
            ("adj_arrivals", &self.adj_arrivals),
            ("rows", &shard.rows),
            ("targets", &shard.targets),
            ("spikes", spikes),
            ("grad_neurons", neurons),
            ("grad_lgn", lgn),
            ("grad_background", background),
        ])?;
        Ok(Some(group))
    }

    pub(super) fn make_slot(&self, gpu: &Arc<Gpu>, layout: &Layout) -> Result<Slot> {
        let tape = Buffer::storage(gpu, "tape", layout.tape_words())?;
        let spikes = Buffer::storage(gpu, "spikes", layout.spikes_words())?;
        let common = [("step", &self.uniform), ("tables", &self.tables)];
        let neuron = self.kernels.neuron.bind(
            &[
                &common[..],
                &[
                    ("status", &self.status),
                    ("state", &self.state),
                    ("arrivals", &self.arrivals),
                    ("tape", &tape),
                    ("spikes", &spikes),
                    ("population", &self.population),
                ],
            ]
            .concat(),
        )?;
        let neuron_adjoint = self.kernels.neuron_adjoint.bind(
            &[
                &common[..],
                &[
                    ("status", &self.status),
                    ("adj_state", &self.adj_state),
                    ("adj_arrivals", &self.adj_arrivals),
                    ("tape", &tape),
                    ("spikes", &spikes),
                    ("adj_spike", &self.adj_spike),
                    ("seeds", &self.seeds),
                ],
            ]
            .concat(),
        )?;
        let spread = self.bind_spreads(&spikes)?;
        let mut gather = Vec::new();
        for rows in &self.edges.row_sets {
            for walk in &rows.gather_blocks {
                gather.push((self.bind_gather(rows, walk, &spikes)?, rows.gather_workgroups));
            }
        }
        let mut weight_gradient = Vec::new();
        for (shard_ix, shard) in self.edges.shards.iter().enumerate() {
            let group = self.bind_weight_gradient(shard_ix, &spikes)?;
            weight_gradient.extend(group.map(|group| (group, shard.chunk_workgroups)));
        }
        Ok(Slot { spikes, neuron, spread, gather, weight_gradient, neuron_adjoint, tape })
    }
}

/// Bits of the kinds of source whose weights are learned, by [`RowKind`].
fn learned_kinds(learn: LearnWeights) -> u32 {
    let kinds = [RowKind::Neurons, RowKind::Lgn, RowKind::Background];
    kinds.into_iter().filter(|kind| kind.learned(learn)).fold(0, |bits, kind| bits | 1 << kind as u32)
}

fn compile(gpu: &Arc<Gpu>, layout: &Layout, settings: &Settings) -> Result<Kernels> {
    let kernel =
        |name: &str, constants: &[(&str, f64)]| Kernel::new(gpu, name, &assemble(name, layout)?, constants);
    let grid = Grid::new(gpu, settings.threads);
    let trial_threads = grid.trial_threads(layout.n_trials);
    let per_neuron = [
        ("WORKGROUP_SIZE", f64::from(neuron_workgroup(trial_threads as u32))),
        ("TRIAL_THREADS", trial_threads as f64),
    ];
    let per_edge = ("WORKGROUP_SIZE", f64::from(grid.edge_workgroup_size()));
    let lanes = ("LANES", f64::from(grid.gather_lanes(layout.n_neurons)));
    let learned = ("LEARNED", f64::from(learned_kinds(settings.learn_weights)));
    let cell_gradient = ("CELL_GRADIENT", f64::from(u8::from(settings.learn_cells)));
    Ok(Kernels {
        neuron: kernel("neuron_forward", &per_neuron)?,
        neuron_taped: kernel("neuron_forward", &[&per_neuron[..], &[("WRITE_TAPE", 1.0)]].concat())?,
        neuron_adjoint: kernel("neuron_adjoint", &[&per_neuron[..], &[cell_gradient]].concat())?,
        spread: kernel("spread_forward", &[per_edge])?,
        gather: kernel("gather_adjoint", &[per_edge, lanes])?,
        weight_gradient: kernel("weight_gradient", &[per_edge, learned])?,
    })
}

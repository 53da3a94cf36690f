//! Buffers, kernels and bind groups of a simulation: everything is made here, nothing inside the time loop.

use std::sync::Arc;

use super::edges::{Edges, RowSet, Shard};
use super::layout::{Layout, RowKind, UNIFORM_STRIDE};
use super::rows::{edge_workgroup_size, gather_lanes};
use super::shaders::{assemble, neuron_workgroup};
use super::sources::{SourceKernel, SourceSpikes};
use super::{NeuronThreads, Settings};
use crate::error::Result;
use crate::gpu::{BindGroup, Buffer, Gpu, Kernel};
use crate::network::Network;

/// What one step of a segment leaves for the adjoint, with the bind groups that use it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) spikes: Buffer,
    pub(super) neuron: BindGroup,
    pub(super) spread: Vec<BindGroup>,
    /// The gathers and the weight gradients, with the workgroups of each.
    pub(super) gather: Vec<(BindGroup, u32)>,
    pub(super) weight_gradient: Vec<(BindGroup, u32)>,
    pub(super) neuron_adjoint: BindGroup,
    pub(super) tape: Buffer,
}

/// State at the start of a segment, and the spikes of the steps before it that are still on their way.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) state: Buffer,
    pub(super) spikes: Option<Buffer>,
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
    pub(super) edges: Edges,
    pub(super) slots: Vec<Slot>,
    pub(super) checkpoints: Vec<Checkpoint>,
    /// Spikes of the longest delay's steps before a segment, spread again when its ring is rebuilt.
    pub(super) history: Vec<(Buffer, Vec<BindGroup>)>,
    pub(super) current_pa: Vec<f32>,
    /// Somatic, then dendritic potentials at the start; empty where all start at rest.
    pub(super) start_mv: [Vec<f32>; 2],
}

impl Device {
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        settings: &Settings,
        network: &Network,
        tables: &[u32],
        sources: SourceSpikes<'_>,
    ) -> Result<Self> {
        let kernels = compile(gpu, layout, settings)?;
        let neuron_workgroups =
            kernels.neuron.workgroups_for(layout.n_neurons * trial_threads(gpu, settings));
        let n_segments = settings.n_steps.div_ceil(settings.steps_between_checkpoints);
        let n_history = layout.n_slots - 1;
        let n_uniforms = settings.n_steps + n_segments * n_history;
        let uniform = Buffer::uniform(gpu, "step uniforms", n_uniforms * UNIFORM_STRIDE)?;
        let tables = Buffer::storage_of(gpu, "tables", tables)?;
        let status = Buffer::storage(gpu, "status", 5)?;
        let state = Buffer::storage(gpu, "state", layout.state_words())?;
        let arrivals = Buffer::storage(gpu, "arrivals ring", layout.ring_words())?;
        let adj_state = Buffer::storage(gpu, "adjoint state", layout.adjoint_words())?;
        let adj_arrivals = Buffer::storage(gpu, "adjoint arrivals ring", layout.adj_ring_words())?;
        let adj_spike = Buffer::storage(gpu, "adjoint spikes", layout.adj_spike_words())?;
        let seeds = Buffer::storage(gpu, "seeds", layout.seeds_words(settings.n_steps))?;
        let n_population = layout.population_words(settings.n_steps).max(1);
        let population = Buffer::storage(gpu, "population counts", n_population)?;
        let edges = Edges::new(gpu, network, layout, settings.learn_weights)?;

        let mut device = Self {
            kernels,
            neuron_workgroups,
            sources: None,
            uniform,
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
            slots: Vec::new(),
            checkpoints: Vec::new(),
            history: Vec::new(),
            current_pa: vec![0.0; layout.plane_words()],
            start_mv: [Vec::new(), Vec::new()],
        };
        for _ in 0..settings.steps_between_checkpoints {
            let slot = device.make_slot(gpu, layout)?;
            device.slots.push(slot);
        }
        for segment in 0..n_segments {
            let spikes = (segment > 0)
                .then(|| Buffer::storage(gpu, "checkpoint spikes", n_history * layout.spikes_words()))
                .transpose()?;
            let state = Buffer::storage(gpu, "checkpoint state", layout.state_words())?;
            device.checkpoints.push(Checkpoint { state, spikes });
        }
        if n_segments > 1 {
            for _ in 0..n_history {
                let spikes = Buffer::storage(gpu, "spikes on their way", layout.spikes_words())?;
                let groups = device
                    .edges
                    .shards
                    .iter()
                    .map(|s| device.bind_spread(s, &spikes))
                    .collect::<Result<_>>()?;
                device.history.push((spikes, groups));
            }
        }
        let spikes: Vec<&Buffer> = device.slots.iter().map(|s| &s.spikes).collect();
        device.sources = SourceKernel::new(
            gpu,
            layout,
            network,
            settings,
            &sources,
            [&device.uniform, &device.tables],
            &spikes,
        )?;
        Ok(device)
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

    fn bind_gather(&self, rows: &RowSet, spikes: &Buffer) -> Result<BindGroup> {
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
        ])
    }

    fn bind_weight_gradient(&self, rows: &RowSet, grad: &Buffer, spikes: &Buffer) -> Result<BindGroup> {
        self.kernels.weight_gradient.bind(&[
            ("step", &self.uniform),
            ("tables", &self.tables),
            ("adj_arrivals", &self.adj_arrivals),
            ("rows", &rows.rows),
            ("targets", &self.edges.shard(rows).targets),
            ("grad", grad),
            ("spikes", spikes),
        ])
    }

    fn make_slot(&self, gpu: &Arc<Gpu>, layout: &Layout) -> Result<Slot> {
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
        let spread =
            self.edges.shards.iter().map(|shard| self.bind_spread(shard, &spikes)).collect::<Result<_>>()?;
        let of_neurons = self.edges.row_sets.iter().filter(|rows| rows.kind == RowKind::Neurons);
        let gather = of_neurons
            .map(|rows| Ok((self.bind_gather(rows, &spikes)?, rows.gather_workgroups)))
            .collect::<Result<_>>()?;
        let weight_gradient = self
            .edges
            .learned()
            .map(|(rows, grad)| Ok((self.bind_weight_gradient(rows, grad, &spikes)?, rows.chunk_workgroups)))
            .collect::<Result<_>>()?;
        Ok(Slot { spikes, neuron, spread, gather, weight_gradient, neuron_adjoint, tape })
    }
}

/// Threads that share a neuron in its kernels. Hardware wants threads: one a trial, which also read side by side. Software Vulkan has
/// two cores to fill and reads a cell's constants once for all trials of a thread.
fn trial_threads(gpu: &Gpu, settings: &Settings) -> usize {
    match settings.neuron_threads {
        NeuronThreads::One => 1,
        NeuronThreads::Trials => settings.n_trials,
        NeuronThreads::ByAdapter if gpu.is_software() => 1,
        NeuronThreads::ByAdapter => settings.n_trials,
    }
}

fn compile(gpu: &Arc<Gpu>, layout: &Layout, settings: &Settings) -> Result<Kernels> {
    let kernel =
        |name: &str, constants: &[(&str, f64)]| Kernel::new(gpu, name, &assemble(name, layout)?, constants);
    let trial_threads = trial_threads(gpu, settings);
    let per_neuron = [
        ("WORKGROUP_SIZE", f64::from(neuron_workgroup(trial_threads as u32))),
        ("TRIAL_THREADS", trial_threads as f64),
    ];
    let per_edge = ("WORKGROUP_SIZE", f64::from(edge_workgroup_size(gpu)));
    let lanes = ("LANES", f64::from(gather_lanes(gpu, layout.n_neurons)));
    let cell_gradient = ("CELL_GRADIENT", f64::from(u8::from(settings.learn_cells)));
    Ok(Kernels {
        neuron: kernel("neuron_forward", &per_neuron)?,
        neuron_taped: kernel("neuron_forward", &[&per_neuron[..], &[("WRITE_TAPE", 1.0)]].concat())?,
        neuron_adjoint: kernel("neuron_adjoint", &[&per_neuron[..], &[cell_gradient]].concat())?,
        spread: kernel("spread_forward", &[per_edge])?,
        gather: kernel("gather_adjoint", &[per_edge, lanes])?,
        weight_gradient: kernel("weight_gradient", &[per_edge])?,
    })
}

//! Buffers, kernels and bind groups of a simulation: everything is made here, nothing inside the time loop.

use std::sync::Arc;

use super::adjoint::TrialSums;
use super::edges::{Edges, RowSet, Shard};
use super::layout::{Layout, RowKind, UNIFORM_STRIDE};
use super::rows::{edge_workgroup_size, gather_lanes};
use super::shaders::{assemble, neuron_workgroup};
use super::sources::{SourceKernel, SourceSpikes};
use super::tape::Checkpoint;
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
    pub(super) trial_sums: TrialSums,
    /// Derivatives of the loss by what it looks at itself.
    pub(super) seeds: Buffer,
    /// Spikes of each group, `[n_steps][n_groups][n_trials]`; one word where there is none.
    pub(super) population: Buffer,
    pub(super) edges: Edges,
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
        tables: &[u32],
        sources: SourceSpikes<'_>,
    ) -> Result<Self> {
        let kernels = compile(gpu, layout, settings)?;
        let neuron_workgroups =
            kernels.neuron.workgroups_for(layout.n_neurons * trial_threads(gpu, settings));
        let tables = Buffer::storage_of(gpu, "tables", tables)?;
        let status = Buffer::storage(gpu, "status", 5)?;
        let state = Buffer::storage(gpu, "state", layout.state_words())?;
        let arrivals = Buffer::storage(gpu, "arrivals ring", layout.ring_words())?;
        let adj_state = Buffer::storage(gpu, "adjoint state", layout.adjoint_words())?;
        let adj_arrivals = Buffer::storage(gpu, "adjoint arrivals ring", layout.adj_ring_words())?;
        let adj_spike = Buffer::storage(gpu, "adjoint spikes", layout.adj_spike_words())?;
        let seeds = Buffer::storage(gpu, "seeds", layout.seeds_words(settings.n_steps))?;
        let trial_sums = TrialSums::new(gpu, layout, settings, &tables, &adj_state)?;
        let n_population = layout.population_words(settings.n_steps).max(1);
        let population = Buffer::storage(gpu, "population counts", n_population)?;
        let edges = Edges::new(gpu, network, layout, settings.learn_weights)?;

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
            trial_sums,
            seeds,
            population,
            edges,
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

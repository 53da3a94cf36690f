//! Buffers, kernels and bind groups of a simulation: everything is made here, nothing inside the time loop.

use std::sync::Arc;

use super::adjoint::TrialSums;
use super::layout::{Layout, UNIFORM_STRIDE};
use super::rows::{row_workgroup_size, row_workgroups};
use super::shaders::{NEURON_WORKGROUP, assemble};
use super::sources::{SourceKernel, SourceSpikes};
use super::tape::Checkpoint;
use super::{LearnWeights, NeuronThreads, Settings};
use crate::error::Result;
use crate::gpu::{BindGroup, Buffer, Gpu, Kernel};
use crate::network::Network;

/// Whole rows of synapses of one kind of source, small enough for one binding.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) first_edge: usize,
    pub(super) n_edges: usize,
    pub(super) first_source: usize,
    pub(super) n_rows: usize,
    /// 0 neurons, 1 LGN units, 2 background units.
    pub(super) kind: usize,
    pub(super) offsets: Buffer,
    pub(super) targets: Buffer,
    pub(super) weights: Buffer,
    /// Gradient of the weights, where they are learned.
    pub(super) grad: Option<Buffer>,
    /// Workgroups that walk its rows.
    pub(super) n_workgroups: u32,
}

/// What one step of a segment leaves for the adjoint, with the bind groups that use it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) spikes: Buffer,
    pub(super) neuron: BindGroup,
    pub(super) spread: Vec<BindGroup>,
    pub(super) gather: Vec<Option<BindGroup>>,
    pub(super) weight_gradient: Vec<Option<BindGroup>>,
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
    /// Spikes of each group, `[n_steps][n_groups][n_trials]`; one word where there is none.
    pub(super) population: Buffer,
    pub(super) shards: Vec<Shard>,
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
        let adj_arrivals = Buffer::storage(gpu, "adjoint arrivals ring", layout.ring_words())?;
        let adj_spike = Buffer::storage(
            gpu,
            "adjoint spikes and seeds",
            layout.adj_spike_words() + layout.population_words(settings.n_steps),
        )?;
        let trial_sums = TrialSums::new(gpu, layout, settings, &tables, &adj_state)?;
        let n_population = layout.population_words(settings.n_steps).max(1);
        let population = Buffer::storage(gpu, "population counts", n_population)?;
        let shards = make_shards(gpu, network, layout, settings.learn_weights)?;

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
            population,
            shards,
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
        self.shards.iter().map(|shard| self.bind_spread(shard, spikes)).collect()
    }

    fn bind_spread(&self, shard: &Shard, spikes: &Buffer) -> Result<BindGroup> {
        self.kernels.spread.bind(&[
            ("step", &self.uniform),
            ("tables", &self.tables),
            ("status", &self.status),
            ("offsets", &shard.offsets),
            ("targets", &shard.targets),
            ("weights", &shard.weights),
            ("spikes", spikes),
            ("arrivals", &self.arrivals),
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
                ],
            ]
            .concat(),
        )?;
        let spread = self.bind_spreads(&spikes)?;
        let mut gather = Vec::new();
        let mut weight_gradient = Vec::new();
        for shard in &self.shards {
            let rows = [
                ("step", &self.uniform),
                ("tables", &self.tables),
                ("offsets", &shard.offsets),
                ("targets", &shard.targets),
                ("adj_arrivals", &self.adj_arrivals),
                ("spikes", &spikes),
            ];
            let bind_gather = || {
                let own = [("weights", &shard.weights), ("adj_spike", &self.adj_spike)];
                self.kernels.gather.bind(&[&rows[..], &own].concat())
            };
            gather.push((shard.kind == 0).then(bind_gather).transpose()?);
            let bind_gradient =
                |grad: &Buffer| self.kernels.weight_gradient.bind(&[&rows[..], &[("grad", grad)]].concat());
            weight_gradient.push(shard.grad.as_ref().map(bind_gradient).transpose()?);
        }
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
    let (forward, adjoint) = if layout.two_compartment {
        ("neuron_two_compartment_forward", "neuron_two_compartment_adjoint")
    } else {
        ("neuron_point_forward", "neuron_point_adjoint")
    };
    let per_neuron = [
        ("WORKGROUP_SIZE", f64::from(NEURON_WORKGROUP)),
        ("TRIAL_THREADS", trial_threads(gpu, settings) as f64),
    ];
    let per_row = ("WORKGROUP_SIZE", f64::from(row_workgroup_size(gpu)));
    let cell_gradient = ("CELL_GRADIENT", f64::from(u8::from(settings.learn_cells)));
    Ok(Kernels {
        neuron: kernel(forward, &per_neuron)?,
        neuron_taped: kernel(forward, &[&per_neuron[..], &[("WRITE_TAPE", 1.0)]].concat())?,
        neuron_adjoint: kernel(adjoint, &[&per_neuron[..], &[cell_gradient]].concat())?,
        spread: kernel("spread_forward", &[per_row])?,
        gather: kernel("gather_adjoint", &[per_row])?,
        weight_gradient: kernel("weight_gradient", &[per_row])?,
    })
}

/// Splits the rows by kind of source, and further where a binding would exceed the adapter's limit.
fn make_shards(
    gpu: &Arc<Gpu>,
    network: &Network,
    layout: &Layout,
    learn: LearnWeights,
) -> Result<Vec<Shard>> {
    let n = network.neurons.len();
    let kinds = [
        (0, n, learn.recurrent),
        (n, n + network.n_lgn, learn.lgn),
        (n + network.n_lgn, network.n_sources(), learn.background),
    ];
    let max_edges = (gpu.adapter().max_binding_bytes.min(gpu.adapter().max_buffer_bytes) / 4) as usize;
    let offsets = &network.rows.offsets;
    let mut shards = Vec::new();
    for (kind, (mut first, end, learned)) in kinds.into_iter().enumerate() {
        while first < end {
            // The last row that still fits; a single row always does (its length is below the number of neurons).
            let limit = offsets[first] + max_edges as u64;
            let fits = offsets[first..=end].partition_point(|o| *o <= limit) - 1;
            let last = first + fits.max(1);
            shards.push(make_shard(gpu, network, layout, kind, first..last, learned)?);
            first = last;
        }
    }
    Ok(shards)
}

fn make_shard(
    gpu: &Arc<Gpu>,
    network: &Network,
    layout: &Layout,
    kind: usize,
    sources: std::ops::Range<usize>,
    learned: bool,
) -> Result<Shard> {
    let rows = &network.rows;
    let (first_edge, last_edge) = (rows.offsets[sources.start] as usize, rows.offsets[sources.end] as usize);
    let name = ["recurrent", "LGN", "background"][kind];
    let mut header = vec![sources.start as u32, sources.len() as u32, kind as u32];
    header
        .extend(rows.offsets[sources.start..=sources.end].iter().map(|o| (*o as usize - first_edge) as u32));
    let n_edges = last_edge - first_edge;
    let grad =
        learned.then(|| Buffer::storage(gpu, &format!("{name} weight gradients"), n_edges)).transpose()?;
    Ok(Shard {
        first_edge,
        n_edges,
        first_source: sources.start,
        n_rows: sources.len(),
        kind,
        offsets: Buffer::storage_of(gpu, &format!("{name} row offsets"), &header)?,
        targets: Buffer::storage_of(gpu, &format!("{name} targets"), &rows.targets[first_edge..last_edge])?,
        weights: Buffer::storage(gpu, &format!("{name} weights"), n_edges)?,
        grad,
        n_workgroups: row_workgroups(gpu, &rows.offsets[sources.start..=sources.end], layout),
    })
}

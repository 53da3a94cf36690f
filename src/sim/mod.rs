//! Neurons on the device: layout, buffers, forward pass, adjoint pass, checkpoints, optimiser.
//!
//! [`Simulation::forward`] runs a batch of trials and returns spike counts; [`Simulation::adjoint`] walks the same steps
//! backwards and leaves the gradient on the device; `optimiser` takes the step. A run repeats bit for bit.

mod adjoint;
mod clamped;
mod device;
mod edge_sample;
mod edges;
mod forward;
mod gradient;
pub mod layout;
pub mod optimiser;
mod profile;
mod record;
mod room;
mod rows;
mod settle;
pub mod shaders;
mod shares;
mod sources;
mod tape;

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::model::Dynamics;
use crate::model::membrane::N_CELL_PARAMETERS;
use crate::network::{CellModel, Network, target_delay_steps};

pub use adjoint::{AdjointReport, PotentialAdjoint, PotentialSeeds};
use device::Device;
pub use edge_sample::EdgeSample;
use edges::Edges;
use forward::Draws;
pub use forward::ForwardReport;
use layout::Layout;
pub use profile::KernelTime;
pub use record::{Probe, Recording, Spike};
pub use room::check_room;
use room::{layout_of, trials_at_once};
pub use sources::{SourceDrive, SourceFilters, SourceSpikes, SpikeList};
pub use tape::TapeFit;

/// The voltage penalty (E5): mean over neurons, steps and trials, times the weight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VoltagePenalty {
    /// Weight in the loss, >= 0.
    pub weight: f64,
    /// Lower edge, in units of V_th - E_L.
    pub x_low: f64,
    /// Upper edge, in units of V_th - E_L.
    pub x_high: f64,
}

/// Rows of which kinds of source have learnable weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnWeights {
    /// Weights between neurons.
    pub recurrent: bool,
    /// Weights of LGN units.
    pub lgn: bool,
    /// Weights of background units.
    pub background: bool,
}

impl LearnWeights {
    /// All weights.
    pub const ALL: Self = Self { recurrent: true, lgn: true, background: true };
}

/// The place of a simulation's trials in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlace {
    /// Number of the simulation's first trial in the batch.
    pub first: usize,
    /// Trials of the batch.
    pub n_all: usize,
}

/// What a simulation is told beside its network and dynamics.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Trials of a batch, 1 to 32.
    pub n_trials: usize,
    /// Most of them that run side by side, rounded up to a multiple of [`layout::DRAW_TRIALS`]; fewer where the adapter cannot bind so
    /// many. The others run after them, with the same spikes.
    pub trials_at_once: usize,
    /// Which trials of a larger batch these are, where others simulate the rest: LGN and background spikes are drawn by the trial's
    /// number there, and the voltage penalty is a mean over all of them.
    pub of_batch: BatchPlace,
    /// Time steps of a trial.
    pub n_steps: usize,
    /// Steps whose spikes are counted.
    pub window: Range<usize>,
    /// Steps between checkpoints, from the longest delay to the number of steps, counted from the end: that many steps are on the tape
    /// at once ([`Simulation::fit_tape`] chooses it by memory).
    pub steps_between_checkpoints: usize,
    /// Voltage penalty of the loss.
    pub voltage: VoltagePenalty,
    /// Which weights get a gradient.
    pub learn_weights: LearnWeights,
    /// Whether the gradients of cell parameters are added up.
    pub learn_cells: bool,
    /// Steps during which the injected current is on, if neurons get one.
    pub current: Option<Range<usize>>,
    /// Whether neurons start clamped to a potential and the loss looks at potentials (A11).
    pub potential_seeds: bool,
    /// Groups of neurons whose spikes are counted in every step: bit g of a neuron's mask for group g, `[n_neurons]`; empty for
    /// none.
    pub groups: Vec<u32>,
    /// How many threads share the work of the kernels.
    pub threads: Threads,
    /// Bytes of adjoints of arrivals, of one slot and class, that the gather reads from at a time where threads are few. No bit of a result
    /// depends on it.
    pub gather_block_bytes: usize,
}

/// About half of a core's own cache: records of other slots and the edges themselves pass through it too. On two cores with 1 MiB each, 360 to
/// 700 kB were alike for `v1_67k`.
const GATHER_BLOCK_BYTES: usize = 512 << 10;

impl Settings {
    /// For a batch of `n_trials` trials of `n_steps` steps, all of them counted and taped, without a current, and with nothing learned.
    pub fn new(n_steps: usize, n_trials: usize) -> Self {
        Self {
            n_trials,
            trials_at_once: n_trials,
            of_batch: BatchPlace { first: 0, n_all: n_trials },
            n_steps,
            window: 0..n_steps,
            steps_between_checkpoints: n_steps,
            voltage: VoltagePenalty::default(),
            learn_weights: LearnWeights::default(),
            learn_cells: false,
            current: None,
            potential_seeds: false,
            groups: Vec::new(),
            threads: Threads::default(),
            gather_block_bytes: GATHER_BLOCK_BYTES,
        }
    }

    /// The same for passes that are not walked back: as many steps in their slots at once as there are segments, so that little memory is
    /// taken.
    #[must_use]
    pub fn with_short_segments(self, dynamics: &Dynamics) -> Self {
        let steps = (self.n_steps as f64).sqrt().ceil() as usize;
        let steps_between_checkpoints = steps.max(dynamics.max_delay_steps as usize).min(self.n_steps);
        Self { steps_between_checkpoints, ..self }
    }
}

/// How many threads share the work of the kernels: of a neuron's trials, and of a row in the gather. Spikes do not depend on it; gradients
/// are added up in another order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// Few on software adapters, else many.
    #[default]
    ByAdapter,
    /// One a neuron, which loops over its trials, and one a row.
    Few,
    /// One a trial of a neuron, and several a row.
    Many,
}

/// A network on the device.
#[derive(Debug)]
pub struct Simulation {
    gpu: Arc<Gpu>,
    layout: Layout,
    settings: Settings,
    dynamics: Dynamics,
    cell_models: Vec<CellModel>,
    neuron_model_ix: Vec<u16>,
    /// Source type of each neuron, then of each unit.
    source_type_ix: Vec<u8>,
    class_of_source_type: Vec<usize>,
    device: Device,
    arrival_scale: f64,
    /// Largest of the weights that are not learned.
    largest_fixed_weight: f32,
    /// Largest sum of the weights of one class onto one neuron when they were set.
    largest_sum: f64,
    /// Whether a forward pass has run, which an adjoint pass can walk back.
    has_run: bool,
    /// The segment whose steps lie in the slots with their tape.
    segment_on_tape: Option<usize>,
    /// What the last pass drew.
    draws: Draws,
    /// Factor on the weight of the voltage penalty.
    voltage_factor: f64,
    /// Simulations of the trials that do not fit beside the first ([`shares`]).
    others: Vec<Simulation>,
}

impl Simulation {
    /// Puts a network on the device. Weights, tables and kernels are uploaded once.
    ///
    /// # Errors
    /// [`Error::AdapterTooSmall`] names the first buffer that does not fit; [`Error::Device`] what the driver refused.
    pub fn new(
        gpu: &Arc<Gpu>,
        network: &Network,
        dynamics: &Dynamics,
        sources: SourceSpikes<'_>,
        settings: Settings,
    ) -> Result<Self> {
        check_delays(network, dynamics)?;
        let n_trials = settings.n_trials;
        let n_at_once = trials_at_once(gpu, network, dynamics, &settings)?;
        let layout = |n: usize| layout_of(network, dynamics, &settings, n);
        let edges = Arc::new(Edges::new(gpu, network, &layout(n_at_once), &settings)?);
        let share = |first_trial: usize| {
            let layout = layout(n_at_once.min(n_trials - first_trial)).with_first_trial(first_trial);
            Self::of_share(gpu, layout, network, Arc::clone(&edges), dynamics, sources, settings.clone())
        };
        let mut simulation = share(0)?;
        simulation.others = (n_at_once..n_trials).step_by(n_at_once).map(share).collect::<Result<_>>()?;
        simulation.set_weights(&network.rows.weights)?;
        Ok(simulation)
    }

    /// Puts a share of the trials on the device.
    fn of_share(
        gpu: &Arc<Gpu>,
        layout: Layout,
        network: &Network,
        edges: Arc<Edges>,
        dynamics: &Dynamics,
        sources: SourceSpikes<'_>,
        settings: Settings,
    ) -> Result<Self> {
        let theta = vec![[0.0; N_CELL_PARAMETERS]; network.cell_models.len()];
        let mut tables = layout.tables(network, dynamics, &theta);
        if layout.n_groups > 0 {
            tables.extend(&settings.groups);
        }
        let device = Device::new(gpu, &layout, &settings, network, edges, &tables, sources)?;
        let n_steps = settings.n_steps;
        Ok(Self {
            gpu: Arc::clone(gpu),
            layout,
            settings,
            dynamics: dynamics.clone(),
            cell_models: network.cell_models.clone(),
            neuron_model_ix: network.neurons.model_ix.clone(),
            device,
            class_of_source_type: network.vocabulary.class_of_source_type.clone(),
            source_type_ix: [&network.neurons.cell_type_ix[..], &network.unit_type_ix].concat(),
            arrival_scale: 1.0,
            largest_fixed_weight: 0.0,
            has_run: false,
            largest_sum: 0.0,
            segment_on_tape: None,
            draws: Draws { seed: 0, presentation: 0, n_steps },
            voltage_factor: 1.0,
            others: Vec::new(),
        })
    }

    /// Sizes on the device, of the first share where the trials are in several.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the simulation was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the learned offsets of the cell models, `[n_models]`, in the order of `model::membrane::LEARNABLE`.
    pub fn set_cell_parameters(&mut self, theta: &[[f64; N_CELL_PARAMETERS]]) {
        let words = self.layout.cell_tables(&self.cell_models, &self.dynamics, theta);
        self.shares().for_each(|share| share.device.tables.write(share.layout.table_cells(), &words));
    }

    /// Sets a factor on the weight of the voltage penalty, 1 at first, for the adjoint passes to come.
    pub fn set_voltage_factor(&mut self, factor: f64) {
        self.each_mut(|share| {
            share.voltage_factor = factor;
            share.write_uniforms();
        });
    }

    /// Sets the current injected into each neuron in each trial while it is on, `[n_neurons][n_trials]` pA.
    ///
    /// # Errors
    /// [`Error::Failed`] if the simulation was made without a current.
    pub fn set_current(&mut self, current_pa: &[f32]) -> Result<()> {
        if self.layout.state_plane("CURRENT").is_none() || current_pa.len() != self.batch_words() {
            return Err(Error::Failed("this simulation takes no injected current of that shape".to_owned()));
        }
        self.each_mut(|share| share.device.current_pa = share.own(current_pa));
        Ok(())
    }

    /// Sets what the LGN units see in each trial, until it is set anew.
    ///
    /// # Errors
    /// [`Error::Failed`] if the simulation does not draw its sources' spikes, or the shapes are not its own.
    pub fn set_stimulus(&mut self, drive: &SourceDrive<'_>) -> Result<()> {
        for share in self.shares() {
            let Some(sources) = &share.device.sources else {
                return Err(Error::Failed("this simulation has no LGN units".to_owned()));
            };
            sources.set_stimulus(drive, self.settings.n_trials)?;
        }
        Ok(())
    }

    /// Sets the spikes of LGN and background units, until they are set anew.
    ///
    /// # Errors
    /// [`Error::Failed`] if the simulation draws its sources' spikes, or was made for fewer.
    pub fn set_spikes(&mut self, list: &SpikeList) -> Result<()> {
        for share in self.shares() {
            let Some(sources) = &share.device.sources else {
                return Err(Error::Failed("this simulation has no LGN or background units".to_owned()));
            };
            sources.set_spikes(list)?;
        }
        Ok(())
    }

    /// Sets the potential above E_L at which each neuron starts every trial, `[n_neurons]` mV; all start at rest until it is set.
    ///
    /// # Errors
    /// [`Error::Failed`] for another number of neurons.
    pub fn set_start(&mut self, u_mv: &[f32]) -> Result<()> {
        if u_mv.len() != self.layout.n_neurons {
            return Err(Error::Failed("the potentials at the start are not one a neuron".to_owned()));
        }
        self.each_mut(|share| {
            let n_trials = share.layout.n_trials;
            share.device.start_mv[0] = u_mv.iter().flat_map(|u| std::iter::repeat_n(*u, n_trials)).collect();
        });
        Ok(())
    }

    /// Source type of a source: its cell type, or that of the unit.
    pub fn source_type(&self, source_ix: usize) -> usize {
        usize::from(self.source_type_ix[source_ix])
    }

    /// Turns a status word that a kernel has raised into an error.
    fn check_status(&self) -> Result<()> {
        let status: Vec<u32> = self.device.status.read(0, 4)?;
        if status[0] == 0 {
            return Ok(());
        }
        let what = match status[0] {
            layout::STATUS_OVERFLOW => {
                "the integer sum of arrivals overflowed (weights have grown too large)"
            }
            _ => "the state is not finite",
        };
        let kernel = layout::STATUS_KERNELS.get(status[1] as usize).copied().unwrap_or("unknown");
        self.device.status.clear();
        Err(Error::Kernel {
            kernel: kernel.to_owned(),
            what: what.to_owned(),
            neuron: status[2],
            step: status[3],
        })
    }
}

/// Refuses an edge whose delay the rings of arrivals have no slot for.
fn check_delays(network: &Network, dynamics: &Dynamics) -> Result<()> {
    let most = dynamics.max_delay_steps;
    let beyond = |word: &&u32| !(1..=most).contains(&target_delay_steps(**word));
    match network.rows.targets.iter().find(beyond) {
        None => Ok(()),
        Some(word) => {
            let delay = target_delay_steps(*word);
            Err(Error::Failed(format!("an edge has a delay of {delay} time steps, must be from 1 to {most}")))
        }
    }
}

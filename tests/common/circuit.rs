//! A small random circuit over all cell types, with LGN and background units that spike at random: dense enough in
//! spikes, held steps and non-zero psi to exercise every path of forward and adjoint pass.

use simrun::model::kinetics::{PortCounts, Ports, SynapseKind};
use simrun::model::membrane::CellMode;
use simrun::model::rng::{Stream, uniform, word};
use simrun::model::surrogate::Surrogate;
use simrun::model::{Damping, Dynamics};
use simrun::network::{
    CLASS_OF_SOURCE_TYPE, N_CELL_TYPES, Network, Rows, SOURCE_TYPE_LGN, class_is_inhibitory, pack_target,
};

use super::network::models_of;
use super::{set_delays, tables};

/// Which membrane, with which ports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// Point model, exact kinetics (20 ports).
    Point,
    /// Two compartments, fitted ports (6).
    TwoCompartment,
}

/// A circuit and what drives it.
pub(crate) struct Circuit {
    pub(crate) network: Network,
    pub(crate) dynamics: Dynamics,
    pub(crate) n_trials: usize,
    pub(crate) n_steps: usize,
    /// Spikes of LGN and background units: masks of trials, `[n_steps][n_lgn + n_background]`.
    pub(crate) source_masks: Vec<u32>,
}

const DT_MS: f64 = 1.0;
const N_PER_TYPE: usize = 3;
const N_LGN: usize = 14;
const N_BACKGROUND: usize = 9;

impl Circuit {
    pub(crate) fn random(mode: Mode, seed: u64) -> Self {
        Self::of_trials(mode, seed, 3)
    }

    pub(crate) fn of_trials(mode: Mode, seed: u64, n_trials: u32) -> Self {
        let n_steps = 100;
        let dynamics = dynamics(mode);
        let network = network(mode, seed);
        let source_masks = (0..n_steps as u32)
            .flat_map(|step| (0..(N_LGN + N_BACKGROUND) as u32).map(move |unit| (step, unit)))
            .map(|(step, unit)| {
                (0..n_trials).fold(0, |mask, trial| {
                    let spikes = uniform(seed, Stream::SourceSpikes, unit, step, trial) < 0.12;
                    mask | u32::from(spikes) << trial
                })
            })
            .collect();
        Self { network, dynamics, n_trials: n_trials as usize, n_steps, source_masks }
    }

    /// Neurons that all project to all. No other sources spike.
    pub(crate) fn dense(n: usize, n_trials: usize) -> Self {
        let (dynamics, n_steps) = (dynamics(Mode::TwoCompartment), 20);
        let mut network = network(Mode::TwoCompartment, 1);
        let neurons = &mut network.neurons;
        let n_own = neurons.len();
        let model = |i: usize| i * n_own / n;
        neurons.model_ix = (0..n).map(|i| neurons.model_ix[model(i)]).collect();
        neurons.population_ix = (0..n).map(|i| neurons.population_ix[model(i)]).collect();
        neurons.cell_type_ix = (0..n).map(|i| neurons.cell_type_ix[model(i)]).collect();
        let targets: Vec<u32> = (0..n as u32).map(|target| pack_target(target, 1)).collect();
        let n_sources = n + N_LGN + N_BACKGROUND;
        network.rows = Rows {
            offsets: (0..=n_sources).map(|source| (source.min(n) * n) as u64).collect(),
            targets: targets.repeat(n),
            weights: vec![1e-3; n * n],
        };
        set_table_delays(&mut network);
        let source_masks = vec![0; n_steps * (N_LGN + N_BACKGROUND)];
        Self { network, dynamics, n_trials, n_steps, source_masks }
    }
}

/// Dynamics at dt 1 ms with the shipped kinetics and delays.
pub(crate) fn dynamics(mode: Mode) -> Dynamics {
    let tables = tables();
    let (cell_mode, ports) = match mode {
        Mode::Point => (CellMode::Point, Ports::exact(&tables.kinetics, SynapseKind::Current)),
        Mode::TwoCompartment => {
            let counts = PortCounts { n_exc: 2, n_inh_soma: 2, n_inh_dendrite: 2 };
            let synapses = SynapseKind::Conductance { e_exc_mv: 0.0, e_inh_mv: -75.0 };
            let mode = CellMode::TwoCompartment { dendrite_fraction: 0.6, coupling_ratio: 3.0 };
            (mode, Ports::fitted(&tables.kinetics, counts, synapses).0)
        }
    };
    let max_delay_steps = tables.max_delay_steps(DT_MS);
    let surrogate = Surrogate { half_width: 0.6, height: 0.4 };
    Dynamics { mode: cell_mode, dt_ms: DT_MS, ports, max_delay_steps, surrogate, damping: Damping::default() }
}

fn network(mode: Mode, seed: u64) -> Network {
    let tables = tables();
    let cell_models = tables.cell_models();
    let drawn = |cell_type_ix: usize| {
        let of_type = models_of(&cell_models, cell_type_ix);
        (0..N_PER_TYPE as u32)
            .map(move |k| word(seed, Stream::CellParameters, cell_type_ix as u32, k, 0) as usize)
            .map(move |pick| of_type[pick % of_type.len()])
    };
    let model_ix: Vec<usize> = (0..N_CELL_TYPES).flat_map(drawn).collect();
    let n = model_ix.len();
    let type_of: Vec<usize> = model_ix.iter().map(|ix| cell_models[*ix].cell_type_ix).collect();
    // Peak pA or nS that makes PSPs of about a millivolt: one spike is not enough, several are.
    let (excitatory, inhibitory) = if mode == Mode::Point { (60.0, 40.0) } else { (1.2, 1.5) };
    let weight = |source: usize, target: usize| {
        let source_type = if source < n { type_of[source] } else { SOURCE_TYPE_LGN };
        let base =
            if class_is_inhibitory(CLASS_OF_SOURCE_TYPE[source_type]) { inhibitory } else { excitatory };
        let draw = |trial| uniform(seed, Stream::Connections, source as u32, target as u32, trial);
        let weight = base * (0.3 + 1.4 * draw(1)) * if source >= n { 2.0 } else { 1.0 };
        (source != target && draw(0) < 0.25).then_some(weight)
    };
    let units = [N_LGN, N_BACKGROUND];
    let mut network = super::network::network(tables.populations(), cell_models, &model_ix, units, weight);
    network.neurons.tuning_angle_deg = (0..n).map(|i| i as f32 * 360.0 / n as f32).collect();
    set_table_delays(&mut network);
    network
}

/// Gives every edge the delay that the shipped tables have for it.
pub(crate) fn set_table_delays(network: &mut Network) {
    let tables = tables();
    set_delays(network, |source, target| tables.delay_steps(source, target, DT_MS));
}

impl Circuit {
    /// First edge of the LGN units' rows.
    pub(crate) fn first_lgn_edge(&self) -> usize {
        self.network.rows.offsets[self.network.neurons.len()] as usize
    }

    /// First edge of the background units' rows.
    pub(crate) fn first_background_edge(&self) -> usize {
        self.network.rows.offsets[self.network.neurons.len() + self.network.n_lgn] as usize
    }
}

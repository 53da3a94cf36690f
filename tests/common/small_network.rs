//! Small random networks that are busy everywhere: all cell types, many spikes, held steps and potentials near threshold.
//! Figures are of the size of the fitted cells' and synapses', but random: a case serves to find wrong code, not to mean
//! anything.

use simrun::model::kinetics::{N_TARGET_TYPES, Ports};
use simrun::model::membrane::CellMode;
use simrun::model::rng::{Stream, uniform, uniform_f64, words};
use simrun::model::surrogate::Surrogate;
use simrun::model::{Damping, Dynamics};
use simrun::network::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, CellModel, N_CELL_TYPES, N_CLASSES, N_SOURCE_TYPES, Network,
    Population, class_is_inhibitory,
};
use simrun::reference::{Current, Parameters, PopulationSeeds, Problem, VoltagePenalty};

use super::set_delays;

/// A sequence of uniform random numbers.
pub(crate) struct Draws {
    seed: u64,
    n: u32,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, n: 0 }
    }

    /// Uniform between two numbers.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        self.n += 1;
        let [a, b, ..] = words(self.seed, Stream::Trials, self.n, 0, 0);
        low + (high - low) * uniform_f64(a, b)
    }

    /// Uniform between two numbers, n times.
    pub(crate) fn many(&mut self, n: usize, low: f64, high: f64) -> Vec<f64> {
        (0..n).map(|_| self.between(low, high)).collect()
    }
}

/// What makes one case differ from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) seed: u64,
    pub(crate) mode: CellMode,
    /// 4 to 6: shared among classes, as fitted; 2 N_CLASSES: exact double alphas.
    pub(crate) n_ports: usize,
    pub(crate) n_models: usize,
    pub(crate) n_steps: usize,
    pub(crate) max_delay: u32,
    pub(crate) arrival_scale: Option<f64>,
}

/// Point and two-compartment cells, with fitted and with exact ports, with short and long delays.
pub(crate) fn kinds() -> Vec<Kind> {
    let two = CellMode::TwoCompartment { dendrite_fraction: 0.6, coupling_ratio: 2.0 };
    let kind = |seed, mode, n_ports, n_models, n_steps, max_delay, arrival_scale| Kind {
        seed,
        mode,
        n_ports,
        n_models,
        n_steps,
        max_delay,
        arrival_scale,
    };
    vec![
        kind(11, CellMode::Point, 5, 24, 120, 7, None),
        kind(12, CellMode::Point, 20, 20, 90, 3, None),
        kind(13, two, 4, 24, 120, 5, None),
        kind(14, two, 6, 30, 150, 9, None),
        kind(15, two, 20, 19, 60, 2, None),
        kind(16, CellMode::Point, 4, 21, 100, 6, Some(64.0)),
        kind(17, two, 6, 21, 100, 4, Some(1024.0)),
    ]
}

/// A network with all that is needed to run it.
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) network: Network,
    pub(crate) dynamics: Dynamics,
    pub(crate) source_spikes: Vec<u32>,
    pub(crate) current_pa: Vec<f64>,
    pub(crate) seeds: Vec<f64>,
    /// Groups of each neuron, and the loss by their spikes.
    pub(crate) masks: Vec<u32>,
    pub(crate) population_seeds: Vec<f64>,
    pub(crate) parameters: Parameters<f64>,
}

const N_TRIALS: usize = 3;
const N_GROUPS: usize = 5;
const N_LGN: usize = 11;
const N_BACKGROUND: usize = 6;
const DT_MS: f64 = 0.5;

impl Case {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut draws = Draws::new(kind.seed);
        let mut network = network(&kind, &mut draws);
        let n_cells = network.neurons.len() * N_TRIALS;
        let ports = ports(&kind, &mut draws);
        let delays: Vec<u32> = (0..N_SOURCE_TYPES * N_CELL_TYPES)
            .map(|_| draws.between(1.0, f64::from(kind.max_delay) + 1.0) as u32)
            .collect();
        set_delays(&mut network, |source, target| delays[source * N_CELL_TYPES + target]);
        let dynamics = Dynamics {
            mode: kind.mode,
            dt_ms: DT_MS,
            ports,
            max_delay_steps: kind.max_delay,
            damping: Damping::default(),
            surrogate: Surrogate { half_width: draws.between(0.3, 0.6), height: 0.3 },
        };
        let n_units = (N_LGN + N_BACKGROUND) as u32;
        let mut source_spikes = Vec::new();
        for step in 0..kind.n_steps as u32 {
            for unit in 0..n_units {
                let spikes = |trial| uniform(kind.seed, Stream::SourceSpikes, unit, step, trial) < 0.12;
                source_spikes.push((0..N_TRIALS as u32).fold(0, |mask, k| mask | u32::from(spikes(k)) << k));
            }
        }
        // Up to twice the rheobase, so that every case spikes by itself and synapses decide when.
        let current_pa = (0..n_cells)
            .map(|i| {
                let cell = &network.cell_models[network.neurons.model_ix[i / N_TRIALS] as usize];
                draws.between(0.0, 2.0) * cell.g_ns * (cell.v_th_mv - cell.e_l_mv)
            })
            .collect();
        let seeds = draws.many(n_cells, -1.0, 1.0);
        let parameters = Parameters {
            weights: network.rows.weights.iter().map(|&w| f64::from(w)).collect(),
            ..random_parameters(&network, &mut draws, 1.0)
        };
        let masks = (0..network.neurons.len()).map(|_| draws.between(0.0, 32.0) as u32 & 0b1_0110).collect();
        let population_seeds = draws.many(kind.n_steps * N_GROUPS * N_TRIALS, -0.5, 0.5);
        Self {
            kind,
            network,
            dynamics,
            source_spikes,
            current_pa,
            seeds,
            masks,
            population_seeds,
            parameters,
        }
    }

    pub(crate) fn problem(&self) -> Problem<'_> {
        let n_steps = self.kind.n_steps;
        Problem {
            network: &self.network,
            dynamics: &self.dynamics,
            n_steps,
            n_trials: N_TRIALS,
            source_spikes: &self.source_spikes,
            current: Some(Current { pa: &self.current_pa, steps: 5..n_steps - 10 }),
            arrival_scale: self.kind.arrival_scale,
            seeds: &self.seeds,
            count_steps: n_steps / 4..n_steps - 3,
            voltage: Some(VoltagePenalty { weight: 2.0, x_low: 0.1, x_high: 0.7 }),
            hold_u_mv: None,
            potential_seeds: None,
            population: Some(PopulationSeeds {
                masks: &self.masks,
                n_groups: N_GROUPS,
                seeds: &self.population_seeds,
            }),
        }
    }

    /// A random direction in the space of the parameters, in proportion to their size.
    pub(crate) fn direction(&self, seed: u64) -> Parameters<f64> {
        let mut draws = Draws::new(seed);
        let weights = self.parameters.weights.iter().map(|w| w * draws.between(-1.0, 1.0)).collect();
        Parameters { weights, ..random_parameters(&self.network, &mut draws, 1.0) }
    }
}

/// Random offsets of the cell parameters and pair factors; no weights.
fn random_parameters(network: &Network, draws: &mut Draws, size: f64) -> Parameters<f64> {
    let spans = [0.2, 1.5, 5.0, 5.0, 0.3].map(|span| span * size);
    Parameters {
        weights: Vec::new(),
        theta: network.cell_models.iter().map(|_| spans.map(|s| draws.between(-s, s))).collect(),
        log_scale: draws.many(N_SOURCE_TYPES * N_CELL_TYPES, -0.2 * size, 0.2 * size),
    }
}

/// Two neurons of each cell model; every source reaches a third of the neurons.
fn network(kind: &Kind, draws: &mut Draws) -> Network {
    let cell_models: Vec<CellModel> = (0..kind.n_models)
        .map(|model_ix| {
            let cell_type_ix = model_ix * N_CELL_TYPES / kind.n_models;
            let e_l_mv = draws.between(-80.0, -68.0);
            let v_th_mv = e_l_mv + draws.between(18.0, 32.0);
            CellModel {
                id: model_ix as u64,
                population_ix: cell_type_ix,
                cell_type_ix,
                v_th_mv,
                e_l_mv,
                v_reset_mv: e_l_mv + draws.between(-3.0, 3.0),
                g_ns: draws.between(3.0, 14.0),
                c_m_pf: draws.between(50.0, 200.0),
                t_ref_ms: draws.between(0.9, 5.0),
                asc_amp_pa: [draws.between(-40.0, 10.0), draws.between(-80.0, 20.0)],
                asc_decay_per_ms: [draws.between(0.003, 0.03), draws.between(0.05, 0.3)],
            }
        })
        .collect();
    let populations = CELL_TYPES.iter().enumerate();
    let populations = populations.map(|(ix, name)| Population { name: (*name).to_owned(), cell_type_ix: ix });
    let model_ix: Vec<usize> = (0..2 * kind.n_models).map(|neuron| neuron / 2).collect();
    let largest = if kind.mode == CellMode::Point { 60.0 } else { 3.0 };
    let weight = |_, _| {
        let is_edge = draws.between(0.0, 1.0) < 0.33;
        is_edge.then(|| draws.between(0.05, 1.0).powi(2) as f32 * largest)
    };
    super::network::network(populations.collect(), cell_models, &model_ix, [N_LGN, N_BACKGROUND], weight)
}

/// Exact: ports 2c and 2c + 1 are the fast and slow alpha of class c. Fitted: every port is shared by the classes of its
/// sign (in point mode by all).
fn ports(kind: &Kind, draws: &mut Draws) -> Ports {
    let n_ports = kind.n_ports;
    let exact = n_ports == 2 * N_CLASSES;
    let point = kind.mode == CellMode::Point;
    let inhibitory_port = |p: usize| if exact { class_is_inhibitory(p / 2) } else { p % 2 == 1 };
    let mut tau_ms = Vec::new();
    let mut coef = Vec::new();
    for _ in 0..N_TARGET_TYPES {
        for p in 0..n_ports {
            tau_ms.push(if p % 2 == 0 { draws.between(1.0, 6.0) } else { draws.between(3.0, 25.0) });
        }
        for class_ix in 0..N_CLASSES {
            let inhibitory = class_is_inhibitory(class_ix);
            let sign = if point && inhibitory { -1.0 } else { 1.0 };
            for p in 0..n_ports {
                let takes = if exact { p / 2 == class_ix } else { point || inhibitory_port(p) == inhibitory };
                let share = draws.between(0.05, 0.8);
                coef.push(if takes { sign * share } else { 0.0 });
            }
        }
    }
    Ports {
        n_ports,
        n_classes: N_CLASSES,
        target_type_of: CLASS_OF_SOURCE_TYPE[..N_CELL_TYPES].to_vec(),
        tau_ms,
        coef,
        reversal_mv: (0..n_ports).map(|p| if inhibitory_port(p) { -78.0 } else { 0.0 }).collect(),
        on_soma: (0..n_ports).map(|p| if exact { p / 2 == 6 } else { p % 4 == 3 || p == 4 }).collect(),
    }
}

//! The f64 specification of a whole network's forward and adjoint pass, written for clarity. Never called by production
//! code: tests hold the kernels against it.
//!
//! The forward pass ([`forward`]) is generic over [`Real`]: with f64 it gives the values, with dual numbers the exact
//! derivative of the surrogate rule along one direction of all parameters. The adjoint pass ([`adjoint`]) is written by
//! hand in f64 (A1..A10 of docs/model.md) and gives the whole gradient. Constants, states, single steps and tapes are plain
//! values, so that a test can make, change and compare every one of them.
//!
//! Arrays have the layouts of the device, with the trial as the fastest index.

mod adjoint;
mod forward;

pub use adjoint::{
    AdjointPass, AdjointState, AdjointStep, Gradient, TapeStep, adjoint, adjoint_checkpointed, record,
};
pub use forward::{Forward, State, Step, forward, forward_observed, step_forward, transmit};

use std::ops::Range;

use crate::model::Dynamics;
use crate::model::cell::{CellConstants, CellState, cell_constants, resting_state};
use crate::model::membrane::N_CELL_PARAMETERS;
use crate::model::real::{Dual, Real};
use crate::network::{Network, target_delay_steps, target_neuron};

/// What is simulated and what is asked of it: everything but the learnable parameters.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// Neurons and edges. Its weights are not read: those of [`Parameters`] are.
    pub network: &'a Network,
    /// Cell mode, time step, ports, delays and surrogate.
    pub dynamics: &'a Dynamics,
    /// Number of time steps.
    pub n_steps: usize,
    /// Number of trials, 1 to 32.
    pub n_trials: usize,
    /// Spikes of the LGN units and then of the background units, `[n_steps][n_lgn + n_background]`; bit k is trial k.
    pub source_spikes: &'a [u32],
    /// Injected current.
    pub current: Option<Current<'a>>,
    /// Arrivals are whole multiples of 1/arrival_scale (E9), as on the device; None: exact.
    pub arrival_scale: Option<f64>,
    /// Derivative of the loss by a neuron's spike count, `[n_neurons][n_trials]`.
    pub seeds: &'a [f64],
    /// Steps whose spikes are counted.
    pub count_steps: Range<usize>,
    /// Voltage term of the loss.
    pub voltage: Option<VoltagePenalty>,
    /// Potential above E_L at which each cell starts, held there by a steady current that flows throughout and follows from
    /// the cell's parameters, `[n_neurons][n_trials]` mV; None: at rest.
    pub hold_u_mv: Option<&'a [f64]>,
    /// Potentials that the loss looks at.
    pub potential_seeds: Option<PotentialSeeds<'a>>,
    /// Spikes of groups that the loss looks at.
    pub population: Option<PopulationSeeds<'a>>,
}

/// A linear term of the loss: value x u_s' of one step of each cell, both `[n_neurons][n_trials]`.
#[derive(Clone, Copy, Debug)]
pub struct PotentialSeeds<'a> {
    /// The step.
    pub steps: &'a [u32],
    /// The derivative of the loss by u_s' of that step, 1/mV.
    pub values: &'a [f64],
}

/// A linear term of the loss: the spikes of each group of neurons in each step and trial.
#[derive(Clone, Copy, Debug)]
pub struct PopulationSeeds<'a> {
    /// Bit g of a neuron's mask for group g, `[n_neurons]`.
    pub masks: &'a [u32],
    /// Number of groups.
    pub n_groups: usize,
    /// The derivative of the loss by each count, `[n_steps][n_groups][n_trials]`.
    pub seeds: &'a [f64],
}

/// A current into the somata, constant over a window of steps.
#[derive(Clone, Debug)]
pub struct Current<'a> {
    /// `[n_neurons][n_trials]` pA.
    pub pa: &'a [f64],
    /// Steps in which it flows.
    pub steps: Range<usize>,
}

/// The voltage term of the loss (E5): weight x mean over neurons, steps and trials of
/// relu(x - x_high)^2 + relu(x_low - x)^2, with x = u_s'/u_scale; zero while held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoltagePenalty {
    /// Factor of the mean.
    pub weight: f64,
    /// Lower end of the free range, in units of V_th - E_L.
    pub x_low: f64,
    /// Upper end of the free range, in units of V_th - E_L.
    pub x_high: f64,
}

impl VoltagePenalty {
    /// Penalty of one potential.
    fn value<T: Real>(&self, x: T) -> T {
        if x.value() > self.x_high {
            (x - T::of(self.x_high)) * (x - T::of(self.x_high))
        } else if x.value() < self.x_low {
            (T::of(self.x_low) - x) * (T::of(self.x_low) - x)
        } else {
            T::of(0.0)
        }
    }

    /// Derivative of the penalty by x.
    fn slope(&self, x: f64) -> f64 {
        2.0 * (x - self.x_high).max(0.0) - 2.0 * (self.x_low - x).max(0.0)
    }
}

impl<'a> Problem<'a> {
    /// A batch whose spikes all count, without current, voltage term or rounding of arrivals.
    pub fn new(
        network: &'a Network,
        dynamics: &'a Dynamics,
        [n_steps, n_trials]: [usize; 2],
        source_spikes: &'a [u32],
        seeds: &'a [f64],
    ) -> Self {
        Self {
            network,
            dynamics,
            n_steps,
            n_trials,
            source_spikes,
            current: None,
            arrival_scale: None,
            seeds,
            count_steps: 0..n_steps,
            voltage: None,
            hold_u_mv: None,
            potential_seeds: None,
            population: None,
        }
    }
}

impl Problem<'_> {
    /// Number of neurons.
    pub fn n_neurons(&self) -> usize {
        self.network.neurons.len()
    }

    /// Slots of the arrivals ring: a spike of step n reaches slots up to n + max_delay, while slot n is being read.
    pub fn n_slots(&self) -> usize {
        self.dynamics.max_delay_steps as usize + 1
    }

    /// Number of synaptic classes.
    fn n_classes(&self) -> usize {
        self.dynamics.ports.n_classes
    }

    /// Index into a ring `[n_slots][n_classes][n_neurons][n_trials]` of what arrives in `step`, for trial 0.
    pub fn ring_ix(&self, step: usize, class_ix: usize, neuron_ix: usize) -> usize {
        (((step % self.n_slots()) * self.n_classes() + class_ix) * self.n_neurons() + neuron_ix)
            * self.n_trials
    }

    /// Length of a ring of arrivals.
    pub fn ring_len(&self) -> usize {
        self.n_slots() * self.n_classes() * self.n_neurons() * self.n_trials
    }

    /// Number of (neuron, trial) pairs: length of the arrays `[n_neurons][n_trials]`.
    pub fn n_cells(&self) -> usize {
        self.n_neurons() * self.n_trials
    }

    /// Cell model of a neuron.
    fn model_ix(&self, neuron_ix: usize) -> usize {
        self.network.neurons.model_ix[neuron_ix] as usize
    }

    /// Whether a unit spikes in a step and trial; `unit_ix` counts LGN units, then background units.
    fn unit_spikes(&self, step: usize, unit_ix: usize, trial: usize) -> bool {
        let n_units = self.network.n_lgn + self.network.n_background;
        self.source_spikes[step * n_units + unit_ix] >> trial & 1 == 1
    }

    /// dL/dz of a spike in a step, by the counts alone.
    fn seed(&self, step: usize, cell_ix: usize) -> f64 {
        let by_count = if self.count_steps.contains(&step) { self.seeds[cell_ix] } else { 0.0 };
        by_count + self.population_seed(step, cell_ix)
    }

    /// dL/dz of a spike in a step, by the counts of its groups.
    fn population_seed(&self, step: usize, cell_ix: usize) -> f64 {
        let Some(population) = &self.population else { return 0.0 };
        let (neuron, trial) = (cell_ix / self.n_trials, cell_ix % self.n_trials);
        let groups = (0..population.n_groups).filter(|g| population.masks[neuron] >> g & 1 == 1);
        groups.map(|g| population.seeds[(step * population.n_groups + g) * self.n_trials + trial]).sum()
    }

    /// dL/du_s' of a step, by the potential seeds alone.
    fn potential_seed(&self, step: usize, cell_ix: usize) -> f64 {
        match &self.potential_seeds {
            Some(seeds) if seeds.steps[cell_ix] as usize == step => seeds.values[cell_ix],
            _ => 0.0,
        }
    }

    /// The current that holds a cell (0 where none does), pA, and the state that it starts from.
    fn held_start<T: Real>(&self, cells: &[CellConstants<T>], cell_ix: usize) -> (T, CellState<T>) {
        let u_mv = self.hold_u_mv.map_or(0.0, |u| u[cell_ix]);
        resting_state(&cells[self.model_ix(cell_ix / self.n_trials)], T::of(u_mv))
    }

    /// Constants of the cell models with learned offsets, `[n_models]`.
    fn cell_constants<T: Real>(&self, theta: &[[T; N_CELL_PARAMETERS]]) -> Vec<CellConstants<T>> {
        let Dynamics { mode, dt_ms, ports, .. } = self.dynamics;
        let models = self.network.cell_models.iter().zip(theta);
        models
            .map(|(cell, theta)| {
                cell_constants(cell, *mode, &ports.of_cell(cell.cell_type_ix), *dt_ms, theta)
            })
            .collect()
    }

    /// Current into a cell in a step, pA.
    fn current_pa(&self, step: usize, cell_ix: usize) -> f64 {
        match &self.current {
            Some(current) if current.steps.contains(&step) => current.pa[cell_ix],
            _ => 0.0,
        }
    }

    /// The weight of the voltage term over the number of samples of its mean.
    fn voltage_scale(&self) -> f64 {
        self.voltage.map_or(0.0, |v| v.weight / (self.n_cells() as f64 * self.n_steps as f64))
    }

    /// Edges of a source: (edge index, target neuron, delay in steps, pair type).
    fn edges(&self, source_ix: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let rows = &self.network.rows;
        let source_type = self.network.source_type(source_ix);
        let n_cell_types = self.network.vocabulary.n_cell_types();
        let row = rows.offsets[source_ix] as usize..rows.offsets[source_ix + 1] as usize;
        row.map(move |edge_ix| {
            let word = rows.targets[edge_ix];
            let pair_ix = source_type * n_cell_types + self.network.neurons.target_cell_type(word);
            (edge_ix, target_neuron(word) as usize, target_delay_steps(word) as usize, pair_ix)
        })
    }

    /// Synaptic class of a source.
    fn class_ix(&self, source_ix: usize) -> usize {
        self.network.vocabulary.class_of_source_type[self.network.source_type(source_ix)]
    }
}

/// The learnable parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<T> {
    /// Weights before the pair factor, `[n_edges]` nS (two compartments) or pA (point).
    pub weights: Vec<T>,
    /// Offsets of the cell parameters from their measured values, `[n_models]`, in the order of
    /// [`crate::model::membrane::LEARNABLE`].
    pub theta: Vec<[T; N_CELL_PARAMETERS]>,
    /// Logarithm of the factor on all weights of a pair type, `[n_pair_types]`.
    pub log_scale: Vec<T>,
}

impl<T: Real> Parameters<T> {
    /// The network's own weights, measured cells, pair factors of one.
    pub fn of_network(network: &Network) -> Self {
        Self {
            weights: network.rows.weights.iter().map(|&w| T::of(f64::from(w))).collect(),
            theta: vec![[T::of(0.0); N_CELL_PARAMETERS]; network.cell_models.len()],
            log_scale: vec![T::of(0.0); network.vocabulary.n_pair_types()],
        }
    }
}

impl Parameters<f64> {
    /// The parameters moved by `length` times `direction`.
    pub fn moved(&self, direction: &Self, length: f64) -> Self {
        self.combine(direction, |x, d| x + length * d)
    }

    /// Dual numbers that carry the derivative along `direction`.
    pub fn along(&self, direction: &Self) -> Parameters<Dual> {
        self.combine(direction, Dual::new)
    }

    fn combine<T>(&self, other: &Self, f: impl Fn(f64, f64) -> T) -> Parameters<T> {
        let all = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect();
        Parameters {
            weights: all(&self.weights, &other.weights),
            theta: self
                .theta
                .iter()
                .zip(&other.theta)
                .map(|(a, b)| std::array::from_fn(|i| f(a[i], b[i])))
                .collect(),
            log_scale: all(&self.log_scale, &other.log_scale),
        }
    }
}

/// What dt and the parameters make of the network: all that a step multiplies with.
#[derive(Clone, Debug, PartialEq)]
pub struct Constants<T> {
    /// `[n_models]`.
    pub cells: Vec<CellConstants<T>>,
    /// What one arrival adds to a rise variable (E8), `[n_target_types][n_classes][n_ports]` 1/ms.
    pub gain_per_ms: Vec<f64>,
    /// Weights times their pair factor, `[n_edges]`.
    pub weights: Vec<T>,
    /// Pair scales, `[n_pair_types]`.
    pub scales: Vec<T>,
    /// Holding currents, `[n_neurons][n_trials]` pA.
    pub hold_pa: Vec<T>,
}

impl<T: Real> Constants<T> {
    /// Constants for these parameters.
    pub fn new(problem: &Problem, parameters: &Parameters<T>) -> Self {
        let ports = &problem.dynamics.ports;
        let scales: Vec<T> = parameters.log_scale.iter().map(|s| s.exp()).collect();
        let mut weights = parameters.weights.clone();
        for source_ix in 0..problem.network.n_sources() {
            for (edge_ix, _, _, pair_ix) in problem.edges(source_ix) {
                weights[edge_ix] = scales[pair_ix] * weights[edge_ix];
            }
        }
        let mut gain_per_ms = Vec::new();
        for type_ix in 0..ports.n_target_types() {
            for class_ix in 0..ports.n_classes {
                gain_per_ms.extend((0..ports.n_ports).map(|p| ports.gain_per_ms(type_ix, class_ix, p)));
            }
        }
        let cells = problem.cell_constants(&parameters.theta);
        Self {
            hold_pa: (0..problem.n_cells()).map(|i| problem.held_start(&cells, i).0).collect(),
            cells,
            gain_per_ms,
            weights,
            scales,
        }
    }

    /// Gains of a class on the ports of a neuron, `[n_ports]`.
    fn gains(&self, problem: &Problem, neuron_ix: usize, class_ix: usize) -> &[f64] {
        let cell_type_ix = problem.network.neurons.cell_type_ix[neuron_ix] as usize;
        let n_ports = problem.dynamics.ports.n_ports;
        let target_type = problem.dynamics.ports.target_type_of[cell_type_ix];
        let first = (target_type * problem.n_classes() + class_ix) * n_ports;
        &self.gain_per_ms[first..first + n_ports]
    }
}

/// How a neuron spikes.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// E3 and E6; the surrogate enters as the derivative of z.
    Hard,
    /// As `Hard`, but the cells spike as this record says, `[n_steps][n_neurons]` with bit k for trial k. A device in f32
    /// decides otherwise within a narrow band around threshold, after which two runs part; given its spikes they stay
    /// together and can be compared number by number.
    Replay(&'a [u32]),
    /// The Taylor variant: resets, jumps and held steps follow this schedule, `[n_steps][n_neurons]` with bit k for trial
    /// k (the `spikes` of a hard run); what is transmitted and counted is the antiderivative of psi, zero while held.
    Smooth(&'a [u32]),
}

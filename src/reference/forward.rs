//! The forward pass (E1..E10) and the loss.

use super::{Constants, Mode, Parameters, Problem};
use crate::model::cell::{CellState, advance_membrane, advance_ports, count_refractory, reset_after_spike};
use crate::model::real::Real;

/// Everything that a step starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct State<T> {
    /// `[n_neurons][n_trials]`.
    pub cells: Vec<CellState<T>>,
    /// Ring of what arrives in this step and the next max_delay, `[n_slots][n_classes][n_neurons][n_trials]`; step n reads
    /// slot n mod n_slots ([`Problem::ring_ix`]).
    pub arrivals: Vec<T>,
}

impl<T: Real> State<T> {
    /// All at rest or held, nothing on its way.
    pub fn at_start(problem: &Problem, constants: &Constants<T>) -> Self {
        Self {
            cells: (0..problem.n_cells()).map(|i| problem.held_start(&constants.cells, i).1).collect(),
            arrivals: vec![T::of(0.0); problem.ring_len()],
        }
    }
}

/// What one step does beside changing the state; all `[n_neurons][n_trials]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<T> {
    /// u_s', the somatic potential before any reset, mV.
    pub u_mv: Vec<T>,
    /// Whether the soma was held.
    pub held: Vec<bool>,
    /// Whether the cell was reset.
    pub spiked: Vec<bool>,
    /// What the cell transmits: the spike, or in the Taylor variant the smooth spike.
    pub z: Vec<T>,
    /// Surrogate derivative of z by the potential, 1/mV.
    pub psi: Vec<f64>,
    /// Sum of the voltage penalties (E5) of this step, not yet weighted.
    pub penalty: T,
}

/// Takes the state over one step and says what happened in it.
pub fn step_forward<T: Real>(
    problem: &Problem,
    constants: &Constants<T>,
    mode: Mode,
    state: &mut State<T>,
    step: usize,
) -> Step<T> {
    let n = problem.n_cells();
    let mut out = Step {
        u_mv: Vec::with_capacity(n),
        held: Vec::with_capacity(n),
        spiked: Vec::with_capacity(n),
        z: Vec::with_capacity(n),
        psi: Vec::with_capacity(n),
        penalty: T::of(0.0),
    };
    for neuron_ix in 0..problem.n_neurons() {
        for trial in 0..problem.n_trials {
            advance_cell(problem, constants, mode, state, step, neuron_ix, trial, &mut out);
        }
    }
    transmit(problem, &constants.weights, &mut state.arrivals, step, &out.z, &out.psi);
    out
}

/// One cell in one trial (E1..E8), appended to `out`.
#[allow(clippy::too_many_arguments)] // the indices of one cell; a struct for them would be read once
fn advance_cell<T: Real>(
    problem: &Problem,
    constants: &Constants<T>,
    mode: Mode,
    state: &mut State<T>,
    step: usize,
    neuron_ix: usize,
    trial: usize,
    out: &mut Step<T>,
) {
    let dynamics = problem.dynamics;
    let cell_ix = neuron_ix * problem.n_trials + trial;
    let model_ix = problem.model_ix(neuron_ix);
    let cell = &constants.cells[model_ix];
    let cell_state = &mut state.cells[cell_ix];

    let held = cell_state.refractory > 0;
    let current_pa = T::of(problem.current_pa(step, cell_ix)) + constants.hold_pa[cell_ix];
    let u_mv = advance_membrane(cell, cell_state, dynamics.dt_ms, current_pa);

    let (threshold_mv, scale_mv) = (cell.threshold_mv, cell.threshold_scale_mv);
    let spiked = match mode {
        Mode::Hard => !held && u_mv.value() > threshold_mv.value(),
        Mode::Replay(record) | Mode::Smooth(record) => {
            record[step * problem.n_neurons() + neuron_ix] >> trial & 1 == 1
        }
    };
    let transmitted = match mode {
        Mode::Hard | Mode::Replay(_) => f64::from(u8::from(spiked)),
        Mode::Smooth(_) => dynamics.surrogate.smooth_spike(u_mv.value(), threshold_mv.value(), scale_mv),
    };
    let (z, psi) = if held {
        (T::of(0.0), 0.0)
    } else {
        let psi = dynamics.surrogate.psi(u_mv.value(), threshold_mv.value(), scale_mv);
        (dynamics.surrogate.spike(transmitted, u_mv, threshold_mv, scale_mv), psi)
    };
    if let (Some(voltage), false) = (&problem.voltage, held) {
        out.penalty = out.penalty + voltage.value(u_mv / T::of(scale_mv));
    }
    if spiked {
        reset_after_spike(cell, cell_state);
    } else {
        count_refractory(cell_state);
    }

    let mut input = vec![T::of(0.0); cell.port_decay.len()];
    for class_ix in 0..problem.n_classes() {
        let arrived = state.arrivals[problem.ring_ix(step, class_ix, neuron_ix) + trial];
        for (sum, gain) in input.iter_mut().zip(constants.gains(problem, neuron_ix, class_ix)) {
            *sum = *sum + T::of(*gain) * arrived;
        }
    }
    advance_ports(cell, cell_state, dynamics.dt_ms, &input);

    out.u_mv.push(u_mv);
    out.held.push(held);
    out.spiked.push(spiked);
    out.z.push(z);
    out.psi.push(psi);
}

/// E9, E10: empties the slot that `step` has read, then adds what all sources send in `step` to the ring `arrivals`.
/// `weights` are those of [`Constants`]; `z` and `psi` are those of the step.
pub fn transmit<T: Real>(
    problem: &Problem,
    weights: &[T],
    arrivals: &mut [T],
    step: usize,
    z: &[T],
    psi: &[f64],
) {
    let n_neurons = problem.n_neurons();
    let read = problem.ring_ix(step, 0, 0);
    arrivals[read..read + problem.n_classes() * problem.n_cells()].fill(T::of(0.0));
    for source_ix in 0..problem.network.n_sources() {
        let class_ix = problem.class_ix(source_ix);
        for trial in 0..problem.n_trials {
            let cell_ix = source_ix * problem.n_trials + trial;
            let sent = if source_ix < n_neurons {
                // A neuron that is silent still carries a derivative where psi is not 0.
                if z[cell_ix].value() == 0.0 && psi[cell_ix] == 0.0 {
                    continue;
                }
                z[cell_ix]
            } else if problem.unit_spikes(step, source_ix - n_neurons, trial) {
                T::of(1.0)
            } else {
                continue;
            };
            for (edge_ix, target_ix, delay, _) in problem.edges(source_ix) {
                let mut amount = sent * weights[edge_ix];
                if let Some(scale) = problem.arrival_scale {
                    // The rounding has no derivative of its own (docs/model.md, What is not differentiated).
                    amount = amount.with_slope((amount.value() * scale).round_ties_even() / scale, 1.0);
                }
                let slot = &mut arrivals[problem.ring_ix(step + delay, class_ix, target_ix) + trial];
                *slot = *slot + amount;
            }
        }
    }
}

/// Result of a forward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward<T> {
    /// Spikes counted in `count_steps`, `[n_neurons][n_trials]`.
    pub counts: Vec<T>,
    /// Voltage term of the loss.
    pub voltage: T,
    /// Sum of seeds times counts and of potential seeds times potentials, plus the voltage term: the function that the
    /// adjoint differentiates.
    pub loss: T,
    /// Cells that were reset, `[n_steps][n_neurons]`, bit k for trial k.
    pub spikes: Vec<u32>,
}

/// The forward pass from the start.
pub fn forward<T: Real>(problem: &Problem, parameters: &Parameters<T>, mode: Mode) -> Forward<T> {
    forward_observed(problem, &Constants::new(problem, parameters), mode, |_, _, _| ())
}

/// The forward pass from the start; `observe` gets every step, the state it ended in and what it did.
pub fn forward_observed<T: Real>(
    problem: &Problem,
    constants: &Constants<T>,
    mode: Mode,
    mut observe: impl FnMut(usize, &State<T>, &Step<T>),
) -> Forward<T> {
    let mut state = State::at_start(problem, constants);
    let mut counts = vec![T::of(0.0); problem.n_cells()];
    let mut penalty = T::of(0.0);
    let mut potentials = T::of(0.0);
    let mut spikes = Vec::with_capacity(problem.n_steps * problem.n_neurons());
    for step in 0..problem.n_steps {
        let out = step_forward(problem, constants, mode, &mut state, step);
        penalty = penalty + out.penalty;
        for (cell_ix, u_mv) in out.u_mv.iter().enumerate() {
            potentials = potentials + T::of(problem.potential_seed(step, cell_ix)) * *u_mv;
        }
        for (cell_ix, z) in out.z.iter().enumerate() {
            potentials = potentials + T::of(problem.population_seed(step, cell_ix)) * *z;
        }
        if problem.count_steps.contains(&step) {
            for (count, z) in counts.iter_mut().zip(&out.z) {
                *count = *count + *z;
            }
        }
        spikes.extend(out.spiked.chunks(problem.n_trials).map(trial_mask));
        observe(step, &state, &out);
    }
    let voltage = T::of(problem.voltage_scale()) * penalty;
    let loss = counts
        .iter()
        .zip(problem.seeds)
        .fold(voltage + potentials, |sum, (count, seed)| sum + T::of(*seed) * *count);
    Forward { counts, voltage, loss, spikes }
}

/// One bit per trial.
fn trial_mask(trials: &[bool]) -> u32 {
    trials.iter().enumerate().fold(0, |mask, (trial, &bit)| mask | u32::from(bit) << trial)
}

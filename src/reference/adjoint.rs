//! The adjoint pass (A1..A10), by hand in f64.

use std::ops::Range;

use super::{Constants, Mode, Parameters, Problem, State, Step, step_forward, transmit};
use crate::model::cell::CellState;
use crate::model::membrane::{AFTER_SPIKE_1, AdjointCell, N_CELL_PARAMETERS, Seen, THRESHOLD, undo};
use crate::model::real::{Dual, Real};

/// Derivative of the loss by every learnable parameter: shapes of [`Parameters`].
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// By the weights before the pair factor, `[n_edges]`.
    pub weights: Vec<f64>,
    /// By the cell parameters, `[n_models]`.
    pub theta: Vec<[f64; N_CELL_PARAMETERS]>,
    /// By the logarithms of the pair factors, `[n_pair_types]`.
    pub log_scale: Vec<f64>,
}

impl Gradient {
    /// Derivative of the loss along a direction.
    pub fn along(&self, direction: &Parameters<f64>) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(&self.weights, &direction.weights)
            + dot(self.theta.as_flattened(), direction.theta.as_flattened())
            + dot(&self.log_scale, &direction.log_scale)
    }
}

/// What the adjoint of one step needs to know of the step.
#[derive(Clone, Debug, PartialEq)]
pub struct TapeStep {
    /// State that the step started from, `[n_neurons][n_trials]`.
    pub before: Vec<CellState<f64>>,
    /// What the step did.
    pub out: Step<f64>,
}

/// Takes `state` through `steps` and records them.
pub fn record(
    problem: &Problem,
    constants: &Constants<f64>,
    mode: Mode,
    state: &mut State<f64>,
    steps: Range<usize>,
) -> Vec<TapeStep> {
    steps
        .map(|step| {
            let before = state.cells.clone();
            TapeStep { before, out: step_forward(problem, constants, mode, state, step) }
        })
        .collect()
}

/// The whole gradient, with every step on the tape.
pub fn adjoint(problem: &Problem, parameters: &Parameters<f64>, mode: Mode) -> Gradient {
    let mut pass = AdjointPass::new(problem, parameters);
    let mut state = State::at_start(problem, &pass.constants);
    let tape = record(problem, &pass.constants, mode, &mut state, 0..problem.n_steps);
    for (step, tape_step) in tape.iter().enumerate().rev() {
        pass.undo_step(step, tape_step);
    }
    pass.undo_start(parameters);
    pass.into_gradient()
}

/// The whole gradient with the tape of one segment of `segment_steps` at a time. Kept from the first forward pass are the
/// cells at the start of each segment and what was transmitted in every step; from these the arrivals ring is rebuilt
/// and the segment run again. Equal to [`adjoint`] in every bit.
pub fn adjoint_checkpointed(
    problem: &Problem,
    parameters: &Parameters<f64>,
    mode: Mode,
    segment_steps: usize,
) -> Gradient {
    let mut pass = AdjointPass::new(problem, parameters);
    let mut state = State::at_start(problem, &pass.constants);
    let mut checkpoints = Vec::new();
    let mut transmitted = Vec::new();
    for step in 0..problem.n_steps {
        if step % segment_steps == 0 {
            checkpoints.push(state.cells.clone());
        }
        transmitted.push(step_forward(problem, &pass.constants, mode, &mut state, step).z);
    }
    for (segment, cells) in checkpoints.into_iter().enumerate().rev() {
        let first = segment * segment_steps;
        let steps = first..(first + segment_steps).min(problem.n_steps);
        let arrivals = rebuild_arrivals(problem, &pass.constants, &transmitted, first);
        let mut state = State { cells, arrivals };
        let tape = record(problem, &pass.constants, mode, &mut state, steps.clone());
        for (step, tape_step) in steps.zip(&tape).rev() {
            pass.undo_step(step, tape_step);
        }
    }
    pass.undo_start(parameters);
    pass.into_gradient()
}

/// The arrivals ring at the start of `step` from what was transmitted in the max_delay steps before it.
fn rebuild_arrivals(
    problem: &Problem,
    constants: &Constants<f64>,
    transmitted: &[Vec<f64>],
    step: usize,
) -> Vec<f64> {
    let mut arrivals = vec![0.0; problem.ring_len()];
    let psi = vec![0.0; problem.n_cells()]; // derivatives are of no interest here
    let first = step.saturating_sub(problem.dynamics.max_delay_steps as usize);
    for (earlier, z) in transmitted.iter().enumerate().take(step).skip(first) {
        transmit(problem, &constants.weights, &mut arrivals, earlier, z, &psi);
    }
    arrivals
}

/// Derivative of the loss by everything that a step ends in.
#[derive(Clone, Debug, PartialEq)]
pub struct AdjointState {
    /// `[n_neurons][n_trials]`.
    pub cells: Vec<AdjointCell>,
    /// By what arrives in a step, a ring `[n_slots][n_classes][n_neurons][n_trials]` as that of the forward pass
    /// ([`Problem::ring_ix`]). Once step n is undone it holds the slots of steps n to n + max_delay.
    pub arrivals: Vec<f64>,
}

impl AdjointState {
    /// After the last step nothing matters any more.
    pub fn at_end(problem: &Problem) -> Self {
        let n_ports = problem.dynamics.ports.n_ports;
        let (rise, g) = (vec![0.0; n_ports], vec![0.0; n_ports]);
        let cell = AdjointCell { u_s: 0.0, u_d: 0.0, asc: [0.0; 2], rise, g };
        Self { cells: vec![cell; problem.n_cells()], arrivals: vec![0.0; problem.ring_len()] }
    }
}

/// What undoing one step computes on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct AdjointStep {
    /// adj_z of the step, `[n_neurons][n_trials]`.
    pub z: Vec<f64>,
    /// adj_arrivals of the step, `[n_classes][n_neurons][n_trials]`.
    pub arrivals: Vec<f64>,
}

/// The adjoint pass on its way from the last step to the first.
#[derive(Clone, Debug)]
pub struct AdjointPass<'a> {
    /// What is differentiated.
    pub problem: Problem<'a>,
    /// Constants of the forward step.
    pub constants: Constants<f64>,
    /// Derivative by the state after the step that is undone next.
    pub state: AdjointState,
    /// Derivative by the holding currents, `[n_neurons][n_trials]` 1/pA.
    pub hold: Vec<f64>,
    /// The gradient so far; its weights are the scaled ones until [`AdjointPass::into_gradient`].
    pub gradient: Gradient,
}

impl<'a> AdjointPass<'a> {
    /// The pass before its first step, which is the last of the forward pass.
    pub fn new(problem: &Problem<'a>, parameters: &Parameters<f64>) -> Self {
        Self {
            problem: problem.clone(),
            constants: Constants::new(problem, parameters),
            state: AdjointState::at_end(problem),
            hold: vec![0.0; problem.n_cells()],
            gradient: Gradient {
                weights: vec![0.0; problem.network.rows.n_edges()],
                theta: vec![[0.0; N_CELL_PARAMETERS]; problem.network.cell_models.len()],
                log_scale: vec![0.0; problem.network.vocabulary.n_pair_types()],
            },
        }
    }

    /// Undoes one step: takes the adjoint of the state at its end to that at its start and adds to the gradient.
    pub fn undo_step(&mut self, step: usize, tape: &TapeStep) -> AdjointStep {
        let n_trials = self.problem.n_trials;
        let adj_z = self.gather(step, &tape.out.z);
        self.arrivals(step);
        for neuron_ix in 0..self.problem.n_neurons() {
            for trial in 0..n_trials {
                let cell_ix = neuron_ix * n_trials + trial;
                self.undo_cell(step, neuron_ix, cell_ix, tape, adj_z[cell_ix]);
            }
        }
        let first = self.problem.ring_ix(step, 0, 0);
        let slot = first..first + self.problem.n_classes() * self.problem.n_cells();
        AdjointStep { z: adj_z, arrivals: self.state.arrivals[slot].to_vec() }
    }

    /// A9: adj_z of all neurons, where what comes back through spikes is damped, and the gradient of the weights of all sources.
    fn gather(&mut self, step: usize, z: &[f64]) -> Vec<f64> {
        let problem = &self.problem;
        let recurrent = problem.dynamics.damping.recurrent;
        let mut adj_z: Vec<f64> = (0..problem.n_cells()).map(|cell_ix| problem.seed(step, cell_ix)).collect();
        for source_ix in 0..problem.network.n_sources() {
            let class_ix = problem.class_ix(source_ix);
            let unit_ix = source_ix.checked_sub(problem.n_neurons());
            for (edge_ix, target_ix, delay, _) in problem.edges(source_ix) {
                let slot = problem.ring_ix(step + delay, class_ix, target_ix);
                for trial in 0..problem.n_trials {
                    let adj_arrivals = self.state.arrivals[slot + trial];
                    let cell_ix = source_ix * problem.n_trials + trial;
                    let sent = match unit_ix {
                        Some(unit_ix) => f64::from(u8::from(problem.unit_spikes(step, unit_ix, trial))),
                        None => {
                            adj_z[cell_ix] += recurrent * self.constants.weights[edge_ix] * adj_arrivals;
                            z[cell_ix]
                        }
                    };
                    self.gradient.weights[edge_ix] += sent * adj_arrivals;
                }
            }
        }
        adj_z
    }

    /// A8: adj_arrivals of this step, from adj_rise after it, into the slot that the step read.
    fn arrivals(&mut self, step: usize) {
        let problem = &self.problem;
        for class_ix in 0..problem.n_classes() {
            for neuron_ix in 0..problem.n_neurons() {
                let gains = self.constants.gains(problem, neuron_ix, class_ix);
                for trial in 0..problem.n_trials {
                    let cell = &self.state.cells[neuron_ix * problem.n_trials + trial];
                    self.state.arrivals[problem.ring_ix(step, class_ix, neuron_ix) + trial] =
                        gains.iter().zip(&cell.rise).map(|(gain, adj_rise)| gain * adj_rise).sum();
                }
            }
        }
    }

    /// A2..A7 of one cell in one trial.
    fn undo_cell(&mut self, step: usize, neuron_ix: usize, cell_ix: usize, tape: &TapeStep, adj_z: f64) {
        let problem = &self.problem;
        let model_ix = problem.model_ix(neuron_ix);
        let cell = &self.constants.cells[model_ix];
        let (before, psi) = (&tape.before[cell_ix], tape.out.psi[cell_ix]);
        let (held, spiked) = (tape.out.held[cell_ix], tape.out.spiked[cell_ix]);
        let adj = &mut self.state.cells[cell_ix];
        let grad = &mut self.gradient.theta[model_ix];

        // A4/A3: through the reset, the spike and the voltage penalty to u_s' and u_d'.
        let mut out_s = 0.0;
        if !held {
            out_s = if spiked { 0.0 } else { adj.u_s } + psi * adj_z + problem.potential_seed(step, cell_ix);
            if let Some(voltage) = &problem.voltage {
                let scale_mv = cell.threshold_scale_mv;
                out_s +=
                    problem.voltage_scale() * voltage.slope(tape.out.u_mv[cell_ix] / scale_mv) / scale_mv;
            }
            grad[THRESHOLD] -= psi * adj_z;
        }

        // A2 and A7.
        let mut drive_pa = problem.current_pa(step, cell_ix) + self.constants.hold_pa[cell_ix];
        for k in 0..2 {
            drive_pa += cell.asc_mean[k] * before.asc_pa[k];
        }
        let seen = Seen { cell, before, held, drive_pa, dt_ms: problem.dynamics.dt_ms };
        let adj_drive = undo(&seen, out_s, adj, grad);
        adj.u_s *= problem.dynamics.damping.membrane;
        adj.u_d *= problem.dynamics.damping.membrane;
        self.hold[cell_ix] += adj_drive;

        // A6: through the jump and the decay of the after-spike currents.
        if !held {
            for k in 0..2 {
                let mut adj_asc = adj.asc[k];
                if spiked {
                    grad[AFTER_SPIKE_1 + k] += adj_asc;
                    adj_asc *= cell.asc_keep[k];
                }
                adj.asc[k] = cell.asc_decay[k] * adj_asc + cell.asc_mean[k] * adj_drive;
            }
        }
    }

    /// A11: the holding currents and the dendrites' potentials at the start follow from the cell parameters. After the first
    /// step has been undone.
    pub fn undo_start(&mut self, parameters: &Parameters<f64>) {
        let problem = &self.problem;
        for k in 0..N_CELL_PARAMETERS {
            let along_k = parameters.theta.iter().map(|theta| {
                let mut theta = theta.map(Dual::of);
                theta[k].d = 1.0;
                theta
            });
            let cells = problem.cell_constants(&along_k.collect::<Vec<_>>());
            for (cell_ix, adj) in self.state.cells.iter().enumerate() {
                let (hold_pa, start) = problem.held_start(&cells, cell_ix);
                self.gradient.theta[problem.model_ix(cell_ix / problem.n_trials)][k] +=
                    self.hold[cell_ix] * hold_pa.d + adj.u_d * start.u_d_mv.d;
            }
        }
    }

    /// A10: the gradient by the weights before the pair factor and by the logarithm of the scale.
    pub fn into_gradient(self) -> Gradient {
        let Self { problem, constants, mut gradient, .. } = self;
        for source_ix in 0..problem.network.n_sources() {
            for (edge_ix, _, _, pair_ix) in problem.edges(source_ix) {
                let grad_scaled = gradient.weights[edge_ix];
                gradient.log_scale[pair_ix] += constants.weights[edge_ix] * grad_scaled;
                gradient.weights[edge_ix] = constants.scales[pair_ix] * grad_scaled;
            }
        }
        gradient
    }
}

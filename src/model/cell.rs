//! One exact time step of one cell (E1..E8): the frame that all membranes share, with spikes, after-spike currents and ports.
//!
//! Potentials are relative to the cell's leak reversal: u = V - E_L. Generic over [`Real`], so that one code serves the
//! unit PSPs, the specification and its derivatives. The WGSL twin is `shaders/neuron_forward.wgsl`.

use super::kinetics::Port;
use super::membrane::{
    AFTER_SPIKE_1, AFTER_SPIKE_2, CellMode, MembraneConstants, N_CELL_PARAMETERS, THRESHOLD,
};
use super::real::{Real, phi1};
use super::vocabulary::CellModel;

/// Everything about one cell model that a time step needs ("what dt makes of the parameters").
#[derive(Clone, Debug, PartialEq)]
pub struct CellConstants<T> {
    /// Threshold above E_L, mV.
    pub threshold_mv: T,
    /// Measured threshold above E_L, mV: the unit of the surrogate and of the voltage loss; never learned.
    pub threshold_scale_mv: f64,
    /// Reset potential above E_L, mV.
    pub reset_mv: f64,
    /// Steps for which the soma is held after a spike.
    pub refractory_steps: u32,
    /// Mean of an after-spike current over a step, per its value at the start.
    pub asc_mean: [f64; 2],
    /// Decay of an after-spike current over a step.
    pub asc_decay: [f64; 2],
    /// What is left of an after-spike current at a spike, once the refractory period is over.
    pub asc_keep: [f64; 2],
    /// Jump of the after-spike currents at a spike, pA.
    pub asc_amp_pa: [T; 2],
    /// Decay of each port over a step, exp(-dt/tau), `[n_ports]`.
    pub port_decay: Vec<f64>,
    /// Constants of the membrane.
    pub membrane: MembraneConstants<T>,
}

/// Number of steps for which the soma is held after a spike: t_ref, rounded up to whole steps, at least one.
pub fn refractory_steps(t_ref_ms: f64, dt_ms: f64) -> u32 {
    // As NEST, which counts down from t_ref by dt until nothing is left: 3.85 ms at 0.25 ms is 16 steps. The small term
    // keeps a whole number of steps whole where the quotient is rounded up, as in 3.0/0.1.
    ((t_ref_ms / dt_ms - 1e-6).ceil() as u32).max(1)
}

/// Constants of a cell model with some ports for a step of `dt_ms`, with learned offsets `theta` (order:
/// [`super::membrane::LEARNABLE`]).
pub fn cell_constants<T: Real>(
    cell: &CellModel,
    mode: CellMode,
    ports: &[Port],
    dt_ms: f64,
    theta: &[T; N_CELL_PARAMETERS],
) -> CellConstants<T> {
    let threshold_scale_mv = cell.v_th_mv - cell.e_l_mv;
    let [amp_1, amp_2] = cell.asc_amp_pa.map(T::of);
    CellConstants {
        threshold_mv: T::of(threshold_scale_mv) + theta[THRESHOLD],
        threshold_scale_mv,
        reset_mv: cell.v_reset_mv - cell.e_l_mv,
        refractory_steps: refractory_steps(cell.t_ref_ms, dt_ms),
        asc_mean: cell.asc_decay_per_ms.map(|k| phi1(-k * dt_ms)),
        asc_decay: cell.asc_decay_per_ms.map(|k| (-k * dt_ms).exp()),
        asc_keep: cell.asc_decay_per_ms.map(|k| (-k * cell.t_ref_ms).exp()),
        asc_amp_pa: [amp_1 + theta[AFTER_SPIKE_1], amp_2 + theta[AFTER_SPIKE_2]],
        port_decay: ports.iter().map(|port| (-dt_ms / port.tau_ms).exp()).collect(),
        membrane: mode.constants(cell, ports, dt_ms, theta),
    }
}

/// State of one cell in one trial.
#[derive(Clone, Debug, PartialEq)]
pub struct CellState<T> {
    /// Somatic potential above E_L, mV.
    pub u_s_mv: T,
    /// Dendritic potential above E_L, mV (two-compartment mode).
    pub u_d_mv: T,
    /// After-spike currents, pA.
    pub asc_pa: [T; 2],
    /// Steps for which the soma is still held.
    pub refractory: u32,
    /// Rise variables of the ports, nS/ms (pA/ms in point mode).
    pub rise: Vec<T>,
    /// Conductances of the ports, nS (currents in pA in point mode).
    pub g: Vec<T>,
}

impl<T: Real> CellState<T> {
    /// A cell at rest.
    pub fn at_rest(n_ports: usize) -> Self {
        let zero = T::of(0.0);
        Self {
            u_s_mv: zero,
            u_d_mv: zero,
            asc_pa: [zero; 2],
            refractory: 0,
            rise: vec![zero; n_ports],
            g: vec![zero; n_ports],
        }
    }
}

/// A cell clamped to `u_mv` above E_L by a steady somatic current: that current (pA), and the state. `u_mv` = 0 is rest.
pub fn resting_state<T: Real>(cell: &CellConstants<T>, u_mv: T) -> (T, CellState<T>) {
    let mut state = CellState::at_rest(cell.port_decay.len());
    state.u_s_mv = u_mv;
    let hold_pa = cell.membrane.hold(u_mv, &mut state);
    (hold_pa, state)
}

/// Advances after-spike currents and membrane over one step (E1, E2) and returns the candidate somatic potential, before any
/// reset. While the refractory counter is not 0 the soma is held. Ports are advanced by [`advance_ports`], after the membrane.
pub fn advance_membrane<T: Real>(
    cell: &CellConstants<T>,
    state: &mut CellState<T>,
    dt_ms: f64,
    current_pa: T,
) -> T {
    let held = state.refractory > 0;
    let mut drive_pa = current_pa;
    if !held {
        for k in 0..2 {
            drive_pa = drive_pa + T::of(cell.asc_mean[k]) * state.asc_pa[k];
            state.asc_pa[k] = T::of(cell.asc_decay[k]) * state.asc_pa[k];
        }
    }
    cell.membrane.advance(cell, state, held, drive_pa, dt_ms);
    state.u_s_mv
}

/// Resets a cell that spiked (E6): potential, after-spike currents, refractory counter. Call instead of
/// [`count_refractory`] in the step of the spike.
pub fn reset_after_spike<T: Real>(cell: &CellConstants<T>, state: &mut CellState<T>) {
    state.u_s_mv = T::of(cell.reset_mv);
    for k in 0..2 {
        state.asc_pa[k] = cell.asc_amp_pa[k] + T::of(cell.asc_keep[k]) * state.asc_pa[k];
    }
    state.refractory = cell.refractory_steps;
}

/// Counts a held step of a cell that did not spike.
pub fn count_refractory<T>(state: &mut CellState<T>) {
    state.refractory = state.refractory.saturating_sub(1);
}

/// Advances the ports over one step (E7, E8) and adds `input[p]` (already e/tau times J_p) to their rise variables.
pub fn advance_ports<T: Real>(cell: &CellConstants<T>, state: &mut CellState<T>, dt_ms: f64, input: &[T]) {
    for (p, decay) in cell.port_decay.iter().enumerate() {
        let decay = T::of(*decay);
        state.g[p] = decay * (state.g[p] + T::of(dt_ms) * state.rise[p]);
        state.rise[p] = decay * state.rise[p] + input[p];
    }
}

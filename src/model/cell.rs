//! Cell parameters and one exact time step of one cell (E1..E8).
//!
//! Potentials are relative to the cell's leak reversal: u = V - E_L. Generic over [`Real`], so that one code serves the
//! unit PSPs, the specification and its derivatives. The WGSL twins are `shaders/neuron_forward.wgsl` and `shaders/membrane/`.

use super::kinetics::Ports;
use super::real::{Real, phi1, phi2};
use super::vocabulary::CellModel;

/// Which membrane is integrated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellMode {
    /// One compartment, current ports, exact propagators: the published GLIF3 as NEST's `glif_psc_double_alpha`.
    Point,
    /// Soma and dendrite with conductance ports, implicit midpoint rule (Hines).
    TwoCompartment {
        /// Share f of the membrane on the dendrite, in (0, 1).
        dendrite_fraction: f64,
        /// Coupling conductance g_c as a multiple of the cell's leak conductance g, > 0.
        coupling_ratio: f64,
    },
}

/// Learnable quantities of one cell model, in this order on host and device.
pub const CELL_PARAMETERS: [&str; N_CELL_PARAMETERS] = [
    "log_leak_conductance",
    "threshold_mv",
    "after_spike_amplitude_1_pa",
    "after_spike_amplitude_2_pa",
    "log_coupling_conductance",
];
/// Number of learnable quantities of a cell model.
pub const N_CELL_PARAMETERS: usize = 5;

/// Everything about one cell model that a time step needs ("what dt makes of the parameters").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellConstants<T> {
    /// Threshold above E_L, mV.
    pub threshold_mv: T,
    /// Measured threshold above E_L, mV: the unit of the surrogate and of the voltage loss; never learned.
    pub threshold_scale_mv: f64,
    /// Reset potential above E_L, mV.
    pub reset_mv: f64,
    /// Steps for which the soma is held after a spike.
    pub refractory_steps: u32,
    /// 2 C_s/dt and 2 C_d/dt, nS (two-compartment mode).
    pub capacity_ns: [f64; 2],
    /// Leak conductances of soma and dendrite, nS (two-compartment mode).
    pub leak_ns: [T; 2],
    /// Coupling conductance, nS (two-compartment mode).
    pub coupling_ns: T,
    /// Propagator of u over a step (point mode).
    pub p_uu: T,
    /// Propagator from a constant current to u, mV/pA (point mode).
    pub p_ui: T,
    /// Mean of an after-spike current over a step, per its value at the start.
    pub asc_mean: [f64; 2],
    /// Decay of an after-spike current over a step.
    pub asc_decay: [f64; 2],
    /// What is left of an after-spike current at a spike, once the refractory period is over.
    pub asc_keep: [f64; 2],
    /// Jump of the after-spike currents at a spike, pA.
    pub asc_amp_pa: [T; 2],
}

/// Everything about one port of one cell model that a time step needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortConstants<T> {
    /// exp(-dt/tau).
    pub decay: f64,
    /// Propagators from rise and g to u, mV/pA scale (point mode).
    pub p_ur: T,
    /// See `p_ur`.
    pub p_ug: T,
    /// Reversal potential above E_L, mV (two-compartment mode).
    pub drive_mv: f64,
    /// Whether the port sits on the soma (two-compartment mode).
    pub on_soma: bool,
}

/// Number of steps for which the soma is held after a spike: t_ref, rounded up to whole steps, at least one.
pub fn refractory_steps(t_ref_ms: f64, dt_ms: f64) -> u32 {
    // As NEST, which counts down from t_ref by dt until nothing is left: 3.85 ms at 0.25 ms is 16 steps. The small term
    // keeps a whole number of steps whole where the quotient is rounded up, as in 3.0/0.1.
    ((t_ref_ms / dt_ms - 1e-6).ceil() as u32).max(1)
}

/// Splits a cell's leak conductance between soma and dendrite so that the somatic input conductance stays `g_ns`.
///
/// With G the total leak, (1-f)G + g_c f G/(g_c + f G) = g. Both compartments keep tau_m = C/g, so the slowest passive
/// time constant is tau_m exactly. Returns (g_s, g_d, g_c) in nS.
pub fn split_leak(g_ns: f64, dendrite_fraction: f64, coupling_ratio: f64) -> (f64, f64, f64) {
    let (f, c) = (dendrite_fraction, coupling_ratio);
    // In units of g: f(1-f) G^2 + (c - f) G - c = 0 with G > 0.
    let (a, b) = (f * (1.0 - f), c - f);
    let total = (-b + (b * b + 4.0 * a * c).sqrt()) / (2.0 * a);
    ((1.0 - f) * total * g_ns, f * total * g_ns, c * g_ns)
}

/// Constants of a cell model for a step of `dt_ms`, with learned offsets `theta` (order: [`CELL_PARAMETERS`]).
pub fn cell_constants<T: Real>(
    cell: &CellModel,
    mode: CellMode,
    dt_ms: f64,
    theta: &[T; N_CELL_PARAMETERS],
) -> CellConstants<T> {
    let tau_m_ms = cell.c_m_pf / cell.g_ns;
    let threshold_scale_mv = cell.v_th_mv - cell.e_l_mv;
    let leak_factor = theta[0].exp();
    let mut capacity_ns = [0.0; 2];
    let mut leak_ns = [T::of(0.0); 2];
    let mut coupling_ns = T::of(0.0);
    if let CellMode::TwoCompartment { dendrite_fraction, coupling_ratio } = mode {
        let (g_s, g_d, g_c) = split_leak(cell.g_ns, dendrite_fraction, coupling_ratio);
        capacity_ns = [2.0 * g_s * tau_m_ms / dt_ms, 2.0 * g_d * tau_m_ms / dt_ms];
        leak_ns = [T::of(g_s) * leak_factor, T::of(g_d) * leak_factor];
        coupling_ns = T::of(g_c) * theta[4].exp();
    }
    // x = dt/tau_m with the learned leak; p_ui = (1 - e^-x)/g = dt/C phi1(-x).
    let x = T::of(dt_ms / tau_m_ms) * leak_factor;
    let keep = cell.asc_decay_per_ms.map(|k| (-k * cell.t_ref_ms).exp());
    CellConstants {
        threshold_mv: T::of(threshold_scale_mv) + theta[1],
        threshold_scale_mv,
        reset_mv: cell.v_reset_mv - cell.e_l_mv,
        refractory_steps: refractory_steps(cell.t_ref_ms, dt_ms),
        capacity_ns,
        leak_ns,
        coupling_ns,
        p_uu: (-x).exp(),
        p_ui: T::of(dt_ms / cell.c_m_pf) * phi1(-x),
        asc_mean: cell.asc_decay_per_ms.map(|k| phi1(-k * dt_ms)),
        asc_decay: cell.asc_decay_per_ms.map(|k| (-k * dt_ms).exp()),
        asc_keep: keep,
        asc_amp_pa: [T::of(cell.asc_amp_pa[0]) + theta[2], T::of(cell.asc_amp_pa[1]) + theta[3]],
    }
}

/// Constants of the ports of a cell model, `[n_ports]`.
pub fn port_constants<T: Real>(
    cell: &CellModel,
    ports: &Ports,
    dt_ms: f64,
    theta: &[T; N_CELL_PARAMETERS],
) -> Vec<PortConstants<T>> {
    let tau_m_ms = cell.c_m_pf / cell.g_ns;
    let type_ix = ports.target_type_of[cell.cell_type_ix];
    (0..ports.n_ports)
        .map(|p| {
            let tau_ms = ports.tau_ms(type_ix, p);
            let decay = (-dt_ms / tau_ms).exp();
            // du/dt = -u/tau_m + g/C with g an alpha of rate a = 1/tau; x = (a - 1/tau_m) dt. See MODEL.md, E2p.
            let x = T::of(dt_ms / tau_ms) - T::of(dt_ms / tau_m_ms) * theta[0].exp();
            let per_c = T::of(decay / cell.c_m_pf);
            PortConstants {
                decay,
                p_ur: per_c * T::of(dt_ms * dt_ms) * phi2(x),
                p_ug: per_c * T::of(dt_ms) * phi1(x),
                drive_mv: ports.reversal_mv[p] - cell.e_l_mv,
                on_soma: ports.on_soma[p],
            }
        })
        .collect()
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

/// A cell held at `u_mv` above E_L by a steady somatic current: that current (pA), and the state. `u_mv` = 0 is rest.
pub fn resting_state<T: Real>(
    mode: CellMode,
    cell: &CellConstants<T>,
    u_mv: T,
    n_ports: usize,
) -> (T, CellState<T>) {
    let mut state = CellState::at_rest(n_ports);
    state.u_s_mv = u_mv;
    let input_ns = match mode {
        CellMode::Point => (T::of(1.0) - cell.p_uu) / cell.p_ui,
        CellMode::TwoCompartment { .. } => {
            let to_dendrite = cell.coupling_ns + cell.leak_ns[1];
            state.u_d_mv = cell.coupling_ns * u_mv / to_dendrite;
            cell.leak_ns[0] + cell.coupling_ns * cell.leak_ns[1] / to_dendrite
        }
    };
    (input_ns * u_mv, state)
}

/// Advances the membrane over one step (E2..E4) and returns the candidate somatic potential, before any reset.
/// `held` says that the soma is refractory. Ports are advanced by [`advance_ports`], after the membrane.
pub fn advance_membrane<T: Real>(
    mode: CellMode,
    cell: &CellConstants<T>,
    ports: &[PortConstants<T>],
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
    match mode {
        CellMode::Point => {
            if !held {
                let mut u = cell.p_uu * state.u_s_mv + cell.p_ui * drive_pa;
                for (p, port) in ports.iter().enumerate() {
                    u = u + port.p_ur * state.rise[p] + port.p_ug * state.g[p];
                }
                state.u_s_mv = u;
            }
        }
        CellMode::TwoCompartment { .. } => {
            let cap = cell.capacity_ns.map(T::of);
            let mut a_s = cap[0] + cell.leak_ns[0] + cell.coupling_ns;
            let mut a_d = cap[1] + cell.leak_ns[1] + cell.coupling_ns;
            let mut b_s = cap[0] * state.u_s_mv + drive_pa;
            let mut b_d = cap[1] * state.u_d_mv;
            for (p, port) in ports.iter().enumerate() {
                // Mean conductance over the step: (g_n + g_{n+1})/2.
                let next = T::of(port.decay) * (state.g[p] + T::of(dt_ms) * state.rise[p]);
                let mean = T::of(0.5) * (state.g[p] + next);
                if port.on_soma {
                    a_s = a_s + mean;
                    b_s = b_s + mean * T::of(port.drive_mv);
                } else {
                    a_d = a_d + mean;
                    b_d = b_d + mean * T::of(port.drive_mv);
                }
            }
            let g_c = cell.coupling_ns;
            if held {
                let mid_d = (b_d + g_c * T::of(cell.reset_mv)) / a_d;
                state.u_d_mv = T::of(2.0) * mid_d - state.u_d_mv;
            } else {
                let det = a_s * a_d - g_c * g_c;
                let mid_s = (a_d * b_s + g_c * b_d) / det;
                let mid_d = (a_s * b_d + g_c * b_s) / det;
                state.u_s_mv = T::of(2.0) * mid_s - state.u_s_mv;
                state.u_d_mv = T::of(2.0) * mid_d - state.u_d_mv;
            }
        }
    }
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
pub fn advance_ports<T: Real>(ports: &[PortConstants<T>], state: &mut CellState<T>, dt_ms: f64, input: &[T]) {
    for (p, port) in ports.iter().enumerate() {
        let decay = T::of(port.decay);
        state.g[p] = decay * (state.g[p] + T::of(dt_ms) * state.rise[p]);
        state.rise[p] = decay * state.rise[p] + input[p];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_keeps_input_conductance() {
        for (f, c) in [(0.3, 1.0), (0.6, 3.0), (0.8, 0.5)] {
            let (g_s, g_d, g_c) = split_leak(7.0, f, c);
            assert!((g_s + g_c * g_d / (g_c + g_d) - 7.0).abs() < 1e-12);
            assert!((g_d / (g_s + g_d) - f).abs() < 1e-12);
        }
    }
}

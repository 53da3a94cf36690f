//! The published point membrane: one compartment, current ports, exact propagators (E2p, A2p). Twin: `shaders/membrane/point.wgsl`.

use super::super::cell::CellState;
use super::super::kinetics::Port;
use super::super::real::{Dual, Real, phi1, phi2};
use super::super::vocabulary::CellModel;
use super::{
    AFTER_SPIKE_1, AFTER_SPIKE_2, AdjointCell, LOG_LEAK, Membrane, N_CELL_PARAMETERS, Seen, THRESHOLD,
    undo_ports,
};

/// What device, optimiser and files have to know of it.
pub const MEMBRANE: Membrane = Membrane {
    name: "point",
    wgsl: include_str!("../../../shaders/membrane/point.wgsl"),
    title: "point",
    has_conductances: false,
    state_planes: &[],
    tape_planes: &["DU_DLOG_G"],
    cell_fields: &["P_UU", "P_UI", "DP_UU", "DP_UI"],
    port_fields: &["P_UR", "P_UG", "DP_UR", "DP_UG"],
    learnable: &[LOG_LEAK, THRESHOLD, AFTER_SPIKE_1, AFTER_SPIKE_2],
};

/// Propagators of a step, and their slopes.
#[derive(Clone, Debug, PartialEq)]
pub struct Constants<T> {
    /// The propagators.
    pub propagators: Propagators<T>,
    /// Their derivatives by log g.
    pub by_log_leak: Propagators<f64>,
}

/// What a step makes of the potential, the current and the ports at its start.
#[derive(Clone, Debug, PartialEq)]
pub struct Propagators<T> {
    /// Of u.
    pub p_uu: T,
    /// From a constant current to u, mV/pA.
    pub p_ui: T,
    /// From rise and g of each port to u.
    pub ports: Vec<[T; 2]>,
}

fn propagators<T: Real>(cell: &CellModel, ports: &[Port], dt_ms: f64, log_leak: T) -> Propagators<T> {
    let tau_m_ms = cell.c_m_pf / cell.g_ns;
    // b dt, with b = g/C and the learned leak; p_ui = (1 - e^{-b dt})/g = dt/C phi1(-b dt).
    let leak = T::of(dt_ms / tau_m_ms) * log_leak.exp();
    let of_port = |port: &Port| {
        // du/dt = -u/tau_m + g/C with g an alpha of rate a = 1/tau; x = (a - b) dt.
        let x = T::of(dt_ms / port.tau_ms) - leak;
        let per_c = T::of((-dt_ms / port.tau_ms).exp() / cell.c_m_pf);
        [per_c * T::of(dt_ms * dt_ms) * phi2(x), per_c * T::of(dt_ms) * phi1(x)]
    };
    Propagators {
        p_uu: (-leak).exp(),
        p_ui: T::of(dt_ms / cell.c_m_pf) * phi1(-leak),
        ports: ports.iter().map(of_port).collect(),
    }
}

/// Constants of a cell for a step of `dt_ms`, with learned offsets.
pub fn constants<T: Real>(
    cell: &CellModel,
    ports: &[Port],
    dt_ms: f64,
    theta: &[T; N_CELL_PARAMETERS],
) -> Constants<T> {
    // Closed formulas, so their slopes come from dual numbers; that they are right is for finite differences to say.
    let dual = propagators(cell, ports, dt_ms, Dual::new(theta[LOG_LEAK].value(), 1.0));
    Constants {
        propagators: propagators(cell, ports, dt_ms, theta[LOG_LEAK]),
        by_log_leak: Propagators {
            p_uu: dual.p_uu.d,
            p_ui: dual.p_ui.d,
            ports: dual.ports.iter().map(|port| port.map(|x| x.d)).collect(),
        },
    }
}

impl<T: Real> Constants<T> {
    pub(super) fn cell_words(&self) -> Vec<f64> {
        let (own, slope) = (&self.propagators, &self.by_log_leak);
        vec![own.p_uu.value(), own.p_ui.value(), slope.p_uu, slope.p_ui]
    }

    pub(super) fn port_words(&self, port_ix: usize) -> Vec<f64> {
        let (own, slope) = (self.propagators.ports[port_ix], self.by_log_leak.ports[port_ix]);
        vec![own[0].value(), own[1].value(), slope[0], slope[1]]
    }
}

/// E2p.
pub(super) fn advance<T: Real>(constants: &Constants<T>, state: &mut CellState<T>, held: bool, drive_pa: T) {
    if held {
        return;
    }
    let Propagators { p_uu, p_ui, ports } = &constants.propagators;
    let mut u = *p_uu * state.u_s_mv + *p_ui * drive_pa;
    for (p, [p_ur, p_ug]) in ports.iter().enumerate() {
        u = u + *p_ur * state.rise[p] + *p_ug * state.g[p];
    }
    state.u_s_mv = u;
}

/// A2p. While held, out_s is 0 and so is all that comes of it.
pub(super) fn undo(
    constants: &Constants<f64>,
    seen: &Seen,
    out_s: f64,
    adj: &mut AdjointCell,
    gradient: &mut [f64; N_CELL_PARAMETERS],
) -> f64 {
    let Constants { propagators, by_log_leak } = constants;
    let mut u_by_log_leak = by_log_leak.p_uu * seen.before.u_s_mv + by_log_leak.p_ui * seen.drive_pa;
    adj.u_s = propagators.p_uu * out_s;
    undo_ports(seen, |_| 0.0, adj);
    for (p, ([p_ur, p_ug], [d_ur, d_ug])) in propagators.ports.iter().zip(&by_log_leak.ports).enumerate() {
        u_by_log_leak += d_ur * seen.before.rise[p] + d_ug * seen.before.g[p];
        adj.rise[p] += p_ur * out_s;
        adj.g[p] += p_ug * out_s;
    }
    gradient[LOG_LEAK] += out_s * u_by_log_leak;
    propagators.p_ui * out_s
}

/// Current that holds the soma, pA.
pub(super) fn hold<T: Real>(constants: &Constants<T>, u_mv: T) -> T {
    let Propagators { p_uu, p_ui, .. } = &constants.propagators;
    (T::of(1.0) - *p_uu) / *p_ui * u_mv
}

/// Parameters by NEST's names.
pub(super) fn parameters(cell: &CellModel, theta: &[f64; N_CELL_PARAMETERS]) -> Vec<(&'static str, f64)> {
    vec![("g", cell.g_ns * theta[LOG_LEAK].exp()), ("C_m", cell.c_m_pf)]
}

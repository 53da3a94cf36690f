//! Soma and dendrite with conductance ports, implicit midpoint rule (E2c, A2c; Hines 1984). Twin:
//! `shaders/membrane/two_compartment.wgsl`.

use super::super::cell::{CellConstants, CellState};
use super::super::kinetics::Port;
use super::super::real::Real;
use super::super::vocabulary::CellModel;
use super::{
    AFTER_SPIKE_1, AFTER_SPIKE_2, AdjointCell, LOG_COUPLING, LOG_LEAK, Membrane, N_CELL_PARAMETERS, Seen,
    THRESHOLD, undo_ports,
};

/// What device, optimiser and files have to know of it.
pub const MEMBRANE: Membrane = Membrane {
    name: "two_compartment",
    wgsl: include_str!("../../../shaders/membrane/two_compartment.wgsl"),
    title: "two compartments",
    has_conductances: true,
    state_planes: &["U_D"],
    tape_planes: &["MID_S", "MID_D", "A_S", "A_D"],
    cell_fields: &["CAPACITY_S", "CAPACITY_D", "LEAK_S", "LEAK_D", "COUPLING"],
    port_fields: &["DRIVE"],
    learnable: &[LOG_LEAK, THRESHOLD, AFTER_SPIKE_1, AFTER_SPIKE_2, LOG_COUPLING],
};

/// Conductances of the membrane, and what a port does to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Constants<T> {
    /// 2 C_s/dt and 2 C_d/dt, nS.
    pub charging_ns: [f64; 2],
    /// Leak conductances of soma and dendrite, nS.
    pub leak_ns: [T; 2],
    /// Coupling conductance, nS.
    pub coupling_ns: T,
    /// `[n_ports]`.
    pub ports: Vec<PortConstants>,
}

/// What a port does to the membrane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortConstants {
    /// Reversal potential above E_L, mV.
    pub drive_mv: f64,
    /// Whether the port sits on the soma.
    pub on_soma: bool,
}

/// Splits a cell's leak conductance between soma and dendrite so that the somatic input conductance stays `g_ns`.
///
/// With G the total leak, (1-f)G + g_c f G/(g_c + f G) = g. Both compartments keep tau_m = C/g, so the slowest passive
/// time constant is tau_m exactly. Returns (g_s, g_d, g_c) in nS.
fn split_leak(g_ns: f64, (dendrite_fraction, coupling_ratio): (f64, f64)) -> (f64, f64, f64) {
    let (f, c) = (dendrite_fraction, coupling_ratio);
    // In units of g: f(1-f) G^2 + (c - f) G - c = 0 with G > 0.
    let (a, b) = (f * (1.0 - f), c - f);
    let total = (-b + (b * b + 4.0 * a * c).sqrt()) / (2.0 * a);
    ((1.0 - f) * total * g_ns, f * total * g_ns, c * g_ns)
}

/// Constants of a cell for a step of `dt_ms`, with learned offsets.
pub fn constants<T: Real>(
    cell: &CellModel,
    split: (f64, f64),
    ports: &[Port],
    dt_ms: f64,
    theta: &[T; N_CELL_PARAMETERS],
) -> Constants<T> {
    let tau_m_ms = cell.c_m_pf / cell.g_ns;
    let (g_s, g_d, g_c) = split_leak(cell.g_ns, split);
    let leak_factor = theta[LOG_LEAK].exp();
    let of_port =
        |port: &Port| PortConstants { drive_mv: port.reversal_mv - cell.e_l_mv, on_soma: port.on_soma };
    Constants {
        charging_ns: [2.0 * g_s * tau_m_ms / dt_ms, 2.0 * g_d * tau_m_ms / dt_ms],
        leak_ns: [T::of(g_s) * leak_factor, T::of(g_d) * leak_factor],
        coupling_ns: T::of(g_c) * theta[LOG_COUPLING].exp(),
        ports: ports.iter().map(of_port).collect(),
    }
}

impl<T: Real> Constants<T> {
    pub(super) fn cell_words(&self) -> Vec<f64> {
        let [cap_s, cap_d] = self.charging_ns;
        let [leak_s, leak_d] = self.leak_ns.map(T::value);
        vec![cap_s, cap_d, leak_s, leak_d, self.coupling_ns.value()]
    }

    pub(super) fn port_words(&self, port_ix: usize) -> Vec<f64> {
        vec![self.ports[port_ix].drive_mv]
    }

    /// The membrane system of a step with mean conductances, `[n_ports]`: its diagonal a and its right side b, soma and dendrite.
    fn system(&self, state: &CellState<T>, mean_ns: &[T], drive_pa: T) -> ([T; 2], [T; 2]) {
        let [cap_s, cap_d] = self.charging_ns.map(T::of);
        let mut a = [cap_s + self.leak_ns[0] + self.coupling_ns, cap_d + self.leak_ns[1] + self.coupling_ns];
        let mut b = [cap_s * state.u_s_mv + drive_pa, cap_d * state.u_d_mv];
        for (port, mean_ns) in self.ports.iter().zip(mean_ns) {
            let side = usize::from(!port.on_soma);
            a[side] = a[side] + *mean_ns;
            b[side] = b[side] + *mean_ns * T::of(port.drive_mv);
        }
        (a, b)
    }

    /// Potentials of soma and dendrite at the middle of a step.
    fn midpoint(&self, reset_mv: f64, held: bool, [a_s, a_d]: [T; 2], [b_s, b_d]: [T; 2]) -> [T; 2] {
        let g_c = self.coupling_ns;
        if held {
            return [T::of(reset_mv), (b_d + g_c * T::of(reset_mv)) / a_d];
        }
        let det = a_s * a_d - g_c * g_c;
        [(a_d * b_s + g_c * b_d) / det, (a_s * b_d + g_c * b_s) / det]
    }
}

/// Mean conductance of each port over a step, nS.
fn mean_conductances<T: Real>(cell: &CellConstants<T>, state: &CellState<T>, dt_ms: f64) -> Vec<T> {
    let mean = |(p, decay): (usize, &f64)| {
        let next = T::of(*decay) * (state.g[p] + T::of(dt_ms) * state.rise[p]);
        T::of(0.5) * (state.g[p] + next)
    };
    cell.port_decay.iter().enumerate().map(mean).collect()
}

/// E2c.
pub(super) fn advance<T: Real>(
    constants: &Constants<T>,
    cell: &CellConstants<T>,
    state: &mut CellState<T>,
    held: bool,
    drive_pa: T,
    dt_ms: f64,
) {
    let mean_ns = mean_conductances(cell, state, dt_ms);
    let (a, b) = constants.system(state, &mean_ns, drive_pa);
    let [mid_s, mid_d] = constants.midpoint(cell.reset_mv, held, a, b);
    if !held {
        state.u_s_mv = T::of(2.0) * mid_s - state.u_s_mv;
    }
    state.u_d_mv = T::of(2.0) * mid_d - state.u_d_mv;
}

/// A2c. `adj.u_d` is out_d. The matrix is symmetric, so its transpose is itself.
pub(super) fn undo(
    constants: &Constants<f64>,
    seen: &Seen,
    out_s: f64,
    adj: &mut AdjointCell,
    gradient: &mut [f64; N_CELL_PARAMETERS],
) -> f64 {
    let ([cap_s, cap_d], [g_s, g_d], g_c) = (constants.charging_ns, constants.leak_ns, constants.coupling_ns);
    let mean_ns = mean_conductances(seen.cell, seen.before, seen.dt_ms);
    let (a, b) = constants.system(seen.before, &mean_ns, seen.drive_pa);
    let [mid_s, mid_d] = constants.midpoint(seen.cell.reset_mv, seen.held, a, b);
    let ([a_s, a_d], out_d) = (a, adj.u_d);
    let (lam_s, lam_d) = if seen.held {
        (0.0, 2.0 * out_d / a_d)
    } else {
        let det = a_s * a_d - g_c * g_c;
        (2.0 * (a_d * out_s + g_c * out_d) / det, 2.0 * (a_s * out_d + g_c * out_s) / det)
    };
    adj.u_s = if seen.held { 0.0 } else { cap_s * lam_s - out_s };
    adj.u_d = cap_d * lam_d - out_d;
    gradient[LOG_LEAK] -= lam_s * g_s * mid_s + lam_d * g_d * mid_d;
    gradient[LOG_COUPLING] += g_c * (lam_s * (mid_d - mid_s) + lam_d * (mid_s - mid_d));
    let adj_mean = |p: usize| match constants.ports[p] {
        PortConstants { drive_mv, on_soma: true } => lam_s * (drive_mv - mid_s),
        PortConstants { drive_mv, on_soma: false } => lam_d * (drive_mv - mid_d),
    };
    undo_ports(seen, adj_mean, adj);
    lam_s
}

/// Current that holds the soma, pA; the dendrite follows.
pub(super) fn hold<T: Real>(constants: &Constants<T>, u_mv: T, state: &mut CellState<T>) -> T {
    let ([g_s, g_d], g_c) = (constants.leak_ns, constants.coupling_ns);
    state.u_d_mv = g_c * u_mv / (g_c + g_d);
    (g_s + g_c * g_d / (g_c + g_d)) * u_mv
}

/// Mean conductance on the dendrite that depolarises the soma as `mean_pa` into a point cell does, nS; `reversal_mv` is above E_L. None
/// where none can.
pub(super) fn conductance_ns(
    cell: &CellModel,
    split: (f64, f64),
    mean_pa: f64,
    reversal_mv: f64,
) -> Option<f64> {
    let (g_s, g_d, g_c) = split_leak(cell.g_ns, split);
    // The dendrite drives the soma through g_c; its synaptic conductance drives it towards its reversal potential.
    let u_s_mv = mean_pa / cell.g_ns;
    let u_d_mv = u_s_mv * (g_s + g_c) / g_c;
    (u_d_mv < reversal_mv).then(|| (g_d * u_d_mv + g_s * u_s_mv) / (reversal_mv - u_d_mv))
}

/// Parameters by the names of exported circuits.
pub(super) fn parameters(
    cell: &CellModel,
    split: (f64, f64),
    theta: &[f64; N_CELL_PARAMETERS],
) -> Vec<(&'static str, f64)> {
    let (g_s, g_d, g_c) = split_leak(cell.g_ns, split);
    let (tau_m_ms, leak_factor) = (cell.c_m_pf / cell.g_ns, theta[LOG_LEAK].exp());
    vec![
        ("g_soma", g_s * leak_factor),
        ("g_dendrite", g_d * leak_factor),
        ("g_coupling", g_c * theta[LOG_COUPLING].exp()),
        ("C_soma", g_s * tau_m_ms),
        ("C_dendrite", g_d * tau_m_ms),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_keeps_input_conductance() {
        for (f, c) in [(0.3, 1.0), (0.6, 3.0), (0.8, 0.5)] {
            let (g_s, g_d, g_c) = split_leak(7.0, (f, c));
            assert!((g_s + g_c * g_d / (g_c + g_d) - 7.0).abs() < 1e-12);
            assert!((g_d / (g_s + g_d) - f).abs() < 1e-12);
        }
    }
}

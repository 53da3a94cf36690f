//! Synaptic kinetics: double alphas per (class, target type) and their fit on a few ports.

use super::vocabulary::N_CLASSES;

/// Synaptic target types: e23 e4 e5et e5it e5np e6 pv sst vip (the first nine classes).
pub const N_TARGET_TYPES: usize = N_CLASSES - 1;

/// The ports of the network: one list for all neurons, with time constants and coefficients per target type.
#[derive(Clone, Debug, PartialEq)]
pub struct Ports {
    /// Number of ports of a neuron.
    pub n_ports: usize,
    /// Time constants, `[N_TARGET_TYPES][n_ports]` ms.
    pub tau_ms: Vec<f64>,
    /// Share of a class's arrivals that a port takes, `[N_TARGET_TYPES][N_CLASSES][n_ports]`. Signed in point mode
    /// (currents), >= 0 in two-compartment mode (conductances).
    pub coef: Vec<f64>,
    /// Reversal potential, `[n_ports]` mV (two-compartment mode).
    pub reversal_mv: Vec<f64>,
    /// Whether the port sits on the soma, `[n_ports]` (two-compartment mode).
    pub on_soma: Vec<bool>,
}

impl Ports {
    /// Time constant of a port on a target type, ms.
    pub fn tau_ms(&self, type_ix: usize, port_ix: usize) -> f64 {
        self.tau_ms[type_ix * self.n_ports + port_ix]
    }

    /// Coefficient of a class on a port of a target type.
    pub fn coef(&self, type_ix: usize, class_ix: usize, port_ix: usize) -> f64 {
        self.coef[(type_ix * N_CLASSES + class_ix) * self.n_ports + port_ix]
    }

    /// What one arrival of a class adds to a port's rise variable: coef * e/tau (E8), 1/ms per unit weight.
    pub fn gain_per_ms(&self, type_ix: usize, class_ix: usize, port_ix: usize) -> f64 {
        self.coef(type_ix, class_ix, port_ix) * std::f64::consts::E / self.tau_ms(type_ix, port_ix)
    }
}

//! Membranes: what the potential of a cell does over a step (E2), and the adjoint of that (A2).
//!
//! A membrane is a file here, with its constants, its step and the adjoint of its step in f64, and a file of the same name in
//! `shaders/membrane/` with both for the device. Around it stands the frame of all membranes, which knows of spikes, after-spike
//! currents and ports: [`super::cell`], `reference`, `shaders/neuron_forward.wgsl` and `shaders/neuron_adjoint.wgsl`. How to add a
//! membrane or a learnable parameter: `docs/adding-a-cell-model.md`.

mod learnable;
pub mod point;
pub mod two_compartment;

pub use learnable::{
    AFTER_SPIKE_1, AFTER_SPIKE_2, Bound, LEARNABLE, LOG_COUPLING, LOG_LEAK, Learnable, N_CELL_PARAMETERS,
    THRESHOLD,
};

use super::cell::{CellConstants, CellState};
use super::kinetics::{Port, Ports};
use super::real::Real;
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

/// All membranes.
pub const MEMBRANES: [&Membrane; 2] = [&point::MEMBRANE, &two_compartment::MEMBRANE];

/// What device, optimiser and files have to know of a membrane.
#[derive(Clone, Copy, PartialEq)]
pub struct Membrane {
    /// Name of its files.
    pub name: &'static str,
    /// Its parts of the neuron kernels, `shaders/membrane/NAME.wgsl`.
    pub wgsl: &'static str,
    /// Name in sentences.
    pub title: &'static str,
    /// Whether synapses open conductances (nS), with a reversal potential; else they inject currents (pA), which carry the sign.
    pub has_conductances: bool,
    /// Planes of the state, and of its adjoint, beside those of the frame.
    pub state_planes: &'static [&'static str],
    /// Planes of the tape beside u_s'.
    pub tape_planes: &'static [&'static str],
    /// Constants of a cell beside those of the frame, in the order of [`MembraneConstants::cell_words`].
    pub cell_fields: &'static [&'static str],
    /// Constants of a port beside its decay, in the order of [`MembraneConstants::port_words`].
    pub port_fields: &'static [&'static str],
    /// Its learnable parameters, as places in [`LEARNABLE`].
    pub learnable: &'static [usize],
}

impl std::fmt::Debug for Membrane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What a step of `dt_ms` makes of a cell's parameters, for its membrane.
#[derive(Clone, Debug, PartialEq)]
pub enum MembraneConstants<T> {
    /// Of [`CellMode::Point`].
    Point(point::Constants<T>),
    /// Of [`CellMode::TwoCompartment`].
    TwoCompartment(two_compartment::Constants<T>),
}

/// Derivative of the loss by the state of one cell in one trial.
#[derive(Clone, Debug, PartialEq)]
pub struct AdjointCell {
    /// By the somatic potential, 1/mV.
    pub u_s: f64,
    /// By the dendritic potential, 1/mV (two-compartment mode).
    pub u_d: f64,
    /// By the after-spike currents, 1/pA.
    pub asc: [f64; 2],
    /// By the rise variables, `[n_ports]`.
    pub rise: Vec<f64>,
    /// By the conductances, `[n_ports]`.
    pub g: Vec<f64>,
}

/// What the membrane of one cell saw in one step.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Constants of the cell.
    pub cell: &'a CellConstants<f64>,
    /// State that the step started from.
    pub before: &'a CellState<f64>,
    /// Whether the soma was held.
    pub held: bool,
    /// Current into the soma, pA: injected and after spikes.
    pub drive_pa: f64,
    /// Time step, ms.
    pub dt_ms: f64,
}

impl CellMode {
    /// What device, optimiser and files have to know of it.
    pub fn membrane(self) -> &'static Membrane {
        match self {
            Self::Point => &point::MEMBRANE,
            Self::TwoCompartment { .. } => &two_compartment::MEMBRANE,
        }
    }

    /// Constants of a cell with these ports, with learned offsets `theta` (order: [`LEARNABLE`]).
    pub fn constants<T: Real>(
        self,
        cell: &CellModel,
        ports: &[Port],
        dt_ms: f64,
        theta: &[T; N_CELL_PARAMETERS],
    ) -> MembraneConstants<T> {
        match self {
            Self::Point => MembraneConstants::Point(point::constants(cell, ports, dt_ms, theta)),
            Self::TwoCompartment { dendrite_fraction, coupling_ratio } => {
                let split = (dendrite_fraction, coupling_ratio);
                MembraneConstants::TwoCompartment(two_compartment::constants(
                    cell, split, ports, dt_ms, theta,
                ))
            }
        }
    }

    /// Weight with which a steady bombardment of class `class_ix`, `rate_per_ms` arrivals a millisecond, depolarises the soma on
    /// average as `weight_pa` does in the point model with `point_ports`; None where no weight can.
    ///
    /// Conductances lose driving force as they depolarise, so equal unit PSPs do not make equal means. Means over time: an alpha
    /// function of peak 1 has the area e tau; the passive membrane is linear in them.
    pub fn mean_matched_weight(
        self,
        cell: &CellModel,
        ports: &Ports,
        point_ports: &Ports,
        class_ix: usize,
        weight_pa: f64,
        rate_per_ms: f64,
    ) -> Option<f64> {
        let type_ix = ports.target_type_of[cell.cell_type_ix];
        let area_ms = |ports: &Ports| -> f64 {
            let area = |p| ports.coef(type_ix, class_ix, p) * std::f64::consts::E * ports.tau_ms(type_ix, p);
            (0..ports.n_ports).map(area).sum()
        };
        let mean_pa = weight_pa * rate_per_ms * area_ms(point_ports);
        let reversal_mv = (0..ports.n_ports)
            .find(|&p| ports.coef(type_ix, class_ix, p) > 0.0)
            .map_or(0.0, |p| ports.reversal_mv[p] - cell.e_l_mv);
        match self {
            Self::Point => Some(weight_pa * area_ms(point_ports) / area_ms(ports)),
            Self::TwoCompartment { dendrite_fraction, coupling_ratio } => {
                let split = (dendrite_fraction, coupling_ratio);
                let synaptic_ns = two_compartment::conductance_ns(cell, split, mean_pa, reversal_mv)?;
                (rate_per_ms > 0.0).then(|| synaptic_ns / (rate_per_ms * area_ms(ports)))
            }
        }
    }

    /// Parameters of a cell with learned offsets, by the names that files for other programs give them.
    pub fn parameters(self, cell: &CellModel, theta: &[f64; N_CELL_PARAMETERS]) -> Vec<(&'static str, f64)> {
        match self {
            Self::Point => point::parameters(cell, theta),
            Self::TwoCompartment { dendrite_fraction, coupling_ratio } => {
                two_compartment::parameters(cell, (dendrite_fraction, coupling_ratio), theta)
            }
        }
    }
}

impl<T: Real> MembraneConstants<T> {
    /// E2: takes the potentials over a step. While `held` the soma stays at its reset. Ports are advanced afterwards.
    pub(super) fn advance(
        &self,
        cell: &CellConstants<T>,
        state: &mut CellState<T>,
        held: bool,
        drive_pa: T,
        dt_ms: f64,
    ) {
        match self {
            Self::Point(constants) => point::advance(constants, state, held, drive_pa),
            Self::TwoCompartment(constants) => {
                two_compartment::advance(constants, cell, state, held, drive_pa, dt_ms);
            }
        }
    }

    /// Holds the soma at `u_mv` above E_L: the steady current that does it, pA. Sets the other potentials of the state.
    pub(super) fn hold(&self, u_mv: T, state: &mut CellState<T>) -> T {
        match self {
            Self::Point(constants) => point::hold(constants, u_mv),
            Self::TwoCompartment(constants) => two_compartment::hold(constants, u_mv, state),
        }
    }

    /// Constants of the cell, in the order of [`Membrane::cell_fields`].
    pub fn cell_words(&self) -> Vec<f64> {
        match self {
            Self::Point(constants) => constants.cell_words(),
            Self::TwoCompartment(constants) => constants.cell_words(),
        }
    }

    /// Constants of a port, in the order of [`Membrane::port_fields`].
    pub fn port_words(&self, port_ix: usize) -> Vec<f64> {
        match self {
            Self::Point(constants) => constants.port_words(port_ix),
            Self::TwoCompartment(constants) => constants.port_words(port_ix),
        }
    }
}

/// A2, A7: from `out_s`, the adjoint of u_s', and that of the other potentials and the ports after the step, to those before it; adds
/// to the gradient of the cell parameters and returns the derivative by the current into the soma.
pub fn undo(seen: &Seen, out_s: f64, adj: &mut AdjointCell, gradient: &mut [f64; N_CELL_PARAMETERS]) -> f64 {
    match &seen.cell.membrane {
        MembraneConstants::Point(constants) => point::undo(constants, seen, out_s, adj, gradient),
        MembraneConstants::TwoCompartment(constants) => {
            two_compartment::undo(constants, seen, out_s, adj, gradient)
        }
    }
}

/// A7: through the decay of the ports; `adj_mean` is the adjoint of the mean conductance of each port over the step.
fn undo_ports(seen: &Seen, adj_mean: impl Fn(usize) -> f64, adj: &mut AdjointCell) {
    for (p, decay) in seen.cell.port_decay.iter().enumerate() {
        let half = adj_mean(p) / 2.0;
        let adj_next = adj.g[p] + half;
        adj.g[p] = decay * adj_next + half;
        adj.rise[p] = decay * (adj.rise[p] + seen.dt_ms * adj_next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_membrane_says_what_it_has() {
        let two = CellMode::TwoCompartment { dendrite_fraction: 0.5, coupling_ratio: 2.0 };
        let cell = CellModel::sample();
        for mode in [CellMode::Point, two] {
            let membrane = mode.membrane();
            let ports = [Port { tau_ms: 2.0, reversal_mv: 0.0, on_soma: false }];
            let constants = mode.constants(&cell, &ports, 1.0, &[0.0; N_CELL_PARAMETERS]);
            assert_eq!(constants.cell_words().len(), membrane.cell_fields.len(), "{}", membrane.name);
            assert_eq!(constants.port_words(0).len(), membrane.port_fields.len(), "{}", membrane.name);
            assert!(membrane.learnable.iter().all(|k| *k < LEARNABLE.len()));
        }
    }
}

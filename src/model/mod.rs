//! Pure mathematics of the model: no files, no device. Equation numbers are those of docs/model.md.

pub mod adam;
pub mod cell;
pub mod direction_bins;
pub mod kinetics;
pub mod membrane;
mod port_fit;
pub mod psp;
pub mod real;
pub mod recording;
pub mod rng;
pub mod surrogate;
pub mod vocabulary;
pub mod weight_bins;

use kinetics::{KineticsTable, Ports, SynapseKind};
use membrane::CellMode;
use surrogate::Surrogate;

/// The dynamics of a network: everything that, with the network's tables, decides its time steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamics {
    /// Which membrane is integrated.
    pub mode: CellMode,
    /// Time step, ms.
    pub dt_ms: f64,
    /// Synaptic ports.
    pub ports: Ports,
    /// Longest delay of an edge, time steps, at least 1: it sets the length of the rings of arrivals.
    pub max_delay_steps: u32,
    /// Surrogate derivative of the spike.
    pub surrogate: Surrogate,
    /// What the adjoint is damped by.
    pub damping: Damping,
}

impl Dynamics {
    /// The published point cells with the measured kinetics as they are, and the surrogate of the scenes. Time step in ms,
    /// longest delay in time steps.
    pub fn point(kinetics: &KineticsTable, dt_ms: f64, max_delay_steps: u32) -> Self {
        Self {
            mode: CellMode::Point,
            dt_ms,
            ports: Ports::exact(kinetics, SynapseKind::Current),
            max_delay_steps,
            surrogate: Surrogate { half_width: 0.5, height: 0.1 },
            damping: Damping::default(),
        }
    }
}

/// Factors on what flows back in the adjoint pass; with 1 it is the exact adjoint of the surrogate rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Damping {
    /// On what reaches a neuron through the spikes that it sent to others (A9), in [0, 1].
    pub recurrent: f64,
    /// On what reaches the potentials before a step through those after it (A2), in [0, 1].
    pub membrane: f64,
}

impl Default for Damping {
    fn default() -> Self {
        Self { recurrent: 1.0, membrane: 1.0 }
    }
}

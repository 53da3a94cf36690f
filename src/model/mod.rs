//! Pure mathematics of the model: no files, no device. Equation numbers are those of MODEL.md.

pub mod adam;
pub mod cell;
pub mod direction_bins;
pub mod kinetics;
mod port_fit;
pub mod psp;
pub mod real;
pub mod recording;
pub mod rng;
pub mod surrogate;
pub mod vocabulary;
pub mod weight_bins;

use cell::CellMode;
use kinetics::Ports;
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
}

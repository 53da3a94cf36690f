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
    /// Transmission delay, `[n_source_types][n_cell_types]` steps, at least 1.
    pub delay_steps: Vec<u32>,
    /// Surrogate derivative of the spike.
    pub surrogate: Surrogate,
}

impl Dynamics {
    /// Delay from a source type to a target cell type, steps.
    pub fn delay_steps(&self, source_type_ix: usize, cell_type_ix: usize) -> u32 {
        self.delay_steps[source_type_ix * self.ports.n_cell_types() + cell_type_ix]
    }

    /// Longest delay, steps.
    pub fn max_delay_steps(&self) -> u32 {
        debug_assert!(self.delay_steps.len().is_multiple_of(self.ports.n_cell_types()));
        self.delay_steps.iter().copied().max().unwrap_or(1)
    }
}

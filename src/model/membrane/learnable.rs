//! The learnable parameters of a cell model: what each is called, in which form it is learned, and what bounds and switches it.

use super::super::vocabulary::CellModel;

/// Number of learnable parameters of a cell model.
pub const N_CELL_PARAMETERS: usize = 5;

/// Place of the logarithm of the leak conductance in [`LEARNABLE`].
pub const LOG_LEAK: usize = 0;
/// Place of the threshold.
pub const THRESHOLD: usize = 1;
/// Place of the amplitude of the first after-spike current.
pub const AFTER_SPIKE_1: usize = 2;
/// Place of the amplitude of the second after-spike current.
pub const AFTER_SPIKE_2: usize = 3;
/// Place of the logarithm of the coupling conductance.
pub const LOG_COUPLING: usize = 4;

/// All learnable parameters, in the order that they have on host and device and in checkpoints.
pub const LEARNABLE: [Learnable; N_CELL_PARAMETERS] = [
    Learnable {
        name: "log_leak_conductance",
        sum: "LOG_LEAK",
        switch: "leak_conductance",
        bound: Bound::Factor,
    },
    Learnable { name: "threshold_mv", sum: "THRESHOLD", switch: "threshold", bound: Bound::Offset },
    Learnable {
        name: "after_spike_amplitude_1_pa",
        sum: "AMP_1",
        switch: "after_spike_amplitudes",
        bound: Bound::Share(|cell| cell.asc_amp_pa[0]),
    },
    Learnable {
        name: "after_spike_amplitude_2_pa",
        sum: "AMP_2",
        switch: "after_spike_amplitudes",
        bound: Bound::Share(|cell| cell.asc_amp_pa[1]),
    },
    Learnable {
        name: "log_coupling_conductance",
        sum: "LOG_COUPLING",
        switch: "coupling_conductance",
        bound: Bound::Factor,
    },
];

/// A learnable parameter of a cell model.
#[derive(Clone, Copy, Debug)]
pub struct Learnable {
    /// Name, with the form and the unit in which it is learned.
    pub name: &'static str,
    /// Sum of its gradient on the device (`SUM_*` in the kernels).
    pub sum: &'static str,
    /// Field of the scene's `learn` that switches it on.
    pub switch: &'static str,
    /// What the scene's bound means for it, and with that the form in which it is learned.
    pub bound: Bound,
}

/// How far a parameter may go from its measured value.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// By a factor; learned is the logarithm of the parameter over its measured value.
    Factor,
    /// By an offset, in the parameter's unit; learned is the offset.
    Offset,
    /// By a share of the measured size; learned is the offset.
    Share(fn(&CellModel) -> f64),
}

impl Learnable {
    /// How far the learned form may go from 0, where the scene's bound is `value`.
    pub fn reach(&self, value: f64, cell: &CellModel) -> f64 {
        match self.bound {
            Bound::Factor => value.ln(),
            Bound::Offset => value,
            Bound::Share(size) => value * size(cell).abs(),
        }
    }

    /// Whether its logarithm is learned.
    pub fn is_log(&self) -> bool {
        matches!(self.bound, Bound::Factor)
    }
}

//! Pure mathematics of the model: no files, no device. Equation numbers are those of MODEL.md.

pub mod cell;
pub mod kinetics;
pub mod psp;
pub mod real;
pub mod rng;
pub mod surrogate;

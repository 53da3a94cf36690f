//! simrun: a differentiable simulator of biologically constrained cortical circuits.
//!
//! Start at ARCHITECTURE.md (the code map) and MODEL.md (the equations, E1.. forward and A1.. adjoint).

pub mod error;
pub mod model;
pub mod network;

pub use error::{Error, Result};

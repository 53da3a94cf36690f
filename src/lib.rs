//! simrun: a differentiable simulator of biologically constrained cortical circuits.
//!
//! Start at ARCHITECTURE.md (the code map) and docs/model.md (the equations, E1.. forward and A1.. adjoint).

// What is said on a terminal that is gone must not end the program: output::say.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod calibrate;
pub mod error;
pub mod evaluate;
pub mod experiment;
pub mod export;
pub mod figures;
pub mod gpu;
pub mod hdf5;
pub mod import;
pub mod loss;
pub mod measure;
pub mod memory;
pub mod model;
pub mod network;
pub mod output;
pub mod patch;
pub mod plan;
pub mod reference;
pub mod report;
pub mod results;
pub mod scene;
pub mod setup;
pub mod sim;
pub mod sonata;
pub mod stimulus;
pub mod train;

pub use error::{Error, Result};

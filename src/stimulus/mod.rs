//! Stimuli: gratings and grey screens, and the LGN units that see them.

mod grating;
pub mod lgn;
pub mod spatial;
pub mod temporal;

pub use grating::{Grating, TrialCondition};

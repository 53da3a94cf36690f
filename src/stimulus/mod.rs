//! Stimuli: gratings and grey screens, and the LGN units that see them.

pub mod drive;
mod grating;
pub mod lgn;
pub mod spatial;
pub mod spikes;
pub mod temporal;

pub use grating::{Grating, TrialCondition};

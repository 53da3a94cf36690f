//! Stimuli: gratings, grey screens, images and movies, and the LGN units that see them.

pub mod drive;
pub mod frames;
mod grating;
pub mod lgn;
pub mod movie;
pub mod spatial;
pub mod spikes;
pub mod temporal;

pub use grating::{Grating, TrialCondition};

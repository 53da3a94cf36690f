//! Stimuli: gratings and grey screens, and the LGN units that see them.

mod grating;

pub use grating::{Grating, TrialCondition};

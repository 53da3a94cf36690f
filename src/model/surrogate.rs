//! The surrogate derivative of the spike.

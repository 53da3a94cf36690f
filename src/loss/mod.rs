//! Losses on the host in f64: value and seeds for the adjoint pass.

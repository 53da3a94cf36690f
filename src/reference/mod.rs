//! The f64 specification of forward and adjoint pass, written for clarity. Never called by production code.

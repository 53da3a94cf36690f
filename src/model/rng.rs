//! Counter-based random numbers: a function of (seed, stream, source, step, trial), bit-exact in Rust and WGSL.

//! Synaptic kinetics: double alphas per (class, target type) and their fit on a few ports.

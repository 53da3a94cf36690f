//! Neurons on the device: layout, state, forward pass, adjoint pass, checkpoints, optimiser.

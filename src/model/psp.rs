//! Unit postsynaptic potentials: what one synapse of weight 1 does to a cell at rest.

//! SONATA circuits: configuration, nodes, edges, components, node sets and spikes, read from the files that BMTK and libsonata
//! write, and put together as a network of the point model.

mod assemble;
mod cells;
mod circuit;
mod components;
mod config;
mod edges;
mod inputs;
mod keys;
mod links;
mod manifest;
mod node_sets;
mod nodes;
mod scene;
mod spikes;
mod types;

pub use cells::Members;
pub use circuit::{Circuit, CircuitOptions};
pub use config::{Config, InputEntry, PopulationFile, read_raw};
pub use edges::EdgePopulation;
pub use inputs::{InputSource, TrialInput};
pub use node_sets::NodeSets;
pub use nodes::{Attribute, NodePopulation};
pub use scene::{circuit_of_scene, config_of_scene, files_of_scene};
pub use spikes::{SpikeFile, Spikes, read_spikes, step_of_spike};

//! Spikes of a simulation as a SONATA file: `cargo run --release --example spikes -- [FOLDER]`

use std::path::PathBuf;
use std::sync::Arc;

use simrun::output::spikes::TrialStimulus;
use simrun::{
    Dynamics, Edge, Gpu, Network, Probe, Settings, Simulation, SourceSpikes, Tables, TrialSpikes, shipped,
};

const N_TRIALS: usize = 2;
const N_STEPS: usize = 200;

fn main() -> simrun::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| ".".into(), PathBuf::from);
    // The 201 published cells, each excited by one input (source n) that spikes every fourth step of both trials.
    let tables = Tables::read(shipped::tables())?;
    let n = tables.cells.len();
    let models: Vec<u16> = (0..n as u16).collect();
    let edge = |target| Edge { source: n as u32, target, delay_steps: 1, weight: 150.0 };
    let edges: Vec<Edge> = (0..n as u32).map(edge).collect();
    let network = Network::from_edges(tables.cell_models(), &models, 1, &edges)?;
    let dynamics = Dynamics::point(&tables.kinetics, 1.0, 1);
    let input: Vec<u32> = (0..N_STEPS).map(|step| if step % 4 == 0 { 0b11 } else { 0 }).collect();
    let (gpu, settings) = (Arc::new(Gpu::open(None)?), Settings::new(N_STEPS, N_TRIALS));
    let mut simulation = Simulation::new(&gpu, &network, &dynamics, SourceSpikes::Replay(&input), settings)?;
    let (_, recording) = simulation.forward_recorded(1, 0, &Probe::default())?;
    let spikes = recording.spikes.iter().map(|spike| (spike.trial, spike.step, spike.neuron)).collect();
    let shown = TrialStimulus::Recorded { direction_deg: None, contrast: None };
    let mut file = TrialSpikes::new(dynamics.dt_ms, N_STEPS as u32, network.node_names());
    file.add(&[shown; N_TRIALS], spikes);
    file.write(&folder, "example_", 0)?;
    println!("{} spikes in {}", file.len(), folder.join("example_spikes.h5").display());
    Ok(())
}

//! A network from arrays, a ring of cells that hand on one spike: `cargo run --release --example own_network`

use std::sync::Arc;

use simrun::{Dynamics, Edge, Gpu, Network, Probe, Settings, Simulation, SourceSpikes, Tables, shipped};

const N_CELLS: usize = 50;
const N_STEPS: usize = 400;

fn main() -> simrun::Result<()> {
    let tables = Tables::read(shipped::tables())?;
    // One of the 201 published cells, a pyramidal one of layer 4; any other `CellModel` will do.
    let cell = tables.cells.iter().map(|row| &row.model).find(|cell| cell.id == 386049446);
    let cell = cell.unwrap_or(&tables.cells[0].model).clone();
    // Each cell excites the next with a peak of 500 pA, 2 ms after its spike; the input, source N_CELLS, the first.
    let edge = |source: usize, target: usize| Edge {
        source: source as u32,
        target: target as u32,
        delay_steps: 2,
        weight: 500.0,
    };
    let ring = (0..N_CELLS).map(|cell| edge(cell, (cell + 1) % N_CELLS));
    let edges: Vec<Edge> = ring.chain([edge(N_CELLS, 0)]).collect();
    let network = Network::from_edges(vec![cell], &[0; N_CELLS], 1, &edges)?;
    let dynamics = Dynamics::point(&tables.kinetics, 1.0, 2);
    // Which trials the input spikes in, a bit each, step by step: in the only trial, in the first step.
    let input: Vec<u32> = (0..N_STEPS).map(|step| u32::from(step == 0)).collect();
    let gpu = Arc::new(Gpu::open(None)?);
    let (sources, settings) = (SourceSpikes::Replay(&input), Settings::new(N_STEPS, 1));
    let mut simulation = Simulation::new(&gpu, &network, &dynamics, sources, settings)?;
    let (_, recording) = simulation.forward_recorded(1, 0, &Probe::default())?;
    for spike in recording.spikes {
        println!("{} ms: cell {}", spike.step + 1, spike.neuron);
    }
    Ok(())
}

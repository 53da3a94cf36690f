//! A gradient on the device beside the same in f64 on the host: `cargo run --release --example gradient`

use std::sync::Arc;

use simrun::reference::{Mode, Parameters, Problem, adjoint};
use simrun::{Dynamics, Edge, Gpu, Network, Settings, Simulation, SourceSpikes, Tables, shipped};

const N_CELLS: usize = 20;
const N_STEPS: usize = 100;

fn main() -> simrun::Result<()> {
    let tables = Tables::read(shipped::tables())?;
    let cells: Vec<_> = tables.cells.iter().step_by(10).take(N_CELLS).map(|row| row.model.clone()).collect();
    let models: Vec<u16> = (0..N_CELLS as u16).collect();
    // All to all, and one input (source N_CELLS) to all, which spikes every third step.
    let edge = |ix: usize| Edge {
        source: (ix / N_CELLS) as u32,
        target: (ix % N_CELLS) as u32,
        delay_steps: 1 + (ix % 3) as u32,
        weight: if ix / N_CELLS == N_CELLS { 200.0 } else { 5.0 },
    };
    let edges: Vec<Edge> = (0..(N_CELLS + 1) * N_CELLS).map(edge).collect();
    let network = Network::from_edges(cells, &models, 1, &edges)?;
    let dynamics = Dynamics::point(&tables.kinetics, 1.0, 3);
    let input: Vec<u32> = (0..N_STEPS).map(|step| u32::from(step % 3 == 0)).collect();
    let settings = Settings { learn_weights: simrun::sim::LearnWeights::ALL, ..Settings::new(N_STEPS, 1) };
    let gpu = Arc::new(Gpu::open(None)?);
    let mut simulation = Simulation::new(&gpu, &network, &dynamics, SourceSpikes::Replay(&input), settings)?;
    let counts = simulation.forward(1, 0)?.spike_counts;
    // The loss is the sum of all spikes: its derivative by each count is 1.
    simulation.adjoint(&[1.0; N_CELLS])?;
    let found = simulation.weight_gradient()?;
    let problem = Problem::new(&network, &dynamics, [N_STEPS, 1], &input, &[1.0; N_CELLS]);
    let exact = adjoint(&problem, &Parameters::of_network(&network), Mode::Hard).weights;
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let apart = norm(&mut found.iter().zip(&exact).map(|(f, e)| f64::from(*f) - e));
    let relative = apart / norm(&mut exact.iter().copied());
    println!(
        "{} spikes, {} edges, relative difference {relative:.1e}",
        counts.iter().sum::<f32>(),
        found.len()
    );
    Ok(())
}

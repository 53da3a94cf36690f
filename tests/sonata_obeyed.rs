//! What a circuit's files say is obeyed, or refused by name: keys, columns and attributes that a BMTK, NEST or
//! libsonata user has in them, one test for each kind, and the names under which outputs give the neurons back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "sonata_obeyed/configuration.rs"]
mod configuration;
#[path = "sonata_obeyed/inputs.rs"]
mod inputs;
#[path = "sonata_obeyed/parameters.rs"]
mod parameters;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;

use simrun::network::{CellModel, Network, target_delay_steps, target_neuron};
use sonata_circuit::SonataCircuit;

/// The good circuit after a change.
fn changed(change: impl FnOnce(&mut SonataCircuit)) -> SonataCircuit {
    let mut circuit = SonataCircuit::good();
    change(&mut circuit);
    circuit
}

/// The network of a circuit, the spikes of its first trial, and what was said.
fn built(circuit: &SonataCircuit, settings: &[&str]) -> (Network, Vec<(u32, u32)>, Vec<String>) {
    let (built, said) = circuit.build(settings).unwrap_or_else(|e| panic!("{e}"));
    (built.network, built.given.unwrap().inputs[0].spikes.clone(), said)
}

fn refused(circuit: &SonataCircuit, settings: &[&str], named: &[&str]) {
    let error = circuit.build(settings).map(|_| ()).expect_err(&format!("{named:?}"));
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2, "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for word in named {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

fn hears(said: &[String], words: &[&str]) {
    let has = |line: &String| words.iter().all(|word| line.contains(word));
    assert!(said.iter().any(has), "{words:?} is not said: {said:?}");
}

/// (source, target, delay in steps, weight) of every edge.
fn edges(network: &Network) -> Vec<(usize, u32, u32, f32)> {
    let mut edges = Vec::new();
    for source in 0..network.n_sources() {
        for e in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let word = network.rows.targets[e];
            edges.push((source, target_neuron(word), target_delay_steps(word), network.rows.weights[e]));
        }
    }
    edges
}

fn model(network: &Network, neuron: usize) -> &CellModel {
    &network.cell_models[usize::from(network.neurons.model_ix[neuron])]
}

//! Reads a SONATA circuit as simrun does, without a device: `read_sonata CONFIG [NAME=VALUE]...` prints its sizes and the time.
//!
//! NAME=VALUE sets a variable of the manifest. Used by `tools/sonata_67k`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use simrun::sonata::{Circuit, CircuitOptions, Config};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        eprintln!("usage: read_sonata CONFIG [NAME=VALUE]...");
        return ExitCode::from(2);
    };
    let pairs = arguments.filter_map(|a| a.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())));
    match read(&file, &pairs.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn read(file: &str, manifest: &BTreeMap<String, String>) -> simrun::Result<()> {
    let start = Instant::now();
    let config = Config::read(file.as_ref(), manifest)?;
    let options = CircuitOptions {
        dt_ms: config.dt_ms.unwrap_or(0.25),
        cell_type: None,
        cell_types: &BTreeMap::new(),
        v1_type: &|_| None,
        node_set: None,
        background: &["bkg".to_owned()],
        weight_functions: &[],
    };
    let circuit = Circuit::read(&config, &options)?;
    let network = &circuit.network;
    circuit.notices.iter().for_each(|notice| println!("{notice}"));
    println!(
        "{} neurons of {} cell types, {} LGN and {} background units, {} edges, {} ports, {} classes: {:.1} s",
        network.neurons.len(),
        network.vocabulary.n_cell_types(),
        network.n_lgn,
        network.n_background,
        network.rows.n_edges(),
        circuit.ports.n_ports,
        circuit.ports.n_classes,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

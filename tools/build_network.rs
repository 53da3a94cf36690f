//! Builds the V1 network and prints its size, the time it took and how the drawn edges compare with the rule:
//! `cargo run --release --example build_network -- RADIUS_UM CORE_RADIUS_UM [--cached] [--compare]`. With `--cached`
//! it goes through the cache of networks (`SIMRUN_CACHE`). With `--compare` the expected number of edges of each pair
//! type is summed over all pairs of neurons (a minute at 400 um).

use std::time::Instant;

use simrun::network::Network;
use simrun::network::tables::Tables;
use simrun::network::{
    CELL_TYPES, N_CELL_TYPES, N_CLASSES, NetworkSpec, UnitPsps, build_or_load, cache_folder, expected_edges,
};

fn main() -> simrun::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: f64| arguments.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (radius_um, core_radius_um) = (number(0, 100.0), number(1, 50.0));
    let tables = Tables::read("scenes/v1")?;
    // One mV a unit of weight: weights are then PSPs in mV.
    let one_mv = vec![[1.0; N_CLASSES]; tables.cells.len()];
    let unit_psps = UnitPsps { of_mode_mv: one_mv.clone(), of_point_mv: one_mv };
    let spec = NetworkSpec { radius_um, core_radius_um, ..NetworkSpec::published(1) };
    let start = Instant::now();
    let cache = cache_folder().filter(|_| arguments.iter().any(|a| a == "--cached"));
    let network = build_or_load(&spec, &tables, &unit_psps, cache.as_deref(), &mut |s| eprintln!("{s}"))?;
    let n = network.neurons.len();
    let edges_before = |source: usize| network.rows.offsets[source];
    println!(
        "radius {radius_um} um, core {core_radius_um} um: built or read in {:.2} s",
        start.elapsed().as_secs_f64()
    );
    println!("neurons {n}, LGN units {}, background units {}", network.n_lgn, network.n_background);
    println!("recurrent edges {}", edges_before(n));
    println!("LGN edges {}", edges_before(n + network.n_lgn) - edges_before(n));
    println!("background edges {}", network.rows.n_edges() as u64 - edges_before(n + network.n_lgn));
    if arguments.iter().any(|a| a == "--compare") {
        compare(&network, &tables, core_radius_um);
    }
    Ok(())
}

/// Prints the z-score of the drawn number of recurrent edges of every pair type.
fn compare(network: &Network, tables: &Tables, core_radius_um: f64) {
    let start = Instant::now();
    let expected = expected_edges(tables, &network.neurons, 0..network.neurons.len(), core_radius_um);
    println!(
        "expected counts summed in {:.1} s; z-scores of the drawn counts:",
        start.elapsed().as_secs_f64()
    );
    let mut drawn = [[0u64; N_CELL_TYPES]; N_CELL_TYPES];
    for source in 0..network.neurons.len() {
        let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
        for &word in &network.rows.targets[row] {
            drawn[network.source_type(source)][network.neurons.target_cell_type(word)] += 1;
        }
    }
    let (mut sum, mut n, mut total) = (0.0, 0.0, 0.0);
    for (source, name) in CELL_TYPES.iter().enumerate() {
        let z: Vec<f64> = (0..N_CELL_TYPES)
            .map(|target| {
                let e = &expected[source][target];
                total += e.mean;
                (drawn[source][target] as f64 - e.mean) / e.variance.sqrt()
            })
            .collect();
        sum += z.iter().map(|z| z * z).sum::<f64>();
        n += z.len() as f64;
        println!("{name:>9} {}", z.iter().map(|z| format!("{z:5.1}")).collect::<Vec<_>>().join(" "));
    }
    println!("expected {total:.0}; mean square of z {:.3} over {n} pair types", sum / n);
}

//! Writes tables of cells and synapses in the format of EM exports, for trying `network.em` and for measuring:
//!
//!     cargo run --release --example make_em_table -- DIR [N_CELLS] [N_SYNAPSES] [RADIUS_UM]
//!
//! DIR gets `cells.csv`, `synapses.csv`, `cells.parquet` and `synapses.parquet` (20,000 cells and 5,000,000 synapses within 220 um
//! unless told otherwise). The figures mean nothing: ids, places and sizes are drawn.

#[path = "../tests/common/em_table.rs"]
mod em_table;

use std::path::PathBuf;

use simrun::network::tables::Tables;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = PathBuf::from(arguments.first().ok_or("name a folder for the tables")?);
    let number = |k: usize, usual: f64| arguments.get(k).map_or(Ok(usual), |text| text.parse::<f64>());
    let (n_cells, n_synapses, radius_um) = (number(1, 2e4)?, number(2, 5e6)?, number(3, 220.0)?);
    let tables = Tables::read("scenes/v1")?;
    std::fs::create_dir_all(&dir)?;
    let (cells, synapses) = em_table::make(&tables, n_cells as usize, n_synapses as usize, radius_um);
    em_table::write_csv(&dir, &cells, &synapses)?;
    em_table::write_parquet(&dir, &cells, &synapses)?;
    println!("{}: {} cells, {} synapses", dir.display(), cells.len(), synapses.len());
    Ok(())
}

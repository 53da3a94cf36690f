//! Trains a small network: `cargo run --release --example train -- [RUN FOLDER]`

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use simrun::{Destination, Options, Plan, RunFolder, report, shipped};

fn main() -> simrun::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| "runs/example".into(), PathBuf::from);
    // Mouse V1 within 40 um of the column's axis, for trials of 100 ms; no table of input weights was made for it.
    let settings = [
        "network.radius_um=40",
        "network.core_radius_um=40",
        "network.calibration=None",
        "network.lgn.weight_factor=1.8",
        "network.background.weight_factor=2",
        "time.duration_ms=100",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
    ];
    let plan = Plan::read(&shipped::scene("column"), &settings.map(str::to_owned))?;
    let destination = Destination::New(RunFolder::claim(&folder)?);
    // Raised from another thread, the flag ends the run after the step in hand.
    let stop = AtomicBool::new(false);
    let options = Options { training_steps: Some(3), quiet: true, ..Options::default() };
    println!("{}", simrun::train(&plan, destination, &options, &stop)?);
    println!("{}", report::write(&folder)?.display());
    Ok(())
}

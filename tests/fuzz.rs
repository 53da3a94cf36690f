//! Damaged inputs: every reader answers each with a value or with one sentence (exit code 2), whatever the file holds.
//!
//! A few seconds here. By hand with as many inputs as wanted, in all, from any seed, and for the readers whose names hold a text:
//! `SIMRUN_FUZZ_INPUTS=1000000 SIMRUN_FUZZ_SEED=1 SIMRUN_FUZZ_TARGET=sonata cargo test --release --test fuzz -- --nocapture`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "fuzz/driver.rs"]
mod driver;
#[path = "common/em_table.rs"]
mod em_table;
#[path = "common/nwb_session.rs"]
mod nwb_session;
#[path = "fuzz/sonata.rs"]
mod sonata;
#[path = "common/sonata_circuit.rs"]
mod sonata_circuit;
#[path = "fuzz/tables.rs"]
mod tables;

/// Inputs of a target where nothing else is asked for.
const INPUTS: u64 = 400;

#[test]
fn damaged_files_are_refused_in_one_sentence() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let wanted = std::env::var("SIMRUN_FUZZ_TARGET").unwrap_or_default();
    let mut targets = Vec::new();
    targets.extend(sonata::targets());
    targets.extend(tables::targets());
    targets.retain(|target| target.name.contains(&wanted));
    let each = number("SIMRUN_FUZZ_INPUTS").map_or(INPUTS, |all| all.div_ceil(targets.len().max(1) as u64));
    let first_seed = number("SIMRUN_FUZZ_SEED").unwrap_or(1) << 32;
    // Panics that a reader catches are no news, and one that it does not is told below.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let faults: Vec<String> =
        targets.iter().flat_map(|target| driver::run(target, each, first_seed)).collect();
    std::panic::set_hook(hook);
    assert!(!targets.is_empty(), "there is no target '{wanted}'");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

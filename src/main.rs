//! The `simrun` program.

fn main() {}

//! Writes docs/scenes.md, the reference of scenes, from the documentation of the types that scenes are read into:
//!
//!     cargo run --release --example scene_reference
//!
//! It follows the types from `Scene` and `ExperimentScene` through `src/scene.rs`, `src/scene/`, the terms of `src/loss/` and
//! `src/network/scene.rs`, so a new field or term needs no change here. `tests/scene_reference.rs` holds the file against the sources.

#[path = "../tests/common/reference.rs"]
mod reference;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::write(root.join("docs/scenes.md"), reference::markdown(root)?)?;
    Ok(())
}

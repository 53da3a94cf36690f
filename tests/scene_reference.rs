//! docs/scenes.md says what the sources say, of every field.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/reference.rs"]
mod reference;

use std::path::Path;

#[test]
fn the_reference_of_scenes_is_that_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let written = std::fs::read_to_string(root.join("docs/scenes.md")).unwrap();
    let text = reference::markdown(root).unwrap();
    let line = text.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        text == written,
        "docs/scenes.md is not up to date: cargo run --release --example scene_reference (first difference: {line:?})"
    );
}

#[test]
fn every_field_of_a_scene_is_in_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = reference::markdown(root).unwrap();
    for scene in ["v1_4k.ron", "smoke.ron"] {
        let scene = simrun::scene::Scene::read(&root.join("scenes").join(scene)).unwrap();
        let fields = scene.fields().unwrap();
        assert!(fields.len() > 50, "only {} fields", fields.len());
        for (path, _) in fields {
            let name = path.rsplit('.').next().unwrap();
            assert!(text.contains(&format!("| `{name}` |")), "{path} is not in the reference");
        }
    }
    assert!(!text.contains("| has one |"), "a default is not shown");
    // Default, unit and range of one field that this test knows.
    let line = text.lines().find(|line| line.starts_with("| `memory_budget_mib` |")).unwrap();
    assert!(line.contains("| 3800 |") && line.contains("MiB, >= 1"), "{line}");
}

//! Bad input on the real program: one line that names file, field, value and limit, and the exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn simrun(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    // Keeps a layer of Mesa from saying on stderr that there is no display server.
    command.env("NODEVICE_SELECT", "1");
    command.output().unwrap()
}

/// Fails unless the program ends with `code`, after one line on stderr that holds every one of `words`.
#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "more than one line:\n{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "'{word}' is not in: {stderr}");
    }
}

/// The smoke scene with `from` replaced by `to`, in a folder of its own beside a copy of the tables.
fn edited_scene(dir: &Path, from: &str, to: &str) -> PathBuf {
    let scenes = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes");
    let text = fs::read_to_string(scenes.join("smoke.ron")).unwrap();
    assert!(text.contains(from), "the smoke scene has no '{from}'");
    let file = dir.join("scene.ron");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
    fs::create_dir_all(dir.join("v1")).unwrap();
    for entry in fs::read_dir(scenes.join("v1")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join("v1").join(entry.file_name())).unwrap();
    }
    file
}

fn refused_edit(from: &str, to: &str, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = edited_scene(dir.path(), from, to);
    let output = simrun(&["check", file.to_str().unwrap()]);
    assert_refused(&output, 2, &[&["scene.ron"], words].concat());
}

#[test]
fn the_scenes_of_the_project_pass() {
    let scenes: Vec<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ron"))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    assert!(scenes.len() >= 5);
    let arguments: Vec<&str> = std::iter::once("check").chain(scenes.iter().map(String::as_str)).collect();
    let output = simrun(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_unknown_field_is_named_with_its_place() {
    refused_edit("duration_ms: 500", "duraton_ms: 500", &["line 9", "duraton_ms", "duration_ms"]);
    refused_edit("current_pa", "current_na", &["current_na", "current_pa"]);
}

#[test]
fn a_missing_field_is_named() {
    refused_edit("    seed: 1,\n", "", &["seed"]);
}

#[test]
fn values_out_of_range_are_named_with_their_limit() {
    refused_edit("dt_ms: 1,", "dt_ms: 0,", &["time.dt_ms = 0", "0.01 to 1 ms"]);
    refused_edit("n_spontaneous: 1", "n_spontaneous: 32", &["n_spontaneous = 1 + 32", "1 to 32 trials"]);
    let radius = ["check", "scenes/v1_4k.ron", "--set", "network.radius_um=-100"];
    assert_refused(&simrun(&radius), 2, &["v1_4k.ron", "network.radius_um = -100", "above 0", "um"]);
    let k = ["check", "scenes/v1_4k.ron", "--set", "checkpoint.steps_between=Steps(501)"];
    assert_refused(&simrun(&k), 2, &["v1_4k.ron", "checkpoint.steps_between = 501", "1 to 500 time steps"]);
}

#[test]
fn a_setting_of_no_field_names_the_nearest() {
    let output = simrun(&["check", "scenes/v1_4k.ron", "--set", "time.dt=0.5"]);
    assert_refused(&output, 2, &["time.dt", "time.dt_ms"]);
}

#[test]
fn a_scene_that_is_none_is_refused() {
    assert_refused(&simrun(&["check", "scenes/none.ron"]), 2, &["scenes/none.ron", "no such"]);
    assert_refused(&simrun(&["check", "scenes"]), 2, &["scenes"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("scene.ron");
    fs::write(&file, [0xff, 0xfe]).unwrap();
    assert_refused(&simrun(&["check", file.to_str().unwrap()]), 2, &["scene.ron", "UTF-8"]);
    fs::write(&file, "(".repeat(100_000)).unwrap();
    assert_refused(&simrun(&["check", file.to_str().unwrap()]), 2, &["scene.ron", "line 1"]);
}

#[test]
fn a_missing_table_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = edited_scene(dir.path(), "seed: 1", "seed: 1");
    fs::remove_file(dir.path().join("v1/kinetics.csv")).unwrap();
    assert_refused(&simrun(&["check", file.to_str().unwrap()]), 2, &["v1/kinetics.csv"]);
    fs::remove_dir_all(dir.path().join("v1")).unwrap();
    let output = simrun(&["check", file.to_str().unwrap()]);
    assert_refused(&output, 2, &["scene.ron", "tables = v1", "no such folder"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(["check", "scenes/smoke.ron"]).current_dir(env!("CARGO_MANIFEST_DIR")).stdout(writer);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_system_without_adapter_is_told_what_to_install() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    // A loader that is shown no driver finds no adapter.
    command.arg("adapters").env("VK_DRIVER_FILES", "/dev/null").env("VK_ICD_FILENAMES", "/dev/null");
    assert_refused(&command.output().unwrap(), 2, &["no usable graphics adapter", "mesa-vulkan-drivers"]);
}

#[test]
fn recordings_refuse_what_they_cannot_do() {
    let cell = |id: &str, dt_ms: &str, stop_ms: &str| {
        let time = ["--stop-ms", stop_ms, "--duration-ms", "10", "--dt-ms", dt_ms];
        simrun(&[&["cell", id, "--current-pa", "100", "--start-ms", "1"], &time[..]].concat())
    };
    assert_refused(&cell("1", "0.1", "5"), 2, &["MODEL = 1", "cells.csv"]);
    assert_refused(&cell("475585413", "0", "5"), 2, &["--dt-ms = 0", "0.001 to 1 ms"]);
    assert_refused(&cell("475585413", "0.1", "0.5"), 2, &["--stop-ms = 0.5", "1 to 10 ms"]);
    let full = ["pair", "e4", "475585413", "--dt-ms", "0.1", "--trace", "/dev/full"];
    assert_refused(&simrun(&full), 1, &["/dev/full", "No space left"]);
}

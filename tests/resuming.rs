//! Runs that ended early go on: what `--resume`, `report`, `evaluate` and `export` make of the folders that they leave. Kills at every
//! place are in `tests/campaign.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

mod common;

use common::program::{assert_refused, command, run_dir, short_run, simrun, steps};
use simrun::network::tables::RECORDED_TABLES;

fn words(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// What a program that succeeded says on stdout and stderr.
#[track_caller]
fn succeeded(arguments: &[&str]) -> [String; 2] {
    let output = simrun(arguments);
    let [stdout, stderr] = words(&output);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    [stdout, stderr]
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    assert_refused(&simrun(arguments), code, parts);
}

/// A long run that was killed once `is_enough` held.
fn killed(run: &str, more: &[&str], is_enough: impl Fn(&Path) -> bool) {
    let long = ["--out", run, "--set", "optimiser.training_steps=100000"];
    let mut child: Child = command(&short_run(&[&long, more].concat()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !is_enough(Path::new(run)) {
        assert!(started.elapsed() < Duration::from_secs(120), "nothing within two minutes");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn n_lines(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn a_run_killed_before_its_first_checkpoint_begins_again() {
    let (_dir, run) = run_dir();
    let by_count_alone = ["--set", "optimiser.save_every_steps=100000"];
    killed(&run, &by_count_alone, |run| n_lines(run) >= 3);
    assert!(!Path::new(&run).join("checkpoint.safetensors").exists());
    succeeded(&["report", &run]);
    let [stdout, _] = succeeded(&["evaluate", &run, "--trials", "1", "--quiet"]);
    assert!(stdout.contains("has no checkpoint, so this is the network before training"), "{stdout}");
    let long = ["--set", "optimiser.training_steps=100000"];
    let other = [&["--resume", &run, "--set", "network.current_pa=151"], &long[..]].concat();
    refused(&short_run(&other), 2, &["scene.ron", "network.current_pa = 150.0", "another scene", "151"]);
    let again = [&["--resume", &run, "--steps", "2"], &long[..], &by_count_alone].concat();
    let [_, stderr] = succeeded(&short_run(&again));
    assert!(stderr.contains("no checkpoint yet; the run begins again at training step 1"), "{stderr}");
    let (_dir, whole) = run_dir();
    succeeded(&short_run(&[&["--out", &whole, "--steps", "2"], &long[..], &by_count_alone].concat()));
    let learned = |run: &str| {
        let checkpoint = fs::read(format!("{run}/checkpoint.safetensors")).unwrap();
        (checkpoint, fs::read(format!("{run}/summary.json")).unwrap())
    };
    assert_eq!((steps(&run), learned(&run)), (vec![1, 2], learned(&whole)));
}

#[test]
fn checkpoints_are_taken_by_time_too() {
    let (_dir, run) = run_dir();
    let by_time = ["--set", "optimiser.save_every_steps=100000", "--set", "optimiser.save_every_minutes=0"];
    killed(&run, &by_time, |run| n_lines(run) >= 4);
    let more = ["--resume", &run, "--steps", "1", "--set", "optimiser.training_steps=100000"];
    let [_, stderr] = succeeded(&short_run(&[&more[..], &by_time].concat()));
    assert_eq!(stderr, "");
    let steps = steps(&run);
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
    assert!(steps.len() >= 4, "more than the step in hand was lost: {steps:?}");
}

#[test]
fn metrics_that_are_lost_are_named() {
    let (_dir, run) = run_dir();
    succeeded(&short_run(&["--out", &run, "--steps", "4", "--set", "optimiser.training_steps=6"]));
    let file = format!("{run}/metrics.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&file, format!("{}\nnothing\n{}\n", lines[0], lines[2])).unwrap();
    succeeded(&["report", &run]);
    let page = fs::read_to_string(format!("{run}/report.html")).unwrap();
    assert!(page.contains("lines 2 of metrics.jsonl do not read; steps 2 have no metrics"));
    let [_, stderr] = succeeded(&short_run(&["--resume", &run, "--set", "optimiser.training_steps=6"]));
    assert!(
        stderr.contains("metrics.jsonl: the lines of training steps 2, 4 are missing or broken"),
        "{stderr}"
    );
    assert_eq!(steps(&run), [1, 3, 5, 6]);
}

#[test]
fn files_of_two_evaluations_are_not_shown_as_one() {
    let (dir, run) = run_dir();
    let two = ["--set", "optimiser.training_steps=2"];
    succeeded(&short_run(&[&["--out", &run, "--steps", "1"], &two[..]].concat()));
    let earlier = dir.path().join("trials.csv");
    fs::copy(format!("{run}/trials.csv"), &earlier).unwrap();
    succeeded(&short_run(&[&["--resume", &run], &two[..]].concat()));
    let shown = || {
        succeeded(&["report", &run]);
        fs::read_to_string(format!("{run}/report.html")).unwrap().contains("One trial.")
    };
    assert!(shown());
    fs::copy(&earlier, format!("{run}/trials.csv")).unwrap();
    assert!(!shown(), "spikes of one evaluation beside the trials of another");
    let nwb = dir.path().join("run.nwb");
    refused(&["export", &run, "--nwb", nwb.to_str().unwrap()], 2, &["spikes.h5", "another evaluation"]);
    fs::remove_file(format!("{run}/spikes.h5")).unwrap();
    assert!(!shown());
}

#[test]
fn what_was_never_finished_is_made_again() {
    let (dir, run) = run_dir();
    // What a process leaves that is killed while it makes the folder.
    let partial = dir.path().join(".run.partial");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("scene.ron"), "(").unwrap();
    let [_, stderr] = succeeded(&short_run(&["--resume", &run, "--steps", "1"]));
    assert!(stderr.contains("was never finished; it is made again"), "{stderr}");
    assert!(Path::new(&run).join("checkpoint.safetensors").exists() && !partial.exists());
    refused(
        &short_run(&["--resume", "runs/none_of_this_name"]),
        2,
        &["none_of_this_name", "not a run folder"],
    );
}

fn copy_folder(from: &Path, to: &Path, is_meant: impl Fn(&str) -> bool) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        if is_meant(file.file_name().to_str().unwrap()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// Tables and recordings may lie elsewhere, but a run that was trained on some goes on with no others.
#[test]
fn a_run_goes_on_with_the_files_that_it_was_made_from() {
    let (dir, run) = run_dir();
    let [tables, moved, mine, other] = ["tables", "moved", "mine", "other"].map(|name| dir.path().join(name));
    let shipped = common::root().join("scenes/v1");
    copy_folder(&shipped, &tables, |_| true);
    copy_folder(&shipped, &mine, |name| RECORDED_TABLES.contains(&name));
    copy_folder(&mine, &other, |_| true);
    let with = |tables: &Path, recordings: Option<&Path>, more: &[&str]| {
        let recordings = recordings.map(|dir| format!("recordings={dir:?}"));
        let settings = [format!("tables={tables:?}"), "optimiser.training_steps=3".to_owned()];
        let settings: Vec<String> = settings.into_iter().chain(recordings).collect();
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        simrun(&short_run(&[more, &settings].concat()))
    };
    let resume = ["--resume", &run, "--steps", "1"];
    let goes_on = |output: Output| assert!(output.status.success(), "{:?}", words(&output));
    let refused = |output: Output, file: &str| {
        assert_refused(&output, 2, &[file, "is not the file that the run was made from"]);
    };
    goes_on(with(&tables, Some(&mine), &["--out", &run, "--steps", "1"]));
    fs::rename(&tables, &moved).unwrap();
    // What was recorded is the same in the folder of the tables.
    goes_on(with(&moved, None, &resume));
    let append = |file: &Path| {
        let whole = fs::read(file).unwrap();
        fs::write(file, [&whole[..], b"\n"].concat()).unwrap();
        whole
    };
    append(&other.join("neuropixels_targets.csv"));
    refused(with(&moved, Some(&other), &resume), "other/neuropixels_targets.csv");
    let kinetics = moved.join("kinetics.csv");
    let whole = append(&kinetics);
    refused(with(&moved, Some(&mine), &resume), "moved/kinetics.csv");
    fs::write(&kinetics, whole).unwrap();
    goes_on(with(&moved, Some(&mine), &resume));
    assert_eq!(steps(&run), [1, 2, 3]);
}

/// The system refuses memory to the process as a batch system does.
#[cfg(target_os = "linux")]
#[test]
fn a_network_too_large_for_the_memory_is_refused_by_name() {
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_simrun")]);
    command
        .args(["scenes/v1_67k.ron", "--dry-run", "--quiet"])
        .env("SIMRUN_CACHE", "")
        .env("NODEVICE_SELECT", "1");
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let [_, stderr] = words(&output);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    for part in ["out of memory: building the network needs ", " MiB are left of ", "ulimit -v"] {
        assert!(stderr.contains(part), "'{part}' is not in: {stderr}");
    }
}

//! Bad input and failing runs on the real program: one line that names file, field, value and limit, the exit code, and
//! nothing lost that was written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[cfg(target_os = "linux")]
#[path = "../tools/campaign/shim.rs"]
mod shim;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::program::{assert_refused, run_dir, short_run, simrun};

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
fn cells_without_synapses_have_no_pairs_to_record() {
    let words = ["losses.electrophysiology.weight", "synapses"];
    refused_edit("voltage: (weight: 0.001)", "electrophysiology: (weight: 2)", &words);
    refused_edit(
        "voltage: (weight: 0.001)",
        "electrophysiology: (weight: 2, amplitude: Median)",
        &["Median"],
    );
}

#[test]
fn the_scenes_of_the_project_pass() {
    let scenes: Vec<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ron"))
        // The user's circuit, below.
        .filter(|path| !path.ends_with("sonata.ron"))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    assert!(scenes.len() >= 5);
    let arguments: Vec<&str> = std::iter::once("check").chain(scenes.iter().map(String::as_str)).collect();
    let output = simrun(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_scene_of_a_circuit_passes_with_a_file_and_not_without() {
    let circuit = tempfile::NamedTempFile::new().unwrap();
    let setting = format!("network.config={:?}", circuit.path());
    let output = simrun(&["check", "scenes/sonata.ron", "--set", &setting]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = simrun(&["check", "scenes/sonata.ron"]);
    assert_refused(&output, 2, &["scenes/sonata.ron", "network.config", "no such file"]);
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
    let radius = ["check", "tests/scenes/v1_4k.ron", "--set", "network.radius_um=-100"];
    assert_refused(&simrun(&radius), 2, &["v1_4k.ron", "network.radius_um = -100", "above 0", "um"]);
    let k = ["check", "tests/scenes/v1_4k.ron", "--set", "checkpoint.steps_between=Steps(501)"];
    assert_refused(&simrun(&k), 2, &["v1_4k.ron", "checkpoint.steps_between = 501", "1 to 500 time steps"]);
}

#[test]
fn a_setting_of_no_field_names_the_nearest() {
    let output = simrun(&["check", "tests/scenes/v1_4k.ron", "--set", "time.dt=0.5"]);
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
    // Without a folder of that name beside it, a scene has the tables within the program; of another name there are none.
    fs::remove_dir_all(dir.path().join("v1")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(simrun(&["check", file]).status.code(), Some(0));
    let output = simrun(&["check", file, "--set", "tables=\"nowhere\""]);
    assert_refused(&output, 2, &["scene.ron", "tables = nowhere", "no such folder"]);
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
    let point = ["--dt-ms", "0.1", "--mode", "point"];
    let step = ["--current-pa", "100", "--start-ms", "1", "--stop-ms", "5", "--duration-ms", "10"];
    for option in ["--dendrite-fraction", "--coupling-ratio"] {
        let cell = simrun(&[&["cell", "475585413", option, "0.7"], &step[..], &point].concat());
        assert_refused(&cell, 2, &[&format!("{option} = 0.7"), "does nothing with --mode point"]);
    }
    for (option, value) in [("--e-exc-mv", "5"), ("--e-inh-mv", "-80"), ("--coupling-ratio", "3")] {
        let pair = simrun(&[&["pair", "e4", "475585413", option, value], &point[..]].concat());
        assert_refused(&pair, 2, &[&format!("{option} = {value}"), "does nothing with --mode point"]);
    }
    let full = ["pair", "e4", "475585413", "--dt-ms", "0.1", "--trace", "/dev/full"];
    assert_refused(&simrun(&full), 1, &["/dev/full", "No space left"]);
}

fn run_of_one_step(run: &str) {
    let output = simrun(&short_run(&["--steps", "1", "--out", run]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_run_folder_that_exists_is_kept() {
    let (_dir, run) = run_dir();
    fs::create_dir(&run).unwrap();
    let output = simrun(&short_run(&["--out", &run]));
    assert_refused(&output, 2, &["--out", &run, "exists", "--resume"]);
    assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
    let output = simrun(&short_run(&["--resume", &run]));
    assert_refused(&output, 2, &[&run, "not a run folder", "scene.ron"]);
}

#[test]
fn an_adapter_that_is_not_there_is_named_beside_those_that_are() {
    let (_dir, run) = run_dir();
    let output = simrun(&short_run(&["--out", &run, "--adapter", "Voodoo 2"]));
    assert_refused(&output, 2, &["voodoo 2", "found: "]);
    assert!(!Path::new(&run).exists(), "a refused run leaves no folder");
}

/// Each of them would do the whole work.
#[test]
#[cfg(not(feature = "mpi"))]
fn several_processes_of_a_program_without_mpi_are_refused() {
    for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
        let with =
            |n: &str| common::program::command(&short_run(&["--dry-run"])).env(name, n).output().unwrap();
        assert_refused(&with("4"), 2, &[name, "= 4", "--features mpi"]);
        assert!(with("1").status.success());
    }
}

#[test]
fn a_run_beyond_its_memory_budget_is_refused() {
    let (_dir, run) = run_dir();
    let long = ["--set", "time.duration_ms=500", "--set", "checkpoint.memory_budget_mib=1"];
    let output = simrun(&short_run(&[&["--out", &run], &long[..]].concat()));
    assert_refused(&output, 2, &["smoke.ron", "checkpoint.memory_budget_mib = 1", "MiB", "--dry-run"]);
    assert!(!Path::new(&run).exists());
}

#[test]
fn kept_states_closer_than_the_longest_delay_are_refused() {
    let (_dir, run) = run_dir();
    let output = simrun(&short_run(&["--out", &run, "--set", "checkpoint.steps_between=Steps(2)"]));
    assert_refused(&output, 2, &["checkpoint.steps_between = 2", "longest delay, 3 time steps"]);
}

#[test]
fn a_checkpoint_of_another_scene_is_refused_by_the_field_that_differs() {
    let (_dir, run) = run_dir();
    run_of_one_step(&run);
    let output = simrun(&short_run(&["--resume", &run, "--set", "network.current_pa=151"]));
    let words = ["checkpoint.safetensors", "network.current_pa = 150.0", "another scene", "151"];
    assert_refused(&output, 2, &words);
    fs::write(format!("{run}/checkpoint.safetensors"), "no tensors").unwrap();
    let output = simrun(&short_run(&["--resume", &run]));
    assert_refused(&output, 2, &["checkpoint.safetensors", "not a whole checkpoint"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_earlier_checkpoint() {
    let (_dir, run) = run_dir();
    run_of_one_step(&run);
    let checkpoint = format!("{run}/checkpoint.safetensors");
    let before = fs::read(&checkpoint).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(short_run(&["--resume", &run])).current_dir(common::root()).env("NODEVICE_SELECT", "1");
    // 16 KiB are free where the run is; a limit on the size of files would hold the driver's own too.
    command.env("LD_PRELOAD", shim::compiled(common::root(), folder.path()).unwrap());
    command.env("FAULT_BELOW", &run).env("FAULT_ROOM", "16384");
    let output = command.output().unwrap();
    assert_refused(&output, 1, &["checkpoint.safetensors", "not written", "earlier checkpoint is kept"]);
    assert_eq!(fs::read(&checkpoint).unwrap(), before);
    let left: Vec<_> = fs::read_dir(&run).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".partial")), "{left:?}");
}

#[test]
fn a_state_that_is_not_finite_names_kernel_neuron_and_step() {
    let (_dir, run) = run_dir();
    run_of_one_step(&run);
    let path = format!("{run}/checkpoint.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor("cell_parameters").unwrap();
    // The logarithm of the leak conductance of the third cell model: a number, of which the conductance is none.
    let at = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize + 2 * 5 * 8;
    bytes[at..at + 8].copy_from_slice(&1e4_f64.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let output = simrun(&short_run(&["--resume", &run]));
    assert_refused(&output, 1, &["kernel 'neuron_forward'", "not finite", "neuron 2", "step 0"]);
    bytes[at..at + 8].copy_from_slice(&f64::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let output = simrun(&short_run(&["--resume", &run]));
    assert_refused(&output, 2, &["checkpoint.safetensors", "cell_parameters[10] = NaN", "not a number"]);
}

#[test]
fn a_checkpoint_of_another_length_or_beyond_the_schedule_is_refused_by_tensor() {
    let (_dir, run) = run_dir();
    run_of_one_step(&run);
    let path = format!("{run}/checkpoint.safetensors");
    let whole = fs::read(&path).unwrap();
    // Each tensor in turn loses its last number, or has one that cannot be.
    let damaged = |name: &str, change: &dyn Fn(&mut Vec<usize>, &mut Vec<u8>)| {
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&whole).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&whole).unwrap();
        let parts: Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(own, view)| {
                let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
                if own == name {
                    change(&mut shape, &mut data);
                }
                (own.to_owned(), view.dtype(), shape, data)
            })
            .collect();
        let views = parts.iter().map(|(own, dtype, shape, data)| {
            (own, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        fs::write(&path, safetensors::serialize(views, metadata.metadata().clone()).unwrap()).unwrap();
        simrun(&short_run(&["--resume", &run]))
    };
    for name in ["cell_parameters", "cell_moments", "log_scales"] {
        let output = damaged(name, &|shape, data| {
            let row = data.len() / shape[0];
            shape[0] -= 1;
            data.truncate(data.len() - row);
        });
        assert_refused(&output, 2, &["checkpoint.safetensors", "has ", name, "the network has"]);
    }
    let output = damaged("cell_moments", &|_, data| data[8..16].copy_from_slice(&(-1_f64).to_le_bytes()));
    assert_refused(&output, 2, &["checkpoint.safetensors", "cell_moments[1] = -1", "must not be negative"]);
    fs::write(&path, &whole).unwrap();
    let output = simrun(&short_run(&["--resume", &run, "--set", "optimiser.training_steps=0"]));
    assert_refused(
        &output,
        2,
        &["checkpoint.safetensors", "training_step = 1", "beyond the 0 training steps"],
    );
    let more = ["--resume", &run, "--set", "optimiser.training_steps=2"];
    assert!(simrun(&short_run(&more)).status.success());
}

#[test]
fn names_of_files_are_text_and_never_act_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("units\u{1b}]0;pwned\u{7}.csv");
    fs::write(&file, "x\u{1b}]0;pwned\u{7},y\n1,2\n").unwrap();
    let output = simrun(&["import", "neuropixels", file.to_str().unwrap(), "--out", "o"]);
    assert_refused(&output, 2, &["units\\u{1b}]0;pwned\\u{7}.csv", "it has: x\\u{1b}"]);
    assert!(!output.stderr.contains(&0x1b) && !output.stderr.contains(&7));
    // clap repeats what it does not know.
    let output = simrun(&["check", "--no\u{1b}[2Jwhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stderr));
    // A whole structure in place of one value: the value before is many lines.
    let output = simrun(&["check", "scenes/smoke.ron", "--set", "losses=1"]);
    assert_refused(&output, 2, &["--set losses = 1", "it was ("]);
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_is_refused_before_any_work() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&folder).unwrap();
    let file = edited_scene(&folder, "seed: 1", "seed: 1");
    let out = folder.join("run");
    let scene = Path::new("scenes/smoke.ron");
    for arguments in [
        vec![OsStr::new("check"), file.as_os_str()],
        vec![file.as_os_str(), OsStr::new("--out"), dir.path().as_os_str()],
        vec![scene.as_os_str(), OsStr::new("--out"), out.as_os_str()],
        vec![OsStr::new("evaluate"), out.as_os_str()],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
        command.args(&arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("NODEVICE_SELECT", "1");
        assert_refused(&command.output().unwrap(), 2, &["caf\u{fffd}", "is not UTF-8"]);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(["check", "scene.ron"]).current_dir(&folder);
    assert_refused(&command.output().unwrap(), 2, &["current folder", "caf\u{fffd}", "is not UTF-8"]);
    // Through a link the folder still has the name that a run's copy of the scene would have.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let output = simrun(&["check", link.join("scene.ron").to_str().unwrap()]);
    assert_refused(&output, 2, &["tables", "is not UTF-8"]);
    assert!(!out.exists());
}

#[test]
fn an_interrupted_run_leaves_a_checkpoint_and_says_how_to_go_on() {
    let (_dir, run) = run_dir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
    command.args(short_run(&["--out", &run, "--set", "optimiser.training_steps=1000000"]));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("NODEVICE_SELECT", "1").stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let metrics = format!("{run}/metrics.jsonl");
    let started = Instant::now();
    while fs::metadata(&metrics).map_or(0, |m| m.len()) == 0 {
        assert!(started.elapsed() < Duration::from_secs(120), "no training step within two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("stopped after training step") && stderr.contains("--resume"), "{stderr}");
    let more = ["--resume", &run, "--steps", "1", "--set", "optimiser.training_steps=1000000"];
    let output = simrun(&short_run(&more));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let steps: Vec<u64> = fs::read_to_string(&metrics)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>(), "every step once");
}

#[test]
fn an_adapter_that_is_too_small_is_told_by_buffer_need_and_limit() {
    let listed = simrun(&["adapters", "--json"]).stdout;
    let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap();
    let is_small = |a: &&serde_json::Value| a["max_binding_bytes"].as_u64().unwrap() < 300_000_000;
    let Some(small) = listed["adapters"].as_array().unwrap().iter().find(is_small) else {
        let missing = "no adapter here has a small binding limit (software Vulkan has): NOT CHECKED";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("{missing}");
        return;
    };
    let (_dir, run) = run_dir();
    // 1,100 neurons with 32 trials and 300 slots of the arrivals ring: 400 MB.
    let network = "network=V1(radius_um: 50, core_radius_um: 25, lgn: (), \
                   background: (n_units: 1, rate_hz: 0, edges_per_neuron: 1))";
    let time = ["--set", "time.dt_ms=0.01", "--set", "trials.n_evoked=31", "--set", network];
    let adapter = ["--out", &run, "--adapter", small["name"].as_str().unwrap()];
    let limit = small["max_binding_bytes"].to_string();
    let output = simrun(&short_run(&[&time[..], &adapter[..]].concat()));
    assert_refused(&output, 2, &["too small", "arrivals ring", "needs", "largest storage binding", &limit]);
    assert!(!Path::new(&run).exists());
}

#[test]
fn structure_terms_that_cannot_be_are_refused() {
    let edit = |losses: &str, words: &[&str]| {
        refused_edit(
            "rates: (weight: 1.0, huber_hz: 2)",
            &format!("rates: (weight: 1.0, huber_hz: 2), {losses}"),
            words,
        );
    };
    edit(
        "structure: (weight_distribution: (weight: -1))",
        &["losses.structure.weight_distribution.weight", "-1"],
    );
    edit(
        "structure: (scale_prior: (weight: 1))",
        &["losses.structure.scale_prior.weight", "learn.pair_scale"],
    );
    edit("structure: (weight_distribution: (weight: 1))", &["losses.structure", "synapses"]);
}

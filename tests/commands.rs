//! The commands of the real program that need no training: what they print.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::process::Command;

use common::program::{simrun, stderr_of, succeeded};

#[test]
fn a_cell_prints_the_spike_times_of_nest() {
    let runs = common::golden_current_steps(&common::tables());
    let golden = runs.iter().find(|run| run.spikes_ms.len() > 10).unwrap();
    let [id, current] = [golden.cell.id.to_string(), golden.current_pa.to_string()];
    let (start, stop) = (common::STEP_START_MS.to_string(), common::STEP_STOP_MS.to_string());
    let step = ["--current-pa", &current, "--start-ms", &start, "--stop-ms", &stop];
    let time = ["--duration-ms", "1000", "--dt-ms", "0.25", "--mode", "point"];
    let text = succeeded(&[&["cell", &id], &step[..], &time[..]].concat());
    let printed: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(printed, golden.spikes_ms);
    let json = succeeded(&[&["cell", &id, "--json"], &step[..], &time[..]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["spikes_ms"].as_array().unwrap().len(), golden.spikes_ms.len());
}

#[test]
fn a_pair_prints_its_psp_and_writes_its_trace() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace.csv");
    let trace = trace.to_str().unwrap();
    let json = succeeded(&["pair", "pv", "475585413", "--dt-ms", "0.1", "--json", "--trace", trace]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["hold_mv"], -55.0);
    let peak_mv = json["peak_mv"].as_f64().unwrap();
    assert!(peak_mv < 0.0, "inhibition at -55 mV hyperpolarises: {peak_mv} mV");
    let text = fs::read_to_string(trace).unwrap();
    let soma: Vec<f64> =
        text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(soma.len(), 1001);
    let lowest = soma.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((lowest / peak_mv - 1.0).abs() < 1e-3, "{lowest} mV in the trace, {peak_mv} mV printed");
}

#[test]
fn the_device_records_what_the_host_records() {
    let number = |text: &str, key: &str| -> f64 {
        serde_json::from_str::<serde_json::Value>(text).unwrap()[key].as_f64().unwrap()
    };
    for mode in ["point", "two-compartment"] {
        let pair = ["pair", "pv", "475585413", "--dt-ms", "0.25", "--json", "--mode", mode];
        let [host, device] = [succeeded(&pair), succeeded(&[&pair[..], &["--device"]].concat())];
        let [host_mv, device_mv] = [&host, &device].map(|text| number(text, "peak_mv"));
        assert!((device_mv / host_mv - 1.0).abs() < 0.005, "{mode}: {device_mv} and {host_mv} mV");
        let step = ["cell", "475585413", "--current-pa", "150", "--start-ms", "10", "--stop-ms", "150"];
        let time = ["--duration-ms", "160", "--dt-ms", "0.25", "--mode", mode];
        let cell = [&step[..], &time[..]].concat();
        let [host, device] = [succeeded(&cell), succeeded(&[&cell[..], &["--device"]].concat())];
        assert!(host.lines().count() > 2, "{mode}: {host}");
        assert_eq!(host.lines().count(), device.lines().count(), "{mode}");
        for (a, b) in host.lines().zip(device.lines()) {
            let [a, b]: [f64; 2] = [a, b].map(|t| t.parse().unwrap());
            assert!((a - b).abs() <= 0.25 + 1e-9, "{mode}: {a} and {b} ms");
        }
    }
}

#[test]
fn the_adapters_are_listed() {
    let json: serde_json::Value = serde_json::from_str(&succeeded(&["adapters", "--json"])).unwrap();
    let adapters = json["adapters"].as_array().unwrap();
    assert!(adapters.iter().all(|a| !a["name"].as_str().unwrap().is_empty()));
    assert_eq!(succeeded(&["adapters"]).lines().count(), adapters.len());
}

#[test]
fn a_dry_run_tells_sizes_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let text = succeeded(&["scenes/smoke.ron", "--dry-run", "--out", run.to_str().unwrap()]);
    assert!(!run.exists());
    for words in
        ["neurons 201", "edges 0 recurrent", "500 steps of 1 ms", "kept every 500 steps", "arrivals ring"]
    {
        assert!(text.contains(words), "'{words}' is not in:\n{text}");
    }
    let total = |line: &str| line.split_whitespace().last().unwrap().parse::<f64>().unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("buffers")).skip(1);
    let groups: f64 = table.clone().take_while(|line| !line.starts_with("all ")).map(total).sum();
    let all = table.clone().find(|line| line.starts_with("all ")).map(total).unwrap();
    assert!((groups - all).abs() < 0.01 * table.count() as f64, "groups add up to {groups} MiB of {all}");
}

#[test]
fn every_adapter_is_tested_by_name() {
    let json: serde_json::Value =
        serde_json::from_str(&succeeded(&["adapters", "--test", "--json"])).unwrap();
    for adapter in json["adapters"].as_array().unwrap() {
        let passed = adapter["tests_passed"].as_array().unwrap();
        assert!(passed.len() > 10 && passed.contains(&"loop length".into()), "{adapter}");
    }
    assert!(succeeded(&["adapters", "--test"]).contains("computes rightly: loop length, integer atomics"));
}

#[test]
fn a_new_scene_passes_the_check_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for template in ["column", "smoke"] {
        let name = dir.path().join(template);
        let name = name.to_str().unwrap();
        assert!(succeeded(&["new", name, "--template", template]).contains("simrun check"));
        let scene = format!("{name}.ron");
        assert!(succeeded(&["check", &scene]).contains("ok ("));
        let before = fs::read(&scene).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_simrun"))
            .args(["new", &scene])
            .current_dir(common::root())
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("exists"), "{message}");
        assert_eq!(fs::read(&scene).unwrap(), before);
    }
}

#[test]
fn a_new_scene_names_its_tables_in_full_or_says_that_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let new = |tables: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
        command.args(["new", "mine", "--tables", tables]).current_dir(dir.path()).output().unwrap()
    };
    let output = new("nowhere");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
    assert!(!dir.path().join("mine.ron").exists());
    assert!(new(common::root().join("scenes/v1").to_str().unwrap()).status.success());
    let scene = simrun::scene::Scene::read(&dir.path().join("mine.ron")).unwrap();
    assert!(scene.tables.is_absolute());
}

/// The program in an empty folder, as `cargo install` leaves it: it has its tables, scenes and their reference within.
#[test]
fn the_program_needs_no_source_tree() {
    let dir = tempfile::tempdir().unwrap();
    let within = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simrun"));
        let output = command.args(arguments).current_dir(dir.path()).output().unwrap();
        (output.status.code(), [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()))
    };
    let (code, [listed, _]) = within(&["new"]);
    assert!(code == Some(0) && listed.contains("column") && listed.contains("v1_67k"), "{listed}");
    let (code, [_, refused]) = within(&["smoke.ron"]);
    assert!(code == Some(2) && refused.contains("simrun new smoke --template smoke"), "{refused}");
    assert_eq!(within(&["new", "smoke", "--template", "smoke"]).0, Some(0));
    let (code, [fields, _]) = within(&["new", "--fields"]);
    assert!(code == Some(0) && fields.contains("`memory_budget_mib`"));
    let (code, said) =
        within(&["smoke.ron", "--quiet", "--steps", "1", "--set", "time.duration_ms=100", "--out", "run"]);
    assert_eq!(code, Some(0), "{said:?}");
    let provenance = fs::read_to_string(dir.path().join("run/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&provenance).unwrap();
    assert_eq!(provenance["tables"].as_object().unwrap().len(), 18, "{}", provenance["tables"]);
    let (code, said) = within(&["evaluate", "run"]);
    assert_eq!(code, Some(0), "{said:?}");
    let (code, [spikes, _]) = within(&[
        "cell",
        "475585413",
        "--current-pa",
        "200",
        "--start-ms",
        "10",
        "--stop-ms",
        "90",
        "--duration-ms",
        "100",
        "--dt-ms",
        "0.25",
    ]);
    assert!(code == Some(0) && spikes.lines().count() > 1, "{spikes}");
    // A folder of the user's own goes before what is within.
    let (code, [_, refused]) = within(&["smoke.ron", "--tables", "run"]);
    assert!(code == Some(2) && refused.contains("missing table"), "{refused}");
}

#[test]
fn the_shell_and_man_know_every_command() {
    let script = succeeded(&["completions", "bash"]);
    let dir = tempfile::tempdir().unwrap();
    succeeded(&["man", dir.path().to_str().unwrap()]);
    let page = fs::read_to_string(dir.path().join("simrun.1")).unwrap();
    for command in ["check", "evaluate", "report", "new", "adapters", "cell", "pair", "completions", "man"] {
        assert!(script.contains(command), "{command} is not completed");
        assert!(page.contains(&format!("simrun\\-{command}(1)")), "{command} is not in simrun.1");
        let own = fs::read_to_string(dir.path().join(format!("simrun-{command}.1"))).unwrap();
        assert!(own.contains(".TH"), "simrun-{command}.1 is no manual page");
        assert!(succeeded(&[command, "--help"]).contains("Usage:"));
    }
    assert!(succeeded(&["--help"]).contains("Examples:"));
}

#[test]
fn gratings_of_another_contrast_than_the_recordings_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let scene = ["scenes/smoke.ron", "--set", "trials.grating.contrast=0.2"];
    let run = ["--quiet", "--steps", "0", "--set", "time.duration_ms=60", "--out", out.to_str().unwrap()];
    for arguments in [[&["check"], &scene[..]].concat(), [&scene[..], &run[..]].concat()] {
        let said = stderr_of(&simrun(&arguments));
        let line = "warning: scenes/smoke.ron: trials.grating.contrast is 0.2, but losses.rates compare with recordings at 0.8";
        assert_eq!(said.lines().filter(|said| *said == line).count(), 1, "{said}");
    }
    let said = stderr_of(&simrun(&["evaluate", out.to_str().unwrap(), "--trials", "1", "--quiet"]));
    let notice = "gratings of contrast 0.2 beside recordings at 0.8";
    let line = format!("warning: {}: {notice}", out.display());
    assert_eq!(said.lines().filter(|said| *said == line).count(), 1, "{said}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains(&format!("Warning: {notice}.")), "the report does not say it");
}

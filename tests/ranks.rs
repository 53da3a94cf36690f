//! Runs whose trials several ranks of MPI share (docs/cluster.md), on software Vulkan: what they find is what one process finds, and
//! what is wrong with one of them is said once. Needs the feature `mpi` and `mpirun`, which `tools/prepare --tests` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

mod common;

use common::program::{assert_refused, command, run_dir, short_run, simrun, steps};
use safetensors::SafeTensors;

const SIMRUN: &str = env!("CARGO_BIN_EXE_simrun");

/// `mpirun` with the program of each rank and its arguments, `(number, words)` each.
fn mpirun(programs: &[(usize, Vec<String>)]) -> Command {
    let mut command = Command::new("mpirun");
    command
        .args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // Ranks have a terminal of mpirun's.
    command.env("NODEVICE_SELECT", "1").env("NO_COLOR", "1");
    for (ix, (n, words)) in programs.iter().enumerate() {
        if ix > 0 {
            command.arg(":");
        }
        command.args(["-n", &n.to_string()]).args(words);
    }
    command
}

fn words(first: &[&str], arguments: &[&str]) -> Vec<String> {
    first.iter().chain(arguments).map(ToString::to_string).collect()
}

/// What the program does on so many ranks.
fn on_ranks(n: usize, arguments: &[&str]) -> Output {
    mpirun(&[(n, words(&[SIMRUN], arguments))]).output().unwrap()
}

/// What rank 0 does as it should beside a rank 1 that another command starts.
fn beside(other: Vec<String>, arguments: &[&str]) -> Output {
    mpirun(&[(1, words(&[SIMRUN], arguments)), (1, other)]).output().unwrap()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// Fails unless the ranks ended with `code` after one error, which holds every one of `parts`; `mpirun` adds lines of its own.
#[track_caller]
fn refused(output: &Output, code: i32, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "not one error:\n{stderr}");
    for part in parts {
        assert!(errors[0].contains(part), "'{part}' is not in: {}", errors[0]);
    }
}

/// A column of mouse V1 that fires, with every term of the loss and all that can be learned.
fn column<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let settings = [
        "network.radius_um=30",
        "network.core_radius_um=30",
        "network.calibration=None",
        "network.background.weight_factor=2",
        "time.duration_ms=150",
        "time.analysis_start_ms=20",
        "trials.start=Settled(grey_ms: 50)",
        "trials.n_evoked=6",
        "losses.fano=(weight: 1)",
        "losses.pairwise_correlation=(weight: 1, target: 0.01)",
        "losses.electrophysiology=(weight: 1)",
        "losses.structure=(weight_distribution: (weight: 1))",
        "learn.pair_scale=true",
        "learn.lgn_weights=true",
        "learn.threshold=true",
        "optimiser.training_steps=2",
        "optimiser.warmup_steps=0",
        "evaluate=(directions_deg: [0, 90], n_trials: 3)",
    ];
    let settings = settings.into_iter().flat_map(|setting| ["--set", setting]);
    ["tests/scenes/v1_4k.ron", "--quiet"].into_iter().chain(settings).chain(more.iter().copied()).collect()
}

/// A run of the column after a training step.
struct Trained {
    _dir: tempfile::TempDir,
    run: String,
}

impl Trained {
    fn new(start: impl Fn(&[&str]) -> Output) -> Self {
        let (dir, run) = run_dir();
        succeeded(&start(&column(&["--steps", "1", "--out", &run])));
        Self { _dir: dir, run }
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(format!("{}/{file}", self.run)).unwrap()
    }

    /// A line of the metrics, without what it took.
    fn metrics(&self) -> serde_json::Value {
        let mut metrics: serde_json::Value = serde_json::from_slice(&self.bytes("metrics.jsonl")).unwrap();
        let object = metrics.as_object_mut().unwrap();
        object.remove("ms");
        object.remove("device_bytes");
        metrics
    }

    /// A tensor of the checkpoint.
    fn tensor(&self, name: &str) -> Vec<f64> {
        let bytes = self.bytes("checkpoint.safetensors");
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        match tensor.dtype() {
            safetensors::Dtype::F64 => bytemuck::pod_collect_to_vec(tensor.data()),
            _ => {
                let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
                values.into_iter().map(f64::from).collect()
            }
        }
    }
}

/// Without `mpirun`.
static ALONE: LazyLock<Trained> = LazyLock::new(|| Trained::new(simrun));
/// On two ranks.
static PAIR: LazyLock<Trained> = LazyLock::new(|| Trained::new(|arguments| on_ranks(2, arguments)));

/// Files of a run that hold nothing but what it found.
const FOUND: [&str; 5] =
    ["checkpoint.safetensors", "summary.json", "spikes.h5", "trials.csv", "gradients.json"];

#[track_caller]
fn assert_same(one: &Trained, other: &Trained) {
    for file in FOUND {
        assert!(one.bytes(file) == other.bytes(file), "{file} differs");
    }
    assert_eq!(one.metrics(), other.metrics());
}

#[test]
fn one_rank_is_the_program_without_mpi_bit_for_bit() {
    assert_same(&Trained::new(|arguments| on_ranks(1, arguments)), &ALONE);
}

#[test]
fn a_number_of_ranks_repeats_bit_for_bit() {
    assert_same(&Trained::new(|arguments| on_ranks(2, arguments)), &PAIR);
}

/// Moments after the first step are the gradient, times a constant.
#[test]
fn the_first_gradient_differs_by_rounding_alone() {
    let three = Trained::new(|arguments| on_ranks(3, arguments));
    for (n, ranks) in [(2, &*PAIR), (3, &three)] {
        for name in ["weight_moment_1", "cell_moments", "scale_moments"] {
            let [one, several] = [&ALONE, ranks].map(|run| run.tensor(name));
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
            let whole = norm(&mut one.iter().copied());
            let apart = norm(&mut one.iter().zip(&several).map(|(a, b)| a - b)) / whole;
            assert!(whole > 0.0 && apart < 1e-5, "{n} ranks, {name}: {apart:.1e} of {whole:.1e}");
            println!("{n} ranks, {name}: {apart:.1e}");
        }
        let [one, several] = [&ALONE, ranks].map(Trained::metrics);
        // Counts of every trial are in these.
        for rates in ["mean_rate_hz", "mean_rate_evoked_hz", "mean_rate_spontaneous_hz"] {
            assert_eq!(one[rates], several[rates], "{n} ranks");
        }
        assert!(one["mean_rate_evoked_hz"].as_f64().unwrap() > 0.5, "hardly a spike: {one}");
        for (term, value) in one["losses"].as_object().unwrap() {
            let (value, other) = (value.as_f64().unwrap(), several["losses"][term].as_f64().unwrap());
            assert!((value - other).abs() <= 1e-6 * value.abs(), "{n} ranks, {term}: {value} and {other}");
        }
    }
}

/// Before anything is learned, of an evaluation whose last batch is filled up.
#[test]
fn every_spike_is_the_same_on_any_number_of_ranks() {
    let evaluated = |start: &dyn Fn(&[&str]) -> Output| {
        let (dir, run) = run_dir();
        let potentials = "evaluate.reports=[(name: \"v\", variable: SomaPotential, neurons: Listed([3, 200]), trial: 7, interval_ms: 1)]";
        succeeded(&start(&column(&["--steps", "0", "--set", potentials, "--out", &run])));
        let file = |name: &str| fs::read(format!("{run}/{name}")).unwrap();
        let found = ["spikes.h5", "trials.csv", "summary.json", "reports/v.h5"].map(file);
        drop(dir);
        found
    };
    let one = evaluated(&simrun);
    for n in [2, 3] {
        let several = evaluated(&|arguments| on_ranks(n, arguments));
        for (file, (one, several)) in one.iter().zip(&several).enumerate() {
            assert!(one == several, "{n} ranks, file {file}");
        }
    }
}

#[test]
fn an_evaluation_is_the_same_on_any_number_of_ranks() {
    let evaluated = |start: &dyn Fn(&[&str]) -> Output| {
        let stdout = start(&["evaluate", &PAIR.run, "--trials", "1", "--quiet"]).stdout;
        let [spikes, json] = ["evaluation_spikes.h5", "evaluation.json"].map(|file| PAIR.bytes(file));
        (stdout, spikes, json)
    };
    let one = evaluated(&simrun);
    assert!(!one.0.is_empty());
    assert!(evaluated(&|arguments| on_ranks(3, arguments)) == one);
}

/// Cells without synapses, two trials of each kind unless `more` says otherwise.
fn cells<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let two = ["--set", "trials.n_evoked=2", "--set", "trials.n_spontaneous=2"];
    short_run(&[&two[..], more].concat())
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let (_dir, run) = run_dir();
    succeeded(&on_ranks(2, &cells(&["--out", &run, "--steps", "2"])));
    succeeded(&on_ranks(3, &cells(&["--resume", &run, "--steps", "2"])));
    succeeded(&simrun(&cells(&["--resume", &run])));
    assert_eq!(steps(&run), [1, 2, 3, 4, 5]);
    let provenance = fs::read_to_string(format!("{run}/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&provenance).unwrap();
    let ranks = provenance["ranks"].as_array().unwrap();
    let trials =
        |rank: &serde_json::Value| [&rank["first_trial"], &rank["n_trials"]].map(|n| n.as_u64().unwrap());
    assert_eq!(ranks.iter().map(trials).collect::<Vec<_>>(), [[0, 2], [2, 2]]);
}

#[test]
fn a_line_says_where_each_rank_is() {
    let (_dir, run) = run_dir();
    let mut arguments = cells(&["--out", &run, "--steps", "1"]);
    arguments.retain(|argument| *argument != "--quiet");
    let stderr = succeeded(&on_ranks(3, &arguments));
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("3 ranks: 0 on ")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    for trials in ["trials 0 to 1; 1 on ", "trials 2 to 2; 2 on ", "trials 3 to 3"] {
        assert!(lines[0].contains(trials), "{}", lines[0]);
    }
    assert_eq!(stderr.lines().filter(|line| line.starts_with("step 1 ")).count(), 1, "{stderr}");
}

#[test]
fn a_batch_may_have_more_trials_than_one_rank_takes() {
    let (_dir, run) = run_dir();
    let many = ["--set", "trials.n_evoked=33", "--steps", "1", "--out", &run];
    assert_refused(
        &simrun(&cells(&many)),
        2,
        &["trials.n_evoked + trials.n_spontaneous = 33 + 2", "35 need 2 ranks, there are 1"],
    );
    refused(&on_ranks(40, &cells(&many)), 2, &["number of ranks = 40", "at most the 35 trials"]);
    succeeded(&on_ranks(2, &cells(&many)));
    assert_eq!(steps(&run), [1]);
    // A process alone records one of its trials.
    let trial = simrun::train::record_trial(Path::new(&run), 34, &[], None, true).unwrap();
    assert!(!trial.spikes.is_empty());
}

#[test]
fn ranks_that_differ_are_refused_by_rank_and_host() {
    let (dir, run) = run_dir();
    let other = words(&[SIMRUN], &cells(&["--out", &run, "--set", "seed=2"]));
    let arguments = cells(&["--out", &run, "--set", "seed=1"]);
    refused(
        &beside(other, &arguments),
        2,
        &["rank 1 on ", "has argument 14 seed=2", "rank 0 on ", "has argument 14 seed=1"],
    );
    // The same program but for a byte that is never read.
    let program = dir.path().join("simrun");
    fs::write(&program, [&fs::read(SIMRUN).unwrap()[..], b"\n"].concat()).unwrap();
    fs::set_permissions(&program, fs::metadata(SIMRUN).unwrap().permissions()).unwrap();
    let other = words(&[program.to_str().unwrap()], &arguments);
    refused(&beside(other, &arguments), 2, &["rank 1 on ", "has the program", "rank 0 on "]);
    // The scene of that name in another folder.
    let scene = fs::read_to_string("scenes/smoke.ron").unwrap().replace("current_pa: 150", "current_pa: 160");
    fs::create_dir(dir.path().join("scenes")).unwrap();
    fs::write(dir.path().join("scenes/smoke.ron"), scene).unwrap();
    let there = format!("cd {} && exec \"$0\" \"$@\"", dir.path().display());
    let other = words(&["sh", "-c", &there, SIMRUN], &arguments);
    refused(&beside(other, &arguments), 2, &["rank 1 on ", "has the scene", "rank 0 on "]);
    assert!(!Path::new(&run).exists());
}

#[test]
fn a_rank_without_adapter_or_memory_is_refused_by_rank_and_host() {
    let (_dir, run) = run_dir();
    let arguments = cells(&["--out", &run]);
    let blind = words(
        &["env", "VK_DRIVER_FILES=/nowhere.json", "VK_ICD_FILENAMES=/nowhere.json", SIMRUN],
        &arguments,
    );
    refused(&beside(blind, &arguments), 2, &["rank 1 on ", "no usable graphics adapter"]);
    let large = ["scenes/v1_67k.ron", "--quiet", "--out", &run];
    let limited = words(
        &["env", "SIMRUN_CACHE=", "bash", "-c", "ulimit -v 1100000; exec \"$0\" \"$@\"", SIMRUN],
        &large,
    );
    let both = [(1, limited.clone()), (1, limited)];
    let output = mpirun(&both).output().unwrap();
    refused(&output, 1, &["out of memory: building the network needs "]);
    assert!(!Path::new(&run).exists());
}

#[test]
fn a_calibration_is_the_same_on_any_number_of_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let found = |name: &str, start: &dyn Fn(&[&str]) -> Output| {
        let table = dir.path().join(name).to_str().unwrap().to_owned();
        let column = ["--set", "network.radius_um=30", "--set", "network.core_radius_um=30"];
        let small = ["calibrate", "tests/scenes/v1_4k.ron", "--rounds", "1", "--trials", "2", "--quiet"];
        succeeded(&start(&[&small[..], &column, &["--out", &table]].concat()));
        fs::read_to_string(table).unwrap()
    };
    let one = found("one.csv", &simrun);
    assert!(one.lines().count() > 200, "{one}");
    assert_eq!(found("two.csv", &|arguments| on_ranks(2, arguments)), one);
    let out = dir.path().join("one.csv");
    let again = ["calibrate", "tests/scenes/v1_4k.ron", "--out", out.to_str().unwrap()];
    refused(&on_ranks(2, &again), 2, &["--out", "exists"]);
}

#[test]
fn what_ranks_cannot_share_runs_on_one() {
    let parts = ["number of ranks = 2", "an experiment runs on one rank"];
    refused(&on_ranks(2, &["scenes/joint_vs_single.ron"]), 2, &parts);
}

/// What is wrong with all ranks alike is said once, without a rank.
#[test]
fn bad_input_is_said_once() {
    refused(&on_ranks(3, &["scenes/none.ron"]), 2, &["error: scenes/none.ron: there is no such scene file"]);
}

#[test]
fn a_rank_that_dies_ends_the_run_and_leaves_the_checkpoint() {
    let (dir, run) = run_dir();
    let long =
        ["--out", &run, "--set", "optimiser.training_steps=100000", "--set", "optimiser.save_every_steps=1"];
    let arguments = cells(&long);
    // Each leaves the number of its process in a file.
    let numbers = [0, 1].map(|rank| dir.path().join(rank.to_string()));
    let programs = numbers.each_ref().map(|number| {
        let noted = format!("echo $$ > {}; exec \"$0\" \"$@\"", number.display());
        (1, words(&["sh", "-c", &noted, SIMRUN], &arguments))
    });
    let child = mpirun(&programs).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let wait = |is_so: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_secs(120), "nothing within two minutes");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let checkpoint = Path::new(&run).join("checkpoint.safetensors");
    wait(&|| checkpoint.exists());
    let [first, second] = numbers.map(|number| fs::read_to_string(number).unwrap().trim().to_owned());
    let kill = |signal: &str, process: &str| {
        Command::new("kill").args([signal, process]).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(kill("-9", &second));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains("rank 1") && stderr.contains("signal 9"), "{stderr}");
    assert!(!stderr.contains("error: "), "{stderr}");
    // mpirun ends it, and may itself be gone first.
    wait(&|| !kill("-0", &first));
    let learned = SafeTensors::deserialize(&fs::read(&checkpoint).unwrap()).unwrap().len();
    assert!(learned >= 7, "{learned} tensors");
    let more = ["--resume", &run, "--steps", "1", "--set", "optimiser.training_steps=100000"];
    let output = command(&cells(&more)).output().unwrap();
    succeeded(&output);
    let steps = steps(&run);
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
}

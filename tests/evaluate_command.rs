//! `simrun evaluate` on the real program: what it writes, what it prints, what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::program::{assert_refused, simrun, succeeded};
use image::{GrayImage, Luma};
use npyz::WriterBuilder;
use serde_json::Value;
use simrun::output::spikes::RecordedTrials;
use simrun::train::record_trial;

fn small_run(run: &Path, scene: &str) {
    let settings = [
        "network.radius_um=40",
        "network.core_radius_um=40",
        "time.duration_ms=150",
        "trials.start=Rest",
        "optimiser.training_steps=2",
        "optimiser.warmup_steps=0",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|s| ["--set", s]).collect();
    succeeded(&[&[scene, "--quiet", "--out", run.to_str().unwrap()], &settings[..]].concat());
}

/// What an export records of a run's evaluation, one trial of a batch of ten without the others.
fn a_trial_alone_is_that_of_its_batch(run: &Path) {
    const TRIAL: usize = 7;
    const DT_MS: f64 = 1.0;
    let evaluated = RecordedTrials::read(run).unwrap();
    let start_ms = evaluated.trials[TRIAL].start_ms;
    let of_trial = evaluated.times_ms.iter().zip(&evaluated.neurons).filter_map(|(time_ms, neuron)| {
        let step = ((time_ms - start_ms) / DT_MS).round();
        (1.0..=150.0).contains(&step).then_some((step as u32 - 1, *neuron))
    });
    let of_trial: BTreeSet<(u32, u32)> = of_trial.collect();
    let alone = record_trial(run, TRIAL as u32, &[], None, true).unwrap().spikes;
    // LGN and background units come after the neurons.
    let n_neurons = json(&run.join("summary.json"))["network"]["n_neurons"].as_u64().unwrap() as u32;
    let of_neurons = alone.iter().copied().filter(|(_, source)| *source < n_neurons);
    assert_eq!(of_neurons.collect::<BTreeSet<_>>(), of_trial);
    assert!(of_trial.len() > 20 && alone.len() > of_trial.len(), "{} spikes", of_trial.len());
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn a_run_is_evaluated_with_table_json_and_figures() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    small_run(&run, "tests/scenes/v1_4k.ron");
    a_trial_alone_is_that_of_its_batch(&run);
    let path = run.to_str().unwrap();
    let text =
        succeeded(&["evaluate", path, "--trials", "2", "--contrasts", "0.2", "--sessions", "all", "--quiet"]);
    for words in [
        "after training step 2",
        "beside the sessions trained on",
        "beside held-out sessions",
        "within the recorded interquartile range",
        "measured pairs held out",
        "sd of ln w",
        "like to like, L2/3_Exc to L2/3_Exc",
    ] {
        assert!(text.contains(words), "'{words}' is not in:\n{text}");
    }
    let json = json(&run.join("evaluation.json"));
    assert_eq!((&json["training_step"], &json["n_trials"]), (&Value::from(2), &Value::from(2)));
    let types = json["held_out"]["cell_types"].as_array().unwrap();
    let l4 = types.iter().find(|t| t["cell_type"] == "L4_Exc").unwrap();
    let rate = &l4["rate_evoked_hz"];
    let number = |key: &str| rate[key].as_f64().unwrap();
    let [low, high] = [0, 1].map(|i| rate["similarity_interval"][i].as_f64().unwrap());
    assert!(low <= high && (0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&number("similarity")));
    // noise_ceiling.csv, L4_Exc, evoked_rate_hz.
    assert_eq!(number("ceiling"), 0.902_459);
    assert!(number("target_q25") < number("target_median") && number("target_median") < number("target_q75"));
    assert!(json["pairs"].as_array().unwrap().iter().any(|pair| pair["held_out"] == true));
    assert!(json["weights"].as_array().unwrap().len() > 20);
    let fano = json["held_out"]["fano"].as_array().unwrap();
    assert!(fano.len() == 2 && fano[0]["recorded"][0].as_f64().unwrap() > 0.9, "{fano:?}");
    assert_eq!(json["held_out"]["curves"]["contrast"][0]["contrasts"].as_array().unwrap().len(), 3);
    for (figure, shape, at_least) in [
        ("rates", "<rect", 40),
        ("selectivity", "<rect", 10),
        ("similarity", "<rect", 30),
        ("tuning", "<polyline", 19),
        ("contrast", "<polyline", 19),
        ("fano", "<polyline", 2),
        ("pairs", "<circle", 60),
        ("weights", "<circle", 20),
    ] {
        let svg = fs::read_to_string(run.join(format!("figures/{figure}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("</svg>"), "{figure} is no SVG");
        assert!(svg.trim_end().ends_with("<!-- of the network after training step 2 -->"), "{figure}");
        assert!(
            svg.matches(shape).count() >= at_least,
            "{figure} has {} {shape}",
            svg.matches(shape).count()
        );
        assert!(!svg.contains("NaN"), "{figure} has a place that is no number");
    }
    // The same network, the same draws: the same numbers.
    let first = fs::read(run.join("evaluation.json")).unwrap();
    let printed = succeeded(&["evaluate", path, "--trials", "2", "--contrasts", "0.2", "--json", "--quiet"]);
    assert!(fs::read(run.join("evaluation.json")).unwrap() == first, "a second evaluation differs");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["evaluation"], json);
}

#[test]
fn a_network_of_cells_alone_is_evaluated_as_far_as_it_goes() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    cells_alone(&run, &[]);
    let text = succeeded(&["evaluate", run.to_str().unwrap(), "--trials", "1", "--quiet"]);
    assert!(text.contains("after training step 0") && !text.contains("measured pairs"), "{text}");
    assert!(run.join("figures/rates.svg").exists() && !run.join("figures/pairs.svg").exists());
}

/// A small run of cells alone.
fn cells_alone(run: &Path, more: &[&str]) {
    let short = ["--set", "time.duration_ms=100", "--steps", "0", "--quiet", "--out", run.to_str().unwrap()];
    succeeded(&[&["scenes/smoke.ron"], &short[..], more].concat());
}

/// A run is evaluated with the files that it was made from, or not at all.
#[test]
fn tables_that_have_changed_since_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let [run, tables] = ["run", "tables"].map(|name| temporary.path().join(name));
    fs::create_dir(&tables).unwrap();
    for file in fs::read_dir(common::root().join("scenes/v1")).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(file.path(), tables.join(file.file_name())).unwrap();
    }
    cells_alone(&run, &["--tables", tables.to_str().unwrap()]);
    let evaluate = ["evaluate", run.to_str().unwrap(), "--trials", "1", "--quiet"];
    succeeded(&evaluate);
    for name in ["cells.csv", "neuropixels_targets.csv"] {
        let whole = fs::read(tables.join(name)).unwrap();
        fs::write(tables.join(name), [&whole[..], b"\n"].concat()).unwrap();
        assert_refused(&simrun(&evaluate), 2, &[name, "is not the file that the run was made from"]);
        fs::write(tables.join(name), whole).unwrap();
    }
    succeeded(&evaluate);
}

#[test]
fn contrasts_are_those_of_the_scene_where_nobody_says_others() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    cells_alone(&run, &["--set", "evaluate.contrasts=[0.1, 0.3, 0.8]"]);
    let shown = |more: &[&str]| {
        succeeded(&[&["evaluate", run.to_str().unwrap(), "--trials", "2", "--quiet"], more].concat());
        let curve = json(&run.join("evaluation.json"))["held_out"]["curves"]["contrast"][0].clone();
        assert_eq!(
            curve["classes"]["n_tested"].as_u64(),
            Some(if more.is_empty() { curve["n_neurons"].as_u64().unwrap() } else { 0 })
        );
        curve["contrasts"].as_array().unwrap().iter().map(|c| c.as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), [0.0, 0.1, 0.3, 0.8]);
    assert_eq!(shown(&["--contrasts", "0.2"]), [0.0, 0.2, 0.8]);
}

#[test]
fn what_is_no_run_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = simrun(&[&["evaluate"], arguments].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        for word in words {
            assert!(message.contains(word), "'{word}' is not in:\n{message}");
        }
    };
    let folder = temporary.path().to_str().unwrap();
    refused(&[folder], &["not a run folder", "scene.ron"]);
    refused(&[folder, "--trials", "0"], &["--trials"]);
    refused(&[folder, "--sessions", "some"], &["--sessions", "heldout"]);
    for option in ["--size-deg", "--frame-rate-hz", "--flash-ms", "--grey-before-ms", "--grey-after-ms"] {
        refused(&[folder, option, "50"], &["--stimulus"]);
    }
    refused(&[folder, "--centre-deg", "50,50"], &["--stimulus"]);
    fs::copy(common::root().join("scenes/smoke.ron"), temporary.path().join("scene.ron")).unwrap();
    fs::write(temporary.path().join("checkpoint.safetensors"), "no tensors").unwrap();
    let tables = common::root().join("scenes/v1");
    let scene = fs::read_to_string(temporary.path().join("scene.ron")).unwrap();
    let scene = scene.replacen("seed: 1,", &format!("seed: 1, tables: {:?},", tables.to_str().unwrap()), 1);
    fs::write(temporary.path().join("scene.ron"), scene).unwrap();
    refused(&[folder], &["checkpoint.safetensors", "not a whole checkpoint"]);
    refused(&[folder, "--contrasts", "1.5"], &["evaluate.contrasts"]);
}

/// What takes too long for `cargo test`.
mod slow {
    use super::*;

    /// A folder of frames, an image and a movie of grey, all generated.
    #[test]
    #[ignore = "slow: tools/test runs it"]
    fn images_and_movies_are_shown_to_a_run() {
        let temporary = tempfile::tempdir().unwrap();
        let run = temporary.path().join("run");
        small_run(&run, "tests/scenes/v1_4k.ron");
        let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
        // Bars of 10 deg that drift by half a bar a frame: 36 frames of 1/60 s.
        fs::create_dir(path("bars")).unwrap();
        for frame in 0..36_u32 {
            let bars =
                GrayImage::from_fn(24, 16, |x, _| Luma([if (x + frame) / 2 % 2 == 0 { 255 } else { 0 }]));
            bars.save(format!("{}/{frame:03}.png", path("bars"))).unwrap();
        }
        GrayImage::from_fn(12, 8, |x, y| Luma([if (x + y) % 2 == 0 { 255 } else { 0 }]))
            .save(path("board.png"))
            .unwrap();
        let file = fs::File::create(path("grey.npy")).unwrap();
        let mut grey =
            npyz::WriteOptions::new().default_dtype().shape(&[3, 4, 6]).writer(file).begin_nd().unwrap();
        grey.extend([0.5_f32; 3 * 4 * 6]).unwrap();
        grey.finish().unwrap();
        let run = run.to_str().unwrap();
        let (bars, board, grey) = (path("bars"), path("board.png"), path("grey.npy"));
        let stimuli =
            ["--stimulus", &bars, "--stimulus", &board, "--stimulus", &grey, "--frame-rate-hz", "60"];
        let shown =
            ["evaluate", run, "--trials", "4", "--quiet", "--grey-before-ms", "100", "--flash-ms", "120"];
        let text = succeeded(&[&shown[..], &stimuli[..]].concat());
        let (_, tables) =
            text.split_once("bars (36 frames of 16.7 ms, 120 x 80 deg, 4 trials):").expect(&text);
        for words in [
            "gratings, Hz",
            "trial corr.",
            "L4_Exc",
            "board.png (an image for 120 ms, 120 x 80 deg",
            "\nall ",
        ] {
            assert!(tables.contains(words), "'{words}' is not in:\n{tables}");
        }
        let json: Value =
            serde_json::from_str(&fs::read_to_string(format!("{run}/evaluation.json")).unwrap()).unwrap();
        let of = |stimulus: usize, cell_type: &str| {
            let rows = json["stimuli"][stimulus]["cell_types"].as_array().unwrap();
            rows.iter().find(|row| row["cell_type"] == cell_type).unwrap().clone()
        };
        let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
        assert_eq!(number(&json["stimuli"][0], "duration_ms"), 700.0);
        assert_eq!(number(&json["stimuli"][1], "duration_ms"), 220.0);
        println!("{text}");
        let (under_bars, under_grey) = (of(0, "all"), of(2, "all"));
        // Drifting bars drive the network, and the same way in every trial; a movie of grey does neither.
        assert!(number(&under_bars, "rate_hz") > 1.1 * number(&under_bars, "grey_hz"), "{under_bars}");
        assert!(
            number(&under_bars, "responsive_fraction") > 0.1
                && number(&under_bars, "responsive_fraction") < 1.0,
            "{under_bars}"
        );
        let pv = of(0, "L4_PV");
        assert!(number(&pv, "reliability") > 0.05, "{pv}");
        assert!(
            (number(&under_grey, "rate_hz") / number(&under_grey, "grey_hz") - 1.0).abs() < 0.2,
            "{under_grey}"
        );
        assert!(number(&under_grey, "responsive_fraction") < 0.1, "{under_grey}");
        let l4 = of(0, "L4_Exc");
        let types = json["train"]["cell_types"].as_array().unwrap();
        let beside = types.iter().find(|row| row["cell_type"] == "L4_Exc").unwrap();
        assert_eq!(number(&l4, "gratings_hz"), number(&beside["rate_evoked_hz"], "mean"));
        let refused = |more: &[&str], words: &[&str]| {
            let output = simrun(&[&["evaluate", run, "--trials", "1", "--quiet"], more].concat());
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{message}");
            assert!(words.iter().all(|word| message.contains(word)), "{words:?} are not all in:\n{message}");
            assert_eq!(message.trim_end().lines().count(), 1, "{message}");
        };
        refused(&["--stimulus", &path("none.png")], &["none.png", "no such image"]);
        refused(&["--stimulus", &board, "--size-deg", "0"], &["--size-deg = 0", "above 0"]);
        refused(&["--stimulus", &board, "--centre-deg", "130,40"], &["--centre-deg x = 130", "0 to 120"]);
        refused(
            &["--stimulus", &board, "--frame-rate-hz", "2000"],
            &["--frame-rate-hz = 2000", "0.1 to 1000 Hz"],
        );
        refused(&["--stimulus", &board, "--flash-ms", "NaN"], &["--flash-ms = NaN"]);
        refused(
            &["--stimulus", &grey, "--frame-rate-hz", "0.1", "--grey-after-ms", "90000"],
            &["grey.npy", "3 frames", "time steps"],
        );
        let cells = temporary.path().join("cells");
        let settings =
            ["--set", "time.duration_ms=100", "--steps", "0", "--quiet", "--out", cells.to_str().unwrap()];
        succeeded(&[&["scenes/smoke.ron"], &settings[..]].concat());
        let output = simrun(&["evaluate", cells.to_str().unwrap(), "--stimulus", &board]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no LGN units"));
    }
}

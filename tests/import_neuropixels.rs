//! `simrun import neuropixels` on the real program: the published units give the shipped tables, and NWB files that pynwb wrote in Allen's layout
//! the rates they were written with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::program::{simrun, succeeded};
use simrun::network::CELL_TYPES;
use simrun::network::tables::{Quantity, RECORDED_TABLES, Split, Tables, Target};
use simrun::plan::Plan;

fn refused(arguments: &[&str], words: &[&str]) {
    let output = simrun(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{words:?} are not all in:\n{message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
}

/// The tables of a scene that names a folder of recordings.
fn tables_with(recordings: &Path) -> Tables {
    let setting = format!("recordings={:?}", recordings.to_str().unwrap());
    let plan = Plan::read(&common::root().join("scenes/smoke.ron"), &[setting]).unwrap();
    simrun::setup::tables(&plan).unwrap()
}

fn close(a: f64, b: f64) -> bool {
    // The tables have six digits.
    (a - b).abs() <= 5.1e-6 * a.abs().max(b.abs())
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn the_published_units_give_the_shipped_tables() {
    let units = common::published_file("function/neuropixels_units.csv");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("recordings");
    let text = succeeded(&["import", "neuropixels", units.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(text.contains("2294 units of 38 sessions, 8 of them held out"), "{text}");
    assert!(text.contains("L4_SST osi") && text.contains("recordings:"), "{text}");
    for name in RECORDED_TABLES {
        assert!(out.join(name).exists() && text.contains(name), "{name}");
    }
    let (shipped, own) = (common::tables(), tables_with(&out));
    assert_eq!(own.sessions, shipped.sessions);
    assert_eq!(own.targets.len(), shipped.targets.len());
    for (own, shipped) in own.targets.iter().zip(&shipped.targets) {
        let same = own.quantiles.iter().zip(&shipped.quantiles).all(|(a, b)| close(*a, *b));
        assert!(same, "{own:?}\n{shipped:?}");
        let without_figures = |target: &Target| Target { quantiles: shipped.quantiles, ..target.clone() };
        assert_eq!(without_figures(own), without_figures(shipped));
    }
    assert_eq!(own.tuning_curves.len(), shipped.tuning_curves.len());
    for (own, shipped) in own.tuning_curves.iter().zip(&shipped.tuning_curves) {
        assert_eq!((&own.of, own.n_units), (&shipped.of, shipped.n_units));
        for (a, b) in [(own.rate_hz, shipped.rate_hz), (own.dsi, shipped.dsi), (own.osi, shipped.osi)] {
            assert!(close(a, b), "{own:?}\n{shipped:?}");
        }
    }
    // Other halves of the same sessions: 200 of them, whose similarities scatter by up to 0.15 where few sessions have such units.
    assert_eq!(own.ceilings.len(), shipped.ceilings.len());
    for (own, shipped) in own.ceilings.iter().zip(&shipped.ceilings) {
        assert_eq!((own.cell_type_ix, own.quantity), (shipped.cell_type_ix, shipped.quantity));
        assert!((own.similarity - shipped.similarity).abs() < 0.04, "{own:?}\n{shipped:?}");
    }
    let off = own.ceilings.iter().zip(&shipped.ceilings).map(|(a, b)| (a.similarity - b.similarity).abs());
    assert!(off.sum::<f64>() / (own.ceilings.len() as f64) < 0.008);
    // What is no recording stays the tables' own; what these recordings do not have, others do not stand in for.
    assert_eq!(own.cells, shipped.cells);
    assert!(own.fano.is_empty() && own.contrast_classes.is_empty());
    let again = ["import", "neuropixels", units.to_str().unwrap(), "--out", out.to_str().unwrap()];
    refused(&again, &["--out", "exists"]);
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn the_halves_of_the_training_sessions_are_those_that_are_shipped() {
    let units = common::published_file("function/neuropixels_units.csv");
    let folder = tempfile::tempdir().unwrap();
    let import = |part: &str, out: &Path| {
        succeeded(&[
            "import",
            "neuropixels",
            units.to_str().unwrap(),
            "--part",
            part,
            "--out",
            out.to_str().unwrap(),
        ])
    };
    let sessions = |tables: &Tables, held_out: bool| -> Vec<String> {
        tables
            .sessions
            .iter()
            .filter(|s| (s.split == Split::HeldOut) == held_out)
            .map(|s| s.id.clone())
            .collect()
    };
    let shipped = common::tables();
    let mut trained = Vec::new();
    for (part, half) in [("1/2", "first"), ("2/2", "second")] {
        let out = folder.path().join(half);
        import(part, &out);
        let own = tables_with(&out);
        assert_eq!(sessions(&own, true), sessions(&shipped, true));
        assert_eq!(sessions(&own, false).len(), 15);
        trained.extend(sessions(&own, false));
        for name in RECORDED_TABLES {
            let text = |file: &Path| fs::read_to_string(file).unwrap().split_once('\n').unwrap().1.to_owned();
            let kept = common::root().join("scenes/v1_halves").join(half).join(name);
            assert_eq!(text(&out.join(name)), text(&kept), "{name}");
        }
    }
    trained.sort_unstable();
    assert_eq!(trained, sessions(&shipped, false));
    let out = folder.path().join("none");
    let arguments =
        ["import", "neuropixels", units.to_str().unwrap(), "--out", out.to_str().unwrap(), "--part"];
    refused(&[&arguments[..], &["99/99"]].concat(), &["--part = 99/99", "no training session"]);
    for part in ["0/2", "3/2", "half"] {
        let output = simrun(&[&arguments[..], &[part]].concat());
        assert_eq!(output.status.code(), Some(2), "{part}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("K/N"), "{part}");
    }
    assert!(!out.exists());
}

/// The files of `tools/make_nwb.py`, made once by pynwb.
fn nwb_files() -> &'static [PathBuf; 3] {
    static FILES: OnceLock<(tempfile::TempDir, [PathBuf; 3])> = OnceLock::new();
    let (_, files) = FILES.get_or_init(|| {
        let venv = Command::new(common::root().join("tools/venv"))
            .args(["clients", "pynwb==4.2.0"])
            .output()
            .unwrap();
        // Without pynwb nothing can be said about its files, so this never skips.
        assert!(venv.status.success(), "{}", String::from_utf8_lossy(&venv.stderr));
        let python = String::from_utf8(venv.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tool = common::root().join("tools/make_nwb.py");
        let made = Command::new(python.trim()).arg(tool).arg(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let files = [1, 2, 3].map(|session| folder.path().join(format!("session_{session}.nwb")));
        (folder, files)
    });
    files
}

/// What `tools/make_nwb.py` says of unit k of a session: evoked, largest and spontaneous rate (Hz), OSI, DSI.
fn written(k: usize, session: usize, factor: f64) -> [f64; 5] {
    let preferred = factor * (4 + k + session) as f64;
    let (others, slow) = (factor * 2.0, factor);
    // Presentations of 2 s: eight directions at 2 Hz and at 4 Hz.
    let evoked = (preferred + 7.0 * others + 8.0 * slow) / 16.0 / 2.0;
    // Seven equal rates leave a vector of one of them, opposite to what the preferred one adds.
    let index = (preferred - others) / (preferred + 7.0 * others);
    [evoked, preferred / 2.0, (6 + k) as f64 / 60.0, index, index]
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn nwb_files_give_the_rates_they_were_written_with() {
    let files = nwb_files();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("own");
    let paths: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let out_text = out.to_str().unwrap();
    let text = succeeded(&[&["import", "neuropixels"], &paths[..], &["--out", out_text]].concat());
    assert!(text.contains("69 units of 3 sessions, 1 of them held out"), "{text}");
    for words in [
        "3 in 'VISl4'",
        "3 in 'VISp1', which names no layer",
        "3 of quality 'noise'",
        "L4_SST evoked_rate_hz",
    ] {
        assert!(text.contains(words), "'{words}' is not in:\n{text}");
    }
    let tables = tables_with(&out);
    let ids: Vec<&str> = tables.sessions.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["1001", "1002", "1003"]);
    let is_held_out = |session: usize| tables.sessions[session - 1].split == Split::HeldOut;
    assert_eq!(tables.targets.len(), 2 * 5 * 2, "two cell types, five quantities, two splits");
    for (name, n, factor) in [("L4_Exc", 12, 1.0), ("L4_PV", 11, 3.0)] {
        let cell_type_ix = CELL_TYPES.iter().position(|t| *t == name).unwrap();
        for (place, quantity) in Quantity::ALL.into_iter().enumerate() {
            for split in Split::ALL {
                let target = tables.target(cell_type_ix, quantity, split).unwrap();
                let sessions = (1..=3).filter(|session| is_held_out(*session) == (split == Split::HeldOut));
                let mut values: Vec<f64> = sessions
                    .flat_map(|session| (0..n).map(move |k| written(k, session, factor)[place]))
                    .collect();
                values.sort_by(f64::total_cmp);
                assert_eq!(target.n_units, values.len());
                let (low, high) = (values[0], values[values.len() - 1]);
                let middle = values[(values.len() - 1) / 2].midpoint(values[values.len() / 2]);
                for (found, expected) in
                    [(0, low), (10, middle), (24, high)].map(|(ix, v)| (target.quantiles[ix], v))
                {
                    assert!(close(found, expected), "{name} {quantity:?} {split:?}: {found} {expected}");
                }
            }
        }
    }
    // A run is compared with them: no cell type but these two has a target.
    let run = folder.path().join("run");
    let recordings = format!("recordings={out_text:?}");
    let settings = ["--set", &recordings, "--set", "time.duration_ms=100", "--steps", "0", "--quiet"];
    let losses = ["--set", "losses=(rates: None, selectivity: None, voltage: None)"];
    succeeded(&[&["scenes/smoke.ron", "--out", run.to_str().unwrap()], &settings[..], &losses[..]].concat());
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(run.join(name)).unwrap()).unwrap()
    };
    let summary = read("summary.json");
    let row = |cell_type: &str| {
        let rows = summary["train"].as_array().unwrap();
        rows.iter().find(|row| row["cell_type"] == cell_type).unwrap()["rate_evoked_hz"].clone()
    };
    assert_eq!(row("L4_Exc")["target_n_units"], 24);
    assert!(row("L6_Exc")["target_n_units"].is_null());
    let source = &read("provenance.json")["tables"]["neuropixels_targets.csv"]["source"];
    assert!(source.to_string().contains("session_1.nwb"), "{source}");
    // The folder may lie anywhere: the run's scene names it in full.
    assert!(fs::read_to_string(run.join("scene.ron")).unwrap().contains(out_text));
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let out = path("out");
    let import = |file: &str, words: &[&str]| refused(&["import", "neuropixels", file, "--out", &out], words);
    import(&path("none.nwb"), &["none.nwb", "no such file"]);
    import(&path("none.csv"), &["none.csv", "cannot be read"]);
    fs::write(path("text.nwb"), "no recording").unwrap();
    import(&path("text.nwb"), &["text.nwb", "cannot be read as HDF5"]);
    import(&path("text.txt"), &["text.txt", ".csv", ".nwb"]);
    let header = "session_id,cell_type,OSI,DSI,max_mean_rate(Hz),Ave_Rate(Hz),Spont_Rate(Hz)";
    let table = |name: &str, text: String| {
        fs::write(path(name), text).unwrap();
        path(name)
    };
    import(
        &table("column.csv", "session_id,cell_type\n1,L4 Exc\n".to_owned()),
        &["no column", "Ave_Rate(Hz)"],
    );
    let negative = table("negative.csv", format!("{header}\n1,L4 Exc,,,2,-1,0\n"));
    import(&negative, &["line 2, Ave_Rate(Hz) = -1", "0 to 1000 Hz"]);
    let unknown = table("unknown.csv", format!("{header}\n1,CA1,,,2,1,0\n1,CA1,,,2,1,0\n"));
    import(&unknown, &["no unit of a known cell type", "2 of cell type 'CA1'"]);
}

#[test]
#[ignore = "installs Python programs: tools/test runs it"]
fn nwb_files_of_other_layouts_are_refused_or_told() {
    let files = nwb_files();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").to_str().unwrap().to_owned();
    let first = files[0].to_str().unwrap();
    refused(&["import", "neuropixels", first, first, "--out", &out], &["session '1001'", "before"]);
    refused(
        &["import", "neuropixels", first, "--location", "AUD", "--out", &out],
        &["no unit of a known cell type", "in 'VISp4'"],
    );
    // One session: nothing can be held out.
    let text = succeeded(&["import", "neuropixels", first, "--out", &out]);
    assert!(text.contains("23 units of 1 sessions, 0 of them held out"), "{text}");
    let tables = tables_with(Path::new(&out));
    assert!(tables.targets.iter().all(|target| target.split == Split::Train) && tables.targets.len() == 10);
    assert!(tables.ceilings.is_empty());
}

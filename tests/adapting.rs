//! Trained models that go on learning on another scene: what is carried over, how it is counted, how it is held, what is refused.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/em_table.rs"]
#[allow(dead_code)] // The writers of Parquet are for other tests.
mod em_table;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::program::{assert_refused, simrun, stderr_of};
use em_table::{CellRow, SynapseRow, make, write_csv};
use serde_json::Value;
use sha2::{Digest, Sha256};
use simrun::adapt::{Ancestor, Start};
use simrun::network::{Network, target_neuron};
use simrun::output::Checkpoint;
use simrun::plan::Plan;
use simrun::setup;

const SCENE: &str = "tests/scenes/v1_4k.ron";

/// A column of 40 um whose training steps take a fraction of a second.
const SMALL: [&str; 13] = [
    "network.radius_um=40",
    "network.core_radius_um=40",
    "time.duration_ms=60",
    "time.analysis_start_ms=0",
    "learn.pair_scale=true",
    "optimiser.training_steps=3",
    "optimiser.warmup_steps=0",
    "trials.n_evoked=2",
    "trials.n_spontaneous=2",
    "trials.start=Rest",
    "evaluate.every_steps=0",
    "evaluate.n_trials=1",
    "evaluate.directions_deg=[0]",
];

/// What a program that succeeded says on stderr.
#[track_caller]
fn succeeded(arguments: &[&str]) -> String {
    stderr_of(&simrun(arguments))
}

/// Refused as bad input, in one line that has all parts.
#[track_caller]
fn refused(arguments: &[&str], parts: &[&str]) {
    assert_refused(&simrun(arguments), 2, parts);
}

fn with_settings<'a>(arguments: &[&'a str], settings: &[&'a str]) -> Vec<&'a str> {
    [arguments, &settings.iter().flat_map(|s| ["--set", s]).collect::<Vec<&str>>()].concat()
}

/// Arguments of a run of the small column.
fn small<'a>(arguments: &[&'a str], settings: &[&'a str]) -> Vec<&'a str> {
    with_settings(&[&[SCENE, "--quiet"], arguments].concat(), &[&SMALL[..], settings].concat())
}

/// A folder with a trained run of the small column, made once.
fn ancestor() -> PathBuf {
    static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        succeeded(&small(&["--out", dir.path().join("joint").to_str().unwrap()], &[]));
        dir
    });
    DIR.path().join("joint")
}

fn plan(scene: &Path, start: &Path, settings: &[&str]) -> Plan {
    let start = format!("start=Run({:?})", start.to_str().unwrap());
    let settings: Vec<String> =
        std::iter::once(start).chain(settings.iter().map(ToString::to_string)).collect();
    Plan::read(scene, &settings).unwrap()
}

/// What a plan starts with, its network and that of its ancestor with the trained weights.
fn begun(plan: &Plan, start: &Path) -> (Start, Network, Network, Vec<f32>) {
    let build = |plan: &Plan| setup::build(plan, &setup::tables(plan).unwrap(), &mut |_| ()).unwrap();
    let built = build(plan);
    let own = Plan::read(&start.join("scene.ron"), &[]).unwrap();
    let trained = Checkpoint::read(&start.join("checkpoint.safetensors")).unwrap();
    let started = Ancestor::open(plan).unwrap().unwrap().begin(plan, &built).unwrap();
    (started, built.network, build(&own).network, trained.f32s("weights").unwrap().to_vec())
}

/// Places of all edges by the names of their ends: ids of cells, numbers of units down from the largest.
fn edges(network: &Network) -> HashMap<(u64, u64), usize> {
    let names: Vec<u64> = {
        let (_, named) = network.node_names().populations().map(|(f, n)| (f, n.clone())).next().unwrap();
        let units = (0..network.n_sources() - network.neurons.len()).map(|unit| u64::MAX - unit as u64);
        named.ids.iter().copied().chain(units).collect()
    };
    let mut found = HashMap::new();
    for source in 0..network.n_sources() {
        for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            found.insert((names[source], names[target_neuron(network.rows.targets[edge]) as usize]), edge);
        }
    }
    assert_eq!(found.len(), network.rows.n_edges());
    found
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn on_its_own_scene_a_model_starts_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (start, again) = (ancestor(), dir.path().join("again"));
    let arguments = ["--start", start.to_str().unwrap(), "--out", again.to_str().unwrap()];
    succeeded(&small(&arguments, &["optimiser.training_steps=0"]));
    // Without a training step the evaluation is that of the ancestor's end, bit for bit.
    let [mut before, mut after] = [&start, &again].map(|run| json(&run.join("summary.json")));
    assert_eq!((&before["training_step"], &after["training_step"]), (&Value::from(3), &Value::from(0)));
    [&mut before, &mut after].iter_mut().for_each(|s| s["training_step"] = Value::Null);
    assert_eq!(before, after);
    let carried = json(&again.join("start.json"));
    let edges = &before["network"]["n_edges"];
    for (what, n) in [("edges_between_neurons", 0), ("edges_of_lgn", 1), ("edges_of_background", 2)] {
        assert_eq!(
            (&carried[what]["matched"], &carried[what]["fresh"]),
            (&edges[n], &Value::from(0)),
            "{what}"
        );
    }
}

#[test]
fn a_lesion_keeps_the_weights_of_the_rest() {
    let start = ancestor();
    let settings = [&SMALL[..], &[r#"network.lesion=Share({"PV": 0.2, "L4_Exc": 0.1})"#]].concat();
    let (started, network, before, trained) = begun(&plan(Path::new(SCENE), &start, &settings), &start);
    let n_of = |network: &Network, name: &str| {
        let types = &network.vocabulary.cell_types;
        let own = |ix: &&u8| types[usize::from(**ix)].ends_with(name);
        network.neurons.cell_type_ix.iter().filter(own).count()
    };
    for (name, share) in [("PV", 0.2), ("L4_Exc", 0.1)] {
        let (n, left) = (n_of(&before, name), n_of(&network, name));
        assert_eq!(n - left, (share * n as f64).round() as usize, "{name}");
    }
    assert_eq!(n_of(&before, "L6_Exc"), n_of(&network, "L6_Exc"));
    let places = edges(&before);
    for (ends, edge) in edges(&network) {
        assert_eq!(started.weights[edge], trained[places[&ends]], "{ends:?}");
        assert_eq!(started.kept[edge], started.weights[edge]);
    }
    let carried = started.carried;
    let n_lost = (before.neurons.len() - network.neurons.len()) as u64;
    assert_eq!((carried.cells.dropped, carried.cells.fresh), (n_lost, 0));
    let between = carried.edges_between_neurons;
    assert_eq!(between.matched, network.rows.offsets[network.neurons.len()]);
    assert_eq!(between.matched + between.dropped, before.rows.offsets[before.neurons.len()]);
    assert!(n_lost > 10 && between.dropped > 1000 && between.fresh == 0, "{carried:?}");
}

#[test]
fn another_seed_starts_from_the_laws_of_the_pair_types() {
    let start = ancestor();
    let settings = [&SMALL[..], &["seed=2"]].concat();
    let (started, network, before, trained) = begun(&plan(Path::new(SCENE), &start, &settings), &start);
    assert_eq!((started.carried.cells.matched, started.carried.edges_between_neurons.matched), (0, 0));
    assert!(started.carried.why_no_cell.unwrap().contains("seed 2 drew other cells than 1"));
    assert!(started.kept.iter().all(|kept| *kept == 0.0));
    // Logarithms of the weights by source type and target cell type.
    let by_pair = |network: &Network, weights: &[f32]| {
        let mut logs: HashMap<(usize, usize), Vec<f64>> = HashMap::new();
        for source in 0..network.n_sources() {
            let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
            for (word, weight) in network.rows.targets[row.clone()].iter().zip(&weights[row]) {
                let target = network.neurons.target_cell_type(*word);
                let log = f64::from(*weight).ln();
                logs.entry((network.source_type(source), target)).or_default().push(log);
            }
        }
        logs
    };
    let moments = |logs: &[f64]| {
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        (mean, (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
    };
    let [built, old, started, new] = [
        (&before, &before.rows.weights),
        (&before, &trained),
        (&network, &started.weights),
        (&network, &network.rows.weights),
    ]
    .map(|(network, weights)| by_pair(network, weights));
    let mut n_moved = 0;
    for (pair, started) in &started {
        let Some(built) = built.get(pair) else { continue };
        let ((mean, sd), (new_mean, new_sd)) = (moments(built), moments(&old[pair]));
        let stretch = if sd > 0.01 && built.len() >= 30 { new_sd / sd } else { 1.0 };
        for (log, start) in new[pair].iter().zip(started) {
            let expected = new_mean + stretch * (log - mean);
            assert!((start - expected).abs() < 1e-4, "{pair:?}: {start} for {expected}");
        }
        n_moved += usize::from((new_mean - mean).abs() > 1e-3);
    }
    assert!(n_moved > 20, "training moved {n_moved} pair types");
}

/// EM tables in `dir`, and the scene that reads them.
fn em_scene(dir: &Path, cells: &[CellRow], synapses: &[SynapseRow]) -> String {
    fs::create_dir_all(dir).unwrap();
    write_csv(dir, cells, synapses).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    format!("network.em=(cells: {:?}, synapses: {:?})", path("cells.csv"), path("synapses.csv"))
}

#[test]
fn edges_of_an_edited_connectome_are_matched_by_their_cells() {
    let dir = tempfile::tempdir().unwrap();
    let (cells, synapses) = make(&common::tables(), 260, 9_000, 39.0);
    let em = em_scene(&dir.path().join("em_1"), &cells, &synapses);
    let start = dir.path().join("run");
    let base = ["optimiser.training_steps=1"];
    succeeded(&small(&["--out", start.to_str().unwrap()], &[&[em.as_str()], &base[..]].concat()));

    // One cell is lost and one found in its place, so that the middle of the column stays; the edges of one are thrice
    // as large, ten edges are new.
    let lost = cells[17].id;
    let mut edited = cells.clone();
    edited[17].id = 42;
    let larger = cells[50].id;
    let mut new_synapses: Vec<SynapseRow> = synapses
        .iter()
        .filter(|s| s.pre_id != lost && s.post_id != lost)
        .map(|s| SynapseRow { size: if s.pre_id == larger { 3.0 * s.size } else { s.size }, ..*s })
        .collect();
    let free: Vec<u64> = edited.iter().map(|cell| cell.id).filter(|id| *id != 42).take(10).collect();
    new_synapses.extend(free.iter().map(|id| SynapseRow { pre_id: 42, post_id: *id, size: 900.0 }));
    let em = em_scene(&dir.path().join("em_2"), &edited, &new_synapses);
    let settings = [&SMALL[..], &[em.as_str()]].concat();
    let (started, network, before, trained) = begun(&plan(Path::new(SCENE), &start, &settings), &start);

    let cells_carried = started.carried.cells;
    assert_eq!((cells_carried.matched, cells_carried.fresh, cells_carried.dropped), (259, 1, 1));
    let between = started.carried.edges_between_neurons;
    let pairs = |synapses: &[SynapseRow], of: &dyn Fn(&SynapseRow) -> bool| {
        let mut pairs: Vec<(u64, u64)> =
            synapses.iter().filter(|s| of(s)).map(|s| (s.pre_id, s.post_id)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.len() as u64
    };
    assert_eq!(between.dropped, pairs(&synapses, &|s| s.pre_id == lost || s.post_id == lost));
    assert_eq!((between.fresh, between.resized), (10, pairs(&new_synapses, &|s| s.pre_id == larger)));
    assert_eq!(between.matched + between.fresh, pairs(&new_synapses, &|_| true));
    let n_recurrent = network.rows.offsets[network.neurons.len()] as usize;
    let places = edges(&before);
    for (ends, edge) in edges(&network).into_iter().filter(|(_, edge)| *edge < n_recurrent) {
        let Some(twin) = places.get(&ends) else {
            assert!(ends.0 == 42 && started.kept[edge] == 0.0 && started.weights[edge] > 0.0, "{ends:?}");
            continue;
        };
        let ratio = started.weights[edge] / trained[*twin];
        let expected = if ends.0 == larger { 3.0 } else { 1.0 };
        assert!((ratio - expected).abs() < 1e-5, "{ends:?}: {ratio} for {expected}");
    }
    // Inputs are drawn by the cells' ids: the others keep theirs.
    let lgn = started.carried.edges_of_lgn;
    let onto = |network: &Network, id: u64| {
        let neuron = network.node_names().neuron("v1", id).unwrap();
        let first = network.rows.offsets[network.neurons.len()] as usize;
        let last = network.rows.offsets[network.neurons.len() + network.n_lgn] as usize;
        network.rows.targets[first..last].iter().filter(|word| target_neuron(**word) == neuron).count() as u64
    };
    assert_eq!((lgn.fresh, lgn.dropped), (onto(&network, 42), onto(&before, lost)));
    assert!(lgn.matched > 50_000, "{lgn:?}");
    let background = started.carried.edges_of_background;
    assert_eq!((background.matched, background.fresh, background.dropped), (259 * 4, 4, 4));

    // An edit that leaves no cell of a type is refused, and nothing is written.
    let gone = "L4_Exc";
    let left: Vec<CellRow> = edited.iter().filter(|cell| cell.cell_type != gone).cloned().collect();
    let keeps = |id: u64| left.iter().any(|cell| cell.id == id);
    let rest: Vec<SynapseRow> =
        new_synapses.iter().filter(|s| keeps(s.pre_id) && keeps(s.post_id)).copied().collect();
    let em = em_scene(&dir.path().join("em_3"), &left, &rest);
    let out = dir.path().join("out");
    let arguments = ["--start", start.to_str().unwrap(), "--out", out.to_str().unwrap()];
    refused(
        &small(&arguments, &[&em]),
        &["cells of type L4_Exc, of which the network has no cell any more", "at least one must stay"],
    );
    assert!(!out.exists());
    // And so is a table of the ancestor that was edited in its place.
    write_csv(&dir.path().join("em_1"), &edited, &new_synapses).unwrap();
    refused(&small(&arguments, &[&em]), &["em_1", "is not the file that the run was made from"]);
}

#[test]
fn what_cannot_be_started_from_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (start, out) = (ancestor(), dir.path().join("out"));
    let copy = |name: &str| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        for file in ["scene.ron", "provenance.json", "checkpoint.safetensors"] {
            fs::copy(start.join(file), folder.join(file)).unwrap();
        }
        folder
    };
    let whole = fs::read(start.join("checkpoint.safetensors")).unwrap();
    let truncated = copy("truncated");
    fs::write(truncated.join("checkpoint.safetensors"), &whole[..whole.len() / 2]).unwrap();
    let untrained = copy("untrained");
    fs::remove_file(untrained.join("checkpoint.safetensors")).unwrap();
    let absent = dir.path().join("absent");
    let from = |start: &Path, settings: &[&str], parts: &[&str]| {
        let arguments = ["--start", start.to_str().unwrap(), "--out", out.to_str().unwrap()];
        refused(&small(&arguments, settings), parts);
        assert!(!out.exists(), "{settings:?}");
    };
    from(&absent, &[], &["start = ", "absent", "is not a run folder"]);
    from(&untrained, &[], &["untrained", "has no checkpoint"]);
    from(&truncated, &[], &["truncated/checkpoint.safetensors", "is not a whole checkpoint"]);
    from(
        &start,
        &["cells.mode=Point"],
        &["cells.mode = Point", "cannot start from", "its weights mean another thing"],
    );
    from(&start, &["cells.ports.n_exc=3"], &["cells.ports.n_exc = 3", "trained with 2"]);
    let cells_only = ["scenes/smoke.ron", "--start", start.to_str().unwrap(), "--out", out.to_str().unwrap()];
    refused(&cells_only, &["network = CellsOnly", "of another kind"]);
    from(
        &start,
        &[r#"network.lesion=Share({"PVs": 0.1})"#],
        &["network.lesion = PVs", "is no cell type or class"],
    );
    from(
        &start,
        &[r#"network.lesion=Share({"L1_Inh": 1})"#],
        &["network.lesion = L1_Inh", "at least one must stay"],
    );
    from(&start, &[r#"network.lesion=Share({"PV": 1.5})"#], &[r#"network.lesion["PV"] = 1.5"#, "at most 1"]);
    from(
        &start,
        &["network.lesion=Cells([1, 999999])"],
        &["network.lesion = 999999", "is the id of no cell"],
    );
    from(
        &start,
        &["learn.bounds.pair_scale_factor=1.0001"],
        &["learn.bounds.pair_scale_factor = 1.0001", "must be at least 1.0"],
    );
    let no_start = small(&["--out", out.to_str().unwrap()], &["losses.structure=(keep: (weight: 1))"]);
    refused(&no_start, &["losses.structure.keep.weight", "needs a run to start from"]);
    refused(&["adapt", absent.to_str().unwrap()], &["absent", "is not a run folder"]);
    refused(
        &["adapt", start.to_str().unwrap(), "--recordings", absent.to_str().unwrap()],
        &["recordings", "no such folder"],
    );
    refused(
        &with_settings(&["check", SCENE], &[&format!("start=Run({:?})", absent.to_str().unwrap())]),
        &["is not a run folder"],
    );
    assert_eq!(fs::read(start.join("checkpoint.safetensors")).unwrap(), whole);
}

/// What takes too long for `cargo test`.
mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: tools/test runs it"]
    fn adapting_keeps_the_chain_and_what_is_near() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (start, recordings) = (ancestor(), path("recordings"));
        fs::create_dir(&recordings).unwrap();
        for table in
            ["neuropixels_targets.csv", "neuropixels_sessions.csv", "tuning_curves.csv", "noise_ceiling.csv"]
        {
            fs::copy(common::root().join("scenes/v1").join(table), Path::new(&recordings).join(table))
                .unwrap();
        }
        let adapt = |run: &str, out: &str, more: &[&str]| {
            let arguments = ["adapt", run, "--recordings", recordings.as_str(), "--out", out, "--steps", "2"];
            succeeded(&[&arguments, more].concat())
        };
        let (free, near, whole, halves) = (path("free"), path("near"), path("whole"), path("halves"));
        let said = adapt(start.to_str().unwrap(), &free, &["--keep", "0"]);
        assert!(said.contains("starts from") && said.contains("edges between neurons:"), "{said}");
        adapt(start.to_str().unwrap(), &near, &["--keep", "1e6", "--quiet"]);
        let weights = |run: &str| {
            let checkpoint = Checkpoint::read(&Path::new(run).join("checkpoint.safetensors")).unwrap();
            checkpoint.f32s("weights").unwrap().to_vec()
        };
        let before = weights(start.to_str().unwrap());
        let distance = |run: &str| -> f64 {
            weights(run).iter().zip(&before).map(|(now, then)| f64::from(now / then - 1.0).powi(2)).sum()
        };
        assert!(distance(&near) < 0.7 * distance(&free), "{} and {}", distance(&near), distance(&free));
        let steps = metrics(Path::new(&near));
        assert_eq!(steps[0]["losses"]["keep"], 0.0);
        assert!(steps[1]["losses"]["keep"].as_f64().unwrap() > 0.0);
        assert!(metrics(Path::new(&free))[0]["losses"].get("keep").is_none());

        // The chain of ancestors, the nearest first.
        adapt(&near, &whole, &["--keep", "5", "--quiet"]);
        let ancestors = json(&Path::new(&whole).join("provenance.json"))["ancestors"].clone();
        let digest = |run: &Path| -> String {
            let bytes = fs::read(run.join("checkpoint.safetensors")).unwrap();
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(ancestors.as_array().unwrap().len(), 2);
        assert_eq!(ancestors[0]["checkpoint_sha256"], digest(Path::new(&near)));
        assert_eq!(ancestors[1]["checkpoint_sha256"], digest(&start));
        assert_eq!(ancestors[1]["training_step"], 3);
        let page = fs::read_to_string(Path::new(&whole).join("report.html")).unwrap();
        assert!(page.contains(&digest(&start)) && page.contains("edges between neurons:"));

        // A run that was cut off goes on to the same bits, though its ancestor is gone.
        let scene = Path::new(&whole).join("scene.ron").to_str().unwrap().to_owned();
        succeeded(&[&scene, "--out", &halves, "--steps", "1", "--quiet"]);
        fs::rename(&near, path("elsewhere")).unwrap();
        succeeded(&[&scene, "--resume", &halves, "--quiet"]);
        assert_eq!(weights(&halves), weights(&whole));
        succeeded(&["evaluate", &whole, "--trials", "1", "--quiet"]);
    }
}

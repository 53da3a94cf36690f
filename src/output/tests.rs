//! Run folders: what is made, what is refused, what is found again.

use super::*;
use std::collections::BTreeMap;

use crate::results::PhaseMs;

fn plan(settings: &[&str]) -> Plan {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/smoke.ron");
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    Plan::read(&file, &settings).unwrap()
}

fn metrics(step: u32) -> StepMetrics {
    StepMetrics {
        step,
        losses: BTreeMap::from([("rates".to_owned(), 0.5)]),
        total_loss: 0.5,
        mean_rate_hz: BTreeMap::from([("L4_Exc".to_owned(), 3.0)]),
        mean_rate_evoked_hz: 4.0,
        mean_rate_spontaneous_hz: 2.0,
        gradient_norm: 1.0,
        ms: PhaseMs { stimulus: 1.0, forward: 2.0, adjoint: 3.0, update: 4.0, ..PhaseMs::default() },
        device_bytes: 5,
    }
}

fn created(dir: &Path, plan: &Plan) -> RunFolder {
    let folder = RunFolder::claim(dir).unwrap();
    RunFolder::create(folder, plan, &Provenance::new(plan, None).unwrap()).unwrap()
}

fn checkpoint(plan: &Plan, training_step: u32) -> Checkpoint {
    let weights = TensorData::F32(vec![1.0, -2.5, f32::MIN_POSITIVE, 3.0]);
    let scales = TensorData::F64(vec![0.1, f64::MIN_POSITIVE]);
    let tensors = BTreeMap::from([
        ("weights".to_owned(), Tensor { shape: vec![2, 2], data: weights }),
        ("log_scales".to_owned(), Tensor { shape: vec![2], data: scales }),
    ]);
    Checkpoint::new(plan, training_step, tensors)
}

#[test]
fn a_run_is_resumed_from_its_checkpoint() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("run");
    let plan = plan(&[]);
    let mut run = created(&dir, &plan);
    for step in 1..=3 {
        run.append_metrics(&metrics(step)).unwrap();
    }
    let earlier = |dir: &Path| EarlierRun::open(dir, &plan);
    assert!(earlier(&dir).unwrap_err().to_string().contains("in use by process"));
    run.save_checkpoint(&checkpoint(&plan, 1)).unwrap();
    run.save_checkpoint(&checkpoint(&plan, 2)).unwrap();
    drop(run);
    let half = [fs::read(dir.join("metrics.jsonl")).unwrap(), b"{\"step\": 4, \"los".to_vec()].concat();
    fs::write(dir.join("metrics.jsonl"), half).unwrap();
    fs::write(dir.join("checkpoint.safetensors.77.partial"), "half").unwrap();
    let run = earlier(&dir).unwrap();
    let found = run.state.checkpoint.as_ref().unwrap();
    assert_eq!((found.training_step, &found.tensors), (2, &checkpoint(&plan, 2).tensors));
    let message = found.refuse_beyond(&self::plan(&["optimiser.training_steps=1"])).unwrap_err().to_string();
    assert!(message.contains("training_step = 2") && message.contains("beyond the 1"), "{message}");
    found.refuse_beyond(&self::plan(&["optimiser.training_steps=2"])).unwrap();
    assert!(run.notices().is_empty());
    let (mut run, said) = run.go_on(2).unwrap();
    assert_eq!(said, None);
    run.append_metrics(&metrics(3)).unwrap();
    let lines = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let steps: Vec<_> = lines
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["step"].clone())
        .collect();
    assert_eq!(steps, [1, 2, 3]);
    drop(run);
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["checkpoint.safetensors", "metrics.jsonl", "provenance.json", "scene.ron"]);
}

#[test]
fn a_run_without_a_checkpoint_begins_again_if_it_is_of_the_same_scene() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("run");
    let plan = |more: &[&str]| plan(more);
    let mut run = created(&dir, &plan(&[]));
    run.append_metrics(&metrics(1)).unwrap();
    drop(run);
    let error = EarlierRun::open(&dir, &plan(&["time.dt_ms=0.5"])).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("scene.ron: time.dt_ms = 1.0"), "{error}");
    let run = EarlierRun::open(&dir, &plan(&["optimiser.training_steps=9"])).unwrap();
    assert!(
        run.state.checkpoint.is_none() && run.notices()[0].contains("begins again"),
        "{:?}",
        run.notices()
    );
    let (_, said) = run.go_on(0).unwrap();
    assert_eq!((said, Metrics::read(&dir).unwrap()), (None, Metrics::default()));
}

#[test]
fn a_run_is_read_with_the_network_that_it_was_made_from() {
    let temporary = tempfile::tempdir().unwrap();
    let [dir, tables] = ["run", "tables"].map(|name| temporary.path().join(name));
    fs::create_dir(&tables).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1");
    for file in fs::read_dir(shipped).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(file.path(), tables.join(file.file_name())).unwrap();
    }
    let plan = plan(&[&format!("tables={tables:?}")]);
    drop(created(&dir, &plan));
    assert!(read_run(&dir, &[]).unwrap().1.is_none());
    let append = |name: &str| {
        let whole = fs::read(tables.join(name)).unwrap();
        fs::write(tables.join(name), [&whole[..], b"\n"].concat()).unwrap();
    };
    // The network is still the run's.
    ["neuropixels_targets.csv", "contrast_classes.csv"].iter().for_each(|name| append(name));
    let (own, _) = read_run(&dir, &[]).unwrap();
    let refused = Provenance::read(&dir).unwrap().refuse_other_recordings(&own).unwrap_err();
    assert!(refused.to_string().contains("contrast_classes.csv: is not the file"), "{refused}");
    append("cells.csv");
    let refused = read_run(&dir, &[]).unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    assert!(
        refused.to_string().contains("cells.csv: is not the file that the run was made from"),
        "{refused}"
    );
}

/// All files of a run have the mode that the system gives to new ones.
#[cfg(unix)]
#[test]
fn a_checkpoint_has_the_mode_of_the_other_files() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("run");
    let plan = plan(&[]);
    created(&dir, &plan).save_checkpoint(&checkpoint(&plan, 1)).unwrap();
    fs::write(temporary.path().join("new"), "").unwrap();
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode();
    let usual = mode(&temporary.path().join("new"));
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), usual, "{}", path.display());
    }
}

#[test]
fn a_folder_that_exists_is_refused_and_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let error = RunFolder::claim(temporary.path()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--resume"), "{error}");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn the_scene_of_a_run_can_be_run_again() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("run");
    let plan = plan(&["time.dt_ms=0.5"]);
    created(&dir, &plan);
    let again = Plan::read(&dir.join("scene.ron"), &[]).unwrap();
    assert_eq!(again.n_steps, plan.n_steps);
    assert_eq!(fs::canonicalize(again.tables_dir).unwrap(), fs::canonicalize(plan.tables_dir).unwrap());
}

#[test]
fn a_checkpoint_of_another_scene_is_refused_by_the_field_that_differs() {
    let written = checkpoint(&plan(&[]), 2);
    let error = written.refuse_other_scene(Path::new("c"), &plan(&["time.dt_ms=0.5"])).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let message = error.to_string();
    assert!(
        message.contains("time.dt_ms") && message.contains("1.0") && message.contains("0.5"),
        "{message}"
    );
    let error = written.refuse_other_scene(Path::new("c"), &plan(&["cells.mode=Point"])).unwrap_err();
    assert!(error.to_string().contains("cells.mode"), "{error}");
    // What neither changes the network nor a training step may differ.
    let longer =
        plan(&["optimiser.training_steps=9", "evaluate.n_trials=2", "checkpoint.steps_between=Steps(7)"]);
    written.refuse_other_scene(Path::new("c"), &longer).unwrap();
}

#[test]
fn a_broken_checkpoint_is_refused_by_name() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("checkpoint.safetensors");
    let plan = plan(&[]);
    checkpoint(&plan, 1).write(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 40, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Checkpoint::read(&path).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{length} bytes: {error}");
        assert!(error.to_string().contains("checkpoint.safetensors"), "{error}");
    }
    let damaged = |tensors: &mut BTreeMap<String, Tensor>| {
        let Some(TensorData::F64(scales)) = tensors.get_mut("log_scales").map(|tensor| &mut tensor.data)
        else {
            panic!()
        };
        scales[1] = f64::NAN;
    };
    let mut broken = checkpoint(&plan, 1);
    damaged(&mut broken.tensors);
    broken.write(&path).unwrap();
    let error = Checkpoint::read(&path).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("log_scales[1] = NaN: is not a number"), "{error}");
    let error = checkpoint(&plan, 1).require_shape("weights", &[2, 3], "edges").unwrap_err();
    assert!(error.to_string().ends_with("has 2 x 2 weights, the network has 2 x 3 edges"), "{error}");
    let error = checkpoint(&plan, 1).f64s("absent").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("checkpoint.safetensors: has no tensor 'absent'"), "{error}");
}

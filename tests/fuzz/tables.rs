//! Readers of EM tables, recordings, pictures, checkpoints, dpointnet configurations and scenes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use simrun::import::{dpointnet, neuropixels};
use simrun::network::em::read_em;
use simrun::network::scene::EmScene;
use simrun::network::tables::Tables;
use simrun::output::Checkpoint;
use simrun::plan::Plan;
use simrun::scene::Scene;
use simrun::stimulus::frames::Footage;

use super::driver::Target;
use super::em_table::{make, write_csv, write_parquet};
use super::nwb_session::Session;
use super::sonata_circuit::SonataCircuit;

/// All targets.
pub(crate) fn targets() -> Vec<Target> {
    vec![
        em("em_csv", &["cells.csv", "synapses.csv"]),
        em("em_parquet", &["cells.parquet", "synapses.parquet"]),
        em(
            "em_golden",
            &["cave_cells.parquet", "cave_cells.csv.gz", "duckdb_cells.parquet", "dictionary_cells.feather"],
        ),
        nwb(),
        units(),
        pictures(),
        checkpoint(),
        dpointnet_config(),
        scene(),
    ]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Tables of cells and synapses: each of `names` that holds cells is read with the synapses beside it.
fn em(name: &'static str, names: &'static [&'static str]) -> Target {
    let write = move |folder: &Path| -> Vec<PathBuf> {
        let tables = super::common::tables();
        let (cells, synapses) = make(&tables, 40, 200, 40.0);
        write_csv(folder, &cells, &synapses).unwrap();
        write_parquet(folder, &cells, &synapses).unwrap();
        for golden in names.iter().filter(|name| !folder.join(name).exists()) {
            fs::copy(root().join("tests/golden").join(golden), folder.join(golden)).unwrap();
        }
        names.iter().map(|name| folder.join(name)).collect()
    };
    let read = move |folder: &Path| -> simrun::Result<()> {
        static TABLES: LazyLock<Tables> = LazyLock::new(super::common::tables);
        let of_cells = names.iter().filter(|name| name.contains("cells"));
        for cells in of_cells {
            let synapses = match names.iter().find(|name| name.contains("synapses")) {
                Some(synapses) => folder.join(synapses),
                None => root().join("tests/golden/cave_synapses.feather"),
            };
            let text =
                format!("(cells: {cells:?}, synapses: {synapses:?}, nm_per_unit: [4, 4, 40], max_faulty: 1)");
            let scene: EmScene = simrun::scene::from_ron(Path::new("scene"), &text)?;
            read_em(&scene, folder, 850.0, &TABLES, 1)?;
        }
        Ok(())
    };
    Target { name, write: Box::new(write), read: Box::new(read) }
}

/// A session with everything that is read.
fn nwb() -> Target {
    let write = |folder: &Path| -> Vec<PathBuf> {
        let mut session = Session::good("1");
        session.set("intervals/invalid_times/start_time", super::nwb_session::Data::Numbers(vec![11.0]));
        session.set("intervals/invalid_times/stop_time", super::nwb_session::Data::Numbers(vec![12.0]));
        session.set("intervals/invalid_times/tags", super::nwb_session::texts(["probeA"]));
        let file = folder.join("session.nwb");
        session.write(&file);
        vec![file]
    };
    Target {
        name: "nwb",
        write: Box::new(write),
        read: Box::new(|folder| import(&folder.join("session.nwb"), folder)),
    }
}

fn units() -> Target {
    let write = |folder: &Path| -> Vec<PathBuf> {
        let mut text =
            "unit_id,session_id,cell_type,OSI,DSI,max_mean_rate(Hz),Ave_Rate(Hz),Spont_Rate(Hz)\n".to_owned();
        text.extend((0..40).map(|k| format!("{k},{},L4 Exc,0.{k:02},NA,{k},2,1.5\n", k % 3)));
        let file = folder.join("units.csv");
        fs::write(&file, text).unwrap();
        vec![file]
    };
    Target {
        name: "units",
        write: Box::new(write),
        read: Box::new(|folder| import(&folder.join("units.csv"), folder)),
    }
}

fn import(file: &Path, folder: &Path) -> simrun::Result<()> {
    let out = folder.join("out");
    let _ = fs::remove_dir_all(&out);
    neuropixels::import(&[file.to_path_buf()], None, None, None, &out).map(|_| ())
}

/// A colour movie and frames of three kinds.
fn pictures() -> Target {
    let write = |folder: &Path| -> Vec<PathBuf> {
        let mut npy = b"\x93NUMPY\x01\0\x56\0".to_vec();
        npy.extend(
            format!("{:<85}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 5, 6, 3), }").bytes(),
        );
        npy.extend((0..270).map(|k| k as u8));
        fs::write(folder.join("movie.npy"), npy).unwrap();
        fs::create_dir_all(folder.join("frames")).unwrap();
        let grey = image::GrayImage::from_fn(7, 5, |x, y| image::Luma([(31 * x + 7 * y) as u8]));
        grey.save(folder.join("frames/1.png")).unwrap();
        image::DynamicImage::from(grey).to_rgba16().save(folder.join("frames/2.png")).unwrap();
        ["movie.npy", "frames/1.png", "frames/2.png"].map(|name| folder.join(name)).to_vec()
    };
    let read = |folder: &Path| -> simrun::Result<()> {
        for name in ["movie.npy", "frames"] {
            Footage::open(&folder.join(name))?.for_each_frame(|_| Ok(()))?;
        }
        Ok(())
    };
    Target { name: "pictures", write: Box::new(write), read: Box::new(read) }
}

/// A checkpoint as a run writes it, by the library that the run uses.
fn checkpoint() -> Target {
    let write = |folder: &Path| -> Vec<PathBuf> {
        let scene = Scene::read(&root().join("scenes/smoke.ron")).unwrap();
        let header = serde_json::json!({"training_step": 1, "scene": scene.to_ron().unwrap()}).to_string();
        let (floats, doubles) = ([0_u8; 40], [0_u8; 48]);
        let view = |kind, shape: &[usize], data| {
            safetensors::tensor::TensorView::new(kind, shape.to_vec(), data).unwrap()
        };
        let views = [
            ("weights", view(safetensors::Dtype::F32, &[10], &floats[..])),
            ("cell_parameters", view(safetensors::Dtype::F64, &[2, 3], &doubles[..])),
        ];
        let metadata = std::collections::HashMap::from([("simrun".to_owned(), header)]);
        let file = folder.join("checkpoint.safetensors");
        safetensors::serialize_to_file(views, Some(metadata), &file).unwrap();
        vec![file]
    };
    let read = |folder: &Path| Checkpoint::read(&folder.join("checkpoint.safetensors")).map(|_| ());
    Target { name: "checkpoint", write: Box::new(write), read: Box::new(read) }
}

const DPOINTNET: &str = r#"{"networks": {"nodes": [], "edges": []}, "run": {"dt": 0.5, "seq_len": 40, "batch_size": 3, "default_seed": 7, "train_recurrent_weights": true},
 "rnn_cell_params": {"cell_model": "GLIF3Cell", "dampening_factor": 0.2, "train_recurrent": true},
 "inputs": {"lgn": {"input": "spikes", "module": "spikes_files", "node_set": "lgn", "spikes_paths": "spikes.h5", "trainable": true}},
 "training": {"n_epochs": 2, "steps_per_epoch": 3, "optimizer": {"name": "exp_adam", "epsilon": 1e-9},
   "learning_rate": {"schedule": "warmup_cosine", "warmup_target_lr": 0.01, "warmup_steps": 2, "cosine_steps": 4, "min_lr": 0.001},
   "parameters": [{"name": "grey", "inputs": ["lgn"], "loss_functions": {
       "rates": {"module": "SpikeRateDistributionTarget", "stimulus_type": "spontaneous", "rate_cost": 100.0, "pre_delay": 4},
       "voltage": {"module": "VoltageRegularization", "voltage_cost": 0.25}}}]}}"#;

fn dpointnet_config() -> Target {
    let write = |folder: &Path| -> Vec<PathBuf> {
        SonataCircuit::good().write(folder);
        let file = folder.join("training.json");
        fs::write(&file, DPOINTNET).unwrap();
        vec![file]
    };
    let read = |folder: &Path| -> simrun::Result<()> {
        let out = folder.join("imported.ron");
        let _ = fs::remove_file(&out);
        dpointnet::import(&folder.join("training.json"), &root().join("scenes/v1"), &out).map(|_| ())
    };
    Target { name: "dpointnet", write: Box::new(write), read: Box::new(read) }
}

fn scene() -> Target {
    let write = |folder: &Path| -> Vec<PathBuf> {
        for beside in ["v1", "calibration"] {
            std::os::unix::fs::symlink(root().join("scenes").join(beside), folder.join(beside)).unwrap();
        }
        let file = folder.join("scene.ron");
        fs::copy(root().join("scenes/v1_4k.ron"), &file).unwrap();
        vec![file]
    };
    let read = |folder: &Path| Plan::read(&folder.join("scene.ron"), &[]).map(|_| ());
    Target { name: "scene", write: Box::new(write), read: Box::new(read) }
}

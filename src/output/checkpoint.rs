//! `checkpoint.safetensors`: the learned tensors, and in the header's metadata the scene and the counters.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, SafeTensorError};
use serde::{Deserialize, Serialize};

use super::partial_path;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::scene::{NetworkScene, Scene, first_difference};

/// Settings in which a resumed run may differ from its checkpoint: they change neither the network nor what a training
/// step computes. A longer schedule continues on the new schedule.
const MAY_DIFFER: [&str; 9] = [
    "tables",
    "recordings",
    "network.calibration",
    "network.em.cells",
    "network.em.synapses",
    "optimiser.training_steps",
    "optimiser.save_every_steps",
    "checkpoint",
    "evaluate",
];

/// Name of the file in a run folder.
const NAME: &str = "checkpoint.safetensors";

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Length of each dimension, slowest first.
    pub shape: Vec<usize>,
    /// Elements, as many as the product of `shape`.
    pub data: TensorData,
}

/// Elements of a tensor, in the precision in which they are computed: a resumed run repeats every bit.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// What the device computes.
    F32(Vec<f32>),
    /// What the host computes.
    F64(Vec<f64>),
}

impl TensorData {
    /// The first element that is not finite, and its place.
    fn first_not_finite(&self) -> Option<(usize, f64)> {
        match self {
            Self::F32(data) => data.iter().map(|x| f64::from(*x)).enumerate().find(|(_, x)| !x.is_finite()),
            Self::F64(data) => data.iter().copied().enumerate().find(|(_, x)| !x.is_finite()),
        }
    }
}

/// What a run has learned, enough to continue it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Where it was read from, for messages.
    file: PathBuf,
    /// Resolved scene it belongs to.
    scene: Scene,
    /// Training steps taken.
    pub training_step: u32,
    /// Parameters and optimiser moments by name.
    pub tensors: BTreeMap<String, Tensor>,
}

/// What the header's metadata holds, as one JSON text under the key `simrun`.
#[derive(Serialize, Deserialize)]
struct Header {
    training_step: u32,
    scene: String,
}

impl Checkpoint {
    /// The state of a run after `training_step` steps.
    pub fn new(plan: &Plan, training_step: u32, tensors: BTreeMap<String, Tensor>) -> Self {
        Self { file: NAME.into(), scene: plan.scene.clone(), training_step, tensors }
    }

    /// Writes beside `path`, syncs, renames. On an error an earlier checkpoint at `path` is as it was.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let header = Header { training_step: self.training_step, scene: self.scene.to_ron()? };
        let header = serde_json::to_string(&header).map_err(|e| Error::Failed(format!("checkpoint: {e}")))?;
        let metadata = HashMap::from([("simrun".to_owned(), header)]);
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let (kind, bytes) = match &tensor.data {
                TensorData::F32(data) => (Dtype::F32, bytemuck::cast_slice(data)),
                TensorData::F64(data) => (Dtype::F64, bytemuck::cast_slice(data)),
            };
            let view = TensorView::new(kind, tensor.shape.clone(), bytes)
                .map_err(|e| Error::Failed(format!("checkpoint tensor '{name}': {e}")))?;
            views.push((name.as_str(), view));
        }
        let partial = partial_path(path);
        let done = safetensors::serialize_to_file(views, Some(metadata), &partial)
            .map_err(into_io)
            .and_then(|()| fs::File::open(&partial)?.sync_all())
            .and_then(|()| fs::rename(&partial, path));
        done.map_err(|source| {
            // The partial file is worth nothing; on a full disk its space is worth something.
            let _ = fs::remove_file(&partial);
            let kept = if path.exists() { "; the earlier checkpoint is kept" } else { "" };
            Error::Failed(format!("{}: not written: {source}{kept}", path.display()))
        })
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// A file that is none or not whole, a number that is none, by file and tensor.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::file(path, "there is no such checkpoint to resume from"),
            _ => Error::io(path)(source),
        })?;
        let broken = |reason: String| Error::file(path, format!("is not a whole checkpoint: {reason}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(e.to_string()))?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get("simrun"));
        let header = header.ok_or_else(|| broken("its metadata has no entry 'simrun'".to_owned()))?;
        let header: Header = serde_json::from_str(header).map_err(|e| broken(e.to_string()))?;
        let scene = Scene::parse(path, &header.scene)?;
        let views = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in views.iter() {
            // The bytes in the file need not be aligned for floats.
            let data = match view.dtype() {
                Dtype::F32 => TensorData::F32(bytemuck::pod_collect_to_vec(view.data())),
                Dtype::F64 => TensorData::F64(bytemuck::pod_collect_to_vec(view.data())),
                other => return Err(broken(format!("tensor '{name}' is of {other:?}, not of floats"))),
            };
            if let Some((at, value)) = data.first_not_finite() {
                return Err(Error::field(path, format!("{name}[{at}]"), value, "is not a number"));
            }
            tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), data });
        }
        Ok(Self { file: path.to_path_buf(), scene, training_step: header.training_step, tensors })
    }

    /// Elements of a tensor of 32-bit floats.
    ///
    /// # Errors
    /// No such tensor.
    pub fn f32s(&self, name: &str) -> Result<&[f32]> {
        match self.tensors.get(name).map(|tensor| &tensor.data) {
            Some(TensorData::F32(data)) => Ok(data),
            _ => Err(self.missing(name, 32)),
        }
    }

    /// Elements of a tensor of 64-bit floats.
    ///
    /// # Errors
    /// No such tensor.
    pub fn f64s(&self, name: &str) -> Result<&[f64]> {
        match self.tensors.get(name).map(|tensor| &tensor.data) {
            Some(TensorData::F64(data)) => Ok(data),
            _ => Err(self.missing(name, 64)),
        }
    }

    /// Refuses a tensor of another shape than `shape`, which is that of `what`; one that is missing passes.
    ///
    /// # Errors
    /// File, tensor and both shapes.
    pub fn require_shape(&self, name: &str, shape: &[usize], what: &str) -> Result<()> {
        let found = self.tensors.get(name).map_or(shape, |tensor| &tensor.shape);
        if found == shape {
            return Ok(());
        }
        let words = |shape: &[usize]| match shape {
            [n] => n.to_string(),
            many => many.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x "),
        };
        let reason = format!("has {} {name}, the network has {} {what}", words(found), words(shape));
        Err(Error::file(&self.file, reason))
    }

    /// An error about one number of a tensor.
    pub fn error(&self, name: &str, at: usize, value: impl ToString, limit: &str) -> Error {
        Error::field(&self.file, format!("{name}[{at}]"), value, limit)
    }

    /// Refuses a checkpoint of a step beyond the schedule of a plan that is to continue it.
    ///
    /// # Errors
    /// File, step and limit.
    pub fn refuse_beyond(&self, plan: &Plan) -> Result<()> {
        let last = plan.scene.optimiser.training_steps;
        if self.training_step <= last {
            return Ok(());
        }
        let limit = format!("is beyond the {last} training steps of the scene (optimiser.training_steps)");
        Err(Error::field(&self.file, "training_step", self.training_step, limit))
    }

    fn missing(&self, name: &str, n_bits: u32) -> Error {
        let reason =
            format!("has no tensor '{name}' of {n_bits}-bit floats: it is of another version of simrun");
        Error::file(&self.file, reason)
    }

    /// The checkpoint of the run in `dir`, which `plan` continues.
    ///
    /// # Errors
    /// Where there is none, or it is broken, or of another scene.
    pub fn of_run(dir: &Path, plan: &Plan) -> Result<Self> {
        let path = dir.join(NAME);
        let checkpoint = Self::read(&path)?;
        checkpoint.refuse_other_scene(&path, plan)?;
        Ok(checkpoint)
    }

    /// Refuses a plan that this checkpoint, read from `file`, does not continue.
    pub(super) fn refuse_other_scene(&self, file: &Path, plan: &Plan) -> Result<()> {
        match first_difference(&by_name(&self.scene), &by_name(&plan.scene), &MAY_DIFFER)? {
            None => Ok(()),
            Some((field, here, there)) => {
                let scene_file = plan.scene_file.display();
                Err(Error::field(file, field, here, format!("is of another scene: {scene_file} has {there}")))
            }
        }
    }
}

/// A scene with the files of its circuit by name alone: where they lie may differ, as that of the tables may.
fn by_name(scene: &Scene) -> Scene {
    let mut scene = scene.clone();
    if let NetworkScene::Sonata(sonata) = &mut scene.network {
        sonata.manifest.clear();
        let inputs = sonata.inputs.iter_mut().flat_map(|input| input.spikes.values_mut());
        for path in std::iter::once(&mut sonata.config).chain(inputs) {
            *path = path.file_name().unwrap_or_default().into();
        }
    }
    scene
}

fn into_io(error: SafeTensorError) -> io::Error {
    match error {
        SafeTensorError::IoError(source) => source,
        other => io::Error::other(other.to_string()),
    }
}

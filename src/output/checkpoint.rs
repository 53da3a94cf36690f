//! `checkpoint.safetensors`: the learned tensors, and in the header's metadata the scene and the counters.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::replace_open;
use super::provenance::sha256_of_file;
use crate::error::{Error, Result};
use crate::memory;
use crate::plan::Plan;
use crate::scene::{NetworkScene, Scene, V1Scene, first_difference};

/// Settings in which a resumed run may differ from its checkpoint. They change neither the network nor what a training
/// step computes; tables and recordings may lie elsewhere, and what they hold is compared
/// ([`super::Provenance::refuse_other_files`]). A longer schedule continues on the new schedule.
const MAY_DIFFER: [&str; 8] = [
    "start",
    "tables",
    "recordings",
    "optimiser.training_steps",
    "optimiser.save_every_steps",
    "optimiser.save_every_minutes",
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
    fn bytes(&self) -> &[u8] {
        match self {
            Self::F32(data) => bytemuck::cast_slice(data),
            Self::F64(data) => bytemuck::cast_slice(data),
        }
    }

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

    /// The first digits of a hexadecimal SHA-256 of all tensors.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, tensor) in &self.tensors {
            hasher.update(name.as_bytes());
            hasher.update(tensor.data.bytes());
        }
        hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes beside `path`, syncs, renames. On an error an earlier checkpoint at `path` is as it was.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        // Where doubles come first, every tensor is aligned.
        let mut tensors: Vec<(&str, &Tensor, Dtype, &[u8])> = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let kind = match &tensor.data {
                TensorData::F32(_) => Dtype::F32,
                TensorData::F64(_) => Dtype::F64,
            };
            tensors.push((name, tensor, kind, tensor.data.bytes()));
        }
        tensors.sort_by_key(|(name, _, kind, _)| (std::cmp::Reverse(*kind), *name));
        let header = self.header(&tensors)?;
        let done = replace_open(path, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(header.as_bytes())?;
            tensors.iter().try_for_each(|(.., bytes)| out.write_all(bytes))?;
            out.flush()
        });
        done.map(drop).map_err(|source| {
            let kept = if path.exists() { "; the earlier checkpoint is kept" } else { "" };
            Error::Failed(format!("{}: not written: {source}{kept}", path.display()))
        })
    }

    /// The header of a file that holds the tensors in their order: JSON, padded to a multiple of 8 bytes.
    fn header(&self, tensors: &[(&str, &Tensor, Dtype, &[u8])]) -> Result<String> {
        let failed = |e: &dyn std::fmt::Display| Error::Failed(format!("checkpoint: {e}"));
        let own = Header { training_step: self.training_step, scene: self.scene.to_ron()? };
        let own = serde_json::to_string(&own).map_err(|e| failed(&e))?;
        let mut end = 0;
        let infos = tensors.iter().map(|(name, tensor, dtype, bytes)| {
            let start = end;
            end += bytes.len();
            let data_offsets = (start, end);
            ((*name).to_owned(), TensorInfo { dtype: *dtype, shape: tensor.shape.clone(), data_offsets })
        });
        let metadata = HashMap::from([("simrun".to_owned(), own)]);
        let metadata = Metadata::new(Some(metadata), infos.collect()).map_err(|e| failed(&e))?;
        let header = serde_json::to_string(&metadata).map_err(|e| failed(&e))?;
        Ok(format!("{header:<width$}", width = header.chars().count() + (8 - header.len() % 8) % 8))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// A file that is none or not whole, a number that is none, by file and tensor.
    pub fn read(path: &Path) -> Result<Self> {
        if let Ok(metadata) = fs::metadata(path) {
            // The file, and its tensors.
            memory::require("reading the checkpoint", 2 * metadata.len())?;
        }
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

    /// SHA-256 of the file that it was read from, hexadecimal.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sha256(&self) -> Result<String> {
        sha256_of_file(&self.file)
    }

    /// Where it was read from.
    pub fn file(&self) -> &Path {
        &self.file
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
        refuse_other_scene(&self.scene, file, plan)
    }
}

/// Refuses a plan that does not continue a run of `scene`, which was read from `file`.
pub(super) fn refuse_other_scene(scene: &Scene, file: &Path, plan: &Plan) -> Result<()> {
    match first_difference(&by_name(scene), &by_name(&plan.scene), &MAY_DIFFER)? {
        None => Ok(()),
        Some((field, here, there)) => {
            let scene_file = plan.scene_file.display();
            Err(Error::field(file, field, here, format!("is of another scene: {scene_file} has {there}")))
        }
    }
}

/// A scene without the places of its network's files, which may differ as that of the tables may.
fn by_name(scene: &Scene) -> Scene {
    let mut scene = scene.clone();
    scene.network.set_calibration(None);
    match &mut scene.network {
        NetworkScene::V1(V1Scene { em: Some(em), .. }) => {
            (em.cells, em.synapses) = (PathBuf::new(), PathBuf::new());
        }
        NetworkScene::Sonata(sonata) => {
            sonata.manifest.clear();
            let inputs = sonata.inputs.iter_mut().flat_map(|input| input.spikes.values_mut());
            for path in std::iter::once(&mut sonata.config).chain(inputs) {
                *path = path.file_name().unwrap_or_default().into();
            }
        }
        NetworkScene::V1(_) | NetworkScene::CellsOnly(_) => {}
    }
    scene
}

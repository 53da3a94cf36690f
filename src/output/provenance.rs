//! `provenance.json`: where a run's numbers come from.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clock::timestamp;
use crate::error::{Error, Result};
use crate::network::tables::is_recorded;
use crate::plan::Plan;
use crate::scene::{NetworkScene, V1Scene};
use crate::shipped;
use crate::sonata::files_of_scene;

/// The graphics adapter of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// Name.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// Vulkan, Metal or Dx12.
    pub backend: String,
}

/// Where a run's numbers come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// Revision the program was built from; `None` when it was not built in a git checkout.
    pub git_revision: Option<String>,
    /// The adapter; `None` when nothing ran on one.
    pub adapter: Option<Adapter>,
    /// When the run began, RFC 3339, UTC; empty in a file of an earlier version.
    #[serde(default)]
    pub started: String,
    /// Operating system and processor, e.g. `linux x86_64`.
    #[serde(default)]
    pub platform: String,
    /// Seed of the run.
    pub seed: u64,
    /// The tables, by file name.
    pub tables: BTreeMap<String, Table>,
    /// The calibration of the network's input, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Table>,
    /// SHA-256 of every file of the circuit, or of the EM tables, hexadecimal, where the network is one that was read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub circuit: BTreeMap<String, String>,
    /// The runs that this one started from, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<AncestorRecord>,
    /// The processes that shared its trials when it began, where there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<RankRecord>,
}

/// A process that has some of the trials of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankRecord {
    /// Its host.
    pub host: String,
    /// Its adapter, by name.
    pub adapter: String,
    /// Its first trial of each batch.
    pub first_trial: u32,
    /// How many it has.
    pub n_trials: u32,
}

/// A run that another one started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AncestorRecord {
    /// Its folder.
    pub run: String,
    /// Its training steps.
    pub training_step: u32,
    /// SHA-256 of its checkpoint, hexadecimal.
    pub checkpoint_sha256: String,
    /// Version of the program that made it.
    pub version: String,
    /// Its seed.
    pub seed: u64,
}

/// One table of the scene's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The comment lines at the table's head, which name its source.
    pub source: Vec<String>,
}

impl Provenance {
    /// The provenance of a run of `plan` on `adapter`.
    pub fn new(plan: &Plan, adapter: Option<Adapter>) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: option_env!("SIMRUN_GIT_REVISION").map(str::to_owned),
            adapter,
            started: timestamp(SystemTime::now()),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            seed: plan.scene.seed,
            tables: tables_of(plan)?,
            calibration: calibration(plan)?,
            circuit: circuit(plan)?,
            ancestors: Vec::new(),
            ranks: Vec::new(),
        })
    }

    /// That of the run in `dir`.
    ///
    /// # Errors
    /// A file that is missing or is no provenance.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = dir.join(FILE);
        let text =
            fs::read_to_string(&file).map_err(|e| Error::file(&file, format!("cannot be read: {e}")))?;
        serde_json::from_str(&text).map_err(|e| Error::file(&file, format!("is no provenance of a run: {e}")))
    }

    /// SHA-256 of all files of the run by their names, wherever they lie: tables, calibration, circuit.
    pub fn files(&self) -> BTreeMap<String, &str> {
        let tables = self.tables.iter().map(|(name, table)| (name.clone(), table.sha256.as_str()));
        let calibration =
            self.calibration.iter().map(|table| ("calibration".to_owned(), table.sha256.as_str()));
        let mut files: BTreeMap<String, &str> = tables.chain(calibration).collect();
        for (file, sha256) in &self.circuit {
            let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Files of one name in several folders have their whole names.
            let name = if files.contains_key(&name) { file.clone() } else { name };
            files.insert(name, sha256);
        }
        files
    }

    /// Refuses a plan whose network is of other files than the run's, its calibration included, wherever they lie: by their names and
    /// contents.
    ///
    /// # Errors
    /// Names the first such file.
    pub fn refuse_other_network(&self, plan: &Plan) -> Result<()> {
        self.refuse_other_tables(plan, |name| !is_recorded(name))?;
        self.refuse_other_calibration(plan)?;
        let now = circuit(plan)?;
        let key = |(file, sha256): (&String, &String)| {
            (Path::new(file).file_name().map(OsString::from), sha256.clone())
        };
        let [own, found] = [&self.circuit, &now].map(|files| files.iter().map(key).collect::<BTreeSet<_>>());
        let first_of = |files: &BTreeMap<String, String>, known: &BTreeSet<_>| {
            files.iter().find(|file| !known.contains(&key(*file))).map(|(file, _)| PathBuf::from(file))
        };
        match (first_of(&now, &own), first_of(&self.circuit, &found)) {
            (Some(file), _) => Err(other_file(&file)),
            (None, Some(file)) => Err(Error::file(file, "is a file of the run, which the scene has no more")),
            (None, None) => Ok(()),
        }
    }

    /// The same of all files, those that training compares the network with included.
    ///
    /// # Errors
    /// Names the first such file.
    pub fn refuse_other_files(&self, plan: &Plan) -> Result<()> {
        self.refuse_other_network(plan)?;
        self.refuse_other_recordings(plan)
    }

    /// The same of the recorded rates and selectivity that the network is compared with.
    ///
    /// # Errors
    /// Names the first such file.
    pub fn refuse_other_recordings(&self, plan: &Plan) -> Result<()> {
        self.refuse_other_tables(plan, is_recorded)
    }

    fn refuse_other_calibration(&self, plan: &Plan) -> Result<()> {
        let other = |value: &str, limit: &str| {
            Err(Error::field(&plan.scene_file, "network.calibration", value, limit))
        };
        match (&self.calibration, plan.scene.network.calibration()) {
            (Some(own), Some(path)) => {
                let file = shipped::resolve(&plan.scene_file, path);
                if table(&file)?.sha256 == own.sha256 { Ok(()) } else { Err(other_file(&file)) }
            }
            (None, Some(path)) => {
                other(&path.display().to_string(), "the run was made without a calibration")
            }
            // Where the scene names none it is that of the run that this one started from.
            (Some(_), None) if self.ancestors.is_empty() => {
                other("None", "the run was made with a calibration")
            }
            _ => Ok(()),
        }
    }

    fn refuse_other_tables(&self, plan: &Plan, is_meant: impl Fn(&str) -> bool) -> Result<()> {
        for (name, table) in tables_of(plan)?.into_iter().filter(|(name, _)| is_meant(name)) {
            if self.tables.get(&name).is_some_and(|own| own.sha256 != table.sha256) {
                let recordings = plan.recordings_dir.as_ref().filter(|_| is_recorded(&name));
                return Err(other_file(&recordings.unwrap_or(&plan.tables_dir).join(name)));
            }
        }
        Ok(())
    }
}

fn other_file(file: &Path) -> Error {
    Error::file(
        file,
        "is not the file that the run was made from (SHA-256 in its provenance.json): restore it, or begin a new run",
    )
}

/// Name of the file in a run folder.
pub(super) const FILE: &str = "provenance.json";

fn calibration(plan: &Plan) -> Result<Option<Table>> {
    let Some(path) = plan.scene.network.calibration() else { return Ok(None) };
    table(&shipped::resolve(&plan.scene_file, path)).map(Some)
}

/// The files of a network that was read, by their whole names.
fn circuit(plan: &Plan) -> Result<BTreeMap<String, String>> {
    let folder = plan.scene_file.parent().unwrap_or(Path::new(""));
    let files = match &plan.scene.network {
        NetworkScene::Sonata(sonata) => files_of_scene(sonata, &plan.scene_file)?,
        NetworkScene::V1(V1Scene { em: Some(em), .. }) => {
            let mut files = Vec::new();
            for table in [&em.cells, &em.synapses] {
                files.extend(parts(&folder.join(table))?);
            }
            files
        }
        _ => Vec::new(),
    };
    files.iter().map(|file| Ok((file.display().to_string(), sha256_of_file(file)?))).collect()
}

/// A table's file, or those of the folder of its parts, named in full.
fn parts(table: &Path) -> Result<Vec<PathBuf>> {
    let whole = fs::canonicalize(table).map_err(Error::io(table))?;
    if !whole.is_dir() {
        return Ok(vec![whole]);
    }
    let entries = fs::read_dir(&whole).map_err(Error::io(&whole))?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(Error::io(&whole))?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

/// SHA-256 of a file, hexadecimal.
pub(super) fn sha256_of_file(file: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut reader = fs::File::open(file).map_err(Error::io(file))?;
    std::io::copy(&mut reader, &mut hasher).map_err(Error::io(file))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The tables of a plan, those of its recordings in place of the tables' own.
fn tables_of(plan: &Plan) -> Result<BTreeMap<String, Table>> {
    let mut all = tables(&plan.tables_dir)?;
    if let Some(recordings) = &plan.recordings_dir {
        all.retain(|name, _| !is_recorded(name));
        all.extend(tables(recordings)?.into_iter().filter(|(name, _)| is_recorded(name)));
    }
    Ok(all)
}

fn tables(dir: &Path) -> Result<BTreeMap<String, Table>> {
    let mut tables = BTreeMap::new();
    for path in shipped::files(dir).map_err(Error::io(dir))? {
        if !path.extension().is_some_and(|e| e == "csv" || e == "json" || e == "ron") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tables.insert(name, table(&path)?);
    }
    Ok(tables)
}

fn table(path: &Path) -> Result<Table> {
    let bytes = shipped::read(path).map_err(Error::io(path))?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = String::from_utf8_lossy(&bytes);
    let source = text.lines().map_while(|l| l.strip_prefix('#')).map(|l| l.trim().to_owned()).collect();
    Ok(Table { sha256, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The factors of a calibration are part of the weights that a network is built with.
    #[test]
    fn a_network_of_another_calibration_is_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.csv");
        let text = fs::read_to_string(root.join("scenes/calibration/v1_4k.csv")).unwrap();
        fs::write(&file, &text).unwrap();
        let plan = |calibration: &str| {
            let settings = [format!("network.calibration={calibration}")];
            Plan::read(&root.join("scenes/v1_4k.ron"), &settings).unwrap()
        };
        let own = plan(&format!("{file:?}"));
        let provenance = Provenance::new(&own, None).unwrap();
        provenance.refuse_other_network(&own).unwrap();
        let refused = |plan: &Plan| provenance.refuse_other_network(plan).unwrap_err().to_string();
        assert!(refused(&plan("None")).contains("network.calibration = None: the run was made with"));
        fs::write(&file, text.replacen(",6.0000,", ",5.0000,", 1)).unwrap();
        let message = refused(&own);
        assert!(message.contains("mine.csv: is not the file that the run was made from"), "{message}");
    }

    #[test]
    fn a_table_is_known_by_its_hash_and_source() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.csv"), "# from X\n# in mV\nv\n1\n# not the head\n").unwrap();
        fs::write(dir.path().join("notes.txt"), "not a table").unwrap();
        let found = tables(dir.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found["a.csv"].source, ["from X", "in mV"]);
        // printf '# from X\n# in mV\nv\n1\n# not the head\n' | sha256sum
        assert_eq!(found["a.csv"].sha256, "e60a70aa2fa10b1fc34e9c05dcb0d130b494256236146ed50bfc763db096024b");
    }
}

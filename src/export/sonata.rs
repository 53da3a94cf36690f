//! A trained network as a SONATA circuit, with the inputs and the spikes of one trial of its evaluation. The trial is
//! recorded from rest, where a circuit starts in other programs: its files can say no settled state of synapses.
//!
//! One set of files for two dialects: BMTK reads properties from the tables of types (CSV) and indices named `node_id_to_range`;
//! libsonata reads properties from the HDF5 files, text as library enumerations, indices named `node_id_to_ranges`, and refuses
//! tables of types. So both names lie in the files, and each dialect has its own configuration.

mod components;
mod configs;
mod edges;
mod nodes;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::kinetics::{Receptor, nest_receptors};
use super::{Trained, refuse_other_networks};
use crate::error::{Error, Result};
use crate::hdf5::{Group, Storage};
use crate::model::kinetics::N_TARGET_TYPES;
use crate::network::BUILT_POPULATION as POPULATION;
use crate::network::{N_CLASSES, NodeNames};
use crate::output::replace_hdf5;
use crate::output::spikes::write_population;
use crate::output::{NewFolder, Progress, read_run};
use crate::scene::ReportScene;
use crate::train::{TrialRecording, record_trial};

/// SONATA's names of the populations of sources, in the order of the network's sources.
const SOURCE_POPULATIONS: [&str; 3] = [POPULATION, "lgn", "background"];

/// What an export is told beside the run and its folder.
#[derive(Clone, Debug, Default)]
pub struct SonataOptions {
    /// Trial of the run's evaluation that is recorded, from rest, and whose inputs and spikes are written.
    pub trial: u32,
    /// Whether columns are compressed; libsonata's wheels cannot read them then.
    pub gzip: bool,
    /// Part of the adapter's name.
    pub adapter: Option<String>,
    /// Whether progress is not shown.
    pub quiet: bool,
}

/// What the files of one export are made from.
struct Export<'a> {
    dir: &'a Path,
    trained: Trained,
    trial: TrialRecording,
    /// Number of the trial.
    trial_ix: u32,
    storage: Storage,
    /// NEST's receptors, where NEST has a model of these cells and synapses.
    receptors: Option<[[Receptor; N_CLASSES]; N_TARGET_TYPES]>,
}

/// Writes the network of a run folder into the new folder `dir`; returns the paths written, relative to it.
///
/// # Errors
/// Bad input for a folder that is no run, a folder that exists, or a trial that there is not; a failed run otherwise.
pub fn write_sonata(run: &Path, dir: &Path, options: &SonataOptions) -> Result<Vec<PathBuf>> {
    if dir.exists() {
        return Err(Error::field("command line", "--sonata", dir.display(), "exists; name another folder"));
    }
    refuse_other_networks(run, &read_run(run, &[])?.0.scene.network)?;
    let folder = NewFolder::begin(dir)?;
    // First, so that the network lies in memory once at a time.
    let from_rest = ["trials.start=Rest".to_owned()];
    let trial = record_trial(run, options.trial, &from_rest, options.adapter.as_deref(), options.quiet)?;
    let progress = Progress::new(options.quiet);
    let trained = Trained::read(run, &mut |text| progress.say(text))?;
    if trained.plan.n_settling_steps > 0 {
        progress.say(
            "the exported trial starts at rest, as other programs start the circuit; the run's own start settled \
             (trials.start)",
        );
    }
    let receptors = nest_receptors(&trained.dynamics);
    let storage = if options.gzip { Storage::Deflated } else { Storage::Plain };
    let export = Export { dir: folder.path(), trained, trial, trial_ix: options.trial, storage, receptors };
    for name in ["network", "components/cell_models", "components/synaptic_models", "inputs", "output"] {
        let folder = export.dir.join(name);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    export.write_nodes()?;
    export.write_edges()?;
    export.write_components()?;
    export.write_spikes()?;
    export.write_reports()?;
    export.write_configs()?;
    drop(folder.finish()?);
    let mut written = Vec::new();
    list_files(dir, Path::new(""), &mut written)?;
    Ok(written)
}

impl Export<'_> {
    /// First source of a population of sources, and the end of the last.
    fn sources(&self, population_ix: usize) -> std::ops::Range<usize> {
        let network = &self.trained.network;
        let n = network.neurons.len();
        let ends = [0, n, n + network.n_lgn, network.n_sources()];
        ends[population_ix]..ends[population_ix + 1]
    }

    fn n_steps(&self) -> u32 {
        self.trained.plan.n_steps
    }

    fn dt_ms(&self) -> f64 {
        self.trained.dynamics.dt_ms
    }

    /// Spikes of the trial: those of LGN and background as inputs, those of the neurons as simrun's output.
    fn write_spikes(&self) -> Result<()> {
        for (population_ix, name) in SOURCE_POPULATIONS.into_iter().enumerate() {
            let sources = self.sources(population_ix);
            let own = self.trial.spikes.iter().filter(|(_, source)| sources.contains(&(*source as usize)));
            let (nodes, times): (Vec<u64>, Vec<f64>) = own
                .map(|(step, source)| {
                    ((*source as usize - sources.start) as u64, f64::from(step + 1) * self.dt_ms())
                })
                .unzip();
            let file = match population_ix {
                0 => self.dir.join("output/spikes.h5"),
                _ => self.dir.join(format!("inputs/{name}_spikes.h5")),
            };
            replace_hdf5(&file, self.storage, |root| {
                sonata_root(root)?;
                write_population(&root.group("spikes")?, name, &nodes, &times)
            })?;
        }
        Ok(())
    }

    /// Reports that the scene asks for in this trial.
    fn reports(&self) -> impl Iterator<Item = &ReportScene> {
        self.trained.plan.scene.evaluate.reports.iter().filter(|report| report.trial == self.trial_ix)
    }

    /// The reports on this trial, by the node ids of the circuit that is written.
    fn write_reports(&self) -> Result<()> {
        let exported = NodeNames::built(self.trained.network.neurons.len());
        self.trial.reports.iter().try_for_each(|report| {
            let file = self.dir.join("output").join(format!("{}.h5", report.name));
            report.write_file(&file, &exported, self.trained.training_step)
        })
    }

    fn write_text(&self, path: &str, text: &str) -> Result<()> {
        let path = self.dir.join(path);
        fs::write(&path, text).map_err(Error::io(&path))
    }

    fn write_json(&self, path: &str, value: &Value) -> Result<()> {
        self.write_text(path, &format!("{value:#}\n"))
    }

    /// Writes a table of types: SONATA's CSV, separated by spaces.
    fn write_types(&self, path: &str, header: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let path = self.dir.join(path);
        let failed = |e: csv::Error| Error::Failed(format!("{}: {e}", path.display()));
        let mut out = csv::WriterBuilder::new().delimiter(b' ').from_path(&path).map_err(failed)?;
        out.write_record(header).map_err(failed)?;
        rows.iter().try_for_each(|row| out.write_record(row)).map_err(failed)?;
        out.flush().map_err(Error::io(&path))
    }
}

/// The attributes by which a SONATA file is known.
fn sonata_root(root: &Group) -> Result<()> {
    root.number("magic", 0x0A7A_u32)?;
    root.numbers("version", &[0_u32, 1])
}

fn list_files(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
        let entry = entry.map_err(Error::io(&folder))?;
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            list_files(root, &path, found)?;
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

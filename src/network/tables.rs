//! Readers of the tables in `scenes/v1/`: typed, with units, and with errors that name file, line and column.
//!
//! Each table is a CSV file of published figures with a comment block that gives source, units and licence;
//! `tools/derive_tables.py` derives all of them from the published files. [`Tables::read`] reads and checks a whole
//! folder, so nothing that uses a [`Tables`] has to check again.

mod cells;
mod curves;
mod em;
mod fano;
mod lgn;
pub(crate) mod sheet;
mod synapses;
mod targets;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use cells::{BackgroundWeight, CellRow, LgnRule, LgnWeight, PopulationRow};
pub use curves::{CurvePool, RecordedContrast, RecordedTuning};
pub use em::{Covariate, EmConnections};
pub use fano::{FanoPoint, RecordedFano};
pub use lgn::{LgnUnitClass, SecondSubfield, TemporalFilter};
pub use synapses::{Connection, MeasuredPsp, PspStatistics};
pub use targets::{Ceiling, PROBABILITIES, Quantity, Session, Split, Target};

/// The tables that a folder of recordings has in place of those of the tables' own folder.
pub const RECORDED_TABLES: [&str; 4] =
    ["neuropixels_targets.csv", "neuropixels_sessions.csv", "tuning_curves.csv", "noise_ceiling.csv"];

/// Tables of recordings that a folder of them may lack: nothing stands in for them, since the tables' own are of other recordings.
pub const OPTIONAL_RECORDED_TABLES: [&str; 2] = ["population_fano.csv", "contrast_classes.csv"];

/// Whether a table is one of recordings, which networks are compared with and of which none is made.
pub fn is_recorded(name: &str) -> bool {
    RECORDED_TABLES.contains(&name) || OPTIONAL_RECORDED_TABLES.contains(&name)
}

use super::{
    CLASSES, CellModel, N_CELL_TYPES, N_CLASSES, Population, SOURCE_TYPE_BACKGROUND, SOURCE_TYPE_LGN,
};
use crate::Result;
use crate::model::kinetics::{Kinetics, KineticsTable};
use sheet::Folder;

/// Synaptic classes a target can have: all of [`CLASSES`] but `exc`, which only LGN and background have.
pub const N_TARGET_CLASSES: usize = N_CLASSES - 1;
/// Number of cell models in `cells.csv`.
pub const N_CELL_MODELS: usize = 201;
/// Number of populations in `populations.csv`.
pub const N_POPULATIONS: usize = 22;
/// Radius within which the counts of `cells.csv` hold, um.
pub const FULL_RADIUS_UM: f64 = 700.0;

/// All tables of a folder such as `scenes/v1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// The folder that was read.
    pub folder: PathBuf,
    /// `populations.csv`, ordered by cell type, `[N_POPULATIONS]`.
    pub populations: Vec<PopulationRow>,
    /// `cells.csv`, ordered by population, `[N_CELL_MODELS]`.
    pub cells: Vec<CellRow>,
    /// `connection_probability.csv` and `connection_spread.csv`.
    pub connection: Connection,
    /// `kinetics.csv`, `[source class][target class]`.
    pub kinetics: KineticsTable,
    /// `delays.csv`: ms, `[source class, then LGN, then background][target class]`.
    delays_ms: [[f64; N_TARGET_CLASSES]; N_TARGET_CLASSES + 2],
    /// `psp_measured.csv`: what was measured between groups of cells.
    pub psp_measured: Vec<MeasuredPsp>,
    /// `psp_pair_of_cell_type.csv`: index into `psp_measured`, `[source cell type][target cell type]`.
    pub psp_pair_ix: [[usize; N_CELL_TYPES]; N_CELL_TYPES],
    /// `lgn_units.csv`, one entry a class.
    pub lgn_units: Vec<LgnUnitClass>,
    /// `lgn_weights.csv`, in the order of `cells`.
    pub lgn_weights: Vec<LgnWeight>,
    /// `background_weights.csv`, in the order of `cells`.
    pub background_weights: Vec<BackgroundWeight>,
    /// `neuropixels_targets.csv`.
    pub targets: Vec<Target>,
    /// `neuropixels_sessions.csv`.
    pub sessions: Vec<Session>,
    /// `em_synapse_size.csv`.
    pub em_connections: Vec<EmConnections>,
    /// Spread of the logarithm of the size of EM connections, `[source cell type][target cell type]`; None where a cell is
    /// inhibitory. Pairs without connections of their own have that of all excitatory pairs.
    pub em_log_sds: [[Option<f64>; N_CELL_TYPES]; N_CELL_TYPES],
    /// `population_fano.csv`; empty where recordings of the user's own have none.
    pub fano: Vec<RecordedFano>,
    /// `noise_ceiling.csv`.
    pub ceilings: Vec<Ceiling>,
    /// `tuning_curves.csv`.
    pub tuning_curves: Vec<RecordedTuning>,
    /// `contrast_classes.csv`; empty where recordings of the user's own have none.
    pub contrast_classes: Vec<RecordedContrast>,
    digest: String,
    network_digest: String,
}

impl Tables {
    /// Reads and checks every table of a folder.
    ///
    /// # Errors
    /// A missing or malformed file ([`crate::Error::File`]), or a value outside its range ([`crate::Error::Field`] with
    /// file, line, column, value and limit).
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        Self::read_with(folder, None)
    }

    /// As [`Tables::read`], recorded rates and selectivity from a folder of recordings where there is one.
    ///
    /// # Errors
    /// As [`Tables::read`].
    pub fn read_with(folder: impl AsRef<Path>, recordings: Option<&Path>) -> Result<Self> {
        let mut folder = Folder::new(folder.as_ref(), recordings);
        let populations = cells::read_populations(&mut folder)?;
        let cells = cells::read_cells(&mut folder, &populations)?;
        let connection = synapses::read_connection(&mut folder)?;
        let kinetics = synapses::read_kinetics(&mut folder)?;
        let delays_ms = synapses::read_delays(&mut folder)?;
        let psp_measured = synapses::read_psp_measured(&mut folder)?;
        let psp_pair_ix = synapses::read_psp_pairs(&mut folder, &psp_measured)?;
        let lgn_units = lgn::read_lgn_units(&mut folder)?;
        let lgn_weights = cells::read_lgn_weights(&mut folder, &cells)?;
        let background_weights = cells::read_background_weights(&mut folder, &cells)?;
        let sessions = targets::read_sessions(&mut folder)?;
        let targets = targets::read_targets(&mut folder, &sessions)?;
        let em_connections = em::read_em_connections(&mut folder)?;
        let fano = fano::read_fano(&mut folder)?;
        let ceilings = targets::read_ceilings(&mut folder)?;
        let tuning_curves = curves::read_tuning(&mut folder)?;
        let contrast_classes = curves::read_contrast(&mut folder)?;
        Ok(Self {
            populations,
            cells,
            connection,
            kinetics,
            delays_ms,
            psp_measured,
            psp_pair_ix,
            lgn_units,
            lgn_weights,
            background_weights,
            targets,
            sessions,
            em_log_sds: em::em_log_sds(&em_connections),
            em_connections,
            fano,
            ceilings,
            tuning_curves,
            contrast_classes,
            digest: digest_of(&folder.contents),
            network_digest: digest_of(folder.contents.iter().filter(|(name, _)| !is_recorded(name))),
            folder: folder.path,
        })
    }

    /// SHA-256 of the names and bytes of all tables, hexadecimal: part of the key of the cache of built networks.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The same without tables of recordings ([`is_recorded`]), of which no network is made.
    pub fn network_digest(&self) -> &str {
        &self.network_digest
    }

    /// The populations, in table order.
    pub fn populations(&self) -> Vec<Population> {
        self.populations
            .iter()
            .map(|p| Population { name: p.name.clone(), cell_type_ix: p.cell_type_ix })
            .collect()
    }

    /// The cell models, in table order.
    pub fn cell_models(&self) -> Vec<CellModel> {
        self.cells.iter().map(|c| c.model.clone()).collect()
    }

    /// Index of a cell model of a published id.
    pub fn cell_ix(&self, model_id: u64) -> Option<usize> {
        self.cells.iter().position(|c| c.model.id == model_id)
    }

    /// Number of neurons of each cell model within a radius in um, `[N_CELL_MODELS]`: `ceil((r / 700 um)^2 n)`, so that every
    /// model has at least one neuron.
    pub fn cell_counts(&self, radius_um: f64) -> Vec<usize> {
        let share = (radius_um / FULL_RADIUS_UM).powi(2);
        // The small offset keeps a product that is whole but for its rounding from being counted up.
        self.cells.iter().map(|c| (share * c.n_cells_full as f64 - 1e-9).ceil().max(1.0) as usize).collect()
    }

    /// Delay of a synapse in ms, from a source type (cell type, LGN or background) to a target cell type.
    pub fn delay_ms(&self, source_type: usize, target_cell_type: usize) -> f64 {
        let row = match source_type {
            SOURCE_TYPE_LGN => N_TARGET_CLASSES,
            SOURCE_TYPE_BACKGROUND => N_TARGET_CLASSES + 1,
            _ => super::CLASS_OF_SOURCE_TYPE[source_type],
        };
        self.delays_ms[row][super::CLASS_OF_SOURCE_TYPE[target_cell_type]]
    }

    /// The same in time steps of `dt_ms`, rounded; a spike arrives a step after it was fired at the earliest.
    pub fn delay_steps(&self, source_type: usize, target_cell_type: usize, dt_ms: f64) -> u32 {
        ((self.delay_ms(source_type, target_cell_type) / dt_ms).round() as u32).max(1)
    }

    /// Longest delay of all synapses, time steps of `dt_ms`.
    pub fn max_delay_steps(&self, dt_ms: f64) -> u32 {
        let longest_ms = self.delays_ms.as_flattened().iter().copied().fold(0.0, f64::max);
        ((longest_ms / dt_ms).round() as u32).max(1)
    }

    /// Kinetics of the synapses of a source class on cells of a target cell type.
    pub fn kinetics_on(&self, source_class_ix: usize, target_cell_type: usize) -> Kinetics {
        self.kinetics[source_class_ix][super::CLASS_OF_SOURCE_TYPE[target_cell_type]]
    }

    /// The measured PSPs that stand in for a pair of cell types.
    pub fn psp(&self, source_cell_type: usize, target_cell_type: usize) -> &MeasuredPsp {
        &self.psp_measured[self.psp_pair_ix[source_cell_type][target_cell_type]]
    }

    /// Which rows of `psp_measured` are held out from training: of those that stand in for a pair of cell types, ordered by
    /// sha256 of "1:source->target", the first fifth (rounded half up). The same for every network and seed.
    pub fn held_out_psps(&self) -> Vec<bool> {
        let mut used: Vec<usize> = self.psp_pair_ix.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let n_held_out = (2 * used.len() + 5) / 10;
        used.sort_by_cached_key(|&ix| {
            let psp = &self.psp_measured[ix];
            Sha256::digest(format!("1:{}->{}", psp.source, psp.target))
        });
        let mut held_out = vec![false; self.psp_measured.len()];
        for ix in &used[..n_held_out] {
            held_out[*ix] = true;
        }
        held_out
    }

    /// The recorded population Fano factors for trials whose analysis window is `window_ms` long: of the longest recorded window
    /// that is not longer, else of the shortest. Empty if there is none.
    pub fn fano_points(&self, evoked: bool, split: Split, window_ms: f64) -> &[FanoPoint] {
        let own = || self.fano.iter().filter(|c| (c.evoked, c.split) == (evoked, split));
        let fits =
            own().filter(|c| c.window_ms <= window_ms).max_by(|a, b| a.window_ms.total_cmp(&b.window_ms));
        let curve = fits.or_else(|| own().min_by(|a, b| a.window_ms.total_cmp(&b.window_ms)));
        curve.map_or(&[], |curve| &curve.points)
    }

    /// The recorded distribution of a quantity for a cell type, or `None` where too few units were recorded.
    pub fn target(&self, cell_type_ix: usize, quantity: Quantity, split: Split) -> Option<&Target> {
        self.targets
            .iter()
            .find(|t| t.cell_type_ix == cell_type_ix && t.quantity == quantity && t.split == split)
    }
}

/// Hexadecimal SHA-256 over the names, lengths and bytes of files.
fn digest_of<'a>(contents: impl IntoIterator<Item = &'a (String, Vec<u8>)>) -> String {
    let mut hasher = Sha256::new();
    for (name, bytes) in contents {
        hasher.update(name.as_bytes());
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the connections that a cell type makes are excitatory.
fn connection_is_excitatory(cell_type_ix: usize) -> bool {
    !super::class_is_inhibitory(super::CLASS_OF_SOURCE_TYPE[cell_type_ix])
}

/// Names of the target classes, the first [`N_TARGET_CLASSES`] of [`CLASSES`].
fn target_classes() -> &'static [&'static str] {
    &CLASSES[..N_TARGET_CLASSES]
}

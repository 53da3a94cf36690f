//! A calibration: factors on the LGN and background weights of every cell model, found by simulation (`simrun calibrate`).
//!
//! A factor means something only beside the weights that it multiplies and the cell that they reach, so the table says in its head what it was
//! made for. Its rows must be the network's cell models, and point cells or two compartments as in the scene; in what else the scene differs is
//! only said.

use std::fmt::Write as _;
use std::mem::discriminant;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::network::tables::sheet::{Row, Sheet};
use crate::network::tables::{PROBABILITIES, Quantity, Split, Tables};
use crate::network::{CELL_TYPES, CellModel, Network, target_neuron};
use crate::plan::Plan;
use crate::scene::{self, CellsScene, NetworkScene, Scene};
use crate::{Error, Result, shipped};

/// Factors of a cell model on the weights of its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputFactors {
    /// On LGN weights.
    pub lgn: f64,
    /// On background weights.
    pub background: f64,
}

impl InputFactors {
    /// Weights as they are.
    pub const ONE: Self = Self { lgn: 1.0, background: 1.0 };
}

/// One row: a cell model.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibratedModel {
    /// Published id.
    pub model_id: u64,
    /// Cell type.
    pub cell_type: String,
    /// Neurons whose rates were read.
    pub n_neurons: usize,
    /// Factors on its weights.
    pub factors: InputFactors,
    /// Factor on background weights with which background alone, without LGN, gave `background_hz`.
    pub background_alone: f64,
    /// Rate with background alone, Hz.
    pub background_hz: f64,
    /// Rate asked for, Hz: the recorded grey median of the cell type; none where none was recorded, and the weights are left alone.
    pub target_hz: Option<f64>,
    /// Rate found in trials that no factor was chosen by, Hz.
    pub rate_hz: f64,
    /// What could not be met; empty for most.
    pub remark: String,
}

/// What a calibration was made for, one line in the table's head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeFor {
    /// Seed of the network.
    pub seed: u64,
    /// Time step, ms.
    pub dt_ms: f64,
    /// Cells.
    pub cells: CellsScene,
    /// Network, without a calibration.
    pub network: NetworkScene,
}

impl MadeFor {
    /// Of a scene.
    pub fn scene(scene: &Scene) -> Self {
        let mut network = scene.network.clone();
        network.set_calibration(None);
        Self { seed: scene.seed, dt_ms: scene.time.dt_ms, cells: scene.cells.clone(), network }
    }
}

/// A calibration table.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// What it was made for.
    pub made_for: MadeFor,
    /// How it was made, a line each.
    pub notes: Vec<String>,
    /// The cell models in the order of the network's.
    pub models: Vec<CalibratedModel>,
}

const COLUMNS: [&str; 10] = [
    "model_id",
    "cell_type",
    "n_neurons",
    "lgn_factor",
    "background_factor",
    "background_alone_factor",
    "background_alone_hz",
    "target_hz",
    "rate_hz",
    "remark",
];
/// Begins the line of [`MadeFor`].
const MADE_FOR: &str = "# made for: ";
const NOTE: &str = "# note: ";
/// Begins the note of the digest of all tables that it was made with.
pub const OF_TABLES: &str = "sha256 of the tables ";
/// Begins the note of the digest of those that its network was made of; calibrations of earlier versions have none.
pub const OF_NETWORK_TABLES: &str = "sha256 of the tables of the network ";

impl Calibration {
    /// Reads a table.
    ///
    /// # Errors
    /// A missing or malformed file, or a value outside its range, by file, line, column, value and limit.
    pub fn read(file: &Path) -> Result<Self> {
        let text = shipped::read_text(file).map_err(|source| match source.kind() {
            std::io::ErrorKind::InvalidData => Error::file(file, "is no calibration: it is not UTF-8 text"),
            _ => Error::Io { file: file.to_path_buf(), source },
        })?;
        let Some(made_for) = text.lines().find_map(|line| line.strip_prefix(MADE_FOR)) else {
            let reason =
                format!("is no calibration: it has no line '{MADE_FOR}..' (simrun calibrate writes it)");
            return Err(Error::file(file, reason));
        };
        let made_for = scene::from_ron(file, made_for)
            .map_err(|e| Error::file(file, format!("the line '{MADE_FOR}..' cannot be read: {e}")))?;
        let sheet = Sheet::parse(file.to_path_buf(), text.as_bytes(), &COLUMNS)?;
        let models = sheet.rows().map(read_model).collect::<Result<_>>()?;
        let notes = text.lines().filter_map(|line| line.strip_prefix(NOTE)).map(str::to_owned).collect();
        Ok(Self { made_for, notes, models })
    }

    /// The table of a plan, if its scene names one, beside what a user should know of it: it was made for another network, or for other
    /// recordings.
    ///
    /// # Errors
    /// Those of [`Calibration::read`]; a table made for the other cell mode, or for other cell models than `cell_models`.
    pub fn of_plan(
        plan: &Plan,
        tables: &Tables,
        cell_models: &[CellModel],
    ) -> Result<Option<(Self, Vec<String>)>> {
        let Some(path) = plan.scene.network.calibration() else { return Ok(None) };
        let file = shipped::resolve(&plan.scene_file, path);
        let calibration = Self::read(&file)?;
        let said = calibration.fit(&file, &plan.scene, tables, cell_models)?;
        Ok(Some((calibration, said)))
    }

    /// Refuses a table that is of other cell models than the network's, or of the other cell mode; in what else it differs is returned, a line each.
    ///
    /// # Errors
    /// Names file, field and what the scene has.
    pub fn fit(
        &self,
        file: &Path,
        scene: &Scene,
        tables: &Tables,
        cell_models: &[CellModel],
    ) -> Result<Vec<String>> {
        let made_for = &self.made_for;
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut own = scene.clone();
        own.network.set_calibration(None);
        let mut other = own.clone();
        other.cells.mode = made_for.cells.mode;
        if discriminant(&other.cells.mode) != discriminant(&own.cells.mode) {
            let limit = format!(
                "the scene has {}, where a factor means another rate; simrun calibrate makes a table, network.calibration=None does without",
                own.cells.mode.name()
            );
            return Err(Error::field(file, "made for cells.mode", other.cells.mode.name(), limit));
        }
        if discriminant(&made_for.network) != discriminant(&scene.network) {
            let reason = "was made for another kind of network (built, or read from SONATA files)";
            return Err(Error::file(file, reason));
        }
        self.hold_models(file, cell_models)?;
        let mut said = Vec::new();
        other = Scene {
            seed: made_for.seed,
            cells: made_for.cells.clone(),
            network: made_for.network.clone(),
            ..other
        };
        other.time.dt_ms = made_for.dt_ms;
        if let Some((field, table, own)) = scene::first_difference(&other, &own, &[])? {
            let (table, own) = (one_line(&table), one_line(&own));
            said.push(format!(
                "{}: made for {field} {table}, the scene has {own}; rates may differ (simrun calibrate makes a table of its own)",
                file.display()
            ));
        }
        if self.is_of_other_tables(scene, tables) {
            said.push(format!(
                "{}: made with other tables than those of {}; rates may differ (simrun calibrate makes a table of its own)",
                file.display(),
                tables.folder.display()
            ));
        }
        let is_other = |model: &&CalibratedModel| {
            let recorded = CELL_TYPES.iter().position(|name| *name == model.cell_type);
            let recorded_hz = recorded.and_then(|ix| recorded_grey_hz(tables, ix));
            let differ = |(a, b): (f64, f64)| (a - b).abs() > 0.01 * b;
            model.target_hz.zip(recorded_hz).is_some_and(differ)
        };
        if let Some(model) = self.models.iter().find(is_other) {
            said.push(format!(
                "{}: made for other recordings ({} at {} Hz under grey)",
                file.display(),
                model.cell_type,
                model.target_hz.unwrap_or_default()
            ));
        }
        Ok(said)
    }

    /// Whether it says that its network was made of other tables. One that says nothing of the network's tables alone is known by all of
    /// them, where the scene has no recordings of its own.
    fn is_of_other_tables(&self, scene: &Scene, tables: &Tables) -> bool {
        let note = |begin: &str| self.notes.iter().find_map(|note| note.strip_prefix(begin));
        match (note(OF_NETWORK_TABLES), note(OF_TABLES)) {
            (Some(own), _) => own != tables.network_digest(),
            (None, Some(own)) => scene.recordings.is_none() && own != tables.digest(),
            (None, None) => false,
        }
    }

    /// Holds the rows to the cell models of the network, one by one.
    fn hold_models(&self, file: &Path, cell_models: &[CellModel]) -> Result<()> {
        for (ix, model) in self.models.iter().enumerate() {
            let id = model.model_id;
            if cell_models.get(ix).is_some_and(|own| own.id == id) {
                continue;
            }
            let limit = match cell_models.iter().position(|own| own.id == id) {
                None => "is no cell model of the network".to_owned(),
                Some(at) if at > ix => {
                    format!("the row of cell model {} is missing before it", cell_models[ix].id)
                }
                Some(_) => "is there twice, or out of order".to_owned(),
            };
            return Err(Error::field(file, format!("row {}, model_id", ix + 1), id, limit));
        }
        match cell_models.get(self.models.len()) {
            None => Ok(()),
            Some(missing) => Err(Error::file(file, format!("has no row of cell model {}", missing.id))),
        }
    }

    /// The factors of all cell models.
    pub fn factors(&self) -> Vec<InputFactors> {
        self.models.iter().map(|model| model.factors).collect()
    }

    /// The table as text.
    ///
    /// # Errors
    /// Where what it was made for cannot be written as RON.
    pub fn to_text(&self) -> Result<String> {
        let mut text = String::from(
            "# source: simrun calibrate: factors on the LGN and background weights of each cell model, found by simulation under a grey screen\n\
             # units: factors dimensionless; rates Hz\n",
        );
        for note in &self.notes {
            text += &format!("{NOTE}{note}\n");
        }
        text += &format!("{MADE_FOR}{}\n{}\n", scene::to_ron_line(&self.made_for)?, COLUMNS.join(","));
        for m in &self.models {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{},{},{},{:.4},{:.4},{:.4},{:.3},{},{:.3},{}",
                m.model_id,
                m.cell_type,
                m.n_neurons,
                m.factors.lgn,
                m.factors.background,
                m.background_alone,
                m.background_hz,
                m.target_hz.map_or(String::new(), |hz| hz.to_string()),
                m.rate_hz,
                m.remark
            );
        }
        Ok(text)
    }
}

fn read_model(row: Row<'_>) -> Result<CalibratedModel> {
    let factor = |column| row.number(column, 0.0..=1e3, "");
    let rate = |column| row.number(column, 0.0..=1e3, "Hz");
    Ok(CalibratedModel {
        model_id: row.count("model_id", 0..=usize::MAX)? as u64,
        cell_type: row.text("cell_type")?.to_owned(),
        n_neurons: row.count("n_neurons", 0..=10_000_000)?,
        factors: InputFactors { lgn: factor("lgn_factor")?, background: factor("background_factor")? },
        background_alone: factor("background_alone_factor")?,
        background_hz: rate("background_alone_hz")?,
        // Nothing can be calibrated to silence.
        target_hz: row.optional_number("target_hz", 1e-3..=1e3, "Hz")?,
        rate_hz: rate("rate_hz")?,
        remark: row.text("remark")?.to_owned(),
    })
}

/// Recorded median of a cell type under a grey screen, training sessions, Hz; none where too few units were recorded.
pub fn recorded_grey_hz(tables: &Tables, cell_type_ix: usize) -> Option<f64> {
    let target = tables.target(cell_type_ix, Quantity::SpontaneousRate, Split::Train)?;
    let median = PROBABILITIES.iter().position(|p| *p == 0.5)?;
    Some(target.quantiles[median])
}

/// Multiplies the weights of LGN and background units by the factors of their targets' cell models, `[n_cell_models]`. `weights` are those
/// of the network's edges, `[n_edges]`. Units that inhibit keep theirs: more of them would not mean more spikes.
pub fn scale_inputs(network: &Network, factors: &[InputFactors], weights: &mut [f32]) {
    let n_neurons = network.neurons.len();
    for unit in 0..network.n_lgn + network.n_background {
        let source = n_neurons + unit;
        if network.vocabulary.is_inhibitory(network.source_type(source)) {
            continue;
        }
        let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
        for (target, weight) in network.rows.targets[row.clone()].iter().zip(&mut weights[row]) {
            let model_ix = network.neurons.model_ix[target_neuron(*target) as usize];
            let factors = &factors[usize::from(model_ix)];
            let factor = if unit < network.n_lgn { factors.lgn } else { factors.background };
            *weight = (f64::from(*weight) * factor) as f32;
        }
    }
}

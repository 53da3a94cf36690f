//! Populations, cell models and the published weights of their LGN and background synapses.

use super::super::{CELL_TYPES, CLASS_OF_SOURCE_TYPE, CLASSES, CellModel};
use super::sheet::{Folder, Row};
use super::{N_CELL_MODELS, N_POPULATIONS};
use crate::Result;

/// One row of `populations.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct PopulationRow {
    /// Name, e.g. `e23Cux2`.
    pub name: String,
    /// Layer, e.g. `VisL2/3`.
    pub location: String,
    /// Index in [`CELL_TYPES`].
    pub cell_type_ix: usize,
    /// Index in [`CLASSES`].
    pub class_ix: usize,
    /// Whether its synapses inhibit.
    pub is_inhibitory: bool,
    /// Depth of its upper and lower boundary below the pia, um (positive).
    pub depth_um: [f64; 2],
    /// Cells within 400 um of the centre.
    pub n_core: usize,
    /// Cells from 400 to 700 um off the centre.
    pub n_surround: usize,
    /// Shape of the log-normal of synapses received per cell.
    pub n_synapses_shape: f64,
    /// Scale (median) of the log-normal of synapses received per cell.
    pub n_synapses_scale: f64,
    /// How its cells draw their LGN input.
    pub lgn: LgnRule,
}

impl PopulationRow {
    /// Mean number of synapses received per cell.
    pub fn n_synapses_mean(&self) -> f64 {
        self.n_synapses_scale * (0.5 * self.n_synapses_shape.powi(2)).exp()
    }
}

/// How the cells of a population draw their LGN input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LgnRule {
    /// Mean of the Poisson law of the preferred temporal frequency (0 is drawn again), Hz.
    pub temporal_frequency_hz: f64,
    /// Probability of drawing from sustained ON units, else from sustained OFF units.
    pub s_on_share: f64,
    /// LGN synapses over a fifth of the cell's synapses.
    pub synapse_ratio: f64,
    /// Parameter of the Yule-Simon law of synapses per connection, above 1.
    pub yule: f64,
}

/// One row of `cells.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct CellRow {
    /// The fitted model.
    pub model: CellModel,
    /// Cells of this model within [`super::FULL_RADIUS_UM`].
    pub n_cells_full: usize,
    /// Published rheobase, pA, on a grid of 5 pA.
    pub rheobase_pa: Option<f64>,
    /// Published slope of the rate over current above rheobase, Hz/pA.
    pub fi_slope_hz_per_pa: Option<f64>,
}

/// One row of `lgn_weights.csv`, for the published point model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LgnWeight {
    /// Peak PSP of a synapse of 1 pA, mV.
    pub psp_per_pa_mv: f64,
    /// Peak current of one synapse, pA.
    pub weight_pa: f64,
    /// Peak PSP of one synapse, mV: the figure that carries over to other cell models.
    pub psp_mv: f64,
}

/// One row of `background_weights.csv`, for the published point model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackgroundWeight {
    /// Peak current of the synapse of one background unit, pA.
    pub weight_pa: f64,
}

/// Reads `populations.csv`.
pub(super) fn read_populations(folder: &mut Folder) -> Result<Vec<PopulationRow>> {
    let sheet = folder.sheet(
        "populations.csv",
        &[
            "population",
            "location",
            "cell_type",
            "class",
            "ei",
            "depth_top_um",
            "depth_bottom_um",
            "n_core",
            "n_surround",
            "n_synapses_shape",
            "n_synapses_scale",
            "lgn_temporal_frequency_hz",
            "lgn_s_on_share",
            "lgn_synapse_ratio",
            "lgn_yule",
        ],
    )?;
    sheet.require_rows(N_POPULATIONS)?;
    let mut populations: Vec<PopulationRow> = Vec::new();
    for row in sheet.rows() {
        let p = population(row)?;
        if populations.iter().any(|q| q.name == p.name) {
            return Err(row.error("population", &p.name, "each population once"));
        }
        // Neurons are ordered by population, and a row's targets must come in runs of one cell type.
        if populations.last().is_some_and(|q| q.cell_type_ix > p.cell_type_ix) {
            return Err(row.error("cell_type", CELL_TYPES[p.cell_type_ix], "rows ordered by cell type"));
        }
        populations.push(p);
    }
    Ok(populations)
}

fn population(row: Row<'_>) -> Result<PopulationRow> {
    let cell_type_ix = row.name_ix("cell_type", &CELL_TYPES)?;
    let class_ix = row.name_ix("class", &CLASSES)?;
    if class_ix != CLASS_OF_SOURCE_TYPE[cell_type_ix] {
        let wanted = CLASSES[CLASS_OF_SOURCE_TYPE[cell_type_ix]];
        return Err(row.error("class", CLASSES[class_ix], format!("{wanted}, the class of the cell type")));
    }
    let is_inhibitory = row.name_ix("ei", &["e", "i"])? == 1;
    if is_inhibitory != super::super::class_is_inhibitory(class_ix) {
        return Err(row.error("ei", row.text("ei")?, "i for the classes pv, sst and vip, else e"));
    }
    let top_um = row.number("depth_top_um", 0.0..=2000.0, "um")?;
    Ok(PopulationRow {
        name: row.text("population")?.to_string(),
        location: row.text("location")?.to_string(),
        cell_type_ix,
        class_ix,
        is_inhibitory,
        depth_um: [top_um, row.number("depth_bottom_um", top_um..=2000.0, "um")?],
        n_core: row.count("n_core", 1..=1_000_000)?,
        n_surround: row.count("n_surround", 0..=10_000_000)?,
        n_synapses_shape: row.number("n_synapses_shape", 0.0..=3.0, "")?,
        n_synapses_scale: row.number("n_synapses_scale", 1.0..=1e6, "synapses")?,
        lgn: LgnRule {
            temporal_frequency_hz: row.number("lgn_temporal_frequency_hz", 0.01..=30.0, "Hz")?,
            s_on_share: row.number("lgn_s_on_share", 0.0..=1.0, "")?,
            synapse_ratio: row.number("lgn_synapse_ratio", 0.0..=5.0, "")?,
            yule: row.number("lgn_yule", 1.000_001..=100.0, "")?,
        },
    })
}

/// Reads `cells.csv`.
pub(super) fn read_cells(folder: &mut Folder, populations: &[PopulationRow]) -> Result<Vec<CellRow>> {
    let sheet = folder.sheet(
        "cells.csv",
        &[
            "model_id",
            "population",
            "n_cells_700um",
            "v_th_mv",
            "e_l_mv",
            "v_reset_mv",
            "g_ns",
            "c_m_pf",
            "t_ref_ms",
            "asc_amp_1_pa",
            "asc_amp_2_pa",
            "asc_decay_1_per_ms",
            "asc_decay_2_per_ms",
            "rheobase_pa",
            "fi_slope_hz_per_pa",
        ],
    )?;
    sheet.require_rows(N_CELL_MODELS)?;
    let names: Vec<&str> = populations.iter().map(|p| p.name.as_str()).collect();
    let mut cells: Vec<CellRow> = Vec::new();
    for row in sheet.rows() {
        let cell = cell(row, populations, &names)?;
        if cells.iter().any(|c| c.model.id == cell.model.id) {
            return Err(row.error("model_id", cell.model.id, "each cell model once"));
        }
        if cells.last().is_some_and(|c| c.model.population_ix > cell.model.population_ix) {
            return Err(row.error("population", row.text("population")?, "rows ordered by population"));
        }
        cells.push(cell);
    }
    Ok(cells)
}

fn cell(row: Row<'_>, populations: &[PopulationRow], names: &[&str]) -> Result<CellRow> {
    let population_ix = row.name_ix("population", names)?;
    let e_l_mv = row.number("e_l_mv", -120.0..=-40.0, "mV")?;
    let v_th_mv = row.number("v_th_mv", -120.0..=0.0, "mV")?;
    if v_th_mv <= e_l_mv {
        return Err(row.error("v_th_mv", v_th_mv, format!("above e_l_mv = {e_l_mv} mV")));
    }
    let v_reset_mv = row.number("v_reset_mv", -120.0..=0.0, "mV")?;
    if v_reset_mv >= v_th_mv {
        return Err(row.error("v_reset_mv", v_reset_mv, format!("below v_th_mv = {v_th_mv} mV")));
    }
    let amp = |column| row.number(column, -1e4..=1e4, "pA");
    let decay = |column| row.number(column, 1e-5..=10.0, "1/ms");
    Ok(CellRow {
        model: CellModel {
            id: row.count("model_id", 1..=usize::MAX)? as u64,
            population_ix,
            cell_type_ix: populations[population_ix].cell_type_ix,
            v_th_mv,
            e_l_mv,
            v_reset_mv,
            g_ns: row.number("g_ns", 0.01..=100.0, "nS")?,
            c_m_pf: row.number("c_m_pf", 1.0..=1000.0, "pF")?,
            t_ref_ms: row.number("t_ref_ms", 0.0..=50.0, "ms")?,
            asc_amp_pa: [amp("asc_amp_1_pa")?, amp("asc_amp_2_pa")?],
            asc_decay_per_ms: [decay("asc_decay_1_per_ms")?, decay("asc_decay_2_per_ms")?],
        },
        n_cells_full: row.count("n_cells_700um", 1..=10_000_000)?,
        rheobase_pa: row.optional_number("rheobase_pa", 0.0..=5000.0, "pA")?,
        fi_slope_hz_per_pa: row.optional_number("fi_slope_hz_per_pa", 0.0..=100.0, "Hz/pA")?,
    })
}

/// Reads `lgn_weights.csv`, whose rows must be those of `cells.csv`.
pub(super) fn read_lgn_weights(folder: &mut Folder, cells: &[CellRow]) -> Result<Vec<LgnWeight>> {
    let sheet = folder.sheet("lgn_weights.csv", &["model_id", "psp_per_pa_mv", "weight_pa", "psp_mv"])?;
    sheet.require_rows(cells.len())?;
    let weight = |(row, cell): (Row<'_>, &CellRow)| {
        require_model(row, cell)?;
        Ok(LgnWeight {
            psp_per_pa_mv: row.number("psp_per_pa_mv", 1e-6..=100.0, "mV")?,
            weight_pa: row.number("weight_pa", 0.0..=1000.0, "pA")?,
            psp_mv: row.number("psp_mv", 0.0..=100.0, "mV")?,
        })
    };
    sheet.rows().zip(cells).map(weight).collect()
}

/// Reads `background_weights.csv`, whose rows must be those of `cells.csv`.
pub(super) fn read_background_weights(
    folder: &mut Folder,
    cells: &[CellRow],
) -> Result<Vec<BackgroundWeight>> {
    let sheet = folder.sheet("background_weights.csv", &["model_id", "weight_pa"])?;
    sheet.require_rows(cells.len())?;
    let weight = |(row, cell): (Row<'_>, &CellRow)| {
        require_model(row, cell)?;
        Ok(BackgroundWeight { weight_pa: row.number("weight_pa", 0.0..=1000.0, "pA")? })
    };
    sheet.rows().zip(cells).map(weight).collect()
}

fn require_model(row: Row<'_>, cell: &CellRow) -> Result<()> {
    let id = row.text("model_id")?;
    if id == cell.model.id.to_string() {
        return Ok(());
    }
    Err(row.error("model_id", id, format!("{}, the model of this row in cells.csv", cell.model.id)))
}

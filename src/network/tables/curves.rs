//! What the recordings say of response curves: the mean direction tuning of a cell type, and the classes of its
//! contrast-response curves.

use super::super::CELL_TYPES;
use super::Split;
use super::sheet::{Folder, Row};
use crate::Result;

/// Which cell type and sessions a row of a table of curves is of.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePool {
    /// Index in [`CELL_TYPES`].
    pub cell_type_ix: usize,
    /// Which sessions.
    pub split: Split,
    /// How wide the pool of units is, as in [`super::Target`].
    pub pool: String,
    /// The recorded types in the pool, joined by `+`.
    pub recorded_types: String,
}

/// One row of `tuning_curves.csv`: the mean over units of their curves r(d) = r (1 + 2 dsi cos d + 2 osi cos 2d), d the angle
/// from a unit's preferred direction, is such a curve again.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedTuning {
    /// What the row is of.
    pub of: CurvePool,
    /// Units that have a rate and both indices.
    pub n_units: usize,
    /// Mean rate over the directions, Hz.
    pub rate_hz: f64,
    /// Mean direction selectivity of the units, each weighted by its rate, in [0, 1].
    pub dsi: f64,
    /// Mean orientation selectivity of the units, each weighted by its rate, in [0, 1].
    pub osi: f64,
}

/// One row of `contrast_classes.csv`: how the contrast-response curves of units were classed.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedContrast {
    /// What the row is of.
    pub of: CurvePool,
    /// Units that were shown the gratings of several contrasts.
    pub n_tested: usize,
    /// Of these, those that responded to them (p < 0.01).
    pub n_responsive: usize,
    /// Responsive units whose curve is a high-pass, a band-pass or a low-pass one.
    pub n_by_class: [usize; 3],
}

fn pool(row: Row<'_>) -> Result<CurvePool> {
    Ok(CurvePool {
        cell_type_ix: row.name_ix("cell_type", &CELL_TYPES)?,
        split: Split::ALL[row.name_ix("split", &Split::NAMES)?],
        pool: row.text("pool")?.to_owned(),
        recorded_types: row.text("recorded_types")?.to_owned(),
    })
}

/// Refuses a second row of a cell type and split.
fn once(row: Row<'_>, of: &CurvePool, mut earlier: impl Iterator<Item = CurvePool>) -> Result<()> {
    if earlier.any(|e| (e.cell_type_ix, e.split) == (of.cell_type_ix, of.split)) {
        return Err(row.error("cell_type", row.text("cell_type")?, "once per split"));
    }
    Ok(())
}

/// Reads `tuning_curves.csv`.
pub(super) fn read_tuning(folder: &mut Folder) -> Result<Vec<RecordedTuning>> {
    let columns =
        ["cell_type", "split", "pool", "recorded_types", "n_units", "n_sessions", "rate_hz", "dsi", "osi"];
    let sheet = folder.sheet("tuning_curves.csv", &columns)?;
    let mut curves: Vec<RecordedTuning> = Vec::new();
    for row in sheet.rows() {
        let of = pool(row)?;
        once(row, &of, curves.iter().map(|c| c.of.clone()))?;
        curves.push(RecordedTuning {
            of,
            n_units: row.count("n_units", 1..=1_000_000)?,
            rate_hz: row.number("rate_hz", 0.0..=1000.0, "Hz")?,
            dsi: row.number("dsi", 0.0..=1.0, "")?,
            osi: row.number("osi", 0.0..=1.0, "")?,
        });
    }
    Ok(curves)
}

/// Reads `contrast_classes.csv`.
pub(super) fn read_contrast(folder: &mut Folder) -> Result<Vec<RecordedContrast>> {
    let classes = ["n_high", "n_band", "n_low"];
    let mut columns = vec!["cell_type", "split", "pool", "recorded_types", "n_tested", "n_responsive"];
    columns.extend(classes);
    let Some(sheet) = folder.optional_sheet("contrast_classes.csv", &columns)? else { return Ok(Vec::new()) };
    let mut all: Vec<RecordedContrast> = Vec::new();
    for row in sheet.rows() {
        let of = pool(row)?;
        once(row, &of, all.iter().map(|c| c.of.clone()))?;
        let n_tested = row.count("n_tested", 1..=1_000_000)?;
        let n_responsive = row.count("n_responsive", 1..=n_tested)?;
        let mut n_by_class = [0; 3];
        for (n, column) in n_by_class.iter_mut().zip(classes) {
            *n = row.count(column, 0..=n_responsive)?;
        }
        if n_by_class.iter().sum::<usize>() != n_responsive {
            let limit = "n_high + n_band + n_low must be n_responsive";
            return Err(row.error("n_responsive", n_responsive, limit));
        }
        all.push(RecordedContrast { of, n_tested, n_responsive, n_by_class });
    }
    Ok(all)
}

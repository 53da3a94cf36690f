//! What the recordings say of the correlations of populations.

use super::Split;
use super::sheet::Folder;
use crate::Result;

/// Population Fano factor at a bin width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FanoPoint {
    /// Width of the bins, ms.
    pub width_ms: f64,
    /// Mean over sessions.
    pub fano: f64,
    /// Standard deviation over sessions.
    pub sd: f64,
}

/// The rows of `population_fano.csv` of one kind of trial, window and split, by rising width.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedFano {
    /// Whether gratings were shown.
    pub evoked: bool,
    /// Window of the trials, ms.
    pub window_ms: f64,
    /// Which sessions.
    pub split: Split,
    /// The curve.
    pub points: Vec<FanoPoint>,
}

/// Reads `population_fano.csv`.
pub(super) fn read_fano(folder: &mut Folder) -> Result<Vec<RecordedFano>> {
    let columns = ["kind", "window_ms", "split", "width_ms", "fano", "fano_sd"];
    let Some(sheet) = folder.optional_sheet("population_fano.csv", &columns)? else { return Ok(Vec::new()) };
    let mut curves: Vec<RecordedFano> = Vec::new();
    for row in sheet.rows() {
        let evoked = row.name_ix("kind", &["evoked", "spontaneous"])? == 0;
        let window_ms = row.number("window_ms", 1.0..=1e6, "ms")?;
        let split = Split::ALL[row.name_ix("split", &Split::NAMES)?];
        let point = FanoPoint {
            width_ms: row.number("width_ms", 0.01..=window_ms, "ms")?,
            fano: row.number("fano", 0.0..=1000.0, "")?,
            sd: row.number("fano_sd", 0.0..=1000.0, "")?,
        };
        let same = |c: &&mut RecordedFano| (c.evoked, c.window_ms, c.split) == (evoked, window_ms, split);
        match curves.iter_mut().find(same) {
            None => curves.push(RecordedFano { evoked, window_ms, split, points: vec![point] }),
            Some(curve) if curve.points.iter().all(|p| p.width_ms < point.width_ms) => {
                curve.points.push(point)
            }
            Some(_) => {
                return Err(row.error("width_ms", point.width_ms, "must rise from row to row of a curve"));
            }
        }
    }
    Ok(curves)
}

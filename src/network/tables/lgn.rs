//! Classes of LGN units: how many there are, their receptive fields and temporal filters.

use super::sheet::{Folder, Row};
use crate::Result;

/// One row of `lgn_units.csv`: a class of LGN units.
///
/// A class of one subfield fires at `max(0, baseline + polarity (filter * stimulus))`; a class of two at
/// `max(0, baseline / 2 + dominant) + max(0, baseline / 2 + second)`. The comments of the file say how the filters are
/// made. Each parameter of a unit is drawn uniformly within 2.5 % of its class's figure.
#[derive(Clone, Debug, PartialEq)]
pub struct LgnUnitClass {
    /// Name, e.g. `sON_TF4`.
    pub name: String,
    /// Units of this class on each of the 15 x 10 tiles of 8 x 8 deg.
    pub n_per_tile: usize,
    /// Smallest and largest diameter of the receptive field, deg. Where they differ, sizes follow a triangular
    /// law with its mode 1 deg above the smallest. The Gaussian's standard deviation is a third of the diameter.
    pub size_range_deg: [f64; 2],
    /// 1 for ON, -1 for OFF; of the dominant subfield where there are two.
    pub polarity: f64,
    /// Rate under a grey screen, Hz.
    pub baseline_hz: f64,
    /// Temporal filter of the dominant subfield.
    pub filter: TemporalFilter,
    /// The second (ON) subfield, for classes of two.
    pub second: Option<SecondSubfield>,
}

/// A temporal filter: the weighted sum of two raised-cosine bumps on a logarithmic time axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemporalFilter {
    /// Weights of the bumps, Hz for a contrast of 1 sustained over 1 ms. The first is positive.
    pub weights: [f64; 2],
    /// Times of their peaks before the delay, ms, ascending.
    pub peaks_ms: [f64; 2],
    /// Their delays, ms, not descending.
    pub delays_ms: [f64; 2],
}

/// The second subfield of a class, and what sets the two subfields off against each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecondSubfield {
    /// Its temporal filter.
    pub filter: TemporalFilter,
    /// Distance from the dominant subfield, deg.
    pub separation_deg: f64,
    /// Time at which the filter crosses zero after its peak, ms: dominant, second.
    pub crossing_ms: [f64; 2],
    /// Recorded peak rates, Hz: dominant, second.
    pub max_hz: [f64; 2],
    /// Factor on the first term of the dominant subfield's amplitude.
    pub dominant_gain: f64,
}

const FILTER_COLUMNS: [[&str; 6]; 2] = [
    ["dom_weight_1", "dom_weight_2", "dom_peak_1_ms", "dom_peak_2_ms", "dom_delay_1_ms", "dom_delay_2_ms"],
    ["sec_weight_1", "sec_weight_2", "sec_peak_1_ms", "sec_peak_2_ms", "sec_delay_1_ms", "sec_delay_2_ms"],
];

/// Reads `lgn_units.csv`.
pub(super) fn read_lgn_units(folder: &mut Folder) -> Result<Vec<LgnUnitClass>> {
    let mut columns = vec!["class", "n_per_tile", "size_min_deg", "size_max_deg", "polarity", "baseline_hz"];
    columns.extend(FILTER_COLUMNS.concat());
    columns.extend(["separation_deg", "dom_crossing_ms", "sec_crossing_ms"]);
    columns.extend(["dom_max_hz", "sec_max_hz", "dom_gain"]);
    let sheet = folder.sheet("lgn_units.csv", &columns)?;
    let mut classes: Vec<LgnUnitClass> = Vec::new();
    for row in sheet.rows() {
        let class = unit_class(row)?;
        if classes.iter().any(|c| c.name == class.name) {
            return Err(row.error("class", &class.name, "each class once"));
        }
        classes.push(class);
    }
    Ok(classes)
}

fn unit_class(row: Row<'_>) -> Result<LgnUnitClass> {
    let size_min_deg = row.number("size_min_deg", 0.1..=90.0, "deg")?;
    let is_on = row.name_ix("polarity", &["-1", "1"])? == 1;
    let second = if row.text("separation_deg")?.is_empty() { None } else { Some(second_subfield(row)?) };
    Ok(LgnUnitClass {
        name: row.text("class")?.to_string(),
        n_per_tile: row.count("n_per_tile", 1..=1000)?,
        size_range_deg: [size_min_deg, row.number("size_max_deg", size_min_deg..=90.0, "deg")?],
        polarity: if is_on { 1.0 } else { -1.0 },
        baseline_hz: row.number("baseline_hz", 0.0..=200.0, "Hz")?,
        filter: temporal_filter(row, &FILTER_COLUMNS[0])?,
        second,
    })
}

fn second_subfield(row: Row<'_>) -> Result<SecondSubfield> {
    let ms = |column| row.number(column, 1.0..=600.0, "ms");
    let hz = |column| row.number(column, 0.1..=1000.0, "Hz");
    Ok(SecondSubfield {
        filter: temporal_filter(row, &FILTER_COLUMNS[1])?,
        separation_deg: row.number("separation_deg", 0.0..=90.0, "deg")?,
        crossing_ms: [ms("dom_crossing_ms")?, ms("sec_crossing_ms")?],
        max_hz: [hz("dom_max_hz")?, hz("sec_max_hz")?],
        dominant_gain: row.number("dom_gain", 0.0..=10.0, "")?,
    })
}

fn temporal_filter(row: Row<'_>, columns: &[&str; 6]) -> Result<TemporalFilter> {
    let [w1, w2, p1, p2, d1, d2] = columns;
    let peak_1_ms = row.number(p1, 0.1..=600.0, "ms")?;
    let delay_1_ms = row.number(d1, 0.0..=600.0, "ms")?;
    Ok(TemporalFilter {
        weights: [row.number(w1, 0.0..=1000.0, "Hz")?, row.number(w2, -1000.0..=1000.0, "Hz")?],
        peaks_ms: [peak_1_ms, row.number(p2, peak_1_ms..=600.0, "ms")?],
        delays_ms: [delay_1_ms, row.number(d2, delay_1_ms..=600.0, "ms")?],
    })
}

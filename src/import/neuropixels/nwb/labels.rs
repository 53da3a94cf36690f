//! Where the units of an NWB file lie and of what cell type they are.

use std::collections::HashMap;

use super::super::layers::Layers;
use super::super::units::{beyond_area, is_good, recorded_type};
use super::file::Nwb;
use super::judged::quality;
use crate::error::Result;
use crate::loss::statistics::sorted;

pub(super) const ELECTRODES: &str = "general/extracellular_ephys/electrodes";
/// Allen's link from a unit to an electrode, by its id, and NWB's own, by rows of the table.
const PEAK: &str = "units/peak_channel_id";
const REGION: &str = "units/electrodes";
/// Waveforms shorter than this, ms from trough to peak, are those of fast-spiking cells.
const FAST_SPIKING_MS: f64 = 0.4;
/// Median waveforms of a file lie in here, ms.
const WAVEFORMS_MS: [f64; 2] = [0.05, 3.0];

/// The electrodes at the peaks of units.
pub(super) struct Places {
    /// Rows of the table of electrodes of each unit; none where the file does not say.
    pub(super) electrodes: Vec<Vec<usize>>,
    /// Location of each unit's electrode, or why it is not known; None where the file has no electrodes or does not say which.
    pub(super) locations: Option<Vec<std::result::Result<String, String>>>,
    /// Probe of each unit; None where it is not told.
    pub(super) probes: Vec<Option<String>>,
    /// All probes of the file.
    pub(super) all_probes: Vec<String>,
}

/// The places of units: by Allen's column `peak_channel_id` (an id in the table of electrodes), else by NWB's own column `electrodes` (rows
/// of that table).
pub(super) fn places(nwb: &Nwb, n_units: usize) -> Result<Places> {
    let groups = nwb.texts(&format!("{ELECTRODES}/group_name"))?;
    let mut all_probes = groups.clone().unwrap_or_default();
    all_probes.sort();
    all_probes.dedup();
    let Some(electrodes) = electrodes_of_units(nwb)? else {
        let (electrodes, probes) = (vec![Vec::new(); n_units], vec![None; n_units]);
        return Ok(Places { electrodes, locations: None, probes, all_probes });
    };
    let locations = nwb.texts(&format!("{ELECTRODES}/location"))?;
    let of_electrode =
        |column: &Option<Vec<String>>, row: usize| column.as_ref().and_then(|all| all.get(row).cloned());
    let probe = |rows: &Vec<usize>| rows.first().and_then(|row| of_electrode(&groups, *row));
    let place = |rows: &Vec<usize>| {
        let mut names: Vec<String> = rows.iter().filter_map(|row| of_electrode(&locations, *row)).collect();
        names.sort();
        names.dedup();
        match names.len() {
            0 => Err("without an electrode".to_owned()),
            1 => Ok(names.remove(0)),
            _ => Err("on electrodes of several places (a column peak_channel_id tells which)".to_owned()),
        }
    };
    let probes = electrodes.iter().map(probe).collect();
    let locations = locations.is_some().then(|| electrodes.iter().map(place).collect());
    Ok(Places { electrodes, locations, probes, all_probes })
}

/// Rows of the table of electrodes of each unit; None where the file does not say.
fn electrodes_of_units(nwb: &Nwb) -> Result<Option<Vec<Vec<usize>>>> {
    let ids_path = format!("{ELECTRODES}/id");
    let ids = if nwb.has(&ids_path)? { Some(nwb.whole_numbers(&ids_path)?) } else { None };
    match ids {
        Some(ids) if nwb.has(PEAK)? => electrodes_by_id(nwb, &ids).map(Some),
        ids => rows_of_electrodes(nwb, ids.map_or(0, |ids| ids.len())),
    }
}

/// The row of each unit's `peak_channel_id`. Ids that count anew on each probe name several rows, of which the unit's own one is taken.
fn electrodes_by_id(nwb: &Nwb, ids: &[Option<i64>]) -> Result<Vec<Vec<usize>>> {
    let mut rows_of: HashMap<i64, Vec<usize>> = HashMap::new();
    for (row, id) in ids.iter().enumerate() {
        if let Some(id) = id {
            rows_of.entry(*id).or_default().push(row);
        }
    }
    let own = match rows_of.values().any(|rows| rows.len() > 1) {
        true => rows_of_electrodes(nwb, ids.len())?,
        false => None,
    };
    let row = |(unit, id): (usize, Option<i64>)| {
        let Some(id) = id else { return Ok(Vec::new()) };
        let rows = rows_of.get(&id).map_or(&[][..], Vec::as_slice);
        let is_own =
            |row: &&usize| own.as_ref().and_then(|own| own.get(unit)).is_some_and(|own| own.contains(row));
        let own_rows: Vec<&usize> = rows.iter().filter(is_own).collect();
        match (rows, own_rows.as_slice()) {
            ([], _) => Err(format!("names electrode {id}, which is not in the table of electrodes")),
            ([row], _) => Ok(vec![*row]),
            (_, [row]) => Ok(vec![**row]),
            _ => Err(format!(
                "names electrode {id}, an id of {} electrodes; which one it is a column {REGION} with that electrode would tell",
                rows.len()
            )),
        }
    };
    let peaks = nwb.whole_numbers(PEAK)?.into_iter().enumerate();
    peaks.map(|peak| row(peak).map_err(|what| nwb.wrong(PEAK, what))).collect()
}

/// NWB's own link: rows of the table of electrodes of each unit; None where the file has none.
fn rows_of_electrodes(nwb: &Nwb, n_electrodes: usize) -> Result<Option<Vec<Vec<usize>>>> {
    if !nwb.has(REGION)? {
        return Ok(None);
    }
    let entries = nwb.whole_numbers(REGION)?;
    let row = |entry: Option<i64>| {
        let row = entry.and_then(|entry| usize::try_from(entry).ok()).filter(|row| *row < n_electrodes);
        let what = || nwb.wrong(REGION, format!("names row {entry:?} of the {n_electrodes} electrodes"));
        row.ok_or_else(what)
    };
    let rows = nwb.rows(REGION, entries.len())?.into_iter();
    rows.map(|unit| entries[unit].iter().map(|entry| row(*entry)).collect()).collect::<Result<_>>().map(Some)
}

/// Layer of a name such as `2/3`, `4` or `6a`.
pub(in super::super) fn layer_of(text: &str) -> Option<&'static str> {
    match text.trim_end_matches(['a', 'b']) {
        "2/3" => Some("L2/3"),
        "4" => Some("L4"),
        "5" => Some("L5"),
        "6" => Some("L6"),
        _ => None,
    }
}

/// The cell type of each unit, or why it is left out. What the user should know is added to `notes`.
pub(super) fn labels(
    nwb: &Nwb,
    unit_ids: &[Option<i64>],
    session_id: &str,
    places: &Places,
    location: &str,
    layers: Option<&Layers>,
    notes: &mut Vec<String>,
) -> Result<Vec<std::result::Result<&'static str, String>>> {
    let n_units = unit_ids.len();
    let cell_types = nwb.texts("units/cell_type")?;
    let quality = quality(nwb, n_units, notes)?;
    let durations = nwb.numbers_if_there("units/waveform_duration")?;
    let lengths = [
        cell_types.as_ref().map(Vec::len),
        quality.as_ref().map(Vec::len),
        durations.as_ref().map(Vec::len),
        places.locations.as_ref().map(Vec::len),
    ];
    if lengths.into_iter().flatten().any(|length| length != n_units) {
        return Err(nwb.wrong("units", format!("has columns of other lengths than its {n_units} units")));
    }
    let tells_types = cell_types.is_some() || layers.is_some_and(Layers::has_cell_types);
    if !tells_types && ((places.locations.is_none() && layers.is_none()) || durations.is_none()) {
        let what = "has neither a column cell_type nor electrodes' locations and a column waveform_duration, from which to tell cell types";
        return Err(nwb.wrong("units", what));
    }
    if !tells_types {
        refuse_other_unit_of_time(nwb, durations.as_deref().unwrap_or_default())?;
    }
    let label = |ix: usize| {
        if let Some(quality) = quality.as_ref().map(|q| &q[ix]).filter(|quality| !is_good(quality)) {
            return Err(format!("of quality '{quality}'"));
        }
        let place =
            places.locations.as_ref().map(|all| all[ix].as_deref()).transpose().map_err(Clone::clone)?;
        let rest = match place {
            Some(place) => beyond_area(place, location).ok_or_else(|| format!("in '{place}'"))?,
            None => "",
        };
        if let Some(cell_types) = &cell_types {
            return recorded_type(&cell_types[ix])
                .ok_or_else(|| format!("of cell type '{}'", cell_types[ix]));
        }
        let of_table = layers.and_then(|layers| layers.of_unit(session_id, unit_ids[ix]?));
        if let Some(cell_type) = of_table.and_then(|row| row.cell_type.as_ref()) {
            return recorded_type(cell_type).ok_or_else(|| format!("of cell type '{cell_type}'"));
        }
        let layer = of_table.and_then(|row| row.layer).or_else(|| layer_of(rest)).ok_or_else(|| {
            let of_table = layers.map_or_else(String::new, |layers| match of_table {
                Some(_) => ", nor does the table of layers".to_owned(),
                None if layers.has_session(session_id) => ", and is not in the table of layers".to_owned(),
                None => format!(", and the table of layers has no row of session '{session_id}'"),
            });
            format!("in '{}', which names no layer of 2/3 to 6{of_table}", place.unwrap_or(location))
        })?;
        let duration_ms = durations.as_ref().map_or(f64::NAN, |d| d[ix]);
        if !duration_ms.is_finite() {
            return Err("without a waveform duration".to_owned());
        }
        let class = if duration_ms < FAST_SPIKING_MS { "PV" } else { "Exc" };
        recorded_type(&format!("{layer} {class}")).ok_or_else(|| format!("in {layer}"))
    };
    Ok((0..n_units).map(label).collect())
}

/// Seconds would make all cells fast-spiking, microseconds and samples none.
fn refuse_other_unit_of_time(nwb: &Nwb, durations: &[f64]) -> Result<()> {
    let finite = sorted(&durations.iter().copied().filter(|d| d.is_finite()).collect::<Vec<f64>>());
    match finite.get(finite.len() / 2) {
        Some(median) if !(WAVEFORMS_MS[0]..=WAVEFORMS_MS[1]).contains(median) => {
            let what = format!(
                "has a median of {median}: must be in ms from trough to peak, {} to {}",
                WAVEFORMS_MS[0], WAVEFORMS_MS[1]
            );
            Err(nwb.wrong("units/waveform_duration", what))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_not_one_that_begins_alike() {
        assert_eq!(beyond_area("VISp2/3", "VISp").and_then(layer_of), Some("L2/3"));
        assert_eq!(beyond_area("VISp6a", "VISp").and_then(layer_of), Some("L6"));
        assert_eq!(beyond_area("VISp", "VISp"), Some(""));
        assert_eq!(beyond_area("VISpm4", "VISp"), None);
        assert_eq!(beyond_area("VISl4", "VISp"), None);
        assert_eq!(layer_of("1"), None);
    }
}

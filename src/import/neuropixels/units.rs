//! Recorded units, and the table of them that the published model ships.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::RECORDED_TYPES;
use crate::error::{Error, Result};
use crate::network::tables::Quantity;

/// One unit of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The session it was recorded in.
    pub session_id: String,
    /// What kind of session; sessions are split within a kind.
    pub session_type: String,
    /// One of the recorded cell types, e.g. `L4 Exc`.
    pub cell_type: &'static str,
    /// Its value of each of [`Quantity::ALL`]; None where it was not measured.
    pub values: [Option<f64>; 5],
}

/// What a file holds.
pub(super) struct Found {
    pub(super) units: Vec<Unit>,
    /// Units and presentations that were left out, by reason.
    pub(super) left_out: Vec<(String, usize)>,
    /// What else the user should know.
    pub(super) notes: Vec<String>,
    /// Its sessions and what tells their units from those of other files.
    pub(super) sessions: Vec<(String, Keys)>,
    /// Ids of the units of an NWB file.
    pub(super) unit_ids: Vec<i64>,
    /// Contrast of the gratings of an NWB file; NaN where it does not tell.
    pub(super) contrast: Option<f64>,
}

/// What tells units apart.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// Hashes of their spike trains.
    Trains(HashSet<u64>),
    /// Their ids.
    Ids(HashSet<String>),
    /// Nothing.
    Nothing,
}

/// Texts that stand for a value that was not measured.
pub(super) const MISSING: [&str; 8] = ["", "NA", "N/A", "nan", "NaN", "null", "NULL", "None"];
/// Columns that may hold the area of a unit.
const AREA_COLUMNS: [&str; 5] =
    ["structure", "location", "area", "structure_acronym", "ecephys_structure_acronym"];
/// Columns that may hold the id of a unit.
const ID_COLUMNS: [&str; 3] = ["ecephys_unit_id", "unit_id", "id"];

/// The recorded type of a name: itself, or one of this program's cell types (`L4_Exc`; ET, IT and NP are all `L5 Exc`).
pub(super) fn recorded_type(name: &str) -> Option<&'static str> {
    let spaced = name.trim().replace('_', " ");
    let spaced = match spaced.as_str() {
        "L5 ET" | "L5 IT" | "L5 NP" => "L5 Exc",
        "L1 Inh" => "L1 Htr3a",
        other => other,
    };
    RECORDED_TYPES.into_iter().find(|known| *known == spaced)
}

/// What a location says beyond the area's name: the layer, or nothing. None where it is another area, one whose name begins alike included
/// (VISpm is not VISp).
pub(super) fn beyond_area<'a>(place: &'a str, area: &str) -> Option<&'a str> {
    place.strip_prefix(area).filter(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Whether a judgement of a sorted unit lets it be used: good, or single-unit activity.
pub(super) fn is_good(quality: &str) -> bool {
    ["good", "sua"].iter().any(|good| quality.trim().eq_ignore_ascii_case(good))
}

/// Counts a unit that is left out.
pub(super) fn leave_out(left_out: &mut Vec<(String, usize)>, reason: String) {
    match left_out.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, n)) => *n += 1,
        None => left_out.push((reason, 1)),
    }
}

/// Column of each of [`Quantity::ALL`].
const COLUMNS: [&str; 5] = ["Ave_Rate(Hz)", "max_mean_rate(Hz)", "Spont_Rate(Hz)", "OSI", "DSI"];

/// What was measured of a unit: a number, or None for a text that stands for none.
fn measured(file: &Path, line: u64, texts: &[&str; 5]) -> Result<[Option<f64>; 5]> {
    let mut values = [None; 5];
    for (((value, text), name), quantity) in values.iter_mut().zip(texts).zip(COLUMNS).zip(Quantity::ALL) {
        let (largest, unit) = quantity.limit();
        if !MISSING.contains(text) {
            let number = text.parse().ok().filter(|v: &f64| (0.0..=largest).contains(v));
            *value = Some(number.ok_or_else(|| {
                let limit = format!("must be empty or from 0 to {largest} {unit}");
                Error::field(file, format!("line {line}, {name}"), text, limit.trim_end())
            })?);
        }
    }
    Ok(values)
}

/// Reads a table of units: session_id, cell_type and the measured columns are needed, an empty field or NA is a value that was not measured;
/// session_type may be missing, and so may the units' ids, areas (of which `location` is used, all without it, which is said where others than the usual one are among them) and quality
/// (`good`, `sua`).
///
/// # Errors
/// A missing column, a value that is no number or out of its range, by line.
pub(super) fn read(file: &Path, location: Option<&str>) -> Result<Found> {
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_path(file)
        .map_err(|e| Error::file(file, format!("cannot be read: {e}")))?;
    let malformed = |e: csv::Error| Error::file(file, format!("malformed CSV: {e}"));
    let header = reader.headers().map_err(malformed)?.clone();
    // Spreadsheets put a mark of UTF-8 before the first name.
    let column = |name: &str| header.iter().position(|h| h.trim_start_matches('\u{feff}') == name);
    let needed = |name: &str| {
        let listed = || header.iter().collect::<Vec<_>>().join(", ");
        column(name).ok_or_else(|| Error::file(file, format!("no column '{name}' (it has: {})", listed())))
    };
    let (session, cell_type) = (needed("session_id")?, needed("cell_type")?);
    let mut columns = [0; 5];
    for (ix, name) in columns.iter_mut().zip(COLUMNS) {
        *ix = needed(name)?;
    }
    let session_type = column("session_type");
    let id = ID_COLUMNS.into_iter().find_map(column);
    let (area, quality) = (AREA_COLUMNS.into_iter().find_map(column), column("quality"));
    if let (Some(location), None) = (location, area) {
        let reason = format!(
            "does not say where units lie, so that --location {location} cannot be obeyed (a column {})",
            AREA_COLUMNS.join(" or ")
        );
        return Err(Error::file(file, reason));
    }
    let mut areas: BTreeMap<String, usize> = BTreeMap::new();
    let (mut units, mut left_out) = (Vec::new(), Vec::new());
    let mut sessions: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = |ix: usize| record.get(ix).unwrap_or("");
        let is_new =
            sessions.entry(text(session).to_owned()).or_default().insert(id.map_or("", text).to_owned());
        if let (Some(id), false) = (id, is_new) {
            let limit = "must be that of one unit of a session";
            return Err(Error::field(file, format!("line {line}, id of a unit"), text(id), limit));
        }
        if let (Some(area), Some(location)) = (area.map(text), location)
            && beyond_area(area, location).is_none()
        {
            leave_out(&mut left_out, format!("in '{area}'"));
            continue;
        }
        if let Some(quality) = quality.map(text).filter(|quality| !is_good(quality)) {
            leave_out(&mut left_out, format!("of quality '{quality}'"));
            continue;
        }
        let Some(known) = recorded_type(text(cell_type)) else {
            leave_out(&mut left_out, format!("of cell type '{}'", text(cell_type)));
            continue;
        };
        if let Some(area) = area.map(text) {
            *areas.entry(if area.is_empty() { "none" } else { area }.to_owned()).or_default() += 1;
        }
        units.push(Unit {
            session_id: text(session).to_owned(),
            session_type: session_type.map_or("", text).to_owned(),
            cell_type: known,
            values: measured(file, line, &columns.map(text))?,
        });
    }
    let keys = |ids: HashSet<String>| if id.is_some() { Keys::Ids(ids) } else { Keys::Nothing };
    let sessions = sessions.into_iter().map(|(session, ids)| (session, keys(ids))).collect();
    let mut notes = Vec::new();
    let is_other = |area: &String| beyond_area(area, super::DEFAULT_LOCATION).is_none();
    if location.is_none() && areas.keys().any(is_other) {
        let areas: Vec<String> = areas.iter().map(|(area, n)| format!("{area} {n}")).collect();
        notes.push(format!(
            "{}: units of all areas are used ({}); --location NAME takes those of one",
            file.display(),
            areas.join(", ")
        ));
    }
    Ok(Found { units, left_out, notes, sessions, unit_ids: Vec::new(), contrast: None })
}

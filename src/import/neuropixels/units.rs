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
const MISSING: [&str; 8] = ["", "NA", "N/A", "nan", "NaN", "null", "NULL", "None"];
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

/// Counts a unit that is left out.
pub(super) fn leave_out(left_out: &mut Vec<(String, usize)>, reason: String) {
    match left_out.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, n)) => *n += 1,
        None => left_out.push((reason, 1)),
    }
}

/// Column of each of [`Quantity::ALL`].
const COLUMNS: [&str; 5] = ["Ave_Rate(Hz)", "max_mean_rate(Hz)", "Spont_Rate(Hz)", "OSI", "DSI"];

/// Reads a table of units: session_id, cell_type and the measured columns are needed, an empty field or NA is a value that was not measured;
/// session_type may be missing, and so may the units' ids.
///
/// # Errors
/// A missing column, a value that is no number or out of its range, by line.
pub(super) fn read(file: &Path) -> Result<Found> {
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_path(file)
        .map_err(|e| Error::file(file, format!("cannot be read: {e}")))?;
    let malformed = |e: csv::Error| Error::file(file, format!("malformed CSV: {e}"));
    let header = reader.headers().map_err(malformed)?.clone();
    let column = |name: &str| header.iter().position(|h| h == name);
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
        let Some(known) = recorded_type(text(cell_type)) else {
            leave_out(&mut left_out, format!("of cell type '{}'", text(cell_type)));
            continue;
        };
        let mut values = [None; 5];
        for (((value, ix), name), quantity) in values.iter_mut().zip(columns).zip(COLUMNS).zip(Quantity::ALL)
        {
            let (largest, unit) = quantity.limit();
            if !MISSING.contains(&text(ix)) {
                let number = text(ix).parse().ok().filter(|v: &f64| (0.0..=largest).contains(v));
                *value = Some(number.ok_or_else(|| {
                    let limit = format!("must be empty or from 0 to {largest} {unit}");
                    Error::field(file, format!("line {line}, {name}"), text(ix), limit.trim_end())
                })?);
            }
        }
        units.push(Unit {
            session_id: text(session).to_owned(),
            session_type: session_type.map_or("", text).to_owned(),
            cell_type: known,
            values,
        });
    }
    let keys = |ids: HashSet<String>| if id.is_some() { Keys::Ids(ids) } else { Keys::Nothing };
    let sessions = sessions.into_iter().map(|(session, ids)| (session, keys(ids))).collect();
    Ok(Found { units, left_out, notes: Vec::new(), sessions, unit_ids: Vec::new(), contrast: None })
}

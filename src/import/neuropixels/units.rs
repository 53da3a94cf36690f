//! Recorded units, and the table of them that the published model ships.

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

/// Units of a file, and how many were left out for which reason.
pub(super) type Found = (Vec<Unit>, Vec<(String, usize)>);

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

/// Reads a table of units: session_id, cell_type and the measured columns are needed, an empty field is a value that was not measured;
/// session_type may be missing.
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
    let (mut units, mut left_out) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = |ix: usize| record.get(ix).unwrap_or("");
        let Some(known) = recorded_type(text(cell_type)) else {
            leave_out(&mut left_out, format!("of cell type '{}'", text(cell_type)));
            continue;
        };
        let mut values = [None; 5];
        for (((value, ix), name), quantity) in values.iter_mut().zip(columns).zip(COLUMNS).zip(Quantity::ALL)
        {
            let (largest, unit) = quantity.limit();
            if !text(ix).is_empty() {
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
    Ok((units, left_out))
}

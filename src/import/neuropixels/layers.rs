//! A table that adds layers, or cell types, to the units of NWB files whose areas have none.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::nwb::layer_of;
use super::units::MISSING;
use crate::error::{Error, Result};

/// What the table says of a unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// E.g. `L2/3`; None where the table says none, or one without cell types here (1, white matter).
    pub(super) layer: Option<&'static str>,
    pub(super) cell_type: Option<String>,
}

/// A table of units with their layers or cell types.
#[derive(Debug)]
pub(super) struct Layers {
    /// By session, if the table has sessions, and id of the unit.
    rows: HashMap<(Option<String>, i64), Row>,
    sessions: HashSet<String>,
    has_sessions: bool,
    has_cell_types: bool,
}

/// Columns with the id of a unit, the session, the layer, the cell type: the first that is there.
const COLUMNS: [&[&str]; 4] = [
    &["unit_id", "ecephys_unit_id", "id"],
    &["session_id", "ecephys_session_id"],
    &["layer", "cortical_layer"],
    &["cell_type"],
];

impl Layers {
    /// Reads a CSV table: a unit's id and its layer (`2/3`, `L4`, `6a`) or cell type, and its session where ids are not of one unit alone.
    /// Whole numbers may be floats, as pandas writes a column that has gaps.
    ///
    /// # Errors
    /// A missing column, an id that is none or twice there, a layer that is none, by line.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let malformed = |e: csv::Error| Error::file(file, format!("malformed CSV: {e}"));
        let reader = csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_path(file);
        let mut reader = reader.map_err(|e| Error::file(file, format!("cannot be read: {e}")))?;
        let header = reader.headers().map_err(malformed)?.clone();
        // Spreadsheets put a mark of UTF-8 before the first name.
        let is = |found: &str, name: &str| found.trim_start_matches('\u{feff}') == name;
        let place = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|h| is(h, name)));
        let [id, session, layer, cell_type] = COLUMNS.map(place);
        let listed = || header.iter().collect::<Vec<_>>().join(", ");
        let missing = |what: &str| Error::file(file, format!("no column {what} (it has: {})", listed()));
        let id = id.ok_or_else(|| missing("unit_id"))?;
        if layer.or(cell_type).is_none() {
            return Err(missing("layer and none cell_type"));
        }
        let mut layers = Self {
            rows: HashMap::new(),
            sessions: HashSet::new(),
            has_sessions: session.is_some(),
            has_cell_types: cell_type.is_some(),
        };
        for record in reader.records() {
            let record = record.map_err(malformed)?;
            let line = record.position().map_or(0, csv::Position::line);
            let text = |column: usize| record.get(column).unwrap_or_default();
            let wrong = |what: &str, value: &str, limit: &str| {
                Error::field(file, format!("line {line}, {what}"), value, limit)
            };
            let id_text = whole(text(id));
            let id: i64 =
                id_text.parse().map_err(|_| wrong("id of a unit", id_text, "must be a whole number"))?;
            let name = layer.map(text).unwrap_or_default();
            let limit = "must be 0, 1, 2, 3, 2/3, 4, 5, 6 (also 6a, 6b) or WM, with or without an L before it, or empty";
            let layer = layer_named(name).ok_or_else(|| wrong("layer", name, limit))?;
            let cell_type = cell_type.map(text).filter(|name| !name.is_empty()).map(str::to_owned);
            let session = session.map(|column| whole(text(column)).to_owned());
            layers.sessions.extend(session.clone());
            let key = (session, id);
            if layers.rows.insert(key, Row { layer, cell_type }).is_some() {
                return Err(wrong(
                    "id of a unit",
                    id_text,
                    "must be that of one line; a column session_id tells units of several sessions apart",
                ));
            }
        }
        Ok(layers)
    }

    pub(super) fn has_cell_types(&self) -> bool {
        self.has_cell_types
    }

    /// What the table says of a unit, None where it is not in it.
    pub(super) fn of_unit(&self, session_id: &str, id: i64) -> Option<&Row> {
        self.rows.get(&(self.has_sessions.then(|| session_id.to_owned()), id))
    }

    /// Whether the table may have units of a session.
    pub(super) fn has_session(&self, session_id: &str) -> bool {
        !self.has_sessions || self.sessions.contains(session_id)
    }

    /// Whether ids alone tell units apart.
    pub(super) fn goes_by_id_alone(&self) -> bool {
        !self.has_sessions
    }
}

/// A whole number that was written as a float (`5.0`) without its decimals; any other text as it is.
fn whole(text: &str) -> &str {
    let digits = text.strip_suffix(".0").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    digits.filter(|digits| !digits.is_empty()).unwrap_or(text)
}

/// The layer of a name: Some(None) for none and for one without cell types here, None for a name of no layer.
fn layer_named(name: &str) -> Option<Option<&'static str>> {
    let short = whole(name.trim_start_matches(['L', 'l']).trim_start_matches("ayer").trim());
    match short {
        // 0: outside of cortex, in Allen's table of layers (`cortical_layer` of layer_info.csv).
        "0" | "1" | "WM" | "wm" => Some(None),
        // There 2 stands for 2/3; who tells the two apart names parts of it.
        "2" | "3" | "23" => Some(Some("L2/3")),
        _ if MISSING.contains(&name) => Some(None),
        _ => layer_of(short).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_many_names_and_what_is_none_is_told() {
        for (name, layer) in [
            ("2/3", Some("L2/3")),
            ("23", Some("L2/3")),
            ("2", Some("L2/3")),
            ("L3", Some("L2/3")),
            ("L4", Some("L4")),
            ("layer 5", Some("L5")),
            ("5.0", Some("L5")),
            ("6b", Some("L6")),
            ("0", None),
            ("1", None),
            ("L1", None),
            ("WM", None),
            ("", None),
            ("nan", None),
        ] {
            assert_eq!(layer_named(name), Some(layer), "{name}");
        }
        for name in ["VISp4", "CA3", "7", "4.5", "x"] {
            assert_eq!(layer_named(name), None, "{name}");
        }
        assert_eq!(["7.0", ".0", "7.00", "a.0"].map(whole), ["7", ".0", "7.00", "a.0"]);
    }
}

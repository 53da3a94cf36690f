//! Tables of node and edge types: CSV separated by spaces, one row an id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::nodes::Scalar;
use crate::error::{Error, Result};

/// Column that tells the rows of populations apart where several share a table.
const POPULATION: &str = "population";

/// Texts that stand for no value: those that pandas, which BMTK reads with, takes for none.
const NONE: [&str; 12] =
    ["", "NULL", "null", "None", "NaN", "nan", "-nan", "NA", "N/A", "n/a", "#N/A", "<NA>"];

/// Whether a text of a table, or of a file of attributes, stands for no value.
pub(super) fn is_none(text: &str) -> bool {
    NONE.contains(&text)
}

/// The rows of a table, of all populations that share it.
#[derive(Clone, Debug, Default)]
pub(super) struct TypesFile {
    file: Option<PathBuf>,
    id_column: String,
    columns: Vec<String>,
    /// Line, id and fields of each row.
    rows: Vec<(usize, u64, Vec<String>)>,
}

/// Attributes that all nodes or edges of a type share, in one population.
#[derive(Clone, Debug, Default)]
pub(super) struct TypeTable {
    /// The file; none where the circuit gives no table.
    file: Option<PathBuf>,
    columns: Vec<String>,
    rows: BTreeMap<u64, Vec<String>>,
}

impl TypesFile {
    /// Reads a table whose ids are in the column `id_column`. Without a file every id is known and has no attributes.
    pub(super) fn read(file: Option<&Path>, id_column: &str) -> Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let failed = |e: csv::Error| match e.into_kind() {
            csv::ErrorKind::Io(source) => Error::unreadable(file)(source),
            other => Error::file(file, in_words(&other)),
        };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(b' ').trim(csv::Trim::All).from_path(file).map_err(failed)?;
        let header = reader.headers().map_err(failed)?;
        let columns: Vec<String> = header.iter().map(str::to_owned).collect();
        let id_ix = columns.iter().position(|c| c == id_column).ok_or_else(|| {
            let shown = columns.join(", ");
            Error::file(file, format!("has no column '{id_column}' (separated by spaces: {shown})"))
        })?;
        let twice = (1..columns.len()).find(|ix| columns[..*ix].contains(&columns[*ix]));
        if let Some(ix) = twice {
            return Err(Error::file(file, format!("has two columns '{}'", columns[ix])));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(failed)?;
            let line = record.position().map_or(0, csv::Position::line) as usize;
            let id = record[id_ix].parse().map_err(|_| {
                let field = format!("{id_column} in line {line}");
                Error::field(file, field, &record[id_ix], "must be an integer from 0")
            })?;
            rows.push((line, id, record.iter().map(str::to_owned).collect()));
        }
        Ok(Self { file: Some(file.to_path_buf()), id_column: id_column.to_owned(), columns, rows })
    }

    /// The rows of one population of a circuit with the populations `all`: those that name it, and those that name none. A table that
    /// names one population alone, which the circuit does not have, was made under another name: its rows are for all.
    pub(super) fn of_population(&self, population: &str, all: &[String]) -> Result<TypeTable> {
        let column = self.columns.iter().position(|c| c == POPULATION);
        let named = |fields: &Vec<String>| {
            column.map(|ix| fields[ix].as_str()).filter(|name| !is_none(name)).map(str::to_owned)
        };
        let mut names: Vec<String> = self.rows.iter().filter_map(|(_, _, fields)| named(fields)).collect();
        names.sort_unstable();
        names.dedup();
        let is_renamed = names.len() == 1 && !all.contains(&names[0]);
        let mut rows = BTreeMap::new();
        for (line, id, fields) in &self.rows {
            if !is_renamed && named(fields).is_some_and(|name| name != population) {
                continue;
            }
            if rows.insert(*id, fields.clone()).is_some() {
                let field = format!("{} in line {line}", self.id_column);
                let file = self.file.as_deref().unwrap_or(Path::new(""));
                return Err(Error::field(
                    file,
                    field,
                    id,
                    format!("is there twice for population '{population}'"),
                ));
            }
        }
        Ok(TypeTable { file: self.file.clone(), columns: self.columns.clone(), rows })
    }
}

/// What is wrong with a table, without the crate's own name of it.
fn in_words(kind: &csv::ErrorKind) -> String {
    match kind {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} fields, its header {expected_len} (separated by spaces)")
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            format!("line {} is no UTF-8", pos.as_ref().map_or(0, csv::Position::line))
        }
        other => format!("is no table: {other:?}"),
    }
}

impl TypeTable {
    /// The file, or `otherwise` where there is none, for messages.
    pub(super) fn file_or<'a>(&'a self, otherwise: &'a Path) -> &'a Path {
        self.file.as_deref().unwrap_or(otherwise)
    }

    /// Names of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// Whether the table has a column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|c| c == column)
    }

    /// Refuses an id without a row.
    pub(super) fn require(&self, id: u64, used_by: &Path) -> Result<()> {
        match &self.file {
            Some(file) if !self.rows.contains_key(&id) => Err(Error::file(
                file,
                format!("has no row of the type id {id}, which {} uses", used_by.display()),
            )),
            _ => Ok(()),
        }
    }

    /// An attribute of a type, `None` where it has none.
    pub(super) fn get(&self, id: u64, column: &str) -> Option<&str> {
        let ix = self.columns.iter().position(|c| c == column)?;
        let value = self.rows.get(&id)?[ix].as_str();
        (!is_none(value)).then_some(value)
    }

    /// A number of a type as node sets compare it; truth values, as pandas writes them, are 1 and 0.
    pub(super) fn scalar(&self, id: u64, column: &str) -> Result<Option<Scalar>> {
        let Some(text) = self.get(id, column) else { return Ok(None) };
        if let Ok(integer) = text.parse() {
            return Ok(Some(Scalar::Integer(integer)));
        }
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(Scalar::Integer(1))),
            "false" => Ok(Some(Scalar::Integer(0))),
            _ => Ok(self.number(id, column)?.map(Scalar::Float)),
        }
    }

    /// A number of a type, `None` where it has none.
    pub(super) fn number(&self, id: u64, column: &str) -> Result<Option<f64>> {
        let Some(text) = self.get(id, column) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => {
                let file = self.file_or(Path::new(""));
                Err(Error::field(file, format!("{column} of type {id}"), text, "must be a number"))
            }
        }
    }
}

//! Tables of node and edge types: CSV separated by spaces, one row an id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Attributes that all nodes or edges of a type share.
#[derive(Clone, Debug, Default)]
pub(super) struct TypeTable {
    /// The file; none where the circuit gives no table.
    file: Option<PathBuf>,
    columns: Vec<String>,
    rows: BTreeMap<u64, Vec<String>>,
}

impl TypeTable {
    /// Reads a table whose ids are in the column `id_column`. Without a file every id is known and has no attributes.
    pub(super) fn read(file: Option<&Path>, id_column: &str) -> Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(b' ').trim(csv::Trim::All).from_path(file).map_err(|e| {
                match e.kind() {
                    csv::ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::NotFound => {
                        Error::file(file, "there is no such file")
                    }
                    _ => Error::file(file, e.to_string()),
                }
            })?;
        let header = reader.headers().map_err(|e| Error::file(file, e.to_string()))?;
        let columns: Vec<String> = header.iter().map(str::to_owned).collect();
        let id_ix = columns.iter().position(|c| c == id_column).ok_or_else(|| {
            let shown = columns.join(", ");
            Error::file(file, format!("has no column '{id_column}' (separated by spaces: {shown})"))
        })?;
        let mut rows = BTreeMap::new();
        for (ix, record) in reader.records().enumerate() {
            let line = ix + 2;
            let record = record.map_err(|e| Error::file(file, e.to_string()))?;
            let id = record[id_ix].parse().map_err(|_| {
                let field = format!("{id_column} in line {line}");
                Error::field(file, field, &record[id_ix], "must be an integer from 0")
            })?;
            if rows.insert(id, record.iter().map(str::to_owned).collect()).is_some() {
                return Err(Error::field(file, format!("{id_column} in line {line}"), id, "is there twice"));
            }
        }
        Ok(Self { file: Some(file.to_path_buf()), columns, rows })
    }

    /// The file, or `otherwise` where there is none, for messages.
    pub(super) fn file_or<'a>(&'a self, otherwise: &'a Path) -> &'a Path {
        self.file.as_deref().unwrap_or(otherwise)
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

    /// An attribute of a type, `None` where it has none (empty or NULL).
    pub(super) fn get(&self, id: u64, column: &str) -> Option<&str> {
        let ix = self.columns.iter().position(|c| c == column)?;
        let value = self.rows.get(&id)?[ix].as_str();
        (!value.is_empty() && value != "NULL" && value != "None").then_some(value)
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

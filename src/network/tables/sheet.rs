//! One CSV table in memory and typed access to its cells; every failure names file, line, column, value and limit.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Error, Result, shipped};

/// A folder of tables, and the bytes read from it so far.
pub(crate) struct Folder {
    /// Where the tables are.
    pub(crate) path: PathBuf,
    /// Where those of recordings ([`super::is_recorded`]) are, if not there.
    recordings: Option<PathBuf>,
    /// File names and contents in the order of reading.
    pub(crate) contents: Vec<(String, Vec<u8>)>,
}

impl Folder {
    /// A folder from which nothing has been read yet.
    pub(crate) fn new(path: &Path, recordings: Option<&Path>) -> Self {
        Self { path: path.to_path_buf(), recordings: recordings.map(Path::to_path_buf), contents: Vec::new() }
    }

    /// Reads a table that must have the named columns.
    pub(crate) fn sheet(&mut self, name: &str, columns: &[&str]) -> Result<Sheet> {
        let recordings = self.recordings.as_ref().filter(|_| super::is_recorded(name));
        let file = recordings.unwrap_or(&self.path).join(name);
        let bytes = shipped::read(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::file(&file, "missing table"),
            _ => Error::Io { file: file.clone(), source },
        })?;
        let sheet = Sheet::parse(file, &bytes, columns)?;
        self.contents.push((name.to_string(), bytes.into_owned()));
        Ok(sheet)
    }

    /// The same of one of [`super::OPTIONAL_RECORDED_TABLES`]; None where the folder of recordings has none.
    pub(crate) fn optional_sheet(&mut self, name: &str, columns: &[&str]) -> Result<Option<Sheet>> {
        match &self.recordings {
            Some(recordings) if !recordings.join(name).exists() => Ok(None),
            _ => self.sheet(name, columns).map(Some),
        }
    }
}

/// A table: its file, its column names and its rows.
pub(crate) struct Sheet {
    pub(crate) file: PathBuf,
    header: Vec<String>,
    records: Vec<(u64, csv::StringRecord)>,
}

impl Sheet {
    /// A table of these bytes, which must have the named columns.
    pub(crate) fn parse(file: PathBuf, bytes: &[u8], columns: &[&str]) -> Result<Self> {
        let malformed = |e: csv::Error| {
            // A row of the wrong length is the likely mistake; csv's own words for it name line and counts.
            Error::file(&file, format!("malformed CSV: {e}"))
        };
        let mut reader =
            csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(bytes);
        let header: Vec<String> = reader.headers().map_err(malformed)?.iter().map(String::from).collect();
        if let Some(missing) = columns.iter().find(|c| !header.iter().any(|h| h == *c)) {
            return Err(Error::file(&file, format!("no column '{missing}' (it has: {})", header.join(", "))));
        }
        let mut records = Vec::new();
        for record in reader.records() {
            let record = record.map_err(malformed)?;
            records.push((record.position().map_or(0, csv::Position::line), record));
        }
        Ok(Self { file, header, records })
    }

    /// The rows in file order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|(line, record)| Row { sheet: self, line: *line, record })
    }

    /// Fails unless the table has `n` rows.
    pub(crate) fn require_rows(&self, n: usize) -> Result<()> {
        if self.records.len() == n {
            return Ok(());
        }
        Err(Error::file(&self.file, format!("{} rows, must have {n}", self.records.len())))
    }
}

/// One row of a table.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    sheet: &'a Sheet,
    line: u64,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// The text of a column that [`Folder::sheet`] was told of.
    pub(crate) fn text(&self, column: &str) -> Result<&'a str> {
        self.sheet
            .header
            .iter()
            .position(|h| h == column)
            .and_then(|ix| self.record.get(ix))
            .ok_or_else(|| Error::file(&self.sheet.file, format!("line {}: no column '{column}'", self.line)))
    }

    /// The error for a column of this row.
    pub(crate) fn error(&self, column: &str, value: impl ToString, limit: impl Into<String>) -> Error {
        Error::field(&self.sheet.file, format!("line {}, {column}", self.line), value, limit)
    }

    /// A number within a range, in the unit named for the message (`""` for none). Not a number fails.
    pub(crate) fn number(&self, column: &str, range: RangeInclusive<f64>, unit: &str) -> Result<f64> {
        self.parse(column, range, "a number", unit)
    }

    /// A number as in [`Row::number`], or `None` where the column is empty.
    pub(crate) fn optional_number(
        &self,
        column: &str,
        range: RangeInclusive<f64>,
        unit: &str,
    ) -> Result<Option<f64>> {
        if self.text(column)?.is_empty() { Ok(None) } else { self.number(column, range, unit).map(Some) }
    }

    /// A whole number within a range.
    pub(crate) fn count(&self, column: &str, range: RangeInclusive<usize>) -> Result<usize> {
        self.parse(column, range, "a whole number", "")
    }

    /// Index of a column's text in a list of names.
    pub(crate) fn name_ix<S: AsRef<str>>(&self, column: &str, names: &[S]) -> Result<usize> {
        let text = self.text(column)?;
        names.iter().position(|n| n.as_ref() == text).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(AsRef::as_ref).take(30).collect();
            self.error(column, text, format!("must be one of {}", known.join(", ")))
        })
    }

    fn parse<T>(&self, column: &str, range: RangeInclusive<T>, kind: &str, unit: &str) -> Result<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let text = self.text(column)?;
        // A NaN lies in no range, so it fails here as well.
        text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
            let limit = format!("must be {kind} from {} to {} {unit}", range.start(), range.end());
            self.error(column, text, limit.trim_end())
        })
    }
}

//! Tables as people keep them: CSV (plain, `.gz` or `.zst`), Parquet, Feather, or a folder of such parts, a batch of rows at a time.
//! What a file is its first bytes say, not its name.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

mod arrow;
mod csv;
mod ipc;
mod pages;
mod values;

pub(super) use values::{Kind, is_missing};

use values::Values;

/// Rows of a batch.
const BATCH_ROWS: usize = 65_536;

/// A column that is wanted.
pub(super) type Wanted<'a> = (&'a str, Kind);

/// Some rows of the columns that were wanted, in that order.
pub(super) struct Sheet(Vec<Values>);

impl Sheet {
    fn new(wanted: &[Wanted<'_>]) -> Self {
        Self(wanted.iter().map(|(_, kind)| Values::new(*kind)).collect())
    }

    pub(super) fn ids(&self, column: usize) -> &[Option<u64>] {
        if let Values::Ids(values) = &self.0[column] { values } else { &[] }
    }

    pub(super) fn texts(&self, column: usize) -> &[String] {
        if let Values::Texts(values) = &self.0[column] { values } else { &[] }
    }

    pub(super) fn numbers(&self, column: usize) -> &[f64] {
        if let Values::Numbers(values) = &self.0[column] { values } else { &[] }
    }

    pub(super) fn positions(&self, column: usize) -> &[[f64; 3]] {
        if let Values::Positions(values) = &self.0[column] { values } else { &[] }
    }

    /// Whether a row has yes in a column, or the column was not wanted.
    pub(super) fn is_valid(&self, column: usize) -> impl Fn(usize) -> bool {
        let flags = match self.0.get(column) {
            Some(Values::Flags(values)) => values.as_slice(),
            _ => &[],
        };
        move |row| flags.get(row).copied().unwrap_or(true)
    }

    fn clear(&mut self) {
        self.0.iter_mut().for_each(Values::clear);
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Csv,
    GzipCsv,
    ZstdCsv,
    Parquet,
    Feather,
}

/// What a file says of its columns before its rows.
#[derive(Default)]
struct Header {
    columns: Vec<String>,
    /// pandas' attributes of the table, as JSON.
    attributes: Option<String>,
}

/// A table whose rows are still in its file or files.
pub(super) struct Table {
    file: PathBuf,
    parts: Vec<(PathBuf, Format)>,
    header: Header,
}

impl Table {
    /// Opens a file or a folder of parts.
    ///
    /// # Errors
    /// What is no table, in one sentence; two columns of one name.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let parts = parts(path)?;
        let header = header(&parts[0].0, parts[0].1)?;
        let twice = header.columns.iter().enumerate().find(|(ix, name)| header.columns[..*ix].contains(name));
        if let Some((_, name)) = twice {
            return Err(Error::file(&parts[0].0, format!("has two columns '{name}'")));
        }
        Ok(Self { file: path.to_path_buf(), parts, header })
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.header.columns.iter().any(|name| name == column)
    }

    /// The first of some names that the table has; the error names the first and what there is.
    pub(super) fn first_of<'a>(&self, names: &[&'a str]) -> Result<&'a str> {
        let found = names.iter().find(|name| self.has(name)).copied();
        found.ok_or_else(|| self.missing(names[0]))
    }

    pub(super) fn missing(&self, column: &str) -> Error {
        let columns = self.header.columns.join(", ");
        Error::file(&self.file, format!("has no column '{column}'; it has {columns}"))
    }

    /// Columns whose name ends with `end`.
    pub(super) fn columns_ending(&self, end: &str) -> Vec<&str> {
        self.header.columns.iter().map(String::as_str).filter(|name| name.ends_with(end)).collect()
    }

    /// pandas' attributes of the table, as CAVE's client sets them; None where there are none.
    pub(super) fn attributes(&self) -> Option<serde_json::Value> {
        self.header.attributes.as_ref().and_then(|text| serde_json::from_str(text).ok())
    }

    /// Reads the wanted columns and hands on batches of rows.
    ///
    /// # Errors
    /// Those of `visit`; a column that is missing or of another type, a damaged file.
    pub(super) fn for_each_batch(
        &self,
        wanted: &[Wanted<'_>],
        mut visit: impl FnMut(&Sheet) -> Result<()>,
    ) -> Result<()> {
        for (file, format) in &self.parts {
            match format {
                Format::Parquet => arrow::parquet(file, wanted, &mut visit)?,
                Format::Feather => arrow::feather(file, wanted, &mut visit)?,
                Format::Csv | Format::GzipCsv | Format::ZstdCsv => {
                    csv::read(file, *format, wanted, &mut visit)?;
                }
            }
        }
        Ok(())
    }
}

fn header(file: &Path, format: Format) -> Result<Header> {
    match format {
        Format::Parquet => arrow::parquet_header(file),
        Format::Feather => arrow::feather_header(file),
        Format::Csv | Format::GzipCsv | Format::ZstdCsv => {
            Ok(Header { columns: csv::columns(file, format)?, attributes: None })
        }
    }
}

/// Place of a wanted column among those of a part.
fn place(file: &Path, columns: &[String], wanted: &str) -> Result<usize> {
    columns
        .iter()
        .position(|name| name == wanted)
        .ok_or_else(|| Error::file(file, format!("has no column '{wanted}'; it has {}", columns.join(", "))))
}

/// The files of a table with their formats: itself, or the parts of a folder in the order of their names. Hidden files and those that
/// begin with `_` (`_SUCCESS`, `_metadata`) are no parts.
fn parts(path: &Path) -> Result<Vec<(PathBuf, Format)>> {
    if !path.is_dir() {
        return Ok(vec![(path.to_path_buf(), format_of(path)?)]);
    }
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io(path))? {
        let file = entry.map_err(Error::io(path))?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if file.is_dir() {
            let reason = format!(
                "has a folder '{name}' in it, which may stand for a column; put the parts of the table into one folder"
            );
            return Err(Error::file(path, reason));
        }
        parts.push(file);
    }
    parts.sort();
    if parts.is_empty() {
        return Err(Error::file(path, "is a folder without a part of a table"));
    }
    parts.into_iter().map(|file| Ok((file.clone(), format_of(&file)?))).collect()
}

/// First bytes of files that are no table here, and what to do about them.
const OTHERS: [(&[u8], &str); 15] = [
    (b"PARE", "is encrypted Parquet; write it without encryption"),
    (b"FEA1", "is Feather of version 1; write version 2 (pyarrow.feather.write_feather) or Parquet"),
    (b"\xff\xff\xff\xff", "is a stream of Arrow; write a Feather file or Parquet"),
    (b"PK\x03\x04", "is a ZIP archive (.zip, .xlsx, .npz); unpack it, or save the table as CSV or Parquet"),
    (b"\xd0\xcf\x11\xe0", "is an Excel sheet; save the table as CSV"),
    (b"BZh", "is compressed with bzip2; unpack it, or use gzip or zstd"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it, or use gzip or zstd"),
    (b"\x04\"M\x18", "is compressed with LZ4; unpack it, or use gzip or zstd"),
    (b"\x89HDF", "is an HDF5 file; save the table as CSV, Parquet or Feather"),
    (b"SQLite format 3", "is an SQLite database; save the table as CSV or Parquet"),
    (b"\x93NUMPY", "is a NPY array; save the table as CSV or Parquet"),
    (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text; save it as UTF-8"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself; run git lfs pull"),
    (b"ORC", "is an ORC file; save the table as CSV or Parquet"),
];

/// What the first bytes of a file say of it.
fn format_of(file: &Path) -> Result<Format> {
    let mut start = Vec::new();
    let open = File::open(file).map_err(Error::io(file))?;
    open.take(1024).read_to_end(&mut start).map_err(Error::io(file))?;
    if start.is_empty() {
        return Err(Error::file(file, "is empty"));
    }
    if let Some((_, reason)) = OTHERS.iter().find(|(bytes, _)| start.starts_with(bytes)) {
        return Err(Error::file(file, *reason));
    }
    let format = match start.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Format::Feather,
        [0x1f, 0x8b, ..] => Format::GzipCsv,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::ZstdCsv,
        _ => Format::Csv,
    };
    let by_name = file.extension().map_or_else(String::new, |e| e.to_string_lossy().to_lowercase());
    let is_named_otherwise = match by_name.as_str() {
        "parquet" | "pq" => format != Format::Parquet,
        "feather" | "arrow" | "ipc" => format != Format::Feather,
        _ => false,
    };
    if is_named_otherwise {
        return Err(Error::file(file, format!("is no {by_name} file: its first bytes are others")));
    }
    if format == Format::Csv && start.contains(&0) {
        return Err(Error::file(file, "is no table: neither CSV nor Parquet nor Feather"));
    }
    Ok(format)
}

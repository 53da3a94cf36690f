//! Columns of a CSV or Parquet table, a batch of rows at a time.

use std::fs::File;
use std::path::Path;

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use crate::error::{Error, Result};

/// Rows of a batch of CSV.
const BATCH_ROWS: usize = 65_536;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Column {
    /// Whole numbers from 0 on.
    Id,
    /// Names.
    Text,
    /// Numbers; one that is missing is NaN.
    Number,
}

/// The values of a column.
#[derive(Clone, Debug)]
enum Values {
    Ids(Vec<u64>),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

/// Some rows of the columns that were asked for, in that order.
pub(super) struct Sheet(Vec<Values>);

impl Sheet {
    fn new(columns: &[(&String, Column)]) -> Self {
        let empty = |(_, kind): &(&String, Column)| match kind {
            Column::Id => Values::Ids(Vec::new()),
            Column::Text => Values::Texts(Vec::new()),
            Column::Number => Values::Numbers(Vec::new()),
        };
        Self(columns.iter().map(empty).collect())
    }

    pub(super) fn ids(&self, column: usize) -> &[u64] {
        if let Values::Ids(values) = &self.0[column] { values } else { &[] }
    }

    pub(super) fn texts(&self, column: usize) -> &[String] {
        if let Values::Texts(values) = &self.0[column] { values } else { &[] }
    }

    pub(super) fn numbers(&self, column: usize) -> &[f64] {
        if let Values::Numbers(values) = &self.0[column] { values } else { &[] }
    }

    fn clear(&mut self) {
        for values in &mut self.0 {
            match values {
                Values::Ids(values) => values.clear(),
                Values::Texts(values) => values.clear(),
                Values::Numbers(values) => values.clear(),
            }
        }
    }
}

/// Reads the named columns of a `.parquet` file, or else of a CSV file with a header, and hands on batches of rows.
pub(super) fn for_each_batch(
    file: &Path,
    columns: &[(&String, Column)],
    visit: impl FnMut(&Sheet) -> Result<()>,
) -> Result<()> {
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
        parquet(file, columns, visit)
    } else {
        csv(file, columns, visit)
    }
}

fn missing(file: &Path, column: &str, found: &[String]) -> Error {
    Error::file(file, format!("has no column '{column}'; it has {}", found.join(", ")))
}

fn csv(
    file: &Path,
    columns: &[(&String, Column)],
    mut visit: impl FnMut(&Sheet) -> Result<()>,
) -> Result<()> {
    let open = File::open(file).map_err(Error::io(file))?;
    let mut reader = csv::Reader::from_reader(std::io::BufReader::with_capacity(1 << 20, open));
    let failed = |e: csv::Error| Error::file(file, e.to_string());
    let header: Vec<String> = reader.headers().map_err(failed)?.iter().map(str::to_owned).collect();
    let place = |(name, _): &(&String, Column)| {
        header.iter().position(|h| h == *name).ok_or_else(|| missing(file, name, &header))
    };
    let places: Vec<usize> = columns.iter().map(place).collect::<Result<_>>()?;
    let mut sheet = Sheet::new(columns);
    let mut record = csv::StringRecord::new();
    let mut n_rows = 0;
    while reader.read_record(&mut record).map_err(failed)? {
        for ((place, values), (name, _)) in places.iter().zip(&mut sheet.0).zip(columns) {
            let text = record[*place].trim();
            let wrong = |what: &str| {
                let line = record.position().map_or(0, csv::Position::line);
                Error::file(file, format!("line {line}, column '{name}': '{text}' is not {what}"))
            };
            match values {
                Values::Ids(ids) => ids.push(text.parse().map_err(|_| wrong("a whole number from 0 on"))?),
                Values::Texts(texts) => texts.push(text.to_owned()),
                Values::Numbers(numbers) if text.is_empty() => numbers.push(f64::NAN),
                Values::Numbers(numbers) => numbers.push(text.parse().map_err(|_| wrong("a number"))?),
            }
        }
        n_rows += 1;
        if n_rows % BATCH_ROWS == 0 {
            visit(&sheet)?;
            sheet.clear();
        }
    }
    visit(&sheet)
}

fn parquet(
    file: &Path,
    columns: &[(&String, Column)],
    mut visit: impl FnMut(&Sheet) -> Result<()>,
) -> Result<()> {
    let open = File::open(file).map_err(Error::io(file))?;
    let failed = |e: parquet::errors::ParquetError| Error::file(file, e.to_string());
    let reader = SerializedFileReader::new(open).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
    let place = |(name, _): &(&String, Column)| {
        names.iter().position(|n| n == *name).ok_or_else(|| missing(file, name, &names))
    };
    let places: Vec<usize> = columns.iter().map(place).collect::<Result<_>>()?;
    for group in 0..reader.num_row_groups() {
        let rows = reader.get_row_group(group).map_err(failed)?;
        let mut sheet = Sheet::new(columns);
        for ((place, values), (name, _)) in places.iter().zip(&mut sheet.0).zip(columns) {
            let kind = schema.column(*place).physical_type();
            read_column(rows.as_ref(), *place, kind, values).map_err(|reason| {
                Error::file(file, format!("row group {group}, column '{name}': {reason}"))
            })?;
        }
        visit(&sheet)?;
    }
    Ok(())
}

/// Reads a column of a row group; what is wrong with it.
fn read_column(
    rows: &dyn RowGroupReader,
    place: usize,
    kind: Type,
    values: &mut Values,
) -> std::result::Result<(), String> {
    let n = rows.metadata().num_rows() as usize;
    let reader = rows.get_column_reader(place).map_err(|e| e.to_string())?;
    let id = |value: Option<i64>| match value {
        // Ids are unsigned; those above 2^63 are stored as negative numbers.
        Some(value) => Ok(value as u64),
        None => Err("an id is missing".to_owned()),
    };
    match (values, reader) {
        (Values::Ids(ids), ColumnReader::Int64ColumnReader(reader)) => {
            *ids = optional::<Int64Type>(reader, n)?
                .into_iter()
                .map(id)
                .collect::<std::result::Result<_, _>>()?;
        }
        (Values::Ids(ids), ColumnReader::Int32ColumnReader(reader)) => {
            let wide = |value: Option<i32>| id(value.map(|v| i64::from(v as u32)));
            *ids = optional::<Int32Type>(reader, n)?
                .into_iter()
                .map(wide)
                .collect::<std::result::Result<_, _>>()?;
        }
        (Values::Numbers(numbers), ColumnReader::DoubleColumnReader(reader)) => {
            *numbers =
                optional::<DoubleType>(reader, n)?.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect();
        }
        (Values::Numbers(numbers), ColumnReader::FloatColumnReader(reader)) => {
            let wide = |v: Option<f32>| v.map_or(f64::NAN, f64::from);
            *numbers = optional::<FloatType>(reader, n)?.into_iter().map(wide).collect();
        }
        (Values::Numbers(numbers), ColumnReader::Int64ColumnReader(reader)) => {
            let wide = |v: Option<i64>| v.map_or(f64::NAN, |v| v as f64);
            *numbers = optional::<Int64Type>(reader, n)?.into_iter().map(wide).collect();
        }
        (Values::Numbers(numbers), ColumnReader::Int32ColumnReader(reader)) => {
            let wide = |v: Option<i32>| v.map_or(f64::NAN, f64::from);
            *numbers = optional::<Int32Type>(reader, n)?.into_iter().map(wide).collect();
        }
        (Values::Texts(texts), ColumnReader::ByteArrayColumnReader(reader)) => {
            let text = |v: Option<parquet::data_type::ByteArray>| {
                v.map_or(String::new(), |v| String::from_utf8_lossy(v.data()).into_owned())
            };
            *texts = optional::<ByteArrayType>(reader, n)?.into_iter().map(text).collect();
        }
        (wanted, _) => {
            let wanted = match wanted {
                Values::Ids(_) => "whole numbers",
                Values::Texts(_) => "text",
                Values::Numbers(_) => "numbers",
            };
            return Err(format!("is of type {kind}, needs {wanted}"));
        }
    }
    Ok(())
}

/// All values of a column, None for nulls.
fn optional<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    n: usize,
) -> std::result::Result<Vec<Option<T::T>>, String> {
    let (mut values, mut levels) = (Vec::with_capacity(n), Vec::with_capacity(n));
    while values.len() < n || levels.len() < n {
        let left = n - levels.len().max(if levels.is_empty() { values.len() } else { 0 });
        let (n_records, ..) =
            reader.read_records(left, Some(&mut levels), None, &mut values).map_err(|e| e.to_string())?;
        if n_records == 0 {
            break;
        }
    }
    // A column that cannot be null has no levels.
    if levels.is_empty() {
        return Ok(values.into_iter().map(Some).collect());
    }
    let most = levels.iter().copied().max().unwrap_or(0).max(1);
    let mut values = values.into_iter();
    Ok(levels.into_iter().map(|level| if level == most { values.next() } else { None }).collect())
}

//! Parquet and Feather (Arrow's files) as batches of Arrow arrays.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::{BATCH_ROWS, Header, Sheet, Wanted, ipc, pages, place};
use crate::error::{Error, Result, catch_panics};

/// Key under which pandas keeps the attributes of a table.
const PANDAS_ATTRIBUTES: &str = "PANDAS_ATTRS";

type Builder = ParquetRecordBatchReaderBuilder<File>;
type Visit<'a> = &'a mut dyn FnMut(&Sheet) -> Result<()>;

pub(super) fn parquet_header(file: &Path) -> Result<Header> {
    let builder = open_parquet(file)?;
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let attributes =
        metadata.and_then(|all| all.iter().find(|entry| entry.key == PANDAS_ATTRIBUTES)?.value.clone());
    Ok(Header { columns: names(builder.schema()), attributes })
}

pub(super) fn parquet(file: &Path, wanted: &[Wanted<'_>], visit: Visit<'_>) -> Result<()> {
    let builder = open_parquet(file)?;
    let columns = places(file, builder.schema(), wanted)?;
    pages::check(file, builder.metadata(), &columns)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
    let mut reader = catch_panics(file, || builder.build().map_err(|e| Error::file(file, e.to_string())))?;
    hand_on(file, wanted, &mut reader, visit)
}

fn open_parquet(file: &Path) -> Result<Builder> {
    let open = File::open(file).map_err(Error::io(file))?;
    // The schema that a writer of Arrow adds says nothing that matters here and would be one more thing to be wrong.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    catch_panics(file, || {
        Builder::try_new_with_options(open, options).map_err(|e| Error::file(file, e.to_string()))
    })
}

pub(super) fn feather_header(file: &Path) -> Result<Header> {
    let schema = open_feather(file, None)?.schema();
    let attributes = schema.metadata().get(PANDAS_ATTRIBUTES).cloned();
    Ok(Header { columns: names(&schema), attributes })
}

pub(super) fn feather(file: &Path, wanted: &[Wanted<'_>], visit: Visit<'_>) -> Result<()> {
    let mut columns = places(file, &open_feather(file, None)?.schema(), wanted)?;
    columns.sort_unstable();
    columns.dedup();
    let mut reader = open_feather(file, Some(columns))?;
    hand_on(file, wanted, &mut reader, visit)
}

fn open_feather(file: &Path, columns: Option<Vec<usize>>) -> Result<FileReader<File>> {
    let open = File::open(file).map_err(Error::io(file))?;
    catch_panics(file, || {
        ipc::check(file)?;
        FileReader::try_new(open, columns).map_err(|e| Error::file(file, e.to_string()))
    })
}

fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn places(file: &Path, schema: &Schema, wanted: &[Wanted<'_>]) -> Result<Vec<usize>> {
    let columns = names(schema);
    wanted.iter().map(|(name, _)| place(file, &columns, name)).collect()
}

/// Hands on every batch of a reader.
fn hand_on(
    file: &Path,
    wanted: &[Wanted<'_>],
    batches: &mut dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>,
    visit: Visit<'_>,
) -> Result<()> {
    let mut first_row = 0;
    let mut sheet = Sheet::new(wanted);
    loop {
        let next = catch_panics(file, || {
            batches.next().transpose().map_err(|e| Error::file(file, format!("from row {first_row} on: {e}")))
        })?;
        let Some(batch) = next else { return Ok(()) };
        sheet.clear();
        for ((name, _), values) in wanted.iter().zip(&mut sheet.0) {
            let array = batch.column_by_name(name);
            let array = array.ok_or_else(|| Error::file(file, format!("has no column '{name}'")))?;
            catch_panics(file, || {
                values.extend(array.as_ref()).map_err(|(row, reason)| {
                    let at = row.map_or_else(String::new, |row| format!("row {}, ", first_row + row));
                    Error::file(file, format!("{at}column '{name}': {reason}"))
                })
            })?;
        }
        first_row += batch.num_rows();
        visit(&sheet)?;
    }
}

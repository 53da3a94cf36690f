//! CSV with a header, plain or compressed; between its columns are commas, or tabulators or semicolons if its first line has no comma.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::{BATCH_ROWS, Format, Sheet, Wanted, place};
use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;

type Reader = ::csv::Reader<BufReader<Box<dyn Read>>>;

pub(super) fn columns(file: &Path, format: Format) -> Result<Vec<String>> {
    Ok(open(file, format)?.1)
}

pub(super) fn read(
    file: &Path,
    format: Format,
    wanted: &[Wanted<'_>],
    visit: &mut dyn FnMut(&Sheet) -> Result<()>,
) -> Result<()> {
    let (mut reader, columns) = open(file, format)?;
    let places: Vec<usize> =
        wanted.iter().map(|(name, _)| place(file, &columns, name)).collect::<Result<_>>()?;
    let mut sheet = Sheet::new(wanted);
    let mut record = ::csv::StringRecord::new();
    let mut n_rows = 0;
    while reader.read_record(&mut record).map_err(|e| malformed(file, &e))? {
        for ((place, values), (name, _)) in places.iter().zip(&mut sheet.0).zip(wanted) {
            values.push(record.get(*place).unwrap_or_default()).map_err(|reason| {
                let line = record.position().map_or(0, ::csv::Position::line);
                Error::file(file, format!("line {line}, column '{name}': {reason}"))
            })?;
        }
        n_rows += 1;
        if n_rows % BATCH_ROWS == 0 {
            visit(&sheet)?;
            sheet.clear();
        }
    }
    visit(&sheet)
}

/// A reader behind the header, and the columns' names.
fn open(file: &Path, format: Format) -> Result<(Reader, Vec<String>)> {
    let open = BufReader::with_capacity(BUFFER_BYTES, File::open(file).map_err(Error::io(file))?);
    let bytes: Box<dyn Read> = match format {
        Format::GzipCsv => Box::new(flate2::bufread::MultiGzDecoder::new(open)),
        Format::ZstdCsv => Box::new(zstd::stream::read::Decoder::with_buffer(open).map_err(Error::io(file))?),
        _ => Box::new(open),
    };
    let mut bytes = BufReader::with_capacity(BUFFER_BYTES, bytes);
    let damaged = |e: std::io::Error| Error::file(file, format!("is damaged: {e}"));
    let start = bytes.fill_buf().map_err(damaged)?;
    let is_marked = start.starts_with(b"\xef\xbb\xbf");
    let first_line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let delimiter = *[b',', b'\t', b';'].iter().find(|d| first_line.contains(d)).unwrap_or(&b',');
    if is_marked {
        bytes.consume(3);
    }
    let mut reader = ::csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes);
    let header = reader.headers().map_err(|e| malformed(file, &e))?;
    let columns = header.iter().map(|name| name.trim().to_owned()).collect();
    Ok((reader, columns))
}

fn malformed(file: &Path, error: &::csv::Error) -> Error {
    match error.kind() {
        ::csv::ErrorKind::Io(e) => Error::file(file, format!("is damaged: {e}")),
        _ => Error::file(file, format!("malformed CSV: {error}")),
    }
}

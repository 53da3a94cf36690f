//! What a Parquet file declares of its columns' pages, checked against the file before anything is made of it: a page of a few bytes
//! may declare gibibytes, a footer more rows than the file has bits.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use crate::error::{Error, Result};

/// A page may take so many bytes whatever it is made from.
pub(super) const FREE_BYTES: u64 = 64 << 20;
/// Beyond, so many for each of its bytes in the file: the most that deflate can do.
pub(super) const MOST_GROWTH: u64 = 1032;
/// No table has more rows than its file has bits.
pub(super) const MOST_ROWS_A_BYTE: u64 = 8;
/// Bytes that a page's header may take.
const HEADER_BYTES: u64 = 1 << 16;
/// Structures within structures of a page's header.
const MOST_LEVELS: u32 = 16;

/// Checks the pages of the given top-level columns.
///
/// # Errors
/// A codec that is not read, a chunk beyond the file, a page that declares more than its bytes can hold.
pub(super) fn check(file: &Path, metadata: &ParquetMetaData, columns: &[usize]) -> Result<()> {
    let mut open = File::open(file).map_err(Error::io(file))?;
    let file_bytes = open.metadata().map_err(Error::io(file))?.len();
    let schema = metadata.file_metadata().schema_descr_ptr();
    let mut n_rows = 0_u64;
    for (group_ix, group) in metadata.row_groups().iter().enumerate() {
        let damaged =
            |reason: String| Error::file(file, format!("is damaged: row group {group_ix} {reason}"));
        let rows = u64::try_from(group.num_rows()).ok().and_then(|rows| n_rows.checked_add(rows));
        n_rows = rows.filter(|n| *n <= MOST_ROWS_A_BYTE.saturating_mul(file_bytes)).ok_or_else(|| {
            damaged(format!("declares {} rows, in a file of {file_bytes} bytes", group.num_rows()))
        })?;
        for (leaf, chunk) in group.columns().iter().enumerate() {
            if leaf >= schema.num_columns() || !columns.contains(&schema.get_column_root_idx(leaf)) {
                continue;
            }
            let name = chunk.column_path().string();
            refuse_codec(file, &name, chunk.compression())?;
            check_chunk(&mut open, file_bytes, chunk)
                .map_err(|reason| damaged(format!("column '{name}': {reason}")))?;
        }
    }
    Ok(())
}

fn refuse_codec(file: &Path, column: &str, codec: Compression) -> Result<()> {
    match codec {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::ZSTD(_)
        | Compression::LZ4
        | Compression::LZ4_RAW => Ok(()),
        other => {
            let codec = format!("{other:?}");
            let codec = codec.split('(').next().unwrap_or_default();
            let reason = format!(
                "column '{column}' is compressed with {codec}, which is not read; write the table with zstd or snappy"
            );
            Err(Error::file(file, reason))
        }
    }
}

/// Walks the headers of a column's pages in a row group; what is wrong with them.
fn check_chunk(
    open: &mut File,
    file_bytes: u64,
    chunk: &ColumnChunkMetaData,
) -> std::result::Result<(), String> {
    let of_dictionary = chunk.dictionary_page_offset().filter(|at| *at > 0);
    let start = of_dictionary.unwrap_or(chunk.data_page_offset()).min(chunk.data_page_offset());
    let [Ok(start), Ok(length), Ok(n_values)] =
        [start, chunk.compressed_size(), chunk.num_values()].map(u64::try_from)
    else {
        return Err("has a negative place or size".to_owned());
    };
    if n_values > MOST_ROWS_A_BYTE.saturating_mul(file_bytes) {
        return Err(format!("declares {n_values} values, in a file of {file_bytes} bytes"));
    }
    let end = start.checked_add(length).filter(|end| *end <= file_bytes);
    let end = end.ok_or_else(|| format!("bytes {start} to {start} + {length} are not in the file"))?;
    let (mut at, mut found) = (start, 0_u64);
    while at < end && found < n_values {
        let header = page_header(open, at, end)?;
        let most = FREE_BYTES.max(MOST_GROWTH.saturating_mul(header.compressed));
        if header.uncompressed > most {
            return Err(format!(
                "the page at byte {at} declares {} bytes, made from {}",
                header.uncompressed, header.compressed
            ));
        }
        if header.n_values > n_values {
            return Err(format!("the page at byte {at} declares {} values of {n_values}", header.n_values));
        }
        found += if header.is_dictionary { 0 } else { header.n_values };
        at = at.saturating_add(header.bytes).saturating_add(header.compressed);
        if at > end {
            return Err(format!("a page ends at byte {at}, the column at {end}"));
        }
    }
    Ok(())
}

/// What the header of a page declares.
#[derive(Debug, Default, PartialEq)]
struct PageHeader {
    /// Bytes of the header itself.
    bytes: u64,
    uncompressed: u64,
    compressed: u64,
    n_values: u64,
    is_dictionary: bool,
}

fn page_header(open: &mut File, at: u64, end: u64) -> std::result::Result<PageHeader, String> {
    let mut bytes = Vec::new();
    let read = open
        .seek(SeekFrom::Start(at))
        .and_then(|_| open.take(HEADER_BYTES.min(end - at)).read_to_end(&mut bytes));
    read.map_err(|e| e.to_string())?;
    parse(&bytes).ok_or_else(|| format!("the page at byte {at} has no header"))
}

/// Bytes in Thrift's compact protocol.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The header of a page (`PageHeader` of parquet.thrift); None where it is none.
fn parse(bytes: &[u8]) -> Option<PageHeader> {
    let mut thrift = Thrift { bytes, at: 0 };
    let mut header = PageHeader::default();
    let mut sizes = [None; 2];
    let mut field = 0;
    while let Some(kind) = thrift.next_field(&mut field)? {
        match (field, kind) {
            (2 | 3, 5) => sizes[field as usize - 2] = u64::try_from(thrift.number()?).ok(),
            (5 | 7 | 8, 12) => {
                header.is_dictionary = field == 7;
                header.n_values = thrift.first_number()?;
            }
            (_, kind) => thrift.skip(kind, 0)?,
        }
    }
    let [Some(uncompressed), Some(compressed)] = sizes else { return None };
    Some(PageHeader { bytes: thrift.at as u64, uncompressed, compressed, ..header })
}

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<i64> {
        self.varint().map(|v| (v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// Goes to the next field of a structure, whose number it sets: its type, or None within Some at the structure's end.
    fn next_field(&mut self, field: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *field = match byte >> 4 {
            0 => self.number()?,
            step => field.checked_add(i64::from(step))?,
        };
        Some(Some(byte & 0xf))
    }

    /// The first field of a structure, a number from 0 on; the others are passed over.
    fn first_number(&mut self) -> Option<u64> {
        let (mut field, mut found) = (0, None);
        while let Some(kind) = self.next_field(&mut field)? {
            match (field, kind) {
                (1, 5) => found = u64::try_from(self.number()?).ok(),
                _ => self.skip(kind, 1)?,
            }
        }
        found
    }

    fn skip(&mut self, kind: u8, level: u32) -> Option<()> {
        if level > MOST_LEVELS {
            return None;
        }
        match kind {
            1 | 2 => {}
            3 => self.at += 1,
            4..=6 => drop(self.varint()?),
            7 => self.at += 8,
            8 => {
                let n = usize::try_from(self.varint()?).ok()?;
                self.at = self.at.checked_add(n)?;
            }
            9 | 10 => {
                let byte = self.byte()?;
                let n = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
                // The elements are in the header, so there are no more of them than it has bytes.
                for _ in 0..n.min(HEADER_BYTES) {
                    self.skip(byte & 0xf, level + 1)?;
                }
            }
            12 => {
                let mut field = 0;
                while let Some(kind) = self.next_field(&mut field)? {
                    self.skip(kind, level + 1)?;
                }
            }
            _ => return None,
        }
        (self.at <= self.bytes.len()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_parquet_thrift_has_it() {
        // type: DATA_PAGE, sizes 100 and 60, data_page_header (num_values 25, encodings PLAIN, RLE, RLE, statistics with a text).
        let bytes = [
            0x15, 0x00, 0x15, 0xc8, 0x01, 0x15, 0x78, 0x2c, 0x15, 0x32, 0x15, 0x00, 0x15, 0x06, 0x15, 0x06,
            0x1c, 0x18, 0x02, b'h', b'i', 0x00, 0x00, 0x00,
        ];
        let header = parse(&bytes).unwrap();
        let expected = PageHeader {
            bytes: bytes.len() as u64,
            uncompressed: 100,
            compressed: 60,
            n_values: 25,
            is_dictionary: false,
        };
        assert_eq!(header, expected);
        for n in 0..bytes.len() {
            assert_eq!(parse(&bytes[..n]), None, "{n} bytes");
        }
        // A structure in a structure, without end.
        assert_eq!(parse(&[0x1c; 4000]), None);
        assert_eq!(parse(&[0x15, 0x00, 0x15, 0x01, 0x15, 0x02, 0x00]), None, "a negative size");
    }
}

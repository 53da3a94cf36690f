//! What a Feather file declares of its blocks, checked against the file before anything is made of it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use arrow_ipc::{Block, RecordBatch, root_as_footer, root_as_message};

use super::pages::{FREE_BYTES, MOST_GROWTH, MOST_ROWS_A_BYTE};
use crate::error::{Error, Result};

/// Bytes after the footer: its length and the mark of the format.
const TAIL_BYTES: u64 = 10;

/// Checks that footer, blocks and compressed buffers are no larger than the file lets them be.
///
/// # Errors
/// What is damaged, in one sentence.
pub(super) fn check(file: &Path) -> Result<()> {
    let open = File::open(file).map_err(Error::io(file))?;
    check_blocks(open).map_err(|reason| Error::file(file, format!("is damaged: {reason}")))
}

fn check_blocks(mut open: File) -> std::result::Result<(), String> {
    let file_bytes = open.metadata().map_err(|e| e.to_string())?.len();
    let tail_at = file_bytes.checked_sub(TAIL_BYTES).ok_or("is too short for a Feather file")?;
    let tail = bytes(&mut open, tail_at, TAIL_BYTES)?;
    let footer_bytes = i32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    let footer_at = u64::try_from(footer_bytes).ok().and_then(|n| tail_at.checked_sub(n));
    let footer_at = footer_at.filter(|_| tail.ends_with(b"ARROW1")).ok_or("it has no footer")?;
    let footer = bytes(&mut open, footer_at, tail_at - footer_at)?;
    let footer = root_as_footer(&footer).map_err(|e| format!("its footer: {e}"))?;
    let mut n_rows = 0_u64;
    let blocks =
        footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    for (ix, block) in blocks.enumerate() {
        let rows =
            check_block(&mut open, footer_at, block).map_err(|reason| format!("block {ix}: {reason}"))?;
        n_rows = n_rows.saturating_add(rows);
        if n_rows > MOST_ROWS_A_BYTE.saturating_mul(file_bytes) {
            return Err(format!("block {ix} declares {rows} rows, in a file of {file_bytes} bytes"));
        }
    }
    Ok(())
}

/// Checks a block, which must end before `end`; the rows that it declares.
fn check_block(open: &mut File, end: u64, block: &Block) -> std::result::Result<u64, String> {
    let [Ok(at), Ok(meta_bytes), Ok(body_bytes)] =
        [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()].map(u64::try_from)
    else {
        return Err("has a negative place or size".to_owned());
    };
    let body_at = at.checked_add(meta_bytes);
    let is_inside =
        body_at.and_then(|at| at.checked_add(body_bytes)).is_some_and(|block_end| block_end <= end);
    if !is_inside {
        return Err(format!("bytes {at} to {at} + {meta_bytes} + {body_bytes} are not in the file"));
    }
    let meta = bytes(open, at, meta_bytes)?;
    // Since version 0.15 the length of a message comes after four bytes of ones.
    let message = if meta.starts_with(&[0xff; 4]) { meta.get(8..) } else { meta.get(4..) };
    let message = root_as_message(message.unwrap_or_default()).map_err(|e| format!("its message: {e}"))?;
    let batch = message
        .header_as_record_batch()
        .or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
    let Some(batch) = batch else { return Err("is no batch of rows".to_owned()) };
    check_buffers(open, at + meta_bytes, body_bytes, &batch)?;
    u64::try_from(batch.length()).map_err(|_| "has a negative number of rows".to_owned())
}

fn check_buffers(
    open: &mut File,
    body_at: u64,
    body_bytes: u64,
    batch: &RecordBatch<'_>,
) -> std::result::Result<(), String> {
    for buffer in batch.buffers().into_iter().flatten() {
        let place = [buffer.offset(), buffer.length()].map(u64::try_from);
        let [Ok(at), Ok(length)] = place else { return Err("has a negative buffer".to_owned()) };
        if at.checked_add(length).is_none_or(|end| end > body_bytes) {
            return Err(format!("has a buffer of bytes {at} to {at} + {length} of {body_bytes}"));
        }
        if batch.compression().is_none() || length < 8 {
            continue;
        }
        let head = bytes(open, body_at + at, 8)?;
        let declared = head.try_into().map(i64::from_le_bytes).unwrap_or(-1);
        let most = FREE_BYTES.max(MOST_GROWTH.saturating_mul(length));
        // -1: not compressed after all.
        if declared != -1 && u64::try_from(declared).map_or(true, |n| n > most) {
            return Err(format!("has a buffer that declares {declared} bytes, made from {length}"));
        }
    }
    Ok(())
}

/// `n` bytes from `at` on, which are in the file.
fn bytes(open: &mut File, at: u64, n: u64) -> std::result::Result<Vec<u8>, String> {
    let mut found = Vec::new();
    let read = open.seek(SeekFrom::Start(at)).and_then(|_| open.take(n).read_to_end(&mut found));
    read.map_err(|e| e.to_string())?;
    if found.len() as u64 == n { Ok(found) } else { Err("ends too early".to_owned()) }
}

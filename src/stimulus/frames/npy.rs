//! NPY arrays as images and movies. What a header declares is compared with the file before it is believed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use npyz::{DType, Deserialize, NpyFile, NpyReader, Order};

use super::{Footage, Frame, OPAQUE};
use crate::error::{catch_panics, clipped};
use crate::{Error, Result};

/// Bytes of the longest header: numpy's own limit is 10,000 characters.
const MOST_HEADER_BYTES: u64 = 1 << 16;
/// Brackets within brackets of a header; an array of numbers has one pair around the shape and one around all, one of records four.
const MOST_BRACKETS: usize = 6;
/// Types of numbers of which it is known what is white.
const TYPES: [&str; 5] = ["u1", "b1", "f2", "f4", "f8"];
/// Shares of red, green and blue in luma (ITU-R BT.709), as for PNG.
const LUMA: [f64; 3] = [0.2126, 0.7152, 0.0722];

type Reader = BufReader<File>;

/// What the axes of an array are.
pub(super) struct Layout {
    /// None: an image.
    pub(super) n_frames: Option<u64>,
    /// Height and width.
    pub(super) size: [u64; 2],
    /// 1, 3 or 4.
    pub(super) n_channels: usize,
    /// Whether a movie of narrow frames has the same shape: `[height, width, 1]`, 3 or 4 in place of 1.
    pub(super) may_be_movie: bool,
}

/// The axes of the array in a file.
pub(super) fn layout(path: &Path) -> Result<Layout> {
    let npy = open(path)?;
    let channels = |n: u64| [1, 3, 4].contains(&n).then_some(n as usize);
    let layout = match *npy.shape() {
        [rows, columns] => (None, [rows, columns], Some(1)),
        // Few pictures are so narrow: these are channels.
        [rows, columns, n] if channels(n).is_some() => (None, [rows, columns], channels(n)),
        [n_frames, rows, columns] => (Some(n_frames), [rows, columns], Some(1)),
        [n_frames, rows, columns, n] => (Some(n_frames), [rows, columns], channels(n)),
        _ => (None, [0; 2], None),
    };
    if let (n_frames, size, Some(n_channels)) = layout {
        let may_be_movie = n_frames.is_none() && npy.shape().len() == 3;
        return Ok(Layout { n_frames, size, n_channels, may_be_movie });
    }
    let advice = match *npy.shape() {
        [_, n, ..] if npy.shape().len() == 4 && channels(n).is_some() => {
            "; channels come last, which numpy.moveaxis(a, 1, -1) does"
        }
        _ => "",
    };
    let reason = format!(
        "has the shape {:?}; an image is [height, width], a movie [n_frames, height, width], each with 1, 3 or 4 channels as a further last dimension if need be{advice}",
        npy.shape()
    );
    Err(Error::file(path, reason))
}

/// Whether the numbers are of a type whose white is known, and as many as the header declares.
pub(super) fn check_numbers(path: &Path) -> Result<()> {
    let npy = open(path)?;
    let DType::Plain(kind) = npy.dtype() else {
        return Err(Error::file(path, "is an array of records; must be one of numbers"));
    };
    let name = npy.dtype().descr();
    if !TYPES.contains(&name.trim_matches('\'').trim_start_matches(['<', '>', '|', '='])) {
        return Err(of_other_type(path, &name));
    }
    let item_bytes = kind.num_bytes().unwrap_or(0) as u64;
    let declared = npy.shape().iter().try_fold(item_bytes, |bytes, n| bytes.checked_mul(*n));
    let frame_bytes = match npy.shape() {
        [n, ..] => declared.map_or(0, |bytes| bytes / (*n).max(1)),
        [] => 0,
    };
    let mut data = npy.into_inner();
    let at = data.stream_position().map_err(Error::io(path))?;
    let there = data.get_ref().metadata().map_err(Error::io(path))?.len().saturating_sub(at);
    match declared {
        Some(declared) if declared == there => Ok(()),
        Some(declared) if declared < there => {
            let reason = format!("has {there} bytes of numbers, its header declares {declared}");
            Err(Error::file(path, reason))
        }
        _ => {
            let frame_ix = there.checked_div(frame_bytes).unwrap_or(0);
            let needed = declared.map_or_else(|| "more".to_owned(), |n| n.to_string());
            let reason = format!(
                "ends within frame {frame_ix}: it has {there} bytes of numbers, its header declares {needed}"
            );
            Err(Error::file(path, reason))
        }
    }
}

/// Opens an array whose header is no longer and no deeper than it should be: each bracket within brackets doubles the time of its parser.
fn open(path: &Path) -> Result<NpyFile<Reader>> {
    let none = |reason: String| Error::file(path, format!("is no NPY array: {reason}"));
    let mut start = Vec::new();
    let open = File::open(path).map_err(Error::io(path))?;
    open.take(MOST_HEADER_BYTES + 12).read_to_end(&mut start).map_err(Error::io(path))?;
    let (text_at, declared): (usize, u64) = match start.as_slice() {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => (10, u64::from(u16::from_le_bytes([*a, *b]))),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            (12, u64::from(u32::from_le_bytes([*a, *b, *c, *d])))
        }
        _ => return Err(none("its first bytes are others".to_owned())),
    };
    let header = usize::try_from(declared).ok().and_then(|n| start.get(text_at..text_at.checked_add(n)?));
    let header = header.ok_or_else(|| {
        none(format!(
            "its header declares {declared} bytes, which are not there or more than {MOST_HEADER_BYTES}"
        ))
    })?;
    let mut depth = 0_usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_BRACKETS {
            return Err(none(format!("its header has more than {MOST_BRACKETS} brackets within brackets")));
        }
    }
    let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let npy = catch_panics(path, || NpyFile::new(file).map_err(|e| none(clipped(&e.to_string()))))?;
    if npy.header().order() == Order::Fortran && npy.shape().len() > 1 {
        return Err(Error::file(path, "is in Fortran order; save numpy.ascontiguousarray of it"));
    }
    Ok(npy)
}

pub(super) fn for_each_frame(
    footage: &Footage,
    n_channels: usize,
    each: &mut dyn FnMut(&Frame) -> Result<()>,
) -> Result<()> {
    let path = &footage.path;
    let npy = open(path)?;
    let npy = match npy.try_data::<u8>() {
        Ok(data) => return stream_bytes(footage, n_channels, data, each),
        Err(npy) => npy,
    };
    let npy = match npy.try_data::<bool>() {
        Ok(data) => return stream(footage, n_channels, data, |v| f64::from(u8::from(v)), each),
        Err(npy) => npy,
    };
    let npy = match npy.try_data::<half::f16>() {
        Ok(data) => return stream(footage, n_channels, data, f64::from, each),
        Err(npy) => npy,
    };
    let npy = match npy.try_data::<f32>() {
        Ok(data) => return stream(footage, n_channels, data, f64::from, each),
        Err(npy) => npy,
    };
    match npy.try_data::<f64>() {
        Ok(data) => stream(footage, n_channels, data, |v| v, each),
        Err(npy) => Err(of_other_type(path, &npy.dtype().descr())),
    }
}

fn of_other_type(path: &Path, name: &str) -> Error {
    let reason = format!(
        "has the type {}, which does not say what is white; must be u1 (0 to 255), f2, f4 or f8 (0 to 1), or b1",
        clipped(name)
    );
    Error::file(path, reason)
}

/// Bytes, of which 255 is white: where there is none above 1, they are something else.
fn stream_bytes<R: Read>(
    footage: &Footage,
    n_channels: usize,
    data: NpyReader<u8, R>,
    each: &mut dyn FnMut(&Frame) -> Result<()>,
) -> Result<()> {
    let mut largest = 0;
    let luminance = |v: u8| {
        largest = largest.max(v);
        f64::from(v) / 255.0
    };
    stream(footage, n_channels, data, luminance, each)?;
    match largest {
        1 => Err(Error::file(
            &footage.path,
            "holds bytes of 0 and 1, where 255 is white; save it as b1, or times 255",
        )),
        _ => Ok(()),
    }
}

fn stream<T: Deserialize, R: Read>(
    footage: &Footage,
    n_channels: usize,
    mut data: NpyReader<T, R>,
    mut luminance: impl FnMut(T) -> f64,
    each: &mut dyn FnMut(&Frame) -> Result<()>,
) -> Result<()> {
    let path = &footage.path;
    let [rows, columns] = footage.size;
    let mut frame = Frame { n_columns: columns, contrast: Vec::with_capacity(rows * columns) };
    for frame_ix in 0..footage.n_frames {
        frame.contrast.clear();
        for pixel_ix in 0..rows * columns {
            let mut channels = [0.0; 4];
            for value in &mut channels[..n_channels] {
                let next = data.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
                *value = luminance(
                    next.map_err(|e| Error::file(path, format!("ends within frame {frame_ix}: {e}")))?,
                );
                if !(0.0..=1.0).contains(value) {
                    let (row, column) = (pixel_ix / columns, pixel_ix % columns);
                    let field = format!("frame {frame_ix}, row {row}, column {column}");
                    let limit = "luminance must be from 0 (black) to 1 (white); for contrasts of -1 to 1 save (1 + c)/2, for 0 to 255 divide by 255";
                    return Err(Error::field(path, field, *value, limit));
                }
            }
            if n_channels == 4 && channels[3] < 1.0 {
                let (row, column) = (pixel_ix / columns, pixel_ix % columns);
                let field = format!("frame {frame_ix}, row {row}, column {column}");
                return Err(Error::field(path, field, channels[3], OPAQUE));
            }
            let value = match n_channels {
                1 => channels[0],
                _ => LUMA.iter().zip(channels).map(|(share, value)| share * value).sum(),
            };
            frame.contrast.push((2.0 * value - 1.0) as f32);
        }
        each(&frame)?;
    }
    Ok(())
}

//! Images and movies as files: an image (PNG, NPY), a movie (NPY) or a folder of frames (PNG).
//!
//! A pixel's luminance L in 0..1 becomes the contrast `2 L - 1` in -1..1 around mean grey. PNG: 8 or 16 bits, black 0 to white 255
//! or 65535, colours by their luma; the values are taken as linear in luminance. NPY: `u1`, black 0 to white 255,
//! `f2`, `f4` or `f8`, black 0 to white 1, or `b1`; shape `[height, width]` is an image, `[n_frames, height, width]` a movie, and a last dimension
//! of 1, 3 or 4 beside them holds channels: grey, red green blue, the same with opacity. Pixels must be opaque: what would be seen through them is
//! not told. Row 0 is the top of the picture.
//!
//! Frames are read one at a time, so that a movie need not fit into memory.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, Limits};

use crate::error::catch_panics;
use crate::{Error, Result};

mod npy;

/// Why pixels that are not opaque are refused.
const OPAQUE: &str = "must be opaque: what is seen through it is not told; put the picture on a background";
/// Most pixels of a frame.
const MAX_PIXELS: u64 = 1 << 24;
/// Memory that a picture may take while it is read, bytes: 16 bits in four channels, twice.
const MAX_PICTURE_BYTES: u64 = 16 * MAX_PIXELS;
/// Endings of pictures that are no frames here.
const OTHER_PICTURES: [&str; 8] = ["jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp", "npy"];

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Width, pixels.
    pub n_columns: usize,
    /// Contrast, -1..1, `[height][width]` from the top.
    pub contrast: Vec<f32>,
}

/// An image or a movie whose size is known and whose pixels are still in its files.
#[derive(Clone, Debug, PartialEq)]
pub struct Footage {
    path: PathBuf,
    source: Source,
    /// Frames; 1 for an image.
    pub n_frames: usize,
    /// Height and width of every frame, pixels.
    pub size: [usize; 2],
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    Image,
    Folder(Vec<PathBuf>),
    Npy { is_movie: bool, n_channels: usize, may_be_movie: bool },
}

impl Footage {
    /// Opens an image, a movie or a folder of frames, which are shown in the order of their names: numbers in names count as numbers.
    ///
    /// # Errors
    /// Where there is nothing that can be read, in one sentence.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let files = frames_of_folder(path)?;
            let size = size_of_image(&files[0])?;
            return Self::checked(path, Source::Folder(files.clone()), files.len() as u64, size);
        }
        if !path.is_file() {
            return Err(Error::file(path, "there is no such image, movie or folder of frames"));
        }
        match extension(path).as_str() {
            "png" => Self::checked(path, Source::Image, 1, size_of_image(path)?),
            "npy" => {
                let npy::Layout { n_frames, size, n_channels, may_be_movie } = npy::layout(path)?;
                let source = Source::Npy { is_movie: n_frames.is_some(), n_channels, may_be_movie };
                let footage = Self::checked(path, source, n_frames.unwrap_or(1), size)?;
                npy::check_numbers(path)?;
                Ok(footage)
            }
            _ => Err(Error::file(path, "must be a .png, a .npy or a folder of .png frames")),
        }
    }

    fn checked(path: &Path, source: Source, n_frames: u64, [rows, columns]: [u64; 2]) -> Result<Self> {
        let n_pixels = rows.saturating_mul(columns);
        if n_frames == 0 || n_pixels == 0 || n_pixels > MAX_PIXELS {
            let reason = format!(
                "has {n_frames} frames of {columns} x {rows} pixels; must have at least one, of 1 to {MAX_PIXELS} pixels"
            );
            return Err(Error::file(path, reason));
        }
        let size = [rows as usize, columns as usize];
        Ok(Self { path: path.to_path_buf(), source, n_frames: n_frames as usize, size })
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is a movie and not one image.
    pub fn is_movie(&self) -> bool {
        matches!(self.source, Source::Folder(_) | Source::Npy { is_movie: true, .. })
    }

    /// What an array was taken for that may be meant otherwise: one image with channels, where it could be a movie of narrow frames.
    pub fn notice(&self) -> Option<String> {
        let Source::Npy { may_be_movie: true, n_channels, .. } = self.source else { return None };
        let [rows, columns] = self.size;
        let (file, channels) = (self.path.display(), if n_channels == 1 { "channel" } else { "channels" });
        Some(format!(
            "{file}: taken for one image of {rows} x {columns} pixels (height x width), {n_channels} {channels}; a movie of {rows} frames, {columns} x {n_channels} pixels, has the shape [{rows}, {columns}, {n_channels}, 1]"
        ))
    }

    /// Reads every frame in turn.
    ///
    /// # Errors
    /// Those of `each`, and a frame that cannot be read, is of another size than the first, or is not a number or out of range.
    pub fn for_each_frame(&self, mut each: impl FnMut(&Frame) -> Result<()>) -> Result<()> {
        match &self.source {
            Source::Image => each(&self.read_image(&self.path)?),
            Source::Folder(files) => files.iter().try_for_each(|file| each(&self.read_image(file)?)),
            Source::Npy { n_channels, .. } => npy::for_each_frame(self, *n_channels, &mut each),
        }
    }

    fn read_image(&self, file: &Path) -> Result<Frame> {
        let [rows, columns] = self.size;
        let [found_rows, found_columns] = size_of_image(file)?;
        if [found_rows, found_columns] != [rows as u64, columns as u64] {
            let reason = format!(
                "has {found_columns} x {found_rows} pixels, the first frame {columns} x {rows}: all frames must have one size"
            );
            return Err(Error::file(file, reason));
        }
        let picture = catch_panics(file, || {
            let picture = DynamicImage::from_decoder(decoder(file)?);
            picture.map_err(|e| Error::file(file, format!("is no whole PNG image: {e}")))
        })?;
        if let Some(at) = transparent(&picture) {
            let place = format!("row {}, column {}", at / columns, at % columns);
            return Err(Error::file(file, format!("{place} is transparent; {OPAQUE}")));
        }
        Ok(Frame { n_columns: columns, contrast: contrasts(&picture) })
    }
}

/// The first pixel that is not opaque.
fn transparent(picture: &DynamicImage) -> Option<usize> {
    let opaque = u16::MAX;
    if !picture.color().has_alpha() {
        return None;
    }
    picture.to_rgba16().pixels().position(|pixel| pixel.0[3] < opaque)
}

/// Contrast of every pixel.
fn contrasts(picture: &DynamicImage) -> Vec<f32> {
    let contrast = |value: f64, white: f64| (2.0 * value / white - 1.0) as f32;
    match picture.color().bytes_per_pixel() / picture.color().channel_count() {
        1 => picture.to_luma8().iter().map(|v| contrast(f64::from(*v), 255.0)).collect(),
        _ => picture.to_luma16().iter().map(|v| contrast(f64::from(*v), 65535.0)).collect(),
    }
}

fn extension(path: &Path) -> String {
    path.extension().map_or_else(String::new, |e| e.to_string_lossy().to_lowercase())
}

/// The PNG files of a folder in the order of their names; hidden files (`._1.png`, which macOS leaves) and those of other kinds are not frames.
fn frames_of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let file = entry.map_err(Error::io(folder))?.path();
        let kind = extension(&file);
        if name(&file).starts_with('.') {
            continue;
        }
        if OTHER_PICTURES.contains(&kind.as_str()) {
            let reason =
                format!("holds '{}', which is no .png and would be left out of the movie", name(&file));
            return Err(Error::file(folder, reason));
        }
        if kind == "png" {
            files.push(file);
        }
    }
    files.sort_by(|a, b| natural_order(&name(a), &name(b)).then_with(|| a.cmp(b)));
    if files.is_empty() {
        return Err(Error::file(folder, "is a folder without .png frames"));
    }
    let twice = files.windows(2).find(|pair| natural_order(&name(&pair[0]), &name(&pair[1])).is_eq());
    if let Some(pair) = twice {
        let [first, second] = [name(&pair[0]), name(&pair[1])];
        let reason = format!("'{first}' and '{second}' are of one number: which comes first is not told");
        return Err(Error::file(folder, reason));
    }
    Ok(files)
}

/// The order of two names in which a run of digits counts as the number it says: 2 before 10.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let [digits_a, digits_b] =
            [a, b].map(|name| name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len());
        if digits_a > 0 && digits_b > 0 {
            let [number_a, number_b] =
                [&a[..digits_a], &b[..digits_b]].map(|digits| digits.trim_start_matches('0'));
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[digits_a..], &b[digits_b..]);
            continue;
        }
        let (mut rest_a, mut rest_b) = (a.chars(), b.chars());
        match (rest_a.next(), rest_b.next()) {
            (Some(x), Some(y)) if x == y => (a, b) = (rest_a.as_str(), rest_b.as_str()),
            (x, y) => return x.cmp(&y),
        }
    }
}

fn decoder(file: &Path) -> Result<PngDecoder<BufReader<File>>> {
    let open = BufReader::new(File::open(file).map_err(Error::io(file))?);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PICTURE_BYTES);
    let is_none = |e: image::ImageError| Error::file(file, format!("is no PNG image: {e}"));
    let decoder = PngDecoder::with_limits(open, limits).map_err(is_none)?;
    match decoder.is_apng() {
        Ok(true) => Err(Error::file(
            file,
            "is an animated PNG, of which one frame would be shown; make it a folder of frames",
        )),
        _ => Ok(decoder),
    }
}

/// Height and width.
fn size_of_image(file: &Path) -> Result<[u64; 2]> {
    let (columns, rows) = catch_panics(file, || Ok(decoder(file)?.dimensions()))?;
    Ok([u64::from(rows), u64::from(columns)])
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
    use npyz::{Order, WriterBuilder};

    use super::*;

    fn write_npy<T: npyz::AutoSerialize>(path: &Path, shape: &[u64], order: Order, values: &[T]) {
        let file = File::create(path).unwrap();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .order(order)
            .writer(file)
            .begin_nd()
            .unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
    }

    fn read(path: &Path) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        Footage::open(path)?.for_each_frame(|frame| {
            frames.push(frame.clone());
            Ok(())
        })?;
        Ok(frames)
    }

    #[test]
    fn every_kind_of_file_has_the_same_contrasts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Rows from the top: black, white, a fifth; three fifths, two fifths, black.
        let eight = [0_u8, 255, 51, 153, 102, 0];
        let expected = [-1.0, 1.0, -0.6, 0.2, -0.2, -1.0];
        GrayImage::from_vec(3, 2, eight.to_vec()).unwrap().save(path("grey.png")).unwrap();
        let sixteen: Vec<u16> = eight.iter().map(|v| u16::from(*v) * 257).collect();
        ImageBuffer::<Luma<u16>, _>::from_vec(3, 2, sixteen).unwrap().save(path("sixteen.png")).unwrap();
        let colours = RgbImage::from_fn(3, 2, |x, y| Rgb([eight[(3 * y + x) as usize]; 3]));
        colours.save(path("colour.png")).unwrap();
        write_npy(&path("bytes.npy"), &[2, 3], Order::C, &eight);
        let unit: Vec<f64> = eight.iter().map(|v| f64::from(*v) / 255.0).collect();
        write_npy(&path("double.npy"), &[1, 2, 3, 1], Order::C, &unit);
        write_npy(
            &path("single.npy"),
            &[2, 3],
            Order::C,
            &unit.iter().map(|v| *v as f32).collect::<Vec<_>>(),
        );
        for name in ["grey.png", "sixteen.png", "colour.png", "bytes.npy", "double.npy", "single.npy"] {
            let footage = Footage::open(&path(name)).unwrap();
            assert_eq!(
                (footage.n_frames, footage.size, footage.is_movie()),
                (1, [2, 3], name == "double.npy")
            );
            let [frame] = &read(&path(name)).unwrap()[..] else { panic!("{name}") };
            assert_eq!(frame.n_columns, 3);
            for (found, expected) in frame.contrast.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{name}: {found} {expected}");
            }
        }
    }

    #[test]
    fn frames_of_a_folder_come_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("b.png", 255), ("a.png", 0), ("c.PNG", 51)] {
            let png = folder.path().join(name);
            GrayImage::from_pixel(2, 2, Luma([value]))
                .save_with_format(png, image::ImageFormat::Png)
                .unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "not a frame").unwrap();
        let first: Vec<f32> = read(folder.path()).unwrap().iter().map(|frame| frame.contrast[0]).collect();
        assert_eq!(first, [-1.0, 1.0, -0.6]);
        assert!(Footage::open(folder.path()).unwrap().is_movie());
    }

    #[test]
    fn what_cannot_be_shown_is_refused_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let refused = |name: &str, words: &[&str]| {
            let error = read(&path(name)).expect_err(name);
            assert_eq!(error.exit_code(), 2, "{error}");
            let message = error.to_string();
            assert!(message.contains(name) && !message.contains('\n'), "{message}");
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        };
        refused("missing.png", &["no such image"]);
        fs::write(path("text.png"), "no image").unwrap();
        refused("text.png", &["no PNG image"]);
        fs::write(path("film.mp4"), "a film").unwrap();
        refused("film.mp4", &[".png", ".npy"]);
        fs::create_dir(path("empty")).unwrap();
        refused("empty", &["without .png frames"]);
        fs::create_dir(path("mixed")).unwrap();
        GrayImage::new(2, 2).save(path("mixed").join("0.png")).unwrap();
        GrayImage::new(2, 3).save(path("mixed").join("1.png")).unwrap();
        refused("mixed", &["1.png", "2 x 3", "2 x 2", "one size"]);
        fs::write(path("text.npy"), "no array").unwrap();
        refused("text.npy", &["no NPY array"]);
        write_npy(&path("line.npy"), &[4], Order::C, &[0.5_f32; 4]);
        refused("line.npy", &["shape [4]", "[n_frames, height, width]"]);
        write_npy(&path("nothing.npy"), &[0, 2, 2], Order::C, &[0.5_f32; 0]);
        refused("nothing.npy", &["0 frames"]);
        write_npy(&path("columns.npy"), &[2, 2], Order::Fortran, &[0.5_f32; 4]);
        refused("columns.npy", &["Fortran"]);
        write_npy(&path("integers.npy"), &[2, 2], Order::C, &[1_i64; 4]);
        refused("integers.npy", &["<i8", "u1", "f4"]);
        write_npy(&path("nan.npy"), &[1, 2, 2], Order::C, &[0.5, 0.5, f64::NAN, 0.5]);
        refused("nan.npy", &["frame 0, row 1, column 0", "NaN"]);
        write_npy(&path("signed.npy"), &[2, 1, 2], Order::C, &[0.5, 0.5, 0.5, -0.25]);
        refused("signed.npy", &["frame 1, row 0, column 1 = -0.25", "(1 + c)/2"]);
        write_npy(&path("short.npy"), &[3, 2, 2], Order::C, &[7_u8; 12]);
        let bytes = fs::read(path("short.npy")).unwrap();
        fs::write(path("short.npy"), &bytes[..bytes.len() - 1]).unwrap();
        refused("short.npy", &["ends within frame 2", "11 bytes", "declares 12"]);
        fs::write(path("long.npy"), [&bytes[..], &[0]].concat()).unwrap();
        refused("long.npy", &["has 13 bytes", "declares 12"]);
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 2, 2), }\n";
        let magic = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes()].concat();
        std::fs::write(path("huge.npy"), [&magic, header.as_bytes()].concat()).unwrap();
        refused("huge.npy", &["ends within frame 0"]);
        write_npy(&path("first.npy"), &[2, 3, 4, 5], Order::C, &[0.5_f32; 120]);
        refused("first.npy", &["shape [2, 3, 4, 5]", "numpy.moveaxis"]);
        write_npy(&path("mask.npy"), &[2, 2], Order::C, &[0_u8, 1, 1, 0]);
        refused("mask.npy", &["0 and 1", "b1"]);
        write_npy(&path("percent.npy"), &[2, 2], Order::C, &[0.0, 255.0, 3.0, 1.0]);
        refused("percent.npy", &["column 1 = 255", "divide by 255"]);
        write_npy(&path("sixteen.npy"), &[2, 2], Order::C, &[7_u16; 4]);
        refused("sixteen.npy", &["<u2", "white"]);
        // A header that its parser would follow too deep, and lengths that are not there.
        let header = |text: &str| {
            let mut bytes = b"\x93NUMPY\x01\0".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes
        };
        fs::write(path("deep.npy"), header(&format!("{{'descr': '<f4', 'shape': {}", "(".repeat(60_000))))
            .unwrap();
        refused("deep.npy", &["brackets within brackets"]);
        fs::write(path("words.npy"), header("{'descr': '<f4',\n 'shape':\n maybe}\n")).unwrap();
        refused("words.npy", &["no NPY array"]);
        fs::write(path("length.npy"), b"\x93NUMPY\x02\0\xff\xff\xff\xff{").unwrap();
        refused("length.npy", &["header declares 4294967295 bytes"]);
        // Frames that a folder would leave out, and an animation of which one frame would be shown.
        fs::write(path("mixed").join("2.JPG"), "").unwrap();
        refused("mixed", &["'2.JPG'", "left out"]);
        let still = fs::read(path("mixed").join("0.png")).unwrap();
        let control =
            [&8_u32.to_be_bytes()[..], b"acTL", &2_u32.to_be_bytes(), &0_u32.to_be_bytes()].concat();
        let crc = crc_of_png(&control[4..]).to_be_bytes();
        fs::write(path("film.png"), [&still[..33], &control, &crc, &still[33..]].concat()).unwrap();
        refused("film.png", &["animated PNG", "folder of frames"]);
        fs::write(path("half.png"), &still[..still.len() - 20]).unwrap();
        refused("half.png", &["half.png", "PNG image"]);
    }

    /// The checksum of a PNG chunk (type and data), bit by bit.
    fn crc_of_png(bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
        !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names =
            ["f10.png", "f9.png", "f1.png", "f02.png", "a.png", "f1_10.png", "f1_9.png", "10.png", "9.png"];
        names.sort_by(|a, b| natural_order(a, b));
        let ordered =
            ["9.png", "10.png", "a.png", "f1.png", "f1_9.png", "f1_10.png", "f02.png", "f9.png", "f10.png"];
        assert_eq!(names, ordered);
        let folder = tempfile::tempdir().unwrap();
        for frame in 1..=12_u8 {
            let image = GrayImage::from_pixel(2, 2, Luma([10 * frame]));
            image.save(folder.path().join(format!("frame_{frame}.png"))).unwrap();
            // What macOS leaves beside files on other disks.
            fs::write(folder.path().join(format!("._frame_{frame}.png")), "companion").unwrap();
        }
        let shown = read(folder.path()).unwrap();
        fs::copy(folder.path().join("frame_3.png"), folder.path().join("frame_03.png")).unwrap();
        let message = read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("'frame_03.png' and 'frame_3.png' are of one number"), "{message}");
        assert_eq!(shown.len(), 12);
        assert!(shown.is_sorted_by_key(|frame| frame.contrast[0]));
    }

    #[test]
    fn channels_are_told_from_frames() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let pixels: Vec<[u8; 3]> = (0..30_u8).map(|k| [8 * k, 200 - k, 3 * k]).collect();
        write_npy(&path("image.npy"), &[5, 6, 3], Order::C, pixels.as_flattened());
        RgbImage::from_fn(6, 5, |x, y| Rgb(pixels[(6 * y + x) as usize])).save(path("image.png")).unwrap();
        let opaque: Vec<u8> = pixels.iter().flat_map(|p| [p[0], p[1], p[2], 255]).collect();
        write_npy(&path("opaque.npy"), &[5, 6, 4], Order::C, &opaque);
        write_npy(
            &path("movie.npy"),
            &[2, 5, 6, 3],
            Order::C,
            &[pixels.as_flattened(), pixels.as_flattened()].concat(),
        );
        let mut glass = opaque.clone();
        glass[4 * 20 + 3] = 254;
        write_npy(&path("glass.npy"), &[5, 6, 4], Order::C, &glass);
        image::RgbaImage::from_vec(6, 5, glass).unwrap().save(path("glass.png")).unwrap();
        for name in ["glass.npy", "glass.png"] {
            let message = read(&path(name)).unwrap_err().to_string();
            assert!(message.contains("row 3, column 2") && message.contains("must be opaque"), "{message}");
        }
        image::RgbaImage::from_vec(6, 5, opaque).unwrap().save(path("opaque.png")).unwrap();
        let expected = &read(&path("image.png")).unwrap()[0];
        assert_eq!(&read(&path("opaque.png")).unwrap()[0], expected);
        for (name, n_frames) in [("image.npy", 1), ("opaque.npy", 1), ("movie.npy", 2)] {
            let footage = Footage::open(&path(name)).unwrap();
            assert_eq!(
                (footage.size, footage.n_frames, footage.is_movie()),
                ([5, 6], n_frames, n_frames > 1),
                "{name}"
            );
            let taken_for = "image.npy: taken for one image of 5 x 6 pixels (height x width), 3 channels; a movie of 5 frames, 6 x 3 pixels, has the shape [5, 6, 3, 1]";
            assert_eq!(footage.notice().is_some(), n_frames == 1, "{name}");
            assert!(name != "image.npy" || footage.notice().unwrap().ends_with(taken_for));
            for frame in read(&path(name)).unwrap() {
                // The library of PNG rounds luma down to whole levels of 255.
                let off = frame.contrast.iter().zip(&expected.contrast).map(|(a, b)| (a - b).abs());
                assert!(off.fold(0.0, f32::max) <= 2.0 / 255.0, "{name}");
            }
        }
        // As the notice says it, narrow frames are a movie.
        write_npy(&path("narrow.npy"), &[5, 6, 3, 1], Order::C, pixels.as_flattened());
        let narrow = Footage::open(&path("narrow.npy")).unwrap();
        assert_eq!((narrow.size, narrow.n_frames, narrow.notice()), ([6, 3], 5, None));
        // Every type whose white is known.
        write_npy(&path("flags.npy"), &[1, 2], Order::C, &[false, true]);
        write_npy(
            &path("half.npy"),
            &[1, 2],
            Order::C,
            &[half::f16::from_f64(0.0), half::f16::from_f64(1.0)],
        );
        for name in ["flags.npy", "half.npy"] {
            assert_eq!(read(&path(name)).unwrap()[0].contrast, [-1.0, 1.0], "{name}");
        }
    }
}

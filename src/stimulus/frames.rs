//! Images and movies as files: an image (PNG, NPY), a movie (NPY) or a folder of frames (PNG).
//!
//! A pixel's luminance L in 0..1 becomes the contrast `2 L - 1` in -1..1 around mean grey. PNG: 8 or 16 bits, black 0 to white 255
//! or 65535, colours by their luma, transparency ignored; the values are taken as linear in luminance. NPY: `u8`, black 0 to white 255, or
//! `f4`/`f8`, black 0 to white 1; shape `[height, width]` is an image, `[n_frames, height, width]` a movie. Row 0 is the top of the picture.
//!
//! Frames are read one at a time, so that a movie need not fit into memory.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader};
use npyz::{Deserialize, NpyFile, NpyReader, Order};

use crate::{Error, Result};

/// Most pixels of a frame.
const MAX_PIXELS: u64 = 1 << 24;

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
    Npy { is_movie: bool },
}

impl Footage {
    /// Opens an image, a movie or a folder of frames, which are shown in the order of their names.
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
                let npy = open_npy(path)?;
                match *npy.shape() {
                    [rows, columns] => {
                        Self::checked(path, Source::Npy { is_movie: false }, 1, [rows, columns])
                    }
                    [n_frames, rows, columns] => {
                        Self::checked(path, Source::Npy { is_movie: true }, n_frames, [rows, columns])
                    }
                    _ => {
                        let reason = format!(
                            "has the shape {:?}; an image is [height, width], a movie [n_frames, height, width]",
                            npy.shape()
                        );
                        Err(Error::file(path, reason))
                    }
                }
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
        !matches!(self.source, Source::Image | Source::Npy { is_movie: false })
    }

    /// Reads every frame in turn.
    ///
    /// # Errors
    /// Those of `each`, and a frame that cannot be read, is of another size than the first, or is not a number or out of range.
    pub fn for_each_frame(&self, mut each: impl FnMut(&Frame) -> Result<()>) -> Result<()> {
        match &self.source {
            Source::Image => each(&self.read_image(&self.path)?),
            Source::Folder(files) => files.iter().try_for_each(|file| each(&self.read_image(file)?)),
            Source::Npy { .. } => self.for_each_of_npy(&mut each),
        }
    }

    fn read_image(&self, file: &Path) -> Result<Frame> {
        let picture =
            open_image(file)?.decode().map_err(|e| Error::file(file, format!("is no PNG image: {e}")))?;
        let [rows, columns] = self.size;
        let found = [picture.height() as usize, picture.width() as usize];
        if found != self.size {
            let reason = format!(
                "has {} x {} pixels, the first frame {columns} x {rows}: all frames must have one size",
                found[1], found[0]
            );
            return Err(Error::file(file, reason));
        }
        Ok(Frame { n_columns: columns, contrast: contrasts(&picture) })
    }

    fn for_each_of_npy(&self, each: &mut dyn FnMut(&Frame) -> Result<()>) -> Result<()> {
        let npy = open_npy(&self.path)?;
        let npy = match npy.try_data::<u8>() {
            Ok(data) => return self.stream(data, |v| f64::from(v) / 255.0, each),
            Err(npy) => npy,
        };
        let npy = match npy.try_data::<f32>() {
            Ok(data) => return self.stream(data, f64::from, each),
            Err(npy) => npy,
        };
        match npy.try_data::<f64>() {
            Ok(data) => self.stream(data, |v| v, each),
            Err(npy) => {
                let reason =
                    format!("has the type {}; must be u8 (0 to 255) or f4/f8 (0 to 1)", npy.dtype().descr());
                Err(Error::file(&self.path, reason))
            }
        }
    }

    fn stream<T: Deserialize, R: Read>(
        &self,
        mut data: NpyReader<T, R>,
        luminance: impl Fn(T) -> f64,
        each: &mut dyn FnMut(&Frame) -> Result<()>,
    ) -> Result<()> {
        let [rows, columns] = self.size;
        let mut frame = Frame { n_columns: columns, contrast: Vec::with_capacity(rows * columns) };
        for frame_ix in 0..self.n_frames {
            frame.contrast.clear();
            for pixel_ix in 0..rows * columns {
                let value = data.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
                let value = value
                    .map_err(|e| Error::file(&self.path, format!("ends within frame {frame_ix}: {e}")))?;
                let value = luminance(value);
                if !(0.0..=1.0).contains(&value) {
                    let field = format!(
                        "frame {frame_ix}, row {}, column {}",
                        pixel_ix / columns,
                        pixel_ix % columns
                    );
                    let limit = "luminance must be from 0 (black) to 1 (white); for contrasts of -1 to 1 save (1 + c)/2";
                    return Err(Error::field(&self.path, field, value, limit));
                }
                frame.contrast.push((2.0 * value - 1.0) as f32);
            }
            each(&frame)?;
        }
        Ok(())
    }
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

/// The PNG files of a folder in the order of their names; other files are not frames.
fn frames_of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let files = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>();
    let mut files = files.map_err(Error::io(folder))?;
    files.retain(|file| extension(file) == "png");
    files.sort();
    if files.is_empty() {
        return Err(Error::file(folder, "is a folder without .png frames"));
    }
    Ok(files)
}

fn open_image(file: &Path) -> Result<ImageReader<BufReader<File>>> {
    let reader = ImageReader::open(file).map_err(Error::io(file))?;
    reader.with_guessed_format().map_err(Error::io(file))
}

fn size_of_image(file: &Path) -> Result<[u64; 2]> {
    let size = open_image(file)?.into_dimensions();
    let [columns, rows] = size.map_err(|e| Error::file(file, format!("is no PNG image: {e}")))?.into();
    Ok([u64::from(rows), u64::from(columns)])
}

fn open_npy(path: &Path) -> Result<NpyFile<BufReader<File>>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let npy =
        NpyFile::new(BufReader::new(file)).map_err(|e| Error::file(path, format!("is no NPY array: {e}")))?;
    if npy.header().order() == Order::Fortran && npy.shape().len() > 1 {
        return Err(Error::file(path, "is in Fortran order; save numpy.ascontiguousarray of it"));
    }
    Ok(npy)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
    use npyz::WriterBuilder;

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
        write_npy(&path("double.npy"), &[1, 2, 3], Order::C, &unit);
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
        refused("integers.npy", &["<i8", "u8", "f4"]);
        write_npy(&path("nan.npy"), &[1, 2, 2], Order::C, &[0.5, 0.5, f64::NAN, 0.5]);
        refused("nan.npy", &["frame 0, row 1, column 0", "NaN"]);
        write_npy(&path("signed.npy"), &[2, 1, 2], Order::C, &[0.5, 0.5, 0.5, -0.25]);
        refused("signed.npy", &["frame 1, row 0, column 1 = -0.25", "(1 + c)/2"]);
        write_npy(&path("short.npy"), &[3, 2, 2], Order::C, &[7_u8; 12]);
        let bytes = fs::read(path("short.npy")).unwrap();
        fs::write(path("short.npy"), &bytes[..bytes.len() - 1]).unwrap();
        refused("short.npy", &["ends within frame 2"]);
    }
}

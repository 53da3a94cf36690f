//! Reading HDF5 files: columns, whole or block by block, and attributes. Every error names file and object.
//!
//! Nothing that a damaged file can say is believed: declared sizes are compared with the file's own before
//! anything is allocated, a panic of the crate is a damaged file, and an object that cannot be read is never taken for one that is not there.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, Hdf5Error, StorageLayout};

use crate::error::{self, Error, Result};

/// Deflate, the densest filter that is read here, packs at most 1032 bytes into one (zlib.net/zlib_tech.html).
const MOST_PACKED: u64 = 1032;
/// Texts that stand for a number that is missing, in small letters.
const MISSING: [&str; 7] = ["", "na", "n/a", "<na>", "nan", "null", "none"];
/// Sizes up to this are taken without a look at the file's own, bytes.
const SMALL: u64 = 64 << 20;

/// An HDF5 file that is read.
pub struct Hdf5 {
    file: H5File,
    path: PathBuf,
    n_bytes: u64,
}

/// A dataset of one dimension.
pub struct Column {
    dataset: H5Dataset,
    path: PathBuf,
    name: String,
    len: usize,
}

impl Hdf5 {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that is not there, cannot be opened, or is no HDF5.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::file(path, "there is no such file"));
        }
        let n_bytes = std::fs::metadata(path).map_err(Error::unreadable(path))?.len();
        // A lock that a file system refuses is no reason not to read.
        let open = || H5File::options().best_effort_locking().open(path);
        let file = error::catch_panics(path, || {
            open().map_err(|e| match e {
                Hdf5Error::Io(source) => Error::unreadable(path)(source),
                other => Error::file(path, format!("cannot be read as HDF5: {other}")),
            })
        })?;
        Ok(Self { file, path: path.to_path_buf(), n_bytes })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about a dataset or group of this file.
    pub fn error(&self, name: &str, reason: impl std::fmt::Display) -> Error {
        Error::file(&self.path, format!("{name}: {reason}"))
    }

    /// Something of the file, none where there is nothing of that name.
    fn found<T>(&self, name: &str, read: impl FnOnce() -> rust_hdf5::Result<T>) -> Result<Option<T>> {
        error::catch_panics(&self.path, || match read() {
            Ok(found) => Ok(Some(found)),
            Err(Hdf5Error::NotFound(_)) => Ok(None),
            Err(other) => Err(self.error(name, other)),
        })
    }

    /// Names of the groups in a group, sorted.
    ///
    /// # Errors
    /// A group that is not there.
    pub fn groups(&self, group: &str) -> Result<Vec<String>> {
        let names = self.found(group, || self.file.root_group().group(group)?.group_names())?;
        names.ok_or_else(|| self.error(group, "there is no such group"))
    }

    /// Names of the datasets in a group, sorted; none where there is no such group.
    ///
    /// # Errors
    /// A group that cannot be read.
    pub fn datasets(&self, group: &str) -> Result<Vec<String>> {
        let names = self.found(group, || self.file.root_group().group(group)?.dataset_names())?;
        let mut names = names.unwrap_or_default();
        names.sort();
        Ok(names)
    }

    /// Whether there is such a group.
    ///
    /// # Errors
    /// A group that is there and cannot be read.
    pub fn has_group(&self, group: &str) -> Result<bool> {
        Ok(self.found(group, || self.file.root_group().group(group))?.is_some())
    }

    /// Whether there is such a dataset.
    ///
    /// # Errors
    /// A dataset that is there and cannot be read.
    pub fn has(&self, dataset: &str) -> Result<bool> {
        Ok(self.found(dataset, || self.file.dataset(dataset))?.is_some())
    }

    /// A dataset of one dimension.
    ///
    /// # Errors
    /// A dataset that is not there, has other dimensions, or declares more than the file can hold.
    pub fn column(&self, name: &str) -> Result<Column> {
        let dataset = self.dataset(name)?;
        let shape = dataset.shape();
        if dataset.is_null() || shape.len() != 1 {
            let n = if dataset.is_null() { "none".to_owned() } else { shape.len().to_string() };
            return Err(self.error(name, format!("must have one dimension, it has {n}")));
        }
        Ok(Column { len: shape[0], dataset, path: self.path.clone(), name: name.to_owned() })
    }

    /// A column that must have `len` entries.
    ///
    /// # Errors
    /// As [`Hdf5::column`], and one of another length.
    pub fn column_of(&self, name: &str, len: usize) -> Result<Column> {
        let column = self.column(name)?;
        if column.len != len {
            return Err(self.error(name, format!("has {} entries where {len} are needed", column.len)));
        }
        Ok(column)
    }

    /// A dataset of any shape as one column, row after row; None where there is none of that name.
    ///
    /// # Errors
    /// A dataset that cannot be read, or declares more than the file can hold.
    pub fn flat(&self, name: &str) -> Result<Option<Column>> {
        if !self.has(name)? {
            return Ok(None);
        }
        let dataset = self.dataset(name)?;
        let len = if dataset.is_null() { 0 } else { dataset.total_elements() };
        Ok(Some(Column { len, dataset, path: self.path.clone(), name: name.to_owned() }))
    }

    /// Number of dimensions of a dataset.
    ///
    /// # Errors
    /// As [`Hdf5::column`].
    pub fn rank(&self, name: &str) -> Result<usize> {
        Ok(self.dataset(name)?.shape().len())
    }

    /// A dataset of two dimensions with its shape, row after row; an entry that is NaN stays.
    ///
    /// # Errors
    /// As [`Hdf5::column`].
    pub fn matrix(&self, name: &str) -> Result<([usize; 2], Vec<f64>)> {
        let dataset = self.dataset(name)?;
        let shape = dataset.shape();
        let [rows, columns] = shape[..] else {
            return Err(self.error(name, format!("must have two dimensions, it has {}", shape.len())));
        };
        let column = Column { len: rows * columns, dataset, path: self.path.clone(), name: name.to_owned() };
        Ok(([rows, columns], column.read_numbers(&[0, 0], &[rows, columns])?))
    }

    /// A dataset of any shape whose declared sizes the file can hold.
    fn dataset(&self, name: &str) -> Result<H5Dataset> {
        let found = self.found(name, || self.file.dataset(name))?;
        let dataset = found.ok_or_else(|| self.error(name, "there is no such dataset"))?;
        error::catch_panics(&self.path, || {
            check_sizes(&dataset, self.n_bytes).map_err(|reason| self.error(name, reason))
        })?;
        Ok(dataset)
    }

    /// A text attribute of a dataset, if it has one.
    ///
    /// # Errors
    /// An attribute that is there and is no text.
    pub fn dataset_attribute(&self, dataset: &str, attribute: &str) -> Result<Option<String>> {
        let at = format!("attribute '{attribute}' of {dataset}");
        let Some(found) = self.found(dataset, || self.file.dataset(dataset))? else { return Ok(None) };
        let names = self.found(dataset, || found.attr_names())?.unwrap_or_default();
        if !names.iter().any(|name| name == attribute) {
            return Ok(None);
        }
        self.found(&at, || found.attr(attribute)?.read_string())
    }

    /// A text attribute of a group, if it has one.
    ///
    /// # Errors
    /// An attribute that is there and is no text.
    pub fn group_attribute(&self, group: &str, attribute: &str) -> Result<Option<String>> {
        let Some(found) = self.found(group, || self.file.root_group().group(group))? else { return Ok(None) };
        let names = self.found(group, || found.attr_names())?.unwrap_or_default();
        if !names.iter().any(|name| name == attribute) {
            return Ok(None);
        }
        self.found(&format!("attribute '{attribute}' of {group}"), || found.attr_string(attribute))
    }
}

/// Whether a float is one whole number: beyond 2^53 it stands for several.
fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0
}

/// Refuses a dataset that declares more than a file of `n_bytes` bytes can hold.
///
/// # Errors
/// Why, in words.
fn check_sizes(dataset: &H5Dataset, n_bytes: u64) -> std::result::Result<(), String> {
    let product = |sizes: &[usize]| {
        let element = dataset.element_size().max(1) as u64;
        sizes.iter().try_fold(element, |all, size| all.checked_mul(*size as u64)).unwrap_or(u64::MAX)
    };
    let layout = dataset.storage_layout().map_err(|e| e.to_string())?;
    if layout == StorageLayout::Virtual || !dataset.external_files().map_err(|e| e.to_string())?.is_empty() {
        return Err(
            "lies in other files (a virtual dataset, or external storage); copy it into one".to_owned()
        );
    }
    let most = n_bytes.saturating_mul(MOST_PACKED).max(SMALL);
    let declared = product(&dataset.shape());
    if declared > most {
        return Err(format!("declares {declared} bytes, which a file of {n_bytes} bytes cannot hold"));
    }
    // A chunk is unpacked whole, whatever part of it the dataset reaches; that of a dataset that can grow may be the larger.
    let chunk = dataset.chunk_dims().map_or(0, |sizes| product(&sizes));
    if chunk > declared.max(SMALL) {
        return Err(format!("declares chunks of {chunk} bytes for {declared} bytes of data"));
    }
    Ok(())
}

impl Column {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An error about this column.
    pub fn error(&self, reason: impl std::fmt::Display) -> Error {
        Error::file(&self.path, format!("{}: {reason}", self.name))
    }

    /// Non-negative integers from `first` on, stored as integers or as floats that are whole.
    ///
    /// # Errors
    /// Entries that are none.
    pub fn ids(&self, first: usize, count: usize) -> Result<Vec<u64>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        error::catch_panics(&self.path, || {
            let integers = self.dataset.read_numeric_slice_as::<u64>(&[first], &[count]);
            let Err(reason) = integers else { return integers.map_err(|e| self.error(e)) };
            let Ok(floats) = self.dataset.read_numeric_slice_as::<f64>(&[first], &[count]) else {
                return Err(self.error(format!("must hold integers from 0: {reason}")));
            };
            let whole = |(at, number): (usize, f64)| match is_whole(number) && number >= 0.0 {
                true => Ok(number as u64),
                false => Err(self.error(format!("entry {} is {number}, no integer from 0", first + at))),
            };
            floats.into_iter().enumerate().map(whole).collect()
        })
    }

    /// All entries as non-negative integers.
    ///
    /// # Errors
    /// Entries that are none.
    pub fn all_ids(&self) -> Result<Vec<u64>> {
        self.ids(0, self.len)
    }

    /// Ids of types; -1, which some files give to nodes without a type, becomes the largest.
    ///
    /// # Errors
    /// Entries that are no integers.
    pub fn type_ids(&self, first: usize, count: usize) -> Result<Vec<u64>> {
        self.ids(first, count).or_else(|e| {
            error::catch_panics(&self.path, || {
                let signed = self.dataset.read_numeric_slice_as::<i64>(&[first], &[count]);
                Ok(signed.map_err(|_| e)?.into_iter().map(|id| id as u64).collect())
            })
        })
    }

    /// Finite numbers from `first` on.
    ///
    /// # Errors
    /// Entries that are none.
    pub fn numbers(&self, first: usize, count: usize) -> Result<Vec<f64>> {
        let numbers = self.read_numbers(&[first], &[count])?;
        match numbers.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(self.error(format!("entry {} is {}, no number", first + at, numbers[at]))),
            None => Ok(numbers),
        }
    }

    /// All entries as finite numbers.
    ///
    /// # Errors
    /// Entries that are none.
    pub fn all_numbers(&self) -> Result<Vec<f64>> {
        self.numbers(0, self.len)
    }

    /// All entries as numbers; NaN where an entry is none.
    ///
    /// # Errors
    /// Entries that are infinite or no numbers.
    pub fn all_numbers_or_none(&self) -> Result<Vec<f64>> {
        let numbers = self.read_numbers(&[0], &[self.len])?;
        match numbers.iter().position(|x| x.is_infinite()) {
            Some(at) => Err(self.error(format!("entry {at} is {}, no number", numbers[at]))),
            None => Ok(numbers),
        }
    }

    fn read_numbers(&self, starts: &[usize], counts: &[usize]) -> Result<Vec<f64>> {
        if counts.contains(&0) {
            return Ok(Vec::new());
        }
        error::catch_panics(&self.path, || {
            match self.dataset.read_numeric_slice_as::<f64>(starts, counts) {
                Ok(numbers) => Ok(numbers),
                // Integers do not turn into floats by themselves.
                Err(_) => Ok(self
                    .dataset
                    .read_numeric_slice_as::<i64>(starts, counts)
                    .map_err(|e| self.error(format!("must hold numbers: {e}")))?
                    .into_iter()
                    .map(|i| i as f64)
                    .collect()),
            }
        })
    }

    /// All entries as whole numbers, stored as integers or floats; None where an entry is not a number.
    ///
    /// # Errors
    /// Entries that are none.
    pub fn all_whole_numbers(&self) -> Result<Vec<Option<i64>>> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        error::catch_panics(&self.path, || {
            if let Ok(numbers) = self.dataset.read_numeric_as::<i64>() {
                return Ok(numbers.into_iter().map(Some).collect());
            }
            let numbers = self.dataset.read_numeric_as::<f64>();
            let numbers = numbers.map_err(|e| self.error(format!("must hold whole numbers: {e}")))?;
            let whole = |(at, number): (usize, f64)| match number {
                _ if number.is_nan() => Ok(None),
                _ if is_whole(number) => Ok(Some(number as i64)),
                _ => Err(self.error(format!("entry {at} is {number}, no whole number"))),
            };
            numbers.into_iter().enumerate().map(whole).collect()
        })
    }

    /// All entries as numbers, stored as numbers or texts; NaN where a text says that there is none (`null`).
    ///
    /// # Errors
    /// Entries that are neither, by the first of them.
    pub fn all_numbers_or_texts(&self) -> Result<Vec<f64>> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        error::catch_panics(&self.path, || {
            if let Ok(numbers) = self.dataset.read_numeric_as::<f64>() {
                return Ok(numbers);
            }
            if let Ok(numbers) = self.dataset.read_numeric_as::<i64>() {
                return Ok(numbers.into_iter().map(|n| n as f64).collect());
            }
            let texts = self.dataset.read_strings();
            let texts = texts.map_err(|e| self.error(format!("must hold numbers: {e}")))?;
            let number = |(at, text): (usize, &String)| match text.trim() {
                missing if MISSING.contains(&missing.to_lowercase().as_str()) => Ok(f64::NAN),
                number => number
                    .parse()
                    .map_err(|_| self.error(format!("entry {at} is '{number}', no number and no 'null'"))),
            };
            texts.iter().enumerate().map(number).collect()
        })
    }

    /// All entries as yes or no, stored as booleans of h5py (an enumeration of one byte) or as the numbers 0 and 1.
    ///
    /// # Errors
    /// Entries that are neither.
    pub fn flags(&self) -> Result<Vec<bool>> {
        if let Some(flags) = self.all_flags()? {
            return Ok(flags);
        }
        let flag = |number: f64| match number {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err(self.error("must hold booleans")),
        };
        self.all_numbers()?.into_iter().map(flag).collect()
    }

    /// All entries as texts.
    ///
    /// # Errors
    /// Entries that are none.
    pub fn texts(&self) -> Result<Vec<String>> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        error::catch_panics(&self.path, || {
            self.dataset.read_strings().map_err(|e| match self.is_text() {
                true => self.error(format!("must hold texts: {e}")),
                false => self.error("must hold texts"),
            })
        })
    }

    /// Whether the dataset holds integers.
    pub fn is_integer(&self) -> bool {
        matches!(&self.dataset.datatype(), Ok(DatatypeMessage::FixedPoint { .. }))
    }

    /// All entries as truth values, where the dataset holds such: an enumeration of FALSE and TRUE, as h5py writes
    /// them.
    ///
    /// # Errors
    /// Entries that cannot be read.
    pub fn all_flags(&self) -> Result<Option<Vec<bool>>> {
        let Ok(DatatypeMessage::Enum { base, members }) = self.dataset.datatype() else { return Ok(None) };
        let is_flag =
            |(name, value): (&str, u8)| members.iter().any(|m| m.name == name && m.value == [value]);
        if base.element_size() != 1
            || members.len() != 2
            || ![("FALSE", 0), ("TRUE", 1)].into_iter().all(is_flag)
        {
            return Ok(None);
        }
        error::catch_panics(&self.path, || {
            let bytes = self.dataset.read_raw::<u8>().map_err(|e| self.error(e))?;
            Ok(Some(bytes.into_iter().map(|byte| byte != 0).collect()))
        })
    }

    /// Whether the dataset holds texts.
    pub fn is_text(&self) -> bool {
        let datatype = self.dataset.datatype();
        matches!(&datatype, Ok(DatatypeMessage::FixedString { .. } | DatatypeMessage::VarLenString { .. }))
    }
}

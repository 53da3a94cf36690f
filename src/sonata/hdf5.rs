//! Columns of HDF5 files, whole or block by block. Every error names file and dataset.

use std::path::{Path, PathBuf};

use rust_hdf5::{DatatypeMessage, H5Dataset, H5File};

use crate::error::{Error, Result};

/// An HDF5 file that is read.
pub(super) struct Hdf5 {
    file: H5File,
    path: PathBuf,
}

/// A dataset of one dimension.
pub(super) struct Column {
    dataset: H5Dataset,
    path: PathBuf,
    name: String,
    len: usize,
}

impl Hdf5 {
    pub(super) fn open(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::file(path, "there is no such file"));
        }
        // A lock that a file system refuses is no reason not to read.
        let file = H5File::options().best_effort_locking().open(path);
        let file = file.map_err(|e| Error::file(path, format!("cannot be read as HDF5: {e}")))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error about a dataset or group of this file.
    pub(super) fn error(&self, name: &str, reason: impl std::fmt::Display) -> Error {
        Error::file(&self.path, format!("{name}: {reason}"))
    }

    /// Names of the groups in a group, sorted.
    pub(super) fn groups(&self, group: &str) -> Result<Vec<String>> {
        let found = self.file.root_group().group(group).and_then(|g| g.group_names());
        found.map_err(|_| self.error(group, "there is no such group"))
    }

    /// Names of the datasets in a group, sorted; none where there is no such group.
    pub(super) fn datasets(&self, group: &str) -> Vec<String> {
        let found = self.file.root_group().group(group).and_then(|g| g.dataset_names());
        let mut names = found.unwrap_or_default();
        names.sort();
        names
    }

    pub(super) fn has_group(&self, group: &str) -> bool {
        self.file.root_group().group(group).is_ok()
    }

    pub(super) fn has(&self, dataset: &str) -> bool {
        self.file.dataset(dataset).is_ok()
    }

    /// A dataset of one dimension.
    pub(super) fn column(&self, name: &str) -> Result<Column> {
        let dataset = self.file.dataset(name).map_err(|e| match e {
            rust_hdf5::Hdf5Error::NotFound(_) => self.error(name, "there is no such dataset"),
            other => self.error(name, other),
        })?;
        let shape = dataset.shape();
        if dataset.is_null() || shape.len() != 1 {
            let n = if dataset.is_null() { "none".to_owned() } else { shape.len().to_string() };
            return Err(self.error(name, format!("must have one dimension, it has {n}")));
        }
        Ok(Column { len: shape[0], dataset, path: self.path.clone(), name: name.to_owned() })
    }

    /// A column that must have `len` entries.
    pub(super) fn column_of(&self, name: &str, len: usize) -> Result<Column> {
        let column = self.column(name)?;
        if column.len != len {
            return Err(self.error(name, format!("has {} entries where {len} are needed", column.len)));
        }
        Ok(column)
    }

    /// A text attribute of a dataset, if it has one.
    pub(super) fn dataset_attribute(&self, dataset: &str, attribute: &str) -> Option<String> {
        let dataset = self.file.dataset(dataset).ok()?;
        dataset.attr(attribute).and_then(|a| a.read_string()).ok()
    }
}

impl Column {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn error(&self, reason: impl std::fmt::Display) -> Error {
        Error::file(&self.path, format!("{}: {reason}", self.name))
    }

    /// Non-negative integers from `first` on.
    pub(super) fn ids(&self, first: usize, count: usize) -> Result<Vec<u64>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.dataset
            .read_numeric_slice_as::<u64>(&[first], &[count])
            .map_err(|e| self.error(format!("must hold integers from 0: {e}")))
    }

    pub(super) fn all_ids(&self) -> Result<Vec<u64>> {
        self.ids(0, self.len)
    }

    /// Ids of types; -1, which some files give to nodes without a type, becomes the largest.
    pub(super) fn type_ids(&self, first: usize, count: usize) -> Result<Vec<u64>> {
        let negative = || self.dataset.read_numeric_slice_as::<i64>(&[first], &[count]);
        self.ids(first, count)
            .or_else(|e| Ok(negative().map_err(|_| e)?.into_iter().map(|id| id as u64).collect()))
    }

    /// Finite numbers from `first` on.
    pub(super) fn numbers(&self, first: usize, count: usize) -> Result<Vec<f64>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let numbers = match self.dataset.read_numeric_slice_as::<f64>(&[first], &[count]) {
            Ok(numbers) => numbers,
            // Integers do not turn into floats by themselves.
            Err(_) => self
                .dataset
                .read_numeric_slice_as::<i64>(&[first], &[count])
                .map_err(|e| self.error(format!("must hold numbers: {e}")))?
                .into_iter()
                .map(|i| i as f64)
                .collect(),
        };
        match numbers.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(self.error(format!("entry {} is {}, no number", first + at, numbers[at]))),
            None => Ok(numbers),
        }
    }

    pub(super) fn all_numbers(&self) -> Result<Vec<f64>> {
        self.numbers(0, self.len)
    }

    pub(super) fn texts(&self) -> Result<Vec<String>> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        self.dataset.read_strings().map_err(|e| self.error(format!("must hold texts: {e}")))
    }

    /// Whether the dataset holds texts.
    pub(super) fn is_text(&self) -> bool {
        let datatype = self.dataset.datatype();
        matches!(&datatype, Ok(DatatypeMessage::FixedString { .. } | DatatypeMessage::VarLenString { .. }))
    }
}

//! Columns of an NWB file.

use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};
use crate::hdf5::{Column, Hdf5};

/// An NWB file.
pub(super) struct Nwb(Hdf5);

impl Nwb {
    pub(super) fn open(file: &Path) -> Result<Self> {
        Hdf5::open(file).map(Self)
    }

    pub(super) fn file(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn wrong(&self, path: &str, what: impl std::fmt::Display) -> Error {
        self.0.error(path, what)
    }

    pub(super) fn has(&self, path: &str) -> Result<bool> {
        self.0.has(path)
    }

    fn needed(&self, path: &str) -> Result<Column> {
        self.0.flat(path)?.ok_or_else(|| Error::file(self.file(), format!("has no '{path}'")))
    }

    /// Names of the datasets of a group, of which there are none where there is no group.
    pub(super) fn columns(&self, group: &str) -> Result<Vec<String>> {
        self.0.datasets(group)
    }

    /// Names of the groups of a group, of which there are none where there is no group.
    pub(super) fn groups(&self, group: &str) -> Result<Vec<String>> {
        if self.0.has_group(group)? { self.0.groups(group) } else { Ok(Vec::new()) }
    }

    /// A column of whole numbers, as integers or floats; None where one is not a number.
    pub(super) fn whole_numbers(&self, path: &str) -> Result<Vec<Option<i64>>> {
        self.needed(path)?.all_whole_numbers()
    }

    /// A column of numbers; a text that says that there is none (`null`) is NaN.
    pub(super) fn numbers(&self, path: &str) -> Result<Vec<f64>> {
        self.needed(path)?.all_numbers_or_texts()
    }

    /// A column of numbers, None where there is none.
    pub(super) fn numbers_if_there(&self, path: &str) -> Result<Option<Vec<f64>>> {
        self.0.flat(path)?.map(|column| column.all_numbers_or_texts()).transpose()
    }

    /// A column of booleans, None where there is none.
    pub(super) fn flags(&self, path: &str) -> Result<Option<Vec<bool>>> {
        self.0.flat(path)?.map(|column| column.flags()).transpose()
    }

    /// A column of texts, None where there is none.
    pub(super) fn texts(&self, path: &str) -> Result<Option<Vec<String>>> {
        self.0.flat(path)?.map(|column| column.texts()).transpose()
    }

    /// Whether a column holds texts.
    pub(super) fn is_text(&self, path: &str) -> Result<bool> {
        Ok(self.0.flat(path)?.is_some_and(|column| column.is_text()))
    }

    /// A text attribute of a dataset, None where there is none.
    pub(super) fn attribute(&self, path: &str, name: &str) -> Result<Option<String>> {
        self.0.dataset_attribute(path, name)
    }

    /// The entries of each row of a ragged column, by its index of ends (`PATH_index`); without one every row has one entry.
    pub(super) fn rows(&self, path: &str, n_entries: usize) -> Result<Vec<Range<usize>>> {
        let index = format!("{path}_index");
        if !self.has(&index)? {
            return Ok((0..n_entries).map(|entry| entry..entry + 1).collect());
        }
        let wrong = || self.wrong(&index, format!("does not ascend to the {n_entries} entries of '{path}'"));
        let mut start = 0;
        let mut rows = Vec::new();
        for end in self.whole_numbers(&index)? {
            let end = end.and_then(|end| usize::try_from(end).ok());
            let end = end.filter(|end| (start..=n_entries).contains(end)).ok_or_else(wrong)?;
            rows.push(start..end);
            start = end;
        }
        if start == n_entries { Ok(rows) } else { Err(wrong()) }
    }
}

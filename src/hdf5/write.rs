//! Writing HDF5 files for the programs of others (SONATA, NWB): columns, attributes, enumerations, links.

use std::path::{Path, PathBuf};

use rust_hdf5::format::messages::datatype::EnumMember;
use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, H5Group, H5Type, VarLenUnicode};

use crate::error::{Error, Result};

/// Elements of a chunk of a compressed column.
const CHUNK: usize = 1 << 16;

/// How columns are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// As they are. The wheels of libsonata have no filters and read nothing else.
    #[default]
    Plain,
    /// In chunks, shuffled and deflated.
    Deflated,
}

/// Makes a file at `place` and lets `fill` fill it. Errors name it as `path`, where it will stand in the end.
///
/// # Errors
/// Those of `fill`; [`Error::Failed`] for what HDF5 or the system refuse.
pub fn write(
    place: &Path,
    path: &Path,
    storage: Storage,
    fill: impl FnOnce(&Group) -> Result<()>,
) -> Result<()> {
    let file = H5File::create(place).map_err(failed(path))?;
    fill(&Group { inner: file.root_group(), file: path.to_path_buf(), storage })?;
    file.close().map_err(failed(path))
}

fn failed(file: &Path) -> impl FnOnce(rust_hdf5::Hdf5Error) -> Error {
    let file = file.to_path_buf();
    move |e| match e {
        rust_hdf5::Hdf5Error::Io(source) => Error::Io { file, source },
        other => Error::Failed(format!("{}: {other}", file.display())),
    }
}

/// A group of a file being written.
pub struct Group {
    inner: H5Group,
    file: PathBuf,
    storage: Storage,
}

impl Group {
    /// Makes a group inside this one.
    pub fn group(&self, name: &str) -> Result<Group> {
        let inner = self.inner.create_group(name).map_err(failed(&self.file))?;
        Ok(Group { inner, file: self.file.clone(), storage: self.storage })
    }

    /// Sets a text attribute.
    pub fn text(&self, name: &str, value: &str) -> Result<()> {
        self.inner.set_attr_string(name, value).map_err(failed(&self.file))
    }

    /// Sets an attribute of several texts.
    pub fn texts(&self, name: &str, values: &[&str]) -> Result<()> {
        self.inner.set_attr_string_array(name, values).map_err(failed(&self.file))
    }

    /// Sets a numeric attribute.
    pub fn number<T: H5Type>(&self, name: &str, value: T) -> Result<()> {
        self.inner.set_attr_numeric(name, &value).map_err(failed(&self.file))
    }

    /// Sets an attribute of several numbers.
    pub fn numbers<T: H5Type>(&self, name: &str, values: &[T]) -> Result<()> {
        self.inner.set_attr_array_numeric(name, values).map_err(failed(&self.file))
    }

    /// Sets an attribute of an enumeration: the `value`-th of `names`.
    pub fn choice(&self, name: &str, names: &[&str], value: u8) -> Result<()> {
        let members = names
            .iter()
            .zip(0..)
            .map(|(name, value): (_, u8)| EnumMember { name: (*name).to_owned(), value: vec![value] });
        let kind = DatatypeMessage::enumeration(DatatypeMessage::u8_type(), members.collect());
        self.inner.set_attr_typed(name, kind, vec![value]).map_err(failed(&self.file))
    }

    /// Sets an attribute that refers to an object of the file, by its path.
    pub fn reference(&self, name: &str, path: &str) -> Result<()> {
        self.inner.set_attr_object_reference(name, path).map_err(failed(&self.file))
    }

    /// Gives an object of the file a second name in this group.
    pub fn link(&self, name: &str, path: &str) -> Result<()> {
        self.inner.link(name, path).map_err(failed(&self.file))
    }

    /// Makes a dataset of a shape, to be filled in order with [`Dataset::append`].
    pub fn dataset<T: H5Type>(&self, name: &str, shape: &[usize]) -> Result<Dataset> {
        let builder = self.inner.new_dataset::<T>().shape(shape);
        let builder = match self.storage {
            Storage::Deflated if shape.iter().product::<usize>() > 0 => {
                let mut chunk = shape.to_vec();
                chunk[0] = (CHUNK / chunk[1..].iter().product::<usize>()).clamp(1, chunk[0]);
                builder.chunk(&chunk).shuffle_deflate(4)
            }
            _ => builder,
        };
        let inner = builder.create(name).map_err(failed(&self.file))?;
        Ok(Dataset { inner, file: self.file.clone(), shape: shape.to_vec(), n_rows: 0 })
    }

    /// Makes a dataset of one dimension and fills it.
    pub fn column<T: H5Type>(&self, name: &str, values: &[T]) -> Result<Dataset> {
        let mut column = self.dataset::<T>(name, &[values.len()])?;
        column.append(values)?;
        Ok(column)
    }

    /// Makes a dataset of texts.
    pub fn text_column(&self, name: &str, values: &[&str]) -> Result<Dataset> {
        let inner = self.inner.write_vlen_strings(name, values).map_err(failed(&self.file))?;
        Ok(Dataset { inner, file: self.file.clone(), shape: vec![values.len()], n_rows: values.len() })
    }

    /// Makes a dataset of one text.
    pub fn scalar_text(&self, name: &str, value: &str) -> Result<Dataset> {
        let value = if value.is_empty() { "\0" } else { value };
        let kind = DatatypeMessage::fixed_string_utf8(value.len() as u32);
        let builder = self.inner.new_dataset::<u8>().scalar().datatype(kind);
        let inner = builder.create(name).map_err(failed(&self.file))?;
        inner.write_raw_bytes(value.as_bytes()).map_err(failed(&self.file))?;
        Ok(Dataset { inner, file: self.file.clone(), shape: vec![], n_rows: 1 })
    }
}

/// A dataset of a file being written.
pub struct Dataset {
    inner: H5Dataset,
    file: PathBuf,
    shape: Vec<usize>,
    n_rows: usize,
}

impl Dataset {
    /// Writes whole rows after those that were written before.
    pub fn append<T: H5Type>(&mut self, values: &[T]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let row_len: usize = self.shape[1..].iter().product();
        let (mut starts, mut counts) = (vec![0; self.shape.len()], self.shape.clone());
        starts[0] = self.n_rows;
        counts[0] = values.len() / row_len;
        self.inner.write_slice(&starts, &counts, values).map_err(failed(&self.file))?;
        self.n_rows += counts[0];
        Ok(())
    }

    /// Sets a text attribute.
    pub fn text(&self, name: &str, value: &str) -> Result<()> {
        let attribute = self.inner.new_attr::<VarLenUnicode>().shape(()).create(name);
        attribute.and_then(|a| a.write_string(value)).map_err(failed(&self.file))
    }

    /// Sets a numeric attribute.
    pub fn number<T: H5Type>(&self, name: &str, value: T) -> Result<()> {
        let attribute = self.inner.new_attr::<T>().shape(()).create(name);
        attribute.and_then(|a| a.write_numeric(&value)).map_err(failed(&self.file))
    }

    /// Sets an attribute that refers to an object of the file, by its path.
    pub fn reference(&self, name: &str, path: &str) -> Result<()> {
        let attribute = self.inner.new_attr::<u64>().shape(()).create(name);
        attribute.and_then(|a| a.write_object_references(&[path])).map_err(failed(&self.file))
    }
}

//! HDF5: columns, attributes, enumerations and links of files of others, read ([`Hdf5`]) and written ([`write()`]).
//!
//! Two thin layers over `rust-hdf5` that turn its errors into ours.

mod read;
mod write;

pub use read::{Column, Hdf5};
pub use write::{Dataset, Group, Storage, write};

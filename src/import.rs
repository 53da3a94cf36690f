//! From other people's files to what a scene names.

pub mod dpointnet;
pub mod neuropixels;

//! Pure mathematics of the model: no files, no device.

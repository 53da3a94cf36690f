//! Readers of the tables in `scenes/v1/`: typed, with units, and with errors that name file, line and column.

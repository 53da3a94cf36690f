//! Readers of other crates that panic on a damaged file: the panic becomes an error that names the file.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{Error, Result, one_line};

thread_local! {
    static CATCHES: Cell<bool> = const { Cell::new(false) };
}

/// Calls the reader of another crate on what `file` holds. What this project asserts does not belong in here: it would pass for damage.
///
/// # Errors
/// Those of `read`, and a panic of it, as damage of the file.
pub fn catch_panics<T>(file: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = CATCHES.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(read));
    CATCHES.set(outer);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(Error::file(file, format!("is damaged: its reader gave up ({})", one_line(text))))
    })
}

/// Whether this thread is within [`catch_panics`], so that a panic is no fault of the program.
pub fn catches_panics() -> bool {
    CATCHES.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_damage_of_the_file_and_other_results_pass() {
        let file = Path::new("broken.bin");
        let length = std::hint::black_box(3_usize);
        let error = catch_panics(file, || Ok([1, 2][length])).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let message = error.to_string();
        assert!(message.starts_with("broken.bin: is damaged") && message.contains("index is 3"), "{message}");
        assert!(!catches_panics());
        assert!(catch_panics(file, || Ok(catches_panics())).unwrap());
        assert!(catch_panics::<()>(file, || Err(Error::file(file, "no such column"))).is_err());
    }
}

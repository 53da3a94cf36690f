//! The shim of `shim.c`, which is preloaded into a program to disturb what it does with files.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the shim into `folder`; `root` is the project's.
pub(crate) fn compiled(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let shim = folder.join("shim.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let made = Command::new(compiler)
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([&shim, &root.join("tools/campaign/shim.c")])
        .arg("-ldl")
        .status()
        .map_err(|e| format!("the shim needs a C compiler: {e}"))?;
    if made.success() { Ok(shim) } else { Err("the shim does not compile".to_owned()) }
}

//! Tells the program which git revision it was built from (`SIMRUN_GIT_REVISION`), where there is one, and the tests whether
//! the large published data sets are at hand.

use std::process::Command;

fn main() {
    published_data();
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(revision) = git(&["rev-parse", "HEAD"]) {
        println!("cargo:rustc-env=SIMRUN_GIT_REVISION={revision}");
    }
    // HEAD changes on a checkout, its log on every commit.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

/// Sets `published_data` where `SIMRUN_SHARED_DATA`, or else `../shared/data`, is a folder: tests that need it are ignored elsewhere.
/// `SIMRUN_REQUIRE_DATA` sets it always, so that a missing folder fails.
fn published_data() {
    println!("cargo:rustc-check-cfg=cfg(published_data)");
    for variable in ["SIMRUN_SHARED_DATA", "SIMRUN_REQUIRE_DATA"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let folder = std::env::var_os("SIMRUN_SHARED_DATA").unwrap_or_else(|| "../shared/data".into());
    if std::env::var_os("SIMRUN_REQUIRE_DATA").is_some() || std::path::Path::new(&folder).is_dir() {
        println!("cargo:rustc-cfg=published_data");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

//! Recorded rates and selectivity from a user's own recordings, as the tables that a scene's `recordings` names.
//!
//! A recording is a table of units (CSV, with the columns of the published table) or NWB files of sessions (units with spike times,
//! intervals of the stimuli). Sessions are split into training and held-out ones, units pooled into cell types, and distributions
//! taken by the rules with which `tools/derive_tables.py` derived the shipped tables: from the published table of units come the shipped targets.

mod derive;
mod nwb;
mod tables;
mod units;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::output::{NewFolder, replace_file};

pub use units::Unit;

/// Cell types that recordings tell apart, as the published table names them.
const RECORDED_TYPES: [&str; 17] = [
    "L1 Htr3a", "L2/3 Exc", "L2/3 PV", "L2/3 SST", "L2/3 VIP", "L4 Exc", "L4 PV", "L4 SST", "L4 VIP",
    "L5 Exc", "L5 PV", "L5 SST", "L5 VIP", "L6 Exc", "L6 PV", "L6 SST", "L6 VIP",
];

/// What an import found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Units used.
    pub n_units: usize,
    /// Units left out, by reason.
    pub left_out: Vec<(String, usize)>,
    /// Sessions.
    pub n_sessions: usize,
    /// Of these, the held-out ones.
    pub n_held_out: usize,
    /// Cell types and quantities without a target: too few units in any pool.
    pub without_target: Vec<String>,
    /// Names of the files written.
    pub files: Vec<&'static str>,
}

/// Reads recordings and writes the tables into a new folder. `location` is the start of the name of the area whose units of NWB files are
/// used, e.g. `VISp`.
///
/// # Errors
/// A folder that exists, a file that is no recording, recordings without a unit of a known cell type.
pub fn import(files: &[PathBuf], location: &str, out: &Path) -> Result<Report> {
    if out.exists() {
        let limit = "exists; an import overwrites nothing: name another folder";
        return Err(Error::field("command line", "--out", out.display(), limit));
    }
    let mut units = Vec::new();
    let mut left_out: Vec<(String, usize)> = Vec::new();
    for file in files {
        let (found, without) = match file.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
            Some("csv") => units::read(file)?,
            Some("nwb" | "h5") => nwb::read(file, location)?,
            _ => return Err(Error::file(file, "must be a table of units (.csv) or an NWB file (.nwb)")),
        };
        if let Some(twice) =
            found.iter().find(|unit| units.iter().any(|u: &Unit| u.session_id == unit.session_id))
        {
            let reason = format!("session '{}' was in a file before this one", twice.session_id);
            return Err(Error::file(file, reason));
        }
        units.extend(found);
        for (reason, n) in without {
            match left_out.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, total)) => *total += n,
                None => left_out.push((reason, n)),
            }
        }
    }
    if units.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        let reason = format!("no unit of a known cell type ({})", reasons.join("; "));
        return Err(Error::file(&files[0], reason));
    }
    let derived = derive::derive(&units);
    let source: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let written = tables::write(&derived, &source.join(", "));
    let folder = NewFolder::begin(out)?;
    for (name, text) in &written {
        replace_file(&folder.path().join(name), text.as_bytes())?;
    }
    folder.finish()?;
    Ok(Report {
        n_units: units.len(),
        left_out,
        n_sessions: derived.sessions.len(),
        n_held_out: derived.sessions.iter().filter(|s| s.held_out).count(),
        without_target: derived.without_target,
        files: written.into_iter().map(|(name, _)| name).collect(),
    })
}

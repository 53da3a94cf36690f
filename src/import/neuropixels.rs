//! Recorded rates and selectivity from a user's own recordings, as the tables that a scene's `recordings` names.
//!
//! A recording is a table of units (CSV, with the columns of the published table) or NWB files of sessions (units with spike times,
//! intervals of the stimuli). Sessions are split into training and held-out ones, units pooled into cell types, and distributions
//! taken by the rules with which `tools/derive_tables.py` derived the shipped tables: from the published table of units come the shipped targets.

mod derive;
mod layers;
mod nwb;
mod tables;
mod units;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::output::{NewFolder, replace_file};

pub use derive::Part;
pub use units::Unit;

use layers::Layers;
use units::{Found, Keys};

/// The area whose units of NWB files are used where none is named.
const DEFAULT_LOCATION: &str = "VISp";

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
    /// Units and presentations left out, by reason.
    pub left_out: Vec<(String, usize)>,
    /// What else the user should know, a line each.
    pub notes: Vec<String>,
    /// Sessions.
    pub n_sessions: usize,
    /// Of these, the held-out ones.
    pub n_held_out: usize,
    /// Cell types and quantities without a target: too few units in any pool.
    pub without_target: Vec<String>,
    /// Names of the files written.
    pub files: Vec<&'static str>,
}

/// Reads recordings and writes the tables into a new folder. `location` is the area whose units are used, alone or with a
/// layer behind its name; None: `VISp` of NWB files, all units of tables of units. `layers` is a table that adds layers
/// or cell types to units of NWB files. `part` takes a part of the training sessions alone; the held-out ones are the same for all parts.
///
/// # Errors
/// A folder that exists, a file that is no recording, a unit that is in two files, recordings without a unit of a known cell type.
pub fn import(
    files: &[PathBuf],
    location: Option<&str>,
    layers: Option<&Path>,
    part: Option<Part>,
    out: &Path,
) -> Result<Report> {
    if out.exists() {
        let limit = "exists; an import overwrites nothing: name another folder";
        return Err(Error::field("command line", "--out", out.display(), limit));
    }
    let layers = layers.map(Layers::read).transpose()?;
    let (mut units, mut notes) = (Vec::new(), Vec::new());
    let mut left_out: Vec<(String, usize)> = Vec::new();
    let mut sessions = Sessions::default();
    let mut contrasts: Vec<f64> = Vec::new();
    for file in files {
        let found = match file.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
            Some("csv") => units::read(file, location)?,
            Some("nwb" | "h5") => nwb::read(file, location, layers.as_ref())?,
            _ => return Err(Error::file(file, "must be a table of units (.csv) or an NWB file (.nwb)")),
        };
        sessions.add(file, &found, layers.as_ref())?;
        contrasts.extend(found.contrast.filter(|c| c.is_finite() && !contrasts.contains(c)));
        units.extend(found.units);
        notes.extend(found.notes);
        for (reason, n) in found.left_out {
            match left_out.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, total)) => *total += n,
                None => left_out.push((reason, n)),
            }
        }
    }
    if contrasts.len() > 1 {
        let all: Vec<String> = contrasts.iter().map(ToString::to_string).collect();
        notes.push(format!("the files' gratings are of different contrasts: {}", all.join(", ")));
    }
    if units.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        let advice = match layers.is_none() && reasons.iter().any(|reason| reason.contains("names no layer"))
        {
            true => {
                "; areas without layers, as in Allen's Visual Coding files, need a column units/cell_type, or --layers TABLE.csv with the columns unit_id and layer or cell_type"
            }
            false => "",
        };
        let reason = format!("no unit of a known cell type ({}){advice}", reasons.join("; "));
        return Err(Error::file(&files[0], reason));
    }
    let derived = derive::derive(&units, part);
    if let (Some(Part { number, of }), false) = (part, derived.sessions.iter().any(|s| !s.held_out)) {
        let limit = "has no training session: the recordings have too few for so many parts";
        return Err(Error::field("command line", "--part", format!("{number}/{of}"), limit));
    }
    let mut source: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    source.extend(part.map(|Part { number, of }| format!("part {number} of {of} of the training sessions")));
    let written = tables::write(&derived, &source.join(", "));
    let folder = NewFolder::begin(out)?;
    for (name, text) in &written {
        replace_file(&folder.path().join(name), text.as_bytes())?;
    }
    folder.finish()?;
    Ok(Report {
        n_units: derived.sessions.iter().map(|s| s.n_units.iter().sum::<usize>()).sum(),
        left_out,
        notes,
        n_sessions: derived.sessions.len(),
        n_held_out: derived.sessions.iter().filter(|s| s.held_out).count(),
        without_target: derived.without_target,
        files: written.into_iter().map(|(name, _)| name).collect(),
    })
}

/// What the files before held, so that no unit counts twice: the files of several probes may be of one session.
#[derive(Default)]
struct Sessions {
    seen: HashMap<String, (PathBuf, Keys)>,
    session_of_unit_id: HashMap<i64, String>,
}

impl Sessions {
    fn add(&mut self, file: &Path, found: &Found, layers: Option<&Layers>) -> Result<()> {
        for (session, keys) in &found.sessions {
            let Some((before, known)) = self.seen.get_mut(session) else {
                self.seen.insert(session.clone(), (file.to_path_buf(), keys.clone()));
                continue;
            };
            let n_twice = match (&mut *known, keys) {
                (Keys::Trains(known), Keys::Trains(keys)) => {
                    let n_twice = known.intersection(keys).count();
                    known.extend(keys);
                    n_twice
                }
                (Keys::Ids(known), Keys::Ids(keys)) => {
                    let n_twice = known.intersection(keys).count();
                    known.extend(keys.iter().cloned());
                    n_twice
                }
                _ => {
                    let reason = format!(
                        "session '{session}' was in a file before this one ({}), and nothing tells whether these are the same units",
                        before.display()
                    );
                    return Err(Error::file(file, reason));
                }
            };
            if n_twice > 0 {
                let before = before.display();
                let reason = format!(
                    "{n_twice} units of session '{session}' were in a file before this one ({before})"
                );
                return Err(Error::file(file, reason));
            }
        }
        if layers.is_some_and(Layers::goes_by_id_alone) {
            let Some((session, _)) = found.sessions.first() else { return Ok(()) };
            for id in &found.unit_ids {
                let other =
                    self.session_of_unit_id.insert(*id, session.clone()).filter(|other| other != session);
                if let Some(other) = other {
                    let reason = format!(
                        "unit {id} is in session '{session}' and in '{other}': the table of --layers needs a column session_id"
                    );
                    return Err(Error::file(file, reason));
                }
            }
        }
        Ok(())
    }
}

//! The report of a run, `report.html` in its folder: one page that loads nothing. And several runs side by side.

use std::path::{Path, PathBuf};

use maud::html;

use crate::error::Result;
use crate::output::replace_file;

mod compare;
mod data;
mod page;
mod plots;
mod run;
mod spikes;
mod synapses;
mod verdict;

use data::Run;

/// Writes `report.html` into a run folder from what else is there; its path.
///
/// # Errors
/// Bad input for a folder that is no run or has a file that does not read; [`crate::Error::Io`] where it cannot be written.
pub fn write(dir: &Path) -> Result<PathBuf> {
    let run = Run::read(dir)?;
    let file = dir.join("report.html");
    let head = html! {
        h1 { (run.name) }
        p.quiet { (run::headline(&run)) }
    };
    let text = page::page(&format!("{} – simrun", run.name), &head, &run::sections(&run)?);
    replace_file(&file, text.as_bytes())?;
    Ok(file)
}

/// Writes a page that compares several runs, the first being what the others are held against.
///
/// # Errors
/// As [`write()`].
pub fn write_comparison(dirs: &[PathBuf], file: &Path) -> Result<()> {
    let mut runs = dirs.iter().map(|dir| Run::read(dir)).collect::<Result<Vec<Run>>>()?;
    compare::tell_apart(&mut runs);
    let head = html! {
        h1 { "Comparison of " (runs.len()) " runs" }
        p.quiet { "Differences are to the first, " (runs[0].name) "." }
    };
    let text = page::page("Comparison of runs – simrun", &head, &compare::sections(&runs)?);
    replace_file(file, text.as_bytes())
}

/// The run folders of an experiment's folder, seed by seed; of any other folder itself alone.
///
/// # Errors
/// [`crate::Error::Io`] where an experiment's folder cannot be read.
pub fn run_folders(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.join("experiment.ron").exists() {
        return Ok(vec![dir.to_path_buf()]);
    }
    let mut runs: Vec<PathBuf> = Vec::new();
    for seed in data::folders(dir)? {
        let of_seed = data::folders(&seed)?;
        runs.extend(of_seed.into_iter().filter(|run| run.join("scene.ron").exists()));
    }
    Ok(runs)
}

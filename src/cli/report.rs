//! `simrun report RUN...`: the page of a run, or of several side by side.

use std::path::PathBuf;

use simrun::{Error, Result, report};

use super::print;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  simrun report runs/v1_4k                       rebuilds runs/v1_4k/report.html
  simrun report runs/v1_4k runs/v1_4k_2          compares two runs: comparison.html
  simrun report runs/joint_vs_single --out joint.html
                                                 compares all runs of an experiment")]
pub(super) struct ReportArguments {
    /// Run folders; the folder of an experiment stands for all its runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Page of a comparison [default: comparison.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Rebuilds the report of a run, or compares several.
pub(super) fn report(arguments: &ReportArguments) -> Result<()> {
    let mut runs = Vec::new();
    for dir in &arguments.runs {
        runs.extend(report::run_folders(dir)?);
    }
    let file = match (runs.as_slice(), &arguments.out) {
        ([], _) => return Err(Error::file(&arguments.runs[0], "is an experiment without a run")),
        ([run], None) => report::write(run)?,
        ([_], Some(file)) => {
            let limit = "is the page of a comparison; the report of one run is report.html in its folder";
            return Err(Error::field("command line", "--out", file.display(), limit));
        }
        (runs, file) => {
            let file = file.clone().unwrap_or_else(|| PathBuf::from("comparison.html"));
            report::write_comparison(runs, &file)?;
            file
        }
    };
    print(&format!("{}\n", file.display()))
}

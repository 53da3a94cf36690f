//! `metrics.jsonl`: one line a training step. A line that is broken or missing costs itself alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::StepMetrics;
use super::files::replace_open;
use crate::error::{Error, Result};

/// Name of the file in a run folder.
const FILE: &str = "metrics.jsonl";

/// The file of a run, open for the next line.
#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    open: File,
    /// Length of its whole lines, bytes.
    n_bytes: u64,
}

impl MetricsFile {
    /// Makes the file of a new run.
    pub(super) fn create(dir: &Path) -> Result<Self> {
        Self::of_text(dir, "")
    }

    /// Opens the file of a run that goes on after `training_step`. Lines of later steps are dropped: those steps are taken again.
    /// Also a word to the user where lines of earlier steps are broken or missing.
    pub(super) fn go_on(dir: &Path, training_step: u32) -> Result<(Self, Option<String>)> {
        let lines = Lines::read(&dir.join(FILE))?;
        let kept: BTreeMap<u32, String> =
            lines.of_steps.into_iter().filter(|(step, _)| (1..=training_step).contains(step)).collect();
        let missing = ranges((1..=training_step).filter(|step| !kept.contains_key(step)));
        let text: String = kept.into_values().map(|line| line + "\n").collect();
        let said = missing.map(|steps| {
            format!("{}: the lines of training steps {steps} are missing or broken", dir.join(FILE).display())
        });
        Ok((Self::of_text(dir, &text)?, said))
    }

    fn of_text(dir: &Path, text: &str) -> Result<Self> {
        let path = dir.join(FILE);
        let open = replace_open(&path, |file| file.write_all(text.as_bytes())).map_err(Error::io(&path))?;
        Ok(Self { path, open, n_bytes: text.len() as u64 })
    }

    /// Adds a line, or nothing. What fails once is tried again: a line that is lost cannot be made again.
    pub(super) fn append(&mut self, metrics: &StepMetrics) -> Result<()> {
        let mut line = serde_json::to_vec(metrics)
            .map_err(|e| Error::Failed(format!("{}: {e}", self.path.display())))?;
        line.push(b'\n');
        let mut written = self.open.write_all(&line);
        if written.is_err() && self.open.set_len(self.n_bytes).is_ok() {
            written = self.open.seek(SeekFrom::End(0)).and_then(|_| self.open.write_all(&line));
        }
        match written {
            Ok(()) => self.n_bytes += line.len() as u64,
            // Half a line would join the next; where it stays, a reader leaves it out.
            Err(_) => drop(self.open.set_len(self.n_bytes)),
        }
        written.map_err(Error::io(&self.path))
    }

    /// Waits until all lines are on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.open.sync_data().map_err(Error::io(&self.path))
    }
}

/// What the metrics of a run folder hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The training steps, in their order.
    pub steps: Vec<StepMetrics>,
    /// Numbers of lines that do not read, from 1.
    pub broken_lines: Vec<usize>,
    /// Steps before the last that have no line, e.g. `3, 7 to 9`.
    pub missing_steps: Option<String>,
}

impl Metrics {
    /// Reads the metrics of a run folder; none where there is no file. A last line without an end is that of a run that is writing
    /// it, or of one that was killed, and no fault.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub fn read(dir: &Path) -> Result<Self> {
        let lines = Lines::read(&dir.join(FILE))?;
        let mut metrics = Self { broken_lines: lines.broken, ..Self::default() };
        let last = lines.of_steps.last_key_value().map_or(0, |(step, _)| *step);
        for line in lines.of_steps.values() {
            // Numbers that are none are written as null.
            metrics.steps.extend(serde_json::from_str::<StepMetrics>(line));
        }
        let read: Vec<u32> = metrics.steps.iter().map(|m| m.step).collect();
        metrics.missing_steps = ranges((1..=last).filter(|step| read.binary_search(step).is_err()));
        Ok(metrics)
    }
}

/// The lines of a file that are JSON objects with a step, by step; of two of one step the later.
struct Lines {
    of_steps: BTreeMap<u32, String>,
    /// Numbers of the others, from 1.
    broken: Vec<usize>,
}

impl Lines {
    fn read(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.map_err(Error::io(path))?,
        };
        let mut lines = Self { of_steps: BTreeMap::new(), broken: Vec::new() };
        for (line, number) in bytes.split_inclusive(|byte| *byte == b'\n').zip(1..) {
            let step =
                serde_json::from_slice::<serde_json::Value>(line).ok().and_then(|v| v["step"].as_u64());
            let step = step.and_then(|step| u32::try_from(step).ok()).filter(|step| *step > 0);
            match (step, str::from_utf8(line)) {
                (Some(step), Ok(text)) => drop(lines.of_steps.insert(step, text.trim_end().to_owned())),
                _ if line.ends_with(b"\n") => lines.broken.push(number),
                _ => {}
            }
        }
        Ok(lines)
    }
}

/// Ascending numbers as text, e.g. `3, 7 to 9`; None for none.
fn ranges(numbers: impl Iterator<Item = u32>) -> Option<String> {
    let mut ranges: Vec<[u32; 2]> = Vec::new();
    for n in numbers {
        match ranges.last_mut() {
            Some([_, last]) if *last + 1 == n => *last = n,
            _ => ranges.push([n, n]),
        }
    }
    let text = |[first, last]: &[u32; 2]| {
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    };
    (!ranges.is_empty()).then(|| ranges.iter().map(text).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u32) -> String {
        serde_json::to_string(&StepMetrics { step, ..StepMetrics::default() }).unwrap() + "\n"
    }

    fn kept(dir: &Path) -> Vec<u32> {
        Metrics::read(dir).unwrap().steps.iter().map(|m| m.step).collect()
    }

    #[test]
    fn a_broken_line_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let breaks: [(&[u8], usize); 4] =
            [(b"{\"step\":3,\"l\"ss\n", 3), (b"\xff\xfe\n", 3), (b"\0\0\0\0\n", 3), (b"{\"step\":0}\n", 3)];
        for (broken, number) in breaks {
            let whole: Vec<String> = (1..=6).map(line).collect();
            let bytes =
                [whole[..2].concat().as_bytes(), broken, whole[3..].concat().as_bytes(), b"{\"step\":7,"]
                    .concat();
            fs::write(&path, &bytes).unwrap();
            let metrics = Metrics::read(dir.path()).unwrap();
            assert_eq!(metrics.broken_lines, [number]);
            assert_eq!(metrics.missing_steps.as_deref(), Some("3"));
            let (mut file, said) = MetricsFile::go_on(dir.path(), 5).unwrap();
            assert!(said.as_ref().is_some_and(|text| text.contains("training steps 3 are")), "{said:?}");
            assert_eq!(kept(dir.path()), [1, 2, 4, 5]);
            file.append(&StepMetrics { step: 6, ..StepMetrics::default() }).unwrap();
            assert_eq!(kept(dir.path()), [1, 2, 4, 5, 6]);
            assert_eq!(fs::read_to_string(&path).unwrap(), [&whole[..2], &whole[3..]].concat().concat());
        }
    }

    #[test]
    fn lines_of_steps_that_are_taken_again_are_dropped_without_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let text = line(1) + &line(2) + &line(2).replace("0.0", "1.0") + &line(3) + "{\"step\":4,";
        fs::write(dir.path().join(FILE), text).unwrap();
        let (_, said) = MetricsFile::go_on(dir.path(), 2).unwrap();
        assert_eq!(said, None);
        let metrics = Metrics::read(dir.path()).unwrap();
        assert!(metrics.steps.len() == 2 && metrics.steps[1].total_loss == 1.0, "{metrics:?}");
        assert_eq!((metrics.broken_lines, metrics.missing_steps), (vec![], None));
    }

    #[test]
    fn a_lost_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Metrics::read(dir.path()).unwrap(), Metrics::default());
        let (_, said) = MetricsFile::go_on(dir.path(), 9).unwrap();
        assert!(said.as_ref().is_some_and(|text| text.contains("steps 1 to 9 are")), "{said:?}");
        assert_eq!(ranges([1, 2, 4, 7, 8, 9].into_iter()).as_deref(), Some("1 to 2, 4, 7 to 9"));
        let (_, said) = MetricsFile::go_on(dir.path(), 0).unwrap();
        assert_eq!(said, None);
    }
}

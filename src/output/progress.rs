//! What a training step reports, and how it is shown: a bar on a terminal, plain lines elsewhere.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{for_terminal, is_warning};
use crate::results::StepMetrics;

/// Says a line on stderr, control characters of names escaped. Where nobody can hear it any more (a closed terminal, a full disk), that is
/// no reason to stop.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", for_terminal(&text.to_string()));
}

/// Shows the training steps on stderr.
pub struct Progress {
    shown: Shown,
    started: Instant,
    n_steps: u32,
    n_done: u32,
}

enum Shown {
    Bar(ProgressBar),
    Lines,
    Warnings,
    Nothing,
}

impl Progress {
    /// No training step yet; `quiet` shows nothing but warnings.
    pub fn new(quiet: bool) -> Self {
        Self::showing(if quiet { Shown::Warnings } else { Shown::Lines })
    }

    /// The same of one of several processes: the first of them speaks for all, the others show nothing at all.
    pub fn of_rank(is_first: bool, quiet: bool) -> Self {
        if is_first { Self::new(quiet) } else { Self::showing(Shown::Nothing) }
    }

    fn showing(shown: Shown) -> Self {
        Self { shown, started: Instant::now(), n_steps: 0, n_done: 0 }
    }

    /// From now on `n_steps` training steps are taken.
    pub fn start(&mut self, n_steps: u32) {
        if matches!(self.shown, Shown::Lines) && std::io::stderr().is_terminal() {
            self.shown = Shown::Bar(bar(n_steps));
        }
        (self.n_steps, self.started) = (n_steps, Instant::now());
    }

    /// Shows a finished training step.
    pub fn show(&mut self, metrics: &StepMetrics) {
        self.n_done += 1;
        let left_s = self.started.elapsed().as_secs_f64() / f64::from(self.n_done)
            * f64::from(self.n_steps - self.n_done);
        let text = format!("{}  {} left", describe(metrics), duration_text(left_s));
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_message(text);
                bar.inc(1);
            }
            Shown::Lines => {
                say(format_args!("step {} ({}/{})  {text}", metrics.step, self.n_done, self.n_steps))
            }
            Shown::Warnings | Shown::Nothing => {}
        }
    }

    /// Says something between two steps; ANSI colours are shown only on a terminal and without `NO_COLOR`, control characters of names
    /// never. A warning is said even where nothing else is.
    pub fn say(&self, text: &str) {
        let text = &*for_terminal(text);
        let text = match AutoStream::choice(&std::io::stderr()) {
            ColorChoice::Never => Cow::Owned(strip_str(text).to_string()),
            _ => Cow::Borrowed(text),
        };
        match &self.shown {
            Shown::Bar(bar) => bar.println(text),
            Shown::Lines => say(text),
            Shown::Warnings if is_warning(&text) => say(text),
            Shown::Warnings | Shown::Nothing => {}
        }
    }

    /// Says that a phase of the run begins, which may take long; [`Phase::done`] says how long it took.
    pub fn phase(&self, what: &str) -> Phase<'_> {
        self.say(&format!("{what} .."));
        Phase { progress: self, what: what.to_owned(), started: Instant::now() }
    }

    /// Leaves the bar as it is, below what was said.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.abandon();
        }
    }
}

/// A phase under way.
pub struct Phase<'a> {
    progress: &'a Progress,
    what: String,
    started: Instant,
}

impl Phase<'_> {
    /// Says what came of it and how long it took; `result` may be empty.
    pub fn done(self, result: &str) {
        let Self { progress, what, started } = self;
        let result = if result.is_empty() { String::new() } else { format!(": {result}") };
        progress.say(&format!("{what}{result} ({:.1} s)", started.elapsed().as_secs_f64()));
    }
}

fn bar(n_steps: u32) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(n_steps));
    // A style that indicatif cannot parse would only cost its looks.
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {bar:20} {wide_msg}") {
        bar.set_style(style);
    }
    bar.tick();
    bar
}

fn describe(metrics: &StepMetrics) -> String {
    let terms: Vec<String> =
        metrics.losses.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
    let ms = &metrics.ms;
    let exchange = if ms.ranks > 0.0 { format!("{:.0} exchange ", ms.ranks) } else { String::new() };
    format!(
        "loss {} ({})  rates {:.2} evoked {:.2} grey Hz  ms {:.0} forward {:.0} adjoint {exchange}{:.0} update",
        short(metrics.total_loss),
        terms.join(", "),
        metrics.mean_rate_evoked_hz,
        metrics.mean_rate_spontaneous_hz,
        ms.stimulus + ms.settling + ms.forward,
        ms.adjoint + ms.pairs,
        ms.update,
    )
}

/// Four decimals, or the power of ten of a term that is small beside the others.
fn short(value: f64) -> String {
    if value == 0.0 || value.abs() >= 0.01 { format!("{value:.4}") } else { format!("{value:.1e}") }
}

fn duration_text(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..=99 => format!("{s} s"),
        100..=5999 => format!("{} min", s.div_ceil(60)),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let texts = [0.4, 99.0, 100.0, 5999.0, 6000.0, 36_060.0].map(duration_text);
        assert_eq!(texts, ["0 s", "99 s", "2 min", "100 min", "1 h 40 min", "10 h 01 min"]);
    }
}

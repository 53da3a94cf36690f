//! What a training step reports, and how it is shown: a bar on a terminal, plain lines elsewhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Instant;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::error::for_terminal;

/// Wall-clock time of the phases of a training step, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseMs {
    /// Rates of the LGN units.
    pub stimulus: f64,
    /// Forward pass.
    pub forward: f64,
    /// Losses and adjoint pass, with recomputation.
    pub adjoint: f64,
    /// Paired recordings, forward and back; 0 without their term.
    pub pairs: f64,
    /// Update of the parameters.
    pub update: f64,
}

impl PhaseMs {
    /// Of the whole step.
    pub fn total(&self) -> f64 {
        self.stimulus + self.forward + self.adjoint + self.pairs + self.update
    }
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepMetrics {
    /// Training step, from 1.
    pub step: u32,
    /// Each loss term by name, weight included.
    pub losses: BTreeMap<String, f64>,
    /// Sum of the terms.
    pub total_loss: f64,
    /// Mean rate per cell type over the step's evoked and spontaneous trials, Hz.
    pub mean_rate_hz: BTreeMap<String, f64>,
    /// Mean rate of all neurons in evoked trials, Hz.
    pub mean_rate_evoked_hz: f64,
    /// Mean rate of all neurons in spontaneous trials, Hz.
    pub mean_rate_spontaneous_hz: f64,
    /// Norm of the weights' gradient, before clipping.
    pub gradient_norm: f64,
    /// Time of each phase, ms.
    pub ms: PhaseMs,
    /// Device memory in use, bytes.
    pub device_bytes: u64,
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
    Nothing,
}

impl Progress {
    /// No training step yet; `quiet` never shows anything.
    pub fn new(quiet: bool) -> Self {
        let shown = if quiet { Shown::Nothing } else { Shown::Lines };
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
            Shown::Lines => eprintln!("step {} ({}/{})  {text}", metrics.step, self.n_done, self.n_steps),
            Shown::Nothing => {}
        }
    }

    /// Says something between two steps; ANSI colours are shown only on a terminal and without `NO_COLOR`, control characters of names
    /// never.
    pub fn say(&self, text: &str) {
        let text = &*for_terminal(text);
        let text = match AutoStream::choice(&std::io::stderr()) {
            ColorChoice::Never => Cow::Owned(strip_str(text).to_string()),
            _ => Cow::Borrowed(text),
        };
        match &self.shown {
            Shown::Bar(bar) => bar.println(text),
            Shown::Lines => eprintln!("{text}"),
            Shown::Nothing => {}
        }
    }

    /// Leaves the bar as it is, below what was said.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.abandon();
        }
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
    format!(
        "loss {} ({})  rates {:.2} evoked {:.2} grey Hz  ms {:.0} forward {:.0} adjoint {:.0} update",
        short(metrics.total_loss),
        terms.join(", "),
        metrics.mean_rate_evoked_hz,
        metrics.mean_rate_spontaneous_hz,
        ms.stimulus + ms.forward,
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

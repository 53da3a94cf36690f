//! The errors of every model beside held-out data, over seeds: numbers, a table and a figure.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::{UNTRAINED, figure};
use crate::error::Result;
use crate::evaluate::{contrast_class_error, fano_error, mean_similarities, rate_misses};
use crate::output::replace_file;
use crate::results::{PairErrors, Summary};

/// Errors of one run; smaller is better.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelErrors {
    /// Seed of the starting network.
    pub seed: u64,
    /// Model.
    pub model: String,
    /// 1 - similarity to held-out sessions: mean of those below.
    pub function: f64,
    /// 1 - mean similarity over cell types of evoked rates, spontaneous rates, OSI, DSI; None where there is none.
    pub by_quantity: [Option<f64>; 4],
    /// Root mean square over held-out measured pairs of the errors of mean and standard deviation of ln(peak).
    pub electrophysiology: f64,
    /// The same over the pairs that training may see.
    pub electrophysiology_trained: f64,
    /// Mean W1 of the logarithms of weights between excitatory types to the spread of EM sizes, by edges.
    pub structure: f64,
    /// Distance of the shares of contrast-response classes to held-out sessions, mean over cell types; None where no other contrast was
    /// shown. Like the next, of what the base scene does not train.
    pub contrast_classes: Option<f64>,
    /// Root mean square error of the logarithm of population Fano factors beside held-out sessions; None where they were not measured.
    pub fano: Option<f64>,
    /// Mean of function, electrophysiology (held-out pairs) and structure, each over that of the untrained network of the seed.
    pub relative: Option<f64>,
    /// Median rates of pyramidal, PV and SST types within the recorded interquartile range (held-out sessions).
    pub n_rates_within: usize,
    /// Of so many.
    pub n_rates: usize,
    /// Those outside: cell type, trials, model's median, recorded quartiles, Hz.
    pub rates_outside: Vec<String>,
}

/// All errors so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Results {
    /// One entry a run.
    pub runs: Vec<ModelErrors>,
}

/// 0.975 quantiles of Student's t for 1, 2, .. degrees of freedom, and of the normal distribution beyond.
const T_975: [f64; 20] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086,
];
const Z_975: f64 = 1.96;

/// One error of a run.
pub(super) type Value = fn(&ModelErrors) -> Option<f64>;

/// Columns of the table: heading and value.
pub(super) const COLUMNS: [(&str, Value); 11] = [
    ("function", |e| Some(e.function)),
    ("evoked", |e| e.by_quantity[0]),
    ("spontaneous", |e| e.by_quantity[1]),
    ("OSI", |e| e.by_quantity[2]),
    ("DSI", |e| e.by_quantity[3]),
    ("PSP, held-out pairs", |e| Some(e.electrophysiology)),
    ("PSP, trained pairs", |e| Some(e.electrophysiology_trained)),
    ("EM weights", |e| Some(e.structure)),
    ("contrast classes", |e| e.contrast_classes),
    ("population Fano", |e| e.fano),
    ("relative to untrained", |e| e.relative),
];

impl Results {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, model: &str, summary: &Summary) {
        let by_quantity = mean_similarities(&summary.held_out).map(|s| s.map(|s| 1.0 - s));
        let known: Vec<f64> = by_quantity.iter().flatten().copied().collect();
        let pairs = |held_out: bool| pair_error(summary.pairs.iter().filter(|p| p.held_out == held_out));
        let n_edges: u64 = summary.weights.iter().map(|w| w.model.n).sum();
        let distances: f64 = summary.weights.iter().map(|w| w.model.n as f64 * w.distance).sum();
        let (n_rates, misses) = rate_misses(&summary.held_out);
        let mut errors = ModelErrors {
            seed,
            model: model.to_owned(),
            function: known.iter().sum::<f64>() / known.len() as f64,
            by_quantity,
            electrophysiology: pairs(true),
            electrophysiology_trained: pairs(false),
            structure: distances / n_edges as f64,
            contrast_classes: contrast_class_error(&summary.held_out_curves.contrast),
            fano: fano_error(&summary.held_out_fano),
            relative: None,
            n_rates_within: n_rates - misses.len(),
            n_rates,
            rates_outside: misses,
        };
        let start = self.runs.iter().find(|e| e.seed == seed && e.model == UNTRAINED).unwrap_or(&errors);
        let ratios = [
            errors.function / start.function,
            errors.electrophysiology / start.electrophysiology,
            errors.structure / start.structure,
        ];
        errors.relative = Some(ratios.iter().sum::<f64>() / 3.0).filter(|r| r.is_finite());
        self.runs.push(errors);
    }

    /// Models in the order in which they ran first.
    pub(super) fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !models.contains(&run.model.as_str()) {
                models.push(&run.model);
            }
        }
        models
    }

    /// Values of a column for a model, one a seed.
    pub(super) fn values(&self, model: &str, value: Value) -> Vec<f64> {
        self.runs.iter().filter(|run| run.model == model).filter_map(value).collect()
    }

    /// The tables: errors, mean and standard deviation over seeds; then what sets the first model trained apart from each other one.
    pub fn markdown(&self) -> String {
        self.table_of_errors() + &self.table_of_differences()
    }

    fn table_of_errors(&self) -> String {
        let mut text = String::from("| model | seeds |");
        for (name, _) in COLUMNS {
            let _ = write!(text, " {name} |");
        }
        text.push_str(" rates within IQR |\n|---|---|");
        text.push_str(&"---|".repeat(COLUMNS.len() + 1));
        text.push('\n');
        for model in self.models() {
            let runs: Vec<&ModelErrors> = self.runs.iter().filter(|run| run.model == model).collect();
            let _ = write!(text, "| {model} | {} |", runs.len());
            for (_, value) in COLUMNS {
                let _ = write!(text, " {} |", mean_and_sd(&self.values(model, value)));
            }
            let [within, all] = [|e: &&ModelErrors| e.n_rates_within, |e: &&ModelErrors| e.n_rates]
                .map(|n| runs.iter().map(n).sum::<usize>());
            let _ = writeln!(text, " {within} of {all} |");
        }
        text
    }

    /// Error of the first model trained minus that of each other one on the same seed: mean of the paired differences and the half width of
    /// their 95 % interval (Student's t). Empty with less than two seeds or models.
    fn table_of_differences(&self) -> String {
        let models = self.models();
        let Some(first) = models.iter().find(|model| **model != UNTRAINED) else { return String::new() };
        let mut text = format!("\n| {first} minus | seeds |");
        for (name, _) in COLUMNS {
            let _ = write!(text, " {name} |");
        }
        let _ = write!(text, "\n|---|---|{}\n", "---|".repeat(COLUMNS.len()));
        let mut n_rows = 0;
        for other in models.iter().filter(|model| *model != first) {
            let n_seeds = self.differences(first, other, |_| Some(0.0)).len();
            if n_seeds < 2 {
                continue;
            }
            let _ = write!(text, "| {other} | {n_seeds} |");
            for (_, value) in COLUMNS {
                let _ = write!(text, " {} |", mean_and_interval(&self.differences(first, other, value)));
            }
            text.push('\n');
            n_rows += 1;
        }
        if n_rows == 0 { String::new() } else { text }
    }

    /// Differences of a column between two models, one a seed that both have.
    fn differences(&self, model: &str, other: &str, value: Value) -> Vec<f64> {
        let of_model = self.runs.iter().filter(|run| run.model == model);
        let pairs = of_model.filter_map(|run| {
            let other = self.runs.iter().find(|r| r.model == other && r.seed == run.seed)?;
            Some(value(run)? - value(other)?)
        });
        pairs.collect()
    }

    /// Replaces `results.json`, `results.md` and `figure.svg` of a folder.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        replace_file(&dir.join("results.json"), json.as_bytes())?;
        replace_file(&dir.join("results.md"), self.markdown().as_bytes())?;
        replace_file(&dir.join("figure.svg"), figure::draw(self)?.as_bytes())
    }
}

/// Root mean square error of mean and standard deviation of ln(peak) over measured pairs.
fn pair_error<'a>(pairs: impl Iterator<Item = &'a PairErrors>) -> f64 {
    let squares: Vec<f64> = pairs
        .filter(|pair| pair.model.n > 1)
        .map(|pair| {
            (pair.model.log_mean - pair.recorded_log_mean).powi(2)
                + (pair.model.log_sd - pair.recorded_log_sd).powi(2)
        })
        .collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// Mean and standard deviation (n - 1) of a few values.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

fn mean_and_sd(values: &[f64]) -> String {
    match (values.len(), moments(values)) {
        (0, _) => "-".to_owned(),
        (1, (mean, _)) => format!("{mean:.3}"),
        (_, (mean, sd)) => format!("{mean:.3} ± {sd:.3}"),
    }
}

fn mean_and_interval(values: &[f64]) -> String {
    let n = values.len();
    if n < 2 {
        return "-".to_owned();
    }
    let (mean, sd) = moments(values);
    let t = T_975.get(n - 2).copied().unwrap_or(Z_975);
    format!("{mean:+.3} ± {:.3}", t * sd / (n as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, model: &str, function: f64) -> ModelErrors {
        ModelErrors {
            seed,
            model: model.to_owned(),
            function,
            by_quantity: [Some(function), None, None, None],
            electrophysiology: 0.5,
            electrophysiology_trained: 0.5,
            structure: 0.1,
            contrast_classes: None,
            fano: (seed == 1).then_some(0.2),
            relative: Some(1.0),
            n_rates_within: 1,
            n_rates: 1,
            rates_outside: Vec::new(),
        }
    }

    #[test]
    fn differences_are_paired_by_seed_with_an_interval() {
        let runs = vec![
            run(1, UNTRAINED, 0.5),
            run(1, "joint", 0.30),
            run(1, "function", 0.31),
            run(2, "joint", 0.40),
            run(2, "function", 0.43),
            run(3, "joint", 0.20),
        ];
        let table = Results { runs }.table_of_differences();
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| function")).collect();
        // Differences of -0.01 and -0.03: mean -0.02, standard error 0.01, t of one degree of freedom 12.706.
        let [row] = rows[..] else { panic!("{table}") };
        assert!(row.starts_with("| function | 2 | -0.020 ± 0.127 | -0.020 ± 0.127 | - |"), "{row}");
        // A column that one seed alone has, and a model with one seed alone, have no interval.
        assert!(row.ends_with("| - | - | +0.000 ± 0.000 |"), "{row}");
        assert!(!table.contains("| untrained"), "{table}");
    }

    #[test]
    fn one_seed_has_no_differences() {
        let runs = vec![run(1, UNTRAINED, 0.5), run(1, "joint", 0.3), run(1, "function", 0.3)];
        assert_eq!(Results { runs }.table_of_differences(), "");
    }
}

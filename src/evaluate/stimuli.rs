//! Responses to images and movies: rates, the neurons that respond, how alike the trials are.

use crate::loss::statistics::mean;
use crate::network::CELL_TYPES;
use crate::results::StimulusSummary;

/// Width of the bins in which trials are compared, ms.
pub const BIN_MS: f64 = 50.0;
/// Fewest trials of either kind for which a neuron can be said to respond.
const MIN_TRIALS: usize = 4;
/// Two-sided 5 % limit of the normal distribution.
const Z_LIMIT: f64 = 1.96;

/// Spikes of one neuron in the trials of one stimulus, and in as many grey ones of the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NeuronTrials {
    /// Spikes in each bin of each trial of the stimulus, `[n_trials][n_bins]`.
    pub binned: Vec<Vec<u16>>,
    /// Spikes in the window of each trial of the stimulus, `[n_trials]`.
    pub shown: Vec<f64>,
    /// The same of the grey trials.
    pub grey: Vec<f64>,
}

impl NeuronTrials {
    /// Whether the counts under the stimulus and under grey differ: rank-sum test (Mann and Whitney 1947) in its normal approximation with
    /// the correction for ties, two-sided at 5 %, so that one neuron in twenty passes by chance. None below four trials.
    pub fn responds(&self) -> Option<bool> {
        let [m, n] = [self.shown.len(), self.grey.len()];
        if m.min(n) < MIN_TRIALS {
            return None;
        }
        let compare = |a: f64, b: f64| f64::from(u8::from(a > b)) + 0.5 * f64::from(u8::from(a == b));
        let u: f64 = self.shown.iter().flat_map(|a| self.grey.iter().map(move |b| compare(*a, *b))).sum();
        let [m, n] = [m as f64, n as f64];
        let all: Vec<f64> = self.shown.iter().chain(&self.grey).copied().collect();
        // Each value adds t^2 - 1, t the number of values equal to it: the sum of t^3 - t over the ties.
        let tied = |value: f64| all.iter().filter(|other| **other == value).count() as f64;
        let ties: f64 = all.iter().map(|value| tied(*value).powi(2) - 1.0).sum();
        let total = m + n;
        let variance = m * n / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
        Some((u - 0.5 * m * n).abs() > Z_LIMIT * variance.sqrt())
    }

    /// Mean correlation of the binned spikes of two trials over all pairs of trials in which both vary; None without such a pair.
    pub fn reliability(&self) -> Option<f64> {
        let standardised: Vec<Vec<f64>> =
            self.binned.iter().filter_map(|trial| standardised(trial)).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let pairs = (0..standardised.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        mean(&pairs.map(|(i, j)| dot(&standardised[i], &standardised[j])).collect::<Vec<f64>>())
    }
}

/// Deviations from the mean, scaled to unit sum of squares; None for a constant.
fn standardised(counts: &[u16]) -> Option<Vec<f64>> {
    let average = counts.iter().map(|c| f64::from(*c)).sum::<f64>() / counts.len() as f64;
    let deviations: Vec<f64> = counts.iter().map(|c| f64::from(*c) - average).collect();
    let norm = deviations.iter().map(|d| d * d).sum::<f64>().sqrt();
    (norm > 0.0).then(|| deviations.iter().map(|d| d / norm).collect())
}

/// The neurons of the core by cell type, then all together. `gratings_hz` gives the mean rate of a cell type under gratings.
pub fn summarise_stimulus(
    trials: &[NeuronTrials],
    core: &[Vec<usize>],
    window_ms: f64,
    gratings_hz: impl Fn(&str) -> Option<f64>,
) -> Vec<StimulusSummary> {
    let all: Vec<usize> = core.concat();
    let types = CELL_TYPES.iter().zip(core).map(|(name, neurons)| (*name, neurons));
    let rows = types.chain(std::iter::once(("all", &all))).filter(|(_, neurons)| !neurons.is_empty());
    rows.map(|(name, neurons)| {
        let of = |counts: fn(&NeuronTrials) -> &Vec<f64>| {
            let rates = neurons.iter().filter_map(|&n| mean(counts(&trials[n])));
            mean(&rates.collect::<Vec<f64>>()).unwrap_or(0.0) / (1e-3 * window_ms)
        };
        let responds = neurons.iter().filter_map(|&n| trials[n].responds().map(|r| f64::from(u8::from(r))));
        let reliability: Vec<f64> = neurons.iter().filter_map(|&n| trials[n].reliability()).collect();
        StimulusSummary {
            cell_type: name.to_owned(),
            n_neurons: neurons.len(),
            rate_hz: of(|t| &t.shown),
            grey_hz: of(|t| &t.grey),
            gratings_hz: gratings_hz(name),
            responsive_fraction: mean(&responds.collect::<Vec<f64>>()),
            reliability: mean(&reliability),
            n_reliability: reliability.len(),
        }
    })
    .collect()
}

/// Aligned columns, one line a cell type; `-` where there is no value.
pub fn stimulus_table(rows: &[StimulusSummary]) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    let head =
        ["cell type", "n", "Hz", "grey, Hz", "gratings, Hz", "responding", "trial corr."].map(str::to_owned);
    let lines = rows.iter().map(|row| {
        [
            row.cell_type.clone(),
            row.n_neurons.to_string(),
            number(Some(row.rate_hz)),
            number(Some(row.grey_hz)),
            number(row.gratings_hz),
            number(row.responsive_fraction),
            number(row.reliability),
        ]
    });
    let cells: Vec<[String; 7]> = std::iter::once(head).chain(lines).collect();
    let width = |column: usize| cells.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |cells: &[String; 7]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ") + "\n"
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(shown: &[f64], grey: &[f64], binned: &[&[u16]]) -> NeuronTrials {
        let binned = binned.iter().map(|trial| trial.to_vec()).collect();
        NeuronTrials { binned, shown: shown.to_vec(), grey: grey.to_vec() }
    }

    #[test]
    fn trials_that_repeat_are_reliable_and_silent_ones_say_nothing() {
        let reliability = |binned: &[&[u16]]| trials(&[], &[], binned).reliability();
        assert!((reliability(&[&[0, 2, 1], &[1, 5, 3], &[0, 4, 2]]).unwrap() - 1.0).abs() < 1e-12);
        assert!((reliability(&[&[0, 1], &[1, 0]]).unwrap() + 1.0).abs() < 1e-12);
        // By hand: deviations (-1, 0, 1) and (-2, 1, 1), cosine 3/sqrt(2 * 6).
        assert!(
            (reliability(&[&[0, 1, 2], &[0, 3, 3], &[0, 0, 0]]).unwrap() - 0.75_f64.sqrt()).abs() < 1e-12
        );
        assert_eq!(reliability(&[&[0, 0, 0], &[0, 1, 0]]), None);
    }

    #[test]
    fn a_neuron_responds_where_the_ranks_differ() {
        let responds = |shown: &[f64], grey: &[f64]| trials(shown, grey, &[]).responds();
        assert_eq!(responds(&[5.0, 6.0, 7.0, 8.0], &[1.0, 2.0, 3.0, 4.0]), Some(true));
        assert_eq!(responds(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]), Some(true));
        assert_eq!(responds(&[1.0, 4.0, 5.0, 8.0], &[2.0, 3.0, 6.0, 7.0]), Some(false));
        assert_eq!(responds(&[0.0; 5], &[0.0; 5]), Some(false));
        assert_eq!(responds(&[9.0; 3], &[0.0; 3]), None);
        // scipy.stats.mannwhitneyu of these, use_continuity=False, method="asymptotic": p = 0.0716 and p = 0.0233.
        assert_eq!(responds(&[0.0, 0.0, 1.0, 1.0, 2.0, 3.0], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), Some(false));
        assert_eq!(responds(&[0.0, 1.0, 1.0, 1.0, 2.0, 3.0], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), Some(true));
    }

    #[test]
    fn types_and_all_neurons_are_summed_up() {
        let mut core = vec![Vec::new(); CELL_TYPES.len()];
        core[1] = vec![0, 2];
        core[3] = vec![1];
        let neurons = [
            trials(&[2.0; 4], &[0.0; 4], &[&[0, 2], &[0, 1]]),
            trials(&[1.0, 0.0, 1.0, 0.0], &[1.0, 0.0, 0.0, 1.0], &[]),
            trials(&[0.0; 4], &[0.0; 4], &[]),
        ];
        let gratings = |name: &str| (name == CELL_TYPES[1]).then_some(7.0);
        let rows = summarise_stimulus(&neurons, &core, 500.0, gratings);
        let names: Vec<&str> = rows.iter().map(|row| row.cell_type.as_str()).collect();
        assert_eq!(names, [CELL_TYPES[1], CELL_TYPES[3], "all"]);
        let [first, second, all] = [&rows[0], &rows[1], &rows[2]];
        assert_eq!((first.rate_hz, first.grey_hz, first.gratings_hz), (2.0, 0.0, Some(7.0)));
        assert_eq!((first.responsive_fraction, first.n_reliability), (Some(0.5), 1));
        assert_eq!((second.rate_hz, second.grey_hz, second.reliability), (1.0, 1.0, None));
        assert_eq!((all.n_neurons, all.responsive_fraction), (3, Some(1.0 / 3.0)));
        let table = stimulus_table(&rows);
        assert_eq!(table.lines().count(), 4);
        assert!(table.lines().nth(2).unwrap().trim_end().ends_with('-'), "{table}");
    }
}

//! L11: the correlation of evoked and grey firing rates over the neurons of a cell type.
//!
//! The rates term ([`super::rates`]) asks for both distributions of rates and leaves open who is where in them. Recorded cells that are fast
//! under a grey screen tend to be fast under gratings; how much so differs between types:
//!
//! ```text
//! a_j = ln(evoked rate_j + 0.5 Hz),  b_j = ln(grey rate_j + 0.5 Hz)        rho = correlation of a and b over a type's neurons
//! L = sum over types of share (rho - rho*)^2
//! ```
//!
//! The offset keeps a cell that fires once in a trial from counting like one that is silent. Rates are running means over training steps
//! ([`super::running`]): counting noise makes the correlation of single batches smaller than that of the neurons' rates.
//!
//! *No pull on the rates.* The derivatives by the rates of a type have their mean taken off, for each kind of trial: the term moves spikes
//! between neurons and leaves their number to the rates term.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::running::{RunningMean, check_decay};
use super::seen::{Seeds, Seen};
use super::shares::SharesScene;
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use crate::error::{Check, Result};

/// Offset of the logarithms, Hz.
const OFFSET_HZ: f64 = 0.5;
/// Fewest neurons of a type whose correlation is looked at.
const FEWEST_NEURONS: usize = 10;

/// Loss on the correlation of evoked and grey rates over the neurons of each cell type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateCorrelationLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Correlation of ln(rate + 0.5 Hz) under gratings and under grey that is asked of each recorded type, in [-1, 1]; by default that of the
    /// pyramidal units trained on.
    #[serde(default = "recorded_pyramidal")]
    pub targets: BTreeMap<String, f64>,
    /// What the running means of the rates keep per training step, in [0, 1).
    #[serde(default = "rate_correlation_decay")]
    pub mean_decay: f64,
    /// Share of each cell type in the term.
    #[serde(default = "SharesScene::per_neuron")]
    pub shares: SharesScene,
}

/// Units trained on, 273, 358, 549 and 173 of them: `tools/derive_tables.py --data DIR --rate-correlations` (Siegle et al. 2021).
pub fn recorded_pyramidal() -> BTreeMap<String, f64> {
    [("L2/3_Exc", 0.54), ("L4_Exc", 0.73), ("L5_Exc", 0.64), ("L6_Exc", 0.12)]
        .map(|(name, rho)| (name.to_owned(), rho))
        .into()
}

fn rate_correlation_decay() -> f64 {
    0.9
}

impl TermScene for RateCorrelationLossScene {
    fn field(&self) -> &'static str {
        "rate_correlation"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        for (name, rho) in &self.targets {
            check.within(&format!("losses.rate_correlation.targets[\"{name}\"]"), *rho, -1.0, 1.0, "")?;
        }
        check_decay(check, "losses.rate_correlation.mean_decay", self.mean_decay)?;
        let limit = || "the rate correlation needs evoked and grey trials".to_owned();
        check.hold(scene.n_evoked > 0, "trials.n_evoked", scene.n_evoked, limit)?;
        check.hold(scene.n_spontaneous > 0, "trials.n_spontaneous", scene.n_spontaneous, limit)
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let recorded = &of.targets.rate_evoked_hz;
        if let Some(unknown) = self.targets.keys().find(|name| recorded.iter().all(|r| r.name != **name)) {
            let known: Vec<&str> = recorded.iter().map(|r| r.name.as_str()).collect();
            return Err(
                of.nothing(self, &format!("'{unknown}' of its targets is none of {}", known.join(", ")))
            );
        }
        let asked =
            recorded.iter().filter_map(|r| Some((*self.targets.get(&r.name)?, of.covered(&r.cell_types))));
        let (targets, groups): (Vec<f64>, Vec<_>) = asked.filter(|(_, n)| n.len() >= FEWEST_NEURONS).unzip();
        if groups.is_empty() {
            let why =
                format!("no cell type of its targets has {FEWEST_NEURONS} neurons in the network's core");
            return Err(of.nothing(self, &why));
        }
        let shares = self.shares.of(&groups);
        let group = |((neurons, target), share)| Group { neurons, target, share };
        let n_neurons = of.network.neurons.len();
        Ok(vec![Box::new(RateCorrelation {
            weight: self.weight,
            groups: groups.into_iter().zip(targets).zip(shares).map(group).collect(),
            means: [0, 1].map(|_| RunningMean::new(self.mean_decay, n_neurons)),
        })])
    }
}

/// The neurons of a recorded type.
struct Group {
    neurons: Vec<usize>,
    target: f64,
    share: f64,
}

/// The term of a network.
struct RateCorrelation {
    weight: f64,
    groups: Vec<Group>,
    /// Of each neuron's evoked and grey rate, Hz, `[n_neurons]`.
    means: [RunningMean; 2],
}

/// Names of what is remembered.
const MEMORY: [&str; 2] = ["evoked_hz", "grey_hz"];

impl Term for RateCorrelation {
    fn name(&self) -> &'static str {
        "rate_correlation"
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let responses = &seen.responses;
        let trials = [true, false].map(|evoked| responses.trials_of_kind(evoked));
        if trials.iter().any(Vec::is_empty) {
            return None;
        }
        let means = [0, 1].map(|kind| self.means[kind].with(&responses.mean_rates_hz(&trials[kind])));
        seeds.counts = vec![0.0; responses.counts.len()];
        let mut total = 0.0;
        for Group { neurons, target, share } in &self.groups {
            let rates_hz = [0, 1].map(|kind| neurons.iter().map(|&i| means[kind][i]).collect::<Vec<f64>>());
            let Some((rho, by_rate)) = correlation(&rates_hz) else { continue };
            let off = rho - target;
            total += self.weight * share * off * off;
            for (trials, by_rate) in trials.iter().zip(by_rate) {
                let scale =
                    2.0 * self.weight * share * off / (trials.len() as f64 * 1e-3 * responses.window_ms);
                for (neuron_ix, by_rate) in neurons.iter().zip(by_rate) {
                    for trial_ix in trials {
                        seeds.counts[neuron_ix * responses.trials.len() + trial_ix] += scale * by_rate;
                    }
                }
            }
        }
        Some(total)
    }

    fn remember(&mut self, seen: &Seen<'_>) {
        for (mean, evoked) in self.means.iter_mut().zip([true, false]) {
            let trials = seen.responses.trials_of_kind(evoked);
            if !trials.is_empty() {
                mean.take(&seen.responses.mean_rates_hz(&trials));
            }
        }
    }

    fn memory(&self) -> Vec<(&'static str, &[f64])> {
        let named = MEMORY.into_iter().zip(&self.means);
        named.filter_map(|(name, mean)| Some((name, mean.memory()?))).collect()
    }

    fn memory_mut(&mut self) -> Vec<(&'static str, &mut [f64])> {
        let named = MEMORY.into_iter().zip(&mut self.means);
        named.filter_map(|(name, mean)| Some((name, mean.memory_mut()?))).collect()
    }
}

/// Correlation of the logarithms of evoked and grey rates of some neurons, Hz, and its derivatives by the rates along changes that keep the
/// sum of each kind, 1/Hz. None where one of them does not vary.
fn correlation(rates_hz: &[Vec<f64>; 2]) -> Option<(f64, [Vec<f64>; 2])> {
    let n = rates_hz[0].len() as f64;
    let centred = [0, 1].map(|kind| {
        let logs: Vec<f64> = rates_hz[kind].iter().map(|hz: &f64| (hz + OFFSET_HZ).ln()).collect();
        let mean = logs.iter().sum::<f64>() / n;
        logs.into_iter().map(|log| log - mean).collect::<Vec<f64>>()
    });
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let squares = [0, 1].map(|kind: usize| dot(&centred[kind], &centred[kind]));
    if squares.iter().any(|s| *s <= 0.0) {
        return None;
    }
    let norm = (squares[0] * squares[1]).sqrt();
    let rho = dot(&centred[0], &centred[1]) / norm;
    let by_rate = [0, 1].map(|kind| {
        let (own, other) = (&centred[kind], &centred[1 - kind]);
        let by_log = own.iter().zip(other).map(|(own, other)| other / norm - rho * own / squares[kind]);
        let slopes: Vec<f64> =
            by_log.zip(&rates_hz[kind]).map(|(slope, hz)| slope / (hz + OFFSET_HZ)).collect();
        let mean = slopes.iter().sum::<f64>() / n;
        slopes.into_iter().map(|slope| slope - mean).collect()
    });
    Some((rho, by_rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> [Vec<f64>; 2] {
        let grey: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 20) * 0.3).collect();
        let evoked = grey.iter().enumerate().map(|(i, hz)| 0.6 * hz + f64::from(i as u32 * 3 % 7)).collect();
        [evoked, grey]
    }

    #[test]
    fn the_correlation_is_that_of_the_logarithms() {
        let twice = [1.0, 2.5, 4.0, 0.0].map(|hz: f64| hz);
        let same = [twice.to_vec(), twice.map(|hz| 2.0 * hz + OFFSET_HZ).to_vec()];
        assert!((correlation(&same).unwrap().0 - 1.0).abs() < 1e-12);
        assert_eq!(correlation(&[vec![1.0; 4], twice.to_vec()]), None);
        // By the formula of the textbook, apart from this program.
        assert!(
            (correlation(&rates()).unwrap().0 - 0.625778462653).abs() < 1e-9,
            "{}",
            correlation(&rates()).unwrap().0
        );
    }

    #[test]
    fn derivatives_are_those_along_changes_that_keep_the_sum() {
        let (_, by_rate) = correlation(&rates()).unwrap();
        for kind in [0, 1] {
            assert!(by_rate[kind].iter().sum::<f64>().abs() < 1e-12);
            for (i, j) in [(0, 1), (3, 12), (19, 4), (7, 8)] {
                let moved = |h: f64| {
                    let mut rates = rates();
                    rates[kind][i] += h;
                    rates[kind][j] -= h;
                    correlation(&rates).unwrap().0
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let own = by_rate[kind][i] - by_rate[kind][j];
                assert!((own - slope).abs() < 1e-8, "{kind} {i} {j}: {own} {slope}");
            }
        }
    }
}

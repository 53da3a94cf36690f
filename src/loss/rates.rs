//! Firing-rate distributions: the quantile Huber loss between a cell type's rates and the recorded quantiles.
//!
//! A neuron's rate is its mean over the batch's trials of one kind, or the running mean of that over training steps
//! ([`super::running`]). Within a group of n neurons (a cell type), the rate of rank i
//! (0 the slowest) is paired with the recorded quantile q_i at the level tau_i = (i + 1/2) / n:
//!
//! ```text
//! u_i = q_i - rate_i           rho(u) = |tau_i - [u < 0]| h(u)          L = (1/n) sum_i rho(u_i)
//! h(u) = u^2 / (2 kappa)  for |u| <= kappa,   |u| - kappa / 2  beyond
//! ```
//!
//! after Dabney et al. 2018 (quantile Huber loss), as the published training of this network uses it. The weight `|tau - [u < 0]|` lifts the
//! fast end of a distribution more than it presses it down, and the slow end the other way round. Ranks sit at mid-levels,
//! so that no neuron's weight is 0 on either side. The loss is 0 only at the target.
//!
//! *Ties.* Counts are integers, so many rates are equal, silent neurons above all. Which of them takes which quantile
//! changes nothing in L but everything in its derivative; each gets the mean over the tied ranks, which favours no neuron.
//!
//! *Bound.* kappa is the same for all types, or a share of the interquartile range of each type's recorded rates: with one bound for all, that
//! is fit for fast cells, all errors of a type that fires once a second lie in the flat bottom.
//!
//! *Noise.* A rate from a few short trials scatters around the neuron's own; the model's distribution is compared as it
//! is measured, so it is wider than that of its true rates. Longer windows, more trials and running means shrink this.

use serde::{Deserialize, Serialize};

use super::running::{RunningMean, check_decay};
use super::seen::{Seeds, Seen};
use super::shares::SharesScene;
use super::statistics::mid_level;
use super::targets::Recorded;
use super::term::{Context, Needs, SceneFacts, Term, TermScene, covered};
use crate::error::{Check, Result};

/// Quantile Huber loss between a cell type's rates and the recorded quantiles. One of `huber_hz` and `huber_of_iqr` has to be given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Rate error below which the loss is quadratic, Hz, in (0, 1000]: the same for all cell types.
    pub huber_hz: Option<f64>,
    /// The same as a share of the interquartile range of each type's recorded rates, in (0, 100], so that slow types are held as closely
    /// as fast ones; at least 0.1 Hz.
    pub huber_of_iqr: Option<f64>,
    /// Share of each cell type in the term.
    #[serde(default = "SharesScene::per_neuron")]
    pub shares: SharesScene,
    /// What the running mean of each neuron's rate, which is compared, keeps per training step, in [0, 1). 0 compares the rates of the
    /// step alone.
    #[serde(default)]
    pub mean_decay: f64,
    /// Weight of the neurons outside the core, relative to those within, in [0, 1]: they are compared with the same recordings, apart.
    #[serde(default)]
    pub outside_core: f64,
}

/// Least bound of the Huber loss where it is a share of the recorded spread, Hz: a spike in ten seconds.
const LEAST_HUBER_HZ: f64 = 0.1;

impl TermScene for RatesLossScene {
    fn field(&self) -> &'static str {
        "rates"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, _: &SceneFacts) -> Result<()> {
        let given = match (self.huber_hz, self.huber_of_iqr) {
            (Some(hz), None) => check.above("losses.rates.huber_hz", hz, 0.0, 1e3, "Hz"),
            (None, Some(share)) => check.above("losses.rates.huber_of_iqr", share, 0.0, 100.0, ""),
            (hz, _) => {
                let limit = || "give one of huber_hz and huber_of_iqr".to_owned();
                check.hold(
                    false,
                    "losses.rates.huber_hz",
                    hz.map_or("None".to_owned(), |hz| hz.to_string()),
                    limit,
                )
            }
        };
        given?;
        check_decay(check, "losses.rates.mean_decay", self.mean_decay)?;
        check.within("losses.rates.outside_core", self.outside_core, 0.0, 1.0, "")
    }

    fn needs(&self) -> Needs {
        Needs { spikes: true, v1_cell_types: true, ..Needs::default() }
    }

    fn prepare(&self, of: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        let kinds = [
            ("rate_evoked", true, &of.targets.rate_evoked_hz, "evoked rates"),
            ("rate_spontaneous", false, &of.targets.rate_spontaneous_hz, "spontaneous rates"),
        ];
        let n_neurons = of.network.neurons.len();
        let term = |(name, evoked, recorded, what): (_, _, &Vec<Recorded>, _)| {
            let mut groups = self.groups(recorded, of.core, 1.0);
            if groups.is_empty() {
                return Err(of.no_target(self, what));
            }
            if self.outside_core > 0.0 {
                groups.extend(self.groups(recorded, of.outside, self.outside_core));
            }
            let mean = RunningMean::new(self.mean_decay, n_neurons);
            Ok(Box::new(Rates { name, evoked, weight: self.weight, groups, mean }) as Box<dyn Term>)
        };
        kinds.into_iter().map(term).collect()
    }
}

impl RatesLossScene {
    /// The groups that have neurons among these, by cell type; their shares add up to `whole`.
    fn groups(&self, recorded: &[Recorded], by_type: &[Vec<usize>], whole: f64) -> Vec<Group> {
        let pairs = recorded.iter().map(|r| (r, covered(&r.cell_types, by_type)));
        let (recorded, groups): (Vec<_>, Vec<_>) = pairs.filter(|(_, neurons)| !neurons.is_empty()).unzip();
        let shares = self.shares.of(&groups);
        let group = |((recorded, neurons), share): ((&Recorded, Vec<usize>), f64)| {
            let n = neurons.len();
            let target_hz = recorded.quantiles.at_mid_levels(n);
            Group { neurons, target_hz, huber_hz: self.huber_hz(recorded), share: whole * share }
        };
        recorded.into_iter().zip(groups).zip(shares).map(group).collect()
    }

    /// Bound of the Huber loss for a recorded distribution, Hz.
    fn huber_hz(&self, recorded: &Recorded) -> f64 {
        let [low, high] = [0.25, 0.75].map(|level| recorded.quantiles.value_at(level));
        let of_iqr = self.huber_of_iqr.map(|share| (share * (high - low)).max(LEAST_HUBER_HZ));
        self.huber_hz.or(of_iqr).unwrap_or(LEAST_HUBER_HZ)
    }
}

/// The neurons that are compared with one recorded distribution: a cell type, or a few recorded as one.
struct Group {
    /// Their indices.
    neurons: Vec<usize>,
    /// Recorded quantiles at the mid-levels, Hz, ascending, `[neurons]`.
    target_hz: Vec<f64>,
    /// Bound of the Huber loss.
    huber_hz: f64,
    /// Their share in the term.
    share: f64,
}

/// The term under gratings, or under grey.
struct Rates {
    name: &'static str,
    evoked: bool,
    weight: f64,
    groups: Vec<Group>,
    /// Of each neuron's rate over the trials of this kind, Hz, `[n_neurons]`.
    mean: RunningMean,
}

impl Term for Rates {
    fn name(&self) -> &'static str {
        self.name
    }

    fn value(&self, seen: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        let responses = &seen.responses;
        let trials = responses.trials_of_kind(self.evoked);
        if trials.is_empty() {
            return None;
        }
        seeds.counts = vec![0.0; responses.counts.len()];
        // d rate / d count of one trial.
        let rate_per_count = 1.0 / (trials.len() as f64 * 1e-3 * responses.window_ms);
        let all_hz = self.mean.with(&responses.mean_rates_hz(&trials));
        let mut total = 0.0;
        for Group { neurons, target_hz, huber_hz, share } in &self.groups {
            let rates_hz: Vec<f64> = neurons.iter().map(|&i| all_hz[i]).collect();
            let (value, derivative) = quantile_huber(&rates_hz, target_hz, *huber_hz);
            let scale = self.weight * share;
            total += scale * value;
            for (&neuron_ix, derivative) in neurons.iter().zip(derivative) {
                for &trial_ix in &trials {
                    seeds.counts[neuron_ix * responses.trials.len() + trial_ix] +=
                        scale * derivative * rate_per_count;
                }
            }
        }
        Some(total)
    }

    fn remember(&mut self, seen: &Seen<'_>) {
        let trials = seen.responses.trials_of_kind(self.evoked);
        if !trials.is_empty() {
            self.mean.take(&seen.responses.mean_rates_hz(&trials));
        }
    }

    fn memory(&self) -> Vec<(&'static str, &[f64])> {
        self.mean.memory().map(|sums| ("rate_hz", sums)).into_iter().collect()
    }

    fn memory_mut(&mut self) -> Vec<(&'static str, &mut [f64])> {
        self.mean.memory_mut().map(|sums| ("rate_hz", sums)).into_iter().collect()
    }
}

/// Quantile Huber loss of rates (Hz, or another quantity) in any order against as many ascending quantiles at the mid-levels, and its
/// derivative with respect to each rate.
pub fn quantile_huber(rates_hz: &[f64], target_hz: &[f64], kappa_hz: f64) -> (f64, Vec<f64>) {
    let n = rates_hz.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_unstable_by(|&a, &b| rates_hz[a].total_cmp(&rates_hz[b]).then(a.cmp(&b)));
    let mut value = 0.0;
    let mut derivative = vec![0.0; n];
    let mut first = 0;
    while first < n {
        let rate_hz = rates_hz[order[first]];
        let tied = order[first..].iter().take_while(|&&i| rates_hz[i] == rate_hz).count();
        let mut slope = 0.0;
        for (rank, target_hz) in target_hz.iter().enumerate().skip(first).take(tied) {
            let tau = mid_level(rank, n);
            let u = target_hz - rate_hz;
            let side = if u < 0.0 { 1.0 - tau } else { tau };
            value += side * huber(u, kappa_hz);
            slope -= side * (u / kappa_hz).clamp(-1.0, 1.0);
        }
        for &i in &order[first..first + tied] {
            derivative[i] = slope / (tied * n) as f64;
        }
        first += tied;
    }
    (value / n as f64, derivative)
}

/// h(u): quadratic up to `kappa`, then linear with slope 1.
fn huber(u: f64, kappa: f64) -> f64 {
    if u.abs() <= kappa { u * u / (2.0 * kappa) } else { u.abs() - 0.5 * kappa }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_values_on_a_hand_made_case() {
        // Ranks: 1, 4, 9 against 2, 4, 5; tau = 1/6, 1/2, 5/6; u = 1, 0, -4; kappa = 2.
        let (value, derivative) = quantile_huber(&[9.0, 1.0, 4.0], &[2.0, 4.0, 5.0], 2.0);
        let expected = (1.0 / 6.0 * 0.25 + 0.0 + 1.0 / 6.0 * 3.0) / 3.0;
        assert!((value - expected).abs() < 1e-15, "{value}");
        let expected = [1.0 / 6.0 / 3.0, -1.0 / 6.0 * 0.5 / 3.0, 0.0];
        for (d, e) in derivative.iter().zip(expected) {
            assert!((d - e).abs() < 1e-15, "{derivative:?}");
        }
    }

    #[test]
    fn derivative_meets_central_differences() {
        // Distinct rates with deviations on both sides of 0 and of kappa, none within the step of a kink.
        let n = 40;
        let target: Vec<f64> = (0..n).map(|i| 0.02 * (i * i) as f64).collect();
        let rates: Vec<f64> = (0..n).map(|i| ((i * 17) % n) as f64 * 0.63 + 0.0137).collect();
        let (_, derivative) = quantile_huber(&rates, &target, 1.5);
        assert!(derivative.iter().any(|&d| d > 0.0) && derivative.iter().any(|&d| d < 0.0));
        for i in 0..n {
            let shifted = |h: f64| {
                let mut r = rates.clone();
                r[i] += h;
                quantile_huber(&r, &target, 1.5).0
            };
            let difference = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
            assert!((derivative[i] - difference).abs() < 1e-9, "{i}: {} {difference}", derivative[i]);
        }
    }

    #[test]
    fn zero_and_flat_at_the_target_and_larger_anywhere_else() {
        let target = [0.0, 0.0, 0.5, 2.0, 9.0];
        let (value, derivative) = quantile_huber(&[2.0, 0.0, 9.0, 0.5, 0.0], &target, 2.0);
        assert_eq!((value, derivative), (0.0, vec![0.0; 5]));
        for i in 0..5 {
            for step in [-0.1, 0.1] {
                let mut rates = target;
                rates[i] += step;
                assert!(quantile_huber(&rates, &target, 2.0).0 > 0.0);
            }
        }
    }

    #[test]
    fn tied_neurons_share_their_ranks_evenly() {
        let (value, derivative) = quantile_huber(&[0.0; 4], &[0.0, 1.0, 2.0, 8.0], 2.0);
        // u = 0, 1, 2, 8; tau = 1/8, 3/8, 5/8, 7/8.
        let expected = (3.0 / 8.0 * 0.25 + 5.0 / 8.0 * 1.0 + 7.0 / 8.0 * 7.0) / 4.0;
        assert!((value - expected).abs() < 1e-15);
        let each = -(3.0 / 8.0 * 0.5 + 5.0 / 8.0 + 7.0 / 8.0) / 16.0;
        assert!(derivative.iter().all(|d| (d - each).abs() < 1e-15), "{derivative:?}");
        // It is the mean of the one-sided derivatives over the neurons' possible orders: lift all by little steps.
        let lifted = |h: f64| quantile_huber(&[h, 2.0 * h, 3.0 * h, 4.0 * h], &[0.0, 1.0, 2.0, 8.0], 2.0).1;
        let mean = lifted(1e-9).iter().sum::<f64>() / 4.0;
        assert!((mean - each).abs() < 1e-8);
    }
}

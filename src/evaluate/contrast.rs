//! The class of a contrast-response curve, by the rule of the recordings as far as it can be followed.
//!
//! The published classes (`scenes/v1/contrast_classes.csv`) are of spike counts in 15 trials of each of seven contrasts, 0.04 to 1, in each
//! unit's most significant of four directions. Three models of the mean count, with s(x) = 1 / (1 + e^{-10 x}), b, h >= 0 and c50 in [0, 1], are fitted
//! with negative binomial likelihood; the least AIC = 2 parameters - 2 log likelihood gives the class:
//!
//! ```text
//! high  b + h s(c - c50)        low  b + h s(c50 - c)        band  b + h s(c - c50_rise) s(c50_fall - c)
//! ```
//!
//! The same is done here, with these differences: the contrasts are those of `evaluate.contrasts` and 0.8, with as many
//! trials of each direction as the evaluation has (a test with fewer finds fewer responsive); the dispersion is estimated
//! once for a neuron, by moments, and is the same for the three models; c50 is taken from a grid of 0.05; the direction is
//! the one with the largest deviation from grey; a neuron is responsive (p < 0.01) by an F test of the deviance of one rate
//! for each direction and contrast against one rate for all and grey (normal approximation of F: Paulson 1942), where the
//! recordings had a quasi-Poisson test against the counts just after each grating.
//!
//! The gratings of contrast 0.8 are the evoked trials in the directions of the other contrasts. Where some of these
//! directions have none, 0.8 is left out of all: directions are compared at the same contrasts.

use serde::Serialize;

use crate::loss::targets::RECORDED_CONTRAST;
use crate::loss::{Responses, TrialKind};

/// Class of a contrast-response curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ContrastClass {
    /// Grows with contrast.
    High,
    /// Has its peak between.
    Band,
    /// Falls with contrast.
    Low,
}

/// Slope of the models per unit contrast.
const SLOPE: f64 = 10.0;
/// Steps of the grid of c50 over [0, 1].
const N_GRID: usize = 20;
/// Quantile of the normal distribution at 0.99.
const Z_99: f64 = 2.326_347_87;

/// Spike counts of one condition, `[trial][n_neurons]`.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    direction_deg: f64,
    contrast: f64,
    counts: Vec<Vec<f64>>,
}

/// Least number of contrasts that tell a curve that rises from one that falls again.
const MIN_CONTRASTS: usize = 3;
/// Least number of trials of a condition that say how much its counts vary.
const MIN_TRIALS: usize = 2;

/// Spike counts under gratings of all contrasts and grey, gathered over any number of batches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContrastResponses {
    conditions: Vec<Condition>,
    grey: Vec<Vec<f64>>,
    window_ms: f64,
}

impl ContrastResponses {
    /// Adds a batch of trials. Evoked ones are of the recordings' contrast ([`RECORDED_CONTRAST`]).
    pub fn add<C: Copy + Into<f64>>(&mut self, responses: &Responses<'_, C>) {
        let n_trials = responses.trials.len();
        self.window_ms = responses.window_ms;
        for (trial_ix, trial) in responses.trials.iter().enumerate() {
            let counts =
                responses.counts.iter().skip(trial_ix).step_by(n_trials).map(|&c| c.into()).collect();
            let direction_deg = match *trial {
                TrialKind::Spontaneous => {
                    self.grey.push(counts);
                    continue;
                }
                TrialKind::Evoked { direction_deg } | TrialKind::OtherContrast { direction_deg, .. } => {
                    direction_deg.rem_euclid(360.0)
                }
            };
            let contrast = trial.contrast();
            let same = |c: &&mut Condition| (c.direction_deg, c.contrast) == (direction_deg, contrast);
            match self.conditions.iter_mut().find(same) {
                Some(condition) => condition.counts.push(counts),
                None => self.conditions.push(Condition { direction_deg, contrast, counts: vec![counts] }),
            }
        }
    }

    /// The contrasts shown beside that of the recordings, ascending.
    pub fn other_contrasts(&self) -> Vec<f64> {
        let mut contrasts: Vec<f64> = self.others().map(|c| c.contrast).collect();
        contrasts.sort_unstable_by(f64::total_cmp);
        contrasts.dedup();
        contrasts
    }

    fn others(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|c| c.contrast != RECORDED_CONTRAST)
    }

    /// The gratings that curves are classed by: those of other contrasts, and in the same directions those of the
    /// recordings' contrast, where each has some. None where they are too few: fewer than three contrasts, or single trials.
    fn classed_by(&self) -> Option<Vec<&Condition>> {
        let mut classed_by: Vec<&Condition> = self.others().collect();
        let evoked_in =
            |deg: f64| move |c: &&Condition| (c.direction_deg, c.contrast) == (deg, RECORDED_CONTRAST);
        let mut directions: Vec<f64> = classed_by.iter().map(|c| c.direction_deg).collect();
        directions.sort_unstable_by(f64::total_cmp);
        directions.dedup();
        let evoked: Option<Vec<&Condition>> =
            directions.into_iter().map(|deg| self.conditions.iter().find(evoked_in(deg))).collect();
        let n_contrasts = self.other_contrasts().len() + usize::from(evoked.is_some());
        classed_by.extend(evoked.into_iter().flatten());
        let enough = self.grey.len() >= MIN_TRIALS && classed_by.iter().all(|c| c.counts.len() >= MIN_TRIALS);
        (n_contrasts >= MIN_CONTRASTS && enough).then_some(classed_by)
    }

    /// Whether enough was shown to class any curve: three contrasts, and each grating and grey twice.
    pub fn can_class(&self) -> bool {
        self.classed_by().is_some()
    }

    /// Mean rate of some neurons at a contrast over all its directions, Hz; None where it was not shown.
    pub fn mean_rate_hz(&self, neurons: &[usize], contrast: f64) -> Option<f64> {
        let trials = self.conditions.iter().filter(|c| c.contrast == contrast).flat_map(|c| &c.counts);
        let counts: Vec<f64> = trials.flat_map(|trial| neurons.iter().map(|&n| trial[n])).collect();
        let n = counts.len() as f64;
        (n > 0.0).then(|| counts.iter().sum::<f64>() / (n * 1e-3 * self.window_ms))
    }

    /// Class of a neuron's curve; None for one that does not respond, and where too little was shown
    /// ([`Self::can_class`]).
    pub fn class(&self, neuron_ix: usize) -> Option<ContrastClass> {
        let conditions = self.classed_by()?;
        let of = |trials: &[Vec<f64>]| trials.iter().map(|t| t[neuron_ix]).collect::<Vec<f64>>();
        let grey = of(&self.grey);
        let mut all: Vec<Vec<f64>> = conditions.iter().map(|c| of(&c.counts)).collect();
        all.push(grey.clone());
        if !differ(&all) {
            return None;
        }
        let deviation = |direction_deg: f64| -> f64 {
            let own = conditions.iter().filter(|c| c.direction_deg == direction_deg);
            own.map(|c| (mean(&of(&c.counts)) - mean(&grey)).powi(2)).sum()
        };
        let directions = conditions.iter().map(|c| c.direction_deg);
        let best_deg = directions.max_by(|a, b| deviation(*a).total_cmp(&deviation(*b)))?;
        let own = conditions.iter().filter(|c| c.direction_deg == best_deg);
        let (contrasts, counts): (Vec<f64>, Vec<Vec<f64>>) = own.map(|c| (c.contrast, of(&c.counts))).unzip();
        Some(best_model(&contrasts, &counts))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// y ln(y / m) - (y - m), half of what a count adds to the Poisson deviance.
fn half_deviance(y: f64, m: f64) -> f64 {
    if y > 0.0 { y * (y / m).ln() - (y - m) } else { m }
}

/// Whether counts differ between conditions at p < 0.01: F test of the deviance, its scale from Pearson's residuals.
fn differ(conditions: &[Vec<f64>]) -> bool {
    let all = conditions.concat();
    let grand = mean(&all);
    let (d_1, d_2) = ((conditions.len() - 1) as f64, (all.len() - conditions.len()) as f64);
    if grand == 0.0 || d_1 < 1.0 || d_2 < 1.0 {
        return false;
    }
    let deviance = |m: &dyn Fn(usize) -> f64| {
        let one =
            |(ix, counts): (usize, &Vec<f64>)| counts.iter().map(|y| half_deviance(*y, m(ix))).sum::<f64>();
        2.0 * conditions.iter().enumerate().map(one).sum::<f64>()
    };
    let means: Vec<f64> = conditions.iter().map(|counts| mean(counts)).collect();
    let between = deviance(&|_| grand) - deviance(&|ix| means[ix]);
    let residuals = conditions.iter().zip(&means).filter(|(_, m)| **m > 0.0);
    let pearson: f64 =
        residuals.map(|(counts, m)| counts.iter().map(|y| (y - m).powi(2) / m).sum::<f64>()).sum();
    // Without any spread within conditions the scale is that of a count on the boundary between two values.
    let scale = (pearson / d_2).max(1e-3);
    let f = (between / d_1 / scale).max(0.0).cbrt();
    let (v_1, v_2) = (2.0 / (9.0 * d_1), 2.0 / (9.0 * d_2));
    ((1.0 - v_2) * f - (1.0 - v_1)) / (v_1 + v_2 * f * f).sqrt() > Z_99
}

/// The model with the least AIC for counts at each contrast.
fn best_model(contrasts: &[f64], counts: &[Vec<f64>]) -> ContrastClass {
    let data: Vec<(f64, f64)> = counts.iter().map(|c| (mean(c), c.len() as f64)).collect();
    let dispersion = dispersion(counts);
    let s = |x: f64| 1.0 / (1.0 + (-SLOPE * x).exp());
    let fit = |shape: &dyn Fn(f64) -> f64| {
        let shape: Vec<f64> = contrasts.iter().map(|c| shape(*c)).collect();
        negative_log_likelihood(&shape, &data, dispersion)
    };
    let grid: Vec<f64> = (0..=N_GRID).map(|i| i as f64 / N_GRID as f64).collect();
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let high = least(&mut grid.iter().map(|x| fit(&|c| s(c - x))));
    let low = least(&mut grid.iter().map(|x| fit(&|c| s(x - c))));
    let pairs = grid.iter().flat_map(|rise| grid.iter().map(move |fall| (rise, fall)));
    let band = least(&mut pairs.map(|(rise, fall)| fit(&|c| s(c - rise) * s(fall - c))));
    // Parameters b, h, c50 (two for a band) and the dispersion.
    let models = [
        (ContrastClass::High, 8.0 + 2.0 * high),
        (ContrastClass::Band, 10.0 + 2.0 * band),
        (ContrastClass::Low, 8.0 + 2.0 * low),
    ];
    let best = models.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(ContrastClass::High, |(class, _)| class)
}

/// Dispersion a of a negative binomial of variance m + a m^2, by moments; 0 (Poisson) where counts vary less.
fn dispersion(counts: &[Vec<f64>]) -> f64 {
    let (mut excess, mut square) = (0.0, 0.0);
    for counts in counts {
        let m = mean(counts);
        let squares: f64 = counts.iter().map(|y| (y - m).powi(2)).sum();
        excess += squares - (counts.len() as f64 - 1.0) * m;
        square += (counts.len() as f64 - 1.0) * m * m;
    }
    if square > 0.0 { (excess / square).max(0.0) } else { 0.0 }
}

/// Least negative log likelihood (up to a constant of the counts) of the mean b + h shape, b and h >= 0, by Fisher scoring. `data`: mean
/// count and number of trials of each contrast.
fn negative_log_likelihood(shape: &[f64], data: &[(f64, f64)], dispersion: f64) -> f64 {
    const LEAST: f64 = 1e-6;
    let value = |m: f64, y: f64| match dispersion > 0.0 {
        true => (y + 1.0 / dispersion) * (dispersion * m).ln_1p() - y * m.ln(),
        false => m - y * m.ln(),
    };
    let start = 0.5 * data.iter().map(|(y, _)| y).sum::<f64>() / data.len() as f64;
    let (mut b, mut h, mut best) = (start, start, f64::INFINITY);
    for _ in 0..12 {
        let [mut w1, mut ws, mut wss, mut wy, mut wsy, mut total] = [0.0; 6];
        for (s, (y, n)) in shape.iter().zip(data) {
            let m = (b + h * s).max(LEAST);
            total += n * value(m, *y);
            let w = n / (m * (1.0 + dispersion * m));
            w1 += w;
            ws += w * s;
            wss += w * s * s;
            wy += w * y;
            wsy += w * s * y;
        }
        best = total.min(best);
        let determinant = w1 * wss - ws * ws;
        (b, h) = if determinant > 1e-12 * w1 * wss {
            ((wss * wy - ws * wsy) / determinant, (w1 * wsy - ws * wy) / determinant)
        } else {
            (wy / w1, 0.0)
        };
        if b < 0.0 {
            (b, h) = (0.0, wsy / wss);
        } else if h < 0.0 {
            (b, h) = (wy / w1, 0.0);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Stream, uniform};

    const CONTRASTS: [f64; 7] = [0.04, 0.08, 0.13, 0.2, 0.35, 0.6, 1.0];
    const FOUR: [f64; 4] = [0.0, 45.0, 90.0, 135.0];
    const EIGHT: [f64; 8] = [0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0];

    fn s(x: f64) -> f64 {
        1.0 / (1.0 + (-SLOPE * x).exp())
    }

    /// `n_trials` of each contrast in four directions, evoked ones in `evoked_deg` and as many of grey as of a contrast, each count a sum of 60
    /// draws, of a neuron that fires by `rate` of direction and contrast, and as under grey at contrast 0.
    fn shown(
        neuron: u32,
        n_trials: usize,
        contrasts: &[f64],
        evoked_deg: &[f64],
        rate: &dyn Fn(f64, f64) -> f64,
    ) -> ContrastResponses {
        let mut all = ContrastResponses::default();
        let mut draw = 0;
        let mut add = |trial: TrialKind, rate: f64| {
            draw += 1;
            let spikes =
                (0..60).filter(|k| f64::from(uniform(3, Stream::Trials, neuron, draw, *k)) < rate / 60.0);
            let counts = [spikes.count() as u32];
            all.add(&Responses { counts: &counts, trials: &[trial], window_ms: 500.0 });
        };
        for _ in 0..n_trials {
            for direction_deg in FOUR {
                for &contrast in contrasts {
                    add(TrialKind::OtherContrast { direction_deg, contrast }, rate(direction_deg, contrast));
                }
                add(TrialKind::Spontaneous, rate(direction_deg, 0.0));
            }
            for &direction_deg in evoked_deg {
                add(TrialKind::Evoked { direction_deg }, rate(direction_deg, RECORDED_CONTRAST));
            }
        }
        all
    }

    /// The recordings' trials, of a neuron that responds in direction 90 deg by `curve`.
    fn responses(neuron: u32, curve: &dyn Fn(f64) -> f64) -> ContrastResponses {
        let rate =
            |deg: f64, contrast: f64| if deg == 90.0 && contrast > 0.0 { curve(contrast) } else { 2.0 };
        shown(neuron, 15, &CONTRASTS, &[], &rate)
    }

    #[test]
    fn known_curves_get_their_class() {
        let found = |curve: &dyn Fn(f64) -> f64, class| {
            (0..20).filter(|n| responses(*n, curve).class(0) == class).count()
        };
        assert!(found(&|c| 2.0 + 10.0 * s(c - 0.4), Some(ContrastClass::High)) >= 18);
        assert!(found(&|c| 2.0 + 10.0 * s(0.4 - c), Some(ContrastClass::Low)) >= 18);
        assert!(found(&|c| 1.0 + 14.0 * s(c - 0.1) * s(0.5 - c), Some(ContrastClass::Band)) >= 18);
        assert!(found(&|_| 2.0, None) >= 18);
        let silent = responses(0, &|_| 0.0);
        assert_eq!(silent.mean_rate_hz(&[0], 0.5), None);
        assert_eq!(silent.other_contrasts(), CONTRASTS);
        assert_eq!(ContrastResponses::default().class(0), None);
    }

    /// Curves that other contrasts alone tell little of: one that rises beyond them, and one that falls there.
    #[test]
    fn gratings_of_the_recordings_contrast_are_classed_with_the_others() {
        let found = |evoked_deg: &[f64], peak_deg: f64, curve: &dyn Fn(f64) -> f64, class| {
            let rate = |deg: f64, contrast: f64| 1.0 + if deg == peak_deg { curve(contrast) } else { 0.0 };
            let neurons = (0..20).map(|neuron| shown(neuron, 10, &[0.1, 0.2, 0.4], evoked_deg, &rate));
            neurons.filter(|responses| responses.class(0) == class).count()
        };
        let late = |c: f64| 12.0 * s(c - 0.6);
        let band = |c: f64| 14.0 * s(c - 0.2) * s(0.5 - c);
        assert!(found(&EIGHT, 90.0, &late, Some(ContrastClass::High)) >= 18);
        assert!(found(&EIGHT, 90.0, &band, Some(ContrastClass::Band)) >= 18);
        // Directions of evoked trials alone do not count: other contrasts were not shown there.
        assert!(found(&EIGHT, 270.0, &|c| if c == 0.8 { 20.0 } else { 0.0 }, None) >= 18);
        // Where a direction lacks them they count in none.
        assert!(found(&[0.0, 90.0], 90.0, &|c| if c == 0.8 { 20.0 } else { 0.0 }, None) >= 18);
    }

    #[test]
    fn classes_need_three_contrasts_and_two_trials() {
        let can = |n_trials, contrasts: &[f64], evoked_deg: &[f64]| {
            shown(0, n_trials, contrasts, evoked_deg, &|_, c| 20.0 * c).can_class()
        };
        assert!(can(2, &[0.1, 0.4], &EIGHT) && can(2, &[0.1, 0.4, 1.0], &[]));
        assert!(!can(2, &[0.1, 0.4], &[0.0, 90.0]) && !can(9, &[0.1], &EIGHT) && !can(9, &[], &EIGHT));
        assert!(!can(1, &[0.1, 0.2, 0.4], &EIGHT));
        assert_eq!(shown(0, 9, &[0.1], &EIGHT, &|_, c| 20.0 * c).class(0), None);
    }

    #[test]
    fn rates_are_means_over_directions_and_neurons() {
        let mut all = ContrastResponses::default();
        let at = |direction_deg| TrialKind::OtherContrast { direction_deg, contrast: 0.2 };
        let trials = [at(0.0), at(90.0), TrialKind::Evoked { direction_deg: 0.0 }];
        all.add(&Responses { counts: &[1u32, 3, 99, 5, 7, 99], trials: &trials, window_ms: 500.0 });
        assert_eq!(all.mean_rate_hz(&[0], 0.2), Some(4.0));
        assert_eq!(all.mean_rate_hz(&[0, 1], 0.2), Some(8.0));
    }
}

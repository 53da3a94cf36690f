//! Spikes of LGN and background units from their rates, drawn by the counter-based generator.
//!
//! A unit spikes at most once a step, with probability `rate * dt` (1 where that is more): the mean rate is exact, as in
//! FilterNet's own draws, and the count of a window of independent steps has a Fano factor of `1 - rate * dt`. The device
//! draws the same numbers (`shaders/source_forward.wgsl`).

use crate::model::rng::{self, Stream};

/// The trials in which a source spikes in one step, as a bit mask: `rates_hz` per trial, at most 32; `source_ix` is its
/// index among the network's sources.
pub fn draw(rates_hz: &[f64], dt_ms: f64, seed: u64, source_ix: u32, step: u32) -> u32 {
    (0..).zip(rates_hz).fold(0, |mask, (trial, rate_hz)| {
        let u = f64::from(rng::uniform(seed, Stream::SourceSpikes, source_ix, step, trial));
        mask | u32::from(u < rate_hz * dt_ms * 1e-3) << trial
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of 2,000 windows of 100 steps: mean within sampling error, Fano factor 1 - p, trials uncorrelated.
    #[test]
    fn counts_have_their_mean_and_fano_factor() {
        let rates_hz = [250.0, 40.0, 0.0, 4.0];
        let (n_windows, n_steps) = (2000, 100);
        let mut counts = vec![[0.0_f64; 4]; n_windows];
        for (window, counts) in counts.iter_mut().enumerate() {
            for step in 0..n_steps {
                let mask = draw(&rates_hz, 1.0, 11, window as u32, step);
                for (trial, count) in counts.iter_mut().enumerate() {
                    *count += f64::from(mask >> trial & 1);
                }
            }
        }
        let n = n_windows as f64;
        let mean = |f: &dyn Fn(&[f64; 4]) -> f64| counts.iter().map(f).sum::<f64>() / n;
        let means: Vec<f64> = (0..4).map(|t| mean(&|c| c[t])).collect();
        for (trial, rate_hz) in rates_hz.into_iter().enumerate() {
            let p = rate_hz * 1e-3;
            let (expected, variance) = (p * f64::from(n_steps), p * (1.0 - p) * f64::from(n_steps));
            let z = (means[trial] - expected) / (variance / n).sqrt().max(1e-9);
            assert!(z.abs() < 4.0, "trial {trial}: mean {} against {expected}, z = {z}", means[trial]);
            if p > 0.0 {
                let fano = mean(&|c| (c[trial] - means[trial]).powi(2)) / means[trial];
                // The standard error of a variance is sqrt(2 / n) of it, and a little more for rare events.
                let tolerance = 4.0 * (2.0 / n + 1.0 / (n * expected)).sqrt();
                assert!((fano / (1.0 - p) - 1.0).abs() < tolerance, "trial {trial}: Fano factor {fano}");
            }
        }
        let covariance = mean(&|c| (c[0] - means[0]) * (c[1] - means[1]));
        let correlation = covariance / (100.0 * (0.25 * 0.75 * 0.04 * 0.96_f64).sqrt());
        assert!(correlation.abs() < 4.0 / n.sqrt(), "trials correlate by {correlation}");
    }

    #[test]
    fn a_draw_depends_on_its_key_alone() {
        let key = |seed, source, step| draw(&[500.0; 32], 1.0, seed, source, step);
        assert_eq!(key(1, 2, 3), key(1, 2, 3));
        assert!(key(1, 2, 3) != key(2, 2, 3) && key(1, 2, 3) != key(1, 3, 3) && key(1, 2, 3) != key(1, 2, 4));
        // A trial's bit does not depend on how many trials there are beside it.
        assert_eq!(draw(&[500.0; 7], 1.0, 1, 2, 3), key(1, 2, 3) & 0x7f);
    }
}

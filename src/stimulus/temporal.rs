//! The temporal filter of an LGN subfield: two raised-cosine bumps on a logarithmic time axis.
//!
//! The shape and its figures are those of BMTK's FilterNet (`TemporalFilterCosineBump`; after Pillow et al. 2008):
//!
//! `bump(t; peak) = (1 + cos(clamp(pi/2 * (ln(t + 0.3) - ln(peak)) / d, -pi, pi))) / 2`,  `d = ln(200.3) - ln(100.3)`
//!
//! on a grid of 1 ms, each scaled to unit sum of squares, delayed by whole milliseconds and weighted.

use std::f64::consts::PI;

use crate::network::tables::TemporalFilter;

/// Added to the time inside the logarithm, ms.
const LOG_OFFSET_MS: f64 = 0.3;
/// Taps of an undelayed filter, ms.
const N_TAPS: usize = 600;

/// Half the width of a bump, in units of ln(ms).
fn half_width() -> f64 {
    (200.0 + LOG_OFFSET_MS).ln() - (100.0 + LOG_OFFSET_MS).ln()
}

fn bump(t_ms: f64, peak_ms: f64) -> f64 {
    let phase = 0.5 * PI * ((t_ms + LOG_OFFSET_MS).ln() - peak_ms.ln()) / half_width();
    0.5 * (1.0 + phase.clamp(-PI, PI).cos())
}

/// The filter's taps, Hz per unit contrast: tap `j` weighs the contrast `j` ms ago. As in FilterNet the first tap is the
/// bump at 1 ms, the last the one at 600 ms plus the early bump's delay, and delays are cut to whole milliseconds.
pub fn taps(filter: &TemporalFilter) -> Vec<f64> {
    let delays = filter.delays_ms.map(|d| d as usize);
    let n_taps = N_TAPS + delays[0];
    let mut taps = vec![0.0; n_taps];
    for ((weight, peak_ms), delay) in filter.weights.into_iter().zip(filter.peaks_ms).zip(delays) {
        let n_bump = n_taps.saturating_sub(delay).min(N_TAPS);
        let values: Vec<f64> = (1..=n_bump).map(|t_ms| bump(t_ms as f64, peak_ms)).collect();
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (tap, value) in taps.iter_mut().skip(delay).zip(&values) {
            *tap += weight * value / norm;
        }
    }
    taps
}

/// The filter at any lag, ms: linear between its taps, zero after the last.
pub fn interpolate(taps: &[f64], lag_ms: f64) -> f64 {
    let tap = |j: usize| taps.get(j).copied().unwrap_or(0.0);
    let below = lag_ms as usize;
    let fraction = lag_ms - below as f64;
    tap(below) * (1.0 - fraction) + tap(below + 1) * fraction
}

/// Index of the first tap below zero after the peak, and the sum of the taps before it (Hz per unit contrast).
/// `None` where the filter has no such crossing before its minimum.
pub fn zero_crossing(filter: &TemporalFilter) -> Option<(usize, f64)> {
    let mut taps = taps(filter);
    taps.truncate(N_TAPS);
    let peak_ix = first_best(&taps, |a, b| a > b);
    let trough_ix = first_best(&taps, |a, b| a < b);
    let crossing = (peak_ix + 1..trough_ix).find(|&j| taps[j - 1] >= 0.0 && taps[j] < 0.0)?;
    Some((crossing, taps[..crossing].iter().sum()))
}

/// First index whose value beats all others.
fn first_best(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> usize {
    (0..values.len()).fold(0, |best, j| if beats(values[j], values[best]) { j } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SON_TF4: TemporalFilter =
        TemporalFilter { weights: [3.594, -1.8146], peaks_ms: [30.76, 58.36], delays_ms: [0.0, 25.0] };

    #[test]
    fn each_bump_has_unit_norm_and_its_peak_in_place() {
        let early = taps(&TemporalFilter { weights: [2.0, 0.0], ..SON_TF4 });
        assert!((early.iter().map(|v| v * v).sum::<f64>().sqrt() - 2.0).abs() < 1e-12);
        // Tap j is the bump at j + 1 ms and the bump peaks where t + 0.3 = 30.76.
        assert_eq!(first_best(&early, |a, b| a > b), 29);
        let late = taps(&TemporalFilter { weights: [0.0, 1.0], ..SON_TF4 });
        assert_eq!(first_best(&late, |a, b| a > b), 25 + 57);
    }

    #[test]
    fn a_delay_shifts_the_filter_by_whole_milliseconds() {
        let early = taps(&SON_TF4);
        let late = taps(&TemporalFilter { delays_ms: [63.9, 88.9], ..SON_TF4 });
        assert_eq!(late.len(), 600 + 63);
        for j in 0..500 {
            assert!((late[63 + j] - early[j]).abs() < 1e-12, "tap {j}");
        }
    }

    #[test]
    fn between_taps_the_filter_is_linear_and_after_the_last_it_is_zero() {
        let taps = [1.0, 3.0];
        let values = [0.0, 0.25, 1.0, 1.5, 2.0, 700.0].map(|lag_ms| interpolate(&taps, lag_ms));
        assert_eq!(values, [1.0, 1.5, 3.0, 1.5, 0.0, 0.0]);
    }

    #[test]
    fn the_crossing_is_where_the_sign_changes() {
        let (crossing, sum) = zero_crossing(&SON_TF4).unwrap();
        let taps = taps(&SON_TF4);
        assert!(taps[crossing - 1] >= 0.0 && taps[crossing] < 0.0);
        assert!((sum - taps[..crossing].iter().sum::<f64>()).abs() < 1e-12);
        assert!(zero_crossing(&TemporalFilter { weights: [1.0, 0.0], ..SON_TF4 }).is_none());
    }
}

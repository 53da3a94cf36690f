//! L3: amplitudes of paired recordings, against the log-normal law of each measured pair of cell groups.

use serde::{Deserialize, Serialize};

/// What was measured of a pair of cell groups, and how much it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairTarget {
    /// Mean of the logarithm of the peak (mV).
    pub log_mean: f64,
    /// Standard deviation of the logarithm of the peak.
    pub log_sd: f64,
    /// Share in the term; those of all pairs add up to 1.
    pub share: f64,
}

/// Mean and standard deviation of the logarithms of some peaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogStatistics {
    /// Number of peaks that are not 0.
    pub n: usize,
    /// Mean of the logarithms; 0 without peaks.
    pub log_mean: f64,
    /// Standard deviation of the logarithms (n - 1 in the denominator); 0 for fewer than two peaks.
    pub log_sd: f64,
}

/// Deflections smaller than this are none: what f32 leaves of the difference of two potentials, mV.
pub const MIN_PEAK_MV: f64 = 1e-4;

fn log_of(peak_mv: f64) -> Option<f64> {
    (peak_mv.abs() >= MIN_PEAK_MV).then(|| peak_mv.abs().ln())
}

/// Logarithms of the sizes of peaks in mV; peaks below [`MIN_PEAK_MV`] are left out.
pub fn log_peaks(peaks_mv: &[f64]) -> Vec<f64> {
    peaks_mv.iter().filter_map(|p| log_of(*p)).collect()
}

/// Statistics of the logarithms of the sizes of peaks in mV; peaks below [`MIN_PEAK_MV`] are left out.
pub fn log_statistics(peaks_mv: &[f64]) -> LogStatistics {
    let logs = log_peaks(peaks_mv);
    let n = logs.len();
    if n == 0 {
        return LogStatistics::default();
    }
    let log_mean = logs.iter().sum::<f64>() / n as f64;
    let squares: f64 = logs.iter().map(|x| (x - log_mean).powi(2)).sum();
    let log_sd = if n > 1 { (squares / (n - 1) as f64).sqrt() } else { 0.0 };
    LogStatistics { n, log_mean, log_sd }
}

/// Value of the term for one measured pair, `share [(m - m*)^2 + (s - s*)^2]` with m and s the mean and standard deviation of
/// ln |peak| over the recorded edges, and its derivative by each (signed) peak, 1/mV, in `seeds`. Fewer than two peaks
/// have no spread; a peak of 0 has no logarithm and no seed.
pub fn pair_term(target: &PairTarget, peaks_mv: &[f64], seeds: &mut [f64]) -> f64 {
    let LogStatistics { n, log_mean, log_sd } = log_statistics(peaks_mv);
    if n == 0 {
        return 0.0;
    }
    let mean_error = log_mean - target.log_mean;
    let sd_error = if n > 1 { log_sd - target.log_sd } else { 0.0 };
    for (seed, peak_mv) in seeds.iter_mut().zip(peaks_mv) {
        let Some(log) = log_of(*peak_mv) else { continue };
        let by_mean = 2.0 * mean_error / n as f64;
        // Equal peaks: the standard deviation has no derivative there.
        let by_sd = if n > 1 && log_sd > 0.0 {
            2.0 * sd_error * (log - log_mean) / ((n - 1) as f64 * log_sd)
        } else {
            0.0
        };
        *seed = target.share * (by_mean + by_sd) / peak_mv;
    }
    target.share * (mean_error * mean_error + sd_error * sd_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_derivative_by_the_peaks() {
        let target = PairTarget { log_mean: -1.0, log_sd: 0.6, share: 0.3 };
        let peaks = [0.4, 0.9, 0.0, -0.2, 1.7];
        let mut seeds = vec![0.0; peaks.len()];
        pair_term(&target, &peaks, &mut seeds);
        let value = |peaks: &[f64]| pair_term(&target, peaks, &mut vec![0.0; peaks.len()]);
        for i in 0..peaks.len() {
            let h = 1e-6 * peaks[i];
            let (mut up, mut down) = (peaks, peaks);
            up[i] += h;
            down[i] -= h;
            let slope = if h == 0.0 { 0.0 } else { (value(&up) - value(&down)) / (2.0 * h) };
            assert!((seeds[i] - slope).abs() < 1e-8 * (1.0 + slope.abs()), "{i}: {} {slope}", seeds[i]);
        }
    }

    #[test]
    fn the_term_vanishes_at_the_measured_law_and_without_peaks() {
        let logs = [-1.5_f64, -1.0, -0.5];
        let peaks = logs.map(f64::exp);
        let target = PairTarget { log_mean: -1.0, log_sd: 0.5, share: 1.0 };
        let mut seeds = [1.0; 3];
        assert!(pair_term(&target, &peaks, &mut seeds) < 1e-30);
        assert!(seeds.iter().all(|s| s.abs() < 1e-12));
        assert_eq!(pair_term(&target, &[0.0, 1e-7], &mut [0.0; 2]), 0.0);
        assert_eq!(log_statistics(&[0.5]), LogStatistics { n: 1, log_mean: 0.5_f64.ln(), log_sd: 0.0 });
    }
}

//! Empirical distributions: quantiles, tables of quantiles, and the Kolmogorov-Smirnov statistic between them.

/// Level of a rank among `n`.
pub fn mid_level(rank: usize, n: usize) -> f64 {
    (rank as f64 + 0.5) / n as f64
}

/// A distribution as a table of quantiles, linear between its levels; equal neighbouring values are an atom (the
/// silent units of a recording, for one).
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    levels: Vec<f64>,
    values: Vec<f64>,
}

impl Quantiles {
    /// A table from strictly increasing levels in [0, 1] and their values, finite and never decreasing; else None.
    pub fn new(levels: Vec<f64>, values: Vec<f64>) -> Option<Self> {
        let same_length = levels.len() == values.len() && !levels.is_empty();
        let levels_ok =
            levels.iter().all(|p| (0.0..=1.0).contains(p)) && levels.windows(2).all(|w| w[0] < w[1]);
        let values_ok = values.iter().all(|v| v.is_finite()) && values.windows(2).all(|w| w[0] <= w[1]);
        (same_length && levels_ok && values_ok).then_some(Self { levels, values })
    }

    /// The table of a sample: its sorted values at evenly spaced levels from 0 to 1. None when the sample is empty or
    /// holds a value that is not finite.
    pub fn of_sample(sample: &[f64]) -> Option<Self> {
        if let [only] = sample {
            return Self::new(vec![0.0, 1.0], vec![*only; 2]);
        }
        let last = sample.len().checked_sub(1)? as f64;
        Self::new((0..sample.len()).map(|i| i as f64 / last).collect(), sorted(sample))
    }

    /// Value at a level in [0, 1]; constant beyond the first and the last level of the table.
    pub fn value_at(&self, level: f64) -> f64 {
        let above = self.levels.partition_point(|&p| p < level);
        if above == 0 {
            return self.values[0];
        }
        if above == self.levels.len() {
            return self.values[above - 1];
        }
        interpolate(
            level,
            (self.levels[above - 1], self.values[above - 1]),
            (self.levels[above], self.values[above]),
        )
    }

    /// Values at the levels (i + 1/2) / n: what each of n samples is, ascending.
    pub fn at_mid_levels(&self, n: usize) -> Vec<f64> {
        (0..n).map(|rank| self.value_at(mid_level(rank, n))).collect()
    }

    /// Median.
    pub fn median(&self) -> f64 {
        self.value_at(0.5)
    }

    /// Mean of the distribution that the table describes.
    pub fn mean(&self) -> f64 {
        self.mean_between([0.0, 1.0])
    }

    /// Mean of the part of the distribution between two levels in [0, 1], the first below the second.
    pub fn mean_between(&self, [low, high]: [f64; 2]) -> f64 {
        let inner = self.levels.iter().copied().filter(|level| low < *level && *level < high);
        let edges: Vec<f64> = std::iter::once(low).chain(inner).chain(std::iter::once(high)).collect();
        let piece = |e: &[f64]| 0.5 * (e[1] - e[0]) * (self.value_at(e[0]) + self.value_at(e[1]));
        edges.windows(2).map(piece).sum::<f64>() / (high - low)
    }

    /// Cumulative probability just below `x` and at `x`; the two differ on an atom.
    fn cumulative(&self, x: f64) -> (f64, f64) {
        let below = self.values.partition_point(|&v| v < x);
        let up_to = self.values.partition_point(|&v| v <= x);
        let n = self.values.len();
        if below < up_to {
            // On an atom, or on a knot: all levels from the first to the last of these values. The first and the last
            // value of the table also take what the table leaves open below and above them.
            let low = if below == 0 { 0.0 } else { self.levels[below] };
            let high = if up_to == n { 1.0 } else { self.levels[up_to - 1] };
            return (low, high);
        }
        let level = match below {
            0 => 0.0,
            _ if below == n => 1.0,
            _ => interpolate(
                x,
                (self.values[below - 1], self.levels[below - 1]),
                (self.values[below], self.levels[below]),
            ),
        };
        (level, level)
    }
}

/// The point at `x` on the line through two points `(x, y)`.
fn interpolate(x: f64, (x0, y0): (f64, f64), (x1, y1): (f64, f64)) -> f64 {
    y0 + (y1 - y0) * ((x - x0) / (x1 - x0))
}

/// Kolmogorov-Smirnov statistic between a sample and a table of quantiles: the largest distance between their
/// cumulative distributions, in [0, 1]. None when the sample is empty or holds a value that is not finite.
pub fn ks_against_table(sample: &[f64], table: &Quantiles) -> Option<f64> {
    if sample.is_empty() || sample.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let sample = sorted(sample);
    let n = sample.len() as f64;
    // The distance is linear between neighbouring points of either side, so its largest value lies at one of them,
    // just below or at it.
    let distance = sample.iter().chain(&table.values).map(|&x| {
        let below = sample.partition_point(|&s| s < x) as f64 / n;
        let up_to = sample.partition_point(|&s| s <= x) as f64 / n;
        let (table_below, table_up_to) = table.cumulative(x);
        (below - table_below).abs().max((up_to - table_up_to).abs())
    });
    Some(distance.fold(0.0, f64::max))
}

/// Two-sample Kolmogorov-Smirnov statistic, in [0, 1]. None when a sample is empty or holds a value that is not finite.
pub fn ks_between_samples(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|x| !x.is_finite()) {
        return None;
    }
    let (a, b) = (sorted(a), sorted(b));
    let cumulative =
        |sample: &[f64], x: f64| sample.partition_point(|&s| s <= x) as f64 / sample.len() as f64;
    Some(a.iter().chain(&b).map(|&x| (cumulative(&a, x) - cumulative(&b, x)).abs()).fold(0.0, f64::max))
}

/// Mean; None for an empty sample.
pub fn mean(sample: &[f64]) -> Option<f64> {
    (!sample.is_empty()).then(|| sample.iter().sum::<f64>() / sample.len() as f64)
}

/// A sorted copy, in the total order of IEEE 754.
pub(crate) fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sample = sample.to_vec();
    sample.sort_unstable_by(f64::total_cmp);
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_out_of_order_are_refused() {
        assert!(Quantiles::new(vec![], vec![]).is_none());
        assert!(Quantiles::new(vec![0.0, 1.0], vec![1.0]).is_none());
        assert!(Quantiles::new(vec![0.5, 0.5], vec![1.0, 2.0]).is_none());
        assert!(Quantiles::new(vec![0.0, 1.5], vec![1.0, 2.0]).is_none());
        assert!(Quantiles::new(vec![0.0, 1.0], vec![2.0, 1.0]).is_none());
        assert!(Quantiles::new(vec![0.0, 1.0], vec![0.0, f64::NAN]).is_none());
        assert!(Quantiles::of_sample(&[]).is_none());
        assert!(Quantiles::of_sample(&[f64::INFINITY]).is_none());
    }

    #[test]
    fn quantiles_interpolate_and_end_flat() {
        // Sorted 1 2 3 10, at the positions 0, 0.75, 1.5, 2.25 and 3.
        let table = Quantiles::of_sample(&[3.0, 1.0, 2.0, 10.0]).unwrap();
        let values = [0.0, 0.25, 0.5, 0.75, 1.0].map(|p| table.value_at(p));
        for (value, expected) in values.into_iter().zip([1.0, 1.75, 2.5, 4.75, 10.0]) {
            assert!((value - expected).abs() < 1e-14, "{value} {expected}");
        }
        let inner = Quantiles::new(vec![0.1, 0.9], vec![1.0, 2.0]).unwrap();
        assert_eq!((inner.value_at(0.0), inner.value_at(0.5), inner.value_at(1.0)), (1.0, 1.5, 2.0));
        assert_eq!(Quantiles::of_sample(&[7.0]).unwrap().median(), 7.0);
    }

    #[test]
    fn the_mean_of_a_table_is_the_area_under_its_line() {
        let table = Quantiles::new(vec![0.0, 0.4, 1.0], vec![0.0, 0.0, 6.0]).unwrap();
        assert!((table.mean() - 1.8).abs() < 1e-15);
        let inner = Quantiles::new(vec![0.1, 0.9], vec![1.0, 2.0]).unwrap();
        assert!((inner.mean() - (0.1 + 0.8 * 1.5 + 0.2)).abs() < 1e-15);
        let uniform = Quantiles::of_sample(&[1.0, 2.0, 3.0]).unwrap();
        assert!((uniform.mean() - 2.0).abs() < 1e-15);
    }

    #[test]
    fn the_cumulative_jumps_on_an_atom() {
        // 40 % silent, then evenly spread up to 6.
        let table = Quantiles::new(vec![0.0, 0.4, 1.0], vec![0.0, 0.0, 6.0]).unwrap();
        assert_eq!(table.cumulative(-1.0), (0.0, 0.0));
        assert_eq!(table.cumulative(0.0), (0.0, 0.4));
        let (below, at) = table.cumulative(3.0);
        assert!((below - 0.7).abs() < 1e-15 && below == at);
        assert_eq!(table.cumulative(6.0), (1.0, 1.0));
        assert_eq!(table.cumulative(7.0), (1.0, 1.0));
        // A table that starts at 0.1 and ends at 0.9 has 0.1 at its first and its last value each.
        let inner = Quantiles::new(vec![0.1, 0.9], vec![1.0, 2.0]).unwrap();
        assert_eq!((inner.cumulative(1.0), inner.cumulative(2.0)), ((0.0, 0.1), (0.9, 1.0)));
    }

    #[test]
    fn ks_of_known_cases() {
        // Below 3 half of the first sample lies, and none of the second; from 3 on they are at most 5/12 apart.
        assert_eq!(ks_between_samples(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0]), Some(0.5));
        assert_eq!(ks_between_samples(&[1.0, 2.0], &[5.0]), Some(1.0));
        assert_eq!(ks_between_samples(&[2.0, 1.0], &[1.0, 2.0]), Some(0.0));
        assert_eq!(ks_between_samples(&[], &[1.0]), None);
        // The sample is complete at 0.7, where the uniform distribution is not.
        let uniform = Quantiles::new(vec![0.0, 1.0], vec![0.0, 1.0]).unwrap();
        assert!((ks_against_table(&[0.1, 0.4, 0.7], &uniform).unwrap() - 0.3).abs() < 1e-15);
        // All silent, against 40 % silent.
        let table = Quantiles::new(vec![0.0, 0.4, 1.0], vec![0.0, 0.0, 6.0]).unwrap();
        assert!((ks_against_table(&[0.0, 0.0], &table).unwrap() - 0.6).abs() < 1e-15);
        // No unit silent: the atom itself is missed.
        assert!((ks_against_table(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &table).unwrap() - 0.5).abs() < 1e-15);
        assert_eq!(ks_against_table(&[f64::NAN], &table), None);
    }

    #[test]
    fn a_fine_table_stands_for_its_sample() {
        // 1 - exp(-x) drawn at its own mid-levels, against the table of the same: the distance is half a step.
        let n = 200;
        let sample: Vec<f64> = (0..n).map(|i| -(1.0 - (i as f64 + 0.5) / n as f64).ln()).collect();
        let levels: Vec<f64> = (0..=100).map(|i| i as f64 / 100.0 * 0.99).collect();
        let values: Vec<f64> = levels.iter().map(|p| -(1.0 - p).ln()).collect();
        let ks = ks_against_table(&sample, &Quantiles::new(levels, values).unwrap()).unwrap();
        assert!(ks < 0.011, "{ks}");
    }
}

//! Bins of the difference of two preferred directions: host and device sort the same pair into the same bin. Twin:
//! `shaders/shared/structure.wgsl`.

/// Number of bins of equal width from 0 to 180 deg.
pub const N_DIRECTION_BINS: usize = 16;
/// Most pair types whose weights are counted by direction.
pub const MAX_LIKE_GROUPS: usize = 8;
/// Bins a degree.
pub const DIRECTION_BINS_PER_DEG: f32 = N_DIRECTION_BINS as f32 / 180.0;

/// The bin of two directions in [0, 360) deg.
pub fn direction_bin(a_deg: f32, b_deg: f32) -> usize {
    let apart = (a_deg - b_deg).abs();
    ((apart.min(360.0 - apart) * DIRECTION_BINS_PER_DEG) as usize).min(N_DIRECTION_BINS - 1)
}

/// Middle of a bin, deg.
pub fn direction_middle_deg(bin: usize) -> f64 {
    (bin as f64 + 0.5) * 180.0 / N_DIRECTION_BINS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_apart_are_counted_round_the_circle() {
        for (a, b, apart) in
            [(10.0, 10.0, 0.0), (350.0, 20.0, 30.0), (0.0, 180.0, 179.9), (90.0, 271.0, 179.0)]
        {
            let bin = direction_bin(a, b);
            assert_eq!(bin, direction_bin(b, a));
            assert!((direction_middle_deg(bin) - apart).abs() <= 5.625 + 1e-6, "{a} {b}: {bin}");
        }
    }
}

//! Logarithmic bins of weights, by the bits of an f32: host and device sort the same weight into the same bin, so counts do
//! not depend on who counted. Eight bins an octave, each of equal width in the weight. Twin:
//! `shaders/shared/structure.wgsl`.

/// Number of bins: 32 octaves from 2^-20.
pub const N_WEIGHT_BINS: usize = 256;
/// Exponent and first three bits of the mantissa of the lowest edge, 2^-20.
pub const FIRST_WEIGHT_BIN: usize = (127 - 20) * 8;

/// The bin of a weight, None for 0. Weights beyond the range are in the first or last bin.
pub fn weight_bin(weight: f32) -> Option<usize> {
    let top = (weight.to_bits() >> 20) as usize;
    (weight > 0.0).then(|| top.saturating_sub(FIRST_WEIGHT_BIN).min(N_WEIGHT_BINS - 1))
}

/// Natural logarithm of the lower edge of a bin (of the upper edge of the bin before it), bin in 0..=N_WEIGHT_BINS.
pub fn log_edge(bin: usize) -> f64 {
    let top = FIRST_WEIGHT_BIN + bin;
    let (octave, eighth) = (top / 8, top % 8);
    (octave as f64 - 127.0) * std::f64::consts::LN_2 + (1.0 + eighth as f64 / 8.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_lies_between_the_edges_of_its_bin() {
        for weight in [1e-6_f32, 0.013, 0.5, 1.0, 1.124_999_9, 1.125, 77.7, 4095.9] {
            let bin = weight_bin(weight).unwrap();
            let log = f64::from(weight).ln();
            assert!(log_edge(bin) <= log + 1e-12 && log < log_edge(bin + 1), "{weight} in bin {bin}");
        }
        assert_eq!(
            (weight_bin(0.0), weight_bin(1e-9), weight_bin(1e9)),
            (None, Some(0), Some(N_WEIGHT_BINS - 1))
        );
    }
}

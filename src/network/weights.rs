//! Weights of the edges, from the amplitude a PSP should have and what a synapse of weight 1 does to the cell.
//!
//! The median PSP and its log-normal spread over pairs are measured (Campagnola, Seeman et al. 2022). In the network a
//! target's weights also scale inversely with its synapse count, which spreads them further, so the drawn part keeps
//! only the rest of the measured spread. Which quantile a pair gets follows the likeness of the two preferred directions:
//! the more alike, the stronger, as in the published builder.

use super::connection::{LikeToLike, cell_type_is_inhibitory, direction_difference_deg, whole_mean};
use super::random::Draws;
use super::tables::Tables;
use super::{CLASS_OF_SOURCE_TYPE, N_CELL_TYPES, N_CLASSES, SOURCE_TYPE_LGN, class_is_inhibitory};
use crate::{Error, Result};

/// Spread left where the synapse counts of a population alone spread PSPs more than was measured.
const LEAST_SHAPE: f64 = 0.001;
/// Quantiles are kept within this distance of 0 and 1.
const QUANTILE_MARGIN: f64 = 0.001;
/// Noise on the difference of preferred directions where sources or targets are inhibitory, deg: one of them, both.
const DIRECTION_NOISE_DEG: [f64; 2] = [5.0, 10.0];

/// Peak PSP of one synapse of weight 1 on a cell at rest, mV (absolute value), `[cell model][class]`.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitPsps {
    /// In the mode that is simulated: of 1 nS (two-compartment) or 1 pA (point).
    pub of_mode_mv: Vec<[f64; N_CLASSES]>,
    /// In the point mode, of 1 pA: the mode that the published LGN and background weights are for.
    pub of_point_mv: Vec<[f64; N_CLASSES]>,
}

impl UnitPsps {
    /// Checks that there is a positive, finite figure for every cell model and class.
    pub(crate) fn check(&self, n_cell_models: usize) -> Result<()> {
        for psps in [&self.of_mode_mv, &self.of_point_mv] {
            if psps.len() != n_cell_models {
                return Err(Error::Failed(format!(
                    "unit PSPs of {} of {n_cell_models} cell models",
                    psps.len()
                )));
            }
            for (model_ix, of_model) in psps.iter().enumerate() {
                if let Some(class_ix) = of_model.iter().position(|mv| !(mv.is_finite() && *mv > 0.0)) {
                    let mv = of_model[class_ix];
                    let class = super::CLASSES[class_ix];
                    return Err(Error::Failed(format!(
                        "unit PSP of class {class} on cell model {model_ix} is {mv} mV"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The law of PSP amplitudes of one pair (source cell type, target population).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PspLaw {
    /// Shape of the log-normal that is drawn (standard deviation of the logarithm).
    pub shape: f64,
    /// Median of the amplitude of a target of mean synapse count, mV.
    pub median_mv: f64,
}

/// The laws of PSP amplitudes, `[target population][source cell type]`.
pub fn psp_laws(tables: &Tables) -> Vec<[PspLaw; N_CELL_TYPES]> {
    tables
        .populations
        .iter()
        .map(|population| {
            let spread = population.n_synapses_shape;
            let median_size = population.n_synapses_scale / whole_mean(population.n_synapses_mean());
            std::array::from_fn(|source_type| {
                let measured = tables.psp(source_type, population.cell_type_ix).p90;
                let rest = measured.lognormal_shape.powi(2) - spread.powi(2);
                PspLaw {
                    shape: if rest < 0.0 { LEAST_SHAPE } else { rest.sqrt() },
                    median_mv: measured.lognormal_scale_mv * median_size,
                }
            })
        })
        .collect()
}

/// One law of all edges of a sign.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PooledLaw {
    /// Log-normal law of the PSP, as [`PspLaw`].
    pub(crate) psp: PspLaw,
    /// Peak PSP of a synapse of weight 1, mV: geometric mean over the cells of the network and the classes of the sign.
    pub(crate) unit_psp_mv: f64,
}

/// The laws of excitatory and of inhibitory edges, pooled over the measured pairs (each as often as it was recorded): mean of the
/// logarithms, and their whole spread within and between pairs.
pub(crate) fn pooled_laws(tables: &Tables, unit_psps: &UnitPsps) -> [PooledLaw; 2] {
    [false, true].map(|inhibitory| {
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        let mut used: Vec<usize> = Vec::new();
        for source in (0..N_CELL_TYPES).filter(|source| cell_type_is_inhibitory(*source) == inhibitory) {
            used.extend(tables.psp_pair_ix[source]);
        }
        used.sort_unstable();
        used.dedup();
        for measured in used.iter().map(|ix| &tables.psp_measured[*ix].p90) {
            let (share, log) = (measured.n_pairs as f64, measured.lognormal_scale_mv.ln());
            n += share;
            sum += share * log;
            squares += share * (log * log + measured.lognormal_shape.powi(2));
        }
        let mean = sum / n;
        let (mut n_cells, mut log_unit) = (0.0, 0.0);
        for (cell, of_model) in tables.cells.iter().zip(&unit_psps.of_mode_mv) {
            let of_sign = (0..N_CLASSES - 1).filter(|class| class_is_inhibitory(*class) == inhibitory);
            for class in of_sign {
                n_cells += cell.n_cells_full as f64;
                log_unit += cell.n_cells_full as f64 * of_model[class].ln();
            }
        }
        PooledLaw {
            psp: PspLaw { shape: (squares / n - mean * mean).sqrt(), median_mv: mean.exp() },
            unit_psp_mv: (log_unit / n_cells).exp(),
        }
    })
}

/// Draws the quantile of a pair's weight: high where the preferred directions are alike.
pub(crate) fn quantile_by_direction(
    like_to_like: Option<LikeToLike>,
    source_cell_type: usize,
    source_angle_deg: f64,
    target_cell_type: usize,
    target_angle_deg: f64,
    draws: &mut Draws,
) -> f64 {
    let n_inhibitory =
        [source_cell_type, target_cell_type].iter().filter(|&&t| cell_type_is_inhibitory(t)).count();
    let noise_deg =
        if n_inhibitory == 0 { 0.0 } else { DIRECTION_NOISE_DEG[n_inhibitory - 1] * draws.normal() };
    let difference_deg = direction_difference_deg(target_angle_deg + noise_deg, source_angle_deg);
    let share_more_alike = match like_to_like {
        Some(like) => like.cumulative(difference_deg),
        None => difference_deg / 180.0,
    };
    (1.0 - share_more_alike).clamp(QUANTILE_MARGIN, 1.0 - QUANTILE_MARGIN)
}

/// A quantile that knows nothing, within the same margins.
pub(crate) fn random_quantile(draws: &mut Draws) -> f64 {
    draws.uniform().clamp(QUANTILE_MARGIN, 1.0 - QUANTILE_MARGIN)
}

impl LikeToLike {
    /// Share of the connected pairs whose preferred directions differ by less than `difference_deg` in [0, 180]:
    /// the integral of the factor, which falls from 0 to 90 deg and rises again to 180.
    pub(crate) fn cumulative(&self, difference_deg: f64) -> f64 {
        let from_90 = |x: f64| self.at_90_deg * x + (self.at_0_deg - self.at_90_deg) * x * x / 180.0;
        let half = 90.0 * (self.at_0_deg + self.at_90_deg);
        let x = difference_deg - 90.0;
        0.5 + from_90(x.abs()).copysign(x) / half
    }
}

/// Amplitude of the PSP at a quantile of its law for a target with `relative_size` times the mean synapse count, mV.
pub(crate) fn psp_mv(law: &PspLaw, quantile: f64, relative_size: f64) -> f64 {
    law.median_mv * (law.shape * normal_quantile(quantile)).exp() / relative_size
}

/// Weights of the LGN and background synapses of one neuron: published for the point mode, carried over at equal PSP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InputWeights {
    /// Weight of one LGN synapse on a target of 1 synapse; divide by its synapse count.
    pub(crate) lgn_times_n_synapses: f64,
    /// Weight of a background edge.
    pub(crate) background: f64,
}

/// Input weights of every cell model. LGN weights are published for a target with the mean synapse count of L4_Exc.
pub(crate) fn input_weights(tables: &Tables, unit_psps: &UnitPsps) -> Result<Vec<InputWeights>> {
    let class_ix = CLASS_OF_SOURCE_TYPE[SOURCE_TYPE_LGN];
    let l4_exc = tables.populations.iter().find(|p| super::CELL_TYPES[p.cell_type_ix] == "L4_Exc");
    let Some(l4_exc) = l4_exc else {
        return Err(Error::file(
            tables.folder.join("populations.csv"),
            "has no population of cell type L4_Exc",
        ));
    };
    let reference_size = l4_exc.n_synapses_mean();
    let weights = tables.lgn_weights.iter().zip(&tables.background_weights).enumerate();
    Ok(weights
        .map(|(model_ix, (lgn, background))| {
            let per_pa = unit_psps.of_point_mv[model_ix][class_ix] / unit_psps.of_mode_mv[model_ix][class_ix];
            InputWeights {
                lgn_times_n_synapses: lgn.weight_pa * reference_size * per_pa,
                background: background.weight_pa * per_pa,
            }
        })
        .collect())
}

/// Quantile of the standard normal distribution (Wichura 1988, algorithm AS 241, relative error about 1e-16), for
/// p in (0, 1).
pub fn normal_quantile(p: f64) -> f64 {
    let ratio = |numerator: [f64; 8], denominator: [f64; 7], r: f64| {
        let horner = |c: &[f64]| c.iter().rev().fold(0.0, |sum, c| sum * r + c);
        horner(&numerator) / (1.0 + r * horner(&denominator))
    };
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(CENTRE.0, CENTRE.1, 0.180_625 - q * q);
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let z = if r <= 5.0 { ratio(SHOULDER.0, SHOULDER.1, r - 1.6) } else { ratio(TAIL.0, TAIL.1, r - 5.0) };
    z.copysign(q)
}

/// Coefficients of AS 241 for |p - 1/2| <= 0.425.
const CENTRE: ([f64; 8], [f64; 7]) = (
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
);
/// Coefficients for sqrt(-ln p) <= 5.
const SHOULDER: ([f64; 8], [f64; 7]) = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        0.000_774_545_014_278_341_4,
    ],
    [
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        0.000_547_593_808_499_534_5,
        1.050_750_071_644_416_9e-9,
    ],
);
/// Coefficients beyond.
const TAIL: ([f64; 8], [f64; 7]) = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        0.000_027_115_555_687_434_876,
        0.000_000_201_033_439_929_228_81,
    ],
    [
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        0.000_786_869_131_145_613_3,
        0.000_018_463_183_175_100_548,
        0.000_000_142_151_175_831_644_6,
        2.044_263_103_389_939_7e-15,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of scipy.special.ndtri.
    #[test]
    fn normal_quantiles() {
        for (p, z) in [
            (0.5, 0.0),
            (0.001, -3.090_232_306_167_813_5),
            (0.975, 1.959_963_984_540_054),
            (0.9, 1.281_551_565_544_600_4),
            (1e-12, -7.034_483_825_301_132),
        ] {
            assert!((normal_quantile(p) - z).abs() < 1e-13 * (1.0 + z.abs()), "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn the_cumulative_is_the_integral_of_the_factor() {
        let like = LikeToLike { at_0_deg: 4.0 / 3.0, at_90_deg: 2.0 / 3.0 };
        let n = 18_000;
        let mut sum = 0.0;
        for i in 0..n {
            let x = 180.0 * (f64::from(i) + 0.5) / f64::from(n);
            sum += like.factor(x, 0.0) / f64::from(n);
            assert!((like.cumulative(x) - sum).abs() < 1e-4, "at {x} deg");
        }
        assert!((like.cumulative(180.0) - 1.0).abs() < 1e-12 && like.cumulative(0.0).abs() < 1e-12);
    }

    #[test]
    fn unit_psps_must_be_positive() {
        let mut psps =
            UnitPsps { of_mode_mv: vec![[0.1; N_CLASSES]; 2], of_point_mv: vec![[0.1; N_CLASSES]; 2] };
        assert!(psps.check(2).is_ok());
        assert!(psps.check(3).is_err());
        psps.of_mode_mv[1][6] = f64::NAN;
        let message = psps.check(2).unwrap_err().to_string();
        assert!(message.contains("class pv on cell model 1"), "{message}");
    }
}

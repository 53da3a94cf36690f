//! LGN units: linear filters of the screen, rectified into firing rates (the linear-nonlinear units of BMTK's FilterNet).
//!
//! A unit has one subfield, or two whose rectified rates add up. With `s` the contrast that the subfield's Gaussian sees
//! (`spatial.rs`), `k` its temporal filter (`temporal.rs`) and the grating on the screen from the frame after `onset` on,
//!
//! `rate(t) = sum over subfields of max(0, baseline + gain * sum_j k[j] s(t - j ms))`
//!
//! For a grating `s(t) = Im[D e^(-i omega T)]`, T = t - onset, so that the inner sum is `Im[D e^(-i omega T) K(T)]` with
//! `K(T) = sum_{j < T} k[j] e^(i omega j)`: each step adds one tap to K instead of convolving all of them anew. Grey has
//! K = 0. The device does the same arithmetic (`shaders/source_forward.wgsl`).

use std::f64::consts::TAU;

use rayon::prelude::*;

use super::grating::{Grating, TrialCondition};
use super::spatial::{Complex, multiply, polar};
use super::temporal;
use crate::model::rng::{self, Stream};
use crate::network::lgn_units::{JITTER, LgnUnits, N_TILES, TILE_DEG};
use crate::network::tables::{LgnUnitClass, SecondSubfield, TemporalFilter};
use crate::{Error, Result};

/// The screen in front of the LGN units, deg of azimuth and elevation: their tiles.
pub const SCREEN_DEG: [f64; 2] = [TILE_DEG * N_TILES[0] as f64, TILE_DEG * N_TILES[1] as f64];

/// Standard deviations that make up the diameter of a receptive field.
const SD_PER_SIZE: f64 = 3.0;

/// One linear filter of an LGN unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Subfield {
    /// Centre of its Gaussian from the lower left corner of the screen, deg.
    pub centre_deg: [f64; 2],
    /// Standard deviation of its Gaussian, deg.
    pub sigma_deg: f64,
    /// Its rate under a grey screen, Hz.
    pub baseline_hz: f64,
    /// Factor on its temporal filter; negative for OFF.
    pub gain: f64,
    /// Its temporal filter.
    pub filter: TemporalFilter,
}

/// An LGN unit.
#[derive(Clone, Debug, PartialEq)]
pub struct LgnUnit {
    /// The dominant subfield.
    pub dominant: Subfield,
    /// The second (ON) subfield of the oriented classes.
    pub second: Option<Subfield>,
}

/// What tells a unit from the others of its class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitParameters {
    /// Centre of the dominant subfield from the lower left corner of the screen, deg.
    pub centre_deg: [f64; 2],
    /// Diameter of the receptive field, deg.
    pub size_deg: f64,
    /// Direction from the dominant to the second subfield, deg anticlockwise from rightward.
    pub tuning_angle_deg: f64,
    /// Distance between the subfields, deg.
    pub separation_deg: f64,
    /// Temporal filter of the dominant subfield.
    pub filter: TemporalFilter,
    /// Temporal filter of the second subfield, for classes that have one.
    pub second_filter: Option<TemporalFilter>,
}

impl LgnUnit {
    /// The unit of `class` with these parameters.
    ///
    /// # Errors
    /// A filter of a class of two subfields that never crosses zero, or does so after its recorded crossing.
    pub fn new(class: &LgnUnitClass, parameters: &UnitParameters) -> Result<Self> {
        let &UnitParameters { centre_deg, filter, .. } = parameters;
        let sigma_deg = parameters.size_deg / SD_PER_SIZE;
        let (Some(rule), Some(second_filter)) = (&class.second, parameters.second_filter) else {
            let gain = class.polarity;
            let dominant = Subfield { centre_deg, sigma_deg, baseline_hz: class.baseline_hz, gain, filter };
            return Ok(Self { dominant, second: None });
        };
        let (filter, dominant_sum) = at_crossing(class, &filter, rule.crossing_ms[0])?;
        let (second_filter, second_sum) = at_crossing(class, &second_filter, rule.crossing_ms[1])?;
        let baseline_hz = 0.5 * class.baseline_hz;
        let gain = class.polarity * dominant_gain(rule, class.baseline_hz, dominant_sum, second_sum);
        let (sin, cos) = parameters.tuning_angle_deg.to_radians().sin_cos();
        let distance = parameters.separation_deg;
        let second_deg = [centre_deg[0] + distance * cos, centre_deg[1] + distance * sin];
        Ok(Self {
            dominant: Subfield { centre_deg, sigma_deg, baseline_hz, gain, filter },
            second: Some(Subfield {
                centre_deg: second_deg,
                sigma_deg,
                baseline_hz,
                gain: 1.0,
                filter: second_filter,
            }),
        })
    }
}

impl LgnUnit {
    /// Rate under a grey screen, Hz.
    pub fn grey_hz(&self) -> f64 {
        self.subfields().map(|subfield| subfield.baseline_hz.max(0.0)).sum()
    }

    /// The dominant subfield, then the second one where there is one.
    pub fn subfields(&self) -> impl Iterator<Item = &Subfield> {
        std::iter::once(&self.dominant).chain(&self.second)
    }
}

/// The filter delayed so that its zero crossing falls on `crossing_ms`, and its sum up to there.
fn at_crossing(
    class: &LgnUnitClass,
    filter: &TemporalFilter,
    crossing_ms: f64,
) -> Result<(TemporalFilter, f64)> {
    let (crossing, sum) = temporal::zero_crossing(filter).filter(|&(at, _)| at as f64 <= crossing_ms).ok_or_else(|| {
        Error::Failed(format!(
            "LGN class {}: the temporal filter {filter:?} must cross zero after its peak and by {crossing_ms} ms",
            class.name
        ))
    })?;
    let extra_ms = crossing_ms - crossing as f64;
    Ok((TemporalFilter { delays_ms: filter.delays_ms.map(|d| d + extra_ms), ..*filter }, sum))
}

/// Amplitude of the dominant (OFF) subfield beside a second (ON) one of amplitude 1, from their recorded peak rates.
fn dominant_gain(rule: &SecondSubfield, baseline_hz: f64, dominant_sum: f64, second_sum: f64) -> f64 {
    let [dominant_hz, second_hz] = rule.max_hz;
    rule.dominant_gain * (dominant_hz / second_hz) * (second_sum / dominant_sum)
        + baseline_hz * (dominant_hz - second_hz) / (second_hz * dominant_sum)
}

/// The placed units of all classes with their temporal filters, each parameter of which is drawn uniformly within
/// [`JITTER`] of its class's: a function of the tables, the places and the seed.
///
/// # Errors
/// As [`LgnUnit::new`].
pub fn units(classes: &[LgnUnitClass], places: &LgnUnits, seed: u64) -> Result<Vec<LgnUnit>> {
    (0..places.len())
        .into_par_iter()
        .map(|unit_ix| {
            let class = &classes[usize::from(places.class_ix[unit_ix])];
            let jittered =
                |filter: &TemporalFilter, filter_ix| jitter(filter, seed, unit_ix as u32, filter_ix);
            LgnUnit::new(
                class,
                &UnitParameters {
                    centre_deg: [f64::from(places.x_deg[unit_ix]), f64::from(places.y_deg[unit_ix])],
                    size_deg: f64::from(places.size_deg[unit_ix]),
                    tuning_angle_deg: f64::from(places.tuning_angle_deg[unit_ix]),
                    separation_deg: f64::from(places.subfield_separation_deg[unit_ix]),
                    filter: jittered(&class.filter, 0),
                    second_filter: class.second.as_ref().map(|second| jittered(&second.filter, 1)),
                },
            )
        })
        .collect()
}

/// The filter of one unit: six draws, two random words each (Philox blocks 3 `filter_ix` to 3 `filter_ix` + 2).
fn jitter(filter: &TemporalFilter, seed: u64, unit_ix: u32, filter_ix: u32) -> TemporalFilter {
    /// Keeps these draws apart from others of the same stream: the counter's step word.
    const FILTER_DRAWS: u32 = 0x4c47_4e00;
    let scale_pair = |pair: [f64; 2], block: u32| {
        let words = rng::words(seed, Stream::CellParameters, unit_ix, FILTER_DRAWS, 3 * filter_ix + block);
        [0, 1].map(|k| {
            let uniform = rng::uniform_f64(words[2 * k], words[2 * k + 1]);
            pair[k] * (1.0 + JITTER * (2.0 * uniform - 1.0))
        })
    };
    TemporalFilter {
        weights: scale_pair(filter.weights, 0),
        peaks_ms: scale_pair(filter.peaks_ms, 1),
        delays_ms: scale_pair(filter.delays_ms, 2),
    }
}

/// First step that shows the grating: one after the onset, since a frame is shown from its time to the next.
pub(super) fn first_step(grating: &Grating, dt_ms: f64) -> usize {
    (grating.onset_ms / dt_ms).round() as usize + 1
}

/// The grating's phase `omega * n_frames * dt`, reduced to one cycle before the multiplication by 2 pi.
pub(super) fn phase(grating: &Grating, n_frames: usize, dt_ms: f64) -> f64 {
    TAU * (grating.temporal_frequency_hz * 1e-3 * dt_ms * n_frames as f64).fract()
}

/// Rates of a unit at the start of each of `n_steps` steps of `dt_ms`, Hz; they hold to the step's end.
///
/// Between whole milliseconds the temporal filter is interpolated linearly.
pub fn rates_hz(
    unit: &LgnUnit,
    condition: &TrialCondition,
    dt_ms: f64,
    n_steps: usize,
    screen_deg: [f64; 2],
) -> Vec<f64> {
    let mut rates = vec![0.0; n_steps];
    for subfield in unit.subfields() {
        let modulation = modulation_hz(subfield, condition, dt_ms, n_steps, screen_deg);
        for (rate, modulation) in rates.iter_mut().zip(modulation) {
            *rate += (subfield.baseline_hz + modulation).max(0.0);
        }
    }
    rates
}

/// The linear response of one subfield, Hz, per step.
fn modulation_hz(
    subfield: &Subfield,
    condition: &TrialCondition,
    dt_ms: f64,
    n_steps: usize,
    screen_deg: [f64; 2],
) -> Vec<f64> {
    let mut response = vec![0.0; n_steps];
    let Some(grating) = condition.grating() else { return response };
    let amplitude = condition.amplitude(subfield.centre_deg, subfield.sigma_deg, screen_deg);
    let taps = temporal::taps(&subfield.filter);
    let first = first_step(grating, dt_ms);
    let mut sum: Complex = [0.0; 2];
    for (step, response) in response.iter_mut().enumerate().skip(first) {
        let n_frames = step - first;
        let tap = polar(
            temporal::interpolate(&taps, n_frames as f64 * dt_ms) * dt_ms,
            phase(grating, n_frames, dt_ms),
        );
        sum = [sum[0] + tap[0], sum[1] + tap[1]];
        let now = polar(1.0, -phase(grating, n_frames + 1, dt_ms));
        *response = subfield.gain * multiply(amplitude, multiply(now, sum))[1];
    }
    response
}

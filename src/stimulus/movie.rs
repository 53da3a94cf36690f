//! What the LGN units see of images and movies (docs/model.md, S6 and S7).
//!
//! A frame is shown upright on the screen, grey around it, from its time to the next frame's; the screen is grey before the first frame
//! and after the last. A subfield sees of a frame the mean of its pixels under the subfield's Gaussian, cut to the screen and scaled to unit
//! sum as for gratings. Its contrast being constant while a frame lasts, the convolution with the temporal filter is a sum over
//! frames of the contrast times a difference of the filter's running sum: all in f64 on the host, once a stimulus. The spikes
//! are drawn from the rates with the counters that the device uses for gratings.

use rayon::prelude::*;

use super::frames::{Footage, Frame};
use super::lgn::{LgnUnit, Subfield};
use super::spatial::REACH_SD;
use super::{spikes, temporal};
use crate::Result;

/// Where footage is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Width of a frame, deg of visual angle; its height follows from its pixels, which are square.
    pub width_deg: f64,
    /// Centre of the frame from the lower left corner of the screen, deg. What lies off the screen is not seen.
    pub centre_deg: [f64; 2],
}

/// When footage is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Time of the first frame from the start of the trial, ms, >= 0.
    pub onset_ms: f64,
    /// How long each frame stays, ms, at least a time step.
    pub frame_ms: f64,
    /// Time step, ms.
    pub dt_ms: f64,
}

impl Timing {
    /// First step whose contrast is that of a frame (or, for the number of frames, of the grey after the last): the contrast of
    /// step m is what is shown between steps m - 1 and m, as for gratings.
    fn first_step(&self, frame_ix: usize) -> usize {
        // A frame time in decimal notation is a whole number of steps only up to rounding.
        let steps_after_onset = (frame_ix as f64 * self.frame_ms / self.dt_ms - 1e-6).ceil();
        (self.onset_ms / self.dt_ms).round() as usize + 1 + steps_after_onset as usize
    }
}

/// Contrast that the one or two subfields of a unit see in each frame, -1..1, `[n_subfields][n_frames]`.
pub type View = Vec<Vec<f64>>;

/// Shows every frame to the units: what each sees, `[n_units]`. Takes 2 operations a pixel within four standard deviations of a
/// subfield, for each subfield and frame.
///
/// # Errors
/// Those of reading the frames.
pub fn views(
    footage: &Footage,
    units: &[&LgnUnit],
    placement: &Placement,
    screen_deg: [f64; 2],
) -> Result<Vec<View>> {
    let window = |subfield: &Subfield| Window::new(subfield, placement, footage.size, screen_deg);
    let windows: Vec<Vec<Window>> =
        units.par_iter().map(|unit| unit.subfields().map(window).collect()).collect();
    let mut views: Vec<View> = windows.iter().map(|windows| vec![Vec::new(); windows.len()]).collect();
    footage.for_each_frame(|frame| {
        views.par_iter_mut().zip(&windows).for_each(|(view, windows)| {
            for (seen, window) in view.iter_mut().zip(windows) {
                seen.push(window.contrast(frame));
            }
        });
        Ok(())
    })?;
    Ok(views)
}

/// Part of a Gaussian that lies on each pixel that it reaches: products of a row's and a column's.
struct Window {
    rows: Axis,
    columns: Axis,
}

/// Weights of neighbouring pixels along one axis.
struct Axis {
    first_pixel: usize,
    weights: Vec<f64>,
}

impl Window {
    fn new(subfield: &Subfield, placement: &Placement, size: [usize; 2], screen_deg: [f64; 2]) -> Self {
        let [n_rows, n_columns] = size;
        let pixel_deg = placement.width_deg / n_columns as f64;
        let axis = |k: usize, n_pixels: usize| {
            let start_deg = placement.centre_deg[k] - 0.5 * pixel_deg * n_pixels as f64;
            let centre_deg = subfield.centre_deg[k];
            Axis::new(centre_deg, subfield.sigma_deg, screen_deg[k], start_deg, pixel_deg, n_pixels)
        };
        let columns = axis(0, n_columns);
        // Rows are stored from the top, elevation counts from below.
        let upward = axis(1, n_rows);
        let first_pixel = n_rows - upward.first_pixel - upward.weights.len();
        let rows = Axis { first_pixel, weights: upward.weights.into_iter().rev().collect() };
        Self { rows, columns }
    }

    /// Mean contrast of a frame under the Gaussian, the grey around the frame included.
    fn contrast(&self, frame: &Frame) -> f64 {
        // Rows first: sums along memory.
        let mut column_sums = vec![0.0; self.columns.weights.len()];
        for (row, weight) in (self.rows.first_pixel..).zip(&self.rows.weights) {
            let start = row * frame.n_columns + self.columns.first_pixel;
            let pixels = &frame.contrast[start..start + column_sums.len()];
            column_sums.iter_mut().zip(pixels).for_each(|(sum, c)| *sum += weight * f64::from(*c));
        }
        column_sums.iter().zip(&self.columns.weights).map(|(sum, weight)| sum * weight).sum()
    }
}

impl Axis {
    /// `n_pixels` of `pixel_deg` from `start_deg` on, under a Gaussian that is cut off at four standard deviations and at the
    /// edges of the screen, `0..edge_deg`.
    fn new(centre: f64, sigma: f64, edge_deg: f64, start_deg: f64, pixel_deg: f64, n_pixels: usize) -> Self {
        let low = (centre - REACH_SD * sigma).max(0.0);
        let high = (centre + REACH_SD * sigma).min(edge_deg);
        if high <= low {
            return Self { first_pixel: 0, weights: Vec::new() }; // The field lies off the screen and sees nothing.
        }
        let cumulative =
            |x: f64| libm::erf((x.clamp(low, high) - centre) / (sigma * std::f64::consts::SQRT_2));
        let total = cumulative(high) - cumulative(low);
        let pixel_at = |x: f64| ((x - start_deg) / pixel_deg).clamp(0.0, n_pixels as f64);
        let (first, end) = (pixel_at(low).floor() as usize, pixel_at(high).ceil() as usize);
        let edge = |pixel: usize| cumulative(start_deg + pixel as f64 * pixel_deg);
        let weights = (first..end).map(|pixel| (edge(pixel + 1) - edge(pixel)) / total).collect();
        Self { first_pixel: first, weights }
    }
}

/// Rates of a unit at the start of each of `n_steps` steps, Hz, from what it sees.
pub fn rates_hz(unit: &LgnUnit, view: &[Vec<f64>], timing: &Timing, n_steps: usize) -> Vec<f64> {
    let mut rates = vec![0.0; n_steps];
    for (subfield, seen) in unit.subfields().zip(view) {
        let modulation = modulation_hz(subfield, seen, timing, n_steps);
        for (rate, modulation) in rates.iter_mut().zip(modulation) {
            *rate += (subfield.baseline_hz + modulation).max(0.0);
        }
    }
    rates
}

/// The linear response of one subfield, Hz, per step: of a frame that was shown in steps a..b, `contrast (C[n + 1 - a] - C[n + 1 - b])`
/// in step n, C the running sum of the filter's taps.
fn modulation_hz(subfield: &Subfield, seen: &[f64], timing: &Timing, n_steps: usize) -> Vec<f64> {
    let taps = temporal::taps(&subfield.filter);
    let n_lags = (taps.len() as f64 / timing.dt_ms).ceil() as usize;
    let mut running = vec![0.0; n_lags + 1];
    for lag in 0..n_lags {
        let tap_hz = subfield.gain * temporal::interpolate(&taps, lag as f64 * timing.dt_ms) * timing.dt_ms;
        running[lag + 1] = running[lag] + tap_hz;
    }
    let starts: Vec<usize> = (0..=seen.len()).map(|frame_ix| timing.first_step(frame_ix)).collect();
    let response = |step: usize| -> f64 {
        // Frames that ended longer ago than the filter reaches are forgotten.
        let oldest = starts[1..].partition_point(|end| end + n_lags <= step + 1);
        let shown = starts[..seen.len()].partition_point(|start| *start <= step);
        let until = |at: usize| running[(step + 1).saturating_sub(at).min(n_lags)];
        (oldest..shown).map(|f| seen[f] * (until(starts[f]) - until(starts[f + 1]))).sum()
    };
    (0..n_steps).map(response).collect()
}

/// Rates of sources in trials that show footage or grey.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceRates {
    /// Rate of each source under the footage, Hz, `[n_sources][n_steps]`; an empty row is a source that keeps its rate under grey.
    pub shown_hz: Vec<Vec<f64>>,
    /// Rate of each source under grey, Hz, `[n_sources]`.
    pub grey_hz: Vec<f64>,
}

impl SourceRates {
    /// Spikes in trials of which the first `n_shown` show the footage and the next `n_grey` a grey screen, as masks of trials,
    /// `[n_steps][n_sources]`: those that the device would draw at these rates. The first source has the network's index `first_source_ix`.
    pub fn draw(
        &self,
        [n_shown, n_grey]: [usize; 2],
        n_steps: usize,
        dt_ms: f64,
        (seed, presentation): (u64, u32),
        first_source_ix: u32,
    ) -> Vec<u32> {
        let n_sources = self.grey_hz.len();
        let mut masks = vec![0_u32; n_steps * n_sources];
        masks.par_chunks_mut(n_sources.max(1)).enumerate().for_each(|(step, masks)| {
            let draw_step = presentation.wrapping_mul(n_steps as u32).wrapping_add(step as u32);
            let mut rates_hz = vec![0.0; n_shown + n_grey];
            for (unit_ix, mask) in masks.iter_mut().enumerate() {
                let grey_hz = self.grey_hz[unit_ix];
                rates_hz[..n_shown].fill(self.shown_hz[unit_ix].get(step).copied().unwrap_or(grey_hz));
                rates_hz[n_shown..].fill(grey_hz);
                if rates_hz.iter().any(|rate| *rate > 0.0) {
                    *mask = spikes::draw(&rates_hz, dt_ms, seed, first_source_ix + unit_ix as u32, draw_step);
                }
            }
        });
        masks
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use npyz::WriterBuilder;

    use super::super::grating::{Grating, TrialCondition};
    use super::super::lgn;
    use super::*;
    use crate::model::rng::{self, Stream};
    use crate::network::lgn_units;
    use crate::network::tables::Tables;

    const SCREEN_DEG: [f64; 2] = [24.0, 16.0];

    /// Units of every class, with their fields moved onto a small screen; some reach over its edges.
    fn units() -> Vec<LgnUnit> {
        let tables = Tables::read(concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/v1")).unwrap();
        let all = lgn::units(&tables.lgn_units, &lgn_units::place(&tables.lgn_units, 1), 1).unwrap();
        let mut units: Vec<LgnUnit> = all.into_iter().step_by(431).collect();
        for unit in &mut units {
            for subfield in std::iter::once(&mut unit.dominant).chain(&mut unit.second) {
                subfield.centre_deg =
                    [subfield.centre_deg[0] % SCREEN_DEG[0], subfield.centre_deg[1] % SCREEN_DEG[1]];
            }
        }
        units
    }

    /// Luminance `[n_frames][n_rows][n_columns]` as a movie.
    fn movie(folder: &Path, shape: [usize; 3], luminance: impl Iterator<Item = f64>) -> Footage {
        let path = folder.join("movie.npy");
        let file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape.map(|n| n as u64))
            .writer(file)
            .begin_nd()
            .unwrap();
        writer.extend(luminance.map(|v| v as f32)).unwrap();
        writer.finish().unwrap();
        Footage::open(&path).unwrap()
    }

    fn noise(shape: [usize; 3]) -> impl Iterator<Item = f64> {
        (0..shape.iter().product::<usize>() as u32)
            .map(|ix| f64::from(rng::uniform(3, Stream::Trials, ix, 0, 0)))
    }

    /// A movie of one frame a step that samples a drifting grating gives the rates of the closed form. What is left is the pixels'
    /// steps, (2 pi sf pixel)^2/24 = 4e-4 of the amplitude.
    #[test]
    fn a_sampled_grating_gives_the_closed_form() {
        let grating = Grating {
            direction_deg: 60.0,
            spatial_frequency_cpd: 0.06,
            temporal_frequency_hz: 4.0,
            contrast: 0.8,
            phase_deg: 25.0,
            onset_ms: 20.0,
        };
        let (n_frames, pixel_deg) = (500, 0.25);
        let [n_columns, n_rows] = SCREEN_DEG.map(|deg| (deg / pixel_deg) as usize);
        let wave = std::f64::consts::TAU * grating.spatial_frequency_cpd;
        let (sin, cos) = grating.direction_deg.to_radians().sin_cos();
        let luminance = (0..n_frames * n_rows * n_columns).map(|ix| {
            let (frame, row, column) = (ix / (n_rows * n_columns), ix / n_columns % n_rows, ix % n_columns);
            let x = (column as f64 + 0.5) * pixel_deg;
            let y = SCREEN_DEG[1] - (row as f64 + 0.5) * pixel_deg;
            let omega_t = std::f64::consts::TAU * grating.temporal_frequency_hz * 1e-3 * (frame + 1) as f64;
            let cycle = wave * (x * cos + y * sin) - omega_t + grating.phase_deg.to_radians();
            0.5 + 0.5 * grating.contrast * cycle.sin()
        });
        let folder = tempfile::tempdir().unwrap();
        let footage = movie(folder.path(), [n_frames, n_rows, n_columns], luminance);
        let units = units();
        let placement = Placement { width_deg: SCREEN_DEG[0], centre_deg: SCREEN_DEG.map(|deg| 0.5 * deg) };
        let views = views(&footage, &units.iter().collect::<Vec<_>>(), &placement, SCREEN_DEG).unwrap();
        let timing = Timing { onset_ms: grating.onset_ms, frame_ms: 1.0, dt_ms: 1.0 };
        let n_steps = 20 + n_frames;
        let mut worst = 0.0_f64;
        for (unit, view) in units.iter().zip(&views) {
            let from_movie = rates_hz(unit, view, &timing, n_steps);
            let closed = lgn::rates_hz(unit, &TrialCondition::Grating(grating), 1.0, n_steps, SCREEN_DEG);
            let peak_hz = closed.iter().copied().fold(0.0, f64::max);
            for (a, b) in from_movie.iter().zip(&closed) {
                worst = worst.max((a - b).abs() / peak_hz);
            }
        }
        println!("worst difference from the closed form: {worst:.1e} of the peak rate");
        assert!(worst < 1e-3, "{worst}");
    }

    /// S6 by brute force: the Gaussian on a fine grid over the screen times the pixel there, grey off the frame.
    #[test]
    fn a_subfield_sees_the_pixels_under_its_gaussian() {
        let shape = [2, 6, 9];
        let folder = tempfile::tempdir().unwrap();
        let footage = movie(folder.path(), shape, noise(shape));
        let luminance: Vec<f64> = noise(shape).collect();
        let units = units();
        // 13.5 x 9 deg, over the screen's upper edge.
        let placement = Placement { width_deg: 13.5, centre_deg: [10.0, 13.0] };
        let views = views(&footage, &units.iter().collect::<Vec<_>>(), &placement, SCREEN_DEG).unwrap();
        let (mut worst, mut largest) = (0.0_f64, 0.0_f64);
        for (unit, view) in units.iter().zip(&views) {
            for (subfield, seen) in unit.subfields().zip(view) {
                let ([x0, y0], sigma, grid) =
                    (subfield.centre_deg, subfield.sigma_deg, subfield.sigma_deg / 40.0);
                let (mut weights, mut sums) = (0.0, [0.0; 2]);
                let offsets = || (-160..160).map(|k| (f64::from(k) + 0.5) * grid);
                for (dx, dy) in offsets().flat_map(|dx| offsets().map(move |dy| (dx, dy))) {
                    let (x, y) = (x0 + dx, y0 + dy);
                    if x < 0.0 || y < 0.0 || x > SCREEN_DEG[0] || y > SCREEN_DEG[1] {
                        continue;
                    }
                    let weight = (-0.5 * (dx * dx + dy * dy) / (sigma * sigma)).exp();
                    weights += weight;
                    let (column, row) = (((x - 3.25) / 1.5).floor(), ((17.5 - y) / 1.5).floor());
                    if (0.0..9.0).contains(&column) && (0.0..6.0).contains(&row) {
                        let pixel = row as usize * 9 + column as usize;
                        for frame in 0..2 {
                            sums[frame] += weight * (2.0 * luminance[frame * 54 + pixel] - 1.0);
                        }
                    }
                }
                for frame in 0..2 {
                    worst = worst.max((seen[frame] - sums[frame] / weights).abs());
                    largest = largest.max(seen[frame].abs());
                }
            }
        }
        // The grid places a pixel's edge to half its step, 1/80 of sigma: 0.005 of a Gaussian lies within that.
        assert!(worst < 5e-3 && largest > 0.3, "{worst} of {largest}");
    }

    #[test]
    fn the_first_row_is_the_top_and_the_first_column_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let footage = movie(folder.path(), [1, 2, 2], [1.0, 0.5, 0.0, 0.5].into_iter());
        let mut unit = units().swap_remove(0);
        let placement = Placement { width_deg: 16.0, centre_deg: [12.0, 8.0] };
        let mut sees = |centre_deg: [f64; 2]| {
            unit.dominant.centre_deg = centre_deg;
            unit.dominant.sigma_deg = 0.5;
            views(&footage, &[&unit], &placement, SCREEN_DEG).unwrap()[0][0][0]
        };
        let seen = [[8.0, 12.0], [8.0, 4.0], [16.0, 12.0], [2.0, 8.0], [50.0, 8.0]].map(&mut sees);
        assert!((seen[0] - 1.0).abs() < 1e-6 && (seen[1] + 1.0).abs() < 1e-6, "{seen:?}");
        assert_eq!(seen[2..], [0.0; 3], "grey pixels, grey beside the frame, off the screen");
    }

    /// S7 by brute force: every tap times the contrast that was shown so long ago.
    #[test]
    fn rates_are_the_convolution_of_what_is_shown() {
        let units = units();
        let seen: Vec<f64> = noise([1, 1, 30]).map(|v| 2.0 * v - 1.0).collect();
        for (dt_ms, frame_ms, n_steps) in
            [(1.0, 1e3 / 30.0, 1800), (0.25, 1e3 / 144.0, 1200), (1.0, 1.0, 700)]
        {
            let timing = Timing { onset_ms: 50.0, frame_ms, dt_ms };
            // The contrast of step m is what is shown between steps m - 1 and m.
            let shown = |m: usize| {
                let since_ms = m as f64 * dt_ms - dt_ms - timing.onset_ms;
                match since_ms >= -1e-9 {
                    true => seen.get(((since_ms + 1e-7) / frame_ms) as usize).copied().unwrap_or(0.0),
                    false => 0.0,
                }
            };
            for unit in units.iter().step_by(4) {
                let view: View = unit.subfields().map(|_| seen.clone()).collect();
                let rates = rates_hz(unit, &view, &timing, n_steps);
                for step in (0..n_steps).step_by(7) {
                    let expected: f64 = unit
                        .subfields()
                        .map(|subfield| {
                            let taps = temporal::taps(&subfield.filter);
                            let sum: f64 = (0..=step)
                                .map(|j| {
                                    temporal::interpolate(&taps, j as f64 * dt_ms) * dt_ms * shown(step - j)
                                })
                                .sum();
                            (subfield.baseline_hz + subfield.gain * sum).max(0.0)
                        })
                        .sum();
                    assert!(
                        (rates[step] - expected).abs() < 1e-9 * (1.0 + expected),
                        "{dt_ms} {step}: {} {expected}",
                        rates[step]
                    );
                }
                let grey_hz = unit.grey_hz();
                assert!(rates[..=50].iter().all(|rate| (rate - grey_hz).abs() < 1e-12));
                if n_steps == 1800 {
                    // 30 frames of 33 ms from 50 ms on, and a filter of at most 700 ms.
                    assert!(
                        (rates[1799] - grey_hz).abs() < 1e-9 * grey_hz.max(1.0),
                        "{} {grey_hz}",
                        rates[1799]
                    );
                }
            }
        }
    }

    #[test]
    fn trials_draw_at_their_own_rates() {
        let rates = SourceRates {
            shown_hz: vec![vec![1e3, 0.0], Vec::new(), Vec::new()],
            grey_hz: vec![0.0, 1e3, 400.0],
        };
        let masks = rates.draw([2, 1], 2, 1.0, (7, 3), 40);
        assert_eq!([masks[0], masks[3]], [0b011, 0], "a rate of one spike a step, then none; grey is silent");
        assert_eq!([masks[1], masks[4]], [0b111, 0b111]);
        // Step 1 of presentation 3 draws as step 3 * 2 + 1.
        assert_eq!(masks[5], spikes::draw(&[400.0; 3], 1.0, 7, 42, 7));
    }
}

//! LGN units as the device wants them: f32 tables of the filters, made once, and of the trials' gratings, made per batch.
//!
//! Subfields are numbered: subfield `u` is the dominant one of unit `u`, the second ones follow. Trials are the fastest
//! index. Everything that needs a sine, an exponential or more than 24 bits is computed here in f64, so that
//! `shaders/source_forward.wgsl` multiplies and adds only.

use rayon::prelude::*;

use super::grating::TrialCondition;
use super::lgn::{LgnUnit, Subfield, first_step, phase};
use super::spatial::grating_amplitude;
use super::temporal;

/// Filters of all LGN units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Number of subfields.
    pub n_subfields: usize,
    /// Whole milliseconds of lag that any filter reaches, and one row of zeros.
    pub n_taps: usize,
    /// Gain times temporal filter, Hz per unit contrast and ms of lag, `[n_taps][n_subfields]`.
    pub taps_hz: Vec<f32>,
    /// Rate under a grey screen, Hz, `[n_subfields]`.
    pub baseline_hz: Vec<f32>,
    /// Subfield index of the unit's second subfield, `u32::MAX` where it has none, `[n_units]`.
    pub second_ix: Vec<u32>,
}

/// The gratings of a batch of trials.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drive {
    /// Complex amplitude of the contrast that a subfield sees (real, imaginary), `[n_subfields][n_trials]`.
    pub amplitude: Vec<[f32; 2]>,
    /// Per step and trial: cosine and sine of the grating's phase at the step's start, the lag (ms) of the filter tap that
    /// this step adds to K, and that tap's width (ms; 0 where it adds none), `[n_steps][n_trials]`.
    pub frames: Vec<[f32; 4]>,
}

/// The subfields of all units in the order of their index.
fn subfields(units: &[LgnUnit]) -> Vec<&Subfield> {
    units.iter().map(|u| &u.dominant).chain(units.iter().filter_map(|u| u.second.as_ref())).collect()
}

/// Tabulates the filters of all units.
pub fn filters(units: &[LgnUnit]) -> Filters {
    let subfields = subfields(units);
    let rows: Vec<Vec<f32>> = subfields
        .par_iter()
        .map(|subfield| {
            let mut taps: Vec<f32> = temporal::taps(&subfield.filter)
                .into_iter()
                .map(|tap| (subfield.gain * tap) as f32)
                .collect();
            let n_used = taps.iter().rposition(|&tap| tap != 0.0).map_or(0, |last| last + 1);
            taps.truncate(n_used);
            taps
        })
        .collect();
    let n_taps = rows.iter().map(Vec::len).max().unwrap_or(0) + 1;
    let n_subfields = subfields.len();
    let mut taps_hz = vec![0.0; n_taps * n_subfields];
    for (subfield_ix, row) in rows.iter().enumerate() {
        for (lag_ms, tap) in row.iter().enumerate() {
            taps_hz[lag_ms * n_subfields + subfield_ix] = *tap;
        }
    }
    let mut n_seconds = 0;
    let mut second_ix = |unit: &LgnUnit| match unit.second {
        Some(_) => {
            n_seconds += 1;
            (units.len() + n_seconds - 1) as u32
        }
        None => u32::MAX,
    };
    Filters {
        n_subfields,
        n_taps,
        taps_hz,
        baseline_hz: subfields.iter().map(|s| s.baseline_hz as f32).collect(),
        second_ix: units.iter().map(&mut second_ix).collect(),
    }
}

/// Tabulates what the units see in a batch of trials of `n_steps` steps of `dt_ms` on a screen of `screen_deg`.
/// `n_taps` is that of [`Filters`].
pub fn drive(
    units: &[LgnUnit],
    conditions: &[TrialCondition],
    n_taps: usize,
    dt_ms: f64,
    n_steps: usize,
    screen_deg: [f64; 2],
) -> Drive {
    let amplitude = subfields(units)
        .par_iter()
        .flat_map_iter(|subfield| {
            conditions.iter().map(move |condition| match condition {
                TrialCondition::Grey => [0.0; 2],
                TrialCondition::Grating(grating) => {
                    grating_amplitude(grating, subfield.centre_deg, subfield.sigma_deg, screen_deg)
                        .map(|v| v as f32)
                }
            })
        })
        .collect();
    let frames = (0..n_steps)
        .flat_map(|step| conditions.iter().map(move |condition| frame(condition, step, n_taps, dt_ms)))
        .collect();
    Drive { amplitude, frames }
}

/// One entry of [`Drive::frames`].
fn frame(condition: &TrialCondition, step: usize, n_taps: usize, dt_ms: f64) -> [f32; 4] {
    const STILL: [f32; 4] = [1.0, 0.0, 0.0, 0.0];
    let TrialCondition::Grating(grating) = condition else { return STILL };
    let first = first_step(grating, dt_ms);
    if step < first {
        return STILL;
    }
    let lag_ms = (step - first) as f64 * dt_ms;
    // The last row of the table is zero and has no row after it to interpolate towards.
    let width_ms = if lag_ms < (n_taps - 1) as f64 { dt_ms } else { 0.0 };
    let (sin, cos) = phase(grating, step - first + 1, dt_ms).sin_cos();
    [cos as f32, sin as f32, lag_ms as f32, width_ms as f32]
}

#[cfg(test)]
mod tests {
    use super::super::grating::Grating;
    use super::super::lgn::{SCREEN_DEG, rates_hz, units};
    use super::*;
    use crate::network::lgn_units;
    use crate::network::tables::Tables;

    /// The arithmetic of `shaders/source_forward.wgsl` in f32, for one unit: rates in Hz, `[n_steps][n_trials]`.
    fn rates_from_tables(filters: &Filters, drive: &Drive, unit_ix: usize, n_trials: usize) -> Vec<f32> {
        let n_subfields = filters.n_subfields;
        let mut rates = vec![0.0_f32; drive.frames.len()];
        let second = filters.second_ix[unit_ix];
        for subfield in std::iter::once(unit_ix).chain((second != u32::MAX).then_some(second as usize)) {
            let mut sums = vec![[0.0_f32; 2]; n_trials];
            for (at, [cos, sin, lag_ms, width_ms]) in drive.frames.iter().copied().enumerate() {
                let (step, trial) = (at / n_trials, at % n_trials);
                let sum = &mut sums[trial];
                if width_ms > 0.0 {
                    let before = drive.frames[(step - 1) * n_trials + trial];
                    let row = lag_ms as usize;
                    let tap = |row: usize| filters.taps_hz[row * n_subfields + subfield];
                    let fraction = lag_ms - row as f32;
                    let tap_hz = (tap(row) * (1.0 - fraction) + tap(row + 1) * fraction) * width_ms;
                    *sum = [sum[0] + tap_hz * before[0], sum[1] + tap_hz * before[1]];
                }
                let d = drive.amplitude[subfield * n_trials + trial];
                let modulation = (d[0] * cos + d[1] * sin) * sum[1] + (d[1] * cos - d[0] * sin) * sum[0];
                rates[at] += (filters.baseline_hz[subfield] + modulation).max(0.0);
            }
        }
        rates
    }

    #[test]
    fn the_tables_hold_what_the_device_needs() {
        let tables = Tables::read(concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/v1")).unwrap();
        let all = units(&tables.lgn_units, &lgn_units::place(&tables.lgn_units, 1), 1).unwrap();
        assert_eq!(all.len(), 17_400);
        // Every 97th unit, which meets all classes.
        let sample: Vec<LgnUnit> = all.into_iter().step_by(97).collect();
        let grating = Grating {
            direction_deg: 135.0,
            spatial_frequency_cpd: 0.06,
            temporal_frequency_hz: 3.7,
            contrast: 0.9,
            phase_deg: 20.0,
            onset_ms: 30.0,
        };
        let conditions = [
            TrialCondition::Grating(grating),
            TrialCondition::Grey,
            TrialCondition::Grating(Grating { onset_ms: 0.0, temporal_frequency_hz: 15.0, ..grating }),
        ];
        let filters = filters(&sample);
        for (dt_ms, n_steps) in [(1.0, 900), (0.25, 3600), (0.1, 400)] {
            let drive = drive(&sample, &conditions, filters.n_taps, dt_ms, n_steps, SCREEN_DEG);
            let mut worst = 0.0_f64;
            for (unit_ix, unit) in sample.iter().enumerate() {
                let from_tables = rates_from_tables(&filters, &drive, unit_ix, conditions.len());
                for (trial, condition) in conditions.iter().enumerate() {
                    let exact = rates_hz(unit, condition, dt_ms, n_steps, SCREEN_DEG);
                    let peak_hz = exact.iter().copied().fold(0.0, f64::max);
                    for (step, rate_hz) in exact.iter().enumerate() {
                        let error_hz =
                            (f64::from(from_tables[step * conditions.len() + trial]) - rate_hz).abs();
                        worst = worst.max(error_hz / peak_hz);
                    }
                }
            }
            println!("dt {dt_ms} ms: {worst:.1e} of the peak");
            assert!(worst < 5e-6, "dt {dt_ms} ms: {worst:.1e} of the peak");
        }
    }

    /// Halving the step moves the rates by less than the step does: the sum over the filter converges.
    #[test]
    fn the_step_size_matters_little() {
        let tables = Tables::read(concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/v1")).unwrap();
        let unit = &units(&tables.lgn_units, &lgn_units::place(&tables.lgn_units, 1), 1).unwrap()[3000];
        let condition = TrialCondition::Grating(Grating {
            direction_deg: 0.0,
            spatial_frequency_cpd: 0.04,
            temporal_frequency_hz: 2.0,
            contrast: 0.8,
            phase_deg: 0.0,
            onset_ms: 0.0,
        });
        let at = |dt_ms: f64| {
            let per_ms = (1.0 / dt_ms).round() as usize;
            let rates = rates_hz(unit, &condition, dt_ms, 1000 * per_ms, SCREEN_DEG);
            rates.into_iter().step_by(per_ms).collect::<Vec<f64>>()
        };
        let (coarse, half, quarter) = (at(1.0), at(0.5), at(0.25));
        let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let (first, second) = (distance(&coarse, &half), distance(&half, &quarter));
        let peak_hz = coarse.iter().copied().fold(0.0, f64::max);
        assert!(first < 0.02 * peak_hz, "{first} of {peak_hz} Hz");
        assert!((1.6..2.4).contains(&(first / second)), "first order in dt: {first} then {second} Hz");
    }
}

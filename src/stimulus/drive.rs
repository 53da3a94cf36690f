//! LGN and background units as the device wants them: f32 tables of the filters, made once, and of the trials' gratings, made
//! per batch.
//!
//! Subfields are numbered: first the dominant ones of the LGN units, then one of zero filter for each background unit, then
//! the second ones of the LGN units. Everything that needs a sine, an exponential or more than 24 bits is computed here in
//! f64, so that `shaders/source_forward.wgsl` multiplies and adds only.

use rayon::prelude::*;

use super::grating::TrialCondition;
use super::lgn::{LgnUnit, Subfield, first_step, phase};
use super::temporal;

/// Filters of all LGN and background units.
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
    /// Subfield index of the unit's second subfield, `u32::MAX` where it has none, `[n_lgn + n_background]`.
    pub second_ix: Vec<u32>,
}

/// What the units see in a batch of trials. Trials whose gratings share temporal frequency and onset form a group: their
/// filters' running sums are the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drive {
    /// Complex amplitude of the contrast that a subfield sees (real, imaginary), `[n_trials][n_subfields]`.
    pub amplitude: Vec<[f32; 2]>,
    /// Trials of each group as a bit mask, `[n_trials]`; 0 after the last group.
    pub group_trials: Vec<u32>,
    /// Per step and group: cosine and sine of the gratings' phase at the step's start, the lag (ms) of the filter tap that
    /// this step adds to K, and that tap's width (ms; 0 where it adds none), `[n_steps][n_trials]` (groups first, then
    /// unused).
    pub frames: Vec<[f32; 4]>,
}

/// The subfields of all units in the order of their index; `None` for those of background units.
fn subfields(units: &[LgnUnit], n_background: usize) -> Vec<Option<&Subfield>> {
    let dominant = units.iter().map(|u| Some(&u.dominant));
    let second = units.iter().filter_map(|u| u.second.as_ref()).map(Some);
    dominant.chain(std::iter::repeat_n(None, n_background)).chain(second).collect()
}

/// Tabulates the filters of LGN units and of `n_background` units of a constant rate.
pub fn filters(units: &[LgnUnit], n_background: usize, background_hz: f64) -> Filters {
    let subfields = subfields(units, n_background);
    let rows: Vec<Vec<f32>> = subfields
        .par_iter()
        .map(|subfield| {
            let Some(subfield) = subfield else { return Vec::new() };
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
    let mut second_ix = vec![u32::MAX; units.len() + n_background];
    let with_second = (0..units.len()).filter(|&u| units[u].second.is_some());
    for (unit_ix, subfield_ix) in with_second.zip(second_ix.len() as u32..) {
        second_ix[unit_ix] = subfield_ix;
    }
    let baseline_hz = subfields.iter().map(|s| s.map_or(background_hz, |s| s.baseline_hz) as f32).collect();
    Filters { n_subfields, n_taps, taps_hz, baseline_hz, second_ix }
}

/// Tabulates what LGN units, followed by `n_background` units that see nothing, see in a batch of trials of `n_steps` steps
/// of `dt_ms` on a screen of `screen_deg`. `n_taps` is that of [`Filters`].
pub fn drive(
    units: &[LgnUnit],
    n_background: usize,
    conditions: &[TrialCondition],
    n_taps: usize,
    dt_ms: f64,
    n_steps: usize,
    screen_deg: [f64; 2],
) -> Drive {
    let subfields = subfields(units, n_background);
    let amplitude = conditions
        .par_iter()
        .flat_map(|condition| {
            subfields.par_iter().map(move |subfield| {
                let seen = |s: &Subfield| condition.amplitude(s.centre_deg, s.sigma_deg, screen_deg);
                subfield.map_or([0.0; 2], |s| seen(s).map(|v| v as f32))
            })
        })
        .collect();
    let (group_trials, leaders) = group(conditions, dt_ms);
    let n_unused = conditions.len() - leaders.len();
    let frames = (0..n_steps)
        .flat_map(|step| {
            let used = leaders.iter().map(move |leader| frame(leader, step, n_taps, dt_ms));
            used.chain(std::iter::repeat_n(STILL, n_unused))
        })
        .collect();
    Drive { amplitude, group_trials, frames }
}

/// Groups of trials that share a running sum: their masks, padded with 0 to the number of trials, and a condition of each.
/// Grey sees nothing through any sum and joins the first group.
fn group(conditions: &[TrialCondition], dt_ms: f64) -> (Vec<u32>, Vec<TrialCondition>) {
    let key = |condition: &TrialCondition| {
        condition.grating().map(|g| (g.temporal_frequency_hz, first_step(g, dt_ms)))
    };
    let mut leaders: Vec<TrialCondition> = Vec::new();
    let mut masks = vec![0; conditions.len()];
    for (trial, condition) in conditions.iter().enumerate() {
        let group_ix = match key(condition) {
            None => 0,
            Some(key_of) => {
                leaders.iter().position(|leader| key(leader) == Some(key_of)).unwrap_or_else(|| {
                    leaders.push(*condition);
                    leaders.len() - 1
                })
            }
        };
        masks[group_ix] |= 1 << trial;
    }
    if leaders.is_empty() {
        leaders.extend(conditions.first());
    }
    (masks, leaders)
}

/// A frame of no grating.
const STILL: [f32; 4] = [1.0, 0.0, 0.0, 0.0];

/// One entry of [`Drive::frames`].
fn frame(condition: &TrialCondition, step: usize, n_taps: usize, dt_ms: f64) -> [f32; 4] {
    let Some(grating) = condition.grating() else { return STILL };
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
    fn rates_from_tables(filters: &Filters, drive: &Drive, unit_ix: usize) -> Vec<f32> {
        let (n_subfields, n_trials) = (filters.n_subfields, drive.group_trials.len());
        let mut rates = vec![0.0_f32; drive.frames.len()];
        let second = filters.second_ix[unit_ix];
        for subfield in std::iter::once(unit_ix).chain((second != u32::MAX).then_some(second as usize)) {
            let mut sums = vec![[0.0_f32; 2]; n_trials];
            for (at, [cos, sin, lag_ms, width_ms]) in drive.frames.iter().copied().enumerate() {
                let (step, group_ix) = (at / n_trials, at % n_trials);
                let sum = &mut sums[group_ix];
                if width_ms > 0.0 {
                    let before = drive.frames[(step - 1) * n_trials + group_ix];
                    let row = lag_ms as usize;
                    let tap = |row: usize| filters.taps_hz[row * n_subfields + subfield];
                    let fraction = lag_ms - row as f32;
                    let tap_hz = (tap(row) * (1.0 - fraction) + tap(row + 1) * fraction) * width_ms;
                    *sum = [sum[0] + tap_hz * before[0], sum[1] + tap_hz * before[1]];
                }
                let response = [cos * sum[0] + sin * sum[1], cos * sum[1] - sin * sum[0]];
                for trial in (0..n_trials).filter(|trial| drive.group_trials[group_ix] >> trial & 1 == 1) {
                    let d = drive.amplitude[trial * n_subfields + subfield];
                    let modulation = d[0] * response[1] + d[1] * response[0];
                    rates[step * n_trials + trial] += (filters.baseline_hz[subfield] + modulation).max(0.0);
                }
            }
        }
        rates
    }

    #[test]
    fn trials_that_share_frequency_and_onset_share_a_sum() {
        let grating = |temporal_frequency_hz, onset_ms, direction_deg| {
            TrialCondition::Grating(Grating {
                direction_deg,
                spatial_frequency_cpd: 0.04,
                temporal_frequency_hz,
                contrast: 0.8,
                phase_deg: 0.0,
                onset_ms,
            })
        };
        let grey = TrialCondition::Grey;
        let trials = [grey, grating(2.0, 0.0, 0.0), grating(2.0, 50.0, 0.0), grating(2.0, 0.0, 90.0), grey];
        assert_eq!(group(&trials, 1.0), (vec![0b11011, 0b00100, 0, 0, 0], vec![trials[1], trials[2]]));
        assert_eq!(group(&[grey, grey], 1.0), (vec![0b11, 0], vec![grey]));
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
            TrialCondition::Grating(Grating { direction_deg: -60.0, phase_deg: 200.0, ..grating }),
        ];
        let filters = filters(&sample, 3, 250.0);
        for (dt_ms, n_steps) in [(1.0, 900), (0.25, 3600), (0.1, 400)] {
            let drive = drive(&sample, 3, &conditions, filters.n_taps, dt_ms, n_steps, SCREEN_DEG);
            let mut worst = 0.0_f64;
            for (unit_ix, unit) in sample.iter().enumerate() {
                let from_tables = rates_from_tables(&filters, &drive, unit_ix);
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
            // Background units follow the LGN units and fire at their rate in every trial.
            assert!(rates_from_tables(&filters, &drive, sample.len() + 2).iter().all(|rate| *rate == 250.0));
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

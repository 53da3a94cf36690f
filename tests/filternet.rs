//! LGN rates against BMTK's FilterNet: `tests/golden/filternet.json` and `filternet_movie.json`, written by `tools/filternet_golden.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use npyz::WriterBuilder;
use serde::Deserialize;
use simrun::network::tables::{Tables, TemporalFilter};
use simrun::stimulus::frames::Footage;
use simrun::stimulus::lgn::{LgnUnit, UnitParameters, rates_hz};
use simrun::stimulus::movie::{self, Placement, Timing};
use simrun::stimulus::{Grating, TrialCondition};

#[derive(Deserialize)]
struct Golden {
    screen_deg: [f64; 2],
    units: Vec<Unit>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Unit {
    class_name: String,
    at_edge: bool,
    x_deg: f64,
    y_deg: f64,
    size_deg: f64,
    weights: [f64; 2],
    peaks_ms: [f64; 2],
    delays_ms: [f64; 2],
    second: Option<Second>,
}

#[derive(Deserialize)]
struct Second {
    angle_deg: f64,
    separation_deg: f64,
    weights: [f64; 2],
    peaks_ms: [f64; 2],
    delays_ms: [f64; 2],
}

#[derive(Deserialize)]
struct Condition {
    direction_deg: f64,
    spatial_frequency_cpd: f64,
    temporal_frequency_hz: f64,
    contrast: f64,
    phase_deg: f64,
    onset_ms: f64,
    times_ms: Vec<usize>,
    peak_hz: Vec<f64>,
    rates_hz: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Movie {
    n_columns: u64,
    n_rows: u64,
    n_frames: u64,
    width_deg: f64,
    centre_deg: [f64; 2],
    frame_ms: f64,
    onset_ms: f64,
    luminance: Vec<u8>,
    times_ms: Vec<usize>,
    peak_hz: Vec<f64>,
    rates_hz: Vec<Vec<f64>>,
}

impl Condition {
    fn grating(&self) -> TrialCondition {
        TrialCondition::Grating(Grating {
            direction_deg: self.direction_deg,
            spatial_frequency_cpd: self.spatial_frequency_cpd,
            temporal_frequency_hz: self.temporal_frequency_hz,
            contrast: self.contrast,
            phase_deg: self.phase_deg,
            onset_ms: self.onset_ms,
        })
    }
}

fn golden<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn lgn_unit(tables: &Tables, unit: &Unit) -> LgnUnit {
    let class = tables.lgn_units.iter().find(|c| c.name == unit.class_name).unwrap();
    let filter = |weights: [f64; 2], peaks_ms: [f64; 2], delays_ms: [f64; 2]| TemporalFilter {
        weights,
        peaks_ms,
        delays_ms,
    };
    let second = unit.second.as_ref();
    let parameters = UnitParameters {
        centre_deg: [unit.x_deg, unit.y_deg],
        size_deg: unit.size_deg,
        tuning_angle_deg: second.map_or(0.0, |s| s.angle_deg),
        separation_deg: second.map_or(0.0, |s| s.separation_deg),
        filter: filter(unit.weights, unit.peaks_ms, unit.delays_ms),
        second_filter: second.map(|s| filter(s.weights, s.peaks_ms, s.delays_ms)),
    };
    LgnUnit::new(class, &parameters).unwrap()
}

fn tables() -> Tables {
    Tables::read(concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/v1")).unwrap()
}

/// Every class: within 1e-3 of the peak where the filters lie wholly on the screen, within 2e-2 at its edge. What is left is
/// FilterNet's pixel grid: it blurs the Gaussians (in proportion to the pixel's area) and places the screen's edge to about
/// half a pixel.
#[test]
fn rates_meet_filternet_for_every_class() {
    let (golden, tables): (Golden, _) = (golden("filternet.json"), tables());
    let mut worst = [0.0_f64; 2];
    for condition in &golden.conditions {
        let n_steps = condition.times_ms.last().unwrap() + 1;
        for (unit_ix, unit) in golden.units.iter().enumerate() {
            let unit_rates =
                rates_hz(&lgn_unit(&tables, unit), &condition.grating(), 1.0, n_steps, golden.screen_deg);
            let error_hz = (condition.times_ms.iter().zip(&condition.rates_hz[unit_ix]))
                .map(|(&t, expected)| (unit_rates[t] - expected).abs())
                .fold(0.0, f64::max);
            let relative = error_hz / condition.peak_hz[unit_ix];
            println!(
                "{} edge {} tf {}: {relative:.2e}",
                unit.class_name, unit.at_edge, condition.temporal_frequency_hz
            );
            worst[usize::from(unit.at_edge)] = worst[usize::from(unit.at_edge)].max(relative);
        }
    }
    println!("worst relative error: interior {:.2e}, edge {:.2e}", worst[0], worst[1]);
    assert!(worst[0] < 1e-3 && worst[1] < 2e-2, "{worst:?}");
    let mut classes: Vec<&str> = golden.units.iter().map(|u| u.class_name.as_str()).collect();
    classes.dedup();
    assert_eq!(classes.len(), 14);
    assert!(tables.lgn_units.iter().all(|c| classes.contains(&c.name.as_str())));
}

/// A movie of blocks on a part of the screen, after grey and before grey, for every class: within 3e-3 of the peak where the filters lie wholly
/// on the screen, within 2e-2 at its edge, for the same reasons.
#[test]
fn rates_under_a_movie_meet_filternet_for_every_class() {
    let (golden, movie, tables): (Golden, Movie, _) =
        (golden("filternet.json"), golden("filternet_movie.json"), tables());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("movie.npy");
    let file = std::fs::File::create(&path).unwrap();
    let shape = [movie.n_frames, movie.n_rows, movie.n_columns];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd().unwrap();
    writer.extend(&movie.luminance).unwrap();
    writer.finish().unwrap();
    let units: Vec<LgnUnit> = golden.units.iter().map(|unit| lgn_unit(&tables, unit)).collect();
    let placement = Placement { width_deg: movie.width_deg, centre_deg: movie.centre_deg };
    let footage = Footage::open(&path).unwrap();
    let seen_by: Vec<&LgnUnit> = units.iter().collect();
    let views = movie::views(&footage, &seen_by, &placement, golden.screen_deg).unwrap();
    let timing = Timing { onset_ms: movie.onset_ms, frame_ms: movie.frame_ms, dt_ms: 1.0 };
    let n_steps = movie.times_ms.last().unwrap() + 1;
    let (mut worst, mut largest_change) = ([0.0_f64; 2], 0.0_f64);
    for (ix, unit) in golden.units.iter().enumerate() {
        let unit_rates = movie::rates_hz(&units[ix], &views[ix], &timing, n_steps);
        for (&t, expected) in movie.times_ms.iter().zip(&movie.rates_hz[ix]) {
            let relative = (unit_rates[t] - expected).abs() / movie.peak_hz[ix];
            worst[usize::from(unit.at_edge)] = worst[usize::from(unit.at_edge)].max(relative);
            largest_change = largest_change.max((expected - movie.rates_hz[ix][0]).abs() / movie.peak_hz[ix]);
        }
    }
    println!("worst relative error: interior {:.2e}, edge {:.2e}", worst[0], worst[1]);
    assert!(worst[0] < 3e-3 && worst[1] < 2e-2, "{worst:?}");
    assert!(largest_change > 0.5, "the movie moves the rates: {largest_change}");
}

//! LGN rates against BMTK's FilterNet: `tests/golden/filternet.json`, written by `tools/filternet_golden.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde::Deserialize;
use simrun::network::tables::{Tables, TemporalFilter};
use simrun::stimulus::lgn::{LgnUnit, UnitParameters, rates_hz};
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

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/filternet.json");
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
    let (golden, tables) = (golden(), tables());
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

//! Builder, stimulus and losses must mean the same by a direction: the thalamic drive of the untrained network is tuned to
//! each neuron's assigned direction, measured by the crowd that the selectivity loss holds to the recordings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rayon::prelude::*;
use simrun::network::tables::Tables;
use simrun::network::{N_CLASSES, Network, NetworkSpec, UnitPsps, build, lgn_units, target_neuron};
use simrun::stimulus::lgn::{LgnUnit, SCREEN_DEG, rates_hz, units};
use simrun::stimulus::{Grating, TrialCondition};

const DT_MS: f64 = 10.0;
/// One second for the filters to settle, then one of two cycles.
const N_STEPS: usize = 200;
const FIRST_STEP: usize = 100;

/// Standard deviation over time of each neuron's summed LGN input under a grating.
fn drive_modulation(network: &Network, lgn: &[LgnUnit], direction_deg: f64) -> Vec<f64> {
    let grating = TrialCondition::Grating(Grating {
        direction_deg,
        spatial_frequency_cpd: 0.04,
        temporal_frequency_hz: 2.0,
        contrast: 0.8,
        phase_deg: 0.0,
        onset_ms: 0.0,
    });
    let rates: Vec<Vec<f64>> =
        lgn.par_iter().map(|unit| rates_hz(unit, &grating, DT_MS, N_STEPS, SCREEN_DEG)).collect();
    let n = network.neurons.len();
    let mut drive = vec![[0.0; N_STEPS - FIRST_STEP]; n];
    for (unit_ix, rates) in rates.iter().enumerate() {
        let row = &network.rows.offsets[n + unit_ix..];
        for edge in row[0] as usize..row[1] as usize {
            let drive = &mut drive[target_neuron(network.rows.targets[edge]) as usize];
            for (sum, rate) in drive.iter_mut().zip(&rates[FIRST_STEP..]) {
                *sum += f64::from(network.rows.weights[edge]) * rate;
            }
        }
    }
    let deviation = |drive: &[f64; N_STEPS - FIRST_STEP]| {
        let n = drive.len() as f64;
        let mean = drive.iter().sum::<f64>() / n;
        (drive.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    drive.iter().map(deviation).collect()
}

#[test]
fn thalamic_drive_is_tuned_to_the_assigned_direction() {
    let tables = Tables::read(concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/v1")).unwrap();
    let one_mv = vec![[1.0; N_CLASSES]; tables.cells.len()];
    let unit_psps = UnitPsps { of_mode_mv: one_mv.clone(), of_point_mv: one_mv };
    let spec = NetworkSpec { radius_um: 40.0, core_radius_um: 20.0, ..NetworkSpec::published(1) };
    let network = build(&spec, &tables, &unit_psps).unwrap();
    let places = lgn_units::place(&tables.lgn_units, spec.seed);
    let lgn = units(&tables.lgn_units, &places, spec.seed).unwrap();
    let directions: Vec<f64> = (0..8).map(|i| 45.0 * f64::from(i)).collect();
    let responses: Vec<Vec<f64>> = directions.iter().map(|&d| drive_modulation(&network, &lgn, d)).collect();

    // z_k = mean over neurons of sum r e^{k i (direction - assigned)} / sum r.
    let mut z = [[0.0; 2]; 2];
    let mut n_driven = 0;
    for neuron in 0..network.neurons.len() {
        let total: f64 = responses.iter().map(|r| r[neuron]).sum();
        if total == 0.0 {
            continue;
        }
        n_driven += 1;
        for (direction, response) in directions.iter().zip(&responses) {
            let delta = (direction - f64::from(network.neurons.tuning_angle_deg[neuron])).to_radians();
            for (z, k) in z.iter_mut().zip([1.0, 2.0]) {
                z[0] += response[neuron] / total * (k * delta).cos();
                z[1] += response[neuron] / total * (k * delta).sin();
            }
        }
    }
    let [direction, orientation] = z.map(|z| z.map(|part| part / f64::from(n_driven)));
    println!("{n_driven} neurons: z_1 {direction:.3?}, z_2 {orientation:.3?}");
    // A mirrored or turned convention gives real parts near 0 or below, or imaginary parts as large as these.
    assert!(n_driven > 500, "{n_driven}");
    assert!(direction[0] > 0.1 && direction[1].abs() < 0.03, "{direction:?}");
    assert!(orientation[0] > 0.15 && orientation[1].abs() < 0.03, "{orientation:?}");
}

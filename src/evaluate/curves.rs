//! Direction tuning and contrast-response curves of cell types, beside the recordings.

use super::{ContrastClass, ContrastResponses, Tuning, groups};
use crate::loss::contrast::ContrastTarget;
use crate::loss::targets::{FunctionTargets, RECORDED_CONTRAST};
use crate::loss::tuning::{N_BINS, bin_of};
use crate::results::{ClassCounts, ContrastCurve, TuningCurve};

/// Rate, Hz, below which a neuron's say in the crowd falls: by default that of the selectivity loss.
const CROWD_FLOOR_HZ: f64 = 0.5;

/// Re z_1 and Re z_2 of a crowd, `z_k = sum w e^{k i (theta - phi)}/sum w` over its neurons (assigned direction phi) and the directions theta
/// shown, w a neuron's mean rate at a direction over its mean rate or 0.5 Hz, whichever is larger (L2 of docs/model.md). Unlike OSI and DSI they are
/// not raised by noise. None without a spike.
fn crowd_selectivity(tuning: &Tuning, tuning_angle_deg: &[f32], neurons: &[usize]) -> Option<[f64; 2]> {
    let (mut sums, mut whole) = ([0.0; 2], 0.0);
    for &neuron_ix in neurons {
        let norm_hz = tuning.evoked_hz(neuron_ix)?.max(CROWD_FLOOR_HZ);
        for (direction_deg, rate_hz) in tuning.directions_deg().iter().zip(tuning.rates_hz(neuron_ix)) {
            let delta = (direction_deg - f64::from(tuning_angle_deg[neuron_ix])).to_radians();
            let w = rate_hz / norm_hz;
            whole += w;
            for (sum, k) in sums.iter_mut().zip([1.0, 2.0]) {
                *sum += w * (k * delta).cos();
            }
        }
    }
    (whole > 0.0).then(|| sums.map(|sum| sum / whole))
}

/// Mean tuning curves of all cell types that have neurons in the core. `tuning_angle_deg`: `[n_neurons]`.
pub fn tuning_curves(
    tuning: &Tuning,
    tuning_angle_deg: &[f32],
    core: &[Vec<usize>],
    targets: &FunctionTargets,
) -> Vec<TuningCurve> {
    let recorded = targets.tuning.iter().map(|t| (&t.name, &t.cell_types));
    let curve = |(cell_type, cell_types, neurons): (String, Vec<usize>, Vec<usize>)| {
        let target = targets.tuning.iter().find(|t| t.cell_types == cell_types);
        let mut bins = [(0usize, 0.0, 0.0); N_BINS];
        for &neuron_ix in &neurons {
            for (direction_deg, rate_hz) in tuning.directions_deg().iter().zip(tuning.rates_hz(neuron_ix)) {
                let delta_deg = direction_deg - f64::from(tuning_angle_deg[neuron_ix]);
                let (n, sum_hz, sum_target_hz) = &mut bins[bin_of(delta_deg)];
                *n += 1;
                *sum_hz += rate_hz;
                *sum_target_hz += target.map_or(0.0, |t| t.rate_at_hz(delta_deg));
            }
        }
        let means = |sum: &dyn Fn(&(usize, f64, f64)) -> f64| {
            bins.iter().map(|bin| (bin.0 > 0).then(|| sum(bin) / bin.0 as f64)).collect::<Vec<_>>()
        };
        TuningCurve {
            cell_type,
            n_neurons: neurons.len(),
            delta_deg: (0..N_BINS).map(|bin| 360.0 * bin as f64 / N_BINS as f64).collect(),
            rate_hz: means(&|bin| bin.1),
            target_hz: target.map(|_| means(&|bin| bin.2)),
            crowd: crowd_selectivity(tuning, tuning_angle_deg, &neurons),
        }
    };
    groups(&targets.cell_types, core, recorded).into_iter().map(curve).collect()
}

/// Class of each neuron's contrast-response curve, `[n_neurons]`, for neurons of the core.
pub fn contrast_classes(
    contrast: &ContrastResponses,
    core: &[Vec<usize>],
    n_neurons: usize,
) -> Vec<Option<ContrastClass>> {
    let mut classes = vec![None; n_neurons];
    core.iter().flatten().for_each(|&neuron_ix| classes[neuron_ix] = contrast.class(neuron_ix));
    classes
}

/// Contrast-response curves of all cell types that have neurons in the core; none where no other contrast was shown. The points at contrast
/// 0 and 0.8 are the grey trials and the gratings of `tuning`, in all its directions; classes look at those of the other contrasts. `classes`: of [`contrast_classes`].
pub fn contrast_curves(
    tuning: &Tuning,
    contrast: &ContrastResponses,
    classes: &[Option<ContrastClass>],
    core: &[Vec<usize>],
    targets: &FunctionTargets,
) -> Vec<ContrastCurve> {
    let shown = contrast.other_contrasts();
    if shown.is_empty() {
        return Vec::new();
    }
    let rates = targets.rate_evoked_hz.iter().map(|r| (&r.name, &r.cell_types));
    let curve = |(cell_type, cell_types, neurons): (String, Vec<usize>, Vec<usize>)| {
        let mean_of = |rate: &dyn Fn(usize) -> Option<f64>| {
            super::mean(&neurons.iter().filter_map(|&n| rate(n)).collect::<Vec<f64>>())
        };
        let mut points: Vec<(f64, f64)> = shown
            .iter()
            .filter_map(|&c| Some((c, contrast.mean_rate_hz(&neurons, c)?)))
            .chain(mean_of(&|n| tuning.spontaneous_hz(n)).map(|rate| (0.0, rate)))
            .chain(mean_of(&|n| tuning.evoked_hz(n)).map(|rate| (RECORDED_CONTRAST, rate)))
            .collect();
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (contrasts, rate_hz): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        let evoked = targets.rate_evoked_hz.iter().find(|r| r.cell_types == cell_types);
        let target = evoked.and_then(|r| ContrastTarget::new(r, &targets.rate_spontaneous_hz));
        let recorded = targets.contrast_classes.iter().find(|c| c.cell_types == cell_types);
        let count = |class| neurons.iter().filter(|&&n| classes[n] == Some(class)).count();
        ContrastCurve {
            cell_type,
            n_neurons: neurons.len(),
            target_hz: target.map(|t| contrasts.iter().map(|&c| t.rate_at_hz(c)).collect()),
            contrasts,
            rate_hz,
            classes: ClassCounts {
                n_tested: if contrast.can_class() { neurons.len() } else { 0 },
                n_high: count(ContrastClass::High),
                n_band: count(ContrastClass::Band),
                n_low: count(ContrastClass::Low),
            },
            recorded_classes: recorded.map(|r| {
                let [n_high, n_band, n_low] = r.n_by_class;
                ClassCounts { n_tested: r.n_tested, n_high, n_band, n_low }
            }),
        }
    };
    groups(&targets.cell_types, core, rates).into_iter().map(curve).collect()
}

/// Total variation distance between the network's shares of classes (high, band and low pass, no response) and the recorded ones, in
/// [0, 1]: mean over the cell types that have both; None without one.
pub fn contrast_class_error(curves: &[ContrastCurve]) -> Option<f64> {
    let shares = |c: &ClassCounts| {
        let unresponsive = c.n_tested.saturating_sub(c.n_high + c.n_band + c.n_low);
        [c.n_high, c.n_band, c.n_low, unresponsive].map(|n| n as f64 / c.n_tested as f64)
    };
    let tested = curves.iter().filter_map(|curve| Some((curve.classes, curve.recorded_classes?)));
    let distances: Vec<f64> = tested
        .filter(|(model, recorded)| model.n_tested > 0 && recorded.n_tested > 0)
        .map(|(model, recorded)| {
            let pairs = shares(&model).into_iter().zip(shares(&recorded));
            0.5 * pairs.map(|(a, b)| (a - b).abs()).sum::<f64>()
        })
        .collect();
    super::mean(&distances)
}

//! The voltage term: a weak pull on potentials that have left the range between rest and threshold.
//!
//! A neuron far below threshold has no surrogate derivative and so no gradient from any spike term; this one keeps it
//! trainable. With x = (V - E_L) / (V_th - E_L), the term is
//!
//! ```text
//! L = weight * mean over neurons, steps and trials of  relu(x - x_high)^2 + relu(x_low - x)^2
//! ```
//!
//! with 0 for the steps of a refractory period, in which the potential is held. This is E5 of MODEL.md; the sum runs on the
//! device, where the potentials are, and this is its definition in f64.

use crate::scene::VoltageLossScene;

/// Penalty of one potential, dimensionless; `x` is 0 at rest and 1 at threshold.
pub fn penalty(x: f64, term: &VoltageLossScene) -> f64 {
    (x - term.x_high).max(0.0).powi(2) + (term.x_low - x).max(0.0).powi(2)
}

/// Derivative of [`penalty`] with respect to `x`.
pub fn penalty_derivative(x: f64, term: &VoltageLossScene) -> f64 {
    2.0 * (x - term.x_high).max(0.0) - 2.0 * (term.x_low - x).max(0.0)
}

/// What multiplies a penalty (and its derivative) in the total: the weight over the number of samples in the mean.
pub fn scale(term: &VoltageLossScene, n_neurons: usize, n_steps: usize, n_trials: usize) -> f64 {
    term.weight / (n_neurons as f64 * n_steps as f64 * n_trials as f64)
}

/// The term of potentials `v_mv`, in any order, of one neuron with resting potential `e_l_mv` and threshold `v_th_mv`,
/// and its derivatives with respect to each, 1/mV. `scale` is that of the whole mean ([`scale`]).
pub fn value_and_seeds(
    v_mv: &[f64],
    e_l_mv: f64,
    v_th_mv: f64,
    scale: f64,
    term: &VoltageLossScene,
) -> (f64, Vec<f64>) {
    let span_mv = v_th_mv - e_l_mv;
    let x = |v: &f64| (v - e_l_mv) / span_mv;
    let value = v_mv.iter().map(|v| penalty(x(v), term)).sum::<f64>() * scale;
    let seeds = v_mv.iter().map(|v| penalty_derivative(x(v), term) * scale / span_mv).collect();
    (value, seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term() -> VoltageLossScene {
        VoltageLossScene { weight: 3.0, x_low: -0.5, x_high: 1.0 }
    }

    #[test]
    fn penalty_is_flat_inside_and_quadratic_outside() {
        let t = term();
        assert_eq!([-0.5, 0.0, 1.0].map(|x| penalty(x, &t)), [0.0; 3]);
        assert_eq!((penalty(1.5, &t), penalty(-1.5, &t)), (0.25, 1.0));
        assert_eq!((penalty_derivative(1.5, &t), penalty_derivative(-1.5, &t)), (1.0, -2.0));
        assert_eq!(penalty_derivative(0.3, &t), 0.0);
    }

    #[test]
    fn value_is_the_mean_and_seeds_meet_finite_differences() {
        let t = term();
        let v_mv = [-100.0, -72.0, -60.0, -45.0, -38.0];
        let (e_l_mv, v_th_mv) = (-70.0, -50.0);
        let scale = scale(&t, 1, v_mv.len(), 1);
        let (value, seeds) = value_and_seeds(&v_mv, e_l_mv, v_th_mv, scale, &t);
        // x = -1.5, -0.1, 0.5, 1.25, 1.6: penalties 1, 0, 0, 0.0625, 0.36.
        assert!((value - 3.0 * 1.4225 / 5.0).abs() < 1e-14);
        for (i, seed) in seeds.iter().enumerate() {
            let shifted = |h: f64| {
                let mut v = v_mv;
                v[i] += h;
                value_and_seeds(&v, e_l_mv, v_th_mv, scale, &t).0
            };
            let difference = (shifted(1e-4) - shifted(-1e-4)) / 2e-4;
            assert!((seed - difference).abs() < 1e-10, "{i}: {seed} {difference}");
        }
    }
}

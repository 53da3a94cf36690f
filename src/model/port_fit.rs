//! The fit of double alphas on a few shared alphas: time constants by the simplex method of Nelder and Mead (1965),
//! coefficients by non-negative least squares (Lawson and Hanson 1974, in the normal-equation form of Bro and de Jong
//! 1997). All inner products of alphas are exact integrals over t >= 0, so nothing is sampled in time.

use nalgebra::{DMatrix, DVector};

use super::kinetics::Kinetics;

/// Fit of one group of classes on one target type.
#[derive(Clone, Debug)]
pub(super) struct GroupFit {
    /// Time constants in ascending order, ms.
    pub(super) tau_ms: Vec<f64>,
    /// Coefficients, `[class of the group][port]`, >= 0.
    pub(super) coef: Vec<Vec<f64>>,
}

/// How far a fitted time course is from the measured one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Source class.
    pub class_ix: usize,
    /// Target type.
    pub type_ix: usize,
    /// L2 norm of the difference over the L2 norm of the measured course.
    pub relative_l2_error: f64,
    /// |fitted peak - measured peak| / measured peak.
    pub relative_peak_error: f64,
    /// |fitted - measured| / measured, of the integral over time (the charge).
    pub relative_area_error: f64,
}

/// Errors of a fit of all classes on all target types.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FitReport {
    /// One entry per (target type, class).
    pub fits: Vec<Fit>,
}

impl FitReport {
    /// Largest relative L2 error.
    pub fn worst_l2(&self) -> Option<Fit> {
        self.fits.iter().copied().max_by(|a, b| a.relative_l2_error.total_cmp(&b.relative_l2_error))
    }

    /// Largest relative error of the peak.
    pub fn worst_peak(&self) -> Option<Fit> {
        self.fits.iter().copied().max_by(|a, b| a.relative_peak_error.total_cmp(&b.relative_peak_error))
    }

    /// Largest relative error of the area.
    pub fn worst_area(&self) -> Option<Fit> {
        self.fits.iter().copied().max_by(|a, b| a.relative_area_error.total_cmp(&b.relative_area_error))
    }

    pub(super) fn add(
        &mut self,
        class_ix: usize,
        type_ix: usize,
        target: &Kinetics,
        tau_ms: &[f64],
        coef: &[f64],
    ) {
        let measured = [(1.0, target.tau_fast_ms), (target.amp_slow, target.tau_slow_ms)];
        let fitted: Vec<(f64, f64)> = coef.iter().copied().zip(tau_ms.iter().copied()).collect();
        let difference: Vec<(f64, f64)> =
            fitted.iter().copied().chain(measured.iter().map(|&(a, tau)| (-a, tau))).collect();
        let relative = |fitted: f64, measured: f64| (fitted - measured).abs() / measured;
        self.fits.push(Fit {
            class_ix,
            type_ix,
            relative_l2_error: (inner(&difference, &difference).max(0.0) / inner(&measured, &measured))
                .sqrt(),
            relative_peak_error: relative(peak(&fitted), peak(&measured)),
            relative_area_error: relative(area(&fitted), area(&measured)),
        });
    }
}

/// Inner product over t >= 0 of two sums of alphas, given as (amplitude, time constant):
/// int alpha(t; a) alpha(t; b) dt = 2 e^2 (a b)^2 / (a + b)^3.
fn inner(x: &[(f64, f64)], y: &[(f64, f64)]) -> f64 {
    let e2 = std::f64::consts::E.powi(2);
    let pair =
        |&(p, a): &(f64, f64), &(q, b): &(f64, f64)| p * q * 2.0 * e2 * (a * b).powi(2) / (a + b).powi(3);
    x.iter().map(|u| y.iter().map(|v| pair(u, v)).sum::<f64>()).sum()
}

/// Integral over t >= 0 of a sum of alphas: e tau each.
fn area(x: &[(f64, f64)]) -> f64 {
    x.iter().map(|&(a, tau)| a * std::f64::consts::E * tau).sum()
}

/// Peak of a sum of alphas of non-negative amplitude. It lies between the fastest and the slowest peak.
fn peak(x: &[(f64, f64)]) -> f64 {
    const N_SAMPLES: usize = 2000;
    let last_ms = x.iter().map(|&(_, tau)| tau).fold(0.0, f64::max);
    let value = |t: f64| x.iter().map(|&(a, tau)| a * t / tau * (1.0 - t / tau).exp()).sum::<f64>();
    (1..=N_SAMPLES).map(|k| value(last_ms * k as f64 / N_SAMPLES as f64)).fold(0.0, f64::max)
}

/// Fits the courses of a group on `n_ports` alphas. Every course counts the same: errors are relative to its norm.
pub(super) fn fit_group(targets: &[Kinetics], n_ports: usize) -> GroupFit {
    let taus = || targets.iter().flat_map(|k| [k.tau_fast_ms, k.tau_slow_ms]);
    let (low, high) = (taus().fold(f64::INFINITY, f64::min).ln(), taus().fold(0.0, f64::max).ln());
    // Spread over the range of the measured time constants, away from its ends.
    let start: Vec<f64> =
        (0..n_ports).map(|p| low + (high - low) * (p as f64 + 0.5) / n_ports as f64).collect();
    // Twice: the simplex of a first search may have collapsed before it arrived.
    let first = nelder_mead(&start, |log_tau| group_error(targets, log_tau).0);
    let mut log_tau = nelder_mead(&first, |log_tau| group_error(targets, log_tau).0);
    log_tau.sort_by(f64::total_cmp);
    let (_, coef) = group_error(targets, &log_tau);
    GroupFit { tau_ms: log_tau.iter().map(|x| x.exp()).collect(), coef }
}

/// Sum of squared relative L2 errors of a group at the given log time constants, and the best coefficients.
fn group_error(targets: &[Kinetics], log_tau: &[f64]) -> (f64, Vec<Vec<f64>>) {
    let basis: Vec<[(f64, f64); 1]> = log_tau.iter().map(|x| [(1.0, x.exp())]).collect();
    let n = basis.len();
    let gram = DMatrix::from_fn(n, n, |i, j| inner(&basis[i], &basis[j]));
    let mut error = 0.0;
    let mut coef = Vec::with_capacity(targets.len());
    for k in targets {
        let course = [(1.0, k.tau_fast_ms), (k.amp_slow, k.tau_slow_ms)];
        let norm = inner(&course, &course);
        let projection = DVector::from_fn(n, |i, _| inner(&basis[i], &course));
        let x = non_negative_least_squares(&gram, &projection);
        error += (norm - 2.0 * projection.dot(&x) + (&gram * &x).dot(&x)) / norm;
        coef.push(x.iter().copied().collect());
    }
    (error, coef)
}

/// The x >= 0 that minimises |A x - b|, from A'A (`gram`) and A'b (`projection`).
fn non_negative_least_squares(gram: &DMatrix<f64>, projection: &DVector<f64>) -> DVector<f64> {
    let n = projection.len();
    let tolerance = 1e-12 * projection.amax();
    let mut x = DVector::zeros(n);
    let mut free = vec![false; n];
    // Each round frees one variable; a variable is rarely bound again, so 3 n rounds are ample.
    for _ in 0..3 * n {
        let descent = projection - gram * &x;
        let candidate = (0..n).filter(|&i| !free[i]).max_by(|&i, &j| descent[i].total_cmp(&descent[j]));
        let Some(i) = candidate.filter(|&i| descent[i] > tolerance) else { break };
        free[i] = true;
        loop {
            let Some(z) = solve_free(gram, projection, &free) else {
                // Two time constants so close that they are one: do without the new one.
                free[i] = false;
                return x;
            };
            // Walk from x toward z until the first free variable reaches zero, and bind that one.
            let blocked = (0..n).filter(|&j| free[j] && z[j] <= 0.0);
            let step = blocked.map(|j| x[j] / (x[j] - z[j])).fold(1.0, f64::min);
            if step >= 1.0 {
                x = z;
                break;
            }
            x += (z - &x) * step;
            for j in 0..n {
                // Coefficients are of order 1; this is zero up to rounding.
                if free[j] && x[j] <= 1e-12 {
                    (free[j], x[j]) = (false, 0.0);
                }
            }
        }
    }
    x
}

/// Solves the normal equations on the free variables; the others are zero. None when they are singular.
fn solve_free(gram: &DMatrix<f64>, projection: &DVector<f64>, free: &[bool]) -> Option<DVector<f64>> {
    let ix: Vec<usize> = (0..free.len()).filter(|&i| free[i]).collect();
    let part = DMatrix::from_fn(ix.len(), ix.len(), |i, j| gram[(ix[i], ix[j])]);
    let right = DVector::from_fn(ix.len(), |i, _| projection[ix[i]]);
    let solution = part.cholesky()?.solve(&right);
    let mut x = DVector::zeros(free.len());
    for (i, value) in ix.into_iter().zip(solution.iter()) {
        x[i] = *value;
    }
    Some(x)
}

/// Minimum of `f` near `start` by the simplex method with the standard coefficients. Deterministic.
fn nelder_mead(start: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const N_ROUNDS: usize = 400;
    const EDGE: f64 = 0.3;
    let n = start.len();
    let point = |x: Vec<f64>| (f(&x), x);
    let mut simplex = vec![point(start.to_vec())];
    for i in 0..n {
        let mut x = start.to_vec();
        x[i] += EDGE;
        simplex.push(point(x));
    }
    for _ in 0..N_ROUNDS {
        simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
        let spread = (0..n).map(|i| (simplex[n].1[i] - simplex[0].1[i]).abs()).fold(0.0, f64::max);
        if spread < 1e-9 {
            break;
        }
        let centre: Vec<f64> =
            (0..n).map(|i| simplex[..n].iter().map(|p| p.1[i]).sum::<f64>() / n as f64).collect();
        let along = |s: f64| point((0..n).map(|i| centre[i] + s * (simplex[n].1[i] - centre[i])).collect());
        let reflected = along(-1.0);
        if reflected.0 < simplex[0].0 {
            let expanded = along(-2.0);
            simplex[n] = if expanded.0 < reflected.0 { expanded } else { reflected };
        } else if reflected.0 < simplex[n - 1].0 {
            simplex[n] = reflected;
        } else {
            let contracted = if reflected.0 < simplex[n].0 { along(-0.5) } else { along(0.5) };
            if contracted.0 < simplex[n].0.min(reflected.0) {
                simplex[n] = contracted;
            } else {
                let best = simplex[0].1.clone();
                for p in &mut simplex[1..] {
                    *p = point(p.1.iter().zip(&best).map(|(x, b)| 0.5 * (x + b)).collect());
                }
            }
        }
    }
    simplex.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| start.to_vec(), |p| p.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinetics(tau_fast_ms: f64, tau_slow_ms: f64, amp_slow: f64) -> Kinetics {
        Kinetics { tau_fast_ms, tau_slow_ms, amp_slow }
    }

    #[test]
    fn inner_product_is_the_integral() {
        let (x, y) = ([(1.0, 1.7), (0.4, 4.2)], [(1.0, 2.3)]);
        let value = |s: &[(f64, f64)], t: f64| {
            s.iter().map(|&(a, tau)| a * t / tau * (1.0 - t / tau).exp()).sum::<f64>()
        };
        let dt = 1e-3;
        let sum: f64 = (0..200_000).map(|k| k as f64 * dt).map(|t| value(&x, t) * value(&y, t)).sum();
        assert!((inner(&x, &y) - sum * dt).abs() < 1e-6);
        let charge: f64 = (0..200_000).map(|k| value(&x, k as f64 * dt)).sum();
        assert!((area(&x) - charge * dt).abs() < 1e-6);
    }

    #[test]
    fn least_squares_stays_non_negative_and_optimal() {
        // Unconstrained, the second coefficient would be negative.
        let a = DMatrix::from_row_slice(3, 2, &[1.0, 1.0, 1.0, 0.5, 1.0, 0.2]);
        let b = DVector::from_row_slice(&[1.0, 2.0, 3.0]);
        let x = non_negative_least_squares(&(a.transpose() * &a), &(a.transpose() * &b));
        assert!((x[0] - 2.0).abs() < 1e-12 && x[1] == 0.0, "{x}");
        // Without active bounds it is the ordinary solution.
        let b = &a * DVector::from_row_slice(&[0.3, 0.8]);
        let x = non_negative_least_squares(&(a.transpose() * &a), &(a.transpose() * &b));
        assert!((x[0] - 0.3).abs() < 1e-10 && (x[1] - 0.8).abs() < 1e-10, "{x}");
    }

    #[test]
    fn two_ports_recover_two_alphas() {
        let target = kinetics(1.6, 4.4, 0.6);
        let fit = fit_group(&[target], 2);
        assert!((fit.tau_ms[0] - 1.6).abs() < 1e-3 && (fit.tau_ms[1] - 4.4).abs() < 1e-3, "{:?}", fit.tau_ms);
        assert!((fit.coef[0][0] - 1.0).abs() < 1e-2 && (fit.coef[0][1] - 0.6).abs() < 1e-2);
        let mut report = FitReport::default();
        report.add(0, 0, &target, &fit.tau_ms, &fit.coef[0]);
        assert!(report.fits[0].relative_l2_error < 1e-4, "{report:?}");
    }

    #[test]
    fn more_ports_never_fit_worse() {
        let targets = [kinetics(1.6, 4.3, 0.5), kinetics(1.9, 2.7, 0.7), kinetics(1.8, 2.9, 0.36)];
        let mut last = f64::INFINITY;
        for n_ports in 1..=4 {
            let fit = fit_group(&targets, n_ports);
            let log_tau: Vec<f64> = fit.tau_ms.iter().map(|t| t.ln()).collect();
            let error = group_error(&targets, &log_tau).0;
            assert!(error <= last + 1e-9, "{n_ports} ports: {error} after {last}");
            last = error;
        }
        assert!(last < 1e-5);
    }
}

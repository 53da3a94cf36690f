//! Synaptic kinetics as NEST's `glif_psc_double_alpha` has them: a receptor for each synaptic class, with a fast and a slow alpha.

use crate::model::Dynamics;
use crate::model::kinetics::{Kinetics, N_TARGET_TYPES};
use crate::model::membrane::CellMode;
use crate::network::N_CLASSES;

/// A receptor of NEST: what a weight of 1 pA does, a fast alpha of peak `scale` and a slow one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Receptor {
    /// Time courses, with the peak of the slow alpha over that of the fast.
    pub(super) kinetics: Kinetics,
    /// Signed peak of the fast alpha for a weight of 1.
    pub(super) scale: f64,
}

/// Receptors of every target type and class, or `None` where NEST has no such synapses: conductances, or currents of more than
/// two alphas (ports shared by classes, more than two in a group).
pub(super) fn nest_receptors(dynamics: &Dynamics) -> Option<[[Receptor; N_CLASSES]; N_TARGET_TYPES]> {
    if dynamics.mode != CellMode::Point {
        return None;
    }
    let unset = Receptor { kinetics: Kinetics::default(), scale: 0.0 };
    let mut receptors = [[unset; N_CLASSES]; N_TARGET_TYPES];
    for (type_ix, of_type) in receptors.iter_mut().enumerate() {
        for (class_ix, receptor) in of_type.iter_mut().enumerate() {
            *receptor = receptor_of(dynamics, type_ix, class_ix)?;
        }
    }
    Some(receptors)
}

fn receptor_of(dynamics: &Dynamics, type_ix: usize, class_ix: usize) -> Option<Receptor> {
    let ports = &dynamics.ports;
    let mut alphas: Vec<(f64, f64)> = (0..ports.n_ports)
        .map(|p| (ports.tau_ms(type_ix, p), ports.coef(type_ix, class_ix, p)))
        .filter(|(_, coef)| *coef != 0.0)
        .collect();
    alphas.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (fast, slow) = match alphas[..] {
        [fast] => (fast, (fast.0, 0.0)),
        [fast, slow] => (fast, slow),
        _ => return None,
    };
    let kinetics = Kinetics { tau_fast_ms: fast.0, tau_slow_ms: slow.0, amp_slow: slow.1 / fast.1 };
    Some(Receptor { kinetics, scale: fast.1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Damping;
    use crate::model::kinetics::{PortCounts, Ports, SynapseKind};
    use crate::model::surrogate::Surrogate;
    use crate::network::class_is_inhibitory;
    use crate::network::tables::Tables;

    fn dynamics(mode: CellMode, ports: Ports) -> Dynamics {
        let surrogate = Surrogate { half_width: 0.5, height: 0.1 };
        Dynamics { mode, dt_ms: 0.25, ports, max_delay_steps: 1, surrogate, damping: Damping::default() }
    }

    #[test]
    fn exact_ports_are_the_published_receptors() {
        let tables = Tables::read("scenes/v1").unwrap();
        let exact = Ports::exact(&tables.kinetics, SynapseKind::Current);
        let receptors = nest_receptors(&dynamics(CellMode::Point, exact)).unwrap();
        for (type_ix, of_type) in receptors.iter().enumerate() {
            for (class_ix, receptor) in of_type.iter().enumerate() {
                let sign = if class_is_inhibitory(class_ix) { -1.0 } else { 1.0 };
                assert_eq!(receptor.scale, sign);
                let (found, published) = (receptor.kinetics, tables.kinetics[class_ix][type_ix]);
                assert_eq!(
                    (found.tau_fast_ms, found.tau_slow_ms),
                    (published.tau_fast_ms, published.tau_slow_ms)
                );
                assert!((found.amp_slow - published.amp_slow).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn shared_ports_fit_a_receptor_up_to_two_of_them() {
        let tables = Tables::read("scenes/v1").unwrap();
        let fitted = |n_exc| {
            let counts = PortCounts { n_exc, n_inh_soma: 2, n_inh_dendrite: 1 };
            let ports = Ports::fitted(&tables.kinetics, counts, SynapseKind::Current).0;
            dynamics(CellMode::Point, ports)
        };
        assert!(nest_receptors(&fitted(4)).is_none());
        let two = fitted(2);
        let receptors = nest_receptors(&two).unwrap();
        // The same time course, at any time.
        let alpha = |t: f64, tau: f64| t / tau * (1.0 - t / tau).exp();
        for (type_ix, of_type) in receptors.iter().enumerate() {
            for (class_ix, r) in of_type.iter().enumerate() {
                for t_ms in [0.3, 1.0, 4.0, 20.0] {
                    let k = r.kinetics;
                    let nest =
                        r.scale * (alpha(t_ms, k.tau_fast_ms) + k.amp_slow * alpha(t_ms, k.tau_slow_ms));
                    let ports = &two.ports;
                    let own: f64 = (0..ports.n_ports)
                        .map(|p| ports.coef(type_ix, class_ix, p) * alpha(t_ms, ports.tau_ms(type_ix, p)))
                        .sum();
                    assert!((nest - own).abs() < 1e-12, "{type_ix} {class_ix} {t_ms}: {nest} {own}");
                }
            }
        }
        let two_compartments = CellMode::TwoCompartment { dendrite_fraction: 0.5, coupling_ratio: 2.0 };
        assert!(nest_receptors(&dynamics(two_compartments, two.ports)).is_none());
    }
}

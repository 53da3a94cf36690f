//! Synaptic kinetics: double alphas per (class, target type), and the ports that carry them.

pub use super::port_fit::{Fit, FitReport};

use super::port_fit::fit_group;
use super::vocabulary::{CLASS_OF_SOURCE_TYPE, N_CELL_TYPES, N_CLASSES, class_is_inhibitory};

/// Synaptic target types: e23 e4 e5et e5it e5np e6 pv sst vip (the first nine classes).
pub const N_TARGET_TYPES: usize = N_CLASSES - 1;

/// Class `pv`, whose synapses sit on the soma; all others sit on the dendrite. Source: perisomatic (PV, basket) and
/// dendritic targeting in the EM volume (MICrONS Consortium 2025).
const CLASS_PV: usize = 6;

/// Time course of a synapse: `w [alpha(t; tau_fast) + amp_slow alpha(t; tau_slow)]`, each alpha of peak 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kinetics {
    /// Time to peak of the fast component, ms.
    pub tau_fast_ms: f64,
    /// Time to peak of the slow component, ms.
    pub tau_slow_ms: f64,
    /// Peak of the slow over the fast component.
    pub amp_slow: f64,
}

/// Kinetics of every class on every target type.
pub type KineticsTable = [[Kinetics; N_TARGET_TYPES]; N_CLASSES];

/// What a synapse opens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SynapseKind {
    /// A current, pA, negative for inhibitory classes (point mode).
    Current,
    /// A conductance, nS, with a reversal potential (two-compartment mode).
    Conductance {
        /// Reversal potential of excitatory classes, mV.
        e_exc_mv: f64,
        /// Reversal potential of inhibitory classes, mV.
        e_inh_mv: f64,
    },
}

/// How many ports each group of classes shares, each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCounts {
    /// Excitatory classes, on the dendrite.
    pub n_exc: usize,
    /// `pv`, on the soma.
    pub n_inh_soma: usize,
    /// `sst` and `vip`, on the dendrite.
    pub n_inh_dendrite: usize,
}

/// The ports of the network: one list for all neurons, with time constants and coefficients per target type.
#[derive(Clone, Debug, PartialEq)]
pub struct Ports {
    /// Number of ports of a neuron.
    pub n_ports: usize,
    /// Number of synaptic classes.
    pub n_classes: usize,
    /// Synaptic target type of each cell type, `[n_cell_types]`.
    pub target_type_of: Vec<usize>,
    /// Time constants, `[n_target_types][n_ports]` ms.
    pub tau_ms: Vec<f64>,
    /// Share of a class's arrivals that a port takes, `[n_target_types][n_classes][n_ports]`. Signed in point mode
    /// (currents), >= 0 in two-compartment mode (conductances).
    pub coef: Vec<f64>,
    /// Reversal potential, `[n_ports]` mV (two-compartment mode).
    pub reversal_mv: Vec<f64>,
    /// Whether the port sits on the soma, `[n_ports]` (two-compartment mode).
    pub on_soma: Vec<bool>,
}

/// A port of one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Port {
    /// Time constant, ms.
    pub tau_ms: f64,
    /// Reversal potential, mV (where synapses open conductances).
    pub reversal_mv: f64,
    /// Whether it sits on the soma (where there is a dendrite).
    pub on_soma: bool,
}

impl Ports {
    /// The measured kinetics as they are: ports `2 class` (fast) and `2 class + 1` (slow) for every class, 20 in all.
    pub fn exact(kinetics: &KineticsTable, synapses: SynapseKind) -> Self {
        let groups: Vec<Vec<usize>> = (0..N_CLASSES).map(|class_ix| vec![class_ix]).collect();
        let mut ports = Self::unset(groups.iter().map(|classes| (classes.as_slice(), 2)), synapses);
        for (class_ix, by_type) in kinetics.iter().enumerate() {
            for (type_ix, k) in by_type.iter().enumerate() {
                let tau_ms = [k.tau_fast_ms, k.tau_slow_ms];
                ports.set(type_ix, 2 * class_ix, &tau_ms, &[(class_ix, vec![1.0, k.amp_slow])], synapses);
            }
        }
        ports
    }

    /// A few ports per neuron, shared by the classes of a group: time constants chosen per target type, coefficients by
    /// non-negative least squares. The report names the worst fits.
    pub fn fitted(kinetics: &KineticsTable, counts: PortCounts, synapses: SynapseKind) -> (Self, FitReport) {
        let excitatory: Vec<usize> = (0..N_CLASSES).filter(|&c| !class_is_inhibitory(c)).collect();
        let on_dendrite: Vec<usize> =
            (0..N_CLASSES).filter(|&c| class_is_inhibitory(c) && c != CLASS_PV).collect();
        let groups = [
            (excitatory.as_slice(), counts.n_exc),
            (&[CLASS_PV], counts.n_inh_soma),
            (on_dendrite.as_slice(), counts.n_inh_dendrite),
        ];
        let mut ports = Self::unset(groups.into_iter(), synapses);
        let mut report = FitReport::default();
        let course = |class_ix: usize, type_ix: usize| kinetics[class_ix][type_ix];
        for type_ix in 0..N_TARGET_TYPES {
            let mut first_port = 0;
            for (classes, n_ports) in groups {
                let targets: Vec<Kinetics> = classes.iter().map(|&c| course(c, type_ix)).collect();
                let fit = fit_group(&targets, n_ports);
                for (target, (&class_ix, coef)) in targets.iter().zip(classes.iter().zip(&fit.coef)) {
                    report.add(class_ix, type_ix, target, &fit.tau_ms, coef);
                }
                let coef: Vec<(usize, Vec<f64>)> = classes.iter().copied().zip(fit.coef).collect();
                ports.set(type_ix, first_port, &fit.tau_ms, &coef, synapses);
                first_port += n_ports;
            }
        }
        (ports, report)
    }

    /// Ports of the given groups (classes, number of ports) in order, without time constants and coefficients.
    fn unset<'a>(groups: impl Iterator<Item = (&'a [usize], usize)>, synapses: SynapseKind) -> Self {
        let (mut reversal_mv, mut on_soma) = (Vec::new(), Vec::new());
        for (classes, n_ports) in groups {
            let reversal = match synapses {
                SynapseKind::Current => 0.0,
                SynapseKind::Conductance { e_inh_mv, .. } if class_is_inhibitory(classes[0]) => e_inh_mv,
                SynapseKind::Conductance { e_exc_mv, .. } => e_exc_mv,
            };
            reversal_mv.extend(std::iter::repeat_n(reversal, n_ports));
            on_soma.extend(std::iter::repeat_n(classes == [CLASS_PV], n_ports));
        }
        let n_ports = on_soma.len();
        Self {
            n_ports,
            n_classes: N_CLASSES,
            target_type_of: CLASS_OF_SOURCE_TYPE[..N_CELL_TYPES].to_vec(),
            tau_ms: vec![0.0; N_TARGET_TYPES * n_ports],
            coef: vec![0.0; N_TARGET_TYPES * N_CLASSES * n_ports],
            reversal_mv,
            on_soma,
        }
    }

    /// Sets neighbouring ports of a target type: time constants, and per class the (positive) coefficients.
    fn set(
        &mut self,
        type_ix: usize,
        first_port: usize,
        tau_ms: &[f64],
        coef: &[(usize, Vec<f64>)],
        synapses: SynapseKind,
    ) {
        for (p, &tau_ms) in tau_ms.iter().enumerate() {
            self.tau_ms[type_ix * self.n_ports + first_port + p] = tau_ms;
        }
        for (class_ix, coef) in coef {
            let negative = synapses == SynapseKind::Current && class_is_inhibitory(*class_ix);
            for (p, &coef) in coef.iter().enumerate() {
                let at = (type_ix * self.n_classes + class_ix) * self.n_ports + first_port + p;
                self.coef[at] = if negative { -coef } else { coef };
            }
        }
    }

    /// Gives the synapses of one class the kinetics of another, on every target type.
    pub fn copy_class(&mut self, from_class_ix: usize, to_class_ix: usize) {
        for type_ix in 0..self.n_target_types() {
            let row = |class_ix: usize| (type_ix * self.n_classes + class_ix) * self.n_ports;
            let (from, to) = (row(from_class_ix), row(to_class_ix));
            self.coef.copy_within(from..from + self.n_ports, to);
        }
    }

    /// The ports of the cells of a cell type, `[n_ports]`.
    pub fn of_cell(&self, cell_type_ix: usize) -> Vec<Port> {
        let type_ix = self.target_type_of[cell_type_ix];
        let port = |p: usize| Port {
            tau_ms: self.tau_ms(type_ix, p),
            reversal_mv: self.reversal_mv[p],
            on_soma: self.on_soma[p],
        };
        (0..self.n_ports).map(port).collect()
    }

    /// Number of cell types.
    pub fn n_cell_types(&self) -> usize {
        self.target_type_of.len()
    }

    /// Number of synaptic target types.
    pub fn n_target_types(&self) -> usize {
        self.tau_ms.len() / self.n_ports.max(1)
    }

    /// Time constant of a port on a target type, ms.
    pub fn tau_ms(&self, type_ix: usize, port_ix: usize) -> f64 {
        self.tau_ms[type_ix * self.n_ports + port_ix]
    }

    /// Coefficient of a class on a port of a target type.
    pub fn coef(&self, type_ix: usize, class_ix: usize, port_ix: usize) -> f64 {
        self.coef[(type_ix * self.n_classes + class_ix) * self.n_ports + port_ix]
    }

    /// What one arrival of a class adds to a port's rise variable: coef * e/tau (E8), 1/ms per unit weight.
    pub fn gain_per_ms(&self, type_ix: usize, class_ix: usize, port_ix: usize) -> f64 {
        self.coef(type_ix, class_ix, port_ix) * std::f64::consts::E / self.tau_ms(type_ix, port_ix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::vocabulary::CLASSES;

    /// Kinetics in the range of the measured ones, different for every class and type.
    fn kinetics() -> KineticsTable {
        std::array::from_fn(|c| {
            std::array::from_fn(|t| Kinetics {
                tau_fast_ms: 1.0 + 0.1 * c as f64,
                tau_slow_ms: 2.5 + 0.3 * t as f64 + 0.05 * c as f64,
                amp_slow: 0.2 + 0.05 * (c + t) as f64,
            })
        })
    }

    const CONDUCTANCE: SynapseKind = SynapseKind::Conductance { e_exc_mv: 0.0, e_inh_mv: -75.0 };

    #[test]
    fn exact_ports_hold_the_table() {
        let kinetics = kinetics();
        let point = Ports::exact(&kinetics, SynapseKind::Current);
        let two = Ports::exact(&kinetics, CONDUCTANCE);
        assert_eq!((point.n_ports, two.n_ports), (20, 20));
        for c in 0..N_CLASSES {
            let sign = if class_is_inhibitory(c) { -1.0 } else { 1.0 };
            assert_eq!(two.reversal_mv[2 * c], if sign < 0.0 { -75.0 } else { 0.0 });
            assert_eq!(two.on_soma[2 * c + 1], CLASSES[c] == "pv");
            for (t, k) in kinetics[c].iter().enumerate() {
                assert_eq!(point.tau_ms(t, 2 * c), k.tau_fast_ms);
                assert_eq!(point.tau_ms(t, 2 * c + 1), k.tau_slow_ms);
                for p in 0..20 {
                    let expected = match p {
                        p if p == 2 * c => 1.0,
                        p if p == 2 * c + 1 => k.amp_slow,
                        _ => 0.0,
                    };
                    assert_eq!(two.coef(t, c, p), expected);
                    assert_eq!(point.coef(t, c, p), sign * expected);
                }
            }
        }
    }

    #[test]
    fn fitted_ports_keep_groups_apart() {
        let counts = PortCounts { n_exc: 2, n_inh_soma: 1, n_inh_dendrite: 1 };
        let (two, report) = Ports::fitted(&kinetics(), counts, CONDUCTANCE);
        assert_eq!(two.n_ports, 4);
        assert_eq!(two.on_soma, [false, false, true, false]);
        assert_eq!(two.reversal_mv, [0.0, 0.0, -75.0, -75.0]);
        assert_eq!(report.fits.len(), N_CLASSES * N_TARGET_TYPES);
        let (point, _) = Ports::fitted(&kinetics(), counts, SynapseKind::Current);
        for (a, b) in two.coef.iter().zip(&point.coef) {
            assert!(*a >= 0.0 && a.abs() == b.abs());
        }
        for t in 0..N_TARGET_TYPES {
            for (c, class) in CLASSES.iter().enumerate() {
                let group = match *class {
                    "pv" => 2..3,
                    "sst" | "vip" => 3..4,
                    _ => 0..2,
                };
                for p in 0..4 {
                    assert!(group.contains(&p) || two.coef(t, c, p) == 0.0, "{c} {t} {p}");
                }
                assert!(point.coef[(t * N_CLASSES + c) * 4..][..4].iter().all(|x| x * point_sign(c) >= 0.0));
            }
        }
    }

    fn point_sign(class_ix: usize) -> f64 {
        if class_is_inhibitory(class_ix) { -1.0 } else { 1.0 }
    }
}

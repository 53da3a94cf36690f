//! Cells and synapses of a scene.

use serde::{Deserialize, Serialize};

use crate::model::kinetics::SynapseKind;
use crate::model::membrane::CellMode;

/// Cell and synapse model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellsScene {
    /// Membrane model.
    pub mode: ModeScene,
    /// How the measured synaptic kinetics are put on a neuron's ports.
    pub ports: PortsScene,
}

/// Membrane model (docs/model.md).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ModeScene {
    /// The published point model: one compartment, synapses are currents, exact propagators.
    Point,
    /// Soma and dendrite, synapses are conductances.
    TwoCompartment {
        /// Share of the measured capacitance and leak conductance that lies on the dendrite, in (0, 1).
        dendrite_fraction: f64,
        /// Coupling conductance as a multiple of the cell's leak conductance, in (0, 1000].
        coupling_ratio: f64,
        /// Reversal potential of excitatory ports, mV, in [-40, 100].
        e_exc_mv: f64,
        /// Reversal potential of inhibitory ports, mV, in [-120, -60].
        e_inh_mv: f64,
    },
}

/// How the measured double-alpha kinetics are put on a neuron's ports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PortsScene {
    /// Every synaptic class has its own two alphas (up to 20 ports): the published kinetics.
    Exact,
    /// Few ports whose time constants are chosen per target type and shared by the classes.
    Fitted {
        /// Excitatory ports, 1..=8.
        n_exc: u32,
        /// Ports of inhibition onto the soma (PV), 1..=4.
        n_inh_soma: u32,
        /// Ports of inhibition onto the dendrite (SST, VIP), 1..=4.
        n_inh_dendrite: u32,
    },
}

impl ModeScene {
    /// Its name in scenes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "Point",
            Self::TwoCompartment { .. } => "TwoCompartment",
        }
    }

    /// The membrane that it asks for.
    pub fn membrane(self) -> CellMode {
        match self {
            Self::Point => CellMode::Point,
            Self::TwoCompartment { dendrite_fraction, coupling_ratio, .. } => {
                CellMode::TwoCompartment { dendrite_fraction, coupling_ratio }
            }
        }
    }

    /// What a synapse opens.
    pub fn synapses(self) -> SynapseKind {
        match self {
            Self::Point => SynapseKind::Current,
            Self::TwoCompartment { e_exc_mv, e_inh_mv, .. } => {
                SynapseKind::Conductance { e_exc_mv, e_inh_mv }
            }
        }
    }

    /// Its first field that is out of range: name, value, limit.
    pub fn fault(self) -> Option<(&'static str, f64, &'static str)> {
        let fields = match self {
            Self::Point => vec![],
            Self::TwoCompartment { dendrite_fraction: f, coupling_ratio: c, e_exc_mv, e_inh_mv } => vec![
                ("dendrite_fraction", f, f > 0.0 && f < 1.0, "must be above 0 and below 1"),
                (
                    "coupling_ratio",
                    c,
                    c > 0.0 && c <= 1e3,
                    "must be above 0 and at most 1000 leak conductances",
                ),
                ("e_exc_mv", e_exc_mv, (-40.0..=100.0).contains(&e_exc_mv), "must be from -40 to 100 mV"),
                // Unit IPSPs are defined at -55 mV: above -60 mV their driving force is lost.
                ("e_inh_mv", e_inh_mv, (-120.0..=-60.0).contains(&e_inh_mv), "must be from -120 to -60 mV"),
            ],
        };
        let faults = fields.into_iter().filter(|(_, _, fits, _)| !fits);
        faults.map(|(field, value, _, limit)| (field, value, limit)).next()
    }
}

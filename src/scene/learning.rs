//! What training changes, how far and how.

use serde::{Deserialize, Serialize};

use super::one;

/// Which parameters training changes, and how far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnScene {
    /// Weight of every recurrent edge.
    pub recurrent_weights: bool,
    /// Weight of every background edge.
    pub background_weights: bool,
    /// Weight of every LGN edge.
    #[serde(default)]
    pub lgn_weights: bool,
    /// Leak conductance of each cell model.
    #[serde(default)]
    pub leak_conductance: bool,
    /// Spike threshold of each cell model.
    #[serde(default)]
    pub threshold: bool,
    /// Amplitudes of the after-spike currents of each cell model.
    #[serde(default)]
    pub after_spike_amplitudes: bool,
    /// Coupling conductance of each cell model; two-compartment mode only.
    #[serde(default)]
    pub coupling_conductance: bool,
    /// Factor on all weights of each pair type.
    #[serde(default)]
    pub pair_scale: bool,
    /// Of earlier versions, whose run folders name it; read where it is false.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_type_scale")]
    pub type_scale: (),
    /// How far cell parameters and pair factors may go from their measured values.
    #[serde(default)]
    pub bounds: BoundsScene,
}

impl LearnScene {
    /// Whether the cell parameters of a switch are learned, and their bound.
    pub fn cell_parameter(&self, switch: &str) -> Option<(bool, f64)> {
        let bounds = &self.bounds;
        match switch {
            "leak_conductance" => Some((self.leak_conductance, bounds.leak_conductance_factor)),
            "threshold" => Some((self.threshold, bounds.threshold_mv)),
            "after_spike_amplitudes" => Some((self.after_spike_amplitudes, bounds.after_spike_fraction)),
            "coupling_conductance" => Some((self.coupling_conductance, bounds.coupling_factor)),
            _ => None,
        }
    }
}

fn no_type_scale<'de, D: serde::Deserializer<'de>>(from: D) -> Result<(), D::Error> {
    if bool::deserialize(from)? {
        return Err(serde::de::Error::custom(
            "type_scale has been taken out, since it did not mend pair types without a measurement: leave it out, and the \
             factors of pair types (pair_scale) are what is learned",
        ));
    }
    Ok(())
}

/// How far learned cell parameters and pair factors may go from their measured values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundsScene {
    /// Leak conductance within [measured / f, measured * f], f in (1, 10].
    pub leak_conductance_factor: f64,
    /// Threshold within measured -+ this, mV, in (0, 20].
    pub threshold_mv: f64,
    /// After-spike amplitudes within measured -+ this fraction of their size, in (0, 10].
    pub after_spike_fraction: f64,
    /// Coupling conductance within [start / f, start * f], f in (1, 10].
    pub coupling_factor: f64,
    /// The factor of a pair type within [1 / f, f], f in (1, 100].
    pub pair_scale_factor: f64,
}

/// Factors on what flows back in the adjoint pass (docs/model.md, Damping). With 1 it is the exact adjoint of the surrogate rule; less
/// changes what training follows, and keeps it from growing over many steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdjointScene {
    /// On what flows back to a neuron through the spikes that it sent to others, but not on the gradient of their weights, in [0, 1].
    pub recurrent_damping: f64,
    /// On what flows back through the membrane's own decay, from the potentials after a step to those before it, in [0, 1].
    pub membrane_damping: f64,
}

impl Default for AdjointScene {
    fn default() -> Self {
        Self { recurrent_damping: 1.0, membrane_damping: 1.0 }
    }
}

/// The optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimiserScene {
    /// Update rule of the weights; cell parameters and pair factors use Adam in their log or offset form.
    pub kind: OptimiserKind,
    /// Learning rate of the weights, > 0: relative change a step for ExponentiatedAdam, nS (pA in point mode) a step
    /// for Adam.
    pub learning_rate: f64,
    /// Learning rate of the cell parameters in their log or offset form, > 0.
    #[serde(default = "default_parameter_rate")]
    pub cell_learning_rate: f64,
    /// Learning rate of the logarithms of the factors of pair types, > 0.
    #[serde(default = "default_parameter_rate")]
    pub scale_learning_rate: f64,
    /// Decay of the first moment, in [0, 1).
    #[serde(default = "default_beta1")]
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    #[serde(default = "default_beta2")]
    pub beta2: f64,
    /// Added to the root of the second moment, > 0.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
    /// Training steps over which the learning rate rises from 0, 0..=training_steps.
    #[serde(default)]
    pub warmup_steps: u32,
    /// Training steps of the whole schedule, 0..=1000000; 0 only evaluates.
    pub training_steps: u32,
    /// The cosine schedule ends at this fraction of the learning rate, in [0, 1]; 1 keeps it constant.
    #[serde(default = "one")]
    pub final_fraction: f64,
    /// Limit on the norm of the weights' gradient, > 0; `None` does not clip.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// The run folder's checkpoint is written every so many training steps (and at the end), >= 1.
    #[serde(default = "default_save_every")]
    pub save_every_steps: u32,
    /// And after the training step in which so many minutes have passed since the last one, 0..=1000000: the end of a process costs at
    /// most so much time and the step in hand.
    #[serde(default = "default_save_minutes")]
    pub save_every_minutes: f64,
}

/// Update rule of the weights. Both keep every weight on its own side of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimiserKind {
    /// w <- max(0, w - lr m / (sqrt v + eps)).
    Adam,
    /// w <- w exp(-lr m / (sqrt v + eps)); keeps log-normal weights log-normal.
    ExponentiatedAdam,
}

impl Default for BoundsScene {
    fn default() -> Self {
        Self {
            leak_conductance_factor: 2.0,
            threshold_mv: 5.0,
            after_spike_fraction: 1.0,
            coupling_factor: 4.0,
            pair_scale_factor: 4.0,
        }
    }
}

fn default_parameter_rate() -> f64 {
    0.001
}

fn default_beta1() -> f64 {
    0.9
}

fn default_beta2() -> f64 {
    0.999
}

fn default_epsilon() -> f64 {
    1e-8
}

fn default_save_every() -> u32 {
    50
}

fn default_save_minutes() -> f64 {
    5.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::membrane::LEARNABLE;

    #[test]
    fn a_scene_of_earlier_versions_is_read_or_told_how_to_go_on() {
        let read = |text: &str| crate::scene::from_ron::<LearnScene>("x.ron".as_ref(), text);
        let old = read("(recurrent_weights: true, background_weights: false, type_scale: false)").unwrap();
        assert!(!crate::scene::to_ron(&old).unwrap().contains("type_scale"));
        let refused =
            read("(recurrent_weights: true, background_weights: false, type_scale: true)").unwrap_err();
        let message = refused.to_string();
        assert!(message.contains("x.ron") && message.contains("leave it out"), "{message}");
    }

    #[test]
    fn every_learnable_parameter_has_its_switch_and_bound() {
        let mut learn = LearnScene {
            recurrent_weights: true,
            background_weights: true,
            lgn_weights: false,
            leak_conductance: true,
            threshold: true,
            after_spike_amplitudes: true,
            coupling_conductance: true,
            pair_scale: false,
            type_scale: (),
            bounds: BoundsScene::default(),
        };
        learn.bounds.threshold_mv = 7.5;
        for parameter in LEARNABLE {
            let (learned, bound) = learn.cell_parameter(parameter.switch).unwrap();
            assert!(learned && bound > 0.0, "{}", parameter.name);
        }
        assert_eq!(learn.cell_parameter("threshold"), Some((true, 7.5)));
        assert_eq!(learn.cell_parameter("mood"), None);
    }
}

//! L13: weights near those of the run that training started from, so that what was learned there is not forgotten
//! where little is new. A sum over all edges, so it stays on the device (`shaders/keep_weights.wgsl`); here is what
//! the scene says of it.

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use super::weights::check_synapses;
use crate::error::{Check, Result};

/// Name of the term in the metrics.
pub const KEEP: &str = "keep";

/// Loss on the distance of the weights from those of the run that training starts from: the mean over the edges that
/// both networks have of half the square of the relative change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepScene {
    /// Weight of the term, >= 0. At the first training step the gradient of the term is 0, so `Normalised` leaves its
    /// weight as it is.
    pub weight: f64,
}

impl TermScene for KeepScene {
    fn field(&self) -> &'static str {
        "structure.keep"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, scene: &SceneFacts) -> Result<()> {
        let field = "losses.structure.keep.weight";
        let limit = || "the term needs a run to start from: start: Run(\"runs/..\"), or --start".to_owned();
        check.hold(scene.has_ancestor, field, self.weight, limit)?;
        let limit = || "the term needs weights or factors that are learned (learn)".to_owned();
        check.hold(scene.learns_weights, field, self.weight, limit)?;
        check_synapses(check, scene)
    }

    fn needs(&self) -> Needs {
        Needs { kept: true, ..Needs::default() }
    }

    fn prepare(&self, _: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        Ok(vec![Box::new(Keep { weight: self.weight })])
    }
}

/// The device tells the value after its adjoint pass.
struct Keep {
    weight: f64,
}

impl Term for Keep {
    fn name(&self) -> &'static str {
        KEEP
    }

    fn value(&self, _: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        seeds.keep = self.weight;
        None
    }
}

//! How hard each term of the loss pulls: the norm of its gradient at the first training step, and its factor.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::populations::PAIRWISE;
use super::structure::{LIKE_TO_LIKE, SCALE_PRIOR, WEIGHT_DISTRIBUTION};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::scene::{LossesScene, WeightingScene};
use crate::sim::optimiser::GradientNorms;

/// A term whose value is below this is at its optimum: a zero gradient is then no fault.
const NEGLIGIBLE: f64 = 1e-12;

/// One term at the first training step, its weight included and its factor not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TermGradient {
    /// Name in the metrics.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Norm of the whole gradient.
    pub norm: f64,
    /// Norms by group of what is learned.
    #[serde(flatten)]
    pub norms: GradientNorms,
    /// What the term is multiplied by in training.
    pub factor: f64,
}

/// `gradients.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gradients {
    /// How the terms are weighed.
    pub weighting: WeightingScene,
    /// In the order of the metrics.
    pub terms: Vec<TermGradient>,
}

/// The scene's field of a term, and its weight.
fn field(losses: &LossesScene, term: &str) -> (&'static str, f64) {
    let weight = |weight: Option<f64>| weight.unwrap_or(0.0);
    match term {
        "selectivity" => ("selectivity", weight(losses.selectivity.map(|t| t.weight))),
        "tuning" => ("tuning", weight(losses.tuning.map(|t| t.weight))),
        "contrast" => ("contrast", weight(losses.contrast.map(|t| t.weight))),
        "voltage" => ("voltage", weight(losses.voltage.map(|t| t.weight))),
        "electrophysiology" => ("electrophysiology", weight(losses.electrophysiology.map(|t| t.weight))),
        "fano_evoked" | "fano_spontaneous" => ("fano", weight(losses.fano.map(|t| t.weight))),
        PAIRWISE => (PAIRWISE, weight(losses.pairwise_correlation.map(|t| t.weight))),
        WEIGHT_DISTRIBUTION => {
            let term = losses.structure.and_then(|t| t.weight_distribution);
            ("structure.weight_distribution", weight(term.map(|t| t.weight)))
        }
        LIKE_TO_LIKE => {
            let term = losses.structure.and_then(|t| t.like_to_like);
            ("structure.like_to_like", weight(term.map(|t| t.weight)))
        }
        SCALE_PRIOR => {
            let term = losses.structure.and_then(|t| t.scale_prior);
            ("structure.scale_prior", weight(term.map(|t| t.weight)))
        }
        _ => ("rates", weight(losses.rates.map(|t| t.weight))),
    }
}

impl Gradients {
    /// Sets the factors of the terms as the scene weighs them.
    ///
    /// # Errors
    /// Names the field of a term that is on, not at its optimum, and has no gradient: it would be silently absent.
    pub fn weigh(plan: &Plan, mut terms: Vec<TermGradient>) -> Result<Self> {
        let losses = &plan.scene.losses;
        for term in &mut terms {
            let (field, weight) = field(losses, &term.name);
            if weight > 0.0 && term.norm == 0.0 && term.value.abs() > NEGLIGIBLE {
                let limit = format!(
                    "the term '{}' is on and its value is {:.3e}, but its gradient by everything that is learned is zero at \
                     the first training step: no training would change it (are its neurons silent, or is what it depends on \
                     not learned?)",
                    term.name, term.value
                );
                let field = format!("losses.{field}.weight");
                return Err(Error::field(&plan.scene_file, field, weight, limit));
            }
            if losses.weighting == WeightingScene::Normalised && term.norm > 0.0 {
                term.factor = weight / term.norm;
            }
        }
        Ok(Self { weighting: losses.weighting, terms })
    }

    /// The factors by term.
    pub fn factors(&self) -> BTreeMap<String, f64> {
        self.terms.iter().map(|term| (term.name.clone(), term.factor)).collect()
    }

    /// A table for the terminal.
    pub fn table(&self) -> String {
        let mut text = format!(
            "gradient of each term at the first training step\n{:<22} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}\n",
            "term", "value", "norm", "weights", "cells", "pair scales", "factor"
        );
        for term in &self.terms {
            let GradientNorms { weights, cells, scales } = term.norms;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:<22} {:>11.3e} {:>11.3e} {weights:>11.3e} {cells:>11.3e} {scales:>11.3e} {:>11.3e}",
                term.name, term.value, term.norm, term.factor
            );
        }
        text
    }
}

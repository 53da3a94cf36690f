//! What a session has learned, as a checkpoint and back.

use std::collections::BTreeMap;

use super::Session;
use crate::error::Result;
use crate::model::cell::N_CELL_PARAMETERS;
use crate::output::{Checkpoint, Tensor, TensorData};
use crate::sim::optimiser::Learned;

/// Tensors of a checkpoint that hold the factors of the terms.
const FACTOR_PREFIX: &str = "term_factor.";

impl Session {
    /// What was learned up to `training_step`.
    pub fn checkpoint(&self, training_step: u32) -> Result<Checkpoint> {
        let learned = self.optimiser.learned(&self.simulation)?;
        let n_models = learned.cell_parameters.len();
        let [moment_1, moment_2] = learned.weight_moments;
        let f32s = |data: Vec<f32>| Tensor { shape: vec![data.len()], data: TensorData::F32(data) };
        let f64s =
            |shape: &[usize], data: Vec<f64>| Tensor { shape: shape.to_vec(), data: TensorData::F64(data) };
        let tensors = [
            ("weights", f32s(learned.weights)),
            ("weight_moment_1", f32s(moment_1)),
            ("weight_moment_2", f32s(moment_2)),
            ("rate_mean_hz", f32s(self.rate_mean_hz.clone())),
            ("cell_parameters", f64s(&[n_models, N_CELL_PARAMETERS], learned.cell_parameters.concat())),
            ("cell_moments", f64s(&[n_models, N_CELL_PARAMETERS, 2], learned.cell_moments.concat().concat())),
            ("log_scales", f64s(&[learned.log_scales.len()], learned.log_scales)),
            ("scale_moments", f64s(&[learned.scale_moments.len(), 2], learned.scale_moments.concat())),
            (
                "type_scale_moments",
                f64s(&[learned.type_scale_moments.len(), 2], learned.type_scale_moments.concat()),
            ),
        ];
        let factors = self
            .factors
            .iter()
            .map(|(term, factor)| (format!("{FACTOR_PREFIX}{term}"), f64s(&[1], vec![*factor])));
        let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor));
        let tensors = tensors.chain(factors).collect();
        Ok(Checkpoint::new(&self.plan, training_step, tensors))
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing, has another shape than this network needs or a number that cannot be, by file and name.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.refuse_other_shapes(checkpoint)?;
        refuse_what_cannot_be(checkpoint)?;
        self.rate_mean_hz = checkpoint.f32s("rate_mean_hz")?.to_vec();
        let mut factors = BTreeMap::new();
        for name in checkpoint.tensors.keys() {
            if let Some(term) = name.strip_prefix(FACTOR_PREFIX) {
                factors.extend(checkpoint.f64s(name)?.first().map(|factor| (term.to_owned(), *factor)));
            }
        }
        self.set_factors(factors);
        let learned = Learned {
            n_updates: checkpoint.training_step,
            weights: checkpoint.f32s("weights")?.to_vec(),
            weight_moments: [
                checkpoint.f32s("weight_moment_1")?.to_vec(),
                checkpoint.f32s("weight_moment_2")?.to_vec(),
            ],
            cell_parameters: checkpoint.f64s("cell_parameters")?.as_chunks().0.to_vec(),
            cell_moments: checkpoint.f64s("cell_moments")?.as_chunks().0.as_chunks().0.to_vec(),
            log_scales: checkpoint.f64s("log_scales")?.to_vec(),
            scale_moments: checkpoint.f64s("scale_moments")?.as_chunks().0.to_vec(),
            type_scale_moments: checkpoint.f64s("type_scale_moments")?.as_chunks().0.to_vec(),
        };
        self.optimiser.restore(&mut self.simulation, learned)
    }

    fn refuse_other_shapes(&self, checkpoint: &Checkpoint) -> Result<()> {
        let sizes = self.optimiser.sizes(&self.simulation);
        let models = [sizes.n_models, N_CELL_PARAMETERS];
        let needed: [(&str, &[usize], &str); 9] = [
            ("weights", &[sizes.n_edges], "edges"),
            ("weight_moment_1", &[sizes.n_learned], "edges that are learned"),
            ("weight_moment_2", &[sizes.n_learned], "edges that are learned"),
            ("rate_mean_hz", &[self.rate_mean_hz.len()], "neurons"),
            ("cell_parameters", &models, "parameters of cell models"),
            ("cell_moments", &[models[0], models[1], 2], "moments of cell models"),
            ("log_scales", &[sizes.n_pair_types], "pair types"),
            ("scale_moments", &[sizes.n_pair_types, 2], "moments of pair types"),
            ("type_scale_moments", &[sizes.n_type_scales, 2], "moments of types"),
        ];
        for (name, shape, what) in needed {
            checkpoint.require_shape(name, shape, what)?;
        }
        let factors = || checkpoint.tensors.keys().filter(|name| name.starts_with(FACTOR_PREFIX));
        factors().try_for_each(|name| checkpoint.require_shape(name, &[1], "factor for it"))
    }
}

/// Rates, second moments and factors that are negative: none that this program writes.
fn refuse_what_cannot_be(checkpoint: &Checkpoint) -> Result<()> {
    for name in ["weight_moment_2", "rate_mean_hz"] {
        let negative = checkpoint.f32s(name)?.iter().enumerate().find(|(_, x)| **x < 0.0);
        if let Some((at, value)) = negative {
            return Err(checkpoint.error(name, at, value, "must not be negative"));
        }
    }
    for name in ["cell_moments", "scale_moments", "type_scale_moments"] {
        // Pairs of a first and a second moment.
        let second = checkpoint.f64s(name)?.iter().enumerate().skip(1).step_by(2);
        if let Some((at, value)) = second.into_iter().find(|(_, x)| **x < 0.0) {
            return Err(checkpoint.error(name, at, value, "must not be negative"));
        }
    }
    for name in checkpoint.tensors.keys().filter(|name| name.starts_with(FACTOR_PREFIX)) {
        if let Some(factor) = checkpoint.f64s(name)?.iter().find(|factor| **factor <= 0.0) {
            return Err(checkpoint.error(name, 0, factor, "must be above 0"));
        }
    }
    Ok(())
}

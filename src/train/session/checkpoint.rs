//! What a session has learned, as a checkpoint and back.

use super::Session;
use crate::adapt::Start;
use crate::error::{Error, Result};
use crate::model::membrane::{LEARNABLE, N_CELL_PARAMETERS};
use crate::output::{Checkpoint, Tensor, TensorData};
use crate::sim::optimiser::Learned;

/// Rounding of a value that lies at its bound.
const SLACK: f64 = 1e-9;
/// Tensors of a checkpoint that hold the factors of the terms.
const FACTOR_PREFIX: &str = "term_factor.";
/// Tensor of a checkpoint that holds the weights that the keep term holds others near, `[edges that are learned]`.
const KEPT: &str = "kept_weights";
/// Number of a checkpoint that the scale of the arrivals depends on beside the weights; earlier versions took it from the learned weights.
const LARGEST_INPUT_SUM: &str = "largest_input_sum";
/// Tensors of a checkpoint that hold what the terms remember.
const MEMORY_PREFIX: &str = "term_memory.";

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
            ("cell_parameters", f64s(&[n_models, N_CELL_PARAMETERS], learned.cell_parameters.concat())),
            ("cell_moments", f64s(&[n_models, N_CELL_PARAMETERS, 2], learned.cell_moments.concat().concat())),
            ("log_scales", f64s(&[learned.log_scales.len()], learned.log_scales)),
            ("scale_moments", f64s(&[learned.scale_moments.len(), 2], learned.scale_moments.concat())),
        ];
        let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor));
        let factors = self.terms.factors().into_iter();
        let factors =
            factors.map(|(term, factor)| (format!("{FACTOR_PREFIX}{term}"), f64s(&[1], vec![factor])));
        let memory = self.terms.memory().into_iter();
        let memory = memory.map(|(term, what, values)| {
            (format!("{MEMORY_PREFIX}{term}.{what}"), f64s(&[values.len()], values.to_vec()))
        });
        let kept = self.optimiser.kept()?.map(|kept| (KEPT.to_owned(), f32s(kept)));
        let sum = learned.largest_input_sum.map(|sum| (LARGEST_INPUT_SUM.to_owned(), f64s(&[1], vec![sum])));
        let tensors = tensors.chain(factors).chain(memory).chain(kept).chain(sum).collect();
        Ok(Checkpoint::new(&self.plan, training_step, tensors))
    }

    /// Goes on from a checkpoint. Names the terms whose running means a checkpoint of an earlier version does not have: they begin anew.
    ///
    /// # Errors
    /// A tensor that is missing, has another shape than this network needs or a number that cannot be, by file and name.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<Vec<&'static str>> {
        self.refuse_other_shapes(checkpoint)?;
        refuse_what_cannot_be(checkpoint)?;
        for (name, tensor) in &checkpoint.tensors {
            if let (Some(term), TensorData::F64(factor)) = (name.strip_prefix(FACTOR_PREFIX), &tensor.data) {
                factor.iter().for_each(|factor| self.terms.set_factor(term, *factor));
            }
        }
        let mut forgotten = Vec::new();
        for (term, what, own) in self.terms.memory_mut() {
            let Some(kept) = remembered(checkpoint, term, what) else {
                if forgotten.last() != Some(&term) {
                    forgotten.push(term);
                }
                continue;
            };
            if kept.len() != own.len() {
                let (found, own) = (kept.len(), own.len());
                let reason = format!(
                    "remembers {found} values of '{what}' for the term '{term}', the network has {own}"
                );
                return Err(Error::file(checkpoint.file(), reason));
            }
            own.copy_from_slice(&kept);
        }
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
            largest_input_sum: checkpoint.f64s(LARGEST_INPUT_SUM).ok().and_then(|sum| sum.first().copied()),
        };
        self.optimiser.restore(&mut self.simulation, learned)?;
        if self.needs.kept {
            self.optimiser.set_kept(checkpoint.f32s(KEPT)?)?;
        }
        Ok(forgotten)
    }

    /// Starts from what another run has learned; the moments of the optimiser begin anew.
    ///
    /// # Errors
    /// Learned values beyond the bounds of the scene, by field, value and bound.
    pub fn begin_from(&mut self, start: Start) -> Result<()> {
        let sizes = self.optimiser.sizes(&self.simulation);
        let cell_parameters = start.cell_parameters.concat().as_chunks().0.to_vec();
        if cell_parameters.len() != sizes.n_models {
            let reason = "the run that is started from learned other cell parameters: it is of another version of simrun";
            return Err(Error::file(start.carried.run, reason));
        }
        self.refuse_beyond_bounds(&start.log_scales, &cell_parameters)?;
        if self.needs.kept {
            self.optimiser.set_kept(&self.simulation.of_learned(&start.kept))?;
        }
        let learned = Learned {
            n_updates: 0,
            weights: start.weights,
            weight_moments: [0, 1].map(|_| vec![0.0; sizes.n_learned]),
            cell_parameters,
            cell_moments: vec![[[0.0; 2]; N_CELL_PARAMETERS]; sizes.n_models],
            log_scales: start.log_scales,
            scale_moments: vec![[0.0; 2]; sizes.n_pair_types],
            largest_input_sum: None,
        };
        self.optimiser.restore(&mut self.simulation, learned)
    }

    /// An update would pull what lies beyond its bound back at once, whatever the gradient says.
    fn refuse_beyond_bounds(
        &self,
        log_scales: &[f64],
        cell_parameters: &[[f64; N_CELL_PARAMETERS]],
    ) -> Result<()> {
        let settings = self.optimiser.settings();
        let file = &self.plan.scene_file;
        let largest = log_scales.iter().fold(0.0_f64, |largest, log| largest.max(log.abs()));
        if largest > settings.log_scale_bound * (1.0 + SLACK) {
            let bound = self.plan.scene.learn.bounds.pair_scale_factor;
            let limit =
                format!("must be at least {:.4}, a factor of the run that is started from", largest.exp());
            return Err(Error::field(file, "learn.bounds.pair_scale_factor", bound, limit));
        }
        for (learned, bounds) in cell_parameters.iter().zip(&settings.cell_bounds) {
            for (k, parameter) in LEARNABLE.iter().enumerate().filter(|(k, _)| settings.learn_cells[*k]) {
                if learned[k].abs() > bounds[k] * (1.0 + SLACK) {
                    let (_, bound) =
                        self.plan.scene.learn.cell_parameter(parameter.switch).unwrap_or_default();
                    let limit = format!(
                        "must be wider: the run that is started from moved {} by {:.3} of what this allows",
                        parameter.name,
                        learned[k].abs() / bounds[k]
                    );
                    return Err(Error::field(
                        file,
                        format!("learn.bounds ({})", parameter.switch),
                        bound,
                        limit,
                    ));
                }
            }
        }
        Ok(())
    }

    fn refuse_other_shapes(&self, checkpoint: &Checkpoint) -> Result<()> {
        let sizes = self.optimiser.sizes(&self.simulation);
        let models = [sizes.n_models, N_CELL_PARAMETERS];
        let needed: [(&str, &[usize], &str); 8] = [
            ("weights", &[sizes.n_edges], "edges"),
            ("weight_moment_1", &[sizes.n_learned], "edges that are learned"),
            ("weight_moment_2", &[sizes.n_learned], "edges that are learned"),
            ("cell_parameters", &models, "parameters of cell models"),
            ("cell_moments", &[models[0], models[1], 2], "moments of cell models"),
            ("log_scales", &[sizes.n_pair_types], "pair types"),
            ("scale_moments", &[sizes.n_pair_types, 2], "moments of pair types"),
            (LARGEST_INPUT_SUM, &[1], "largest sum"),
        ];
        for (name, shape, what) in needed {
            checkpoint.require_shape(name, shape, what)?;
        }
        let factors = || checkpoint.tensors.keys().filter(|name| name.starts_with(FACTOR_PREFIX));
        factors().try_for_each(|name| checkpoint.require_shape(name, &[1], "factor for it"))
    }
}

/// Second moments and factors that are negative: none that this program writes.
fn refuse_what_cannot_be(checkpoint: &Checkpoint) -> Result<()> {
    let moments = checkpoint.f32s("weight_moment_2")?.iter().enumerate();
    if let Some((at, value)) = moments.into_iter().find(|(_, x)| **x < 0.0) {
        return Err(checkpoint.error("weight_moment_2", at, value, "must not be negative"));
    }
    if let Some(sum) =
        checkpoint.f64s(LARGEST_INPUT_SUM).ok().and_then(|sum| sum.iter().find(|sum| **sum < 0.0))
    {
        return Err(checkpoint.error(LARGEST_INPUT_SUM, 0, sum, "must not be negative"));
    }
    for name in ["cell_moments", "scale_moments"] {
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

/// What a term remembers; None in a checkpoint of an earlier version, which has the running rates of the selectivity term alone, as
/// 32-bit floats under their own name. Those are taken for means of endless steps.
fn remembered(checkpoint: &Checkpoint, term: &str, what: &str) -> Option<Vec<f64>> {
    if let Ok(kept) = checkpoint.f64s(&format!("{MEMORY_PREFIX}{term}.{what}")) {
        return Some(kept.to_vec());
    }
    let earlier = checkpoint.f32s(what).ok()?;
    Some(earlier.iter().map(|x| f64::from(*x)).chain([1.0]).collect())
}

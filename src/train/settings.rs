//! What the simulation and the optimiser are told of a plan.

use std::ops::Range;

use crate::error::Result;
use crate::model::Dynamics;
use crate::model::adam::AdamRule;
use crate::model::membrane::{LEARNABLE, N_CELL_PARAMETERS};
use crate::network::CellModel;
use crate::plan::Plan;
use crate::scene::{LearnScene, NetworkScene, OptimiserKind, OptimiserScene};
use crate::setup;
use crate::sim::optimiser::{OptimiserSettings, WeightRule};
use crate::sim::{BatchPlace, LearnWeights, Settings, VoltagePenalty};

/// Settings of the simulation of some trials of each batch.
pub(super) fn settings(plan: &Plan, dynamics: &Dynamics, trials: &Range<usize>) -> Result<Settings> {
    let (scene, n_steps) = (&plan.scene, plan.n_steps as usize);
    let learn = &scene.learn;
    // A pair factor's gradient is the sum of its weights' gradients.
    let scales = learn.pair_scale;
    let weights = LearnWeights {
        recurrent: learn.recurrent_weights || scales,
        lgn: learn.lgn_weights || scales,
        background: learn.background_weights || scales,
    };
    let voltage = scene.losses.voltage.map_or(VoltagePenalty::default(), |v| VoltagePenalty {
        weight: v.weight,
        x_low: v.x_low,
        x_high: v.x_high,
    });
    Ok(Settings {
        window: plan.analysis_start_step as usize..n_steps,
        steps_between_checkpoints: setup::steps_between_checkpoints(plan, dynamics)?,
        voltage,
        learn_weights: weights,
        learn_cells: learn_cells(learn).contains(&true),
        current: matches!(scene.network, NetworkScene::CellsOnly(_)).then_some(0..n_steps),
        of_batch: BatchPlace { first: trials.start, n_all: plan.n_trials as usize },
        ..Settings::new(n_steps, trials.len())
    })
}

/// Which cell parameters are learned, in the order of `model::membrane::LEARNABLE`.
fn learn_cells(learn: &LearnScene) -> [bool; N_CELL_PARAMETERS] {
    LEARNABLE.map(|parameter| learn.cell_parameter(parameter.switch).is_some_and(|(learned, _)| learned))
}

/// Settings of the optimiser of a network with these cell models and like-to-like pair types.
pub(super) fn optimiser_settings(
    plan: &Plan,
    models: &[CellModel],
    like_pairs: Vec<usize>,
) -> OptimiserSettings {
    let OptimiserScene { kind, learning_rate, cell_learning_rate, scale_learning_rate, .. } =
        plan.scene.optimiser;
    let (optimiser, learn) = (&plan.scene.optimiser, &plan.scene.learn);
    OptimiserSettings {
        weight_rule: match kind {
            OptimiserKind::Adam => WeightRule::Adam,
            OptimiserKind::ExponentiatedAdam => WeightRule::ExponentiatedAdam,
        },
        adam: AdamRule { beta_1: optimiser.beta1, beta_2: optimiser.beta2, epsilon: optimiser.epsilon },
        learning_rate,
        cell_learning_rate,
        scale_learning_rate,
        learn_weights: LearnWeights {
            recurrent: learn.recurrent_weights,
            lgn: learn.lgn_weights,
            background: learn.background_weights,
        },
        clip_norm: optimiser.clip_norm,
        learn_cells: learn_cells(learn),
        cell_bounds: models.iter().map(|model| cell_bounds(model, learn)).collect(),
        learn_scales: learn.pair_scale,
        log_scale_bound: learn.bounds.pair_scale_factor.ln(),
        structure: plan.scene.losses.needs().weights,
        like_pairs,
    }
}

/// How far each learned form of a cell's parameters may go, in the order of `model::membrane::LEARNABLE`.
fn cell_bounds(model: &CellModel, learn: &LearnScene) -> [f64; N_CELL_PARAMETERS] {
    LEARNABLE.map(|parameter| {
        learn.cell_parameter(parameter.switch).map_or(0.0, |(_, bound)| parameter.reach(bound, model))
    })
}

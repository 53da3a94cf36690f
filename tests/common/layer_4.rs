//! Layer 4 in small, with what drives it, and how it is trained with one term of the loss: for `tests/perturbations.rs`.

// Clippy's exemption for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use simrun::gpu::Gpu;
use simrun::loss::{Responses, TrialKind};
use simrun::model::Dynamics;
use simrun::model::adam::AdamRule;
use simrun::model::rng::{Stream, uniform};
use simrun::network::{CELL_TYPES, N_CELL_TYPES, Network};
use simrun::sim::optimiser::{Optimiser, OptimiserSettings, WeightRule};
use simrun::sim::{ForwardReport, LearnWeights, Settings, Simulation, SourceSpikes, VoltagePenalty};

use super::common;
use super::common::circuit::{Mode, dynamics, set_table_delays};
use super::common::network::models_of;

pub(crate) const N_EXCITATORY: usize = 48;
pub(crate) const N_INHIBITORY: usize = 12;
pub(crate) const N_LGN: usize = 48;
pub(crate) const N_BACKGROUND: usize = 6;
pub(crate) const N_STEPS: usize = 130;
pub(crate) const WINDOW: std::ops::Range<usize> = 20..N_STEPS;
/// Tuning of the weights from LGN units to excitatory neurons: 1 + TUNED cos(difference of directions).
pub(crate) const TUNED: f64 = 0.8;

pub(crate) const LGN_ONLY: LearnWeights = LearnWeights { recurrent: false, lgn: true, background: false };

/// Layer 4 in small: excitatory cells tuned by LGN units that prefer directions, PV cells, and common input.
pub(crate) struct Bench {
    pub(crate) gpu: Arc<Gpu>,
    pub(crate) network: Network,
    pub(crate) dynamics: Dynamics,
    pub(crate) trials: Vec<TrialKind>,
    pub(crate) source_masks: Vec<u32>,
}

pub(crate) fn cell_type(name: &str) -> usize {
    CELL_TYPES.iter().position(|n| *n == name).unwrap()
}

pub(crate) fn direction_deg(unit: usize) -> f64 {
    360.0 * unit as f64 / N_LGN as f64
}

/// Weight of an LGN unit onto an excitatory neuron, nS.
pub(crate) fn lgn_weight(tuned: f64, unit: usize, neuron: usize) -> f32 {
    let difference = direction_deg(unit) - 360.0 * neuron as f64 / N_EXCITATORY as f64;
    (0.2 * (1.0 + tuned * difference.to_radians().cos())) as f32
}

impl Bench {
    pub(crate) fn new(trials: &[TrialKind]) -> Self {
        let tables = common::tables();
        let cell_models = tables.cell_models();
        let of_type = |name: &str, n: usize| {
            models_of(&cell_models, cell_type(name)).into_iter().cycle().take(n).collect::<Vec<usize>>()
        };
        let model_ix = [of_type("L4_Exc", N_EXCITATORY), of_type("L4_PV", N_INHIBITORY)].concat();
        let n = N_EXCITATORY + N_INHIBITORY;
        let weight = |source: usize, target: usize| {
            let excitatory = target < N_EXCITATORY;
            let weight = match source {
                s if s < N_EXCITATORY => 0.15,
                s if s < n => 0.3,
                s if s < n + N_LGN && excitatory => lgn_weight(TUNED, s - n, target),
                s if s < n + N_LGN => 0.12,
                _ => 0.25,
            };
            let drawn = uniform(1, Stream::Connections, source as u32, target as u32, 0);
            (source != target && (source >= n || drawn < 0.3)).then_some(weight)
        };
        let units = [N_LGN, N_BACKGROUND];
        let mut network =
            common::network::network(tables.populations(), cell_models, &model_ix, units, weight);
        let angles = |n: usize| (0..n).map(move |k| (360.0 * k as f64 / n as f64) as f32);
        network.neurons.tuning_angle_deg = angles(N_EXCITATORY).chain(angles(N_INHIBITORY)).collect();
        set_table_delays(&mut network);
        let gpu = Arc::new(Gpu::open(None).unwrap());
        let dynamics = dynamics(Mode::TwoCompartment);
        Self { gpu, network, dynamics, trials: trials.to_vec(), source_masks: source_masks(trials) }
    }

    pub(crate) fn settings(
        &self,
        learn_weights: LearnWeights,
        voltage: VoltagePenalty,
        groups: Vec<u32>,
    ) -> Settings {
        Settings {
            window: WINDOW,
            voltage,
            learn_weights,
            groups,
            ..Settings::new(N_STEPS, self.trials.len())
        }
    }

    pub(crate) fn simulation(&self, settings: Settings) -> Simulation {
        let sources = SourceSpikes::Replay(&self.source_masks);
        Simulation::new(&self.gpu, &self.network, &self.dynamics, sources, settings).unwrap()
    }

    pub(crate) fn responses<'a>(&'a self, forward: &'a ForwardReport) -> Responses<'a, f32> {
        Responses { counts: &forward.spike_counts, trials: &self.trials, window_ms: WINDOW.len() as f64 }
    }

    /// Mean rate of each excitatory neuron over trials, Hz.
    pub(crate) fn rates_hz(&self, forward: &ForwardReport, trials: &[usize]) -> Vec<f64> {
        (0..N_EXCITATORY).map(|n| self.responses(forward).mean_rate_hz(n, trials)).collect()
    }

    /// The edges from LGN units to excitatory neurons: edge, unit, neuron.
    pub(crate) fn lgn_edges(&self) -> Vec<(usize, usize, usize)> {
        let n = self.network.neurons.len();
        let first = self.network.rows.offsets[n] as usize;
        let edges =
            (0..N_LGN).flat_map(|unit| (0..n).map(move |target| (first + unit * n + target, unit, target)));
        edges.filter(|(_, _, target)| *target < N_EXCITATORY).collect()
    }

    /// The weights with some edges multiplied.
    pub(crate) fn multiplied(&self, edges: impl Iterator<Item = usize>, factor: f32) -> Vec<f32> {
        let mut weights = self.network.rows.weights.clone();
        edges.for_each(|edge| weights[edge] *= factor);
        weights
    }
}

/// Spikes of the sources in fixed trials: LGN units by their direction, the common input in bursts.
fn source_masks(trials: &[TrialKind]) -> Vec<u32> {
    let rate_hz = |unit: usize, trial: usize, step: u32| {
        if unit >= N_LGN {
            // On for 20 ms at a time, at random in every trial.
            let burst = uniform(3, Stream::SourceSpikes, 1000, step / 20, trial as u32) < 0.3;
            return if burst { 150.0 } else { 15.0 };
        }
        let drive = |direction: f64, contrast: f64| {
            15.0 + 40.0 * contrast * (1.0 + (direction_deg(unit) - direction).to_radians().cos())
        };
        match trials[trial] {
            TrialKind::Spontaneous => 15.0,
            TrialKind::Evoked { direction_deg } => drive(direction_deg, 0.8),
            TrialKind::OtherContrast { direction_deg, contrast } => drive(direction_deg, contrast),
        }
    };
    (0..N_STEPS as u32)
        .flat_map(|step| (0..N_LGN + N_BACKGROUND).map(move |unit| (step, unit)))
        .map(|(step, unit)| {
            (0..trials.len()).fold(0, |mask, trial| {
                let u = f64::from(uniform(2, Stream::SourceSpikes, unit as u32, step, trial as u32));
                mask | u32::from(u < rate_hz(unit, trial, step) * 1e-3) << trial
            })
        })
        .collect()
}

pub(crate) fn gratings(n_repeats: usize) -> Vec<TrialKind> {
    (0..8 * n_repeats).map(|t| TrialKind::Evoked { direction_deg: 45.0 * (t % 8) as f64 }).collect()
}

/// What is learned: the factors of pair types, or every weight.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Learn {
    Factors,
    Weights,
}

/// Trains with one term, `value_and_seeds` (value, by counts, by population counts), from changed weights; the values of all steps, the learned
/// factors, and the last forward pass.
pub(crate) fn train(
    bench: &Bench,
    simulation: &mut Simulation,
    learn: Learn,
    n_steps: usize,
    value_and_seeds: impl Fn(&ForwardReport) -> (f64, Vec<f64>, Vec<f64>),
) -> (Vec<f64>, Vec<f64>, ForwardReport) {
    let n_models = bench.network.cell_models.len();
    let rate = |of: Learn, rate: f64| if learn == of { rate } else { 0.0 };
    let mut optimiser = Optimiser::new(
        simulation,
        OptimiserSettings {
            weight_rule: WeightRule::ExponentiatedAdam,
            adam: AdamRule { beta_1: 0.8, beta_2: 0.95, epsilon: 1e-12 },
            learning_rate: rate(Learn::Weights, 0.04),
            cell_learning_rate: 0.0,
            scale_learning_rate: rate(Learn::Factors, 0.06),
            learn_weights: if learn == Learn::Weights {
                simulation.settings().learn_weights
            } else {
                LearnWeights::default()
            },
            clip_norm: None,
            learn_cells: [false; 5],
            cell_bounds: vec![[0.0; 5]; n_models],
            learn_scales: learn == Learn::Factors,
            log_scale_bound: 10_f64.ln(),
            structure: false,
            like_pairs: Vec::new(),
        },
    )
    .unwrap();
    let mut values = Vec::new();
    for step in 0..n_steps {
        let forward = simulation.forward(1, 0).unwrap();
        let (value, seeds, population) = value_and_seeds(&forward);
        let to_f32 = |seeds: &[f64]| seeds.iter().map(|s| *s as f32).collect::<Vec<f32>>();
        let adjoint = simulation.adjoint_of_groups(&to_f32(&seeds), &to_f32(&population)).unwrap();
        values.push(value + adjoint.voltage_loss);
        let rate_factor = if 3 * step < 2 * n_steps { 1.0 } else { 0.3 };
        optimiser.step(simulation, &adjoint, rate_factor).unwrap();
    }
    let forward = simulation.forward(1, 0).unwrap();
    values.push(value_and_seeds(&forward).0);
    (values, optimiser.log_scales().iter().map(|log| log.exp()).collect(), forward)
}

pub(crate) fn pair_ix(source_type: usize, target: &str) -> usize {
    source_type * N_CELL_TYPES + cell_type(target)
}

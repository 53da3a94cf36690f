//! Groups of neurons that stand for recorded populations, and the terms and curves that look at them (L8, L9).

use serde::{Deserialize, Serialize};

use crate::loss::correlation::{
    FanoWidth, PopulationCounts, draw_groups, fano_curve, fano_term, pairwise_term, widths,
};
use crate::loss::{Responses, TermValue};
use crate::network::Vocabulary;
use crate::network::tables::{Split, Tables};
use crate::plan::Plan;
use crate::sim::ForwardReport;

/// Groups where the scene has no term that says how many.
const N_GROUPS: u32 = 16;
/// Names of the terms in the metrics.
pub(super) const FANO: [&str; 2] = ["fano_evoked", "fano_spontaneous"];
/// See [`FANO`].
pub(super) const PAIRWISE: &str = "pairwise_correlation";

/// The groups of a network.
pub(super) struct Populations {
    /// Bit g of a neuron's mask for group g, `[n_neurons]`.
    pub(super) masks: Vec<u32>,
    n_groups: usize,
    window: std::ops::Range<usize>,
    dt_ms: f64,
    fano_weight: Option<f64>,
    /// Weight and target.
    pairwise: Option<(f64, f64)>,
    /// Bin widths with the recordings of the split trained on: evoked, spontaneous.
    train: [Vec<FanoWidth>; 2],
    held_out: [Vec<FanoWidth>; 2],
}

/// Population Fano factors of the network beside the recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FanoCurve {
    /// Whether gratings were shown.
    pub evoked: bool,
    /// Widths of the bins, ms, in whole steps.
    pub width_ms: Vec<f64>,
    /// Mean over groups and trials; None where no group spiked.
    pub fano: Vec<Option<f64>>,
    /// Mean over recorded sessions.
    pub recorded: Vec<f64>,
    /// Standard deviation over recorded sessions.
    pub recorded_sd: Vec<f64>,
}

/// Sums of the network's Fano factors over batches, by kind and width.
#[derive(Default)]
pub(super) struct FanoSums([Vec<(f64, f64)>; 2]);

impl Populations {
    /// Draws the groups where a term or the evaluation looks at them.
    pub(super) fn new(
        plan: &Plan,
        tables: &Tables,
        core: &[Vec<usize>],
        vocabulary: &Vocabulary,
        n_neurons: usize,
    ) -> Option<Self> {
        let losses = &plan.scene.losses;
        let asked = [losses.fano.map(|t| t.n_groups), losses.pairwise_correlation.map(|t| t.n_groups)];
        let most = asked.into_iter().flatten().max();
        let n_groups = most.or(plan.scene.evaluate.fano.then_some(N_GROUPS))?;
        let excitatory = core.iter().enumerate().filter(|(t, _)| !vocabulary.is_inhibitory(*t));
        let mut candidates: Vec<usize> =
            excitatory.flat_map(|(_, neurons)| neurons.iter().copied()).collect();
        candidates.sort_unstable();
        let window = plan.analysis_start_step as usize..plan.n_steps as usize;
        let dt_ms = plan.scene.time.dt_ms;
        let of = |split: Split| {
            [true, false].map(|evoked| {
                let recorded = tables.fano_points(evoked, split, window.len() as f64 * dt_ms);
                widths(recorded, dt_ms, window.len())
            })
        };
        Some(Self {
            masks: draw_groups(&candidates, n_neurons, n_groups, plan.scene.seed),
            n_groups: n_groups as usize,
            dt_ms,
            fano_weight: losses.fano.map(|t| t.weight),
            pairwise: losses.pairwise_correlation.map(|t| (t.weight, t.target)),
            train: of(Split::Train),
            held_out: of(Split::HeldOut),
            window,
        })
    }

    fn counts<'a>(&self, forward: &'a ForwardReport, n_trials: usize) -> PopulationCounts<'a> {
        PopulationCounts {
            counts: &forward.population_counts,
            n_groups: self.n_groups,
            n_trials,
            window: self.window.clone(),
        }
    }

    /// Values and seeds of the terms that are on, for the kinds of trial that the batch has.
    pub(super) fn terms(&self, forward: &ForwardReport, responses: &Responses<'_, f32>) -> Vec<TermValue> {
        let mut terms = Vec::new();
        let n_counts = responses.counts.len();
        for ((evoked, name), widths) in [true, false].into_iter().zip(FANO).zip(&self.train) {
            let trials = responses.trials_of_kind(evoked);
            let (Some(weight), false) = (self.fano_weight, trials.is_empty()) else { continue };
            let population = self.counts(forward, responses.trials.len());
            let mut population_seeds = vec![0.0; population.counts.len()];
            let value = fano_term(weight, &population, &trials, widths, &mut population_seeds);
            terms.push(TermValue { name, value, seeds: vec![0.0; n_counts], population_seeds });
        }
        if let Some((weight, target)) = self.pairwise {
            let mut seeds = vec![0.0; n_counts];
            let trials = responses.trials_of_kind(false);
            let value = pairwise_term(weight, target, &self.masks, responses, &trials, &mut seeds);
            terms.push(TermValue { name: PAIRWISE, value, seeds, population_seeds: Vec::new() });
        }
        terms
    }

    /// Adds a batch to the sums; each trial counts the same.
    pub(super) fn add(&self, sums: &mut FanoSums, forward: &ForwardReport, responses: &Responses<'_, f32>) {
        for ((evoked, widths), sums) in [true, false].into_iter().zip(&self.train).zip(&mut sums.0) {
            let trials = responses.trials_of_kind(evoked);
            let population = self.counts(forward, responses.trials.len());
            sums.resize(widths.len(), (0.0, 0.0));
            for (sum, fano) in sums.iter_mut().zip(fano_curve(&population, &trials, widths)) {
                if let Some(fano) = fano {
                    sum.0 += fano * trials.len() as f64;
                    sum.1 += trials.len() as f64;
                }
            }
        }
    }

    /// The curves of all batches beside one split.
    pub(super) fn curves(&self, sums: &FanoSums, split: Split) -> Vec<FanoCurve> {
        let recorded = if split == Split::Train { &self.train } else { &self.held_out };
        let kinds = [true, false].into_iter().zip(recorded).zip(&sums.0);
        let of_kind = |evoked: bool, widths: &[FanoWidth], sums: &[(f64, f64)]| FanoCurve {
            evoked,
            width_ms: widths.iter().map(|w| w.steps as f64 * self.dt_ms).collect(),
            fano: sums.iter().map(|(sum, n)| (*n > 0.0).then(|| sum / n)).collect(),
            recorded: widths.iter().map(|w| w.recorded.fano).collect(),
            recorded_sd: widths.iter().map(|w| w.recorded.sd).collect(),
        };
        kinds
            .filter(|((_, widths), _)| !widths.is_empty())
            .map(|((evoked, widths), sums)| of_kind(evoked, widths, sums))
            .collect()
    }
}

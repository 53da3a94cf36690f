//! A network on the device with its losses, optimiser and stimulus: one training step, one evaluation, one checkpoint.

mod checkpoint;
mod evaluation;
mod setup;
mod stimulus;

pub(super) use evaluation::LearnedNetwork;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::assay::Assay;
use super::recorded::Recorded;
use super::reports::Reports;
use super::schedule;
use crate::error::{Error, Result};
use crate::evaluate::FanoFactors;
use crate::gpu::Gpu;
use crate::loss::groups::PopulationCounts;
use crate::loss::keep::KEEP;
use crate::loss::targets::FunctionTargets;
use crate::loss::voltage::VOLTAGE;
use crate::loss::{Loss, Needs, Responses, Seeds, Seen, Terms, TrialKind, WeightingScene};
use crate::model::membrane::N_CELL_PARAMETERS;
use crate::network::{NodeNames, Vocabulary};
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::results::{Gradients, PhaseMs, StepMetrics, TermGradient};
use crate::sim::layout::Layout;
use crate::sim::optimiser::Optimiser;
use crate::sim::{AdjointReport, ForwardReport, KernelTime, Simulation, TapeFit};
use stimulus::{Shown, Stimulus};

pub use evaluation::TrialRecording;

/// Fewest time steps over which the gradient of a term alone is taken, where a trial has as many.
const FEWEST_STEPS: usize = 20;

/// A network on the device and everything that trains it.
pub struct Session {
    plan: Plan,
    /// Who simulates the other trials of a batch.
    ranks: Ranks,
    gpu: Arc<Gpu>,
    simulation: Simulation,
    /// How long the tape became where that was left open.
    tape: Option<TapeFit>,
    optimiser: Optimiser,
    /// What LGN and background see; none in a network without them.
    stimulus: Option<Stimulus>,
    /// Spikes that came with the network in place of a stimulus.
    recorded: Option<Recorded>,
    terms: Terms,
    needs: Needs,
    /// Paired recordings; none where they are not asked for.
    assay: Option<Assay>,
    /// Groups whose spikes are counted in every step.
    n_groups: usize,
    /// Fano factors of an evaluation before its first trial; none where nothing looks at them.
    fano: Option<FanoFactors>,
    /// Potentials that evaluations record.
    reports: Reports,
    train_targets: FunctionTargets,
    held_out_targets: FunctionTargets,
    /// Neurons of the core by cell type.
    core: Vec<Vec<usize>>,
    /// Assigned preferred direction of each neuron, deg.
    tuning_angle_deg: Vec<f32>,
    /// Types of the network.
    vocabulary: Vocabulary,
    /// What the neurons are called.
    names: NodeNames,
}

/// How far an adjoint pass goes back.
#[derive(Clone, Copy)]
enum Back {
    /// Over whole trials, in a training step; what the next one shows is worked out beside it.
    Step(u32),
    /// Over so many last steps of the trials.
    Last(usize),
}

/// What an adjoint pass leaves beside the gradients of the weights, which lie on the device.
struct Gradient {
    adjoint: AdjointReport,
    /// Value of the keep term.
    keep_loss: f64,
}

/// What a training step saw.
struct Looked {
    trials: Vec<TrialKind>,
    /// `[n_neurons][n_trials]`.
    counts: Vec<f64>,
    /// `[n_steps][n_groups][n_trials]`.
    population_counts: Vec<u32>,
    n_groups: usize,
    window: std::ops::Range<usize>,
    window_ms: f64,
    peaks_mv: Vec<f64>,
    ms: PhaseMs,
}

impl Looked {
    fn responses(&self) -> Responses<'_, f64> {
        Responses { counts: &self.counts, trials: &self.trials, window_ms: self.window_ms }
    }

    /// The same for the terms, with the weights as they are.
    fn seen<'a>(&'a self, optimiser: &'a Optimiser) -> Seen<'a> {
        let population = PopulationCounts {
            counts: &self.population_counts,
            n_groups: self.n_groups,
            n_trials: self.trials.len(),
            window: self.window.clone(),
        };
        Seen {
            responses: self.responses(),
            population,
            peaks_mv: &self.peaks_mv,
            weight_counts: optimiser.weight_counts(),
            direction_counts: optimiser.like_counts(),
            log_factors: optimiser.log_scales(),
        }
    }
}

impl Session {
    /// Time steps between two kept states.
    pub fn steps_between_checkpoints(&self) -> usize {
        self.simulation.settings().steps_between_checkpoints
    }

    /// What the user should know of the tape: that the adapter had no room for the one that the budget allows.
    pub fn tape_notice(&self) -> Option<String> {
        let TapeFit { n_taped, n_steps, refused_bytes } = self.tape?;
        let mib = refused_bytes?.div_ceil(1 << 20);
        Some(format!(
            "the adapter had no room for a tape of {mib} MiB, as the budget allows: {n_taped} of {n_steps} time steps are on \
             the tape, the others run twice"
        ))
    }

    /// Takes a training step (from 1): show, forward, gather, terms, adjoint, sum, update.
    ///
    /// # Errors
    /// Those of the passes and of the update, of any rank.
    pub fn step(&mut self, training_step: u32) -> Result<StepMetrics> {
        let taken = self.step_on_ranks(training_step);
        self.ranks.agree(taken)
    }

    fn step_on_ranks(&mut self, training_step: u32) -> Result<StepMetrics> {
        let looked = self.look(training_step)?;
        let start = Instant::now();
        let Loss { values, seeds } = self.terms.evaluate(&looked.seen(&self.optimiser));
        let losses_ms = ms_since(start);
        let mut ms = looked.ms;
        let Gradient { adjoint, keep_loss } = self.back(&seeds, Back::Step(training_step), &mut ms)?;
        if self.needs.network() {
            ms.adjoint += losses_ms;
        }
        self.terms.remember(&looked.seen(&self.optimiser));
        let rate_factor = schedule::learning_rate_factor(&self.plan.scene.optimiser, training_step);
        let update = self.optimiser.step(&mut self.simulation, &adjoint, rate_factor)?;
        ms.update = update.wall_ms;
        let mut losses: BTreeMap<String, f64> =
            values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if self.needs.potentials {
            losses.insert(VOLTAGE.to_owned(), adjoint.voltage_loss);
        }
        if self.needs.kept {
            losses.insert(KEEP.to_owned(), keep_loss);
        }
        Ok(StepMetrics {
            step: training_step,
            total_loss: losses.values().sum(),
            losses,
            mean_rate_hz: self.mean_rates_hz(&looked.responses()),
            mean_rate_evoked_hz: mean_rate_hz(&looked.responses(), true),
            mean_rate_spontaneous_hz: mean_rate_hz(&looked.responses(), false),
            gradient_norm: update.weight_gradient_norm,
            ms,
            device_bytes: self.gpu.allocated_bytes(),
        })
    }

    /// Takes the gradient of each term alone in the batch of the first training step, before anything is learned, and sets the factors of
    /// the terms from it. Where these ask for whole gradients (`Normalised`) the adjoint passes go back over whole trials, else over so
    /// many last steps of them that all together cost half a pass; a term that has no gradient there is taken whole.
    ///
    /// # Errors
    /// Names the field of a term that no training would change ([`Terms::weigh`]), or that its trials tell nothing
    /// ([`Terms::refuse_blind`]).
    pub fn weigh(&mut self) -> Result<Gradients> {
        let looked = self.look(1)?;
        self.terms.refuse_blind(&looked.responses())?;
        let alone = self.terms.each_alone(&looked.seen(&self.optimiser));
        let all_steps = self.plan.n_steps as usize;
        let n_passes = alone.iter().filter(|loss| loss.seeds.touch_network()).count();
        let n_steps = match self.terms.weighting() {
            WeightingScene::Normalised => all_steps,
            WeightingScene::AsGiven => (all_steps / (2 * n_passes.max(1))).max(FEWEST_STEPS).min(all_steps),
        };
        let names = self.terms.names();
        let mut terms = Vec::new();
        for (term_ix, (name, loss)) in names.into_iter().zip(&alone).enumerate() {
            if loss.seeds == Seeds::default() {
                continue;
            }
            let mut term = self.gradient_of(name, loss, n_steps)?;
            if term.norm == 0.0 && loss.seeds.touch_network() && n_steps < all_steps {
                term = self.gradient_of(name, loss, all_steps)?;
            }
            term.factor = self.terms.weigh(term_ix, term.value, term.norm)?;
            terms.push(term);
        }
        Ok(Gradients { weighting: self.terms.weighting(), terms })
    }

    /// The gradient of one term, back over the last `n_steps` of the trials.
    fn gradient_of(&mut self, name: &str, loss: &Loss, n_steps: usize) -> Result<TermGradient> {
        let Gradient { adjoint, keep_loss } =
            self.back(&loss.seeds, Back::Last(n_steps), &mut PhaseMs::default())?;
        let norms = self.optimiser.gradient_norms(&self.simulation, &adjoint.cell_gradient)?;
        Ok(TermGradient {
            name: name.to_owned(),
            value: loss.values.first().map_or(adjoint.voltage_loss + keep_loss, |(_, value)| *value),
            norm: norms.total(),
            weights: norms.weights,
            cells: norms.cells,
            scales: norms.scales,
            n_steps: if loss.seeds.touch_network() { n_steps as u32 } else { 0 },
            factor: 1.0,
        })
    }

    /// Shows the network the trials of a training step and records its pairs, as far as a term looks at them.
    fn look(&mut self, training_step: u32) -> Result<Looked> {
        let own = self.look_at_own(training_step);
        let mut looked = self.ranks.agree(own)?;
        let start = Instant::now();
        let n_trials = looked.trials.len();
        looked.counts = self.ranks.gather_trials(looked.counts, n_trials);
        looked.population_counts = self.ranks.gather_trials(looked.population_counts, n_trials);
        looked.ms.ranks = self.exchange_ms(start);
        Ok(looked)
    }

    /// The same before the counts of the other ranks are there.
    fn look_at_own(&mut self, training_step: u32) -> Result<Looked> {
        let mut looked = Looked {
            trials: Vec::new(),
            counts: Vec::new(),
            population_counts: Vec::new(),
            n_groups: self.n_groups,
            window: self.window(),
            window_ms: self.window_ms(),
            peaks_mv: Vec::new(),
            ms: PhaseMs::default(),
        };
        if self.needs.network() {
            let start = Instant::now();
            let shown = match &self.recorded {
                Some(recorded) => Shown::Recorded(recorded.of_step(training_step)),
                None => {
                    let scene = &self.plan.scene;
                    Shown::Screen(schedule::conditions(&scene.trials, scene.seed, training_step))
                }
            };
            let seed = self.plan.scene.seed;
            self.settle(seed, training_step)?;
            looked.ms.settling = ms_since(start);
            let start = Instant::now();
            looked.trials = self.show(&shown)?;
            looked.ms.stimulus = ms_since(start);
            let forward = self.forward_beside_pairs(seed, training_step)?;
            looked.ms.forward = forward.wall_ms;
            looked.counts = forward.spike_counts.iter().map(|count| f64::from(*count)).collect();
            looked.population_counts = forward.population_counts;
        }
        if let (true, Some(assay)) = (self.needs.pairs, &mut self.assay) {
            let start = Instant::now();
            if !self.needs.network() {
                assay.prepare_step(self.optimiser.cell_parameters(), training_step)?;
            }
            looked.peaks_mv = assay.record_step(&self.simulation)?;
            looked.ms.pairs = ms_since(start);
        }
        Ok(looked)
    }

    /// Runs the forward pass; meanwhile the host chooses and prepares the paired recordings.
    fn forward_beside_pairs(&mut self, seed: u64, training_step: u32) -> Result<ForwardReport> {
        let (simulation, offsets) = (&mut self.simulation, self.optimiser.cell_parameters());
        let Some(assay) = self.assay.as_mut().filter(|_| self.needs.pairs) else {
            return simulation.forward(seed, training_step);
        };
        let (forward, prepared) = std::thread::scope(|scope| {
            let prepared = scope.spawn(|| assay.prepare_step(offsets, training_step));
            (simulation.forward(seed, training_step), prepared.join())
        });
        prepared
            .unwrap_or_else(|_| Err(Error::Failed("preparing the paired recordings failed".to_owned())))?;
        forward
    }

    /// Goes back from what was last seen: the gradients of the weights lie on the device, those of
    /// the cell parameters are in the report, those of the weights' own terms are with the optimiser.
    fn back(&mut self, seeds: &Seeds, back: Back, ms: &mut PhaseMs) -> Result<Gradient> {
        let mut adjoint = if seeds.touch_network() {
            let start = Instant::now();
            let own = self.adjoint_of_own(seeds, back);
            let adjoint = self.ranks.agree(own)?;
            ms.adjoint = ms_since(start);
            let start = Instant::now();
            let adjoint = self.sum_over_ranks(adjoint)?;
            ms.ranks += self.exchange_ms(start);
            adjoint
        } else {
            self.simulation.clear_weight_gradient();
            let cell_gradient = vec![[0.0; N_CELL_PARAMETERS]; self.optimiser.cell_parameters().len()];
            AdjointReport { voltage_loss: 0.0, cell_gradient, wall_ms: 0.0 }
        };
        if let (Some(assay), false) = (&mut self.assay, seeds.peaks.is_empty()) {
            let start = Instant::now();
            let own = assay.adjoint(&self.simulation, &seeds.peaks)?;
            let sums = adjoint.cell_gradient.iter_mut().flatten();
            sums.zip(own.iter().flatten()).for_each(|(sum, g)| *sum += g);
            ms.pairs += ms_since(start);
        }
        if self.needs.weights {
            let Seeds { log_weights, log_weights_by_direction, log_factors, .. } = seeds;
            self.optimiser.set_structure_gradient(log_weights, log_weights_by_direction, log_factors)?;
        }
        let keep_loss =
            if seeds.keep == 0.0 { 0.0 } else { self.optimiser.add_keep(&self.simulation, seeds.keep)? };
        Ok(Gradient { adjoint, keep_loss })
    }

    /// The adjoint pass of this rank's trials.
    fn adjoint_of_own(&mut self, seeds: &Seeds, back: Back) -> Result<AdjointReport> {
        self.simulation.set_voltage_factor(seeds.voltage);
        let n_trials = self.plan.n_trials as usize;
        let [counts, population] = [&seeds.counts, &seeds.population].map(|seeds| {
            let seeds: Vec<f32> = seeds.iter().map(|seed| *seed as f32).collect();
            self.ranks.own_trials(seeds, n_trials)
        });
        match back {
            Back::Step(step) => self.adjoint_beside_stimulus(step + 1, &counts, &population),
            Back::Last(n_steps) => self.simulation.adjoint_of_last(n_steps, &counts, &population),
        }
    }

    /// Adds up what the trials of all ranks say of the gradient, in the order of the ranks: of the weights on the device, of the rest in
    /// the report. What does not depend on trials (paired recordings, the weights' own terms) is added after it, on all ranks alike.
    fn sum_over_ranks(&mut self, mut adjoint: AdjointReport) -> Result<AdjointReport> {
        let ranks = &self.ranks;
        if ranks.n() == 1 {
            return Ok(adjoint);
        }
        self.simulation.map_weight_gradient(|block| {
            let mut block = ranks.agree(block)?;
            ranks.sum(&mut block);
            Ok(block)
        })?;
        ranks.sum_f64(adjoint.cell_gradient.as_flattened_mut());
        ranks.sum_f64(std::slice::from_mut(&mut adjoint.voltage_loss));
        Ok(adjoint)
    }

    /// This rank's trials of a batch.
    fn own_trials(&self) -> std::ops::Range<usize> {
        self.ranks.share(self.plan.n_trials as usize)
    }

    /// Time of an exchange with other ranks, ms; 0 without any.
    fn exchange_ms(&self, start: Instant) -> f64 {
        if self.ranks.n() > 1 { ms_since(start) } else { 0.0 }
    }

    /// Runs the adjoint pass; meanwhile the host works out what the next training step shows.
    fn adjoint_beside_stimulus(
        &mut self,
        next_step: u32,
        seeds: &[f32],
        population: &[f32],
    ) -> Result<AdjointReport> {
        let (plan, simulation) = (&self.plan, &mut self.simulation);
        let Some(stimulus) = &mut self.stimulus else {
            return simulation.adjoint_of_groups(seeds, population);
        };
        let mut conditions = schedule::conditions(&plan.scene.trials, plan.scene.seed, next_step);
        conditions = self.ranks.own_trials(conditions, plan.n_trials as usize);
        let (adjoint, drive) = std::thread::scope(|scope| {
            let drive = scope.spawn(|| stimulus.drive(plan, &conditions));
            (simulation.adjoint_of_groups(seeds, population), drive.join())
        });
        stimulus.prepared = drive.ok().map(|drive| (conditions, drive));
        adjoint
    }

    /// Device time by kernel in the last segment of the last training step; weights stay as they are. For `simrun measure`.
    pub fn profile(&mut self) -> Result<Vec<KernelTime>> {
        let seeds = vec![1e-3; self.simulation.layout().plane_words()];
        let mut times = self.simulation.profile(&seeds)?;
        times.extend(self.optimiser.profile(&self.simulation)?);
        Ok(times)
    }

    /// The sizes on the device.
    pub fn layout(&self) -> &Layout {
        self.simulation.layout()
    }

    /// Steps whose spikes are counted.
    fn window(&self) -> std::ops::Range<usize> {
        self.plan.analysis_start_step as usize..self.plan.n_steps as usize
    }

    fn window_ms(&self) -> f64 {
        self.window().len() as f64 * self.plan.scene.time.dt_ms
    }

    /// Mean rate of each cell type that has neurons in the core, over all trials, Hz.
    fn mean_rates_hz(&self, responses: &Responses<'_, f64>) -> BTreeMap<String, f64> {
        let all: Vec<usize> = (0..responses.trials.len()).collect();
        if all.is_empty() {
            return BTreeMap::new();
        }
        let mean = |neurons: &Vec<usize>| {
            neurons.iter().map(|&n| responses.mean_rate_hz(n, &all)).sum::<f64>() / neurons.len() as f64
        };
        let types =
            self.vocabulary.cell_types.iter().zip(&self.core).filter(|(_, neurons)| !neurons.is_empty());
        types.map(|(name, neurons)| (name.clone(), mean(neurons))).collect()
    }
}

fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Mean rate of all neurons in the evoked, or else the spontaneous trials, Hz; 0 without such trials.
fn mean_rate_hz(responses: &Responses<'_, f64>, evoked: bool) -> f64 {
    let trials = responses.trials_of_kind(evoked);
    if trials.is_empty() {
        return 0.0;
    }
    let n_neurons = responses.counts.len() / responses.trials.len();
    (0..n_neurons).map(|n| responses.mean_rate_hz(n, &trials)).sum::<f64>() / n_neurons.max(1) as f64
}

//! A network on the device with its losses, optimiser and stimulus: one training step, one evaluation, one checkpoint.

mod checkpoint;
mod evaluation;

pub(super) use evaluation::LearnedNetwork;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::assay::Assay;
use super::populations::Populations;
use super::recorded::{Recorded, refuse_recordings_of_v1};
use super::reports::Reports;
use super::schedule;
use super::settings::{optimiser_settings, settings};
use super::structure::{LIKE_TO_LIKE, SCALE_PRIOR, Structure, WEIGHT_DISTRIBUTION, like_pairs};
use super::weighting::TermGradient;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::loss::selectivity::update_rate_mean;
use crate::loss::targets::FunctionTargets;
use crate::loss::{self, FunctionLosses, LossValues, Responses, TrialKind};
use crate::model::cell::N_CELL_PARAMETERS;
use crate::network::lgn_units;
use crate::network::tables::{Split, Tables};
use crate::network::{Network, NodeNames, Vocabulary};
use crate::output::{PhaseMs, StepMetrics};
use crate::plan::Plan;
use crate::scene::{CheckpointScene, ElectrophysiologyLossScene, NetworkScene, StepsBetween};
use crate::setup::Built;
use crate::sim::layout::Layout;
use crate::sim::optimiser::Optimiser;
use crate::sim::{
    AdjointReport, ForwardReport, KernelTime, Simulation, SourceDrive, SourceFilters, SourceSpikes, TapeFit,
};
use crate::stimulus::TrialCondition;
use crate::stimulus::drive::{self, Drive, Filters};
use crate::stimulus::lgn::{self, LgnUnit, SCREEN_DEG};

pub use evaluation::{NeuronRange, TrialRecording};

/// Name of the term of the paired recordings.
const ELECTROPHYSIOLOGY: &str = "electrophysiology";

/// A network on the device and everything that trains it.
pub struct Session {
    plan: Plan,
    gpu: Arc<Gpu>,
    simulation: Simulation,
    /// How long the tape became where that was left open.
    tape: Option<TapeFit>,
    optimiser: Optimiser,
    /// What LGN and background see; none in a network without them.
    stimulus: Option<Stimulus>,
    /// Spikes that came with the network in place of a stimulus.
    recorded: Option<Recorded>,
    losses: FunctionLosses,
    /// Paired recordings; none where they are not asked for.
    assay: Option<Assay>,
    /// Groups that stand for recorded populations; none where nothing looks at them.
    populations: Option<Populations>,
    /// Potentials that evaluations record.
    reports: Reports,
    /// Structure terms; none where they are off.
    structure: Option<Structure>,
    train_targets: FunctionTargets,
    held_out_targets: FunctionTargets,
    /// Neurons of the core by cell type.
    core: Vec<Vec<usize>>,
    rate_mean_hz: Vec<f32>,
    /// Assigned preferred direction of each neuron, deg.
    tuning_angle_deg: Vec<f32>,
    /// Types of the network.
    vocabulary: Vocabulary,
    /// What the neurons are called.
    names: NodeNames,
    /// Factors of the terms; a term that is not named has 1.
    factors: BTreeMap<String, f64>,
}

/// The sources that are not neurons.
struct Stimulus {
    lgn_units: Vec<LgnUnit>,
    n_background: usize,
    filters: Filters,
    /// Whether each LGN unit has a synapse.
    has_synapses: Vec<bool>,
    /// What the units see under the conditions that are shown next, made while the device was at work.
    prepared: Option<(Vec<TrialCondition>, Drive)>,
}

impl Stimulus {
    /// What the units see in the trials of a batch.
    fn drive(&self, plan: &Plan, conditions: &[TrialCondition]) -> Drive {
        let Self { lgn_units, n_background, filters, .. } = self;
        let (dt_ms, n_steps) = (plan.scene.time.dt_ms, plan.n_steps as usize);
        drive::drive(lgn_units, *n_background, conditions, filters.n_taps, dt_ms, n_steps, SCREEN_DEG)
    }
}

impl Session {
    /// Puts a network on the device.
    pub fn new(plan: &Plan, gpu: &Arc<Gpu>, tables: &Tables, built: Built) -> Result<Self> {
        Self::with_pairs(plan, gpu, tables, built, plan.scene.losses.electrophysiology)
    }

    /// As [`Session::new`], with the rig of paired recordings even where the scene's loss has no electrophysiology term, for
    /// [`Session::record_pairs`].
    pub fn new_with_pairs(plan: &Plan, gpu: &Arc<Gpu>, tables: &Tables, built: Built) -> Result<Self> {
        // The rig stands for the project's own cells and synapses, which a circuit that was read need not have.
        let pairs = built.given.is_none().then(|| plan.scene.losses.electrophysiology.unwrap_or_default());
        Self::with_pairs(plan, gpu, tables, built, pairs)
    }

    fn with_pairs(
        plan: &Plan,
        gpu: &Arc<Gpu>,
        tables: &Tables,
        built: Built,
        pairs: Option<ElectrophysiologyLossScene>,
    ) -> Result<Self> {
        let Built { network, dynamics, given } = built;
        let (scene, dynamics) = (&plan.scene, &dynamics);
        refuse_recordings_of_v1(plan, &network)?;
        let core_radius_um = match &scene.network {
            NetworkScene::V1(v1) => v1.core_radius_um,
            NetworkScene::CellsOnly(_) | NetworkScene::Sonata(_) => f64::INFINITY,
        };
        let core = loss::core_neurons(&network, core_radius_um);
        let train_targets = targets(tables, &network, Split::Train)?;
        let losses = loss::prepare(&scene.losses, &train_targets, &network.neurons, &core, &plan.scene_file)?;
        let (given_inputs, start_u_mv) = given.map_or((None, Vec::new()), |g| (Some(g.inputs), g.start_u_mv));
        let recorded = given_inputs.map(|inputs| Recorded::new(plan, inputs));
        let stimulus = stimulus(plan, tables, &network)?;
        let mut settings = settings(plan, dynamics)?;
        let populations = Populations::new(plan, tables, &core, &network.vocabulary, network.neurons.len());
        let n_trials = match &recorded {
            Some(recorded) => recorded.batches().iter().map(Vec::len).sum(),
            None => schedule::evaluation_batches(scene).iter().map(Vec::len).sum(),
        };
        let reports = Reports::new(plan, &network, n_trials)?;
        if let Some(populations) = &populations {
            settings.groups.clone_from(&populations.masks);
        }
        let sources = match (&stimulus, &recorded) {
            (_, Some(recorded)) => SourceSpikes::Listed(recorded.most_entries()),
            (Some(stimulus), _) => SourceSpikes::Drawn(drawn(&stimulus.filters)),
            (None, None) => SourceSpikes::None,
        };
        let mut simulation = Simulation::new(gpu, &network, dynamics, sources, settings)?;
        if plan.n_settling_steps > 0 {
            simulation.reserve_settled()?;
        }
        if start_u_mv.iter().any(|u| *u != 0.0) {
            simulation.set_start(&start_u_mv)?;
        }
        if let NetworkScene::CellsOnly(cells) = &scene.network {
            let n_values = network.neurons.len() * plan.n_trials as usize;
            simulation.set_current(&vec![cells.current_pa as f32; n_values])?;
        }
        let assay = match &pairs {
            Some(pairs) => Assay::new(gpu, plan, pairs, tables, &network, dynamics, &simulation)?,
            None => None,
        };
        if let (Some(term), None) = (&plan.scene.losses.electrophysiology, &assay) {
            let limit = "the term is on, but no measured pair of cell groups has a synapse in the network";
            let field = "losses.electrophysiology.weight";
            return Err(Error::field(&plan.scene_file, field, term.weight, limit));
        }
        let like_pairs = like_pairs(scene.losses.structure.as_ref(), tables);
        let optimiser =
            Optimiser::new(&simulation, optimiser_settings(plan, &network.cell_models, like_pairs))?;
        let tape = fit_tape(plan, &mut simulation)?;
        let structure =
            scene.losses.structure.map(|terms| Structure::new(&terms, tables, optimiser.weight_counts()));
        Ok(Self {
            plan: plan.clone(),
            gpu: Arc::clone(gpu),
            simulation,
            tape,
            optimiser,
            stimulus,
            recorded,
            losses,
            assay,
            populations,
            reports,
            structure,
            train_targets,
            held_out_targets: targets(tables, &network, Split::HeldOut)?,
            core,
            rate_mean_hz: vec![0.0; network.neurons.len()],
            tuning_angle_deg: network.neurons.tuning_angle_deg.clone(),
            vocabulary: network.vocabulary.clone(),
            names: network.node_names(),
            factors: BTreeMap::new(),
        })
    }

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

    /// Sets what each term is multiplied by in training.
    pub fn set_factors(&mut self, factors: BTreeMap<String, f64>) {
        self.simulation.set_voltage_factor(factors.get("voltage").copied().unwrap_or(1.0));
        self.factors = factors;
    }

    fn factor(&self, term: &str) -> f64 {
        self.factors.get(term).copied().unwrap_or(1.0)
    }

    /// The gradient of each term alone in the batch of the first training step, before anything is learned.
    pub fn term_gradients(&mut self) -> Result<Vec<TermGradient>> {
        let mut terms = Vec::new();
        if self.needs_network() {
            let (trials, forward) = self.run_batch(1)?;
            let responses =
                Responses { counts: &forward.spike_counts, trials: &trials, window_ms: self.window_ms() };
            let values = self.function_terms(&forward, &responses)?;
            self.simulation.set_voltage_factor(0.0);
            for term in &values.terms {
                let [seeds, population] = [&term.seeds, &term.population_seeds]
                    .map(|s| s.iter().map(|x| *x as f32).collect::<Vec<f32>>());
                let adjoint = self.simulation.adjoint_of_groups(&seeds, &population)?;
                terms.push(self.term_gradient(term.name, term.value, &adjoint)?);
            }
            self.simulation.set_voltage_factor(1.0);
            if self.plan.scene.losses.voltage.is_some() {
                let adjoint = self.simulation.adjoint(&vec![0.0; self.simulation.layout().plane_words()])?;
                terms.push(self.term_gradient("voltage", adjoint.voltage_loss, &adjoint)?);
            }
        }
        self.simulation.clear_weight_gradient();
        let mut adjoint = self.no_gradient();
        if let Some(value) = self.add_pair_recordings(1, &mut adjoint)? {
            terms.push(self.term_gradient(ELECTROPHYSIOLOGY, value, &adjoint)?);
        }
        self.simulation.clear_weight_gradient();
        for term in [WEIGHT_DISTRIBUTION, LIKE_TO_LIKE, SCALE_PRIOR] {
            let values = self.add_structure(|name| f64::from(u8::from(name == term)))?;
            if let Some((_, value)) = values.iter().find(|(name, _)| *name == term) {
                terms.push(self.term_gradient(term, *value, &self.no_gradient())?);
            }
        }
        Ok(terms)
    }

    /// Whether a term of the loss looks at the network's spikes or potentials; the others need no simulation of it.
    fn needs_network(&self) -> bool {
        let losses = &self.plan.scene.losses;
        losses.rates.is_some()
            || losses.selectivity.is_some()
            || losses.tuning.is_some()
            || losses.contrast.is_some()
            || losses.fano.is_some()
            || losses.pairwise_correlation.is_some()
            || losses.voltage.is_some()
    }

    /// The terms of the spikes in a batch.
    fn function_terms(&self, forward: &ForwardReport, responses: &Responses<'_, f32>) -> Result<LossValues> {
        let mut values = loss::function_losses(&self.losses, responses, &self.rate_mean_hz)?;
        if let Some(populations) = &self.populations {
            values.terms.extend(populations.terms(forward, responses));
        }
        Ok(values)
    }

    /// The report of an adjoint pass that found nothing.
    fn no_gradient(&self) -> AdjointReport {
        let cell_gradient = vec![[0.0; N_CELL_PARAMETERS]; self.optimiser.cell_parameters().len()];
        AdjointReport { voltage_loss: 0.0, cell_gradient, wall_ms: 0.0 }
    }

    /// The gradient that an adjoint pass of one term left.
    fn term_gradient(&self, name: &str, value: f64, adjoint: &AdjointReport) -> Result<TermGradient> {
        let norms = self.optimiser.gradient_norms(&self.simulation, &adjoint.cell_gradient)?;
        Ok(TermGradient { name: name.to_owned(), value, norm: norms.total(), norms, factor: 1.0 })
    }

    /// Shows the network the trials of a training step.
    fn run_batch(&mut self, training_step: u32) -> Result<(Vec<TrialKind>, ForwardReport)> {
        let shown = match &self.recorded {
            Some(recorded) => Shown::Recorded(recorded.of_step(training_step)),
            None => {
                let scene = &self.plan.scene;
                Shown::Screen(schedule::conditions(&scene.trials, scene.seed, training_step))
            }
        };
        let seed = self.plan.scene.seed;
        self.settle(seed, training_step)?;
        let trials = self.show(&shown)?;
        let forward = self.simulation.forward(seed, training_step)?;
        Ok((trials, forward))
    }

    /// Brings the start of the batch that follows to what grey leaves, where the scene asks for that. It is a function of the weights, so a
    /// run that is continued starts its trials as it would have.
    fn settle(&mut self, seed: u64, presentation: u32) -> Result<()> {
        let n_steps = self.plan.n_settling_steps as usize;
        if n_steps == 0 {
            return Ok(());
        }
        self.set_stimulus(&vec![TrialCondition::Grey; self.plan.n_trials as usize])?;
        self.simulation.settle(schedule::settling_seed(seed), presentation, n_steps)
    }

    /// Takes a training step (from 1).
    pub fn step(&mut self, training_step: u32) -> Result<StepMetrics> {
        let (mut metrics, mut adjoint) = if self.needs_network() {
            self.network_gradient(training_step)?
        } else {
            self.simulation.clear_weight_gradient();
            (StepMetrics::default(), self.no_gradient())
        };
        let start = Instant::now();
        if let Some(value) = self.add_pair_recordings(training_step, &mut adjoint)? {
            metrics.losses.insert(ELECTROPHYSIOLOGY.to_owned(), value);
        }
        metrics.ms.pairs = ms_since(start);
        let factors = self.factors.clone();
        let structure = self.add_structure(|term| factors.get(term).copied().unwrap_or(1.0))?;
        metrics.losses.extend(structure.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let rate_factor = schedule::learning_rate_factor(&self.plan.scene.optimiser, training_step);
        let update = self.optimiser.step(&mut self.simulation, &adjoint, rate_factor)?;
        metrics.ms.update = update.wall_ms;
        metrics.step = training_step;
        metrics.total_loss = metrics.losses.values().sum();
        metrics.gradient_norm = update.weight_gradient_norm;
        metrics.device_bytes = self.gpu.allocated_bytes();
        Ok(metrics)
    }

    /// Runs the network over a training step's trials and back: what it showed, and the gradient of the terms that look at it.
    fn network_gradient(&mut self, training_step: u32) -> Result<(StepMetrics, AdjointReport)> {
        let start = Instant::now();
        let (trials, forward) = self.run_batch(training_step)?;
        let stimulus_ms = ms_since(start) - forward.wall_ms;
        let start = Instant::now();
        let responses =
            Responses { counts: &forward.spike_counts, trials: &trials, window_ms: self.window_ms() };
        let mut values = self.function_terms(&forward, &responses)?;
        for term in &mut values.terms {
            term.scale(self.factor(term.name));
        }
        let seeds = self.seeds(&values);
        let population: Vec<f32> = values.population_seeds().iter().map(|seed| *seed as f32).collect();
        let adjoint = self.adjoint_beside_stimulus(training_step + 1, &seeds, &population)?;
        if let Some(term) = &self.plan.scene.losses.selectivity {
            update_rate_mean(&mut self.rate_mean_hz, term, &responses);
        }
        let ms = PhaseMs {
            stimulus: stimulus_ms,
            forward: forward.wall_ms,
            adjoint: ms_since(start),
            ..PhaseMs::default()
        };
        let mut losses = terms(&values);
        if self.plan.scene.losses.voltage.is_some() {
            losses.insert("voltage".to_owned(), adjoint.voltage_loss);
        }
        let metrics = StepMetrics {
            losses,
            mean_rate_hz: self.mean_rates_hz(&responses),
            mean_rate_evoked_hz: mean_rate_hz(&responses, true),
            mean_rate_spontaneous_hz: mean_rate_hz(&responses, false),
            ms,
            ..StepMetrics::default()
        };
        Ok((metrics, adjoint))
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
        let conditions = schedule::conditions(&plan.scene.trials, plan.scene.seed, next_step);
        let (adjoint, drive) = std::thread::scope(|scope| {
            let drive = scope.spawn(|| stimulus.drive(plan, &conditions));
            (simulation.adjoint_of_groups(seeds, population), drive.join())
        });
        stimulus.prepared = drive.ok().map(|drive| (conditions, drive));
        adjoint
    }

    /// Tells the optimiser the slopes of the structure terms; their values.
    fn add_structure(&mut self, factor: impl Fn(&str) -> f64) -> Result<Vec<(&'static str, f64)>> {
        match &self.structure {
            Some(structure) => structure.apply(&mut self.optimiser, factor),
            None => Ok(Vec::new()),
        }
    }

    /// Adds the gradient of the electrophysiology term to that of the others; its value, if it is on.
    fn add_pair_recordings(
        &mut self,
        training_step: u32,
        adjoint: &mut AdjointReport,
    ) -> Result<Option<f64>> {
        let (Some(_), Some(assay)) = (&self.plan.scene.losses.electrophysiology, &mut self.assay) else {
            return Ok(None);
        };
        let factor = self.factors.get(ELECTROPHYSIOLOGY).copied().unwrap_or(1.0);
        let step = assay.step(&self.simulation, self.optimiser.cell_parameters(), training_step, factor)?;
        let sums = adjoint.cell_gradient.iter_mut().flatten();
        sums.zip(step.cell_gradient.iter().flatten()).for_each(|(sum, g)| *sum += g);
        Ok(Some(step.value))
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

    /// Sets what the sources send in a batch, and says what its trials are to the losses.
    fn show(&mut self, shown: &Shown) -> Result<Vec<TrialKind>> {
        match (shown, &self.recorded) {
            (Shown::Recorded(inputs), Some(recorded)) => {
                let list = recorded.list(inputs, self.plan.n_steps as usize);
                self.simulation.set_spikes(&list)?;
                Ok(recorded.kinds(inputs))
            }
            (Shown::Screen(conditions), _) => {
                self.set_stimulus(conditions)?;
                Ok(kinds(conditions, self.plan.scene.trials.grating.contrast))
            }
            (Shown::Recorded(_), _) => {
                Err(Error::Failed("the network came without recorded spikes".to_owned()))
            }
        }
    }

    fn set_stimulus(&mut self, conditions: &[TrialCondition]) -> Result<()> {
        let Some(stimulus) = &mut self.stimulus else { return Ok(()) };
        let drive = match stimulus.prepared.take_if(|(prepared, _)| prepared == conditions) {
            Some((_, drive)) => drive,
            None => stimulus.drive(&self.plan, conditions),
        };
        self.simulation.set_stimulus(&SourceDrive {
            amplitude: &drive.amplitude,
            group_trials: &drive.group_trials,
            frames: &drive.frames,
        })
    }

    /// Seeds of all terms together for the device, `[n_neurons][n_trials]`.
    fn seeds(&self, values: &LossValues) -> Vec<f32> {
        let mut seeds: Vec<f32> = values.seeds().iter().map(|seed| *seed as f32).collect();
        seeds.resize(self.simulation.layout().plane_words(), 0.0);
        seeds
    }

    fn window_ms(&self) -> f64 {
        f64::from(self.plan.n_steps - self.plan.analysis_start_step) * self.plan.scene.time.dt_ms
    }

    /// Mean rate of each cell type that has neurons in the core, over all trials, Hz.
    fn mean_rates_hz(&self, responses: &Responses<'_, f32>) -> BTreeMap<String, f64> {
        let all: Vec<usize> = (0..responses.trials.len()).collect();
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

fn terms(values: &LossValues) -> BTreeMap<String, f64> {
    values.terms.iter().map(|term| (term.name.to_owned(), term.value)).collect()
}

/// What the trials are to the losses; `contrast` is that of the trials that the recordings are compared with.
fn kinds(conditions: &[TrialCondition], contrast: f64) -> Vec<TrialKind> {
    let kind = |condition: &TrialCondition| match condition {
        TrialCondition::Grey => TrialKind::Spontaneous,
        TrialCondition::Grating(g) if g.contrast == contrast => {
            TrialKind::Evoked { direction_deg: g.direction_deg }
        }
        TrialCondition::Grating(g) => {
            TrialKind::OtherContrast { direction_deg: g.direction_deg, contrast: g.contrast }
        }
    };
    conditions.iter().map(kind).collect()
}

/// Mean rate of all neurons in the evoked, or else the spontaneous trials, Hz; 0 without such trials.
fn mean_rate_hz(responses: &Responses<'_, f32>, evoked: bool) -> f64 {
    let trials = responses.trials_of_kind(evoked);
    let n_neurons = responses.counts.len() / responses.trials.len();
    if trials.is_empty() || n_neurons == 0 {
        return 0.0;
    }
    (0..n_neurons).map(|n| responses.mean_rate_hz(n, &trials)).sum::<f64>() / n_neurons as f64
}

/// Makes the tape as long as the scene's memory budget and the adapter allow, where the scene leaves it open. Everything else is on
/// the device already.
fn fit_tape(plan: &Plan, simulation: &mut Simulation) -> Result<Option<TapeFit>> {
    let CheckpointScene { steps_between, memory_budget_mib } = plan.scene.checkpoint;
    let open = steps_between == StepsBetween::Auto;
    open.then(|| simulation.fit_tape(u64::from(memory_budget_mib) << 20)).transpose()
}

/// What a batch shows, one entry a trial.
enum Shown {
    /// Gratings and grey screens.
    Screen(Vec<TrialCondition>),
    /// Recorded inputs, by their number.
    Recorded(Vec<usize>),
}

/// The recordings that the network is compared with: none of cell types that are not those of mouse V1.
fn targets(tables: &Tables, network: &Network, split: Split) -> Result<FunctionTargets> {
    if network.vocabulary.has_v1_cell_types() {
        return FunctionTargets::from_tables(tables, split);
    }
    Ok(FunctionTargets { cell_types: network.vocabulary.cell_types.clone(), ..FunctionTargets::default() })
}

/// The LGN units of the tables and the background units of the scene; none in a network of cells only.
fn stimulus(plan: &Plan, tables: &Tables, network: &Network) -> Result<Option<Stimulus>> {
    let NetworkScene::V1(v1) = &plan.scene.network else { return Ok(None) };
    let places = lgn_units::place(&tables.lgn_units, plan.scene.seed);
    let lgn_units = lgn::units(&tables.lgn_units, &places, plan.scene.seed)?;
    let n_background = v1.background.n_units as usize;
    let filters = drive::filters(&lgn_units, n_background, v1.background.rate_hz);
    let ends = &network.rows.offsets[network.neurons.len()..];
    let has_synapses = ends.windows(2).take(lgn_units.len()).map(|row| row[1] > row[0]).collect();
    Ok(Some(Stimulus { lgn_units, n_background, filters, has_synapses, prepared: None }))
}

fn drawn(filters: &Filters) -> SourceFilters<'_> {
    SourceFilters {
        taps_hz: &filters.taps_hz,
        baseline_hz: &filters.baseline_hz,
        second_ix: &filters.second_ix,
    }
}

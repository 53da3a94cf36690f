//! Puts a network on the device with everything that trains it.

use std::sync::Arc;

use super::super::assay::Assay;
use super::super::recorded::Recorded;
use super::super::reports::Reports;
use super::super::schedule;
use super::super::settings::{optimiser_settings, settings};
use super::Session;
use super::stimulus::{drawn, stimulus};
use crate::error::Result;
use crate::evaluate::FanoFactors;
use crate::gpu::Gpu;
use crate::loss::electrophysiology::{ElectrophysiologyLossScene, measured_pairs};
use crate::loss::groups::Groups;
use crate::loss::like_to_like::like_to_like_pairs;
use crate::loss::targets::FunctionTargets;
use crate::loss::{Context, Terms, core_neurons, neurons_outside};
use crate::network::Network;
use crate::network::tables::{Split, Tables};
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::scene::{CheckpointScene, NetworkScene, StepsBetween};
use crate::setup::Built;
use crate::sim::optimiser::Optimiser;
use crate::sim::{Simulation, SourceSpikes, TapeFit};

/// Groups where the evaluation looks at them and the scene has no term that says how many.
const N_GROUPS: u32 = 16;

impl Session {
    /// Puts a network on the device.
    ///
    /// # Errors
    /// A term of the loss that finds nothing to compare, or a device that is too small.
    pub fn new(plan: &Plan, gpu: &Arc<Gpu>, tables: &Tables, built: Built) -> Result<Self> {
        let pairs = plan.scene.losses.electrophysiology;
        Self::with_pairs(plan, &Ranks::default(), gpu, tables, built, pairs.as_ref())
    }

    /// As [`Session::new`], with the rig of paired recordings even where the scene's loss has no electrophysiology term, for
    /// [`Session::record_pairs`], and this rank's trials of each batch.
    ///
    /// # Errors
    /// Those of [`Session::new`].
    pub fn new_with_pairs(
        plan: &Plan,
        ranks: &Ranks,
        gpu: &Arc<Gpu>,
        tables: &Tables,
        built: Built,
    ) -> Result<Self> {
        // The rig stands for the project's own cells and synapses, which a circuit that was read need not have.
        let pairs = built.given.is_none().then(|| plan.scene.losses.electrophysiology.unwrap_or_default());
        Self::with_pairs(plan, ranks, gpu, tables, built, pairs.as_ref())
    }

    fn with_pairs(
        plan: &Plan,
        ranks: &Ranks,
        gpu: &Arc<Gpu>,
        tables: &Tables,
        built: Built,
        pairs: Option<&ElectrophysiologyLossScene>,
    ) -> Result<Self> {
        let Built { network, dynamics, given } = built;
        let (scene, needs) = (&plan.scene, plan.scene.losses.needs());
        let core_radius_um = match &scene.network {
            NetworkScene::V1(v1) => v1.core_radius_um,
            NetworkScene::CellsOnly(_) | NetworkScene::Sonata(_) => f64::INFINITY,
        };
        let core = core_neurons(&network, core_radius_um);
        let train_targets = targets(tables, &network, Split::Train)?;
        let pairs = pairs.map_or(Vec::new(), |scene| measured_pairs(scene, tables, &network));
        let (window, dt_ms) = (plan.analysis_start_step as usize..plan.n_steps as usize, scene.time.dt_ms);
        let of_evaluation = if scene.evaluate.fano { N_GROUPS } else { 0 };
        let n_groups = if needs.n_groups > 0 { needs.n_groups } else { of_evaluation };
        let groups = Groups::draw(n_groups, &core, &network.vocabulary, network.neurons.len(), scene.seed);
        let context = Context {
            scene_file: &plan.scene_file,
            network: &network,
            core: &core,
            outside: &neurons_outside(&network, &core),
            targets: &train_targets,
            tables,
            groups: &groups,
            pairs: &pairs,
            window: window.clone(),
            dt_ms,
        };
        let terms = Terms::prepare(&scene.losses, &context)?;
        let (given_inputs, start_u_mv) = given.map_or((None, Vec::new()), |g| (Some(g.inputs), g.start_u_mv));
        let recorded = given_inputs.map(|inputs| Recorded::new(plan, inputs));
        let stimulus = stimulus(plan, tables, &network)?;
        let own_trials = ranks.share(plan.n_trials as usize);
        let mut settings = settings(plan, &dynamics, &own_trials)?;
        settings.groups = groups.masks;
        let n_trials = match &recorded {
            Some(recorded) => recorded.batches().iter().map(Vec::len).sum(),
            None => schedule::evaluation_batches(scene).iter().map(Vec::len).sum(),
        };
        let reports = Reports::new(plan, &network, n_trials)?;
        let sources = match (&stimulus, &recorded) {
            (_, Some(recorded)) => SourceSpikes::Listed(recorded.most_entries(own_trials.len())),
            (Some(stimulus), _) => SourceSpikes::Drawn(drawn(&stimulus.filters)),
            (None, None) => SourceSpikes::None,
        };
        let mut simulation = Simulation::new(gpu, &network, &dynamics, sources, settings)?;
        set_start(plan, &mut simulation, &start_u_mv, network.neurons.len() * own_trials.len())?;
        let assay = Assay::new(gpu, plan, pairs, tables, &network, &dynamics, &simulation)?;
        let like_pairs = if needs.directions { like_to_like_pairs(tables) } else { Vec::new() };
        let mut optimiser =
            Optimiser::new(&simulation, optimiser_settings(plan, &network.cell_models, like_pairs))?;
        if needs.kept {
            optimiser.reserve_kept(&simulation)?;
        }
        let tape = fit_tape(plan, &mut simulation)?;
        Ok(Self {
            plan: plan.clone(),
            ranks: ranks.clone(),
            gpu: Arc::clone(gpu),
            simulation,
            tape,
            optimiser,
            stimulus,
            recorded,
            terms,
            needs,
            assay,
            n_groups: groups.n_groups,
            fano: (groups.n_groups > 0).then(|| FanoFactors::new(tables, &window, dt_ms)),
            reports,
            train_targets,
            held_out_targets: targets(tables, &network, Split::HeldOut)?,
            core,
            tuning_angle_deg: network.neurons.tuning_angle_deg.clone(),
            names: network.node_names(),
            vocabulary: network.vocabulary,
        })
    }
}

/// What the trials of a scene start from, and the current that is injected into cells without synapses. `start_u_mv`: [n_neurons], empty
/// for rest; `n_values`: neurons times trials.
fn set_start(plan: &Plan, simulation: &mut Simulation, start_u_mv: &[f32], n_values: usize) -> Result<()> {
    if plan.n_settling_steps > 0 {
        simulation.reserve_settled()?;
    }
    if start_u_mv.iter().any(|u| *u != 0.0) {
        simulation.set_start(start_u_mv)?;
    }
    if let NetworkScene::CellsOnly(cells) = &plan.scene.network {
        simulation.set_current(&vec![cells.current_pa as f32; n_values])?;
    }
    Ok(())
}

/// Makes the tape as long as the scene's memory budget and the adapter allow, where the scene leaves it open. Everything else is on
/// the device already.
fn fit_tape(plan: &Plan, simulation: &mut Simulation) -> Result<Option<TapeFit>> {
    let CheckpointScene { steps_between, memory_budget_mib } = plan.scene.checkpoint;
    let open = steps_between == StepsBetween::Auto;
    open.then(|| simulation.fit_tape(u64::from(memory_budget_mib) << 20)).transpose()
}

/// The recordings that the network is compared with: none of cell types that are not those of mouse V1.
fn targets(tables: &Tables, network: &Network, split: Split) -> Result<FunctionTargets> {
    if network.vocabulary.has_v1_cell_types() {
        return FunctionTargets::from_tables(tables, split);
    }
    Ok(FunctionTargets { cell_types: network.vocabulary.cell_types.clone(), ..FunctionTargets::default() })
}

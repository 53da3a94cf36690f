//! The network of a calibration on the device: rates of its cell models under a grey screen, for any factors on their input.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::CalibrationOptions;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::loss::core_neurons;
use crate::model::Dynamics;
use crate::network::tables::Tables;
use crate::network::{Network, lgn_units, target_neuron};
use crate::plan::{MAX_TRIALS, Plan};
use crate::ranks::Ranks;
use crate::scene::NetworkScene;
use crate::setup::{Built, Given};
use crate::setup::{InputFactors, scale_inputs};
use crate::sim::{BatchPlace, Settings, Simulation, SourceDrive, SourceFilters, SourceSpikes, SpikeList};
use crate::stimulus::TrialCondition;
use crate::stimulus::drive;
use crate::stimulus::lgn::{self, SCREEN_DEG};
use crate::train::schedule;

/// Grey before spikes are counted, ms: several membrane time constants, most of the after-spike currents' slowest.
const SETTLING_MS: f64 = 200.0;
/// Time in which spikes are counted, ms.
const COUNTED_MS: f64 = 500.0;
/// Fewest neurons whose rates stand for their cell model, where it has so many: of a model that is rare in the core, the nearest
/// to its middle.
const FEWEST_NEURONS: usize = 4;

/// A network under a grey screen.
pub(super) struct GreyNetwork {
    network: Network,
    simulation: Simulation,
    /// Neurons whose rates are read, by cell model.
    neurons: Vec<Vec<usize>>,
    /// Neurons of the core, by cell type.
    core: Vec<Vec<usize>>,
    /// Those that share the trials.
    ranks: Ranks,
    n_trials: usize,
    counted_s: f64,
    seed: u64,
}

impl GreyNetwork {
    /// Puts a network on the device under trials of grey: drawn for a network with a screen, else the recorded inputs without a direction.
    pub(super) fn new(
        plan: &Plan,
        gpu: &Arc<Gpu>,
        tables: &Tables,
        built: Built,
        options: &CalibrationOptions,
    ) -> Result<Self> {
        let Built { network, dynamics, given } = built;
        let dt_ms = dynamics.dt_ms;
        let steps = |ms: f64| (ms / dt_ms).round() as usize;
        let (mut simulation, n_trials, ranks) = match (&plan.scene.network, given) {
            (NetworkScene::V1(v1), _) => {
                let (n_trials, settling) = (options.n_trials as usize, steps(SETTLING_MS));
                let own = options.ranks.share(n_trials);
                let settings = Settings {
                    of_batch: BatchPlace { first: own.start, n_all: n_trials },
                    ..settings(&dynamics, own.len(), settling..settling + steps(COUNTED_MS))
                };
                let places = lgn_units::place(&tables.lgn_units, plan.scene.seed);
                let units = lgn::units(&tables.lgn_units, &places, plan.scene.seed)?;
                let filters = drive::filters(&units, network.n_background, v1.background.rate_hz);
                let sources = SourceSpikes::Drawn(SourceFilters {
                    taps_hz: &filters.taps_hz,
                    baseline_hz: &filters.baseline_hz,
                    second_ix: &filters.second_ix,
                });
                let (n_taps, n_steps) = (filters.n_taps, settings.n_steps);
                let mut simulation = Simulation::new(gpu, &network, &dynamics, sources, settings)?;
                let grey = vec![TrialCondition::Grey; own.len()];
                let n_background = network.n_background;
                let shown = drive::drive(&units, n_background, &grey, n_taps, dt_ms, n_steps, SCREEN_DEG);
                simulation.set_stimulus(&SourceDrive {
                    amplitude: &shown.amplitude,
                    group_trials: &shown.group_trials,
                    frames: &shown.frames,
                })?;
                (simulation, n_trials, options.ranks.clone())
            }
            (_, Some(given)) => {
                // Few, and each rank shows them all.
                let (simulation, n_trials) = recorded(plan, gpu, &network, &dynamics, given)?;
                (simulation, n_trials, Ranks::default())
            }
            (_, None) => {
                let reason =
                    "its network has neither LGN nor background units: there is nothing to calibrate";
                return Err(Error::file(&plan.scene_file, reason));
            }
        };
        simulation.set_weights(&network.rows.weights)?;
        let core_radius_um = match &plan.scene.network {
            NetworkScene::V1(v1) => v1.core_radius_um,
            _ => f64::INFINITY,
        };
        Ok(Self {
            neurons: neurons_read(&network, core_radius_um),
            core: core_neurons(&network, core_radius_um),
            counted_s: simulation.settings().window.len() as f64 * dt_ms * 1e-3,
            seed: schedule::calibration_seed(plan.scene.seed),
            network,
            simulation,
            ranks,
            n_trials,
        })
    }

    /// The network, with the weights that factors multiply.
    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// Neurons whose rates stand for each cell model.
    pub(super) fn n_read(&self) -> Vec<usize> {
        self.neurons.iter().map(Vec::len).collect()
    }

    /// Whether each cell model has edges from LGN units and from background units that excite.
    pub(super) fn has_inputs(&self) -> Vec<[bool; 2]> {
        let network = &self.network;
        let mut has = vec![[false; 2]; network.cell_models.len()];
        for (unit, row) in network.rows.offsets[network.neurons.len()..].windows(2).enumerate() {
            if network.vocabulary.is_inhibitory(network.source_type(network.neurons.len() + unit)) {
                continue;
            }
            for target in &network.rows.targets[row[0] as usize..row[1] as usize] {
                let model_ix = network.neurons.model_ix[target_neuron(*target) as usize];
                has[usize::from(model_ix)][usize::from(unit >= network.n_lgn)] = true;
            }
        }
        has
    }

    /// Mean rate of each cell model, Hz, in a batch of grey trials of its own number. LGN and background spikes are the same for the
    /// same number. Rates of a cell type's models are scaled together so that their mean is that of the type's neurons in the core, of which
    /// rare models have few.
    pub(super) fn rates_hz(&mut self, factors: &[InputFactors], presentation: u32) -> Result<Vec<f64>> {
        let mut weights = self.network.rows.weights.clone();
        scale_inputs(&self.network, factors, &mut weights);
        let set = self.simulation.set_weights(&weights);
        drop(weights);
        let own = set.and_then(|()| self.simulation.forward(self.seed, presentation));
        let counts = self.ranks.gather_trials(self.ranks.agree(own)?.spike_counts, self.n_trials);
        let spikes = |neuron_ix: &usize| -> f64 {
            let first = neuron_ix * self.n_trials;
            counts[first..first + self.n_trials].iter().map(|c| f64::from(*c)).sum()
        };
        let rate = |neurons: &Vec<usize>| {
            let seconds = (neurons.len() * self.n_trials) as f64 * self.counted_s;
            if neurons.is_empty() { 0.0 } else { neurons.iter().map(spikes).sum::<f64>() / seconds }
        };
        let mut rates_hz: Vec<f64> = self.neurons.iter().map(rate).collect();
        for (type_ix, core) in self.core.iter().enumerate() {
            let of_type = |model: &usize| self.network.cell_models[*model].cell_type_ix == type_ix;
            let models: Vec<usize> = (0..rates_hz.len()).filter(of_type).collect();
            let read: Vec<usize> = models.iter().flat_map(|m| self.neurons[*m].iter().copied()).collect();
            let (of_core, of_read) = (rate(core), rate(&read));
            if of_core > 0.0 && of_read > 0.0 {
                models.iter().for_each(|m| rates_hz[*m] *= of_core / of_read);
            }
        }
        Ok(rates_hz)
    }
}

/// A circuit under its recorded inputs of a grey screen, one a trial, and how many there are.
fn recorded(
    plan: &Plan,
    gpu: &Arc<Gpu>,
    network: &Network,
    dynamics: &Dynamics,
    given: Given,
) -> Result<(Simulation, usize)> {
    let grey = given.inputs.iter().filter(|input| input.direction_deg.is_none());
    let shown: Vec<_> = grey.take(MAX_TRIALS as usize).collect();
    if shown.is_empty() {
        let limit = "none is without a direction_deg, so nothing shows a grey screen";
        return Err(Error::field(&plan.scene_file, "network.inputs", given.inputs.len(), limit));
    }
    let n_steps = plan.n_steps as usize;
    let settings = settings(dynamics, shown.len(), plan.analysis_start_step as usize..n_steps);
    // Spikes of a unit in several trials are one entry.
    let mut masks = BTreeMap::new();
    for (trial, input) in shown.iter().enumerate() {
        for (step, unit) in &input.spikes {
            *masks.entry((*step, *unit)).or_insert(0_u32) |= 1 << trial;
        }
    }
    let spikes: Vec<_> = masks.into_iter().map(|((step, unit), mask)| (step, unit, mask)).collect();
    let mut simulation =
        Simulation::new(gpu, network, dynamics, SourceSpikes::Listed(spikes.len()), settings)?;
    simulation.set_spikes(&SpikeList::new(n_steps, spikes.into_iter()))?;
    simulation.set_start(&given.start_u_mv)?;
    Ok((simulation, shown.len()))
}

fn settings(dynamics: &Dynamics, n_trials: usize, window: Range<usize>) -> Settings {
    let of_window = Settings::new(window.end, n_trials).with_short_segments(dynamics);
    Settings { window, ..of_window }
}

/// The neurons that stand for each cell model: those of the core, which losses and evaluation read too; of a model that has few there, the
/// nearest to the middle.
fn neurons_read(network: &Network, core_radius_um: f64) -> Vec<Vec<usize>> {
    let neurons = &network.neurons;
    let distance_um = |n: &usize| f64::from(neurons.x_um[*n]).hypot(f64::from(neurons.z_um[*n]));
    let mut by_model = vec![Vec::new(); network.cell_models.len()];
    for (neuron_ix, model_ix) in neurons.model_ix.iter().enumerate() {
        by_model[usize::from(*model_ix)].push(neuron_ix);
    }
    for of_model in &mut by_model {
        // Stable, so neighbours at one place stay in order.
        of_model.sort_by(|a, b| distance_um(a).total_cmp(&distance_um(b)));
        let in_core = |n: &usize| match &network.core {
            Some(core) => core[*n],
            None => distance_um(n) <= core_radius_um,
        };
        let n_core = of_model.iter().filter(|n| in_core(n)).count();
        if network.core.is_some() && n_core >= FEWEST_NEURONS {
            of_model.retain(in_core);
        } else if network.core.is_none() {
            of_model.truncate(n_core.max(FEWEST_NEURONS));
        }
    }
    by_model
}

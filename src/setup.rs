//! From a plan to what is simulated: dynamics and network.

use std::path::Path;

use crate::error::{Error, Result, warning};
use crate::model::kinetics::{PortCounts, Ports, SynapseKind};
use crate::model::membrane::CellMode;
use crate::model::psp::unit_psp_table;
use crate::model::surrogate::Surrogate;
use crate::model::{Damping, Dynamics};
use crate::network::scene::LesionScene;
use crate::network::tables::Tables;
use crate::network::{
    self, CLASS_OF_SOURCE_TYPE, CellModel, MAX_DELAY_STEPS, N_CLASSES, Network, NetworkSpec,
    SOURCE_TYPE_BACKGROUND, UnitPsps, target_neuron,
};
use crate::plan::Plan;
use crate::scene::{CellsScene, NetworkScene, PortsScene, StepsBetween, V1Scene};
use crate::sonata::{TrialInput, circuit_of_scene};

mod calibration;

pub use calibration::{
    CalibratedModel, Calibration, InputFactors, MadeFor, OF_NETWORK_TABLES, OF_TABLES, recorded_grey_hz,
    scale_inputs,
};

/// The tables of a plan: those of its folder, recorded rates and selectivity from its recordings if it names them.
///
/// # Errors
/// As [`Tables::read`].
pub fn tables(plan: &Plan) -> Result<Tables> {
    Tables::read_with(&plan.tables_dir, plan.recordings_dir.as_deref())
}

/// The synaptic ports of a scene.
pub fn ports(cells: &CellsScene, tables: &Tables) -> Ports {
    let synapses = cells.mode.synapses();
    match cells.ports {
        PortsScene::Exact => Ports::exact(&tables.kinetics, synapses),
        PortsScene::Fitted { n_exc, n_inh_soma, n_inh_dendrite } => {
            let [n_exc, n_inh_soma, n_inh_dendrite] =
                [n_exc, n_inh_soma, n_inh_dendrite].map(|count| count as usize);
            let counts = PortCounts { n_exc, n_inh_soma, n_inh_dendrite };
            Ports::fitted(&tables.kinetics, counts, synapses).0
        }
    }
}

/// The dynamics of a plan whose network is built.
pub fn dynamics(plan: &Plan, tables: &Tables) -> Dynamics {
    let (scene, dt_ms) = (&plan.scene, plan.scene.time.dt_ms);
    Dynamics {
        mode: scene.cells.mode.membrane(),
        dt_ms,
        ports: ports(&scene.cells, tables),
        max_delay_steps: tables.max_delay_steps(dt_ms),
        surrogate: surrogate(plan),
        damping: damping(plan),
    }
}

/// Time steps on the tape, which lie between two kept states: those of the scene, or else the fewest that there may be, the longest
/// delay. A segment rebuilds its arrivals from the spikes of the one before alone.
pub fn steps_between_checkpoints(plan: &Plan, dynamics: &Dynamics) -> Result<usize> {
    let needed = dynamics.max_delay_steps.min(plan.n_steps);
    match plan.scene.checkpoint.steps_between {
        StepsBetween::Auto => Ok(needed as usize),
        StepsBetween::Steps(steps) if steps >= needed => Ok(steps as usize),
        StepsBetween::Steps(steps) => {
            let limit = format!("must be at least the longest delay, {needed} time steps");
            Err(Error::field(&plan.scene_file, "checkpoint.steps_between", steps, limit))
        }
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Built {
    /// Neurons, units and edges.
    pub network: Network,
    /// Everything else that decides a time step.
    pub dynamics: Dynamics,
    /// Where the neurons start and what trials show, in a network that was read with its inputs.
    pub given: Option<Given>,
}

/// What comes with a circuit that was read.
#[derive(Clone, Debug)]
pub struct Given {
    /// What trials can show.
    pub inputs: Vec<TrialInput>,
    /// Potential above E_L at which each neuron starts, mV.
    pub start_u_mv: Vec<f32>,
}

/// Builds or reads everything that a plan simulates; a built network comes from the user's cache where it was built before. `say` gets
/// sentences for the user.
pub fn build(plan: &Plan, tables: &Tables, say: &mut dyn FnMut(&str)) -> Result<Built> {
    if let NetworkScene::Sonata(sonata) = &plan.scene.network {
        let dt_ms = plan.scene.time.dt_ms;
        let (circuit, inputs) = circuit_of_scene(sonata, &plan.scene_file, tables, dt_ms, plan.n_steps)?;
        circuit.notices.iter().for_each(|notice| say(notice));
        let dynamics = Dynamics {
            mode: CellMode::Point,
            dt_ms,
            ports: circuit.ports,
            max_delay_steps: circuit.max_delay_steps,
            surrogate: surrogate(plan),
            damping: damping(plan),
        };
        steps_between_checkpoints(plan, &dynamics)?;
        let given = Given { inputs, start_u_mv: circuit.start_u_mv };
        let mut network = circuit.network;
        apply_calibration(&mut network, plan, tables, say)?;
        return Ok(Built { network, dynamics, given: Some(given) });
    }
    let dynamics = dynamics(plan, tables);
    if dynamics.max_delay_steps > MAX_DELAY_STEPS {
        let limit = format!(
            "must be longer: the longest delay is {} time steps, at most {MAX_DELAY_STEPS} fit an edge",
            dynamics.max_delay_steps
        );
        return Err(Error::field(&plan.scene_file, "time.dt_ms", dynamics.dt_ms, limit));
    }
    steps_between_checkpoints(plan, &dynamics)?;
    // A table that does not fit is refused before the network is built, which takes long.
    Calibration::of_plan(plan, tables, &tables.cell_models())?;
    let network = cached_network(plan, tables, &dynamics, say)?;
    Ok(Built { network, dynamics, given: None })
}

fn damping(plan: &Plan) -> Damping {
    let scene = &plan.scene.adjoint;
    Damping { recurrent: scene.recurrent_damping, membrane: scene.membrane_damping }
}

fn surrogate(plan: &Plan) -> Surrogate {
    let scene = &plan.scene.surrogate;
    Surrogate { half_width: scene.half_width, height: scene.height }
}

/// Builds the network of a plan. Weights are set so that PSPs of cells at rest are those of the tables in every mode.
pub fn network(plan: &Plan, tables: &Tables, dynamics: &Dynamics) -> Result<Network> {
    network_from(plan, tables, dynamics, None, &mut |_| ())
}

/// [`network()`], read from the user's cache where it was built before.
fn cached_network(
    plan: &Plan,
    tables: &Tables,
    dynamics: &Dynamics,
    say: &mut dyn FnMut(&str),
) -> Result<Network> {
    network_from(plan, tables, dynamics, network::cache_folder().as_deref(), say)
}

fn network_from(
    plan: &Plan,
    tables: &Tables,
    dynamics: &Dynamics,
    cache: Option<&Path>,
    say: &mut dyn FnMut(&str),
) -> Result<Network> {
    let NetworkScene::V1(v1) = &plan.scene.network else { return Ok(network::cells_only(tables)) };
    let spec = NetworkSpec {
        radius_um: v1.radius_um,
        core_radius_um: v1.core_radius_um,
        seed: plan.scene.seed,
        n_background: v1.background.n_units as usize,
        background_edges_per_neuron: v1.background.edges_per_neuron as usize,
        recurrent_weight_factor: v1.recurrent_weight_factor,
        lgn_weight_factor: v1.lgn.weight_factor,
        background_weight_factor: v1.background.weight_factor,
        recurrent_weights: v1.recurrent_weights,
        dt_ms: dynamics.dt_ms,
    };
    let models = tables.cell_models();
    // The published LGN and background weights are for the point model with the measured kinetics.
    let point_ports = Ports::exact(&tables.kinetics, SynapseKind::Current);
    let unit_psps = UnitPsps {
        of_mode_mv: unit_psps_mv(&models, dynamics.mode, &dynamics.ports),
        of_point_mv: unit_psps_mv(&models, CellMode::Point, &point_ports),
    };
    let mut network = match &v1.em {
        None => network::build_or_load(&spec, tables, &unit_psps, cache, say)?,
        Some(em) => {
            let folder = plan.scene_file.parent().unwrap_or(Path::new(""));
            let em = network::em::read_em(em, folder, v1.radius_um, tables, plan.scene.seed)?;
            say(&em.report.line());
            if let Some(odd) = &em.report.odd_axis {
                say(&warning(format_args!("EM tables: {odd}")));
            }
            network::build_em(&spec, tables, &unit_psps, &em)?
        }
    };
    if let Some(lesion) = &v1.lesion {
        network = without_lesioned(network, lesion, plan, say)?;
    }
    match_background(&mut network, v1, tables, dynamics, &point_ports);
    apply_calibration(&mut network, plan, tables, say)?;
    Ok(network)
}

/// Takes the cells of a lesion out. This comes behind the cache too.
fn without_lesioned(
    network: Network,
    lesion: &LesionScene,
    plan: &Plan,
    say: &mut dyn FnMut(&str),
) -> Result<Network> {
    let removed = network::lesioned(&network, lesion, plan.scene.seed)
        .map_err(|fault| Error::field(&plan.scene_file, "network.lesion", fault.of, fault.limit))?;
    let n = removed.iter().filter(|gone| **gone).count();
    say(&format!("lesion: {n} of {} cells are taken out, with all their edges", removed.len()));
    Ok(network::without(network, &removed))
}

/// Multiplies LGN and background weights by the factors of the scene's calibration, if it names one. This comes after the cache of built
/// networks, so one entry serves all calibrations.
fn apply_calibration(
    network: &mut Network,
    plan: &Plan,
    tables: &Tables,
    say: &mut dyn FnMut(&str),
) -> Result<()> {
    let Some((calibration, said)) = Calibration::of_plan(plan, tables, &network.cell_models)? else {
        return Ok(());
    };
    said.iter().for_each(|line| say(line));
    let mut weights = std::mem::take(&mut network.rows.weights);
    scale_inputs(network, &calibration.factors(), &mut weights);
    network.rows.weights = weights;
    Ok(())
}

/// Sets the background weights so that the background depolarises each cell on average as the published weights do the
/// point model, times the scene's factor. Where no weight can, the weight of equal PSP stays.
fn match_background(
    network: &mut Network,
    v1: &V1Scene,
    tables: &Tables,
    dynamics: &Dynamics,
    point_ports: &Ports,
) {
    let background = &v1.background;
    let rate_per_ms = f64::from(background.edges_per_neuron) * background.rate_hz * 1e-3;
    let class_ix = CLASS_OF_SOURCE_TYPE[SOURCE_TYPE_BACKGROUND];
    let weights: Vec<Option<f64>> = (network.cell_models.iter().zip(&tables.background_weights))
        .map(|(cell, published)| {
            let (mode, ports, weight_pa) = (dynamics.mode, &dynamics.ports, published.weight_pa);
            mode.mean_matched_weight(cell, ports, point_ports, class_ix, weight_pa, rate_per_ms)
        })
        .collect();
    let first = network.rows.offsets[network.neurons.len() + network.n_lgn] as usize;
    let rows = &mut network.rows;
    for (target, weight) in rows.targets[first..].iter().zip(&mut rows.weights[first..]) {
        let model_ix = network.neurons.model_ix[target_neuron(*target) as usize];
        if let Some(matched) = weights[usize::from(model_ix)] {
            *weight = (matched * background.weight_factor) as f32;
        }
    }
}

/// Unit PSPs of every class on every cell model, mV.
fn unit_psps_mv(models: &[CellModel], mode: CellMode, ports: &Ports) -> Vec<[f64; N_CLASSES]> {
    unit_psp_table(models, mode, ports).as_chunks().0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{N_CELL_TYPES, N_SOURCE_TYPES};

    fn plan(settings: &[&str]) -> Plan {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenes/v1_4k.ron");
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Plan::read(&file, &settings).unwrap()
    }

    #[test]
    fn delays_are_whole_steps_and_at_least_one() {
        for dt_ms in [0.1, 1.0] {
            let plan = plan(&[&format!("time.dt_ms={dt_ms}")]);
            let tables = Tables::read(&plan.tables_dir).unwrap();
            let dynamics = dynamics(&plan, &tables);
            let mut longest = 0;
            for source in 0..N_SOURCE_TYPES {
                for target in 0..N_CELL_TYPES {
                    let (steps, ms) =
                        (tables.delay_steps(source, target, dt_ms), tables.delay_ms(source, target));
                    assert!(steps >= 1 && (f64::from(steps) * dt_ms - ms).abs() <= 0.5 * dt_ms + 1e-9);
                    longest = longest.max(steps);
                }
            }
            assert_eq!(dynamics.max_delay_steps, longest);
        }
    }

    #[test]
    fn kept_states_are_no_closer_than_the_longest_delay() {
        let steps = |settings: &[&str]| {
            let plan = plan(settings);
            let tables = Tables::read(&plan.tables_dir).unwrap();
            steps_between_checkpoints(&plan, &dynamics(&plan, &tables))
        };
        assert_eq!(steps(&[]).unwrap(), 3);
        let fine = ["time.dt_ms=0.1", "time.duration_ms=10", "time.analysis_start_ms=0"];
        assert_eq!(steps(&fine).unwrap(), 29);
        assert_eq!(steps(&["checkpoint.steps_between=Steps(3)"]).unwrap(), 3);
        let error = steps(&["checkpoint.steps_between=Steps(2)"]).unwrap_err();
        assert!(error.to_string().contains("checkpoint.steps_between = 2"), "{error}");
    }

    #[test]
    fn both_modes_start_from_equal_psps() {
        let network_of = |mode: &str| {
            let small = ["network.radius_um=40", "network.core_radius_um=20", "network.calibration=None"];
            let plan = plan(&[&small[..], &[mode, "cells.ports=Exact"]].concat());
            let tables = Tables::read(&plan.tables_dir).unwrap();
            let dynamics = dynamics(&plan, &tables);
            let models = tables.cell_models();
            let psps = unit_psp_table(&models, dynamics.mode, &dynamics.ports);
            (network(&plan, &tables, &dynamics).unwrap(), psps)
        };
        let (point, point_psps) = network_of("cells.mode=Point");
        let (two, two_psps) = network_of("seed=1");
        assert_eq!(point.rows.targets, two.rows.targets);
        assert!(point.rows.n_edges() > 1000);
        // The background is matched in its mean, not in its PSPs (CellMode::mean_matched_weight).
        for source in 0..point.neurons.len() + point.n_lgn {
            let class_ix = network::CLASS_OF_SOURCE_TYPE[point.source_type(source)];
            for edge in point.rows.offsets[source] as usize..point.rows.offsets[source + 1] as usize {
                let target = network::target_neuron(point.rows.targets[edge]) as usize;
                let at = usize::from(point.neurons.model_ix[target]) * N_CLASSES + class_ix;
                let [a, b] = [(&point, &point_psps), (&two, &two_psps)]
                    .map(|(network, psps)| f64::from(network.rows.weights[edge]) * psps[at]);
                assert!((a - b).abs() <= 1e-5 * a, "edge {edge}: {a} mV and {b} mV");
            }
        }
    }
}

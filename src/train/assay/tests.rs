use super::*;
use crate::loss::electrophysiology::measured_pairs;
use crate::loss::groups::Groups;
use crate::loss::targets::FunctionTargets;
use crate::loss::{Context, LossesScene, Responses, Seen, Terms};
use crate::model::adam::AdamRule;
use crate::model::recording::{Synapse, record_pair};
use crate::sim::AdjointReport;
use crate::sim::optimiser::{Optimiser, OptimiserSettings, WeightRule};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The scene's own mode.
const TWO_COMPARTMENTS: &str =
    "cells.mode=TwoCompartment(dendrite_fraction: 0.5, coupling_ratio: 2.0, e_exc_mv: 0, e_inh_mv: -75)";

/// A small network on the device with its rig.
struct Bench {
    network: Network,
    dynamics: Dynamics,
    simulation: Simulation,
    assay: Assay,
    terms: Terms,
    theta: Vec<[f64; N_CELL_PARAMETERS]>,
}

impl Bench {
    /// V1 within 60 um with these settings beside; `change` is done to the weights before.
    fn new(settings: &[&str], change: impl FnOnce(&Tables, &mut Network)) -> Self {
        let small = ["network.radius_um=60", "network.core_radius_um=60", "network.calibration=None"];
        let settings: Vec<String> = small.iter().chain(settings).map(ToString::to_string).collect();
        let file = std::path::Path::new(ROOT).join("tests/scenes/v1_4k.ron");
        let plan = Plan::read(&file, &settings).unwrap();
        let tables = Tables::read(&plan.tables_dir).unwrap();
        let dynamics = setup::dynamics(&plan, &tables);
        let mut network = setup::network(&plan, &tables, &dynamics).unwrap();
        change(&tables, &mut network);
        let of_network = Settings {
            learn_weights: LearnWeights { recurrent: true, ..LearnWeights::default() },
            learn_cells: true,
            ..Settings::new(20, 1)
        };
        let gpu = Arc::new(Gpu::open(None).unwrap());
        // Only its recurrent edges take part: without the others it is small.
        let n = network.neurons.len();
        network.rows.offsets.truncate(n + 1);
        let n_edges = network.rows.offsets[n] as usize;
        network.rows.targets.truncate(n_edges);
        network.rows.weights.truncate(n_edges);
        (network.n_lgn, network.n_background) = (0, 0);
        let simulation = Simulation::new(&gpu, &network, &dynamics, SourceSpikes::None, of_network).unwrap();
        let scene = plan.scene.losses.electrophysiology.unwrap_or_default();
        let pairs = measured_pairs(&scene, &tables, &network);
        let context = Context {
            scene_file: &plan.scene_file,
            network: &network,
            core: &[],
            outside: &[],
            targets: &FunctionTargets::default(),
            tables: &tables,
            groups: &Groups::default(),
            pairs: &pairs,
            window: 0..20,
            dt_ms: dynamics.dt_ms,
        };
        let losses = LossesScene { electrophysiology: Some(scene), ..LossesScene::default() };
        let terms = Terms::prepare(&losses, &context).unwrap();
        let assay = Assay::new(&gpu, &plan, pairs, &tables, &network, &dynamics, &simulation);
        let theta = vec![[0.0; N_CELL_PARAMETERS]; network.cell_models.len()];
        Self { assay: assay.unwrap().unwrap(), terms, network, dynamics, simulation, theta }
    }

    /// Value of the term, and the gradients of weights and cell parameters.
    fn step(&mut self, training_step: u32) -> (f64, Vec<f32>, Vec<[f64; N_CELL_PARAMETERS]>) {
        self.simulation.clear_weight_gradient();
        self.assay.prepare_step(&self.theta, training_step).unwrap();
        let peaks_mv = self.assay.record_step(&self.simulation).unwrap();
        let of_network = Responses { counts: &[], trials: &[], window_ms: 20.0 };
        let loss = self.terms.evaluate(&Seen { peaks_mv: &peaks_mv, ..Seen::of_responses(of_network) });
        let cell_gradient = self.assay.adjoint(&self.simulation, &loss.seeds.peaks).unwrap();
        (loss.values[0].1, self.simulation.weight_gradient().unwrap(), cell_gradient)
    }
}

#[test]
fn samples_are_distinct_edges_of_their_pairs_and_follow_from_seed_and_step() {
    let bench = Bench::new(&[], |_, _| ());
    let assay = &bench.assay;
    let edges = |seed, draw| assay.choose(seed, draw).iter().map(|r| r.edge_ix).collect::<Vec<_>>();
    assert_eq!(edges(1, 3), edges(1, 3));
    assert_ne!(edges(1, 3), edges(1, 4));
    assert_ne!(edges(1, 3), edges(2, 3));
    let mut seen = BTreeSet::new();
    for draw in 0..20 {
        let chosen = edges(1, draw);
        assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len(), "an edge twice");
        for pair in &assay.pairs {
            assert!(chosen[pair.places.clone()].iter().all(|e| pair.edges.contains(&(*e as u32))));
        }
        seen.extend(chosen);
    }
    // Twenty draws of 32 reach most edges of a pair that has up to 200 of them.
    let pair = assay.pairs.iter().find(|pair| (80..200).contains(&pair.edges.len())).unwrap();
    let reached = pair.edges.iter().filter(|e| seen.contains(&(**e as usize))).count();
    assert!(2 * reached > pair.edges.len(), "{reached} of {}", pair.edges.len());
    let n_held_out = assay.pairs.iter().filter(|pair| pair.held_out).count();
    assert!(5 * n_held_out >= assay.pairs.len() / 2 && n_held_out * 3 < assay.pairs.len(), "{n_held_out}");
}

/// Every recorded peak is that of the edge's own weight, class and kinetics on the edge's own target, in f64.
#[test]
fn peaks_are_those_of_the_cell_model_in_f64() {
    for mode in ["cells.mode=Point", TWO_COMPARTMENTS] {
        let mut bench = Bench::new(&[mode], |_, _| ());
        let recorded = bench.assay.choose(1, 0);
        let prepared = bench.assay.prepare(&bench.theta, recorded.clone()).unwrap();
        let peaks = bench.assay.record(&bench.simulation, prepared).unwrap();
        let mut worst: f64 = 0.0;
        for (i, r) in recorded.iter().enumerate() {
            let cell = &bench.network.cell_models[usize::from(bench.network.neurons.model_ix[r.target])];
            let class_ix = CLASS_OF_SOURCE_TYPE[r.source_type];
            let weight = f64::from(bench.network.rows.weights[r.edge_ix]);
            let synapse = Synapse { class_ix, weight, hold_mv: holding_potential_mv(class_ix) };
            let Dynamics { mode, ports, dt_ms, .. } = &bench.dynamics;
            let delay = target_delay_steps(bench.assay.targets[r.edge_ix]) as usize;
            // What has not peaked within the recording is cut off there as well.
            let n_steps = bench.assay.rig.settings().n_steps - 1 - delay;
            let pair = record_pair(cell, *mode, ports, synapse, *dt_ms, n_steps);
            let peak_mv = pair.soma_mv.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            worst = worst.max((peaks.peaks_mv[i] - peak_mv).abs() / (peak_mv.abs() + 1e-2));
            let at = pair.soma_mv.iter().position(|u| *u == peak_mv).unwrap();
            let step = at + delay;
            let off = (f64::from(peaks.steps[i]) - step as f64).abs();
            assert!(off <= 1.0 || peak_mv.abs() < 0.05, "{i}: step {} against {step}", peaks.steps[i]);
        }
        println!("{mode}: {} pairs, worst relative error of a peak {worst:.1e}", recorded.len());
        assert!(worst < 5e-3, "{mode}: {worst:.1e}");
    }
}

/// The derivative along all weights and along each cell parameter, against central differences of the term's value.
#[test]
fn the_gradient_is_the_slope_of_the_term() {
    for mode in ["cells.mode=Point", TWO_COMPARTMENTS] {
        let mut bench = Bench::new(&[mode], |_, _| ());
        let weights = bench.network.rows.weights.clone();
        let (_, by_weight, by_cell) = bench.step(1);
        let held_out: BTreeSet<u32> =
            bench.assay.pairs.iter().filter(|p| p.held_out).flat_map(|p| p.edges.clone()).collect();
        assert!(held_out.iter().all(|e| by_weight[*e as usize] == 0.0), "a held-out edge has a gradient");
        // A direction that goes another way for each edge, in ln w.
        let direction = |e: usize| f64::from((e * 7919 % 13) as u32) / 6.0 - 0.7;
        let h = 2e-3;
        let mut at = |sign: f64| {
            let moved = weights.iter().enumerate();
            let moved: Vec<f32> =
                moved.map(|(e, w)| (f64::from(*w) * (sign * h * direction(e)).exp()) as f32).collect();
            bench.simulation.set_weights(&moved).unwrap();
            bench.step(1).0
        };
        let slope = (at(1.0) - at(-1.0)) / (2.0 * h);
        let own: f64 =
            (0..weights.len()).map(|e| f64::from(by_weight[e]) * f64::from(weights[e]) * direction(e)).sum();
        println!("{mode}: weights {own:.5} against {slope:.5}");
        assert!((own - slope).abs() < 5e-3 * slope.abs(), "{mode}: weights {own} against {slope}");
        bench.simulation.set_weights(&weights).unwrap();
        let of_mode = if mode == "cells.mode=Point" { vec![0] } else { vec![0, 4] };
        for k in of_mode {
            let mut at = |sign: f64| {
                bench.theta.iter_mut().for_each(|theta| theta[k] = sign * h);
                bench.step(1).0
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * h);
            bench.theta.iter_mut().for_each(|theta| theta[k] = 0.0);
            let own: f64 = by_cell.iter().map(|g| g[k]).sum();
            println!("{mode}: cell parameter {k} {own:.5} against {slope:.5}");
            assert!((own - slope).abs() < 2e-2 * slope.abs(), "{mode}: {k}: {own} against {slope}");
        }
    }
}

/// The weights of one measured pair are tripled; this term alone finds it and brings the recordings back.
#[test]
fn a_perturbed_pair_is_found_and_undone() {
    let mut which = None;
    let mut bench = Bench::new(&[], |tables, network| {
        let held_out = tables.held_out_psps();
        let is_trained = |ix: usize| !held_out[ix] && tables.psp_measured[ix].p90.n_pairs > 40;
        let ix = (0..held_out.len()).find(|ix| {
            is_trained(*ix)
                && (tables.psp_measured[*ix].source == "pvalb"
                    && tables.psp_measured[*ix].target != "all_int")
        });
        let psp = &tables.psp_measured[ix.unwrap()];
        which = Some((psp.source.clone(), psp.target.clone()));
        for source in 0..network.neurons.len() {
            let of_source = &tables.psp_pair_ix[usize::from(network.neurons.cell_type_ix[source])];
            let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
            for edge in row {
                if Some(of_source[network.neurons.target_cell_type(network.rows.targets[edge])]) == ix {
                    network.rows.weights[edge] *= 3.0;
                }
            }
        }
    });
    let (source, target) = which.unwrap();
    let errors = |bench: &mut Bench| {
        let all = bench.assay.evaluate(&bench.simulation, &bench.theta, 9, 8).unwrap();
        let is_it = |e: &&PairErrors| (&e.source, &e.target) == (&source, &target);
        let pair = all.iter().find(is_it).unwrap();
        assert_eq!(pair.n_sampled, 8 * 32);
        pair.model.log_mean - pair.recorded_log_mean
    };
    let before = errors(&mut bench);
    // The optimiser may move the factor of every pair of cell types; nobody tells it which was changed.
    let settings = OptimiserSettings {
        weight_rule: WeightRule::ExponentiatedAdam,
        adam: AdamRule { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-12 },
        learning_rate: 0.0,
        cell_learning_rate: 0.0,
        scale_learning_rate: 0.05,
        learn_weights: LearnWeights::default(),
        clip_norm: None,
        learn_cells: [false; N_CELL_PARAMETERS],
        cell_bounds: vec![[0.0; N_CELL_PARAMETERS]; bench.theta.len()],
        learn_scales: true,
        log_scale_bound: 10_f64.ln(),
        structure: false,
        like_pairs: Vec::new(),
    };
    let mut optimiser = Optimiser::new(&bench.simulation, settings).unwrap();
    let mut values = Vec::new();
    for training_step in 1..=60 {
        let (value, _, cell_gradient) = bench.step(training_step);
        values.push(value);
        let report = AdjointReport { voltage_loss: 0.0, cell_gradient, wall_ms: 0.0 };
        let rate_factor = if training_step > 40 { 0.3 } else { 1.0 };
        optimiser.step(&mut bench.simulation, &report, rate_factor).unwrap();
    }
    println!("value {:.4} at first, {:.4} at last", values[0], values[59]);
    let after = errors(&mut bench);
    println!("{source} -> {target}: error of the log-mean {before:.3} before, {after:.3} after");
    assert!(before > 0.8, "the perturbation is not seen: {before}");
    assert!(after.abs() < 0.15, "not undone: {after}");
}

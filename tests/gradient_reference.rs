//! The proof of the adjoint, levels 1 and 2: the hand-written f64 adjoint against dual numbers (the surrogate rule exactly),
//! and against finite differences of the smooth variant; then stored against recomputed tapes. That each test can
//! fail is shown by spoiling the adjoint on purpose.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::small_network::{Case, Draws, kinds};
use simrun::model::cell::{CellConstants, CellState};
use simrun::model::membrane::{AdjointCell, CellMode, LEARNABLE, MembraneConstants, point, two_compartment};
use simrun::model::real::Dual;
use simrun::network::{CLASS_OF_SOURCE_TYPE, N_CELL_TYPES, pack_target, target_delay_steps, target_neuron};
use simrun::reference::{
    AdjointPass, Constants, Mode, Parameters, PotentialSeeds, Problem, State, TapeStep, adjoint,
    adjoint_checkpointed, forward, forward_observed, record, step_forward,
};

/// The direction restricted to one learnable, for each learnable, and whole.
fn learnables(whole: &Parameters<f64>) -> Vec<(&'static str, Parameters<f64>)> {
    let zero = whole.moved(whole, -1.0);
    let mut list = vec![
        ("all", whole.clone()),
        ("weights", Parameters { weights: whole.weights.clone(), ..zero.clone() }),
        ("log_scale", Parameters { log_scale: whole.log_scale.clone(), ..zero.clone() }),
    ];
    for (k, name) in LEARNABLE.into_iter().map(|parameter| parameter.name).enumerate() {
        let only_k = |theta: &[f64; 5]| std::array::from_fn(|i| if i == k { theta[i] } else { 0.0 });
        list.push((name, Parameters { theta: whole.theta.iter().map(only_k).collect(), ..zero.clone() }));
    }
    list
}

/// Learnables that a cell mode does not use: their derivative is zero.
fn is_unused(name: &str, mode: CellMode) -> bool {
    name == "log_coupling_conductance" && mode == CellMode::Point
}

fn relative(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.abs().max(b.abs())
}

fn dual_derivative(case: &Case, direction: &Parameters<f64>, mode: Mode) -> f64 {
    let Dual { d, .. } = forward(&case.problem(), &case.parameters.along(direction), mode).loss;
    d
}

/// The cases are worth testing: spikes, held steps, potentials within the surrogate's reach, and nearly every parameter
/// matters.
#[test]
fn cases_are_busy() {
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let pass = AdjointPass::new(&problem, &case.parameters);
        let tape = record(
            &problem,
            &pass.constants,
            Mode::Hard,
            &mut State::at_start(&problem, &pass.constants),
            0..problem.n_steps,
        );
        let share = |f: &dyn Fn(&TapeStep, usize) -> bool| {
            let n = tape.len() * problem.n_cells();
            tape.iter().flat_map(|t| (0..problem.n_cells()).map(move |i| f(t, i))).filter(|&x| x).count()
                as f64
                / n as f64
        };
        let (spiked, held) = (share(&|t, i| t.out.spiked[i]), share(&|t, i| t.out.held[i]));
        let reached = share(&|t, i| t.out.psi[i] != 0.0 && !t.out.spiked[i]);
        let gradient = adjoint(&problem, &case.parameters, Mode::Hard);
        let nonzero = gradient.weights.iter().filter(|g| **g != 0.0).count() as f64;
        let n_edges = gradient.weights.len() as f64;
        let largest = gradient.weights.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        println!(
            "{kind:?}: spikes {spiked:.3}, held {held:.3}, psi {reached:.3}, edges {n_edges}, \
             with gradient {:.2}, largest {largest:.2e}",
            nonzero / n_edges
        );
        assert!(spiked > 0.01 && held > 0.03 && reached > 0.1, "{kind:?}");
        assert!(nonzero > 0.8 * n_edges, "{kind:?}");
    }
}

/// Level 1: the adjoint is the transpose of the exact directional derivative, in the hard mode and in the smooth one.
#[test]
fn adjoint_agrees_with_dual_numbers() {
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let schedule = forward(&problem, &case.parameters, Mode::Hard).spikes;
        for mode in [Mode::Hard, Mode::Smooth(&schedule)] {
            let gradient = adjoint(&problem, &case.parameters, mode);
            for (name, direction) in learnables(&case.direction(1)) {
                let exact = dual_derivative(&case, &direction, mode);
                let by_hand = gradient.along(&direction);
                if is_unused(name, kind.mode) {
                    assert_eq!((exact, by_hand), (0.0, 0.0), "{kind:?} {name}");
                    continue;
                }
                let error = relative(exact, by_hand);
                println!("{} {name}: {exact:.6e} relative {error:.1e}", kind.seed);
                assert!(exact != 0.0 && error < 1e-12, "{kind:?} {name}: {exact} {by_hand} {error}");
            }
        }
    }
}

/// A11: as level 1, with cells that start clamped to random potentials and a loss that looks at one potential of each. Leaving
/// out either the holding currents' part or the seeds' is seen.
#[test]
fn seeded_potentials_of_clamped_cells_agree_with_dual_numbers() {
    for kind in kinds() {
        let case = Case::new(kind);
        let n_cells = case.problem().n_cells();
        let mut draws = Draws::new(kind.seed + 200);
        let hold_u_mv = draws.many(n_cells, -10.0, 15.0);
        let steps: Vec<u32> =
            draws.many(n_cells, 0.0, kind.n_steps as f64).iter().map(|x| *x as u32).collect();
        let values = draws.many(n_cells, -1.0, 1.0);
        let seeds = PotentialSeeds { steps: &steps, values: &values };
        let problem = Problem {
            hold_u_mv: Some(&hold_u_mv),
            potential_seeds: Some(seeds),
            population: None,
            ..case.problem()
        };
        let schedule = forward(&problem, &case.parameters, Mode::Hard).spikes;
        for mode in [Mode::Hard, Mode::Smooth(&schedule)] {
            let gradient = adjoint(&problem, &case.parameters, mode);
            for (name, direction) in learnables(&case.direction(6)) {
                let exact = forward(&problem, &case.parameters.along(&direction), mode).loss.d;
                let by_hand = gradient.along(&direction);
                if is_unused(name, kind.mode) {
                    assert_eq!((exact, by_hand), (0.0, 0.0), "{kind:?} {name}");
                    continue;
                }
                let error = relative(exact, by_hand);
                println!("{} held, {name}: {exact:.6e} relative {error:.1e}", kind.seed);
                assert!(exact != 0.0 && error < 1e-12, "{kind:?} {name}: {exact} {by_hand} {error}");
            }
        }
        let direction = case.direction(6);
        let exact = forward(&problem, &case.parameters.along(&direction), Mode::Hard).loss.d;
        for spoil_seeds in [false, true] {
            let mut pass = AdjointPass::new(&problem, &case.parameters);
            let mut state = State::at_start(&problem, &pass.constants);
            let tape = record(&problem, &pass.constants, Mode::Hard, &mut state, 0..problem.n_steps);
            if spoil_seeds {
                pass.problem.potential_seeds = None;
            }
            for (step, tape_step) in tape.iter().enumerate().rev() {
                pass.undo_step(step, tape_step);
            }
            if spoil_seeds {
                pass.undo_start(&case.parameters);
            }
            assert!(relative(exact, pass.into_gradient().along(&direction)) > 1e-9, "{kind:?}");
        }
    }
}

/// Remainders |L(p + h d) - L(p) - h slope| of the smooth variant for h halved again and again from `longest`, as orders
/// log2(r_k/r_k+1).
fn taylor_orders(
    case: &Case,
    schedule: &[u32],
    direction: &Parameters<f64>,
    slope: f64,
    longest: f64,
) -> Vec<f64> {
    const N_HALVINGS: i32 = 8;
    let loss =
        |h: f64| forward(&case.problem(), &case.parameters.moved(direction, h), Mode::Smooth(schedule)).loss;
    let start = loss(0.0);
    let lengths = (0..=N_HALVINGS).map(|k| longest * 0.5_f64.powi(k));
    let remainders: Vec<f64> = lengths.map(|h| (loss(h) - start - h * slope).abs()).collect();
    remainders.windows(2).map(|r| (r[0] / r[1]).log2()).collect()
}

/// Whether the remainder is of second order over four halvings in a row. Longer steps cross kinks of psi and the voltage
/// penalty, shorter ones measure rounding.
fn is_second_order(orders: &[f64]) -> bool {
    orders.windows(4).any(|run| run.iter().all(|order| (order - 2.0).abs() < 0.05))
}

/// Level 2: the adjoint is the derivative of the program that runs, as finite differences see it.
#[test]
fn smooth_variant_passes_the_taylor_test() {
    for kind in kinds().into_iter().filter(|kind| kind.arrival_scale.is_none()) {
        let case = Case::new(kind);
        let problem = case.problem();
        let schedule = forward(&problem, &case.parameters, Mode::Hard).spikes;
        let gradient = adjoint(&problem, &case.parameters, Mode::Smooth(&schedule));
        for (name, direction) in learnables(&case.direction(3)) {
            if is_unused(name, kind.mode) {
                continue;
            }
            let slope = gradient.along(&direction);
            // The loss is nearly linear in the after-spike amplitudes: they can go further.
            let longest = if name.starts_with("after_spike") { 2e-2 } else { 1e-3 };
            let orders = taylor_orders(&case, &schedule, &direction, slope, longest);
            println!("{} {name}: slope {slope:.3e}, orders {orders:.3?}", kind.seed);
            assert!(is_second_order(&orders), "{kind:?} {name}: {orders:?}");
        }
        // A slope that is wrong by a thousandth leaves a remainder of first order.
        let direction = case.direction(3);
        let wrong = 1.001 * gradient.along(&direction);
        let orders = taylor_orders(&case, &schedule, &direction, wrong, 1e-3);
        println!("{} wrong slope: orders {orders:.3?}", kind.seed);
        assert!(!is_second_order(&orders), "{kind:?}: {orders:?}");
    }
}

/// One step from an arbitrary state, with arbitrary adjoints after it, is transposed exactly: a state in mid-run, every
/// number of it and of the ring moved at random.
#[test]
fn one_step_is_transposed_from_any_state() {
    for kind in kinds() {
        let case = Case::new(kind);
        // The scalar product below knows the seeds of the counts alone.
        let problem = Problem { population: None, ..case.problem() };
        let mut draws = Draws::new(kind.seed + 100);
        let mut pass = AdjointPass::new(&problem, &case.parameters);
        let mut state = State::at_start(&problem, &pass.constants);
        let step = kind.n_steps / 2;
        record(&problem, &pass.constants, Mode::Hard, &mut state, 0..step);
        let start = moved_state(&problem, &state, step, &mut draws);

        // Forward, in values and in dual numbers.
        let mut values = State {
            cells: start.cells.iter().map(|c| map_cell(c, |x| x.v)).collect(),
            arrivals: start.arrivals.iter().map(|x| x.v).collect(),
        };
        let tape = record(&problem, &pass.constants, Mode::Hard, &mut values, step..step + 1);
        let direction = case.direction(5);
        let constants = Constants::new(&problem, &case.parameters.along(&direction));
        let mut end = start.clone();
        let out = step_forward(&problem, &constants, Mode::Hard, &mut end, step);

        // Backward from random adjoints; the slot that the step frees has none.
        for cell in &mut pass.state.cells {
            for x in [&mut cell.u_s, &mut cell.u_d].into_iter().chain(&mut cell.asc) {
                *x = draws.between(-1.0, 1.0);
            }
            cell.rise.iter_mut().chain(&mut cell.g).for_each(|x| *x = draws.between(-1.0, 1.0));
        }
        pass.state.arrivals.iter_mut().for_each(|x| *x = draws.between(-1.0, 1.0));
        let freed = problem.ring_ix(step, 0, 0);
        let after = pass.state.clone();
        pass.undo_step(step, &tape[0]);

        let counted = |i: usize| if problem.count_steps.contains(&step) { problem.seeds[i] } else { 0.0 };
        let mut forward_side = (0..problem.n_cells()).map(|i| counted(i) * out.z[i].d).sum::<f64>()
            + problem.voltage.map_or(0.0, |v| v.weight) * out.penalty.d
                / (problem.n_cells() * kind.n_steps) as f64;
        let slot_len = problem.ring_len() / problem.n_slots();
        for (i, (adj, x)) in after.arrivals.iter().zip(&end.arrivals).enumerate() {
            forward_side += if (freed..freed + slot_len).contains(&i) { 0.0 } else { adj * x.d };
        }
        forward_side += after.cells.iter().zip(&end.cells).map(|(a, c)| dot_cell(a, c)).sum::<f64>();
        let mut backward_side =
            pass.state.cells.iter().zip(&start.cells).map(|(a, c)| dot_cell(a, c)).sum::<f64>();
        backward_side += pass.state.arrivals.iter().zip(&start.arrivals).map(|(a, x)| a * x.d).sum::<f64>();
        backward_side += pass.into_gradient().along(&direction);

        let error = relative(forward_side, backward_side);
        println!("{} one step: {forward_side:.6e} relative {error:.1e}", kind.seed);
        assert!(error < 1e-12, "{kind:?}: {forward_side} {backward_side}");
    }
}

/// The same state with every number moved a little and given a random derivative; a held soma is at its reset, which has
/// none.
fn moved_state(problem: &Problem, state: &State<f64>, step: usize, draws: &mut Draws) -> State<Dual> {
    let freed = problem.ring_ix(step + problem.n_slots() - 1, 0, 0);
    let slot_len = problem.ring_len() / problem.n_slots();
    State {
        cells: state
            .cells
            .iter()
            .map(|cell| {
                let mut random = |x: &f64| Dual::new(x * draws.between(0.8, 1.2), draws.between(-1.0, 1.0));
                let mut moved = map_cell(cell, &mut random);
                if cell.refractory > 0 {
                    moved.u_s_mv = Dual::new(cell.u_s_mv, 0.0);
                }
                moved
            })
            .collect(),
        // All that is on its way; the last slot is still empty before the step.
        arrivals: state
            .arrivals
            .iter()
            .enumerate()
            .map(|(i, x)| match (freed..freed + slot_len).contains(&i) {
                true => Dual::new(0.0, 0.0),
                false => Dual::new(x + draws.between(0.0, 0.5), draws.between(-1.0, 1.0)),
            })
            .collect(),
    }
}

fn map_cell<A, B>(cell: &CellState<A>, mut f: impl FnMut(&A) -> B) -> CellState<B> {
    CellState {
        u_s_mv: f(&cell.u_s_mv),
        u_d_mv: f(&cell.u_d_mv),
        asc_pa: std::array::from_fn(|k| f(&cell.asc_pa[k])),
        refractory: cell.refractory,
        rise: cell.rise.iter().map(&mut f).collect(),
        g: cell.g.iter().map(&mut f).collect(),
    }
}

/// Adjoint of a state times the derivative of the state.
fn dot_cell(adj: &AdjointCell, cell: &CellState<Dual>) -> f64 {
    let dot = |a: &[f64], x: &[Dual]| a.iter().zip(x).map(|(a, x)| a * x.d).sum::<f64>();
    adj.u_s * cell.u_s_mv.d
        + adj.u_d * cell.u_d_mv.d
        + dot(&adj.asc, &cell.asc_pa)
        + dot(&adj.rise, &cell.rise)
        + dot(&adj.g, &cell.g)
}

/// Replaying a run's own spikes is that run, bit for bit.
#[test]
fn replaying_own_spikes_is_the_same_run() {
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let hard = forward(&problem, &case.parameters, Mode::Hard);
        let replay = forward(&problem, &case.parameters, Mode::Replay(&hard.spikes));
        assert_eq!(hard, replay, "{kind:?}");
        let gradients =
            [Mode::Hard, Mode::Replay(&hard.spikes)].map(|m| adjoint(&problem, &case.parameters, m));
        assert_eq!(gradients[0], gradients[1], "{kind:?}");
    }
}

/// Recomputing from checkpoints changes no bit of the gradient.
#[test]
fn checkpoints_change_no_bit() {
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let schedule = forward(&problem, &case.parameters, Mode::Hard).spikes;
        for mode in [Mode::Hard, Mode::Smooth(&schedule)] {
            let stored = adjoint(&problem, &case.parameters, mode);
            for segment_steps in [1, 7, 2 * kind.n_steps] {
                let recomputed = adjoint_checkpointed(&problem, &case.parameters, mode, segment_steps);
                let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&stored.weights), bits(&recomputed.weights), "{kind:?} K = {segment_steps}");
                assert_eq!(bits(stored.theta.as_flattened()), bits(recomputed.theta.as_flattened()));
                assert_eq!(bits(&stored.log_scale), bits(&recomputed.log_scale));
            }
        }
    }
}

fn point_of(cell: &mut CellConstants<f64>) -> &mut point::Constants<f64> {
    match &mut cell.membrane {
        MembraneConstants::Point(constants) => constants,
        other => panic!("{other:?} is not of a point cell"),
    }
}

fn two_compartments_of(cell: &mut CellConstants<f64>) -> &mut two_compartment::Constants<f64> {
    match &mut cell.membrane {
        MembraneConstants::TwoCompartment(constants) => constants,
        other => panic!("{other:?} has not two compartments"),
    }
}

/// The dot test sees every term: with any one of them spoiled in the adjoint alone, it fails by far.
#[test]
fn dot_test_sees_each_spoiled_term() {
    type Spoil<'a> = Box<dyn Fn(&mut AdjointPass<'a>, &mut [TapeStep]) + 'a>;
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let max_delay = case.dynamics.max_delay_steps;
        let mut shifted = case.network.clone();
        for word in &mut shifted.rows.targets {
            *word = pack_target(target_neuron(*word), target_delay_steps(*word) % max_delay + 1);
        }
        let mut spoils: Vec<(&str, Spoil<'_>)> = vec![
            ("nothing", Box::new(|_, _| ())),
            (
                "delay",
                Box::new(|pass, _| pass.problem = Problem { network: &shifted, ..pass.problem.clone() }),
            ),
            (
                "asc_keep",
                Box::new(|pass, _| pass.constants.cells.iter_mut().for_each(|c| c.asc_keep = [1.0; 2])),
            ),
            (
                "asc_decay",
                Box::new(|pass, _| pass.constants.cells.iter_mut().for_each(|c| c.asc_decay = [1.0; 2])),
            ),
            (
                "asc_mean",
                Box::new(|pass, _| pass.constants.cells.iter_mut().for_each(|c| c.asc_mean = [1.0; 2])),
            ),
            ("port decay", Box::new(|pass, _| pass.constants.cells[7].port_decay[1] = 1.0)),
            ("gain", Box::new(|pass, _| pass.constants.gain_per_ms.iter_mut().for_each(|g| *g *= 1.001))),
            ("psi", Box::new(|_, tape| tape.iter_mut().for_each(|t| t.out.psi[15..21].fill(0.0)))),
            ("reset", Box::new(|_, tape| tape.iter_mut().for_each(|t| t.out.spiked.fill(false)))),
            ("held", Box::new(|_, tape| tape.iter_mut().for_each(|t| t.out.held.fill(false)))),
            ("transmitted", Box::new(|_, tape| tape.iter_mut().for_each(|t| t.out.z[15..21].fill(0.0)))),
            ("voltage", Box::new(|pass, _| pass.problem.voltage = None)),
            ("count window", Box::new(|pass, _| pass.problem.count_steps.end += 1)),
            ("current", Box::new(|pass, _| pass.problem.current = None)),
            ("pair scale", Box::new(|pass, _| pass.constants.scales.fill(1.0))),
        ];
        if kind.mode == CellMode::Point {
            let of = |pass: &mut AdjointPass<'_>, spoil: fn(&mut point::Constants<f64>)| {
                spoil(point_of(&mut pass.constants.cells[3]));
            };
            spoils.push(("p_uu", Box::new(move |pass, _| of(pass, |c| c.propagators.p_uu *= 1.001))));
            spoils.push(("p_ur", Box::new(move |pass, _| of(pass, |c| c.propagators.ports[0][0] = 0.0))));
            spoils.push(("leak slope", Box::new(move |pass, _| of(pass, |c| c.by_log_leak.p_ui = 0.0))));
        } else {
            let of = |pass: &mut AdjointPass<'_>, spoil: fn(&mut two_compartment::Constants<f64>)| {
                spoil(two_compartments_of(&mut pass.constants.cells[3]));
            };
            spoils.push(("coupling", Box::new(move |pass, _| of(pass, |c| c.coupling_ns *= 1.001))));
            spoils.push(("leak", Box::new(move |pass, _| of(pass, |c| c.leak_ns[1] *= 1.001))));
            spoils.push(("soma", Box::new(move |pass, _| of(pass, |c| c.ports[0].on_soma ^= true))));
        }
        let direction = case.direction(4);
        let exact = dual_derivative(&case, &direction, Mode::Hard);
        for (name, spoil) in &spoils {
            let mut pass = AdjointPass::new(&problem, &case.parameters);
            let mut state = State::at_start(&problem, &pass.constants);
            let mut tape = record(&problem, &pass.constants, Mode::Hard, &mut state, 0..problem.n_steps);
            spoil(&mut pass, &mut tape);
            for (step, tape_step) in tape.iter().enumerate().rev() {
                pass.undo_step(step, tape_step);
            }
            let error = relative(exact, pass.into_gradient().along(&direction));
            println!("{} without {name}: {error:.1e}", kind.seed);
            assert_eq!(error < 1e-12, *name == "nothing", "{kind:?} {name}: {error}");
        }
    }
}

/// E8, E9: one spike of one unit in one trial arrives once, after the delay of its pair type, at the target, in that trial,
/// with the weight times the pair scale (rounded if asked for) times the gain of its class.
#[test]
fn a_spike_arrives_after_its_delay() {
    const STEP: usize = 20;
    const TRIAL: usize = 1;
    for kind in kinds() {
        let case = Case::new(kind);
        let network = &case.network;
        let n_units = network.n_lgn + network.n_background;
        for unit in [0, network.n_lgn - 1, network.n_lgn] {
            let source = network.neurons.len() + unit;
            let edge = network.rows.offsets[source] as usize + 2;
            let word = network.rows.targets[edge];
            let (target, target_type) =
                (target_neuron(word) as usize, network.neurons.target_cell_type(word));
            let source_type = network.source_type(source);
            let delay = target_delay_steps(word) as usize;

            let mut parameters = case.parameters.clone();
            parameters.weights.fill(0.0);
            parameters.weights[edge] = case.parameters.weights[edge];
            let mut weight = case.parameters.weights[edge]
                * parameters.log_scale[source_type * N_CELL_TYPES + target_type].exp();
            if let Some(scale) = kind.arrival_scale {
                weight = (weight * scale).round() / scale;
            }
            let mut source_spikes = vec![0; kind.n_steps * n_units];
            source_spikes[STEP * n_units + unit] = 1 << TRIAL;
            let problem = Problem { source_spikes: &source_spikes, current: None, ..case.problem() };
            let constants = Constants::new(&problem, &parameters);
            let type_ix = CLASS_OF_SOURCE_TYPE[target_type];
            forward_observed(&problem, &constants, Mode::Hard, |step, state, _| {
                for (i, cell) in state.cells.iter().enumerate() {
                    let reached = i == target * problem.n_trials + TRIAL && step >= STEP + delay;
                    assert_eq!(
                        reached,
                        cell.rise.iter().any(|x| *x != 0.0),
                        "{kind:?}: cell {i}, step {step}"
                    );
                    if reached && step == STEP + delay {
                        for (p, rise) in cell.rise.iter().enumerate() {
                            let gain = case.dynamics.ports.gain_per_ms(
                                type_ix,
                                CLASS_OF_SOURCE_TYPE[source_type],
                                p,
                            );
                            assert!((rise - gain * weight).abs() <= 1e-15 * rise.abs(), "{kind:?}: port {p}");
                        }
                    }
                }
            });
        }
    }
}

/// E3, E6: a cell spikes if and only if it is free and above threshold, is then held at its reset for t_ref, and only spikes
/// of the window are counted.
#[test]
fn spikes_reset_and_hold() {
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let constants = Constants::new(&problem, &case.parameters);
        let mut last_spike = vec![None; problem.n_cells()];
        let mut counts = vec![0.0; problem.n_cells()];
        let result = forward_observed(&problem, &constants, Mode::Hard, |step, state, out| {
            for i in 0..problem.n_cells() {
                let cell = &constants.cells[case.network.neurons.model_ix[i / problem.n_trials] as usize];
                let since = last_spike[i].map_or(usize::MAX, |last| step - last);
                assert_eq!(
                    out.held[i],
                    since <= cell.refractory_steps as usize,
                    "{kind:?}: cell {i}, step {step}"
                );
                assert_eq!(out.spiked[i], !out.held[i] && out.u_mv[i] > cell.threshold_mv);
                if out.held[i] || out.spiked[i] {
                    assert_eq!(state.cells[i].u_s_mv, cell.reset_mv);
                }
                if out.spiked[i] {
                    last_spike[i] = Some(step);
                    counts[i] += f64::from(u8::from(problem.count_steps.contains(&step)));
                }
            }
        });
        assert_eq!(result.counts, counts, "{kind:?}");
        assert!(counts.iter().sum::<f64>() > 0.0 && last_spike.iter().flatten().count() > 20, "{kind:?}");
    }
}

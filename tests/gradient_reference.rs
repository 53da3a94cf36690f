//! The proof of the adjoint, levels 1 and 2: the hand-written f64 adjoint against dual numbers (the surrogate rule exactly),
//! and against finite differences of the smooth variant; then stored against recomputed tapes. That each test can
//! fail is shown by spoiling the adjoint on purpose.

#[path = "common/small_network.rs"]
mod small_network;

use simrun::model::Dynamics;
use simrun::model::cell::{CELL_PARAMETERS, CellMode};
use simrun::model::real::Dual;
use simrun::reference::{
    AdjointPass, Mode, Parameters, Problem, State, TapeStep, adjoint, adjoint_checkpointed, forward, record,
};
use small_network::{Case, kinds};

/// The direction restricted to one learnable, for each learnable, and whole.
fn learnables(whole: &Parameters<f64>) -> Vec<(&'static str, Parameters<f64>)> {
    let zero = whole.moved(whole, -1.0);
    let mut list = vec![
        ("all", whole.clone()),
        ("weights", Parameters { weights: whole.weights.clone(), ..zero.clone() }),
        ("log_scale", Parameters { log_scale: whole.log_scale.clone(), ..zero.clone() }),
    ];
    for (k, name) in CELL_PARAMETERS.into_iter().enumerate() {
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
        let tape =
            record(&problem, &pass.constants, Mode::Hard, &mut State::at_rest(&problem), 0..problem.n_steps);
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
            for seed in [1, 2] {
                for (name, direction) in learnables(&case.direction(seed)) {
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

/// Recomputing from checkpoints changes no bit of the gradient.
#[test]
fn checkpoints_change_no_bit() {
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let schedule = forward(&problem, &case.parameters, Mode::Hard).spikes;
        for mode in [Mode::Hard, Mode::Smooth(&schedule)] {
            let stored = adjoint(&problem, &case.parameters, mode);
            for segment_steps in [1, 7, 16, kind.n_steps, 2 * kind.n_steps] {
                let recomputed = adjoint_checkpointed(&problem, &case.parameters, mode, segment_steps);
                let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&stored.weights), bits(&recomputed.weights), "{kind:?} K = {segment_steps}");
                assert_eq!(bits(stored.theta.as_flattened()), bits(recomputed.theta.as_flattened()));
                assert_eq!(bits(&stored.log_scale), bits(&recomputed.log_scale));
            }
        }
    }
}

/// The dot test sees every term: with any one of them spoiled in the adjoint alone, it fails by far.
#[test]
fn dot_test_sees_each_spoiled_term() {
    type Spoil<'a> = Box<dyn Fn(&mut AdjointPass<'a>, &mut [TapeStep]) + 'a>;
    for kind in kinds() {
        let case = Case::new(kind);
        let problem = case.problem();
        let max_delay = case.dynamics.max_delay_steps();
        let delay_steps = case.dynamics.delay_steps.iter().map(|d| d % max_delay + 1).collect();
        let shifted = Dynamics { delay_steps, ..case.dynamics.clone() };
        let mut spoils: Vec<(&str, Spoil<'_>)> = vec![
            ("nothing", Box::new(|_, _| ())),
            (
                "delay",
                Box::new(|pass, _| pass.problem = Problem { dynamics: &shifted, ..pass.problem.clone() }),
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
            ("port decay", Box::new(|pass, _| pass.constants.ports[7][1].decay = 1.0)),
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
            spoils.push(("p_uu", Box::new(|pass, _| pass.constants.cells[3].p_uu *= 1.001)));
            spoils.push(("p_ur", Box::new(|pass, _| pass.constants.ports[3][0].p_ur = 0.0)));
            spoils.push(("leak slope", Box::new(|pass, _| pass.leak_slopes[3].p_ui = 0.0)));
        } else {
            spoils.push(("coupling", Box::new(|pass, _| pass.constants.cells[3].coupling_ns *= 1.001)));
            spoils.push(("leak", Box::new(|pass, _| pass.constants.cells[3].leak_ns[1] *= 1.001)));
            spoils.push(("soma", Box::new(|pass, _| pass.constants.ports[3][0].on_soma ^= true)));
        }
        let direction = case.direction(4);
        let exact = dual_derivative(&case, &direction, Mode::Hard);
        for (name, spoil) in &spoils {
            let mut pass = AdjointPass::new(&problem, &case.parameters);
            let mut state = State::at_rest(&problem);
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

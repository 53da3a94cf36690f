//! Unit postsynaptic potentials: what one synapse of weight 1 does to the soma of a cell, without spikes.
//!
//! Conductances saturate, so the response to a weight is not proportional to it. The unit PSP is the derivative of
//! the somatic potential by the weight at weight 0, carried through the cell's own time step by a [`Dual`] number:
//! no probe weight has to be chosen. In point mode the response is linear and this is the response to 1 pA.
//!
//! Inhibition is measured at a holding potential, where its driving force is known; at rest it would vanish in cells
//! whose E_L is near the reversal potential (docs/model.md, "Unit PSP").

use rayon::prelude::*;

use super::cell::{CellState, advance_membrane, advance_ports, cell_constants, resting_state};
use super::kinetics::Ports;
use super::membrane::{CellMode, N_CELL_PARAMETERS};
use super::real::{Dual, Real};
use super::vocabulary::{CellModel, N_CLASSES, class_is_inhibitory};

/// Holding potential of recordings from inhibitory sources, mV (Campagnola, Seeman et al. 2022).
pub const HOLD_INHIBITION_MV: f64 = -55.0;
/// Time step of the integration, ms.
const DT_MS: f64 = 0.1;
/// Length of the integration, ms: the slowest of the cells (tau_m 52 ms) peaks before 30 ms.
const DURATION_MS: f64 = 100.0;

/// A postsynaptic potential per unit weight (nS, in point mode pA).
#[derive(Clone, Debug, PartialEq)]
pub struct Psp {
    /// Largest deflection of the soma, mV per unit weight, signed.
    pub peak_mv: f64,
    /// Time from the arrival to the peak, ms.
    pub time_to_peak_ms: f64,
    /// Time step of the trace, ms.
    pub dt_ms: f64,
    /// Deflection of the soma, mV per unit weight; the arrival is at the first entry.
    pub trace_mv: Vec<f64>,
}

/// The holding potential at which the unit PSP of a class is defined, mV; None is the resting potential.
pub fn holding_potential_mv(class_ix: usize) -> Option<f64> {
    class_is_inhibitory(class_ix).then_some(HOLD_INHIBITION_MV)
}

/// Unit PSP of a class on a cell clamped to `hold_mv` by a steady somatic current (None: at rest).
pub fn unit_psp(
    cell: &CellModel,
    mode: CellMode,
    ports: &Ports,
    class_ix: usize,
    hold_mv: Option<f64>,
) -> Psp {
    let type_ix = ports.target_type_of[cell.cell_type_ix];
    let theta = [Dual::of(0.0); N_CELL_PARAMETERS];
    // Ports that the class does not reach stay at zero: leave them out.
    let all = ports.of_cell(cell.cell_type_ix);
    let reached: Vec<usize> =
        (0..ports.n_ports).filter(|&p| ports.coef(type_ix, class_ix, p) != 0.0).collect();
    let port_set: Vec<_> = reached.iter().map(|&p| all[p]).collect();
    let constants = cell_constants(cell, mode, &port_set, DT_MS, &theta);
    let hold_u_mv = Dual::of(hold_mv.map_or(0.0, |v| v - cell.e_l_mv));
    let (hold_pa, mut state): (Dual, CellState<Dual>) = resting_state(&constants, hold_u_mv);
    for (rise, &p) in state.rise.iter_mut().zip(&reached) {
        *rise = Dual::new(0.0, ports.gain_per_ms(type_ix, class_ix, p));
    }
    let silence = vec![Dual::of(0.0); port_set.len()];
    let n_steps = (DURATION_MS / DT_MS).round() as usize;
    let mut trace_mv = Vec::with_capacity(n_steps + 1);
    trace_mv.push(0.0);
    for _ in 0..n_steps {
        let u = advance_membrane(&constants, &mut state, DT_MS, hold_pa);
        advance_ports(&constants, &mut state, DT_MS, &silence);
        trace_mv.push(u.d);
    }
    let (peak_mv, time_to_peak_ms) = peak(&trace_mv, DT_MS);
    Psp { peak_mv, time_to_peak_ms, dt_ms: DT_MS, trace_mv }
}

/// Size of the unit PSP of every class on every cell model, `[n_models][N_CLASSES]`, mV per unit weight (nS, in point
/// mode pA), >= 0: excitatory classes at rest, inhibitory ones at [`HOLD_INHIBITION_MV`].
pub fn unit_psp_table(cells: &[CellModel], mode: CellMode, ports: &Ports) -> Vec<f64> {
    cells
        .par_iter()
        .flat_map_iter(|cell| {
            (0..N_CLASSES).map(move |c| unit_psp(cell, mode, ports, c, holding_potential_mv(c)).peak_mv.abs())
        })
        .collect()
}

/// Largest deflection of a trace and its time, from the parabola through the largest sample and its neighbours.
pub fn peak(trace_mv: &[f64], dt_ms: f64) -> (f64, f64) {
    let Some(at) = (0..trace_mv.len()).max_by(|&i, &j| trace_mv[i].abs().total_cmp(&trace_mv[j].abs()))
    else {
        return (0.0, 0.0);
    };
    if at == 0 || at + 1 == trace_mv.len() {
        return (trace_mv[at], at as f64 * dt_ms);
    }
    let (before, here, after) = (trace_mv[at - 1], trace_mv[at], trace_mv[at + 1]);
    let curvature = before - 2.0 * here + after;
    if curvature == 0.0 {
        return (here, at as f64 * dt_ms);
    }
    let offset = 0.5 * (before - after) / curvature;
    (here - 0.25 * (before - after) * offset, (at as f64 + offset) * dt_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weight, put into the steady state of the cell's own time step, gives the point model's mean.
    #[test]
    fn matched_weights_depolarise_alike() {
        use crate::model::kinetics::{Kinetics, SynapseKind};
        let kinetics = std::array::from_fn(|_| {
            std::array::from_fn(|_| Kinetics { tau_fast_ms: 1.5, tau_slow_ms: 4.0, amp_slow: 0.4 })
        });
        let point_ports = Ports::exact(&kinetics, SynapseKind::Current);
        let ports = Ports::exact(&kinetics, SynapseKind::Conductance { e_exc_mv: 0.0, e_inh_mv: -75.0 });
        let cell = CellModel { cell_type_ix: 1, ..CellModel::sample() };
        let (exc, weight_pa, rate_per_ms) = (9, 8.0, 1.0);
        let mode = CellMode::TwoCompartment { dendrite_fraction: 0.6, coupling_ratio: 3.0 };
        let matched =
            |weight_pa| mode.mean_matched_weight(&cell, &ports, &point_ports, exc, weight_pa, rate_per_ms);
        let weight = matched(weight_pa).unwrap();
        let theta = [0.0; N_CELL_PARAMETERS];
        let settle = |mode, ports: &Ports, weight: f64| {
            let of_cell = ports.of_cell(cell.cell_type_ix);
            let constants = cell_constants(&cell, mode, &of_cell, DT_MS, &theta);
            let mut state = CellState::at_rest(ports.n_ports);
            let input: Vec<f64> = (0..ports.n_ports)
                .map(|p| weight * rate_per_ms * DT_MS * ports.gain_per_ms(0, exc, p))
                .collect();
            for _ in 0..5000 {
                advance_membrane(&constants, &mut state, DT_MS, 0.0);
                advance_ports(&constants, &mut state, DT_MS, &input);
            }
            state.u_s_mv
        };
        let (two, point) = (settle(mode, &ports, weight), settle(CellMode::Point, &point_ports, weight_pa));
        assert!(point > 10.0 && (two / point - 1.0).abs() < 2e-3, "{two} mV against {point} mV");
        assert_eq!(matched(1e4), None, "beyond the reversal potential");
    }

    #[test]
    fn peak_of_a_parabola_is_exact() {
        let trace: Vec<f64> = (0..20).map(|k| -3.0 + 0.5 * (k as f64 * 0.1 - 0.73).powi(2)).collect();
        let (value, time_ms) = peak(&trace, 0.1);
        assert!((value + 3.0).abs() < 1e-12 && (time_ms - 0.73).abs() < 1e-12, "{value} {time_ms}");
    }
}

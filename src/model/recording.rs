//! Virtual recordings of one cell in f64: a current step, and one synapse (a paired recording).

use super::cell::{
    CellState, advance_membrane, advance_ports, cell_constants, count_refractory, reset_after_spike,
    resting_state,
};
use super::kinetics::Ports;
use super::membrane::{CellMode, N_CELL_PARAMETERS};
use super::psp::peak;
use super::vocabulary::CellModel;

/// A cell without synapses under an injected current.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentRecording {
    /// Spike times, ms: the end of the step in which the threshold was crossed.
    pub spikes_ms: Vec<f64>,
    /// Somatic potential, mV, at the start and after every step, `[n_steps + 1]`.
    pub v_s_mv: Vec<f64>,
    /// Dendritic potential, mV, at the start and after every step, `[n_steps + 1]`; in point mode E_L throughout.
    pub v_d_mv: Vec<f64>,
}

/// Runs a cell from rest; `current_pa(n)` is injected during step n.
pub fn record_current(
    cell: &CellModel,
    mode: CellMode,
    dt_ms: f64,
    n_steps: usize,
    current_pa: impl Fn(usize) -> f64,
) -> CurrentRecording {
    let constants = cell_constants(cell, mode, &[], dt_ms, &[0.0; N_CELL_PARAMETERS]);
    let mut state = CellState::at_rest(0);
    let rest_mv = cell.e_l_mv;
    let mut recording =
        CurrentRecording { spikes_ms: Vec::new(), v_s_mv: vec![rest_mv], v_d_mv: vec![rest_mv] };
    for n in 0..n_steps {
        let held = state.refractory > 0;
        let u = advance_membrane(&constants, &mut state, dt_ms, current_pa(n));
        if !held && u > constants.threshold_mv {
            reset_after_spike(&constants, &mut state);
            recording.spikes_ms.push((n + 1) as f64 * dt_ms);
        } else {
            count_refractory(&mut state);
        }
        recording.v_s_mv.push(rest_mv + state.u_s_mv);
        recording.v_d_mv.push(rest_mv + state.u_d_mv);
    }
    recording
}

/// The current of a step that acts from `start_ms` to `stop_ms`, both rounded to whole steps.
pub fn step_current(current_pa: f64, start_ms: f64, stop_ms: f64, dt_ms: f64) -> impl Fn(usize) -> f64 {
    let [start, stop] = [start_ms, stop_ms].map(|t_ms| (t_ms / dt_ms).round() as usize);
    move |n| if (start..stop).contains(&n) { current_pa } else { 0.0 }
}

/// A cell that one synapse acts on once, with spikes off.
#[derive(Clone, Debug, PartialEq)]
pub struct PairRecording {
    /// Largest deflection of the soma, mV, signed.
    pub peak_mv: f64,
    /// Time from the arrival to the peak, ms.
    pub time_to_peak_ms: f64,
    /// Deflection of the soma, mV, at the arrival and after every step, `[n_steps + 1]`.
    pub soma_mv: Vec<f64>,
    /// Deflection of the dendrite, mV, likewise; in point mode 0 throughout.
    pub dendrite_mv: Vec<f64>,
}

/// Lets one arrival of `weight` (nS, in point mode pA) of a class act on a cell that a steady somatic current holds at
/// `hold_mv` (None: at rest).
pub fn record_pair(
    cell: &CellModel,
    mode: CellMode,
    ports: &Ports,
    synapse: Synapse,
    dt_ms: f64,
    n_steps: usize,
) -> PairRecording {
    let of_cell = ports.of_cell(cell.cell_type_ix);
    let constants = cell_constants(cell, mode, &of_cell, dt_ms, &[0.0; N_CELL_PARAMETERS]);
    let type_ix = ports.target_type_of[cell.cell_type_ix];
    let hold_u_mv = synapse.hold_mv.map_or(0.0, |v_mv| v_mv - cell.e_l_mv);
    let (hold_pa, mut state) = resting_state(&constants, hold_u_mv);
    let hold_dendrite_mv = state.u_d_mv;
    for (p, rise) in state.rise.iter_mut().enumerate() {
        *rise = synapse.weight * ports.gain_per_ms(type_ix, synapse.class_ix, p);
    }
    let silence = vec![0.0; ports.n_ports];
    let (mut soma_mv, mut dendrite_mv) = (vec![0.0], vec![0.0]);
    for _ in 0..n_steps {
        let u = advance_membrane(&constants, &mut state, dt_ms, hold_pa);
        soma_mv.push(u - hold_u_mv);
        dendrite_mv.push(state.u_d_mv - hold_dendrite_mv);
        advance_ports(&constants, &mut state, dt_ms, &silence);
    }
    let (peak_mv, time_to_peak_ms) = peak(&soma_mv, dt_ms);
    PairRecording { peak_mv, time_to_peak_ms, soma_mv, dendrite_mv }
}

/// The synapse of a paired recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synapse {
    /// Synaptic class of the source.
    pub class_ix: usize,
    /// Weight, nS (in point mode pA), >= 0.
    pub weight: f64,
    /// Holding potential of the target, mV; None leaves it at rest.
    pub hold_mv: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kinetics::{Kinetics, PortCounts, SynapseKind};
    use crate::model::psp::unit_psp;

    fn cell() -> CellModel {
        CellModel {
            id: 1,
            population_ix: 0,
            cell_type_ix: 5,
            v_th_mv: -45.0,
            e_l_mv: -72.0,
            v_reset_mv: -72.0,
            g_ns: 6.0,
            c_m_pf: 120.0,
            t_ref_ms: 3.0,
            asc_amp_pa: [-10.0, -40.0],
            asc_decay_per_ms: [0.003, 0.03],
        }
    }

    #[test]
    fn a_small_synapse_has_the_unit_psp() {
        let kinetics = [[Kinetics { tau_fast_ms: 2.0, tau_slow_ms: 5.0, amp_slow: 0.5 }; 9]; 10];
        let mode = CellMode::TwoCompartment { dendrite_fraction: 0.5, coupling_ratio: 2.0 };
        let synapses = SynapseKind::Conductance { e_exc_mv: 0.0, e_inh_mv: -75.0 };
        let counts = PortCounts { n_exc: 2, n_inh_soma: 2, n_inh_dendrite: 2 };
        let (ports, _) = Ports::fitted(&kinetics, counts, synapses);
        for (class_ix, hold_mv) in [(1, None), (6, Some(-55.0)), (7, Some(-55.0)), (1, Some(-60.0))] {
            let unit = unit_psp(&cell(), mode, &ports, class_ix, hold_mv);
            let synapse = Synapse { class_ix, weight: 1e-4, hold_mv };
            let recording = record_pair(&cell(), mode, &ports, synapse, unit.dt_ms, 1000);
            let relative = recording.peak_mv / (1e-4 * unit.peak_mv) - 1.0;
            assert!(relative.abs() < 1e-3, "class {class_ix}, hold {hold_mv:?}: {relative}");
            assert!((recording.time_to_peak_ms - unit.time_to_peak_ms).abs() < 0.01);
        }
    }

    #[test]
    fn a_current_below_rheobase_only_charges() {
        let steady_mv = 100.0 / 6.0;
        let recording =
            record_current(&cell(), CellMode::Point, 0.1, 4000, step_current(100.0, 10.0, 390.0, 0.1));
        assert!(recording.spikes_ms.is_empty());
        assert_eq!(recording.v_s_mv[100], -72.0);
        assert!((recording.v_s_mv[3900] - (-72.0 + steady_mv)).abs() < 1e-6);
        let strong =
            record_current(&cell(), CellMode::Point, 0.1, 4000, step_current(400.0, 10.0, 390.0, 0.1));
        assert!(strong.spikes_ms.len() > 3 && strong.spikes_ms.iter().all(|t| (10.0..390.1).contains(t)));
    }
}

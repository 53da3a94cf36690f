//! Patch-clamp experiments on single cells with the kernels that networks run on, in f32: current steps and paired
//! recordings. `model::recording` does the same in f64.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::model::cell::{cell_constants, resting_state};
use crate::model::kinetics::Ports;
use crate::model::membrane::{CellMode, N_CELL_PARAMETERS, THRESHOLD};
use crate::model::psp::peak;
use crate::model::recording::{CurrentRecording, PairRecording, Synapse};
use crate::model::surrogate::Surrogate;
use crate::model::{Damping, Dynamics};
use crate::network::{
    CLASS_OF_SOURCE_TYPE, CellModel, Network, Neurons, Population, Rows, SOURCE_TYPE_BACKGROUND, pack_target,
    v1_unit_types,
};
use crate::sim::{Probe, Recording, Settings, Simulation, SourceSpikes};

/// Most steps that are kept on the device at once.
pub(crate) const SEGMENT_STEPS: usize = 512;
/// What puts the threshold of a recorded cell out of reach, so that it cannot spike, mV.
pub(crate) const OUT_OF_REACH_MV: f64 = 1e3;
/// Trials of a paired recording: without and with the spike.
pub(crate) const N_TRIALS: usize = 2;
/// A cell is at its holding potential after this many membrane time constants: e^-15 of the way is 6e-6 mV.
const SETTLING_TIME_CONSTANTS: f64 = 15.0;

/// What the cells are and how they are stepped.
#[derive(Clone, Debug, PartialEq)]
pub struct Rig {
    /// Membrane model.
    pub mode: CellMode,
    /// Synaptic ports.
    pub ports: Ports,
    /// Time step, ms.
    pub dt_ms: f64,
}

/// A current step into the soma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurrentStep {
    /// Start of the current, ms.
    pub start_ms: f64,
    /// End of the current, ms.
    pub stop_ms: f64,
    /// Length of the recording, ms.
    pub duration_ms: f64,
}

/// Injects currents, `[n_cells][n_trials]` pA, into cells at rest, and returns traces in the same order.
///
/// # Errors
/// [`Error::Failed`] for a shape that does not fit, and those of [`Simulation`].
pub fn current_steps(
    gpu: &Arc<Gpu>,
    rig: &Rig,
    cells: &[CellModel],
    step: &CurrentStep,
    currents_pa: &[f32],
) -> Result<Vec<CurrentRecording>> {
    let n_trials = currents_pa.len() / cells.len().max(1);
    if n_trials == 0 || n_trials * cells.len() != currents_pa.len() {
        let reason = format!("{} currents do not fit {} cells", currents_pa.len(), cells.len());
        return Err(Error::Failed(reason));
    }
    let steps = |ms: f64| (ms / rig.dt_ms).round() as usize;
    let n_steps = steps(step.duration_ms);
    let rows = Rows { offsets: vec![0; cells.len() + 1], ..Rows::default() };
    let network = network_of(cells, rows);
    let dynamics = dynamics(rig);
    let settings = settings(n_trials, n_steps, steps(step.start_ms)..steps(step.stop_ms));
    let mut simulation = Simulation::new(gpu, &network, &dynamics, SourceSpikes::None, settings)?;
    simulation.set_current(currents_pa)?;
    let (_, recording) = simulation.forward_recorded(0, 0, &Probe::potentials(0..cells.len()))?;
    Ok(traces(&recording, cells, n_trials, rig.dt_ms))
}

/// One presynaptic spike onto each of some clamped cells that cannot spike; the deflection is the difference from a trial
/// without it. One recording a cell.
///
/// # Errors
/// Those of [`Simulation`].
pub fn paired_recordings(
    gpu: &Arc<Gpu>,
    rig: &Rig,
    cells: &[CellModel],
    synapse: Synapse,
    duration_ms: f64,
) -> Result<Vec<PairRecording>> {
    let slowest_ms = cells.iter().map(|cell| cell.c_m_pf / cell.g_ns).fold(0.0, f64::max);
    let settling_ms = if synapse.hold_mv.is_some() { SETTLING_TIME_CONSTANTS * slowest_ms } else { 0.0 };
    let spike_step = (settling_ms / rig.dt_ms).ceil() as usize;
    // The spike arrives one step later and enters the ports at the end of that step (E9, E8).
    let arrival_step = spike_step + 1;
    let n_steps = arrival_step + 1 + (duration_ms / rig.dt_ms).round() as usize;

    // The presynaptic cell is a background unit, which spikes when told, with the kinetics of the class.
    let n_cells = cells.len();
    let mut offsets = vec![0; n_cells + 2];
    offsets[n_cells + 1] = n_cells as u64;
    let rows = Rows {
        offsets,
        targets: (0..cells.len() as u32).map(|ix| pack_target(ix, 1)).collect(),
        weights: vec![synapse.weight as f32; n_cells],
    };
    let network = Network { n_background: 1, unit_type_ix: v1_unit_types(0, 1), ..network_of(cells, rows) };
    let mut dynamics = dynamics(rig);
    dynamics.ports.copy_class(synapse.class_ix, CLASS_OF_SOURCE_TYPE[SOURCE_TYPE_BACKGROUND]);
    let mut spikes = vec![0; n_steps];
    spikes[spike_step] = 0b10;
    let settings = settings(N_TRIALS, n_steps, 0..n_steps);
    let mut simulation = Simulation::new(gpu, &network, &dynamics, SourceSpikes::Replay(&spikes), settings)?;
    let mut theta = [0.0; N_CELL_PARAMETERS];
    theta[THRESHOLD] = OUT_OF_REACH_MV;
    simulation.set_cell_parameters(&vec![theta; n_cells]);
    let holding: Vec<f32> =
        cells.iter().flat_map(|cell| [holding_current_pa(rig, cell, synapse.hold_mv); N_TRIALS]).collect();
    simulation.set_current(&holding)?;
    let (_, recording) = simulation.forward_recorded(0, 0, &Probe::potentials(0..n_cells))?;
    let from_arrival = |planes: &[f32], ix: usize| -> Vec<f64> {
        deflections_mv(planes, n_cells).skip(arrival_step).map(|cells| cells[ix]).collect()
    };
    let recordings = (0..n_cells).map(|ix| {
        let soma_mv = from_arrival(&recording.u_s_mv, ix);
        let dendrite_mv = match recording.u_d_mv.is_empty() {
            true => vec![0.0; soma_mv.len()],
            false => from_arrival(&recording.u_d_mv, ix),
        };
        let (peak_mv, time_to_peak_ms) = peak(&soma_mv, rig.dt_ms);
        PairRecording { peak_mv, time_to_peak_ms, soma_mv, dendrite_mv }
    });
    Ok(recordings.collect())
}

/// Deflections of the cells of a paired recording, step by step: trial 1 less trial 0 of potentials
/// `[n_steps][n_cells][N_TRIALS]` mV.
pub(crate) fn deflections_mv(potentials_mv: &[f32], n_cells: usize) -> impl Iterator<Item = Vec<f64>> {
    potentials_mv.chunks_exact(N_TRIALS * n_cells).map(|cells| {
        cells.chunks_exact(N_TRIALS).map(|trials| f64::from(trials[1]) - f64::from(trials[0])).collect()
    })
}

/// The steady somatic current that holds a cell at a potential, pA.
fn holding_current_pa(rig: &Rig, cell: &CellModel, hold_mv: Option<f64>) -> f32 {
    let constants = cell_constants(cell, rig.mode, &[], rig.dt_ms, &[0.0; N_CELL_PARAMETERS]);
    let hold_u_mv = hold_mv.map_or(0.0, |v| v - cell.e_l_mv);
    let (hold_pa, _) = resting_state(&constants, hold_u_mv);
    hold_pa as f32
}

/// A network of one neuron per cell model.
fn network_of(cells: &[CellModel], rows: Rows) -> Network {
    let n = cells.len();
    Network {
        populations: vec![Population { name: "patched".to_owned(), cell_type_ix: 0 }],
        cell_models: cells.iter().map(|c| CellModel { population_ix: 0, ..c.clone() }).collect(),
        neurons: Neurons {
            model_ix: (0..n as u16).collect(),
            population_ix: vec![0; n],
            cell_type_ix: cells.iter().map(|c| c.cell_type_ix as u8).collect(),
            x_um: vec![0.0; n],
            y_um: vec![0.0; n],
            z_um: vec![0.0; n],
            tuning_angle_deg: vec![0.0; n],
            target_n_synapses: vec![0.0; n],
        },
        rows,
        ..Network::default()
    }
}

fn dynamics(rig: &Rig) -> Dynamics {
    Dynamics {
        mode: rig.mode,
        dt_ms: rig.dt_ms,
        ports: rig.ports.clone(),
        max_delay_steps: 1,
        // Nothing is differentiated.
        surrogate: Surrogate { half_width: 0.5, height: 0.5 },
        damping: Damping::default(),
    }
}

fn settings(n_trials: usize, n_steps: usize, current: Range<usize>) -> Settings {
    Settings {
        steps_between_checkpoints: SEGMENT_STEPS.min(n_steps),
        current: Some(current),
        ..Settings::new(n_steps, n_trials)
    }
}

fn traces(recording: &Recording, cells: &[CellModel], n_trials: usize, dt_ms: f64) -> Vec<CurrentRecording> {
    let n = cells.len() * n_trials;
    let column = |planes: &[f32], i: usize| -> Vec<f64> {
        let e_l_mv = cells[i / n_trials].e_l_mv;
        let after = planes.iter().skip(i).step_by(n).map(|u| e_l_mv + f64::from(*u));
        std::iter::once(e_l_mv).chain(after).collect()
    };
    let mut traces: Vec<CurrentRecording> = (0..n)
        .map(|i| {
            let v_s_mv = column(&recording.u_s_mv, i);
            let mut v_d_mv = column(&recording.u_d_mv, i);
            // In point mode, E_L throughout.
            v_d_mv.resize(v_s_mv.len(), cells[i / n_trials].e_l_mv);
            CurrentRecording { spikes_ms: Vec::new(), v_s_mv, v_d_mv }
        })
        .collect();
    for spike in &recording.spikes {
        let i = spike.neuron as usize * n_trials + spike.trial as usize;
        traces[i].spikes_ms.push(f64::from(spike.step + 1) * dt_ms);
    }
    traces
}

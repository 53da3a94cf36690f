//! Single cells on the device, in f32, against NEST 3.10, the published figures and the model in f64.

// clippy's exemption for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{golden_current_steps, golden_file, tables};
use simrun::gpu::Gpu;
use simrun::model::kinetics::{PortCounts, Ports, SynapseKind};
use simrun::model::membrane::CellMode;
use simrun::model::psp::holding_potential_mv;
use simrun::model::recording::{Synapse, record_current, record_pair, step_current};
use simrun::network::{CLASSES, CellModel, N_CLASSES, class_is_inhibitory};
use simrun::patch::{CurrentStep, Rig, current_steps, paired_recordings};

const TWO: CellMode = CellMode::TwoCompartment { dendrite_fraction: 0.5, coupling_ratio: 2.0 };
const CONDUCTANCE: SynapseKind = SynapseKind::Conductance { e_exc_mv: 0.0, e_inh_mv: -75.0 };

const CLASS_E4: usize = 1;
const CLASS_PV: usize = 6;
const CLASS_SST: usize = 7;

fn point(dt_ms: f64) -> Rig {
    let ports = Ports::exact(&tables().kinetics, SynapseKind::Current);
    Rig { mode: CellMode::Point, ports, dt_ms }
}

fn two_compartment(dt_ms: f64) -> Rig {
    let counts = PortCounts { n_exc: 2, n_inh_soma: 2, n_inh_dendrite: 2 };
    let ports = Ports::fitted(&tables().kinetics, counts, CONDUCTANCE).0;
    Rig { mode: TWO, ports, dt_ms }
}

fn gpu() -> Arc<Gpu> {
    Arc::new(Gpu::open(None).expect("an adapter; software Vulkan will do"))
}

#[test]
fn point_kernel_meets_nest_under_current_steps() {
    let golden = golden_current_steps(&tables());
    // One neuron a cell, one trial a current: the golden runs come cell by cell.
    let cells: Vec<CellModel> = golden.iter().step_by(3).map(|run| run.cell.clone()).collect();
    assert!(golden.chunks(3).all(|runs| runs.iter().all(|run| run.cell.id == runs[0].cell.id)));
    let currents: Vec<f32> = golden.iter().map(|run| run.current_pa as f32).collect();
    let step = CurrentStep {
        start_ms: common::STEP_START_MS,
        stop_ms: common::STEP_STOP_MS,
        duration_ms: common::STEP_DURATION_MS,
    };
    let traces = current_steps(&gpu(), &point(common::STEP_DT_MS), &cells, &step, &currents).unwrap();
    let (mut n_spikes, mut n_shifted, mut worst_mv) = (0, 0, 0.0f64);
    for (golden, trace) in golden.iter().zip(&traces) {
        let label = format!("cell {} at {} pA", golden.cell.id, golden.current_pa);
        assert_eq!(trace.spikes_ms.len(), golden.spikes_ms.len(), "{label}");
        for (a, b) in trace.spikes_ms.iter().zip(&golden.spikes_ms) {
            assert!((a - b).abs() <= common::STEP_DT_MS + 1e-9, "{label}: {a} ms, NEST {b} ms");
            n_shifted += usize::from(a != b);
        }
        n_spikes += trace.spikes_ms.len();
        if trace.spikes_ms == golden.spikes_ms {
            for &(t_ms, v_mv) in &golden.potentials {
                let v = trace.v_s_mv[(t_ms / common::STEP_DT_MS).round() as usize];
                worst_mv = worst_mv.max((v - v_mv).abs());
            }
        }
    }
    println!("{n_spikes} spikes, {n_shifted} of them one step off; worst potential {worst_mv:.1e} mV");
    assert!(n_spikes > 15 * golden.len() && n_shifted * 50 < n_spikes && worst_mv < 0.01);
}

#[test]
fn point_kernel_has_the_published_rheobases() {
    let tables = tables();
    let rows: Vec<_> = tables.cells.iter().filter(|c| c.rheobase_pa.is_some()).collect();
    let cells: Vec<CellModel> = rows.iter().map(|c| c.model.clone()).collect();
    let currents: Vec<f32> =
        rows.iter().flat_map(|c| c.rheobase_pa).flat_map(|pa| [pa as f32 - 5.0, pa as f32]).collect();
    let step = CurrentStep { start_ms: 0.0, stop_ms: 1000.0, duration_ms: 1000.0 };
    let traces = current_steps(&gpu(), &point(0.1), &cells, &step, &currents).unwrap();
    assert_eq!(traces.len(), 400);
    for (cell, pair) in cells.iter().zip(traces.chunks(2)) {
        assert!(pair[0].spikes_ms.is_empty(), "cell {} spikes below its rheobase", cell.id);
        assert!(!pair[1].spikes_ms.is_empty(), "cell {} is silent at its rheobase", cell.id);
    }
}

#[test]
fn point_kernel_unit_psps_meet_nest() {
    let tables = tables();
    let file = golden_file("golden/nest310_unit_psp.csv", "nest_unit_psp.csv");
    let (gpu, rig, cells) = (gpu(), point(0.1), tables.cell_models());
    let psps: Vec<_> = (0..N_CLASSES)
        .map(|class_ix| {
            let synapse = Synapse { class_ix, weight: 1.0, hold_mv: None };
            paired_recordings(&gpu, &rig, &cells, synapse, 60.0).unwrap()
        })
        .collect();
    let (mut n, mut worst) = (0, 0.0f64);
    for row in csv::Reader::from_path(file).unwrap().records() {
        let row = row.unwrap();
        let cell_ix = tables.cell_ix(row[0].parse().unwrap()).unwrap();
        let class = row[1].split("_to_").next().unwrap();
        let class_ix = CLASSES.iter().position(|c| *c == class).unwrap();
        let nest_mv: f64 = row[3].parse().unwrap();
        let peak_mv = psps[class_ix][cell_ix].peak_mv;
        assert!(peak_mv.is_sign_negative() == class_is_inhibitory(class_ix), "{row:?}: {peak_mv}");
        let error_mv = (peak_mv.abs() - nest_mv).abs();
        assert!(error_mv < (0.005 * nest_mv).max(0.002), "{row:?}: {peak_mv}");
        worst = worst.max(error_mv / nest_mv);
        n += 1;
    }
    println!("{n} unit PSPs, worst relative error {worst:.1e}");
    assert_eq!(n, if cfg!(published_data) { 1000 } else { 59 });
}

#[test]
fn two_compartment_kernel_follows_the_model_in_f64() {
    let (gpu, rig) = (gpu(), two_compartment(0.25));
    let cells: Vec<CellModel> = tables().cell_models().into_iter().step_by(5).collect();
    let current_pa = |cell: &CellModel| 1.5 * cell.g_ns * (cell.v_th_mv - cell.e_l_mv);
    let currents: Vec<f32> = cells.iter().map(|c| current_pa(c) as f32).collect();
    let step = CurrentStep { start_ms: 50.0, stop_ms: 250.0, duration_ms: 300.0 };
    let traces = current_steps(&gpu, &rig, &cells, &step, &currents).unwrap();
    let (mut n_spikes, mut worst_mv, mut n_same) = (0, 0.0f64, 0);
    for ((cell, trace), pa) in cells.iter().zip(&traces).zip(&currents) {
        let current = step_current(f64::from(*pa), step.start_ms, step.stop_ms, rig.dt_ms);
        let expected = record_current(cell, TWO, rig.dt_ms, 1200, current);
        assert_eq!(trace.spikes_ms.len(), expected.spikes_ms.len(), "cell {}", cell.id);
        n_spikes += expected.spikes_ms.len();
        if trace.spikes_ms == expected.spikes_ms {
            n_same += 1;
            for k in 0..=1200 {
                worst_mv = worst_mv.max((trace.v_s_mv[k] - expected.v_s_mv[k]).abs());
                worst_mv = worst_mv.max((trace.v_d_mv[k] - expected.v_d_mv[k]).abs());
            }
        }
    }
    println!(
        "{n_spikes} spikes; {n_same} of {} cells with equal times, worst {worst_mv:.1e} mV",
        cells.len()
    );
    assert!(n_spikes > 300 && n_same * 10 >= cells.len() * 9 && worst_mv < 0.01);
}

#[test]
fn two_compartment_kernel_makes_the_psps_of_the_model_in_f64() {
    let (gpu, rig, cells) = (gpu(), two_compartment(0.1), tables().cell_models());
    let mut worst = 0.0f64;
    for class_ix in [CLASS_E4, CLASS_PV, CLASS_SST] {
        let synapse = Synapse { class_ix, weight: 0.3, hold_mv: holding_potential_mv(class_ix) };
        let psps = paired_recordings(&gpu, &rig, &cells, synapse, 60.0).unwrap();
        for (cell, psp) in cells.iter().zip(&psps) {
            let expected = record_pair(cell, TWO, &rig.ports, synapse, rig.dt_ms, 600);
            let error = psp.peak_mv / expected.peak_mv - 1.0;
            worst = worst.max(error.abs());
            assert!(error.abs() < 0.005, "cell {}, {}: {error}", cell.id, CLASSES[class_ix]);
        }
    }
    println!("worst relative error of a peak {worst:.1e}");
}

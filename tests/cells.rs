//! The cell models in f64 against NEST 3.10 and the published figures.

// clippy's exemption for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{golden_current_steps, golden_file, tables};
use simrun::model::kinetics::{Fit, PortCounts, Ports, SynapseKind};
use simrun::model::membrane::CellMode;
use simrun::model::psp::unit_psp_table;
use simrun::model::recording::{record_current, step_current};
use simrun::network::{CLASSES, CellModel, N_CLASSES};

#[test]
fn point_model_meets_nest_under_current_steps() {
    let runs = golden_current_steps(&tables());
    let dt_ms = common::STEP_DT_MS;
    let n_steps = (common::STEP_DURATION_MS / dt_ms) as usize;
    let (mut n_spikes, mut worst_mv, mut n_potentials) = (0, 0.0f64, 0);
    for golden in &runs {
        let current = step_current(golden.current_pa, common::STEP_START_MS, common::STEP_STOP_MS, dt_ms);
        let run = record_current(&golden.cell, CellMode::Point, dt_ms, n_steps, current);
        let label = format!("cell {} at {} pA", golden.cell.id, golden.current_pa);
        assert_eq!(run.spikes_ms, golden.spikes_ms, "{label}");
        n_spikes += run.spikes_ms.len();
        for &(t_ms, v_mv) in &golden.potentials {
            let error_mv = (run.v_s_mv[(t_ms / dt_ms).round() as usize] - v_mv).abs();
            assert!(error_mv < 1e-6, "{label}: {error_mv} mV at {t_ms} ms");
            worst_mv = worst_mv.max(error_mv);
            n_potentials += 1;
        }
    }
    println!("{} runs, {n_spikes} spikes, {n_potentials} potentials, worst {worst_mv:.1e} mV", runs.len());
    assert!(n_spikes > 15 * runs.len() && n_potentials == 5 * runs.len());
}

#[test]
fn point_unit_psps_meet_nest() {
    let tables = tables();
    let file = golden_file("golden/nest310_unit_psp.csv", "nest_unit_psp.csv");
    let cells = tables.cell_models();
    let ports = Ports::exact(&tables.kinetics, SynapseKind::Current);
    let table = unit_psp_table(&cells, CellMode::Point, &ports);
    let mut reader = csv::Reader::from_path(file).expect("readable");
    let (mut n, mut worst_relative, mut worst_mv) = (0, 0.0f64, 0.0f64);
    for row in reader.records() {
        let row = row.expect("a row");
        let ix = tables.cell_ix(row[0].parse().expect("an id")).expect("a known cell");
        let class = row[1].split("_to_").next().expect("source and target");
        let class_ix = CLASSES.iter().position(|c| *c == class).expect("a known class");
        let nest_mv: f64 = row[3].parse().expect("a number");
        let error_mv = (table[ix * N_CLASSES + class_ix] - nest_mv).abs();
        assert!(error_mv < (0.005 * nest_mv).max(0.002), "{row:?}: {}", table[ix * N_CLASSES + class_ix]);
        worst_relative = worst_relative.max(error_mv / nest_mv);
        worst_mv = worst_mv.max(error_mv);
        n += 1;
    }
    println!("{n} unit PSPs, worst {worst_mv:.1e} mV, worst relative {worst_relative:.1e}");
    assert_eq!(n, if cfg!(published_data) { 1000 } else { 59 });
}

/// Smallest current of the 5 pA grid that makes a cell at rest spike within a step of one second.
fn rheobase_pa(cell: &CellModel, mode: CellMode, dt_ms: f64) -> f64 {
    let n_steps = (1000.0 / dt_ms).round() as usize;
    let spikes = |pa: f64| !record_current(cell, mode, dt_ms, n_steps, |_| pa).spikes_ms.is_empty();
    (1..400).map(|k| 5.0 * f64::from(k)).find(|&pa| spikes(pa)).expect("a cell that can spike")
}

#[test]
fn point_rheobases_are_the_published_ones() {
    let tables = tables();
    let (mut n, mut without) = (0, vec![]);
    for row in &tables.cells {
        let rheobase = rheobase_pa(&row.model, CellMode::Point, 0.1);
        match row.rheobase_pa {
            Some(published) => {
                assert_eq!(rheobase, published, "cell {}", row.model.id);
                n += 1;
            }
            None => without.push(row.model.id),
        }
    }
    // One cell has no published rheobase.
    assert_eq!((n, without), (200, vec![486_262_299]));
}

const CONDUCTANCE: SynapseKind = SynapseKind::Conductance { e_exc_mv: 0.0, e_inh_mv: -75.0 };

/// Prints the table of docs/model.md, "Ports".
#[test]
fn a_few_ports_carry_the_measured_kinetics() {
    let tables = tables();
    println!("| ports exc, soma, dendrite | worst L2 error | worst peak error | worst area error |");
    println!("|---|---|---|---|");
    let mut worst = vec![];
    for (n_exc, n_inh_soma, n_inh_dendrite) in [(1, 1, 1), (2, 1, 1), (2, 2, 2), (3, 2, 2), (4, 2, 3)] {
        let counts = PortCounts { n_exc, n_inh_soma, n_inh_dendrite };
        let (ports, report) = Ports::fitted(&tables.kinetics, counts, CONDUCTANCE);
        assert_eq!(ports.n_ports, n_exc + n_inh_soma + n_inh_dendrite);
        let name = |f: &Fit| format!("{} > {}", CLASSES[f.class_ix], CLASSES[f.type_ix]);
        let (l2, peak, area) =
            (report.worst_l2().unwrap(), report.worst_peak().unwrap(), report.worst_area().unwrap());
        println!(
            "| {n_exc}, {n_inh_soma}, {n_inh_dendrite} | {:.1} % ({}) | {:.1} % ({}) | {:.1} % ({}) |",
            100.0 * l2.relative_l2_error,
            name(&l2),
            100.0 * peak.relative_peak_error,
            name(&peak),
            100.0 * area.relative_area_error,
            name(&area)
        );
        worst.push(l2.relative_l2_error);
    }
    assert!(worst.windows(2).all(|w| w[1] <= w[0] + 1e-9), "more ports fit no worse: {worst:?}");
}

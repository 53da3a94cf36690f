//! The two-compartment cell in f64: what the split of a measured cell keeps, the order of its time step, and what its
//! dendrite does to firing. The tables of docs/model.md are printed by these tests:
//! `cargo test --release --test two_compartment -- --nocapture --test-threads 1`.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{run_psp, tables};
use simrun::model::kinetics::{PortCounts, Ports, SynapseKind};
use simrun::model::membrane::CellMode;
use simrun::model::psp::{holding_potential_mv, peak, unit_psp, unit_psp_table};
use simrun::model::recording::{Synapse, record_current, record_pair, step_current};
use simrun::network::{CLASSES, CellModel, N_CLASSES, class_is_inhibitory};

/// As the shipped scenes.
const TWO: CellMode = CellMode::TwoCompartment { dendrite_fraction: 0.5, coupling_ratio: 2.0 };
const CONDUCTANCE: SynapseKind = SynapseKind::Conductance { e_exc_mv: 0.0, e_inh_mv: -75.0 };
const CLASS_E4: usize = 1;

fn fitted_ports() -> Ports {
    let counts = PortCounts { n_exc: 2, n_inh_soma: 2, n_inh_dendrite: 2 };
    Ports::fitted(&tables().kinetics, counts, CONDUCTANCE).0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn split_keeps_input_resistance_and_time_constant() {
    let (dt_ms, pulse_pa) = (0.1, 1.0);
    let (mut worst_resistance, mut worst_tau) = (0.0f64, 0.0f64);
    for mode in [TWO, CellMode::TwoCompartment { dendrite_fraction: 0.7, coupling_ratio: 5.0 }] {
        for cell in tables().cell_models() {
            let tau_m_ms = cell.c_m_pf / cell.g_ns;
            // A pulse of 15 tau_m to steady state, then 8 tau_m of decay.
            let stop_ms = (15.0 * tau_m_ms / dt_ms).round() * dt_ms;
            let n_steps = (23.0 * tau_m_ms / dt_ms) as usize;
            let run =
                record_current(&cell, mode, dt_ms, n_steps, step_current(pulse_pa, 0.0, stop_ms, dt_ms));
            let u = |t_ms: f64| run.v_s_mv[(t_ms / dt_ms).round() as usize] - cell.e_l_mv;
            let resistance_gohm = u(stop_ms) / pulse_pa;
            worst_resistance = worst_resistance.max((resistance_gohm * cell.g_ns - 1.0).abs());
            // Late in the decay only the slowest mode is left.
            let (from_ms, to_ms) = (stop_ms + 4.0 * tau_m_ms, stop_ms + 7.0 * tau_m_ms);
            let span_ms = ((to_ms / dt_ms).round() - (from_ms / dt_ms).round()) * dt_ms;
            let tau_ms = span_ms / (u(from_ms) / u(to_ms)).ln();
            worst_tau = worst_tau.max((tau_ms / tau_m_ms - 1.0).abs());
        }
    }
    println!("worst relative error: input resistance {worst_resistance:.1e}, time constant {worst_tau:.1e}");
    assert!(worst_resistance < 1e-3 && worst_tau < 1e-3, "{worst_resistance} {worst_tau}");
}

/// Somatic potentials at whole milliseconds, mV, of a cell with a current step from 2 ms on and one strong arrival at 0.
fn subthreshold_run(cell: &CellModel, ports: &Ports, dt_ms: f64) -> Vec<f64> {
    let per_ms = (1.0 / dt_ms).round() as usize;
    let trace = run_psp(cell, TWO, ports, CLASS_E4, 2.0, dt_ms, 40 * per_ms);
    trace.into_iter().step_by(per_ms).collect()
}

#[test]
fn time_step_is_second_order_below_threshold_and_first_order_in_spike_times() {
    let (cells, ports) = (tables().cell_models(), fitted_ports());
    let sample: Vec<&CellModel> = cells.iter().step_by(4).collect();
    let current_pa = |cell: &CellModel| 1.6 * cell.g_ns * (cell.v_th_mv - cell.e_l_mv);
    let first_spikes = |cell: &CellModel, dt_ms: f64| -> Vec<f64> {
        let run = record_current(cell, TWO, dt_ms, (200.0 / dt_ms) as usize, |_| current_pa(cell));
        run.spikes_ms.into_iter().take(3).collect()
    };
    let finest_ms = 1.0 / 512.0;
    let exact: Vec<_> =
        sample.iter().map(|c| (subthreshold_run(c, &ports, finest_ms), first_spikes(c, finest_ms))).collect();
    println!(
        "| dt, ms | worst error of the potential, mV | order | mean error of a spike time, ms | order |"
    );
    println!("|---|---|---|---|---|");
    let mut last: Option<(f64, f64)> = None;
    let mut orders = vec![];
    for dt_ms in [1.0, 0.5, 0.25, 0.125, 0.0625] {
        let (mut worst_mv, mut errors_ms) = (0.0f64, vec![]);
        for (cell, (potential, spikes)) in sample.iter().zip(&exact) {
            for (a, b) in subthreshold_run(cell, &ports, dt_ms).iter().zip(potential) {
                worst_mv = worst_mv.max((a - b).abs());
            }
            let coarse = first_spikes(cell, dt_ms);
            assert_eq!(coarse.len(), 3, "cell {}", cell.id);
            errors_ms.extend(coarse.iter().zip(spikes).map(|(a, b)| (a - b).abs()));
        }
        let mean_ms = errors_ms.iter().sum::<f64>() / errors_ms.len() as f64;
        let order = last.map(|(mv, ms)| ((mv / worst_mv).log2(), (ms / mean_ms).log2()));
        let text =
            order.map_or((String::new(), String::new()), |(a, b)| (format!("{a:.2}"), format!("{b:.2}")));
        println!("| {dt_ms} | {worst_mv:.1e} | {} | {mean_ms:.3} | {} |", text.0, text.1);
        orders.extend(order);
        last = Some((worst_mv, mean_ms));
    }
    assert!(orders.iter().skip(1).all(|(potential, _)| (potential - 2.0).abs() < 0.1), "{orders:?}");
    let spike_order = orders.iter().map(|(_, spike)| spike).sum::<f64>() / orders.len() as f64;
    assert!((spike_order - 1.0).abs() < 0.2, "{orders:?}");
}

#[test]
fn unit_psp_is_the_limit_of_small_weights() {
    let (cells, ports) = (tables().cell_models(), fitted_ports());
    let started = std::time::Instant::now();
    let table = unit_psp_table(&cells, TWO, &ports);
    println!("{} unit PSPs in {:.2} s", table.len(), started.elapsed().as_secs_f64());
    assert_eq!(table.len(), cells.len() * N_CLASSES);
    assert!(table.iter().all(|x| *x > 0.1 && *x < 20.0), "mV per nS");
    println!("| class | smallest, median, largest unit PSP, mV/nS |");
    println!("|---|---|");
    for (class_ix, class) in CLASSES.iter().enumerate() {
        let mut column: Vec<f64> = table.iter().copied().skip(class_ix).step_by(N_CLASSES).collect();
        column.sort_by(f64::total_cmp);
        let (low, high) = (column[0], column[column.len() - 1]);
        println!("| {class} | {low:.2}, {:.2}, {high:.2} |", median(column));
    }
    let mut growth = vec![];
    for cell in cells.iter().step_by(10) {
        let psp = unit_psp(cell, TWO, &ports, CLASS_E4, None);
        let response = |weight: f64| {
            let n_steps = psp.trace_mv.len() - 1;
            run_psp(cell, TWO, &ports, CLASS_E4, weight, psp.dt_ms, n_steps)
        };
        for (k, small) in response(1e-5).iter().enumerate() {
            let error = (small / 1e-5 - psp.trace_mv[k]).abs();
            assert!(error < 1e-4 * psp.peak_mv, "cell {} sample {k}: {error}", cell.id);
        }
        // A synapse that the table gives 1 mV makes somewhat less than that.
        growth.push(peak(&response(1.0 / psp.peak_mv), psp.dt_ms).0);
    }
    println!("a synapse of 1 mV by the table makes {:.3} mV (median cell)", median(growth.clone()));
    assert!(growth.iter().all(|x| (0.9..1.0).contains(x)), "{growth:?}");
}

#[test]
fn inhibition_has_its_size_at_the_holding_potential() {
    let (cells, ports) = (tables().cell_models(), fitted_ports());
    for class_ix in (0..N_CLASSES).filter(|&c| class_is_inhibitory(c)) {
        assert_eq!(holding_potential_mv(class_ix), Some(-55.0));
        let mut inverted = 0;
        for cell in &cells {
            let held = unit_psp(cell, TWO, &ports, class_ix, holding_potential_mv(class_ix));
            assert!(held.peak_mv < -0.1, "cell {}: {}", cell.id, held.peak_mv);
            let at_rest = unit_psp(cell, TWO, &ports, class_ix, None);
            inverted += usize::from(at_rest.peak_mv > 0.0);
            // The response is proportional to the driving force at the synapse, which at rest is E_inh - E_L.
            let drive_mv = -75.0 - cell.e_l_mv;
            assert!(at_rest.peak_mv * drive_mv > 0.0, "cell {}", cell.id);
        }
        println!("{}: at rest inhibition depolarises {inverted} of {} cells", CLASSES[class_ix], cells.len());
        assert!(inverted > 0 && inverted < cells.len());
    }
    assert!((0..N_CLASSES).filter(|&c| !class_is_inhibitory(c)).all(|c| holding_potential_mv(c).is_none()));
}

/// Spikes in one second of a steady current.
fn rate_hz(cell: &CellModel, mode: CellMode, current_pa: f64) -> f64 {
    record_current(cell, mode, 0.1, 10_000, |_| current_pa).spikes_ms.len() as f64
}

#[test]
fn rheobase_is_kept_and_rates_rise_a_little() {
    let tables = tables();
    let published: Vec<(&CellModel, f64)> =
        tables.cells.iter().filter_map(|c| Some((&c.model, c.rheobase_pa?))).step_by(3).collect();
    let ports = fitted_ports();
    println!(
        "| dendrite fraction | coupling ratio | same rheobase | rate over the point model's at rheobase + 50, + 100, + 200 pA \
         (median; 10 % to 90 %) | dendritic over somatic EPSP |"
    );
    println!("|---|---|---|---|---|");
    for (dendrite_fraction, coupling_ratio) in [
        (0.3, 1.0),
        (0.3, 3.0),
        (0.5, 1.0),
        (0.5, 2.0),
        (0.5, 5.0),
        (0.6, 1.0),
        (0.6, 3.0),
        (0.6, 5.0),
        (0.7, 3.0),
    ] {
        let mode = CellMode::TwoCompartment { dendrite_fraction, coupling_ratio };
        let same = published
            .iter()
            .filter(|(c, pa)| rate_hz(c, mode, *pa) > 0.0 && rate_hz(c, mode, pa - 5.0) == 0.0)
            .count();
        let mut row = vec![];
        for above_pa in [50.0, 100.0, 200.0] {
            let mut ratios: Vec<f64> = published
                .iter()
                .map(|(c, pa)| rate_hz(c, mode, pa + above_pa) / rate_hz(c, CellMode::Point, pa + above_pa))
                .collect();
            ratios.sort_by(f64::total_cmp);
            let at = |q: f64| ratios[(q * (ratios.len() - 1) as f64) as usize];
            row.push(format!("{:.2} ({:.2} to {:.2})", at(0.5), at(0.1), at(0.9)));
            assert!((1.0..1.5).contains(&at(0.5)), "{mode:?} {above_pa}: {row:?}");
        }
        let attenuation = median(published.iter().map(|(c, _)| epsp_attenuation(c, mode, &ports)).collect());
        println!(
            "| {dendrite_fraction} | {coupling_ratio} | {same} of {} | {} | {attenuation:.1} |",
            published.len(),
            row.join(", ")
        );
        assert_eq!(same, published.len(), "{mode:?}: the split keeps the somatic input conductance");
    }
}

/// Peak of the dendritic over that of the somatic potential, for a small EPSP on the dendrite.
fn epsp_attenuation(cell: &CellModel, mode: CellMode, ports: &Ports) -> f64 {
    let synapse = Synapse { class_ix: CLASS_E4, weight: 1e-3, hold_mv: None };
    let recording = record_pair(cell, mode, ports, synapse, 0.1, 500);
    let (soma, dendrite) = (recording.soma_mv, recording.dendrite_mv);
    peak(&dendrite, 0.1).0 / peak(&soma, 0.1).0
}

//! The tables of `scenes/v1`: what must hold of the published figures, and that they still follow from the published files.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use simrun::loss::targets::FunctionTargets;
use simrun::network::tables::{FULL_RADIUS_UM, N_CELL_MODELS, N_POPULATIONS, Quantity, Split, Tables};
use simrun::network::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, CLASSES, SOURCE_TYPE_BACKGROUND, SOURCE_TYPE_LGN, class_is_inhibitory,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tables() -> Tables {
    Tables::read(root().join("scenes/v1")).expect("the shipped tables are good")
}

fn cell_type_ix(name: &str) -> usize {
    CELL_TYPES.iter().position(|n| *n == name).expect("a cell type")
}

/// The folder of the published files; tests that need it are ignored where the build found none.
fn published_files() -> PathBuf {
    let folder =
        std::env::var_os("SIMRUN_SHARED_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    assert!(folder.join("cells/populations.csv").exists(), "{} holds no published files", folder.display());
    folder
}

/// Runs the tool that derives the tables: whether it succeeded, and what it said.
fn derive(data: &Path, out: &Path, flags: &[&str]) -> (bool, String) {
    let output = Command::new("python3")
        .arg(root().join("tools/derive_tables.py"))
        .args(["--data".as_ref(), data.as_os_str(), "--out".as_ref(), out.as_os_str()])
        .args(flags)
        .output()
        .expect("python3 is installed");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn the_tables_follow_from_the_published_files() {
    let data = published_files();
    let (good, said) = derive(&data, &root().join("scenes/v1"), &["--check"]);
    assert!(good && said.contains("18 tables derived, 0 differ"), "{said}");
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn the_check_finds_a_changed_a_missing_and_a_foreign_table() {
    let data = published_files();
    let folder = tempfile::tempdir().unwrap();
    let (good, said) = derive(&data, folder.path(), &[]);
    assert!(good, "{said}");
    let cells = folder.path().join("cells.csv");
    let text = std::fs::read_to_string(&cells).unwrap();
    std::fs::write(&cells, text.replace("-40.2094052922417", "-40.2094052922418")).unwrap();
    std::fs::remove_file(folder.path().join("delays.csv")).unwrap();
    std::fs::write(folder.path().join("extra.csv"), "a\n1\n").unwrap();
    let (good, said) = derive(&data, folder.path(), &["--check"]);
    assert!(!good);
    for part in ["cells.csv:7: has '475585413,", "delays.csv: missing", "extra.csv: not a table", "3 differ"]
    {
        assert!(said.contains(part), "no '{part}' in: {said}");
    }
}

#[test]
fn populations_and_cells_are_complete_and_ordered() {
    let t = tables();
    assert_eq!((t.populations().len(), t.cell_models().len()), (N_POPULATIONS, N_CELL_MODELS));
    assert_eq!((N_POPULATIONS, N_CELL_MODELS), (22, 201));
    for (ix, name) in CELL_TYPES.iter().enumerate() {
        assert!(t.populations.iter().any(|p| p.cell_type_ix == ix), "no population is {name}");
    }
    for (ix, population) in t.populations.iter().enumerate() {
        let own: Vec<_> = t.cells.iter().filter(|c| c.model.population_ix == ix).collect();
        assert!(!own.is_empty(), "{} has no cell model", population.name);
        let n: usize = own.iter().map(|c| c.n_cells_full).sum();
        assert_eq!(n, population.n_core + population.n_surround, "{}", population.name);
        assert_eq!(population.is_inhibitory, class_is_inhibitory(population.class_ix));
        assert_eq!(population.is_inhibitory, population.name.starts_with('i'));
        assert_eq!(population.class_ix, CLASS_OF_SOURCE_TYPE[population.cell_type_ix]);
    }
    assert_eq!(t.populations.iter().map(|p| p.n_core).sum::<usize>(), 66_552);
    for c in t.cell_models() {
        assert!(c.v_th_mv > c.e_l_mv && c.v_reset_mv < c.v_th_mv, "{}", c.id);
        assert_eq!(c.cell_type_ix, t.populations[c.population_ix].cell_type_ix);
        // Membrane time constants of cortical cells: a slip of units would leave this range.
        assert!((3.0..80.0).contains(&(c.c_m_pf / c.g_ns)), "{}: {} ms", c.id, c.c_m_pf / c.g_ns);
    }
    assert_eq!(t.cells.iter().filter(|c| c.rheobase_pa.is_some()).count(), 200);
    // 2188.765 exp(0.345^2 / 2), the 2,323 synapses that the published LGN weights are scaled by.
    let l4 = t.populations.iter().find(|p| p.cell_type_ix == cell_type_ix("L4_Exc")).unwrap();
    assert!((l4.n_synapses_mean() - 2323.0).abs() < 0.5, "{}", l4.n_synapses_mean());
}

#[test]
fn cell_counts_are_those_of_the_published_networks() {
    let t = tables();
    let n = |radius_um| t.cell_counts(radius_um).iter().sum::<usize>();
    // The published 100 um network; 66,552 core cells, each model rounded up; and all cells of the table.
    assert_eq!((n(100.0), n(400.0), n(FULL_RADIUS_UM)), (4_239, 66_652, 203_816));
    assert!(t.cell_counts(1.0).iter().all(|&n| n == 1));
}

#[test]
fn synapses_are_complete_and_plausible() {
    let t = tables();
    let ix = cell_type_ix;
    for (source, p_row) in t.connection.p_max.iter().enumerate() {
        for (target, p) in p_row.iter().enumerate() {
            assert!(*p > 0.0, "{} {}", CELL_TYPES[source], CELL_TYPES[target]);
            assert!((0.8..3.0).contains(&t.delay_ms(source, target)));
            assert!(t.psp(source, target).p90.lognormal_scale_mv > 0.0);
        }
    }
    for (s, row) in t.kinetics.iter().enumerate() {
        for k in row {
            assert!(
                k.tau_fast_ms > 0.5 && k.tau_slow_ms > k.tau_fast_ms && k.tau_slow_ms < 10.0,
                "{}",
                CLASSES[s]
            );
        }
    }
    assert!((t.connection.p_max[ix("L2/3_PV")][ix("L2/3_Exc")] - 0.675_761_47).abs() < 1e-8);
    assert_eq!(t.connection.sigma_um, [[127.0, 99.84], [96.6, 126.77]]);
    assert_eq!(t.connection.like_to_like_ratio, [[0.5, 0.0], [0.0, 0.0]]);
    assert_eq!(t.delay_ms(SOURCE_TYPE_LGN, 0), 1.7);
    assert_eq!(t.delay_ms(SOURCE_TYPE_BACKGROUND, 18), 1.0);
    // Layer 1 interneurons have the kinetics and delays of vip cells.
    assert_eq!(t.delay_ms(ix("L1_Inh"), ix("L4_PV")), 1.44);
    let k = t.kinetics_on(9, ix("L1_Inh"));
    assert!((k.tau_fast_ms - 1.677_748_41).abs() < 1e-8 && (k.amp_slow - 0.255_722_65).abs() < 1e-8, "{k:?}");
    let psp = t.psp(ix("L2/3_Exc"), ix("L5_VIP"));
    assert_eq!((psp.source.as_str(), psp.target.as_str(), psp.p90.n_pairs), ("l23_pyr", "vip", 9));
}

#[test]
fn lgn_units_and_weights_are_those_of_the_published_network() {
    let t = tables();
    assert_eq!(t.lgn_units.len(), 14);
    assert_eq!(t.lgn_units.iter().map(|c| 15 * 10 * c.n_per_tile).sum::<usize>(), 17_400);
    for c in &t.lgn_units {
        assert_eq!(c.polarity > 0.0, c.name.starts_with("sON_"), "{}", c.name);
        assert_eq!(c.second.is_some(), c.name.ends_with("_001"), "{}", c.name);
        assert!(c.filter.weights[0] > 0.0 && c.filter.weights[1] < 0.0, "{}", c.name);
    }
    let two = t.lgn_units.iter().find(|c| c.name == "sONtOFF_001").unwrap();
    let by_name = |name: &str| t.lgn_units.iter().find(|c| c.name == name).unwrap().filter;
    assert_eq!(two.filter, by_name("tOFF_TF8"));
    assert_eq!(two.second.unwrap().filter, by_name("sON_TF4"));
    for (w, c) in t.lgn_weights.iter().zip(&t.cells) {
        assert!((w.psp_mv - w.weight_pa * w.psp_per_pa_mv).abs() < 1e-5, "{}", c.model.id);
        // 0.345 mV for most cells; lowered by up to half for eleven cells of layer 4.
        assert!((0.17..0.3451).contains(&w.psp_mv), "{}: {}", c.model.id, w.psp_mv);
    }
    assert_eq!(t.lgn_weights.iter().filter(|w| w.psp_mv < 0.344).count(), 11);
    assert!(t.background_weights.iter().all(|w| w.weight_pa > 0.0));
}

#[test]
fn targets_ascend_and_the_splits_share_no_session() {
    let t = tables();
    assert_eq!(t.sessions.len(), 38);
    assert_eq!(t.sessions.iter().flat_map(|s| s.n_units).sum::<usize>(), 2_294);
    let of = |split| t.sessions.iter().filter(move |s| s.split == split);
    assert!(of(Split::Train).all(|s| of(Split::HeldOut).all(|h| h.id != s.id)));
    assert_eq!((of(Split::Train).count(), of(Split::HeldOut).count()), (30, 8));
    for kind in ["brain_observatory_1.1", "functional_connectivity"] {
        assert_eq!(of(Split::HeldOut).filter(|s| s.session_type == kind).count(), 4, "{kind}");
    }
    for target in &t.targets {
        assert!(target.quantiles.windows(2).all(|q| q[0] <= q[1]));
        assert!(target.quantiles[0] < target.quantiles[target.quantiles.len() - 1]);
        let minimum = if target.split == Split::Train { 10 } else { 5 };
        assert!(target.n_units >= minimum && target.n_sessions <= target.n_units);
    }
    for (ix, name) in CELL_TYPES.iter().enumerate() {
        for quantity in Quantity::ALL {
            let both = Split::ALL.map(|split| t.target(ix, quantity, split));
            let is_rare = ["SST", "VIP", "Inh"].iter().any(|kind| name.ends_with(kind));
            let is_selectivity = matches!(quantity, Quantity::Osi | Quantity::Dsi);
            // Too few tagged units saw the gratings that selectivity is measured with.
            let n_wanted = if is_rare && is_selectivity { 0 } else { 2 };
            assert_eq!(both.iter().flatten().count(), n_wanted, "{name} {quantity:?}");
            if let [Some(train), Some(held_out)] = both {
                assert_eq!(train.recorded_types, held_out.recorded_types);
            }
        }
    }
    let n = |name, split| t.target(cell_type_ix(name), Quantity::EvokedRate, split).unwrap().n_units;
    assert_eq!(n("L5_ET", Split::Train), n("L5_IT", Split::Train));
    assert_eq!(n("L5_NP", Split::Train) + n("L5_NP", Split::HeldOut), 716);
}

/// The quantiles stand for the units: a coarse tail would shift the mean that the loss asks for.
#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn the_quantiles_keep_the_mean_of_the_recorded_units() {
    let data = published_files();
    let t = tables();
    let targets = FunctionTargets::from_tables(&t, Split::Train).unwrap();
    let file = data.join("function/neuropixels_units.csv");
    let units: Vec<HashMap<String, String>> =
        csv::Reader::from_path(file).unwrap().deserialize().map(|unit| unit.unwrap()).collect();
    let in_train = |unit: &HashMap<String, String>| {
        t.sessions.iter().any(|s| s.split == Split::Train && s.id == unit["session_id"])
    };
    let mut n_compared = 0;
    for (column, all) in [
        ("Ave_Rate(Hz)", &targets.rate_evoked_hz),
        ("Spont_Rate(Hz)", &targets.rate_spontaneous_hz),
        ("OSI", &targets.osi),
        ("DSI", &targets.dsi),
    ] {
        for target in all.iter().filter(|target| target.n_units >= 50) {
            let of_type =
                |unit: &&HashMap<String, String>| unit["cell_type"].replace(' ', "_") == target.name;
            let values: Vec<f64> = units
                .iter()
                .filter(|unit| in_train(unit))
                .filter(of_type)
                .filter_map(|unit| unit[column].parse().ok())
                .collect();
            assert_eq!(values.len(), target.n_units, "{column} {}", target.name);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let ratio = target.quantiles.mean() / mean;
            assert!((ratio - 1.0).abs() < 0.03, "{column} {}: {ratio}", target.name);
            n_compared += 1;
        }
    }
    assert!(n_compared >= 20, "{n_compared}");
}

#[test]
fn every_table_names_its_source_units_and_licence() {
    for entry in std::fs::read_dir(root().join("scenes/v1")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "csv") {
            let text = std::fs::read_to_string(&path).unwrap();
            let heads: Vec<&str> = text.lines().take(3).filter_map(|l| l.split(": ").next()).collect();
            assert_eq!(heads, ["# source", "# units", "# licence"], "{}", path.display());
        }
    }
}

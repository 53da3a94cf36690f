//! Networks from EM tables: a large one against an independent count, CSV and Parquet alike, every fault counted and refused.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/em_table.rs"]
mod em_table;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use common::program::simrun;
use em_table::{CellRow, SynapseRow, make, write_csv, write_parquet};
use simrun::network::em::{EmNetwork, read_em};
use simrun::network::scene::EmScene;

fn scene(extension: &str) -> EmScene {
    let text = format!("(cells: \"cells.{extension}\", synapses: \"synapses.{extension}\")");
    simrun::scene::from_ron(Path::new("scene"), &text).unwrap()
}

fn read(dir: &Path, extension: &str) -> EmNetwork {
    read_em(&scene(extension), dir, 300.0, &common::tables(), 1).unwrap()
}

#[test]
fn a_large_table_is_merged_as_an_independent_count_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (cells, synapses) = make(&common::tables(), 20_000, 5_000_000, 220.0);
    write_csv(dir.path(), &cells, &synapses).unwrap();
    write_parquet(dir.path(), &cells, &synapses).unwrap();
    let em = read(dir.path(), "csv");
    assert!(em == read(dir.path(), "parquet"), "CSV and Parquet give different networks");
    assert_eq!((em.report.n_cells, em.report.n_neurons, em.report.n_synapses), (20_000, 20_000, 5_000_000));
    let r = &em.report;
    assert_eq!(r.axons_without_cell + r.targets_without_cell + r.bad_sizes + r.to_itself + r.outside, 0);

    let mut pairs: HashMap<(u64, u64), (u32, f64)> = HashMap::new();
    for synapse in &synapses {
        let pair = pairs.entry((synapse.pre_id, synapse.post_id)).or_default();
        pair.0 += 1;
        pair.1 += synapse.size;
    }
    assert_eq!(em.edges.len(), pairs.len());
    assert_eq!(em.edges.iter().map(|e| u64::from(e.n_synapses)).sum::<u64>(), 5_000_000);
    assert!(em.edges.iter().any(|e| e.n_synapses > 3));
    assert!(em.edges.is_sorted_by_key(|e| (e.target, e.source)));
    // Neurons have no ids any more: a cell is known by its place, which no two share.
    let centre = [0, 2].map(|k| cells.iter().map(|c| 1e-3 * c.nm[k]).sum::<f64>() / cells.len() as f64);
    let place = |x: f64, z: f64| ((x * 50.0).round() as i64, (z * 50.0).round() as i64);
    let mut id_at: HashMap<(i64, i64), Vec<u64>> = HashMap::new();
    for cell in &cells {
        id_at
            .entry(place(1e-3 * cell.nm[0] - centre[0], 1e-3 * cell.nm[2] - centre[1]))
            .or_default()
            .push(cell.id);
    }
    let id_of = |neuron: u32| {
        let [x, z] = [&em.neurons.x_um, &em.neurons.z_um].map(|at| f64::from(at[neuron as usize]));
        match id_at.get(&place(x, z)).map(Vec::as_slice) {
            Some([id]) => Some(*id),
            _ => None,
        }
    };
    let mut n_compared = 0;
    for edge in em.edges.iter().step_by(7) {
        let (Some(pre), Some(post)) = (id_of(edge.source), id_of(edge.target)) else { continue };
        let (n, size) = pairs[&(pre, post)];
        assert!(
            edge.n_synapses == n && (f64::from(edge.size) / size - 1.0).abs() < 1e-5,
            "{edge:?} {n} {size}"
        );
        n_compared += 1;
    }
    assert!(n_compared > 300_000, "{n_compared}");
    // Cell types are the table's, in order.
    assert!(em.neurons.cell_type_ix.is_sorted() && em.neurons.model_ix.is_sorted());
    for (cell_type_ix, name) in simrun::network::CELL_TYPES.iter().enumerate() {
        let own = em.neurons.cell_type_ix.iter().filter(|t| usize::from(**t) == cell_type_ix).count();
        assert_eq!(own, cells.iter().filter(|c| c.cell_type == *name).count(), "{name}");
    }
}

fn cell(id: u64, cell_type: &str, x: f64) -> CellRow {
    CellRow { id, cell_type: cell_type.to_owned(), nm: [x, 5e5, 0.0] }
}

/// Four good cells, one each of another name, an unknown type, a twin, one far away, one without place, one of no segment, one a glia;
/// synapses of every kind.
fn faulty() -> (Vec<CellRow>, Vec<SynapseRow>) {
    let cells = vec![
        cell(1, "L4_Exc", 1e3),
        cell(2, "L4_PV", -1e3),
        cell(3, "L2/3_Exc", 2e3),
        cell(4, "23P", -2e3),
        cell(5, "neuroid", 3e3),
        cell(1, "L4_PV", -3e3),
        cell(6, "L4_Exc", 9e5),
        cell(7, "L4_Exc", f64::NAN),
        cell(0, "L4_Exc", 4e3),
        cell(0, "L4_PV", 5e3),
        cell(8, "Microglia", 6e3),
    ];
    let synapse = |pre_id, post_id, size| SynapseRow { pre_id, post_id, size };
    let synapses = vec![
        synapse(1, 2, 10.0),
        synapse(1, 2, 5.0),
        synapse(4, 3, 7.0),
        synapse(2, 1, 1.0),
        synapse(1, 99, 3.0),
        synapse(98, 97, 3.0),
        synapse(1, 3, f64::NAN),
        synapse(1, 3, -1.0),
        synapse(2, 2, 4.0),
        synapse(5, 1, 4.0),
        synapse(1, 6, 4.0),
        synapse(0, 1, 4.0),
        synapse(1, 0, 4.0),
        synapse(0, 99, 4.0),
        synapse(8, 1, 4.0),
    ];
    (cells, synapses)
}

#[test]
fn every_fault_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (cells, synapses) = faulty();
    write_csv(dir.path(), &cells, &synapses).unwrap();
    write_parquet(dir.path(), &cells, &synapses).unwrap();
    for extension in ["csv", "parquet"] {
        let scene = EmScene {
            cell_types: BTreeMap::from([("23P".to_owned(), "L2/3_Exc".to_owned())]),
            max_faulty: 0.5,
            ..scene(extension)
        };
        // The far cell draws the centre to itself: a radius that holds the four and not that one.
        let em = read_em(&scene, dir.path(), 500.0, &common::tables(), 1).unwrap();
        let r = &em.report;
        assert_eq!((r.n_cells, r.unknown_cell_types, r.duplicate_ids), (11, 1, 1), "{r:?}");
        assert_eq!((r.cells_of_no_segment, r.types_left_out), (2, 1), "{r:?}");
        assert_eq!((r.bad_positions, r.outside, r.n_neurons), (1, 1, 4), "{r:?}");
        assert_eq!(r.unknown_names, ["neuroid"]);
        assert_eq!((r.n_synapses, r.synapses_of_no_segment, r.bad_sizes), (15, 3, 2), "{r:?}");
        assert_eq!((r.axons_without_cell, r.targets_without_cell), (1, 1), "{r:?}");
        assert_eq!((r.to_itself, r.of_left_out, r.n_edges), (1, 3, 3), "{r:?}");
        let merged: Vec<(u32, f32)> = em.edges.iter().map(|e| (e.n_synapses, e.size)).collect();
        assert!(merged.contains(&(2, 15.0)) && merged.contains(&(1, 7.0)) && merged.contains(&(1, 1.0)));
        for words in [
            "4 neurons of 11 cells",
            "2 with id 0",
            "1 of types left out",
            "neuroid",
            "1 duplicate",
            "1 of axons without a cell",
            "2 of no size",
        ] {
            assert!(r.line().contains(words), "'{words}' is not in {}", r.line());
        }
    }
}

fn em_setting(dir: &Path, extension: &str, more: &str) -> String {
    let path = |name: &str| dir.join(format!("{name}.{extension}")).to_str().unwrap().to_owned();
    format!("network.em=(cells: {:?}, synapses: {:?}{more})", path("cells"), path("synapses"))
}

#[test]
fn faults_beyond_the_limit_and_broken_tables_stop_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (cells, synapses) = faulty();
    write_csv(dir.path(), &cells, &synapses).unwrap();
    let refused = |setting: &str, words: &[&str]| {
        let radius = ["--set", "network.radius_um=500", "--set", "network.core_radius_um=500"];
        let output =
            simrun(&[&["tests/scenes/v1_4k.ron", "--dry-run", "--set", setting], &radius[..]].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        for word in words {
            assert!(message.contains(word), "'{word}' is not in:\n{message}");
        }
    };
    let set = |more: &str| em_setting(dir.path(), "csv", more);
    refused(
        &set(""),
        &["cells.csv", "4 of 11 rows are faulty", "max_faulty", "0.01", "neuroid", "network.em.leave_out"],
    );
    refused(&set(", columns: (size: \"psd\")"), &["cells.csv", "faulty"]);
    refused(&set(", max_faulty: 2"), &["network.em.max_faulty"]);
    let named = ", cell_types: {\"23P\": \"L2/3_Exc\"}, max_faulty: 0.3";
    refused(&set(&named.replace("0.3", "0.2")), &["cells.csv", "3 of 11 rows"]);
    let kept = named.replace("0.3", "0.2, leave_out: [\"NEUROID\"]");
    refused(&set(&kept), &["cells.csv", "3 of 11 rows", "Microglia"]);
    refused(&set(", nm_per_unit: [4, 40]"), &["network.em.nm_per_unit", "one number, three"]);
    refused(&set(", nm_per_unit: [4, 4, 0]"), &["network.em.nm_per_unit[2]", "above 0"]);
    refused(
        &set(&format!("{named}, columns: (size: \"psd\")")),
        &["synapses.csv", "no column 'psd'", "pre_id"],
    );
    fs::write(dir.path().join("synapses.csv"), "pre_id,post_id,size\n1,2,3\nNA,2,3\n").unwrap();
    refused(&set(named), &["synapses.csv", "1 of 2 rows are faulty", "1 without id"]);
    fs::write(dir.path().join("synapses.csv"), "pre_id,post_id,size\n97,98,3\n1,98,3\n0,1,4\n").unwrap();
    refused(&set(named), &["synapses.csv", "none of 3 synapses joins two cells", "same kind of ids"]);
    fs::write(dir.path().join("synapses.csv"), "pre_id,post_id,size\n1,2,3\n1,two,3\n").unwrap();
    refused(&set(named), &["synapses.csv", "line 3", "post_id", "'two'"]);
    fs::remove_file(dir.path().join("synapses.csv")).unwrap();
    refused(&set(named), &["network.em.synapses", "no such file"]);
}

#[test]
fn a_network_of_em_tables_trains_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let (cells, synapses) = make(&common::tables(), 300, 6_000, 40.0);
    write_parquet(dir.path(), &cells, &synapses).unwrap();
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    let em = em_setting(dir.path(), "parquet", "");
    let settings = [
        em.as_str(),
        "network.radius_um=50",
        "network.core_radius_um=50",
        "time.duration_ms=100",
        "trials.start=Rest",
        "optimiser.training_steps=2",
        "optimiser.warmup_steps=0",
        "evaluate.every_steps=0",
        "evaluate.n_trials=1",
        "evaluate.directions_deg=[0]",
        "losses.selectivity=None",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|s| ["--set", s]).collect();
    let output = simrun(&[&["tests/scenes/v1_4k.ron", "--steps", "1", "--out", run], &settings[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("EM tables: 300 neurons of 300 cells"), "{said}");
    // From its own folder, where the tables are named in full.
    let scene = format!("{run}/scene.ron");
    let output = simrun(&[&scene, "--quiet", "--resume", run]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metrics = fs::read_to_string(format!("{run}/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2);
}

#[test]
fn a_synapse_that_is_there_twice_counts_once_and_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let cells = "id,cell_type,x,y,z\n1,L4_Exc,0,0,0\n2,L4_PV,1,1,1\n";
    fs::write(dir.path().join("cells.csv"), cells).unwrap();
    let write = |head: &str, rows: &[&str]| {
        fs::write(dir.path().join("synapses.csv"), format!("{head}\n{}\n", rows.join("\n"))).unwrap();
    };
    let em = |max_faulty: f64| {
        let scene = EmScene { max_faulty, ..scene("csv") };
        read_em(&scene, dir.path(), 300.0, &common::tables(), 1)
    };
    let edges = |em: &EmNetwork| em.edges.iter().map(|e| (e.n_synapses, e.size)).collect::<Vec<_>>();
    // 501 and 502 join the same pair; 501 is there again, as where parts of a query overlap.
    let rows = ["501,1,2,5,t", "502,1,2,7,t", "501,1,2,5,t", "503,2,1,3,t"];
    write("id,pre_pt_root_id,post_pt_root_id,size,valid", &rows);
    let network = em(0.25).unwrap();
    assert_eq!(edges(&network), [(1, 3.0), (2, 12.0)], "{:?}", network.report);
    assert_eq!(network.report.duplicate_synapse_ids, 1);
    assert!(network.report.line().contains("(1 duplicate ids)"), "{}", network.report.line());
    let message = em(0.2).unwrap_err().to_string();
    assert!(message.contains("synapses.csv") && message.contains("1 of 4 rows are faulty"), "{message}");
    // A row that was withdrawn takes no id away from its new version.
    write("id,pre_id,post_id,size,valid", &["501,1,2,5,f", "501,1,2,6,t"]);
    assert_eq!(edges(&em(0.0).unwrap()), [(1, 6.0)]);
    // Without ids two like rows are two synapses.
    write("pre_id,post_id,size", &["1,2,5", "1,2,5"]);
    assert_eq!(edges(&em(0.0).unwrap()), [(2, 10.0)]);
}

#[test]
fn rows_that_are_withdrawn_and_axons_of_no_cell_are_no_faults() {
    let dir = tempfile::tempdir().unwrap();
    let cells = "id,cell_type,x,y,z,valid\n1,L4_Exc,0,0,0,t\n2,L4_PV,1,1,1,True\n3,L4_PV,1,1,1,f\n";
    fs::write(dir.path().join("cells.csv"), cells).unwrap();
    // Nine of ten axons have no cell in the table, as in every volume; one synapse onto something else, one withdrawn.
    let mut synapses = "pre_id,post_id,size,valid\n1,2,5,t\n2,99,5,t\n1,2,7,f\n3,1,7,t\n".to_owned();
    synapses.extend((100..127).map(|id| format!("{id},1,3,t\n")));
    fs::write(dir.path().join("synapses.csv"), synapses).unwrap();
    let em = read(dir.path(), "csv");
    let r = &em.report;
    assert_eq!((r.n_cells, r.withdrawn_cells, r.n_neurons), (3, 1, 2), "{r:?}");
    assert_eq!((r.n_synapses, r.withdrawn_synapses, r.axons_without_cell), (31, 1, 28), "{r:?}");
    assert_eq!((r.targets_without_cell, r.n_edges), (1, 1), "{r:?}");
    assert_eq!((em.edges[0].n_synapses, em.edges[0].size), (1, 5.0));
    assert!(r.line().contains("28 of axons without a cell in the table"), "{}", r.line());
}

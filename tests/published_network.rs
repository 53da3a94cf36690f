//! Our rules against a network that the published builder made (`sonata/v1_r100`: 4,239 neurons within 100 um, a core of
//! 50 um): its neurons and LGN units, connected by us, must have edges and weights like its own.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use rust_hdf5::{H5File, ReadNumeric};
use simrun::network::lgn_units::LgnUnits;
use simrun::network::tables::Tables;
use simrun::network::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, N_CELL_TYPES, N_CLASSES, Network, NetworkSpec, Neurons, UnitPsps,
    class_is_inhibitory, connect, expected_edges, target_neuron,
};

const CORE_RADIUS_UM: f64 = 50.0;

fn column<T: ReadNumeric>(file: &Path, dataset: &str) -> Vec<T> {
    let h5 = H5File::open(file).expect("an HDF5 file");
    let read = h5.dataset(dataset).and_then(|d| d.read_numeric_as::<T>());
    read.unwrap_or_else(|e| panic!("{}: {dataset}: {e}", file.display()))
}

fn column_f32(file: &Path, dataset: &str) -> Vec<f32> {
    column::<f64>(file, dataset).into_iter().map(|v| v as f32).collect()
}

/// An edge of the published network with the signed weight in pA.
struct Edge {
    source: usize,
    target: usize,
    edge_type: usize,
    weight_pa: f64,
}

/// The published network beside the one that our rules make of its neurons and units.
struct Pair {
    tables: Tables,
    units: LgnUnits,
    recurrent: Vec<Edge>,
    /// One entry a synapse.
    lgn: Vec<Edge>,
    /// PSP in mV of 1 pA by edge type, signed.
    psp_per_pa_mv: HashMap<usize, f64>,
    unit_psps: UnitPsps,
    ours: Network,
}

fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| read(&common::published_file("sonata/v1_r100/network")))
}

fn read(folder: &Path) -> Pair {
    let tables = common::tables();
    let neurons = read_neurons(folder, &tables);
    let units = read_units(folder, &tables);
    let (psp_per_pa_mv, unit_psps) = read_psps(folder, &tables);
    let spec = NetworkSpec { radius_um: 100.0, core_radius_um: CORE_RADIUS_UM, ..NetworkSpec::published(5) };
    let ours = connect(&spec, &tables, &unit_psps, neurons, &units).expect("connects");
    Pair {
        recurrent: read_edges(&folder.join("v1_v1_edges.h5"), "v1_to_v1"),
        lgn: read_edges(&folder.join("lgn_v1_edges.h5"), "lgn_to_v1"),
        tables,
        units,
        psp_per_pa_mv,
        unit_psps,
        ours,
    }
}

fn read_neurons(folder: &Path, tables: &Tables) -> Neurons {
    let file = folder.join("v1_nodes.h5");
    let model_of = |id: u64| tables.cell_ix(id).expect("a cell model of the tables");
    let models: Vec<usize> = column(&file, "nodes/v1/node_type_id").into_iter().map(model_of).collect();
    let population = |model: &usize| tables.cells[*model].model.population_ix as u8;
    let property = |name: &str| column_f32(&file, &format!("nodes/v1/0/{name}"));
    Neurons {
        model_ix: models.iter().map(|&m| m as u16).collect(),
        population_ix: models.iter().map(population).collect(),
        cell_type_ix: models.iter().map(|&m| tables.cells[m].model.cell_type_ix as u8).collect(),
        x_um: property("x"),
        y_um: property("y"),
        z_um: property("z"),
        tuning_angle_deg: property("tuning_angle"),
        target_n_synapses: property("target_sizes"),
    }
}

/// LGN units; node type 100 is the first class of the table.
fn read_units(folder: &Path, tables: &Tables) -> LgnUnits {
    let types = std::fs::read_to_string(folder.join("lgn_node_types.csv")).expect("lgn_node_types.csv");
    let rows: Vec<Vec<&str>> = types.lines().map(|l| l.split(' ').collect()).collect();
    let column_ix = |name: &str| rows[0].iter().position(|c| *c == name).expect("a column");
    let (id, name) = (column_ix("node_type_id"), column_ix("pop_name"));
    let class_of: HashMap<u64, u8> = rows[1..]
        .iter()
        .map(|row| {
            let class = tables.lgn_units.iter().position(|c| c.name == row[name]).expect("a class");
            (row[id].parse().expect("an id"), class as u8)
        })
        .collect();
    let file = folder.join("lgn_nodes.h5");
    let property = |name: &str| column_f32(&file, &format!("nodes/lgn/0/{name}"));
    LgnUnits {
        class_ix: column(&file, "nodes/lgn/node_type_id").into_iter().map(|id| class_of[&id]).collect(),
        x_deg: property("x"),
        y_deg: property("y"),
        size_deg: property("spatial_size"),
        tuning_angle_deg: property("tuning_angle"),
        subfield_separation_deg: property("sf_sep"),
    }
}

/// The published PSP of 1 pA by edge type, and the same figures by cell model and class.
fn read_psps(folder: &Path, tables: &Tables) -> (HashMap<usize, f64>, UnitPsps) {
    let text = std::fs::read_to_string(folder.join("v1_v1_edge_types.csv")).expect("v1_v1_edge_types.csv");
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split(' ').collect()).collect();
    let column_ix = |name: &str| rows[0].iter().position(|c| *c == name).expect("a column");
    let quoted = |query: &str| query.split('\'').nth(1).expect("a quoted name").to_string();
    let mut psps = vec![[1.0; N_CLASSES]; tables.cells.len()];
    let mut by_edge_type = HashMap::new();
    for row in &rows[1..] {
        let psp_mv: f64 = row[column_ix("PSP_correction")].parse().expect("a number");
        by_edge_type.insert(row[column_ix("edge_type_id")].parse().expect("an id"), psp_mv);
        let model = quoted(row[column_ix("target_query")]).parse().expect("a model id");
        let source = quoted(row[column_ix("source_query")]);
        let source = tables.populations.iter().find(|p| p.name == source).expect("a population");
        let model_ix = tables.cell_ix(model).expect("a cell model of the tables");
        psps[model_ix][CLASS_OF_SOURCE_TYPE[source.cell_type_ix]] = psp_mv.abs();
    }
    (by_edge_type, UnitPsps { of_mode_mv: psps.clone(), of_point_mv: psps })
}

fn read_edges(file: &Path, name: &str) -> Vec<Edge> {
    let indices = |property: &str| column::<u64>(file, &format!("edges/{name}/{property}"));
    let (sources, targets) = (indices("source_node_id"), indices("target_node_id"));
    let types = indices("edge_type_id");
    let weights = column::<f64>(file, &format!("edges/{name}/0/syn_weight"));
    (0..sources.len())
        .map(|i| Edge {
            source: sources[i] as usize,
            target: targets[i] as usize,
            edge_type: types[i] as usize,
            weight_pa: weights[i],
        })
        .collect()
}

/// Our edges of a range of sources by (source, target).
fn our_edges(network: &Network, sources: std::ops::Range<usize>) -> HashMap<(usize, usize), f64> {
    sources
        .flat_map(|source| {
            let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
            row.map(move |e| {
                let target = target_neuron(network.rows.targets[e]) as usize;
                ((source, target), f64::from(network.rows.weights[e]))
            })
        })
        .collect()
}

#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn published_edges_scatter_about_our_rule() {
    let pair = pair();
    let neurons = &pair.ours.neurons;
    let expected = expected_edges(&pair.tables, neurons, 0..neurons.len(), CORE_RADIUS_UM);
    let mut drawn = [[0u32; N_CELL_TYPES]; N_CELL_TYPES];
    let type_of = |neuron: usize| pair.ours.neurons.cell_type_ix[neuron] as usize;
    for edge in &pair.recurrent {
        drawn[type_of(edge.source)][type_of(edge.target)] += 1;
    }
    let (mut n, mut sum, mut sum_squares, mut total) = (0.0, 0.0, 0.0, (0.0, 0.0));
    for source in 0..N_CELL_TYPES {
        for target in 0..N_CELL_TYPES {
            let e = expected[source][target];
            total = (total.0 + e.mean, total.1 + e.variance);
            if e.variance >= 10.0 {
                let z: f64 = (f64::from(drawn[source][target]) - e.mean) / e.variance.sqrt();
                let pair = format!("{} to {}", CELL_TYPES[source], CELL_TYPES[target]);
                assert!(
                    z.abs() < 4.5,
                    "{pair}: {} drawn, {:.1} expected, z = {z:.2}",
                    drawn[source][target],
                    e.mean
                );
                (n, sum, sum_squares) = (n + 1.0, sum + z, sum_squares + z * z);
            }
        }
    }
    let z_total = (pair.recurrent.len() as f64 - total.0) / f64::sqrt(total.1);
    println!(
        "{n} pair types: mean of z {:.3}, mean square {:.3}; {} edges in all, {:.0} expected, z = {z_total:.2}",
        sum / n,
        sum_squares / n,
        pair.recurrent.len(),
        total.0
    );
    assert!(z_total.abs() < 4.0, "{} edges in all, {:.0} expected", pair.recurrent.len(), total.0);
    assert!(
        (sum_squares / n - 1.0).abs() < 4.0 * f64::sqrt(2.0 / n),
        "mean square of z {:.3}",
        sum_squares / n
    );
}

/// Between excitatory neurons a weight has no random part, so on edges that both networks drew it must be the same.
#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn weights_between_excitatory_neurons_are_the_published_ones() {
    let pair = pair();
    let neurons = &pair.ours.neurons;
    let ours = our_edges(&pair.ours, 0..neurons.len());
    let mut n = 0;
    for edge in &pair.recurrent {
        let excitatory =
            |neuron: usize| !class_is_inhibitory(CLASS_OF_SOURCE_TYPE[neurons.cell_type_ix[neuron] as usize]);
        if let (true, true, Some(weight)) =
            (excitatory(edge.source), excitatory(edge.target), ours.get(&(edge.source, edge.target)))
        {
            // Angles are f32 here, and the quantile is steep where directions are alike.
            let off = (weight / edge.weight_pa).ln().abs();
            assert!(
                off < 1e-4,
                "neuron {} to {}: {weight} pA, published {} pA",
                edge.source,
                edge.target,
                edge.weight_pa
            );
            n += 1;
        }
    }
    println!("{n} edges in common");
    assert!(n > 3000, "only {n} edges in common");
}

/// Mean and spread of the logarithm of PSPs per pair type, over all edges.
#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn weights_are_distributed_as_published() {
    let pair = pair();
    let neurons = &pair.ours.neurons;
    let type_of = |neuron: usize| neurons.cell_type_ix[neuron] as usize;
    let mut published = vec![Vec::new(); N_CELL_TYPES * N_CELL_TYPES];
    let mut ours = published.clone();
    for edge in &pair.recurrent {
        let unit_mv = pair.psp_per_pa_mv[&edge.edge_type];
        assert!(edge.weight_pa * unit_mv > 0.0);
        published[type_of(edge.source) * N_CELL_TYPES + type_of(edge.target)]
            .push((edge.weight_pa * unit_mv).ln());
    }
    for (&(source, target), weight) in &our_edges(&pair.ours, 0..neurons.len()) {
        let class = CLASS_OF_SOURCE_TYPE[type_of(source)];
        let unit_mv = pair.unit_psps.of_mode_mv[neurons.model_ix[target] as usize][class];
        ours[type_of(source) * N_CELL_TYPES + type_of(target)].push((weight * unit_mv).ln());
    }
    let moments = |v: &[f64]| {
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        (n, mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
    };
    let mut n_checked = 0;
    for (published, ours) in published.iter().zip(&ours) {
        let ((n, mean, var), (m, our_mean, our_var)) = (moments(published), moments(ours));
        if n < 1000.0 || m < 1000.0 {
            continue;
        }
        // Edges onto one target share its synapse count, so the effective number is smaller: allow 8 standard errors.
        let standard_error = (var / n + our_var / m).sqrt();
        assert!(
            (mean - our_mean).abs() < 8.0 * standard_error,
            "mean of ln PSP {our_mean}, published {mean}"
        );
        assert!((var / our_var - 1.0).abs() < 0.15, "variance of ln PSP {our_var}, published {var}");
        n_checked += 1;
    }
    println!("{n_checked} pair types");
    assert!(n_checked > 50, "only {n_checked} pair types have enough edges");
}

/// The number of LGN units of a neuron follows from its synapse count; its weight a synapse from its model and count.
#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn lgn_edges_are_as_many_and_as_strong_as_published() {
    let pair = pair();
    let n = pair.ours.neurons.len();
    let mut published: HashMap<(usize, usize), (u32, f64)> = HashMap::new();
    for edge in &pair.lgn {
        let of_pair = published.entry((edge.source, edge.target)).or_default();
        *of_pair = (of_pair.0 + 1, edge.weight_pa);
    }
    let mut units = vec![(0i32, 0i32); n];
    let mut per_synapse_pa = vec![(f64::NAN, f64::INFINITY); n];
    for (&(_, target), &(_, weight_pa)) in &published {
        units[target].0 += 1;
        per_synapse_pa[target].0 = weight_pa;
    }
    let ours = our_edges(&pair.ours, n..n + pair.units.len());
    for (&(_, target), &weight) in &ours {
        units[target].1 += 1;
        per_synapse_pa[target].1 = per_synapse_pa[target].1.min(weight);
    }
    // There are about 5,000 units within reach of a neuron; how many it cannot choose depends on whether it draws from ON
    // or OFF units, so where all are taken the numbers differ.
    for (target, &(theirs, ours)) in units.iter().enumerate().filter(|(_, n)| n.0.min(n.1) < 4000) {
        assert_eq!(theirs, ours, "LGN units of neuron {target}, published and ours");
    }
    let of_many = units.iter().zip(&per_synapse_pa).filter(|(n, _)| n.0 >= 20 && n.1 >= 20);
    for (_, (theirs, ours)) in of_many {
        assert!(
            (ours / theirs - 1.0).abs() < 1e-5,
            "weight of an LGN synapse {ours} pA, published {theirs} pA"
        );
    }
    let (pairs, our_pairs) = (published.len() as f64, ours.len() as f64);
    println!("LGN edges: {our_pairs}, published {pairs}; synapses published {}", pair.lgn.len());
    assert!((our_pairs / pairs - 1.0).abs() < 1e-3);
}

/// Which classes of LGN units a cell type draws from, how far they lie off, and how many synapses a unit makes.
#[test]
#[cfg_attr(not(published_data), ignore = "needs the published data (SIMRUN_SHARED_DATA)")]
fn lgn_edges_are_distributed_as_published() {
    let pair = pair();
    let n = pair.ours.neurons.len();
    let mut published: HashMap<(usize, usize), f64> = HashMap::new();
    for edge in &pair.lgn {
        *published.entry((edge.source, edge.target)).or_default() += edge.weight_pa;
    }
    let shift = |edges: &HashMap<(usize, usize), f64>, first: usize| {
        edges.iter().map(|(&(unit, target), &weight)| (unit - first, target, weight)).collect::<Vec<_>>()
    };
    let theirs = summarise_lgn(pair, &shift(&published, 0));
    let ours = summarise_lgn(pair, &shift(&our_edges(&pair.ours, n..n + pair.units.len()), n));
    for (cell_type, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        let name = CELL_TYPES[cell_type];
        println!("{name:>9}: ours {ours:.3?}\n           published {theirs:.3?}");
        // Neurons choose ON or OFF and a frequency as a whole: the standard error of a share is that over neurons.
        let limit = 4.5 * (0.25 / theirs.n_neurons).sqrt() + 0.005;
        for (a, b) in ours.class_shares.iter().zip(&theirs.class_shares) {
            assert!((a - b).abs() < limit.min(0.2), "{name}: share of a class {a:.3}, published {b:.3}");
        }
        let off = (ours.mean_square_deg / theirs.mean_square_deg - 1.0).abs();
        assert!(off < 0.02 + 0.3 / theirs.n_neurons.sqrt(), "{name}: distance off by {off:.3}");
        let off = (ours.push_pull_deg - theirs.push_pull_deg).abs();
        assert!(off < 0.1 + 10.0 / theirs.n_neurons.sqrt(), "{name}: push-pull off by {off:.3} deg");
        let off = (ours.synapses_per_unit / theirs.synapses_per_unit - 1.0).abs();
        assert!(off < 0.03 + 6.0 / theirs.n_edges.sqrt(), "{name}: synapses a unit off by {off:.3}");
    }
}

/// What characterises the LGN edges onto one cell type.
#[derive(Clone, Debug, Default)]
struct LgnSummary {
    n_neurons: f64,
    n_edges: f64,
    class_shares: Vec<f64>,
    /// Mean squared distance of a unit from the place that the neuron looks at, deg^2.
    mean_square_deg: f64,
    /// Mean displacement along the preferred direction of sustained ON units less that of transient OFF units, deg.
    push_pull_deg: f64,
    synapses_per_unit: f64,
}

fn summarise_lgn(pair: &Pair, edges: &[(usize, usize, f64)]) -> Vec<LgnSummary> {
    let neurons = &pair.ours.neurons;
    let mut least = vec![f64::INFINITY; neurons.len()];
    for &(_, target, weight) in edges {
        least[target] = least[target].min(weight);
    }
    let n_classes = pair.tables.lgn_units.len();
    let zero = LgnSummary { class_shares: vec![0.0; n_classes], ..LgnSummary::default() };
    let mut summaries = vec![zero; N_CELL_TYPES];
    let mut along = vec![[(0.0, 0.0); 2]; N_CELL_TYPES];
    for &cell_type in &neurons.cell_type_ix {
        summaries[cell_type as usize].n_neurons += 1.0;
    }
    for &(unit, target, weight) in edges {
        let cell_type = neurons.cell_type_ix[target] as usize;
        let summary = &mut summaries[cell_type];
        let class = pair.units.class_ix[unit] as usize;
        let dx = f64::from(pair.units.x_deg[unit]) - (60.0 + 0.07 * f64::from(neurons.x_um[target]));
        let dy = f64::from(pair.units.y_deg[unit]) - (40.0 + 0.04 * f64::from(neurons.z_um[target]));
        summary.n_edges += 1.0;
        summary.class_shares[class] += 1.0;
        summary.mean_square_deg += dx * dx + dy * dy;
        summary.synapses_per_unit += weight / least[target];
        let (sin, cos) = f64::from(neurons.tuning_angle_deg[target]).to_radians().sin_cos();
        for (k, prefix) in ["sON_", "tOFF_"].iter().enumerate() {
            if pair.tables.lgn_units[class].name.starts_with(prefix) {
                let (n, sum) = along[cell_type][k];
                along[cell_type][k] = (n + 1.0, sum + dx * cos + dy * sin);
            }
        }
    }
    for (s, along) in summaries.iter_mut().zip(&along) {
        s.class_shares.iter_mut().for_each(|share| *share /= s.n_edges);
        s.mean_square_deg /= s.n_edges;
        s.synapses_per_unit /= s.n_edges;
        s.push_pull_deg = along[0].1 / along[0].0 - along[1].1 / along[1].0;
    }
    summaries
}

//! The built network: what it is a function of, and whether its edges and weights follow the rules of its tables.

// clippy's exemption for tests does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use rayon::prelude::*;
use simrun::network::tables::Tables;
use simrun::network::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, ExpectedEdges, N_CELL_TYPES, N_CLASSES, N_SOURCE_TYPES, Network,
    NetworkSpec, SOURCE_TYPE_BACKGROUND, UnitPsps, build, cells_only, class_is_inhibitory, expected_edges,
    place_neurons, psp_laws, target_delay_steps, target_neuron,
};
use simrun::scene::RecurrentWeightsScene;

fn tables() -> Tables {
    Tables::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1"))
        .expect("the shipped tables are good")
}

fn spec(radius_um: f64) -> NetworkSpec {
    NetworkSpec { radius_um, core_radius_um: 0.5 * radius_um, ..NetworkSpec::published(1) }
}

/// Unit PSPs that differ from model to model and class to class, and from mode to mode.
fn unit_psps(tables: &Tables) -> UnitPsps {
    let of = |scale: f64| {
        let row = |model_ix: usize| {
            std::array::from_fn(|class_ix| scale * (1.0 + (model_ix + class_ix) as f64 % 7.0))
        };
        (0..tables.cells.len()).map(row).collect::<Vec<[f64; N_CLASSES]>>()
    };
    UnitPsps { of_mode_mv: of(0.3), of_point_mv: of(0.02) }
}

fn built(radius_um: f64) -> (Tables, Network) {
    let tables = tables();
    let network = build(&spec(radius_um), &tables, &unit_psps(&tables)).expect("builds");
    (tables, network)
}

/// Calls `visit(source, target, weight)` for every edge.
fn for_each_edge(network: &Network, mut visit: impl FnMut(usize, usize, f64)) {
    for source in 0..network.n_sources() {
        for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let target = target_neuron(network.rows.targets[edge]) as usize;
            visit(source, target, f64::from(network.rows.weights[edge]));
        }
    }
}

#[test]
fn a_network_is_a_function_of_the_seed_not_of_the_threads() {
    let tables = tables();
    let of_threads = |n_threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a thread pool");
        let spec = NetworkSpec { seed, ..spec(80.0) };
        pool.install(|| build(&spec, &tables, &unit_psps(&tables)).expect("builds"))
    };
    let one = of_threads(1, 1);
    assert!(one == of_threads(2, 1), "one thread and two build different networks");
    assert!(one == of_threads(5, 1), "one thread and five build different networks");
    assert!(one != of_threads(2, 2), "the seed does not matter");
}

#[test]
fn rows_are_well_formed() {
    let (_, network) = built(80.0);
    assert_eq!(network.rows.offsets.len(), network.n_sources() + 1);
    assert_eq!(network.rows.offsets[network.n_sources()] as usize, network.rows.n_edges());
    let n = network.neurons.len();
    let mut last = None;
    for_each_edge(&network, |source, target, weight| {
        assert!(target < n && weight > 0.0 && weight.is_finite());
        assert!(source != target, "neuron {source} connects to itself");
        assert!(last < Some((source, target)), "targets must ascend within a row and occur once");
        last = Some((source, target));
    });
}

#[test]
fn every_edge_has_the_delay_of_its_pair_of_types() {
    let (tables, network) = built(60.0);
    let mut seen = std::collections::BTreeSet::new();
    for source in 0..network.n_sources() {
        let source_type = network.source_type(source);
        for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let word = network.rows.targets[edge];
            let expected = tables.delay_steps(source_type, network.neurons.target_cell_type(word), 1.0);
            assert_eq!(target_delay_steps(word), expected, "edge {edge}");
            seen.insert(expected);
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    // The longest delay of the tables is 2.92 ms: 1,460 steps.
    let short = NetworkSpec { dt_ms: 0.002, ..spec(60.0) };
    let error = build(&short, &tables, &unit_psps(&tables)).expect_err("too long a delay").to_string();
    assert!(error.contains("time steps of 0.002 ms") && error.contains("1023"), "{error}");
}

#[test]
fn every_neuron_has_four_background_edges_of_its_models_weight() {
    let (tables, network) = built(80.0);
    let psps = unit_psps(&tables);
    let mut counts = vec![0; network.neurons.len()];
    let mut of_unit = vec![0u32; network.n_background];
    for_each_edge(&network, |source, target, weight| {
        if network.source_type(source) == SOURCE_TYPE_BACKGROUND {
            let model = network.neurons.model_ix[target] as usize;
            let class = CLASS_OF_SOURCE_TYPE[SOURCE_TYPE_BACKGROUND];
            let psp_mv = weight * psps.of_mode_mv[model][class];
            let published_mv = tables.background_weights[model].weight_pa * psps.of_point_mv[model][class];
            assert!((psp_mv / published_mv - 1.0).abs() < 1e-6, "the modes must start from equal PSPs");
            counts[target] += 1;
            of_unit[source - network.neurons.len() - network.n_lgn] += 1;
        }
    });
    assert!(counts.iter().all(|&c| c == 4));
    let p = 4.0 / network.n_background as f64;
    let (mean, n) = (network.neurons.len() as f64 * p, network.n_background as f64);
    let chi2: f64 = of_unit.iter().map(|&c| (f64::from(c) - mean).powi(2) / (mean * (1.0 - p))).sum();
    // A unit's share fluctuates as a binomial number; 99 degrees of freedom since the shares sum up.
    assert!((chi2 - (n - 1.0)).abs() < 4.0 * (2.0 * n).sqrt(), "chi square {chi2} of {n} units");
}

#[test]
fn cells_only_is_one_neuron_of_each_model() {
    let network = cells_only(&tables());
    assert_eq!((network.neurons.len(), network.rows.n_edges(), network.n_sources()), (201, 0, 201));
    assert!((0..201).all(|i| network.neurons.model_ix[i] == i as u16));
    assert_eq!(network.rows.offsets, vec![0; 202]);
}

/// Drawn numbers of edges, `[source type][target cell type]`.
fn drawn(network: &Network) -> [[u64; N_CELL_TYPES]; N_SOURCE_TYPES] {
    let mut counts = [[0; N_CELL_TYPES]; N_SOURCE_TYPES];
    for_each_edge(network, |source, target, _| {
        counts[network.source_type(source)][network.neurons.cell_type_ix[target] as usize] += 1;
    });
    counts
}

/// Checks that drawn numbers scatter about the expected ones as independent Bernoulli draws do: z-scores of pair types
/// where a normal law holds have mean 0 and mean square 1, and none lies far out.
fn assert_drawn_as_expected(expected: &ExpectedEdges, drawn: &[[u64; N_CELL_TYPES]]) {
    let (mut n, mut sum, mut sum_squares) = (0.0, 0.0, 0.0);
    for source in 0..N_CELL_TYPES {
        for target in 0..N_CELL_TYPES {
            let e = expected[source][target];
            if e.variance < 10.0 {
                continue;
            }
            let z: f64 = (drawn[source][target] as f64 - e.mean) / e.variance.sqrt();
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
    println!("{n} pair types: mean of z {:.3}, mean square {:.3}", sum / n, sum_squares / n);
    assert!(n > 250.0, "only {n} pair types have enough edges");
    assert!(
        (sum / n).abs() < 4.0 / n.sqrt(),
        "mean of z {:.3}: the drawn numbers are off in one direction",
        sum / n
    );
    let spread = (sum_squares / n - 1.0) / (2.0 / n).sqrt();
    assert!(
        spread.abs() < 4.0,
        "mean square of z {:.3}: not the scatter of independent draws",
        sum_squares / n
    );
}

#[test]
fn drawn_edges_agree_with_the_rule() {
    let (tables, network) = built(120.0);
    let targets = 0..network.neurons.len();
    let expected = expected_edges(&tables, &network.neurons, targets, spec(120.0).core_radius_um);
    assert_drawn_as_expected(&expected, &drawn(&network)[..N_CELL_TYPES]);
}

/// The published network of 400 um has 24.2 M recurrent edges; here from the expected edges onto every 50th neuron.
#[test]
fn the_network_of_400_um_has_the_published_number_of_edges() {
    let tables = tables();
    let spec = NetworkSpec::published(1);
    let neurons = place_neurons(&tables, spec.radius_um, spec.seed);
    assert_eq!(neurons.len(), 66_652);
    let targets = (0..neurons.len() / 50).into_par_iter().map(|i| 50 * i);
    let expected = expected_edges(&tables, &neurons, targets, spec.core_radius_um);
    let total = 50.0 * expected.as_flattened().iter().map(|e| e.mean).sum::<f64>();
    // The numbers of edges of 1,333 targets vary by about 60 %, which leaves a standard error of 1.7 %.
    println!("{total:.3e} recurrent edges expected");
    assert!((total / 24.2e6 - 1.0).abs() < 0.06, "{total:.3e} recurrent edges expected");
}

/// Median PSPs as asked, `weight * unit PSP * relative size`, whose law is the drawn part of the measured log-normal.
#[test]
fn weights_make_the_psps_that_were_asked_for() {
    let (tables, network) = built(120.0);
    let psps = unit_psps(&tables);
    let laws = psp_laws(&tables);
    let mut psps_mv = vec![vec![Vec::new(); N_CELL_TYPES]; tables.populations.len()];
    for_each_edge(&network, |source, target, weight| {
        let source_type = network.source_type(source);
        if source_type < N_CELL_TYPES {
            let population = network.neurons.population_ix[target] as usize;
            let mean_size = tables.populations[population].n_synapses_mean().floor();
            let size = f64::from(network.neurons.target_n_synapses[target]) / mean_size;
            let unit_mv =
                psps.of_mode_mv[network.neurons.model_ix[target] as usize][CLASS_OF_SOURCE_TYPE[source_type]];
            psps_mv[population][source_type].push(weight * unit_mv * size);
        }
    });
    let mut n_checked = 0;
    for (of_population, laws) in psps_mv.iter_mut().zip(&laws) {
        for (of_pair, law) in of_population.iter_mut().zip(laws) {
            if of_pair.len() < 200 {
                continue;
            }
            of_pair.sort_by(f64::total_cmp);
            // Pairs of one target share its direction, so the quantiles are not quite independent: allow 8 standard
            // errors (that of a median of ln is 1.25 shape / sqrt(n)).
            let median = of_pair[of_pair.len() / 2];
            let off = (median / law.median_mv).ln().abs();
            let limit = 8.0 * 1.25 * law.shape / (of_pair.len() as f64).sqrt() + 1e-6;
            assert!(off < limit, "median {median} mV, asked {} mV (limit {limit} on the log)", law.median_mv);
            n_checked += 1;
        }
    }
    assert!(n_checked > 200, "only {n_checked} pairs have enough edges");
}

/// The same edges as with the measured weights, and one law for each sign: every pair type has the same median.
#[test]
fn pooled_weights_know_nothing_of_pair_types() {
    let (tables, measured) = built(100.0);
    let spec = NetworkSpec { recurrent_weights: RecurrentWeightsScene::Pooled, ..spec(100.0) };
    let pooled = build(&spec, &tables, &unit_psps(&tables)).unwrap();
    assert_eq!(
        (&pooled.rows.offsets, &pooled.rows.targets),
        (&measured.rows.offsets, &measured.rows.targets)
    );
    assert_eq!(pooled.neurons, measured.neurons);
    let first_lgn = pooled.rows.offsets[pooled.neurons.len()] as usize;
    assert_eq!(pooled.rows.weights[first_lgn..], measured.rows.weights[first_lgn..]);
    // Log weight times relative size of the target, by sign and pair type; slope against the difference of directions.
    let mut logs =
        [vec![Vec::new(); N_CELL_TYPES * N_CELL_TYPES], vec![Vec::new(); N_CELL_TYPES * N_CELL_TYPES]];
    let mut differences = Vec::new();
    for_each_edge(&pooled, |source, target, weight| {
        let source_type = pooled.source_type(source);
        if source_type >= N_CELL_TYPES {
            return;
        }
        let population = pooled.neurons.population_ix[target] as usize;
        let size = f64::from(pooled.neurons.target_n_synapses[target])
            / tables.populations[population].n_synapses_mean().floor();
        let inhibitory = class_is_inhibitory(CLASS_OF_SOURCE_TYPE[source_type]);
        let pair = source_type * N_CELL_TYPES + pooled.neurons.cell_type_ix[target] as usize;
        let log = (weight * size).ln();
        logs[usize::from(inhibitory)][pair].push(log);
        if !inhibitory {
            let [a, b] = [source, target].map(|i| f64::from(pooled.neurons.tuning_angle_deg[i]));
            let apart = (a - b).rem_euclid(360.0);
            differences.push((apart.min(360.0 - apart), log));
        }
    });
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for of_sign in &logs {
        let all = of_sign.concat();
        let whole = mean(&all);
        let sd = mean(&all.iter().map(|x| (x - whole).powi(2)).collect::<Vec<f64>>()).sqrt();
        println!("mean of the logarithms {whole:.3}, sd {sd:.3}");
        let pairs = of_sign.iter().filter(|pair| pair.len() >= 200);
        assert!(pairs.clone().count() > 50);
        for pair in pairs {
            let off = (mean(pair) - whole).abs();
            assert!(
                off < 5.0 * sd / (pair.len() as f64).sqrt(),
                "{off} off the mean of {} edges",
                pair.len()
            );
        }
    }
    let (x, y): (Vec<f64>, Vec<f64>) = differences.iter().copied().unzip();
    let (mx, my) = (mean(&x), mean(&y));
    let xx: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    let slope = differences.iter().map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / xx;
    let sd = mean(&y.iter().map(|y| (y - my).powi(2)).collect::<Vec<f64>>()).sqrt();
    assert!(slope.abs() < 5.0 * sd / xx.sqrt(), "like-to-like slope {slope}");
}

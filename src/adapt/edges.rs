//! Weights from one network to another: trained ones on edges that both have, for all others a draw from the law of
//! their pair type.
//!
//! The law of a pair type is what training has made of the logarithms of its weights: their mean and standard
//! deviation before, as built, and after. A new edge keeps its place in it: `ln w = m_after + (sd_after/sd_before)
//! (ln w_built - m_before)`. So what the builder knows of it (its synapse's size, the directions of its cells) stays.
//! An edge that EM tables now show with another size has its weight times the ratio of the sizes.

use super::{Same, TypeMap};
use crate::network::{Network, target_neuron};
use crate::results::CarriedEdges;

/// Below this standard deviation the logarithms of built weights are one value, and their spread tells nothing.
const ONE_VALUE: f64 = 0.01;
/// Fewest edges of a pair type whose spread is taken for that of its law; of fewer the mean alone.
const FEWEST_EDGES: f64 = 30.0;

/// The weights that a network starts with, those of them that edges of the network before have (0 on others), and the
/// counts of edges between neurons, of LGN units and of background units.
pub(super) fn carry(
    before: &Network,
    trained: &[f32],
    network: &Network,
    same: &Same,
    types: &TypeMap,
    log_scales: &[f64],
) -> (Vec<f32>, Vec<f32>, [CarriedEdges; 3]) {
    let laws = laws(before, trained);
    let n_types = network.vocabulary.n_cell_types();
    let mut weights = network.rows.weights.clone();
    let mut kept = vec![0.0; weights.len()];
    let mut counts = kind_ranges(before).map(|range| CarriedEdges {
        dropped: before.rows.offsets[range.end] - before.rows.offsets[range.start],
        ..CarriedEdges::default()
    });
    for (counts, range) in counts.iter_mut().zip(kind_ranges(network)) {
        for source in range {
            let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
            let source_before = same.source(before, network, source);
            for edge in row.clone() {
                let word = network.rows.targets[edge];
                let target = target_neuron(word);
                let twin = source_before.zip(same.neurons[target as usize]).and_then(|(source, twin)| {
                    twin_edge(before, source, twin, place_among_equals(network, row.start, edge))
                });
                if let Some(twin) = twin {
                    let ratio = match (network.em_sizes.get(edge), before.em_sizes.get(twin)) {
                        (Some(now), Some(then)) if now != then && *then > 0.0 => now / then,
                        _ => 1.0,
                    };
                    weights[edge] = trained[twin] * ratio;
                    kept[edge] = weights[edge];
                    counts.matched += 1;
                    counts.resized += u64::from(ratio != 1.0);
                } else {
                    let pair = network.source_type(source) * n_types + network.neurons.target_cell_type(word);
                    let law = types.pairs[pair].and_then(|before| laws[before]);
                    weights[edge] = Law::weight(law, weights[edge], log_scales[pair]);
                    counts.fresh += 1;
                }
            }
        }
        counts.dropped -= counts.matched;
    }
    (weights, kept, counts)
}

/// Sources by kind: neurons, LGN units, background units.
fn kind_ranges(network: &Network) -> [std::ops::Range<usize>; 3] {
    let (n, lgn) = (network.neurons.len(), network.neurons.len() + network.n_lgn);
    [0..n, n..lgn, lgn..network.n_sources()]
}

/// How many edges of the row before this one go to the same target.
fn place_among_equals(network: &Network, row_start: usize, edge: usize) -> usize {
    let targets = &network.rows.targets;
    let target = target_neuron(targets[edge]);
    targets[row_start..edge].iter().rev().take_while(|word| target_neuron(**word) == target).count()
}

/// The edge from a source to a target, the `place`-th of those between them.
fn twin_edge(network: &Network, source: usize, target: u32, place: usize) -> Option<usize> {
    let rows = &network.rows;
    let (start, end) = (rows.offsets[source] as usize, rows.offsets[source + 1] as usize);
    let first = start + rows.targets[start..end].partition_point(|word| target_neuron(*word) < target);
    let edge = first + place;
    (edge < end && target_neuron(rows.targets[edge]) == target).then_some(edge)
}

/// Mean and standard deviation of the logarithms of the weights of a pair type, as built and as trained.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Law {
    built: [f64; 2],
    trained: [f64; 2],
    n_edges: f64,
}

impl Law {
    /// The weight of an edge that was not there before: by the law of its pair type, or else by its pair factor,
    /// which it follows.
    fn weight(law: Option<Self>, built: f32, log_scale: f64) -> f32 {
        // A weight of 0 has no logarithm and stays.
        if built == 0.0 {
            return 0.0;
        }
        let log = f64::from(built).ln();
        let Some(Self { built: [mean, sd], trained: [new_mean, new_sd], n_edges }) = law else {
            return (log + log_scale).exp() as f32;
        };
        let stretch = if sd > ONE_VALUE && n_edges >= FEWEST_EDGES { new_sd / sd } else { 1.0 };
        (new_mean + stretch * (log - mean)).exp() as f32
    }
}

/// The laws of all pair types, `[n_pair_types]`; none of a pair type without edges.
fn laws(network: &Network, trained: &[f32]) -> Vec<Option<Law>> {
    let vocabulary = &network.vocabulary;
    // Number, sums and sums of squares, as built and as trained.
    let mut sums = vec![[0.0_f64; 5]; vocabulary.n_pair_types()];
    for source in 0..network.n_sources() {
        let first_pair = network.source_type(source) * vocabulary.n_cell_types();
        for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let (built, after) = (network.rows.weights[edge], trained[edge]);
            if built > 0.0 && after > 0.0 {
                let sums =
                    &mut sums[first_pair + network.neurons.target_cell_type(network.rows.targets[edge])];
                let [a, b] = [built, after].map(|w| f64::from(w).ln());
                [1.0, a, b, a * a, b * b].iter().zip(sums).for_each(|(x, sum)| *sum += x);
            }
        }
    }
    let law = |[n, a, b, aa, bb]: [f64; 5]| {
        let moments = |sum: f64, squares: f64| {
            let mean = sum / n;
            [mean, (squares / n - mean * mean).max(0.0).sqrt()]
        };
        (n > 0.0).then(|| Law { built: moments(a, aa), trained: moments(b, bb), n_edges: n })
    };
    sums.into_iter().map(law).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_edge_keeps_its_place_in_the_law() {
        let law = Law { built: [1.0, 0.5], trained: [2.0, 1.0], n_edges: 100.0 };
        let weight = |law, built: f64| f64::from(Law::weight(law, built as f32, 0.3));
        // One standard deviation above the mean before and after.
        assert!((weight(Some(law), 1.5_f64.exp()) - 3.0_f64.exp()).abs() < 1e-5);
        // Weights that were all alike, or few, move together.
        for law in [Law { built: [1.0, 0.0], ..law }, Law { n_edges: 2.0, ..law }] {
            assert!((weight(Some(law), 1.5_f64.exp()) - 2.5_f64.exp()).abs() < 1e-5);
        }
        assert!((weight(None, 2.0) - 2.0 * 0.3_f64.exp()).abs() < 1e-6);
        assert_eq!(weight(Some(law), 0.0), 0.0);
    }
}

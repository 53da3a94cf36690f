//! Takes cells out of a network: which ones a scene means, and the network without them.

use super::random::{Draws, Owner};
use super::scene::LesionScene;
use super::{BUILT_POPULATION, NamedNodes, Network, Neurons, NodeNames, Rows, pack_target};
use super::{target_delay_steps, target_neuron};
use crate::model::rng::Stream;

/// What is wrong with a lesion: what the scene asks for, and why it cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LesionFault {
    /// The cell type, class or id.
    pub of: String,
    /// Why, and what would be allowed.
    pub limit: String,
}

/// The neurons of a network that a lesion removes, `[n_neurons]`. Cells of a share are those whose draws, by their
/// ids, are least.
///
/// # Errors
/// A name that no cell type or class has, an id that no cell has, a share of less than half a cell, or a cell type
/// that would be gone.
pub fn lesioned(network: &Network, lesion: &LesionScene, seed: u64) -> Result<Vec<bool>, LesionFault> {
    let (names, neurons) = (network.node_names(), &network.neurons);
    let cell_types = &network.vocabulary.cell_types;
    let mut removed = vec![false; neurons.len()];
    match lesion {
        LesionScene::Share(shares) => {
            let ids = ids(&names);
            for (name, share) in shares {
                let fault = |limit: String| LesionFault { of: name.clone(), limit };
                let is_meant: Vec<bool> = cell_types.iter().map(|cell_type| means(name, cell_type)).collect();
                if !is_meant.contains(&true) {
                    let limit =
                        format!("is no cell type or class; the cell types are {}", cell_types.join(", "));
                    return Err(fault(limit));
                }
                let mut own: Vec<usize> =
                    (0..neurons.len()).filter(|i| is_meant[usize::from(neurons.cell_type_ix[*i])]).collect();
                let draw = |i: usize| Draws::new(seed, Stream::Lesion, Owner::Neuron, ids[i]).uniform();
                own.sort_by(|a, b| draw(*a).total_cmp(&draw(*b)));
                let n = (share * own.len() as f64).round() as usize;
                if n == 0 {
                    return Err(fault(format!(
                        "a share of {share} of {} cells is less than half a cell",
                        own.len()
                    )));
                }
                own[..n].iter().for_each(|i| removed[*i] = true);
            }
        }
        LesionScene::Cells(listed) => {
            for id in listed {
                let Some(neuron) = names.neuron(BUILT_POPULATION, *id) else {
                    let limit = "is the id of no cell of the network".to_owned();
                    return Err(LesionFault { of: id.to_string(), limit });
                };
                removed[neuron as usize] = true;
            }
        }
    }
    for (ix, name) in cell_types.iter().enumerate() {
        let own = || (0..neurons.len()).filter(|i| usize::from(neurons.cell_type_ix[*i]) == ix);
        if own().next().is_some() && own().all(|i| removed[i]) {
            let limit =
                format!("all {} cells of the type would be gone; at least one must stay", own().count());
            return Err(LesionFault { of: name.clone(), limit });
        }
    }
    Ok(removed)
}

/// Whether a name of a lesion stands for a cell type: its own, or the class behind its layer.
fn means(name: &str, cell_type: &str) -> bool {
    name == cell_type || cell_type.split_once('_').is_some_and(|(_, class)| class == name)
}

/// Id of each neuron of a network of one population.
fn ids(names: &NodeNames) -> Vec<u64> {
    names.populations().flat_map(|(_, named)| named.ids.iter().copied()).collect()
}

/// A network without some of its neurons, `[n_neurons]`: they go with all their edges, the others keep names, order
/// and edges.
pub fn without(network: Network, removed: &[bool]) -> Network {
    let n = network.neurons.len();
    let stays = |i: &usize| !removed[*i];
    let number_of: Vec<u32> = removed
        .iter()
        .scan(0, |next, gone| {
            let own = *next;
            *next += u32::from(!gone);
            Some(own)
        })
        .collect();
    let mut rows = Rows { offsets: vec![0], ..Rows::default() };
    let mut em_sizes = Vec::new();
    for source in (0..network.n_sources()).filter(|source| *source >= n || !removed[*source]) {
        for edge in network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize {
            let word = network.rows.targets[edge];
            let target = target_neuron(word) as usize;
            if removed[target] {
                continue;
            }
            rows.targets.push(pack_target(number_of[target], target_delay_steps(word)));
            rows.weights.push(network.rows.weights[edge]);
            em_sizes.extend(network.em_sizes.get(edge));
        }
        rows.offsets.push(rows.targets.len() as u64);
    }
    let names = network.node_names();
    let left = names.populations().map(|(first, named)| {
        let ids = named.ids.iter().zip(first as usize..).filter(|(_, i)| stays(i));
        NamedNodes { population: named.population.clone(), ids: ids.map(|(id, _)| *id).collect() }
    });
    let names = Some(NodeNames::new(left.collect()));
    let core = network.core.map(|core| (0..n).filter(stays).map(|i| core[i]).collect());
    let of = &network.neurons;
    let keep_f32 = |all: &[f32]| -> Vec<f32> { (0..n).filter(stays).map(|i| all[i]).collect() };
    let keep_u8 = |all: &[u8]| -> Vec<u8> { (0..n).filter(stays).map(|i| all[i]).collect() };
    let neurons = Neurons {
        model_ix: (0..n).filter(stays).map(|i| of.model_ix[i]).collect(),
        population_ix: keep_u8(&of.population_ix),
        cell_type_ix: keep_u8(&of.cell_type_ix),
        x_um: keep_f32(&of.x_um),
        y_um: keep_f32(&of.y_um),
        z_um: keep_f32(&of.z_um),
        tuning_angle_deg: keep_f32(&of.tuning_angle_deg),
        target_n_synapses: keep_f32(&of.target_n_synapses),
    };
    Network { neurons, rows, em_sizes, names, core, ..network }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::vocabulary::CELL_TYPES;

    /// Six cells of L4_Exc (0..3) and L4_PV (3..6), all connected, one LGN unit that reaches all.
    fn network() -> Network {
        let n = 6_usize;
        let type_of = |name: &str| CELL_TYPES.iter().position(|t| *t == name).unwrap() as u8;
        let mut rows = Rows { offsets: vec![0], ..Rows::default() };
        for source in 0..n + 1 {
            for target in (0..n).filter(|target| *target != source) {
                rows.targets.push(pack_target(target as u32, 1 + source as u32));
                rows.weights.push((10 * source + target) as f32);
            }
            rows.offsets.push(rows.targets.len() as u64);
        }
        let em_sizes = rows.weights[..n * (n - 1)].to_vec();
        let per_neuron = || (0..n).map(|i| i as f32).collect::<Vec<f32>>();
        let neurons = Neurons {
            model_ix: vec![0; n],
            population_ix: vec![0; n],
            cell_type_ix: [[type_of("L4_Exc"); 3], [type_of("L4_PV"); 3]].concat(),
            x_um: per_neuron(),
            y_um: per_neuron(),
            z_um: per_neuron(),
            tuning_angle_deg: per_neuron(),
            target_n_synapses: per_neuron(),
        };
        Network { n_lgn: 1, unit_type_ix: vec![19], neurons, rows, em_sizes, ..Network::default() }
    }

    #[test]
    fn the_others_keep_names_and_edges() {
        let removed = lesioned(&network(), &LesionScene::Cells(vec![1, 4]), 1).unwrap();
        let left = without(network(), &removed);
        assert_eq!(left.neurons.x_um, [0.0, 2.0, 3.0, 5.0]);
        let names = left.node_names();
        assert_eq!(
            (0..6).map(|id| names.neuron("v1", id)).collect::<Vec<_>>(),
            [Some(0), None, Some(1), Some(2), None, Some(3)]
        );
        // From neuron 3 (now 2) to 0, 2 and 5 (now 0, 1, 3), delays as they were; then those of the LGN unit.
        let row = |source: usize| left.rows.offsets[source] as usize..left.rows.offsets[source + 1] as usize;
        let targets: Vec<u32> = left.rows.targets[row(2)].to_vec();
        assert_eq!(targets, [0, 1, 3].map(|target| pack_target(target, 4)));
        assert_eq!(left.rows.weights[row(2)], [30.0, 32.0, 35.0]);
        assert_eq!(left.em_sizes[row(2)], [30.0, 32.0, 35.0]);
        assert_eq!(left.rows.weights[row(4)], [60.0, 62.0, 63.0, 65.0]);
        assert_eq!((left.n_sources(), left.rows.n_edges(), left.em_sizes.len()), (5, 16, 12));
    }

    #[test]
    fn a_share_is_drawn_by_id_and_of_a_class_over_its_types() {
        let share = |name: &str, share: f64| LesionScene::Share([(name.to_owned(), share)].into());
        let of = |lesion: &LesionScene, seed: u64| lesioned(&network(), lesion, seed);
        let removed = of(&share("PV", 0.34), 1).unwrap();
        assert_eq!((removed[..3].contains(&true), removed[3..].iter().filter(|r| **r).count()), (false, 1));
        assert_eq!(of(&share("L4_PV", 0.34), 1).unwrap(), removed);
        let drawn: Vec<Vec<bool>> = (0..20).map(|seed| of(&share("PV", 0.34), seed).unwrap()).collect();
        assert!((3..6).all(|i| drawn.iter().any(|removed| removed[i])), "{drawn:?}");
        let fault = |lesion: &LesionScene| {
            let fault = of(lesion, 1).unwrap_err();
            format!("{}: {}", fault.of, fault.limit)
        };
        assert!(fault(&share("PVs", 0.1)).starts_with("PVs: is no cell type or class"));
        assert!(fault(&share("PV", 0.1)).contains("0.1 of 3 cells is less than half a cell"));
        assert!(fault(&share("Exc", 0.9)).starts_with("L4_Exc: all 3 cells of the type would be gone"));
        assert!(fault(&LesionScene::Cells(vec![6])).starts_with("6: is the id of no cell"));
    }
}

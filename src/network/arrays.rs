//! A network of the user's own, from arrays.

use super::{
    CELL_TYPES, CellModel, MAX_DELAY_STEPS, Network, Neurons, Population, Rows, pack_target, v1_unit_types,
};
use crate::{Error, Result};

/// An edge: from a neuron, or from an input, to a neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Index of the neuron; the inputs follow the neurons.
    pub source: u32,
    /// Index of the neuron that it reaches.
    pub target: u32,
    /// Delay, time steps, from 1 to [`MAX_DELAY_STEPS`].
    pub delay_steps: u32,
    /// Weight, at least 0: peak current in pA (point cells) or peak conductance in nS. The sign, or the reversal potential,
    /// is that of the source's synaptic class; inputs excite.
    pub weight: f32,
}

impl Network {
    /// A network of neurons of these cell models, `model_ix` one a neuron, and of inputs, which spike as they are told;
    /// edges in any order. Cell types are those of mouse V1.
    ///
    /// # Errors
    /// An index, delay or weight out of its range, by its place in the arrays.
    pub fn from_edges(
        cell_models: Vec<CellModel>,
        model_ix: &[u16],
        n_inputs: usize,
        edges: &[Edge],
    ) -> Result<Self> {
        let refuse =
            |field: String, value: String, limit: String| Err(Error::field("network", field, value, limit));
        if let Some(ix) = model_ix.iter().position(|model| usize::from(*model) >= cell_models.len()) {
            let limit = format!("must be below the number of cell models, {}", cell_models.len());
            return refuse(format!("model_ix[{ix}]"), model_ix[ix].to_string(), limit);
        }
        let n = model_ix.len();
        let n_sources = n + n_inputs;
        for (ix, edge) in edges.iter().enumerate() {
            let field = |name: &str| format!("edges[{ix}].{name}");
            if edge.source as usize >= n_sources {
                let limit = format!("must be below the number of neurons and inputs, {n_sources}");
                return refuse(field("source"), edge.source.to_string(), limit);
            }
            if edge.target as usize >= n {
                let limit = format!("must be below the number of neurons, {n}");
                return refuse(field("target"), edge.target.to_string(), limit);
            }
            if !(1..=MAX_DELAY_STEPS).contains(&edge.delay_steps) {
                let limit = format!("must be from 1 to {MAX_DELAY_STEPS} time steps");
                return refuse(field("delay_steps"), edge.delay_steps.to_string(), limit);
            }
            if !(edge.weight >= 0.0 && edge.weight.is_finite()) {
                return refuse(field("weight"), edge.weight.to_string(), "must be at least 0".to_owned());
            }
        }
        let of = |model: &u16| &cell_models[usize::from(*model)];
        let neurons = Neurons {
            model_ix: model_ix.to_vec(),
            population_ix: model_ix.iter().map(|model| of(model).cell_type_ix as u8).collect(),
            cell_type_ix: model_ix.iter().map(|model| of(model).cell_type_ix as u8).collect(),
            x_um: vec![0.0; n],
            y_um: vec![0.0; n],
            z_um: vec![0.0; n],
            tuning_angle_deg: vec![0.0; n],
            target_n_synapses: vec![1.0; n],
        };
        let population =
            |(cell_type_ix, name): (usize, &&str)| Population { name: (*name).to_owned(), cell_type_ix };
        Ok(Self {
            populations: CELL_TYPES.iter().enumerate().map(population).collect(),
            cell_models,
            neurons,
            n_lgn: 0,
            n_background: n_inputs,
            unit_type_ix: v1_unit_types(0, n_inputs),
            rows: rows(n_sources, edges),
            ..Self::default()
        })
    }
}

/// The edges by source, targets ascending.
fn rows(n_sources: usize, edges: &[Edge]) -> Rows {
    let mut sorted = edges.to_vec();
    sorted.sort_by_key(|edge| (edge.source, edge.target));
    let mut offsets = vec![0; n_sources + 1];
    sorted.iter().for_each(|edge| offsets[edge.source as usize + 1] += 1);
    for source in 0..n_sources {
        offsets[source + 1] += offsets[source];
    }
    Rows {
        offsets,
        targets: sorted.iter().map(|edge| pack_target(edge.target, edge.delay_steps)).collect(),
        weights: sorted.iter().map(|edge| edge.weight).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tables::Tables;
    use crate::network::{target_delay_steps, target_neuron};

    const GOOD: Edge = Edge { source: 0, target: 1, delay_steps: 2, weight: 3.0 };

    fn network(model_ix: &[u16], edges: &[Edge]) -> Result<Network> {
        let tables = Tables::read(crate::shipped::tables()).unwrap();
        Network::from_edges(vec![tables.cells[0].model.clone()], model_ix, 1, edges)
    }

    #[test]
    fn edges_in_any_order_become_rows_by_source() {
        let edges = [Edge { source: 2, target: 0, ..GOOD }, GOOD, Edge { target: 0, weight: 5.0, ..GOOD }];
        let made = network(&[0, 0], &edges).unwrap();
        assert_eq!(made.rows.offsets, [0, 2, 2, 3]);
        assert_eq!(made.rows.weights, [5.0, 3.0, 3.0]);
        let targets: Vec<_> =
            made.rows.targets.iter().map(|w| (target_neuron(*w), target_delay_steps(*w))).collect();
        assert_eq!(targets, [(0, 2), (1, 2), (0, 2)]);
        assert_eq!((made.n_sources(), made.neurons.cell_type_ix.len()), (3, 2));
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_its_place() {
        let cases = [
            (vec![0, 1], GOOD, "model_ix[1]"),
            (vec![0, 0], Edge { source: 3, ..GOOD }, "edges[1].source"),
            (vec![0, 0], Edge { target: 2, ..GOOD }, "edges[1].target"),
            (vec![0, 0], Edge { delay_steps: 0, ..GOOD }, "edges[1].delay_steps"),
            (vec![0, 0], Edge { delay_steps: 1024, ..GOOD }, "edges[1].delay_steps"),
            (vec![0, 0], Edge { weight: -1.0, ..GOOD }, "edges[1].weight"),
            (vec![0, 0], Edge { weight: f32::NAN, ..GOOD }, "edges[1].weight"),
        ];
        for (models, edge, field) in cases {
            let error = network(&models, &[GOOD, edge]).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(field), "{error}");
        }
    }
}

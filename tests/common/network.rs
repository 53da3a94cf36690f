//! The one builder of made-up networks.

use simrun::network::{CellModel, Network, Neurons, Population, Rows, pack_target, v1_unit_types};

/// Neurons of `model_ix` (indices into the models) without places, LGN and background units, and an edge of 1 step from each
/// source to each neuron that `weight(source, target)` gives one, asked in this order.
pub(crate) fn network(
    populations: Vec<Population>,
    cell_models: Vec<CellModel>,
    model_ix: &[usize],
    [n_lgn, n_background]: [usize; 2],
    mut weight: impl FnMut(usize, usize) -> Option<f32>,
) -> Network {
    let n = model_ix.len();
    let models = || model_ix.iter().map(|ix| &cell_models[*ix]);
    let neurons = Neurons {
        model_ix: model_ix.iter().map(|ix| *ix as u16).collect(),
        population_ix: models().map(|model| model.population_ix as u8).collect(),
        cell_type_ix: models().map(|model| model.cell_type_ix as u8).collect(),
        x_um: vec![0.0; n],
        y_um: vec![0.0; n],
        z_um: vec![0.0; n],
        tuning_angle_deg: vec![0.0; n],
        target_n_synapses: vec![1.0; n],
    };
    let mut rows = Rows { offsets: vec![0], ..Rows::default() };
    for source in 0..n + n_lgn + n_background {
        for target in 0..n {
            if let Some(weight) = weight(source, target) {
                rows.targets.push(pack_target(target as u32, 1));
                rows.weights.push(weight);
            }
        }
        rows.offsets.push(rows.n_edges() as u64);
    }
    let unit_type_ix = v1_unit_types(n_lgn, n_background);
    Network {
        populations,
        cell_models,
        neurons,
        n_lgn,
        n_background,
        unit_type_ix,
        rows,
        ..Network::default()
    }
}

/// Indices of the models of a cell type.
pub(crate) fn models_of(cell_models: &[CellModel], cell_type_ix: usize) -> Vec<usize> {
    (0..cell_models.len()).filter(|ix| cell_models[*ix].cell_type_ix == cell_type_ix).collect()
}

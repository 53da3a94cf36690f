//! Neurons of the cylinder: how many of each cell model, where they lie, how they are tuned, how many synapses they get.

use super::Neurons;
use super::random::{Draws, Owner};
use super::tables::Tables;
use crate::model::rng::Stream;

/// Radius of the hole at the centre of the cylinder, um: the published builder leaves it out.
const INNER_RADIUS_UM: f64 = 1.0;

/// Places the neurons of a cylinder of `radius_um`, ordered by population and then by cell model.
///
/// Neurons of a model lie uniformly in the disc and in the depth range of their population; their preferred
/// directions divide the circle evenly; their synapse counts are log-normal, in whole synapses, at least 1.
pub fn place_neurons(tables: &Tables, radius_um: f64, seed: u64) -> Neurons {
    let mut neurons = Neurons::default();
    for (model_ix, (cell, n)) in tables.cells.iter().zip(tables.cell_counts(radius_um)).enumerate() {
        let population = &tables.populations[cell.model.population_ix];
        for k in 0..n {
            let mut place = Draws::new(seed, Stream::Positions, Owner::Neuron, neurons.len() as u64);
            let mut size = Draws::new(seed, Stream::CellParameters, Owner::Neuron, neurons.len() as u64);
            let [x_um, z_um] = point_in_disc(radius_um, &mut place);
            let ln_n_synapses =
                population.n_synapses_scale.ln() + population.n_synapses_shape * size.normal();
            neurons.model_ix.push(model_ix as u16);
            neurons.population_ix.push(cell.model.population_ix as u8);
            neurons.cell_type_ix.push(population.cell_type_ix as u8);
            neurons.x_um.push(x_um as f32);
            neurons.y_um.push(-place.uniform_in(population.depth_um[0], population.depth_um[1]) as f32);
            neurons.z_um.push(z_um as f32);
            neurons.tuning_angle_deg.push((360.0 * k as f64 / n as f64) as f32);
            neurons.target_n_synapses.push(ln_n_synapses.exp().round().max(1.0) as f32);
        }
    }
    neurons
}

/// One neuron of each cell model in a row, 10 um apart, with no tuning and its population's median synapse count.
pub(super) fn one_of_each_model(tables: &Tables) -> Neurons {
    let mut neurons = Neurons::default();
    for (model_ix, cell) in tables.cells.iter().enumerate() {
        let population = &tables.populations[cell.model.population_ix];
        neurons.model_ix.push(model_ix as u16);
        neurons.population_ix.push(cell.model.population_ix as u8);
        neurons.cell_type_ix.push(population.cell_type_ix as u8);
        neurons.x_um.push(10.0 * model_ix as f32);
        neurons.y_um.push(-0.5 * (population.depth_um[0] + population.depth_um[1]) as f32);
        neurons.z_um.push(0.0);
        neurons.tuning_angle_deg.push(0.0);
        neurons.target_n_synapses.push(population.n_synapses_scale.round() as f32);
    }
    neurons
}

/// A point uniform in the disc of `radius_um` less its inner hole.
fn point_in_disc(radius_um: f64, draws: &mut Draws) -> [f64; 2] {
    let phi = std::f64::consts::TAU * draws.uniform();
    let inner = INNER_RADIUS_UM.min(radius_um).powi(2);
    let r_um = (inner + (radius_um * radius_um - inner) * draws.uniform()).sqrt();
    [r_um * phi.cos(), r_um * phi.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        Tables::read("scenes/v1").unwrap()
    }

    #[test]
    fn neurons_are_ordered_and_counted() {
        let tables = tables();
        let neurons = place_neurons(&tables, 100.0, 1);
        assert_eq!(neurons.len(), 4239, "the published network of 100 um");
        assert!(neurons.model_ix.is_sorted() && neurons.population_ix.is_sorted());
        assert!(neurons.cell_type_ix.is_sorted(), "targets of one cell type must be contiguous");
        assert_eq!(place_neurons(&tables, 400.0, 1).len(), 66_652);
        assert_eq!(one_of_each_model(&tables).len(), 201);
    }

    #[test]
    fn positions_fill_the_disc_and_the_layer_evenly() {
        let tables = tables();
        let neurons = place_neurons(&tables, 200.0, 2);
        let n = neurons.len() as f64;
        // r^2 / R^2 and the relative depth are uniform: compare means and mean squares with 1/2 and 1/3.
        let mut sums = [0.0f64; 6];
        for i in 0..neurons.len() {
            let (x, z) = (f64::from(neurons.x_um[i]), f64::from(neurons.z_um[i]));
            let area = (x * x + z * z) / 200.0f64.powi(2);
            let [top, bottom] = tables.populations[neurons.population_ix[i] as usize].depth_um;
            let depth = (f64::from(-neurons.y_um[i]) - top) / (bottom - top);
            assert!((0.0..=1.0 + 1e-6).contains(&area) && (-1e-6..=1.0 + 1e-6).contains(&depth));
            let cos = x / (x * x + z * z).sqrt();
            for (sum, v) in sums.iter_mut().zip([area, area * area, depth, depth * depth, cos, cos * cos]) {
                *sum += v / n;
            }
        }
        let sd =
            [1.0 / 12.0, 4.0 / 45.0, 1.0 / 12.0, 4.0 / 45.0, 0.5, 0.125].map(|var: f64| (var / n).sqrt());
        for ((sum, expected), sd) in sums.iter().zip([0.5, 1.0 / 3.0, 0.5, 1.0 / 3.0, 0.0, 0.5]).zip(sd) {
            assert!(((sum - expected) / sd).abs() < 4.5, "{sums:?}: {sum} should be {expected} +- {sd}");
        }
    }

    #[test]
    fn synapse_counts_are_log_normal() {
        let tables = tables();
        let neurons = place_neurons(&tables, 200.0, 3);
        for (population_ix, population) in tables.populations.iter().enumerate() {
            let z: Vec<f64> = (0..neurons.len())
                .filter(|&i| neurons.population_ix[i] as usize == population_ix)
                .map(|i| {
                    let ln = f64::from(neurons.target_n_synapses[i]).ln();
                    (ln - population.n_synapses_scale.ln()) / population.n_synapses_shape
                })
                .collect();
            let n = z.len() as f64;
            let mean = z.iter().sum::<f64>() / n;
            let var = z.iter().map(|v| v * v).sum::<f64>() / n;
            // The variance of z^2 is 2; 4.5 standard errors for 22 populations.
            assert!(mean.abs() < 4.5 / n.sqrt(), "{}: mean {mean} of {n}", population.name);
            assert!((var - 1.0).abs() < 4.5 * (2.0 / n).sqrt(), "{}: variance {var} of {n}", population.name);
        }
    }

    #[test]
    fn preferred_directions_divide_the_circle() {
        let tables = tables();
        let neurons = place_neurons(&tables, 100.0, 4);
        let of_first: Vec<f32> = (0..neurons.len())
            .filter(|&i| neurons.model_ix[i] == 0)
            .map(|i| neurons.tuning_angle_deg[i])
            .collect();
        // 616 cells within 700 um make 13 within 100 um, 360/13 deg apart (as in the published network).
        assert_eq!(of_first.len(), 13);
        assert!((of_first[1] - 27.692_308).abs() < 1e-4 && of_first[0] == 0.0);
    }
}

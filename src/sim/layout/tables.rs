//! The tables of constants: where each part starts, and its words.

use super::{Layout, n_chunks};
use crate::model::Dynamics;
use crate::model::cell::{CellConstants, cell_constants};
use crate::model::kinetics::Ports;
use crate::model::membrane::N_CELL_PARAMETERS;
use crate::network::{CellModel, Network, Neurons};

/// Constants of a cell model in the tables that every membrane has, in order; those of the membrane follow.
const CELL_FIELDS: [&str; 12] = [
    "THRESHOLD",
    "SCALE",
    "RESET",
    "REFRACTORY_STEPS",
    "ASC_MEAN_1",
    "ASC_MEAN_2",
    "ASC_DECAY_1",
    "ASC_DECAY_2",
    "ASC_KEEP_1",
    "ASC_KEEP_2",
    "ASC_AMP_1",
    "ASC_AMP_2",
];

/// Constants of a port of a cell model that every membrane has; those of the membrane follow.
const PORT_FIELDS: [&str; 1] = ["DECAY"];

impl Layout {
    pub(super) fn cell_fields(&self) -> Vec<&'static str> {
        CELL_FIELDS.iter().chain(self.membrane.cell_fields).copied().collect()
    }

    pub(super) fn port_fields(&self) -> Vec<&'static str> {
        PORT_FIELDS.iter().chain(self.membrane.port_fields).copied().collect()
    }
    pub(super) fn table_neurons(&self) -> usize {
        0
    }

    pub(super) fn table_units(&self) -> usize {
        self.table_neurons() + self.n_neurons
    }

    pub(super) fn table_chunks(&self) -> usize {
        self.table_units() + self.n_lgn + self.n_background
    }

    pub(super) fn table_classes(&self) -> usize {
        self.table_chunks() + self.n_sources() + 1
    }

    pub(super) fn table_gains(&self) -> usize {
        self.table_classes() + self.n_source_types
    }
    /// First word of the constants of the cells, which learning changes.
    pub fn table_cells(&self) -> usize {
        self.table_gains() + self.n_target_types * self.n_classes * self.n_ports
    }

    pub(super) fn table_ports(&self) -> usize {
        self.table_cells() + self.n_models * self.cell_fields().len()
    }
    /// First word of the preferred direction of each neuron, deg.
    pub(in crate::sim) fn table_angles(&self) -> usize {
        self.table_ports() + self.n_models * self.n_ports * self.port_fields().len()
    }
    /// First word of the masks of the groups of each neuron, behind everything else.
    pub fn table_groups(&self) -> usize {
        self.table_angles() + self.n_neurons
    }

    /// The neurons' words, with which the tables start: cell model, target type, cell type.
    pub fn neuron_words(&self, neurons: &Neurons, ports: &Ports) -> Vec<u32> {
        (0..self.n_neurons)
            .map(|i| {
                let cell_type = u32::from(neurons.cell_type_ix[i]);
                let target_type = ports.target_type_of[cell_type as usize] as u32;
                u32::from(neurons.model_ix[i]) | target_type << 16 | cell_type << 24
            })
            .collect()
    }

    /// First chunk of each source's row, and the end of the last; a network made by hand may leave the rows out.
    pub(in crate::sim) fn first_chunks(&self, network: &Network) -> Vec<u32> {
        let mut first = vec![0; self.n_sources() + 1];
        for (source, row) in network.rows.offsets.windows(2).enumerate() {
            first[source + 1] = first[source] + n_chunks(row[1] - row[0]) as u32;
        }
        first
    }

    /// The tables for the device: neurons, units, chunks, classes, gains, then cells and ports ([`Layout::cell_tables`]).
    pub fn tables(
        &self,
        network: &Network,
        dynamics: &Dynamics,
        theta: &[[f64; N_CELL_PARAMETERS]],
    ) -> Vec<u32> {
        let mut words = self.neuron_words(&network.neurons, &dynamics.ports);
        words.extend(network.unit_type_ix.iter().map(|source_type| u32::from(*source_type)));
        words.extend(self.first_chunks(network));
        words.extend(network.vocabulary.class_of_source_type.iter().map(|c| *c as u32));
        for target_type in 0..self.n_target_types {
            for class_ix in 0..self.n_classes {
                words.extend(
                    (0..self.n_ports).map(|p| bits(dynamics.ports.gain_per_ms(target_type, class_ix, p))),
                );
            }
        }
        words.extend(self.cell_tables(&network.cell_models, dynamics, theta));
        // A network made by hand may leave the directions out.
        words.extend((0..self.n_neurons).map(|i| neurons_angle(&network.neurons, i).to_bits()));
        words
    }

    /// The constants of cells and ports with learned offsets: the part of the tables that changes from training step to
    /// training step. Starts at [`Layout::table_cells`].
    pub fn cell_tables(
        &self,
        cell_models: &[CellModel],
        dynamics: &Dynamics,
        theta: &[[f64; N_CELL_PARAMETERS]],
    ) -> Vec<u32> {
        let (mut cells, mut ports) = (Vec::new(), Vec::new());
        for (model, theta) in cell_models.iter().zip(theta) {
            let of_cell = dynamics.ports.of_cell(model.cell_type_ix);
            let constants = cell_constants(model, dynamics.mode, &of_cell, dynamics.dt_ms, theta);
            cells.extend(cell_words(&constants));
            for (p, decay) in constants.port_decay.iter().enumerate() {
                ports.push(bits(*decay));
                ports.extend(constants.membrane.port_words(p).into_iter().map(bits));
            }
        }
        cells.extend(ports);
        cells
    }
}

fn neurons_angle(neurons: &Neurons, neuron_ix: usize) -> f32 {
    neurons.tuning_angle_deg.get(neuron_ix).copied().unwrap_or(0.0)
}

fn bits(x: f64) -> u32 {
    (x as f32).to_bits()
}

fn cell_words(c: &CellConstants<f64>) -> impl Iterator<Item = u32> {
    let own: [f64; CELL_FIELDS.len()] = [
        c.threshold_mv,
        c.threshold_scale_mv,
        c.reset_mv,
        f64::from(c.refractory_steps),
        c.asc_mean[0],
        c.asc_mean[1],
        c.asc_decay[0],
        c.asc_decay[1],
        c.asc_keep[0],
        c.asc_keep[1],
        c.asc_amp_pa[0],
        c.asc_amp_pa[1],
    ];
    own.into_iter().chain(c.membrane.cell_words()).map(bits)
}

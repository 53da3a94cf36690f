//! Edges: one file for each population of sources, edges in the order of the network's rows.

use std::ops::Range;

use super::{Export, SOURCE_POPULATIONS, sonata_root};
use crate::error::Result;
use crate::hdf5::Group;
use crate::network::BUILT_POPULATION as POPULATION;
use crate::network::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, CLASSES, N_CELL_TYPES, target_delay_steps, target_neuron,
};
use crate::output::replace_hdf5;

/// First edge type.
const FIRST_TYPE: usize = 100;
/// Edges that are written at once.
const BLOCK: usize = 1 << 20;

/// Type of an edge within the file of its source's population.
fn edge_type(source_type: usize, first_source_type: usize, cell_type_ix: usize) -> usize {
    FIRST_TYPE + (source_type - first_source_type) * N_CELL_TYPES + cell_type_ix
}

impl Export<'_> {
    pub(super) fn write_edges(&self) -> Result<()> {
        (0..SOURCE_POPULATIONS.len()).try_for_each(|population_ix| {
            self.write_edge_file(population_ix)?;
            self.write_edge_types(population_ix)
        })
    }

    /// Source types of a population of sources.
    fn source_types(&self, population_ix: usize) -> Range<usize> {
        let n = N_CELL_TYPES;
        [0..n, n..n + 1, n + 1..n + 2][population_ix].clone()
    }

    fn write_edge_file(&self, population_ix: usize) -> Result<()> {
        let source = SOURCE_POPULATIONS[population_ix];
        let rows = &self.trained.network.rows;
        let sources = self.sources(population_ix);
        let edges = rows.offsets[sources.start] as usize..rows.offsets[sources.end] as usize;
        let path = self.dir.join(format!("network/{source}_{POPULATION}_edges.h5"));
        replace_hdf5(&path, self.storage, |root| {
            sonata_root(root)?;
            let population = root.group("edges")?.group(&format!("{source}_to_{POPULATION}"))?;
            self.write_columns(&population, population_ix, sources.clone(), edges.clone())?;
            let base = format!("/edges/{source}_to_{POPULATION}/indices");
            let indices = population.group("indices")?;
            self.write_source_index(&indices, &base, sources, edges.start)?;
            self.write_target_index(&indices, &base, edges)
        })
    }

    fn write_columns(
        &self,
        population: &Group,
        population_ix: usize,
        sources: Range<usize>,
        edges: Range<usize>,
    ) -> Result<()> {
        let network = &self.trained.network;
        let n = [edges.len()];
        let mut source_ids = population.dataset::<u64>("source_node_id", &n)?;
        source_ids.text("node_population", SOURCE_POPULATIONS[population_ix])?;
        let mut target_ids = population.dataset::<u64>("target_node_id", &n)?;
        target_ids.text("node_population", POPULATION)?;
        let mut types = population.dataset::<u32>("edge_type_id", &n)?;
        let mut groups = population.dataset::<u32>("edge_group_id", &n)?;
        let mut group_indices = population.dataset::<u64>("edge_group_index", &n)?;
        let mut weights = population.group("0")?.dataset::<f32>("syn_weight", &n)?;
        weights.text("units", self.weight_unit())?;
        weights.text("description", self.weight_meaning())?;
        let first_type = self.source_types(population_ix).start;
        let mut source = sources.start;
        for start in edges.clone().step_by(BLOCK) {
            let block = start..(start + BLOCK).min(edges.end);
            let (mut ids, mut block_types, mut signed) = (Vec::new(), Vec::new(), Vec::new());
            for edge in block.clone() {
                while network.rows.offsets[source + 1] as usize <= edge {
                    source += 1;
                }
                let source_type = network.source_type(source);
                let cell_type_ix = network.neurons.target_cell_type(network.rows.targets[edge]);
                ids.push((source - sources.start) as u64);
                block_types.push(edge_type(source_type, first_type, cell_type_ix) as u32);
                signed.push(network.rows.weights[edge] * self.weight_scale(source_type, cell_type_ix));
            }
            source_ids.append(&ids)?;
            types.append(&block_types)?;
            weights.append(&signed)?;
            let targets = &network.rows.targets[block.clone()];
            let targets: Vec<u64> = targets.iter().map(|word| u64::from(target_neuron(*word))).collect();
            target_ids.append(&targets)?;
            groups.append(&vec![0_u32; block.len()])?;
            let within = (block.start - edges.start) as u64..(block.end - edges.start) as u64;
            group_indices.append(&within.collect::<Vec<u64>>())?;
        }
        Ok(())
    }

    /// What our weight is multiplied by: its sign, and where classes share ports the peak of NEST's fast alpha.
    fn weight_scale(&self, source_type: usize, cell_type_ix: usize) -> f32 {
        let class_ix = CLASS_OF_SOURCE_TYPE[source_type];
        match &self.receptors {
            Some(receptors) => receptors[CLASS_OF_SOURCE_TYPE[cell_type_ix]][class_ix].scale as f32,
            None => 1.0,
        }
    }

    /// Unit of the weights.
    pub(super) fn weight_unit(&self) -> &'static str {
        if self.trained.dynamics.mode.membrane().has_conductances { "nS" } else { "pA" }
    }

    /// What a weight is.
    pub(super) fn weight_meaning(&self) -> &'static str {
        match (&self.receptors, self.trained.dynamics.mode.membrane().has_conductances) {
            (Some(_), _) => "peak of the fast alpha current of the receptor, negative for inhibition",
            (None, false) => {
                "factor on the alpha currents of the ports in the synaptic model, which carry the sign"
            }
            (None, true) => {
                "factor on the alpha conductances of the ports in the synaptic model; the reversal potential carries the sign"
            }
        }
    }

    /// Edges of a source follow one another: one range each.
    fn write_source_index(
        &self,
        indices: &Group,
        base: &str,
        sources: Range<usize>,
        first_edge: usize,
    ) -> Result<()> {
        let offsets = &self.trained.network.rows.offsets[sources.start..=sources.end];
        let edge = |offset: u64| offset - first_edge as u64;
        let ranges: Vec<u64> = offsets.windows(2).flat_map(|w| [edge(w[0]), edge(w[1])]).collect();
        let nodes: Vec<u64> = (0..sources.len() as u64).flat_map(|i| [i, i + 1]).collect();
        let group = indices.group("source_to_target")?;
        group.dataset::<u64>("range_to_edge_id", &[sources.len(), 2])?.append(&ranges)?;
        write_nodes_of_index(&group, &format!("{base}/source_to_target"), &nodes)
    }

    /// Edges of a target are scattered: a range for each.
    fn write_target_index(&self, indices: &Group, base: &str, edges: Range<usize>) -> Result<()> {
        let network = &self.trained.network;
        let n_targets = network.neurons.len();
        let mut offsets = vec![0_u64; n_targets + 1];
        for word in &network.rows.targets[edges.clone()] {
            offsets[target_neuron(*word) as usize + 1] += 1;
        }
        for target in 0..n_targets {
            offsets[target + 1] += offsets[target];
        }
        let mut next = offsets.clone();
        let mut order = vec![0_u32; edges.len()];
        for (edge, word) in (0_u32..).zip(&network.rows.targets[edges]) {
            let slot = &mut next[target_neuron(*word) as usize];
            order[*slot as usize] = edge;
            *slot += 1;
        }
        let group = indices.group("target_to_source")?;
        let mut ranges = group.dataset::<u64>("range_to_edge_id", &[order.len(), 2])?;
        for block in order.chunks(BLOCK) {
            let pairs = block.iter().flat_map(|edge| [u64::from(*edge), u64::from(*edge) + 1]);
            ranges.append(&pairs.collect::<Vec<u64>>())?;
        }
        let nodes: Vec<u64> = offsets.windows(2).flat_map(|w| [w[0], w[1]]).collect();
        write_nodes_of_index(&group, &format!("{base}/target_to_source"), &nodes)
    }

    fn write_edge_types(&self, population_ix: usize) -> Result<()> {
        let source = SOURCE_POPULATIONS[population_ix];
        let types = self.source_types(population_ix);
        let header = [
            "edge_type_id",
            "source_cell_type",
            "target_cell_type",
            "model_template",
            "dynamics_params",
            "delay",
        ];
        let template = if self.receptors.is_some() { "static_synapse" } else { "simrun:alpha_ports" };
        let delays = self.delays_of_types(population_ix);
        let mut rows = Vec::new();
        for source_type in types.clone() {
            for (cell_type_ix, target_name) in CELL_TYPES.iter().enumerate() {
                let delay_steps = delays[edge_type(source_type, types.start, cell_type_ix) - FIRST_TYPE];
                rows.push(vec![
                    edge_type(source_type, types.start, cell_type_ix).to_string(),
                    CELL_TYPES.get(source_type).unwrap_or(&source).to_string(),
                    (*target_name).to_owned(),
                    template.to_owned(),
                    self.synaptic_model(
                        CLASS_OF_SOURCE_TYPE[source_type],
                        CLASS_OF_SOURCE_TYPE[cell_type_ix],
                    ),
                    (f64::from(delay_steps) * self.dt_ms()).to_string(),
                ]);
            }
        }
        self.write_types(&format!("network/{source}_{POPULATION}_edge_types.csv"), &header, &rows)
    }

    /// Delay of the edges of each type, time steps; 1 where a type has no edge.
    fn delays_of_types(&self, population_ix: usize) -> Vec<u32> {
        let network = &self.trained.network;
        let types = self.source_types(population_ix);
        let mut delays = vec![1; types.len() * N_CELL_TYPES];
        for source in self.sources(population_ix) {
            let row = network.rows.offsets[source] as usize..network.rows.offsets[source + 1] as usize;
            for word in &network.rows.targets[row] {
                let cell_type_ix = network.neurons.target_cell_type(*word);
                let of_type = edge_type(network.source_type(source), types.start, cell_type_ix) - FIRST_TYPE;
                delays[of_type] = target_delay_steps(*word);
            }
        }
        delays
    }

    /// File of the synaptic model of a class of sources on a class of targets.
    pub(super) fn synaptic_model(&self, class_ix: usize, target_class_ix: usize) -> String {
        match &self.receptors {
            Some(_) => format!("{}.json", CLASSES[class_ix]),
            None => format!("{}_to_{}.json", CLASSES[class_ix], CLASSES[target_class_ix]),
        }
    }
}

/// Ranges of each node, under the names of both dialects.
fn write_nodes_of_index(group: &Group, path: &str, nodes: &[u64]) -> Result<()> {
    group.dataset::<u64>("node_id_to_ranges", &[nodes.len() / 2, 2])?.append(nodes)?;
    group.link("node_id_to_range", &format!("{path}/node_id_to_ranges"))
}

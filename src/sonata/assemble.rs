//! Nodes, types and edges of a circuit as a [`Network`].

use rayon::prelude::*;

use super::cells::{Kinds, Members};
use super::links::Types;
use super::nodes::NodePopulation;
use crate::error::Result;
use crate::memory;
use crate::network::{
    CellModel, NamedNodes, Network, Neurons, NodeNames, Population, Rows, TARGET_NEURON_BITS, pack_target,
};

/// Bits of the delay in an edge's target word.
const DELAY_BITS: u32 = u32::BITS - TARGET_NEURON_BITS;

/// Edges of all populations, one entry each in the order of the files.
#[derive(Default)]
pub(super) struct Edges {
    /// Source: neurons, then units.
    pub(super) source: Vec<u32>,
    /// Target neuron.
    pub(super) target: Vec<u32>,
    /// Size of the weight, pA.
    pub(super) weight: Vec<f32>,
    /// Delay, time steps.
    pub(super) delay_steps: Vec<u16>,
}

/// Neurons, units and rows.
pub(super) fn network(
    populations: &[NodePopulation],
    all: &[Members],
    kinds: &Kinds,
    types: &Types,
    background: &[String],
    edges: Edges,
) -> Result<Network> {
    let type_of = |kind: u32| types.type_of_kind[kind as usize];
    let mut neurons = Neurons::default();
    let mut unit_type_ix = Vec::new();
    let named = |members: &Members| NamedNodes {
        population: members.population.clone(),
        ids: members.node_id.clone(),
    };
    let names_of = |is_virtual: bool| {
        NodeNames::new(all.iter().filter(|members| members.is_virtual == is_virtual).map(named).collect())
    };
    for members in all {
        if members.is_virtual {
            unit_type_ix.extend(members.kind_ix.iter().map(|kind| type_of(*kind)));
            continue;
        }
        neurons.model_ix.extend(members.model_ix.iter().map(|model| *model as u16));
        for kind in &members.kind_ix {
            neurons.cell_type_ix.push(type_of(*kind));
            neurons.population_ix.push(type_of(*kind));
        }
        let Some(population) = populations.iter().find(|p| p.name == members.population) else { continue };
        let attributes = [
            ("x", &mut neurons.x_um),
            ("y", &mut neurons.y_um),
            ("z", &mut neurons.z_um),
            ("tuning_angle", &mut neurons.tuning_angle_deg),
            ("target_sizes", &mut neurons.target_n_synapses),
        ];
        for (name, values) in attributes {
            let found = population.numbers(name)?;
            let value =
                |i: &usize| found.as_ref().map_or(0.0, |f| if f[*i].is_nan() { 0.0 } else { f[*i] as f32 });
            values.extend(members.node_ix.iter().map(value));
        }
    }
    memory::require("sorting the circuit's edges", 16 * edges.source.len() as u64)?;
    let n_background: usize = all
        .iter()
        .filter(|m| m.is_virtual && background.contains(&m.population))
        .map(|m| m.node_id.len())
        .sum();
    let cell_models = kinds.models.iter().map(|(cell, kind)| CellModel {
        id: kinds.kinds[*kind as usize].node_type_id,
        population_ix: usize::from(type_of(*kind)),
        cell_type_ix: usize::from(type_of(*kind)),
        v_th_mv: cell.v_th_mv,
        e_l_mv: cell.e_l_mv,
        v_reset_mv: cell.v_reset_mv,
        g_ns: cell.g_ns,
        c_m_pf: cell.c_m_pf,
        t_ref_ms: cell.t_ref_ms,
        asc_amp_pa: cell.asc_amp_pa,
        asc_decay_per_ms: cell.asc_decay_per_ms,
    });
    let cell_types = types.vocabulary.cell_types.iter().enumerate();
    Ok(Network {
        populations: cell_types
            .map(|(ix, name)| Population { name: name.clone(), cell_type_ix: ix })
            .collect(),
        cell_models: cell_models.collect(),
        n_lgn: unit_type_ix.len() - n_background,
        n_background,
        rows: rows(edges, neurons.len() + unit_type_ix.len()),
        unit_type_ix,
        neurons,
        vocabulary: types.vocabulary.clone(),
        core: None,
        em_sizes: Vec::new(),
        names: Some(names_of(false)),
        unit_names: Some(names_of(true)),
    })
}

/// Sorts the edges by source, target and delay; weights of equals are added.
fn rows(edges: Edges, n_sources: usize) -> Rows {
    let mut starts = vec![0_usize; n_sources + 1];
    for source in &edges.source {
        starts[*source as usize + 1] += 1;
    }
    for source in 0..n_sources {
        starts[source + 1] += starts[source];
    }
    // Target, then delay, then bits of the weight.
    let mut packed = vec![0_u64; edges.source.len()];
    let mut next = starts.clone();
    for (i, (source, target)) in edges.source.iter().zip(&edges.target).enumerate() {
        let word = pack_target(*target, u32::from(edges.delay_steps[i])).rotate_left(DELAY_BITS);
        let weight = edges.weight[i];
        let at = &mut next[*source as usize];
        packed[*at] = u64::from(word) << 32 | u64::from(weight.to_bits());
        *at += 1;
    }
    drop(edges);
    let mut left = packed.as_mut_slice();
    let mut slices = Vec::with_capacity(n_sources);
    for source in 0..n_sources {
        let (row, rest) = left.split_at_mut(starts[source + 1] - starts[source]);
        slices.push(row);
        left = rest;
    }
    slices.into_par_iter().for_each(<[u64]>::sort_unstable);
    let n_edges = packed.len();
    let mut rows =
        Rows { offsets: vec![0], targets: Vec::with_capacity(n_edges), weights: Vec::with_capacity(n_edges) };
    for source in 0..n_sources {
        let mut row = packed[starts[source]..starts[source + 1]].iter().peekable();
        while let Some(edge) = row.next() {
            let weight = |edge: u64| f64::from(f32::from_bits(edge as u32));
            let mut sum = weight(*edge);
            while let Some(again) = row.next_if(|again| **again >> 32 == *edge >> 32) {
                sum += weight(*again);
            }
            rows.targets.push(((*edge >> 32) as u32).rotate_right(DELAY_BITS));
            rows.weights.push(sum as f32);
        }
        rows.offsets.push(rows.targets.len() as u64);
    }
    rows
}

//! Nodes, types and edges of a circuit as a [`Network`].

use rayon::prelude::*;

use super::cells::{Kind, Members};
use super::links::Types;
use super::nodes::NodePopulation;
use crate::error::Result;
use crate::memory;
use crate::network::{CellModel, Network, Neurons, Population, Rows, TARGET_NEURON_BITS, pack_target};

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
}

/// Neurons, units and rows.
pub(super) fn network(
    populations: &[NodePopulation],
    all: &[Members],
    kinds: &[Kind],
    types: &Types,
    background: &[String],
    edges: Edges,
) -> Result<Network> {
    let model_of_kind: Vec<Option<u16>> = kinds
        .iter()
        .scan(0, |n, kind| {
            *n += u16::from(kind.cell.is_some());
            Some(kind.cell.is_some().then(|| *n - 1))
        })
        .collect();
    let type_of = |kind: u32| types.type_of_kind[kind as usize];
    let mut neurons = Neurons::default();
    let mut unit_type_ix = Vec::new();
    for members in all {
        if members.is_virtual {
            unit_type_ix.extend(members.kind_ix.iter().map(|kind| type_of(*kind)));
            continue;
        }
        for kind in &members.kind_ix {
            neurons.model_ix.push(model_of_kind[*kind as usize].unwrap_or_default());
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
    let cell_models = kinds.iter().zip(&types.type_of_kind).filter_map(|(kind, cell_type)| {
        let cell = kind.cell.as_ref()?;
        Some(CellModel {
            id: kind.node_type_id,
            population_ix: usize::from(*cell_type),
            cell_type_ix: usize::from(*cell_type),
            v_th_mv: cell.v_th_mv,
            e_l_mv: cell.e_l_mv,
            v_reset_mv: cell.v_reset_mv,
            g_ns: cell.g_ns,
            c_m_pf: cell.c_m_pf,
            t_ref_ms: cell.t_ref_ms,
            asc_amp_pa: cell.asc_amp_pa,
            asc_decay_per_ms: cell.asc_decay_per_ms,
        })
    });
    let names = types.vocabulary.cell_types.iter().enumerate();
    Ok(Network {
        populations: names.map(|(ix, name)| Population { name: name.clone(), cell_type_ix: ix }).collect(),
        cell_models: cell_models.collect(),
        n_lgn: unit_type_ix.len() - n_background,
        n_background,
        rows: rows(edges, &[&neurons.cell_type_ix[..], &unit_type_ix].concat(), types),
        unit_type_ix,
        neurons,
        vocabulary: types.vocabulary.clone(),
        core: None,
    })
}

/// Sorts the edges by source, target and delay; weights of equals are added. The sources are of the given types.
fn rows(edges: Edges, source_types: &[u8], types: &Types) -> Rows {
    let n_sources = source_types.len();
    let n_cell_types = types.vocabulary.n_cell_types();
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
    for ((source, target), weight) in edges.source.iter().zip(&edges.target).zip(&edges.weight) {
        let [from, onto] = [*source, *target].map(|i| usize::from(source_types[i as usize]));
        let word =
            pack_target(*target, types.delay_steps[from * n_cell_types + onto]).rotate_left(DELAY_BITS);
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

//! A network from tables of electron microscopy: one row a cell and one row a synapse, as MICrONS exports give them, in place of
//! the statistical builder's neurons and recurrent edges (docs/model.md, N6). LGN and background are drawn as there.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::random::{Draws, Owner};
use super::scene::EmScene;
use super::tables::Tables;
use super::{N_CELL_TYPES, Neurons};
use crate::error::{Error, Result};
use crate::model::rng::Stream;

mod cells;
mod depth;
mod report;
mod table;
mod units;

pub use report::EmReport;

use cells::{Cell, read_cells};
use table::{Kind, Sheet, Table};

/// The id by which CAVE marks a place that belongs to no segment.
const NO_SEGMENT: u64 = 0;
/// Column in which CAVE tells rows that were withdrawn.
const VALID: &str = "valid";
/// Column with CAVE's ids of synapses.
const SYNAPSE_ID: &str = "id";

/// The synapses of a pair of neurons, merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmEdge {
    /// Presynaptic neuron.
    pub source: u32,
    /// Postsynaptic neuron.
    pub target: u32,
    /// Number of synapses.
    pub n_synapses: u32,
    /// Sum of their sizes, in the table's unit.
    pub size: f32,
}

/// Neurons and merged edges, ordered by target and then by source.
#[derive(Clone, Debug, PartialEq)]
pub struct EmNetwork {
    /// The neurons.
    pub neurons: Neurons,
    /// Id of each neuron's cell in the table.
    pub cell_ids: Vec<u64>,
    /// The edges.
    pub edges: Vec<EmEdge>,
    /// Counts.
    pub report: EmReport,
}

/// Neuron of every id of the cell table; None for cells that were left out.
type Index = HashMap<u64, Option<u32>>;

/// Reads and merges the tables of a scene; `folder` is what their paths are relative to.
///
/// # Errors
/// A file that cannot be read names itself, line and column; positions that cannot be nm where their unit is not said; faulty rows beyond
/// the scene's limit name file, count and limit; synapses of which none joins two cells of the table.
pub fn read_em(
    scene: &EmScene,
    folder: &Path,
    radius_um: f64,
    tables: &Tables,
    seed: u64,
) -> Result<EmNetwork> {
    let mut report = EmReport::default();
    let cells_file = folder.join(&scene.cells);
    let (cells, mut index) = read_cells(scene, &cells_file, radius_um, tables, seed, &mut report)?;
    let neurons = neurons_of(&cells, tables, seed);
    cells.iter().zip(0..).for_each(|(cell, neuron)| {
        index.insert(cell.id, Some(neuron));
    });
    report.n_neurons = cells.len();
    refuse_faulty(scene, &cells_file, report.n_faulty_cells(), report.n_cells, &report)?;
    if cells.is_empty() {
        return Err(Error::file(&cells_file, format!("leaves no neuron; {}", report.line())));
    }
    let synapses_file = folder.join(&scene.synapses);
    let edges = read_edges(scene, &synapses_file, &index, &mut report)?;
    report.n_edges = edges.len();
    refuse_faulty(scene, &synapses_file, report.n_faulty_synapses(), report.n_synapses, &report)?;
    if report.n_synapses > 0 && report.n_synapses == report.n_without_cells() {
        let reason = format!(
            "none of {} synapses joins two cells of {}: both must have the same kind of ids, of one version of the segmentation; {}",
            report.n_synapses,
            cells_file.display(),
            report.line()
        );
        return Err(Error::file(&synapses_file, reason));
    }
    let cell_ids = cells.iter().map(|cell| cell.id).collect();
    Ok(EmNetwork { neurons, cell_ids, edges, report })
}

fn refuse_faulty(
    scene: &EmScene,
    file: &Path,
    n_faulty: usize,
    n_rows: usize,
    report: &EmReport,
) -> Result<()> {
    if n_faulty as f64 <= scene.max_faulty * n_rows as f64 {
        return Ok(());
    }
    let limit = scene.max_faulty;
    let unknown = match report.unknown_names.is_empty() {
        true => "",
        false => "; name types in network.em.cell_types, or in network.em.leave_out",
    };
    let reason = format!(
        "{n_faulty} of {n_rows} rows are faulty, network.em.max_faulty allows a share of {limit}; {}{unknown}",
        report.line()
    );
    Err(Error::file(file, reason))
}

/// Neurons at the cells' places. Preferred directions and synapse counts (N1) are drawn by the cells' ids: a table of a volume holds a
/// part of a cell's synapses only, and a cell that is added or lost changes nothing of the others.
fn neurons_of(cells: &[Cell], tables: &Tables, seed: u64) -> Neurons {
    let mut neurons = Neurons::default();
    for cell in cells {
        let model = &tables.cells[cell.model_ix].model;
        let population = &tables.populations[model.population_ix];
        let mut draws = Draws::new(seed, Stream::Positions, Owner::Neuron, cell.id);
        let ln_n = population.n_synapses_scale.ln() + population.n_synapses_shape * draws.normal();
        neurons.model_ix.push(cell.model_ix as u16);
        neurons.population_ix.push(model.population_ix as u8);
        neurons.cell_type_ix.push(model.cell_type_ix as u8);
        neurons.x_um.push(cell.at_um[0] as f32);
        neurons.y_um.push(cell.at_um[1] as f32);
        neurons.z_um.push(cell.at_um[2] as f32);
        neurons.tuning_angle_deg.push((360.0 * draws.uniform()) as f32);
        neurons.target_n_synapses.push(ln_n.exp().round().max(1.0) as f32);
    }
    neurons
}

fn read_edges(scene: &EmScene, file: &Path, index: &Index, report: &mut EmReport) -> Result<Vec<EmEdge>> {
    let names = &scene.columns;
    let table = Table::open(file)?;
    let pre = table.first_of(&cells::or_of_cave(&names.pre_id, "pre_id", "pre_pt_root_id"))?;
    let post = table.first_of(&cells::or_of_cave(&names.post_id, "post_id", "post_pt_root_id"))?;
    let mut wanted = vec![(pre, Kind::Id), (post, Kind::Id), (names.size.as_str(), Kind::Number)];
    wanted.extend(table.has(VALID).then_some((VALID, Kind::Flag)));
    let valid_at = 3;
    let id_at = wanted.len();
    let has_ids = table.has(SYNAPSE_ID) && ![pre, post].contains(&SYNAPSE_ID);
    wanted.extend(has_ids.then_some((SYNAPSE_ID, Kind::Id)));
    let mut known = HashSet::new();
    // Target above, source below: sorting orders by target, then by source.
    let mut synapses: Vec<(u64, f32)> = Vec::new();
    table.for_each_batch(&wanted, |sheet: &Sheet| {
        let rows = sheet.ids(0).iter().zip(sheet.ids(1)).zip(sheet.numbers(2)).enumerate();
        let is_valid = sheet.is_valid(valid_at);
        let synapse_ids = if has_ids { sheet.ids(id_at) } else { &[] };
        for (row, ((pre, post), size)) in rows {
            report.n_synapses += 1;
            if !is_valid(row) {
                report.withdrawn_synapses += 1;
                continue;
            }
            let (Some(pre), Some(post)) = (pre, post) else {
                report.synapses_without_id += 1;
                continue;
            };
            if *pre == NO_SEGMENT || *post == NO_SEGMENT {
                report.synapses_of_no_segment += 1;
                continue;
            }
            let Some(source) = index.get(pre) else {
                report.axons_without_cell += 1;
                continue;
            };
            let Some(target) = index.get(post) else {
                report.targets_without_cell += 1;
                continue;
            };
            if !(size.is_finite() && *size > 0.0) {
                report.bad_sizes += 1;
                continue;
            }
            let (Some(source), Some(target)) = (source, target) else {
                report.of_left_out += 1;
                continue;
            };
            if source == target {
                report.to_itself += 1;
                continue;
            }
            if let Some(Some(id)) = synapse_ids.get(row)
                && !known.insert(*id)
            {
                report.duplicate_synapse_ids += 1;
                continue;
            }
            synapses.push((u64::from(*target) << 32 | u64::from(*source), *size as f32));
        }
        Ok(())
    })?;
    // The sizes of a pair are summed in ascending order: the sum does not depend on the order of the rows.
    synapses.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut edges: Vec<EmEdge> = Vec::new();
    for (key, size) in synapses {
        let (target, source) = ((key >> 32) as u32, key as u32);
        match edges.last_mut() {
            Some(edge) if (edge.target, edge.source) == (target, source) => {
                edge.n_synapses += 1;
                edge.size += size;
            }
            _ => edges.push(EmEdge { source, target, n_synapses: 1, size }),
        }
    }
    Ok(edges)
}

/// Median summed size of the edges of each (source, target) cell type, `[N_CELL_TYPES * N_CELL_TYPES]`; 1 without edges.
pub(super) fn median_sizes(em: &EmNetwork) -> Vec<f64> {
    let mut sizes = vec![Vec::new(); N_CELL_TYPES * N_CELL_TYPES];
    let cell_type = |neuron: u32| usize::from(em.neurons.cell_type_ix[neuron as usize]);
    for edge in &em.edges {
        sizes[cell_type(edge.source) * N_CELL_TYPES + cell_type(edge.target)].push(edge.size);
    }
    let median = |mut sizes: Vec<f32>| {
        let middle = sizes.len() / 2;
        (!sizes.is_empty()).then(|| f64::from(*sizes.select_nth_unstable_by(middle, f32::total_cmp).1))
    };
    sizes.into_iter().map(|sizes| median(sizes).unwrap_or(1.0)).collect()
}

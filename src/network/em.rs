//! A network from tables of electron microscopy: one row a cell and one row a synapse, as MICrONS exports give them, in place of
//! the statistical builder's neurons and recurrent edges (MODEL.md, N6). LGN and background are drawn as there.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::random::{Draws, Owner};
use super::tables::Tables;
use super::{CELL_TYPES, N_CELL_TYPES, Neurons};
use crate::error::{Error, Result};
use crate::model::rng::Stream;
use crate::scene::EmScene;

mod read;

use read::{Column, Sheet};

/// What was found in the tables, and what was wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmReport {
    /// Rows of the cell table.
    pub n_cells: usize,
    /// Cells whose type has no name of this project's and none in the scene: left out.
    pub unknown_cell_types: usize,
    /// Rows whose id an earlier row has: left out.
    pub duplicate_ids: usize,
    /// Cells without a finite position: left out.
    pub bad_positions: usize,
    /// Cells beyond the scene's radius: left out, no fault.
    pub outside: usize,
    /// Cells that became neurons.
    pub n_neurons: usize,
    /// Rows of the synapse table.
    pub n_synapses: usize,
    /// Rows with an id that the cell table does not have.
    pub dangling: usize,
    /// Rows whose size is not a positive number.
    pub bad_sizes: usize,
    /// Rows from a cell to itself: left out, no fault.
    pub to_itself: usize,
    /// Rows of cells that were left out: no fault of their own.
    pub of_left_out: usize,
    /// Edges: pairs of neurons with at least one synapse.
    pub n_edges: usize,
    /// Some of the unknown types.
    pub unknown_names: Vec<String>,
}

impl EmReport {
    /// One line for the user.
    pub fn line(&self) -> String {
        let names = if self.unknown_names.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.unknown_names.join(", "))
        };
        format!(
            "EM tables: {} neurons of {} cells ({} of unknown type{names}, {} duplicate ids, {} without position, {} beyond the radius); {} edges from {} synapses \
             ({} dangling, {} of no size, {} to the cell itself, {} of cells left out)",
            self.n_neurons,
            self.n_cells,
            self.unknown_cell_types,
            self.duplicate_ids,
            self.bad_positions,
            self.outside,
            self.n_edges,
            self.n_synapses,
            self.dangling,
            self.bad_sizes,
            self.to_itself,
            self.of_left_out
        )
    }
}

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

/// A cell that becomes a neuron.
struct Cell {
    id: u64,
    model_ix: usize,
    at_um: [f64; 3],
}

/// Reads and merges the tables of a scene; `folder` is what their paths are relative to.
///
/// # Errors
/// A file that cannot be read names itself, line and column; faulty rows beyond the scene's limit name file, count and limit.
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
    let faulty = report.unknown_cell_types + report.duplicate_ids + report.bad_positions;
    refuse_faulty(scene, &cells_file, faulty, report.n_cells, &report)?;
    if cells.is_empty() {
        return Err(Error::file(&cells_file, format!("leaves no neuron; {}", report.line())));
    }
    let synapses_file = folder.join(&scene.synapses);
    let edges = read_edges(scene, &synapses_file, &index, &mut report)?;
    refuse_faulty(scene, &synapses_file, report.dangling + report.bad_sizes, report.n_synapses, &report)?;
    report.n_edges = edges.len();
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
    let reason = format!(
        "{n_faulty} of {n_rows} rows are faulty, network.em.max_faulty allows a share of {limit}; {}",
        report.line()
    );
    Err(Error::file(file, reason))
}

/// The cells that become neurons, ordered by cell model, and the index of all ids: None for cells that were left out.
fn read_cells(
    scene: &EmScene,
    file: &Path,
    radius_um: f64,
    tables: &Tables,
    seed: u64,
    report: &mut EmReport,
) -> Result<(Vec<Cell>, Index)> {
    let names = &scene.columns;
    let columns = [
        (&names.id, Column::Id),
        (&names.cell_type, Column::Text),
        (&names.x, Column::Number),
        (&names.y, Column::Number),
        (&names.z, Column::Number),
    ];
    let mut index = Index::new();
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut found: Vec<(u64, usize, [f64; 3])> = Vec::new();
    read::for_each_batch(file, &columns, |sheet: &Sheet| {
        let [x, y, z] = [2, 3, 4].map(|c| sheet.numbers(c));
        for (row, (id, cell_type)) in sheet.ids(0).iter().zip(sheet.texts(1)).enumerate() {
            report.n_cells += 1;
            if index.contains_key(id) {
                report.duplicate_ids += 1;
                continue;
            }
            index.insert(*id, None);
            let own = scene.cell_types.get(cell_type).map_or(cell_type.as_str(), String::as_str);
            let Some(cell_type_ix) = CELL_TYPES.iter().position(|name| *name == own) else {
                report.unknown_cell_types += 1;
                *unknown.entry(cell_type.clone()).or_default() += 1;
                continue;
            };
            let at_um = [x[row], y[row], z[row]].map(|nm| 1e-3 * nm);
            if at_um.iter().any(|um| !um.is_finite()) {
                report.bad_positions += 1;
                continue;
            }
            found.push((*id, cell_type_ix, at_um));
        }
        Ok(())
    })?;
    report.unknown_names = unknown.into_keys().take(5).collect();
    let n = found.len().max(1) as f64;
    // The axis of the column is the mean of the cells in the sheet (x, z); depth counts from the uppermost cell.
    let centre = [0, 2].map(|k| found.iter().map(|cell| cell.2[k]).sum::<f64>() / n);
    let top = found.iter().map(|cell| cell.2[1]).fold(f64::INFINITY, f64::min);
    let models = models_of_types(tables);
    let mut cells: Vec<Cell> = Vec::new();
    for (k, (id, cell_type_ix, [x, y, z])) in found.into_iter().enumerate() {
        let at_um = [x - centre[0], -(y - top), z - centre[1]];
        if at_um[0].hypot(at_um[2]) > radius_um {
            report.outside += 1;
            continue;
        }
        let draw = Draws::new(seed, Stream::CellParameters, Owner::Neuron, k).uniform();
        cells.push(Cell { id, model_ix: pick(&models[cell_type_ix], draw), at_um });
    }
    cells.sort_by_key(|cell| cell.model_ix);
    Ok((cells, index))
}

/// Cell models of each cell type with their cumulative share of the published counts.
fn models_of_types(tables: &Tables) -> Vec<Vec<(usize, f64)>> {
    let mut models = vec![Vec::new(); N_CELL_TYPES];
    for (model_ix, cell) in tables.cells.iter().enumerate() {
        let of_type: &mut Vec<(usize, f64)> = &mut models[cell.model.cell_type_ix];
        let before = of_type.last().map_or(0.0, |last| last.1);
        of_type.push((model_ix, before + cell.n_cells_full as f64));
    }
    models
}

fn pick(models: &[(usize, f64)], draw: f64) -> usize {
    let total = models.last().map_or(0.0, |last| last.1);
    models.iter().find(|m| draw * total < m.1).or(models.last()).map_or(0, |m| m.0)
}

/// Neurons at the cells' places. Preferred directions divide the circle within a cell model and synapse counts are drawn, as for
/// the built network (N1): a table of a volume holds a part of a cell's synapses only.
fn neurons_of(cells: &[Cell], tables: &Tables, seed: u64) -> Neurons {
    let mut neurons = Neurons::default();
    let mut n_of_model = vec![0_usize; tables.cells.len()];
    cells.iter().for_each(|cell| n_of_model[cell.model_ix] += 1);
    let mut k_of_model = vec![0_usize; tables.cells.len()];
    for (neuron_ix, cell) in cells.iter().enumerate() {
        let model = &tables.cells[cell.model_ix].model;
        let population = &tables.populations[model.population_ix];
        let mut size = Draws::new(seed, Stream::Positions, Owner::Neuron, neuron_ix);
        let ln_n = population.n_synapses_scale.ln() + population.n_synapses_shape * size.normal();
        let k = &mut k_of_model[cell.model_ix];
        neurons.model_ix.push(cell.model_ix as u16);
        neurons.population_ix.push(model.population_ix as u8);
        neurons.cell_type_ix.push(model.cell_type_ix as u8);
        neurons.x_um.push(cell.at_um[0] as f32);
        neurons.y_um.push(cell.at_um[1] as f32);
        neurons.z_um.push(cell.at_um[2] as f32);
        neurons.tuning_angle_deg.push((360.0 * *k as f64 / n_of_model[cell.model_ix] as f64) as f32);
        neurons.target_n_synapses.push(ln_n.exp().round().max(1.0) as f32);
        *k += 1;
    }
    neurons
}

fn read_edges(scene: &EmScene, file: &Path, index: &Index, report: &mut EmReport) -> Result<Vec<EmEdge>> {
    let names = &scene.columns;
    let columns = [(&names.pre_id, Column::Id), (&names.post_id, Column::Id), (&names.size, Column::Number)];
    // Target above, source below: sorting orders by target, then by source.
    let mut synapses: Vec<(u64, f32)> = Vec::new();
    read::for_each_batch(file, &columns, |sheet: &Sheet| {
        let rows = sheet.ids(0).iter().zip(sheet.ids(1)).zip(sheet.numbers(2));
        for ((pre, post), size) in rows {
            report.n_synapses += 1;
            let (Some(source), Some(target)) = (index.get(pre), index.get(post)) else {
                report.dangling += 1;
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

//! The cells of an EM volume: which columns have what, which rows become neurons.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::random::{Draws, Owner};
use super::super::tables::Tables;
use super::super::{CELL_TYPES, N_CELL_TYPES};
use super::table::{Kind, Sheet, Table, Wanted, is_missing};
use super::{EmReport, Index, NO_SEGMENT, VALID, depth, units};
use crate::error::Result;
use crate::model::rng::Stream;
use crate::network::scene::{EmColumnsScene, EmScene};

/// A cell that becomes a neuron.
pub(super) struct Cell {
    pub(super) id: u64,
    pub(super) model_ix: usize,
    /// Place from the axis of the column and the uppermost cell, um: x, depth (negative), z.
    pub(super) at_um: [f64; 3],
}

/// Columns with the positions.
enum Places<'a> {
    /// One of lists of three.
    List(&'a str),
    /// One an axis.
    Axes([&'a str; 3]),
}

impl Places<'_> {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::List(name) => vec![*name],
            Self::Axes(names) => names.to_vec(),
        }
    }
}

/// The name that the scene gives a column, and CAVE's where that is the usual one.
pub(super) fn or_of_cave<'a>(own: &'a str, usual: &str, of_cave: &'static str) -> Vec<&'a str> {
    if own == usual { vec![own, of_cave] } else { vec![own] }
}

/// Columns with the positions: those that the scene names, or those that CAVE's queries give.
fn places<'a>(table: &Table, names: &'a EmColumnsScene) -> Result<Places<'a>> {
    if let Some(list) = &names.position {
        return Ok(Places::List(table.first_of(&[list])?));
    }
    let axes = [names.x.as_str(), names.y.as_str(), names.z.as_str()];
    let missing = axes.iter().find(|axis| !table.has(axis));
    let Some(missing) = missing else { return Ok(Places::Axes(axes)) };
    if axes == ["x", "y", "z"] {
        if let Some(list) = ["pt_position", "position"].into_iter().find(|name| table.has(name)) {
            return Ok(Places::List(list));
        }
        let split = ["pt_position_x", "pt_position_y", "pt_position_z"];
        if split.iter().all(|axis| table.has(axis)) {
            return Ok(Places::Axes(split));
        }
    }
    Err(table.missing(missing))
}

/// A row that has a cell type of this project and a position.
struct Found {
    id: u64,
    cell_type_ix: usize,
    /// In the table's unit.
    at: [f64; 3],
}

/// The cells that become neurons, ordered by cell model, and the index of all ids: None for cells that were left out.
pub(super) fn read_cells(
    scene: &EmScene,
    file: &Path,
    radius_um: f64,
    tables: &Tables,
    seed: u64,
    report: &mut EmReport,
) -> Result<(Vec<Cell>, Index)> {
    let table = Table::open(file)?;
    let places = places(&table, &scene.columns)?;
    let mut index = Index::new();
    let mut found = Vec::new();
    sort_rows(scene, &table, &places, report, &mut index, &mut found)?;
    let scale = units::nm_per_unit(scene, file, &table, &places.names())?;
    let at_nm: Vec<[f64; 3]> =
        found.iter().map(|cell| [0, 1, 2].map(|axis| scale.nm[axis] * cell.at[axis])).collect();
    report.extent_um = units::extent_um(&at_nm);
    if !scale.is_said {
        units::refuse_what_cannot_be_nm(file, &table, &at_nm)?;
    }
    report.odd_axis = depth::odd_axis(found.iter().map(|cell| (cell.cell_type_ix, cell.at)));
    let n = found.len().max(1) as f64;
    // The axis of the column is the mean of the cells in the sheet (x, z); depth counts from the uppermost cell.
    let at_um: Vec<[f64; 3]> = at_nm.iter().map(|at| at.map(|nm| 1e-3 * nm)).collect();
    let centre = [0, 2].map(|axis| at_um.iter().map(|at| at[axis]).sum::<f64>() / n);
    let top = at_um.iter().map(|at| at[1]).fold(f64::INFINITY, f64::min);
    let models = models_of_types(tables);
    let mut cells: Vec<Cell> = Vec::new();
    for (cell, [x, y, z]) in found.into_iter().zip(at_um) {
        let at_um = [x - centre[0], -(y - top), z - centre[1]];
        if at_um[0].hypot(at_um[2]) > radius_um {
            report.outside += 1;
            continue;
        }
        let draw = Draws::new(seed, Stream::CellParameters, Owner::Neuron, cell.id).uniform();
        cells.push(Cell { id: cell.id, model_ix: pick(&models[cell.cell_type_ix], draw), at_um });
    }
    cells.sort_by_key(|cell| cell.model_ix);
    Ok((cells, index))
}

/// Reads all rows and counts those that are left out.
fn sort_rows(
    scene: &EmScene,
    table: &Table,
    places: &Places<'_>,
    report: &mut EmReport,
    index: &mut Index,
    found: &mut Vec<Found>,
) -> Result<()> {
    let names = &scene.columns;
    let id = table.first_of(&or_of_cave(&names.id, "id", "pt_root_id"))?;
    let mut wanted: Vec<Wanted<'_>> = vec![(id, Kind::Id), (&names.cell_type, Kind::Text)];
    match places {
        Places::List(name) => wanted.push((name, Kind::Position)),
        Places::Axes(axes) => wanted.extend(axes.map(|name| (name, Kind::Number))),
    }
    let valid_at = wanted.len();
    wanted.extend(table.has(VALID).then_some((VALID, Kind::Flag)));
    let left_out: Vec<String> = scene.leave_out.iter().map(|name| name.to_lowercase()).collect();
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    table.for_each_batch(&wanted, |sheet: &Sheet| {
        let is_valid = sheet.is_valid(valid_at);
        for (row, (id, cell_type)) in sheet.ids(0).iter().zip(sheet.texts(1)).enumerate() {
            report.n_cells += 1;
            if !is_valid(row) {
                report.withdrawn_cells += 1;
                continue;
            }
            let Some(id) = *id else {
                report.cells_without_id += 1;
                continue;
            };
            if id == NO_SEGMENT {
                report.cells_of_no_segment += 1;
                continue;
            }
            if index.contains_key(&id) {
                report.duplicate_ids += 1;
                continue;
            }
            index.insert(id, None);
            let own = scene.cell_types.get(cell_type).map_or(cell_type.as_str(), String::as_str);
            let Some(cell_type_ix) = CELL_TYPES.iter().position(|name| *name == own) else {
                if left_out.contains(&cell_type.to_lowercase()) {
                    report.types_left_out += 1;
                    continue;
                }
                report.unknown_cell_types += 1;
                let name = if is_missing(cell_type) { "none" } else { cell_type };
                *unknown.entry(name.to_owned()).or_default() += 1;
                continue;
            };
            let at = match places {
                Places::List(_) => sheet.positions(2)[row],
                Places::Axes(_) => [2, 3, 4].map(|column| sheet.numbers(column)[row]),
            };
            if at.iter().any(|x| !x.is_finite()) {
                report.bad_positions += 1;
                continue;
            }
            found.push(Found { id, cell_type_ix, at });
        }
        Ok(())
    })?;
    report.unknown_names = unknown.into_keys().take(5).collect();
    Ok(())
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

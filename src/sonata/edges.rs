//! Populations of edges, read block by block: a file of any length takes the memory of one block.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::PopulationFile;
use super::keys::near;
use super::spikes::unit_of;
use super::types::{TypeTable, TypesFile};
use crate::error::{Error, Result};
use crate::hdf5::{Column, Hdf5};

/// Edges that are read at once.
const BLOCK: usize = 1 << 19;

/// Attributes of an edge that a network needs, in the groups of the HDF5 file: weight, number of synapses, delay, receptor. Each may be in
/// the table of types as well.
pub(super) const ATTRIBUTES: [&str; 4] = ["syn_weight", "nsyns", "delay", "dynamics_params/receptor_type"];

/// Units of an attribute, where the file gives them.
const UNITS: [(&str, &str); 2] = [("syn_weight", "pA"), ("delay", "ms")];

/// Attributes that would change single edges and are not obeyed: the table of types has them.
const ONLY_OF_TYPES: [&str; 5] =
    ["model_template", "dynamics_params", "weight_function", "receptor_type", "is_gap_junction"];

/// Columns of a table that are obeyed, or say where its edges are from.
const COLUMNS: [&str; 12] = [
    "edge_type_id",
    "population",
    "source_query",
    "target_query",
    "syn_weight",
    "nsyns",
    "delay",
    "model_template",
    "dynamics_params",
    "weight_function",
    "receptor_type",
    "is_gap_junction",
];

/// A population of edges of an open file.
pub struct EdgePopulation {
    /// Its name.
    pub name: String,
    /// Population that the edges leave.
    pub source_population: String,
    /// Population that they reach.
    pub target_population: String,
    pub(super) types: TypeTable,
    h5: Hdf5,
    source: Column,
    target: Column,
    type_id: Column,
    /// Group of each edge and its place there; none where there is one group in the order of the edges.
    group: Option<(Column, Column)>,
    groups: Vec<Group>,
}

/// Attributes of a group of edges.
struct Group {
    id: u64,
    columns: [Option<Column>; ATTRIBUTES.len()],
    /// Whole columns, for a group that is not in the order of the edges.
    whole: [Option<Vec<f64>>; ATTRIBUTES.len()],
}

/// Edges that follow each other in a file.
pub(super) struct Block {
    /// The first edge.
    pub(super) first: usize,
    pub(super) source: Vec<u64>,
    pub(super) target: Vec<u64>,
    pub(super) type_id: Vec<u64>,
    /// [`ATTRIBUTES`] of the HDF5 file; NaN where an edge has none, none where no edge has one.
    pub(super) attributes: [Option<Vec<f64>>; ATTRIBUTES.len()],
}

impl EdgePopulation {
    /// Opens the populations of a file that the circuit has, whose populations of edges are `all`.
    ///
    /// # Errors
    /// Names file and dataset of what is missing, of another length, or not obeyed.
    pub fn open_file(file: &PopulationFile, all: &[String]) -> Result<Vec<Self>> {
        let types = TypesFile::read(file.types.as_deref(), "edge_type_id")?;
        let h5 = Hdf5::open(&file.h5)?;
        let names = h5.groups("edges")?;
        let missing = file.populations.iter().flat_map(|p| p.keys()).find(|name| !names.contains(name));
        if let Some(missing) = missing {
            return Err(
                h5.error("edges", format!("there is no population '{missing}', which the circuit has"))
            );
        }
        let of_circuit = |name: &&String| file.populations.as_ref().is_none_or(|p| p.contains_key(*name));
        let open = |name: &String| {
            let population = Self::open(&file.h5, name, types.of_population(name, all)?)?;
            refuse_columns(&population.types, &file.h5)?;
            for group in &population.groups {
                refuse_attributes(&population.h5, &format!("edges/{name}/{}", group.id))?;
            }
            Ok(population)
        };
        names.iter().filter(of_circuit).map(open).collect()
    }

    /// Opens one population of a file without a table of types.
    ///
    /// # Errors
    /// As [`EdgePopulation::open_file`].
    pub fn open_one(file: &Path, name: &str) -> Result<Self> {
        Self::open(file, name, TypeTable::default())
    }

    fn open(file: &Path, name: &str, types: TypeTable) -> Result<Self> {
        let h5 = Hdf5::open(file)?;
        let at = |dataset: &str| format!("edges/{name}/{dataset}");
        let source = h5.column(&at("source_node_id"))?;
        let target = h5.column_of(&at("target_node_id"), source.len())?;
        let type_id = h5.column_of(&at("edge_type_id"), source.len())?;
        let population = |dataset: &str| {
            let dataset = at(dataset);
            let found = h5.dataset_attribute(&dataset, "node_population")?;
            found.ok_or_else(|| h5.error(&dataset, "has no attribute 'node_population'"))
        };
        let group = match h5.has(&at("edge_group_id"))? {
            true => Some((
                h5.column_of(&at("edge_group_id"), source.len())?,
                h5.column_of(&at("edge_group_index"), source.len())?,
            )),
            false => None,
        };
        let mut groups = Vec::new();
        for id in h5.groups(&format!("edges/{name}"))?.iter().filter_map(|group| group.parse::<u64>().ok()) {
            let column = |attribute: &&str| {
                let dataset = at(&format!("{id}/{attribute}"));
                match h5.has(&dataset)? {
                    true => h5.column(&dataset).map(Some),
                    false => Ok(None),
                }
            };
            let [weight, nsyns, delay, receptor] = ATTRIBUTES.each_ref().map(column);
            groups.push(Group {
                id,
                columns: [weight?, nsyns?, delay?, receptor?],
                whole: Default::default(),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            source_population: population("source_node_id")?,
            target_population: population("target_node_id")?,
            types,
            source,
            target,
            type_id,
            group,
            groups,
            h5,
        })
    }

    /// Number of edges.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there is no edge.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The HDF5 file.
    pub fn file(&self) -> PathBuf {
        self.h5.path().to_path_buf()
    }

    /// Columns of its table and attributes of its groups that are not read.
    ///
    /// # Errors
    /// A group that cannot be read.
    pub(super) fn unread(&self) -> Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> =
            self.types.columns().filter(|c| !COLUMNS.contains(c)).map(str::to_owned).collect();
        for group in &self.groups {
            let datasets = self.h5.datasets(&format!("edges/{}/{}", self.name, group.id))?;
            names.extend(datasets.into_iter().filter(|name| !ATTRIBUTES.contains(&name.as_str())));
        }
        Ok(names)
    }

    /// Source and target of every edge, as ids of nodes.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn pairs(&mut self) -> Result<Vec<(u64, u64)>> {
        let mut pairs = Vec::with_capacity(self.len());
        self.for_each_block(&mut |block| {
            pairs.extend(block.source.iter().copied().zip(block.target.iter().copied()));
            Ok(())
        })?;
        Ok(pairs)
    }

    /// Reads the edges in order, a block at a time.
    pub(super) fn for_each_block(&mut self, f: &mut dyn FnMut(&Block) -> Result<()>) -> Result<()> {
        for first in (0..self.len()).step_by(BLOCK) {
            let count = BLOCK.min(self.len() - first);
            let attributes = self.attributes(first, count)?;
            f(&Block {
                first,
                source: self.source.ids(first, count)?,
                target: self.target.ids(first, count)?,
                type_id: self.type_id.type_ids(first, count)?,
                attributes,
            })?;
        }
        Ok(())
    }

    fn attributes(&mut self, first: usize, count: usize) -> Result<[Option<Vec<f64>>; ATTRIBUTES.len()]> {
        let (ids, places) = match &self.group {
            Some((id, place)) => (id.ids(first, count)?, place.ids(first, count)?),
            None => (vec![0; count], (first as u64..(first + count) as u64).collect()),
        };
        let mut attributes: [Option<Vec<f64>>; ATTRIBUTES.len()] = Default::default();
        let mut used: Vec<u64> = ids.clone();
        used.dedup();
        used.sort_unstable();
        used.dedup();
        for id in used {
            let Some(group) = self.groups.iter_mut().find(|group| group.id == id) else {
                // A file without attributes may leave the group out.
                if self.groups.is_empty() && id == 0 {
                    continue;
                }
                let folder = format!("edges/{}/{id}", self.name);
                return Err(self.h5.error(&folder, "there is no such group, but edges are in it"));
            };
            let mine: Vec<usize> = (0..count).filter(|i| ids[*i] == id).collect();
            for (k, all) in attributes.iter_mut().enumerate() {
                if let Some(values) = group.values(k, &mine, &places)? {
                    let all = all.get_or_insert_with(|| vec![f64::NAN; count]);
                    mine.iter().zip(values).for_each(|(i, value)| all[*i] = value);
                }
            }
        }
        Ok(attributes)
    }
}

/// Refuses what a group says of single edges and is not obeyed.
fn refuse_attributes(h5: &Hdf5, group: &str) -> Result<()> {
    let refuse = |name: &str, reason: &str| Err(h5.error(&format!("{group}/{name}"), reason));
    for name in h5.datasets(group)? {
        if ONLY_OF_TYPES.contains(&name.as_str()) {
            return refuse(&name, "is not obeyed for single edges; give it to their types");
        }
        if let Some(known) = near(&name, &ATTRIBUTES) {
            return refuse(&name, &format!("is no attribute of an edge; is {known} meant?"));
        }
    }
    for name in h5.datasets(&format!("{group}/dynamics_params"))? {
        if name != "receptor_type" {
            let name = format!("dynamics_params/{name}");
            return refuse(&name, "is not obeyed: of a static synapse only receptor_type can be set");
        }
    }
    for (name, unit) in UNITS {
        let given = unit_of(h5, &format!("{group}/{name}"))?;
        if let Some(other) = given.filter(|given| given.trim() != unit) {
            return refuse(name, &format!("units = '{other}', must be {unit}"));
        }
    }
    Ok(())
}

/// Refuses columns of a table that are misspelt.
fn refuse_columns(types: &TypeTable, file: &Path) -> Result<()> {
    let misspelt = types.columns().find_map(|column| near(column, &COLUMNS).map(|known| (column, known)));
    match misspelt {
        Some((column, known)) => {
            let reason =
                format!("has a column '{column}', which is no attribute of an edge; is {known} meant?");
            Err(Error::file(types.file_or(file), reason))
        }
        None => Ok(()),
    }
}

impl Group {
    /// Values of an attribute for the edges `mine`, whose places in the group are in `places`.
    fn values(&mut self, k: usize, mine: &[usize], places: &[u64]) -> Result<Option<Vec<f64>>> {
        let Some(column) = &self.columns[k] else { return Ok(None) };
        if let Some(i) = mine.iter().find(|i| places[**i] >= column.len() as u64) {
            let reason = format!("has {} entries, but an edge is at place {}", column.len(), places[*i]);
            return Err(column.error(reason));
        }
        let Some(start) = mine.first().map(|i| places[*i]) else { return Ok(Some(Vec::new())) };
        if mine.iter().zip(start..).all(|(i, place)| places[*i] == place) {
            return column.numbers(start as usize, mine.len()).map(Some);
        }
        let whole = match &mut self.whole[k] {
            Some(whole) => whole,
            empty => empty.insert(column.all_numbers()?),
        };
        Ok(Some(mine.iter().map(|i| whole[places[*i] as usize]).collect()))
    }
}

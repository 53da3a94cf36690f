//! Populations of nodes: ids, types, groups of attributes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::PopulationFile;
use super::keys::near;
use super::types::{TypeTable, TypesFile, is_none};
use crate::error::{Error, Result};
use crate::hdf5::{Column, Hdf5};

/// Attributes that say what a node is simulated as.
const OF_MODELS: [&str; 4] = ["model_type", "model_template", "dynamics_params", "model_processing"];

/// Values of an attribute, one a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Numbers; NaN where a node has none.
    Numbers(Vec<f64>),
    /// Integers, which beyond 2^53 are more than floats can tell apart, and truth values as 0 and 1; None where a node
    /// has none.
    Integers(Vec<Option<i64>>),
    /// Texts; empty where a node has none.
    Texts(Vec<String>),
}

impl Attribute {
    /// As floats; none of texts.
    fn numbers(&self) -> Option<Cow<'_, [f64]>> {
        let number = |integer: &Option<i64>| integer.map_or(f64::NAN, |integer| integer as f64);
        match self {
            Self::Numbers(numbers) => Some(Cow::Borrowed(numbers)),
            Self::Integers(integers) => Some(integers.iter().map(number).collect()),
            Self::Texts(_) => None,
        }
    }
}

/// A number that node sets compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Integer(i64),
    /// NaN: none.
    Float(f64),
}

/// An attribute, or why it cannot be read: only those that are asked for need to be good.
type Stored = std::result::Result<Attribute, String>;

/// A population of nodes with its attributes.
#[derive(Clone, Debug)]
pub struct NodePopulation {
    /// Its name.
    pub name: String,
    /// The HDF5 file.
    pub file: PathBuf,
    /// Ids of the nodes, in the order of the file: 0, 1, .. where the file gives none.
    pub node_id: Vec<u64>,
    /// Type of each node.
    pub node_type_id: Vec<u64>,
    pub(super) types: TypeTable,
    /// Attributes of the groups in the file, one entry a node.
    attributes: BTreeMap<String, Stored>,
    /// Parameters of single nodes (`dynamics_params` of a group), one entry a node, null where a node has none; why where they
    /// cannot be read.
    own_parameters: BTreeMap<String, std::result::Result<Vec<Value>, String>>,
    /// The type of its nodes that the configuration gives, if any.
    pub(super) type_in_configuration: Option<String>,
}

impl NodePopulation {
    /// Reads the populations of a file that the circuit has, whose populations of nodes are `all`.
    ///
    /// # Errors
    /// Names file and dataset of what is missing, of another length or of another kind.
    pub fn read_file(file: &PopulationFile, all: &[String]) -> Result<Vec<Self>> {
        let types = TypesFile::read(file.types.as_deref(), "node_type_id")?;
        let h5 = Hdf5::open(&file.h5)?;
        let names = h5.groups("nodes")?;
        let missing = file.populations.iter().flat_map(|p| p.keys()).find(|name| !names.contains(name));
        if let Some(missing) = missing {
            return Err(
                h5.error("nodes", format!("there is no population '{missing}', which the circuit has"))
            );
        }
        let of_circuit = |name: &&String| file.populations.as_ref().is_none_or(|p| p.contains_key(*name));
        let read = |name: &String| {
            let population = Self::read(&h5, name, types.of_population(name, all)?)?;
            let given = file.populations.as_ref().and_then(|p| p[name].clone());
            Ok(Self { type_in_configuration: given, ..population })
        };
        names.iter().filter(of_circuit).map(read).collect()
    }

    /// Reads one population of a file without a table of types.
    ///
    /// # Errors
    /// As [`NodePopulation::read_file`].
    pub fn read_one(file: &Path, name: &str) -> Result<Self> {
        let h5 = Hdf5::open(file)?;
        Self::read(&h5, name, TypeTable::default())
    }

    fn read(h5: &Hdf5, name: &str, types: TypeTable) -> Result<Self> {
        let at = |dataset: &str| format!("nodes/{name}/{dataset}");
        let types_column = h5.column(&at("node_type_id"))?;
        let n = types_column.len();
        let node_type_id = types_column.type_ids(0, n)?;
        let node_id = match h5.has(&at("node_id"))? {
            true => h5.column_of(&at("node_id"), n)?.all_ids()?,
            false => (0..n as u64).collect(),
        };
        let mut sorted = node_id.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(h5.error(&at("node_id"), format!("two nodes have the id {}", twice[0])));
        }
        for id in node_type_id.iter().collect::<BTreeSet<_>>() {
            types.require(*id, h5.path())?;
        }
        let misspelt =
            types.columns().find_map(|column| near(column, &OF_MODELS).map(|known| (column, known)));
        if let Some((column, known)) = misspelt {
            let reason = format!("has a column '{column}', which is not read; is {known} meant?");
            return Err(Error::file(types.file_or(h5.path()), reason));
        }
        let groups = Groups::read(h5, &format!("nodes/{name}"), n)?;
        Ok(Self {
            name: name.to_owned(),
            file: h5.path().to_path_buf(),
            node_id,
            node_type_id,
            types,
            attributes: groups.attributes(h5, &format!("nodes/{name}"))?,
            own_parameters: groups.parameters(h5, &format!("nodes/{name}"))?,
            type_in_configuration: None,
        })
    }

    /// Parameters of single nodes by name, one entry a node, null where a node has none.
    ///
    /// # Errors
    /// Names the parameter that cannot be read.
    pub(super) fn own_parameters(&self) -> Result<Vec<(&str, &[Value])>> {
        let all = self.own_parameters.iter().map(|(name, values)| match values {
            Ok(values) => Ok((name.as_str(), values.as_slice())),
            Err(fault) => Err(Error::file(&self.file, fault)),
        });
        all.collect()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.node_type_id.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.node_type_id.is_empty()
    }

    /// Whether some node may have an attribute: the HDF5 file or the table of types has it.
    pub fn has_attribute(&self, name: &str) -> bool {
        ["node_id", "node_type_id"].contains(&name)
            || self.attributes.contains_key(name)
            || self.types.has(name)
    }

    /// An attribute of the HDF5 file, if it has it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn attribute(&self, name: &str) -> Result<Option<&Attribute>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Ok(attribute)) => Ok(Some(attribute)),
            Some(Err(fault)) => Err(Error::file(&self.file, fault)),
        }
    }

    /// A number of each node, from the HDF5 file, else from the table of types; `None` where no node has it, NaN for
    /// nodes that have none.
    pub fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>> {
        let must = || Error::file(&self.file, format!("nodes/{}: '{name}' must hold numbers", self.name));
        let own = self.attribute(name)?.map(|own| own.numbers().ok_or_else(must)).transpose()?;
        if own.is_none() && !self.types.has(name) {
            return Ok(None);
        }
        let mut of_type = BTreeMap::new();
        for id in &self.node_type_id {
            if !of_type.contains_key(id) {
                of_type.insert(*id, self.types.number(*id, name)?.unwrap_or(f64::NAN));
            }
        }
        let value = |i: usize| {
            own.as_ref().map(|o| o[i]).filter(|x| !x.is_nan()).unwrap_or(of_type[&self.node_type_id[i]])
        };
        Ok(Some((0..self.len()).map(value).collect()))
    }

    /// A number of each node as node sets compare it, from the HDF5 file, else from the table of types.
    ///
    /// # Errors
    /// Why the attribute cannot be read, or a text of the table that is neither a number nor a truth value.
    pub(super) fn scalars(&self, name: &str) -> Result<Vec<Scalar>> {
        let own = self.attribute(name)?;
        let mut of_type = BTreeMap::new();
        for id in &self.node_type_id {
            if !of_type.contains_key(id) {
                of_type.insert(*id, self.types.scalar(*id, name)?);
            }
        }
        let value = |i: usize| {
            let own = match own {
                Some(Attribute::Integers(integers)) => integers[i].map(Scalar::Integer),
                Some(Attribute::Numbers(numbers)) => {
                    Some(numbers[i]).filter(|x| !x.is_nan()).map(Scalar::Float)
                }
                _ => None,
            };
            own.or(of_type[&self.node_type_id[i]]).unwrap_or(Scalar::Float(f64::NAN))
        };
        Ok((0..self.len()).map(value).collect())
    }

    /// A text of each node, from the HDF5 file, else from the table of types; `None` for nodes that have none.
    ///
    /// # Errors
    /// Why the attribute cannot be read.
    pub fn texts(&self, name: &str) -> Result<Vec<Option<&str>>> {
        let own = match self.attribute(name)? {
            Some(Attribute::Texts(texts)) => Some(texts),
            Some(_) if OF_MODELS.contains(&name) => {
                let reason = format!("nodes/{}: '{name}' must hold texts", self.name);
                return Err(Error::file(&self.file, reason));
            }
            _ => None,
        };
        let text = |i: usize| {
            let own = own.map(|texts| texts[i].as_str()).filter(|text| !is_none(text));
            own.or_else(|| self.types.get(self.node_type_id[i], name))
        };
        Ok((0..self.len()).map(text).collect())
    }
}

/// Which group of attributes each node is in, and at which place there.
struct Groups {
    /// Names of the groups that are used.
    names: Vec<String>,
    /// Group of each node, index into `names`.
    group_ix: Vec<usize>,
    /// Place of each node in its group.
    place: Vec<usize>,
}

impl Groups {
    /// Reads `node_group_id` and `node_group_index` of a population. Without them there is one group, `0`.
    fn read(h5: &Hdf5, at: &str, n: usize) -> Result<Self> {
        let (id_name, index_name) = (format!("{at}/node_group_id"), format!("{at}/node_group_index"));
        if !h5.has(&id_name)? {
            return Ok(Self { names: vec!["0".to_owned()], group_ix: vec![0; n], place: (0..n).collect() });
        }
        let ids = h5.column_of(&id_name, n)?.all_ids()?;
        let place = h5.column_of(&index_name, n)?.all_ids()?;
        let used: BTreeMap<u64, usize> =
            ids.iter().collect::<BTreeSet<_>>().into_iter().copied().zip(0..).collect();
        Ok(Self {
            group_ix: ids.iter().map(|id| used[id]).collect(),
            names: used.keys().map(u64::to_string).collect(),
            place: place.into_iter().map(|p| p as usize).collect(),
        })
    }

    /// Nodes of a group.
    fn nodes(&self, group_ix: usize) -> impl Iterator<Item = usize> {
        (0..self.group_ix.len()).filter(move |i| self.group_ix[*i] == group_ix)
    }

    /// All attributes of all groups, one entry a node; for those that cannot be read, why.
    fn attributes(&self, h5: &Hdf5, at: &str) -> Result<BTreeMap<String, Stored>> {
        let mut attributes: BTreeMap<String, Stored> = BTreeMap::new();
        for (group_ix, group) in self.names.iter().enumerate() {
            let folder = format!("{at}/{group}");
            if !h5.has_group(&folder)? {
                if group == "0" && self.names.len() == 1 {
                    continue;
                }
                return Err(h5.error(&folder, "there is no such group, but nodes are in it"));
            }
            for name in h5.datasets(&folder)? {
                if let Some(known) = near(&name, &OF_MODELS) {
                    let reason = format!("is not read; is {known} meant?");
                    return Err(h5.error(&format!("{folder}/{name}"), reason));
                }
                let dataset = format!("{folder}/{name}");
                let stored = match h5.column(&dataset) {
                    Ok(column) => self.values(h5, &column, &format!("{folder}/@library/{name}"), group_ix),
                    Err(fault) => Err(reason(&fault)),
                };
                let merged = match (attributes.remove(&name), stored) {
                    (Some(Ok(earlier)), Ok(own)) => self.merge(earlier, own, group_ix, &dataset),
                    (Some(Err(fault)), _) => Err(fault),
                    (_, stored) => stored,
                };
                attributes.insert(name, merged);
            }
        }
        Ok(attributes)
    }

    /// The values of one group, spread over all nodes.
    fn values(&self, h5: &Hdf5, column: &Column, library: &str, group_ix: usize) -> Stored {
        let read = || -> Result<Attribute> {
            let n = self.group_ix.len();
            if let Some(i) = self.nodes(group_ix).find(|i| self.place[*i] >= column.len()) {
                let reason =
                    format!("has {} entries, but node {i} is at place {}", column.len(), self.place[i]);
                return Err(column.error(reason));
            }
            let texts = if h5.has(library)? {
                let names = h5.column(library)?.texts()?;
                let pick = |ix: u64| {
                    let beyond =
                        || column.error(format!("{ix} is beyond the {} names of {library}", names.len()));
                    names.get(ix as usize).cloned().ok_or_else(beyond)
                };
                Some(column.all_ids()?.into_iter().map(pick).collect::<Result<Vec<String>>>()?)
            } else if column.is_text() {
                Some(column.texts()?)
            } else {
                None
            };
            Ok(match texts {
                Some(texts) => {
                    let mut all = vec![String::new(); n];
                    self.nodes(group_ix).for_each(|i| all[i].clone_from(&texts[self.place[i]]));
                    Attribute::Texts(all)
                }
                None => match whole_numbers(column)? {
                    Some(integers) => {
                        let mut all = vec![None; n];
                        self.nodes(group_ix).for_each(|i| all[i] = integers[self.place[i]]);
                        Attribute::Integers(all)
                    }
                    None => {
                        let numbers = column.all_numbers_or_none()?;
                        let mut all = vec![f64::NAN; n];
                        self.nodes(group_ix).for_each(|i| all[i] = numbers[self.place[i]]);
                        Attribute::Numbers(all)
                    }
                },
            })
        };
        read().map_err(|e| reason(&e))
    }

    /// Adds the values of a group to those of the groups before.
    fn merge(&self, earlier: Attribute, own: Attribute, group_ix: usize, dataset: &str) -> Stored {
        match (earlier, own) {
            (Attribute::Integers(mut all), Attribute::Integers(own)) => {
                self.nodes(group_ix).for_each(|i| all[i] = own[i]);
                Ok(Attribute::Integers(all))
            }
            (Attribute::Texts(mut all), Attribute::Texts(own)) => {
                self.nodes(group_ix).for_each(|i| all[i].clone_from(&own[i]));
                Ok(Attribute::Texts(all))
            }
            (earlier, own) => match (earlier.numbers(), own.numbers()) {
                (Some(all), Some(own)) => {
                    let mut all = all.into_owned();
                    self.nodes(group_ix).for_each(|i| all[i] = own[i]);
                    Ok(Attribute::Numbers(all))
                }
                _ => Err(format!("{dataset}: texts in one group and numbers in another")),
            },
        }
    }

    /// The parameters of single nodes: a number of each, or a list of each.
    fn parameters(
        &self,
        h5: &Hdf5,
        at: &str,
    ) -> Result<BTreeMap<String, std::result::Result<Vec<Value>, String>>> {
        let mut parameters = BTreeMap::new();
        for (group_ix, group) in self.names.iter().enumerate() {
            let folder = format!("{at}/{group}/dynamics_params");
            for name in h5.datasets(&folder)? {
                let dataset = format!("{folder}/{name}");
                let earlier =
                    parameters.remove(&name).unwrap_or_else(|| Ok(vec![Value::Null; self.place.len()]));
                let all = earlier
                    .and_then(|all| self.add_parameter(h5, &dataset, group_ix, all).map_err(|e| reason(&e)));
                parameters.insert(name, all);
            }
        }
        Ok(parameters)
    }

    fn add_parameter(
        &self,
        h5: &Hdf5,
        dataset: &str,
        group_ix: usize,
        mut all: Vec<Value>,
    ) -> Result<Vec<Value>> {
        let values = own_values(h5, dataset)?;
        for node in self.nodes(group_ix) {
            let place = self.place[node];
            all[node] = values.get(place).cloned().ok_or_else(|| {
                let n = values.len();
                h5.error(dataset, format!("has {n} entries, but node {node} is at place {place}"))
            })?;
        }
        Ok(all)
    }
}

/// The entries of a column of integers or truth values; none of another one.
fn whole_numbers(column: &Column) -> Result<Option<Vec<Option<i64>>>> {
    match column.all_flags()? {
        Some(flags) => Ok(Some(flags.into_iter().map(|flag| Some(i64::from(flag))).collect())),
        None if column.is_integer() => column.all_whole_numbers().map(Some),
        None => Ok(None),
    }
}

/// The values of a parameter, one a row: numbers, or lists of numbers; null for rows of NaN.
fn own_values(h5: &Hdf5, dataset: &str) -> Result<Vec<Value>> {
    let number = |x: f64| serde_json::Number::from_f64(x).map_or(Value::Null, Value::Number);
    let rank = h5.rank(dataset)?;
    if rank != 2 {
        let numbers = h5.column(dataset)?.all_numbers_or_none()?;
        return Ok(numbers.into_iter().map(number).collect());
    }
    let ([n_rows, n_columns], numbers) = h5.matrix(dataset)?;
    let list = |row: &[f64]| match row.iter().filter(|x| x.is_nan()).count() {
        n if n == row.len() => Ok(Value::Null),
        0 if row.iter().all(|x| x.is_finite()) => Ok(row.iter().copied().map(number).collect()),
        _ => Err(h5.error(dataset, "holds a list with an entry that is no number")),
    };
    match n_columns {
        0 => Err(h5.error(dataset, format!("holds {n_rows} lists without entries"))),
        _ => numbers.chunks_exact(n_columns).map(list).collect(),
    }
}

/// An error without its file, which the population knows.
fn reason(error: &Error) -> String {
    match error {
        Error::File { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

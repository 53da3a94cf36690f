//! The nodes of a circuit as neurons and units: which are simulated, with which cell models, and what their cell types are called.

use std::collections::{BTreeMap, HashMap};

use super::components::{PointCell, read_cell};
use super::config::Config;
use super::nodes::NodePopulation;
use crate::error::{Error, Result};

/// Attributes that may name a node's cell type, in the order in which they are tried.
const TYPE_ATTRIBUTES: [&str; 4] = ["cell_type", "pop_name", "model_name", "ei"];

/// Nodes that share a node type, with the same cell model: the smallest groups of which a network is made.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// Population of the nodes.
    pub(super) population: String,
    /// Their node type.
    pub(super) node_type_id: u64,
    /// Name of their cell type (simulated nodes), or of their population (virtual ones).
    pub(super) label: String,
    /// The cell model; none for virtual nodes.
    pub(super) cell: Option<PointCell>,
}

/// What tells kinds of a population apart: node type, template, file of parameters, label.
type KindKey<'a> = (u64, Option<&'a str>, Option<&'a str>, &'a str);

/// Nodes of one population as sources of spikes.
#[derive(Clone, Debug)]
pub struct Members {
    /// Name of the population.
    pub population: String,
    /// Whether its nodes only send given spikes.
    pub is_virtual: bool,
    /// First source (neurons, then units) of the population.
    pub first_source: usize,
    /// Ids of the nodes that are in the network, one a source.
    pub node_id: Vec<u64>,
    /// Where they are in the population's file.
    pub(super) node_ix: Vec<usize>,
    /// Kind of each.
    pub(super) kind_ix: Vec<u32>,
    /// Source of each node id; none where a node's id is its place.
    by_id: Option<HashMap<u64, u32>>,
}

impl Members {
    fn new(population: &NodePopulation, is_virtual: bool, node_ix: Vec<usize>, kind_ix: Vec<u32>) -> Self {
        let node_id: Vec<u64> = node_ix.iter().map(|i| population.node_id[*i]).collect();
        let in_place = node_id.iter().zip(0..).all(|(id, place)| *id == place);
        let by_id = (!in_place).then(|| node_id.iter().copied().zip(0..).collect());
        Self {
            population: population.name.clone(),
            is_virtual,
            first_source: 0,
            node_id,
            node_ix,
            kind_ix,
            by_id,
        }
    }

    /// Place of a node among the members.
    pub(super) fn place_of(&self, node_id: u64) -> Option<usize> {
        match &self.by_id {
            None => ((node_id as usize) < self.node_id.len()).then_some(node_id as usize),
            Some(by_id) => by_id.get(&node_id).map(|place| *place as usize),
        }
    }
}

/// Sorts the nodes of a population into kinds, which are added to `kinds`. `keep` leaves simulated nodes out.
pub(super) fn members(
    population: &NodePopulation,
    config: &Config,
    naming: &Naming<'_>,
    keep: Option<&[bool]>,
    kinds: &mut Vec<Kind>,
) -> Result<Members> {
    let is_virtual = is_virtual(population)?;
    let labels = if is_virtual { Vec::new() } else { naming.labels(population)? };
    let texts = |name: &str| population.texts(name);
    let (templates, parameters) = (texts("model_template")?, texts("dynamics_params")?);
    if !is_virtual && population.has_own_parameters {
        let reason = format!(
            "nodes/{}: parameters of single nodes (dynamics_params in the HDF5 file) are not read",
            population.name
        );
        return Err(Error::file(&population.file, reason));
    }
    let mut known: HashMap<KindKey<'_>, u32> = HashMap::new();
    let (mut node_ix, mut kind_ix) = (Vec::new(), Vec::new());
    for i in (0..population.len()).filter(|i| is_virtual || keep.is_none_or(|keep| keep[*i])) {
        let label = if is_virtual { population.name.as_str() } else { labels[i].as_str() };
        // Of a virtual node only its type matters.
        let (template, file) = if is_virtual { (None, None) } else { (templates[i], parameters[i]) };
        let key = (population.node_type_id[i], template, file, label);
        let kind = match known.get(&key) {
            Some(kind) => *kind,
            None => {
                let cell = match is_virtual {
                    true => None,
                    false => Some(cell_of(population, config, i, template, file)?),
                };
                kinds.push(Kind {
                    population: population.name.clone(),
                    node_type_id: key.0,
                    label: label.to_owned(),
                    cell,
                });
                known.insert(key, kinds.len() as u32 - 1);
                kinds.len() as u32 - 1
            }
        };
        node_ix.push(i);
        kind_ix.push(kind);
    }
    Ok(Members::new(population, is_virtual, node_ix, kind_ix))
}

/// Whether a population is virtual. All of its nodes must be, or none.
fn is_virtual(population: &NodePopulation) -> Result<bool> {
    const POINT: [&str; 3] = ["point_neuron", "point_process", "point_soma"];
    let types = population.texts("model_type")?;
    let refuse = |reason: String| {
        let file = population.types.file_or(&population.file);
        Err(Error::file(file, format!("population '{}': {reason}", population.name)))
    };
    let mut found = [0, 0];
    for (i, model_type) in types.iter().enumerate() {
        match model_type {
            Some("virtual") => found[1] += 1,
            Some(point) if POINT.contains(point) => found[0] += 1,
            Some(other) => {
                let id = population.node_type_id[i];
                return refuse(format!(
                    "node type {id} has the model_type '{other}'; simrun simulates point neurons"
                ));
            }
            None => return refuse(format!("node type {} has no model_type", population.node_type_id[i])),
        }
    }
    match found {
        [_, 0] => Ok(false),
        [0, _] => Ok(true),
        [n, m] => refuse(format!("{n} of its nodes are simulated and {m} virtual; split it")),
    }
}

fn cell_of(
    population: &NodePopulation,
    config: &Config,
    node: usize,
    template: Option<&str>,
    file: Option<&str>,
) -> Result<PointCell> {
    let user = format!("population '{}', node type {}", population.name, population.node_type_id[node]);
    let table = population.types.file_or(&population.file);
    let Some(template) = template else {
        return Err(Error::file(table, format!("{user} has no model_template")));
    };
    let Some(file) = file else {
        return Err(Error::file(table, format!("{user} ({template}) has no dynamics_params")));
    };
    read_cell(template, &config.component("point_neuron_models_dir", file)?, &user)
}

/// How cell types are named.
pub(super) struct Naming<'a> {
    /// The attribute that names them, if the scene says which.
    pub(super) attribute: Option<&'a str>,
    /// Cell type of some names.
    pub(super) renamed: &'a BTreeMap<String, String>,
}

impl Naming<'_> {
    /// Name of the cell type of each node.
    fn labels(&self, population: &NodePopulation) -> Result<Vec<String>> {
        let of = |attribute: &str| -> Result<Option<Vec<String>>> {
            let texts = population.texts(attribute)?;
            Ok(texts.into_iter().map(|text| text.map(|text| self.rename(text))).collect())
        };
        if let Some(attribute) = self.attribute {
            let file = population.types.file_or(&population.file);
            let reason = format!(
                "not every node of population '{}' has the attribute '{attribute}' (network.cell_type)",
                population.name
            );
            return of(attribute)?.ok_or_else(|| Error::file(file, reason));
        }
        for attribute in TYPE_ATTRIBUTES {
            if let Some(labels) = of(attribute)? {
                return Ok(labels);
            }
        }
        Ok(vec![self.rename(&population.name); population.len()])
    }

    fn rename(&self, name: &str) -> String {
        self.renamed.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }
}

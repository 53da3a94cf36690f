//! The nodes of a circuit as neurons and units: which are simulated, with which cell models, and what their cell types are called.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::components::{Parameters, PointCell, Receptors};
use super::config::Config;
use super::nodes::NodePopulation;
use crate::error::{Error, Result};

/// Attributes that may name a node's cell type, in the order in which they are tried.
const TYPE_ATTRIBUTES: [&str; 4] = ["cell_type", "pop_name", "model_name", "ei"];

/// Nodes that share a node type, with synapses of the same time courses: the smallest groups of which a network is made.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// Population of the nodes.
    pub(super) population: String,
    /// Their node type.
    pub(super) node_type_id: u64,
    /// Name of their cell type (simulated nodes), or of their population (virtual ones).
    pub(super) label: String,
    /// The synapses; none for virtual nodes.
    pub(super) receptors: Option<Receptors>,
}

/// Kinds of nodes and their cell models, as they are found.
#[derive(Default)]
pub(super) struct Kinds {
    /// The kinds.
    pub(super) kinds: Vec<Kind>,
    /// The cell models, each of one kind.
    pub(super) models: Vec<(PointCell, u32)>,
}

/// What tells nodes of a population apart before their parameters are read: node type, template, file of parameters, label.
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
    /// Cell model of each; empty for virtual nodes.
    pub(super) model_ix: Vec<u32>,
    /// Source of each node id; none where a node's id is its place.
    by_id: Option<HashMap<u64, u32>>,
}

impl Members {
    fn new(population: &NodePopulation, is_virtual: bool, node_ix: Vec<usize>) -> Self {
        let node_id: Vec<u64> = node_ix.iter().map(|i| population.node_id[*i]).collect();
        let in_place = node_id.iter().zip(0..).all(|(id, place)| *id == place);
        let by_id = (!in_place).then(|| node_id.iter().copied().zip(0..).collect());
        Self {
            population: population.name.clone(),
            is_virtual,
            first_source: 0,
            node_id,
            node_ix,
            kind_ix: Vec::new(),
            model_ix: Vec::new(),
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

/// Sorts the nodes of a population into kinds and cell models, which are added to `found`. `keep` leaves simulated nodes out.
pub(super) fn members(
    population: &NodePopulation,
    config: &Config,
    naming: &Naming<'_>,
    keep: Option<&[bool]>,
    found: &mut Kinds,
) -> Result<Members> {
    let is_virtual = is_virtual(population, keep)?;
    let kept = (0..population.len()).filter(|i| is_virtual || keep.is_none_or(|keep| keep[*i]));
    let mut members = Members::new(population, is_virtual, kept.collect());
    if is_virtual {
        virtual_kinds(population, &mut members, found);
    } else {
        cell_kinds(population, config, naming, &mut members, found)?;
    }
    Ok(members)
}

/// Of a virtual node only its type matters.
fn virtual_kinds(population: &NodePopulation, members: &mut Members, found: &mut Kinds) {
    let mut known: HashMap<u64, u32> = HashMap::new();
    for i in &members.node_ix {
        let node_type_id = population.node_type_id[*i];
        let kind = *known.entry(node_type_id).or_insert_with(|| {
            let label = population.name.clone();
            found.kinds.push(Kind { population: label.clone(), node_type_id, label, receptors: None });
            found.kinds.len() as u32 - 1
        });
        members.kind_ix.push(kind);
    }
}

fn cell_kinds(
    population: &NodePopulation,
    config: &Config,
    naming: &Naming<'_>,
    members: &mut Members,
    found: &mut Kinds,
) -> Result<()> {
    let labels = naming.labels(population)?;
    let texts = |name: &str| population.texts(name);
    let (templates, files) = (texts("model_template")?, texts("dynamics_params")?);
    let processing = texts("model_processing")?;
    let own_parameters = population.own_parameters()?;
    // The file's parameters by key, and the models and kinds made of them so far.
    let mut known: HashMap<KindKey<'_>, (Parameters, Vec<u32>)> = HashMap::new();
    let mut by_parameters: HashMap<(KindKey<'_>, String), u32> = HashMap::new();
    for i in &members.node_ix {
        let node = NodeOf { population, ix: *i };
        let own: Map<String, Value> = own_parameters
            .iter()
            .filter(|(_, values)| !values[*i].is_null())
            .map(|(name, values)| ((*name).to_owned(), values[*i].clone()))
            .collect();
        if let Some(function) = processing[*i] {
            return Err(node.error(format!("its model_processing '{function}' is not run; take it out")));
        }
        let key = (population.node_type_id[*i], templates[*i], files[*i], labels[*i].as_str());
        let (parameters, kinds) = match known.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let parameters = node.parameters(config, templates[*i], files[*i], !own.is_empty())?;
                entry.insert((parameters, Vec::new()))
            }
        };
        let text = if own.is_empty() { String::new() } else { Value::Object(own.clone()).to_string() };
        let model = match by_parameters.get(&(key, text.clone())) {
            Some(model) => *model,
            None => {
                let parameters = parameters.with(own, &population.file, population.node_id[*i]);
                let (cell, receptors) = parameters.cell()?;
                let same =
                    kinds.iter().find(|k| found.kinds[**k as usize].receptors.as_ref() == Some(&receptors));
                let kind = match same {
                    Some(kind) => *kind,
                    None => {
                        found.kinds.push(Kind {
                            population: population.name.clone(),
                            node_type_id: key.0,
                            label: labels[*i].clone(),
                            receptors: Some(receptors),
                        });
                        let kind = found.kinds.len() as u32 - 1;
                        kinds.push(kind);
                        kind
                    }
                };
                found.models.push((cell, kind));
                let model = found.models.len() as u32 - 1;
                by_parameters.insert((key, text), model);
                model
            }
        };
        members.kind_ix.push(found.models[model as usize].1);
        members.model_ix.push(model);
    }
    Ok(())
}

/// A node, for messages.
struct NodeOf<'a> {
    population: &'a NodePopulation,
    ix: usize,
}

impl NodeOf<'_> {
    fn user(&self) -> String {
        let node_type_id = self.population.node_type_id[self.ix];
        format!("population '{}', node type {node_type_id}", self.population.name)
    }

    fn error(&self, reason: impl std::fmt::Display) -> Error {
        let table = self.population.types.file_or(&self.population.file);
        Error::file(table, format!("{}: {reason}", self.user()))
    }

    /// What the table of types says of its parameters.
    fn parameters(
        &self,
        config: &Config,
        template: Option<&str>,
        file: Option<&str>,
        has_own: bool,
    ) -> Result<Parameters> {
        let Some(template) = template else { return Err(self.error("has no model_template")) };
        let file = match file {
            Some(file) => Some(config.component("point_neuron_models_dir", file)?),
            None if has_own => None,
            None => return Err(self.error(format!("({template}) has no dynamics_params"))),
        };
        Parameters::read(template, file, &self.user())
    }
}

/// Whether a population is virtual. All of its nodes must be, or none; those that are to be simulated must be point neurons.
fn is_virtual(population: &NodePopulation, keep: Option<&[bool]>) -> Result<bool> {
    const VIRTUAL: &str = "virtual";
    const POINT: [&str; 3] = ["point_neuron", "point_process", "point_soma"];
    let refuse = |reason: String| {
        let file = population.types.file_or(&population.file);
        Err(Error::file(file, format!("population '{}': {reason}", population.name)))
    };
    let given = population.type_in_configuration.as_deref();
    let types: Vec<Option<&str>> =
        population.texts("model_type")?.into_iter().map(|own| own.or(given)).collect();
    let n_virtual = types.iter().filter(|model_type| **model_type == Some(VIRTUAL)).count();
    if n_virtual > 0 && n_virtual < types.len() {
        let n = types.len() - n_virtual;
        return refuse(format!("{n} of its nodes are simulated and {n_virtual} virtual; split it"));
    }
    let is_virtual = n_virtual > 0;
    if let Some(given) = given.filter(|given| (*given == VIRTUAL) != is_virtual && !types.is_empty()) {
        return refuse(format!("the configuration's type is '{given}', the nodes' model_type another"));
    }
    let odd = types.iter().enumerate().find(|(i, model_type)| {
        let is_kept = keep.is_none_or(|keep| keep[*i]);
        is_kept && !is_virtual && !model_type.is_some_and(|model_type| POINT.contains(&model_type))
    });
    match odd {
        None => Ok(is_virtual),
        Some((i, None)) => refuse(format!("node type {} has no model_type", population.node_type_id[i])),
        Some((i, Some(other))) => refuse(format!(
            "node type {} has the model_type '{other}'; simrun simulates point neurons",
            population.node_type_id[i]
        )),
    }
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

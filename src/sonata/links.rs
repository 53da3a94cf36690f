//! What the edges of a circuit ask of its types: one time course and one sign for each pair of a source type and a
//! target's cell type; each has a delay of its own. Kinds of nodes ([`Kind`]) are gathered into types of one name as far as their edges allow; where they do
//! not, the type falls apart into its kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::cells::Kind;
use super::components::Receptors;
use crate::error::{Error, Result};
use crate::model::kinetics::{Kinetics, Ports};
use crate::network::{CELL_TYPES, MAX_CELL_TYPES, Vocabulary};

/// What the edges from one kind to another have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Link {
    /// Number of the target's receptor, from 1; 0 where the sign of the weight chooses.
    pub(super) receptor: u32,
    /// Whether weights are negative; none where all are zero.
    pub(super) is_negative: Option<bool>,
}

/// The links between kinds, `[n_kinds][n_kinds]` by source and target.
pub(super) struct Links {
    n_kinds: usize,
    links: Vec<Option<Link>>,
}

/// A link as a target feels it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Felt {
    kinetics: Kinetics,
    is_negative: bool,
}

/// Why a link cannot be added to those of its kinds.
pub(super) enum Conflict {
    /// Another receptor.
    Receptor(u32),
    /// Weights of both signs.
    Sign,
}

impl Links {
    pub(super) fn new(n_kinds: usize) -> Self {
        Self { n_kinds, links: vec![None; n_kinds * n_kinds] }
    }

    /// Adds an edge.
    pub(super) fn add(
        &mut self,
        source_kind: u32,
        target_kind: u32,
        edge: Link,
    ) -> std::result::Result<(), Conflict> {
        let link = &mut self.links[source_kind as usize * self.n_kinds + target_kind as usize];
        let Some(link) = link else {
            *link = Some(edge);
            return Ok(());
        };
        if link.receptor != edge.receptor {
            return Err(Conflict::Receptor(link.receptor));
        }
        match (link.is_negative, edge.is_negative) {
            (Some(a), Some(b)) if a != b => Err(Conflict::Sign),
            (None, some) => {
                link.is_negative = some;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn get(&self, source: usize, target: usize) -> Option<&Link> {
        self.links[source * self.n_kinds + target].as_ref()
    }
}

/// The types of a circuit and the kinds that they are made of.
pub(super) struct Types {
    pub(super) vocabulary: Vocabulary,
    /// Source type of each kind; a simulated kind's is its cell type.
    pub(super) type_of_kind: Vec<u8>,
    pub(super) ports: Ports,
    /// Names of types that fell apart.
    pub(super) split: Vec<String>,
}

/// Gathers kinds into types. `v1_type` knows the names that stand for a cell type of mouse V1: where all do, the types are
/// those of V1.
pub(super) fn types(
    kinds: &[Kind],
    links: &Links,
    v1_type: &dyn Fn(&str) -> Option<usize>,
    file: &Path,
) -> Result<Types> {
    let felt = felt_links(kinds, links, file)?;
    let is_cell = |kind: &&Kind| kind.receptors.is_some();
    let is_v1 = kinds.iter().filter(is_cell).all(|kind| v1_type(&kind.label).is_some());
    let label = |kind: &Kind| match v1_type(&kind.label) {
        Some(ix) if is_v1 && kind.receptors.is_some() => CELL_TYPES[ix].to_owned(),
        _ => kind.label.clone(),
    };
    let mut labels: Vec<String> = kinds.iter().map(label).collect();
    let conflict = first_conflict(kinds, &felt, &labels);
    let split = split_labels(kinds, &felt, &labels);
    for (label, kind) in labels.iter_mut().zip(kinds) {
        if split.contains(label) {
            *label = format!("{label}/{}", kind.node_type_id);
        }
    }
    let mut cell_types: Vec<String> = Vec::new();
    if is_v1 && split.is_empty() {
        cell_types = CELL_TYPES.map(str::to_owned).to_vec();
    }
    let mut unit_types: Vec<String> = Vec::new();
    for (kind, label) in kinds.iter().zip(&labels) {
        let names = if kind.receptors.is_some() { &mut cell_types } else { &mut unit_types };
        if !names.contains(label) {
            names.push(label.clone());
        }
    }
    if cell_types.len() > MAX_CELL_TYPES || cell_types.len() + unit_types.len() > usize::from(u8::MAX) {
        let n = cell_types.len();
        let why = conflict.map_or(String::new(), |why| format!(" ({why})"));
        let reason = format!(
            "its neurons fall into {n} cell types, at most {MAX_CELL_TYPES} can be told apart{why}; network.cell_type can name another attribute to tell them by"
        );
        return Err(Error::file(file, reason));
    }
    let type_of_kind: Vec<u8> = kinds
        .iter()
        .zip(&labels)
        .map(|(kind, label)| {
            let at = |names: &[String]| names.iter().position(|name| name == label).unwrap_or_default();
            (if kind.receptors.is_some() { at(&cell_types) } else { cell_types.len() + at(&unit_types) })
                as u8
        })
        .collect();
    let n_source_types = cell_types.len() + unit_types.len();
    let mut of_types = vec![None; n_source_types * cell_types.len()];
    for (source, target, link) in felt {
        let at = usize::from(type_of_kind[source]) * cell_types.len() + usize::from(type_of_kind[target]);
        of_types[at] = Some(link);
    }
    let (class_of_source_type, class_is_inhibitory) = classes(&of_types, cell_types.len());
    Ok(Types {
        ports: ports(&of_types, &class_of_source_type, class_is_inhibitory.len(), cell_types.len()),
        vocabulary: Vocabulary { cell_types, unit_types, class_of_source_type, class_is_inhibitory },
        type_of_kind,
        split: split.into_iter().collect(),
    })
}

/// The links with the time courses of their targets: (source kind, target kind, link).
fn felt_links(kinds: &[Kind], links: &Links, file: &Path) -> Result<Vec<(usize, usize, Felt)>> {
    let mut felt = Vec::new();
    for source in 0..kinds.len() {
        for (target, kind) in kinds.iter().enumerate() {
            let (Some(link), Some(receptors)) = (links.get(source, target), &kind.receptors) else {
                continue;
            };
            let is_negative = link.is_negative.unwrap_or(false);
            let refuse = |reason: String| {
                let pair = format!(
                    "edges from population '{}', node type {}, to '{}', node type {}",
                    kinds[source].population, kinds[source].node_type_id, kind.population, kind.node_type_id
                );
                Err(Error::file(file, format!("{pair}: {reason}")))
            };
            let kinetics = match (receptors, link.receptor) {
                (Receptors::BySign { positive, .. }, 0) if !is_negative => *positive,
                (Receptors::BySign { negative, .. }, 0) => *negative,
                (Receptors::BySign { .. }, n) => {
                    return refuse(format!("receptor_type {n} of a cell whose receptors have no numbers"));
                }
                (Receptors::Numbered(list), n) if n >= 1 && n as usize <= list.len() => list[n as usize - 1],
                (Receptors::Numbered(list), n) => {
                    return refuse(format!(
                        "receptor_type {n} of a cell with the receptors 1 to {}",
                        list.len()
                    ));
                }
            };
            felt.push((source, target, Felt { kinetics, is_negative }));
        }
    }
    Ok(felt)
}

/// Labels whose kinds are not alike in some link.
fn split_labels(kinds: &[Kind], felt: &[(usize, usize, Felt)], labels: &[String]) -> BTreeSet<String> {
    let mut split = BTreeSet::new();
    let mut of_labels: BTreeMap<(bool, &str, &str), Felt> = BTreeMap::new();
    for (source, target, link) in felt {
        let key = (kinds[*source].receptors.is_some(), labels[*source].as_str(), labels[*target].as_str());
        if *of_labels.entry(key).or_insert(*link) != *link {
            split.extend([labels[*source].clone(), labels[*target].clone()]);
        }
    }
    split
}

/// The first two links that keep kinds of one name apart, in words.
fn first_conflict(kinds: &[Kind], felt: &[(usize, usize, Felt)], labels: &[String]) -> Option<String> {
    let mut of_labels: BTreeMap<(bool, &str, &str), Felt> = BTreeMap::new();
    for (source, target, link) in felt {
        let key = (kinds[*source].receptors.is_some(), labels[*source].as_str(), labels[*target].as_str());
        let first = *of_labels.entry(key).or_insert(*link);
        if first != *link {
            let what = match first {
                f if f.is_negative != link.is_negative => "weights of both signs".to_owned(),
                _ => "synapses of different time courses".to_owned(),
            };
            return Some(format!("edges from '{}' to '{}' have {what}", labels[*source], labels[*target]));
        }
    }
    None
}

/// Class of each source type, and whether each class is inhibitory. Source types share a class where every target feels them alike.
fn classes(of_types: &[Option<Felt>], n_cell_types: usize) -> (Vec<usize>, Vec<bool>) {
    let mut classes: Vec<Vec<Option<(Kinetics, bool)>>> = Vec::new();
    let mut class_of = Vec::new();
    for row in of_types.chunks_exact(n_cell_types) {
        let own: Vec<_> = row.iter().map(|link| link.map(|l| (l.kinetics, l.is_negative))).collect();
        let inhibits =
            |class: &[Option<(Kinetics, bool)>]| class.iter().flatten().any(|(_, negative)| *negative);
        let silent = own.iter().all(Option::is_none);
        let fits = |class: &Vec<Option<(Kinetics, bool)>>| {
            let alike = class.iter().zip(&own).all(|(a, b)| a.is_none() || b.is_none() || a == b);
            alike && (silent || inhibits(class) == inhibits(&own))
        };
        match classes.iter().position(fits) {
            Some(class_ix) => {
                classes[class_ix].iter_mut().zip(own).for_each(|(class, own)| *class = class.or(own));
                class_of.push(class_ix);
            }
            None => {
                classes.push(own);
                class_of.push(classes.len() - 1);
            }
        }
    }
    let inhibitory =
        classes.iter().map(|class| class.iter().flatten().any(|(_, negative)| *negative)).collect();
    (class_of, inhibitory)
}

/// One port for each time constant that a cell type's synapses have.
fn ports(of_types: &[Option<Felt>], class_of: &[usize], n_classes: usize, n_cell_types: usize) -> Ports {
    // Per cell type and class the components (time constant, coefficient).
    let mut components: Vec<BTreeMap<usize, Vec<(f64, f64)>>> = vec![BTreeMap::new(); n_cell_types];
    for (row, class_ix) in of_types.chunks_exact(n_cell_types).zip(class_of) {
        for (cell_type, link) in row.iter().enumerate() {
            let Some(Felt { kinetics: k, is_negative }) = link else { continue };
            let sign = if *is_negative { -1.0 } else { 1.0 };
            let both = [(k.tau_fast_ms, sign), (k.tau_slow_ms, sign * k.amp_slow)];
            let parts = both.into_iter().filter(|(_, coef)| *coef != 0.0).collect();
            components[cell_type].insert(*class_ix, parts);
        }
    }
    let taus: Vec<Vec<f64>> = components
        .iter()
        .map(|classes| {
            let mut taus: Vec<f64> = classes.values().flatten().map(|(tau, _)| *tau).collect();
            taus.sort_by(f64::total_cmp);
            taus.dedup();
            taus
        })
        .collect();
    let n_ports = taus.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let mut coef = vec![0.0; n_cell_types * n_classes * n_ports];
    for (cell_type, classes) in components.iter().enumerate() {
        for (class_ix, parts) in classes {
            for (tau, part) in parts {
                let port = taus[cell_type].iter().position(|t| t == tau).unwrap_or_default();
                coef[(cell_type * n_classes + class_ix) * n_ports + port] += part;
            }
        }
    }
    Ports {
        n_ports,
        n_classes,
        target_type_of: (0..n_cell_types).collect(),
        // A port that nothing reaches needs a time constant all the same.
        tau_ms: taus
            .iter()
            .flat_map(|taus| (0..n_ports).map(|p| taus.get(p).copied().unwrap_or(1.0)))
            .collect(),
        coef,
        reversal_mv: vec![0.0; n_ports],
        on_soma: vec![false; n_ports],
    }
}

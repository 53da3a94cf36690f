//! Node sets: names for nodes that have some attributes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};

use super::config::{Config, read_json};
use super::nodes::{Attribute, NodePopulation, Scalar};
use crate::error::{Error, Result, clipped};

/// Nodes that may be looked at to find a set, one for each set that it names and each node of the circuit.
const MAX_LOOKS: usize = 500_000_000;
/// How deep sets may name each other.
const MAX_DEPTH: usize = 100;
/// The set of all nodes, which BMTK adds to those of the file.
const ALL: &str = "all";

/// The sets of a `node_sets_file` and of the configuration itself.
#[derive(Clone, Debug, Default)]
pub struct NodeSets {
    /// The file; the configuration where there is none.
    file: PathBuf,
    sets: BTreeMap<String, Value>,
}

/// Nodes of all populations, one entry a population.
type Selected = Vec<Vec<bool>>;

/// A search under way.
struct Search<'a> {
    sets: &'a NodeSets,
    populations: &'a [NodePopulation],
    /// Sets that were found, and none for those that are looked for.
    found: BTreeMap<&'a str, Option<Selected>>,
    n_looks: usize,
    /// Sets that are looked for at once, each named by the one before.
    depth: usize,
}

impl NodeSets {
    /// Reads the node sets of a configuration; those of its file come before its own.
    ///
    /// # Errors
    /// Names the file and the set at fault.
    pub fn of_config(config: &Config) -> Result<Self> {
        Self::read(config.node_sets_file.as_deref(), &config.file, &config.node_sets)
    }

    /// Reads a file of node sets, beside sets of the configuration itself, whose file is named in messages where there is no other.
    ///
    /// # Errors
    /// Names the file and the set at fault.
    pub fn read(file: Option<&Path>, config: &Path, own: &Map<String, Value>) -> Result<Self> {
        let mut all = Self::checked(own, config)?;
        if let Some(file) = file {
            let Value::Object(sets) = read_json(file)? else {
                return Err(Error::file(file, "is no file of node sets: it is not a JSON object"));
            };
            all.sets.extend(Self::checked(&sets, file)?.sets);
            all.file = file.to_path_buf();
        }
        Ok(all)
    }

    fn checked(sets: &Map<String, Value>, file: &Path) -> Result<Self> {
        for (name, set) in sets {
            let is_list =
                |values: &Vec<Value>| values.iter().all(Value::is_string) || values.iter().all(Value::is_u64);
            if !set.is_object() && !set.as_array().is_some_and(is_list) {
                let reason =
                    format!("node set '{name}' must be an object of attributes or a list of sets' names");
                return Err(Error::file(file, reason));
            }
        }
        let sets = sets.iter().map(|(name, set)| (name.clone(), set.clone())).collect();
        Ok(Self { file: file.to_path_buf(), sets })
    }

    /// Names of the sets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(String::as_str)
    }

    /// Which nodes of each population are in a set: the name of a set or population, attributes, or a list of either. A population without an
    /// attribute that is asked for has no node in the set.
    ///
    /// # Errors
    /// A set that does not exist or names itself, or an attribute that no node of the populations that it is asked of has.
    pub fn select(&self, set: &Value, populations: &[NodePopulation]) -> Result<Vec<Vec<bool>>> {
        Search { sets: self, populations, found: BTreeMap::new(), n_looks: 0, depth: 0 }.select(set)
    }

    fn error(&self, name: &str, reason: &str) -> Error {
        Error::file(&self.file, format!("'{}' {reason}", clipped(name)))
    }
}

impl<'a> Search<'a> {
    fn every(&self, is_in: impl Fn(&NodePopulation) -> bool) -> Selected {
        self.populations.iter().map(|p| vec![is_in(p); p.len()]).collect()
    }

    fn select(&mut self, set: &Value) -> Result<Selected> {
        self.n_looks += self.populations.iter().map(NodePopulation::len).sum::<usize>() + 1;
        if self.n_looks > MAX_LOOKS {
            return Err(self.sets.error("a node set", "names more sets than can be looked through"));
        }
        match set {
            Value::String(name) => self.named(name),
            Value::Array(ids) if !ids.is_empty() && ids.iter().all(Value::is_u64) => {
                self.populations.iter().map(|p| self.ids(ids, p)).collect()
            }
            Value::Array(sets) => {
                let mut any = self.every(|_| false);
                let mut seen = HashSet::new();
                for set in sets.iter().filter(|set| seen.insert(*set)) {
                    let one = self.select(set)?;
                    let pairs = any.iter_mut().flatten().zip(one.into_iter().flatten());
                    pairs.for_each(|(any, one)| *any |= one);
                }
                Ok(any)
            }
            Value::Object(attributes) => self.having_all(attributes),
            other => Err(self.sets.error(&clipped(&other.to_string()), "is no node set")),
        }
    }

    fn named(&mut self, name: &str) -> Result<Selected> {
        let sets: &'a NodeSets = self.sets;
        match (self.found.get(name), sets.sets.get_key_value(name)) {
            (Some(Some(known)), _) => Ok(known.clone()),
            (Some(None), _) => Err(sets.error(name, "names itself")),
            (None, Some((name, _))) if self.depth == MAX_DEPTH => {
                Err(sets.error(name, &format!("is named by sets more than {MAX_DEPTH} deep")))
            }
            (None, Some((name, set))) => {
                self.found.insert(name, None);
                self.depth += 1;
                let selected = self.select(set)?;
                self.depth -= 1;
                self.found.insert(name, Some(selected.clone()));
                Ok(selected)
            }
            (None, None) if self.populations.iter().any(|p| p.name == name) => {
                Ok(self.every(|p| p.name == name))
            }
            (None, None) if name == ALL => Ok(self.every(|_| true)),
            (None, None) => {
                let known = sets.names().chain(self.populations.iter().map(|p| p.name.as_str()));
                let known: Vec<&str> = known.collect();
                let reason = format!("is neither a node set nor a population ({})", known.join(", "));
                Err(sets.error(name, &reason))
            }
        }
    }

    /// The nodes that have all of some attributes.
    fn having_all(&self, attributes: &Map<String, Value>) -> Result<Selected> {
        const POPULATION: [&str; 2] = ["population", "populations"];
        let asked = |population: &NodePopulation| {
            let wanted = POPULATION.iter().filter_map(|key| attributes.get(*key));
            wanted.into_iter().all(|wanted| holds_text(wanted, &population.name))
        };
        for wanted in POPULATION.iter().filter_map(|key| attributes.get(*key)) {
            if !self.populations.iter().any(|p| holds_text(wanted, &p.name)) {
                let known: Vec<&str> = self.populations.iter().map(|p| p.name.as_str()).collect();
                let reason = format!("is no population of the circuit ({})", known.join(", "));
                return Err(self.sets.error(&clipped(&wanted.to_string()), &reason));
            }
        }
        let others = || attributes.iter().filter(|(name, _)| !POPULATION.contains(&name.as_str()));
        for (name, _) in others() {
            if !self.populations.iter().any(|p| asked(p) && p.has_attribute(name)) {
                let of: Vec<&str> =
                    self.populations.iter().filter(|p| asked(p)).map(|p| p.name.as_str()).collect();
                let reason = format!("asks for '{name}', which no node of '{}' has", of.join("', '"));
                return Err(self.sets.error("a node set", &reason));
            }
        }
        let of_population = |population: &NodePopulation| {
            let mut all = vec![asked(population); population.len()];
            // What a population is not asked for needs no attribute.
            for (name, wanted) in others().filter(|_| asked(population)) {
                let one = self.having(name, wanted, population)?;
                all.iter_mut().zip(one).for_each(|(all, one)| *all &= one);
            }
            Ok(all)
        };
        self.populations.iter().map(of_population).collect()
    }

    fn ids(&self, ids: &[Value], population: &NodePopulation) -> Result<Vec<bool>> {
        if ids.iter().any(|id| !id.is_u64()) {
            return Err(self.sets.error("node_id", "must hold integers from 0"));
        }
        let wanted: HashSet<u64> = ids.iter().filter_map(Value::as_u64).collect();
        Ok(population.node_id.iter().map(|id| wanted.contains(id)).collect())
    }

    /// Which nodes have a value of an attribute.
    fn having(&self, name: &str, wanted: &Value, population: &NodePopulation) -> Result<Vec<bool>> {
        if !population.has_attribute(name) {
            return Ok(vec![false; population.len()]);
        }
        if name == "node_id" {
            let ids = wanted.as_array().map_or_else(|| vec![wanted.clone()], Clone::clone);
            return self.ids(&ids, population);
        }
        if name == "node_type_id" {
            // A node without a type has -1 in its file.
            let matches = |id: &u64| self.matches(Scalar::Integer(*id as i64), name, wanted);
            return population.node_type_id.iter().map(matches).collect();
        }
        let is_text = matches!(population.attribute(name)?, Some(Attribute::Texts(_)));
        let wants_text = wanted.is_string()
            || wanted.as_array().is_some_and(|w| w.iter().all(Value::is_string))
            || wanted.get("$regex").is_some();
        if is_text || wants_text {
            return self.having_text(name, wanted, population);
        }
        population.scalars(name)?.into_iter().map(|x| self.matches(x, name, wanted)).collect()
    }

    fn matches(&self, x: Scalar, name: &str, wanted: &Value) -> Result<bool> {
        number_matches(x, wanted).ok_or_else(|| self.odd(name, wanted))
    }

    fn having_text(&self, name: &str, wanted: &Value, population: &NodePopulation) -> Result<Vec<bool>> {
        let pattern = match wanted {
            Value::Object(operators) => {
                let pattern =
                    operators.get("$regex").and_then(Value::as_str).filter(|_| operators.len() == 1);
                let pattern = pattern.ok_or_else(|| self.odd(name, wanted))?;
                Some(regex::Regex::new(pattern).map_err(|e| {
                    let reason = e.to_string();
                    self.sets.error(
                        pattern,
                        &format!("is no regular expression: {}", reason.lines().last().unwrap_or("")),
                    )
                })?)
            }
            Value::String(_) | Value::Array(_) => None,
            _ => return Err(self.odd(name, wanted)),
        };
        let matches = |text: Option<&str>| match (&pattern, text) {
            (_, None) => false,
            (Some(pattern), Some(text)) => pattern.is_match(text),
            (None, Some(text)) => holds_text(wanted, text),
        };
        Ok(population.texts(name)?.into_iter().map(matches).collect())
    }

    fn odd(&self, name: &str, wanted: &Value) -> Error {
        let wanted = clipped(&wanted.to_string());
        let reason = format!("{wanted} is none of a value, a list of values, $gt, $lt, $gte, $lte, $regex");
        self.sets.error(&format!("node set attribute '{name}'"), &reason)
    }
}

fn holds_text(wanted: &Value, text: &str) -> bool {
    match wanted {
        Value::String(one) => one == text,
        Value::Array(many) => many.iter().any(|one| one.as_str() == Some(text)),
        _ => false,
    }
}

/// Whether a number is what is wanted; `None` for a wish that is none.
fn number_matches(x: Scalar, wanted: &Value) -> Option<bool> {
    match wanted {
        Value::Number(one) => Some(order(x, one) == Some(Ordering::Equal)),
        Value::Bool(one) => number_matches(x, &Value::from(u8::from(*one))),
        Value::Array(many) => Some(many.iter().any(|one| {
            matches!(one, Value::Number(_) | Value::Bool(_)) && number_matches(x, one) == Some(true)
        })),
        Value::Object(bounds) if !bounds.is_empty() => bounds.iter().try_fold(true, |all, (op, bound)| {
            let Value::Number(bound) = bound else { return None };
            let order = order(x, bound);
            let holds = match op.as_str() {
                "$gt" => order.is_some_and(Ordering::is_gt),
                "$lt" => order.is_some_and(Ordering::is_lt),
                "$gte" => order.is_some_and(Ordering::is_ge),
                "$lte" => order.is_some_and(Ordering::is_le),
                _ => return None,
            };
            Some(all && holds)
        }),
        _ => None,
    }
}

/// How a number lies to what is wanted, integers compared as such; none for NaN.
fn order(x: Scalar, wanted: &Number) -> Option<Ordering> {
    match (x, wanted.as_i128()) {
        (Scalar::Integer(x), Some(wanted)) => Some(i128::from(x).cmp(&wanted)),
        (Scalar::Integer(x), None) => (x as f64).partial_cmp(&wanted.as_f64()?),
        (Scalar::Float(x), _) => x.partial_cmp(&wanted.as_f64()?),
    }
}

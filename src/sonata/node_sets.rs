//! Node sets: names for nodes that have some attributes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::read_json;
use super::nodes::{Attribute, NodePopulation};
use crate::error::{Error, Result};

/// How deep compound sets may be nested.
const MAX_DEPTH: usize = 20;

/// The sets of a `node_sets_file`.
#[derive(Clone, Debug, Default)]
pub struct NodeSets {
    /// The file; the configuration where there is none.
    file: PathBuf,
    sets: BTreeMap<String, Value>,
}

impl NodeSets {
    /// Reads a file of node sets. Without a file there is none; `config` is then named in messages.
    ///
    /// # Errors
    /// Names the file and the set at fault.
    pub fn read(file: Option<&Path>, config: &Path) -> Result<Self> {
        let Some(file) = file else { return Ok(Self { file: config.to_path_buf(), sets: BTreeMap::new() }) };
        let Value::Object(sets) = read_json(file)? else {
            return Err(Error::file(file, "is no file of node sets: it is not a JSON object"));
        };
        for (name, set) in &sets {
            let names_only = set.as_array().is_some_and(|names| names.iter().all(Value::is_string));
            if !set.is_object() && !names_only {
                let reason =
                    format!("node set '{name}' must be an object of attributes or a list of sets' names");
                return Err(Error::file(file, reason));
            }
        }
        Ok(Self { file: file.to_path_buf(), sets: sets.into_iter().collect() })
    }

    /// Names of the sets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(String::as_str)
    }

    /// Which nodes of a population are in a set: the name of a set or population, attributes, or a list of either.
    ///
    /// # Errors
    /// A set that does not exist, or an attribute that no node has.
    pub fn select(
        &self,
        set: &Value,
        population: &NodePopulation,
        populations: &[&str],
    ) -> Result<Vec<bool>> {
        self.select_to(set, population, populations, 0)
    }

    fn select_to(
        &self,
        set: &Value,
        population: &NodePopulation,
        populations: &[&str],
        depth: usize,
    ) -> Result<Vec<bool>> {
        if depth > MAX_DEPTH {
            return Err(self.error(&set.to_string(), "names itself"));
        }
        match set {
            Value::String(name) => match self.sets.get(name) {
                Some(found) => self.select_to(found, population, populations, depth + 1),
                None if populations.contains(&name.as_str()) => {
                    Ok(vec![*name == population.name; population.len()])
                }
                None => {
                    let known: Vec<&str> = self.names().chain(populations.iter().copied()).collect();
                    let reason = format!("is neither a node set nor a population ({})", known.join(", "));
                    Err(self.error(name, &reason))
                }
            },
            Value::Array(sets) if !sets.is_empty() && sets.iter().all(Value::is_u64) => {
                self.ids(sets, population)
            }
            Value::Array(sets) => {
                let mut any = vec![false; population.len()];
                for set in sets {
                    let one = self.select_to(set, population, populations, depth + 1)?;
                    any.iter_mut().zip(one).for_each(|(any, one)| *any |= one);
                }
                Ok(any)
            }
            Value::Object(attributes) => {
                // What a population is not asked for needs no attribute.
                if attributes.get("population").is_some_and(|p| !holds_text(p, &population.name)) {
                    return Ok(vec![false; population.len()]);
                }
                let mut all = vec![true; population.len()];
                for (name, wanted) in attributes.iter().filter(|(name, _)| *name != "population") {
                    let one = self.having(name, wanted, population)?;
                    all.iter_mut().zip(one).for_each(|(all, one)| *all &= one);
                }
                Ok(all)
            }
            other => Err(self.error(&other.to_string(), "is no node set")),
        }
    }

    fn ids(&self, ids: &[Value], population: &NodePopulation) -> Result<Vec<bool>> {
        let wanted: std::collections::HashSet<u64> = ids.iter().filter_map(Value::as_u64).collect();
        if wanted.len() < ids.len() && ids.iter().any(|id| !id.is_u64()) {
            return Err(self.error("node_id", "must hold integers from 0"));
        }
        Ok(population.node_id.iter().map(|id| wanted.contains(id)).collect())
    }

    /// Which nodes have a value of an attribute.
    fn having(&self, name: &str, wanted: &Value, population: &NodePopulation) -> Result<Vec<bool>> {
        if name == "node_id" {
            let ids = wanted.as_array().map_or_else(|| vec![wanted.clone()], Clone::clone);
            return self.ids(&ids, population);
        }
        if name == "node_type_id" {
            let matches = |id: &u64| number_matches(*id as f64, wanted);
            return population
                .node_type_id
                .iter()
                .map(|id| matches(id).ok_or_else(|| self.odd(name, wanted)))
                .collect();
        }
        let is_text = matches!(population.attribute(name)?, Some(Attribute::Texts(_)));
        let texts = population.texts(name)?;
        let wants_text = wanted.is_string()
            || wanted.as_array().is_some_and(|w| w.iter().all(Value::is_string))
            || wanted.get("$regex").is_some();
        if is_text || wants_text {
            if texts.iter().all(Option::is_none) {
                let reason =
                    format!("asks for '{name}', which no node of population '{}' has", population.name);
                return Err(self.error("a node set", &reason));
            }
            let pattern = match wanted.get("$regex").and_then(Value::as_str) {
                Some(pattern) => {
                    Some(regex::Regex::new(pattern).map_err(|e| self.error(pattern, &e.to_string()))?)
                }
                None => None,
            };
            let matches = |text: &Option<&str>| match (&pattern, text) {
                (_, None) => false,
                (Some(pattern), Some(text)) => pattern.is_match(text),
                (None, Some(text)) => holds_text(wanted, text),
            };
            return Ok(texts.iter().map(matches).collect());
        }
        let Some(numbers) = population.numbers(name)? else {
            let reason = format!("asks for '{name}', which no node of population '{}' has", population.name);
            return Err(self.error("a node set", &reason));
        };
        numbers.iter().map(|x| number_matches(*x, wanted).ok_or_else(|| self.odd(name, wanted))).collect()
    }

    fn odd(&self, name: &str, wanted: &Value) -> Error {
        let reason = format!("{wanted} is none of a value, a list of values, $gt, $lt, $gte, $lte, $regex");
        self.error(&format!("node set attribute '{name}'"), &reason)
    }

    fn error(&self, name: &str, reason: &str) -> Error {
        Error::file(&self.file, format!("'{name}' {reason}"))
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
fn number_matches(x: f64, wanted: &Value) -> Option<bool> {
    match wanted {
        Value::Number(one) => Some(one.as_f64() == Some(x)),
        Value::Bool(one) => Some(f64::from(u8::from(*one)) == x),
        Value::Array(many) => Some(many.iter().any(|one| one.as_f64() == Some(x))),
        Value::Object(bounds) if !bounds.is_empty() => bounds.iter().try_fold(true, |all, (op, bound)| {
            let bound = bound.as_f64()?;
            let holds = match op.as_str() {
                "$gt" => x > bound,
                "$lt" => x < bound,
                "$gte" => x >= bound,
                "$lte" => x <= bound,
                _ => return None,
            };
            Some(all && holds)
        }),
        _ => None,
    }
}

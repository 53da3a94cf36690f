//! Inputs of a configuration: recorded spikes, populations that count as background, and which weights are learned.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Import;
use super::config::part;
use crate::error::{Error, Result};

/// Modules whose units fire at a rate of their own, whatever is shown.
const NOISE: [&str; 6] = [
    "poisson_spikes",
    "bernoulli_spikes",
    "random",
    "poisson_spikes_internal",
    "noisy_current",
    "random_spikes",
];

/// What the inputs say.
#[derive(Default)]
pub(super) struct Inputs {
    /// Entries of `network.inputs`, RON.
    pub(super) entries: Vec<String>,
    /// Populations that count as background.
    pub(super) background: BTreeSet<String>,
    /// Whether the weights of LGN and of background populations are learned.
    pub(super) learned: [bool; 2],
}

/// An input that is enabled.
struct Input {
    /// Its own place.
    at: String,
    population: String,
    module: String,
    trainable: Option<bool>,
}

impl Import<'_> {
    /// Recorded spikes by training parameter, background, what is learned.
    pub(super) fn inputs(&mut self) -> Result<Inputs> {
        let mut places = vec!["inputs".to_owned()];
        places.extend((0..self.n_parameters()).map(|ix| format!("training.parameters.{ix}.inputs")));
        let mut inputs = Inputs::default();
        let mut trained: BTreeMap<String, (String, bool)> = BTreeMap::new();
        for place in places {
            let mut files = BTreeMap::new();
            for input in self.inputs_at(&place)? {
                if NOISE.contains(&input.module.as_str()) {
                    inputs.background.insert(input.population.clone());
                }
                self.note_trainable(&input, &mut trained)?;
                if let Some(file) = self.spikes_of(&input)? {
                    files.insert(input.population, file);
                }
            }
            if !files.is_empty() {
                let list: Vec<String> =
                    files.iter().map(|(name, file)| format!("{name:?}: {file:?}")).collect();
                let names = files.keys().cloned().collect::<Vec<_>>().join(", ");
                self.carried.push(format!("{place}: recorded spikes of {names}"));
                inputs.entries.push(format!("(spikes: {{{}}})", list.join(", ")));
            }
        }
        inputs.entries.dedup();
        self.not_carried.dedup();
        inputs.learned = self.learned(&trained, &inputs.background)?;
        Ok(inputs)
    }

    /// The inputs of an object or a list that are enabled. A text is the name of an entry of the configuration's own inputs.
    fn inputs_at(&self, place: &str) -> Result<Vec<Input>> {
        let config = &self.config;
        let mut found = Vec::new();
        for key in config.keys(place) {
            let own = format!("{place}.{key}");
            let at = match config.peek(&own) {
                Some(Value::String(name)) => {
                    config.get(&own);
                    let at = format!("inputs.{}", part(name));
                    if config.peek(&at).is_none() {
                        return Err(config.error(
                            &own,
                            name,
                            "is not the name of one of the configuration's inputs",
                        ));
                    }
                    at
                }
                Some(Value::Object(_)) => own,
                Some(other) => return Err(config.error(&own, other, "must be an input or the name of one")),
                None => continue,
            };
            if config.flag(&format!("{at}.enabled"))? == Some(false) {
                // What an input that is off says is of no account.
                config.get(&at);
                continue;
            }
            config.text(&format!("{at}.input"))?;
            config.text(&format!("{at}.name"))?;
            let population = match config.text(&format!("{at}.node_set"))? {
                Some(population) => population.to_owned(),
                None if config.is_list(place) => {
                    return Err(config.error(&format!("{at}.node_set"), "nothing", "must name a population"));
                }
                None => key.clone(),
            };
            let module = config.text(&format!("{at}.module"))?.unwrap_or_default().to_owned();
            let trainable = config.flag(&format!("{at}.trainable"))?;
            let scale = config.number(&format!("{at}.weight_scale"))?.unwrap_or(1.0);
            if scale != 1.0 {
                let limit =
                    "must be 1: the scene has the weights of the circuit's files; scale syn_weight there";
                return Err(config.error(&format!("{at}.weight_scale"), scale, limit));
            }
            found.push(Input { at, population, module, trainable });
        }
        Ok(found)
    }

    /// Weights belong to a population, whichever of its inputs speaks of them.
    fn note_trainable(&self, input: &Input, trained: &mut BTreeMap<String, (String, bool)>) -> Result<()> {
        let Some(is_trained) = input.trainable else { return Ok(()) };
        let place = format!("{}.trainable", input.at);
        match trained.get(&input.population) {
            Some((other, before)) if *before != is_trained => {
                let limit = format!("is {before} at {other}, of the same population '{}'", input.population);
                Err(self.config.error(&place, is_trained, limit))
            }
            _ => {
                trained.insert(input.population.clone(), (place, is_trained));
                Ok(())
            }
        }
    }

    /// Whether LGN and background weights are learned: each is one switch of a scene, however many populations it is for.
    fn learned(
        &self,
        trained: &BTreeMap<String, (String, bool)>,
        background: &BTreeSet<String>,
    ) -> Result<[bool; 2]> {
        let mut learned = [None::<(&String, bool)>; 2];
        for (population, (place, is_trained)) in trained {
            let of_kind = &mut learned[usize::from(background.contains(population))];
            match of_kind {
                Some((other, before)) if before != is_trained => {
                    let limit = format!(
                        "is {before} at {other}; a scene learns the weights of all populations of one kind (those that fire by themselves, and the others) or of none"
                    );
                    return Err(self.config.error(place, is_trained, limit));
                }
                _ => *of_kind = Some((place, *is_trained)),
            }
        }
        Ok(learned.map(|of_kind| of_kind.is_some_and(|(_, is_trained)| is_trained)))
    }

    /// The one file of recorded spikes of an input; otherwise it is named as not carried over.
    fn spikes_of(&mut self, input: &Input) -> Result<Option<std::path::PathBuf>> {
        let Input { at, population, module, .. } = input;
        let place = format!("{at}.spikes_paths");
        let one = match self.config.get(&place) {
            Some(Value::String(path)) => Some(path.clone()),
            Some(Value::Array(all)) if all.len() == 1 => all[0].as_str().map(str::to_owned),
            _ => None,
        };
        let file = one.map(|path| (self.path_of)(&path, &place)).transpose()?;
        match file.filter(|file| module == "spikes_files" && file.is_file()) {
            Some(file) => std::fs::canonicalize(&file).map(Some).map_err(Error::io(&file)),
            None => {
                self.not_carried.push(format!(
                    "{at} ({module}): units play recorded spikes here; write those of {population} to a file and name it in network.inputs"
                ));
                Ok(None)
            }
        }
    }
}

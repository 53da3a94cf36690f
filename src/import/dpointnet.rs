//! A training configuration of BMTK's dpointnet (`bmtk.simulator.dpointnet`, BMTK 1.2) as a scene.
//!
//! | configuration | scene |
//! |---|---|
//! | networks, components, manifest | `network: Sonata(config)`: the configuration itself is read |
//! | run.dt, run.seq_len (training.seq_len), run.batch_size (training.batch_size), run.default_seed | time, trials (at most 32), seed |
//! | rnn_cell_params.dampening_factor | `surrogate.height`; half width 1 (a triangle, in units of V_th - E_L) |
//! | rnn_cell_params.train_recurrent, inputs.*.trainable | learn |
//! | inputs of module spikes_files, one file each | `network.inputs` |
//! | SpikeRateDistributionTarget of grey trials | `losses.rates`: rates there are per step, so weight = rate_cost dt/1000, huber_hz = 2/dt |
//! | VoltageRegularization (range) | `losses.voltage`, 0 to 1 |
//! | SynchronizationLoss of grey trials | `losses.fano` |
//! | optimizer adam, exp_adam; learning_rate, warmup_cosine | optimiser |
//!
//! Everything else that the configuration says is named: what was not asked for is not carried over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::output::replace_file;
use crate::plan::{MAX_TRIALS, Plan};
use crate::scene::Scene;
use crate::sonata::read_raw;

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the scene has of it, a line each.
    pub carried: Vec<String>,
    /// What it has not, a line each: place in the configuration, and why or what to do.
    pub not_carried: Vec<String>,
}

/// Parts that the circuit's reader takes itself.
const OF_THE_CIRCUIT: [&str; 7] =
    ["manifest", "networks", "network", "circuit", "components", "node_sets_file", "node_set"];

/// Writes the scene of a configuration, which must pass the checks of a scene.
///
/// # Errors
/// A scene file that exists, a configuration that is none of dpointnet's or whose values no scene can have.
pub fn import(config: &Path, tables: &Path, out: &Path) -> Result<Report> {
    if out.exists() {
        let limit = "exists; an import overwrites nothing: name another file";
        return Err(Error::field("command line", "--out", out.display(), limit));
    }
    let (root, path_of) = read_raw(config)?;
    let whole = |path: &Path| std::fs::canonicalize(path).map_err(Error::io(path));
    let mut import = Import {
        file: config,
        root,
        path_of: &path_of,
        asked: RefCell::default(),
        carried: Vec::new(),
        not_carried: Vec::new(),
    };
    for needed in ["rnn_cell_params", "training", "networks"] {
        if !import.root.get(needed).is_some_and(Value::is_object) {
            let reason = format!("is no training configuration of dpointnet: it has no object '{needed}'");
            return Err(Error::file(config, reason));
        }
    }
    let scene = import.scene(&whole(config)?, &whole(tables)?)?;
    import.name_what_is_left();
    // What is written can be read and checked again.
    Plan::new(Scene::parse(out, &scene)?, out)?;
    let mut text = format!("// From {} by simrun import dpointnet. Not carried over:\n", config.display());
    text.extend(import.not_carried.iter().map(|line| format!("//   {line}\n")));
    replace_file(out, (text + &scene).as_bytes())?;
    Ok(Report { carried: import.carried, not_carried: import.not_carried })
}

struct Import<'a> {
    file: &'a Path,
    root: Value,
    path_of: &'a dyn Fn(&str, &str) -> Result<PathBuf>,
    /// Places (dotted) that were asked for.
    asked: RefCell<BTreeSet<String>>,
    carried: Vec<String>,
    not_carried: Vec<String>,
}

impl Import<'_> {
    /// The value of a dotted place, which is marked as asked for.
    fn get(&self, place: &str) -> Option<&Value> {
        self.asked.borrow_mut().insert(place.to_owned());
        self.root.pointer(&format!("/{}", place.replace('.', "/"))).filter(|value| !value.is_null())
    }

    fn number(&self, place: &str) -> Result<Option<f64>> {
        let value = self.get(place);
        value
            .map(|v| v.as_f64().ok_or_else(|| Error::field(self.file, place, v, "must be a number")))
            .transpose()
    }

    fn text(&self, place: &str) -> Option<&str> {
        self.get(place).and_then(Value::as_str)
    }

    /// Names of the members of an object, not marked as asked for.
    fn keys(&self, place: &str) -> Vec<String> {
        let object = self.root.pointer(&format!("/{}", place.replace('.', "/"))).and_then(Value::as_object);
        object.map_or_else(Vec::new, |object| object.keys().cloned().collect())
    }

    /// The scene as RON, its notes apart.
    fn scene(&mut self, config: &Path, tables: &Path) -> Result<String> {
        let dt_ms = self.number("run.dt")?.unwrap_or(1.0);
        let either = |import: &Self, key: &str| -> Result<Option<f64>> {
            Ok(import.number(&format!("training.{key}"))?.or(import.number(&format!("run.{key}"))?))
        };
        let seq_len = either(self, "seq_len")?.unwrap_or(500.0);
        let batch = either(self, "batch_size")?.unwrap_or(1.0);
        let n_trials = batch.clamp(1.0, f64::from(MAX_TRIALS));
        if n_trials < batch {
            self.not_carried.push(format!("batch_size {batch}: a batch has at most {MAX_TRIALS} trials"));
        }
        let seed = self.number("run.default_seed")?.unwrap_or(1.0);
        self.carried.push(format!("{seq_len} steps of {dt_ms} ms, {n_trials} trials, seed {seed}"));
        let (inputs, background, start_ms) = self.inputs()?;
        let losses = self.losses(dt_ms)?;
        let height = self.number("rnn_cell_params.dampening_factor")?.unwrap_or(0.3);
        self.carried.push(format!("surrogate: a triangle of height {height} and half width 1"));
        if self.get("rnn_cell_params.pseudo_gauss").and_then(Value::as_bool).unwrap_or(false) {
            self.not_carried.push("rnn_cell_params.pseudo_gauss: the surrogate is a triangle".to_owned());
        }
        self.text("rnn_cell_params.cell_model");
        let optimiser = self.optimiser()?;
        let recurrent = self.get("rnn_cell_params.train_recurrent").and_then(Value::as_bool).unwrap_or(true);
        let trainable = |background_units: bool| {
            self.keys("inputs").iter().any(|name| {
                let is_trained =
                    self.get(&format!("inputs.{name}.trainable")).and_then(Value::as_bool) == Some(true);
                let population = self.text(&format!("inputs.{name}.node_set")).unwrap_or_default();
                is_trained && background.contains(population) == background_units
            })
        };
        let (lgn, of_background) = (trainable(false), trainable(true));
        self.carried.push(format!("learned: recurrent {recurrent}, LGN {lgn}, background {of_background}"));
        Ok(format!(
            "(
    seed: {seed:.0},
    tables: {tables:?},
    network: Sonata(
        config: {config:?},
        background: {background:?},
        inputs: [{inputs}],
    ),
    cells: (mode: Point, ports: Exact),
    time: (dt_ms: {dt_ms}, duration_ms: {duration_ms}, analysis_start_ms: {start_ms}),
    trials: (
        n_evoked: 0,
        n_spontaneous: {n_trials:.0},
        grating: (directions: Random, spatial_frequency_cpd: 0.04, temporal_frequency_hz: 2, contrast: 0.8),
    ),
    surrogate: (half_width: 1, height: {height}),
    losses: ({losses}),
    learn: (recurrent_weights: {recurrent}, lgn_weights: {lgn}, background_weights: {of_background}),
    optimiser: ({optimiser}),
    evaluate: (directions_deg: [0, 45, 90, 135, 180, 225, 270, 315], n_trials: 1),
)
",
            duration_ms = seq_len * dt_ms,
            background = background.iter().collect::<Vec<_>>(),
        ))
    }

    /// Recorded spikes by training parameter, populations that count as background, and from when on losses count (ms).
    fn inputs(&mut self) -> Result<(String, BTreeSet<String>, f64)> {
        let mut background = BTreeSet::new();
        let mut entries = Vec::new();
        let n_parameters =
            self.root.pointer("/training/parameters").and_then(Value::as_array).map_or(0, Vec::len);
        let mut places = vec!["inputs".to_owned()];
        places.extend((0..n_parameters).map(|ix| format!("training.parameters.{ix}.inputs")));
        for place in places {
            let mut files = BTreeMap::new();
            for name in self.keys(&place) {
                let at = format!("{place}.{name}");
                if self.get(&format!("{at}.enabled")).and_then(Value::as_bool) == Some(false) {
                    continue;
                }
                // A text is the name of an entry of the configuration's own inputs.
                let at = self.text(&at).map_or(at.clone(), |name| format!("inputs.{name}"));
                self.asked.borrow_mut().remove(&at);
                let module = self.text(&format!("{at}.module")).unwrap_or_default().to_owned();
                let population = self.text(&format!("{at}.node_set")).unwrap_or(&name).to_owned();
                self.get(&format!("{at}.input"));
                if ["poisson_spikes", "bernoulli_spikes", "random"].contains(&module.as_str()) {
                    background.insert(population.clone());
                }
                let paths = self.get(&format!("{at}.spikes_paths")).cloned();
                let one = match &paths {
                    Some(Value::String(path)) => Some(path.clone()),
                    Some(Value::Array(all)) if all.len() == 1 => all[0].as_str().map(str::to_owned),
                    _ => None,
                };
                let file =
                    one.map(|path| (self.path_of)(&path, &format!("{at}.spikes_paths"))).transpose()?;
                match file.filter(|file| module == "spikes_files" && file.is_file()) {
                    Some(file) => {
                        files.insert(population, std::fs::canonicalize(&file).map_err(Error::io(&file))?);
                    }
                    None => self.not_carried.push(format!(
                        "{at} ({module}): units play recorded spikes here; write those of {population} to a file and name it in network.inputs"
                    )),
                }
            }
            if !files.is_empty() {
                let list: Vec<String> =
                    files.iter().map(|(name, file)| format!("{name:?}: {file:?}")).collect();
                self.carried.push(format!(
                    "{place}: recorded spikes of {}",
                    files.keys().cloned().collect::<Vec<_>>().join(", ")
                ));
                entries.push(format!("(spikes: {{{}}})", list.join(", ")));
            }
        }
        entries.dedup();
        self.not_carried.dedup();
        let mut start = 0.0_f64;
        for ix in 0..n_parameters {
            for name in self.keys(&format!("training.parameters.{ix}.loss_functions")) {
                let delay =
                    self.number(&format!("training.parameters.{ix}.loss_functions.{name}.pre_delay"))?;
                start = start.max(delay.unwrap_or(0.0));
            }
        }
        let dt_ms = self.number("run.dt")?.unwrap_or(1.0);
        Ok((entries.join(", "), background, start * dt_ms))
    }

    /// Terms of the loss.
    fn losses(&mut self, dt_ms: f64) -> Result<String> {
        let mut terms: BTreeMap<&str, String> = BTreeMap::new();
        let n_parameters =
            self.root.pointer("/training/parameters").and_then(Value::as_array).map_or(0, Vec::len);
        for ix in 0..n_parameters {
            self.text(&format!("training.parameters.{ix}.name"));
            let place = format!("training.parameters.{ix}.loss_functions");
            for name in self.keys(&place) {
                let at = format!("{place}.{name}");
                if self.get(&format!("{at}.enabled")).and_then(Value::as_bool) == Some(false) {
                    continue;
                }
                let module = self.text(&format!("{at}.module")).unwrap_or_default().to_owned();
                let cost = |key: &str, usual: f64| -> Result<f64> {
                    Ok(self.number(&format!("{at}.{key}"))?.unwrap_or(usual))
                };
                let stimulus = self.text(&format!("{at}.stimulus_type")).unwrap_or("drifting_gratings");
                let is_grey = ["spontaneous", "gray", "grey"].contains(&stimulus);
                let range = self.text(&format!("{at}.penalty_mode")).is_none_or(|mode| mode == "range");
                let term = match module.as_str() {
                    "SpikeRateDistributionTarget" if is_grey => {
                        let weight = cost("rate_cost", 0.5)? * dt_ms * 1e-3;
                        Some((
                            "rates",
                            format!("(weight: {weight}, huber_hz: {}, shares: PerNeuron)", 2.0 / dt_ms),
                        ))
                    }
                    "SynchronizationLoss" if is_grey => {
                        Some(("fano", format!("(weight: {})", cost("sync_cost", 10.0)?)))
                    }
                    "VoltageRegularization" if range => Some((
                        "voltage",
                        format!("(weight: {}, x_low: 0, x_high: 1)", cost("voltage_cost", 1e-5)?),
                    )),
                    _ => None,
                };
                let why_not = match module.as_str() {
                    "SpikeRateDistributionTarget" | "SynchronizationLoss" | "OrientationSelectivityLoss" => {
                        "asks for gratings: give entries of network.inputs a direction_deg and trials.n_evoked, then losses.rates, fano or selectivity"
                    }
                    "EMDWeightRegularization" => {
                        "compares the weights themselves; losses.structure.weight_distribution compares their logarithms"
                    }
                    _ => "there is no such term",
                };
                match term {
                    Some((term, text)) => match terms.get(term) {
                        Some(earlier) if *earlier != text => {
                            self.not_carried.push(format!(
                                "{at}: {term} has one weight, that of an earlier training parameter"
                            ));
                        }
                        _ => {
                            self.carried.push(format!("{at}: losses.{term} {text}"));
                            terms.insert(term, text);
                        }
                    },
                    None => {
                        self.asked.borrow_mut().insert(at.clone());
                        self.not_carried.push(format!("{at} ({module}): {why_not}"));
                    }
                }
            }
        }
        Ok(terms.iter().map(|(term, text)| format!("{term}: {text}")).collect::<Vec<_>>().join(", "))
    }

    fn optimiser(&mut self) -> Result<String> {
        let name = self.text("training.optimizer.name").unwrap_or("adam").to_owned();
        let kind = match name.as_str() {
            "exp_adam" => "ExponentiatedAdam",
            "adam" => "Adam",
            _ => {
                self.not_carried.push(format!("training.optimizer.name {name}: Adam takes its place"));
                "Adam"
            }
        };
        let epsilon = self.number("training.optimizer.epsilon")?.unwrap_or(1e-11);
        let n_epochs = self.number("training.n_epochs")?.unwrap_or(1.0);
        let n_steps = n_epochs * self.number("training.steps_per_epoch")?.unwrap_or(1.0);
        let rate = self.get("training.learning_rate").cloned().unwrap_or(Value::Null);
        let (rate, warmup, last) = match rate.as_f64() {
            Some(rate) => (rate, 0.0, 1.0),
            None => {
                self.asked.borrow_mut().remove("training.learning_rate");
                let at = |key: &str| format!("training.learning_rate.{key}");
                if self.text(&at("schedule")) == Some("warmup_cosine") {
                    let rate = self.number(&at("warmup_target_lr"))?.unwrap_or(0.05);
                    let least = self.number(&at("min_lr"))?.unwrap_or(0.001);
                    let warmup = self.number(&at("warmup_steps"))?.unwrap_or(100.0);
                    let cosine = self.number(&at("cosine_steps"))?.unwrap_or(900.0);
                    if warmup + cosine != n_steps {
                        self.not_carried.push(format!(
                            "training.learning_rate.cosine_steps {cosine}: the decay ends with the last of the {n_steps} training steps"
                        ));
                    }
                    (rate, warmup.min(n_steps), (least / rate).clamp(0.0, 1.0))
                } else {
                    let rate = self.number(&at("learning_rate"))?;
                    let missing =
                        || Error::file(self.file, "training.learning_rate must be a number or have one");
                    (rate.ok_or_else(missing)?, 0.0, 1.0)
                }
            }
        };
        self.carried.push(format!("{n_steps} training steps of {kind}, learning rate {rate}"));
        Ok(format!(
            "kind: {kind}, learning_rate: {rate}, epsilon: {epsilon:e}, warmup_steps: {warmup:.0}, training_steps: {n_steps:.0}, final_fraction: {last}"
        ))
    }

    /// Names every place of the configuration that nobody asked for.
    fn name_what_is_left(&mut self) {
        let mut left = Vec::new();
        for key in top_keys(&self.root) {
            if !OF_THE_CIRCUIT.contains(&key.as_str()) {
                leaves(&self.root[key.as_str()], &key, &self.asked.borrow(), &mut left);
            }
        }
        left.sort();
        left.dedup();
        self.not_carried.extend(left);
    }
}

fn top_keys(root: &Value) -> Vec<String> {
    root.as_object().map_or_else(Vec::new, |object| object.keys().cloned().collect())
}

/// Places of values below `place` that were not asked for, with their values.
fn leaves(value: &Value, place: &str, asked: &BTreeSet<String>, left: &mut Vec<String>) {
    if asked.contains(place) {
        return;
    }
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| leaves(value, &format!("{place}.{key}"), asked, left));
        }
        Value::Array(all) if all.iter().any(Value::is_object) => {
            all.iter()
                .enumerate()
                .for_each(|(ix, value)| leaves(value, &format!("{place}.{ix}"), asked, left));
        }
        _ => left.push(format!("{place} = {value}")),
    }
}

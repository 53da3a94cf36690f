//! A training configuration of BMTK's dpointnet (`bmtk.simulator.dpointnet`, BMTK 1.2) as a scene.
//!
//! | configuration | scene |
//! |---|---|
//! | networks, components, manifest | `network: Sonata(config)`: the configuration itself is read |
//! | run.dt, run.seq_len (training.seq_len), run.batch_size (training.batch_size), run.default_seed | time, trials (at most 32), seed |
//! | rnn_cell_params.dampening_factor | `surrogate.height`; half width 1 (a triangle, in units of V_th - E_L) |
//! | run.train_recurrent_weights, rnn_cell_params.train_recurrent, inputs.*.trainable | learn; what one of them says no to is not learned |
//! | inputs of module spikes_files, one file each | `network.inputs` |
//! | SpikeRateDistributionTarget of grey trials | `losses.rates`: rates there are per step, so weight = rate_cost dt/1000, huber_hz = 2/dt |
//! | VoltageRegularization (range) | `losses.voltage`, 0 to 1 |
//! | SynchronizationLoss of grey trials | `losses.fano` |
//! | optimizer adam, exp_adam; learning_rate, warmup_cosine | optimiser |
//!
//! Everything else that the configuration says is named: what was not asked for is not carried over. What would make another network of the
//! circuit (scales of weights), or a switch that is none, is refused.

mod config;
mod inputs;
mod losses;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::output::replace_file;
use crate::plan::{MAX_TRIALS, Plan};
use crate::scene::Scene;
use crate::shipped;
use crate::sonata::read_raw;

use config::Config;

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

/// What GLIF3Cell takes, in BMTK 1.2 and in its later versions; Python stops at any other name.
const CELL_PARAMETERS: [&str; 41] = [
    "cell_model",
    "basis_weights_file",
    "dt",
    "gauss_std",
    "dampening_factor",
    "recurrent_dampening_factor",
    "voltage_gradient_dampening",
    "recurrent_weight_scale",
    "lr_scale",
    "max_delay",
    "pseudo_gauss",
    "train_recurrent",
    "train_recurrent_per_type",
    "noise_seed",
    "hard_reset",
    "tau_basis",
    "synaptic_basis_weights",
    "detach_reset",
    "detach_asc_reset",
    "state_precision",
    "temporal_gradient_precision",
    "temporal_checkpoint_chunk_size",
    "use_fused_recurrent_accumulation",
    "current_replay_mode",
    "temporal_pack_spike_checkpoints",
    "dynamics_mode",
    "use_fused_cuda",
    "use_fused_state",
    "use_pair_projection",
    "use_packed_sm120_backward",
    "use_packed_sm120_external_backward",
    "use_fixed4_input_forward",
    "use_fused_current_accumulation",
    "use_direct_csr_recurrent_gradient",
    "use_small_batch_recurrent_backward",
    "use_active_row_forward",
    "track_voltage_penalty",
    "voltage_penalty_mode",
    "return_voltage_sequences",
    "input_weight_scale",
    "bkg_firing_rate",
];

/// Why places that decide what is learned are not carried over, by the end of their names.
const WHY_NOT: [(&str, &str); 12] = [
    (".recurrent_dampening_factor", "the gradient through recurrent spikes is whole here"),
    (".voltage_gradient_dampening", "the gradient through the membrane is whole here"),
    (".detach_reset", "the gradient goes through the reset here"),
    (".detach_asc_reset", "the gradient goes through after-spike currents here"),
    (".gauss_std", "the surrogate is a triangle"),
    (".lr_scale", "learning rates are of the weights themselves here"),
    (".max_delay", "delays are the circuit's own"),
    (".dynamics_mode", "the dynamics are those of NEST's glif_psc"),
    (".train_recurrent_per_type", "weights are learned one by one, pair types by learn.pair_scale"),
    (".learning_rule", "gradients are those of backpropagation through time"),
    (".training_approach", "all trials of a step are one batch"),
    (".warmup_start_lr", "the rate rises from 0"),
];

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
    for needed in ["rnn_cell_params", "training", "networks"] {
        if !root.get(needed).is_some_and(Value::is_object) {
            let reason = format!("is no training configuration of dpointnet: it has no object '{needed}'");
            return Err(Error::file(config, reason));
        }
    }
    let mut import = Import {
        config: Config::new(config, root),
        path_of: &path_of,
        carried: Vec::new(),
        not_carried: Vec::new(),
    };
    let tables = shipped::absolute(tables).map_err(Error::io(tables))?;
    let scene = import.scene(&whole(config)?, &tables)?;
    import.name_what_is_left();
    // What is written can be read and checked again.
    Plan::new(Scene::parse(out, &scene)?, out)?;
    let mut text = format!("// From {} by simrun import dpointnet. Not carried over:\n", config.display());
    text.extend(import.not_carried.iter().map(|line| format!("//   {line}\n")));
    replace_file(out, (text + &scene).as_bytes())?;
    Ok(Report { carried: import.carried, not_carried: import.not_carried })
}

struct Import<'a> {
    config: Config<'a>,
    path_of: &'a dyn Fn(&str, &str) -> Result<PathBuf>,
    carried: Vec<String>,
    not_carried: Vec<String>,
}

impl Import<'_> {
    fn n_parameters(&self) -> usize {
        self.config.keys("training.parameters").len()
    }

    /// The scene as RON, its notes apart.
    fn scene(&mut self, config: &Path, tables: &Path) -> Result<String> {
        self.refuse_other_networks()?;
        let dt_ms = self.config.number("run.dt")?.unwrap_or(1.0);
        let either = |key: &str| -> Result<Option<f64>> {
            let [training, run] = [format!("training.{key}"), format!("run.{key}")];
            Ok(self.config.whole(&training, 1.0)?.or(self.config.whole(&run, 1.0)?))
        };
        let seq_len = either("seq_len")?.unwrap_or(500.0);
        let batch = either("batch_size")?.unwrap_or(1.0);
        let n_trials = batch.clamp(1.0, f64::from(MAX_TRIALS));
        if n_trials < batch {
            self.not_carried.push(format!("batch_size {batch}: a batch has at most {MAX_TRIALS} trials"));
        }
        let seed = self.config.whole("run.default_seed", 0.0)?.unwrap_or(1.0);
        self.carried.push(format!("{seq_len} steps of {dt_ms} ms, {n_trials} trials, seed {seed}"));
        let inputs = self.inputs()?;
        let start_ms = self.start()? * dt_ms;
        let losses = self.losses(dt_ms)?;
        let height = self.config.number("rnn_cell_params.dampening_factor")?.unwrap_or(0.3);
        self.carried.push(format!("surrogate: a triangle of height {height} and half width 1"));
        if self.config.flag("rnn_cell_params.pseudo_gauss")?.unwrap_or(false) {
            self.not_carried.push("rnn_cell_params.pseudo_gauss: the surrogate is a triangle".to_owned());
        }
        const CELL: &str = "GLIF3Cell";
        let cell = self.config.text("rnn_cell_params.cell_model")?.unwrap_or(CELL);
        if cell != CELL {
            let limit = format!("must be {CELL}, the one cell of BMTK's dpointnet");
            return Err(self.config.error("rnn_cell_params.cell_model", cell, limit));
        }
        let optimiser = self.optimiser()?;
        let recurrent = self.recurrent()?;
        let [lgn, of_background] = inputs.learned;
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
            inputs = inputs.entries.join(", "),
            duration_ms = seq_len * dt_ms,
            background = inputs.background.iter().collect::<Vec<_>>(),
        ))
    }

    /// Refuses parameters of the cell that BMTK does not know, and those that make another network of the circuit's files.
    fn refuse_other_networks(&self) -> Result<()> {
        for name in self.config.keys("rnn_cell_params") {
            if !CELL_PARAMETERS.contains(&name.as_str()) {
                let place = format!("rnn_cell_params.{name}");
                let value = self.config.peek(&place).cloned().unwrap_or_default();
                let known = CELL_PARAMETERS[1..17].join(", ");
                return Err(self.config.error(
                    &place,
                    value,
                    format!("is no parameter of BMTK's GLIF3Cell (they are {known} and others)"),
                ));
            }
        }
        for scale in ["rnn_cell_params.recurrent_weight_scale", "rnn_cell_params.input_weight_scale"] {
            let value = self.config.number(scale)?.unwrap_or(1.0);
            if value != 1.0 {
                let limit =
                    "must be 1: the scene has the weights of the circuit's files; scale syn_weight there";
                return Err(self.config.error(scale, value, limit));
            }
        }
        Ok(())
    }

    /// Whether recurrent weights are learned: a no of either switch holds.
    fn recurrent(&mut self) -> Result<bool> {
        let [of_run, of_cell] = ["run.train_recurrent_weights", "rnn_cell_params.train_recurrent"];
        let switches = [self.config.flag(of_run)?, self.config.flag(of_cell)?];
        if let [Some(run), Some(cell)] = switches
            && run != cell
        {
            self.not_carried.push(format!("{of_run} = {run} and {of_cell} = {cell}: the no holds"));
        }
        Ok(!switches.contains(&Some(false)))
    }

    fn optimiser(&mut self) -> Result<String> {
        let config = &self.config;
        for needed in ["training.optimizer", "training.optimizer.name"] {
            if config.peek(needed).is_none() {
                return Err(config.error(needed, "nothing", "must be there: BMTK has no usual optimizer"));
            }
        }
        if !config.peek("training.optimizer").is_some_and(Value::is_object) {
            let value = config.peek("training.optimizer").cloned().unwrap_or_default();
            return Err(config.error("training.optimizer", value, "must be an object with a name"));
        }
        let name = config.text("training.optimizer.name")?.unwrap_or_default().to_owned();
        let epsilon = config.number("training.optimizer.epsilon")?.unwrap_or(1e-11);
        let n_epochs = config.needed_whole("training.n_epochs", 0.0)?;
        let n_steps = n_epochs * config.needed_whole("training.steps_per_epoch", 0.0)?;
        let kind = match name.as_str() {
            "exp_adam" => "ExponentiatedAdam",
            "adam" => "Adam",
            "sgd" => {
                self.not_carried.push("training.optimizer.name sgd: Adam takes its place".to_owned());
                "Adam"
            }
            _ => {
                let limit = "must be adam, exp_adam or sgd, as in BMTK";
                return Err(config.error("training.optimizer.name", name, limit));
            }
        };
        let (rate, warmup, last) = self.learning_rate(n_steps)?;
        self.carried.push(format!("{n_steps} training steps of {kind}, learning rate {rate}"));
        Ok(format!(
            "kind: {kind}, learning_rate: {rate}, epsilon: {epsilon:e}, warmup_steps: {warmup:.0}, training_steps: {n_steps:.0}, final_fraction: {last}"
        ))
    }

    /// Learning rate, steps over which it rises, and its last share.
    fn learning_rate(&mut self, n_steps: f64) -> Result<(f64, f64, f64)> {
        let config = &self.config;
        match config.get("training.learning_rate") {
            Some(Value::Number(_)) => {
                return Ok((config.needed_number("training.learning_rate")?, 0.0, 1.0));
            }
            Some(Value::Object(_)) => config.not_asked("training.learning_rate"),
            other => {
                let value = other.cloned().unwrap_or_default();
                let limit = "must be a number or an object with a schedule";
                return Err(config.error("training.learning_rate", value, limit));
            }
        }
        let at = |key: &str| format!("training.learning_rate.{key}");
        let schedule = config.text(&at("schedule"))?.unwrap_or("none").to_owned();
        match schedule.as_str() {
            "none" => Ok((config.needed_number(&at("learning_rate"))?, 0.0, 1.0)),
            "warmup_cosine" => {
                let rate = config.number(&at("warmup_target_lr"))?.unwrap_or(0.05);
                let least = config.number(&at("min_lr"))?.unwrap_or(0.001);
                let warmup = config.whole(&at("warmup_steps"), 0.0)?.unwrap_or(100.0);
                let cosine = config.whole(&at("cosine_steps"), 0.0)?.unwrap_or(900.0);
                if warmup + cosine != n_steps {
                    self.not_carried.push(format!(
                        "training.learning_rate.cosine_steps {cosine}: the decay ends with the last of the {n_steps} training steps"
                    ));
                }
                Ok((rate, warmup.min(n_steps), (least / rate).clamp(0.0, 1.0)))
            }
            _ => Err(config.error(&at("schedule"), schedule, "must be none or warmup_cosine, as in BMTK")),
        }
    }

    /// Names every place of the configuration that nobody asked for.
    fn name_what_is_left(&mut self) {
        let why = |place: &str| {
            WHY_NOT.iter().find(|(end, _)| place.ends_with(end)).map(|(_, why)| format!(": {why}"))
        };
        let left = self.config.left(&OF_THE_CIRCUIT);
        let lines = left
            .into_iter()
            .map(|(place, value)| format!("{place} = {value}{}", why(&place).unwrap_or_default()));
        self.not_carried.extend(lines);
    }
}

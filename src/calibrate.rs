//! Calibration: factors on the LGN and background weights of every cell model with which the network fires as recorded under a grey screen.
//!
//! The published weights are tuned in the point model and without recurrent input; carried over to other cells and to the whole network they
//! leave some types silent and others too fast. They are found anew in two phases, by simulation of the network itself, recurrent edges on:
//!
//! 1. *Background alone.* LGN units are silent; each cell model's background weight moves until it fires at a share of its target. What is left
//!    of the recorded rate without thalamus is about 27 % (Reinhold, Lien and Scanziani 2015, Nature Neuroscience 18:1789), the share that the
//!    published network gives its background.
//! 2. *With LGN.* Background gets a part of these weights ([`CalibrationOptions::background_part`]) and each cell model's LGN weight moves until it
//!    fires at its target; where the LGN weight has reached its limit, its background weight moves on.
//!
//! The target of a cell model is the recorded median of its cell type (grey screen, training sessions). docs/model.md, "Calibration".

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::network::tables::Tables;
use crate::network::{Network, Vocabulary};
use crate::output::{Progress, replace_file};
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::setup;
use crate::setup::{
    CalibratedModel, Calibration, InputFactors, MadeFor, OF_NETWORK_TABLES, OF_TABLES, recorded_grey_hz,
};
use crate::train::open_adapters;
use grey::GreyNetwork;
use rule::{FIRST_GAIN, Knob, Way, log_error};

mod grey;
mod rule;

/// Share of the recorded grey rate that background alone gives.
const BACKGROUND_SHARE: f64 = 0.27;
/// Least and largest factor on LGN weights.
const LGN_LIMITS: [f64; 2] = [0.1, 6.0];
/// Least and largest factor on background weights.
const BACKGROUND_LIMITS: [f64; 2] = [0.02, 20.0];
/// LGN factor with which the second phase begins.
const FIRST_LGN: f64 = 2.0;
/// Gain of the rule at first where an earlier calibration is only mended.
const LATER_GAIN: f64 = 0.06;
/// Error beyond which a target counts as missed, e-folds: a factor of 1.5.
const MISSED: f64 = 0.405;

/// What a calibration is told beside its plan.
#[derive(Clone, Debug)]
pub struct CalibrationOptions {
    /// Where the table goes; it must not exist.
    pub out: PathBuf,
    /// A table from whose factors the second phase goes on; none: both phases, from the weights that the tables imply.
    pub from: Option<PathBuf>,
    /// Part of the background weights that alone give 27 % of the targets, above 0: the less, the more of the drive is LGN's, which is what
    /// tunes the network.
    pub background_part: f64,
    /// Rounds of each phase, at least 1.
    pub n_rounds: u32,
    /// Grey trials of a round, 1 to 32; a circuit that was read shows its own.
    pub n_trials: u32,
    /// Part of the adapter's name.
    pub adapter: Option<String>,
    /// Whether progress is not shown.
    pub quiet: bool,
    /// The processes that share the trials.
    pub ranks: Ranks,
}

/// Calibrates the network of a plan, writes the table, and returns what was reached as text. A calibration that the scene names is not applied.
///
/// # Errors
/// Bad input for a network without LGN and background, cell types that were not recorded, a recorded median of zero, or a table that exists or
/// is of other cells; a failed run otherwise.
pub fn calibrate(plan: &Plan, options: &CalibrationOptions) -> Result<String> {
    let ranks = &options.ranks;
    ranks.agree(refuse_existing(&options.out))?;
    let mut plan = plan.clone();
    plan.scene.network.set_calibration(None);
    let progress = Progress::of_rank(ranks.is_first(), options.quiet);
    let adapter = options.adapter.as_deref();
    let (gpu, _) = open_adapters(&plan, options.n_trials as usize, ranks, adapter, &progress)?;
    let (prepared, tables) = ranks.agree(prepare(&plan, &gpu, options, &progress))?;
    let made_of = format!("{:.12} and {:.12}", prepared.grey.network().rows.digest(), tables.digest());
    ranks.hold_alike("the network and tables", &made_of, 2)?;
    let mut search = Search::new(prepared.grey, prepared.targets_hz, options.background_part, progress);
    let models = search.run(options.n_rounds, prepared.start)?;
    let calibration = Calibration {
        made_for: MadeFor::scene(&plan.scene),
        notes: notes(&plan, options, &tables, &search),
        models,
    };
    if ranks.is_first() {
        replace_file(&options.out, calibration.to_text()?.as_bytes())?;
    }
    Ok(outcome(&calibration, options))
}

fn refuse_existing(out: &Path) -> Result<()> {
    if out.exists() {
        let limit = "exists; a calibration overwrites nothing: name another file";
        return Err(Error::field("command line", "--out", out.display(), limit));
    }
    Ok(())
}

/// What a calibration begins with.
struct Prepared {
    grey: GreyNetwork,
    targets_hz: Vec<Option<f64>>,
    /// Where an earlier one ended.
    start: Option<Vec<Started>>,
}

fn prepare(
    plan: &Plan,
    gpu: &Arc<Gpu>,
    options: &CalibrationOptions,
    progress: &Progress,
) -> Result<(Prepared, Tables)> {
    let tables = setup::tables(plan)?;
    let built = setup::build(plan, &tables, &mut |text| progress.say(text))?;
    let targets_hz = targets(plan, &tables, &built.network)?;
    let start = match &options.from {
        Some(from) => Some(start(plan, from, &tables, &built.network, progress)?),
        None => None,
    };
    let grey = GreyNetwork::new(plan, gpu, &tables, built, options)?;
    Ok((Prepared { grey, targets_hz, start }, tables))
}

/// Recorded grey median of each cell model's type, Hz; none where none was recorded.
fn targets(plan: &Plan, tables: &Tables, network: &Network) -> Result<Vec<Option<f64>>> {
    let Vocabulary { cell_types, .. } = &network.vocabulary;
    if !network.vocabulary.has_v1_cell_types() {
        let limit = format!(
            "rates were recorded by cell type of mouse V1 (L2/3_Exc, L4_PV, ..), but the circuit's are {}; network.cell_types can say which \
             stands for which",
            cell_types.join(", ")
        );
        return Err(Error::field(&plan.scene_file, "network.cell_types", "{}", limit));
    }
    let of_type: Vec<Option<f64>> = (0..cell_types.len()).map(|ix| recorded_grey_hz(tables, ix)).collect();
    if let Some(silent) = of_type.iter().position(|hz| *hz == Some(0.0)) {
        let folder = plan.recordings_dir.as_ref().unwrap_or(&plan.tables_dir);
        let field = format!("{} spontaneous_rate_hz train, q050", cell_types[silent]);
        let limit = "must be above 0 Hz: nothing can be calibrated to silence";
        return Err(Error::field(folder.join("neuropixels_targets.csv"), field, 0, limit));
    }
    Ok(network.cell_models.iter().map(|model| of_type[model.cell_type_ix]).collect())
}

/// Where the second phase goes on: each model's factor with background alone, and its factors.
fn start(
    plan: &Plan,
    from: &Path,
    tables: &Tables,
    network: &Network,
    progress: &Progress,
) -> Result<Vec<Started>> {
    let earlier = Calibration::read(from)?;
    let said = earlier.fit(from, &plan.scene, tables, &network.cell_models)?;
    said.iter().for_each(|line| progress.say(line));
    let started = |model: &CalibratedModel| Started {
        background_alone: model.background_alone,
        background_hz: model.background_hz,
        factors: model.factors,
    };
    Ok(earlier.models.iter().map(started).collect())
}

/// A cell model between the phases.
#[derive(Clone, Copy)]
struct Started {
    background_alone: f64,
    background_hz: f64,
    factors: InputFactors,
}

/// A calibration under way.
struct Search {
    grey: GreyNetwork,
    targets_hz: Vec<Option<f64>>,
    /// Whether each cell model has input from LGN and from background.
    inputs: Vec<[bool; 2]>,
    /// Neurons that stand for each cell model.
    n_read: Vec<usize>,
    background_part: f64,
    progress: Progress,
    n_shown: u32,
    notes: Vec<String>,
}

impl Search {
    fn new(
        grey: GreyNetwork,
        mut targets_hz: Vec<Option<f64>>,
        background_part: f64,
        progress: Progress,
    ) -> Self {
        let (inputs, n_read) = (grey.has_inputs(), grey.n_read());
        // An EM table need not have neurons of every model; what is not there has no rate.
        for (target_hz, n) in targets_hz.iter_mut().zip(&n_read) {
            *target_hz = target_hz.filter(|_| *n > 0);
        }
        Self { grey, targets_hz, inputs, n_read, background_part, progress, n_shown: 0, notes: Vec::new() }
    }

    /// Both phases, or the second alone from where an earlier calibration ended.
    fn run(&mut self, n_rounds: u32, from: Option<Vec<Started>>) -> Result<Vec<CalibratedModel>> {
        let has_both = [0, 1].map(|kind| self.inputs.iter().any(|has| has[kind])) == [true; 2];
        let untouched = Started { background_alone: 1.0, background_hz: 0.0, factors: InputFactors::ONE };
        let (started, gain) = match from {
            Some(started) => (started, LATER_GAIN),
            None if has_both => (self.background_alone(n_rounds)?, FIRST_GAIN),
            None => (vec![untouched; self.targets_hz.len()], FIRST_GAIN),
        };
        let part = if has_both { self.background_part } else { 1.0 };
        let ways: Vec<Way> = started.iter().zip(&self.inputs).map(|(s, has)| way(s, part, *has)).collect();
        let mut knobs: Vec<Knob> =
            ways.iter().zip(&started).map(|(way, s)| Knob::new(way.place_of(s.factors), gain)).collect();
        let targets_hz = self.targets_hz.clone();
        // What has no target is left as it was.
        let factors_of = |knobs: &[Knob]| -> Vec<InputFactors> {
            let models = targets_hz.iter().zip(&ways).zip(knobs).zip(&started);
            models.map(|(((t, way), k), s)| t.map_or(s.factors, |_| way.factors(k.at))).collect()
        };
        for round in 1..=n_rounds {
            let what = format!("with LGN, round {round} of {n_rounds}");
            let rates_hz = self.round(&what, &factors_of(&knobs), 1.0)?;
            for (((knob, way), rate_hz), target_hz) in
                knobs.iter_mut().zip(&ways).zip(&rates_hz).zip(&self.targets_hz)
            {
                if let Some(target_hz) = target_hz {
                    knob.turn(*rate_hz, *target_hz, way.limits());
                }
            }
        }
        let factors = factors_of(&knobs);
        let rates_hz = self.measure("reached, in trials of their own", &factors, 1.0)?;
        if has_both {
            let silent: Vec<InputFactors> = factors.iter().map(|f| InputFactors { lgn: 0.0, ..*f }).collect();
            self.measure("left with LGN silent", &silent, BACKGROUND_SHARE)?;
        }
        Ok(self.models(&started, &factors, &rates_hz))
    }

    /// The first phase.
    fn background_alone(&mut self, n_rounds: u32) -> Result<Vec<Started>> {
        let limits = BACKGROUND_LIMITS.map(f64::ln);
        let mut knobs = vec![Knob::new(0.0, FIRST_GAIN); self.targets_hz.len()];
        let factors_of = |knobs: &[Knob]| -> Vec<InputFactors> {
            knobs.iter().map(|knob| InputFactors { lgn: 0.0, background: knob.at.exp() }).collect()
        };
        for round in 1..=n_rounds {
            let what = format!("background alone, round {round} of {n_rounds}");
            let rates_hz = self.round(&what, &factors_of(&knobs), BACKGROUND_SHARE)?;
            for ((knob, rate_hz), target_hz) in knobs.iter_mut().zip(&rates_hz).zip(&self.targets_hz) {
                if let Some(target_hz) = target_hz {
                    knob.turn(*rate_hz, BACKGROUND_SHARE * target_hz, limits);
                }
            }
        }
        let rates_hz = self.measure("background alone, reached", &factors_of(&knobs), BACKGROUND_SHARE)?;
        let started = |((knob, background_hz), target_hz): ((&Knob, f64), &Option<f64>)| {
            let background_alone = knob.at.exp();
            let found = InputFactors { lgn: FIRST_LGN, background: self.background_part * background_alone };
            let factors = target_hz.map_or(InputFactors::ONE, |_| found);
            Started { background_alone, background_hz, factors }
        };
        Ok(knobs.iter().zip(rates_hz).zip(&self.targets_hz).map(started).collect())
    }

    /// Rates of one batch of trials, shown beside `share` of the targets.
    fn round(&mut self, what: &str, factors: &[InputFactors], share: f64) -> Result<Vec<f64>> {
        let start = Instant::now();
        let rates_hz = self.grey.rates_hz(factors, self.n_shown)?;
        self.n_shown += 1;
        let text = self.rates_text(what, &rates_hz, share);
        self.progress.say(&format!("{text}  ({:.0} s)", start.elapsed().as_secs_f64()));
        Ok(rates_hz)
    }

    /// Mean of two batches, shown alike.
    fn measure(&mut self, what: &str, factors: &[InputFactors], share: f64) -> Result<Vec<f64>> {
        let [first, second] =
            [self.n_shown, self.n_shown + 1].map(|presentation| self.grey.rates_hz(factors, presentation));
        self.n_shown += 2;
        let rates_hz: Vec<f64> = first?.iter().zip(second?).map(|(a, b)| 0.5 * (a + b)).collect();
        let text = self.rates_text(what, &rates_hz, share);
        self.progress.say(&text);
        self.notes.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(rates_hz)
    }

    /// Rate and target of every cell type, the cell models by their neurons, and how far off the models are.
    fn rates_text(&self, what: &str, rates_hz: &[f64], share: f64) -> String {
        let network = self.grey.network();
        let errors: Vec<f64> = rates_hz
            .iter()
            .zip(&self.targets_hz)
            .filter_map(|(rate, target)| target.map(|t| log_error(*rate, share * t)))
            .collect();
        let rms = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len().max(1) as f64).sqrt();
        let mut text =
            format!("{what}: rms error {rms:.2} e-folds over {} cell models; Hz (target):", errors.len());
        let mut of_types = Vec::new();
        for (ix, name) in network.vocabulary.cell_types.iter().enumerate() {
            let of_type = (0..rates_hz.len()).filter(|m| network.cell_models[*m].cell_type_ix == ix);
            let (mut n, mut sum, mut target) = (0.0, 0.0, None);
            for model_ix in of_type {
                n += self.n_read[model_ix] as f64;
                sum += self.n_read[model_ix] as f64 * rates_hz[model_ix];
                target = target.or(self.targets_hz[model_ix]);
            }
            if let Some(target) = target {
                of_types.push(format!("{name} {:.2} ({:.2})", sum / n, share * target));
            }
        }
        of_types.chunks(5).for_each(|line| text += &format!("\n  {}", line.join(", ")));
        text
    }

    fn models(
        &self,
        started: &[Started],
        factors: &[InputFactors],
        rates_hz: &[f64],
    ) -> Vec<CalibratedModel> {
        let network = self.grey.network();
        let model = |ix: usize| {
            let target_hz = self.targets_hz[ix];
            CalibratedModel {
                model_id: network.cell_models[ix].id,
                cell_type: network.vocabulary.cell_types[network.cell_models[ix].cell_type_ix].clone(),
                n_neurons: self.n_read[ix],
                factors: factors[ix],
                background_alone: started[ix].background_alone,
                background_hz: started[ix].background_hz,
                target_hz,
                rate_hz: rates_hz[ix],
                remark: remark(target_hz, rates_hz[ix], factors[ix], self.inputs[ix]),
            }
        };
        (0..rates_hz.len()).map(model).collect()
    }
}

/// The way of a cell model with a part of the background that alone gives its share, and with what input it has.
fn way(started: &Started, background_part: f64, [has_lgn, has_background]: [bool; 2]) -> Way {
    let background = if has_background { (background_part * started.background_alone).ln() } else { 0.0 };
    Way {
        background,
        lgn: if has_lgn { LGN_LIMITS.map(f64::ln) } else { [0.0; 2] },
        background_limits: if has_background { BACKGROUND_LIMITS.map(f64::ln) } else { [0.0; 2] },
    }
}

/// What could not be met, in a few words.
fn remark(target_hz: Option<f64>, rate_hz: f64, factors: InputFactors, inputs: [bool; 2]) -> String {
    let Some(target_hz) = target_hz else { return "left alone: no neuron or no recorded rate".to_owned() };
    let error = log_error(rate_hz, target_hz);
    if error.abs() <= MISSED {
        return String::new();
    }
    let at_end = |factor: f64, limit: f64| (factor / limit).ln().abs() < 1e-6;
    let [least, most] = BACKGROUND_LIMITS;
    match (inputs, rate_hz) {
        ([false, false], _) => "no input to calibrate".to_owned(),
        (_, 0.0) if at_end(factors.background, most) => "silent at the largest weights".to_owned(),
        _ if error < 0.0 && at_end(factors.background, most) => "too slow at the largest weights".to_owned(),
        _ if error > 0.0 && at_end(factors.background, least) => "too fast at the least weights".to_owned(),
        (_, 0.0) => "silent".to_owned(),
        _ if error < 0.0 => "too slow".to_owned(),
        _ => "too fast".to_owned(),
    }
}

/// How the table was made.
fn notes(plan: &Plan, options: &CalibrationOptions, tables: &Tables, search: &Search) -> Vec<String> {
    let scene = plan.scene_file.file_name().unwrap_or_default().to_string_lossy();
    let begun = match &options.from {
        Some(from) => format!(" --from {}", from.file_name().unwrap_or_default().to_string_lossy()),
        None => String::new(),
    };
    let revision = option_env!("SIMRUN_GIT_REVISION").unwrap_or("unknown");
    let mut notes = vec![
        format!(
            "simrun {} (revision {revision}): simrun calibrate {scene}{begun} --background-part {} --rounds {} --trials {}",
            env!("CARGO_PKG_VERSION"),
            options.background_part,
            options.n_rounds,
            options.n_trials
        ),
        format!("{OF_TABLES}{}", tables.digest()),
        format!("{OF_NETWORK_TABLES}{}", tables.network_digest()),
        format!("sha256 of the network {}", search.grey.network().rows.digest()),
    ];
    notes.extend(search.notes.iter().cloned());
    notes
}

/// What was reached, as text.
fn outcome(calibration: &Calibration, options: &CalibrationOptions) -> String {
    let missed: Vec<&CalibratedModel> = calibration.models.iter().filter(|m| !m.remark.is_empty()).collect();
    let n = calibration.models.len();
    let mut text = format!(
        "{}: {} of {n} cell models within a factor of 1.5 of their target\n",
        options.out.display(),
        n - missed.len()
    );
    for m in missed {
        let target = m.target_hz.map_or(String::new(), |hz| format!(" {:.2} Hz for {hz:.2},", m.rate_hz));
        let _ = writeln!(
            text,
            "  {} ({}, {} neurons):{target} {}; LGN x {:.2}, background x {:.2}",
            m.model_id, m.cell_type, m.n_neurons, m.remark, m.factors.lgn, m.factors.background
        );
    }
    text
}

//! `simrun cell` and `simrun pair`: virtual recordings of one published cell model.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::slice;

use serde_json::json;
use simrun::gpu::Gpu;
use simrun::model::membrane::CellMode;
use simrun::model::psp::holding_potential_mv;
use simrun::model::recording::{CurrentRecording, Synapse, record_current, record_pair, step_current};
use simrun::network::tables::Tables;
use simrun::network::{CLASSES, CellModel};
use simrun::patch::{CurrentStep, Rig, current_steps, paired_recordings};
use simrun::scene::{CellsScene, ModeScene, PortsScene};
use simrun::{Error, Result, setup};

use super::{print, print_json};

/// Longest recording, time steps.
const MAX_STEPS: f64 = 1e7;
/// Longest recording on the device, time steps.
const MAX_DEVICE_STEPS: f64 = 1e5;
/// Length of a paired recording, ms: the slowest of the cells peaks before 30 ms.
const PAIR_DURATION_MS: f64 = 100.0;

/// Which cell, and how it is modelled.
#[derive(clap::Args)]
pub(super) struct CellChoice {
    /// Membrane model
    #[arg(long, value_enum, default_value_t = Mode::TwoCompartment)]
    mode: Mode,
    /// Share of the membrane on the dendrite (two-compartment) [default: 0.5]
    #[arg(long)]
    dendrite_fraction: Option<f64>,
    /// Coupling conductance in leak conductances (two-compartment) [default: 2]
    #[arg(long)]
    coupling_ratio: Option<f64>,
    /// Time step, ms
    #[arg(long)]
    dt_ms: f64,
    /// Folder of the tables
    #[arg(long, default_value_os_t = simrun::shipped::tables())]
    tables: PathBuf,
    /// Runs the kernels that networks run on, in f32 on the graphics adapter, instead of the same equations in f64
    #[arg(long)]
    device: bool,
    /// Writes the potentials as CSV
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Mode {
    Point,
    TwoCompartment,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  simrun cell 475585413 --current-pa 200 --start-ms 100 --stop-ms 300 --duration-ms 400 --dt-ms 0.25 --trace v.csv")]
pub(super) struct CellArguments {
    /// Published cell id (node_type_id)
    model: u64,
    /// Injected current, pA
    #[arg(long, allow_negative_numbers = true)]
    current_pa: f64,
    /// Time from which the current acts, ms
    #[arg(long)]
    start_ms: f64,
    /// Time until which it acts, ms
    #[arg(long)]
    stop_ms: f64,
    /// Length of the recording, ms
    #[arg(long)]
    duration_ms: f64,
    #[command(flatten)]
    cell: CellChoice,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  simrun pair pv 475585413 --dt-ms 0.1 --weight 2 --json")]
pub(super) struct PairArguments {
    /// Synaptic class of the source
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(CLASSES))]
    source_class: String,
    /// Published id of the target cell (node_type_id)
    model: u64,
    /// Weight: peak conductance, nS (point mode: peak current, pA)
    #[arg(long, default_value_t = 1.0)]
    weight: f64,
    /// Holding potential of the target, mV [default: rest for excitation, -55 for inhibition]
    #[arg(long, allow_negative_numbers = true)]
    hold_mv: Option<f64>,
    /// Reversal potential of excitation, mV (two-compartment) [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    e_exc_mv: Option<f64>,
    /// Reversal potential of inhibition, mV (two-compartment) [default: -75]
    #[arg(long, allow_negative_numbers = true)]
    e_inh_mv: Option<f64>,
    #[command(flatten)]
    cell: CellChoice,
}

fn within(flag: &str, value: f64, low: f64, high: f64, unit: &str) -> Result<()> {
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Error::field("command line", flag, value, format!("must be from {low} to {high} {unit}")))
}

impl CellChoice {
    fn mode(&self) -> Result<CellMode> {
        Ok(self.scene(0.0, 0.0)?.membrane())
    }

    /// As a scene would name it.
    fn scene(&self, e_exc_mv: f64, e_inh_mv: f64) -> Result<ModeScene> {
        within("--dt-ms", self.dt_ms, 0.001, 1.0, "ms")?;
        let fraction = self.dendrite_fraction;
        let dendrite_fraction =
            self.of_two_compartments("--dendrite-fraction", fraction, 0.5, [0.01, 0.99], "of the membrane")?;
        let ratio = self.coupling_ratio;
        let coupling_ratio =
            self.of_two_compartments("--coupling-ratio", ratio, 2.0, [0.01, 1000.0], "leak conductances")?;
        Ok(match self.mode {
            Mode::Point => ModeScene::Point,
            Mode::TwoCompartment => {
                ModeScene::TwoCompartment { dendrite_fraction, coupling_ratio, e_exc_mv, e_inh_mv }
            }
        })
    }

    /// What the user gave, or `default`; refused where there are no two compartments that it could be of.
    fn of_two_compartments(
        &self,
        flag: &str,
        given: Option<f64>,
        default: f64,
        [low, high]: [f64; 2],
        unit: &str,
    ) -> Result<f64> {
        if let (Mode::Point, Some(value)) = (self.mode, given) {
            return Err(Error::field("command line", flag, value, "does nothing with --mode point"));
        }
        let value = given.unwrap_or(default);
        within(flag, value, low, high, unit).map(|()| value)
    }

    /// The cell's dynamics with the measured kinetics as they are.
    fn rig(&self, tables: &Tables, e_exc_mv: f64, e_inh_mv: f64) -> Result<Rig> {
        let mode = self.scene(e_exc_mv, e_inh_mv)?;
        let ports = setup::ports(&CellsScene { mode, ports: PortsScene::Exact }, tables);
        Ok(Rig { mode: self.mode()?, ports, dt_ms: self.dt_ms })
    }

    fn n_steps(&self, duration_ms: f64) -> Result<usize> {
        within(
            "--duration-ms",
            duration_ms,
            self.dt_ms,
            MAX_STEPS * self.dt_ms,
            "ms (1 to 10 million steps)",
        )?;
        Ok((duration_ms / self.dt_ms).round() as usize)
    }
}

fn cell_model(tables: &Tables, id: u64) -> Result<CellModel> {
    let ix = tables.cell_ix(id).ok_or_else(|| {
        let limit = format!("is no cell of {}", tables.folder.join("cells.csv").display());
        Error::field("command line", "MODEL", id, limit)
    })?;
    Ok(tables.cells[ix].model.clone())
}

/// Records a cell under a current step.
pub(super) fn cell(arguments: &CellArguments) -> Result<()> {
    let choice = &arguments.cell;
    let mode = choice.mode()?;
    let n_steps = choice.n_steps(arguments.duration_ms)?;
    within("--current-pa", arguments.current_pa, -1e5, 1e5, "pA")?;
    within("--start-ms", arguments.start_ms, 0.0, arguments.duration_ms, "ms (the duration)")?;
    within(
        "--stop-ms",
        arguments.stop_ms,
        arguments.start_ms,
        arguments.duration_ms,
        "ms (start to duration)",
    )?;
    let tables = Tables::read(&choice.tables)?;
    let cell = cell_model(&tables, arguments.model)?;
    let dt_ms = choice.dt_ms;
    let recording = if choice.device {
        record_current_on_device(arguments, &tables, &cell)?
    } else {
        let current = step_current(arguments.current_pa, arguments.start_ms, arguments.stop_ms, dt_ms);
        record_current(&cell, mode, dt_ms, n_steps, current)
    };
    if let Some(file) = &choice.trace {
        write_trace(
            file,
            ["time_ms", "soma_mv", "dendrite_mv"],
            dt_ms,
            &recording.v_s_mv,
            &recording.v_d_mv,
        )?;
    }
    if choice.json {
        let spikes_ms: Vec<f64> = recording.spikes_ms.iter().map(|t| rounded(*t)).collect();
        return print_json(&json!({ "model": cell.id, "spikes_ms": spikes_ms }));
    }
    let times: String = recording.spikes_ms.iter().map(|t| format!("{}\n", rounded(*t))).collect();
    print(&times)
}

/// Records the response of a cell to one synapse.
pub(super) fn pair(arguments: &PairArguments) -> Result<()> {
    let choice = &arguments.cell;
    let mode = choice.mode()?;
    let n_steps = choice.n_steps(PAIR_DURATION_MS)?;
    within("--weight", arguments.weight, 0.0, 1e6, "nS (pA in point mode)")?;
    let e_exc_mv = choice.of_two_compartments("--e-exc-mv", arguments.e_exc_mv, 0.0, [-40.0, 100.0], "mV")?;
    let e_inh_mv =
        choice.of_two_compartments("--e-inh-mv", arguments.e_inh_mv, -75.0, [-120.0, -60.0], "mV")?;
    let tables = Tables::read(&choice.tables)?;
    let cell = cell_model(&tables, arguments.model)?;
    let class_ix = CLASSES.iter().position(|c| *c == arguments.source_class).unwrap_or_default();
    let hold_mv = arguments.hold_mv.or(holding_potential_mv(class_ix));
    if let Some(hold_mv) = hold_mv {
        within("--hold-mv", hold_mv, -120.0, 0.0, "mV")?;
    }
    let synapse = Synapse { class_ix, weight: arguments.weight, hold_mv };
    let rig = choice.rig(&tables, e_exc_mv, e_inh_mv)?;
    let recording = if choice.device {
        let recordings = paired_recordings(
            &Gpu::open_tested(None)?,
            &rig,
            slice::from_ref(&cell),
            synapse,
            PAIR_DURATION_MS,
        )?;
        recordings.into_iter().next().ok_or_else(|| Error::Failed("no cell was recorded".to_owned()))?
    } else {
        record_pair(&cell, mode, &rig.ports, synapse, choice.dt_ms, n_steps)
    };
    if let Some(file) = &choice.trace {
        let columns = ["time_ms", "soma_deflection_mv", "dendrite_deflection_mv"];
        write_trace(file, columns, choice.dt_ms, &recording.soma_mv, &recording.dendrite_mv)?;
    }
    let hold = hold_mv.unwrap_or(cell.e_l_mv);
    if choice.json {
        let found = json!({
            "source_class": arguments.source_class, "model": cell.id, "weight": arguments.weight, "hold_mv": hold,
            "peak_mv": recording.peak_mv, "time_to_peak_ms": recording.time_to_peak_ms,
        });
        return print_json(&found);
    }
    print(&format!(
        "peak {:.6} mV after {:.3} ms (held at {hold:.2} mV)\n",
        recording.peak_mv, recording.time_to_peak_ms
    ))
}

/// The current step of `simrun cell` on the graphics adapter.
fn record_current_on_device(
    arguments: &CellArguments,
    tables: &Tables,
    cell: &CellModel,
) -> Result<CurrentRecording> {
    let (dt_ms, start_ms, stop_ms) = (arguments.cell.dt_ms, arguments.start_ms, arguments.stop_ms);
    let step = CurrentStep { start_ms, stop_ms, duration_ms: arguments.duration_ms };
    within("--duration-ms", step.duration_ms, dt_ms, MAX_DEVICE_STEPS * dt_ms, "ms (100000 steps)")?;
    // No synapse is used: their reversal potentials do not matter.
    let rig = arguments.cell.rig(tables, 0.0, -75.0)?;
    let gpu = Gpu::open_tested(None)?;
    let recordings = current_steps(&gpu, &rig, slice::from_ref(cell), &step, &[arguments.current_pa as f32])?;
    recordings.into_iter().next().ok_or_else(|| Error::Failed("no cell was recorded".to_owned()))
}

fn write_trace(file: &Path, columns: [&str; 3], dt_ms: f64, soma: &[f64], dendrite: &[f64]) -> Result<()> {
    let write = || {
        let mut out = BufWriter::new(fs::File::create(file)?);
        writeln!(out, "{}", columns.join(","))?;
        for (step, (soma, dendrite)) in soma.iter().zip(dendrite).enumerate() {
            writeln!(out, "{},{soma},{dendrite}", rounded(step as f64 * dt_ms))?;
        }
        out.flush()
    };
    write().map_err(Error::io(file))
}

/// A time without the last bits of a product of decimals.
fn rounded(t_ms: f64) -> f64 {
    (t_ms * 1e9).round() / 1e9
}

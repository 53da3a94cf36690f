//! Training steps of a scene, and the time of each kernel in their last segment beside what bounds it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::gpu::Gpu;
use crate::output::say;
use crate::plan::Plan;
use crate::setup;
use crate::sim::KernelTime;
use crate::sim::layout::Layout;
use crate::train::Session;

use super::Report;
use super::ceilings::Ceilings;
use crate::error::{Error, Result};

/// Training steps of a scene; the first compiles.
const N_STEPS: u32 = 3;
/// Most turns of a profile, and after how many seconds no further one starts.
const N_TURNS: usize = 10;
const PROFILE_SECONDS: f64 = 30.0;

/// Head of the rows that [`measure`] writes.
pub(super) const STEPS_HEAD: &str = "\
| scene | neurons | edges, M | trials x steps | on the tape | device memory, MiB | network, s | training step | stimulus, ms | settling, ms | \
forward, ms | adjoint, ms | pairs, ms | update, ms | all, ms |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// One kernel of one scene.
pub(super) struct Measured {
    scene: String,
    time: KernelTime,
    /// Every measurement.
    ms: Vec<f64>,
    /// Steps, or updates, of one.
    n_steps: usize,
    work: Work,
}

/// What all dispatches of a kernel have to do at least.
#[derive(Default)]
struct Work {
    /// Every word that it reads or writes, once, in the order of memory.
    bytes: u64,
    /// Records read at random, and their size.
    n_records: u64,
    record_bytes: usize,
    /// Atomic sums at random.
    n_sums: u64,
}

/// Takes training steps of a scene, then times the last segment of the last. A scene that the adapter is too small for gets a row that says
/// so.
///
/// # Errors
/// Bad input; a failed step.
pub(super) fn measure(gpu: &Arc<Gpu>, report: &Report, scene: &str) -> Result<Vec<Measured>> {
    let mut words = scene.split('@');
    let file = words.next().unwrap_or_default();
    let settings: Vec<String> = words.map(ToOwned::to_owned).collect();
    let plan = Plan::read(Path::new(file), &settings)?;
    if report.seconds_left() <= 0.0 {
        report.say(&format!("| {scene} | no time left | | | | | | | | | | | | | |"))?;
        return Ok(Vec::new());
    }
    let started = Instant::now();
    let tables = setup::tables(&plan)?;
    let built = setup::build(&plan, &tables, &mut |text| say(text))?;
    let (n_neurons, n_edges) = (built.network.neurons.len(), built.network.rows.n_edges());
    let mut session = match Session::new(&plan, gpu, &tables, built) {
        Ok(session) => session,
        Err(error @ (Error::AdapterTooSmall { .. } | Error::NoMemory { .. })) => {
            report.say(&format!("| {scene} | {n_neurons} | {error} | | | | | | | | | | | | |"))?;
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let network_s = started.elapsed().as_secs_f64();
    let n_taped = session.steps_between_checkpoints().min(plan.n_steps as usize);
    for step in 1..=N_STEPS {
        let ms = session.step(step)?.ms;
        report.say(&format!(
            "| {scene} | {n_neurons} | {:.1} | {} x {} | {n_taped} | {} | {network_s:.1} | {step} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            n_edges as f64 * 1e-6,
            plan.n_trials,
            plan.n_steps,
            gpu.allocated_bytes() >> 20,
            ms.stimulus,
            ms.settling,
            ms.forward,
            ms.adjoint,
            ms.pairs,
            ms.update,
            ms.total(),
        ))?;
        if report.seconds_left() <= 0.0 {
            break;
        }
    }
    profile(&mut session, report, scene, [n_taped, plan.n_steps as usize])
}

fn profile(
    session: &mut Session,
    report: &Report,
    scene: &str,
    [n_taped, n_steps]: [usize; 2],
) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = Vec::new();
    let started = Instant::now();
    for turn in 0..N_TURNS {
        let over = started.elapsed().as_secs_f64() > PROFILE_SECONDS || report.seconds_left() <= 0.0;
        if turn > 0 && over {
            break;
        }
        for time in session.profile()? {
            match measured.iter_mut().find(|m| m.time.name == time.name) {
                Some(known) => known.ms.push(time.ms),
                None => measured.push(Measured {
                    scene: scene.to_owned(),
                    work: work(session.layout(), &time, n_steps),
                    ms: vec![time.ms],
                    n_steps: if is_of_a_step(time.name) { n_taped } else { 1 },
                    time,
                }),
            }
        }
    }
    Ok(measured)
}

/// Whether a kernel runs in every time step; the others run once a batch or update.
fn is_of_a_step(name: &str) -> bool {
    !matches!(name, "draw sources" | "gradient sums" | "update weights")
}

fn work(layout: &Layout, time: &KernelTime, n_steps: usize) -> Work {
    let plane = layout.plane_words() as u64;
    // Potential, after-spike currents, refractory counter, what the membrane has besides, and ports.
    let state = 4 + layout.membrane.state_planes.len() as u64 + 2 * layout.n_ports as u64;
    let n = time.n_dispatches as u64;
    let n_units = (layout.n_lgn + layout.n_background) as u64;
    let tape = n * layout.tape_words() as u64;
    let words = |words: u64| Work { bytes: 4 * words, ..Work::default() };
    match time.name {
        // State read and written; arrivals; tape.
        "neuron" => words(n * plane * (2 * state + layout.n_classes as u64) + tape),
        // The state's adjoint without the counter read and written; records of adj_arrivals written; tape; seeds and what was gathered.
        "neuron adjoint" => {
            let records = (layout.n_classes * layout.records_words()) as u64;
            words(n * (plane * (2 * (state - 1) + 2) + records) + tape)
        }
        // Two taps of a unit's filter in each step, and its mask.
        "draw sources" => words(3 * n_steps as u64 * n_units),
        // Masks, from the draw to the step.
        "sources" => words(2 * n * n_units),
        // Target and weight of an edge; a sum an event.
        "spread" => Work { n_sums: time.n_events, ..words(2 * time.n_edges) },
        // Target and weight of an edge; the record of its target.
        "gather" => {
            let record_bytes = 16 * layout.record_vec4s();
            Work { n_records: time.n_edges, record_bytes, ..words(2 * time.n_edges) }
        }
        // Target, gradient read and written; of the record at least a part.
        "weight gradient" => Work { n_records: time.n_edges, record_bytes: 32, ..words(3 * time.n_edges) },
        // Target, weight, gradient.
        "gradient sums" => words(3 * time.n_edges),
        // Target and gradient read; weight and two moments read and written.
        "update weights" => words(8 * time.n_edges),
        _ => Work::default(),
    }
}

/// The least time that the adapter's ceilings leave, s, and the ceiling.
fn bound(kernel: &Measured, ceilings: &Ceilings) -> (f64, &'static str) {
    let work = &kernel.work;
    let records = work.n_records as f64 / ceilings.records_per_s(work.record_bytes.max(32));
    let bounds = [
        (work.bytes as f64 / ceilings.triad_bytes_per_s, "memory"),
        (records, "records"),
        (work.n_sums as f64 / ceilings.atomics_per_s[0], "sums"),
        (kernel.time.n_dispatches as f64 * ceilings.launch_s, "launch"),
    ];
    bounds.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
}

/// Every kernel of every scene beside its own bound.
pub(super) fn kernel_table(all: &[Measured], ceilings: &Ceilings) -> String {
    let mut text = "\n| scene | kernel | dispatches a step | ms a step, least | median over least | M edges/s | bound, ms | by | times its bound |\n\
                    |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for kernel in all {
        let mut ms = kernel.ms.clone();
        ms.sort_by(f64::total_cmp);
        let (least, median) = (ms[0], ms[ms.len() / 2]);
        let n = kernel.n_steps as f64;
        let edges = kernel.time.n_edges as f64 / (least * 1e-3) * 1e-6;
        let edges = if edges > 0.0 { format!("{edges:.0}") } else { String::new() };
        let (bound_s, by) = bound(kernel, ceilings);
        let bound_ms = bound_s * 1e3;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.4} | {:.2} | {edges} | {:.4} | {by} | {:.1} |",
            kernel.scene,
            kernel.time.name,
            kernel.time.n_dispatches as f64 / n,
            least / n,
            median / least,
            bound_ms / n,
            least / bound_ms,
        );
    }
    text
}

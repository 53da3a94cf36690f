//! What a run would do and what it takes on the device, without a training step.

use std::fmt::Write as _;

use super::{Prepared, prepare};
use crate::error::Result;
use crate::output::Progress;
use crate::plan::Plan;
use crate::ranks::Ranks;

/// Puts a plan on the device and says what is there: every figure is that of the run itself. A memory budget that is
/// exceeded is shown, not refused. Of several ranks each finds what it takes itself.
pub fn dry_run(plan: &Plan, ranks: &Ranks, adapter: Option<&str>, quiet: bool) -> Result<String> {
    let Prepared { gpu, session, size, .. } =
        prepare(plan, ranks, adapter, &Progress::of_rank(ranks.is_first(), quiet))?;
    let scene = &plan.scene;
    let [recurrent, lgn, background] = size.n_edges;
    let adapter = gpu.adapter();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut text = format!(
        "scene {}\n\
         neurons {}, LGN units {}, background units {}\n\
         edges {recurrent} recurrent, {lgn} LGN, {background} background\n\
         trials {} evoked, {} spontaneous, {} steps of {} ms, state kept every {} steps\n\
         training steps {}\n\
         adapter {} ({}, {}): bindings up to {:.0} MiB, buffers up to {:.0} MiB\n\n\
         {:<28} {:>8} {:>12} {:>12}\n",
        plan.scene_file.display(),
        size.n_neurons,
        size.n_lgn,
        size.n_background,
        scene.trials.n_evoked,
        scene.trials.n_spontaneous,
        plan.n_steps,
        scene.time.dt_ms,
        session.steps_between_checkpoints(),
        scene.optimiser.training_steps,
        adapter.name,
        adapter.kind,
        adapter.driver,
        mib(adapter.max_binding_bytes),
        mib(adapter.max_buffer_bytes),
        "buffers",
        "number",
        "largest, MiB",
        "total, MiB",
    );
    for (label, group) in gpu.buffer_groups() {
        let (largest, total) = (mib(group.largest_bytes), mib(group.bytes));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<28} {:>8} {largest:>12.2} {total:>12.2}", group.n_buffers);
    }
    let (total, budget) = (mib(gpu.allocated_bytes()), scene.checkpoint.memory_budget_mib);
    let verdict = if total > f64::from(budget) { ": TOO MUCH" } else { "" };
    let _ = writeln!(text, "{:<28} {:>8} {:>12} {total:>12.2}", "all", "", "");
    let _ = writeln!(text, "of checkpoint.memory_budget_mib {budget} MiB{verdict}");
    Ok(text)
}

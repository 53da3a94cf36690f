//! Which rank has which adapter and which trials, and what must hold between ranks before the first step.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::output::{Progress, RankRecord};
use crate::plan::{MAX_TRIALS, Plan};
use crate::ranks::{Ranks, digest};

/// Opens the adapter of this rank, and says what each has of `n_trials` trials where there are several.
///
/// # Errors
/// On all ranks: more ranks than trials, more trials than a rank takes, other scenes, a rank without an adapter or with one of another
/// kind, which would round its updates differently.
pub(crate) fn open_adapters(
    plan: &Plan,
    n_trials: usize,
    ranks: &Ranks,
    adapter: Option<&str>,
    progress: &Progress,
) -> Result<(Arc<Gpu>, Vec<RankRecord>)> {
    ranks.agree(refuse_shares(plan, n_trials, ranks))?;
    ranks.hold_alike("the scene", &digest(format!("{:?}", plan.scene).as_bytes()), 2)?;
    let gpu = ranks.agree(Gpu::open_tested_in_turn(adapter, ranks.local_rank()))?;
    let own = gpu.adapter();
    ranks.hold_alike("the adapter", &format!("{} ({}, {})", own.name, own.backend, own.driver), 2)?;
    if ranks.n() == 1 {
        return Ok((gpu, Vec::new()));
    }
    let record = |(rank, host): (usize, String)| {
        let trials = ranks.share_of(rank, n_trials);
        RankRecord {
            host,
            adapter: own.name.clone(),
            first_trial: trials.start as u32,
            n_trials: trials.len() as u32,
        }
    };
    let records: Vec<RankRecord> =
        ranks.gather_texts(ranks.host()).into_iter().enumerate().map(record).collect();
    progress.say(&line(&records));
    Ok((gpu, records))
}

/// What each rank has, in a line.
fn line(records: &[RankRecord]) -> String {
    let of = |(rank, record): (usize, &RankRecord)| {
        let RankRecord { host, adapter, first_trial, n_trials } = record;
        format!("{rank} on {host}, {adapter}, trials {first_trial} to {}", first_trial + n_trials - 1)
    };
    let all: Vec<String> = records.iter().enumerate().map(of).collect();
    format!("{} ranks: {}", records.len(), all.join("; "))
}

fn refuse_shares(plan: &Plan, n_trials: usize, ranks: &Ranks) -> Result<()> {
    let n_ranks = ranks.n();
    if n_ranks > n_trials {
        let limit = format!("must be at most the {n_trials} trials of a batch: each rank needs one");
        return Err(Error::field("command line", "number of ranks", n_ranks, limit));
    }
    if ranks.share_of(0, n_trials).len() > MAX_TRIALS as usize {
        let trials = &plan.scene.trials;
        let batch = format!("{} + {}", trials.n_evoked, trials.n_spontaneous);
        let limit = format!(
            "a rank takes at most {MAX_TRIALS} trials: {n_trials} need {} ranks, there are {n_ranks} (docs/cluster.md)",
            n_trials.div_ceil(MAX_TRIALS as usize)
        );
        return Err(Error::field(&plan.scene_file, "trials.n_evoked + trials.n_spontaneous", batch, limit));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_process_takes_32_trials_or_one_of_any_batch() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/smoke.ron");
        let plan = Plan::read(&file, &[]).unwrap();
        let refused = refuse_shares(&plan, 40, &Ranks::default()).unwrap_err().to_string();
        assert!(refused.contains("40 need 2 ranks, there are 1"), "{refused}");
        refuse_shares(&plan, 40, &Ranks::of_trial(39)).unwrap();
    }
}

//! Ending a run from outside: Ctrl-C, and the signals of batch systems, shutdowns and closing terminals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use simrun::output::say;
use simrun::ranks::Ranks;
use simrun::{Error, Result};

/// How soon the user hears that a signal has arrived.
const HEARD_WITHIN: Duration = Duration::from_millis(50);
/// Exit code of a run that was ended at once.
const EXIT_CODE: i32 = 1;

/// A flag that SIGINT (Ctrl-C), SIGTERM and SIGHUP raise: the run then ends after the step in hand, with a checkpoint. Ctrl-C after any
/// of them ends the process at once; the others may come several times, as a closing terminal sends them. The first rank says so.
pub(super) fn on_signals(ranks: &Ranks) -> Result<Arc<AtomicBool>> {
    let failed = |e: std::io::Error| Error::Failed(format!("signals cannot be handled: {e}"));
    let stop = Arc::new(AtomicBool::new(false));
    // Before the flag, so that the first Ctrl-C finds it down. This ends the process without running what the driver registered for its
    // exit, which crashes while another thread is inside the driver.
    flag::register_conditional_shutdown(SIGINT, EXIT_CODE, Arc::clone(&stop)).map_err(failed)?;
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup()) {
        flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    if !ranks.is_first() {
        return Ok(stop);
    }
    let raised = Arc::clone(&stop);
    thread::spawn(move || {
        while !raised.load(Ordering::Relaxed) {
            thread::sleep(HEARD_WITHIN);
        }
        say("stopping after the step in hand; Ctrl-C stops at once");
    });
    Ok(stop)
}

/// SIGHUP, unless the process was started to outlive its terminal (`nohup`). Only Linux tells without unsafe code what is ignored;
/// elsewhere such a run ends at a hangup too, with its checkpoint.
#[cfg(unix)]
fn hangup() -> Option<i32> {
    use signal_hook::consts::SIGHUP;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (ignored >> (SIGHUP - 1) & 1 == 0).then_some(SIGHUP)
}

#[cfg(not(unix))]
fn hangup() -> Option<i32> {
    None
}

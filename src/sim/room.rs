//! Whether an adapter has room for a network, asked before its synapses are drawn, which takes minutes where it is large; and how many
//! trials it has room for at once.

use super::Settings;
use super::layout::{DRAW_TRIALS, Layout};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::model::Dynamics;
use crate::network::Network;

/// How many of `n_trials` trials of a network run side by side: all, or else the most of which the adapter can bind every buffer, a
/// multiple of [`DRAW_TRIALS`]. Of `network` its neurons and vocabulary are looked at, not its synapses.
///
/// # Errors
/// [`crate::Error::AdapterTooSmall`] names the first buffer that does not fit even with the fewest trials.
pub fn check_room(gpu: &Gpu, network: &Network, dynamics: &Dynamics, n_trials: usize) -> Result<usize> {
    trials_at_once(gpu, network, dynamics, &Settings::new(1, n_trials))
}

/// The same for what a simulation is told.
pub(super) fn trials_at_once(
    gpu: &Gpu,
    network: &Network,
    dynamics: &Dynamics,
    settings: &Settings,
) -> Result<usize> {
    let refusal = |n: usize| fits(gpu, &layout_of(network, dynamics, settings, n), settings.n_steps).err();
    let mut n = settings.trials_at_once.next_multiple_of(DRAW_TRIALS).clamp(1, settings.n_trials);
    while let Some(error) = refusal(n) {
        if n <= DRAW_TRIALS {
            return Err(error);
        }
        n = (n - 1) / DRAW_TRIALS * DRAW_TRIALS;
    }
    Ok(n)
}

/// The layout of so many trials.
pub(super) fn layout_of(
    network: &Network,
    dynamics: &Dynamics,
    settings: &Settings,
    n_trials: usize,
) -> Layout {
    let n_groups = 32 - settings.groups.iter().fold(0, |all, mask| all | mask).leading_zeros() as usize;
    let mut layout =
        Layout::new(network, dynamics, n_trials, settings.current.is_some()).with_groups(n_groups);
    if settings.potential_seeds {
        layout = layout.with_potential_seeds();
    }
    layout.with_packed_records(settings.of_batch.n_all)
}

fn fits(gpu: &Gpu, layout: &Layout, n_steps: usize) -> Result<()> {
    let buffers = [
        ("state", layout.state_words()),
        ("arrivals ring", layout.ring_words()),
        ("adjoint state", layout.adjoint_words()),
        ("adjoint arrivals ring", layout.adj_ring_words()),
        ("tape", layout.tape_words()),
        ("seeds", layout.seeds_words(n_steps)),
    ];
    buffers.into_iter().try_for_each(|(label, n_words)| Buffer::check_size(gpu, label, n_words).map(|_| ()))
}

//! Whether an adapter has room for a network, asked before its synapses are drawn, which takes minutes where it is large.

use super::Threads;
use super::layout::Layout;
use super::rows::Grid;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::model::Dynamics;
use crate::network::Network;

/// Refuses a network whose state the adapter cannot bind. Of `network` its neurons and vocabulary are looked at, not its synapses.
///
/// # Errors
/// [`crate::Error::AdapterTooSmall`] names the first buffer that does not fit.
pub fn check_room(gpu: &Gpu, network: &Network, dynamics: &Dynamics, n_trials: usize) -> Result<()> {
    let mut layout = Layout::new(network, dynamics, n_trials, false);
    if Grid::new(gpu, Threads::ByAdapter) == Grid::Many {
        layout = layout.with_packed_records();
    }
    let buffers = [
        ("state", layout.state_words()),
        ("arrivals ring", layout.ring_words()),
        ("adjoint state", layout.adjoint_words()),
        ("adjoint arrivals ring", layout.adj_ring_words()),
        ("tape", layout.tape_words()),
    ];
    buffers.into_iter().try_for_each(|(label, n_words)| Buffer::check_size(gpu, label, n_words).map(|_| ()))
}

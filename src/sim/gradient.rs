//! The gradients of the weights, to be added up with those of other simulations.

use super::Simulation;
use crate::error::Result;

/// Words that lie on the host at once.
const BLOCK_WORDS: usize = 1 << 24;

impl Simulation {
    /// Replaces the gradients of all learned weights by what `f` makes of them, block by block in the order of the edges. `f` gets what
    /// could not be read as well.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map_weight_gradient(
        &mut self,
        mut f: impl FnMut(Result<Vec<f32>>) -> Result<Vec<f32>>,
    ) -> Result<()> {
        for (rows, grad) in self.device.edges.learned() {
            for first in (0..rows.n_edges).step_by(BLOCK_WORDS) {
                let block = grad.read(first, BLOCK_WORDS.min(rows.n_edges - first));
                grad.write(first, &f(block)?);
            }
        }
        Ok(())
    }
}

//! A start that an earlier pass has settled: the state that some time under another stimulus leaves.

use super::Simulation;
use crate::error::{Error, Result};
use crate::gpu::Buffer;

impl Simulation {
    /// Makes room for a settled start ([`Simulation::settle`]).
    ///
    /// # Errors
    /// [`Error::AdapterTooSmall`] where a state does not fit.
    pub fn reserve_settled(&mut self) -> Result<()> {
        self.device.settled = Some(Buffer::storage(&self.gpu, "settled state", self.layout.state_words())?);
        Ok(())
    }

    /// Runs the first `n_steps` steps of a batch from rest under the stimulus that is set, and keeps the state that they leave as
    /// the start of the passes to come, until it is settled anew. Kept is the state of the neurons (E11 of MODEL.md); spikes on their way are
    /// dropped. `seed` and `presentation` are those of [`Simulation::forward`].
    ///
    /// # Errors
    /// [`Error::Failed`] without [`Simulation::reserve_settled`] or for more steps than a batch has; those of a forward pass.
    pub fn settle(&mut self, seed: u64, presentation: u32, n_steps: usize) -> Result<()> {
        if self.device.settled.is_none() || n_steps > self.settings.n_steps {
            return Err(Error::Failed(format!("this simulation cannot settle for {n_steps} time steps")));
        }
        self.begin(seed, presentation)?;
        self.rest_state();
        self.segment_on_tape = None;
        for segment in 0..self.n_segments() {
            let steps = self.segment_steps(segment);
            if steps.start >= n_steps {
                break;
            }
            self.run_steps(steps.start..steps.end.min(n_steps), false)?;
        }
        self.check_status()?;
        if let (Some(settled), Some(counts)) = (&self.device.settled, self.layout.state_plane("COUNT")) {
            let mut commands = self.gpu.commands("settled state");
            commands.copy(settled, 0, &self.device.state, 0, self.layout.state_words());
            commands.submit()?;
            // What was counted on the way is none of the trials'.
            settled.write(counts, &vec![0.0_f32; self.layout.plane_words()]);
        }
        Ok(())
    }
}

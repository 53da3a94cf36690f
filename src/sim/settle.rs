//! A start that earlier passes have settled: the state that some time under another stimulus leaves.

use super::Simulation;
use super::forward::Draws;
use crate::error::{Error, Result};
use crate::gpu::Buffer;

impl Simulation {
    /// Makes room for a settled start ([`Simulation::settle`]).
    ///
    /// # Errors
    /// [`Error::AdapterTooSmall`] where a state does not fit.
    pub fn reserve_settled(&mut self) -> Result<()> {
        self.each(|share| {
            let n_words = share.layout.state_words();
            share.device.settled = Some(Buffer::storage(&share.gpu, "settled state", n_words)?);
            Ok(())
        })?;
        Ok(())
    }

    /// Runs `n_steps` steps from rest under the stimulus that is set, and keeps the state that they leave as the start of the passes to come,
    /// until it is settled anew. Kept is the state of the neurons (E11 of docs/model.md); spikes on their way are dropped, here and after every
    /// batch's length of steps. `seed` and `presentation` choose the spikes of LGN and background units, other ones for each presentation.
    ///
    /// # Errors
    /// [`Error::Failed`] without [`Simulation::reserve_settled`]; those of a forward pass.
    pub fn settle(&mut self, seed: u64, presentation: u32, n_steps: usize) -> Result<()> {
        self.each(|share| share.settle_own(seed, presentation, n_steps))?;
        Ok(())
    }

    /// The same for the share's own trials.
    fn settle_own(&mut self, seed: u64, presentation: u32, n_steps: usize) -> Result<()> {
        let (words, counts) = (self.layout.state_words(), self.layout.state_plane("COUNT"));
        let (Some(_), Some(counts)) = (&self.device.settled, counts) else {
            return Err(Error::Failed("this simulation has no room for a settled start".to_owned()));
        };
        self.segment_on_tape = None;
        let most_steps = self.settings.n_steps;
        let n_passes = n_steps.div_ceil(most_steps);
        for pass in 0..n_passes {
            let of_pass = (n_steps - pass * most_steps).min(most_steps);
            let presentation = presentation.wrapping_mul(n_passes as u32).wrapping_add(pass as u32);
            self.begin(Draws { seed, presentation, n_steps: of_pass })?;
            if pass == 0 {
                self.rest_state()
            } else {
                self.start_state()?
            }
            self.run_first(of_pass)?;
            if let Some(settled) = &self.device.settled {
                let mut commands = self.gpu.commands("settled state");
                commands.copy(settled, 0, &self.device.state, 0, words);
                commands.submit()?;
                // What was counted on the way is none of the trials'.
                settled.write(counts, &vec![0.0_f32; self.layout.plane_words()]);
            }
        }
        self.check_status()
    }

    /// Runs the first `n_steps` steps of a batch.
    fn run_first(&self, n_steps: usize) -> Result<()> {
        for segment in 0..self.n_segments() {
            let steps = self.segment_steps(segment);
            if steps.start < n_steps {
                self.run_steps(steps.start..steps.end.min(n_steps), false)?;
            }
        }
        Ok(())
    }
}

//! The tape: what the steps of a segment leave for the adjoint, and the states from which earlier segments run again.
//!
//! Segments are counted from the end of the trials, so that the steps which the forward pass tapes at once are as many as the
//! tape has room for. A step before them runs once more, in the adjoint pass. Only the first segment may be shorter; it starts
//! where the trials start, so it needs no checkpoint.

use std::ops::Range;
use std::sync::Arc;

use super::device::Device;
use super::layout::{Layout, UNIFORM_STRIDE};
use super::{Settings, Simulation};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu};

/// State at the start of a segment, and the spikes of the steps before it that are still on their way.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) state: Buffer,
    pub(super) spikes: Buffer,
}

/// What a tape takes on the device, by its length.
#[derive(Clone, Copy, Debug)]
struct TapeCost {
    n_steps: usize,
    /// The longest delay: a segment rebuilds its arrivals from the segment before it alone.
    shortest: usize,
    /// Of each step on the tape.
    step_bytes: u64,
    /// Of each segment but the first.
    checkpoint_bytes: u64,
    /// Of the spikes on their way, where there is more than one segment.
    history_bytes: u64,
}

impl TapeCost {
    fn new(layout: &Layout, n_steps: usize) -> Self {
        let n_history = layout.n_slots - 1;
        let bytes = |words: usize| 4 * words as u64;
        Self {
            n_steps,
            shortest: n_history.clamp(1, n_steps),
            step_bytes: bytes(layout.tape_words() + layout.spikes_words()),
            checkpoint_bytes: bytes(layout.state_words() + n_history * layout.spikes_words()),
            history_bytes: bytes(n_history * layout.spikes_words()),
        }
    }

    /// Of this and another share of the trials together.
    fn with(self, other: Self) -> Self {
        Self {
            step_bytes: self.step_bytes + other.step_bytes,
            checkpoint_bytes: self.checkpoint_bytes + other.checkpoint_bytes,
            history_bytes: self.history_bytes + other.history_bytes,
            ..self
        }
    }

    fn bytes(&self, length: usize) -> u64 {
        let n_checkpoints = (self.n_steps.div_ceil(length) - 1) as u64;
        let history = if n_checkpoints > 0 { self.history_bytes } else { 0 };
        length as u64 * self.step_bytes + n_checkpoints * self.checkpoint_bytes + history
    }

    /// The longest tape within `room_bytes`, or else the one that takes least.
    fn longest(&self, room_bytes: u64) -> usize {
        let lengths = self.shortest..=self.n_steps;
        let fits = lengths.clone().rev().find(|length| self.bytes(*length) <= room_bytes);
        fits.unwrap_or_else(|| lengths.min_by_key(|length| self.bytes(*length)).unwrap_or(self.n_steps))
    }
}

/// What [`Simulation::fit_tape`] arrived at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapeFit {
    /// Steps on the tape; those before them run twice in a training step.
    pub n_taped: usize,
    /// Steps of a trial.
    pub n_steps: usize,
    /// Size of the longest tape that the budget allowed, bytes, where the adapter had no room for it.
    pub refused_bytes: Option<u64>,
}

impl Device {
    /// Makes a tape of `length` steps in place of the one before: slots, checkpoints, and what is bound to them.
    pub(super) fn set_tape(
        &mut self,
        gpu: &Arc<Gpu>,
        layout: &Layout,
        settings: &Settings,
        length: usize,
    ) -> Result<()> {
        self.clear_tape();
        let n_segments = settings.n_steps.div_ceil(length);
        let n_history = layout.n_slots - 1;
        let n_uniforms = settings.n_steps + (n_segments - 1) * n_history;
        self.uniform = Buffer::uniform(gpu, "step uniforms", n_uniforms * UNIFORM_STRIDE)?;
        for _ in 1..n_segments {
            let state = Buffer::storage(gpu, "checkpoint state", layout.state_words())?;
            let spikes = Buffer::storage(gpu, "checkpoint spikes", n_history * layout.spikes_words())?;
            self.checkpoints.push(Checkpoint { state, spikes });
        }
        if n_segments > 1 {
            for _ in 0..n_history {
                let spikes = Buffer::storage(gpu, "spikes on their way", layout.spikes_words())?;
                let groups = self.bind_spreads(&spikes)?;
                self.history.push((spikes, groups));
            }
        }
        for _ in 0..length.min(settings.n_steps) {
            let slot = self.make_slot(gpu, layout)?;
            self.slots.push(slot);
        }
        if let Some(sources) = &mut self.sources {
            let slots = &self.slots;
            let slots_of =
                |segment| slots.iter().take(segment_steps(settings.n_steps, length, segment).len());
            let spikes = (0..n_segments).flat_map(slots_of).map(|slot| &slot.spikes);
            sources.bind_steps([&self.uniform, &self.tables], spikes)?;
        }
        Ok(())
    }

    /// Gives the tape's memory back.
    fn clear_tape(&mut self) {
        if let Some(sources) = &mut self.sources {
            sources.unbind_steps();
        }
        self.slots.clear();
        self.checkpoints.clear();
        self.history.clear();
    }
}

impl Simulation {
    /// Makes the tape as long as `budget_bytes` allow for all buffers of the device together, or as the adapter has room for; the
    /// shortest there is where they allow none. On a software adapter it also leaves the host a quarter of its free memory.
    /// Results do not depend on it.
    ///
    /// # Errors
    /// [`Error::NoMemory`] if the adapter has no room for the shortest tape; [`Error::Device`] what else the driver refused.
    pub fn fit_tape(&mut self, budget_bytes: u64) -> Result<TapeFit> {
        let n_steps = self.settings.n_steps;
        let cost = self.others.iter().fold(TapeCost::new(&self.layout, n_steps), |cost, other| {
            cost.with(TapeCost::new(&other.layout, n_steps))
        });
        self.each_mut(|share| {
            (share.has_run, share.segment_on_tape) = (false, None);
            share.device.clear_tape();
        });
        let free = self.gpu.free_bytes().map_or(u64::MAX, |bytes| bytes / 4 * 3);
        let others = self.gpu.allocated_bytes();
        let mut length = cost.longest(budget_bytes.saturating_sub(others).min(free));
        let mut refused_bytes = None;
        loop {
            match self.each(|s| s.device.set_tape(&s.gpu, &s.layout, &s.settings, length)) {
                Ok(_) => break,
                Err(Error::NoMemory { .. }) if length > cost.shortest => {
                    refused_bytes.get_or_insert(cost.bytes(length));
                    // An eighth of what there was stays free for whatever else the driver needs.
                    let found = self.gpu.allocated_bytes().saturating_sub(others);
                    length = cost.longest(found / 8 * 7).min(length - 1);
                    self.each_mut(|share| share.device.clear_tape());
                    // Memory is free once the device has let go of it.
                    self.gpu.wait("freeing the tape")?;
                }
                Err(e) => return Err(e),
            }
        }
        self.each_mut(|share| share.settings.steps_between_checkpoints = length);
        Ok(TapeFit { n_taped: length, n_steps, refused_bytes })
    }

    /// How many segments there are.
    pub(super) fn n_segments(&self) -> usize {
        self.settings.n_steps.div_ceil(self.settings.steps_between_checkpoints)
    }

    /// Steps of a segment.
    pub(super) fn segment_steps(&self, segment: usize) -> Range<usize> {
        segment_steps(self.settings.n_steps, self.settings.steps_between_checkpoints, segment)
    }
}

/// Steps of a segment where `length` steps are on the tape.
fn segment_steps(n_steps: usize, length: usize, segment: usize) -> Range<usize> {
    let end = n_steps - (n_steps.div_ceil(length) - 1 - segment) * length;
    end.saturating_sub(length)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: TapeCost =
        TapeCost { n_steps: 100, shortest: 3, step_bytes: 10, checkpoint_bytes: 30, history_bytes: 6 };

    #[test]
    fn segments_are_counted_from_the_end() {
        let segments = |length| {
            (0..100_usize.div_ceil(length)).map(|i| segment_steps(100, length, i)).collect::<Vec<_>>()
        };
        assert_eq!(segments(100), vec![0..100; 1]);
        assert_eq!(segments(50), [0..50, 50..100]);
        assert_eq!(segments(33), [0..1, 1..34, 34..67, 67..100]);
    }

    #[test]
    fn a_tape_of_all_steps_needs_no_checkpoint() {
        assert_eq!(COST.bytes(100), 1000);
        assert_eq!(COST.bytes(99), 990 + 30 + 6);
        assert_eq!(COST.bytes(33), 330 + 3 * 30 + 6);
    }

    #[test]
    fn the_longest_tape_that_fits_is_taken() {
        assert_eq!(COST.longest(u64::MAX), 100);
        assert_eq!(COST.longest(1000), 100);
        // All but one step would take 1,026 bytes.
        assert_eq!(COST.longest(999), 96);
        assert_eq!(COST.longest(COST.bytes(96) - 1), 95);
        // 22 steps would need a checkpoint more than 25 and as much memory.
        assert_eq!((COST.bytes(22), COST.bytes(25)), (220 + 4 * 30 + 6, 250 + 3 * 30 + 6));
        assert_eq!(COST.longest(346), 25);
    }

    #[test]
    fn where_nothing_fits_the_tape_takes_least() {
        let length = COST.longest(0);
        assert!((3..=100).all(|other| COST.bytes(length) <= COST.bytes(other)), "{length}");
    }
}

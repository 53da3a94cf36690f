//! Device time by kernel, with what each kernel had to do. For `simrun measure`.
//!
//! Every dispatch of the last segment is timed in its place, on the work that it has there.

use super::Simulation;
use super::layout::UNIFORM_STRIDE;
use crate::error::Result;
use crate::gpu::PassRecord;

/// What a kernel did in the steps that were timed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelTime {
    /// Kernel.
    pub name: &'static str,
    /// Dispatches.
    pub n_dispatches: usize,
    /// Device time of all of them, ms.
    pub ms: f64,
    /// Edges of the rows that it walked; 0 for kernels with a thread a neuron or source.
    pub n_edges: u64,
    /// Edges times the trials in which their source spiked; 0 where trials are not told apart.
    pub n_events: u64,
}

/// A dispatch to be timed.
pub(super) struct Timed<'a> {
    pub(super) name: &'static str,
    pub(super) record: PassRecord<'a>,
}

impl Simulation {
    /// Runs the last segment of the last forward pass again, forward and backward, timing each dispatch. `seeds` as for
    /// [`Simulation::adjoint`]. Leaves the gradient of that segment alone. Where the trials are in several shares, of the first of them.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the adapter has no timestamps.
    pub fn profile(&mut self, seeds: &[f32]) -> Result<Vec<KernelTime>> {
        self.segment_on_tape = None;
        self.clear_weight_gradient();
        self.clear_adjoint(seeds)?;
        let segment = self.n_segments() - 1;
        self.restore_checkpoint(segment)?;
        for slot in &self.device.slots {
            slot.spikes.clear();
        }
        let mut times = Vec::new();
        if let Some(sources) = &self.device.sources {
            self.time(sources.timed_draw(&self.gpu)?, &mut times)?;
        }
        self.time(self.forward_dispatches(segment), &mut times)?;
        self.time(self.adjoint_dispatches(segment), &mut times)?;
        self.check_status()?;
        self.count_edges(segment, &mut times)?;
        Ok(times)
    }

    /// Runs dispatches and adds their times up by name.
    pub(super) fn time(&self, dispatches: Vec<Timed<'_>>, times: &mut Vec<KernelTime>) -> Result<()> {
        let names: Vec<&'static str> = dispatches.iter().map(|d| d.name).collect();
        let passes = dispatches.into_iter().map(|d| d.record).collect();
        for (name, ms) in names.iter().zip(self.gpu.time_passes(passes)?) {
            if !times.iter().any(|t| t.name == *name) {
                times.push(KernelTime { name, ..KernelTime::default() });
            }
            for time in times.iter_mut().filter(|t| t.name == *name) {
                time.ms += ms;
                time.n_dispatches += 1;
            }
        }
        Ok(())
    }

    fn forward_dispatches(&self, segment: usize) -> Vec<Timed<'_>> {
        let device = &self.device;
        let neuron = &device.kernels.neuron_taped;
        let n_workgroups = device.neuron_workgroups;
        let mut dispatches = Vec::new();
        for (slot_ix, step) in self.segment_steps(segment).enumerate() {
            let (slot, offset) = (&device.slots[slot_ix], (step * UNIFORM_STRIDE) as u32);
            if let Some(sources) = &device.sources {
                let record: PassRecord<'_> = Box::new(move |pass| sources.record(pass, step, offset));
                dispatches.push(Timed { name: "sources", record });
            }
            let group = &slot.neuron;
            let record: PassRecord<'_> =
                Box::new(move |pass| neuron.dispatch(pass, group, offset, n_workgroups));
            dispatches.push(Timed { name: "neuron", record });
            for (group, shard) in slot.spread.iter().zip(&device.edges.shards) {
                let spread = &device.kernels.spread;
                let record: PassRecord<'_> =
                    Box::new(move |pass| spread.dispatch(pass, group, offset, shard.chunk_workgroups));
                dispatches.push(Timed { name: "spread", record });
            }
        }
        dispatches
    }

    fn adjoint_dispatches(&self, segment: usize) -> Vec<Timed<'_>> {
        let (device, kernels) = (&self.device, &self.device.kernels);
        let neuron = &kernels.neuron_adjoint;
        let n_workgroups = device.neuron_workgroups;
        let mut dispatches = Vec::new();
        for (slot_ix, step) in self.segment_steps(segment).enumerate().rev() {
            let (slot, offset) = (&device.slots[slot_ix], (step * UNIFORM_STRIDE) as u32);
            let rows = [
                ("gather", &kernels.gather, &slot.gather),
                ("weight gradient", &kernels.weight_gradient, &slot.weight_gradient),
            ];
            for (name, kernel, groups) in rows {
                for (group, n_workgroups) in groups {
                    let record: PassRecord<'_> =
                        Box::new(move |pass| kernel.dispatch(pass, group, offset, *n_workgroups));
                    dispatches.push(Timed { name, record });
                }
            }
            let group = &slot.neuron_adjoint;
            let record: PassRecord<'_> =
                Box::new(move |pass| neuron.dispatch(pass, group, offset, n_workgroups));
            dispatches.push(Timed { name: "neuron adjoint", record });
        }
        dispatches
    }

    /// Counts the edges that the row kernels walked, from the lists and masks of the steps.
    fn count_edges(&self, segment: usize, times: &mut [KernelTime]) -> Result<()> {
        let layout = &self.layout;
        let mut row_lengths = Vec::new();
        for rows in &self.device.edges.row_sets {
            row_lengths.extend(self.row_offsets(rows)?.windows(2).map(|row| u64::from(row[1] - row[0])));
        }
        let mut add = |name: &str, n_edges: u64, n_events: u64| {
            for time in times.iter_mut().filter(|t| t.name == name) {
                time.n_edges += n_edges;
                time.n_events += n_events;
            }
        };
        for slot in &self.device.slots[..self.segment_steps(segment).len()] {
            let words: Vec<u32> = slot.spikes.read(0, layout.spikes_words())?;
            let masks = &words[layout.spikes_mask()..][..layout.n_sources()];
            for rows in &self.device.edges.row_sets {
                for source in rows.first_source..rows.first_source + rows.n_rows {
                    let (n_edges, n_spikes) = (row_lengths[source], u64::from(masks[source].count_ones()));
                    if n_spikes > 0 {
                        add("spread", n_edges, n_edges * n_spikes);
                        if rows.grad.is_some() {
                            add("weight gradient", n_edges, n_edges * n_spikes);
                        }
                    }
                }
            }
            let near = words[layout.spikes_near()..][..layout.n_neurons].iter().zip(&row_lengths);
            add("gather", near.filter(|(trials, _)| **trials != 0).map(|(_, length)| length).sum(), 0);
        }
        Ok(())
    }
}

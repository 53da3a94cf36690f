//! Recordings of a forward pass: every spike, and the potentials of some neurons.
//!
//! Both are read from what the steps of a segment leave in their slots (spike masks and tape), after the segment has run.

use std::ops::Range;

use super::Simulation;
use super::device::Slot;
use super::forward::ForwardReport;
use super::layout::Layout;
use crate::error::Result;
use crate::gpu::{Buffer, Commands};

/// A spike of a neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spike {
    /// Time step in which the threshold was crossed; the spike's time is the end of that step.
    pub step: u32,
    /// Neuron.
    pub neuron: u32,
    /// Trial.
    pub trial: u32,
}

/// What a forward pass records beside the spikes of the neurons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probe {
    /// Neurons whose potentials are recorded, ascending. Neighbours are read together.
    pub neurons: Vec<u32>,
    /// Whether the spikes of LGN and background units are recorded too.
    pub sources: bool,
}

impl Probe {
    /// The potentials of a range of neurons.
    pub fn potentials(neurons: Range<usize>) -> Self {
        Self { neurons: neurons.map(|n| n as u32).collect(), sources: false }
    }
}

/// What a forward pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// All spikes of all neurons, ordered by step, neuron, trial. Where sources were recorded, their spikes are among them,
    /// numbered as sources: neurons, LGN units, background units.
    pub spikes: Vec<Spike>,
    /// Somatic potential above E_L after every step (and its reset), `[n_steps][recorded neurons][n_trials]` mV.
    pub u_s_mv: Vec<f32>,
    /// Dendritic potential above E_L after every step, `[n_steps][recorded neurons][n_trials]` mV; empty in point mode.
    pub u_d_mv: Vec<f32>,
}

/// Most words that are read at once.
const READ_WORDS: usize = 1 << 23;

/// Reads the slots of a segment and adds them to a recording.
pub(super) struct Recorder {
    buffer: Buffer,
    /// Steps that fit in the buffer.
    n_steps_read: usize,
    /// Masks that are copied.
    n_masks: usize,
    /// Planes of the tape that are copied.
    planes: Vec<usize>,
    /// Neurons whose potentials are recorded, and the runs of neighbours among them.
    neurons: Vec<u32>,
    runs: Vec<Range<usize>>,
    recording: Recording,
    /// Resets of the recorded neurons above E_L, mV.
    reset_mv: Vec<f32>,
    /// Dendritic potentials after the last step that was read.
    u_d_mv: Vec<f32>,
}

impl Recorder {
    /// Whether the steps of every segment have to leave their tape.
    pub(super) fn needs_tape(&self) -> bool {
        !self.planes.is_empty()
    }

    fn new(simulation: &Simulation, probe: &Probe) -> Result<Self> {
        let layout = &simulation.layout;
        let recorded = if probe.neurons.is_empty() { &[][..] } else { &["U_S", "MID_D"] };
        let planes: Vec<usize> = recorded.iter().filter_map(|name| layout.tape_plane(name)).collect();
        let words = probe.neurons.len() * layout.n_trials;
        let n_masks = if probe.sources { layout.n_sources() } else { layout.n_neurons };
        let step_words = n_masks + planes.len() * words;
        let n_steps_read = (READ_WORDS / step_words.max(1)).clamp(1, simulation.device.slots.len());
        let reset_mv = probe
            .neurons
            .iter()
            .map(|n| &simulation.cell_models[usize::from(simulation.neuron_model_ix[*n as usize])])
            .map(|cell| (cell.v_reset_mv - cell.e_l_mv) as f32)
            .collect();
        Ok(Self {
            buffer: Buffer::storage(&simulation.gpu, "recording", n_steps_read * step_words)?,
            n_steps_read,
            n_masks,
            planes,
            neurons: probe.neurons.clone(),
            runs: runs(&probe.neurons),
            recording: Recording::default(),
            reset_mv,
            u_d_mv: vec![0.0; words],
        })
    }

    /// Reads the steps of a segment, which has just been run.
    pub(super) fn read(&mut self, simulation: &Simulation, steps: Range<usize>) -> Result<()> {
        let layout = &simulation.layout;
        let words = self.neurons.len() * layout.n_trials;
        let step_words = self.n_masks + self.planes.len() * words;
        let slots: Vec<(usize, &Slot)> = steps.zip(&simulation.device.slots).collect();
        for slots in slots.chunks(self.n_steps_read) {
            let mut commands = simulation.gpu.commands("recording");
            for (j, (_, slot)) in slots.iter().enumerate() {
                self.copy_slot(&mut commands, slot, layout, j * step_words);
            }
            commands.submit()?;
            let read: Vec<u32> = self.buffer.read(0, slots.len() * step_words)?;
            for ((step, _), words_of_step) in slots.iter().zip(read.chunks_exact(step_words)) {
                let (masks, planes) = words_of_step.split_at(self.n_masks);
                self.add_spikes(*step, masks, layout.n_trials);
                if self.needs_tape() {
                    self.add_potentials(masks, planes, layout.n_trials);
                }
            }
        }
        Ok(())
    }

    /// Copies masks and potentials of a step to the buffer, from word `at` on.
    fn copy_slot(&self, commands: &mut Commands<'_>, slot: &Slot, layout: &Layout, mut at: usize) {
        commands.copy(&self.buffer, at, &slot.spikes, layout.spikes_mask(), self.n_masks);
        at += self.n_masks;
        for plane in &self.planes {
            for run in &self.runs {
                let n_words = run.len() * layout.n_trials;
                commands.copy(&self.buffer, at, &slot.tape, plane + run.start * layout.n_trials, n_words);
                at += n_words;
            }
        }
    }

    fn add_spikes(&mut self, step: usize, masks: &[u32], n_trials: usize) {
        for (neuron, mask) in masks.iter().enumerate().filter(|(_, mask)| **mask != 0) {
            for trial in (0..n_trials as u32).filter(|trial| mask >> trial & 1 == 1) {
                self.recording.spikes.push(Spike { step: step as u32, neuron: neuron as u32, trial });
            }
        }
    }

    /// The tape holds u_s' before the reset (E6) and the midpoint of u_d (E2c).
    fn add_potentials(&mut self, masks: &[u32], planes: &[u32], n_trials: usize) {
        let n = self.u_d_mv.len();
        for (i, word) in planes[..n].iter().enumerate() {
            let mask = masks[self.neurons[i / n_trials] as usize];
            let spiked = mask >> (i % n_trials) & 1 == 1;
            let u_s = if spiked { self.reset_mv[i / n_trials] } else { f32::from_bits(*word) };
            self.recording.u_s_mv.push(u_s);
        }
        for (u_d, word) in self.u_d_mv.iter_mut().zip(&planes[n..]) {
            *u_d = 2.0 * f32::from_bits(*word) - *u_d;
            self.recording.u_d_mv.push(*u_d);
        }
    }
}

/// Runs of neighbours in an ascending list.
fn runs(neurons: &[u32]) -> Vec<Range<usize>> {
    let runs = neurons.chunk_by(|a, b| a + 1 == *b);
    runs.map(|run| run[0] as usize..run[0] as usize + run.len()).collect()
}

impl Simulation {
    /// As [`Simulation::forward`], with every spike and what `probe` names beside.
    ///
    /// # Errors
    /// Those of [`Simulation::forward`].
    pub fn forward_recorded(
        &mut self,
        seed: u64,
        presentation: u32,
        probe: &Probe,
    ) -> Result<(ForwardReport, Recording)> {
        let recorded = self.each(|share| {
            let mut recorder = Recorder::new(share, probe)?;
            let report = share.run_forward(seed, presentation, Some(&mut recorder))?;
            Ok((report, recorder.recording))
        })?;
        let (reports, recordings) = recorded.into_iter().unzip();
        Ok((self.join_forward(reports), self.join_recordings(recordings)))
    }

    /// What the shares recorded, as a batch.
    fn join_recordings(&self, recordings: Vec<Recording>) -> Recording {
        let (mut spikes, mut u_s_mv, mut u_d_mv) = (Vec::new(), Vec::new(), Vec::new());
        for (share, recording) in self.shares().zip(recordings) {
            let first_trial = share.layout.first_trial as u32;
            let of_batch = |spike: Spike| Spike { trial: first_trial + spike.trial, ..spike };
            spikes.extend(recording.spikes.into_iter().map(of_batch));
            u_s_mv.push(recording.u_s_mv);
            u_d_mv.push(recording.u_d_mv);
        }
        if !self.others.is_empty() {
            spikes.sort_unstable();
        }
        Recording { spikes, u_s_mv: self.join(u_s_mv), u_d_mv: self.join(u_d_mv) }
    }
}

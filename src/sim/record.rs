//! Recordings of a forward pass: every spike, and the potentials of a range of neurons.
//!
//! Both are read from what the steps of a segment leave in their slots (spike masks and tape), one read a segment.

use std::ops::Range;

use super::Simulation;
use super::forward::ForwardReport;
use crate::error::Result;
use crate::gpu::Buffer;

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

/// What a forward pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// All spikes of all neurons, ordered by step, neuron, trial.
    pub spikes: Vec<Spike>,
    /// Neurons whose potentials were recorded.
    pub neurons: Range<usize>,
    /// Somatic potential above E_L after every step (and its reset), `[n_steps][neurons][n_trials]` mV.
    pub u_s_mv: Vec<f32>,
    /// Dendritic potential above E_L after every step, `[n_steps][neurons][n_trials]` mV; empty in point mode.
    pub u_d_mv: Vec<f32>,
}

/// Reads the slots of a segment and adds them to a recording.
pub(super) struct Recorder {
    buffer: Buffer,
    /// Planes of the tape that are copied.
    planes: Vec<usize>,
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

    fn new(simulation: &Simulation, neurons: Range<usize>) -> Result<Self> {
        let layout = &simulation.layout;
        let planes = match (neurons.is_empty(), layout.two_compartment) {
            (true, _) => vec![],
            (false, true) => vec![layout.tape_plane("U_S"), layout.tape_plane("MID_D")],
            (false, false) => vec![layout.tape_plane("U_S")],
        };
        let words = neurons.len() * layout.n_trials;
        let step_words = layout.n_neurons + planes.len() * words;
        let n_slots = simulation.device.slots.len();
        let reset_mv = neurons
            .clone()
            .map(|n| &simulation.cell_models[usize::from(simulation.neuron_model_ix[n])])
            .map(|cell| (cell.v_reset_mv - cell.e_l_mv) as f32)
            .collect();
        Ok(Self {
            buffer: Buffer::storage(&simulation.gpu, "recording", n_slots * step_words)?,
            planes,
            recording: Recording { neurons, ..Recording::default() },
            reset_mv,
            u_d_mv: vec![0.0; words],
        })
    }

    /// Reads the steps of a segment, which has just been run.
    pub(super) fn read(&mut self, simulation: &Simulation, steps: Range<usize>) -> Result<()> {
        let layout = &simulation.layout;
        let neurons = self.recording.neurons.clone();
        let words = neurons.len() * layout.n_trials;
        let step_words = layout.n_neurons + self.planes.len() * words;
        for (j, slot) in simulation.device.slots[..steps.len()].iter().enumerate() {
            let at = j * step_words;
            self.buffer.copy_from(at, &slot.spikes, layout.spikes_mask(), layout.n_neurons);
            for (p, plane) in self.planes.iter().enumerate() {
                let from = plane + neurons.start * layout.n_trials;
                self.buffer.copy_from(at + layout.n_neurons + p * words, &slot.tape, from, words);
            }
        }
        let read: Vec<u32> = self.buffer.read(0, steps.len() * step_words)?;
        for (step, words_of_step) in steps.zip(read.chunks_exact(step_words)) {
            let (masks, planes) = words_of_step.split_at(layout.n_neurons);
            self.add_spikes(step, masks, layout.n_trials);
            if self.needs_tape() {
                self.add_potentials(&masks[neurons.clone()], planes, layout.n_trials);
            }
        }
        Ok(())
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
            let spiked = masks[i / n_trials] >> (i % n_trials) & 1 == 1;
            let u_s = if spiked { self.reset_mv[i / n_trials] } else { f32::from_bits(*word) };
            self.recording.u_s_mv.push(u_s);
        }
        for (u_d, word) in self.u_d_mv.iter_mut().zip(&planes[n..]) {
            *u_d = 2.0 * f32::from_bits(*word) - *u_d;
            self.recording.u_d_mv.push(*u_d);
        }
    }
}

impl Simulation {
    /// As [`Simulation::forward`], with every spike and the potentials of `neurons` (an empty range records only spikes).
    ///
    /// # Errors
    /// Those of [`Simulation::forward`].
    pub fn forward_recorded(
        &mut self,
        seed: u64,
        presentation: u32,
        neurons: Range<usize>,
    ) -> Result<(ForwardReport, Recording)> {
        let mut recorder = Recorder::new(self, neurons)?;
        let report = self.run_forward(seed, presentation, Some(&mut recorder))?;
        Ok((report, recorder.recording))
    }
}

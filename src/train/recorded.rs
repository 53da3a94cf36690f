//! Trials of a network that came with its inputs: which recorded spikes each of them shows.

use crate::loss::TrialKind;
use crate::output::spikes::TrialStimulus;
use crate::plan::Plan;
use crate::results::TrialsShown;
use crate::sim::SpikeList;
use crate::sonata::TrialInput;

/// The recorded inputs of a network and the trials that show them.
pub(super) struct Recorded {
    inputs: Vec<TrialInput>,
    /// Inputs of gratings, and the others.
    by_kind: [Vec<usize>; 2],
    n_evoked: usize,
    n_spontaneous: usize,
    /// Contrast of the trials that the recordings are compared with.
    contrast: f64,
}

impl Recorded {
    pub(super) fn new(plan: &Plan, inputs: Vec<TrialInput>) -> Self {
        let of = |grating: bool| -> Vec<usize> {
            (0..inputs.len()).filter(|i| inputs[*i].direction_deg.is_some() == grating).collect()
        };
        let trials = &plan.scene.trials;
        Self {
            by_kind: [of(true), of(false)],
            inputs,
            n_evoked: trials.n_evoked as usize,
            n_spontaneous: trials.n_spontaneous as usize,
            contrast: trials.grating.contrast,
        }
    }

    /// Most entries of the list of spikes of `n_trials` trials.
    pub(super) fn most_entries(&self, n_trials: usize) -> usize {
        let longest = self.inputs.iter().map(|input| input.spikes.len()).max().unwrap_or(0);
        longest * n_trials
    }

    /// Inputs of a training step (from 1): gratings in turn, then the others in turn.
    pub(super) fn of_step(&self, training_step: u32) -> Vec<usize> {
        let turn = (training_step - 1) as usize;
        let [gratings, others] = &self.by_kind;
        let take = |inputs: &[usize], n: usize| -> Vec<usize> {
            (0..n).map(|trial| inputs[(turn * n + trial) % inputs.len()]).collect()
        };
        [take(gratings, self.n_evoked), take(others, self.n_spontaneous)].concat()
    }

    /// Inputs of an evaluation, in batches: each equally often. The same spikes give the same answer, so once would do; it is as often
    /// as fills the batches.
    pub(super) fn batches(&self) -> Vec<Vec<usize>> {
        let per_batch = self.n_evoked + self.n_spontaneous;
        let all: Vec<usize> = (0..self.inputs.len()).collect();
        let mut shown = all.clone();
        while !shown.len().is_multiple_of(per_batch) {
            shown.extend(&all);
        }
        shown.chunks(per_batch).map(<[_]>::to_vec).collect()
    }

    /// What an evaluation shows.
    pub(super) fn shown(&self) -> TrialsShown {
        let n_trials: usize = self.batches().iter().map(Vec::len).sum();
        let n_inputs = self.inputs.len();
        TrialsShown {
            n_trials: (n_trials / n_inputs) as u32,
            n_directions: None,
            n_recorded_inputs: Some(n_inputs as u32),
        }
    }

    /// What trials that show these inputs are to the losses.
    pub(super) fn kinds(&self, shown: &[usize]) -> Vec<TrialKind> {
        let kind = |input: &TrialInput| match (input.direction_deg, input.contrast) {
            (None, _) => TrialKind::Spontaneous,
            (Some(direction_deg), Some(contrast)) if contrast != self.contrast => {
                TrialKind::OtherContrast { direction_deg, contrast }
            }
            (Some(direction_deg), _) => TrialKind::Evoked { direction_deg },
        };
        shown.iter().map(|ix| kind(&self.inputs[*ix])).collect()
    }

    /// The same for the table of the trials.
    pub(super) fn stimuli(&self, shown: &[usize]) -> Vec<TrialStimulus> {
        let stimulus = |input: &TrialInput| TrialStimulus::Recorded {
            direction_deg: input.direction_deg,
            contrast: input.contrast,
        };
        shown.iter().map(|ix| stimulus(&self.inputs[*ix])).collect()
    }

    /// The spikes of some trials.
    pub(super) fn list(&self, shown: &[usize], n_steps: usize) -> SpikeList {
        let of_trial = |(trial, ix): (usize, &usize)| {
            self.inputs[*ix]
                .spikes
                .iter()
                .map(move |(step, unit)| (*step, *unit, 1_u32 << trial))
                .collect::<Vec<_>>()
        };
        let mut spikes: Vec<(u32, u32, u32)> = shown.iter().enumerate().flat_map(of_trial).collect();
        spikes.sort_unstable();
        spikes.dedup_by(|later, earlier| {
            let same = (later.0, later.1) == (earlier.0, earlier.1);
            if same {
                earlier.2 |= later.2;
            }
            same
        });
        SpikeList::new(n_steps, spikes.into_iter())
    }
}

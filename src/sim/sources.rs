//! Where the spikes of LGN and background units come from.

use std::sync::Arc;

use super::Settings;
use super::layout::Layout;
use super::shaders::{NEURON_WORKGROUP, assemble};
use crate::error::{Error, Result};
use crate::gpu::{BindGroup, Buffer, Gpu, Kernel};
use crate::network::Network;

/// Spikes of the sources that are not neurons.
#[derive(Clone, Copy, Debug)]
pub enum SourceSpikes<'a> {
    /// There are no such sources.
    None,
    /// Given spikes: masks of trials, `[n_steps][n_lgn + n_background]`.
    Replay(&'a [u32]),
    /// Given spikes, set before a batch ([`super::Simulation::set_spikes`]): the most (step, unit) pairs of a batch.
    Listed(usize),
    /// Spikes drawn on the device from what the LGN units see of the stimulus ([`super::Simulation::set_stimulus`]).
    Drawn(SourceFilters<'a>),
}

/// Spikes of LGN and background units in a batch, for the kernel: the place of each step's first entry and the end of the last, then
/// the entries, unit and mask of trials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikeList {
    words: Vec<u32>,
}

impl SpikeList {
    /// From (step, unit, mask of trials), ascending in step, which is below `n_steps`; each (step, unit) at most once.
    pub fn new(n_steps: usize, spikes: impl ExactSizeIterator<Item = (u32, u32, u32)>) -> Self {
        let first = n_steps + 1;
        let mut words = Vec::with_capacity(first + 2 * spikes.len());
        words.resize(first, 0);
        let mut n_started = 0;
        for (step, unit, trials) in spikes {
            while n_started <= step as usize {
                words[n_started] = words.len() as u32;
                n_started += 1;
            }
            words.extend([unit, trials]);
        }
        let end = words.len() as u32;
        words[n_started..first].fill(end);
        Self { words }
    }

    /// From masks of trials, `[n_steps][n_units]`.
    fn from_masks(masks: &[u32], n_steps: usize, n_units: usize) -> Self {
        let at = |i: usize| ((i / n_units) as u32, (i % n_units) as u32, masks[i]);
        // Masks of further steps are never shown.
        let n_shown = masks.len().min(n_steps * n_units);
        let spikes: Vec<_> = (0..n_shown).filter(|i| masks[*i] != 0).map(at).collect();
        Self::new(n_steps, spikes.into_iter())
    }
}

/// Linear filters of LGN and background units (MODEL.md, S3 and S4). Subfields are numbered: the dominant one of each LGN unit
/// and the only one of each background unit, in the order of the units, then the second ones.
#[derive(Clone, Copy, Debug)]
pub struct SourceFilters<'a> {
    /// Gain times temporal filter, Hz per unit contrast and ms, `[lag ms][n_subfields]`; the last row is zero.
    pub taps_hz: &'a [f32],
    /// Rate of each subfield under a grey screen, Hz, `[n_subfields]`.
    pub baseline_hz: &'a [f32],
    /// Second subfield of each unit, `u32::MAX` where it has none, `[n_lgn + n_background]`.
    pub second_ix: &'a [u32],
}

/// What the LGN units see in a batch of trials (MODEL.md, S2 and S3). A group is some trials whose gratings share temporal
/// frequency and onset.
#[derive(Clone, Copy, Debug)]
pub struct SourceDrive<'a> {
    /// Complex amplitude of the contrast under each subfield, `[n_trials][n_subfields]`.
    pub amplitude: &'a [[f32; 2]],
    /// Trials of each group as a mask, 0 after the last group, `[n_trials]`.
    pub group_trials: &'a [u32],
    /// Per step and group the cosine and sine of the phase, the lag (ms) of the filter tap that the step adds and its width
    /// (ms; 0 for none), `[n_steps][n_trials]`: one entry for each group, the rest unused.
    pub frames: &'a [[f32; 4]],
}

/// The kernel that makes the sources' spikes, bound once for each slot of the tape.
#[derive(Debug)]
pub(super) struct SourceKernel {
    kernel: Kernel,
    groups: Vec<BindGroup>,
    n_units: usize,
    /// Given spikes, where they are not drawn.
    replay: Option<Buffer>,
    drawn: Option<Drawn>,
}

/// What drawn spikes need beside their kernel.
#[derive(Debug)]
struct Drawn {
    amplitude: Buffer,
    group_trials: Buffer,
    frames: Buffer,
    /// The running sums K: the whole state of the LGN units.
    filter_sum: Buffer,
    checkpoints: Vec<Buffer>,
    n_amplitudes: usize,
    n_trials: usize,
    n_frames: usize,
}

impl SourceKernel {
    /// The uniform and the tables, and the spikes buffers of the slots, are those of the device.
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        network: &Network,
        settings: &Settings,
        sources: &SourceSpikes<'_>,
        [uniform, tables]: [&Buffer; 2],
        spikes: &[&Buffer],
    ) -> Result<Option<Self>> {
        let n_units = layout.n_lgn + layout.n_background;
        let per_source = [("WORKGROUP_SIZE", f64::from(NEURON_WORKGROUP))];
        let compile = |name: &str| Kernel::new(gpu, name, &assemble(name, layout)?, &per_source);
        match sources {
            SourceSpikes::None => Ok(None),
            SourceSpikes::Replay(_) | SourceSpikes::Listed(_) => {
                let kernel = compile("source_replay_forward")?;
                let n_steps = settings.n_steps;
                let (n_words, given) = match sources {
                    SourceSpikes::Replay(masks) => {
                        let list = SpikeList::from_masks(masks, n_steps, n_units.max(1));
                        (list.words.len(), list)
                    }
                    SourceSpikes::Listed(most) => {
                        (n_steps + 1 + 2 * most, SpikeList::new(n_steps, std::iter::empty()))
                    }
                    SourceSpikes::None | SourceSpikes::Drawn(_) => return Ok(None),
                };
                let replay = Buffer::storage(gpu, "source replay", n_words)?;
                replay.write(0, &given.words);
                let groups = spikes
                    .iter()
                    .map(|spikes| {
                        kernel.bind(&[
                            ("step", uniform),
                            ("tables", tables),
                            ("replay", &replay),
                            ("spikes", spikes),
                        ])
                    })
                    .collect::<Result<_>>()?;
                Ok(Some(Self { kernel, groups, n_units, replay: Some(replay), drawn: None }))
            }
            SourceSpikes::Drawn(filters) => {
                let kernel = compile("source_forward")?;
                let taps = Buffer::storage_of(gpu, "LGN filters", filters.taps_hz)?;
                let subfields = Buffer::storage_of(gpu, "LGN subfields", &subfield_table(network, filters))?;
                let drawn = Drawn::new(gpu, settings, filters.baseline_hz.len())?;
                let groups = spikes
                    .iter()
                    .map(|spikes| {
                        kernel.bind(&[
                            ("step", uniform),
                            ("tables", tables),
                            ("taps_hz", &taps),
                            ("subfields", &subfields),
                            ("amplitude", &drawn.amplitude),
                            ("group_trials", &drawn.group_trials),
                            ("frames", &drawn.frames),
                            ("filter_sum", &drawn.filter_sum),
                            ("spikes", spikes),
                        ])
                    })
                    .collect::<Result<_>>()?;
                Ok(Some(Self { kernel, groups, n_units, replay: None, drawn: Some(drawn) }))
            }
        }
    }

    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>, slot: usize, uniform_offset: u32) {
        let workgroups = self.kernel.workgroups_for(self.n_units);
        self.kernel.dispatch(pass, &self.groups[slot], uniform_offset, workgroups);
    }

    /// Sets what the units see in each trial.
    pub(super) fn set_stimulus(&self, drive: &SourceDrive<'_>) -> Result<()> {
        let lengths = [drive.amplitude.len(), drive.group_trials.len(), drive.frames.len()];
        match &self.drawn {
            Some(drawn) if lengths == [drawn.n_amplitudes, drawn.n_trials, drawn.n_frames] => {
                drawn.amplitude.write(0, drive.amplitude);
                drawn.group_trials.write(0, drive.group_trials);
                drawn.frames.write(0, drive.frames);
                Ok(())
            }
            _ => Err(Error::Failed("this simulation takes no stimulus of that shape".to_owned())),
        }
    }

    /// Sets the spikes of the units in every batch to come.
    pub(super) fn set_spikes(&self, list: &SpikeList) -> Result<()> {
        match &self.replay {
            Some(replay) if 4 * list.words.len() as u64 <= replay.bytes() => {
                replay.write(0, &list.words);
                Ok(())
            }
            _ => Err(Error::Failed("this simulation takes no list of so many spikes".to_owned())),
        }
    }

    /// Brings the units to rest, for the start of the trials.
    pub(super) fn start(&self) {
        if let Some(drawn) = &self.drawn {
            drawn.filter_sum.clear();
        }
    }

    /// Keeps the state of the units at the start of a segment.
    pub(super) fn save_checkpoint(&self, segment: usize) {
        if let Some(drawn) = &self.drawn {
            drawn.checkpoints[segment].copy_from(0, &drawn.filter_sum, 0, 2 * drawn.n_amplitudes);
        }
    }

    /// Brings the units back to the start of a segment.
    pub(super) fn restore_checkpoint(&self, segment: usize) {
        if let Some(drawn) = &self.drawn {
            drawn.filter_sum.copy_from(0, &drawn.checkpoints[segment], 0, 2 * drawn.n_amplitudes);
        }
    }
}

impl Drawn {
    fn new(gpu: &Arc<Gpu>, settings: &Settings, n_subfields: usize) -> Result<Self> {
        let n_trials = settings.n_trials;
        let (n_amplitudes, n_frames) = (n_trials * n_subfields, settings.n_steps * n_trials);
        let n_segments = settings.n_steps.div_ceil(settings.steps_between_checkpoints);
        let checkpoint = |_| Buffer::storage(gpu, "LGN checkpoint", 2 * n_amplitudes);
        Ok(Self {
            amplitude: Buffer::storage(gpu, "LGN amplitudes", 2 * n_amplitudes)?,
            group_trials: Buffer::storage(gpu, "groups of trials", n_trials)?,
            frames: Buffer::storage(gpu, "stimulus frames", 4 * n_frames)?,
            filter_sum: Buffer::storage(gpu, "LGN state", 2 * n_amplitudes)?,
            checkpoints: (0..n_segments).map(checkpoint).collect::<Result<_>>()?,
            n_amplitudes,
            n_trials,
            n_frames,
        })
    }
}

/// `subfields` of `shaders/source_forward.wgsl`: bits of the baseline rate and the second subfield, or SILENT for a unit
/// without synapses.
fn subfield_table(network: &Network, filters: &SourceFilters<'_>) -> Vec<[u32; 2]> {
    const SILENT: u32 = u32::MAX - 1;
    let row_ends = &network.rows.offsets[network.neurons.len()..];
    let second = |subfield: usize| match filters.second_ix.get(subfield) {
        Some(_) if row_ends[subfield] == row_ends[subfield + 1] => SILENT,
        Some(second) => *second,
        None => u32::MAX,
    };
    filters.baseline_hz.iter().enumerate().map(|(i, hz)| [hz.to_bits(), second(i)]).collect()
}

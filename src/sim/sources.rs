//! Where the spikes of LGN and background units come from.

use std::ops::Range;
use std::sync::Arc;

use super::Settings;
use super::layout::{DRAW_TRIALS, Layout, UNIFORM_STRIDE};
use super::profile::Timed;
use super::shaders::{NEURON_WORKGROUP, assemble};
use crate::error::{Error, Result};
use crate::gpu::{BindGroup, Buffer, Commands, Gpu, Kernel, MAX_LOOP_ITERATIONS, PassRecord};
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

    /// The spikes of some trials, numbered from the first of them.
    pub(super) fn of_trials(&self, trials: &Range<usize>) -> Self {
        let n_steps = self.words[0] as usize - 1;
        let mut spikes = Vec::new();
        for (step, ends) in self.words[..=n_steps].windows(2).enumerate() {
            let entries = self.words[ends[0] as usize..ends[1] as usize].as_chunks().0;
            let own = |[unit, mask]: &[u32; 2]| (step as u32, *unit, mask_of_trials(*mask, trials));
            spikes.extend(entries.iter().map(own).filter(|(_, _, mask)| *mask != 0));
        }
        Self::new(n_steps, spikes.into_iter())
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

/// Linear filters of LGN and background units (docs/model.md, S3 and S4). Subfields are numbered: the dominant one of each LGN unit
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

/// What the LGN units see in a batch of trials (docs/model.md, S2 and S3). A group is some trials whose gratings share temporal
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

/// The bits of some trials of a mask.
fn mask_of_trials(mask: u32, trials: &Range<usize>) -> u32 {
    (mask >> trials.start) & (u32::MAX >> (32 - trials.len()))
}

/// The kernels of the sources' spikes: where they are drawn, all of them before the first step; then each step's are handed on to
/// its slot.
#[derive(Debug)]
pub(super) struct SourceKernel {
    /// Hands the spikes of a step on.
    list: Kernel,
    /// By step.
    groups: Vec<BindGroup>,
    n_units: usize,
    /// The trials of a batch that it is for.
    trials: Range<usize>,
    spikes: Spikes,
}

#[derive(Debug)]
enum Spikes {
    Given(Buffer),
    Drawn(Box<Drawn>),
}

/// The draw of the spikes, and what was drawn.
#[derive(Debug)]
struct Drawn {
    kernel: Kernel,
    amplitude: Buffer,
    group_trials: Buffer,
    frames: Buffer,
    /// The running sums K: the state of the LGN units between two dispatches.
    filter_sum: Buffer,
    taps: Buffer,
    subfields: Buffer,
    /// Steps of a dispatch, and of a buffer of masks.
    steps_per_draw: usize,
    /// Trials that spiked, `[n_steps][n_units]`, in one buffer for each dispatch.
    masks: Vec<Buffer>,
    groups: Vec<BindGroup>,
    n_subfields: usize,
    trials: Range<usize>,
    /// Blocks of trials that share the words of the generator, those included that a block shares with another simulation.
    n_blocks: usize,
    n_steps: usize,
}

impl SourceKernel {
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        network: &Network,
        settings: &Settings,
        sources: &SourceSpikes<'_>,
    ) -> Result<Option<Self>> {
        let n_units = layout.n_lgn + layout.n_background;
        let n_steps = settings.n_steps;
        let given = |list: &SpikeList, n_words: usize| {
            let replay = Buffer::storage(gpu, "source replay", n_words)?;
            replay.write(0, &list.words);
            Ok::<_, Error>(Spikes::Given(replay))
        };
        let spikes = match sources {
            SourceSpikes::None => return Ok(None),
            SourceSpikes::Replay(masks) => {
                let list = SpikeList::from_masks(masks, n_steps, n_units.max(1)).of_trials(&layout.trials());
                given(&list, list.words.len())?
            }
            SourceSpikes::Listed(most) => {
                given(&SpikeList::new(n_steps, std::iter::empty()), n_steps + 1 + 2 * most)?
            }
            SourceSpikes::Drawn(filters) => {
                Spikes::Drawn(Box::new(Drawn::new(gpu, layout, network, settings, filters)?))
            }
        };
        let (name, steps) = match &spikes {
            Spikes::Given(_) => ("source_replay_forward", None),
            Spikes::Drawn(drawn) => ("source_list_forward", Some(("STEPS", drawn.steps_per_draw as f64))),
        };
        let constants: Vec<_> = [WORKGROUP].into_iter().chain(steps).collect();
        let list = Kernel::new(gpu, name, &assemble(name, layout)?, &constants)?;
        Ok(Some(Self { list, groups: Vec::new(), n_units, trials: layout.trials(), spikes }))
    }

    /// Binds the kernels to the uniforms of the steps and to the spikes of the slot that each step has.
    pub(super) fn bind_steps<'a>(
        &mut self,
        [uniform, tables]: [&Buffer; 2],
        slots: impl Iterator<Item = &'a Buffer>,
    ) -> Result<()> {
        let step = ("step", uniform);
        let bind = |(step_ix, spikes): (usize, &Buffer)| {
            let given = match &self.spikes {
                Spikes::Given(replay) => ("replay", replay),
                Spikes::Drawn(drawn) => ("masks", &drawn.masks[step_ix / drawn.steps_per_draw]),
            };
            self.list.bind(&[step, ("tables", tables), given, ("spikes", spikes)])
        };
        self.groups = slots.enumerate().map(bind).collect::<Result<_>>()?;
        if let Spikes::Drawn(drawn) = &mut self.spikes {
            drawn.groups =
                drawn.masks.iter().map(|masks| drawn.bind(uniform, masks)).collect::<Result<_>>()?;
        }
        Ok(())
    }

    /// Lets go of the slots.
    pub(super) fn unbind_steps(&mut self) {
        self.groups.clear();
    }

    /// Draws the spikes of the first `n_steps` steps, where they are drawn; the uniforms have that number too.
    pub(super) fn draw(&self, commands: &mut Commands<'_>, n_steps: usize) {
        let Spikes::Drawn(drawn) = &self.spikes else { return };
        self.start_draw(commands);
        let n_parts = n_steps.div_ceil(drawn.steps_per_draw);
        commands.pass(|pass| (0..n_parts).for_each(|part| drawn.record(pass, part, self.n_units)));
    }

    fn start_draw(&self, commands: &mut Commands<'_>) {
        let Spikes::Drawn(drawn) = &self.spikes else { return };
        commands.clear(&drawn.filter_sum);
        drawn.masks.iter().for_each(|masks| commands.clear(masks));
    }

    /// The dispatches of [`SourceKernel::draw`], to be timed; what comes before them is done.
    pub(super) fn timed_draw<'a>(&'a self, gpu: &Gpu) -> Result<Vec<Timed<'a>>> {
        let Spikes::Drawn(drawn) = &self.spikes else { return Ok(Vec::new()) };
        let mut commands = gpu.commands("draw");
        self.start_draw(&mut commands);
        commands.submit()?;
        let part = |part: usize| {
            let record: PassRecord<'a> = Box::new(move |pass| drawn.record(pass, part, self.n_units));
            Timed { name: "draw sources", record }
        };
        Ok((0..drawn.groups.len()).map(part).collect())
    }

    /// Hands the spikes of a step on to its slot.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>, step: usize, uniform_offset: u32) {
        self.list.dispatch(pass, &self.groups[step], uniform_offset, self.list.workgroups_for(self.n_units));
    }

    /// Sets what the units see in each trial of a batch of `n_trials`: takes what its own trials see.
    pub(super) fn set_stimulus(&self, batch: &SourceDrive<'_>, n_trials: usize) -> Result<()> {
        let lengths = [batch.amplitude.len(), batch.group_trials.len(), batch.frames.len()];
        match &self.spikes {
            Spikes::Drawn(drawn)
                if lengths == [drawn.n_subfields, 1, drawn.n_steps].map(|n| n * n_trials) =>
            {
                drawn.set_stimulus(batch, n_trials);
                Ok(())
            }
            _ => Err(Error::Failed("this simulation takes no stimulus of that shape".to_owned())),
        }
    }

    /// Sets the spikes of the units in every batch to come: takes those of its own trials.
    pub(super) fn set_spikes(&self, batch: &SpikeList) -> Result<()> {
        let list = batch.of_trials(&self.trials);
        match &self.spikes {
            Spikes::Given(replay) if 4 * list.words.len() as u64 <= replay.bytes() => {
                replay.write(0, &list.words);
                Ok(())
            }
            _ => Err(Error::Failed("this simulation takes no list of so many spikes".to_owned())),
        }
    }
}

/// Most iterations of loops that a thread of the draw spends on a step: of four groups at most the step and the loops of one turn, each
/// with the test that ends it.
const ITERATIONS_PER_STEP: usize = 4 * 8;
const WORKGROUP: (&str, f64) = ("WORKGROUP_SIZE", NEURON_WORKGROUP as f64);

impl Drawn {
    fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        network: &Network,
        settings: &Settings,
        filters: &SourceFilters<'_>,
    ) -> Result<Self> {
        let (n_trials, n_steps) = (layout.n_trials, settings.n_steps);
        let n_units = (layout.n_lgn + layout.n_background).max(1);
        let n_amplitudes = n_trials * filters.baseline_hz.len();
        let most_mask_bytes = gpu.adapter().max_binding_bytes.min(gpu.adapter().max_buffer_bytes);
        let steps_per_draw = n_steps
            .min(MAX_LOOP_ITERATIONS as usize / ITERATIONS_PER_STEP)
            .min(most_mask_bytes as usize / (4 * n_units))
            .max(1);
        let masks = (0..n_steps.div_ceil(steps_per_draw))
            .map(|i| (n_steps - i * steps_per_draw).min(steps_per_draw) * n_units)
            .map(|n_words| Buffer::storage(gpu, "spikes of all sources", n_words))
            .collect::<Result<_>>()?;
        let name = "source_forward";
        let first = settings.of_batch.first;
        let lead = first % DRAW_TRIALS;
        let constants = [
            WORKGROUP,
            ("STEPS", steps_per_draw as f64),
            ("FIRST_BLOCK", (first / DRAW_TRIALS + layout.first_trial / DRAW_TRIALS) as f64),
            ("LEAD", lead as f64),
        ];
        Ok(Self {
            kernel: Kernel::new(gpu, name, &assemble(name, layout)?, &constants)?,
            amplitude: Buffer::storage(gpu, "LGN amplitudes", 2 * n_amplitudes)?,
            group_trials: Buffer::storage(gpu, "groups of trials", n_trials)?,
            frames: Buffer::storage(gpu, "stimulus frames", 4 * n_steps * n_trials)?,
            filter_sum: Buffer::storage(gpu, "LGN state", 2 * n_amplitudes)?,
            taps: Buffer::storage_of(gpu, "LGN filters", filters.taps_hz)?,
            subfields: Buffer::storage_of(gpu, "LGN subfields", &subfield_table(network, filters))?,
            steps_per_draw,
            masks,
            groups: Vec::new(),
            n_subfields: filters.baseline_hz.len(),
            trials: layout.trials(),
            n_blocks: (lead + n_trials).div_ceil(DRAW_TRIALS),
            n_steps,
        })
    }

    /// Takes from what the trials of a batch see what its own see, with the groups that these belong to.
    fn set_stimulus(&self, batch: &SourceDrive<'_>, n_trials: usize) {
        let own = |n: usize| self.trials.start * n..self.trials.end * n;
        let masks = batch.group_trials.iter().map(|mask| mask_of_trials(*mask, &self.trials));
        let (groups, mut masks): (Vec<usize>, Vec<u32>) =
            masks.enumerate().filter(|(_, mask)| *mask != 0).unzip();
        masks.resize(self.trials.len(), 0);
        let of_groups = |of_step: &[[f32; 4]]| {
            let mut frames: Vec<[f32; 4]> = groups.iter().map(|group_ix| of_step[*group_ix]).collect();
            frames.resize(self.trials.len(), [0.0; 4]);
            frames
        };
        let frames: Vec<[f32; 4]> = batch.frames.chunks_exact(n_trials).flat_map(of_groups).collect();
        self.amplitude.write(0, &batch.amplitude[own(self.n_subfields)]);
        self.group_trials.write(0, &masks);
        self.frames.write(0, &frames);
    }

    /// Records the dispatch that fills buffer `part` of the masks.
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, part: usize, n_units: usize) {
        let offset = part * self.steps_per_draw * UNIFORM_STRIDE;
        let workgroups = self.kernel.workgroups_for(n_units * self.n_blocks);
        self.kernel.dispatch(pass, &self.groups[part], offset as u32, workgroups);
    }

    fn bind(&self, uniform: &Buffer, masks: &Buffer) -> Result<BindGroup> {
        self.kernel.bind(&[
            ("step", uniform),
            ("taps_hz", &self.taps),
            ("subfields", &self.subfields),
            ("amplitude", &self.amplitude),
            ("group_trials", &self.group_trials),
            ("frames", &self.frames),
            ("filter_sum", &self.filter_sum),
            ("masks", masks),
        ])
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

//! Where the spikes of LGN and background units come from.

use std::sync::Arc;

use super::layout::Layout;
use super::shaders::assemble;
use crate::error::{Error, Result};
use crate::gpu::{BindGroup, Buffer, Gpu, Kernel};

/// Spikes of the sources that are not neurons.
#[derive(Clone, Copy, Debug)]
pub enum SourceSpikes<'a> {
    /// There are no such sources.
    None,
    /// Given spikes: masks of trials, `[n_steps][n_lgn + n_background]`.
    Replay(&'a [u32]),
    /// Spikes drawn on the device from what the LGN units see of the stimulus ([`super::Simulation::set_stimulus`]).
    Drawn(SourceFilters<'a>),
}

/// Linear filters of the LGN units (MODEL.md, S3 and S4) and the background's rate. Subfields are numbered: subfield `u` is
/// the dominant one of LGN unit `u`, the second ones follow.
#[derive(Clone, Copy, Debug)]
pub struct SourceFilters<'a> {
    /// Gain times temporal filter, Hz per unit contrast and ms, `[lag ms][n_subfields]`; the last row is zero.
    pub taps_hz: &'a [f32],
    /// Rate of each subfield under a grey screen, Hz, `[n_subfields]`.
    pub baseline_hz: &'a [f32],
    /// Second subfield of each LGN unit, `u32::MAX` where it has none, `[n_lgn]`.
    pub second_ix: &'a [u32],
    /// Rate of every background unit, Hz.
    pub background_hz: f32,
}

/// The kernel that makes the sources' spikes, bound once for each slot of the tape.
#[derive(Debug)]
pub(super) struct SourceKernel {
    kernel: Kernel,
    groups: Vec<BindGroup>,
    n_units: usize,
    drawn: Option<Drawn>,
}

/// What drawn spikes need beside their kernel.
#[derive(Debug)]
struct Drawn {
    amplitude: Buffer,
    frames: Buffer,
    /// The running sums K: the whole state of the LGN units.
    filter_sum: Buffer,
    checkpoints: Vec<Buffer>,
    n_amplitudes: usize,
    n_frames: usize,
}

impl SourceKernel {
    /// `spikes` are the spikes buffers of the slots.
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        sources: &SourceSpikes<'_>,
        uniform: &Buffer,
        spikes: &[&Buffer],
        n_steps: usize,
        n_segments: usize,
    ) -> Result<Option<Self>> {
        let n_units = layout.n_lgn + layout.n_background;
        let compile =
            |name: &str| Kernel::new(gpu, name, &assemble(name, layout)?, &[("WORKGROUP_SIZE", 64.0)]);
        match sources {
            SourceSpikes::None => Ok(None),
            SourceSpikes::Replay(masks) => {
                let kernel = compile("source_replay_forward")?;
                let replay = Buffer::storage_of(gpu, "source replay", masks)?;
                let groups = spikes
                    .iter()
                    .map(|spikes| kernel.bind(&[("step", uniform), ("replay", &replay), ("spikes", spikes)]))
                    .collect::<Result<_>>()?;
                Ok(Some(Self { kernel, groups, n_units, drawn: None }))
            }
            SourceSpikes::Drawn(filters) => {
                let kernel = compile("source_forward")?;
                let taps = Buffer::storage_of(gpu, "LGN filters", filters.taps_hz)?;
                let units = Buffer::storage_of(gpu, "LGN units", &unit_table(layout, filters))?;
                let drawn = Drawn::new(gpu, layout, filters.baseline_hz.len(), n_steps, n_segments)?;
                let groups = spikes
                    .iter()
                    .map(|spikes| {
                        kernel.bind(&[
                            ("step", uniform),
                            ("taps_hz", &taps),
                            ("units", &units),
                            ("amplitude", &drawn.amplitude),
                            ("frames", &drawn.frames),
                            ("filter_sum", &drawn.filter_sum),
                            ("spikes", spikes),
                        ])
                    })
                    .collect::<Result<_>>()?;
                Ok(Some(Self { kernel, groups, n_units, drawn: Some(drawn) }))
            }
        }
    }

    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>, slot: usize, uniform_offset: u32) {
        let workgroups = self.kernel.workgroups_for(self.n_units);
        self.kernel.dispatch(pass, &self.groups[slot], uniform_offset, workgroups);
    }

    /// Sets what the units see in each trial; see [`super::Simulation::set_stimulus`].
    pub(super) fn set_stimulus(&self, amplitude: &[[f32; 2]], frames: &[[f32; 4]]) -> Result<()> {
        match &self.drawn {
            Some(drawn) if amplitude.len() == drawn.n_amplitudes && frames.len() == drawn.n_frames => {
                drawn.amplitude.write(0, amplitude);
                drawn.frames.write(0, frames);
                Ok(())
            }
            _ => Err(Error::Failed("this simulation takes no stimulus of that shape".to_owned())),
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
    fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        n_subfields: usize,
        n_steps: usize,
        n_segments: usize,
    ) -> Result<Self> {
        let n_amplitudes = n_subfields * layout.n_trials;
        let n_frames = n_steps * layout.n_trials;
        let checkpoint = |_| Buffer::storage(gpu, "LGN checkpoint", 2 * n_amplitudes);
        Ok(Self {
            amplitude: Buffer::storage(gpu, "LGN amplitudes", 2 * n_amplitudes)?,
            frames: Buffer::storage(gpu, "stimulus frames", 4 * n_frames)?,
            filter_sum: Buffer::storage(gpu, "LGN state", 2 * n_amplitudes)?,
            checkpoints: (0..n_segments).map(checkpoint).collect::<Result<_>>()?,
            n_amplitudes,
            n_frames,
        })
    }
}

/// `units` of `shaders/source_forward.wgsl`: subfields, then background units; bits of the baseline rate and the second subfield.
fn unit_table(layout: &Layout, filters: &SourceFilters<'_>) -> Vec<[u32; 2]> {
    let second = |subfield: usize| filters.second_ix.get(subfield).copied().unwrap_or(u32::MAX);
    let subfields = filters.baseline_hz.iter().enumerate().map(|(i, hz)| [hz.to_bits(), second(i)]);
    subfields
        .chain(std::iter::repeat_n([filters.background_hz.to_bits(), u32::MAX], layout.n_background))
        .collect()
}

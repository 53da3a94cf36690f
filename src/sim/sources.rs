//! Where the spikes of LGN and background units come from.

use std::sync::Arc;

use super::layout::Layout;
use super::shaders::assemble;
use crate::error::Result;
use crate::gpu::{BindGroup, Buffer, Gpu, Kernel};

/// Spikes of the sources that are not neurons.
#[derive(Debug)]
pub enum SourceSpikes<'a> {
    /// There are no such sources.
    None,
    /// Given spikes: masks of trials, `[n_steps][n_lgn + n_background]`.
    Replay(&'a [u32]),
}

/// The kernel that plays the sources' spikes, bound once for each slot of the tape.
#[derive(Debug)]
pub(super) struct SourceKernel {
    kernel: Kernel,
    groups: Vec<BindGroup>,
    n_units: usize,
}

impl SourceKernel {
    /// `spikes` are the spikes buffers of the slots.
    pub(super) fn new(
        gpu: &Arc<Gpu>,
        layout: &Layout,
        sources: &SourceSpikes<'_>,
        uniform: &Buffer,
        spikes: &[&Buffer],
    ) -> Result<Option<Self>> {
        match sources {
            SourceSpikes::None => Ok(None),
            SourceSpikes::Replay(masks) => {
                let name = "source_replay_forward";
                let kernel = Kernel::new(gpu, name, &assemble(name, layout)?, &[("WORKGROUP_SIZE", 64.0)])?;
                let replay = Buffer::storage_of(gpu, "source replay", masks)?;
                let groups = spikes
                    .iter()
                    .map(|spikes| kernel.bind(&[("step", uniform), ("replay", &replay), ("spikes", spikes)]))
                    .collect::<Result<_>>()?;
                Ok(Some(Self { kernel, groups, n_units: layout.n_lgn + layout.n_background }))
            }
        }
    }

    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>, slot: usize, uniform_offset: u32) {
        self.kernel.dispatch(
            pass,
            &self.groups[slot],
            uniform_offset,
            self.kernel.workgroups_for(self.n_units),
        );
    }
}

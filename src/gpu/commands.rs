//! Work recorded for one submission: clears, copies and compute passes, in the order in which they were recorded.

use super::{Buffer, Gpu};
use crate::error::Result;

/// Commands that are being recorded; nothing runs before [`Commands::submit`].
pub struct Commands<'a> {
    gpu: &'a Gpu,
    encoder: wgpu::CommandEncoder,
    label: &'a str,
}

impl Gpu {
    /// Starts to record a submission.
    pub fn commands<'a>(&'a self, label: &'a str) -> Commands<'a> {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some(label) };
        Commands { gpu: self, encoder: self.device.create_command_encoder(&descriptor), label }
    }

    /// Records one compute pass and submits it, without waiting for its end.
    pub fn submit(&self, label: &str, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) -> Result<()> {
        let mut commands = self.commands(label);
        commands.pass(record);
        commands.submit()
    }
}

impl Commands<'_> {
    /// Sets every word of a buffer to zero.
    pub fn clear(&mut self, buffer: &Buffer) {
        self.encoder.clear_buffer(&buffer.raw, 0, None);
    }

    /// Copies `n_words` from word `from_word` of `from` to word `to_word` of `to`.
    pub fn copy(&mut self, to: &Buffer, to_word: usize, from: &Buffer, from_word: usize, n_words: usize) {
        let bytes = |words: usize| words as u64 * 4;
        self.encoder.copy_buffer_to_buffer(
            &from.raw,
            bytes(from_word),
            &to.raw,
            bytes(to_word),
            bytes(n_words),
        );
    }

    /// Records a compute pass.
    pub fn pass(&mut self, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some(self.label), timestamp_writes: None };
        record(&mut self.encoder.begin_compute_pass(&descriptor));
    }

    /// Hands everything to the device, without waiting for its end.
    ///
    /// # Errors
    /// [`crate::Error::Device`] with what the driver refused.
    pub fn submit(self) -> Result<()> {
        let (gpu, label) = (self.gpu, self.label);
        self.finish();
        gpu.check(label)
    }

    /// The same; what the driver refuses is found by the next check.
    pub(super) fn finish(self) {
        self.gpu.queue.submit([self.encoder.finish()]);
    }
}

//! Time that single passes take on the device, by its timestamps. For `simrun measure`; a run never asks for it.

use std::sync::Arc;

use super::{Buffer, Gpu};
use crate::error::{Error, Result};

/// What one pass records.
pub type PassRecord<'a> = Box<dyn FnOnce(&mut wgpu::ComputePass<'_>) + 'a>;

/// Passes of one submission: two timestamps each, of which a query set holds 4,096.
const MAX_PASSES: usize = 2048;

impl Gpu {
    /// Runs passes one after the other and returns how long each took on the device, ms.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter has no timestamps.
    pub fn time_passes(self: &Arc<Self>, passes: Vec<PassRecord<'_>>) -> Result<Vec<f64>> {
        if !self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let reason = "the adapter has no timestamps".to_owned();
            return Err(Error::Device { context: "timing".to_owned(), reason });
        }
        let mut ms = Vec::with_capacity(passes.len());
        let mut passes = passes.into_iter();
        while passes.len() > 0 {
            ms.extend(self.time_submission(passes.by_ref().take(MAX_PASSES).collect())?);
        }
        Ok(ms)
    }

    /// The same for at most [`MAX_PASSES`] passes, in one submission.
    fn time_submission(self: &Arc<Self>, passes: Vec<PassRecord<'_>>) -> Result<Vec<f64>> {
        let n = passes.len();
        let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * n as u32,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = Buffer::raw(self, "timestamps", 16 * n as u64, usage)?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (i, record) in passes.into_iter().enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("timed"),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(2 * i as u32),
                    end_of_pass_write_index: Some(2 * i as u32 + 1),
                }),
            });
            record(&mut pass);
        }
        encoder.resolve_query_set(&queries, 0..2 * n as u32, &resolved.raw, 0);
        self.queue.submit([encoder.finish()]);
        let ticks: Vec<u64> = resolved.read(0, 2 * n)?;
        let ms_per_tick = f64::from(self.queue.get_timestamp_period()) * 1e-6;
        Ok(ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * ms_per_tick).collect())
    }
}

//! Storage and uniform buffers, with their limits, and copies to and from the host.

use std::sync::Arc;
use std::sync::mpsc;

use super::Gpu;
use crate::error::{Error, Result};

/// A buffer on the device.
#[derive(Debug)]
pub struct Buffer {
    pub(super) raw: wgpu::Buffer,
    gpu: Arc<Gpu>,
    label: String,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.gpu.discount_buffer(&self.label, self.raw.size());
    }
}

impl Buffer {
    /// A zeroed storage buffer of `n_words` 32-bit words (at least one).
    ///
    /// # Errors
    /// [`Error::AdapterTooSmall`] if it exceeds the adapter's buffer or binding limit.
    pub fn storage(gpu: &Arc<Gpu>, label: &str, n_words: usize) -> Result<Self> {
        let bytes = Self::check_size(gpu, label, n_words)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        Self::raw(gpu, label, bytes, usage)
    }

    /// Size in bytes of a storage buffer of `n_words` words, if the adapter can bind it.
    ///
    /// # Errors
    /// [`Error::AdapterTooSmall`] if it exceeds the adapter's buffer or binding limit.
    pub fn check_size(gpu: &Gpu, label: &str, n_words: usize) -> Result<u64> {
        let bytes = (n_words.max(1) * 4) as u64;
        let limits = [
            ("largest storage binding", gpu.adapter().max_binding_bytes),
            ("largest buffer", gpu.adapter().max_buffer_bytes),
        ];
        for (limit_name, limit_bytes) in limits {
            if bytes > limit_bytes {
                return Err(Error::AdapterTooSmall {
                    adapter: gpu.adapter().name.clone(),
                    buffer: label.to_owned(),
                    need_bytes: bytes,
                    limit_name: limit_name.to_owned(),
                    limit_bytes,
                });
            }
        }
        Ok(bytes)
    }

    /// A storage buffer that holds `data`.
    pub fn storage_of<T: bytemuck::NoUninit>(gpu: &Arc<Gpu>, label: &str, data: &[T]) -> Result<Self> {
        let buffer = Self::storage(gpu, label, size_of_val(data).div_ceil(4))?;
        buffer.write(0, data);
        Ok(buffer)
    }

    /// A uniform buffer of `n_bytes`.
    pub fn uniform(gpu: &Arc<Gpu>, label: &str, n_bytes: usize) -> Result<Self> {
        Self::raw(gpu, label, n_bytes as u64, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST)
    }

    pub(super) fn raw(gpu: &Arc<Gpu>, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<Self> {
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let descriptor =
            wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let raw = gpu.device.create_buffer(&descriptor);
        let refused = pollster::block_on(scope.pop()).is_some();
        if refused || !gpu.has_room(size) {
            return Err(Error::NoMemory {
                adapter: gpu.adapter().name.clone(),
                buffer: label.to_owned(),
                need_bytes: size,
                allocated_bytes: gpu.allocated_bytes(),
            });
        }
        gpu.count_buffer(label, size);
        Ok(Self { raw, gpu: Arc::clone(gpu), label: label.to_owned() })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.raw.size()
    }

    /// Writes `data` from word `offset_words` on, before the next submission.
    pub fn write<T: bytemuck::NoUninit>(&self, offset_words: usize, data: &[T]) {
        // One staging allocation a write: keep it small beside the buffers themselves.
        const CHUNK_BYTES: usize = 16 << 20;
        let bytes: &[u8] = bytemuck::cast_slice(data);
        for (i, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            let offset = (offset_words * 4 + i * CHUNK_BYTES) as u64;
            self.gpu.queue.write_buffer(&self.raw, offset, chunk);
            if bytes.len() > CHUNK_BYTES {
                // Flush, so that the staging memory of a large upload is used again.
                self.gpu.queue.submit([]);
            }
        }
    }

    /// Sets every word to zero, in order with submissions.
    pub fn clear(&self) {
        let mut commands = self.gpu.commands("clear");
        commands.clear(self);
        commands.finish();
    }

    /// Reads `n_items` from word `offset_words` on, waiting for all that was submitted.
    pub fn read<T: bytemuck::Pod>(&self, offset_words: usize, n_items: usize) -> Result<Vec<T>> {
        if n_items == 0 {
            return Ok(Vec::new());
        }
        let words_per_item = size_of::<T>() / 4;
        let download = Download::new(&self.gpu, n_items * words_per_item)?;
        download.read(self, offset_words)
    }

    /// Name of the buffer.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// A staging buffer that is used again for reads of one size.
#[derive(Debug)]
pub struct Download {
    staging: wgpu::Buffer,
    gpu: Arc<Gpu>,
}

impl Download {
    /// Staging memory for `n_words`.
    pub fn new(gpu: &Arc<Gpu>, n_words: usize) -> Result<Self> {
        let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("download"),
            size: (n_words.max(1) * 4) as u64,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.check("allocating a download buffer")?;
        Ok(Self { staging, gpu: Arc::clone(gpu) })
    }

    /// Reads the whole staging size from `source`, from word `offset_words` on.
    pub fn read<T: bytemuck::Pod>(&self, source: &Buffer, offset_words: usize) -> Result<Vec<T>> {
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(
            &source.raw,
            offset_words as u64 * 4,
            &self.staging,
            0,
            self.staging.size(),
        );
        self.gpu.queue.submit([encoder.finish()]);
        let failed = |reason: String| Error::Device { context: format!("reading {}", source.label), reason };
        let (sender, receiver) = mpsc::channel();
        self.staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver lives until the wait below returns.
            let _ = sender.send(result);
        });
        self.gpu.wait(&source.label)?;
        receiver.recv().map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
        let view = self.staging.slice(..).get_mapped_range().map_err(|e| failed(e.to_string()))?;
        let data = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        self.staging.unmap();
        Ok(data)
    }
}

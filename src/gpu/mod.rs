//! wgpu and nothing else: adapters, buffers, kernels. This module knows nothing of what is computed.

mod buffer;
mod context;
mod kernel;

pub use buffer::{Buffer, Download};
pub use context::{AdapterDescription, BufferGroup, Gpu, list_adapters};
pub use kernel::{BindGroup, Kernel};

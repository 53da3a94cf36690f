//! wgpu and nothing else: adapters, buffers, kernels. This module knows nothing of what is computed.

mod buffer;
mod commands;
mod context;
mod kernel;
mod self_test;
mod timing;

pub use buffer::{Buffer, Download};
pub use commands::Commands;
pub use context::{AdapterDescription, BufferGroup, Gpu, MAX_LOOP_ITERATIONS, list_adapters};
pub use kernel::{BindGroup, Kernel};
pub use self_test::{SelfTests, self_test};
pub use timing::PassRecord;

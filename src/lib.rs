//! A differentiable simulator of biologically constrained cortical circuits: WGSL kernels forward and backward through wgpu,
//! on any GPU that Vulkan, Metal or DX12 reaches, or on two cores.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! use simrun::{Destination, Options, Plan, RunFolder, shipped};
//!
//! # fn main() -> simrun::Result<()> {
//! // A scene is what a user writes, a plan the same, checked. This one is within the program: a column of mouse V1.
//! let plan = Plan::read(&shipped::scene("column"), &["network.radius_um=60".to_owned()])?;
//! let folder = Destination::New(RunFolder::claim("runs/small".as_ref())?);
//! let options = Options { training_steps: Some(10), ..Options::default() };
//! // Ten training steps; the table of rates and selectivity beside the recordings.
//! println!("{}", simrun::train(&plan, folder, &options, &AtomicBool::new(false))?);
//! # Ok(())
//! # }
//! ```
//!
//! | want | take | example |
//! |---|---|---|
//! | train a scene | [`Plan`], [`train`](fn@train), [`RunFolder`] | `examples/train.rs` |
//! | simulate a network of your own | [`Network::from_edges`], [`Dynamics`], [`Simulation`] | `examples/own_network.rs` |
//! | a gradient | [`Simulation::adjoint`], and the same in f64: [`mod@reference`] | `examples/gradient.rs` |
//! | spikes as files | [`TrialSpikes`] | `examples/spikes.rs` |
//!
//! The equations, the code map and the results are in the repository: `docs/model.md`, `ARCHITECTURE.md`, `docs/results/`.
//! What is not on this page belongs to the program `simrun` and its tests, and may change with any version.

// What is said on a terminal that is gone must not end the program: output::say.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

#[doc(hidden)]
pub mod adapt;
#[doc(hidden)]
pub mod calibrate;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod evaluate;
#[doc(hidden)]
pub mod experiment;
#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod figures;
#[doc(hidden)]
pub mod gpu;
#[doc(hidden)]
pub mod hdf5;
#[doc(hidden)]
pub mod import;
#[doc(hidden)]
pub mod loss;
#[doc(hidden)]
pub mod measure;
#[doc(hidden)]
pub mod memory;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod network;
#[doc(hidden)]
pub mod output;
#[doc(hidden)]
pub mod patch;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod ranks;
pub mod reference;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod results;
#[doc(hidden)]
pub mod scene;
#[doc(hidden)]
pub mod setup;
pub mod shipped;
#[doc(hidden)]
pub mod sim;
#[doc(hidden)]
pub mod sonata;
#[doc(hidden)]
pub mod stimulus;
#[doc(hidden)]
pub mod train;

#[doc(inline)]
pub use error::{Error, Result};
#[doc(inline)]
pub use gpu::Gpu;
#[doc(inline)]
pub use model::Dynamics;
#[doc(inline)]
pub use network::{Edge, Network, tables::Tables};
#[doc(inline)]
pub use output::{RunFolder, spikes::TrialSpikes};
#[doc(inline)]
pub use plan::Plan;
#[doc(inline)]
pub use sim::{Probe, Settings, Simulation, SourceSpikes};
#[doc(inline)]
pub use train::{Destination, Options, run as train};

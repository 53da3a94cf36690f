//! The WGSL sources and their assembly: `//!include` lines, then the constants of the layout in front.

use super::layout::Layout;
use crate::error::{Error, Result};

macro_rules! sources {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../shaders/", $name, ".wgsl")))),*] };
}

/// Every kernel: its file name in `shaders/` without `.wgsl`, and its source.
pub const KERNELS: &[(&str, &str)] = sources![
    "neuron_point_forward",
    "neuron_point_adjoint",
    "neuron_two_compartment_forward",
    "neuron_two_compartment_adjoint",
    "spread_forward",
    "gather_adjoint",
    "weight_gradient",
    "source_forward",
    "source_list_forward",
    "source_replay_forward",
    "sample_weights_forward",
    "sample_weights_adjoint",
    "trial_sums",
    "gradient_sums",
    "update_weights",
];

/// Threads of a workgroup in kernels with one thread a neuron or source.
pub const NEURON_WORKGROUP: u32 = 64;

/// Threads of a workgroup in kernels whose workgroups walk rows: on software and on hardware. Software Vulkan runs a
/// workgroup of its subgroup's width without switching between parts of it.
pub const ROW_WORKGROUPS: [u32; 2] = [8, 64];

/// Every include.
pub const INCLUDES: &[(&str, &str)] = sources![
    "shared/step",
    "shared/tables",
    "shared/status",
    "shared/rng",
    "shared/psi",
    "shared/rows",
    "shared/neuron_forward",
    "shared/neuron_adjoint",
    "shared/list_source",
    "shared/structure",
];

fn find(table: &[(&str, &'static str)], name: &str) -> Result<&'static str> {
    table.iter().find(|(n, _)| *n == name).map(|(_, text)| *text).ok_or_else(|| Error::Device {
        context: "assembling a kernel".to_owned(),
        reason: format!("there is no shader '{name}'"),
    })
}

/// The whole WGSL text of a kernel for one network.
pub fn assemble(name: &str, layout: &Layout) -> Result<String> {
    let mut text = layout.prelude();
    for line in find(KERNELS, name)?.lines() {
        match line.strip_prefix("//!include ") {
            Some(path) => text.push_str(find(INCLUDES, path.trim().trim_end_matches(".wgsl"))?),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(text)
}

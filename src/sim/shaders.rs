//! The WGSL sources and their assembly: the constants of the layout in front, then the kernel with its `//!` lines carried out.
//!
//! - `//!include FILE` puts in another file.
//! - `//!membrane PART` puts in a part of the membrane's file in `shaders/membrane/`: the lines after its `//!part PART`, up to the next.
//! - `//!for p in LIST` .. `//!end` repeats the lines between for every number of a list of the layout, with the number in place of
//!   `#p`. `//!for p in LIST of c` takes the list that belongs to the number of an outer block. So what a network has several of
//!   (ports, classes, pieces of a record) stands in a kernel as straight-line text: no loop, no array, and no gain that is zero.

use super::layout::Layout;
use crate::error::{Error, Result};

macro_rules! sources {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../shaders/", $name, ".wgsl")))),*] };
}

/// Every kernel: its file name in `shaders/` without `.wgsl`, and its source.
pub const KERNELS: &[(&str, &str)] = sources![
    "neuron_forward",
    "neuron_adjoint",
    "spread_forward",
    "gather_adjoint",
    "weight_gradient",
    "source_forward",
    "source_list_forward",
    "source_replay_forward",
    "sample_weights_forward",
    "sample_weights_adjoint",
    "gradient_sums",
    "keep_weights",
    "update_weights",
];

/// Threads of a workgroup in kernels with one thread a neuron or source.
pub const NEURON_WORKGROUP: u32 = 64;

/// Most threads of a workgroup in the neuron kernels.
pub const MAX_NEURON_WORKGROUP: u32 = 128;

/// Threads of a workgroup in the neuron kernels, where `trial_threads` share a neuron: all threads of a neuron are in one workgroup.
pub const fn neuron_workgroup(trial_threads: u32) -> u32 {
    if trial_threads == 1 { NEURON_WORKGROUP } else { trial_threads * (MAX_NEURON_WORKGROUP / trial_threads) }
}

/// Threads of a workgroup in kernels whose workgroups walk edges: on software and on hardware. Software Vulkan runs a
/// workgroup of its subgroup's width without switching between parts of it.
pub const EDGE_WORKGROUPS: [u32; 2] = [8, 128];

/// Threads that share a row in the gather: on software, on hardware with many rows and with few. A row a thread needs no sum over
/// threads, which takes software longer than the edges do.
pub const GATHER_LANES: [u32; 3] = [1, 8, 32];

/// Threads that share a row where it is added up by type: on software and on hardware.
pub const SUM_LANES: [u32; 2] = [8, 32];

/// Every include.
pub const INCLUDES: &[(&str, &str)] = sources![
    "shared/step",
    "shared/tables",
    "shared/status",
    "shared/rng",
    "shared/psi",
    "shared/neuron_constants",
    "shared/rows",
    "shared/records",
    "shared/packing",
    "shared/chunks",
    "shared/list_source",
    "shared/structure",
];

fn failed(reason: String) -> Error {
    Error::Device { context: "assembling a kernel".to_owned(), reason }
}

fn find(table: &[(&str, &'static str)], name: &str) -> Result<&'static str> {
    let found = table.iter().find(|(n, _)| *n == name).map(|(_, text)| *text);
    found.ok_or_else(|| failed(format!("there is no shader '{name}'")))
}

/// The whole WGSL text of a kernel for one network.
pub fn assemble(name: &str, layout: &Layout) -> Result<String> {
    let mut lines = Vec::new();
    include(find(KERNELS, name)?.lines(), layout, &mut lines)?;
    let mut text = layout.prelude();
    repeat(&lines, layout, &mut Vec::new(), &mut text)?;
    Ok(text)
}

/// Appends lines with those of the files and parts that they put in.
fn include(
    file: impl Iterator<Item = &'static str>,
    layout: &Layout,
    lines: &mut Vec<&'static str>,
) -> Result<()> {
    for line in file {
        if let Some(path) = line.strip_prefix("//!include ") {
            include(find(INCLUDES, path.trim().trim_end_matches(".wgsl"))?.lines(), layout, lines)?;
        } else if let Some(part) = line.strip_prefix("//!membrane ") {
            lines.extend(membrane_part(layout.membrane.wgsl, part.trim())?);
        } else {
            lines.push(line);
        }
    }
    Ok(())
}

/// The lines of a part of a membrane's file.
fn membrane_part(membrane: &'static str, part: &str) -> Result<impl Iterator<Item = &'static str>> {
    let mut lines = membrane.lines();
    let found = lines.any(|line| line.strip_prefix("//!part ").is_some_and(|name| name.trim() == part));
    let missing = || failed(format!("a membrane has no part '{part}'"));
    found.then(|| lines.take_while(|line| !line.starts_with("//!part "))).ok_or_else(missing)
}

/// Appends lines with their blocks repeated; `numbers` are those of the blocks around them.
fn repeat<'a>(
    lines: &[&'a str],
    layout: &Layout,
    numbers: &mut Vec<(&'a str, usize)>,
    text: &mut String,
) -> Result<()> {
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let Some(head) = line.trim_start().strip_prefix("//!for ") else {
            let put_in =
                |line: String, (name, n): &(&str, usize)| line.replace(&format!("#{name}"), &n.to_string());
            text.push_str(&numbers.iter().fold((*line).to_owned(), put_in));
            text.push('\n');
            continue;
        };
        let block = &lines[at..at + block_length(&lines[at..], head)?];
        at += block.len() + 1;
        let words: Vec<&str> = head.split_whitespace().collect();
        let (name, list, of) = match words[..] {
            [name, "in", list] => (name, list, None),
            [name, "in", list, "of", outer] => {
                (name, list, numbers.iter().find(|(n, _)| *n == outer).map(|(_, n)| *n))
            }
            _ => {
                return Err(failed(format!(
                    "'//!for {head}' is not 'NAME in LIST' or 'NAME in LIST of OUTER'"
                )));
            }
        };
        let list =
            layout.list(list, of).ok_or_else(|| failed(format!("'//!for {head}': there is no such list")))?;
        for n in list {
            numbers.push((name, n));
            repeat(block, layout, numbers, text)?;
            numbers.pop();
        }
    }
    Ok(())
}

/// Lines before the `//!end` of a block.
fn block_length(lines: &[&str], head: &str) -> Result<usize> {
    let mut depth = 1;
    for (i, line) in lines.iter().enumerate() {
        match line.trim_start() {
            line if line.starts_with("//!for ") => depth += 1,
            line if line.starts_with("//!end") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(i);
        }
    }
    Err(failed(format!("'//!for {head}' has no '//!end'")))
}

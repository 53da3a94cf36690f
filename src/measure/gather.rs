//! Forms of the gather on made-up rows: how wide its loads are, how a record is stored, and how many lanes share a row.
//!
//! A row adds up the records of its targets, each times a weight, for ten trials at once. Every form computes the same sums but for
//! their rounding, which the first row of each is held against.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::gpu::{Buffer, Gpu, Kernel, PassRecord};

use super::least_ms;
use crate::error::{Error, Result};

/// Targets of the rows, trials, and edges of a row, as in `v1_67k`.
const N_TARGETS: usize = 66_652;
const N_TRIALS: usize = 10;
const ROW_EDGES: usize = 366;
const LANES: [usize; 5] = [4, 8, 16, 32, 64];
const N_TURNS: usize = 5;

/// How a record is stored and read.
struct Form {
    name: &'static str,
    words: usize,
    kind: &'static str,
    /// Adds `weight` times the record at `at` (in its own unit) to the sums.
    add: String,
    sums: &'static str,
    /// The ten sums, by name.
    totals: [&'static str; N_TRIALS],
}

fn forms() -> [Form; 3] {
    let scalars = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"];
    let wide = ["a.x", "a.y", "a.z", "a.w", "b.x", "b.y", "b.z", "b.w", "c.x", "c.y"];
    let packed = ["a.x", "a.y", "a.z", "a.w", "e", "b.x", "b.y", "b.z", "b.w", "f"];
    [
        Form {
            name: "f32, ten loads",
            words: 10,
            kind: "f32",
            add: (0..N_TRIALS).map(|t| format!("s{t} += weight * records[at + {t}u]; ")).collect(),
            sums: "var s0 = 0.0; var s1 = 0.0; var s2 = 0.0; var s3 = 0.0; var s4 = 0.0; var s5 = 0.0; var s6 = 0.0; \
                   var s7 = 0.0; var s8 = 0.0; var s9 = 0.0;",
            totals: scalars,
        },
        Form {
            name: "f32, three vec4",
            words: 12,
            kind: "vec4<f32>",
            add: "a += weight * records[at]; b += weight * records[at + 1u]; c += weight * records[at + 2u];"
                .to_owned(),
            sums: "var a = vec4<f32>(); var b = vec4<f32>(); var c = vec4<f32>();",
            totals: wide,
        },
        Form {
            name: "f24, two vec4",
            words: 8,
            kind: "vec4<u32>",
            add: "let p = records[at]; let q = records[at + 1u]; \
                  a += weight * hi(p); e += weight * lo(p); b += weight * hi(q); f += weight * lo(q);"
                .to_owned(),
            sums: "var a = vec4<f32>(); var b = vec4<f32>(); var e = 0.0; var f = 0.0;",
            totals: packed,
        },
    ]
}

/// The upper 24 bits of an f32, rounded to even.
fn f24(x: f32) -> u32 {
    let bits = x.to_bits();
    (bits + 0x7f + (bits >> 8 & 1)) >> 8
}

impl Form {
    /// The records as this form stores them.
    fn pack(&self, records: &[f32]) -> Vec<u32> {
        records
            .chunks_exact(N_TRIALS)
            .flat_map(|trials| {
                let mut words = vec![0; self.words];
                if self.words == 8 {
                    // Four words of trials above, the bytes of a fifth below.
                    for (words, trials) in words.chunks_exact_mut(4).zip(trials.chunks_exact(5)) {
                        let fifth = f24(trials[4]);
                        for k in 0..4 {
                            words[k] = f24(trials[k]) << 8 | if k < 3 { fifth >> (8 * k) & 0xff } else { 0 };
                        }
                    }
                } else {
                    words.iter_mut().zip(trials).for_each(|(word, x)| *word = x.to_bits());
                }
                words
            })
            .collect()
    }

    fn source(&self, lanes: usize, n_rows: usize) -> String {
        let Self { kind, add, sums, totals, .. } = self;
        let unit = if *kind == "f32" { self.words } else { self.words / 4 };
        let keep: String = totals
            .iter()
            .enumerate()
            .map(|(t, s)| format!("part[{t}u * WORKGROUP_SIZE + lane] = {s}; "))
            .collect();
        format!(
            "const LANES: u32 = {lanes}u;
            @group(0) @binding(0) var<storage, read> edges: array<vec2<u32>>; // target, bits of the weight
            @group(0) @binding(1) var<storage, read> records: array<{kind}>;
            @group(0) @binding(2) var<storage, read_write> sums: array<f32>;
            override WORKGROUP_SIZE: u32 = 64u;
            var<workgroup> part: array<f32, {N_TRIALS}u * WORKGROUP_SIZE>;
            fn hi(v: vec4<u32>) -> vec4<f32> {{ return bitcast<vec4<f32>>(v & vec4<u32>(0xffffff00u)); }}
            fn lo(v: vec4<u32>) -> f32 {{
                return bitcast<f32>((v.x & 0xffu) << 8u | (v.y & 0xffu) << 16u | (v.z & 0xffu) << 24u);
            }}
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {{
                let row = group.x * (WORKGROUP_SIZE / LANES) + lane / LANES;
                {sums}
                if (row < {n_rows}u) {{
                    for (var i = row * {ROW_EDGES}u + lane % LANES; i < (row + 1u) * {ROW_EDGES}u; i += LANES) {{
                        let edge = edges[i];
                        let weight = bitcast<f32>(edge.y);
                        let at = {unit}u * edge.x;
                        {add}
                    }}
                }}
                {keep}
                workgroupBarrier();
                for (var i = lane % LANES; i < {N_TRIALS}u && row < {n_rows}u; i += LANES) {{
                    var total = 0.0;
                    let first = i * WORKGROUP_SIZE + lane - lane % LANES;
                    for (var k = 0u; k < LANES; k++) {{ total += part[first + k]; }}
                    sums[row * {N_TRIALS}u + i] = total;
                }}
            }}"
        )
    }
}

/// Times every form with every number of lanes.
///
/// # Errors
/// What the driver refused, and a form that computes wrongly.
pub(super) fn table(gpu: &Arc<Gpu>) -> Result<String> {
    let n_rows = if gpu.is_software() { 512 } else { N_TARGETS };
    let random = |i: usize| (i as u32).wrapping_mul(2_654_435_761) ^ (i as u32).wrapping_mul(40_503) >> 7;
    let mut edges: Vec<[u32; 2]> = (0..n_rows * ROW_EDGES)
        .map(|i| [random(i) % N_TARGETS as u32, (0.5 + (random(i + 7) % 1000) as f32 * 1e-3).to_bits()])
        .collect();
    edges.chunks_exact_mut(ROW_EDGES).for_each(<[_]>::sort_unstable);
    let values: Vec<f32> =
        (0..N_TARGETS * N_TRIALS).map(|i| (random(i + 3) % 2000) as f32 * 1e-3 + 0.5).collect();
    let expected: Vec<f64> = (0..N_TRIALS).map(|t| row_sum(&edges[..ROW_EDGES], &values, t)).collect();
    let edges = Buffer::storage_of(gpu, "edges", &edges)?;
    let sums = Buffer::storage(gpu, "sums", n_rows * N_TRIALS)?;
    let mut text = format!(
        "| gather of {n_rows} rows of {ROW_EDGES} edges, {N_TRIALS} trials | lanes a row | ms | G edges/s | relative error |\n\
         |---|---|---|---|---|\n"
    );
    for form in forms() {
        let records = Buffer::storage_of(gpu, "records", &form.pack(&values))?;
        for lanes in LANES {
            let size = if gpu.is_software() { 64 } else { 256 };
            let constants = [("WORKGROUP_SIZE", f64::from(size))];
            let kernel = Kernel::new(gpu, "gather form", &form.source(lanes, n_rows), &constants)?;
            let group = kernel.bind(&[("edges", &edges), ("records", &records), ("sums", &sums)])?;
            let n_workgroups = kernel.workgroups_for(n_rows * lanes);
            let record =
                || -> PassRecord<'_> { Box::new(|pass| kernel.dispatch(pass, &group, 0, n_workgroups)) };
            let ms = least_ms(gpu, N_TURNS, record)?;
            let found: Vec<f32> = sums.read(0, N_TRIALS)?;
            let error =
                found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) / b - 1.0).abs()).fold(0.0, f64::max);
            if error > 1e-3 {
                let reason = format!("{} with {lanes} lanes: {found:?} in place of {expected:?}", form.name);
                return Err(Error::Device { context: "measuring the gather".to_owned(), reason });
            }
            let rate = (n_rows * ROW_EDGES) as f64 / (ms * 1e-3) * 1e-9;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} | {lanes} | {ms:.3} | {rate:.2} | {error:.0e} |", form.name);
        }
    }
    Ok(text)
}

fn row_sum(edges: &[[u32; 2]], values: &[f32], trial: usize) -> f64 {
    let term = |[target, weight]: &[u32; 2]| {
        f64::from(f32::from_bits(*weight)) * f64::from(values[*target as usize * N_TRIALS + trial])
    };
    edges.iter().map(term).sum()
}

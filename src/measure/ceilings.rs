//! What the adapter can do at most, in the ways that the kernels use it: streams, scattered records, scattered atomic sums, launches.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::gpu::{Buffer, Gpu, Kernel, PassRecord};

use super::least_ms;
use crate::error::Result;

/// Sizes of records that are read at random, bytes.
const RECORD_BYTES: [usize; 3] = [32, 48, 64];
/// Bytes of memory that a cache hands over at once, on the adapters that have a name for it.
pub(super) const SECTOR_BYTES: f64 = 32.0;
/// Records that the scattered reads and sums go to, as many as a network of 67,000 neurons has targets.
const N_RECORDS: usize = 1 << 16;
/// Dependent dispatches in one pass.
const N_LAUNCHES: usize = 500;
/// Turns of each measurement, of which the best counts.
const N_TURNS: usize = 10;

/// Rates of an adapter.
pub(super) struct Ceilings {
    /// `a = b + s c` over arrays that no cache holds.
    pub(super) triad_bytes_per_s: f64,
    /// Records of each of [`RECORD_BYTES`].
    pub(super) records_per_s: [f64; 3],
    /// Sums without and with the value before.
    pub(super) atomics_per_s: [f64; 2],
    /// An empty dispatch after another, s.
    pub(super) launch_s: f64,
}

impl Ceilings {
    /// Records of `bytes` a second, by the smallest measured record that holds them.
    pub(super) fn records_per_s(&self, bytes: usize) -> f64 {
        let at = RECORD_BYTES.iter().position(|measured| *measured >= bytes);
        let largest = self.records_per_s[2] * RECORD_BYTES[2] as f64 / bytes as f64;
        at.map_or(largest, |at| self.records_per_s[at])
    }

    pub(super) fn table(&self) -> String {
        let mut text = "| ceiling | rate | GB/s |\n|---|---|---|\n".to_owned();
        let mut row = |name: &str, rate: String, bytes_per_s: Option<f64>| {
            let bytes = bytes_per_s.map(|b| format!("{:.1}", b * 1e-9)).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {name} | {rate} | {bytes} |");
        };
        row("triad, grid stride", String::new(), Some(self.triad_bytes_per_s));
        for (bytes, rate) in RECORD_BYTES.iter().zip(self.records_per_s) {
            let sectors = (*bytes as f64 / SECTOR_BYTES).ceil();
            let name = format!("scattered records of {bytes} bytes ({sectors:.0} sectors of 32)");
            row(&name, format!("{:.2} G/s", rate * 1e-9), Some(rate * sectors * SECTOR_BYTES));
        }
        for (name, rate) in ["without", "with"].iter().zip(self.atomics_per_s) {
            row(
                &format!("scattered atomicAdd {name} the value before"),
                format!("{:.2} G/s", rate * 1e-9),
                None,
            );
        }
        row("dependent dispatch", format!("{:.2} us", self.launch_s * 1e6), None);
        text
    }
}

/// Measures the adapter.
///
/// # Errors
/// What the driver refused.
pub(super) fn measure(gpu: &Arc<Gpu>) -> Result<Ceilings> {
    let [small, middle, large] = RECORD_BYTES;
    let reads = |bytes| scattered_reads(gpu, bytes);
    Ok(Ceilings {
        triad_bytes_per_s: triad(gpu)?,
        records_per_s: [reads(small)?, reads(middle)?, reads(large)?],
        atomics_per_s: [scattered_sums(gpu, false)?, scattered_sums(gpu, true)?],
        launch_s: launch(gpu)?,
    })
}

/// Workgroups of 256 threads that fill the adapter.
fn n_workgroups(gpu: &Gpu) -> u32 {
    if gpu.is_software() { 64 } else { 2048 }
}

/// Accesses of a scattered measurement.
fn n_accesses(gpu: &Gpu) -> usize {
    if gpu.is_software() { 1 << 20 } else { 1 << 26 }
}

fn kernel(gpu: &Arc<Gpu>, name: &str, source: &str) -> Result<Kernel> {
    Kernel::new(gpu, name, source, &[("WORKGROUP_SIZE", 256.0)])
}

/// A grid stride: so few workgroups that launching them takes no time, and four independent accesses of each thread in flight. Software
/// runs the threads one after the other, so there each goes round once and neighbours stay together.
fn triad(gpu: &Arc<Gpu>) -> Result<f64> {
    let n_words = if gpu.is_software() { 16 << 20 } else { 64 << 20 };
    let source = "
        @group(0) @binding(0) var<storage, read_write> a: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
        @group(0) @binding(2) var<storage, read> c: array<vec4<f32>>;
        override WORKGROUP_SIZE: u32 = 64u;
        @compute @workgroup_size(WORKGROUP_SIZE)
        fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
            let n = groups.x * WORKGROUP_SIZE;
            for (var i = id.x; i < arrayLength(&a); i += 4u * n) {
                let b_0 = b[i];
                let b_1 = b[i + n];
                let b_2 = b[i + 2u * n];
                let b_3 = b[i + 3u * n];
                let c_0 = c[i];
                let c_1 = c[i + n];
                let c_2 = c[i + 2u * n];
                let c_3 = c[i + 3u * n];
                a[i] = b_0 + 0.5 * c_0;
                a[i + n] = b_1 + 0.5 * c_1;
                a[i + 2u * n] = b_2 + 0.5 * c_2;
                a[i + 3u * n] = b_3 + 0.5 * c_3;
            }
        }";
    let kernel = kernel(gpu, "triad", source)?;
    let array = |name: &str| Buffer::storage(gpu, name, n_words);
    let (a, b, c) = (array("a")?, array("b")?, array("c")?);
    let group = kernel.bind(&[("a", &a), ("b", &b), ("c", &c)])?;
    let n_workgroups =
        if gpu.is_software() { kernel.workgroups_for(n_words / 16) } else { n_workgroups(gpu) };
    let record = || -> PassRecord<'_> { Box::new(|pass| kernel.dispatch(pass, &group, 0, n_workgroups)) };
    Ok((3 * 4 * n_words) as f64 / (least_ms(gpu, N_TURNS, record)? * 1e-3))
}

/// Scatters consecutive numbers over the records (the finaliser of MurmurHash3).
const SCATTER: &str = "
        fn scatter(i: u32) -> u32 {
            var h = i;
            h = (h ^ (h >> 16u)) * 0x85ebca6bu;
            h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
            return (h ^ (h >> 16u)) & (N_RECORDS - 1u);
        }";

/// Records a second, each read whole by one thread, from a table that the cache of a GPU holds.
fn scattered_reads(gpu: &Arc<Gpu>, record_bytes: usize) -> Result<f64> {
    let (n, vectors) = (n_accesses(gpu), record_bytes / 16);
    let loads: String = (0..vectors).map(|k| format!(" + records[at + {k}u]")).collect();
    let source = format!(
        "{SCATTER}
        const N_RECORDS: u32 = {N_RECORDS}u;
        @group(0) @binding(0) var<storage, read> records: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;
        override WORKGROUP_SIZE: u32 = 64u;
        @compute @workgroup_size(WORKGROUP_SIZE)
        fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{
            var sum = vec4<f32>();
            for (var i = id.x; i < {n}u; i += groups.x * WORKGROUP_SIZE) {{
                let at = {vectors}u * scatter(i);
                sum = sum{loads};
            }}
            sums[id.x] = sum;
        }}"
    );
    let kernel = kernel(gpu, "scattered reads", &source)?;
    let n_workgroups = n_workgroups(gpu);
    let records = Buffer::storage(gpu, "records", 4 * vectors * N_RECORDS)?;
    let sums = Buffer::storage(gpu, "sums", 4 * 256 * n_workgroups as usize)?;
    let group = kernel.bind(&[("records", &records), ("sums", &sums)])?;
    let record = || -> PassRecord<'_> { Box::new(|pass| kernel.dispatch(pass, &group, 0, n_workgroups)) };
    Ok(n as f64 / (least_ms(gpu, N_TURNS, record)? * 1e-3))
}

/// Integer sums a second into the places of ten trials of each record; with `returns` each waits for the value before.
fn scattered_sums(gpu: &Arc<Gpu>, returns: bool) -> Result<f64> {
    let n = n_accesses(gpu) / 4;
    let add = "atomicAdd(&sums[10u * scatter(i) + i % 10u], 1)";
    let sum = if returns { format!("most = max(most, {add});") } else { format!("{add};") };
    let source = format!(
        "{SCATTER}
        const N_RECORDS: u32 = {N_RECORDS}u;
        @group(0) @binding(0) var<storage, read_write> sums: array<atomic<i32>>;
        @group(0) @binding(1) var<storage, read_write> largest: array<i32>;
        override WORKGROUP_SIZE: u32 = 64u;
        @compute @workgroup_size(WORKGROUP_SIZE)
        fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{
            var most = 0;
            for (var i = id.x; i < {n}u; i += groups.x * WORKGROUP_SIZE) {{ {sum} }}
            largest[id.x] = most;
        }}"
    );
    let kernel = kernel(gpu, "scattered sums", &source)?;
    let n_workgroups = n_workgroups(gpu);
    let sums = Buffer::storage(gpu, "sums", 10 * N_RECORDS)?;
    let largest = Buffer::storage(gpu, "largest", 256 * n_workgroups as usize)?;
    let group = kernel.bind(&[("sums", &sums), ("largest", &largest)])?;
    let record = || -> PassRecord<'_> { Box::new(|pass| kernel.dispatch(pass, &group, 0, n_workgroups)) };
    Ok(n as f64 / (least_ms(gpu, N_TURNS, record)? * 1e-3))
}

/// Time from one small dispatch to the next that depends on it, s.
fn launch(gpu: &Arc<Gpu>) -> Result<f64> {
    let source = "
        @group(0) @binding(0) var<storage, read_write> a: array<u32>;
        override WORKGROUP_SIZE: u32 = 64u;
        @compute @workgroup_size(WORKGROUP_SIZE)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) { a[id.x] += 1u; }";
    let kernel = kernel(gpu, "launch", source)?;
    let a = Buffer::storage(gpu, "a", 256)?;
    let group = kernel.bind(&[("a", &a)])?;
    let record = || -> PassRecord<'_> {
        Box::new(|pass| (0..N_LAUNCHES).for_each(|_| kernel.dispatch(pass, &group, 0, 1)))
    };
    Ok(least_ms(gpu, N_TURNS, record)? * 1e-3 / N_LAUNCHES as f64)
}

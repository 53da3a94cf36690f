//! Short kernels with known answers: a driver that computes one of them wrongly is refused by the test's name.
//!
//! Each test is a kernel that reads `input` and writes `output`, and what must then stand in `output`. Together they use
//! everything that the simulator's kernels rest on and that drivers have been seen to get wrong.

use std::sync::Arc;

use kernels::all;

use super::{Buffer, Gpu, Kernel};
use crate::error::{Error, Result};

mod kernels;

/// Which tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTests {
    /// Those that a run starts with.
    Short,
    /// All, and each several times: a race does not show every time.
    Full,
}

/// A kernel and its known answer.
struct SelfTest {
    name: &'static str,
    /// WGSL: entry point `main`, override `WORKGROUP_SIZE`, variables `input` and `output`, and `turn` where it runs in turns.
    source: &'static str,
    workgroup_size: u32,
    n_workgroups: u32,
    /// Dependent dispatches in one pass, each with its own number in the uniform `turn`; 0: one dispatch without it.
    n_turns: u32,
    input: Vec<u32>,
    expected: Expected,
    /// Whether a run starts with it.
    at_start: bool,
}

enum Expected {
    /// These words.
    Words(Vec<u32>),
    /// These numbers (f32 in `output`) within a relative error.
    Near(Vec<f64>, f64),
}

impl Gpu {
    /// Opens an adapter as [`Gpu::open`] does and runs the short self-test on it.
    ///
    /// # Errors
    /// Those of [`Gpu::open`] and [`self_test`].
    pub fn open_tested(name: Option<&str>) -> Result<Arc<Self>> {
        Self::open_tested_in_turn(name, 0)
    }

    /// The same as [`Gpu::open_in_turn`] opens one.
    ///
    /// # Errors
    /// Those of [`Gpu::open_tested`].
    pub fn open_tested_in_turn(name: Option<&str>, turn: usize) -> Result<Arc<Self>> {
        let gpu = Arc::new(Self::open_in_turn(name, turn)?);
        self_test(&gpu, SelfTests::Short)?;
        Ok(gpu)
    }
}

/// Runs kernels with known answers; returns the names of the tests passed.
///
/// # Errors
/// [`Error::DriverWrong`] names the first test that failed, [`Error::Device`] what the driver refused.
pub fn self_test(gpu: &Arc<Gpu>, which: SelfTests) -> Result<Vec<&'static str>> {
    let mut tests = all();
    tests.retain(|test| test.at_start || which == SelfTests::Full);
    for _ in 0..if which == SelfTests::Full { 20 } else { 1 } {
        run(gpu, &tests)?;
    }
    Ok(tests.iter().map(|test| test.name).collect())
}

fn run(gpu: &Arc<Gpu>, tests: &[SelfTest]) -> Result<()> {
    for test in tests {
        let computed = compute(gpu, test)?;
        if let Some(detail) = test.expected.fault(&computed) {
            return Err(Error::DriverWrong {
                adapter: gpu.adapter().name.clone(),
                driver: gpu.adapter().driver.clone(),
                test: test.name.to_owned(),
                detail,
            });
        }
    }
    Ok(())
}

/// Distance between two uniforms, bytes: the alignment that every adapter accepts.
const STRIDE_BYTES: u32 = 256;

fn compute(gpu: &Arc<Gpu>, test: &SelfTest) -> Result<Vec<u32>> {
    let size = f64::from(test.workgroup_size);
    let kernel = Kernel::new(gpu, test.name, test.source, &[("WORKGROUP_SIZE", size)])?;
    let input = Buffer::storage_of(gpu, "self-test input", &test.input)?;
    let output = Buffer::storage(gpu, "self-test output", test.expected.len())?;
    let turns = Buffer::uniform(gpu, "self-test turns", (test.n_turns.max(1) * STRIDE_BYTES) as usize)?;
    for turn in 0..test.n_turns {
        turns.write((turn * STRIDE_BYTES / 4) as usize, &[turn, 0, 0, 0]);
    }
    let mut buffers = vec![("input", &input), ("output", &output)];
    if test.n_turns > 0 {
        buffers.push(("turn", &turns));
    }
    let group = kernel.bind(&buffers)?;
    gpu.submit(test.name, |pass| {
        for turn in 0..test.n_turns.max(1) {
            kernel.dispatch(pass, &group, turn * STRIDE_BYTES, test.n_workgroups);
        }
    })?;
    output.read(0, test.expected.len())
}

impl Expected {
    fn len(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Near(numbers, _) => numbers.len(),
        }
    }

    /// What is wrong with the computed words, if something is.
    fn fault(&self, computed: &[u32]) -> Option<String> {
        match self {
            Self::Words(words) => {
                let at = (0..words.len()).find(|i| computed[*i] != words[*i])?;
                Some(format!("word {at} is {:#010x}, expected {:#010x}", computed[at], words[at]))
            }
            Self::Near(numbers, tolerance) => {
                let value = |i: usize| f64::from(f32::from_bits(computed[i]));
                // Written so that a NaN is a fault.
                let good = |i: &usize| (value(*i) - numbers[*i]).abs() <= tolerance * numbers[*i].abs();
                let at = (0..numbers.len()).find(|i| !good(i))?;
                let expected = numbers[at];
                Some(format!("number {at} is {}, expected {expected} within {tolerance:e} of it", value(at)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn this_adapter_passes() {
        let gpu = Gpu::open_tested(None).unwrap();
        for (which, n) in [(SelfTests::Short, 6), (SelfTests::Full, 11)] {
            let start = Instant::now();
            assert_eq!(self_test(&gpu, which).unwrap().len(), n);
            println!("{which:?}: {n} tests in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
        }
    }

    /// Every test fails, and says its name, where a single word or number is not the expected one.
    #[test]
    fn a_wrong_answer_is_refused_by_name() {
        let gpu = Arc::new(Gpu::open(None).unwrap());
        for mut test in all() {
            let name = test.name;
            match &mut test.expected {
                Expected::Words(words) => *words.last_mut().unwrap() ^= 1,
                Expected::Near(numbers, tolerance) => {
                    *numbers.last_mut().unwrap() *= 1.0 + 100.0 * *tolerance
                }
            }
            let error = run(&gpu, &[test]).unwrap_err();
            assert!(matches!(&error, Error::DriverWrong { test, .. } if test == name), "{name}: {error}");
            assert!(error.to_string().contains("expected"), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn a_kernel_that_computes_nothing_fails_every_test() {
        let gpu = Arc::new(Gpu::open(None).unwrap());
        for mut test in all().into_iter().filter(|test| test.n_turns == 0) {
            test.source = "
                @group(0) @binding(0) var<storage, read> input: array<u32>;
                @group(0) @binding(1) var<storage, read_write> output: array<u32>;
                override WORKGROUP_SIZE: u32 = 64u;
                @compute @workgroup_size(WORKGROUP_SIZE)
                fn main() { if (input[0] == 0xdeadbeefu) { output[0] = 1u; } }";
            assert!(run(&gpu, &[test]).is_err());
        }
    }
}

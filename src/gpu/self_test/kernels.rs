//! The kernels of the self-test and their answers.

use super::{Expected, SelfTest};
use crate::gpu::MAX_LOOP_ITERATIONS;

/// Every test.
pub(super) fn all() -> Vec<SelfTest> {
    vec![
        loop_length(),
        integer_atomics(),
        workgroup_sums(),
        chained_dispatches(),
        not_a_number(),
        rounding(),
        multiply_high(),
        bit_walk(),
        one_winner(),
        exponential(),
        division_and_root(),
    ]
}

/// Nested loops whose lengths come from a buffer go round as often as [`MAX_LOOP_ITERATIONS`] promises.
fn loop_length() -> SelfTest {
    const N_INNER: u32 = 49;
    // The test that ends a loop counts as an iteration.
    let n_outer = MAX_LOOP_ITERATIONS / (1 + N_INNER + 1);
    SelfTest {
        name: "loop length",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<u32>;
            @group(0) @binding(1) var<storage, read_write> output: array<u32>;
            override WORKGROUP_SIZE: u32 = 8u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                var n = 0u;
                var hash = id.x;
                for (var i = 0u; i < input[0]; i++) {
                    for (var j = 0u; j < input[1]; j++) {
                        n++;
                        hash = hash * 1664525u + 1013904223u;
                    }
                }
                output[2u * id.x] = n;
                output[2u * id.x + 1u] = hash;
            }",
        workgroup_size: 8,
        n_workgroups: 1,
        n_turns: 0,
        input: vec![n_outer, N_INNER],
        expected: Expected::Words(
            (0..8).flat_map(|id| [n_outer * N_INNER, advance(id, n_outer * N_INNER)]).collect(),
        ),
        at_start: true,
    }
}

/// `n` rounds of a linear congruential generator.
fn advance(start: u32, n: u32) -> u32 {
    (0..n).fold(start, |hash, _| hash.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
}

/// Sums of positive and negative integers, a maximum, and a list in which every thread finds its own place.
fn integer_atomics() -> SelfTest {
    const N: u32 = 32 * 64;
    let sum: i32 = (0..N as i32).map(|i| (i % 7 - 3) * 1000).sum();
    let largest = (0..N).fold(0, |largest, i| largest.max((7 * i) % 1009 + 5000));
    let mut words = vec![sum as u32, largest, N];
    // Every place is handed out once.
    words.extend(vec![1; N as usize]);
    SelfTest {
        name: "integer atomics",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<u32>;
            @group(0) @binding(1) var<storage, read_write> output: array<atomic<i32>>;
            override WORKGROUP_SIZE: u32 = 64u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                let i = i32(id.x);
                atomicAdd(&output[0], (i % 7 - 3) * i32(input[0]));
                atomicMax(&output[1], (7 * i) % 1009 + 5000);
                let place = atomicAdd(&output[2], 1);
                atomicAdd(&output[3 + place], 1);
            }",
        workgroup_size: 64,
        n_workgroups: N / 64,
        n_turns: 0,
        input: vec![1000],
        expected: Expected::Words(words),
        at_start: true,
    }
}

/// Workgroups walk rows of different lengths, share the elements of a row, and add their partial sums up behind a barrier, in
/// a loop whose length comes from a buffer.
fn workgroup_sums() -> SelfTest {
    const N_ROWS: u32 = 37;
    let lengths: Vec<u32> = (0..N_ROWS).map(|row| (row * 29) % 83).collect();
    // Whole numbers below 2^24: every order of adding gives the same f32.
    let sum =
        |row: u32, k: u32| (0..lengths[row as usize]).map(|e| (e + 3 * row) % 17 * (k + 1)).sum::<u32>();
    let sums: Vec<u32> = (0..N_ROWS).flat_map(|row| [sum(row, 0), sum(row, 1), sum(row, 2)]).collect();
    SelfTest {
        name: "workgroup sums",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<u32>; // number of rows, lengths of rows
            @group(0) @binding(1) var<storage, read_write> output: array<f32>; // [row][3]
            override WORKGROUP_SIZE: u32 = 8u;
            const N: u32 = 3u;
            var<workgroup> partial: array<f32, WORKGROUP_SIZE * N>;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(
                @builtin(local_invocation_index) lane: u32,
                @builtin(workgroup_id) group: vec3<u32>,
                @builtin(num_workgroups) groups: vec3<u32>,
            ) {
                for (var row = group.x; row < input[0]; row += groups.x) {
                    var sum = array<f32, N>();
                    for (var e = lane; e < input[1u + row]; e += WORKGROUP_SIZE) {
                        let value = f32((e + 3u * row) % 17u);
                        for (var k = 0u; k < N; k++) { sum[k] += value * f32(k + 1u); }
                    }
                    for (var k = 0u; k < N; k++) { partial[k * WORKGROUP_SIZE + lane] = sum[k]; }
                    workgroupBarrier();
                    for (var k = lane; k < N; k += WORKGROUP_SIZE) {
                        var total = 0.0;
                        for (var i = 0u; i < WORKGROUP_SIZE; i++) { total += partial[k * WORKGROUP_SIZE + i]; }
                        output[row * N + k] = total;
                    }
                    workgroupBarrier();
                }
            }",
        workgroup_size: 8,
        n_workgroups: 5,
        n_turns: 0,
        input: [vec![N_ROWS], lengths].concat(),
        expected: Expected::Words(sums.iter().map(|sum| (*sum as f32).to_bits()).collect()),
        at_start: true,
    }
}

/// Dispatches of one pass run one after the other, each seeing what the one before has written, with its own uniform.
fn chained_dispatches() -> SelfTest {
    const N: usize = 512;
    const N_TURNS: u32 = 60;
    let mut halves: [Vec<u32>; 2] = [(0..N as u32).collect(), vec![0; N]];
    for turn in 0..N_TURNS {
        let from = halves[(turn % 2) as usize].clone();
        let next = |i: usize| from[i].wrapping_mul(3).wrapping_add(from[(i + 61) % N]).wrapping_add(turn);
        halves[((turn + 1) % 2) as usize] = (0..N).map(next).collect();
    }
    SelfTest {
        name: "chained dispatches",
        source: "
            @group(0) @binding(0) var<uniform> turn: vec4<u32>;
            @group(0) @binding(1) var<storage, read> input: array<u32>;
            @group(0) @binding(2) var<storage, read_write> output: array<u32>; // two halves, written in turn
            override WORKGROUP_SIZE: u32 = 64u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                let n = arrayLength(&input);
                let read = (turn.x % 2u) * n;
                let write = n - read;
                let other = (id.x + 61u) % n;
                let mine = select(output[read + id.x], input[id.x], turn.x == 0u);
                output[write + id.x] = mine * 3u + select(output[read + other], input[other], turn.x == 0u) + turn.x;
            }",
        workgroup_size: 64,
        n_workgroups: N as u32 / 64,
        n_turns: N_TURNS,
        input: (0..N as u32).collect(),
        expected: Expected::Words(halves.concat()),
        at_start: true,
    }
}

/// Infinity and NaN, read or computed, are known by their bits; finite numbers are not taken for them.
fn not_a_number() -> SelfTest {
    let big = f32::MAX;
    // Each pair (a, b) gives a * b and a - b.
    let pairs =
        [[big, big], [f32::INFINITY, f32::INFINITY], [f32::NAN, 1.0], [big, 0.5], [-1.0, big], [0.0, 0.0]];
    let is_not_finite = |x: f32| u32::from(!x.is_finite());
    SelfTest {
        name: "not a number",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<f32>;
            @group(0) @binding(1) var<storage, read_write> output: array<u32>;
            override WORKGROUP_SIZE: u32 = 8u;
            fn is_not_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u; }
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                if (2u * id.x >= arrayLength(&input)) { return; }
                let a = input[2u * id.x];
                let b = input[2u * id.x + 1u];
                output[2u * id.x] = select(0u, 1u, is_not_finite(a * b));
                output[2u * id.x + 1u] = select(0u, 1u, is_not_finite(a - b));
            }",
        workgroup_size: 8,
        n_workgroups: 1,
        n_turns: 0,
        input: pairs.as_flattened().iter().map(|x| x.to_bits()).collect(),
        expected: Expected::Words(
            pairs.iter().flat_map(|[a, b]| [is_not_finite(a * b), is_not_finite(a - b)]).collect(),
        ),
        at_start: true,
    }
}

/// Real numbers become the nearest integers, halves the even ones, up to where every f32 is whole.
fn rounding() -> SelfTest {
    let numbers: [f32; 16] = [
        0.0,
        0.25,
        0.5,
        0.500_000_1,
        1.5,
        2.5,
        3.499_999_8,
        1000.5,
        1001.5,
        4_194_303.5,
        8_388_607.5,
        16_777_216.0,
        2_147_483_520.0,
        -0.5,
        -1.5,
        -2.6,
    ];
    SelfTest {
        name: "rounding",
        source:
            "
            @group(0) @binding(0) var<storage, read> input: array<f32>;
            @group(0) @binding(1) var<storage, read_write> output: array<i32>;
            override WORKGROUP_SIZE: u32 = 16u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) { output[id.x] = i32(round(input[id.x])); }",
        workgroup_size: 16,
        n_workgroups: 1,
        n_turns: 0,
        input: numbers.iter().map(|x| x.to_bits()).collect(),
        expected: Expected::Words(numbers.iter().map(|x| x.round_ties_even() as i32 as u32).collect()),
        at_start: true,
    }
}

/// High words of 32-bit products, put together from 16-bit halves: what counter-based random numbers rest on.
fn multiply_high() -> SelfTest {
    let factors: Vec<[u32; 2]> = (0..64).map(|i| [advance(i, 3) | 1 << 31, advance(i + 100, 5)]).collect();
    let high = |[a, b]: &[u32; 2]| ((u64::from(*a) * u64::from(*b)) >> 32) as u32;
    SelfTest {
        name: "multiply high",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<u32>;
            @group(0) @binding(1) var<storage, read_write> output: array<u32>;
            override WORKGROUP_SIZE: u32 = 64u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                let a = input[2u * id.x];
                let b = input[2u * id.x + 1u];
                let low = (a & 0xffffu) * (b & 0xffffu);
                let mid = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
                let mid_low = (a & 0xffffu) * (b >> 16u) + (mid & 0xffffu);
                output[id.x] = (a >> 16u) * (b >> 16u) + (mid >> 16u) + (mid_low >> 16u);
            }",
        workgroup_size: 64,
        n_workgroups: 1,
        n_turns: 0,
        expected: Expected::Words(factors.iter().map(high).collect()),
        input: factors.into_flattened(),
        at_start: false,
    }
}

/// The set bits of a word, walked from the lowest up.
fn bit_walk() -> SelfTest {
    let words: Vec<u32> = (0..32).map(|i| 1 << i).chain((0..32).map(|i| advance(i, 4))).collect();
    // The places in the order in which they are found, as digits to the base 33, modulo 2^32.
    let places = |word: &u32| {
        (0..32)
            .filter(|place| word >> place & 1 == 1)
            .fold(0_u32, |sum, place| sum.wrapping_mul(33).wrapping_add(place + 1))
    };
    SelfTest {
        name: "bit walk",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<u32>;
            @group(0) @binding(1) var<storage, read_write> output: array<u32>;
            override WORKGROUP_SIZE: u32 = 64u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                var places = 0u;
                for (var left = input[id.x]; left != 0u; left &= left - 1u) {
                    places = places * 33u + firstTrailingBit(left) + 1u;
                }
                output[id.x] = places;
            }",
        workgroup_size: 64,
        n_workgroups: 1,
        n_turns: 0,
        expected: Expected::Words(words.iter().map(places).collect()),
        input: words,
        at_start: false,
    }
}

/// Of many threads that exchange one word, one wins.
fn one_winner() -> SelfTest {
    SelfTest {
        name: "one winner",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<u32>;
            // [0] the word, from which the winner takes its own part, [1] number of winners
            @group(0) @binding(1) var<storage, read_write> output: array<atomic<u32>>;
            override WORKGROUP_SIZE: u32 = 64u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                if (atomicCompareExchangeWeak(&output[0], 0u, id.x + input[0]).exchanged) {
                    atomicAdd(&output[1], 1u);
                    atomicSub(&output[0], id.x);
                }
            }",
        workgroup_size: 64,
        n_workgroups: 32,
        n_turns: 0,
        input: vec![100_000],
        expected: Expected::Words(vec![100_000, 1]),
        at_start: false,
    }
}

/// exp within 1e-5 of its value, which is what the exponentiated optimiser asks of it.
fn exponential() -> SelfTest {
    let numbers: Vec<f32> = (0..256).map(|i| (i as f32 - 128.0) * 0.087).collect();
    SelfTest {
        name: "exponential",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<f32>;
            @group(0) @binding(1) var<storage, read_write> output: array<f32>;
            override WORKGROUP_SIZE: u32 = 64u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) { output[id.x] = exp(input[id.x]); }",
        workgroup_size: 64,
        n_workgroups: 4,
        n_turns: 0,
        input: numbers.iter().map(|x| x.to_bits()).collect(),
        expected: Expected::Near(numbers.iter().map(|x| f64::from(*x).exp()).collect(), 1e-5),
        at_start: false,
    }
}

/// Quotients and roots within three units in the last place (WGSL grants 2.5 for a quotient).
fn division_and_root() -> SelfTest {
    let numbers: Vec<f32> = (0..256).map(|i| 1e-3 * 1.09_f32.powi(i)).collect();
    let expected = numbers.iter().flat_map(|x| [f64::from(3.7_f32) / f64::from(*x), f64::from(*x).sqrt()]);
    SelfTest {
        name: "division and root",
        source: "
            @group(0) @binding(0) var<storage, read> input: array<f32>;
            @group(0) @binding(1) var<storage, read_write> output: array<f32>;
            override WORKGROUP_SIZE: u32 = 64u;
            @compute @workgroup_size(WORKGROUP_SIZE)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                output[2u * id.x] = 3.7 / input[id.x];
                output[2u * id.x + 1u] = sqrt(input[id.x]);
            }",
        workgroup_size: 64,
        n_workgroups: 4,
        n_turns: 0,
        expected: Expected::Near(expected.collect(), 3.0 * f64::from(f32::EPSILON)),
        input: numbers.iter().map(|x| x.to_bits()).collect(),
        at_start: false,
    }
}

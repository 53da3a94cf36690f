// Spikes of the sources outside the network: LGN units, which see the trials' gratings, and background units. One thread is
// one source and walks its trials, four to a call of the random generator. S3 to S5 of MODEL.md, with T the steps since the
// grating's onset, k gain times temporal filter, D the complex amplitude of the contrast that a subfield's Gaussian sees:
//
//   S3  K <- K + k((T - 1) dt) dt e^(i omega (T - 1) dt)
//   S4  rate = sum over subfields of max(0, baseline + Im[D e^(-i omega T dt) K])       (background: a constant)
//   S5  the source spikes when u < rate dt: at most once a step, with the right mean rate
//
// Saves: filter_sum (K), the whole state of an LGN unit. No adjoint: the rates depend on nothing that is learned.
// Hazards: the counts of the spikes are zero before the step's first kernel. The table of taps ends in a row of zeros, so that
// the row after a lag exists. A unit's first step adds no tap, so that the frame before exists.
//!include shared/step.wgsl
@group(0) @binding(1) var<storage, read> taps_hz: array<f32>; // [lag ms][subfield] Hz per unit contrast and ms
@group(0) @binding(2) var<storage, read> units: array<vec2<u32>>; // [subfield, then background unit] bits of the baseline rate, Hz; second subfield
@group(0) @binding(3) var<storage, read> amplitude: array<vec2<f32>>; // [subfield][trial] D, unit contrast
@group(0) @binding(4) var<storage, read> frames: array<vec4<f32>>; // [step][trial] cos, sin of omega T dt; lag, ms; width of its tap, ms
@group(0) @binding(5) var<storage, read_write> filter_sum: array<vec2<f32>>; // [subfield][trial] K, Hz
@group(0) @binding(6) var<storage, read_write> spikes: array<atomic<u32>>; // counts, masks and lists of this step
override WORKGROUP_SIZE: u32 = 64u;
//!include shared/rng.wgsl
//!include shared/list_source.wgsl

const NO_SUBFIELD: u32 = 0xffffffffu;

fn baseline_hz(row: u32) -> f32 { return bitcast<f32>(units[row].x); }

// S3, S4 for one subfield and trial: adds this step's tap to K and gives the rectified rate, Hz.
fn subfield_rate_hz(subfield: u32, trial: u32) -> f32 {
    let at = subfield * N_TRIALS + trial;
    let now = frames[step.step * N_TRIALS + trial];
    var sum = filter_sum[at];
    if (now.w > 0.0) {
        let n_subfields = arrayLength(&units) - N_BACKGROUND;
        let before = frames[(step.step - 1u) * N_TRIALS + trial];
        let row = u32(now.z);
        let low = taps_hz[row * n_subfields + subfield];
        let high = taps_hz[(row + 1u) * n_subfields + subfield];
        sum += mix(low, high, now.z - f32(row)) * now.w * before.xy;
        filter_sum[at] = sum;
    }
    let d = amplitude[at];
    let modulation_hz = (d.x * now.x + d.y * now.y) * sum.y + (d.y * now.x - d.x * now.y) * sum.x;
    return max(0.0, baseline_hz(subfield) + modulation_hz);
}

fn rate_hz(unit: u32, trial: u32) -> f32 {
    if (unit >= N_LGN) { return baseline_hz(arrayLength(&units) - N_BACKGROUND + unit - N_LGN); }
    let dominant_hz = subfield_rate_hz(unit, trial);
    let second = units[unit].y;
    if (second == NO_SUBFIELD) { return dominant_hz; }
    return dominant_hz + subfield_rate_hz(second, trial);
}

// S5: the trial's bit if the source spikes in it; 0 for the trials that fill up the last four.
fn spike_bit(unit: u32, trial: u32, word: u32) -> u32 {
    if (trial >= N_TRIALS) { return 0u; }
    return select(0u, 1u << trial, uniform_of_word(word) < rate_hz(unit, trial) * 1e-3 * DT_MS);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let unit = id.x + id.y * groups.x * WORKGROUP_SIZE;
    if (unit >= N_LGN + N_BACKGROUND) { return; }
    var mask = 0u;
    for (var trial = 0u; trial < N_TRIALS; trial += 4u) {
        let words = random_words(
            step.seed_low, step.seed_high, STREAM_SOURCE_SPIKES, N_NEURONS + unit, step.spike_step, trial / 4u,
        );
        mask |= spike_bit(unit, trial, words.x) | spike_bit(unit, trial + 1u, words.y)
            | spike_bit(unit, trial + 2u, words.z) | spike_bit(unit, trial + 3u, words.w);
    }
    list_source(N_NEURONS + unit, mask);
}

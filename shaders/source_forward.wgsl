// Spikes of the sources outside the network: LGN units, which see the trials' gratings, and background units, whose filters are
// zero. One dispatch draws up to STEPS steps from step.step on, none beyond step.n_drawn; one thread is a source and a block of four trials, which share the
// words of the generator. S3 to S5 of docs/model.md, with T the steps since the grating's onset, k gain times temporal filter, D the
// complex amplitude of the contrast that a subfield's Gaussian sees:
//
//   S3  K <- K + k((T - 1) dt) dt e^(i omega (T - 1) dt)
//   S4  rate = sum over subfields of max(0, baseline + Im[D e^(-i omega T dt) K])
//   S5  the source spikes when u < rate dt: at most once a step, with the right mean rate
//
// K does not depend on D: the trials whose gratings share temporal frequency and onset are a group, with one K.
// Saves: masks; filter_sum (K) for the next dispatch. No adjoint: the rates depend on nothing that is learned.
// Hazards: masks are zero before. The table of taps ends in a row of zeros, so that the row after a lag exists. A trial's first
// step adds no tap, so that the frame before exists. A group's K in a block lies in the place of its first trial there.
//!include shared/step.wgsl
@group(0) @binding(1) var<storage, read> taps_hz: array<f32>; // [lag ms][subfield] Hz per unit contrast and ms
@group(0) @binding(2) var<storage, read> subfields: array<vec2<u32>>; // [subfield] bits of baseline Hz; second, NONE or SILENT
@group(0) @binding(3) var<storage, read> amplitude: array<vec2<f32>>; // [trial][subfield] D, unit contrast
@group(0) @binding(4) var<storage, read> group_trials: array<u32>; // [group] its trials as a mask; 0 after the last group
@group(0) @binding(5) var<storage, read> frames: array<vec4<f32>>; // [step][group] cos, sin of omega T dt; lag ms; tap ms
@group(0) @binding(6) var<storage, read_write> filter_sum: array<vec2<f32>>; // [trial][subfield] K, Hz
@group(0) @binding(7) var<storage, read_write> masks: array<atomic<u32>>; // [step of this dispatch][unit] spiked trials
override WORKGROUP_SIZE: u32 = 64u;
override STEPS: u32 = 1u;
// Where these trials are part of a larger batch: block of four that holds the first of them, and how many of that block's come before.
override FIRST_BLOCK: u32 = 0u;
override LEAD: u32 = 0u;
//!include shared/rng.wgsl

const NONE: u32 = 0xffffffffu;
const SILENT: u32 = 0xfffffffeu; // the unit has no synapses: it is not run
const N_UNITS: u32 = N_LGN + N_BACKGROUND;

// S3: K with this step's tap, Hz.
fn with_tap(sum: vec2<f32>, subfield: u32, now: vec4<f32>, before: vec2<f32>) -> vec2<f32> {
    let row = u32(now.z) * arrayLength(&subfields) + subfield;
    return sum + mix(taps_hz[row], taps_hz[row + arrayLength(&subfields)], fract(now.z)) * now.w * before;
}

// e^(-i omega T dt) K, Hz.
fn turned(sum: vec2<f32>, now: vec4<f32>) -> vec2<f32> {
    return vec2<f32>(now.x * sum.x + now.y * sum.y, now.x * sum.y - now.y * sum.x);
}

// Trial of this simulation at a place of all blocks; those before the first and after the last are masked.
fn trial_at(place: u32) -> u32 { return min(max(place, LEAD) - LEAD, N_TRIALS - 1u); }

// The trials of a block, of which bit i is trial i, as a mask of this simulation's.
fn trials_of_block(bits: u32, block: u32) -> u32 {
    if (block < LEAD) { return bits >> (LEAD - block); }
    return bits << (block - LEAD);
}

// What a block's four trials see under a subfield: real parts, imaginary parts and baseline (Hz) of S4.
struct Sight { real: vec4<f32>, imaginary: vec4<f32>, baseline_hz: f32 }

fn sight(subfield: u32, block: u32) -> Sight {
    let n = arrayLength(&subfields);
    let d_0 = amplitude[trial_at(block) * n + subfield];
    let d_1 = amplitude[trial_at(block + 1u) * n + subfield];
    let d_2 = amplitude[trial_at(block + 2u) * n + subfield];
    let d_3 = amplitude[trial_at(block + 3u) * n + subfield];
    return Sight(
        vec4<f32>(d_0.x, d_1.x, d_2.x, d_3.x), vec4<f32>(d_0.y, d_1.y, d_2.y, d_3.y),
        bitcast<f32>(subfields[subfield].x),
    );
}

// S4 for one subfield and four trials, Hz.
fn subfield_rate_hz(seen: Sight, response: vec2<f32>) -> vec4<f32> {
    return max(vec4<f32>(), seen.baseline_hz + seen.real * response.y + seen.imaginary * response.x);
}

// Draws the trials of a group in the block that starts at place `block` of all blocks.
fn draw(unit: u32, second: u32, block: u32, trials: u32, trial_group: u32) {
    let k_at = firstTrailingBit(trials) * arrayLength(&subfields);
    let dominant_sight = sight(unit, block);
    var dominant_sum = filter_sum[k_at + unit];
    var second_sight = Sight();
    var second_sum = vec2<f32>();
    // Loops of one turn: a software driver walks both sides of a branch, but leaves a loop.
    for (var s = second; s != NONE; s = NONE) {
        second_sight = sight(s, block);
        second_sum = filter_sum[k_at + s];
    }
    let last = min(step.step + STEPS, step.n_drawn);
    for (var t = step.step; t < last; t++) {
        let now = frames[t * N_TRIALS + trial_group];
        if (now.w > 0.0) {
            let before = frames[(t - 1u) * N_TRIALS + trial_group].xy;
            dominant_sum = with_tap(dominant_sum, unit, now, before);
            for (var s = second; s != NONE; s = NONE) { second_sum = with_tap(second_sum, s, now, before); }
        }
        var rate_hz = subfield_rate_hz(dominant_sight, turned(dominant_sum, now));
        for (var s = second; s != NONE; s = NONE) {
            rate_hz += subfield_rate_hz(second_sight, turned(second_sum, now));
        }
        let spike_step = step.spike_step + (t - step.step);
        let words = random_words(
            step.seed_low, step.seed_high, STREAM_SOURCE_SPIKES, N_NEURONS + unit, spike_step, FIRST_BLOCK + block / 4u,
        );
        let spiked = uniform_of_words(words) < rate_hz * 1e-3 * DT_MS; // S5
        let bits = select(vec4<u32>(), vec4<u32>(1u, 2u, 4u, 8u), spiked);
        let mask = trials_of_block(bits.x | bits.y | bits.z | bits.w, block) & trials;
        if (mask != 0u) { atomicOr(&masks[(t - step.step) * N_UNITS + unit], mask); }
    }
    filter_sum[k_at + unit] = dominant_sum;
    for (var s = second; s != NONE; s = NONE) { filter_sum[k_at + s] = second_sum; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let thread = id.x + id.y * groups.x * WORKGROUP_SIZE;
    let unit = thread % N_UNITS;
    let block = 4u * (thread / N_UNITS);
    if (block >= LEAD + N_TRIALS) { return; }
    let second = subfields[unit].y;
    if (second == SILENT) { return; }
    for (var trial_group = 0u; trial_group < N_TRIALS; trial_group++) {
        let trials = group_trials[trial_group] & trials_of_block(15u, block);
        if (trials != 0u) { draw(unit, second, block, trials, trial_group); }
    }
}

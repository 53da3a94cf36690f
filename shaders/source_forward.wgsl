// Spikes of the sources outside the network: LGN units, which see the trials' gratings, and background units, whose filters are
// zero. One thread is one source. S3 to S5 of MODEL.md, with T the steps since the grating's onset, k gain times temporal
// filter, D the complex amplitude of the contrast that a subfield's Gaussian sees:
//
//   S3  K <- K + k((T - 1) dt) dt e^(i omega (T - 1) dt)
//   S4  rate = sum over subfields of max(0, baseline + Im[D e^(-i omega T dt) K])
//   S5  the source spikes when u < rate dt: at most once a step, with the right mean rate
//
// K does not depend on D: the trials whose gratings share temporal frequency and onset are a group, with one K.
// Saves: filter_sum (K), the whole state of an LGN unit. No adjoint: the rates depend on nothing that is learned.
// Hazards: the spikes of the step are zero before its first kernel. The table of taps ends in a row of zeros, so that the
// row after a lag exists. A trial's first step adds no tap, so that the frame before exists.
//!include shared/step.wgsl
//!include shared/tables.wgsl
@group(0) @binding(8) var<storage, read> taps_hz: array<f32>; // [lag ms][subfield] Hz per unit contrast and ms
@group(0) @binding(2) var<storage, read> subfields: array<vec2<u32>>; // [subfield] bits of baseline Hz; second, NONE or SILENT
@group(0) @binding(3) var<storage, read> amplitude: array<vec2<f32>>; // [trial][subfield] D, unit contrast
@group(0) @binding(4) var<storage, read> group_trials: array<u32>; // [group] its trials as a mask; 0 after the last group
@group(0) @binding(5) var<storage, read> frames: array<vec4<f32>>; // [step][group] cos, sin of omega T dt; lag ms; tap ms
@group(0) @binding(6) var<storage, read_write> filter_sum: array<vec2<f32>>; // [group][subfield] K, Hz
@group(0) @binding(7) var<storage, read_write> spikes: array<atomic<u32>>; // counts, masks and lists of this step
override WORKGROUP_SIZE: u32 = 64u;
//!include shared/rng.wgsl
//!include shared/list_source.wgsl

const NONE: u32 = 0xffffffffu;
const SILENT: u32 = 0xfffffffeu; // the unit has no synapses: it is not run

// S3: adds this step's tap to K and gives e^(-i omega T dt) K, Hz.
fn response_hz(subfield: u32, trial_group: u32) -> vec2<f32> {
    let now = frames[step.step * N_TRIALS + trial_group];
    let at = trial_group * arrayLength(&subfields) + subfield;
    var sum = filter_sum[at];
    if (now.w > 0.0) {
        let before = frames[(step.step - 1u) * N_TRIALS + trial_group];
        let row = u32(now.z) * arrayLength(&subfields) + subfield;
        let tap_hz = mix(taps_hz[row], taps_hz[row + arrayLength(&subfields)], fract(now.z)) * now.w;
        sum += tap_hz * before.xy;
        filter_sum[at] = sum;
    }
    return vec2<f32>(now.x * sum.x + now.y * sum.y, now.x * sum.y - now.y * sum.x);
}

// S4 for one subfield, Hz.
fn subfield_rate_hz(subfield: u32, trial: u32, response: vec2<f32>) -> f32 {
    let d = amplitude[trial * arrayLength(&subfields) + subfield];
    return max(0.0, bitcast<f32>(subfields[subfield].x) + d.x * response.y + d.y * response.x);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let unit = id.x + id.y * groups.x * WORKGROUP_SIZE;
    if (unit >= N_LGN + N_BACKGROUND) { return; }
    let second = subfields[unit].y;
    if (second == SILENT) { return; }
    var mask = 0u;
    for (var trial_group = 0u; trial_group < N_TRIALS; trial_group++) {
        let trials = group_trials[trial_group];
        if (trials == 0u) { break; }
        let dominant_response = response_hz(unit, trial_group);
        var second_response = vec2<f32>();
        // Loops of one turn: a software driver walks both sides of a branch, but leaves a loop.
        for (var s = second; s != NONE; s = NONE) { second_response = response_hz(s, trial_group); }
        for (var block = 0u; block < N_TRIALS; block += 4u) {
            if (((trials >> block) & 15u) == 0u) { continue; }
            // One call of the generator serves four trials.
            var words = random_words(
                step.seed_low, step.seed_high, STREAM_SOURCE_SPIKES, N_NEURONS + unit, step.spike_step, block / 4u,
            );
            for (var trial = block; trial < min(block + 4u, N_TRIALS); trial++) {
                var rate_hz = subfield_rate_hz(unit, trial, dominant_response);
                for (var s = second; s != NONE; s = NONE) { rate_hz += subfield_rate_hz(s, trial, second_response); }
                let spikes_now = uniform_of_word(words.x) < rate_hz * 1e-3 * DT_MS; // S5
                mask |= select(0u, (1u << trial) & trials, spikes_now);
                words = words.yzwx;
            }
        }
    }
    list_source(N_NEURONS + unit, mask);
}

// The status words name the first fault: [0] code, [1] kernel, [2] neuron, [3] step; [4] counts them.
@group(0) @binding(2) var<storage, read_write> status: array<atomic<u32>>;

// Infinity or NaN, by its bits: comparisons of NaN are wrong on some drivers.
fn is_not_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u; }

// Keeps the first fault: later ones are its echo.
fn raise(code: u32, kernel: u32, neuron: u32, step_ix: u32) {
    if (atomicAdd(&status[4], 1u) == 0u) {
        atomicStore(&status[0], code);
        atomicStore(&status[1], kernel);
        atomicStore(&status[2], neuron);
        atomicStore(&status[3], step_ix);
    }
}

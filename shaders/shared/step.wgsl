// The uniform of one dispatch: what differs from step to step. Twin: StepUniform in src/sim/layout/uniforms.rs.
struct Step {
    step: u32,               // index n of the time step
    slot: u32,               // slot n mod N_SLOTS of the arrivals ring
    first_arrival_step: u32, // arrivals of earlier steps are dropped (0 but when a ring is rebuilt)
    spike_step: u32,         // step counter of the random numbers
    seed_low: u32,           // seed of the random numbers, low word
    seed_high: u32,          // high word
    in_window: f32,          // 1 inside the analysis window, else 0
    current_gate: f32,       // 1 while the injected current is on, else 0
    arrival_scale: f32,      // fixed-point units per unit of weight, a power of two
    arrival_unit: f32,       // its inverse
    voltage_weight: f32,     // weight of the voltage penalty / (neurons * steps * trials)
    x_low: f32,              // lower edge of the voltage penalty, units of V_th - E_L
    x_high: f32,             // upper edge
    n_drawn: u32,            // steps of the pass whose source spikes are drawn
    recurrent_damping: f32,  // factor on what flows back through spikes (A9)
    membrane_damping: f32,   // factor on what flows back through the membrane (A2)
}
@group(0) @binding(0) var<uniform> step: Step;

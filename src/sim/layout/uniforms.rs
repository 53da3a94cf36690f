//! Uniforms of the dispatches, and the codes of the status words.

/// Uniform of one dispatch. Twin: `Step` in `shaders/shared/step.wgsl`, which documents the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct StepUniform {
    pub step: u32,
    pub slot: u32,
    pub first_arrival_step: u32,
    pub spike_step: u32,
    pub seed_low: u32,
    pub seed_high: u32,
    pub in_window: f32,
    pub current_gate: f32,
    pub arrival_scale: f32,
    pub arrival_unit: f32,
    pub voltage_weight: f32,
    pub x_low: f32,
    pub x_high: f32,
    pub n_drawn: u32,
    pub recurrent_damping: f32,
    pub membrane_damping: f32,
}

/// Uniform of an optimiser step. Twin: `Update` in `shaders/update_weights.wgsl`, which documents the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct UpdateUniform {
    pub learning_rate: f32,
    pub beta_1: f32,
    pub beta_2: f32,
    pub bias_1: f32,
    pub bias_2: f32,
    pub epsilon: f32,
    pub clip: f32,
    pub exponentiated: u32,
}

/// Uniform of the keep term. Twin: `Keep` in `shaders/keep_weights.wgsl`, which documents the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct KeepUniform {
    pub factor: f32,
}

/// Distance between two uniforms, bytes: the alignment that every adapter accepts.
pub const UNIFORM_STRIDE: usize = 256;

/// Status code that a kernel raises where the state is not finite.
pub const STATUS_NOT_FINITE: u32 = 1;

/// Status code that a kernel raises where more arrived in a step than there is room for.
pub const STATUS_OVERFLOW: u32 = 2;

/// Kernels by the number that the status word names them with.
pub const STATUS_KERNELS: [&str; 3] = ["", "neuron_forward", "neuron_adjoint"];

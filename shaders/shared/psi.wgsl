// Surrogate derivative of the spike (E4), 1/mV: a triangle of compact support around threshold.
fn surrogate_psi(u_mv: f32, threshold_mv: f32, scale_mv: f32) -> f32 {
    let x = abs(u_mv - threshold_mv) / scale_mv;
    return SURROGATE_HEIGHT / scale_mv * max(0.0, 1.0 - x / SURROGATE_HALF_WIDTH);
}

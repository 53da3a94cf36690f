//! The surrogate derivative of the spike (E9, A3): a triangle of compact support.
//!
//! With x = (u - u_th)/u_scale the distance from threshold in units of the measured V_th - E_L,
//! psi(u) = height/u_scale * max(0, 1 - |x|/half_width). Its antiderivative is the smooth spike of the Taylor test.
//! Source: Bellec et al. 2018 (long short-term memory in networks of spiking neurons), with the width made free.

use super::real::Real;

/// Shape of the surrogate derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surrogate {
    /// Half-width of the triangle in units of V_th - E_L, > 0. The published full-width triangle has 1.
    pub half_width: f64,
    /// Height at threshold (dimensionless), > 0.
    pub height: f64,
}

impl Surrogate {
    /// psi: derivative of the spike by the potential, 1/mV. `u_mv - threshold_mv` is the distance from threshold.
    pub fn psi(&self, u_mv: f64, threshold_mv: f64, scale_mv: f64) -> f64 {
        let x = (u_mv - threshold_mv) / scale_mv;
        self.height / scale_mv * (1.0 - x.abs() / self.half_width).max(0.0)
    }

    /// The smooth spike: antiderivative of psi, from 0 far below threshold to height * half_width far above.
    pub fn smooth_spike(&self, u_mv: f64, threshold_mv: f64, scale_mv: f64) -> f64 {
        let y = ((u_mv - threshold_mv) / scale_mv / self.half_width).clamp(-1.0, 1.0);
        let area = if y < 0.0 { 0.5 * (1.0 + y) * (1.0 + y) } else { 1.0 - 0.5 * (1.0 - y) * (1.0 - y) };
        self.height * self.half_width * area
    }

    /// A spike variable of the given value that carries psi as its derivative by (u - threshold).
    pub fn spike<T: Real>(&self, value: f64, u_mv: T, threshold_mv: T, scale_mv: f64) -> T {
        let slope = self.psi(u_mv.value(), threshold_mv.value(), scale_mv);
        (u_mv - threshold_mv).with_slope(value, slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooth_spike_is_the_antiderivative_of_psi() {
        let s = Surrogate { half_width: 0.7, height: 0.3 };
        for u in [-10.0, 5.0, 14.9, 15.1, 19.9, 20.1, 24.0, 40.0] {
            let h = 1e-6;
            let slope = (s.smooth_spike(u + h, 20.0, 20.0) - s.smooth_spike(u - h, 20.0, 20.0)) / (2.0 * h);
            assert!((slope - s.psi(u, 20.0, 20.0)).abs() < 1e-8, "u = {u}");
        }
        assert!((s.psi(20.0, 20.0, 20.0) - 0.3 / 20.0).abs() < 1e-15);
        assert_eq!(s.psi(20.0 + 0.7 * 20.0, 20.0, 20.0), 0.0);
    }
}

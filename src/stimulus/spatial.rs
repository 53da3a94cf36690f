//! What a Gaussian receptive field sees of a drifting grating: one complex number, known in closed form.
//!
//! The screen is cut off at its edges, and the part of the Gaussian that falls on it is scaled to unit sum, as BMTK's
//! FilterNet does. Away from the edges that leaves the Fourier transform of a Gaussian.

use std::f64::consts::TAU;

use super::grating::Grating;

/// A complex number as (real, imaginary).
pub type Complex = [f64; 2];

pub(super) fn multiply(a: Complex, b: Complex) -> Complex {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

/// `magnitude * e^(i angle)`.
pub(super) fn polar(magnitude: f64, angle: f64) -> Complex {
    let (sin, cos) = angle.sin_cos();
    [magnitude * cos, magnitude * sin]
}

/// Beyond this many standard deviations the filter is cut off, as in FilterNet.
pub(super) const REACH_SD: f64 = 4.0;
/// Intervals of Simpson's rule over the part of a Gaussian that the screen's edge leaves: error below 1e-7.
const N_INTERVALS: usize = 64;

/// The grating as a Gaussian of `sigma_deg` at `centre_deg` (x, y from the lower left corner of a screen of `screen_deg`)
/// sees it: the complex amplitude `D` with `contrast signal(t) = Im[D e^(-i omega (t - onset))]`.
pub fn grating_amplitude(
    grating: &Grating,
    centre_deg: [f64; 2],
    sigma_deg: f64,
    screen_deg: [f64; 2],
) -> Complex {
    let direction = grating.direction_deg.to_radians();
    let wave = TAU * grating.spatial_frequency_cpd;
    let along_x = axis_factor(wave * direction.cos(), centre_deg[0], sigma_deg, screen_deg[0]);
    let along_y = axis_factor(wave * direction.sin(), centre_deg[1], sigma_deg, screen_deg[1]);
    multiply(multiply(along_x, along_y), polar(grating.contrast, grating.phase_deg.to_radians()))
}

/// Mean of `e^(i wave x)` under the Gaussian at `centre_deg`, cut to the screen `0..edge_deg`.
fn axis_factor(wave_per_deg: f64, centre_deg: f64, sigma_deg: f64, edge_deg: f64) -> Complex {
    let low = (centre_deg - REACH_SD * sigma_deg).max(0.0);
    let high = (centre_deg + REACH_SD * sigma_deg).min(edge_deg);
    if high - low >= 2.0 * REACH_SD * sigma_deg * (1.0 - 1e-12) {
        let attenuation = (-0.5 * (wave_per_deg * sigma_deg).powi(2)).exp();
        return polar(attenuation, wave_per_deg * centre_deg);
    }
    if high <= low {
        return [0.0, 0.0]; // The whole field lies off the screen and sees nothing.
    }
    let (mut weight_sum, mut sum) = (0.0, [0.0; 2]);
    for j in 0..=N_INTERVALS {
        let x = low + (high - low) * j as f64 / N_INTERVALS as f64;
        let simpson = if j == 0 || j == N_INTERVALS { 1.0 } else { 2.0 + 2.0 * (j % 2) as f64 };
        let weight = simpson * (-0.5 * ((x - centre_deg) / sigma_deg).powi(2)).exp();
        let value = polar(weight, wave_per_deg * x);
        weight_sum += weight;
        sum = [sum[0] + value[0], sum[1] + value[1]];
    }
    sum.map(|v| v / weight_sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRATING: Grating = Grating {
        direction_deg: 30.0,
        spatial_frequency_cpd: 0.07,
        temporal_frequency_hz: 2.0,
        contrast: 0.6,
        phase_deg: 25.0,
        onset_ms: 0.0,
    };

    /// Brute force: the Gaussian, cut to the screen, times the grating's frame at `t_ms`, on a fine grid.
    fn seen_by_sum(g: &Grating, centre: [f64; 2], sigma: f64, screen: [f64; 2], t_ms: f64) -> f64 {
        let (sin, cos) = g.direction_deg.to_radians().sin_cos();
        let step = sigma / 40.0;
        let (mut value, mut weight_sum) = (0.0, 0.0);
        for row in -160..160 {
            for col in -160..160 {
                let [dx, dy] = [f64::from(col) + 0.5, f64::from(row) + 0.5].map(|v| v * step);
                let (x, y) = (centre[0] + dx, centre[1] + dy);
                if x < 0.0 || y < 0.0 || x > screen[0] || y > screen[1] {
                    continue;
                }
                let weight = (-0.5 * (dx * dx + dy * dy) / (sigma * sigma)).exp();
                let cycles =
                    g.spatial_frequency_cpd * (x * cos + y * sin) - g.temporal_frequency_hz * t_ms / 1000.0;
                value += weight * g.contrast * (TAU * cycles + g.phase_deg.to_radians()).sin();
                weight_sum += weight;
            }
        }
        value / weight_sum
    }

    #[test]
    fn amplitude_is_the_gaussian_times_the_grating() {
        // Interior, on the left edge, in a corner, and centred outside the screen.
        for (centre, tolerance) in
            [([60.0, 40.0], 2e-4), ([1.0, 40.0], 2e-3), ([119.0, 1.5], 3e-3), ([-3.0, 40.0], 4e-3)]
        {
            let screen = [120.0, 80.0];
            let amplitude = grating_amplitude(&GRATING, centre, 2.0, screen);
            for t_ms in [0.0, 130.0, 333.0] {
                let omega_t = TAU * GRATING.temporal_frequency_hz * t_ms / 1000.0;
                let value = multiply(amplitude, polar(1.0, -omega_t))[1];
                let expected = seen_by_sum(&GRATING, centre, 2.0, screen, t_ms);
                assert!(
                    (value - expected).abs() < tolerance,
                    "{centre:?} at {t_ms} ms: {value} against {expected}"
                );
            }
        }
    }

    #[test]
    fn the_edge_integral_meets_the_closed_form() {
        // A screen a hair narrower than the filter's reach takes the integral instead of the closed form.
        let inside = axis_factor(0.4, 8.0, 2.0, 16.0);
        let cut = axis_factor(0.4, 8.0, 2.0, 16.0 - 1e-9);
        // What is left is the tail beyond four standard deviations, which the closed form keeps.
        assert!((inside[0] - cut[0]).abs() < 2e-4 && (inside[1] - cut[1]).abs() < 2e-4, "{inside:?} {cut:?}");
        assert_eq!(axis_factor(0.4, -9.0, 2.0, 16.0), [0.0, 0.0]);
    }
}

//! How a factor follows a rate: steps in its logarithm against the logarithm of the rate, smaller whenever they turn, larger while they do not.
//!
//! Rates of few spikes are noisy and all models move at once through their recurrent connections, so no step tries to reach the target:
//!
//! ```text
//! ln w <- ln w - clamp(gain ln((r + 0.05)/(target + 0.05)), +-0.5)      gain <- 0.6 gain where the sign has turned, else 1.25 gain
//! ```

use crate::network::tables::InputFactors;

/// Change of ln w for a rate off by one e-fold, at first: rates grow with about the eighth power of the background weights.
pub(super) const FIRST_GAIN: f64 = 0.12;
/// Least and largest gain: with the largest, LGN weights of cells that have few LGN synapses still follow.
const GAIN_LIMITS: [f64; 2] = [0.02, 0.6];
/// Factors on the gain where the direction turns, and where it does not.
const TURNED: f64 = 0.6;
const KEPT: f64 = 1.25;
/// Largest change of ln w in a round.
const LARGEST_STEP: f64 = 0.5;
/// Added to rates, Hz, so that a silent model has a logarithm.
const RATE_FLOOR_HZ: f64 = 0.05;

/// Distance of a rate from its target, e-folds; above 0 where it is too fast.
pub(super) fn log_error(rate_hz: f64, target_hz: f64) -> f64 {
    ((rate_hz + RATE_FLOOR_HZ) / (target_hz + RATE_FLOOR_HZ)).ln()
}

/// The logarithm of a factor on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knob {
    /// Where it is.
    pub(super) at: f64,
    gain: f64,
    /// Change of the round before, as wanted.
    last: f64,
}

impl Knob {
    /// Starts at a factor's logarithm, with a gain.
    pub(super) fn new(at: f64, gain: f64) -> Self {
        Self { at, gain, last: 0.0 }
    }

    /// Moves towards the target, within the limits.
    pub(super) fn turn(&mut self, rate_hz: f64, target_hz: f64, [low, high]: [f64; 2]) {
        let error = log_error(rate_hz, target_hz);
        if self.last != 0.0 {
            self.gain *= if error * self.last > 0.0 { TURNED } else { KEPT };
            self.gain = self.gain.clamp(GAIN_LIMITS[0], GAIN_LIMITS[1]);
        }
        self.last = -self.gain * error;
        self.at = (self.at + self.last.clamp(-LARGEST_STEP, LARGEST_STEP)).clamp(low, high);
    }
}

/// The way of one cell model through pairs of factors, as one number: LGN from its least to its most with the background that alone gives its
/// share; beyond, LGN stays and the background moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Way {
    /// Logarithm of the background factor that alone gives its share.
    pub(super) background: f64,
    /// Least and largest logarithm of the LGN factor; equal for a model without LGN input.
    pub(super) lgn: [f64; 2],
    /// Least and largest logarithm of the background factor.
    pub(super) background_limits: [f64; 2],
}

impl Way {
    /// The factors at a place of the way.
    pub(super) fn factors(&self, at: f64) -> InputFactors {
        let lgn = at.clamp(self.lgn[0], self.lgn[1]);
        let [low, high] = self.background_limits;
        InputFactors { lgn: lgn.exp(), background: (self.background + at - lgn).clamp(low, high).exp() }
    }

    /// The place of factors on the way.
    pub(super) fn place_of(&self, factors: InputFactors) -> f64 {
        factors.lgn.ln().clamp(self.lgn[0], self.lgn[1]) + factors.background.ln() - self.background
    }

    /// Its ends.
    pub(super) fn limits(&self) -> [f64; 2] {
        let [low, high] = self.background_limits;
        [self.lgn[0] + low - self.background, self.lgn[1] + high - self.background]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_runs_through_lgn_first_and_then_through_background() {
        let way = Way { background: 0.5, lgn: [-1.0, 2.0], background_limits: [-3.0, 3.0] };
        let at = |place: f64| {
            let factors = way.factors(place);
            assert!((way.place_of(factors) - place).abs() < 1e-12 || factors.background == 3.0_f64.exp());
            [factors.lgn.ln(), factors.background.ln()]
        };
        let near = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(at(0.0), [0.0, 0.5]));
        assert!(near(at(2.0), [2.0, 0.5]));
        assert!(near(at(3.0), [2.0, 1.5]));
        assert!(near(at(-1.5), [-1.0, 0.0]));
        assert!(near(at(9.0), [2.0, 3.0]));
        assert_eq!(way.limits(), [-4.5, 4.5]);
        let without_lgn = Way { lgn: [0.0, 0.0], ..way };
        assert!(near(
            [without_lgn.factors(0.7).lgn.ln(), without_lgn.factors(0.7).background.ln()],
            [0.0, 1.2]
        ));
    }

    /// Rates that grow with the eighth power of the weight, with the noise of a hundred spikes.
    #[test]
    fn the_rule_settles_from_far_off_and_stops_at_its_limits() {
        let noise = |round: u32, model: u32| {
            let u = crate::model::rng::uniform(3, crate::model::rng::Stream::Loss, model, round, 0);
            (0.2 * f64::from(u - 0.5)).exp()
        };
        for (model, start, target_hz) in [(0, -1.0, 0.6), (1, 1.0, 5.0), (2, 0.0, 9.0), (3, 0.0, 0.17)] {
            let mut knob = Knob::new(start, FIRST_GAIN);
            for round in 0..25 {
                knob.turn((8.0 * knob.at).exp() * noise(round, model), target_hz, [-3.0, 3.0]);
            }
            let error = log_error((8.0 * knob.at).exp(), target_hz);
            assert!(error.abs() < 0.15, "model {model}: {error}");
        }
        let mut knob = Knob::new(0.0, FIRST_GAIN);
        (0..40).for_each(|_| knob.turn(0.0, 5.0, [-1.0, 1.0]));
        assert_eq!(knob.at, 1.0);
    }
}

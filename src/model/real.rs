//! The number types of the model: f64, and dual numbers that carry one directional derivative.
//!
//! The specification (`reference`) and the cell equations are generic over [`Real`], so that one code serves the
//! value, and through [`Dual`] its exact directional derivative.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number: f64, or f64 with a derivative.
pub trait Real:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// A constant.
    fn of(value: f64) -> Self;
    /// The value without its derivative.
    fn value(self) -> f64;
    /// Exponential.
    fn exp(self) -> Self;
    /// A number with the given value whose derivative is `slope` times the derivative of `self`: how a surrogate
    /// derivative enters.
    fn with_slope(self, value: f64, slope: f64) -> Self;
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn with_slope(self, value: f64, _slope: f64) -> Self {
        value
    }
}

/// A value and its derivative along one direction (forward-mode differentiation).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual {
    /// Value.
    pub v: f64,
    /// Directional derivative.
    pub d: f64,
}

impl Dual {
    /// A value with its derivative.
    pub fn new(v: f64, d: f64) -> Self {
        Self { v, d }
    }
}

impl Add for Dual {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self::new(self.v + o.v, self.d + o.d)
    }
}
impl Sub for Dual {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self::new(self.v - o.v, self.d - o.d)
    }
}
impl Mul for Dual {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self::new(self.v * o.v, self.d * o.v + self.v * o.d)
    }
}
impl Div for Dual {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        Self::new(self.v / o.v, (self.d * o.v - self.v * o.d) / (o.v * o.v))
    }
}
impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(-self.v, -self.d)
    }
}

impl Real for Dual {
    fn of(value: f64) -> Self {
        Self::new(value, 0.0)
    }
    fn value(self) -> f64 {
        self.v
    }
    fn exp(self) -> Self {
        let e = self.v.exp();
        Self::new(e, self.d * e)
    }
    fn with_slope(self, value: f64, slope: f64) -> Self {
        Self::new(value, slope * self.d)
    }
}

/// (e^x - 1)/x, continued through x = 0.
pub fn phi1<T: Real>(x: T) -> T {
    if x.value().abs() < 0.5 { taylor(x, 1) } else { (x.exp() - T::of(1.0)) / x }
}

/// (e^x - 1 - x)/x^2, continued through x = 0.
pub fn phi2<T: Real>(x: T) -> T {
    if x.value().abs() < 0.5 { taylor(x, 2) } else { (x.exp() - T::of(1.0) - x) / (x * x) }
}

/// sum_k x^k / (k + order)!, to the last bit of f64 for |x| < 0.5.
fn taylor<T: Real>(x: T, order: usize) -> T {
    const LAST: usize = 16;
    let mut sum = T::of(0.0);
    for k in (0..=LAST).rev() {
        // Horner on ratios of factorials: sum <- 1 + x/(k + order + 1) * sum.
        sum = T::of(1.0) + x * sum / T::of((k + order + 1) as f64);
    }
    sum / T::of((1..=order).product::<usize>() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_functions_join_and_differentiate() {
        for x in [0.499_999_f64, 0.500_001, -0.499_999, -0.500_001, 1e-9, 2.0] {
            let (p1, p2) = (phi1(x), phi2(x));
            assert!((p1 - x.exp_m1() / x).abs() < 1e-14, "phi1({x})");
            assert!((x * p2 - (p1 - 1.0)).abs() < 1e-14, "phi2({x})");
            let h = 1e-5;
            let slope = (phi2(x + h) - phi2(x - h)) / (2.0 * h);
            assert!((phi2(Dual::new(x, 1.0)).d - slope).abs() < 1e-9, "phi2'({x})");
        }
        assert!((phi1(0.0) - 1.0).abs() < 1e-16 && (phi2(0.0) - 0.5).abs() < 1e-16);
    }
}

//! An axis of a chart: linear, in whole numbers, or logarithmic, with marks at round values.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// Values below this are drawn as this on a logarithmic axis.
const LEAST: f64 = 1e-12;

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Scale {
    #[default]
    Linear,
    /// Linear, marked at whole numbers only.
    Whole,
    Log,
}

/// An axis of a chart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    /// Quantity and unit.
    pub(crate) label: String,
    scale: Scale,
    /// Ends; None takes those of the data, from 0 on where the axis is linear.
    ends: Option<(f64, f64)>,
}

impl Axis {
    pub(crate) fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), ..Self::default() }
    }

    pub(crate) fn log(label: &str) -> Self {
        Self { scale: Scale::Log, ..Self::linear(label) }
    }

    pub(crate) fn between(label: &str, low: f64, high: f64) -> Self {
        Self { ends: Some((low, high)), ..Self::linear(label) }
    }

    /// Of counts such as training steps, from the first to the last of the data.
    pub(crate) fn whole(label: &str) -> Self {
        Self { scale: Scale::Whole, ..Self::linear(label) }
    }

    /// Where a value lies on the axis.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.scale == Scale::Log { value.max(LEAST).log10() } else { value }
    }

    /// What stands at a place of the axis.
    pub(super) fn label_at(&self, place: f64) -> String {
        short(if self.scale == Scale::Log { 10f64.powf(place) } else { place })
    }

    /// The axis over some values, a little beyond them.
    pub(super) fn over(&self, values: impl Iterator<Item = f64>) -> Placed {
        if let Some((low, high)) = self.ends {
            return self.placed(self.place(low), self.place(high));
        }
        let (low, high) = extent(values.map(|v| self.place(v)));
        let margin = 0.05 * (high - low);
        match self.scale {
            Scale::Whole => self.placed(low, high),
            Scale::Linear if low >= 0.0 => self.placed(0.0, high + margin),
            _ => self.placed(low - margin, high + margin),
        }
    }

    /// The axis from one place to another.
    pub(super) fn placed(&self, low: f64, high: f64) -> Placed {
        Placed { low, high, scale: self.scale }
    }
}

/// The least and the largest of some values, apart from each other even where there is one or none.
pub(super) fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    match low.partial_cmp(&high) {
        Some(std::cmp::Ordering::Less) => (low, high),
        Some(std::cmp::Ordering::Equal) if low == 0.0 => (0.0, 1.0),
        Some(std::cmp::Ordering::Equal) => (low - 0.1 * low.abs(), high + 0.1 * high.abs()),
        _ => (0.0, 1.0),
    }
}

/// An axis with its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) low: f64,
    pub(super) high: f64,
    scale: Scale,
}

impl Ranged for Placed {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.low..self.high).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let n_most = hint.max_num_points().max(2);
        let even = RangedCoordf64::from(self.low..self.high);
        match self.scale {
            Scale::Linear => even.key_points(hint),
            Scale::Whole => {
                let marks = even.key_points(hint);
                marks.into_iter().filter(|mark| (mark - mark.round()).abs() < 1e-9).collect()
            }
            Scale::Log => {
                let round = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]].map(|steps| self.round_marks(steps));
                let fits = round.into_iter().find(|marks| marks.len() <= n_most);
                // A range of less than an octave or so has no round marks; one of many decades has every so many.
                match fits {
                    Some(marks) if marks.len() > 1 => marks,
                    Some(_) => even.key_points(hint),
                    None => {
                        let decades = self.round_marks(&[1.0]);
                        let stride = decades.len().div_ceil(n_most);
                        decades.into_iter().step_by(stride).collect()
                    }
                }
            }
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl Placed {
    /// Places of the steps' multiples of powers of ten.
    fn round_marks(&self, steps: &[f64]) -> Vec<f64> {
        let decades = self.low.floor() as i32..=self.high.floor() as i32;
        let marks = decades.flat_map(|decade| steps.iter().map(move |step| f64::from(decade) + step.log10()));
        marks.filter(|mark| (self.low..=self.high).contains(mark)).collect()
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if size < 1e-12 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{value:.0e}")
    } else {
        let decimals = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
        let text = format!("{value:.decimals$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use plotters::coord::ranged1d::BoldPoints;

    use super::*;

    #[test]
    fn numbers_beside_an_axis_are_short() {
        let texts = [0.0, 0.5, 12.0, 0.0123, 1234.0, 2e6, 1e-5, -3.25].map(short);
        assert_eq!(texts, ["0", "0.5", "12", "0.0123", "1234", "2e6", "1e-5", "-3.25"]);
    }

    #[test]
    fn marks_are_round() {
        let marks = |axis: Axis, values: &[f64]| {
            let placed = axis.over(values.iter().copied());
            placed.key_points(BoldPoints(5)).into_iter().map(|p| axis.label_at(p)).collect::<Vec<_>>()
        };
        assert_eq!(marks(Axis::log("mV"), &[0.15, 3.0]), ["0.2", "0.5", "1", "2"]);
        assert_eq!(marks(Axis::log("loss"), &[1e-4, 1.0]), ["1e-4", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(marks(Axis::log("loss"), &[1e-12, 1.0]).len(), 5);
        assert!(marks(Axis::log("loss"), &[8.0, 9.0]).len() > 1);
        assert_eq!(marks(Axis::whole("step"), &[1.0, 3.0]), ["1", "2", "3"]);
    }

    #[test]
    fn an_axis_has_room_even_for_one_value_or_none() {
        for values in [&[][..], &[0.0], &[3.0], &[-2.0]] {
            let placed = Axis::linear("x").over(values.iter().copied());
            assert!(placed.low < placed.high && placed.high.is_finite(), "{values:?}: {placed:?}");
        }
    }
}

//! Population Fano factors of the network beside the recordings.

use std::ops::Range;

use crate::loss::fano::{FanoWidth, fano_curve, widths};
use crate::loss::groups::PopulationCounts;
use crate::loss::statistics::mean;
use crate::network::tables::{Split, Tables};
use crate::results::FanoCurve;

/// Fano factors by bin width, evoked and spontaneous, gathered over any number of batches.
#[derive(Clone, Debug)]
pub struct FanoFactors {
    dt_ms: f64,
    /// Bin widths with the recordings of the split trained on: evoked, spontaneous.
    train: [Vec<FanoWidth>; 2],
    held_out: [Vec<FanoWidth>; 2],
    /// Sum and number of trials of each kind and width.
    sums: [Vec<(f64, f64)>; 2],
}

impl FanoFactors {
    /// No trial yet, of trials whose steps in `window` are counted.
    pub fn new(tables: &Tables, window: &Range<usize>, dt_ms: f64) -> Self {
        let of = |split: Split| {
            [true, false].map(|evoked| {
                let recorded = tables.fano_points(evoked, split, window.len() as f64 * dt_ms);
                widths(recorded, dt_ms, window.len())
            })
        };
        let (train, held_out) = (of(Split::Train), of(Split::HeldOut));
        let sums = [0, 1].map(|kind: usize| vec![(0.0, 0.0); train[kind].len()]);
        Self { dt_ms, train, held_out, sums }
    }

    /// Adds a batch; each trial counts the same. `trials`: indices of its evoked trials, and of its spontaneous ones.
    pub fn add(&mut self, population: &PopulationCounts<'_>, trials: [&[usize]; 2]) {
        for ((trials, widths), sums) in trials.into_iter().zip(&self.train).zip(&mut self.sums) {
            for (sum, fano) in sums.iter_mut().zip(fano_curve(population, trials, widths)) {
                if let Some(fano) = fano {
                    sum.0 += fano * trials.len() as f64;
                    sum.1 += trials.len() as f64;
                }
            }
        }
    }

    /// The curves of all batches beside one split.
    pub fn curves(&self, split: Split) -> Vec<FanoCurve> {
        let recorded = if split == Split::Train { &self.train } else { &self.held_out };
        let kinds = [true, false].into_iter().zip(recorded).zip(&self.sums);
        let of_kind = |evoked: bool, widths: &[FanoWidth], sums: &[(f64, f64)]| FanoCurve {
            evoked,
            width_ms: widths.iter().map(|w| w.steps as f64 * self.dt_ms).collect(),
            fano: sums.iter().map(|(sum, n)| (*n > 0.0).then(|| sum / n)).collect(),
            recorded: widths.iter().map(|w| w.recorded.fano).collect(),
            recorded_sd: widths.iter().map(|w| w.recorded.sd).collect(),
        };
        kinds
            .filter(|((_, widths), _)| !widths.is_empty())
            .map(|((evoked, widths), sums)| of_kind(evoked, widths, sums))
            .collect()
    }
}

/// Root mean square error of ln F over the bin widths of all curves; None without a width at which the network has one.
pub fn fano_error(curves: &[FanoCurve]) -> Option<f64> {
    let widths = curves.iter().flat_map(|curve| curve.fano.iter().zip(&curve.recorded));
    let errors: Vec<f64> = widths
        .filter_map(|(fano, recorded)| Some((fano.filter(|f| *f > 0.0)? / recorded).ln().powi(2)))
        .collect();
    mean(&errors).map(f64::sqrt)
}

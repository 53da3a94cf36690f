//! How good the model is, in a line a question: what it reaches, what could be reached, and a plain verdict.

use maud::{Markup, html};

use super::data::Evaluated;
use super::page::{Cell, table, words};
use crate::evaluate::rate_misses;
use crate::figures::MEASURES;
use crate::results::{CellTypeSummary, Comparison};

/// A similarity no further than this below its ceiling is as good as the recordings can tell; three times as far is near.
const AT_CEILING: f64 = 0.05;
/// Selectivity medians within this factor of the recorded one are right.
const OSI_FACTOR: f64 = 1.5;
/// Mean W1 between centred log weights and the spread of EM sizes that counts as none.
const EM_DISTANCE: f64 = 0.05;
/// RMS error of the mean ln PSP that is within a factor of 1.5, and of 2.
const LN_PSP: [f64; 2] = [0.405, 0.693];

/// How good an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Near,
    Off,
}

impl Verdict {
    /// By a value that should not be above two limits.
    fn of(value: f64, good: f64, near: f64) -> Self {
        if value <= good {
            Self::Good
        } else if value <= near {
            Self::Near
        } else {
            Self::Off
        }
    }

    /// By how many of several are right: all but a tenth, half, fewer.
    fn of_share(right: usize, n: usize) -> Self {
        Self::of((n - right) as f64, 0.1 * n as f64, 0.5 * n as f64)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Good => "right",
            Self::Near => "in part",
            Self::Off => "not yet",
        }
    }
}

/// One line: the question, what the model reaches, what it is held against, the verdict.
struct Line {
    question: String,
    model: String,
    against: String,
    verdict: Verdict,
}

/// The table at the top of a report; None where nothing was recorded that the network could be held against.
pub(super) fn section(evaluated: &Evaluated<'_>) -> Option<Markup> {
    let mut lines = similarities(evaluated.held_out);
    lines.extend(medians(evaluated.held_out));
    lines.extend(tuning(evaluated.held_out));
    lines.extend(psps(evaluated));
    lines.extend(weights(evaluated));
    if lines.is_empty() {
        return None;
    }
    let rows: Vec<Vec<Cell>> = lines
        .into_iter()
        .map(|line| {
            vec![
                Cell::text(line.question),
                Cell::text(line.model),
                Cell::text(line.against),
                Cell::text(line.verdict.text()),
            ]
        })
        .collect();
    let caption = html! {
        strong { "How good is it?" } " After training step " (evaluated.training_step) ". Rates and tuning: beside sessions "
        "that training never saw. Paired recordings: those that the losses leave out; the start of a built network knows them. "
        "Weights: beside the synapse sizes that they are trained on."
    };
    let columns = [words("question"), words("this network"), words("held against"), words("verdict")];
    Some(table(&caption, &[], &columns, &rows))
}

/// Mean similarity of each measure beside the mean of the ceilings, over the types that have both.
fn similarities(rows: &[CellTypeSummary]) -> Vec<Line> {
    let of = |measure: &crate::figures::Measure| {
        let both: Vec<(f64, f64)> =
            rows.iter().filter_map(measure.of).filter_map(|c| Some((c.similarity?, c.ceiling?))).collect();
        let n = both.len() as f64;
        let (similarity, ceiling) =
            both.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0 / n, sum.1 + one.1 / n));
        (n > 0.0).then(|| Line {
            question: format!("distribution of {}", measure.title),
            model: format!("similarity {similarity:.2}"),
            against: format!("{ceiling:.2} between halves of the recordings"),
            verdict: Verdict::of(ceiling - similarity, AT_CEILING, 3.0 * AT_CEILING),
        })
    };
    MEASURES.iter().filter_map(of).collect()
}

fn medians(rows: &[CellTypeSummary]) -> Option<Line> {
    let (n, misses) = rate_misses(rows);
    let right = n - misses.len();
    (n > 0).then(|| Line {
        question: "median rates by cell type".to_owned(),
        model: format!("{right} of {n} within"),
        against: "the recorded interquartile ranges".to_owned(),
        verdict: Verdict::of_share(right, n),
    })
}

/// Medians of orientation selectivity of the pyramidal types.
fn tuning(rows: &[CellTypeSummary]) -> Option<Line> {
    let pyramidal = rows.iter().filter(|row| {
        let (name, inhibitory) = (&row.cell_type, ["_PV", "_SST", "_VIP", "_Inh"]);
        !inhibitory.iter().any(|kind| name.contains(kind))
    });
    let both = |c: &Comparison| Some((c.median, c.target_median.filter(|t| *t > 0.0)?));
    let medians: Vec<(f64, f64)> = pyramidal.filter_map(|row| both(row.osi.as_ref()?)).collect();
    let is_right =
        |(model, recorded): &&(f64, f64)| *model > 0.0 && (model / recorded).ln().abs() <= OSI_FACTOR.ln();
    let (right, n) = (medians.iter().filter(is_right).count(), medians.len());
    (n > 0).then(|| Line {
        question: "orientation selectivity of pyramidal types".to_owned(),
        model: format!("{right} of {n} medians"),
        against: format!("within a factor of {OSI_FACTOR} of the recorded"),
        verdict: Verdict::of_share(right, n),
    })
}

/// Peaks of paired recordings that the losses leave out.
fn psps(evaluated: &Evaluated<'_>) -> Option<Line> {
    let held_out = evaluated.pairs.iter().filter(|pair| pair.held_out && pair.model.n > 1);
    let squares: Vec<f64> =
        held_out.map(|pair| (pair.model.log_mean - pair.recorded_log_mean).powi(2)).collect();
    let rms = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    (!squares.is_empty()).then(|| Line {
        question: "paired recordings that no loss sees".to_owned(),
        model: format!("off by a factor of {:.2}", rms.exp()),
        against: format!("{} measured pairs of cell groups, root mean square of ln PSP", squares.len()),
        verdict: Verdict::of(rms, LN_PSP[0], LN_PSP[1]),
    })
}

/// Spread of the weights between excitatory types, each edge counting the same.
fn weights(evaluated: &Evaluated<'_>) -> Option<Line> {
    let n: f64 = evaluated.weights.iter().map(|w| w.model.n as f64).sum();
    let sum: f64 = evaluated.weights.iter().map(|w| w.model.n as f64 * w.distance).sum();
    (n > 0.0).then(|| Line {
        question: "spread of excitatory weights".to_owned(),
        model: format!("W1 {:.3}", sum / n),
        against: format!("synapse sizes in electron microscopy, at most {EM_DISTANCE}"),
        verdict: Verdict::of(sum / n, EM_DISTANCE, 3.0 * EM_DISTANCE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_follow_their_limits() {
        assert_eq!(Verdict::of(0.04, 0.05, 0.15), Verdict::Good);
        assert_eq!(Verdict::of(0.1, 0.05, 0.15), Verdict::Near);
        assert_eq!(Verdict::of(0.2, 0.05, 0.15), Verdict::Off);
        assert_eq!(Verdict::of(f64::NAN, 0.05, 0.15), Verdict::Off);
        let shares = [24, 22, 21, 12, 11].map(|right| Verdict::of_share(right, 24));
        assert_eq!(shares, [Verdict::Good, Verdict::Good, Verdict::Near, Verdict::Near, Verdict::Off]);
    }

    #[test]
    fn selectivity_is_judged_by_pyramidal_types_alone() {
        let osi = |median: f64, target: f64| {
            Some(Comparison { median, target_median: Some(target), ..Comparison::default() })
        };
        let row = |name: &str, osi| CellTypeSummary {
            cell_type: name.to_owned(),
            n_neurons: 9,
            rate_evoked_hz: None,
            rate_spontaneous_hz: None,
            osi,
            dsi: None,
        };
        let rows = [
            row("L2/3_Exc", osi(0.3, 0.25)),
            row("L4_Exc", osi(0.1, 0.3)),
            row("L4_PV", osi(0.9, 0.1)),
            row("L5_IT", osi(0.0, 0.3)),
            row("L6_Exc", None),
        ];
        let line = tuning(&rows).unwrap();
        assert_eq!((line.model.as_str(), line.verdict), ("1 of 3 medians", Verdict::Off));
        assert!(tuning(&rows[2..3]).is_none() && medians(&rows).is_none() && similarities(&rows).is_empty());
    }
}

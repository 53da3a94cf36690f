//! The figures of an evaluation: as SVG, one file a subject in `RUN/figures`, and chart by chart for the report.

use std::path::Path;

use crate::error::Result;
use crate::network::normal_quantile;
use crate::network::tables::PROBABILITIES;
use crate::output::{make_folder, replace_file};
use crate::results::{
    BesideSessions, CellTypeSummary, Comparison, ContrastCurve, Evaluation, FanoCurve, PairErrors,
    PairTypeWeights, TuningCurve,
};

mod axis;
mod draw;
mod panels;

pub(crate) use axis::Axis;
pub(crate) use draw::{Figure, PALETTE, Panel, colour, hex};
pub(crate) use panels::{Line, RasterGroup, lines, raster};

use draw::{MODEL, RECORDED, beside_recordings};
use panels::{Bar, Point, Range, bars, ranges, scatter};

/// Size of a small chart, px.
pub(crate) const SMALL_CHART: (u32, u32) = (250, 200);
/// Small charts in a row of a file.
const N_COLUMNS: usize = 5;

/// Writes every figure that there is something to show in; their file names.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(dir: &Path, validation: &Evaluation, beside: &BesideSessions) -> Result<Vec<String>> {
    make_folder(dir)?;
    let rows = &beside.cell_types;
    let mut figures = vec![
        rates(rows),
        selectivity(rows),
        similarity(rows),
        tuning(&beside.curves.tuning),
        contrast(&beside.curves.contrast),
        fano(&beside.fano),
        pairs(&validation.pairs),
        psps(&validation.pairs),
        weights(&validation.weights),
        weight_distributions(&validation.weights),
    ];
    figures.extend(MEASURES.iter().map(|measure| distributions(rows, measure)));
    let mut written = Vec::new();
    for figure in figures.into_iter().flatten() {
        let name = format!("{}.svg", figure.name);
        // What a file is of must be known where a later evaluation was killed between two.
        let step = validation.training_step;
        let svg = figure.svg()? + &format!("<!-- of the network after training step {step} -->\n");
        replace_file(&dir.join(&name), svg.as_bytes())?;
        written.push(name);
    }
    Ok(written)
}

/// What is compared with recordings, cell type by cell type.
pub(crate) struct Measure {
    /// Name.
    pub(crate) title: &'static str,
    /// Quantity and unit.
    pub(crate) unit: &'static str,
    /// Stem of the file of its distributions.
    file: &'static str,
    /// The comparison of a cell type.
    pub(crate) of: fn(&CellTypeSummary) -> Option<&Comparison>,
}

/// Rates and selectivity.
pub(crate) const MEASURES: [Measure; 4] = [
    Measure {
        title: "rate, gratings",
        unit: "rate, Hz",
        file: "distributions_evoked",
        of: |row| row.rate_evoked_hz.as_ref(),
    },
    Measure {
        title: "rate, grey screen",
        unit: "rate, Hz",
        file: "distributions_spontaneous",
        of: |row| row.rate_spontaneous_hz.as_ref(),
    },
    Measure { title: "OSI", unit: "OSI", file: "distributions_osi", of: |row| row.osi.as_ref() },
    Measure { title: "DSI", unit: "DSI", file: "distributions_dsi", of: |row| row.dsi.as_ref() },
];

const QUARTILES: &str = "bar: lower to upper quartile; line: median";

/// Quartiles of network and recordings by cell type, a chart a measure.
fn quartiles(name: &'static str, rows: &[CellTypeSummary], measures: &[Measure]) -> Option<Figure> {
    let chart = |measure: &Measure| {
        let of_types: Vec<Range> = rows
            .iter()
            .filter_map(|row| (measure.of)(row).map(|c| (row, c)))
            .map(|(row, c)| Range {
                name: row.cell_type.clone(),
                model: [c.q25, c.median, c.q75],
                recorded: match (c.target_q25, c.target_median, c.target_q75) {
                    (Some(low), Some(median), Some(high)) => Some([low, median, high]),
                    _ => None,
                },
            })
            .collect();
        let panel = || ranges(measure.title, Axis::linear(measure.unit), 490, of_types.clone());
        (!of_types.is_empty()).then(panel)
    };
    Figure {
        name,
        panels: measures.iter().filter_map(chart).collect(),
        n_columns: 2,
        legend: beside_recordings(),
        note: QUARTILES.to_owned(),
    }
    .some()
}

pub(crate) fn rates(rows: &[CellTypeSummary]) -> Option<Figure> {
    quartiles("rates", rows, &MEASURES[..2])
}

pub(crate) fn selectivity(rows: &[CellTypeSummary]) -> Option<Figure> {
    quartiles("selectivity", rows, &MEASURES[2..])
}

pub(crate) fn similarity(rows: &[CellTypeSummary]) -> Option<Figure> {
    let chart = |measure: &Measure| {
        let of_types: Vec<Bar> = rows
            .iter()
            .filter_map(|row| {
                let comparison = (measure.of)(row)?;
                Some(Bar {
                    name: row.cell_type.clone(),
                    value: comparison.similarity?,
                    interval: comparison.similarity_interval,
                    ceiling: comparison.ceiling,
                })
            })
            .collect();
        let axis = Axis::between("similarity (1 - KS)", 0.0, 1.0);
        (!of_types.is_empty()).then(|| bars(measure.title, axis, 258, of_types.clone()))
    };
    Figure {
        name: "similarity",
        panels: MEASURES.iter().filter_map(chart).collect(),
        n_columns: 4,
        legend: vec![
            ("network".to_owned(), MODEL),
            ("recorded sessions among themselves".to_owned(), RECORDED),
        ],
        note: "line: 95 % bootstrap interval over neurons".to_owned(),
    }
    .some()
}

/// A chart of bars by name.
pub(crate) fn bars_of(title: &str, axis: Axis, width: u32, values: Vec<(String, f64)>) -> Panel {
    let bar = |(name, value)| Bar { name, value, interval: None, ceiling: None };
    bars(title, axis, width, values.into_iter().map(bar).collect())
}

/// Cumulative distributions of a measure, a chart a cell type, drawn through quantiles. The similarity looks at the steps of the sample.
pub(crate) fn distributions(rows: &[CellTypeSummary], measure: &Measure) -> Option<Figure> {
    let panels = rows.iter().filter_map(|row| {
        let comparison = (measure.of)(row)?;
        let of =
            |quantiles: &[f64]| -> Vec<(f64, f64)> { quantiles.iter().copied().zip(PROBABILITIES).collect() };
        let model = of(&comparison.quantiles);
        let recorded = comparison.target_quantiles.as_deref().map(of).unwrap_or_default();
        if model.is_empty() {
            return None;
        }
        let note = match (comparison.similarity, comparison.ceiling, comparison.target_n_units) {
            (Some(similarity), Some(ceiling), Some(n)) => {
                format!("{similarity:.2} / {ceiling:.2}; n {} / {n}", comparison.n_neurons)
            }
            (Some(similarity), None, Some(n)) => {
                format!("{similarity:.2}; n {} / {n}", comparison.n_neurons)
            }
            _ => format!("n {}", comparison.n_neurons),
        };
        Some(cumulative(&row.cell_type, &note, measure.unit, [model, recorded]))
    });
    Figure {
        name: measure.file,
        panels: panels.collect(),
        n_columns: N_COLUMNS,
        legend: beside_recordings(),
        note: "small numbers: similarity / ceiling; n network / recorded; axes end at the 95th percentile"
            .to_owned(),
    }
    .some()
}

/// Network and recordings as cumulative distributions, up to the 95th percentile of either.
fn cumulative(title: &str, note: &str, unit: &str, [model, recorded]: [Vec<(f64, f64)>; 2]) -> Panel {
    let at = |curve: &[(f64, f64)], level: f64| curve.iter().find(|p| p.1 >= level).map(|p| p.0);
    let both = || [&model, &recorded].into_iter();
    let high = both().filter_map(|c| at(c, 0.949)).fold(f64::MIN, f64::max);
    let low = both().filter_map(|c| at(c, 0.0)).fold(f64::MAX, f64::min).min(0.0);
    let high = if high > low { high } else { low + 1.0 };
    let curve = |points: &[(f64, f64)], colour| Line { points: until(points, high), colour, dots: false };
    let curves = vec![curve(&recorded, RECORDED), curve(&model, MODEL)];
    let axes = [Axis::between(unit, low, high), Axis::between("share of neurons", 0.0, 1.0)];
    lines(title, note, axes, SMALL_CHART, curves)
}

/// The part of a rising curve up to `end`, which it reaches on the line to its next point.
fn until(points: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let n = points.iter().take_while(|p| p.0 <= end).count();
    let mut kept = points[..n].to_vec();
    if let (Some(last), Some(next)) = (points[..n].last(), points.get(n)) {
        kept.push((end, last.1 + (next.1 - last.1) * (end - last.0) / (next.0 - last.0)));
    }
    kept
}

/// Small charts of response curves beside the recorded ones.
fn response_curves(
    name: &'static str,
    axes: [&Axis; 2],
    curves: impl Iterator<Item = (String, String, [Vec<(f64, f64)>; 2])>,
) -> Option<Figure> {
    let shown = curves.filter(|(_, _, [model, _])| model.len() > 1);
    let charts = shown.map(|(title, note, [model, recorded])| {
        let line = |points, colour| Line { points, colour, dots: true };
        let both = vec![line(recorded, RECORDED), line(model, MODEL)];
        lines(&title, &note, axes.map(Axis::clone), SMALL_CHART, both)
    });
    Figure {
        name,
        panels: charts.collect(),
        n_columns: N_COLUMNS,
        legend: beside_recordings(),
        note: String::new(),
    }
    .some()
}

pub(crate) fn tuning(curves: &[TuningCurve]) -> Option<Figure> {
    let curves = curves.iter().map(|curve| {
        let points = |rates: &[Option<f64>]| {
            curve.delta_deg.iter().zip(rates).filter_map(|(x, y)| Some((*x, (*y)?))).collect::<Vec<_>>()
        };
        let both = [points(&curve.rate_hz), curve.target_hz.as_deref().map(points).unwrap_or_default()];
        (curve.cell_type.clone(), format!("n {}", curve.n_neurons), both)
    });
    let x = Axis::between("deg from preferred direction", 0.0, 360.0);
    response_curves("tuning", [&x, &Axis::linear("rate, Hz")], curves)
}

pub(crate) fn contrast(curves: &[ContrastCurve]) -> Option<Figure> {
    let curves = curves.iter().map(|curve| {
        let points =
            |rates: &[f64]| curve.contrasts.iter().copied().zip(rates.iter().copied()).collect::<Vec<_>>();
        let both = [points(&curve.rate_hz), curve.target_hz.as_deref().map(points).unwrap_or_default()];
        (curve.cell_type.clone(), format!("n {}", curve.n_neurons), both)
    });
    response_curves("contrast", [&Axis::between("contrast", 0.0, 1.0), &Axis::linear("rate, Hz")], curves)
}

pub(crate) fn fano(curves: &[FanoCurve]) -> Option<Figure> {
    let curves = curves.iter().map(|curve| {
        let model = curve.width_ms.iter().zip(&curve.fano).filter_map(|(x, y)| Some((*x, (*y)?))).collect();
        let recorded = curve.width_ms.iter().copied().zip(curve.recorded.iter().copied()).collect();
        let title = if curve.evoked { "gratings" } else { "grey screen" };
        (title.to_owned(), String::new(), [model, recorded])
    });
    let axes = [&Axis::log("bin width, ms"), &Axis::linear("population Fano factor")];
    response_curves("fano", axes, curves)
}

/// A measured value and the network's.
type MeasuredAndModel = fn(&PairErrors) -> (f64, f64);

/// Mean, spread and time to peak of paired recordings against the measured ones.
pub(crate) fn pairs(pairs: &[PairErrors]) -> Option<Figure> {
    let shown: Vec<&PairErrors> = pairs.iter().filter(|pair| pair.model.n > 1).collect();
    let chart = |title: &str, of: MeasuredAndModel| {
        let point = |pair: &&PairErrors| {
            let (x, y) = of(pair);
            Point { x, y, filled: !pair.held_out }
        };
        scatter(title, ["measured", "network"], shown.iter().map(point).collect())
    };
    let charts: [(&str, MeasuredAndModel); 3] = [
        ("mean of ln(PSP/mV)", |p| (p.recorded_log_mean, p.model.log_mean)),
        ("sd of ln(PSP)", |p| (p.recorded_log_sd, p.model.log_sd)),
        ("time to peak, ms", |p| (p.measured_time_to_peak_ms, p.time_to_peak_ms)),
    ];
    let panels =
        if shown.is_empty() { Vec::new() } else { charts.map(|(title, of)| chart(title, of)).into() };
    Figure {
        name: "pairs",
        panels,
        n_columns: 3,
        legend: Vec::new(),
        note: "filled: training may see the pair; open: held out".to_owned(),
    }
    .some()
}

/// Index of a probability among [`PROBABILITIES`].
fn at(probability: f64) -> usize {
    PROBABILITIES.partition_point(|p| *p < probability - 1e-9)
}

/// Quartiles of PSPs beside the log-normal law of the measured ones, by measured pair of cell groups.
pub(crate) fn psps(pairs: &[PairErrors]) -> Option<Figure> {
    let chart = |title: &str, held_out: bool| {
        let of_pairs: Vec<Range> = pairs
            .iter()
            .filter(|pair| pair.held_out == held_out && pair.log_quantiles.len() == PROBABILITIES.len())
            .map(|pair| Range {
                name: format!("{} \u{2192} {}", pair.source, pair.target),
                model: [0.25, 0.5, 0.75].map(|p| pair.log_quantiles[at(p)].exp()),
                recorded: Some(
                    [0.25, 0.5, 0.75]
                        .map(|p| (pair.recorded_log_mean + pair.recorded_log_sd * normal_quantile(p)).exp()),
                ),
            })
            .collect();
        let panel = || ranges(title, Axis::log("peak PSP, mV"), 490, of_pairs.clone());
        (!of_pairs.is_empty()).then(panel)
    };
    let panels = [chart("pairs held out", true), chart("pairs that training may see", false)];
    Figure {
        name: "psps",
        panels: panels.into_iter().flatten().collect(),
        n_columns: 2,
        legend: beside_recordings(),
        note: QUARTILES.to_owned(),
    }
    .some()
}

pub(crate) fn weights(weights: &[PairTypeWeights]) -> Option<Figure> {
    let shown = weights.iter().filter(|w| w.model.n > 1);
    let points: Vec<Point> =
        shown.map(|w| Point { x: w.em_log_sd, y: w.model.sd, filled: w.is_measured }).collect();
    let chart = |points| scatter("sd of ln(weight) and of ln(EM size)", ["EM", "network"], points);
    Figure {
        name: "weights",
        panels: if points.is_empty() { Vec::new() } else { vec![chart(points)] },
        n_columns: 1,
        legend: Vec::new(),
        note: "filled: EM of the pair type itself; open: pooled".to_owned(),
    }
    .some()
}

/// Cumulative distributions of ln(weight) about its mean beside the normal law of the spread of EM sizes, for pair types that EM has
/// measured themselves.
pub(crate) fn weight_distributions(weights: &[PairTypeWeights]) -> Option<Figure> {
    let shown = weights.iter().filter(|w| w.is_measured && w.log_quantiles.len() == PROBABILITIES.len());
    let charts = shown.map(|w| {
        let inner = || PROBABILITIES.into_iter().enumerate().filter(|(_, p)| (0.005..0.995).contains(p));
        let model = inner().map(|(i, p)| (w.log_quantiles[i] - w.model.mean, p)).collect();
        let recorded = inner().map(|(_, p)| (w.em_log_sd * normal_quantile(p), p)).collect();
        let line = |points, colour| Line { points, colour, dots: false };
        let title = format!("{} \u{2192} {}", w.source, w.target);
        let note = format!("n {}; W1 {:.2}", w.model.n, w.distance);
        let axes = [Axis::linear("ln(weight) - mean"), Axis::between("share of edges", 0.0, 1.0)];
        lines(&title, &note, axes, SMALL_CHART, vec![line(recorded, RECORDED), line(model, MODEL)])
    });
    Figure {
        name: "weight_distributions",
        panels: charts.collect(),
        n_columns: N_COLUMNS,
        legend: vec![("network".to_owned(), MODEL), ("spread of EM sizes".to_owned(), RECORDED)],
        note: String::new(),
    }
    .some()
}

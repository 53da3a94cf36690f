//! The figures of an evaluation, as SVG: one file a subject in `RUN/figures`.

use std::path::Path;

use crate::error::{Error, Result};
use crate::evaluate::{CellTypeSummary, Comparison};
use crate::output::replace_file;
use crate::train::{BesideSessions, Validation};

mod draw;

use draw::{Bars, Curve, Point, Range};

/// Writes every figure that there is something to show in; their file names.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(dir: &Path, validation: &Validation, beside: &BesideSessions) -> Result<Vec<String>> {
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let rows = &beside.cell_types;
    let drawn = [
        ("rates.svg", rates(rows)?),
        ("selectivity.svg", selectivity(rows)?),
        ("similarity.svg", similarity(rows)?),
        ("tuning.svg", tuning(beside)?),
        ("contrast.svg", contrast(beside)?),
        ("fano.svg", fano(beside)?),
        ("pairs.svg", pairs(validation)?),
        ("weights.svg", weights(validation)?),
    ];
    let mut written = Vec::new();
    for (name, svg) in drawn {
        if let Some(svg) = svg {
            replace_file(&dir.join(name), svg.as_bytes())?;
            written.push(name.to_owned());
        }
    }
    Ok(written)
}

type Measure = fn(&CellTypeSummary) -> Option<&Comparison>;

/// Quartiles of the network and of the recordings by cell type, in two panels.
fn two_ranges(rows: &[CellTypeSummary], panels: [(&str, &str, Measure); 2]) -> Result<Option<String>> {
    let panels = panels.map(|(title, unit, measure)| {
        let ranges: Vec<Range> = rows
            .iter()
            .filter_map(|row| measure(row).map(|c| (row, c)))
            .map(|(row, c)| Range {
                name: row.cell_type.clone(),
                model: [c.q25, c.median, c.q75],
                recorded: match (c.target_q25, c.target_median, c.target_q75) {
                    (Some(low), Some(median), Some(high)) => Some([low, median, high]),
                    _ => None,
                },
            })
            .collect();
        (title, unit, ranges)
    });
    draw::ranges(&panels)
}

fn rates(rows: &[CellTypeSummary]) -> Result<Option<String>> {
    two_ranges(
        rows,
        [
            ("gratings", "rate, Hz", |row| row.rate_evoked_hz.as_ref()),
            ("grey screen", "rate, Hz", |row| row.rate_spontaneous_hz.as_ref()),
        ],
    )
}

fn selectivity(rows: &[CellTypeSummary]) -> Result<Option<String>> {
    two_ranges(
        rows,
        [
            ("orientation selectivity", "OSI", |row| row.osi.as_ref()),
            ("direction selectivity", "DSI", |row| row.dsi.as_ref()),
        ],
    )
}

fn similarity(rows: &[CellTypeSummary]) -> Result<Option<String>> {
    let measures: [(&str, Measure); 4] = [
        ("gratings", |row| row.rate_evoked_hz.as_ref()),
        ("grey screen", |row| row.rate_spontaneous_hz.as_ref()),
        ("OSI", |row| row.osi.as_ref()),
        ("DSI", |row| row.dsi.as_ref()),
    ];
    let panels = measures.map(|(title, measure)| {
        let bars = rows.iter().filter_map(|row| {
            let comparison = measure(row)?;
            Some(Bars {
                name: row.cell_type.clone(),
                value: comparison.similarity?,
                interval: comparison.similarity_interval,
                ceiling: comparison.ceiling,
            })
        });
        (title, bars.collect::<Vec<Bars>>())
    });
    draw::bars(&panels)
}

fn tuning(beside: &BesideSessions) -> Result<Option<String>> {
    let curves: Vec<Curve> = beside
        .curves
        .tuning
        .iter()
        .map(|curve| {
            let points = |rates: &[Option<f64>]| {
                curve.delta_deg.iter().zip(rates).filter_map(|(x, y)| Some((*x, (*y)?))).collect::<Vec<_>>()
            };
            Curve {
                name: curve.cell_type.clone(),
                model: points(&curve.rate_hz),
                recorded: curve.target_hz.as_deref().map(points).unwrap_or_default(),
            }
        })
        .collect();
    draw::curves(&curves, "deg from preferred direction", "rate, Hz")
}

fn contrast(beside: &BesideSessions) -> Result<Option<String>> {
    let curves: Vec<Curve> = beside
        .curves
        .contrast
        .iter()
        .map(|curve| {
            let points = |rates: &[f64]| {
                curve.contrasts.iter().copied().zip(rates.iter().copied()).collect::<Vec<_>>()
            };
            Curve {
                name: curve.cell_type.clone(),
                model: points(&curve.rate_hz),
                recorded: curve.target_hz.as_deref().map(points).unwrap_or_default(),
            }
        })
        .collect();
    draw::curves(&curves, "contrast", "rate, Hz")
}

fn fano(beside: &BesideSessions) -> Result<Option<String>> {
    let curves: Vec<Curve> = beside
        .fano
        .iter()
        .map(|curve| {
            let log_ms = || curve.width_ms.iter().map(|ms| ms.log10());
            Curve {
                name: if curve.evoked { "gratings" } else { "grey screen" }.to_owned(),
                model: log_ms().zip(&curve.fano).filter_map(|(x, y)| Some((x, (*y)?))).collect(),
                recorded: log_ms().zip(curve.recorded.iter().copied()).collect(),
            }
        })
        .collect();
    draw::curves(&curves, "log10 of the bin width in ms", "population Fano factor")
}

fn pairs(validation: &Validation) -> Result<Option<String>> {
    let point = |of: fn(&crate::train::PairErrors) -> (f64, f64)| -> Vec<Point> {
        let with_model = validation.pairs.iter().filter(|pair| pair.model.n > 1);
        with_model
            .map(|pair| {
                let (x, y) = of(pair);
                Point { x, y, filled: !pair.held_out }
            })
            .collect()
    };
    draw::scatter(
        &[
            ("mean of ln(PSP/mV)", point(|p| (p.recorded_log_mean, p.model.log_mean))),
            ("sd of ln(PSP)", point(|p| (p.recorded_log_sd, p.model.log_sd))),
            ("time to peak, ms", point(|p| (p.measured_time_to_peak_ms, p.time_to_peak_ms))),
        ],
        "measured",
        "network",
        "filled: training may see the pair; open: held out",
    )
}

fn weights(validation: &Validation) -> Result<Option<String>> {
    let points = validation.weights.iter().filter(|w| w.model.n > 1);
    let points: Vec<Point> =
        points.map(|w| Point { x: w.em_log_sd, y: w.model.sd, filled: w.is_measured }).collect();
    draw::scatter(
        &[("sd of ln(weight) and of ln(EM size)", points)],
        "EM",
        "network",
        "filled: EM of the pair type itself; open: pooled",
    )
}

//! The kinds of figure: ranges, bars, curves and scatter plots in panels side by side.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::{Error, Result};

/// The network's colour and the recordings' (Okabe and Ito 2008: told apart by the colour-blind).
const MODEL: RGBColor = RGBColor(0, 114, 178);
const RECORDED: RGBColor = RGBColor(230, 159, 0);
const FONT: (&str, i32) = ("sans-serif", 12);
const LEGEND_HEIGHT: u32 = 28;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Quartiles of a cell type: lower, median, upper.
pub(super) struct Range {
    pub(super) name: String,
    pub(super) model: [f64; 3],
    pub(super) recorded: Option<[f64; 3]>,
}

/// A similarity with its interval and what the recordings reach among themselves.
pub(super) struct Bars {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) ceiling: Option<f64>,
}

/// A response curve.
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) model: Vec<(f64, f64)>,
    pub(super) recorded: Vec<(f64, f64)>,
}

/// A point of a scatter plot.
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) filled: bool,
}

/// Draws on white, with a line of legend at the bottom.
fn figure(
    size: (u32, u32),
    legend: &[(&str, RGBColor)],
    note: &str,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String> {
    let mut svg = String::new();
    let drawn = (|| {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let (panels, bottom) = area.split_vertically(size.1 - LEGEND_HEIGHT);
        draw(&panels)?;
        let mut x = 16;
        for (name, colour) in legend {
            bottom.draw(&Rectangle::new([(x, 6), (x + 12, 18)], colour.filled()))?;
            bottom.draw(&Text::new((*name).to_owned(), (x + 18, 6), FONT))?;
            x += 30 + 7 * name.len() as i32;
        }
        bottom.draw(&Text::new(note.to_owned(), (x, 6), FONT))?;
        area.present()
    })();
    drawn
        .map_err(|e: DrawingAreaErrorKind<std::io::Error>| Error::Failed(format!("drawing a figure: {e}")))?;
    Ok(svg)
}

/// Panels of quartiles: bars from the lower to the upper quartile, a line at the median. None without anything to show.
pub(super) fn ranges(panels: &[(&str, &str, Vec<Range>)]) -> Result<Option<String>> {
    let longest = panels.iter().map(|panel| panel.2.len()).max().unwrap_or(0);
    if longest == 0 {
        return Ok(None);
    }
    let size = (980, 90 + 24 * longest as u32 + LEGEND_HEIGHT);
    let legend = [("network", MODEL), ("recorded", RECORDED)];
    let note = "bar: lower to upper quartile; line: median";
    figure(size, &legend, note, |area| {
        for ((title, unit, ranges), area) in panels.iter().zip(area.split_evenly((1, panels.len()))) {
            let highest = |r: &Range| r.model[2].max(r.recorded.map_or(0.0, |r| r[2]));
            let largest = ranges.iter().map(highest).fold(1e-3, f64::max);
            let names: Vec<&str> = ranges.iter().map(|r| r.name.as_str()).collect();
            let mut chart = by_name(&area, title, unit, &names, 1.05 * largest)?;
            for (i, range) in ranges.iter().enumerate() {
                let y = row(i, ranges.len());
                let both = [(Some(range.model), MODEL, 0.08), (range.recorded, RECORDED, -0.30)];
                for (values, colour, low) in both {
                    let Some([q25, median, q75]) = values else { continue };
                    let bar =
                        Rectangle::new([(q25, y + low), (q75, y + low + 0.22)], colour.mix(0.55).filled());
                    let line = PathElement::new(
                        vec![(median, y + low - 0.03), (median, y + low + 0.25)],
                        colour.stroke_width(2),
                    );
                    chart.draw_series([bar])?;
                    chart.draw_series([line])?;
                }
            }
        }
        Ok(())
    })
    .map(Some)
}

/// Panels of similarities: a bar, its interval, and a mark where the recordings are among themselves.
pub(super) fn bars(panels: &[(&str, Vec<Bars>)]) -> Result<Option<String>> {
    let longest = panels.iter().map(|panel| panel.1.len()).max().unwrap_or(0);
    if longest == 0 {
        return Ok(None);
    }
    let size = (1180, 90 + 20 * longest as u32 + LEGEND_HEIGHT);
    let legend = [("network", MODEL), ("recorded sessions among themselves", RECORDED)];
    figure(size, &legend, "line: 95 % bootstrap interval over neurons", |area| {
        for ((title, bars), area) in panels.iter().zip(area.split_evenly((1, panels.len()))) {
            let names: Vec<&str> = bars.iter().map(|b| b.name.as_str()).collect();
            let mut chart = by_name(&area, title, "similarity (1 - KS)", &names, 1.0)?;
            for (i, bar) in bars.iter().enumerate() {
                let y = row(i, bars.len());
                let body = Rectangle::new([(0.0, y - 0.28), (bar.value, y + 0.28)], MODEL.mix(0.55).filled());
                chart.draw_series([body])?;
                if let Some([low, high]) = bar.interval {
                    chart.draw_series([PathElement::new(vec![(low, y), (high, y)], BLACK)])?;
                }
                if let Some(ceiling) = bar.ceiling {
                    let mark = vec![(ceiling, y - 0.42), (ceiling, y + 0.42)];
                    chart.draw_series([PathElement::new(mark, RECORDED.stroke_width(3))])?;
                }
            }
        }
        Ok(())
    })
    .map(Some)
}

/// Small panels of response curves, one a cell type.
pub(super) fn curves(curves: &[Curve], x_name: &str, y_name: &str) -> Result<Option<String>> {
    let shown: Vec<&Curve> = curves.iter().filter(|curve| curve.model.len() > 1).collect();
    if shown.is_empty() {
        return Ok(None);
    }
    let n_columns = shown.len().min(5);
    let n_rows = shown.len().div_ceil(n_columns);
    let size = ((220 * n_columns as u32).max(480), 190 * n_rows as u32 + LEGEND_HEIGHT);
    let legend = [("network", MODEL), ("recorded", RECORDED)];
    let note = format!("x: {x_name}; y: {y_name}");
    figure(size, &legend, &note, |area| {
        for (curve, area) in shown.iter().zip(area.split_evenly((n_rows, n_columns))) {
            let points = || curve.model.iter().chain(&curve.recorded);
            let x_range = points().map(|p| p.0).fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
            let largest = points().map(|p| p.1).fold(0.1, f64::max);
            let mut chart = ChartBuilder::on(&area)
                .margin(8)
                .caption(&curve.name, ("sans-serif", 13))
                .x_label_area_size(20)
                .y_label_area_size(34)
                .build_cartesian_2d(x_range.0..x_range.1, 0.0..1.1 * largest)?;
            chart
                .configure_mesh()
                .disable_mesh()
                .x_labels(5)
                .y_labels(4)
                .label_style(("sans-serif", 11))
                .draw()?;
            for (points, colour) in [(&curve.recorded, RECORDED), (&curve.model, MODEL)] {
                chart.draw_series([PathElement::new(points.clone(), colour.stroke_width(2))])?;
                chart.draw_series(points.iter().map(|p| Circle::new(*p, 2, colour.filled())))?;
            }
        }
        Ok(())
    })
    .map(Some)
}

/// Panels of points against the diagonal.
pub(super) fn scatter(
    panels: &[(&str, Vec<Point>)],
    x_name: &str,
    y_name: &str,
    note: &str,
) -> Result<Option<String>> {
    if panels.iter().all(|panel| panel.1.is_empty()) {
        return Ok(None);
    }
    let size = (370 * panels.len() as u32, 370 + LEGEND_HEIGHT);
    figure(size, &[], note, |area| {
        for ((title, points), area) in panels.iter().zip(area.split_evenly((1, panels.len()))) {
            let all = || points.iter().flat_map(|p| [p.x, p.y]);
            let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
            let margin = 0.05 * (high - low).max(1e-3);
            let (low, high) = (low - margin, high + margin);
            let mut chart = ChartBuilder::on(&area)
                .margin(10)
                .caption(*title, ("sans-serif", 14))
                .x_label_area_size(36)
                .y_label_area_size(46)
                .build_cartesian_2d(low..high, low..high)?;
            let mut mesh = chart.configure_mesh();
            mesh.disable_mesh().x_labels(6).y_labels(6).x_desc(x_name).y_desc(y_name);
            mesh.label_style(FONT).axis_desc_style(FONT).draw()?;
            let diagonal = PathElement::new(vec![(low, low), (high, high)], BLACK.mix(0.3));
            chart.draw_series([diagonal])?;
            chart.draw_series(points.iter().map(|p| {
                let style = if p.filled { MODEL.mix(0.7).filled() } else { MODEL.stroke_width(2) };
                Circle::new((p.x, p.y), 4, style)
            }))?;
        }
        Ok(())
    })
    .map(Some)
}

type Chart<'a> = ChartContext<
    'a,
    SVGBackend<'a>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// Place of a row: the first at the top.
fn row(i: usize, n: usize) -> f64 {
    (n - 1 - i) as f64
}

/// A chart with one row a name and values from 0 on.
fn by_name<'a>(
    area: &Area<'a>,
    title: &str,
    unit: &str,
    names: &[&str],
    largest: f64,
) -> std::result::Result<Chart<'a>, DrawingAreaErrorKind<std::io::Error>> {
    let n = names.len();
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(title, ("sans-serif", 14))
        .x_label_area_size(38)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..largest, -0.6..n as f64 - 0.4)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .x_labels(6)
        .y_labels(0)
        .x_desc(unit)
        .label_style(FONT)
        .axis_desc_style(FONT)
        .draw()?;
    // The library labels axes of numbers only: the names are put beside the axis.
    for (i, name) in names.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(0.0, row(i, n)));
        let (left, top) = area.get_base_pixel();
        area.draw(&Text::new((*name).to_owned(), (x - left - 66, y - top - 6), FONT))?;
    }
    Ok(chart)
}

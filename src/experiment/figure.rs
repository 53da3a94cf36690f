//! The results as a figure: for each kind of error one group of bars, a bar a model, a dot a seed.

use plotters::prelude::*;

use super::results::{Results, Value, moments};
use crate::error::{Error, Result};

const WIDTH: u32 = 1150;
const HEIGHT: u32 = 400;
/// Colours that the colour-blind can tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(128, 128, 128),
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];
/// Title, unit and value of a panel.
type Panel = (&'static str, &'static str, Value);
const PANELS: [Panel; 5] = [
    ("function", "1 - similarity to held-out sessions", |e| Some(e.function)),
    ("PSP, held-out pairs", "rms error of ln PSP", |e| Some(e.electrophysiology)),
    ("PSP, trained pairs", "rms error of ln PSP, new edges", |e| Some(e.electrophysiology_trained)),
    ("EM weights", "W1 of ln weights to EM spread", |e| Some(e.structure)),
    ("all three", "mean error relative to untrained", |e| e.relative),
];

/// The figure as SVG.
pub(super) fn draw(results: &Results) -> Result<String> {
    let mut svg = String::new();
    let failed = |e: &dyn std::fmt::Display| Error::Failed(format!("drawing the results: {e}"));
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE).map_err(|e| failed(&e))?;
        let (panels, legend) = area.split_vertically(HEIGHT - 40);
        for (panel, area) in PANELS.iter().zip(panels.split_evenly((1, PANELS.len()))) {
            draw_panel(results, panel, &area).map_err(|e| failed(&e))?;
        }
        for (i, model) in results.models().into_iter().enumerate() {
            let x = 20 + 170 * i as i32;
            let colour = COLOURS[i % COLOURS.len()];
            let swatch = Rectangle::new([(x, 12), (x + 14, 26)], colour.filled());
            legend.draw(&swatch).map_err(|e| failed(&e))?;
            let label = Text::new(model.to_owned(), (x + 20, 12), ("sans-serif", 14));
            legend.draw(&label).map_err(|e| failed(&e))?;
        }
        area.present().map_err(|e| failed(&e))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_panel(
    results: &Results,
    (title, unit, value): &Panel,
    area: &Area<'_>,
) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let models = results.models();
    let of_model: Vec<Vec<f64>> = models.iter().map(|model| results.values(model, *value)).collect();
    let largest = of_model.iter().flatten().copied().fold(1e-9, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(*title, ("sans-serif", 16))
        .x_label_area_size(8)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..models.len() as f64, 0.0..1.1 * largest)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_labels(6)
        .y_desc(*unit)
        .label_style(("sans-serif", 12))
        .axis_desc_style(("sans-serif", 12))
        .draw()?;
    for (i, values) in of_model.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
        let (left, right) = (i as f64 + 0.15, i as f64 + 0.85);
        let (mean, sd) = moments(values);
        let colour = COLOURS[i % COLOURS.len()];
        chart.draw_series([Rectangle::new([(left, 0.0), (right, mean)], colour.mix(0.75).filled())])?;
        let middle = i as f64 + 0.5;
        chart.draw_series([PathElement::new(vec![(middle, mean - sd), (middle, mean + sd)], BLACK)])?;
        chart.draw_series(values.iter().enumerate().map(|(k, v)| {
            let x = middle + 0.12 * (k as f64 - 0.5 * (values.len() - 1) as f64);
            Circle::new((x, *v), 3, BLACK.mix(0.6).filled())
        }))?;
    }
    Ok(())
}

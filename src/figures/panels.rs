//! The kinds of chart: ranges, bars, curves, scatter plots and rasters.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, Placed, extent};
use super::draw::{Area, DrawingError, Drawn, FONT, MODEL, Panel, RECORDED};

const TITLE: (&str, i32) = ("sans-serif", 13);
const SMALL: (&str, i32) = ("sans-serif", 11);

type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Placed, Placed>>;

/// Quartiles of something: lower, median, upper.
#[derive(Clone)]
pub(crate) struct Range {
    pub(crate) name: String,
    pub(crate) model: [f64; 3],
    pub(crate) recorded: Option<[f64; 3]>,
}

/// A similarity with its interval and what the recordings reach among themselves.
#[derive(Clone)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) ceiling: Option<f64>,
}

/// A line through points.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) colour: RGBColor,
    /// Whether the points are marked.
    pub(crate) dots: bool,
}

/// A point of a scatter plot.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) filled: bool,
}

/// The rows of a raster that belong to one cell type.
#[derive(Clone)]
pub(crate) struct RasterGroup {
    pub(crate) name: String,
    /// Rows.
    pub(crate) n_rows: usize,
    /// Row within the group and time, ms.
    pub(crate) spikes: Vec<(usize, f64)>,
    pub(crate) colour: RGBColor,
    /// Whether a layer begins here.
    pub(crate) begins_layer: bool,
}

/// Quartiles by name: bars from the lower to the upper quartile, a line at the median.
pub(crate) fn ranges(title: &str, axis: Axis, width: u32, ranges: Vec<Range>) -> Panel {
    let size = (width, 72 + 24 * ranges.len() as u32);
    let name = title.to_owned();
    Panel::new(title, size, move |area| {
        let values =
            || ranges.iter().flat_map(|r| r.model.into_iter().chain(r.recorded.into_iter().flatten()));
        let placed = axis.over(values());
        let names: Vec<&str> = ranges.iter().map(|r| r.name.as_str()).collect();
        let mut chart = by_name(area, &name, &axis, &names, placed)?;
        for (i, range) in ranges.iter().enumerate() {
            let y = row(i, ranges.len());
            for (values, colour, low) in [(Some(range.model), MODEL, 0.08), (range.recorded, RECORDED, -0.30)]
            {
                let Some(values) = values else { continue };
                let [q25, median, q75] = values.map(|v| axis.place(v));
                let bar = Rectangle::new([(q25, y + low), (q75, y + low + 0.22)], colour.mix(0.5).filled());
                let line = vec![(median, y + low - 0.03), (median, y + low + 0.25)];
                chart.draw_series([bar])?;
                chart.draw_series([PathElement::new(line, colour.stroke_width(2))])?;
            }
        }
        Ok(())
    })
}

/// Similarities by name: a bar, its interval, and a mark where the recordings are among themselves.
pub(crate) fn bars(title: &str, axis: Axis, width: u32, bars: Vec<Bar>) -> Panel {
    let size = (width, 72 + 20 * bars.len() as u32);
    let name = title.to_owned();
    Panel::new(title, size, move |area| {
        let names: Vec<&str> = bars.iter().map(|b| b.name.as_str()).collect();
        let placed = axis.over(bars.iter().map(|bar| bar.value));
        let mut chart = by_name(area, &name, &axis, &names, placed)?;
        for (i, bar) in bars.iter().enumerate() {
            let y = row(i, bars.len());
            let corners = [(placed.low, y - 0.28), (axis.place(bar.value), y + 0.28)];
            chart.draw_series([Rectangle::new(corners, MODEL.mix(0.5).filled())])?;
            if let Some([low, high]) = bar.interval {
                chart.draw_series([PathElement::new(vec![(low, y), (high, y)], BLACK)])?;
            }
            if let Some(ceiling) = bar.ceiling {
                let mark = vec![(ceiling, y - 0.42), (ceiling, y + 0.42)];
                chart.draw_series([PathElement::new(mark, RECORDED.stroke_width(3))])?;
            }
        }
        Ok(())
    })
}

/// Lines in one chart; `note` stands small below the title.
pub(crate) fn lines(
    title: &str,
    note: &str,
    [x_axis, y_axis]: [Axis; 2],
    size: (u32, u32),
    lines: Vec<Line>,
) -> Panel {
    let (name, note) = (title.to_owned(), note.to_owned());
    Panel::new(title, size, move |area| {
        let points = || lines.iter().flat_map(|line| &line.points);
        let (x, y) = (x_axis.over(points().map(|p| p.0)), y_axis.over(points().map(|p| p.1)));
        let mut chart = chart(area, &name, &note, (32, 58), [x, y])?;
        axes(&mut chart, [&x_axis, &y_axis])?;
        for line in &lines {
            let placed: Vec<(f64, f64)> =
                line.points.iter().map(|p| (x_axis.place(p.0), y_axis.place(p.1))).collect();
            if line.dots {
                chart.draw_series(placed.iter().map(|p| Circle::new(*p, 2, line.colour.filled())))?;
            }
            chart.draw_series([PathElement::new(placed, line.colour.stroke_width(2))])?;
        }
        Ok(())
    })
}

/// Points against the diagonal.
pub(crate) fn scatter(title: &str, [x_label, y_label]: [&str; 2], points: Vec<Point>) -> Panel {
    let name = title.to_owned();
    let axes_of = [Axis::linear(x_label), Axis::linear(y_label)];
    Panel::new(title, (350, 340), move |area| {
        let (low, high) = extent(points.iter().flat_map(|p| [p.x, p.y]));
        let margin = 0.05 * (high - low);
        let (low, high) = (low - margin, high + margin);
        let both = axes_of[0].placed(low, high);
        let mut chart = chart(area, &name, "", (36, 54), [both; 2])?;
        axes(&mut chart, [&axes_of[0], &axes_of[1]])?;
        let diagonal = PathElement::new(vec![(low, low), (high, high)], BLACK.mix(0.3));
        chart.draw_series([diagonal])?;
        chart.draw_series(points.iter().map(|p| {
            let style = if p.filled { MODEL.mix(0.7).filled() } else { MODEL.stroke_width(1) };
            Circle::new((p.x, p.y), 4, style)
        }))?;
        Ok(())
    })
}

/// Spikes by neuron and time, the first group at the top; a line at the onset of the stimulus.
pub(crate) fn raster(
    title: &str,
    groups: Vec<RasterGroup>,
    time_ms: (f64, f64),
    onset_ms: Option<f64>,
) -> Panel {
    const ROW_PX: f64 = 3.0;
    /// Least height of a group, px: that of its name.
    const LEAST_PX: f64 = 13.0;
    const LEFT: u32 = 70;
    let heights: Vec<f64> = groups.iter().map(|g| (ROW_PX * g.n_rows as f64 + 3.0).max(LEAST_PX)).collect();
    let height: f64 = heights.iter().sum();
    let size = (1060, height as u32 + 70);
    let name = title.to_owned();
    let time = Axis::between("time, ms", time_ms.0, time_ms.1);
    Panel::new(title, size, move |area| {
        // The vertical axis is in px, downwards.
        let places = [time.over(std::iter::empty()), Axis::default().placed(-height, 0.0)];
        let mut chart = chart(area, &name, "", (36, LEFT), places)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(BLACK.mix(0.4))
            .x_labels(10)
            .y_labels(0)
            .x_desc(time.label.as_str())
            .x_label_formatter(&|place| time.label_at(*place))
            .label_style(FONT)
            .axis_desc_style(FONT)
            .draw()?;
        let onset =
            onset_ms.map(|ms| PathElement::new(vec![(ms, -height), (ms, 0.0)], RECORDED.stroke_width(2)));
        chart.draw_series(onset)?;
        let mut top = 0.0;
        for (group, height) in groups.iter().zip(&heights) {
            if group.begins_layer && top < 0.0 {
                let line = vec![(time_ms.0, top), (time_ms.1, top)];
                chart.draw_series([PathElement::new(line, BLACK.mix(0.25))])?;
            }
            let ticks = group.spikes.iter().map(|(row, t)| {
                let y = top - 2.0 - ROW_PX * *row as f64;
                PathElement::new(vec![(*t, y), (*t, y - 2.4)], group.colour.stroke_width(2))
            });
            chart.draw_series(ticks)?;
            let (_, y) = chart.backend_coord(&(time_ms.0, top - 0.5 * height));
            let (_, base) = area.get_base_pixel();
            area.draw(&Text::new(group.name.clone(), (10, y - base - 6), SMALL))?;
            top -= height;
        }
        Ok(())
    })
}

/// An empty chart with a title and a note, small below it; room in px for the labels below and to the left.
fn chart<'a>(
    area: &Area<'a>,
    title: &str,
    note: &str,
    (below, left): (u32, u32),
    [x, y]: [Placed; 2],
) -> std::result::Result<Chart<'a>, DrawingError> {
    let middle = (left + area.dim_in_pixel().0) as i32 / 2;
    let centred = Pos::new(HPos::Center, VPos::Top);
    area.draw(&Text::new(title.to_owned(), (middle, 8), TITLE.into_font().color(&BLACK).pos(centred)))?;
    let style = SMALL.into_font().color(&BLACK.mix(0.65)).pos(centred);
    area.draw(&Text::new(note.to_owned(), (middle, 25), style))?;
    ChartBuilder::on(area)
        .margin(8)
        .margin_top(if note.is_empty() { 28 } else { 42 })
        .x_label_area_size(below)
        .y_label_area_size(left)
        .build_cartesian_2d(x, y)
}

/// Draws both axes with their labels.
fn axes(chart: &mut Chart<'_>, [x, y]: [&Axis; 2]) -> Drawn {
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(BLACK.mix(0.4))
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|place| x.label_at(*place))
        .y_label_formatter(&|place| y.label_at(*place))
        .x_desc(x.label.as_str())
        .y_desc(y.label.as_str())
        .label_style(SMALL)
        .axis_desc_style(SMALL)
        .draw()
}

/// Place of a row: the first at the top.
fn row(i: usize, n: usize) -> f64 {
    (n - 1 - i) as f64
}

/// A chart with one row a name.
fn by_name<'a>(
    area: &Area<'a>,
    title: &str,
    axis: &Axis,
    names: &[&str],
    placed: Placed,
) -> std::result::Result<Chart<'a>, DrawingError> {
    const PX_PER_CHARACTER: u32 = 7;
    let n = names.len();
    let longest = names.iter().map(|name| name.chars().count() as u32).max().unwrap_or(0);
    let left = PX_PER_CHARACTER * longest + 10;
    let rows = Axis::default().placed(-0.6, n as f64 - 0.4);
    let mut chart = chart(area, title, "", (34, left), [placed, rows])?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .bold_line_style(BLACK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .axis_style(BLACK.mix(0.4))
        .x_labels(5)
        .y_labels(0)
        .x_desc(axis.label.as_str())
        .x_label_formatter(&|place| axis.label_at(*place))
        .label_style(SMALL)
        .axis_desc_style(FONT)
        .draw()?;
    // The library labels axes of numbers only: the names are put beside the axis.
    for (i, name) in names.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(placed.low, row(i, n)));
        let (base_x, base_y) = area.get_base_pixel();
        area.draw(&Text::new((*name).to_owned(), (x - base_x - left as i32 + 2, y - base_y - 6), FONT))?;
    }
    Ok(chart)
}

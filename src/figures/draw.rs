//! A figure: panels side by side with one legend, drawn into one SVG or panel by panel.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::{Error, Result};

/// The network's colour and the recordings' (Okabe and Ito 2008: told apart by the colour-blind).
pub(crate) const MODEL: RGBColor = RGBColor(0, 114, 178);
/// See [`MODEL`].
pub(crate) const RECORDED: RGBColor = RGBColor(230, 159, 0);
/// Colours of figures (Okabe and Ito 2008) on white, and what stands for each on a dark page.
pub(crate) const PALETTE: [(RGBColor, RGBColor); 7] = [
    (MODEL, RGBColor(86, 180, 233)),
    (RECORDED, RGBColor(240, 180, 60)),
    (RGBColor(0, 158, 115), RGBColor(40, 190, 145)),
    (RGBColor(204, 121, 167), RGBColor(220, 150, 190)),
    (RGBColor(213, 94, 0), RGBColor(235, 125, 50)),
    (RGBColor(110, 90, 170), RGBColor(165, 150, 225)),
    (RGBColor(128, 128, 128), RGBColor(150, 150, 150)),
];

pub(super) const FONT: (&str, i32) = ("sans-serif", 12);
const LEGEND_HEIGHT: u32 = 28;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type DrawingError = DrawingAreaErrorKind<std::io::Error>;
pub(super) type Drawn = std::result::Result<(), DrawingError>;

/// A colour of [`PALETTE`] by number, over and over.
pub(crate) fn colour(ix: usize) -> RGBColor {
    PALETTE[ix % PALETTE.len()].0
}

/// A colour as SVG and CSS write it.
pub(crate) fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// One chart of a figure.
pub(crate) struct Panel {
    /// What it is of, e.g. a cell type.
    pub(crate) title: String,
    /// Width and height, px.
    pub(crate) size: (u32, u32),
    draw: Box<dyn Fn(&Area<'_>) -> Drawn>,
}

/// Charts of one kind that belong together.
pub(crate) struct Figure {
    /// Stem of its file.
    pub(crate) name: &'static str,
    /// The charts, row by row.
    pub(crate) panels: Vec<Panel>,
    /// Charts in a row of the file.
    pub(crate) n_columns: usize,
    /// What each colour is.
    pub(crate) legend: Vec<(String, RGBColor)>,
    /// What else the marks mean.
    pub(crate) note: String,
}

impl Panel {
    pub(super) fn new(
        title: impl Into<String>,
        size: (u32, u32),
        draw: impl Fn(&Area<'_>) -> Drawn + 'static,
    ) -> Self {
        Self { title: title.into(), size, draw: Box::new(draw) }
    }

    /// The chart alone, without a background.
    ///
    /// # Errors
    /// Where plotters fails.
    pub(crate) fn svg(&self) -> Result<String> {
        drawn(self.size, |area| (self.draw)(area))
    }
}

/// The legend of what is compared with recordings.
pub(super) fn beside_recordings() -> Vec<(String, RGBColor)> {
    vec![("network".to_owned(), MODEL), ("recorded".to_owned(), RECORDED)]
}

impl Figure {
    /// A figure with something in it; None without a chart.
    pub(super) fn some(self) -> Option<Self> {
        (!self.panels.is_empty()).then_some(self)
    }

    /// All charts on white, with a line of legend at the bottom.
    ///
    /// # Errors
    /// Where plotters fails.
    pub(crate) fn svg(&self) -> Result<String> {
        let largest = |of: fn(&Panel) -> u32| self.panels.iter().map(of).max().unwrap_or(1);
        let n_columns = self.n_columns.clamp(1, self.panels.len().max(1));
        let n_rows = self.panels.len().div_ceil(n_columns).max(1);
        let width = (largest(|p| p.size.0) * n_columns as u32).max(480);
        let height = largest(|p| p.size.1) * n_rows as u32;
        drawn((width, height + LEGEND_HEIGHT), |area| {
            area.fill(&WHITE)?;
            let (panels, bottom) = area.split_vertically(height);
            for (panel, area) in self.panels.iter().zip(panels.split_evenly((n_rows, n_columns))) {
                (panel.draw)(&area)?;
            }
            let mut x = 16;
            for (name, colour) in &self.legend {
                bottom.draw(&Rectangle::new([(x, 6), (x + 12, 18)], colour.filled()))?;
                bottom.draw(&Text::new(name.clone(), (x + 18, 6), FONT))?;
                x += 30 + 7 * name.len() as i32;
            }
            bottom.draw(&Text::new(self.note.clone(), (x, 6), FONT))
        })
    }
}

fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    let drawn = (|| {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area)?;
        area.present()
    })();
    drawn.map_err(|e: DrawingError| Error::Failed(format!("drawing a figure: {e}")))?;
    Ok(svg)
}

//! The evaluation as text, one line a cell type.

use anstyle::{AnsiColor, Style};

use super::mean_similarities;
use crate::error::one_line;
use crate::results::{CellTypeSummary, Comparison};

/// Heading of each measure.
const MEASURES: [&str; 4] = ["evoked, Hz", "spontaneous, Hz", "OSI", "DSI"];
/// Columns of a measure: the model's median, the recorded median, the similarity and the same as a bar.
const HEADS: [&str; 4] = ["median", "target", "sim", "0      1"];
/// Cells of a whole bar.
const BAR_WIDTH: usize = 8;
/// Eighths of a cell.
const EIGHTHS: [&str; 8] =
    ["", "\u{258f}", "\u{258e}", "\u{258d}", "\u{258c}", "\u{258b}", "\u{258a}", "\u{2589}"];

/// A cell of the table with the style that it is shown in.
struct Shown {
    text: String,
    style: Style,
}

impl Shown {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: one_line(&text.into()).into_owned(), style: Style::new() }
    }
}

/// Aligned columns: per measure the model's median, the recorded median, and the similarity 1 - KS as number and bar; `-`
/// where there is none. The last line has the mean similarities. Bars have ANSI colours, green where the median is within the recorded
/// interquartile range and yellow where it is not: to be printed through anstream, which takes them off where they do not belong.
pub fn table(rows: &[CellTypeSummary]) -> String {
    let mut cells: Vec<Vec<Shown>> = vec![header()];
    for row in rows {
        let mut line = vec![Shown::plain(&row.cell_type), Shown::plain(row.n_neurons.to_string())];
        let measures = [&row.rate_evoked_hz, &row.rate_spontaneous_hz, &row.osi, &row.dsi];
        line.extend(measures.into_iter().flat_map(|comparison| columns(comparison.as_ref())));
        cells.push(line);
    }
    let mut last = vec![Shown::plain("mean"), Shown::plain("")];
    for similarity in mean_similarities(rows) {
        last.extend([Shown::plain(""), Shown::plain(""), Shown::plain(optional(similarity))]);
        last.push(Shown::plain(bar(similarity)));
    }
    cells.push(last);
    render(&cells)
}

fn header() -> Vec<Shown> {
    let names = ["cell type", "n"].into_iter().chain(MEASURES.iter().flat_map(|_| HEADS));
    names.map(Shown::plain).collect()
}

/// The columns of a measure.
fn columns(comparison: Option<&Comparison>) -> [Shown; 4] {
    let Some(c) = comparison else { return ["-", "-", "-", ""].map(Shown::plain) };
    let style = match (c.target_q25, c.target_q75) {
        (Some(low), Some(high)) if (low..=high).contains(&c.median) => AnsiColor::Green.on_default(),
        (Some(_), Some(_)) => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    };
    [
        Shown::plain(format!("{:.2}", c.median)),
        Shown::plain(optional(c.target_median)),
        Shown::plain(optional(c.similarity)),
        Shown { text: bar(c.similarity), style },
    ]
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"))
}

/// A share from 0 to 1 as a bar.
fn bar(share: Option<f64>) -> String {
    let eighths = (share.unwrap_or(0.0).clamp(0.0, 1.0) * 8.0 * BAR_WIDTH as f64).round() as usize;
    "\u{2588}".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Pads the columns; names and bars to the left, numbers to the right, with a line of measures above.
fn render(cells: &[Vec<Shown>]) -> String {
    let width_of = |cell: &Shown| cell.text.chars().count();
    let n_columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns)
        .map(|c| cells.iter().filter_map(|line| line.get(c)).map(width_of).max().unwrap_or(0))
        .collect();
    let mut text = format!("{:w0$}  {:w1$}", "", "", w0 = widths[0], w1 = widths[1]);
    for (name, widths) in MEASURES.iter().zip(widths[2..].chunks(HEADS.len())) {
        // The width of the measure's columns and the gaps between them.
        let width = widths.iter().sum::<usize>() + 2 * (HEADS.len() - 1);
        text += &format!("  {name:-^width$}");
    }
    text.push('\n');
    for line in cells {
        // Padding counts characters, so the style goes around what is already padded.
        let padded = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            let is_bar = column >= 2 && (column - 2) % HEADS.len() == HEADS.len() - 1;
            let padding = " ".repeat(width - width_of(cell));
            let (before, after) =
                if column == 0 || is_bar { ("", padding.as_str()) } else { (padding.as_str(), "") };
            format!("{before}{}{}{:#}{after}", cell.style, cell.text, cell.style)
        });
        text += padded.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let bars = [None, Some(0.0), Some(0.5), Some(1.0 / 64.0), Some(1.0), Some(2.0)].map(bar);
        assert_eq!(bars, ["", "", "████", "▏", "████████", "████████"]);
    }
}

//! The evaluation as text, one line a cell type.

use super::{CellTypeSummary, Comparison, mean_similarities};

/// Heading of each measure.
const MEASURES: [&str; 4] = ["evoked, Hz", "spontaneous, Hz", "OSI", "DSI"];
/// Columns of a measure: the model's median and quartiles, the recorded median, the similarity.
const HEADS: [&str; 3] = ["median (q25 q75)", "target", "sim"];

/// Aligned columns: per measure the model's median and quartiles, the recorded median, and the similarity 1 - KS; `-`
/// where there is none. The last line has the mean similarities.
pub fn table(rows: &[CellTypeSummary]) -> String {
    let mut cells: Vec<Vec<String>> = vec![header()];
    for row in rows {
        let mut line = vec![row.cell_type.clone(), row.n_neurons.to_string()];
        let measures = [&row.rate_evoked_hz, &row.rate_spontaneous_hz, &row.osi, &row.dsi];
        line.extend(measures.into_iter().flat_map(|comparison| columns(comparison.as_ref())));
        cells.push(line);
    }
    let mut last = vec!["mean".to_owned(), String::new()];
    for similarity in mean_similarities(rows) {
        last.extend([String::new(), String::new(), optional(similarity)]);
    }
    cells.push(last);
    render(&cells)
}

fn header() -> Vec<String> {
    let mut names = vec!["cell type".to_owned(), "n".to_owned()];
    names.extend(MEASURES.iter().flat_map(|_| HEADS.map(str::to_owned)));
    names
}

/// The three columns of a measure.
fn columns(comparison: Option<&Comparison>) -> [String; 3] {
    let Some(c) = comparison else { return ["-", "-", "-"].map(str::to_owned) };
    let own = format!("{:.2} ({:.2} {:.2})", c.median, c.q25, c.q75);
    [own, optional(c.target_median), optional(c.similarity)]
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"))
}

/// Pads the columns; names to the left, numbers to the right, with a line of measures above.
fn render(cells: &[Vec<String>]) -> String {
    let n_columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns)
        .map(|c| cells.iter().filter_map(|line| line.get(c)).map(String::len).max().unwrap_or(0))
        .collect();
    let mut text = format!("{:w0$}  {:w1$}", "", "", w0 = widths[0], w1 = widths[1]);
    for (name, widths) in MEASURES.iter().zip(widths[2..].chunks(HEADS.len())) {
        // The width of the measure's columns and the gaps between them.
        let width = widths.iter().sum::<usize>() + 2 * (HEADS.len() - 1);
        text += &format!("  {name:-^width$}");
    }
    text.push('\n');
    for line in cells {
        let padded = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += padded.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

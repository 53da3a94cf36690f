//! The parts of a page: its frame, sections, figures and tables. Text is escaped by maud; only charts, whose text plotters
//! escapes, and the project's own style and script are put in as they are.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::error::Result;
use crate::figures::{Figure, PALETTE, hex};

/// Charts wider than this keep their size and scroll on a narrow screen, px.
const WIDE_PX: u32 = 600;
/// Charts up to this stand in pairs on a narrow screen, px.
const SMALL_PX: u32 = 300;

/// A section of a page: id, heading, content.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Markup,
}

impl Section {
    pub(super) fn new(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self { id, title, body }
    }
}

/// A whole page. It loads nothing: the browser is told so.
pub(super) fn page(title: &str, head: &Markup, sections: &[Section]) -> String {
    let style = format!("{}{}", include_str!("style.css"), colours());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                header {
                    (head)
                    nav { @for section in sections { a href={ "#" (section.id) } { (section.title) } } }
                }
                main {
                    @for section in sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                }
                footer { "simrun " (env!("CARGO_PKG_VERSION")) }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    }
    .into_string()
}

/// Rules that give the charts' colours their dark twins: charts have fixed colours, as files on white.
fn colours() -> String {
    let [mut light, mut dark, mut rules] = [(); 3].map(|()| String::new());
    for (ix, (on_white, on_black)) in PALETTE.into_iter().enumerate() {
        let colour = hex(on_white);
        // Writing to a String cannot fail.
        let _ = write!(light, "--c{ix}:{colour};");
        let _ = write!(dark, "--c{ix}:{};", hex(on_black));
        let _ = writeln!(
            rules,
            ".panel [fill=\"{colour}\"]{{fill:var(--c{ix})}} .panel [stroke=\"{colour}\"]{{stroke:var(--c{ix})}} \
             i[data-colour=\"{colour}\"]{{background:var(--c{ix})}}"
        );
    }
    format!(":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n{rules}")
}

/// A figure with its legend and caption; nothing for none.
pub(super) fn figure(figure: Option<Figure>, caption: &Markup) -> Result<Markup> {
    let Some(figure) = figure else { return Ok(html! {}) };
    let charts = figure.panels.iter().map(|panel| Ok((panel, panel.svg()?))).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        figure id={ "figure-" (figure.name) } {
            @if !figure.legend.is_empty() {
                div.legend {
                    @for (name, colour) in &figure.legend { span { i data-colour=(hex(*colour)) {} (name) } }
                }
            }
            div.panels {
                @for (panel, svg) in &charts {
                    div.panel.wide[panel.size.0 > WIDE_PX].small[panel.size.0 <= SMALL_PX] role="img" aria-label=(panel.title) {
                        (PreEscaped(svg))
                    }
                }
            }
            figcaption { (caption) @if !figure.note.is_empty() { " " (capital(&figure.note)) "." } }
        }
    })
}

/// The text with a capital at its start.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A cell of a table.
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// Words that may be long.
    Long(String),
    /// Words in one of several columns of the same kind.
    Wrapped(String),
    /// A number as shown, and with all its digits; None where there is none.
    Number(Option<(f64, String)>),
    /// The same, coloured by whether it is as it should be.
    Judged(Option<(f64, String)>, bool),
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn count(n: u64) -> Self {
        Self::Number(Some((n as f64, n.to_string())))
    }

    /// A number with so many decimals.
    pub(super) fn number(value: impl Into<Option<f64>>, decimals: usize) -> Self {
        Self::Number(shown(value.into(), decimals))
    }

    pub(super) fn judged(value: Option<f64>, decimals: usize, good: Option<bool>) -> Self {
        match good {
            Some(good) => Self::Judged(shown(value, decimals), good),
            None => Self::number(value, decimals),
        }
    }

    /// As a difference: a number with its sign.
    pub(super) fn signed(self) -> Self {
        match self {
            Self::Number(Some((value, text))) if value > 0.0 => {
                Self::Number(Some((value, format!("+{text}"))))
            }
            other => other,
        }
    }

    /// A number of any size: four significant digits.
    pub(super) fn scientific(value: impl Into<Option<f64>>) -> Self {
        Self::Number(value.into().filter(|v| v.is_finite()).map(|v| (v, significant(v))))
    }
}

fn shown(value: Option<f64>, decimals: usize) -> Option<(f64, String)> {
    value.filter(|v| v.is_finite()).map(|v| (v, format!("{v:.decimals$}")))
}

/// Four significant digits, with a power of ten where that is shorter.
pub(super) fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e5).contains(&size) => {
            let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.3e}"),
    }
}

/// A column of a table.
pub(super) struct Column {
    name: String,
    /// What a short name stands for; the name itself otherwise.
    full: String,
    numeric: bool,
}

impl Column {
    fn new(name: &str, numeric: bool) -> Self {
        Self { name: name.to_owned(), full: name.to_owned(), numeric }
    }

    /// With a short name, which this is in full.
    pub(super) fn in_full(mut self, full: &str) -> Self {
        full.clone_into(&mut self.full);
        self
    }
}

/// A column of numbers.
pub(super) fn numbers(name: &str) -> Column {
    Column::new(name, true)
}

/// A column of words.
pub(super) fn words(name: &str) -> Column {
    Column::new(name, false)
}

/// A table that can be sorted and copied. `groups`: headings over so many columns each.
pub(super) fn table(
    caption: &Markup,
    groups: &[(&str, usize)],
    columns: &[Column],
    rows: &[Vec<Cell>],
) -> Markup {
    // A copied heading says its group.
    let group_of = |ix: usize| {
        let mut end = 0;
        groups.iter().find(|(_, n)| {
            end += n;
            ix < end
        })
    };
    let full_name = |ix: usize, name: &str| match group_of(ix) {
        Some((group, _)) if !group.is_empty() => format!("{group}: {name}"),
        _ => name.to_owned(),
    };
    html! {
        div.table {
            div.bar { div.caption { (caption) } button.copy type="button" { "copy" } }
            div.scroll {
                table {
                    thead {
                        @if !groups.is_empty() {
                            tr.groups { @for (name, n) in groups { th colspan=(n) { (name) } } }
                        }
                        tr {
                            @for (ix, column) in columns.iter().enumerate() {
                                th.num[column.numeric] scope="col" data-name=(full_name(ix, &column.full)) {
                                    button type="button" title={ (column.full) ": sort" } { (column.name) }
                                }
                            }
                        }
                    }
                    tbody { @for row in rows { tr { @for cell in row { (cell_markup(cell)) } } } }
                }
            }
        }
    }
}

fn cell_markup(cell: &Cell) -> Markup {
    match cell {
        Cell::Text(text) => html! { td { (text) } },
        Cell::Long(text) => html! { td.long { (text) } },
        Cell::Wrapped(text) => html! { td.wrap { (text) } },
        Cell::Number(None) | Cell::Judged(None, _) => html! { td.num data-v="" { "–" } },
        Cell::Number(Some((value, text))) => html! { td.num data-v=(value) { (text) } },
        Cell::Judged(Some((value, text)), true) => html! { td.num.good data-v=(value) { (text) } },
        Cell::Judged(Some((value, text)), false) => html! { td.num.bad data-v=(value) { (text) } },
    }
}

/// Names and values below each other.
pub(super) fn facts(facts: &[(&str, String)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in facts { dt { (name) } dd { (value) } } }
    }
}

/// A few numbers that stand out: number, what it is.
pub(super) fn tiles(tiles: &[(String, String)]) -> Markup {
    html! {
        div.tiles { @for (value, name) in tiles { div.tile { b { (value) } span { (name) } } } }
    }
}

//! Several runs side by side.

use maud::{Markup, html};

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Evaluated, Run};
use super::page::{Cell, Column, Section, figure, numbers, table, words};
use super::{plots, run};
use crate::error::Result;
use crate::evaluate::{mean_similarities, rate_misses};
use crate::figures::{MEASURES, Measure};
use crate::output::Provenance;
use crate::results::{CellTypeSummary, Comparison, PairErrors};

/// Fields that say where a file lies: what is in it is compared.
const NO_SETTINGS: [&str; 1] = ["tables"];
/// Digits of a SHA-256 that tell files apart.
const N_DIGITS: usize = 12;

/// Names runs by as many of the folders above them as tell them apart.
pub(super) fn tell_apart(runs: &mut [Run]) {
    let paths: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let absolute = std::fs::canonicalize(&run.dir).unwrap_or_else(|_| run.dir.clone());
            absolute.components().rev().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
        })
        .collect();
    let name = |path: &[String], n: usize| path.iter().take(n).rev().cloned().collect::<Vec<_>>().join("/");
    let longest = paths.iter().map(Vec::len).max().unwrap_or(1);
    let distinct = |n: &usize| {
        let mut names: Vec<String> = paths.iter().map(|path| name(path, *n)).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1])
    };
    let n = (1..=longest).find(distinct).unwrap_or(longest);
    for (run, path) in runs.iter_mut().zip(&paths) {
        run.name = name(path, n);
    }
}

/// All sections of a comparison.
pub(super) fn sections(runs: &[Run]) -> Result<Vec<Section>> {
    let all: Vec<&Run> = runs.iter().collect();
    let losses = html! {
        strong { "Loss." } " The whole and each of its terms, weights and factors included, a line a run."
    };
    let mut sections = vec![
        Section::new("runs", "Runs", html! { (what_was_run(runs)) (settings(runs)?) (files(runs)) }),
        Section::new("results", "Results", html! { (evaluations(runs)) (results(runs)) }),
    ];
    if let Some(drawn) = plots::losses(&all) {
        sections.push(Section::new("training", "Training", figure(Some(drawn), &losses)?));
    }
    sections.push(Section::new("types", "Cell types", cell_types(runs)));
    Ok(sections)
}

/// A column a run behind one for names.
fn columns(first: &str, runs: &[Run], of: fn(&str) -> Column) -> Vec<Column> {
    std::iter::once(words(first)).chain(runs.iter().map(|run| of(&run.name))).collect()
}

/// What was run and where, a column a run.
fn what_was_run(runs: &[Run]) -> Markup {
    let facts: Vec<_> = runs.iter().map(run::facts_of).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in facts.iter().flatten() {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let rows: Vec<Vec<Cell>> = names
        .into_iter()
        .map(|name| {
            let of_run = |facts: &Vec<(&str, String)>| {
                let value = facts.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
                Cell::Wrapped(value.unwrap_or("–").to_owned())
            };
            std::iter::once(Cell::text(name)).chain(facts.iter().map(of_run)).collect()
        })
        .collect();
    let caption = html! { strong { "What was run, and where." } };
    table(&caption, &[], &columns("", runs, words), &rows)
}

/// Settings of the scenes that differ, the innermost of them.
fn settings(runs: &[Run]) -> Result<Markup> {
    let fields = runs.iter().map(|run| run.scene.fields()).collect::<Result<Vec<_>>>()?;
    let value = |run: usize, path: &str| {
        fields[run].iter().find(|(own, _)| own == path).map(|(_, value)| value.as_str())
    };
    let mut differing: Vec<&str> = Vec::new();
    for (path, _) in fields.iter().flatten() {
        let differ = (1..runs.len()).any(|run| value(run, path) != value(0, path));
        if differ && !differing.contains(&path.as_str()) && !NO_SETTINGS.contains(&path.as_str()) {
            differing.push(path);
        }
    }
    let is_inner = |path: &&&str| !differing.iter().any(|other| other.starts_with(&format!("{path}.")));
    let rows: Vec<Vec<Cell>> = differing
        .iter()
        .filter(is_inner)
        .map(|path| {
            let of_run = |run| {
                let value = value(run, path).unwrap_or("–");
                Cell::Wrapped(value.split_whitespace().collect::<Vec<_>>().join(" "))
            };
            std::iter::once(Cell::text(*path)).chain((0..runs.len()).map(of_run)).collect()
        })
        .collect();
    let caption = html! { strong { "Settings that differ." } };
    Ok(html! {
        @if rows.is_empty() {
            p { "The scenes are the same." }
        } @else {
            (table(&caption, &[], &columns("setting", runs, words), &rows))
        }
    })
}

/// Tables, calibrations and files of circuits whose contents differ; nothing where all are the same.
fn files(runs: &[Run]) -> Markup {
    let of_runs: Vec<BTreeMap<String, &str>> =
        runs.iter().map(|run| run.provenance.as_ref().map(Provenance::files).unwrap_or_default()).collect();
    let names: BTreeSet<&String> = of_runs.iter().flat_map(BTreeMap::keys).collect();
    let rows: Vec<Vec<Cell>> = names
        .into_iter()
        .map(|name| (name, of_runs.iter().map(|files| files.get(name).copied()).collect::<Vec<_>>()))
        .filter(|(_, digests)| digests.iter().any(|digest| *digest != digests[0]))
        .map(|(name, digests)| {
            let cell =
                |digest: &Option<&str>| Cell::text(digest.map_or("–", |d| d.get(..N_DIGITS).unwrap_or(d)));
            std::iter::once(Cell::text(name)).chain(digests.iter().map(cell)).collect()
        })
        .collect();
    let caption = html! { strong { "Files that differ." } " First digits of their SHA-256." };
    html! { @if !rows.is_empty() { (table(&caption, &[], &columns("file", runs, words), &rows)) } }
}

/// A result of a run, and how many decimals it is shown with: four digits where that is None.
type Value = (String, Option<usize>, Box<dyn Fn(&Run) -> Option<f64>>);

/// The results of a comparison, in the order in which they are shown.
fn values(runs: &[Run]) -> Vec<Value> {
    let mut values: Vec<Value> = vec![
        (
            "training step".to_owned(),
            Some(0),
            Box::new(|run| Some(f64::from(run.evaluated()?.training_step))),
        ),
        ("loss at the last step".to_owned(), None, Box::new(|run| Some(run.metrics.last()?.total_loss))),
    ];
    let mut terms: Vec<&str> = runs.iter().flat_map(Run::terms).collect();
    terms.sort_unstable();
    terms.dedup();
    for term in terms {
        let own = term.to_owned();
        let value = move |run: &Run| run.metrics.last()?.losses.get(&own).copied();
        values.push((format!("loss, {term}"), None, Box::new(value)));
    }
    for (ix, measure) in MEASURES.iter().enumerate() {
        let similarity = move |run: &Run| mean_similarities(run.evaluated()?.held_out)[ix];
        values.push((format!("similarity of {}, held out", measure.title), Some(3), Box::new(similarity)));
    }
    values.push((
        "median rates within the recorded interquartile range".to_owned(),
        Some(0),
        Box::new(|run| {
            let (n_rates, misses) = rate_misses(run.evaluated()?.held_out);
            (n_rates > 0).then_some((n_rates - misses.len()) as f64)
        }),
    ));
    for (held_out, name) in [(true, "held-out pairs"), (false, "trained pairs")] {
        let error = move |run: &Run| psp_error(run.evaluated()?.pairs, held_out);
        values.push((format!("rms error of mean ln PSP, {name}"), Some(3), Box::new(error)));
    }
    values.push((
        "W1 of ln weights to EM".to_owned(),
        Some(3),
        Box::new(|run| {
            let weights = run.evaluated()?.weights;
            let n: f64 = weights.iter().map(|w| w.model.n as f64).sum();
            (n > 0.0).then(|| weights.iter().map(|w| w.model.n as f64 * w.distance).sum::<f64>() / n)
        }),
    ));
    values.push((
        "time of a training step, s".to_owned(),
        Some(2),
        Box::new(|run| {
            let n = run.metrics.len();
            (n > 0).then(|| run.seconds() / n as f64)
        }),
    ));
    values
}

/// Root mean square error of the mean of ln PSP over measured pairs.
fn psp_error(pairs: &[PairErrors], held_out: bool) -> Option<f64> {
    let errors = pairs.iter().filter(|p| p.held_out == held_out && p.model.n > 1);
    let squares: Vec<f64> = errors.map(|p| (p.model.log_mean - p.recorded_log_mean).powi(2)).collect();
    (!squares.is_empty()).then(|| (squares.iter().sum::<f64>() / squares.len() as f64).sqrt())
}

/// What the last evaluations showed: similarities compare at like numbers of trials.
fn evaluations(runs: &[Run]) -> Markup {
    let row = |name: &str, text: fn(&Evaluated<'_>) -> String| -> Vec<Cell> {
        let of_run = |run: &Run| Cell::Wrapped(run.evaluated().as_ref().map_or_else(|| "–".to_owned(), text));
        std::iter::once(Cell::text(name)).chain(runs.iter().map(of_run)).collect()
    };
    let rows = [row("evaluated from", |e| e.file.to_owned()), row("shown", |e| e.shown.text())];
    let caption = html! { strong { "What was evaluated." } " Few trials push OSI and DSI up." };
    table(&caption, &[], &columns("", runs, words), &rows)
}

/// Results and their differences to the first run.
fn results(runs: &[Run]) -> Markup {
    let rows: Vec<Vec<Cell>> = values(runs)
        .into_iter()
        .filter_map(|(name, decimals, value)| {
            let of_runs: Vec<Option<f64>> = runs.iter().map(value).collect();
            let number = |value: Option<f64>| match decimals {
                Some(decimals) => Cell::number(value, decimals),
                None => Cell::scientific(value),
            };
            of_runs.iter().any(Option::is_some).then(|| {
                let mut row = vec![Cell::text(name)];
                row.extend(of_runs.iter().map(|v| number(*v)));
                row.extend(of_runs[1..].iter().map(|v| {
                    let difference = v.zip(of_runs[0]).map(|(own, first)| own - first);
                    number(difference).signed()
                }));
                row
            })
        })
        .collect();
    let mut columns = columns("", runs, numbers);
    columns.extend(runs[1..].iter().map(|run| numbers(&run.name)));
    let difference = format!("difference to {}", runs[0].name);
    let mut groups = vec![("", 1), ("value", runs.len())];
    if runs.len() > 1 {
        groups.push((difference.as_str(), runs.len() - 1));
    }
    let caption = html! {
        strong { "Results" } " of the last evaluation and the last training step. Similarities: larger is better, at most 1; errors, losses "
        "and W1: smaller is better."
    };
    table(&caption, &groups, &columns, &rows)
}

/// Medians and similarities by cell type, a table a measure.
fn cell_types(runs: &[Run]) -> Markup {
    html! {
        @for measure in &MEASURES {
            @let of_types = types_of(runs, measure);
            @let rows: Vec<Vec<Cell>> = of_types.iter().map(TypeRow::cells).collect();
            @if !rows.is_empty() {
                @let n_recorded = of_types[0].recorded.len();
                @let several = n_recorded > 1;
                @let groups = [
                    ("", 1),
                    ("median", runs.len()),
                    (if several { "recorded" } else { "" }, n_recorded),
                    ("similarity", runs.len()),
                    (if several { "ceiling" } else { "" }, n_recorded),
                ];
                @let of_runs = || runs.iter().map(|run| numbers(&run.name)).collect::<Vec<_>>();
                @let recorded = |name| if several { of_runs() } else { vec![numbers(name)] };
                @let columns: Vec<Column> = [vec![words("cell type")], of_runs(), recorded("recorded"), of_runs(), recorded("ceiling")]
                    .into_iter().flatten().collect();
                @let caption = html! { strong { (measure.title) } ", beside held-out sessions (" (measure.unit) ")." };
                (table(&caption, &groups, &columns, &rows))
            }
        }
    }
}

/// A measure of a cell type.
struct TypeRow<'a> {
    cell_type: &'a str,
    /// Of each run.
    own: Vec<Option<&'a Comparison>>,
    /// Recorded median and ceiling: of each run, or once where they are the same in all.
    recorded: Vec<[Option<f64>; 2]>,
}

impl TypeRow<'_> {
    fn cells(&self) -> Vec<Cell> {
        let numbers = |of: &dyn Fn(&Comparison) -> Option<f64>| {
            self.own.iter().map(|c| Cell::number(c.and_then(of), 2)).collect::<Vec<_>>()
        };
        let recorded = |ix: usize| self.recorded.iter().map(|r| Cell::number(r[ix], 2)).collect();
        let parts: [Vec<Cell>; 5] = [
            vec![Cell::text(self.cell_type)],
            numbers(&|c| Some(c.median)),
            recorded(0),
            numbers(&|c| c.similarity),
            recorded(1),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// The rows of a measure. Where two runs of any cell type were held against other recordings, all rows have those of each run.
fn types_of<'a>(runs: &'a [Run], measure: &Measure) -> Vec<TypeRow<'a>> {
    let of_runs: Vec<&[CellTypeSummary]> =
        runs.iter().map(|run| run.evaluated().map(|e| e.held_out).unwrap_or_default()).collect();
    let mut types: Vec<&str> = Vec::new();
    for row in of_runs.iter().copied().flatten() {
        if !types.contains(&row.cell_type.as_str()) {
            types.push(&row.cell_type);
        }
    }
    let of_type = |cell_type: &'a str| {
        let own: Vec<Option<&Comparison>> = of_runs
            .iter()
            .map(|rows| rows.iter().find(|r| r.cell_type == cell_type).and_then(measure.of))
            .collect();
        let recorded = own.iter().map(|c| c.map_or([None; 2], |c| [c.target_median, c.ceiling])).collect();
        own.iter().any(Option::is_some).then_some(TypeRow { cell_type, own, recorded })
    };
    let mut rows: Vec<TypeRow<'_>> = types.into_iter().filter_map(of_type).collect();
    let all_alike = rows.iter().all(|row| {
        let found = || row.own.iter().zip(&row.recorded).filter(|(own, _)| own.is_some()).map(|(_, r)| r);
        found().all(|recorded| Some(recorded) == found().next())
    });
    if all_alike {
        for row in &mut rows {
            let any = row.own.iter().position(Option::is_some).unwrap_or(0);
            row.recorded = vec![row.recorded[any]];
        }
    }
    rows
}

//! What a session showed, and when its recording was no good.

use super::file::Nwb;
use crate::error::{Error, Result};

/// Columns of a table of presentations that say nothing of what is seen, or that are read.
const KNOWN: [&str; 20] = [
    "start_time",
    "stop_time",
    "orientation",
    "temporal_frequency",
    "spatial_frequency",
    "contrast",
    "phase",
    "id",
    "stimulus_name",
    "stimulus_block",
    "stimulus_index",
    "stimulus_condition_id",
    "index",
    "duration",
    "tags",
    "tags_index",
    "timeseries",
    "timeseries_index",
    "start_frame",
    "end_frame",
];
const INVALID: &str = "intervals/invalid_times";
/// Presentations may share so much with the next one, s: times of frames jitter.
const MOST_SHARED_S: f64 = 0.05;

/// A time span, s.
pub(super) type Span = [f64; 2];

/// A grating.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grating {
    pub(super) span: Span,
    /// Direction, deg; temporal frequency, Hz; spatial frequency, cycles/deg (0 where it is not said).
    pub(super) condition: [f64; 3],
}

/// What a session showed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Gratings of one contrast.
    pub(super) gratings: Vec<Grating>,
    /// Their contrast; NaN where it is not told.
    pub(super) contrast: f64,
    /// Grey screens.
    pub(super) grey: Vec<Span>,
    /// Presentations that are not used, by reason.
    pub(super) left_out: Vec<(String, usize)>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// A span in which the recording of some probes is no good.
struct Invalid {
    span: Span,
    tags: Vec<String>,
}

/// Spans in which the recording is no good.
pub(super) struct InvalidTimes(Vec<Invalid>);

impl Shown {
    fn leave_out(&mut self, reason: &str, n: usize) {
        if n > 0 {
            self.left_out.push((format!("presentations {reason}"), n));
        }
    }

    /// From the first to the last presentation.
    pub(super) fn span(&self) -> Span {
        let spans = || self.gratings.iter().map(|g| g.span).chain(self.grey.iter().copied());
        [
            spans().map(|s| s[0]).fold(f64::INFINITY, f64::min),
            spans().map(|s| s[1]).fold(f64::NEG_INFINITY, f64::max),
        ]
    }
}

/// A table of gratings.
struct Table {
    /// E.g. `intervals/drifting_gratings_presentations`.
    path: String,
    /// Its rows, with those that show no grating.
    n_rows: usize,
    /// Those that show one.
    rows: Vec<Row>,
}

/// A row of a table of gratings.
struct Row {
    /// Its place in the table.
    at: usize,
    span: Span,
    condition: [f64; 3],
    /// NaN where the table has no such column.
    contrast: f64,
}

/// Reads gratings (blank screens left out) and grey.
pub(super) fn shown(nwb: &Nwb) -> Result<Shown> {
    let names = nwb.groups("intervals")?;
    let mut shown = Shown::default();
    let (mut tables, mut others) = (Vec::new(), Vec::new());
    for name in &names {
        let table = format!("intervals/{name}");
        if name.starts_with("spontaneous") {
            let spans = spans(nwb, &table)?;
            shown.leave_out("without start or stop time", spans.iter().filter(|s| s.is_none()).count());
            shown.grey.extend(spans.into_iter().flatten());
        } else if name.starts_with("drifting_gratings") && !name.contains("contrast") {
            tables.push(gratings(nwb, table, &mut shown)?);
        } else if name.ends_with("_presentations") {
            // Of a table that is not read only its times matter, where it has them.
            others.extend(spans(nwb, &table).unwrap_or_default().into_iter().flatten());
        }
    }
    tables.retain(|table| !table.rows.is_empty());
    name_what_differs(nwb, &tables, &mut shown)?;
    let mut rows: Vec<Row> = tables.into_iter().flat_map(|table| table.rows).collect();
    apart(&mut rows, &others, &mut shown);
    of_one_contrast(rows, &mut shown);
    if shown.gratings.is_empty() && shown.grey.is_empty() {
        let reason = format!(
            "has no intervals/drifting_gratings_presentations and no intervals/spontaneous_presentations that can be used (intervals: {})",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        return Err(Error::file(nwb.file(), reason));
    }
    Ok(shown)
}

/// Start and stop of every row; None where one of them is missing.
fn spans(nwb: &Nwb, table: &str) -> Result<Vec<Option<Span>>> {
    let [starts, stops] = ["start_time", "stop_time"].map(|column| nwb.numbers(&format!("{table}/{column}")));
    let (starts, stops) = (starts?, stops?);
    if starts.len() != stops.len() {
        return Err(nwb.wrong(table, "has columns of different lengths"));
    }
    let span = |(row, (start, stop)): (usize, (f64, f64))| match stop > start {
        _ if !start.is_finite() || !stop.is_finite() => Ok(None),
        true => Ok(Some([start, stop])),
        false => {
            let what =
                format!("row {row}: a presentation must end after its start, it is {start} to {stop} s");
            Err(nwb.wrong(table, what))
        }
    };
    starts.into_iter().zip(stops).enumerate().map(span).collect()
}

/// Reads a table of gratings.
fn gratings(nwb: &Nwb, table: String, shown: &mut Shown) -> Result<Table> {
    let spans = spans(nwb, &table)?;
    let path = |column: &str| format!("{table}/{column}");
    let n = spans.len();
    let (directions, frequencies) =
        (nwb.numbers(&path("orientation"))?, nwb.numbers(&path("temporal_frequency"))?);
    let mut spatial = nwb.numbers_if_there(&path("spatial_frequency"))?.unwrap_or_else(|| vec![0.0; n]);
    // Not said, as without the column: gratings of no spatial frequency would be no two alike.
    spatial.iter_mut().filter(|s| s.is_nan()).for_each(|s| *s = 0.0);
    let contrasts = nwb.numbers_if_there(&path("contrast"))?;
    let tells_contrast = contrasts.as_ref().is_some_and(|all| all.iter().any(|c| c.is_finite()));
    let mut contrasts = contrasts.unwrap_or_else(|| vec![f64::NAN; n]);
    if [&directions, &frequencies, &spatial, &contrasts].iter().any(|column| column.len() != n) {
        return Err(nwb.wrong(&table, "has columns of different lengths"));
    }
    refuse_radians(nwb, &path("orientation"), &directions)?;
    if let Some(row) = contrasts.iter().position(|c| *c < 0.0 || *c > 100.0) {
        let what = format!("row {row} is {}, no contrast from 0 to 1 or 0 to 100 %", contrasts[row]);
        return Err(nwb.wrong(&path("contrast"), what));
    }
    if contrasts.iter().any(|c| *c > 1.0) {
        contrasts.iter_mut().for_each(|percent| *percent /= 100.0);
    }
    let (mut rows, mut without_time, mut blank, mut grey, mut without_contrast) = (Vec::new(), 0, 0, 0, 0);
    for (row, span) in spans.into_iter().enumerate() {
        let condition = [directions[row].rem_euclid(360.0), frequencies[row], spatial[row]];
        let contrast = contrasts[row];
        let Some(span) = span else {
            without_time += 1;
            continue;
        };
        if !directions[row].is_finite() || !frequencies[row].is_finite() {
            blank += 1;
            continue;
        }
        match contrast {
            0.0 => grey += 1,
            _ if tells_contrast && contrast.is_nan() => without_contrast += 1,
            _ => rows.push(Row { at: row, span, condition, contrast }),
        }
    }
    shown.leave_out("without start or stop time", without_time);
    shown.leave_out("without orientation or temporal frequency, blank screens", blank);
    shown.leave_out("of contrast 0, a grey screen", grey);
    shown.leave_out("without a contrast", without_contrast);
    Ok(Table { path: table, n_rows: n, rows })
}

fn refuse_radians(nwb: &Nwb, path: &str, directions: &[f64]) -> Result<()> {
    let finite = || directions.iter().filter(|d| d.is_finite());
    let largest = finite().fold(0.0_f64, |most, d| most.max(d.abs()));
    let is_whole = finite().all(|d| d.fract() == 0.0);
    if largest > 0.0 && largest <= std::f64::consts::TAU && !is_whole {
        return Err(nwb.wrong(path, format!("goes to {largest:.4}: directions must be in deg, not rad")));
    }
    Ok(())
}

/// Names the tables where there are several, and the columns that differ between all gratings and are not looked at: what these change is
/// taken for noise. A column that only some of the tables have differs.
fn name_what_differs(nwb: &Nwb, tables: &[Table], shown: &mut Shown) -> Result<()> {
    let listed = |word: &dyn Fn(&Table) -> String| tables.iter().map(word).collect::<Vec<_>>().join(", ");
    if tables.len() > 1 {
        let listed = listed(&|table| format!("'{}' ({})", table.path, table.rows.len()));
        shown.notes.push(format!("gratings of several tables count as alike: {listed}"));
    }
    let mut columns = Vec::new();
    for table in tables {
        columns.extend(nwb.columns(&table.path)?);
    }
    columns.sort();
    columns.dedup();
    let is_index = |name: &str| name.strip_suffix("_index").is_some_and(|of| columns.iter().any(|c| c == of));
    let mut varying = Vec::new();
    for column in columns.iter().filter(|name| !KNOWN.contains(&name.as_str()) && !is_index(name)) {
        let mut values = Vec::new();
        for table in tables {
            values.extend(values_of(nwb, table, column)?);
        }
        if values.windows(2).any(|w| w[0] != w[1]) {
            varying.push(column.as_str());
        }
    }
    if !varying.is_empty() {
        let listed = listed(&|table| format!("'{}'", table.path));
        shown.notes.push(format!("{listed}: not looked at, though they vary: {}", varying.join(", ")));
    }
    Ok(())
}

/// What a column says of each grating of a table; nothing where the table has no such column, or one of neither texts nor numbers.
fn values_of(nwb: &Nwb, table: &Table, column: &str) -> Result<Vec<String>> {
    let path = format!("{}/{column}", table.path);
    let all: Vec<String> = match nwb.is_text(&path)? {
        // Some tables hold numbers as texts.
        true => {
            let plain = |text: String| text.trim().parse().map_or(text, |number: f64| number.to_string());
            nwb.texts(&path)?.unwrap_or_default().into_iter().map(plain).collect()
        }
        false => {
            let numbers = nwb.numbers_if_there(&path).ok().flatten().unwrap_or_default();
            numbers.iter().map(ToString::to_string).collect()
        }
    };
    // Rows of a ragged column, or of as many values each.
    let width = all.len() / table.n_rows.max(1);
    let rows = nwb.rows(&path, all.len()).ok().filter(|rows| rows.len() == table.n_rows);
    let rows = rows.unwrap_or_else(|| (0..table.n_rows).map(|row| row * width..(row + 1) * width).collect());
    Ok(table.rows.iter().map(|row| all[rows[row.at].clone()].join(" ")).collect())
}

/// Leaves out gratings that another presentation overlaps, and cuts grey where something else is shown.
fn apart(rows: &mut Vec<Row>, others: &[Span], shown: &mut Shown) {
    let mut all: Vec<Span> = rows.iter().map(|row| row.span).chain(others.iter().copied()).collect();
    all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    // Of each presentation in the order of their starts: the latest stop of those before it.
    let before: Vec<f64> = all
        .iter()
        .scan(f64::NEG_INFINITY, |latest, span| Some(std::mem::replace(latest, latest.max(span[1]))))
        .collect();
    let shares = |span: &Span| {
        let first = all.partition_point(|other| other[0] < span[0]);
        let same = all[first..].iter().take_while(|other| *other == span).count();
        let next = all.get(first + 1).map_or(f64::INFINITY, |next| next[0]);
        same > 1 || before[first] > span[0] + MOST_SHARED_S || next < span[1] - MOST_SHARED_S
    };
    let n = rows.len();
    rows.retain(|row| !shares(&row.span));
    shown.leave_out("that others overlap", n - rows.len());
    let n = shown.grey.iter().filter(|grey| all.iter().any(|span| overlap(**grey, *span))).count();
    shown.leave_out("of grey, where something else is shown (parts of them)", n);
    shown.grey = without(&shown.grey, &all);
}

/// Keeps the gratings of the highest contrast: a rate is one at one contrast.
fn of_one_contrast(rows: Vec<Row>, shown: &mut Shown) {
    let highest = rows.iter().map(|row| row.contrast).filter(|c| c.is_finite()).fold(f64::NAN, f64::max);
    let n = rows.len();
    shown.contrast = highest;
    let is_used = |row: &Row| highest.is_nan() || row.contrast == highest;
    shown.gratings = rows
        .into_iter()
        .filter(is_used)
        .map(|row| Grating { span: row.span, condition: row.condition })
        .collect();
    shown.leave_out(&format!("of another contrast than {highest}"), n - shown.gratings.len());
}

impl InvalidTimes {
    /// The table `intervals/invalid_times`, if there is one.
    pub(super) fn read(nwb: &Nwb) -> Result<Self> {
        if !nwb.has(&format!("{INVALID}/start_time"))? {
            return Ok(Self(Vec::new()));
        }
        let spans = spans(nwb, INVALID)?;
        let tags = match nwb.texts(&format!("{INVALID}/tags"))? {
            Some(tags) => {
                let rows = nwb.rows(&format!("{INVALID}/tags"), tags.len())?;
                if rows.len() != spans.len() {
                    return Err(nwb.wrong(INVALID, "has columns of different lengths"));
                }
                rows.into_iter().map(|row| tags[row].to_vec()).collect()
            }
            None => vec![Vec::new(); spans.len()],
        };
        let rows = spans.into_iter().zip(tags).enumerate();
        let invalid = rows.map(|(row, (span, tags))| match span {
            Some(span) => Ok(Invalid { span, tags }),
            None => Err(nwb.wrong(INVALID, format!("row {row} has no start or stop time"))),
        });
        invalid.collect::<Result<_>>().map(Self)
    }

    /// The spans of a probe's units: those whose tags name it, and those that name none of the file's probes.
    pub(super) fn of_probe(&self, probe: Option<&str>, all_probes: &[String]) -> Vec<Span> {
        let concerns = |invalid: &&Invalid| {
            let names_some = invalid.tags.iter().any(|tag| all_probes.contains(tag));
            !names_some || probe.is_none_or(|probe| invalid.tags.iter().any(|tag| tag == probe))
        };
        self.0.iter().filter(concerns).map(|invalid| invalid.span).collect()
    }
}

/// Whether two spans share more than an end.
pub(super) fn overlap(a: Span, b: Span) -> bool {
    a[0] < b[1] && b[0] < a[1]
}

/// What is left of spans without the gaps.
pub(super) fn without(spans: &[Span], gaps: &[Span]) -> Vec<Span> {
    let mut left = spans.to_vec();
    for gap in gaps {
        left = left
            .into_iter()
            .flat_map(|span| match overlap(span, *gap) {
                true => vec![[span[0], gap[0]], [gap[1], span[1]]],
                false => vec![span],
            })
            .filter(|[start, stop]| stop > start)
            .collect();
    }
    left
}

/// What spans share with others.
pub(super) fn within(spans: &[Span], others: &[Span]) -> Vec<Span> {
    let pairs = spans.iter().flat_map(|span| others.iter().map(move |other| (span, other)));
    let shared = pairs.map(|(a, b)| [a[0].max(b[0]), a[1].min(b[1])]);
    shared.filter(|[start, stop]| stop > start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_and_joined_as_sets_are() {
        let grey = [[0.0, 10.0], [20.0, 30.0]];
        assert_eq!(without(&grey, &[[4.0, 6.0], [9.0, 22.0]]), [[0.0, 4.0], [6.0, 9.0], [22.0, 30.0]]);
        assert_eq!(without(&grey, &[[10.0, 20.0]]), grey);
        assert_eq!(without(&grey, &[[-1.0, 40.0]]), [[0.0; 2]; 0]);
        assert_eq!(within(&grey, &[[5.0, 25.0], [28.0, 99.0]]), [[5.0, 10.0], [20.0, 25.0], [28.0, 30.0]]);
        assert!(!overlap([0.0, 1.0], [1.0, 2.0]) && overlap([0.0, 1.0], [0.5, 0.6]));
    }

    #[test]
    fn invalid_times_are_those_of_a_probe_or_of_all() {
        let invalid = |span: Span, tags: &[&str]| Invalid {
            span,
            tags: tags.iter().map(ToString::to_string).collect(),
        };
        let times = InvalidTimes(vec![
            invalid([0.0, 1.0], &["EcephysProbe", "probeA"]),
            invalid([2.0, 3.0], &["EcephysSession", "all_probes"]),
            invalid([4.0, 5.0], &[]),
        ]);
        let probes = ["probeA".to_owned(), "probeB".to_owned()];
        assert_eq!(times.of_probe(Some("probeA"), &probes).len(), 3);
        assert_eq!(times.of_probe(Some("probeB"), &probes), [[2.0, 3.0], [4.0, 5.0]]);
        // Of a unit whose probe is not told, all may be of it.
        assert_eq!(times.of_probe(None, &probes).len(), 3);
    }
}

//! Units of an NWB file of a session or of one of its probes, in the layout of Allen's Neuropixels files.
//!
//! | what | where |
//! |---|---|
//! | spike times, s | `units/spike_times`, `units/spike_times_index` |
//! | cell type | `units/cell_type`; without it the layer from the electrode's location (`VISp2/3`, `VISp4`, `VISp6a`) or a table of layers, and the class from `units/waveform_duration`: PV below 0.4 ms, else excitatory |
//! | area | `location` of the electrode `units/peak_channel_id` (by `electrodes/id`; where probes share ids, the one that is in `units/electrodes` too), else of the electrodes in `units/electrodes` (rows of the table) |
//! | unit quality | `units/quality`, or another column of such words (`decoder_label`, `KSLabel`), if there: only `good` and `sua`. The AllenSDK's default limits (amplitude_cutoff, presence_ratio, isi_violations, valid_data) are no reason to leave a unit out; how many it would is said |
//! | gratings | `intervals/drifting_gratings*_presentations`: start_time, stop_time, orientation (deg; `null`: a blank screen), temporal_frequency, spatial_frequency (`null`: not said), contrast (0: a grey screen; of several the highest) |
//! | grey | `intervals/spontaneous_presentations` |
//! | no good recording | `intervals/invalid_times` (by probe, where tags name one), outside `units/obs_intervals`: gratings that reach there are left out, grey is cut |
//!
//! Rates are means over presentations; the preferred grating is that of the largest mean; OSI and DSI are taken over the directions at its temporal
//! and spatial frequency, as `src/evaluate.rs` defines them.

mod file;
mod intervals;
mod judged;
mod labels;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::Path;

use super::layers::Layers;
use super::units::{Found, Keys, Unit, leave_out};
use crate::error::{Error, Result};
use crate::evaluate::selectivity_index;
use crate::loss::statistics::{mean, sorted};

use file::Nwb;
use intervals::{Grating, InvalidTimes, Shown, Span, overlap, within, without};
use labels::Places;

pub(super) use labels::layer_of;

const SPIKE_TIMES: &str = "units/spike_times";
/// Units with fewer spikes are not told apart by them.
const FEW_SPIKES: usize = 10;
/// Where nearly all spikes lie outside all presentations and units fire less than this on average, Hz, times are in another unit.
const SLOWEST_HZ: f64 = 0.1;
const MOST_OUTSIDE: f64 = 0.9;

/// Spike times of all units.
struct Spikes {
    times_s: Vec<f64>,
    units: Vec<Range<usize>>,
}

/// Reads the units that lie in the area `location`, or in a layer of it.
///
/// # Errors
/// A file that is no NWB file of units, gratings or grey, in one sentence.
pub(super) fn read(file: &Path, location: Option<&str>, layers: Option<&Layers>) -> Result<Found> {
    let nwb = Nwb::open(file)?;
    let mut shown = intervals::shown(&nwb)?;
    let spikes = spikes(&nwb)?;
    let n_units = spikes.units.len();
    refuse_other_unit_of_time(&nwb, &spikes, &mut shown)?;
    let places = labels::places(&nwb, n_units)?;
    let session_id = session_id(&nwb)?;
    let unit_ids = unit_ids(&nwb, n_units, &spikes)?;
    if places.locations.is_none() {
        if let Some(location) = location {
            let what =
                format!("does not say where units lie, so that --location {location} cannot be obeyed");
            return Err(nwb.wrong("units", what));
        }
        shown.notes.push("units are of any area: the file does not say where they lie".to_owned());
    }
    let location = location.unwrap_or(super::DEFAULT_LOCATION);
    let labels = labels::labels(&nwb, &unit_ids, &session_id, &places, location, layers, &mut shown.notes)?;
    let windows = Windows::read(&nwb, n_units, &places, &shown)?;
    let (mut units, mut left_out, mut is_used) = (Vec::new(), Vec::new(), vec![false; n_units]);
    for (ix, label) in labels.into_iter().enumerate() {
        let values = label.and_then(|cell_type| {
            let (gratings, grey) = windows.of_unit(ix, &shown)?;
            let spikes_s = sorted(&spikes.times_s[spikes.units[ix].clone()]);
            Ok((cell_type, measure(&spikes_s, &gratings, &grey)))
        });
        match values {
            Err(reason) => leave_out(&mut left_out, reason),
            Ok((cell_type, values)) => {
                is_used[ix] = true;
                let session_type = "nwb".to_owned();
                units.push(Unit { session_id: session_id.clone(), session_type, cell_type, values });
            }
        }
    }
    judged::name_what_others_leave_out(&nwb, &places, &is_used, &mut shown.notes);
    let Windows { n_presentations_cut, n_units_cut, .. } = windows;
    if n_presentations_cut > 0 {
        left_out
            .push(("presentations (grey: parts of them) in invalid times".to_owned(), n_presentations_cut));
    }
    if n_units_cut > 0 {
        shown.notes.push(format!(
            "{n_units_cut} units miss presentations in which they were not observed, or their probe's recording was invalid"
        ));
    }
    left_out.extend(shown.left_out);
    let trains = spikes.units.iter().filter(|unit| unit.len() >= FEW_SPIKES);
    let trains = trains.map(|unit| fingerprint(&spikes.times_s[unit.clone()])).collect();
    let notes = shown.notes.into_iter().map(|note| format!("session {session_id}: {note}")).collect();
    let used = unit_ids.into_iter().flatten().collect();
    let sessions = vec![(session_id, Keys::Trains(trains))];
    Ok(Found { units, left_out, notes, sessions, unit_ids: used, contrast: Some(shown.contrast) })
}

fn spikes(nwb: &Nwb) -> Result<Spikes> {
    if let Some(unit) = nwb
        .attribute(SPIKE_TIMES, "unit")?
        .filter(|unit| !["seconds", "second", "s"].contains(&unit.as_str()))
    {
        return Err(nwb.wrong(SPIKE_TIMES, format!("is in '{unit}'; must be in seconds")));
    }
    let times_s = nwb.numbers(SPIKE_TIMES)?;
    if !nwb.has(&format!("{SPIKE_TIMES}_index"))? {
        return Err(Error::file(nwb.file(), format!("has no '{SPIKE_TIMES}_index'")));
    }
    let units = nwb.rows(SPIKE_TIMES, times_s.len())?;
    if times_s.iter().any(|t| !t.is_finite()) {
        return Err(nwb.wrong(SPIKE_TIMES, "holds a time that is not a number"));
    }
    Ok(Spikes { times_s, units })
}

fn unit_ids(nwb: &Nwb, n_units: usize, spikes: &Spikes) -> Result<Vec<Option<i64>>> {
    if !nwb.has("units/id")? {
        return Ok(vec![None; n_units]);
    }
    let ids = nwb.whole_numbers("units/id")?;
    if ids.len() != spikes.units.len() {
        return Err(nwb.wrong("units", format!("has columns of other lengths than its {n_units} units")));
    }
    Ok(ids)
}

/// Refuses times of spikes or presentations that cannot be both seconds of one clock.
fn refuse_other_unit_of_time(nwb: &Nwb, spikes: &Spikes, shown: &mut Shown) -> Result<()> {
    let times = &spikes.times_s;
    let n = times.len() as f64;
    let span = shown.span();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let last = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let n_outside = times.iter().filter(|t| !(span[0]..=span[1]).contains(*t)).count() as f64;
    if times.is_empty() || n_outside <= MOST_OUTSIDE * n {
        return Ok(());
    }
    let rate_hz = n / spikes.units.len() as f64 / (last - first).max(1e-9);
    let words = format!(
        "{:.0} % of the spikes ({first:.6} to {last:.6} s) lie outside all presentations ({:.6} to {:.6} s)",
        100.0 * n_outside / n,
        span[0],
        span[1]
    );
    if rate_hz < SLOWEST_HZ || n_outside == n {
        let what = format!(
            "cannot be in seconds as the presentations are: {words}, and units would fire {rate_hz:.2e} Hz; are times in ms, or samples?"
        );
        return Err(nwb.wrong(SPIKE_TIMES, what));
    }
    shown.notes.push(words);
    Ok(())
}

fn fingerprint(spikes_s: &[f64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    spikes_s.iter().for_each(|t| t.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// The session's id, or the file's identifier.
fn session_id(nwb: &Nwb) -> Result<String> {
    for path in ["general/session_id", "identifier"] {
        if let Some(id) =
            nwb.texts(path)?.and_then(|texts| texts.into_iter().next()).filter(|id| !id.trim().is_empty())
        {
            // It becomes a field of a CSV file.
            return Ok(id.trim().replace(|c: char| c.is_control() || [',', '"'].contains(&c), "_"));
        }
    }
    Err(Error::file(nwb.file(), "has neither a general/session_id nor an identifier"))
}

/// When each unit was recorded.
struct Windows {
    /// Spans in which its probe's recording is no good, by unit.
    gaps: Vec<Vec<Span>>,
    /// Spans in which it was observed, by unit; None where the file does not say.
    observed: Option<Vec<Vec<Span>>>,
    /// Presentations that invalid times of all probes touch.
    n_presentations_cut: usize,
    /// Units that miss further presentations.
    n_units_cut: usize,
}

impl Windows {
    fn read(nwb: &Nwb, n_units: usize, places: &Places, shown: &Shown) -> Result<Self> {
        let invalid = InvalidTimes::read(nwb)?;
        let gaps: Vec<Vec<Span>> = places
            .probes
            .iter()
            .map(|probe| invalid.of_probe(probe.as_deref(), &places.all_probes))
            .collect();
        let observed = observed(nwb, n_units)?;
        // Of a probe that the file does not have no tag speaks, so these are the times of all.
        let of_all = invalid.of_probe(Some(""), &places.all_probes);
        let touches = |span: Span, gaps: &[Span]| gaps.iter().any(|gap| overlap(span, *gap));
        let spans = || shown.gratings.iter().map(|g| g.span).chain(shown.grey.iter().copied());
        let n_presentations_cut = spans().filter(|span| touches(*span, &of_all)).count();
        let mut windows = Self { gaps, observed, n_presentations_cut, n_units_cut: 0 };
        windows.n_units_cut = (0..n_units)
            .filter(|unit| {
                let own = |span: Span| {
                    touches(span, &windows.gaps[*unit]) && !touches(span, &of_all)
                        || !windows.is_observed(*unit, span)
                };
                spans().any(own)
            })
            .count();
        Ok(windows)
    }

    /// Whether a unit was observed throughout a span.
    fn is_observed(&self, unit: usize, [start, stop]: Span) -> bool {
        self.observed
            .as_ref()
            .is_none_or(|all| all[unit].iter().any(|[from, to]| *from <= start && *to >= stop))
    }

    /// What was shown while a unit was recorded: whole gratings, parts of grey.
    fn of_unit(&self, unit: usize, shown: &Shown) -> std::result::Result<(Vec<Grating>, Vec<Span>), String> {
        let gaps = &self.gaps[unit];
        let is_whole =
            |span: Span| !gaps.iter().any(|gap| overlap(span, *gap)) && self.is_observed(unit, span);
        let gratings: Vec<Grating> = shown.gratings.iter().filter(|g| is_whole(g.span)).cloned().collect();
        let grey = without(&shown.grey, gaps);
        let grey = match &self.observed {
            Some(observed) => within(&grey, &observed[unit]),
            None => grey,
        };
        match gratings.is_empty() && grey.is_empty() {
            true => Err("not recorded during any presentation".to_owned()),
            false => Ok((gratings, grey)),
        }
    }
}

/// The spans of `units/obs_intervals`, by unit.
fn observed(nwb: &Nwb, n_units: usize) -> Result<Option<Vec<Vec<Span>>>> {
    let path = "units/obs_intervals";
    let Some(ends) = nwb.numbers_if_there(path)? else { return Ok(None) };
    let (spans, rest) = ends.as_chunks::<2>();
    if !rest.is_empty() || ends.iter().any(|t| !t.is_finite()) {
        return Err(nwb.wrong(path, "must hold pairs of start and stop, s"));
    }
    let units = nwb.rows(path, spans.len())?;
    if units.len() != n_units {
        return Err(nwb.wrong(path, format!("has {} rows for {n_units} units", units.len())));
    }
    Ok(Some(units.into_iter().map(|unit| spans[unit].to_vec()).collect()))
}

/// The values of a unit, in the order of [`crate::network::tables::Quantity::ALL`].
fn measure(spikes_s: &[f64], gratings: &[Grating], grey: &[Span]) -> [Option<f64>; 5] {
    let before = |time_s: f64| spikes_s.partition_point(|spike| *spike < time_s);
    let count = |[start, stop]: Span| (before(stop) - before(start)) as f64;
    let grey_s: f64 = grey.iter().map(|[start, stop]| stop - start).sum();
    let spontaneous = (grey_s > 0.0).then(|| grey.iter().map(|span| count(*span)).sum::<f64>() / grey_s);
    let rates: Vec<f64> = gratings.iter().map(|g| count(g.span) / (g.span[1] - g.span[0])).collect();
    // Mean rate of each grating (direction, temporal and spatial frequency).
    let mut conditions: Vec<([f64; 3], Vec<f64>)> = Vec::new();
    for (grating, rate) in gratings.iter().zip(&rates) {
        match conditions.iter_mut().find(|(known, _)| *known == grating.condition) {
            Some((_, rates)) => rates.push(*rate),
            None => conditions.push((grating.condition, vec![*rate])),
        }
    }
    let means: Vec<([f64; 3], f64)> =
        conditions.iter().filter_map(|(condition, rates)| Some((*condition, mean(rates)?))).collect();
    let preferred = means.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1));
    let index = |k: f64| {
        let [_, temporal, spatial] = preferred?.0;
        let own = || means.iter().filter(|(condition, _)| condition[1..] == [temporal, spatial]);
        let directions: Vec<f64> = own().map(|(condition, _)| condition[0]).collect();
        selectivity_index(&directions, &own().map(|(_, rate)| *rate).collect::<Vec<f64>>(), k)
    };
    [mean(&rates), preferred.map(|(_, rate)| *rate), spontaneous, index(2.0), index(1.0)]
}

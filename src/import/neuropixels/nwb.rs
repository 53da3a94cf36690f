//! Units of an NWB file of one session, in the layout of Allen's Neuropixels files.
//!
//! | what | where |
//! |---|---|
//! | spike times, s | `units/spike_times`, `units/spike_times_index` |
//! | cell type | `units/cell_type`; without it the layer from the electrode's location (`VISp2/3`, `VISp4`, `VISp6a`) and the class from `units/waveform_duration`: PV below 0.4 ms, else excitatory |
//! | area | `location` of the electrode `units/peak_channel_id` (by `electrodes/id`) |
//! | unit quality | `units/quality`, if there: only `good` |
//! | gratings | `intervals/drifting_gratings*_presentations`: start_time, stop_time, orientation (deg; not a number: a blank screen), temporal_frequency, contrast |
//! | grey | `intervals/spontaneous_presentations` |
//!
//! Rates are means over presentations; the preferred grating is that of the largest mean; OSI and DSI are taken over the directions at its temporal
//! frequency, as `src/evaluate.rs` defines them.

use std::path::Path;

use rust_hdf5::{H5Dataset, H5File};

use super::units::{Found, Unit, leave_out, recorded_type};
use crate::error::{Error, Result};
use crate::evaluate::selectivity_index;
use crate::loss::statistics::{mean, sorted};

const ELECTRODES: &str = "general/extracellular_ephys/electrodes";
/// Waveforms shorter than this, ms from trough to peak, are those of fast-spiking cells.
const FAST_SPIKING_MS: f64 = 0.4;

/// An NWB file with its name for messages.
struct Nwb<'a> {
    file: &'a Path,
    h5: H5File,
}

impl Nwb<'_> {
    fn dataset(&self, path: &str) -> Option<H5Dataset> {
        self.h5.dataset(path).ok()
    }

    fn needed(&self, path: &str) -> Result<H5Dataset> {
        self.dataset(path).ok_or_else(|| Error::file(self.file, format!("has no '{path}'")))
    }

    fn wrong(&self, path: &str, what: &str) -> Error {
        Error::file(self.file, format!("'{path}' {what}"))
    }

    fn whole_numbers(&self, path: &str) -> Result<Vec<i64>> {
        self.needed(path)?
            .read_numeric_as::<i64>()
            .map_err(|e| self.wrong(path, &format!("is no column of whole numbers: {e}")))
    }

    /// A column of numbers; a text that is no number (`null`) is NaN.
    fn numbers(&self, path: &str) -> Result<Vec<f64>> {
        let dataset = self.needed(path)?;
        if let Ok(numbers) = dataset.read_numeric_as::<f64>() {
            return Ok(numbers);
        }
        if let Ok(numbers) = dataset.read_numeric_as::<i64>() {
            return Ok(numbers.into_iter().map(|n| n as f64).collect());
        }
        let texts =
            dataset.read_strings().map_err(|e| self.wrong(path, &format!("is no column of numbers: {e}")))?;
        Ok(texts.iter().map(|text| text.trim().parse().unwrap_or(f64::NAN)).collect())
    }

    fn texts(&self, path: &str) -> Result<Option<Vec<String>>> {
        let Some(dataset) = self.dataset(path) else { return Ok(None) };
        dataset.read_strings().map(Some).map_err(|e| self.wrong(path, &format!("is no column of texts: {e}")))
    }
}

/// One presentation.
struct Presentation {
    start_s: f64,
    stop_s: f64,
    /// Direction, deg, and temporal frequency, Hz; None for grey.
    grating: Option<[f64; 2]>,
}

/// Reads the units that lie in areas whose names start with `location`.
///
/// # Errors
/// A file that is no NWB file of units, gratings or grey, in one sentence.
pub(super) fn read(file: &Path, location: &str) -> Result<Found> {
    if !file.is_file() {
        return Err(Error::file(file, "there is no such file"));
    }
    let h5 = H5File::open(file).map_err(|e| Error::file(file, format!("is no HDF5 file: {e}")))?;
    let nwb = Nwb { file, h5 };
    let (gratings, grey) = presentations(&nwb)?;
    let all_spikes_s = nwb.numbers("units/spike_times")?;
    let ends = nwb.whole_numbers("units/spike_times_index")?;
    let n_units = ends.len();
    let bounds = std::iter::once(0).chain(ends.iter().copied());
    let ascending = bounds.clone().zip(&ends).all(|(start, end)| start <= *end);
    if !ascending || ends.last().is_some_and(|last| *last != all_spikes_s.len() as i64) {
        let what = format!("does not ascend to the {} spike times of the file", all_spikes_s.len());
        return Err(nwb.wrong("units/spike_times_index", &what));
    }
    if all_spikes_s.iter().any(|t| !t.is_finite()) {
        return Err(nwb.wrong("units/spike_times", "holds a time that is not a number"));
    }
    let labels = labels(&nwb, n_units, location)?;
    let session_id = session_id(&nwb)?;
    let (mut units, mut left_out) = (Vec::new(), Vec::new());
    for ((start, end), label) in bounds.zip(&ends).zip(labels) {
        match label {
            Err(reason) => leave_out(&mut left_out, reason),
            Ok(cell_type) => {
                let spikes_s = sorted(&all_spikes_s[start as usize..*end as usize]);
                units.push(Unit {
                    session_id: session_id.clone(),
                    session_type: "nwb".to_owned(),
                    cell_type,
                    values: measure(&spikes_s, &gratings, &grey),
                });
            }
        }
    }
    Ok((units, left_out))
}

/// The session's id, or the file's identifier.
fn session_id(nwb: &Nwb<'_>) -> Result<String> {
    for path in ["general/session_id", "identifier"] {
        if let Some(id) =
            nwb.texts(path)?.and_then(|texts| texts.into_iter().next()).filter(|id| !id.trim().is_empty())
        {
            // It becomes a field of a CSV file.
            return Ok(id.trim().replace([',', '\n', '"'], "_"));
        }
    }
    Err(Error::file(nwb.file, "has neither a general/session_id nor an identifier"))
}

/// Gratings (blank screens left out) and grey.
fn presentations(nwb: &Nwb<'_>) -> Result<(Vec<Presentation>, Vec<Presentation>)> {
    let names = nwb.h5.root_group().group("intervals").and_then(|g| g.group_names()).unwrap_or_default();
    let (mut gratings, mut grey) = (Vec::new(), Vec::new());
    for name in &names {
        let path = |column: &str| format!("intervals/{name}/{column}");
        let is_grey = name.starts_with("spontaneous");
        let is_grating = name.starts_with("drifting_gratings") && !name.contains("contrast");
        if !is_grey && !is_grating {
            continue;
        }
        let (starts, stops) = (nwb.numbers(&path("start_time"))?, nwb.numbers(&path("stop_time"))?);
        let columns = match is_grey {
            true => vec![starts, stops],
            false => vec![
                starts,
                stops,
                nwb.numbers(&path("orientation"))?,
                nwb.numbers(&path("temporal_frequency"))?,
            ],
        };
        if columns.iter().any(|column| column.len() != columns[0].len()) {
            return Err(nwb.wrong(&format!("intervals/{name}"), "has columns of different lengths"));
        }
        for (row, (start_s, stop_s)) in columns[0].iter().zip(&columns[1]).enumerate() {
            let (start_s, stop_s) = (*start_s, *stop_s);
            if !(start_s.is_finite() && stop_s > start_s) {
                let what = format!(
                    "row {row}: a presentation must end after its start, it is {start_s} to {stop_s} s"
                );
                return Err(nwb.wrong(&format!("intervals/{name}"), &what));
            }
            if is_grey {
                grey.push(Presentation { start_s, stop_s, grating: None });
                continue;
            }
            let grating = [columns[2][row], columns[3][row]];
            if grating.iter().all(|value| value.is_finite()) {
                gratings.push(Presentation { start_s, stop_s, grating: Some(grating) });
            }
        }
    }
    if gratings.is_empty() && grey.is_empty() {
        let reason = format!(
            "has no intervals/drifting_gratings_presentations and no intervals/spontaneous_presentations (intervals: {})",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        return Err(Error::file(nwb.file, reason));
    }
    Ok((gratings, grey))
}

/// The cell type of each unit, or why it is left out.
fn labels(
    nwb: &Nwb<'_>,
    n_units: usize,
    location: &str,
) -> Result<Vec<std::result::Result<&'static str, String>>> {
    let cell_types = nwb.texts("units/cell_type")?;
    let quality = nwb.texts("units/quality")?;
    let durations = match nwb.dataset("units/waveform_duration") {
        Some(_) => Some(nwb.numbers("units/waveform_duration")?),
        None => None,
    };
    let locations = unit_locations(nwb)?;
    let lengths =
        [cell_types.as_ref().map(Vec::len), quality.as_ref().map(Vec::len), durations.as_ref().map(Vec::len)];
    let lengths = lengths.into_iter().chain([locations.as_ref().map(Vec::len)]);
    if lengths.flatten().any(|length| length != n_units) {
        return Err(nwb.wrong("units", &format!("has columns of other lengths than its {n_units} units")));
    }
    if cell_types.is_none() && (locations.is_none() || durations.is_none()) {
        let what = "has neither a column cell_type nor electrodes' locations and a column waveform_duration, from which to tell cell types";
        return Err(nwb.wrong("units", what));
    }
    let label = |ix: usize| {
        if let Some(quality) = quality.as_ref().map(|q| &q[ix]).filter(|quality| *quality != "good") {
            return Err(format!("of quality '{quality}'"));
        }
        let place = locations.as_ref().map(|l| l[ix].as_str());
        if let Some(place) = place.filter(|place| !place.starts_with(location)) {
            return Err(format!("in '{place}'"));
        }
        if let Some(cell_types) = &cell_types {
            return recorded_type(&cell_types[ix])
                .ok_or_else(|| format!("of cell type '{}'", cell_types[ix]));
        }
        let (place, duration_ms) = (place.unwrap_or(""), durations.as_ref().map_or(f64::NAN, |d| d[ix]));
        let layer = match place[location.len()..].trim_end_matches(['a', 'b']) {
            "2/3" => "L2/3",
            "4" => "L4",
            "5" => "L5",
            "6" => "L6",
            _ => return Err(format!("in '{place}', which names no layer of 2/3 to 6")),
        };
        if !duration_ms.is_finite() {
            return Err("without a waveform duration".to_owned());
        }
        let class = if duration_ms < FAST_SPIKING_MS { "PV" } else { "Exc" };
        recorded_type(&format!("{layer} {class}")).ok_or_else(|| format!("in '{place}'"))
    };
    Ok((0..n_units).map(label).collect())
}

/// Location of the electrode at each unit's peak; None where the file has no electrodes or does not say which.
fn unit_locations(nwb: &Nwb<'_>) -> Result<Option<Vec<String>>> {
    let (Some(locations), Some(_)) =
        (nwb.texts(&format!("{ELECTRODES}/location"))?, nwb.dataset("units/peak_channel_id"))
    else {
        return Ok(None);
    };
    let ids = nwb.whole_numbers(&format!("{ELECTRODES}/id"))?;
    let location = |id: i64| {
        let place = ids.iter().position(|known| *known == id).and_then(|ix| locations.get(ix));
        let what = || {
            nwb.wrong(
                "units/peak_channel_id",
                &format!("names electrode {id}, which is not in the table of electrodes"),
            )
        };
        place.cloned().ok_or_else(what)
    };
    nwb.whole_numbers("units/peak_channel_id")?.into_iter().map(location).collect::<Result<_>>().map(Some)
}

/// The values of a unit, in the order of [`crate::network::tables::Quantity::ALL`].
fn measure(spikes_s: &[f64], gratings: &[Presentation], grey: &[Presentation]) -> [Option<f64>; 5] {
    let before = |time_s: f64| spikes_s.partition_point(|spike| *spike < time_s);
    let count = |p: &Presentation| (before(p.stop_s) - before(p.start_s)) as f64;
    let rate_hz = |p: &Presentation| count(p) / (p.stop_s - p.start_s);
    let grey_s: f64 = grey.iter().map(|p| p.stop_s - p.start_s).sum();
    let spontaneous = (grey_s > 0.0).then(|| grey.iter().map(count).sum::<f64>() / grey_s);
    let rates: Vec<f64> = gratings.iter().map(rate_hz).collect();
    // Mean rate of each grating (direction, temporal frequency).
    let mut conditions: Vec<([f64; 2], Vec<f64>)> = Vec::new();
    for (presentation, rate) in gratings.iter().zip(&rates) {
        let Some(grating) = presentation.grating else { continue };
        match conditions.iter_mut().find(|(known, _)| *known == grating) {
            Some((_, rates)) => rates.push(*rate),
            None => conditions.push((grating, vec![*rate])),
        }
    }
    let means: Vec<([f64; 2], f64)> =
        conditions.iter().filter_map(|(grating, rates)| Some((*grating, mean(rates)?))).collect();
    let preferred = means.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1));
    let index = |k: f64| {
        let [_, frequency] = preferred?.0;
        let own = || means.iter().filter(|(grating, _)| grating[1] == frequency);
        let directions: Vec<f64> = own().map(|(grating, _)| grating[0]).collect();
        selectivity_index(&directions, &own().map(|(_, rate)| *rate).collect::<Vec<f64>>(), k)
    };
    [mean(&rates), preferred.map(|(_, rate)| *rate), spontaneous, index(2.0), index(1.0)]
}

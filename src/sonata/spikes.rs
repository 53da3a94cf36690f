//! Spikes of nodes from files: SONATA (HDF5), CSV, NWB.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::hdf5::{Column, Hdf5};

/// Spikes of a population: node ids, and times in ms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spikes {
    /// Node of each spike.
    pub node_id: Vec<u64>,
    /// Time of each spike, ms.
    pub time_ms: Vec<f64>,
    /// Whether the file, or who names it, says the unit of its times; else they are taken as ms.
    pub names_unit: bool,
}

/// The spikes of a file by population; those of a file that names no population have the empty name.
pub type SpikeFile = BTreeMap<String, Spikes>;

/// Reads the spikes of a file. `trial` picks one of an NWB 1 file; `unit` is that of the times where the file names none.
///
/// # Errors
/// Names file and dataset (or column) of what is missing, of another length, not read, or no time.
pub fn read_spikes(file: &Path, trial: Option<&str>, unit: Option<&str>) -> Result<SpikeFile> {
    match file.extension().and_then(|e| e.to_str()) {
        Some("csv" | "txt" | "dat") => read_csv(file, unit),
        _ => {
            let h5 = Hdf5::open(file)?;
            if h5.has_group("spikes")? {
                read_sonata(&h5, unit)
            } else if h5.has("units/spike_times")? {
                read_units(&h5)
            } else if h5.has_group("processing")? {
                read_spike_train(&h5, trial)
            } else {
                let looked = "/spikes (SONATA), /units/spike_times (NWB 2) or /processing (NWB 1)";
                Err(Error::file(file, format!("holds no spikes: there is no {looked}")))
            }
        }
    }
}

/// SONATA: `/spikes/POPULATION/{node_ids,timestamps}`, before version 0.1 `/spikes/{gids,timestamps}`.
fn read_sonata(h5: &Hdf5, unit: Option<&str>) -> Result<SpikeFile> {
    let mut found = BTreeMap::new();
    let datasets = h5.datasets("spikes")?;
    let is_old = datasets.iter().any(|name| name == "gids");
    for dataset in &datasets {
        match dataset.as_str() {
            "gids" => {
                found.insert(String::new(), read_pair(h5, "spikes", "gids", unit)?);
            }
            "timestamps" if is_old => (),
            _ => {
                let layout =
                    "spikes lie in a group of their population, /spikes/POPULATION/{node_ids,timestamps}";
                return Err(h5.error(&format!("spikes/{dataset}"), format!("is in no population: {layout}")));
            }
        }
    }
    for population in h5.groups("spikes")? {
        let spikes = read_pair(h5, &format!("spikes/{population}"), "node_ids", unit)?;
        found.insert(population, spikes);
    }
    Ok(found)
}

/// The spikes in a group; the unit of its times is an attribute of theirs, or of the group.
fn read_pair(h5: &Hdf5, group: &str, ids: &str, unit: Option<&str>) -> Result<Spikes> {
    let node_id = h5.column(&format!("{group}/{ids}"))?.all_ids()?;
    let times = format!("{group}/timestamps");
    let column = h5.column_of(&times, node_id.len())?;
    let mut time_ms = column.all_numbers()?;
    let of_group = h5.group_attribute(group, "units")?;
    let own = unit_of(h5, &times)?.or(of_group);
    let unit = own.as_deref().or(unit);
    let factor = unit.map_or(Ok(1.0), |unit| factor_of(&column, unit))?;
    time_ms.iter_mut().for_each(|t| *t = in_ms(*t, factor));
    Ok(Spikes { node_id, time_ms, names_unit: unit.is_some() })
}

/// The unit that a dataset names.
pub(super) fn unit_of(h5: &Hdf5, dataset: &str) -> Result<Option<String>> {
    Ok(match h5.dataset_attribute(dataset, "units")? {
        Some(unit) => Some(unit),
        None => h5.dataset_attribute(dataset, "unit")?,
    })
}

fn factor_of(times: &Column, unit: &str) -> Result<f64> {
    ms_of(unit).ok_or_else(|| times.error(format!("units = '{unit}', must be ms or s")))
}

/// A unit of time, ms.
pub(super) fn ms_of(unit: &str) -> Option<f64> {
    match unit.trim() {
        "ms" | "msec" | "millisecond" | "milliseconds" => Some(1.0),
        "s" | "sec" | "second" | "seconds" => Some(1e3),
        _ => None,
    }
}

/// A time in a unit of `factor` ms.
fn in_ms(time: f64, factor: f64) -> f64 {
    if factor == 1.0 { time } else { computed_ms(time * factor) }
}

/// A time that was computed, to 1e-6 ms: what rounding left beyond a time step would move its spike to the next one.
pub(super) fn computed_ms(time_ms: f64) -> f64 {
    const PER_MS: f64 = 1e6;
    (time_ms * PER_MS).round() / PER_MS
}

/// NWB 2: `/units` with times in seconds; a unit's id is its node.
fn read_units(h5: &Hdf5) -> Result<SpikeFile> {
    let times = h5.column("units/spike_times")?;
    let ends = h5.column("units/spike_times_index")?;
    let ids = h5.column_of("units/id", ends.len())?.all_ids()?;
    let (seconds, ends_at) = (times.all_numbers()?, ends.all_ids()?);
    let mut spikes = Spikes { names_unit: true, ..Spikes::default() };
    let mut first = 0;
    for (id, end) in ids.iter().zip(&ends_at) {
        let end = *end as usize;
        if end < first || end > seconds.len() {
            return Err(ends.error(format!("{end} is out of order or beyond the {} spikes", seconds.len())));
        }
        spikes.node_id.extend(std::iter::repeat_n(*id, end - first));
        spikes.time_ms.extend(seconds[first..end].iter().map(|s| in_ms(*s, 1e3)));
        first = end;
    }
    if first != seconds.len() {
        return Err(ends.error(format!("ends at {first} of the {} spikes", seconds.len())));
    }
    Ok([(String::new(), spikes)].into())
}

/// NWB 1 as BMTK writes it: `/processing/TRIAL/spike_train/NODE/data`, ms unless it names another unit.
fn read_spike_train(h5: &Hdf5, trial: Option<&str>) -> Result<SpikeFile> {
    let trials = h5.groups("processing")?;
    let trial = match trial {
        Some(trial) => trial.to_owned(),
        None if trials.len() == 1 => trials[0].clone(),
        None => {
            let reason = format!(
                "holds {} trials ({}): name one as the input's 'trial'",
                trials.len(),
                trials.join(", ")
            );
            return Err(h5.error("processing", reason));
        }
    };
    let at = format!("processing/{trial}/spike_train");
    let mut spikes = Spikes { names_unit: true, ..Spikes::default() };
    for node in h5.groups(&at)? {
        let unnamed = |_| h5.error(&format!("{at}/{node}"), "must be named by a node id");
        let id = node.parse::<u64>().map_err(unnamed)?;
        let data = format!("{at}/{node}/data");
        let times = h5.column(&data)?;
        let factor = unit_of(h5, &data)?.map_or(Ok(1.0), |unit| factor_of(&times, &unit))?;
        spikes.node_id.extend(std::iter::repeat_n(id, times.len()));
        spikes.time_ms.extend(times.all_numbers()?.into_iter().map(|time| in_ms(time, factor)));
    }
    Ok([(String::new(), spikes)].into())
}

/// CSV separated by spaces, commas or tabs, with a header: `timestamps`, `node_ids` and, if there is one, `population`. Also
/// one row a node with its times in one field, separated by commas (`gid spike-times`).
fn read_csv(file: &Path, unit: Option<&str>) -> Result<SpikeFile> {
    let text = std::fs::read_to_string(file).map_err(Error::unreadable(file))?;
    let factor = match unit {
        None => 1.0,
        Some(unit) => ms_of(unit).ok_or_else(|| {
            Error::file(file, format!("its times are said to be in '{unit}', must be ms or s"))
        })?,
    };
    let header = text.lines().next().unwrap_or_default();
    let delimiter = [b' ', b',', b'\t'].into_iter().find(|d| header.contains(char::from(*d))).unwrap_or(b' ');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = reader.headers().map_err(|e| Error::file(file, e.to_string()))?.clone();
    let position = |names: &[&str]| {
        let missing = || {
            let shown = columns.iter().collect::<Vec<_>>().join(", ");
            Error::file(file, format!("has no column '{}' (its header: {shown})", names[0]))
        };
        columns.iter().position(|c| names.contains(&c)).ok_or_else(missing)
    };
    let times_at = position(&["timestamps", "spike_times", "spike-times", "times"])?;
    let ids_at = position(&["node_ids", "node_id", "gids", "gid"])?;
    let population_at = columns.iter().position(|c| c == "population" || c == "populations");
    let others = columns.iter().enumerate().find(|(at, name)| {
        // A table that pandas wrote has a first column without a name.
        ![Some(times_at), Some(ids_at), population_at].contains(&Some(*at)) && !name.is_empty()
    });
    if let Some((_, other)) = others {
        let reason =
            format!("has a column '{other}', which is not read: take it out, with what it tells apart");
        return Err(Error::file(file, reason));
    }
    let mut found = SpikeFile::new();
    for (ix, record) in reader.records().enumerate() {
        let record = record.map_err(|e| Error::file(file, e.to_string()))?;
        let field = |name: &str| format!("{name} in line {}", ix + 2);
        let id = record[ids_at].parse().map_err(|_| {
            Error::field(file, field("node_ids"), &record[ids_at], "must be an integer from 0")
        })?;
        let spikes =
            found.entry(population_at.map_or(String::new(), |at| record[at].to_owned())).or_default();
        spikes.names_unit = unit.is_some();
        for time in record[times_at].split(',').filter(|t| !t.is_empty()) {
            let time_ms: f64 = time.trim().parse().unwrap_or(f64::NAN);
            if !time_ms.is_finite() {
                return Err(Error::field(file, field("timestamps"), time, "must be a time in ms"));
            }
            spikes.node_id.push(id);
            spikes.time_ms.push(in_ms(time_ms, factor));
        }
    }
    Ok(found)
}

/// The time step in which a source must spike so that its spike has the time `time_ms`: a spike of step n is at the end of
/// that step, (n + 1) dt. A time between two steps moves to the later one, as NEST's `spike_generator` moves it. Times up to 0 come
/// before the first step: `None`.
pub fn step_of_spike(time_ms: f64, dt_ms: f64) -> Option<u32> {
    const TICS_PER_MS: f64 = 1e3;
    // NEST counts time in tics of 1 us, so that a time written in decimals lies on the step that it means.
    let tics_per_step = (dt_ms * TICS_PER_MS).round();
    let whole = (tics_per_step - dt_ms * TICS_PER_MS).abs() < 1e-6;
    let (step, end_ms) = if whole {
        let step = ((time_ms * TICS_PER_MS).trunc() / tics_per_step).floor();
        (step, step * tics_per_step / TICS_PER_MS)
    } else {
        let step = (time_ms / dt_ms).floor();
        (step, step * dt_ms)
    };
    let stamp = if end_ms < time_ms { step + 1.0 } else { step };
    (stamp >= 1.0).then(|| (stamp - 1.0).min(f64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_lies_at_the_end_of_its_step() {
        let cases =
            [(0.25, 0.25, Some(0)), (0.26, 0.25, Some(1)), (0.5, 0.25, Some(1)), (0.1, 0.25, Some(0))];
        for (time, dt, step) in cases {
            assert_eq!(step_of_spike(time, dt), step, "{time} ms at {dt} ms");
        }
        assert_eq!(step_of_spike(0.0, 0.25), None);
        assert_eq!(step_of_spike(-1.0, 0.25), None);
        for n in 1..20_000_u32 {
            // Times in decimals, as files hold them, and as sums of steps.
            for time in [f64::from(n) / 10.0, format!("{}.{}", n / 10, n % 10).parse().unwrap()] {
                assert_eq!(step_of_spike(time, 0.1), Some(n - 1), "{time}");
            }
        }
    }
}

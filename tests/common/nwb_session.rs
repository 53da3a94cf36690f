//! A recording session as an NWB file, every dataset of which a test can change or leave out.

#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use rust_hdf5::types::HBool;
use rust_hdf5::{H5File, H5Group};

/// Content of a dataset.
#[derive(Clone)]
pub(crate) enum Data {
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Texts(Vec<String>),
    /// As h5py and pynwb write booleans.
    Flags(Vec<bool>),
    /// Pairs, a row each.
    Pairs(Vec<[f64; 2]>),
}

/// Datasets by path.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) data: BTreeMap<String, Data>,
    pub(crate) attributes: Vec<(String, String, String)>,
}

pub(crate) const ELECTRODES: &str = "general/extracellular_ephys/electrodes";
pub(crate) const GRATINGS: &str = "intervals/drifting_gratings_presentations";
pub(crate) const GREY: &str = "intervals/spontaneous_presentations";
/// Units of a session.
pub(crate) const N_UNITS: usize = 12;
/// Sixteen gratings of 2 s, eight directions twice, from 10 s on; grey from 200 to 260 s.
pub(crate) const N_GRATINGS: usize = 16;
pub(crate) const EVOKED_HZ: f64 = 20.0;
pub(crate) const SPONTANEOUS_HZ: f64 = 2.0;

pub(crate) fn texts(all: impl IntoIterator<Item = impl ToString>) -> Data {
    Data::Texts(all.into_iter().map(|text| text.to_string()).collect())
}

/// Start of grating `k`, s.
pub(crate) fn start_s(k: usize) -> f64 {
    10.0 + 3.0 * k as f64
}

/// Spikes of unit `unit` at even intervals, none at an end, `n` a span.
pub(crate) fn even(unit: usize, [start, stop]: [f64; 2], n: usize) -> Vec<f64> {
    (0..n).map(|i| start + (stop - start) * (i as f64 + 0.5 + 1e-3 * unit as f64) / n as f64).collect()
}

impl Session {
    /// Twelve excitatory units of layer 4 that fire 20 Hz under gratings, 2 Hz under grey and nothing else.
    pub(crate) fn good(session_id: &str) -> Self {
        let mut session = Self { data: BTreeMap::new(), attributes: Vec::new() };
        session.set("general/session_id", texts([session_id]));
        session.set("identifier", texts([format!("file of {session_id}")]));
        let numbers = |f: &dyn Fn(usize) -> f64| Data::Numbers((0..N_GRATINGS).map(f).collect());
        session.set(&format!("{GRATINGS}/start_time"), numbers(&start_s));
        session.set(&format!("{GRATINGS}/stop_time"), numbers(&|k| start_s(k) + 2.0));
        session.set(&format!("{GRATINGS}/orientation"), numbers(&|k| 45.0 * (k % 8) as f64));
        session.set(&format!("{GRATINGS}/temporal_frequency"), numbers(&|_| 2.0));
        session.set(&format!("{GRATINGS}/contrast"), numbers(&|_| 0.8));
        session.set(&format!("{GREY}/start_time"), Data::Numbers(vec![200.0]));
        session.set(&format!("{GREY}/stop_time"), Data::Numbers(vec![260.0]));
        session.set(
            &format!("{ELECTRODES}/id"),
            Data::Integers((0..N_UNITS as i64).map(|k| 1000 + k).collect()),
        );
        session.set(&format!("{ELECTRODES}/location"), texts(["VISp4"; N_UNITS]));
        session.set(&format!("{ELECTRODES}/group_name"), texts(["probeA"; N_UNITS]));
        session.set("units/id", Data::Integers((0..N_UNITS as i64).collect()));
        session.set("units/peak_channel_id", Data::Integers((0..N_UNITS as i64).map(|k| 1000 + k).collect()));
        session.set("units/waveform_duration", Data::Numbers(vec![0.6; N_UNITS]));
        session.set("units/quality", texts(["good"; N_UNITS]));
        session.spikes(|unit| {
            let evoked = (0..N_GRATINGS).flat_map(|k| even(unit, [start_s(k), start_s(k) + 2.0], 40));
            evoked.chain(even(unit, [200.0, 260.0], 120)).collect()
        });
        session
    }

    pub(crate) fn set(&mut self, path: &str, data: Data) -> &mut Self {
        self.data.insert(path.to_owned(), data);
        self
    }

    pub(crate) fn remove(&mut self, path: &str) -> &mut Self {
        assert!(self.data.remove(path).is_some(), "{path} is not there");
        self
    }

    /// Gives each unit its spikes.
    pub(crate) fn spikes(&mut self, of_unit: impl Fn(usize) -> Vec<f64>) -> &mut Self {
        let trains: Vec<Vec<f64>> = (0..N_UNITS).map(of_unit).collect();
        let ends = trains.iter().scan(0, |end, train| {
            *end += train.len() as i64;
            Some(*end)
        });
        self.set("units/spike_times_index", Data::Integers(ends.collect()));
        self.set("units/spike_times", Data::Numbers(trains.concat()))
    }

    /// The numbers of a dataset, to change them.
    pub(crate) fn numbers(&mut self, path: &str) -> &mut Vec<f64> {
        match self.data.get_mut(path) {
            Some(Data::Numbers(numbers)) => numbers,
            _ => panic!("{path} holds no numbers"),
        }
    }

    pub(crate) fn write(&self, file: &Path) -> String {
        let h5 = H5File::create(file).unwrap();
        let mut groups: BTreeMap<String, H5Group> = BTreeMap::new();
        for (path, data) in &self.data {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let mut at = String::new();
            for part in folder.split('/').filter(|part| !part.is_empty()) {
                let parent = at.clone();
                at = format!("{at}/{part}");
                if !groups.contains_key(&at) {
                    let group = match groups.get(&parent) {
                        None => h5.create_group(part).unwrap(),
                        Some(parent) => parent.create_group(part).unwrap(),
                    };
                    groups.insert(at.clone(), group);
                }
            }
            let root = h5.root_group();
            let group = groups.get(&at).unwrap_or(&root);
            let dataset = match data {
                Data::Integers(values) => {
                    let dataset = group.new_dataset::<i64>().shape([values.len()]).create(name).unwrap();
                    dataset.write_raw(values).unwrap();
                    dataset
                }
                Data::Numbers(values) => {
                    let dataset = group.new_dataset::<f64>().shape([values.len()]).create(name).unwrap();
                    dataset.write_raw(values).unwrap();
                    dataset
                }
                Data::Pairs(values) => {
                    let dataset = group.new_dataset::<f64>().shape([values.len(), 2]).create(name).unwrap();
                    dataset.write_raw(values.as_flattened()).unwrap();
                    dataset
                }
                Data::Flags(values) => {
                    let values: Vec<HBool> = values.iter().map(|flag| HBool::from(*flag)).collect();
                    let dataset = group.new_dataset::<HBool>().shape([values.len()]).create(name).unwrap();
                    dataset.write_raw(&values).unwrap();
                    dataset
                }
                Data::Texts(values) => {
                    let values: Vec<&str> = values.iter().map(String::as_str).collect();
                    group.write_vlen_strings(name, &values).unwrap()
                }
            };
            for (of, attribute, text) in &self.attributes {
                if of == path {
                    let attr =
                        dataset.new_attr::<rust_hdf5::types::VarLenUnicode>().shape(()).create(attribute);
                    attr.unwrap().write_string(text).unwrap();
                }
            }
        }
        drop(groups);
        h5.close().unwrap();
        file.to_str().unwrap().to_owned()
    }
}

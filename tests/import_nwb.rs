//! NWB files as laboratories write them: what changes a rate is obeyed or said, what cannot be is refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "import_nwb/gratings.rs"]
mod gratings;
#[path = "common/nwb_session.rs"]
mod nwb_session;

use std::fs;
use std::path::{Path, PathBuf};

use nwb_session::{
    Data, ELECTRODES, EVOKED_HZ, GRATINGS, GREY, N_GRATINGS, N_UNITS, SPONTANEOUS_HZ, Session, even, start_s,
    texts,
};
use simrun::Result;
use simrun::import::neuropixels::{Report, import};

/// A folder for files and imports.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn import_with(
        &self,
        sessions: &[&Session],
        location: Option<&str>,
        layers: Option<&Path>,
    ) -> Result<Report> {
        let files: Vec<PathBuf> = (0..sessions.len()).map(|k| self.path(&format!("s{k}.nwb"))).collect();
        sessions.iter().zip(&files).for_each(|(session, file)| drop(session.write(file)));
        let _ = fs::remove_dir_all(self.path("out"));
        import(&files, location, layers, None, &self.path("out"))
    }

    fn import(&self, session: &Session) -> Result<Report> {
        self.import_with(&[session], None, None)
    }

    /// Median of a quantity of a cell type over the training sessions, Hz.
    fn median(&self, cell_type: &str, quantity: &str) -> Option<f64> {
        let text = fs::read_to_string(self.path("out/neuropixels_targets.csv")).unwrap();
        let header = text.lines().find(|line| line.starts_with("cell_type,")).unwrap();
        let column = header.split(',').position(|name| name == "q050").unwrap();
        let row = text.lines().find(|line| line.starts_with(&format!("{cell_type},{quantity},train")))?;
        Some(row.split(',').nth(column).unwrap().parse().unwrap())
    }
}

fn left_out(report: &Report, reason: &str) -> usize {
    report.left_out.iter().find(|(own, _)| own == reason).map_or(0, |(_, n)| *n)
}

#[track_caller]
fn refused(result: Result<Report>, words: &[&str]) {
    let error = result.expect_err("it is read");
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2, "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{words:?} are not all in: {message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_session_gives_the_rates_it_was_written_with() {
    let place = Place::new();
    let report = place.import(&Session::good("1")).unwrap();
    assert_eq!((report.n_units, report.n_sessions, report.notes.len()), (N_UNITS, 1, 0), "{report:?}");
    assert!(report.left_out.is_empty(), "{report:?}");
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
    assert_eq!(place.median("L4_Exc", "spontaneous_rate_hz"), Some(SPONTANEOUS_HZ));
}

#[test]
fn units_lie_where_their_electrodes_do() {
    let place = Place::new();
    let mut session = Session::good("1");
    // NWB's own link: rows of the table of electrodes, one or several a unit.
    let location = |k: usize| if k < 10 { "VISp4" } else { "LGd" };
    session.set(&format!("{ELECTRODES}/location"), texts((0..N_UNITS).map(location)));
    session.remove("units/peak_channel_id");
    session.set("units/electrodes", Data::Integers((0..N_UNITS as i64).collect()));
    let ends = |n: i64| Data::Integers((1..=N_UNITS as i64).map(|k| n * k).collect());
    session.set("units/electrodes_index", ends(1));
    let report = place.import(&session).unwrap();
    assert_eq!((report.n_units, left_out(&report, "in 'LGd'")), (10, 2), "{report:?}");
    // Two electrodes a unit, each the next one too: unit 9 lies in both places.
    let both = (0..N_UNITS as i64).flat_map(|k| [k, (k + 1).min(N_UNITS as i64 - 1)]);
    session.set("units/electrodes", Data::Integers(both.collect())).set("units/electrodes_index", ends(2));
    let report = place.import_with(&[&session], Some("LGd"), None);
    refused(
        report,
        &[
            "no unit of a known cell type",
            "9 in 'VISp4'",
            "1 on electrodes of several places",
            "2 in 'LGd', which names no layer",
        ],
    );
    session.set("units/electrodes", Data::Integers(vec![99; 2 * N_UNITS]));
    refused(place.import(&session), &["units/electrodes", "99", "12 electrodes"]);
    // Without a link the file does not say: all units, with a word, but not where an area is asked for.
    session.remove("units/electrodes").remove("units/electrodes_index");
    session.set("units/cell_type", texts(["L4 Exc"; N_UNITS]));
    let report = place.import(&session).unwrap();
    assert!(report.n_units == N_UNITS && report.notes[0].contains("units are of any area"), "{report:?}");
    refused(
        place.import_with(&[&session], Some("VISl"), None),
        &["does not say where units lie", "--location VISl"],
    );
    // An area whose name begins alike is another one, even where cell types are told.
    let mut session = Session::good("1");
    let location = |k: usize| ["VISpm4", "VISpl2/3", "VISp", "VISp4"][(k / 3).min(3)];
    session.set(&format!("{ELECTRODES}/location"), texts((0..N_UNITS).map(location)));
    session.set("units/cell_type", texts(["L4 Exc"; N_UNITS]));
    let report = place.import(&session).unwrap();
    assert_eq!(
        (report.n_units, left_out(&report, "in 'VISpm4'"), left_out(&report, "in 'VISpl2/3'")),
        (6, 3, 3)
    );
}

#[test]
fn whole_numbers_may_be_floats_and_units_without_one_are_left_out() {
    let place = Place::new();
    let mut session = Session::good("1");
    let mut peaks: Vec<f64> = (0..N_UNITS).map(|k| 1000.0 + k as f64).collect();
    peaks[3] = f64::NAN;
    session.set("units/peak_channel_id", Data::Numbers(peaks.clone()));
    session.set("units/id", Data::Numbers((0..N_UNITS).map(|k| k as f64).collect()));
    let report = place.import(&session).unwrap();
    assert_eq!((report.n_units, left_out(&report, "without an electrode")), (N_UNITS - 1, 1), "{report:?}");
    peaks[3] = 1003.5;
    session.set("units/peak_channel_id", Data::Numbers(peaks));
    refused(place.import(&session), &["units/peak_channel_id", "entry 3 is 1003.5", "no whole number"]);
}

#[test]
fn what_was_not_recorded_is_no_silence() {
    let place = Place::new();
    let silent = |unit: usize| {
        let evoked = (1..N_GRATINGS).flat_map(|k| even(unit, [start_s(k), start_s(k) + 2.0], 40));
        evoked.chain(even(unit, [230.0, 260.0], 60)).collect()
    };
    let mut session = Session::good("1");
    session.spikes(silent);
    // The probe sent nothing in the first grating and half of the grey.
    session.set("intervals/invalid_times/start_time", Data::Numbers(vec![11.5, 200.0]));
    session.set("intervals/invalid_times/stop_time", Data::Numbers(vec![12.5, 230.0]));
    let report = place.import(&session).unwrap();
    assert_eq!(left_out(&report, "presentations (grey: parts of them) in invalid times"), 2, "{report:?}");
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
    assert_eq!(place.median("L4_Exc", "spontaneous_rate_hz"), Some(SPONTANEOUS_HZ));
    // Tags name the probe that it was; those of another probe are of no account.
    for (tag, spontaneous_hz) in [("probeA", 2.0), ("all_probes", 2.0), ("probeB", 1.0)] {
        session.set("intervals/invalid_times/tags", texts(["EcephysProbe", tag, "EcephysProbe", tag]));
        session.set("intervals/invalid_times/tags_index", Data::Integers(vec![2, 4]));
        session.set(
            &format!("{ELECTRODES}/group_name"),
            texts((0..N_UNITS + 1).map(|k| if k < N_UNITS { "probeA" } else { "probeB" })),
        );
        session.set(
            &format!("{ELECTRODES}/id"),
            Data::Integers((0..=N_UNITS as i64).map(|k| 1000 + k).collect()),
        );
        session.set(&format!("{ELECTRODES}/location"), texts(["VISp4"; N_UNITS + 1]));
        let report = place.import(&session).unwrap();
        assert_eq!(place.median("L4_Exc", "spontaneous_rate_hz"), Some(spontaneous_hz), "{tag} {report:?}");
        assert_eq!(
            report.notes.iter().any(|note| note.contains("12 units miss presentations")),
            tag == "probeA"
        );
    }
    // The same by each unit's own observation intervals; one unit was observed never.
    let mut session = Session::good("1");
    session.spikes(silent);
    let spans = (0..N_UNITS - 1).flat_map(|_| [[12.6, 199.0], [230.0, 300.0]]);
    session.set("units/obs_intervals", Data::Pairs(spans.collect()));
    let ends = (1..=N_UNITS as i64).map(|k| 2 * k.min(N_UNITS as i64 - 1));
    session.set("units/obs_intervals_index", Data::Integers(ends.collect()));
    let report = place.import(&session).unwrap();
    assert_eq!(
        (report.n_units, left_out(&report, "not recorded during any presentation")),
        (N_UNITS - 1, 1),
        "{report:?}"
    );
    assert!(report.notes[0].contains("12 units miss presentations"), "{report:?}");
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
    assert_eq!(place.median("L4_Exc", "spontaneous_rate_hz"), Some(SPONTANEOUS_HZ));
}

#[test]
fn rows_without_a_time_are_counted_and_other_units_of_angle_refused() {
    let place = Place::new();
    let mut session = Session::good("1");
    session.numbers(&format!("{GRATINGS}/stop_time"))[1] = f64::NAN;
    session.numbers(&format!("{GRATINGS}/start_time"))[2] = f64::NAN;
    session.set(&format!("{GREY}/start_time"), Data::Numbers(vec![200.0, 300.0]));
    session.set(&format!("{GREY}/stop_time"), Data::Numbers(vec![260.0, f64::NAN]));
    let report = place.import(&session).unwrap();
    let n: usize = report
        .left_out
        .iter()
        .filter(|(r, _)| r == "presentations without start or stop time")
        .map(|(_, n)| n)
        .sum();
    assert_eq!((n, place.median("L4_Exc", "spontaneous_rate_hz")), (3, Some(SPONTANEOUS_HZ)), "{report:?}");
    let mut session = Session::good("1");
    session.numbers(&format!("{GRATINGS}/stop_time"))[1] = 1.0;
    refused(place.import(&session), &["row 1", "must end after its start"]);
    // A column that the gratings differ in and that is not read is named; one that they share is not.
    let mut session = Session::good("1");
    session
        .set(&format!("{GRATINGS}/laser"), Data::Numbers((0..N_GRATINGS).map(|k| (k % 2) as f64).collect()));
    session.set(&format!("{GRATINGS}/mask"), texts(["circle"; N_GRATINGS]));
    let report = place.import(&session).unwrap();
    assert!(report.notes[0].contains("they vary: laser") && !report.notes[0].contains("mask"), "{report:?}");
    let mut session = Session::good("1");
    session.numbers(&format!("{GRATINGS}/orientation")).iter_mut().for_each(|d| *d = d.to_radians());
    refused(place.import(&session), &["orientation", "deg, not rad"]);
    let mut session = Session::good("1");
    session.numbers("units/waveform_duration").iter_mut().for_each(|d| *d *= 1e-3);
    refused(place.import(&session), &["units/waveform_duration", "ms from trough to peak"]);
}

#[test]
fn times_that_cannot_be_seconds_are_refused() {
    let place = Place::new();
    for (factor, words) in [(1e3, "cannot be in seconds"), (3e4, "are times in ms, or samples?")] {
        let mut session = Session::good("1");
        session.numbers("units/spike_times").iter_mut().for_each(|t| *t *= factor);
        refused(place.import(&session), &["units/spike_times", words]);
    }
    let mut session = Session::good("1");
    for table in [GRATINGS, GREY] {
        for column in ["start_time", "stop_time"] {
            session.numbers(&format!("{table}/{column}")).iter_mut().for_each(|t| *t *= 1e3);
        }
    }
    refused(
        place.import(&session),
        &["units/spike_times", "100 % of the spikes", "lie outside all presentations"],
    );
    let mut session = Session::good("1");
    session.attributes.push(("units/spike_times".to_owned(), "unit".to_owned(), "milliseconds".to_owned()));
    refused(place.import(&session), &["units/spike_times", "'milliseconds'", "seconds"]);
    // A long recording of which little was stimulated: a word, and the rates stay.
    let mut session = Session::good("1");
    session.spikes(|unit| {
        let evoked = (0..N_GRATINGS).flat_map(|k| even(unit, [start_s(k), start_s(k) + 2.0], 40));
        evoked.chain(even(unit, [200.0, 260.0], 120)).chain(even(unit, [300.0, 10_000.0], 20_000)).collect()
    });
    let report = place.import(&session).unwrap();
    assert!(report.notes[0].contains("% of the spikes"), "{report:?}");
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
}

#[test]
fn layers_come_from_a_table_where_areas_have_none() {
    let place = Place::new();
    let mut session = Session::good("1");
    session.set(&format!("{ELECTRODES}/location"), texts(["VISp"; N_UNITS]));
    refused(
        place.import(&session),
        &["12 in 'VISp', which names no layer", "units/cell_type", "--layers", "unit_id"],
    );
    let table = place.path("layers.csv");
    let write = |text: String| fs::write(&table, text).unwrap();
    let rows = |f: &dyn Fn(usize) -> String| (0..N_UNITS).map(f).collect::<String>();
    let import = |sessions: &[&Session]| place.import_with(sessions, None, Some(&table));
    for names in [["4", "L4", "layer 4"], ["4", "4", "4"]] {
        write(format!("unit_id,layer\n{}", rows(&|k| format!("{k},{}\n", names[k % 3]))));
        assert_eq!(import(&[&session]).unwrap().n_units, N_UNITS);
        assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
    }
    write(format!("\u{feff}ecephys_unit_id,session_id,cell_type\n{}", rows(&|k| format!("{k},1,L5 Exc\n"))));
    assert_eq!(import(&[&session]).unwrap().n_units, N_UNITS);
    assert_eq!(place.median("L5_IT", "evoked_rate_hz"), Some(EVOKED_HZ));
    // As pandas writes a column with gaps, and Allen's own table (0: no cortex, 2: layer 2/3).
    write(format!("unit_id,session_id,layer\n{}", rows(&|k| format!("{k}.0,1.0,4.0\n"))));
    assert_eq!(import(&[&session]).unwrap().n_units, N_UNITS);
    write(format!(
        "ecephys_unit_id,cortical_depth,cortical_layer\n{}",
        rows(&|k| format!("{k},0.2,{}\n", if k == 0 { 0 } else { 2 }))
    ));
    assert_eq!(import(&[&session]).unwrap().n_units, N_UNITS - 1);
    assert_eq!(place.median("L2/3_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
    write(format!("unit_id,layer\n{}", rows(&|k| format!("{k},VISp4\n"))));
    refused(import(&[&session]), &["layers.csv", "line 2, layer = VISp4", "2/3"]);
    // A table of other sessions: said, and no advice to give the table that was given.
    write(format!("unit_id,session_id,layer\n{}", rows(&|k| format!("{k},7,4\n"))));
    let message = import(&[&session]).unwrap_err().to_string();
    assert!(message.contains("the table of layers has no row of session '1'"), "{message}");
    assert!(!message.contains("--layers"), "{message}");
    // Two units that the table does not have; one whose layer has no cell types.
    write(format!(
        "unit_id,layer\n{}",
        rows(&|k| format!("{},{}\n", if k < 2 { 100 + k } else { k }, if k == 5 { "1" } else { "2/3" }))
    ));
    let report = import(&[&session]).unwrap();
    let nowhere = "in 'VISp', which names no layer of 2/3 to 6, and is not in the table of layers";
    let in_layer_1 = "in 'VISp', which names no layer of 2/3 to 6, nor does the table of layers";
    assert_eq!(
        (report.n_units, left_out(&report, nowhere), left_out(&report, in_layer_1)),
        (N_UNITS - 3, 2, 1),
        "{report:?}"
    );
    // Ids that two sessions share need the session.
    let mut other = Session::good("2");
    other.set(&format!("{ELECTRODES}/location"), texts(["VISp"; N_UNITS]));
    refused(import(&[&session, &other]), &["unit 0 is in session '2' and in '1'", "session_id"]);
    write("unit_id,layer\n1,4\n1,5\n".to_owned());
    refused(import(&[&session]), &["layers.csv", "line 3", "session_id"]);
    write("unit,layer\n1,4\n".to_owned());
    refused(import(&[&session]), &["layers.csv", "no column unit_id", "unit, layer"]);
    write("unit_id,depth\n1,4\n".to_owned());
    refused(import(&[&session]), &["layers.csv", "no column layer and none cell_type"]);
}

#[test]
fn probes_of_one_session_are_put_together_and_no_unit_counts_twice() {
    let place = Place::new();
    let first = Session::good("1");
    let mut second = Session::good("1");
    second.set("identifier", texts(["probe B"]));
    second.spikes(|unit| {
        let evoked = (0..N_GRATINGS).flat_map(|k| even(unit + 50, [start_s(k), start_s(k) + 2.0], 40));
        evoked.chain(even(unit + 50, [200.0, 260.0], 120)).collect()
    });
    let report = place.import_with(&[&first, &second], None, None).unwrap();
    assert_eq!((report.n_units, report.n_sessions), (2 * N_UNITS, 1), "{report:?}");
    // The same file, and one more export of the same units.
    let mut again = Session::good("1");
    again.set("identifier", texts(["exported again"]));
    refused(
        place.import_with(&[&first, &again], None, None),
        &["s1.nwb", "12 units of session '1'", "before", "s0.nwb"],
    );
    // Tables of units: by their ids, where they have some.
    let header = "session_id,cell_type,OSI,DSI,max_mean_rate(Hz),Ave_Rate(Hz),Spont_Rate(Hz)";
    let table = |name: &str, text: String| {
        fs::write(place.path(name), text).unwrap();
        place.path(name)
    };
    let rows =
        |from: usize| (0..12).map(|k| format!("{},7,L4 Exc,NA,,4,{k},nan\n", from + k)).collect::<String>();
    let a = table("a.csv", format!("unit_id,{header}\n{}", rows(0)));
    let b = table("b.csv", format!("unit_id,{header}\n{}", rows(50)));
    let c = table("c.csv", format!("unit_id,{header}\n{}", rows(11)));
    let import = |files: &[&PathBuf]| {
        let _ = fs::remove_dir_all(place.path("out"));
        let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
        import(&files, None, None, None, &place.path("out"))
    };
    assert_eq!(import(&[&a, &b]).unwrap().n_units, 24);
    refused(import(&[&a, &c]), &["c.csv", "1 units of session '7'", "a.csv"]);
    let without = table("d.csv", format!("{header}\n7,L4 Exc,,,4,2,1\n"));
    refused(import(&[&a, &without]), &["d.csv", "session '7'", "before"]);
    // A table of all areas, as Allen's own is, and of all qualities.
    let of_area = |(area, quality): (&str, &str)| {
        (0..12).map(|k| format!("7,L4 Exc,,,4,{k},2,{area},{quality}\n")).collect::<String>()
    };
    let text = [("VISp", "good"), ("VISpm", "good"), ("VISp", "noise")].map(of_area).concat();
    let areas = table("f.csv", format!("{header},ecephys_structure_acronym,quality\n{text}"));
    let report = import(&[&areas]).unwrap();
    assert_eq!((report.n_units, left_out(&report, "of quality 'noise'")), (24, 12), "{report:?}");
    assert!(report.notes[0].contains("all areas are used (VISp 12, VISpm 12)"), "{report:?}");
    // The same of one area that is not V1; of V1 by layers there is nothing to say.
    let text = format!("{header},structure\n{}", of_area(("LGd", "")).replace(",LGd,", ",LGd"));
    let report = import(&[&table("g.csv", text.clone())]).unwrap();
    assert!(report.notes[0].contains("all areas are used (LGd 12); --location"), "{report:?}");
    let report = import(&[&table("h.csv", text.replace("LGd", "VISp4"))]).unwrap();
    assert_eq!((report.n_units, report.notes.len()), (12, 0), "{report:?}");
    let in_visp = |file: &PathBuf| {
        let _ = fs::remove_dir_all(place.path("out"));
        simrun::import::neuropixels::import(
            std::slice::from_ref(file),
            Some("VISp"),
            None,
            None,
            &place.path("out"),
        )
    };
    let report = in_visp(&areas).unwrap();
    assert_eq!((report.n_units, left_out(&report, "in 'VISpm'")), (12, 12), "{report:?}");
    refused(in_visp(&a), &["a.csv", "--location VISp cannot be obeyed"]);
    let twice = table("e.csv", format!("unit_id,{header}\n{}{}", rows(0), rows(11)));
    refused(import(&[&twice]), &["e.csv", "line 14", "id of a unit = 11"]);
}

#[test]
fn units_are_judged_by_whatever_column_judges_them() {
    let place = Place::new();
    let judged = |k: usize| ["Good", "mua", "noise", "good"][(k / 2).min(3)];
    for column in ["quality", "KSLabel"] {
        let mut session = Session::good("1");
        session.remove("units/quality");
        session.set(&format!("units/{column}"), texts((0..N_UNITS).map(judged)));
        let report = place.import(&session).unwrap();
        assert_eq!((report.n_units, left_out(&report, "of quality 'mua'")), (8, 2), "{column} {report:?}");
    }
    // The labels of the pipeline of the Allen Institute for Neural Dynamics, beside Kilosort's own, which are less strict.
    let mut session = Session::good("1");
    session.remove("units/quality");
    let decoded = |k: usize| ["sua", "sua", "mua", "noise"][(k / 3).min(3)];
    session.set("units/decoder_label", texts((0..N_UNITS).map(decoded)));
    session.set("units/KSLabel", texts(["good"; N_UNITS]));
    session.set("units/default_qc", Data::Flags((0..N_UNITS).map(|k| k > 1).collect()));
    let report = place.import(&session).unwrap();
    assert_eq!(
        (report.n_units, left_out(&report, "of quality 'mua'"), left_out(&report, "of quality 'noise'")),
        (6, 3, 3),
        "{report:?}"
    );
    assert_eq!(
        report.notes,
        [
            "session 1: units are judged by the column 'decoder_label', not by 'KSLabel'",
            "session 1: 2 of the units used are false in 'default_qc'"
        ]
    );
    // None is good: none is used.
    session.set("units/decoder_label", texts(["mua"; N_UNITS]));
    refused(place.import(&session), &["no unit of a known cell type", "12 of quality 'mua'"]);
    // Not judged yet.
    session.remove("units/KSLabel").remove("units/default_qc");
    session.set("units/decoder_label", texts(["unsorted"; N_UNITS]));
    let report = place.import(&session).unwrap();
    assert!(
        report.n_units == N_UNITS && report.notes[0].contains("no column judges the units"),
        "{report:?}"
    );
}

#[test]
fn what_the_allen_sdk_leaves_out_by_default_is_said() {
    let place = Place::new();
    let mut session = Session::good("1");
    let metric = |bad: std::ops::Range<usize>, value: f64, good: f64| {
        Data::Numbers((0..N_UNITS).map(|k| if bad.contains(&k) { value } else { good }).collect())
    };
    // At a limit a unit is kept; one without a value is not.
    session.set("units/amplitude_cutoff", metric(0..2, f64::NAN, 0.1));
    session.set("units/presence_ratio", metric(1..4, 0.94, 0.95));
    session.set("units/isi_violations", metric(0..0, 0.0, 0.5));
    assert_eq!(place.import(&session).unwrap().n_units, N_UNITS);
    session.set(&format!("{ELECTRODES}/valid_data"), Data::Flags((0..N_UNITS).map(|k| k != 11).collect()));
    // A unit that is left out for itself does not count.
    session.set("units/quality", texts((0..N_UNITS).map(|k| if k == 3 { "noise" } else { "good" })));
    let report = place.import(&session).unwrap();
    assert_eq!(report.n_units, N_UNITS - 1, "{report:?}");
    assert_eq!(
        report.notes,
        [
            "session 1: 4 of the units used are not in the AllenSDK's session.units by its default limits: 2 with amplitude_cutoff above 0.1 or none, 2 with presence_ratio below 0.95 or none, 1 on electrodes whose valid_data is false"
        ]
    );
}

#[test]
fn ids_that_count_anew_on_each_probe_are_told_apart_by_the_electrodes() {
    let place = Place::new();
    let mut session = Session::good("1");
    let half = N_UNITS / 2;
    // Two probes with electrodes 0 to 5 each, the first in the thalamus.
    let ids = Data::Integers((0..N_UNITS).map(|k| (k % half) as i64).collect());
    session.set(&format!("{ELECTRODES}/id"), ids.clone()).set("units/peak_channel_id", ids);
    let location = |k: usize| if k < half { "LGd" } else { "VISp4" };
    session.set(&format!("{ELECTRODES}/location"), texts((0..N_UNITS).map(location)));
    refused(
        place.import(&session),
        &["units/peak_channel_id", "electrode 0, an id of 2 electrodes", "units/electrodes"],
    );
    // Each unit has all electrodes of its probe, of which the peak is one.
    let probe = |k: usize| (0..half).map(move |e| (e + k / half * half) as i64);
    session.set("units/electrodes", Data::Integers((0..N_UNITS).flat_map(probe).collect()));
    let ends = (1..=N_UNITS).map(|k| (k * half) as i64);
    session.set("units/electrodes_index", Data::Integers(ends.collect()));
    let report = place.import(&session).unwrap();
    assert_eq!((report.n_units, left_out(&report, "in 'LGd'")), (half, half), "{report:?}");
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), None, "six units are too few for a target");
}

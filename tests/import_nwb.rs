//! NWB files as laboratories write them: what changes a rate is obeyed or said, what cannot be is refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

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
fn gratings_are_of_one_contrast_and_grey_ones_are_none() {
    let place = Place::new();
    // The units fire at gratings 5 to 15 alone.
    let from_5 = |unit: usize| -> Vec<f64> {
        let evoked = (5..N_GRATINGS).flat_map(|k| even(unit, [start_s(k), start_s(k) + 2.0], 40));
        evoked.chain(even(unit, [200.0, 260.0], 120)).collect()
    };
    for (first, others, reason) in [
        (0.0, 0.8, "presentations of contrast 0, a grey screen"),
        (0.1, 0.8, "presentations of another contrast than 0.8"),
        (20.0, 80.0, "presentations of another contrast than 0.8"),
        (f64::NAN, 0.8, "presentations without a contrast"),
    ] {
        let mut session = Session::good("1");
        session.spikes(from_5);
        let contrasts = session.numbers(&format!("{GRATINGS}/contrast"));
        contrasts.fill(others);
        contrasts[..5].fill(first);
        let report = place.import(&session).unwrap();
        assert_eq!(left_out(&report, reason), 5, "{report:?}");
        assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ), "{reason}");
        // Text, as Allen's files have it.
        let as_text = |c: &f64| if c.is_nan() { "null".to_owned() } else { c.to_string() };
        let contrasts: Vec<String> =
            session.numbers(&format!("{GRATINGS}/contrast")).iter().map(as_text).collect();
        session.set(&format!("{GRATINGS}/contrast"), texts(contrasts));
        assert_eq!(left_out(&place.import(&session).unwrap(), reason), 5);
    }
    let mut weaker = Session::good("2");
    weaker.numbers(&format!("{GRATINGS}/contrast")).fill(0.4);
    let report = place.import_with(&[&Session::good("1"), &weaker], None, None).unwrap();
    assert!(report.notes[0].contains("different contrasts: 0.8, 0.4"), "{report:?}");
    let mut session = Session::good("1");
    session.numbers(&format!("{GRATINGS}/contrast"))[2] = -0.1;
    refused(place.import(&session), &["contrast", "row 2 is -0.1"]);
    session.remove(&format!("{GRATINGS}/contrast"));
    assert_eq!(place.import(&session).unwrap().n_units, N_UNITS);
}

#[test]
fn presentations_that_overlap_count_for_nobody() {
    let place = Place::new();
    let of_grey = "presentations of grey, where something else is shown (parts of them)";
    // Grey from the beginning to the end: what is between the gratings, and the 120 spikes of its last 60 s.
    let mut session = Session::good("1");
    session.numbers(&format!("{GREY}/start_time"))[0] = 0.0;
    let report = place.import(&session).unwrap();
    let rate_hz = 120.0 / (260.0 - 2.0 * N_GRATINGS as f64);
    assert_eq!(left_out(&report, of_grey), 1, "{report:?}");
    assert!((place.median("L4_Exc", "spontaneous_rate_hz").unwrap() - rate_hz).abs() < 1e-5);
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
    // Another stimulus in the second half of the grey.
    let mut session = Session::good("1");
    session.set("intervals/natural_movie_one_presentations/start_time", Data::Numbers(vec![230.0]));
    session.set("intervals/natural_movie_one_presentations/stop_time", Data::Numbers(vec![260.0]));
    assert_eq!(left_out(&place.import(&session).unwrap(), of_grey), 1);
    assert_eq!(place.median("L4_Exc", "spontaneous_rate_hz"), Some(SPONTANEOUS_HZ));
    // A grating that goes on into the next one: nobody knows whose the spikes are. Frames that jitter are no matter.
    for (late_s, n) in [(1.0, 2), (0.03, 0)] {
        let mut session = Session::good("1");
        session.numbers(&format!("{GRATINGS}/stop_time"))[4] = start_s(5) + late_s;
        let report = place.import(&session).unwrap();
        assert_eq!(left_out(&report, "presentations that others overlap"), n, "{report:?}");
    }
    let mut session = Session::good("1");
    session.numbers(&format!("{GRATINGS}/start_time"))[7] = start_s(6);
    session.numbers(&format!("{GRATINGS}/stop_time"))[7] = start_s(6) + 2.0;
    let report = place.import(&session).unwrap();
    assert_eq!(left_out(&report, "presentations that others overlap"), 2, "{report:?}");
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
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
    // Two units that the table does not have; one whose layer has no cell types.
    write(format!(
        "unit_id,layer\n{}",
        rows(&|k| format!("{},{}\n", if k < 2 { 100 + k } else { k }, if k == 5 { "1" } else { "2/3" }))
    ));
    let report = import(&[&session]).unwrap();
    assert_eq!((report.n_units, report.left_out[0].1), (N_UNITS - 3, 3), "{report:?}");
    assert!(report.left_out[0].0.contains("not in the table of layers"), "{report:?}");
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
    assert!(report.notes[0].contains("several areas are used (VISp 12, VISpm 12)"), "{report:?}");
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
}

//! Presentations: what they are of, what they share, and which count.

use super::nwb_session::{
    Data, EVOKED_HZ, GRATINGS, GREY, N_GRATINGS, N_UNITS, SPONTANEOUS_HZ, Session, even, start_s, texts,
};
use super::{Place, left_out, refused};

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
fn gratings_without_a_spatial_frequency_are_of_one() {
    let place = Place::new();
    // 40 spikes or 20 in the two presentations of a direction, by turns: the mean of each is 15 Hz.
    let of_turn = |k: usize| if (k / 8 + k).is_multiple_of(2) { 40 } else { 20 };
    let mut session = Session::good("1");
    session.spikes(|unit| {
        let evoked = (0..N_GRATINGS).flat_map(|k| even(unit, [start_s(k), start_s(k) + 2.0], of_turn(k)));
        evoked.chain(even(unit, [200.0, 260.0], 120)).collect()
    });
    for column in [None, Some(texts(["null"; N_GRATINGS])), Some(Data::Numbers(vec![f64::NAN; N_GRATINGS]))] {
        if let Some(column) = column {
            session.set(&format!("{GRATINGS}/spatial_frequency"), column);
        }
        place.import(&session).unwrap();
        assert_eq!(place.median("L4_Exc", "max_rate_hz"), Some(15.0));
        assert!(place.median("L4_Exc", "osi").is_some_and(|osi| osi < 1e-9));
    }
}

#[test]
fn gratings_of_several_tables_are_named_with_what_they_differ_in() {
    let place = Place::new();
    let mut session = Session::good("1");
    let windowed = "intervals/drifting_gratings_windowed_presentations";
    for column in ["start_time", "stop_time", "orientation", "temporal_frequency", "contrast"] {
        let mut numbers = session.numbers(&format!("{GRATINGS}/{column}")).clone();
        if column.ends_with("_time") {
            numbers.iter_mut().for_each(|t| *t += 60.0);
        }
        session.set(&format!("{windowed}/{column}"), Data::Numbers(numbers));
    }
    let sizes = |size: f64| Data::Pairs(vec![[size; 2]; N_GRATINGS]);
    session.set(&format!("{GRATINGS}/size"), sizes(250.0)).set(&format!("{windowed}/size"), sizes(250.0));
    // The same number as a number and as a text.
    session.set(&format!("{GRATINGS}/mask_deg"), Data::Numbers(vec![5.0; N_GRATINGS]));
    session.set(&format!("{windowed}/mask_deg"), texts(["5.0"; N_GRATINGS]));
    let tables =
        format!("session 1: gratings of several tables count as alike: '{GRATINGS}' (16), '{windowed}' (16)");
    assert_eq!(place.import(&session).unwrap().notes, std::slice::from_ref(&tables));
    session.set(&format!("{windowed}/size"), sizes(20.0));
    session.set(&format!("{windowed}/opacity"), Data::Numbers(vec![1.0; N_GRATINGS]));
    let differ =
        format!("session 1: '{GRATINGS}', '{windowed}': not looked at, though they vary: opacity, size");
    assert_eq!(place.import(&session).unwrap().notes, [tables, differ]);
}

#[test]
fn blank_screens_are_counted_and_what_is_no_number_is_none_of_them() {
    let place = Place::new();
    let path = format!("{GRATINGS}/orientation");
    let mut session = Session::good("1");
    let direction = |k: usize| (45 * (k % 8)).to_string();
    let marks = ["null", "NaN", "None", "", "NA"];
    session
        .set(&path, texts((0..N_GRATINGS).map(|k| marks.get(k).map_or(direction(k), ToString::to_string))));
    let report = place.import(&session).unwrap();
    let blank = "presentations without orientation or temporal frequency, blank screens";
    assert_eq!((report.left_out.len(), left_out(&report, blank)), (1, 5), "{report:?}");
    assert_eq!(place.median("L4_Exc", "evoked_rate_hz"), Some(EVOKED_HZ));
    session.set(&path, texts((0..N_GRATINGS).map(|k| format!("[{}]", direction(k)))));
    refused(place.import(&session), &["orientation", "entry 0 is '[0]', no number"]);
    session.set(&path, texts((0..N_GRATINGS).map(direction)));
    let frequency = |k: usize| if k < 7 { "2" } else { "2 Hz" };
    session.set(&format!("{GRATINGS}/temporal_frequency"), texts((0..N_GRATINGS).map(frequency)));
    refused(place.import(&session), &["temporal_frequency", "entry 7 is '2 Hz', no number"]);
}

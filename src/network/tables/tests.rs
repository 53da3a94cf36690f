//! Bad tables: each mistake is named by file, line, column, value and limit.

use std::path::{Path, PathBuf};

use super::*;
use crate::Error;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1")
}

/// Reads a copy of the shipped tables in which `edit` has changed one file, and gives the error.
fn error_of(name: &str, edit: impl FnOnce(String) -> String) -> Error {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(shipped()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let text = std::fs::read_to_string(copy.path().join(name)).unwrap();
    let edited = edit(text.clone());
    assert_ne!(text, edited, "the edit must change {name}");
    std::fs::write(copy.path().join(name), edited).unwrap();
    Tables::read(copy.path()).unwrap_err()
}

/// The error of a table whose first data row has `value` in `column`, as (field, value, limit).
fn field_error(name: &str, column: &str, value: &str) -> (String, String, String) {
    let error = error_of(name, |text| {
        let start = text.lines().take_while(|l| l.starts_with('#')).count();
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        let column_ix = lines[start].split(',').position(|c| c == column).unwrap();
        let mut fields: Vec<&str> = lines[start + 1].split(',').collect();
        fields[column_ix] = value;
        lines[start + 1] = fields.join(",");
        lines.join("\n")
    });
    assert_eq!(error.exit_code(), 2);
    match error {
        Error::Field { file, field, value: found, limit } => {
            assert!(file.ends_with(name), "{}", file.display());
            assert!(field.contains(column) && field.starts_with("line "), "{field}");
            assert_eq!(found, value);
            (field, found, limit)
        }
        other => panic!("expected a field error, found {other}"),
    }
}

#[test]
fn a_missing_folder_and_a_missing_table_are_named() {
    let error = Tables::read("no/such/folder").unwrap_err();
    assert_eq!(error.to_string(), "no/such/folder/populations.csv: missing table");
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(shipped()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "delays.csv" {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let error = Tables::read(copy.path()).unwrap_err();
    assert!(error.to_string().ends_with("delays.csv: missing table"), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_missing_column_is_named_with_those_there_are() {
    let message = error_of("cells.csv", |t| t.replace("g_ns", "g_us")).to_string();
    assert!(message.contains("cells.csv: no column 'g_ns' (it has: model_id, population,"), "{message}");
}

#[test]
fn a_row_of_the_wrong_length_is_named() {
    let message = error_of("delays.csv", |t| t.replace("e23,e4,1.78", "e23,e4,1.78,9")).to_string();
    assert!(message.contains("delays.csv: malformed CSV") && message.contains("line: 7"), "{message}");
}

#[test]
fn values_that_are_no_number_or_out_of_range_are_named_with_line_and_limit() {
    let (field, _, limit) = field_error("cells.csv", "c_m_pf", "wide");
    assert_eq!((field.as_str(), limit.as_str()), ("line 7, c_m_pf", "must be a number from 1 to 1000 pF"));
    field_error("cells.csv", "c_m_pf", "NaN");
    field_error("cells.csv", "c_m_pf", "inf");
    field_error("cells.csv", "c_m_pf", "0");
    field_error("cells.csv", "c_m_pf", "");
    field_error("cells.csv", "n_cells_700um", "1.5");
    field_error("cells.csv", "n_cells_700um", "-3");
    field_error("cells.csv", "rheobase_pa", "nan");
    field_error("populations.csv", "depth_bottom_um", "10");
    field_error("populations.csv", "lgn_yule", "1");
    field_error("connection_probability.csv", "L6_VIP", "1.01");
    field_error("connection_spread.csv", "sigma_um", "0");
    field_error("kinetics.csv", "tau_fast_ms", "-1");
    field_error("delays.csv", "delay_ms", "NaN");
    field_error("psp_measured.csv", "lognormal_scale_90th_mv", "[]");
    field_error("lgn_units.csv", "dom_peak_2_ms", "5");
    field_error("lgn_units.csv", "polarity", "0");
    field_error("lgn_weights.csv", "weight_pa", "-1");
    field_error("background_weights.csv", "weight_pa", "heavy");
    field_error("neuropixels_targets.csv", "n_sessions", "38");
    field_error("neuropixels_targets.csv", "q050", "0");
    field_error("em_synapse_size.csv", "log_sd", "0");
    field_error("tuning_curves.csv", "osi", "1.01");
    field_error("tuning_curves.csv", "rate_hz", "-1");
    let (_, _, limit) = field_error("contrast_classes.csv", "n_responsive", "74");
    assert_eq!(limit, "n_high + n_band + n_low must be n_responsive");
    field_error("contrast_classes.csv", "n_tested", "0");
}

#[test]
fn names_that_are_not_known_or_do_not_fit_are_named() {
    let (_, _, limit) = field_error("populations.csv", "cell_type", "L7_Exc");
    assert!(limit.starts_with("must be one of L1_Inh, L2/3_Exc"), "{limit}");
    field_error("populations.csv", "class", "pv");
    field_error("populations.csv", "ei", "e");
    field_error("cells.csv", "population", "e7");
    field_error("cells.csv", "v_th_mv", "-90");
    field_error("cells.csv", "v_reset_mv", "-1");
    field_error("kinetics.csv", "target_class", "exc");
    field_error("psp_pair_of_cell_type.csv", "measured_target", "l7_pyr");
    field_error("lgn_weights.csv", "model_id", "1");
    field_error("neuropixels_sessions.csv", "split", "test");
    field_error("em_synapse_size.csv", "target", "L4_PV");
    field_error("neuropixels_targets.csv", "quantity", "fano");
}

#[test]
fn a_pair_twice_or_missing_is_refused() {
    let message = error_of("kinetics.csv", |t| t.replace("e23,e4,", "e23,e23,")).to_string();
    assert!(
        message.contains("kinetics.csv: line 8, source and target = repeated: each pair once"),
        "{message}"
    );
    let message = error_of("kinetics.csv", |t| t.lines().take(95).collect::<Vec<_>>().join("\n")).to_string();
    assert!(message.ends_with("kinetics.csv: 89 rows, must have 90"), "{message}");
    let message = error_of("cells.csv", |t| t.replace("482649712,", "475585413,")).to_string();
    assert!(message.contains("line 8, model_id = 475585413: each cell model once"), "{message}");
    let message = error_of("neuropixels_sessions.csv", |t| t.replace("719161530,", "715093703,")).to_string();
    assert!(message.contains("session_id = 715093703"), "{message}");
}

#[test]
fn the_digest_follows_the_contents_alone() {
    let tables = Tables::read(shipped()).unwrap();
    assert_eq!(tables.digest(), Tables::read(shipped()).unwrap().digest());
    assert_eq!(tables.digest().len(), 64);
    let one = [("a.csv".to_string(), b"1".to_vec())];
    let two = [("a.csv".to_string(), b"2".to_vec())];
    assert_ne!(digest_of(&one), digest_of(&two));
    assert_ne!(digest_of(&one), digest_of(&[("b.csv".to_string(), b"1".to_vec())]));
}

#[test]
fn no_table_of_other_recordings_stands_in_for_one_that_recordings_lack() {
    let recordings = tempfile::tempdir().unwrap();
    let copy = |names: &[&str]| {
        names.iter().for_each(|name| {
            std::fs::copy(shipped().join(name), recordings.path().join(name)).unwrap();
        });
    };
    copy(&RECORDED_TABLES);
    let read = || Tables::read_with(shipped(), Some(recordings.path())).unwrap();
    let lacking = read();
    assert!(lacking.fano.is_empty() && lacking.contrast_classes.is_empty() && !lacking.targets.is_empty());
    copy(&OPTIONAL_RECORDED_TABLES);
    let (whole, own) = (read(), Tables::read(shipped()).unwrap());
    assert_eq!((&whole.fano, &whole.contrast_classes), (&own.fano, &own.contrast_classes));
    assert!(!own.fano.is_empty() && !own.contrast_classes.is_empty());
}

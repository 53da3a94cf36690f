//! How the units of an NWB file are judged: by words, which are obeyed, and by limits that other programs have, which are said.

use super::file::Nwb;
use super::labels::{ELECTRODES, Places};
use crate::error::Result;

/// Judgements of sorted units.
const JUDGEMENTS: [&str; 7] = ["good", "sua", "mua", "noise", "bad", "artifact", "artefact"];
/// What stands where a unit was not judged.
const NO_JUDGEMENTS: [&str; 3] = ["unsorted", "nan", ""];

/// A column of units, the values with which the AllenSDK keeps one, and the others in words.
type Limit = (&'static str, fn(f64) -> bool, &'static str);

/// Units beyond these, or without a value, are not in the AllenSDK's `session.units` unless one asks for them
/// (`UNIT_FILTER_DEFAULTS` of its `brain_observatory/ecephys/__init__.py`).
const LIMITS: [Limit; 3] = [
    ("amplitude_cutoff", |value| value <= 0.1, "with amplitude_cutoff above 0.1 or none"),
    ("presence_ratio", |value| value >= 0.95, "with presence_ratio below 0.95 or none"),
    ("isi_violations", |value| value <= 0.5, "with isi_violations above 0.5 or none"),
];

/// The column that judges units: `quality`, else one whose texts are all judgements, Kilosort's own (`KSLabel`) where there is no other. None
/// where nothing judges them. Which it is is said, `quality` apart.
pub(super) fn quality(nwb: &Nwb, n_units: usize, notes: &mut Vec<String>) -> Result<Option<Vec<String>>> {
    if let Some(quality) = nwb.texts("units/quality")? {
        return Ok(Some(quality));
    }
    let mut judging = Vec::new();
    for column in nwb.columns("units")? {
        let path = format!("units/{column}");
        let texts = if nwb.is_text(&path)? { nwb.texts(&path)?.unwrap_or_default() } else { Vec::new() };
        let words: Vec<String> = texts.iter().map(|text| text.trim().to_lowercase()).collect();
        let judges = |word: &String| JUDGEMENTS.contains(&word.as_str());
        let is_known = |word: &String| judges(word) || NO_JUDGEMENTS.contains(&word.as_str());
        if words.len() == n_units && words.iter().all(is_known) && words.iter().any(judges) {
            judging.push((column, texts));
        }
    }
    judging.sort_by_key(|(column, _)| column.to_lowercase().starts_with("ks"));
    let mut judging = judging.into_iter();
    let Some((column, texts)) = judging.next() else {
        notes.push("no column judges the units (good, sua, mua, noise): all are used".to_owned());
        return Ok(None);
    };
    let others: Vec<String> = judging.map(|(other, _)| format!(", not by '{other}'")).collect();
    notes.push(format!("units are judged by the column '{column}'{}", others.concat()));
    Ok(Some(texts))
}

/// Says how many of the units that are used the AllenSDK leaves out by default, by reason, and how many fail `default_qc`, the check of the
/// Allen Institute for Neural Dynamics.
pub(super) fn name_what_others_leave_out(
    nwb: &Nwb,
    places: &Places,
    is_used: &[bool],
    notes: &mut Vec<String>,
) {
    // Columns that are only counted, and cannot be read, say nothing.
    let mut left_out: Vec<(&str, Vec<bool>)> = Vec::new();
    for (column, keeps, words) in LIMITS {
        if let Some(values) = nwb.numbers_if_there(&format!("units/{column}")).ok().flatten() {
            left_out.push((words, values.into_iter().map(|value| !keeps(value)).collect()));
        }
    }
    if let Some(is_valid) = nwb.flags(&format!("{ELECTRODES}/valid_data")).ok().flatten() {
        let on_invalid = |rows: &Vec<usize>| rows.iter().any(|row| is_valid.get(*row) == Some(&false));
        let of_units = places.electrodes.iter().map(on_invalid).collect();
        left_out.push(("on electrodes whose valid_data is false", of_units));
    }
    let n_used = |of_units: &dyn Fn(usize) -> bool| {
        (0..is_used.len()).filter(|ix| is_used[*ix] && of_units(*ix)).count()
    };
    let at = |of_units: &Vec<bool>, ix: usize| of_units.get(ix) == Some(&true);
    let n_beyond = n_used(&|ix| left_out.iter().any(|(_, of_units)| at(of_units, ix)));
    if n_beyond > 0 {
        let reasons = left_out.iter().map(|(words, of_units)| (n_used(&|ix| at(of_units, ix)), words));
        let reasons: Vec<String> =
            reasons.filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}")).collect();
        notes.push(format!(
            "{n_beyond} of the units used are not in the AllenSDK's session.units by its default limits: {}",
            reasons.join(", ")
        ));
    }
    let passes = nwb.flags("units/default_qc").ok().flatten().unwrap_or_default();
    let n_failed = n_used(&|ix| passes.get(ix) == Some(&false));
    if n_failed > 0 {
        notes.push(format!("{n_failed} of the units used are false in 'default_qc'"));
    }
}

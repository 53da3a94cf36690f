//! The tables of an import, in the format of `scenes/v1`.

use super::derive::{Derived, Pool};
use crate::network::tables::{PROBABILITIES, Quantity, Split};

/// Names and texts of the tables. `source` names the recordings.
pub(super) fn write(derived: &Derived, source: &str) -> Vec<(&'static str, String)> {
    let split = |held_out: bool| Split::NAMES[usize::from(held_out)];
    let pool = |of: &Pool| {
        format!("{},{},{},{}", Split::NAMES[of.split as usize], of.name, of.recorded_types, of.n_units)
    };
    let name = |quantity: Quantity| Quantity::NAMES[quantity as usize];
    let quantile_names: Vec<String> = PROBABILITIES.iter().map(|p| format!("q{:03.0}", 100.0 * p)).collect();
    let targets = derived.targets.iter().map(|t| {
        let quantiles: Vec<String> = t.quantiles.iter().map(|q| number(*q)).collect();
        let (cell_type, quantity) = (t.of.cell_type, name(t.quantity));
        format!("{cell_type},{quantity},{},{},{}", pool(&t.of), t.of.n_sessions, quantiles.join(","))
    });
    let sessions = derived.sessions.iter().map(|s| {
        let n_units: Vec<String> = s.n_units.iter().map(ToString::to_string).collect();
        format!("{},{},{},{}", s.id, s.session_type, split(s.held_out), n_units.join(","))
    });
    let tuning = derived.tuning.iter().map(|t| {
        let figures = [t.rate_hz, t.dsi, t.osi].map(number).join(",");
        format!("{},{},{},{figures}", t.of.cell_type, pool(&t.of), t.of.n_sessions)
    });
    let ceilings = derived.ceilings.iter().map(|c| {
        let figures = [c.similarity, c.range[0], c.range[1]].map(number).join(",");
        format!(
            "{},{},{},{},{},{figures}",
            c.cell_type,
            name(c.quantity),
            c.n_units,
            c.n_sessions,
            c.n_halves
        )
    });
    let table = |units: &str, note: &str, header: &str, rows: Vec<String>| {
        format!(
            "# source: {}\n# units: {units}\n# note: {note}\n{header}\n{}\n",
            source.replace('\n', " "),
            rows.join("\n")
        )
    };
    let by = "written by simrun import neuropixels; splits, pools and quantiles by the rules of scenes/v1/neuropixels_targets.csv";
    vec![
        (
            "neuropixels_targets.csv",
            table(
                "rates Hz; osi, dsi dimensionless in [0, 1]",
                by,
                &format!(
                    "cell_type,quantity,split,pool,recorded_types,n_units,n_sessions,{}",
                    quantile_names.join(",")
                ),
                targets.collect(),
            ),
        ),
        (
            "neuropixels_sessions.csv",
            table(
                "n_* units",
                by,
                "session_id,session_type,split,n_exc,n_pv,n_sst,n_vip,n_htr3a",
                sessions.collect(),
            ),
        ),
        (
            "tuning_curves.csv",
            table(
                "rate_hz Hz; dsi, osi dimensionless in [0, 1]",
                by,
                "cell_type,split,pool,recorded_types,n_units,n_sessions,rate_hz,dsi,osi",
                tuning.collect(),
            ),
        ),
        (
            "noise_ceiling.csv",
            table(
                "dimensionless, in [0, 1]",
                "similarity (1 - KS) of random halves of the sessions: mean, 5 and 95 % quantiles",
                "cell_type,quantity,n_units,n_sessions,n_halves,similarity,q05,q95",
                ceilings.collect(),
            ),
        ),
    ]
}

/// A number to six significant digits.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    rounded.to_string()
}

//! Connection probabilities, synaptic kinetics, delays and measured PSPs.

use super::super::{CELL_TYPES, CLASSES, N_CELL_TYPES, N_CLASSES};
use super::sheet::{Folder, Row};
use super::{N_TARGET_CLASSES, target_classes};
use crate::model::kinetics::{Kinetics, KineticsTable};
use crate::{Error, Result};

/// `connection_probability.csv` and `connection_spread.csv`: the rule of connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Probability of a connection at no lateral distance, `[source cell type][target cell type]`, in [0, 1].
    pub p_max: [[f64; N_CELL_TYPES]; N_CELL_TYPES],
    /// Standard deviation of the lateral fall-off, um, `[source inhibitory?][target inhibitory?]`.
    pub sigma_um: [[f64; 2]; 2],
    /// Connection probability at 90 deg of orientation difference over that at 0 deg, `[source inhibitory?][target
    /// inhibitory?]`; 0 stands for no dependence.
    pub like_to_like_ratio: [[f64; 2]; 2],
}

/// One row of `psp_measured.csv`: paired recordings between two groups of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredPsp {
    /// Presynaptic group, e.g. `l23_pyr`.
    pub source: String,
    /// Postsynaptic group.
    pub target: String,
    /// After a long rest.
    pub rest: PspStatistics,
    /// 90th percentile over the trials of a pair: what the published network is built from.
    pub p90: PspStatistics,
}

/// Distribution over pairs of the peak of the PSP (absolute value).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PspStatistics {
    /// Recorded pairs.
    pub n_pairs: usize,
    /// Mean, mV.
    pub mean_mv: f64,
    /// Standard deviation, mV.
    pub sd_mv: f64,
    /// Median, mV.
    pub median_mv: f64,
    /// Shape of the fitted log-normal (standard deviation of the logarithm).
    pub lognormal_shape: f64,
    /// Scale (median) of the fitted log-normal, mV.
    pub lognormal_scale_mv: f64,
}

/// Reads `connection_probability.csv` and `connection_spread.csv`.
pub(super) fn read_connection(folder: &mut Folder) -> Result<Connection> {
    let columns: Vec<&str> = std::iter::once("source").chain(CELL_TYPES).collect();
    let sheet = folder.sheet("connection_probability.csv", &columns)?;
    sheet.require_rows(N_CELL_TYPES)?;
    let mut p_max = [[0.0; N_CELL_TYPES]; N_CELL_TYPES];
    for (row, (name, p_row)) in sheet.rows().zip(CELL_TYPES.iter().zip(&mut p_max)) {
        if row.text("source")? != *name {
            return Err(row.error(
                "source",
                row.text("source")?,
                format!("{name}: rows in the order of columns"),
            ));
        }
        for (target, p) in CELL_TYPES.iter().zip(p_row) {
            *p = row.number(target, 0.0..=1.0, "")?;
        }
    }
    let columns = ["source_ei", "target_ei", "sigma_um", "like_to_like_ratio"];
    let sheet = folder.sheet("connection_spread.csv", &columns)?;
    let mut seen = Seen::new(2, 2);
    let mut connection = Connection { p_max, sigma_um: [[0.0; 2]; 2], like_to_like_ratio: [[0.0; 2]; 2] };
    for row in sheet.rows() {
        let (s, t) = (row.name_ix("source_ei", &["e", "i"])?, row.name_ix("target_ei", &["e", "i"])?);
        seen.mark(row, s, t)?;
        connection.sigma_um[s][t] = row.number("sigma_um", 1.0..=1000.0, "um")?;
        connection.like_to_like_ratio[s][t] = row.number("like_to_like_ratio", 0.0..=1.0, "")?;
    }
    sheet.require_rows(4)?;
    Ok(connection)
}

/// Reads `kinetics.csv`, which must have every pair of source and target class.
pub(super) fn read_kinetics(folder: &mut Folder) -> Result<KineticsTable> {
    let columns = ["source_class", "target_class", "tau_fast_ms", "tau_slow_ms", "amp_slow"];
    let sheet = folder.sheet("kinetics.csv", &columns)?;
    let mut seen = Seen::new(N_CLASSES, N_TARGET_CLASSES);
    let mut kinetics = [[Kinetics::default(); N_TARGET_CLASSES]; N_CLASSES];
    for row in sheet.rows() {
        let s = row.name_ix("source_class", &CLASSES)?;
        let t = row.name_ix("target_class", target_classes())?;
        seen.mark(row, s, t)?;
        kinetics[s][t] = Kinetics {
            tau_fast_ms: row.number("tau_fast_ms", 0.05..=100.0, "ms")?,
            tau_slow_ms: row.number("tau_slow_ms", 0.05..=500.0, "ms")?,
            amp_slow: row.number("amp_slow", 0.0..=100.0, "")?,
        };
    }
    sheet.require_rows(N_CLASSES * N_TARGET_CLASSES)?;
    Ok(kinetics)
}

/// Reads `delays.csv`: ms, `[source class, then LGN, then background][target class]`.
pub(super) fn read_delays(folder: &mut Folder) -> Result<[[f64; N_TARGET_CLASSES]; N_TARGET_CLASSES + 2]> {
    let sheet = folder.sheet("delays.csv", &["source", "target_class", "delay_ms"])?;
    let sources: Vec<&str> = target_classes().iter().copied().chain(["lgn", "background"]).collect();
    let mut seen = Seen::new(sources.len(), N_TARGET_CLASSES);
    let mut delays_ms = [[0.0; N_TARGET_CLASSES]; N_TARGET_CLASSES + 2];
    for row in sheet.rows() {
        let s = row.name_ix("source", &sources)?;
        let t = row.name_ix("target_class", target_classes())?;
        seen.mark(row, s, t)?;
        delays_ms[s][t] = row.number("delay_ms", 0.01..=50.0, "ms")?;
    }
    sheet.require_rows(sources.len() * N_TARGET_CLASSES)?;
    Ok(delays_ms)
}

/// Reads `psp_measured.csv`.
pub(super) fn read_psp_measured(folder: &mut Folder) -> Result<Vec<MeasuredPsp>> {
    let names = ["n_pairs", "mean", "sd", "median", "lognormal_shape", "lognormal_scale"];
    let of_state = |state: &str| {
        names.map(|name| {
            let unit = if matches!(name, "n_pairs" | "lognormal_shape") { "" } else { "_mv" };
            format!("{name}_{state}{unit}")
        })
    };
    let (rest, p90) = (of_state("rest"), of_state("90th"));
    let columns: Vec<&str> =
        ["source", "target"].into_iter().chain(rest.iter().chain(&p90).map(String::as_str)).collect();
    let sheet = folder.sheet("psp_measured.csv", &columns)?;
    let mut measured: Vec<MeasuredPsp> = Vec::new();
    for row in sheet.rows() {
        let psp = MeasuredPsp {
            source: row.text("source")?.to_string(),
            target: row.text("target")?.to_string(),
            rest: psp_statistics(row, &rest)?,
            p90: psp_statistics(row, &p90)?,
        };
        if measured.iter().any(|m| (&m.source, &m.target) == (&psp.source, &psp.target)) {
            return Err(row.error(
                "target",
                &psp.target,
                format!("each pair once, {} has it twice", psp.source),
            ));
        }
        measured.push(psp);
    }
    Ok(measured)
}

fn psp_statistics(row: Row<'_>, columns: &[String; 6]) -> Result<PspStatistics> {
    let [n_pairs, mean, sd, median, shape, scale] = columns;
    Ok(PspStatistics {
        n_pairs: row.count(n_pairs, 2..=100_000)?,
        mean_mv: row.number(mean, 0.0..=100.0, "mV")?,
        sd_mv: row.number(sd, 0.0..=100.0, "mV")?,
        median_mv: row.number(median, 0.0..=100.0, "mV")?,
        lognormal_shape: row.number(shape, 1e-6..=20.0, "")?,
        lognormal_scale_mv: row.number(scale, 1e-9..=100.0, "mV")?,
    })
}

/// Reads `psp_pair_of_cell_type.csv`: index of the measured pair of every pair of cell types.
pub(super) fn read_psp_pairs(
    folder: &mut Folder,
    measured: &[MeasuredPsp],
) -> Result<[[usize; N_CELL_TYPES]; N_CELL_TYPES]> {
    let columns = ["source", "target", "measured_source", "measured_target"];
    let sheet = folder.sheet("psp_pair_of_cell_type.csv", &columns)?;
    let mut seen = Seen::new(N_CELL_TYPES, N_CELL_TYPES);
    let mut pair_ix = [[0; N_CELL_TYPES]; N_CELL_TYPES];
    for row in sheet.rows() {
        let (s, t) = (row.name_ix("source", &CELL_TYPES)?, row.name_ix("target", &CELL_TYPES)?);
        seen.mark(row, s, t)?;
        let pair = (row.text("measured_source")?, row.text("measured_target")?);
        pair_ix[s][t] = measured
            .iter()
            .position(|m| (m.source.as_str(), m.target.as_str()) == pair)
            .ok_or_else(|| {
                row.error(
                    "measured_target",
                    pair.1,
                    format!("no row of {} and {} in psp_measured.csv", pair.0, pair.1),
                )
            })?;
    }
    sheet.require_rows(N_CELL_TYPES * N_CELL_TYPES)?;
    Ok(pair_ix)
}

/// Which pairs of a table have been read. With the right number of rows and none twice, none is missing.
struct Seen {
    n_columns: usize,
    seen: Vec<bool>,
}

impl Seen {
    fn new(n_rows: usize, n_columns: usize) -> Self {
        Self { n_columns, seen: vec![false; n_rows * n_columns] }
    }

    fn mark(&mut self, row: Row<'_>, s: usize, t: usize) -> std::result::Result<(), Error> {
        let seen = &mut self.seen[s * self.n_columns + t];
        if std::mem::replace(seen, true) {
            return Err(row.error("source and target", "repeated", "each pair once"));
        }
        Ok(())
    }
}

//! Sizes of the connections that electron microscopy shows between excitatory types.

use super::super::{CELL_TYPES, N_CELL_TYPES};
use super::connection_is_excitatory;
use super::sheet::Folder;
use crate::Result;

/// What the size of a connection was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covariate {
    /// Correlation of the responses of the two cells.
    ResponseCorrelation,
    /// Difference of their preferred directions, deg in [0, 180].
    DirectionDifference,
}

/// One row of `em_synapse_size.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct EmConnections {
    /// Data set, e.g. `minnie65`.
    pub study: String,
    /// Presynaptic cell type.
    pub source_cell_type: usize,
    /// Postsynaptic cell type.
    pub target_cell_type: usize,
    /// Number of connections.
    pub n_connections: usize,
    /// Standard deviation of the logarithm of their size.
    pub log_sd: f64,
    /// What `slope` is against.
    pub covariate: Covariate,
    /// Slope of the logarithm of the size, per unit of the covariate.
    pub slope: f64,
    /// Its standard error.
    pub slope_se: f64,
}

/// Reads `em_synapse_size.csv`.
pub(super) fn read_em_connections(folder: &mut Folder) -> Result<Vec<EmConnections>> {
    let columns = ["study", "source", "target", "n_connections", "log_sd", "covariate", "slope", "slope_se"];
    let sheet = folder.sheet("em_synapse_size.csv", &columns)?;
    let mut rows = Vec::new();
    for row in sheet.rows() {
        let of_type = |column: &str| {
            let cell_type_ix = row.name_ix(column, &CELL_TYPES)?;
            if connection_is_excitatory(cell_type_ix) {
                return Ok(cell_type_ix);
            }
            Err(row.error(column, CELL_TYPES[cell_type_ix], "an excitatory cell type"))
        };
        let covariate =
            match row.name_ix("covariate", &["response_correlation", "direction_difference_deg"])? {
                0 => Covariate::ResponseCorrelation,
                _ => Covariate::DirectionDifference,
            };
        rows.push(EmConnections {
            study: row.text("study")?.to_owned(),
            source_cell_type: of_type("source")?,
            target_cell_type: of_type("target")?,
            n_connections: row.count("n_connections", 3..=1_000_000_000)?,
            log_sd: row.number("log_sd", 0.01..=10.0, "")?,
            covariate,
            slope: row.number("slope", -100.0..=100.0, "")?,
            slope_se: row.number("slope_se", 1e-9..=100.0, "")?,
        });
    }
    Ok(rows)
}

/// Standard deviation of the logarithm of the size of EM connections, `[source cell type][target cell type]`: of the pair itself
/// over all studies, else of all excitatory pairs together (both weighted by degrees of freedom); None where a cell is inhibitory.
pub(super) fn em_log_sds(rows: &[EmConnections]) -> [[Option<f64>; N_CELL_TYPES]; N_CELL_TYPES] {
    let pooled = |of: &dyn Fn(&&EmConnections) -> bool| {
        let own = || rows.iter().filter(of);
        let freedom: f64 = own().map(|row| (row.n_connections - 1) as f64).sum();
        let squares: f64 = own().map(|row| (row.n_connections - 1) as f64 * row.log_sd.powi(2)).sum();
        (freedom > 0.0).then(|| (squares / freedom).sqrt())
    };
    let all = pooled(&|_| true);
    std::array::from_fn(|source| {
        std::array::from_fn(|target| {
            let excitatory = connection_is_excitatory(source) && connection_is_excitatory(target);
            let own = pooled(&|row| (row.source_cell_type, row.target_cell_type) == (source, target));
            own.or(all).filter(|_| excitatory)
        })
    })
}

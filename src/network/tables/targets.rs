//! What Neuropixels probes recorded in mouse visual cortex, as quantiles per cell type, split by session.

use super::super::CELL_TYPES;
use super::sheet::{Folder, Row};
use crate::Result;

/// Number of quantiles in a [`Target`].
const N_PROBABILITIES: usize = 25;

/// Probabilities of the quantiles of a [`Target`]: 0, 0.05, .. 0.95, then 0.96, 0.97, 0.98, 0.99, 1. The fast tail of the
/// rates is long: a straight line from 0.95 to 1 would overstate the mean rate of L2/3 cells by 11 %.
pub const PROBABILITIES: [f64; N_PROBABILITIES] = {
    let mut p = [0.0; N_PROBABILITIES];
    let mut i = 0;
    while i < N_PROBABILITIES {
        let hundredths = if i < 20 { 5 * i } else { 76 + i };
        p[i] = hundredths as f64 / 100.0;
        i += 1;
    }
    p
};

/// A recorded quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Mean rate over all drifting gratings, Hz.
    EvokedRate,
    /// Mean rate under the preferred grating, Hz.
    MaxRate,
    /// Rate under a grey screen, Hz.
    SpontaneousRate,
    /// Orientation selectivity index, in [0, 1].
    Osi,
    /// Direction selectivity index, in [0, 1].
    Dsi,
}

impl Quantity {
    /// All quantities, in table order.
    pub const ALL: [Self; 5] = [Self::EvokedRate, Self::MaxRate, Self::SpontaneousRate, Self::Osi, Self::Dsi];
    /// Their names in the table.
    pub const NAMES: [&str; 5] = ["evoked_rate_hz", "max_rate_hz", "spontaneous_rate_hz", "osi", "dsi"];

    /// Largest value that can be meant, and its unit.
    pub(crate) const fn limit(self) -> (f64, &'static str) {
        match self {
            Self::Osi | Self::Dsi => (1.0, ""),
            _ => (1000.0, "Hz"),
        }
    }
}

/// Which part of the sessions a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// Sessions to train against.
    Train,
    /// Sessions that training never sees.
    HeldOut,
}

impl Split {
    /// Both parts, in table order.
    pub const ALL: [Self; 2] = [Self::Train, Self::HeldOut];
    /// Their names in the tables.
    pub const NAMES: [&str; 2] = ["train", "heldout"];
}

/// One row of `neuropixels_targets.csv`: the distribution of a quantity over the units that stand for a cell type.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Index in [`CELL_TYPES`].
    pub cell_type_ix: usize,
    /// What was measured.
    pub quantity: Quantity,
    /// Which sessions.
    pub split: Split,
    /// How wide the pool of units is: `type` (the cell type itself), `layer` (layer 5 excitatory cells together), `layers`
    /// (the class over all layers) or `lineage` (VIP cells and layer 1 Htr3a cells together).
    pub pool: String,
    /// The recorded types in the pool, joined by `+`.
    pub recorded_types: String,
    /// Units in the pool.
    pub n_units: usize,
    /// Sessions they come from.
    pub n_sessions: usize,
    /// Quantiles at [`PROBABILITIES`], in the quantity's unit, not descending.
    pub quantiles: [f64; N_PROBABILITIES],
}

/// One row of `neuropixels_sessions.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Session id.
    pub id: String,
    /// Kind of session, e.g. `brain_observatory_1.1` or `functional_connectivity`.
    pub session_type: String,
    /// Where it went.
    pub split: Split,
    /// Units of excitatory, PV, SST, VIP and layer 1 Htr3a cells.
    pub n_units: [usize; 5],
}

/// One row of `noise_ceiling.csv`: how alike recorded sessions are to each other, as 1 - KS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// Index in [`CELL_TYPES`].
    pub cell_type_ix: usize,
    /// What was measured.
    pub quantity: Quantity,
    /// Mean similarity of random halves of the sessions.
    pub similarity: f64,
    /// 5 and 95 % quantiles over the halves.
    pub range: [f64; 2],
}

/// Reads `noise_ceiling.csv`.
pub(super) fn read_ceilings(folder: &mut Folder) -> Result<Vec<Ceiling>> {
    let sheet = folder.sheet("noise_ceiling.csv", &["cell_type", "quantity", "similarity", "q05", "q95"])?;
    let mut ceilings: Vec<Ceiling> = Vec::new();
    for row in sheet.rows() {
        let low = row.number("q05", 0.0..=1.0, "")?;
        let ceiling = Ceiling {
            cell_type_ix: row.name_ix("cell_type", &CELL_TYPES)?,
            quantity: Quantity::ALL[row.name_ix("quantity", &Quantity::NAMES)?],
            similarity: row.number("similarity", 0.0..=1.0, "")?,
            range: [low, row.number("q95", low..=1.0, "")?],
        };
        let same = |c: &Ceiling| (c.cell_type_ix, c.quantity) == (ceiling.cell_type_ix, ceiling.quantity);
        if ceilings.iter().any(same) {
            return Err(row.error("quantity", row.text("quantity")?, "once per cell type"));
        }
        ceilings.push(ceiling);
    }
    Ok(ceilings)
}

/// Reads `neuropixels_sessions.csv`.
pub(super) fn read_sessions(folder: &mut Folder) -> Result<Vec<Session>> {
    let classes = ["n_exc", "n_pv", "n_sst", "n_vip", "n_htr3a"];
    let mut columns = vec!["session_id", "session_type", "split"];
    columns.extend(classes);
    let sheet = folder.sheet("neuropixels_sessions.csv", &columns)?;
    let mut sessions: Vec<Session> = Vec::new();
    for row in sheet.rows() {
        let mut n_units = [0; 5];
        for (n, column) in n_units.iter_mut().zip(classes) {
            *n = row.count(column, 0..=100_000)?;
        }
        let id = row.text("session_id")?.to_owned();
        if sessions.iter().any(|s| s.id == id) {
            return Err(row.error(
                "session_id",
                id,
                "each session once, so that no session is in both splits",
            ));
        }
        sessions.push(Session {
            id,
            session_type: row.text("session_type")?.to_string(),
            split: Split::ALL[row.name_ix("split", &Split::NAMES)?],
            n_units,
        });
    }
    Ok(sessions)
}

/// Reads `neuropixels_targets.csv`.
pub(super) fn read_targets(folder: &mut Folder, sessions: &[Session]) -> Result<Vec<Target>> {
    let quantile_columns = PROBABILITIES.map(|p| format!("q{:03.0}", 100.0 * p));
    let mut columns =
        vec!["cell_type", "quantity", "split", "pool", "recorded_types", "n_units", "n_sessions"];
    columns.extend(quantile_columns.iter().map(String::as_str));
    let sheet = folder.sheet("neuropixels_targets.csv", &columns)?;
    let mut targets: Vec<Target> = Vec::new();
    for row in sheet.rows() {
        let target = target(row, &quantile_columns, sessions)?;
        let same = |t: &Target| {
            (t.cell_type_ix, t.quantity, t.split) == (target.cell_type_ix, target.quantity, target.split)
        };
        if targets.iter().any(same) {
            return Err(row.error("quantity", row.text("quantity")?, "once per cell type and split"));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn target(row: Row<'_>, columns: &[String; N_PROBABILITIES], sessions: &[Session]) -> Result<Target> {
    let quantity = Quantity::ALL[row.name_ix("quantity", &Quantity::NAMES)?];
    let split = Split::ALL[row.name_ix("split", &Split::NAMES)?];
    let (largest, unit) = quantity.limit();
    let n_sessions_of_split = sessions.iter().filter(|s| s.split == split).count();
    let mut quantiles = [0.0; N_PROBABILITIES];
    let mut previous = 0.0;
    for (q, column) in quantiles.iter_mut().zip(columns) {
        *q = row.number(column, 0.0..=largest, unit)?;
        if *q < previous {
            return Err(row.error(column, *q, format!("at least {previous}, the quantile before it")));
        }
        previous = *q;
    }
    Ok(Target {
        cell_type_ix: row.name_ix("cell_type", &CELL_TYPES)?,
        quantity,
        split,
        pool: row.text("pool")?.to_string(),
        recorded_types: row.text("recorded_types")?.to_string(),
        n_units: row.count("n_units", 1..=1_000_000)?,
        n_sessions: row.count("n_sessions", 1..=n_sessions_of_split)?,
        quantiles,
    })
}

//! What the recordings ask of the model: distributions, each with the cell types of the model that it speaks for.

use super::statistics::Quantiles;
use crate::error::{Error, Result};
use crate::network::CELL_TYPES;
use crate::network::tables::{Ceiling, CurvePool, PROBABILITIES, Quantity, Split, Tables};

/// Contrast of the gratings under which evoked rates, OSI and DSI were recorded (Siegle et al. 2021, drifting gratings).
pub const RECORDED_CONTRAST: f64 = 0.8;

/// Pool of recorded units in which the cell types of the model were recorded together, not one in place of another.
const POOLED_TYPES: &str = "layer";

/// One recorded distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Name of the cell type, or of the recorded type where it covers several (`L5_Exc`).
    pub name: String,
    /// The cell types of the model that it covers, indices in [`CELL_TYPES`]. Layer 5 excitatory cells were recorded
    /// without telling ET, IT and NP apart, so the three together are compared with the one distribution.
    pub cell_types: Vec<usize>,
    /// Number of recorded units.
    pub n_units: usize,
    /// Similarity (1 - KS) of halves of the recorded sessions to each other; None where it is not known.
    pub ceiling: Option<f64>,
    /// The distribution.
    pub quantiles: Quantiles,
}

/// Recorded distributions of the quantities that the function terms and the evaluation compare.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionTargets {
    /// Names of the cell types of the network; those of mouse V1 by default.
    pub cell_types: Vec<String>,
    /// Mean rates over drifting gratings, Hz.
    pub rate_evoked_hz: Vec<Recorded>,
    /// Rates under a grey screen, Hz.
    pub rate_spontaneous_hz: Vec<Recorded>,
    /// Orientation selectivity indices, 0 to 1.
    pub osi: Vec<Recorded>,
    /// Direction selectivity indices, 0 to 1.
    pub dsi: Vec<Recorded>,
    /// Mean direction tuning curves.
    pub tuning: Vec<TuningTarget>,
    /// Classes of contrast-response curves.
    pub contrast_classes: Vec<ContrastClasses>,
}

impl Default for FunctionTargets {
    fn default() -> Self {
        Self {
            cell_types: CELL_TYPES.map(str::to_owned).to_vec(),
            rate_evoked_hz: Vec::new(),
            rate_spontaneous_hz: Vec::new(),
            osi: Vec::new(),
            dsi: Vec::new(),
            tuning: Vec::new(),
            contrast_classes: Vec::new(),
        }
    }
}

/// Recorded mean tuning curve of a cell type, or of several that were recorded as one.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningTarget {
    /// Name, as in [`Recorded::name`].
    pub name: String,
    /// The cell types that it covers, as in [`Recorded::cell_types`].
    pub cell_types: Vec<usize>,
    /// Number of recorded units.
    pub n_units: usize,
    /// Mean over directions, Hz.
    pub rate_hz: f64,
    /// First and second harmonic over the mean: rate-weighted means of DSI and OSI, 0 to 1.
    pub harmonics: [f64; 2],
}

impl TuningTarget {
    /// Rate at an angle from the preferred direction, Hz; the two harmonics alone could fall below 0.
    pub fn rate_at_hz(&self, delta_deg: f64) -> f64 {
        let delta = delta_deg.to_radians();
        let [first, second] = self.harmonics;
        (self.rate_hz * (1.0 + 2.0 * first * delta.cos() + 2.0 * second * (2.0 * delta).cos())).max(0.0)
    }
}

/// How many recorded units have a contrast-response curve of each class.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastClasses {
    /// Name, as in [`Recorded::name`].
    pub name: String,
    /// The cell types that it covers, as in [`Recorded::cell_types`].
    pub cell_types: Vec<usize>,
    /// Units that were shown several contrasts.
    pub n_tested: usize,
    /// Of these, units that respond: high-pass, band-pass, low-pass.
    pub n_by_class: [usize; 3],
}

impl FunctionTargets {
    /// The targets of one split of the recorded sessions.
    pub fn from_tables(tables: &Tables, split: Split) -> Result<Self> {
        Ok(Self {
            cell_types: CELL_TYPES.map(str::to_owned).to_vec(),
            rate_evoked_hz: recorded(tables, Quantity::EvokedRate, split)?,
            rate_spontaneous_hz: recorded(tables, Quantity::SpontaneousRate, split)?,
            osi: recorded(tables, Quantity::Osi, split)?,
            dsi: recorded(tables, Quantity::Dsi, split)?,
            tuning: tuning(tables, split),
            contrast_classes: contrast_classes(tables, split),
        })
    }
}

fn tuning(tables: &Tables, split: Split) -> Vec<TuningTarget> {
    let mut all: Vec<TuningTarget> = Vec::new();
    for row in tables.tuning_curves.iter().filter(|row| row.of.split == split) {
        let name = name_of(&row.of);
        match all.iter_mut().find(|t| t.name == name) {
            Some(same) => same.cell_types.push(row.of.cell_type_ix),
            None => all.push(TuningTarget {
                name,
                cell_types: vec![row.of.cell_type_ix],
                n_units: row.n_units,
                rate_hz: row.rate_hz,
                harmonics: [row.dsi, row.osi],
            }),
        }
    }
    all
}

fn contrast_classes(tables: &Tables, split: Split) -> Vec<ContrastClasses> {
    let mut all: Vec<ContrastClasses> = Vec::new();
    for row in tables.contrast_classes.iter().filter(|row| row.of.split == split) {
        let name = name_of(&row.of);
        match all.iter_mut().find(|c| c.name == name) {
            Some(same) => same.cell_types.push(row.of.cell_type_ix),
            None => all.push(ContrastClasses {
                name,
                cell_types: vec![row.of.cell_type_ix],
                n_tested: row.n_tested,
                n_by_class: row.n_by_class,
            }),
        }
    }
    all
}

/// The name under which a row is compared: that of the recorded type where it covers several cell types.
fn name_of(of: &CurvePool) -> String {
    match of.pool == POOLED_TYPES {
        true => of.recorded_types.replace(' ', "_"),
        false => CELL_TYPES[of.cell_type_ix].to_owned(),
    }
}

/// All distributions of a quantity, ordered by cell type.
fn recorded(tables: &Tables, quantity: Quantity, split: Split) -> Result<Vec<Recorded>> {
    let mut all: Vec<Recorded> = Vec::new();
    for (cell_type_ix, cell_type) in CELL_TYPES.iter().enumerate() {
        let Some(target) = tables.target(cell_type_ix, quantity, split) else { continue };
        let pooled = target.pool == POOLED_TYPES;
        let name = if pooled { target.recorded_types.replace(' ', "_") } else { (*cell_type).to_owned() };
        if let Some(same) = all.iter_mut().find(|r| pooled && r.name == name) {
            same.cell_types.push(cell_type_ix);
            continue;
        }
        let quantiles =
            Quantiles::new(PROBABILITIES.to_vec(), target.quantiles.to_vec()).ok_or_else(|| {
                let reason =
                    format!("{cell_type}: the quantiles of {quantity:?} are not finite and ascending");
                Error::file(tables.folder.join("neuropixels_targets.csv"), reason)
            })?;
        let own = |c: &&Ceiling| (c.cell_type_ix, c.quantity) == (cell_type_ix, quantity);
        let ceiling = tables.ceilings.iter().find(own).map(|c| c.similarity);
        all.push(Recorded {
            name,
            cell_types: vec![cell_type_ix],
            n_units: target.n_units,
            ceiling,
            quantiles,
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_projects_tables_give_targets_and_layer_5_is_compared_as_a_whole() {
        let tables = Tables::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/v1")).unwrap();
        let targets = FunctionTargets::from_tables(&tables, Split::Train).unwrap();
        let held_out = FunctionTargets::from_tables(&tables, Split::HeldOut).unwrap();
        for all in [&targets.rate_evoked_hz, &targets.rate_spontaneous_hz, &held_out.rate_evoked_hz] {
            // 19 cell types, three of them in one distribution.
            assert_eq!(all.len(), 17);
            let mut covered: Vec<usize> = all.iter().flat_map(|r| r.cell_types.clone()).collect();
            covered.sort_unstable();
            assert_eq!(covered, (0..19).collect::<Vec<_>>());
        }
        let layer_5 = targets.osi.iter().find(|r| r.cell_types.contains(&9)).unwrap();
        assert_eq!((layer_5.name.as_str(), layer_5.cell_types.as_slice()), ("L5_Exc", &[9, 10, 11][..]));
        // A class pooled over layers stands for one cell type at a time.
        let sst = targets.rate_evoked_hz.iter().find(|r| r.name == "L4_SST").unwrap();
        assert_eq!(sst.cell_types, [7]);
        assert_eq!(
            targets.osi.iter().map(|r| &r.name).collect::<Vec<_>>(),
            targets.dsi.iter().map(|r| &r.name).collect::<Vec<_>>()
        );
        assert_ne!(targets.rate_evoked_hz[1], held_out.rate_evoked_hz[1]);
    }
}

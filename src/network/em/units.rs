//! The unit of the positions of an EM table: voxels or um read as nm give a network of another shape without a word.

use std::path::Path;

use super::table::Table;
use crate::error::{Error, Result};
use crate::network::scene::EmScene;

/// Fewer cells than these do not show their unit.
const FEWEST_CELLS: usize = 20;
/// Cells that cortex has no more of, a mm^3: MICrONS has 144,000 nuclei in its mm^3 of mouse visual cortex, glia included.
const MOST_PER_MM3: f64 = 5e5;
/// A volume thinner than this, um, could be one of few layers, or voxels.
const THIN_UM: f64 = 250.0;
/// A slab thinner than this, um, and this many times wider, could be voxels that are longer along z, as sections are thicker than pixels.
const SLAB_UM: f64 = 60.0;
const SLAB_RATIO: f64 = 4.0;
/// No sample is wider, um.
const WIDEST_UM: f64 = 2e4;
/// Ends of column names that name a unit other than nm.
const OTHER_UNITS: [&str; 6] = ["_um", "_micron", "_microns", "_mm", "_vx", "_voxel"];

/// The size of a unit of the positions.
pub(super) struct Scale {
    /// Along x, y and z, nm.
    pub(super) nm: [f64; 3],
    /// Whether the scene or the file says it.
    pub(super) is_said: bool,
}

/// The unit that the scene says, or that the file says in the attributes that CAVE's client gives a table; else nm, which is to be
/// checked with [`refuse_what_cannot_be_nm`].
///
/// # Errors
/// Columns named for another unit where none is said.
pub(super) fn nm_per_unit(scene: &EmScene, file: &Path, table: &Table, columns: &[&str]) -> Result<Scale> {
    match scene.nm_per_unit[..] {
        [all] => return Ok(Scale { nm: [all; 3], is_said: true }),
        [x, y, z] => return Ok(Scale { nm: [x, y, z], is_said: true }),
        _ => {}
    }
    if let Some(nm) = resolution(table) {
        return Ok(Scale { nm, is_said: true });
    }
    let other =
        columns.iter().find(|name| OTHER_UNITS.iter().any(|unit| name.to_lowercase().ends_with(unit)));
    match other {
        Some(name) => {
            let reason = format!(
                "column '{name}' is not in nm by its name; say the size of its unit, e.g. network.em.nm_per_unit = [1000] for um"
            );
            Err(Error::file(file, reason))
        }
        None => Ok(Scale { nm: [1.0; 3], is_said: false }),
    }
}

/// The attribute `dataframe_resolution`. [1, 1, 1] says nothing: tables whose scale their owner did not set have it beside voxels.
fn resolution(table: &Table) -> Option<[f64; 3]> {
    let attributes = table.attributes()?;
    let all: Vec<f64> =
        attributes.get("dataframe_resolution")?.as_array()?.iter().filter_map(|v| v.as_f64()).collect();
    let nm: [f64; 3] = all.try_into().ok()?;
    (nm != [1.0; 3] && nm.iter().all(|nm| nm.is_finite() && *nm > 0.0)).then_some(nm)
}

/// What positions in nm span along each axis, um.
pub(super) fn extent_um(at_nm: &[[f64; 3]]) -> [f64; 3] {
    [0, 1, 2].map(|axis| {
        let along = || at_nm.iter().map(|at| at[axis]);
        let span = along().fold(f64::NEG_INFINITY, f64::max) - along().fold(f64::INFINITY, f64::min);
        if at_nm.is_empty() { 0.0 } else { 1e-3 * span }
    })
}

/// Refuses positions, taken as nm, that no volume of cortex has.
pub(super) fn refuse_what_cannot_be_nm(file: &Path, table: &Table, at_nm: &[[f64; 3]]) -> Result<()> {
    if at_nm.len() < FEWEST_CELLS {
        return Ok(());
    }
    let [x, y, z] = extent_um(at_nm);
    // A cell takes up some room, whatever the others do.
    let mm3 = [x, y, z].map(|um| 1e-3 * um.max(10.0)).iter().product::<f64>();
    let per_mm3 = at_nm.len() as f64 / mm3;
    let is_slab = x.min(z) < SLAB_UM && x.max(z) > SLAB_RATIO * x.min(z);
    let is_doubtful =
        per_mm3 > MOST_PER_MM3 || y < THIN_UM || is_slab || [x, y, z].iter().any(|um| *um > WIDEST_UM);
    if !is_doubtful {
        return Ok(());
    }
    let of_cave = match table.columns_ending("pt_position").is_empty() {
        true => "",
        false => " (CAVE gives pt_position in voxels unless desired_resolution is [1, 1, 1])",
    };
    let reason = format!(
        "the unit of the positions is not said, and as nm they would put {} cells within {x:.3} x {y:.3} x {z:.3} um (x, y, z), {per_mm3:.2e} a mm^3, where cortex is some 1000 um deep and has 1.5e5; say it as network.em.nm_per_unit, e.g. [4, 4, 40] for voxels of MICrONS{of_cave}, [1000] for um, or [1] if they are nm",
        at_nm.len(),
    );
    Err(Error::file(file, reason))
}

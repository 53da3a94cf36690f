//! Placement of the LGN units: where each looks, how large its receptive field is and how it is oriented.
//!
//! The visual field is 120 x 80 degrees in 15 x 10 tiles; every tile holds the same number of units of each class, at
//! random places within it, so that coverage is even. The rule and its figures follow the published builder
//! (Billeh et al. 2020; Allen Institute `biorealistic-v1-model`). The V1 neuron at the origin looks at
//! [`FIELD_CENTRE_DEG`].

use super::random::{Draws, Owner};
use super::tables::LgnUnitClass;
use crate::model::rng::Stream;

/// Tiles of the visual field along x (azimuth) and y (elevation).
pub const N_TILES: [usize; 2] = [15, 10];
/// Edge of a square tile, deg of visual angle.
pub const TILE_DEG: f64 = 8.0;
/// Centre of the visual field and of the modelled patch of V1, deg.
pub const FIELD_CENTRE_DEG: [f64; 2] =
    [0.5 * TILE_DEG * N_TILES[0] as f64, 0.5 * TILE_DEG * N_TILES[1] as f64];

/// Relative half-width of the uniform jitter that tells the units of a class apart.
pub const JITTER: f64 = 0.025;

/// LGN units, one entry each, ordered by class, then by tile (x outer, y inner).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LgnUnits {
    /// Index into the table of classes.
    pub class_ix: Vec<u8>,
    /// Azimuth of the receptive field's centre, deg in [0, 120).
    pub x_deg: Vec<f32>,
    /// Elevation of the receptive field's centre, deg in [0, 80).
    pub y_deg: Vec<f32>,
    /// Diameter of the spatial filter, deg.
    pub size_deg: Vec<f32>,
    /// Direction from the dominant to the other subfield, deg in [0, 360); 0 for classes of one subfield.
    pub tuning_angle_deg: Vec<f32>,
    /// Distance between the two subfields, deg; 0 for classes of one subfield.
    pub subfield_separation_deg: Vec<f32>,
}

impl LgnUnits {
    /// Number of units.
    pub fn len(&self) -> usize {
        self.class_ix.len()
    }

    /// Whether there is no unit.
    pub fn is_empty(&self) -> bool {
        self.class_ix.is_empty()
    }
}

/// Places the units of all classes: a function of the table and the seed alone.
pub fn place(classes: &[LgnUnitClass], seed: u64) -> LgnUnits {
    let mut units = LgnUnits::default();
    for (class_ix, class) in classes.iter().enumerate() {
        for tile_x in 0..N_TILES[0] {
            for tile_y in 0..N_TILES[1] {
                for _ in 0..class.n_per_tile {
                    let mut draws = Draws::new(seed, Stream::Positions, Owner::LgnUnit, units.len() as u64);
                    push_unit(&mut units, class_ix as u8, class, [tile_x, tile_y], &mut draws);
                }
            }
        }
    }
    units
}

/// Draws one unit of `class` in a tile. The order of the draws is part of the network's definition.
fn push_unit(units: &mut LgnUnits, class_ix: u8, class: &LgnUnitClass, tile: [usize; 2], draws: &mut Draws) {
    let [x_deg, y_deg] = tile.map(|t| (t as f64 + draws.uniform()) * TILE_DEG);
    let [min_deg, max_deg] = class.size_range_deg;
    let size_deg = if max_deg > min_deg {
        triangular(min_deg, min_deg + 1.0, max_deg, draws.uniform())
    } else {
        min_deg
    };
    let (tuning_angle_deg, separation_deg) = match &class.second {
        Some(second) => (
            draws.uniform_in(0.0, 360.0),
            second.separation_deg * draws.uniform_in(1.0 - JITTER, 1.0 + JITTER),
        ),
        None => (0.0, 0.0),
    };
    units.class_ix.push(class_ix);
    units.x_deg.push(x_deg as f32);
    units.y_deg.push(y_deg as f32);
    units.size_deg.push(size_deg as f32);
    units.tuning_angle_deg.push(tuning_angle_deg as f32);
    units.subfield_separation_deg.push(separation_deg as f32);
}

/// Quantile `u` of the triangular distribution on [min, max] with the given mode.
fn triangular(min: f64, mode: f64, max: f64, u: f64) -> f64 {
    let width = max - min;
    if u * width < mode - min {
        min + (u * width * (mode - min)).sqrt()
    } else {
        max - ((1.0 - u) * width * (max - mode)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::Tables;
    use super::*;

    /// Two classes of the table: sON_TF8 with sizes from 2 to 9 deg, and sONsOFF_001 with two subfields 6 deg apart.
    fn classes() -> Vec<LgnUnitClass> {
        let tables = Tables::read("scenes/v1").unwrap();
        let class = |name: &str| tables.lgn_units.iter().find(|c| c.name == name).unwrap().clone();
        vec![class("sON_TF8"), class("sONsOFF_001")]
    }

    #[test]
    fn every_tile_holds_its_units_of_each_class() {
        let classes = classes();
        let units = place(&classes, 1);
        assert_eq!(units.len(), (15 + 8) * 150);
        let mut counts = vec![[0usize; 2]; 150];
        for i in 0..units.len() {
            let tile = [units.x_deg[i], units.y_deg[i]].map(|v| (f64::from(v) / TILE_DEG) as usize);
            counts[tile[0] * 10 + tile[1]][units.class_ix[i] as usize] += 1;
        }
        assert!(counts.iter().all(|c| *c == [15, 8]), "{counts:?}");
    }

    #[test]
    fn sizes_follow_the_triangular_distribution() {
        let units = place(&classes(), 2);
        let sizes: Vec<f64> = (0..units.len())
            .filter(|&i| units.class_ix[i] == 0)
            .map(|i| f64::from(units.size_deg[i]))
            .collect();
        // Mean and variance of a triangle on [2, 9] with mode 3.
        let (a, c, b) = (2.0f64, 3.0, 9.0);
        let mean = (a + b + c) / 3.0;
        let var = (a * a + b * b + c * c - a * b - a * c - b * c) / 18.0;
        let n = sizes.len() as f64;
        let z = (sizes.iter().sum::<f64>() / n - mean) / (var / n).sqrt();
        assert!(z.abs() < 4.0, "mean size off by z = {z}");
        let below_mode = sizes.iter().filter(|s| **s < c).count() as f64;
        let p = (c - a) / (b - a);
        let z = (below_mode - n * p) / (n * p * (1.0 - p)).sqrt();
        assert!(z.abs() < 4.0, "{below_mode} of {n} below the mode, z = {z}");
        assert!(sizes.iter().all(|s| (2.0..=9.0).contains(s)));
    }

    #[test]
    fn only_classes_of_two_subfields_are_oriented() {
        let units = place(&classes(), 3);
        for i in 0..units.len() {
            if units.class_ix[i] == 0 {
                assert_eq!((units.tuning_angle_deg[i], units.subfield_separation_deg[i]), (0.0, 0.0));
            } else {
                assert!((0.0..360.0).contains(&units.tuning_angle_deg[i]));
                assert!((5.849..6.151).contains(&units.subfield_separation_deg[i]));
                assert_eq!(units.size_deg[i], 6.0);
            }
        }
    }

    #[test]
    fn a_unit_depends_on_seed_and_index_only() {
        let two = place(&classes(), 4);
        let one = place(&classes()[..1], 4);
        assert_eq!(two.x_deg[..one.len()], one.x_deg[..]);
        assert_ne!(place(&classes(), 5), two);
    }
}

//! The rule that says how probable a connection between two neurons is (Billeh et al. 2020, Rossi et al. 2020, and the
//! EM volume V1DD through the tables).
//!
//! With d the distance in the cortical sheet, measured in standard deviations of a Gaussian that lies about a point
//! beside the target,
//!
//! `p = min(1, p_max exp(-d^2 / 2) f(orientation difference) n_synapses / mean n_synapses)`.
//!
//! The Gaussian's centre is 50 um off the target along its preferred direction, ahead for inhibitory sources and behind
//! for excitatory ones, for targets within 1.5 core radii, and on the target elsewhere. For excitatory sources it is
//! also 1.5 times wider across the preferred direction and 1.5 times narrower along it.

use rayon::prelude::*;

use super::tables::{Connection, Tables};
use super::{CLASS_OF_SOURCE_TYPE, N_CELL_TYPES, Neurons, class_is_inhibitory};

/// Distance of the Gaussian's centre from the target, um (Rossi et al. 2020).
const DISPLACEMENT_UM: f64 = 50.0;
/// Targets further off than this many core radii have their sources about themselves.
const DISPLACED_WITHIN_CORE_RADII: f64 = 1.5;
/// Stretch of the Gaussian of excitatory sources across, and shrinkage along, the preferred direction.
const STRETCH: f64 = 1.5;

/// Whether the neurons of a cell type inhibit.
pub(crate) const fn cell_type_is_inhibitory(cell_type_ix: usize) -> bool {
    class_is_inhibitory(CLASS_OF_SOURCE_TYPE[cell_type_ix])
}

/// What the rule needs to know of a target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// Position in the cortical sheet, um.
    pub(crate) x_um: f64,
    /// Position in the cortical sheet, um.
    pub(crate) z_um: f64,
    /// Preferred direction, deg.
    pub(crate) tuning_angle_deg: f64,
    /// Its cell type.
    pub(crate) cell_type_ix: usize,
    /// Synapses it receives over the mean of its population.
    pub(crate) relative_size: f64,
    displacement_um: f64,
}

impl Site {
    /// The site of neuron `neuron_ix`.
    pub(crate) fn of(tables: &Tables, neurons: &Neurons, neuron_ix: usize, core_radius_um: f64) -> Self {
        let population = &tables.populations[neurons.population_ix[neuron_ix] as usize];
        let (x_um, z_um) = (f64::from(neurons.x_um[neuron_ix]), f64::from(neurons.z_um[neuron_ix]));
        let displaced = x_um.hypot(z_um) <= DISPLACED_WITHIN_CORE_RADII * core_radius_um;
        Self {
            x_um,
            z_um,
            tuning_angle_deg: f64::from(neurons.tuning_angle_deg[neuron_ix]),
            cell_type_ix: population.cell_type_ix,
            relative_size: f64::from(neurons.target_n_synapses[neuron_ix])
                / whole_mean(population.n_synapses_mean()),
            displacement_um: if displaced { DISPLACEMENT_UM } else { 0.0 },
        }
    }
}

/// The mean synapse count of a population in whole synapses, rounded down as in the published network.
pub(crate) fn whole_mean(n_synapses_mean: f64) -> f64 {
    n_synapses_mean.floor()
}

/// The Gaussian of sources of one sign about one target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gaussian {
    centre_um: [f64; 2],
    cos: f64,
    sin: f64,
    /// 1 / standard deviation along and across the preferred direction, 1/um.
    per_sd: [f64; 2],
}

impl Gaussian {
    /// The Gaussian for excitatory or inhibitory sources of a target.
    pub(crate) fn new(connection: &Connection, site: &Site, source_is_inhibitory: bool) -> Self {
        let target_is_inhibitory = cell_type_is_inhibitory(site.cell_type_ix);
        let sigma_um =
            connection.sigma_um[usize::from(source_is_inhibitory)][usize::from(target_is_inhibitory)];
        let (sin, cos) = site.tuning_angle_deg.to_radians().sin_cos();
        let (ahead_um, stretch) =
            if source_is_inhibitory { (site.displacement_um, 1.0) } else { (-site.displacement_um, STRETCH) };
        Self {
            centre_um: [site.x_um + ahead_um * cos, site.z_um + ahead_um * sin],
            cos,
            sin,
            per_sd: [stretch / sigma_um, 1.0 / (stretch * sigma_um)],
        }
    }

    /// Squared distance of a point from the centre in standard deviations.
    pub(crate) fn distance_squared(&self, x_um: f64, z_um: f64) -> f64 {
        let (dx, dz) = (x_um - self.centre_um[0], z_um - self.centre_um[1]);
        let along = (self.cos * dx + self.sin * dz) * self.per_sd[0];
        let across = (self.cos * dz - self.sin * dx) * self.per_sd[1];
        along * along + across * across
    }

    /// A lower bound on the distance, in standard deviations, of all points within `radius_um` of a point.
    pub(crate) fn distance_at_least(&self, x_um: f64, z_um: f64, radius_um: f64) -> f64 {
        (self.distance_squared(x_um, z_um).sqrt() - radius_um * self.per_sd[0].max(self.per_sd[1])).max(0.0)
    }
}

/// How probability depends on the difference in preferred orientation, linear from 0 to 90 deg, with mean 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LikeToLike {
    /// Factor at 0 deg, at least 1.
    pub(crate) at_0_deg: f64,
    /// Factor at 90 deg, at most 1.
    pub(crate) at_90_deg: f64,
}

impl LikeToLike {
    /// The dependence between cell types, if there is one.
    pub(crate) fn between(
        connection: &Connection,
        source_cell_type: usize,
        target_cell_type: usize,
    ) -> Option<Self> {
        let sign = |cell_type_ix| usize::from(cell_type_is_inhibitory(cell_type_ix));
        let ratio = connection.like_to_like_ratio[sign(source_cell_type)][sign(target_cell_type)];
        (ratio > 0.0).then(|| Self { at_0_deg: 2.0 / (1.0 + ratio), at_90_deg: 2.0 * ratio / (1.0 + ratio) })
    }

    /// The factor for two preferred directions.
    pub(crate) fn factor(&self, a_deg: f64, b_deg: f64) -> f64 {
        let difference_deg = orientation_difference_deg(a_deg, b_deg);
        self.at_0_deg + (self.at_90_deg - self.at_0_deg) * difference_deg / 90.0
    }
}

/// Difference of two preferred orientations, deg in [0, 90].
pub(crate) fn orientation_difference_deg(a_deg: f64, b_deg: f64) -> f64 {
    let d = direction_difference_deg(a_deg, b_deg);
    d.min(180.0 - d)
}

/// Difference of two preferred directions, deg in [0, 180].
pub(crate) fn direction_difference_deg(a_deg: f64, b_deg: f64) -> f64 {
    let d = (a_deg - b_deg).rem_euclid(360.0);
    d.min(360.0 - d)
}

/// Expected number of edges and its sampling variance, `[source cell type][target cell type]`.
pub type ExpectedEdges = [[EdgeCount; N_CELL_TYPES]; N_CELL_TYPES];

/// The number of edges of one pair type as the rule has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EdgeCount {
    /// Sum of the probabilities of all pairs.
    pub mean: f64,
    /// Variance of the drawn number: sum of p (1 - p).
    pub variance: f64,
}

/// Applies the rule to every pair of a source and one of `targets`: what the drawn numbers of edges onto them are to be
/// compared with. About 20 ns a pair.
pub fn expected_edges(
    tables: &Tables,
    neurons: &Neurons,
    targets: impl IntoParallelIterator<Item = usize>,
    core_radius_um: f64,
) -> ExpectedEdges {
    let add = |mut a: Box<ExpectedEdges>, b: Box<ExpectedEdges>| {
        for (x, y) in a.as_flattened_mut().iter_mut().zip(b.as_flattened()) {
            x.mean += y.mean;
            x.variance += y.variance;
        }
        a
    };
    let zero = || Box::new([[EdgeCount::default(); N_CELL_TYPES]; N_CELL_TYPES]);
    let total = targets
        .into_par_iter()
        .fold(zero, |mut sum, target_ix| {
            let site = Site::of(tables, neurons, target_ix, core_radius_um);
            let gaussians =
                [false, true].map(|inhibitory| Gaussian::new(&tables.connection, &site, inhibitory));
            for source_ix in (0..neurons.len()).filter(|&source_ix| source_ix != target_ix) {
                let source_type = neurons.cell_type_ix[source_ix] as usize;
                let (x, z) = (f64::from(neurons.x_um[source_ix]), f64::from(neurons.z_um[source_ix]));
                let gaussian = &gaussians[usize::from(cell_type_is_inhibitory(source_type))];
                let angle_deg = f64::from(neurons.tuning_angle_deg[source_ix]);
                let p = tables.connection.p_max[source_type][site.cell_type_ix]
                    * site.relative_size
                    * (-0.5 * gaussian.distance_squared(x, z)).exp()
                    * LikeToLike::between(&tables.connection, source_type, site.cell_type_ix)
                        .map_or(1.0, |like| like.factor(angle_deg, site.tuning_angle_deg));
                let p = p.min(1.0);
                let count = &mut sum[source_type][site.cell_type_ix];
                count.mean += p;
                count.variance += p * (1.0 - p);
            }
            sum
        })
        .reduce(zero, add);
    *total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_wrap() {
        assert_eq!(direction_difference_deg(350.0, 10.0), 20.0);
        assert_eq!(direction_difference_deg(0.0, 180.0), 180.0);
        assert_eq!(orientation_difference_deg(350.0, 10.0), 20.0);
        assert_eq!(orientation_difference_deg(0.0, 170.0), 10.0);
        assert_eq!(orientation_difference_deg(45.0, 315.0), 90.0);
    }

    fn connection() -> Connection {
        Connection {
            p_max: [[0.1; N_CELL_TYPES]; N_CELL_TYPES],
            sigma_um: [[100.0; 2]; 2],
            like_to_like_ratio: [[0.5, 0.0], [0.0, 0.0]],
        }
    }

    fn site() -> Site {
        // L2/3_Exc, preferring the direction of +z.
        Site {
            x_um: 10.0,
            z_um: 20.0,
            tuning_angle_deg: 90.0,
            cell_type_ix: 1,
            relative_size: 1.0,
            displacement_um: 50.0,
        }
    }

    #[test]
    fn gaussians_are_displaced_and_stretched() {
        let exc = Gaussian::new(&connection(), &site(), false);
        assert!(exc.distance_squared(10.0, -30.0) < 1e-20, "excitatory sources lie behind the target");
        assert!((exc.distance_squared(10.0, -130.0) - 2.25).abs() < 1e-12, "narrow along the direction");
        assert!((exc.distance_squared(110.0, -30.0) - 1.0 / 2.25).abs() < 1e-12, "wide across it");
        let inh = Gaussian::new(&connection(), &site(), true);
        assert!(inh.distance_squared(10.0, 70.0) < 1e-20, "inhibitory sources lie ahead of it");
        assert!((inh.distance_squared(110.0, 70.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_bound_on_distance_holds() {
        for inhibitory in [false, true] {
            let g = Gaussian::new(&connection(), &site(), inhibitory);
            for i in 0..200 {
                let centre = [f64::from(i % 20) * 30.0 - 300.0, f64::from(i / 20) * 60.0 - 300.0];
                let (sin, cos) = (f64::from(i) * 0.7).sin_cos();
                let d = g.distance_squared(centre[0] + 14.0 * cos, centre[1] + 14.0 * sin).sqrt();
                assert!(g.distance_at_least(centre[0], centre[1], 14.0) <= d + 1e-12);
            }
        }
    }

    #[test]
    fn like_to_like_is_between_excitatory_neurons_only() {
        let like = LikeToLike::between(&connection(), 1, 5).unwrap();
        assert_eq!((like.factor(0.0, 180.0), like.factor(0.0, 90.0)), (4.0 / 3.0, 2.0 / 3.0));
        assert_eq!(LikeToLike::between(&connection(), 1, 2), None);
        assert_eq!(LikeToLike::between(&connection(), 2, 1), None);
    }
}

//! Draws the recurrent edges of one target from the connection rule without looking at every pair.
//!
//! Sources of a cell type are sorted into the squares of a grid. Within a square all probabilities lie below a bound b,
//! so candidates can be found by skipping: with hazard h = -ln(1 - b) a source, the next candidate is the one at which
//! an exponential budget is used up, and a whole square costs one subtraction when the budget outlasts it. A candidate
//! becomes an edge with probability p / (1 - exp(-h)), so every pair is connected with exactly p, independently.

use super::connection::{Gaussian, LikeToLike, Site, cell_type_is_inhibitory};
use super::random::Draws;
use super::tables::Connection;
use super::{N_CELL_TYPES, Neurons};

/// Sources sorted by cell type and grid square.
pub(crate) struct SourceGrid {
    /// Centres of the squares that hold a neuron, um.
    squares: Vec<[f64; 2]>,
    /// Half the diagonal of a square, um.
    half_diagonal_um: f64,
    types: Vec<SourcesOfType>,
}

/// The neurons of one cell type in the order of their squares.
#[derive(Default)]
struct SourcesOfType {
    /// (square, first, number) of every square that holds one of them.
    runs: Vec<(u32, u32, u32)>,
    sources: Vec<Source>,
}

#[derive(Clone, Copy)]
struct Source {
    neuron_ix: u32,
    x_um: f32,
    z_um: f32,
    tuning_angle_deg: f32,
}

/// Squares along the radius of the cylinder: more make tighter bounds, but each target visits every square.
const SQUARES_PER_RADIUS: f64 = 16.0;

impl SourceGrid {
    /// Sorts the neurons of a cylinder of `radius_um`.
    pub(crate) fn new(neurons: &Neurons, radius_um: f64) -> Self {
        let edge_um = radius_um / SQUARES_PER_RADIUS;
        let square_of = |i: usize| {
            let index = |v: f32| (f64::from(v) / edge_um).floor() as i32;
            (index(neurons.x_um[i]), index(neurons.z_um[i]))
        };
        let mut order: Vec<usize> = (0..neurons.len()).collect();
        order.sort_by_key(|&i| (square_of(i), i));
        let mut squares: Vec<[f64; 2]> = Vec::new();
        let mut types: Vec<SourcesOfType> = (0..N_CELL_TYPES).map(|_| SourcesOfType::default()).collect();
        let mut last = None;
        for i in order {
            let square = square_of(i);
            if last != Some(square) {
                squares.push([square.0, square.1].map(|index| (f64::from(index) + 0.5) * edge_um));
                last = Some(square);
            }
            let square_ix = squares.len() as u32 - 1;
            let of_type = &mut types[neurons.cell_type_ix[i] as usize];
            match of_type.runs.last_mut() {
                Some(run) if run.0 == square_ix => run.2 += 1,
                _ => of_type.runs.push((square_ix, of_type.sources.len() as u32, 1)),
            }
            of_type.sources.push(Source {
                neuron_ix: i as u32,
                x_um: neurons.x_um[i],
                z_um: neurons.z_um[i],
                tuning_angle_deg: neurons.tuning_angle_deg[i],
            });
        }
        Self { squares, half_diagonal_um: edge_um * std::f64::consts::FRAC_1_SQRT_2, types }
    }

    /// For every square the largest value of the Gaussian in it.
    fn envelope(&self, gaussian: &Gaussian, envelope: &mut Vec<f64>) {
        envelope.clear();
        envelope.extend(self.squares.iter().map(|&[x, z]| {
            let d = gaussian.distance_at_least(x, z, self.half_diagonal_um);
            (-0.5 * d * d).exp()
        }));
    }

    /// Draws all sources of the target `target_ix` at `site` and hands each to `connect` as (neuron, cell type,
    /// preferred direction in deg). `scratch` is working space.
    pub(crate) fn draw_sources(
        &self,
        connection: &Connection,
        site: &Site,
        target_ix: usize,
        draws: &mut Draws,
        scratch: &mut Scratch,
        mut connect: impl FnMut(u32, usize, f64),
    ) {
        let gaussians = [false, true].map(|inhibitory| Gaussian::new(connection, site, inhibitory));
        for (gaussian, envelope) in gaussians.iter().zip(&mut scratch.envelopes) {
            self.envelope(gaussian, envelope);
        }
        for (source_type, of_type) in self.types.iter().enumerate() {
            let peak = connection.p_max[source_type][site.cell_type_ix] * site.relative_size;
            if peak <= 0.0 {
                continue;
            }
            let inhibitory = usize::from(cell_type_is_inhibitory(source_type));
            let like_to_like = LikeToLike::between(connection, source_type, site.cell_type_ix);
            let accept = |source: &Source| {
                let d2 =
                    gaussians[inhibitory].distance_squared(f64::from(source.x_um), f64::from(source.z_um));
                let factor = like_to_like.map_or(1.0, |like| {
                    like.factor(f64::from(source.tuning_angle_deg), site.tuning_angle_deg)
                });
                (peak * factor * (-0.5 * d2).exp()).min(1.0)
            };
            let bound = peak * like_to_like.map_or(1.0, |like| like.at_0_deg);
            of_type.thin(bound, &scratch.envelopes[inhibitory], draws, accept, |source| {
                if source.neuron_ix as usize != target_ix {
                    connect(source.neuron_ix, source_type, f64::from(source.tuning_angle_deg));
                }
            });
        }
    }
}

/// Working space of [`SourceGrid::draw_sources`], reused from target to target.
#[derive(Default)]
pub(crate) struct Scratch {
    envelopes: [Vec<f64>; 2],
}

/// A hazard at which every source is a candidate.
const CERTAIN: f64 = 1e3;

/// A hazard h with 1 - exp(-h) >= bound, cheap where the bound is small.
fn hazard(bound: f64) -> f64 {
    if bound < 0.5 {
        // -ln(1 - b) = b + b^2/2 + b^3/3 + .. <= b + b^2 up to b = 0.68.
        bound + bound * bound
    } else if bound < 1.0 {
        -(-bound).ln_1p()
    } else {
        CERTAIN
    }
}

impl SourcesOfType {
    /// Visits each source independently with `probability(source)`, which is at most `bound * envelope` of its square.
    fn thin(
        &self,
        bound: f64,
        envelope: &[f64],
        draws: &mut Draws,
        probability: impl Fn(&Source) -> f64,
        mut visit: impl FnMut(&Source),
    ) {
        let mut budget = draws.exponential();
        for &(square, first, n) in &self.runs {
            let h = hazard(bound * envelope[square as usize]);
            let run = &self.sources[first as usize..(first + n) as usize];
            let mut next = 0;
            while budget < (run.len() - next) as f64 * h {
                next += (budget / h) as usize;
                // The quotient may round up to the whole run.
                let Some(source) = run.get(next) else { break };
                let p_candidate = -(-h).exp_m1();
                if draws.uniform() * p_candidate < probability(source) {
                    visit(source);
                }
                next += 1;
                budget = draws.exponential();
            }
            budget -= (run.len() - next.min(run.len())) as f64 * h;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Owner;
    use super::*;
    use crate::model::rng::Stream;

    #[test]
    fn the_hazard_covers_its_bound() {
        for i in 0..=1000 {
            let bound = f64::from(i) * 1e-3;
            assert!(-(-hazard(bound)).exp_m1() >= bound * (1.0 - 1e-15), "bound {bound}");
        }
    }

    /// Thinning must give each source its own probability, whatever the bound of its square.
    #[test]
    fn thinning_draws_each_source_with_its_probability() {
        let source = |i: u32| Source { neuron_ix: i, x_um: 0.0, z_um: 0.0, tuning_angle_deg: 0.0 };
        let of_type = SourcesOfType {
            runs: vec![(0, 0, 30), (1, 30, 1), (2, 31, 9)],
            sources: (0..40).map(source).collect(),
        };
        let envelope = [0.02, 1.0, 0.4];
        let p = |s: &Source| match s.neuron_ix {
            30 => 1.0,
            i if i < 30 => 0.02 * f64::from(i) / 30.0,
            i => 0.4 * f64::from(i - 30) / 10.0,
        };
        let n = 100_000;
        let mut counts = [0u32; 40];
        for trial in 0..n {
            let mut draws = Draws::new(3, Stream::Connections, Owner::Neuron, trial as u64);
            of_type.thin(1.0, &envelope, &mut draws, p, |s| counts[s.neuron_ix as usize] += 1);
        }
        let mut mean_square = 0.0;
        for (count, s) in counts.iter().zip(&of_type.sources) {
            let (p, n) = (p(s), n as f64);
            if p == 0.0 || p == 1.0 {
                assert_eq!(f64::from(*count), p * n);
            } else {
                let z = (f64::from(*count) - p * n) / (p * (1.0 - p) * n).sqrt();
                assert!(z.abs() < 4.5, "source {}: z = {z}", s.neuron_ix);
                mean_square += z * z / 38.0;
            }
        }
        assert!((mean_square - 1.0).abs() < 4.0 * (2.0f64 / 38.0).sqrt(), "mean square of z {mean_square}");
    }
}

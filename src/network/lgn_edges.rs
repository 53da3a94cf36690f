//! Draws the LGN units that project to one V1 neuron, and with how many synapses (Billeh et al. 2020).
//!
//! A neuron looks at the place in the visual field that its position in the cortical sheet stands for. It draws from
//! sustained ON or from sustained OFF units, and from transient OFF units; the sustained ones from one side of that place and the
//! transient ones from the other, along its preferred direction, in an area that is elongated across it. Units with two
//! subfields join where their axis is aligned with the neuron's.

use super::lgn_units::{FIELD_CENTRE_DEG, LgnUnits};
use super::random::Draws;
use super::tables::{LgnRule, LgnUnitClass, Tables};
use crate::{Error, Result};

/// Degrees of visual angle per um of cortex along x (azimuth) and z (elevation).
const DEG_PER_UM: [f64; 2] = [0.07, 0.04];
/// Units further off than this are no candidates, deg.
const REACH_DEG: f64 = 40.0;
/// Standard deviation of the spread of an axon, deg.
const SPREAD_DEG: f64 = 5.0;
/// Distance by which sustained and transient units are moved against each other's side, deg.
const SHIFT_DEG: f64 = 2.5;
/// Aspect ratio of the area of origin, longer across the preferred direction.
const ASPECT_RATIO: f64 = 1.5;
/// Oriented units join where their orientation is within this of the neuron's, deg.
const ALIGNED_WITHIN_DEG: f64 = 15.0;
/// LGN synapses of an L4 excitatory neuron over all its synapses.
const LGN_SHARE_OF_SYNAPSES: f64 = 0.2;

/// Kind of a class of LGN units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    SustainedOn,
    SustainedOff,
    TransientOff,
    /// Two subfields.
    Oriented,
}

/// The candidates and what is known of their classes.
pub(crate) struct LgnSources<'a> {
    units: &'a LgnUnits,
    /// Kind and preferred temporal frequency in Hz of each class; the frequency of oriented classes is not used.
    classes: Vec<(Kind, f64)>,
}

/// The neuron that draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LgnTarget<'a> {
    /// The rule of its population.
    pub(crate) rule: &'a LgnRule,
    /// Position in the cortical sheet, um.
    pub(crate) position_um: [f64; 2],
    /// Preferred direction, deg.
    pub(crate) tuning_angle_deg: f64,
    /// Number of synapses it receives in all.
    pub(crate) n_synapses: f64,
}

/// Working space of [`LgnSources::draw`], reused from neuron to neuron.
#[derive(Default)]
pub(crate) struct Scratch {
    keys: Vec<(f64, u32)>,
    distances_squared: Vec<f64>,
    chosen: Vec<(u32, f64)>,
    n_synapses: Vec<u32>,
}

impl<'a> LgnSources<'a> {
    /// The units as sources; the classes are told apart by name.
    pub(crate) fn new(tables: &Tables, units: &'a LgnUnits) -> Result<Self> {
        let classes = tables
            .lgn_units
            .iter()
            .map(|class| {
                kind_of(class).ok_or_else(|| {
                    let limit = "sON_TF<Hz>, sOFF_TF<Hz>, tOFF_TF<Hz>, or a class with a second subfield";
                    Error::field(tables.folder.join("lgn_units.csv"), "class", &class.name, limit)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { units, classes })
    }

    /// Number of units.
    pub(crate) fn len(&self) -> usize {
        self.units.len()
    }

    /// Draws the units of `target` and hands each to `connect` as (unit, number of synapses), in ascending order.
    pub(crate) fn draw(
        &self,
        target: &LgnTarget<'_>,
        draws: &mut Draws,
        scratch: &mut Scratch,
        mut connect: impl FnMut(u32, u32),
    ) {
        self.rank_candidates(target, draws, scratch);
        let rule = target.rule;
        let n_synapses = target.n_synapses * LGN_SHARE_OF_SYNAPSES * rule.synapse_ratio;
        // The mean of the Yule-Simon law is yule / (yule - 1) synapses a connection.
        let n_wanted = (n_synapses * (rule.yule - 1.0) / rule.yule).round() as usize;
        let n = n_wanted.min(scratch.keys.len());
        if n == 0 {
            return;
        }
        if n < scratch.keys.len() {
            scratch.keys.select_nth_unstable_by(n - 1, compare_keys);
            scratch.keys.truncate(n);
        }
        // Which unit comes where among the chosen must not depend on the selection algorithm.
        scratch.keys.sort_unstable_by_key(|&(_, unit_ix)| unit_ix);
        scratch.chosen.clear();
        scratch.chosen.extend(scratch.keys.iter().map(|&(_, i)| (i, scratch.distances_squared[i as usize])));
        assign_synapses(rule.yule, draws, scratch);
        for (&(unit_ix, _), &n) in scratch.chosen.iter().zip(&scratch.n_synapses) {
            connect(unit_ix, n);
        }
    }

    /// Fills `scratch.keys` with a key for every candidate such that those with the n smallest keys are a draw of n
    /// without replacement, each time with probability proportional to weight: key = Exp(1) / weight (Efraimidis
    /// and Spirakis 2006). Keys are logarithms, so that no weight underflows.
    fn rank_candidates(&self, target: &LgnTarget<'_>, draws: &mut Draws, scratch: &mut Scratch) {
        let rule = target.rule;
        let (sin, cos) = target.tuning_angle_deg.to_radians().sin_cos();
        // Sustained OFF neurons take the two sides the other way round.
        let (ignored, side) = if draws.uniform() < rule.s_on_share {
            (Kind::SustainedOff, 1.0)
        } else {
            (Kind::SustainedOn, -1.0)
        };
        let frequency_hz = f64::from(draws.positive_poisson(rule.temporal_frequency_hz));
        let ln_weights = self.ln_class_weights(ignored, frequency_hz);
        let centre: [f64; 2] =
            std::array::from_fn(|k| FIELD_CENTRE_DEG[k] + DEG_PER_UM[k] * target.position_um[k]);
        scratch.keys.clear();
        scratch.distances_squared.clear();
        scratch.distances_squared.resize(self.units.len(), 0.0);
        for unit_ix in 0..self.units.len() {
            let class_ix = self.units.class_ix[unit_ix] as usize;
            let kind = self.classes[class_ix].0;
            if kind == ignored {
                continue;
            }
            let dx = f64::from(self.units.x_deg[unit_ix]) - centre[0];
            let dy = f64::from(self.units.y_deg[unit_ix]) - centre[1];
            if dx * dx + dy * dy > REACH_DEG * REACH_DEG {
                continue;
            }
            if kind == Kind::Oriented {
                let angle_deg = f64::from(self.units.tuning_angle_deg[unit_ix]);
                let off_deg =
                    super::connection::orientation_difference_deg(angle_deg, target.tuning_angle_deg);
                if off_deg >= ALIGNED_WITHIN_DEG {
                    continue;
                }
            }
            let shift_deg = match kind {
                Kind::SustainedOn | Kind::SustainedOff => -side * SHIFT_DEG,
                Kind::TransientOff => side * SHIFT_DEG,
                Kind::Oriented => 0.0,
            };
            let along = dx * cos + dy * sin + shift_deg;
            let across = dy * cos - dx * sin;
            let distance_squared = along * along * ASPECT_RATIO + across * across / ASPECT_RATIO;
            scratch.distances_squared[unit_ix] = distance_squared;
            scratch.keys.push((ln_key(draws, distance_squared, 1.0) - ln_weights[class_ix], unit_ix as u32));
        }
    }

    /// Logarithm of the relative weight of a unit of each class for a neuron of a preferred temporal frequency.
    fn ln_class_weights(&self, ignored: Kind, frequency_hz: f64) -> Vec<f64> {
        let off_hz = |class: &(Kind, f64)| (frequency_hz - class.1).abs();
        self.classes
            .iter()
            .map(|class| {
                if class.0 == Kind::Oriented || class.0 == ignored {
                    return 0.0;
                }
                let of_kind = self.classes.iter().filter(|c| c.0 == class.0);
                let (n, sum_hz) = of_kind.fold((0.0, 0.0), |(n, sum), c| (n + 1.0, sum + off_hz(c)));
                ((1.0 - off_hz(class) / sum_hz) / (n - 1.0)).ln()
            })
            .collect()
    }
}

/// Logarithm of Exp(1) / weight for a Gaussian weight exp(-n d^2 / 2 spread^2).
fn ln_key(draws: &mut Draws, distance_squared: f64, n: f64) -> f64 {
    draws.exponential().ln() + distance_squared * n / (2.0 * SPREAD_DEG * SPREAD_DEG)
}

fn compare_keys(a: &(f64, u32), b: &(f64, u32)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// Kind and frequency of a class, from its name and whether it has two subfields.
fn kind_of(class: &LgnUnitClass) -> Option<(Kind, f64)> {
    if class.second.is_some() {
        return Some((Kind::Oriented, 0.0));
    }
    let (kind, frequency) = class.name.split_once("_TF")?;
    let kind = match kind {
        "sON" => Kind::SustainedOn,
        "sOFF" => Kind::SustainedOff,
        "tOFF" => Kind::TransientOff,
        _ => return None,
    };
    Some((kind, frequency.parse().ok()?))
}

/// Fills `scratch.n_synapses` for the chosen units: Yule-Simon numbers, the largest of which go to near units (a
/// connection of n synapses has the spread of one over the square root of n).
fn assign_synapses(yule: f64, draws: &mut Draws, scratch: &mut Scratch) {
    let mut numbers: Vec<u32> = scratch.chosen.iter().map(|_| draws.yule_simon(yule)).collect();
    numbers.sort_unstable();
    // What is left after all larger numbers are given away has the smallest.
    let smallest = numbers.first().copied().unwrap_or(1);
    scratch.n_synapses.clear();
    scratch.n_synapses.resize(scratch.chosen.len(), smallest);
    let mut open: Vec<u32> = (0..scratch.chosen.len() as u32).collect();
    while let Some(&number) = numbers.last() {
        if number == smallest {
            break;
        }
        let n = numbers.len() - numbers.partition_point(|&m| m < number);
        numbers.truncate(numbers.len() - n);
        let keys = &mut scratch.keys;
        keys.clear();
        keys.extend(
            open.iter().map(|&k| (ln_key(draws, scratch.chosen[k as usize].1, f64::from(number)), k)),
        );
        if n < keys.len() {
            keys.select_nth_unstable_by(n - 1, compare_keys);
        }
        for &(_, k) in &keys[..n] {
            scratch.n_synapses[k as usize] = number;
        }
        open.retain(|&k| scratch.n_synapses[k as usize] == smallest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::orientation_difference_deg;
    use super::super::lgn_units;
    use super::super::random::Owner;
    use super::*;
    use crate::model::rng::Stream;

    /// Draws the units of `n` L4 neurons at the centre of the field and hands each edge to `visit` as (neuron, its direction
    /// in deg, unit, synapses).
    fn draw(n: usize, mut visit: impl FnMut(usize, f64, usize, u32)) -> (Tables, LgnUnits) {
        let tables = Tables::read("scenes/v1").unwrap();
        let units = lgn_units::place(&tables.lgn_units, 1);
        let sources = LgnSources::new(&tables, &units).unwrap();
        let rule = tables.populations.iter().find(|p| p.name == "e4other").unwrap().lgn;
        let mut scratch = Scratch::default();
        for neuron in 0..n {
            let tuning_angle_deg = 360.0 * neuron as f64 / n as f64;
            let target =
                LgnTarget { rule: &rule, position_um: [0.0; 2], tuning_angle_deg, n_synapses: 2000.0 };
            let mut draws = Draws::new(1, Stream::LgnConnections, Owner::Neuron, neuron as u64);
            sources.draw(&target, &mut draws, &mut scratch, |unit, synapses| {
                visit(neuron, tuning_angle_deg, unit as usize, synapses);
            });
        }
        (tables, units)
    }

    #[test]
    fn neurons_have_the_units_and_synapses_of_their_size() {
        let (mut units_of, mut n_synapses) = (vec![0u32; 200], 0.0);
        let (tables, _) = draw(200, |neuron, _, _, synapses| {
            units_of[neuron] += 1;
            n_synapses += f64::from(synapses) / 200.0;
        });
        // A fifth of 2,000 synapses; Yule-Simon of 3.5 makes 1.4 synapses a unit.
        assert_eq!(tables.populations.iter().find(|p| p.name == "e4other").unwrap().lgn.yule, 3.5);
        assert!(units_of.iter().all(|&n| n == 286), "{units_of:?}");
        let sd = (3.5f64.powi(2) / (2.5f64.powi(2) * 1.5) / (286.0 * 200.0)).sqrt() * 286.0;
        assert!((n_synapses - 286.0 * 1.4).abs() < 4.5 * sd, "{n_synapses} synapses a neuron");
    }

    #[test]
    fn neurons_draw_from_one_sustained_kind_and_from_aligned_units() {
        let mut edges = Vec::new();
        let (tables, units) = draw(200, |neuron, angle_deg, unit, _| edges.push((neuron, angle_deg, unit)));
        let mut sides = vec![[false; 2]; 200];
        let mut n_oriented = 0;
        for (neuron, angle_deg, unit) in edges {
            match kind_of(&tables.lgn_units[units.class_ix[unit] as usize]).unwrap().0 {
                Kind::SustainedOn => sides[neuron][0] = true,
                Kind::SustainedOff => sides[neuron][1] = true,
                Kind::TransientOff => (),
                Kind::Oriented => {
                    n_oriented += 1;
                    let off_deg =
                        orientation_difference_deg(f64::from(units.tuning_angle_deg[unit]), angle_deg);
                    assert!(off_deg < ALIGNED_WITHIN_DEG, "{off_deg} deg");
                }
            }
        }
        assert!(n_oriented > 0 && sides.iter().all(|side| side[0] != side[1]), "{sides:?}");
        let n_on = sides.iter().filter(|side| side[0]).count() as f64;
        assert!((n_on - 180.0).abs() < 4.5 * (200.0f64 * 0.9 * 0.1).sqrt(), "{n_on} ON neurons of 200");
    }

    /// ON ahead along the preferred direction and transient OFF behind, or both exchanged for OFF neurons.
    #[test]
    fn kinds_lie_on_their_sides() {
        let mut edges = Vec::new();
        let (tables, units) = draw(400, |_, angle_deg, unit, _| edges.push((angle_deg, unit)));
        let mut along = [(0.0, 0.0); 2];
        for (angle_deg, unit) in edges {
            let kind = kind_of(&tables.lgn_units[units.class_ix[unit] as usize]).unwrap().0;
            let sum = match kind {
                Kind::SustainedOn => &mut along[0],
                Kind::SustainedOff => &mut along[1],
                _ => continue,
            };
            let (sin, cos) = f64::to_radians(angle_deg).sin_cos();
            let [dx, dy] = [
                f64::from(units.x_deg[unit]) - FIELD_CENTRE_DEG[0],
                f64::from(units.y_deg[unit]) - FIELD_CENTRE_DEG[1],
            ];
            *sum = (sum.0 + 1.0, sum.1 + dx * cos + dy * sin);
        }
        let [on, off] = along.map(|(n, sum)| sum / n);
        assert!((on - SHIFT_DEG).abs() < 0.5, "ON units {on} deg ahead");
        assert!((off + SHIFT_DEG).abs() < 0.8, "OFF units {off} deg ahead");
    }
}

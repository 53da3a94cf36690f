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

//! From units to distributions: sessions split, units pooled, quantiles. The rules are those of `tools/derive_tables.py`, with which the shipped
//! tables were derived; the ceilings alone draw other halves of the sessions.

use sha2::{Digest, Sha256};

use super::units::Unit;
use crate::loss::statistics::{ks_between_samples, mean, sorted};
use crate::model::rng::{self, Stream};
use crate::network::CELL_TYPES;
use crate::network::tables::{PROBABILITIES, Quantity, Split};

/// Which sessions are held out follows from this number.
const SPLIT_SEED: u64 = 1;
/// Fewest units of a pool in the training and in the held-out sessions.
const MIN_UNITS: [usize; 2] = [10, 5];
/// Random halves of the sessions for a ceiling.
const N_HALVES: u32 = 200;
const LAYERS: [&str; 4] = ["L2/3", "L4", "L5", "L6"];
/// Classes that were tagged in sessions of their own.
const TAGGED: [&str; 2] = ["SST", "VIP"];

/// A part of the training sessions: the parts have no session in common and together are all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which, from 1 to `of`.
    pub number: usize,
    /// Number of parts, at least 1.
    pub of: usize,
}

impl std::str::FromStr for Part {
    type Err = String;

    /// From `K/N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let part = text
            .split_once('/')
            .and_then(|(number, of)| Some(Self { number: number.parse().ok()?, of: of.parse().ok()? }));
        part.filter(|part| (1..=part.of).contains(&part.number) && part.of <= 100)
            .ok_or_else(|| "must be K/N with K from 1 to N and N at most 100, e.g. 1/2".to_owned())
    }
}

/// A recording session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) session_type: String,
    pub(super) held_out: bool,
    /// Units of excitatory, PV, SST, VIP and Htr3a cells.
    pub(super) n_units: [usize; 5],
}

/// The units that stand for a cell type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pool {
    pub(super) cell_type: &'static str,
    pub(super) split: Split,
    pub(super) name: &'static str,
    pub(super) recorded_types: String,
    pub(super) n_units: usize,
    pub(super) n_sessions: usize,
}

/// A distribution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) of: Pool,
    pub(super) quantity: Quantity,
    pub(super) quantiles: Vec<f64>,
}

/// A mean tuning curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tuning {
    pub(super) of: Pool,
    pub(super) rate_hz: f64,
    pub(super) dsi: f64,
    pub(super) osi: f64,
}

/// How alike halves of the sessions are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ceiling {
    pub(super) cell_type: &'static str,
    pub(super) quantity: Quantity,
    pub(super) n_units: usize,
    pub(super) n_sessions: usize,
    pub(super) n_halves: usize,
    pub(super) similarity: f64,
    pub(super) range: [f64; 2],
}

/// All that is derived.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Derived {
    pub(super) sessions: Vec<Session>,
    pub(super) targets: Vec<Target>,
    pub(super) tuning: Vec<Tuning>,
    pub(super) ceilings: Vec<Ceiling>,
    pub(super) without_target: Vec<String>,
}

/// Derives distributions, curves and ceilings; of the training sessions those of one part, where one is named.
pub(super) fn derive(units: &[Unit], part: Option<Part>) -> Derived {
    let sessions = split_sessions(units, part);
    let session_of = |unit: &Unit| sessions.iter().find(|s| s.id == unit.session_id);
    let units: Vec<(&Unit, Split)> = units
        .iter()
        .filter_map(|unit| {
            let split = if session_of(unit)?.held_out { Split::HeldOut } else { Split::Train };
            Some((unit, split))
        })
        .collect();
    let mut derived = Derived { sessions: sessions.clone(), ..Derived::default() };
    for cell_type in CELL_TYPES {
        for (quantity, name) in Quantity::ALL.into_iter().zip(Quantity::NAMES) {
            let value = |unit: &Unit| unit.values[quantity as usize];
            let Some((pools, of_splits)) = pool_for(&units, cell_type, &|unit| value(unit).is_some()) else {
                derived.without_target.push(format!("{cell_type} {name}"));
                continue;
            };
            let samples: Vec<Vec<(f64, &str)>> = of_splits
                .iter()
                .map(|of| of.iter().filter_map(|u| Some((value(u)?, u.session_id.as_str()))).collect())
                .collect();
            derived.ceilings.extend(ceiling(cell_type, quantity, &samples.concat()));
            for (of, sample) in pools.into_iter().zip(samples) {
                let ordered = sorted(&sample.iter().map(|(v, _)| *v).collect::<Vec<f64>>());
                let quantiles = PROBABILITIES.iter().map(|p| quantile(&ordered, *p)).collect();
                derived.targets.push(Target { of, quantity, quantiles });
            }
        }
        let indices =
            |u: &Unit| [Quantity::EvokedRate, Quantity::Dsi, Quantity::Osi].map(|q| u.values[q as usize]);
        if let Some((pools, of_splits)) = pool_for(&units, cell_type, &|u| !indices(u).contains(&None)) {
            for (of, units) in pools.into_iter().zip(of_splits) {
                let values: Vec<[f64; 3]> =
                    units.iter().map(|u| indices(u).map(Option::unwrap_or_default)).collect();
                let total: f64 = values.iter().map(|v| v[0]).sum();
                let weighted = |k: usize| values.iter().map(|v| v[0] * v[k]).sum::<f64>() / total;
                let rate_hz = total / values.len() as f64;
                // Units that never fired have no curve.
                if total > 0.0 {
                    derived.tuning.push(Tuning { of, rate_hz, dsi: weighted(1), osi: weighted(2) });
                }
            }
        }
    }
    derived
}

/// Sessions in the order of their ids. They are put in strata by session type and by tagged class (SST, VIP or neither); in each stratum they are
/// ordered by sha256("SEED:session_id") and the first fifth, rounded half up, is held out. The others go to the parts in turn, from stratum to
/// stratum; those of other parts than the one asked for are left out.
fn split_sessions(units: &[Unit], part: Option<Part>) -> Vec<Session> {
    let mut ids: Vec<&String> = units.iter().map(|u| &u.session_id).collect();
    ids.sort();
    ids.dedup();
    let mut sessions = Vec::new();
    let mut strata: Vec<((String, &str), Vec<usize>)> = Vec::new();
    for (ix, id) in ids.into_iter().enumerate() {
        let own: Vec<&Unit> = units.iter().filter(|u| u.session_id == *id).collect();
        let count = |class: &str| own.iter().filter(|u| u.cell_type.ends_with(class)).count();
        let tag = TAGGED.into_iter().find(|tag| count(tag) > 0).unwrap_or("none");
        let session_type = own[0].session_type.clone();
        let key = (session_type.clone(), tag);
        match strata.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(ix),
            None => strata.push((key, vec![ix])),
        }
        let n_units = ["Exc", "PV", "SST", "VIP", "Htr3a"].map(count);
        sessions.push(Session { id: id.clone(), session_type, held_out: false, n_units });
    }
    let (mut n_trained, mut left_out) = (0, Vec::new());
    for (_, mut members) in strata {
        members.sort_by_cached_key(|ix| Sha256::digest(format!("{SPLIT_SEED}:{}", sessions[*ix].id)));
        let n_held_out = (0.2 * members.len() as f64 + 0.5).floor() as usize;
        let (held_out, trained) = members.split_at(n_held_out);
        held_out.iter().for_each(|ix| sessions[*ix].held_out = true);
        for ix in trained {
            if part.is_some_and(|part| n_trained % part.of != part.number - 1) {
                left_out.push(*ix);
            }
            n_trained += 1;
        }
    }
    let mut ix = 0..;
    sessions.retain(|_| ix.next().is_some_and(|ix| !left_out.contains(&ix)));
    sessions
}

/// Pools of recorded types that may stand for a cell type, narrowest first.
fn pools_of(cell_type: &str) -> Vec<(&'static str, Vec<String>)> {
    let (layer, kind) = cell_type.split_once('_').unwrap_or((cell_type, ""));
    let by_layers: Vec<String> = LAYERS.iter().map(|layer| format!("{layer} {kind}")).collect();
    let htr3a = || vec!["L1 Htr3a".to_owned()];
    if layer == "L1" {
        let vip = LAYERS.iter().map(|layer| format!("{layer} VIP"));
        return vec![("type", htr3a()), ("lineage", htr3a().into_iter().chain(vip).collect())];
    }
    if ["ET", "IT", "NP"].contains(&kind) {
        return vec![("layer", vec!["L5 Exc".to_owned()])];
    }
    let mut pools = vec![("type", vec![format!("{layer} {kind}")])];
    if TAGGED.contains(&kind) {
        pools.push(("layers", by_layers.clone()));
    }
    if kind == "VIP" {
        pools.push(("lineage", by_layers.into_iter().chain(htr3a()).collect()));
    }
    pools
}

/// The narrowest pool with enough units in the training sessions, and in the held-out ones if there are any: per split what it is, and its units.
fn pool_for<'a>(
    units: &[(&'a Unit, Split)],
    cell_type: &'static str,
    counts: &dyn Fn(&Unit) -> bool,
) -> Option<(Vec<Pool>, Vec<Vec<&'a Unit>>)> {
    let splits: Vec<Split> =
        Split::ALL.into_iter().filter(|split| units.iter().any(|(_, s)| s == split)).collect();
    for (name, recorded) in pools_of(cell_type) {
        let of = |split: Split| -> Vec<&'a Unit> {
            let own = units
                .iter()
                .filter(|(u, s)| *s == split && recorded.iter().any(|r| r == u.cell_type) && counts(u));
            own.map(|(unit, _)| *unit).collect()
        };
        let of_splits: Vec<Vec<&Unit>> = splits.iter().map(|split| of(*split)).collect();
        if splits.iter().zip(&of_splits).all(|(split, of)| of.len() >= MIN_UNITS[*split as usize]) {
            let pools = splits.iter().zip(&of_splits).map(|(split, of)| Pool {
                cell_type,
                split: *split,
                name,
                recorded_types: recorded.join("+"),
                n_units: of.len(),
                n_sessions: sessions_of(of.iter().map(|u| u.session_id.as_str())).len(),
            });
            return Some((pools.collect(), of_splits));
        }
    }
    None
}

fn sessions_of<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Linear interpolation between order statistics (Hyndman and Fan's type 7).
fn quantile(ordered: &[f64], probability: f64) -> f64 {
    let at = probability * (ordered.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(ordered.len() - 1);
    ordered[low] + (at - low as f64) * (ordered[high] - ordered[low])
}

/// Similarity of random halves of the sessions, those with enough units in both; None without such halves.
fn ceiling(cell_type: &'static str, quantity: Quantity, sample: &[(f64, &str)]) -> Option<Ceiling> {
    let mut sessions = sessions_of(sample.iter().map(|(_, session)| *session));
    let mut halves = Vec::new();
    for draw in 0..N_HALVES {
        // Fisher and Yates.
        for last in (1..sessions.len()).rev() {
            let word = rng::word(SPLIT_SEED, Stream::Loss, last as u32, draw, 7);
            sessions.swap(last, ((u64::from(word) * (last as u64 + 1)) >> 32) as usize);
        }
        let first = &sessions[..sessions.len() / 2];
        let half = |own: bool| -> Vec<f64> {
            sample
                .iter()
                .filter(|(_, session)| first.contains(session) == own)
                .map(|(value, _)| *value)
                .collect()
        };
        let [a, b] = [half(true), half(false)];
        if a.len().min(b.len()) >= MIN_UNITS[1] {
            halves.extend(ks_between_samples(&a, &b).map(|ks| 1.0 - ks));
        }
    }
    let ordered = sorted(&halves);
    Some(Ceiling {
        cell_type,
        quantity,
        n_units: sample.len(),
        n_sessions: sessions.len(),
        n_halves: halves.len(),
        similarity: mean(&halves)?,
        range: [0.05, 0.95].map(|p| quantile(&ordered, p)),
    })
}

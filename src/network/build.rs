//! Builds the V1 network: neurons, LGN units and background units, and every edge a neuron receives.
//!
//! Each neuron draws its own incoming edges from sequences of random numbers of its own, in parallel; the edges are
//! then turned round into rows by source. So the network is a function of the tables, the specification and the seed.

use rayon::prelude::*;

use super::connection::{LikeToLike, Site, cell_type_is_inhibitory};
use super::em::{self, EmNetwork};
use super::lgn_edges::{self, LgnSources, LgnTarget};
use super::lgn_units::{self, LgnUnits};
use super::positions::{one_of_each_model, place_neurons};
use super::random::{Draws, Owner};
use super::recurrent::{self, SourceGrid};
use super::scene::RecurrentWeightsScene;
use super::tables::Tables;
use super::weights::{self, InputWeights, PooledLaw, PspLaw, UnitPsps};
use super::{
    BUILT_POPULATION, CLASS_OF_SOURCE_TYPE, MAX_DELAY_STEPS, MAX_NEURONS, N_CELL_TYPES, N_SOURCE_TYPES,
    NamedNodes, Network, Neurons, NodeNames, Rows, pack_target, target_neuron,
};
use crate::memory;
use crate::model::rng::Stream;
use crate::{Error, Result};

/// What to build.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    /// Radius of the cylinder, um, > 0.
    pub radius_um: f64,
    /// Radius of the core, um, > 0: targets within 1.5 core radii have their sources displaced (`connection.rs`).
    pub core_radius_um: f64,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Number of background units.
    pub n_background: usize,
    /// Background units that project to each neuron, at most `n_background`.
    pub background_edges_per_neuron: usize,
    /// Factor on every recurrent weight, >= 0.
    pub recurrent_weight_factor: f64,
    /// Factor on every LGN weight, >= 0.
    pub lgn_weight_factor: f64,
    /// Factor on every background weight, >= 0.
    pub background_weight_factor: f64,
    /// What recurrent weights are drawn from.
    pub recurrent_weights: RecurrentWeightsScene,
    /// Time step to whose multiples delays are rounded, ms, > 0.
    pub dt_ms: f64,
}

impl NetworkSpec {
    /// The published 67,000-neuron network: 400 um, all of it core, 100 background units of which 4 project to a neuron,
    /// delays in steps of 1 ms.
    pub fn published(seed: u64) -> Self {
        Self {
            radius_um: 400.0,
            core_radius_um: 400.0,
            seed,
            n_background: 100,
            background_edges_per_neuron: 4,
            recurrent_weight_factor: 1.0,
            lgn_weight_factor: 1.0,
            background_weight_factor: 1.0,
            recurrent_weights: RecurrentWeightsScene::Measured,
            dt_ms: 1.0,
        }
    }
}

/// Builds the V1 network.
///
/// # Errors
/// Those of [`connect`].
pub fn build(spec: &NetworkSpec, tables: &Tables, unit_psps: &UnitPsps) -> Result<Network> {
    let neurons = place_neurons(tables, spec.radius_um, spec.seed);
    let units = lgn_units::place(&tables.lgn_units, spec.seed);
    connect(spec, tables, unit_psps, neurons, &units)
}

/// Builds the network of EM tables: their neurons and recurrent edges, with LGN and background drawn as for the built network.
///
/// # Errors
/// Those of [`connect`].
pub fn build_em(
    spec: &NetworkSpec,
    tables: &Tables,
    unit_psps: &UnitPsps,
    em: &EmNetwork,
) -> Result<Network> {
    let units = lgn_units::place(&tables.lgn_units, spec.seed);
    let network = connect_given(spec, tables, unit_psps, em.neurons.clone(), &units, Some(em))?;
    let named = NamedNodes { population: BUILT_POPULATION.to_owned(), ids: em.cell_ids.clone() };
    let em_sizes = em_sizes(&network.rows, em);
    Ok(Network { em_sizes, names: Some(NodeNames::new(vec![named])), ..network })
}

/// Sizes of the edges between neurons in the order of the rows.
fn em_sizes(rows: &Rows, em: &EmNetwork) -> Vec<f32> {
    let mut sizes = Vec::with_capacity(em.edges.len());
    for (source, row) in rows.offsets.windows(2).take(em.neurons.len()).enumerate() {
        for word in &rows.targets[row[0] as usize..row[1] as usize] {
            let key = (target_neuron(*word), source as u32);
            let found = em.edges.binary_search_by_key(&key, |edge| (edge.target, edge.source));
            sizes.push(found.map_or(0.0, |at| em.edges[at].size));
        }
    }
    sizes
}

/// Connects neurons and LGN units that are already placed; neurons lie within `spec.radius_um`.
///
/// # Errors
/// Where `unit_psps` lacks a positive figure, a table has a class of LGN units that has no rule, or indices are too small.
pub fn connect(
    spec: &NetworkSpec,
    tables: &Tables,
    unit_psps: &UnitPsps,
    neurons: Neurons,
    units: &LgnUnits,
) -> Result<Network> {
    connect_given(spec, tables, unit_psps, neurons, units, None)
}

/// The same, with the recurrent edges of EM tables where there are some.
fn connect_given(
    spec: &NetworkSpec,
    tables: &Tables,
    unit_psps: &UnitPsps,
    neurons: Neurons,
    units: &LgnUnits,
    em: Option<&EmNetwork>,
) -> Result<Network> {
    unit_psps.check(tables.cells.len())?;
    if neurons.len() > MAX_NEURONS {
        let reason =
            format!("{} neurons are more than the {MAX_NEURONS} that an edge can address", neurons.len());
        return Err(Error::Failed(reason));
    }
    let longest = tables.max_delay_steps(spec.dt_ms);
    if longest > MAX_DELAY_STEPS {
        let dt_ms = spec.dt_ms;
        let reason = format!(
            "the longest delay is {longest} time steps of {dt_ms} ms, an edge can hold at most {MAX_DELAY_STEPS}"
        );
        return Err(Error::Failed(reason));
    }
    let builder = Builder {
        spec,
        tables,
        unit_psps,
        neurons: &neurons,
        grid: SourceGrid::new(&neurons, spec.radius_um),
        lgn: LgnSources::new(tables, units)?,
        psp_laws: weights::psp_laws(tables),
        pooled_laws: weights::pooled_laws(tables, unit_psps),
        em: em.map(GivenEdges::new),
        input_weights: weights::input_weights(tables, unit_psps)?,
    };
    memory::require("building the network", builder.need_bytes())?;
    let incoming: Vec<Incoming> = (0..neurons.len())
        .collect::<Vec<_>>()
        .par_chunks(TARGETS_PER_TASK)
        .map_init(Scratch::default, |scratch, targets| builder.incoming(targets, scratch))
        .collect();
    let unit_type_ix = super::v1_unit_types(units.len(), spec.n_background);
    let source_types = [&neurons.cell_type_ix[..], &unit_type_ix].concat();
    let rows =
        rows_by_source(&incoming, &neurons, &source_types, &delays_by_target_type(tables, spec.dt_ms))?;
    Ok(Network {
        unit_type_ix,
        populations: tables.populations(),
        cell_models: tables.cell_models(),
        n_lgn: units.len(),
        n_background: spec.n_background,
        neurons,
        rows,
        ..Network::default()
    })
}

/// One neuron of each cell model, without LGN, background or edges.
pub fn cells_only(tables: &Tables) -> Network {
    let neurons = one_of_each_model(tables);
    Network {
        populations: tables.populations(),
        cell_models: tables.cell_models(),
        rows: Rows { offsets: vec![0; neurons.len() + 1], ..Rows::default() },
        neurons,
        ..Network::default()
    }
}

/// Targets that one task draws the edges of: enough to make tasks cheap, few enough to balance the load.
const TARGETS_PER_TASK: usize = 64;

/// Everything that a target's edges depend on.
struct Builder<'a> {
    spec: &'a NetworkSpec,
    tables: &'a Tables,
    unit_psps: &'a UnitPsps,
    neurons: &'a Neurons,
    grid: SourceGrid,
    lgn: LgnSources<'a>,
    psp_laws: Vec<[PspLaw; N_CELL_TYPES]>,
    pooled_laws: [PooledLaw; 2],
    em: Option<GivenEdges<'a>>,
    input_weights: Vec<InputWeights>,
}

/// Recurrent edges that are given, and the median size of each pair of cell types.
struct GivenEdges<'a> {
    em: &'a EmNetwork,
    /// First edge of each target, and the end of the last.
    offsets: Vec<usize>,
    median_sizes: Vec<f64>,
}

impl<'a> GivenEdges<'a> {
    fn new(em: &'a EmNetwork) -> Self {
        let n = em.neurons.len() as u32;
        let offsets = (0..=n).map(|t| em.edges.partition_point(|edge| edge.target < t)).collect();
        Self { em, offsets, median_sizes: em::median_sizes(em) }
    }
}

#[derive(Default)]
struct Scratch {
    recurrent: recurrent::Scratch,
    lgn: lgn_edges::Scratch,
}

/// The edges onto some consecutive targets.
#[derive(Default)]
struct Incoming {
    /// Number of edges of each target.
    counts: Vec<u32>,
    sources: Vec<u32>,
    weights: Vec<f32>,
}

impl Incoming {
    fn push(&mut self, source_ix: usize, weight: f64) {
        self.sources.push(source_ix as u32);
        self.weights.push(weight as f32);
    }
}

impl Builder<'_> {
    /// Memory that the edges of all targets take while they are turned round, from those of some targets, bytes. No more than that is
    /// certain, so that nothing is refused that would fit.
    fn need_bytes(&self) -> u64 {
        /// A source or target and a weight, by target and by source.
        const PER_EDGE: f64 = 16.0;
        /// Targets whose edges are drawn for this.
        const N_SAMPLE: usize = 64;
        let n = self.neurons.len();
        let sample: Vec<usize> = (0..n).step_by(n.div_ceil(N_SAMPLE).max(1)).collect();
        if sample.len() == n {
            return 0;
        }
        let edges = self.incoming(&sample, &mut Scratch::default());
        (PER_EDGE * edges.sources.len() as f64 * n as f64 / sample.len() as f64) as u64
    }

    /// Draws all edges onto `targets`.
    fn incoming(&self, targets: &[usize], scratch: &mut Scratch) -> Incoming {
        let mut edges = Incoming::default();
        for &target_ix in targets {
            let first = edges.sources.len();
            match &self.em {
                Some(given) => self.given_edges(given, target_ix, &mut edges),
                None => self.recurrent_edges(target_ix, &mut scratch.recurrent, &mut edges),
            }
            self.lgn_edges(target_ix, &mut scratch.lgn, &mut edges);
            self.background_edges(target_ix, &mut edges);
            edges.counts.push((edges.sources.len() - first) as u32);
        }
        edges
    }

    /// Draws of a neuron: by its number, or by the id of its cell, so that an edit of EM tables leaves the inputs of the other cells alone.
    fn draws(&self, stream: Stream, target_ix: usize) -> Draws {
        let id = self.em.as_ref().map_or(target_ix as u64, |given| given.em.cell_ids[target_ix]);
        Draws::new(self.spec.seed, stream, Owner::Neuron, id)
    }

    fn recurrent_edges(&self, target_ix: usize, scratch: &mut recurrent::Scratch, edges: &mut Incoming) {
        let connection = &self.tables.connection;
        let site = Site::of(self.tables, self.neurons, target_ix, self.spec.core_radius_um);
        let laws = &self.psp_laws[self.neurons.population_ix[target_ix] as usize];
        let unit_psps = &self.unit_psps.of_mode_mv[self.neurons.model_ix[target_ix] as usize];
        let mut connect_draws = self.draws(Stream::Connections, target_ix);
        let mut weight_draws = self.draws(Stream::Weights, target_ix);
        let connect = |source_ix: u32, source_type: usize, source_angle_deg: f64| {
            let (law, quantile, unit_psp_mv) = match self.spec.recurrent_weights {
                RecurrentWeightsScene::Measured => {
                    let quantile = weights::quantile_by_direction(
                        LikeToLike::between(connection, source_type, site.cell_type_ix),
                        source_type,
                        source_angle_deg,
                        site.cell_type_ix,
                        site.tuning_angle_deg,
                        &mut weight_draws,
                    );
                    (&laws[source_type], quantile, unit_psps[CLASS_OF_SOURCE_TYPE[source_type]])
                }
                RecurrentWeightsScene::Pooled => {
                    let pooled = &self.pooled_laws[usize::from(cell_type_is_inhibitory(source_type))];
                    (&pooled.psp, weights::random_quantile(&mut weight_draws), pooled.unit_psp_mv)
                }
            };
            let weight = weights::psp_mv(law, quantile, site.relative_size) / unit_psp_mv;
            edges.push(source_ix as usize, weight * self.spec.recurrent_weight_factor);
        };
        self.grid.draw_sources(connection, &site, target_ix, &mut connect_draws, scratch, connect);
    }

    /// N6: the weight follows the summed size of the pair's synapses over the median of its pair of cell types, so that the median
    /// PSP is the measured one (or the pooled one).
    fn given_edges(&self, given: &GivenEdges<'_>, target_ix: usize, edges: &mut Incoming) {
        let site = Site::of(self.tables, self.neurons, target_ix, self.spec.core_radius_um);
        let laws = &self.psp_laws[self.neurons.population_ix[target_ix] as usize];
        let unit_psps = &self.unit_psps.of_mode_mv[self.neurons.model_ix[target_ix] as usize];
        for edge in &given.em.edges[given.offsets[target_ix]..given.offsets[target_ix + 1]] {
            let source_type = self.neurons.cell_type_ix[edge.source as usize] as usize;
            let (median_mv, unit_psp_mv) = match self.spec.recurrent_weights {
                RecurrentWeightsScene::Measured => {
                    (laws[source_type].median_mv, unit_psps[CLASS_OF_SOURCE_TYPE[source_type]])
                }
                RecurrentWeightsScene::Pooled => {
                    let pooled = &self.pooled_laws[usize::from(cell_type_is_inhibitory(source_type))];
                    (pooled.psp.median_mv, pooled.unit_psp_mv)
                }
            };
            let size =
                f64::from(edge.size) / given.median_sizes[source_type * N_CELL_TYPES + site.cell_type_ix];
            let weight = median_mv * size / (site.relative_size * unit_psp_mv);
            edges.push(edge.source as usize, weight * self.spec.recurrent_weight_factor);
        }
    }

    fn lgn_edges(&self, target_ix: usize, scratch: &mut lgn_edges::Scratch, edges: &mut Incoming) {
        let neurons = self.neurons;
        let n_synapses = f64::from(neurons.target_n_synapses[target_ix]);
        let target = LgnTarget {
            rule: &self.tables.populations[neurons.population_ix[target_ix] as usize].lgn,
            position_um: [f64::from(neurons.x_um[target_ix]), f64::from(neurons.z_um[target_ix])],
            tuning_angle_deg: f64::from(neurons.tuning_angle_deg[target_ix]),
            n_synapses,
        };
        let weight = self.input_weights[neurons.model_ix[target_ix] as usize].lgn_times_n_synapses
            / n_synapses
            * self.spec.lgn_weight_factor;
        let mut draws = self.draws(Stream::LgnConnections, target_ix);
        self.lgn.draw(&target, &mut draws, scratch, |unit_ix, n| {
            edges.push(neurons.len() + unit_ix as usize, weight * f64::from(n));
        });
    }

    /// Draws `background_edges_per_neuron` different units (Floyd's algorithm).
    fn background_edges(&self, target_ix: usize, edges: &mut Incoming) {
        let (n_units, n) = (self.spec.n_background, self.spec.background_edges_per_neuron);
        let n = n.min(n_units);
        let mut draws = self.draws(Stream::BackgroundConnections, target_ix);
        let weight = self.input_weights[self.neurons.model_ix[target_ix] as usize].background
            * self.spec.background_weight_factor;
        let mut chosen: Vec<usize> = Vec::with_capacity(n);
        for last in n_units - n..n_units {
            let unit = ((draws.uniform() * (last + 1) as f64) as usize).min(last);
            chosen.push(if chosen.contains(&unit) { last } else { unit });
        }
        for unit_ix in chosen {
            edges.push(self.neurons.len() + self.lgn.len() + unit_ix, weight);
        }
    }
}

/// Delays onto each cell type from each source type, time steps.
fn delays_by_target_type(tables: &Tables, dt_ms: f64) -> [[u32; N_SOURCE_TYPES]; N_CELL_TYPES] {
    std::array::from_fn(|target| std::array::from_fn(|source| tables.delay_steps(source, target, dt_ms)))
}

/// Turns edges by target into rows by source, whose types are `source_types`. Targets are visited in ascending order, so rows
/// come out sorted.
fn rows_by_source(
    incoming: &[Incoming],
    neurons: &Neurons,
    source_types: &[u8],
    delay_steps: &[[u32; N_SOURCE_TYPES]; N_CELL_TYPES],
) -> Result<Rows> {
    let n_sources = source_types.len();
    let mut offsets = vec![0u64; n_sources + 1];
    for &source in incoming.iter().flat_map(|edges| &edges.sources) {
        offsets[source as usize + 1] += 1;
    }
    for i in 0..n_sources {
        offsets[i + 1] += offsets[i];
    }
    let n_edges = offsets[n_sources] as usize;
    let what = "sorting the network's edges";
    let targets = memory::filled(what, n_edges, 0)?;
    let mut rows = Rows { offsets: Vec::new(), targets, weights: memory::filled(what, n_edges, 0.0)? };
    let mut next = offsets.clone();
    let mut target_ix = 0;
    for edges in incoming {
        let mut first = 0;
        for &count in &edges.counts {
            let delay_steps = &delay_steps[neurons.cell_type_ix[target_ix] as usize];
            let range = first..first + count as usize;
            for (&source, &weight) in edges.sources[range.clone()].iter().zip(&edges.weights[range]) {
                let slot = &mut next[source as usize];
                let delay = delay_steps[usize::from(source_types[source as usize])];
                rows.targets[*slot as usize] = pack_target(target_ix as u32, delay);
                rows.weights[*slot as usize] = weight;
                *slot += 1;
            }
            first += count as usize;
            target_ix += 1;
        }
    }
    rows.offsets = offsets;
    Ok(rows)
}

//! A circuit put together: populations, edges and types as a [`Network`] with its dynamics.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use super::assemble::{Edges, network};
use super::cells::{Kinds, Members, Naming, members};
use super::components::read_receptor;
use super::config::Config;
use super::edges::{Block, EdgePopulation};
use super::inputs::{InputSource, Receivers, TrialInput, read_inputs};
use super::links::{Conflict, Link, Links, types};
use super::node_sets::NodeSets;
use super::nodes::NodePopulation;
use super::types::TypeTable;
use crate::error::{Error, Result};
use crate::model::kinetics::Ports;
use crate::network::{MAX_DELAY_STEPS, MAX_NEURONS, Network};
use crate::scene::EarlySpikesScene;

/// What a scene says about a circuit beside its configuration.
pub struct CircuitOptions<'a> {
    /// Time step, ms.
    pub dt_ms: f64,
    /// Attribute of the nodes that names their cell type, if it is said.
    pub cell_type: Option<&'a str>,
    /// Cell type of some names.
    pub cell_types: &'a std::collections::BTreeMap<String, String>,
    /// Index of a name among the cell types of mouse V1, for the names that stand for one.
    pub v1_type: &'a dyn Fn(&str) -> Option<usize>,
    /// Node set of the neurons that losses and evaluation read; none for all.
    pub node_set: Option<&'a str>,
    /// Virtual populations that count as background; all others count as LGN.
    pub background: &'a [String],
    /// Functions of `weight_function` that mean syn_weight times nsyns.
    pub weight_functions: &'a [String],
}

/// A circuit in memory.
pub struct Circuit {
    /// Neurons, units and edges.
    pub network: Network,
    /// Synaptic ports.
    pub ports: Ports,
    /// Longest delay, time steps.
    pub max_delay_steps: u32,
    /// Potential above E_L at which each neuron starts, mV.
    pub start_u_mv: Vec<f32>,
    /// The populations in the order of the sources: simulated, then LGN, then background.
    pub members: Vec<Members>,
    node_sets: NodeSets,
    populations: Vec<NodePopulation>,
    /// What a user should know.
    pub notices: Vec<String>,
}

/// Weight functions that mean syn_weight times nsyns: BMTK's defaults, and those of the published V1 models.
const PLAIN_WEIGHT_FUNCTIONS: [&str; 6] = [
    "default_weight_fnc",
    "set_syn_weight",
    "wmax",
    "weight_function_recurrent",
    "weight_function_lgn",
    "weight_function_bkg",
];

/// Most kinds of nodes: their pairs are kept in a table.
const MAX_KINDS: usize = 4096;

/// Most cell models: a neuron names its own by 16 bits.
const MAX_MODELS: usize = 1 << 16;

/// Delay of an edge for which the circuit gives none, ms: NEST's.
const DEFAULT_DELAY_MS: f64 = 1.0;

impl Circuit {
    /// Reads everything that `config` names.
    ///
    /// # Errors
    /// Names file and dataset, type or population of what is missing, malformed, or beyond the point model.
    pub fn read(config: &Config, options: &CircuitOptions<'_>) -> Result<Self> {
        let node_sets = NodeSets::of_config(config)?;
        let mut populations: Vec<NodePopulation> = Vec::new();
        let all = Config::populations(&config.nodes, "nodes")?;
        for file in &config.nodes {
            populations.extend(NodePopulation::read_file(file, &all)?);
        }
        let names: Vec<&str> = populations.iter().map(|p| p.name.as_str()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(Error::file(
                &config.file,
                format!("two files of nodes hold a population '{}'", twice.1),
            ));
        }
        let naming = Naming { attribute: options.cell_type, renamed: options.cell_types };
        let mut kinds = Kinds::default();
        let keep = match &config.node_set {
            Some(set) => Some(node_sets.select(set, &populations)?),
            None => None,
        };
        let mut all = Vec::new();
        for (ix, population) in populations.iter().enumerate() {
            let keep = keep.as_ref().map(|keep| keep[ix].as_slice());
            all.push(members(population, config, &naming, keep, &mut kinds)?);
        }
        let all = in_order(all, options.background);
        let n_neurons: usize = all.iter().filter(|m| !m.is_virtual).map(|m| m.node_id.len()).sum();
        if n_neurons == 0 || n_neurons > MAX_NEURONS {
            let reason = format!("{n_neurons} nodes are to be simulated, must be from 1 to {MAX_NEURONS}");
            return Err(Error::file(&config.file, reason));
        }
        if kinds.kinds.len() > MAX_KINDS {
            let reason = format!(
                "its nodes are of {} node types and kinds of synapses, at most {MAX_KINDS}",
                kinds.kinds.len()
            );
            return Err(Error::file(&config.file, reason));
        }
        if kinds.models.len() > MAX_MODELS {
            let reason = format!("its neurons have {} cell models, at most {MAX_MODELS}", kinds.models.len());
            return Err(Error::file(&config.file, reason));
        }
        let mut links = Links::new(kinds.kinds.len());
        let mut edges = Edges::default();
        let mut notices = Vec::new();
        let all_edges = Config::populations(&config.edges, "edges")?;
        for file in &config.edges {
            for mut population in EdgePopulation::open_file(file, &all_edges)? {
                edges.read(&mut population, config, options, &all, &mut links)?;
                let unread: Vec<String> = population.unread()?.into_iter().collect();
                if !unread.is_empty() {
                    notices.push(format!("not read of edges/{}: {}", population.name, unread.join(", ")));
                }
            }
        }
        let types = types(&kinds.kinds, &links, options.v1_type, &config.file)?;
        if !types.split.is_empty() {
            notices.push(format!(
                "edges tell node types apart within {}: each is a cell type of its own",
                types.split.join(", ")
            ));
        }
        let n_read = edges.source.len();
        let max_delay_steps = edges.delay_steps.iter().copied().max().map_or(1, u32::from);
        let network = network(&populations, &all, &kinds, &types, options.background, edges)?;
        if network.rows.n_edges() < n_read {
            let n = network.rows.n_edges();
            notices.push(format!(
                "{n_read} edges of the circuit are {n} pairs of nodes (and delay): weights of a pair are added"
            ));
        }
        let core = match options.node_set {
            Some(set) => Some(core(set, &node_sets, &populations, &all, &config.file)?),
            None => None,
        };
        let start = |model: &u32| {
            let (cell, _) = &kinds.models[*model as usize];
            (cell.v_start_mv - cell.e_l_mv) as f32
        };
        let start_u_mv = all.iter().flat_map(|m| m.model_ix.iter().map(start)).collect();
        Ok(Self {
            network: Network { core, ..network },
            ports: types.ports,
            max_delay_steps,
            start_u_mv,
            members: all,
            node_sets,
            populations,
            notices,
        })
    }
}

impl Circuit {
    /// Reads the spikes of its virtual populations in trials of `n_steps` steps; what a user should know is added to the notices.
    ///
    /// # Errors
    /// Names the file or input that is missing, malformed, not obeyed, or of nodes that the circuit does not have.
    pub fn read_inputs(
        &mut self,
        sources: &[InputSource],
        config: &Config,
        dt_ms: f64,
        n_steps: u32,
        early: EarlySpikesScene,
    ) -> Result<Vec<TrialInput>> {
        let receivers = Receivers {
            members: &self.members,
            populations: &self.populations,
            node_sets: &self.node_sets,
            config,
            dt_ms,
            n_steps,
            early,
        };
        let (inputs, notices) = read_inputs(sources, &receivers)?;
        self.notices.extend(notices);
        if sources.iter().all(|source| !source.files.is_empty()) && !config.inputs.is_empty() {
            let names: Vec<&str> = config.inputs.iter().map(|input| input.name.as_str()).collect();
            self.notices.push(format!(
                "inputs of the configuration that are not played, since the scene names its own: {}",
                names.join(", ")
            ));
        }
        Ok(inputs)
    }
}

/// Populations as sources are numbered: simulated, then virtual ones, those that count as background last.
fn in_order(mut all: Vec<Members>, background: &[String]) -> Vec<Members> {
    all.sort_by_key(|m| (m.is_virtual, background.contains(&m.population)));
    let mut first = 0;
    for members in &mut all {
        members.first_source = first;
        first += members.node_id.len();
    }
    all
}

/// Which neurons are in a node set.
fn core(
    set: &str,
    node_sets: &NodeSets,
    populations: &[NodePopulation],
    all: &[Members],
    file: &Path,
) -> Result<Vec<bool>> {
    let selected = node_sets.select(&set.into(), populations)?;
    let mut core = Vec::new();
    for members in all.iter().filter(|m| !m.is_virtual) {
        let Some(ix) = populations.iter().position(|p| p.name == members.population) else { continue };
        core.extend(members.node_ix.iter().map(|i| selected[ix][*i]));
    }
    if core.contains(&true) {
        Ok(core)
    } else {
        Err(Error::file(file, format!("the node set '{set}' (network.node_set) holds no simulated node")))
    }
}

/// What an edge type gives to its edges.
struct EdgeType {
    weight: Option<f64>,
    nsyns: f64,
    delay_ms: Option<f64>,
    receptor: u32,
}

fn edge_type(
    id: u64,
    table: &TypeTable,
    config: &Config,
    options: &CircuitOptions<'_>,
    file: &Path,
) -> Result<EdgeType> {
    table.require(id, file)?;
    let at = table.file_or(file);
    let refuse = |reason: String| Err(Error::file(at, format!("edge type {id}: {reason}")));
    match table.get(id, "model_template") {
        None | Some("static_synapse" | "nest:static_synapse") => (),
        Some(other) => {
            return refuse(format!("the template '{other}' is none that simrun simulates (static_synapse)"));
        }
    }
    let plain = |function: &str| {
        PLAIN_WEIGHT_FUNCTIONS.contains(&function) || options.weight_functions.iter().any(|f| f == function)
    };
    if let Some(function) = table.get(id, "weight_function").filter(|function| !plain(function)) {
        return refuse(format!(
            "weight_function '{function}' is not known; if it means syn_weight times nsyns, name it in the scene's network.weight_functions"
        ));
    }
    if let Some(is_one) =
        table.get(id, "is_gap_junction").filter(|flag| !["False", "false", "0"].contains(flag))
    {
        return refuse(format!("is_gap_junction = {is_one}: gap junctions are not simulated"));
    }
    let receptor = match table.get(id, "dynamics_params") {
        Some(name) => read_receptor(&config.component("synaptic_models_dir", name)?)?,
        None => None,
    };
    // NEST takes a column for a parameter; the file's own comes before it.
    let of_column = match table.number(id, "receptor_type")? {
        Some(number) => Some(
            receptor_number(number).map_err(|reason| Error::file(at, format!("edge type {id}: {reason}")))?,
        ),
        None => None,
    };
    Ok(EdgeType {
        weight: table.number(id, "syn_weight")?,
        nsyns: table.number(id, "nsyns")?.unwrap_or(1.0),
        delay_ms: table.number(id, "delay")?,
        receptor: receptor.or(of_column).unwrap_or(0),
    })
}

fn receptor_number(number: f64) -> std::result::Result<u32, String> {
    match number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0 {
        true => Ok(number as u32),
        false => Err(format!("receptor_type = {number}: must be an integer from 0")),
    }
}

impl Edges {
    /// Adds the edges of a population.
    fn read(
        &mut self,
        population: &mut EdgePopulation,
        config: &Config,
        options: &CircuitOptions<'_>,
        all: &[Members],
        links: &mut Links,
    ) -> Result<()> {
        let file = population.file();
        let find = |name: &str| {
            let unknown = || {
                let known: Vec<&str> = all.iter().map(|m| m.population.as_str()).collect();
                let reason = format!(
                    "edges/{}: the circuit has no population '{name}' ({})",
                    population.name,
                    known.join(", ")
                );
                Error::file(&file, reason)
            };
            all.iter().find(|m| m.population == name).ok_or_else(unknown)
        };
        let (source, target) = (find(&population.source_population)?, find(&population.target_population)?);
        if target.is_virtual {
            let reason =
                format!("edges/{} reach the virtual population '{}'", population.name, target.population);
            return Err(Error::file(&file, reason));
        }
        for all in [&mut self.source, &mut self.target] {
            all.reserve_exact(population.len());
        }
        self.weight.reserve_exact(population.len());
        self.delay_steps.reserve_exact(population.len());
        let table = population.types.clone();
        let name = population.name.clone();
        let mut known: HashMap<u64, EdgeType> = HashMap::new();
        // Nodes that are not simulated take their edges with them.
        let is_partial = config.node_set.is_some();
        population.for_each_block(&mut |block| {
            let error = |i: usize, reason: String| {
                Error::file(&file, format!("edges/{name}: edge {}: {reason}", block.first + i))
            };
            for i in 0..block.source.len() {
                let id = block.type_id[i];
                let of_type = match known.entry(id) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(edge_type(id, &table, config, options, &file)?),
                };
                let Some(places) = places(block, i, source, target, is_partial).map_err(|r| error(i, r))?
                else {
                    continue;
                };
                let edge = edge(block, i, of_type, options.dt_ms).map_err(|r| error(i, r))?;
                let kinds = (source.kind_ix[places.0], target.kind_ix[places.1]);
                let link = edge.link;
                links.add(kinds.0, kinds.1, link).map_err(|c| error(i, c.words(&link)))?;
                self.source.push((source.first_source + places.0) as u32);
                self.target.push((target.first_source + places.1) as u32);
                self.weight.push(edge.weight);
                self.delay_steps.push(edge.delay_steps);
            }
            Ok(())
        })
    }
}

/// Places of an edge's nodes in their populations; none where one of them is left out.
fn places(
    block: &Block,
    i: usize,
    source: &Members,
    target: &Members,
    is_partial: bool,
) -> std::result::Result<Option<(usize, usize)>, String> {
    match (source.place_of(block.source[i]), target.place_of(block.target[i])) {
        (Some(source), Some(target)) => Ok(Some((source, target))),
        _ if is_partial => Ok(None),
        (None, _) => Err(format!(
            "source_node_id {} is no node of population '{}'",
            block.source[i], source.population
        )),
        _ => Err(format!(
            "target_node_id {} is no node of population '{}'",
            block.target[i], target.population
        )),
    }
}

struct Edge {
    weight: f32,
    delay_steps: u16,
    link: Link,
}

/// Weight, delay and receptor of an edge: its own attributes before those of its type.
fn edge(block: &Block, i: usize, of_type: &EdgeType, dt_ms: f64) -> std::result::Result<Edge, String> {
    let own = |k: usize| block.attributes[k].as_ref().map(|values| values[i]).filter(|value| !value.is_nan());
    let Some(syn_weight) = own(0).or(of_type.weight) else {
        return Err("has no syn_weight, neither of its own nor of its type".to_owned());
    };
    let weight = syn_weight * own(1).unwrap_or(of_type.nsyns);
    if !(weight as f32).is_finite() {
        return Err(format!("its weight, {weight} pA, is beyond what f32 holds"));
    }
    let delay_ms = own(2).or(of_type.delay_ms).unwrap_or(DEFAULT_DELAY_MS);
    let delay = (delay_ms / dt_ms).round();
    if !(1.0..=f64::from(MAX_DELAY_STEPS)).contains(&delay) {
        let reason = format!(
            "its delay of {delay_ms} ms must be from 1 to {MAX_DELAY_STEPS} time steps of {dt_ms} ms"
        );
        return Err(reason);
    }
    let receptor = own(3).map_or(Ok(of_type.receptor), receptor_number)?;
    let is_negative = (weight != 0.0).then_some(weight < 0.0);
    Ok(Edge { weight: weight.abs() as f32, delay_steps: delay as u16, link: Link { receptor, is_negative } })
}

impl Conflict {
    /// The conflict in words, for the edge `link`.
    fn words(&self, link: &Link) -> String {
        let same = "edges before it between nodes of the same two node types";
        match self {
            Self::Receptor(receptor) => format!("receptor_type {}, but {receptor} in {same}", link.receptor),
            Self::Sign => format!("a weight of another sign than {same}"),
        }
    }
}

//! A trained model begins the training of another scene: what both networks have in common, and what the new one
//! starts with.
//!
//! Cells are the same where their names say so: ids of an EM table or of a circuit, and the running ids of built
//! networks of one seed and radius, whose cells lie at the same places. LGN and background units are the same where
//! both networks drew as many by one seed, those of a circuit where their names are. An edge is the same between the
//! same cells. All else is new, and starts from the law of its pair type in the trained network (`edges`).

mod edges;

use std::collections::HashMap;
use std::mem::discriminant;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::network::{Network, Vocabulary};
use crate::output::{AncestorRecord, Checkpoint, Provenance, has_checkpoint, read_run};
use crate::plan::Plan;
use crate::results::{Carried, CarriedEdges};
use crate::scene::{NetworkScene, OriginScene, first_difference};
use crate::setup::{self, Built};
use crate::shipped;

/// A run that another one starts from.
#[derive(Debug)]
pub struct Ancestor {
    dir: PathBuf,
    plan: Plan,
    checkpoint: Checkpoint,
    provenance: Provenance,
    checkpoint_sha256: String,
}

/// What training starts with in place of the network as it was built.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Weights, `[n_edges]`.
    pub weights: Vec<f32>,
    /// Weights of the edges that the ancestor has too, 0 for new ones, `[n_edges]`.
    pub kept: Vec<f32>,
    /// Offsets of the cell models' learned parameters, `[n_models][parameters]`; zeros for models that the ancestor
    /// does not have.
    pub cell_parameters: Vec<Vec<f64>>,
    /// Logarithms of the pair factors, `[n_pair_types]`; zeros for pair types that it does not have.
    pub log_scales: Vec<f64>,
    /// Counts.
    pub carried: Carried,
}

impl Ancestor {
    /// Opens the run that a plan starts from, if it names one. Everything that the scenes alone tell is refused here,
    /// before a network is built.
    ///
    /// # Errors
    /// A folder that is no run or has no checkpoint, a checkpoint that is broken, tables that have changed since;
    /// another kind of network, cell mode or ports.
    pub fn open(plan: &Plan) -> Result<Option<Self>> {
        let OriginScene::Run(path) = &plan.scene.start else { return Ok(None) };
        let dir = plan.scene_file.parent().unwrap_or(Path::new("")).join(path);
        let unfit = |reason: &str| Error::field(&plan.scene_file, "start", dir.display(), reason);
        if !dir.join("scene.ron").is_file() {
            return Err(unfit("is not a run folder: it has no scene.ron"));
        }
        if !has_checkpoint(&dir) {
            return Err(unfit("has no checkpoint: nothing was learned there that could be started from"));
        }
        let (own, checkpoint) = read_run(&dir, &[])?;
        let checkpoint = checkpoint.ok_or_else(|| unfit("has no checkpoint"))?;
        let checkpoint_sha256 = checkpoint.sha256()?;
        let provenance = Provenance::read(&dir)?;
        let ancestor = Self { dir, plan: own, checkpoint, provenance, checkpoint_sha256 };
        ancestor.refuse_other_kind(plan)?;
        Ok(Some(ancestor))
    }

    /// Weights mean the same only in cells and synapses of the same kind.
    fn refuse_other_kind(&self, plan: &Plan) -> Result<()> {
        let (own, new) = (&self.plan.scene, &plan.scene);
        let from = self.dir.display();
        if discriminant(&own.network) != discriminant(&new.network) {
            let limit = format!(
                "cannot start from {from}, whose network is of another kind (built, or read from SONATA files)"
            );
            return Err(Error::field(&plan.scene_file, "network", kind_name(&new.network), limit));
        }
        let mut with_own_cells = new.clone();
        with_own_cells.cells = own.cells.clone();
        let Some((field, before, now)) = first_difference(&with_own_cells, new, &[])? else { return Ok(()) };
        let limit = format!(
            "cannot start from {from}, which was trained with {before}: its weights mean another thing there"
        );
        Err(Error::field(&plan.scene_file, field, now, limit))
    }

    /// The plan with the ancestor's calibration, where its scene names none.
    ///
    /// # Errors
    /// [`Error::Io`] where the table is gone.
    pub fn with_calibration(&self, plan: &Plan) -> Result<Plan> {
        let mut plan = plan.clone();
        if let (None, Some(table)) = (plan.scene.network.calibration(), self.plan.scene.network.calibration())
        {
            let file = shipped::resolve(&self.plan.scene_file, table);
            plan.scene.network.set_calibration(Some(shipped::absolute(&file).map_err(Error::io(&file))?));
        }
        Ok(plan)
    }

    /// The chain of ancestors, the nearest first.
    pub fn records(&self) -> Vec<AncestorRecord> {
        let own = AncestorRecord {
            run: std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone()).display().to_string(),
            training_step: self.checkpoint.training_step,
            checkpoint_sha256: self.checkpoint_sha256.clone(),
            version: self.provenance.version.clone(),
            seed: self.provenance.seed,
        };
        std::iter::once(own).chain(self.provenance.ancestors.iter().cloned()).collect()
    }

    /// What the network of a plan starts with.
    ///
    /// # Errors
    /// A network of the ancestor that cannot be built again, one that is not that of its checkpoint; synapses of other
    /// time courses; a cell type all of whose cells are gone.
    pub fn begin(&self, plan: &Plan, built: &Built) -> Result<Start> {
        let tables = setup::tables(&self.plan)?;
        let Built { network: before, dynamics, .. } = setup::build(&self.plan, &tables, &mut |_| ())?;
        let network = &built.network;
        if dynamics.ports != built.dynamics.ports {
            let limit = "has synapses of other time courses, in which a weight means another thing";
            return Err(Error::field(&plan.scene_file, "start", self.dir.display(), limit));
        }
        let trained = self.checkpoint.f32s("weights")?;
        self.checkpoint.require_shape("weights", &[before.rows.n_edges()], "edges")?;
        let same = Same::between(&self.plan, &before, plan, network);
        self.refuse_lost_types(plan, &before, network, &same)?;
        let types = TypeMap::new(&before.vocabulary, &network.vocabulary);
        let log_scales = self.checkpoint.f64s("log_scales")?;
        self.checkpoint.require_shape("log_scales", &[before.vocabulary.n_pair_types()], "pair types")?;
        let log_scales = types.carry_pairs(log_scales);
        let (weights, kept, [between, lgn, background]) =
            edges::carry(&before, trained, network, &same, &types, &log_scales);
        let carried = Carried {
            run: self.dir.display().to_string(),
            training_step: self.checkpoint.training_step,
            checkpoint_sha256: self.checkpoint_sha256.clone(),
            cells: same.counts(before.neurons.len()),
            why_no_cell: same.why_none.clone(),
            edges_between_neurons: between,
            edges_of_lgn: lgn,
            edges_of_background: background,
        };
        Ok(Start {
            weights,
            kept,
            cell_parameters: self.cell_parameters(&before, network, &same)?,
            log_scales,
            carried,
        })
    }

    /// Learned offsets by cell model.
    fn cell_parameters(&self, before: &Network, network: &Network, same: &Same) -> Result<Vec<Vec<f64>>> {
        let learned = self.checkpoint.f64s("cell_parameters")?;
        let n_parameters = learned.len() / before.cell_models.len().max(1);
        self.checkpoint.require_shape(
            "cell_parameters",
            &[before.cell_models.len(), n_parameters],
            "parameters of cell models",
        )?;
        let own: Vec<&[f64]> = learned.chunks_exact(n_parameters.max(1)).collect();
        let of = |model: Option<usize>| model.map_or(vec![0.0; n_parameters], |model| own[model].to_vec());
        Ok(models_before(before, network, &same.neurons).into_iter().map(of).collect())
    }

    /// Refuses an edit after which no cell of a type is left: nothing would stand for what was learned of it.
    fn refuse_lost_types(&self, plan: &Plan, before: &Network, network: &Network, same: &Same) -> Result<()> {
        if same.why_none.is_some() {
            return Ok(());
        }
        let count = |network: &Network, name: &str| {
            let ix = network.vocabulary.cell_types.iter().position(|own| own == name);
            network.neurons.cell_type_ix.iter().filter(|own| Some(usize::from(**own)) == ix).count()
        };
        for name in &before.vocabulary.cell_types {
            let (n_before, n_now) = (count(before, name), count(network, name));
            if n_before > 0 && n_now == 0 {
                let limit = format!(
                    "had {n_before} cells of type {name}, of which the network has no cell any more: at least one must \
                     stay"
                );
                return Err(Error::field(&plan.scene_file, "start", self.dir.display(), limit));
            }
        }
        Ok(())
    }
}

fn kind_name(network: &NetworkScene) -> &'static str {
    match network {
        NetworkScene::V1(_) => "V1",
        NetworkScene::CellsOnly(_) => "CellsOnly",
        NetworkScene::Sonata(_) => "Sonata",
    }
}

/// Which cells and units of a network are cells and units of the network before.
#[derive(Clone, Debug, PartialEq)]
struct Same {
    /// The neuron before that each neuron was, `[n_neurons]`.
    neurons: Vec<Option<u32>>,
    /// The LGN or background unit before that each unit was, `[n_units]`.
    units: Vec<Option<u32>>,
    /// Why no cell can be the same, if so.
    why_none: Option<String>,
}

impl Same {
    fn between(plan_before: &Plan, before: &Network, plan: &Plan, network: &Network) -> Self {
        let units = same_units(before, network, plan_before.scene.seed == plan.scene.seed);
        let why_none = why_no_cell(plan_before, plan);
        let neurons = match &why_none {
            Some(_) => vec![None; network.neurons.len()],
            // Places of a built network are exact; those of EM tables move with the middle of their cells.
            None => same_neurons(before, network, is_built(plan)),
        };
        Self { neurons, units, why_none }
    }

    /// The source before that a source was.
    fn source(&self, before: &Network, network: &Network, source: usize) -> Option<usize> {
        match source.checked_sub(network.neurons.len()) {
            None => self.neurons[source].map(|neuron| neuron as usize),
            Some(unit) => self.units[unit].map(|unit| before.neurons.len() + unit as usize),
        }
    }

    fn counts(&self, n_before: usize) -> CarriedEdges {
        let matched = self.neurons.iter().flatten().count() as u64;
        let fresh = self.neurons.len() as u64 - matched;
        CarriedEdges { matched, resized: 0, fresh, dropped: n_before as u64 - matched }
    }
}

/// Whether a unit counts as background, and the name of its type.
fn unit_kind(network: &Network, unit: usize) -> (bool, &str) {
    let vocabulary = &network.vocabulary;
    let ix = usize::from(network.unit_type_ix[unit]).checked_sub(vocabulary.n_cell_types());
    let name = ix.and_then(|ix| vocabulary.unit_types.get(ix)).map_or("", String::as_str);
    (unit >= network.n_lgn, name)
}

/// The units that each unit was: in circuits the node of that name, if it is of the same kind and type; drawn ones one
/// by one, where both networks drew as many of the same types by one seed.
fn same_units(before: &Network, network: &Network, one_seed: bool) -> Vec<Option<u32>> {
    if let (Some(names_before), Some(names)) = (&before.unit_names, &network.unit_names) {
        let twins = names.twins_in(names_before).into_iter().enumerate();
        let is_same = |unit: usize, twin: u32| unit_kind(before, twin as usize) == unit_kind(network, unit);
        return twins.map(|(unit, twin)| twin.filter(|twin| is_same(unit, *twin))).collect();
    }
    let mut same = vec![None; network.unit_type_ix.len()];
    let ranges = |of: &Network| [0..of.n_lgn, of.n_lgn..of.unit_type_ix.len()];
    for (units, twins) in ranges(network).into_iter().zip(ranges(before)) {
        let kinds = units.clone().map(|unit| unit_kind(network, unit));
        if one_seed && kinds.eq(twins.clone().map(|unit| unit_kind(before, unit))) {
            units.zip(twins).for_each(|(unit, twin)| same[unit] = Some(twin as u32));
        }
    }
    same
}

/// Why the cells of two scenes have no names in common, if so.
fn why_no_cell(before: &Plan, plan: &Plan) -> Option<String> {
    let (NetworkScene::V1(a), NetworkScene::V1(b)) = (&before.scene.network, &plan.scene.network) else {
        return None;
    };
    match (&a.em, &b.em) {
        (Some(_), Some(_)) => None,
        (None, None) if before.scene.seed != plan.scene.seed => {
            Some(format!("seed {} drew other cells than {}", plan.scene.seed, before.scene.seed))
        }
        (None, None) if a.radius_um != b.radius_um => {
            Some(format!("a radius of {} um has other cells than {} um", b.radius_um, a.radius_um))
        }
        (None, None) => None,
        _ => Some("one network is built, the other is of EM tables".to_owned()),
    }
}

fn is_built(plan: &Plan) -> bool {
    matches!(&plan.scene.network, NetworkScene::V1(v1) if v1.em.is_none())
}

/// The neurons that have the name, cell type and model of a neuron before, and its place if `by_place`.
fn same_neurons(before: &Network, network: &Network, by_place: bool) -> Vec<Option<u32>> {
    let what = |network: &Network, neuron: usize| {
        let of = &network.neurons;
        let cell_type = network.vocabulary.cell_types[usize::from(of.cell_type_ix[neuron])].clone();
        let place = by_place.then(|| [of.x_um[neuron], of.y_um[neuron], of.z_um[neuron]]);
        (cell_type, network.cell_models[usize::from(of.model_ix[neuron])].id, place)
    };
    let twins = network.node_names().twins_in(&before.node_names()).into_iter().enumerate();
    let is_same = |neuron: usize, twin: u32| what(before, twin as usize) == what(network, neuron);
    twins.map(|(neuron, twin)| twin.filter(|twin| is_same(neuron, *twin))).collect()
}

/// The cell model before that each cell model was, `[n_models]`: that of the first of its cells that was there (`same`,
/// as [`Same::neurons`]), else the one of its name.
fn models_before(before: &Network, network: &Network, same: &[Option<u32>]) -> Vec<Option<usize>> {
    let mut models = vec![None; network.cell_models.len()];
    for (model, twin) in network.neurons.model_ix.iter().zip(same) {
        let own = twin.map(|twin| usize::from(before.neurons.model_ix[twin as usize]));
        let model = &mut models[usize::from(*model)];
        *model = model.or(own);
    }
    let known = models_by_name(before);
    for (name, model) in models_by_name(network) {
        if let (Some(model), Some(own)) = (model, known.get(&name)) {
            models[model] = models[model].or(*own);
        }
    }
    models
}

/// Cell models by name: the id, which in a circuit is that of a node type of one population; none where several have
/// one name, as where nodes of a type have parameters of their own.
fn models_by_name(network: &Network) -> HashMap<(String, u64), Option<usize>> {
    let mut populations = vec![String::new(); network.cell_models.len()];
    // Only a circuit has names of units.
    if network.unit_names.is_some() {
        for (first, named) in network.node_names().populations() {
            let first = first as usize;
            for model in &network.neurons.model_ix[first..first + named.ids.len()] {
                populations[usize::from(*model)].clone_from(&named.population);
            }
        }
    }
    let mut by_name = HashMap::new();
    for (ix, (model, population)) in network.cell_models.iter().zip(populations).enumerate() {
        by_name.entry((population, model.id)).and_modify(|known| *known = None).or_insert(Some(ix));
    }
    by_name
}

/// Pair types by the names of their types, from one network to another.
#[derive(Clone, Debug)]
struct TypeMap {
    /// The pair type before of each pair type, `[n_pair_types]`.
    pairs: Vec<Option<usize>>,
}

impl TypeMap {
    fn new(before: &Vocabulary, now: &Vocabulary) -> Self {
        let sources = |v: &Vocabulary| [&v.cell_types[..], &v.unit_types[..]].concat();
        let (sources_before, sources_now) = (sources(before), sources(now));
        let mut pairs = Vec::with_capacity(now.n_pair_types());
        for source in &sources_now {
            let source = sources_before.iter().position(|own| own == source);
            for target in &now.cell_types {
                let target = before.cell_types.iter().position(|own| own == target);
                pairs.push(source.zip(target).map(|(s, t)| s * before.n_cell_types() + t));
            }
        }
        Self { pairs }
    }

    fn carry_pairs(&self, by_pair: &[f64]) -> Vec<f64> {
        self.pairs.iter().map(|pair| pair.map_or(0.0, |pair| by_pair[pair])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{CellModel, NamedNodes, Neurons, NodeNames};

    /// Ids of a population's nodes, their node types and cell models.
    type Nodes<'a> = &'a [(u64, u64, u16)];

    fn circuit(populations: &[(&str, Nodes<'_>)]) -> Network {
        let mut network = Network { unit_names: Some(NodeNames::default()), ..Network::default() };
        let mut neurons = Neurons::default();
        let mut named = Vec::new();
        for (population, nodes) in populations {
            for (_, node_type_id, model) in *nodes {
                neurons.model_ix.push(*model);
                let n_models = network.cell_models.len().max(usize::from(*model) + 1);
                network.cell_models.resize(n_models, CellModel::sample());
                network.cell_models[usize::from(*model)].id = *node_type_id;
            }
            named.push(NamedNodes {
                population: (*population).to_owned(),
                ids: nodes.iter().map(|node| node.0).collect(),
            });
        }
        Network { neurons, names: Some(NodeNames::new(named)), ..network }
    }

    #[test]
    fn a_cell_model_is_known_by_its_cells_and_else_by_population_and_type() {
        // Type 10 in both populations; two models of type 11, whose nodes have parameters of their own.
        let before = circuit(&[
            ("v1", &[(0, 10, 0), (1, 10, 0), (2, 11, 1), (3, 11, 2)]),
            ("lm", &[(0, 10, 3), (1, 12, 4)]),
        ]);
        let now = circuit(&[
            ("lm", &[(0, 10, 0), (7, 12, 1)]),
            ("v1", &[(3, 11, 2), (1, 10, 3), (8, 11, 4), (9, 10, 5)]),
            ("al", &[(0, 10, 6)]),
        ]);
        let same = now.node_names().twins_in(&before.node_names());
        // A new node of v1's type 11 may be of either model, one of type 10 is of a second model now.
        let expected = [Some(3), Some(4), Some(2), Some(0), None, None, None];
        assert_eq!(models_before(&before, &now, &same), expected);
        // Renumbered nodes: names of models alone.
        let expected = [Some(3), Some(4), None, None, None, None, None];
        assert_eq!(models_before(&before, &now, &[None; 7]), expected);
    }
}

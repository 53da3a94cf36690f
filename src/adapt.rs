//! A trained model begins the training of another scene: what both networks have in common, and what the new one
//! starts with.
//!
//! Cells are the same where their names say so: ids of an EM table or of a circuit, and the running ids of built
//! networks of one seed and radius, whose cells lie at the same places. LGN and background units are the same where
//! both networks drew as many by one seed. An edge is the same between the same cells. All else is new, and starts
//! from the law of its pair type in the trained network (`edges`).

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
            cell_parameters: self.cell_parameters(&before, network)?,
            log_scales,
            carried,
        })
    }

    /// Learned offsets by cell model, which is known by its id.
    fn cell_parameters(&self, before: &Network, network: &Network) -> Result<Vec<Vec<f64>>> {
        let learned = self.checkpoint.f64s("cell_parameters")?;
        let n_parameters = learned.len() / before.cell_models.len().max(1);
        self.checkpoint.require_shape(
            "cell_parameters",
            &[before.cell_models.len(), n_parameters],
            "parameters of cell models",
        )?;
        let own: HashMap<u64, &[f64]> = before
            .cell_models
            .iter()
            .map(|model| model.id)
            .zip(learned.chunks_exact(n_parameters.max(1)))
            .collect();
        let of = |id: u64| own.get(&id).map_or(vec![0.0; n_parameters], |parameters| parameters.to_vec());
        Ok(network.cell_models.iter().map(|model| of(model.id)).collect())
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
    /// Whether LGN units are the same, one by one.
    lgn: bool,
    /// Whether background units are.
    background: bool,
    /// Why no cell can be the same, if so.
    why_none: Option<String>,
}

impl Same {
    fn between(plan_before: &Plan, before: &Network, plan: &Plan, network: &Network) -> Self {
        let seeds = [plan_before.scene.seed, plan.scene.seed];
        // Units of a built network are drawn by the seed, those of a circuit are in its files.
        let is_read = matches!(plan.scene.network, NetworkScene::Sonata(_));
        fn types(network: &Network, background: bool) -> Vec<&str> {
            let (lgn, rest) = network.unit_type_ix.split_at(network.n_lgn);
            let own = if background { rest } else { lgn };
            own.iter().map(|ix| unit_type(network, *ix)).collect()
        }
        let units = |background: bool| {
            (is_read || seeds[0] == seeds[1]) && types(before, background) == types(network, background)
        };
        let (lgn, background) = (units(false), units(true));
        let why_none = why_no_cell(plan_before, plan);
        let neurons = match &why_none {
            Some(_) => vec![None; network.neurons.len()],
            // Places of a built network are exact; those of EM tables move with the middle of their cells.
            None => same_neurons(before, network, is_built(plan)),
        };
        Self { neurons, lgn, background, why_none }
    }

    /// The source before that a source was.
    fn source(&self, before: &Network, network: &Network, source: usize) -> Option<usize> {
        let (n, n_before) = (network.neurons.len(), before.neurons.len());
        if source < n {
            return self.neurons[source].map(|neuron| neuron as usize);
        }
        let is_same = if source < n + network.n_lgn { self.lgn } else { self.background };
        // Where background units are the same and LGN units are not, there may be another number of these.
        let unit = source - n;
        let unit_before = if unit < network.n_lgn { unit } else { unit - network.n_lgn + before.n_lgn };
        is_same.then_some(n_before + unit_before)
    }

    fn counts(&self, n_before: usize) -> CarriedEdges {
        let matched = self.neurons.iter().flatten().count() as u64;
        let fresh = self.neurons.len() as u64 - matched;
        CarriedEdges { matched, resized: 0, fresh, dropped: n_before as u64 - matched }
    }
}

fn unit_type(network: &Network, source_type_ix: u8) -> &str {
    let vocabulary = &network.vocabulary;
    let unit = usize::from(source_type_ix).checked_sub(vocabulary.n_cell_types());
    unit.and_then(|ix| vocabulary.unit_types.get(ix)).map_or("", String::as_str)
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
    let (names, names_before) = (network.node_names(), before.node_names());
    let mut same = Vec::with_capacity(network.neurons.len());
    for (first, named) in names.populations() {
        let known = names_before.neurons_of(&named.population).unwrap_or_default();
        for (neuron, id) in (first as usize..).zip(&named.ids) {
            let twin = known.get(id).copied();
            same.push(twin.filter(|twin| what(before, *twin as usize) == what(network, neuron)));
        }
    }
    same
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

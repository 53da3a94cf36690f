//! Trained networks and their spikes as files that other programs open.

mod kinetics;
mod nwb;
mod sonata;

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::Dynamics;
use crate::model::membrane::N_CELL_PARAMETERS;
use crate::network::Network;
use crate::network::tables::Tables;
use crate::output::read_run;
use crate::plan::Plan;
use crate::scene::NetworkScene;
use crate::setup::{self, Built};

pub use nwb::write_nwb;
pub use sonata::{SonataOptions, write_sonata};

/// The network of a run folder as training left it.
struct Trained {
    plan: Plan,
    tables: Tables,
    dynamics: Dynamics,
    /// With the weights of the checkpoint.
    network: Network,
    /// Learned offsets of the cell models, in the order of `model::membrane::LEARNABLE`.
    theta: Vec<[f64; N_CELL_PARAMETERS]>,
    /// Training steps behind it.
    training_step: u32,
}

impl Trained {
    /// Reads a run folder; `say` gets what there is to say of the network's cache.
    fn read(dir: &Path, say: &mut dyn FnMut(&str)) -> Result<Self> {
        let (plan, checkpoint) = read_run(dir, &[])?;
        refuse_other_networks(dir, &plan.scene.network)?;
        let tables = Tables::read(&plan.tables_dir)?;
        let Built { mut network, dynamics, .. } = setup::build(&plan, &tables, say)?;
        let mut theta = vec![[0.0; N_CELL_PARAMETERS]; network.cell_models.len()];
        let training_step = checkpoint.as_ref().map_or(0, |c| c.training_step);
        if let Some(checkpoint) = &checkpoint {
            let weights = checkpoint.f32s("weights")?;
            let learned = checkpoint.f64s("cell_parameters")?.as_chunks().0;
            if weights.len() != network.rows.n_edges() || learned.len() != theta.len() {
                return Err(Error::file(dir, "has a checkpoint of another network than its scene builds"));
            }
            network.rows.weights.copy_from_slice(weights);
            theta.copy_from_slice(learned);
        }
        Ok(Self { plan, tables, dynamics, network, theta, training_step })
    }
}

/// Refuses the run in `dir` unless its network is one of mouse V1 that simrun built.
fn refuse_other_networks(dir: &Path, network: &NetworkScene) -> Result<()> {
    match network {
        NetworkScene::V1(_) => Ok(()),
        _ => Err(Error::file(dir, "has no network of V1: only such a network is exported")),
    }
}

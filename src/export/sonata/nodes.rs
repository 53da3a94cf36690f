//! Nodes: neurons, LGN units, background units.

use super::{Export, SOURCE_POPULATIONS, sonata_root};
use crate::error::Result;
use crate::hdf5::Group;
use crate::network::{
    CELL_TYPES, CLASS_OF_SOURCE_TYPE, class_is_inhibitory,
    lgn_units::{self, LgnUnits},
};
use crate::output::replace_hdf5;

/// First type of nodes that are not neurons.
const FIRST_VIRTUAL_TYPE: u64 = 100;
const VIRTUAL_HEADER: [&str; 5] = ["node_type_id", "location", "model_type", "pop_name", "ei"];

/// Layer and kind of cell in the name of a cell type, e.g. `L2/3` and `Exc`.
pub(super) fn layer_and_kind(cell_type: &str) -> (&str, &str) {
    cell_type.split_once('_').unwrap_or((cell_type, ""))
}

impl Export<'_> {
    pub(super) fn write_nodes(&self) -> Result<()> {
        self.write_neurons()?;
        self.write_lgn()?;
        self.write_background()
    }

    /// Makes the file of a population, with the columns that every one has.
    fn write_population(
        &self,
        population_ix: usize,
        types: &[u64],
        properties: impl FnOnce(&Group) -> Result<()>,
    ) -> Result<()> {
        let name = SOURCE_POPULATIONS[population_ix];
        let path = self.dir.join(format!("network/{name}_nodes.h5"));
        replace_hdf5(&path, self.storage, |root| {
            sonata_root(root)?;
            let population = root.group("nodes")?.group(name)?;
            let ids: Vec<u64> = (0..types.len() as u64).collect();
            population.column("node_id", &ids)?;
            population.column("node_type_id", types)?;
            population.column("node_group_id", &vec![0_u32; ids.len()])?;
            population.column("node_group_index", &ids)?;
            properties(&population.group("0")?)
        })
    }

    fn write_neurons(&self) -> Result<()> {
        let network = &self.trained.network;
        let neurons = &network.neurons;
        let models = &network.cell_models;
        let types: Vec<u64> = neurons.model_ix.iter().map(|m| models[usize::from(*m)].id).collect();
        self.write_population(0, &types, |group| {
            group.column("x", &neurons.x_um)?.text("units", "um")?;
            group.column("y", &neurons.y_um)?.text("units", "um")?;
            group.column("z", &neurons.z_um)?.text("units", "um")?;
            group.column("tuning_angle", &neurons.tuning_angle_deg)?.text("units", "deg")?;
            group.column("target_sizes", &neurons.target_n_synapses)?.text("units", "synapses")?;
            // libsonata knows a node by its place, so that cells of an EM table keep their ids as an attribute.
            if let Some(names) = &network.names {
                let ids = names.populations().flat_map(|(_, named)| named.ids.iter().copied());
                group.column("cell_id", &ids.collect::<Vec<u64>>())?;
            }
            let library = group.group("@library")?;
            let cell_type = |n: usize| CELL_TYPES[usize::from(neurons.cell_type_ix[n])];
            let enumerate = |name: &str, value: &dyn Fn(usize) -> &'static str| {
                write_enumeration(group, &library, name, neurons.len(), value)
            };
            enumerate("cell_type", &cell_type)?;
            enumerate("layer", &|n| layer_and_kind(cell_type(n)).0)?;
            enumerate("synapse_class", &|n| {
                let class_ix = CLASS_OF_SOURCE_TYPE[usize::from(neurons.cell_type_ix[n])];
                if class_is_inhibitory(class_ix) { "INH" } else { "EXC" }
            })
        })?;
        let header =
            ["node_type_id", "pop_name", "location", "ei", "model_type", "model_template", "dynamics_params"];
        let template = match &self.receptors {
            Some(_) => "nest:glif_psc_double_alpha".to_owned(),
            None => format!("simrun:{}", self.trained.dynamics.mode.membrane().name),
        };
        let rows: Vec<Vec<String>> = models
            .iter()
            .map(|model| {
                let row = &self.trained.tables.populations[model.population_ix];
                let ei = if row.is_inhibitory { "i" } else { "e" };
                let params = format!("{}.json", model.id);
                [&model.id.to_string(), &row.name, &row.location, ei, "point_neuron", &template, &params]
                    .map(str::to_owned)
                    .to_vec()
            })
            .collect();
        self.write_types("network/v1_node_types.csv", &header, &rows)
    }

    fn write_lgn(&self) -> Result<()> {
        let classes = &self.trained.tables.lgn_units;
        let LgnUnits { class_ix, x_deg, y_deg, size_deg, tuning_angle_deg, subfield_separation_deg } =
            lgn_units::place(classes, self.trained.plan.scene.seed);
        let types: Vec<u64> = class_ix.iter().map(|c| FIRST_VIRTUAL_TYPE + u64::from(*c)).collect();
        self.write_population(1, &types, |group| {
            group.column("x", &x_deg)?.text("units", "deg")?;
            group.column("y", &y_deg)?.text("units", "deg")?;
            group.column("spatial_size", &size_deg)?.text("units", "deg")?;
            group.column("tuning_angle", &tuning_angle_deg)?.text("units", "deg")?;
            group.column("sf_sep", &subfield_separation_deg)?.text("units", "deg")?;
            Ok(())
        })?;
        let rows: Vec<Vec<String>> = (FIRST_VIRTUAL_TYPE..)
            .zip(classes)
            .map(|(id, class)| {
                [&id.to_string(), "LGN", "virtual", &class.name, "e"].map(str::to_owned).to_vec()
            })
            .collect();
        self.write_types("network/lgn_node_types.csv", &VIRTUAL_HEADER, &rows)
    }

    fn write_background(&self) -> Result<()> {
        self.write_population(2, &vec![FIRST_VIRTUAL_TYPE; self.trained.network.n_background], |_| Ok(()))?;
        let row = [&FIRST_VIRTUAL_TYPE.to_string(), "background", "virtual", "background", "e"];
        let row = row.map(str::to_owned).to_vec();
        self.write_types("network/background_node_types.csv", &VIRTUAL_HEADER, &[row])
    }
}

/// Writes a property of texts as libsonata reads it: indices, and the texts they stand for in `@library`.
fn write_enumeration(
    group: &Group,
    library: &Group,
    name: &str,
    n: usize,
    value: &dyn Fn(usize) -> &'static str,
) -> Result<()> {
    let mut texts: Vec<&str> = Vec::new();
    let indices: Vec<u32> = (0..n)
        .map(|i| {
            let text = value(i);
            let known = texts.iter().position(|t| *t == text);
            known.unwrap_or_else(|| {
                texts.push(text);
                texts.len() - 1
            }) as u32
        })
        .collect();
    group.column(name, &indices)?;
    library.text_column(name, &texts)?;
    Ok(())
}

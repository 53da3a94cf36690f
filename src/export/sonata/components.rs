//! Components: the cell models with what training changed, and the synaptic models.

use serde_json::{Map, Value, json};

use super::Export;
use crate::error::Result;
use crate::model::kinetics::N_TARGET_TYPES;
use crate::model::membrane::{AFTER_SPIKE_1, AFTER_SPIKE_2, N_CELL_PARAMETERS, THRESHOLD};
use crate::network::{CLASS_OF_SOURCE_TYPE, CLASSES, CellModel, N_CLASSES};

const NOT_NEST: &str =
    "NEST and BMTK have no such model; for reading with libsonata, SNAP or pandas, and for simrun";

impl Export<'_> {
    pub(super) fn write_components(&self) -> Result<()> {
        for (cell, theta) in self.trained.network.cell_models.iter().zip(&self.trained.theta) {
            let path = format!("components/cell_models/{}.json", cell.id);
            self.write_json(&path, &self.cell_model(cell, theta))?;
        }
        for class_ix in 0..N_CLASSES {
            for type_ix in 0..N_TARGET_TYPES {
                let file = self.synaptic_model(class_ix, type_ix);
                let model = match &self.receptors {
                    // NEST counts receptors from 1; the cell models list them in the order of the classes.
                    Some(_) => json!({ "receptor_type": class_ix + 1 }),
                    None => self.ports_of(class_ix, type_ix),
                };
                self.write_json(&format!("components/synaptic_models/{file}"), &model)?;
            }
        }
        Ok(())
    }

    /// A cell model with its learned offsets, in NEST's names and units where they exist.
    fn cell_model(&self, cell: &CellModel, theta: &[f64; N_CELL_PARAMETERS]) -> Value {
        let mut model = json!({
            "V_m": cell.e_l_mv,
            "E_L": cell.e_l_mv,
            "V_th": cell.v_th_mv + theta[THRESHOLD],
            "V_reset": cell.v_reset_mv,
            "t_ref": cell.t_ref_ms,
            "asc_init": [0.0, 0.0],
            "asc_decay": cell.asc_decay_per_ms,
            "asc_amps": [cell.asc_amp_pa[0] + theta[AFTER_SPIKE_1], cell.asc_amp_pa[1] + theta[AFTER_SPIKE_2]],
        });
        let mode = self.trained.dynamics.mode;
        let more = match &self.receptors {
            Some(receptors) => {
                let of_type = &receptors[CLASS_OF_SOURCE_TYPE[cell.cell_type_ix]];
                json!({
                    "spike_dependent_threshold": false,
                    "after_spike_currents": true,
                    "adapting_threshold": false,
                    "tau_syn_fast": of_type.map(|r| r.kinetics.tau_fast_ms),
                    "tau_syn_slow": of_type.map(|r| r.kinetics.tau_slow_ms),
                    "amp_slow": of_type.map(|r| r.kinetics.amp_slow),
                })
            }
            None => json!({ "units": "mV, nS, pF, ms, pA; asc_decay 1/ms", "note": NOT_NEST }),
        };
        if let (Value::Object(model), Value::Object(more)) = (&mut model, more) {
            model.extend(
                mode.parameters(cell, theta).into_iter().map(|(name, value)| (name.to_owned(), json!(value))),
            );
            model.extend(more);
        }
        model
    }

    /// The ports that a class opens on a target type: each an alpha of peak `coefficient` per unit weight.
    fn ports_of(&self, class_ix: usize, type_ix: usize) -> Value {
        let ports = &self.trained.dynamics.ports;
        let conductances = self.trained.dynamics.mode.membrane().has_conductances;
        let used = (0..ports.n_ports).filter(|p| ports.coef(type_ix, class_ix, *p) != 0.0);
        let used: Vec<Value> = used
            .map(|p| {
                let mut port = Map::new();
                port.insert("tau_ms".to_owned(), json!(ports.tau_ms(type_ix, p)));
                port.insert("coefficient".to_owned(), json!(ports.coef(type_ix, class_ix, p)));
                if conductances {
                    port.insert("reversal_mv".to_owned(), json!(ports.reversal_mv[p]));
                    let compartment = if ports.on_soma[p] { "soma" } else { "dendrite" };
                    port.insert("compartment".to_owned(), json!(compartment));
                }
                Value::Object(port)
            })
            .collect();
        json!({ "source_class": CLASSES[class_ix], "target_class": CLASSES[type_ix], "ports": used, "note": NOT_NEST })
    }
}

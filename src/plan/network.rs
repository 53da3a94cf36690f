//! Checks of network and cells.

use std::path::Path;

use super::Check;
use crate::error::Result;
use crate::scene::{LesionScene, NetworkScene, PortsScene, Scene};
use crate::shipped;

impl Check<'_> {
    pub(super) fn network(&self, scene: &Scene) -> Result<()> {
        if let Some(table) = scene.network.calibration() {
            self.is_file("network.calibration", table)?;
        }
        let v1 = match &scene.network {
            NetworkScene::CellsOnly(cells) => {
                return self.within("network.current_pa", cells.current_pa, -1e4, 1e4, "pA");
            }
            NetworkScene::Sonata(sonata) => return self.sonata(scene, sonata),
            NetworkScene::V1(v1) => v1,
        };
        self.above("network.radius_um", v1.radius_um, 0.0, 850.0, "um")?;
        self.above("network.core_radius_um", v1.core_radius_um, 0.0, v1.radius_um, "um (the radius)")?;
        self.within("network.recurrent_weight_factor", v1.recurrent_weight_factor, 0.0, 1e3, "")?;
        self.within("network.lgn.weight_factor", v1.lgn.weight_factor, 0.0, 1e3, "")?;
        if let Some(em) = &v1.em {
            self.within("network.em.max_faulty", em.max_faulty, 0.0, 1.0, "of the rows")?;
            let n = em.nm_per_unit.len();
            let limit = || "must be one number, three (x, y, z) or none".to_owned();
            self.hold(
                [0, 1, 3].contains(&n),
                "network.em.nm_per_unit",
                format!("{:?}", em.nm_per_unit),
                limit,
            )?;
            for (axis, nm) in em.nm_per_unit.iter().enumerate() {
                self.above(&format!("network.em.nm_per_unit[{axis}]"), *nm, 0.0, 1e6, "nm")?;
            }
            self.exists("network.em.cells", &em.cells)?;
            self.exists("network.em.synapses", &em.synapses)?;
        }
        if let Some(LesionScene::Share(shares)) = &v1.lesion {
            for (name, share) in shares {
                self.above(&format!("network.lesion[{name:?}]"), *share, 0.0, 1.0, "of the cells")?;
            }
        }
        let background = &v1.background;
        self.within("network.background.n_units", f64::from(background.n_units), 1.0, 1e4, "units")?;
        let most_hz = 1000.0 / scene.time.dt_ms;
        let unit = "Hz (one spike a time step)";
        self.within("network.background.rate_hz", background.rate_hz, 0.0, most_hz, unit)?;
        let (edges, units) = (f64::from(background.edges_per_neuron), f64::from(background.n_units));
        self.within("network.background.edges_per_neuron", edges, 0.0, units, "(the background units)")?;
        self.within("network.background.weight_factor", background.weight_factor, 0.0, 1e3, "")
    }

    /// Holds a path, relative to the scene's own file, to a file or folder that is there.
    fn exists(&self, field: &str, path: &Path) -> Result<()> {
        let file = self.file.parent().unwrap_or(Path::new("")).join(path);
        let limit = || format!("there is no such file or folder ({})", file.display());
        self.hold(file.exists(), field, path.display(), limit)
    }

    /// Holds a path, relative to the scene's own file, to a file that is there.
    fn is_file(&self, field: &str, path: &Path) -> Result<()> {
        let file = shipped::resolve(self.file, path);
        let limit = || format!("there is no such file ({})", file.display());
        self.hold(shipped::is_file(&file), field, path.display(), limit)
    }

    pub(super) fn cells(&self, scene: &Scene) -> Result<()> {
        if let Some((field, value, limit)) = scene.cells.mode.fault() {
            self.hold(false, &format!("cells.mode.{field}"), value, || limit.to_owned())?;
        }
        if let PortsScene::Fitted { n_exc, n_inh_soma, n_inh_dendrite } = scene.cells.ports {
            self.within("cells.ports.n_exc", f64::from(n_exc), 1.0, 8.0, "ports")?;
            self.within("cells.ports.n_inh_soma", f64::from(n_inh_soma), 1.0, 4.0, "ports")?;
            self.within("cells.ports.n_inh_dendrite", f64::from(n_inh_dendrite), 1.0, 4.0, "ports")?;
        }
        Ok(())
    }
}

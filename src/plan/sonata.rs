//! Checks of a SONATA circuit's part of a scene. What the circuit's own files hold is checked where they are read.

use std::path::Path;

use super::Check;
use crate::error::Result;
use crate::scene::{ModeScene, PortsScene, Scene, SonataScene};

impl Check<'_> {
    pub(super) fn sonata(&self, scene: &Scene, sonata: &SonataScene) -> Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let exists = |field: &str, path: &Path| {
            let file = folder.join(path);
            let limit = || format!("there is no such file ({})", file.display());
            self.hold(file.is_file(), field, path.display(), limit)
        };
        exists("network.config", &sonata.config)?;
        let mode = || "must be Point: the weights of a SONATA circuit are currents".to_owned();
        self.hold(scene.cells.mode == ModeScene::Point, "cells.mode", scene.cells.mode.name(), mode)?;
        let ports = || "must be Exact: the time courses are those of the circuit's own receptors".to_owned();
        self.hold(scene.cells.ports == PortsScene::Exact, "cells.ports", "Fitted", ports)?;
        for (ix, input) in sonata.inputs.iter().enumerate() {
            let field = format!("network.inputs[{ix}]");
            for (population, path) in &input.spikes {
                exists(&format!("{field}.spikes[\"{population}\"]"), path)?;
            }
            self.within(&format!("{field}.start_ms"), input.start_ms, 0.0, 1e9, "ms")?;
            if let Some(direction) = input.direction_deg {
                let limit = || "must be from 0 to less than 360 deg".to_owned();
                self.hold(
                    (0.0..360.0).contains(&direction),
                    &format!("{field}.direction_deg"),
                    direction,
                    limit,
                )?;
            }
            if let Some(contrast) = input.contrast {
                self.within(&format!("{field}.contrast"), contrast, 0.0, 1.0, "")?;
                let limit = || "is given, but no direction_deg: only a grating has a contrast".to_owned();
                self.hold(input.direction_deg.is_some(), &format!("{field}.contrast"), contrast, limit)?;
            }
        }
        let trials = &scene.trials;
        let has = |evoked: bool| {
            (sonata.inputs.is_empty() && !evoked)
                || sonata.inputs.iter().any(|input| input.direction_deg.is_some() == evoked)
        };
        let limit = || "no entry of network.inputs has a direction_deg, so no trial can be evoked".to_owned();
        self.hold(trials.n_evoked == 0 || has(true), "trials.n_evoked", trials.n_evoked, limit)?;
        let limit =
            || "every entry of network.inputs has a direction_deg, so no trial can be spontaneous".to_owned();
        self.hold(
            trials.n_spontaneous == 0 || has(false),
            "trials.n_spontaneous",
            trials.n_spontaneous,
            limit,
        )
    }
}

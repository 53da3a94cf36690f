//! Checks of the surrogate and the terms of the loss.

use super::Check;
use crate::error::Result;
use crate::scene::{NetworkScene, RECORDED_CONTRAST, Scene, StructureLossScene};

impl Check<'_> {
    pub(super) fn losses(&self, scene: &Scene) -> Result<()> {
        self.above("surrogate.half_width", scene.surrogate.half_width, 0.0, 10.0, "times V_th - E_L")?;
        self.above("surrogate.height", scene.surrogate.height, 0.0, 100.0, "")?;
        if let Some(rates) = &scene.losses.rates {
            self.within("losses.rates.weight", rates.weight, 0.0, 1e9, "")?;
            self.above("losses.rates.huber_hz", rates.huber_hz, 0.0, 1e3, "Hz")?;
        }
        if let Some(selectivity) = &scene.losses.selectivity {
            self.within("losses.selectivity.weight", selectivity.weight, 0.0, 1e9, "")?;
            self.above("losses.selectivity.min_rate_hz", selectivity.min_rate_hz, 0.0, 1e3, "Hz")?;
            let decay = selectivity.rate_mean_decay;
            let limit = || "must be from 0 to less than 1".to_owned();
            self.hold((0.0..1.0).contains(&decay), "losses.selectivity.rate_mean_decay", decay, limit)?;
            let limit = || "the selectivity loss needs at least one evoked trial".to_owned();
            self.hold(scene.trials.n_evoked > 0, "trials.n_evoked", scene.trials.n_evoked, limit)?;
        }
        for (name, curve) in [("tuning", &scene.losses.tuning), ("contrast", &scene.losses.contrast)] {
            let Some(curve) = curve else { continue };
            self.within(&format!("losses.{name}.weight"), curve.weight, 0.0, 1e9, "")?;
            self.above(&format!("losses.{name}.min_rate_hz"), curve.min_rate_hz, 0.0, 1e3, "Hz")?;
            let limit = || format!("the {name} loss needs at least one evoked trial");
            self.hold(scene.trials.n_evoked > 0, "trials.n_evoked", scene.trials.n_evoked, limit)?;
        }
        let grating = &scene.trials.grating;
        if scene.losses.contrast.is_some() {
            let limit = || "the contrast loss needs gratings of several contrasts".to_owned();
            self.hold(grating.contrasts.len() > 1, "trials.grating.contrasts", "[]", limit)?;
        }
        if scene.losses.contrast.is_some() || !scene.evaluate.contrasts.is_empty() {
            let limit =
                || format!("contrast-response curves need that of the recordings, {RECORDED_CONTRAST}");
            let recorded = grating.contrast == RECORDED_CONTRAST;
            self.hold(recorded, "trials.grating.contrast", grating.contrast, limit)?;
        }
        if let Some(electrophysiology) = &scene.losses.electrophysiology {
            self.within("losses.electrophysiology.weight", electrophysiology.weight, 0.0, 1e9, "")?;
            let n = electrophysiology.pairs_per_type;
            let limit = || "must be from 2 to 1000".to_owned();
            self.hold((2..=1000).contains(&n), "losses.electrophysiology.pairs_per_type", n, limit)?;
            let is_v1 = matches!(scene.network, NetworkScene::V1(_));
            let limit = || "the electrophysiology loss needs a network with synapses".to_owned();
            self.hold(is_v1, "losses.electrophysiology.weight", electrophysiology.weight, limit)?;
        }
        if let Some(fano) = &scene.losses.fano {
            self.within("losses.fano.weight", fano.weight, 0.0, 1e9, "")?;
            self.within("losses.fano.n_groups", f64::from(fano.n_groups), 1.0, 32.0, "groups")?;
        }
        if let Some(pairwise) = &scene.losses.pairwise_correlation {
            self.within("losses.pairwise_correlation.weight", pairwise.weight, 0.0, 1e9, "")?;
            self.within("losses.pairwise_correlation.target", pairwise.target, -1.0, 1.0, "")?;
            let field = "losses.pairwise_correlation.n_groups";
            self.within(field, f64::from(pairwise.n_groups), 1.0, 32.0, "groups")?;
            let n = scene.trials.n_spontaneous;
            let limit = || "the pairwise correlation needs at least 3 grey trials".to_owned();
            self.hold(n >= 3, "trials.n_spontaneous", n, limit)?;
        }
        if let Some(structure) = &scene.losses.structure {
            self.structure_loss(scene, structure)?;
        }
        if let Some(voltage) = &scene.losses.voltage {
            self.within("losses.voltage.weight", voltage.weight, 0.0, 1e9, "")?;
            self.within("losses.voltage.x_low", voltage.x_low, -100.0, 100.0, "")?;
            self.above(
                "losses.voltage.x_high",
                voltage.x_high,
                voltage.x_low,
                100.0,
                "(x_low is the lower)",
            )?;
        }
        Ok(())
    }

    fn structure_loss(&self, scene: &Scene, structure: &StructureLossScene) -> Result<()> {
        if let Some(term) = &structure.weight_distribution {
            self.within("losses.structure.weight_distribution.weight", term.weight, 0.0, 1e9, "")?;
        }
        if let Some(term) = &structure.like_to_like {
            self.within("losses.structure.like_to_like.weight", term.weight, 0.0, 1e9, "")?;
        }
        if let Some(term) = &structure.scale_prior {
            self.within("losses.structure.scale_prior.weight", term.weight, 0.0, 1e9, "")?;
            let field = "losses.structure.scale_prior.n_pairs_probed";
            self.within(field, term.n_pairs_probed, 1.0, 1e9, "pairs")?;
            let limit =
                || "the prior on the pair factors needs learn.pair_scale or learn.type_scale".to_owned();
            let has_factors = scene.learn.pair_scale || scene.learn.type_scale;
            self.hold(has_factors, "losses.structure.scale_prior.weight", term.weight, limit)?;
        }
        let has_synapses = !matches!(scene.network, NetworkScene::CellsOnly(_));
        let limit = || "the structure loss needs a network with synapses".to_owned();
        self.hold(has_synapses, "losses.structure", "on", limit)
    }
}

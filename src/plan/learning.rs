//! Checks of what is learned and how.

use super::Check;
use crate::error::Result;
use crate::model::membrane::LEARNABLE;
use crate::scene::Scene;

impl Check<'_> {
    pub(super) fn surrogate(&self, scene: &Scene) -> Result<()> {
        self.above("surrogate.half_width", scene.surrogate.half_width, 0.0, 10.0, "times V_th - E_L")?;
        self.above("surrogate.height", scene.surrogate.height, 0.0, 100.0, "")
    }

    pub(super) fn learning(&self, scene: &Scene) -> Result<()> {
        let (learn, optimiser) = (&scene.learn, &scene.optimiser);
        let membrane = scene.cells.mode.membrane().membrane();
        for (k, parameter) in LEARNABLE.iter().enumerate() {
            let learned = learn.cell_parameter(parameter.switch).is_some_and(|(learned, _)| learned);
            let limit = || format!("a membrane with {} has no such parameter", membrane.title);
            let field = format!("learn.{}", parameter.switch);
            self.hold(!learned || membrane.learnable.contains(&k), &field, true, limit)?;
        }
        let adjoint = &scene.adjoint;
        self.within("adjoint.recurrent_damping", adjoint.recurrent_damping, 0.0, 1.0, "")?;
        self.within("adjoint.membrane_damping", adjoint.membrane_damping, 0.0, 1.0, "")?;
        let bounds = &learn.bounds;
        self.above("learn.bounds.leak_conductance_factor", bounds.leak_conductance_factor, 1.0, 10.0, "")?;
        self.above("learn.bounds.threshold_mv", bounds.threshold_mv, 0.0, 20.0, "mV")?;
        self.above("learn.bounds.after_spike_fraction", bounds.after_spike_fraction, 0.0, 10.0, "")?;
        self.above("learn.bounds.coupling_factor", bounds.coupling_factor, 1.0, 10.0, "")?;
        self.above("learn.bounds.pair_scale_factor", bounds.pair_scale_factor, 1.0, 100.0, "")?;
        self.above("optimiser.learning_rate", optimiser.learning_rate, 0.0, 1e3, "")?;
        self.above("optimiser.cell_learning_rate", optimiser.cell_learning_rate, 0.0, 1e3, "")?;
        self.above("optimiser.scale_learning_rate", optimiser.scale_learning_rate, 0.0, 1e3, "")?;
        for (field, beta) in [("optimiser.beta1", optimiser.beta1), ("optimiser.beta2", optimiser.beta2)] {
            let limit = || "must be from 0 to less than 1".to_owned();
            self.hold((0.0..1.0).contains(&beta), field, beta, limit)?;
        }
        self.above("optimiser.epsilon", optimiser.epsilon, 0.0, 1.0, "")?;
        let training = f64::from(optimiser.training_steps);
        self.within("optimiser.training_steps", training, 0.0, 1e6, "training steps")?;
        let warmup = f64::from(optimiser.warmup_steps);
        self.within("optimiser.warmup_steps", warmup, 0.0, training, "training steps")?;
        self.within("optimiser.final_fraction", optimiser.final_fraction, 0.0, 1.0, "")?;
        if let Some(clip_norm) = optimiser.clip_norm {
            self.above("optimiser.clip_norm", clip_norm, 0.0, 1e12, "")?;
        }
        let save_every = f64::from(optimiser.save_every_steps);
        self.within("optimiser.save_every_steps", save_every, 1.0, 1e6, "training steps")?;
        self.within("optimiser.save_every_minutes", optimiser.save_every_minutes, 0.0, 1e6, "minutes")
    }
}

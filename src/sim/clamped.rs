//! Neurons clamped to a potential by a steady somatic current, as in a current-clamp recording (A11).

use super::{PotentialAdjoint, Simulation};
use crate::error::{Error, Result};
use crate::model::cell::{CellConstants, CellState, cell_constants, resting_state};
use crate::model::membrane::N_CELL_PARAMETERS;
use crate::model::real::{Dual, Real};

impl Simulation {
    /// Sets the potential above E_L to which each neuron is clamped in each trial, `[n_neurons][n_trials]` mV (0 is rest): forward
    /// passes start there and a current keeps it there, which follows from the learned offsets `theta` of the cell models.
    /// `extra_pa` is injected on top, `[n_neurons][n_trials]`.
    ///
    /// # Errors
    /// [`Error::Failed`] for a shape that is not the simulation's, or one made without a current.
    pub fn set_clamped(
        &mut self,
        theta: &[[f64; N_CELL_PARAMETERS]],
        hold_u_mv: &[f64],
        extra_pa: &[f32],
    ) -> Result<()> {
        let plane = self.batch_words();
        if theta.len() != self.cell_models.len() || hold_u_mv.len() != plane || extra_pa.len() != plane {
            return Err(Error::Failed("holding potentials do not have the simulation's shape".to_owned()));
        }
        let cells = self.constants(theta);
        let clamped: Vec<(f64, CellState<f64>)> =
            (0..plane).map(|i| resting_state(&cells[self.model_of(i)], hold_u_mv[i])).collect();
        let current: Vec<f32> =
            clamped.iter().zip(extra_pa).map(|((pa, _), extra)| *pa as f32 + extra).collect();
        self.set_current(&current)?;
        let u_s: Vec<f32> = clamped.iter().map(|(_, state)| state.u_s_mv as f32).collect();
        let u_d: Vec<f32> = clamped.iter().map(|(_, state)| state.u_d_mv as f32).collect();
        self.each_mut(|share| share.device.start_mv = [share.own(&u_s), share.own(&u_d)]);
        Ok(())
    }

    /// A11: gradient of the learned offsets through the holding currents and the dendrites' potentials at the start.
    pub fn clamped_gradient(
        &self,
        theta: &[[f64; N_CELL_PARAMETERS]],
        hold_u_mv: &[f64],
        adjoint: &PotentialAdjoint,
    ) -> Vec<[f64; N_CELL_PARAMETERS]> {
        let mut gradient = vec![[0.0; N_CELL_PARAMETERS]; self.cell_models.len()];
        for k in 0..N_CELL_PARAMETERS {
            let along_k: Vec<[Dual; N_CELL_PARAMETERS]> = theta
                .iter()
                .map(|theta| {
                    let mut theta = theta.map(Dual::of);
                    theta[k].d = 1.0;
                    theta
                })
                .collect();
            let cells = self.constants(&along_k);
            for (i, hold_u_mv) in hold_u_mv.iter().enumerate() {
                let model = self.model_of(i);
                let (hold_pa, start): (Dual, CellState<Dual>) =
                    resting_state(&cells[model], Dual::of(*hold_u_mv));
                gradient[model][k] += f64::from(adjoint.current_per_pa[i]) * hold_pa.d
                    + f64::from(adjoint.start_u_d_per_mv[i]) * start.u_d_mv.d;
            }
        }
        gradient
    }

    /// Cell model of a place in `[n_neurons][n_trials]`.
    fn model_of(&self, i: usize) -> usize {
        usize::from(self.neuron_model_ix[i / self.settings.n_trials])
    }

    fn constants<T: Real>(&self, theta: &[[T; N_CELL_PARAMETERS]]) -> Vec<CellConstants<T>> {
        let (mode, dt_ms) = (self.dynamics.mode, self.dynamics.dt_ms);
        // What holds a cell does not depend on its ports.
        let models = self.cell_models.iter().zip(theta);
        models.map(|(cell, theta)| cell_constants(cell, mode, &[], dt_ms, theta)).collect()
    }
}

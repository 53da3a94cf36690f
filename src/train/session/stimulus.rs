//! What the network of a session is shown.

use super::super::schedule;
use super::Session;
use crate::error::{Error, Result};
use crate::loss::TrialKind;
use crate::network::tables::Tables;
use crate::network::{Network, lgn_units};
use crate::plan::Plan;
use crate::scene::NetworkScene;
use crate::sim::{SourceDrive, SourceFilters};
use crate::stimulus::TrialCondition;
use crate::stimulus::drive::{self, Drive, Filters};
use crate::stimulus::lgn::{self, LgnUnit, SCREEN_DEG};

/// The sources that are not neurons.
pub(super) struct Stimulus {
    pub(super) lgn_units: Vec<LgnUnit>,
    pub(super) n_background: usize,
    pub(super) filters: Filters,
    /// Whether each LGN unit has a synapse.
    pub(super) has_synapses: Vec<bool>,
    /// What they see of grey in all trials, once it was needed.
    pub(super) grey: Option<Drive>,
    /// What the units see under the conditions that are shown next, made while the device was at work.
    pub(super) prepared: Option<(Vec<TrialCondition>, Drive)>,
}

impl Stimulus {
    /// What the units see in the trials of a batch.
    pub(super) fn drive(&self, plan: &Plan, conditions: &[TrialCondition]) -> Drive {
        let Self { lgn_units, n_background, filters, .. } = self;
        let (dt_ms, n_steps) = (plan.scene.time.dt_ms, plan.n_steps as usize);
        drive::drive(lgn_units, *n_background, conditions, filters.n_taps, dt_ms, n_steps, SCREEN_DEG)
    }
}

/// What a batch shows, one entry a trial.
pub(super) enum Shown {
    /// Gratings and grey screens.
    Screen(Vec<TrialCondition>),
    /// Recorded inputs, by their number.
    Recorded(Vec<usize>),
}

impl Session {
    /// Sets what the sources send in this rank's trials of a batch, and says what all its trials are to the losses.
    pub(super) fn show(&mut self, shown: &Shown) -> Result<Vec<TrialKind>> {
        let own = self.own_trials();
        match (shown, &self.recorded) {
            (Shown::Recorded(inputs), Some(recorded)) => {
                let list = recorded.list(&inputs[own], self.plan.n_steps as usize);
                self.simulation.set_spikes(&list)?;
                Ok(recorded.kinds(inputs))
            }
            (Shown::Screen(conditions), _) => {
                self.set_stimulus(&conditions[own])?;
                Ok(kinds(conditions, self.plan.scene.trials.grating.contrast))
            }
            (Shown::Recorded(_), _) => {
                Err(Error::Failed("the network came without recorded spikes".to_owned()))
            }
        }
    }

    /// Brings the start of the batch that follows to what grey leaves, where the scene asks for that. It is a function of the weights, so a
    /// run that is continued starts its trials as it would have.
    pub(super) fn settle(&mut self, seed: u64, presentation: u32) -> Result<()> {
        let n_steps = self.plan.n_settling_steps as usize;
        if n_steps == 0 {
            return Ok(());
        }
        let n_trials = self.own_trials().len();
        if let Some(stimulus) = &mut self.stimulus {
            let grey = match stimulus.grey.take() {
                Some(grey) => grey,
                None => stimulus.drive(&self.plan, &vec![TrialCondition::Grey; n_trials]),
            };
            self.simulation.set_stimulus(&source_drive(&grey))?;
            stimulus.grey = Some(grey);
        }
        self.simulation.settle(schedule::settling_seed(seed), presentation, n_steps)
    }

    pub(super) fn set_stimulus(&mut self, conditions: &[TrialCondition]) -> Result<()> {
        let Some(stimulus) = &mut self.stimulus else { return Ok(()) };
        let drive = match stimulus.prepared.take_if(|(prepared, _)| prepared == conditions) {
            Some((_, drive)) => drive,
            None => stimulus.drive(&self.plan, conditions),
        };
        self.simulation.set_stimulus(&source_drive(&drive))
    }
}

/// The same as the device takes it.
fn source_drive(drive: &Drive) -> SourceDrive<'_> {
    SourceDrive { amplitude: &drive.amplitude, group_trials: &drive.group_trials, frames: &drive.frames }
}

/// What the trials are to the losses; `contrast` is that of the trials that the recordings are compared with.
fn kinds(conditions: &[TrialCondition], contrast: f64) -> Vec<TrialKind> {
    let kind = |condition: &TrialCondition| match condition {
        TrialCondition::Grey => TrialKind::Spontaneous,
        TrialCondition::Grating(g) if g.contrast == contrast => {
            TrialKind::Evoked { direction_deg: g.direction_deg }
        }
        TrialCondition::Grating(g) => {
            TrialKind::OtherContrast { direction_deg: g.direction_deg, contrast: g.contrast }
        }
    };
    conditions.iter().map(kind).collect()
}

/// The LGN units of the tables and the background units of the scene; none in a network of cells only.
pub(super) fn stimulus(plan: &Plan, tables: &Tables, network: &Network) -> Result<Option<Stimulus>> {
    let NetworkScene::V1(v1) = &plan.scene.network else { return Ok(None) };
    let places = lgn_units::place(&tables.lgn_units, plan.scene.seed);
    let lgn_units = lgn::units(&tables.lgn_units, &places, plan.scene.seed)?;
    let n_background = v1.background.n_units as usize;
    let filters = drive::filters(&lgn_units, n_background, v1.background.rate_hz);
    let ends = &network.rows.offsets[network.neurons.len()..];
    let has_synapses = ends.windows(2).take(lgn_units.len()).map(|row| row[1] > row[0]).collect();
    Ok(Some(Stimulus { lgn_units, n_background, filters, has_synapses, grey: None, prepared: None }))
}

/// How they fire.
pub(super) fn drawn(filters: &Filters) -> SourceFilters<'_> {
    SourceFilters {
        taps_hz: &filters.taps_hz,
        baseline_hz: &filters.baseline_hz,
        second_ix: &filters.second_ix,
    }
}

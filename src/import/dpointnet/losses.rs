//! Terms of the loss of a configuration.

use std::collections::BTreeMap;

use super::Import;
use crate::error::Result;

/// A term of a scene: its name, its fields, the training parameter that it is of.
type Terms = BTreeMap<&'static str, (String, usize)>;

impl Import<'_> {
    /// From when on losses count, in steps: the latest of them.
    pub(super) fn start(&self) -> Result<f64> {
        let mut start = 0.0_f64;
        for ix in 0..self.n_parameters() {
            for name in self.config.keys(&format!("training.parameters.{ix}.loss_functions")) {
                let place = format!("training.parameters.{ix}.loss_functions.{name}.pre_delay");
                start = start.max(self.config.number(&place)?.unwrap_or(0.0));
            }
        }
        Ok(start)
    }

    /// Terms of the loss, RON.
    pub(super) fn losses(&mut self, dt_ms: f64) -> Result<String> {
        let mut terms = Terms::new();
        for ix in 0..self.n_parameters() {
            self.config.text(&format!("training.parameters.{ix}.name"))?;
            let place = format!("training.parameters.{ix}.loss_functions");
            for name in self.config.keys(&place) {
                let at = format!("{place}.{name}");
                if self.config.flag(&format!("{at}.enabled"))? == Some(false) {
                    // What a term that is off says is of no account.
                    self.config.get(&at);
                    continue;
                }
                self.loss(&at, ix, dt_ms, &mut terms)?;
            }
        }
        Ok(terms.iter().map(|(term, (text, _))| format!("{term}: {text}")).collect::<Vec<_>>().join(", "))
    }

    fn loss(&mut self, at: &str, parameter_ix: usize, dt_ms: f64, terms: &mut Terms) -> Result<()> {
        let config = &self.config;
        let module = config.text(&format!("{at}.module"))?.unwrap_or_default().to_owned();
        let cost = |key: &str, usual: f64| -> Result<f64> {
            Ok(config.number(&format!("{at}.{key}"))?.unwrap_or(usual))
        };
        let stimulus = config.text(&format!("{at}.stimulus_type"))?.unwrap_or("drifting_gratings");
        let is_grey = ["spontaneous", "gray", "grey"].contains(&stimulus);
        let mode = config.text(&format!("{at}.penalty_mode"))?.unwrap_or("range").to_owned();
        let term = match module.as_str() {
            "SpikeRateDistributionTarget" if is_grey => {
                let weight = cost("rate_cost", 0.5)? * dt_ms * 1e-3;
                Some(("rates", format!("(weight: {weight}, huber_hz: {}, shares: PerNeuron)", 2.0 / dt_ms)))
            }
            "SynchronizationLoss" if is_grey => {
                Some(("fano", format!("(weight: {})", cost("sync_cost", 10.0)?)))
            }
            "VoltageRegularization" if mode == "range" => {
                Some(("voltage", format!("(weight: {}, x_low: 0, x_high: 1)", cost("voltage_cost", 1e-5)?)))
            }
            _ => None,
        };
        let why_not = match module.as_str() {
            "SpikeRateDistributionTarget" | "SynchronizationLoss" | "OrientationSelectivityLoss" => {
                "asks for gratings: give entries of network.inputs a direction_deg and trials.n_evoked, then losses.rates, fano or selectivity".to_owned()
            }
            "EMDWeightRegularization" => {
                "compares the weights themselves; losses.structure.weight_distribution compares their logarithms".to_owned()
            }
            "VoltageRegularization" => format!("has the penalty_mode '{mode}'; losses.voltage penalises a range"),
            _ => "there is no such term".to_owned(),
        };
        let Some((term, text)) = term else {
            self.config.get(at);
            self.not_carried.push(format!("{at} ({module}): {why_not}"));
            return Ok(());
        };
        match terms.get(term) {
            Some((_, earlier_ix)) if *earlier_ix == parameter_ix => {
                self.not_carried.push(format!(
                    "{at}: {term} is one term, that of an earlier loss function of this training parameter"
                ));
            }
            Some((earlier, _)) if *earlier != text => {
                self.not_carried
                    .push(format!("{at}: {term} has one weight, that of an earlier training parameter"));
            }
            _ => {
                self.carried.push(format!("{at}: losses.{term} {text}"));
                terms.insert(term, (text, parameter_ix));
            }
        }
        Ok(())
    }
}

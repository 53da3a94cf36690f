//! Cell models and synapses from the JSON files of `components`: what NEST would make of them, as far as the point model can.

use std::path::Path;

use serde_json::{Map, Value};

use super::config::read_json;
use crate::error::{Error, Result};
use crate::model::kinetics::Kinetics;

/// Templates that the point model can carry, with what they are there.
const TEMPLATES: [(&str, Template); 3] = [
    ("nest:glif_psc", Template::Glif { double_alpha: false }),
    ("nest:glif_psc_double_alpha", Template::Glif { double_alpha: true }),
    ("nest:iaf_psc_alpha", Template::IafPscAlpha),
];

#[derive(Clone, Copy, PartialEq)]
enum Template {
    Glif { double_alpha: bool },
    IafPscAlpha,
}

/// A cell of the point model with the synapses that it has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PointCell {
    pub(super) v_th_mv: f64,
    pub(super) e_l_mv: f64,
    pub(super) v_reset_mv: f64,
    pub(super) g_ns: f64,
    pub(super) c_m_pf: f64,
    pub(super) t_ref_ms: f64,
    pub(super) asc_amp_pa: [f64; 2],
    pub(super) asc_decay_per_ms: [f64; 2],
    /// Potential at the start, mV.
    pub(super) v_start_mv: f64,
    pub(super) receptors: Receptors,
}

/// The synapses of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Receptors {
    /// Ports numbered from 1, of either sign.
    Numbered(Vec<Kinetics>),
    /// One for positive and one for negative weights.
    BySign {
        /// Time course of positive weights.
        positive: Kinetics,
        /// Time course of negative weights.
        negative: Kinetics,
    },
}

/// A cell of `model_type` and `template` whose parameters are in `file`; `user` names the nodes for messages.
pub(super) fn read_cell(template: &str, file: &Path, user: &str) -> Result<PointCell> {
    let known = TEMPLATES.iter().find(|(name, _)| *name == template);
    let Some((_, template)) = known else {
        let names: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
        let reason =
            format!("{user}: the template '{template}' is none that simrun simulates ({})", names.join(", "));
        return Err(Error::file(file, reason));
    };
    let json = read_json(file)?;
    let parameters = json.as_object().ok_or_else(|| Error::file(file, "must hold a JSON object"))?;
    let cell = Parameters { file, parameters };
    match template {
        Template::Glif { double_alpha } => cell.glif(*double_alpha),
        Template::IafPscAlpha => cell.iaf_psc_alpha(),
    }
}

/// The receptor number of a synapse; none where the file names none.
pub(super) fn read_receptor(file: &Path) -> Result<Option<usize>> {
    let json = read_json(file)?;
    let parameters = json.as_object().ok_or_else(|| Error::file(file, "must hold a JSON object"))?;
    if let Some(other) = parameters.keys().find(|key| *key != "receptor_type") {
        return Err(Error::file(
            file,
            format!("sets '{other}'; of a static synapse only receptor_type can be set"),
        ));
    }
    match parameters.get("receptor_type") {
        None => Ok(None),
        Some(number) => match number.as_u64() {
            Some(number) => Ok((number > 0).then_some(number as usize)),
            None => Err(Error::field(file, "receptor_type", number, "must be an integer from 0")),
        },
    }
}

struct Parameters<'a> {
    file: &'a Path,
    parameters: &'a Map<String, Value>,
}

impl Parameters<'_> {
    /// A number, or `otherwise` where the file has none.
    fn number_or(&self, name: &str, otherwise: f64) -> Result<f64> {
        match self.parameters.get(name) {
            None => Ok(otherwise),
            Some(value) => self.finite(name, value),
        }
    }

    fn number(&self, name: &str) -> Result<f64> {
        match self.parameters.get(name) {
            None => Err(Error::file(self.file, format!("has no {name}"))),
            Some(value) => self.finite(name, value),
        }
    }

    fn finite(&self, name: &str, value: &Value) -> Result<f64> {
        value
            .as_f64()
            .filter(|x| x.is_finite())
            .ok_or_else(|| Error::field(self.file, name, value, "must be a finite number"))
    }

    fn positive(&self, name: &str, value: f64) -> Result<f64> {
        if value > 0.0 { Ok(value) } else { Err(Error::field(self.file, name, value, "must be above 0")) }
    }

    fn flag(&self, name: &str, otherwise: bool) -> bool {
        self.parameters.get(name).and_then(Value::as_bool).unwrap_or(otherwise)
    }

    fn list(&self, name: &str) -> Result<Option<Vec<f64>>> {
        match self.parameters.get(name) {
            None => Ok(None),
            Some(Value::Array(values)) => {
                values.iter().map(|v| self.finite(name, v)).collect::<Result<_>>().map(Some)
            }
            Some(value) => Err(Error::field(self.file, name, value, "must be a list")),
        }
    }

    fn refuse(&self, name: &str, value: impl ToString, limit: &str) -> Error {
        Error::field(self.file, name, value, limit)
    }

    /// NEST's `glif_psc` and `glif_psc_double_alpha` with fixed threshold (GLIF1 and GLIF3).
    fn glif(&self, double_alpha: bool) -> Result<PointCell> {
        for name in ["spike_dependent_threshold", "adapting_threshold"] {
            if self.flag(name, false) {
                let limit = "must be false: the point model's threshold is fixed (GLIF1 and GLIF3)";
                return Err(self.refuse(name, true, limit));
            }
        }
        let mut asc_amp_pa = [0.0; 2];
        let mut asc_decay_per_ms = [1.0; 2];
        if self.flag("after_spike_currents", false) {
            let (amps, decay) = (self.list("asc_amps")?, self.list("asc_decay")?);
            let (Some(amps), Some(decay)) = (amps, decay) else {
                return Err(Error::file(
                    self.file,
                    "has no asc_amps or no asc_decay, which after_spike_currents needs",
                ));
            };
            if amps.len() != decay.len() || amps.len() > 2 {
                let limit = "must be at most 2, as many as asc_decay";
                return Err(self.refuse("asc_amps", format!("{} entries", amps.len()), limit));
            }
            for (k, (amp, decay)) in amps.iter().zip(&decay).enumerate() {
                asc_amp_pa[k] = *amp;
                asc_decay_per_ms[k] = self.positive("asc_decay", *decay)?;
            }
            for (name, resting) in [("asc_init", 0.0), ("asc_r", 1.0)] {
                let values = self.list(name)?.unwrap_or_default();
                if let Some(value) = values.iter().find(|v| **v != resting) {
                    return Err(self.refuse(name, value, &format!("must be {resting}")));
                }
            }
        }
        let e_l_mv = self.number("E_L")?;
        let receptors = if double_alpha {
            let lists = ["tau_syn_fast", "tau_syn_slow", "amp_slow"];
            let [fast, slow, amp] = lists.map(|name| self.list(name).map(Option::unwrap_or_default));
            let (fast, slow, amp) = (fast?, slow?, amp?);
            if fast.len() != slow.len() || fast.len() != amp.len() {
                let value = format!("{}, {} and {} entries", fast.len(), slow.len(), amp.len());
                return Err(self.refuse(
                    "tau_syn_fast, tau_syn_slow and amp_slow",
                    value,
                    "must be equally many",
                ));
            }
            fast.iter()
                .zip(&slow)
                .zip(&amp)
                .map(|((f, s), a)| self.kinetics(*f, *s, *a))
                .collect::<Result<_>>()?
        } else {
            let taus = self.list("tau_syn")?.unwrap_or_default();
            taus.iter().map(|tau| self.kinetics(*tau, *tau, 0.0)).collect::<Result<_>>()?
        };
        PointCell {
            v_th_mv: self.number("V_th")?,
            e_l_mv,
            v_reset_mv: self.number("V_reset")?,
            g_ns: self.positive("g", self.number("g")?)?,
            c_m_pf: self.positive("C_m", self.number("C_m")?)?,
            t_ref_ms: self.positive("t_ref", self.number("t_ref")?)?,
            asc_amp_pa,
            asc_decay_per_ms,
            v_start_mv: self.number_or("V_m", e_l_mv)?,
            receptors: Receptors::Numbered(receptors),
        }
        .checked(self)
    }

    /// NEST's `iaf_psc_alpha`, with its defaults for what the file leaves out.
    fn iaf_psc_alpha(&self) -> Result<PointCell> {
        let current_pa = self.number_or("I_e", 0.0)?;
        if current_pa != 0.0 {
            return Err(self.refuse("I_e", current_pa, "must be 0: the point model has no constant current"));
        }
        let c_m_pf = self.positive("C_m", self.number_or("C_m", 250.0)?)?;
        let e_l_mv = self.number_or("E_L", -70.0)?;
        let tau = |name: &str| self.number_or(name, 2.0).and_then(|tau| self.kinetics(tau, tau, 0.0));
        PointCell {
            v_th_mv: self.number_or("V_th", -55.0)?,
            e_l_mv,
            v_reset_mv: self.number_or("V_reset", -70.0)?,
            g_ns: c_m_pf / self.positive("tau_m", self.number_or("tau_m", 10.0)?)?,
            c_m_pf,
            t_ref_ms: self.positive("t_ref", self.number_or("t_ref", 2.0)?)?,
            asc_amp_pa: [0.0; 2],
            asc_decay_per_ms: [1.0; 2],
            v_start_mv: self.number_or("V_m", -70.0)?,
            receptors: Receptors::BySign { positive: tau("tau_syn_ex")?, negative: tau("tau_syn_in")? },
        }
        .checked(self)
    }

    fn kinetics(&self, tau_fast_ms: f64, tau_slow_ms: f64, amp_slow: f64) -> Result<Kinetics> {
        self.positive("time constant of a synapse", tau_fast_ms)?;
        self.positive("time constant of a synapse", tau_slow_ms)?;
        Ok(Kinetics { tau_fast_ms, tau_slow_ms, amp_slow })
    }
}

impl PointCell {
    /// Refuses a cell that would spike for ever.
    fn checked(self, parameters: &Parameters<'_>) -> Result<Self> {
        for (name, value) in [("V_reset", self.v_reset_mv), ("E_L", self.e_l_mv)] {
            if value >= self.v_th_mv {
                return Err(parameters.refuse(
                    name,
                    value,
                    &format!("must be below V_th, {} mV", self.v_th_mv),
                ));
            }
        }
        Ok(self)
    }
}

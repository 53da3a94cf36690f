//! Cell models and synapses from the JSON files of `components`: what NEST would make of them, as far as the point model can. A name
//! that is no parameter of the template is refused, as NEST refuses it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::config::read_json;
use super::keys::near;
use crate::error::{Error, Result};
use crate::model::kinetics::Kinetics;

/// Parameters of both GLIF templates. Those of an adapting threshold, a spike-dependent one and of plasticity are without effect where there
/// is none.
const GLIF: [&str; 26] = [
    "V_m",
    "V_th",
    "g",
    "E_L",
    "C_m",
    "t_ref",
    "V_reset",
    "asc_init",
    "asc_decay",
    "asc_amps",
    "asc_r",
    "spike_dependent_threshold",
    "after_spike_currents",
    "adapting_threshold",
    "th_spike_add",
    "th_spike_decay",
    "voltage_reset_fraction",
    "voltage_reset_add",
    "th_voltage_index",
    "th_voltage_decay",
    "tau_minus",
    "tau_minus_triplet",
    "tau_Ca",
    "beta_Ca",
    "ASCurrents",
    "frozen",
];
const IAF: [&str; 16] = [
    "V_m",
    "V_th",
    "E_L",
    "C_m",
    "tau_m",
    "t_ref",
    "V_reset",
    "tau_syn_ex",
    "tau_syn_in",
    "I_e",
    "V_min",
    "tau_minus",
    "tau_minus_triplet",
    "tau_Ca",
    "beta_Ca",
    "frozen",
];
/// NEST's default of `V_m` in its GLIF models, mV: it does not follow `E_L`.
const GLIF_V_M_MV: f64 = -78.85;
/// Time constants of the receptors that BMTK gives cells of the Allen Cell Types Database, ms.
const DATABASE_TAU_SYN_MS: [f64; 4] = [5.5, 8.5, 2.8, 5.8];

/// Templates that the point model can carry, with what they are there.
const TEMPLATES: [(&str, Template); 5] = [
    ("nest:glif_psc", Template::Glif { double_alpha: false, is_old: false, after_spike: false }),
    ("nest:glif_psc_double_alpha", Template::Glif { double_alpha: true, is_old: false, after_spike: false }),
    ("nest:iaf_psc_alpha", Template::IafPscAlpha),
    // The names of NEST's extension module before `glif_psc` was part of NEST.
    ("nest:glif_lif_psc", Template::Glif { double_alpha: false, is_old: true, after_spike: false }),
    ("nest:glif_lif_asc_psc", Template::Glif { double_alpha: false, is_old: true, after_spike: true }),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Template {
    /// `after_spike`: whether it has after-spike currents where the file does not say.
    Glif {
        double_alpha: bool,
        is_old: bool,
        after_spike: bool,
    },
    IafPscAlpha,
}

/// A cell of the point model.
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

/// The receptor number of a synapse; none where the file names none.
pub(super) fn read_receptor(file: &Path) -> Result<Option<u32>> {
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
        Some(number) => match number.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok((number > 0).then_some(number)),
            None => Err(Error::field(file, "receptor_type", number, "must be an integer from 0")),
        },
    }
}

/// Parameters of a cell: those of a file, and those of a node of its own, which come before them.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    template: Template,
    template_name: &'static str,
    /// The file of the parameters; none where all are the nodes' own.
    file: Option<PathBuf>,
    values: Map<String, Value>,
    /// The file of the nodes, the node's id and its own parameters.
    own: Option<(PathBuf, u64, Vec<String>)>,
}

impl Parameters {
    /// Reads the parameters of a template; `user` names the nodes for messages.
    pub(super) fn read(template: &str, file: Option<PathBuf>, user: &str) -> Result<Self> {
        let Some((template_name, template)) = TEMPLATES.iter().find(|(name, _)| *name == template) else {
            let names: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            let reason = match template.starts_with("nest:glif_lif") {
                true => format!(
                    "is an old name of NEST's for a GLIF model that simrun does not simulate ({names})"
                ),
                false => format!("is none that simrun simulates ({names})"),
            };
            let file = file.unwrap_or_default();
            return Err(Error::file(file, format!("{user}: the template '{template}' {reason}")));
        };
        let values = match &file {
            None => Map::new(),
            Some(file) => match read_json(file)? {
                Value::Object(values) => values,
                _ => return Err(Error::file(file, "must hold a JSON object")),
            },
        };
        let read = Self { template: *template, template_name, file, values, own: None };
        read.in_new_words()
    }

    /// These with a node's own in their place.
    pub(super) fn with(&self, own: Map<String, Value>, nodes: &Path, node_id: u64) -> Self {
        let mut all = self.clone();
        let names = own.keys().cloned().collect();
        all.values.extend(own);
        all.own = Some((nodes.to_path_buf(), node_id, names));
        all
    }

    /// The cell and its synapses.
    pub(super) fn cell(&self) -> Result<(PointCell, Receptors)> {
        self.refuse_unknown()?;
        if self.flag("frozen", false)? {
            return Err(self.refuse("frozen", true, "must be false: every neuron is simulated"));
        }
        match self.template {
            Template::Glif { double_alpha, after_spike, .. } => self.glif(double_alpha, after_spike),
            Template::IafPscAlpha => self.iaf_psc_alpha(),
        }
    }

    /// Refuses a name that the template does not have.
    fn refuse_unknown(&self) -> Result<()> {
        let known: Vec<&str> = match self.template {
            Template::Glif { double_alpha: false, .. } => [&GLIF[..], &["tau_syn"]].concat(),
            Template::Glif { double_alpha: true, .. } => {
                [&GLIF[..], &["tau_syn_fast", "tau_syn_slow", "amp_slow"]].concat()
            }
            Template::IafPscAlpha => IAF.to_vec(),
        };
        let Some(other) = self.values.keys().find(|name| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let meant = near(other, &known).map_or(String::new(), |known| format!("; is {known} meant?"));
        let limit = format!("is no parameter of {}{meant}", self.template_name);
        let value = &self.values[other];
        let shown = if value.is_number() || value.is_boolean() { value.to_string() } else { "..".to_owned() };
        Err(self.refuse(other, shown, &limit))
    }

    /// Parameters of the old templates in the words of `glif_psc`, as BMTK changes them.
    fn in_new_words(mut self) -> Result<Self> {
        let Template::Glif { is_old: true, after_spike, .. } = self.template else { return Ok(self) };
        if self.values.get("type").and_then(Value::as_str) == Some("GLIF") {
            self.values = self.of_database(after_spike)?;
            return Ok(self);
        }
        for (old, new) in [("k", "asc_decay"), ("r", "asc_r")] {
            if let Some(value) = self.values.remove(old)
                && self.values.insert(new.to_owned(), value).is_some()
            {
                return Err(self.refuse(new, "..", &format!("is given twice, also as {old}")));
            }
        }
        match self.values.remove("V_dynamics_method") {
            None => (),
            Some(Value::String(method)) if method == "linear_exact" => (),
            Some(other) => {
                let limit = "must be \"linear_exact\": potentials are integrated exactly";
                return Err(self.refuse("V_dynamics_method", other, limit));
            }
        }
        Ok(self)
    }

    /// Parameters of a model of the Allen Cell Types Database in NEST's words and units (bmtk/simulator/pointnet/glif_utils.py).
    fn of_database(&self, after_spike: bool) -> Result<Map<String, Value>> {
        let coefficients = self.values.get("coeffs").and_then(Value::as_object);
        let coefficients = coefficients.ok_or_else(|| self.lacks("coeffs"))?;
        let of = |object: &Map<String, Value>, name: &str| -> Result<f64> {
            let value = object.get(name).ok_or_else(|| self.lacks(name))?;
            value.as_f64().ok_or_else(|| self.refuse(name, value, "must be a number"))
        };
        let list = |object: &Map<String, Value>, name: &str| -> Result<Vec<f64>> {
            let value = object.get(name).ok_or_else(|| self.lacks(name))?;
            let numbers =
                value.as_array().and_then(|v| v.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
            numbers.ok_or_else(|| self.refuse(name, value, "must be a list of numbers"))
        };
        let own = |name: &str| of(&self.values, name);
        let factor = |name: &str| of(coefficients, name);
        let reference_mv = 1e3 * own("El_reference")?;
        let e_l_mv = 1e3 * own("El")? + reference_mv;
        let mut values: Vec<(&str, Value)> = vec![
            ("V_m", e_l_mv.into()),
            ("V_th", (1e3 * factor("th_inf")? * own("th_inf")? + reference_mv).into()),
            ("g", (1e9 * factor("G")? / own("R_input")?).into()),
            ("E_L", e_l_mv.into()),
            ("C_m", (1e12 * factor("C")? * own("C")?).into()),
            ("t_ref", (1e3 * own("spike_cut_length")? * own("dt")?).into()),
            ("V_reset", reference_mv.into()),
            ("tau_syn", DATABASE_TAU_SYN_MS.to_vec().into()),
        ];
        if after_spike {
            let kept =
                self.values.get("AScurrent_reset_method").and_then(|method| method.pointer("/params/r"));
            if kept.and_then(Value::as_array).is_some_and(|r| r.iter().any(|r| r.as_f64() != Some(1.0))) {
                return Err(self.refuse("AScurrent_reset_method.params.r", "..", "must be 1"));
            }
            let (amps, factors) =
                (list(&self.values, "asc_amp_array")?, list(coefficients, "asc_amp_array")?);
            if amps.len() != factors.len() {
                return Err(self.refuse("asc_amp_array", "..", "must be as many as coeffs.asc_amp_array"));
            }
            let scaled = |name, f: fn(f64) -> f64| -> Result<Vec<f64>> {
                Ok(list(&self.values, name)?.into_iter().map(f).collect())
            };
            let amps_pa: Vec<f64> =
                amps.iter().zip(&factors).map(|(amp, factor)| 1e12 * amp * factor).collect();
            values.push(("asc_init", scaled("init_AScurrents", |ampere| 1e12 * ampere)?.into()));
            values.push(("asc_decay", scaled("asc_tau_array", |tau_s| 1e-3 / tau_s)?.into()));
            values.push(("asc_amps", amps_pa.into()));
        }
        values.push(("after_spike_currents", after_spike.into()));
        Ok(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A number, or `otherwise` where there is none.
    fn number_or(&self, name: &str, otherwise: f64) -> Result<f64> {
        match self.values.get(name) {
            None => Ok(otherwise),
            Some(value) => self.finite(name, value),
        }
    }

    fn number(&self, name: &str) -> Result<f64> {
        match self.values.get(name) {
            None => Err(self.lacks(name)),
            Some(value) => self.finite(name, value),
        }
    }

    fn finite(&self, name: &str, value: &Value) -> Result<f64> {
        value
            .as_f64()
            .filter(|x| x.is_finite())
            .ok_or_else(|| self.refuse(name, value, "must be a finite number"))
    }

    fn positive(&self, name: &str, value: f64) -> Result<f64> {
        if value > 0.0 { Ok(value) } else { Err(self.refuse(name, value, "must be above 0")) }
    }

    fn flag(&self, name: &str, otherwise: bool) -> Result<bool> {
        match self.values.get(name) {
            None => Ok(otherwise),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.refuse(name, value, "must be true or false")),
        }
    }

    fn list(&self, name: &str) -> Result<Option<Vec<f64>>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::Array(values)) => {
                values.iter().map(|v| self.finite(name, v)).collect::<Result<_>>().map(Some)
            }
            Some(value) => Err(self.refuse(name, value, "must be a list")),
        }
    }

    /// An error about a parameter, named where it is given.
    fn refuse(&self, name: &str, value: impl ToString, limit: &str) -> Error {
        match &self.own {
            Some((nodes, node, own)) if own.iter().any(|own| own == name) => {
                Error::field(nodes, format!("dynamics_params/{name} of node {node}"), value, limit)
            }
            _ => Error::field(self.place(), name, value, limit),
        }
    }

    fn lacks(&self, name: &str) -> Error {
        Error::file(self.place(), format!("has no {name}"))
    }

    fn place(&self) -> &Path {
        let nodes = self.own.as_ref().map(|(nodes, ..)| nodes);
        self.file.as_ref().or(nodes).map_or(Path::new(""), PathBuf::as_path)
    }

    /// NEST's `glif_psc` and `glif_psc_double_alpha` with fixed threshold (GLIF1 and GLIF3).
    fn glif(&self, double_alpha: bool, after_spike: bool) -> Result<(PointCell, Receptors)> {
        for name in ["spike_dependent_threshold", "adapting_threshold"] {
            if self.flag(name, false)? {
                let limit = "must be false: the point model's threshold is fixed (GLIF1 and GLIF3)";
                return Err(self.refuse(name, true, limit));
            }
        }
        let (asc_amp_pa, asc_decay_per_ms) = match self.flag("after_spike_currents", after_spike)? {
            true => self.after_spike_currents()?,
            false => ([0.0; 2], [1.0; 2]),
        };
        let cell = PointCell {
            v_th_mv: self.number("V_th")?,
            e_l_mv: self.number("E_L")?,
            v_reset_mv: self.number("V_reset")?,
            g_ns: self.positive("g", self.number("g")?)?,
            c_m_pf: self.positive("C_m", self.number("C_m")?)?,
            t_ref_ms: self.positive("t_ref", self.number("t_ref")?)?,
            asc_amp_pa,
            asc_decay_per_ms,
            v_start_mv: self.number_or("V_m", GLIF_V_M_MV)?,
        };
        Ok((cell.checked(self)?, self.glif_receptors(double_alpha)?))
    }

    /// Amplitudes, pA, and rates, 1/ms.
    fn after_spike_currents(&self) -> Result<([f64; 2], [f64; 2])> {
        let (amps, decay) = (self.list("asc_amps")?, self.list("asc_decay")?);
        let amps = amps.ok_or_else(|| self.lacks("asc_amps, which after_spike_currents needs"))?;
        let decay = decay.ok_or_else(|| self.lacks("asc_decay, which after_spike_currents needs"))?;
        if amps.len() != decay.len() || amps.len() > 2 {
            let limit = "must be at most 2, as many as asc_decay";
            return Err(self.refuse("asc_amps", format!("{} entries", amps.len()), limit));
        }
        for (name, resting) in [("asc_init", 0.0), ("asc_r", 1.0), ("ASCurrents", 0.0)] {
            let values = self.list(name)?.unwrap_or_default();
            if let Some(value) = values.iter().find(|v| **v != resting) {
                return Err(self.refuse(name, value, &format!("must be {resting}")));
            }
        }
        let (mut amp_pa, mut decay_per_ms) = ([0.0; 2], [1.0; 2]);
        for (k, (amp, decay)) in amps.iter().zip(&decay).enumerate() {
            amp_pa[k] = *amp;
            decay_per_ms[k] = self.positive("asc_decay", *decay)?;
        }
        Ok((amp_pa, decay_per_ms))
    }

    fn glif_receptors(&self, double_alpha: bool) -> Result<Receptors> {
        if !double_alpha {
            let taus = self.list("tau_syn")?.ok_or_else(|| self.lacks("tau_syn"))?;
            return taus
                .iter()
                .map(|tau| self.kinetics("tau_syn", *tau, *tau, 0.0))
                .collect::<Result<_>>()
                .map(Receptors::Numbered);
        }
        let lists = ["tau_syn_fast", "tau_syn_slow", "amp_slow"];
        let [fast, slow, amp] = lists.map(|name| self.list(name)?.ok_or_else(|| self.lacks(name)));
        let (fast, slow, amp) = (fast?, slow?, amp?);
        if fast.len() != slow.len() || fast.len() != amp.len() {
            let value = format!("{}, {} and {} entries", fast.len(), slow.len(), amp.len());
            return Err(self.refuse(
                "tau_syn_fast, tau_syn_slow and amp_slow",
                value,
                "must be equally many",
            ));
        }
        let all = fast.iter().zip(&slow).zip(&amp);
        let all =
            all.map(|((fast, slow), amp)| self.kinetics("tau_syn_fast or tau_syn_slow", *fast, *slow, *amp));
        all.collect::<Result<_>>().map(Receptors::Numbered)
    }

    /// NEST's `iaf_psc_alpha`, with its defaults for what the file leaves out.
    fn iaf_psc_alpha(&self) -> Result<(PointCell, Receptors)> {
        let current_pa = self.number_or("I_e", 0.0)?;
        if current_pa != 0.0 {
            return Err(self.refuse("I_e", current_pa, "must be 0: the point model has no constant current"));
        }
        if let Some(bound) = self.values.get("V_min") {
            return Err(self.refuse(
                "V_min",
                bound,
                "must be left out: the point model's potential has no lower bound",
            ));
        }
        let c_m_pf = self.positive("C_m", self.number_or("C_m", 250.0)?)?;
        let tau = |name: &str| self.number_or(name, 2.0).and_then(|tau| self.kinetics(name, tau, tau, 0.0));
        let cell = PointCell {
            v_th_mv: self.number_or("V_th", -55.0)?,
            e_l_mv: self.number_or("E_L", -70.0)?,
            v_reset_mv: self.number_or("V_reset", -70.0)?,
            g_ns: c_m_pf / self.positive("tau_m", self.number_or("tau_m", 10.0)?)?,
            c_m_pf,
            t_ref_ms: self.positive("t_ref", self.number_or("t_ref", 2.0)?)?,
            asc_amp_pa: [0.0; 2],
            asc_decay_per_ms: [1.0; 2],
            v_start_mv: self.number_or("V_m", -70.0)?,
        };
        let receptors = Receptors::BySign { positive: tau("tau_syn_ex")?, negative: tau("tau_syn_in")? };
        Ok((cell.checked(self)?, receptors))
    }

    fn kinetics(&self, name: &str, tau_fast_ms: f64, tau_slow_ms: f64, amp_slow: f64) -> Result<Kinetics> {
        self.positive(name, tau_fast_ms)?;
        self.positive(name, tau_slow_ms)?;
        Ok(Kinetics { tau_fast_ms, tau_slow_ms, amp_slow })
    }
}

impl PointCell {
    /// Refuses a cell that would spike for ever.
    fn checked(self, parameters: &Parameters) -> Result<Self> {
        for (name, value) in [("V_reset", self.v_reset_mv), ("E_L", self.e_l_mv)] {
            if value >= self.v_th_mv {
                let limit = format!("must be below V_th, {} mV", self.v_th_mv);
                return Err(parameters.refuse(name, value, &limit));
            }
        }
        Ok(self)
    }
}

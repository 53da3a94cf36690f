//! E5: membrane potentials outside a range. A sum over all steps, so it stays where the potentials are, on the device (`src/sim`), with its
//! f64 definition in `src/reference`; here is what the scene says of it.

use serde::{Deserialize, Serialize};

use super::seen::{Seeds, Seen};
use super::term::{Context, Needs, SceneFacts, Term, TermScene};
use crate::error::{Check, Result};

/// Name of the term in the metrics.
pub const VOLTAGE: &str = "voltage";

/// Loss on membrane potentials outside a range, in units of (V - E_L) / (V_th - E_L): 0 at rest, 1 at threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoltageLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Lower end of the free range, in [-100, 100].
    #[serde(default)]
    pub x_low: f64,
    /// Upper end of the free range, above x_low, at most 100.
    #[serde(default = "one")]
    pub x_high: f64,
}

fn one() -> f64 {
    1.0
}

impl TermScene for VoltageLossScene {
    fn field(&self) -> &'static str {
        "voltage"
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn check(&self, check: &Check<'_>, _: &SceneFacts) -> Result<()> {
        check.within("losses.voltage.x_low", self.x_low, -100.0, 100.0, "")?;
        check.above("losses.voltage.x_high", self.x_high, self.x_low, 100.0, "(x_low is the lower)")
    }

    fn needs(&self) -> Needs {
        Needs { potentials: true, ..Needs::default() }
    }

    fn prepare(&self, _: &Context<'_>) -> Result<Vec<Box<dyn Term>>> {
        Ok(vec![Box::new(Voltage)])
    }
}

/// The device has weight and range, and tells the value after its adjoint pass.
struct Voltage;

impl Term for Voltage {
    fn name(&self) -> &'static str {
        VOLTAGE
    }

    fn value(&self, _: &Seen<'_>, seeds: &mut Seeds) -> Option<f64> {
        seeds.voltage = 1.0;
        None
    }
}

//! How much each group of neurons counts in a term.

use serde::{Deserialize, Serialize};

/// How much each cell type counts in a term of the loss. Either way the shares add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SharesScene {
    /// Every cell type the same: a rare type is held as firmly as a common one.
    PerType,
    /// Every neuron the same: a type counts by its number of neurons.
    PerNeuron,
}

impl SharesScene {
    /// The default of terms that compare types.
    pub(super) fn per_type() -> Self {
        Self::PerType
    }

    /// The default of terms that compare neurons.
    pub(super) fn per_neuron() -> Self {
        Self::PerNeuron
    }

    /// Shares of groups of neurons, which add up to 1.
    pub(super) fn of(self, groups: &[Vec<usize>]) -> Vec<f64> {
        let sizes: Vec<f64> = match self {
            Self::PerType => vec![1.0; groups.len()],
            Self::PerNeuron => groups.iter().map(|neurons| neurons.len() as f64).collect(),
        };
        let total: f64 = sizes.iter().sum();
        sizes.into_iter().map(|size| size / total).collect()
    }
}

//! The surrogate derivative and the terms of the loss.

use serde::{Deserialize, Serialize};

use super::one;

/// Triangular surrogate of the spike's derivative, psi(v) = height * max(0, 1 - |v| / half_width) with
/// v = (V - V_th) / (V_th - E_L).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurrogateScene {
    /// Half width of the support in units of V_th - E_L, in (0, 10]. The cost of the adjoint pass follows it.
    pub half_width: f64,
    /// Height at threshold, in (0, 100].
    pub height: f64,
}

/// Terms of the loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossesScene {
    /// How the terms are weighed against each other.
    #[serde(default)]
    pub weighting: WeightingScene,
    /// Distribution of firing rates per cell type, under gratings and under grey screens, as far as the batch has them.
    pub rates: Option<RatesLossScene>,
    /// Orientation and direction selectivity per cell type; needs evoked trials.
    pub selectivity: Option<SelectivityLossScene>,
    /// Mean direction tuning curve per cell type, Hz; needs evoked trials.
    pub tuning: Option<CurveLossScene>,
    /// Mean rate per cell type against contrast; needs `trials.grating.contrasts`.
    pub contrast: Option<CurveLossScene>,
    /// Membrane potentials far from their working range; keeps silent cells trainable.
    pub voltage: Option<VoltageLossScene>,
    /// Amplitudes of paired recordings between cell groups.
    pub electrophysiology: Option<ElectrophysiologyLossScene>,
    /// Population Fano factor over the recorded bin widths, under gratings and under grey screens.
    pub fano: Option<FanoLossScene>,
    /// Mean pairwise correlation of spike counts under grey screens.
    pub pairwise_correlation: Option<PairwiseLossScene>,
    /// Sizes of the synapses as the connectome implies them.
    pub structure: Option<StructureLossScene>,
}

/// Loss on the weights between neurons, against what electron microscopy shows of their synapses. `None` switches a part off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StructureLossScene {
    /// Distribution of the logarithms of the weights of each pair type.
    pub weight_distribution: Option<WeightDistributionScene>,
    /// Slope of the logarithm of the weight against the difference of preferred directions.
    pub like_to_like: Option<LikeToLikeScene>,
    /// Prior on the pair factors.
    pub scale_prior: Option<ScalePriorScene>,
}

/// Wasserstein-1 distance between the logarithms of the weights of a pair type and their target; each edge counts the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightDistributionScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// What the weights are compared with.
    #[serde(default)]
    pub target: WeightTargetScene,
}

/// Target of the distribution of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightTargetScene {
    /// A normal law of the logarithms with the spread of the sizes of EM connections, about the pair type's own mean: EM says
    /// nothing of nS or pA. Between excitatory types only, since no sizes of inhibitory synapses are published.
    #[default]
    EmSpread,
    /// The weights that the builder drew, for every pair type.
    BuilderWeights,
}

/// Squared distance of the like-to-like slopes from those of EM connection sizes, in standard errors of EM, mean over the pair types
/// for which EM tells a slope against the difference of directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LikeToLikeScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
}

/// Gaussian prior on the logarithms of the pair factors: the sampling error of EM connection probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalePriorScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Pairs of cells of each pair type in which connections were looked for, in 1..=1e9. The publication gives probabilities p and
    /// not counts; with n pairs the relative sampling error of p is sqrt((1 - p)/(p n)), the standard deviation of the prior.
    #[serde(default = "default_pairs_probed")]
    pub n_pairs_probed: f64,
}

/// Loss on the peaks of simulated paired recordings: mean and standard deviation of their logarithms per measured pair of cell
/// groups, each pair counting by its recorded pairs. A fifth of the measured pairs is held out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElectrophysiologyLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Edges recorded of each measured pair in a training step, in 2..=1000.
    #[serde(default = "default_pairs_per_type")]
    pub pairs_per_type: u32,
    /// Which amplitude of a recorded pair is meant.
    #[serde(default = "percentile_90")]
    pub amplitude: AmplitudeScene,
}

impl Default for ElectrophysiologyLossScene {
    fn default() -> Self {
        Self { weight: 1.0, pairs_per_type: default_pairs_per_type(), amplitude: percentile_90() }
    }
}

/// Loss on the Fano factor of the spike count of groups of about 70 excitatory neurons of the core, which stand for recorded
/// populations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FanoLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Number of groups, 1..=32, drawn once a run.
    #[serde(default = "default_n_groups")]
    pub n_groups: u32,
}

/// Loss on the mean correlation of the spike counts of two neurons over grey trials, within the same groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairwiseLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Correlation that is asked for, in [-1, 1].
    pub target: f64,
    /// Number of groups, 1..=32, drawn once a run.
    #[serde(default = "default_n_groups")]
    pub n_groups: u32,
}

/// How the terms of the loss are weighed against each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightingScene {
    /// Each term's value is multiplied by its weight.
    #[default]
    AsGiven,
    /// Each term is scaled so that the norm of its gradient at the first training step is its weight: terms whose values have
    /// different units then pull in the ratio of their weights.
    Normalised,
}

/// Amplitude of a recorded pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AmplitudeScene {
    /// After a long rest.
    Resting,
    /// 90th percentile over the trials of the pair, from which the network's weights are drawn.
    Percentile90,
}

/// Quantile Huber loss between a cell type's rates and the recorded quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Rate error below which the loss is quadratic, Hz, > 0.
    pub huber_hz: f64,
    /// Share of each cell type in the term.
    #[serde(default = "per_type")]
    pub shares: SharesScene,
}

/// How much each cell type counts in a term of the loss. Either way the shares add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SharesScene {
    /// Every cell type the same: a rare type is held as firmly as a common one.
    PerType,
    /// Every neuron the same: a type counts by its number of neurons.
    PerNeuron,
}

/// Loss on orientation and direction selectivity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectivityLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, by which a neuron's response is divided: it bounds the say of neurons that hardly fire.
    #[serde(default = "half")]
    pub min_rate_hz: f64,
    /// What the running mean of each neuron's rate keeps per training step, in [0, 1).
    #[serde(default = "default_rate_mean_decay")]
    pub rate_mean_decay: f64,
    /// Share of each cell type in the term.
    #[serde(default = "per_neuron")]
    pub shares: SharesScene,
}

/// Loss on the mean response curve of each cell type, in units of its recorded rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveLossScene {
    /// Weight of the term, >= 0.
    pub weight: f64,
    /// Least rate, Hz, > 0, that the difference between curves is divided by: it bounds the say of types that hardly fire.
    #[serde(default = "half")]
    pub min_rate_hz: f64,
    /// Share of each cell type in the term.
    #[serde(default = "per_type")]
    pub shares: SharesScene,
}

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

fn half() -> f64 {
    0.5
}

fn default_n_groups() -> u32 {
    16
}

fn default_pairs_probed() -> f64 {
    1000.0
}

fn default_pairs_per_type() -> u32 {
    32
}

fn percentile_90() -> AmplitudeScene {
    AmplitudeScene::Percentile90
}

fn default_rate_mean_decay() -> f64 {
    0.95
}

fn per_type() -> SharesScene {
    SharesScene::PerType
}

fn per_neuron() -> SharesScene {
    SharesScene::PerNeuron
}

//! What an evaluation finds: the network beside the recordings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::TrialsShown;
use crate::loss::electrophysiology::LogStatistics;
use crate::loss::weights::LogMoments;

/// One measure of a cell type beside its recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Neurons of the core that have a value.
    pub n_neurons: usize,
    /// Mean over them.
    pub mean: f64,
    /// Lower quartile.
    pub q25: f64,
    /// Median.
    pub median: f64,
    /// Upper quartile.
    pub q75: f64,
    /// Quantiles at the probabilities of [`crate::network::tables::PROBABILITIES`]; empty in a file of an earlier version.
    #[serde(default)]
    pub quantiles: Vec<f64>,
    /// Recorded units that the neurons are compared with; None, as for what follows, where nothing was recorded.
    pub target_n_units: Option<usize>,
    /// Mean of the recorded quantiles.
    pub target_mean: Option<f64>,
    /// Recorded lower quartile.
    pub target_q25: Option<f64>,
    /// Recorded median.
    pub target_median: Option<f64>,
    /// Recorded upper quartile.
    pub target_q75: Option<f64>,
    /// Recorded quantiles at the same probabilities.
    #[serde(default)]
    pub target_quantiles: Option<Vec<f64>>,
    /// 1 - KS between neurons and recorded quantiles, in [0, 1].
    pub similarity: Option<f64>,
    /// 95 % interval of the similarity, basic bootstrap over the neurons; the recordings are taken as they are.
    pub similarity_interval: Option<[f64; 2]>,
    /// The same similarity between halves of the recorded sessions, which a model can hardly exceed.
    pub ceiling: Option<f64>,
}

/// Evaluation of one cell type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellTypeSummary {
    /// Cell type, or the name of several that were recorded as one.
    pub cell_type: String,
    /// Neurons in the core.
    pub n_neurons: usize,
    /// Mean rate over drifting gratings, Hz; None without such trials.
    pub rate_evoked_hz: Option<Comparison>,
    /// Rate under a grey screen, Hz; None without such trials.
    pub rate_spontaneous_hz: Option<Comparison>,
    /// Orientation selectivity index; None where no neuron has one.
    pub osi: Option<Comparison>,
    /// Direction selectivity index; None where no neuron has one.
    pub dsi: Option<Comparison>,
}

/// Curves of all cell types beside the recordings of one split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// Direction tuning.
    pub tuning: Vec<TuningCurve>,
    /// Contrast response; empty where no several contrasts were shown (`evaluate.contrasts`).
    pub contrast: Vec<ContrastCurve>,
}

/// Mean tuning curve of a cell type about each neuron's assigned preferred direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningCurve {
    /// Cell type, or the name of several that were recorded as one.
    pub cell_type: String,
    /// Neurons in the core.
    pub n_neurons: usize,
    /// Middle of each bin, degrees from the preferred direction.
    pub delta_deg: Vec<f64>,
    /// Mean rate in each bin, Hz; None in a bin without a response.
    pub rate_hz: Vec<Option<f64>>,
    /// Recorded curve, the mean over the same responses, Hz; None where nothing was recorded.
    pub target_hz: Option<Vec<Option<f64>>>,
    /// Selectivity of the crowd for direction and orientation about the assigned direction: Re z_1 and Re z_2 (L2 of docs/model.md), which noise
    /// does not raise. None without gratings, and in a file of an earlier version.
    #[serde(default)]
    pub crowd: Option<[f64; 2]>,
}

/// Contrast-response curve of a cell type and the classes of its neurons' curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContrastCurve {
    /// Cell type, or the name of several that were recorded as one.
    pub cell_type: String,
    /// Neurons in the core.
    pub n_neurons: usize,
    /// Contrasts, ascending; 0 is grey.
    pub contrasts: Vec<f64>,
    /// Mean rate at each, Hz.
    pub rate_hz: Vec<f64>,
    /// What the contrast term asks for, Hz: recorded at 0 and 0.8, a rule in between. None where nothing was recorded.
    pub target_hz: Option<Vec<f64>>,
    /// Neurons by class.
    pub classes: ClassCounts,
    /// Recorded units by class; None where too few were recorded.
    pub recorded_classes: Option<ClassCounts>,
}

/// How many contrast-response curves are of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Tested, responsive or not; 0 where too few contrasts or trials were shown to class any.
    pub n_tested: usize,
    /// Responsive and high-pass.
    pub n_high: usize,
    /// Responsive and band-pass.
    pub n_band: usize,
    /// Responsive and low-pass.
    pub n_low: usize,
}

/// Population Fano factors of the network beside the recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FanoCurve {
    /// Whether gratings were shown.
    pub evoked: bool,
    /// Widths of the bins, ms, in whole steps.
    pub width_ms: Vec<f64>,
    /// Mean over groups and trials; None where no group spiked.
    pub fano: Vec<Option<f64>>,
    /// Mean over recorded sessions.
    pub recorded: Vec<f64>,
    /// Standard deviation over recorded sessions.
    pub recorded_sd: Vec<f64>,
}

/// A measured pair of cell groups beside the network's recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairErrors {
    /// Presynaptic group of `scenes/v1/psp_measured.csv`.
    pub source: String,
    /// Postsynaptic group.
    pub target: String,
    /// Whether the losses leave it out.
    pub held_out: bool,
    /// Pairs recorded in tissue.
    pub n_recorded: usize,
    /// Mean and standard deviation of ln(peak/mV) there.
    pub recorded_log_mean: f64,
    /// See `recorded_log_mean`.
    pub recorded_log_sd: f64,
    /// Edges of the network that were recorded; those without a deflection are not in `model`.
    pub n_sampled: usize,
    /// The same of the network's edges.
    pub model: LogStatistics,
    /// Quantiles of the logarithms of its peaks (mV) at the probabilities of [`crate::network::tables::PROBABILITIES`]; empty without peaks, and in a file
    /// of an earlier version.
    #[serde(default)]
    pub log_quantiles: Vec<f64>,
    /// Median time from the presynaptic spike to the peak, ms.
    pub time_to_peak_ms: f64,
    /// What the measured latencies and kinetics make of it on the same cells, ms: median.
    pub measured_time_to_peak_ms: f64,
}

/// The weights of a pair type beside EM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairTypeWeights {
    /// Presynaptic cell type.
    pub source: String,
    /// Postsynaptic cell type.
    pub target: String,
    /// The logarithms of the network's weights.
    pub model: LogMoments,
    /// Quantiles of these logarithms at the probabilities of [`crate::network::tables::PROBABILITIES`]; empty in a file of an earlier version.
    #[serde(default)]
    pub log_quantiles: Vec<f64>,
    /// Standard deviation of the logarithms of the sizes of EM connections.
    pub em_log_sd: f64,
    /// Whether it was measured between these cell types, not pooled over all excitatory ones.
    pub is_measured: bool,
    /// W1 between the centred logarithms and the normal law of that spread.
    pub distance: f64,
}

/// Like-to-like: the slope of the logarithm of the weight against the difference of assigned preferred directions, beside EM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikeToLikeSlope {
    /// Presynaptic cell type.
    pub source: String,
    /// Postsynaptic cell type.
    pub target: String,
    /// Edges of the network that are not 0.
    pub n_edges: usize,
    /// Slope in the network, 1/deg.
    pub slope_per_deg: f64,
    /// Its standard error.
    pub slope_se: f64,
    /// Study with calcium imaging of the EM volume.
    pub study: String,
    /// Slope of the logarithm of the size of EM connections, 1/deg.
    pub em_slope_per_deg: f64,
    /// Its standard error.
    pub em_slope_se: f64,
}

/// One cell type under one stimulus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StimulusSummary {
    /// Cell type; `all` for all neurons of the core.
    pub cell_type: String,
    /// Neurons in the core.
    pub n_neurons: usize,
    /// Mean rate under the stimulus, Hz.
    pub rate_hz: f64,
    /// Mean rate under grey in trials of the same length and window, Hz.
    pub grey_hz: f64,
    /// Mean rate over the gratings of the same evaluation, Hz; None for `all`.
    pub gratings_hz: Option<f64>,
    /// Fraction of neurons whose counts differ between stimulus and grey (`evaluate::NeuronTrials::responds`; 0.05 by chance). None with fewer than four
    /// trials.
    pub responsive_fraction: Option<f64>,
    /// Mean over neurons of the correlation between trials (`evaluate::NeuronTrials::reliability`); None where no neuron has one.
    pub reliability: Option<f64>,
    /// Neurons that have one.
    pub n_reliability: usize,
}

/// The network under one image or movie.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StimulusEvaluation {
    /// File or folder.
    pub file: PathBuf,
    /// Frames; 1 for an image.
    pub n_frames: usize,
    /// How long each stays, ms.
    pub frame_ms: f64,
    /// Width and height on the screen, deg.
    pub size_deg: [f64; 2],
    /// Time of the first frame, ms: spikes are counted from here to the end of the trial.
    pub onset_ms: f64,
    /// Length of a trial, ms.
    pub duration_ms: f64,
    /// Trials of the stimulus; there were as many grey ones.
    pub n_trials: u32,
    /// Width of the bins in which trials are compared, ms.
    pub bin_ms: f64,
    /// Cell types of the core, then all together.
    pub cell_types: Vec<StimulusSummary>,
}

/// The network of a run beside one split of the recorded sessions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BesideSessions {
    /// Rates and selectivity by cell type.
    pub cell_types: Vec<CellTypeSummary>,
    /// Tuning and contrast-response curves.
    pub curves: Curves,
    /// Population Fano factors.
    pub fano: Vec<FanoCurve>,
    /// Median rates of pyramidal, PV and SST types that were compared with the recorded interquartile range.
    pub n_rates: usize,
    /// Those outside it.
    pub rates_outside: Vec<String>,
}

/// `evaluation.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The run folder.
    pub run: PathBuf,
    /// Training steps behind the network.
    pub training_step: u32,
    /// Whether the run has no checkpoint, so that this is the network before training.
    #[serde(default)]
    pub without_checkpoint: bool,
    /// What was shown.
    #[serde(flatten)]
    pub shown: TrialsShown,
    /// Beside the sessions that the losses are taken from.
    pub train: BesideSessions,
    /// Beside the sessions that were held out.
    pub held_out: BesideSessions,
    /// Paired recordings beside the measured ones; empty for a network without synapses.
    pub pairs: Vec<PairErrors>,
    /// Weights between excitatory types beside EM.
    pub weights: Vec<PairTypeWeights>,
    /// Like-to-like slopes beside EM.
    pub like_to_like: Vec<LikeToLikeSlope>,
    /// The network under images and movies, if any were shown.
    #[serde(default)]
    pub stimuli: Vec<StimulusEvaluation>,
}

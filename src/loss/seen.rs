//! What the terms look at in a training step, and what they answer: the derivatives of the loss by each of it.

use super::groups::PopulationCounts;
use super::targets::RECORDED_CONTRAST;

/// What a trial shows, as far as the losses go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrialKind {
    /// A drifting grating of the scene's contrast (`trials.grating.contrast`), which the recordings are compared with; direction of drift
    /// in degrees, in the convention of `tuning_angle_deg`.
    Evoked {
        /// Direction of drift, degrees.
        direction_deg: f64,
    },
    /// A grey screen.
    Spontaneous,
    /// A drifting grating of another contrast than the scene's: only contrast-response curves take it.
    OtherContrast {
        /// Direction of drift, degrees, as above.
        direction_deg: f64,
        /// Michelson contrast, in [0, 1].
        contrast: f64,
    },
}

impl TrialKind {
    /// Direction of an evoked trial, degrees; gratings of another contrast are not meant.
    pub fn direction_deg(self) -> Option<f64> {
        match self {
            Self::Evoked { direction_deg } => Some(direction_deg),
            Self::Spontaneous | Self::OtherContrast { .. } => None,
        }
    }

    /// Michelson contrast of the grating, 0 under grey. That of an evoked trial is taken to be that of the recordings
    /// ([`RECORDED_CONTRAST`]): who asks refuses scenes of another.
    pub fn contrast(self) -> f64 {
        match self {
            Self::Evoked { .. } => RECORDED_CONTRAST,
            Self::Spontaneous => 0.0,
            Self::OtherContrast { contrast, .. } => contrast,
        }
    }
}

/// Spike counts of one batch of trials.
#[derive(Clone, Copy, Debug)]
pub struct Responses<'a, C> {
    /// Spikes in the analysis window, `[n_neurons][n_trials]`.
    pub counts: &'a [C],
    /// What each trial shows, `[n_trials]`.
    pub trials: &'a [TrialKind],
    /// Length of the analysis window, ms.
    pub window_ms: f64,
}

impl<C: Copy + Into<f64>> Responses<'_, C> {
    /// Indices of the evoked, or else of the spontaneous trials; gratings of another contrast are neither.
    pub fn trials_of_kind(&self, evoked: bool) -> Vec<usize> {
        let is = |trial: TrialKind| match trial {
            TrialKind::Evoked { .. } => evoked,
            TrialKind::Spontaneous => !evoked,
            TrialKind::OtherContrast { .. } => false,
        };
        (0..self.trials.len()).filter(|&t| is(self.trials[t])).collect()
    }

    /// Rate of one neuron in one trial, Hz.
    pub fn rate_hz(&self, neuron_ix: usize, trial_ix: usize) -> f64 {
        self.counts[neuron_ix * self.trials.len() + trial_ix].into() / (1e-3 * self.window_ms)
    }

    /// Mean rate of each neuron over some trials, Hz, `[n_neurons]`.
    pub fn mean_rates_hz(&self, trials: &[usize]) -> Vec<f64> {
        let n_neurons = self.counts.len() / self.trials.len().max(1);
        (0..n_neurons).map(|neuron_ix| self.mean_rate_hz(neuron_ix, trials)).collect()
    }

    /// Mean rate of one neuron over some trials, Hz.
    pub fn mean_rate_hz(&self, neuron_ix: usize, trials: &[usize]) -> f64 {
        trials.iter().map(|&t| self.rate_hz(neuron_ix, t)).sum::<f64>() / trials.len() as f64
    }
}

/// Everything that a term may look at in a training step. What no term needs is empty.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Spike counts of the network.
    pub responses: Responses<'a, f64>,
    /// Spikes of groups in each step.
    pub population: PopulationCounts<'a>,
    /// Largest deflection of each recorded edge's target, signed, mV.
    pub peaks_mv: &'a [f64],
    /// Weights between neurons by size, `[n_pair_types][N_WEIGHT_BINS]`.
    pub weight_counts: &'a [u32],
    /// Weights of the like-to-like pair types, `[pair types][N_DIRECTION_BINS][N_WEIGHT_BINS]`.
    pub direction_counts: &'a [u32],
    /// Logarithms of the pair factors, `[n_pair_types]`.
    pub log_factors: &'a [f64],
}

impl<'a> Seen<'a> {
    /// Spike counts alone.
    pub fn of_responses(responses: Responses<'a, f64>) -> Self {
        Self {
            responses,
            population: PopulationCounts::default(),
            peaks_mv: &[],
            weight_counts: &[],
            direction_counts: &[],
            log_factors: &[],
        }
    }
}

/// Derivatives of the loss by what was seen, a field a kind; empty where the loss does not look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seeds {
    /// By each spike count, `[n_neurons][n_trials]`.
    pub counts: Vec<f64>,
    /// By the spikes of each group in each step, `[n_steps][n_groups][n_trials]`.
    pub population: Vec<f64>,
    /// By each peak, 1/mV.
    pub peaks: Vec<f64>,
    /// By the logarithm of one weight of each bin, `[n_pair_types][N_WEIGHT_BINS]`.
    pub log_weights: Vec<f64>,
    /// By the logarithm of one weight of each direction, `[pair types][N_DIRECTION_BINS]`.
    pub log_weights_by_direction: Vec<f64>,
    /// By the logarithm of each pair factor, `[n_pair_types]`.
    pub log_factors: Vec<f64>,
    /// By the voltage penalty of the device.
    pub voltage: f64,
    /// By the mean distance of the weights from those that are kept, of the device.
    pub keep: f64,
}

impl Seeds {
    /// Adds `factor` times other seeds.
    pub fn add(&mut self, factor: f64, other: &Self) {
        let parts = [
            (&mut self.counts, &other.counts),
            (&mut self.population, &other.population),
            (&mut self.peaks, &other.peaks),
            (&mut self.log_weights, &other.log_weights),
            (&mut self.log_weights_by_direction, &other.log_weights_by_direction),
            (&mut self.log_factors, &other.log_factors),
        ];
        for (sum, part) in parts {
            if sum.is_empty() {
                sum.resize(part.len(), 0.0);
            }
            sum.iter_mut().zip(part).for_each(|(sum, seed)| *sum += factor * seed);
        }
        self.voltage += factor * other.voltage;
        self.keep += factor * other.keep;
    }

    /// Whether the loss looks at the network's spikes or potentials.
    pub fn touch_network(&self) -> bool {
        !self.counts.is_empty() || !self.population.is_empty() || self.voltage != 0.0
    }
}

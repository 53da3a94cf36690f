//! The run folder: metrics, checkpoints, summary, spikes.

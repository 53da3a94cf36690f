//! Evaluation: rates and selectivity per cell type beside the recordings.

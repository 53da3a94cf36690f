//! What runs and evaluations find, as plain data: what the files of a run folder hold. Whoever draws or compares it needs no device.

mod carried;
mod evaluation;
mod run;

pub use carried::{Carried, CarriedEdges};
pub use evaluation::{
    BesideSessions, CellTypeSummary, ClassCounts, Comparison, ContrastCurve, Curves, Evaluation, FanoCurve,
    LikeToLikeSlope, PairErrors, PairTypeWeights, StimulusEvaluation, StimulusSummary, TuningCurve,
};
pub use run::{
    Gradients, NetworkSize, NeuronRange, PhaseMs, PopulationSize, StepMetrics, Summary, TermGradient,
    TrialsShown,
};

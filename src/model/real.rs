//! The number types of the model: f64, and dual numbers that carry one directional derivative.

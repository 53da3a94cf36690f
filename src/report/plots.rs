//! The figures of a run's course: losses, rates, gradients, the raster.

use plotters::style::RGBColor;

use super::data::Run;
use super::spikes::Trial;
use crate::figures::{Axis, Figure, Line, Panel, RasterGroup, SMALL_CHART, bars_of, colour, lines, raster};
use crate::results::{Gradients, NeuronRange, StepMetrics, TermGradient};

/// Most points of a line.
const MAX_POINTS: usize = 600;
/// Rows of a raster, over all cell types; every type has at least [`LEAST_ROWS`] where it has so many neurons.
const N_ROWS: f64 = 220.0;
const LEAST_ROWS: f64 = 6.0;
/// Bins of the rates below the raster.
const N_BINS: f64 = 50.0;

/// A value at every training step, thinned to what a chart can show.
fn course(metrics: &[StepMetrics], value: impl Fn(&StepMetrics) -> Option<f64>) -> Vec<(f64, f64)> {
    let stride = metrics.len().div_ceil(MAX_POINTS).max(1);
    let last = metrics.len().saturating_sub(1);
    let kept = metrics.iter().enumerate().filter(|(ix, _)| ix % stride == 0 || *ix == last);
    kept.filter_map(|(_, m)| value(m).filter(|v| v.is_finite()).map(|v| (f64::from(m.step), v))).collect()
}

/// A chart of lines over training steps, logarithmic where every value is above 0.
fn over_steps(title: &str, unit: &str, log: bool, of: Vec<(Vec<(f64, f64)>, usize)>) -> Option<Panel> {
    let positive = of.iter().flat_map(|(points, _)| points).all(|p| p.1 > 0.0);
    let lines_of: Vec<Line> = of
        .into_iter()
        .filter(|(points, _)| !points.is_empty())
        .map(|(points, ix)| Line { dots: points.len() <= 40, points, colour: colour(ix) })
        .collect();
    let axis = if log && positive { Axis::log(unit) } else { Axis::linear(unit) };
    let axes = [Axis::whole("training step"), axis];
    (!lines_of.is_empty()).then(|| lines(title, "", axes, SMALL_CHART, lines_of))
}

/// The loss and each of its terms, a line a run.
pub(super) fn losses(runs: &[&Run]) -> Option<Figure> {
    let mut terms: Vec<&str> = runs.iter().flat_map(|run| run.terms()).collect();
    terms.sort_unstable();
    terms.dedup();
    let of_runs = |value: &dyn Fn(&StepMetrics) -> Option<f64>| {
        runs.iter().enumerate().map(|(ix, run)| (course(&run.metrics, value), ix)).collect()
    };
    let total = over_steps("loss", "sum of terms", true, of_runs(&|m| Some(m.total_loss)));
    let of_terms = terms.into_iter().filter(|_| total.is_some()).filter_map(|term| {
        over_steps(term, "weighted value", true, of_runs(&|m| m.losses.get(term).copied()))
    });
    let of_terms: Vec<Panel> = of_terms.collect();
    figure("losses", total.into_iter().chain(of_terms).collect(), legend(runs))
}

/// Names of several runs with their colours; nothing for one.
pub(super) fn legend(runs: &[&Run]) -> Vec<(String, RGBColor)> {
    let named = runs.iter().enumerate().map(|(ix, run)| (run.name.clone(), colour(ix)));
    named.filter(|_| runs.len() > 1).collect()
}

fn figure(name: &'static str, panels: Vec<Panel>, legend: Vec<(String, RGBColor)>) -> Option<Figure> {
    let figure = Figure { name, panels, n_columns: 4, legend, note: String::new() };
    (!figure.panels.is_empty()).then_some(figure)
}

/// Mean rates, norm of the gradient and time of every step.
pub(super) fn course_of_training(run: &Run) -> Option<Figure> {
    let of = |value: &dyn Fn(&StepMetrics) -> Option<f64>| course(&run.metrics, value);
    let charts = [
        over_steps("mean rate, gratings", "rate, Hz", false, vec![(of(&|m| Some(m.mean_rate_evoked_hz)), 0)]),
        over_steps(
            "mean rate, grey screen",
            "rate, Hz",
            false,
            vec![(of(&|m| Some(m.mean_rate_spontaneous_hz)), 0)],
        ),
        over_steps("gradient of the weights", "norm", true, vec![(of(&|m| Some(m.gradient_norm)), 0)]),
        over_steps("time of a step", "s", false, vec![(of(&|m| Some(m.ms.total() / 1e3)), 0)]),
    ];
    figure("training", charts.into_iter().flatten().collect(), Vec::new())
}

/// Norms of the gradients of the terms at the first training step, a chart a group of what is learned.
pub(super) fn gradients(gradients: &Gradients) -> Option<Figure> {
    type Norm = fn(&TermGradient) -> f64;
    let groups: [(&str, &str, Norm); 3] = [
        ("weights", "norm, per nS (pA)", |t| t.weights),
        ("cell parameters", "norm, per step unit", |t| t.cells),
        ("pair factors", "norm, per ln factor", |t| t.scales),
    ];
    let charts = groups.into_iter().filter_map(|(title, unit, norm)| {
        let of_terms: Vec<(String, f64)> =
            gradients.terms.iter().map(|t| (t.name.clone(), norm(t))).filter(|t| t.1 > 0.0).collect();
        (!of_terms.is_empty()).then(|| bars_of(title, Axis::log(unit), 350, of_terms))
    });
    figure("gradients", charts.collect(), Vec::new())
}

/// Number of a colour for a class of cells, and its name.
fn class_of(cell_type: &str) -> (usize, &'static str) {
    match cell_type.rsplit('_').next().unwrap_or_default() {
        "PV" => (4, "PV"),
        "SST" => (2, "SST"),
        "VIP" => (3, "VIP"),
        "Inh" => (5, "layer 1"),
        "Exc" | "ET" | "IT" | "NP" => (0, "excitatory"),
        _ => (6, "other"),
    }
}

/// The classes that some cell types are of, in the order of their first.
fn classes<'a>(cell_types: impl Iterator<Item = &'a str>) -> Vec<(usize, &'static str)> {
    let mut classes = Vec::new();
    for class in cell_types.map(class_of) {
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    classes
}

/// The neurons of each cell type, types in the order of their first neurons.
fn by_type(neurons: &[NeuronRange]) -> Vec<(&str, Vec<u32>)> {
    let mut types: Vec<(&str, Vec<u32>)> = Vec::new();
    for range in neurons {
        let own = range.first..range.first + range.n;
        match types.iter_mut().find(|(name, _)| *name == range.cell_type) {
            Some((_, all)) => all.extend(own),
            None => types.push((&range.cell_type, own.collect())),
        }
    }
    types
}

/// The raster of a trial, an even sample of the neurons of each type, and the rates of the classes over all neurons below it;
/// how many neurons are shown of how many.
pub(super) fn spikes(trial: &Trial, neurons: &[NeuronRange]) -> Option<(Figure, [usize; 2])> {
    let types = by_type(neurons);
    let n_all: usize = types.iter().map(|t| t.1.len()).sum();
    if n_all == 0 {
        return None;
    }
    let n_ids = neurons.iter().map(|r| r.first + r.n).max().unwrap_or(0) as usize;
    let mut place = vec![None; n_ids];
    let mut class = vec![usize::MAX; n_ids];
    let mut groups = Vec::new();
    let mut layer = "";
    for (name, all) in &types {
        let share = (N_ROWS * all.len() as f64 / n_all as f64).max(LEAST_ROWS).round() as usize;
        let n_rows = share.min(all.len());
        for row in 0..n_rows {
            place[all[row * all.len() / n_rows] as usize] = Some((groups.len(), row));
        }
        all.iter().for_each(|neuron| class[*neuron as usize] = class_of(name).0);
        let own_layer = name.split('_').next().unwrap_or_default();
        groups.push(RasterGroup {
            name: (*name).to_owned(),
            n_rows,
            spikes: Vec::new(),
            colour: colour(class_of(name).0),
            begins_layer: own_layer != layer,
        });
        layer = own_layer;
    }
    for (neuron, time_ms) in &trial.spikes {
        if let Some(Some((group, row))) = place.get(*neuron as usize) {
            groups[*group].spikes.push((*row, *time_ms));
        }
    }
    let n_shown = groups.iter().map(|g| g.n_rows).sum();
    let classes = classes(types.iter().map(|t| t.0));
    let title = match trial.grating {
        Some((direction_deg, _)) => format!("spikes, grating in direction {direction_deg} deg"),
        None => "spikes, first trial".to_owned(),
    };
    let onset_ms = trial.grating.map(|(_, onset_ms)| onset_ms);
    let panels = vec![
        raster(&title, groups, (0.0, trial.duration_ms), onset_ms),
        rates_over_time(trial, &classes, &class),
    ];
    let legend = classes.iter().map(|(ix, name)| ((*name).to_owned(), colour(*ix))).collect();
    figure("raster", panels, legend).map(|figure| (figure, [n_shown, n_all]))
}

/// Mean rates of the classes of all neurons in bins of time.
fn rates_over_time(trial: &Trial, classes: &[(usize, &str)], class: &[usize]) -> Panel {
    let width_ms = (trial.duration_ms / N_BINS / 5.0).ceil() * 5.0;
    let n_bins = (trial.duration_ms / width_ms).ceil() as usize;
    let of_class = |ix: usize| {
        let n = class.iter().filter(|c| **c == ix).count();
        let mut counts = vec![0.0; n_bins];
        for (neuron, time_ms) in &trial.spikes {
            if class.get(*neuron as usize) == Some(&ix) {
                // A spike's time is the end of its step.
                let bin = ((time_ms / width_ms).ceil() as usize).clamp(1, n_bins) - 1;
                counts[bin] += 1.0;
            }
        }
        let points = counts.iter().enumerate().map(|(bin, count)| {
            let (from, to) = (bin as f64 * width_ms, ((bin + 1) as f64 * width_ms).min(trial.duration_ms));
            (0.5 * (from + to), count / (n as f64 * (to - from) * 1e-3))
        });
        Line { points: points.collect(), colour: colour(ix), dots: false }
    };
    let axes = [Axis::between("time, ms", 0.0, trial.duration_ms), Axis::linear("rate, Hz")];
    let title = format!("mean rate by class, bins of {width_ms} ms");
    lines(&title, "", axes, (1060, 230), classes.iter().map(|(ix, _)| of_class(*ix)).collect())
}

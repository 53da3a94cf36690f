//! Paired recordings and weights beside what was measured.

use maud::{Markup, html};

use super::data::Evaluated;
use super::page::{Cell, figure, numbers, table, words};
use crate::error::Result;
use crate::figures;
use crate::results::{LikeToLikeSlope, PairErrors, PairTypeWeights};

pub(super) fn section(evaluated: &Evaluated<'_>) -> Result<Markup> {
    let n_edges = evaluated.pairs.first().map_or(0, |pair| pair.n_sampled);
    let psps = html! {
        strong { "Paired recordings." } " Peak PSPs simulated from edges of the network (up to " (n_edges) " a pair) beside the log-normal law of the "
        "recorded pairs."
    };
    let pairs = html! {
        strong { "Network against measurement." } " A point a measured pair of cell groups; on the line both agree."
    };
    let distributions = html! {
        strong { "Weights." } " Distribution of the logarithms of the weights about their mean, beside the normal law with the spread of EM synapse sizes, for the pair "
        "types that EM has measured themselves; W1 is the mean distance of the two."
    };
    let spread = html! {
        strong { "Spread of weights" } " of every pair of excitatory types against that of EM synapse sizes."
    };
    Ok(html! {
        (figure(figures::psps(evaluated.pairs), &psps)?)
        (figure(figures::pairs(evaluated.pairs), &pairs)?)
        (pair_table(evaluated.pairs, true))
        @if evaluated.pairs.iter().any(|p| !p.held_out) {
            details { summary { "Pairs that training may see" } (pair_table(evaluated.pairs, false)) }
        }
        (figure(figures::weight_distributions(evaluated.weights), &distributions)?)
        (figure(figures::weights(evaluated.weights), &spread)?)
        @if !evaluated.weights.is_empty() {
            details { summary { "Weights of every pair type" } (weight_table(evaluated.weights)) }
        }
        (like_to_like(evaluated.like_to_like))
    })
}

fn pair_table(pairs: &[PairErrors], held_out: bool) -> Markup {
    let rows: Vec<Vec<Cell>> = pairs
        .iter()
        .filter(|pair| pair.held_out == held_out)
        .map(|pair| {
            let model = |value: f64, n: usize| Cell::number((pair.model.n >= n).then_some(value), 2);
            vec![
                Cell::text(&pair.source),
                Cell::text(&pair.target),
                Cell::count(pair.n_recorded as u64),
                Cell::count(pair.model.n as u64),
                model(pair.model.log_mean.exp(), 1),
                Cell::number(pair.recorded_log_mean.exp(), 2),
                model(pair.model.log_mean - pair.recorded_log_mean, 1),
                model(pair.model.log_sd, 2),
                Cell::number(pair.recorded_log_sd, 2),
                model(pair.time_to_peak_ms, 1),
                Cell::number(pair.measured_time_to_peak_ms, 2),
            ]
        })
        .collect();
    let groups = [
        ("", 2),
        ("n", 2),
        ("peak PSP, mV (geometric mean)", 3),
        ("sd of ln PSP", 2),
        ("time to peak, ms", 2),
    ];
    let columns = [
        words("source"),
        words("target"),
        numbers("recorded"),
        numbers("network"),
        numbers("network"),
        numbers("recorded"),
        numbers("ln ratio"),
        numbers("network"),
        numbers("recorded"),
        numbers("network"),
        numbers("measured"),
    ];
    let caption = html! {
        @if held_out {
            strong { "Held-out pairs." } " Measured pairs of cell groups that the losses leave out. A built network starts from the law of all pairs."
        } @else {
            strong { "Pairs that training may see." }
        }
    };
    html! { @if !rows.is_empty() { (table(&caption, &groups, &columns, &rows)) } }
}

fn weight_table(weights: &[PairTypeWeights]) -> Markup {
    let rows: Vec<Vec<Cell>> = weights
        .iter()
        .map(|w| {
            vec![
                Cell::text(&w.source),
                Cell::text(&w.target),
                Cell::count(w.model.n),
                Cell::number(w.model.mean, 2),
                Cell::number(w.model.sd, 2),
                Cell::number(w.em_log_sd, 2),
                Cell::text(if w.is_measured { "measured" } else { "pooled" }),
                Cell::number(w.distance, 3),
            ]
        })
        .collect();
    let columns = [
        words("source"),
        words("target"),
        numbers("edges"),
        numbers("mean of ln w"),
        numbers("sd of ln w"),
        numbers("sd of ln EM size"),
        words("EM"),
        numbers("W1"),
    ];
    let caption = html! { strong { "Weights" } " between excitatory types, in nS (pA in point mode)." };
    table(&caption, &[], &columns, &rows)
}

fn like_to_like(slopes: &[LikeToLikeSlope]) -> Markup {
    let rows: Vec<Vec<Cell>> = slopes
        .iter()
        .map(|s| {
            let mut row = vec![Cell::text(&s.source), Cell::text(&s.target), Cell::count(s.n_edges as u64)];
            let values = [s.slope_per_deg, s.slope_se, s.em_slope_per_deg, s.em_slope_se];
            row.extend(values.map(|v| Cell::number(v, 5)));
            row.push(Cell::Long(s.study.clone()));
            row
        })
        .collect();
    let columns = [
        words("source"),
        words("target"),
        numbers("edges"),
        numbers("network"),
        numbers("standard error"),
        numbers("EM"),
        numbers("standard error"),
        words("study"),
    ];
    let caption = html! {
        strong { "Like to like." } " Slope of ln weight against the difference of preferred directions, per deg."
    };
    let groups = [("", 3), ("network", 2), ("EM", 3)];
    html! { @if !rows.is_empty() { (table(&caption, &groups, &columns, &rows)) } }
}

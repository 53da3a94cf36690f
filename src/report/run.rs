//! The sections of one run's report.

use maud::{Markup, html};

use super::data::{Evaluated, Run};
use super::page::{Cell, Section, facts, figure, numbers, significant, table, tiles, words};
use super::{plots, synapses, verdict};
use crate::error::Result;
use crate::evaluate::{contrast_notice, mean_similarities, rate_misses};
use crate::figures::{self, MEASURES};
use crate::loss::WeightingScene;
use crate::results::{CellTypeSummary, Comparison, Gradients, StimulusEvaluation};
use crate::scene::{NetworkScene, PortsScene};

/// One line below the run's name.
pub(super) fn headline(run: &Run) -> String {
    let network = match &run.scene.network {
        NetworkScene::V1(v1) => format!("mouse V1, radius {} um", v1.radius_um),
        NetworkScene::CellsOnly(_) => "cells without synapses".to_owned(),
        NetworkScene::Sonata(sonata) => format!("SONATA circuit {}", sonata.config.display()),
    };
    let steps = format!(
        "{} of {} training steps",
        run.metrics.last().map_or(0, |m| m.step),
        run.scene.optimiser.training_steps
    );
    let started = run.provenance.as_ref().map(|p| p.started.as_str()).filter(|text| !text.is_empty());
    let started = started.map(|text| format!("; started {}", text.replace('T', " ").replace('Z', " UTC")));
    let started = started.unwrap_or_default();
    format!("{network}; seed {}; {steps}{started}", run.scene.seed)
}

/// All sections that there is something to show in.
pub(super) fn sections(run: &Run) -> Result<Vec<Section>> {
    let mut sections = vec![Section::new("run", "Run", overview(run))];
    if !run.metrics.is_empty() {
        sections.push(Section::new("training", "Training", training(run)?));
    }
    if let Some(evaluated) = run.evaluated() {
        sections.push(Section::new("recordings", "Beside recordings", recordings(run, &evaluated)?));
        sections.push(Section::new("responses", "Responses", responses(run, &evaluated)?));
        if !evaluated.pairs.is_empty() || !evaluated.weights.is_empty() {
            sections.push(Section::new("synapses", "Synapses", synapses::section(&evaluated)?));
        }
    }
    sections.push(Section::new("provenance", "Provenance", provenance(run)));
    Ok(sections)
}

/// What stands out, then what was run and where.
fn overview(run: &Run) -> Markup {
    let mut stand_out = Vec::new();
    if let (Some(first), Some(last)) = (run.metrics.first(), run.metrics.last()) {
        let loss = format!("{} \u{2192} {}", significant(first.total_loss), significant(last.total_loss));
        stand_out.push((loss, format!("loss, step {} to {}", first.step, last.step)));
    }
    if let Some(evaluated) = run.evaluated() {
        for (measure, similarity) in MEASURES.iter().zip(mean_similarities(evaluated.held_out)) {
            if let Some(similarity) = similarity {
                let name = format!("similarity of {}, held-out sessions", measure.title);
                stand_out.push((format!("{similarity:.2}"), name));
            }
        }
        let (n_rates, misses) = rate_misses(evaluated.held_out);
        if n_rates > 0 {
            let within = format!("{} of {n_rates}", n_rates - misses.len());
            stand_out.push((within, "median rates within the recorded interquartile range".to_owned()));
        }
    }
    html! {
        @if let Some(verdicts) = run.evaluated().as_ref().and_then(verdict::section) { (verdicts) }
        (tiles(&stand_out))
        (facts(&facts_of(run)))
    }
}

/// What was run and where, a line each.
pub(super) fn facts_of(run: &Run) -> Vec<(&'static str, String)> {
    let scene = &run.scene;
    let mut facts = Vec::new();
    if let Some(size) = run.summary.as_ref().map(|s| s.network).filter(|size| size.n_neurons > 0) {
        let [recurrent, lgn, background] = size.n_edges.map(thousands);
        let n = thousands(size.n_neurons as u64);
        facts.push(("neurons", n));
        let populations = run.summary.iter().flat_map(|summary| &summary.populations);
        let named: Vec<String> = populations
            .map(|p| {
                let ids = p.node_ids.map_or(String::new(), |[min, max]| format!(", node ids {min} to {max}"));
                format!("{} ({}{ids})", p.population, thousands(p.n_neurons as u64))
            })
            .collect();
        if !named.is_empty() {
            facts.push(("populations", named.join("; ")));
        }
        if size.n_edges.iter().any(|n| *n > 0) {
            facts.push(("edges", format!("{recurrent} recurrent, {lgn} LGN, {background} background")));
        }
    }
    facts.push((
        "cells",
        scene.cells.mode.membrane().membrane().title.to_owned()
            + match scene.cells.ports {
                PortsScene::Exact => ", measured kinetics",
                PortsScene::Fitted { .. } => ", fitted kinetics",
            },
    ));
    facts.push((
        "trials",
        format!(
            "{} gratings and {} grey screens a training step, {} ms in steps of {} ms",
            scene.trials.n_evoked, scene.trials.n_spontaneous, scene.time.duration_ms, scene.time.dt_ms
        ),
    ));
    if let Some(provenance) = &run.provenance {
        if let Some(adapter) = &provenance.adapter {
            let driver = Some(&adapter.driver).filter(|d| !d.is_empty());
            let driver = driver.map(|d| format!(", driver {d}")).unwrap_or_default();
            facts.push(("adapter", format!("{} ({}{driver})", adapter.name, adapter.backend)));
        }
        if !provenance.platform.is_empty() {
            facts.push(("platform", provenance.platform.clone()));
        }
    }
    if !run.metrics.is_empty() {
        let (n, seconds) = (run.metrics.len(), run.seconds());
        let text = format!("{} for {n} steps, {:.2} s each", duration(seconds), seconds / n as f64);
        facts.push(("training time", text));
    }
    if let Some(bytes) = run.device_bytes() {
        facts.push(("device memory", format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))));
    }
    if let Some(provenance) = &run.provenance {
        let revision = provenance.git_revision.as_deref().unwrap_or("without a revision");
        facts.push(("simrun", format!("{} ({revision})", provenance.version)));
    }
    facts
}

/// An integer with a thin space between thousands.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("\u{202f}")
}

/// A time in the two largest units.
fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..=119 => format!("{seconds:.1} s"),
        120..=7199 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

fn training(run: &Run) -> Result<Markup> {
    let n = run.metrics.len();
    let losses = html! {
        strong { "Loss." } " The whole and each of its terms, weights and factors included, over " (n) " training steps; every step has "
        "trials of its own."
    };
    let course = html! {
        strong { "Course of training." } " Mean rates of all neurons in the step's trials, norm of the gradient of the weights before "
        "clipping, and wall-clock time."
    };
    Ok(html! {
        @if let Some(lost) = &run.lost_metrics { p { "Lost: " (lost) "." } }
        (figure(plots::losses(&[run]), &losses)?)
        (figure(plots::course_of_training(run), &course)?)
        @if let Some(gradients) = &run.gradients { (gradients_part(gradients)?) }
    })
}

fn gradients_part(gradients: &Gradients) -> Result<Markup> {
    let rows: Vec<Vec<Cell>> = gradients
        .terms
        .iter()
        .map(|term| {
            let mut row = vec![Cell::text(&term.name)];
            let values = [term.value, term.norm, term.weights, term.cells, term.scales, term.factor];
            row.extend(values.map(Cell::scientific));
            row.push(Cell::text(term.n_steps.to_string()));
            row
        })
        .collect();
    let columns = [
        words("term"),
        numbers("value"),
        numbers("norm"),
        numbers("weights"),
        numbers("cell parameters"),
        numbers("pair factors"),
        numbers("factor"),
        numbers("time steps"),
    ];
    let caption = html! {
        strong { "Gradients." } " Norm of each term's gradient at the first training step, before anything was learned, by group of what is "
        "learned; 0 where a group is not. Trials were gone back over from their ends, as many time steps as the table says. A logarithmic axis each."
    };
    let weighting = match gradients.weighting {
        WeightingScene::AsGiven => "as given",
        WeightingScene::Normalised => "normalised",
    };
    let table_caption = html! {
        "Gradient of each term at the first training step; in training a term is multiplied by its factor (weighting: " (weighting) ")."
    };
    Ok(html! {
        (figure(plots::gradients(gradients), &caption)?)
        (table(&table_caption, &[], &columns, &rows))
    })
}

fn recordings(run: &Run, evaluated: &Evaluated<'_>) -> Result<Markup> {
    let rows = evaluated.held_out;
    let n_units: usize =
        rows.iter().filter_map(|r| r.rate_evoked_hz.as_ref()?.target_n_units).max().unwrap_or(0);
    let similarity = html! {
        strong { "Similarity to held-out sessions" } " of Neuropixels recordings, by cell type: 1 less the Kolmogorov-Smirnov distance "
        "between neurons of the core and recorded units (up to " (n_units) " a type)."
    };
    let rates =
        html! { strong { "Rates" } " of the neurons of the core and of held-out units, by cell type." };
    let selectivity =
        html! { strong { "Selectivity" } " of the same neurons and units. Few trials push OSI and DSI up." };
    Ok(html! {
        p {
            "After training step " (evaluated.training_step)
            @if evaluated.shown.n_trials > 0 { "; " (evaluated.shown.text()) }
            " (" code { (evaluated.file) } ")."
        }
        @if let Some(notice) = contrast_notice(rows, run.scene.other_contrast()) { p { "Warning: " (notice) "." } }
        (figure(figures::similarity(rows), &similarity)?)
        (cell_types(rows, "held-out sessions"))
        (rates_outside(rows))
        (figure(figures::rates(rows), &rates)?)
        (figure(figures::selectivity(rows), &selectivity)?)
        @for measure in &MEASURES {
            @let distributions = figures::distributions(rows, measure);
            @if distributions.is_some() {
                details {
                    summary { "Distributions of " (measure.title) ", cell type by cell type" }
                    @let caption = html! {
                        strong { "Cumulative distributions of " (measure.title) } " over the neurons of the core and the held-out units, drawn through quantiles; the similarity is 1 less the "
                        "largest vertical distance of the recorded curve from the neurons' steps, which for few neurons are high."
                    };
                    (figure(distributions, &caption)?)
                }
            }
        }
        details {
            summary { "Beside the sessions trained on" }
            (cell_types(evaluated.train, "the sessions that the losses are taken from"))
        }
        (splits(evaluated))
    })
}

/// The measures of every cell type.
fn cell_types(rows: &[CellTypeSummary], sessions: &str) -> Markup {
    let groups = [("", 2), ("rate, gratings, Hz", 4), ("rate, grey screen, Hz", 4), ("OSI", 4), ("DSI", 4)];
    let mut columns = vec![words("cell type"), numbers("n")];
    for _ in MEASURES {
        columns.push(numbers("median"));
        columns.push(numbers("rec.").in_full("recorded median"));
        columns.push(numbers("sim.").in_full("similarity"));
        columns.push(numbers("ceil.").in_full("ceiling"));
    }
    let cells = |row: &CellTypeSummary| {
        let mut cells = vec![Cell::text(&row.cell_type), Cell::count(row.n_neurons as u64)];
        cells.extend(MEASURES.iter().flat_map(|measure| comparison((measure.of)(row))));
        cells
    };
    let caption = html! {
        strong { "Cell types beside " (sessions) "." } " Median, green or orange where it is within or outside the recorded interquartile range; recorded median; similarity; ceiling, the "
        "similarity of the recorded sessions among themselves."
    };
    table(&caption, &groups, &columns, &rows.iter().map(cells).collect::<Vec<_>>())
}

fn comparison(c: Option<&Comparison>) -> [Cell; 4] {
    let Some(c) = c else { return [(); 4].map(|()| Cell::Number(None)) };
    let within = match (c.target_q25, c.target_q75) {
        (Some(low), Some(high)) => Some((low..=high).contains(&c.median)),
        _ => None,
    };
    [
        Cell::judged(Some(c.median), 2, within),
        Cell::number(c.target_median, 2),
        Cell::number(c.similarity, 2),
        Cell::number(c.ceiling, 2),
    ]
}

fn rates_outside(rows: &[CellTypeSummary]) -> Markup {
    let (n_rates, misses) = rate_misses(rows);
    html! {
        @if n_rates > 0 {
            p {
                "Of " (n_rates) " median rates of pyramidal, PV and SST types " (n_rates - misses.len())
                " are within the recorded interquartile range."
            }
        }
    }
}

/// Mean similarities to the sessions trained on and to those held out.
fn splits(evaluated: &Evaluated<'_>) -> Markup {
    let [train, held_out] = [evaluated.train, evaluated.held_out].map(mean_similarities);
    let rows: Vec<Vec<Cell>> = MEASURES
        .iter()
        .zip(train.into_iter().zip(held_out))
        .filter(|(_, (train, held_out))| train.is_some() || held_out.is_some())
        .map(|(measure, (train, held_out))| {
            let difference = train.zip(held_out).map(|(train, held_out)| held_out - train);
            let mut row = vec![Cell::text(measure.title)];
            row.extend([train, held_out, difference].map(|v| Cell::number(v, 3)));
            row
        })
        .collect();
    let columns = [words("measure"), numbers("trained on"), numbers("held out"), numbers("difference")];
    let caption = html! {
        strong { "Held out." } " Mean similarity over cell types, to the sessions that the losses are taken from and to those that training never sees."
    };
    html! { @if !rows.is_empty() { (table(&caption, &[], &columns, &rows)) } }
}

fn responses(run: &Run, evaluated: &Evaluated<'_>) -> Result<Markup> {
    let neurons = run.summary.as_ref().map(|s| s.neurons.as_slice()).unwrap_or_default();
    let raster = run.trial.as_ref().and_then(|trial| plots::spikes(trial, neurons));
    let (raster, [n_shown, n_all]) = raster.map_or((None, [0; 2]), |(figure, n)| (Some(figure), n));
    let start_ms = run.scene.time.analysis_start_ms;
    let onset_ms = run.trial.as_ref().and_then(|trial| trial.grating).map(|(_, onset_ms)| onset_ms);
    let step = run.trial.as_ref().and_then(|trial| trial.training_step);
    let raster_caption = html! {
        strong { "One trial." }
        @if let Some(step) = step { " After training step " (step) "." }
        " Spikes of " (n_shown) " of " (n_all) " neurons, an even sample of each cell type, at least six, and the mean rates of "
        "all neurons of each class. "
        @if let Some(onset_ms) = onset_ms { "The orange line is the onset of the grating (" (onset_ms) " ms); rates" } @else { "Rates" }
        " are counted from " (start_ms) " ms on."
    };
    let tuning = html! {
        strong { "Direction tuning." } " Mean rate about each neuron's assigned preferred direction, and the recorded curve (held-out sessions) over the "
        "same directions."
    };
    let contrast = html! {
        strong { "Contrast response." } " Mean rate against contrast, 0 being grey. Recorded: rates at 0 and 0.8, a rule in between."
    };
    let fano = html! {
        strong { "Population Fano factor" } " of groups of excitatory neurons by bin width, and its mean over held-out sessions."
    };
    Ok(html! {
        (figure(raster, &raster_caption)?)
        (figure(figures::tuning(&evaluated.curves.tuning), &tuning)?)
        (figure(figures::contrast(&evaluated.curves.contrast), &contrast)?)
        (figure(figures::fano(evaluated.fano), &fano)?)
        @for stimulus in evaluated.stimuli { (stimulus_table(stimulus)) }
    })
}

/// The network under an image or a movie.
fn stimulus_table(stimulus: &StimulusEvaluation) -> Markup {
    let rows: Vec<Vec<Cell>> = stimulus
        .cell_types
        .iter()
        .map(|row| {
            vec![
                Cell::text(&row.cell_type),
                Cell::count(row.n_neurons as u64),
                Cell::number(row.rate_hz, 2),
                Cell::number(row.grey_hz, 2),
                Cell::number(row.gratings_hz, 2),
                Cell::number(row.responsive_fraction, 2),
                Cell::number(row.reliability, 2),
                Cell::count(row.n_reliability as u64),
            ]
        })
        .collect();
    let columns = [
        words("cell type"),
        numbers("n"),
        numbers("stimulus"),
        numbers("grey"),
        numbers("gratings"),
        numbers("responsive"),
        numbers("reliability"),
        numbers("neurons with one"),
    ];
    let groups = [("", 2), ("mean rate, Hz", 3), ("share", 1), ("correlation between trials", 2)];
    let caption = html! {
        strong { (stimulus.file.display()) "." } " Frames: " (stimulus.n_frames) ", " (stimulus.frame_ms) " ms each; trials: " (stimulus.n_trials) " of "
        (stimulus.duration_ms) " ms, and as many grey ones. Responsive: share of neurons whose counts differ from grey (0.05 by chance). Trials are "
        "compared in bins of " (stimulus.bin_ms) " ms."
    };
    table(&caption, &groups, &columns, &rows)
}

fn provenance(run: &Run) -> Markup {
    html! {
        @if let Some(carried) = &run.carried {
            pre { (carried.text()) }
        }
        @if let Some(provenance) = &run.provenance {
            @if !provenance.ancestors.is_empty() {
                @let rows = provenance.ancestors.iter().map(|ancestor| {
                    let step = thousands(u64::from(ancestor.training_step));
                    vec![Cell::text(&ancestor.run), Cell::text(&step), Cell::text(&ancestor.checkpoint_sha256)]
                }).collect::<Vec<_>>();
                @let caption = html! { strong { "Ancestors" } ", the nearest first." };
                @let head = [words("run"), words("training steps"), words("SHA-256 of its checkpoint")];
                (table(&caption, &[], &head, &rows))
            }
            @let rows = provenance.tables.iter().map(|(name, table)| {
                vec![Cell::text(name), Cell::Long(table.source.join(" ")), Cell::text(&table.sha256)]
            }).collect::<Vec<_>>();
            @let caption = html! { strong { "Tables" } " that the network and the comparisons are made from." };
            (table(&caption, &[], &[words("table"), words("source"), words("SHA-256")], &rows))
            @if !provenance.circuit.is_empty() {
                @let rows = provenance.circuit.iter()
                    .map(|(file, sha256)| vec![Cell::text(file), Cell::text(sha256)]).collect::<Vec<_>>();
                (table(&html! { strong { "Circuit." } }, &[], &[words("file"), words("SHA-256")], &rows))
            }
        }
        details {
            summary { "Scene, as it ran" }
            pre { (run.scene_text) }
        }
        p.quiet { "Run folder " code { (run.dir.display()) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!([3.25, 150.0, 7265.0].map(duration), ["3.2 s", "2 min 30 s", "2 h 1 min"]);
    }
}

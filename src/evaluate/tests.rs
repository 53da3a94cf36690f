use super::*;
use crate::results::{ClassCounts, ContrastCurve, FanoCurve};

const EIGHT: [f64; 8] = [0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0];

fn evoked(direction_deg: f64) -> TrialKind {
    TrialKind::Evoked { direction_deg }
}

fn close(value: Option<f64>, expected: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() < 1e-12, "{value}, expected {expected}");
}

fn recorded(name: &str, cell_types: Vec<usize>, values: &[f64]) -> Recorded {
    Recorded {
        name: name.to_owned(),
        cell_types,
        n_units: values.len(),
        ceiling: None,
        quantiles: Quantiles::of_sample(values).unwrap(),
    }
}

#[test]
fn indices_of_known_tuning_curves() {
    let index = |f: &dyn Fn(f64) -> f64, k| selectivity_index(&EIGHT, &EIGHT.map(f), k);
    // One direction alone, then both directions of one orientation, then two orientations at right angles.
    let only = |list: &'static [f64]| move |d: f64| f64::from(u8::from(list.contains(&d)));
    close(index(&only(&[90.0]), 1.0), 1.0);
    close(index(&only(&[90.0]), 2.0), 1.0);
    close(index(&only(&[45.0, 225.0]), 1.0), 0.0);
    close(index(&only(&[45.0, 225.0]), 2.0), 1.0);
    close(index(&only(&[0.0, 90.0, 180.0, 270.0]), 2.0), 0.0);
    close(index(&|_| 3.0, 1.0), 0.0);
    // a + b cos(theta - phi) + c cos 2(theta - phi): DSI = b / 2a, OSI = c / 2a, whatever phi.
    for phi in [0.0, 33.0, 250.0] {
        let curve = |d: f64| {
            let delta = (d - phi).to_radians();
            5.0 + 2.0 * delta.cos() + 3.0 * (2.0 * delta).cos()
        };
        close(index(&curve, 1.0), 0.2);
        close(index(&curve, 2.0), 0.3);
    }
    assert_eq!(index(&|_| 0.0, 2.0), None);
    // 0 and 180 deg are an even sample of directions, but not of orientations.
    close(selectivity_index(&[0.0, 180.0], &[3.0, 1.0], 1.0), 0.5);
    assert_eq!(selectivity_index(&[0.0, 180.0], &[3.0, 1.0], 2.0), None);
    assert_eq!(selectivity_index(&[], &[], 2.0), None);
}

#[test]
fn tuning_is_gathered_over_batches_and_averaged_over_directions_not_trials() {
    let mut tuning = Tuning::new(2);
    assert_eq!((tuning.evoked_hz(0), tuning.spontaneous_hz(0), tuning.osi(0)), (None, None, None));
    // Three trials at 0 deg with 2, 4, 6 spikes in half a second, one each at 90, 180 and 270 deg (-90) with 0, 2, 0.
    let first = [evoked(0.0), TrialKind::Spontaneous, evoked(90.0), evoked(360.0)];
    tuning.add(&Responses { counts: &[2u32, 1, 0, 4, 0, 0, 0, 0], trials: &first, window_ms: 500.0 });
    let second = [evoked(180.0), evoked(-90.0), evoked(0.0), TrialKind::Spontaneous];
    tuning.add(&Responses { counts: &[2u32, 0, 6, 2, 0, 0, 0, 1], trials: &second, window_ms: 500.0 });
    close(tuning.evoked_hz(0), (8.0 + 0.0 + 4.0 + 0.0) / 4.0);
    close(tuning.spontaneous_hz(0), 3.0);
    close(tuning.osi(0), 1.0);
    close(tuning.dsi(0), 4.0 / 12.0);
    // The other neuron fired under grey alone.
    assert_eq!((tuning.evoked_hz(1), tuning.spontaneous_hz(1)), (Some(0.0), Some(1.0)));
    assert_eq!((tuning.osi(1), tuning.dsi(1)), (None, None));
}

/// Type 1 has the neurons 0 to 3 and a recording, types 9 and 10 have 4 and 5 and were recorded as one, neuron 6 is outside.
fn example() -> (Vec<CellTypeSummary>, String) {
    let mut tuning = Tuning::new(7);
    let trials: Vec<TrialKind> = [0.0, 90.0, 180.0, 270.0].map(evoked).to_vec();
    let rates: [[u32; 4]; 7] =
        [[0; 4], [1, 1, 1, 1], [4, 0, 4, 0], [12, 0, 0, 0], [2, 2, 2, 2], [6, 6, 6, 6], [90; 4]];
    tuning.add(&Responses { counts: rates.as_flattened(), trials: &trials, window_ms: 1000.0 });
    let mut core = vec![Vec::new(); crate::network::N_CELL_TYPES];
    (core[1], core[9], core[10]) = (vec![0, 1, 2, 3], vec![4], vec![5]);
    let targets = FunctionTargets {
        rate_evoked_hz: vec![
            recorded("L2/3_Exc", vec![1], &[0.0, 1.0, 2.0, 3.0]),
            recorded("L5_Exc", vec![9, 10], &[4.0, 5.0, 6.0]),
        ],
        osi: vec![recorded("L2/3_Exc", vec![1], &[0.0, 1.0])],
        ..FunctionTargets::default()
    };
    let rows = summarise(&tuning, &core, &targets);
    let text = table(&rows);
    (rows, text)
}

#[test]
fn summaries_have_known_figures() {
    let (rows, _) = example();
    let names: Vec<&str> = rows.iter().map(|r| r.cell_type.as_str()).collect();
    assert_eq!(names, ["L2/3_Exc", "L5_ET", "L5_IT", "L5_Exc"]);
    // Rates 0, 1, 2 and 3 Hz, as recorded: the model's steps are at most a quarter away from the straight line.
    let rate = rows[0].rate_evoked_hz.as_ref().unwrap();
    assert_eq!((rate.n_neurons, rate.mean, rate.q25, rate.median, rate.q75), (4, 1.5, 0.75, 1.5, 2.25));
    assert_eq!((rate.target_n_units, rate.target_mean, rate.target_median), (Some(4), Some(1.5), Some(1.5)));
    close(rate.similarity, 0.75);
    assert_eq!(rows[0].rate_spontaneous_hz, None);
    // OSI 0, 1 and 1 of the three that fired, against a uniform one.
    let osi = rows[0].osi.as_ref().unwrap();
    assert_eq!((osi.n_neurons, osi.median), (3, 1.0));
    close(osi.similarity, 1.0 - 2.0 / 3.0);
    let dsi = rows[0].dsi.as_ref().unwrap();
    assert_eq!((dsi.target_median, dsi.similarity), (None, None));
    // ET alone has no recording of its own; ET and IT together have.
    assert_eq!(rows[1].rate_evoked_hz.as_ref().unwrap().similarity, None);
    let both = rows[3].rate_evoked_hz.as_ref().unwrap();
    assert_eq!((both.n_neurons, both.mean, both.target_median), (2, 4.0, Some(5.0)));
    close(both.similarity, 0.5);
    let [evoked, spontaneous, osi, dsi] = mean_similarities(&rows);
    close(evoked, (0.75 + 0.5) / 2.0);
    close(osi, 1.0 / 3.0);
    assert_eq!((spontaneous, dsi), (None, None));
}

#[test]
fn the_table_is_aligned_and_the_json_named() {
    let (rows, styled) = example();
    let text = anstream::adapter::strip_str(&styled).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 + rows.len() + 1, "{text}");
    assert!(lines[0].contains("evoked, Hz") && lines[0].contains("OSI"));
    assert!(lines[2].starts_with("L2/3_Exc   4    1.50    1.50  0.75  ██████"), "{text}");
    assert!(lines[2].ends_with('-'));
    // Coloured, and with the colours taken off the same as without any.
    assert!(styled.contains("\u{1b}[32m██████\u{1b}[0m") && !text.contains('\u{1b}'), "{styled}");
    // Every line ends the similarity of its evoked rates in the same column.
    let column = lines[1].find("sim").unwrap() + 3;
    for line in &lines[2..] {
        assert!(line[..column].ends_with(|c: char| c.is_ascii_digit() || c == '-'), "{line}");
        assert!(line.as_bytes().get(column).is_none_or(|&c| c == b' '), "{line}");
    }
    // So do those of DSI, behind the other bars.
    let characters = |line: &str| line.chars().collect::<Vec<char>>();
    let at = lines[1].rfind("sim").unwrap() + 2;
    for line in lines[2..].iter().map(|line| characters(line)).filter(|line| line.len() > at) {
        assert!(line[at].is_ascii_digit() || line[at] == '-', "{line:?}");
    }
    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!(json[0]["cell_type"], "L2/3_Exc");
    assert_eq!(json[0]["rate_evoked_hz"]["target_median"], 1.5);
    assert!(json[1]["rate_evoked_hz"]["similarity"].is_null());
}

/// The interval covers the similarity of the law that the sample is from, about as often as it says.
#[test]
fn the_bootstrap_interval_covers() {
    use crate::model::rng::{Stream, normal_pair, words};
    let levels: Vec<f64> = (1..100).map(|i| f64::from(i) / 100.0).collect();
    let values = levels.iter().map(|&p| crate::network::normal_quantile(p)).collect();
    let recorded = Quantiles::new(levels, values).unwrap();
    let sample = |seed: u64, n: u32| -> Vec<f64> {
        (0..n).map(|i| 0.8 + normal_pair(words(seed, Stream::Trials, i, 0, 0))[0]).collect()
    };
    let whole = 1.0 - ks_against_table(&sample(999, 40_000), &recorded).unwrap();
    let covered = (0..100).filter(|&seed| {
        let [low, high] = super::bootstrap_interval(&sample(seed, 60), &recorded).unwrap();
        (low..=high).contains(&whole)
    });
    let n = covered.count();
    println!("{n} of 100 intervals cover");
    assert!(n >= 85, "{n} of 100 intervals cover {whole}");
}

/// Two contrasts class no neuron: nothing was tested, and there is no error. Three do.
#[test]
fn nothing_is_tested_where_no_class_can_be_told() {
    let mut core = vec![Vec::new(); crate::network::N_CELL_TYPES];
    core[1] = vec![0, 1];
    let recorded = crate::loss::targets::ContrastClasses {
        name: "L2/3_Exc".to_owned(),
        cell_types: vec![1],
        n_tested: 4,
        n_by_class: [3, 0, 0],
    };
    let targets = FunctionTargets { contrast_classes: vec![recorded], ..FunctionTargets::default() };
    let curves = |others: &[f64]| {
        let (mut tuning, mut contrast) = (Tuning::new(2), ContrastResponses::default());
        for trial in 0..4 {
            for direction_deg in EIGHT {
                let other = |&contrast: &f64| TrialKind::OtherContrast { direction_deg, contrast };
                let trials: Vec<TrialKind> = others.iter().map(other).collect();
                let trials = [&trials[..], &[evoked(direction_deg), TrialKind::Spontaneous]].concat();
                // The first neuron rises with contrast, the second is constant but for noise.
                let first = trials.iter().map(|trial| (40.0 * trial.contrast()) as u32 + 1);
                let second = trials.iter().map(|_| 3 + trial % 2);
                let counts: Vec<u32> = first.chain(second).collect();
                let responses = Responses { counts: &counts, trials: &trials, window_ms: 500.0 };
                tuning.add(&responses);
                contrast.add(&responses);
            }
        }
        let classes = contrast_classes(&contrast, &core, 2);
        contrast_curves(&tuning, &contrast, &classes, &core, &targets)
    };
    let few = curves(&[0.2]);
    assert_eq!((few[0].n_neurons, few[0].classes), (2, ClassCounts::default()));
    assert_eq!((few[0].contrasts.as_slice(), contrast_class_error(&few)), (&[0.0, 0.2, 0.8][..], None));
    let three = curves(&[0.2, 0.4]);
    assert_eq!(three[0].contrasts, [0.0, 0.2, 0.4, 0.8]);
    assert_eq!(three[0].classes, ClassCounts { n_tested: 2, n_high: 1, n_band: 0, n_low: 0 });
    close(contrast_class_error(&three), 0.25);
    assert!(curves(&[]).is_empty());
}

#[test]
fn class_shares_and_fano_factors_have_known_errors() {
    let classes = |n_tested, n_high, n_band, n_low| ClassCounts { n_tested, n_high, n_band, n_low };
    let curve = |classes: ClassCounts, recorded_classes| ContrastCurve {
        cell_type: "L4_Exc".to_owned(),
        n_neurons: classes.n_tested,
        contrasts: Vec::new(),
        rate_hz: Vec::new(),
        target_hz: None,
        classes,
        recorded_classes,
    };
    // All high beside a quarter of each; alike at other numbers; without recordings.
    let curves = [
        curve(classes(4, 4, 0, 0), Some(classes(8, 2, 2, 2))),
        curve(classes(4, 2, 1, 0), Some(classes(40, 20, 10, 0))),
        curve(classes(4, 4, 0, 0), None),
    ];
    close(contrast_class_error(&curves), 0.375);
    assert_eq!(contrast_class_error(&curves[2..]), None);

    let curve = |fano: Vec<Option<f64>>, recorded: Vec<f64>| FanoCurve {
        evoked: true,
        width_ms: vec![1.0; fano.len()],
        recorded_sd: vec![0.1; fano.len()],
        fano,
        recorded,
    };
    let curves = [curve(vec![Some(2.0), None], vec![1.0, 3.0]), curve(vec![Some(0.5)], vec![1.0])];
    close(fano_error(&curves), 2.0_f64.ln());
    assert_eq!(fano_error(&[]), None);
}

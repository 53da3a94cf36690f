//! What each training step shows and at which rate it learns; what an evaluation shows.

use crate::model::rng::{Stream, uniform, words};
use crate::scene::{DirectionsScene, OptimiserScene, Scene, TrialsScene};
use crate::stimulus::{Grating, TrialCondition};

/// What a number of [`Stream::Trials`] is drawn for: its `source`.
#[derive(Clone, Copy)]
enum Draw {
    Direction = 0,
    Phase = 1,
    EvaluationPhase = 2,
    EvaluationSeed = 3,
    StimulusSeed = 4,
    SettlingSeed = 5,
    CalibrationSeed = 6,
}

/// Directions in which an evaluation shows gratings of other contrasts, deg: those of the recordings.
const CONTRAST_DIRECTIONS_DEG: [f64; 4] = [0.0, 45.0, 90.0, 135.0];

/// Factor on the learning rates at a training step (from 1): a linear warm-up to 1, then half a cosine down to
/// `final_fraction` at the last step of the schedule, which it keeps afterwards.
pub fn learning_rate_factor(optimiser: &OptimiserScene, training_step: u32) -> f64 {
    let (step, warmup) = (f64::from(training_step), f64::from(optimiser.warmup_steps));
    if training_step < optimiser.warmup_steps {
        return step / warmup;
    }
    let n_decaying = (f64::from(optimiser.training_steps) - warmup).max(1.0);
    let progress = ((step - warmup) / n_decaying).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    optimiser.final_fraction + (1.0 - optimiser.final_fraction) * cosine
}

/// What the trials of a training step (from 1) show: the gratings, then the grey screens. A function of seed and step.
pub fn conditions(trials: &TrialsScene, seed: u64, training_step: u32) -> Vec<TrialCondition> {
    let angle_deg = |draw: Draw, trial: u32| {
        360.0 * f64::from(uniform(seed, Stream::Trials, draw as u32, training_step, trial))
    };
    let n_contrasts = trials.grating.contrasts.len().max(1) as u64;
    let turn = |trial: u32| u64::from(training_step - 1) * u64::from(trials.n_evoked) + u64::from(trial);
    let direction_deg = |trial: u32| match &trials.grating.directions {
        DirectionsScene::Random => angle_deg(Draw::Direction, trial),
        DirectionsScene::Stratified => {
            let same = |other: &u32| turn(*other) % n_contrasts == turn(trial) % n_contrasts;
            let place = (0..trial).filter(same).count() as f64;
            let n_places = (0..trials.n_evoked).filter(same).count() as f64;
            (angle_deg(Draw::Direction, 0) + 360.0 * place / n_places) % 360.0
        }
        DirectionsScene::Degrees(degrees) => {
            degrees[(turn(trial) / n_contrasts % degrees.len() as u64) as usize]
        }
    };
    let contrast = |trial: u32| {
        let ix = (turn(trial) % n_contrasts) as usize;
        trials.grating.contrasts.get(ix).copied().unwrap_or(trials.grating.contrast)
    };
    let evoked = (0..trials.n_evoked)
        .map(|trial| grating(trials, direction_deg(trial), contrast(trial), angle_deg(Draw::Phase, trial)));
    evoked.chain((0..trials.n_spontaneous).map(|_| TrialCondition::Grey)).collect()
}

/// The scene's grating in one direction, contrast and phase.
fn grating(trials: &TrialsScene, direction_deg: f64, contrast: f64, phase_deg: f64) -> TrialCondition {
    let scene = &trials.grating;
    TrialCondition::Grating(Grating {
        direction_deg,
        spatial_frequency_cpd: scene.spatial_frequency_cpd,
        temporal_frequency_hz: scene.temporal_frequency_hz,
        contrast,
        phase_deg,
        onset_ms: scene.onset_ms,
    })
}

/// What an evaluation shows, in batches of as many trials as a training step has: every direction and the grey screen, so
/// many trials each, and the contrasts in four directions. The last batch is filled up with grey screens. The same in every evaluation of a run.
pub fn evaluation_batches(scene: &Scene) -> Vec<Vec<TrialCondition>> {
    let n_trials = scene.evaluate.n_trials;
    let phase_deg = |trial: u32| {
        360.0 * f64::from(uniform(scene.seed, Stream::Trials, Draw::EvaluationPhase as u32, 0, trial))
    };
    let contrast = scene.trials.grating.contrast;
    let directions = scene.evaluate.directions_deg.iter().map(|deg| (*deg, contrast));
    let repeated = |gratings: Vec<(f64, f64)>| (0..n_trials).flat_map(move |_| gratings.clone());
    let others = scene.evaluate.contrasts.iter().filter(|c| **c != contrast);
    let contrasts = others.flat_map(|c| CONTRAST_DIRECTIONS_DEG.map(|deg| (deg, *c)));
    let gratings = repeated(directions.collect()).chain(repeated(contrasts.collect()));
    let mut shown: Vec<TrialCondition> = gratings
        .enumerate()
        .map(|(ix, (deg, contrast))| grating(&scene.trials, deg, contrast, phase_deg(ix as u32)))
        .collect();
    shown.extend((0..n_trials).map(|_| TrialCondition::Grey));
    let per_batch = (scene.trials.n_evoked + scene.trials.n_spontaneous) as usize;
    shown.resize(shown.len().next_multiple_of(per_batch), TrialCondition::Grey);
    shown.chunks(per_batch).map(<[_]>::to_vec).collect()
}

/// Seed of the spikes of LGN and background units in evaluations; training has the scene's own.
pub fn evaluation_seed(seed: u64) -> u64 {
    derived_seed(seed, Draw::EvaluationSeed)
}

/// Seed of the spikes of LGN and background units under images and movies.
pub fn stimulus_seed(seed: u64) -> u64 {
    derived_seed(seed, Draw::StimulusSeed)
}

/// Seed of the spikes of LGN and background units under the grey screen before a batch of trials whose own seed is `seed`.
pub fn settling_seed(seed: u64) -> u64 {
    derived_seed(seed, Draw::SettlingSeed)
}

/// Seed of the spikes of LGN and background units in a calibration.
pub fn calibration_seed(seed: u64) -> u64 {
    derived_seed(seed, Draw::CalibrationSeed)
}

fn derived_seed(seed: u64, draw: Draw) -> u64 {
    let [low, high, ..] = words(seed, Stream::Trials, draw as u32, 0, 0);
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scene::Scene;

    fn scene(settings: &[&str]) -> Scene {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenes/v1_4k.ron");
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Scene::read(&file).unwrap().with_overrides(&settings).unwrap()
    }

    #[test]
    fn the_learning_rate_warms_up_and_decays() {
        let optimiser = scene(&[
            "optimiser.warmup_steps=4",
            "optimiser.training_steps=24",
            "optimiser.final_fraction=0.1",
        ])
        .optimiser;
        let factor = |step| learning_rate_factor(&optimiser, step);
        let expected = [(1, 0.25), (2, 0.5), (4, 1.0), (14, 0.55), (24, 0.1), (30, 0.1)];
        for (step, value) in expected {
            assert!((factor(step) - value).abs() < 1e-12, "step {step}: {}", factor(step));
        }
        let constant = scene(&["optimiser.warmup_steps=0", "optimiser.final_fraction=1"]).optimiser;
        assert!((1..20).all(|step| learning_rate_factor(&constant, step) == 1.0));
    }

    #[test]
    fn conditions_are_a_function_of_seed_and_step() {
        let trials = scene(&[]).trials;
        let shown = conditions(&trials, 1, 3);
        assert_eq!(shown, conditions(&trials, 1, 3));
        assert_ne!(shown, conditions(&trials, 1, 4));
        assert_ne!(shown, conditions(&trials, 2, 3));
        assert_eq!(shown.len(), 10);
        assert!(shown[5..].iter().all(|c| *c == TrialCondition::Grey));
    }

    #[test]
    fn an_evaluation_shows_every_direction_equally_often() {
        let scene = scene(&["evaluate.n_trials=3", "evaluate.directions_deg=[0, 90, 180, 270]"]);
        let batches = evaluation_batches(&scene);
        assert!(batches.iter().all(|batch| batch.len() == 10));
        let shown = |deg: f64| {
            let is = |c: &&TrialCondition| matches!(c, TrialCondition::Grating(g) if g.direction_deg == deg);
            batches.iter().flatten().filter(is).count()
        };
        assert_eq!([0.0, 90.0, 180.0, 270.0].map(shown), [3; 4]);
        let n_grey = batches.iter().flatten().filter(|c| **c == TrialCondition::Grey).count();
        assert_eq!(n_grey, 8, "three of the evaluation's and five that fill up the last batch");
        assert_ne!(evaluation_seed(scene.seed), scene.seed);
    }

    #[test]
    fn contrasts_are_taken_in_turn_and_cross_the_directions() {
        let scene = scene(&[
            "trials.grating.directions=Degrees([0, 90])",
            "trials.grating.contrasts=[0.8, 0.1, 0.3]",
            "trials.n_evoked=3",
            "evaluate.contrasts=[0.1, 0.8, 1]",
            "evaluate.n_trials=2",
        ]);
        let gratings = |shown: Vec<TrialCondition>| -> Vec<(f64, f64)> {
            let gratings = shown.iter().filter_map(TrialCondition::grating);
            gratings.map(|g| (g.direction_deg, g.contrast)).collect()
        };
        let shown: Vec<_> = (1..=2).flat_map(|step| gratings(conditions(&scene.trials, 1, step))).collect();
        assert_eq!(shown, [(0.0, 0.8), (0.0, 0.1), (0.0, 0.3), (90.0, 0.8), (90.0, 0.1), (90.0, 0.3)]);
        let shown = gratings(evaluation_batches(&scene).concat());
        assert_eq!(shown.len(), 2 * (8 + 2 * 4));
        assert_eq!(shown.iter().filter(|g| **g == (135.0, 0.1)).count(), 2);
        assert_eq!(shown.iter().filter(|g| g.1 == 0.8).count(), 16);
    }

    #[test]
    fn random_directions_and_phases_cover_the_circle_on_their_own() {
        let trials = scene(&["trials.n_evoked=32", "trials.n_spontaneous=0"]).trials;
        let angles: Vec<[f64; 2]> = (1..=100)
            .flat_map(|step| conditions(&trials, 5, step))
            .filter_map(|condition| condition.grating().map(|g| [g.direction_deg, g.phase_deg]))
            .collect();
        // 3,200 draws: mean of cosines and of their products within 4 standard errors of 0.
        let limit = 4.0 * (0.5 / angles.len() as f64).sqrt();
        let mean = |f: &dyn Fn(&[f64; 2]) -> f64| angles.iter().map(f).sum::<f64>() / angles.len() as f64;
        for k in 0..2 {
            assert!(mean(&|a| a[k].to_radians().cos()).abs() < limit);
            assert!(angles.iter().all(|a| (0.0..360.0).contains(&a[k])));
        }
        assert!(mean(&|a| (a[0] - a[1]).to_radians().cos()).abs() < limit);
    }

    #[test]
    fn stratified_directions_are_spaced_evenly_and_turned_at_random() {
        let trials = scene(&["trials.grating.directions=Stratified"]).trials;
        let gratings = |trials: &TrialsScene, step| -> Vec<(f64, f64)> {
            let shown = conditions(trials, 7, step);
            let gratings = shown.iter().filter_map(TrialCondition::grating);
            gratings.map(|g| (g.direction_deg, g.contrast)).collect()
        };
        assert_eq!(gratings(&trials, 3), gratings(&trials, 3));
        let apart = |from: f64, to: f64| (to - from).rem_euclid(360.0);
        let mut turns = Vec::new();
        for step in 1..=400 {
            let shown = gratings(&trials, step);
            assert!(shown.iter().all(|(deg, _)| (0.0..360.0).contains(deg)));
            for pair in shown.windows(2) {
                assert!((apart(pair[0].0, pair[1].0) - 72.0).abs() < 1e-9, "{shown:?}");
            }
            turns.push(shown[0].0);
        }
        // 400 draws: the mean of their unit vectors lies within 4 standard errors of 0.
        let mean = |f: fn(f64) -> f64| turns.iter().map(|deg| f(deg.to_radians())).sum::<f64>() / 400.0;
        assert!(mean(f64::cos).abs() < 0.15 && mean(f64::sin).abs() < 0.15);
        // Two of one contrast and three of the other in a step, and the other way round in the next.
        let trials =
            scene(&["trials.grating.directions=Stratified", "trials.grating.contrasts=[0.8, 0.2]"]).trials;
        for step in 1..=2 {
            for contrast in [0.8, 0.2] {
                let shown = gratings(&trials, step).into_iter().filter(|(_, c)| *c == contrast);
                let own: Vec<f64> = shown.map(|(deg, _)| deg).collect();
                let even = 360.0 / own.len() as f64;
                assert!(own.windows(2).all(|w| (apart(w[0], w[1]) - even).abs() < 1e-9), "{own:?}");
            }
        }
    }

    #[test]
    fn listed_directions_are_taken_in_turn() {
        let trials = scene(&["trials.grating.directions=Degrees([0, 90, 180])", "trials.n_evoked=2"]).trials;
        let directions: Vec<f64> = (1..=3)
            .flat_map(|step| conditions(&trials, 1, step))
            .filter_map(|condition| condition.grating().map(|g| g.direction_deg))
            .collect();
        assert_eq!(directions, [0.0, 90.0, 180.0, 0.0, 90.0, 180.0]);
    }
}

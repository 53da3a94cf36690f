//! Potentials that a scene asks for (`evaluate.reports`): which neurons, in which trials, and what a recording says of them.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::output::reports::PotentialReport;
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::scene::{ReportNeuronsScene, ReportScene, ReportVariable};
use crate::sim::Recording;

/// The reports of a scene on its network.
#[derive(Default)]
pub(super) struct Reports(Vec<Report>);

struct Report {
    scene: ReportScene,
    /// Ascending.
    neurons: Vec<u32>,
    /// Leak reversal potential of each, mV.
    e_l_mv: Vec<f64>,
    /// Time steps between two samples.
    interval_steps: usize,
}

impl Report {
    fn of_dendrites(&self) -> bool {
        self.scene.variable == ReportVariable::DendritePotential
    }

    /// The report before anything was read.
    fn empty(&self) -> PotentialReport {
        PotentialReport {
            name: self.scene.name.clone(),
            neurons: self.neurons.clone(),
            of_dendrites: self.of_dendrites(),
            interval_ms: self.scene.interval_ms,
            potential_mv: Vec::new(),
        }
    }
}

impl Reports {
    /// Finds the neurons of every report on an evaluation of `n_trials`.
    ///
    /// # Errors
    /// A neuron, cell type or trial that there is not, by the field of the scene.
    pub(super) fn new(plan: &Plan, network: &Network, n_trials: usize) -> Result<Self> {
        let known = &network.vocabulary.cell_types;
        let reports = plan.scene.evaluate.reports.iter().enumerate().map(|(ix, scene)| {
            let refuse = |field: &str, value: &dyn ToString, limit: String| {
                let field = format!("evaluate.reports[{ix}].{field}");
                Err(Error::field(&plan.scene_file, field, value.to_string(), limit))
            };
            if scene.trial as usize >= n_trials {
                let limit = format!("the evaluation has trials 0 to {}", n_trials - 1);
                return refuse("trial", &scene.trial, limit);
            }
            let neurons = match &scene.neurons {
                ReportNeuronsScene::Listed(listed) => {
                    let n = network.neurons.len() as u32;
                    if let Some(unknown) = listed.iter().find(|neuron| **neuron >= n) {
                        return refuse("neurons", unknown, format!("the network has neurons 0 to {}", n - 1));
                    }
                    let mut listed = listed.clone();
                    listed.sort_unstable();
                    listed.dedup();
                    listed
                }
                ReportNeuronsScene::Nodes(nodes) => {
                    let names = network.node_names();
                    let mut listed = Vec::new();
                    for (population, ids) in nodes {
                        for id in ids {
                            let Some(neuron) = names.neuron(population, *id) else {
                                let of: Vec<&str> =
                                    names.populations().map(|(_, named)| named.population.as_str()).collect();
                                let limit =
                                    format!("is no node of the network's populations {}", of.join(", "));
                                return refuse(&format!("neurons[{population:?}]"), id, limit);
                            };
                            listed.push(neuron);
                        }
                    }
                    listed.sort_unstable();
                    listed.dedup();
                    listed
                }
                ReportNeuronsScene::Share { share, cell_types } => {
                    if let Some(unknown) = cell_types.iter().find(|t| !known.contains(t)) {
                        return refuse(
                            "neurons.cell_types",
                            unknown,
                            format!("must be one of {}", known.join(", ")),
                        );
                    }
                    share_of_types(&network.neurons.cell_type_ix, known, *share, cell_types)
                }
            };
            let cell = |n: &u32| &network.cell_models[usize::from(network.neurons.model_ix[*n as usize])];
            Ok(Report {
                e_l_mv: neurons.iter().map(|n| cell(n).e_l_mv).collect(),
                neurons,
                interval_steps: (scene.interval_ms / plan.scene.time.dt_ms).round() as usize,
                scene: scene.clone(),
            })
        });
        Ok(Self(reports.collect::<Result<_>>()?))
    }

    /// Neurons to be recorded in a batch of trials, ascending.
    pub(super) fn neurons(&self, first_trial: usize, n_trials: usize) -> Vec<u32> {
        let mut all: Vec<u32> =
            self.of_batch(first_trial, n_trials).flat_map(|r| r.neurons.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The reports on a batch of trials, from the recording of [`Self::neurons`].
    pub(super) fn read(
        &self,
        first_trial: usize,
        n_trials: usize,
        recorded: &[u32],
        recording: &Recording,
    ) -> Vec<PotentialReport> {
        let read = |report: &Report| {
            let planes = if report.of_dendrites() { &recording.u_d_mv } else { &recording.u_s_mv };
            let trial = report.scene.trial as usize - first_trial;
            // Every reported neuron was recorded.
            let places: Vec<usize> =
                report.neurons.iter().map(|n| recorded.partition_point(|r| r < n)).collect();
            let steps = planes.chunks_exact(recorded.len() * n_trials);
            let samples = steps.skip(report.interval_steps - 1).step_by(report.interval_steps);
            let potential_mv = samples.flat_map(|plane| {
                let above = places.iter().map(move |place| f64::from(plane[place * n_trials + trial]));
                above.zip(&report.e_l_mv).map(|(u, e_l)| (e_l + u) as f32)
            });
            PotentialReport { potential_mv: potential_mv.collect(), ..report.empty() }
        };
        self.of_batch(first_trial, n_trials).map(read).collect()
    }

    /// All reports on a batch of trials, of which each rank has read those on its own.
    pub(super) fn of_all_ranks(
        &self,
        trials: Range<usize>,
        mut own: Vec<PotentialReport>,
        ranks: &Ranks,
    ) -> Vec<PotentialReport> {
        let whole = |report: &Report| {
            let found = own.iter_mut().find(|read| read.name == report.scene.name);
            let potential_mv = found.map_or(Vec::new(), |read| std::mem::take(&mut read.potential_mv));
            PotentialReport { potential_mv: ranks.gather(&potential_mv).concat(), ..report.empty() }
        };
        self.of_batch(trials.start, trials.len()).map(whole).collect()
    }

    fn of_batch(&self, first_trial: usize, n_trials: usize) -> impl Iterator<Item = &Report> {
        let batch = first_trial..first_trial + n_trials;
        self.0.iter().filter(move |report| batch.contains(&(report.scene.trial as usize)))
    }
}

/// A share of the neurons of each cell type named (of all, where none is), at least one, evenly spaced in the order of the neurons, so
/// that all cell models come up.
fn share_of_types(cell_type_ix: &[u8], known: &[String], share: f64, cell_types: &[String]) -> Vec<u32> {
    let mut chosen = Vec::new();
    for (type_ix, name) in known.iter().enumerate() {
        if !cell_types.is_empty() && !cell_types.contains(name) {
            continue;
        }
        let own: Vec<u32> =
            (0..).zip(cell_type_ix).filter(|(_, t)| usize::from(**t) == type_ix).map(|(n, _)| n).collect();
        let n_chosen = ((share * own.len() as f64).round() as usize).clamp(1, own.len().max(1));
        chosen.extend((0..n_chosen).filter_map(|i| own.get(i * own.len() / n_chosen)));
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_spaced_evenly_over_each_type() {
        // Two of L1_Inh, ten of L2/3_Exc, one of L4_Exc.
        let known = crate::network::CELL_TYPES.map(str::to_owned);
        let types = [[0; 2].as_slice(), &[1; 10], &[5]].concat();
        assert_eq!(share_of_types(&types, &known, 0.2, &[]), [0, 2, 7, 12]);
        assert_eq!(share_of_types(&types, &known, 1.0, &["L2/3_Exc".into()]), (2..12).collect::<Vec<u32>>());
        assert!(share_of_types(&types, &known, 0.5, &["L5_ET".into()]).is_empty());
    }

    #[test]
    fn samples_are_taken_from_the_trial_and_neurons_of_a_report() {
        let scene = |variable, trial| ReportScene {
            name: "r".into(),
            variable,
            neurons: ReportNeuronsScene::Listed(vec![]),
            trial,
            interval_ms: 1.0,
        };
        let report = |variable, trial, neurons: &[u32], interval_steps| Report {
            scene: scene(variable, trial),
            neurons: neurons.to_vec(),
            e_l_mv: vec![-70.0; neurons.len()],
            interval_steps,
        };
        let reports = Reports(vec![
            report(ReportVariable::SomaPotential, 3, &[4, 9], 2),
            report(ReportVariable::DendritePotential, 2, &[6], 1),
            report(ReportVariable::SomaPotential, 0, &[1], 1),
        ]);
        assert_eq!(reports.neurons(2, 2), [4, 6, 9]);
        // Four steps, three neurons, two trials: step * 100 + neuron * 10 + trial.
        let plane = |offset: f32| -> Vec<f32> {
            let at = |i: usize| offset + (100 * (i / 6) + 10 * (i / 2 % 3) + i % 2) as f32;
            (0..24).map(at).collect()
        };
        let recording = Recording { spikes: vec![], u_s_mv: plane(0.0), u_d_mv: plane(0.5) };
        let read = reports.read(2, 2, &[4, 6, 9], &recording);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].potential_mv, [101.0 - 70.0, 121.0 - 70.0, 301.0 - 70.0, 321.0 - 70.0]);
        assert_eq!(read[1].potential_mv, [10.5, 110.5, 210.5, 310.5].map(|u| u - 70.0));
        assert!(read[1].of_dendrites && read[1].neurons == [6]);
    }
}

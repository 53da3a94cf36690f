//! `reports/NAME.h5`: potentials of some neurons in one trial, as a SONATA report.

use std::path::Path;

use super::files::make_folder;
use super::replace_hdf5;
use crate::error::Result;
use crate::hdf5::Storage;
use crate::network::NodeNames;

/// Potentials of some neurons in one trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PotentialReport {
    /// Name of the file, without `.h5`.
    pub name: String,
    /// Neurons, ascending.
    pub neurons: Vec<u32>,
    /// Whether they are the dendrites' potentials, not the somata's.
    pub of_dendrites: bool,
    /// Time between two samples, ms. The first is taken so long after the start of the trial.
    pub interval_ms: f64,
    /// `[n_samples][n_neurons]` mV.
    pub potential_mv: Vec<f32>,
}

impl PotentialReport {
    /// Replaces `reports/NAME.h5` in a run folder; neurons go by `names`, `training_step` is that of the network.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, dir: &Path, names: &NodeNames, training_step: u32) -> Result<()> {
        let folder = dir.join("reports");
        make_folder(&folder)?;
        self.write_file(&folder.join(format!("{}.h5", self.name)), names, training_step)
    }

    /// Replaces a file: one group for each population with a neuron in the report.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_file(&self, file: &Path, names: &NodeNames, training_step: u32) -> Result<()> {
        let n = self.neurons.len();
        let n_samples = self.potential_mv.len() / n.max(1);
        replace_hdf5(file, Storage::Plain, |root| {
            root.number("training_step", training_step)?;
            let report = root.group("report")?;
            for (first, named) in names.populations() {
                let own = |neuron: &u32| {
                    let place = neuron.checked_sub(first)?;
                    named.ids.get(place as usize).copied()
                };
                let (places, ids): (Vec<usize>, Vec<u64>) =
                    self.neurons.iter().enumerate().filter_map(|(i, n)| Some((i, own(n)?))).unzip();
                if ids.is_empty() {
                    continue;
                }
                let samples = self.potential_mv.chunks_exact(n);
                let values: Vec<f32> =
                    samples.flat_map(|sample| places.iter().map(|place| sample[*place])).collect();
                let population = report.group(&named.population)?;
                let mut data = population.dataset::<f32>("data", &[n_samples, ids.len()])?;
                data.append(&values)?;
                data.text("units", "mV")?;
                let mapping = population.group("mapping")?;
                mapping.column("node_ids", &ids)?.number("sorted", u8::from(ids.is_sorted()))?;
                mapping.column("index_pointers", &(0..=ids.len() as u64).collect::<Vec<u64>>())?;
                // A neuron has one element: its soma, 0, or its dendrite, 1.
                mapping.column("element_ids", &vec![u32::from(self.of_dendrites); ids.len()])?;
                let stop_ms = (n_samples + 1) as f64 * self.interval_ms;
                mapping
                    .column("time", &[self.interval_ms, stop_ms, self.interval_ms])?
                    .text("units", "ms")?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hdf5::Hdf5;
    use crate::network::NamedNodes;

    #[test]
    fn a_report_has_a_group_for_each_population_with_the_circuits_ids() {
        let dir = tempfile::tempdir().unwrap();
        let named =
            |population: &str, ids: &[u64]| NamedNodes { population: population.into(), ids: ids.into() };
        let names = NodeNames::new(vec![named("a", &[90, 8, 55]), named("b", &[7]), named("c", &[5])]);
        let report = PotentialReport {
            name: "v".into(),
            neurons: vec![0, 2, 3],
            of_dendrites: false,
            interval_ms: 0.5,
            potential_mv: vec![-70.0, -60.0, -50.0, -71.0, -61.0, -51.0],
        };
        report.write(dir.path(), &names, 7).unwrap();
        let h5 = Hdf5::open(&dir.path().join("reports/v.h5")).unwrap();
        assert_eq!(h5.groups("report").unwrap(), ["a", "b"]);
        let ids = |p: &str| h5.column(&format!("report/{p}/mapping/node_ids")).unwrap().all_ids().unwrap();
        assert_eq!((ids("a"), ids("b")), (vec![90, 55], vec![7]));
        assert_eq!(h5.matrix("report/a/data").unwrap(), ([2, 2], vec![-70.0, -60.0, -71.0, -61.0]));
        assert_eq!(h5.matrix("report/b/data").unwrap(), ([2, 1], vec![-50.0, -51.0]));
        let one = NodeNames::new(vec![named("em", &[864_691_135_000_000_007, 3, 4, 5])]);
        report.write(dir.path(), &one, 7).unwrap();
        let ids = Hdf5::open(&dir.path().join("reports/v.h5")).unwrap();
        let ids = ids.column("report/em/mapping/node_ids").unwrap().all_ids().unwrap();
        assert_eq!(ids, [864_691_135_000_000_007, 4, 5]);
    }
}

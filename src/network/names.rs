//! What the neurons are called in the files that the user knows: outputs carry these names.

use std::collections::HashMap;

/// Name of the one population of a network that simrun builds; its ids are the numbers of the neurons.
pub const BUILT_POPULATION: &str = "v1";

/// Neurons (or units) that follow one another in the network and are nodes of one population.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedNodes {
    /// Name of the population.
    pub population: String,
    /// Id of each neuron in its population.
    pub ids: Vec<u64>,
}

/// Names of all neurons of a network, or of all its units: its populations one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNames(Vec<NamedNodes>);

impl NodeNames {
    /// The names of populations in the order of the network's neurons.
    pub fn new(populations: Vec<NamedNodes>) -> Self {
        Self(populations)
    }

    /// The names of the `n` neurons of a built network.
    pub fn built(n: usize) -> Self {
        Self(vec![NamedNodes { population: BUILT_POPULATION.to_owned(), ids: (0..n as u64).collect() }])
    }

    /// Whether these are the names of a built network.
    pub fn are_built(&self) -> bool {
        *self == Self::built(self.len())
    }

    /// Number of neurons.
    pub fn len(&self) -> usize {
        self.0.iter().map(|p| p.ids.len()).sum()
    }

    /// Whether there is no neuron.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The populations with their first neurons.
    pub fn populations(&self) -> impl Iterator<Item = (u32, &NamedNodes)> {
        self.0.iter().scan(0, |first, population| {
            let own = *first;
            *first += population.ids.len() as u32;
            Some((own, population))
        })
    }

    /// The neuron that is a node of a population, if there is one.
    pub fn neuron(&self, population: &str, id: u64) -> Option<u32> {
        let (first, named) = self.populations().find(|(_, named)| named.population == population)?;
        named.ids.iter().position(|own| *own == id).map(|place| first + place as u32)
    }

    /// A neuron in words, for messages.
    pub fn words(&self, neuron: u32) -> String {
        let found = self.populations().find(|(first, named)| neuron < first + named.ids.len() as u32);
        match found {
            Some((first, named)) => {
                format!("node {} of population '{}'", named.ids[(neuron - first) as usize], named.population)
            }
            None => format!("neuron {neuron}"),
        }
    }

    /// The neuron among `before` that has the population and id of each one, if there is one, `[n]`.
    pub fn twins_in(&self, before: &Self) -> Vec<Option<u32>> {
        let mut twins = Vec::with_capacity(self.len());
        for (_, named) in self.populations() {
            let known = before.neurons_of(&named.population).unwrap_or_default();
            twins.extend(named.ids.iter().map(|id| known.get(id).copied()));
        }
        twins
    }

    /// The neuron of each id of a population; none where the network has no such population.
    pub fn neurons_of(&self, population: &str) -> Option<HashMap<u64, u32>> {
        let (first, named) = self.populations().find(|(_, named)| named.population == population)?;
        Some(named.ids.iter().copied().zip(first..).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neurons_are_found_by_population_and_id() {
        let named =
            |population: &str, ids: &[u64]| NamedNodes { population: population.into(), ids: ids.into() };
        let names = NodeNames::new(vec![named("a", &[90, 8]), named("b", &[]), named("c", &[8])]);
        assert_eq!((names.len(), names.are_built()), (3, false));
        assert_eq!(names.neuron("a", 8), Some(1));
        assert_eq!(names.neuron("c", 8), Some(2));
        assert_eq!((names.neuron("b", 8), names.neuron("d", 8)), (None, None));
        assert_eq!(names.words(2), "node 8 of population 'c'");
        assert_eq!(names.words(3), "neuron 3");
        assert_eq!(names.neurons_of("a"), Some([(90, 0), (8, 1)].into()));
        let edited = NodeNames::new(vec![named("c", &[8, 9]), named("a", &[8]), named("d", &[8])]);
        assert_eq!(edited.twins_in(&names), [Some(2), None, Some(1), None]);
        assert!(NodeNames::built(4).are_built() && NodeNames::built(0).is_empty());
    }
}

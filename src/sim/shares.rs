//! Batches whose trials do not all fit the adapter's bindings. A *share* is as many of them as fit; it is a simulation of its own over the
//! same synapses, and shares run one after another. The first share stands for the batch: callers see whole batches alone.
//!
//! Trials know nothing of each other, so spikes do not depend on the shares. Gradients of weights add up on the device, share by share;
//! what a share rounds when it adds up its trials may differ from a batch in one piece.

use super::Simulation;
use crate::error::Result;

impl Simulation {
    /// The shares in the order of their trials.
    pub(super) fn shares(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// The same, to be changed. Not to be used where a share may fail.
    pub(super) fn each_mut(&mut self, mut change: impl FnMut(&mut Self)) {
        change(self);
        self.others.iter_mut().for_each(change);
    }

    /// Numbers of the batch, one for each neuron and trial.
    pub(super) fn batch_words(&self) -> usize {
        self.layout.n_neurons * self.settings.n_trials
    }

    /// Does the same with each share, in their order.
    pub(super) fn each<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut results = vec![work(self)?];
        for other in &mut self.others {
            results.push(work(other)?);
        }
        Ok(results)
    }

    /// Of what a batch has, `[rows][trials of the batch]`, that of the share's trials.
    pub(super) fn own<T: Copy>(&self, of_batch: &[T]) -> Vec<T> {
        let rows = of_batch.chunks_exact(self.settings.n_trials);
        rows.flat_map(|row| &row[self.layout.trials()]).copied().collect()
    }

    /// Of what the shares have, `[rows][trials of the share]`, that of the batch.
    pub(super) fn join<T: Copy>(&self, mut of_shares: Vec<Vec<T>>) -> Vec<T> {
        if let [whole] = &mut of_shares[..] {
            return std::mem::take(whole);
        }
        let mut rows: Vec<_> = self
            .shares()
            .zip(&of_shares)
            .map(|(share, own)| own.chunks_exact(share.layout.n_trials))
            .collect();
        let mut of_batch = Vec::with_capacity(of_shares.iter().map(Vec::len).sum());
        while let Some(first) = rows.first_mut().and_then(Iterator::next) {
            of_batch.extend(first);
            rows[1..].iter_mut().filter_map(Iterator::next).for_each(|own| of_batch.extend(own));
        }
        of_batch
    }
}

//! Changes of a configuration that are in progress: each option is written before the next one.

use std::collections::VecDeque;

use super::changes::Step;
use super::cluster::Cluster;
use super::http::Answer;

/// A change that is written slowly, so that other requests see a part of it.
pub(super) struct SlowUpdate {
    steps: VecDeque<Step>,
    /// The next step is due at this request count.
    due: usize,
    each: usize,
}

impl SlowUpdate {
    pub(super) fn is_for(&self, vmid: u32) -> bool {
        self.steps.iter().any(|step| step.change.vmid == vmid)
    }
}

impl Cluster {
    /// Writes up to the first option that fails, or only the first option if the rest comes later.
    pub(super) fn write(&mut self, steps: Vec<Step>) -> Result<(), Answer> {
        let mut steps = VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            self.take_step(&step)?;
            if let Some(each) = self.slowly {
                let due = self.requests + each;
                self.slow_updates.push(SlowUpdate { steps, due, each });
                break;
            }
        }
        Ok(())
    }

    /// Takes the steps that are due.
    pub(super) fn continue_writing(&mut self) {
        let requests = self.requests;
        for mut update in std::mem::take(&mut self.slow_updates) {
            let mut continues = true;
            while continues && update.due <= requests {
                update.due += update.each.max(1);
                let step = update.steps.pop_front();
                continues = step.is_some_and(|step| self.take_step(&step).is_ok());
            }
            if continues {
                self.slow_updates.push(update);
            }
        }
    }

    pub(super) fn finish_writing(&mut self, which: impl Fn(&SlowUpdate) -> bool) {
        let slow_updates = std::mem::take(&mut self.slow_updates);
        let (ending, others) = slow_updates.into_iter().partition(|update| which(update));
        self.slow_updates = others;
        for SlowUpdate { steps, .. } in ending {
            // The client does not see errors of these steps.
            let _ = steps.iter().try_for_each(|step| self.take_step(step));
        }
    }
}

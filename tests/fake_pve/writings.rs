//! Changes of a configuration that are in progress: each option is written before the next one.

use std::collections::VecDeque;

use super::changes::Step;
use super::cluster::Cluster;
use super::http::Answer;

/// A change that is written slowly, so that other requests see a part of it.
pub(super) struct Writing {
    steps: VecDeque<Step>,
    /// The next step is due at this request count.
    due: usize,
    each: usize,
}

impl Writing {
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
                self.writings.push(Writing { steps, due, each });
                break;
            }
        }
        Ok(())
    }

    /// Takes the steps that are due.
    pub(super) fn continue_writing(&mut self) {
        let requests = self.requests;
        for mut writing in std::mem::take(&mut self.writings) {
            let mut continues = true;
            while continues && writing.due <= requests {
                writing.due += writing.each.max(1);
                let step = writing.steps.pop_front();
                continues = step.is_some_and(|step| self.take_step(&step).is_ok());
            }
            if continues {
                self.writings.push(writing);
            }
        }
    }

    pub(super) fn finish_writing(&mut self, which: impl Fn(&Writing) -> bool) {
        let writings = std::mem::take(&mut self.writings);
        let (ending, others) = writings.into_iter().partition(|writing| which(writing));
        self.writings = others;
        for Writing { steps, .. } in ending {
            // The client does not see errors of these steps.
            let _ = steps.iter().try_for_each(|step| self.take_step(step));
        }
    }
}

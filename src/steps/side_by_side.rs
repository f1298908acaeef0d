//! Carries out operations on several VMs at the same time: each VM has its turn, and none waits for another.

use std::collections::VecDeque;
use std::time::Duration;

use crate::say::failure::Failure;
use crate::say::stage::{Stage, Step, StepTask, Unfinished};
use crate::say::vm::Existing;
use crate::steps::{ActiveStep, Engine, Operation, Turn};

/// The steps on one VM, in order. There is at least one.
pub type Steps<'q> = VecDeque<(Step, Box<dyn Operation<'q> + 'q>)>;

/// A VM and its steps; the first one is active.
struct Job<'q, 'r> {
    engine: Engine<'r>,
    slot: Option<usize>,
    active: ActiveStep<'r>,
    steps: Steps<'q>,
    /// When its next turn is due.
    due: Duration,
    result: Option<Result<Existing, Failure>>,
}

/// Carries out the steps on each VM. The results are in the order of the VMs.
pub fn run(engine: Engine, vms: Vec<(Existing, Steps<'_>)>) -> Vec<Result<Existing, Failure>> {
    let budget = engine.server.budget;
    let is_several = vms.len() > 1;
    if is_several {
        let stages = vms.iter().map(not_begun).collect();
        engine.server.progress.set_stage(Stage::Several(stages));
    }
    let begin =
        |(slot, (existing, steps))| Job::begin(engine, is_several.then_some(slot), existing, steps);
    let mut jobs: Vec<Job> = vms.into_iter().enumerate().filter_map(begin).collect();
    let mut pauses = budget.pauses();
    loop {
        let unfinished = |job: &&mut Job| job.result.is_none();
        for job in jobs.iter_mut().filter(unfinished) {
            if job.due <= budget.clock.elapsed() {
                job.take_turn();
            }
        }
        let due = jobs
            .iter()
            .filter(|job| job.result.is_none())
            .map(|job| job.due);
        let Some(due) = due.min() else { break };
        let pause = due.saturating_sub(budget.clock.elapsed());
        if pause.is_zero() {
            continue;
        }
        if !pauses.pause(pause) {
            break;
        }
        if pauses.was_last() {
            // Each VM is polled once more shortly before the time limit.
            for job in &mut jobs {
                job.due = Duration::ZERO;
            }
        }
    }
    jobs.into_iter().map(Job::end).collect()
}

fn not_begun((existing, steps): &(Existing, Steps)) -> Stage {
    Stage::SettingUp(Unfinished {
        existing: existing.clone(),
        step: steps.front().map_or(Step::Start, |(step, _)| step.clone()),
        task: StepTask::None,
    })
}

impl<'q, 'r> Job<'q, 'r> {
    fn begin(
        engine: Engine<'r>,
        slot: Option<usize>,
        existing: Existing,
        steps: Steps<'q>,
    ) -> Option<Job<'q, 'r>> {
        let step = steps.front()?.0.clone();
        Some(Job {
            engine,
            slot,
            active: engine.begin(existing, step, slot),
            steps,
            due: Duration::ZERO,
            result: None,
        })
    }

    fn take_turn(&mut self) {
        let Some((_, operation)) = self.steps.front_mut() else {
            return;
        };
        match self.active.turn(&mut **operation) {
            Ok(Turn::After(pause)) => {
                self.due = self.engine.server.budget.clock.elapsed() + pause;
            }
            Ok(Turn::Done) => self.next_step(),
            Err(cause) => self.result = Some(Err(self.active.failure(cause))),
        }
    }

    fn next_step(&mut self) {
        let existing = self.active.finish();
        self.steps.pop_front();
        match self.steps.front() {
            Some((step, _)) => self.active = self.engine.begin(existing, step.clone(), self.slot),
            None => {
                self.result = Some(Ok(existing));
            }
        }
    }

    /// The result, or the failure because the time limit was reached.
    fn end(mut self) -> Result<Existing, Failure> {
        if self.result.is_none()
            && let Some((_, operation)) = self.steps.front_mut()
        {
            match self.active.time_limit_reached(&mut **operation) {
                Ok(()) => self.next_step(),
                Err(cause) => return Err(self.active.failure(cause)),
            }
        }
        if let Some(result) = self.result {
            return result;
        }
        let cause = self.active.timed_out(None);
        Err(self.active.failure(cause))
    }
}

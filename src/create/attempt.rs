//! What one run has learnt so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decide::{Age, Answer, Namesake, Owner, Seen};
use super::failure::{
    Doubt, before_resuming, is_out_of_time, may_still_be_created, nothing_started,
};
use super::journal::Journal;
use super::order::Run;
use crate::guests::Guests;
use crate::guests::owner::VmidState;
use crate::guests::vmid::Choice;
use crate::ledger::{Growth, Intent, Record};
use crate::pve::types::{Guest, Upid};
use crate::pve::{self, VmConfig};
use crate::say::failure::{Facts, Failure, Kind, Started};
use crate::say::stage::Stage;
use crate::say::vm::{Existing, Vm};
use crate::wait::refusal::Refusal;
use crate::wait::{BackOff, Patience, Pauses};

/// One run on its way to the VM.
pub struct Attempt<'r> {
    /// The command.
    pub run: &'r Run<'r>,
    /// What was begun and done.
    pub journal: Journal<'r>,
    /// The clone to the VMID of the record.
    pub cloning: Cloning,
    /// The VMID in question, as last seen.
    pub view: View,
    /// The guests, as last read.
    pub guests: Option<Guests<'r>>,
    /// The template, once it was found.
    pub template: Option<Guest>,
    /// The places of the other templates of its name.
    pub other_templates: Vec<String>,
    /// What relative sizes come to, once the template was found fit.
    pub growth: Option<BTreeMap<String, Growth>>,
    /// The VMs of that name, apart from the one of the record.
    pub holders: Vec<Guest>,
    /// What they are to the VMID in question.
    pub namesake: Namesake,
    /// Whether the order asks for something else than what the record says was begun.
    pub asks_for_other: bool,
    /// The VMIDs that were lost to other guests.
    pub choice: Choice,
    /// The VM that was given up last although a request without an answer may still create it.
    pub given_up: Option<Vm>,
    /// The pauses of one interval.
    pub pauses: Pauses<'r>,
    /// The pauses that grow.
    pub back_off: BackOff<'r>,
    /// Notes that are said once.
    noted: BTreeSet<String>,
}

/// What is known of the clone to the VMID of the record.
#[derive(Default)]
pub struct Cloning {
    /// What came of the request.
    pub answer: Answer,
    /// Whether some request may still be carried out. It stays so when a later request is answered.
    pub undecided: bool,
    /// Whether only an earlier run has asked so far.
    pub is_from_earlier_run: bool,
    /// Its task, the last one.
    pub upid: Option<Upid>,
    /// Whether that task was seen to end.
    pub is_watched: bool,
    /// What the task warned of.
    pub warnings: Vec<String>,
    /// Why it is not known what came of the request.
    pub doubt: Option<Doubt>,
}

/// A VMID, as seen over several looks.
#[derive(Default)]
pub struct View {
    /// The VM that it may be, where it was last looked for.
    pub vm: Option<Vm>,
    /// What the last good look found.
    pub state: Option<VmidState>,
    /// Why the last look failed, if it did.
    pub last_error: Option<Box<pve::Error>>,
    /// The clone that was running when the VM was first seen to be in the making.
    pub running: Option<Upid>,
    /// Whether the look of this turn saw nothing.
    pub is_blind: bool,
    /// Since when the owner has been the same, in the run's time.
    pub since: Option<(Owner, Duration)>,
    /// For how long looks have failed.
    pub patience: Patience,
}

impl<'r> Attempt<'r> {
    /// Before the first look.
    pub fn new(run: &'r Run<'r>, journal: Journal<'r>) -> Attempt<'r> {
        let budget = run.server.budget;
        let mut cloning = Cloning::default();
        if let Record::Asked(_, upid) = journal.record() {
            (cloning.undecided, cloning.is_from_earlier_run) = (true, true);
            cloning.upid.clone_from(upid);
        }
        Attempt {
            run,
            journal,
            cloning,
            view: View::default(),
            guests: None,
            template: None,
            other_templates: Vec::new(),
            growth: None,
            holders: Vec::new(),
            namesake: Namesake::NotChecked,
            asks_for_other: false,
            choice: Choice::default(),
            given_up: None,
            pauses: budget.pauses(),
            back_off: BackOff::new(&budget),
            noted: BTreeSet::new(),
        }
    }

    /// What the decision table is told of the last look.
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            asks_for_other: self.asks_for_other,
            answer: &self.cloning.answer,
            undecided: self.cloning.undecided,
            owner: self.view.owner(),
            age: self.age(),
            clone_runs: self.view.running.is_some(),
            namesake: self.namesake,
        }
    }

    fn age(&self) -> Age {
        let budget = self.run.server.budget;
        let now = budget.clock.elapsed();
        let since = self.view.since.map_or(now, |(_, since)| since);
        match now.saturating_sub(since) {
            age if age >= budget.restart_time() => Age::PastRestart,
            age if age >= budget.settling_time() => Age::Settled,
            _ => Age::New,
        }
    }

    /// The VM of an intent.
    pub fn vm_of(&self, intent: &Intent) -> Vm {
        self.run.vm(intent.vmid, &intent.node)
    }

    /// Where the order asks for something else than what was begun.
    pub fn differences(&self, begun: &Intent) -> Vec<String> {
        let mut differences = self.run.differs_from(begun);
        let template = self.template.iter();
        let other = template.filter(|template| template.vmid != begun.template);
        differences.extend(other.map(Guest::to_string));
        differences
    }

    /// What it means that the server has refused the clone, or that its task has failed, in these words;
    /// nothing if they are final.
    pub fn answer_of(&self, words: &str) -> Option<Answer> {
        let vmid = self.journal.record().intent()?.vmid;
        match Refusal::of(words, vmid) {
            Refusal::VmidTaken => Some(Answer::Taken(words.to_owned())),
            // Another VMID will do, unless this one was asked for.
            Refusal::LeftOver if self.run.order.vmid.is_none() => {
                Some(Answer::LeftOver(words.to_owned()))
            }
            Refusal::Temporary => Some(Answer::Passes(words.to_owned())),
            Refusal::LeftOver | Refusal::Final => None,
        }
    }

    /// The VM of this command, created by it.
    pub fn existing(&self, vm: Vm, config: Option<VmConfig>) -> Existing {
        Existing {
            created: true,
            upid: self.cloning.upid.clone(),
            warnings: self.cloning.warnings.clone(),
            ..Existing::found(vm, config)
        }
    }

    /// The VM that a request without an answer may still create.
    fn pending_clone(&self) -> Option<Vm> {
        match self.journal.record() {
            Record::Asked(begun, _) if self.cloning.undecided => Some(self.vm_of(begun)),
            _ => self.given_up.clone(),
        }
    }

    /// This stage, at which nothing was started, unless a VM was given up that may still be created.
    pub fn stage_unless_given_up(&self, stage: Stage) -> Stage {
        self.given_up.clone().map_or(stage, Stage::Undecided)
    }

    /// A failure before there is a VM, which may be that the budget has ended.
    pub fn before_the_vm(&self, failure: Failure) -> Failure {
        if !is_out_of_time(self.run, &failure) {
            return self.with_pending_clone(failure);
        }
        match self.pending_clone() {
            None => nothing_started(failure, self.run.server.budget.seconds()),
            Some(vm) => Failure {
                kind: Kind::Timeout,
                ..may_still_be_created(&vm, failure)
            },
        }
    }

    /// A failure, which must not sound as if nothing was started while a request without an answer may still
    /// create a VM.
    pub fn with_pending_clone(&self, failure: Failure) -> Failure {
        match self.pending_clone() {
            Some(vm) if failure.facts.started == Started::No => may_still_be_created(&vm, failure),
            _ => failure,
        }
    }

    /// A failure before it is clear what became of an earlier run's clone, or whether this order goes on
    /// with its VM.
    pub fn before_resuming(&self, failure: Failure) -> Failure {
        let record = self.journal.record();
        let (begun, started, path) = match record {
            Record::Asked(begun, _) if self.cloning.is_from_earlier_run => {
                (begun, Started::Unknown, self.journal.path())
            }
            Record::Created(begun) => (begun, Started::Yes, None),
            _ => return failure,
        };
        let facts = self.facts_of(begun, started);
        let late = is_out_of_time(self.run, &failure).then(|| self.run.server.budget.seconds());
        before_resuming(
            begun.template,
            &self.vm_of(begun),
            facts,
            failure,
            late,
            path,
        )
    }

    /// What failed runs report to scripts about what was begun.
    pub fn facts_of(&self, begun: &Intent, started: Started) -> Facts {
        Facts {
            upid: self.cloning.upid.clone(),
            ..self.vm_of(begun).facts(started)
        }
    }

    /// Whether this is to be told for the first time.
    pub fn first_time(&mut self, what: impl Into<String>) -> bool {
        self.noted.insert(what.into())
    }
}

impl View {
    /// A look has worked at this time of the run; it found this, or there was nothing to look at.
    pub fn observed(&mut self, state: Option<VmidState>, now: Duration) {
        self.state = state;
        self.is_blind = false;
        self.last_error = None;
        let owner = self.owner();
        if self.since.is_none_or(|(before, _)| before != owner) {
            self.since = Some((owner, now));
        }
    }

    /// A look has failed, for this reason if that is new.
    pub fn failed(&mut self, why: Option<Box<pve::Error>>) {
        self.is_blind = true;
        self.last_error = why.or(self.last_error.take());
    }

    fn owner(&self) -> Owner {
        match &self.state {
            _ if self.is_blind => Owner::Unknown,
            None => Owner::NotChecked,
            Some(state) => Owner::of(state),
        }
    }
}

impl Owner {
    /// What the decision table is told of a state.
    pub fn of(state: &VmidState) -> Owner {
        match state {
            VmidState::Free => Owner::Free,
            VmidState::Ours(..) => Owner::Ours,
            VmidState::Another(_) => Owner::Another,
            VmidState::BeingCreated { .. } | VmidState::Appeared => Owner::BeingCreated,
            VmidState::Incomplete(_) => Owner::Incomplete,
            VmidState::Hidden => Owner::Hidden,
        }
    }
}

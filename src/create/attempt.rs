//! What one run has learnt so far.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decide::{Lasting, Owner, Request};
use super::failure::{Doubt, Error, Failed, no_template};
use super::journal::Journal;
use super::order::Run;
use super::owner::Sight;
use super::vmid::Choice;
use crate::guests::Guests;
use crate::guests::template::NotFound;
use crate::ledger::{Growth, Intent, Record};
use crate::pve::types::{Guest, Node, Upid, Vmid};
use crate::pve::{self, VmConfig};
use crate::say::failure::{Failure, Kind};
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
    pub clone: Clone,
    /// The VMID in question, as last seen.
    pub view: View,
    /// The guests, as last read.
    pub guests: Option<Guests<'r>>,
    /// The template, once it was looked for.
    pub template: Option<Result<Guest, NotFound>>,
    /// What relative sizes come to, once the template was found fit.
    pub growth: Option<BTreeMap<String, Growth>>,
    /// The VMs of that name, apart from the one of the record.
    pub holders: Vec<Guest>,
    /// The VMIDs that were lost to other guests.
    pub choice: Choice,
    /// The pauses of one interval.
    pub pauses: Pauses<'r>,
    /// The pauses that grow.
    pub back_off: BackOff<'r>,
    /// Notes that are said once.
    told: Vec<&'static str>,
}

/// What is known of the clone to the VMID of the record.
pub struct Clone {
    /// What came of the request.
    pub answer: Answer,
    /// Whether some request may still be carried out.
    pub undecided: bool,
    /// Whether only an earlier run has asked so far.
    pub is_taken_over: bool,
    /// Its task, the last one.
    pub upid: Option<Upid>,
    /// Whether that task was seen to end.
    pub is_watched: bool,
    /// What the task warned of.
    pub warnings: Vec<String>,
    /// Why it is not known what came of the request.
    pub doubt: Option<Doubt>,
}

/// What came of the request for the clone, with what there is to tell of it.
pub enum Answer {
    /// Nothing is known.
    None,
    /// It was not carried out, and is to be sent again.
    Due,
    /// Its task has succeeded.
    Done,
    /// It was refused, or its task has failed, in these words, which say that the VMID is taken.
    Taken(String),
    /// The same for something that passes by itself.
    Passes(String),
    /// It was refused for good.
    Refused(Box<pve::Error>),
    /// Its task has failed for good.
    Failed(Failed),
}

/// A VMID, as seen over several looks.
#[derive(Default)]
pub struct View {
    /// The VM that it may be, where it was last looked for.
    pub vm: Option<Vm>,
    /// What the last good look found.
    pub sight: Option<Sight>,
    /// Why the last look failed, if it did.
    pub unseen: Option<pve::Error>,
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
        let clone = match journal.record() {
            Record::Asked(_, upid) => Clone {
                undecided: true,
                is_taken_over: true,
                upid: upid.clone(),
                ..Clone::new()
            },
            _ => Clone::new(),
        };
        Attempt {
            run,
            journal,
            clone,
            view: View::default(),
            guests: None,
            template: None,
            growth: None,
            holders: Vec::new(),
            choice: Choice::default(),
            pauses: budget.pauses(),
            back_off: BackOff::new(&budget),
            told: Vec::new(),
        }
    }

    /// What the decision table is told of how long the owner has been the same.
    pub fn lasting(&self) -> Lasting {
        let budget = self.run.server.budget;
        let since = self.view.since.map(|(_, since)| since);
        match since.map(|since| budget.clock.elapsed() - since) {
            Some(lasting) if lasting >= budget.a_restart() => Lasting::ARestart,
            Some(lasting) if lasting >= budget.a_while() => Lasting::AWhile,
            _ => Lasting::Briefly,
        }
    }

    /// The run's time.
    pub fn now(&self) -> Duration {
        self.run.server.budget.clock.elapsed()
    }

    /// The VM of an intent.
    pub fn vm_of(&self, intent: &Intent) -> Vm {
        self.run.vm(intent.vmid, &intent.node)
    }

    /// The template, which was looked for before.
    pub fn template(&self) -> Result<Guest, Error> {
        match &self.template {
            Some(Ok(template)) => Ok(template.clone()),
            Some(Err(source)) => Err(no_template(source).into()),
            None => Err(Failure::new(Kind::TemplateNotFound, "no template").into()),
        }
    }

    /// The template whose disks a clone of ours must have, with its node, if it still exists.
    pub fn template_of(&self, intent: &Intent) -> Option<(Vmid, Node)> {
        let template = self.template.as_ref()?.as_ref().ok()?;
        (template.vmid == intent.template).then(|| (template.vmid, template.node.clone()))
    }

    /// Where the order asks for something else than what was begun.
    pub fn differences(&self, begun: &Intent) -> Vec<String> {
        let mut differences = self.run.differs_from(begun);
        if let Some(Ok(template)) = &self.template
            && template.vmid != begun.template
        {
            differences.push(template.to_string());
        }
        differences
    }

    /// What the server's words for no mean for a clone to this VMID.
    pub fn meaning_of(&self, words: &str, vmid: Vmid) -> Refusal {
        let intent = self.journal.record().intent();
        let template = intent.map_or(vmid, |intent| intent.template);
        Refusal::of(words, template, vmid)
    }

    /// The VM of this command, created by it.
    pub fn existing(&self, vm: Vm, config: Option<VmConfig>) -> Existing {
        Existing {
            created: true,
            upid: self.clone.upid.clone(),
            warnings: self.clone.warnings.clone(),
            ..Existing::found(vm, config)
        }
    }

    /// An error before it is clear what became of an earlier run's clone.
    pub fn before_seen_again(&self, error: Error) -> Error {
        match self.journal.record() {
            Record::Asked(begun, _) if self.clone.is_taken_over => {
                error.before_seen_again(&self.vm_of(begun))
            }
            _ => error,
        }
    }

    /// Notes something the first time.
    pub fn tell_once(&mut self, what: &'static str, note: &str) {
        if !self.told.contains(&what) {
            self.told.push(what);
            self.run.progress.note(note);
        }
    }
}

impl Clone {
    /// Nothing was asked for.
    pub fn new() -> Clone {
        Clone {
            answer: Answer::None,
            undecided: false,
            is_taken_over: false,
            upid: None,
            is_watched: false,
            warnings: Vec::new(),
            doubt: None,
        }
    }

    /// What the decision table is told of the answer.
    pub fn request(&self) -> Request {
        match self.answer {
            Answer::None => Request::Unknown,
            Answer::Due => Request::Due,
            Answer::Done => Request::Done,
            Answer::Taken(_) => Request::Taken,
            Answer::Passes(_) => Request::Passes,
            Answer::Refused(_) => Request::Refused,
            Answer::Failed(_) => Request::Failed,
        }
    }
}

impl View {
    /// A look has worked; it found this, or there was nothing to look at.
    pub fn saw(&mut self, sight: Option<Sight>, now: Duration) {
        let owner = sight.as_ref().map_or(Owner::NotLooked, Sight::owner);
        if self.since.is_none_or(|(before, _)| before != owner) {
            self.since = Some((owner, now));
        }
        self.sight = sight;
        self.is_blind = false;
        self.unseen = None;
    }
}

//! What one run has found out so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decide::{Age, Namesake, Observed, Owner, RequestOutcome};
use super::failure::{Doubt, is_out_of_time, may_still_be_created, nothing_started};
use super::import::place::Place;
use super::journal::Journal;
use super::pending::before_resuming;
use super::spec::{Method, Run};
use crate::guests::Guests;
use crate::guests::owner::{Expected, VmidState};
use crate::guests::vmid::VmidPicker;
use crate::ledger::{Growth, Intent, Record, Source};
use crate::pve::types::{Guest, Upid};
use crate::pve::{self, Identity, ImageVolume, VmConfig};
use crate::say::failure::{Facts, Failure, Kind, Started};
use crate::say::stage::{Stage, creation};
use crate::say::vm::{Existing, Import, Vm};
use crate::settings::image::ImageSource;
use crate::wait::refusal::CreationError;
use crate::wait::{BackOff, Pauses, RestartGrace};

/// One run, until it has a VM.
pub struct Attempt<'r> {
    /// The command.
    pub run: &'r Run<'r>,
    /// What was requested and done.
    pub journal: Journal<'r>,
    /// The creation of the VM with the VMID of the record.
    pub creation: Creation,
    /// The VMID in question, as last observed.
    pub view: View,
    /// The guests, as last read.
    pub guests: Option<Guests<'r>>,
    /// Where a new template goes, once that was found.
    pub place: Option<Place>,
    /// The image, once it is on its storage.
    pub image: Option<ImageVolume>,
    /// The template, once it was found.
    pub template: Option<Guest>,
    /// Where the other templates of the same name are.
    pub other_templates: Vec<String>,
    /// The absolute values of relative sizes, once the template was checked.
    pub growth: Option<BTreeMap<String, Growth>>,
    /// The template's configuration, if that check required it.
    pub template_config: Option<VmConfig>,
    /// The VMs of that name, apart from the one of the record.
    pub holders: Vec<Guest>,
    /// How they relate to the VMID in question.
    pub namesake: Namesake,
    /// Whether the request differs from the recorded one.
    pub requests_other: bool,
    /// The VMIDs that were taken by other guests.
    pub picker: VmidPicker,
    /// The last VM that was given up although a request without an answer may still create it.
    pub given_up: Option<Vm>,
    /// The pauses of one interval.
    pub pauses: Pauses<'r>,
    /// The growing pauses.
    pub back_off: BackOff<'r>,
    /// Notes that are printed only once.
    noted: BTreeSet<String>,
}

/// What is known about the creation of the VM with the VMID of the record.
#[derive(Default)]
pub struct Creation {
    /// The outcome of the last request.
    pub outcome: RequestOutcome,
    /// Whether some request may still be carried out. That stays true when a later request is answered.
    pub undecided: bool,
    /// Whether only an earlier run has requested it so far.
    pub is_from_earlier_run: bool,
    /// Its last task.
    pub upid: Option<Upid>,
    /// Whether that task was polled to its end.
    pub is_polled: bool,
    /// The warnings of the task.
    pub warnings: Vec<String>,
    /// Why the outcome of the request is unknown.
    pub doubt: Option<Doubt>,
}

/// A VMID, as observed over several turns.
#[derive(Default)]
pub struct View {
    /// The VM that it may be, on the node that was asked last.
    pub vm: Option<Vm>,
    /// The result of the last successful check.
    pub state: Option<VmidState>,
    /// Why the last check failed, if it did.
    pub last_error: Option<Box<pve::Error>>,
    /// The task that was running when the VM was first observed as being created.
    pub running: Option<Upid>,
    /// Whether the task that was creating the VM has ended after its configuration was read: the VM may be
    /// complete.
    pub has_just_ended: bool,
    /// Whether the check of this turn failed.
    pub check_failed: bool,
    /// The owner, and since when it has been the same, in the run's time.
    pub since: Option<(Owner, Duration)>,
    /// For how long checks have failed.
    pub grace: RestartGrace,
}

impl Creation {
    /// Whether the worker of the import has died. Then the VM stays as it is.
    pub fn has_died(&self) -> bool {
        matches!(&self.doubt, Some(Doubt::WorkerDied { upid }) if creation(upid) == "import")
    }
}

impl<'r> Attempt<'r> {
    /// Before anything was observed.
    pub fn new(run: &'r Run<'r>, journal: Journal<'r>) -> Attempt<'r> {
        let budget = run.server.budget;
        let mut creation = Creation::default();
        if let Record::Requested(_, upid) = journal.record() {
            (creation.undecided, creation.is_from_earlier_run) = (true, true);
            creation.upid.clone_from(upid);
        }
        Attempt {
            run,
            journal,
            creation,
            view: View::default(),
            guests: None,
            place: None,
            image: None,
            template: None,
            other_templates: Vec::new(),
            growth: None,
            template_config: None,
            holders: Vec::new(),
            namesake: Namesake::NotChecked,
            requests_other: false,
            picker: VmidPicker::default(),
            given_up: None,
            pauses: budget.pauses(),
            back_off: BackOff::new(&budget),
            noted: BTreeSet::new(),
        }
    }

    /// The observed state, for the decision table.
    pub fn observed(&self) -> Observed<'_> {
        Observed {
            requests_other: self.requests_other,
            outcome: &self.creation.outcome,
            undecided: self.creation.undecided,
            has_died: self.creation.has_died(),
            owner: self.view.owner(),
            age: self.age(),
            task_runs: self.view.running.is_some(),
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

    /// How the request differs from the recorded one.
    pub fn differences(&self, intent: &Intent) -> Vec<String> {
        let mut differences = self.run.differs_from(intent);
        if let (Some(template), Source::Template(from)) = (&self.template, &intent.source)
            && template.vmid != from.template
        {
            differences.push(template.to_string());
        }
        differences
    }

    /// What this message of a refused request, or of its failed task, means; none if the failure is final.
    pub fn outcome_of(&self, message: &str) -> Option<RequestOutcome> {
        let vmid = self.journal.record().intent()?.vmid;
        match CreationError::of(message, vmid) {
            CreationError::VmidTaken => Some(RequestOutcome::Taken(message.to_owned())),
            // Another VMID is as good, unless this one was requested.
            CreationError::LeftOver if self.run.spec.vmid.is_none() => {
                Some(RequestOutcome::LeftOver(message.to_owned()))
            }
            CreationError::Temporary => Some(RequestOutcome::Temporary(message.to_owned())),
            CreationError::LeftOver | CreationError::Final => None,
        }
    }

    /// The VM, created by this command.
    pub fn existing(&self, vm: Vm, config: Option<VmConfig>) -> Existing {
        let import = match self.journal.record().intent().map(|intent| &intent.source) {
            Some(Source::Image(from)) => Some(Box::new(Import {
                volume: from.volume.clone(),
                uuid: from.uuid.clone(),
            })),
            _ => None,
        };
        let uuid = import
            .as_ref()
            .map(|import| Identity::of_uuid(&import.uuid));
        let found = Existing::found(vm, config);
        Existing {
            created: true,
            import,
            upid: self.creation.upid.clone(),
            warnings: self.creation.warnings.clone(),
            identity: found.identity.clone().or(uuid),
            ..found
        }
    }

    /// The VM that a request without an answer may still create.
    pub fn pending_request(&self) -> Option<Vm> {
        match self.journal.record() {
            Record::Requested(intent, _) if self.creation.undecided => Some(self.vm_of(intent)),
            _ => self.given_up.clone(),
        }
    }

    /// `stage`, or `Undecided` if a VM was given up that may still be created.
    pub fn stage_unless_given_up(&self, stage: Stage) -> Stage {
        self.given_up.clone().map_or(stage, Stage::Undecided)
    }

    /// A failure before there is a VM. It is reported as a timeout if the time limit caused it.
    pub fn without_vm(&self, failure: Failure) -> Failure {
        if !is_out_of_time(self.run, &failure) {
            return self.with_pending_request(failure);
        }
        match self.pending_request() {
            None => nothing_started(failure, self.run.server.budget.seconds()),
            Some(vm) => Failure {
                kind: Kind::Timeout,
                ..may_still_be_created(self.run, &vm, failure)
            },
        }
    }

    /// Completes a failure: while a request without an answer may still create a VM, it must not say that
    /// nothing was started.
    pub fn with_pending_request(&self, failure: Failure) -> Failure {
        match self.pending_request() {
            Some(vm) if failure.facts.started == Started::No => {
                may_still_be_created(self.run, &vm, failure)
            }
            _ => failure,
        }
    }

    /// A failure before the outcome of an earlier run's clone is known, or before it is known whether this
    /// request can resume with its VM.
    pub fn before_resuming(&self, failure: Failure) -> Failure {
        let record = self.journal.record();
        let (intent, started, path) = match record {
            Record::Requested(intent, _) if self.creation.is_from_earlier_run => {
                (intent, Started::Unknown, self.journal.path())
            }
            Record::Created(intent) => (intent, Started::Yes, None),
            _ => return failure,
        };
        let facts = self.facts_of(intent, started);
        let seconds = is_out_of_time(self.run, &failure).then(|| self.run.server.budget.seconds());
        before_resuming(
            &intent.source,
            &self.vm_of(intent),
            facts,
            failure,
            seconds,
            path,
        )
    }

    /// What a failed run reports to scripts about a recorded VM.
    pub fn facts_of(&self, intent: &Intent, started: Started) -> Facts {
        Facts {
            upid: self.creation.upid.clone(),
            ..self.vm_of(intent).facts(started)
        }
    }

    /// The image, if this run has put it on its storage or found it there under the name of its URL.
    pub fn downloaded(&self) -> Option<ImageVolume> {
        let image = self.run.spec.image()?;
        let is_url = matches!(image.source, ImageSource::Url(_));
        self.image.clone().filter(|_| is_url)
    }

    /// Which VM with the name is ours, if it exists without a record.
    pub fn expected(&self) -> Expected<'static> {
        match self.run.spec.method {
            Method::Clone { .. } => Expected::AnyVm,
            Method::Import(_) => Expected::AnyTemplate,
        }
    }

    /// Which VM is the one of this intent; `template` is the template of its clone, if that must be compared.
    pub fn expected_of<'t>(intent: &'t Intent, template: Option<&'t Guest>) -> Expected<'t> {
        match &intent.source {
            Source::Image(from) => Expected::WithUuid(&from.uuid),
            Source::Template(from) => match template.filter(|it| it.vmid == from.template) {
                Some(template) => Expected::CloneOf(template),
                None => Expected::AnyVm,
            },
        }
    }

    /// Whether this is the first time that this note is due.
    pub fn is_first_note(&mut self, what: impl Into<String>) -> bool {
        self.noted.insert(what.into())
    }
}

impl View {
    /// A check at this time of the run has succeeded with this result, or no check was needed.
    pub fn succeeded(&mut self, state: Option<VmidState>, now: Duration) {
        self.state = state;
        self.check_failed = false;
        self.last_error = None;
        let owner = self.owner();
        if self.since.is_none_or(|(before, _)| before != owner) {
            self.since = Some((owner, now));
        }
    }

    /// Sets the task that was found running after the configuration was read.
    pub fn found_running(&mut self, running: Option<Upid>) {
        self.has_just_ended = self.running.is_some() && running.is_none();
        self.running = running;
    }

    /// A check has failed, for this reason if it is a new one.
    pub fn failed(&mut self, why: Option<Box<pve::Error>>) {
        self.check_failed = true;
        self.last_error = why.or(self.last_error.take());
    }

    fn owner(&self) -> Owner {
        match &self.state {
            _ if self.check_failed => Owner::Unknown,
            None => Owner::NotChecked,
            Some(state) => Owner::of(state),
        }
    }
}

impl Owner {
    /// The owner, for the decision table.
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

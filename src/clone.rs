//! From a template to a VM: the workflow.

use std::collections::BTreeSet;
use std::fmt;

use snafu::{OptionExt, ResultExt, Snafu};

use crate::api::types::{ExitStatus, Guest, Node, TaskStatus, Upid, VmName, Vmid};
use crate::api::{self, Delivery, Pve, VmConfig};
use crate::guests::Guests;
use crate::progress::Progress;
use crate::report::{Kind, Known, Report, Started, hint_for, kind_of};
use crate::template::{self, find_template};
use crate::wait::{Budget, GaveUp, Look};

/// What the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The name that the new VM gets.
    pub name: VmName,
    /// The template's name, or its VMID if no template has that name.
    pub template: String,
    /// The only VMID to take, if the user named one.
    pub vmid: Option<Vmid>,
}

/// The VM that was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Created {
    /// Its VMID.
    pub vmid: Vmid,
    /// The node it is on.
    pub node: Node,
    /// The task that made it.
    pub upid: Upid,
}

/// What a run works with.
pub struct Cloning<'a> {
    /// The server.
    pub pve: &'a Pve,
    /// The time there is.
    pub budget: Budget<'a>,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
}

impl Cloning<'_> {
    /// One command, one VM.
    pub fn create(&self, plan: &Plan) -> Result<Created, Error> {
        self.progress.creating(&plan.name, &plan.template);
        self.create_in_time(plan).map_err(|error| {
            if self.budget.left().is_zero() && error.is_without_answer() {
                let seconds = self.budget.total.as_secs_f64();
                let source = Box::new(error);
                return Error::NothingStarted { seconds, source };
            }
            error
        })
    }

    fn create_in_time(&self, plan: &Plan) -> Result<Created, Error> {
        let guests = Guests::read(self.pve).context(ListGuestsSnafu)?;
        let template = find_template(&guests, &plan.template, &plan.name, self.progress)
            .context(NoTemplateSnafu)?;
        self.refuse_a_name_that_is_taken(&guests, plan)?;
        let vmid = self.choose_vmid(&guests, plan)?;
        let upid = self.start_clone(template, vmid, plan)?;
        let clone = Begun {
            vmid,
            name: plan.name.clone(),
            upid,
        };
        self.wait_for(&clone)?;
        Ok(Created {
            vmid,
            node: template.node.clone(),
            upid: clone.upid,
        })
    }

    /// Proxmox would make a second VM of the same name without a word.
    fn refuse_a_name_that_is_taken(&self, guests: &Guests, plan: &Plan) -> Result<(), Error> {
        let name = &plan.name;
        let mut holders = self.holders(guests.vms_with_row_named(name.as_str()), name)?;
        if holders.is_empty() {
            holders = self.holders(guests.vms_behind_rows_named(name.as_str()), name)?;
        }
        let name = name.clone();
        if !holders.is_empty() {
            return AlreadyExistsSnafu { name, holders }.fail();
        }
        let doubts = guests.doubts().join("; ");
        if doubts.is_empty() {
            return Ok(());
        }
        if plan.vmid.is_none() {
            return NameMayBeTakenSnafu { name, doubts }.fail();
        }
        // Whoever names the VMID knows which VM is meant, even if another one bears its name.
        self.progress
            .warning(&format!("another VM may be named '{name}': {doubts}"));
        Ok(())
    }

    /// Those that have the name indeed: a reused VMID keeps the dead guest's name in its row for
    /// seconds, and only the VM's configuration is the truth.
    fn holders<'g>(
        &self,
        vms: impl Iterator<Item = &'g Guest>,
        name: &VmName,
    ) -> Result<Vec<Guest>, Error> {
        let is_holder =
            |config: VmConfig| !config.template && config.name.as_deref() == Some(name.as_str());
        let mut holders = Vec::new();
        for vm in vms {
            let config = self.pve.vm_config(&vm.node, vm.vmid);
            let config = config.with_context(|_| LookAtVmSnafu {
                vmid: vm.vmid,
                name: name.clone(),
            })?;
            if config.is_some_and(is_holder) {
                holders.push(vm.clone());
            }
        }
        Ok(holders)
    }

    fn choose_vmid(&self, guests: &Guests, plan: &Plan) -> Result<Vmid, Error> {
        if let Some(vmid) = plan.vmid {
            return match guests.with_vmid(vmid) {
                None => Ok(vmid),
                Some(guest) => VmidTakenSnafu {
                    guest: guest.clone(),
                }
                .fail(),
            };
        }
        let next = self.pve.next_vmid().context(AskForVmidSnafu)?;
        first_free_vmid(&guests.vmids(), next).context(NoFreeVmidSnafu)
    }

    fn start_clone(&self, template: &Guest, vmid: Vmid, plan: &Plan) -> Result<Upid, Error> {
        self.pve
            .clone_vm(&template.node, template.vmid, vmid, &plan.name)
            .with_context(|_| StartCloneSnafu {
                template: template.clone(),
                vmid,
            })
    }

    fn wait_for(&self, clone: &Begun) -> Result<(), Error> {
        let ended = self.budget.look_until_done(goes_on_unseen, || {
            Ok(match self.pve.task_status(&clone.upid)? {
                TaskStatus::Running => Look::NotYet,
                TaskStatus::Stopped(status) => Look::Done(status),
            })
        });
        let clone = clone.clone();
        match ended {
            Ok(ExitStatus::Ok) => Ok(()),
            Ok(ExitStatus::Warnings(_)) => {
                self.progress.warning(&format!(
                    "the clone ended with warnings; to see them, {}",
                    clone.pvenode("log")
                ));
                Ok(())
            }
            Ok(ExitStatus::Failed(words)) => TaskFailedSnafu { clone, words }.fail(),
            Ok(ExitStatus::Unexpected) => EndUnknownSnafu { clone }.fail(),
            Err(GaveUp::Failed(source)) => Err(source).context(LostSightSnafu { clone }),
            Err(GaveUp::TimeIsUp(unseen)) => TimeoutSnafu {
                seconds: self.budget.total.as_secs_f64(),
                clone,
                unseen: unseen.map(|error| error.to_string()),
            }
            .fail(),
        }
    }
}

/// The first gap from `next` upwards.
///
/// `next` is what the server calls the first free VMID. It also knows the guests that this token
/// cannot see and the administrator's range, so nothing below it is of use.
fn first_free_vmid(taken: &BTreeSet<Vmid>, next: Vmid) -> Option<Vmid> {
    let mut candidate = next.max(Vmid::MIN);
    while taken.contains(&candidate) {
        candidate = candidate.next()?;
    }
    Some(candidate)
}

/// The clone goes on whether or not it can be seen; only a clear no ends the looking.
fn goes_on_unseen(error: &api::Error) -> bool {
    !matches!(
        error,
        api::Error::Refused {
            status: 400 | 401 | 403,
            ..
        }
    )
}

/// A clone that the server has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    vmid: Vmid,
    name: VmName,
    upid: Upid,
}

impl Begun {
    /// What to type on which node to see the task's `log` or `status`. The UPID is quoted, for its
    /// `!` means something to a shell.
    fn pvenode(&self, what: &str) -> String {
        let upid = &self.upid;
        format!("on node '{}': pvenode task {what} '{upid}'", upid.node())
    }
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Begun { vmid, name, upid } = self;
        write!(f, "VM {vmid} '{name}' on node '{}'", upid.node())
    }
}

/// Why there is no new VM, or none that is known to be whole.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("Timed out after {seconds} s; nothing was started"))]
    NothingStarted { seconds: f64, source: Box<Error> },

    #[snafu(display("cannot list the guests"))]
    ListGuests {
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("{source}"))]
    NoTemplate { source: template::NotFound },

    #[snafu(display("cannot tell whether VM {vmid} is named '{name}'"))]
    LookAtVm {
        vmid: Vmid,
        name: VmName,
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("{}", there_already(name, holders)))]
    AlreadyExists { name: VmName, holders: Vec<Guest> },

    #[snafu(display("cannot tell whether there is a VM '{name}': {doubts}"))]
    NameMayBeTaken { name: VmName, doubts: String },

    #[snafu(display("VMID {} is taken by {guest}", guest.vmid))]
    VmidTaken { guest: Guest },

    #[snafu(display("cannot get a free VMID"))]
    AskForVmid {
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("there is no free VMID left"))]
    NoFreeVmid,

    #[snafu(display("{} {} to VM {vmid}", match source.delivery() {
        Delivery::NotDelivered | Delivery::Refused => "cannot clone template",
        Delivery::Unknown => "do not know whether the server has begun to clone template",
    }, template.vmid))]
    StartClone {
        template: Guest,
        vmid: Vmid,
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("Task failed: {words}"))]
    TaskFailed { clone: Begun, words: String },

    #[snafu(display(
        "do not know how the clone to {clone} ended: its worker died or the node went down"
    ))]
    EndUnknown { clone: Begun },

    #[snafu(display("do not know how the clone to {clone} ends, it may still be running"))]
    LostSight {
        clone: Begun,
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("Timed out after {seconds} s; {}", match unseen {
        None => format!("the clone to {clone} is still running"),
        Some(why) => format!("the clone to {clone} may still be running, the last look failed: {why}"),
    }))]
    Timeout {
        seconds: f64,
        clone: Begun,
        unseen: Option<String>,
    },
}

/// `VM 101 'web-1' already exists on node 'pve1', locked (clone); another is 105 on node 'pve2'`
fn there_already(name: &VmName, holders: &[Guest]) -> String {
    let (vmid, node) = (holders[0].vmid, &holders[0].node);
    let lock = holders[0]
        .lock
        .iter()
        .map(|lock| format!(", locked ({lock})"));
    let others = holders[1..]
        .iter()
        .map(|other| format!("; another is {}", other.place()));
    let more: String = lock.chain(others).collect();
    format!("VM {vmid} '{name}' already exists on node '{node}'{more}")
}

impl Error {
    /// The failure for people and scripts.
    pub fn report(&self) -> Report {
        let (kind, hint) = self.kind_and_hint();
        Report {
            known: self.known(),
            ..Report::of(kind, self).with_hint(hint)
        }
    }

    /// Before the clone, and no server said no.
    fn is_without_answer(&self) -> bool {
        match self {
            Error::ListGuests { source }
            | Error::LookAtVm { source, .. }
            | Error::AskForVmid { source } => kind_of(source) == Kind::Unreachable,
            Error::NameMayBeTaken { .. } => true,
            Error::StartClone { source, .. } => source.delivery() == Delivery::NotDelivered,
            _ => false,
        }
    }

    fn kind_and_hint(&self) -> (Kind, Option<String>) {
        let (kind, hint) = match self {
            Error::StartClone { vmid, source, .. } if is_taken(*vmid, source) => (
                Kind::VmidTaken,
                "somebody else took it a moment before; a run without --vmid takes one that is free"
                    .to_owned(),
            ),
            Error::StartClone { vmid, source, .. } if source.delivery() == Delivery::Unknown => (
                Kind::OutcomeUnknown,
                format!(
                    "the server may still carry it out; look for VM {vmid} with \
                     'homelab proxmox vm list' before you run this again"
                ),
            ),
            Error::ListGuests { source }
            | Error::LookAtVm { source, .. }
            | Error::AskForVmid { source }
            | Error::StartClone { source, .. } => return (kind_of(source), hint_for(source)),
            Error::NothingStarted { .. } => (
                Kind::Timeout,
                "there is nothing to clean up; run it again, with a longer --timeout if the \
                 server is slow"
                    .to_owned(),
            ),
            Error::NoFreeVmid => return (Kind::Failed, None),
            Error::NoTemplate { source } => (Kind::TemplateNotFound, source.hint().to_owned()),
            Error::AlreadyExists { holders, .. } if holders[0].is_being_cloned() => (
                Kind::AlreadyExists,
                "a clone is making it, or has left it half made; 'homelab proxmox vm list' shows \
                 whether the lock goes away"
                    .to_owned(),
            ),
            Error::AlreadyExists { .. } => (
                Kind::AlreadyExists,
                "a new VM needs another name; 'homelab proxmox vm list' shows those in use"
                    .to_owned(),
            ),
            Error::NameMayBeTaken { .. } => (
                Kind::Unreachable,
                "if you are sure that there is none, say which VMID the new one gets: --vmid N"
                    .to_owned(),
            ),
            Error::VmidTaken { .. } => (
                Kind::VmidTaken,
                "choose another VMID, or leave --vmid out to get a free one".to_owned(),
            ),
            Error::TaskFailed { clone, .. } => (
                Kind::TaskFailed,
                format!(
                    "'homelab proxmox vm list' shows whether anything of VM {} is left; to see \
                     more, {}",
                    clone.vmid,
                    clone.pvenode("log")
                ),
            ),
            Error::EndUnknown { clone } => (
                Kind::OutcomeUnknown,
                format!(
                    "'homelab proxmox vm list' shows whether VM {} is there and still locked (clone), \
                     which is half made; to see how far it came, {}",
                    clone.vmid,
                    clone.pvenode("log")
                ),
            ),
            Error::LostSight { clone, .. } => (
                Kind::OutcomeUnknown,
                format!("to see how it ends, {}", clone.pvenode("status")),
            ),
            Error::Timeout { clone, .. } => (
                Kind::Timeout,
                format!(
                    "the server goes on by itself; wait for its end before you run this again, {}",
                    clone.pvenode("status")
                ),
            ),
        };
        (kind, Some(hint))
    }

    fn known(&self) -> Known {
        match self {
            Error::NothingStarted { source, .. } => source.known(),
            Error::ListGuests { .. }
            | Error::NoTemplate { .. }
            | Error::LookAtVm { .. }
            | Error::NameMayBeTaken { .. }
            | Error::AskForVmid { .. }
            | Error::NoFreeVmid => Known::default(),
            Error::AlreadyExists { holders, .. } => Known {
                vmid: Some(holders[0].vmid),
                node: Some(holders[0].node.clone()),
                ..Known::default()
            },
            Error::VmidTaken { guest } => Known {
                vmid: Some(guest.vmid),
                node: Some(guest.node.clone()),
                ..Known::default()
            },
            Error::StartClone {
                template,
                vmid,
                source,
            } => Known {
                vmid: Some(*vmid),
                node: Some(template.node.clone()),
                upid: None,
                started: match source.delivery() {
                    Delivery::NotDelivered | Delivery::Refused => Started::No,
                    Delivery::Unknown => Started::Unknown,
                },
            },
            Error::TaskFailed { clone, .. }
            | Error::EndUnknown { clone }
            | Error::LostSight { clone, .. }
            | Error::Timeout { clone, .. } => Known {
                vmid: Some(clone.vmid),
                node: Some(clone.upid.node()),
                upid: Some(clone.upid.clone()),
                started: Started::Yes,
            },
        }
    }
}

/// Free a moment ago, and somebody else's now.
fn is_taken(vmid: Vmid, error: &api::Error) -> bool {
    let taken = format!("unable to create VM {vmid}: config file already exists");
    matches!(error, api::Error::Refused { words, .. } if *words == taken)
}

#[cfg(test)]
mod tests;

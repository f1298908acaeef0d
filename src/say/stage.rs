//! What is certain about a VM at any moment of a run, and what to do when the run ends there.

use std::fmt;

use crate::pve::Size;
use crate::pve::types::Upid;
use crate::say::failure::{Facts, Failure, Kind, Started};
use crate::say::shell::word;
use crate::say::vm::{Existing, Vm};

/// What is certain about the VM, or the task, that a run works on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The server was asked for no VM.
    NothingStarted,
    /// Another run on this host works on this VM name; its process id, as far as known.
    BehindAnotherRun(Option<u32>),
    /// Nothing was started; this VM, which may be the wanted one, is being inspected.
    Inspecting(Vm),
    /// The server was asked to clone, and has not said what became of it.
    Undecided(Vm),
    /// The clone's task is running.
    Cloning(Vm, Upid),
    /// The VM exists, and nothing is left to do.
    Done(Existing),
    /// The VM exists, and this step is being taken.
    SettingUp(Unfinished),
    /// A task of any kind is waited for.
    Waiting(Upid),
    /// That task has ended.
    Ended(Upid),
}

/// A VM that exists, and the step that is being taken for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfinished {
    /// The VM.
    pub existing: Existing,
    /// What is being done.
    pub step: Step,
    /// The task that does it.
    pub task: StepTask,
}

/// The task of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StepTask {
    /// None was begun.
    None,
    /// It is running, or may be.
    Running(Upid),
    /// It has ended; whether the step took effect is not known yet.
    Ended(Upid),
}

/// What is done for a VM that exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Its options are changed.
    Configure,
    /// This disk is enlarged to this size.
    Enlarge(String, Size),
    /// It is started, and waited for until it runs.
    Start,
    /// Its address is waited for.
    Address,
}

impl Step {
    /// What is the case while it is being taken.
    pub fn ongoing(&self) -> String {
        match self {
            Step::Configure => "it is still being configured".to_owned(),
            Step::Enlarge(disk, size) => {
                format!("its disk {disk} is still being enlarged to {size}")
            }
            Step::Start => "it is still being started".to_owned(),
            Step::Address => "its address is not known yet".to_owned(),
        }
    }

    /// What is the case if it is not known whether it took effect.
    pub fn unknown(&self) -> String {
        match self {
            Step::Configure => "it may or may not have been configured".to_owned(),
            Step::Enlarge(disk, size) => {
                format!("its disk {disk} may or may not have been enlarged to {size}")
            }
            Step::Start => "it may or may not have been started".to_owned(),
            Step::Address => self.ongoing(),
        }
    }

    /// What is the case if it has failed.
    pub fn failed(&self) -> String {
        match self {
            Step::Configure => "it was not configured".to_owned(),
            Step::Enlarge(disk, size) => format!("its disk {disk} was not enlarged to {size}"),
            Step::Start => "it was not started".to_owned(),
            Step::Address => "its address could not be found out".to_owned(),
        }
    }

    /// What to do where it takes too long, if that is more than to resume.
    pub fn hint_if_slow(&self) -> Option<String> {
        matches!(self, Step::Address).then(|| {
            format!(
                "the guest must have qemu-guest-agent installed and running, and an address; {RESUME}, \
                 with a longer --timeout if it starts slowly"
            )
        })
    }
}

impl Unfinished {
    /// What failed runs report to scripts about it.
    pub fn facts(&self) -> Facts {
        let facts = self.existing.facts();
        match &self.task {
            StepTask::None => facts,
            StepTask::Running(upid) | StepTask::Ended(upid) => Facts {
                upid: Some(upid.clone()),
                ..facts
            },
        }
    }

    /// How to continue.
    pub fn hint(&self) -> String {
        match &self.task {
            StepTask::Running(upid) => resume_or_wait(upid),
            StepTask::None | StepTask::Ended(_) => RESUME.to_owned(),
        }
    }
}

/// `VM 101 'web-1' was created on node 'pve1', but it is still being started`
impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.task {
            StepTask::None | StepTask::Running(_) => self.step.ongoing(),
            StepTask::Ended(_) => self.step.unknown(),
        };
        write!(f, "{}, but {state}", self.existing)
    }
}

/// `the clone to VM 101 'web-1' on node 'pve1' is still running`
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::NothingStarted => f.write_str("nothing was started"),
            Stage::BehindAnotherRun(process) => write!(
                f,
                "this run has started nothing; {} is making the VM",
                process_name(*process)
            ),
            Stage::Inspecting(vm) => {
                write!(f, "this run has started nothing; it was looking at {vm}")
            }
            Stage::Undecided(vm) => write!(f, "{vm} may or may not be in the making"),
            Stage::Cloning(vm, _) => write!(f, "the clone to {vm} is still running"),
            Stage::Done(Existing {
                vm, created: true, ..
            }) => write!(f, "{vm} was created"),
            Stage::Done(Existing { vm, .. }) => write!(f, "{vm} already exists"),
            Stage::SettingUp(unfinished) => unfinished.fmt(f),
            Stage::Waiting(upid) => {
                write!(f, "the task on node '{}' may still be running", upid.node())
            }
            Stage::Ended(upid) => write!(f, "the task on node '{}' has ended", upid.node()),
        }
    }
}

impl Stage {
    /// What is certain when the last look has failed for this reason, if it has.
    pub fn as_last_seen(&self, unseen: Option<&impl fmt::Display>) -> String {
        let words = self.to_string();
        match unseen {
            None => words,
            Some(why) => {
                let words = words.replace("is still running", "may still be running");
                format!("{words}; the last look failed: {why}")
            }
        }
    }

    /// The failure when a signal ends the run at this stage.
    pub fn interrupted(&self) -> Failure {
        let failure = |message| {
            Failure::new(Kind::Interrupted, message)
                .with_hint(self.hint())
                .about(self.facts())
        };
        match self {
            Stage::Done(_) | Stage::SettingUp(_) => {
                failure(format!("{self}: interrupted")).of_existing_vm()
            }
            _ => failure(format!("interrupted; {self}")),
        }
    }

    /// How to continue when a run ends here.
    pub fn hint(&self) -> String {
        match self {
            Stage::NothingStarted => "there is nothing to clean up; run it again".to_owned(),
            Stage::BehindAnotherRun(_) | Stage::Inspecting(_) | Stage::Undecided(_) => {
                RESUME.to_owned()
            }
            Stage::SettingUp(unfinished) => unfinished.hint(),
            Stage::Cloning(_, upid) => resume_or_wait(upid),
            Stage::Waiting(upid) => {
                let upid = word(upid.as_str());
                format!("to go on waiting: homelab proxmox task wait {upid}")
            }
            Stage::Ended(upid) => {
                let upid = word(upid.as_str());
                format!("to see how it ended: homelab proxmox task wait {upid}")
            }
            Stage::Done(_) => "nothing is left to do".to_owned(),
        }
    }

    /// What failed runs report to scripts about it.
    pub fn facts(&self) -> Facts {
        match self {
            Stage::NothingStarted => Facts::default(),
            Stage::BehindAnotherRun(_) => Facts {
                started: Started::Unknown,
                ..Facts::default()
            },
            Stage::Inspecting(vm) => vm.facts(Started::No),
            Stage::Undecided(vm) => vm.facts(Started::Unknown),
            Stage::Cloning(vm, upid) => Facts {
                upid: Some(upid.clone()),
                ..vm.facts(Started::Yes)
            },
            Stage::Done(existing) => existing.facts(),
            Stage::SettingUp(unfinished) => unfinished.facts(),
            Stage::Waiting(upid) | Stage::Ended(upid) => Facts {
                vmid: None,
                node: Some(upid.node()),
                upid: Some(upid.clone()),
                started: Started::Unknown,
            },
        }
    }
}

/// How a run on this host is called: by its process id, if that is known.
pub fn process_name(process: Option<u32>) -> String {
    match process {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}

/// What the same command does when it is run again.
pub const RESUME: &str = "the same command with --ensure goes on with it";

/// How to continue while a task is running.
pub fn resume_or_wait(task: &Upid) -> String {
    let upid = word(task.as_str());
    format!("{RESUME}; to wait only: homelab proxmox task wait {upid}")
}

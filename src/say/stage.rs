//! What is certain about a VM at each moment of a run, and how to continue if the run ends there.

use std::fmt;

use crate::pve::Size;
use crate::pve::types::Upid;
use crate::say::failure::{Facts, Failure, Kind, Started};
use crate::say::shell::word;
use crate::say::vm::{Existing, RESUME, Vm};

/// What is certain about the VM or the task of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// No VM was requested.
    NothingStarted,
    /// Another run on this host has locked the VM's name; its process id, if known.
    WaitingForRun(Option<u32>),
    /// Nothing was started. This VM, which may be the requested one, is being inspected.
    Inspecting(Vm),
    /// The download of its image to this file on a storage was requested. Without a task, the outcome is unknown.
    Downloading(String, Option<Upid>),
    /// Its image is on its storage, as this file, and nothing else was requested.
    Downloaded(String),
    /// It was requested, and the outcome is unknown.
    Undecided(Vm),
    /// The task that creates it is running.
    Creating(Vm, Upid),
    /// The VM exists, and nothing is left to do.
    Done(Existing),
    /// The VM exists, and this step is being carried out.
    SettingUp(Unfinished),
    /// A command is changing several VMs, and each is at its own stage.
    Several(Vec<Stage>),
    /// A task is to be cancelled, and this run has or has not requested it.
    Cancelling {
        /// The task.
        upid: Upid,
        /// Whether it was requested.
        is_requested: bool,
    },
    /// A run is waiting for a task of any kind.
    Waiting(Upid),
    /// That task has ended.
    Ended(Upid),
}

/// A VM that exists, and the step that is being carried out on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfinished {
    /// The VM.
    pub existing: Existing,
    /// The step.
    pub step: Step,
    /// The step's task.
    pub task: StepTask,
}

/// The task of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StepTask {
    /// Nothing was requested.
    None,
    /// A change was requested, and no answer was received yet.
    Requested,
    /// It is running, or may be running.
    Running(Upid),
    /// It has ended. Whether the step took effect is not known yet.
    Ended(Upid),
    /// The step is done.
    Done,
}

/// A step on a VM that exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Change its options.
    Configure,
    /// Convert it to a template.
    Convert,
    /// Resize this disk to this size.
    Resize(String, Size),
    /// Start it, and wait until it runs.
    Start,
    /// Wait for its address.
    Address,
    /// Ask its guest to shut down.
    ShutDown,
    /// Power it off.
    Stop,
    /// Restart it.
    Reboot,
    /// Delete it with its disks.
    Delete,
}

impl Step {
    /// The state while the step is being carried out.
    pub fn ongoing(&self) -> String {
        self.sentence("it", "is still being")
    }

    /// The state if it is unknown whether the step took effect.
    pub fn unknown(&self) -> String {
        self.sentence("it", "may or may not have been")
    }

    /// The state if the step has failed.
    pub fn failed(&self) -> String {
        match self {
            Step::Address => "its address is unknown".to_owned(),
            _ => self.sentence("it", "was not"),
        }
    }

    /// What the step does: `delete`, for `Failed to delete VM …`.
    pub fn infinitive(&self) -> &'static str {
        match self {
            Step::Configure => "configure",
            Step::Convert => "convert",
            Step::Resize(..) => "grow a disk of",
            Step::Start => "start",
            Step::Address => "get the address of",
            Step::ShutDown => "shut down",
            Step::Stop => "power off",
            Step::Reboot => "reboot",
            Step::Delete => "delete",
        }
    }

    fn sentence(&self, subject: &str, verb: &str) -> String {
        let done = match self {
            Step::Configure => "configured",
            Step::Convert => "converted to a template",
            Step::Resize(disk, size) => {
                return format!("its disk {disk} {verb} grown to {size}");
            }
            Step::Start => "started",
            Step::Address if subject == "it" => return "its address is not known yet".to_owned(),
            Step::Address => {
                return format!("{subject} is running, and its address is not known yet");
            }
            Step::ShutDown => "shut down",
            Step::Stop => "powered off",
            Step::Reboot => "rebooted",
            Step::Delete => "deleted",
        };
        format!("{subject} {verb} {done}")
    }
}

impl Unfinished {
    /// What a failed run reports to scripts about it.
    pub fn facts(&self) -> Facts {
        let mut facts = self.existing.facts();
        if self.existing.named_by.is_some() {
            facts.started = match self.task {
                StepTask::None if self.existing.was_changed => Started::Yes,
                StepTask::None => Started::No,
                StepTask::Requested => Started::Unknown,
                StepTask::Running(_) | StepTask::Ended(_) | StepTask::Done => Started::Yes,
            };
        }
        match &self.task {
            StepTask::None | StepTask::Requested | StepTask::Done => facts,
            StepTask::Running(upid) | StepTask::Ended(upid) => facts.of_task(upid),
        }
    }

    /// How to continue.
    pub fn hint(&self) -> String {
        match &self.task {
            StepTask::Running(upid) => resume_or_wait(self.resume(), upid),
            StepTask::Done => NOTHING_LEFT.to_owned(),
            StepTask::None | StepTask::Requested | StepTask::Ended(_) => self.resume().to_owned(),
        }
    }

    /// How to continue if it is not known whether the step took effect.
    fn resume(&self) -> &'static str {
        match (&self.step, &self.task) {
            (Step::Delete, StepTask::Requested | StepTask::Running(_) | StepTask::Ended(_)) => {
                "run the same command again, with --if-exists"
            }
            _ => self.existing.resume(),
        }
    }
}

/// `VM 101 'web-1' was created on node 'pve1', but it is still being started`, or, for a VM that the user
/// named, `VM 101 'web-1' on node 'pve1' is still being started`.
impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.existing.named_by.is_some() {
            if self.task == StepTask::Done && !self.existing.was_changed {
                return write!(f, "{} needed no change", self.existing.vm);
            }
            let verb = match self.task {
                StepTask::None => "was not",
                StepTask::Requested | StepTask::Ended(_) => "may or may not have been",
                StepTask::Running(_) => "is still being",
                StepTask::Done => "was",
            };
            let subject = self.existing.vm.to_string();
            return f.write_str(&self.step.sentence(&subject, verb));
        }
        let state = match self.task {
            StepTask::None | StepTask::Requested | StepTask::Running(_) => self.step.ongoing(),
            StepTask::Ended(_) | StepTask::Done => self.step.unknown(),
        };
        write!(f, "{}, but {state}", self.existing)
    }
}

/// `the clone to VM 101 'web-1' on node 'pve1' is still running`
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::NothingStarted => f.write_str("nothing was started"),
            Stage::WaitingForRun(process) => write!(
                f,
                "this run has started nothing; {} is creating the VM",
                process_name(*process)
            ),
            Stage::Inspecting(vm) => {
                write!(f, "this run has started nothing; it was checking {vm}")
            }
            Stage::Undecided(vm) => write!(f, "{vm} may or may not be being created"),
            Stage::Downloading(file, task) => {
                let is_running = match task {
                    Some(_) => "is still running",
                    None => "may or may not be running",
                };
                write!(
                    f,
                    "the download of '{file}' {is_running}, and nothing was created"
                )
            }
            Stage::Downloaded(file) => write!(
                f,
                "image '{file}' is on its storage, and nothing was created"
            ),
            Stage::Creating(vm, task) => {
                write!(f, "the {} to {vm} is still running", creation(task))
            }
            Stage::Done(done) => {
                let exists = if done.created {
                    "was created"
                } else {
                    "already exists"
                };
                write!(f, "{} on node '{}' {exists}", done.label(), done.vm.node)
            }
            Stage::SettingUp(unfinished) => unfinished.fmt(f),
            Stage::Several(stages) => f.write_str(&summary(stages)),
            Stage::Cancelling { is_requested, .. } => f.write_str(if *is_requested {
                "the task may or may not have been cancelled"
            } else {
                "the task was not cancelled"
            }),
            Stage::Waiting(upid) => {
                write!(f, "the task on node '{}' may still be running", upid.node())
            }
            Stage::Ended(upid) => write!(f, "the task on node '{}' has ended", upid.node()),
        }
    }
}

impl Stage {
    /// What is certain if the last poll failed with this error.
    pub fn after_last_poll(&self, error: Option<&impl fmt::Display>) -> String {
        let state = self.to_string();
        let Some(error) = error else { return state };
        let state = state.replace("is still running", "may still be running");
        format!("{state}; the last poll failed: {error}")
    }

    /// The failure if a signal ends the run at this stage.
    pub fn interrupted(&self) -> Failure {
        let (message, vm_exists) = match self {
            Stage::SettingUp(unfinished) if unfinished.existing.named_by.is_some() => {
                (format!("interrupted; {self}"), true)
            }
            Stage::Done(_) | Stage::SettingUp(_) => (format!("{self}: interrupted"), true),
            Stage::Several(_) => (format!("interrupted; {self}"), true),
            _ => (format!("interrupted; {self}"), false),
        };
        Failure {
            hint: Some(self.hint()),
            facts: self.facts(),
            vm_exists,
            ..Failure::new(Kind::Interrupted, message)
        }
    }

    /// How to continue when a run ends here.
    pub fn hint(&self) -> String {
        match self {
            Stage::NothingStarted => "nothing to clean up; run the command again".to_owned(),
            Stage::WaitingForRun(_)
            | Stage::Inspecting(_)
            | Stage::Undecided(_)
            | Stage::Downloading(_, None)
            | Stage::Downloaded(_) => RESUME.to_owned(),
            Stage::SettingUp(unfinished) => unfinished.hint(),
            Stage::Downloading(_, Some(upid)) => {
                format!("{RESUME}; {}", how_to_cancel("download", upid))
            }
            Stage::Creating(_, upid) => {
                let cancel = how_to_cancel(creation(upid), upid);
                format!("{}; {cancel}", resume_or_wait(RESUME, upid))
            }
            Stage::Several(_) | Stage::Cancelling { .. } => "run the same command again".to_owned(),
            Stage::Waiting(upid) => format!("to continue waiting: {}", task_wait(upid)),
            Stage::Ended(upid) => format!("to see how it ended: {}", task_wait(upid)),
            Stage::Done(_) => NOTHING_LEFT.to_owned(),
        }
    }

    /// What a failed run reports to scripts about it.
    pub fn facts(&self) -> Facts {
        match self {
            Stage::NothingStarted | Stage::Downloaded(_) => Facts::default(),
            Stage::WaitingForRun(_) | Stage::Downloading(_, None) => Facts {
                started: Started::Unknown,
                ..Facts::default()
            },
            Stage::Inspecting(vm) => vm.facts(Started::No),
            Stage::Undecided(vm) => vm.facts(Started::Unknown),
            Stage::Downloading(_, Some(upid)) => Facts {
                vmid: None,
                node: Some(upid.node()),
                upid: Some(upid.clone()),
                started: Started::Yes,
            },
            Stage::Creating(vm, upid) => vm.facts(Started::Yes).of_task(upid),
            Stage::Done(existing) => existing.facts(),
            Stage::SettingUp(unfinished) => unfinished.facts(),
            Stage::Several(stages) => {
                let started = stages.iter().map(|stage| stage.facts().started);
                Facts {
                    started: started.max().unwrap_or_default(),
                    ..Facts::default()
                }
            }
            Stage::Cancelling { upid, is_requested } => Facts {
                vmid: None,
                node: Some(upid.node()),
                upid: Some(upid.clone()),
                started: if *is_requested {
                    Started::Unknown
                } else {
                    Started::No
                },
            },
            Stage::Waiting(upid) | Stage::Ended(upid) => Facts {
                vmid: None,
                node: Some(upid.node()),
                upid: Some(upid.clone()),
                started: Started::Unknown,
            },
        }
    }
}

/// The name of another run on this host: its process id, if that is known.
pub fn process_name(process: Option<u32>) -> String {
    match process {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}

const NOTHING_LEFT: &str = "nothing is left to do";

/// `VM 101 'web-1' on node 'pve1' was deleted; VM 102 'web-2' on node 'pve1' is still being deleted; nothing was
/// started for 1 VM`
fn summary(stages: &[Stage]) -> String {
    let is_begun = |stage: &&Stage| match stage {
        Stage::SettingUp(it) => it.task != StepTask::None || it.existing.was_changed,
        _ => false,
    };
    let mut parts: Vec<String> = stages
        .iter()
        .filter(is_begun)
        .map(Stage::to_string)
        .collect();
    match stages.len() - parts.len() {
        0 => {}
        1 => parts.push("nothing was started for 1 VM".to_owned()),
        others => parts.push(format!("nothing was started for {others} VMs")),
    }
    parts.join("; ")
}

/// How to continue while a task is running.
fn resume_or_wait(resume: &str, task: &Upid) -> String {
    format!("{resume}; to wait only: {}", task_wait(task))
}

/// What the task that creates a VM does.
pub fn creation(task: &Upid) -> &'static str {
    match task.kind() {
        "qmcreate" => "import",
        _ => "clone",
    }
}

/// How to cancel a running task, which is called `what`.
fn how_to_cancel(what: &str, task: &Upid) -> String {
    let upid = word(task.as_str());
    format!("to cancel the {what}: homelab proxmox task cancel {upid}")
}

/// The command that waits for a task.
pub fn task_wait(task: &Upid) -> String {
    format!("homelab proxmox task wait {}", word(task.as_str()))
}

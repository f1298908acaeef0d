//! What is certain about a VM at each moment of a run, and how to continue if the run ends there.

use std::fmt;

use crate::pve::Size;
use crate::pve::types::Upid;
use crate::say::failure::{Facts, Failure, Kind, Started};
use crate::say::shell::word;
use crate::say::vm::{Existing, Vm};

/// What is certain about the VM or the task of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// No VM was requested.
    NothingStarted,
    /// Another run on this host has locked the VM's name; its process id, if known.
    WaitingForRun(Option<u32>),
    /// Nothing was started. This VM, which may be the requested one, is being inspected.
    Inspecting(Vm),
    /// A clone was requested, and the outcome is unknown.
    Undecided(Vm),
    /// The clone's task is running.
    Cloning(Vm, Upid),
    /// The VM exists, and nothing is left to do.
    Done(Existing),
    /// The VM exists, and this step is being carried out.
    SettingUp(Unfinished),
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
    /// No task was started.
    None,
    /// It is running, or may be running.
    Running(Upid),
    /// It has ended. Whether the step took effect is not known yet.
    Ended(Upid),
}

/// A step that sets up a VM that exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Change its options.
    Configure,
    /// Resize this disk to this size.
    Resize(String, Size),
    /// Start it, and wait until it runs.
    Start,
    /// Wait for its address.
    Address,
}

impl Step {
    /// The state while the step is being carried out.
    pub fn ongoing(&self) -> String {
        self.sentence("is still being")
    }

    /// The state if it is unknown whether the step took effect.
    pub fn unknown(&self) -> String {
        self.sentence("may or may not have been")
    }

    /// The state if the step has failed.
    pub fn failed(&self) -> String {
        match self {
            Step::Address => "its address is unknown".to_owned(),
            _ => self.sentence("was not"),
        }
    }

    fn sentence(&self, verb: &str) -> String {
        match self {
            Step::Configure => format!("it {verb} configured"),
            Step::Resize(disk, size) => format!("its disk {disk} {verb} grown to {size}"),
            Step::Start => format!("it {verb} started"),
            Step::Address => "its address is not known yet".to_owned(),
        }
    }
}

impl Unfinished {
    /// What a failed run reports to scripts about it.
    pub fn facts(&self) -> Facts {
        let facts = self.existing.facts();
        match &self.task {
            StepTask::None => facts,
            StepTask::Running(upid) | StepTask::Ended(upid) => facts.of_task(upid),
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
            Stage::WaitingForRun(process) => write!(
                f,
                "this run has started nothing; {} is creating the VM",
                process_name(*process)
            ),
            Stage::Inspecting(vm) => {
                write!(f, "this run has started nothing; it was checking {vm}")
            }
            Stage::Undecided(vm) => write!(f, "{vm} may or may not be being created"),
            Stage::Cloning(vm, _) => write!(f, "the clone to {vm} is still running"),
            Stage::Done(done) if done.created => write!(f, "{} was created", done.vm),
            Stage::Done(done) => write!(f, "{} already exists", done.vm),
            Stage::SettingUp(unfinished) => unfinished.fmt(f),
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
            Stage::Done(_) | Stage::SettingUp(_) => (format!("{self}: interrupted"), true),
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
            Stage::WaitingForRun(_) | Stage::Inspecting(_) | Stage::Undecided(_) => {
                RESUME.to_owned()
            }
            Stage::SettingUp(unfinished) => unfinished.hint(),
            Stage::Cloning(_, upid) => format!("{}; {}", resume_or_wait(upid), how_to_cancel(upid)),
            Stage::Waiting(upid) => format!("to continue waiting: {}", task_wait(upid)),
            Stage::Ended(upid) => format!("to see how it ended: {}", task_wait(upid)),
            Stage::Done(_) => "nothing is left to do".to_owned(),
        }
    }

    /// What a failed run reports to scripts about it.
    pub fn facts(&self) -> Facts {
        match self {
            Stage::NothingStarted => Facts::default(),
            Stage::WaitingForRun(_) => Facts {
                started: Started::Unknown,
                ..Facts::default()
            },
            Stage::Inspecting(vm) => vm.facts(Started::No),
            Stage::Undecided(vm) => vm.facts(Started::Unknown),
            Stage::Cloning(vm, upid) => vm.facts(Started::Yes).of_task(upid),
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

/// The name of another run on this host: its process id, if that is known.
pub fn process_name(process: Option<u32>) -> String {
    match process {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}

/// How to resume.
pub const RESUME: &str = "run the same command with --ensure to resume";

/// How to continue while a task is running.
fn resume_or_wait(task: &Upid) -> String {
    format!("{RESUME}; to wait only: {}", task_wait(task))
}

/// How to cancel a running clone.
fn how_to_cancel(task: &Upid) -> String {
    let node = task.node();
    let path = format!("/nodes/{node}/tasks/{}", task.as_str());
    format!(
        "to cancel the clone: 'Stop' in the web interface's task list, or, as root on node '{node}': \
         pvesh delete {}",
        word(&path)
    )
}

fn task_wait(task: &Upid) -> String {
    format!("homelab proxmox task wait {}", word(task.as_str()))
}

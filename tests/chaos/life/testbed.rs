//! A fake server, a state directory, and what runs of one command have done and said.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::verbs::{CLONE, Goal, Verb};
use crate::chaos::report::Failure;
use crate::fake_pve::{Deed, Did, FakePve, Fault, Guest, Setup, Stamp, TOKEN};
use crate::homelab::{Homelab, Running, Seen, StateDir};

pub(super) const VMID: u32 = 101;
/// The VM that the user means.
pub(super) const VM: Stamp = (VMID, 0);

pub(super) struct Testbed {
    pub(super) fake: FakePve,
    pub(super) state: StateDir,
    goal: Goal,
    /// When the VM was last started, before the runs.
    started: Option<usize>,
    outputs: Mutex<Vec<String>>,
}

impl Testbed {
    pub(super) fn new(
        verb: &Verb,
        more: &Value,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Testbed {
        let setup: Result<Setup, _> = serde_json::from_value(verb.setup(more));
        let mut setup = setup.expect("a setup");
        setup.faults.extend(faults);
        let fake = FakePve::start(setup);
        if verb.goal == Goal::TaskEnded {
            let clone = "POST /nodes/pve1/qemu/9000/clone newid=150&name=web-2";
            let (status, data) = fake.cluster().ask_as(TOKEN, clone);
            assert_eq!((status, data), (200, json!(CLONE)));
        }
        let started = fake.cluster().guests[&VMID].runs_since();
        Testbed {
            fake,
            state: StateDir::new(),
            goal: verb.goal,
            started,
            outputs: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn start(&self, line: &str) -> Running {
        let homelab = Homelab::at(&self.fake).in_state(&self.state);
        homelab.start(&with_options(line))
    }

    pub(super) fn run(&self, line: &str) -> Seen {
        let seen = self.start(line).wait();
        self.remember(line, &seen);
        seen
    }

    pub(super) fn remember(&self, line: &str, seen: &Seen) {
        let entry = seen.as_entry(line);
        self.outputs.lock().expect("no panic").push(entry);
    }

    /// Everything ends, even what a daemon has kept.
    pub(super) fn finish_all(&self) {
        // The start after a reboot is a task, too.
        self.fake.finish_all();
        self.fake.finish_all();
    }

    /// What happened to VMs because of our requests.
    pub(super) fn deeds(&self) -> Vec<Deed> {
        self.fake.cluster().deeds_of(TOKEN)
    }

    /// The VM, if it exists.
    pub(super) fn vm(&self) -> Option<Guest> {
        let cluster = self.fake.cluster();
        let guest = cluster.guests.get(&VMID);
        guest.filter(|guest| guest.stamp() == VM).cloned()
    }

    /// Whether the VM or the task is in the requested state.
    pub(super) fn has_reached_goal(&self) -> bool {
        let vm = self.vm();
        let runs_since = vm.as_ref().and_then(Guest::runs_since);
        match self.goal {
            Goal::Deleted => vm.is_none(),
            Goal::Running => runs_since.is_some(),
            Goal::Off => vm.is_some() && runs_since.is_none(),
            Goal::Restarted => runs_since.is_some() && runs_since != self.started,
            Goal::TaskEnded => {
                let status = format!("GET /nodes/pve1/tasks/{CLONE}/status");
                self.fake.cluster().ask_as(TOKEN, &status).1["status"] == "stopped"
            }
        }
    }

    /// Whether the VM was started or stopped as requested, before others have replaced it or powered it off.
    fn has_done_it(&self) -> bool {
        let is_gone = self.vm().is_none();
        let cluster = self.fake.cluster();
        let has = |did: Did| cluster.deeds.iter().any(|deed| deed.did == did);
        match self.goal {
            Goal::Running => is_gone && has(Did::Start),
            Goal::Off => is_gone && has(Did::Stop),
            // It was running at first: this start ends the reboot.
            Goal::Restarted => has(Did::Start),
            Goal::Deleted | Goal::TaskEnded => false,
        }
    }

    /// Whether the run has succeeded. An error if what it reports is not so.
    pub(super) fn judge(&self, seen: &Seen) -> Result<bool, String> {
        let document: Value = serde_json::from_str(&seen.stdout)
            .map_err(|error| format!("exit {:?}, not one document: {error}", seen.exit))?;
        match (seen.exit, document.get("error")) {
            (Some(0), None) => self.judge_success(&document).map(|()| true),
            (Some(1 | 130 | 143), Some(error)) => {
                let failure = serde_json::from_value(error.clone());
                let failure = failure.map_err(|error| error.to_string())?;
                self.judge_failure(&failure).map(|()| false)
            }
            (exit, _) => Err(format!("exit {exit:?} with {document}")),
        }
    }

    fn judge_success(&self, document: &Value) -> Result<(), String> {
        if !self.has_reached_goal() && !self.has_done_it() {
            return Err(format!("success, but not {:?}", self.goal));
        }
        let is = |field: &str| document[field] == true;
        if is("deleted") && !self.has_requested("DELETE /nodes/pve") {
            return Err("reported as deleted, and never requested".to_owned());
        }
        if self.goal == Goal::TaskEnded {
            let exists = self.fake.cluster().guests.contains_key(&150);
            let is_ok = document["exitstatus"] == "OK";
            if is("vm_exists") != exists || (is("cancelled") && is_ok) {
                return Err(format!("VM 150 exists: {exists}, and reported: {document}"));
            }
        }
        Ok(())
    }

    fn judge_failure(&self, failure: &Failure) -> Result<(), String> {
        let says = |words: &str| failure.message.contains(words);
        let deeds = self.deeds();
        let is_deleted = self.vm().is_none();
        let is_denied = says(" was not deleted") || says("still exists") || says("it is running");
        let is_false = (is_deleted && self.goal == Goal::Deleted && is_denied)
            || (!is_deleted && says(" was deleted"))
            || ((failure.started == "no" || says("nothing was ")) && !deeds.is_empty());
        if is_false || failure.kind.is_empty() {
            return Err(format!("after {deeds:?}, reported: {failure:?}"));
        }
        let is_clear = [
            " may or may not ",
            " is still being ",
            " was not deleted",
            "still exists",
            " was deleted",
            " was renamed ",
        ];
        let is_clear = is_clear.into_iter().any(says);
        if self.goal == Goal::Deleted && failure.started != "no" && !is_clear {
            return Err(format!("does the VM still exist? {failure:?}"));
        }
        Ok(())
    }

    /// Nobody else's VM was touched, and our own only as requested: it is destroyed at most once and with its
    /// disks, and never stopped by a start.
    pub(super) fn expect_no_other_deeds(&self) -> Result<(), String> {
        let deeds = self.deeds();
        let is_permitted = |deed: &Deed| {
            let did = match self.goal {
                Goal::Deleted => matches!(deed.did, Did::Destroy(_) | Did::Stop),
                Goal::Running => matches!(deed.did, Did::Start),
                Goal::Off => matches!(deed.did, Did::Stop),
                Goal::Restarted => matches!(deed.did, Did::Stop | Did::Start),
                Goal::TaskEnded => false,
            };
            deed.vm == VM && did
        };
        if deeds.iter().all(is_permitted) {
            Ok(())
        } else {
            Err(format!("this was done: {deeds:?}"))
        }
    }

    fn has_requested(&self, start: &str) -> bool {
        let journal = self.fake.journal();
        journal.iter().any(|line| line.starts_with(start))
    }

    /// Everything needed to understand a failure.
    pub(super) fn details(&self) -> String {
        let outputs = self.outputs.lock().expect("no panic").join("");
        let journal = self.fake.journal().join("\n  ");
        let deeds = self.fake.cluster().deeds.clone();
        format!("{outputs}journal:\n  {journal}\ndeeds: {deeds:?}")
    }
}

/// With short pauses, and limits longer than anything takes, even on a busy machine.
fn with_options(line: &str) -> String {
    let mut line = format!("proxmox {line}");
    for (option, value) in [
        ("--json", ""),
        ("--poll-interval", " 0.01"),
        ("--timeout", " 20"),
        ("--request-timeout", " 10"),
    ] {
        if !line.split(' ').any(|argument| argument == option) {
            line = format!("{line} {option}{value}");
        }
    }
    line
}

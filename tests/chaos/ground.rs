//! A fake and a state directory, and runs that make the VM `web-1` there.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use super::report::{Failure, Ready, Said, read};
use crate::fake_pve::{FakePve, Fault, Setup, TOKEN};
use crate::homelab::{Homelab, Running, Seen, StateDir};

pub(super) const NAME: &str = "web-1";
pub(super) const TEMPLATE: &str = "debian-12";

pub(super) struct Ground {
    pub(super) fake: FakePve,
    pub(super) state: StateDir,
    token: String,
    /// What each run printed, for the case that one goes wrong.
    diary: Mutex<Vec<String>>,
}

impl Ground {
    pub(super) fn new(setup: Value, faults: impl IntoIterator<Item = Fault>) -> Ground {
        let mut setup: Setup = serde_json::from_value(setup).expect("a setup");
        setup.faults.extend(faults);
        let token = setup.tokens.keys().next();
        let token = token.map_or(TOKEN, String::as_str).to_owned();
        Ground {
            fake: FakePve::start(setup),
            state: StateDir::new(),
            token,
            diary: Mutex::new(Vec::new()),
        }
    }

    fn homelab(&self) -> Homelab {
        let homelab = Homelab::at(&self.fake).in_state(&self.state);
        homelab.with_rights_of(&self.token)
    }

    pub(super) fn start(&self, words: &str) -> Running {
        self.homelab().start(&create(TEMPLATE, words))
    }

    /// Dies in the write that makes its claim longer than that.
    pub(super) fn run_limited(&self, bytes: u64) -> Seen {
        let seen = self.homelab().with_files_up_to(bytes);
        let seen = seen.run(&create(TEMPLATE, ""));
        self.remember("dies when it has written enough", &seen);
        seen
    }

    /// Cannot make its claim longer than that.
    pub(super) fn start_on_full_disk(&self, bytes: u64, words: &str) -> Running {
        let homelab = self.homelab().with_a_disk_of(bytes);
        homelab.start(&create(TEMPLATE, words))
    }

    pub(super) fn run(&self, words: &str) -> Seen {
        self.run_from(TEMPLATE, words)
    }

    pub(super) fn run_from(&self, template: &str, words: &str) -> Seen {
        let seen = self.homelab().run(&create(template, words));
        self.remember(words, &seen);
        seen
    }

    pub(super) fn remember(&self, words: &str, seen: &Seen) {
        let entry = format!(
            "run '{words}': exit {:?}\n{}{}",
            seen.exit, seen.stderr, seen.stdout
        );
        self.diary.lock().expect("no panic").push(entry);
    }

    /// Exactly one VM of the name, and this one said to be ready.
    pub(super) fn expect_ready(&self, seen: &Seen) -> Result<Ready, String> {
        let ready = match read(seen)? {
            Said::Ready(ready) => ready,
            Said::Failed { error } => return Err(format!("failed: {error:?}")),
        };
        let vms = self.fake.vms_named(NAME);
        if vms != [ready.vmid] || ready.name != NAME {
            return Err(format!(
                "said that VM {} is ready; there are {vms:?}",
                ready.vmid
            ));
        }
        let cluster = self.fake.cluster();
        let vm = &cluster.guests[&ready.vmid];
        if vm.lock().is_some() || !vm.config.contains_key("scsi0") {
            return Err(format!(
                "VM {} was said to be ready and is half made",
                ready.vmid
            ));
        }
        Ok(ready)
    }

    /// An error that holds nothing back: at most one VM, and if there is one, that it was begun.
    pub(super) fn expect_failure(&self, seen: &Seen) -> Result<Failure, String> {
        let failure = match read(seen)? {
            Said::Ready(ready) => return Err(format!("succeeded with VM {}", ready.vmid)),
            Said::Failed { error } => error,
        };
        let vms = self.fake.vms_named(NAME);
        let is_honest = match vms[..] {
            [] => true,
            [vmid] => failure.started != "no" && failure.vmid == Some(vmid),
            _ => false,
        };
        if !is_honest || failure.kind.is_empty() {
            return Err(format!("there are {vms:?}; said: {failure:?}"));
        }
        Ok(failure)
    }

    /// Whether it is ready.
    pub(super) fn expect_ready_or_failure(&self, seen: &Seen) -> Result<bool, String> {
        if seen.exit == Some(0) {
            self.expect_ready(seen).map(|_| true)
        } else {
            self.expect_failure(seen).map(|_| false)
        }
    }

    /// A run with `--ensure` that may not succeed, but speaks sense and makes no second VM.
    pub(super) fn expect_at_most_one_so_far(&self, words: &str) -> Result<(), String> {
        let seen = self.run(&format!("--ensure {words}"));
        if let Said::Ready(_) = read(&seen)? {
            return self.expect_ready(&seen).map(|_| ());
        }
        match self.fake.vms_named(NAME)[..] {
            [] | [_] => Ok(()),
            ref vms => Err(format!("there are {vms:?}")),
        }
    }

    /// A run with `--ensure` that may not succeed, but names the VM and makes no second one.
    pub(super) fn expect_at_most_one(&self, words: &str) -> Result<(), String> {
        let said = read(&self.run(&format!("--ensure {words}")))?;
        let named = match said {
            Said::Ready(ready) => Some(ready.vmid),
            Said::Failed { error } => error.vmid,
        };
        self.fake.finish_all();
        match self.fake.vms_named(NAME)[..] {
            [] => Ok(()),
            [vmid] if named == Some(vmid) => Ok(()),
            ref vms => Err(format!("named {named:?}; in the end there are {vms:?}")),
        }
    }

    /// A run with `--ensure` succeeds with the only VM, which stays the only one.
    pub(super) fn expect_ensured(&self, words: &str) -> Result<Ready, String> {
        let seen = self.run(&format!("--ensure {words}"));
        let ready = self.expect_ready(&seen)?;
        self.fake.finish_all();
        match self.fake.vms_named(NAME)[..] {
            [vmid] if vmid == ready.vmid => Ok(ready),
            ref vms => Err(format!("in the end there are {vms:?}")),
        }
    }

    /// How many clones were asked for.
    pub(super) fn posts(&self) -> usize {
        let journal = self.fake.journal();
        let posts = journal.iter().filter(|line| line.starts_with("POST"));
        posts.count()
    }

    /// Everything one needs to understand what went wrong.
    pub(super) fn account(&self) -> String {
        format!(
            "{}journal:\n{}claim:\n{}",
            self.diary.lock().expect("no panic").join(""),
            without_repetitions(&self.fake.journal()),
            self.state.claim(NAME),
        )
    }
}

fn without_repetitions(journal: &[String]) -> String {
    let runs = journal.chunk_by(|line, next| line == next);
    let told = runs.map(|run| match run {
        [line] => format!("  {line}\n"),
        run => format!("  {} ({} times)\n", run[0], run.len()),
    });
    told.collect()
}

fn create(template: &str, words: &str) -> String {
    let mut line = format!("proxmox vm create {NAME} {template} --json");
    // Longer than anything takes, on a busy machine too; a test that needs an end names it.
    let options = [
        ("--poll-interval", "0.01"),
        ("--timeout", "20"),
        ("--request-timeout", "10"),
    ];
    for (option, seconds) in options {
        if !words.split(' ').any(|word| word == option) {
            line = format!("{line} {option} {seconds}");
        }
    }
    format!("{line} {words}").trim_end().to_owned()
}

/// Runs spend most of their time waiting for their next look.
const WORKERS: usize = 8;

/// Tries them all, a few at a time, and tells of all that went wrong.
pub(super) fn try_all<C: Sync>(
    what: &str,
    cases: &[C],
    describe: impl Fn(&C) -> String + Sync,
    attempt: impl Fn(&C) -> Result<(), String> + Sync,
) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(why) = attempt(case) {
                        let told = format!("=== {}\n{why}", describe(case));
                        failures.lock().expect("no panic").push(told);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    let mut out = io::stdout();
    writeln!(out, "tried {} {what}", cases.len()).expect("stdout");
    assert!(
        failures.is_empty(),
        "{} of {} went wrong\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n"),
    );
}

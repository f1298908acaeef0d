//! A fake server, a state directory, and runs that create the VM `web-1` there.

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

pub(super) struct Testbed {
    pub(super) fake: FakePve,
    pub(super) state: StateDir,
    token: String,
    /// The output of each run, for the report of a failed test.
    diary: Mutex<Vec<String>>,
}

impl Testbed {
    pub(super) fn new(setup: Value, faults: impl IntoIterator<Item = Fault>) -> Testbed {
        let mut setup: Setup = serde_json::from_value(setup).expect("a setup");
        setup.faults.extend(faults);
        let token = setup.tokens.keys().next();
        let token = token.map_or(TOKEN, String::as_str).to_owned();
        Testbed {
            fake: FakePve::start(setup),
            state: StateDir::new(),
            token,
            diary: Mutex::new(Vec::new()),
        }
    }

    fn homelab(&self) -> Homelab {
        let homelab = Homelab::at(&self.fake).in_state(&self.state);
        homelab.with_token_id(&self.token)
    }

    pub(super) fn start(&self, options: &str) -> Running {
        self.homelab().start(&create(TEMPLATE, options))
    }

    /// A run that dies in the write that makes its ledger longer than that.
    pub(super) fn run_limited(&self, bytes: u64) -> Seen {
        let seen = self.homelab().with_file_size_limit(bytes);
        let seen = seen.run(&create(TEMPLATE, ""));
        self.remember("killed by its file size limit", &seen);
        seen
    }

    /// A run that cannot make its ledger longer than that.
    pub(super) fn start_on_full_disk(&self, bytes: u64, options: &str) -> Running {
        let homelab = self.homelab().with_disk_size(bytes);
        homelab.start(&create(TEMPLATE, options))
    }

    pub(super) fn run(&self, options: &str) -> Seen {
        self.run_from(TEMPLATE, options)
    }

    pub(super) fn run_from(&self, template: &str, options: &str) -> Seen {
        let seen = self.homelab().run(&create(template, options));
        self.remember(options, &seen);
        seen
    }

    pub(super) fn remember(&self, options: &str, seen: &Seen) {
        let entry = format!(
            "run '{options}': exit {:?}\n{}{}",
            seen.exit, seen.stderr, seen.stdout
        );
        self.diary.lock().expect("no panic").push(entry);
    }

    /// Expects exactly one VM of the name, and that the run reports it as ready.
    pub(super) fn expect_ready(&self, seen: &Seen) -> Result<Ready, String> {
        let ready = match read(seen)? {
            Said::Ready(ready) => ready,
            Said::Failed { error } => return Err(format!("failed: {error:?}")),
        };
        let vms = self.fake.vms_named(NAME);
        if vms != [ready.vmid] || ready.name != NAME {
            return Err(format!(
                "reported VM {} as ready; there are {vms:?}",
                ready.vmid
            ));
        }
        let cluster = self.fake.cluster();
        let vm = &cluster.guests[&ready.vmid];
        if vm.lock().is_some() || !vm.config.contains_key("scsi0") {
            return Err(format!(
                "VM {} was reported as ready and is unfinished",
                ready.vmid
            ));
        }
        Ok(ready)
    }

    /// Expects an error and at most one VM; if there is one, the error must report that it was started.
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

    /// Expects one of both. Whether the VM is ready.
    pub(super) fn expect_ready_or_failure(&self, seen: &Seen) -> Result<bool, String> {
        if seen.exit == Some(0) {
            self.expect_ready(seen).map(|_| true)
        } else {
            self.expect_failure(seen).map(|_| false)
        }
    }

    /// A run with `--ensure` that may fail, but must report the truth and create no second VM.
    pub(super) fn expect_at_most_one_so_far(&self, options: &str) -> Result<(), String> {
        let seen = self.run(&format!("--ensure {options}"));
        if let Said::Ready(_) = read(&seen)? {
            return self.expect_ready(&seen).map(|_| ());
        }
        match self.fake.vms_named(NAME)[..] {
            [] | [_] => Ok(()),
            ref vms => Err(format!("there are {vms:?}")),
        }
    }

    /// A run with `--ensure` that may fail, but must report the VM and create no second one.
    pub(super) fn expect_at_most_one(&self, options: &str) -> Result<(), String> {
        let said = read(&self.run(&format!("--ensure {options}")))?;
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

    /// A run with `--ensure` that must succeed with the only VM.
    pub(super) fn expect_ensured(&self, options: &str) -> Result<Ready, String> {
        let seen = self.run(&format!("--ensure {options}"));
        let ready = self.expect_ready(&seen)?;
        self.fake.finish_all();
        match self.fake.vms_named(NAME)[..] {
            [vmid] if vmid == ready.vmid => Ok(ready),
            ref vms => Err(format!("in the end there are {vms:?}")),
        }
    }

    /// The number of requested clones.
    pub(super) fn posts(&self) -> usize {
        let journal = self.fake.journal();
        let posts = journal.iter().filter(|line| line.starts_with("POST"));
        posts.count()
    }

    /// All that is known, for the report of a failed test.
    pub(super) fn account(&self) -> String {
        format!(
            "{}journal:\n{}ledger:\n{}",
            self.diary.lock().expect("no panic").join(""),
            without_repetitions(&self.fake.journal()),
            self.state.record(NAME),
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

fn create(template: &str, options: &str) -> String {
    let mut line = format!("proxmox vm create {NAME} {template} --json");
    // Long enough for a busy machine; a test that needs a shorter limit sets it.
    let defaults = [
        ("--poll-interval", "0.01"),
        ("--timeout", "20"),
        ("--request-timeout", "10"),
    ];
    for (option, seconds) in defaults {
        if !options.split(' ').any(|word| word == option) {
            line = format!("{line} {option} {seconds}");
        }
    }
    format!("{line} {options}").trim_end().to_owned()
}

/// Runs spend most of their time pausing between polls.
const WORKERS: usize = 8;

/// Tries all cases, a few at a time, and reports all failures.
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
                        let report = format!("=== {}\n{why}", describe(case));
                        failures.lock().expect("no panic").push(report);
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
        "{} of {} failed\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n"),
    );
}

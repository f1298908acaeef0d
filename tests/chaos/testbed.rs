//! A fake server and a state directory, and runs that create the VM `web-1` there.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use super::report::{Failure, Ready, Report, read};
use crate::fake_pve::{FakePve, Fault, Setup, TOKEN};
use crate::homelab::{Homelab, Running, Seen, Signal, StateDir};

pub(super) const NAME: &str = "web-1";
pub(super) const TEMPLATE: &str = "debian-12";

pub(super) struct Testbed {
    pub(super) fake: FakePve,
    pub(super) state: StateDir,
    token: String,
    /// The output of each run, printed if the test fails.
    outputs: Mutex<Vec<String>>,
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
            outputs: Mutex::new(Vec::new()),
        }
    }

    fn homelab(&self) -> Homelab {
        let homelab = Homelab::at(&self.fake).in_state(&self.state);
        homelab.with_token_id(&self.token)
    }

    pub(super) fn start(&self, arguments: &str) -> Running {
        self.homelab().start(&create(TEMPLATE, arguments))
    }

    /// Is killed in the write that makes its record longer than this.
    pub(super) fn run_limited(&self, bytes: u64) -> Seen {
        let seen = self.homelab().with_file_size_limit(bytes);
        let seen = seen.run(&create(TEMPLATE, ""));
        self.remember("killed at the file size limit", &seen);
        seen
    }

    /// Cannot make its record longer than this.
    pub(super) fn start_on_full_disk(&self, bytes: u64, arguments: &str) -> Running {
        let homelab = self.homelab().with_disk_size(bytes);
        homelab.start(&create(TEMPLATE, arguments))
    }

    pub(super) fn run(&self, arguments: &str) -> Seen {
        self.run_from(TEMPLATE, arguments)
    }

    pub(super) fn run_from(&self, template: &str, arguments: &str) -> Seen {
        let seen = self.homelab().run(&create(template, arguments));
        self.remember(arguments, &seen);
        seen
    }

    pub(super) fn remember(&self, arguments: &str, seen: &Seen) {
        let entry = seen.as_entry(arguments);
        self.outputs.lock().expect("no panic").push(entry);
    }

    /// Expects exactly one VM with the name, reported as ready.
    pub(super) fn expect_ready(&self, seen: &Seen) -> Result<Ready, String> {
        let ready = match read(seen)? {
            Report::Ready(ready) => ready,
            Report::Failed { error } => return Err(format!("failed: {error:?}")),
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
                "VM {} was reported as ready and is incomplete",
                ready.vmid
            ));
        }
        Ok(ready)
    }

    /// Expects a complete error: at most one VM, and if there is one, the error says that its creation was
    /// started.
    pub(super) fn expect_failure(&self, seen: &Seen) -> Result<Failure, String> {
        let failure = match read(seen)? {
            Report::Ready(ready) => return Err(format!("succeeded with VM {}", ready.vmid)),
            Report::Failed { error } => error,
        };
        let vms = self.fake.vms_named(NAME);
        let is_honest = match vms[..] {
            [] => true,
            [vmid] => failure.started != "no" && failure.vmid == Some(vmid),
            _ => false,
        };
        if !is_honest || failure.kind.is_empty() {
            return Err(format!("there are {vms:?}; reported: {failure:?}"));
        }
        Ok(failure)
    }

    /// Whether it is ready; fails as the two above.
    pub(super) fn expect_ready_or_failure(&self, seen: &Seen) -> Result<bool, String> {
        if seen.exit == Some(0) {
            self.expect_ready(seen).map(|_| true)
        } else {
            self.expect_failure(seen).map(|_| false)
        }
    }

    /// A run with `--ensure` that may fail, but with a usable report, and creates no second VM.
    pub(super) fn expect_at_most_one_so_far(&self, arguments: &str) -> Result<(), String> {
        let seen = self.run(&format!("--ensure {arguments}"));
        if let Report::Ready(_) = read(&seen)? {
            return self.expect_ready(&seen).map(|_| ());
        }
        match self.fake.vms_named(NAME)[..] {
            [] | [_] => Ok(()),
            ref vms => Err(format!("there are {vms:?}")),
        }
    }

    /// A run with `--ensure` that may fail, but names the VM and creates no second one.
    pub(super) fn expect_at_most_one(&self, arguments: &str) -> Result<(), String> {
        let said = read(&self.run(&format!("--ensure {arguments}")))?;
        let named = match said {
            Report::Ready(ready) => Some(ready.vmid),
            Report::Failed { error } => error.vmid,
        };
        self.fake.finish_all();
        match self.fake.vms_named(NAME)[..] {
            [] => Ok(()),
            [vmid] if named == Some(vmid) => Ok(()),
            ref vms => Err(format!("named {named:?}; in the end there are {vms:?}")),
        }
    }

    /// A run with `--ensure` that succeeds with the only VM, which remains the only one.
    pub(super) fn expect_ensured(&self, arguments: &str) -> Result<Ready, String> {
        let seen = self.run(&format!("--ensure {arguments}"));
        let ready = self.expect_ready(&seen)?;
        self.fake.finish_all();
        match self.fake.vms_named(NAME)[..] {
            [vmid] if vmid == ready.vmid => Ok(ready),
            ref vms => Err(format!("in the end there are {vms:?}")),
        }
    }

    /// The number of clone requests.
    pub(super) fn posts(&self) -> usize {
        let journal = self.fake.journal();
        let posts = journal.iter().filter(|line| line.starts_with("POST"));
        posts.count()
    }

    /// Everything needed to understand a failure.
    pub(super) fn details(&self) -> String {
        format!(
            "{}journal:\n{}record:\n{}",
            self.outputs.lock().expect("no panic").join(""),
            without_repetitions(&self.fake.journal()),
            self.state.record(NAME),
        )
    }
}

fn without_repetitions(journal: &[String]) -> String {
    let runs = journal.chunk_by(|line, next| line == next);
    let text = runs.map(|run| match run {
        [line] => format!("  {line}\n"),
        run => format!("  {} ({} times)\n", run[0], run.len()),
    });
    text.collect()
}

fn create(template: &str, arguments: &str) -> String {
    let mut line = format!("proxmox vm create {NAME} {template} --json");
    // Longer than anything takes, even on a busy machine; a test that needs the limit sets it.
    let options = [
        ("--poll-interval", "0.01"),
        ("--timeout", "20"),
        ("--request-timeout", "10"),
    ];
    for (option, seconds) in options {
        if !arguments.split(' ').any(|argument| argument == option) {
            line = format!("{line} {option} {seconds}");
        }
    }
    format!("{line} {arguments}").trim_end().to_owned()
}

/// Runs spend most of their time waiting between polls.
const WORKERS: usize = 8;

/// The signal to send at this request, and the exit code that it leads to.
pub(super) fn signal_at(request: usize) -> (Signal, i32) {
    match request % 2 {
        0 => (Signal::TERM, 143),
        _ => (Signal::INT, 130),
    }
}

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
                        let text = format!("=== {}\n{why}", describe(case));
                        failures.lock().expect("no panic").push(text);
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

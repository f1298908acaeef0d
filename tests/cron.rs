//! The two cron jobs of the README, run every night as cron runs them.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use rstest::{fixture, rstest};
use serde_json::json;

use crate::fake_pve::{FakePve, SECRET, Setup};
use crate::homelab::{Homelab, secrets};
use crate::readme::README;

/// The first night, and how many there are.
const FIRST: &str = "2026-11-16";
const NIGHTS: usize = 14;
/// How many VMs exist after each night.
const COUNTS: [usize; NIGHTS] = [1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7];

/// `date` on the day in `TODAY`.
const DATE: &str = r#"#!/bin/sh
if test "$1" = -d; then exec /bin/date -d "$TODAY 03:00 $2" "$3"; fi
exec /bin/date -d "$TODAY" "$1"
"#;

/// A line of a system crontab.
struct Job {
    hour: u32,
    minute: u32,
    /// What cron passes to the shell.
    command: String,
}

/// The jobs in the README, in the order in which they run.
fn jobs() -> Vec<Job> {
    let (_, section) = README.split_once("\n## A cron job\n").unwrap();
    let (_, block) = section.split_once("```\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    let lines = block.lines().filter(|line| !line.starts_with("PATH="));
    let mut jobs: Vec<Job> = lines.map(Job::read).collect();
    jobs.sort_by_key(|job| (job.hour, job.minute));
    jobs
}

impl Job {
    fn read(line: &str) -> Job {
        let parts: Vec<&str> = line.splitn(3, "  ").collect();
        let [time, "homelab", command] = parts[..] else {
            panic!("not a job of user homelab: {line}");
        };
        let fields: Vec<&str> = time.split(' ').collect();
        let [minute, hour, "*", "*", "*"] = fields[..] else {
            panic!("not a nightly job: {line}");
        };
        // cron ends the command at a '%' without a backslash.
        let command = command.replace(r"\%", "\u{1}");
        assert!(!command.contains('%'), "{line}");
        let command = command.replace('\u{1}', "%");
        Job {
            hour: hour.parse().unwrap(),
            minute: minute.parse().unwrap(),
            // Only the pause between two polls is shortened.
            command: format!("{command} --poll-interval 0.01"),
        }
    }
}

/// The jump host and the cluster.
struct Nights {
    fake: FakePve,
    /// Only its home is used.
    host: Homelab,
}

#[fixture]
fn nights() -> Nights {
    let setup = json!({
        "guests": [
            {"vmid": 100, "name": "router", "status": "running"},
            {"vmid": 9000, "name": "rocky-9", "template": true}
        ]
    });
    let fake = FakePve::start(serde_json::from_value::<Setup>(setup).unwrap());
    let settings = json!({"proxmox": {
        "host": fake.url(), "user": "root@pam", "token_key": "cli", "token_secret": SECRET,
    }});
    let host = Homelab::alone();
    std::fs::create_dir_all(host.home().join(".config/homelab")).unwrap();
    let host = host
        .with_file(".config/homelab/config.json", &settings.to_string())
        .with_file("date", DATE);
    for (file, mode) in [(".config/homelab/config.json", "600"), ("date", "700")] {
        run(Command::new("chmod").arg(mode).arg(host.home().join(file)));
    }
    Nights { fake, host }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    secrets::expect_none("a cron job", &printed);
    String::from_utf8(printed).unwrap()
}

/// The day that many days after `FIRST`.
fn day(nights: usize) -> String {
    let text =
        run(Command::new("/bin/date").args(["-d", &format!("{FIRST} 12:00 {nights} days"), "+%F"]));
    text.trim_end().to_owned()
}

impl Nights {
    /// Runs a command as cron does, and returns what cron would mail.
    fn run(&self, command: &str, today: &str) -> String {
        let home = self.host.home();
        let program = Path::new(env!("CARGO_BIN_EXE_homelab"));
        let folder = program.parent().unwrap();
        let path = format!("{}:{}:/usr/bin:/bin", home.display(), folder.display());
        run(Command::new("/bin/sh")
            .args(["-c", command])
            .env_clear()
            .envs([("PATH", path.as_str()), ("TODAY", today)])
            .env("HOME", home)
            .current_dir(Path::new("/")))
    }

    /// Runs all jobs of a night, and returns the mails.
    fn pass(&self, night: usize) -> String {
        let jobs = jobs();
        let mails = jobs.iter().map(|job| self.run(&job.command, &day(night)));
        mails.collect()
    }

    /// The names of the running VMs that the jobs have created.
    fn vms(&self) -> Vec<String> {
        let cluster = self.fake.cluster();
        let guests = cluster.guests.values();
        let running = guests.filter(|guest| guest.status == "running");
        let names = running.filter_map(|guest| guest.name());
        let mut names: Vec<String> = names
            .filter(|name| name.starts_with("ci-"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// The files in the state directory.
    fn records(&self) -> Vec<String> {
        let directory = self.host.home().join(".local/state/homelab");
        let files = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn protect(&self, name: &str, is_protected: u8) {
        let mut cluster = self.fake.cluster();
        let mut guests = cluster.guests.values_mut();
        let guest = guests.find(|guest| guest.name() == Some(name)).unwrap();
        guest
            .config
            .insert("protection".to_owned(), json!(is_protected));
    }
}

/// The VMs of the last seven of so many nights.
fn last_seven(nights: usize) -> Vec<String> {
    let first = nights.saturating_sub(7);
    (first..nights)
        .map(|night| format!("ci-{}", day(night)))
        .collect()
}

#[rstest]
fn the_vms_of_the_last_seven_nights_exist_and_nothing_is_mailed(nights: Nights) {
    let mut counts = Vec::new();
    for night in 0..NIGHTS {
        assert_eq!(nights.pass(night), "", "{}", day(night));
        let vms = nights.vms();
        assert_eq!(vms, last_seven(night + 1));
        counts.push(vms.len());
    }
    assert_eq!(counts, COUNTS);
    let records = last_seven(NIGHTS)
        .into_iter()
        .map(|name| format!("{name}.jsonl"));
    assert_eq!(nights.records(), records.collect::<Vec<_>>());
}

/// The VM of the second night is protected. What the mail says deletes it.
#[rstest]
fn a_protected_vm_is_the_only_reason_for_a_mail(nights: Nights) {
    let protected = format!("ci-{}", day(1));
    let mut mails = String::new();
    let mut counts = Vec::new();
    for night in 0..NIGHTS {
        let mail = nights.pass(night);
        if !mail.is_empty() {
            write!(mails, "{night}: {mail}").unwrap();
        }
        if night == 1 {
            nights.protect(&protected, 1);
        }
        counts.push(nights.vms().len());
    }
    let (_, mail) = README.split_once("A protected VM").unwrap();
    let (_, mail) = mail.split_once("```text\n").unwrap();
    let (mail, _) = mail.split_once("```").unwrap();
    assert_eq!(mails, format!("8: {mail}"));
    assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 7, 8, 8, 8, 8, 8, 8]);
    let jobs = jobs();
    let is_delete = |job: &&Job| job.command.contains(" vm delete ");
    let delete = jobs.iter().find(is_delete).unwrap();
    nights.protect(&protected, 0);
    // The mail says: run the same command again, as on that night.
    assert_eq!(nights.run(&delete.command, &day(8)), "");
    assert_eq!(nights.vms(), last_seven(NIGHTS));
}

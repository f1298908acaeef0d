//! `make demo SERVE=1`, started and stopped as a user does it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rstest::rstest;
use rustix::process::{Pid, kill_process, kill_process_group};

use crate::homelab::{Signal, secrets};

/// The last line of the instructions.
const LAST_LINE: &str = "homelab proxmox vm list --ip\n";

struct Served {
    make: Child,
    stdout: BufReader<ChildStdout>,
    instructions: String,
}

impl Served {
    fn start() -> Served {
        let mut make = Command::new("make");
        // cargo would build crates again that depend on these.
        let is_for_tests =
            |name: &&str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os() {
            if name.to_str().as_ref().is_some_and(is_for_tests) {
                make.env_remove(name);
            }
        }
        let mut make = make
            .args(["--no-print-directory", "demo", "SERVE=1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("make");
        let mut stdout = BufReader::new(make.stdout.take().unwrap());
        let mut instructions = String::new();
        while !instructions.ends_with(LAST_LINE) {
            let read = stdout.read_line(&mut instructions).unwrap();
            assert_ne!(read, 0, "the instructions end with {instructions:?}");
        }
        Served {
            make,
            stdout,
            instructions,
        }
    }

    /// The lines to paste, without the prose between them.
    fn commands(&self) -> String {
        let is_command = |part: &&str| part.starts_with("export ") || part.starts_with("homelab ");
        let parts: Vec<&str> = self.instructions.split("\n\n").filter(is_command).collect();
        parts.join("\n")
    }

    fn state_folder(&self) -> PathBuf {
        let (_, rest) = self.instructions.split_once("HOMELAB_STATE_DIR='").unwrap();
        PathBuf::from(rest.split_once('\'').unwrap().0)
    }

    /// The signal that ended make, and what was printed after the instructions, except by cargo.
    fn end(mut self) -> (Option<i32>, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        let errors = self.make.stderr.as_mut().unwrap();
        errors.read_to_string(&mut stderr).unwrap();
        stdout.extend(stderr.lines().filter(|line| line.starts_with("make")));
        (self.make.wait().unwrap().signal(), stdout)
    }
}

/// Only the pause between two polls is shortened.
#[test]
fn the_printed_commands_work_when_pasted() {
    let served = Served::start();
    let commands = served.commands();
    let faster = "--poll-interval 0.01";
    let commands = commands
        .replace("--wait-ip", &format!("--wait-ip {faster}"))
        .replace(
            "template create rocky-9",
            &format!("template create rocky-9 {faster}"),
        );
    let pasted = Command::new("sh")
        .args(["-ec", &commands])
        .output()
        .unwrap();
    kill_process_group(Pid::from_child(&served.make), Signal::INT).unwrap();
    served.end();
    secrets::expect_none("the demo", &pasted.stdout);
    let stderr = String::from_utf8(pasted.stderr).unwrap();
    assert!(pasted.status.success(), "{stderr}");
    assert_eq!(
        String::from_utf8(pasted.stdout).unwrap(),
        "Successfully created template 101 'rocky-9' on node 'pve1'\n\
         Successfully created VM 102 'web-1' on node 'pve1' at 10.0.0.6\n\
         VMID  Name    Status   Node  IP\n\
         100   router  running  pve1  -\n\
         102   web-1   running  pve1  10.0.0.6\n\
         103   db-1    running  pve2  -\n"
    );
}

/// Ctrl-C and a closed terminal reach make and the server, `kill` only make.
#[rstest]
#[case::ctrl_c(Signal::INT, true)]
#[case::kill(Signal::TERM, false)]
#[case::a_closed_terminal(Signal::HUP, true)]
fn a_signal_stops_the_server_and_removes_its_files(
    #[case] signal: Signal,
    #[case] is_for_all: bool,
) {
    let served = Served::start();
    let folder = served.state_folder();
    assert!(folder.join("id_ed25519.pub").is_file());
    let make = Pid::from_child(&served.make);
    if is_for_all {
        kill_process_group(make, signal).unwrap();
    } else {
        kill_process(make, signal).unwrap();
    }
    let message = "\n\nStopped the fake server and removed its files.\n";
    assert_eq!(served.end(), (Some(signal.as_raw()), message.to_owned()));
    assert!(!folder.exists());
}

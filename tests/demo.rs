//! `make demo`: the real program against the fake server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a demo that cannot go on has failed"
)]
#![allow(dead_code, reason = "the example and the tests use different parts")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(not(test))]
#[path = "fake_pve/mod.rs"]
mod fake_pve;

#[cfg(test)]
use crate::fake_pve;

use fake_pve::{FakePve, SECRET, Setup};

/// Two nodes, some VMs, two templates. A clone is still running at the first look, and its row has
/// no name for up to 10 s, as on a real server.
const CLUSTER: &str = r#"{
    "nodes": ["pve1", "pve2"],
    "guests": [
        {"vmid": 100, "name": "router", "node": "pve1", "status": "running"},
        {"vmid": 102, "name": "db-1", "node": "pve2", "status": "running"},
        {"vmid": 1000, "name": "backup", "node": "pve2"},
        {"vmid": 9000, "name": "debian-12", "node": "pve1", "template": true},
        {"vmid": 9001, "name": "ubuntu-22.04", "node": "pve2", "template": true}
    ],
    "clone_steps": {"appears": 0, "named": 1, "done": 2},
    "rows": {"every_ms": 10000}
}"#;

const COMMANDS: [&str; 3] = [
    "homelab proxmox template list",
    "homelab proxmox vm create web-1 debian-12",
    "homelab proxmox vm list",
];

fn main() -> io::Result<()> {
    let program = beside_this_example();
    if std::env::var_os("SERVE").is_some_and(|serve| serve == "1") {
        return serve(&program);
    }
    show(&program, &mut io::stdout())
}

/// Runs the commands and prints each with what it prints.
pub(crate) fn show(program: &Path, out: &mut dyn Write) -> io::Result<()> {
    let fake = FakePve::start(serde_json::from_str::<Setup>(CLUSTER)?);
    let state = State::beside(program);
    for command in COMMANDS {
        writeln!(out, "$ {command}")?;
        out.flush()?;
        run(program, command, &settings(&fake, &state), out)?;
    }
    Ok(())
}

/// Where the runs leave word for each other, instead of in somebody's home.
struct State(PathBuf);

impl State {
    fn beside(program: &Path) -> Self {
        let folder = program.parent().unwrap_or(Path::new("/"));
        let name = format!("homelab-demo-{}", std::process::id());
        Self(folder.join(name))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _not_there = std::fs::remove_dir_all(&self.0);
    }
}

type Settings = [(&'static str, String); 5];

/// stdout and stderr through one pipe, so that their lines keep their order.
fn run(program: &Path, command: &str, settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    let (mut shown, pipe) = io::pipe()?;
    let mut process = Command::new(program);
    process
        .args(command.split(' ').skip(1))
        .env_clear()
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(pipe.try_clone()?)
        .stderr(pipe);
    let mut child = process.spawn()?;
    // Holds the writing ends, which would keep the pipe open for ever.
    drop(process);
    io::copy(&mut shown, out)?;
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("{command}: {status}")));
    }
    Ok(())
}

/// Leaves the fake running until Ctrl-C.
fn serve(program: &Path) -> io::Result<()> {
    let fake = FakePve::start(serde_json::from_str::<Setup>(CLUSTER)?);
    let mut out = io::stdout();
    writeln!(
        out,
        "A fake Proxmox VE runs until Ctrl-C. To try it from another shell:\n"
    )?;
    let state = State::beside(program);
    for (name, value) in settings(&fake, &state) {
        writeln!(out, "export {name}={value}")?;
    }
    let folder = program.parent().unwrap_or(Path::new("."));
    writeln!(out, "export PATH={}:$PATH", folder.display())?;
    loop {
        std::thread::park();
    }
}

fn settings(fake: &FakePve, state: &State) -> Settings {
    [
        ("PROXMOX_HOST", fake.url()),
        ("PROXMOX_USER", "root@pam".to_owned()),
        ("PROXMOX_TOKEN_KEY", "cli".to_owned()),
        ("PROXMOX_TOKEN_SECRET", SECRET.to_owned()),
        ("HOMELAB_STATE_DIR", state.0.display().to_string()),
    ]
}

/// Cargo puts examples one folder below the program.
fn beside_this_example() -> PathBuf {
    let example = std::env::current_exe().expect("a program knows where it lies");
    let folder = example.parent().and_then(Path::parent).unwrap();
    folder.join("homelab")
}

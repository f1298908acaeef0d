//! `make demo`: the real program and the fake server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a demo that cannot continue has failed"
)]
#![allow(dead_code, reason = "the example and the tests use different parts")]

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[cfg(test)]
mod served;

#[cfg(not(test))]
#[path = "fake_pve/mod.rs"]
mod fake_pve;

#[cfg(test)]
use crate::fake_pve;

use fake_pve::{FakePve, SECRET, Setup};

/// Two nodes and two VMs, but no template. An import or a clone is still running at the first poll, and its
/// row has no name for up to 10 s, as on a real server.
const CLUSTER: &str = r#"{
    "nodes": ["pve1", "pve2"],
    "guests": [
        {"vmid": 100, "name": "router", "node": "pve1", "status": "running"},
        {"vmid": 103, "name": "db-1", "node": "pve2", "status": "running"}
    ],
    "storages": {
        "data": {"content": []},
        "small": {"content": []},
        "local-lvm": {"type": "lvmthin", "content": ["images", "rootdir"]}
    },
    "internet": {
        "https://dl.rockylinux.org/pub/rocky/9/images/x86_64/Rocky-9-GenericCloud-Base.latest.x86_64.qcow2":
            {"file": {"content": "rocky-9", "size": 632291328, "virtual_size": 10737418240}}
    },
    "tokens": {"homelab@pve!cli": {}},
    "download_polls": 1,
    "create_polls": 1,
    "clone_steps": {"appears": 0, "named": 1, "done": 2},
    "clone_log": "growing",
    "rows": {"every_ms": 10000}
}"#;

/// From an image to a shell in a VM, in lines as a user would type them.
const COMMANDS: [&str; 3] = [
    CREATE_TEMPLATE,
    CREATE_VM,
    "homelab proxmox vm ssh web-1 -- uptime",
];
const LIST_VMS: &str = "homelab proxmox vm list --ip";
const CREATE_TEMPLATE: &str = "homelab proxmox template create rocky-9 \\
    --checksum sha256:dbedc0f7cabac7bc8d2d2db0294cc9d3b59afc34beec36394bbcb87af5569f45 \\
    --image https://dl.rockylinux.org/pub/rocky/9/images/x86_64/Rocky-9-GenericCloud-Base.latest.x86_64.qcow2";
const CREATE_VM: &str = "homelab proxmox vm create web-1 rocky-9 --cores 4 --memory 8G --resize scsi0=+10G \\
    --set ciuser=admin --set ipconfig0=ip=dhcp --ssh-key id_ed25519.pub --wait-ip";
/// The guests are simulated too, so this takes the place of ssh.
const SSH: &str = "#!/bin/sh\necho \"(simulated) ssh $*\"\n";
const KEY_FILE: &str = "id_ed25519.pub";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0cKtRhVVGcTVeTtDpnyvQbYYw+xzZeZeZqbJ3uHu0H me@jumphost\n";

/// After how many polls, one every two seconds, a clone is done: when it is shown at a terminal, and when
/// a user tries the commands.
const POLLS_WHEN_SHOWN: u32 = 6;
const POLLS_WHEN_TRIED: u32 = 12;

fn main() -> io::Result<()> {
    let program = beside_this_example();
    if std::env::var_os("SERVE").is_some_and(|serve| serve == "1") {
        return serve(&program);
    }
    let mut out = io::stdout();
    if out.is_terminal() && io::stderr().is_terminal() {
        return show(&program, &mut out, Output::Terminal);
    }
    show(&program, &mut out, Output::Pipe)
}

/// Where the output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// To a file or a pipe.
    Pipe,
    /// To a terminal, with the progress line.
    Terminal,
}

/// Runs the commands, and prints each with its output.
pub(crate) fn show(program: &Path, out: &mut dyn Write, output: Output) -> io::Result<()> {
    let fake = start()?;
    let state = State::beside(program);
    let settings = settings(&fake, &state);
    if output == Output::Terminal {
        slow_down(&fake, POLLS_WHEN_SHOWN);
    }
    for command in COMMANDS {
        writeln!(out, "$ {command}")?;
        out.flush()?;
        match output {
            Output::Pipe => run(program, command, &settings, out)?,
            Output::Terminal => run_at_terminal(program, command, &settings)?,
        }
    }
    Ok(())
}

/// The fake server, with a token for which the README's commands for a node were run.
fn start() -> io::Result<FakePve> {
    let fake = FakePve::start(serde_json::from_str::<Setup>(CLUSTER)?);
    let recipe = include_str!("../README.md").replace("\\\n", "");
    for line in recipe.lines() {
        if line.starts_with("pveum role") || line.starts_with("pveum acl") {
            fake.pveum(&line.replace("--users homelab@pve", "--tokens 'homelab@pve!cli'"));
        }
    }
    Ok(fake)
}

fn slow_down(fake: &FakePve, polls: u32) {
    let setup = &mut fake.cluster().setup;
    setup.clone_steps = None;
    setup.clone_polls = polls;
    setup.create_polls = polls;
    setup.download_polls = polls;
    setup.task_polls = 1;
    setup.agent.polls = 1;
}

/// A temporary folder with the key and the records of the runs, instead of the user's home.
struct State(PathBuf);

impl State {
    fn beside(program: &Path) -> Self {
        let folder = program.parent().unwrap_or(Path::new("/"));
        let name = format!("homelab-demo-{}", std::process::id());
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a writable folder beside the program");
        std::fs::write(folder.join(KEY_FILE), KEY).expect("a writable folder");
        let ssh = folder.join("ssh");
        std::fs::write(&ssh, SSH).expect("a writable folder");
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(ssh, permissions).expect("a file of this process");
        Self(folder)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _may_not_exist = std::fs::remove_dir_all(&self.0);
    }
}

const STATE_DIR: &str = "HOMELAB_STATE_DIR";

type Settings = [(&'static str, String); 6];

/// Sends stdout and stderr through one pipe, so that their lines keep their order.
fn run(program: &Path, command: &str, settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    let (mut shown, pipe) = io::pipe()?;
    let mut process = prepared(program, command, settings);
    process.stdout(pipe.try_clone()?).stderr(pipe);
    let mut child = process.spawn()?;
    // It holds the writing ends, which would keep the pipe open.
    drop(process);
    io::copy(&mut shown, out)?;
    expect_success(command, child.wait()?)
}

/// Runs it with the progress line, which needs a terminal.
fn run_at_terminal(program: &Path, command: &str, settings: &Settings) -> io::Result<()> {
    let mut process = prepared(program, command, settings);
    let term = std::env::var_os("TERM").unwrap_or_default();
    expect_success(command, process.env("TERM", term).status()?)
}

fn prepared(program: &Path, command: &str, settings: &Settings) -> Command {
    let mut process = Command::new(program);
    let arguments = command.split_whitespace().filter(|part| *part != "\\");
    process
        .args(arguments.skip(1))
        .env_clear()
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    if let Some((_, folder)) = settings.iter().find(|(name, _)| *name == STATE_DIR) {
        process.current_dir(folder);
    }
    process
}

fn expect_success(command: &str, status: ExitStatus) -> io::Result<()> {
    if !status.success() {
        return Err(io::Error::other(format!("{command}: {status}")));
    }
    Ok(())
}

/// Keeps the fake server running until Ctrl-C, `kill` or the end of the terminal.
fn serve(program: &Path) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let fake = start()?;
    slow_down(&fake, POLLS_WHEN_TRIED);
    let state = State::beside(program);
    write_instructions(&mut io::stdout(), program, &fake, &state)?;
    signals.forever().next();
    drop((fake, state));
    writeln!(
        io::stdout(),
        "\nStopped the fake server and removed its files."
    )
}

fn write_instructions(
    out: &mut dyn Write,
    program: &Path,
    fake: &FakePve,
    state: &State,
) -> io::Result<()> {
    writeln!(
        out,
        "A fake Proxmox VE runs until Ctrl-C. To use it, paste this into another shell (a task goes on only while a\ncommand waits for it):\n"
    )?;
    let is_path = |name: &str| name == "PATH";
    for (name, value) in settings(fake, state)
        .into_iter()
        .filter(|(name, _)| !is_path(name))
    {
        writeln!(out, "export {name}={}", quoted(&value))?;
    }
    let folder = program.parent().unwrap_or(Path::new("."));
    let folders = [&state.0, folder].map(|folder| quoted(&folder.to_string_lossy()));
    writeln!(out, "export PATH={}:\"$PATH\"", folders.join(":"))?;
    let key = quoted(&state.0.join(KEY_FILE).to_string_lossy());
    writeln!(
        out,
        "\nThree commands to try; the first two take a minute each:\n\n{}\n{}\n{}\n",
        COMMANDS[0],
        COMMANDS[1].replace(KEY_FILE, &key),
        LIST_VMS
    )
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn settings(fake: &FakePve, state: &State) -> Settings {
    [
        ("PROXMOX_HOST", fake.url()),
        ("PROXMOX_USER", "homelab@pve".to_owned()),
        ("PROXMOX_TOKEN_KEY", "cli".to_owned()),
        ("PROXMOX_TOKEN_SECRET", SECRET.to_owned()),
        (STATE_DIR, state.0.display().to_string()),
        ("PATH", format!("{}:/usr/bin:/bin", state.0.display())),
    ]
}

/// Cargo puts examples one folder below the program.
fn beside_this_example() -> PathBuf {
    let example = std::env::current_exe().expect("the path of this example");
    let folder = example.parent().and_then(Path::parent).unwrap();
    folder.join("homelab")
}

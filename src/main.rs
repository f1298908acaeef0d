//! Creates virtual machines and their templates on Proxmox VE: one command, exactly one VM.
//!
//! The source, from top to bottom; imports run downwards only (`make lint` checks it):
//!
//! - `main.rs`: arguments in, exit code out
//! - `cmd.rs`, `cmd/`: the session that a verb runs in, and how its run ends; one file per verb
//! - `create.rs`, `create/`: the workflow of `vm create` and `template create`: read what exists, decide by
//!   one table (`decide.rs`), act, then set the VM up; `create/import/` finds and downloads images
//! - `steps.rs`: the engine that changes an existing VM: read, request what is missing, wait, retry
//! - `cli.rs`, `cli/`: commands and options, help, usage errors, completion, the manual
//! - `guests.rs`, `guests/`: which guests exist, who owns a VMID, which template is meant, addresses
//! - `wait.rs`, `wait/`: polling within a time limit, which requests may be repeated, tasks
//! - `settings.rs`, `settings/`: `--set`, `--ssh-key` and `--resize`: which values differ from the VM's,
//!   and what does not fit it
//! - `config.rs`, `config/`: precedence: option, environment, file
//! - `ui.rs`, `ui/`: progress on stderr; tables and JSON on stdout; sanitizing of server text
//! - `ledger.rs`: records of the runs on this host, one locked file per VM name
//! - `say.rs`, `say/`: texts that several modules need: what is certain about a VM, the parts of a
//!   failure, hints, `pveum` commands
//! - `pve.rs`, `pve/`: the API, one method per endpoint; below it requests (`http`), trust (`tls`),
//!   types and parsers
//!
//! Beside the source:
//!
//! - `src/help/`: the topics of the manual
//! - `tests/lib.rs`: the list of all tests; `tests/fake_pve/` is a Proxmox VE in a thread, and
//!   `tests/recorded.rs` checks it against recorded answers of a real one
//! - `tests/chaos.rs`, `tests/crowd.rs`: each fault at each request, `kill -9` at each moment, many
//!   runs at once: never two VMs
//! - `tests/soak.rs`: random schedules of runs, faults and other users, each from a seed: a few in
//!   `make test`, 10,000 in `make soak`
//! - `tests/house.rs`: which module may import which
//! - `tests/static.sh`, `tests/bench.rs`: `make test-static`, `make bench`
//! - `fixtures/`: `api`, recorded answers; `scenarios`, stories that run against program and fake,
//!   whose expected outcomes `make bless` rewrites; `certificates`, which cannot be verified

mod cli;
mod cmd;
mod config;
mod create;
mod guests;
mod ledger;
mod pve;
mod say;
mod settings;
mod steps;
mod ui;
mod wait;

use std::ffi::OsString;

use crate::cli::{Parsed, WrongUsage};

fn main() -> ! {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let typed: Vec<&str> = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .collect();
    let is_utf8 = typed.len() == arguments.len();
    if let Some((&"__complete", passed)) = typed.split_first().filter(|_| is_utf8) {
        cmd::print_and_exit(cmd::complete::candidates(passed));
    }
    let parsed = if is_utf8 {
        cli::parse(&typed, cmd::columns())
    } else {
        Err(WrongUsage::not_utf8())
    };
    match parsed {
        Ok(Parsed::Run(command)) => cmd::run(&command),
        Ok(Parsed::Print(text)) => cmd::print_and_exit(text),
        Err(wrong) => cmd::exit_with_wrong_usage(&wrong, typed.contains(&"--json")),
    }
}

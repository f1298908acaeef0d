//! Creates virtual machines from templates on Proxmox VE: one command, exactly one VM.

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
    if let Some((&"__complete", passed)) = typed.split_first() {
        cmd::print_and_exit(cmd::complete::candidates(passed));
    }
    let parsed = if typed.len() < arguments.len() {
        Err(WrongUsage::not_utf8())
    } else {
        cli::parse(&typed, cmd::columns())
    };
    match parsed {
        Ok(Parsed::Run(command)) => cmd::run(&command),
        Ok(Parsed::Print(text)) => cmd::print_and_exit(text),
        Err(wrong) => cmd::exit_with_wrong_usage(&wrong, typed.contains(&"--json")),
    }
}

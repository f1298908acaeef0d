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

use crate::cli::{Cli, Completions, Topic};

fn main() -> ! {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let readable = arguments.iter().filter_map(|argument| argument.to_str());
    let readable: Vec<String> = readable.map(str::to_owned).collect();
    if readable.len() < arguments.len() {
        wrong_usage("An argument is not UTF-8", &readable);
    }
    match cli::parse(&readable) {
        Ok(Cli { version: true, .. }) => {
            cmd::print_and_exit(format!("homelab {}\n", env!("CARGO_PKG_VERSION")))
        }
        Ok(Cli {
            topic: Some(Topic::Proxmox(command)),
            ..
        }) => cmd::run(&command),
        Ok(Cli {
            topic: Some(Topic::Completions(Completions { shell })),
            ..
        }) => cmd::print_and_exit(cli::completions(shell)),
        Ok(Cli { topic: None, .. }) => wrong_usage("No command was given", &readable),
        Err(exit) if exit.status.is_ok() => {
            cmd::print_and_exit(format!("{}\n", exit.output.trim_end()))
        }
        Err(exit) => wrong_usage(&exit.output, &readable),
    }
}

fn wrong_usage(complaint: &str, arguments: &[String]) -> ! {
    let (lines, failure) = cli::wrong_usage(complaint, arguments);
    let json = arguments.iter().any(|argument| argument == "--json");
    cmd::exit_with_wrong_usage(&lines, &failure, json)
}

//! `--help`, `help` and `version`.

use rstest::rstest;

use crate::homelab::{Homelab, Seen};

fn printed(words: &str) -> String {
    let seen = Homelab::alone().run(words);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
    seen.stdout
}

#[rstest]
#[case("--help", "homelab [options] <command>")]
#[case("-h", "homelab [options] <command>")]
#[case("help", "homelab [options] <command>")]
#[case("help --help", "homelab help [<topic>...] [options]")]
#[case("proxmox --help", "homelab proxmox [options] <command>")]
#[case("proxmox help", "homelab proxmox [options] <command>")]
#[case("help proxmox", "homelab proxmox [options] <command>")]
#[case("proxmox template -h", "homelab proxmox template <command>")]
#[case(
    "proxmox template list --help",
    "homelab proxmox template list [options]"
)]
#[case(
    "proxmox template create --help",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]"
)]
#[case(
    "help template create",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]"
)]
#[case("proxmox vm --help", "homelab proxmox vm <command>")]
#[case("help vm", "homelab proxmox vm <command>")]
#[case("proxmox vm list --help", "homelab proxmox vm list [options]")]
#[case(
    "proxmox vm create --help",
    "homelab proxmox vm create <vm-name> <template-name> [options]"
)]
#[case(
    "help vm create",
    "homelab proxmox vm create <vm-name> <template-name> [options]"
)]
#[case(
    "proxmox vm create a --help",
    "homelab proxmox vm create <vm-name> <template-name> [options]"
)]
#[case("proxmox vm show --help", "homelab proxmox vm show <vm> [options]")]
#[case(
    "proxmox vm ssh --help",
    "homelab proxmox vm ssh <vm> [<command>...] [options]"
)]
#[case(
    "proxmox vm start --help",
    "homelab proxmox vm start <vm> [<more-vms>...] [options]"
)]
#[case(
    "help vm shutdown",
    "homelab proxmox vm shutdown <vm> [<more-vms>...] [options]"
)]
#[case(
    "proxmox vm stop web-1 --help",
    "homelab proxmox vm stop <vm> [<more-vms>...] [options]"
)]
#[case(
    "proxmox vm reboot -h",
    "homelab proxmox vm reboot <vm> [<more-vms>...] [options]"
)]
#[case(
    "proxmox vm delete --yes --help",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]"
)]
#[case("proxmox container --help", "homelab proxmox container <command>")]
#[case(
    "proxmox container list --help",
    "homelab proxmox container list [options]"
)]
#[case("proxmox task --help", "homelab proxmox task <command>")]
#[case(
    "proxmox task wait --help",
    "homelab proxmox task wait <upid> [options]"
)]
#[case(
    "proxmox task cancel --help",
    "homelab proxmox task cancel <upid> [options]"
)]
#[case(
    "proxmox check --help",
    "homelab proxmox check [<template-name>] [options]"
)]
#[case("completions --help", "homelab completions <bash|zsh|fish>")]
fn every_command_has_a_usage_line(#[case] words: &str, #[case] usage: &str) {
    let help = printed(words);
    assert!(help.contains("\nExamples:\n"), "{help}");
    // A long one is wrapped.
    let shown: Vec<&str> = help
        .lines()
        .skip(2)
        .take_while(|it| !it.is_empty())
        .collect();
    assert_eq!(shown.join(" "), format!("Usage: {usage}"));
}

#[test]
fn the_options_of_create_are_in_groups() {
    let help = printed("proxmox vm create --help");
    let headings = help
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '));
    let expected = [
        "Arguments:",
        "Which VM:",
        "Settings of the new VM:",
        "After creating it:",
        "Time limits and output:",
        "Examples:",
    ];
    assert_eq!(headings.collect::<Vec<_>>(), expected);
}

#[rstest]
fn the_options_of_other_commands_are_not_in_groups(
    #[values("vm delete", "vm start", "vm list", "task cancel", "template create")] command: &str,
) {
    let help = printed(&format!("proxmox {command} --help"));
    let headings = help
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .filter(|line| *line != "Arguments:");
    assert_eq!(headings.collect::<Vec<_>>(), ["Options:", "Examples:"]);
}

#[rstest]
fn the_version_is_printed(#[values("--version", "-V", "version")] words: &str) {
    assert_eq!(
        printed(words),
        format!("homelab {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn no_command_is_wrong_usage() {
    let expected = Seen {
        exit: Some(2),
        stdout: String::new(),
        stderr: "missing command: one of proxmox, completions, version, help\n\
                 Usage: homelab [options] <command>\n\
                 Hint: see 'homelab --help'\n"
            .to_owned(),
    };
    assert_eq!(Homelab::alone().run_arguments(&[""; 0]), expected);
}

//! What the README shows is what the program does.

use std::path::Path;

use crate::demo;
use crate::fake_pve::{FakePve, Setup, unrelated_ca_pem};
use crate::homelab::{Homelab, secrets};
use crate::manual;

pub(crate) const README: &str = include_str!("../README.md");

/// The text of the first code block after `heading`.
fn block_after(heading: &str) -> &'static str {
    let (_, rest) = README
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("the README has no '{heading}'"));
    let (_, rest) = rest.split_once("```text\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block
}

#[test]
fn the_session_is_the_output_of_the_demo() {
    let mut shown = Vec::new();
    let program = Path::new(env!("CARGO_BIN_EXE_homelab"));
    demo::show(program, &mut shown, demo::Output::Pipe).unwrap();
    secrets::expect_none("the demo", &shown);
    assert_eq!(
        String::from_utf8(shown).unwrap(),
        block_after("## A session")
    );
}

#[test]
fn the_first_check_fails_as_shown() {
    let fake = FakePve::start_tls(Setup::default());
    let seen = Homelab::at(&fake)
        .env("SSL_CERT_FILE", "ca.pem")
        .with_file("ca.pem", &unrelated_ca_pem())
        .run("proxmox check");
    let line = seen
        .stdout
        .lines()
        .find(|line| line.starts_with("FAIL"))
        .unwrap();
    let line = line.replace(&format!("127.0.0.1:{}", fake.port()), "pve.lan:8006");
    let shown = block_after("## First run against a real cluster");
    let shown = shown.replace("\n      ", " ");
    let (shown, _) = shown.split_once("3F:7A:…").unwrap();
    assert_eq!(line.get(..shown.len()), Some(shown));
}

#[test]
fn the_readme_is_short() {
    assert!(README.lines().count() <= 180);
}

/// The commands for a node are also in the manual, for users without the README.
#[test]
fn the_commands_for_a_node_are_those_of_the_manual() {
    let commands = |text: &str| {
        let text = text.replace("\\\n", "");
        let lines = text.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.join(" ")
        });
        let is_of_node = |line: &String| {
            let tools = [
                "pveum role",
                "pveum user add",
                "pveum acl modify",
                "pveum user token add",
            ];
            tools.into_iter().any(|tool| line.starts_with(tool))
        };
        lines.filter(is_of_node).collect::<Vec<String>>()
    };
    assert_eq!(commands(README), commands(&manual::topic("permissions")));
}

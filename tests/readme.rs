//! What the README shows is what the program does.

use std::collections::BTreeSet;
use std::path::Path;

use crate::demo;
use crate::fake_pve::{FakePve, Setup, unrelated_ca_pem};
use crate::homelab::{Homelab, secrets};

const README: &str = include_str!("../README.md");

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
    let (shown, _) = shown.split_once("3F:7A:…").unwrap();
    assert_eq!(line.get(..shown.len()), Some(shown));
}

/// The first cells of the tables that begin with `` `beginning ``, up to their first space.
fn table_cells(beginning: &str) -> BTreeSet<&'static str> {
    let cells = README.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = cells.filter_map(|cell| cell.split(['`', ' ']).next());
    names.filter(|name| name.starts_with(beginning)).collect()
}

#[test]
fn the_options_are_exactly_those_of_the_help() {
    let levels = ["proxmox", "proxmox vm create"];
    let helps = levels.map(|level| Homelab::alone().run(&format!("{level} --help")).stdout);
    let options: BTreeSet<&str> = helps
        .iter()
        .flat_map(|help| help.lines())
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with("--"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(table_cells("--"), options);
}

/// The names in a table of the source.
fn names_in(table: &str) -> BTreeSet<&'static str> {
    let source = include_str!("../src/config/layer.rs");
    let (_, table) = source.split_once(&format!("{table}: ")).unwrap();
    let (table, _) = table.split_once("];").unwrap();
    let texts = table.split('"');
    texts.filter(|text| text.starts_with("PROXMOX_")).collect()
}

#[test]
fn every_setting_is_in_the_readme_and_our_own_are_in_the_table() {
    assert_eq!(table_cells("PROXMOX_"), names_in("OWN_NAMES"));
    let foreign = names_in("FOREIGN_NAMES");
    assert_eq!(foreign.len(), 5);
    for name in foreign {
        assert!(README.contains(&format!("`{name}`")), "{name} is missing");
    }
}

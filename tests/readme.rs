//! What the README shows is what happens.

use std::path::Path;

use rstest::rstest;

use crate::demo;
use crate::homelab::Homelab;

const README: &str = include_str!("../README.md");

/// The text of the first code block behind `heading`.
fn block_behind(heading: &str) -> &'static str {
    let (_, rest) = README
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("the README has no '{heading}'"));
    let (_, rest) = rest.split_once("```text\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block
}

#[test]
fn the_session_is_what_the_demo_shows() {
    let mut shown = Vec::new();
    demo::show(Path::new(env!("CARGO_BIN_EXE_homelab")), &mut shown).unwrap();
    assert_eq!(
        String::from_utf8(shown).unwrap(),
        block_behind("## A session")
    );
}

/// Every option that the help knows stands in the README, and no other.
#[rstest]
#[case::connection("proxmox --help")]
#[case::template_list("proxmox template list --help")]
#[case::vm_list("proxmox vm list --help")]
#[case::vm_create("proxmox vm create --help")]
fn the_options_are_those_of_the_help(#[case] words: &str) {
    let help = Homelab::alone().run(words).stdout;
    let options = help
        .lines()
        .filter_map(|line| line.strip_prefix("  --"))
        .filter_map(|line| line.split_whitespace().next());
    for option in options {
        assert!(
            README.contains(&format!("`--{option}")),
            "--{option} is missing"
        );
    }
}

#[test]
fn every_setting_is_in_the_table() {
    // The names are read from the source so that a new one is noticed here.
    let source = include_str!("../src/config/layer.rs");
    let names = source
        .split('"')
        .filter(|text| text.starts_with("PROXMOX_") && !text.contains(' '));
    let mut count = 0;
    for name in names {
        assert!(README.contains(&format!("`{name}`")), "{name} is missing");
        count += 1;
    }
    assert!(count >= 15, "only {count} names were found");
}

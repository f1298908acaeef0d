//! The topics of the manual in `src/help/`: their format and size, and that what they name exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rstest::rstest;

use crate::homelab::Homelab;

/// Topics that messages and other topics refer to.
const REQUIRED: [&str; 10] = [
    "config",
    "cron",
    "exactly-one",
    "exit-codes",
    "images",
    "json",
    "permissions",
    "templates",
    "troubleshooting",
    "trust",
];

/// Options of Proxmox VE's own commands that the text mentions.
const OF_PROXMOX: [&str; 7] = [
    "--cipassword",
    "--destroy-unreferenced-disks",
    "--privsep",
    "--roles",
    "--source",
    "--tokens",
    "--users",
];

const MOST_COLUMNS: usize = 100;
/// Including the indent.
const MOST_COLUMNS_VERBATIM: usize = 80;

/// The text of a topic.
pub(crate) fn topic(name: &str) -> String {
    topics().remove(name).unwrap()
}

fn topics() -> BTreeMap<String, String> {
    let files = files_below("src/help").into_iter();
    let topics = files.map(|(path, text)| {
        let name = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        (name.to_owned(), text)
    });
    topics.collect()
}

fn files_below(directory: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(directory)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    found
}

/// The topics without what is shown verbatim, each as one line.
fn prose() -> String {
    let topics = topics();
    let lines = topics.values().flat_map(|text| text.lines());
    let lines = lines.filter(|line| !line.starts_with("    "));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The words of a text that begin with this, without punctuation.
fn words_with(text: &str, beginning: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let words = text.split(|c: char| !is_part(c));
    let words = words.filter(|word| word.starts_with(beginning) && *word != beginning);
    words.map(str::to_owned).collect()
}

#[test]
fn the_topics_that_are_referred_to_exist() {
    let topics = topics();
    for name in REQUIRED {
        assert!(topics.contains_key(name), "{name} is missing");
    }
    let text = format!("{} {}", prose(), include_str!("../README.md"));
    let references = text.split("homelab help ").skip(1);
    for reference in references {
        let name = reference.split_whitespace().next().unwrap();
        let name = name.trim_end_matches(|c: char| !c.is_ascii_lowercase());
        // `TOPIC`, and `--man`.
        if name.starts_with(|c: char| c.is_ascii_lowercase()) {
            assert!(topics.contains_key(name), "{name} is missing");
        }
    }
}

#[test]
fn each_topic_has_the_format_that_is_rendered() {
    for (name, text) in topics() {
        assert_eq!(unrenderable(&text), None, "{name}");
    }
}

/// The first thing that the renderer does not know.
fn unrenderable(text: &str) -> Option<String> {
    if !text.ends_with('\n') || text.contains(['\t', '`']) || text.contains("\n\n\n") {
        return Some("its line ends, tabs, backticks or empty lines".to_owned());
    }
    let (title, text) = text.split_once("\n\n")?;
    let is_title = !title.is_empty() && !title.contains('\n') && !title.ends_with('.');
    let mut blocks = text.trim_end_matches('\n').split("\n\n");
    let wrong = (!is_title).then_some(title);
    let wrong = wrong.or_else(|| blocks.find(|block| !is_block(block)));
    wrong.map(str::to_owned)
}

fn is_block(block: &str) -> bool {
    let lines: Vec<&str> = block.lines().collect();
    let (first, others) = lines.split_first().unwrap();
    let is_verbatim = lines.iter().all(|line| line.starts_with("    "));
    let is_below = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let is_column_0 = |line: &&str| !line.starts_with(' ');
    let most = if is_verbatim {
        MOST_COLUMNS_VERBATIM
    } else {
        MOST_COLUMNS
    };
    let fits = |line: &&str| line.chars().count() <= most && *line == line.trim_end();
    let is_known = if is_verbatim {
        true
    } else if first.starts_with("# ") {
        others.is_empty()
    } else if first.starts_with("- ") {
        others.iter().all(is_below)
    } else {
        is_column_0(first) && (others.iter().all(is_below) || others.iter().all(is_column_0))
    };
    is_known && lines.iter().all(fits)
}

#[rstest]
#[case::paragraph("One\nparagraph.", true)]
#[case::heading("# A heading", true)]
#[case::item("- one,\n  longer", true)]
#[case::definition("--set KEY=VALUE\n  Its text.", true)]
#[case::verbatim("    a command \\\n      --with options", true)]
#[case::two_items("- one\n- two", false)]
#[case::heading_with_text("# A heading\nand text", false)]
#[case::text_below_a_definition("term\n  its text\nand more", false)]
#[case::too_little_verbatim("   three spaces", false)]
#[case::space_at_the_end("text ", false)]
fn a_block_is_one_of_five_kinds(#[case] block: &str, #[case] expected: bool) {
    assert_eq!(is_block(block), expected);
}

#[test]
fn each_option_that_the_manual_names_exists() {
    let levels = [
        "proxmox",
        "proxmox check",
        "proxmox template create",
        "proxmox vm create",
        "proxmox vm list",
        "proxmox vm show",
        "proxmox vm start",
        "proxmox vm shutdown",
        "proxmox vm stop",
        "proxmox vm reboot",
        "proxmox vm delete",
        "proxmox vm ssh",
        "proxmox container list",
        "proxmox task wait",
        "proxmox task cancel",
    ];
    let helps = levels.map(|level| Homelab::alone().run(&format!("{level} --help")).stdout);
    let mut known = words_with(&helps.concat(), "--");
    known.extend(OF_PROXMOX.map(str::to_owned));
    let named = words_with(&prose(), "--");
    assert_eq!(named.difference(&known).collect::<Vec<_>>(), [""; 0]);
}

/// The names in a table of the source.
fn names_in(table: &str) -> BTreeSet<String> {
    let source = include_str!("../src/config/layer.rs");
    let (_, table) = source.split_once(&format!("{table}: ")).unwrap();
    let (table, _) = table.split_once("];").unwrap();
    words_with(table, "PROXMOX_")
}

#[test]
fn each_setting_is_explained_under_its_name() {
    let config = topic("config");
    let terms = config.lines().filter(|line| line.starts_with("PROXMOX_"));
    let terms: Vec<&str> = terms
        .filter(|line| !line.contains(' ') || line.ends_with("REALM"))
        .collect();
    assert_eq!(
        words_with(&terms.join(" "), "PROXMOX_"),
        names_in("OWN_NAMES")
    );
    let named = words_with(&config, "PROXMOX_");
    assert!(named.is_superset(&names_in("FOREIGN_NAMES")));
}

#[test]
fn each_kind_of_error_is_explained() {
    let source = include_str!("../src/say/failure.rs");
    let (_, kinds) = source.split_once("pub enum Kind {").unwrap();
    let (kinds, _) = kinds.split_once('}').unwrap();
    let json = topic("json");
    let (_, text) = json.split_once("# Kinds of errors").unwrap();
    let variants = kinds
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    for variant in variants.filter(|line| !line.is_empty()) {
        let mut kind = String::new();
        for c in variant.trim_end_matches(',').chars() {
            if c.is_ascii_uppercase() && !kind.is_empty() {
                kind.push('_');
            }
            kind.push(c.to_ascii_lowercase());
        }
        let mut terms = text.lines().flat_map(|line| line.split(", "));
        assert!(terms.any(|term| term == kind), "{kind} is missing");
    }
}

/// `check` and the manual have the same table.
#[test]
fn each_verb_is_listed_with_the_privileges_that_check_demands() {
    let source =
        include_str!("../src/cmd/check/verbs.rs").replace("AGENT", "\"VM.GuestAgent.Audit\"");
    let (_, table) = source.split_once("const VERBS").unwrap();
    let (table, _) = table.split_once("\n];").unwrap();
    let quoted = |text: &str| -> Vec<String> {
        let parts = text.split('"').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    };
    let demanded = table.split("names: ").skip(1).map(|verbs| {
        let (names, needs) = verbs.split_once(",\n").unwrap();
        let (needs, _) = needs.split_once("everywhere: ").unwrap();
        let needs: BTreeSet<String> = quoted(needs).into_iter().collect();
        (quoted(names).concat(), needs)
    });
    let permissions = topic("permissions");
    let (_, listed) = permissions
        .split_once("# What each verb needs\n\n")
        .unwrap();
    let (listed, _) = listed.split_once("\n\nThe token's own tasks").unwrap();
    let listed = listed.split("\n\n").map(|item| {
        let item = item.trim_start_matches("- ").replace("\n  ", " ");
        let (names, needs) = item.trim_end_matches('.').split_once(": ").unwrap();
        let needs = needs.split(", ").map(str::to_owned);
        (names.to_owned(), needs.collect())
    });
    assert_eq!(
        listed.collect::<Vec<(String, BTreeSet<String>)>>(),
        demanded.collect::<Vec<_>>()
    );
}

/// Only the parts between `…`, which stands for other text.
#[test]
fn each_message_that_is_explained_is_one_of_the_program_or_the_server() {
    let mut known = String::new();
    let directories = ["src", "fixtures/scenarios"].into_iter();
    for (path, text) in directories.flat_map(files_below) {
        if !path.starts_with("src/help/") {
            // A string in the source may continue on the next line.
            known.extend(text.split("\\\n").map(str::trim_start));
        }
    }
    let text = ["troubleshooting", "cron"].map(topic).concat();
    for (term, below) in text.lines().zip(text.lines().skip(1)) {
        let is_term = below.starts_with("  ")
            && !below.starts_with("    ")
            && !term.starts_with([' ', '-', '\'']);
        if !is_term {
            continue;
        }
        let parts = term
            .split(['…', ',', ';', ':', '(', ')', '\'', '/'])
            .map(str::trim);
        for part in parts.filter(|part| part.len() > 3 && !part.contains(char::is_numeric)) {
            assert!(known.contains(part), "'{part}' of '{term}' is no message");
        }
    }
}

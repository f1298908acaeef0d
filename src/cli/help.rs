//! The pages that `--help` and `help` show, and the man page: all from argh's description of the commands
//! and the topics of the manual.

use roff::{Roff, bold, roman};

use super::arguments::{
    Arguments, Command, Flag, command_named, is_help, placeholder, runnable, usage_line, with_value,
};
use super::commands::Help;
use super::manual::{self, Block, TOPICS, in_one_line, shown, unescaped};
use super::usage::WrongUsage;
use crate::say::closest::closest;

/// The first option of each group, and the group's heading, for a command that has all of these options.
/// The options of other commands are under 'Options'.
const GROUPS: [(&str, &str); 4] = [
    ("--vmid", "Which VM"),
    ("--linked", "Settings of the new VM"),
    ("--start", "After creating it"),
    ("--timeout", "Time limits and output"),
];

/// What `--help` shows of the command that was typed.
pub(super) fn page(arguments: &Arguments, columns: usize) -> String {
    let (path, command) = (arguments.path(), arguments.command());
    let mut blocks = vec![
        Block::Paragraph(in_one_line(command.description)),
        Block::Paragraph(usage_line(&path, command)),
    ];
    blocks.extend(commands(command));
    blocks.extend(options(command));
    if arguments.levels.len() > 2 && command.commands.is_empty() {
        let note = "Connection options (--host, --config, --verbose and others): \
                    see 'homelab proxmox --help'.";
        blocks.push(Block::Paragraph(note.to_owned()));
    }
    blocks.extend(examples_and_notes(command));
    if arguments.levels.len() == 1 {
        blocks.extend(topics());
        blocks.extend(exit_codes());
    }
    shown(&blocks, columns)
}

fn commands(command: &Command) -> Vec<Block> {
    let listed = command.commands.iter().map(|command| {
        let description = in_one_line(command.command.description);
        Block::Term(command.name.to_owned(), description)
    });
    with_heading("Commands", listed.collect())
}

fn options(command: &Command) -> Vec<Block> {
    let arguments = command.positionals.iter();
    let arguments = arguments.map(|it| Block::Term(placeholder(it), unescaped(it.description)));
    let mut blocks = with_heading("Arguments", arguments.collect());
    let group_of = |flag: &Flag| GROUPS.iter().find(|(first, _)| *first == flag.long);
    let has_groups = GROUPS
        .iter()
        .all(|(first, _)| command.flags.iter().any(|flag| flag.long == *first));
    let mut group = Vec::new();
    let mut heading = "Options";
    for flag in command
        .flags
        .iter()
        .filter(|flag| !flag.hidden && !is_help(flag))
    {
        if let Some((_, next)) = group_of(&flag).filter(|_| has_groups) {
            blocks.extend(with_heading(heading, std::mem::take(&mut group)));
            heading = next;
        }
        group.push(Block::Term(with_value(flag), unescaped(flag.description)));
    }
    blocks.extend(with_heading(heading, group));
    blocks
}

fn examples_and_notes(command: &Command) -> Vec<Block> {
    let notes = command.notes.iter().flat_map(|note| note.split("\n\n"));
    let notes = notes.map(|note| Block::Paragraph(unescaped(note)));
    let examples = command.examples.iter().map(|example| {
        let example = example.replace("{{", "{").replace("}}", "}");
        Block::Verbatim(example)
    });
    let examples = with_heading("Examples", examples.collect());
    notes.chain(examples).collect()
}

fn with_heading(heading: &str, blocks: Vec<Block>) -> Vec<Block> {
    if blocks.is_empty() {
        return blocks;
    }
    let heading = Block::Heading(heading.to_owned());
    [heading].into_iter().chain(blocks).collect()
}

fn topics() -> Vec<Block> {
    let listed = TOPICS.map(|(name, source)| {
        let (title, _) = manual::read(source);
        Block::Term(name.to_owned(), title.to_owned())
    });
    with_heading(
        "Topics of the manual ('homelab help TOPIC')",
        listed.to_vec(),
    )
}

fn exit_codes() -> Vec<Block> {
    let source = manual::topic("exit-codes").unwrap_or_default();
    let (_, mut blocks) = manual::read(source);
    blocks.retain(|block| matches!(block, Block::Term(..)));
    with_heading("Exit codes", blocks)
}

/// What `homelab help` shows: a topic, a command's help, the man page, or the list of topics.
pub(super) fn help(arguments: &Help, root: &Command, columns: usize) -> Result<String, WrongUsage> {
    let wrong = |message: String, hint: &str| {
        Err(WrongUsage::new(
            &Arguments::read(root, ["help"]),
            message,
            hint.to_owned(),
        ))
    };
    if arguments.man {
        if let Some(topic) = arguments.topic.first() {
            let message = format!("unexpected argument '{topic}'");
            return wrong(message, "--man prints all topics");
        }
        return Ok(man_page(root));
    }
    let Some(first) = arguments.topic.first() else {
        let read = Arguments::read(root, ["--help"]);
        return Ok(page(&read, columns));
    };
    if let Some(source) = manual::topic(first) {
        if let Some(second) = arguments.topic.get(1) {
            let message = format!("unexpected argument '{second}'");
            return wrong(message, "'homelab help' shows one topic at a time");
        }
        let (title, mut blocks) = manual::read(source);
        blocks.insert(0, Block::Paragraph(title.to_owned()));
        return Ok(shown(&blocks, columns));
    }
    let topic: Vec<&str> = arguments.topic.iter().map(String::as_str).collect();
    if let Some(read) = command_named(root, &topic) {
        return Ok(page(&read, columns));
    }
    let mut names: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
    let begins = |name: &&&str| name.starts_with(first.as_str());
    let close = names.iter().find(begins).copied();
    names.extend(root.commands.iter().map(|it| it.name));
    let close = close.or_else(|| closest(first, names.into_iter()));
    let hint = close.map_or_else(String::new, |close| format!("did you mean '{close}'? "));
    let message = format!("unknown help topic '{}'", topic.join(" "));
    wrong(message, &format!("{hint}'homelab help' lists all topics"))
}

/// The whole manual as a man page.
fn man_page(root: &Command) -> String {
    /// When the manual was last revised.
    const DATE: &str = "2026-12-01";
    let mut page = Roff::new();
    let version = concat!("homelab ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["HOMELAB", "1", DATE, version, "homelab manual"]);
    page.control("SH", ["NAME"]);
    page.text([roman("homelab - provision virtual machines on Proxmox VE")]);
    page.control("SH", ["SYNOPSIS"]);
    let commands = runnable(root);
    for (index, (path, command)) in commands.iter().enumerate() {
        if index > 0 {
            page.control("br", []);
        }
        let usage = usage_line(path, command);
        let (_, arguments) = usage.split_at("Usage: ".len() + path.len());
        page.text([bold(path), roman(arguments)]);
    }
    page.control("SH", ["COMMANDS"]);
    for (path, command) in &commands {
        page.control("SS", [path.as_str()]);
        manual::add_to_man_page(&mut page, &section(command));
    }
    page.control("SH", ["CONNECTION OPTIONS"]);
    if let Some(proxmox) = root.commands.iter().find(|it| it.name == "proxmox") {
        let blocks = [
            options(&proxmox.command),
            examples_and_notes(&proxmox.command),
        ];
        manual::add_to_man_page(&mut page, &without_headings(blocks.concat()));
    }
    page.control("SH", ["OTHER OPTIONS"]);
    let help = ("-h, --help", "show the help of any command");
    let version = ("-V, --version", "print the version");
    let term = |(term, text): (&str, &str)| Block::Term(term.to_owned(), text.to_owned());
    manual::add_to_man_page(&mut page, &[help, version].map(term));
    for (_, source) in TOPICS {
        let (title, blocks) = manual::read(source);
        page.control("SH", [title.to_uppercase().as_str()]);
        manual::add_to_man_page(&mut page, &blocks);
    }
    // The crate doubles backslashes, which is right only where troff reads them twice.
    page.render().replace(r"\\", r"\e")
}

/// What the man page says of a command.
fn section(command: &Command) -> Vec<Block> {
    let description = Block::Paragraph(in_one_line(command.description));
    let blocks = [
        vec![description],
        options(command),
        examples_and_notes(command),
    ];
    without_headings(blocks.concat())
}

/// Turns headings into paragraphs: in the man page they would look like other commands.
fn without_headings(blocks: Vec<Block>) -> Vec<Block> {
    let lower = |block| match block {
        Block::Heading(text) => Block::Paragraph(format!("{text}:")),
        block => block,
    };
    blocks.into_iter().map(lower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::description;
    use rstest::rstest;

    /// Lines that are shown as they are: examples, commands, files.
    const WIDEST_EXAMPLE: usize = 80;

    fn too_long(text: &str, columns: usize) -> Vec<&str> {
        let is_too_long = |line: &&str| {
            let is_example = line.starts_with("  ") && columns < WIDEST_EXAMPLE;
            let limit = if is_example { WIDEST_EXAMPLE } else { columns };
            textwrap::core::display_width(line) > limit
        };
        text.lines().filter(is_too_long).collect()
    }

    #[rstest]
    fn no_page_is_wider_than_the_terminal(#[values(60, 80, 100)] columns: usize) {
        let root = description();
        let mut pages: Vec<String> = runnable(&root)
            .iter()
            .map(|(path, _)| page(&Arguments::read(&root, path.split(' ').skip(1)), columns))
            .collect();
        pages.extend(
            TOPICS
                .iter()
                .map(|(_, source)| shown(&manual::read(source).1, columns)),
        );
        let lines: Vec<&str> = pages
            .iter()
            .flat_map(|page| too_long(page, columns))
            .collect();
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn topics_match_the_help_files_and_stay_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/help");
        let files = std::fs::read_dir(folder).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        let mut topics = TOPICS.map(|(name, _)| format!("{name}.txt"));
        topics.sort();
        assert_eq!(names, topics);
        let bytes: usize = TOPICS.iter().map(|(_, source)| source.len()).sum();
        assert!(bytes <= 24 * 1024, "{bytes}");
    }
}

//! The script for fish 3.0 or later.

use crate::cli::level::{Level, in_one_line, repeats, takes_file, takes_value};

/// fish learns from `complete -l` that an option takes a value, and completes files there. It has no
/// notion of nested commands, so each line states by a condition where it applies.
pub(super) const SCRIPT: &str = include_str!("template.fish");

pub(super) fn level(level: &Level) -> String {
    let names = level.options_that(takes_value);
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let print = if names.is_empty() {
        "true".to_owned()
    } else {
        format!("printf '%s\\n' {}", names.join(" "))
    };
    let path = quoted(&level.path);
    format!("        case {path}\n            {print}\n")
}

pub(super) fn completions(program: &str, level: &Level) -> String {
    let path = quoted(&level.path);
    let complete_if = |condition: &str| {
        let condition = quoted(&format!("__{program}_{condition}"));
        format!("complete -c {program} -n {condition}")
    };
    let commands = level.commands.iter().map(|command| {
        let complete = complete_if(&format!("commands {path}"));
        let name = quoted(command.name);
        let description = quoted(&in_one_line(command.command.description));
        format!("{complete} -a {name} -d {description}\n")
    });
    let arguments = (1..).zip(&level.arguments);
    let arguments = arguments.filter(|(_, choices)| !choices.is_empty());
    let arguments = arguments.map(|(number, choices)| {
        let complete = complete_if(&format!("argument {path} {number}"));
        format!("{complete} -a {}\n", quoted(&choices.join(" ")))
    });
    let options = level.new_options.iter().map(|option| {
        let again = if repeats(option) { " again" } else { "" };
        let complete = complete_if(&format!("option {path} {}{again}", option.long));
        let name = quoted(option.long.trim_start_matches('-'));
        let value = match takes_value(option) {
            true if takes_file(option) => " -r -F",
            true => " -x",
            false => "",
        };
        let description = quoted(&in_one_line(option.description));
        format!("{complete} -l {name}{value} -d {description}\n")
    });
    commands.chain(arguments).chain(options).collect()
}

/// `text` in quotes, as one word of fish.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

//! The script for zsh, as a file in its `fpath` or to be sourced.

use crate::cli::level::Level;
use crate::say::shell::quoted;

/// From a file in the `fpath`, zsh runs the whole script as the first call of the function, so the
/// script has to make that call. A sourced script has to register the function instead.
pub(super) const SCRIPT: &str = include_str!("template.zsh");

pub(super) fn level(level: &Level) -> String {
    let lists = level.lists(described);
    let lists = lists.iter().filter(|(_, entries)| !entries.is_empty());
    let lists: String = lists.map(|(name, entries)| list(name, entries)).collect();
    format!("    ({})\n{lists}        ;;\n", quoted(&level.path))
}

fn list(name: &str, entries: &[String]) -> String {
    let entries: Vec<String> = entries.iter().map(|entry| quoted(entry)).collect();
    let entries = entries.join("\n            ");
    format!("        {name}=(\n            {entries}\n        )\n")
}

/// An entry for `_describe`, which takes a backslash for the start of an escape.
fn described(name: &str, description: &str) -> String {
    let description = description.replace('\\', r"\\").replace(':', r"\:");
    format!("{name}:{description}")
}

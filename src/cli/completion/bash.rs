//! The script for bash 4.3 or later; it needs no other package.

use crate::cli::level::Level;
use crate::say::shell::quoted;

/// `complete -o default` would offer files wherever there is nothing else to offer, so `compopt`
/// switches it on only where a file is expected. Readline then does quoting, tildes and directories.
pub(super) const SCRIPT: &str = include_str!("template.bash");

pub(super) fn level(level: &Level) -> String {
    let [lists @ .., (_, arguments)] = level.lists(|name, _| name.to_owned());
    let lists = lists.iter().filter(|(_, names)| !names.is_empty());
    let lists = lists.map(|(list, names)| format!("        {list}={}\n", quoted(&names.join(" "))));
    let (path, lists) = (quoted(&level.path), lists.collect::<Vec<_>>().concat());
    let arguments: Vec<String> = arguments.iter().map(|choices| quoted(choices)).collect();
    let arguments = arguments.join(" ");
    format!("    {path})\n{lists}        arguments=({arguments})\n        ;;\n")
}

//! What can be typed where.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

/// A place that commands lead to.
pub(super) struct Level {
    /// The words that lead here: `homelab proxmox vm`.
    pub(super) path: String,
    pub(super) commands: Vec<Command>,
    /// Those of this level, then those of the levels above, which are understood here too.
    pub(super) options: Vec<Flag>,
    /// For each argument the words to choose from; none where it could be anything.
    pub(super) arguments: Vec<Vec<&'static str>>,
}

pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) description: String,
}

/// An option or a switch.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Flag {
    /// With its dashes.
    pub(super) name: &'static str,
    pub(super) description: String,
    pub(super) value: Value,
    /// Whether it can be given more than once.
    pub(super) repeats: bool,
    /// Whether no level above has the very same.
    pub(super) is_new: bool,
}

/// What an option expects behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    File,
    Anything,
}

impl Level {
    /// The names of the options that are so.
    pub(super) fn options_that(&self, is_so: impl Fn(&Flag) -> bool) -> Vec<&str> {
        let options = self.options.iter().filter(|option| is_so(option));
        options.map(|option| option.name).collect()
    }
}

/// All levels, each before those below it.
pub(super) fn levels(program: &str, root: &CommandInfoWithArgs) -> Vec<Level> {
    let mut levels = Vec::new();
    add(&mut levels, program, root, &[]);
    levels
}

fn add(levels: &mut Vec<Level>, path: &str, info: &CommandInfoWithArgs, above: &[Flag]) {
    let shown = info.flags.iter().filter(|flag| !flag.hidden);
    let mut options: Vec<Flag> = shown.map(|flag| flag_of(flag, above)).collect();
    for flag in above {
        if options.iter().all(|option| option.name != flag.name) {
            options.push(Flag {
                is_new: false,
                ..flag.clone()
            });
        }
    }
    levels.push(Level {
        path: path.to_owned(),
        commands: info
            .commands
            .iter()
            .map(|command| Command {
                name: command.name,
                description: in_one_line(command.command.description),
            })
            .collect(),
        options: options.clone(),
        arguments: info.positionals.iter().map(choices).collect(),
    });
    for command in &info.commands {
        let path = format!("{path} {}", command.name);
        add(levels, &path, &command.command, &options);
    }
}

fn flag_of(flag: &FlagInfo<'static>, above: &[Flag]) -> Flag {
    let value = match flag.kind {
        FlagInfoKind::Switch => Value::Nothing,
        FlagInfoKind::Option { arg_name: "file" } => Value::File,
        FlagInfoKind::Option { .. } => Value::Anything,
    };
    let description = in_one_line(flag.description);
    let repeats = flag.optionality == Optionality::Repeating;
    let is_same = |other: &Flag| {
        (other.name, &other.description, other.value, other.repeats)
            == (flag.long, &description, value, repeats)
    };
    Flag {
        is_new: !above.iter().any(is_same),
        name: flag.long,
        description,
        value,
        repeats,
    }
}

/// `bash|zsh|fish` names three words to choose from.
fn choices(positional: &PositionalInfo<'static>) -> Vec<&'static str> {
    if !positional.name.contains('|') {
        return Vec::new();
    }
    positional.name.split('|').collect()
}

/// A description as lists have it: without the dot of a sentence. argh has doubled its braces, which
/// is right where it formats it for the help.
fn in_one_line(description: &str) -> String {
    let description = description.replace("{{", "{").replace("}}", "}");
    let words: Vec<&str> = description.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

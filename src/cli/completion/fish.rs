//! The script for fish 3.0 or later.

use crate::cli::level::{Level, in_one_line, repeats, takes_file, takes_value};

/// fish learns from `complete -l` that an option takes a value, and completes files there. It has no
/// notion of nested commands, so each line states by a condition where it applies.
pub(super) const SCRIPT: &str = r"# Completions of PROGRAM for fish, written by PROGRAM itself.

# The options that expect a value at a level, by the words that lead there; fails for other words.
function __PROGRAM_values
    switch $argv[1]
LEVELS        case '*'
            return 1
    end
end

# Where the cursor is: the words that lead there, the option whose value is awaited, whether there
# was a '--', the number of the argument, and the options before it; a line each.
function __PROGRAM_place
    set -l words (commandline -opc)
    set -e words[1]
    set -l level PROGRAM
    set -l values (__PROGRAM_values $level)
    set -l awaits ''
    set -l ended ''
    set -l count 1
    set -l given
    for word in $words
        if test -n $awaits
            set given $given $awaits
            set awaits ''
        else if test -n $ended
            set count (math $count + 1)
        else if test $word = --
            set ended yes
        else if contains -- $word $values
            set awaits $word
        else if string match -q -- '-*' $word
            set given $given (string replace -r '=.*' '' -- $word)
        else if __PROGRAM_values $level' '$word >/dev/null
            set level $level' '$word
            set values (__PROGRAM_values $level)
            set count 1
        else
            set count (math $count + 1)
        end
    end
    printf '%s\n' $level $awaits $ended $count $given
end

# Whether a command can stand here, of the level that these words lead to.
function __PROGRAM_commands
    set -l place (__PROGRAM_place)
    test $place[1] = $argv[1] -a -z $place[2] -a -z $place[3]
end

# Whether it is the argument of that number that stands here.
function __PROGRAM_argument
    set -l place (__PROGRAM_place)
    test $place[1] = $argv[1] -a -z $place[2] -a $place[4] = $argv[2]
end

# Whether an option of that level, which those below it understand too, can stand here or has its
# value here; with a third word it can be repeated.
function __PROGRAM_option
    set -l place (__PROGRAM_place)
    test -z $place[3]; or return
    string match -q -- $argv[1]' *' $place[1]' '; or return
    test $place[2] = $argv[2]; and return
    set -q argv[3]; or not contains -- $argv[2] $place[5..-1]
end

complete -c PROGRAM -e
complete -c PROGRAM -f
";

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
